"""`git esaa project`, `export` and `import`: the log as plain files, and back again."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from esaa_git.app.project import Project
from esaa_git.app.roadmap import ROADMAP
from esaa_git.cli.output import (
    examples,
    json_option,
    pass_project,
    print_json,
    say,
    showing_progress,
)

# -- project ----------------------------------------------------------------------------------


@click.command(epilog=examples("git esaa project", "git esaa project --stdout | sha256sum"))
@click.option("--stdout", "to_stdout", is_flag=True, help="Print roadmap.json and write nothing.")
@json_option
@pass_project
def project(project: Project, to_stdout: bool, as_json: bool) -> None:
    """Write the read-models of the last event into .roadmap/, and print the projection's hash.

    The SHA-256 of roadmap.json is that hash. The files are derived: nothing reads them back, and
    git ignores them.
    """
    from esaa_git.app.export import read_models, write_read_models

    if to_stdout and as_json:
        raise click.UsageError("--stdout and --json exclude each other")
    if to_stdout:
        # The very bytes, which a pipe may hash; JSON escapes what would act on a terminal.
        sys.stdout.buffer.write(read_models(project).files["roadmap.json"])
        sys.stdout.buffer.flush()
        return
    made = write_read_models(project)
    if as_json:
        print_json(
            {
                "events": made.events,
                "projection_hash_sha256": made.projection_hash,
                "files": [f"{ROADMAP}/{name}" for name in made.files],
            }
        )
        return
    say(f"wrote {', '.join(made.files)} into {ROADMAP}/ ({made.events} events)")
    say(f"projection_hash_sha256: {made.projection_hash}")


# -- export -----------------------------------------------------------------------------------


@click.command(
    epilog=examples(
        "git esaa export",
        "git esaa export /backup/project",
        "git esaa export - | jq -r .action | sort | uniq -c",
    )
)
@click.argument("target", metavar="[DIR|-]", required=False)
@click.option(
    "--bundle",
    is_flag=True,
    help="Also write activity.bundle: the commits of the log, with their signatures.",
)
@json_option
@pass_project
def export(project: Project, target: str | None, bundle: bool, as_json: bool) -> None:
    """Write activity.jsonl, one event a line, and the contents that the events name.

    The folder is .roadmap/ by default. With '-', the events go to standard output, without the
    contents. activity.objects.pack holds the contracts, the files as effects left them, and the
    recorded exchanges; 'git esaa import' needs it elsewhere. Neither holds a signature, so nothing
    vouches for them once they have left: --bundle writes what does.
    """
    from esaa_git.app.export import ACTIVITY, BUNDLE, OBJECTS, export_events
    from esaa_git.app.export import export as write

    if target == "-":
        if bundle:
            raise click.UsageError("'-' prints the events alone, so --bundle has no place")
        if as_json:
            raise click.UsageError("'-' prints the events themselves, so --json has no place")
        export_events(project.repository, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    with showing_progress(project, "exporting", quiet=as_json):
        done, folder = write(project, None if target is None else Path(target), bundle=bundle)
    if as_json:
        print_json(
            {
                "events": done.events,
                "blobs": done.blobs,
                "activity": str(folder / ACTIVITY),
                "objects": str(folder / OBJECTS),
                "bundle": str(folder / BUNDLE) if bundle else None,
            }
        )
        return
    shown = ROADMAP if target is None else target.rstrip("/") or "/"
    say(f"wrote {done.events} events to {shown}/{ACTIVITY}")
    say(f"and {done.blobs} contents that they name to {shown}/{OBJECTS}")
    say(
        f"and the commits, which keep their signatures, to {shown}/{BUNDLE}"
        if bundle
        else "no signature is among them: '--bundle' writes the commits too"
    )


# -- import -----------------------------------------------------------------------------------


@click.command(
    "import",
    epilog=examples(
        "git init copy && cd copy",
        "git config esaa.signingKey ~/.config/git-esaa/keys/project",
        "git esaa import ../activity.jsonl --objects ../activity.objects.pack",
    ),
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--objects",
    metavar="PACK",
    type=click.Path(path_type=Path),
    help="Contents that the events name; by default the activity.objects.pack beside FILE.",
)
@json_option
@pass_project
def import_(project: Project, file: Path, objects: Path | None, as_json: bool) -> None:
    """Start the log of this repository from an exported one.

    Every event is checked as if it were appended here, and signed anew: with a key that the
    exported log's own allowed_signers admits. All events are taken or none. The log is a new
    one, with an id of its own; its projection has the same hash. Effect commits are not part of
    it: they belong to the branch of the repository that the log was exported from.

    Nobody vouches for what such events say: whoever had the files could change them. The new log's
    id says that they were imported, and every verification repeats it. A bundle, which 'git esaa
    export --bundle' writes, holds the commits themselves: they are verified in full, and taken as
    they are, under the same log id and the same signatures.

    FILE may also be the folder that 'git esaa export' wrote into; a bundle in it goes first.
    """
    from esaa_git.app.import_log import import_into

    with showing_progress(project, "importing", quiet=as_json):
        done = import_into(project, file, objects)
    if as_json:
        print_json(
            {
                "events": done.events,
                "log_id": done.log_id,
                "origin": done.origin,
                "signed": done.is_signed,
                "tip": done.tip,
                "projection_hash_sha256": done.projection_hash,
            }
        )
        return
    say(f"imported {done.events} events into {project.log.ref} (log {done.log_id})")
    say(f"projection_hash_sha256: {done.projection_hash}")
    say(
        "verified in full, under the signatures of whoever recorded them"
        if done.is_signed
        else "nobody vouches for what they say: the files hold no signatures, and your key signed "
        "them now"
    )
