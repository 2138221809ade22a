"""`git esaa allow`: what this repository asks of your machine, and your word on it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from esaa_git.app.consent import agree_to, allow, consents, refuse_new, revoke, used_consents
from esaa_git.app.project import Project
from esaa_git.cli.output import (
    examples,
    json_option,
    pass_project,
    print_json,
    say,
    style,
)
from esaa_git.errors import UsageError

if TYPE_CHECKING:
    from esaa_git.app.consent import Asked, Consents


@click.command(
    "allow",
    epilog=examples(
        "git esaa allow",
        "git esaa allow --show --json",
        "git esaa allow --digest 3f2a91c…",
        "git esaa allow --revoke",
    ),
)
@click.option("--show", is_flag=True, help="Show what is asked and granted, and change nothing.")
@click.option("--yes", is_flag=True, help="Agree without being asked.")
@click.option(
    "--digest",
    metavar="D",
    help="Agree only if this is the digest of what is asked, as --show prints it.",
)
@click.option("--revoke", "taken_back", is_flag=True, help="Take back all that was agreed to.")
@json_option
@pass_project
def allow_(
    project: Project, show: bool, yes: bool, digest: str | None, taken_back: bool, as_json: bool
) -> None:
    """Agree to what the agents and checks of this repository ask of your machine.

    Contracts come with a clone, so the programs that they start and the variables, files, hosts and
    endpoints that they give to them are a request. Nothing of it happens before you have agreed to
    exactly that: whole commands, with the content of the files of the repository that they name.
    What you agreed to is kept in your configuration folder. Asking for the same or less never asks
    again; a change is shown as a difference.

    It covers the contracts in force and the draft in .roadmap/, and says which is which. Keys,
    credential stores and agents' sockets are never given, whatever is agreed to.
    """
    if sum((show, yes, digest is not None, taken_back)) > 1:
        raise UsageError(
            "--show, --yes, --digest and --revoke exclude each other", hint="use one of them"
        )
    if taken_back:
        was = revoke(project)
        if as_json:
            print_json({"revoked": was})
        else:
            say("taken back" if was else "nothing had been agreed to")
        return
    found = consents(project)
    if not (show or yes or digest is not None):
        _decide(found)
        digest = found.digest  # what was shown, and nothing that came up meanwhile
    elif not (show or as_json):
        _print_lines(_lines(found), err=False)
    after = found if show else allow(project, digest=digest)
    if as_json:
        print_json(after.to_json())
    elif show:
        _print_lines(_lines(found), err=False)
        _print_end(found)
    else:
        for note in after.notes:
            project.note(f"note: {note}")
        say(f"agreed to {len(after.asked) - len(after.never)} of {len(after.asked)} asks")


def settle(project: Project, *, branch: str | None = None, draft: bool = False) -> None:
    """On a terminal, show what a run would newly go by, and ask; elsewhere the use case refuses.

    Args:
        branch: in a bare repository, where the draft is read from.
        draft: the run is a new one, whatever is open now.
    """
    if _is_terminal():
        _ask_for(project, used_consents(project, branch=branch, draft=draft))


def settle_agent(project: Project, name: str) -> None:
    """The same for one agent, as the draft has it."""
    if _is_terminal():
        by = f"agent {name}"
        _ask_for(project, consents(project, tasks=False).only(lambda one: by in one.by))


def _ask_for(project: Project, found: Consents) -> None:
    if not found.new:
        return
    _print_lines(_lines(found, whole=False), err=True)
    if not click.confirm("agree to what is new (+)?", default=False, err=True):
        refuse_new(found)
    agree_to(project, [one.ask for one in found.new])


def _decide(found: Consents) -> None:
    """Show what is asked and return where the person agrees to it.

    Raises:
        NotAllowed: where they do not, or there is nobody to ask.
    """
    if not found.new:
        return
    if not _is_terminal():
        refuse_new(found)
    _print_lines(_lines(found), err=False)
    if not click.confirm("agree to what is new (+)?", default=False):
        refuse_new(found)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _print_end(found: Consents) -> None:
    new, refused = len(found.new), len(found.never)
    counts = f"{len(found.asked)} asks: {len(found.asked) - new - refused} granted, {new} new"
    say(counts + (f", {refused} never given" if refused else ""))
    say(f"digest: {found.digest}")


def _print_lines(lines: Iterator[str], *, err: bool) -> None:
    for line in lines:
        say(line, err=err)


def _lines(found: Consents, *, whole: bool = True) -> Iterator[str]:
    """Yield what is asked for, new marked `+`, never given `!`, and what is gone marked `-`.

    Args:
        whole: these are not a part, so what is not among them is not asked for any more.
    """
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Asked]] = {}
    for one in found.asked:
        groups.setdefault((one.by, one.where), []).append(one)
    for (by, where), members in groups.items():
        yield style(f"{', '.join(by)} ({' and '.join(where)}):", bold=True)
        for one in members:
            yield from _marked(one, found)
    gone = found.gone_words() if whole else []
    if gone:
        yield style("agreed to before, and not asked for any more:", bold=True)
        for words in gone:
            yield style(f"  - {words}", fg="red")
    for note in found.notes:
        yield f"note: {note}"


def _marked(one: Asked, found: Consents) -> Iterator[str]:
    paint: Callable[[str], str] = str
    if one.never is not None:
        yield style(f"  ! {one.words()}: never given, because {one.never}", fg="red")
        return
    if not one.granted:
        paint = _green
        for words in found.before(one):
            yield style(f"  - {words}", fg="red")
    yield paint(f"  {' ' if one.granted else '+'} {one.words()}")


def _green(text: str) -> str:
    return style(text, fg="green")
