"""`git esaa key`: whose key may sign, since when, and how that changes."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esaa_git.app.project import Project, has_log
from esaa_git.app.roadmap import ROADMAP, check_usable, read_contracts
from esaa_git.cli.output import as_option, json_option, pass_project, print_json, print_table
from esaa_git.errors import (
    ConflictError,
    EsaaError,
    KeyUnavailable,
    RefusedError,
    RepositoryError,
    UsageError,
)

if TYPE_CHECKING:
    from esaa_git.core.contracts import Contracts
    from esaa_git.trust.keyring import Keyring, ListedKey
    from esaa_git.trust.publickey import PublicKey
    from esaa_git.trust.signer import KeySpec, Signer
    from esaa_git.verify.keyhistory import Span

ROLES = ("orchestrator", "approver", "admin")
SETTINGS = {
    "esaa.signingKey": "esaa.keyFormat",
    "esaa.nextSigningKey": "esaa.nextKeyFormat",
    "esaa.approverKey": None,
}


@click.group()
def key() -> None:
    """List, make, trust, revoke and rotate the keys that sign events."""


# ---- list -----------------------------------------------------------------------------------


@key.command(
    "list",
    epilog="""\b
Example:
  git esaa key list
  git esaa key list --json
""",
)
@json_option
@click.option("--branch", metavar="BRANCH", help="Branch with the contracts of a bare repository.")
@pass_project
def list_(project: Project, as_json: bool, branch: str | None) -> None:
    """List every key: what it may sign and since when, and what will change.

    A key in the log may sign by its place there: from one event to another, whatever date a
    commit carries. What stands only in .roadmap/ takes effect with the next run.init.
    """
    rows = _rows(project, branch)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("key", "type", "roles", "may sign", "state", "comment", "here"),
        (
            (
                row["fingerprint"],
                row["type"],
                ",".join(row["principals"]) or "-",
                _said(row["signs"]),
                row["state"],
                row["comment"] or "-",
                ",".join(row["configured"]) or "-",
            )
            for row in rows
        ),
    )


def _rows(project: Project, branch: str | None) -> list[dict[str, Any]]:
    from esaa_git.trust.keyring import Keyring
    from esaa_git.verify.keyhistory import pinned_keyrings, spans

    pinned = pinned_keyrings(project.repository) if has_log(project) else []
    in_force = pinned[-1][1] if pinned else Keyring(b"")
    disk = _on_disk(project, branch) or Keyring(b"")
    earlier = spans(pinned)
    here, unknown = _configured(project)
    listed: dict[str, list[ListedKey]] = {}
    for keyring in (disk, *(one for _, one in pinned)):
        listed |= {one.fingerprint: keyring.listed(one.fingerprint) for one in keyring.keys}
    rows = []
    for fingerprint in dict.fromkeys([*listed, *here]):
        entry: dict[str, Any]
        if fingerprint in listed:
            lines = listed[fingerprint]
            entry = {
                "type": lines[0].key_type,
                "principals": sorted({name for one in lines for name in one.principals}),
                "comment": lines[0].comment,
                "valid_after": lines[0].valid_after,
                "valid_before": lines[0].valid_before,
            }
        else:
            only = unknown[fingerprint]
            entry = {"type": only.key_type, "principals": [], "comment": only.comment}
            entry |= {"valid_after": None, "valid_before": None}
        log_roles, disk_roles = in_force.roles_of(fingerprint), disk.roles_of(fingerprint)
        if log_roles == disk_roles and in_force.listed(fingerprint):
            # Another spelling of the same roles, or a limit in time, is a difference too.
            state = "in force" if _same(in_force, disk, fingerprint) else "pending: changes"
        else:
            state = _state(
                bool(in_force.listed(fingerprint)),
                bool(disk.listed(fingerprint)),
                earlier.get(fingerprint, []),
            )
        rows.append(
            {
                "fingerprint": fingerprint,
                **entry,
                "roles": sorted(log_roles),
                "roles_on_disk": sorted(disk_roles),
                "state": state,
                "signs": [_span(one) for one in earlier.get(fingerprint, [])],
                "configured": here.get(fingerprint, []),
            }
        )
    return rows


def _same(one: Keyring, other: Keyring, fingerprint: str) -> bool:
    def said(keyring: Keyring) -> set[tuple[object, ...]]:
        return {
            (key.principals, key.valid_after, key.valid_before)
            for key in keyring.listed(fingerprint)
        }

    return said(one) == said(other)


def _state(in_log: bool, on_disk: bool, signed: list[Span]) -> str:
    if in_log and on_disk:
        return "pending: changes"
    if in_log:
        return "pending: goes"
    if on_disk:
        return "pending: comes"
    return "revoked" if signed else "not trusted"


def _span(span: Span) -> dict[str, Any]:
    from esaa_git.core.event import event_id

    return {
        "from": event_id(span.first),
        "to": None if span.last is None else event_id(span.last),
        "roles": sorted(span.roles),
    }


def _said(signs: list[dict[str, Any]]) -> str:
    parts = [
        f"{one['from']} to {one['to']}" if one["to"] else f"from {one['from']}" for one in signs
    ]
    return ", ".join(parts) or "nothing yet"


def _configured(project: Project) -> tuple[dict[str, list[str]], dict[str, PublicKey]]:
    """Return which settings name which key here, and those keys; one that is missing is noted."""
    from esaa_git.app.signing import configured
    from esaa_git.trust.publickey import public_half

    named: dict[str, list[str]] = {}
    keys: dict[str, PublicKey] = {}
    for name, style in SETTINGS.items():
        try:
            spec = configured(project.repository, name, style)
            if spec is None:
                continue
            public = public_half(spec)
        except EsaaError as error:
            project.note(f"note: the key that {name} names cannot be told: {error.message}")
            continue
        named.setdefault(public.fingerprint, []).append(name)
        keys[public.fingerprint] = public
    return named, keys


def _on_disk(project: Project, branch: str | None = None) -> Keyring | None:
    from esaa_git.trust.keyring import Keyring

    try:
        contracts = read_contracts(project.repository, branch)
    except RepositoryError:
        return None
    return Keyring.of(contracts) if "allowed_signers" in contracts.files else None


# ---- create ---------------------------------------------------------------------------------


@key.command(
    "create",
    epilog="""\b
