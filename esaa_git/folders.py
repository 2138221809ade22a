"""Throwaway folders: only this user can enter them, and in the end they go, whatever is in them."""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Final

from esaa_git.errors import AgentError

_PREFIX: Final = "esaa-"
_LEAST_AGE_SECONDS: Final = 60.0

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

# One open folder a level: far below the 256 open files that a process may have at the least.
_LEVELS: Final = 30

# What a killed program had begun may still reach the disk while we remove it.
_REMOVAL_PAUSES: Final = (0.0, 0.05, 0.2, 1.0)

# FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IMMUTABLE_FL and FS_APPEND_FL of linux/fs.h.
_LONG: Final = struct.calcsize("l")
_GET_FLAGS: Final = 0x80006601 | _LONG << 16
_SET_FLAGS: Final = 0x40006602 | _LONG << 16
_LOCKING_FLAGS: Final = 0x10 | 0x20

_LEAST_ROOM: Final = 1 << 20
"""So many bytes have to fit into the temporary folder: less holds no checkout."""

ROOM: Final = "make room in the temporary folder, or set TMPDIR to another one"


def config_folder() -> Path | None:
    """Return this product's folder in the user's configuration, or None where they have none."""
    base = os.environ.get("XDG_CONFIG_HOME")
    try:
        root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".config"
    except RuntimeError:
        return None
    return root / "git-esaa"


