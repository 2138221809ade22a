"""What commands print: JSON for machines, tables for people, plain text in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from secrets import token_hex
from typing import Any

import click

from esaa_git.app.elsewhere import explain
from esaa_git.app.project import Project
from esaa_git.core.printable import json_visible, visible
from esaa_git.errors import NoLog

_OURS = f"\x1b{token_hex(8)}"
"""Stands for the escape of a colour of ours until it is printed; nobody else knows it."""


def pass_project(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the repository that it was called in; say where a missing log is."""

    @wraps(command)
    def called(project: Project, *arguments: Any, **options: Any) -> Any:
        try:
            return command(project, *arguments, **options)
        except NoLog as error:
            raise explain(project, error) from error

    return click.make_pass_decorator(Project)(called)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a machine.")

as_option = click.option(
    "--as",
    "actor",
    metavar="NAME",
    help="Act under this name: an agent's, or your address where it is not git's user.email.",
)

sandbox_option = click.option(
    "--sandbox",
    type=click.Choice(["auto", "landlock", "bubblewrap", "none"]),
    default="auto",
    show_default=True,
    help="What confines agents and checks; 'none' lets them do whatever you may.",
)


def examples(*commands: str, more: str = "") -> str:
    """Return the end of a command's help: how it is called, and what else there is to say."""
    called = "".join(f"  {command}\n" for command in commands)
    return f"\b\nExample:\n{called}" + (f"\n{more}\n" if more else "")


def say(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text: the one way by which anything reaches a terminal.

    Whatever does not print, and did not come from `style`, is shown as an escape: what agents,
    pushers and files say cannot move the cursor, turn a line round or hide a part of it.
    """
    click.echo(shown(text), err=err, nl=nl)  # noqa: TID251 - this is the one place


def shown(text: object) -> str:
    """Return text as `say` prints it on a terminal, with the colours that `style` gave it."""
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return "\x1b".join(visible(part, keep="\n\t") for part in words.split(_OURS))


def print_json(value: Any) -> None:
    """Print a JSON document, indented; what does not print is escaped as JSON does it."""
    text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    click.echo(json_visible(text))  # noqa: TID251 - escaped as JSON does it


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headers: drawn on a terminal, tab-separated without headers in a pipe."""
    if not sys.stdout.isatty():
        for row in rows:
            say("\t".join(" ".join(str(cell).split()) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for header in headers:
        table.add_column(header)
    for row in rows:
        table.add_row(*(Text(visible(str(cell), keep="")) for cell in row))
    Console().print(table)


class Terminal:
    """Hears what use cases tell: notes go to the standard error, beside what is printed."""

    def note(self, text: str) -> None:
        say(text, err=True)

    def progress(self, done: int, total: int) -> None: ...


class _Bar(Terminal):
    """A terminal with a bar of the work that is under way."""

    def __init__(self, draw: Callable[[int, int], None]) -> None:
        self._draw = draw

    def progress(self, done: int, total: int) -> None:
        self._draw(done, total)


@contextmanager
def showing_progress(project: Project, title: str, *, quiet: bool = False) -> Iterator[None]:
    """Have a bar drawn of the progress that the project's observer is told meanwhile."""
    before = project.observer
    with progress(title, quiet=quiet) as draw:
        project.observer = _Bar(draw)
        try:
            yield
        finally:
            project.observer = before


@contextmanager
def progress(title: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Give a function of (done, total) that draws a bar on a terminal, and nothing in a pipe.

    The bar goes when all is done, so that a question to the person is not drawn over.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def draw(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if done >= total:
                bar.live.stop()
            else:
                bar.live.start(refresh=True)

        yield draw


def style(text: str, **styles: Any) -> str:
    """Return the text coloured, for `say`; click takes the colours out of a pipe."""
    return click.style(visible(text), **styles).replace("\x1b", _OURS)


STATE_COLOURS = {
    "todo": "white",
    "in_progress": "yellow",
    "blocked": "red",
    "done": "green",
    "success": "green",
    "failed": "red",
    "halted": "red",
}


def state_text(state: str) -> str:
    """Return the state in its colour."""
    return style(state, fg=STATE_COLOURS.get(state))
