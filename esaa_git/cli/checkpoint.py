"""`git esaa checkpoint`: what the log is now, signed, to be kept where nobody can roll it back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esaa_git.app.project import Project
from esaa_git.cli.output import json_option, pass_project, print_json
from esaa_git.errors import CorruptedError, MismatchError

if TYPE_CHECKING:
    from esaa_git.trust.signer import Signer
    from esaa_git.verify.audit import Report
    from esaa_git.verify.checkpoint import Checkpoint

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
    epilog="""\b
Example:
  git esaa checkpoint create
  git esaa checkpoint create --output checkpoint.json
""",
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
def create(project: Project, output: Path | None, key: Path | None, as_json: bool) -> int:
    """Verify the log, and sign what it is at its last event with the orchestrator's key."""
    from esaa_git.cli.verify import audited, exit_code
    from esaa_git.store.log import read_event_commit
    from esaa_git.verify import checkpoint as checkpoints

    signer = _signer(project, key)
    report = audited(project, quiet=as_json)
    if not report.audit.is_ok:
        raise _unsound(report, exit_code(report))
    assert report.tip is not None
    assert report.log_id is not None
    event = read_event_commit(project.repository.read, report.tip).event
    made = checkpoints.Checkpoint(
        report.log_id,
        event.seq,
        report.tip,
        event.sha256,
        str(report.audit.projection_hash),
        event.ts,
    )
    whole = checkpoints.publish(project.repository, checkpoints.sign(made, signer))
    place = output or project.repository.esaa_dir / "checkpoints" / f"{event.seq}.json"
    _write(place, whole)
    if as_json:
        print_json({**_as_json(whole), "file": str(place), "ref": whole.ref})
    else:
        _print(whole)
        click.echo(f"written to '{place}' and {whole.ref}")
    return 0


@checkpoint.command(
    "sign",
    epilog="""\b
Example:
  git esaa checkpoint sign checkpoint.json --key ~/.ssh/id_ed25519
""",
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
) -> int:
    """Verify the log of this repository against the checkpoint FILE, and add a signature to it.

    Nothing is signed that the log here does not hold. Without --key, the orchestrator's key signs.
    """
    from esaa_git.cli.verify import audited, cosigners, exit_code, load_checkpoint
    from esaa_git.verify import checkpoint as checkpoints
    from esaa_git.verify.pins import Expected

    found = load_checkpoint(file.read_bytes(), str(file))
    signer = _signer(project, key)
    trusted = None if cosigner is None else cosigners(cosigner)
    report = audited(project, expected=Expected(checkpoint=found, cosigners=trusted), quiet=as_json)
    if not report.audit.is_ok:
        raise _unsound(report, exit_code(report))
    whole = checkpoints.publish(project.repository, checkpoints.sign(found, signer))
    _write(file, whole)
    if as_json:
        print_json({**_as_json(whole), "file": str(file), "ref": whole.ref})
    else:
        _print(whole)
        click.echo(f"written to '{file}' and {whole.ref}")
    return 0


@checkpoint.command(
    "show",
    epilog="""\b
Example:
  git esaa checkpoint show checkpoint.json
  git show refs/esaa/checkpoints/42:checkpoint.json | git esaa checkpoint show -
""",
)
@click.argument("file", type=click.File("rb"))
@json_option
def show(file: Any, as_json: bool) -> int:
    """Show what a checkpoint says and who signed it; '-' reads standard input.

    Signatures are verified; whether the log is so, 'git esaa verify --checkpoint FILE' tells.
    """
    from esaa_git.cli.verify import load_checkpoint, name_of
    from esaa_git.trust.sshsig import BadSignature
    from esaa_git.verify.checkpoint import signed_by

    name = name_of(file)
    found = load_checkpoint(file.read(), name)
    try:
        signed_by(found)
    except BadSignature as error:
        raise MismatchError(
            f"a signature of '{name}' does not hold",
            cause=str(error),
            hint="do not rely on it; ask for another copy",
        ) from error
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found)
    return 0


def _signer(project: Project, key: Path | None) -> Signer:
    from esaa_git.trust.keys import load_signer
    from esaa_git.trust.signer import KeySpec

    return project.log.signer if key is None else load_signer(KeySpec("ssh", str(key)))


def _unsound(report: Report, code: int) -> MismatchError | CorruptedError:
    kind = MismatchError if code == MismatchError.exit_code else CorruptedError
    return kind(
        "nothing was signed: the log here does not verify",
        cause=f"check {report.audit.check}, {report.audit.message}",
        hint=report.hint or "run 'git esaa verify' for the whole of it",
    )


def _write(place: Path, checkpoint: Checkpoint) -> None:
    from esaa_git.store.journal import write_atomically
    from esaa_git.verify.checkpoint import encode

    write_atomically(place, encode(checkpoint))


def _print(found: Checkpoint) -> None:
    click.echo(f"checkpoint of event {found.seq} ({found.ts}) of log {found.log_id}")
    click.echo(f"commit: {found.tip}")
    click.echo(f"event_sha256: {found.event_sha256}")
    click.echo(f"projection_hash_sha256: {found.projection_hash_sha256}")
    for one in found.signatures:
        click.echo(f"signed by: {one.fingerprint}")


def _as_json(found: Checkpoint) -> dict[str, Any]:
    return {
        "checkpoint": found.fields,
        "signed_by": [one.fingerprint for one in found.signatures],
    }
