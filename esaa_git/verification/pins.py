"""The mark and the pin: what a clone knows of its log.

It knows by itself how far the log was verified, and which genesis it trusts.
Both files lie in `.git/esaa`, where no push and no fetch reaches. They are two because they are
kept by different hands: `verified.json` is written by every verification and may be deleted, and
the anchor that a person has pinned in `trust.json` must not go with it. Neither is ever skipped:
a file that is there and cannot be read stops the command. Neither counts but for the user and the
place that it was written for (`esaa_git.store.seal`).
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path

from esaa_git.errors import MismatchError, RepositoryError
from esaa_git.faults import Point, reach
from esaa_git.store.repository import Repository
from esaa_git.store.seal import Sealed, Unreadable, read_sealed, write_sealed

_OID = re.compile(r"[0-9a-f]{40}")
_LOG_ID = re.compile(r"[A-Za-z0-9-]{1,100}")


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the log was verified, kept locally.

    `genesis` is None where the log that is here ends before it (a shallow clone); `boundary` is
    then the commit that was trusted as it stands. `other_tips` are those of branches beside
    `branch` that held effects, `elsewhere` the effects (branch, commit, task) that other branches
    held and `branch` did not. Where `is_open`, something was only noted, and nothing strict begins.
    """

    log_id: str
    genesis: str | None
    tip: str
    seq: int
    branch: str | None = None
    branch_tip: str | None = None
    boundary: str | None = None
    other_tips: tuple[str, ...] = ()
    elsewhere: tuple[tuple[str, str, str], ...] = ()
    is_open: bool = False

    @property
    def branch_tips(self) -> tuple[str, ...]:
        """Every commit that led to effects, as far as the log was verified."""
        first = () if self.branch_tip is None else (self.branch_tip,)
        return tuple(dict.fromkeys((*first, *self.other_tips)))


@dataclass(frozen=True, slots=True)
class Pin:
    """The anchor that a person has pinned. `log_id` is None where the log was not here yet."""

    genesis: str
    log_id: str | None = None


def is_oid(text: object) -> bool:
    """Answer whether this is the whole id of an object: 40 lower-case hexadecimal digits."""
    return isinstance(text, str) and _OID.fullmatch(text) is not None


def mark_path(repository: Repository) -> Path:
    return repository.esaa_dir / "verified.json"


def pin_path(repository: Repository) -> Path:
    return repository.esaa_dir / "trust.json"


@dataclass(frozen=True, slots=True)
class Kept:
    """A verified point as it is kept here; `doubt` says why what is there does not count."""

    mark: Mark | None
    doubt: str | None = None


class PinUnusable(MismatchError):
    """A pin is there, and does not count for this user at this place."""


def keep(repository: Repository, path: Path) -> Kept:
    """Return the last verified point, or why what is there counts for none.

    No other function reads a mark: what is believed without being checked again comes from here,
    and counts only where it was written, for whom it was written (`esaa_git.store.seal`).

    Raises:
        RepositoryError: if the file is there and cannot be read.
    """
    hint = "delete it; the next 'git esaa verify' then starts from genesis"
    found = _read(repository, path, hint)
    if found.value is None:
        if found.doubt is None:
            return Kept(None)
        return Kept(None, f"'{path.name}' {found.doubt}, and counts for nothing")
    try:
        tips = tuple(found.value.get("other_tips", ()))
        apart = tuple((name, oid, task) for name, oid, task in found.value.get("elsewhere", ()))
        mark = Mark(**{**found.value, "other_tips": tips, "elsewhere": apart})
    except (TypeError, ValueError) as error:
        raise _unreadable(path, str(error), hint) from error
    _check(path, hint, "log_id", _is_log_id(mark.log_id))
    _check(path, hint, "tip", is_oid(mark.tip))
    _check(path, hint, "seq", type(mark.seq) is int and mark.seq > 0)
    for name in ("genesis", "boundary", "branch_tip"):
        value = getattr(mark, name)
        _check(path, hint, name, value is None or is_oid(value))
    _check(path, hint, "other_tips", all(map(is_oid, mark.other_tips)))
    _check(path, hint, "elsewhere", all(_is_place(*one) for one in mark.elsewhere))
    _check(path, hint, "is_open", type(mark.is_open) is bool)
    _check(path, hint, "branch", mark.branch is None or isinstance(mark.branch, str))
    _check(path, hint, "genesis", (mark.genesis is None) != (mark.boundary is None))
    return Kept(mark)


