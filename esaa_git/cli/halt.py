"""`git esaa halt` and `git esaa resume`: everything stops, and goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from esaa_git.app.project import Project
from esaa_git.cli.output import as_option, examples, pass_project, say

if TYPE_CHECKING:
    from esaa_git.app.halting import Decided

UNREACHED = 1
"""The exit code where a remote that shares the log does not have the decision yet."""


@click.command(epilog=examples("git esaa halt", 'git esaa halt --reason "the bill explodes"'))
@click.option("--reason", default="", metavar="TEXT", help="Why; it is signed and recorded.")
@as_option
@pass_project
def halt(project: Project, reason: str, actor: str | None) -> int:
    """Stop everything, here and on every remote that shares the log and can be reached.

    Runs end their agents and give the tasks back, on every machine that reaches the remote within
    half a minute (esaa.haltPoll); nothing new begins, and a server with the hook takes no effect
    until an admin resumes. No attempt is spent. An approver's key can do it.
    """
    from esaa_git.app import halting

    return _say("stopped", halting.halt(project, reason, actor), "halt")


@click.command(epilog=examples("git esaa resume", 'git esaa resume --reason "the cap is set"'))
@click.option("--reason", default="", metavar="TEXT", help="Why; it is signed and recorded.")
@as_option
@pass_project
def resume(project: Project, reason: str, actor: str | None) -> int:
    """Let everything go on that 'git esaa halt' has stopped. An admin's key does it."""
    from esaa_git.app import halting

    return _say("resumed", halting.resume(project, reason, actor), "resume")


def _say(what: str, decided: Decided, command: str) -> int:
    where = [*(["here"] if decided.here else []), *(f"on '{name}'" for name in decided.reached)]
    if where:
        say(f"{what} {', '.join(where)}")
    for name, why in decided.unreached:
        say(f"not on '{name}': {why}")
    if decided.unreached:
        say(f"hint: run 'git esaa sync' or 'git esaa {command}' again once it can be reached")
        return UNREACHED
    return 0
