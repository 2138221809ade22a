"""`orchestrator.file.write`: an effect is applied; every path with its before and after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, assert_never

from esaa_git.core.events.base import Count, Payload, Record, Stamp, encode
from esaa_git.core.events.fields import AttemptId, CheckResults, Mode, Oid, Path, Sha256, TaskId
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.invariants import Violation
from esaa_git.core.machine import AttemptState

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class FileAdd(Record):
    """A file appears."""

    path: Path
    change: Literal["add"] = "add"
    mode: Mode
    after: Oid
    sha256: Sha256
    bytes: int


class FileModify(Record):
    """A file has another content or mode; `before_mode` is named where it is another."""

    path: Path
    change: Literal["modify"] = "modify"
    before: Oid
    mode: Mode
    after: Oid
    sha256: Sha256
    bytes: int
    before_mode: Mode | None = None


class FileDelete(Record):
    """A file goes; `before_mode` is named where it is not 100644."""

    path: Path
    change: Literal["delete"] = "delete"
    before: Oid
    before_mode: Mode | None = None


class FileRename(Record):
    """A file goes to another path; `before_mode` is named where it is another."""

    path: Path
    change: Literal["rename"] = "rename"
    from_: Path
    before: Oid
    mode: Mode
    after: Oid
    sha256: Sha256
    bytes: int
    before_mode: Mode | None = None


AnyFile = FileAdd | FileModify | FileDelete | FileRename

Image = tuple[str, str] | None
"""What stands at a path: its mode and the id of its blob; None where nothing does."""


def images(files: Iterable[AnyFile]) -> Iterator[tuple[str, Image, Image]]:
    """Yield (path, before, after) of every path that changes; a rename changes two."""
    for file in files:
        match file:
            case FileAdd():
                yield file.path, None, (file.mode, file.after)
            case FileModify():
                before = (file.before_mode or file.mode, file.before)
                yield file.path, before, (file.mode, file.after)
            case FileDelete():
                yield file.path, (file.before_mode or "100644", file.before), None
            case FileRename():
                yield file.from_, (file.before_mode or file.mode, file.before), None
                yield file.path, None, (file.mode, file.after)
            case _:
                assert_never(file)


def _leaves(before: Iterable[Mapping[str, Any]], now: Iterable[Mapping[str, Any]]) -> bool:
    """Answer whether nothing of an effect is other than in an earlier one; less may be."""
    known = dict(_after(before))
    return all(known.get(path, ()) == after for path, after in _after(now))


def _after(written: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, object]]:
    """Yield each path of a recorded effect with what stands there after: mode and blob."""
    for file in written:
        if file["change"] == "rename":
            yield file["from"], None
        yield file["path"], None if file["change"] == "delete" else (file["mode"], file["after"])


class FileWrite(Payload, action="orchestrator.file.write", by={ORCHESTRATOR}):
    """The effect of an attempt; its after-images are attached to the event."""

    task_id: TaskId
    attempt_id: AttemptId
    base: Oid
    files: Annotated[tuple[AnyFile, ...], Count(least=1)]
    changed_lines: int
    merged_onto: Oid | None = None
    check_results: CheckResults | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        task, attempt = draft.attempt(self.task_id, self.attempt_id)
        if attempt.state != AttemptState.COMPLETED or task.effect is None or task.is_done:
            raise Violation("INV-003", f"'{attempt.attempt_id}' has no validated proposal to write")
        paths = [file.path for file in self.files]
        if len(set(paths)) != len(paths) or paths != sorted(paths):
            raise Violation("INV-005", "an effect names every path once, in order")
        written = tuple(encode(file) for file in self.files)
        checked = tuple(
            {"name": one.name, "passed": one.passed} for one in self.check_results or ()
        )
        before, task = task, replace(task, effect="written", written=written, checked=checked)
        if not _leaves(before.written, written):
            task = draft.without_approval(task)
        draft.put_task(task)

    def subject(self) -> str:
        if len(self.files) == 1:
            return f"{self.attempt_id}: {self.files[0].change} {self.files[0].path}"
        return f"{self.attempt_id}: {len(self.files)} files"
