"""The person's own hooks on their own branches, run as git runs them (githooks(5)).

Where a command of ours does to a branch what a command of git's would, the hook that the person has
for it has its say: `reference-transaction` where a branch moves, `pre-push` where it is pushed.
Neither ever sees the log, or another ref of ours. Hooks of a commit that is being written
(`pre-commit`, `commit-msg`, `post-commit`), of a checkout and of a merge do not run: an effect is
decided by the contracts, and its checks are theirs.

A hook that is a file of a checkout, through whatever link, is what the last accepted proposal or
fetched commit made of it. No proposal may write it, and it does not run unless the person said so
(docs/decisions/0077-a-hook-of-the-tree-runs-by-consent.md).
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from esaa_git.core import refnames
from esaa_git.core.globs import MAX_PATTERN
from esaa_git.core.printable import visible
from esaa_git.errors import RefusedError, RepositoryError
from esaa_git.ports.refs import RefMove
from esaa_git.resources import BEFORE, TRAVELS_WITH_LOG
from esaa_git.store.layout import Layout
from esaa_git.store.objects import bytes_of, name_of

_PRE_PUSH = "pre-push"
_TRANSACTION = "reference-transaction"
_NOTHING = "0" * 40
_SAID = 2000
_CONSENT = "esaa.treeHooks"
_UNSPOKEN = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\\!]")
"""What no glob can say, or not at every place."""

_ELSEWHERE = ("GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")


def is_persons(ref: str, log: str) -> bool:
    """Answer whether a ref is a branch of the person's, and none of ours."""
    return ref.startswith(refnames.HEADS) and ref != log and refnames.classify(ref, log) is None


def has_hook(repository: Layout, name: str) -> bool:
    """Answer whether there is a hook that git would run."""
    place = repository.hooks_folder / name
    return os.access(place, os.X_OK) and not place.is_dir()


def hooks_in_trees(repository: Layout) -> tuple[str, ...]:
    """Return globs of what of any checkout git would start as a hook, through whatever links."""
    folder = repository.hooks_folder
    below = [_glob(name) for _, name in repository.inside(os.fspath(folder)) if name != "."]
    files = {folder / _PRE_PUSH, folder / _TRANSACTION}
    with suppress(OSError):
        files |= {Path(entry) for entry in os.scandir(folder) if entry.is_symlink()}
    led = [name for file in sorted(files) for _, name in repository.inside(os.fspath(file))]
    return tuple(dict.fromkeys([f"{name}/**" for name in below] + [*map(_glob, led)]))


def _glob(path: str) -> str:
    """Return a glob of a path, of more where it has what no glob says."""
    if not path.isascii():
        # Imported late: few paths need the tables, and every command pays for an import.
        from unicodedata import normalize

        path = normalize("NFC", path)
    said = re.sub(r"[*?\[]", r"[\g<0>]", path)
    said = _UNSPOKEN.sub("?", said)
    return said if len(said) <= MAX_PATTERN else "**"


def _check_is_persons(repository: Layout, place: Path) -> None:
    """Raise RefusedError for a hook that a checkout holds, unless the person agreed to those."""
    # Ours, in its place, starts the one that was there before.
    for file in (place, place.with_name(place.name + BEFORE)):
        if repository.tracks(os.fspath(file), anywhere=True):
            if repository.flag(_CONSENT, False):
                return
            raise RefusedError(
                f"your hook '{file}' is not run: it is a file of a checkout",
                cause="whatever is accepted or fetched may change it, and it would run as you",
                hint="keep a copy of it outside of the checkout, below '.git/hooks'; to have hooks "
                f"of the tree run as git runs them, 'git config {_CONSENT} true'",
            )


def run_hook(repository: Layout, name: str, *arguments: str, given: Sequence[str]) -> None:
    """Run a hook of the person's, if there is one that git would run.

    Args:
        given: the lines that it reads from its standard input.

    Raises:
        RefusedError: if it ends with another status than 0; the cause is what it printed. Or if
            it is a file of a checkout, and the person has not agreed to those.
        RepositoryError: if it cannot be started.
    """
    if not has_hook(repository, name):
        return
    place = repository.hooks_folder / name
    _check_is_persons(repository, place)
    env = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    env |= {"GIT_DIR": os.fspath(repository.git_dir), TRAVELS_WITH_LOG: "1"}
    command = [os.fspath(place), *arguments]
    streams: dict[str, Any] = {
        "cwd": repository.workdir or repository.git_dir,
        "env": env,
        "input": b"".join(bytes_of(line) + b"\n" for line in given),
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
    }
    try:
        try:
            done = subprocess.run(command, check=False, **streams)
        except OSError as error:
            if error.errno != errno.ENOEXEC:  # without a first line that names its shell
                raise
            done = subprocess.run(["sh", *command], check=False, **streams)
    except OSError as error:
        raise RepositoryError(
            f"the hook '{place}' cannot be started",
            cause=error.strerror or str(error),
            hint=f"mend its first line, or run 'chmod -x {place}' to have git pass over it, too",
        ) from error
    if done.returncode:
        said = visible(name_of(done.stdout).strip()[-_SAID:])
        raise RefusedError(
            f"your hook '{name}' refused {' and '.join(map(_what, given))}",
            cause=said or f"'{place}' ended with exit status {done.returncode}",
            hint="nothing was changed; mend what it names, then repeat the command",
        )


def _what(line: str) -> str:
    return f"'{line.split(' ')[2].removeprefix(refnames.HEADS)}'"


def ask_pre_push(
    repository: Layout, remote: str, branch: str, new: str | None, old: str | None
) -> None:
    """Have `pre-push` say whether a branch of the person's may be pushed; not where it stays.

    Args:
        branch: its full name.
        old: where the remote has it, or had it when it was last fetched.

    Raises:
        RefusedError: if it refuses.
    """
    if new in (None, old) or not has_hook(repository, _PRE_PUSH):
        return
    line = f"{branch} {new} {branch} {old or _NOTHING}"
    # One run for each place that the remote stands for, as git does it.
    said = repository.git("remote", "get-url", "--push", "--all", "--", remote)
    for url in name_of(said).splitlines():
        run_hook(repository, _PRE_PUSH, remote, url, given=[line])


@contextmanager
def transaction(repository: Layout, log: str, moves: Sequence[RefMove]) -> Iterator[None]:
    """Have `reference-transaction` say whether branches may move, and tell it what came of it.

    It is asked while all refs are locked, and none has moved.

    Raises:
        RefusedError: if it refuses; nothing is to move then.
    """
    given = [
        f"{move.old or _NOTHING} {move.new} {move.name}"
        for move in moves
        if is_persons(move.name, log)
    ]
    if not given:
        yield
        return
    ended = "aborted"
    try:
        run_hook(repository, _TRANSACTION, "prepared", given=given)
        yield
        ended = "committed"
    finally:
        # git does not look at what it says to that either: there is nothing left to refuse.
        with suppress(RefusedError, RepositoryError):
            run_hook(repository, _TRANSACTION, ended, given=given)
