"""What has become of a task since it was done: undone, superseded, set aside, changed; by what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from esaa_git.core.entries import Request, Undo
from esaa_git.core.printable import visible
from esaa_git.core.state import OVERRIDDEN, State
from esaa_git.core.task import Task
from esaa_git.core.undo import KIND


@dataclass(frozen=True, slots=True)
class Changed:
    """A path that is not as an effect left it.

    It is `superseded` by the effect of another task, `task_id`, or somebody's commit has `reverted`
    it to what it was, or `changed` it; `by` is that commit.
    """

    path: str
    how: str
    by: str
    subject: str
    task_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("path", "how", "by", "subject", "task_id")}


@dataclass(frozen=True, slots=True)
class Standing:
    """What has become of one task.

    Attributes:
        undone: what undid it.
        under_way: what is to undo it, and has not yet.
        undoes: the task that it takes back itself.
        superseded: the task that stands in for it, or `-` where it was set aside.
        request: who asked for the undo, which this task is, or which was of this task.
        reason: their words.
        changed: what of its files is not at the tip of the branch any more, where it stands.
    """

    undone: Undo | None = None
    under_way: Undo | None = None
    undoes: str | None = None
    superseded: str | None = None
    request: Request | None = None
    reason: str = ""
    changed: tuple[Changed, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as `git esaa show --json` prints it; what there is none of is left out."""
        by = {} if self.request is None else {"request": self.request.event_id}
        said = {**by, "reason": self.reason} if self.reason else by
        found: dict[str, Any] = {}
        for name, undo in (("undone_by", self.undone), ("being_undone_by", self.under_way)):
            if undo is not None:
                found[name] = {"task_id": undo.task_id, "asked_by": undo.by, **said}
        if self.undoes is not None:
            asked = {} if self.request is None else {"asked_by": self.request.by}
            found["undoes"] = {"task_id": self.undoes, **asked, **said}
        if self.superseded == OVERRIDDEN:
            found["overridden"] = True
        elif self.superseded is not None:
            found["superseded_by"] = self.superseded
        if self.changed:
            found["changed"] = [one.to_json() for one in self.changed]
        return found

    def lines(self) -> list[str]:
        """Return it in words, a line each."""
        found = []
        if self.undone is not None:
            found.append(f"undone by {self.undone.task_id}{self._asked(self.undone.by)}")
        if self.under_way is not None:
            who = self._asked(self.under_way.by)
            found.append(f"about to be undone by {self.under_way.task_id}{who}")
        if self.undoes is not None:
            by = "" if self.request is None else self._asked(self.request.by)
            found.append(f"undoes {self.undoes}{by}")
        if self.superseded == OVERRIDDEN:
            found.append("overridden: it was set aside, and its effect stays as it is")
        elif self.superseded is not None:
            found.append(f"superseded by {self.superseded}")
        for one in self.changed:
            by = one.by[:12] if one.task_id is None else f"{one.task_id} ({one.by[:12]})"
            found.append(f"{one.how} since: {one.path}, by {by}: {one.subject}")
        return [visible(line) for line in found]

    def _asked(self, by: str) -> str:
        event = "" if self.request is None else f" ({self.request.event_id})"
        words = f": {self.reason}" if self.reason else ""
        return f", as {by} asked{event}{words}"


NOTHING_SINCE: Final = Standing()


def standing(state: State, task: Task) -> Standing:
    """Return what the log says has become of a task, but for words and files."""
    return Standing(
        undone=state.undone.by(task.task_id),
        under_way=state.undone.under_way(task.task_id),
        undoes=task.undoes,
        superseded=state.supersessions.successor_of(task.task_id),
        request=_request(state, task.undoes or task.task_id),
    )


def _request(state: State, task_id: str) -> Request | None:
    """Return the last request that had a task undone."""
    found = [
        one
        for one in state.requests.values()
        if one.kind == KIND and one.carried_out is not None and task_id in one.arguments["tasks"]
    ]
    return found[-1] if found else None


def undone_tasks(state: State) -> list[tuple[str, Undo]]:
    """Return the tasks that were undone and do not stand, each with what undid it."""
    found = ((name, state.undone.by(name)) for name, _ in state.undone.done)
    return [(name, undo) for name, undo in found if undo is not None]
