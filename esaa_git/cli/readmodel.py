"""`git esaa project`, `export` and `import`: the log as plain files, and back again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esaa_git.app.project import Project
from esaa_git.app.roadmap import ROADMAP
from esaa_git.cli.output import json_option, pass_project, print_json, progress
from esaa_git.errors import RepositoryError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esaa_git.core.state import Issue, Lesson


# -- project ----------------------------------------------------------------------------------


@click.command(
    epilog="""\b
Example:
  git esaa project
  git esaa project --stdout | sha256sum
"""
)
@click.option("--stdout", "to_stdout", is_flag=True, help="Print roadmap.json and write nothing.")
@json_option
@pass_project
def project(project: Project, to_stdout: bool, as_json: bool) -> None:
    """Write the read-models of the last event into .roadmap/, and print the projection's hash.

    The SHA-256 of roadmap.json is that hash. The files are derived: nothing reads them back, and
    git ignores them.
    """
    from esaa_git.core import canonical
    from esaa_git.core.projection import roadmap
    from esaa_git.core.state import SCHEMA_VERSION

    if to_stdout and as_json:
        raise click.UsageError("--stdout and --json exclude each other")
    state, _ = project.log.load()
    data = canonical.encode(roadmap(state))
    if to_stdout:
        click.echo(data, nl=False)
        return
    folder = _roadmap_folder(project, "print it with 'git esaa project --stdout'")
    head = {"schema_version": SCHEMA_VERSION}
    files = {
        "roadmap.json": data,
        "issues.json": canonical.encode({**head, "issues": _records(state.issues.values())}),
        "lessons.json": canonical.encode({**head, "lessons": _records(state.lessons.values())}),
    }
    _write(folder, files)
    digest = canonical.digest(data)
    if as_json:
        print_json(
            {
                "events": state.seq,
                "projection_hash_sha256": digest,
                "files": [f"{ROADMAP}/{name}" for name in files],
            }
        )
        return
    click.echo(f"wrote {', '.join(files)} into {ROADMAP}/ ({state.seq} events)")
    click.echo(f"projection_hash_sha256: {digest}")


def _records(records: Iterable[Issue | Lesson]) -> list[dict[str, Any]]:
    return [record.to_json() for record in records]


def _write(folder: Path, files: dict[str, bytes]) -> None:
    from esaa_git.store.journal import write_atomically

    try:
        for name, data in files.items():
            write_atomically(folder / name, data)
    except OSError as error:
        raise RepositoryError(f"cannot write to '{folder}'", cause=error.strerror) from error


def _roadmap_folder(project: Project, instead: str) -> Path:
    """Return `.roadmap/` of the checkout, which nothing may have replaced by a link elsewhere."""
    workdir = project.repository.workdir
    if workdir is None:
        raise UsageError(f"a bare repository has no '{ROADMAP}' to write to", hint=instead)
    folder = workdir / ROADMAP
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise RepositoryError(
            f"'{ROADMAP}' is in the way: it is not a folder", hint="move it aside, then repeat"
        )
    return folder


# -- export -----------------------------------------------------------------------------------


@click.command(
    epilog="""\b
Example:
  git esaa export
  git esaa export /backup/project
  git esaa export - | jq -r .action | sort | uniq -c
"""
)
@click.argument("target", metavar="[DIR|-]", required=False)
@json_option
@pass_project
def export(project: Project, target: str | None, as_json: bool) -> None:
    """Write activity.jsonl, one event a line, and the contents that the events name.

    The folder is .roadmap/ by default. With '-', the events go to standard output, without the
    contents. activity.objects.pack holds the contracts, the files as effects left them, and the
    recorded exchanges; 'git esaa import' needs it elsewhere.
    """
    from esaa_git.app.import_log import ACTIVITY, OBJECTS, export_events, export_files

    if target == "-":
        if as_json:
            raise click.UsageError("'-' prints the events themselves, so --json has no place")
        export_events(project.repository, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    if target is None:
        folder = _roadmap_folder(project, "name a folder, as in 'git esaa export DIR'")
    else:
        folder = Path(target)
    with progress("exporting", quiet=as_json) as on_progress:
        done = export_files(project.repository, folder, on_progress=on_progress)
    if as_json:
        print_json(
            {
                "events": done.events,
                "blobs": done.blobs,
                "activity": str(folder / ACTIVITY),
                "objects": str(folder / OBJECTS),
            }
        )
        return
    shown = ROADMAP if target is None else target.rstrip("/") or "/"
    click.echo(f"wrote {done.events} events to {shown}/{ACTIVITY}")
    click.echo(f"and {done.blobs} contents that they name to {shown}/{OBJECTS}")


# -- import -----------------------------------------------------------------------------------


@click.command(
    "import",
    epilog="""\b
Example:
  git init copy && cd copy
  git config esaa.signingKey ~/.config/git-esaa/keys/project
  git esaa import ../activity.jsonl --objects ../activity.objects.pack
""",
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

    FILE may also be the folder that 'git esaa export' wrote into.
    """
    import secrets

    from esaa_git.app.import_log import ACTIVITY, OBJECTS, import_log

    if file.is_dir():
        file = file / ACTIVITY
    beside = file.parent / OBJECTS
    if objects is None and beside.is_file():
        objects = beside
    with progress("importing", quiet=as_json) as on_progress:
        done = import_log(
            project.log,
            file,
            token=secrets.token_hex(16),
            objects=objects,
            contract_files=_contract_files(project),
            on_progress=on_progress,
        )
    if as_json:
        print_json(
            {
                "events": done.events,
                "log_id": done.log_id,
                "tip": done.tip,
                "projection_hash_sha256": done.projection_hash,
            }
        )
        return
    click.echo(f"imported {done.events} events into {project.log.ref} (log {done.log_id})")
    click.echo(f"projection_hash_sha256: {done.projection_hash}")


def _contract_files(project: Project) -> dict[str, bytes]:
    from esaa_git.core.contracts import is_contract_file

    workdir = project.repository.workdir
    folder = None if workdir is None else workdir / ROADMAP
    if folder is None or not folder.is_dir():
        return {}
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if is_contract_file(path.name) and path.is_file()
    }
