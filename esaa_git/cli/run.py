"""`git esaa run`: the cycle, until the plan is done."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from esaa_git.app.observer import Silent
from esaa_git.app.project import Project, has_log
from esaa_git.app.roadmap import check_usable, read_contracts, read_plan
from esaa_git.app.sync import refuse_second_log, share
from esaa_git.cli.output import (
    as_option,
    json_option,
    pass_project,
    print_json,
    sandbox_option,
    state_text,
)
from esaa_git.cli.plan import branch_option
from esaa_git.cli.progress import watching
from esaa_git.errors import ConfigurationError, RunHalted

if TYPE_CHECKING:
    from esaa_git.core.plan import Plan
    from esaa_git.engine.options import Report, Stop


INTERRUPTED = 130
"""The exit status of a run that a person stopped, as shells have it for SIGINT."""


def _milliseconds(_context: click.Context, _option: click.Parameter, text: str) -> int:
    from esaa_git.core.contracts import duration_ms

    try:
        return duration_ms(text, "--patience")
    except ConfigurationError as error:
        raise click.BadParameter(f"{error.message}; {error.hint}") from error


@click.command(
    epilog="""\b
Example:
  git esaa run
  git esaa run --parallel 4
  git esaa run --task T-1000 --agent agent-impl
  git esaa run --remote origin --parallel 2
  git esaa run --dry-run
