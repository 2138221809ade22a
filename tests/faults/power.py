"""A power cut, simulated: the system calls of a command, and a disk that forgets.

`strace` writes down what a command and the git that it starts did to files. `Disk` replays that
up to a moment and drops what no sync had covered by then. What POSIX leaves open it decides
against us: a synced file may still have no name (its folder was not synced), and a name that
reached the disk may lead to a file without content.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_CALLS = (
    "open,openat,creat,write,link,linkat,rename,renameat,renameat2,unlink,unlinkat,"
    "mkdir,mkdirat,rmdir,fsync,fdatasync,syncfs,ftruncate"
)
_LINE = re.compile(
    r"^(?P<pid>\d+) +(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)(?P<fd>.*)$"
)
_UNFINISHED = " <unfinished ...>"
_RESUMED = re.compile(r"^\d+ +<\.\.\. \w+ resumed>(?P<rest>.*)$")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_NAMED = re.compile(r"<((?:\\x[0-9a-f]{2})+)>")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that changed a file, a name, or what is on the disk."""

    what: str
    path: str = ""
    other: str = ""
    data: bytes = b""


def traced(command: Sequence[str], folder: Path, env: Mapping[str, str], notes: Path) -> list[Call]:
    """Run a command that has to succeed, and return what it and its children did below `folder`."""
    strace = ["strace", "-f", "-y", "-xx", "-s", "4000000", "-o", str(notes)]
    strace += ["-e", f"trace={_CALLS}", "--"]
    subprocess.run([*strace, *command], env=dict(env), cwd=folder, check=True, capture_output=True)
    calls = []
    begun: dict[str, str] = {}
    for noted in notes.read_text(encoding="ascii", errors="replace").splitlines():
        line, pid = noted, noted.partition(" ")[0]
        if line.endswith(_UNFINISHED):
            begun[pid] = line.removesuffix(_UNFINISHED)
            continue
        resumed = _RESUMED.match(line)
        if resumed:  # it counts when it ends
            line = begun.pop(pid) + resumed["rest"]
        found = _LINE.match(line)
        if found and not found["result"].startswith("-"):
            call = _understood(found["call"], found["arguments"], found["fd"], folder)
            if call is not None and call.path.startswith(f"{folder}/"):
                calls.append(call)
    return calls


def _understood(name: str, arguments: str, fd: str, folder: Path) -> Call | None:
    strings = [_decoded(text) for text in _STRING.findall(arguments)]
    named = [_decoded(text) for text in _NAMED.findall(arguments)]
    match name:
        case "open" | "openat" | "creat":
            path = _decoded(next(iter(_NAMED.findall(fd)), ""))
            if "O_TRUNC" in arguments:
                return Call("truncate", path)
            return Call("create", path) if "O_CREAT" in arguments else None
        case "write":
            text = _STRING.findall(arguments)[-1]
            return Call("write", named[0], data=bytes.fromhex(text.replace("\\x", "")))
        case "ftruncate":
            return Call("truncate", named[0]) if arguments.endswith(", 0") else None
        case "fsync" | "fdatasync" | "syncfs":
            return Call("syncfs" if name == "syncfs" else "fsync", named[0])
    # Where git names no folder it stands in this one: we start it so (`git -C`).
    base = named[0] if named else str(folder)
    paths = [path if path.startswith("/") else f"{base}/{path}" for path in strings]
    match name:
        case "link" | "linkat":
            return Call("link", *paths)
        case "rename" | "renameat" | "renameat2":
            return Call("rename", *paths)
        case "unlink" | "unlinkat" | "rmdir":
            return Call("remove", paths[0])
        case "mkdir" | "mkdirat":
            return Call("mkdir", paths[0])
    return None


def _decoded(text: str) -> str:
    return bytes.fromhex(text.replace("\\x", "")).decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Change:
    """What one call makes of one file's content, or of names; a file is a number, as an inode is.

    `data` is appended; where it is empty, the file is emptied.
    """

    number: int
    file: int | None = None
    data: bytes | None = None
    names: tuple[tuple[str, int | None], ...] = ()


