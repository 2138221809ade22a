"""Writes event commits that no honest orchestrator would: the attacker's side of the tests.

An attacker may rewrite commits byte by byte (`rewrite`), or hold the orchestrator's own
key and write whole events anew, each consistent with its forged predecessor (`Forger`).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esaa_git.core import canonical
from esaa_git.core.approvals import SUBJECT
from esaa_git.core.contracts import Contracts
from esaa_git.core.event import NO_PREDECESSOR, Event, decode
from esaa_git.core.projection import evolve
from esaa_git.core.state import EMPTY, State
from esaa_git.store import commitform
from esaa_git.store.eventcommit import EventCommit
from esaa_git.store.objects import (
    BLOB,
    COMMIT,
    MODE_FILE,
    MODE_TREE,
    TREE,
    TreeEntry,
    decode_tree,
    encode_tree,
    sign_commit,
)
from esaa_git.store.repository import Repository
from esaa_git.store.statetree import StateTree
from esaa_git.trust.keys import create_key, load_signer
from esaa_git.trust.signer import KeySpec, Signer
from tests.support.logs import PERSON
from tests.support.project import Project

Sign = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Draft:
    """A commit about to be written. Without a signature in `signed` it is left unsigned.

    `parents` is None where its predecessor in the rewritten chain is to be its parent; `finish`
    has the last word on the bytes.
    """

    tree: str
    author: bytes
    committer: bytes
    message: bytes
    parents: tuple[str, ...] | None = None
    headers: tuple[bytes, ...] = ()
    signed: Sign | bytes | None = None
    finish: Callable[[bytes], bytes] = lambda data: data

    def write(self, repository: Repository, parent: str | None) -> str:
        parents = self.parents
        if parents is None:
            parents = () if parent is None else (parent,)
        lines = [b"tree " + self.tree.encode()]
        lines += [b"parent " + one.encode() for one in parents]
        lines += [b"author " + self.author, b"committer " + self.committer, *self.headers]
        payload = b"\n".join([*lines, b"", self.message])
        if self.signed is not None:
            armored = self.signed if isinstance(self.signed, bytes) else self.signed(payload)
            payload = sign_commit(payload, armored)
        return repository.put(COMMIT, self.finish(payload))


def draft_of(found: EventCommit, signed: Sign | bytes | None) -> Draft:
    """Return an event commit as it is, to be changed in one place."""
    commit = found.commit
    return Draft(commit.tree, commit.author, commit.committer, commit.message, signed=signed)


def rewrite(
    project: Project,
    change: Callable[[int, Draft], Draft | Iterable[Draft]],
    *,
    sign: Sign | None,
    everything: bool = False,
) -> str:
    """Write the log anew, each commit on its new predecessor, and move the ref there.

    Args:
        change: takes a sequence number and its commit; returns what stands there instead.
        sign: signs every commit that is not the one it was; None keeps the old signatures.
        everything: sign also what comes before the first change.
    """
    repository = project.repository
    parent: str | None = None
    for found in project.chain():
        old = found.commit.signatures[0]
        ours = sign if sign is None or everything else signs(project, found.event.actor, sign)
        draft = draft_of(found, old if ours is None else ours)
        changed = change(found.event.seq, draft)
        drafts = [changed] if isinstance(changed, Draft) else list(changed)
        if drafts == [draft] and parent == found.parent and not everything:
            parent = found.oid
            continue
        for one in drafts:
            parent = one.write(repository, parent)
    assert parent is not None
    point(project, parent)
    return parent


def signs(project: Project, actor: str, sign: Sign) -> Sign:
    """Return how an actor's events are signed: a person whose key is here has that one."""
    key = project.path / ".git/people" / actor
    if "@" in actor and key.exists():
        return load_signer(KeySpec("ssh", str(key))).sign
    return project.persons_signer.sign if actor == PERSON else sign


def point(project: Project, commit: str, ref: str = "refs/esaa/events") -> None:
    """Move a ref past all that git-esaa does about it."""
    project.git("update-ref", ref, commit)


def with_entries(project: Project, tree: str, **entries: TreeEntry | None) -> str:
    """Return the tree with these entries set, or removed where None; `_` stands for a dot."""
    repository = project.repository
    found = dict(decode_tree(repository.read(tree)[1]))
    for name, entry in entries.items():
        key = name.replace("_", ".")
        if entry is None:
            found.pop(key)
        else:
            found[key] = entry
    return repository.put(TREE, encode_tree(found))


def blob(project: Project, content: bytes, mode: str = MODE_FILE) -> TreeEntry:
    return TreeEntry(mode, project.repository.put(BLOB, content))


