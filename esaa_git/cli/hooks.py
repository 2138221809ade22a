"""`git esaa hooks`: what guards the log where it is shared, and reminds where it is pushed from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from esaa_git.app.project import Project
from esaa_git.cli.output import examples, json_option, pass_project, print_json, say, style

if TYPE_CHECKING:
    from esaa_git.app.hooks import Installed

server_option = click.option(
    "--server",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="The repository on the server that others push to, instead of this clone.",
)


@click.group()
def hooks() -> None:
    """Install git hooks that keep the log append-only, and log and branch together.

    On a server, `pre-receive` verifies what is pushed and refuses what does not hold. In a clone,
    `pre-push` stops a push that would part effects from their events.
    """


@hooks.command(
    "install",
    epilog=examples(
        "git esaa hooks install", "git esaa hooks install --server /srv/git/project.git"
    ),
)
@server_option
@click.option(
    "--update",
    is_flag=True,
    help="With --server, install the update hook as well, for servers without pre-receive.",
)
@click.option(
    "--fallback",
    is_flag=True,
    help="With --server, install the hook for servers without Python: it verifies no signature.",
)
@pass_project
def install_(project: Project, server: Path | None, update: bool, fallback: bool) -> int:
    """Put hooks in place; one that is there already is kept and runs first.

    Repeating it is harmless, and brings hooks of an older version up to date.
    """
    from esaa_git.app.hooks import install_all

    if (update or fallback) and server is None:
        raise click.UsageError("--update and --fallback go with --server PATH")
    if update and fallback:
        raise click.UsageError("--update and --fallback exclude each other")
    found = install_all(
        _at(project, server).repository,
        server=server is not None,
        update=update,
        fallback=fallback,
    )
    for one in found:
        _print(one)
    if fallback:
        say("note: it verifies no signature; 'git esaa verify' in a clone does")
    return int(not all(one.is_sound for one in found))


@hooks.command(
    "uninstall",
    epilog=examples(
        "git esaa hooks uninstall", "git esaa hooks uninstall --server /srv/git/project.git"
    ),
)
@server_option
@pass_project
def uninstall_(project: Project, server: Path | None) -> None:
    """Take our hooks away and put back those that were there before, as they were."""
    from esaa_git.app.hooks import uninstall_all

    for name in uninstall_all(_at(project, server).repository, server=server is not None):
        say(f"{name}: removed")


@hooks.command(
    "check",
    epilog=examples("git esaa hooks check", "git esaa hooks check --server /srv/git/project.git"),
)
@server_option
@json_option
@pass_project
def check_(project: Project, server: Path | None, as_json: bool) -> int:
    """Say which hooks are in place, and start each of ours once to see that it runs.

    The exit code is 1 where the hook that matters is missing, not ours, outdated or broken.
    """
    from esaa_git.app.hooks import check_all

    found = check_all(_at(project, server).repository, server=server is not None)
    if as_json:
        print_json([asdict(one) for one in found.hooks])
    else:
        for one in found.hooks:
            _print(one)
    return int(not found.is_sound)


def _at(project: Project, server: Path | None) -> Project:
    return project if server is None else Project(str(server))


_SAYS = {
    "missing": ("yellow", "no hook"),
    "foreign": ("yellow", "a hook that is not ours"),
    "outdated": ("yellow", "ours, of another version or interpreter; install it again"),
    "current": ("green", "installed"),
}


def _print(one: Installed) -> None:
    colour, text = _SAYS[one.state]
    kind = f" ({one.kind})" if one.kind else ""
    say(f"{one.name}: {style(text, fg=colour)}{kind}, '{one.path}'")
    if one.by is not None:
        say(f"  started by '{one.by}'")
    if one.shared is not None:
        say(f"  a link to '{one.shared}', which other repositories may share")
    if one.before is not None:
        say(f"  after '{one.before.name}', which was there before")
    if one.fault is not None:
        say(f"  {style('it does not run', fg='red')}: {one.fault}")
