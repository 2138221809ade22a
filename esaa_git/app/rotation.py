"""The key that signs here gives way to another one, in an order that a crash cannot part.

The next key is noted in the settings, then the files of `.roadmap/` name it, then the log pins it;
the log is the commit point, and the settings follow it (`app.signing.finish_rotation`).
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from esaa_git.app.keys import Admin, admins_of, editable_keyring, owner_here
from esaa_git.app.project import Project, has_log
from esaa_git.app.roadmap import check_usable, write_keyring
from esaa_git.errors import (
    ConflictError,
    EsaaError,
    KeyUnavailable,
    RefusedError,
    UsageError,
)

if TYPE_CHECKING:
    from esaa_git.core.contracts import Contracts
    from esaa_git.trust.publickey import PublicKey
    from esaa_git.trust.signer import KeySpec, Signer


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotation that has begun: the files are written, and the settings name the next key.

    Attributes:
        old: the fingerprint of the key that is replaced, and `new` of the one that follows.
        changed: the names of the files that were written.
        pinned: the contracts to put in force, with the new key; None where there is no log.
        recorder: what may put them in force; None where one of `admins` has to.
        by: who is named in the record.
    """

    old: str
    new: str
    changed: tuple[str, ...]
    pinned: Contracts | None
    recorder: Project | None
    admins: tuple[Admin, ...]
    by: str


def begin_rotation(
    project: Project,
    *,
    new: str | None = None,
    restart: bool = False,
    sign_with: str | None = None,
    actor: str | None = None,
) -> Rotation | None:
    """Begin to replace the key configured here by a new one with the same roles.

    Whatever can be refused is refused before anything is changed. The next key is noted before
    the files name it, and the log is the commit point: a rotation that was interrupted goes on
    with the same call, or is finished by the next command that signs.

    Args:
        new: the key that follows; by default one is made.
        restart: halt the open run, and start the next one.
        sign_with: the key of the admin who records it.

    Returns:
        None where one that was interrupted has been finished instead.

    Raises:
        KeyUnavailable: if the key configured here is not in force, or one cannot be used.
        ConflictError: if a run is open that is not to be halted.
        RefusedError: if `sign_with` is no admin's.
        UsageError: if the new key cannot follow.
    """
    from esaa_git.app.signing import finish_rotation, set_next
    from esaa_git.trust.keyring import Keyring

    if finish_rotation(project.repository):
        return None
    by = project.actor(actor)
    checkout, disk = editable_keyring(project)
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
    changed = tuple(write_keyring(checkout, disk, after))
    admins = () if loaded is None else admins_of(keyring)
    return Rotation(old.fingerprint, fresh.fingerprint, changed, pinned, recorder, admins, by)


def complete_rotation(project: Project, rotation: Rotation) -> bool:
    """Record a rotation that has begun; answer whether the new key signs here from now on.

    It does not where an admin has to record it: until then the present key signs.
    """
    from esaa_git.app.signing import finish_rotation

    if rotation.pinned is not None:
        if rotation.recorder is None:
            return False
        _record(rotation.recorder, rotation.pinned, rotation.by, rotation.old)
    finish_rotation(project.repository)
    return True


def _new_key(project: Project, new: str | None, old: Signer) -> tuple[KeySpec, PublicKey]:
    """Return the key that follows, which has to be able to sign: given, begun before, or made."""
    from esaa_git.app.signing import NEXT_FORMAT, NEXT_KEY, configured, key_folder
    from esaa_git.trust.keys import create_key, load_signer
    from esaa_git.trust.publickey import key_spec
    from esaa_git.trust.publickey import public_half as public_half_of
    from esaa_git.trust.signer import KeySpec

    program = project.repository.gpg_program
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
        create_key(Path(spec.key), comment=f"{owner_here(project)} orchestrator")
    signer = load_signer(spec)
    if signer.fingerprint == old.fingerprint:
        raise UsageError(
            "that is the key that is configured here already", hint="name another one with --new"
        )
    # Of a private key file without a .pub beside it, nothing but the key itself is known.
    return spec, public_half_of(spec)


def _discard(spec: KeySpec) -> None:
    """Remove a key that was made a moment ago and will sign nothing."""
    for place in (Path(spec.key), Path(f"{spec.key}.pub")):
        place.unlink(missing_ok=True)


def _recorder(project: Project, pinned: Contracts, sign_with: str | None) -> Project | None:
    """Return what records the change, or None where only an admin with another key can.

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
    from esaa_git.app.branches import working_place
    from esaa_git.app.plan import starter
    from esaa_git.core.plan import Plan
    from esaa_git.engine import run as runs

    state, _ = project.log.load()
    # What was open goes on where it was, wherever the person who replaces a key stands.
    kept = state.run.branch if state.run.is_open else None
    branch = working_place(project, kept).branch
    if state.run.is_open:
        runs.stop(project.engine, f"the key {old} is replaced", by)
    plan = Plan(state.project.name, ())
    begins = starter(project)
    runs.apply(project.engine, plan, pinned, branch=branch, by=by, starter=begins)
