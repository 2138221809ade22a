"""One checkout: what of it is a person's own, and how git brings it from one tree to another.

Which checkouts there are and which paths they are asked about is `checkout`'s; the rules by which
git judges and writes are in its docstring.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from esaa_git.checkout.indexlock import identity, lock_index, replacing_index, wait_for_lock
from esaa_git.checkout.obstacles import ancestors, contents_of_folder, kin, mode_of, obstacle
from esaa_git.checkout.status import Status, batches, parse_status
from esaa_git.errors import ConflictError, RepositoryError
from esaa_git.faults import Point, reach
from esaa_git.store.locks import Claim
from esaa_git.store.objects import MODE_EXECUTABLE, MODE_FILE, TreeEntry, bytes_of, name_of
from esaa_git.store.program import run_git

HIDDEN = "is changed, and hidden from 'git status' by assume-unchanged or skip-worktree"
# What read-tree says before it has changed anything (unpack-trees.c, builtin/read-tree.c).
_REFUSAL = re.compile(
    "Cannot merge|would lose untracked|would be (overwritten|removed) by merge"
    "|resolve your current index"
)

# An index that stands for folders (git-sparse-checkout(1), "INTERNALS - SPARSE INDEX") is read and
# written as one of files: two trees of some paths cannot be merged into the other. The person's
# next command makes it sparse again.
_WHOLE_INDEX = ("-c", "index.sparse=false")

# Stands for a file that is yet to be written: no content has this id.
UNWRITTEN = TreeEntry(MODE_FILE, "")

Entries = Mapping[str, TreeEntry | None]
Changes = Mapping[str, "Change"]


class Refused(RepositoryError):
    """Git would not touch these paths, and has touched nothing."""


@dataclass(frozen=True, slots=True)
class Change:
    """What stands at a path before and after; None where no file does."""

    old: TreeEntry | None
    new: TreeEntry | None


@dataclass(slots=True)
class Plan:
    """What is to be done with paths.

    Those in `done` lack nothing but the index entry; those in `cut_short` are in `to_write` too.
    """

    to_write: list[str] = field(default_factory=list)
    cut_short: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    in_the_way: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moment:
    """Which index there is, and who has it locked."""

    index: tuple[int, int] | None
    lock: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Worktree:
    """One checkout, with a HEAD and an index of its own.

    Attributes:
        held: the lock of the index, where it is held for longer than one change of it.
    """

    folder: Path
    git_dir: Path
    trusts_modes: bool
    locks: Path
    sync_mode: str
    held: Claim | None = None

    @property
    def _following(self) -> Path:
        """The list of paths that are being written, or were when a crash came."""
        return self.git_dir / "esaa-following"

    def look(self, at_head: Entries, changes: Changes) -> dict[str, str]:
        """Return the paths that cannot be changed, with the reasons; nothing is written."""
        return self.plan(at_head, changes, closely=True, refresh=False).in_the_way

    def plan(
        self, at_head: Entries, changes: Changes, *, closely: bool = False, refresh: bool = True
    ) -> Plan:
        """Decide what to do with each path.

        Args:
            at_head: the entries of HEAD. Of a path that equals it, status says nothing.
            closely: look also for what status hides; read-tree would refuse it.
            refresh: whether to write down which touched files were found unchanged, without which
                read-tree takes them for changed.
        """
        found = {path: Status(entry) for path, entry in at_head.items()}
        found |= self._status_of(list(found), refresh=refresh)
        plan = Plan()
        doubtful = []
        for path, change in changes.items():
            status = found[path]
            if status.index == change.new and not status.unmerged:
                continue
            reason = obstacle(self.folder, path, changes)
            if reason is None and change.new is not None:
                reason = contents_of_folder(self.folder, path, changes)
            if reason is None:
                reason = status.difference(change.old)
                if reason is not None and status.index == change.old and not status.unmerged:
                    doubtful.append(path)
            if reason is None:
                plan.to_write.append(path)
            else:
                plan.in_the_way[path] = reason
        for path in self._done(doubtful, found, changes):
            del plan.in_the_way[path]
            plan.done.append(path)
        for path in self._cut_short(plan.in_the_way.keys() & doubtful, changes):
            del plan.in_the_way[path]
            plan.cut_short.append(path)
            plan.to_write.append(path)
        if closely:
            plan.in_the_way |= self._hidden(plan.to_write, changes)
            plan.in_the_way |= self._conflicts_elsewhere(plan)
        plan.in_the_way |= kin(plan.in_the_way, [*plan.to_write, *plan.done])
        plan.to_write = [path for path in plan.to_write if path not in plan.in_the_way]
        plan.cut_short = [path for path in plan.cut_short if path not in plan.in_the_way]
        plan.done = [path for path in plan.done if path not in plan.in_the_way]
        return plan

    def _status_of(self, paths: list[str], *, refresh: bool) -> dict[str, Status]:
        options = ("--untracked-files=all", "--ignored")
        if refresh:
            with suppress(ConflictError), self._replacing_index() as (index, claim):
                env, held = {**index, "GIT_OPTIONAL_LOCKS": "1"}, [claim.descriptor]
                return self.status(paths, *options, env=env, holding=held)
        return self.status(paths, *options)

    def status(
        self,
        paths: list[str] | None,
        *options: str,
        env: Mapping[str, str] | None = None,
        holding: Sequence[int] = (),
    ) -> dict[str, Status]:
        """Return what status says of these paths, or of all; silence says that nothing changed."""
        found: dict[str, Status] = {}
        options = ("--porcelain=v2", "-z", "--no-renames", *options)
        parts = [()] if paths is None else batches(paths)
        for batch in parts:
            said = self._git("status", *options, "--", *batch, env=env, holding=holding)
            found |= map(parse_status, said.split("\0")[:-1])
        return found

    def lock_index(self) -> Claim:
        """Lock the index as git does; it is free again when the claim is released.

        Raises:
            ConflictError: if another process holds it, for more than a second.
        """
        return lock_index(self.git_dir, self.locks, self.sync_mode)

    def wait_for_lock(self) -> None:
        """Return when no process holds the lock of the index.

        Raises:
            ConflictError: if that does not come about.
        """
        if self.held is None:
            wait_for_lock(self.git_dir, self.locks)

    def moment(self) -> Moment:
        """Return where the checkout is in being brought on, by us or by a person's command."""
        lock = None if self.held else identity(self.git_dir / "index.lock")
        return Moment(identity(self.git_dir / "index"), lock)

    def record(self, entries: Entries) -> None:
        """Set index entries, and touch no file but folders that deletions have left empty."""
        lines = []
        for path, entry in entries.items():
            mode, oid = ("0", "0" * 40) if entry is None else (entry.mode, entry.oid)
            lines.append(f"{mode} {oid}\t{path}\0")
        with self._replacing_index() as (index, claim):
            arguments, held = ("update-index", "-z", "--index-info"), [claim.descriptor]
            self._git(*arguments, input="".join(lines), env=index, holding=held)
        for path, entry in entries.items():
            if entry is None:
                self._remove_empty_folders(path)

    def merge_trees(self, old: str, new: str, paths: Iterable[str]) -> None:
        """Bring index and files of the paths in two trees from the one to the other.

        Raises:
            ConflictError: if the index is locked; nothing was changed.
            Refused: if a path is in the way after all; nothing was changed.
            RepositoryError: if git failed in the middle.
        """
        before = self._being_written()
        self._note_being_written({*before, *paths})
        try:
            with self._replacing_index() as (index, claim):
                held = [claim.descriptor]
                self._git("read-tree", "-m", "-u", old, new, env=index, holding=held)
                reach(Point.FILES_WRITTEN)
        except ConflictError:
            self._note_being_written(before)
            raise
        except RepositoryError as error:
            if _REFUSAL.search(error.cause or "") is None:
                raise
            self._note_being_written(before)
            raise Refused(error.message, cause=error.cause) from error
        self._note_being_written(())
        reach(Point.CHECKOUT_FOLLOWED)

    # ---- what else stands in the way -----------------------------------------------------------

    def _done(
        self, doubtful: list[str], found: Mapping[str, Status], changes: Changes
    ) -> list[str]:
        """Return the paths whose file is new already and whose index entry is still the old one.

        That is what a crash leaves: git writes the files first, and the index last of all.
        """
        oids = self._hashes(path for path in doubtful if (changes[path].new or UNWRITTEN).oid)
        done = []
        for path in doubtful:
            new = changes[path].new
            if new is None:
                matches = found[path].change == "D"
            else:
                matches = oids.get(path) == new.oid and self._has_mode(path, new.mode)
            if matches:
                done.append(path)
        return done

    def _cut_short(self, doubtful: Iterable[str], changes: Changes) -> list[str]:
        """Return the paths at which git was stopped: no file, or the beginning of the new one."""
        listed = self._being_written().intersection(doubtful)
        return sorted(path for path in listed if self._is_beginning(path, changes[path].new))

    def _is_beginning(self, path: str, new: TreeEntry | None) -> bool:
        """Answer whether the file holds less than what git was to write, and nothing else."""
        if new is None:
            return False
        if _is_empty(self.folder / path):
            return True
        if not stat.S_ISREG(mode_of(self.folder / path) or 0):
            return False
        whole = self._git_bytes("cat-file", "--filters", f"--path={path}", new.oid)
        return whole.startswith((self.folder / path).read_bytes())

    def _being_written(self) -> set[str]:
        try:
            return set(name_of(self._following.read_bytes()).split("\0"))
        except FileNotFoundError:
            return set()

    def _hidden(self, paths: list[str], changes: Changes) -> dict[str, str]:
        """Return the files that differ although the index says not to look."""
        tagged = []
        for batch in batches(paths):
            for record in self._git("ls-files", "-v", "-z", "--", *batch).split("\0")[:-1]:
                if record[0].islower() or record[0] == "S":
                    tagged.append(record[2:])
        # Outside a sparse checkout's cone no file is expected, and git writes none.
        there = [path for path in tagged if path in changes and mode_of(self.folder / path)]
        oids = self._hashes(there)
        hidden = {}
        for path in there:
            old = changes[path].old
            if old is None or oids.get(path) != old.oid:
                hidden[path] = HIDDEN
        return hidden

    def _conflicts_elsewhere(self, plan: Plan) -> dict[str, str]:
        if not plan.to_write:
            return {}
        unmerged = self._git("ls-files", "--unmerged", "-z").partition("\0")[0].partition("\t")[2]
        reason = f"cannot be updated while '{unmerged}' has conflicts that are not resolved"
        return dict.fromkeys(plan.to_write, reason) if unmerged else {}

    def _hashes(self, paths: Iterable[str]) -> dict[str, str]:
        """Return the ids that git would give to the files, as it would store them."""
        files = [path for path in paths if stat.S_ISREG(mode_of(self.folder / path) or 0)]
        if not files:
            return {}
        quoted = "".join(f"{_quoted(path)}\n" for path in files)
        oids = self._git("hash-object", "--stdin-paths", input=quoted).split()
        return dict(zip(files, oids, strict=True))

    def _has_mode(self, path: str, mode: str) -> bool:
        executable = bool((mode_of(self.folder / path) or 0) & 0o100)
        return executable == (mode == MODE_EXECUTABLE) or not self.trusts_modes

    # ---- writing -------------------------------------------------------------------------------

    def remove_beginning(self, path: str, new: TreeEntry | None) -> None:
        """Remove what a crash left of a file, which git would take for the person's own."""
        if obstacle(self.folder, path, ()) is None and self._is_beginning(path, new):
            (self.folder / path).unlink(missing_ok=True)

    def _note_being_written(self, paths: Collection[str]) -> None:
        if paths:
            self._following.write_bytes(bytes_of("\0".join(sorted(paths))))
        else:
            self._following.unlink(missing_ok=True)

    def _remove_empty_folders(self, path: str) -> None:
        if obstacle(self.folder, path, ()) is not None:
            return
        for above in reversed(list(ancestors(path))):
            try:
                (self.folder / above).rmdir()
            except OSError:
                return

    def _replacing_index(self) -> AbstractContextManager[tuple[Mapping[str, str], Claim]]:
        return replacing_index(self.git_dir, self.locks, self.sync_mode, self.held)

    def _git(
        self,
        *arguments: str,
        input: str | None = None,  # noqa: A002 - as run_git
        env: Mapping[str, str] | None = None,
        holding: Sequence[int] = (),
    ) -> str:
        said = self._git_bytes(*arguments, input=input, env=env, holding=holding)
        return name_of(said)

    def _git_bytes(
        self,
        *arguments: str,
        input: str | None = None,  # noqa: A002 - as run_git
        env: Mapping[str, str] | None = None,
        holding: Sequence[int] = (),
    ) -> bytes:
        return run_git(
            self.folder,
            # Explicit, since `core.worktree` may lead from the folder to no repository.
            f"--git-dir={self.git_dir}",
            f"--work-tree={self.folder}",
            "--literal-pathspecs",
            *_WHOLE_INDEX,
            *arguments,
            input=None if input is None else bytes_of(input),
            env=env,
            holding=holding,
        )


# ---- small parts -------------------------------------------------------------------------------


def _is_empty(path: Path) -> bool:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return True
    return stat.S_ISREG(status.st_mode) and status.st_size == 0


def _quoted(path: str) -> str:
    """Write a path so that git reads it back from a line, whatever it holds."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
