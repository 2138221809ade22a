"""What an agent may answer: one record an intention, and one an operation on a file.

The envelope around them, and the way in for bytes, is `esaa_git.core.envelope`.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from esaa_git.core.events.base import Count, Form, Line, Record, Text
from esaa_git.core.events.fields import Name, Path, Severity, Sha256

Content = Annotated[str, Form({"type": "string"})]
"""Any text; what it may hold is the boundary's to say."""

Encoding = Literal["utf-8", "base64"]


class WriteFile(Record):
    """A whole file, new or in place of what is there."""

    op: Literal["write"] = "write"
    path: Path
    content: Content
    encoding: Encoding | None = None
    executable: bool | None = None


class Edit(Record):
    """A piece of text and what takes its place; `all` of them, or the only one."""

    old: Content
    new: Content
    all: bool | None = None


class EditFile(Record):
    """Replacements in a file, one after the other."""

    op: Literal["edit"] = "edit"
    path: Path
    edits: Annotated[tuple[Edit, ...], Count(least=1, most=1000)]
    base_sha256: Sha256 | None = None
    executable: bool | None = None


class PatchFile(Record):
    """A unified diff of one file."""

    op: Literal["patch"] = "patch"
    path: Path
    patch: Content
    base_sha256: Sha256 | None = None
    executable: bool | None = None


class DeleteFile(Record):
    """A file goes away."""

    op: Literal["delete"] = "delete"
    path: Path


class RenameFile(Record):
    """A file goes to another path, with other content where that is named."""

    op: Literal["rename"] = "rename"
    from_: Path
    path: Path
    content: Content | None = None
    encoding: Encoding | None = None
    executable: bool | None = None


class ChmodFile(Record):
    """A file becomes executable, or is so no longer."""

    op: Literal["chmod"] = "chmod"
    path: Path
    executable: bool


FileUpdate: TypeAlias = WriteFile | EditFile | PatchFile | DeleteFile | RenameFile | ChmodFile

KeptFile: TypeAlias = WriteFile | EditFile | PatchFile | RenameFile | ChmodFile
"""An operation that leaves a file at its path."""


class Lesson(Record):
    """What to do, and what went wrong without it."""

    rule: Annotated[str, Text(1000, 1)]
    mistake: Annotated[str, Text(1000, 1)]
    kinds: Annotated[tuple[Name, ...], Count(most=50)] | None = None


class ReportedUsage(Record):
    """What an agent says that its answer took."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_microdollars: int | None = None


class Result(Record):
    """`agent.result`: what was done, and the files that it changes."""

    summary: Annotated[str, Text(4000, 1)]
    file_updates: tuple[FileUpdate, ...] | None = None
    checks: Annotated[tuple[Annotated[str, Text(500, 1)], ...], Count(most=100)] | None = None
    lessons: Annotated[tuple[Lesson, ...], Count(most=20)] | None = None
    model: Annotated[str, Line()] | None = None
    usage: ReportedUsage | None = None


class Issue(Record):
    """`issue.report`: what is wrong, or in the way."""

    severity: Severity
    title: Annotated[str, Line()]
    description: Annotated[str, Text(20_000)] | None = None


class Question(Record):
    """`question.ask`: what the agent has to know before it can go on."""

    text: Annotated[str, Text(10_000, 1)]


class Heartbeat(Record):
    """`agent.heartbeat`: the agent is alive."""

    note: Annotated[str, Text(500)] | None = None


class Review(Record):
    """`agent.review`: what an agent decides on somebody's work."""

    verdict: Literal["approve", "request_changes"]
    reason: Annotated[str, Text(2000, 1)]


AnyAnswer: TypeAlias = Result | Issue | Question | Heartbeat | Lesson | Review
"""What an envelope may hold; the log holds a review as a grant or a denial."""
