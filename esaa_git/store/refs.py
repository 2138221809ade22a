"""Refs on git: lock, re-read, compare, set. The one primitive that loses no writer.

`references.create(force=True)` silently overwrites what another process wrote in between; git's
own lock files do not. All refs of a transaction are locked before one moves, so a conflict leaves
all where they were. The log moves first: it is the commit point, and the branch can be brought
after it from what the log says.

Refs are written here and not by libgit2, whose transaction writes them one by one when it ends.
So all of a transaction (its objects, the journal, the new content of its refs) is brought to the
disk by one call before the first ref moves, the locks are held for renames alone, and a lock that
a dead process left can be told from a living one (`esaa_git.store.locks`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from esaa_git.errors import ConflictError, RepositoryError
from esaa_git.faults import Point, reach
from esaa_git.ports.refs import RefMove, RefStore
from esaa_git.store.durability import note_start, sync_everything, sync_folders
from esaa_git.store.locks import Claim, LockHeld
from esaa_git.store.objects import bytes_of
from esaa_git.store.person_hooks import transaction
from esaa_git.store.repository import Repository

_HEADS = "refs/heads/"
_LOGGED = (_HEADS, "refs/remotes/", "refs/notes/")
"""Whose moves git writes down by default (git-config(1), core.logAllRefUpdates)."""


class GitRefs:
    """The refs of one repository on disk."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository

    def read(self, name: str) -> str | None:
        return self.repository.ref_target(name)

    def list(self, prefix: str) -> Sequence[str]:
        return sorted(name for name in self.repository.raw.references if name.startswith(prefix))

    def move(self, moves: Sequence[RefMove]) -> None:
        repository = self.repository
        try:
            with ExitStack() as stack:
                folder = locks_folder(repository)
                claims = [
                    stack.enter_context(Claim(folder, move.new.encode() + b"\n")) for move in moves
                ]
                mode, common = repository.sync_mode, repository.common_dir
                descriptors = [claim.descriptor for claim in claims]
                sync_everything(mode, common / "objects", folder, descriptors)
                for claim, move in zip(claims, moves, strict=True):
                    _lock(repository, claim, move)
                for move in moves:
                    _compare(self, move)
                stack.enter_context(transaction(repository, repository.events_ref, moves))
                for move in moves:
                    _write_reflogs(repository, move)
                for claim, move in zip(claims, moves, strict=True):
                    claim.replace(common / move.name)
                    reach(_moved(repository, move))
                    # Before the next one moves: a disk may keep the second of two renames alone.
                    sync_folders(mode, [(common / move.name).parent])
                if any(move.old is None and move.name == repository.events_ref for move in moves):
                    note_start(repository.esaa_dir)
        except OSError as error:
            raise RepositoryError(
                f"cannot move '{moves[0].name}'",
                cause=f"{error.strerror or error}, at '{error.filename or repository.common_dir}'",
                hint="see that the disk has room and can be written, then repeat the command",
            ) from error
        reach(Point.REFS_SYNCED)

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            self.repository.raw.references.delete(name)


