"""What a server lets in beside the log: records that are what their names say."""

from __future__ import annotations

from collections.abc import Sequence

from esaa_git.core import refnames
from esaa_git.errors import RefusedError
from esaa_git.hooks.commands import Record
from esaa_git.hooks.inbox import below, check_entry
from esaa_git.store.repository import Repository
from esaa_git.store.tip import load_tip
from esaa_git.verification.failure import check_name
from esaa_git.verification.published import Unfounded, check_checkpoint, check_proposal, is_over


def check_records(
    repository: Repository, records: Sequence[Record], log_tip: str | None, namespace: str
) -> None:
    """Refuse a record that is not what its name says, by the log as it is after the push.

    Raises:
        RefusedError: naming the ref, and why.
    """
    for command, name in records:
        old = repository.ref_target(namespace + command.ref)
        try:
            if name.kind == refnames.CHECKPOINT:
                assert name.seq is not None
                assert command.new is not None  # a deletion was refused by its text alone
                check_checkpoint(repository, name.seq, command.new, old, log_tip)
            elif name.kind == refnames.INBOX:
                kept = _inbox_after(repository, records, namespace, command.ref)
                check_entry(repository, Record(command, name), old, log_tip, kept)
            elif command.new is not None:
                check_proposal(repository, str(name.task), str(name.attempt), command.new, log_tip)
            elif log_tip is None or not is_over(
                load_tip(repository, log_tip).state, str(name.task), str(name.attempt)
            ):
                raise Unfounded("it is not over: a later attempt or the end of its task lets it go")
        except Unfounded as reason:
            raise RefusedError(
                f"'{command.ref}' is refused: it is no {name.kind} of this name",
                cause=f"{check_name(1)}: {reason}",
                hint="'git esaa push' sends the records that belong to the log, with the log",
            ) from reason


def _inbox_after(
    repository: Repository, records: Sequence[Record], namespace: str, ref: str
) -> set[str]:
    """Return the refs beside an inbox entry, of the same key, as they are after the push."""
    folder = ref.rpartition("/")[0] + "/"
    kept = {one.removeprefix(namespace) for one in below(repository, namespace + folder)}
    for command, name in records:
        if name.kind == refnames.INBOX and command.ref.startswith(folder):
            kept = kept - {command.ref} if command.new is None else kept | {command.ref}
    return kept
