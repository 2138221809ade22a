"""`git esaa log`, `show`, `diff` and `replay`: what happened, by whom, and what came of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from esaa_git.app.project import Project
from esaa_git.cli.output import json_option, pass_project, print_json, progress, style
from esaa_git.errors import MismatchError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from esaa_git.app.history import Selection
    from esaa_git.core.event import StoredEvent
    from esaa_git.core.state import State, Task
    from esaa_git.report.compare import FileChange, RecordChange
    from esaa_git.store.log import EventCommit

SHOWN = 20

_EVENT_FORMS = """\b
An EVENT is written as
  EV-00000042 or 42   by its number
  @                   the last event
  @~3                 the third before the last"""


# -- log --------------------------------------------------------------------------------------


@click.command(
    epilog="""\b
Example:
  git esaa log -n 20
  git esaa log --task T-1000 --reverse
  git esaa log --action 'attempt.*' --since 2h --oneline
  git esaa log --actor agent-impl --json | head
"""
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
    from esaa_git.app.history import Selection

    if oneline and as_json:
        raise click.UsageError("--oneline and --json exclude each other")
    selection = Selection(
        task,
        actor,
        action,
        None if since is None else _since(since),
        grep,
        frozenset() if task is None else _approvals(project, task),
        limit,
    ).check()
    for stored in _selected(project, selection, reverse=reverse):
        click.echo(_line(stored, oneline=oneline, as_json=as_json))


def _since(text: str) -> str:
    from esaa_git.app.history import parse_since
    from esaa_git.app.project import SystemClock

    return parse_since(text, SystemClock().now())


def _approvals(project: Project, task: str) -> frozenset[str]:
    """Return the approvals asked for these tasks: a decision names the approval alone."""
    from fnmatch import fnmatchcase

    from esaa_git.store.position import state_at, tip_of

    approvals = state_at(project.repository, tip_of(project.repository).oid).approvals
    return frozenset(
        approval_id
        for approval_id, approval in approvals.items()
        if fnmatchcase(approval.task_id, task)
    )


def _selected(project: Project, selection: Selection, *, reverse: bool) -> Iterator[StoredEvent]:
    from esaa_git.app.history import select
    from esaa_git.store.position import events_about, events_up_to, tip_of

    tip = tip_of(project.repository)
    if reverse and selection.limit is None:
        return select(events_up_to(project.repository, tip.oid), selection, newest_first=False)
    events = project.log.events(newest_first=True)
    if selection.task is not None and not set("*?[") & set(selection.task):
        events = events_about(project.repository, tip.oid, selection.task, selection.approvals)
    newest = select(events, selection)
    return reversed(list(newest)) if reverse else newest


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
    epilog=f"""\b
Example:
  git esaa show @
  git esaa show EV-00000042
  git esaa show T-1000 --json

{_EVENT_FORMS}
"""
)
@click.argument("what", metavar="EVENT|TASK")
@json_option
@pass_project
def show(project: Project, what: str, as_json: bool) -> None:
    """Show one event, or one task, in full.

    An event: its envelope and payload, who signed it, and which files it brought. A task: its
    definition, where it stands, every attempt, what the last rejection asked for, its result.
    """
    from esaa_git.store.position import find_event, is_position

    if is_position(what):
        _show_event(project, find_event(project.repository, what), as_json)
    else:
        _show_task(project, what, as_json)


def _show_event(project: Project, oid: str, as_json: bool) -> None:
    from esaa_git.core.event import StoredEvent
    from esaa_git.report.describe import event_document, event_lines
    from esaa_git.store.log import read_event_commit
    from esaa_git.verify.provenance import provenance_of

    found = read_event_commit(project.repository.read, oid)
    stored = StoredEvent(found.event, oid)
    signed = provenance_of(project.repository, found)
    files = list(_files(project, found))
    if as_json:
        print_json(
            {
                **event_document(stored),
                "sha256": found.event.sha256,
                "signature": {
                    "holds": signed.holds,
                    "fingerprint": signed.fingerprint,
                    "roles": list(signed.roles),
                    "text": signed.text,
                },
                "files": files,
            }
        )
        return
    hints = [f"git show {oid[:12]}:{files[0]}"] if files else []
    for line in event_lines(stored, signed.text, files, hints):
        click.echo(line)


def _files(project: Project, found: EventCommit) -> Iterator[str]:
    """Yield the paths, in the event's commit, of the contents that travel beside the event."""
    from esaa_git.store.objects import decode_tree

    def walk(tree: str, prefix: str) -> Iterator[str]:
        for name, entry in decode_tree(project.repository.read(tree)[1]).items():
            if entry.is_tree:
                yield from walk(entry.oid, f"{prefix}{name}/")
            else:
                yield prefix + name

    for part in ("files", "exchange"):
        if part in found.tree:
            yield from walk(found.tree[part].oid, f"{part}/")


