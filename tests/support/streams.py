"""The standard streams of a process that was forked, opened as Python opens its own."""

from __future__ import annotations

import sys


def reopen() -> None:
    """Read and write through the descriptors 0, 1 and 2, whatever the parent had in their place."""
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as we live
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(  # noqa: SIM115
        2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )
