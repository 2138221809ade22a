"""The one family of exceptions: what stopped us, why, and what to do next.

A refusal of an agent's output is a value (`esaa_git.core.rejection.Rejected`), because it
belongs in the log. An `EsaaError` is for everything that kept a command from doing its work.
Each kind has an exit code of its own; the command line prints the message, the cause and the
hint, and never a traceback.
"""

from __future__ import annotations

from typing import ClassVar


class EsaaError(Exception):
    """A failure a person can act on: a message, an optional cause and an optional hint.

    Args:
        message: lower case, the failure first, the subject in single quotes, no full stop.
        cause: what was found instead of what was expected.
        hint: a sentence naming a command that works.
    """

    kind: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, cause: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Verification workers hand errors across process boundaries.
        return (_rebuild, (type(self), self.message, self.cause, self.hint))


def _rebuild(cls: type[EsaaError], message: str, cause: str | None, hint: str | None) -> EsaaError:
    return cls(message, cause=cause, hint=hint)


class UsageError(EsaaError):
    """The command was asked for something that cannot be: a bad argument, an unknown name."""

    kind = "usage"
    exit_code = 2


class RepositoryError(EsaaError):
    """The repository is not one we can work in: none here, no commit yet, a format we refuse."""

    kind = "repository"
    exit_code = 3


class NoLog(RepositoryError):
    """There is no event log here; whether a remote has one is looked for where this is told."""

    def __init__(
        self,
        message: str = "there is no event log in this repository yet",
        *,
        cause: str | None = None,
        hint: str | None = "run 'git esaa run' to start one; where a remote has it, "
        "'git esaa fetch' brings it",
    ) -> None:
        super().__init__(message, cause=cause, hint=hint)


class RemoteUnreachable(RepositoryError):
    """A remote did not answer; whether it took what was on its way to it is not known."""


class ConfigurationError(EsaaError):
    """A contract, plan or setting cannot be used as it stands."""

    kind = "configuration"
    exit_code = 4


class KeyUnavailable(EsaaError):
    """No usable signing key: we fail closed, there is no unsigned mode."""

    kind = "key"
    exit_code = 5


class NotAKey(KeyUnavailable):
    """What a setting or an argument names is no key that can sign: no file, or not one of a key."""


class ConflictError(EsaaError):
    """Somebody else moved a ref, holds a lock, or has work in the way; nothing was changed."""

    kind = "conflict"
    exit_code = 6


class RefusedError(EsaaError):
    """A rule of the protocol forbids it: an illegal transition, an invariant, no authority."""

    kind = "refused"
    exit_code = 7


class RunHalted(EsaaError):
    """The run ended as failed or halted, or needs a person before it can go on."""

    kind = "run"
    exit_code = 8


class ServiceUnavailable(RunHalted):
    """The service behind an agent is away, longer than the run waits; the same command goes on."""

    kind = "unavailable"
    exit_code = 13


class DecisionsMissing(RunHalted):
    """Nothing is left to do but what people have to decide; the same command goes on then."""

    kind = "decision"
    exit_code = 14


class MismatchError(EsaaError):
    """Verification: well-formed history that does not add up to what it claims."""

    kind = "mismatch"
    exit_code = 9


class CorruptedError(EsaaError):
    """Verification: bytes that no honest writer produced, or that cannot be read."""

    kind = "corrupted"
    exit_code = 10


class AgentError(EsaaError):
    """An agent could not be started at all (a failing or silent agent is a rejection instead)."""

    kind = "agent"
    exit_code = 11


class NotAllowed(AgentError):
    """Contracts ask for something that the user of this machine has not agreed to."""

    kind = "consent"
    exit_code = 12