def _show_task(project: Project, task_id: str, as_json: bool) -> None:
    from esaa_git.app.history import Selection, history_of
    from esaa_git.core.contract_rules import attempts_allowed
    from esaa_git.report.describe import task_document, task_lines
    from esaa_git.store.position import events_about, tip_of

    state, contracts = project.log.load()
    task = _task(state, task_id)
    approvals = [one for one in state.approvals.values() if one.task_id == task_id]
    selection = Selection(task=task_id, approvals=frozenset(one.approval_id for one in approvals))
    repository = project.repository
    candidates = events_about(repository, tip_of(repository).oid, task_id, selection.approvals)
    events = list(history_of(candidates, selection))
    if as_json:
        print_json(task_document(task, approvals, events))
        return
    for line in task_lines(task, approvals, events, attempts_allowed(task, contracts)):
        click.echo(line)


def _task(state: State, task_id: str) -> Task:
    task = state.tasks.get(task_id)
    if task is not None:
        return task
    from difflib import get_close_matches

    close = get_close_matches(task_id, list(state.tasks), n=1)
    raise UsageError(
        f"'{task_id}' is neither an event nor a task",
        hint=f"did you mean '{close[0]}'?"
        if close
        else "'git esaa task list' names the tasks; an event is written EV-00000042, 42, @ or @~3",
    )


# -- diff -------------------------------------------------------------------------------------


