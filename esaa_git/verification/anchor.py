"""Check 1: a log held against all that is known of it here, and against what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pygit2

from esaa_git.core.projection import projection_hash
from esaa_git.errors import CorruptedError
from esaa_git.store.eventcommit import read_contracts
from esaa_git.store.repository import Repository
from esaa_git.store.tip import LoadedTip, load_tip
from esaa_git.trust import sshsig
from esaa_git.trust.roles import Authority
from esaa_git.trust.signers import SignerSet
from esaa_git.verification.checkpoint import NAMESPACE, Checkpoint, signed_by
from esaa_git.verification.failure import Failure
from esaa_git.verification.pins import Mark, Pin, PinUnusable

_UNSHALLOW = "fetch the rest of the log: 'git fetch --unshallow REMOTE'"


@dataclass(frozen=True, slots=True)
class Expected:
    """What the verifier knows from elsewhere.

    Attributes:
        genesis: the log's first commit.
        not_before: the last event is not older than this; `max_age` is how it was asked for.
        checkpoint: what the log was at one event.
        cosigners: who has to have signed the checkpoint, and how many of them; without it,
            a key has to which the log itself gives the role orchestrator or admin.
    """

    genesis: str | None = None
    not_before: str | None = None
    max_age: str = ""
    checkpoint: Checkpoint | None = None
    cosigners: SignerSet | None = None
    required: int = 1


NOTHING = Expected()


@dataclass(frozen=True, slots=True)
class Seen:
    """What walking the log found.

    Attributes:
        genesis: its first commit, or None where it ends before that, at `boundary`.
        meets_mark: whether the last verified commit is part of it.
        at: returns the commit at a sequence number, or None where it is not here.
    """

    tip: LoadedTip
    log_id: str | None
    genesis: str | None
    boundary: str | None
    boundary_seq: int | None
    meets_mark: bool
    at: Callable[[int], str | None]


class Anchor:
    """Holds one log against all that is known of it."""

    def __init__(
        self,
        repository: Repository,
        mark: Mark | None,
        pin: Pin | PinUnusable | None,
        expected: Expected,
    ) -> None:
        self._repository = repository
        self._mark = mark
        self._unusable = pin if isinstance(pin, PinUnusable) else None
        self._pin = None if isinstance(pin, PinUnusable) else pin
        self._expected = expected

    @property
    def trust(self) -> str:
        """Why the genesis is believed: `given`, `pinned`, `verified-before` or `first-use`."""
        if self._expected.genesis is not None:
            return "given"
        if self._pin is not None:
            return "pinned"
        return "first-use" if self._mark is None else "verified-before"

    def check_pin(self) -> str | None:
        """Check 1: refuse to go by a pin that is not this user's at this place.

        Returns:
            What to say of it where the genesis was given, which decides then.

        Raises:
            Failure: check 1, with the command that pins again.
        """
        if self._unusable is None:
            return None
        if self._expected.genesis is not None:
            return f"{self._unusable.message}; the genesis that was given decides"
        message = f"{self._unusable.message}: {self._unusable.cause}"
        raise Failure(1, message, hint=self._unusable.hint)

    def check_gone(self) -> Failure:
        """Return the failure of a log that was here, or has to be, and is not."""
        if self._mark is not None:
            message = f"the log is gone; {self._mark.seq} events of it were verified here"
            return Failure(1, message).at(self._mark.tip)
        assert self._pin is not None
        message = f"the log that begins with {self._pin.genesis[:12]} is pinned here, and is gone"
        return Failure(1, message).at(self._pin.genesis)

    def check_length(self, seq: int) -> None:
        """Check 1: refuse a log that is shorter than what is known of it.

        Raises:
            Failure: check 1.
        """
        mark, checkpoint = self._mark, self._expected.checkpoint
        if mark is not None and seq < mark.seq:
            message = f"the log ends at event {seq}; {mark.seq} events were verified here"
            raise Failure(1, message)
        if checkpoint is not None and seq < checkpoint.seq:
            message = (
                f"the log ends at event {seq}, and the checkpoint is of event {checkpoint.seq}: "
                "it was rolled back, or this copy is behind"
            )
            raise Failure(1, message)

    def check(self, seen: Seen) -> None:
        """Check 1: hold the log, every event of which was checked, against what is known of it.

        Raises:
            Failure: check 1.
        """
        self._check_mark(seen)
        if self._pin is not None:
            self._check_genesis(seen, self._pin.genesis, "was pinned here")
            if self._pin.log_id not in (None, seen.log_id):
                message = f"this is another log: its id is {seen.log_id}, not {self._pin.log_id}"
                raise Failure(1, message)
        if self._expected.genesis is not None:
            self._check_genesis(seen, self._expected.genesis, "was asked for")
        not_before = self._expected.not_before
        if not_before is not None and seen.tip.tip.ts < not_before:
            message = (
                f"the last event is of {seen.tip.tip.ts}, which is longer ago than "
                f"{self._expected.max_age}: the log stands still, or what serves it does"
            )
            raise Failure(1, message)
        if self._expected.checkpoint is not None:
            self._check_checkpoint(seen, self._expected.checkpoint)

    def _check_mark(self, seen: Seen) -> None:
        mark = self._mark
        if mark is None:
            return
        if mark.log_id != seen.log_id:
            message = f"this is another log: its id is {seen.log_id}, not {mark.log_id}"
            if seen.genesis is not None and mark.genesis is not None:
                message = f"this is another log: it begins with {seen.genesis[:12]}, "
                message += f"not {mark.genesis[:12]}"
            raise Failure(1, message)
        if mark.genesis is not None:
            self._check_genesis(seen, mark.genesis, "was verified here")
        if not seen.meets_mark:
            message = f"the log does not contain {mark.tip[:12]}, which was verified here"
            raise Failure(1, message)

    def _check_genesis(self, seen: Seen, wanted: str, why: str) -> None:
        if seen.genesis is None:
            message = (
                f"the log that is here begins at event {seen.boundary_seq} (a shallow clone), so "
                f"it is not known whether it leads to {wanted[:12]}, which {why}"
            )
            raise Failure(1, message, hint=_UNSHALLOW)
        if seen.genesis != wanted:
            message = f"this is another log: it begins with {seen.genesis[:12]}, "
            raise Failure(1, f"{message}not {wanted[:12]}, which {why}")

    # -- checkpoints --------------------------------------------------------------------------

    def _check_checkpoint(self, seen: Seen, checkpoint: Checkpoint) -> None:
        event = f"event {checkpoint.seq}"
        if checkpoint.log_id != seen.log_id:
            message = f"the checkpoint is of log {checkpoint.log_id}, and this is {seen.log_id}"
            raise Failure(1, message)
        found = seen.at(checkpoint.seq)
        if found is None:
            message = f"{event}, which the checkpoint is of, is not here (a shallow clone)"
            raise Failure(1, message, hint=_UNSHALLOW)
        if found != checkpoint.tip:
            message = (
                f"the checkpoint has {checkpoint.tip[:12]} for {event}, and the log {found[:12]}: "
                "it was forked or rewritten"
            )
            raise Failure(1, message).at(found, checkpoint.seq)
        at = self._load(seen, checkpoint)
        for what, said, is_so in (
            ("hash", checkpoint.event_sha256, at.tip.event_sha256),
            ("time", checkpoint.ts, at.tip.ts),
            ("projection", checkpoint.projection_hash_sha256, projection_hash(at.state)),
        ):
            if said != is_so:
                message = f"the checkpoint has the {what} {said} for {event}, and the log {is_so}"
                raise Failure(1, message).at(found, checkpoint.seq)
        self._check_signatures(checkpoint, at)

    def _load(self, seen: Seen, checkpoint: Checkpoint) -> LoadedTip:
        if checkpoint.tip == seen.tip.tip.commit:
            return seen.tip
        try:
            return load_tip(self._repository, checkpoint.tip)
        except (CorruptedError, KeyError, pygit2.GitError) as error:
            message = f"event {checkpoint.seq} cannot be read: {error}"
            raise Failure(2, message).at(checkpoint.tip, checkpoint.seq) from error

    def _check_signatures(self, checkpoint: Checkpoint, at: LoadedTip) -> None:
        try:
            blobs = frozenset(signed_by(checkpoint))
        except sshsig.BadSignature as error:
            raise Failure(1, f"the checkpoint has a bad signature {error}") from error
        cosigners = self._expected.cosigners
        if cosigners is not None:
            count = len(blobs & cosigners.keys_for(NAMESPACE))
            if count < self._expected.required:
                message = (
                    f"the checkpoint has {count} signatures of the given cosigners, and "
                    f"{self._expected.required} are asked for"
                )
                raise Failure(1, message)
            return
        authority = Authority(read_contracts(self._repository.read, at.contracts_tree))
        if not any(authority.may_witness(blob) for blob in blobs):
            message = (
                "the checkpoint is signed by nobody whom the log calls orchestrator or admin at "
                f"event {checkpoint.seq}"
            )
            raise Failure(1, message, hint="name whom you trust instead with --cosigner FILE")
