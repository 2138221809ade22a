"""A program of the swarm: which file it is, the environment and the time that it gets."""

from __future__ import annotations

import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from esaa_git import beneath
from esaa_git.agents.adapter import AdapterContext, Limit, agent_error, limit
from esaa_git.agents.pinned import (
    Laid,
    digest_of,
    laid_out,
    names_pinned,
    not_executable,
    pinned_places,
)
from esaa_git.core.contracts import SWARM, AgentEntry
from esaa_git.core.rejection import RejectCode
from esaa_git.errors import AgentError
from esaa_git.floor import variable_fault
from esaa_git.ports.agent import Answer, Ran, Request, Workspace
from esaa_git.sandbox import confinement
from esaa_git.sandbox.confinement import Place, choose
from esaa_git.sandbox.programs import search_path
from esaa_git.sandbox.runner import NotStarted

PASSED_ON: Final = ("LANG", "LC_ALL", "TZ")
"""Variables that every program gets where they are set, beside those that its entry names."""

EXAMPLE: Final = "example-agent"
"""What 'git esaa init' writes beside the place where a program of one's own is expected."""

WHERE: Final = f"in .roadmap/{SWARM}; it takes effect with the next run"
"""Where a person corrects a setting of an agent, for hints."""

OF_THE_TREE: Final = "'{}' on PATH is a file of this repository, which nobody pins by that name"
BY_ITS_PATH: Final = (
    "name it by its path, with a '/', and run 'git esaa plan apply --restart' to pin it"
)
_WRONG: Final = f"correct 'command' {WHERE}"
_BY_HAND: Final = "run it by hand"
SCRIPT: Final = f"{_BY_HAND}; a script needs a first line as in '#!/usr/bin/env python3'"


