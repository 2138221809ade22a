"""Any program as an agent: the request on its standard input, an envelope on its standard output.

What a program is given, and how it may end, is all here; `processes` runs it, `scratch` makes the
directory that it works in.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from esaa_git.agents.interrupts import held_interrupts
from esaa_git.agents.processes import NotStarted, Outcome, run
from esaa_git.agents.scratch import Scratch, SnapshotFile, scratch_directory
from esaa_git.core.contracts import SWARM, AgentEntry
from esaa_git.core.event import instant, timestamp
from esaa_git.core.globs import GlobSet
from esaa_git.core.rejection import RejectCode
from esaa_git.errors import AgentError
from esaa_git.ports import Answer, BlobStore, Clock, Request, Trees

PASSED_ON: Final = ("LANG", "LC_ALL", "TZ")
"""Variables that every program gets where they are set, beside those that its entry names."""

# Ours to set, or the way to somebody's keys and repositories.
_REFUSED: Final = ("HOME", "TMPDIR", "SSH_AUTH_SOCK")
_REFUSED_PREFIXES: Final = ("ESAA_", "GIT_")


@dataclass(frozen=True, slots=True)
class _Limit:
    """The time that a program has, until when that is, and what it failed to do after it."""

    milliseconds: int
    deadline: str
    failure: str


class CommandAgent:
    """Runs a program for every request, in a directory that is thrown away afterwards.

    It starts in `snapshot/`, which holds the regular files of the request's base that match its
    `read` globs (no symlinks, no submodules, no history); beside it are a HOME and a TMPDIR, both
    empty. Its environment is PATH, `PASSED_ON`, HOME, TMPDIR, ESAA_TASK, ESAA_ATTEMPT,
    ESAA_DEADLINE and the variables that its entry names, and nothing else.

    This is **not** an operating system's sandbox. The program runs with the rights of the user: it
    can read and write what they can, reach the network and start other programs. `sandbox` is
    `scratch-directory`, which says just that in the log.

    Args:
        entry: `settings` hold `command`, and optionally `timeout` (milliseconds) and `env` (names).
        root: the top of the operator's checkout, which a relative path of the program starts from;
            None in a bare repository.
        trees: the files of commits.
        blobs: their contents.
        max_output_bytes: one byte more than these is the most that is read of an answer.
        clock: asked once an answer, for the time that is left until the deadline.
    """

    def __init__(
        self,
        entry: AgentEntry,
        *,
        root: Path | None,
        trees: Trees,
        blobs: BlobStore,
        max_output_bytes: int,
        clock: Clock,
    ) -> None:
        self.name = entry.name
        self.adapter = entry.adapter
        self.model = entry.model
        self.sandbox = "scratch-directory"
        self.has_checkout = True
        self._command: Sequence[str] = entry.settings["command"]
        self._timeout_ms: int | None = entry.settings.get("timeout")
        self._env: Sequence[str] = entry.settings.get("env", ())
        self._root = root
        self._trees = trees
        self._blobs = blobs
        self._max_output_bytes = max_output_bytes
        self._clock = clock

    def ready(self) -> None:
        """Raise AgentError if the program cannot be run, or wants a variable that it cannot have.

        Whether the operating system then starts it (its interpreter exists, say) shows only when
        it is asked.
        """
        self._program()
        for name in self._env:
            if name in _REFUSED or name.startswith(_REFUSED_PREFIXES):
                raise self._error(
                    f"'{name}' cannot be passed on",
                    "an agent has a home of its own, and neither git's variables nor keys",
                    f"remove it from 'env' in .roadmap/{SWARM}",
                )

    def prepare(self, request: Request) -> Request:
        """Return the request as it is: the program reads the view itself."""
        return request

    def answer(self, request: Request, pause: Callable[[], None]) -> Answer:
        """Run the program on a request and return what it wrote, or how it failed.

        An interrupt (KeyboardInterrupt, or what the handler of SIGTERM or SIGHUP raises) leaves
        neither a process nor a directory behind, wherever it strikes; an answer that was complete
        is lost with it. The time that laying out the snapshot takes counts; `latency_ms` is that
        of the program.

        Raises:
            AgentError: as `ready`, if the snapshot cannot be laid out, or if the operating system
                does not start the program.
        """
        self.ready()
        began = time.monotonic()
        now = self._clock.now()
        limit = self._limit(request, now)
        if limit.milliseconds <= 0:
            return Answer(b"", 0, limit.failure, RejectCode.AGENT_TIMEOUT)
        with (
            held_interrupts() as held,
            scratch_directory(self._files(request, held.deliver)) as scratch,
        ):
            started = time.monotonic()
            try:
                outcome = run(
                    [self._program(), *self._command[1:]],
                    cwd=scratch.snapshot,
                    env=self._environment(request, scratch, limit.deadline),
                    body=request.sent,
                    max_output_bytes=self._max_output_bytes,
                    until=began + limit.milliseconds / 1000,
                    pause=held.deliver,
                )
            except NotStarted as error:
                raise self._error(
                    f"'{self._command[0]}' cannot be started",
                    str(error),
                    "run it by hand; a script needs a first line as in '#!/usr/bin/env python3'",
                ) from error
            latency_ms = int((time.monotonic() - started) * 1000)
        return _answer(outcome, latency_ms, limit.failure)

    def _limit(self, request: Request, now: datetime) -> _Limit:
        left_ms = (instant(request.deadline) - now) // timedelta(milliseconds=1)
        timeout_ms = self._timeout_ms
        if timeout_ms is not None and timeout_ms < left_ms:
            deadline = timestamp(now + timedelta(milliseconds=timeout_ms))
            failure = f"did not answer within its timeout of {timeout_ms} ms"
            return _Limit(timeout_ms, deadline, failure)
        failure = f"did not answer before its deadline {request.deadline}"
        return _Limit(left_ms, request.deadline, failure)

    def _files(self, request: Request, pause: Callable[[], None]) -> Iterator[SnapshotFile]:
        globs = GlobSet(request.read)
        for path, entry in self._trees.paths(request.base):
            pause()
            if globs.matches(path):
                yield SnapshotFile(path, entry.mode == "100755", self._blobs.read(entry.oid))

    def _environment(self, request: Request, scratch: Scratch, deadline: str) -> Mapping[str, str]:
        passed_on = {
            name: os.environ[name] for name in (*PASSED_ON, *self._env) if name in os.environ
        }
        return passed_on | {
            "PATH": _search_path(),
            "HOME": str(scratch.home),
            "TMPDIR": str(scratch.tmp),
            "ESAA_TASK": request.task_id,
            "ESAA_ATTEMPT": request.attempt_id,
            "ESAA_DEADLINE": deadline,
        }

    def _program(self) -> str:
        """Return the absolute path of the program."""
        name = self._command[0]
        wrong = f"correct 'command' in .roadmap/{SWARM}; it takes effect with the next run"
        if "/" not in name:
            found = shutil.which(name, path=_search_path())
            if found is None:
                raise self._error(
                    f"no program '{name}'",
                    "none of that name is on PATH",
                    f"install it, or {wrong}",
                )
            return found
        path = Path(name)
        if not path.is_absolute():
            if self._root is None:
                raise self._error(
                    f"no checkout to look for program '{name}' in",
                    "a relative path starts at the top of the checkout, which is missing here",
                    wrong,
                )
            path = self._root.absolute() / path
        if not path.is_file():
            raise self._error(f"no program '{name}'", f"looked for '{path}'", wrong)
        if not os.access(path, os.X_OK):
            raise self._error(
                f"program '{name}' is not executable",
                f"looked at '{path}'",
                f"run 'chmod +x {path}'",
            )
        return str(path)

    def _error(self, message: str, cause: str, hint: str) -> AgentError:
        return AgentError(f"agent '{self.name}': {message}", cause=cause, hint=hint)


def _search_path() -> str:
    """Return PATH without relative entries: in a snapshot, they would name files under review."""
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    # An empty PATH would mean the current folder.
    return os.pathsep.join(entry for entry in entries if Path(entry).is_absolute()) or os.defpath


def _answer(outcome: Outcome, latency_ms: int, lateness: str) -> Answer:
    stderr = _readable(outcome.stderr)
    detail: dict[str, Any] = {"stderr": stderr} if stderr else {}
    failure, code = None, RejectCode.AGENT_FAILED
    if outcome.truncated:
        # No failure of ours to name: the decoder says OUTPUT_TOO_LARGE to the bytes.
        pass
    elif outcome.timed_out:
        failure, code = lateness, RejectCode.AGENT_TIMEOUT
    elif outcome.status < 0:
        name = _signal_name(-outcome.status)
        failure, detail = f"was ended by signal {name}", {"signal": name, **detail}
    elif outcome.status > 0:
        failure = f"left with exit status {outcome.status}"
        detail = {"exit_status": outcome.status, **detail}
    elif not outcome.output:
        failure, detail = "wrote nothing to standard output", {"exit_status": 0, **detail}
    return Answer(
        outcome.output,
        latency_ms,
        failure,
        None if failure is None else code,
        detail,
        outcome.truncated,
    )


def _readable(stderr: bytes) -> str:
    """Return the text, fit to be stored: of what does not print, only line ends and tabs stay."""
    # The kept end may begin in the middle of a character.
    text = stderr.lstrip(bytes(range(0x80, 0xC0))).decode("utf-8", "replace")
    return "".join(
        char if char.isprintable() or char in "\n\t" else "\ufffd"
        for char in text.replace("\r\n", "\n")
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)  # a real-time signal
