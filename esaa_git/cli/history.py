"""`git esaa log`, `show`, `diff` and `replay`: what happened, by whom, and what came of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from esaa_git.app.project import Project
from esaa_git.cli.output import (
    examples,
    json_option,
    pass_project,
    print_json,
    say,
    showing_progress,
    style,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from esaa_git.app.history import Difference, ShownEvent, ShownTask
    from esaa_git.core.event import StoredEvent
    from esaa_git.core.state import State
    from esaa_git.report.compare import FileChange, RecordChange

SHOWN = 20

_EVENT_FORMS = """\b
An EVENT is written as
  EV-00000042 or 42   by its number
  @                   the last event
  @~3                 the third before the last"""


# -- log --------------------------------------------------------------------------------------


@click.command(
    epilog=examples(
        "git esaa log -n 20",
        "git esaa log --task T-1000 --reverse",
        "git esaa log --action 'attempt.*' --since 2h --oneline",
        "git esaa log --actor agent-impl --json | head",
    )
)
@click.option("--task", metavar="ID", help="Events about this task (a glob: 'T-10*').")
@click.option("--actor", metavar="NAME", help="Events of this actor (a glob).")
@click.option("--action", metavar="ACTION", help="Events of this action (a glob: 'attempt.*').")
@click.option("--since", metavar="TIME", help="Not before 2026-01-31, 2026-01-31T09:00:00Z or 3d.")
@click.option("--grep", metavar="REGEX", help="Events whose JSON or subject matches.")
@click.option("-n", "--limit", type=click.IntRange(1), metavar="N", help="At most N events.")
@click.option(
    "--reverse", is_flag=True, help="Oldest first; with -n, the same events turned round."
)
@click.option("--oneline", is_flag=True, help="Id and subject only.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document a line.")
@pass_project
def log(
    project: Project,
    task: str | None,
    actor: str | None,
    action: str | None,
    since: str | None,
    grep: str | None,
    limit: int | None,
    reverse: bool,
    oneline: bool,
    as_json: bool,
) -> None:
    """List events, the newest first: id, time, actor, and what was said.

    No more of the log is read than is printed, so it can be piped into a pager or 'head'.
    """
    from esaa_git.app.history import events

    if oneline and as_json:
        raise click.UsageError("--oneline and --json exclude each other")
    found = events(
        project,
        task=task,
        actor=actor,
        action=action,
        since=since,
        grep=grep,
        limit=limit,
        reverse=reverse,
    )
    for stored in found:
        say(_line(stored, oneline=oneline, as_json=as_json))


def _line(stored: StoredEvent, *, oneline: bool, as_json: bool) -> str:
    from esaa_git.report.describe import event_document, event_row

    if as_json:
        import json

        return json.dumps(event_document(stored), ensure_ascii=False)
    name, when, actor, subject = event_row(stored.event)
    if oneline:
        return f"{style(name, fg='yellow')} {subject}"
    return f"{style(name, fg='yellow')}  {when}  {style(f'{actor:<14}', fg='cyan')}  {subject}"


# -- show -------------------------------------------------------------------------------------


@click.command(
    epilog=examples(
        "git esaa show @",
        "git esaa show EV-00000042",
        "git esaa show T-1000 --json",
        more=_EVENT_FORMS,
    )
)
@click.argument("what", metavar="EVENT|TASK|RUN")
@json_option
@pass_project
def show(project: Project, what: str, as_json: bool) -> None:
    """Show one event, or one task, in full; of a run, the event that began it.

    An event: its envelope and payload, who signed it, and which files it brought. A task: its
    definition, where it stands, every attempt, what the last rejection asked for, its result.
    With each, the notes that people left on it.
    """
    from esaa_git.app.history import ShownTask
    from esaa_git.app.history import show as look

    found = look(project, what)
    if isinstance(found, ShownTask):
        _print_task(project, found, as_json)
    else:
        _print_event(found, as_json)


def _print_event(found: ShownEvent, as_json: bool) -> None:
    from esaa_git.report.describe import event_document, event_lines

    stored, signed, files = found.stored, found.signature, list(found.files)
    if as_json:
        print_json(
            {
                **event_document(stored),
                "sha256": stored.event.sha256,
                "signature": {
                    "holds": signed.holds,
                    "fingerprint": signed.fingerprint,
                    "roles": list(signed.roles),
                    "text": signed.text,
                },
                "files": files,
                "said": found.said,
                "not_kept": list(found.not_kept),
                "notes": [note.to_json() for note in found.notes],
            }
        )
        return
    hints = [f"git show {stored.commit[:12]}:{files[0]}"] if files else []
    for line in event_lines(stored, signed.text, files, hints, found.notes, found.said):
        say(line)
    for side in found.not_kept:
        say(f"exchange/{side}: not kept (STORAGE_POLICY.yaml of the time says so)")


def _print_task(project: Project, found: ShownTask, as_json: bool) -> None:
    from esaa_git.report.describe import task_document, task_lines

    task, approvals, events = found.task, found.approvals, found.events
    if as_json:
        said = project.words, found.notes, found.standing
        print_json(task_document(task, approvals, events, *said))
        return
    allowed, said = found.attempts_allowed, (project.words, found.notes, found.standing)
    for line in task_lines(task, approvals, events, allowed, *said):
        say(line)


# -- diff -------------------------------------------------------------------------------------


@click.command(
    epilog=examples("git esaa diff @~10 @", "git esaa diff 1 42 --patch", more=_EVENT_FORMS)
)
@click.argument("before", metavar="EVENT")
@click.argument("after", metavar="EVENT")
@click.option("-p", "--patch", is_flag=True, help="Show the files' changes as a unified diff.")
@json_option
@pass_project
def diff(project: Project, before: str, after: str, patch: bool, as_json: bool) -> None:
    """Show what changed between two events: tasks, issues, the run, and files.

    Files are those that accepted effects between the two events wrote. What people committed to
    the branch meanwhile is not among them; 'git log' shows that.
    """
    from esaa_git.app.history import difference, patches_between

    if patch and as_json:
        raise click.UsageError("--patch and --json exclude each other")
    if patch:
        _print_patches(patches_between(project, before, after))
        return
    found = difference(project, before, after)
    if as_json:
        print_json(_diff_json(found))
    else:
        _print_diff(found.records, found.files)


def _print_patches(patches: Iterable[bytes]) -> None:
    from esaa_git.core.printable import visible

    on_terminal = sys.stdout.isatty()
    for data in patches:
        if on_terminal:
            say(visible(data.decode(errors="replace").replace("\t", "    ")), nl=False)
        else:
            say(data, nl=False)


def print_effect(project: Project, attempt_id: str) -> None:
    """Print the recorded effect of an attempt, the current one of its task, as a unified diff."""
    from esaa_git.app.history import patches_of

    patches = patches_of(project, attempt_id)
    if patches is None:
        say("it changes no files")
    else:
        _print_patches(patches)


def _diff_json(found: Difference) -> dict[str, Any]:
    from esaa_git.report.compare import TABLES

    by_table: dict[str, Any] = {table: [] for table in TABLES}
    singles: dict[str, Any] = {}
    for change in found.records:
        if change.table:
            by_table[change.table].append(change.to_json())
        else:
            singles[change.key] = change.to_json()["fields"]
    return {
        "from": found.before,
        "to": found.after,
        **singles,
        **by_table,
        "files": [file.to_json() for file in found.files],
    }


def _print_diff(changes: Sequence[RecordChange], files: Sequence[FileChange]) -> None:
    from esaa_git.report.compare import change_lines, file_line

    colours = {"+": "green", "~": "yellow", "-": "red"}
    for change in changes:
        first, *rest = change_lines(change)
        say(style(first, fg=colours[first[0]]))
        for line in rest:
            say(line)
    if files:
        say("files:")
        for file in files:
            line = file_line(file)
            say("  " + style(line, fg=colours[line[0]]))
    if not changes and not files:
        say("no difference")


# -- replay -----------------------------------------------------------------------------------


@click.command(
    epilog=examples(
        "git esaa replay", "git esaa replay --until EV-00000042 --json", more=_EVENT_FORMS
    )
)
@click.option(
    "--until", metavar="EVENT", default="@", help="The last event to replay (default: @)."
)
@json_option
@pass_project
def replay(project: Project, until: str, as_json: bool) -> None:
    """Project the events again, from the first one, and compare with the recorded state.

    This is the definition of the state at work: nothing is read but the events. Where the
    result is not what the log records beside its last event, the exit code is 9.
    """
    from esaa_git.app.history import replay as project_again
    from esaa_git.core.event import event_id

    with showing_progress(project, "replaying", quiet=as_json):
        found = project_again(project, until)
    state = found.state
    if as_json:
        print_json(
            {
                "event_id": event_id(state.seq),
                "commit": found.commit,
                "events": state.seq,
                "run": {"state": state.run.state, **state.run.to_json()},
                "tasks": {task.task_id: task.state for task in state.tasks.values()},
                "projection_hash_sha256": found.projection_hash,
                "equals_recorded": found.is_equal,
                "differences": [
                    {"table": change.table, **change.to_json()} for change in found.differences
                ],
            }
        )
    else:
        _print_state(state)
        say(f"projection_hash_sha256: {found.projection_hash}")
    found.require_equal()
    if not as_json:
        say(f"equals the state recorded at {event_id(state.seq)} ({found.commit[:12]})")


def _print_state(state: State) -> None:
    from esaa_git.core.printable import visible
    from esaa_git.report.describe import counts_line

    run = state.run
    say(f"{visible(state.project.name)}: {run.run_id} is {run.state}, {state.seq} events")
    say(f"tasks: {counts_line(dict(run.by_state))}")
    tasks = list(state.tasks.values())
    for task in tasks[:SHOWN]:
        say(f"  {task.task_id}  {task.state}  {visible(task.title)}")
    if len(tasks) > SHOWN:
        say(f"  and {len(tasks) - SHOWN} more (--json has them all)")
