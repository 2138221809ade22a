"""`git esaa verify`: is the record intact?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esaa_git.app import project as wiring
from esaa_git.app.project import Project, finish_interrupted
from esaa_git.cli.output import json_option, pass_project, print_json, progress, style
from esaa_git.errors import ConfigurationError, CorruptedError, MismatchError, UsageError

if TYPE_CHECKING:
    from esaa_git.trust.signers import SignerSet
    from esaa_git.verify.audit import Report
    from esaa_git.verify.checkpoint import Checkpoint
    from esaa_git.verify.pins import Expected

_SHORT = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?")


@click.command(
    epilog="""\b
Example:
  git esaa verify
  git esaa verify --full --json
  git esaa verify --genesis OID --max-age 2h --strict
  git esaa verify --checkpoint checkpoint.json --cosigner auditors --require 2
  git esaa verify --relink --record
"""
)
@click.option("--full", is_flag=True, help="From genesis, whatever was verified before.")
@click.option("--since", is_flag=True, help="From the last verified point (the default).")
@click.option("--strict", is_flag=True, help="Fail for what is otherwise only noted.")
@click.option("--genesis", metavar="OID", help="Fail unless the log begins with this commit.")
@click.option(
    "--max-age",
    metavar="DURATION",
    help="Fail if the last event is older, as in 2h, 3d or PT90M: a mirror may stand still.",
)
@click.option(
    "--checkpoint",
    "checkpoint_file",
    metavar="FILE",
    type=click.File("rb"),
    help="Fail unless the log holds exactly the event that the checkpoint names.",
)
@click.option(
    "--cosigner",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Whose signatures of the checkpoint count, in the format of allowed_signers.",
)
@click.option(
    "--require",
    type=click.IntRange(1),
    metavar="N",
    help="So many of the cosigners' keys have to have signed; 1 by default.",
)
@click.option(
    "--relink",
    is_flag=True,
    help="Look for effects by what they change, on a branch that was rebased or squashed.",
)
@click.option("--record", is_flag=True, help="With --relink, record in the log what was found.")
@click.option(
    "--jobs", type=click.IntRange(1), metavar="N", help="Processes; all cores by default."
)
@json_option
@pass_project
def verify(
    project: Project,
    full: bool,
    since: bool,
    strict: bool,
    genesis: str | None,
    max_age: str | None,
    checkpoint_file: Any,
    cosigner: Path | None,
    require: int | None,
    relink: bool,
    record: bool,
    jobs: int | None,
    as_json: bool,
) -> int:
    """Recompute every state, hash and signature of the log, and find every effect on the branch.

    The exit code is 0 for ok, 9 for a mismatch (well-formed history that does not add up) and 10
    for corruption (bytes that no honest writer produced).
    """
    if since and (full or relink):
        raise click.UsageError(f"--{'full' if full else 'relink'} and --since exclude each other")
    if record and not relink:
        raise click.UsageError("--record goes with --relink")
    if checkpoint_file is None and cosigner is not None:
        raise click.UsageError("--cosigner goes with --checkpoint FILE")
    if cosigner is None and require is not None:
        raise click.UsageError("--require goes with --cosigner FILE")
    data = None if checkpoint_file is None else checkpoint_file.read()
    name = "" if checkpoint_file is None else name_of(checkpoint_file)
    expected = _expected(genesis, max_age, data, name, cosigner, require)
    finish_interrupted(project)
    report = audited(
        project,
        full=full,
        strict=strict,
        relink=relink,
        expected=expected,
        jobs=jobs,
        quiet=as_json,
    )
    recorded = 0
    if record and report.audit.is_ok and not report.is_recorded:
        recorded = _record(project, report)
        again = audited(
            project, full=True, strict=strict, expected=expected, jobs=jobs, quiet=as_json
        )
        report = again
    if as_json:
        print_json({**_as_json(report), "recorded": recorded})
    else:
        _print(report, recorded)
    return exit_code(report)


def audited(
    project: Project,
    *,
    full: bool = False,
    strict: bool = False,
    relink: bool = False,
    expected: Expected | None = None,
    jobs: int | None = None,
    quiet: bool = False,
) -> Report:
    """Verify, with a progress bar on a terminal."""
    from esaa_git.verify.audit import Auditor
    from esaa_git.verify.pins import NOTHING

    with progress("verifying", quiet=quiet) as on_progress:
        return Auditor(
            project.repository,
            full=full,
            jobs=jobs,
            strict=strict,
            relink=relink,
            expected=expected or NOTHING,
            on_progress=on_progress,
        ).run()


def exit_code(report: Report) -> int:
    """Return the exit code of an outcome."""
    return {"ok": 0, "mismatch": MismatchError.exit_code}.get(
        report.audit.outcome, CorruptedError.exit_code
    )


def max_age_ms(text: str) -> int:
    """Return the milliseconds of a duration: ISO 8601 as in contracts, or `2h`, `1d12h`, `90m`.

    Raises:
        UsageError: for anything else.
    """
    from esaa_git.core.contracts import duration_ms

    short = _SHORT.fullmatch(text)
    if text and text.isascii() and short is not None:
        days, hours, minutes, seconds = (part or "0" for part in short.groups())
        written = f"P{days}DT{hours}H{minutes}M{seconds}S"
    else:
        written = text if text.isascii() else ""
    try:
        return duration_ms(written, "--max-age")
    except ConfigurationError as error:
        raise UsageError(
            f"--max-age: '{text}' is not a duration that can be used",
            hint="write it as in 2h, 3d, 1d12h, PT90M or P1D; ten years at most",
        ) from error


def _expected(
    genesis: str | None,
    max_age: str | None,
    data: bytes | None,
    name: str,
    cosigner: Path | None,
    require: int | None,
) -> Expected:
    from esaa_git.core.event import after, timestamp
    from esaa_git.verify.pins import Expected, is_oid

    if genesis is not None and not is_oid(genesis):
        raise UsageError(
            f"--genesis: '{genesis}' is not the whole id of a commit",
            hint="write all 40 digits: a part of an id can be met by another commit",
        )
    not_before = None
    if max_age is not None:
        now = timestamp(wiring.SystemClock().now())
        not_before = after(now, -max_age_ms(max_age))
    return Expected(
        genesis,
        not_before,
        max_age or "",
        None if data is None else load_checkpoint(data, name),
        None if cosigner is None else cosigners(cosigner),
        require or 1,
    )


def name_of(file: Any) -> str:
    """Return what to call an open file in a message; standard input has no name of its own."""
    return str(getattr(file, "name", "<stdin>"))


def load_checkpoint(data: bytes, name: str) -> Checkpoint:
    """Return the checkpoint in the bytes of a file.

    Raises:
        CorruptedError: if they are none.
    """
    from esaa_git.verify.checkpoint import MalformedCheckpoint, decode

    try:
        return decode(data)
    except MalformedCheckpoint as error:
        raise CorruptedError(
            f"'{name}' is not a checkpoint",
            cause=str(error),
            hint="it is taken as it was written, to the byte: 'git esaa checkpoint create' "
            "writes one",
        ) from error


def cosigners(path: Path) -> SignerSet:
    """Return the keys whose signatures of a checkpoint count.

    Raises:
        ConfigurationError: if the file cannot be read as allowed_signers, or names none.
    """
    from esaa_git.trust.signers import SignerSet
    from esaa_git.verify.checkpoint import NAMESPACE

    try:
        found = SignerSet.parse(path.read_bytes())
    except ConfigurationError as error:
        raise ConfigurationError(
            f"the cosigners in '{path}' cannot be used",
            cause=error.cause or error.message,
            hint="a line is a name and a public key, as in 'auditor@example.com ssh-ed25519 AAAA'",
        ) from error
    if not found.keys_for(NAMESPACE):
        raise ConfigurationError(
            f"no key in '{path}' is for checkpoints",
            cause=f"every line has other namespaces than '{NAMESPACE}'",
            hint=f'write namespaces="{NAMESPACE}", or leave the option out',
        )
    return found


def _record(project: Project, report: Report) -> int:
    from esaa_git.engine.operator import relink

    links = [
        (one.task_id, one.effect_commit, one.carried_by, one.how)
        for one in report.relinked
        if not one.is_recorded
    ]
    return relink(project.engine, links)


def _print(report: Report, recorded: int) -> None:
    audit = report.audit
    colour = {"ok": "green", "mismatch": "yellow"}.get(audit.outcome, "red")
    click.echo(f"verify_status: {style(audit.outcome, fg=colour, bold=True)}")
    if audit.is_ok:
        if audit.checked_from > audit.checked_to:
            click.echo(f"no new events after event {audit.checked_to}", nl=False)
        else:
            click.echo(f"events {audit.checked_from} to {audit.checked_to} checked", nl=False)
        click.echo(f" ({report.since} were verified before)" if report.since else "")
        if report.branch is not None:
            click.echo(f"effects match '{report.branch}' ({report.branch_commits} commits read)")
        for one in report.relinked:
            click.echo(
                f"relinked: effect {one.effect_commit[:12]} of {one.task_id} is carried by "
                f"{one.carried_by[:12]} ({one.how}{', recorded' if one.is_recorded else ''})"
            )
        click.echo(f"projection_hash_sha256: {audit.projection_hash}")
    else:
        click.echo(f"check {audit.check}: {audit.message}")
        click.echo(f"commit: {report.failed_commit}")
        if report.sound is not None:
            click.echo(
                f"hint: everything before {audit.event_id} is sound; to go back to it: "
                f"git update-ref {report.ref} {report.sound}"
            )
        elif report.hint is not None:
            click.echo(f"hint: {report.hint}")
    if audit.is_ok and report.genesis is not None and report.since == 0:
        click.echo(_trust(report, report.genesis[:12]))
    if recorded:
        click.echo(f"recorded: {recorded} links from effects to the commits that carry them")
    elif report.relinked and not report.is_recorded:
        click.echo("note: nothing was recorded; --record has later verifications find them")
    for note in report.notes:
        click.echo(f"note: {note}")


def _trust(report: Report, genesis: str) -> str:
    match report.trust:
        case "given":
            return f"genesis {genesis} is the one that was asked for"
        case "pinned":
            return f"genesis {genesis} is the one that is pinned ('git esaa trust show')"
        case "verified-before":
            return f"genesis {genesis} is the one that was verified here before"
        case _:
            return f"genesis {genesis} is trusted on first use and pinned from now on"


def _as_json(report: Report) -> dict[str, Any]:
    audit = report.audit
    return {
        "verify_status": audit.outcome,
        "ref": report.ref,
        "tip": report.tip,
        "log_id": report.log_id,
        "genesis": report.genesis,
        "trust": report.trust,
        "boundary": report.boundary,
        "checked_from": audit.checked_from,
        "checked_to": audit.checked_to,
        "projection_hash_sha256": audit.projection_hash,
        "branch": report.branch,
        "relinked": [
            {
                "task_id": one.task_id,
                "effect_commit": one.effect_commit,
                "carried_by": one.carried_by,
                "how": one.how,
                "recorded": one.is_recorded,
            }
            for one in report.relinked
        ],
        "check": audit.check,
        "event_id": audit.event_id,
        "commit": report.failed_commit,
        "sound": report.sound,
        "message": audit.message or None,
        "hint": report.hint,
        "jobs": report.jobs,
        "notes": report.notes,
    }
