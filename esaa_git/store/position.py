"""Places in the log: `EV-00000042`, `42`, `@`, `@~3`, and the commit that each one means.

Commits know their parent alone, so the 42nd of 100,000 would be found by walking back from the
tip. `SequenceIndex` remembers the ids by sequence in `.git/esaa/sequence.index`. It is derived
and used for finding, never for believing: it is held against the tip's own history first, and
what it finds must carry the sequence number that was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import islice
from typing import NoReturn

import pygit2

from esaa_git.core.event import StoredEvent, event_id
from esaa_git.core.state import State
from esaa_git.errors import CorruptedError, NoLog, UsageError
from esaa_git.store.commitform import claimed_seq
from esaa_git.store.eventcommit import EventCommit, read_commit, read_event_commit
from esaa_git.store.files import write_atomically
from esaa_git.store.objects import message_of, raw_parent
from esaa_git.store.repository import Repository
from esaa_git.store.tip import load_tip

NEAR = 512
"""So many steps back from the tip are walked; farther ones are looked up."""

_FORM = re.compile(r"(?:EV-)?(?P<seq>[0-9]{1,16})|@(?:~(?P<back>[0-9]{0,16}))?")
_MAGIC = b"ESAASEQ1"
_HEAD = len(_MAGIC) + 32
_ID = 20


def is_position(spec: str) -> bool:
    """Answer whether the text has the form of a place in the log, whatever the log holds."""
    return _FORM.fullmatch(spec) is not None


def parse_position(spec: str, last: int) -> int:
    """Return the sequence number that the text means in a log of `last` events.

    Raises:
        UsageError: for an unknown form, a place before the first event or beyond the tip.
    """
    match = _FORM.fullmatch(spec)
    if match is None:
        raise UsageError(
            f"'{spec}' is not an event",
            hint="write EV-00000042 or 42, @ for the last event, @~3 for the third before it",
        )
    if match["seq"] is not None:
        seq = int(match["seq"])
    else:
        back = match["back"]
        seq = last - (0 if back is None else int(back or 1))
    if seq < 1:
        raise UsageError(
            f"'{spec}' is before the first event",
            cause=f"the log has {last} events, from {event_id(1)} to {event_id(last)}",
            hint="run 'git esaa log --reverse -n 1' to see where it begins",
        )
    if seq > last:
        raise UsageError(
            f"'{spec}' is beyond the end of the log",
            cause=f"the last event is {event_id(last)}",
            hint="run 'git esaa log -n 1' to see it",
        )
    return seq


def tip_of(repository: Repository) -> EventCommit:
    """Return the last event of the log.

    Raises:
        RepositoryError: if there is no log.
    """
    target = repository.ref_target(repository.events_ref)
    if target is None:
        raise NoLog
    return read_event_commit(repository.read, target)


def find_event(repository: Repository, spec: str) -> str:
    """Return the id of the commit that carries the event which the text means.

    Raises:
        UsageError: if the text means no event of this log.
        RepositoryError: if there is no log.
        CorruptedError: if the log cannot be read that far.
    """
    tip = tip_of(repository)
    return commit_at(repository, tip, parse_position(spec, tip.event.seq))


def commit_at(repository: Repository, tip: EventCommit, seq: int) -> str:
    """Return the id of the commit at this sequence number, from 1 to the tip's."""
    distance = tip.event.seq - seq
    if distance <= NEAR:
        found = next(islice(walk_back(repository, tip.oid), distance, None), None)
        return _miscounted(tip) if found is None else found
    index = SequenceIndex(repository)
    oid = index.find(tip, seq)
    if not _is_at(repository, oid, tip, seq):
        index.forget()
        oid = index.find(tip, seq)
        if not _is_at(repository, oid, tip, seq):
            raise CorruptedError(
                f"commit {oid[:12]} is not event {seq} of the log",
                hint="run 'git esaa verify' to see where the log is broken",
            )
    return oid


def state_at(repository: Repository, oid: str) -> State:
    """Return the state that the event commit records, loaded as far as it is read."""
    return load_tip(repository, oid).state


def events_between(repository: Repository, older: EventCommit, newer: str) -> Iterator[StoredEvent]:
    """Yield the events after `older` up to `newer`, oldest first."""
    for oid in walk_forward(repository, newer, after=older.oid):
        yield StoredEvent(read_event_commit(repository.read, oid).event, oid)


def events_about(
    repository: Repository, oid: str, task_id: str, approvals: Iterable[str] = ()
) -> Iterator[StoredEvent]:
    """Yield, newest first, every event that may be about one task; the caller looks closer.

    Messages say which task an event is about, so the others' trees are not even opened. A
    decision names its approval, and a run.init may create any task.
    """
    needles = [f"\nESAA-Task: {task_id}\n", "\n\nrun.init "]
    needles += [f" {approval_id}\n" for approval_id in approvals]
    wanted = [needle.encode() for needle in needles]
    for one, data in _raw_back(repository, oid):
        if any(needle in data for needle in wanted):
            yield StoredEvent(read_event_commit(repository.read, one).event, one)


def walk_back(repository: Repository, oid: str) -> Iterator[str]:
    """Yield the commit and its ancestors to genesis, by raw bytes (git-replace(1), grafts).

    Raises:
        CorruptedError: at a commit that cannot be read, or that is none.
    """
    for one, _ in _raw_back(repository, oid):
        yield one


