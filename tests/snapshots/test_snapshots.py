"""What users see and what is stored stays as it was recorded; see record.py for how to record anew.

Each group runs in a process of its own, so that its clock is pinned before the package is
imported. The recorder's environment is a strange one: nothing of it may reach a snapshot.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
EXPECTED = Path(__file__).with_name("expected")
GROUPS = ("help", "life", "look", "keep", "share", "refuse", "talk", "hooks", "bundle")

STRANGE = {
    "COLUMNS": "43",
    "EMAIL": "somebody@example.org",
    "GIT_AUTHOR_NAME": "Somebody Else",
    "LANG": "C",
    "LC_ALL": "C",
    "LOGNAME": "somebody",
    "TZ": "Asia/Kathmandu",
    "USER": "somebody",
}


# A group is a few hundred programs, one after the other: seconds, but on a busy machine minutes.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("group", GROUPS)
def test_what_was_recorded_is_still_so(group: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.snapshots.record", "--into", str(tmp_path), group],
        cwd=CHECKOUT,
        env={**os.environ, **STRANGE, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    expected = (EXPECTED / f"{group}.txt").read_text(encoding="utf-8")
    found = (tmp_path / f"{group}.txt").read_text(encoding="utf-8")
    changes = difflib.unified_diff(
        expected.splitlines(), found.splitlines(), "recorded", "now", lineterm="", n=8
    )
    assert found == expected, "\n".join(changes)


def test_every_command_with_json_was_recorded_with_it() -> None:
    helps = (EXPECTED / "help.txt").read_text(encoding="utf-8")
    ends = re.split(r"^\$ one: git esaa (.*)--help\n", helps, flags=re.MULTILINE)
    documented = dict(zip(ends[1::2], ends[2::2], strict=True))
    speaking = {path.strip() for path, text in documented.items() if "\n  --json " in text}
    assert len(speaking) >= 30, "the help says nothing of --json any more"
    recorded = "".join(path.read_text(encoding="utf-8") for path in EXPECTED.glob("*.txt"))
    calls = re.findall(r"^\$ \S+: git esaa (.* --json.*)\n\[exit 0\]", recorded, re.MULTILINE)
    silent = {path for path in speaking if not any(f"{one} ".startswith(path) for one in calls)}
    assert silent == set()


def test_no_snapshot_holds_a_fault_or_a_place_of_one_machine() -> None:
    for path in EXPECTED.glob("*.txt"):
        text = path.read_text(encoding="utf-8")
        for word in ("a fault in git-esaa itself", "Traceback", "esaa-snapshot-", "python3"):
            assert word not in text, f"{path.name}: {word}"
