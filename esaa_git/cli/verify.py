"""`git esaa verify` and `trust`: is the record intact, and is it the one that is meant?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

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
    from esaa_git.app.verify import VerifyReport


# -- verify -----------------------------------------------------------------------------------


@click.command(
    epilog=examples(
        "git esaa verify",
        "git esaa verify --full --json",
        "git esaa verify --genesis OID --max-age 2h --strict",
        "git esaa verify --checkpoint checkpoint.json --cosigner auditors --require 2",
        "git esaa verify --relink --record",
        "git esaa verify --summary summary.md --base origin/main",
    )
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
    "--accept",
    "accept",
    multiple=True,
    metavar="COMMIT",
    help="With --record, answer as an admin for a commit that changes something beside the effects "
    "it carries, or for a merge that lost effects; or give up the effect that COMMIT is. Several "
    "times, if need be.",
)
@click.option(
    "--jobs", type=click.IntRange(1), metavar="N", help="Processes; all cores by default."
)
@click.option(
    "--summary",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Append what was found to a file, as Markdown; through no link that a checkout holds.",
)
@click.option(
    "--base",
    metavar="COMMIT",
    help="With --summary: also the tasks, checks, approvals and signers of what HEAD adds to it.",
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
    accept: tuple[str, ...],
    record: bool,
    jobs: int | None,
    summary: str | None,
    base: str | None,
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
    if accept and not record:
        raise click.UsageError("--accept goes with --relink --record")
    if checkpoint_file is None and cosigner is not None:
        raise click.UsageError("--cosigner goes with --checkpoint FILE")
    if cosigner is None and require is not None:
        raise click.UsageError("--require goes with --cosigner FILE")
    if base is not None and summary is None:
        raise click.UsageError("--base goes with --summary FILE")
    from esaa_git.app.verify import verify as check

    page: TextIO | None = None
    if summary == "-":
        page = sys.stdout
    elif summary is not None:
        from esaa_git.app.brought import page_at

        # Before anything is verified: it may be none to write to.
        page = click.get_current_context().with_resource(page_at(project, summary))
    checkpoint: dict[str, Any] = {}
    if checkpoint_file is not None:
        checkpoint = {"checkpoint": checkpoint_file.read()}
        checkpoint["checkpoint_name"] = name_of(checkpoint_file)
    with showing_progress(project, "verifying", quiet=as_json):
        report = check(
            project,
            full=full,
            strict=strict,
            genesis=genesis,
            max_age=max_age,
            cosigner=cosigner,
            require=require,
            relink=relink,
            accept=accept,
            record=record,
            jobs=jobs,
            **checkpoint,
        )
    if as_json:
        print_json(report.to_json())
    else:
        _print(report)
    if page is not None:
        from esaa_git.app.brought import brought
        from esaa_git.report.summary import markdown

        found = None if base is None else brought(project, base)
        page.write(markdown(report.outcome, _facts(report), found))
    return 0 if report.failure is None else report.failure.exit_code


def name_of(file: Any) -> str:
    """Return what to call an open file in a message; standard input has no name of its own."""
    return str(getattr(file, "name", "<stdin>"))


_SHOWN = 20

_GONE = {
    "superseded": "not at the tip any more: files of {} effects, superseded by later effects",
    "undone": "not at the tip any more: files of {} effects, which were undone",
    "changed": "not at the tip any more: files of {} effects, changed by commits since",
}


def _print(report: VerifyReport) -> None:
    colour = {"ok": "green", "mismatch": "yellow"}.get(report.outcome, "red")
    say(f"verify_status: {style(report.outcome, fg=colour, bold=True)}")
    if report.is_ok:
        if report.checked_from > report.checked_to:
            say(f"no new events after event {report.checked_to}", nl=False)
        else:
            say(f"events {report.checked_from} to {report.checked_to} checked", nl=False)
        say(f" ({report.since} were verified before)" if report.since else "")
        if report.branch is not None:
            held = report.apart or f"effects match '{report.branch}'"
            say(f"{held} ({report.branch_commits} commits read)")
        for name, oid, task_id in report.elsewhere[:_SHOWN]:
            say(f"effect {oid[:12]} of {task_id} is on '{name}'")
        if len(report.elsewhere) > _SHOWN:
            say(f"and {len(report.elsewhere) - _SHOWN} more are on other branches (--json)")
        for one in report.relinked:
            verb = "let go in" if one.how == "lost" else "carried by"
            if one.carried_by == one.effect_commit:
                verb = "given up:"
            say(
                f"relinked: effect {one.effect_commit[:12]} of {one.task_id} is {verb} "
                f"{one.carried_by[:12]} ({one.how}{', recorded' if one.is_recorded else ''})"
            )
            if one.carrier.beside:
                paths = ", ".join(f"'{path.path}'" for path in one.carrier.beside[:10])
                people = f"{len(one.carrier.people)} commits of people"
                made = people if one.carrier.people else "as git merged it"
                who = one.carrier.accepted_by or made
                say(f"  beside it {paths}{' ...' * (len(one.carrier.beside) > 10)}: {who}")
        for how, count in report.gone_counts():
            say(f"{_GONE[how].format(count)} (--json lists them)")
        for why, count in report.foreign_counts():
            say(f"let be: {count} commits whose claims are {why}, not verified here")
        say(f"projection_hash_sha256: {report.projection_hash}")
    else:
        say(f"check {report.check}: {report.message}")
        say(f"commit: {report.commit}")
        if report.sound is not None:
            say(
                f"hint: everything before {report.event_id} is sound; to go back to it: "
                f"git update-ref {report.ref} {report.sound}"
            )
        elif report.hint is not None:
            say(f"hint: {report.hint}")
    if report.is_ok and report.genesis is not None and report.since == 0:
        say(_trust(report, report.genesis[:12]))
    if report.recorded:
        say(f"recorded: {report.recorded} links from effects to the commits that carry them")
    elif report.relinked and not report.is_recorded:
        say("note: nothing was recorded; 'git esaa verify --relink --record' puts it into the log")
    for note in report.notes:
        say(f"note: {note}")


def _facts(report: VerifyReport) -> Iterator[str]:
    """Yield what a page says of a verification: of which log, from where, and what is wrong."""
    yield f"log {report.log_id} on {report.ref} at {report.tip}"
    yield f"genesis {report.genesis} ({report.trust})"
    yield f"events {report.checked_from} to {report.checked_to} checked"
    if report.branch is not None:
        yield f"effects held against '{report.branch}' ({report.branch_commits} commits read)"
    if report.apart is not None:
        yield report.apart
    if not report.is_ok:
        yield f"check {report.check}: {report.message}"
        yield f"commit {report.commit}"
    if report.hint is not None:
        yield f"hint: {report.hint}"
    yield from (f"note: {note}" for note in report.notes)


def _trust(report: VerifyReport, genesis: str) -> str:
    match report.trust:
        case "given":
            return f"genesis {genesis} is the one that was asked for"
        case "pinned":
            return f"genesis {genesis} is the one that is pinned ('git esaa trust show')"
        case "verified-before":
            return f"genesis {genesis} is the one that was verified here before"
        case _:
            return f"genesis {genesis} is trusted on first use and pinned from now on"


# -- trust ------------------------------------------------------------------------------------


@click.group()
def trust() -> None:
    """Pin the log's first commit, which everything else is verified from.

    A clone that sees a log for the first time has to believe the genesis that it finds. Somebody
    who knows the log can tell its id; once it is pinned, no other log passes `git esaa verify`
    here, whoever serves it.
    """


@trust.command(
    "pin", epilog=examples("git esaa trust pin 3f2a91c0d1e2f3a4b5c6d7e8f90123456789abcd")
)
@click.argument("oid", required=False)
@click.option("--replace", is_flag=True, help="Put it in the place of another pin.")
@pass_project
def pin_(project: Project, oid: str | None, replace: bool) -> None:
    """Pin the genesis OID, or that of the log which is here.

    With OID, the log need not be here yet: 'git esaa verify' then takes no other.
    """
    from esaa_git.app.trust import pin

    made = pin(project, oid, replace=replace)
    say(f"pinned: genesis {made.genesis}")
    say(f"log id: {made.log_id or 'not known yet, the log is not here'}")
    if oid is None:
        say("note: this is the log that was found here; compare the id with somebody")


@trust.command("show", epilog=examples("git esaa trust show --json"))
@json_option
@pass_project
def show(project: Project, as_json: bool) -> None:
    """Show what is pinned, and how far the log was verified here."""
    from esaa_git.app.trust import trusted

    found = trusted(project)
    pin, mark = found.pin, found.mark
    if as_json:
        print_json(
            {
                "genesis": None if pin is None else pin.genesis,
                "log_id": None if pin is None else pin.log_id,
                "verified": None
                if mark is None
                else {
                    "genesis": mark.genesis,
                    "log_id": mark.log_id,
                    "seq": mark.seq,
                    "tip": mark.tip,
                    "boundary": mark.boundary,
                },
            }
        )
        return
    if pin is None:
        say("pinned: nothing; the first verification trusts the genesis that it finds")
    else:
        say(f"pinned: genesis {pin.genesis}")
        say(f"log id: {pin.log_id or 'not known yet'}")
    if mark is None:
        say("verified: nothing")
        return
    say(f"verified: {mark.seq} events, to {mark.tip}")
    if mark.genesis is not None:
        say(f"from genesis: {mark.genesis}")
    else:
        say(f"from a shallow boundary: {mark.boundary}")
