"""File names are bytes, in every locale: this process has to read and write them as UTF-8.

Python turns names into text by the locale's encoding. In one that is not UTF-8 the names that git
gave (`esaa_git.store.objects.name_of`) would become others on the way to the file system. Python's
UTF-8 mode (PEP 540) keeps them as they are, what is no UTF-8 escaped; it can only be had from the
start of a process, so a program that was started without it starts itself again.
"""

from __future__ import annotations

import os
import sys

from esaa_git.errors import ConfigurationError


def names_are_utf8() -> bool:
    """Answer whether names of files keep their bytes in this process."""
    return sys.getfilesystemencoding().lower().replace("-", "") == "utf8"


def start_again_in_utf8() -> None:
    """Start this program again in UTF-8 mode, where the locale has another encoding.

    It stays the same process, with its standard streams; nothing of them may have been read.
    """
    if not names_are_utf8():
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - ourselves


def require_utf8() -> None:
    """Refuse to work in a process of somebody else's that changes the names of files.

    Raises:
        ConfigurationError: naming the encoding.
    """
    if not names_are_utf8():
        raise ConfigurationError(
            f"this Python names files in '{sys.getfilesystemencoding()}', and git's are bytes",
            hint="start it as 'python -X utf8', or with PYTHONUTF8=1",
        )
