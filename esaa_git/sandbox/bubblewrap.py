"""Bubblewrap's command line: namespaces of its own, and of the files what may be seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from esaa_git.sandbox.readpaths import PROCESSORS, closed_settings, system

ROOM_BYTES: Final = 256 << 20
"""How much a program may put into each of `/tmp`, `/run` and `/dev/shm`, which are memory."""


def arguments(
    program: str, command: Sequence[str], *, read: Iterable[Path], write: Iterable[Path], cwd: Path
) -> list[str]:
    """Return the command that runs another one in namespaces of its own (bwrap(1)).

    It sees its own processes alone, with the first of which all others end; no network but a
    loopback of its own; an empty `/tmp`, `/run` and `/dev/shm`; and can make no further user
    namespaces.
    """
    options = ["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent"]
    options += ["--new-session", "--cap-drop", "ALL", "--hostname", "agent"]
    options += ["--proc", "/proc", "--dev", "/dev"]
    for folder in ("/tmp", "/run", "/dev/shm"):  # noqa: S108 - its own, inside
        options += ["--size", str(ROOM_BYTES), "--tmpfs", folder]
    # Many mounts take long, so of /etc there is one, and what is closed has something laid over it.
    options += _bound([*system(), Path("/etc"), PROCESSORS, *read], write)
    for path in closed_settings():
        if not path.is_symlink():
            options += ["--tmpfs"] if path.is_dir() else ["--ro-bind", "/dev/null"]
            options.append(str(path))
    return [program, *options, "--remount-ro", "/", "--chdir", str(cwd), "--", *command]


def _bound(read: Iterable[Path], write: Iterable[Path]) -> list[str]:
    """Return the options for folders and files, each of them inside of none of its kind."""
    places = [("--bind", path) for path in write] + [("--ro-bind-try", path) for path in read]
    kept: list[tuple[str, Path]] = []
    # What lies deeper goes on top of what it lies in; what may be written may be read as well.
    for option, path in sorted(places, key=lambda place: (len(place[1].parts), place[0])):
        around = [kind for kind, folder in kept if path.is_relative_to(folder)]
        if not around or (option == "--bind" and around[-1] != option):
            kept.append((option, path))
    return [word for option, path in kept for word in (option, str(path), str(path))]
