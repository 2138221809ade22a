"""Decisions of people that lost the race for their place: put into an inbox, and taken out of it.

What waits there is recorded behind the last event of the remote's log, and its ref goes in the
same push; the log here follows as after any fetch. It takes an orchestrator's key.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from esaa_git.app.project import Project
from esaa_git.core import refnames
from esaa_git.core.event import NewEvent, timestamp
from esaa_git.core.events import RunHalt
from esaa_git.core.events.decided import document_of
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.errors import ConflictError, EsaaError, RefusedError
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.position import common_event, events_between
from esaa_git.store.refs import OverlayRefs
from esaa_git.verification.inbox import Address, fault, read, store
from esaa_git.verification.published import Unfounded

if TYPE_CHECKING:
    from esaa_git.remote.incoming import Incoming
    from esaa_git.remote.remote import Remote

TRIES: Final = 5
"""How often what waits is put behind what others appended meanwhile."""

MOST: Final = 256
"""How many entries are looked at at once."""


def admit(project: Project, remote: Remote, incoming: Incoming) -> Incoming:
    """Record what waits in a remote's inbox there, and return what the remote has then.

    What its log cannot take is deleted, and named. Where that cannot be pushed, a note says so.

    Args:
        incoming: what was fetched with the inbox.
    """
    if not remote.inbox.entries() or project.log.keys.alone:
        return incoming
    try:
        for _ in range(TRIES):
            moved = _admit_once(project, remote, incoming.tip)
            if moved is False:
                return incoming
            incoming = remote.take_in()
            if moved:
                return incoming
    except EsaaError as error:
        project.note(
            f"note: what waits in the inbox of '{remote.name}' stays there: {error.message}"
        )
    return incoming


def admit_halt(project: Project, remote: Remote, incoming: Incoming) -> Incoming:
    """Do as `admit` does where a halt waits; all else is left to who follows the remote's log.

    A run of this clone alone would put decisions behind what its own log does not have.
    """
    waiting = remote.inbox.entries().items()
    judged = (_judged(project, remote, ref, oid, incoming.tip)[0] for ref, oid in waiting)
    if any(new is not None and isinstance(new.payload, RunHalt) for new in judged):
        return admit(project, remote, incoming)
    return incoming


def _admit_once(project: Project, remote: Remote, tip: str) -> bool | None:
    """Push what can be taken; answer whether anything was, None where others were faster."""
    refs = OverlayRefs(project.refs, moved={remote.log_ref: tip})
    engine = replace(project.engine_on(refs), sharing=None)
    waiting = dict(list(remote.inbox.entries().items())[:MOST])
    gone: list[str] = []
    reasons: dict[str, str] = {}
    before = -1
    while len(gone) != before:  # one may wait for another
        before = len(gone)
        for ref in [one for one in waiting if one not in gone]:
            new, why = _judged(project, remote, ref, waiting[ref], str(refs.read(remote.log_ref)))
            if new is None:
                reasons[ref] = why
                continue
            try:
                transact(engine, partial(_record, new))
            except RefusedError as error:  # it is no fault of what waits beside it
                project.note(f"note: '{ref}' stays in the inbox: {error.cause or error.message}")
                del waiting[ref]
                continue
            project.note(f"{new.action} by {new.actor} came through the inbox of '{remote.name}'")
            gone.append(ref)
    for ref in [one for one in waiting if one not in gone]:
        project.note(f"'{ref}' is taken out of the inbox of '{remote.name}': {reasons[ref]}")
        gone.append(ref)
    branch = str(engine.log.load()[0].run.branch)
    try:
        remote.publish(str(refs.read(remote.log_ref)), branch, None, admitted=gone)
    except ConflictError:
        return None
    return True


def _record(new: NewEvent, tx: Transaction) -> None:
    tx.record(new)


def _judged(
    project: Project, remote: Remote, ref: str, oid: str, tip: str
) -> tuple[NewEvent | None, str]:
    """Return the decision that the log can take next, or None and why it cannot."""
    name = refnames.classify(ref, remote.log_ref)
    if name is None or name.key is None or name.digest is None:
        return None, "its name is none of an entry"
    try:
        new = read(project.repository, Address(name.key, name.digest), oid, tip)
    except Unfounded as error:
        return None, str(error)
    why = fault(project.repository, new, tip, timestamp(project.engine.clock.now()))
    return (new, "") if why is None else (None, why)


def offer(project: Project, remote: Remote) -> tuple[str, ...]:
    """Put what people decided here, and the remote does not have, into its inbox.

    Returns:
        The refs that hold it there; none where something else was recorded here beside.
    """
    repository, local = project.repository, project.refs.read(remote.log_ref)
    theirs = project.refs.read(remote.tracking)
    common = None if local is None or theirs is None else common_event(repository, local, theirs)
    if local is None or common is None:
        return ()
    tail = list(events_between(repository, read_event_commit(repository.read, common), local))
    left = 0
    sent: list[str] = []
    for stored in tail:
        event = stored.event
        if document_of(event.payload) is None:
            left += 1
            continue
        at, commit = store(repository, NewEvent(event.actor, event.payload))
        ref = refnames.inbox_ref(remote.log_ref, at.key, at.digest)
        try:
            remote.offer({ref: commit})
        except RefusedError as error:
            left += 1
            # Of what the hook says, the reason; ours are the other lines.
            why = str(error.cause).rpartition("caused by: ")[2].partition("\nhint: ")[0]
            project.note(f"note: {event.event_id} is not taken into the inbox: {why}")
        else:
            sent.append(ref)
            project.note(
                f"{event.event_id} waits in the inbox of '{remote.name}': others were faster, and "
                "the next of them records it"
            )
    return () if left else tuple(sent)
