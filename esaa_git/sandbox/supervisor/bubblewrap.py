"""Starts a program under bubblewrap, with a filter of system calls and routes to its hosts."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from esaa_git.sandbox.supervisor.limits import hold
from esaa_git.sandbox.supervisor.proxy import Route, make_routes, open_routes
from esaa_git.sandbox.supervisor.syscalls import seccomp_filter


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

        program = seccomp_filter(
            os.uname().machine,
            own_processes=True,
            own_ipc=True,
            own_files=True,
            by_sandlock=False,
        )
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
