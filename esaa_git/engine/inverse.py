"""The inverse of an effect, for a branch as it is now: what an undo writes, or why it cannot.

A path that stands as the effect left it becomes what it was before, to the byte. Where it was
changed since, what stands there now and what stood there before are merged by what the effect
left, as git merges; what git does not merge is a conflict, which nobody resolves for a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from esaa_git.core.canonical import digest
from esaa_git.core.events.file_write import AnyFile, FileRename, changes_of
from esaa_git.core.patches import changed_lines
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.engine.engine import Engine
from esaa_git.engine.proposal import FileChange, Proposal
from esaa_git.errors import EsaaError, RepositoryError
from esaa_git.ports.files import Conflict, FileEntry, NotAFile


@dataclass(frozen=True, slots=True)
class Clash:
    """A path at which an effect cannot be taken back, and why; `hunks` as git marks them."""

    task_id: str
    path: str
    reason: str
    hunks: str = ""

    def rejected(self) -> Rejected:
        """Return it as the reject signal that it is where the branch moved on meanwhile."""
        detail = {"path": self.path, "reason": self.reason}
        if self.hunks:
            detail["hunks"] = self.hunks
        message = f"'{self.path}' cannot be undone: {self.reason}"
        return Rejected(RejectCode.WRITE_CONFLICT, message, detail)


@dataclass(frozen=True, slots=True)
class Inverse:
    """What undoing one task comes to: the files to write, of which some are `merged`."""

    task_id: str
    proposal: Proposal
    merged: tuple[str, ...] = ()
    clashes: tuple[Clash, ...] = ()


@dataclass
class Inverter:
    """Works out inverses one after the other, each on what those before it have left.

    Args:
        onto: the commit of the branch that the first is for.
    """

    engine: Engine
    onto: str
    _over: dict[str, FileEntry | None] = field(default_factory=dict)

    def invert(self, task_id: str, files: Sequence[AnyFile]) -> Inverse:
        """Return the inverse of what a task wrote.

        Raises:
            RepositoryError: if a content is not here, and no remote has it.
        """
        made = _Making(self, task_id, files)
        try:
            made.make()
        except KeyError as error:
            raise _missing(task_id, str(error).strip("'")) from error
        changes = tuple(sorted(made.changes, key=lambda one: one.path))
        if not changes and not made.clashes:
            path = files[0].path
            made.clashes.append(Clash(task_id, path, "nothing of it is on the branch any more"))
        proposal = Proposal(changes, self.onto, made.lines)
        self._over.update(proposal.tree_changes())
        return Inverse(task_id, proposal, tuple(made.merged), tuple(made.clashes))

    def at(self, path: str) -> FileEntry | NotAFile | None:
        """Return what stands at a path."""
        return self._over[path] if path in self._over else self.engine.trees.entry(self.onto, path)


class _Making:
    def __init__(self, to: Inverter, task_id: str, files: Sequence[AnyFile]) -> None:
        self._to = to
        self._blobs = to.engine.blobs
        self._task_id = task_id
        self._files = files
        self.changes: list[FileChange] = []
        self.merged: list[str] = []
        self.clashes: list[Clash] = []
        self.lines = 0

    def make(self) -> None:
        found = changes_of(self._files)
        moved_back: set[str] = set()
        for path, source in _moved(self._files).items():
            if (found[source][1], found[path][0]) == (None, None) and self._move_back(
                path, source, _entry(found[source][0]), _entry(found[path][1])
            ):
                moved_back |= {path, source}
        for path, (was, left) in found.items():
            if path not in moved_back:
                self._restore(path, _entry(was), _entry(left))

    def _move_back(
        self, path: str, source: str, was: FileEntry | None, left: FileEntry | None
    ) -> bool:
        """Move a file back to where it came from; answer whether that is what there is to do."""
        now, there = self._to.at(path), self._to.at(source)
        if now is None and there == was:
            return False
        if not isinstance(now, FileEntry) or there is not None or was is None or left is None:
            self._clash(path, "it was moved or replaced since, and cannot go back to its old place")
            return True
        to = self._merge(path, was=was, left=left, now=now)
        if to is not None:
            self._put(FileChange(source, now, to, path), now)
        return True

    def _restore(self, path: str, was: FileEntry | None, left: FileEntry | None) -> None:
        now = self._to.at(path)
        if isinstance(now, NotAFile):
            self._clash(path, f"{now.what} stands there now")
        elif now in (left, was):
            if was is not None or now is not None:
                self._put(FileChange(path, now, was), now)
        elif now is None:
            self._clash(path, "it was deleted since")
        elif was is None or left is None:
            what = "to be deleted" if was is None else "in the place of what was deleted"
            self._clash(path, f"what is {what} was changed since")
        else:
            to = self._merge(path, was=was, left=left, now=now)
            if to is not None:
                self._put(FileChange(path, now, to), now)

    def _merge(
        self, path: str, *, was: FileEntry, left: FileEntry, now: FileEntry
    ) -> FileEntry | None:
        if now == left:
            return was
        found = self._to.engine.merger.merge_file(path, left, now, was)
        if isinstance(found, Conflict):
            self._clash(path, found.reason.replace("the proposal", "the undo"), found.hunks)
            return None
        self.merged.append(path)
        return found

    def _put(self, change: FileChange, now: FileEntry | None) -> None:
        old = None if now is None else self._blobs.read(now.oid)
        new = None if change.after is None else self._blobs.read(change.after.oid)
        self.lines += changed_lines(old, new)
        if new is not None:
            change = replace(change, size=len(new), sha256=digest(new))
        self.changes.append(change)

    def _clash(self, path: str, reason: str, hunks: str = "") -> None:
        self.clashes.append(Clash(self._task_id, path, reason, hunks))


def _moved(files: Iterable[AnyFile]) -> Mapping[str, str]:
    return {one.path: one.from_ for one in files if isinstance(one, FileRename)}


def _entry(image: tuple[str, str] | None) -> FileEntry | None:
    return None if image is None else FileEntry(*image)


def _missing(task_id: str, oid: str) -> EsaaError:
    return RepositoryError(
        f"what '{task_id}' changed is not all in this repository",
        cause=f"there is no object {oid}: the clone is shallow, or leaves contents out",
        hint="run 'git fetch --unshallow' or 'git fetch --refetch' from where the branch is whole, "
        "then repeat the command",
    )
