"""The supervisor's process: a socket to the orchestrator, and the program.

Both sides send JSON documents, one a line. The first line that is read is the job
(`runner.Job`). The answer is `{"started": pid}` or `{"failed": reason}`; later
`{"exceeded": limit}` where a limit is broken, and `{"status": number}` when the program has ended
(negative: the signal). A byte `T` asks all processes to stop. The end of the stream, also because
the orchestrator died, ends them; the supervisor goes last.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time
from contextlib import suppress
from typing import Any

from esaa_git.sandbox.supervisor import tree
from esaa_git.sandbox.supervisor.limits import LimitWatch, hold, lend

WATCH_SECONDS = 0.05
"""How often processes and memory are looked at."""

# A broken connection is an error, not a signal that ends us before the program is ended.
_NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)

_OWN_PROCESSES = {"bubblewrap": 2, "landlock-pid": 1}
"""How many processes a level has around the program's; the first says signals as a shell does."""

_SHELL_SIGNAL = 128


class Supervisor:
    """One program, and what became of it."""

    def __init__(self, control: socket.socket, job: dict[str, Any]) -> None:
        self._control = control
        self._job = job
        self._level = job["level"]
        self._is_wrapped = self._level in _OWN_PROCESSES
        own = _OWN_PROCESSES.get(self._level, 0)
        self._limit_watch = LimitWatch(job["limits"], job["write"], own)
        self._kept: object = None
        self._status: int | None = None
        self.leader = 0

    def start(self) -> None:
        """Start the program, with our own standard streams."""
        tree.adopt()
        limits = self._job["limits"]
        match self._level:
            case "landlock" | "landlock-pid":
                from esaa_git.sandbox.supervisor import landlock

                lend(limits)
                self.leader, self._kept = landlock.start(self._job, limits["processes"])
            case "bubblewrap":
                from esaa_git.sandbox.supervisor import bubblewrap

                self.leader, self._kept = bubblewrap.start(self._job)
            case _:
                process = subprocess.Popen(
                    self._job["command"],
                    cwd=self._job["cwd"],
                    env=self._job["env"],
                    process_group=0,
                    preexec_fn=lambda: hold(0, limits),  # noqa: PLW1509 - no threads here
                )
                self.leader, self._kept = process.pid, process
        tree.silence()
        if self._level == "landlock-pid":
            self._limit_watch.without = self.leader

    def watch(self) -> None:
        """Stay until the orchestrator has no further use for us."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        end = -1
        with suppress(AttributeError, OSError):  # macOS has no pidfd_open
            end = os.pidfd_open(self.leader)
            poll.register(end, select.POLLIN)
        patience, looked, told, exceeded = 1, 0.0, False, False
        while True:
            ready = {number for number, _ in poll.poll(patience)}
            # Without a descriptor that tells the end, we look ever less often.
            patience = min(2 * patience, int(WATCH_SECONDS * 1000))
            if self._control.fileno() in ready:
                if not self._control.recv(1):
                    return
                self._ask_to_stop()
            if not told and self._has_ended():
                told = True
                if end in ready:
                    poll.unregister(end)
                say(self._control, status=self._status)
            if tree.LINUX and not exceeded and time.monotonic() - looked >= WATCH_SECONDS:
                looked = time.monotonic()
                limit = self._limit_watch.broken()
                if limit is not None:
                    exceeded = True
                    say(self._control, exceeded=limit)
                    self.end()

    def end(self) -> None:
        """Kill the program and all that descends from it."""
        status = tree.kill_all(self.leader)
        if self._status is None:
            self._status = status

    def _ask_to_stop(self) -> None:
        if not tree.LINUX:
            tree.send_group(self.leader, signal.SIGTERM)
            return
        for pid in tree.descendants():
            # Bubblewrap and the warden would take all with them, at once.
            if pid != self.leader or not self._is_wrapped:
                tree.send(pid, signal.SIGTERM)

    def _has_ended(self) -> bool:
        """Answer without forgetting the process where the system lets us: its id stays taken."""
        if self._status is not None:
            return True
        try:
            if hasattr(os, "waitid"):
                seen = os.waitid(os.P_PID, self.leader, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if seen is not None:
                    exited = seen.si_code == os.CLD_EXITED
                    status = seen.si_status if exited else -seen.si_status
                    self._status = _unwrapped(status) if self._is_wrapped else status
            else:  # macOS before Python 3.13
                done, raw = os.waitpid(self.leader, os.WNOHANG)
                if done:
                    self._status = os.waitstatus_to_exitcode(raw)
        except ChildProcessError:
            self._status = -signal.SIGKILL
        return self._status is not None


def _unwrapped(status: int) -> int:
    """Return the program's status from that of what is around it, which says signals as a shell."""
    signalled = status - _SHELL_SIGNAL
    return -signalled if 0 < signalled < signal.NSIG else status


def say(control: socket.socket, **said: object) -> None:
    """Tell the orchestrator something; it may not be there any more."""
    with suppress(OSError):
        control.sendall(json.dumps(said).encode() + b"\n", _NO_SIGNAL)


def main(descriptor: int) -> None:
    """Serve a socket to its end."""
    # What the orchestrator has blocked, what Python ignores, or nohup(1) has us ignore, a program
    # would inherit so.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    control = socket.socket(fileno=descriptor)
    with control.makefile("rb", buffering=0) as stream:
        line = stream.readline()
    if not line.endswith(b"\n"):
        return
    supervisor = Supervisor(control, json.loads(line))
    try:
        supervisor.start()
    except Exception as error:
        # The orchestrator words it; a traceback would have no reader here.
        say(control, failed=getattr(error, "strerror", None) or str(error))
        return
    say(control, started=supervisor.leader)
    try:
        supervisor.watch()
    finally:
        supervisor.end()
        # Not by way of sandlock's own end, which waits for processes that are gone.
        os._exit(0)
