"""`git esaa remote|fetch|push|clone|sync`: one log, shared by several machines."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esaa_git.app.project import Project
from esaa_git.app.roadmap import ROADMAP
from esaa_git.app.sync import set_up, trust_in_git
from esaa_git.cli.output import json_option, pass_project, print_json, progress, style
from esaa_git.errors import ConflictError, MismatchError, UsageError

if TYPE_CHECKING:
    from esaa_git.core.state import State
    from esaa_git.engine.rebase import Outcome
    from esaa_git.remote.reconcile import Lane
    from esaa_git.remote.remote import Incoming, Remote

TRIES = 6
"""How often `sync` begins again because somebody else was faster."""

remote_argument = click.argument("name", metavar="[REMOTE]", required=False)


@dataclass
class Joined:
    """What bringing the local refs after a remote amounted to.

    `relation` is what the log here was to the log there: `none`, `same`, `ahead`, `behind` or
    `diverged`; `moved` says whether the local refs follow now, and `held` why not.
    """

    incoming: Incoming | None
    relation: str
    own: int = 0
    moved: bool = False
    held: str = ""
    outcomes: Sequence[Outcome] = ()
    dropped: list[tuple[str, str]] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    report: str | None = None


# -- commands -----------------------------------------------------------------------------------


@click.group("remote")
def remote() -> None:
    """Have git share the log with a remote."""


@remote.command(
    "setup",
    epilog="""\b
Example:
  git esaa remote setup origin
""",
)
@click.argument("name", metavar="REMOTE")
@pass_project
def setup_(project: Project, name: str) -> None:
    """Have 'git fetch' bring the log and its checkpoints too, and never over what is here.

    The log of the remote is kept beside the local one, and every move of a ref in its reflog.
    Repeating it is harmless.
    """
    done = _remote(project, name).setup()
    for line in done:
        click.echo(line)
    click.echo(f"'{name}' is set up" if done else f"'{name}' is set up already")
    click.echo(f"next: git esaa fetch {name}, or git esaa push {name}", err=True)


@click.command(
    epilog="""\b
Example:
  git esaa fetch
  git esaa fetch upstream --json
"""
)
@remote_argument
@json_option
@pass_project
def fetch(project: Project, name: str | None, as_json: bool) -> None:
    """Fetch log, branches and checkpoints, verify what is new, and follow where that is possible.

    Log and working branch move together, and only forward. Where there are events or commits
    here that the remote has not, nothing moves: 'git esaa sync' brings the two together. A log
    that was rolled back, forked or replaced on the remote is refused.
    """
    from esaa_git.remote.remote import default_remote

    found = _remote(project, name or default_remote(project.repository))
    set_up(project, found)
    with progress("verifying", quiet=as_json) as on_progress:
        joined = _join(project, found, on_progress, together=False)
    if as_json:
        print_json(_as_json(joined))
    else:
        _print_joined(joined, found.name)


@click.command(
    epilog="""\b
Example:
  git esaa push
  git esaa push origin
"""
)
@remote_argument
@json_option
@pass_project
def push(project: Project, name: str | None, as_json: bool) -> None:
    """Push log, working branch and checkpoints: all of them, or none.

    Nothing is ever forced. Where the remote has what is not here, it is refused: 'git esaa sync'
    fetches first.
    """
    from esaa_git.remote.remote import default_remote

    found = _remote(project, name or default_remote(project.repository))
    set_up(project, found)
    pushed = found.push()
    if as_json:
        print_json({"remote": found.name, "pushed": pushed})
        return
    _print_pushed(pushed, found.name)


@click.command(
    epilog="""\b
Example:
  git esaa clone https://example.com/project.git
  git esaa clone git@example.com:project.git work --genesis 54a65904056c0b283695001b153cd05684adfd92
