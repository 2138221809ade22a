"""Looks before anybody is paid: at the branch, its checkouts, its files, and room to work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from esaa_git.errors import MismatchError
from esaa_git.folders import require_room

if TYPE_CHECKING:
    from esaa_git.engine.engine import Engine
    from esaa_git.store.repository import Repository


_OF_BRANCH: Final = 11
_WHOLE: Final = "run 'git esaa verify --full' for the whole of it"


class GitPreflight:
    """Implements `ports.preflight.Preflight` for one repository, and remembers what it has seen.

    A checkout and the temporary folder are looked at each time. Branch and log are held against
    each other at first, and again where the branch was set to a commit that does not contain the
    one that was seen: what is only added takes no effect away. An effect that another commit
    carries now is recorded, which takes no agent and nobody's word.

    Args:
        engine: gives what records it.
        say: tells a person.
    """

    def __init__(
        self, repository: Repository, engine: Callable[[], Engine], say: Callable[[str], None]
    ) -> None:
        self._repository = repository
        self._engine = engine
        self._say = say
        self._seen: dict[str, str] = {}

    def look(self, branch: str) -> None:
        from esaa_git.checkout.ready import require_ready
        from esaa_git.store.position import contains
        from esaa_git.store.promisor import make_whole

        repository = self._repository
        require_ready(repository, branch)
        require_room()
        tip, seen = repository.ref_target(f"refs/heads/{branch}"), self._seen.get(branch)
        if tip is None or tip == seen:
            return
        make_whole(repository, tip)
        if seen is None or not contains(repository, tip, seen):
            self._hold_against_log(branch)
        self._seen[branch] = tip

    def _hold_against_log(self, branch: str) -> None:
        """Refuse to go on where the branches are not what the log says; record what has moved."""
        from esaa_git.app.moved import record_moved
        from esaa_git.verification.audit import Auditor
        from esaa_git.verification.failure import failure_of

        repository = self._repository
        if repository.ref_target(repository.events_ref) is None:
            return
        # Not remembered: 'verify.ok' says from where on a run was verified, however often it began.
        report = Auditor(repository, remember=False, judged=branch).run()
        if report.audit.check == _OF_BRANCH:
            report = Auditor(repository, remember=False, judged=branch, relink=True).run()
        if report.audit.is_ok:
            record_moved(self._engine(), report, self._say)
            return
        kind = failure_of(report.audit.outcome) or MismatchError
        raise kind(
            "log and branch do not agree, and nothing that an agent does could be recorded",
            cause=report.audit.message,
            hint=report.hint or _WHOLE,
        )
