"""Checks 2 to 10, on event commits, over raw bytes (docs/FORMAT.md, "Verification").

`EventChecker.check` takes the commits of a range one by one, oldest first, and raises `Failure` at
the first that is not exactly what an honest orchestrator would have written. Because the state
rides in the log, a range needs nothing but the commit before it, and ranges are independent.

Each check is a method that names its number, and `_check` runs them in the order that FORMAT
gives. Checks 1 and 11 are about more than one event: `esaa_git.verification.pins` has the first,
`esaa_git.verification.effects` and `esaa_git.verification.branch` have the last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pygit2

from esaa_git.core import limits, logid
from esaa_git.core.approvals import SUBJECT
from esaa_git.core.contract_rules import check_contract_rules
from esaa_git.core.contracts import ALLOWED_SIGNERS, OPENPGP_SIGNERS, Contracts
from esaa_git.core.event import NO_PREDECESSOR, Event, MalformedEvent, decode
from esaa_git.core.events import FileWrite, RunInit, VerifyOk
from esaa_git.core.events.fields import ProgramPin
from esaa_git.core.events.spec import ROLES
from esaa_git.core.invariants import Violation
from esaa_git.core.policy.cel import CelMissing
from esaa_git.core.policy_rules import check_policy
from esaa_git.core.programs import Programs, check_bounds
from esaa_git.core.projection import evolve, projection_hash
from esaa_git.core.state import EMPTY, State
from esaa_git.errors import ConfigurationError, CorruptedError, EsaaError
from esaa_git.store import commitform
from esaa_git.store.eventcommit import (
    contracts_of,
    read_contracts,
    read_event_commit,
    read_programs,
    read_signers,
)
from esaa_git.store.objects import (
    COMMIT,
    MODE_FILE,
    MODE_TREE,
    MalformedObject,
    Reader,
    TreeEntry,
    decode_commit,
    message_of,
    object_id,
    read_blob,
    read_tree,
    split_signature,
)
from esaa_git.store.statetree import StateTree, load_state
from esaa_git.trust.allowed_signers import SignatureRefused
from esaa_git.trust.decision import carried_by
from esaa_git.trust.openpgp_form import BEGIN_SIGNATURE
from esaa_git.trust.roles import Authority, check_signers
from esaa_git.trust.signers import Verified
from esaa_git.verification.beside import check_beside
from esaa_git.verification.effects import Closed, Written, closed_by, effect_form
from esaa_git.verification.evaluated import Unevaluated
from esaa_git.verification.failure import Failure

_ROLES = frozenset(ROLES)

_CHECK_OF_RULE = {"INV-001": 9, "INV-004": 8, "INV-005": 5}
"""The checks that invariants belong to; what else forbids a transition is check 7."""


@dataclass(frozen=True, slots=True)
class _Signed:
    """A commit with one signature, and what that covers; nothing below it is read yet."""

    payload: bytes
    armored: bytes
    root: str


class _Presence:
    """An `ObjectSink` that writes nothing: what is put must be stored already, and intact."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def put(self, kind: int, data: bytes) -> str:
        oid = object_id(kind, data)
        found, stored = self._reader(oid)  # whose size is known: git names it by its content
        if found != kind or stored != data:
            raise MalformedObject(f"object {oid} is damaged")
        return oid