"""
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
    from esaa_git.remote.remote import Remote
    from esaa_git.remote.remote import clone as git_clone
    from esaa_git.verify.pins import Pin, is_oid, write_pin

    if genesis is not None and not is_oid(genesis.lower()):
        raise UsageError(
            f"'{genesis}' is not the whole id of a commit",
            hint="'git esaa log --reverse -n 1 --json' shows it where the log is",
        )
    start = project.folder or Path()
    target = start / (folder or _folder_of(url))
    local = start / url
    git_clone(
        str(local.resolve()) if project.folder and local.exists() else url, str(target.resolve())
    )
    cloned = project.beside(target)
    if events_ref is not None:
        cloned.repository.set_local("esaa.eventsRef", events_ref)
    if genesis is not None:
        write_pin(cloned.repository, Pin(genesis.lower()))
    origin = Remote(cloned.repository, "origin")
    origin.setup()
    click.echo(f"cloned into '{target}'")
    with progress("verifying") as on_progress:
        joined = _join(cloned, origin, on_progress, together=False)
    _print_joined(joined, "origin")
    trust_in_git(cloned)
    click.echo(
        "this clone reads and verifies; to record events from it as well: git config "
        f"esaa.signingKey PATH, with a key that {ROADMAP}/allowed_signers names",
        err=True,
    )


@click.command(
    epilog="""\b
Example:
  git esaa sync
  git esaa sync origin --json
