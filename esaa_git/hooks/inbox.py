"""The inbox of a server: what is taken into it, what may go, and what waits for a halt in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from esaa_git.core import refnames
from esaa_git.core.events import RunHalt
from esaa_git.core.events.decided import document_of
from esaa_git.errors import RefusedError
from esaa_git.hooks.clock import server_time
from esaa_git.hooks.commands import Command, Record
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.repository import Repository
from esaa_git.verification.failure import check_name
from esaa_git.verification.inbox import MOST_OF_A_KEY, Address, fault, read
from esaa_git.verification.published import Unfounded

_READ: Final = 1024
"""How many entries are looked at for a halt; no more come in by the rules."""


def check_entry(
    repository: Repository,
    record: Record,
    old: str | None,
    log_tip: str | None,
    kept: Iterable[str],
) -> None:
    """Hold one change of the inbox against the log as it is after the push.

    Args:
        old: what is there now.
        kept: the refs of the inbox after the push.

    Raises:
        Unfounded: saying why it is not taken, or why it stays.
    """
    at = Address(str(record.name.key), str(record.name.digest))
    new = record.command.new
    if new is None:
        if old is not None and _waits(repository, at, old, log_tip):
            raise Unfounded("the log can take it, and has not: whoever gives it a place deletes it")
        return
    if old is not None:
        raise Unfounded("it is there already, and is not replaced")
    of_key = sum(1 for ref in kept if ref.rpartition("/")[0].endswith(f"/{at.key}"))
    if of_key > MOST_OF_A_KEY:
        raise Unfounded(f"{MOST_OF_A_KEY} of this key wait already")
    why = fault(repository, read(repository, at, new, log_tip), log_tip, server_time())
    if why is not None:
        raise Unfounded(f"the log cannot take it: {why}")


def _waits(repository: Repository, at: Address, oid: str, log_tip: str | None) -> bool:
    """Answer whether an entry is one that the log could take next."""
    try:
        new = read(repository, at, oid, log_tip)
        return fault(repository, new, log_tip, server_time()) is None
    except Unfounded:
        return False


def below(repository: Repository, folder: str) -> list[str]:
    """Return the refs below a folder, of however many a server has."""
    listed = repository.git("for-each-ref", "--format=%(refname)", folder)
    return listed.decode("utf-8", "surrogateescape").splitlines()


def check_halts_first(
    repository: Repository, namespace: str, command: Command, appended: Sequence[str]
) -> None:
    """Refuse to append anything but the admission of a halt that waits.

    Args:
        appended: the new event commits, oldest first.

    Raises:
        RefusedError: naming the halt.
    """
    folder = namespace + refnames.inbox(command.ref)
    waiting = {}
    for ref in below(repository, folder)[:_READ]:
        name = refnames.classify(ref.removeprefix(namespace), command.ref)
        if name is None or name.key is None or name.digest is None:
            continue
        at, oid = Address(name.key, name.digest), str(repository.ref_target(ref))
        try:
            new = read(repository, at, oid, command.old)
        except Unfounded:
            continue
        is_halt = isinstance(new.payload, RunHalt)
        if is_halt and fault(repository, new, command.old, server_time()) is None:
            waiting[at.digest] = new.actor
    if not waiting or not appended:
        return
    first = document_of(read_event_commit(repository.read, appended[0]).event.payload)
    if first is not None and first[0].sha256 in waiting:
        return
    who = ", ".join(sorted(set(waiting.values())))
    raise RefusedError(
        f"'{command.ref}' is refused: a halt by {who} waits in the inbox",
        cause=f"{check_name(7)}: while it waits, nothing else is appended",
        hint="run 'git esaa sync' where an orchestrator's key is: it gives the halt its place",
    )
