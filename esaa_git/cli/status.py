"""`git esaa status`: where the run stands, in the time that reading one commit takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from esaa_git.app.elsewhere import explain
from esaa_git.app.project import Project
from esaa_git.app.status import Status, consent_counts
from esaa_git.app.status import status as read_status
from esaa_git.cli.cost import print_budgets
from esaa_git.cli.output import (
    examples,
    json_option,
    pass_project,
    print_json,
    say,
    state_text,
)
from esaa_git.core.printable import visible
from esaa_git.core.said import task_json, why_blocked
from esaa_git.errors import NoLog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esaa_git.core.state import State
    from esaa_git.core.task import Task

SHOWN = 20


@click.command(epilog=examples("git esaa status", "git esaa status --json"))
@json_option
@pass_project
def status(project: Project, as_json: bool) -> None:
    """Show the run, its tasks by state, who works on what, and what needs a person."""
    found = read_status(project)
    if found is None:
        missing = explain(project, NoLog())
        if as_json:
            idle = {"run": {"state": "idle"}, "events": 0, "message": missing.message}
            print_json({**idle, "hint": missing.hint, **_consent_json(project)})
            return
        say(f"{missing.message}; {missing.hint}")
        if missing.cause is not None:
            project.note(f"note: {missing.cause}")
        _print_consent(project)
        return
    if as_json:
        print_json({**_as_json(project, found), **_consent_json(project)})
        return
    state = found.state
    run = state.run
    say(f"{state.project.name}: {run.run_id} is {state_text(run.state)}", nl=False)
    say(f" ({run.reason})" if run.reason else "")
    if found.stopped is not None:
        say(f"{found.stopped}; an admin lets it go on with 'git esaa resume'")
    say(f"working branch {run.branch}, {state.seq} events, last at {state.ts}")
    if found.checked_out not in (None, run.branch):
        if run.is_open and not found.has_branch:
            ways = f"'{run.branch}' is gone, and the next run ends this one and works there"
        elif run.is_open:
            ways = f"'git esaa run --branch {run.branch}' goes on with it"
        else:
            ways = "the next run works there"
        say(f"checked out is {found.checked_out}: {ways}")
    counts = dict(run.by_state)
    parts = [
        f"{counts[name]} {state_text(name)}"
        for name in ("done", "in_progress", "todo", "blocked")
        if counts.get(name)
    ]
    say(f"tasks: {', '.join(parts) or 'none'}; {run.rejected} outputs rejected in this run")
    for line in _since_done(state):
        say(line)
    for task_id in run.in_progress[:SHOWN]:
        say(f"  {_in_progress(state, state.tasks[task_id])}")
    for task_id in run.blocked[:SHOWN]:
        task = state.tasks[task_id]
        asks = "".join(f" (git esaa answer {one.question_id} TEXT)" for one in task.open_questions)
        say(visible(f"  {task_id} is blocked: {why_blocked(task, project.words)}{asks}"))
    hidden = len(run.in_progress[SHOWN:]) + len(run.blocked[SHOWN:])
    if hidden:
        say(f"  and {hidden} more (git esaa task list)")
    if run.open_issues:
        listed = ", ".join(f"{count} {severity}" for severity, count in run.open_issues)
        say(f"open issues: {listed} (git esaa issue list)")
    print_budgets(found.budgets)
    _print_consent(project)


def _since_done(state: State) -> Iterator[str]:
    """Yield what has become of done tasks, and what admins have asked for."""
    from esaa_git.core.state import OVERRIDDEN
    from esaa_git.report.standing import undone_tasks

    undone = undone_tasks(state)
    found = [f"  {name} was undone by {undo.task_id}, as {undo.by} asked" for name, undo in undone]
    for name, successor in state.supersessions.by_task:
        is_gone = successor == OVERRIDDEN
        found.append(f"  {name} is {'overridden' if is_gone else f'superseded by {successor}'}")
    yield from found[:SHOWN]
    if found[SHOWN:]:
        yield f"  and {len(found) - SHOWN} more that were undone or superseded (--json)"
    for name, undo in state.undone.open:
        if state.tasks[undo.task_id].state == "todo":
            yield f"  {undo.task_id} is to undo {name} (git esaa undo)"
    for event_id in state.run.requests:
        request = state.requests[event_id]
        yield f"{event_id} waits for the next 'git esaa run': {request.kind}, by {request.by}"


def _print_consent(project: Project) -> None:
    """Say what contracts ask of this machine, where they ask for anything."""
    asked, granted = consent_counts(project)
    if asked:
        rest = "" if asked == granted else f", {asked - granted} not (git esaa allow)"
        say(f"asked of this machine: {asked}, {granted} agreed to{rest}")


def _consent_json(project: Project) -> dict[str, Any]:
    asked, granted = consent_counts(project)
    return {"consent": {"asked": asked, "granted": granted}}


def _in_progress(state: State, task: Task) -> str:
    if task.pending_approval is not None:
        approval = state.approvals[task.pending_approval]
        if approval.state != "pending":
            return (
                f"{task.task_id}: its review is {approval.state} by {approval.decided_by}, which "
                "the orchestrator carries out with its next 'git esaa run'"
            )
        if approval.reviewer is not None:
            until = f"{approval.reviewer} has until {approval.deadline}"
            return f"{task.task_id} waits for a review: {until}"
        return f"{task.task_id} waits for a review (git esaa review {task.task_id})"
    if task.active_attempt is None:
        return f"{task.task_id} has an accepted answer that 'git esaa run' will apply"
    attempt = task.active_attempt
    return f"{task.task_id} is held by {attempt.agent} until {attempt.deadline}"


def _as_json(project: Project, found: Status) -> dict[str, Any]:
    state = found.state
    from esaa_git.report.standing import undone_tasks

    since = {
        "undone": [
            {"task_id": name, "by": undo.task_id, "asked_by": undo.by}
            for name, undo in undone_tasks(state)
        ],
        "being_undone": [
            {"task_id": name, "by": undo.task_id, "asked_by": undo.by}
            for name, undo in state.undone.open
        ],
        "superseded": state.supersessions.to_json(),
        "requests": [
            {name: item for name, item in state.requests[one].to_json().items() if name != "text"}
            for one in state.run.requests
        ],
    }
    budgets = {"budgets": [one.to_json() for one in found.budgets]} if found.budgets else {}
    return {
        **budgets,
        **{name: found for name, found in since.items() if found},
        "project": state.project.name,
        "run": {"state": state.run.state, **state.run.to_json()},
        "events": state.seq,
        "last": state.ts,
        "tip": found.tip,
        "log_id": found.log_id,
        "checked_out": found.checked_out,
        "stopped": None if found.stopped is None else state.stop.to_json(),
        "in_progress": _tasks(project, state, state.run.in_progress),
        "blocked": _tasks(project, state, state.run.blocked),
    }


def _tasks(project: Project, state: State, names: Sequence[str]) -> list[dict[str, Any]]:
    return [task_json(state.tasks[name], project.words) for name in names[:SHOWN]]
