"""The branches at which effects may be: those that are here, and those that were fetched.

A run works on a branch of this repository. A clone may have it as its remote's (`origin/main`),
and a job of a forge has no branch at all, but a commit that is checked out (a detached HEAD) and
what was fetched with it.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from esaa_git.core import refnames
from esaa_git.ports.refs import RefStore
from esaa_git.store.repository import Repository

_HEADS, _REMOTES = "refs/heads/", "refs/remotes/"


class Heads:
    """Branches by name, with where they are.

    Args:
        refs: where they are.
        is_own: it is this repository that is looked at, with what it fetched and what is checked
            out; otherwise a remote's branches alone.
    """

    def __init__(self, repository: Repository, refs: RefStore, *, is_own: bool) -> None:
        self._repository = repository
        self._is_own = is_own
        self.tips: dict[str, str] = {}
        """Every branch but the log's own: `main`, `origin/main`."""
        self._own: set[str] = set()
        for prefix in (_HEADS, *((_REMOTES,) if is_own else ())):
            for ref in refs.list(prefix):
                tip, name = refs.read(ref), ref.removeprefix(prefix)
                if tip is not None and not ref.endswith("/HEAD") and not self._is_ours(ref):
                    self.tips.setdefault(name, tip)
                    if prefix == _HEADS:
                        self._own.add(name)

    def is_own_branch(self, name: str) -> bool:
        """Answer whether this is a branch of the repository, and none of a remote's."""
        return name in self._own

    def _is_ours(self, ref: str) -> bool:
        """Answer whether a ref is the log, or stands beside it, here or as a remote has it."""
        log = self._repository.events_ref
        if ref.startswith(_REMOTES):
            ref = _HEADS + ref.removeprefix(_REMOTES).partition("/")[2]
        return ref == log or (log.startswith(_HEADS) and ref.startswith(refnames.BRANCHES))

    def of_run(self, branch: str) -> str | None:
        """Return by which name a run's branch is here: its own, or as a remote has it."""
        names = [branch, *(f"{remote}/{branch}" for remote in self._remotes())]
        return next((name for name in names if name in self.tips), None)

    def checked_out(self) -> tuple[str, str] | None:
        """Return what is checked out: its name, and the commit; None where nothing is."""
        raw = self._repository.raw
        if not self._is_own or self._repository.workdir is None or raw.head_is_unborn:
            return None
        tip = str(raw.head.target)
        if not raw.head_is_detached:
            name = str(raw.head.shorthand)
            return (name, tip) if name in self.tips else None
        named = sorted(name for name, oid in self.tips.items() if oid == tip)
        return (named[0] if named else f"HEAD at {tip[:12]}"), tip

    @property
    def is_empty(self) -> bool:
        """Whether there is no branch to look at: only the log is here."""
        return not self.tips and self.checked_out() is None

    def not_fetched(self, branch: str) -> str | None:
        """Return the remote of which this branch is not fetched, as in a clone of one branch."""
        for remote in self._remotes() if self._is_own else ():
            specs = self._repository.settings(f"remote.{remote}.fetch")
            sources = [spec.removeprefix("+").partition(":")[0] for spec in specs]
            if not any(fnmatchcase(_HEADS + branch, source) for source in sources):
                return remote
        return None

    def _remotes(self) -> list[str]:
        names = [str(name) for name in self._repository.raw.remotes.names() if name is not None]
        return sorted(names, key=lambda name: (name != "origin", name))
