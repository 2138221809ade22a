"""Globs that name sets of paths: what a boundary allows, what a contract protects.

The syntax is that of gitignore (gitignore(5), "PATTERN FORMAT") with the surprises left out:
every pattern is anchored at the root, none negates, and `**` is a whole component.

    docs/**      everything below docs, but not docs itself
    *.md         in the root only
    **/*.md      anywhere, the root included
    src/?[a-c]*  `?` is one character, `[...]` one of a set, neither ever a '/'

Inside, a pattern is the same structure twice: a path is a sequence of components with gaps
(`**`), a component a sequence of characters with gaps (`*`). Matching compiles this to one
regular expression that never backtracks over a gap; comparing two patterns walks both
sequences at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias, TypeVar

MAX_PATTERN: Final = 1024
"""Characters in a pattern, so that comparing two of them stays cheap."""

# One character of a component: the inclusive code point ranges it may come from.
CharSet: TypeAlias = tuple[tuple[int, int], ...]
_SLASH: Final = ord("/")
_ANY: Final[CharSet] = ((0, _SLASH - 1), (_SLASH + 1, 0x10FFFF))
_T = TypeVar("_T")


class Component(NamedTuple):
    """What one component of a path must look like; in `units`, None is a gap (`*`)."""

    units: tuple[CharSet | None, ...]
    plain: str | None = None


_STAR: Final = Component((_ANY, None))  # a component is never empty


@dataclass(frozen=True, slots=True)
class Glob:
    """One parsed pattern; build it with `Glob.parse`."""

    pattern: str
    components: tuple[Component | None, ...] = field(repr=False, compare=False)

    @property
    def regex(self) -> re.Pattern[str]:
        """The pattern as one regular expression, compiled when it is first matched."""
        return _compiled(self.components)

    @classmethod
    def parse(cls, pattern: str) -> Glob:
        """Parse `pattern`.

        Raises:
            ValueError: the pattern is malformed, or has something that no path has; the
                message says what to write instead.
        """
        _check_pattern(pattern)
        components: list[Component | None] = []
        for part in pattern.split("/"):
            if part != "**":
                components.append(_parse_component(pattern, part))
            elif not components or components[-1] is not None:
                components.append(None)
        if components[-1] is None:
            # "Below" means at least one component more: `docs/**` leaves docs itself out.
            components.append(_STAR)
        return cls(pattern, tuple(components))

    def matches(self, path: str) -> bool:
        """Answer whether `path`, in the form that `normalise_path` accepts, is in the set.

        Takes time proportional to the length of the path times that of the pattern, whatever
        the two contain.
        """
        return self.regex.fullmatch(path) is not None


class GlobSet:
    """The union of some globs; an empty set matches nothing.

    Raises:
        ValueError: as `Glob.parse`.
    """

    __slots__ = ("_regex", "globs")

    def __init__(self, patterns: Iterable[str]) -> None:
        self.globs: tuple[Glob, ...] = tuple(Glob.parse(pattern) for pattern in patterns)
        self._regex: re.Pattern[str] | None = None

    def __repr__(self) -> str:
        return f"GlobSet({[glob.pattern for glob in self.globs]!r})"

    def matches(self, path: str) -> bool:
        """Answer whether any of the globs matches `path`."""
        if self._regex is None:
            self._regex = _united(tuple(glob.components for glob in self.globs))
        return self._regex.fullmatch(path) is not None

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The folders or files below which everything lies that matches; '' is the root."""
        return tuple(sorted({static_prefix(glob) for glob in self.globs}))


@lru_cache(maxsize=4096)
def _compiled(components: tuple[Component | None, ...]) -> re.Pattern[str]:
    return re.compile(_path_source(components))


@lru_cache(maxsize=4096)
def _united(several: tuple[tuple[Component | None, ...], ...]) -> re.Pattern[str]:
    """Return what matches as one of several does: one look at a path, however many globs."""
    sources = [f"(?:{_path_source(components)})" for components in several]
    return re.compile("|".join(sources) or "(?!)")


def static_prefix(glob: Glob) -> str:
    """Return the leading components of `glob` that are plain text, joined by '/'.

    Every path that matches is this path or lies below it: `docs/api` for `docs/api/**`,
    the empty string for `**/*.md`.
    """
    plain: list[str] = []
    for component in glob.components:
        if component is None or component.plain is None:
            break
        plain.append(component.plain)
    return "/".join(plain)


def overlaps(a: GlobSet, b: GlobSet) -> bool:
    """Answer whether some path could match both sets; never False when one could.

    Compares the patterns, not the files that exist, as tasks create files. Exact for paths
    spelled the same; two spellings that differ by case are different paths here.
    """
    return any(
        _meet(one.components, other.components, _components_meet)
        for one in a.globs
        for other in b.globs
    )


def _check_pattern(pattern: str) -> None:
    if not pattern:
        raise ValueError("empty glob; write '**' for every path")
    shown = repr(pattern[:80])
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"glob {shown}... is longer than {MAX_PATTERN} characters")
    if pattern.startswith("/"):
        raise ValueError(f"glob {shown} starts with '/'; leave it out, globs start at the root")
    if pattern.startswith("!"):
        raise ValueError(f"glob {shown} starts with '!'; name what is allowed, globs do not negate")
    if pattern.endswith("/"):
        raise ValueError(f"glob {shown} ends with '/'; write '{pattern[:80]}**' for all below")
    if "\\" in pattern:
        raise ValueError(f"glob {shown} has a backslash; write '[*]' for a literal '*'")
    if any(c < " " or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in pattern):
        raise ValueError(f"glob {shown} has a control character or a lone surrogate")
    if not pattern.isascii():
        # Imported late: few patterns need the tables, and every command pays for an import.
        from unicodedata import is_normalized

        if not is_normalized("NFC", pattern):
            raise ValueError(f"glob {shown} is not in Unicode form NFC, in which all paths are")


