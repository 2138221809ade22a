"""What the next `run.init` would pin: the contracts of `.roadmap/`, and the programs they name.

A contract file that is absent from the checkout is taken from the contracts in force, and so is a
program that is named and absent: switching branches changes no rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from esaa_git import beneath
from esaa_git.app.named_files import LEFT_OUT
from esaa_git.app.project import Project, has_log
from esaa_git.app.roadmap import read_contracts
from esaa_git.errors import ConfigurationError

if TYPE_CHECKING:
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.plan import Plan
    from esaa_git.core.programs import Programs
    from esaa_git.store.repository import Repository

RESTART: Final = "git esaa plan apply --restart"

_MOST_ENTRIES: Final = 200_000


def wanted_contracts(
    project: Project,
    branch: str | None = None,
    plan: Plan | None = None,
    *,
    whole: bool = True,
) -> Contracts:
    """Return the contracts that a run.init would pin now, with the programs of these tasks too.

    Args:
        whole: refuse those that no run could go by. A swarm can be looked at without the others.

    Raises:
        RepositoryError: if there is no `.roadmap/`.
        ConfigurationError: if a contract cannot be used, or a program not be pinned.
    """
    from esaa_git.core.contracts import Contracts

    files = read_contracts(project.repository, branch).files
    before = None
    if has_log(project):
        before = project.log.load()[1]
        files = {**before.files, **files}
    contracts = Contracts(files)
    if whole:
        contracts.check()
    return Contracts(files, _programs(project, contracts, before, _checks(project, plan), branch))


def taken_over(project: Project, branch: str | None) -> list[str]:
    """Return the contract files that are absent from the checkout and stay as they are in force."""
    if not has_log(project):
        return []
    here = read_contracts(project.repository, branch).files
    return sorted(project.log.load()[1].files.keys() - here.keys())


def _checks(project: Project, plan: Plan | None) -> list[Sequence[str]]:
    """Return the commands that tasks of the plan, and open ones of the log, have as checks."""
    found: list[Sequence[str]] = []
    planned = set()
    for task in () if plan is None else plan.tasks:
        planned.add(task["task_id"])
        found += [check["run"] for check in task.get("checks", ())]
    if has_log(project):
        state, _ = project.log.load()
        for task_id, known in state.tasks.items():
            if task_id not in planned and not known.is_done:
                found += [check.run for check in known.checks]
    return found


def _programs(
    project: Project,
    contracts: Contracts,
    before: Contracts | None,
    checks: Iterable[Sequence[str]],
    branch: str | None,
) -> Programs:
    from esaa_git.agents.pinned import belongs
    from esaa_git.core.commands import acting
    from esaa_git.core.judges import commands, pinned_globs
    from esaa_git.core.programs import Programs, check_bounds
    from esaa_git.core.scripts import named_by
    from esaa_git.core.setup import is_under

    workdir = project.repository.workdir
    root = None if workdir is None else str(workdir)
    commanded = [words for _, words in commands(contracts)]
    tracks = project.repository.tracks

    def inside(path: str) -> bool:
        return root is not None and belongs(path, root, tracks)

    named = {path for words in (*commanded, *checks) for path in acting(words, root, inside).paths}
    globs = pinned_globs(contracts)
    source = _OfBranch(project.repository, branch) if workdir is None else _OfCheckout(workdir)
    matching = {path for path in source.paths(globs.prefixes) if globs.matches(path)}
    found: dict[str, tuple[str, bytes]] = {}

    def take(path: str) -> bytes | None:
        if is_under(path, contracts.provided):
            return None  # what a checkout holds of it is its owner's own
        entry = source.read(path)
        pin = None if before is None or before.programs is None else before.programs.pin(path)
        if entry is None and pin is not None:
            assert before is not None
            assert before.programs is not None
            entry = (pin.mode, before.programs.content(pin))
        if entry is None:
            return None
        found[path] = entry
        return entry[1]

    scripts = sorted(named | matching)
    for path in (*scripts, *(path for path, _ in named_by(scripts, take, root, inside))):
        if path not in found:
            take(path)
    programs = Programs.of(found)
    check_bounds(programs)
    return programs


class _OfCheckout:
    """Programs as they stand in the checkout."""

    def __init__(self, top: Path) -> None:
        self._top = top

    def paths(self, prefixes: Iterable[str]) -> Iterable[str]:
        for prefix in prefixes:
            with _in_words():
                yield from beneath.files_under(self._top, prefix, LEFT_OUT, most=_MOST_ENTRIES)

    def read(self, path: str) -> tuple[str, bytes] | None:
        from esaa_git.core.programs import MAX_BYTES

        if (self._top / path).is_dir() and not (self._top / path).is_symlink():
            return None
        with _in_words():
            found = beneath.read_with_mode(self._top, path, most=MAX_BYTES)
        if found is None:
            return None
        content, executable = found
        return "100755" if executable else "100644", content


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except beneath.Obstacle as error:
        raise ConfigurationError(
            f"a program cannot be pinned: {error}",
            cause="what acts or judges is a regular file, and no link is followed to it",
            hint="put the file itself there, or name what is installed elsewhere by its absolute "
            "path; what is large or many belongs on PATH",
        ) from error


class _OfBranch:
    """Programs as the working branch of a bare repository has them."""

    def __init__(self, repository: Repository, branch: str | None) -> None:
        from esaa_git.store.trees import GitTrees

        self._repository = repository
        self._trees = GitTrees(repository)
        name = branch or repository.setting("esaa.branch") or "main"
        self._tip = repository.ref_target(f"refs/heads/{name}")

    def paths(self, prefixes: Iterable[str]) -> Iterable[str]:
        if self._tip is not None:
            yield from (path for path, _ in self._trees.paths(self._tip, tuple(prefixes)))

    def read(self, path: str) -> tuple[str, bytes] | None:
        from esaa_git.ports.files import NotAFile

        entry = None if self._tip is None else self._trees.entry(self._tip, path)
        if isinstance(entry, NotAFile) and entry.what != "a directory":
            raise ConfigurationError(
                f"a program cannot be pinned: '{path}' is {entry.what}",
                hint="put the file itself there",
            )
        if entry is None or isinstance(entry, NotAFile):
            return None
        return entry.mode, self._repository.read(entry.oid)[1]


def changes(in_force: Contracts | None, wanted: Contracts) -> Mapping[str, str]:
    """Return what became of each pinned program: `new`, `removed`, `content` or `mode`."""
    from esaa_git.core.programs import differences

    return differences(None if in_force is None else in_force.programs, wanted.programs)


def checks_without_program(
    contracts: Contracts, of_tasks: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """Return the checks, of kinds and of tasks, that run nothing which is pinned."""
    from esaa_git.core.judges import runs_nothing_pinned

    kinds = contracts.agent.kinds.items()
    named = {f"{kind}: {check.name}": check.run for kind, one in kinds for check in one.checks}
    found = {**named, **of_tasks}
    return tuple(name for name, run in found.items() if runs_nothing_pinned(run, contracts))


def unread_judges(contracts: Contracts, of_tasks: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
    """Return the checks and reviewers of whose command it cannot be told what it runs, and why.

    What they run of the tree counts as not pinned.
    """
    from esaa_git.core.judges import reviewers, unread

    kinds = contracts.agent.kinds.items()
    named: dict[str, Sequence[str]] = {
        f"check {kind}: {one.name}": one.run for kind, of in kinds for one in of.checks
    }
    named |= {f"check {name}": run for name, run in of_tasks.items()}
    named |= {f"reviewer {name}": words for name, words in reviewers(contracts)}
    return {name: why for name, words in named.items() if (why := unread(words, contracts))}


def unread_in_force(project: Project) -> Mapping[str, str]:
    """Return the same of what is in force, and of the tasks that are still to be done."""
    if not has_log(project):
        return {}
    state, contracts = project.log.load()
    tasks = {
        f"{task_id}: {check.name}": check.run
        for task_id, task in state.tasks.items()
        if not task.is_done
        for check in task.checks
    }
    return unread_judges(contracts, tasks)


def kinds_for_persons(contracts: Contracts) -> tuple[str, ...]:
    """Return the kinds that open a pinned path by name, for which a person decides."""
    from esaa_git.core.judges import opened

    return tuple(kind for kind, one in contracts.agent.kinds.items() if opened(one, contracts))
