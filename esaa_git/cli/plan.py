"""`git esaa plan`: the plan against the log, shown before it is applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from esaa_git.app.elsewhere import refuse_second_log
from esaa_git.app.pinning import unread_in_force
from esaa_git.app.plan import Difference, apply_plan, difference
from esaa_git.app.project import Project
from esaa_git.cli.allow import settle
from esaa_git.cli.output import (
    as_option,
    examples,
    json_option,
    pass_project,
    print_json,
    say,
    style,
)
from esaa_git.core.printable import visible

if TYPE_CHECKING:
    from esaa_git.core.plan import Amendment, PlanDiff

branch_option = click.option(
    "--branch",
    metavar="BRANCH",
    help="Branch that the run works on, by default the one that is checked out. An open run keeps "
    "its own.",
)


@click.group()
def plan() -> None:
    """Show and apply the plan in .roadmap/plan.yaml."""


@plan.command("diff", epilog=examples("git esaa plan diff"))
@json_option
@branch_option
@pass_project
def diff_(project: Project, as_json: bool, branch: str | None) -> None:
    """Show what applying the plan would do, and do nothing."""
    found = difference(project, branch=branch)
    if as_json:
        print_json(
            {
                **_as_json(found.plan),
                "contracts_changed": list(found.contracts),
                "contracts_taken_over": list(found.taken_over),
                "programs_changed": dict(found.programs),
                "checks_without_pinned_program": list(found.no_judges),
                "not_readable": dict(found.unread),
                "kinds_decided_by_a_person": list(found.by_a_person),
                "setups": {owner: list(commands) for owner, commands in found.setups.items()},
            }
        )
        return
    _print(found)


@plan.command(
    "apply",
    epilog=examples(
        "git esaa plan apply",
        'git esaa plan apply --restart --reason "new boundaries"',
        "git esaa plan apply --restart --sign-with ~/.ssh/id_ed25519.pub",
    ),
)
@json_option
@branch_option
@click.option(
    "--restart",
    is_flag=True,
    help="Halt the open run first, so that changed contracts take effect with the new one.",
)
@click.option("--reason", default="", help="Why, with --restart.")
@click.option(
    "--sign-with",
    metavar="KEY",
    help="Sign the start of the run with this key: that of an admin, where contracts or keys have "
    "changed. A private key file, the .pub file of a key in ssh-agent, or an OpenPGP fingerprint.",
)
@as_option
@pass_project
def apply_(
    project: Project,
    as_json: bool,
    branch: str | None,
    restart: bool,
    reason: str,
    sign_with: str | None,
    actor: str | None,
) -> None:
    """Bring the log after the plan: new tasks are created, changed ones amended.

    Where no run is open, one is started under the contracts as they stand on disk.
    """
    refuse_second_log(project)
    settle(project, branch=branch, draft=restart)
    done = apply_plan(
        project,
        branch=branch,
        actor=actor,
        restart=restart,
        reason=reason,
        sign_with=sign_with,
    )
    if as_json:
        print_json(done.to_json())
        return
    say_unread(unread_in_force(project))
    begun = f"{done.run_id}{' started' if done.started else ''} on '{done.branch}': "
    say(f"{begun}{done.created} tasks created, {done.amended} amended")


def _as_json(found: PlanDiff) -> dict[str, Any]:
    return {
        "new": [dict(task) for task in found.new],
        "amended": [_amendment(one) for one in found.amended],
        "final": [_amendment(one) for one in found.final],
        "unplanned": [task.task_id for task in found.unplanned],
        "unchanged": found.unchanged,
    }


def _amendment(one: Amendment) -> dict[str, Any]:
    return {
        "task_id": one.task.task_id,
        "state": one.task.state,
        "changes": {name: {"from": old, "to": new} for name, (old, new) in one.changes.items()},
    }


def _print(whole: Difference) -> None:
    found = whole.plan
    for task in found.new:
        say(style(f"+ {task['task_id']}", fg="green") + f"  {task['kind']}  {task['title']}")
    for one in found.amended:
        say(style(f"~ {one.task.task_id}", fg="yellow"))
        for name, (old, new) in one.changes.items():
            say(f"    {name}: {_short(old)} → {_short(new)}")
    for one in found.final:
        say(
            style(f"! {one.task.task_id}", fg="red")
            + f"  is {one.task.state}: the plan's changes to it are left out"
        )
    for other in found.unplanned:
        say(f"  {other.task_id}  is not in the plan (it stays)")
    if whole.contracts:
        say(f"contracts changed on disk: {', '.join(whole.contracts)}")
        say("  they take effect with the next run, or with 'git esaa plan apply --restart'")
    _print_programs(whole)
    say(f"{len(found.new)} to create, {len(found.amended)} to amend, {found.unchanged} unchanged")


_BECAME = {
    "new": "is pinned from then on",
    "removed": "is pinned no longer",
    "content": "has another content than what is pinned",
    "mode": "has another mode than what is pinned",
}


def _print_programs(whole: Difference) -> None:
    if whole.programs:
        say("programs that act or judge:")
        for path, became in whole.programs.items():
            say(f"  {path}  {_BECAME[became]}")
        say(
            "  what stands here takes effect with the next run, or with "
            "'git esaa plan apply --restart'"
        )
    if whole.taken_over:
        say(f"not in the checkout, and in force as before: {', '.join(whole.taken_over)}")
    for check in whole.no_judges:
        say(f"  check {check}  runs no pinned program: what it runs, a kind may write")
    say_unread(whole.unread)
    for owner, commands in whole.setups.items():
        for command in commands:
            say(f"  setup of {visible(owner, keep='')}  runs {visible(command, keep='')}")
    for kind in whole.by_a_person:
        say(f"  kind {kind}  opens a pinned program by name: a person decides")


def say_unread(found: Mapping[str, str]) -> None:
    """Name the checks and reviewers that count as not pinned, because they cannot be read."""
    for name, why in found.items():
        say(style(f"! {visible(name, keep='')}  is not pinned: {visible(why, keep='')}", fg="red"))
    if found:
        say("  what they run of the repository, a task may change; name its files under 'pin'")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"
