"""Timing by turns, and one row a comparison.

Two things are compared by doing both in turn, A B then B A, many times in one process or through
fresh processes, and dividing the medians. What slows the machine down meanwhile slows down both.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

Arm = Callable[[], float]
"""Does the next piece of work, prepares untimed what it needs, and returns the seconds it took."""


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds that the work takes."""
    begun = perf_counter()
    work()
    return perf_counter() - begun


def by_turns(arms: Sequence[Arm], rounds: int, *, warm_up: int = 1) -> list[list[float]]:
    """Run every arm once a round, in an order that turns round each time; return seconds by arm.

    Rounds to warm up are run and not counted. Garbage is collected before the first round alone:
    what a product leaves behind is part of what it costs.
    """
    seconds: list[list[float]] = [[] for _ in arms]
    order = list(range(len(arms)))
    gc.collect()
    for number in range(-warm_up, rounds):
        for at in order:
            took = arms[at]()
            if number >= 0:
                seconds[at].append(took)
        order.reverse()
    return seconds


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. `measured` and `limit` share a unit; less is better.

    Attributes:
        allowed: the ratio that is still within, or None where a row only informs.
        spread: the quartiles of the ratio, pair by pair, where there were pairs.
        note: what the figures say in other units, or why there are none.
    """

    subject: str
    name: str
    unit: str
    measured: float | None
    limit: float | None
    allowed: float | None = None
    spread: tuple[float, float] | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        if self.measured is None or not self.limit:
            return None
        return self.measured / self.limit

    @property
    def verdict(self) -> str:
        ratio = self.ratio
        if ratio is None:
            return "not measured" if self.measured is None else "-"
        if self.allowed is None:
            return "-"
        return "within" if ratio <= self.allowed else "over"

    def to_json(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "name": self.name,
            "unit": self.unit,
            "measured": self.measured,
            "limit": self.limit,
            "ratio": self.ratio,
            "allowed": self.allowed,
            "spread": None if self.spread is None else list(self.spread),
            "verdict": self.verdict,
            "note": self.note,
        }


def compared(
    subject: str,
    name: str,
    unit: str,
    seconds: Sequence[Sequence[float]],
    *,
    allowed: float | None = None,
    scale: float = 1.0,
    note: str = "",
) -> Row:
    """Return the row of two arms that were run by turns: the first against the second.

    `scale` turns seconds into the unit.
    """
    measured, limit = (list(arm) for arm in seconds)
    pairs = [one / other for one, other in zip(measured, limit, strict=True) if other]
    spread = None
    if len(pairs) > 3:
        low, _, high = quantiles(pairs, n=4)
        spread = (low, high)
    return Row(
        subject,
        name,
        unit,
        median(measured) * scale,
        median(limit) * scale,
        allowed,
        spread,
        note,
    )


def skipped(subject: str, name: str, why: str) -> Row:
    """Return the row of something that could not be measured here."""
    return Row(subject, name, "", None, None, None, None, why)


@dataclass
class Table:
    """All rows of a run, printed as they come and written as JSON at the end."""

    rows: list[Row] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def text(self) -> str:
        """Return the table as text: what, measured, limit, ratio and what is allowed, verdict."""
        lines = [_HEAD]
        subject = ""
        for row in self.rows:
            if row.subject != subject:
                subject = row.subject
                lines.append(f"\n{subject}")
            lines.append(_line(row))
        over = [row.name for row in self.rows if row.verdict == "over"]
        held = sum(row.verdict == "within" for row in self.rows)
        lines.append(f"\n{held} within, {len(over)} over" + "".join(f"\n  over: {n}" for n in over))
        return "\n".join(lines)

    def write(self, path: Path, *, quick: bool) -> None:
        """Write what was measured, with what is needed to understand it later."""
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {
            "format": 1,
            "quick": quick,
            "environment": environment(),
            "seconds": self.seconds,
            "rows": [row.to_json() for row in self.rows],
        }
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


_HEAD = f"{'':56}{'measured':>12}{'limit':>12}{'ratio':>9}{'allowed':>9}  verdict"


def _line(row: Row) -> str:
    if row.measured is None:
        return f"  {row.name:<54}{'':>42}  {row.verdict}: {row.note}"
    measured = f"{_figure(row.measured)} {row.unit}"
    limit = "" if row.limit is None else f"{_figure(row.limit)} {row.unit}"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    allowed = "" if row.allowed is None else f"{row.allowed:.2f}"
    spread = "" if row.spread is None else f"  [{row.spread[0]:.2f} to {row.spread[1]:.2f}]"
    line = f"  {row.name:<54}{measured:>12}{limit:>12}{ratio:>9}{allowed:>9}  {row.verdict}{spread}"
    return line + (f"\n      {row.note}" if row.note else "")


def _figure(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    for digits, least in ((0, 100.0), (1, 10.0), (2, 0.0)):
        if abs(value) >= least:
            return f"{value:,.{digits}f}"
    return f"{value}"


def environment() -> dict[str, Any]:
    """Return what the figures depend on, and nothing that names the machine."""
    from importlib.metadata import version

    import pygit2

    from esaa_git import __version__

    return {
        "git_esaa": __version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "cpus": cores(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "pygit2": version("pygit2"),
        "libgit2": pygit2.LIBGIT2_VERSION,
    }


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def say(text: str) -> None:
    """Tell what is going on; the table alone goes to standard output."""
    print(text, file=sys.stderr, flush=True)
