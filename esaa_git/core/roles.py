"""Who may append what: one table by action and role (docs/FORMAT.md, "Roles").

`CEILING` is that table; `signing` in ORCHESTRATOR_CONTRACT can take roles out of a row and put
none in. A cell holds the condition under which its role may append the action: a function that
returns what is wrong, or None. Append, the server's hook and `verify` ask `fault` alone.

A role is a service's or a person's. What a service signs has the orchestrator, the policy guard or
an agent as its actor; what a person's key signs has that person, and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from esaa_git.core.contracts import Contracts
from esaa_git.core.event import Event
from esaa_git.core.events import (
    ApprovalGrant,
    AttemptCreate,
    EffectRelinked,
    IssueReport,
    LessonRecord,
    RunEnd,
    TaskUpdate,
)
from esaa_git.core.events.spec import (
    ADMIN,
    APPROVER,
    CONTRIBUTOR,
    GUARD,
    ORCHESTRATOR,
    PEOPLE,
    ROLES,
    is_person,
)
from esaa_git.core.machine import Cause, RunState
from esaa_git.core.state import State
from esaa_git.errors import ConfigurationError


def implied(roles: Iterable[str]) -> frozenset[str]:
    """Return the roles with those that they imply: an admin is an approver and a contributor."""
    found = set(roles)
    for place, role in enumerate(PEOPLE):
        if role in found:
            found.update(PEOPLE[:place])
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Signed:
    """An event that a proven key has signed.

    Attributes:
        state: before the event.
        contracts: those before it; at the beginning of a log, those that it brings.
        roles: what the key has in these contracts at the time of the event.
        person: whose key it is; None for a service's.
        changes: the event begins the log, or puts other contracts in force.
    """

    event: Event
    state: State
    contracts: Contracts
    roles: frozenset[str]
    person: str | None
    changes: bool = False


Condition: TypeAlias = Callable[[Signed], str | None]


# -- conditions ---------------------------------------------------------------------------------


def _always(_: Signed) -> None:
    return None


def _keeps_contracts(signed: Signed) -> str | None:
    if not signed.changes:
        return None
    return "only an admin may begin a log, or change its contracts"


def _for_an_agent(signed: Signed) -> str | None:
    """An attempt of an agent, or one that undoes a task; a person's claim they sign themselves."""
    payload = signed.event.payload
    assert isinstance(payload, AttemptCreate)
    if payload.mode == "undo":
        return None  # whose it is, the event itself says
    return _agent_fault(signed, payload.agent)


def _of_an_agent(signed: Signed) -> str | None:
    """What an agent said, or the orchestrator of it."""
    actor = signed.event.actor
    return None if actor in (ORCHESTRATOR, GUARD) else _agent_fault(signed, actor)


def _agent_fault(signed: Signed, name: str) -> str | None:
    if is_person(name):
        return f"'{name}' is a person, and signs with a key of their own"
    if name in signed.contracts.swarm.agents:
        return None
    task = signed.state.tasks.get(signed.event.task_id or "")
    if task is not None and task.attempt is not None and task.attempt.agent == name:
        return None  # it held the task before a change of contracts took it out
    return f"the contracts know no agent '{name}'"


def _claims_for_themselves(signed: Signed) -> str | None:
    payload = signed.event.payload
    assert isinstance(payload, AttemptCreate)
    if payload.mode != "claim":
        return "only an orchestrator sends an agent"
    if payload.agent != signed.person:
        return f"nobody claims for '{payload.agent}' but they themselves"
    return None


def _their_own_attempt(signed: Signed) -> str | None:
    """The event is about the task's last attempt, and that is this person's."""
    payload = signed.event.payload
    task = signed.state.tasks.get(signed.event.task_id or "")
    attempt = None if task is None else task.attempt
    if attempt is None or attempt.agent != signed.person:
        return "the attempt is not their own"
    if isinstance(payload, LessonRecord) or signed.event.attempt_id == attempt.attempt_id:
        return None
    return "the attempt is not their own"


def _within_their_own_attempt(signed: Signed) -> str | None:
    payload = signed.event.payload
    if isinstance(payload, IssueReport) and payload.attempt_id is None:
        return "a contributor reports from an attempt of their own"
    return _their_own_attempt(signed)


def _releases_their_own(signed: Signed) -> str | None:
    payload = signed.event.payload
    assert isinstance(payload, TaskUpdate)
    if payload.cause != Cause.RELEASED:
        return "a person may only give back their own claim"
    return _their_own_attempt(signed)


def _answers_for_nothing(signed: Signed) -> str | None:
    payload = signed.event.payload
    if isinstance(payload, EffectRelinked) and payload.accepted_by is not None:
        return "only an admin answers for what stands beside effects"
    return None


def _answers_for_it(signed: Signed) -> str | None:
    payload = signed.event.payload
    if not isinstance(payload, EffectRelinked) or payload.accepted_by != signed.person:
        return "an admin signs what they themselves accept, and nothing else of this"
    return None


def _in_a_role_of_theirs(signed: Signed) -> str | None:
    payload = signed.event.payload
    assert isinstance(payload, ApprovalGrant)
    if payload.role in implied(signed.roles):
        return None
    return f"its role is {', '.join(sorted(signed.roles))}, and it grants as {payload.role}"