def _raw_back(repository: Repository, oid: str) -> Iterator[tuple[str, bytes]]:
    current: str | None = oid
    while current is not None:
        try:
            data = read_commit(repository.read, current)
        except (KeyError, ValueError, pygit2.GitError) as error:
            raise CorruptedError(
                f"event commit {current[:12]} cannot be read",
                cause=str(error),
                hint="run 'git esaa verify', or fetch the log again",
            ) from error
        yield current, data
        current = raw_parent(data)


def walk_forward(repository: Repository, oid: str, *, after: str | None = None) -> Iterator[str]:
    """Yield the commits up to this one, from genesis or from the one after `after`.

    Their ids are collected first, 20 bytes each.
    """
    ids = bytearray()
    for one in walk_back(repository, oid):
        if one == after:
            break
        ids += bytes.fromhex(one)
    for end in range(len(ids), 0, -_ID):
        yield ids[end - _ID : end].hex()


def events_up_to(repository: Repository, oid: str) -> Iterator[StoredEvent]:
    """Yield the events from the first one to the one that this commit carries."""
    for one in walk_forward(repository, oid):
        yield StoredEvent(read_event_commit(repository.read, one).event, one)


class SequenceIndex:
    """Ids of the log's commits by sequence number: a magic, a SHA-256, 20 bytes an event."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._path = repository.esaa_dir / "sequence.index"

    def find(self, tip: EventCommit, seq: int) -> str:
        """Return the id of the commit at `seq`, bringing the index after the tip where needed."""
        known = self._read()
        ids = self._follow(known, tip)
        if ids != known:
            self._write(ids)
        at = (seq - 1) * _ID
        return ids[at : at + _ID].hex()

    def forget(self) -> None:
        """Delete the index; the next `find` makes it again."""
        self._path.unlink(missing_ok=True)

    def _follow(self, known: bytes, tip: EventCommit) -> bytes:
        """Walk back from the tip to the first commit that the index has, and keep what is below.

        So an index that ended earlier is extended, and one of a history that was left is cut
        where the two part, or made anew.
        """
        newer = bytearray()
        seq = tip.event.seq
        for oid in walk_back(self._repository, tip.oid):
            one = bytes.fromhex(oid)
            if seq == 0:
                _miscounted(tip)
            if known[(seq - 1) * _ID : seq * _ID] == one:
                break
            newer += one[::-1]  # reversed once more with all the others
            seq -= 1
        else:
            if seq:
                _miscounted(tip)
        newer.reverse()
        return known[: seq * _ID] + bytes(newer)

    def _read(self) -> bytes:
        try:
            data = self._path.read_bytes()
        except OSError:
            return b""
        body = data[_HEAD:]
        whole = data.startswith(_MAGIC) and len(body) % _ID == 0
        return body if whole and sha256(body).digest() == data[len(_MAGIC) : _HEAD] else b""

    def _write(self, ids: bytes) -> None:
        try:
            write_atomically(self._path, _MAGIC + sha256(ids).digest() + ids)
        except OSError:
            return  # a repository that we may only read is searched without one


def _is_at(repository: Repository, oid: str, tip: EventCommit, seq: int) -> bool:
    try:
        trailers = read_event_commit(repository.read, oid).trailers
    except (CorruptedError, ValueError):
        return False
    return (trailers.get("ESAA-Seq"), trailers.get("ESAA-Log")) == (
        str(seq),
        tip.trailers.get("ESAA-Log"),
    )


def _miscounted(tip: EventCommit) -> NoReturn:
    raise CorruptedError(
        f"the log has not the {tip.event.seq} commits that its last event counts",
        hint="run 'git esaa verify' to see where it is broken",
    )


def seq_of(repository: Repository, oid: str) -> int:
    """Return the sequence number that an event commit claims; nothing below the commit is read.

    Raises:
        CorruptedError: if it claims none.
    """
    try:
        seq = claimed_seq(message_of(read_commit(repository.read, oid)))
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise CorruptedError(
            f"event commit {oid[:12]} cannot be read",
            cause=str(error),
            hint="run 'git esaa verify', or fetch the log again",
        ) from error
    if seq is None:
        raise CorruptedError(
            f"commit {oid[:12]} is not an event",
            cause="its message names no sequence number",
            hint="run 'git esaa verify'",
        )
    return seq


def common_event(repository: Repository, one: str, other: str) -> str | None:
    """Return the last event commit that both logs have, or None where they are two logs.

    By raw parents, so that no graft or replacement joins what is apart. It costs what the two
    have apart.

    Raises:
        CorruptedError: if either cannot be read that far.
    """
    left, right = walk_back(repository, one), walk_back(repository, other)
    ahead = seq_of(repository, one) - seq_of(repository, other)
    # The numbers are claims: where there are fewer commits, the walk ends with them.
    for _ in zip(range(ahead), left, strict=False):
        pass
    for _ in zip(range(-ahead), right, strict=False):
        pass
    for here, there in zip(left, right, strict=False):
        if here == there:
            return here
    return None


def contains(repository: Repository, tip: str, commit: str) -> bool:
    """Answer whether `commit` is `tip` or an ancestor of it; both are here."""
    if tip == commit:
        return True
    return repository.raw.descendant_of(pygit2.Oid(hex=tip), pygit2.Oid(hex=commit))


def genesis_of(repository: Repository, tip: str) -> str:
    """Return the first event commit of the log that ends here."""
    oid = tip
    for oid in walk_back(repository, tip):  # noqa: B007 - the last one is wanted
        pass
    if seq_of(repository, oid) != 1:
        raise CorruptedError(f"the log that ends with {tip[:12]} does not begin with event 1")
    return oid