def read_mark(repository: Repository, path: Path) -> Mark | None:
    """Return the last verified point, or None where there is none that counts here.

    Raises:
        RepositoryError: if the file is there and cannot be read.
    """
    return keep(repository, path).mark


def write_mark(repository: Repository, path: Path, mark: Mark) -> bool:
    """Remember the verified point; answer False where this user has no place for a secret.

    Raises:
        OSError: if the repository cannot be written to.
    """
    return _write(repository, path, mark)


def read_pin(repository: Repository) -> Pin | None:
    """Return the pinned anchor, or None where none was pinned.

    Raises:
        RepositoryError: if the file is there and cannot be read.
        PinUnusable: if it was not pinned here, by this user.
    """
    path = pin_path(repository)
    hint = "ask somebody who knows the log for its first commit, delete the file, and run "
    hint += "'git esaa trust pin OID'"
    found = _read(repository, path, hint)
    if found.doubt is not None:
        claimed = (found.claimed or {}).get("genesis")
        again = claimed if is_oid(claimed) else "OID"
        raise PinUnusable(
            f"the pin in '{path}' does not count",
            cause=f"it {found.doubt}",
            hint="ask somebody who knows the log for its first commit, and run "
            f"'git esaa trust pin --replace {again}' if that is the one",
        )
    if found.value is None:
        return None
    try:
        pin = Pin(**found.value)
    except TypeError as error:
        raise _unreadable(path, str(error), hint) from error
    _check(path, hint, "genesis", is_oid(pin.genesis))
    _check(path, hint, "log_id", pin.log_id is None or _is_log_id(pin.log_id))
    return pin


def write_pin(repository: Repository, pin: Pin) -> None:
    """Pin an anchor.

    Raises:
        RepositoryError: if this user has no configuration folder to keep a secret in.
    """
    if not _write(repository, pin_path(repository), pin):
        raise RepositoryError(
            "nothing was pinned: there is no place for a secret that makes the pin yours",
            cause="neither XDG_CONFIG_HOME nor HOME names a folder that you can write to and "
            "nobody else reads",
            hint="set one of them, or name the genesis each time: 'git esaa verify --genesis OID'",
        )


def _write(repository: Repository, path: Path, value: Mark | Pin) -> bool:
    done = write_sealed(repository.esaa_dir, _name(repository, path), asdict(value))
    reach(Point.MARK_WRITTEN)
    return done


def _read(repository: Repository, path: Path, hint: str) -> Sealed:
    try:
        return read_sealed(repository.esaa_dir, _name(repository, path))
    except Unreadable as error:
        raise _unreadable(path, str(error), hint) from error


def _name(repository: Repository, path: Path) -> str:
    return path.relative_to(repository.esaa_dir).as_posix()


def _is_place(name: object, oid: object, task_id: object) -> bool:
    return isinstance(name, str) and is_oid(oid) and isinstance(task_id, str)


def _is_log_id(value: object) -> bool:
    return isinstance(value, str) and _LOG_ID.fullmatch(value) is not None


def _check(path: Path, hint: str, name: str, holds: bool) -> None:
    if not holds:
        raise _unreadable(path, f"its '{name}' is not what belongs there", hint)


def _unreadable(path: Path, cause: str, hint: str) -> RepositoryError:
    return RepositoryError(f"'{path}' cannot be read", cause=cause, hint=hint)
