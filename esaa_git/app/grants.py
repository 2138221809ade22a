"""Where what a user agreed to is kept: in their configuration folder, and in no repository.

A grant stands under the log that it was given for (log id, verified genesis and the public key that
signs here), or else under the place of the repository (docs/FORMAT.md, "Consent"). A clone, a copy
or an archive of a repository brings neither.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pygit2

from esaa_git.app.named_files import RepositoryFiles
from esaa_git.core import canonical
from esaa_git.core.asks import Ask
from esaa_git.errors import ConfigurationError, EsaaError
from esaa_git.folders import config_folder
from esaa_git.store.files import replacing, write_atomically

if TYPE_CHECKING:
    from esaa_git.core.contracts import Contracts
    from esaa_git.store.repository import Repository
    from esaa_git.store.tip import LoadedTip

VERSION: Final = 1


def grant_folder() -> Path:
    """Return where the grants are kept, one file each.

    Raises:
        ConfigurationError: if this user has no configuration folder.
    """
    folder = config_folder()
    if folder is None:
        raise ConfigurationError(
            "there is no folder of yours to keep what you agree to",
            hint="set HOME, or XDG_CONFIG_HOME",
        )
    return folder / "allowed"


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a grant is for: a log as one key signs it, or a place; its file is named by a digest."""

    identity: tuple[tuple[str, str], ...]

    @property
    def path(self) -> Path:
        name = canonical.digest(canonical.encode(dict(self.identity)))
        return grant_folder() / f"{name}.json"


def place_of(repository: Repository, *, make: bool) -> Holder | None:
    """Return the place of a repository: the real path of the folder that its work trees share.

    A mark in that folder tells it from another one that lay there before.

    Args:
        make: make the mark where there is none; otherwise that gives None.
    """
    mark = repository.esaa_dir / "consent"
    try:
        token = mark.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if len(token) != 32:
        if not make:
            return None
        token = secrets.token_hex(16)
        write_atomically(mark, f"{token}\n".encode())
    place = os.path.realpath(repository.common_dir)
    shown = os.fsencode(place).decode("utf-8", "backslashreplace")
    return Holder((("mark", token), ("place", shown)))


def log_of(repository: Repository, log_id: str, contracts: Contracts) -> Holder | None:
    """Return the log as this repository's own key signs it; None where a grant cannot count for it.

    It counts where the key is named in the repository's own configuration and in the contracts in
    force, and the log was verified here from its genesis. A key of the user's global settings
    would carry a consent into any clone.
    """
    from esaa_git.verification.pins import mark_path, read_mark

    fingerprint = own_fingerprint(repository)
    if fingerprint is None or not is_in_force(contracts, fingerprint):
        return None
    try:
        mark = read_mark(repository, mark_path(repository))
    except EsaaError:
        return None  # what cannot be read carries nothing, and whoever verifies says so
    if mark is None or mark.genesis is None or mark.log_id != log_id:
        return None
    return Holder((("genesis", mark.genesis), ("key", fingerprint), ("log_id", log_id)))


def own_fingerprint(repository: Repository) -> str | None:
    """Return the key that the repository's own configuration names, global settings left out."""
    from esaa_git.trust.publickey import public_half
    from esaa_git.trust.signer import KeySpec

    try:
        own = pygit2.Config(str(repository.common_dir / "config"))
        key = str(own["esaa.signingKey"])
        style = str(own["esaa.keyFormat"]) if "esaa.keyFormat" in own else "ssh"
        return public_half(KeySpec(style, key, repository.gpg_program)).fingerprint
    except (EsaaError, KeyError, OSError, pygit2.GitError):
        return None


def is_in_force(contracts: Contracts, fingerprint: str) -> bool:
    """Answer whether contracts give a key a role."""
    from esaa_git.trust.roles import signer_set

    try:
        return bool(signer_set(contracts).roles_of_fingerprint(fingerprint))
    except EsaaError:
        return False


def read_grant(holder: Holder | None) -> frozenset[Ask]:
    """Return what was granted; nothing where there is no grant.

    Raises:
        ConfigurationError: if the file is there and cannot be read.
    """
    if holder is None:
        return frozenset()
    try:
        document: Any = json.loads(holder.path.read_bytes())
        if document["version"] != VERSION or document["for"] != dict(holder.identity):
            raise ValueError("it is of another version, or for another repository")
        return frozenset(Ask.from_json(one) for one in document["asks"])
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"'{holder.path}' cannot be read, so nothing counts as agreed to",
            cause=str(error),
            hint="delete it, then run 'git esaa allow'",
        ) from error