Example:
  git esaa key create --role approver
  git esaa key create --role admin --out ~/keys/admin --comment "alice, admin"
""",
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
    from esaa_git.app.keys import key_folder
    from esaa_git.trust.keys import create_key

    label = "-".join(dict.fromkeys(roles)) or "key"
    place = Path(out).absolute() if out else key_folder() / f"{label}-{secrets.token_hex(4)}"
    said = comment if comment is not None else f"{_person(project)} {label}"
    public = create_key(place, comment=said)
    if as_json:
        print_json({"path": str(place), "public_key": public, "comment": said})
        return
    click.echo(public)
    wanted = "".join(f" --role {role}" for role in dict.fromkeys(roles)) or " --role ROLE"
    project.note(f"made '{place}' (its private half: keep a copy of it safe)")
    project.note(f"next: have somebody who may run 'git esaa key trust {place}.pub{wanted}'")


def _person(project: Project) -> str:
    try:
        return project.repository.person()
    except EsaaError:
        return "git-esaa"


# ---- trust and revoke -----------------------------------------------------------------------


@key.command(
    "trust",
    epilog="""\b
Example:
  git esaa key trust alice.pub --role approver
  git esaa key trust "ssh-ed25519 AAAAC3Nz... alice" --role admin --role approver
""",
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
@pass_project
def trust(project: Project, given: str, roles: tuple[str, ...]) -> None:
    """Write a key into .roadmap/, to be trusted from the next run.init on.

    KEY is a .pub file, a public key line in quotes, or the fingerprint of an OpenPGP key.
    """
    from esaa_git.trust.publickey import read_public_key

    folder, before = _editable(project)
    public = read_public_key(given, project.repository.setting("gpg.program") or "gpg")
    after = before.trust(public, roles)
    named = ", ".join(sorted(after.roles_of(public.fingerprint)))
    if after is before:
        click.echo(f"{public.fingerprint} has the roles already: {named}")
    else:
        _write(folder, before, after)
        click.echo(f"{public.fingerprint} gets the roles: {named}")
    _say_how(project, after)


@key.command(
    "revoke",
    epilog="""\b
