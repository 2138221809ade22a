"""Where programs are looked for, and whether the kernel would start a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from esaa_git.sandbox.readpaths import named_interpreter
from esaa_git.sandbox.runner import NotStarted

_MACH_O: Final = (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xce\xfa\xed\xfe")


def search_path() -> str:
    """Return PATH without relative entries: in a snapshot, they would name files under review."""
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    # An empty PATH would mean the current folder.
    return os.pathsep.join(entry for entry in entries if Path(entry).is_absolute()) or os.defpath


def startable(program: str) -> None:
    """Raise NotStarted where the kernel would not start a file, in its words (execve(2)).

    Under confinement only its exit status would tell, which a program can have as well.
    """
    try:
        with Path(program).open("rb") as stream:
            start = stream.read(4)
    except PermissionError:
        return  # a program may be executable and not readable
    except OSError as error:
        raise NotStarted(error.strerror or str(error)) from error
    if start[:2] == b"#!":
        file = named_interpreter(Path(program))
        if file is not None and not Path(file).is_file():
            raise NotStarted(os.strerror(2))
    elif start != b"\x7fELF" and start not in _MACH_O:
        raise NotStarted(os.strerror(8))
