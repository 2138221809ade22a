"""Starts a program under bubblewrap, with a filter of system calls and routes to its hosts."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from esaa_git.sandbox.supervisor.limits import hold
from esaa_git.sandbox.supervisor.proxy import Route, make_routes, open_routes

# seccomp(2), and linux/filter.h
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_EPERM, _EAFNOSUPPORT = 1, 97
_X32 = 0x40000000

# AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: the others, AF_VSOCK for one, know no network namespace.
_FAMILIES = (1, 2, 10, 16)

# By machine: its number; socket; and what has no namespace or too long a history: add_key,
# request_key, keyctl, perf_event_open, open_by_handle_at, bpf, userfaultfd, io_uring_*.
_MACHINES = {
    "x86_64": (0xC000003E, 41, (248, 249, 250, 298, 304, 321, 323, 425, 426, 427)),
    "aarch64": (0xC00000B7, 198, (217, 218, 219, 241, 265, 280, 282, 425, 426, 427)),
}


def start(job: Mapping[str, Any]) -> tuple[int, object]:
    """Start the program; return bubblewrap's process, and what has to be kept while it runs.

    Raises:
        OSError: if bubblewrap cannot be started, or a host cannot be reached from in there.
    """
    routes = make_routes(job["hosts"])
    with ExitStack() as stack:
        options: list[str] = []
        passed: list[int] = []

        def give(content: bytes, *words: str) -> None:
            """Add an option whose first argument is a descriptor to read this from."""
            number = os.memfd_create("option")
            stack.callback(os.close, number)
            os.write(number, content)
            os.lseek(number, 0, os.SEEK_SET)
            passed.append(number)
            options.extend((words[0], str(number), *words[1:]))

        program = seccomp_filter(os.uname().machine)
        if program is not None:
            give(program, "--seccomp")
        told, info, block, go = -1, -1, -1, -1
        if routes:
            give(_hosts_file(routes), "--ro-bind-data", "/etc/hosts")
            (told, info), (block, go) = os.pipe(), os.pipe()
            for number in (told, info, block, go):
                stack.callback(os.close, number)
            passed += (info, block)
            options += ["--info-fd", str(info), "--block-fd", str(block)]
        place = job["command"].index("--remount-ro")
        process = subprocess.Popen(
            [*job["command"][:place], *options, *job["command"][place:]],
            env=job["env"],
            pass_fds=passed,
            process_group=0,
            preexec_fn=lambda: hold(0, job["limits"]),  # noqa: PLW1509 - no threads here
        )
        if routes:
            _wait_for_routes(routes, told, go)
    return process.pid, process


def _wait_for_routes(routes: Sequence[Route], told: int, go: int) -> None:
    said = b""
    while not said.rstrip().endswith(b"}"):
        chunk = os.read(told, 4096)
        if not chunk:
            raise OSError("bubblewrap ended before it started the program")
        said += chunk
    open_routes(routes, json.loads(said)["child-pid"])
    os.write(go, b"x")


def _hosts_file(routes: Sequence[Route]) -> bytes:
    named = {route.host: route.address for route in routes if route.host != route.address}
    lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in named.items())]
    return "".join(f"{line}\n" for line in lines).encode()


def seccomp_filter(machine: str) -> bytes | None:
    """Return the filter as the kernel takes it, or None for a machine whose calls we do not know.

    Refused are sockets of families that no namespace keeps in, keyrings, bpf, io_uring and others
    that a program for building and testing does not need; and calls of another architecture.
    """
    if machine not in _MACHINES:
        return None
    architecture, socket_call, refused = _MACHINES[machine]
    # Jumps are counted from the next instruction; these are the distances to the last two.
    body: list[tuple[int, int, str, str]] = [
        (_IF_EQUAL, architecture, "next", "refuse"),
        (_LOAD, _NUMBER, "next", "next"),
        (_IF_AT_LEAST, _X32, "refuse", "next"),
        *((_IF_EQUAL, number, "refuse", "next") for number in refused),
        (_IF_EQUAL, socket_call, "next", "allow"),
        (_LOAD, _FIRST_ARGUMENT, "next", "next"),
        *((_IF_EQUAL, family, "allow", "next") for family in _FAMILIES),
        (_RETURN, _ERROR | _EAFNOSUPPORT, "next", "next"),
        (_RETURN, _ALLOW, "next", "next"),
        (_RETURN, _ERROR | _EPERM, "next", "next"),
    ]
    body.insert(0, (_LOAD, _ARCHITECTURE, "next", "next"))
    ends = {"allow": len(body) - 2, "refuse": len(body) - 1}

    def jump(place: int, to: str) -> int:
        return 0 if to == "next" else ends[to] - place - 1

    return b"".join(
        struct.pack("=HBBI", code, jump(place, yes), jump(place, no), value)
        for place, (code, value, yes, no) in enumerate(body)
    )
