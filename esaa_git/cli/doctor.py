"""`git esaa doctor` and `maintain`: is everything set up as it should be, and packed?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from esaa_git.app.project import Project
from esaa_git.cli.output import examples, json_option, pass_project, print_json, say, style

if TYPE_CHECKING:
    from esaa_git.app.doctor import Maintained


@click.command(
    epilog="""\b
Examples:
  git esaa doctor
  git esaa doctor --repair
"""
)
@click.option(
    "--repair",
    is_flag=True,
    help="Finish or remove what a process that died has left, and say what was done.",
)
@json_option
@pass_project
def doctor(project: Project, repair: bool, as_json: bool) -> int:
    """Check the repository, the key, the contracts, the agents, the log's ref and its locks.

    The exit code is 1 where there is a problem. Nothing is changed without --repair. With it, an
    unfinished move of the working branch is finished, locks that are provably those of dead
    processes are freed, files that they left are removed, and damaged objects are set aside, so
    that they can be brought again. Any other lock stays: nobody can tell whether its holder lives.
    """
    from esaa_git.app.doctor import examine

    findings = examine(project, repair=repair)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            colour = {"ok": "green", "note": "yellow"}.get(finding.level, "red")
            say(f"{style(f'{finding.level:8}', fg=colour)} {finding.what}")
            if finding.hint:
                say(f"         hint: {finding.hint}")
    return int(any(finding.level == "problem" for finding in findings))


@click.command(epilog=examples("git esaa maintain", "git -C /srv/project.git esaa maintain --json"))
@json_option
@pass_project
def maintain(project: Project, as_json: bool) -> None:
    """Pack the log's objects, and remove what dead processes have left.

    A run does the same by itself every 500 events; a server that takes pushes has it done by
    cron. Safe beside everything else that works in the repository. Says nothing where there is
    nothing to do.
    """
    from esaa_git.app.doctor import maintain as pack

    done = pack(project)
    if done is None:
        if as_json:
            print_json({"status": "busy"})
        else:
            say("another process is packing here already", err=True)
        return
    if as_json:
        status = "done" if done.did_something else "nothing"
        print_json({"status": status, **asdict(done)})
    elif done.did_something:
        _print(done)


def _print(done: Maintained) -> None:
    for line in done.leftovers:
        say(line)
    if done.packed:
        say(f"packed {done.packed:,} objects")
    if done.merged:
        say(f"made one pack of {done.merged}")
    if done.removed:
        say(f"removed {done.removed:,} loose objects that are in a pack")
    before, after = done.before, done.after
    say(
        f"objects take {_size(after.bytes)} ({_size(before.bytes)} before): {after.loose:,} loose, "
        f"{after.packs} {'pack' if after.packs == 1 else 'packs'}"
    )


def _size(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
