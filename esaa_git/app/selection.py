"""Filters over the log: which events a person asks for, decided event by event.

`select` reads no further than the answer needs, so the newest ten of a million events cost what
ten events cost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import translate
from functools import cached_property

from esaa_git.core.event import Event, StoredEvent, timestamp
from esaa_git.core.events import ACTIONS, RunInit, TaskCreate
from esaa_git.errors import UsageError

_SPAN = re.compile(r"(\d{1,9})\s*([smhdw])(?:\s+ago)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True)
class Selection:
    """What an event must be to be shown; every filter that is set must agree.

    Attributes:
        task: a task's id, or a glob over ids. The event that created the task is about it too.
        actor: an actor's name, or a glob.
        action: an action of the vocabulary, or a glob such as `attempt.*`.
        since: the earliest time, as events write it.
        grep: a regular expression, looked for in the event's JSON and in its subject.
        approvals: approvals that belong to `task`; decisions about them name no task themselves.
        limit: at most this many events.
    """

    task: str | None = None
    actor: str | None = None
    action: str | None = None
    since: str | None = None
    grep: str | None = None
    approvals: frozenset[str] = frozenset()
    limit: int | None = None

    def check(self) -> Selection:
        """Return the selection itself.

        Raises:
            UsageError: if it can never match: an unknown action, a pattern that is none.
        """
        if self.action is not None and not any(map(_glob(self.action), ACTIONS)):
            families = sorted({f"{name.partition('.')[0]}.*" for name in ACTIONS})
            raise UsageError(
                f"no action matches '{self.action}'",
                hint=f"use one such as task.update, or a glob: {', '.join(families)}",
            )
        try:
            _ = self._pattern
        except re.error as error:
            raise UsageError(
                f"'{self.grep}' is not a regular expression",
                cause=str(error),
                hint=f"quote what is meant literally, as in --grep '{re.escape(str(self.grep))}'",
            ) from error
        return self

    def matches(self, event: Event) -> bool:
        """Answer whether the event passes every filter but the limit."""
        if self.since is not None and event.ts < self.since:
            return False
        if self._action is not None and not self._action(event.action):
            return False
        if self._actor is not None and not self._actor(event.actor):
            return False
        if self._task is not None and not self._is_about_task(event, self._task):
            return False
        pattern = self._pattern
        return pattern is None or bool(
            pattern.search(event.subject) or pattern.search(event.data.decode())
        )

    @cached_property
    def _action(self) -> Callable[[str], bool] | None:
        return None if self.action is None else _glob(self.action)

    @cached_property
    def _actor(self) -> Callable[[str], bool] | None:
        return None if self.actor is None else _glob(self.actor)

    @cached_property
    def _task(self) -> Callable[[str], bool] | None:
        return None if self.task is None else _glob(self.task)

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        return None if self.grep is None else re.compile(self.grep)

    def _is_about_task(self, event: Event, is_meant: Callable[[str], bool]) -> bool:
        if event.approval_id in self.approvals:
            return True
        return any(map(is_meant, tasks_of(event)))


def tasks_of(event: Event) -> list[str]:
    """Return the ids of the tasks that the event is about; those that a run.init creates too."""
    if isinstance(event.payload, RunInit):
        return [task.task_id for task in event.payload.tasks]
    return [] if event.task_id is None else [event.task_id]


def select(
    events: Iterable[StoredEvent], selection: Selection, *, newest_first: bool = True
) -> Iterator[StoredEvent]:
    """Yield the events that the selection asks for, in the order in which they come.

    From the newest, reading ends at the first event before `since`: time never goes back in a
    log (INV-005).
    """
    left = selection.limit
    if left is not None and left <= 0:
        return
    for stored in events:
        event = stored.event
        if newest_first and selection.since is not None and event.ts < selection.since:
            return
        if not selection.matches(event):
            continue
        yield stored
        if left is not None:
            left -= 1
            if left == 0:
                return


def history_of(events: Iterable[StoredEvent], selection: Selection) -> Iterator[StoredEvent]:
    """Yield, newest first, the events of one task; reading ends with the one that created it."""
    for stored in events:
        event = stored.event
        if not selection.matches(event):
            continue
        yield stored
        if isinstance(event.payload, TaskCreate | RunInit):
            return


def parse_since(text: str, now: datetime) -> str:
    """Return the time that the text names, as events write it.

    A date or time of RFC 3339 (UTC where it has no zone), or a span before `now`: `90m`, `2h`,
    `3d ago`, `1w`.

    Raises:
        UsageError: for anything else.
    """
    span = _SPAN.fullmatch(text.strip())
    try:
        if span is not None:
            seconds = int(span[1]) * _SECONDS[span[2]]
            return timestamp(now - timedelta(seconds=seconds))
        moment = datetime.fromisoformat(text.strip())
        return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"'{text}' is not a time",
            hint="write a date (2026-01-31), a time (2026-01-31T09:00:00Z), or a span (2h, 3d ago)",
        ) from error


def _glob(pattern: str) -> Callable[[str], bool]:
    match = re.compile(translate(pattern)).match
    return lambda text: match(text) is not None
