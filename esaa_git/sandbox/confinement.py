"""Runs programs confined by the operating system: what they read, write, reach and use up.

A confined program reads the system (`readpaths.system`), its own installation and what its rules
name; writes where its rules say; reaches the hosts that they list. It sees no other process, and
none of the user's files, keys, agents' sockets or repositories. When it ends, or is ended, all that
it started ends with it, daemons included.

Three levels do that, and `choose` says which one serves here:

- `landlock-pid`: sandlock's Landlock, and namespaces of processes, mounts and messages;
- `landlock`: the same where the kernel gives no namespaces: what is not a file of its own is kept
  away by the list of system calls alone;
- `bubblewrap`: namespaces, through the program `bwrap`, where the kernel has no Landlock.

All have the same list of system calls that a program may make (`supervisor.syscalls`).

`none` confines nothing, and has to be asked for by name; that a program keeps to its limits, and
that what it starts ends with it, holds there too, on Linux. What each level does not stop is in
docs/THREAT-MODEL.md.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeAlias

from esaa_git.errors import AgentError
from esaa_git.floor import is_open, path_fault
from esaa_git.given import HOST_FORM, PLACE_FORM, is_host, is_place
from esaa_git.sandbox import processes, runner
from esaa_git.sandbox.processes import Outcome
from esaa_git.sandbox.programs import search_path, startable
from esaa_git.sandbox.readpaths import (
    DEVICES,
    PROCESSORS,
    asked,
    bubblewrap_arguments,
    installation,
    named_interpreter,
    open_settings,
    system,
)
from esaa_git.sandbox.runner import Job, Limits, NotStarted, Supervised

__all__ = [
    "Confined",
    "Limits",
    "NotStarted",
    "Outcome",
    "Place",
    "Rules",
    "choose",
    "make_rules",
    "own_places",
    "rules_of",
    "run",
    "start",
]

Confined: TypeAlias = Supervised

LEVELS: Final = ("landlock-pid", "landlock", "bubblewrap")

_MEANT: Final = {"auto": LEVELS, "landlock": ("landlock-pid", "landlock")}
"""What else is meant than the level itself, the strongest first."""

DEFAULT_LIMITS: Final = Limits(memory_bytes=None, processes=512, disk_bytes=2 << 30)
"""512 processes, 2 GiB of disk, and no limit of memory: runtimes differ too much in it."""

_LEAST_ABI: Final = 6
"""Landlock's version with scopes for signals and abstract sockets, which sandlock requires."""

