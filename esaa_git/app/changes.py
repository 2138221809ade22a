"""Files of a person's checkout, worded as the `file_updates` of a proposal."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from esaa_git.errors import RepositoryError, UsageError

if TYPE_CHECKING:
    from esaa_git.app.project import Project

MOST_PROPOSED: Final = 1 << 30
"""Bytes of a file that are read to be proposed: the most that a contract can allow."""


def file_updates(
    project: Project, paths: Sequence[str], base: str, *, from_top: bool = False
) -> list[dict[str, Any]]:
    """Return the updates that make paths of the base what they are in the checkout.

    A path that is gone is one to delete. The content is what git would store, after its
    end-of-line and filter attributes.

    Args:
        paths: relative to the folder that the project was opened in.
        base: the commit of the attempt.
        from_top: they are relative to the top of the checkout.

    Raises:
        UsageError: if a path lies outside of the repository, is no regular file, or is neither
            in the checkout nor in the base.
        RepositoryError: if there is no checkout.
    """
    workdir = _checkout(project)
    if from_top:
        start = workdir.resolve()
    else:
        start = Path.cwd() if project.folder is None else project.folder.resolve()
    return [_file_update(project, path, base, start) for path in paths]


def _file_update(project: Project, given: str, base: str, start: Path) -> dict[str, Any]:
    """Return the update that makes a path of the base what it is in the checkout."""
    from esaa_git.store.files import read_below

    workdir = _checkout(project)
    # As text from there on: what a symlink in the tree leads to is not the path that was named.
    place = Path(os.path.normpath(start / given))
    try:
        path = place.relative_to(workdir.resolve()).as_posix()
    except ValueError:
        raise UsageError(
            f"'{given}' is outside of this repository", hint=f"name a path below '{workdir}'"
        ) from None
    try:
        data = read_below(workdir, path, most=MOST_PROPOSED)
    except RepositoryError as error:
        raise UsageError(
            f"'{given}' is not a regular file of this checkout",
            cause=error.message,
            hint="name the files one by one",
        ) from error
    if data is None:
        if project.trees.entry(base, path) is None:
            raise UsageError(
                f"there is no '{given}', neither here nor in the base of the attempt",
                hint="check the spelling; a path that is gone is proposed as deleted",
            )
        return {"op": "delete", "path": path}
    data = _as_git_would_store(project, data, path)
    update: dict[str, Any] = {"op": "write", "path": path}
    update["executable"] = bool(place.stat().st_mode & 0o100)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return {**update, "content": base64.b64encode(data).decode(), "encoding": "base64"}
    return {**update, "content": text}


def _checkout(project: Project) -> Path:
    if project.repository.workdir is None:
        raise RepositoryError(
            "a bare repository has no checkout to take files from",
            hint="propose contents with 'git esaa submit FILE'",
        )
    return project.repository.workdir


def _as_git_would_store(project: Project, data: bytes, path: str) -> bytes:
    oid = project.repository.git("hash-object", "-w", f"--path={path}", "--stdin", input=data)
    return project.repository.read(oid.decode().strip())[1]
