"""The purified view: what an agent is told, and nothing more.

The task, its contract and boundaries, the facts it depends on, the last reject signal worded as
an instruction, the lessons and open issues that apply; never the raw history. Its size does not
grow with the log.
"""

from __future__ import annotations

from typing import Any

from esaa_git.core import budgets
from esaa_git.core.answer import Review
from esaa_git.core.contract_rules import attempts_allowed
from esaa_git.core.contracts import Contracts
from esaa_git.core.entries import Approval, Lesson, Rejection
from esaa_git.core.envelope import REVIEW, payload_schemas, update_schemas
from esaa_git.core.events.base import schema_of
from esaa_git.core.lessons import lessons_for
from esaa_git.core.proposal import Boundary
from esaa_git.core.rejection import EXPLANATIONS, RejectCode
from esaa_git.core.requirements import needs_review
from esaa_git.core.said import Read, told
from esaa_git.core.self_running import families
from esaa_git.core.state import SCHEMA_VERSION, State
from esaa_git.core.task import Attempt, Task

MAX_PATHS_OF_DEPENDENCY = 200
MAX_ISSUES = 20
MAX_NOTES = 20
SCANNED = 500
"""How many of the newest issues are looked at, so that a view costs a bounded time."""


def purified_view(
    state: State, contracts: Contracts, task: Task, attempt: Attempt, agent: str, read: Read
) -> dict[str, Any]:
    """Return the request for one attempt as a JSON value (docs/FORMAT.md, "The request").

    Args:
        read: gives what was said of the attempt before, which the state holds by its place alone.
    """
    view: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "project": state.project.name,
        "attempt_id": attempt.attempt_id,
        "base": attempt.base,
        "deadline": attempt.deadline,
        "task": _task(state, task),
        "contract": _contract(contracts, task),
        "attempts": {"number": attempt.number, "allowed": attempts_allowed(task, contracts)},
        "dependencies": [_dependency(state.tasks[name]) for name in task.depends_on],
        "answer": {
            "format": "one JSON object: action, task_id, attempt_id, payload",
            "actions": {name: payload_schemas()[name] for name in sorted(contracts.agent.actions)},
            "file_updates": dict(update_schemas()),
        },
    }
    if task.rejection is not None:
        view["last_rejection"] = _last_rejection(task.rejection, read)
    if task.supersedes is not None:
        view["supersedes"] = _dependency(state.tasks[task.supersedes])
    lessons = lessons_for(state, contracts, task.kind)
    if lessons:
        view["lessons"] = [_lesson(one) for one in lessons]
    issues = _issues(state, contracts, task)
    if issues:
        view["issues"] = issues
    left = budgets.left(state, contracts, task, agent, attempt.opened)
    if left:
        view["budget"] = {"left": left}
        cap = contracts.swarm.agents[agent].max_cost if agent in contracts.swarm.agents else None
        if cap is not None:
            view["budget"]["max_cost"] = cap
    profile = contracts.profile(agent)
    if profile is not None:
        view["profile"] = dict(profile)
    return view


def review_view(
    state: State,
    contracts: Contracts,
    task: Task,
    approval: Approval,
    agent: str,
    base: str,
    read: Read,
) -> dict[str, Any]:
    """Return the request for a decision on a task's completed attempt as a JSON value.

    It is the view that the attempt's own agent had, with the proposal to be judged in place of
    what was to be answered, and `review` beside it.

    Args:
        base: the commit on which the proposal stands, in the reviewer's checkout or files.
        read: as in `purified_view`.
    """
    assert task.attempt is not None
    assert task.result is not None
    view = purified_view(state, contracts, task, task.attempt, agent, read)
    view["base"] = base
    view["deadline"] = approval.deadline
    view["answer"] = {
        "format": "one JSON object: action, task_id, attempt_id, payload",
        "actions": {REVIEW: schema_of(Review)},
        "file_updates": {},
    }
    view.pop("last_rejection", None)
    if approval.rejection is not None:
        view["last_rejection"] = _last_rejection(approval.rejection, read)
    view["review"] = {
        "approval_id": approval.approval_id,
        "by": task.attempt.agent,
        "summary": task.result.summary,
        "paths": list(task.result.paths[:MAX_PATHS_OF_DEPENDENCY]),
    }
    return view


def _last_rejection(rejection: Rejection, read: Read) -> dict[str, Any]:
    instruction = EXPLANATIONS[RejectCode(rejection.code)]
    return {**told(rejection, read).to_json(), "instruction": instruction}


def _task(state: State, task: Task) -> dict[str, Any]:
    shown = ("task_id", "kind", "title", "description", "acceptance", "depends_on")
    document = task.to_json()
    view = {name: document[name] for name in shown if name in document}
    notes = state.notes_on(task.task_id)
    if notes:
        view["notes"] = [note.text for note in notes[-MAX_NOTES:]]
    return view


def _contract(contracts: Contracts, task: Task) -> dict[str, Any]:
    policy = contracts.policy
    boundary = Boundary.of(task, contracts)
    return {
        "write": list(boundary.patterns),
        "read": list(boundary.kind.read_patterns),
        "prohibited_paths": list(contracts.agent.prohibited_patterns),
        "self_running": _self_running(contracts),
        "by_products": [glob.pattern for glob in contracts.agent.by_products.globs],
        "prohibited_operations": sorted(boundary.operations),
        "limits": {
            "max_output_bytes": policy.max_output_bytes,
            "max_files_per_proposal": policy.max_files,
            "max_patch_lines": policy.max_patch_lines,
            "max_file_bytes": policy.max_file_bytes,
        },
        "review": needs_review(task, contracts),
    }


def _self_running(contracts: Contracts) -> list[str]:
    """Return the families of files that run by themselves, each with how its patterns begin."""
    version = contracts.agent.self_running
    if version is None:
        return []
    listed = families(version).items()
    return [f"{family} ({', '.join(patterns[:3])}, …)" for family, patterns in listed]


def _dependency(task: Task) -> dict[str, Any]:
    view: dict[str, Any] = {"task_id": task.task_id, "kind": task.kind, "title": task.title}
    if task.result is not None:
        view["summary"] = task.result.summary
        view["paths"] = list(task.result.paths[:MAX_PATHS_OF_DEPENDENCY])
    return view


def _lesson(lesson: Lesson) -> dict[str, str]:
    """Return what another agent learnt, with who says so: words of theirs, and none of ours."""
    return {
        "by": lesson.recorded_by,
        "task_id": str(lesson.task_id),
        "rule": lesson.rule,
        "mistake": lesson.mistake,
    }


def _issues(state: State, contracts: Contracts, task: Task) -> list[dict[str, str]]:
    """Return the newest open issues on the task that policy does more than log."""
    escalation = contracts.policy.escalation
    found: list[dict[str, str]] = []
    number = state.run.issues if state.run.open_issues else 0
    oldest = max(0, number - SCANNED)
    while number > oldest and len(found) < MAX_ISSUES:
        issue = state.issues[f"ISS-{number:04d}"]
        number -= 1
        if issue.is_open and issue.task_id == task.task_id and escalation[issue.severity] != "log":
            found.append(
                {
                    "issue_id": issue.issue_id,
                    "severity": issue.severity,
                    "title": issue.title,
                    "description": issue.description,
                }
            )
    return found
