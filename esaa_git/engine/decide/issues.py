"""Issues: reported, with what policy does about them, and resolved."""

from __future__ import annotations

from esaa_git.core.contracts import Contracts
from esaa_git.core.event import NewEvent
from esaa_git.core.events import IssueReport, IssueResolved
from esaa_git.core.machine import Cause, RunState, TaskState
from esaa_git.core.state import State
from esaa_git.core.task import Task
from esaa_git.engine.decide.events import Events, by_actor, by_us, run_end, update
from esaa_git.engine.intentions import ActOnIssue, ReportIssue, ResolveIssue
from esaa_git.engine.schedule import dependents, find_task
from esaa_git.errors import RefusedError, UsageError


def report_issue(state: State, contracts: Contracts, wanted: ReportIssue) -> Events:
    """Record an issue and do what the policy says of its severity.

    `log` records it, `flag` shows it to people and agents as well, `block` blocks the task and
    its dependents, `halt` ends the run. The third medium issue on one task (or whichever the
    policy counts to) is a high one.
    """
    policy = contracts.policy
    severity, reported_as = wanted.severity, None
    task = None if wanted.task_id is None else find_task(state, wanted.task_id)
    times = 0 if task is None else task.medium_issues + 1
    if severity == "medium" and 0 < policy.repeat_medium <= times:
        severity, reported_as = "high", severity
    issue_id = f"ISS-{state.run.issues + 1:04d}"
    reported = IssueReport(
        issue_id=issue_id,
        severity=severity,
        title=wanted.title,
        description=wanted.description,
        task_id=wanted.task_id,
        attempt_id=wanted.attempt_id,
        reported_as=reported_as,
        exchange=wanted.exchange,
        agent=wanted.agent,
    )
    said = by_actor(wanted.actor, reported)
    return (said, *_consequences(state, contracts, severity, task, issue_id, wanted.title))


def act_on_issue(state: State, contracts: Contracts, wanted: ActOnIssue) -> Events:
    """Record what follows from an issue that a person reported alone."""
    issue = state.issues[wanted.issue_id]
    if not issue.is_open:
        return ()
    task = None if issue.task_id is None else find_task(state, issue.task_id)
    about = issue.severity, task, issue.issue_id, issue.title
    return tuple(_consequences(state, contracts, *about))


def _consequences(
    state: State,
    contracts: Contracts,
    severity: str,
    task: Task | None,
    issue_id: str,
    title: str,
) -> list[NewEvent]:
    consequence = contracts.policy.escalation.get(severity)
    reason = f"{issue_id}: {title}"
    events: list[NewEvent] = []
    if consequence in ("block", "halt") and task is not None and state.run.is_open:
        events += _blocked(state, task, issue_id, reason)
    if consequence == "halt" and state.run.is_open:
        events.append(run_end(state, RunState.HALTED, reason, issue_id=issue_id))
    return events


def _blocked(state: State, task: Task, issue_id: str, reason: str) -> list[NewEvent]:
    """Block a task and everything that waits for it, as far as it is not done."""
    events = []
    if _can_be_blocked(task):
        events.append(update(task, Cause.ISSUE, reason=reason, issue_id=issue_id))
    for dependent in dependents(state, task.task_id):
        if _can_be_blocked(dependent):
            why = f"waits for {task.task_id}, see {issue_id}"
            events.append(
                update(
                    dependent,
                    Cause.DEPENDENCY,
                    reason=why,
                    issue_id=issue_id,
                    blocked_by=task.task_id,
                )
            )
    return events


def _can_be_blocked(task: Task) -> bool:
    return task.state in (TaskState.TODO, TaskState.IN_PROGRESS)


def resolve_issue(state: State, wanted: ResolveIssue) -> Events:
    """Resolve an issue that is open."""
    issue = state.issues.get(wanted.issue_id)
    if issue is None:
        raise UsageError(f"no issue '{wanted.issue_id}'", hint="run 'git esaa issue list --all'")
    if not issue.is_open:
        raise RefusedError(f"'{issue.issue_id}' is resolved already by {issue.resolved_by}")
    resolved = IssueResolved(issue_id=issue.issue_id, by=wanted.by, text=wanted.reason)
    return (by_us(resolved),)
