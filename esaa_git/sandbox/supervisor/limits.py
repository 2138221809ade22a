"""What a program may use up: memory, processes, disk."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TypedDict

from esaa_git.sandbox.supervisor.tree import descendants, is_zombie, read

DISK_SECONDS = 0.1
"""How often the disk is looked at; more seldom where that takes long."""


class Limits(TypedDict):
    """The limits of a job; None is no limit. See `runner.Limits`."""

    memory_bytes: int | None
    processes: int | None
    disk_bytes: int | None


def hold(pid: int, limits: Limits) -> None:
    """Have the kernel hold what it can: no core dump, the size of a file, the memory of a process.

    Args:
        pid: whose limits, where 0 is this process.
        limits: what to hold.
    """
    kept = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: limits["disk_bytes"],
        resource.RLIMIT_DATA: limits["memory_bytes"],
    }
    for which, wanted in kept.items():
        if wanted is None:
            continue
        hard = resource.getrlimit(which)[1]
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if pid:
            resource.prlimit(pid, which, (most, most))
        else:
            resource.setrlimit(which, (most, most))


def lend(limits: Limits) -> None:
    """Let a program that starts from here inherit its limit of a file's size; our own is the same.

    Not that of memory: where it is small, we could not start anything ourselves.
    """
    limit = limits["disk_bytes"]
    if limit is not None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class LimitWatch:
    """Looks whether what was started uses more than it may.

    Args:
        limits: what it may use.
        folders: where it writes.
        spare: how many processes are not its own.

    Attributes:
        without: a process of ours whose memory does not count.
    """

    def __init__(self, limits: Limits, folders: Sequence[str], spare: int) -> None:
        self._memory = limits["memory_bytes"]
        self._processes = limits["processes"]
        self._spare = spare
        self.without = 0
        limit = limits["disk_bytes"]
        self._disk = None if limit is None else DiskWatch(folders, limit)

    def broken(self) -> str | None:
        """Return the name of a limit that is broken now."""
        pids = descendants()
        if self._processes is not None and len(pids) - self._spare > self._processes:
            alive = [pid for pid in pids if not is_zombie(pid)]
            if len(alive) - self._spare > self._processes:
                return "processes"
        pids = [pid for pid in pids if pid != self.without]
        # What is shared counts in each; where that may matter, we look more closely.
        if (
            self._memory is not None
            and sum(map(_resident, pids)) > self._memory
            and sum(map(_proportional, pids)) > self._memory
        ):
            return "memory_bytes"
        return "disk_bytes" if self._disk is not None and self._disk.is_full(pids) else None


class DiskWatch:
    """Looks whether more than a limit was written, without looking at every file each time.

    Only where the file system lost half of the limit since the start are files counted: the blocks
    of those that changed since then, and of those that were removed and are still open.
    """

    def __init__(self, folders: Sequence[str], limit: int) -> None:
        self._folders = folders
        self._limit = limit
        self._since = time.time() - 1
        self._free = {folder: _free(folder) for folder in folders}
        self._next_look = 0.0

    def is_full(self, pids: Sequence[int]) -> bool:
        """Answer whether the limit is broken."""
        if time.monotonic() < self._next_look:
            return False
        began = time.monotonic()
        full = self._is_suspect() and self._written(pids) > self._limit
        took = time.monotonic() - began
        self._next_look = began + max(DISK_SECONDS, 10 * took)
        return full

    def _is_suspect(self) -> bool:
        for folder, before in self._free.items():
            now = _free(folder)
            if before is None or now is None or before - now > self._limit // 2:
                return True
        return False

    def _written(self, pids: Sequence[int]) -> int:
        found: dict[tuple[int, int], int] = {}
        for folder in self._folders:
            for place, _, names in os.walk(folder):
                for name in names:
                    with suppress(OSError):
                        self._count(found, os.lstat(f"{place}/{name}"))
        for pid in pids:
            with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
                for entry in entries:
                    with suppress(OSError):
                        about = entry.stat()
                        if about.st_nlink == 0:
                            self._count(found, about)
        return sum(found.values())

    def _count(self, found: dict[tuple[int, int], int], about: os.stat_result) -> None:
        if about.st_ctime >= self._since:
            found[about.st_dev, about.st_ino] = about.st_blocks * 512


def _resident(pid: int) -> int:
    return 1024 * _sum(f"/proc/{pid}/status", ("RssAnon:", "RssShmem:"))


def _proportional(pid: int) -> int:
    return 1024 * _sum(f"/proc/{pid}/smaps_rollup", ("Pss_Anon:", "Pss_Shmem:"))


def _sum(path: str, names: tuple[str, ...]) -> int:
    total = 0
    with suppress(OSError):
        for line in read(path).splitlines():
            words = line.split()
            if words and words[0] in names:
                total += int(words[1])
    return total


def _free(folder: str) -> int | None:
    try:
        about = os.statvfs(folder)
    except OSError:
        return None
    return about.f_bfree * about.f_frsize if about.f_blocks else None
