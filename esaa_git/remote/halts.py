"""Whether a log is stopped on a remote, for a run that records in its own clone alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from esaa_git.core.state import State
from esaa_git.errors import EsaaError
from esaa_git.remote.incoming import Incoming
from esaa_git.remote.remote import Remote

ASK_SECONDS: Final = 15.0
"""How long a remote may take to say where its log is, while agents are at work."""


class RemoteHalts:
    """Asks remotes, and fetches and verifies a log that moved there; nothing here follows it.

    Args:
        admit: gives what waits in a remote's inbox its place, and returns what is there then.
        told: returns in words who stopped the log of a state.
        say: tells a person what cannot be asked, once a remote.
    """

    def __init__(
        self,
        remotes: Sequence[Remote],
        admit: Callable[[Remote, Incoming], Incoming],
        told: Callable[[State], str | None],
        say: Callable[[str], None],
    ) -> None:
        self._remotes = remotes
        self._admit = admit
        self._told = told
        self._say = say
        self._silent: set[str] = set()
        self._seen: dict[str, tuple[str, str | None]] = {}

    def look(self) -> str | None:
        """Return who stopped the log on one of the remotes, in words; None where nobody did."""
        for remote in self._remotes:
            try:
                found = self._ask(remote)
            except EsaaError as error:
                if remote.name not in self._silent:
                    self._say(f"whether '{remote.name}' is stopped cannot be told: {error.message}")
                self._silent.add(remote.name)
                continue
            self._silent.discard(remote.name)
            if found is not None:
                return f"{found} (on '{remote.name}')"
        return None

    def _ask(self, remote: Remote) -> str | None:
        there, waits = remote.ask_inbox(remote.log_ref, timeout=ASK_SECONDS)
        tip = there.get(remote.log_ref)
        if tip is None:
            return None
        known, found = self._seen.get(remote.name, ("", None))
        if known != tip or waits:
            incoming = self._admit(remote, remote.take_in())
            found = self._told(incoming.state)
            self._seen[remote.name] = incoming.tip, found
        return found
