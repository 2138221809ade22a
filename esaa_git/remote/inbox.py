"""The inbox of a remote as it was fetched: decisions that wait there for their place in the log."""

from __future__ import annotations

from collections.abc import Mapping

from esaa_git.core import refnames
from esaa_git.store.refs import GitRefs
from esaa_git.store.repository import Repository


class FetchedInbox:
    """What lies below `refs/esaa/remotes/NAME/inbox/`, a copy that nobody has looked at yet.

    Attributes:
        there: the folder of the inbox on the remote.
    """

    def __init__(self, repository: Repository, name: str) -> None:
        self._refs = GitRefs(repository)
        self._here = f"refs/esaa/remotes/{name}/inbox/"
        self.there = refnames.inbox(repository.events_ref)

    @property
    def refspec(self) -> str:
        """What brings it, over what was here."""
        return f"+{self.there}*:{self._here}*"

    def clear(self) -> None:
        """Forget it, before it is fetched anew."""
        self._refs.delete(self._refs.list(self._here))

    def entries(self) -> dict[str, str]:
        """Return the commits in it, by their ref on the remote."""
        found = self._refs.list(self._here)
        return {
            self.there + ref.removeprefix(self._here): str(self._refs.read(ref)) for ref in found
        }

    def is_news(self, listed: Mapping[str, str]) -> bool:
        """Answer whether a remote with these refs has another inbox than this."""
        return self.entries() != {
            ref: oid for ref, oid in listed.items() if ref.startswith(self.there)
        }
