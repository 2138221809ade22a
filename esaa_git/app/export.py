"""A log out of a repository as plain files (docs/FORMAT.md, "Export"), and its read-models.

`activity.jsonl` holds the canonical bytes of every event, one a line; `activity.objects.pack` the
blobs that events name: after-images, exchanges, and the contracts and programs of every
`run.init`; `activity.origin.json` says which log they are of. Together they are the log but for its
signatures, so nothing vouches for them. `activity.bundle`, where it is asked for, holds the commits
themselves, and with them the signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from esaa_git.app.project import Project
from esaa_git.app.roadmap import ROADMAP
from esaa_git.core import canonical
from esaa_git.core.approvals import SUBJECT
from esaa_git.core.entries import Lesson
from esaa_git.core.projection import roadmap
from esaa_git.core.refnames import DEFAULT_LOG
from esaa_git.core.state import SCHEMA_VERSION, Issue
from esaa_git.errors import CorruptedError, RepositoryError, UsageError
from esaa_git.store.eventcommit import EventCommit, read_event_commit
from esaa_git.store.files import replacing_below, write_below
from esaa_git.store.objects import MalformedObject, files_below
from esaa_git.store.position import tip_of, walk_forward
from esaa_git.store.program import stream_git
from esaa_git.store.repository import Repository

ACTIVITY = "activity.jsonl"
OBJECTS = "activity.objects.pack"
ORIGIN = "activity.origin.json"
BUNDLE = "activity.bundle"

STEP = 500
"""After so many events, progress is told."""

Progress = Callable[[int, int], None]
"""Called now and then with how many events are done, and how many there are."""


def silent(_done: int, _total: int) -> None:
    """Tell no progress."""


# -- read-models ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadModels:
    """What the last of so many events projects to: files by name, derived from the log alone."""

    events: int
    projection_hash: str
    files: dict[str, bytes]


def read_models(project: Project) -> ReadModels:
    """Return the read-models of the last event; the SHA-256 of `roadmap.json` is the hash.

    Raises:
        RepositoryError: if there is no log.
    """
    state, _ = project.log.load()
    head = {"schema_version": SCHEMA_VERSION}
    data = canonical.encode(roadmap(state))
    files = {
        "roadmap.json": data,
        "issues.json": canonical.encode({**head, "issues": _records(state.issues.values())}),
        "lessons.json": canonical.encode({**head, "lessons": _records(state.lessons.values())}),
    }
    return ReadModels(state.seq, canonical.digest(data), files)


def write_read_models(project: Project) -> ReadModels:
    """Write the read-models of the last event into `.roadmap/`, each atomically; return them.

    Raises:
        UsageError: for a bare repository.
        RepositoryError: if there is no log, or the folder cannot be written to.
    """
    made = read_models(project)
    checkout = _checkout(project, "print it with 'git esaa project --stdout'")
    try:
        for name, data in made.files.items():
            write_below(checkout, f"{ROADMAP}/{name}", data)
    except OSError as error:
        place = checkout / ROADMAP
        raise RepositoryError(f"cannot write to '{place}'", cause=error.strerror) from error
    return made


def _records(records: Iterable[Issue | Lesson]) -> list[dict[str, Any]]:
    return [record.to_json() for record in records]


def _checkout(project: Project, instead: str) -> Path:
    workdir = project.repository.workdir
    if workdir is None:
        raise UsageError(f"a bare repository has no '{ROADMAP}' to write to", hint=instead)
    return workdir


# -- export -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote."""

    events: int
    blobs: int


def export(project: Project, target: Path | None, *, bundle: bool = False) -> tuple[Exported, Path]:
    """Write the log's files into a folder, `.roadmap/` by default; return what, and where.

    Args:
        bundle: the commits of the log too, signatures and all, as a bundle of git.

    Raises:
        UsageError: for a bare repository without a target.
        RepositoryError: if there is no log, or the folder cannot be written to.
    """
    tell = project.observer.progress
    repository = project.repository
    if target is not None:
        done = export_files(repository, target, bundle=bundle, on_progress=tell)
        return done, target
    checkout = _checkout(project, "name a folder, as in 'git esaa export DIR'")
    done = export_files(repository, checkout, inside=ROADMAP, bundle=bundle, on_progress=tell)
    return done, checkout / ROADMAP


