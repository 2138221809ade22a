"""The rules of POLICY.yaml as values, and what each of them matches.

A rule looks at the facts and at nothing else. Its `match` is a table of conditions that must all
hold; `when` is an expression over the same facts (`esaa_git.core.policy.cel`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple

from esaa_git.core.canonical import MAX_INTEGER
from esaa_git.core.events.facts import Effect, Facts, Mode, Subject
from esaa_git.core.globs import GlobSet

DEFAULT: Final = "default"
"""The name under which `default: deny` denies what no rule allows; no rule may have it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """A number is more than one and less than another; both are left out."""

    more_than: int = -1
    less_than: int = MAX_INTEGER + 1

    def hold(self, number: int) -> bool:
        return self.more_than < number < self.less_than

    @property
    def is_empty(self) -> bool:
        """Whether no whole number from 0 on lies between."""
        return max(self.more_than + 1, 0) >= self.less_than


class Entry(NamedTuple):
    """One file of a proposal: where it was and is to be, and what is done to it."""

    paths: tuple[str, ...]
    operations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """Facts with their files as conditions look at them, once for all rules."""

    facts: Facts
    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, facts: Facts) -> Seen:
        entries = (
            Entry((file.path,) if file.from_ is None else (file.path, file.from_), file.operations)
            for file in facts.files
        )
        return cls(facts, tuple(entries))


@dataclass(frozen=True, slots=True)
class Match:
    """The conditions of a rule; None for one that it does not have.

    Names may hold `*`, `?` and `[...]`. Paths and operations are about one file: some file has
    one of the paths, as it was or as it is to be, and one of the operations.
    """

    kind: tuple[str, ...] | None = None
    task: tuple[str, ...] | None = None
    agent: tuple[str, ...] | None = None
    model: tuple[str, ...] | None = None
    paths: tuple[str, ...] | None = None
    operations: tuple[str, ...] | None = None
    lines: Bounds | None = None
    files: Bounds | None = None
    cost_microdollars: Bounds | None = None
    globs: GlobSet | None = field(default=None, compare=False, repr=False)

    def misses(self, seen: Seen) -> str | None:
        """Return the first condition that does not hold, or None where all do."""
        facts = seen.facts
        names = (
            ("kind", self.kind, facts.kind),
            ("task", self.task, facts.task_id),
            ("agent", self.agent, facts.agent),
            ("model", self.model, facts.model or ""),
        )
        for condition, patterns, name in names:
            if patterns is not None and not _is_one_of(name, patterns):
                return condition
        numbers = (
            ("lines", self.lines, facts.lines),
            ("files", self.files, len(facts.files)),
            ("cost_microdollars", self.cost_microdollars, facts.cost_microdollars or 0),
        )
        for condition, bounds, number in numbers:
            if bounds is not None and not bounds.hold(number):
                return condition
        if self.globs is None and self.operations is None:
            return None
        return None if self._some_file(seen) else "operations" if self.globs is None else "paths"

    def _some_file(self, seen: Seen) -> bool:
        entries: Iterable[Entry] = seen.entries
        if self.operations is not None:
            wanted = frozenset(self.operations)
            entries = [entry for entry in entries if not wanted.isdisjoint(entry.operations)]
        if self.globs is None:
            return any(True for _ in entries)
        matches = self.globs.matches
        return any(matches(path) for entry in entries for path in entry.paths)

    def includes(self, other: Match) -> bool:
        """Answer whether all that another match takes this one takes too, as far as that shows."""
        for condition in CONDITIONS:
            mine, others = getattr(self, condition), getattr(other, condition)
            if mine is None or mine == others:
                continue
            if others is None or isinstance(mine, Bounds):
                return False
            if not set(others) <= set(mine):
                return False
        return True


CONDITIONS: Final = (
    "kind",
    "task",
    "agent",
    "model",
    "paths",
    "operations",
    "lines",
    "files",
    "cost_microdollars",
)


def _is_one_of(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Require:
    """Whose consent a rule asks for: how many people of a role, and who is not among them."""

    role: Literal["approver", "admin"] = "approver"
    count: int = 1
    other_than: Literal["starter"] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `require` where that is its effect.

    `place` is its line and column in the file, from 1, and `when_place` that of its expression.
    """

    name: str
    on: Subject
    match: Match
    effect: Effect
    require: Require | None = None
    when: str | None = None
    message: str = ""
    mode: Mode = "enforce"
    place: tuple[int, int] = field(default=(0, 0), compare=False)
    when_place: tuple[int, int] | None = field(default=None, compare=False)

    @property
    def says(self) -> str:
        """What whoever is stopped is told."""
        return self.message or f"the rule '{self.name}' of POLICY.yaml says so"


@dataclass(frozen=True, slots=True)
class Case:
    """An example of what the policy has to answer; `rules` names all that match, where given."""

    name: str
    facts: Facts
    expect: Effect
    rules: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Policy:
    """POLICY.yaml: its rules in their order, what holds where none decides, and its own cases.

    Attributes:
        sha256: of the file's bytes.
    """

    rules: tuple[Rule, ...]
    default: Literal["allow", "deny"] = "allow"
    cases: tuple[Case, ...] = ()
    sha256: str = ""

    @cached_property
    def by_name(self) -> dict[str, Rule]:
        return {rule.name: rule for rule in self.rules}

    def on(self, subject: Subject) -> tuple[Rule, ...]:
        """Return the rules about proposals, or about dispatches."""
        return tuple(rule for rule in self.rules if rule.on == subject)

    def needs_cel(self, subject: Subject | None = None) -> bool:
        """Answer whether some rule, of those about one subject, has an expression."""
        return any(rule.when is not None and subject in (None, rule.on) for rule in self.rules)


def as_tuple(value: Any) -> tuple[str, ...] | None:
    """Return one or several texts of a document as a tuple; None stays."""
    if value is None:
        return None
    return (value,) if isinstance(value, str) else tuple(value)
