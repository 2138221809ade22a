"""Issues: reported, with what policy does about them at once, and resolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from esaa_git.app.project import Project
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

    payload: dict[str, Any] = {"severity": severity, "title": title}
    if task_id is not None:
        payload["task_id"] = task_id
    if description:
        payload["description"] = description
    issue_id = operator.report_issue(project.engine, project.actor(actor), payload)
    state, _ = project.log.load()
    return Reported(state.issues[issue_id], state)


def resolve(project: Project, issue_id: str, actor: str | None, reason: str) -> None:
    """Resolve an issue. Tasks that it blocked stay blocked until they are unblocked."""
    from esaa_git.engine import operator

    operator.resolve_issue(project.engine, issue_id, project.actor(actor), reason)
