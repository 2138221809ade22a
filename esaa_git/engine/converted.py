"""What a proposal leaves in files that git stores in another form than they have.

A file under a filter (git-lfs, git-crypt) is stored as the person's filter makes it, and no
proposal goes through that program: what it was shown is the stored form, so running it on what
comes back would be wrong as often as not. Such a path is refused, with the filter's name, and never
stored raw (docs/decisions/0071-filters-are-not-run.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from esaa_git.core.globs import Glob, static_prefix
from esaa_git.core.proposal import under_filter
from esaa_git.core.rejection import RejectCode, Rejected, excerpt
from esaa_git.engine.proposal import FileChange
from esaa_git.ports.files import BlobStore, Conversion, FileEntry, Trees

BY_A_PERSON = (
    "commit such files yourself and take them out of the task in .roadmap/plan.yaml, or take the "
    "filter off them in .gitattributes, then run 'git esaa run'"
)


def check_conversions(
    trees: Trees, blobs: BlobStore, base: str, files: Sequence[FileChange]
) -> dict[str, Rejected]:
    """Return the faults of files that git would convert, by their paths.

    What stands there already may go, move or change its mode, where the same filter is at the path.
    """
    changes = {file.path: file.after for file in files}
    changes |= {file.source: None for file in files if file.source is not None}
    written = [file for file in files if file.after is not None]
    paths = [file.path for file in written] + [file.source for file in files if file.source]
    before = trees.conversions(base, {}, paths)
    says = any(path.rpartition("/")[2] == ".gitattributes" for path in changes)
    after = trees.conversions(base, changes, paths) if says else before
    faults: dict[str, Rejected] = {}
    for file in written:
        for found in (before, after):
            here, there = found.get(file.path), found.get(file.source or file.path)
            fault = _fault(blobs, file, here, there, proposed=found is not before)
            if fault is not None:
                faults.setdefault(file.path, fault)
    return faults


def nothing_to_store(trees: Trees, base: str, writes: Sequence[str]) -> Rejected | None:
    """Return why a task can store nothing: all that it writes are new files under a filter.

    Where it names a glob, or a file that is there, that shows only in what is proposed.
    """
    if not writes or any(static_prefix(Glob.parse(path)) != path for path in writes):
        return None
    if any(trees.entry(base, path) is not None for path in writes):
        return None
    found = trees.conversions(base, {}, writes)
    filters = [how.filter for path in writes if (how := found.get(path)) and how.filter]
    return under_filter(writes[0], filters[0]) if len(filters) == len(writes) else None


def _fault(
    blobs: BlobStore,
    file: FileChange,
    here: Conversion | None,
    there: Conversion | None,
    *,
    proposed: bool,
) -> Rejected | None:
    after = file.after
    assert isinstance(after, FileEntry)
    is_same = file.before is not None and file.before.oid == after.oid and here == there
    if here is None or is_same:
        return None
    if here.filter is not None:
        return under_filter(file.path, here.filter, proposed=proposed)
    try:
        blobs.read(after.oid).decode()
    except UnicodeDecodeError:
        shown, encoding = excerpt(file.path), excerpt(str(here.encoding))
        return Rejected(
            RejectCode.INVALID_VALUE,
            f"'{shown}' is stored as UTF-8 and has the encoding '{encoding}' in a checkout alone; "
            "propose its text",
            {"path": shown, "encoding": encoding},
        )
    return None
