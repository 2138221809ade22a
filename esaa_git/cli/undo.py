"""`git esaa undo`: done tasks are taken back, each after all that builds on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from esaa_git.app.project import Project
from esaa_git.cli.output import as_option, examples, json_option, pass_project, print_json, say
from esaa_git.core.printable import visible
from esaa_git.errors import DecisionsMissing, RefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esaa_git.app.undo import Undoing
    from esaa_git.app.work import Outcome

ASKED = (
    "asked for: 'git esaa push' shares it, and the orchestrator's next 'git esaa run' or "
    "'git esaa undo' carries it out"
)


@click.command(
    epilog=examples(
        "git esaa undo T-1000 --dry-run",
        'git esaa undo T-1000 --reason "the licence forbids it"',
        "git esaa undo RUN-0002",
        "git esaa undo EV-00000042",
    )
)
@click.argument("what", metavar="[RUN|TASK|EVENT]", required=False)
@click.option("--dry-run", is_flag=True, help="Show what it would do, and record nothing.")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is signed and recorded.")
@json_option
@as_option
@pass_project
def undo(
    project: Project,
    what: str | None,
    dry_run: bool,
    reason: str,
    as_json: bool,
    actor: str | None,
) -> int:
    """Take back what done tasks did, with all that builds on it.

    An event stands for its task, and a run for all that was done in it. What builds on a task is
    undone before it, the newest first; the list is shown. Each is undone by a task of its own,
    whose commit restores what the files were before, to the byte. Where a file was changed since,
    the change is kept if git merges the two; otherwise nothing is recorded, and the paths are
    named. The done tasks stay on record, and hold nothing any more: what depends on them waits.

    An admin asks for it, also while everything is stopped. Where the kind of a task needs a review,
    its undo does too (14 while that is missing). An undo can be undone.

    Without a name, what was asked for elsewhere is carried out, and what is under way goes on.
    """
    from esaa_git.app import undo as undos

    if what is None:
        if dry_run or reason:
            raise UsageError("nothing is named to undo", hint="run 'git esaa undo TASK --dry-run'")
        return _say_outcomes(undos.go_on(project), as_json)
    if dry_run:
        found = undos.plan(project, what)
        _show(found, as_json)
        return RefusedError.exit_code if _is_unfit(found) else 0
    found = undos.undo(project, what, reason, actor)
    _show(found, as_json)
    if not as_json:
        for line in [] if found.outcomes else [ASKED]:
            say(line)
        return _say_outcomes(found.outcomes, as_json=False)
    return _exit_code(found.outcomes)


def _is_unfit(found: Undoing) -> bool:
    return any(
        step.denied is not None or (step.inverse is not None and step.inverse.clashes)
        for step in found.steps
    )


def _show(found: Undoing, as_json: bool) -> None:
    if as_json:
        print_json(found.to_json())
        return
    for step in found.steps:
        task = step.task
        why = "" if task.task_id in found.named else " (builds on what is undone)"
        say(visible(f"{task.task_id}  {task.title}{why}"))
        if step.needs:
            say(f"  waits then for {step.needs}")
        if step.denied is not None:
            say(visible(f"  denied: {step.denied}"))
        if step.inverse is None:
            say("  it wrote no files")
            continue
        for file in step.inverse.proposal.files:
            source = "" if file.source is None else f" from {file.source}"
            is_merged = file.path in step.inverse.merged or file.source in step.inverse.merged
            merged = ", merged with what was changed since" if is_merged else ""
            say(visible(f"  {file.change} {file.path}{source}{merged}"))
        for clash in step.inverse.clashes:
            say(visible(f"  conflict {clash.path}: {clash.reason}"))


def _say_outcomes(outcomes: Iterable[Outcome], as_json: bool) -> int:
    found = tuple(outcomes)
    if as_json:
        print_json([one.to_json() for one in found])
        return _exit_code(found)
    for one in found:
        commit = "" if one.effect_commit is None else f" ({one.effect_commit[:12]})"
        what = one.message if one.kind == "done" else f"{one.kind}: {one.message}"
        say(visible(f"{one.task_id}  {what}{commit}"))
    return _exit_code(found)


def _exit_code(outcomes: Iterable[Outcome]) -> int:
    waits = any(one.kind == "waiting" for one in outcomes)
    return DecisionsMissing.exit_code if waits else 0
