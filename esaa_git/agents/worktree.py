"""A program that edits files: it works in a throwaway checkout, and we take the difference.

Nothing that it says of its work is believed: the checkout is measured when all its processes have
ended, and a tool that is known by name (`presets`) has to have reported the end of its turn.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from esaa_git.agents import outage
from esaa_git.agents.adapter import Adapter, AdapterContext, Limit
from esaa_git.agents.asking import asks_of_command, asks_of_program
from esaa_git.agents.edited import MAX_SUMMARY, EditingAgent, proposed, read_file
from esaa_git.agents.environments import SetUpWorkspace, started
from esaa_git.agents.lastwords import away, last_line, last_lines, late
from esaa_git.agents.presets import PRESETS
from esaa_git.agents.presets.preset import Preset, Report, ToolOutput
from esaa_git.agents.programs import (
    WHERE,
    check_names,
    find_program,
    over_limit,
    place_of,
)
from esaa_git.agents.providers import provider_of_model
from esaa_git.agents.sessions import Told
from esaa_git.agents.settings import COMMAND, PROGRAM, PROMPTED
from esaa_git.core.asks import Ask
from esaa_git.core.contracts import AgentEntry
from esaa_git.core.events.spec import Schema, array, choice, line, record, text
from esaa_git.core.printable import printable_output
from esaa_git.core.rejection import RejectCode, excerpt
from esaa_git.errors import AgentError
from esaa_git.folders import remove_folder
from esaa_git.ports.agent import Answer, Ran, Request, Unavailable, Workspace
from esaa_git.ports.consent import NamedFiles
from esaa_git.sandbox import confinement
from esaa_git.sandbox.confinement import Outcome
from esaa_git.sandbox.processes import signal_name

PROMPT_FILE: Final = "prompt.md"
"""The file in its home that holds the prompt, beside its standard input."""

MAX_REPORT_BYTES: Final = 32 << 20
"""How much is read of what a program prints: a stream of events holds every file it looked at."""

TOKENS: Final = ("input_tokens", "cached_input_tokens", "output_tokens")

_MOST_TOLD: Final = 500


class WorktreeAgent(EditingAgent[Outcome]):
    """Runs an editing program in a checkout of the base, and proposes what it changed.

    It is confined, starts in the checkout with a HOME and a TMPDIR of its own, and gets the prompt
    as its standard input and in `$HOME/prompt.md` (ESAA_PROMPT_FILE). Of its own settings in the
    user's home it sees nothing, so its key comes by a variable that the entry names.

    Args:
        entry: `settings` hold `preset`, with optional `program` and `arguments`, or `command`; and
            optionally `timeout` (milliseconds), `env` (names), `hosts`, `read`, `limits` and
            `template`.
        context: of the attempt.
    """

    def __init__(self, entry: AgentEntry, context: AdapterContext) -> None:
        super().__init__(entry, context)
        named = entry.settings.get("preset")
        self.preset = None if named is None else PRESETS.find(named)
        self._max_cost = entry.max_cost

    @property
    def sandbox(self) -> str:
        """The level of confinement that is in force: where any will do, one that the tool works in.

        Raises:
            AgentError: if what was asked for does not work here.
        """
        wanted = self._context.sandbox
        if wanted == "auto" and self.preset is not None:
            for level in self.preset.levels:
                with suppress(AgentError):
                    return confinement.choose(level)
        return confinement.choose(wanted)

    def ready(self) -> None:
        """Raise AgentError if the program is missing, or a preset's tool could reach nothing.

        Neither a host nor a key is passed on that the entry does not list. A tool that shall work
        without a network has `hosts: []`; to leave them out is taken for an oversight.
        """
        self._require_program()
        names = self._names
        check_names(self.name, names)
        preset = self.preset
        if preset is None:
            return
        if "hosts" not in self._settings and self.sandbox != "none":
            listed = ", ".join(f'"{host}"' for host in preset.hosts)
            raise self._error(
                f"no hosts that {preset.name} may reach",
                "an agent reaches the hosts that its entry lists, and nothing else",
                f"add 'hosts: [{listed}]' {WHERE}",
            )
        if preset.needs_key and not any(os.environ.get(name) for name in names):
            raise self._error(
                f"no key for {preset.name}",
                "it has a home of its own, where nobody is logged in, and none of the variables "
                "is set that its entry passes on",
                self._key_hint(preset),
            )

    def program(self) -> str:
        """Return the absolute path of the program.

        Raises:
            AgentError: if there is none; the hint says how to install a preset's tool.
        """
        preset = self.preset
        if preset is None:
            return super().program()
        name = self._settings.get("program", preset.program)
        try:
            return find_program(self.name, name, self._context.root, self._context.in_tree)
        except AgentError as error:
            raise AgentError(
                error.message,
                cause=error.cause,
                hint=f"run '{preset.install}', or name its path as 'program' {WHERE}",
            ) from error

    def _words(self) -> Sequence[str]:
        preset = self.preset
        if preset is None:
            return super()._words()
        # Its own flags come between, and none of them is a program.
        return [self._settings.get("program", preset.program)]

    def ran(self) -> Ran:
        """Return digest or version of the tool, and who serves its model."""
        found = super().ran()
        preset = self.preset
        if preset is None or found.program_sha256 is not None:
            return replace(found, provider=None if preset is None else self._provider(preset))
        return Ran(program_version=self.version(), provider=self._provider(preset))

    def _provider(self, preset: Preset) -> str | None:
        return preset.provider or provider_of_model(self.model)

    def _work(
        self,
        request: Request,
        workspace: SetUpWorkspace,
        allowed: Limit,
        until: float,
        pause: Callable[[], None],
        session: str | None,
    ) -> Outcome:
        settings, preset, home = self._settings, self.preset, workspace.home
        prompt = home / PROMPT_FILE
        prompt.write_bytes(request.sent)
        body = request.sent
        ours: Mapping[str, str] = {}
        if preset is None:
            arguments = []
        else:
            arguments = preset.arguments(
                self.model, settings.get("arguments", ()), home, session, self._max_cost
            )
            ours = preset.environment(home)
            body = request.sent if preset.takes_stdin else b""
            for name, text in preset.files.items():
                (home / name).parent.mkdir(mode=0o700, exist_ok=True)
                (home / name).write_text(text, encoding="utf-8")
        env = self._environment(request, allowed, home, workspace.tmp, ESAA_PROMPT_FILE=str(prompt))
        try:
            with self._laid() as laid:
                return confinement.run(
                    self.sandbox,
                    [*started(laid.words, workspace), *arguments],
                    rules=confinement.rules_of(settings, place_of(workspace, laid.read), WHERE),
                    cwd=workspace.path,
                    env={**ours, **env, **workspace.variables, **laid.env},
                    body=body,
                    max_output_bytes=MAX_REPORT_BYTES,
                    until=until,
                    pause=pause,
                )
        except confinement.NotStarted as error:
            raise self._not_started(self._words()[0], error) from error

    @property
    def _session_places(self) -> Sequence[str] | None:
        tools = None if self.preset is None else self.preset.session
        return None if tools is None else tools.places

    def _told(self, work: Outcome, session: str | None) -> Told | None:
        tools = None if self.preset is None else self.preset.session
        named = None if tools is None else tools.told(work.output)
        if tools is None or named is None:
            return None
        return Told(named, session is not None, TOKENS if tools.counts_on else ())

    def _judged(
        self, request: Request, workspace: Workspace, allowed: Limit, work: Outcome
    ) -> Answer:
        report = self._report(work, workspace)
        answer = self._failed(work, report, allowed)
        if answer is not None:
            answer = replace(answer, unavailable=self._away(work, report, answer))
        else:
            residue = self._remove_residue(request, workspace)
            words = printable_output((report.words or "").encode("utf-8", "replace"))
            most = self._context.max_output_bytes
            answer = proposed(request, workspace, words.strip()[:MAX_SUMMARY].strip(), most)
            answer = replace(answer, left_out=(*residue, *answer.left_out))
            if answer.code == RejectCode.EMPTY_PROPOSAL and outage.is_notice(words):
                gone = outage.found_in(words, self._context.clock.now())
                answer = replace(answer, unavailable=gone)
        usage = {} if self.preset is None else self.preset.usage(report)
        return replace(answer, model=_line(report.model), usage=usage)

    def _report(self, outcome: Outcome, workspace: Workspace) -> Report:
        preset = self.preset
        if preset is None:
            # The end of it: what an editor says last is what it did.
            end = printable_output(outcome.output[-4 * MAX_SUMMARY :])
            return Report(end.strip()[-MAX_SUMMARY:])
        file = b""
        if preset.report is not None:
            file = read_file(workspace.home / preset.report, MAX_REPORT_BYTES)
        return preset.read(ToolOutput(outcome.output, outcome.stderr, outcome.status, file))

    def _failed(self, outcome: Outcome, report: Report, allowed: Limit) -> Answer | None:
        """Return the answer of a program that did not come to its end, None if it did.

        Raises:
            AgentError: if the tool's service refused its key, or knows no such model.
        """
        preset = self.preset
        if preset is not None:
            self._require_accepted(preset, outcome, report)
        code, detail = RejectCode.AGENT_FAILED, dict[str, Any]()
        status = outcome.status
        if outcome.timed_out:
            last = report.trouble or last_line(outcome.stderr, outcome.output)
            failure, code = late(allowed.failure, last), RejectCode.AGENT_TIMEOUT
        elif outcome.truncated:
            failure = f"wrote more than {MAX_REPORT_BYTES} bytes to standard output"
            code = RejectCode.OUTPUT_TOO_LARGE
        elif outcome.exceeded is not None:
            failure = over_limit(outcome.exceeded, self._settings)
            detail = {"limit": outcome.exceeded}
        elif report.failure is not None:
            failure, code = report.failure, report.code
        elif status < 0:
            failure = f"was ended by signal {signal_name(-status)}"
        elif status > 0:
            failure, detail = f"left with exit status {status}", {"exit_status": status}
        elif preset is not None and report.words is None:
            failure = f"did not report the end of its turn, as {preset.name} does"
            detail = {"exit_status": 0}
        else:
            return None
        stderr = printable_output(outcome.stderr)
        if stderr:
            detail["stderr"] = stderr
        return Answer(outcome.output, 0, excerpt(failure, _MOST_TOLD), code, detail)

    def _require_accepted(self, preset: Preset, outcome: Outcome, report: Report) -> None:
        """Raise AgentError if the tool says that its service takes neither key nor model."""
        words = told(outcome, report)
        if report.denied or outage.is_refused_key(words):
            raise self._error(
                f"the service of {preset.name} refused its key",
                excerpt(report.failure or words, _MOST_TOLD),
                self._key_hint(preset),
            )
        if report.status == 404 or outage.is_unknown_model(words):
            raise self._error(
                f"the service of {preset.name} knows no model '{self.model or 'of its choice'}'",
                excerpt(report.failure or words, _MOST_TOLD),
                f"correct 'model' {WHERE}",
            )

    def _away(self, outcome: Outcome, report: Report, answer: Answer) -> Unavailable | None:
        """Return what a tool that failed says of its service, None where that is not away."""
        if answer.code not in (RejectCode.AGENT_FAILED, RejectCode.AGENT_TIMEOUT):
            return None
        now = self._context.clock.now()
        if self.preset is None:
            return away(outcome.status, outcome.stderr, now)
        return tool_away(outcome, report, now)

    def _remove_residue(self, request: Request, workspace: Workspace) -> list[str]:
        """Remove what a tool left in the checkout for itself, but for what the base has as well.

        Return the names, a folder's with `/` at the end.
        """
        removed = []
        for beginning in self.preset.residue if self.preset is not None else ():
            for path in workspace.path.glob(f"{beginning}*"):
                trees = self._context.trees
                if any(True for _ in trees.paths(request.base, (path.name,))):
                    continue
                if path.is_dir() and not path.is_symlink():
                    remove_folder(path)
                    removed.append(f"{path.name}/")
                else:
                    path.unlink()
                    removed.append(path.name)
        return sorted(removed)

    def _key_hint(self, preset: Preset) -> str:
        names = " or ".join(preset.keys)
        return f"set {names}, and list it under 'env' {WHERE}"


def told(outcome: Outcome, report: Report) -> str:
    """Return what a tool says of its failure; nothing where it came to its end.

    What its model wrote is no part of it: where its report says nothing, that is the end of its
    standard error, and of its output where that is no report at all.
    """
    if report.failure is not None:
        return report.failure if report.code == RejectCode.AGENT_FAILED else ""
    if outcome.status == 0 and not outcome.timed_out and report.words is not None:
        return ""
    if report.trouble is not None:
        return report.trouble
    prose = outcome.output if outcome.status > 0 and not outcome.output.startswith(b"{") else b""
    return "\n".join(filter(None, (last_lines(outcome.stderr), last_lines(prose))))


def tool_away(outcome: Outcome, report: Report, now: datetime) -> Unavailable | None:
    """Return what a tool that failed says of its service, None where that is not away."""
    status = None if outcome.timed_out else report.status
    gone = outage.found_in(told(outcome, report), now, status)
    if gone is not None and report.seconds is not None:
        gone = replace(gone, seconds=report.seconds)
    if gone is not None and outage.is_unreached(gone.reason):
        gone = replace(gone, hint=f"see that 'hosts' lists what it has to reach {WHERE}")
    return gone


def _line(model: str | None) -> str | None:
    """Return a model's name as an event can hold it."""
    return excerpt(model, 200) if model else None