@click.command(
    epilog=f"""\b
Example:
  git esaa diff @~10 @
  git esaa diff 1 42 --patch

{_EVENT_FORMS}
"""
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
    from esaa_git.report.compare import compare
    from esaa_git.store.difference import documents_between
    from esaa_git.store.position import find_event, state_at

    if patch and as_json:
        raise click.UsageError("--patch and --json exclude each other")
    repository = project.repository
    old, new = find_event(repository, before), find_event(repository, after)
    files = _written(project, old, new)
    if patch:
        _print_patch(project, files)
        return
    documents = documents_between(repository, old, new)
    changes = compare(state_at(repository, old), state_at(repository, new), documents)
    if as_json:
        print_json(_diff_json(old, new, changes, files))
        return
    _print_diff(changes, files)


def _written(project: Project, old: str, new: str) -> list[FileChange]:
    from esaa_git.report.compare import inverted, written_between
    from esaa_git.store.log import read_event_commit
    from esaa_git.store.position import events_between, state_at

    first, last = (read_event_commit(project.repository.read, oid) for oid in (old, new))
    backwards = first.event.seq > last.event.seq
    if backwards:
        first, last = last, first
    events = events_between(project.repository, first, last.oid)
    files = written_between(
        (stored.event for stored in events), state_at(project.repository, last.oid)
    )
    return inverted(files) if backwards else files


def _print_patch(project: Project, files: Iterable[FileChange]) -> None:
    from esaa_git.report.describe import visible
    from esaa_git.store.difference import unified_diff

    on_terminal = sys.stdout.isatty()
    for file in files:
        data = unified_diff(project.repository, file.path, file.before, file.after)
        if on_terminal:
            click.echo(visible(data.decode(errors="replace").replace("\t", "    ")), nl=False)
        else:
            click.echo(data, nl=False)


def print_effect(project: Project, attempt_id: str) -> None:
    """Print the recorded effect of an attempt, the current one of its task, as a unified diff."""
    from esaa_git.report.compare import written_between
    from esaa_git.store.position import events_about, tip_of

    state, _ = project.log.load()
    task_id = attempt_id.rpartition("-A")[0]
    events = events_about(project.repository, tip_of(project.repository).oid, task_id)
    for stored in events:
        event = stored.event
        if event.action == "orchestrator.file.write" and event.attempt_id == attempt_id:
            _print_patch(project, written_between([event], state))
            return
        if event.action == "attempt.create" and event.attempt_id == attempt_id:
            break
    click.echo("it changes no files")


def _diff_json(
    old: str, new: str, changes: Iterable[RecordChange], files: Iterable[FileChange]
) -> dict[str, Any]:
    by_table: dict[str, Any] = {"tasks": [], "issues": [], "lessons": [], "approvals": []}
    singles: dict[str, Any] = {}
    for change in changes:
        if change.table:
            by_table[change.table].append(change.to_json())
        else:
            singles[change.key] = change.to_json()["fields"]
    return {
        "from": old,
        "to": new,
        **singles,
        **by_table,
        "files": [file.to_json() for file in files],
    }


def _print_diff(changes: list[RecordChange], files: list[FileChange]) -> None:
    from esaa_git.report.compare import change_lines, file_line

    colours = {"+": "green", "~": "yellow", "-": "red"}
    for change in changes:
        first, *rest = change_lines(change)
        click.echo(style(first, fg=colours[first[0]]))
        for line in rest:
            click.echo(line)
    if files:
        click.echo("files:")
        for file in files:
            line = file_line(file)
            click.echo("  " + style(line, fg=colours[line[0]]))
    if not changes and not files:
        click.echo("no difference")


# -- replay -----------------------------------------------------------------------------------


@click.command(
    epilog=f"""\b
Example:
  git esaa replay
  git esaa replay --until EV-00000042 --json

{_EVENT_FORMS}
"""
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
    from esaa_git.core.event import event_id
    from esaa_git.core.projection import projection_hash
    from esaa_git.report.compare import compare
    from esaa_git.store.difference import state_tree_id
    from esaa_git.store.log import load_tip
    from esaa_git.store.position import find_event

    oid = find_event(project.repository, until)
    with progress("replaying", quiet=as_json) as on_progress:
        state = _project(project, oid, on_progress)
    recorded = load_tip(project.repository, oid)
    is_equal = state_tree_id(state) == recorded.state_tree
    different = [] if is_equal else compare(recorded.state, state)
    if as_json:
        print_json(
            {
                "event_id": event_id(state.seq),
                "commit": oid,
                "events": state.seq,
                "run": {"state": state.run.state, **state.run.to_json()},
                "tasks": {task.task_id: task.state for task in state.tasks.values()},
                "projection_hash_sha256": projection_hash(state),
                "equals_recorded": is_equal,
                "differences": [
                    {"table": change.table, **change.to_json()} for change in different
                ],
            }
        )
    else:
        _print_state(state)
        click.echo(f"projection_hash_sha256: {projection_hash(state)}")
    if not is_equal:
        names = ", ".join(f"{one.table}/{one.key}".lstrip("/") for one in different[:5])
        raise MismatchError(
            f"the state recorded at {event_id(state.seq)} is not what its events project to",
            cause=f"they differ in {names or 'how the state is stored'}",
            hint="run 'git esaa verify --full' to find the first event where they part",
        )
    if not as_json:
        click.echo(f"equals the state recorded at {event_id(state.seq)} ({oid[:12]})")


def _project(project: Project, oid: str, on_progress: Any) -> State:
    from esaa_git.core.event import event_id
    from esaa_git.core.invariants import Violation
    from esaa_git.core.projection import evolve
    from esaa_git.core.state import EMPTY
    from esaa_git.store.log import read_event_commit
    from esaa_git.store.position import walk_forward

    total = read_event_commit(project.repository.read, oid).event.seq
    state = EMPTY
    for one in walk_forward(project.repository, oid):
        event = read_event_commit(project.repository.read, one).event
        try:
            state = evolve(state, event)
        except Violation as error:
            raise MismatchError(
                f"{event_id(state.seq + 1)} does not follow from the events before it",
                cause=str(error),
                hint="run 'git esaa verify --full' to see what is wrong with it",
            ) from error
        if state.seq % 500 == 0:
            on_progress(state.seq, total)
    return state


def _print_state(state: State) -> None:
    from esaa_git.report.describe import counts_line, visible

    run = state.run
    click.echo(f"{visible(state.project.name)}: {run.run_id} is {run.state}, {state.seq} events")
    click.echo(f"tasks: {counts_line(dict(run.by_state))}")
    tasks = list(state.tasks.values())
    for task in tasks[:SHOWN]:
        click.echo(f"  {task.task_id}  {task.state}  {visible(task.title)}")
    if len(tasks) > SHOWN:
        click.echo(f"  and {len(tasks) - SHOWN} more (--json has them all)")
