"""What an answer is wrapped in: taken off where that leaves no doubt, named where it does not.

A model that is asked for one JSON object puts a fence around it, a sentence before it, or its
thinking. What leaves no doubt which object is meant costs no attempt: that is one object of the
form of an envelope in the whole output, no other that was begun, and no sign that it is quoted. It
is on record how it came (docs/FORMAT.md, "Envelopes").
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, Final, Literal

from esaa_git.core.rejection import excerpt

Packing = Literal[
    "byte-order-mark", "thinking", "fence", "prose", "container", "tool-call", "remarks"
]
"""How an answer came: behind a byte order mark or thinking, in a fence, among other words, in a
list, text or object of its own, as the call of a tool, with keys that nobody asked for."""

REMARKS: Final = frozenset(
    {
        "$schema",
        "agent",
        "analysis",
        "chainofthought",
        "comment",
        "comments",
        "confidence",
        "confidencescore",
        "explanation",
        "finishreason",
        "id",
        "justification",
        "language",
        "metadata",
        "model",
        "note",
        "notes",
        "rationale",
        "reason",
        "reasoning",
        "reasoningcontent",
        "remark",
        "remarks",
        "reflection",
        "role",
        "schema",
        "summary",
        "think",
        "thinking",
        "thought",
        "thoughts",
        "timestamp",
        "type",
        "usage",
        "version",
    }
)
"""Names of what says something about an answer and nothing in it, without '_', '-' and case."""

_BLANK: Final = " \t\r\n"
_MARK: Final = "\ufeff"
_TAGS: Final = (
    "think",
    "thinking",
    "thought",
    "thoughts",
    "reasoning",
    "reflection",
    "analysis",
    "scratchpad",
)
_OPENED: Final = re.compile(rf"[ \t\r\n]*<({'|'.join(_TAGS)})>", re.IGNORECASE)
_CLOSING: Final = {tag: re.compile(f"</{tag}>", re.IGNORECASE) for tag in _TAGS}
_THOUGHT: Final = re.compile("</(?:think|thinking)>", re.IGNORECASE)
_OBJECT: Final = re.compile(r"\{[ \t\r\n]*\"")
_BEGUN: Final = re.compile(r"\{[ \t\r\n]*(?:[\"}]|//|/\*|['“‘]?action\b|\Z)")
_QUOTED: Final = re.compile(r"[ \t]*(?:(?:[-*+]|\d{1,3}[.)])[ \t]+)?>")
_LISTED: Final = re.compile(r"[ \t]*(?:[+|]|(?:\S{1,200}:)?\d{1,9}[ \t]*[:|→\t])")
"""How a line begins that is a quotation, and one of a diff, a table, cat -n or grep -n."""
_QUOTES: Final = "\"'`“”‘’„«»"
_ASIDE: Final = re.compile(rf"<(/?)({'|'.join(_TAGS)}|examples?|(?:block)?quote)>", re.IGNORECASE)
_OPENS: Final = re.compile(r"(?:`{3,}|~{3,})[ \t]*([\w+-]*)[ \t]*\r?\n?[ \t\r\n]*\Z")
_CLOSES: Final = re.compile(r"[ \t\r\n]*(?:`{3,}|~{3,})")


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The text of the one object that is meant, and what was around it.

    `is_among_words` where that could be an answer as well: prose, or thinking that no tag begins.
    """

    text: str
    how: tuple[Packing, ...]
    is_among_words: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What an output is in place of one answer, in words."""

    words: str


def unpack(source: str) -> Unpacked | Seen:
    """Return the one answer in an output that is not one JSON value as it is, or what it is."""
    how: list[Packing] = []
    text = source
    if text.startswith(_MARK):
        text = text.removeprefix(_MARK)
        how.append("byte-order-mark")
    if not text.strip(_BLANK):
        return Seen("it is empty")
    behind = _behind_thinking(text)
    if behind is None:
        return Seen("it is thinking that does not end")
    ahead = text[: len(text) - len(behind)]
    if ahead:
        text = behind
        how.append("thinking")
    found = _answer(text)
    if isinstance(found, Seen):
        return found
    start, end = found
    aside = _aside(ahead, text, start, end)
    if aside is not None:
        return Seen(f"the object at character {len(ahead) + start} stands in {aside}")
    before, after = text[:start], text[end:]
    opened, closed = _OPENS.search(before[-200:]), _CLOSES.match(after)
    if opened:
        how.append("fence")
        before = before[: len(before) - len(opened[0])]
        after = after[closed.end() :] if closed else after
    if before.strip(_BLANK) or after.strip(_BLANK):
        how.append("prose")
    is_untagged = bool(ahead) and _OPENED.match(ahead) is None
    return Unpacked(text[start:end], tuple(how), is_untagged or "prose" in how)


def _behind_thinking(text: str) -> str | None:
    """Return what follows blocks of thinking at the beginning; None where one does not end."""
    at = 0
    while opened := _OPENED.match(text, at):
        closed = _CLOSING[opened[1].lower()].search(text, opened.end())
        if closed is None:
            return None
        at = closed.end()
    if not at:
        # Some services leave out the tag that begins it.
        first = _OBJECT.search(text)
        closed = _THOUGHT.search(text, 0, len(text) if first is None else first.start())
        at = 0 if closed is None else closed.end()
    return text[at:]


def _answer(text: str) -> tuple[int, int] | Seen:
    """Return where the one object that is meant begins and ends.

    Another one that was begun and is no JSON may be the answer, and the whole one its example. So
    all of the output is looked through.
    """
    objects: list[tuple[int, int]] = []
    answers: list[tuple[int, int]] = []
    at = 0
    while begun := _BEGUN.search(text, at):
        start = begun.start()
        try:
            value, at = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            wrong = _what_is_wrong(error, len(text.rstrip(_BLANK)))
            return Seen(f"the object at character {start} is not JSON: {wrong}")
        objects.append((start, at))
        if is_answer(value):
            answers.append((start, at))
    if len(answers or objects) == 1:
        return (answers or objects)[0]
    if answers:
        return Seen(f"it holds {len(answers)} answers, and one is wanted")
    if objects:
        return Seen(f"it holds {len(objects)} objects, and none has 'action' and 'payload'")
    fenced = re.search(r"^(?:`{3,}|~{3,})([\w+-]*)", text, re.MULTILINE)
    began = excerpt(text.strip(_BLANK), 80)
    what = f"a block of {fenced[1] or 'text'} in a fence" if fenced else "prose"
    return Seen(f"it is {what}, and begins '{began}'")


def _aside(ahead: str, text: str, start: int, end: int) -> str | None:
    """Return in which words of others, or of nobody yet, an object stands; None if it does not."""
    before = text[:start]
    *above, line = (ahead + before + "{").split("\n")
    if _LISTED.match(line):
        return "a line of another text"
    while _QUOTED.match(line) is None and above and line.strip(_BLANK):
        line = above.pop()
    beside = before + text[end:]
    is_quoted = before[-1:] in _QUOTES and _OPENS.search(before[-200:]) is None
    if _QUOTED.match(line) or (before and is_quoted and beside.strip(_BLANK + _QUOTES)):
        return "a quotation"
    depth: dict[str, int] = {}
    for closing, tag in _ASIDE.findall(before):
        depth[tag.lower()] = max(0, depth.get(tag.lower(), 0) + (-1 if closing else 1))
    following = _ASIDE.search(text, end)
    inside = [tag for tag, count in depth.items() if count]
    if following is not None and following[1]:
        inside.append(following[2].lower())
    return f"a block of <{inside[-1]}>" if inside else None


def _what_is_wrong(error: Exception, length: int) -> str:
    if not isinstance(error, json.JSONDecodeError):
        return "it nests too deeply" if isinstance(error, RecursionError) else excerpt(str(error))
    cut_off = error.pos >= length or error.msg.startswith("Unterminated string")
    said = "it ends before it is complete" if cut_off else f"{error.msg} at character {error.pos}"
    return said + (f", after '{excerpt(error.doc[max(error.pos - 30, 0) : error.pos], 40)}'")


_DECODER: Final = json.JSONDecoder()


def is_answer(value: Any) -> bool:
    """Answer whether a JSON value has the form of an envelope, or is one in a wrapper."""
    if not isinstance(value, dict):
        return False
    if "action" in value and "payload" in value:
        return True
    return len(value) == 1 and is_answer(next(iter(value.values())))


def contained(value: Any) -> Any:
    """Return the answer that a JSON value holds and nothing beside it, or the value itself."""
    inner = value
    if isinstance(inner, list) and len(inner) == 1:
        inner = inner[0]
    while isinstance(inner, dict) and len(inner) == 1 and is_answer(inner):
        inner = next(iter(inner.values()))
    return inner if is_answer(inner) else value


def without_remarks(value: Mapping[str, Any], known: Set[str]) -> dict[str, Any]:
    """Return an object without the keys that its schema does not know and that are remarks."""
    return {
        key: item
        for key, item in value.items()
        if key in known or re.sub("[_-]", "", key).lower() not in REMARKS
    }
