"""Unified diffs of one file, applied as strictly as `git apply` does, or more.

A patch says what to change and shows the lines around it. Those lines must be in the file
exactly; where they moved, there must be one place that they can mean. Where git would take
the nearest of several places, the patch is refused instead.

The format is that of git-diff(1), "Generating patch text with -p", without its extended
headers: a mode, a rename or binary content is not something a patch may bring along.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from typing import Any, Final

from esaa_git.core.lineends import MARK, end_of
from esaa_git.core.rejection import RejectCode, Rejected, excerpt

MAX_HUNKS: Final = 2000
"""Hunks in a patch; each that moved costs a pass over the text."""

_SHOWN: Final = 160
_MATCHES_SHOWN: Final = 10
# Lines end at LF alone: str.splitlines would also split at U+2028, form feeds and more.
_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+")
_BYTE_LINE: Final = re.compile(rb"[^\n]*\n|[^\n]+")
_COUNTS: Final = "([0-9]{1,9})(?:,([0-9]{1,9}))?"
_HUNK: Final = re.compile(rf"@@ -{_COUNTS} \+{_COUNTS} @@(?: .*)?\r?", re.DOTALL)
_PATH: Final = re.compile(
    r'(?:---|\+\+\+) (?:"((?:[^"\\]|\\.)*)"|([^"\t\r][^\t\r]*))(?:[\t\r].*)?', re.DOTALL
)
_ESCAPE: Final = re.compile(r"\\([0-3][0-7]{2}|.)", re.DOTALL)
_ESCAPES: Final = {"a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r"}
_HEADERS: Final = ("diff --git ", "index ", "--- ", "+++ ")
_EXTENDED: Final = re.compile(
    "(?:(?:old|new|deleted)(?: file)? mode|rename|copy|(?:dis)?similarity|GIT binary|Binary files) "
)


@dataclass(frozen=True, slots=True)
class Hunk:
    """One place of a change: from line `start` (counted from 1) on, `old` becomes `new`.

    Both are whole lines with their ends. Where `old` is empty, `new` goes after line `start`.
    """

    start: int
    old: str
    new: str

    @property
    def index(self) -> int:
        """How many lines of the file come before the hunk."""
        return self.start - 1 if self.old else self.start


@dataclass(frozen=True, slots=True)
class Patch:
    """The hunks of a diff, in order, and the paths that its `---` and `+++` lines name.

    The paths are as written, with git's quoting undone, and without `/dev/null`.
    """

    hunks: tuple[Hunk, ...]
    paths: tuple[str, ...] = ()

    def concerns(self, path: str) -> bool:
        """Answer whether no header names a file other than `path`, `a/` and `b/` aside."""
        return all(named in (path, f"a/{path}", f"b/{path}") for named in self.paths)

    def without_mark(self) -> Patch:
        """Return the patch without a byte order mark at the beginning of the file."""
        first, *others = self.hunks
        if first.start > 1:
            return self
        first = replace(first, old=first.old.removeprefix(MARK), new=first.new.removeprefix(MARK))
        return replace(self, hunks=(first, *others))


def parse_patch(diff: str) -> Patch | Rejected:
    r"""Read a unified diff of one file; the headers before the first hunk may be missing.

    The counts of every hunk must be right. An entirely empty line stands for an empty line of
    context, as editors strip its space; `\ No newline at end of file` is honoured; a CR before
    the LF belongs to the line. One empty line may follow the last hunk.
    """
    lines = diff.removesuffix("\n").split("\n")
    headers = list(takewhile(lambda line: not line.startswith("@@"), lines))
    paths = _parse_headers(headers)
    if isinstance(paths, Rejected):
        return paths
    if len(headers) == len(lines):
        return _failed("the diff has no hunk, such as '@@ -1,3 +1,4 @@'", "no-hunk")
    hunks, at = list[Hunk](), len(headers)
    while at < len(lines) - (lines[-1] == ""):
        if len(hunks) == MAX_HUNKS:
            message = f"the patch has more than {MAX_HUNKS} hunks, the limit of the format"
            return Rejected(RejectCode.PATCH_TOO_LARGE, message, {"limit": MAX_HUNKS})
        parsed = _parse_hunk(lines, at, len(hunks) + 1)
        if isinstance(parsed, Rejected):
            return parsed
        hunk, at = parsed
        hunks.append(hunk)
    return Patch(tuple(hunks), paths)


def apply_patch(text: str, patch: Patch) -> str | Rejected:
    """Return `text` with every hunk of `patch` applied, or the refusal of the first that fails.

    A hunk applies at the line that it names, shifted as the hunk before was, if its lines are
    there; otherwise at the only place after that hunk where they are. One without old lines
    has nothing to be found by, and applies only where it says.
    """
    starts = [*(match.start() for match in _LINE.finditer(text)), len(text)]
    pieces: list[str] = []
    done = shift = 0
    for number, hunk in enumerate(patch.hunks, start=1):
        index = hunk.index + shift
        places = _places(text, starts, hunk.old, index, done)
        if len(places) != 1:
            return _misfit(text, starts, hunk, number, index, places)
        shift = bisect_left(starts, places[0]) - hunk.index
        pieces += [text[done : places[0]], hunk.new]
        done = places[0] + len(hunk.old)
    pieces.append(text[done:])
    filled = [at for at, piece in enumerate(pieces) if piece]
    for at in filled[:-1]:
        if not pieces[at].endswith("\n"):
            message = f"hunk {at // 2 + 1} would join two lines: only the last may lack its LF"
            return _failed(message, "missing-newline", hunk=at // 2 + 1)
    return "".join(pieces)


def changed_lines(before: bytes | None, after: bytes | None) -> int:
    """Count the lines that a simple diff from `before` to `after` removes and adds.

    Unchanged are, by definition: the equal lines at the start and at the end; between them the
    longest increasing run of lines that occur once on each side, as in a patience diff; and
    the equal lines right around each of these. All else counts. So this is the size of a real
    diff, never less than the smallest and equal to it where no line repeats, the same on every
    machine, in O(n log n) for any input. A line ends at LF; a missing file has none.
    """
    old, new = _trimmed(_BYTE_LINE.findall(before or b""), _BYTE_LINE.findall(after or b""))
    anchors = [(-1, -1), *_anchors(old, new), (len(old), len(new))]
    gaps = (_trimmed(old[a + 1 : c], new[b + 1 : d]) for (a, b), (c, d) in pairwise(anchors))
    return sum(len(removed) + len(added) for removed, added in gaps)


def _failed(message: str, reason: str, **detail: Any) -> Rejected:
    return Rejected(RejectCode.PATCH_FAILED, message, {"reason": reason, **detail})


def _parse_headers(lines: Sequence[str]) -> tuple[str, ...] | Rejected:
    paths: list[str] = []
    seen = [""]
    for line in lines:
        shown = excerpt(line, _SHOWN)
        if _EXTENDED.match(line):
            message = f"a patch changes content only, not '{shown}'"
            return _failed(message, "extended-header", found=shown)
        kind = next(filter(line.startswith, _HEADERS), None)
        if kind is None or kind in seen or (kind == "+++ ") != (seen[-1] == "--- "):
            message = f"unexpected line '{shown}' before the first hunk"
            return _failed(message, "unexpected-line", found=shown)
        seen.append(kind)
        if kind in ("--- ", "+++ "):
            path = _header_path(line)
            if path is None:
                return _failed(f"no readable path in '{shown}'", "unreadable-path", found=shown)
            paths.append(path)
    if seen[-1] == "--- ":
        return _failed("the '---' line has no '+++' line after it", "unexpected-line")
    return tuple(path for path in paths if path != "/dev/null")


def _header_path(line: str) -> str | None:
    match = _PATH.fullmatch(line)
    if match is None or match[1] is None:
        return match[2] if match else None
    # git quotes as C does, byte by byte (git-config(1), core.quotePath).
    try:
        quoted = match[1].encode("utf-8").decode("latin-1")
        return _ESCAPE.sub(_unescaped, quoted).encode("latin-1").decode("utf-8")
    except UnicodeError:
        return None


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1]
    return chr(int(code, 8)) if len(code) == 3 else _ESCAPES.get(code, code)


def _parse_hunk(lines: Sequence[str], at: int, number: int) -> tuple[Hunk, int] | Rejected:
    header = _HUNK.fullmatch(lines[at])
    counts = (int(header[2] or 1), int(header[4] or 1)) if header else (0, 0)
    if header is None or counts == (0, 0) or (header[1].strip("0") == "" and counts[0]):
        shown = excerpt(lines[at], _SHOWN)
        message = f"hunk {number}: '{shown}' is no header such as '@@ -1,3 +1,4 @@'"
        return _failed(message, "bad-header", hunk=number, found=shown)
    old: list[str] = []
    new: list[str] = []
    sides = {" ": (old, new), "-": (old,), "+": (new,)}
    body = at = at + 1
    while at < len(lines) and (len(old) < counts[0] or len(new) < counts[1]):
        line = lines[at]
        at += 1
        ended = at < len(lines) and lines[at].startswith("\\ ")
        at += ended
        content = line[1:] + ("" if ended else "\n")
        taken = sides.get(line[:1] or " ")
        if taken is None or not content or any(not c.endswith("\n") for s in taken for c in s[-1:]):
            return _unexpected(lines, body, number, counts, line)
        for side in taken:
            side.append(content)
    after = "\n".join(lines[at : at + 2])
    if (len(old), len(new)) != counts or not (after == "" or after.startswith("@@")):
        return _unexpected(lines, body, number, counts, after.partition("\n")[0])
    return Hunk(int(header[1]), "".join(old), "".join(new)), at


def _unexpected(
    lines: Sequence[str], body: int, number: int, counts: tuple[int, int], line: str
) -> Rejected:
    hunk = takewhile(lambda each: not each.startswith("@@ -"), lines[body:])
    marks = Counter(each[:1] or " " for each in hunk)
    counted = marks[" "] + marks["-"], marks[" "] + marks["+"]
    if counted != counts:
        said, has = (f"{old} old and {new} new lines" for old, new in (counts, counted))
        numbers = {"hunk": number, "stated": list(counts), "counted": list(counted)}
        return _failed(f"hunk {number} says {said}, but has {has}", "wrong-counts", **numbers)
    shown = excerpt(line, _SHOWN)
    detail = {"hunk": number, "found": shown}
    return _failed(f"hunk {number}: unexpected line '{shown}'", "unexpected-line", **detail)


def _places(text: str, starts: Sequence[int], old: str, index: int, done: int) -> list[int]:
    """Return where `old` can go, not before `done`: at line `index`, or wherever it is."""
    # Lines that end without LF are the last ones of the file.
    last = len(text) - len(old) if old and not old.endswith("\n") else None
    stated = starts[index] if 0 <= index < len(starts) else -1
    if stated >= done and text.startswith(old, stated) and last in (None, stated):
        return [stated]
    if last is not None:
        at_line = last >= done and text[last - 1 : last] in ("", "\n")
        return [last] if at_line and text.endswith(old) else []
    if not old:
        return []
    # With the LF before it the text is found only where a line starts, in one pass.
    needle = "\n" + old
    places = [0] if done == 0 and text.startswith(old) else []
    at = text.find(needle, max(done - 1, 0))
    while at >= 0 and len(places) < _MATCHES_SHOWN:
        places.append(at + 1)
        at = text.find(needle, at + 1)
    return places


def _misfit(
    text: str, starts: Sequence[int], hunk: Hunk, number: int, index: int, places: Sequence[int]
) -> Rejected:
    if places:
        lines = [bisect_left(starts, at) + 1 for at in places]
        fits = ", ".join(map(str, lines))
        message = f"hunk {number} does not fit at line {index + 1}, but at {fits}: add context"
        return _failed(message, "ambiguous", hunk=number, line=index + 1, lines=lines)
    line, expected, found = index, "", ""
    for line, expected in enumerate(_LINE.findall(hunk.old), start=index):
        found = text[starts[line] : starts[line + 1]] if 0 <= line < len(starts) - 1 else ""
        if found != expected:
            break
    message = f"hunk {number} fits nowhere: line {line + 1} of the file is not what it says"
    reason = "context-mismatch"
    if found and found.rstrip("\r\n") == expected.rstrip("\r\n"):
        reason = "line-endings"
        message += f": it ends with {end_of(found)}, and there with {end_of(expected)}"
    shown = {"expected": excerpt(expected, _SHOWN), "found": excerpt(found, _SHOWN)}
    return _failed(message, reason, hunk=number, line=line + 1, **shown)


def _trimmed(old: list[bytes], new: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    shorter = min(len(old), len(new))
    start = next((at for at in range(shorter) if old[at] != new[at]), shorter)
    rest = shorter - start
    end = next((at for at in range(rest) if old[-1 - at] != new[-1 - at]), rest)
    return old[start : len(old) - end], new[start : len(new) - end]


def _anchors(old: Sequence[bytes], new: Sequence[bytes]) -> list[tuple[int, int]]:
    """Return the longest run of pairs of lines unique on both sides, rising on both."""
    in_old, in_new = Counter(old), Counter(new)
    where = {line: at for at, line in enumerate(new)}
    pairs = [(at, where[x]) for at, x in enumerate(old) if in_old[x] == 1 == in_new[x]]
    # Patience sorting: the smallest end of a run of each length, and what came before it.
    ends: list[int] = []
    last: list[int] = []
    previous: list[int] = []
    for number, (_, at) in enumerate(pairs):
        length = bisect_left(ends, at)
        previous.append(last[length - 1] if length else -1)
        ends[length : length + 1] = [at]
        last[length : length + 1] = [number]
    run: list[tuple[int, int]] = []
    number = last[-1] if last else -1
    while number >= 0:
        run.append(pairs[number])
        number = previous[number]
    return run[::-1]
