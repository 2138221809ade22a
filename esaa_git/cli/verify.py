"""`git esaa verify`: is the record intact?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from esaa_git.cli.app import App, finish_interrupted, pass_app
from esaa_git.cli.output import json_option, print_json, style
from esaa_git.errors import CorruptedError, MismatchError

if TYPE_CHECKING:
    from esaa_git.git.audit import Report


@click.command(
    epilog="""\b
Example:
  git esaa verify
  git esaa verify --full --json
"""
)
@click.option("--full", is_flag=True, help="From genesis, whatever was verified before.")
@click.option("--since", is_flag=True, help="From the last verified point (the default).")
@click.option("--strict", is_flag=True, help="Fail for what is otherwise only noted.")
@click.option(
    "--jobs", type=click.IntRange(1), metavar="N", help="Processes; all cores by default."
)
@json_option
@pass_app
def verify(app: App, full: bool, since: bool, strict: bool, jobs: int | None, as_json: bool) -> int:
    """Recompute every state, hash and signature of the log, and find every effect on the branch.

    The exit code is 0 for ok, 9 for a mismatch (well-formed history that does not add up) and 10
    for corruption (bytes that no honest writer produced).
    """
    from esaa_git.git.audit import Auditor

    if full and since:
        raise click.UsageError("--full and --since exclude each other")
    finish_interrupted(app)
    with _progress(quiet=as_json) as on_progress:
        report = Auditor(
            app.repository, full=full, jobs=jobs, strict=strict, on_progress=on_progress
        ).run()
    if as_json:
        print_json(_as_json(report))
    else:
        _print(report)
    return {"ok": 0, "mismatch": MismatchError.exit_code}.get(
        report.audit.outcome, CorruptedError.exit_code
    )


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal, and nothing in a pipe."""
    if quiet or not sys.stderr.isatty():
        yield _nothing
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("verifying", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _nothing(_done: int, _total: int) -> None:
    """Show no progress."""


def _print(report: Report) -> None:
    audit = report.audit
    colour = {"ok": "green", "mismatch": "yellow"}.get(audit.outcome, "red")
    click.echo(f"verify_status: {style(audit.outcome, fg=colour, bold=True)}")
    if audit.is_ok:
        click.echo(f"events {audit.checked_from} to {audit.checked_to} checked", nl=False)
        click.echo(f" ({report.since} were verified before)" if report.since else "")
        if report.branch is not None:
            click.echo(f"effects match '{report.branch}' ({report.branch_commits} commits read)")
        click.echo(f"projection_hash_sha256: {audit.projection_hash}")
    else:
        click.echo(f"check {audit.check}: {audit.message}")
        click.echo(f"commit: {report.failed_commit}")
        if report.sound is not None:
            click.echo(
                f"hint: everything before {audit.event_id} is sound; to go back to it: "
                f"git update-ref {report.ref} {report.sound}"
            )
    if report.since == 0 and audit.is_ok and report.genesis is not None:
        click.echo(f"genesis {report.genesis[:12]} is trusted on first use and pinned from now on")
    for note in report.notes:
        click.echo(f"note: {note}")


def _as_json(report: Report) -> dict[str, Any]:
    audit = report.audit
    return {
        "verify_status": audit.outcome,
        "ref": report.ref,
        "tip": report.tip,
        "log_id": report.log_id,
        "genesis": report.genesis,
        "checked_from": audit.checked_from,
        "checked_to": audit.checked_to,
        "projection_hash_sha256": audit.projection_hash,
        "branch": report.branch,
        "check": audit.check,
        "event_id": audit.event_id,
        "commit": report.failed_commit,
        "sound": report.sound,
        "message": audit.message or None,
        "jobs": report.jobs,
        "notes": report.notes,
    }
