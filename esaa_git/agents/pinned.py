"""A program of the swarm, run from what is pinned, and not from what a checkout holds.

The pinned files are laid out in a folder of their own, at their own paths, outside of the agent's
checkout; the words of the command that name one of them name its copy there. What a command names
of the tree and nobody has pinned is not started.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from esaa_git.agents.adapter import AdapterContext, agent_error
from esaa_git.agents.scratch import SnapshotFile, lay_out
from esaa_git.core.commands import Acting, acting
from esaa_git.core.printable import visible
from esaa_git.core.programs import Programs
from esaa_git.core.scripts import named_by
from esaa_git.folders import throwaway_folder
from esaa_git.sandbox import confinement

VERSION_SECONDS: Final = 10
"""How long a tool may take to say its version."""

UNWRITTEN: Final = b"still the example of git-esaa"
"""Stands in the example that 'init' writes; a program that holds it was not written yet."""

_PIN: Final = (
    "run 'git esaa plan diff' for what differs, and 'git esaa plan apply --restart' to pin"
)


@dataclass(frozen=True, slots=True)
class Laid:
    """A command that can be started.

    Attributes:
        words: the program and its arguments; what is pinned by the absolute path of its copy.
        read: what it has to be able to read for that.
        env: variables by which Python finds a pinned module, and not one of its folder.
    """

    words: Sequence[str]
    read: Sequence[Path] = ()
    env: Mapping[str, str] = field(default_factory=dict)


def _read(words: Sequence[str], context: AdapterContext) -> Acting:
    if context.root is None:
        return acting(words)
    root = str(context.root.absolute())
    return acting(words, root, lambda path: belongs(path, root, context.in_tree))


def belongs(path: str, root: str, in_tree: Callable[[str], bool]) -> bool:
    """Answer whether an absolute path names a file of the checkout, and not a link out of it.

    What git tracks always does: where a link leads that a push may change is looked at nowhere.
    """
    real = Path(os.path.realpath(path))
    return real.is_relative_to(os.path.realpath(root)) or in_tree(path)


def names_pinned(agent: str, words: Sequence[str], context: AdapterContext) -> bool:
    """Answer whether a command acts by files of the tree, all of which are pinned.

    Raises:
        AgentError: if one of them is not pinned, is the example that nobody has made their own,
            or stands where its copy cannot take its place.
    """
    programs = context.programs
    if programs is None:
        return False
    found = _read(words, context)
    for at, path in found.files.items():
        pin = programs.pin(path)
        if pin is None:
            raise _not_pinned(agent, found.words[at], path, context)
        if UNWRITTEN in programs.content(pin):
            raise agent_error(
                agent,
                f"program '{path}' is still the example, which does no task",
                f"it holds the words '{UNWRITTEN.decode()}'",
                "call your own agent in its 'work()' and delete the line with these words, or name "
                "another program in .roadmap/agents_swarm.yaml; then run 'git esaa allow', and "
                "'git esaa plan apply --restart' where a run is open, else 'git esaa run'",
            )
    # Python alone is told where the copy of a module is.
    others = [path for path in found.modules if programs.pin(path) and not path.endswith(".py")]
    inside = (*found.hidden, *others)
    if inside:
        raise agent_error(
            agent,
            f"'{inside[0]}' cannot be run from what is pinned",
            "it stands inside of a text, or of an option, where its copy cannot take its place",
            "name the program itself as the first word of 'command'",
        )
    _first_lines(agent, found, context)
    return bool(found.files) or any(programs.pin(path) for path in found.modules)


def _first_lines(agent: str, found: Acting, context: AdapterContext) -> None:
    """Refuse a script whose first line names a file of the tree, wherever it is started."""
    programs, root = context.programs, context.root
    assert programs is not None

    def read(path: str) -> bytes | None:
        pin = programs.pin(path)
        return None if pin is None else programs.content(pin)

    top = None if root is None else str(root.absolute())
    for path, script in named_by(
        found.paths,
        read,
        top,
        lambda place: top is not None and belongs(place, top, context.in_tree),
        absent=False,
    ):
        raise agent_error(
            agent,
            f"'{path}' cannot be run from what is pinned",
            f"the first line of '{script}' names it, where its copy cannot take its place",
            f"write '#!/usr/bin/env python3' or the like into '{script}', or name both in "
            "'command'; then run 'git esaa plan apply --restart'",
        )


def pinned_places(words: Sequence[str], context: AdapterContext) -> Mapping[int, str]:
    """Return which words of a command name a file of the tree, and which."""
    return _read(words, context).files


def _not_pinned(agent: str, word: str, path: str, context: AdapterContext) -> Exception:
    place = None if context.root is None else context.root.absolute() / path
    if place is not None and not place.exists():
        example = place.with_name("example-agent")
        begin = f"run 'cp {example} {place}' to begin with the example, or " * example.is_file()
        return agent_error(
            agent,
            f"no program '{word}'",
            f"looked for '{place}'",
            f"{begin}correct 'command' in .roadmap/agents_swarm.yaml; "
            "it takes effect with the next run",
        )
    return agent_error(
        agent, f"program '{path}' is not pinned", "what acts is pinned by a run.init", _PIN
    )


def not_executable(agent: str, words: Sequence[str], context: AdapterContext) -> Exception | None:
    """Return the error for a pinned program that is started by itself and is not executable."""
    path = _read(words, context).files.get(0)
    pin = None if path is None or context.programs is None else context.programs.pin(path)
    if pin is None or pin.mode == "100755":
        return None
    return agent_error(
        agent,
        f"program '{path}' is not executable",
        "it is pinned with mode 100644",
        f"run 'chmod +x {path}', then 'git esaa plan apply --restart'",
    )


@contextmanager
def laid_out(agent: str, words: Sequence[str], context: AdapterContext) -> Iterator[Laid]:
    """Lay out the pinned files for a command, and remove them in the end.

    Raises:
        AgentError: as `names_pinned`; if there is no room.
    """
    programs = context.programs
    if programs is None:
        yield Laid(words)
        return
    pinned = names_pinned(agent, words, context)
    found = _read(words, context)
    env = {"PYTHONSAFEPATH": "1"} if found.modules else {}
    if not pinned:
        yield Laid(found.words, (), env)
        return
    with throwaway_folder("programs") as top:
        folder = top / "pinned"
        folder.mkdir(mode=0o700)
        lay_out(folder, _files(programs))
        copies = {at: str(folder / path) for at, path in found.files.items()}
        if found.modules:
            env["PYTHONPATH"] = str(folder)
        yield Laid([copies.get(at, word) for at, word in enumerate(found.words)], (folder,), env)


def _files(programs: Programs) -> Iterator[SnapshotFile]:
    for pin in programs.pins:
        yield SnapshotFile(pin.path, pin.mode == "100755", programs.content(pin))


def digest_of(words: Sequence[str], context: AdapterContext) -> str | None:
    """Return the SHA-256 of the pinned program that a command runs, None where it runs none."""
    programs = context.programs
    if programs is None:
        return None
    for path in reversed(_read(words, context).paths):
        pin = programs.pin(path)
        if pin is not None:
            return pin.sha256
    return None


def version_of(
    program: str, level: str, env: Mapping[str, str], read: Sequence[Path] = ()
) -> str | None:
    """Return the first line that a tool says of its version, None where it says none.

    It is asked once a process for each file, confined, without a network, for `VERSION_SECONDS` at
    most.

    Args:
        program: its absolute path.
        level: the confinement.
        read: what it is installed in, beside what PATH leads to.
        env: PATH and the variables of the language; HOME and TMPDIR are made for it.
    """
    try:
        status = Path(program).stat()
    except OSError:
        return None
    kept = tuple(sorted((name, env[name]) for name in env if name in ("PATH", "LANG", "LC_ALL")))
    return _version(program, (status.st_mtime_ns, status.st_size), level, kept, tuple(read))


@lru_cache(maxsize=64)
def _version(
    program: str,
    _of: tuple[int, int],
    level: str,
    env: tuple[tuple[str, str], ...],
    read: tuple[Path, ...],
) -> str | None:
    with throwaway_folder("version") as home:
        try:
            outcome = confinement.run(
                level,
                [program, "--version"],
                rules=confinement.Rules(read, (home,)),
                cwd=home,
                env={**dict(env), "HOME": str(home), "TMPDIR": str(home)},
                body=b"",
                max_output_bytes=10_000,
                until=time.monotonic() + VERSION_SECONDS,
                pause=lambda: None,
            )
        except confinement.NotStarted:
            return None
    if outcome.status or outcome.timed_out:
        return None
    lines = outcome.output.decode("utf-8", "replace").strip().splitlines()
    return visible(lines[0], keep="").strip()[:200] or None if lines else None
