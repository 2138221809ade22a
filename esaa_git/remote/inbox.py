"""The inbox of a remote as it was fetched: decisions that wait there for their place in the log."""

from __future__ import annotations

from collections.abc import Mapping

from esaa_git.core import refnames
from esaa_git.store.refs import GitRefs
from esaa_git.store.repository import Repository


class FetchedInbox:
    """What this process fetched to `refs/esaa/remotes/NAME/inbox/`; nobody has looked at it yet.

    Attributes:
        there: the folder of the inbox on the remote.
    """

    def __init__(self, repository: Repository, name: str) -> None:
        self._refs = GitRefs(repository)
        self._here = f"refs/esaa/remotes/{name}/inbox/"
        self._read: dict[str, str] = {}
        self.there = refnames.inbox(repository.events_ref)

    @property
    def refspec(self) -> str:
        """What brings it, over what was here."""
        return f"+{self.there}*:{self._here}*"

    def clear(self) -> None:
        """Forget it, before it is fetched anew."""
        self._read = {}
        self._refs.delete(self._refs.list(self._here))

    def read(self) -> None:
        """Take note of what was fetched, which another process may replace at any time."""
        found = self._refs.list(self._here)
        targets = {ref: self._refs.read(ref) for ref in found}
        self._read = {
            self.there + ref.removeprefix(self._here): oid for ref, oid in targets.items() if oid
        }

    def entries(self) -> dict[str, str]:
        """Return the commits in it as they were fetched here, by their ref on the remote."""
        return dict(self._read)

    def is_news(self, listed: Mapping[str, str]) -> bool:
        """Answer whether a remote with these refs has another inbox than this."""
        return self.entries() != {
            ref: oid for ref, oid in listed.items() if ref.startswith(self.there)
        }
