"""Starts a program under sandlock, which is Landlock and seccomp."""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from esaa_git.sandbox.supervisor.tree import prctl

NOWHERE = "255.255.255.255:1"
"""No TCP connection leads there. Where sandlock has no address to compare with, it leaves TCP to
Landlock, which does not see multipath TCP or a connection that begins with data (MSG_FASTOPEN)."""

_PR_CAPBSET_DROP = 24
_LAST_CAPABILITY = 63

# unshare(2), mount(2), mount_setattr(2)
_CLONE_NEWNS = 0x00020000
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWUSER = 0x10000000
_MS_BIND = 0x1000
_MS_REC_PRIVATE = 0x44000
_SYS_MOUNT_SETATTR = 442
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_READ_ONLY = 1


def start(job: Mapping[str, Any], processes: int | None) -> tuple[int, object]:
    """Start the program; return its process, and what has to be kept while it runs.

    Raises:
        Exception: whatever sandlock raises where it cannot.
    """
    if _may_unshare():
        _protect_attributes(job["write"])
    # Root keeps its capabilities under Landlock; without a bounding set it has none after exec.
    if os.geteuid() == 0:
        for number in range(_LAST_CAPABILITY + 1):
            prctl(_PR_CAPBSET_DROP, number)
    # Python adds a variable for its locale to its own environment, which the program would inherit.
    for name in set(os.environ) - set(job["env"]):
        del os.environ[name]
    sys.path.append(job["sandlock"])
    for host in job["hosts"]:
        _look_up(host)
    sandlock = import_module("sandlock")
    sandbox = sandlock.Sandbox(
        fs_readable=job["read"],
        fs_writable=job["write"],
        net_allow=[f"tcp://{host}" for host in job["hosts"] or [NOWHERE]],
        max_processes=processes,
        env=job["env"],
        cwd=job["cwd"],
        no_coredump=True,
    )
    inherit = sandlock.StdioMode.INHERIT
    process = sandbox.popen(job["command"], inherit, inherit, inherit)
    return process.pid, (sandbox, process)


def _look_up(host: str) -> None:
    """See that a host has an address; sandlock, which looks once more, does not say which has none.

    Raises:
        OSError: if it has none.
    """
    name = host.rpartition(":")[0].strip("[]")
    try:
        socket.getaddrinfo(name, None)
    except OSError as error:
        raise OSError(0, f"the host '{name}' has no address ({error.strerror})") from error


def _may_unshare() -> bool:
    """Answer whether the system lets us have a mount namespace; half of one cannot be undone."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _unshare(ctypes.CDLL(None, use_errno=True))
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def _protect_attributes(writable: Sequence[str]) -> None:
    """Make every mount read-only for us and the program, but for what it may write.

    Landlock does not ask when modes, times and extended attributes are changed; a read-only mount
    refuses that. It takes a mount namespace, and where we are not root a user namespace around it;
    where the system allows neither, modes and times outside stay within the program's reach. So do
    message queues, which a namespace of their own keeps apart.

    Raises:
        OSError: if a mount cannot be changed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _unshare(libc)
    paths = [os.fsencode(os.path.realpath(path)) for path in writable]
    for path in paths:
        _check(libc.mount(path, path, None, _MS_BIND, None))
    _set_read_only(libc, b"/", _AT_RECURSIVE, set_=_READ_ONLY)
    for path in paths:
        _set_read_only(libc, path, 0, clear=_READ_ONLY)


def _unshare(libc: ctypes.CDLL) -> None:
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        _check(libc.unshare(_CLONE_NEWNS | _CLONE_NEWIPC))
    else:
        _check(libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWIPC))
        for name, text in (
            ("uid_map", f"{user} {user} 1"),
            ("setgroups", "deny"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with os.fdopen(os.open(f"/proc/self/{name}", os.O_WRONLY), "w") as file:
                file.write(text)
    _check(libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _set_read_only(
    libc: ctypes.CDLL, path: bytes, flags: int, *, set_: int = 0, clear: int = 0
) -> None:
    attributes = (ctypes.c_uint64 * 4)(set_, clear, 0, 0)
    size = ctypes.sizeof(attributes)
    _check(libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, path, flags, attributes, size))