class ProgramAgent(ABC):
    """What all agents have that are programs of this machine; a kind of them adds how it is asked.

    Args:
        entry: `settings` hold `command`, and optionally `timeout` (milliseconds), `env` (names),
            `hosts`, `read` (paths) and `limits`.
        context: of the attempt.
    """

    def __init__(self, entry: AgentEntry, context: AdapterContext) -> None:
        self.name = entry.name
        self.adapter = entry.adapter
        self.model = entry.model
        self.has_checkout = True
        self._entry = entry
        self._settings = entry.settings
        self._names: Sequence[str] = entry.settings.get("env", ())
        self._context = context

    @property
    def sandbox(self) -> str:
        """The level of confinement that is in force.

        Raises:
            AgentError: if what was asked for does not work here.
        """
        return choose(self._context.sandbox)

    def ready(self) -> None:
        """Raise AgentError if the program cannot be run, confined, with the variables it wants.

        Whether the operating system then starts it (its interpreter exists, say) shows only when
        it is asked.
        """
        self._require_program()
        check_names(self.name, self._names)
        choose(self._context.sandbox)

    def answer(self, request: Request, pause: Callable[[], None]) -> Answer:
        """Have the program work on a request and return what it proposes, or how it failed.

        What `pause` raises leaves neither a process nor a folder behind; an answer that was
        complete is lost with it. The time that laying out files takes counts; `latency_ms` is
        that of the program.

        Raises:
            AgentError: as `ready`; if the files cannot be laid out or the program not be started;
                if the service behind it refuses its key.
        """
        self.ready()
        began = time.monotonic()
        allowed = limit(request, self._settings.get("timeout"), self._context.clock.now())
        if allowed.milliseconds <= 0:
            return Answer(b"", 0, allowed.failure, RejectCode.AGENT_TIMEOUT)
        answer = self._answer(request, allowed, began + allowed.milliseconds / 1000, pause)
        # It worked in what its setups left, with what their commands were given perhaps.
        named = (*self._names, *(name for setup in self._entry.setups for name in setup.env))
        return replace(answer, handed=handed(named))

    def program(self) -> str:
        """Return the absolute path of the program.

        Raises:
            AgentError: if there is none.
        """
        context = self._context
        return find_program(self.name, self._settings["command"][0], context.root, context.in_tree)

    def _words(self) -> Sequence[str]:
        """Return the words by which it is started, as the entry has them."""
        command: Sequence[str] = self._settings["command"]
        return command

    def _require_program(self) -> None:
        """Raise AgentError if the program is missing, or would run from what is not pinned."""
        words = self._words()
        if names_pinned(self.name, words, self._context) and 0 in pinned_places(
            words, self._context
        ):
            fault = not_executable(self.name, words, self._context)
            if fault is not None:
                raise fault
            return
        self.program()

    @contextmanager
    def _laid(self) -> Iterator[Laid]:
        """Give the command to start, with its program's absolute path."""
        with laid_out(self.name, self._words(), self._context) as laid:
            if 0 in pinned_places(self._words(), self._context):
                yield laid if Path(laid.words[0]).is_absolute() else self._started_by(laid)
            else:
                whole = self._started_by(laid)
                yield replace(whole, read=(*whole.read, *self._own_places(whole.words[0])))

    def _started_by(self, laid: Laid) -> Laid:
        return replace(laid, words=[self.program(), *laid.words[1:]])

    def own_places(self) -> Sequence[Path]:
        """Return what the program is installed in, where the user was asked for that."""
        return self._own_places(self.program())

    def _own_places(self, program: str) -> Sequence[Path]:
        context = self._context
        return own_places(program, context.root, context.in_tree)

    def ran(self) -> Ran:
        """Return the digest of the pinned program that answers, as `NamesWhatRuns` has it."""
        return Ran(program_sha256=digest_of(self._words(), self._context))

    @abstractmethod
    def _answer(
        self, request: Request, allowed: Limit, until: float, pause: Callable[[], None]
    ) -> Answer:
        """Return the answer of the program, which has time until this moment of the clock."""

    def _environment(
        self, request: Request, allowed: Limit, home: Path, tmp: Path, **ours: str
    ) -> dict[str, str]:
        """Return the environment of the program, in which it is told of its attempt."""
        told = {
            "ESAA_TASK": request.task_id,
            "ESAA_ATTEMPT": request.attempt_id,
            "ESAA_DEADLINE": allowed.deadline,
        }
        return environment(self.name, self._names, home=home, tmp=tmp, ours={**told, **ours})

    def _error(self, message: str, cause: str, hint: str) -> AgentError:
        return agent_error(self.name, message, cause, hint)

    def _not_started(self, program: str, error: NotStarted, hint: str = SCRIPT) -> AgentError:
        return self._error(f"'{program}' cannot be started", str(error), hint)


def over_limit(name: str, settings: Mapping[str, Any]) -> str:
    """Return that a program was ended for a limit, how much that is, and where it is set."""
    limits = {**asdict(confinement.DEFAULT_LIMITS), **settings.get("limits", {})}
    return (
        f"was ended for exceeding its limit '{name}' of {limits.get(name)} "
        f"(under 'limits' of the agent in .roadmap/{SWARM})"
    )