def write_grant(holder: Holder, asks: Iterable[Ask]) -> None:
    """Keep what was granted, in a file that only this user can read."""
    folder = grant_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = {
        "version": VERSION,
        "for": dict(holder.identity),
        "asks": [ask.to_json() for ask in sorted(set(asks))],
    }
    with replacing(holder.path, mode=0o600) as stream:
        stream.write(json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n")


def forget_grant(holder: Holder | None) -> bool:
    """Forget what was granted, and say whether there was anything."""
    if holder is None:
        return False
    with suppress(FileNotFoundError):
        holder.path.unlink()
        return True
    return False


# -- of a repository ----------------------------------------------------------------------------


def granted(repository: Repository) -> frozenset[Ask]:
    """Return what the user agreed to for this repository."""
    return read_grant(place_of(repository, make=False)) | read_grant(_log_here(repository))


def keep(repository: Repository, asks: Iterable[Ask]) -> None:
    """Keep what the user agrees to for this repository, in the place of what was kept before."""
    kept = set(asks)
    for holder in (place_of(repository, make=True), _log_here(repository)):
        if holder is not None:
            write_grant(holder, kept)


def forget(repository: Repository) -> bool:
    """Forget what the user agreed to for this repository; say whether there was anything."""
    log = forget_grant(_log_here(repository))
    return forget_grant(place_of(repository, make=False)) or log


def recorded(
    repository: Repository, asks: Iterable[Ask], agreed: Iterable[Ask] = ()
) -> frozenset[Ask]:
    """Return which of these are files as an accepted result of this log left them.

    What agents made of the tests that a check names was judged and recorded, and is not asked for
    again; nor is a tree that differs by nothing else from one that was agreed to. That holds for a
    log that this repository's own key signs, and for no other.

    Args:
        agreed: what the user agreed to.
    """
    wanted = [ask for ask in asks if ask.kind in ("content", "tree") and ask.detail]
    loaded = _loaded(repository) if wanted else None
    fingerprint = None if loaded is None else own_fingerprint(repository)
    if loaded is None or fingerprint is None or not is_in_force(loaded.contracts, fingerprint):
        return frozenset()
    steps = _steps(repository, wanted, agreed)
    paths = {ask.what for ask in wanted if ask.kind == "content"}
    paths.update(*(step.keys() for _, step in steps))
    left: set[tuple[str, str | None]] = set()
    for task in loaded.state.tasks.values():
        if task.is_done and task.result is not None and task.result.effect_commit is not None:
            tree = RepositoryFiles(repository, task.result.effect_commit)
            left |= {(path, tree.in_tree(path)) for path in paths & set(task.result.paths)}
    found = {ask for ask in wanted if ask.kind == "content" and (ask.what, ask.detail) in left}
    found |= {ask for ask, step in steps if step.items() <= left}
    return frozenset(found)


def _steps(
    repository: Repository, wanted: Iterable[Ask], agreed: Iterable[Ask]
) -> list[tuple[Ask, Mapping[str, str | None]]]:
    """Return what differs between each tree that is asked for and each that was agreed to."""
    before: dict[str, set[str]] = {}
    for ask in agreed:
        if ask.kind == "tree" and ask.detail:
            before.setdefault(ask.to, set()).add(ask.detail)
    steps: list[tuple[Ask, Mapping[str, str | None]]] = []
    for ask in wanted:
        for old in before.get(ask.to, ()) if ask.kind == "tree" else ():
            try:
                changed = repository.raw.diff(old, ask.detail)
            except (KeyError, ValueError, pygit2.GitError):
                continue  # a checkout's, which is no object
            now = RepositoryFiles(repository, ask.detail)
            names = {
                name for one in changed.deltas for name in (one.old_file.path, one.new_file.path)
            }
            steps.append((ask, {name: now.in_tree(name) for name in names}))
    return steps


def _log_here(repository: Repository) -> Holder | None:
    loaded = _loaded(repository)
    return None if loaded is None else log_of(repository, loaded.tip.log_id, loaded.contracts)


def _loaded(repository: Repository) -> LoadedTip | None:
    from esaa_git.store.tip import load_tip

    target = repository.ref_target(repository.events_ref)
    if target is None:
        return None
    try:
        return load_tip(repository, target)
    except EsaaError:
        return None  # a log that cannot be read carries nothing
