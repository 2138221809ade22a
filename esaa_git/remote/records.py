"""Records beside the log on their way: what is sent to a remote, and what is taken from it.

Both are held against the rule that a server's hook applies (`verification.published`), so that
nothing is sent that would hold up the whole push, and nothing taken that only has the name.
"""

from __future__ import annotations

from collections.abc import Mapping

from esaa_git.core import refnames
from esaa_git.core.state import State
from esaa_git.ports.refs import RefMove
from esaa_git.store.position import contains
from esaa_git.store.refs import GitRefs
from esaa_git.store.repository import Repository
from esaa_git.store.tip import load_tip
from esaa_git.verification.published import Unfounded, check_checkpoint, check_proposal, is_over


def forget(repository: Repository) -> None:
    """Delete the refs of proposals of which nothing more comes, by the log that is here."""
    refs, log = GitRefs(repository), repository.events_ref
    tip, here = refs.read(log), refs.list(refnames.proposals(log))
    if tip is None or not here:
        return
    state = load_tip(repository, tip).state
    refs.delete([ref for ref in here if may_go(ref, log, state)])


def may_go(ref: str, log: str, state: State) -> bool:
    """Answer whether a ref is that of a proposal of which nothing more comes."""
    name = refnames.classify(ref, log)
    return (
        name is not None and name.task is not None and is_over(state, name.task, str(name.attempt))
    )


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
        self._folders = {
            "checkpoints": refnames.checkpoints(self._log),
            "proposals": refnames.proposals(self._log),
        }

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
        sent: dict[str, str] = {}
        left: list[str] = []
        state = load_tip(self._repository, log_tip).state
        for ref, oid in records.items():
            known = there.get(ref)
            if may_go(ref, self._log, state):
                sent |= {} if known is None else {ref: ""}
                continue
            if known == oid:
                continue
            if not self._is_proposal(ref) and known is not None:
                if known not in self._repository.odb:
                    left.append(f"'{ref}' stays here: '{self._name}' has one that is not here")
                    continue
                if contains(self._repository, known, oid):
                    continue  # the remote is ahead
            reason = self._reason(ref, oid, known, log_tip)
            if reason is None:
                sent[ref] = oid
            else:
                left.append(f"'{ref}' stays here: {reason}")
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
        if old == new or may_go(ours, self._log, load_tip(self._repository, log_tip).state):
            return None
        reason = self._reason(ours, new, old, log_tip)
        if reason is None:
            self._refs.move([RefMove(ours, old, new, f"esaa: from {self._name}")])
            return None
        if old is None or self._reason(ours, new, None, log_tip) is not None:
            return f"'{ours}' on '{self._name}' is left there: {reason}"
        if contains(self._repository, old, new):
            return None  # what is here is ahead
        return (
            f"'{ours}' here ({old[:12]}) and on '{self._name}' ({new[:12]}) do not continue "
            "each other: compare the two before you trust either"
        )

    def _reason(self, ref: str, new: str, old: str | None, log_tip: str) -> Unfounded | None:
        """Return why a server would not take this on a ref where `old` is, or None."""
        name = refnames.classify(ref, self._log)
        try:
            if name is not None and name.seq is not None:
                check_checkpoint(self._repository, name.seq, new, old, log_tip)
            elif name is not None and name.task is not None:
                # What was kept of a rejected answer may take the place of what waited.
                check_proposal(self._repository, name.task, str(name.attempt), new, log_tip)
            else:
                return Unfounded("its name is none of a record")
        except Unfounded as reason:
            return reason
        return None

    def _is_proposal(self, ref: str) -> bool:
        return ref.startswith(self._folders["proposals"])
