"""What every confined program may read: the system's folders, and its own installation."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from esaa_git.firstline import LONGEST, program_of_env, words_of

_SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")

_SECRET_FOLDERS: Final = ("/etc/ssh", "/etc/ssl/private", "/etc/sudoers.d", "/etc/NetworkManager")
_DEPTH: Final = 3

PROCESSORS: Final = Path("/sys/devices/system/cpu")
"""How many there are, which many programs size their threads by."""

DEVICES: Final = tuple(Path("/dev", name) for name in ("null", "zero", "full", "random", "urandom"))


def system() -> list[Path]:
    """Return the system's folders that are here, without `/etc`."""
    return [path for path in map(Path, _SYSTEM) if path.exists()]


def open_settings() -> Sequence[Path]:
    """Return what of `/etc` is open to every user of this machine: whole folders where it can."""
    return _settings()[0]


def closed_settings() -> Sequence[Path]:
    """Return what of `/etc` is not."""
    return _settings()[1]


@lru_cache(maxsize=1)
def _settings() -> tuple[list[Path], list[Path]]:
    return _divide(Path("/etc"), _DEPTH)


def _divide(folder: Path, depth: int) -> tuple[list[Path], list[Path]]:
    """Divide what is in a folder into what every user may read and the rest.

    A mode keeps root from nothing, and a group may be the user's; so what is not open to all is
    closed to every program, and a folder that holds such a thing is named in parts.
    """
    is_open: list[Path] = []
    is_closed: list[Path] = []
    for path in sorted(folder.iterdir()):
        try:
            mode = path.stat().st_mode
        except OSError:  # a symlink that leads nowhere, or one that leads where we may not look
            continue
        if str(path) in _SECRET_FOLDERS or not mode & stat.S_IROTH:
            is_closed.append(path)
        elif not stat.S_ISDIR(mode):
            is_open.append(path)
        elif not path.is_symlink():
            below = _divide(path, depth - 1) if depth else ([], [])
            if below[1]:
                is_open += below[0]
                is_closed += below[1]
            else:
                is_open.append(path)
    return is_open, is_closed


def installation(program: str, search_path: str) -> list[Path]:
    """Return what a program may read to run, without anybody having been asked.

    Of what PATH leads to, that is each file on the way from a name to what the kernel starts
    (symlinks, the interpreter of a script, one that `env` finds), and around such a file the prefix
    that it is installed in: a virtual environment, the prefix of an interpreter, the outermost
    `node_modules`. A folder that holds other things as well (the home, `~/.local`, a repository) is
    no prefix. Of any other program it is the file itself, where no link leads to it, and of what
    its first line names only what PATH leads to: who wrote it may be a stranger.

    Args:
        program: an absolute path.
        search_path: the PATH that the program will have.
    """
    found = _places(_chain(Path(program), search_path, is_trusted=False))
    for folder in map(Path, search_path.split(os.pathsep)):
        found += _on_path(folder)
    return list(dict.fromkeys(found))


def asked(program: str, search_path: str) -> list[Path]:
    """Return what a program outside of PATH takes beside that, as if PATH led to it.

    It is the user's to grant (`agents.asking`), and never for a file of a repository.
    """
    given = installation(program, search_path)
    wanted = dict.fromkeys(_places(_chain(Path(program), search_path, is_trusted=True)))
    return [place for place in wanted if not any(place.is_relative_to(path) for path in given)]


def _places(files: Iterable[tuple[Path, bool]]) -> list[Path]:
    found: list[Path] = []
    for file, is_trusted in files:
        if _of_system(file):
            continue
        found.append(file)
        prefix = _prefix(file) if is_trusted else None
        if prefix is not None:
            found.append(prefix)
            found += _base(prefix)
    return found


def _of_system(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in _SYSTEM)


def _is_named(file: Path, search_path: str) -> bool:
    """Answer whether a file is the system's, or lies in a folder of PATH."""
    folders = [Path(os.path.normpath(name)) for name in search_path.split(os.pathsep) if name]
    return _of_system(file) or file.parent in folders


