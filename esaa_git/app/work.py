"""Files of a checkout as they stand, worded as the `file_updates` of a proposal."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from esaa_git.app.project import Project
from esaa_git.errors import RepositoryError, UsageError


def file_update(
    project: Project, given: str, base: str, start: Path | None = None
) -> dict[str, Any]:
    """Return the update that makes a path of the base what it is in the checkout.

    A path that is gone is one to delete. The content is what git would store, after its
    end-of-line and filter attributes.

    Args:
        given: a path, relative to `start`.
        base: the commit of the attempt.
        start: a folder; by default the one that the command was started in.

    Raises:
        UsageError: if the path lies outside of the repository, is no regular file, or is neither
            in the checkout nor in the base.
        RepositoryError: if there is no checkout.
    """
    workdir = project.repository.workdir
    if workdir is None:
        raise RepositoryError(
            "a bare repository has no checkout to take files from",
            hint="propose contents with 'git esaa submit FILE'",
        )
    if start is None:
        start = Path.cwd() if project.folder is None else project.folder.resolve()
    # As text from there on: what a symlink in the tree leads to is not the path that was named.
    place = Path(os.path.normpath(start / given))
    try:
        path = place.relative_to(workdir.resolve()).as_posix()
    except ValueError:
        raise UsageError(
            f"'{given}' is outside of this repository", hint=f"name a path below '{workdir}'"
        ) from None
    if not place.exists() and not place.is_symlink():
        if project.trees.entry(base, path) is None:
            raise UsageError(
                f"there is no '{given}', neither here nor in the base of the attempt",
                hint="check the spelling; a path that is gone is proposed as deleted",
            )
        return {"op": "delete", "path": path}
    if place.is_symlink() or not place.is_file():
        raise UsageError(f"'{given}' is not a regular file", hint="name the files one by one")
    data = _as_git_would_store(project, place, path)
    update: dict[str, Any] = {"op": "write", "path": path}
    update["executable"] = bool(place.stat().st_mode & 0o100)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return {**update, "content": base64.b64encode(data).decode(), "encoding": "base64"}
    return {**update, "content": text}


def _as_git_would_store(project: Project, place: Path, path: str) -> bytes:
    from esaa_git.store.program import run_git

    oid = run_git(
        project.repository.workdir or place.parent,
        "hash-object",
        "-w",
        f"--path={path}",
        "--stdin",
        input=place.read_bytes(),
    )
    return project.repository.read(oid.decode().strip())[1]
