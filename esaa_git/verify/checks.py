"""The numbered checks on event commits, over raw bytes (docs/FORMAT.md, "Verification").

`Verifier.check` takes the commits of a range one by one, oldest first, and raises `Failure` at
the first that is not exactly what an honest orchestrator would have written. Because the state
rides in the log, a range needs nothing but the commit before it, and ranges are independent.

The numbers are those of the design:

     1  the anchor and the pin (in `esaa_git.verify.audit`)
     2  shape: one parent, one signature, known headers, exact tree entries
     3  signature and role
     4  canonical bytes and schema
     5  sequence, ids, time, SHA-256 chain, log id
     6  contracts unchanged, or changed with authority
     7  the transition is legal and yields exactly the recorded state
     8  authority and boundaries of effects
     9  `done` is immutable
    10  recorded hashes recompute
    11  effects on the branch match the log
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pygit2

from esaa_git.core import canonical
from esaa_git.core.contract_rules import attribution, check_attachments, check_lawful
from esaa_git.core.contracts import Contracts
from esaa_git.core.event import NO_PREDECESSOR, Event, MalformedEvent, decode, event_id
from esaa_git.core.invariants import Violation
from esaa_git.core.projection import evolve, projection_hash
from esaa_git.core.state import EMPTY, State, Task
from esaa_git.errors import ConfigurationError, CorruptedError, EsaaError
from esaa_git.store import commitform
from esaa_git.store.log import read_contracts, read_event_commit
from esaa_git.store.objects import (
    BLOB,
    COMMIT,
    MODE_FILE,
    MODE_TREE,
    TREE,
    MalformedObject,
    TreeEntry,
    decode_commit,
    decode_tree,
    object_id,
    split_signature,
)
from esaa_git.store.statetree import Reader, StateTree, load_state
from esaa_git.trust.allowed_signers import SignatureRefused
from esaa_git.trust.roles import ROLES, check_signers, signer_set
from esaa_git.trust.signers import SignerSet

CHECKS: Mapping[int, str] = {
    1: "the anchor and the pin",
    2: "shape of the commit",
    3: "signature and role",
    4: "canonical bytes and schema",
    5: "sequence, ids, time, chain, log id",
    6: "contracts unchanged, or changed with authority",
    7: "legal transition, recorded state",
    8: "authority and boundaries of effects",
    9: "done is immutable",
    10: "recorded hashes",
    11: "effects on the branch",
}


class Failure(Exception):
    """The first check that a commit did not pass.

    `outcome` is `corrupted` for bytes that no honest writer produced, or that cannot be read,
    and `mismatch` for well-formed history that does not add up to what it claims.
    """

    def __init__(
        self,
        check: int,
        outcome: str,
        seq: int | None,
        oid: str,
        message: str,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.check = check
        self.outcome = outcome
        self.seq = seq
        self.oid = oid
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return (Failure, (self.check, self.outcome, self.seq, self.oid, self.message, self.hint))

    @property
    def event_id(self) -> str | None:
        return None if self.seq is None else event_id(self.seq)


@dataclass(frozen=True, slots=True)
class EffectForm:
    """What the log says an effect commit holds; its parent is all that is left open.

    `changes` maps a path to (mode, blob), or to None where the path goes away.
    """

    agent: str
    summary: str
    ts: str
    run_id: str
    assisted_by: str | None
    event_id: str
    event_commit: str
    contracts_tree: str
    changes: Mapping[str, tuple[str, str] | None]


@dataclass(frozen=True, slots=True)
class Closed:
    """A task that the log closed with an effect: what check 11 has to find.

    `form` is None where the event that wrote the effect lies before the range that was checked.
    """

    seq: int
    event_commit: str
    effect_commit: str
    task_id: str
    attempt_id: str
    branch: str
    form: EffectForm | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """What the log says of an effect that reached the branch in another commit than its own."""

    seq: int
    task_id: str
    effect_commit: str
    reached_by: str


class _Presence:
    """An `ObjectSink` that writes nothing: what is put must be stored already, and intact."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def put(self, kind: int, data: bytes) -> str:
        oid = object_id(kind, data)
        found, stored = self._reader(oid)
        if found != kind or stored != data:
            raise MalformedObject(f"object {oid} is damaged")
        return oid


