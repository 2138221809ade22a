"""Throwaway checkouts in which the setups of a project have been run, for agents and checks alike.

A setup runs confined in a checkout of its own, of a committed tree with the pinned files over it.
What it provides is kept under a digest of its commands and of the files that are its keys, and
copied into each checkout that is worked in whose history holds the commit it was made on. Where a
proposal changes such a file, the setup runs on the proposed tree, and what comes of it is for that
checkout alone.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from esaa_git.agents.kept import Entry, Kept, once
from esaa_git.agents.outcomes import OUTPUT_BYTES, failure_of
from esaa_git.agents.pinned import belongs
from esaa_git.agents.programs import (
    environment,
    find_program,
    handed,
    own_places,
    place_of,
    require_program,
)
from esaa_git.agents.transplant import CannotMove, Moved, put, take
from esaa_git.core import canonical, secrets
from esaa_git.core.commands import acting
from esaa_git.core.globs import GlobSet
from esaa_git.core.printable import printable_output
from esaa_git.core.setup import CHECKOUT, Setup, SetupStep, meets
from esaa_git.errors import AgentError
from esaa_git.firstline import LONGEST, command_of_env, words_of
from esaa_git.folders import no_room
from esaa_git.ports.agent import Diff, Workspace, Workspaces
from esaa_git.ports.files import BlobStore, FileEntry, Trees
from esaa_git.sandbox.confinement import NotStarted, choose, rules_of, run
from esaa_git.sandbox.programs import search_path

_SHOWN: Final = 2000
"""How many characters of it an error shows: the end."""

_WHERE: Final = "in .roadmap/; it takes effect with the next run"
_FORM: Final = 1
"""Goes into each digest; another number and nothing that is kept counts."""

Changes = Mapping[str, FileEntry | None]


class SetupFailed(AgentError):
    """A command of a setup failed.

    Attributes:
        reason: how, in words.
        output: what it printed, without what it was given.
        is_proposed: it ran on a proposed tree, whose own files it was to go by.
    """

    def __init__(self, setup: Setup, step: SetupStep, reason: str, output: str) -> None:
        given = handed(setup.env)
        reason, output = secrets.blotted(reason, given), secrets.blotted(output, given)
        shown = f"{reason}: {output[-_SHOWN:].strip()}" if output.strip() else reason
        super().__init__(
            f"the setup of {setup.owner} failed at '{' '.join(step.run)[:200]}'",
            cause=shown,
            hint=f"correct 'setup' of {setup.owner} in .roadmap/ and run 'git esaa plan apply "
            "--restart', or correct and commit what it goes by in the tree; then 'git esaa run'",
        )
        self.reason = f"the setup '{' '.join(step.run)[:200]}' failed: {reason}"
        self.output = output
        self.is_proposed = False


@dataclass(slots=True)
class SetUpWorkspace:
    """A throwaway checkout with what setups provide; its difference holds nothing of that.

    Attributes:
        readable: what has to be readable outside of it, for git and by the setups.
        variables: what is set for whoever works in it.
    """

    top: Path
    path: Path
    home: Path
    tmp: Path
    readable: Sequence[Path]
    variables: Mapping[str, str]
    inner: Workspace

    def hide(self, paths: Sequence[str]) -> None:
        self.inner.hide(paths)

    def diff(self, max_bytes: int, by_products: Sequence[str] = ()) -> Diff:
        return self.inner.diff(max_bytes, by_products)


@dataclass(frozen=True, slots=True)
class Environments:
    """Opens checkouts that are set up.

    Attributes:
        workspaces, trees, blobs: of the repository, for the thread that asks.
        sandbox: the confinement that was asked for, as in `AdapterContext`.
        kept: where what setups provide is kept.
        root, in_tree: as in `AdapterContext`.
        keeps: answers whether what is made on a commit may be kept for those after it.
    """

    workspaces: Workspaces
    trees: Trees
    blobs: BlobStore
    sandbox: str
    kept: Kept
    root: Path | None
    in_tree: Callable[[str], bool]
    keeps: Callable[[str], bool] = lambda _commit: True

    def ready(self, setups: Sequence[Setup]) -> None:
        """Raise AgentError if a program is missing, or two setups provide one path."""
        seen: dict[str, str] = {}
        for setup in setups:
            for path in setup.provides:
                for other, owner in seen.items():
                    if meets(path, [other]):
                        raise AgentError(
                            f"the setups of {owner} and of {setup.owner} both provide '{path}'",
                            hint=f"give one of them another folder {_WHERE}",
                        )
            seen |= dict.fromkeys(setup.provides, setup.owner)
            for step in setup.steps:
                require_program(
                    f"the setup of {setup.owner}", step.run[0], self.in_tree, f"it {_WHERE}"
                )

    def provide(self, setups: Sequence[Setup], base: str, pause: Callable[[], None]) -> None:
        """Have made and kept what setups provide on a commit, where it is not kept yet.

        Raises:
            AgentError: as `open`.
        """
        self.ready(setups)
        for setup in setups:
            self._look(setup, base, {})
            with self._entry(setup, base, {}, pause):
                pass

    @contextmanager
    def open(
        self,
        setups: Sequence[Setup],
        base: str,
        changes: Changes,
        pause: Callable[[], None],
        begun: Changes | None = None,
        again: str = "",
    ) -> Iterator[SetUpWorkspace]:
        """Lay out a commit with these changes and what its setups provide; remove it in the end.

        Args:
            begun, again: as `Workspaces.open` has them. No setup goes by what is begun.

        Raises:
            SetupFailed: if a command fails.
            AgentError: if there is no room, no confinement, no program, or the tree holds what a
                setup provides.
        """
        self.ready(setups)
        for setup in setups:
            self._look(setup, base, changes)
        with self.workspaces.open(base, changes, begun, again) as inner:
            for setup in setups:
                with self._entry(setup, base, changes, pause) as entry:
                    _lay(setup, entry, inner, pause)
            inner.hide([path for setup in setups for path in setup.provides])
            readable = (*inner.readable, *_read_places(setups, inner))
            variables = _variables(setups, inner.path)
            yield SetUpWorkspace(
                inner.top, inner.path, inner.home, inner.tmp, readable, variables, inner
            )

    def _look(self, setup: Setup, base: str, changes: Changes) -> None:
        """Refuse a tree that holds itself what a setup provides."""
        there = {
            path for path in changes if changes[path] is not None and meets(path, setup.provides)
        }
        tracked = next(iter(self.trees.names(base, setup.provides)), None)
        found = min(there, default=tracked)
        if found is not None:
            raise AgentError(
                f"the setup of {setup.owner} provides '{found}', which the tree holds",
                cause="what is provided is made anew, and is no file of the tree",
                hint=f"run 'git rm -r --cached' on it, or correct 'provides' {_WHERE}",
            )

    @contextmanager
    def _entry(
        self, setup: Setup, base: str, changes: Changes, pause: Callable[[], None]
    ) -> Iterator[Entry]:
        pinned = self._pinned(setup)
        keys = self._keys(setup, base, pinned)
        proposed = {**changes, **pinned}
        is_proposed = self._keys(setup, base, proposed) != keys

        def make(folder: Path) -> tuple[bytes, Moved]:
            return self._made(setup, base, proposed if is_proposed else pinned, folder, pause)

        try:
            if is_proposed:
                with once(make) as entry:
                    yield entry
            else:
                digest = self._digest(setup, keys)
                # The commands saw all of a tree, and its keys say little of what that was: what
                # another branch or a proposal had made for itself is none for this one.
                counts = partial(self.trees.holds, base)
                made_on = base if self.keeps(base) else None
                with self.kept.entry(digest, made_on, counts, make, pause) as entry:
                    yield entry
        except SetupFailed as error:
            error.is_proposed = is_proposed
            raise
        except OSError as error:
            raise no_room(f"keep what the setup of {setup.owner} provides", error) from error

    def _pinned(self, setup: Setup) -> Changes:
        """Return the pinned files, as a tree holds them."""
        programs = setup.programs
        if programs is None:
            return {}
        return {
            pin.path: FileEntry(pin.mode, self.blobs.write(programs.content(pin)))
            for pin in programs.pins
        }

    def _keys(self, setup: Setup, base: str, changes: Changes) -> Mapping[str, FileEntry]:
        """Return the files of a tree that are keys of a setup."""
        globs = GlobSet(setup.keys)
        found = {
            path: entry
            for path, entry in self.trees.paths(base, globs.prefixes)
            if globs.matches(path)
        }
        for path, changed in changes.items():
            if globs.matches(path):
                found.pop(path, None)
                if changed is not None:
                    found[path] = changed
        return found

    def _digest(self, setup: Setup, keys: Mapping[str, FileEntry]) -> str:
        """Return the name under which is kept what a setup makes of these files."""
        programs = () if setup.programs is None else setup.programs.pins
        about = {
            "form": _FORM,
            "steps": [
                {"run": list(step.run), "by": _by(step.run[0]), "given": _sorted(step.given)}
                for step in setup.steps
            ],
            "provides": list(setup.provides),
            "variables": [list(pair) for pair in setup.variables],
            "keys": [[path, one.mode, one.oid] for path, one in sorted(keys.items())],
            "programs": [[pin.path, pin.mode, pin.sha256] for pin in programs],
            "sandbox": choose(self.sandbox),
            # Content is moved to a place with a name of the same length.
            "below": tempfile.gettempdir(),
        }
        return canonical.digest(canonical.encode(about))

    def _made(
        self, setup: Setup, base: str, changes: Changes, folder: Path, pause: Callable[[], None]
    ) -> tuple[bytes, Moved]:
        """Run a setup, and copy what it provides into a folder."""
        with self.workspaces.open(base, changes) as workspace:
            for step in setup.steps:
                self._run(setup, step, workspace, pause)
            moved = Moved()
            place = os.fsencode(workspace.path.parent)
            for path in setup.provides:
                try:
                    take(workspace.path, path, folder, place, pause, moved)
                except CannotMove as error:
                    raise SetupFailed(
                        setup,
                        setup.steps[-1],
                        f"what it was to provide cannot be taken: {error}",
                        "",
                    ) from error
            return place, moved

    def _run(
        self, setup: Setup, step: SetupStep, workspace: Workspace, pause: Callable[[], None]
    ) -> None:
        who = f"the setup of {setup.owner}"
        program = self._program(setup, step, workspace)
        read = (*self._own_places(program, workspace), *_read_places([setup], workspace))
        env = environment(
            who, step.given.get("env", ()), home=workspace.home, tmp=workspace.tmp, ours={}
        )
        try:
            outcome = run(
                choose(self.sandbox),
                [program, *step.run[1:]],
                rules=rules_of(step.given, place_of(workspace, read), _WHERE),
                cwd=workspace.path,
                env={**env, **_variables([setup], workspace.path)},
                body=b"",
                max_output_bytes=OUTPUT_BYTES,
                until=time.monotonic() + step.timeout_ms / 1000,
                pause=pause,
            )
        except NotStarted as error:
            raise SetupFailed(setup, step, f"it cannot be started: {error}", "") from error
        reason = failure_of(outcome, step.timeout_ms)
        if reason:
            said = printable_output(outcome.output + outcome.stderr)
            raise SetupFailed(setup, step, reason, said)

    def _program(self, setup: Setup, step: SetupStep, workspace: Workspace) -> str:
        """Return the absolute path of a command's program: outside, of the tree, or provided.

        Raises:
            AgentError: if there is none; if it would run a file of the person's own checkout.
        """
        who, root = f"the setup of {setup.owner}", self.root
        if root is not None:
            found = acting(step.run, str(root), lambda path: belongs(path, str(root), self.in_tree))
            for at in found.files:
                if found.words[at].startswith("/"):
                    raise AgentError(
                        f"{who} names '{found.words[at]}', a file of your own checkout",
                        hint="name it relative to the top of the repository",
                    )
        return program_in(who, step.run[0], setup, workspace)

    def _own_places(self, program: str, workspace: Workspace) -> Sequence[Path]:
        if Path(program).is_relative_to(workspace.path):
            return ()
        return own_places(program, self.root, self.in_tree)


def started(words: Sequence[str], workspace: SetUpWorkspace) -> Sequence[str]:
    """Return the command of an agent so that its interpreter is none that a setup provides.

    An agent's own program runs from outside of its checkout; what it starts there finds on PATH
    what the setups have put first.
    """
    if "PATH" not in workspace.variables:
        return words
    try:
        with Path(words[0]).open("rb") as file:
            command = command_of_env(words_of(file.readline(LONGEST)))
    except OSError:
        return words
    found = None if command is None else shutil.which(command[0], path=search_path())
    return words if command is None or found is None else [found, *command[1:], *words]


def program_in(who: str, name: str, setup: Setup | None, workspace: Workspace) -> str:
    """Return the absolute path of a program that runs in a checkout which is set up.

    One that a setup provides may be a link to what it was made of, and is run as it stands.

    Raises:
        AgentError: as `find_program`.
    """
    if setup is None or not setup.makes(os.path.normpath(name)):
        return find_program(who, name, workspace.path)
    place = workspace.path / name
    if not os.access(place, os.X_OK) or not place.is_file():
        raise AgentError(
            f"{who}: no program '{name}'",
            cause=f"the setup of {setup.owner} has not made it",
            hint=f"correct 'setup' of {setup.owner} {_WHERE}",
        )
    return str(place)


def _lay(setup: Setup, entry: Entry, workspace: Workspace, pause: Callable[[], None]) -> None:
    """Copy into a checkout what a setup provides.

    Raises:
        AgentError: if something stands there, or there is no room.
    """
    change = (entry.place, os.fsencode(workspace.path.parent))
    try:
        for path in setup.provides:
            put(entry.folder, path, workspace.path, change, entry.placed, pause)
    except CannotMove as error:
        raise AgentError(
            f"what the setup of {setup.owner} provides cannot be laid out",
            cause=str(error),
            hint=f"correct 'provides' {_WHERE}",
        ) from error
    except OSError as error:
        raise no_room(f"lay out what the setup of {setup.owner} provides", error) from error


def _variables(setups: Sequence[Setup], checkout: Path) -> Mapping[str, str]:
    """Return what is set for who works in a checkout, PATH among it where a setup adds to it."""
    found = {}
    for setup in setups:
        for name, value in setup.variables:
            text = value.replace(CHECKOUT, str(checkout))
            found[name] = str(Path(text).expanduser()) if text.startswith("~/") else text
    # The last setup is the nearest: that of the agent itself.
    folders = [str(checkout / folder) for setup in reversed(setups) for folder in setup.path]
    if folders:
        found["PATH"] = os.pathsep.join([*folders, search_path()])
    return found


def _read_places(setups: Sequence[Setup], workspace: Workspace) -> Sequence[Path]:
    """Return what may be read beside a checkout, as the rules of an agent have it."""
    named = {"read": [name for setup in setups for name in setup.read]}
    everything = rules_of(named, place_of(workspace), _WHERE).read
    return [place for place in everything if place not in workspace.readable]


def _by(name: str) -> list[str]:
    """Return what a program on PATH is, so that another one makes another environment."""
    found = name if name.startswith("/") else shutil.which(name, path=search_path())
    if "/" in name and not name.startswith("/"):
        return []
    try:
        status = Path(found or name).stat()
    except OSError:
        return [found or ""]
    return [os.path.realpath(found or name), str(status.st_mtime_ns), str(status.st_size)]


def _sorted(given: Mapping[str, object]) -> Mapping[str, object]:
    return {name: given[name] for name in sorted(given)}
