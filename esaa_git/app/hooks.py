"""Putting hooks into a repository, beside those that are there, and taking them out again.

A hook that is there already is kept as `NAME.before-esaa` and runs first. At no moment is the
repository without the one or the other: files are made under another name and moved into place.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from esaa_git.app.hook_places import APPEND_ONLY, CLIENT, SERVER, found, free, is_ours, run_in
from esaa_git.errors import ConflictError, RepositoryError
from esaa_git.resources import BEFORE, DRY, resource_path
from esaa_git.store.files import replacing
from esaa_git.store.repository import Repository

FALLBACK = "append-only.sh"

_ELSEWHERE = frozenset(
    f"GIT_{name}"
    for name in ("DIR", "WORK_TREE", "COMMON_DIR", "INDEX_FILE", "OBJECT_DIRECTORY", "NAMESPACE")
)
"""What would have a hook that we start look at another repository."""

_LONGEST = 120
"""The kernel cuts a first line off at 127 bytes (Linux) or more."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What stands in one hook's place.

    `state` is `current`, `outdated` (ours, of another version or interpreter), `foreign`, or
    `missing`; `before` is the hook that ours runs first; `by` is what starts it where git does
    not, `shared` the file that a link leads to; `fault` says why it would not run.
    """

    name: str
    path: Path
    state: str
    kind: str | None = None
    before: Path | None = None
    by: Path | None = None
    shared: Path | None = None
    fault: str | None = None

    @property
    def is_sound(self) -> bool:
        return self.state == "current" and self.fault is None


@dataclass(frozen=True, slots=True)
class Checked:
    """What stands in the places of all hooks; `is_sound` where those that matter run."""

    hooks: tuple[Installed, ...]

    @property
    def is_sound(self) -> bool:
        needed, *more = self.hooks
        ours = [one for one in more if one.state in ("current", "outdated")]
        return all(one.is_sound for one in (needed, *ours))


def install_all(
    repository: Repository, *, server: bool, update: bool = False, fallback: bool = False
) -> list[Installed]:
    """Put the hooks of a clone, or of a server's repository, in place; repeating it is harmless.

    Args:
        update: the server's update hook as well, for servers without pre-receive.
        fallback: the hook for servers without Python, which verifies no signature.

    Raises:
        ConflictError: if there are two hooks that are not ours, the one kept and a newer one.
        RepositoryError: if the folder cannot be written to.
    """
    names = SERVER[: 2 if update else 1] if server else CLIENT
    return [install(repository, name, fallback=fallback) for name in names]


def uninstall_all(repository: Repository, *, server: bool) -> Iterator[str]:
    """Take our hooks away, one after the other; yield the name of each that was there.

    Raises:
        RepositoryError: if the folder cannot be written to.
    """
    for name in SERVER if server else CLIENT:
        if uninstall(repository, name):
            yield name


def check_all(repository: Repository, *, server: bool) -> Checked:
    """Return what stands in the places of all hooks; each of ours is started once."""
    return Checked(tuple(look(repository, name) for name in (SERVER if server else CLIENT)))


def install(repository: Repository, name: str, *, fallback: bool = False) -> Installed:
    """Put a hook of ours in place, with the one that is there running before it.

    Where a link leads to a hook of ours that repositories share, that one is brought up to date.

    Raises:
        ConflictError: if there are two hooks that are not ours, the one kept and a newer one.
        RepositoryError: if the folder cannot be written to.
    """
    place = found(repository, name)
    path = place.path if place.fault is None else free(repository, name).path
    before = path.with_name(path.name + BEFORE)
    content = launcher(name, fallback=fallback)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_ours(path):
            path = path.resolve()
        elif _exists(path):
            if _exists(before):
                raise ConflictError(
                    f"'{path}' is not ours, and neither is '{before.name}' beside it",
                    hint=f"put the two together by hand and remove '{before}', then repeat",
                )
            _copy(path, before)
        if not (path.is_file() and os.access(path, os.X_OK) and path.read_bytes() == content):
            _put(path, content)
    except OSError as error:
        raise _unwritable(path, error) from error
    return look(repository, name)


def uninstall(repository: Repository, name: str) -> bool:
    """Take our hook away and have the one before it back; answer whether there was ours.

    Raises:
        RepositoryError: if the folder cannot be written to.
    """
    path = found(repository, name).path
    if not is_ours(path):
        return False
    before = path.with_name(path.name + BEFORE)
    try:
        if _exists(before):
            before.replace(path)
        else:
            path.unlink()
    except OSError as error:
        raise _unwritable(path, error) from error
    return True


def look(repository: Repository, name: str) -> Installed:
    """Return what stands in a hook's place, and whether ours would run: it is started once."""
    place = found(repository, name)
    path = place.path
    shared = path.resolve() if path.is_symlink() and path.exists() else None
    if not place.is_ours:
        there = path.exists()
        state = "foreign" if there else "missing"
        fault = place.fault or _why_passed_over(path)
        return Installed(name, path, state, by=place.by, shared=shared, fault=fault)
    data = path.read_bytes()
    fallback = data.startswith(b"#!/bin/sh\n#") and APPEND_ONLY in data
    state = "current" if data == launcher(name, fallback=fallback) else "outdated"
    before = path.with_name(path.name + BEFORE)
    return Installed(
        name,
        path,
        state,
        "append-only" if fallback else "verifying",
        before if _exists(before) else None,
        place.by,
        shared,
        place.fault or _why_passed_over(path) or _rehearse(repository, name, path, fallback),
    )


def launcher(name: str, *, fallback: bool = False) -> bytes:
    """Return the bytes of a hook for this interpreter, so that a virtual one works."""
    if fallback:
        return resource_path("hooks", FALLBACK).read_bytes()
    _, _, body = resource_path("hooks", name).read_bytes().partition(b"\n")
    python = os.fsencode(sys.executable)
    if b" " in python or len(python) > _LONGEST:
        # To sh this is `exec`, to Python a string.
        quoted = python.replace(b"'", b"'\"'\"'")
        return b"#!/bin/sh\n'''exec' '%s' \"$0\" \"$@\"\n' '''\n%s" % (quoted, body)
    return b"#!%s\n%s" % (python, body)


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _copy(path: Path, other: Path) -> None:
    """Give a hook a second name; a link stays the same link."""
    if path.is_symlink():
        other.symlink_to(path.readlink())
    else:
        other.hardlink_to(path)


def _put(path: Path, data: bytes) -> None:
    with replacing(path, mode=0o755) as stream:
        stream.write(data)


def _why_passed_over(path: Path) -> str | None:
    if path.is_symlink() and not path.exists():
        return "it is a link that leads nowhere: git passes over it"
    if path.exists() and not os.access(path, os.X_OK):
        return f"it is not executable: git passes over it; run 'chmod +x {path}'"
    return None


def _rehearse(repository: Repository, name: str, path: Path, fallback: bool) -> str | None:
    """Start the hook with nothing to check, as git would; return what keeps it from running."""
    folder = run_in(repository, name)
    env = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    if folder == repository.git_dir:
        env["GIT_DIR"] = "."
    try:
        done = subprocess.run(
            [path, *([] if fallback else [DRY])],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        return f"it cannot be started: {error.strerror}"
    return None if done.returncode == 0 else done.stderr.strip() or f"exit {done.returncode}"


def _unwritable(path: Path, error: OSError) -> RepositoryError:
    return RepositoryError(
        f"cannot write '{path}'",
        cause=error.strerror or str(error),
        hint="run it as the user who owns the repository",
    )
