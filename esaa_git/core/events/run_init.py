"""`run.init`: a run starts. It pins the contracts in force and names the tasks in scope."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from esaa_git.core.entries import PENDING, VOID
from esaa_git.core.events.base import Count, Line, Payload, Stamp, Text
from esaa_git.core.events.fields import (
    Actor,
    Oid,
    Pin,
    ProgramPin,
    RunId,
    TaskDefinition,
    pins_sha256,
)
from esaa_git.core.events.spec import ORCHESTRATOR, PERSON
from esaa_git.core.invariants import Violation
from esaa_git.core.state import PinnedProgram, Project

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class RunInit(Payload, action="run.init", by={ORCHESTRATOR, PERSON}):
    """What a run works on: the branch, the contracts, and the tasks that are new.

    `cel` names what evaluates `when` in POLICY.yaml, with its version, where a rule has that.
    """

    run_id: RunId
    project: Annotated[str, Line(100)]
    branch: Annotated[str, Line(250)]
    base: Oid
    contracts: Annotated[tuple[Pin, ...], Count(least=1, most=200)]
    tasks: Annotated[tuple[TaskDefinition, ...], Count(most=100_000)]
    by: Actor | None = None
    reason: Annotated[str, Text(2000)] | None = None
    programs: Annotated[tuple[ProgramPin, ...], Count(most=1000)] | None = None
    foreign_logs: Annotated[tuple[Annotated[str, Line(100)], ...], Count(most=100)] | None = None
    cel: Annotated[str, Line(100)] | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        number = draft.run.number + 1
        if self.run_id != f"RUN-{number:04d}":
            raise Violation("INV-005", f"the next run is RUN-{number:04d}, not {self.run_id}")
        pinned = pins_sha256(self.contracts, self.programs)
        if pinned != draft.run.contracts_sha256:
            _void_approvals(draft)
        draft.change_project(Project(self.project))
        draft.pin_programs(None if self.programs is None else tuple(map(_pinned, self.programs)))
        draft.change_run(
            state=draft.step("run", draft.run.state, "run.init"),
            run_id=self.run_id,
            number=number,
            branch=self.branch,
            base=self.base,
            first_seq=event.seq,
            reason="",
            accepted=0,
            rejected=0,
            verified_seq=0,
            cel=self.cel,
            contracts_sha256=pinned,
            # A commit that was lawful once stays so: what a later run leaves out is not forgotten.
            foreign_logs=tuple(sorted({*draft.run.foreign_logs, *(self.foreign_logs or ())})),
        )
        for definition in self.tasks:
            draft.create_task(definition.task(), "run.init")
        for definition in self.tasks:
            for dependency in definition.depends_on or ():
                draft.task(dependency)

    def subject(self) -> str:
        return f"{self.run_id} {self.project}: {len(self.tasks)} new tasks"


def _void_approvals(draft: Draft) -> None:
    """Have what was asked for, or granted, under other contracts count no longer."""
    for task_id in (*draft.run.in_progress, *draft.run.blocked):
        task = draft.task(task_id)
        renewed = draft.without_approval(task)
        if renewed is not task:
            draft.put_task(renewed)
    for approval in tuple(draft.approvals.values()):
        if approval.raises is not None and approval.state == PENDING:
            draft.put_approval(replace(approval, state=VOID))


def _pinned(pin: ProgramPin) -> PinnedProgram:
    return PinnedProgram(pin.path, pin.mode, pin.sha256)