Example:
  git esaa key revoke SHA256:uNiVztksCsDhcc0u9e8BrZJNWd5oPh1XmfaNUfbLC3s
  git esaa key revoke "alice@example.com approver"
""",
)
@click.argument("given", metavar="KEY")
@pass_project
def revoke(project: Project, given: str) -> None:
    """Take a key out of .roadmap/: from the next run.init on it signs nothing.

    KEY is a fingerprint, a comment, or the path of the key. What it has signed stays valid.
    """
    folder, before = _editable(project)
    fingerprint = before.find(given)
    after = before.revoke(fingerprint)
    _write(folder, before, after)
    click.echo(f"{fingerprint} is taken out")
    if fingerprint in _configured(project)[0]:
        project.note(
            "note: this key is configured here; 'git esaa key rotate' would have replaced it"
        )
    _say_how(project, after)


def _editable(project: Project) -> tuple[Path, Keyring]:
    from esaa_git.app.keys import read_keyring

    workdir = project.repository.workdir
    if workdir is None:
        raise RepositoryError(
            f"a bare repository has no checkout with a '{ROADMAP}' to edit",
            hint="do it in a clone, and push the branch",
        )
    keyring = read_keyring(workdir / ROADMAP)
    if keyring is None:
        raise RepositoryError(
            f"there is no '{ROADMAP}/allowed_signers' here", hint="run 'git esaa init' to write one"
        )
    return workdir / ROADMAP, keyring


def _write(folder: Path, before: Keyring, after: Keyring) -> None:
    from esaa_git.app.keys import write_keyring

    for name in write_keyring(folder, before, after):
        click.echo(f"changed {ROADMAP}/{name}")


def _say_how(project: Project, after: Keyring) -> None:
    """Tell how, and by whom, an edit of the keys takes effect."""
    if not has_log(project):
        click.echo("it takes effect when the log begins; commit it")
        return
    state, contracts = project.log.load()
    if contracts.pins == after.into(contracts).pins:
        click.echo("it is what is in force")
        return
    restart = " --restart" if state.run.is_open else ""
    click.echo(
        "it takes effect with the next run.init, which an admin signs: commit it, then "
        f"'git esaa plan apply{restart}'{_as_admin(project, contracts)}"
    )


def _as_admin(project: Project, contracts: Contracts) -> str:
    """Return what to add to a command where the key configured here is no admin's."""
    from esaa_git.trust.keyring import Keyring

    keyring = Keyring.of(contracts)
    if any("admin" in keyring.roles_of(fingerprint) for fingerprint in _configured(project)[0]):
        return ""
    return f" with --sign-with KEY, KEY being one of: {_admins(keyring)}"


def _admins(keyring: Keyring) -> str:
    found = {one.fingerprint: one.comment for one in keyring.keys if "admin" in one.roles}
    return ", ".join(f"{one} ({said})" if said else one for one, said in found.items())


# ---- rotate ---------------------------------------------------------------------------------


