"""A run as people see it: a live table on a terminal, a line an event in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from esaa_git.cli.output import Terminal, say, shown, style

if TYPE_CHECKING:
    from rich.table import Table

    from esaa_git.app.run import RunObserver
    from esaa_git.app.work import Outcome

MAX_SHOWN = 100
_LABELS = {
    "done": ("done    ", "green"),
    "rejected": ("rejected", "red"),
    "waiting": ("waiting ", "yellow"),
    "issue": ("issue   ", "yellow"),
    "question": ("asks    ", "yellow"),
    "unavailable": ("away    ", "yellow"),
}


@contextmanager
def watching(*, quiet: bool) -> Iterator[RunObserver | None]:
    """Show what happens until the block is left; with `quiet`, show nothing."""
    if quiet:
        yield None
        return
    if not sys.stdout.isatty():
        yield Lines()
        return
    with Live() as live:
        yield live


class Lines(Terminal):
    """Prints a line for everything that happens; who is asked goes to the standard error."""

    def asking(self, attempt_id: str, agent: str) -> None:
        self.note(f"{attempt_id}: asking {agent}")

    def checking(self, attempt_id: str, names: Sequence[str]) -> None:
        self.note(f"{attempt_id}: checking {', '.join(names)}")

    def admitted(self, outcome: Outcome) -> None:
        say(outcome_text(outcome))


class Live:
    """Shows who does what, and for how long, below the lines of what is over."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self._console = Console(highlight=False)
        self._at_work: dict[str, tuple[float, str, str]] = {}
        self._rejected = 0
        self._done = 0
        # Drawn as soon as it is made, and again by itself: times go on while nothing happens.
        self._live = RichLive(
            console=self._console, get_renderable=self._table, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Live:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def note(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text.from_ansi(shown(text)))

    def progress(self, done: int, total: int) -> None: ...

    def asking(self, attempt_id: str, agent: str) -> None:
        self._at_work[attempt_id] = (time.monotonic(), agent, "at work")

    def checking(self, attempt_id: str, names: Sequence[str]) -> None:
        began, agent, _ = self._at_work.get(attempt_id, (time.monotonic(), "", ""))
        self._at_work[attempt_id] = (began, agent, f"checking {', '.join(names)}")

    def admitted(self, outcome: Outcome) -> None:
        self._at_work.pop(outcome.attempt_id, None)
        self._done += outcome.kind == "done"
        self._rejected += outcome.kind == "rejected"
        from rich.text import Text

        self._console.print(Text.from_ansi(shown(outcome_text(outcome))))

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        now = time.monotonic()
        # A copy: the decider may change it while this is drawn by another thread.
        for attempt_id, (began, agent, what) in list(self._at_work.items()):
            cells = (attempt_id, agent, what, f"{int(now - began)} s")
            table.add_row(*(Text(shown(cell)) for cell in cells))
        table.add_row(f"{self._done} done", f"{self._rejected} rejected")
        return table


def outcome_text(outcome: Outcome) -> str:
    """Return a line on what became of an attempt, and one on what it made and was left out."""
    label, colour = _LABELS.get(outcome.kind, (outcome.kind, ""))
    what = outcome.message.split("\n", 1)[0]
    if outcome.rejected is not None:
        what = f"{outcome.rejected.code}: {what}"
    shown = what if len(what) <= MAX_SHOWN else what[: MAX_SHOWN - 1] + "…"
    line = f"{style(label, fg=colour) if colour else label} {outcome.attempt_id}  {shown}"
    left_out = outcome.left_out_words
    return f"{line}\nleft out {outcome.attempt_id}  {left_out}" if left_out else line
