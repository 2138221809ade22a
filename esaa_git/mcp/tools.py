"""What each tool does, as plain functions: for one caller, on the log as it stands now.

They end in the same code as `git esaa claim`, `submit`, `complete` and `issue report`. A result is
a JSON object; what cannot be is an `EsaaError` whose hint names the tool that helps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from esaa_git.app.project import Project, has_log
from esaa_git.errors import RefusedError
from esaa_git.mcp.answers import (
    Result,
    admit_answer,
    admit_late,
    assignment,
    check_arguments,
    envelope,
    request_of,
    updates_text,
    view_of,
)
from esaa_git.mcp.turns import (
    CLAIMED,
    eligible_for,
    find_task,
    held_by,
    now,
    over,
    own_attempt,
    progress,
    standing,
)

if TYPE_CHECKING:
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.state import State

SHOWN = 20
"""How many tasks an answer lists of each sort."""


def next_task(project: Project, by: str, task_id: str, claim: bool) -> Result:
    """Say what there is to do, or take a task; whoever holds it already is given it again."""
    from esaa_git.engine import operator

    state, contracts = project.log.load()
    mine = held_by(state, by)
    if not claim:
        return _offer(project, state, contracts, by, task_id)
    if task_id:
        find_task(state, task_id)
    for task, attempt in mine:
        if task_id in ("", task.task_id):
            return assignment(request_of(project, state, contracts, task, attempt))
    if task_id:
        return assignment(operator.claim(project.engine, task_id, by))
    for task in eligible_for(project, state, contracts, by):
        try:
            return assignment(operator.claim(project.engine, task.task_id, by))
        except RefusedError:
            continue  # somebody else was faster
    raise RefusedError(
        "no task can be claimed now",
        cause=standing(state),
        hint="call get_status to see what is under way and what waits for a person",
    )


def get_task_context(project: Project, by: str, task_id: str) -> Result:
    """Return the request of the caller's attempt, or the one that a claim would bring now."""
    from esaa_git.engine import decide
    from esaa_git.engine.request import next_attempt

    state, contracts = project.log.load()
    task = find_task(state, task_id)
    held = task.active_attempt
    if held is not None and held.agent == by and held.mode == CLAIMED:
        return assignment(request_of(project, state, contracts, task, held))
    attempt = next_attempt(project.engine, state, contracts, task, by, CLAIMED)
    found = decide.hindrance(state, contracts, task, now(project, state))
    why = "nobody has claimed it yet" if found is None else found.message
    return {
        "task_id": task_id,
        "claimed": False,
        "state": task.state,
        "why_not": why,
        "next": f"call next_task with task_id '{task_id}' and claim true to begin"
        if found is None
        else "it cannot be claimed now",
        "request": view_of(request_of(project, state, contracts, task, attempt)),
    }


def submit_result(
    project: Project,
    by: str,
    task_id: str,
    summary: str,
    paths: Sequence[str],
    file_updates: str,
    checks: Sequence[str],
    *,
    pause: Callable[[], None],
) -> Result:
    """Submit a proposal: files as they stand in the checkout, or updates written out.

    Args:
        pause: called again and again while checks run on the proposal; what it raises ends them.
    """
    state, contracts = project.log.load()
    task, attempt = own_attempt(state, task_id, by)
    payload: Result = {"summary": summary}
    if checks:
        payload["checks"] = list(checks)
    check_arguments(contracts, "agent.result", payload)
    updates = updates_text(project, attempt, paths, file_updates)
    head = json.dumps(payload, ensure_ascii=False)
    # Spliced as text: the one decoder of envelopes is to see it as it was sent.
    body = head if updates is None else f'{head[:-1]}, "file_updates": {updates}}}'
    output = envelope("agent.result", task_id, attempt, body)
    if not attempt.is_active:
        return admit_late(project, state, contracts, by, task, output)
    return admit_answer(project, by, task_id, attempt, output, pause)