"""
)
@remote_argument
@json_option
@pass_project
def sync(project: Project, name: str | None, as_json: bool) -> None:
    """Fetch, bring the two together, and push.

    Where others recorded events meanwhile, yours are decided again after theirs, as if they came
    now: what still applies gets new ids and new effect commits, and what does not is reported,
    event by event. Your log as it was is kept under refs/esaa/superseded.
    """
    from esaa_git.remote.remote import default_remote

    found = _remote(project, name or default_remote(project.repository))
    set_up(project, found)
    done: list[Joined] = []
    with progress("verifying", quiet=as_json) as on_progress:
        pushed = _sync(project, found, on_progress, done)
    if as_json:
        print_json({"pushed": pushed, "rounds": [_as_json(joined) for joined in done]})
        return
    for joined in done:
        _print_joined(joined, found.name)
    _print_pushed(pushed, found.name)


# -- bringing together --------------------------------------------------------------------------


def _sync(
    project: Project, remote: Remote, on_progress: Callable[[int, int], None], done: list[Joined]
) -> list[str]:
    """Fetch, join and push until it holds; every round that was made is added to `done`."""
    for attempt in range(1, TRIES + 1):
        before = _own_refs(project)
        try:
            joined = _join(project, remote, on_progress, together=True)
        except ConflictError:
            if attempt == TRIES or _own_refs(project) == before:
                raise
            continue
        done.append(joined)
        try:
            return remote.push()
        except ConflictError:
            if attempt == TRIES:
                raise
            time.sleep(random.uniform(0.05, 0.2) * attempt)
    raise AssertionError("unreachable: the last try returns or raises")


def _own_refs(project: Project) -> dict[str, str | None]:
    repository = project.repository
    local = repository.ref_target(repository.events_ref)
    heads = [ref for ref in repository.raw.references if ref.startswith("refs/heads/")]
    return {repository.events_ref: local, **{ref: repository.ref_target(ref) for ref in heads}}


def _join(
    project: Project, remote: Remote, on_progress: Callable[[int, int], None], *, together: bool
) -> Joined:
    """Fetch, and bring the local refs after the remote as far as that is possible.

    Args:
        together: merge branches, and decide a diverged tail again; otherwise only go forward.
    """
    from esaa_git.store.log import load_tip

    repository = project.repository
    if repository.ref_target(remote.log_ref) is not None and together:
        _ = project.engine  # finishes what a crash left undone
    local = repository.ref_target(remote.log_ref)
    if local is not None and together and remote.last_seen() is None and not remote.has_log():
        return Joined(None, "none")
    incoming = remote.fetch(on_progress)
    if local is None:
        return _take_over(project, remote, Joined(incoming, "none"), None, together)
    state = load_tip(repository, local).state
    joined = Joined(incoming, "behind")
    if incoming.common != incoming.tip:
        joined.relation = "behind" if incoming.common == local else "diverged"
    else:
        joined.relation = "same" if local == incoming.tip else "ahead"
    if joined.relation == "diverged":
        joined.own = state.seq - _seq(project, str(incoming.common))
        if together:
            return _decide_again(project, remote, joined, local, state)
        joined.held = f"{joined.own} events here are not there: run 'git esaa sync {remote.name}'"
        return joined
    if joined.relation in ("same", "ahead"):
        joined.own = state.seq - incoming.seq
        if not together:
            return joined
    return _take_over(project, remote, joined, state, together)


def _seq(project: Project, oid: str) -> int:
    from esaa_git.remote.reconcile import seq_of

    return seq_of(project.repository, oid)


def _lanes(
    project: Project, remote: Remote, state: State, other: State | None, stale: Sequence[str]
) -> list[Lane]:
    """Return how the working branches go on: the one of the log there, and the one here."""
    from esaa_git.remote.reconcile import plan_lane

    branches = {state.run.branch, None if other is None else other.run.branch} - {None}
    repository = project.repository
    return [
        plan_lane(
            repository,
            name,
            repository.ref_target(f"refs/heads/{name}"),
            remote.branch_tip(name),
            state,
            stale,
        )
        for name in sorted(map(str, branches))
    ]


def _take_over(
    project: Project, remote: Remote, joined: Joined, own: State | None, together: bool
) -> Joined:
    """Go forward to what the remote has; commits of people are merged where `together` says so."""
    from esaa_git.remote.reconcile import land
    from esaa_git.verify.pins import mark_path, write_mark

    repository, incoming = project.repository, joined.incoming
    assert incoming is not None
    local = repository.ref_target(remote.log_ref)
    ahead = joined.relation in ("same", "ahead") and own is not None
    state = own if ahead and own is not None else incoming.state
    lanes = _lanes(project, remote, state, None, ())
    for lane in lanes:
        if lane.picks or lane.order:
            raise ConflictError(
                f"'{lane.name}' holds commits that claim events which no log knows",
                hint="run 'git esaa verify' to see which",
            )
        if lane.merged and not together:
            joined.held = (
                f"'{lane.name}' has commits that are not there: run 'git esaa sync {remote.name}'"
            )
            return joined
    target = str(local) if ahead else incoming.tip
    left = land(
        repository,
        (local, target),
        [(lane.name, lane.local, lane.start) for lane in lanes if lane.start is not None],
        message=f"esaa: from {remote.name}",
    )
    if local is None and incoming.mark is not None:
        write_mark(mark_path(repository), incoming.mark)
    joined.moved = local != target
    joined.merged = [lane.name for lane in lanes if lane.merged]
    joined.left = [f"'{one.path}' in {one.worktree} ({one.reason})" for one in left]
    return joined


def _decide_again(
    project: Project, remote: Remote, joined: Joined, local: str, own: State
) -> Joined:
    """Decide the local tail again after the remote's last event, and move there."""
    from esaa_git.core.contracts import Contracts
    from esaa_git.engine.rebase import decide_again
    from esaa_git.remote.reconcile import SUPERSEDED, keep_report, land
    from esaa_git.store.log import read_contracts, read_event_commit
    from esaa_git.store.position import events_between
    from esaa_git.store.stage import NoJournal, Stage, StagedBranch, StagedLog
    from esaa_git.store.trees import GitTrees
    from esaa_git.verify.audit import Auditor

    repository, incoming = project.repository, joined.incoming
    assert incoming is not None
    common = str(incoming.common)
    tail = list(events_between(repository, read_event_commit(repository.read, common), local))
    effects = [str(one.event.payload.get("effect_commit", "")) for one in tail]
    lanes = _lanes(project, remote, incoming.state, own, [oid for oid in effects if oid])
    stage = Stage(repository, {remote.log_ref: incoming.tip})
    stage.refs.update({lane.ref: lane.start for lane in lanes})
    engine = replace(
        project.engine,
        log=StagedLog(stage, project.log),
        branch=StagedBranch(stage, GitTrees(stage)),
        journal=NoJournal(),
    )

    def contracts_of(commit: str) -> Contracts:
        tree = read_event_commit(repository.read, commit).tree["contracts"].oid
        return read_contracts(repository.read, tree)

    def before_effect(effect: str) -> None:
        for lane in lanes:
            if effect in lane.order:
                lane.pick_before(stage, effect)

    joined.outcomes = decide_again(
        engine, tail, contracts_of=contracts_of, before_effect=before_effect
    )
    for lane in lanes:
        lane.pick_before(stage)
        joined.dropped += lane.dropped
    keep = {f"{SUPERSEDED}/{local}/log": local}
    keep |= {
        f"{SUPERSEDED}/{local}/heads/{lane.name}": lane.local
        for lane in lanes
        if lane.order and lane.local is not None
    }
    tip = str(stage.ref_target(remote.log_ref))
    moves = [(lane.name, lane.local, stage.ref_target(lane.ref)) for lane in lanes]
    joined.report = keep_report(repository, local, _as_json(joined))
    left = land(
        repository,
        (local, tip),
        [(name, old, new) for name, old, new in moves if new is not None],
        common=common,
        keep=keep,
        message=f"esaa: decided again after {incoming.tip[:12]}",
    )
    joined.moved, joined.kept = True, sorted(keep)
    joined.merged = [lane.name for lane in lanes if lane.merged]
    joined.left = [f"'{one.path}' in {one.worktree} ({one.reason})" for one in left]
    report = Auditor(repository).run()
    if not report.audit.is_ok:
        raise MismatchError(
            f"what was decided again does not verify: {report.audit.message}",
            cause="nothing was pushed",
            hint=f"the log as it was is at '{SUPERSEDED}/{local}/log'; please report this",
        )
    return joined


