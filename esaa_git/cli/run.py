"""`git esaa run`: the cycle, until the plan is done."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from esaa_git.app.elsewhere import refuse_second_log
from esaa_git.app.observer import Silent
from esaa_git.app.pinning import unread_in_force
from esaa_git.app.project import Project
from esaa_git.cli.allow import settle
from esaa_git.cli.interrupts import counted
from esaa_git.cli.output import (
    as_option,
    examples,
    json_option,
    pass_project,
    print_json,
    sandbox_option,
    say,
    state_text,
)
from esaa_git.cli.plan import branch_option, say_unread
from esaa_git.cli.progress import watching
from esaa_git.errors import ConfigurationError, RunHalted

if TYPE_CHECKING:
    from esaa_git.app.forecast import DryRun
    from esaa_git.app.run import RunReport, Stop


HOUR = 3_600_000
"""How long a run does nothing for a cooldown or a service, in milliseconds, if none is said."""

INTERRUPTED = 130
"""The exit status of a run that a person stopped, as shells have it for SIGINT."""


def _milliseconds(_context: click.Context, option: click.Parameter, text: str) -> int:
    from esaa_git.core.duration import duration_ms

    try:
        return duration_ms(text, f"--{option.name}")
    except ConfigurationError as error:
        raise click.BadParameter(f"{error.message}; {error.hint}") from error


def _optional_milliseconds(
    context: click.Context, option: click.Parameter, text: str | None
) -> int | None:
    return None if text is None else _milliseconds(context, option, text)


def _one(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> str | None:
    if len(given) > 1:
        raise click.BadParameter("a run takes one task or all of them; name one, then the next")
    return given[0] if given else None


@click.command(
    epilog=examples(
        "git esaa run",
        "git esaa run --parallel 4",
        "git esaa run --task T-1000 --agent agent-impl",
        "git esaa run --remote origin --parallel 2",
        "git esaa run --dry-run",
    )
)
@click.option("--steps", type=click.IntRange(1), metavar="N", help="Stop after N attempts.")
@click.option(
    "--task",
    "task_id",
    multiple=True,
    callback=_one,
    metavar="ID",
    help="Work on this task only.",
)
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
    "--wait",
    is_flag=False,
    flag_value="P7D",
    callback=_optional_milliseconds,
    metavar="[TIME]",
    help="How long to do nothing for a cooldown, or for a service that is away (PT1H where it is "
    "not given); and also for people's decisions (P7D where no TIME is given).",
)
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
@click.option(
    "--base-may-fail",
    is_flag=True,
    help="Ask agents although a check fails on the base already: the work is to make it pass.",
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
    wait: int | None,
    remote: str | None,
    patience: int,
    base_may_fail: bool,
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

    Where the service behind an agent is away (rate limit, quota, overload, no connection), no
    attempt is spent: the agent rests, another one that its kind names takes over, and otherwise
    the run waits, for --wait at most. Then it ends with exit code 13 and says until when;
    'git esaa run' goes on.

    Where only people's decisions are missing, it ends with exit code 14, and with --wait it goes on
    when one arrives; 'git esaa review' lists them.

    With --task, a task that is done or waits for others is refused (exit code 7), and one that is
    blocked halts the run (8); each says what leads on.

    Ctrl-C lets the agents at work finish and starts no others; a second one ends them and gives
    their tasks back.
    """
    project.sandbox = sandbox
    if dry_run:
        from esaa_git.app import forecast

        found = forecast.dry_run(
            project,
            task_id=task_id,
            agent=agent,
            parallel=parallel,
            overlap=overlap,
            branch=branch,
        )
        return _print_forecast(found, parallel, as_json)
    from esaa_git.app.run import Options, Stop, start, work_through
    from esaa_git.app.sync import share

    if as_json:
        project.observer = Silent()
    if remote is None:
        refuse_second_log(project)
    settle(project, branch=branch)
    stop = Stop()
    if remote is not None:
        share(project, remote, patience / 1000, lambda: stop.cancelling)
    start(project, branch=branch, actor=actor, agent=agent, task_id=task_id)
    if not as_json:
        say_unread(unread_in_force(project))
    options = Options(
        steps,
        task_id,
        agent,
        parallel,
        overlap,
        wait=(HOUR if wait is None else wait) / 1000,
        decisions=0 if wait is None else wait / 1000,
        base_may_fail=base_may_fail,
    )
    with _stopping(stop), watching(quiet=as_json) as observer:
        result = work_through(project, options, observer=observer, stop=stop)
    if as_json:
        print_json(result.to_json())
    else:
        _print_result(result)
    if result.stopped:
        return INTERRUPTED
    return RunHalted.exit_code if result.result in ("failed", "halted") else 0


@contextmanager
def _stopping(stop: Stop) -> Iterator[None]:
    """Let signals stop the run in good order: the first Ctrl-C gently, whatever else at once."""

    def press() -> None:
        if stop.finishing:
            stop.cancel()
        else:
            stop.finish()

    def end(_number: int, _frame: object) -> None:
        stop.cancel()

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, end)
    try:
        with counted(press):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_forecast(found: DryRun, parallel: int, as_json: bool) -> int:
    if as_json:
        would = [
            {"task_id": one.task_id, "title": one.title, "agent": one.agent}
            for one in found.would_dispatch
        ]
        waits = {} if found.waits is None else {"waits": found.waits}
        begins = {"branch": found.branch, "starts_run": found.starts_run}
        nothing = {} if found.nothing is None else {"nothing": found.nothing}
        print_json({**begins, "would_dispatch": would, **waits, **nothing})
        return 0
    if found.starts_run:
        say(f"would start a run on '{found.branch}' with {found.new} new tasks")
    else:
        say(f"would go on with the run on '{found.branch}'")
    for one in found.would_dispatch:
        say(f"would ask {one.agent} for {one.task_id}: {one.title}")
    if found.waits is not None:
        say(f"with --parallel {parallel}: {found.waits}")
    if found.nothing is not None:
        say(f"nothing could be dispatched now: {found.nothing}")
    return 0


def _print_result(result: RunReport) -> None:
    made = len(result.attempts)
    if result.stopped:
        say(
            f"stopped: {made} attempts made on '{result.branch}', nobody is at work; "
            "'git esaa run' goes on"
        )
        return
    if result.result is None:
        say(f"{made} attempts made on '{result.branch}'; the run goes on (git esaa status)")
        return
    say(
        f"run {state_text(result.result)}: {result.reason} "
        f"({result.events} events, {result.rejected} rejected) on '{result.branch}'"
    )
    if result.verify_status is not None:
        say(
            f"verify_status: {result.verify_status}  projection_hash_sha256: "
            f"{result.projection_hash}"
        )
