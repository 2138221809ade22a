"""The wiring: one repository's parts, made when a command first needs them."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from esaa_git.app.observer import Observer, Silent
from esaa_git.errors import EsaaError, MismatchError, UsageError
from esaa_git.store.repository import Repository, open_again, open_repository

if TYPE_CHECKING:
    from esaa_git.agents.agreed import AgreedAgent
    from esaa_git.app.door import LocalConsent
    from esaa_git.checkout.lazy import LazyCheckouts
    from esaa_git.core.contracts import AgentEntry, Contracts
    from esaa_git.engine.engine import Engine
    from esaa_git.ports.checks import Audit, Checker
    from esaa_git.ports.consent import Consent
    from esaa_git.ports.refs import RefStore
    from esaa_git.store.log import GitEventLog
    from esaa_git.store.refs import GitRefs
    from esaa_git.store.trees import GitTrees
    from esaa_git.trust.signer import Signer


KEPT = "setups"
"""The folder beside the log in which what setups provide is kept."""

SESSIONS = "sessions"
"""The folder beside the log in which agents' own sessions are kept, one a task."""


class SystemClock:
    """The machine's time, and its chance."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def between(self, least: float, most: float) -> float:
        return random.uniform(least, most)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def open_project(
    folder: str | os.PathLike[str] | None = None, *, observer: Observer | None = None
) -> Project:
    """Open the repository that holds a folder, for the use cases to work on.

    Args:
        folder: where it is looked for from; the working directory by default.
        observer: is told what happens meanwhile; by default none is.

    Raises:
        RepositoryError: if there is none, or it is of a kind that cannot be served.
    """
    project = Project(folder, observer)
    _ = project.repository
    return project


class Project:
    """One repository, opened: what the use cases of one invocation share.

    As a context manager it is closed at the end: a packing that is under way is waited for.
    `close`, `folder`, `observer` and `sandbox` are public. All else is internal and may change.

    Args:
        folder: where it is looked for from; the working directory by default.
        observer: is told what happens meanwhile.
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None = None, observer: Observer | None = None
    ) -> None:
        self.folder = None if folder is None else Path(folder)
        self.observer: Observer = Silent() if observer is None else observer
        self.sign_with: str | None = None
        """The key of the person who starts the next run, where it is not the configured one."""
        self.repairs = True
        """Whether what killed processes left behind is put right before the log is used."""
        self.sandbox = "auto"
        """The confinement of agents and checks: `none` only where it was asked for by name."""
        self.agent: str | None = None
        """The agent that is at work under the person's key; what they say names it."""
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for what goes on beside the use cases; what failed there is noted."""
        self._closing.close()

    def beside(self, folder: str | os.PathLike[str]) -> Project:
        """Return another repository, with this one's observer; it is closed with this one."""
        return self._closing.enter_context(Project(folder, self.observer))

    def note(self, text: str) -> None:
        """Tell the observer of this moment a line."""
        self.observer.note(text)

    @cached_property
    def repository(self) -> Repository:
        return open_repository(self.folder)

    @cached_property
    def refs(self) -> GitRefs:
        from esaa_git.store.refs import GitRefs

        return GitRefs(self.repository)

    @cached_property
    def log(self) -> GitEventLog:
        from esaa_git.store.log import GitEventLog
        from esaa_git.store.residue import clean_up
        from esaa_git.trust.signer import SigningKeys

        if self.repairs:
            for line in clean_up(self.repository):
                self.note(line)
        following = self.repository.setting("esaa.nextSigningKey")
        keys = SigningKeys(
            self._signer,
            person=self._person if self._persons_key is not None else None,
            following=None if following is None else self._following,
            alone=self._persons_key is not None
            and self.repository.setting("esaa.signingKey") is None,
        )
        return GitEventLog(self.repository, self.refs, keys)

    @cached_property
    def trees(self) -> GitTrees:
        from esaa_git.store.trees import GitTrees

        return GitTrees(self.repository)

    @cached_property
    def checkouts(self) -> LazyCheckouts:
        from esaa_git.checkout.lazy import LazyCheckouts

        return LazyCheckouts(self.repository)

    def words(self, oid: str) -> bytes:
        """Return what was said, by its blob, for `esaa_git.core.said`.

        Raises:
            KeyError: if it is not here, or is no such thing.
        """
        from esaa_git.core.limits import REFUSAL
        from esaa_git.store.objects import MalformedObject

        try:
            return self.repository.read(oid, REFUSAL)[1]
        except MalformedObject as error:
            raise KeyError(oid) from error

    @cached_property
    def engine(self) -> Engine:
        """The orchestrator, after it has finished what a crash left undone."""
        from esaa_git.app.plain_git import move_over
        from esaa_git.app.preflight import GitPreflight
        from esaa_git.engine.engine import Engine
        from esaa_git.store.branch import GitBranch, GitEffects
        from esaa_git.store.journal import FileJournal
        from esaa_git.store.merge import GitMerger
        from esaa_git.store.trees import GitBlobs
        from esaa_git.store.turns import take_turn
        from esaa_git.store.workers import FileWorkerRegistry

        engine = Engine(
            log=self.log,
            trees=self.trees,
            blobs=GitBlobs(self.repository),
            merger=GitMerger(self.repository),
            branch=GitBranch(self.repository, self.refs),
            effects=GitEffects(self.repository, self.refs, self.trees),
            checkouts=self.checkouts,
            journal=FileJournal(self.repository),
            clock=SystemClock(),
            make_agent=self.make_agent,
            new_log_id=lambda: os.urandom(16).hex(),
            registry=FileWorkerRegistry(self.repository),
            make_checker=self._checker,
            audit=self._audit,
            say=self.note,
            draw=os.urandom,
            starter=lambda: self.person,
            turn=lambda: take_turn(self.repository),
            housekeeping=self._housekeeper(),
            preflight=GitPreflight(self.repository, lambda: self.engine, self.note),
        )
        if engine.journal.read() is not None:
            from esaa_git.engine.transaction import recover

            done = recover(engine)
            if done is not None:
                self.note(done)
        move_over(self.repository, self.note)
        return engine

    def engine_on(self, refs: RefStore) -> Engine:
        """Return the engine on other refs, whose branches are checked out nowhere."""
        from esaa_git.ports.branch import NoCheckouts
        from esaa_git.ports.local import NoJournal
        from esaa_git.store.branch import GitBranch, GitEffects
        from esaa_git.store.log import GitEventLog

        return replace(
            self.engine,
            log=GitEventLog(self.repository, refs, self.log.keys),
            branch=GitBranch(self.repository, refs),
            effects=GitEffects(self.repository, refs, self.trees),
            checkouts=NoCheckouts(),
            journal=NoJournal(),
        )

    def actor(self, given: str | None) -> str:
        """Return who acts: `--as`, or the person whose key is here, or whom git's settings name.

        An agent of the swarm acts for itself, under the orchestrator's key. Any other name that is
        no e-mail address is an agent's too, which works under the key of the person: they are who
        acts, and `agent` has the name.

        Raises:
            UsageError: if the name cannot be an actor's.
        """
        import re

        from esaa_git.core.events.spec import ACTOR, GUARD, ORCHESTRATOR, is_person

        name = given or self.person or self.repository.person()
        if not re.match(ACTOR["pattern"], name) or name in (ORCHESTRATOR, GUARD):
            raise UsageError(
                f"'{name}' cannot be the name of an actor",
                hint="use an e-mail address or a plain name, as in --as alice@example.com",
            )
        self.agent = None
        if given is None or is_person(name) or self.person is None or self._is_in_swarm(name):
            return name
        self.agent = name
        return self.person

    def _is_in_swarm(self, name: str) -> bool:
        return has_log(self) and name in self.log.load()[1].swarm.agents

    @property
    def person(self) -> str | None:
        """The person whose key is configured here, as the contracts name them; None for nobody's.

        A key that a command names (`sign_with`) goes before the one that is configured.
        """
        given = self._persons_key
        if given is None:
            return None
        from esaa_git.app.signing import principal

        return principal(self.repository, given)

    # -- parts --------------------------------------------------------------------------------

    def _signer(self) -> Signer:
        from esaa_git.app.signing import orchestrator

        return orchestrator(self.repository, self.note)

    def _following(self) -> Signer:
        from esaa_git.app.signing import following

        return following(self.repository) or self.log.signer

    @property
    def _persons_key(self) -> str | None:
        return self.sign_with or self.repository.setting("esaa.approverKey") or self._key_made_here

    @cached_property
    def _key_made_here(self) -> str | None:
        """The person's key with which a log can begin where the orchestrator's alone is named."""
        if self.repository.setting("esaa.signingKey") is None or has_log(self):
            return None
        from esaa_git.app.signing import made_here

        return made_here(self.repository)

    def _person(self) -> Signer:
        from esaa_git.app.signing import person

        return person(self.repository, str(self._persons_key))

    @cached_property
    def consent(self) -> LocalConsent:
        """What the user of this machine agreed to, which everything that is started asks."""
        from esaa_git.app.door import LocalConsent

        return LocalConsent(self.repository)

    def make_agent(
        self, entry: AgentEntry, contracts: Contracts, consent: Consent | None = None
    ) -> AgreedAgent:
        """Return the adapter of an agent of the swarm, with context of its own.

        It is at work in another thread, so it has its own handle on the repository.
        """
        from esaa_git.agents.adapter import AdapterContext
        from esaa_git.agents.agreed import AgreedAgent
        from esaa_git.agents.registry import make_agent
        from esaa_git.checkout.workspace import GitWorkspaces
        from esaa_git.store.trees import GitBlobs, GitTrees

        repository = open_again(self.repository)
        context = AdapterContext(
            root=self.repository.workdir,
            trees=GitTrees(repository),
            blobs=GitBlobs(repository),
            workspaces=GitWorkspaces(repository),
            clock=SystemClock(),
            max_output_bytes=contracts.policy.max_output_bytes,
            sandbox=self.sandbox,
            prompt=contracts.prompt,
            programs=contracts.programs,
            in_tree=repository.tracks,
            kept=repository.esaa_dir / KEPT,
            sessions=repository.esaa_dir / SESSIONS,
        )
        made = make_agent(entry, context)
        return AgreedAgent(made, entry, contracts.programs, consent or self.consent)

    def _housekeeper(self) -> Callable[[int], None]:
        """Return what packs the log's objects now and then; `close` waits for it."""
        from esaa_git.store.maintenance import Housekeeper

        keeper = Housekeeper(self.repository, self.note)
        self._closing.callback(keeper.close)
        return keeper

    def _checker(self) -> Checker:
        from esaa_git.agents.agreed import AgreedChecker
        from esaa_git.agents.checks import ConfinedChecker
        from esaa_git.agents.environments import Environments
        from esaa_git.agents.kept import Kept
        from esaa_git.app.asked import working_tip
        from esaa_git.checkout.workspace import GitWorkspaces
        from esaa_git.store.trees import GitBlobs, GitTrees

        here = self.repository

        def environments() -> Environments:
            repository = open_again(here)
            trees = GitTrees(repository)

            def keeps(commit: str) -> bool:
                # What a person only looks at may be merged once it is no longer like this.
                tip = working_tip(repository)
                return tip is not None and trees.holds(tip, commit)

            return Environments(
                GitWorkspaces(repository),
                trees,
                GitBlobs(repository),
                self.sandbox,
                Kept(repository.esaa_dir / KEPT),
                repository.workdir,
                repository.tracks,
                keeps,
            )

        checker = ConfinedChecker(
            environments,
            self.sandbox,
            self.repository.workdir,
            lambda path: open_again(here).tracks(path),
        )
        return AgreedChecker(checker, self.consent)

    def _audit(self) -> Audit:
        from esaa_git.verification.audit import Auditor

        branch = self.log.load()[0].run.branch
        return Auditor(self.repository, judged=branch).run().audit