@key.command(
    "rotate",
    epilog="""\b
Example:
  git esaa key rotate
  git esaa key rotate --restart --sign-with ~/.ssh/id_ed25519.pub
""",
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
    from esaa_git.app.signing import finish_rotation, set_next
    from esaa_git.trust.keyring import Keyring

    if finish_rotation(project.repository):
        click.echo("the new key is in force, and signs here from now on")
        return
    by = project.actor(actor)
    folder, disk = _editable(project)
    old = project.log.signer
    loaded = project.log.load() if has_log(project) else None
    keyring = disk if loaded is None else Keyring.of(loaded[1])
    if "orchestrator" not in keyring.roles_of(old.fingerprint):
        raise KeyUnavailable(
            f"the key configured here is not in force: {old.fingerprint}",
            hint="run 'git esaa key list', and 'git config esaa.signingKey PATH' for one that is",
        )
    if loaded is not None and loaded[0].run.is_open and not restart:
        raise ConflictError(
            f"{loaded[0].run.run_id} is open, and its contracts stay until it ends",
            hint="add --restart to halt it and start the next one, or wait until it has ended",
        )
    # Whatever can be refused is refused before anything is changed.
    spec, fresh = _new_key(project, new, old)
    after, pinned = disk, None
    try:
        after = disk.replace(old.fingerprint, fresh)
        if not after.listed(fresh.fingerprint):
            after = after.trust(fresh, keyring.roles_of(old.fingerprint))
        if loaded is not None:
            pinned = keyring.replace(old.fingerprint, fresh).into(loaded[1])
            check_usable(pinned)
        recorder = None if pinned is None else _recorder(project, pinned, sign_with)
    except EsaaError:
        if new is None and project.repository.setting("esaa.nextSigningKey") is None:
            _discard(spec)
        raise
    set_next(project.repository, spec)
    _write(folder, disk, after)
    if pinned is None:
        finish_rotation(project.repository)
        click.echo(f"{fresh.fingerprint} signs here from now on; commit the change")
        return
    if recorder is None:
        assert loaded is not None
        click.echo(
            f"{fresh.fingerprint} will follow {old.fingerprint} once an admin has recorded it:\n"
            f"  git esaa key rotate{' --restart' if restart else ''} --sign-with KEY\n"
            f"KEY being one of: {_admins(Keyring.of(loaded[1]))}\n"
            "until then the present key signs"
        )
        return
    _record(recorder, pinned, by, old.fingerprint)
    finish_rotation(project.repository)
    click.echo(f"{fresh.fingerprint} signs here from now on; {old.fingerprint} signs nothing more")
    click.echo(f"commit {ROADMAP}, so that the next run keeps it")


def _new_key(project: Project, new: str | None, old: Signer) -> tuple[KeySpec, PublicKey]:
    """Return the key that follows, which has to be able to sign: given, begun before, or made."""
    from esaa_git.app.keys import key_folder
    from esaa_git.app.signing import NEXT_FORMAT, NEXT_KEY, configured
    from esaa_git.trust.keys import create_key, load_signer
    from esaa_git.trust.publickey import key_spec
    from esaa_git.trust.publickey import public_half as public_half_of
    from esaa_git.trust.signer import KeySpec

    program = project.repository.setting("gpg.program") or "gpg"
    begun = configured(project.repository, NEXT_KEY, NEXT_FORMAT)
    spec = begun if new is None else key_spec(new, program)
    if begun is not None and spec is not None and spec != begun:
        raise UsageError(
            f"a rotation to '{begun.key}' has begun already",
            hint="run 'git esaa key rotate' to finish it, or 'git config --unset "
            f"{NEXT_KEY}' to forget it",
        )
    if spec is None:
        name = re.sub("[^A-Za-z0-9._-]", "-", f"orchestrator-{secrets.token_hex(4)}")
        spec = KeySpec("ssh", str(key_folder() / name))
        create_key(Path(spec.key), comment=f"{_person(project)} orchestrator")
    signer = load_signer(spec)
    if signer.fingerprint == old.fingerprint:
        raise UsageError(
            "that is the key that is configured here already", hint="name another one with --new"
        )
    # Of a private key file without a .pub beside it, nothing but the key itself is known.
    return spec, public_half_of(spec)


def _discard(spec: KeySpec) -> None:
    """Remove a key that was made a moment ago and that nobody will ever use."""
    for place in (Path(spec.key), Path(f"{spec.key}.pub")):
        place.unlink(missing_ok=True)


def _recorder(project: Project, pinned: Contracts, sign_with: str | None) -> Project | None:
    """Return what records the change, or None where only somebody else can.

    Raises:
        RefusedError: if the key that was named for it is no admin's.
    """
    recorder = project.beside(project.repository.workdir or project.repository.git_dir)
    recorder.sign_with = sign_with
    try:
        recorder.log.check_may_pin(pinned)
    except RefusedError:
        if sign_with is not None:
            raise
        return None
    return recorder


def _record(project: Project, pinned: Contracts, by: str, old: str) -> None:
    """Pin the contracts in force with the new key in the place of the old one, and nothing else."""
    from esaa_git.core.plan import Plan
    from esaa_git.engine import run as runs

    state, _ = project.log.load()
    if state.run.is_open:
        runs.stop(project.engine, f"the key {old} is replaced", by)
    plan = Plan(state.project.name, ())
    runs.apply(project.engine, plan, pinned, branch=None, by=by)
