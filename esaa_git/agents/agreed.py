"""The one door to agents and checks: nothing is started or given before its user agreed to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from esaa_git.core.agent_contract import Check
from esaa_git.core.contracts import AgentEntry
from esaa_git.core.programs import Programs
from esaa_git.ports.agent import (
    AgentAdapter,
    Answer,
    Most,
    Ran,
    Request,
    SetsUp,
    may_go_on,
    most_of,
    ran_by,
)
from esaa_git.ports.checks import Checker, CheckResult
from esaa_git.ports.consent import Consent
from esaa_git.ports.files import FileEntry


class AgreedAgent:
    """An adapter that asks for consent before it is ready, and again before each answer.

    Attributes:
        inner: the adapter itself.
    """

    def __init__(
        self,
        inner: AgentAdapter,
        entry: AgentEntry,
        programs: Programs | None,
        consent: Consent,
    ) -> None:
        self.inner = inner
        self._programs = programs
        self.name, self.adapter, self.model = inner.name, inner.adapter, inner.model
        self.has_checkout = inner.has_checkout
        self.goes_on = may_go_on(inner)
        self._entry = entry
        self._consent = consent

    @property
    def sandbox(self) -> str:
        return self.inner.sandbox

    def ready(self) -> None:
        """Raise NotAllowed without consent, and else as the adapter does."""
        self._consent.require_agent(self._entry, None, self._programs)
        self.inner.ready()
        self.model = self.inner.model  # weights on this machine tell their own name then

    def prepare(self, request: Request) -> Request:
        return self.inner.prepare(request)

    def answer(self, request: Request, pause: Callable[[], None]) -> Answer:
        # The files that a command names are those of the request's base.
        self._consent.require_agent(self._entry, request.base, self._programs)
        return self.inner.answer(request, pause)

    def most(self, request: Request) -> Most:
        """Return what a request takes at most, as the adapter says."""
        return most_of(self.inner, request)

    def set_up(self, base: str, pause: Callable[[], None]) -> None:
        """Have made what it works in, if its user agreed to that."""
        if isinstance(self.inner, SetsUp):
            self._consent.require_agent(self._entry, base, self._programs)
            self.inner.set_up(base, pause)

    def ran(self) -> Ran:
        """Return what answers; a tool is started for it, to tell its version."""
        self._consent.require_agent(self._entry, None, self._programs)
        return ran_by(self.inner)


class AgreedChecker:
    """A checker that runs what its user agreed to, and nothing else."""

    def __init__(self, inner: Checker, consent: Consent) -> None:
        self._inner = inner
        self._consent = consent

    def ready(self, checks: Sequence[Check]) -> None:
        """Raise NotAllowed without consent, and else as the checker does."""
        self._consent.require_checks(checks)
        self._inner.ready(checks)

    def run(
        self,
        checks: Sequence[Check],
        base: str,
        changes: Mapping[str, FileEntry | None],
        pause: Callable[[], None],
    ) -> Sequence[CheckResult]:
        self._consent.require_checks(checks, base)
        return self._inner.run(checks, base, changes, pause)
