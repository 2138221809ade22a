"""Check 8, on what rides beside an event: after-images, exchange, decision and subject."""

from __future__ import annotations

from collections.abc import Mapping

from esaa_git.core import canonical, limits, logid
from esaa_git.core.approvals import SUBJECT, check_subject
from esaa_git.core.attachments import check_attachments
from esaa_git.core.event import Event
from esaa_git.core.events import FileWrite
from esaa_git.core.events.file_write import FileDelete
from esaa_git.core.invariants import Violation
from esaa_git.core.state import State
from esaa_git.store.objects import MODE_FILE, Reader, TreeEntry, files_below, read_blob
from esaa_git.verification.failure import Failure
from esaa_git.verification.said import check_said


def check_beside(
    reader: Reader, tree: Mapping[str, TreeEntry], event: Event, state: State, log_id: str | None
) -> None:
    """Hold what travels beside an event against what it names, sizes and hashes too.

    Args:
        tree: of the event's commit.
        state: before the event.
        log_id: as the commit names it.

    Raises:
        Failure: of check 8; of check 2 where a part holds other things than files.
    """
    files = _below(reader, tree, "files")
    blobs, decision = _plain(reader, tree, "exchange"), _plain(reader, tree, "decision")
    subject = tree.get(SUBJECT)
    about = None if subject is None else read_blob(reader, subject, limits.EVENT)
    try:
        images = {path: (entry.mode, entry.oid) for path, entry in files.items()}
        check_attachments(event, images, blobs, decision)
        # Of what an import took in, the log may not be known.
        check_subject(state, event, about, logid.recorded_in(log_id or "", event.seq))
    except Violation as error:
        raise Failure(8, str(error)) from error
    check_said(reader, event, blobs, decision)
    if isinstance(event.payload, FileWrite):
        _check_images(reader, event.payload)


def _check_images(reader: Reader, written: FileWrite) -> None:
    for file in written.files:
        if isinstance(file, FileDelete):
            continue
        content = reader(file.after, file.bytes)[1]
        if len(content) != file.bytes:
            raise Failure(8, f"the content of '{file.path}' has another size")
        if canonical.digest(content) != file.sha256:
            raise Failure(8, f"the content of '{file.path}' has another SHA-256")


def _plain(reader: Reader, tree: Mapping[str, TreeEntry], part: str) -> dict[str, str]:
    """Return the blobs of a part that holds plain files alone, by name."""
    entries = _below(reader, tree, part)
    if any(entry.mode != MODE_FILE for entry in entries.values()):
        raise Failure(2, f"'{part}' holds more than files")
    return {name: entry.oid for name, entry in entries.items()}


def _below(reader: Reader, tree: Mapping[str, TreeEntry], part: str) -> dict[str, TreeEntry]:
    return dict(files_below(reader, tree[part].oid)) if part in tree else {}
