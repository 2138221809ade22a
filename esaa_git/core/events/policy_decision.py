"""`policy.decision`: a rule of POLICY.yaml denies a proposal, or asks for a consent to it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from esaa_git.core.events.base import Payload, Stamp, Text
from esaa_git.core.events.fields import AttemptId, Name, Sha256, TaskId
from esaa_git.core.events.spec import GUARD
from esaa_git.core.task import Judged, Ruling, Task

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class PolicyDecision(Payload, action="policy.decision", by={GUARD}):
    """What one enforced rule says of an attempt; the event that it judges follows.

    `policy_sha256` is that of POLICY.yaml, and `input_sha256` that of the facts as canonical JSON.
    """

    task_id: TaskId
    attempt_id: AttemptId
    rule: Name
    effect: Literal["deny", "require"]
    policy_sha256: Sha256
    input_sha256: Sha256
    message: Annotated[str, Text(2000)]

    def evolve(self, draft: Draft, event: Stamp) -> None:
        """Keep the decision with the task until the task is closed or given back.

        Where more is required than people were asked for, that request is void.
        """
        task, _ = draft.attempt(self.task_id, self.attempt_id)
        ruled = self.ruled(task)
        before = () if task.judged is None else task.judged.required
        if self.effect == "require" and self.rule not in before:
            ruled = draft.without_approval(ruled)
        draft.put_task(ruled)

    def ruled(self, task: Task) -> Task:
        """Return the task with this decision."""
        judged = task.judged or Judged()
        ruling = Ruling(self.rule, self.effect, self.input_sha256)
        rulings = tuple(one for one in judged.rulings if one != ruling)
        return replace(task, judged=replace(judged, rulings=(*rulings, ruling)))

    def subject(self) -> str:
        return f"{self.attempt_id}: {self.effect} by {self.rule}"
