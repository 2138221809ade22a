"""Which remotes git knows here by a name, which of them is meant, and a clone of one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from esaa_git.errors import RepositoryError, UsageError
from esaa_git.store.program import run_git
from esaa_git.store.repository import Repository


def names(repository: Repository) -> list[str]:
    """Return the remotes that `git remote` lists here, wherever they are configured."""
    return [name for name in repository.remotes() if not name.startswith("/")]


def default_remote(repository: Repository) -> str:
    """Return the remote that is meant where none is named: the only one, or `origin`.

    Raises:
        UsageError: if there is none, or it cannot be told.
    """
    found = names(repository)
    if len(found) == 1:
        return found[0]
    if "origin" in found:
        return "origin"
    raise UsageError(
        "no remote is named" if found else "this repository has no remote",
        hint=f"name one: {', '.join(found)}" if found else "run 'git remote add origin URL' first",
    )


def clone(url: str, folder: str, options: Sequence[str] = ()) -> None:
    """Have git clone a repository; the log does not come with it.

    Raises:
        RepositoryError: with what git said.
    """
    try:
        run_git(Path.cwd(), "clone", "--quiet", *options, "--", url, folder)
    except RepositoryError as error:
        raise RepositoryError(
            f"cannot clone '{url}'", cause=error.cause, hint="check the address, and your access"
        ) from error


def is_plain(name: str) -> bool:
    """Answer whether a name can be written in a command as it is."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]*", name) is not None
