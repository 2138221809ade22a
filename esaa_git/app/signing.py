"""Which key signs here, and the one that follows it in a rotation."""

from __future__ import annotations

from typing import Final

from esaa_git.app.keys import read_keyring
from esaa_git.errors import UsageError
from esaa_git.store.repository import Repository
from esaa_git.trust.publickey import key_spec, public_half
from esaa_git.trust.signer import KeySpec
from esaa_git.verify.keyhistory import keyring_in_force

NEXT_KEY: Final = "esaa.nextSigningKey"


NEXT_FORMAT: Final = "esaa.nextKeyFormat"


def configured(repository: Repository, name: str, format_name: str | None) -> KeySpec | None:
    """Return the key that a setting names; the format is told from the text, or by a setting."""
    key = repository.setting(name)
    if key is None:
        return None
    program = repository.setting("gpg.program") or "gpg"
    if format_name is None:
        return key_spec(key, program)
    style = repository.setting(format_name) or "ssh"
    if style not in ("ssh", "openpgp"):
        raise UsageError(f"{format_name} is '{style}'", hint="set it to 'ssh' or to 'openpgp'")
    return KeySpec("ssh" if style == "ssh" else "openpgp", key, program)


def set_next(repository: Repository, spec: KeySpec) -> None:
    """Note the key that will sign here as soon as it is trusted."""
    repository.set_local(NEXT_FORMAT, spec.format)
    repository.set_local(NEXT_KEY, spec.key)


def finish_rotation(repository: Repository) -> bool:
    """Make the next key the one that signs, if the keyring that counts lets it; say whether.

    The log is the commit point of a rotation, so the settings follow it: whoever dies in between
    is finished by the next command. Without a log, the file in the checkout is what counts.
    """
    spec = configured(repository, NEXT_KEY, NEXT_FORMAT)
    if spec is None:
        return False
    keyring = keyring_in_force(repository)
    if keyring is None and repository.workdir is not None:
        keyring = read_keyring(repository.workdir / ".roadmap")
    fingerprint = public_half(spec).fingerprint
    if keyring is None or "orchestrator" not in keyring.roles_of(fingerprint):
        return False
    repository.set_local("esaa.keyFormat", spec.format)
    repository.set_local("esaa.signingKey", spec.key)
    repository.unset_local(NEXT_KEY)
    repository.unset_local(NEXT_FORMAT)
    return True
