"""Which file a program of the swarm is, and the environment that it gets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from esaa_git.core.contracts import SWARM
from esaa_git.errors import AgentError
from esaa_git.ports.agent import Request, Workspace
from esaa_git.sandbox.confinement import Place
from esaa_git.sandbox.programs import search_path
from esaa_git.sandbox.runner import NotStarted

PASSED_ON: Final = ("LANG", "LC_ALL", "TZ")
"""Variables that every program gets where they are set, beside those that its entry names."""

EXAMPLE: Final = "example-agent"
"""What 'git esaa init' writes beside the place where a program of one's own is expected."""

# Ours to set, or the way to somebody's keys and repositories.
_REFUSED: Final = ("HOME", "TMPDIR", "SSH_AUTH_SOCK")
_REFUSED_PREFIXES: Final = ("ESAA_", "GIT_")

WHERE: Final = f"in .roadmap/{SWARM}; it takes effect with the next run"
"""Where a person corrects a setting of an agent, for hints."""

_WRONG: Final = f"correct 'command' {WHERE}"
_BY_HAND: Final = "run it by hand"


def find_program(agent: str, name: str, root: Path | None) -> str:
    """Return the absolute path of a program.

    Args:
        agent: who wants it, for messages.
        name: a name to look for on PATH, or a path; a relative one starts at `root`.
        root: the top of the operator's checkout, None in a bare repository.

    Raises:
        AgentError: if there is none, or it is not executable.
    """
    if "/" not in name:
        found = shutil.which(name, path=search_path())
        if found is None:
            raise _error(
                agent,
                f"no program '{name}'",
                "none of that name is on PATH",
                f"install it, or {_WRONG}",
            )
        return found
    path = Path(name)
    if not path.is_absolute():
        if root is None:
            raise _error(
                agent,
                f"no checkout to look for program '{name}' in",
                "a relative path starts at the top of the checkout, which is missing here",
                _WRONG,
            )
        path = root.absolute() / path
    if not path.is_file():
        example = path.with_name(EXAMPLE)
        begin = f"run 'cp {example} {path}' to begin with the example, or " * example.is_file()
        raise _error(agent, f"no program '{name}'", f"looked for '{path}'", f"{begin}{_WRONG}")
    if not os.access(path, os.X_OK):
        raise _error(
            agent,
            f"program '{name}' is not executable",
            f"looked at '{path}'",
            f"run 'chmod +x {path}'",
        )
    return str(path)


def environment(
    agent: str, names: Sequence[str], *, home: Path, tmp: Path, ours: Mapping[str, str]
) -> dict[str, str]:
    """Return the whole environment of a program: what is ours to say, and few variables of here.

    PATH, HOME, TMPDIR and `ours`, then `PASSED_ON` and `names` where they are set.

    Args:
        agent: whose it is, for messages.
        names: the variables that its entry passes on.
        home, tmp: folders of its own.
        ours: variables that we add.

    Raises:
        AgentError: as `check_names`.
    """
    check_names(agent, names)
    passed_on = {name: os.environ[name] for name in (*PASSED_ON, *names) if name in os.environ}
    return passed_on | {
        "PATH": search_path(),
        "HOME": str(home),
        "TMPDIR": str(tmp),
        **ours,
    }


def attempt_variables(request: Request, deadline: str) -> dict[str, str]:
    """Return what a program is told of its attempt in its environment."""
    return {
        "ESAA_TASK": request.task_id,
        "ESAA_ATTEMPT": request.attempt_id,
        "ESAA_DEADLINE": deadline,
    }


def check_names(agent: str, names: Sequence[str]) -> None:
    """Raise AgentError if one of the variables cannot be passed on to a program."""
    for name in names:
        if name in _REFUSED or name.startswith(_REFUSED_PREFIXES):
            raise _error(
                agent,
                f"'{name}' cannot be passed on",
                "an agent has a home of its own, and neither git's variables nor keys",
                f"remove it from 'env' in .roadmap/{SWARM}",
            )


def place_of(workspace: Workspace) -> Place:
    """Return the paths of a throwaway checkout, as confinement takes them."""
    return Place(workspace.path, workspace.home, workspace.tmp, tuple(workspace.readable))


def start_hint(error: NotStarted) -> str:
    """Return what helps where a program of the swarm was not started."""
    if error.confined:
        return f"{_BY_HAND}, and look at 'hosts' and 'read' of its agent in .roadmap/{SWARM}"
    return f"{_BY_HAND}; a script needs a first line as in '#!/usr/bin/env python3'"


def _error(agent: str, message: str, cause: str, hint: str) -> AgentError:
    return AgentError(f"agent '{agent}': {message}", cause=cause, hint=hint)
