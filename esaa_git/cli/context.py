"""`git esaa context`: what the agent of a task would be sent, to the byte."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from esaa_git.app.project import Project
from esaa_git.cli.output import json_option, pass_project, print_json

if TYPE_CHECKING:
    from esaa_git.core.state import Attempt
    from esaa_git.ports.agent import Request

CLAIMED = "claim"
"""The adapter that is shown for an attempt that somebody claimed: no program is asked."""


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


@click.command(
    epilog="""\b
Example:
  git esaa context T-1000
  git esaa context T-1000 --agent local > prompt.txt
"""
)
@click.argument("task_id", metavar="TASK")
@click.option(
    "--agent",
    metavar="NAME",
    help="As if this agent of the swarm did it, instead of the one that will.",
)
@json_option
@pass_project
def context(project: Project, task_id: str, agent: str | None, as_json: bool) -> None:
    """Show exactly what would be sent to the agent of a task.

    Nothing is recorded, started or asked. The request goes to standard output byte for byte; who
    it is for, its size and its SHA-256 (which the dispatch event records) go to standard error.
    The id and the deadline of the attempt are those that it would get at this moment. Of a task
    that somebody works on, the request of the attempt under way is shown.
    """
    from esaa_git.core.canonical import digest

    shown = _shown(project, task_id, agent)
    request = shown.request
    described = {
        "task_id": request.task_id,
        "attempt_id": request.attempt_id,
        "open": shown.open,
        "agent": shown.agent,
        "adapter": shown.adapter,
        "model": shown.model,
        "template": request.template,
        "sandbox": shown.sandbox,
        "base": request.base,
        "deadline": request.deadline,
        "bytes": len(request.sent),
        "sha256": digest(request.sent),
    }
    if as_json:
        sent = request.sent.decode(errors="replace")
        print_json({**described, "notes": list(shown.notes), "sent": sent})
        return
    named = ("agent", "adapter", "template", "bytes", "sha256", "sandbox")
    line = ", ".join(f"{name} {described[name]}" for name in named if described[name] is not None)
    project.note(f"{request.attempt_id}: {line}")
    for note in shown.notes:
        project.note(f"note: {note}")
    click.echo(request.sent, nl=False)


def _shown(project: Project, task_id: str, override: str | None) -> Shown:
    from esaa_git.core.event import timestamp
    from esaa_git.engine import decide
    from esaa_git.engine.proposer import agent_for
    from esaa_git.engine.request import next_attempt, request_for

    state, contracts = project.log.load()
    task = decide.find_task(state, task_id)
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
        )
    )
    if attempt is None:
        now = max(timestamp(engine.clock.now()), state.ts)
        found = decide.hindrance(state, contracts, task, now)
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
    from esaa_git.core.canonical import digest

    for stored in project.log.events(newest_first=True):
        event = stored.event
        if event.attempt_id != attempt.attempt_id:
            continue
        if event.action == "attempt.create":
            break
        if event.action == "orchestrator.dispatch":
            sent = str(event.payload["request_sha256"])
            if sent != digest(request.sent):
                return (f"the log went on since; what was sent then has sha256 {sent}",)
            break
    return ()
