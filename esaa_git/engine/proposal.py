"""Proposals: validated changes of files, made for one commit, and how the log records them.

What a task may propose at all is `esaa_git.core.proposal`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never, cast

from esaa_git.core.events import FileWrite
from esaa_git.core.events.fields import Mode
from esaa_git.core.events.file_write import AnyFile, FileAdd, FileDelete, FileModify, FileRename
from esaa_git.ports.files import FileEntry


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file of a proposal: what stands at its path before and after.

    `source` is where a renamed file comes from; `before` then is the entry there.
    """

    path: str
    before: FileEntry | None
    after: FileEntry | None
    source: str | None = None
    size: int = 0
    sha256: str = ""

    @property
    def change(self) -> str:
        """`add`, `modify`, `rename` or `delete`, as the log says it."""
        if self.after is None:
            return "delete"
        if self.source is not None:
            return "rename"
        return "add" if self.before is None else "modify"

    def recorded(self) -> AnyFile:
        """Return the file as `orchestrator.file.write` names it."""
        before, after = self.before, self.after
        if after is None:
            assert before is not None, "what stands nowhere is not deleted"
            before_mode = None if before.mode == "100644" else cast(Mode, before.mode)
            return FileDelete(path=self.path, before=before.oid, before_mode=before_mode)
        mode = cast(Mode, after.mode)  # the schema of the event says whether it is one
        if before is None:
            return FileAdd(
                path=self.path, mode=mode, after=after.oid, sha256=self.sha256, bytes=self.size
            )
        before_mode = None if before.mode == after.mode else cast(Mode, before.mode)
        if self.source is None:
            return FileModify(
                path=self.path,
                before=before.oid,
                mode=mode,
                after=after.oid,
                sha256=self.sha256,
                bytes=self.size,
                before_mode=before_mode,
            )
        return FileRename(
            path=self.path,
            from_=self.source,
            before=before.oid,
            mode=mode,
            after=after.oid,
            sha256=self.sha256,
            bytes=self.size,
            before_mode=before_mode,
        )

    @classmethod
    def of(cls, file: AnyFile) -> FileChange:
        """Return the change that `recorded` made a record of."""
        match file:
            case FileAdd():
                after = FileEntry(file.mode, file.after)
                return cls(file.path, None, after, None, file.bytes, file.sha256)
            case FileModify():
                before = FileEntry(file.before_mode or file.mode, file.before)
                after = FileEntry(file.mode, file.after)
                return cls(file.path, before, after, None, file.bytes, file.sha256)
            case FileRename():
                before = FileEntry(file.before_mode or file.mode, file.before)
                after = FileEntry(file.mode, file.after)
                return cls(file.path, before, after, file.from_, file.bytes, file.sha256)
            case FileDelete():
                return cls(file.path, FileEntry(file.before_mode or "100644", file.before), None)
            case _:
                assert_never(file)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A validated set of changes, made for one commit."""

    files: tuple[FileChange, ...]
    onto: str
    changed_lines: int

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that the proposal touches, the sources of renames included, in order."""
        named = {file.path for file in self.files}
        named |= {file.source for file in self.files if file.source is not None}
        return tuple(sorted(named))

    @classmethod
    def of(cls, write: FileWrite) -> Proposal:
        """Return a recorded effect as the proposal that it was, made for where it was merged."""
        files = tuple(FileChange.of(file) for file in write.files)
        return cls(files, write.merged_onto or write.base, write.changed_lines)

    def tree_changes(self) -> Mapping[str, FileEntry | None]:
        """Return what each path becomes."""
        changes: dict[str, FileEntry | None] = {
            file.source: None for file in self.files if file.source is not None
        }
        changes.update({file.path: file.after for file in self.files})
        return changes
