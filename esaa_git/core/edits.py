"""Exact edits: replace this text by that one, where it occurs once and nowhere else.

The cheapest way for an agent to change a large file, and the safest: an edit that does not
fit is refused with what the agent needs to write one that does. All of it takes time linear
in the text, as the text and the edits both come from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from esaa_git.core.rejection import RejectCode, Rejected, excerpt

MAX_EDITS: Final = 1000
"""Edits to one file in one proposal; each costs a pass over the text."""

MAX_RESULT: Final = 16 * 1024 * 1024
"""Characters of an edited text: a few repeated replacements could fill the memory."""

_MATCHES_SHOWN: Final = 10
_OLD_SHOWN: Final = 120
_LINE_SHOWN: Final = 200
_SEARCH_CHARS: Final = 1024 * 1024
_SEARCH_LINES: Final = 100_000


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace `old` by `new`: the one place where it occurs, or with `all` every one."""

    old: str
    new: str
    all: bool = False


def apply_edits(text: str, edits: Sequence[Edit]) -> str | Rejected:
    """Return `text` with all `edits` made, or the refusal of the first that does not fit.

    Each applies to the text as left by the one before. Line endings are part of the text: LF
    does not match CRLF; but where lines of the text end in both ways, and the edit spells LF
    alone, new lines end as the line does in which they begin. Places that overlap count as two,
    and with `all` the replacement runs from the left.
    """
    if len(edits) > MAX_EDITS:
        message = f"{len(edits)} edits of one file, at most {MAX_EDITS} are allowed by the format"
        detail = {"edits": len(edits), "limit": MAX_EDITS}
        return Rejected(RejectCode.PATCH_TOO_LARGE, message, detail)
    edited = text
    for index, edit in enumerate(edits):
        outcome = _apply_edit(edited, edit, index, text)
        if isinstance(outcome, Rejected):
            return outcome
        edited = outcome
    return edited


def _apply_edit(text: str, edit: Edit, index: int, original: str) -> str | Rejected:
    if not edit.old:
        message = f"edit {index}: 'old' is empty; give the text to replace"
        return Rejected(RejectCode.INVALID_VALUE, message, {"index": index, "reason": "empty-old"})
    first = text.find(edit.old)
    if first < 0:
        return _not_found(text, edit, index, original)
    if not edit.all and text.find(edit.old, first + 1) >= 0:
        return _ambiguous(text, edit, index)
    count = text.count(edit.old) if edit.all else 1
    size = len(text) + count * (len(edit.new) + edit.new.count("\n") - len(edit.old))
    if size > MAX_RESULT:
        message = (
            f"edit {index}: the file would grow beyond {MAX_RESULT} characters, "
            "the limit of the format"
        )
        detail = {"index": index, "size": size, "limit": MAX_RESULT}
        return Rejected(RejectCode.FILE_TOO_LARGE, message, detail)
    return _replaced(text, edit)


def _replaced(text: str, edit: Edit) -> str:
    if "\n" not in edit.new or "\r\n" not in text or "\r\n" in edit.old + edit.new:
        return text.replace(edit.old, edit.new)
    pieces: list[str] = []
    done, line_end, new = 0, -1, edit.new
    at = text.find(edit.old)
    while at >= 0:
        if line_end < at:
            line_end = text.find("\n", at)
            # The last line may have no end: then that of the line before counts.
            end = line_end if line_end >= 0 else text.rfind("\n")
            new = edit.new.replace("\n", "\r\n") if text[end - 1] == "\r" else edit.new
            line_end = line_end if line_end >= 0 else len(text)
        pieces += [text[done:at], new]
        done = at + len(edit.old)
        at = text.find(edit.old, done)
    return "".join([*pieces, text[done:]])


def _ambiguous(text: str, edit: Edit, index: int) -> Rejected:
    lines: list[int] = []
    line, counted = 1, 0
    at = text.find(edit.old)
    while at >= 0 and len(lines) < _MATCHES_SHOWN:
        line += text.count("\n", counted, at)
        lines.append(line)
        counted = at
        at = text.find(edit.old, at + 1)
    more = " and more" if at >= 0 else ""
    message = (
        f"edit {index}: 'old' occurs on lines {', '.join(map(str, lines))}{more}; "
        "add surrounding lines so that it occurs once, or set 'all'"
    )
    return Rejected(RejectCode.EDIT_AMBIGUOUS, message, {"index": index, "lines": lines})


def _not_found(text: str, edit: Edit, index: int, original: str) -> Rejected:
    detail: dict[str, Any] = {"index": index, "old": excerpt(edit.old, _OLD_SHOWN)}
    if text is not original and edit.old in original:
        detail["reason"] = "changed-by-earlier-edit"
        hint = "an earlier edit changed it, and edits apply one after the other"
    elif _with_other_endings(edit.old) in text:
        detail["reason"] = "line-endings"
        found = "LF" if "\r\n" in edit.old else "CRLF"
        hint = f"the lines there end with {found}, those of 'old' do not"
    else:
        detail["reason"] = "no-such-text"
        hint = "copy it exactly from the file, with its white space"
    closest = _closest_line(text, edit.old)
    if closest is not None:
        number, line = closest
        detail["closest"] = {"line": number, "text": excerpt(line, _LINE_SHOWN)}
        hint += f"; the closest line is {number}"
    return Rejected(RejectCode.EDIT_NOT_FOUND, f"edit {index}: 'old' not found: {hint}", detail)


def _with_other_endings(old: str) -> str:
    return old.replace("\r\n", "\n") if "\r\n" in old else old.replace("\n", "\r\n")


def _closest_line(text: str, old: str) -> tuple[int, str] | None:
    """Return number and text of the line that resembles the longest line of `old` most.

    Resemblance is the share of common character pairs, in integers: the answer is recorded,
    so it must come out the same everywhere. Looks at a bounded part of the text.
    """
    wanted = max((line.strip() for line in old[: 10 * _LINE_SHOWN].split("\n")), key=len)
    wanted_pairs = _pairs(wanted)
    best, found = 0, None
    lines = text[:_SEARCH_CHARS].split("\n", _SEARCH_LINES)[:_SEARCH_LINES]
    for number, line in enumerate(lines, start=1):
        pairs = _pairs(line.strip())
        score = 2_000_000 * len(wanted_pairs & pairs) // (len(wanted_pairs) + len(pairs) or 1)
        if score > best:
            best, found = score, (number, line)
    return found


def _pairs(line: str) -> set[tuple[str, str]]:
    return set(pairwise(line[:_LINE_SHOWN]))
