"""What the contracts in force and the draft in `.roadmap/` ask of this machine, gathered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pygit2

from esaa_git.app.named_files import RepositoryFiles
from esaa_git.app.roadmap import ROADMAP, read_contracts, read_plan, roadmap_files
from esaa_git.core.agent_contract import make_check
from esaa_git.core.asks import Ask
from esaa_git.core.contracts import Contracts
from esaa_git.core.documents import decode_yaml
from esaa_git.core.plan import PLAN
from esaa_git.errors import EsaaError
from esaa_git.store.repository import Repository

if TYPE_CHECKING:
    from esaa_git.core.agent_contract import Check
    from esaa_git.core.programs import Programs
    from esaa_git.core.setup import Setup
    from esaa_git.core.state import State
    from esaa_git.ports.consent import NamedFiles

IN_FORCE: Final = "in force"
DRAFT: Final = "draft"

Gathered: TypeAlias = tuple[Ask, str, str]
"""An entry, who asks for it, and whether that is in force or a draft."""


class _AsWritten(Contracts):
    """Contracts that are held against no schema, which takes longer than the rest of a status."""

    def _load(self, name: str, schema: str) -> Any:
        return decode_yaml(self.files[name], f".roadmap/{name}")


def gather_briefly(repository: Repository) -> list[Gathered]:
    """Return what contracts and plan ask for, at the least cost.

    Tasks are looked at one by one where the plan gives any of them checks of its own.
    """
    try:
        tasks = _names_checks(roadmap_files(repository, None).get(PLAN, b""))
    except EsaaError:
        tasks = False
    try:
        return gather(repository, tasks=tasks, kind=_AsWritten)[0]
    except (AttributeError, KeyError, TypeError, ValueError):
        return gather(repository, tasks=tasks)[0]  # which says what is wrong with them


def gather(
    repository: Repository,
    *,
    branch: str | None = None,
    used: bool = False,
    tasks: bool = True,
    kind: type[Contracts] = Contracts,
) -> tuple[list[Gathered], list[str]]:
    """Return what contracts and plan ask for, and notes of what could not be read.

    Args:
        branch: in a bare repository, where the draft is read from.
        used: only what a run would go by: an open one by what is in force, a new one by the draft.
        tasks: also the checks that single tasks name.
        kind: how the files are read.
    """
    from esaa_git.store.tip import load_tip

    found: list[Gathered] = []
    notes: list[str] = []
    is_open = False
    in_force: Contracts | None = None
    target = repository.ref_target(repository.events_ref)
    loaded = None if target is None else load_tip(repository, target)
    tip = working_tip(repository)
    if loaded is not None:
        is_open = loaded.state.run.is_open
        if is_open or not used:
            files = RepositoryFiles(repository, tip, loaded.contracts.programs)
            in_force = kind(loaded.contracts.files)
            found += _of(in_force, files, IN_FORCE, None if used else notes)
            found += _of_state(loaded.state, in_force, files) if tasks else ()
    try:
        # What is absent from the checkout stays as it is in force.
        taken_over = {} if loaded is None else loaded.contracts.files
        draft = kind({**taken_over, **read_contracts(repository, branch).files})
        if in_force is not None and draft.files == in_force.files:
            draft = in_force  # which are decoded already
        tasks_here = _tasks_with_checks(repository, branch) if tasks else []
        before = None if loaded is None else loaded.contracts.programs
        trees = [RepositoryFiles(repository, tip, otherwise=before)]
        if not used:
            trees.append(RepositoryFiles(repository, None, otherwise=before))
        for files in trees:
            if not (used and is_open):
                found += _of(draft, files, DRAFT, None if used else notes)
            found += _of_plan(tasks_here, draft, files)
    except EsaaError as error:
        if used and not is_open:
            raise
        workdir = repository.workdir
        if not found or (workdir is not None and (workdir / ROADMAP).exists()):
            notes.append(f"the draft in {ROADMAP}/ cannot be read: {error.message}")
    return found, notes


def of_draft(repository: Repository, *, swarm: bool, kinds: bool) -> list[Ask]:
    """Return what the draft asks for in these of its files."""
    if not (swarm or kinds):
        return []
    draft, files = read_contracts(repository), RepositoryFiles(repository, None)
    found: list[Gathered] = []
    if swarm:
        found += _of_swarm(draft, files, DRAFT)
    if kinds:
        found += _of_kinds(draft, files, DRAFT)
    return [ask for ask, _, _ in found]


def _of(
    contracts: Contracts, files: NamedFiles, where: str, notes: list[str] | None
) -> Iterator[Gathered]:
    yield from _of_swarm(contracts, files, where, notes)
    yield from _of_kinds(contracts, files, where)


def _of_swarm(
    contracts: Contracts, files: NamedFiles, where: str, notes: list[str] | None = None
) -> Iterator[Gathered]:
    """Yield what agents ask for; one that cannot be told is noted, where notes are taken."""
    from esaa_git.agents.registry import asks_of_agent

    for entry in contracts.swarm.agents.values():
        try:
            asks = asks_of_agent(entry, files)
        except EsaaError as error:
            if notes is None:
                raise
            note = f"agent '{entry.name}' ({where}) was left out: {error.message}"
            notes += [] if note in notes else [note]
            continue
        for ask in asks:
            yield ask, f"agent {entry.name}", where


def _of_kinds(contracts: Contracts, files: NamedFiles, where: str) -> Iterator[Gathered]:
    from esaa_git.agents.asking import asks_of_check, asks_of_setup

    for name, kind in contracts.agent.kinds.items():
        if kind.setup is not None:
            for ask in asks_of_setup(kind.setup, files):
                yield ask, f"setup of kind {name}", where
        for check in kind.checks:
            for ask in asks_of_check(replace(check, setup=kind.setup), files):
                yield ask, f"check {check.name} of kind {name}", where


def _of_state(state: State, contracts: Contracts, files: NamedFiles) -> Iterator[Gathered]:
    for task in state.tasks.values():
        if not task.is_done:
            for check in task.checks:
                yield from _of_task(
                    task.task_id,
                    make_check(check.name, check.run, check.timeout, task.task_id),
                    contracts.setup(task.kind),
                    files,
                    IN_FORCE,
                )


def _names_checks(plan: bytes) -> bool:
    """Answer whether a plan may give tasks checks; only an escape spells the key in another way."""
    lines = (line for line in plan.splitlines() if not line.lstrip().startswith(b"#"))
    return any(b"checks" in line or b"\\" in line for line in lines)


def _tasks_with_checks(repository: Repository, branch: str | None) -> Sequence[Mapping[str, Any]]:
    # A long plan takes long to decode.
    if not _names_checks(roadmap_files(repository, branch).get(PLAN, b"")):
        return []
    return [task for task in read_plan(repository, branch).tasks if task.get("checks")]


def _of_plan(
    tasks: Sequence[Mapping[str, Any]], contracts: Contracts, files: NamedFiles
) -> Iterator[Gathered]:
    for task in tasks:
        for check in task.get("checks", ()):
            yield from _of_task(
                task["task_id"],
                make_check(check["name"], check["run"], check.get("timeout"), task["task_id"]),
                contracts.setup(task["kind"]),
                files,
                DRAFT,
            )


def _of_task(
    task_id: str, check: Check, setup: Setup | None, files: NamedFiles, where: str
) -> Iterator[Gathered]:
    from esaa_git.agents.asking import asks_of_check

    for ask in asks_of_check(replace(check, setup=setup), files):
        yield ask, f"check {check.name} of task {task_id}", where


def programs_in_force(repository: Repository) -> Programs | None:
    """Return the pinned programs that an open run goes by; None where the next run pins anew."""
    from esaa_git.store.tip import load_tip

    target = repository.ref_target(repository.events_ref)
    loaded = None if target is None else load_tip(repository, target)
    return loaded.contracts.programs if loaded is not None and loaded.state.run.is_open else None


def working_tip(repository: Repository) -> str | None:
    """Return the commit that the next attempt works on; None where there is none yet."""
    from esaa_git.store.tip import load_tip

    target = repository.ref_target(repository.events_ref)
    if target is not None:
        try:
            run = load_tip(repository, target).state.run
        except EsaaError:
            run = None
        if run is not None and run.is_open and run.branch:
            return repository.ref_target(f"refs/heads/{run.branch.removeprefix('refs/heads/')}")
    try:
        return str(repository.raw.head.target)
    except pygit2.GitError:  # no commit yet
        return None