def _halts_it(signed: Signed) -> str | None:
    """The way on where the orchestrator's key is lost; what a run has come to is not a person's."""
    payload = signed.event.payload
    assert isinstance(payload, RunEnd)
    if payload.result != RunState.HALTED or payload.by != signed.person:
        return "an admin ends a run as halted, in their own name, and in no other way"
    return None


# -- the table ----------------------------------------------------------------------------------

CEILING: Final[Mapping[str, Mapping[str, Condition]]] = {
    "run.init": {ORCHESTRATOR: _keeps_contracts, ADMIN: _always},
    "run.end": {ORCHESTRATOR: _always, ADMIN: _halts_it},
    "task.create": {ORCHESTRATOR: _always},
    "task.update": {ORCHESTRATOR: _always, CONTRIBUTOR: _releases_their_own},
    "attempt.create": {ORCHESTRATOR: _for_an_agent, CONTRIBUTOR: _claims_for_themselves},
    "attempt.timeout": {ORCHESTRATOR: _always},
    "orchestrator.dispatch": {ORCHESTRATOR: _always},
    "output.rejected": {ORCHESTRATOR: _always},
    "orchestrator.file.write": {ORCHESTRATOR: _always},
    "orchestrator.view.mutate": {ORCHESTRATOR: _answers_for_nothing, ADMIN: _answers_for_it},
    "orchestrator.health": {ORCHESTRATOR: _always},
    "emergency.override": {ORCHESTRATOR: _always},
    "verify.start": {ORCHESTRATOR: _always},
    "verify.ok": {ORCHESTRATOR: _always},
    "verify.fail": {ORCHESTRATOR: _always},
    "policy.decision": {ORCHESTRATOR: _always},
    "agent.result": {ORCHESTRATOR: _of_an_agent, CONTRIBUTOR: _their_own_attempt},
    "agent.heartbeat": {ORCHESTRATOR: _of_an_agent, CONTRIBUTOR: _their_own_attempt},
    "issue.report": {
        ORCHESTRATOR: _of_an_agent,
        CONTRIBUTOR: _within_their_own_attempt,
        APPROVER: _always,
    },
    "lesson.record": {ORCHESTRATOR: _of_an_agent, CONTRIBUTOR: _their_own_attempt},
    "question.ask": {ORCHESTRATOR: _of_an_agent, CONTRIBUTOR: _their_own_attempt},
    "question.answer": {APPROVER: _always},
    "approval.request": {ORCHESTRATOR: _always},
    "approval.grant": {APPROVER: _in_a_role_of_theirs},
    "approval.deny": {APPROVER: _always},
    "approval.expire": {ORCHESTRATOR: _always},
    "review.result": {ORCHESTRATOR: _always},
    "note.add": {APPROVER: _always},
    "lesson.withdraw": {APPROVER: _always},
    "operator.request": {ADMIN: _always},
    "run.halt": {APPROVER: _always},
    "run.resume": {ADMIN: _always},
    "settle": {ORCHESTRATOR: _always},
    "budget.correct": {ADMIN: _always},
}
"""Action, role, condition. What has no cell may not be appended; an evaluator has none."""


def fault(signed: Signed) -> str | None:
    """Return why this key may not append this event, or None where it may."""
    event = signed.event
    actor_fault = _actor_fault(signed)
    if actor_fault is not None:
        return actor_fault
    row = CEILING.get(event.action, {})
    allowed = signed.contracts.orchestrator.signing.get(event.action, frozenset(row))
    if signed.changes:  # whatever the contracts say
        row, allowed = {ADMIN: _always}, frozenset({ADMIN})
    why = None
    has = implied(signed.roles)
    for role in ROLES:
        if role not in row or role not in has or role not in allowed:
            continue
        why = row[role](signed)
        if why is None:
            return None
    asked = " or ".join(role for role in ROLES if role in row and role in allowed)
    given = ", ".join(sorted(signed.roles)) or "none"
    return why or f"its role is {given}; {asked or 'no role'} is asked for"


def _actor_fault(signed: Signed) -> str | None:
    actor, person = signed.event.actor, signed.person
    if person is not None:
        return None if actor == person else f"it is the key of {person}, not {actor}'s"
    if is_person(actor):
        return f"'{actor}' is a person, and signs with a key of their own"
    return None


def check_signing(signing: Mapping[str, frozenset[str]]) -> None:
    """Refuse a contract that gives a role more than `CEILING` does.

    Raises:
        ConfigurationError: naming the entry.
    """
    for action, roles in signing.items():
        row = CEILING.get(action)
        where = f"ORCHESTRATOR_CONTRACT.yaml: signing/{action}"
        if row is None:
            raise ConfigurationError(
                f"{where}: there is no such action",
                hint="see 'Roles' in docs/FORMAT.md for the table; an entry can only take roles "
                "out of it",
            )
        wider = sorted(roles - row.keys())
        if wider:
            raise ConfigurationError(
                f"{where}: {', '.join(wider)} may never sign it",
                cause=f"the table of roles gives it to {', '.join(r for r in ROLES if r in row)}, "
                "and a contract can only take roles out",
                hint="name no others under 'signing' in .roadmap/ORCHESTRATOR_CONTRACT.yaml",
            )
