"""Moving refs: lock, re-read, compare, set. The one primitive that loses no writer.

`references.create(force=True)` silently overwrites what another process wrote in between; git's
own lock files do not. Both refs of a transaction are locked before either moves, so a conflict
leaves both where they were. The log moves first: it is the commit point, and the branch can be
brought after it from what the log says.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pygit2

from esaa_git.errors import ConflictError
from esaa_git.git.repository import Repository

TURN_SECONDS = 10


@dataclass(frozen=True, slots=True)
class RefMove:
    """A ref is to go from one commit to another; `old` is None where it must not exist yet."""

    name: str
    old: str | None
    new: str
    message: str


def move_refs(repository: Repository, moves: Sequence[RefMove]) -> None:
    """Move the refs in this order, all of them or none.

    Raises:
        ConflictError: if a ref is locked by another process, or is not where its move begins.
    """
    with ExitStack() as stack:
        locked = [stack.enter_context(_locked(repository, move)) for move in moves]
        for move in moves:
            found = repository.ref_target(move.name)
            if found != move.old:
                raise ConflictError(
                    f"'{move.name}' moved while appending",
                    cause=f"expected {_short(move.old)}, found {_short(found)}",
                    hint="nothing was changed; repeat the command",
                )
        for transaction, move in zip(locked, moves, strict=True):
            transaction.set_target(move.name, move.new, message=move.message)
            transaction.commit()


@contextmanager
def take_turn(repository: Repository) -> Iterator[None]:
    """Take turns with the other processes here that are about to append.

    Comparing and setting loses nobody's events, but whoever takes longer to decide could lose
    every time. After `TURN_SECONDS` we go on all the same: the lock is a courtesy (flock(2) on
    the git directory), and whoever holds it may be waiting for a finger on a security key.
    """
    descriptor = os.open(repository.common_dir, os.O_RDONLY | os.O_CLOEXEC)
    give_up = time.monotonic() + TURN_SECONDS
    try:
        while time.monotonic() < give_up:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # held, or a file system without locks
                time.sleep(0.003)
            else:
                break
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _locked(repository: Repository, move: RefMove) -> Iterator[Any]:
    transaction = pygit2.transaction.ReferenceTransaction(repository.raw)
    try:
        transaction.lock_ref(move.name)
    except pygit2.GitError as error:
        raise ConflictError(
            f"'{move.name}' is locked by another process",
            cause=str(error),
            hint="wait for it and repeat; if none is running, 'git esaa doctor' names the lock",
        ) from error
    try:
        yield transaction
    finally:
        # Frees the locks that were not committed, and is harmless for those that were.
        transaction.__exit__(ConflictError, None, None)


def _short(oid: str | None) -> str:
    return "nothing" if oid is None else oid[:12]
