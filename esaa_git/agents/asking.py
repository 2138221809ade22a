"""What agents and checks ask of this machine, as entries of a consent (`core.asks`).

Each adapter says what its entries ask for; here is what they have in common: a command with every
file of the tree that it names, and what is given to it.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from esaa_git.core.agent_contract import Check
from esaa_git.core.asks import ABSENT, Ask
from esaa_git.core.commands import acting
from esaa_git.core.contracts import AgentEntry
from esaa_git.core.programs import AGENTS
from esaa_git.core.scripts import named_by
from esaa_git.core.setup import Setup
from esaa_git.ports.consent import NamedFiles

_PIECES: Final = re.compile(r"""[\s'"`=;|&<>(){}\[\]$,:]+""")
"""Between the words of an argument that is itself a command, a list or `--option=value`."""

_MOST_PATHS: Final = 5000
"""More is not looked for: then any file of the tree counts."""

_WORKS_IN: Final = frozenset(
    {"-C", "--directory", "--cwd", "--chdir", "--prefix", "--working-directory", "--project"}
)

_STARTS_IN: Final = ("__main__.py", "index.js", "index.mjs", "package.json")
"""What an interpreter starts that is given a folder."""


def asks_of_check(check: Check, files: NamedFiles) -> Iterator[Ask]:
    """Yield what a check asks for, without the setup that it runs in.

    Its program is looked for in the tree, or on PATH.
    """
    command = _located(check.run, files)
    yield Ask(command, "program", command)
    yield from _installed(command, check.run[0], files)
    yield from _contents(command, check.run, files, program_in_tree=True, setup=check.setup)


def asks_of_setup(setup: Setup, files: NamedFiles) -> Iterator[Ask]:
    """Yield what a setup asks for: its commands, what each is given, and what is read after them.

    The variables that it sets stand before each command, as a shell has it.
    """
    sets = "".join(f"{name}={shlex.quote(value)} " for name, value in setup.variables)
    for step in setup.steps:
        command = plain(sets) + _located(step.run, files)
        yield Ask(command, "program", command)
        yield from _installed(command, step.run[0], files)
        yield from _contents(command, step.run, files, program_in_tree=True, setup=setup)
        yield from asks_given(command, step.given)
    for name in setup.read:
        yield Ask(f"whatever works in the setup of {setup.owner}", "file", plain(name))


def asks_of_program(entry: AgentEntry, files: NamedFiles) -> Iterator[Ask]:
    """Yield what an agent asks for that is a program with a `command`."""
    yield from asks_of_command(entry.settings["command"], entry.settings, files)


def asks_of_command(
    argv: Sequence[str], settings: Mapping[str, Any], files: NamedFiles
) -> Iterator[Ask]:
    """Yield what a command of the swarm asks for: to be started, and what it is given."""
    command = _located(argv, files)
    yield Ask(command, "program", command)
    yield from _installed(command, argv[0], files)
    yield from _contents(command, argv, files, program_in_tree=False)
    yield from asks_given(command, settings)


def asks_given(to: str, settings: Mapping[str, Any]) -> Iterator[Ask]:
    """Yield the variables, files and hosts that settings give to a program."""
    for setting, kind in (("env", "variable"), ("read", "file"), ("hosts", "host")):
        for name in settings.get(setting, ()):
            yield Ask(to, kind, plain(str(name)))


def asks_of_stranger(entry: AgentEntry) -> Iterator[Ask]:
    """Yield what an entry asks for of whose settings we know nothing: all that stands in it."""
    what = f"the adapter '{entry.adapter}'"
    if entry.package is not None:
        what += f" of the package '{entry.package}'"
    settings = {**entry.settings, **({} if entry.model is None else {"model": entry.model})}
    written = json.dumps(settings, ensure_ascii=False, sort_keys=True, default=str)
    yield Ask(plain(what), "adapter", plain(what), plain(written))


def ask_for_path(to: str, name: str, files: NamedFiles) -> Ask:
    """Return what it takes to read a file or folder that an adapter of ours opens itself.

    One of the checkout is asked for by its content, any other by its path.
    """
    root = files.root
    path = _inside(name, root)
    real = None if root is None else os.path.realpath(root / name)
    if path is None or (root is not None and _inside(str(real), root) is None):
        return Ask(to, "file", plain(name if real is None else real))
    return Ask(to, "content", plain(path), files.on_disk(path) or ABSENT)


def plain(text: str) -> str:
    """Return a text without lone surrogates, which stand for bytes that are no UTF-8."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "backslashreplace")


def _located(argv: Sequence[str], files: NamedFiles) -> str:
    """Return a whole command as one text: a program on PATH by the path that it is found under."""
    program, *arguments = argv
    if "/" not in program:
        program = files.which(program) or program
    elif not Path(program).is_absolute():
        # './x' and 'x' are one file of the tree, and 'x' alone would be a name on PATH.
        program = f"./{os.path.normpath(program)}"
    return plain(shlex.join([program, *arguments]))


def _installed(command: str, program: str, files: NamedFiles) -> Iterator[Ask]:
    """Yield the places that a program outside of PATH and the tree reads to run at all."""
    if program.startswith("/"):
        for place in files.installed(program):
            yield Ask(command, "file", plain(place))


def _contents(
    command: str,
    argv: Sequence[str],
    files: NamedFiles,
    *,
    program_in_tree: bool,
    setup: Setup | None = None,
) -> Iterator[Ask]:
    """Yield the files of the tree that a command names, each by its content.

    What its setup provides is no file of the tree: it comes of commands that are asked for.
    """
    program, *arguments = argv
    found: dict[str, str] = {}
    place = program if "/" in program else files.which(program) or ""
    path = _inside(place, files.root)
    if path is not None:
        look = files.in_tree if program_in_tree and "/" in program else files.on_disk
        found[path] = look(path) or ABSENT
    root = None if files.root is None else str(files.root.absolute())
    read = acting(argv, root)
    doubts = dict.fromkeys(read.unread)
    folders = dict.fromkeys((read.folder, *(named_folders(arguments, read.folder))))
    named = dict.fromkeys(read.paths)
    for path in named_paths(arguments, files.root, tuple(folders)):
        if len(named) > _MOST_PATHS:
            doubts["it names more than is read"] = None
            break
        named[path] = None
    for path in named:
        digest = files.in_tree(path)
        if digest is not None and path not in found:
            found[path] = digest
    for folder in read.folders:
        below = files.under(folder)
        if below is None:
            doubts[f"more lies in '{folder}' than one can show"] = None
        found = {**dict(below or ()), **found}
    scripts = tuple(found)
    starts = files.beginning_in_tree if program_in_tree else files.beginning
    for below_it, _ in named_by(
        scripts,
        lambda script: starts(script) if script == path else files.beginning_in_tree(script),
        root,
        doubt=lambda why: doubts.setdefault(why, None),
    ):
        found.setdefault(below_it, files.in_tree(below_it) or ABSENT)
    if not program_in_tree and any(path.startswith(AGENTS) for path in found):
        # They are laid out together, so one may load another.
        found |= dict(files.of_agents())
    if doubts:
        yield Ask(command, "tree", plain("; ".join(doubts)), files.whole())
    for path, digest in found.items():
        if setup is None or not setup.makes(path):
            yield Ask(command, "content", plain(path), digest)


def named_folders(arguments: Sequence[str], folder: str) -> Iterator[str]:
    """Yield the folders in which arguments have a program work, as the `-C` of make and git."""
    for at, argument in enumerate(arguments):
        name, has_value, value = argument.partition("=")
        if name in _WORKS_IN:
            yield posixpath.join(
                folder, value if has_value else "".join(arguments[at + 1 : at + 2])
            )
        elif argument.startswith("-C"):
            yield posixpath.join(folder, argument[2:])


def named_paths(
    arguments: Iterable[str], root: Path | None, folders: Sequence[str] = ("",)
) -> Iterator[str]:
    """Yield the paths of the tree that arguments may name, whether or not there is such a file.

    Also looked at are the words of an argument (`sh -c TEXT`, `--option=FILE`, `-fFILE`), and what
    an interpreter starts in a folder.

    Args:
        folders: those that a name may be relative to.
    """
    for argument in arguments:
        pieces = [argument, *_PIECES.split(argument)]
        pieces += [piece[2:] for piece in pieces if len(piece) > 2 and piece[0] == "-"]
        pieces += [piece[1:] for piece in pieces if piece[:1] in ("@", "+")]
        for piece in dict.fromkeys(pieces):
            for folder in folders:
                path = _inside(posixpath.join(folder, piece) if piece else "", root)
                if path is not None:
                    yield path
                    yield from (f"{path}/{name}" for name in _STARTS_IN)


def _inside(name: str, root: Path | None) -> str | None:
    """Return a path as the tree has it, None for one that leads out of it."""
    if not name or "\0" in name:
        return None
    path = name
    if Path(name).is_absolute():
        if root is None:
            return None
        place, top = os.path.normpath(name), os.path.normpath(root.absolute())
        if not place.startswith(f"{top}{os.sep}"):
            place, top = os.path.realpath(name), os.path.realpath(root)
        if not place.startswith(f"{top}{os.sep}"):
            return None
        path = place[len(top) + 1 :]
    path = os.path.normpath(path).replace(os.sep, "/")
    return None if path == "." or path == ".." or path.startswith("../") else path
