"""Processes of one repository that take turns; the kernel frees a lock when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from esaa_git.store.repository import Repository

TURN_SECONDS = 10


@contextmanager
def take_turn(repository: Repository) -> Iterator[None]:
    """Take turns with the other processes here that are about to append.

    Comparing and setting loses nobody's events, but whoever takes longer to decide could lose
    every time. After `TURN_SECONDS` we go on all the same: the lock is a courtesy (flock(2) on
    the git directory), and whoever holds it may be waiting for a finger on a security key.
    """
    descriptor = os.open(repository.common_dir, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _lock(descriptor, time.monotonic() + TURN_SECONDS, pause=0.003)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """Wait until nobody else holds this lock, another thread of this process neither; hold it.

    Args:
        place: the lock file, which stays.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _lock(descriptor, None, pause=0.05)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, give_up: float | None, *, pause: float) -> None:
    """Lock it; go on without where the time is up, or the file system has no locks."""
    while give_up is None or time.monotonic() < give_up:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(pause)
        except OSError:
            return
        else:
            return
