"""Which key signs here, and the one that follows it in a rotation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from esaa_git.app.roadmap import read_contracts, read_keyring
from esaa_git.core.events.spec import ADMIN
from esaa_git.errors import (
    ConfigurationError,
    EsaaError,
    KeyUnavailable,
    NotAKey,
    RepositoryError,
    UsageError,
)
from esaa_git.folders import config_folder
from esaa_git.store.repository import Repository
from esaa_git.trust.keyring import Keyring
from esaa_git.trust.keys import SIGNERS, load_signer
from esaa_git.trust.publickey import key_spec, public_half
from esaa_git.trust.signer import KeySpec, Signer, new_key
from esaa_git.verification.keyhistory import keyring_in_force

NEXT_KEY: Final = "esaa.nextSigningKey"
NEXT_FORMAT: Final = "esaa.nextKeyFormat"


def key_folder() -> Path:
    """Return where keys are made: the user's own configuration, and no repository.

    Raises:
        ConfigurationError: if this user has none.
    """
    folder = config_folder()
    if folder is None:
        raise ConfigurationError(
            "there is no folder of yours to keep a key in",
            hint="set HOME, or XDG_CONFIG_HOME, or name a key that you have: --key PATH",
        )
    return folder / "keys"


def configured(repository: Repository, name: str, format_name: str | None) -> KeySpec | None:
    """Return the key that a setting names; the format is told from the text, or by a setting."""
    key = repository.setting(name)
    if key is None:
        return None
    program = repository.gpg_program
    if format_name is None:
        return key_spec(key, program)
    style = repository.setting(format_name) or "ssh"
    if SIGNERS.find(style) is None:
        cause, hint = SIGNERS.how_to_get(None)
        raise UsageError(
            f"{format_name} is '{style}'",
            cause=cause,
            hint=f"set it to 'ssh' or to 'openpgp', or {hint}",
        )
    return KeySpec(style, key, program)


def set_next(repository: Repository, spec: KeySpec) -> None:
    """Note the key that will sign here as soon as it is trusted."""
    repository.set_local(NEXT_FORMAT, spec.format)
    repository.set_local(NEXT_KEY, spec.key)


def finish_rotation(repository: Repository) -> bool:
    """Make the next key the one that signs, if the keyring that counts lets it; say whether.

    The log is the commit point of a rotation, so the settings follow it: what a process that died
    in between has left is finished by the next command. Without a log, the file in the checkout is
    what counts.
    """
    spec = configured(repository, NEXT_KEY, NEXT_FORMAT)
    if spec is None:
        return False
    keyring = keyring_in_force(repository)
    if keyring is None and repository.workdir is not None:
        keyring = read_keyring(repository.workdir)
    fingerprint = public_half(spec).fingerprint
    if keyring is None or "orchestrator" not in keyring.roles_of(fingerprint):
        return False
    repository.set_local("esaa.keyFormat", spec.format)
    repository.set_local("esaa.signingKey", spec.key)
    repository.unset_local(NEXT_KEY)
    repository.unset_local(NEXT_FORMAT)
    return True


def orchestrator(repository: Repository, note: Callable[[str], None]) -> Signer:
    """Return what signs here for the orchestrator, after a rotation that came into force.

    Args:
        note: is told that the next key signs from now on.

    Raises:
        KeyUnavailable: if none is configured, or it cannot be used.
    """
    if finish_rotation(repository):
        note("note: the new signing key is in force, and signs here from now on")
    spec = configured(repository, "esaa.signingKey", "esaa.keyFormat")
    if spec is None:
        begun = keyring_in_force(repository) is not None
        raise KeyUnavailable(
            "no signing key is configured for the orchestrator",
            hint="run it where the orchestrator's key is, or set 'git config esaa.signingKey PATH' "
            "to one that 'git esaa key list' shows in that role"
            if begun
            else "run 'git esaa init' to make one, or set 'git config esaa.signingKey PATH'",
        )
    return load_signer(spec)


def following(repository: Repository) -> Signer | None:
    """Return what signs once the contracts name it; None where no rotation is under way."""
    spec = configured(repository, NEXT_KEY, NEXT_FORMAT)
    return None if spec is None else load_signer(spec)


def person(repository: Repository, given: str) -> Signer:
    """Return what signs for the person who works here.

    What a person says, no other key signs: where this one cannot be used, nothing is recorded.

    Args:
        given: `esaa.approverKey`, or the key that a command names.

    Raises:
        KeyUnavailable: if it cannot be used.
    """
    spec = key_spec(given, repository.gpg_program)
    try:
        return load_signer(spec)
    except NotAKey as error:
        # 'git esaa init' makes the keys of a new project; this one was named by hand.
        raise KeyUnavailable(
            error.message,
            cause=error.cause,
            hint=f"put it back from a copy; if it is lost, {new_key(*_roles(repository, given))}"
            if "/" in given
            else "name a private key file, the .pub file of a key in ssh-agent, or the "
            "fingerprint of an OpenPGP key",
        ) from error


def made_here(repository: Repository) -> str | None:
    """Return the key that `git esaa init` made for the person who works here, in another clone.

    The contracts on disk name it for this very person, as git names them, and as an admin's.
    """
    try:
        folder = key_folder()
        keyring, who = Keyring.of(read_contracts(repository)), repository.person()
    except EsaaError:
        # Contracts or a name that cannot be read are told by the command that needs them.
        return None
    for public in sorted(folder.glob("*.pub")) if folder.is_dir() else ():
        try:
            fingerprint = public_half(KeySpec("ssh", str(public))).fingerprint
        except EsaaError:
            continue
        if keyring.person_of(fingerprint) == who and ADMIN in keyring.roles_of(fingerprint):
            return str(public.with_suffix(""))
    return None


def _roles(repository: Repository, given: str) -> list[str]:
    """Return the roles of a key whose private half is gone, where its public one is beside it."""
    keyring = keyring_in_force(repository)
    try:
        fingerprint = public_half(key_spec(given, repository.gpg_program)).fingerprint
    except (KeyUnavailable, UsageError):
        return []
    return [] if keyring is None else sorted(keyring.roles_of(fingerprint))


def principal(repository: Repository, given: str) -> str | None:
    """Return whose key it is, by the contracts in force, or without a log by those on disk.

    None where they do not name it, or it cannot be told which one is meant.
    """
    try:
        fingerprint = public_half(key_spec(given, repository.gpg_program)).fingerprint
    except (KeyUnavailable, UsageError):
        return None
    keyring = keyring_in_force(repository)
    if keyring is None:
        try:
            keyring = Keyring.of(read_contracts(repository))
        except RepositoryError:
            return None
    return keyring.person_of(fingerprint)
