"""What a partial clone left out, fetched where it is needed, as git does it.

Git fetches what it misses by itself, one object after the other, and only where it is git that
reads (partial-clone in git's technical documentation). Here a commit is made whole before anybody
works on it (`make_whole`), and libgit2 is given a further place to look, after all others
(`Promisor`): git, which fetches what is missing. So whatever reads an object has it, be it a state,
a merge or a difference. What the log needs comes in one go where the first of it is missed: one by
one, a verification would be a connection an event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import pygit2

from esaa_git.errors import RepositoryError
from esaa_git.store.layout import Layout
from esaa_git.store.program import GitFailed

_KINDS: Final = {b"commit": 1, b"tree": 2, b"blob": 3, b"tag": 4}

_LOGS: Final = ("refs/esaa/remotes/*/events", "refs/esaa/incoming/*/events")
"""Where the logs of remotes are; other refs of ours lead to all of the work."""

_MOST_ROUNDS: Final = 200
"""Where folders were left out as well, each round brings those of one level."""


def promisors(repository: Layout) -> list[str]:
    """Return the remotes that a partial clone may ask (git-config(1), `remote.<name>.promisor`)."""
    first = repository.setting("extensions.partialClone")
    names = [
        name
        for name in repository.remotes()
        if repository.flag(f"remote.{name}.promisor", default=False)
    ]
    return list(dict.fromkeys([*([first] if first else []), *names]))


def make_whole(repository: Layout, commit: str, *, history: bool = False) -> int:
    """Fetch every file of a commit that is not here, and return how many objects that were.

    Nothing is asked of a repository that is no partial clone.

    Args:
        commit: a commit, or a tree.
        history: those of the commits before it, too.

    Raises:
        RepositoryError: if the remote that promised them cannot give them.
    """
    remotes = promisors(repository)
    if not remotes:
        return 0
    fetched = 0
    options = () if history else ("--no-walk",)
    for _ in range(_MOST_ROUNDS):
        listed = repository.git("rev-list", "--objects", "--missing=print", *options, commit, "--")
        missing = [line[1:].decode() for line in listed.splitlines() if line.startswith(b"?")]
        if not missing:
            return fetched
        _fetch(repository, remotes, missing)
        fetched += len(missing)
    raise RepositoryError(f"the folders of {commit[:12]} have no end")


def bring(repository: Layout, oids: Iterable[str]) -> int:
    """Fetch those of these objects that are not here in one go, and return how many that were.

    Raises:
        RepositoryError: as `make_whole`.
    """
    remotes = promisors(repository)
    if not remotes:
        return 0
    here = pygit2.Odb(str(repository.common_dir / "objects"))
    missing = [oid for oid in dict.fromkeys(oids) if oid not in here]
    if missing:
        _fetch(repository, remotes, missing)
    return len(missing)


def _fetch(repository: Layout, remotes: Sequence[str], missing: Sequence[str]) -> None:
    """Fetch objects as git does it for itself (promisor-remote.c), but all of them at once."""
    failed = None
    for remote in remotes:
        try:
            repository.git(
                *("-c", "fetch.negotiationAlgorithm=noop", "fetch", "--quiet", "--no-tags"),
                *("--no-write-fetch-head", "--recurse-submodules=no", "--filter=blob:none"),
                *("--stdin", "--", remote),
                input="".join(f"{oid}\n" for oid in missing).encode(),
            )
        except RepositoryError as error:
            failed = error
        else:
            return
    assert failed is not None
    raise _away(f"{len(missing)} files of the working branch", remotes, failed)


def _away(what: str, remotes: Sequence[str], error: RepositoryError) -> RepositoryError:
    return RepositoryError(
        f"{what} are not in this partial clone, and '{remotes[0]}' does not give them",
        cause=error.cause,
        hint=f"see that 'git fetch {remotes[0]}' works, then repeat the command",
    )


@contextmanager
def errors_as_raised() -> Iterator[None]:
    """Let what `Promisor` raises through a call of libgit2 that cffi makes.

    cffi knows no error of Python behind a number of libgit2's, and Python calls that a fault of
    the caller (`SystemError`), with what was raised as its cause.
    """
    try:
        yield
    except SystemError as error:
        if isinstance(error.__cause__, RepositoryError | KeyError):
            raise error.__cause__ from error.__cause__.__cause__
        raise


class Promisor(pygit2.OdbBackend):
    """The place where libgit2 looks last.

    An object that no promisor has is missing, as anywhere; where none can be reached, an error
    that says so takes the place of what was asked for.

    Args:
        repository: the partial clone.
        log: gives the ref of its log.
    """

    def __init__(self, repository: Layout, log: Callable[[], str]) -> None:
        super().__init__()
        self._repository = repository
        self._log = log
        self._whole: set[str] = set()
        self._unknown: set[str] = set()
        self._here = pygit2.Odb(str(repository.common_dir / "objects"))

    def read_cb(self, oid: pygit2.Oid) -> tuple[int, bytes]:
        """Return kind and content of an object that lies nowhere else."""
        return self._give(str(oid))

    def read_header_cb(self, oid: pygit2.Oid) -> tuple[int, int]:
        """Return its kind and its size."""
        kind, content = self._give(str(oid))
        return kind, len(content)

    def read_prefix_cb(self, oid: pygit2.Oid | str) -> tuple[int, bytes, pygit2.Oid]:
        """Return it with its id, which is asked for whole."""
        kind, content = self._give(str(oid))
        return kind, content, pygit2.Oid(hex=str(oid))

    def exists_cb(self, _oid: pygit2.Oid) -> bool:
        """Answer no: who asks wants to know what is here."""
        return False

    def exists_prefix_cb(self, oid: pygit2.Oid) -> pygit2.Oid:
        """Find nothing, as above."""
        raise KeyError(str(oid))

    def refresh_cb(self) -> None:
        """Do nothing: git looks anew each time."""

    def __iter__(self) -> Iterator[pygit2.Oid]:
        return iter(())

    def _give(self, oid: str) -> tuple[int, bytes]:
        if oid in self._unknown or len(oid) != 40:
            raise KeyError(oid)
        # By a name as text libgit2 asks every place, also for what another one has.
        if oid in self._here:
            return self._here.read(oid)
        self._make_log_whole()
        try:
            said = self._repository.git("cat-file", "--batch", input=f"{oid}\n".encode())
        except GitFailed as error:
            raise _away(f"objects ({oid[:12]})", promisors(self._repository), error) from error
        head, _, rest = said.partition(b"\n")
        words = head.split()
        if len(words) != 3:
            self._unknown.add(oid)
            raise KeyError(oid)
        return _KINDS[words[1]], rest[: int(words[2])]

    def _make_log_whole(self) -> None:
        """Fetch what the log needs, once for each of its tips."""
        format_ = "--format=%(objectname)"
        said = self._repository.git("for-each-ref", format_, self._log(), *_LOGS)
        for tip in sorted(set(said.decode().split()) - self._whole):
            self._whole.add(tip)
            make_whole(self._repository, tip, history=True)
