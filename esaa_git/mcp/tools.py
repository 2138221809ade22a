"""What each tool does, as plain functions: for one caller, on the log as it stands now.

They end in the same code as `git esaa claim`, `submit`, `complete` and `issue report`. A result is
a JSON object; what cannot be is an `EsaaError` whose hint names the tool that helps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from esaa_git.app import issues, work
from esaa_git.app.elsewhere import explain
from esaa_git.app.project import Project, has_log
from esaa_git.app.status import at_tip
from esaa_git.core.said import why_blocked
from esaa_git.errors import NoLog, RefusedError
from esaa_git.mcp.answers import (
    Result,
    admit_answer,
    admit_late,
    assigned,
    check_arguments,
    envelope,
    updates_text,
    view_of,
)
from esaa_git.mcp.words import find_task, over, own_attempt, progress, standing, told

if TYPE_CHECKING:
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.state import State

SHOWN = 20
"""How many tasks an answer lists of each sort."""


def next_task(project: Project, by: str, task_id: str, claim: bool) -> Result:
    """Say what there is to do, or take a task; its holder is given it again."""
    state, contracts = at_tip(project)
    mine = work.held_by(state, by)
    if not claim:
        return _offer(project, state, contracts, by, task_id)
    if task_id:
        find_task(state, task_id)
    for task, attempt in mine:
        if task_id in ("", task.task_id):
            return assigned(work.assignment(project, state, contracts, task, attempt))
    if task_id:
        return assigned(work.claim(project, task_id, actor=by))
    for task in work.open_to(project, state, contracts, by):
        try:
            return assigned(work.claim(project, task.task_id, actor=by))
        except RefusedError:
            continue  # another caller was faster
    raise RefusedError(
        "no task can be claimed now",
        cause=standing(state),
        hint="call get_status to see what is under way and what waits for a person",
    )


def get_task_context(project: Project, by: str, task_id: str) -> Result:
    """Return the request of the caller's attempt, or the one that a claim would bring now."""
    state, contracts = at_tip(project)
    task = find_task(state, task_id)
    held = task.active_attempt
    if held is not None and work.is_claim_of(held, by):
        return assigned(work.assignment(project, state, contracts, task, held))
    found, why_not = work.preview(project, state, contracts, task, by)
    return {
        "task_id": task_id,
        "claimed": False,
        "state": task.state,
        "why_not": "nobody has claimed it yet" if why_not is None else why_not,
        "next": f"call next_task with task_id '{task_id}' and claim true to begin"
        if why_not is None
        else "it cannot be claimed now",
        "request": view_of(found),
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
    state, contracts = at_tip(project)
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
    state, contracts = at_tip(project)
    payload: Result = {"severity": severity, "title": title}
    if description:
        payload["description"] = description
    check_arguments(contracts, "issue.report", payload)
    task = find_task(state, task_id) if task_id else None
    kept = issues.redacted(contracts, title, description)
    known = issues.reported_already(state, by, task_id, severity, *kept)
    if known is not None:
        return {"issue_id": known.issue_id, "message": "reported already"}
    held = None if task is None else task.active_attempt
    if held is not None and work.is_claim_of(held, by):
        output = envelope("issue.report", task_id, held, json.dumps(payload, ensure_ascii=False))
        return admit_answer(project, by, task_id, held, output)
    done = issues.report(
        project, by, severity, kept[0], task_id=task_id or None, description=kept[1]
    )
    issue_id = done.issue.issue_id
    return {"issue_id": issue_id, "message": f"{issue_id} is recorded"}


def heartbeat(project: Project, by: str, task_id: str, note: str) -> Result:
    """Say that the work goes on: the lease of the caller's attempt begins again."""
    state, contracts = at_tip(project)
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
            "message": told(explain(project, NoLog())),
        }
    state, _ = at_tip(project)
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
            for task, attempt in work.held_by(state, by)
        ],
        "in_progress": [progress(task) for task in in_progress],
        "blocked": [
            {
                "task_id": task.task_id,
                "why": why_blocked(task, project.words),
            }
            for task in (state.tasks[name] for name in run.blocked[:SHOWN])
        ],
        "open_issues": dict(run.open_issues),
    }


def _offer(project: Project, state: State, contracts: Contracts, by: str, task_id: str) -> Result:
    found = work.open_to(project, state, contracts, by)
    if task_id:
        task = find_task(state, task_id)
        found = [task] if task in found else []
    mine = [task.task_id for task, _ in work.held_by(state, by)]
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