def _on_path(folder: Path) -> list[Path]:
    """Return the installation that a folder of PATH belongs to.

    A folder of shims (pyenv, rbenv, nodenv, asdf) starts what lies beside it under `versions` or
    `installs`, so all of that installation is one.
    """
    if _of_system(folder):
        return []
    if folder.name == "shims":
        root = folder.parent
        return [root] if (root / "versions").is_dir() or (root / "installs").is_dir() else []
    prefix = _prefix(folder / "program")
    return [] if prefix is None else [prefix, *_base(prefix)]


def _chain(path: Path, search_path: str, *, is_trusted: bool) -> Iterator[tuple[Path, bool]]:
    """Yield the file, what it is a symlink to, and so on for its interpreter.

    Args:
        is_trusted: the word of the file counts although PATH does not lead to it.

    Each comes with whether its word counts: by the user's PATH, or by that of a file before it.
    """
    seen: set[Path] = set()
    waiting = [(path, is_trusted)]
    while waiting:
        place, counts = waiting.pop()
        file = Path(os.path.normpath(place))
        if file in seen:
            continue
        seen.add(file)
        real = Path(os.path.realpath(file))
        counts = counts or _is_named(file, search_path)
        if counts or file == real:
            yield file, counts
        if counts and file.is_symlink():
            waiting.append((file.parent / file.readlink(), True))
        if file != real and (counts or _is_named(real, search_path)):
            waiting.append((real, True))
        for name in interpreter(file, search_path):
            if counts or _is_named(Path(os.path.normpath(name)), search_path):
                waiting.append((Path(name), True))


def interpreter(file: Path, search_path: str) -> list[str]:
    """Return the programs that a script's first line names (execve(2), "Interpreter scripts").

    Only what can be executed counts: no folder, and no path that depends on the folder it is
    started in.
    """
    words = _first_line(file)
    if not words:
        return []
    found = [words[0]]
    if Path(words[0]).name == "env":
        name = program_of_env(words[1:])
        if name is not None:
            found.append(name if "/" in name else shutil.which(name, path=search_path) or "")
    return [name for name in found if name.startswith("/") and _is_program(name)]


def named_interpreter(file: Path) -> str | None:
    """Return what the kernel starts in the place of a script, None where it is no script."""
    return next(iter(_first_line(file)), None)


def _first_line(file: Path) -> list[str]:
    try:
        with file.open("rb") as stream:
            return words_of(stream.readline(LONGEST))
    except OSError:
        return []


def _is_program(name: str) -> bool:
    try:
        return Path(name).is_file() and os.access(name, os.X_OK)
    except (OSError, ValueError):
        return False


def _prefix(file: Path) -> Path | None:
    packages = [parent for parent in file.parents if parent.name == "node_modules"]
    if packages:
        return packages[-1]
    prefix = file.parent.parent
    if file.parent.name not in ("bin", "sbin", "Scripts"):
        return None
    if not ((prefix / "pyvenv.cfg").is_file() or (prefix / "lib").is_dir()):
        return None
    home = Path.home()
    holds_more = home.is_relative_to(prefix) or prefix == home / ".local"
    return None if holds_more or (prefix / ".git").exists() else prefix


def _base(prefix: Path) -> list[Path]:
    """Return the installation that a virtual environment borrows from (PEP 405)."""
    try:
        lines = (prefix / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    homes = [
        Path(value.strip())
        for key, _, value in (line.partition("=") for line in lines)
        if key.strip() == "home"
    ]
    return [
        found
        for home in homes
        if home.is_absolute()
        and (found := _prefix(home / "python")) is not None
        and not _of_system(found)
    ]


ROOM_BYTES: Final = 256 << 20
"""How much a program may put into each of `/tmp`, `/run` and `/dev/shm`, which are memory."""


def bubblewrap_arguments(
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
