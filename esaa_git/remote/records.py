"""Records beside the log on their way: what is sent to a remote, and what is taken from it.

Both are held against the rule that a server's hook applies (`verification.published`), so that
nothing is sent that would hold up the whole push, and nothing taken that only has the name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from esaa_git.core import refnames
from esaa_git.ports.refs import RefMove
from esaa_git.store.position import contains
from esaa_git.store.refs import GitRefs
from esaa_git.store.repository import Repository
from esaa_git.verification.published import Unfounded, check_checkpoint


class Records:
    """The records of one repository, and those of one remote.

    Args:
        name: what people call the remote.
    """

    def __init__(self, repository: Repository, name: str) -> None:
        self._repository = repository
        self._refs = GitRefs(repository)
        self._name = name
        self._log = repository.events_ref
        self._folders = {"checkpoints": refnames.checkpoints(self._log)}

    def refspecs(self, target: str) -> list[str]:
        """Return what brings them below `target`, without a `+`."""
        return [f"{there}*:{target}{kind}/*" for kind, there in self._folders.items()]

    # -- sending --------------------------------------------------------------------------------

    def here(self) -> dict[str, str]:
        """Return the refs of records that are here."""
        found = [ref for folder in self._folders.values() for ref in self._refs.list(folder)]
        return {ref: str(self._refs.read(ref)) for ref in found}

    def to_send(
        self, records: Mapping[str, str], there: Mapping[str, str], log_tip: str
    ) -> tuple[dict[str, str], list[str]]:
        """Return the records that a server takes, and in words which ones are left out, and why."""
        sent, left = {}, []
        for ref, oid in records.items():
            known = there.get(ref)
            if known == oid:
                continue
            if known is not None and known not in self._repository.odb:
                left.append(f"'{ref}' stays here: '{self._name}' has one that was not fetched yet")
                continue
            if known is not None and contains(self._repository, known, oid):
                continue  # the remote is ahead
            try:
                self._check(ref, oid, known, log_tip)
            except Unfounded as reason:
                left.append(f"'{ref}' stays here: {reason}")
            else:
                sent[ref] = oid
        return sent, left

    # -- taking ---------------------------------------------------------------------------------

    def take(self, arrivals: str, log_tip: str) -> list[str]:
        """Take over what is new, or continues what is here; name all else.

        Args:
            arrivals: where they were fetched to.
            log_tip: the last event of the log that came with them, which was verified.
        """
        notes = []
        for kind, folder in self._folders.items():
            arrived = f"{arrivals}{kind}/"
            for ref in self._refs.list(arrived):
                note = self._take(folder + ref.removeprefix(arrived), ref, log_tip)
                notes += [] if note is None else [note]
        return notes

    def _take(self, ours: str, arrived: str, log_tip: str) -> str | None:
        old, new = self._refs.read(ours), str(self._refs.read(arrived))
        if old == new:
            return None
        reason = self._reason(lambda: self._check(ours, new, old, log_tip))
        if reason is None:
            self._refs.move([RefMove(ours, old, new, f"esaa: from {self._name}")])
            return None
        if old is None or self._reason(lambda: self._check(ours, new, None, log_tip)) is not None:
            return f"'{ours}' on '{self._name}' is left there: {reason}"
        if contains(self._repository, old, new):
            return None  # what is here is ahead
        return (
            f"'{ours}' here ({old[:12]}) and on '{self._name}' ({new[:12]}) do not continue "
            "each other: compare the two before you trust either"
        )

    def _reason(self, check: Callable[[], None]) -> Unfounded | None:
        try:
            check()
        except Unfounded as reason:
            return reason
        return None

    def _check(self, ref: str, new: str, old: str | None, log_tip: str) -> None:
        name = refnames.classify(ref, self._log)
        if name is None or name.seq is None:
            raise Unfounded("its name is none of a record")
        check_checkpoint(self._repository, name.seq, new, old, log_tip)
