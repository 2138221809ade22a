"""Checks: a proposed tree is laid out, and the commands that it has to pass run in it, confined."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from esaa_git.agents.environments import (
    Environments,
    SetupFailed,
    SetUpWorkspace,
    program_in,
)
from esaa_git.agents.outcomes import OUTPUT_BYTES, failure_of
from esaa_git.agents.pinned import belongs
from esaa_git.agents.programs import (
    WHERE,
    environment,
    handed,
    own_places,
    place_of,
    require_program,
)
from esaa_git.core import secrets
from esaa_git.core.agent_contract import AGENT_CONTRACT, Check
from esaa_git.core.commands import acting
from esaa_git.core.setup import Setup
from esaa_git.errors import AgentError
from esaa_git.ports.agent import Workspace
from esaa_git.ports.checks import CheckResult
from esaa_git.ports.files import FileEntry
from esaa_git.sandbox.confinement import NotStarted, choose, rules_of, run
from esaa_git.sandbox.processes import Outcome

_WHERE = f"the check in .roadmap/{AGENT_CONTRACT} or in the plan; it takes effect with the next run"

_NOT_FOUND: Final = (126, 127)
"""By these a shell, env(1) and the like say that a program cannot be run, or is not there."""


class ConfinedChecker:
    """Runs checks in a throwaway checkout, as confined as agents are, without any network.

    All checks of one proposal share the checkout, as the steps of a build do: what one leaves
    behind, the next one finds. It is set up as the kind of the task has it. A program named with a
    '/' is looked for in the proposed tree and in what the setup provides, one without on PATH.

    Args:
        environments: gives what lays out checkouts, for the thread that asks.
        sandbox: the confinement that was asked for, as in `AdapterContext`.
        root: the top of the operator's checkout: what a check names in there by an absolute path
            is run from the proposed tree as well.
        in_tree: as in `AdapterContext`.
    """

    def __init__(
        self,
        environments: Callable[[], Environments],
        sandbox: str,
        root: Path | None = None,
        in_tree: Callable[[str], bool] = lambda _path: False,
    ) -> None:
        self._environments = environments
        self._sandbox = sandbox
        self._root = None if root is None else str(root)
        self._in_tree = in_tree

    def ready(self, checks: Sequence[Check]) -> None:
        """Raise AgentError if a program is missing on PATH, or PATH leads into the tree."""
        for check in checks:
            require_program(f"check '{check.name}'", check.run[0], self._in_tree, _WHERE)
        if setups := _setups(checks):
            self._environments().ready(setups)

    def run(
        self,
        checks: Sequence[Check],
        base: str,
        changes: Mapping[str, FileEntry | None],
        pause: Callable[[], None],
    ) -> Sequence[CheckResult]:
        """Run the checks in order, the first that fails last.

        Raises:
            AgentError: if there is no confinement, no room for a checkout, or as `ready`.
        """
        self.ready(checks)
        given = handed([name for setup in _setups(checks) for name in setup.env])
        try:
            results = self._results(checks, base, changes, pause)
        except SetupFailed as error:
            if not error.is_proposed:
                raise
            # What it went by is the proposal's own, so it is for the agent to hear.
            return [CheckResult(checks[0].name, False, error.reason, error.output, 0)]
        # What was set up may hold what its commands were given, and a check be made to print it.
        return [replace(one, output=secrets.blotted(one.output, given)) for one in results]

    def _results(
        self,
        checks: Sequence[Check],
        base: str,
        changes: Mapping[str, FileEntry | None],
        pause: Callable[[], None],
    ) -> Sequence[CheckResult]:
        level = choose(self._sandbox)
        results: list[CheckResult] = []
        with self._environments().open(_setups(checks), base, changes, pause) as workspace:
            for check in checks:
                within = self._within(check, workspace)
                read = self._own_places(within.run[0], workspace)
                results.append(_run(level, within, workspace, read, pause))
                if not results[-1].passed:
                    break
        return results

    def _own_places(self, program: str, workspace: Workspace) -> Sequence[Path]:
        """Return what a check's program is installed in that is named by its absolute path."""
        if not program.startswith("/") or Path(program).is_relative_to(workspace.path):
            return ()
        return own_places(program, None if self._root is None else Path(self._root), self._in_tree)

    def _within(self, check: Check, workspace: Workspace) -> Check:
        """Return the check with the files of the tree that it names as the workspace has them."""
        root, in_tree = self._root, self._in_tree
        if root is None:
            return check
        found = acting(check.run, root, lambda path: belongs(path, root, in_tree))
        inside = {
            at: str(workspace.path / path)
            for at, path in found.files.items()
            if found.words[at].startswith("/")
        }
        if not inside:
            return check
        words = tuple(inside.get(at, word) for at, word in enumerate(found.words))
        return replace(check, run=words)


def _setups(checks: Sequence[Check]) -> Sequence[Setup]:
    """Return what checks run in; those of one task all have the setup of its kind."""
    return tuple(check.setup for check in checks[:1] if check.setup is not None)


def _run(
    level: str,
    check: Check,
    workspace: SetUpWorkspace,
    read: Sequence[Path],
    pause: Callable[[], None],
) -> CheckResult:
    who = f"check '{check.name}'"
    began = time.monotonic()
    try:
        program = program_in(who, check.run[0], check.setup, workspace)
    except AgentError:
        # What is missing may be what the agent was to write, so it is for the agent to hear.
        missing = f"'{check.run[0]}' is no file that can be executed"
        return CheckResult(check.name, False, missing, "", 0, is_runnable=False)
    try:
        outcome = run(
            level,
            [program, *check.run[1:]],
            rules=rules_of({}, place_of(workspace, read), WHERE),
            cwd=workspace.path,
            env={
                **environment(who, (), home=workspace.home, tmp=workspace.tmp, ours={}),
                **workspace.variables,
            },
            body=b"",
            max_output_bytes=OUTPUT_BYTES,
            until=began + check.timeout_ms / 1000,
            pause=pause,
        )
    except NotStarted as error:
        why = f"it cannot be started: {error}"
        return CheckResult(check.name, False, why, "", 0, is_runnable=False)
    duration_ms = int((time.monotonic() - began) * 1000)
    reason, output = failure_of(outcome, check.timeout_ms), _output(outcome, workspace)
    return CheckResult(
        check.name,
        not reason,
        reason,
        output,
        duration_ms,
        is_runnable=not _lacks_program(outcome, check, output),
    )


def _lacks_program(outcome: Outcome, check: Check, output: str) -> bool:
    """Answer whether what the check was to start is not there, by the word of who looked for it."""
    if outcome.status in _NOT_FOUND:
        return True
    words = check.run
    module = words[words.index("-m") + 1] if "-m" in words[:-1] else None
    return (
        module is not None
        and outcome.status == 1
        and output.rstrip().endswith(f": No module named {module.partition('.')[0]}")
    )


def _output(outcome: Outcome, workspace: Workspace) -> str:
    """Return what a check printed, with its folders by the names under which it knows them.

    Where the checkout lay says nothing to a reader, and would make each record another one.
    """
    output = (outcome.output + outcome.stderr).decode("utf-8", "replace")
    for folder, name in (
        (workspace.path, "."),
        (workspace.home, "$HOME"),
        (workspace.tmp, "$TMPDIR"),
    ):
        output = output.replace(str(folder), name)
    return output
