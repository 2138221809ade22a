"""What a range of commits brought, as Markdown for the page of a pull request.

Titles, subjects and names come from agents and pushers. Each stands in a code span of its own, so
none of them is a link, a heading, a mention or HTML there (spec.commonmark.org, "Code spans").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from esaa_git.core.printable import visible

MAX_ROWS = 200
"""A forge shows so much of a summary, and a person reads less."""

_MAX_CELL = 200


@dataclass(frozen=True, slots=True)
class BroughtTask:
    """One task whose effect a commit is or carries.

    `checks` are those that its result had to pass, by the contracts in force then; `approvals`
    who decided for it, `signers` whose keys signed the events that say so.
    """

    commit: str
    task_id: str
    title: str
    agent: str
    checks: tuple[str, ...]
    approvals: tuple[str, ...]
    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OtherCommit:
    """A commit that is no effect of the log; `why` says what is wrong with what it claims."""

    commit: str
    author: str
    subject: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Brought:
    """What the commits of a range are, in order, without merges that say nothing of us."""

    base: str
    head: str
    tasks: tuple[BroughtTask, ...]
    others: tuple[OtherCommit, ...]


def markdown(outcome: str, said: Iterable[str], brought: Brought | None) -> str:
    """Return the summary: the outcome of a verification, what it said, and what was brought."""
    lines = [f"## git esaa verify: {outcome}", ""]
    lines += [*_block(said), ""]
    if brought is not None:
        lines += _brought(brought)
    return "\n".join(lines)


def _brought(brought: Brought) -> Iterator[str]:
    span = f"{brought.base[:12]}..{brought.head[:12]}"
    yield f"### Tasks in {_code(span)}"
    yield ""
    yield from _table(
        ("commit", "task", "title", "agent", "checks passed", "approved by", "signed by"),
        [
            (
                _code(one.commit[:12]),
                _code(one.task_id),
                _code(one.title),
                _code(one.agent),
                _each(one.checks) or "none asked for",
                _each(one.approvals) or "not asked for",
                _each(one.signers),
            )
            for one in brought.tasks
        ],
        "No effect of a task.",
    )
    yield "### Other commits"
    yield ""
    yield from _table(
        ("commit", "author", "subject", ""),
        [
            (_code(one.commit[:12]), _code(one.author), _code(one.subject), _code(one.why))
            for one in brought.others
        ],
        "None.",
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], none: str) -> Iterator[str]:
    if not rows:
        yield from (none, "")
        return
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows[:MAX_ROWS]:
        yield f"| {' | '.join(row)} |"
    yield ""
    if len(rows) > MAX_ROWS:
        yield from (f"And {len(rows) - MAX_ROWS} more.", "")


def _each(texts: Iterable[str]) -> str:
    return ", ".join(map(_code, texts))


def _code(text: str) -> str:
    """Return a text as a code span in a cell of a table, where a bar has to be escaped."""
    shown = visible(text, keep="")
    shown = shown if len(shown) <= _MAX_CELL else shown[: _MAX_CELL - 1] + "…"
    if not shown.strip():
        return ""
    fence = "`" * (1 + _longest_run(shown))
    padding = " " if "`" in (shown[0], shown[-1]) else ""
    return f"{fence}{padding}{shown.replace('|', chr(92) + '|')}{padding}{fence}"


def _block(lines: Iterable[str]) -> list[str]:
    """Return lines as a fenced block, whose fence none of them holds."""
    shown = [visible(part, keep="") for line in lines for part in line.split("\n")]
    fence = "`" * max(3, 1 + max(map(_longest_run, shown), default=0))
    return [fence, *shown, fence]


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