def find_program(
    agent: str,
    name: str,
    root: Path | None,
    in_tree: Callable[[str], bool] = lambda _path: False,
) -> str:
    """Return the absolute path of a program.

    Args:
        agent: who wants it, for messages.
        name: a name to look for on PATH, or a path; a relative one starts at `root`.
        root: the top of the operator's checkout, None in a bare repository.
        in_tree: answers whether a file that PATH leads to is one of the tree, which nobody pins by
            that name.

    Raises:
        AgentError: if there is none, it is not executable, or PATH leads to a file of the tree.
    """
    if "/" not in name:
        found = shutil.which(name, path=search_path())
        if found is None:
            raise agent_error(
                agent,
                f"no program '{name}'",
                "none of that name is on PATH",
                f"install it, or {_WRONG}",
            )
        if in_tree(found):
            raise agent_error(
                agent,
                OF_THE_TREE.format(name),
                f"PATH leads to '{found}'",
                BY_ITS_PATH,
            )
        return found
    path = Path(name)
    if not path.is_absolute():
        if root is None:
            raise agent_error(
                agent,
                f"no checkout to look for program '{name}' in",
                "a relative path starts at the top of the checkout, which is missing here",
                _WRONG,
            )
        path = _in_checkout(agent, name, root)
    if not path.is_file():
        example = path.with_name(EXAMPLE)
        begin = f"run 'cp {example} {path}' to begin with the example, or " * example.is_file()
        raise agent_error(agent, f"no program '{name}'", f"looked for '{path}'", f"{begin}{_WRONG}")
    if not os.access(path, os.X_OK):
        raise agent_error(
            agent,
            f"program '{name}' is not executable",
            f"looked at '{path}'",
            f"run 'chmod +x {path}'",
        )
    return str(path)


def require_program(who: str, name: str, in_tree: Callable[[str], bool], where: str) -> None:
    """Look for a program that is named without a '/', and has to be outside of the tree.

    Args:
        where: what a person corrects, and when that takes effect.

    Raises:
        AgentError: if it is missing on PATH, or PATH leads into the tree.
    """
    if "/" in name:
        return
    found = shutil.which(name, path=search_path())
    if found is None:
        raise AgentError(
            f"{who}: no program '{name}'",
            cause="none of that name is on PATH",
            hint=f"install it, or correct {where}",
        )
    if in_tree(found):
        raise AgentError(
            f"{who}: {OF_THE_TREE.format(name)}",
            cause=f"PATH leads to '{found}'",
            hint=BY_ITS_PATH,
        )


def _in_checkout(agent: str, name: str, root: Path) -> Path:
    """Return the place of a program that is named relative to the checkout.

    Raises:
        AgentError: which does not say where a link leads to, nor whether there is something.
    """
    try:
        return beneath.named_file(root, name)
    except beneath.Obstacle as error:
        raise agent_error(
            agent,
            f"'{name}' is no program of the checkout",
            str(error),
            f"put the program itself there, or name one elsewhere by its absolute path {WHERE}",
        ) from error


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


def handed(names: Sequence[str]) -> Mapping[str, str]:
    """Return the variables that programs have because contracts name them, with their values.

    What every program has (`PASSED_ON`) is no secret.
    """
    return {
        name: os.environ[name] for name in names if name in os.environ and name not in PASSED_ON
    }


def check_names(agent: str, names: Sequence[str]) -> None:
    """Raise AgentError if one of the variables cannot be passed on to a program."""
    for name in names:
        if (fault := variable_fault(name)) is not None:
            raise agent_error(
                agent,
                f"'{name}' cannot be passed on",
                fault,
                f"remove it from 'env' in .roadmap/{SWARM}",
            )


def own_places(
    program: str, root: Path | None, in_tree: Callable[[str], bool] = lambda _path: False
) -> Sequence[Path]:
    """Return what a program outside of PATH and the repository is installed in.

    A consent names each of them (`agents.asking`). A file of the repository opens nothing, however
    it is reached.

    Args:
        program: its absolute path.
        root, in_tree: as `find_program` has them.
    """
    real = os.path.realpath(program)
    if in_tree(program) or (root is not None and Path(real).is_relative_to(os.path.realpath(root))):
        return ()
    return confinement.own_places(program)


def place_of(workspace: Workspace, read: Sequence[Path] = ()) -> Place:
    """Return the paths of a throwaway checkout, as confinement takes them.

    Args:
        read: what is to be readable beside it.
    """
    return Place(workspace.path, workspace.home, workspace.tmp, (*workspace.readable, *read))


def start_hint(error: NotStarted) -> str:
    """Return what helps where a program of the swarm was not started."""
    if error.confined:
        return f"{_BY_HAND}, and look at 'hosts' and 'read' of its agent in .roadmap/{SWARM}"
    return SCRIPT
