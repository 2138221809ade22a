"""The event log on git: signed commits on one ref, and one locked compare-and-swap.

A transaction writes its objects first and moves refs last. Loading the state reads the tip alone
and costs the same at event 10 and at event 1,000,000.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from esaa_git.core import limits, logid
from esaa_git.core.approvals import SUBJECT
from esaa_git.core.contracts import (
    Contracts,
)
from esaa_git.core.event import NO_PREDECESSOR, Event, StoredEvent
from esaa_git.core.events.spec import ORCHESTRATOR, ROLES, is_person
from esaa_git.core.refnames import proposal_ref
from esaa_git.core.state import EMPTY, State
from esaa_git.errors import (
    CorruptedError,
    KeyUnavailable,
    MismatchError,
    NoLog,
    RefusedError,
)
from esaa_git.ports.branch import BranchMove
from esaa_git.ports.log import Attachments, ProposalRef, Tip
from esaa_git.ports.refs import RefMove, RefStore
from esaa_git.store import commitform
from esaa_git.store.eventcommit import (
    EventCommit,
    read_event_commit,
)
from esaa_git.store.objects import (
    BLOB,
    COMMIT,
    MODE_FILE,
    MODE_TREE,
    TREE,
    ObjectSink,
    Reader,
    TreeEntry,
    encode_tree,
    sign_commit,
    split_signature,
)
from esaa_git.store.repository import Repository
from esaa_git.store.statetree import StateTree
from esaa_git.store.tip import LoadedTip, decision_of, load_tip
from esaa_git.store.trees import store_files
from esaa_git.trust.allowed_signers import SignatureRefused
from esaa_git.trust.decision import is_made_by
from esaa_git.trust.decision import sign as sign_decision
from esaa_git.trust.roles import Authority, check_signers, signer_set
from esaa_git.trust.signer import Signer, SigningKeys


class GitEventLog:
    """The event log of one repository.

    Args:
        refs: where its ref is read and moved.
        keys: what this machine signs it with.
    """

    def __init__(self, repository: Repository, refs: RefStore, keys: SigningKeys) -> None:
        self.repository = repository
        self.refs = refs
        self.keys = keys
        self.ref = repository.events_ref
        self._loaded: LoadedTip | None = None
        self._trusted: LoadedTip | None = None
        self._kept_tree: tuple[LoadedTip, StateTree] | None = None
        self.authority: Authority | None = None

    @property
    def signer(self) -> Signer:
        """The orchestrator's key."""
        return self.keys.signer

    def check_may_pin(self, contracts: Contracts, *, by_person: bool = False) -> None:
        """Refuse what the `run.init` that pins these contracts would be refused for.

        Args:
            by_person: a person signs it, although the orchestrator's key might.

        Raises:
            RefusedError: if the key that would sign it has not the role.
        """
        _, in_force = self.load()
        if by_person or not in_force.same_as(contracts):
            person = self.keys.person
            Authority(in_force).check_may_change(None if person is None else person.fingerprint)

    def orchestrates(self) -> bool:
        """Answer whether the orchestrator's key is at hand, and in force."""
        try:
            key = self.signer.fingerprint
        except KeyUnavailable:
            return False
        return ORCHESTRATOR in Authority(self.load()[1]).signers.roles_of_fingerprint(key)

    def state_at(self, commit: str) -> State:
        """Return the state that an event of this log left."""
        return load_tip(self.repository, commit).state

    def tip(self) -> Tip | None:
        """Return where the log ends, read afresh from the ref."""
        target = self.refs.read(self.ref)
        if target is None:
            self._loaded = None
            return None
        return self._load(target).tip

    def load(self) -> tuple[State, Contracts]:
        """Return the state and the contracts at the tip.

        Raises:
            RepositoryError: if there is no log yet.
            CorruptedError: if the tip is not an event.
        """
        target = self.refs.read(self.ref)
        if target is None:
            raise NoLog
        loaded = self._load(target)
        return loaded.state, loaded.contracts

    def begin(
        self,
        *,
        log_id: str | None = None,
        sink: ObjectSink | None = None,
        read: Reader | None = None,
    ) -> GitLogTransaction:
        """Start a transaction after what was loaded last; with `log_id`, a log's first.

        Objects go to `sink`, by default the repository itself; a caller that gives another
        one brings them into the repository before the transaction commits, and says with `read`
        where they are meanwhile.
        """
        if log_id is not None:
            return GitLogTransaction(self, None, log_id, sink, read)
        if self._loaded is None:
            self.load()
        assert self._loaded is not None
        self._require_signed(self._loaded)
        return GitLogTransaction(self, self._loaded, self._loaded.tip.log_id, sink)

    def events(self, *, newest_first: bool = False) -> Iterator[StoredEvent]:
        """Yield the events; from the oldest, ids of all commits are collected first."""
        target = self.refs.read(self.ref)
        if newest_first:
            yield from self._back_from(target)
            return
        oids = bytearray()
        while target is not None:
            oids += bytes.fromhex(target)
            target = read_event_commit(self.repository.read, target).parent
        for end in range(len(oids), 0, -20):
            oid = oids[end - 20 : end].hex()
            yield StoredEvent(read_event_commit(self.repository.read, oid).event, oid)

    def _back_from(self, target: str | None) -> Iterator[StoredEvent]:
        while target is not None:
            found = read_event_commit(self.repository.read, target)
            yield StoredEvent(found.event, target)
            target = found.parent

    def moved(
        self, loaded: LoadedTip, tree: StateTree | None = None, authority: Authority | None = None
    ) -> None:
        """Take note that a transaction of this log has been committed.

        What it knew of the state's tree and of our keys is kept for the next one.
        """
        self._loaded = self._trusted = loaded
        self._kept_tree = None if tree is None else (loaded, tree)
        self.authority = authority or self.authority

    def take_state_tree(self, start: LoadedTip | None) -> StateTree:
        """Return the mirror of the state's tree at a tip; a kept one is given away once."""
        kept, self._kept_tree = self._kept_tree, None
        if kept is not None and kept[0] is start:
            return kept[1]
        return StateTree(self.repository.read, None if start is None else start.state_tree)

    def _require_signed(self, loaded: LoadedTip) -> None:
        """Refuse to continue a log whose end no entitled key has signed."""
        if loaded is self._trusted:
            return
        parts = split_signature(self.repository.read(loaded.tip.commit)[1])
        found, before, state = self._signed_under(loaded)
        try:
            if parts is None:
                raise SignatureRefused("malformed", "it has not exactly one signature")
            authority = self._authority_of(before)
            changes = found.parent is None or before is not loaded.contracts
            key = authority.prove(*parts)
            imported = found.event.seq <= logid.imported_events(loaded.tip.log_id)
            first = logid.recorded_in(loaded.tip.log_id, found.event.seq)
            decision = decision_of(self.repository.read, found.event, first)
            authority.check(
                key, found.event, state, changes=changes, imported=imported, decision=decision
            )
        except (SignatureRefused, RefusedError) as error:
            raise MismatchError(
                f"the log ends with an event that its signer may not append: "
                f"{loaded.tip.commit[:12]}",
                cause=str(error) if isinstance(error, SignatureRefused) else error.cause,
                hint="nothing was appended to it; run 'git esaa verify' to see where it begins",
            ) from error
        self._trusted = loaded

    def _authority_of(self, contracts: Contracts) -> Authority:
        """Return who may sign; what was parsed for our own last transaction serves others' too."""
        if self.authority is not None and self.authority.contracts is contracts:
            return self.authority
        return Authority(contracts)

    def _signed_under(self, loaded: LoadedTip) -> tuple[EventCommit, Contracts, State]:
        """Return the last event with contracts and state before it, which say who may sign it."""
        found = read_event_commit(self.repository.read, loaded.tip.commit)
        if found.parent is None:
            return found, loaded.contracts, EMPTY
        try:
            before = load_tip(self.repository, found.parent, loaded)
        except CorruptedError:
            if not self.repository.raw.is_shallow:
                raise
            # The history that is here begins with this event.
            return found, loaded.contracts, loaded.state
        return found, before.contracts, before.state

    def _load(self, target: str) -> LoadedTip:
        if self._loaded is None or self._loaded.tip.commit != target:
            self._loaded = load_tip(self.repository, target, self._loaded)
        return self._loaded


