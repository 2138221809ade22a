"""Starts a program under sandlock, which is Landlock, and under a filter of system calls.

Where the kernel gives namespaces (`landlock-pid`), a warden stands between the supervisor and the
program: the first process of a namespace that holds nothing but the two. What the program starts is
gone with the warden, which the program can neither signal, limit nor trace. Elsewhere (`landlock`)
the supervisor does the warden's work itself.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

from esaa_git.sandbox.supervisor.limits import hold
from esaa_git.sandbox.supervisor.syscalls import seccomp_filter
from esaa_git.sandbox.supervisor.tree import prctl, silence

NOWHERE = "255.255.255.255:1"
"""No TCP connection leads there. Where sandlock has no address to compare with, it leaves TCP to
Landlock, which does not see multipath TCP or a connection that begins with data (MSG_FASTOPEN)."""

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_LAST_CAPABILITY = 63

# clone(2), unshare(2), mount(2), mount_setattr(2), seccomp(2)
_CLONE_NEWNS = 0x00020000
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWPID = 0x20000000
_MS_BIND = 0x1000
_MS_REC_PRIVATE = 0x44000
_MS_NOSUID_NODEV_NOEXEC = 0xE
_SYS_MOUNT_SETATTR = 442
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_READ_ONLY = 1
_FILTER_MODE = 1

_SYS_CLONE = {"x86_64": 56, "aarch64": 220}
_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}


def start(job: Mapping[str, Any], processes: int | None) -> tuple[int, object]:
    """Start the program; return its process or its warden's, and what has to be kept meanwhile.

    Raises:
        Exception: whatever sandlock raises where it cannot.
        OSError: if the namespaces that the level names are not given.
    """
    if job["level"] == "landlock-pid":
        return _start_warden(job, processes), None
    own_ipc = _may_unshare()
    if own_ipc:
        _unshare(ctypes.CDLL(None, use_errno=True))
        _protect_attributes(job["write"])
    pid, kept = _start(job, processes, own_processes=False, own_ipc=own_ipc)
    # It runs already: until here it can lift what was lent, and the watch sees that.
    with suppress(ProcessLookupError, PermissionError):
        hold(pid, job["limits"])
    return pid, kept


def _start(
    job: Mapping[str, Any], processes: int | None, *, own_processes: bool, own_ipc: bool
) -> tuple[int, object]:
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
        extra_deny_syscalls=["pidfd_open", "pidfd_getfd", "process_vm_readv", "process_vm_writev"],
    )
    program = seccomp_filter(
        os.uname().machine,
        own_processes=own_processes,
        own_ipc=own_ipc,
        own_files=False,
        by_sandlock=True,
    )
    started: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def in_a_thread_of_its_own() -> None:
        """A filter holds for the thread that installs it, and for all that this one starts.

        The thread stays: sandlock has the program die with whoever started it.
        """
        try:
            if program is not None:
                _install(program)
            inherit = sandlock.StdioMode.INHERIT
            started.put(sandbox.popen(job["command"], inherit, inherit, inherit))
        except Exception as error:
            started.put(error)
        threading.Event().wait()

    threading.Thread(target=in_a_thread_of_its_own, daemon=True).start()
    process = started.get()
    if isinstance(process, Exception):
        raise process
    return process.pid, (sandbox, process)


def _install(program: bytes) -> None:
    """Install a filter of system calls for this thread.

    Raises:
        OSError: if the kernel takes none.
    """

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    held = ctypes.create_string_buffer(program, len(program))
    given = Program(len(program) // 8, ctypes.cast(held, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    number = _SYS_SECCOMP[os.uname().machine]
    _check(libc.syscall(number, _FILTER_MODE, 0, ctypes.byref(given)))


# -- the warden -------------------------------------------------------------------------------


def _start_warden(job: Mapping[str, Any], processes: int | None) -> int:
    """Start the warden and, through it, the program; return the warden's process."""
    libc = ctypes.CDLL(None, use_errno=True)
    told, tells = os.pipe()
    user, group = os.geteuid(), os.getegid()
    flags = _CLONE_NEWPID | _CLONE_NEWNS | _CLONE_NEWIPC | (_CLONE_NEWUSER if user else 0)
    number = _SYS_CLONE.get(os.uname().machine)
    if number is None:
        raise OSError(0, f"how to start a process namespace on {os.uname().machine} is not known")
    # As fork(2), in namespaces of its own; there is one thread, and no lock is held.
    warden = libc.syscall(number, ctypes.c_ulong(flags | signal.SIGCHLD), None, None, None, None)
    if warden == 0:
        os.close(told)
        _serve(libc, job, processes, tells, user, group)
    os.close(tells)
    _check(min(warden, 0))
    with os.fdopen(told, "rb", buffering=0) as stream:
        said = stream.read()
    if said != b"started":
        os.waitpid(warden, 0)
        raise OSError(0, said.decode("utf-8", "replace") or "the warden ended")
    return int(warden)


def _serve(
    libc: ctypes.CDLL,
    job: Mapping[str, Any],
    processes: int | None,
    tells: int,
    user: int,
    group: int,
) -> NoReturn:
    """Be the warden: start the program, wait for it and for what it leaves, and end as it ended."""
    status = 1
    try:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if user:
            _map_user(user, group)
        _check(libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None))
        _check(libc.mount(b"proc", b"/proc", b"proc", _MS_NOSUID_NODEV_NOEXEC, None))
        _protect_attributes(job["write"])
        pid, _kept = _start(job, processes, own_processes=True, own_ipc=True)
        with suppress(ProcessLookupError, PermissionError):
            hold(pid, job["limits"])
        silence()
        os.write(tells, b"started")
        os.close(tells)
        status = _wait_for(pid)
    except BaseException as error:
        # The supervisor passes it on; a traceback would have no reader here.
        with suppress(OSError):
            os.write(tells, (getattr(error, "strerror", None) or str(error)).encode())
    finally:
        os._exit(status)


def _wait_for(leader: int) -> int:
    """Wait as the first process of a namespace does, also for orphans; return a shell's status."""
    while True:
        pid, raw = os.waitpid(-1, 0)
        if pid == leader:
            code = os.waitstatus_to_exitcode(raw)
            return code if code >= 0 else 128 - code


# -- namespaces and mounts ----------------------------------------------------------------------


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
    where the system allows neither, modes and times outside stay within the program's reach.

    Raises:
        OSError: if a mount cannot be changed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
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
        _map_user(user, group)
    _check(libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None))


def _map_user(user: int, group: int) -> None:
    for name, text in (
        ("uid_map", f"{user} {user} 1"),
        ("setgroups", "deny"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with os.fdopen(os.open(f"/proc/self/{name}", os.O_WRONLY), "w") as file:
            file.write(text)


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
