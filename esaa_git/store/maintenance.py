"""Housekeeping: the log's loose objects become packs, beside processes that append and read.

An event leaves some nine objects, each in a file that takes a block of the disk; in a pack with
deltas they take a thirtieth of that. Git's program makes the packs. What is ours is when, of what,
and in which order files appear and go, so that nothing is lost wherever a process dies
(docs/decisions/0037-packs-of-our-own.md):

1. The pack is made in a folder of its own, and git reads it back (git-verify-pack(1)).
2. Its name is written down, its files are brought to the disk and moved into place.
3. Only then does a loose object go, and only where one of these packs holds it.

Packs that we did not make, objects that the log and its branch do not reach, and all that is
unreachable are left to git.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fcntl import LOCK_EX, LOCK_NB, flock
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp
from threading import Thread

from esaa_git.errors import EsaaError, RepositoryError
from esaa_git.store.durability import sync_file, sync_folders
from esaa_git.store.files import write_atomically
from esaa_git.store.objectfolder import ObjectFolder, PackIndex, Usage
from esaa_git.store.program import run_git
from esaa_git.store.repository import Repository, open_again
from esaa_git.store.residue import remove as remove_residue
from esaa_git.store.tip import load_tip

FACTOR = 2
"""Each pack of ours has at least so many times the objects of all smaller ones together."""

LARGEST = 500_000
"""A pack of so many objects (55,000 events) is not packed again: it bounds time and memory."""

_SCRATCH = "tmp_objdir-esaa-maintain-"
_SETTINGS = (
    *("-c", "pack.threads=1"),
    *("-c", "pack.packSizeLimit=0"),
    *("-c", "pack.indexVersion=2"),
)
_MAKE = ("pack-objects", "-q", "--delta-base-offset", "--non-empty")
_BESIDE = (".keep", ".promisor", ".bitmap", ".mtimes")
"""What says that a pack is another program's by now (gitformat-pack(5))."""
_DAMAGED = "nothing was removed; 'git esaa doctor --repair' sets aside what is damaged"


@dataclass(frozen=True, slots=True)
class Maintained:
    """What was done. `leftovers` says in words what dead processes had left."""

    before: Usage
    after: Usage
    packed: int = 0
    removed: int = 0
    merged: int = 0
    leftovers: Sequence[str] = ()

    @property
    def did_something(self) -> bool:
        return bool(self.packed or self.removed or self.merged or self.leftovers)


def maintain(repository: Repository) -> Maintained | None:
    """Pack what the log has grown by; return what was done, or None where another process is at it.

    Raises:
        RepositoryError: if git cannot pack, or cannot read its pack back; nothing is lost.
        CorruptedError: if the log ends with something that is no event.
    """
    with _alone(repository) as lock:
        if lock is None:
            return None
        return _Maintenance(repository, lock).run()