def report_issue(
    project: Project, by: str, task_id: str, severity: str, title: str, description: str
) -> Result:
    """Report a defect or blocker; the same one reported twice is one issue."""
    from esaa_git.core import storage
    from esaa_git.engine import operator

    state, contracts = project.log.load()
    payload: Result = {"severity": severity, "title": title}
    if description:
        payload["description"] = description
    check_arguments(contracts, "issue.report", payload)
    task = find_task(state, task_id) if task_id else None
    given: Result = storage.redact_value(dict(payload), contracts.storage)
    this = (by, task_id, severity, given["title"], given.get("description", ""))
    for issue in state.issues.values():
        how_grave = issue.reported_as or issue.severity
        about = (issue.reported_by, issue.task_id or "", how_grave, issue.title, issue.description)
        if issue.is_open and about == this:
            return {"issue_id": issue.issue_id, "message": "reported already"}
    held = None if task is None else task.active_attempt
    if held is not None and held.agent == by and held.mode == CLAIMED:
        output = envelope("issue.report", task_id, held, json.dumps(payload, ensure_ascii=False))
        return admit_answer(project, by, task_id, held, output)
    if task is not None:
        given["task_id"] = task_id
    issue_id = operator.report_issue(project.engine, by, given)
    return {"issue_id": issue_id, "message": f"{issue_id} is recorded"}


def heartbeat(project: Project, by: str, task_id: str, note: str) -> Result:
    """Say that the work goes on: the lease of the caller's attempt begins again."""
    state, contracts = project.log.load()
    _, attempt = own_attempt(state, task_id, by)
    payload = {"note": note} if note else {}
    check_arguments(contracts, "agent.heartbeat", payload)
    if not attempt.is_active:
        raise over(task_id, attempt)
    body = json.dumps(payload, ensure_ascii=False)
    return admit_answer(
        project, by, task_id, attempt, envelope("agent.heartbeat", task_id, attempt, body)
    )


def get_status(project: Project, by: str) -> Result:
    """Return where the run stands, what the caller holds, and what needs a person."""
    if not has_log(project):
        return {
            "you": by,
            "run": {"state": "idle"},
            "message": "there is no event log yet; a person starts one with 'git esaa plan apply'",
        }
    state, _ = project.log.load()
    run = state.run
    in_progress = [state.tasks[name] for name in run.in_progress[:SHOWN]]
    return {
        "you": by,
        "project": state.project.name,
        "run": {"run_id": run.run_id, "state": run.state, "reason": run.reason},
        "branch": run.branch,
        "events": state.seq,
        "tasks": dict(run.by_state),
        "held_by_you": [
            {
                "task_id": task.task_id,
                "attempt_id": attempt.attempt_id,
                "deadline": attempt.deadline,
            }
            for task, attempt in held_by(state, by)
        ],
        "in_progress": [progress(task) for task in in_progress],
        "blocked": [
            {
                "task_id": task.task_id,
                "why": task.blocked.reason or task.blocked.cause if task.blocked else "",
            }
            for task in (state.tasks[name] for name in run.blocked[:SHOWN])
        ],
        "open_issues": dict(run.open_issues),
    }


def _offer(project: Project, state: State, contracts: Contracts, by: str, task_id: str) -> Result:
    found = eligible_for(project, state, contracts, by)
    if task_id:
        task = find_task(state, task_id)
        found = [task] if task in found else []
    mine = [task.task_id for task, _ in held_by(state, by)]
    result: Result = {
        "you": by,
        "held_by_you": mine,
        "eligible": [
            {"task_id": task.task_id, "kind": task.kind, "title": task.title}
            for task in found[:SHOWN]
        ],
    }
    if mine:
        result["next"] = f"you hold {', '.join(mine)}: get_task_context says what it asks for"
    elif found:
        result["next"] = "call next_task with claim true, and a task_id if you choose one"
    else:
        result["next"] = f"nothing can be claimed now: {standing(state)}"
    return result
