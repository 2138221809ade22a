"""What a clone knows of its log by itself: how far it was verified, and which genesis it trusts.

Both files lie in `.git/esaa`, where no push and no fetch reaches. They are two because they are
kept by different hands: `verified.json` is written by every verification and may be deleted, and
the anchor that a person has pinned in `trust.json` must not go with it. Neither is ever skipped:
a file that is there and cannot be read stops whoever asks.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from esaa_git.errors import RepositoryError
from esaa_git.faults import Point, reach
from esaa_git.store.journal import write_atomically
from esaa_git.store.repository import Repository

_OID = re.compile(r"[0-9a-f]{40}")
_LOG_ID = re.compile(r"[A-Za-z0-9-]{1,100}")


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the log was verified, kept locally.

    `genesis` is None where the log that is here ends before it (a shallow clone); `boundary` is
    then the commit that was trusted as it stands.
    """

    log_id: str
    genesis: str | None
    tip: str
    seq: int
    branch: str | None = None
    branch_tip: str | None = None
    boundary: str | None = None


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


def read_mark(path: Path) -> Mark | None:
    """Return the last verified point, or None where nothing was verified yet.

    Raises:
        RepositoryError: if the file is there and cannot be read.
    """
    hint = "delete it; the next 'git esaa verify' then starts from genesis"
    document = _read(path, hint)
    if document is None:
        return None
    try:
        mark = Mark(**document)
    except TypeError as error:
        raise _unreadable(path, str(error), hint) from error
    _check(path, hint, "log_id", _is_log_id(mark.log_id))
    _check(path, hint, "tip", is_oid(mark.tip))
    _check(path, hint, "seq", type(mark.seq) is int and mark.seq > 0)
    for name in ("genesis", "boundary", "branch_tip"):
        value = getattr(mark, name)
        _check(path, hint, name, value is None or is_oid(value))
    _check(path, hint, "branch", mark.branch is None or isinstance(mark.branch, str))
    _check(path, hint, "genesis", (mark.genesis is None) != (mark.boundary is None))
    return mark


def write_mark(path: Path, mark: Mark) -> None:
    """Remember the verified point."""
    _write(path, mark)


def read_pin(repository: Repository) -> Pin | None:
    """Return the pinned anchor, or None where nobody pinned one.

    Raises:
        RepositoryError: if the file is there and cannot be read.
    """
    path = pin_path(repository)
    hint = "ask somebody who knows the log for its first commit, delete the file, and run "
    hint += "'git esaa trust pin OID'"
    document = _read(path, hint)
    if document is None:
        return None
    try:
        pin = Pin(**document)
    except TypeError as error:
        raise _unreadable(path, str(error), hint) from error
    _check(path, hint, "genesis", is_oid(pin.genesis))
    _check(path, hint, "log_id", pin.log_id is None or _is_log_id(pin.log_id))
    return pin


def write_pin(repository: Repository, pin: Pin) -> None:
    """Pin an anchor."""
    _write(pin_path(repository), pin)


def _write(path: Path, value: Mark | Pin) -> None:
    write_atomically(path, json.dumps(asdict(value), indent=1).encode() + b"\n")
    reach(Point.MARK_WRITTEN)


def _read(path: Path, hint: str) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error), hint) from error
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, str(error), hint) from error
    if not isinstance(document, dict):
        raise _unreadable(path, "it is not an object", hint)
    return document


def _is_log_id(value: object) -> bool:
    return isinstance(value, str) and _LOG_ID.fullmatch(value) is not None


def _check(path: Path, hint: str, name: str, holds: bool) -> None:
    if not holds:
        raise _unreadable(path, f"its '{name}' is not what belongs there", hint)


def _unreadable(path: Path, cause: str, hint: str) -> RepositoryError:
    return RepositoryError(f"'{path}' cannot be read", cause=cause, hint=hint)