_CREATE_RULESET: Final = 444
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Rules:
    """What a program may do.

    Attributes:
        read: files and folders, beside the system's and the program's own.
        write: folders, which it may read as well.
        hosts: where it may connect to by TCP, as `name:port` or `address:port`; none is no network.
        limits: what it may use up.
    """

    read: Sequence[Path]
    write: Sequence[Path]
    hosts: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a program works: its checkout, its own two folders, and what it may read beside them.

    Attributes:
        path: the top of the checkout.
        home, tmp: its HOME and its TMPDIR.
        readable: folders outside that have to be readable for it to work in there.
    """

    path: Path
    home: Path
    tmp: Path
    readable: Sequence[Path] = ()


def choose(wanted: str) -> str:
    """Return the level that serves on this machine: one of `LEVELS`, or `none`.

    Args:
        wanted: `auto` for the first that works, in this order without `none`; or one by name, where
            `landlock` is with a process namespace wherever the kernel gives one.

    Raises:
        AgentError: if it does not work here.
    """
    if wanted == "none":
        return wanted
    faults = {}
    for level in _MEANT.get(wanted, (wanted,)):
        fault = _fault(level)
        if fault is None:
            return level
        faults[level] = fault
    raise AgentError(
        "programs cannot be confined on this machine"
        if wanted == "auto"
        else f"programs cannot be confined by {wanted} on this machine",
        cause="; ".join(f"{level}: {fault}" for level, fault in faults.items()),
        hint=(
            "run 'python3 -m pip install sandlock' or install bubblewrap; "
            if sys.platform == "linux"
            else ""
        )
        + "'git esaa run --sandbox none' runs agents with all your rights",
    )


def rules_of(settings: Mapping[str, Any], place: Place, where: str) -> Rules:
    """Return the rules of a program that may write all of its place, as `make_rules`."""
    return make_rules(
        settings, where, read=place.readable, write=(place.path, place.home, place.tmp)
    )


def make_rules(
    settings: Mapping[str, Any], where: str, *, read: Sequence[Path], write: Sequence[Path]
) -> Rules:
    """Return the rules that settings make; the limits they leave out are `DEFAULT_LIMITS`.

    Args:
        settings: of these, `read` (added to the argument), `hosts` and `limits`.
        where: the place where a person corrects them, for the hint: "in FILE".
        read: what it may read beside that.
        write: where it may write.

    Raises:
        AgentError: if `read` names a path that is neither absolute nor begins with `~/`, or `hosts`
            something else than a name or address and a port; if a path is one that no program of a
            repository may read (`floor`).
    """
    for setting, fits, form in (("read", is_place, PLACE_FORM), ("hosts", is_host, HOST_FORM)):
        for name in settings.get(setting, ()):
            if not fits(name):
                raise _wrong(setting, f"'{name}' {form}", where)
    named = [Path(name).expanduser() for name in settings.get("read", ())]
    for path in named:
        if (fault := path_fault(path)) is not None:
            raise _wrong("read", f"'{path}' is never given to a program: {fault}", where)
    hosts = tuple(settings.get("hosts", ()))
    limits = settings.get("limits", {})
    return Rules(
        read=(*read, *named),
        write=tuple(write),
        hosts=hosts,
        limits=Limits(
            memory_bytes=limits.get("memory_bytes", DEFAULT_LIMITS.memory_bytes),
            processes=limits.get("processes", DEFAULT_LIMITS.processes),
            disk_bytes=limits.get("disk_bytes", DEFAULT_LIMITS.disk_bytes),
        ),
    )


def _wrong(setting: str, cause: str, where: str) -> AgentError:
    return AgentError(
        f"'{setting}' cannot be used",
        cause=cause,
        hint=f"correct '{setting}' {where}",
    )


def own_places(program: str) -> list[Path]:
    """Return what a program outside of PATH is installed in, which is not read without consent.

    What holds keys is not among it. `agents.asking` asks for it, and who starts the program by the
    path that its contract has adds it to the rules.

    Args:
        program: an absolute path, which leads to no file of the repository.
    """
    return [place for place in asked(program, search_path()) if is_open(place)]


def run(
    level: str,
    command: Sequence[str],
    *,
    rules: Rules,
    cwd: Path,
    env: Mapping[str, str],
    body: bytes,
    max_output_bytes: int,
    until: float,
    pause: Callable[[], None],
) -> Outcome:
    """Run a program to its end within its rules, and return how it ended.

    Where it runs over its time or its output, all its processes get SIGTERM and, 2 seconds later,
    SIGKILL. However this function is left, nothing of it is left running.

    Args:
        level: what `choose` returned.
        command: the program, as an absolute path, and its arguments.
        rules: what it may do.
        cwd: the folder it starts in.
        env: its whole environment.
        body: its standard input; it may leave it unread.
        max_output_bytes: reading stops one byte after them.
        until: the deadline, on the clock of `time.monotonic`.
        pause: called at least every 50 ms while the program runs; it may raise.

    Raises:
        NotStarted: if the operating system refuses to start it, or to confine it.
    """
    with start(level, command, rules=rules, cwd=cwd, env=env) as program:
        return processes.serve(
            program, body=body, max_output_bytes=max_output_bytes, until=until, pause=pause
        )


def start(
    level: str, command: Sequence[str], *, rules: Rules, cwd: Path, env: Mapping[str, str]
) -> AbstractContextManager[Confined]:
    """Start a program within its rules, to talk to over its pipes; in the end it is ended.

    The arguments are those of `run`. On leaving, all its processes are killed.

    Raises:
        NotStarted: as `run`.
    """
    path = _of_others(env.get("PATH", search_path()), rules.write)
    startable(command[0])
    # What a program is installed beside is its own; a store of keys there is not.
    own = [place for place in installation(command[0], path) if is_open(place)]
    read = [*own, *rules.read]
    write = [*rules.write]
    if level != "none":
        _require_interpreter(command[0], (*system(), *read, *write))
    sandlock = None
    match level:
        case "landlock" | "landlock-pid":
            read += [*system(), *open_settings(), Path("/proc"), PROCESSORS, *DEVICES]
            write.append(Path("/dev/null"))
            read = [path for path in read if _is_there(path)]
            sandlock = _sandlock()
        case "bubblewrap":
            program = shutil.which("bwrap") or "bwrap"
            command = bubblewrap_arguments(program, command, read=read, write=write, cwd=cwd)
        case "none":
            pass
        case unknown:
            raise NotStarted(f"no confinement '{unknown}'")
    job = Job(level, command, cwd, env, read, write, rules.hosts, rules.limits, sandlock)
    return runner.start(job)


def _of_others(path: str, write: Sequence[Path]) -> str:
    """Return a PATH without the folders that a program may write: what lies there opens nothing."""
    return os.pathsep.join(
        folder
        for folder in path.split(os.pathsep)
        if not any(Path(os.path.normpath(folder)).is_relative_to(place) for place in write)
    )


def _require_interpreter(program: str, readable: Sequence[Path]) -> None:
    """Refuse a script whose interpreter it could not read: only an exit status would tell."""
    name = named_interpreter(Path(program))
    if name is None or not name.startswith("/"):
        return
    real = Path(os.path.realpath(name))
    if not any(real.is_relative_to(os.path.realpath(place)) for place in readable):
        raise NotStarted(
            f"its first line names {name[:200]!a}, which the system does not have and PATH does "
            "not lead to",
        )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # not for us to see
        return False


def _sandlock() -> Path | None:
    """Return the folder that sandlock is installed in; importing it here takes too long."""
    found = importlib.util.find_spec("sandlock")
    return None if found is None or found.origin is None else Path(found.origin).parent.parent


@lru_cache(maxsize=len(LEVELS))
def _fault(level: str) -> str | None:
    """Return why a level does not work here, or None after a program ran in it."""
    if sys.platform != "linux":
        return f"there is none on {sys.platform}"
    if level != "bubblewrap":
        if _sandlock() is None:
            return "the package 'sandlock' is not installed"
        if _landlock_version() < _LEAST_ABI:
            return f"the kernel has no Landlock of version {_LEAST_ABI} or later"
    elif shutil.which("bwrap") is None:
        return "the program 'bwrap' is not installed"
    try:
        outcome = run(
            level,
            [shutil.which("true", path="/usr/bin:/bin") or "/bin/true"],
            rules=Rules((), ()),
            cwd=Path("/"),
            env={},
            body=b"",
            max_output_bytes=1000,
            until=time.monotonic() + 20,
            pause=lambda: None,
        )
    except NotStarted as error:
        return str(error)
    if outcome.status != 0:
        return outcome.stderr.decode("utf-8", "replace").strip() or "a program cannot be started"
    return None


def _landlock_version() -> int:
    """Return the version of Landlock in this kernel, or -1 (landlock_create_ruleset(2))."""
    return int(ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, _VERSION))
