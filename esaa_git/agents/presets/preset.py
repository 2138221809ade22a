"""What a preset says of a coding agent's tool, and how the tool's own report is read.

A tool is asked once, without a terminal, and reports in a form of its own. What counts is the one
field that only a finished turn has; that a tool left with status 0, or says that it succeeded, is
not enough. What the checkout holds is measured elsewhere, and never taken from a report.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from esaa_git.core.canonical import MAX_INTEGER
from esaa_git.core.rejection import RejectCode

MICRO: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a tool left behind: what it printed, and the file of its home that it reported in.

    `stderr` is the end of it; `file` is empty where the preset names none.
    """

    output: bytes
    stderr: bytes
    status: int
    file: bytes = b""


@dataclass(frozen=True, slots=True)
class Report:
    """A tool's report, in our words.

    Attributes:
        words: the last message of the agent; None where the report does not have one.
        failure: how the turn ended where it did not end well, and `code` what that amounts to.
        denied: its service refused the key: nothing was asked, and no attempt should be spent.
        status: the HTTP status that its service failed with, where the tool names it.
        trouble: what it said last of trouble with its service, where its turn did not end.
        seconds: after how long its service wants to be asked again, where it says so by a header.
        model: by the tool's own word.
        usage: as `agent.result` records it; `input_tokens` has those from a cache among them.
    """

    words: str | None = None
    failure: str | None = None
    code: RejectCode = RejectCode.AGENT_FAILED
    denied: bool = False
    model: str | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    status: int | None = None
    trouble: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ToolSession:
    """How a tool goes on in a session of its own.

    Attributes:
        told: gives the session's id from what the tool printed, None where it does not say.
        resume: the arguments that go on in one; `{session}` stands for its id.
        places: where in its home it keeps sessions; the id is in the name of a file there.
        counts_on: its usage is that of the whole session, and not of its last turn.
    """

    told: Callable[[bytes], str | None]
    resume: Sequence[str]
    places: Sequence[str]
    counts_on: bool = False


@dataclass(frozen=True, slots=True)
class Preset:
    """How one tool is started, asked and understood.

    `{home}` in `flags` and `variables` stands for the private home, where the prompt also lies in
    `prompt.md`.

    Attributes:
        name: as a swarm entry names it.
        program: what is looked for on PATH where the entry has no `program`.
        flags: of the mode without a terminal; the entry's `arguments` follow, then `last`.
        read: makes a report of what the tool left behind.
        model_flag: goes before the entry's `model`.
        last: arguments that have to stand at the end.
        takes_stdin: the prompt is its standard input, which is empty otherwise.
        variables: set for it; an entry's own `env` goes before them.
        files: written into its home before it starts.
        report: the file in its home that it reports in, beside what it prints.
        residue: what it leaves in the checkout for itself, as the beginnings of paths.
        keys: variables that may hold its credentials.
        needs_key: nothing can come of it if no variable is passed on.
        hosts: what it has to reach, as a swarm entry would list it.
        install: the command that installs it.
        levels: the confinements that it works in, best first, where not all of them will do.
        provider: who serves its models, in the words of OpenTelemetry's `gen_ai.provider.name`;
            empty where that depends on the model.
        session: how the tool goes on in its session; None where every attempt begins one.
        cost_flag: goes before the most that one call may cost, in dollars of the US.
        api: the version of the interface that it is made for (`esaa_git.plugins.API`).
    """

    name: str
    program: str
    flags: Sequence[str]
    read: Callable[[ToolOutput], Report]
    model_flag: str = "--model"
    last: Sequence[str] = ()
    takes_stdin: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    report: str | None = None
    residue: Sequence[str] = ()
    keys: Sequence[str] = ()
    needs_key: bool = True
    hosts: Sequence[str] = ()
    install: str = ""
    levels: Sequence[str] = ()
    provider: str = ""
    session: ToolSession | None = None
    cost_flag: str | None = None
    api: int = 1

    def arguments(
        self,
        model: str | None,
        more: Sequence[str],
        home: Path,
        session: str | None = None,
        max_cost: int | None = None,
    ) -> list[str]:
        """Return everything that follows the program on its command line.

        Args:
            session: the id of the one to go on in.
            max_cost: what the call costs at most, in micro-dollars, for a tool with such a cap.
        """
        chosen = () if model is None else (self.model_flag, model)
        flags = [flag.replace("{home}", str(home)) for flag in self.flags]
        resume = () if self.session is None or session is None else self.session.resume
        going_on = [word.replace("{session}", str(session)) for word in resume]
        cap: tuple[str, ...] = ()
        if self.cost_flag is not None and max_cost is not None:
            cap = (self.cost_flag, f"{max_cost // 1_000_000}.{max_cost % 1_000_000:06d}")
        return [*flags, *chosen, *cap, *more, *going_on, *self.last]

    def environment(self, home: Path) -> dict[str, str]:
        """Return the variables that the preset sets."""
        return {name: value.replace("{home}", str(home)) for name, value in self.variables.items()}

    def usage(self, report: Report) -> dict[str, Any]:
        """Return the usage with the source of its price, where it has one."""
        if "cost_microdollars" not in report.usage:
            return dict(report.usage)
        return {**report.usage, "price_source": f"reported by {self.name}"}


def document(text: bytes) -> Any:
    """Return the JSON value of a text, decimal fractions exact; None where it is none."""
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError, InvalidOperation):
        # The last is for an exponent that no decimal has.
        return None


def events(text: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a text that has one a line; whatever else is on a line is skipped."""
    for line in text.splitlines():
        value = document(line)
        if isinstance(value, dict):
            yield value


def part(value: Any, *names: str) -> Any:
    """Return what lies below these names, one inside the other; None where anything is missing."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def words_of(value: Any) -> str | None:
    """Return the value if it is text."""
    return value if isinstance(value, str) else None


def http_status(value: Any) -> int | None:
    """Return an HTTP status of an error; None for what is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:4])
    return value if type(value) is int and 400 <= value <= 599 else None


def count(value: Any) -> int:
    """Return a number of tokens; what is none counts as 0."""
    return value if type(value) is int and 0 <= value <= MAX_INTEGER else 0


def microdollars(value: Any) -> int:
    """Return an amount of dollars in integer micro-dollars; what is none counts as 0."""
    if type(value) not in (int, Decimal):
        return 0
    amount = Decimal(value)
    # Far above this, rounding would need more digits than decimals have.
    if not 0 <= amount <= MAX_INTEGER // MICRO:
        return 0
    return int((amount * MICRO).to_integral_value(ROUND_HALF_UP))


def tokens(taken: int, given: int, cached: int = 0, cost: int = 0) -> dict[str, int]:
    """Return a usage.

    A cost of 0 is left out: tools report it where they do not know the price.
    """
    if not taken and not given:
        return {}
    usage = {"input_tokens": taken, "output_tokens": given}
    if cached:
        usage["cached_input_tokens"] = cached
    if cost:
        usage["cost_microdollars"] = cost
    return {name: min(number, MAX_INTEGER) for name, number in usage.items()}
