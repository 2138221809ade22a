"""What an agent did in a checkout, as the operations of an envelope.

1. `scan` finds the files that may have changed, without trust in anything there.
2. Their contents are copied to a folder of ours, and git takes them from there into a private
   index: with the line ends that the `.gitattributes` of the proposal ask for, as `git add` would,
   and without a filter program: whoever asks for the difference refuses what is under a filter.
3. git compares that index with the tree that was laid out, and says what was renamed.

New files that the `.gitignore` files of the base name, or the contract's globs for by-products,
stay out, and are named; an edit of a tracked file never does. What the agent wrote into such a file
is a proposal like any other and hides nothing, neither its own work nor another's. What a person
keeps in `.git/info/exclude` or in a global ignore file does not count: the same work gives the same
proposal everywhere.

A new symlink, device, socket or pipe, a change of a symlink or submodule of the base, and a git
repository inside of the checkout are no files: the diff is a fault that names the path.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pygit2

from esaa_git.checkout.isolated import IsolatedGit
from esaa_git.checkout.manifest import Manifest, ManifestEntry
from esaa_git.checkout.scan import Scan, ScanFault, Scanner, not_a_file, open_below
from esaa_git.core.paths import normalise_path
from esaa_git.core.rejection import RejectCode, Rejected, excerpt, of_policy
from esaa_git.errors import AgentError, RepositoryError
from esaa_git.folders import ROOM, no_room
from esaa_git.ports.agent import Diff
from esaa_git.store.objects import (
    BLOB,
    FILE_MODES,
    MODE_EXECUTABLE,
    MODE_FILE,
    MODE_SYMLINK,
    bytes_of,
    name_of,
    object_id,
)

_SMALL: Final = 1 << 20
"""A file of at most so many bytes is read at once."""

_IGNORE_FILE_BYTES: Final = 1 << 20

# No honest set of patterns or attributes takes long; a pattern of many stars may take for ever.
_SECONDS: Final = 60.0

# A line of UTF-32 becomes a fourth of its size, which is the most that an encoding can take away.
_SHRINKS: Final = 4

_SENTINEL: Final = ".esaa-sentinel"
Update = dict[str, Any]


def take_diff(
    git: IsolatedGit,
    checkout: Path,
    manifest: Manifest,
    max_bytes: int,
    by_products: Sequence[str] = (),
    hidden: frozenset[str] = frozenset(),
) -> Diff:
    """Return the difference of a checkout to what was laid out there.

    Args:
        git: a private git directory, made for this one diff.
        max_bytes: how many bytes the contents in it may have together.
        by_products: globs (`esaa_git.core.globs`) of new files that are left out.
        hidden: paths that are not looked at, and named nowhere.

    Raises:
        AgentError: if there is no room to find out.
    """
    try:
        differ = _Differ(git, checkout, manifest, max_bytes, by_products, hidden)
        updates = differ.updates()
    except ScanFault as faulty:
        return Diff((), faulty.rejected)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return Diff((), _too_long(error))
        raise no_room("find out what an agent changed", error) from error
    return Diff(updates, left_out=tuple(sorted(differ.left_out)))


class _Differ:
    def __init__(
        self,
        git: IsolatedGit,
        checkout: Path,
        manifest: Manifest,
        max_bytes: int,
        by_products: Sequence[str],
        hidden: frozenset[str],
    ) -> None:
        self._hidden = hidden
        self._git = git
        self._checkout = checkout
        self._manifest = manifest
        self._max_bytes = max_bytes
        self._room = _SHRINKS * max_bytes
        self._rules = [f"/{_SENTINEL}", *(f"/{glob}" for glob in by_products)]
        self.left_out: Sequence[str] = ()

    def updates(self) -> Sequence[Update]:
        rules = self._lay_out_rules()
        scan = Scanner(self._checkout, self._manifest, self._ignored, self._hidden).scan()
        self.left_out = scan.ignored
        for place in rules:
            place.unlink()  # what is proposed of them is read from the checkout
        for path in scan.new:
            _check_name(path)
        changed = self._collect(scan)
        if not changed:
            return ()
        self._git.index.write_bytes(self._manifest.index)
        self._ask(
            *("update-index", "-z", "--add", "--remove", "--replace", "--stdin"),
            paths=changed,
        )
        raw = self._ask(
            *("diff-index", "--cached", "--raw", "-z", "--no-abbrev"),
            *("-M", "-l2000", "--no-rename-empty", self._manifest.tree),
        )
        return self._operations(_parse_raw(raw))

    # -- what is ignored --------------------------------------------------------------------

    def _lay_out_rules(self) -> list[Path]:
        """Write the `.gitignore` files of the base where git looks for them."""
        listed = {
            f"{folder}/.gitignore" if folder else ".gitignore": file
            for folder, files in self._manifest.folders.items()
            # git reads none that is a link (gitignore(5), "NOTES").
            if (file := files.get(".gitignore")) is not None and file.mode in FILE_MODES
        }
        wanted = b"".join(file.raw_oid.hex().encode() + b"\n" for file in listed.values())
        said = self._ask("cat-file", "--batch", "--buffer", data=wanted) if listed else b""
        at = 0
        for path in listed:
            head, _, _ = said[at : at + 100].partition(b"\n")
            size = int(head.split()[2])
            start = at + len(head) + 1
            at = start + size + 1
            if size > _IGNORE_FILE_BYTES:
                words = f"'{excerpt(path)}' has {size} bytes"
                raise ScanFault(
                    Rejected(
                        RejectCode.OUTPUT_TOO_LARGE,
                        f"{words}, and no more than {_IGNORE_FILE_BYTES} are read of such a file",
                        {"allowed": _IGNORE_FILE_BYTES},
                    )
                )
            self._write(path, said[start : start + size], 0o644)
        (self._git.folder / "info/exclude").write_text("\n".join(self._rules) + "\n")
        return [self._place(path) for path in listed]

    def _ignored(self, files: Sequence[str], folders: Sequence[str]) -> set[str]:
        # A pattern that ends in '/' matches what is a folder where git looks.
        for path in folders:
            self._place(path).mkdir(parents=True, exist_ok=True)
        # With the sentinel, git finds something whatever we ask, and does not call that an error.
        # Behind './', a name that starts with ':' is a name (gitglossary(7), pathspec).
        said = self._ask(
            *("check-ignore", "-z", "-v", "--no-index", "--stdin"),
            paths=[f"./{path}" for path in (_SENTINEL, *files, *folders)],
        )
        fields = said.split(b"\0")
        verdicts = zip(fields[2::4], fields[3::4], strict=False)
        return {name_of(path[2:]) for pattern, path in verdicts if not pattern.startswith(b"!")}

    # -- contents ---------------------------------------------------------------------------

    def _collect(self, scan: Scan) -> list[str]:
        """Copy what changed to our folder; return the paths, those that are gone first."""
        gone = list(scan.gone)
        changed = [path for path, file in scan.touched.items() if self._copy_touched(path, file)]
        for path in scan.new:
            self._copy(path, None)
        return gone + changed + scan.new

    def _copy_touched(self, path: str, file: ManifestEntry) -> bool:
        if file.mode == MODE_SYMLINK:
            target = self._readlink(path)
            if object_id(BLOB, target) != file.oid:
                raise ScanFault(not_a_file(path, file, stat.S_IFLNK))
            return False
        # What has the size that was laid out is no more to copy than was laid out.
        self._room += 2 * file.size
        return self._copy(path, file)

    def _copy(self, path: str, file: ManifestEntry | None) -> bool:
        """Copy a file, unless it is byte for byte the one that was laid out."""
        with open_below(self._checkout, path, is_file=True) as source:
            status = os.fstat(source)
            mode = 0o755 if status.st_mode & 0o100 else 0o644
            same_mode = file is not None and (file.mode == MODE_EXECUTABLE) == (mode == 0o755)
            if status.st_size > self._room:
                raise ScanFault(self._over(f"'{excerpt(path)}' has {status.st_size} bytes"))
            if status.st_size <= _SMALL:
                content = _read(source, _SMALL + 1)
                if same_mode and file is not None and object_id(BLOB, content) == file.oid:
                    return False
                self._room -= len(content)
                self._write(path, content, mode)
                return True
            if same_mode and file is not None and _hash(source, status.st_size) == file.oid:
                return False
            self._copy_large(path, source, mode)
        return True

    def _copy_large(self, path: str, source: int, mode: int) -> None:
        os.lseek(source, 0, os.SEEK_SET)
        place = self._place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as target:
            while chunk := os.read(source, _SMALL):
                self._room -= len(chunk)
                if self._room < 0:
                    raise ScanFault(self._over(f"'{excerpt(path)}' is large"))
                target.write(chunk)
            os.fchmod(target.fileno(), mode)

    def _write(self, path: str, content: bytes, mode: int) -> None:
        place = self._place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        place.chmod(mode)

    def _place(self, path: str) -> Path:
        return self._git.files / path

    def _readlink(self, path: str) -> bytes:
        folder, _, name = path.rpartition("/")
        with open_below(self._checkout, folder) as opened:
            try:
                return os.readlink(bytes_of(name), dir_fd=opened)
            except OSError as error:
                raise ScanFault(not_a_file(path, None, stat.S_IFLNK)) from error

    def _over(self, what: str) -> Rejected:
        return _too_large(f"{what}; the changed files together", self._max_bytes)

    # -- git's judgement --------------------------------------------------------------------

    def _ask(self, *arguments: str, paths: Sequence[str] = (), data: bytes = b"") -> bytes:
        """Run git on our copies; what it cannot make out is a fault of what it was given."""
        lines = data + b"".join(bytes_of(path) + b"\0" for path in paths)
        try:
            return self._git.run(self._git.files, *arguments, input=lines, timeout=_SECONDS)
        except RepositoryError as error:
            cause = error.cause or ""
            if os.strerror(errno.ENOSPC) in cause or error.hint:
                raise AgentError(
                    "cannot find out what an agent changed", cause=cause, hint=error.hint or ROOM
                ) from error
            raise ScanFault(
                Rejected(
                    RejectCode.INVALID_VALUE,
                    f"git cannot take in what was changed: {excerpt(cause)}",
                    {"cause": excerpt(cause, 1000)},
                )
            ) from error

    def _operations(self, entries: Iterator[_Entry]) -> list[Update]:
        # One that reads the contents that git has just stored, and those of the repository.
        contents = pygit2.Odb(str(self._git.objects))
        updates = []
        total = 0
        for entry in entries:
            _check_name(entry.path)
            update: Update = {"op": "write", "path": entry.path}
            if entry.source is not None:
                _check_name(entry.source)
                update = {"op": "rename", "from": entry.source, "path": entry.path}
            if entry.letter == "D":
                updates.append({"op": "delete", "path": entry.path})
                continue
            if entry.old_oid != entry.oid:
                content = contents.read(entry.oid)[1]
                total += len(content)
                if total > self._max_bytes:
                    raise ScanFault(
                        _too_large(f"the changed files have {total} bytes", self._max_bytes)
                    )
                update |= _content(content)
            elif entry.source is None:
                update["op"] = "chmod"
            if entry.mode != (entry.old_mode if entry.letter != "A" else MODE_FILE):
                update["executable"] = entry.mode == MODE_EXECUTABLE
            updates.append(update)
        return updates


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of git-diff-index(1), "Raw output format"."""

    letter: str
    old_mode: str
    mode: str
    old_oid: str
    oid: str
    path: str
    source: str | None


