"""`git esaa demo`: a whole pipeline in a throwaway repository."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from esaa_git.app.init import effects_listing, example, make_example
from esaa_git.app.project import Project
from esaa_git.app.reviews import waiting
from esaa_git.cli.output import (
    examples,
    sandbox_option,
    say,
    style,
)
from esaa_git.errors import DecisionsMissing, UsageError


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
    calculator    eleven tasks: a program whose own tests decide what is accepted, with a policy,
                  a budget, and a second person who decides
    clinic-asr    fifty tasks in fifteen phases, for four agents at once
    """
    example(template)  # a name that is wrong leaves no folder behind
    folder = Path(into) if into else Path(tempfile.mkdtemp(prefix="esaa-demo-")) / template
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"'{folder}' is not empty", hint="name a new folder with --into")
    # The first Python on PATH may be a script that looks for one in a user's home, and a confined
    # check gets to see no home; so the examples' checks use the one that runs us.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    with _environment({"PATH": path}):
        others = make_example(template, folder)
    say(f"{template} in {folder}\n")
    options = ["--parallel", str(parallel)] if parallel > 1 else []
    if sandbox != "auto":
        options += ["--sandbox", sandbox]
    with _environment({"PATH": path}):
        code = _step(folder, "run", *options)
        while code == DecisionsMissing.exit_code and others:
            code = _decide(folder, others) or _step(folder, "run", *options)
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
        *(_DECIDED if others else ()),
    ):
        say(f"  {style(command, bold=True)}" + (f"    # {what}" if what else ""))
    return 0


_DECIDED: Final = (
    ("git esaa show T-1040", "who agreed to a result"),
    ("git esaa policy explain T-1070", "which rules matched its last proposal, and why not"),
    ("git esaa cost --by agent", "what was spent"),
)


def _decide(folder: Path, others: Mapping[str, Path]) -> int:
    """Have the other person of the example agree to all that waits, with a key of their own.

    Returns:
        The exit code of the last command.
    """
    person, key = next(iter(others.items()))
    say()
    code = _step(folder, "review")
    with Project(folder) as project:
        names = [one.name for one in waiting(project)]
    say(f"\nwith the key of {person}:")
    for name in names:
        code = code or _step(folder, "review", name, "--approve", key=key)
    say()
    return code


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _step(folder: Path, *arguments: str, key: Path | None = None) -> int:
    """Run one of our commands in the demo's repository, showing what a person would type."""
    from esaa_git.cli.main import run_command

    option, settings = "", {}
    if key is not None:
        option = f"-c esaa.approverKey={key} "
        given = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
        settings = {
            "GIT_CONFIG_COUNT": str(given + 1),
            f"GIT_CONFIG_KEY_{given}": "esaa.approverKey",
            f"GIT_CONFIG_VALUE_{given}": str(key),
        }
    say(style(f"$ git {option}esaa {' '.join(arguments)}", bold=True))
    with _environment(settings):
        return run_command(["-C", str(folder), *arguments])
