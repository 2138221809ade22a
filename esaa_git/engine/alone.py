"""A person alone: a clone with a person's key and none of the orchestrator's.

What the person says is recorded, for a log may end in any event that its signer may append. What
follows from it is the orchestrator's to record: its next transaction begins with it (`owed`), and
its next run closes what was approved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import takewhile

from esaa_git.core.event import NewEvent, StoredEvent
from esaa_git.core.events import ApprovalDeny, IssueReport
from esaa_git.core.events.spec import is_person
from esaa_git.engine.intentions import ActOnIssue, Intention, ReturnDenied
from esaa_git.errors import RefusedError

LATER = "recorded; what follows from it is the orchestrator's to record, with its next run"


def own_part(decided: tuple[NewEvent, ...]) -> tuple[NewEvent, ...]:
    """Return what a person can record alone of what was decided."""
    return tuple(takewhile(lambda event: is_person(event.actor), decided)) or decided


def without_after_images() -> RefusedError:
    """Return why a person alone proposes no files: their content would be recorded nowhere."""
    return RefusedError(
        "an answer that changes files is recorded where the orchestrator's key is",
        cause="its after-images are the orchestrator's to record, and its key is not here",
        hint="submit it in a clone whose esaa.signingKey is in force, or commit the change "
        "yourself, beside the log",
    )


def owed(events: Iterable[StoredEvent]) -> Iterator[Intention]:
    """Yield what is left to record of what people said since the orchestrator's last event.

    Where it is recorded already, or nothing follows, the intention decides on nothing.

    Args:
        events: from the newest on.
    """
    for stored in takewhile(lambda one: is_person(one.event.actor), events):
        payload = stored.event.payload
        if isinstance(payload, ApprovalDeny):
            yield ReturnDenied(approval_id=payload.approval_id)
        elif isinstance(payload, IssueReport):
            yield ActOnIssue(issue_id=payload.issue_id)
