"""The work of people, and of agents that come for it: a task is taken, answered and reviewed.

They take and answer tasks as the agents of a run do: one admission judges them all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from esaa_git.app.changes import file_updates
from esaa_git.app.roadmap import plan_order
from esaa_git.core.events.base import encode
from esaa_git.errors import RefusedError

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.events.fields import LeftOut, LeftOutFile
    from esaa_git.core.rejection import Rejected
    from esaa_git.core.state import State
    from esaa_git.core.task import Attempt, Task
    from esaa_git.engine.exchange import Admission
    from esaa_git.ports.agent import Request

_SHOWN: Final = 10
"""So many paths that were left out are named on a line; the event names more of them."""

CLAIMED: Final = "claim"
"""The mode of attempts that were claimed. A dispatched one has an agent of the swarm."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """An attempt, and the request for it byte for byte as an agent would be sent it.

    Attributes:
        base: the commit that the answer is to be a change of.
        deadline: until when it is expected, as events write times.
        sent: the request, a JSON document (docs/FORMAT.md, "The request").
    """

    task_id: str
    attempt_id: str
    base: str
    deadline: str
    sent: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an answer.

    Attributes:
        kind: `done`, `waiting` (for a review, a person's uncommitted work, or, where the
            orchestrator's key is elsewhere, its next run), `rejected`, `unavailable`,
            `issue`, `question`, `noted` (a heartbeat or lesson) or `repeated`.
        attempt_id: empty where the answer belongs to no attempt, so that nothing was recorded.
        message: what was done, or is in the way, in words.
        rejected: the reject code with its message and detail, where the answer was rejected.
        effect_commit: the commit that the answer became on the working branch.
        issue_id: the issue that it reported.
        question_id: the question that it asked, and that ends the attempt.
        in_the_way: the paths with uncommitted work that it waits for.
        left_out: what was made and is not in the proposal, and why.
    """

    kind: str
    task_id: str
    attempt_id: str
    message: str = ""
    rejected: Rejected | None = None
    effect_commit: str | None = None
    issue_id: str | None = None
    question_id: str | None = None
    in_the_way: tuple[str, ...] = ()
    left_out: LeftOut | None = None

    @property
    def left_out_words(self) -> str:
        """What was left out, on one line; empty where nothing was."""
        if self.left_out is None:
            return ""
        shown = [_why_left_out(file) for file in self.left_out.files[:_SHOWN]]
        more = self.left_out.count - len(shown)
        return ", ".join(shown) + (f" and {more} more" if more else "")

    def to_json(self) -> dict[str, Any]:
        """Return it as `git esaa submit --json` prints it."""
        return {
            "kind": self.kind,
            "task_id": self.task_id,
            "attempt_id": self.attempt_id,
            "message": self.message,
            "code": None if self.rejected is None else self.rejected.code,
            "detail": None if self.rejected is None else dict(self.rejected.detail),
            "effect_commit": self.effect_commit,
            "issue_id": self.issue_id,
            "question_id": self.question_id,
            "left_out": None if self.left_out is None else encode(self.left_out),
        }


def _why_left_out(file: LeftOutFile) -> str:
    if file.why == "settings":
        who = f"a task of kind {' or '.join(file.kinds)}" if file.kinds else "no task"
        return f"'{file.path}' ({who} may write it)"
    words = {"outside": "outside of the task's boundary"}
    return f"'{file.path}' ({words.get(file.why, file.why)})"


def outcome_of(admission: Admission) -> Outcome:
    """Return an admission as a value of its own."""
    return Outcome(
        admission.kind,
        admission.task_id,
        admission.attempt_id,
        admission.message,
        admission.rejected,
        admission.effect_commit,
        admission.issue_id,
        admission.question_id,
        tuple(path.path for path in admission.in_the_way),
        admission.left_out,
    )


# -- whose turn it is ---------------------------------------------------------------------------


def is_claim_of(attempt: Attempt, by: str) -> bool:
    """Answer whether it is an attempt that this actor claimed, and no dispatched one."""
    return attempt.agent == by and attempt.mode == CLAIMED


