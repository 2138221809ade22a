"""`git esaa demo`: a whole pipeline in a throwaway repository."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from esaa_git.app.init import effects_listing, example, make_example
from esaa_git.cli.output import (
    examples,
    sandbox_option,
    say,
    style,
)
from esaa_git.errors import UsageError


@click.command(
    epilog=examples(
        "git esaa demo",
        "git esaa demo calculator --into /tmp/calculator",
        "git esaa demo clinic-asr --parallel 4",
    )
)
@click.argument("template", default="landing-page")
@click.option(
    "--into",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Where to make the repository; by default a new temporary folder.",
)
@click.option(
    "--parallel",
    type=click.IntRange(1, 256),
    default=1,
    metavar="N",
    help="Let N agents work at once, as 'git esaa run' would.",
)
@sandbox_option
def demo(template: str, into: str | None, parallel: int, sandbox: str) -> int:
    """Run an example project from plan to verified record, with recorded agents.

    \b
    landing-page  nine tasks: a website in one folder
    calculator    eleven tasks: a program whose own tests decide what is accepted
    clinic-asr    fifty tasks in fifteen phases, for four agents at once
    """
    example(template)  # a name that is wrong leaves no folder behind
    folder = Path(into) if into else Path(tempfile.mkdtemp(prefix="esaa-demo-")) / template
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"'{folder}' is not empty", hint="name a new folder with --into")
    with _our_python_first():
        make_example(template, folder)
    say(f"{template} in {folder}\n")
    options = ["--parallel", str(parallel)] if parallel > 1 else []
    if sandbox != "auto":
        options += ["--sandbox", sandbox]
    with _our_python_first():
        code = _step(folder, "run", *options)
    if code:
        return code
    say("\nthe effects, as commits to be reviewed:")
    say(effects_listing(folder), nl=False)
    say()
    code = _step(folder, "verify", "--full")
    if code:
        return code
    say("\ntry next:")
    for command, what in (
        (f"cd {folder}", ""),
        ("git esaa log -n 12", "the audit trail"),
        ("git log -p -1", "one effect, as any commit"),
        ("git log --show-signature refs/esaa/events", "the signed events, with plain git"),
        ("git esaa show T-1000", "a task and how it came about"),
        ("git esaa diff 1 @", "what the whole run changed"),
    ):
        say(f"  {style(command, bold=True)}" + (f"    # {what}" if what else ""))
    return 0


@contextmanager
def _our_python_first() -> Iterator[None]:
    """Have the examples' checks use the Python that runs us.

    The first on PATH may be a script that looks for a Python in a user's home, and a confined
    check gets to see no home.
    """
    before = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), before))
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _step(folder: Path, *arguments: str) -> int:
    """Run one of our commands in the demo's repository, showing what a person would type."""
    from esaa_git.cli.main import cli

    say(style(f"$ git esaa {' '.join(arguments)}", bold=True))
    context = cli.make_context("git esaa", ["-C", str(folder), *arguments])
    with context:
        result = cli.invoke(context)
    return result if isinstance(result, int) else 0