@contextmanager
def throwaway_folder(name: str, again: str = "") -> Iterator[Path]:
    """Make a new folder `esaa-<name>-…` of mode 0700 below TMPDIR, and remove it in the end.

    Its path holds no symlink. It is locked (flock(2)) as long as its process lives, so that those
    of a process that was killed are told from others; they are removed here as well.

    Args:
        again: the path of an earlier one of that name, which is taken if it is free.

    Raises:
        AgentError: if it cannot be made; if TMPDIR names what is no folder to write into, where
            another one would be taken that nobody has named.
    """
    _require_named()
    try:
        prefix = f"{_PREFIX}{name}-"
        top = _made_again(Path(again), prefix) or Path(tempfile.mkdtemp(prefix=prefix)).resolve()
        lock = os.open(top, _FOLDER)
    except OSError as error:
        raise no_room("make a temporary folder", error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        remove_left_behind(top.parent)
        yield top
    finally:
        os.close(lock)
        remove_folder(top)


def _made_again(top: Path, prefix: str) -> Path | None:
    """Return a folder that was made at the place of an earlier one, None if that is not free."""
    if top.parent != Path(tempfile.gettempdir()).resolve() or not top.name.startswith(prefix):
        return None
    try:
        top.mkdir(mode=0o700)
    except OSError:
        return None
    return top


def require_room() -> None:
    """Return if throwaway folders can be made here, with something in them.

    Raises:
        AgentError: as `throwaway_folder`; if there is no room left.
    """
    with throwaway_folder("room") as top:
        try:
            (top / "room").write_bytes(bytes(_LEAST_ROOM))
        except OSError as error:
            raise no_room("write to the temporary folder", error) from error


def _require_named() -> None:
    named = os.environ.get("TMPDIR")
    if not named or (Path(named).is_dir() and os.access(named, os.W_OK | os.X_OK)):
        return
    what = "cannot be written" if Path(named).is_dir() else "is no folder"
    raise AgentError(
        f"the temporary folder '{named}' {what}",
        cause="TMPDIR names it",
        hint=f"run 'mkdir -p {named}', or set TMPDIR to another one",
    )


def remove_left_behind(folder: Path) -> int:
    """Remove the throwaway folders of killed processes, and return how many there were.

    Those of this user that no process holds, and that are older than a minute: one that has just
    been made may not be locked yet.
    """
    count = 0
    for path in sorted(folder.glob(f"{_PREFIX}*-*")):
        try:
            descriptor = os.open(path, _FOLDER)
        except OSError:
            continue
        try:
            info = os.fstat(descriptor)
            is_old = time.time() - info.st_ctime > _LEAST_AGE_SECONDS
            if info.st_uid != os.geteuid() or not is_old:
                continue
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # its process lives
        finally:
            os.close(descriptor)
        remove_folder(path)
        count += 1
    return count


def no_room(what: str, error: OSError) -> AgentError:
    """Return the error that says what could not be written to a temporary folder."""
    return AgentError(
        f"cannot {what}",
        cause=error.strerror or str(error),
        hint=ROOM,
    )


def remove_folder(top: Path) -> None:
    """Remove a folder with all that is below it, whatever modes, flags and depth were left there.

    Every folder is entered through the one above it and never through a symlink, also where a
    program swaps the two meanwhile. Only one that goes on writing there can keep it from going;
    then the rest stays, as an answer is worth more than a clean temporary folder.
    """
    for pause in _REMOVAL_PAUSES:
        time.sleep(pause)
        try:
            above = os.open(top.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                _remove(above, top.name)
            finally:
                os.close(above)
            return
        except FileNotFoundError:
            if not os.path.lexists(top):
                return
        except OSError:
            continue


def _remove(above: int, name: str) -> None:
    try:
        folder = _enter(above, name)
    except NotADirectoryError:
        _unlink(above, name)
        return
    try:
        while _clear(folder, folder, _LEVELS):
            pass
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=above)


def _clear(folder: int, top: int, levels: int) -> bool:
    """Remove what is in a folder, so many levels deep; return whether something moved to the top.

    What is deeper moves there, so that neither open folders nor recursion grow with the depth.
    One entry that stays does not keep the others.
    """
    moved = False
    failed: OSError | None = None
    with os.scandir(folder) as found:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    for name, is_folder in entries:
        try:
            if not is_folder:
                _unlink(folder, name)
                continue
            below = _enter(folder, name)
            try:
                if not levels:
                    os.rename(name, token_hex(16), src_dir_fd=folder, dst_dir_fd=top)
                    moved = True
                    continue
                moved |= _clear(below, top, levels - 1)
            finally:
                os.close(below)
            os.rmdir(name, dir_fd=folder)
        except OSError as error:
            failed = error
    if failed is not None:
        raise failed
    return moved


def _unlink(folder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except PermissionError:
        # A symlink has no flags, and opening a device or a pipe must not wait.
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            _unlock(file)
        finally:
            os.close(file)
        os.unlink(name, dir_fd=folder)


def _enter(above: int, name: str) -> int:
    """Open a folder so that what is in it can be removed.

    Raises:
        NotADirectoryError: if no folder stands there, a symlink among others.
    """
    try:
        folder = os.open(name, _FOLDER, dir_fd=above)
    except PermissionError:
        _open_up(above, name)
        folder = os.open(name, _FOLDER, dir_fd=above)
    try:
        if os.fstat(folder).st_mode & 0o700 != 0o700:
            os.fchmod(folder, 0o700)
        if os.geteuid() == 0:
            _unlock(folder)
    except OSError:
        os.close(folder)
        raise
    return folder


def _open_up(above: int, name: str) -> None:
    """Give a closed folder mode 0700, and nothing if a symlink has taken its place."""
    if sys.platform != "linux":
        os.chmod(name, 0o700, dir_fd=above, follow_symlinks=False)
        return
    # Linux has no chmod that does not follow, but a handle on what was there at one moment.
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
    try:
        os.chmod(f"/proc/self/fd/{handle}", 0o700)  # noqa: PTH101 - as above
    finally:
        os.close(handle)


def _unlock(file: int) -> None:
    """Take the flags away by which root makes something immutable or append-only (chattr(1))."""
    if sys.platform != "linux":
        return
    try:
        # The numbers say `long`; what is passed is an `int` (ioctl_iflags(2), BUGS).
        (found,) = struct.unpack("i", fcntl.ioctl(file, _GET_FLAGS, struct.pack("i", 0)))
        if found & _LOCKING_FLAGS:
            fcntl.ioctl(file, _SET_FLAGS, struct.pack("i", found & ~_LOCKING_FLAGS))
    except OSError:  # a file system without flags
        return