class OverlayRefs:
    """Refs over other refs: some of them moved in memory, some read under another name.

    Nothing moves below. What is decided on an overlay is real but for one thing: no ref names it.
    Where it is given up, unreachable objects are left and nothing else.

    Args:
        base: what is below.
        moved: where refs are here; None where one does not exist.
        renamed: what names begin with here, and what they begin with below.
    """

    def __init__(
        self,
        base: RefStore,
        *,
        moved: Mapping[str, str | None] | None = None,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        self._base = base
        self._moved = dict(moved or {})
        self._renamed = dict(renamed or {})

    def read(self, name: str) -> str | None:
        if name in self._moved:
            return self._moved[name]
        for ours, theirs in self._renamed.items():
            if name.startswith(ours):
                return self._base.read(theirs + name.removeprefix(ours))
        return self._base.read(name)

    def list(self, prefix: str) -> Sequence[str]:
        ours = tuple(self._renamed)
        found = {name for name in self._base.list(prefix) if not name.startswith(ours)}
        for name, below in self._renamed.items():
            found |= {name + one.removeprefix(below) for one in self._base.list(below)}
        found |= set(self._moved)
        return sorted(
            name for name in found if name.startswith(prefix) and self.read(name) is not None
        )

    def move(self, moves: Sequence[RefMove]) -> None:
        for move in moves:
            _compare(self, move)
        self._moved |= {move.name: move.new for move in moves}

    def delete(self, names: Iterable[str]) -> None:
        self._moved |= dict.fromkeys(names)


def locks_folder(repository: Repository) -> Path:
    """Return where the claims of `esaa_git.store.locks` are kept."""
    return repository.esaa_dir / "locks"


def _lock(repository: Repository, claim: Claim, move: RefMove) -> None:
    place = repository.common_dir / move.name
    if not place.parent.is_dir():
        _refuse_nesting(repository, move.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        sync_folders(repository.sync_mode, [repository.common_dir, *_between(repository, place)])
    try:
        claim.take(place.with_name(f"{place.name}.lock"))
    except LockHeld as error:
        raise ConflictError(
            f"'{move.name}' is locked by another process",
            cause=f"'{error}' exists",
            hint="wait for it and repeat; if none is running, 'git esaa doctor' names the lock",
        ) from error
    reach(Point.REF_LOCKED)
    if move.old is None:
        _refuse_nesting(repository, move.name)
        if place.is_dir():
            _remove_empty(place)


def _compare(refs: RefStore, move: RefMove) -> None:
    found = refs.read(move.name)
    if found != move.old:
        raise ConflictError(
            f"'{move.name}' moved while appending",
            cause=f"expected {_short(move.old)}, found {_short(found)}",
            hint="nothing was changed; repeat the command",
        )


def _moved(repository: Repository, move: RefMove) -> Point:
    if move.name == repository.events_ref:
        return Point.LOG_MOVED
    return Point.BRANCH_MOVED if move.name.startswith(_HEADS) else Point.REF_MOVED


def _short(oid: str | None) -> str:
    return "nothing" if oid is None else oid[:12]


# ---- a ref that is new ------------------------------------------------------------------------


def _refuse_nesting(repository: Repository, name: str) -> None:
    """Refuse `a/b` where there is `a`, and `a` where there is `a/b`: git could not keep both."""
    parts = name.split("/")
    above = {"/".join(parts[:end]) for end in range(2, len(parts))}
    for other in repository.raw.references:
        if other in above or other.startswith(f"{name}/"):
            raise RepositoryError(
                f"cannot create '{name}': '{other}' exists",
                hint=f"rename or delete one of the two, as in 'git update-ref -d {other}'",
            )


def _remove_empty(folder: Path) -> None:
    """Remove the folders that refs of other names have left."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir()
    folder.rmdir()


def _between(repository: Repository, place: Path) -> Iterator[Path]:
    """Yield the folders above a ref, from `refs` down, whose names may be new."""
    inside = place.relative_to(repository.common_dir).parts
    for end in range(1, len(inside) - 1):
        yield repository.common_dir.joinpath(*inside[:end])


# ---- reflogs ----------------------------------------------------------------------------------


def _write_reflogs(repository: Repository, move: RefMove) -> None:
    """Write the move down as git does (git-reflog(1)); never synced, for nothing is read from it.

    It is done before the ref moves, so that what fails for lack of room fails in time.
    """
    if _is_logged(repository, move.name):
        _append(repository, repository.common_dir / "logs" / move.name, move)
    head = repository.git_dir / "HEAD"
    names_it = move.name.startswith(_HEADS) and head.read_bytes() == b"ref: %s\n" % (
        move.name.encode()
    )
    if names_it and _is_logged(repository, "HEAD"):
        _append(repository, repository.git_dir / "logs" / "HEAD", move)


def _is_logged(repository: Repository, name: str) -> bool:
    folder = repository.git_dir if name == "HEAD" else repository.common_dir
    if (folder / "logs" / name).is_file():
        return True
    setting = (repository.setting("core.logAllRefUpdates") or "").lower()
    if setting == "always":
        return True
    if setting in ("false", "no", "off", "0") or (not setting and repository.workdir is None):
        return False
    return name == "HEAD" or name.startswith(_LOGGED)


_REFUSED = re.compile("[<>\0]")
"""What git leaves out of a name and an address (git-commit(1), "COMMIT INFORMATION")."""


def _append(repository: Repository, log: Path, move: RefMove) -> None:
    name, email = repository.identity("committer")
    if not name or not email:
        name, email = "git-esaa orchestrator", "orchestrator@esaa.invalid"
    name, email = (" ".join(_REFUSED.sub("", part).split()) for part in (name, email))
    now = int(time.time())
    offset = time.localtime(now).tm_gmtoff // 60
    sign, minutes = ("-", -offset) if offset < 0 else ("+", offset)
    zone = f"{sign}{minutes // 60:02}{minutes % 60:02}"
    message = " ".join(move.message.split())
    ids = f"{move.old or '0' * 40} {move.new}"
    line = f"{ids} {name} <{email}> {now} {zone}\t{message}\n"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        stream.write(bytes_of(line))
