"""Checks that a proposed tree has to pass, and the audit of a log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from esaa_git.core.agent_contract import Check
from esaa_git.ports.files import FileEntry


@dataclass(frozen=True, slots=True)
class Audit:
    """What a verification found.

    `check` is the number of the check that failed (docs/FORMAT.md, "Verification"), and `recovery`
    the command that goes back to the last sound event, where there is one.
    """

    outcome: str
    checked_from: int
    checked_to: int
    projection_hash: str | None = None
    check: int | None = None
    event_id: str | None = None
    message: str = ""
    recovery: str | None = None

    @property
    def is_ok(self) -> bool:
        return self.outcome == "ok"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How one check of a proposed tree ended; `output` is the end of what it printed.

    `program_sha256` is that of the pinned program which judged, where it was one. `is_runnable` is
    False where a program that the check starts is not there: then nothing was judged.
    """

    name: str
    passed: bool
    reason: str
    output: str
    duration_ms: int
    program_sha256: str | None = None
    is_runnable: bool = True


class Checker(Protocol):
    """Runs the checks that a contract demands, confined, on a proposed tree."""

    def ready(self, checks: Sequence[Check]) -> None:
        """Look, before an agent is asked, whether these can be run here.

        Raises:
            AgentError: if a program is missing that no proposal could bring.
        """
        ...

    def run(
        self,
        checks: Sequence[Check],
        base: str,
        changes: Mapping[str, FileEntry | None],
        pause: Callable[[], None],
    ) -> Sequence[CheckResult]:
        """Run them in order on the base with these changes; the first that fails is the last.

        Raises:
            AgentError: if checks cannot be run here at all (no confinement, no room).
        """
        ...
