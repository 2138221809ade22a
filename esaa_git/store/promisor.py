"""What a partial clone left out of a commit, fetched in one go where it is needed.

Git fetches what it misses by itself, one object after the other, and only where it is git that
reads (partial-clone in git's technical documentation). Here a commit is made whole before anybody
works on it.
"""

from __future__ import annotations

from typing import Final

from esaa_git.errors import RepositoryError
from esaa_git.store.program import run_git
from esaa_git.store.repository import Repository

_MOST_ROUNDS: Final = 200
"""Where folders were left out as well, each round brings those of one level."""


def make_whole(repository: Repository, commit: str) -> int:
    """Fetch every file of a commit that is not here, and return how many objects that were.

    Nothing is asked of a repository that is no partial clone.

    Raises:
        RepositoryError: if the remote that promised them cannot give them.
    """
    remotes = _promisors(repository)
    if not remotes:
        return 0
    fetched = 0
    for _ in range(_MOST_ROUNDS):
        missing = _missing(repository, commit)
        if not missing:
            return fetched
        _fetch(repository, remotes, missing)
        fetched += len(missing)
    raise RepositoryError(f"the folders of {commit[:12]} have no end")


def _promisors(repository: Repository) -> list[str]:
    """Return the remotes that a partial clone may ask (git-config(1), `remote.<name>.promisor`)."""
    names = [
        name for name in _remotes(repository) if repository.flag(f"remote.{name}.promisor", False)
    ]
    first = repository.setting("extensions.partialClone")
    return list(dict.fromkeys([*([first] if first else []), *names]))


def _remotes(repository: Repository) -> list[str]:
    return [name for name in repository.raw.remotes.names() if name is not None]


def _missing(repository: Repository, commit: str) -> list[str]:
    listed = run_git(
        repository.git_dir,
        f"--git-dir={repository.git_dir}",
        "rev-list",
        "--objects",
        "--no-walk",
        "--missing=print",
        commit,
    )
    return [line[1:].decode() for line in listed.splitlines() if line.startswith(b"?")]


def _fetch(repository: Repository, remotes: list[str], missing: list[str]) -> None:
    """Fetch objects as git does it for itself (promisor-remote.c), but all of them at once."""
    failed = None
    for remote in remotes:
        try:
            run_git(
                repository.git_dir,
                f"--git-dir={repository.git_dir}",
                "-c",
                "fetch.negotiationAlgorithm=noop",
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                "--recurse-submodules=no",
                "--filter=blob:none",
                "--stdin",
                "--",
                remote,
                input="".join(f"{oid}\n" for oid in missing).encode(),
            )
        except RepositoryError as error:
            failed = error
        else:
            return
    assert failed is not None
    raise RepositoryError(
        f"{len(missing)} files of the working branch are not in this partial clone, and "
        f"'{remotes[0]}' does not give them",
        cause=failed.cause,
        hint=f"see that 'git fetch {remotes[0]}' works, then repeat the command",
    ) from failed
