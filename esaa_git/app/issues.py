"""Issues: reported, with what policy does about them at once, and resolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.events.fields import Severity
    from esaa_git.core.state import Issue, State


@dataclass(frozen=True, slots=True)
class Reported:
    """An issue as it was recorded, and the state that it left."""

    issue: Issue
    state: State


def report(
    project: Project,
    actor: str | None,
    severity: str,
    title: str,
    *,
    task_id: str | None = None,
    description: str | None = None,
) -> Reported:
    """Report an issue; what the policy says of its severity happens at once.

    Args:
        actor: who reports it; by default whom git's configuration names.
    """
    from esaa_git.engine import operator
    from esaa_git.engine.intentions import ReportIssue

    found = ReportIssue(
        actor=project.actor(actor),
        severity=cast("Severity", severity),  # the event's schema says whether it is one
        title=title,
        task_id=task_id,
        description=description or None,
        agent=project.agent,
    )
    issue_id = operator.report_issue(project.engine, found)
    state, _ = project.log.load()
    return Reported(state.issues[issue_id], state)


def redacted(contracts: Contracts, title: str, description: str) -> tuple[str, str]:
    """Return an agent's words as the record may keep them; those of a person stay as they are."""
    from esaa_git.core import storage

    kept: list[str] = storage.redact_value([title, description], contracts.storage)
    return kept[0], kept[1]


def reported_already(
    state: State, by: str, task_id: str, severity: str, title: str, description: str
) -> Issue | None:
    """Return the open issue that the same actor has reported in the same words.

    Args:
        task_id: the task that it is about; empty where it is about none.
        title: as recorded, like `description`.
    """
    this = (by, task_id, severity, title, description)
    for issue in state.issues.values():
        how_grave = issue.reported_as or issue.severity
        about = (issue.reported_by, issue.task_id or "", how_grave, issue.title, issue.description)
        if issue.is_open and about == this:
            return issue
    return None


def resolve(project: Project, issue_id: str, actor: str | None, reason: str) -> None:
    """Resolve an issue. Tasks that it blocked stay blocked until they are unblocked."""
    from esaa_git.engine import operator

    operator.resolve_issue(project.engine, issue_id, project.actor(actor), reason)