class EventChecker:
    """Checks a range of the log, from the commit after `start` (None: from genesis).

    Args:
        on_authentic: called for every event that a key of the contracts before it has signed,
            before anything else of the event is read.

    Attributes:
        sound: the last commit that passed, or on which the range stands.
        state: what the log says after it.
        closed: the effects that the range names, which check 11 has to find.
        unevaluated: the events of which the policy in force says nothing here, and why.
    """

    def __init__(
        self,
        reader: Reader,
        start: str | None,
        *,
        on_authentic: Callable[[], None] | None = None,
    ) -> None:
        self._reader = reader
        self._on_authentic = on_authentic
        self._presence = _Presence(reader)
        self._authority: Authority | None = None
        self.closed: list[Closed] = []
        self.unevaluated: list[Unevaluated] = []
        self._written: dict[str, Written] = {}
        self.log_id: str | None = None
        self._previous = NO_PREDECESSOR
        self.sound = start
        self._contracts_tree: str | None = None
        self._programs_tree: str | None = None
        self._contracts: Contracts | None = None
        self.state: State = EMPTY
        roadmap = None
        if start is not None:
            roadmap = self._resume(start)
        self._tree = StateTree(reader, roadmap)

    def _resume(self, start: str) -> str:
        """Stand on a commit that another range, or an earlier verification, answers for."""
        try:
            found = read_event_commit(self._reader, start)
            self.log_id = found.trailers["ESAA-Log"]
            self._previous = found.event.sha256
            self._contracts_tree = found.tree["contracts"].oid
            self._programs_tree = _oid_of(found.tree, "programs")
            self._contracts = contracts_of(self._reader, found)
            roadmap = found.tree["roadmap"].oid
            self.state = load_state(self._reader, roadmap, seq=found.event.seq, ts=found.event.ts)
        except (CorruptedError, KeyError, MalformedObject, pygit2.GitError) as error:
            raise Failure(2, f"cannot be read: {error}").at(start) from error
        return roadmap

    def check(self, oid: str) -> None:
        """Check the next commit.

        Raises:
            Failure: naming the check that it did not pass, with its address.
        """
        seq = self.state.seq + 1
        try:
            self._check(oid)
        except Failure as failure:
            failure.at(oid, seq)
            raise
        except KeyError as error:
            raise Failure(2, f"object {error} is missing").at(oid, seq) from error
        except (MalformedObject, pygit2.GitError) as error:
            raise Failure(2, str(error)).at(oid, seq) from error

    def _check(self, oid: str) -> None:
        # Authenticated, then parsed: of what nobody known has signed, the commit alone is read.
        commit = self._check_shape(oid)  # 2, of the commit
        signer = self._check_signature(commit)  # 3, whose bytes these are
        if self._on_authentic is not None:
            self._on_authentic()
        if self.log_id is None:  # a log's first event says which log it begins
            self.log_id = commitform.trailers(message_of(commit.payload)).get("ESAA-Log", "")
        tree = self._check_tree(commit)  # 2, of its tree
        event = self._check_content(tree)  # 4
        after = self._check_contracts(tree, event)  # 6, that they may change at all
        before = after if self._contracts is None else self._contracts
        self._check_role(signer, event, before, after)  # 3, whether it may sign; 6, by whom
        state = self._check_transition(event, after)  # 5, 7, 8, 9
        self._check_commit_bytes(commit, event, state)  # 2, 5
        self._check_recorded_state(tree, state)  # 7
        check_beside(self._reader, tree, event, self.state, self.log_id)  # 8
        self._check_recorded_hash(event)  # 10
        self.sound, self._previous, self.state = oid, event.sha256, state
        self._contracts, self._contracts_tree = after, tree["contracts"].oid
        self._programs_tree = _oid_of(tree, "programs")
        self._note_effect(event, state, oid)

    # -- check 2: shape of the commit ---------------------------------------------------------

    def _check_shape(self, oid: str) -> _Signed:
        """Check 2: a commit, no longer than an event's, that names a tree, with one signature."""
        kind, data = self._reader(oid, limits.COMMIT)
        if kind != COMMIT:
            raise Failure(2, "it is not a commit")
        parts = split_signature(data)
        if parts is None:
            raise Failure(2, "it has not exactly one signature")
        payload, armored = parts
        if not payload.startswith(b"tree "):
            raise Failure(2, "it has no tree")
        return _Signed(payload, armored, payload[5:45].decode("ascii", "replace"))

    def _check_tree(self, commit: _Signed) -> dict[str, TreeEntry]:
        """Check 2: exactly the tree entries that an event commit has."""
        tree = read_tree(self._reader, commit.root, limits.EVENT_TREE)
        if list(tree) != sorted(tree):
            raise Failure(2, "its tree is not in git's order")
        for name, entry in tree.items():
            wanted = MODE_FILE if name in ("event.json", SUBJECT) else MODE_TREE
            if name not in commitform.ROOT_ENTRIES or entry.mode != wanted:
                raise Failure(2, f"its tree has an entry '{name}'")
        for name in ("contracts", "event.json", "roadmap"):
            if name not in tree:
                raise Failure(2, f"its tree has no '{name}'")
        return tree

    def _check_commit_bytes(self, commit: _Signed, event: Event, state: State) -> None:
        """Checks 2 and 5: everything that the signature covers is what the event says.

        The commit's bytes are made again from what is known, and compared. Where the parent, a
        header or a person differs, its shape is wrong; where the message does, and with it the
        chain or the log id, it has another place in the log than it claims.
        """
        assert self.log_id is not None
        expected = commitform.event_commit(
            event,
            tree=commit.root,
            parent=self.sound,
            log_id=self.log_id,
            previous_sha256=self._previous,
            run_id=state.run.run_id,
        )
        if commit.payload == expected:
            return
        wanted, found = decode_commit(expected), decode_commit(commit.payload)
        if found.parents != wanted.parents:
            raise Failure(
                2, f"it has parents {_short(found.parents)}, not {_short(wanted.parents)}"
            )
        if found.headers:
            raise Failure(2, f"unknown header {found.headers[0]!r}")
        for name in ("author", "committer"):
            if getattr(found, name) != getattr(wanted, name):
                raise Failure(2, f"its {name} is not what the event says")
        said, meant = commitform.trailers(found.message), commitform.trailers(wanted.message)
        wrong = [name for name in meant if said.get(name) != meant[name]]
        message = f"trailer {wrong[0]}" if wrong else "its message"
        raise Failure(5, f"{message} is not what the event says")

    # -- check 3: signature and role ----------------------------------------------------------

    def _check_signature(self, commit: _Signed) -> Verified:
        """Check 3: a key with a role in the contracts before the event has signed these bytes.

        The first event is signed under its own contracts: of these, the files that name keys are
        read, and nothing else.
        """
        if self._authority is None:
            before = self._contracts or self._signers_of_genesis(commit)
            try:
                self._authority = Authority(before)
            except ConfigurationError as error:
                raise Failure(6, error.message) from error
        try:
            signer = self._authority.prove(commit.payload, commit.armored)
        except SignatureRefused as error:
            raise Failure(3, f"signature: {error}") from error
        if not signer.principals & _ROLES:
            raise Failure(3, f"{signer.fingerprint} has no role in the contracts before")
        return signer

    def _signers_of_genesis(self, commit: _Signed) -> Contracts:
        tree = self._check_tree(commit)
        names = [ALLOWED_SIGNERS]
        if commit.armored.startswith(BEGIN_SIGNATURE):
            names.append(OPENPGP_SIGNERS)
        return read_signers(self._reader, tree["contracts"].oid, *names)

    def _check_role(
        self, signer: Verified, event: Event, before: Contracts, after: Contracts
    ) -> None:
        """Checks 3 and 6: the key may sign the action, or the change of contracts, at this time."""
        if self._contracts is None:
            self._authority = Authority(after)  # by its whole contracts, which are read now
        assert self._authority is not None
        changes = after is not before or self.sound is None
        imported = event.seq <= logid.imported_events(self.log_id)
        try:
            log_id = logid.recorded_in(self.log_id or "", event.seq)
            decision = carried_by(event, log_id, self._reader)
            why = self._authority.fault(
                signer, event, self.state, changes=changes, imported=imported, decision=decision
            )
        except SignatureRefused as error:
            raise Failure(3, f"signature: {error}") from error
        if after is not before:
            self._authority = None  # the next event is signed under the new contracts
        if why is None:
            return
        if after is not before:
            raise Failure(6, f"the contracts change without the signature of an admin: {why}")
        raise Failure(3, f"{signer.fingerprint} may not sign {event.action}: {why}")

    # -- check 4: canonical bytes and schema --------------------------------------------------

    def _check_content(self, tree: Mapping[str, TreeEntry]) -> Event:
        """Check 4: the event is canonical JSON, of the vocabulary, and meets its schema."""
        data = read_blob(self._reader, tree["event.json"], limits.EVENT)
        try:
            return decode(data)
        except MalformedEvent as error:
            raise Failure(4, f"event.json: {error}") from error

    # -- checks 5, 7, 8 and 9: the transition -------------------------------------------------

    def _check_transition(self, event: Event, contracts: Contracts) -> State:
        """Checks 5, 7, 8 and 9: the event is the next, legal, within its boundary and no overwrite.

        One application of the event answers for all of them; the rule that it breaks tells which.
        """
        try:
            state = evolve(self.state, event)
            check_contract_rules(self.state, event, contracts)
            check_policy(self.state, event, contracts)
        except CelMissing as error:
            self.unevaluated.append((event.seq, error))
        except Violation as error:
            raise Failure(_CHECK_OF_RULE.get(error.rule, 7), str(error)) from error
        except EsaaError as error:
            raise Failure(8, str(error)) from error
        return state

    # -- check 6: contracts unchanged, or changed with authority ------------------------------

    def _check_contracts(self, tree: Mapping[str, TreeEntry], event: Event) -> Contracts:
        """Check 6: the contracts are those before, or a `run.init` brings others that can be used.

        Whether its signer may change them, `_check_role` says.
        """
        recorded = tree["contracts"].oid
        before = self._contracts
        same = recorded == self._contracts_tree
        if (
            before is not None
            and same
            and _oid_of(tree, "programs") == self._programs_tree
            and (
                not isinstance(event.payload, RunInit)
                or event.payload.programs == before.program_pins
            )
        ):
            return before
        if not isinstance(event.payload, RunInit):
            what = "pinned programs" if same else "contracts"
            raise Failure(6, f"the {what} change in an ordinary event ({event.action})")
        programs = self._check_programs(tree, event.payload.programs)
        contracts = read_contracts(self._reader, recorded, programs)
        try:
            contracts.check()
            check_signers(contracts)
        except ConfigurationError as error:
            raise Failure(6, error.message) from error
        return contracts

    def _check_programs(
        self, tree: Mapping[str, TreeEntry], listed: tuple[ProgramPin, ...] | None
    ) -> Programs | None:
        """Checks 2 and 6: `programs/` holds what a `run.init` lists, within bounds, and no more."""
        found = read_programs(self._reader, tree.get("programs"), listed)
        if found is None:
            return None
        try:
            check_bounds(found)
        except (ConfigurationError, CorruptedError) as error:
            raise Failure(6, error.message) from error
        return found

    # -- check 7: the recorded state ----------------------------------------------------------

    def _check_recorded_state(self, tree: Mapping[str, TreeEntry], state: State) -> None:
        """Check 7: `roadmap/` is exactly the state that follows from the event."""
        try:
            computed = self._tree.apply(state, self._presence)
        except KeyError as error:
            message = f"the recorded state is not what follows from the event: {error} is missing"
            raise Failure(7, message) from error
        if computed != tree["roadmap"].oid:
            raise Failure(7, "the recorded state is not what follows from the event")

    # -- check 10: recorded hashes ------------------------------------------------------------

    def _check_recorded_hash(self, event: Event) -> None:
        """Check 10: the hash that a `verify.ok` recorded is that of the state before it."""
        if not isinstance(event.payload, VerifyOk):
            return
        recorded = event.payload.projection_hash_sha256
        if projection_hash(self.state) != recorded:
            raise Failure(10, f"the projection's hash is not the recorded {recorded[:12]}")

    # -- for check 11 -------------------------------------------------------------------------

    def _note_effect(self, event: Event, state: State, oid: str) -> None:
        """Take note of what check 11 has to find once all events are checked."""
        payload = event.payload
        if isinstance(payload, FileWrite):
            self._written[payload.attempt_id] = Written(oid, event.event_id, payload)
        closed = closed_by(event, oid, lambda: state.run.branch)
        if closed is None:
            return
        written = self._written.pop(closed.attempt_id, None)
        if written is not None and self._contracts is not None and self._contracts_tree is not None:
            task = state.tasks[closed.task_id]
            form = effect_form(
                written,
                event,
                task,
                state,
                self._contracts,
                self._contracts_tree,
                self.log_id,
            )
            closed = replace(closed, form=form)
        self.closed.append(closed)


def _short(oids: tuple[str, ...]) -> str:
    return ", ".join(oid[:12] for oid in oids) or "none"


def _oid_of(tree: Mapping[str, TreeEntry], name: str) -> str | None:
    entry = tree.get(name)
    return None if entry is None else entry.oid
