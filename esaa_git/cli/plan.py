"""`git esaa plan`: the plan against the log, shown before it is applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from esaa_git.app.project import Project, has_log
from esaa_git.app.roadmap import check_usable, read_contracts, read_plan
from esaa_git.app.sync import refuse_second_log
from esaa_git.cli.output import as_option, json_option, pass_project, print_json, style
from esaa_git.errors import UsageError

if TYPE_CHECKING:
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.plan import Amendment, PlanDiff

branch_option = click.option(
    "--branch",
    metavar="BRANCH",
    help="Working branch of a new run; by default the one that is checked out.",
)


@click.group()
def plan() -> None:
    """Show and apply the plan in .roadmap/plan.yaml."""


@plan.command(
    "diff",
    epilog="""\b
Example:
  git esaa plan diff
""",
)
@json_option
@branch_option
@pass_project
def diff_(project: Project, as_json: bool, branch: str | None) -> None:
    """Show what applying the plan would do, and do nothing."""
    found, contract_changes = _diff(project, branch)
    if as_json:
        print_json({**_as_json(found), "contracts_changed": contract_changes})
        return
    _print(found, contract_changes)


@plan.command(
    "apply",
    epilog="""\b
Example:
  git esaa plan apply
  git esaa plan apply --restart --reason "new boundaries"
  git esaa plan apply --restart --sign-with ~/.ssh/id_ed25519.pub
""",
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
    from esaa_git.core import plan as plans
    from esaa_git.engine import run as runs

    project.sign_with = sign_with
    by = project.actor(actor)
    wanted, contracts = (
        read_plan(project.repository, branch),
        read_contracts(project.repository, branch),
    )
    if not has_log(project):
        refuse_second_log(project)
    is_open = has_log(project) and project.log.load()[0].run.is_open
    if is_open and sign_with is not None and not restart:
        raise UsageError(
            f"there is nothing for '{sign_with}' to sign: "
            f"{project.log.load()[0].run.run_id} is open, and its contracts stay until it ends",
            hint="add --restart to halt it, and to start the next run under those on disk",
        )
    if is_open and restart:
        # What cannot be applied must not have stopped the run first.
        check_usable(contracts)
        plans.check_plan(wanted, project.log.load()[0], contracts)
        project.log.check_may_pin(contracts)
        runs.stop(project.engine, reason or "restarted", by)
    done = runs.apply(project.engine, wanted, contracts, branch=branch, by=by)
    note_edited_contracts(project, branch)
    if as_json:
        print_json(
            {
                "run_id": done.run_id,
                "started": done.started,
                "created": done.created,
                "amended": done.amended,
            }
        )
        return
    begun = f"{done.run_id} started: " if done.started else f"{done.run_id}: "
    click.echo(f"{begun}{done.created} tasks created, {done.amended} amended")


def _diff(project: Project, branch: str | None) -> tuple[PlanDiff, list[str]]:
    from esaa_git.core import plan as plans
    from esaa_git.core.state import EMPTY

    wanted = read_contracts(project.repository, branch)
    wanted.check()
    document = read_plan(project.repository, branch)
    if not has_log(project):
        plans.check_plan(document, EMPTY, wanted)
        return plans.diff_plan(document, EMPTY), []
    state, in_force = project.log.load()
    plans.check_plan(document, state, in_force if state.run.is_open else wanted)
    return plans.diff_plan(document, state), _changed(in_force, wanted)


def _changed(in_force: Contracts, wanted: Contracts) -> list[str]:
    """Return the contract files that differ."""
    before = {pin["path"]: pin["sha256"] for pin in in_force.pins}
    after = {pin["path"]: pin["sha256"] for pin in wanted.pins}
    return sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )


def note_edited_contracts(project: Project, branch: str | None) -> None:
    """Say which edits the open run does not know: whoever made one waits for it in vain."""
    state, in_force = project.log.load()
    changed = (
        _changed(in_force, read_contracts(project.repository, branch)) if state.run.is_open else []
    )
    if changed:
        project.note(
            f"note: {', '.join(changed)}: what stands in .roadmap/ is not what {state.run.run_id} "
            "goes by; 'git esaa plan apply --restart' puts it in force"
        )


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


def _print(found: PlanDiff, contract_changes: list[str]) -> None:
    for task in found.new:
        click.echo(style(f"+ {task['task_id']}", fg="green") + f"  {task['kind']}  {task['title']}")
    for one in found.amended:
        click.echo(style(f"~ {one.task.task_id}", fg="yellow"))
        for name, (old, new) in one.changes.items():
            click.echo(f"    {name}: {_short(old)} → {_short(new)}")
    for one in found.final:
        click.echo(
            style(f"! {one.task.task_id}", fg="red")
            + f"  is {one.task.state}: the plan's changes to it are left out"
        )
    for other in found.unplanned:
        click.echo(f"  {other.task_id}  is not in the plan (it stays)")
    if contract_changes:
        click.echo(f"contracts changed on disk: {', '.join(contract_changes)}")
        click.echo("  they take effect with the next run, or with 'git esaa plan apply --restart'")
    click.echo(
        f"{len(found.new)} to create, {len(found.amended)} to amend, {found.unchanged} unchanged"
    )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"
