"""The word that counts before anything is started or given away: the consent of this user.

What contracts ask for is in `app.asked`, what was agreed to in `app.grants`; `agents.agreed` stands
at the door of every agent and check and asks here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from esaa_git.app.asked import gather, programs_in_force, working_tip
from esaa_git.app.grants import granted, keep, recorded
from esaa_git.app.named_files import RepositoryFiles
from esaa_git.app.roadmap import ROADMAP
from esaa_git.core.asks import Ask, digest_of
from esaa_git.core.printable import ascii_visible, visible
from esaa_git.errors import NotAllowed
from esaa_git.floor import path_fault, variable_fault
from esaa_git.store.repository import Repository, open_again

if TYPE_CHECKING:
    from esaa_git.core.agent_contract import Check
    from esaa_git.core.contracts import AgentEntry
    from esaa_git.core.programs import Programs
    from esaa_git.core.setup import Setup

VARIABLE: Final = "ESAA_ALLOW"
SETTING: Final = "esaa.allow"

HINT: Final = (
    "run 'git esaa allow' to look at it and decide; without a terminal, look with "
    "'git esaa allow --show', then run 'git esaa allow --yes'"
)


class LocalConsent:
    """Implements `ports.consent.Consent` by what is kept in the user's configuration folder.

    It may be called in any thread: what it reads of the repository it reads by handles of its own.
    """

    def __init__(self, repository: Repository) -> None:
        self._own = repository
        self._lock = Lock()

    def require_agent(
        self, entry: AgentEntry, base: str | None = None, programs: Programs | None = None
    ) -> None:
        from esaa_git.agents.registry import asks_of_agent

        with self._lock:
            repository = self._repository()
            tip = base or partial(working_tip, repository)
            files = RepositoryFiles(repository, tip, programs)
            self._require(repository, f"agent '{entry.name}'", asks_of_agent(entry, files))

    def require_checks(self, checks: Sequence[Check], base: str | None = None) -> None:
        from esaa_git.agents.asking import asks_of_check

        self.require_setups([check.setup for check in checks[:1] if check.setup], base)
        if not checks:
            return
        with self._lock:
            repository = self._repository()
            tip = base or partial(working_tip, repository)
            files = RepositoryFiles(repository, tip, programs_in_force(repository))
            for check in checks:
                self._require(repository, f"check '{check.name}'", asks_of_check(check, files))

    def require_setups(self, setups: Sequence[Setup], base: str | None = None) -> None:
        from esaa_git.agents.asking import asks_of_setup

        if not setups:
            return
        with self._lock:
            repository = self._repository()
            tip = base or partial(working_tip, repository)
            files = RepositoryFiles(repository, tip, programs_in_force(repository))
            for setup in setups:
                self._require(
                    repository, f"the setup of {setup.owner}", asks_of_setup(setup, files)
                )

    def require_trial(self, entry: AgentEntry) -> None:
        """Return if all that an agent's entry asks for was agreed to, as the checkout stands."""
        from esaa_git.agents.registry import asks_of_agent

        with self._lock:
            repository = self._repository()
            files = RepositoryFiles(repository, None)
            self._require(repository, f"agent '{entry.name}'", asks_of_agent(entry, files))

    def missing(self, repository: Repository, asks: Iterable[Ask]) -> frozenset[Ask]:
        """Return which of these were not granted, by a kept grant or by a digest that was given."""
        wanted = frozenset(asks)
        if not wanted:
            return wanted
        agreed = granted(repository)
        left = wanted - agreed
        if left and given_digest(repository) is not None:
            agreed |= self._by_digest
        return left - agreed - recorded(repository, left - agreed, agreed)

    @cached_property
    def _by_digest(self) -> frozenset[Ask]:
        """Return all that is asked for, if the digest that was given is that of it."""
        everything = frozenset(ask for ask, _, _ in gather(self._repository())[0])
        repository = self._repository()
        if given_digest(repository) != digest_of(everything):
            return frozenset()
        # Kept, so that the same or less, as it stands after this command, is no other question.
        try:
            keep(repository, granted(repository) | everything)
        except OSError:
            return everything  # nowhere to keep it: the digest says it again the next time
        return everything

    def _require(self, repository: Repository, who: str, asks: Iterable[Ask]) -> None:
        wanted = frozenset(asks)
        for ask in sorted(wanted):
            fault = never(repository, ask)
            if fault is not None:
                raise refused(who, ask, fault)
        left = self.missing(repository, wanted)
        if left:
            raise not_allowed(who, sorted(left), self.mismatch(repository))

    def mismatch(self, repository: Repository) -> str:
        """Return what to say of a digest that was given and is another one."""
        given = given_digest(repository)
        if given is None:
            return ""
        asks = (ask for ask, _, _ in gather(self._repository())[0])
        shown = visible(given[:100], keep="")
        return f"; {VARIABLE} or {SETTING} agrees to {shown}, and asked is {digest_of(asks)}"

    def _repository(self) -> Repository:
        return open_again(self._own)


class TrialConsent:
    """The consent of a trial: the entry as it stands in the swarm counts, not as it is moved."""

    def __init__(self, consent: LocalConsent, entry: AgentEntry) -> None:
        self._consent = consent
        self._entry = entry

    def require_agent(
        self,
        _entry: AgentEntry,
        _base: str | None = None,
        _programs: Programs | None = None,
    ) -> None:
        self._consent.require_trial(self._entry)

    def require_checks(self, checks: Sequence[Check], base: str | None = None) -> None:
        self._consent.require_checks(checks, base)


def given_digest(repository: Repository) -> str | None:
    """Return the digest that an unattended machine agrees to: `ESAA_ALLOW`, or `esaa.allow`."""
    return os.environ.get(VARIABLE) or repository.setting(SETTING) or None


def never(repository: Repository, ask: Ask) -> str | None:
    """Return why no consent covers something, None where one may."""
    match ask.kind:
        case "variable":
            return variable_fault(ask.what)
        case "endpoint" if ask.detail:
            fault = variable_fault(ask.detail)
            return None if fault is None else f"${ask.detail}: {fault}"
        case "file":
            return path_fault(Path(ask.what), _own_keys(repository))
        case _:
            return None


def _own_keys(repository: Repository) -> Iterator[Path]:
    for name in ("esaa.signingKey", "esaa.nextSigningKey", "esaa.approverKey", "user.signingKey"):
        key = repository.setting(name) or ""
        place = Path(key).expanduser() if key.startswith(("/", "~/")) else None
        if place is not None:
            yield place


def not_allowed(who: str, asks: Sequence[Ask], mismatch: str = "") -> NotAllowed:
    """Return the error that names what was not agreed to."""
    shown = "; ".join(ascii_visible(ask.words()) for ask in asks[:6])
    more = f"; and {len(asks) - 6} more" if len(asks) > 6 else ""
    return NotAllowed(
        f"{who} asks for what you have not agreed to on this machine",
        cause=f"{shown}{more}{mismatch}",
        hint=HINT,
    )


def refused(who: str, ask: Ask, fault: str) -> NotAllowed:
    """Return the error that no consent covers something."""
    return NotAllowed(
        f"{who} asks for what no consent covers: {ascii_visible(ask.words())}",
        cause=fault,
        hint=f"take it out of {ROADMAP}/; no repository gets keys, credentials or agents' sockets",
    )