class _Maintenance:
    """One maintenance, under its lock."""

    def __init__(self, repository: Repository, lock: int) -> None:
        self._repository = repository
        self._lock = lock
        self._objects = ObjectFolder(repository.common_dir / "objects")
        self._folder = self._objects.path / "pack"
        self._notes = Notes.read(repository)

    def run(self) -> Maintained:
        self._clear()
        before = self._objects.usage()
        packed = self._pack_new()
        merged = self._merge()
        removed = self._prune()
        leftovers = [*remove_residue(self._repository), *self._objects.remove_unfinished()]
        return Maintained(before, self._objects.usage(), packed, removed, merged, leftovers)

    def _clear(self) -> None:
        """Remove what a maintenance has left that died: it held the lock that we hold now."""
        for path in self._objects.path.glob(f"{_SCRATCH}*"):
            shutil.rmtree(path, ignore_errors=True)
        for name in list(self._notes.packs):
            if not self._index(name).exists():  # coming, or going
                self._remove_pack(name)
                del self._notes.packs[name]

    # -- packing ------------------------------------------------------------------------------

    def _pack_new(self) -> int:
        """Pack what is reachable from the log and its branch, and was not when we packed last."""
        repository, notes = self._repository, self._notes
        log = repository.ref_target(repository.events_ref)
        if log is None:
            return 0
        state = load_tip(repository, log).state
        branch = repository.ref_target(f"refs/heads/{state.run.branch}")
        tips = [log] if branch is None else [log, branch]
        if tips == notes.tips:
            return 0
        since = Since(notes.seq, self._there(notes.tips))
        arguments = ["--revs", "--incremental", "--local"]
        if any(self._folder.glob("*.promisor")):
            arguments.append("--exclude-promisor-objects")
        given = "".join(f"{tip}\n" for tip in (*tips, *(f"^{tip}" for tip in since.tips)))
        name = self._make(arguments, given.encode(), since)
        notes.tips, notes.seq = tips, state.seq
        notes.write(repository)
        return len(self._open(name)) if name else 0

    def _merge(self) -> int:
        """Make one pack of the smallest, so that few are left however long the log gets.

        Deltas are taken over, and looked for between versions of one tree that no pack had
        together: without that, 100,000 events take a sixth more.
        """
        packs = [(name, len(self._open(name))) for name in self._notes.packs if self._is_ours(name)]
        merged = to_merge([pack for pack in packs if pack[1] < LARGEST])
        if not merged:
            return 0
        wanted = {oid for name in merged for oid in self._open(name)}
        since = min((self._notes.packs[name] for name in merged), key=lambda one: one.seq)
        new = self._make([], self._named(wanted, since), since)
        if not wanted.issubset(self._open(new)):
            raise RepositoryError(
                "git left objects out of a pack",
                cause=f"'pack-{new}' was to hold all that {len(merged)} smaller packs hold",
                hint="nothing was removed; run 'git fsck'",
            )
        for name in merged:
            if name != new:
                self._remove_pack(name)
                del self._notes.packs[name]
        self._notes.write(self._repository)
        return len(merged)

    def _named(self, wanted: Set[bytes], since: Since) -> bytes:
        """Return the ids, a line each, with the paths by which git finds versions of one thing."""
        tips, known = self._there(self._notes.tips), self._there(since.tips)
        listed = b""
        if tips:
            excluded = (f"^{tip}" for tip in known)
            listed = self._git("rev-list", "--objects", "--missing=allow-any", *tips, *excluded)
        left, given = set(wanted), bytearray()
        for line in BytesIO(listed):
            oid = bytes.fromhex(line[:40].decode())
            if oid in left:
                left.remove(oid)
                given += line
        for oid in left:
            given += f"{oid.hex()}\n".encode()
        return bytes(given)

    def _make(self, arguments: Sequence[str], given: bytes, since: Since) -> str:
        """Have git make a pack, put it into place, and return its name; "" for an empty one."""
        scratch = Path(mkdtemp(prefix=_SCRATCH, dir=self._objects.path))
        try:
            made = self._git(*_MAKE, *arguments, str(scratch / "pack"), given=given)
            name = made.decode().strip()
            if name:
                self._git("verify-pack", str(scratch / f"pack-{name}.idx"))
                self._notes.packs.setdefault(name, since)
                self._notes.write(self._repository)
                self._install(scratch)
            return name
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _git(self, *arguments: str, given: bytes = b"") -> bytes:
        folder, holding = self._repository.git_dir, [self._lock]
        try:
            return run_git(folder, *_SETTINGS, *arguments, input=given, holding=holding)
        except RepositoryError as error:
            raise RepositoryError(
                error.message,
                cause=error.cause,
                hint=error.hint or _DAMAGED,
            ) from error

    def _install(self, scratch: Path) -> None:
        """Bring the files to the disk and into place, the index last: by it a pack is found."""
        mode = self._repository.sync_mode
        made = sorted(scratch.iterdir(), key=lambda path: path.suffix == ".idx")
        for path in made:
            with path.open("rb") as stream:
                sync_file(mode, stream.fileno())
        self._folder.mkdir(exist_ok=True)
        for path in made:
            path.replace(self._folder / path.name)
        sync_folders(mode, [self._folder])

    # -- removing -----------------------------------------------------------------------------

    def _prune(self) -> int:
        """Remove the loose objects that a pack of ours holds. Their folders stay.

        A writer of an object makes its folder first, and libgit2 does not make it twice.
        """
        packs = [self._open(name) for name in self._notes.packs]
        count = 0
        for entry in self._objects.loose():
            oid = bytes.fromhex(entry.path[-41:-39] + entry.name)
            if any(oid in pack for pack in packs):
                Path(entry.path).unlink(missing_ok=True)
                count += 1
        return count

    def _remove_pack(self, name: str) -> None:
        """Remove the index first, so that no reader finds a pack that has gone."""
        for suffix in (".idx", ".rev", ".pack"):
            self._index(name).with_suffix(suffix).unlink(missing_ok=True)

    # -- what there is ------------------------------------------------------------------------

    def _there(self, tips: Iterable[str]) -> tuple[str, ...]:
        return tuple(tip for tip in tips if tip in self._repository.odb)

    def _index(self, name: str) -> Path:
        return self._folder / f"pack-{name}.idx"

    def _open(self, name: str) -> PackIndex:
        return PackIndex(self._index(name))

    def _is_ours(self, name: str) -> bool:
        """Answer whether no other program has given the pack another part meanwhile."""
        if any(self._index(name).with_suffix(suffix).exists() for suffix in _BESIDE):
            return False
        listing = self._folder.glob("multi-pack-index")
        chained = self._folder.glob("multi-pack-index.d/*.midx")
        wanted = self._index(name).name.encode()
        return not any(wanted in path.read_bytes() for path in (*listing, *chained))