class GitLogTransaction:
    """A chain of event commits after one tip; the log's ref moves in `commit`, or not at all."""

    def __init__(
        self,
        log: GitEventLog,
        start: LoadedTip | None,
        log_id: str,
        sink: ObjectSink | None = None,
        read: Reader | None = None,
    ) -> None:
        self._log = log
        self._read: Reader = log.repository.read if read is None else read
        self._sink: ObjectSink = log.repository if sink is None else sink
        self._start = start
        self.log_id = log_id
        self._parent = None if start is None else start.tip.commit
        self._previous = NO_PREDECESSOR if start is None else start.tip.event_sha256
        self._contracts = None if start is None else start.contracts
        self._contracts_tree = None if start is None else start.contracts_tree
        self._state = EMPTY if start is None else start.state
        self._imported = logid.imported_events(log_id)
        self._programs_tree = None if start is None else start.programs_tree
        self._state_tree = log.take_state_tree(start)
        self._authority = log.authority
        self._orchestrator: Signer | None = None
        self._last: LoadedTip | None = None
        self._subject = ""

    def write(
        self, event: Event, state: State, contracts: Contracts, attachments: Attachments
    ) -> str:
        """Write the objects of one event and return its commit id; no ref moves.

        Raises:
            KeyUnavailable: if there is no key to sign with.
            RefusedError: if the key has no role that may sign this action, or the contracts
                change in another event than a run.init.
        """
        sink = self._sink
        if len(event.data) > limits.EVENT:
            raise RefusedError(
                f"{event.action} has {len(event.data):,} bytes, and {limits.EVENT:,} are recorded",
                cause="a longer event is not read by those who verify the log",
                hint="add the tasks of a long plan in several steps of 'git esaa plan apply'",
            )
        before = contracts if self._contracts is None else self._contracts
        if self._contracts_tree is None or contracts is not self._contracts:
            check_signers(contracts)
            self._contracts_tree = self._store_contracts(contracts)
            self._programs_tree = self._store_programs(contracts)
            self._contracts = before if contracts.same_as(before) else contracts
        entries = {
            "contracts": TreeEntry(MODE_TREE, self._contracts_tree),
            "event.json": TreeEntry(MODE_FILE, sink.put(BLOB, event.data)),
            "roadmap": TreeEntry(MODE_TREE, self._state_tree.apply(state, sink)),
        }
        if self._programs_tree is not None:
            entries["programs"] = TreeEntry(MODE_TREE, self._programs_tree)
        if attachments.files:
            entries["files"] = TreeEntry(MODE_TREE, store_files(sink, attachments.files))
        if attachments.exchange:
            exchange = {
                name: TreeEntry(MODE_FILE, oid) for name, oid in attachments.exchange.items()
            }
            entries["exchange"] = TreeEntry(MODE_TREE, sink.put(TREE, encode_tree(exchange)))
        if attachments.decision:
            decided = {
                name: TreeEntry(MODE_FILE, oid) for name, oid in attachments.decision.items()
            }
            entries["decision"] = TreeEntry(MODE_TREE, sink.put(TREE, encode_tree(decided)))
        if attachments.subject is not None:
            entries[SUBJECT] = TreeEntry(MODE_FILE, sink.put(BLOB, attachments.subject))
        payload = commitform.event_commit(
            event,
            tree=sink.put(TREE, encode_tree(entries)),
            parent=self._parent,
            log_id=self.log_id,
            previous_sha256=self._previous,
            run_id=state.run.run_id,
        )
        if self._contracts is not before and event.action != "run.init":
            raise RefusedError(f"the contracts cannot change in {event.action}")
        # A change of contracts is signed by authority of those it replaces (design: trust).
        signature = self._signature(payload, event, before)
        oid = sink.put(COMMIT, sign_commit(payload, signature))
        self._parent, self._previous = oid, event.sha256
        self._last = LoadedTip(
            Tip(oid, event.seq, event.ts, event.sha256, self.log_id),
            state,
            contracts,
            self._contracts_tree,
            self._programs_tree,
            entries["roadmap"].oid,
        )
        self._subject = event.subject
        self._state = state
        return oid

    @property
    def alone(self) -> bool:
        """Whether a person's key is at hand, and the orchestrator's is not."""
        return self._log.keys.alone

    def roles(self, actor: str) -> frozenset[str]:
        """Return the roles, in the contracts in force, of the key that signs for a person."""
        assert self._contracts is not None
        key = self._log.keys.of(actor)
        return signer_set(self._contracts).roles_of_fingerprint(key.fingerprint) & set(ROLES)

    def sign_decision(self, document: bytes, actor: str) -> bytes:
        """Return a person's signature of a decision document."""
        return sign_decision(self._log.keys.of(actor), document)

    def sign(self, payload: bytes, actor: str = ORCHESTRATOR) -> bytes:
        """Return the signature of a commit's bytes by the key that signs this actor's events."""
        if is_person(actor):
            return self._log.keys.of(actor).sign(payload)
        return self._orchestrators().sign(payload)

    def _orchestrators(self) -> Signer:
        """Return the orchestrator's key: after a rotation, the one that took over."""
        keys = self._log.keys
        if self._orchestrator is None and self._start is not None and keys.following is not None:
            known = signer_set(self._start.contracts)
            if not known.roles_of_fingerprint(keys.signer.fingerprint):
                return keys.following
        return self._orchestrator or keys.signer

    def commit(
        self, branch: BranchMove | None = None, proposals: Sequence[ProposalRef] = ()
    ) -> None:
        """Move the log's ref, then the branch, from where this transaction began."""
        if self._last is None:
            return
        old = None if self._start is None else self._start.tip.commit
        message = f"esaa: {self._subject}"
        moves = []
        # Who dies before the log has moved leaves the ref of a proposal that no event names, which
        # the next try moves on; after it, no event lacks its ref.
        for one in proposals:
            ref = proposal_ref(self._log.ref, one.task_id, one.attempt_id)
            moves.append(RefMove(ref, self._log.refs.read(ref), one.commit, message))
        moves.append(RefMove(self._log.ref, old, self._last.tip.commit, message))
        if branch is not None:
            ref = f"refs/heads/{branch.branch}"
            moves.append(RefMove(ref, branch.old, branch.new, message))
        self._log.refs.move(moves)
        self._log.moved(self._last, self._state_tree, self._authority)

    def _signature(self, payload: bytes, event: Event, contracts: Contracts) -> bytes:
        """Sign, and refuse to write what `verify` would refuse to believe."""
        if self._authority is None or self._authority.contracts is not contracts:
            self._authority = Authority(contracts)
        imported = event.seq <= self._imported
        keys = self._log.keys
        by_person = is_person(event.actor) and not imported
        decision = decision_of(self._read, event, logid.recorded_in(self.log_id, event.seq))
        if decision is not None and not keys.alone:
            # What somebody decided elsewhere, an orchestrator's key puts in its place.
            by_person &= keys.person is not None and is_made_by(decision, keys.person)
        signer = keys.of(event.actor) if by_person else self._orchestrator or keys.signer
        try:
            try:
                return self._signed(signer, payload, event)
            except SignatureRefused:
                following = self._log.keys.following
                if by_person or following is None:
                    raise
                armored = self._signed(following, payload, event)
                self._orchestrator = following
                return armored
        except SignatureRefused as error:
            raise KeyUnavailable(
                "the signing key is not trusted by the contracts in force",
                cause=str(error),
                hint="run 'git esaa doctor' for the key configured here, and 'git esaa key list' "
                "for those in force; an admin can add one with 'git esaa key trust'",
            ) from error

    def _signed(self, signer: Signer, payload: bytes, event: Event) -> bytes:
        assert self._authority is not None
        armored = signer.sign(payload)
        key = self._authority.prove_own(signer, payload, armored)
        changes = self._parent is None or self._contracts is not self._authority.contracts
        imported = event.seq <= self._imported
        first = logid.recorded_in(self.log_id, event.seq)
        decision = decision_of(self._read, event, first)
        self._authority.check(
            key, event, self._state, changes=changes, imported=imported, decision=decision
        )
        return armored

    def _store_contracts(self, contracts: Contracts) -> str:
        entries = {
            name: TreeEntry(MODE_FILE, self._sink.put(BLOB, data))
            for name, data in contracts.files.items()
        }
        return self._sink.put(TREE, encode_tree(entries))

    def _store_programs(self, contracts: Contracts) -> str | None:
        programs = contracts.programs
        if programs is None:
            return None
        entries = {
            pin.sha256: TreeEntry(MODE_FILE, self._sink.put(BLOB, programs.content(pin)))
            for pin in programs.pins
        }
        return self._sink.put(TREE, encode_tree(entries))
