"""The git program as a hook sees it: in the quarantine, and with what was pushed as it is.

`esaa_git.store.program` takes away the variables by which git points a hook at what was pushed;
here they stay. `subprocess` would double the time that Python takes to start, for which every
push would pay, so processes are started one level below.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import IO, Any, NamedTuple

from esaa_git.core import limits
from esaa_git.errors import CorruptedError, RefusedError, RepositoryError
from esaa_git.hooks.commands import Settings, parse_settings
from esaa_git.hooks.deadline import too_much
from esaa_git.store.trailers import speaks_of_us

_ADDED = {
    "GIT_GRAFT_FILE": os.devnull,
    # git-replace(1) shows other objects than the ones that were signed.
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
}


_EVENTS_TRAILERS = ("Log", "Seq", "Event-SHA256", "Prev-SHA256")
_LONGEST_EVENT = 1 << 16
"""An event's commit is shorter: headers, a signature, a subject and seven trailers."""


_PART, _LINE = 1 << 16, 1 << 10
_CLAIMS = 32 * limits.MIB
"""Bytes that the commits of one push may have which claim events; an effect takes one KiB."""


class Remote(NamedTuple):
    """Where a push goes: the name that git has for it, or the URL again, and the URL."""

    name: str
    url: str


class Process:
    """A running git, whose standard output is `out`."""

    def __init__(self, *arguments: str, stdin: int | None = None) -> None:
        self._arguments = arguments
        # Python's descriptors are closed in a new program unless an action says otherwise.
        self.out, out = os.pipe()
        self._err, err = os.pipe()
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_DUP2, out, 1),
            (os.POSIX_SPAWN_DUP2, err, 2),
        ]
        if stdin is None:
            actions.append((os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0))
        else:
            actions.append((os.POSIX_SPAWN_DUP2, stdin, 0))
        try:
            self._pid = os.posix_spawnp(
                "git", ["git", *arguments], {**os.environ, **_ADDED}, file_actions=actions
            )
        except OSError as error:
            raise RepositoryError(
                "cannot run 'git'",
                cause=f"{error.strerror or error}",
                hint="see that PATH names its folder where the hook runs",
            ) from error
        finally:
            for end in (out, err, stdin):
                if end is not None:
                    os.close(end)

    def finish(self) -> int:
        """Wait for the end and return the exit status."""
        with os.fdopen(self._err, "rb") as stream:
            self.said = stream.read(2000).decode(errors="replace").strip()
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def failure(self, status: int) -> CorruptedError:
        return CorruptedError(
            f"what was pushed cannot be read: 'git {self._arguments[0]}' failed",
            cause=self.said or f"exit status {status}",
            hint="run 'git fsck' where it was pushed from, and on the server",
        )


def read_settings() -> Settings:
    """Return what the repository in which the hook runs is configured to ask for.

    Raises:
        ConfigurationError: if a setting, or the configuration as a whole, cannot be read.
    """
    process = Process("config", "-z", "--get-regexp", r"^esaa\.")
    with os.fdopen(process.out, "rb") as stream:
        data = stream.read()
    status = process.finish()
    if status not in (0, 1):  # 1: nothing of ours is set
        raise process.failure(status)
    return parse_settings(data)


def new_commits(
    tips: Iterable[str], *hidden: str, known: Iterable[str] = ()
) -> Iterator[tuple[str, bytes]]:
    """Yield (id, raw bytes) of the commits that lead to the tips and to none of those known.

    Args:
        hidden: options of git-rev-list(1) that name more of what is known, such as `--glob=...`.

    Raises:
        CorruptedError: if git cannot read one of them.
    """
    source, sink = os.pipe()
    arguments = ("--not", *hidden) if hidden else ()
    walk = Process("rev-list", "--stdin", *arguments, stdin=source)
    read = Process("cat-file", "--batch", "--buffer", stdin=walk.out)
    # git reads all of this before it writes anything. A leading `^` means "not".
    _write(sink, "".join([*(f"{tip}\n" for tip in tips), *(f"^{oid}\n" for oid in known)]))
    with os.fdopen(read.out, "rb", 1 << 16) as stream:
        while header := stream.readline():
            words = header.split()
            if len(words) != 3 or words[1] != b"commit":
                raise CorruptedError(
                    "what was pushed cannot be read", cause=header.decode(errors="replace").strip()
                )
            yield words[0].decode(), _content(stream, int(words[2]), words[0].decode())
    for process in (walk, read):
        status = process.finish()
        if status:
            raise process.failure(status)


