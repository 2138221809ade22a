"""`orchestrator.file.write`: an effect is applied; every path with its before and after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, assert_never

from esaa_git.core import canonical
from esaa_git.core.events.base import Count, Payload, Record, Stamp, encode
from esaa_git.core.events.fields import AttemptId, CheckResults, Mode, Oid, Path, Sha256, TaskId
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.invariants import Violation
from esaa_git.core.machine import AttemptState
from esaa_git.core.undone import Change, Image, Restored, inverse_fault

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.task import Task


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


def digest_of(written: Iterable[Mapping[str, Any]]) -> str:
    """Return the SHA-256 by which the state knows the files of an effect once it is done."""
    return canonical.digest(canonical.encode(list(written)))


def changes_of(files: Iterable[AnyFile]) -> dict[str, Change]:
    """Return what an effect changes at each path, where a file may go and another one come."""
    found: dict[str, Change] = {}
    for path, before, after in images(files):
        gone, came = found.get(path, (None, None))
        found[path] = (before or gone, after or came)
    return found


def _restored(files: Iterable[AnyFile]) -> Iterator[Restored]:
    for file in files:
        if isinstance(file, FileRename):
            (_, before, _), (_, _, after) = images([file])
            yield Restored(file.path, before, after, file.from_)
        else:
            yield from (Restored(*one) for one in images([file]))


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
    """The effect of an attempt; its after-images are attached to the event.

    Where it undoes another one, `undoes` has the files of that as they are recorded.
    """

    task_id: TaskId
    attempt_id: AttemptId
    base: Oid
    files: Annotated[tuple[AnyFile, ...], Count(least=1)]
    changed_lines: int
    merged_onto: Oid | None = None
    check_results: CheckResults | None = None
    undoes: Annotated[tuple[AnyFile, ...], Count(least=1)] | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        task, attempt = draft.attempt(self.task_id, self.attempt_id)
        if attempt.state != AttemptState.COMPLETED or task.effect is None or task.is_done:
            raise Violation("INV-003", f"'{attempt.attempt_id}' has no validated proposal to write")
        paths = [file.path for file in self.files]
        if len(set(paths)) != len(paths) or paths != sorted(paths):
            raise Violation("INV-005", "an effect names every path once, in order")
        self._check_inverse(draft, task)
        written = tuple(encode(file) for file in self.files)
        checked = tuple(
            {"name": one.name, "passed": one.passed} for one in self.check_results or ()
        )
        before, task = task, replace(task, effect="written", written=written, checked=checked)
        if not _leaves(before.written, written):
            task = draft.without_approval(task)
        draft.put_task(task)

    def _check_inverse(self, draft: Draft, task: Task) -> None:
        """Refuse what undoes another effect than the task's, or is not the inverse of that."""
        undone = None if task.undoes is None else draft.task(task.undoes).result
        wrote = None if undone is None else undone.wrote
        files = self.undoes
        if wrote != (None if files is None else digest_of(map(encode, files))):
            raise Violation("INV-003", f"'{self.attempt_id}' undoes something else than its task")
        if files is not None:
            moved = {one.path: one.from_ for one in files if isinstance(one, FileRename)}
            fault = inverse_fault(changes_of(files), moved, _restored(self.files))
            if fault is not None:
                raise Violation("INV-004", f"'{self.attempt_id}' is no undo: {fault}")

    def subject(self) -> str:
        if len(self.files) == 1:
            return f"{self.attempt_id}: {self.files[0].change} {self.files[0].path}"
        return f"{self.attempt_id}: {len(self.files)} files"
