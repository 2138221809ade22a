"""Bringing what was written to the disk, so that a power cut does not take it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def flush(descriptor: int) -> None:
    """Bring one open file, or folder, to the disk.

    Raises:
        OSError: if the disk reports that it could not keep it.
    """
    # On macOS fsync(2) leaves the data in the drive's cache, and says so.
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, full)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk: what was created, renamed, removed.

    Raises:
        OSError: if the disk reports that it could not keep it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        flush(descriptor)
    finally:
        os.close(descriptor)