def has_log(project: Project) -> bool:
    """Answer whether the repository has an event log. A missing log is not an empty one.

    Raises:
        MismatchError: if a log was verified here before, and its ref is gone.
    """
    repository = project.repository
    if repository.ref_target(repository.events_ref) is not None:
        return True
    pin = repository.esaa_dir / "verified.json"
    trusted = repository.esaa_dir / "trust.json"
    if not pin.exists() and not trusted.exists():
        return False
    from esaa_git.verification.pins import read_mark, read_pin

    mark, anchor = read_mark(repository, pin), read_pin(repository)
    if mark is None and anchor is not None:
        raise MismatchError(
            f"the event log '{repository.events_ref}' is not here, and one that begins with "
            f"{anchor.genesis[:12]} is pinned",
            hint="run 'git esaa fetch' where a remote has it, or delete "
            f"'{trusted}' if another one is to begin",
        )
    if mark is None:
        return False
    raise MismatchError(
        f"the event log '{repository.events_ref}' is gone; {mark.seq} events were verified here",
        cause="it may have had more: events that were recorded since are not lost as long as git "
        "keeps their commits",
        hint="run 'git esaa fetch' where a remote has it; or look for its last event with 'git "
        f"fsck --lost-found --no-progress' and run 'git update-ref {repository.events_ref} "
        f"COMMIT' with that, at the least {mark.tip}, then 'git esaa verify --full'. Delete "
        f"'{pin}' only if it is to begin anew",
    )


def finish_interrupted(project: Project) -> None:
    """Finish what a crash left undone, for a command that only reads; say so where it cannot."""
    if not (project.repository.esaa_dir / "followup.json").exists():
        return
    try:
        _ = project.engine
    except EsaaError as error:
        project.note(
            f"note: an interrupted move of the working branch is unfinished: {error.message}"
        )
