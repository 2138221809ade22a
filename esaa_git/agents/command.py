"""Any program as an agent: the request on its standard input, an envelope on its standard output.

What a program is given, and how its end is worded, is all here; `confinement` runs it, `scratch`
makes the directory that it works in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from esaa_git.agents.adapter import Adapter, Limit
from esaa_git.agents.asking import asks_of_program
from esaa_git.agents.lastwords import away, last_line, late
from esaa_git.agents.programs import WHERE, ProgramAgent, over_limit, start_hint
from esaa_git.agents.scratch import SnapshotFile, scratch_directory
from esaa_git.agents.settings import COMMAND, PROGRAM
from esaa_git.core.events.spec import record
from esaa_git.core.globs import GlobSet
from esaa_git.core.printable import printable_output
from esaa_git.core.rejection import RejectCode
from esaa_git.ports.agent import Answer, Request
from esaa_git.sandbox.confinement import NotStarted, Outcome, Rules, make_rules, run
from esaa_git.sandbox.processes import signal_name


class CommandAgent(ProgramAgent):
    """Runs a program for every request, confined, in a directory that is thrown away afterwards.

    It starts in `snapshot/`, which holds the regular files of the request's base that match its
    `read` globs, with the request's changes (no symlinks, no submodules, no history); beside it are
    a HOME and a TMPDIR, both empty, where alone it can write. Its environment is PATH,
    `programs.PASSED_ON`, HOME, TMPDIR, ESAA_TASK, ESAA_ATTEMPT, ESAA_DEADLINE and the variables
    that its entry names, and nothing else. What else it can do is in `confinement`.
    """

    def ready(self) -> None:
        """Raise AgentError as all programs do, or if its hosts, paths or limits cannot be used."""
        super().ready()
        self._rules(Path(), Path())

    def prepare(self, request: Request) -> Request:
        """Return the request as it is: the program reads the view itself."""
        return request

    def _answer(
        self, request: Request, allowed: Limit, until: float, pause: Callable[[], None]
    ) -> Answer:
        program = self._settings["command"][0]
        files = self._files(request, pause)
        with scratch_directory(files) as scratch, self._laid() as laid:
            started = time.monotonic()
            try:
                outcome = run(
                    self.sandbox,
                    laid.words,
                    rules=self._rules(scratch.home, scratch.tmp, scratch.snapshot, *laid.read),
                    cwd=scratch.snapshot,
                    env={
                        **self._environment(request, allowed, scratch.home, scratch.tmp),
                        **laid.env,
                    },
                    body=request.sent,
                    max_output_bytes=self._context.max_output_bytes,
                    until=until,
                    pause=pause,
                )
            except NotStarted as error:
                raise self._not_started(program, error, start_hint(error)) from error
            latency_ms = int((time.monotonic() - started) * 1000)
        answer = _answer(outcome, latency_ms, allowed.failure, self._settings)
        if outcome.status <= 0 or answer.code != RejectCode.AGENT_FAILED:
            return answer
        now = self._context.clock.now()
        return replace(answer, unavailable=away(outcome.status, outcome.stderr, now))

    def _files(self, request: Request, pause: Callable[[], None]) -> Iterator[SnapshotFile]:
        context = self._context
        globs = GlobSet(request.read)
        files = dict(context.trees.paths(request.base)) | dict(request.changes)
        for path, entry in files.items():
            pause()
            if entry is not None and globs.matches(path):
                content = context.blobs.read(entry.oid)
                yield SnapshotFile(path, entry.mode == "100755", content)

    def _rules(self, home: Path, tmp: Path, *read: Path) -> Rules:
        return make_rules(self._settings, WHERE, read=read, write=(home, tmp))


def _answer(
    outcome: Outcome, latency_ms: int, lateness: str, settings: Mapping[str, Any]
) -> Answer:
    stderr = printable_output(outcome.stderr)
    detail: dict[str, Any] = {"stderr": stderr} if stderr else {}
    failure, code = None, RejectCode.AGENT_FAILED
    if outcome.truncated:
        # No failure of ours to name: the decoder says OUTPUT_TOO_LARGE to the bytes.
        pass
    elif outcome.exceeded is not None:
        failure = over_limit(outcome.exceeded, settings)
        detail = {"limit": outcome.exceeded, **detail}
    elif outcome.timed_out:
        last = last_line(outcome.stderr, outcome.output)
        failure, code = late(lateness, last), RejectCode.AGENT_TIMEOUT
    elif outcome.status < 0:
        name = signal_name(-outcome.status)
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


ADAPTER: Final = Adapter(
    settings_schema=record({"command": COMMAND}, PROGRAM),
    sandboxes=("landlock", "bubblewrap", "none"),
    make=CommandAgent,
    asks=asks_of_program,
)
