"""Sessions of agents' own: gone with the task that they are of."""

from __future__ import annotations

from esaa_git.app.project import SESSIONS, Project, has_log
from esaa_git.core.machine import TaskState


def forget_sessions(project: Project) -> list[str]:
    """Remove the sessions of tasks that are done or given up; return what was removed."""
    from esaa_git.agents.sessions import tidy

    folder = project.repository.esaa_dir / SESSIONS
    if not folder.is_dir():
        return []
    tasks = project.log.load()[0].tasks if has_log(project) else {}

    def is_open(task_id: str) -> bool:
        task = tasks.get(task_id)
        return task is not None and task.state in (TaskState.TODO, TaskState.IN_PROGRESS)

    return tidy(folder, is_open)
