"""The wiring: one repository's parts, made when a command first needs them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from esaa_git.errors import (
    EsaaError,
    KeyUnavailable,
    MismatchError,
    RepositoryError,
    UsageError,
)
from esaa_git.store.repository import Repository, open_repository

if TYPE_CHECKING:
    from esaa_git.core.contracts import AgentEntry, Contracts
    from esaa_git.core.plan import Plan
    from esaa_git.engine.engine import Engine
    from esaa_git.ports.agent import AgentAdapter
    from esaa_git.ports.checks import Audit, Checker
    from esaa_git.store.log import GitEventLog
    from esaa_git.store.trees import GitTrees
    from esaa_git.trust.signer import Signer

ROADMAP = ".roadmap"


class SystemClock:
    """The machine's time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Project:
    """What the commands of one invocation share."""

    def __init__(self, folder: str | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        self.sign_with: str | None = None
        """The key that signs the next run.init, where it is not the orchestrator's."""
        self.repairs = True
        """Whether what killed processes left behind is put right before the log is used."""
        self.sandbox = "auto"
        """The confinement of agents and checks: `none` only where it was asked for by name."""
        self.say: Callable[[str], None] = lambda line: click.echo(line, err=True)

    @cached_property
    def repository(self) -> Repository:
        return open_repository(self.folder)

    @cached_property
    def log(self) -> GitEventLog:
        from esaa_git.app.leftovers import clean_up
        from esaa_git.store.log import GitEventLog

        if self.repairs:
            for line in clean_up(self.repository):
                self.say(line)
        following = self.repository.setting("esaa.nextSigningKey")
        return GitEventLog(
            self.repository,
            self._signer,
            sign_as=self._persons(),
            following=None if following is None else self._following,
        )

    @cached_property
    def trees(self) -> GitTrees:
        from esaa_git.store.trees import GitTrees

        return GitTrees(self.repository)

    @cached_property
    def engine(self) -> Engine:
        """The orchestrator, after it has finished what a crash left undone."""
        from esaa_git.engine.engine import Engine
        from esaa_git.store.branch import GitWorkingBranch
        from esaa_git.store.journal import FileJournal
        from esaa_git.store.merge import GitMerger
        from esaa_git.store.refs import take_turn
        from esaa_git.store.trees import GitBlobs
        from esaa_git.store.workers import FileRoster

        engine = Engine(
            log=self.log,
            trees=self.trees,
            blobs=GitBlobs(self.repository),
            merger=GitMerger(self.repository),
            branch=GitWorkingBranch(self.repository, self.trees),
            journal=FileJournal(self.repository),
            clock=SystemClock(),
            make_agent=self.make_agent,
            new_log_id=lambda: os.urandom(16).hex(),
            roster=FileRoster(self.repository),
            make_checker=self._checker,
            audit=self._audit,
            say=self.say,
            turn=lambda: take_turn(self.repository),
            housekeeping=self._housekeeper(),
        )
        if engine.journal.read() is not None:
            from esaa_git.engine.recovery import recover

            done = recover(engine)
            if done is not None:
                self.say(done)
        return engine

    def actor(self, given: str | None) -> str:
        """Return who acts: `--as`, or whom git's configuration names.

        Raises:
            UsageError: if the name cannot be an actor's.
        """
        import re

        from esaa_git.core.events.spec import ACTOR, GUARD, ORCHESTRATOR

        name = given or self.repository.person()
        if not re.match(ACTOR["pattern"], name) or name in (ORCHESTRATOR, GUARD):
            raise UsageError(
                f"'{name}' cannot be the name of an actor",
                hint="use an e-mail address or a plain name, as in --as alice@example.com",
            )
        return name

    # -- what people edit ---------------------------------------------------------------------

    def roadmap_files(self, branch: str | None = None) -> dict[str, bytes]:
        """Return the files of `.roadmap/`: of the checkout, or of the branch in a bare repository.

        Raises:
            RepositoryError: if there are none.
        """
        workdir = self.repository.workdir
        if workdir is not None:
            folder = workdir / ROADMAP
            found = {
                path.name: path.read_bytes()
                for path in (sorted(folder.iterdir()) if folder.is_dir() else ())
                if path.is_file()
            }
        else:
            found = self._committed_roadmap(branch)
        if not found:
            raise RepositoryError(
                f"there is no '{ROADMAP}' folder here", hint="run 'git esaa init' to write one"
            )
        return found

    def _committed_roadmap(self, branch: str | None) -> dict[str, bytes]:
        name = branch or self.repository.setting("esaa.branch") or "main"
        tip = self.repository.ref_target(f"refs/heads/{name}")
        if tip is None:
            raise RepositoryError(
                f"there is no branch '{name}' to read '{ROADMAP}' from",
                hint="name one with --branch",
            )
        prefix = ROADMAP + "/"
        return {
            path.removeprefix(prefix): self.repository.read(entry.oid)[1]
            for path, entry in self.trees.paths(tip)
            if path.startswith(prefix) and "/" not in path.removeprefix(prefix)
        }

    def contracts(self, branch: str | None = None) -> Contracts:
        """Return the contracts as they stand on disk; those in force are in the log."""
        from esaa_git.core.contracts import Contracts, is_contract_file

        files = self.roadmap_files(branch)
        return Contracts({name: data for name, data in files.items() if is_contract_file(name)})

    def plan(self, branch: str | None = None) -> Plan:
        """Return the plan as it stands on disk."""
        from esaa_git.core.plan import PLAN, load_plan

        data = self.roadmap_files(branch).get(PLAN)
        if data is None:
            raise RepositoryError(
                f"there is no '{ROADMAP}/{PLAN}'", hint="run 'git esaa init' to write one"
            )
        return load_plan(data)

    # -- parts --------------------------------------------------------------------------------

    def _signer(self) -> Signer:
        from esaa_git.app.signing import configured, finish_rotation
        from esaa_git.trust.keys import load_signer

        if finish_rotation(self.repository):
            self.say("note: the new signing key is in force, and signs here from now on")
        spec = configured(self.repository, "esaa.signingKey", "esaa.keyFormat")
        if spec is None:
            raise KeyUnavailable(
                "no signing key is configured for the orchestrator",
                hint="run 'git esaa init' to make one, or set 'git config esaa.signingKey PATH'",
            )
        return load_signer(spec)

    def _following(self) -> Signer:
        from esaa_git.app.signing import NEXT_FORMAT, NEXT_KEY, configured
        from esaa_git.trust.keys import load_signer

        spec = configured(self.repository, NEXT_KEY, NEXT_FORMAT)
        return self.log.signer if spec is None else load_signer(spec)

    def _persons(self) -> dict[str, Callable[[], Signer]]:
        """Return whose key signs which action, where it is a person's and not the orchestrator's.

        What a person decides is signed by nobody else: where the key that is configured cannot
        be used, nothing is recorded.
        """
        persons: dict[str, Callable[[], Signer]] = {}
        approver = self.repository.setting("esaa.approverKey")
        if approver is not None:
            for action in ("approval.grant", "approval.deny"):
                persons[action] = partial(self._person, approver)
        if self.sign_with is not None:
            persons["run.init"] = partial(self._person, self.sign_with)
        return persons

    def _person(self, given: str) -> Signer:
        from esaa_git.trust.keys import load_signer
        from esaa_git.trust.publickey import key_spec

        spec = key_spec(given, self.repository.setting("gpg.program") or "gpg")
        try:
            return load_signer(spec)
        except KeyUnavailable as error:
            if not (error.hint or "").endswith("'git esaa init'"):
                raise
            raise KeyUnavailable(
                error.message,
                cause=error.cause,
                hint="name a private key file, the .pub file of a key in ssh-agent, or the "
                "fingerprint of an OpenPGP key",
            ) from error

    def make_agent(self, entry: AgentEntry, contracts: Contracts) -> AgentAdapter:
        """Return the adapter of an agent of the swarm, with surroundings of its own.

        It is at work in another thread, so it has its own handle on the repository.
        """
        from esaa_git.agents.adapter import Surroundings
        from esaa_git.agents.registry import make_agent
        from esaa_git.checkout.workspace import GitWorkspaces
        from esaa_git.store.trees import GitBlobs, GitTrees

        repository = open_repository(self.repository.git_dir)
        surroundings = Surroundings(
            root=self.repository.workdir,
            trees=GitTrees(repository),
            blobs=GitBlobs(repository),
            workspaces=GitWorkspaces(repository),
            clock=SystemClock(),
            max_output_bytes=contracts.policy.max_output_bytes,
            sandbox=self.sandbox,
            prompt=contracts.prompt,
        )
        return make_agent(entry, surroundings)

    def _housekeeper(self) -> Callable[[int], None]:
        """Return what packs the log's objects now and then; the command waits for it at its end."""
        from esaa_git.store.maintenance import Housekeeper

        keeper = Housekeeper(self.repository, self.say)
        context = click.get_current_context(silent=True)
        if context is not None:
            context.call_on_close(keeper.close)
        return keeper

    def _checker(self) -> Checker:
        from esaa_git.agents.checks import ConfinedChecker
        from esaa_git.checkout.workspace import GitWorkspaces

        folder = self.repository.git_dir
        return ConfinedChecker(lambda: GitWorkspaces(open_repository(folder)), self.sandbox)

    def _audit(self) -> Audit:
        from esaa_git.verify.audit import Auditor

        return Auditor(self.repository).run().audit


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
    from esaa_git.verify.pins import read_mark, read_pin

    mark, anchor = read_mark(pin), read_pin(repository)
    if mark is None and anchor is not None:
        raise MismatchError(
            f"the event log '{repository.events_ref}' is not here, and one that begins with "
            f"{anchor.genesis[:12]} is pinned",
            hint=f"fetch it from a remote, or delete '{trusted}' if another one is to begin",
        )
    if mark is None:
        return False
    raise MismatchError(
        f"the event log '{repository.events_ref}' is gone; {mark.seq} events were verified here",
        hint=f"run 'git update-ref {repository.events_ref} {mark.tip}' to have it back, or delete "
        f"'{pin}' if it is to begin anew",
    )


def check_usable(contracts: Contracts) -> None:
    """Refuse contracts that could not be pinned, before anything is changed because of them."""
    from esaa_git.trust.roles import check_signers

    contracts.check()
    check_signers(contracts)


def finish_interrupted(project: Project) -> None:
    """Finish what a crash left undone, for a command that only reads; say so where it cannot."""
    if not (project.repository.esaa_dir / "followup.json").exists():
        return
    try:
        _ = project.engine
    except EsaaError as error:
        project.say(
            f"note: an interrupted move of the working branch is unfinished: {error.message}"
        )
