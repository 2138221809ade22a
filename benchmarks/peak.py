"""Verifies one repository and prints its own peak memory: run as a process of its own.

Two numbers in KiB: the peak as the system counts it, and the peak without pages of files that
are mapped (Linux; elsewhere 0). The system may drop those at any time, and packs are such files.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from esaa_git.store.repository import open_repository
from esaa_git.verification.audit import Auditor

_STATUS = Path("/proc/self/status")


def main() -> None:
    """Verify the repository that is named, on one core."""
    anonymous = [0]

    def on_progress(_done: int, _total: int) -> None:
        anonymous.append(_status("RssAnon"))

    repository = open_repository(Path(sys.argv[1]))
    report = Auditor(repository, full=True, jobs=1, remember=False, on_progress=on_progress).run()
    assert report.audit.is_ok, report.audit.message
    on_progress(0, 0)
    print(_peak(), max(anonymous))


def _peak() -> int:
    # Not `ru_maxrss` where there is a choice: Linux counts in it what the parent had before exec.
    peak = _status("VmHWM")
    if peak:
        return peak
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used // 1024 if sys.platform == "darwin" else used


def _status(name: str) -> int:
    if not _STATUS.exists():
        return 0
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


if __name__ == "__main__":
    main()
