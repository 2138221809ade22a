"""`git esaa maintain`: packs what the log has grown by, by hand and for cron."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from esaa_git.app.project import Project
from esaa_git.cli.output import json_option, pass_project, print_json

if TYPE_CHECKING:
    from esaa_git.store.maintenance import Maintained


@click.command(
    epilog="""\b
Example:
  git esaa maintain
  git -C /srv/project.git esaa maintain --json
"""
)
@json_option
@pass_project
def maintain(project: Project, as_json: bool) -> None:
    """Pack the log's objects, and remove what dead processes have left.

    A run does the same by itself every 500 events; a server that takes pushes has it done by
    cron. Safe beside everything else that works in the repository. Says nothing where there is
    nothing to do.
    """
    from esaa_git.store.maintenance import maintain as do

    done = do(project.repository)
    if done is None:
        if as_json:
            print_json({"status": "busy"})
        else:
            click.echo("another process is packing here already", err=True)
        return
    if as_json:
        status = "done" if done.did_something else "nothing"
        print_json({"status": status, **asdict(done)})
    elif done.did_something:
        _print(done)


def _print(done: Maintained) -> None:
    for line in done.leftovers:
        click.echo(line)
    if done.packed:
        click.echo(f"packed {done.packed:,} objects")
    if done.merged:
        click.echo(f"made one pack of {done.merged}")
    if done.removed:
        click.echo(f"removed {done.removed:,} loose objects that are in a pack")
    before, after = done.before, done.after
    click.echo(
        f"objects take {_size(after.bytes)} ({_size(before.bytes)} before): {after.loose:,} loose, "
        f"{after.packs} {'pack' if after.packs == 1 else 'packs'}"
    )


def _size(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
