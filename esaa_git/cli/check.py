"""`git esaa check`: the checks of a task, tried for nothing."""

from __future__ import annotations

import click

from esaa_git.app.check import Checked, check
from esaa_git.app.project import Project
from esaa_git.cli.output import (
    examples,
    json_option,
    pass_project,
    print_json,
    sandbox_option,
    say,
)
from esaa_git.errors import AgentError, EsaaError


@click.command(
    "check",
    epilog=examples(
        "git esaa check T-1000",
        "git esaa check T-1000 --on refs/esaa/proposals/T-1000/1",
        more="The exit code is 0 where all passed, 1 where one failed, 11 where some cannot be "
        "run here (the others are run all the same), and 12 where you have not agreed to them.",
    ),
)
@click.argument("task_id", metavar="[TASK]", required=False)
@click.option(
    "--on",
    metavar="REV",
    help="The commit; by default the tip of the working branch.",
)
@sandbox_option
@json_option
@pass_project
def check_(
    project: Project, task_id: str | None, on: str | None, sandbox: str, as_json: bool
) -> int:
    """Run the checks of a task as a run does, and record nothing.

    They run in a throwaway checkout, as confined as in a run, with the pinned programs over it.
    Without TASK, the checks of every task are run that is neither done nor blocked. A check of a
    kind that fails on the base keeps a run from asking an agent.
    """
    project.sandbox = sandbox
    found = check(project, task_id, on=on)
    if as_json:
        print_json([one.to_json() for one in found])
    else:
        _print(found)
    if any(one.fault is not None for one in found):
        return AgentError.exit_code
    return 0 if all(one.passed for one in found) else EsaaError.exit_code


def _print(found: list[Checked]) -> None:
    if not found:
        say("no checks: neither the kinds of these tasks nor the tasks have any")
    for one in found:
        more = f" and {len(one.tasks) - 5} more" if len(one.tasks) > 5 else ""
        say(f"{', '.join(one.tasks[:5])}{more} on {one.commit[:12]}")
        if one.fault is not None:
            _print_fault(one.fault)
        for ran in one.checks:
            if ran.passed is None:
                say(f"  -     {ran.name}: not run")
            elif ran.passed:
                say(f"  ok    {ran.name} ({ran.duration_ms} ms)")
            else:
                say(f"  FAIL  {ran.name}: {ran.reason}")
                for line in ran.output.splitlines():
                    say(f"        {line}")


def _print_fault(fault: AgentError) -> None:
    say(f"  FAIL  cannot be run here: {fault.message}")
    for what, words in (("caused by", fault.cause), ("hint", fault.hint)):
        if words is not None:
            say(f"        {what}: {words}")
