"""`git esaa checkpoint`: what the log is now, signed, to be kept where nobody can roll it back."""

from __future__ import annotations

from pathlib import Path
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
)

if TYPE_CHECKING:
    from esaa_git.app.trust import Checkpoint, Written

key_option = click.option(
    "--key",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Sign with this SSH key.",
)


@click.group()
def checkpoint() -> None:
    """Write down what the log is at its last event, signed.

    Whoever keeps a checkpoint notices when the log is rolled back behind it or forked: 'git esaa
    verify --checkpoint FILE'. It is worth most outside of the repository, signed by a second
    party. 'create' also puts it on refs/esaa/checkpoints/, for a push to carry.
    """


@checkpoint.command(
    "create",
    epilog=examples(
        "git esaa checkpoint create", "git esaa checkpoint create --output checkpoint.json"
    ),
)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write it, instead of .git/esaa/checkpoints/.",
)
@key_option
@json_option
@pass_project
def create(project: Project, output: Path | None, key: Path | None, as_json: bool) -> None:
    """Verify the log, and sign what it is at its last event with the orchestrator's key."""
    from esaa_git.app.trust import create_checkpoint

    with showing_progress(project, "verifying", quiet=as_json):
        made = create_checkpoint(project, output=output, key=key)
    _print_written(made, as_json)


@checkpoint.command(
    "sign", epilog=examples("git esaa checkpoint sign checkpoint.json --key ~/.ssh/id_ed25519")
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@key_option
@click.option(
    "--cosigner",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Believe the signatures of these keys, in the format of allowed_signers.",
)
@json_option
@pass_project
def sign(
    project: Project, file: Path, key: Path | None, cosigner: Path | None, as_json: bool
) -> None:
    """Verify the log of this repository against the checkpoint FILE, and add a signature to it.

    Nothing is signed that the log here does not hold. Without --key, the orchestrator's key signs.
    """
    from esaa_git.app.trust import cosign_checkpoint

    with showing_progress(project, "verifying", quiet=as_json):
        signed = cosign_checkpoint(project, file, key=key, cosigner=cosigner)
    _print_written(signed, as_json)


@checkpoint.command(
    "show",
    epilog=examples(
        "git esaa checkpoint show checkpoint.json",
        "git show refs/esaa/checkpoints/42:checkpoint.json | git esaa checkpoint show -",
    ),
)
@click.argument("file", type=click.File("rb"))
@json_option
def show(file: Any, as_json: bool) -> None:
    """Show what a checkpoint says and who signed it; '-' reads standard input.

    Signatures are verified; whether the log is so, 'git esaa verify --checkpoint FILE' tells.
    """
    from esaa_git.app.trust import read_checkpoint
    from esaa_git.cli.verify import name_of

    found = read_checkpoint(file.read(), name_of(file))
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found)


def _print_written(written: Written, as_json: bool) -> None:
    found = written.checkpoint
    if as_json:
        print_json({**_as_json(found), "file": str(written.file), "ref": written.ref})
        return
    _print(found)
    say(f"written to '{written.file}' and {written.ref}")


def _print(found: Checkpoint) -> None:
    say(f"checkpoint of event {found.seq} ({found.ts}) of log {found.log_id}")
    say(f"commit: {found.tip}")
    say(f"event_sha256: {found.event_sha256}")
    say(f"projection_hash_sha256: {found.projection_hash_sha256}")
    for one in found.signatures:
        say(f"signed by: {one.fingerprint}")


def _as_json(found: Checkpoint) -> dict[str, Any]:
    return {
        "checkpoint": found.fields,
        "signed_by": [one.fingerprint for one in found.signatures],
    }
