"""Since when each key signs what, as the log says it. Nothing here is verified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from esaa_git.store.eventcommit import read_contracts, read_event_commit
from esaa_git.store.objects import decode_commit, decode_tree
from esaa_git.store.repository import Repository
from esaa_git.store.tip import load_tip
from esaa_git.trust.keyring import Keyring


@dataclass(frozen=True, slots=True)
class Span:
    """Events that a key may sign, by sequence: from `first` to `last`, or to the log's end."""

    first: int
    last: int | None
    roles: frozenset[str]


def pinned_keyrings(repository: Repository) -> list[tuple[int, Keyring]]:
    """Return every keyring that was in force, with the sequence number of its `run.init`.

    Nothing here is verified: it is what the log says.
    """
    oid = repository.ref_target(repository.events_ref)
    if oid is None:
        return []
    seq = read_event_commit(repository.read, oid).event.seq
    found: list[tuple[int, str]] = []
    while oid is not None:
        commit = decode_commit(repository.read(oid)[1])
        contracts = decode_tree(repository.read(commit.tree)[1])["contracts"].oid
        # Backwards: what was noted last began here, unless its predecessor has the same.
        if found and found[-1][1] == contracts:
            found[-1] = (seq, contracts)
        else:
            found.append((seq, contracts))
        oid, seq = commit.parents[0] if commit.parents else None, seq - 1
    return [
        (seq, Keyring.of(read_contracts(repository.read, contracts)))
        for seq, contracts in reversed(found)
    ]


def spans(pinned: Sequence[tuple[int, Keyring]]) -> dict[str, list[Span]]:
    """Return when each key that ever was in force could sign what.

    A `run.init` that changes the keys is itself signed under those before it; the first under
    its own.
    """
    found: dict[str, list[Span]] = {}
    for place, (seq, keyring) in enumerate(pinned):
        first = seq if place == 0 else seq + 1
        last = pinned[place + 1][0] if place + 1 < len(pinned) else None
        for fingerprint in dict.fromkeys(key.fingerprint for key in keyring.keys):
            roles = keyring.roles_of(fingerprint)
            before = found.setdefault(fingerprint, [])
            if before and before[-1].last == first - 1 and before[-1].roles == roles:
                before[-1] = Span(before[-1].first, last, roles)
            else:
                before.append(Span(first, last, roles))
    return found


def keyring_in_force(repository: Repository) -> Keyring | None:
    """Return the keyring that the end of the log has pinned; None where there is no log."""
    tip = repository.ref_target(repository.events_ref)
    return None if tip is None else Keyring.of(load_tip(repository, tip).contracts)
