"""The log of another repository from a bundle of git: its commits, with their signatures.

What a bundle brings is fetched like what a remote brings, verified in full, and only then the log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from esaa_git.app.project import Project
from esaa_git.core.projection import projection_hash
from esaa_git.errors import CorruptedError, MismatchError, RepositoryError
from esaa_git.ports.refs import RefMove
from esaa_git.store.files import exists_below, reading_below
from esaa_git.store.log import GitEventLog
from esaa_git.store.program import run_git
from esaa_git.store.refs import GitRefs, OverlayRefs
from esaa_git.verification.audit import Auditor
from esaa_git.verification.pins import mark_path

_FIRST_LINE: Final = re.compile(rb"# v[0-9]+ git bundle\n")
_ARRIVED: Final = "refs/esaa/incoming/bundle"


@dataclass(frozen=True, slots=True)
class Imported:
    """The log that an import made.

    Attributes:
        origin: the id of the log that was exported, where the files say it.
        is_signed: the commits were brought, with the signatures of whoever recorded them.
    """

    events: int
    log_id: str
    tip: str
    projection_hash: str
    bytes: int
    origin: str | None = None
    is_signed: bool = False


def import_bundle(project: Project, file: Path) -> Imported:
    """Take the log of a bundle as it is, commits and signatures, once it is verified in full.

    Raises:
        RepositoryError: if there is a log already, or git cannot read the bundle.
        MismatchError: if its log does not hold.
        CorruptedError: if it holds no log, or cannot be read.
    """
    repository = project.repository
    refuse_where_one_is(project.log)
    refs = GitRefs(repository)
    listed = run_git(repository.git_dir, "bundle", "list-heads", str(file.absolute())).split(b"\n")
    names = [line.split(b" ", 1)[1].decode() for line in listed if b" " in line]
    logs = [name for name in names if name.endswith("esaa/events")]
    if len(logs) != 1:
        raise CorruptedError(
            f"'{file}' holds no event log",
            cause=f"the bundle has {', '.join(names) or 'no refs'}",
            hint="write one with 'git esaa export --bundle DIR' where the log is",
        )
    run_git(
        repository.git_dir,
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-write-fetch-head",
        str(file.absolute()),
        f"+{logs[0]}:{_ARRIVED}",
    )
    tip = refs.read(_ARRIVED)
    try:
        seen = OverlayRefs(refs, renamed={repository.events_ref: _ARRIVED})
        report = Auditor(
            repository,
            refs=seen,
            remember=False,
            with_branch=False,
            on_progress=project.observer.progress,
        ).run()
        if not report.audit.is_ok:
            kind = MismatchError if report.audit.outcome == "mismatch" else CorruptedError
            raise kind(
                f"the log in '{file}' does not hold",
                cause=f"check {report.audit.check}: {report.audit.message}",
                hint="nothing was taken over; ask whoever made it for another",
            )
        assert tip is not None, "git fetched it"
        refs.move([RefMove(repository.events_ref, None, tip, "git esaa import: a bundle")])
    finally:
        refs.delete(refs.list(_ARRIVED))
    state, _ = project.log.load()
    log_id = report.log_id or ""
    hash_ = projection_hash(state)
    size = file.stat().st_size
    return Imported(state.seq, log_id, tip, hash_, size, log_id, is_signed=True)


def is_bundle(file: Path) -> bool:
    """Answer whether a file is a bundle of git, by its first line."""
    if not exists_below(file.parent, file.name):
        return False
    with reading_below(file.parent, file.name) as stream:
        return _FIRST_LINE.fullmatch(stream.readline(40)) is not None


def refuse_where_one_is(log: GitEventLog) -> None:
    """Refuse to import into a repository that has a log, or had one.

    Raises:
        RepositoryError: saying which.
    """
    repository = log.repository
    pin = mark_path(repository)
    if repository.ref_target(log.ref) is None and pin.exists():
        raise RepositoryError(
            "a log was verified in this repository, and is gone",
            cause=f"'{pin}' remembers it; a missing log is not an empty one",
            hint="bring it back with 'git esaa fetch', or import into a fresh repository",
        )
    if repository.ref_target(log.ref) is not None:
        raise RepositoryError(
            f"this repository has an event log already ('{log.ref}')",
            hint="import into a fresh repository: 'git init DIR', then 'git -C DIR esaa import'",
        )