def _content(stream: IO[bytes], size: int, oid: str) -> bytes:
    """Return the next commit that git-cat-file(1) writes; nothing of one longer than an effect.

    Such a one is looked through all the same, in parts: it may not pose as an effect.
    """
    if size <= limits.BRANCH_COMMIT:
        return stream.read(size + 1)[:-1]
    left, end, head = size + 1, b"", None
    while left:
        part = stream.read(min(left, _PART))
        if not part:
            break  # git says why with its exit status
        left -= len(part)
        if head is None:  # with its headers, which say in which encoding the rest is
            head, _, part = part.partition(b"\n\n")
        if speaks_of_us(b"%b\n\n%b%b" % (head, end, part)):
            raise too_much(f"commit {oid[:12]} claims an event, and has {size:,} bytes")
        # However much white space lies in a line that is cut here, its beginning is kept.
        end = re.sub(rb"[ \t\r]{2,}", b" ", end + part)[-_LINE:]
    return b""


def speaking(commits: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    """Return the commits, in raw bytes, that claim something of ours or bear our name.

    A push without any pays for no import of what judges them.
    """
    found, kept = {}, 0
    for oid, data in commits:
        if speaks_of_us(data):
            found[oid] = data
            kept += len(data)
            if kept > _CLAIMS:
                raise too_much(f"commits that claim events have more than {_CLAIMS:,} bytes")
    return found


def event_tips(names: Iterable[str]) -> frozenset[str]:
    """Return those of these refs and ids that name a commit with the form of an event.

    That is the trailers which every event has, and an `event.json` in its tree. It costs one
    process, and more only for a commit with such trailers.
    """
    asked = list(names)
    source, sink = os.pipe()
    process = Process("cat-file", "--batch", "--buffer", stdin=source)
    _write(sink, "".join(f"{name}\n" for name in asked))
    found = []
    with os.fdopen(process.out, "rb", 1 << 16) as stream:
        for name in asked:
            words = stream.readline().split()
            if len(words) != 3:  # `<name> missing`
                continue
            left = int(words[2]) + 1
            data = stream.read(min(left, _LONGEST_EVENT))
            left -= len(data)
            while left and (skipped := stream.read(min(left, 1 << 16))):
                left -= len(skipped)
            if words[1] == b"commit" and _has_events_trailers(data):
                found.append((name, words[0].decode()))
    status = process.finish()
    if status:
        raise process.failure(status)
    return frozenset(name for name, oid in found if _exists(f"{oid}:event.json"))


def _has_events_trailers(data: bytes) -> bool:
    return all(f"\nESAA-{name}: ".encode() in data for name in _EVENTS_TRAILERS)


def refs_at(prefix: str) -> dict[str, str]:
    """Return the refs below a folder, or the one of this name, each with its object's id."""
    process = Process("for-each-ref", "--format=%(objectname) %(refname)", prefix)
    with os.fdopen(process.out, "rb") as stream:
        lines = stream.read().decode("utf-8", "surrogateescape").splitlines()
    status = process.finish()
    if status:
        raise process.failure(status)
    return {ref: oid for oid, _, ref in (line.partition(" ") for line in lines)}


def not_in(commits: Iterable[str], *tips: str) -> set[str]:
    """Return the commits, and what leads to them, that lead to none of the tips."""
    wanted = list(commits)
    return {oid for oid, _ in new_commits(wanted, known=tips)} if wanted else set()


def is_here(oid: str) -> bool:
    """Answer whether a commit is stored in this repository."""
    return _exists(f"{oid}^{{commit}}")


def _exists(name: str) -> bool:
    process = Process("cat-file", "-e", name)
    os.close(process.out)
    return process.finish() == 0


def noting(commits: Iterable[tuple[str, bytes]], oids: set[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the commits, and put down the id of each."""
    for oid, data in commits:
        oids.add(oid)
        yield oid, data


def ask_remote(remote: Remote, ref: str) -> str | None:
    """Return where a ref of the remote is now, or None where it has none.

    Raises:
        RefusedError: if the remote cannot be asked.
    """
    process = Process("ls-remote", "--refs", "--", remote.url, ref)
    with os.fdopen(process.out, "rb") as stream:
        lines = stream.read().decode("utf-8", "surrogateescape").splitlines()
    if process.finish():
        raise RefusedError(
            f"the remote cannot be asked where its '{ref}' is",
            cause=process.said or None,
            hint="repeat the push when it can be reached",
        )
    # git matches the end of names: `refs/x/refs/heads/main` would be listed as well.
    return next((line.split("\t")[0] for line in lines if line.endswith(f"\t{ref}")), None)


def _write(descriptor: int, text: str) -> None:
    data = text.encode()
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except BrokenPipeError:
        return  # git has given up, and its exit status says so
    finally:
        os.close(descriptor)
