"""Three-way merges of single files, in memory: the proposal's change and the branch's.

libgit2 merges, since it takes microseconds where `git merge-file` takes a process and three
temporary files; both are the same xdiff code with the same defaults. A file is first settled as
git settles it, by id: only what both sides changed differently is merged line by line.

The `merge` attribute is honoured as gitattributes(5) says: `-merge`, `merge=binary` (and so the
macro `binary`) never merge, `merge=union` takes the lines of both sides. It is read from the
checkout or the index, as git does, so a bare repository knows `info/attributes` alone. A driver
that runs a program (`merge.<name>.driver`) is not run: the merge is a conflict that names it, for
we would otherwise record another result than git.
"""

from __future__ import annotations

import pygit2

from esaa_git.ports.files import Conflict, FileEntry
from esaa_git.store.objects import BLOB, MODE_FILE, name_of
from esaa_git.store.program import run_git
from esaa_git.store.repository import Repository
from esaa_git.store.trees import store_files

HUNKS_LIMIT = 4000
"""Characters of conflicting hunks that a Conflict carries at most."""

# How far git looks for a NUL before it calls a content text (FIRST_FEW_BYTES, xdiff-interface.c).
_BINARY_PROBE = 8000
_OPENS, _DIVIDES, _CLOSES = "<<<<<<< branch", "=======", ">>>>>>> proposal"


class GitMerger:
    """Merges files of one repository and stores the results in its object database."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def merge_file(
        self, path: str, base: FileEntry, ours: FileEntry, theirs: FileEntry
    ) -> FileEntry | Conflict:
        """Merge two changes of one file, content and mode, and return the entry of the merge.

        `ours` is the branch and `theirs` the proposal; the markers of a conflict say so.
        """
        mode = _settled(base.mode, ours.mode, theirs.mode)
        if mode is None:
            reason = f"the branch made its mode {ours.mode}, the proposal {theirs.mode}"
            return Conflict(path, reason, "")
        settled = _settled(base.oid, ours.oid, theirs.oid)
        if settled is not None:
            return FileEntry(mode, settled)
        obstacle = self._unmergeable(path, base, ours, theirs)
        if obstacle is not None:
            return Conflict(path, obstacle, "")
        merged = self._merged(path, base, ours, theirs)
        if merged is None:
            reason = "the branch and the proposal changed the same lines"
            return Conflict(path, reason, self._hunks(base, ours, theirs))
        return FileEntry(mode, merged)

    def renamed_to(self, base: str, tip: str, path: str) -> str | None:
        """Return where the path of `base` went by a rename on the way to `tip`, if it did.

        Git's own detection at its default similarity of 50 %, from a difference of the two whole
        trees: what it costs follows the repository, so it is computed only when asked. Beyond
        `diff.renameLimit` files git finds exact renames alone.
        """
        git_dir = self._repository.git_dir
        options = ("-r", "-z", "-M50%", "--diff-filter=R", "--name-status")
        said = run_git(git_dir, f"--git-dir={git_dir}", "diff-tree", *options, base, tip, "--")
        words = name_of(said).split("\0")
        renames = dict(zip(words[1::3], words[2::3], strict=False))
        return renames.get(path)

    def _unmergeable(
        self, path: str, base: FileEntry, ours: FileEntry, theirs: FileEntry
    ) -> str | None:
        # Unspecified is None and stands for `merge.default`; True is the built-in text driver.
        driver = self._repository.attribute(path, "merge")
        if driver is None:
            driver = self._repository.setting("merge.default")
        if driver is False or driver == "binary":
            return "its attributes say that it cannot be merged"
        if isinstance(driver, str) and self._repository.setting(f"merge.{driver}.driver"):
            return f"its attributes give it to the merge driver '{driver}', which is a program"
        versions = (self._read(entry) for entry in (base, ours, theirs))
        if any(b"\0" in content[:_BINARY_PROBE] for content in versions):
            return "it is binary, and both the branch and the proposal changed it"
        return None

    def _merged(self, path: str, base: FileEntry, ours: FileEntry, theirs: FileEntry) -> str | None:
        # At its own path, so that libgit2 finds `merge=union`.
        ancestor, branch, proposal = (
            store_files(self._repository, {path: FileEntry(MODE_FILE, entry.oid)})
            for entry in (base, ours, theirs)
        )
        index = self._repository.merge_trees(ancestor, branch, proposal)
        return None if index.conflicts is not None else str(index[path].id)

    def _hunks(self, base: FileEntry, ours: FileEntry, theirs: FileEntry) -> str:
        def labelled(name: str, entry: FileEntry) -> pygit2.IndexEntry:
            # libgit2 writes an entry's path behind its markers, and pygit2 reads UTF-8 alone.
            text = self._read(entry).decode(errors="backslashreplace").replace("\0", "\\0")
            oid = self._repository.put(BLOB, text.encode())
            return pygit2.IndexEntry(name, pygit2.Oid(hex=oid), pygit2.enums.FileMode.BLOB)

        merged = self._repository.raw.merge_file_from_index(
            labelled("base", base), labelled("branch", ours), labelled("proposal", theirs)
        )
        # Behind the marker of an empty file libgit2 writes no name.
        opens = _OPENS if self._read(ours) else _OPENS.partition(" ")[0]
        closes = _CLOSES if self._read(theirs) else _CLOSES.partition(" ")[0]
        return _bounded(_conflicting(merged.contents, opens, closes))

    def _read(self, entry: FileEntry) -> bytes:
        return self._repository.read(entry.oid)[1]


def _settled(base: str, ours: str, theirs: str) -> str | None:
    """Return what three values come to without looking into them, or None where they do not."""
    if ours in (theirs, base):
        return theirs
    return ours if theirs == base else None


def _conflicting(merged: str, opens: str, closes: str) -> list[str]:
    """Return the marked hunks, each below the line of the branch's file at which it begins."""
    hunks: list[str] = []
    line = 1
    side = None
    for text in merged.split("\n"):
        marker = text.removesuffix("\r")
        if side is None and marker == opens:
            hunks.append(f"@@ line {line} of the branch's file @@\n{_OPENS}\n")
            side = "branch"
        elif side == "branch" and marker == _DIVIDES:
            hunks[-1] += f"{_DIVIDES}\n"
            side = "proposal"
        elif side == "proposal" and marker == closes:
            hunks[-1] += f"{_CLOSES}\n"
            side = None
        else:
            if side is not None:
                hunks[-1] += f"{text}\n"
            if side != "proposal":
                line += 1
    return hunks


def _bounded(hunks: list[str]) -> str:
    text = "".join(hunks)
    if len(text) <= HUNKS_LIMIT:
        return text
    note = f"[cut here; conflicting hunks in all: {len(hunks)}]\n"
    kept = text[: HUNKS_LIMIT - len(note) - 1]
    return f"{kept}\n{note}"