def to_merge(packs: Sequence[tuple[str, int]]) -> list[str]:
    """Return the names of those that are to be one pack, given names and numbers of objects.

    Afterwards each of the others has at least `FACTOR` times the objects of all smaller ones.
    """
    ordered = sorted(packs, key=lambda pack: pack[1])
    merged, total = 0, 0
    for at, (_, count) in enumerate(ordered):
        if at and count < FACTOR * total:
            merged = at + 1
        total += count
    return [name for name, _ in ordered[:merged]]


@contextmanager
def _alone(repository: Repository) -> Iterator[int | None]:
    """Hold the lock of maintenance, and give its descriptor; None where another process holds it.

    The kernel frees it when the last process that has it dies. The git that we start has it too.
    """
    repository.esaa_dir.mkdir(parents=True, exist_ok=True)
    place = repository.esaa_dir / "maintenance.lock"
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            yield None
            return
        except OSError as error:
            raise RepositoryError(
                "cannot pack: this file system has no locks",
                cause=f"'{place}': {error.strerror}",
                hint="run 'git gc' while nothing else works in this repository",
            ) from error
        yield descriptor
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Since:
    """What was packed before a pack: so many events, up to these commits."""

    seq: int
    tips: tuple[str, ...]


@dataclass(slots=True)
class Notes:
    """`.git/esaa/maintenance.json`: what was packed last, and which packs are ours.

    It may be deleted. Then the next packing looks at the whole log, and the packs that are there
    are git's.
    """

    seq: int = 0
    tips: list[str] = field(default_factory=list)
    packs: dict[str, Since] = field(default_factory=dict)

    @classmethod
    def read(cls, repository: Repository) -> Notes:
        try:
            document = json.loads(notes_path(repository).read_bytes())
            return cls(
                int(document["seq"]),
                [_checked(tip) for tip in document["tips"]],
                {
                    _checked(name): Since(int(since["seq"]), tuple(map(_checked, since["tips"])))
                    for name, since in document["packs"].items()
                },
            )
        except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError):
            return cls()

    def write(self, repository: Repository) -> None:
        write_atomically(notes_path(repository), json.dumps(asdict(self)).encode())


def _checked(name: str) -> str:
    """Return the id of an object or a pack, if it is one."""
    if len(name) != 40 or bytes.fromhex(name).hex() != name:
        raise ValueError(name)
    return name


def notes_path(repository: Repository) -> Path:
    return repository.esaa_dir / "maintenance.json"


EVERY = 500
"""So many events after the last packing the next one is due: some 4,500 loose objects. At 6,700
a person's own `git commit` would start a gc (gc.auto, git-config(1))."""

MANY_IN_A_FOLDER = 8
"""Loose objects in one folder of 256: half of what `EVERY` events leave on the average."""


class Housekeeper:
    """Packs now and then in a thread, for a process that appends; to be called outside of locks.

    Between two packings a call is one comparison. A packing that fails is told, stops nothing, and
    is tried again `EVERY` events later. `close` waits for one that is under way.
    """

    def __init__(self, repository: Repository, say: Callable[[str], None]) -> None:
        self._repository = repository
        self._say = say
        self._next = 0
        self._thread: Thread | None = None
        self._failure: str | None = None

    def __call__(self, seq: int) -> None:
        """Take note that the log has so many events by now."""
        if seq < self._next:
            return
        self.close()
        if self._next:
            self._repository.let_packs_go()
        due = Notes.read(self._repository).seq + EVERY
        if seq < due:
            self._next = due
            return
        self._next = seq + EVERY
        if not self._has_many_loose():
            return  # it was cloned, and came in a pack
        self._thread = Thread(target=self._work, name="git-esaa-maintain")
        self._thread.start()

    def _has_many_loose(self) -> bool:
        """Answer from one of the 256 folders, as git does (gc.auto in git-config(1))."""
        sample = self._repository.common_dir / "objects" / "17"
        try:
            return len(os.listdir(sample)) >= MANY_IN_A_FOLDER  # noqa: PTH208 (a count alone)
        except OSError:
            return False

    def close(self) -> None:
        """Wait until nothing is being packed, and say what failed."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._failure is not None:
            self._say(f"note: the log's objects were not packed: {self._failure}")
            self._failure = None

    def _work(self) -> None:
        try:
            maintain(open_again(self._repository))
        except EsaaError as error:
            self._failure = f"{error.message} ({error.cause})" if error.cause else error.message
        except OSError as error:
            self._failure = str(error)
