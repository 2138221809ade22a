"""`git esaa key`: whose key may sign, since when, and how that changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esaa_git.app.project import Project
from esaa_git.app.roadmap import ROADMAP
from esaa_git.cli.output import (
    as_option,
    examples,
    json_option,
    pass_project,
    print_json,
    print_table,
    say,
)
from esaa_git.core.events.spec import ROLES

if TYPE_CHECKING:
    from esaa_git.app.keys import Admin, Edited, KeyStatus


@click.group()
def key() -> None:
    """List, make, trust, revoke and rotate the keys that sign events."""


# ---- list -----------------------------------------------------------------------------------


@key.command("list", epilog=examples("git esaa key list", "git esaa key list --json"))
@json_option
@click.option("--branch", metavar="BRANCH", help="Branch with the contracts of a bare repository.")
@pass_project
def list_(project: Project, as_json: bool, branch: str | None) -> None:
    """List every key: what it may sign and since when, and what will change.

    A key in the log may sign by its place there: from one event to another, whatever date a
    commit carries. What stands only in .roadmap/ takes effect with the next run.init.
    """
    from esaa_git.app.keys import list_keys

    rows = [_as_json(one) for one in list_keys(project, branch)]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("key", "type", "roles", "may sign", "state", "comment", "here", "path"),
        (
            (
                row["fingerprint"],
                row["type"],
                ",".join(row["principals"]) or "-",
                _said(row["signs"]),
                row["state"],
                row["comment"] or "-",
                ",".join(row["configured"]) or "-",
                row["path"] or "-",
            )
            for row in rows
        ),
    )


def _as_json(one: KeyStatus) -> dict[str, Any]:
    from esaa_git.core.event import event_id

    return {
        "fingerprint": one.fingerprint,
        "type": one.key_type,
        "principals": one.principals,
        "comment": one.comment,
        "valid_after": one.valid_after,
        "valid_before": one.valid_before,
        "roles": one.roles,
        "roles_on_disk": one.roles_on_disk,
        "state": one.state,
        "signs": [
            {
                "from": event_id(span.first),
                "to": None if span.last is None else event_id(span.last),
                "roles": sorted(span.roles),
            }
            for span in one.signs
        ],
        "configured": one.configured,
        "path": one.path,
    }


def _said(signs: list[dict[str, Any]]) -> str:
    parts = [
        f"{one['from']} to {one['to']}" if one["to"] else f"from {one['from']}" for one in signs
    ]
    return ", ".join(parts) or "nothing yet"


# ---- create ---------------------------------------------------------------------------------


@key.command(
    "create",
    epilog=examples(
        "git esaa key create --role approver",
        'git esaa key create --role admin --out ~/keys/admin --comment "alice, admin"',
    ),
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(ROLES),
    help="What the key will be for: it names the file and the comment. May be repeated.",
)
@click.option("--out", metavar="PATH", help="Where its private half goes; PATH.pub is the public.")
@click.option("--comment", metavar="TEXT", help="How people will know the key.")
@json_option
@pass_project
def create(
    project: Project, roles: tuple[str, ...], out: str | None, comment: str | None, as_json: bool
) -> None:
    """Make an Ed25519 key, and print its public half. Nobody trusts it by that."""
    from esaa_git.app.keys import create as make

    made = make(project, roles, out=Path(out) if out else None, comment=comment)
    if as_json:
        print_json({"path": str(made.path), "public_key": made.public_key, "comment": made.comment})
        return
    say(made.public_key)
    wanted = "".join(f" --role {role}" for role in dict.fromkeys(roles)) or " --role ROLE"
    say(f"made '{made.path}' (its private half: keep a copy of it safe)", err=True)
    say(
        f"next: have an admin run 'git esaa key trust {made.path}.pub{wanted}', in their own clone "
        f"with a copy of that file; then {_use(roles, made.path)}",
        err=True,
    )


def _use(roles: Sequence[str], path: Path) -> str:
    """Return in words how a key is put to use once the contracts name it."""
    if "evaluator" in roles:
        return f"sign evaluations with '{path}'"
    setting = "esaa.signingKey" if "orchestrator" in roles else "esaa.approverKey"
    return f"'git config {setting} {path}' here"


# ---- trust and revoke -----------------------------------------------------------------------


@key.command(
    "trust",
    epilog=examples(
        "git esaa key trust alice.pub --role approver --as alice@example.com",
        'git esaa key trust "ssh-ed25519 AAAAC3Nz... ci" --role orchestrator',
    ),
)
@click.argument("given", metavar="KEY")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice(ROLES),
    help="What the key may do; all of it, where the key is listed already. May be repeated.",
)
@click.option(
    "--as",
    "person",
    metavar="EMAIL",
    help="Whose key it is; for contributors, approvers and admins. By default the address that its "
    "comment begins with.",
)
@pass_project
def trust(project: Project, given: str, roles: tuple[str, ...], person: str | None) -> None:
    """Write a key into .roadmap/, to be trusted from the next run.init on.

    KEY is a .pub file, a public key line in quotes, or the fingerprint of an OpenPGP key.
    """
    from esaa_git.app.keys import trust as admit

    edited = admit(project, given, roles, person=person)
    named = ", ".join(edited.roles)
    _print_changed(edited.changed)
    if edited.changed:
        whose = f", as the key of {edited.person}" if edited.person else ""
        say(f"{edited.fingerprint} gets the roles: {named}{whose}")
    else:
        say(f"{edited.fingerprint} has the roles already: {named}")
    _print_when(project, edited)


@key.command(
    "revoke",
    epilog=examples(
        "git esaa key revoke SHA256:uNiVztksCsDhcc0u9e8BrZJNWd5oPh1XmfaNUfbLC3s",
        "git esaa key revoke bob@example.com",
        'git esaa key revoke "ci of the shop"',
    ),
)
@click.argument("given", metavar="KEY")
@pass_project
def revoke(project: Project, given: str) -> None:
    """Take a key out of .roadmap/: from the next run.init on it signs nothing.

    KEY is a person's e-mail address, for every key of theirs; or the fingerprint, the comment or
    the path of one key. What it has signed stays valid.
    """
    from esaa_git.app.keys import revoke as take_out

    edited = take_out(project, given)
    _print_changed(edited.changed)
    for fingerprint in (edited.fingerprint, *edited.also):
        whose = f", a key of {edited.person}," if edited.person else ""
        say(f"{fingerprint}{whose} is taken out")
    for fingerprint in edited.alike:
        say(
            f"note: {fingerprint} stays: its comment names {edited.person}, and its line somebody "
            f"else; 'git esaa key revoke {fingerprint}' takes it out",
            err=True,
        )
    if edited.is_configured:
        say(
            "note: this key is configured here; 'git esaa key rotate' would have replaced it",
            err=True,
        )
    _print_when(project, edited)


def _print_changed(names: Iterable[str]) -> None:
    for name in names:
        say(f"changed {ROADMAP}/{name}")


def _print_when(project: Project, edited: Edited) -> None:
    """Tell how, and by whom, an edit of the keys takes effect."""
    from esaa_git.app.keys import takes_effect

    found = takes_effect(project, edited)
    if found.when == "log begins":
        say("it takes effect when the log begins; commit it")
    elif found.when == "in force":
        say("it is what is in force")
    else:
        restart = " --restart" if found.is_open else ""
        as_admin = ""
        if found.admins is not None:
            as_admin = f" with --sign-with KEY, KEY being one of: {_named(found.admins)}"
        say(
            "it takes effect with the next run.init, which an admin signs: commit it, then "
            f"'git esaa plan apply{restart}'{as_admin}"
        )


def _named(admins: Iterable[Admin]) -> str:
    return ", ".join(
        f"{one.fingerprint} ({one.comment})" if one.comment else one.fingerprint for one in admins
    )


# ---- rotate ---------------------------------------------------------------------------------


@key.command(
    "rotate",
    epilog=examples(
        "git esaa key rotate", "git esaa key rotate --restart --sign-with ~/.ssh/id_ed25519.pub"
    ),
)
@click.option(
    "--new",
    metavar="KEY",
    help="The key that follows: a private key file, the .pub file of a key in ssh-agent, or an "
    "OpenPGP fingerprint. By default one is made.",
)
@click.option("--restart", is_flag=True, help="Halt the open run, and start the next one.")
@click.option(
    "--sign-with",
    metavar="KEY",
    help="The key of the admin who records it, where the one configured here is no admin's.",
)
@as_option
@pass_project
def rotate(
    project: Project, new: str | None, restart: bool, sign_with: str | None, actor: str | None
) -> None:
    """Replace the key configured here by a new one with the same roles.

    The change is recorded at once, by a run.init that the old key signs as its last event, or an
    admin's. Nothing else of .roadmap/ takes effect with it. Where it was interrupted, the same
    command goes on.
    """
    from esaa_git.app.rotation import begin_rotation, complete_rotation

    begun = begin_rotation(project, new=new, restart=restart, sign_with=sign_with, actor=actor)
    if begun is None:
        say("the new key is in force, and signs here from now on")
        return
    _print_changed(begun.changed)
    if not complete_rotation(project, begun):
        say(
            f"{begun.new} will follow {begun.old} once an admin has recorded it:\n"
            f"  git esaa key rotate{' --restart' if restart else ''} --sign-with KEY\n"
            f"KEY being one of: {_named(begun.admins)}\n"
            "until then the present key signs"
        )
    elif begun.pinned is None:
        say(f"{begun.new} signs here from now on; commit the change")
    else:
        say(f"{begun.new} signs here from now on; {begun.old} signs nothing more")
        say(f"commit {ROADMAP}, so that the next run keeps it")