def held_by(state: State, by: str) -> list[tuple[Task, Attempt]]:
    """Return the tasks that the actor has claimed and not finished."""
    found = []
    for name in state.run.in_progress:
        task = state.tasks[name]
        attempt = task.active_attempt
        if attempt is not None and is_claim_of(attempt, by):
            found.append((task, attempt))
    return found


def open_to(project: Project, state: State, contracts: Contracts, by: str) -> list[Task]:
    """Return what the actor may take, in the order of the plan.

    Tasks whose agent the plan names are left to that agent; those whose lease ran out count.
    """
    from esaa_git.engine import schedule

    moment = project.engine.moment(state)
    order = plan_order(project.repository, state.run.branch)
    found = schedule.eligible(state, contracts, moment, order)
    for name in state.run.in_progress:
        attempt = state.tasks[name].active_attempt
        if (
            attempt is not None
            and attempt.deadline <= moment
            and not _was_the_last(state, contracts, name)
        ):
            found.append(state.tasks[name])
    return [task for task in found if task.agent in (None, by)]


def _was_the_last(state: State, contracts: Contracts, name: str) -> bool:
    """Answer whether the attempt that ran out was the last that the task had."""
    from esaa_git.core.contract_rules import attempts_allowed

    task = state.tasks[name]
    return task.attempts_used + 1 > attempts_allowed(task, contracts)


# -- taking ---------------------------------------------------------------------------------------


def claim(project: Project, task_id: str, *, actor: str | None = None) -> Assignment:
    """Take a task: an attempt opens for the actor, with a deadline.

    Args:
        actor: who takes it; by default whom git's configuration names. So in all of these.

    Raises:
        RefusedError: if it cannot be taken now.
    """
    from esaa_git.engine import operator

    by = project.actor(actor)
    _require_approver(project, task_id, by)
    return _assignment(operator.claim(project.engine, task_id, by, project.agent))


def _require_approver(project: Project, task_id: str, by: str) -> None:
    """Refuse to take a task whose result would have to be approved, and nobody else could."""
    from esaa_git.core.events.spec import same_person
    from esaa_git.core.requirements import needs_review, reviewer_of
    from esaa_git.engine.schedule import find_task
    from esaa_git.trust.roles import approvers

    state, contracts = project.log.load()
    task = find_task(state, task_id)
    owner = contracts.swarm.owner
    if not needs_review(task, contracts):
        return
    reviewer = reviewer_of(replace(task, attempt=None), contracts)
    if reviewer is not None and not same_person(owner(reviewer), owner(by)):
        return
    if any(not same_person(one, owner(by)) for one in approvers(contracts)):
        return
    raise RefusedError(
        f"'{task_id}' needs a review, and nobody but {owner(by)} could approve it",
        cause="nobody approves their own work",
        hint=f"have an agent do it with 'git esaa run --task {task_id}', or commit the change "
        "yourself, beside the log; 'git esaa key trust KEY --role approver --as EMAIL' adds "
        "somebody who can",
    )


def assignment(
    project: Project, state: State, contracts: Contracts, task: Task, attempt: Attempt
) -> Assignment:
    """Return again what an attempt asks for of an actor who works in a checkout."""
    from esaa_git.engine.request import request_for

    engine, who = project.engine, attempt.agent
    if project.agent is not None and who == project.person:
        who = project.agent
    return _assignment(request_for(engine, state, contracts, task, attempt, who, has_checkout=True))


def preview(
    project: Project, state: State, contracts: Contracts, task: Task, by: str
) -> tuple[Assignment, str | None]:
    """Return what the actor would be asked who takes the task, and why it cannot be taken now."""
    from esaa_git.engine import schedule
    from esaa_git.engine.request import next_attempt

    attempt = next_attempt(project.engine, state, contracts, task, by, CLAIMED)
    found = schedule.blocker(state, contracts, task, project.engine.moment(state))
    why = None if found is None else found.message
    return assignment(project, state, contracts, task, attempt), why


def _assignment(request: Request) -> Assignment:
    return Assignment(
        request.task_id, request.attempt_id, request.base, request.deadline, request.sent
    )


