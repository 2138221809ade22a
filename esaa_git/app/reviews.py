"""Reviews: what waits for people, what of it they are shown, and what they decide.

Nobody decides on their own work. What a person says is recorded under their own key; where the
orchestrator's is at hand as well, what follows from it is carried out at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from esaa_git.app.work import Outcome, outcome_of
from esaa_git.core.entries import PENDING, Approval
from esaa_git.core.refnames import proposal_ref
from esaa_git.core.said import Told, told
from esaa_git.errors import ConflictError, RefusedError, UsageError

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.core.events import AgentResult
    from esaa_git.core.state import State
    from esaa_git.core.task import Task
    from esaa_git.engine.operator import Answer

_COMMENT: Final = re.compile(r"(.+?):([1-9][0-9]*)=(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What people have to decide on, or did not decide on in time: a result, or more of a budget.

    Attributes:
        approval: the request; what of it is missing, `needs` says in words.
        since: when it was asked for, as events write times.
        answered: False where it has expired, so that it has to be asked for again.
    """

    task: Task
    approval: Approval
    since: str
    needs: str
    answered: bool = True

    @property
    def name(self) -> str:
        """What `git esaa review` takes for it."""
        is_budget = self.approval.raises is not None
        return self.approval.approval_id if is_budget else self.task.task_id

    @property
    def title(self) -> str:
        """What it is about, on one line."""
        raised = self.approval.raises
        return self.task.title if raised is None else budget_words(self.approval)

    def to_json(self) -> dict[str, Any]:
        """Return it as `git esaa review --json` prints it."""
        return {
            "task_id": self.task.task_id,
            "title": self.title,
            "since": self.since,
            "needs": self.needs,
            "unanswered": not self.answered,
            **self.approval.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Proposed:
    """A result that waits for a review, with what a person needs to decide on it.

    Attributes:
        result: the event, with model, usage and what was left out; None of an undo, which no
            agent made.
        checks: how its checks ended: name, and whether it passed.
        rejection: why the attempt before it was refused, in words.
        ref: names a commit of what it proposes, where it changes files and is here.
    """

    task: Task
    approval: Approval
    result: AgentResult | None
    checks: tuple[tuple[str, bool], ...]
    rejection: Told | None = None
    ref: str | None = None

    @property
    def attempt_id(self) -> str:
        return self.approval.attempt_id


def waiting(project: Project) -> list[Waiting]:
    """Return what waits for a decision, in the order in which it was asked for."""
    from esaa_git.core.events import ApprovalRequest
    from esaa_git.core.events.approval import lacks
    from esaa_git.core.machine import Cause

    state, _ = project.log.load()
    found: dict[str, tuple[Task, Approval, bool]] = {}
    for name in (*state.run.in_progress, *state.run.blocked):
        task = state.tasks[name]
        approval = state.approvals.get(task.pending_approval or "")
        if approval is None:
            continue
        missed = task.blocked is not None and task.blocked.cause == Cause.UNANSWERED
        if approval.state == PENDING or missed:
            found[approval.approval_id] = task, approval, not missed
    for account in state.accounts.values():
        approval = state.approvals.get(account.asked or "")
        if approval is not None and approval.state == PENDING:
            found[approval.approval_id] = state.tasks[approval.task_id], approval, True
    if not found:
        return []
    asked: dict[str, str] = {}
    for stored in project.log.events(newest_first=True):
        if isinstance(stored.event.payload, ApprovalRequest):
            asked[stored.event.payload.approval_id] = stored.event.ts
        if found.keys() <= asked.keys():
            break
    return [
        Waiting(task, approval, asked[name], lacks(approval), answered)
        for name, (task, approval, answered) in sorted(found.items())
    ]


def budget_words(approval: Approval) -> str:
    """Return what a request for more of a budget asks for; empty for any other."""
    from esaa_git.core.accounts import account_words
    from esaa_git.core.budgets import shown

    raised = approval.raises
    if raised is None:
        return ""
    whose = account_words(raised.account)
    return f"{shown(raised.unit, raised.amount)} more for the budget of {whose}"


def budget_asked(project: Project, name: str) -> Approval | None:
    """Return the request for more of a budget of this id, where it is one that is open."""
    approval = project.log.load()[0].approvals.get(name)
    if approval is None or approval.raises is None or approval.state != PENDING:
        return None
    return approval


def proposed(project: Project, task_id: str) -> Proposed:
    """Return the result of a task that waits for a review.

    Raises:
        RefusedError: if it waits for none.
    """
    state, _ = project.log.load()
    task, approval = _asked(state, task_id)
    repository, attempt_id = project.repository, approval.attempt_id
    ref = proposal_ref(repository.events_ref, task_id, attempt_id)
    shown = ref if repository.ref_target(ref) is not None else None
    checks = tuple((one["name"], one["passed"]) for one in task.checked)
    result = _result(project, attempt_id)
    before = None if task.rejection is None else told(task.rejection, project.words)
    return Proposed(task, approval, result, checks, before, shown)


def _asked(state: State, task_id: str) -> tuple[Task, Approval]:
    from esaa_git.engine.schedule import find_task

    task = find_task(state, task_id)
    if task.pending_approval is None or task.result is None:
        raise RefusedError(
            f"'{task_id}' does not wait for a review; it is {task.state}",
            hint="run 'git esaa review' to see what does",
        )
    return task, state.approvals[task.pending_approval]


def _result(project: Project, attempt_id: str) -> AgentResult | None:
    from esaa_git.core.events import AgentResult

    for stored in project.log.events(newest_first=True):
        payload = stored.event.payload
        if isinstance(payload, AgentResult) and payload.attempt_id == attempt_id:
            return payload
    return None


def checkout(project: Project, task_id: str, place: Path | None = None) -> Path:
    """Check a proposal out in a work tree of its own, and return where.

    Args:
        place: by default beside the repository's work tree, with the task's name behind its own.

    Raises:
        RefusedError: if it changes no files, or its commit is not here.
        ConflictError: if something is in that place.
    """
    from esaa_git.store.program import GitFailed, run_git

    found = proposed(project, task_id)
    if found.ref is None:
        raise RefusedError(
            f"'{found.attempt_id}' has no proposal here to check out",
            hint=f"run 'git esaa fetch' for one that is elsewhere, and 'git esaa review {task_id}' "
            "to see what it changes",
        )
    workdir = project.repository.workdir
    base = project.repository.git_dir if workdir is None else workdir
    target = base.with_name(f"{base.name}-{task_id}") if place is None else place
    if target.exists():
        raise ConflictError(
            f"'{target}' is there already",
            hint=f"run 'git worktree remove {target}' if it is one of an earlier review",
        )
    try:
        arguments = ["worktree", "add", "--quiet", "--detach", str(target), found.ref]
        run_git(project.repository.git_dir, *arguments)
    except GitFailed as error:
        raise RefusedError(f"'{target}' cannot be made", cause=str(error)) from error
    return target


def words_of(reason: str, comments: Iterable[str], paths: Iterable[str]) -> str:
    """Return what a person says, with comments as `PATH:LINE: TEXT`, a line each.

    Args:
        comments: each as `PATH:LINE=TEXT`.
        paths: those that the proposal changes.

    Raises:
        UsageError: for a comment of another form, or on a path that is not changed.
    """
    said, known = [reason] if reason else [], set(paths)
    for one in comments:
        match = _COMMENT.fullmatch(one)
        if match is None:
            raise UsageError(
                f"'{one}' is no comment", hint="write it as in --comment 'src/a.py:12=name it'"
            )
        path, line, text = match.groups()
        if path not in known:
            raise UsageError(
                f"the proposal does not change '{path}'",
                hint=f"it changes {', '.join(sorted(known)[:5]) or 'nothing'}",
            )
        said.append(f"{path}:{line}: {text}")
    return "\n".join(said)


def review(
    project: Project,
    task_id: str,
    *,
    verdict: Answer,
    reason: str = "",
    comments: Iterable[str] = (),
    actor: str | None = None,
) -> Outcome:
    """Approve a result that waits for it, deny it, or send it back for changes.

    Nobody approves their own work.

    Args:
        reason: a remark to an approval, why not, or what is missing.
        comments: on lines of the proposal, each as `PATH:LINE=TEXT`; they reach the next attempt.

    Raises:
        RefusedError: if the task does not wait for a review, or this is not the actor's to say.
        UsageError: for a comment that is none.
    """
    from esaa_git.engine import operator

    by = project.actor(actor)
    said = tuple(comments)
    if said:
        task, _ = _asked(project.log.load()[0], task_id)
        reason = words_of(reason, said, () if task.result is None else task.result.paths)
    return outcome_of(operator.review(project.engine, task_id, by, verdict, reason))


def ask_again(project: Project, task_id: str, *, actor: str | None = None) -> Outcome:
    """Ask anew for a decision that nobody made in time, on the same result.

    Raises:
        RefusedError: if none was missed, or the orchestrator's key is not at hand.
    """
    from esaa_git.engine import operator

    return outcome_of(operator.ask_again(project.engine, task_id, project.actor(actor)))