class Disk:
    """The files below a folder as they were before some calls, and what a power cut leaves.

    New folders count as synced: libgit2 and git leave theirs to the file system, which writes a
    folder when it writes what is in it.
    """

    def __init__(self, calls: Sequence[Call], folder: Path) -> None:
        self._folder = folder
        self._count = len(calls)
        self._changes: list[Change] = []
        self._syncs: list[tuple[int, int | None, str | None]] = []
        self._known: dict[int, str] = {}
        self._folders: set[str] = set()
        names: dict[str, int | None] = {}
        for number, call in enumerate(calls):
            self._take(number, call, names)

    def moments(self) -> list[int]:
        """Return after how many calls the disk may be otherwise than a call before."""
        numbers = {change.number for change in self._changes} | {one[0] for one in self._syncs}
        return sorted({number + 1 for number in numbers} | {self._count})

    def cut(self, moment: int, place: Path, *, cruelty: str, seed: int = 0) -> None:
        """Make of the folder as it was what a power cut after so many calls leaves, in `place`.

        Args:
            cruelty: `everything` drops all that was not synced, `contents` keeps its names with
                nothing behind them, `something` draws for each change whether it is dropped.
        """
        drawn = random.Random(seed)
        names: dict[str, int | None] = {}
        contents: dict[int, bytes] = {}
        for change in self._changes:
            if change.number >= moment:
                break
            if not self._is_synced(change, moment):
                if cruelty == "everything" or (cruelty == "something" and drawn.random() < 0.5):
                    continue
                if cruelty == "contents" and change.data:
                    continue
            names.update(change.names)
            if change.file is not None and change.data is not None:
                before = self._content(change.file, contents)
                contents[change.file] = before + change.data if change.data else b""
        shutil.copytree(self._folder, place, symlinks=True)
        for path, file in names.items():
            where = place / path
            if file is None:
                where.unlink(missing_ok=True)
        made: dict[int, Path] = {}
        for path, file in names.items():
            where = place / path
            if file is not None:
                where.parent.mkdir(parents=True, exist_ok=True)
                where.unlink(missing_ok=True)
                if file in made:
                    os.link(made[file], where)
                else:
                    where.write_bytes(self._content(file, contents))
                    made[file] = where
        for file, content in contents.items():
            known = self._known.get(file)
            if known is not None and known not in names:
                (place / known).write_bytes(content)

    def _take(self, number: int, call: Call, names: dict[str, int | None]) -> None:
        def file_at(path: str) -> int:
            found = names.get(path)
            if found is None:
                found = names[path] = len(self._known) + number * 1000
                if path not in gone:
                    self._known[found] = path
            return found

        gone = {path for path, file in names.items() if file is None}
        path, other = self._inside(call.path), self._inside(call.other)
        match call.what:
            case "create" | "truncate" if path not in names or names[path] is None:
                if (self._folder / path).is_file() and path not in gone:
                    file = file_at(path)
                else:
                    file = names[path] = -number - 1
                    self._changes.append(Change(number, names=((path, file),)))
                if call.what == "truncate":
                    self._changes.append(Change(number, file, b""))
            case "truncate":
                self._changes.append(Change(number, file_at(path), b""))
            case "write":
                self._changes.append(Change(number, file_at(path), call.data))
            case "link":
                names[other] = file_at(path)
                self._changes.append(Change(number, names=((other, names[other]),)))
            case "rename":
                names[other], names[path] = file_at(path), None
                moved = ((path, None), (other, names[other]))
                self._changes.append(Change(number, names=moved))
            case "mkdir":
                self._folders.add(path)
            case "remove" if not self._is_folder(path):
                names[path] = None
                self._changes.append(Change(number, names=((path, None),)))
            case "syncfs":
                self._syncs.append((number, None, None))
            case "fsync" if self._is_folder(path):
                self._syncs.append((number, None, path))
            case "fsync":
                self._syncs.append((number, file_at(path), None))

    def _is_synced(self, change: Change, moment: int) -> bool:
        for number, file, folder in self._syncs:
            if not change.number < number < moment:
                continue
            if file is None and folder is None:
                return True
            if change.file is not None and file == change.file:
                return True
            if change.names and folder == change.names[-1][0].rpartition("/")[0]:
                return True
        return False

    def _content(self, file: int, contents: Mapping[int, bytes]) -> bytes:
        if file in contents:
            return contents[file]
        known = self._known.get(file)
        return b"" if known is None else (self._folder / known).read_bytes()

    def _is_folder(self, path: str) -> bool:
        return path in self._folders or (self._folder / path).is_dir()

    def _inside(self, path: str) -> str:
        return path.removeprefix(f"{self._folder}/")
