"""A person alone: a clone with a person's key and none of the orchestrator's.

What the person says is recorded, for a log may end in any event that its signer may append. What
follows from it is the orchestrator's to record: its next transaction begins with it (`owed`), and
its next run closes what was approved and judges the files of a result (`engine.proposed`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import takewhile

from esaa_git.core.event import NewEvent, StoredEvent
from esaa_git.core.events import ApprovalDeny, IssueReport, QuestionAnswer, QuestionAsk
from esaa_git.core.events.spec import is_person
from esaa_git.engine.intentions import ActOnIssue, FollowQuestion, Intention, ReturnDenied

LATER = (
    "recorded; 'git esaa push' shares it, and what follows from it is the orchestrator's to "
    "record, with its next run"
)


def own_part(decided: tuple[NewEvent, ...]) -> tuple[NewEvent, ...]:
    """Return what a person can record alone of what was decided."""
    return tuple(takewhile(lambda event: is_person(event.actor), decided)) or decided


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
        elif isinstance(payload, QuestionAsk | QuestionAnswer):
            yield FollowQuestion(task_id=payload.task_id)