def new_key(folder: Path, name: str) -> Signer:
    """Make a key that the contracts know nothing of."""
    create_key(folder / name, comment=name)
    return load_signer(KeySpec("ssh", str(folder / name)))


# -- events made anew, by somebody who holds the key -------------------------------------------


class Forger:
    """Writes a log event by event, each with chain, trailers and state as an honest one's."""

    def __init__(self, project: Project, sign: Sign, *, people: bool = False) -> None:
        """Begin with nothing; `people`: what they say is signed with their own keys."""
        self.people = people
        self.project = project
        self.repository = project.repository
        self.sign = sign
        self.parent: str | None = None
        self.previous = NO_PREDECESSOR
        self.state: State = EMPTY
        self.log_id = ""
        self.contracts = ""
        self.programs: TreeEntry | None = None
        self.tree = StateTree(self.repository.read, None)

    def copy(self, chain: Iterable[EventCommit]) -> Forger:
        """Stand on these events of the honest log, unchanged."""
        for found in chain:
            self.take(found)
        return self

    def take(self, found: EventCommit) -> None:
        self.parent, self.previous = found.oid, found.event.sha256
        self.state = evolve(self.state, found.event)
        self.log_id = found.trailers["ESAA-Log"]
        self.contracts = found.tree["contracts"].oid
        self.programs = found.tree.get("programs")
        self.tree.apply(self.state, self.repository)

    def add(
        self,
        event: Event | Mapping[str, Any],
        *,
        attached: Mapping[str, TreeEntry] | None = None,
        contracts: str | None = None,
        state: State | None = None,
        log_id: str | None = None,
        previous: str | None = None,
        sign: Sign | None = None,
        roadmap: str | None = None,
    ) -> str:
        """Append an event; what is given here is what the forger lies about.

        Args:
            state: what is recorded, where the event itself would lead to none.
        """
        if not isinstance(event, Event):
            event = decode(canonical.encode(event))
        self.state = state if state is not None else evolve(self.state, event)
        self.contracts = contracts or self.contracts
        self.log_id = log_id or self.log_id
        entries = {
            "contracts": TreeEntry(MODE_TREE, self.contracts),
            "event.json": TreeEntry(MODE_FILE, self.repository.put(BLOB, event.data)),
            "roadmap": TreeEntry(
                MODE_TREE, roadmap or self.tree.apply(self.state, self.repository)
            ),
            **({} if self.programs is None else {"programs": self.programs}),
            **(attached or {}),
        }
        payload = commitform.event_commit(
            event,
            tree=self.repository.put(TREE, encode_tree(entries)),
            parent=self.parent,
            log_id=self.log_id,
            previous_sha256=previous or self.previous,
            run_id=self.state.run.run_id,
        )
        ours = signs(self.project, event.actor, self.sign) if self.people else self.sign
        armored = (sign or ours)(payload)
        self.parent = self.repository.put(COMMIT, sign_commit(payload, armored))
        self.previous = event.sha256
        return self.parent

    def finish(self) -> str:
        assert self.parent is not None
        point(self.project, self.parent)
        return self.parent


def value(event: Event, **changes: Any) -> dict[str, Any]:
    """Return an event as a JSON value with other fields; `payload__x` goes one level down."""
    document: dict[str, Any] = canonical.decode(event.data)
    for key, new in changes.items():
        level, *below = key.split("__")
        target = document
        while below:
            target, level = target[level], below.pop(0)
        target[level] = new
    return document


def attachments(found: EventCommit) -> dict[str, TreeEntry]:
    names = ("programs", "files", "exchange", "decision", SUBJECT)
    return {name: found.tree[name] for name in names if name in found.tree}


def store_contracts(project: Project, contracts: Contracts) -> str:
    repository = project.repository
    entries = {
        name: TreeEntry(MODE_FILE, repository.put(BLOB, data))
        for name, data in contracts.files.items()
    }
    return repository.put(TREE, encode_tree(entries))


# -- bytes on disk -----------------------------------------------------------------------------


def object_path(project: Project, oid: str) -> Path:
    return project.repository.common_dir / "objects" / oid[:2] / oid[2:]


def flip_byte(project: Project, oid: str) -> None:
    """Change one byte of a loose object's content, in a file that unpacks without complaint."""
    path = object_path(project, oid)
    content = bytearray(zlib.decompress(path.read_bytes()))
    at = content.index(0) + 1 + (len(content) - content.index(0)) // 2
    content[min(at, len(content) - 1)] ^= 1
    _put(path, zlib.compress(bytes(content)))


def flip_stored_byte(project: Project, oid: str) -> None:
    """Change one byte of the file as it lies on disk."""
    path = object_path(project, oid)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    _put(path, bytes(data))


def remove_object(project: Project, oid: str) -> None:
    object_path(project, oid).unlink()


def _put(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)