def _parse_raw(raw: bytes) -> Iterator[_Entry]:
    fields = iter(name_of(raw).split("\0")[:-1])
    for head in fields:
        old_mode, mode, old_oid, oid, letter = head.removeprefix(":").split(" ")
        source = next(fields) if letter[0] == "R" else None
        yield _Entry(letter[0], old_mode, mode, old_oid, oid, next(fields), source)


def _check_name(path: str) -> None:
    verdict = normalise_path(path)
    if isinstance(verdict, Rejected):
        raise ScanFault(verdict)


def _too_long(error: OSError) -> Rejected:
    shown = excerpt(str(error.filename or ""))
    message = f"a path of the checkout is too long: '…{shown[-80:]}'"
    return Rejected(RejectCode.PATH_INVALID, message, {"reason": "too-long"})


def _content(content: bytes) -> Update:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return {"content": base64.b64encode(content).decode(), "encoding": "base64"}
    return {"content": text}


def _too_large(what: str, allowed: int) -> Rejected:
    return Rejected(
        RejectCode.OUTPUT_TOO_LARGE,
        f"{what}, {allowed} bytes are allowed {of_policy('max_output_bytes')}",
        {"allowed": allowed},
    )


def _read(file: int, most: int) -> bytes:
    parts = []
    while most and (part := os.read(file, most)):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def _hash(file: int, size: int) -> str:
    """Return the id of the blob with this file's content, whatever its size."""
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    while part := os.read(file, _SMALL):
        digest.update(part)
    return digest.hexdigest()
