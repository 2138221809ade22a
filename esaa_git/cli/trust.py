"""`git esaa trust`: which log this clone believes in, from the first event on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from esaa_git.app.project import Project
from esaa_git.cli.output import json_option, pass_project, print_json
from esaa_git.errors import CorruptedError, MismatchError, RefusedError, RepositoryError, UsageError

if TYPE_CHECKING:
    from esaa_git.store.repository import Repository
    from esaa_git.verify.pins import Pin


@click.group()
def trust() -> None:
    """Pin the log's first commit, which everything else is verified from.

    A clone that sees a log for the first time has to believe the genesis that it finds. Somebody
    who knows the log can tell its id; once it is pinned, no other log passes `git esaa verify`
    here, whoever serves it.
    """


@trust.command(
    "pin",
    epilog="""\b
Example:
  git esaa trust pin 3f2a91c0d1e2f3a4b5c6d7e8f90123456789abcd
""",
)
@click.argument("oid", required=False)
@click.option("--replace", is_flag=True, help="Put it in the place of another pin.")
@pass_project
def pin_(project: Project, oid: str | None, replace: bool) -> None:
    """Pin the genesis OID, or that of the log which is here.

    With OID, the log need not be here yet: 'git esaa verify' then takes no other.
    """
    from esaa_git.verify.pins import Pin, is_oid, read_pin, write_pin

    if oid is not None and not is_oid(oid):
        raise UsageError(
            f"'{oid}' is not the whole id of a commit",
            hint="write all 40 digits: a part of an id can be met by another commit",
        )
    repository = project.repository
    here = None
    try:
        here = _here(repository)
    except CorruptedError:
        # A shallow clone, or worse: what somebody has told can be pinned all the same.
        if oid is None:
            raise
    if here is not None and oid not in (None, here.genesis):
        raise MismatchError(
            f"the log that is here does not begin with {oid}",
            cause=f"it begins with {here.genesis}",
            hint="nothing was pinned; ask where the log comes from, and where the id does",
        )
    if here is None and oid is None:
        raise RepositoryError(
            "there is no event log in this repository yet",
            hint="run 'git esaa trust pin OID' with the id that somebody has told you",
        )
    new = here or Pin(str(oid))
    # A pin that cannot be read is replaced as little as one that says something else.
    old = None if replace else read_pin(repository)
    if old is not None and old.genesis != new.genesis:
        raise RefusedError(
            f"another genesis is pinned: {old.genesis}",
            hint=f"run 'git esaa trust pin --replace {new.genesis}' if that is what you want",
        )
    write_pin(repository, new)
    click.echo(f"pinned: genesis {new.genesis}")
    click.echo(f"log id: {new.log_id or 'not known yet, the log is not here'}")
    if oid is None:
        click.echo("note: this is the log that was found here; compare the id with somebody")


@trust.command(
    "show",
    epilog="""\b
Example:
  git esaa trust show --json
""",
)
@json_option
@pass_project
def show(project: Project, as_json: bool) -> None:
    """Show what is pinned, and how far the log was verified here."""
    from esaa_git.verify.pins import mark_path, read_mark, read_pin

    repository = project.repository
    pin, mark = read_pin(repository), read_mark(mark_path(repository))
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
        click.echo("pinned: nothing; the first verification trusts the genesis that it finds")
    else:
        click.echo(f"pinned: genesis {pin.genesis}")
        click.echo(f"log id: {pin.log_id or 'not known yet'}")
    if mark is None:
        click.echo("verified: nothing")
        return
    click.echo(f"verified: {mark.seq} events, to {mark.tip}")
    if mark.genesis is not None:
        click.echo(f"from genesis: {mark.genesis}")
    else:
        click.echo(f"from a shallow boundary: {mark.boundary}")


def _here(repository: Repository) -> Pin | None:
    """Return the anchor of the log that is here, or None where there is no log.

    Raises:
        CorruptedError: if it cannot be read to its genesis, as in a shallow clone.
    """
    from esaa_git.store.log import read_event_commit
    from esaa_git.store.position import walk_back
    from esaa_git.verify.pins import Pin

    current = repository.ref_target(repository.events_ref)
    if current is None:
        return None
    for oid in walk_back(repository, current):
        current = oid
    found = read_event_commit(repository.read, current)
    return Pin(current, found.trailers.get("ESAA-Log"))