def _schema(settings: Mapping[str, Any]) -> Schema:
    named = settings.get("preset", "")
    # Packages are looked through for a name that is none of ours, and for no other.
    is_ours = not isinstance(named, str) or named in PRESETS.built_in or not named
    presets = PRESETS.built_in if is_ours else PRESETS.names()
    return {
        "oneOf": [
            record(
                {"preset": choice(*presets)},
                {**PROGRAM, **PROMPTED, "program": line(1000), "arguments": array(text(10_000))},
            ),
            record({"command": COMMAND}, {**PROGRAM, **PROMPTED}),
        ]
    }


def _asks(entry: AgentEntry, files: NamedFiles) -> Iterator[Ask]:
    named = entry.settings.get("preset")
    if named is None:
        yield from asks_of_program(entry, files)
        return
    preset = PRESETS.find(named)
    if preset is None:
        raise KeyError(named)  # there is no telling what it would start
    program = entry.settings.get("program", preset.program)
    more = entry.settings.get("arguments", ())
    argv = [
        program,
        *preset.arguments(entry.model, more, Path("{home}"), max_cost=entry.max_cost),
    ]
    yield from asks_of_command(argv, entry.settings, files)


ADAPTER: Final = Adapter(
    settings_schema=_schema,
    sandboxes=("landlock", "bubblewrap", "none"),
    make=WorktreeAgent,
    asks=_asks,
    in_checkout=True,
)