def _parse_component(pattern: str, part: str) -> Component:
    if part in ("", ".", ".."):
        raise ValueError(f"glob {pattern!r} has the component {part!r}, which no path has")
    if "**" in part:
        raise ValueError(f"glob {pattern!r} has '**' within {part!r}; it must stand alone")
    if not any(c in part for c in "*?["):
        return Component(tuple(((ord(c), ord(c)),) for c in part), plain=part)
    if part == "*":
        return _STAR
    units: list[CharSet | None] = []
    at = 0
    while at < len(part):
        char = part[at]
        at += 1
        if char == "*":
            units.append(None)
        elif char == "?":
            units.append(_ANY)
        elif char == "[":
            # As in a shell, a ']' right after the opening is a member of the set.
            opening = at + (part[at : at + 1] in ("!", "^"))
            end = part.find("]", opening + 1)
            if end < 0:
                raise ValueError(f"glob {pattern!r} has an unclosed '['; write '[[]' for a '['")
            units.append(_parse_set(pattern, part[opening:end], negated=opening > at))
            at = end + 1
        else:
            units.append(((ord(char), ord(char)),))
    return Component(tuple(units))


def _parse_set(pattern: str, members: str, *, negated: bool) -> CharSet:
    if "[:" in members:
        raise ValueError(f"glob {pattern!r} has a named class; write ranges such as '[a-z]'")
    ranges: list[tuple[int, int]] = []
    at = 0
    while at < len(members):
        low = high = ord(members[at])
        at += 1
        if members[at : at + 1] == "-" and at + 1 < len(members):
            high = ord(members[at + 1])
            at += 2
        if low > high:
            raise ValueError(f"glob {pattern!r} has a range that runs backwards in '[{members}]'")
        ranges.append((low, high))
    # No set is empty: it cannot name '/' alone, nor leave out the control characters.
    return _intersection(_complement(ranges) if negated else tuple(ranges), _ANY)


def _complement(ranges: Iterable[tuple[int, int]]) -> CharSet:
    gaps: list[tuple[int, int]] = []
    start = 0
    for low, high in sorted(ranges):
        if low > start:
            gaps.append((start, low - 1))
        start = max(start, high + 1)
    return (*gaps, (start, 0x10FFFF)) if start <= 0x10FFFF else tuple(gaps)


def _intersection(a: CharSet, b: CharSet) -> CharSet:
    pairs = ((max(p[0], q[0]), min(p[1], q[1])) for p in a for q in b)
    return tuple((low, high) for low, high in pairs if low <= high)


def _path_source(components: Sequence[Component | None]) -> str:
    # Between two gaps the leftmost fit is as good as any other, so each is an atomic group:
    # nothing that matched is ever tried again, which is what keeps matching linear.
    out: list[str] = []
    for block, last in _blocks(components):
        fixed = "/".join(f"(?>{_component_source(component)}(?=/|\\Z))" for component in block)
        if not out:
            out.append(fixed + ("/" if block and not last else ""))
        elif last:
            out.append(rf"(?:[^/]++/)*?{fixed}\Z")
        else:
            out.append(rf"(?>(?:[^/]++/)*?{fixed}/)")
    return "".join(out)


def _component_source(component: Component) -> str:
    if component.plain is not None:
        return re.escape(component.plain)
    out: list[str] = []
    for block, last in _blocks(component.units):
        fixed = "".join(map(_set_source, block))
        if not out:
            out.append(fixed)
        elif last:
            # Possessive where nothing follows; otherwise the block must end the component.
            out.append(rf"[^/]*?{fixed}(?=/|\Z)" if fixed else "[^/]*+")
        else:
            out.append(f"(?>[^/]*?{fixed})")
    return "".join(out)


def _blocks(units: Iterable[_T | None]) -> list[tuple[list[_T], bool]]:
    """Split at the gaps; each block comes with whether it is the last."""
    blocks: list[list[_T]] = [[]]
    for unit in units:
        if unit is None:
            blocks.append([])
        else:
            blocks[-1].append(unit)
    return [(block, number == len(blocks) - 1) for number, block in enumerate(blocks)]


def _set_source(ranges: CharSet) -> str:
    if ranges == _ANY:
        return "[^/]"
    return f"[{''.join(f'{re.escape(chr(a))}-{re.escape(chr(b))}' for a, b in ranges)}]"


def _components_meet(a: Component, b: Component) -> bool:
    if a.plain is not None and b.plain is not None:
        return a.plain == b.plain
    return _meet(a.units, b.units, lambda p, q: bool(_intersection(p, q)))


def _meet(
    a: Sequence[_T | None], b: Sequence[_T | None], compatible: Callable[[_T, _T], bool]
) -> bool:
    """Answer whether one sequence fits both, where None stands for any number of units.

    A search over pairs of positions: each is visited once, so len(a) * len(b) bounds it.
    """
    seen = {(0, 0)}
    todo = [(0, 0)]
    while todo:
        i, j = todo.pop()
        if i == len(a) and j == len(b):
            return True
        steps: list[tuple[int, int]] = []
        one = a[i] if i < len(a) else None
        other = b[j] if j < len(b) else None
        gap_a, gap_b = i < len(a) and one is None, j < len(b) and other is None
        if gap_a:
            steps += [(i + 1, j), (i, j + 1)] if j < len(b) else [(i + 1, j)]
        if gap_b:
            steps += [(i, j + 1), (i + 1, j)] if i < len(a) else [(i, j + 1)]
        if one is not None and other is not None and compatible(one, other):
            steps.append((i + 1, j + 1))
        todo += [step for step in steps if step not in seen]
        seen.update(steps)
    return False
