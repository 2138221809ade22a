"""A run as people see it: a live table on a terminal, a line an event in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from esaa_git.cli.output import style

if TYPE_CHECKING:
    from rich.table import Table

    from esaa_git.app.project import Project
    from esaa_git.engine.exchange import Admission
    from esaa_git.engine.options import Observer
    from esaa_git.engine.proposer import Dispatched

MAX_SHOWN = 100
_LABELS = {
    "done": ("done    ", "green"),
    "rejected": ("rejected", "red"),
    "waiting": ("waiting ", "yellow"),
    "issue": ("issue   ", "yellow"),
}


@contextmanager
def watching(project: Project, *, quiet: bool) -> Iterator[Observer]:
    """Show what happens until the block is left; with `quiet`, show nothing."""
    from esaa_git.engine.options import Unobserved

    if quiet:
        yield Unobserved()
        return
    if not sys.stdout.isatty():
        yield Lines(project)
        return
    with Live(project) as live:
        yield live


class Lines:
    """Prints a line for everything that happens; who is asked goes to the standard error."""

    def __init__(self, project: Project) -> None:
        self._app = project

    def dispatched(self, what: Dispatched) -> None:
        self._app.note(f"{what.attempt_id}: asking {what.adapter.name}")

    def checking(self, attempt_id: str, names: tuple[str, ...]) -> None:
        self._app.note(f"{attempt_id}: checking {', '.join(names)}")

    def admitted(self, admission: Admission) -> None:
        click.echo(admission_text(admission))


class Live:
    """Shows who does what, and for how long, below the lines of what is over."""

    def __init__(self, project: Project) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self._app = project
        self._console = Console(highlight=False)
        self._at_work: dict[str, tuple[float, str, str]] = {}
        self._rejected = 0
        self._done = 0
        # Drawn as soon as it is made, and again by itself: times go on while nothing happens.
        self._live = RichLive(
            console=self._console, get_renderable=self._table, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Live:
        self._before = self._app.observer
        self._app.observer = self
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        self._app.observer = self._before

    def note(self, text: str) -> None:
        self._console.print(text, markup=False)

    def progress(self, done: int, total: int) -> None: ...

    def dispatched(self, what: Dispatched) -> None:
        self._at_work[what.attempt_id] = (time.monotonic(), what.adapter.name, "at work")

    def checking(self, attempt_id: str, names: tuple[str, ...]) -> None:
        began, agent, _ = self._at_work.get(attempt_id, (time.monotonic(), "", ""))
        self._at_work[attempt_id] = (began, agent, f"checking {', '.join(names)}")

    def admitted(self, admission: Admission) -> None:
        self._at_work.pop(admission.attempt_id, None)
        self._done += admission.kind == "done"
        self._rejected += admission.kind == "rejected"
        from rich.text import Text

        self._console.print(Text.from_ansi(admission_text(admission)))

    def _table(self) -> Table:
        from rich.table import Table

        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        now = time.monotonic()
        # A copy: the decider may change it while this is drawn by another thread.
        for attempt_id, (began, agent, what) in list(self._at_work.items()):
            table.add_row(attempt_id, agent, what, f"{int(now - began)} s")
        table.add_row(f"{self._done} done", f"{self._rejected} rejected")
        return table


def admission_text(admission: Admission) -> str:
    """Return one line on what became of an attempt."""
    label, colour = _LABELS.get(admission.kind, (admission.kind, ""))
    what = admission.message.split("\n", 1)[0]
    if admission.rejected is not None:
        what = f"{admission.rejected.code}: {what}"
    shown = what if len(what) <= MAX_SHOWN else what[: MAX_SHOWN - 1] + "…"
    return f"{style(label, fg=colour) if colour else label} {admission.attempt_id}  {shown}"
