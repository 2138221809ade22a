"""The agents of the swarm: whether they can work here, and what exactly they would be sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from esaa_git.app.asked import DRAFT
from esaa_git.app.consent import Asked, consents
from esaa_git.app.pinning import wanted_contracts
from esaa_git.app.work import CLAIMED
from esaa_git.errors import EsaaError

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.core.contracts import AgentEntry, Contracts
    from esaa_git.core.task import Attempt
    from esaa_git.ports.agent import Request


# -- who there is -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Member:
    """An agent of the swarm, and what keeps it from working here.

    Attributes:
        sandbox: what would confine it; None where that cannot be told.
        missing: None where it can work, with `cause` and `hint` as of the error.
        asks: what it asks of this machine, with the setups of its kinds, and whether that was
            agreed to.
    """

    name: str
    adapter: str
    preset: str | None
    model: str | None
    kinds: Sequence[str]
    sandbox: str | None = None
    missing: str | None = None
    cause: str | None = None
    hint: str | None = None
    asks: Sequence[Asked] = ()

    @property
    def is_allowed(self) -> bool:
        """Whether everything that it asks for was agreed to."""
        return all(one.granted for one in self.asks)


def members(project: Project, sandbox: str) -> list[Member]:
    """Return the agents of the swarm as it stands on disk.

    Nothing is asked of any service: that a program and the variables are there says nothing yet
    of its key.
    """
    from esaa_git.agents.registry import ADAPTERS, check_swarm

    project.sandbox = sandbox
    contracts = wanted_contracts(project, whole=False)
    check_swarm(contracts)
    asked = [one for one in consents(project, tasks=False).asked if DRAFT in one.where]
    found = []
    for entry in contracts.swarm.agents.values():
        member = _member(project, entry, contracts)
        adapter = ADAPTERS.find(entry.adapter)
        names = {f"agent {entry.name}"}
        if adapter is not None and adapter.in_checkout:
            names |= {f"setup of kind {kind}" for kind in member.kinds}
        found.append(replace(member, asks=[one for one in asked if names & set(one.by)]))
    return found


def _member(project: Project, entry: AgentEntry, contracts: Contracts) -> Member:
    from esaa_git.agents.registry import ADAPTERS

    kinds = sorted(kind for kind, names in contracts.swarm.kinds.items() if entry.name in names)
    found = Member(entry.name, entry.adapter, entry.settings.get("preset"), entry.model, kinds)
    try:
        adapter = project.make_agent(entry, contracts)
        found = replace(found, sandbox=adapter.sandbox)
        if entry.adapter in ADAPTERS.built_in:
            adapter.inner.ready()  # what it lacks is said whether or not it may work
        else:
            adapter.ready()
    except EsaaError as error:
        message = error.message.removeprefix(f"agent '{entry.name}': ")
        return replace(found, missing=message, cause=error.cause, hint=error.hint)
    return found


# -- what it would be sent ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """A request, whom it is for, and what is to be said of it.

    `open` says that the attempt is under way, and the request is not a preview.
    """

    request: Request
    agent: str
    adapter: str
    model: str | None
    sandbox: str | None
    open: bool
    notes: tuple[str, ...]


def request_of(project: Project, task_id: str, override: str | None) -> Shown:
    """Return exactly what would be sent to the agent of a task; nothing is started or asked.

    Of a task that is worked on, it is the request of the attempt under way.

    Args:
        override: an agent of the swarm that is to do it instead.
    """
    from esaa_git.engine import schedule
    from esaa_git.engine.goeson import begun
    from esaa_git.engine.proposer import agent_for
    from esaa_git.engine.request import next_attempt, request_for

    state, contracts = project.log.load()
    task = schedule.find_task(state, task_id)
    engine = project.engine
    attempt = task.active_attempt
    if attempt is not None and override not in (None, attempt.agent):
        attempt = None
    if attempt is not None and attempt.mode == CLAIMED:
        request = request_for(
            engine, state, contracts, task, attempt, attempt.agent, has_checkout=True
        )
        return Shown(request, attempt.agent, CLAIMED, None, None, True, ())
    entry = agent_for(task, contracts, attempt.agent if attempt is not None else override)
    adapter = engine.make_agent(entry, contracts)
    chosen = attempt or next_attempt(engine, state, contracts, task, adapter.name, "dispatch")
    request = adapter.prepare(
        request_for(
            engine,
            state,
            contracts,
            task,
            chosen,
            adapter.name,
            has_checkout=adapter.has_checkout,
            begun=begun(engine, contracts, task, chosen.base, adapter),
        )
    )
    if attempt is None:
        now = engine.moment(state)
        found = schedule.blocker(state, contracts, task, now)
        notes: tuple[str, ...] = (
            () if found is None else (f"it would not be sent now: {found.message}",)
        )
    else:
        notes = _since(project, attempt, request)
    return Shown(
        request,
        adapter.name,
        adapter.adapter,
        adapter.model,
        adapter.sandbox,
        attempt is not None,
        notes,
    )


def _since(project: Project, attempt: Attempt, request: Request) -> tuple[str, ...]:
    """Say where the request of an attempt under way is no longer what was sent.

    A note, a lesson or an issue that was recorded meanwhile makes it another one.
    """
    from esaa_git.core.events import AttemptCreate, Dispatch
    from esaa_git.engine.salts import is_of, salt_of

    blobs = project.engine.blobs
    for stored in project.log.events(newest_first=True):
        event = stored.event
        if event.attempt_id != attempt.attempt_id:
            continue
        if isinstance(event.payload, AttemptCreate):
            break
        if isinstance(event.payload, Dispatch):
            sent = event.payload
            if sent.request_sha256 is None or salt_of(blobs, sent.exchange) is None:
                return ("what was sent then is not comparable: no digest of it is kept",)
            if not is_of(blobs, sent.exchange, sent.request_sha256, request.sent):
                said = sent.request_sha256
                return (f"the log went on since; what was sent then has salted sha256 {said}",)
            break
    return ()