# -- answering ------------------------------------------------------------------------------------


def submit(
    project: Project,
    output: bytes | str,
    *,
    task_id: str | None = None,
    actor: str | None = None,
) -> Outcome:
    """Have an envelope admitted: a result, an issue, a heartbeat or a lesson.

    Args:
        output: the envelope, JSON in UTF-8.
        task_id: the task that it answers; by default the one that the actor holds, if it is one.

    Raises:
        RefusedError: if the actor does not hold that task.
    """
    by = project.actor(actor)
    task = _held(project, task_id, by) if task_id is not None else _only_one_held(project, by)
    attempt_id = None if task is None or task.attempt is None else task.attempt.attempt_id
    data = output.encode("utf-8", "surrogatepass") if isinstance(output, str) else output
    return admit(project, by, data, None if task is None else task.task_id, attempt_id)


def complete(
    project: Project,
    task_id: str,
    summary: str,
    paths: Sequence[str] = (),
    *,
    checks: Sequence[str] = (),
    actor: str | None = None,
) -> Outcome:
    """Have files of the checkout admitted as the result of a task, as they stand.

    Args:
        paths: relative to the folder that the project was opened in; one that is gone is to be
            deleted.
        checks: what was checked, a sentence each.

    Raises:
        RefusedError: if the actor does not hold the task.
        UsageError: if a path cannot be proposed.
    """
    by = project.actor(actor)
    task = _held(project, task_id, by)
    payload: dict[str, Any] = {"summary": summary}
    if checks:
        payload["checks"] = list(checks)
    if paths:
        base = "" if task.attempt is None else task.attempt.base
        payload["file_updates"] = file_updates(project, paths, base)
    envelope = {
        "action": "agent.result",
        "task_id": task_id,
        "attempt_id": task.attempt.attempt_id if task.attempt else "",
        "payload": payload,
    }
    output = json.dumps(envelope, ensure_ascii=False).encode()
    return submit(project, output, task_id=task_id, actor=actor)


def admit(
    project: Project,
    by: str,
    output: bytes,
    task_id: str | None,
    attempt_id: str | None,
    pause: Callable[[], None] = lambda: None,
) -> Outcome:
    """Have an answer to an attempt judged, recorded and applied.

    Args:
        by: the actor; the verifier alone looks whether the attempt is theirs.
        pause: called again and again while checks run on the proposal; what it raises ends them.
    """
    from esaa_git.engine.commit import admit as admit_said
    from esaa_git.engine.exchange import AgentOutput
    from esaa_git.ports.agent import Answer

    said = AgentOutput(
        Answer(output, 0), by, task_id=task_id, attempt_id=attempt_id, agent=project.agent
    )
    return outcome_of(admit_said(project.engine, said, pause))


def was_admitted(
    project: Project, by: str, output: bytes, state: State, contracts: Contracts
) -> bool:
    """Answer whether this very answer is on record already; then nothing is done again."""
    from esaa_git.engine.verifier import Repeated

    verdict = project.engine.verifier.judge(
        output, state=state, contracts=contracts, actor=by, now=project.engine.moment(state)
    )
    return isinstance(verdict, Repeated)


def _held(project: Project, task_id: str, by: str) -> Task:
    from esaa_git.engine.schedule import find_task

    state, _ = project.log.load()
    task = find_task(state, task_id)
    attempt = task.attempt
    if attempt is None or attempt.agent != by:
        holder = f"; {attempt.agent} does" if attempt and attempt.is_active else ""
        raise RefusedError(
            f"you ({by}) do not hold '{task_id}'{holder}",
            hint=f"run 'git esaa claim {task_id}' first",
        )
    return task


def _only_one_held(project: Project, by: str) -> Task | None:
    """Return the task whose attempt this person holds, if there is exactly one."""
    state, _ = project.log.load()
    held = [state.tasks[name] for name in state.run.in_progress]
    mine = [task for task in held if task.attempt is not None and task.attempt.agent == by]
    return mine[0] if len(mine) == 1 else None
