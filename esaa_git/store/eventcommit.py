"""Reading one commit of the log, within bounds: its event, its contracts, its programs.

Nothing here is verified. What is larger than an honest writer makes it is not read at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from esaa_git.core import limits
from esaa_git.core.contracts import Contracts, is_contract_file
from esaa_git.core.event import Event, MalformedEvent, decode
from esaa_git.core.events.fields import Mode, ProgramPin
from esaa_git.core.programs import MAX_BYTES, Programs
from esaa_git.core.state import PinnedProgram
from esaa_git.errors import CorruptedError
from esaa_git.store import commitform
from esaa_git.store.objects import (
    COMMIT,
    MODE_FILE,
    Commit,
    MalformedObject,
    Reader,
    TreeEntry,
    decode_commit,
    read_blob,
    read_tree,
)
from esaa_git.store.statetree import pinned_programs


@dataclass(frozen=True, slots=True)
class EventCommit:
    """One commit of the log, taken apart; nothing about it is verified yet."""

    oid: str
    commit: Commit
    tree: dict[str, TreeEntry]
    event: Event

    @property
    def trailers(self) -> dict[str, str]:
        return dict(commitform.trailers(self.commit.message))

    @property
    def parent(self) -> str | None:
        return self.commit.parents[0] if self.commit.parents else None


def read_event_commit(reader: Reader, oid: str) -> EventCommit:
    """Return the event commit with this id.

    Raises:
        CorruptedError: if it, its tree or its event cannot be read.
    """
    try:
        commit = decode_commit(read_commit(reader, oid))
        tree = read_tree(reader, commit.tree, limits.EVENT_TREE)
        event = read_blob(reader, tree["event.json"], limits.EVENT)
        return EventCommit(oid, commit, tree, decode(event))
    except KeyError as error:
        raise CorruptedError(
            f"event commit {oid[:12]} is incomplete", cause=f"{error} is missing"
        ) from error
    except (MalformedObject, MalformedEvent) as error:
        raise CorruptedError(
            f"commit {oid[:12]} is not an event", cause=str(error), hint="run 'git esaa verify'"
        ) from error


def read_commit(reader: Reader, oid: str) -> bytes:
    """Return the raw bytes of a commit of the log, or of an effect.

    Raises:
        KeyError: where there is no such object.
        MalformedObject: if it is larger than such a commit is, or none.
    """
    kind, data = reader(oid, limits.COMMIT)
    if kind != COMMIT:
        raise MalformedObject("not a commit")
    return data


def read_contracts(reader: Reader, oid: str, programs: Programs | None = None) -> Contracts:
    """Return the contracts pinned in a `contracts/` tree, with the programs beside them."""
    files: dict[str, bytes] = {}
    room = limits.CONTRACTS
    for name, entry in contract_entries(reader, oid).items():
        files[name] = read_blob(reader, entry, min(room, limits.CONTRACT_FILE))
        room -= len(files[name])
    return Contracts(files, programs)


def read_signers(reader: Reader, oid: str, *names: str) -> Contracts:
    """Return the files that name keys, and nothing else, of a `contracts/` tree."""
    entries = contract_entries(reader, oid)
    found = [name for name in names if name in entries]
    return Contracts({name: read_blob(reader, entries[name], limits.SIGNERS) for name in found})


def contract_entries(reader: Reader, oid: str) -> dict[str, TreeEntry]:
    """Return the entries of a `contracts/` tree, none of whose files is read.

    Raises:
        MalformedObject: for a tree that is none of contracts.
    """
    entries = read_tree(reader, oid)
    if len(entries) > limits.CONTRACT_FILES:
        raise MalformedObject(f"there are more than {limits.CONTRACT_FILES} contracts")
    for name, entry in entries.items():
        if entry.mode != MODE_FILE or not is_contract_file(name):
            raise MalformedObject(f"'{name}' does not belong among the contracts")
    return entries


def contracts_of(reader: Reader, found: EventCommit) -> Contracts:
    """Return the contracts that an event commit carries, with the programs that are pinned.

    Raises:
        MalformedObject: if they are not what the state beside them says.
    """
    listed = pinned_programs(reader, found.tree["roadmap"].oid).pinned
    pins = None if listed is None else tuple(map(_as_pin, listed))
    programs = read_programs(reader, found.tree.get("programs"), pins)
    return read_contracts(reader, found.tree["contracts"].oid, programs)


def _as_pin(program: PinnedProgram) -> ProgramPin:
    mode = cast("Mode", program.mode)
    return ProgramPin(path=program.path, mode=mode, sha256=program.sha256)


def read_programs(
    reader: Reader, entry: TreeEntry | None, pins: tuple[ProgramPin, ...] | None
) -> Programs | None:
    """Return the programs of a `programs/` tree that are listed so; contents are read when asked.

    Raises:
        MalformedObject: if the tree holds other files than those.
    """
    if entry is None and pins is None:
        return None
    if entry is None or pins is None:
        there = "no" if entry is None else "a"
        raise MalformedObject(f"there is {there} 'programs', and the list of them says otherwise")
    entries = read_tree(reader, entry.oid)
    if entries.keys() != {pin.sha256 for pin in pins}:
        raise MalformedObject("'programs' holds other files than are listed")
    if any(one.mode != MODE_FILE for one in entries.values()):
        raise MalformedObject("'programs' holds more than files")
    return Programs(pins, lambda sha256: read_blob(reader, entries[sha256], MAX_BYTES))
