"""One log, shared by several machines: set up, fetch, push, clone, sync, and work for a remote."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esaa_git.app import plain_git
from esaa_git.app.cost import note_exceeded
from esaa_git.app.inbox import admit, offer
from esaa_git.app.observer import Observer
from esaa_git.app.project import Project, has_log
from esaa_git.app.reconcile import SyncResult, reconcile
from esaa_git.errors import ConflictError, RefusedError, UsageError

if TYPE_CHECKING:
    from esaa_git.remote.remote import Remote

TRIES = 6
"""How often `sync` begins again because another push came first."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch from a remote amounted to."""

    remote: str
    result: SyncResult


@dataclass(frozen=True, slots=True)
class Pushed:
    """The refs that a push moved on a remote; none where it had it all but what was `left` out."""

    remote: str
    refs: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Synced:
    """The rounds that bringing two logs together took, and what was pushed then, and left out."""

    remote: str
    rounds: tuple[SyncResult, ...]
    pushed: tuple[str, ...]
    left: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as `git esaa sync --json` prints it."""
        return {"pushed": list(self.pushed), "rounds": [one.to_json() for one in self.rounds]}


# -- use cases --------------------------------------------------------------------------------


UNGUARDED = "esaaUnguarded"
"""Under `remote.NAME`: its user knows that this server takes what it should refuse."""


def set_up_remote(project: Project, name: str, *, unguarded: bool = False) -> list[str]:
    """Have git fetch the log of a remote too; return in words what was changed for it.

    Whether its server refuses what it must is tried, with pushes that leave nothing.

    Args:
        unguarded: go on where it does not.

    Raises:
        UsageError: if there is no such remote.
        RefusedError: if the server does not guard the log; nothing was changed.
    """
    from esaa_git.remote.guard import in_words, try_guard

    remote, repository = _remote(project, name), project.repository
    setting = f"remote.{name}.{UNGUARDED}"
    found = try_guard(remote, repository)
    wrong = in_words(name, found, repository.events_ref)
    if found.taken and not unguarded and not repository.flag(setting, False):
        raise RefusedError(
            str(wrong),
            cause="whoever can push there can roll the log back, delete it, or take its names",
            hint="have 'git esaa hooks install --server REPOSITORY' run on the server (docs/guides/"
            f"server-hooks.md), or go on with 'git esaa remote setup {name} --unguarded'",
        )
    if wrong is not None:
        project.note(f"note: {wrong}")
    done = remote.setup()
    if unguarded and found.taken and not repository.flag(setting, False):
        repository.set_local(setting, "true")
        done.append("its log is not guarded, and is shared all the same")
    elif not found.taken and found.unknown is None:
        repository.unset_local(setting)
    return done


def fetch(project: Project, name: str | None = None) -> Fetched:
    """Fetch log, branches and checkpoints, verify what is new, and follow where that is possible.

    Args:
        name: the remote; by default the only one, or `origin`.

    Raises:
        RepositoryError: if the remote cannot be reached, or never had a log.
        MismatchError: if its log was rolled back, forked or replaced, is gone, or does not hold.
        CorruptedError: if its log cannot be read.
    """
    remote = _ready(project, name)
    fetched = Fetched(remote.name, reconcile(project, remote, together=False))
    plain_git.refresh(project.repository, project.note)
    return fetched


def push(project: Project, name: str | None = None) -> Pushed:
    """Push log, working branch and checkpoints: all of them, or none; nothing is ever forced.

    Where others were faster and a person's decisions are all that is to be pushed from a clone
    without the orchestrator's key, they go to the remote's inbox.

    Raises:
        ConflictError: if the remote has what is not here.
        RepositoryError: if it cannot be reached, or refuses.
    """
    remote = _ready(project, name, sends=True)
    try:
        return Pushed(remote.name, _push(project, remote), tuple(remote.left))
    except ConflictError:
        waiting = offer(project, remote) if project.log.keys.alone else ()
        if not waiting:
            raise
        return Pushed(remote.name, waiting, ())


def sync(project: Project, name: str | None = None) -> Synced:
    """Fetch, bring the two together, and push; begin again where another push came first.

    Raises:
        ConflictError: if that happened too often, or branches cannot be merged.
        MismatchError: if the log of the remote does not hold.
        RepositoryError: if it cannot be reached, or refuses.
    """
    remote = _ready(project, name, sends=True)
    rounds: list[SyncResult] = []
    for attempt in range(1, TRIES + 1):
        before = _own_refs(project)
        try:
            result = reconcile(project, remote, together=True)
        except ConflictError:
            if attempt == TRIES or _own_refs(project) == before:
                raise
            continue
        rounds.append(result)
        plain_git.refresh(project.repository, project.note)
        note_exceeded(project)
        try:
            pushed = _push(project, remote)
            return Synced(remote.name, tuple(rounds), pushed, tuple(remote.left))
        except ConflictError:
            if attempt == TRIES:
                raise
            time.sleep(random.uniform(0.05, 0.2) * attempt)
    raise AssertionError("unreachable: the last try returns or raises")


@dataclass(frozen=True, slots=True)
class Clone:
    """A repository that was cloned; `take_log` brings its log."""

    project: Project
    folder: Path


def clone(
    url: str,
    folder: str | os.PathLike[str] | None = None,
    *,
    genesis: str | None = None,
    events_ref: str | None = None,
    observer: Observer | None = None,
) -> Project:
    """Clone a repository with its log, verify the log, and return the clone, opened.

    Args:
        folder: where to; by default what git would take, below the working directory.
        genesis: the first commit of the log; another log will be refused. Without it the log is
            trusted as it is now, and held against that from then on.
        events_ref: the ref of the log, where it is not the usual.
        observer: is told what happens meanwhile.

    Raises:
        UsageError: if the genesis is not a whole id, or the address names no folder.
        RepositoryError: with what git said, or if there is no log; the clone stays.
        MismatchError: if the log is not the one that was asked for, or does not hold.
        CorruptedError: if it cannot be read.
    """
    target = None if folder is None else os.fspath(folder)
    cloned = clone_repository(
        Project(None, observer), url, target, genesis=genesis, events_ref=events_ref
    )
    take_log(cloned)
    return cloned.project


def clone_repository(
    project: Project,
    url: str,
    folder: str | None = None,
    *,
    genesis: str | None = None,
    events_ref: str | None = None,
) -> Clone:
    """Clone a repository and set it up for its log, which `take_log` brings.

    Args:
        folder: where to; by default what git would take.
        genesis: the first commit of the log; another log will be refused.
        events_ref: the ref of the log, where it is not the usual.

    Raises:
        UsageError: if the genesis is not a whole id, or the address names no folder.
        RepositoryError: with what git said.
    """
    from esaa_git.remote.named import clone as git_clone
    from esaa_git.remote.remote import Remote
    from esaa_git.verification.pins import Pin, is_oid, write_pin

    if genesis is not None and not is_oid(genesis.lower()):
        raise UsageError(
            f"'{genesis}' is not the whole id of a commit",
            hint="'git esaa log --reverse -n 1 --json' shows it where the log is",
        )
    start = project.folder or Path()
    target = start / (folder or _folder_of(url))
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(
            f"'{folder or _folder_of(url)}' exists already, and is no empty folder",
            hint=f"name another one after the URL, as in 'git esaa clone URL {target.name}-2'",
        )
    local = start / url
    git_clone(
        str(local.resolve()) if project.folder and local.exists() else url, str(target.resolve())
    )
    cloned = project.beside(target)
    if events_ref is not None:
        cloned.repository.set_local("esaa.eventsRef", events_ref)
    if genesis is not None:
        write_pin(cloned.repository, Pin(genesis.lower()))
    Remote(cloned.repository, "origin").setup()
    return Clone(cloned, target)


def take_log(cloned: Clone) -> SyncResult:
    """Bring the log of a clone, and verify it before it is believed.

    Raises:
        RepositoryError: if there is none.
        MismatchError: if it is not the one that was asked for, or does not hold.
        CorruptedError: if it cannot be read.
    """
    result = reconcile(cloned.project, _remote(cloned.project, "origin"), together=False)
    plain_git.set_up(cloned.project.repository, cloned.project.note)
    plain_git.refresh(cloned.project.repository, cloned.project.note)
    return result


def share(project: Project, name: str, patience: float, given_up: Callable[[], bool]) -> None:
    """Have everything that is recorded from here on go to a remote first, as a worker does.

    Raises:
        ConflictError: if the remote has not all that is here, or the two cannot be followed.
        RemoteUnreachable: if it cannot be reached for so many seconds.
    """
    from esaa_git.checkout.follow import GitCheckouts
    from esaa_git.engine.lease import Watched
    from esaa_git.engine.sharing import Sharing
    from esaa_git.remote.shared import SharedRemote

    set_up(project, _remote(project, name))
    engine = project.engine
    shared = SharedRemote(
        project.repository,
        name,
        GitCheckouts(project.repository),
        engine.say,
        lambda remote, incoming: admit(project, remote, incoming),
    )
    sharing = Sharing(shared, engine.clock, engine.say, patience=patience, given_up=given_up)
    sharing.catch_up()
    engine.leases, engine.sharing = Watched(engine.clock.monotonic), sharing
    take_shared(project)
    shared.require_shared()


def take_shared(project: Project) -> bool:
    """Take in the log that others share where none is here; answer whether that was so.

    Another worker may begin it while this one is about to.

    Raises:
        RepositoryError, MismatchError, CorruptedError: as `fetch`.
    """
    sharing = project.engine.sharing
    if sharing is None or has_log(project):
        return False
    remote = _remote(project, sharing.name)
    if remote.last_seen() is None and not remote.has_log():
        return False
    reconcile(project, remote, together=False)
    plain_git.refresh(project.repository, project.note)
    project.note(f"note: the log of '{sharing.name}' was taken in, as 'git esaa fetch' does")
    return True


# -- parts --------------------------------------------------------------------------------------


def _push(project: Project, remote: Remote) -> tuple[str, ...]:
    moved = tuple(remote.push())
    for line in remote.left:
        project.note(f"note: {line}")
    return moved


def _own_refs(project: Project) -> dict[str, str | None]:
    repository = project.repository
    local = repository.ref_target(repository.events_ref)
    heads = [ref for ref in repository.raw.references if ref.startswith("refs/heads/")]
    return {repository.events_ref: local, **{ref: repository.ref_target(ref) for ref in heads}}


def _remote(project: Project, name: str) -> Remote:
    from esaa_git.remote.remote import Remote

    return Remote(project.repository, name)


def _ready(project: Project, name: str | None, *, sends: bool = False) -> Remote:
    """Return the remote that is meant, set up for the log.

    Args:
        sends: the log goes there; where that is new, whether the server guards it is said.
    """
    from esaa_git.remote.named import default_remote

    plain_git.move_over(project.repository, project.note)
    remote = _remote(project, name or default_remote(project.repository))
    if sends and not remote.is_set_up:
        _say_unguarded(project, remote)
    set_up(project, remote)
    return remote


def _say_unguarded(project: Project, remote: Remote) -> None:
    from esaa_git.remote.guard import in_words, try_guard

    repository = project.repository
    wrong = in_words(remote.name, try_guard(remote, repository), repository.events_ref)
    if wrong is not None:
        project.note(f"note: {wrong}; 'git esaa remote setup {remote.name}' says more")


def set_up(project: Project, remote: Remote) -> None:
    """Have the log fetched and pushed with this remote; say so where it was not."""
    if not remote.is_set_up:
        remote.setup()
        project.note(f"note: '{remote.name}' is set up for the log now")


def _folder_of(url: str) -> str:
    """Return the folder that git would clone into."""
    name = url.rstrip("/").removesuffix("/.git").replace(":", "/").rsplit("/", 1)[-1]
    name = name.removesuffix(".git")
    if not name or name in (".", ".."):
        raise UsageError(f"'{url}' names no folder to clone into", hint="give one after the URL")
    return name
