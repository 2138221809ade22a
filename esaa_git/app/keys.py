"""Whose key may sign and since when: the keys that there are, new ones, and edits of who may."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from esaa_git.app.project import Project, has_log
from esaa_git.app.roadmap import (
    ROADMAP,
    read_contracts,
    read_keyring,
    way_to,
    write_keyring,
)
from esaa_git.core.events.spec import PEOPLE, SERVICES, is_person
from esaa_git.errors import EsaaError, RepositoryError, UsageError

if TYPE_CHECKING:
    from esaa_git.core.contracts import Contracts
    from esaa_git.trust.keyring import Keyring, ListedKey
    from esaa_git.trust.publickey import PublicKey
    from esaa_git.verification.keyhistory import Span

SETTINGS: Final = {
    "esaa.signingKey": "esaa.keyFormat",
    "esaa.nextSigningKey": "esaa.nextKeyFormat",
    "esaa.approverKey": None,
}
"""The settings that name a key, and the one that tells its format."""


# -- list -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """One key: what it may sign and since when, and what will change.

    Attributes:
        roles: in the contracts that are in force; `roles_on_disk` in those of `.roadmap/`.
        state: `in force`, `pending: comes`, `pending: goes`, `pending: changes`, `revoked`, or
            `not trusted`.
        signs: the events that it may sign.
        configured: the settings here that name it.
        path: what a setting has to say to sign with it: a path as a rule. None where its private
            half was not found, among the settings and in the folder where 'key create' puts it.
    """

    fingerprint: str
    key_type: str
    principals: tuple[str, ...]
    comment: str
    valid_after: str | None
    valid_before: str | None
    roles: tuple[str, ...]
    roles_on_disk: tuple[str, ...]
    state: str
    signs: tuple[Span, ...]
    configured: tuple[str, ...]
    path: str | None = None


def list_keys(project: Project, branch: str | None = None) -> list[KeyStatus]:
    """Return every key that the log, `.roadmap/` or a setting here names.

    Args:
        branch: where a bare repository has its contracts.
    """
    from esaa_git.trust.keyring import Keyring
    from esaa_git.verification.keyhistory import pinned_keyrings, spans

    pinned = pinned_keyrings(project.repository) if has_log(project) else []
    in_force = pinned[-1][1] if pinned else Keyring(b"")
    disk = _on_disk(project, branch) or Keyring(b"")
    earlier = spans(pinned)
    here, unknown, places = _configured(project)
    places = {**_made_here(), **places}
    listed: dict[str, list[ListedKey]] = {}
    for keyring in (disk, *(one for _, one in pinned)):
        listed |= {one.fingerprint: keyring.listed(one.fingerprint) for one in keyring.keys}
    found = []
    for fingerprint in dict.fromkeys([*listed, *here]):
        lines = listed.get(fingerprint)
        first = lines[0] if lines else None
        about = first or unknown[fingerprint]
        log_roles, disk_roles = in_force.roles_of(fingerprint), disk.roles_of(fingerprint)
        signs = tuple(earlier.get(fingerprint, ()))
        if log_roles == disk_roles and in_force.listed(fingerprint):
            # Another spelling of the same roles, or a limit in time, is a difference too.
            state = "in force" if _same(in_force, disk, fingerprint) else "pending: changes"
        else:
            state = _state(
                bool(in_force.listed(fingerprint)), bool(disk.listed(fingerprint)), bool(signs)
            )
        found.append(
            KeyStatus(
                fingerprint=fingerprint,
                key_type=about.key_type,
                principals=tuple(sorted({name for one in lines or () for name in one.principals})),
                comment=about.comment,
                valid_after=None if first is None else first.valid_after,
                valid_before=None if first is None else first.valid_before,
                roles=tuple(sorted(log_roles)),
                roles_on_disk=tuple(sorted(disk_roles)),
                state=state,
                signs=signs,
                configured=tuple(here.get(fingerprint, ())),
                path=places.get(fingerprint),
            )
        )
    return found


def _same(one: Keyring, other: Keyring, fingerprint: str) -> bool:
    def said(keyring: Keyring) -> set[tuple[object, ...]]:
        return {
            (key.principals, key.valid_after, key.valid_before)
            for key in keyring.listed(fingerprint)
        }

    return said(one) == said(other)


def _state(in_log: bool, on_disk: bool, signed: bool) -> str:
    if in_log and on_disk:
        return "pending: changes"
    if in_log:
        return "pending: goes"
    if on_disk:
        return "pending: comes"
    return "revoked" if signed else "not trusted"


def _made_here() -> dict[str, str]:
    """Return where the keys lie that this user had made, by fingerprint."""
    from esaa_git.app.signing import key_folder
    from esaa_git.trust.publickey import read_public_key

    found = {}
    for public in sorted(key_folder().glob("*.pub")):
        private = public.with_suffix("")
        try:
            if private.is_file():
                found[read_public_key(str(public)).fingerprint] = str(private)
        except (EsaaError, OSError):
            continue  # another file of the user's
    return found


def _configured(
    project: Project,
) -> tuple[dict[str, list[str]], dict[str, PublicKey], dict[str, str]]:
    """Return which settings name which key here, those keys, and what the settings say.

    One that is missing is noted.
    """
    from esaa_git.app.signing import configured
    from esaa_git.trust.publickey import public_half

    named: dict[str, list[str]] = {}
    keys: dict[str, PublicKey] = {}
    places: dict[str, str] = {}
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
        places[public.fingerprint] = spec.key
    return named, keys, places


def _on_disk(project: Project, branch: str | None = None) -> Keyring | None:
    from esaa_git.trust.keyring import Keyring

    try:
        contracts = read_contracts(project.repository, branch)
    except RepositoryError:
        return None
    return Keyring.of(contracts) if "allowed_signers" in contracts.files else None


# -- create -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Created:
    """A key that was made: where its private half is, and its public half as a line."""

    path: Path
    public_key: str
    comment: str


def create(
    project: Project,
    roles: Sequence[str] = (),
    *,
    out: Path | None = None,
    comment: str | None = None,
) -> Created:
    """Make an Ed25519 key. Making it gives it no role.

    Args:
        roles: what it will be for: they name the file and the comment.
        out: where its private half goes; beside it, the public one.
    """
    from esaa_git.app.signing import key_folder
    from esaa_git.trust.keys import create_key

    label = "-".join(dict.fromkeys(roles)) or "key"
    place = out.absolute() if out else key_folder() / f"{label}-{secrets.token_hex(4)}"
    said = comment if comment is not None else f"{owner_here(project)} {label}"
    return Created(place, create_key(place, comment=said), said)


def owner_here(project: Project) -> str:
    try:
        return project.repository.person()
    except EsaaError:
        return "git-esaa"


# -- trust and revoke -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Edited:
    """An edit of the files that name the keys.

    `changed` are the names of the files that it wrote, none where it changed nothing; `roles` are
    what the key has by it, `person` whose it is, and `keyring` is what stands there now.
    `also` are other keys of the person that were taken out with it, and `alike` those that stay
    though their comment names that person.
    """

    fingerprint: str
    roles: tuple[str, ...]
    changed: tuple[str, ...]
    keyring: Keyring
    is_configured: bool = False
    person: str | None = None
    also: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Admin:
    """A key that may change the contracts, as people know it."""

    fingerprint: str
    comment: str


@dataclass(frozen=True, slots=True)
class Takes:
    """When an edit of the keys takes effect: `log begins`, `in force`, or `next run`.

    `is_open` says that a run has to end before; `admins` are those who can have it recorded,
    none where a key that is configured here can.
    """

    when: str
    is_open: bool = False
    admins: tuple[Admin, ...] | None = None


def trust(
    project: Project, given: str, roles: Sequence[str], *, person: str | None = None
) -> Edited:
    """Write a key into `.roadmap/`, to be trusted with these roles from the next run.init on.

    Args:
        given: a .pub file, a public key line, or the fingerprint of an OpenPGP key.
        person: whose key it is, an e-mail address; by default whom the key's line names already,
            or the address that its comment begins with, as in the files that `create` writes.

    Raises:
        UsageError: if roles of people and of machines are mixed, or nobody is named.
        ConfigurationError: if it would be open whose key that is.
        RepositoryError: if there is no checkout, or no file to edit in it.
    """
    from esaa_git.trust.publickey import read_public_key
    from esaa_git.trust.roles import check_lines

    checkout, before = editable_keyring(project)
    public = read_public_key(given, project.repository.gpg_program)
    if set(roles) & set(PEOPLE):
        said = public.comment.partition(" ")[0]
        person = person or before.person_of(public.fingerprint)
        person = person or (said if is_person(said) else None)
    _check_owner(roles, person)
    after = before.trust(public, roles, person=person or "")
    check_lines(after.signers)
    changed = () if after is before else tuple(write_keyring(checkout, before, after))
    named = tuple(sorted(after.roles_of(public.fingerprint)))
    return Edited(
        public.fingerprint,
        named,
        changed,
        after,
        person=after.person_of(public.fingerprint),
    )


def _check_owner(roles: Sequence[str], person: str | None) -> None:
    people, services = set(roles) & set(PEOPLE), set(roles) & set(SERVICES)
    if people and services:
        raise UsageError(
            "a key is one person's or a machine's, and these roles are of both",
            cause=f"{', '.join(sorted(services))} is a machine's, {', '.join(sorted(people))} "
            "a person's",
            hint="make another key with 'git esaa key create'",
        )
    if people and (person is None or not is_person(person)):
        raise UsageError(
            f"'{person}' is no e-mail address" if person else "it has to be said whose key it is",
            hint="name the person with --as, as in --as alice@example.com",
        )
    if services and person is not None:
        raise UsageError(
            f"a machine's key stands for nobody, and '{person}' is named", hint="leave out --as"
        )


def revoke(project: Project, given: str) -> Edited:
    """Take a key out of `.roadmap/`: from the next run.init on it signs nothing.

    Args:
        given: a person's e-mail address, for all keys of theirs; or a fingerprint, a comment, or
            the path of one key.

    Raises:
        RepositoryError: if there is no checkout, or no file to edit in it.
        UsageError: if the text means no key, or several.
    """
    checkout, before = editable_keyring(project)
    theirs = before.of_person(given) if is_person(given) else ()
    gone = theirs or (before.find(given),)
    after = before.revoke(*gone)
    changed = tuple(write_keyring(checkout, before, after))
    is_configured = not set(gone).isdisjoint(_configured(project)[0])
    said = given.casefold()
    alike = (key.fingerprint for key in after.keys if said in key.comment.casefold().split())
    return Edited(
        gone[0],
        (),
        changed,
        after,
        is_configured,
        given if theirs else None,
        gone[1:],
        tuple(dict.fromkeys(alike)) if theirs else (),
    )


def takes_effect(project: Project, edited: Edited) -> Takes:
    """Return how, and by whom, an edit of the keys takes effect."""
    if not has_log(project):
        return Takes("log begins")
    state, contracts = project.log.load()
    if contracts.pins == edited.keyring.into(contracts).pins:
        return Takes("in force")
    return Takes("next run", state.run.is_open, admins_needed(project, contracts))


def admins_needed(project: Project, contracts: Contracts) -> tuple[Admin, ...] | None:
    """Return who has to sign, or None where the key configured here is an admin's."""
    from esaa_git.trust.keyring import Keyring

    keyring = Keyring.of(contracts)
    if any("admin" in keyring.roles_of(fingerprint) for fingerprint in _configured(project)[0]):
        return None
    return admins_of(keyring)


def admins_of(keyring: Keyring) -> tuple[Admin, ...]:
    found = {one.fingerprint: one.comment for one in keyring.keys if "admin" in one.roles}
    return tuple(Admin(fingerprint, comment) for fingerprint, comment in found.items())


def editable_keyring(project: Project) -> tuple[Path, Keyring]:
    """Return the checkout, and the keyring in its `.roadmap`, to be edited."""
    workdir = project.repository.workdir
    if workdir is None:
        raise RepositoryError(
            f"a bare repository has no checkout with a '{ROADMAP}' to edit",
            hint="do it in a clone, and push the branch",
        )
    keyring = read_keyring(workdir)
    if keyring is None:
        raise RepositoryError(
            f"there is no '{ROADMAP}/allowed_signers' here", hint=way_to(project.repository)
        )
    return workdir, keyring