"""
)
@click.option("--steps", type=click.IntRange(1), metavar="N", help="Stop after N attempts.")
@click.option("--task", "task_id", metavar="ID", help="Work on this task only.")
@click.option("--agent", metavar="NAME", help="Ask this agent, whatever the kind of task.")
@click.option(
    "--parallel",
    type=click.IntRange(1, 256),
    default=1,
    metavar="N",
    help="Let N agents work at once, on tasks that may not write the same files.",
)
@click.option("--overlap", is_flag=True, help="With --parallel: also where they may.")
@click.option(
    "--remote",
    metavar="NAME",
    help="Work beside others on the log of this remote: nothing counts before it is there.",
)
@click.option(
    "--patience",
    callback=_milliseconds,
    default="PT10M",
    metavar="TIME",
    help="With --remote: how long it may be out of reach, or others be faster (PT10M).",
)
@sandbox_option
@click.option("--dry-run", is_flag=True, help="Show what would be dispatched, and record nothing.")
@branch_option
@as_option
@json_option
@pass_project
def run(
    project: Project,
    steps: int | None,
    task_id: str | None,
    agent: str | None,
    parallel: int,
    overlap: bool,
    remote: str | None,
    patience: int,
    sandbox: str,
    dry_run: bool,
    branch: str | None,
    actor: str | None,
    as_json: bool,
) -> int:
    """Let agents work through the plan.

    Every task that can be worked on is dispatched to its agent; what the agent answers is
    validated, and either becomes a signed event and a commit on the working branch, or goes back
    to the agent as a typed rejection. When nothing is left, the log is verified and the run ends.

    With --remote, any number of machines work on one plan, each in a clone of its own. An event
    is recorded when the remote has taken it, so no two have the same task; whoever finds nothing
    to do waits, and the run ends for all when it ends for one.

    Ctrl-C lets the agents at work finish and starts no others; a second one ends them and gives
    their tasks back.
    """
    project.sandbox = sandbox
    if dry_run:
        return _dry_run(project, task_id, agent, branch, as_json)
    from esaa_git.engine.cycle import cycle
    from esaa_git.engine.options import Options, Stop

    if as_json:
        project.observer = Silent()
    stop = Stop()
    if remote is not None:
        share(project, remote, patience / 1000, lambda: stop.cancelling)
    _start(project, branch, actor, agent)
    options = Options(steps, task_id, agent, parallel, overlap)
    with watching(project, quiet=as_json) as observer, _stopping(stop):
        report = cycle(project.engine, options, observer=observer, stop=stop)
    state, _ = project.log.load()
    if as_json:
        print_json(_as_json(report, state.seq, state.run.rejected))
    else:
        _print_report(report, state.seq, state.run.rejected)
    if report.stopped:
        return INTERRUPTED
    return RunHalted.exit_code if report.result in ("failed", "halted") else 0


@contextmanager
def _stopping(stop: Stop) -> Iterator[None]:
    """Let signals stop the run in good order: the first Ctrl-C gently, whatever else at once."""

    def interrupt(number: int, _frame: object) -> None:
        if number == signal.SIGINT and not stop.finishing:
            stop.finish()
        else:
            stop.cancel()

    handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in handled}
    for number in handled:
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start(project: Project, branch: str | None, actor: str | None, agent: str | None) -> None:
    """Start a run from the plan where none is open; an open one takes new tasks of the plan."""
    from esaa_git.cli.plan import note_edited_contracts
    from esaa_git.core.plan import diff_plan
    from esaa_git.engine import run as runs

    plan = read_plan(project.repository, branch)
    done_before: set[str] = set()
    if has_log(project):
        state, _ = project.log.load()
        done_before = {
            task["task_id"]
            for task in plan.tasks
            if (known := state.tasks.get(task["task_id"])) is not None and known.is_done
        }
        nothing_new = diff_plan(plan, state).is_empty
        note_edited_contracts(project, branch)
        if state.run.is_open and nothing_new:
            return
        unfinished = dict(state.run.by_state).get("todo", 0)
        if not state.run.is_open and nothing_new and not unfinished:
            if project.engine.sharing is not None:
                return  # the others were faster, and the result is ours as well
            blocked = ", ".join(sorted(state.run.blocked)[:10])
            raise RunHalted(
                f"{state.run.run_id} is over ({state.run.state}), and the plan has nothing new",
                cause=f"blocked: {blocked}" if blocked else None,
                hint="run 'git esaa task unblock TASK --reason TEXT' for each that may go on, "
                "then 'git esaa run'"
                if blocked
                else "add tasks to .roadmap/plan.yaml, or start a run with 'git esaa plan apply'",
            )
    elif not plan.tasks:
        raise RunHalted(
            "the plan has no tasks yet",
            hint="add some to .roadmap/plan.yaml; the comments in it show how",
        )
    else:
        refuse_second_log(project)
    _require_agents(project, plan, done_before, branch, agent)
    done = runs.apply(
        project.engine,
        plan,
        read_contracts(project.repository, branch),
        branch=branch,
        by=project.actor(actor),
    )
    if done.started:
        project.note(f"{done.run_id} started with {done.created} new tasks")


def _require_agents(
    project: Project, plan: Plan, done_before: set[str], branch: str | None, agent: str | None
) -> None:
    """Refuse to start a run whose agents cannot be asked, or their answers not be checked.

    Nothing is recorded before. Those that only did what is done by now are not asked again.
    """
    from esaa_git.core.contracts import make_check

    contracts = read_contracts(project.repository, branch)
    check_usable(contracts)
    kinds = contracts.agent.kinds
    ahead = [
        task for task in plan.tasks if task["kind"] in kinds and task["task_id"] not in done_before
    ]
    names = {agent or task.get("agent") or contracts.swarm.for_kind(task["kind"]) for task in ahead}
    for name in sorted(names):
        project.make_agent(contracts.swarm.agent(name), contracts).ready()
    for task in ahead:
        own = [
            make_check(check["name"], check["run"], check.get("timeout"), task["task_id"])
            for check in task.get("checks", ())
        ]
        project.engine.checker.ready((*kinds[task["kind"]].checks, *own))


def _dry_run(
    project: Project, task_id: str | None, agent: str | None, branch: str | None, as_json: bool
) -> int:
    from esaa_git.core.event import timestamp
    from esaa_git.core.plan import check_plan, diff_plan
    from esaa_git.core.state import EMPTY
    from esaa_git.engine.decide import eligible, find_task
    from esaa_git.engine.proposer import agent_for

    contracts = read_contracts(project.repository, branch)
    state = EMPTY
    if has_log(project):
        state, in_force = project.log.load()
        contracts = in_force if state.run.is_open else contracts
    plan = read_plan(project.repository, branch)
    check_plan(plan, state, contracts)
    found = diff_plan(plan, state)
    now = max(timestamp(project.engine.clock.now()), state.ts)
    if task_id is not None and task_id not in {task["task_id"] for task in found.new}:
        find_task(state, task_id)
    ready: list[dict[str, Any]] = []
    if state.run.is_open:
        for task in eligible(state, contracts, now):
            ready.append(_would(task.task_id, task.title, agent_for(task, contracts, agent).name))
    for definition in found.new:
        done = all(
            name in state.tasks and state.tasks[name].is_done
            for name in definition.get("depends_on", ())
        )
        if done:
            name = agent or definition.get("agent") or contracts.swarm.for_kind(definition["kind"])
            contracts.swarm.agent(name)
            ready.append(_would(definition["task_id"], definition["title"], name))
    if task_id is not None:
        ready = [one for one in ready if one["task_id"] == task_id]
    if as_json:
        print_json({"starts_run": not state.run.is_open, "would_dispatch": ready})
        return 0
    if not state.run.is_open:
        click.echo(f"would start a run with {len(found.new)} new tasks")
    for one in ready:
        click.echo(f"would ask {one['agent']} for {one['task_id']}: {one['title']}")
    if not ready:
        click.echo("nothing could be dispatched now")
    return 0


def _would(task_id: str, title: str, agent: str) -> dict[str, str]:
    return {"task_id": task_id, "title": title, "agent": agent}


def _print_report(report: Report, seq: int, rejected: int) -> None:
    if report.stopped:
        click.echo(
            f"stopped: {len(report.admissions)} attempts made, nobody is at work; "
            "'git esaa run' goes on"
        )
        return
    if report.result is None:
        click.echo(f"{len(report.admissions)} attempts made; the run goes on (git esaa status)")
        return
    click.echo(
        f"run {state_text(report.result)}: {report.reason} ({seq} events, {rejected} rejected)"
    )
    if report.audit is not None:
        click.echo(
            f"verify_status: {report.audit.outcome}  projection_hash_sha256: "
            f"{report.audit.projection_hash}"
        )


def _as_json(report: Report, seq: int, rejected: int) -> dict[str, Any]:
    return {
        "result": report.result,
        "stopped": report.stopped,
        "reason": report.reason,
        "events": seq,
        "rejected": rejected,
        "verify_status": None if report.audit is None else report.audit.outcome,
        "projection_hash_sha256": None if report.audit is None else report.audit.projection_hash,
        "attempts": [
            {
                "kind": one.kind,
                "task_id": one.task_id,
                "attempt_id": one.attempt_id,
                "message": one.message,
                "code": None if one.rejected is None else one.rejected.code,
                "effect_commit": one.effect_commit,
                "issue_id": one.issue_id,
            }
            for one in report.admissions
        ],
    }
