"""`git esaa remote|fetch|push|clone|sync`: one log, shared by several machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from esaa_git.app.project import Project
from esaa_git.app.roadmap import ROADMAP
from esaa_git.cli.output import (
    examples,
    json_option,
    pass_project,
    print_json,
    say,
    showing_progress,
    style,
)

if TYPE_CHECKING:
    from esaa_git.app.reconcile import SyncResult

remote_argument = click.argument("name", metavar="[REMOTE]", required=False)


@click.group("remote")
def remote() -> None:
    """Have git share the log with a remote."""


@remote.command(
    "setup",
    epilog=examples("git esaa remote setup origin", "git esaa remote setup github --unguarded"),
)
@click.argument("name", metavar="REMOTE")
@click.option(
    "--unguarded", is_flag=True, help="Go on where the server takes what it should refuse."
)
@pass_project
def setup_(project: Project, name: str, unguarded: bool) -> None:
    """Have 'git fetch' bring the log and its checkpoints too, and never over what is here.

    The log of the remote is kept beside the local one, and every move of a ref in its reflog.
    Repeating it is harmless.

    Whether the server guards the log is tried first, with pushes that cannot succeed: unknown
    names, a roll-back, deletion, unsigned events. Where it takes one of them, nothing is set up
    without --unguarded. A forge that runs no hook of yours can be used so: what somebody did to
    the log there is found by the next fetch, and not refused.
    """
    from esaa_git.app.sync import set_up_remote

    done = set_up_remote(project, name, unguarded=unguarded)
    for line in done:
        say(line)
    say(f"'{name}' is set up" if done else f"'{name}' is set up already")
    say(f"next: git esaa fetch {name}, or git esaa push {name}", err=True)


@click.command(epilog=examples("git esaa fetch", "git esaa fetch upstream --json"))
@remote_argument
@json_option
@pass_project
def fetch(project: Project, name: str | None, as_json: bool) -> None:
    """Fetch log, branches and checkpoints, verify what is new, and follow where that is possible.

    Log and working branch move together, and only forward. Where there are events or commits
    here that the remote has not, nothing moves: 'git esaa sync' brings the two together. A log
    that was rolled back, forked or replaced on the remote is refused.
    """
    from esaa_git.app.sync import fetch as do

    with showing_progress(project, "verifying", quiet=as_json):
        fetched = do(project, name)
    if as_json:
        print_json(fetched.result.to_json())
    else:
        _print_result(fetched.result, fetched.remote)


@click.command(epilog=examples("git esaa push", "git esaa push origin"))
@remote_argument
@json_option
@pass_project
def push(project: Project, name: str | None, as_json: bool) -> None:
    """Push log, working branch and checkpoints: all of them, or none.

    Nothing is ever forced. Where the remote has what is not here, it is refused: 'git esaa sync'
    fetches first.
    """
    from esaa_git.app.sync import push as do

    pushed = do(project, name)
    if as_json:
        print_json({"remote": pushed.remote, "pushed": pushed.refs})
    else:
        _print_pushed(pushed.refs, pushed.remote, pushed.left)


@click.command(
    epilog=examples(
        "git esaa clone https://example.com/project.git",
        "git esaa clone git@example.com:project.git work "
        "--genesis 54a65904056c0b283695001b153cd05684adfd92",
    )
)
@click.argument("url", metavar="URL")
@click.argument("folder", metavar="[DIR]", required=False)
@click.option(
    "--genesis",
    metavar="OID",
    help="The first commit of the log, as somebody told you; another log is refused.",
)
@click.option("--events-ref", metavar="REF", help="The ref of the log, where it is not the usual.")
@pass_project
def clone(
    project: Project, url: str, folder: str | None, genesis: str | None, events_ref: str | None
) -> None:
    """Clone a repository with its log, and verify the log before it is believed.

    Without --genesis the log is trusted as it is now, and held against that from then on.
    """
    from esaa_git.app.sync import clone_repository, take_log

    cloned = clone_repository(project, url, folder, genesis=genesis, events_ref=events_ref)
    say(f"cloned into '{cloned.folder}'")
    with showing_progress(cloned.project, "verifying"):
        result = take_log(cloned)
    _print_result(result, "origin")
    say(
        "this clone reads and verifies; to record events from it as well: git config "
        f"esaa.signingKey PATH, with a key that {ROADMAP}/allowed_signers names; for what you say "
        "yourself, git config esaa.approverKey PATH",
        err=True,
    )


@click.command(epilog=examples("git esaa sync", "git esaa sync origin --json"))
@remote_argument
@json_option
@pass_project
def sync(project: Project, name: str | None, as_json: bool) -> None:
    """Fetch, bring the two together, and push.

    Where others recorded events meanwhile, yours are decided again after theirs, as if they came
    now: what still applies gets new ids and new effect commits, and what does not is reported,
    event by event. Your log as it was is kept under refs/esaa/superseded.
    """
    from esaa_git.app.sync import sync as do

    with showing_progress(project, "verifying", quiet=as_json):
        synced = do(project, name)
    if as_json:
        print_json(synced.to_json())
        return
    for result in synced.rounds:
        _print_result(result, synced.remote)
    _print_pushed(synced.pushed, synced.remote, synced.left)


# -- printing -----------------------------------------------------------------------------------


def _print_result(result: SyncResult, name: str) -> None:
    incoming = result.incoming
    if incoming is not None:
        count = incoming.verified
        what = f"{incoming.new} new events" if incoming.new else "nothing new"
        if count > incoming.new:
            what += f", {count} events verified"
        elif incoming.new:
            what += ", verified" if count else ", verified before"
        say(f"'{name}': {what}; its log ends with event {incoming.seq}")
        if result.relation == "none" and incoming.trust == "first-use":
            say(
                f"genesis {incoming.genesis} is trusted on first use: ask somebody who knows the "
                "log whether it is the right one"
            )
        for note in incoming.notes:
            say(f"note: {note}", err=True)
    if result.held:
        say(style("not followed", fg="yellow") + f": {result.held}")
    elif result.relation == "ahead":
        say(f"the log here has {result.own} events that are not there")
    for branch in result.merged:
        say(f"merged '{branch}' with what others committed")
    _print_outcomes(result)
    for path in result.left:
        say(f"note: left alone: {path}", err=True)


def _print_outcomes(result: SyncResult) -> None:
    if not result.outcomes and not result.dropped:
        return
    say(f"{len(result.outcomes)} events of yours were decided again:")
    for outcome in result.outcomes:
        colour = {"left out": "red", "decided otherwise": "yellow"}.get(outcome.kind, "green")
        event = outcome.old.event
        line = f"  {event.event_id}  {style(outcome.kind, fg=colour)}"
        if outcome.became:
            line += f" as {outcome.became[0]}"
            line += f" to {outcome.became[-1]}" if len(outcome.became) > 1 else ""
        say(f"{line}: {event.subject}")
        if outcome.reason:
            say(f"      {outcome.reason}")
    for commit, reason in result.dropped:
        say(f"  {commit[:12]}  {style('left out', fg='red')}: a commit of yours")
        say(f"      {reason}; to bring it back: git cherry-pick {commit[:12]}")
    say(f"kept as it was: {', '.join(result.kept)}")


def _print_pushed(pushed: Sequence[str], name: str, left: Sequence[str]) -> None:
    rest = "all else" if left else "it all"
    say(f"pushed to '{name}': {', '.join(pushed)}" if pushed else f"'{name}' has {rest}")