def export_events(
    repository: Repository,
    activity: IO[bytes],
    objects: IO[bytes] | None = None,
    *,
    on_progress: Progress = silent,
) -> Exported:
    """Write every event as one line, the first one first, and the pack of what events name.

    Memory holds 20 bytes an event, and 40 a blob.

    Raises:
        RepositoryError: if there is no log.
        CorruptedError: if the log, or a content that it names, cannot be read.
    """
    tip = tip_of(repository)
    total = tip.event.seq
    blobs = _Blobs(repository)
    count = 0
    for oid in walk_forward(repository, tip.oid):
        found = read_event_commit(repository.read, oid)
        activity.write(found.event.data)
        if objects is not None:
            blobs.collect(found)
        count += 1
        if count % STEP == 0:
            on_progress(count, total)
    on_progress(count, total)
    if objects is not None:
        blobs.write(objects)
    return Exported(count, len(blobs))


def export_files(
    repository: Repository,
    folder: Path,
    *,
    inside: str = "",
    bundle: bool = False,
    on_progress: Progress = silent,
) -> Exported:
    """Write the files of an export into the folder, each atomically.

    Args:
        inside: a folder in there that belongs to the repository, so that it may be no link.
        bundle: as in `export`.

    Raises:
        RepositoryError: if there is no log, or the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            activity, objects = (
                stack.enter_context(replacing_below(folder, f"{inside}/{name}".lstrip("/")))
                for name in (ACTIVITY, OBJECTS)
            )
            done = export_events(repository, activity, objects, on_progress=on_progress)
            tip = tip_of(repository)
            origin = {
                "log_id": tip.trailers.get("ESAA-Log"),
                "events": done.events,
                "tip": tip.oid,
            }
            beside = f"{inside}/".lstrip("/")
            write_below(folder, f"{beside}{ORIGIN}", canonical.encode(origin))
            if bundle:
                file = stack.enter_context(replacing_below(folder, f"{beside}{BUNDLE}"))
                _write_bundle(repository, tip.oid, file)
            return done
    except OSError as error:
        raise RepositoryError(
            f"cannot write to '{folder}'",
            cause=error.strerror,
            hint="name a folder to write to, as in 'git esaa export DIR'",
        ) from error


def _write_bundle(repository: Repository, tip: str, target: IO[bytes]) -> None:
    """Have git make a bundle of the log, up to this event."""
    from tempfile import TemporaryFile

    target.write(f"# v2 git bundle\n{tip} {DEFAULT_LOG}\n\n".encode())
    target.flush()
    with TemporaryFile() as named:
        named.write(tip.encode() + b"\n")
        named.seek(0)
        arguments = ("pack-objects", "--stdout", "--revs", "--delta-base-offset", "-q")
        stream_git(repository.git_dir, *arguments, source=named, target=target)


class _Blobs:
    """The blobs that events name, each once."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._ids: dict[bytes, None] = {}
        self._trees: set[str] = set()

    def __len__(self) -> int:
        return len(self._ids)

    def collect(self, found: EventCommit) -> None:
        subject = found.tree.get(SUBJECT)
        if subject is not None:
            self._ids[bytes.fromhex(subject.oid)] = None
        for name in ("contracts", "programs", "files", "exchange", "decision"):
            entry = found.tree.get(name)
            if entry is None or entry.oid in self._trees:
                continue
            if name in ("contracts", "programs"):
                self._trees.add(entry.oid)
            try:
                for _, below in files_below(self._repository.read, entry.oid):
                    self._ids[bytes.fromhex(below.oid)] = None
            except (KeyError, MalformedObject) as error:
                raise CorruptedError(
                    f"event commit {found.oid[:12]} is incomplete",
                    cause=str(error),
                    hint="run 'git esaa verify', or fetch the log again",
                ) from error

    def write(self, target: IO[bytes]) -> None:
        """Have git make a pack of them."""
        from tempfile import TemporaryFile

        with TemporaryFile() as names:
            for one in self._ids:
                names.write(one.hex().encode() + b"\n")
            names.seek(0)
            arguments = ("pack-objects", "--stdout", "-q")
            stream_git(self._repository.git_dir, *arguments, source=names, target=target)
