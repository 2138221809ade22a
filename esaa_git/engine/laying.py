"""Pinned files over the throwaway tree of a check or a reviewer, before it runs.

What acts or judges in such a tree is what `run.init` pinned, whatever the branch or the proposal
holds there: pinned files stand at their own paths, and what lies beside them, at a path that acts
and is pinned nowhere, is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from esaa_git.core.agent_contract import Check
from esaa_git.core.commands import acting
from esaa_git.core.contract_rules import not_pinned
from esaa_git.core.contracts import Contracts
from esaa_git.core.judges import commands, first_lines, paths_of, pinned_globs
from esaa_git.core.programs import Programs
from esaa_git.core.setup import Setup
from esaa_git.engine.engine import Engine
from esaa_git.errors import AgentError
from esaa_git.ports.files import FileEntry

Changes = Mapping[str, FileEntry | None]

APPLY = (
    "put the program there and run 'git esaa plan apply --restart', which pins it; or correct the "
    "command"
)


def require_pinned(checks: Iterable[Check], contracts: Contracts) -> None:
    """Refuse to run a check, or what it runs in, by a program that nobody has pinned.

    No attempt is spent on that.

    Raises:
        AgentError: naming the program, and the command that pins it.
    """
    for check in checks:
        _require(f"check '{check.name}'", check.run, check.setup, contracts)
        if check.setup is not None:
            require_setup([check.setup], contracts)


def require_setup(setups: Iterable[Setup], contracts: Contracts) -> None:
    """Refuse to run a setup by a program that nobody has pinned, as `require_pinned`."""
    for setup in setups:
        for step in setup.steps:
            _require(f"the setup of {setup.owner}", step.run, setup, contracts)


def _require(who: str, words: Sequence[str], setup: Setup | None, contracts: Contracts) -> None:
    programs = contracts.programs
    if programs is None:
        return
    for at, path in acting(words).files.items():
        if setup is not None and setup.makes(path):
            continue
        pin = programs.pin(path)
        if pin is None:
            raise AgentError(not_pinned(who, path), hint=APPLY)
        if at == 0 and pin.mode != "100755":
            raise AgentError(
                f"{who} runs '{path}', which is not executable",
                hint=f"run 'chmod +x {path}', then 'git esaa plan apply --restart'",
            )


def laid(
    engine: Engine,
    contracts: Contracts,
    base: str,
    changes: Changes,
    checks: Sequence[Check] = (),
) -> Changes:
    """Return the changes of a throwaway tree of `base` with the pinned files over them."""
    programs = contracts.programs
    if programs is None:
        return changes
    over: dict[str, FileEntry | None] = dict.fromkeys(
        _beside(engine, contracts, programs, base, changes, checks)
    )
    for pin in programs.pins:
        over[pin.path] = FileEntry(pin.mode, engine.blobs.write(programs.content(pin)))
    return {**changes, **over}


def _beside(
    engine: Engine,
    contracts: Contracts,
    programs: Programs,
    base: str,
    changes: Changes,
    checks: Sequence[Check],
) -> Iterable[str]:
    """Yield what stands in the tree at a path that acts, and is pinned nowhere."""
    words = [command for _, command in commands(contracts)]
    words += [check.run for check in checks]
    named = {path for command in words for path in paths_of(command, contracts)}
    named |= first_lines(programs)
    globs = pinned_globs(contracts)
    pinned = {pin.path for pin in programs.pins}
    there = {*engine.trees.names(base, (*globs.prefixes, *sorted(named)))}
    there |= {path for path, entry in changes.items() if entry is not None}
    for path in sorted(there - pinned):
        if path in named or globs.matches(path):
            yield path


def digest_of(words: Sequence[str], contracts: Contracts) -> str | None:
    """Return the SHA-256 of the pinned program that a command runs, None where it runs none."""
    programs = contracts.programs
    if programs is None:
        return None
    for path in reversed(acting(words).paths):
        pin = programs.pin(path)
        if pin is not None:
            return pin.sha256
    return None