# -- parts --------------------------------------------------------------------------------------


def _remote(project: Project, name: str) -> Remote:
    from esaa_git.remote.remote import Remote

    return Remote(project.repository, name)


def _folder_of(url: str) -> str:
    """Return the folder that git would clone into."""
    name = url.rstrip("/").removesuffix("/.git").replace(":", "/").rsplit("/", 1)[-1]
    name = name.removesuffix(".git")
    if not name or name in (".", ".."):
        raise UsageError(f"'{url}' names no folder to clone into", hint="give one after the URL")
    return name


# -- printing -----------------------------------------------------------------------------------


def _print_joined(joined: Joined, name: str) -> None:
    incoming = joined.incoming
    if incoming is not None:
        what = f"{incoming.verified} new events" if incoming.verified else "nothing new"
        verified = ", verified" if incoming.verified else ""
        click.echo(f"'{name}': {what}{verified}; its log ends with event {incoming.seq}")
        if joined.relation == "none" and incoming.trust == "first-use":
            click.echo(
                f"genesis {incoming.genesis} is trusted on first use: ask somebody who knows the "
                "log whether it is the right one"
            )
        for note in incoming.notes:
            click.echo(f"note: {note}", err=True)
    if joined.held:
        click.echo(style("not followed", fg="yellow") + f": {joined.held}")
    elif joined.relation == "ahead":
        click.echo(f"the log here has {joined.own} events that are not there")
    for branch in joined.merged:
        click.echo(f"merged '{branch}' with what others committed")
    _print_outcomes(joined)
    for path in joined.left:
        click.echo(f"note: left alone: {path}", err=True)


def _print_outcomes(joined: Joined) -> None:
    if not joined.outcomes and not joined.dropped:
        return
    click.echo(f"{len(joined.outcomes)} events of yours were decided again:")
    for outcome in joined.outcomes:
        colour = {"left out": "red", "decided otherwise": "yellow"}.get(outcome.kind, "green")
        event = outcome.old.event
        line = f"  {event.event_id}  {style(outcome.kind, fg=colour)}"
        if outcome.became:
            line += f" as {outcome.became[0]}"
            line += f" to {outcome.became[-1]}" if len(outcome.became) > 1 else ""
        click.echo(f"{line}: {event.subject}")
        if outcome.reason:
            click.echo(f"      {outcome.reason}")
    for commit, reason in joined.dropped:
        click.echo(f"  {commit[:12]}  {style('left out', fg='red')}: a commit of yours")
        click.echo(f"      {reason}; to bring it back: git cherry-pick {commit[:12]}")
    click.echo(f"kept as it was: {', '.join(joined.kept)}")


def _print_pushed(pushed: Sequence[str], name: str) -> None:
    click.echo(f"pushed to '{name}': {', '.join(pushed)}" if pushed else f"'{name}' has it all")


def _as_json(joined: Joined) -> dict[str, Any]:
    incoming = joined.incoming
    return {
        "relation": joined.relation,
        "tip": None if incoming is None else incoming.tip,
        "seq": None if incoming is None else incoming.seq,
        "log_id": None if incoming is None else incoming.log_id,
        "genesis": None if incoming is None else incoming.genesis,
        "verified": 0 if incoming is None else incoming.verified,
        "own_events": joined.own,
        "moved": joined.moved,
        "held": joined.held or None,
        "merged": joined.merged,
        "decided_again": [
            {
                "event_id": one.old.event.event_id,
                "commit": one.old.commit,
                "subject": one.old.event.subject,
                "outcome": one.kind,
                "reason": one.reason or None,
                "became": list(one.became),
            }
            for one in joined.outcomes
        ],
        "commits_left_out": [
            {"commit": commit, "reason": reason} for commit, reason in joined.dropped
        ],
        "kept": joined.kept,
        "report": joined.report,
    }
