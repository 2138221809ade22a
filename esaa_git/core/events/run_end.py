"""`run.end`: the run is over: success, failed or halted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from esaa_git.core.events.base import Count, Line, Payload, Stamp, Text
from esaa_git.core.events.fields import Actor, IssueId, RunId
from esaa_git.core.events.spec import ORCHESTRATOR, PERSON
from esaa_git.core.invariants import Violation
from esaa_git.core.machine import RunState

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft

RunResult = Literal[RunState.SUCCESS, RunState.FAILED, RunState.HALTED]


class RunEnd(Payload, action="run.end", by={ORCHESTRATOR, PERSON}):
    """How the run ended, and why; after a failed verification with the way back."""

    run_id: RunId
    result: RunResult
    reason: Annotated[str, Text(2000)]
    by: Actor | None = None
    issue_id: IssueId | None = None
    snapshots: Annotated[tuple[Annotated[str, Line(300)], ...], Count(most=20)] | None = None
    recovery: Annotated[str, Line(500)] | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        if self.run_id != draft.run.run_id:
            raise Violation("INV-002", f"{self.run_id} is not the current run")
        if self.result == RunState.SUCCESS and draft.run.verified_seq <= draft.run.first_seq:
            raise Violation("INV-006", "a run succeeds only after a verify.ok of its own")
        target = draft.step("run", draft.run.state, "run.end", self.result)
        draft.change_run(state=target, reason=self.reason)

    def subject(self) -> str:
        return f"{self.run_id}: {self.result}"
