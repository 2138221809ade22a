"""What policy sees of a thing that it judges: names, paths, operations and numbers, no content.

The facts are recorded with what was judged, so that a rule can be evaluated again from the log
alone, whatever of the exchange was kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal, get_args

from esaa_git.core import canonical
from esaa_git.core.events.base import Count, Line, Record, encode
from esaa_git.core.events.fields import Actor, Name, Path, TaskId
from esaa_git.core.events.fields import Mode as FileMode
from esaa_git.core.events.file_write import AnyFile, FileAdd, FileDelete, FileRename

Subject = Literal["proposal", "dispatch"]
Change = Literal["add", "modify", "delete", "rename"]
Effect = Literal["allow", "deny", "require"]
Mode = Literal["enforce", "warn", "audit"]
"""What a rule is about, what it says, and what becomes of that."""

SUBJECTS: Final = get_args(Subject)
EFFECTS: Final = get_args(Effect)
MODES: Final = get_args(Mode)
CHANGES: Final = get_args(Change)
OPERATIONS: Final = (*CHANGES, "executable")
FILE_MODES: Final = get_args(FileMode)

REGULAR: FileMode = "100644"
EXECUTABLE: FileMode = "100755"


class FileFact(Record):
    """One file that a proposal changes; `mode` is what it has after, `before_mode` what it had."""

    path: Path
    change: Change
    from_: Path | None = None
    before_mode: FileMode | None = None
    mode: FileMode | None = None

    @property
    def operations(self) -> tuple[str, ...]:
        """What a contract may speak of: the change, and `executable` where it becomes that."""
        becomes = self.mode == EXECUTABLE != (self.before_mode or REGULAR)
        return (self.change, "executable") if becomes else (self.change,)

    @classmethod
    def of(cls, file: AnyFile) -> FileFact:
        """Return the fact that a file of an effect is."""
        if isinstance(file, FileAdd):
            return cls(path=file.path, change="add", mode=file.mode)
        if isinstance(file, FileDelete):
            before = file.before_mode or REGULAR
            return cls(path=file.path, change="delete", before_mode=before)
        source = file.from_ if isinstance(file, FileRename) else None
        before = file.before_mode or file.mode
        return cls(
            path=file.path, change=file.change, from_=source, before_mode=before, mode=file.mode
        )


class Facts(Record):
    """The input of policy for one attempt: who does what kind of task, and what it would change.

    `on` is there before an agent is asked: then it is about who is asked, and there are no files.
    `lines` counts those added and removed; `cost_microdollars` is what the answer cost, where that
    is known.
    """

    task_id: TaskId
    kind: Name
    agent: Actor
    model: Annotated[str, Line()] | None = None
    cost_microdollars: int | None = None
    lines: int
    files: Annotated[tuple[FileFact, ...], Count(most=10_000)]
    on: Literal["dispatch"] | None = None

    @property
    def subject(self) -> Subject:
        """What the facts are about."""
        return self.on or "proposal"

    @property
    def sha256(self) -> str:
        """The SHA-256 of the facts as canonical JSON."""
        return canonical.digest(canonical.encode(encode(self)))


def file_facts(files: Iterable[AnyFile]) -> tuple[FileFact, ...]:
    """Return what policy sees of the files of an effect, in their order."""
    return tuple(FileFact.of(file) for file in files)


class Noted(Record):
    """A rule that is not enforced and matches; `erred` where it could not be evaluated."""

    rule: Name
    effect: Effect
    mode: Literal["audit", "warn"]
    erred: bool | None = None


PolicyNotes = Annotated[tuple[Noted, ...], Count(least=1, most=200)]
"""In the order of the rules."""
