"""What has become of a done task since: by the log, and by the branch that its effect is on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from esaa_git.core.events import FileWrite
from esaa_git.core.events.file_write import images
from esaa_git.core.limits import DECISION_WORDS
from esaa_git.report.standing import Changed, Standing, standing
from esaa_git.store.objects import MalformedObject
from esaa_git.store.program import GitFailed

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.core.event import StoredEvent
    from esaa_git.core.state import State
    from esaa_git.core.task import Task

_MOST: Final = 20
"""How many paths are looked at, each of which takes a git."""


def standing_of(
    project: Project, state: State, task: Task, history: Sequence[StoredEvent]
) -> Standing:
    """Return what has become of a task.

    Args:
        history: its events, newest first.
    """
    found = standing(state, task)
    if found.request is not None:
        found = replace(found, reason=_words(project, found.request.text))
    if task.is_done and found.undone is None:
        found = replace(found, changed=tuple(_changed(project, state, task, history)))
    return found


def _words(project: Project, blob: str) -> str:
    try:
        return project.repository.read(blob, DECISION_WORDS)[1].decode(errors="replace")
    except (KeyError, MalformedObject):
        return ""


def _changed(
    project: Project, state: State, task: Task, history: Sequence[StoredEvent]
) -> Iterator[Changed]:
    """Yield which files of an effect the branch has otherwise by now, and what did that."""
    result = task.result
    tip = project.repository.ref_target(f"refs/heads/{state.run.branch}")
    if result is None or result.effect_commit is None or tip is None:
        return
    if not project.engine.branch.contains(tip, result.effect_commit):
        return  # where it is instead, 'verify' says
    payloads = (stored.event.payload for stored in history)
    written = next((one for one in payloads if isinstance(one, FileWrite)), None)
    for path, before, after in list(images(() if written is None else written.files))[:_MOST]:
        entry = project.engine.trees.entry(tip, path)
        now = None if entry is None else (getattr(entry, "mode", ""), getattr(entry, "oid", ""))
        if now == after:
            continue
        last = _last_change(project, tip, path)
        if last is not None:
            commit, subject, by = last
            task_id = by if by in state.tasks else None
            how = "reverted" if now == before else "changed"
            yield Changed(path, how if task_id is None else "superseded", commit, subject, task_id)


def _last_change(project: Project, tip: str, path: str) -> tuple[str, str, str | None] | None:
    """Return the last commit that changed a path, its subject, and the task that it names."""
    form = "--format=%H%x00%s%x00%(trailers:key=ESAA-Task,valueonly)"
    try:
        said = project.repository.git(
            *("--literal-pathspecs", "log", "-1", "-z", form, tip, "--", path)
        )
    except GitFailed:
        return None
    commit, _, rest = said.decode(errors="replace").partition("\0")
    subject, _, task_id = rest.partition("\0")
    return (commit, subject, task_id.strip("\0\n") or None) if commit else None
