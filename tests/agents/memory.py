"""What agents are given in these tests: files, time and requests that live in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from hashlib import sha1
from pathlib import Path
from typing import Any

from esaa_git.agents.adapter import AdapterContext
from esaa_git.core.contracts import AgentEntry
from esaa_git.core.event import after, timestamp
from esaa_git.ports.agent import Request, Workspace, Workspaces
from esaa_git.ports.files import FileEntry, NotAFile

BASE = "b" * 40
NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)


class MemoryBlobs:
    """Contents by id."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def read(self, oid: str) -> bytes:
        return self.contents[oid]

    def write(self, content: bytes) -> str:
        oid = sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()
        self.contents[oid] = content
        return oid


class MemoryTrees:
    """The files of one commit, `BASE`."""

    def __init__(self, entries: Mapping[str, FileEntry | NotAFile]) -> None:
        self.entries = entries

    def entry(self, commit: str, path: str) -> FileEntry | NotAFile | None:
        assert commit == BASE
        return self.entries.get(path)

    def folder(self, commit: str, path: str) -> Mapping[str, FileEntry | NotAFile]:
        assert commit == BASE
        return {name: entry for name, entry in self.entries.items() if "/" not in name + path}

    def paths(self, commit: str, below: Sequence[str] = ("",)) -> Iterator[tuple[str, FileEntry]]:
        assert commit == BASE
        for path, entry in sorted(self.entries.items()):
            if isinstance(entry, FileEntry):
                yield path, entry


class StillClock:
    """It is always `NOW`; every look at it is counted."""

    def __init__(self) -> None:
        self.looks = 0

    def now(self) -> datetime:
        self.looks += 1
        return NOW

    def monotonic(self) -> float:
        raise AssertionError("nobody measures with this clock")

    def between(self, least: float, most: float) -> float:
        raise AssertionError("nobody draws lots with this clock")

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits on this clock")


class NoWorkspaces:
    """For adapters that ask for no checkout."""

    def open(
        self, base: str, changes: Mapping[str, FileEntry | None] | None = None
    ) -> AbstractContextManager[Workspace]:
        raise AssertionError("nobody asks for a checkout here")


def context(
    root: Path | None = None,
    *,
    trees: MemoryTrees | None = None,
    blobs: MemoryBlobs | None = None,
    workspaces: Workspaces | None = None,
    clock: StillClock | None = None,
    max_output_bytes: int = 1000,
    sandbox: str = "none",
    prompts: Mapping[str, bytes] | None = None,
) -> AdapterContext:
    """What an adapter is given, of this module's making where a test has nothing else."""
    return AdapterContext(
        root,
        trees or MemoryTrees({}),
        blobs or MemoryBlobs(),
        workspaces or NoWorkspaces(),
        clock or StillClock(),
        max_output_bytes,
        sandbox,
        (prompts or {}).get,
    )


def entry(adapter: str, **settings: Any) -> AgentEntry:
    return AgentEntry("coder", adapter, "some-model", settings)


def request(
    body: bytes = b'{"task":1}\n',
    *,
    read: tuple[str, ...] = ("**",),
    left_ms: int = 100_000,
) -> Request:
    """A request whose deadline is this many milliseconds after `NOW`."""
    return Request(
        "T-1000",
        "T-1000-A2",
        BASE,
        body,
        read,
        after(timestamp(NOW), left_ms),
        body,
    )


def no_pause() -> None:
    """Nobody interrupts this attempt."""