class Verifier:
    """Checks a range of the log, from the commit after `start` (None: from genesis)."""

    def __init__(self, reader: Reader, start: str | None) -> None:
        self._reader = reader
        self._presence = _Presence(reader)
        self._signers: SignerSet | None = None
        self.closed: list[Closed] = []
        self.links: list[Link] = []
        self._written: dict[str, tuple[str, Event]] = {}
        self.log_id: str | None = None
        self._previous = NO_PREDECESSOR
        self._parent = start
        self._contracts_tree: str | None = None
        self._contracts: Contracts | None = None
        self.state: State = EMPTY
        roadmap = None
        if start is not None:
            roadmap = self._resume(start)
        self._tree = StateTree(reader, roadmap)

    @property
    def sound(self) -> str | None:
        """The last commit that passed, or on which the range stands."""
        return self._parent

    def _resume(self, start: str) -> str:
        """Stand on a commit that another range, or an earlier verification, answers for."""
        try:
            found = read_event_commit(self._reader, start)
            self.log_id = found.trailers["ESAA-Log"]
            self._previous = found.event.sha256
            self._contracts_tree = found.tree["contracts"].oid
            self._contracts = read_contracts(self._reader, self._contracts_tree)
            roadmap = found.tree["roadmap"].oid
            self.state = load_state(self._reader, roadmap, seq=found.event.seq, ts=found.event.ts)
        except (CorruptedError, KeyError, MalformedObject, pygit2.GitError) as error:
            raise Failure(2, "corrupted", None, start, f"cannot be read: {error}") from error
        return roadmap

    def check(self, oid: str) -> None:
        """Check the next commit.

        Raises:
            Failure: naming the check that it did not pass.
        """
        seq = self.state.seq + 1
        try:
            self._check(oid, seq)
        except Failure:
            raise
        except KeyError as error:
            raise Failure(2, "corrupted", seq, oid, f"object {error} is missing") from error
        except (MalformedObject, pygit2.GitError) as error:
            raise Failure(2, "corrupted", seq, oid, str(error)) from error

    def _check(self, oid: str, seq: int) -> None:
        kind, data = self._reader(oid)
        if kind != COMMIT:
            raise Failure(2, "corrupted", seq, oid, "it is not a commit")
        parts = split_signature(data)
        if parts is None:
            raise Failure(2, "corrupted", seq, oid, "it has not exactly one signature")
        payload, armored = parts
        tree = self._root(payload, seq, oid)
        event = self._event(tree, seq, oid)
        contracts = self._contracts_of(tree, event, seq, oid)
        before = contracts if self._contracts is None else self._contracts
        self._signature(payload, armored, event, before, contracts, seq, oid)
        state = self._transition(event, contracts, seq, oid)
        self._commit_bytes(payload, tree, event, state, seq, oid)
        self._recorded_state(tree, state, seq, oid)
        self._attachments(tree, event, seq, oid)
        self._hashes(event, seq, oid)
        self._parent, self._previous, self.state = oid, event.sha256, state
        self._contracts, self._contracts_tree = contracts, tree["contracts"].oid
        self._note_effect(event, state, self._contracts_tree, oid)

    # -- 2: shape ---------------------------------------------------------------------------

    def _root(self, payload: bytes, seq: int, oid: str) -> dict[str, TreeEntry]:
        if not payload.startswith(b"tree "):
            raise Failure(2, "corrupted", seq, oid, "it has no tree")
        kind, raw = self._reader(payload[5:45].decode("ascii", "replace"))
        if kind != TREE:
            raise Failure(2, "corrupted", seq, oid, "its tree is not a tree")
        tree = decode_tree(raw)
        if list(tree) != sorted(tree):
            raise Failure(2, "corrupted", seq, oid, "its tree is not in git's order")
        for name, entry in tree.items():
            wanted = MODE_FILE if name == "event.json" else MODE_TREE
            if name not in commitform.ROOT_ENTRIES or entry.mode != wanted:
                raise Failure(2, "corrupted", seq, oid, f"its tree has an entry '{name}'")
        for name in ("contracts", "event.json", "roadmap"):
            if name not in tree:
                raise Failure(2, "corrupted", seq, oid, f"its tree has no '{name}'")
        return tree

    # -- 4: canonical bytes and schema ------------------------------------------------------

    def _event(self, tree: dict[str, TreeEntry], seq: int, oid: str) -> Event:
        kind, data = self._reader(tree["event.json"].oid)
        if kind != BLOB:
            raise Failure(2, "corrupted", seq, oid, "event.json is not a file")
        try:
            return decode(data)
        except MalformedEvent as error:
            raise Failure(4, "corrupted", seq, oid, f"event.json: {error}") from error

    # -- 6: contracts -----------------------------------------------------------------------

    def _contracts_of(
        self, tree: dict[str, TreeEntry], event: Event, seq: int, oid: str
    ) -> Contracts:
        recorded = tree["contracts"].oid
        if recorded == self._contracts_tree and self._contracts is not None:
            return self._contracts
        if event.action != "run.init":
            message = f"the contracts change in an ordinary event ({event.action})"
            raise Failure(6, "mismatch", seq, oid, message)
        contracts = read_contracts(self._reader, recorded)
        try:
            contracts.check()
            check_signers(contracts)
        except ConfigurationError as error:
            raise Failure(6, "mismatch", seq, oid, error.message) from error
        return contracts

    # -- 3: signature and role, 6: authority of a change ------------------------------------

    def _signature(
        self,
        payload: bytes,
        armored: bytes,
        event: Event,
        before: Contracts,
        after: Contracts,
        seq: int,
        oid: str,
    ) -> None:
        if self._signers is None:
            self._signers = signer_set(before)
        try:
            verified = self._signers.verify(payload, armored, event.ts)
        except SignatureRefused as error:
            raise Failure(3, "mismatch", seq, oid, f"signature: {error}") from error
        roles = verified.principals & ROLES
        if after is not before:
            self._signers = None
            if "admin" not in roles:
                message = "the contracts change without the signature of an admin"
                raise Failure(6, "mismatch", seq, oid, message)
        wanted = before.orchestrator.signers_of(event.action)
        if after is before and not roles & wanted:
            message = f"{verified.fingerprint} may not sign {event.action}"
            raise Failure(3, "mismatch", seq, oid, message)

    # -- 5, 7, 8, 9: the transition ---------------------------------------------------------

    def _transition(self, event: Event, contracts: Contracts, seq: int, oid: str) -> State:
        try:
            state = evolve(self.state, event)
            check_lawful(self.state, event, contracts)
        except Violation as error:
            check = {"INV-001": 9, "INV-004": 8, "INV-005": 5}.get(error.rule, 7)
            raise Failure(check, "mismatch", seq, oid, str(error)) from error
        except EsaaError as error:
            raise Failure(8, "mismatch", seq, oid, str(error)) from error
        return state

    # -- 2 and 5: everything that the signature covers --------------------------------------

    def _commit_bytes(
        self,
        payload: bytes,
        tree: dict[str, TreeEntry],
        event: Event,
        state: State,
        seq: int,
        oid: str,
    ) -> None:
        """Make the commit's bytes again from what is known, and compare."""
        if self.log_id is None:
            self.log_id = _log_id(payload)
        expected = commitform.event_commit(
            event,
            tree=payload[5:45].decode(),
            parent=self._parent,
            log_id=self.log_id,
            previous_sha256=self._previous,
            run_id=state.run.run_id,
        )
        if payload == expected:
            return
        wanted, found = decode_commit(expected), decode_commit(payload)
        if found.parents != wanted.parents:
            message = f"it has parents {_short(found.parents)}, not {_short(wanted.parents)}"
            raise Failure(2, "corrupted", seq, oid, message)
        if found.headers:
            raise Failure(2, "corrupted", seq, oid, f"unknown header {found.headers[0]!r}")
        for name in ("author", "committer"):
            if getattr(found, name) != getattr(wanted, name):
                message = f"its {name} is not what the event says"
                raise Failure(2, "corrupted", seq, oid, message)
        here, there = found.message.decode("utf-8", "replace"), wanted.message.decode()
        said, meant = commitform.trailers(here), commitform.trailers(there)
        wrong = [name for name in meant if said.get(name) != meant[name]]
        message = f"trailer {wrong[0]}" if wrong else "its message"
        raise Failure(5, "mismatch", seq, oid, f"{message} is not what the event says")

    # -- 7: the recorded state --------------------------------------------------------------

    def _recorded_state(self, tree: dict[str, TreeEntry], state: State, seq: int, oid: str) -> None:
        try:
            computed = self._tree.apply(state, self._presence)
        except KeyError as error:
            message = f"the recorded state is not what follows from the event: {error} is missing"
            raise Failure(7, "mismatch", seq, oid, message) from error
        if computed != tree["roadmap"].oid:
            message = "the recorded state is not what follows from the event"
            raise Failure(7, "mismatch", seq, oid, message)

    # -- 8: attachments ---------------------------------------------------------------------

    def _attachments(self, tree: dict[str, TreeEntry], event: Event, seq: int, oid: str) -> None:
        files = self._flat(tree["files"].oid, "") if "files" in tree else {}
        exchange = self._flat(tree["exchange"].oid, "") if "exchange" in tree else {}
        blobs = {name: entry.oid for name, entry in exchange.items()}
        if any(entry.mode != MODE_FILE for entry in exchange.values()):
            raise Failure(2, "corrupted", seq, oid, "the exchange holds more than files")
        try:
            images = {path: (entry.mode, entry.oid) for path, entry in files.items()}
            check_attachments(event, images, blobs)
        except Violation as error:
            raise Failure(8, "mismatch", seq, oid, str(error)) from error
        for blob in blobs.values():
            self._reader(blob)
        if event.action == "orchestrator.file.write":
            for file in event.payload["files"]:
                if "after" in file:
                    content = self._reader(file["after"])[1]
                    if len(content) != file["bytes"]:
                        message = f"the content of '{file['path']}' has another size"
                        raise Failure(8, "mismatch", seq, oid, message)
                    if canonical.digest(content) != file["sha256"]:
                        message = f"the content of '{file['path']}' has another SHA-256"
                        raise Failure(8, "mismatch", seq, oid, message)

    def _flat(self, tree: str, prefix: str) -> dict[str, TreeEntry]:
        found: dict[str, TreeEntry] = {}
        for name, entry in decode_tree(self._reader(tree)[1]).items():
            if entry.is_tree:
                found.update(self._flat(entry.oid, f"{prefix}{name}/"))
            else:
                found[prefix + name] = entry
        return found

    # -- 10: recorded hashes ----------------------------------------------------------------

    def _hashes(self, event: Event, seq: int, oid: str) -> None:
        if event.action != "verify.ok":
            return
        recorded = event.payload["projection_hash_sha256"]
        if projection_hash(self.state) != recorded:
            message = f"the projection's hash is not the recorded {recorded[:12]}"
            raise Failure(10, "mismatch", seq, oid, message)

    # -- 11 is finished by the audit --------------------------------------------------------

    def _note_effect(self, event: Event, state: State, contracts_tree: str, oid: str) -> None:
        payload = event.payload
        if event.action == "orchestrator.file.write":
            self._written[payload["attempt_id"]] = (oid, event)
        if event.action == "orchestrator.view.mutate" and payload["view"] == "effect":
            link = (payload["task_id"], payload["effect_commit"], payload["reached_by"])
            self.links.append(Link(event.seq, *link))
        if event.action != "task.update" or "effect_commit" not in payload:
            return
        form = None
        written = self._written.pop(payload["attempt_id"], None)
        if written is not None and self._contracts is not None:
            task = state.tasks[payload["task_id"]]
            form = effect_form(
                written[0], written[1], event, task, state, self._contracts, contracts_tree
            )
        self.closed.append(
            Closed(
                event.seq,
                oid,
                payload["effect_commit"],
                payload["task_id"],
                payload["attempt_id"],
                str(state.run.branch),
                form,
            )
        )


def effect_form(
    written_by: str,
    written: Event,
    closing: Event,
    task: Task,
    state: State,
    contracts: Contracts,
    contracts_tree: str,
) -> EffectForm:
    """Return what the effect commit of a closed task has to be, from the log alone."""
    if task.result is None:
        raise MalformedObject(f"'{task.task_id}' is closed without a result")
    changes: dict[str, tuple[str, str] | None] = {}
    for file in written.payload["files"]:
        if "from" in file:
            changes[file["from"]] = None
        changes[file["path"]] = (file["mode"], file["after"]) if "after" in file else None
    return EffectForm(
        task.result.agent,
        task.result.summary,
        closing.ts,
        str(state.run.run_id),
        attribution(task, contracts),
        written.event_id,
        written_by,
        contracts_tree,
        changes,
    )


def _log_id(payload: bytes) -> str:
    message = payload.split(b"\n\n", 1)[-1].decode("utf-8", "replace")
    return commitform.trailers(message).get("ESAA-Log", "")


def _short(oids: tuple[str, ...]) -> str:
    return ", ".join(oid[:12] for oid in oids) or "none"
