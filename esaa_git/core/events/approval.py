"""`approval.request`, `approval.grant` and `approval.deny`: a decision that people owe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from esaa_git.core.accounts import Raised
from esaa_git.core.entries import (
    DENIED,
    EXPIRED,
    GRANTED,
    PENDING,
    RETURNED,
    Approval,
    Consent,
    Requirement,
)
from esaa_git.core.events.base import Count, Line, Payload, Range, Record, Stamp, decode, encode
from esaa_git.core.events.decided import DecisionPayload
from esaa_git.core.events.fields import (
    Actor,
    ApprovalId,
    AttemptId,
    Decided,
    Nonce,
    Raise,
    Said,
    Sha256,
    TaskId,
    Timestamp,
)
from esaa_git.core.events.spec import ADMIN, APPROVER, ORCHESTRATOR, PERSON, same_person
from esaa_git.core.invariants import Violation
from esaa_git.core.machine import AttemptState

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft

REVIEWER: Final = "reviewer"
"""Stands in a requirement for the agent that the contracts name; an approver will do as well."""

STARTER: Final = "starter"
"""The person who started the agent."""

_GIVES: Final[Mapping[str, frozenset[str]]] = {
    REVIEWER: frozenset({APPROVER, ADMIN}),
    APPROVER: frozenset({APPROVER, ADMIN}),
    ADMIN: frozenset({ADMIN}),
}
"""By the role that is required, the roles in which a person gives it."""

PersonsRole: TypeAlias = Literal["approver", "admin"]


class Required(Record):
    """What one rule asks for: so many different people in a role, besides `other_than`."""

    rule: Annotated[str, Line()]
    role: Literal["reviewer", "approver", "admin"]
    count: Annotated[int, Range(1, 20)] | None = None
    other_than: Literal["starter"] | None = None


def requirement(required: Required) -> Requirement:
    """Return a requirement as the state has it."""
    return Requirement(required.rule, required.role, required.count or 1, required.other_than)


def required(one: Requirement) -> Required:
    """Return a requirement as a request has it."""
    return decode(Required, one.to_json())


class ApprovalRequest(Payload, action="approval.request", by={ORCHESTRATOR}):
    """People have to agree to a result before its task is done, or to more of a budget.

    `started_by` is the person who started the agent that made the result, or asked for the `undo`.
    A request for a `budget` is about no attempt: it names the first task that has no room, and by
    how much to raise it.
    """

    approval_id: ApprovalId
    kind: Literal["proposal", "budget", "undo"]
    task_id: TaskId
    attempt_id: AttemptId | None = None
    subject_sha256: Sha256
    requirements: Annotated[tuple[Required, ...], Count(least=1, most=100)]
    nonce: Nonce
    expires: Timestamp | None = None
    started_by: Actor | None = None
    budget: Raise | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        approval_id = f"APR-{draft.run.approvals + 1:04d}"
        if self.approval_id != approval_id:
            raise Violation("INV-005", f"the next approval is {approval_id}")
        is_undo = draft.task(self.task_id).undoes is not None
        about = "undo" if is_undo else "proposal"
        if self.kind != ("budget" if self.budget is not None else about) or (
            (self.budget is None) != (self.attempt_id is not None)
        ):
            raise Violation("INV-003", f"'{approval_id}' is of kind {self.kind}")
        if self.budget is not None:
            self._ask_for_more(draft, Raised(**encode(self.budget)))
            return
        task, attempt = draft.attempt(self.task_id, str(self.attempt_id))
        if attempt.state != AttemptState.COMPLETED or task.is_done or task.pending_approval:
            raise Violation("INV-002", f"'{attempt.attempt_id}' has nothing to approve")
        if task.result is None or task.effect == "pending":
            raise Violation("INV-003", f"the effect of '{attempt.attempt_id}' is not written yet")
        if self.expires is not None and self.expires <= event.ts:
            raise Violation("INV-002", f"'{approval_id}' would expire before it is asked for")
        draft.put_approval(self._pending())
        draft.put_task(replace(task, pending_approval=approval_id))

    def _ask_for_more(self, draft: Draft, raised: Raised) -> None:
        """Ask for more of a budget; of each account once at a time."""
        before = draft.approvals.get(draft.ledger.account(raised.account).asked or "")
        if before is not None and before.state == PENDING:
            raise Violation("INV-002", f"'{before.approval_id}' asks for it already")
        draft.put_approval(replace(self._pending(), raises=raised))
        draft.ledger.ask(raised.account, self.approval_id)

    def _pending(self) -> Approval:
        return Approval(
            self.approval_id,
            self.task_id,
            self.attempt_id or "",
            PENDING,
            self.subject_sha256,
            self.nonce,
            tuple(map(requirement, self.requirements)),
            self.kind,
            self.expires,
            self.started_by,
        )

    def subject(self) -> str:
        if self.budget is not None:
            return f"{self.approval_id} for {self.budget.account}: {self.budget.amount} more"
        return f"{self.approval_id} for {self.attempt_id}"


class _Answer(DecisionPayload):
    """What a person decides: by a document that names the request by its subject and its nonce."""

    approval_id: ApprovalId
    subject_sha256: Sha256
    nonce: Nonce

    if TYPE_CHECKING:
        decision: Decided
        said: Said

    def arguments(self) -> dict[str, Any]:
        """Return what is decided; under which number it was asked for is no part of it."""
        given = super().arguments()
        return {name: item for name, item in given.items() if name != "approval_id"}

    def _decide(self, draft: Draft, event: Stamp) -> Approval:
        """Return the approval with what is decided for it, if this person may still decide."""
        approval = draft.pending_approval(self.approval_id)
        if approval.raises is None:
            task, attempt = draft.attempt(approval.task_id, approval.attempt_id)
            if task.pending_approval != approval.approval_id:
                raise Violation("INV-002", f"'{task.task_id}' does not wait for it any more")
            if same_person(event.actor, attempt.agent):
                raise Violation("INV-002", "nobody approves their own work")
        if (self.subject_sha256, self.nonce) != (approval.subject_sha256, approval.nonce):
            raise Violation("INV-003", f"'{self.approval_id}' is another request")
        if approval.has_expired(event.ts):
            raise Violation("INV-002", f"'{self.approval_id}' expired at {approval.expires}")
        if any(same_person(one.by, event.actor) for one in approval.grants):
            raise Violation("INV-002", f"{event.actor} has decided on it already")
        return replace(approval, decided_by=event.actor, text=self.said.text)

    def subject(self) -> str:
        return self.approval_id


class ApprovalGrant(_Answer, action="approval.grant", by={PERSON}):
    """A person agrees, in a role that their key has."""

    role: PersonsRole
    decision: Decided
    said: Said

    def evolve(self, draft: Draft, event: Stamp) -> None:
        """Count the person; with the last that is required, the result may be applied."""
        approval = self._decide(draft, event)
        grants = (*approval.grants, Consent(event.actor, self.role))
        decided = settled(replace(approval, grants=grants))
        draft.put_approval(decided)
        if decided.state == GRANTED and decided.raises is not None:
            draft.ledger.raise_limit(decided.raises)


class ApprovalDeny(_Answer, action="approval.deny", by={PERSON}):
    """A person does not agree: the result may not be applied, or not before it is changed."""

    verdict: Literal["deny", "request_changes"]
    decision: Decided
    said: Said

    def evolve(self, draft: Draft, event: Stamp) -> None:
        """Note it; what becomes of the task, the orchestrator says next."""
        state = DENIED if self.verdict == "deny" else RETURNED
        asked = self._decide(draft, event)
        if asked.kind == "undo" and state == RETURNED:
            raise Violation("INV-002", "an undo is approved or denied; nobody can change it")
        approval = replace(asked, state=state, reviewer=None, deadline=None)
        draft.put_approval(approval)


class ApprovalExpire(Payload, action="approval.expire", by={ORCHESTRATOR}):
    """Nobody decided in time: from now on it is too late, and the result is kept."""

    approval_id: ApprovalId

    def evolve(self, draft: Draft, event: Stamp) -> None:
        approval = draft.pending_approval(self.approval_id)
        if not approval.has_expired(event.ts):
            raise Violation("INV-002", f"'{self.approval_id}' has not expired")
        draft.put_approval(replace(approval, state=EXPIRED, reviewer=None, deadline=None))

    def subject(self) -> str:
        return self.approval_id


# -- what is still required -------------------------------------------------------------------


def unmet(approval: Approval) -> tuple[Requirement, ...]:
    """Return what a request still lacks; each person counts once for each requirement."""
    return tuple(one for one in approval.requirements if not _is_met(approval, one))


def needs(required: Iterable[Requirement]) -> str:
    """Return in words who has to agree."""
    return ", and ".join(f"{_people(one, one.count)} ({one.rule})" for one in required)


def lacks(approval: Approval) -> str:
    """Return in words who still has to agree, and who cannot."""
    said = []
    for one in unmet(approval):
        given = len(list(consents(approval, one)))
        who = _people(one, one.count - given, " more" if given else "")
        if one.other_than == STARTER and approval.started_by is not None:
            who += f" beside {approval.started_by}"
        said.append(f"{who} ({one.rule})")
    return ", and ".join(said)


def _people(required: Requirement, count: int, more: str = "") -> str:
    return f"{'one' if count == 1 else count}{more} of role {required.role}"


def consents(approval: Approval, required: Requirement) -> Iterator[str]:
    """Yield who has given what is required."""
    for one in approval.grants:
        starter = approval.started_by if required.other_than == STARTER else None
        if one.role in _GIVES[required.role] and not same_person(one.by, starter or ""):
            yield one.by


def _is_met(approval: Approval, required: Requirement) -> bool:
    if required.role == REVIEWER and approval.agreed_by is not None:
        return True
    return len(list(consents(approval, required))) >= required.count


def settled(approval: Approval) -> Approval:
    """Return an approval as granted where nothing is required any more."""
    if unmet(approval):
        return approval
    return replace(approval, state=GRANTED, reviewer=None, deadline=None)
