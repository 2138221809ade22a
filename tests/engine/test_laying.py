"""Pinned files over a throwaway tree: the judge is the pinned one, whatever the tree holds."""

from __future__ import annotations

from typing import Any

import pytest

from esaa_git.core.agent_contract import Check
from esaa_git.core.contracts import Contracts
from esaa_git.core.programs import Programs
from esaa_git.engine.laying import digest_of, laid, require_pinned
from esaa_git.errors import AgentError
from esaa_git.ports.files import FileEntry
from esaa_git.testing.contracts import contracts
from esaa_git.testing.engine import engine

PROGRAMS = Programs.of({"ci/check.sh": ("100755", b"pinned"), "lib/a.txt": ("100644", b"a")})
CHECK = Check("judge", ("ci/check.sh",), 1000)


def given(programs: Programs | None = PROGRAMS) -> Contracts:
    changes: Any = {("AGENT_CONTRACT.yaml", "pin"): ["lib/**"]}
    return Contracts(contracts(changes).files, programs)


@pytest.mark.parametrize(
    "files",
    [
        {"ci/check.sh": b"rewritten"},
        {"ci": b"a file in the place of its folder"},
        {"README.md": b"it was deleted"},
        {"lib/a.txt": b"rewritten", "lib/b.txt": b"added", "lib/deep/c.txt": b"added"},
    ],
    ids=["rewritten", "folder", "deleted", "helpers"],
)
def test_pinned_files_stand_at_their_paths_and_nothing_beside_them(files: dict[str, bytes]) -> None:
    made = engine(given=given(), files=files)
    base = made.branch.tip("main")
    assert base is not None
    found = laid(made, given(), base, {"src/x": FileEntry("100644", "0" * 40)})
    content = {
        path: None if entry is None else (entry.mode, made.blobs.read(entry.oid))
        for path, entry in found.items()
        if path != "src/x"
    }
    added = {path: None for path in files if path.startswith("lib/") and path != "lib/a.txt"}
    assert content == {
        **added,
        "ci/check.sh": ("100755", b"pinned"),
        "lib/a.txt": ("100644", b"a"),
    }
    assert "src/x" in found


def test_what_a_check_names_and_nobody_has_pinned_is_left_out_of_its_tree() -> None:
    files = {"tool.py": b"", "pytest.py": b"exit 0", "build/run": b""}
    made = engine(given=given(), files=files)
    base = made.branch.tip("main")
    assert base is not None
    named = [
        Check("suite", ("python3", "-m", "pytest", "tests"), 1),
        Check("text", ("sh", "-c", "make && build/run"), 1),
    ]
    found = laid(made, given(), base, {}, named)
    assert {path for path, entry in found.items() if entry is None} == {"pytest.py", "build/run"}
    require_pinned(named, given())


def test_a_check_whose_program_nobody_has_pinned_is_not_run() -> None:
    with pytest.raises(AgentError, match="PLAN_PROGRAM_NOT_PINNED: check 'judge'"):
        require_pinned([CHECK], given(Programs.of({})))
    require_pinned([CHECK], given())
    require_pinned([CHECK], given(None))
    assert digest_of(CHECK.run, given()) == PROGRAMS.pins[0].sha256
    assert digest_of(["make"], given()) is None


def test_without_pinned_programs_a_tree_is_as_it_is() -> None:
    made = engine(given=given(None), files={"ci/check.sh": b"x"})
    changes: dict[str, FileEntry | None] = {"a": None}
    assert laid(made, given(None), "main", changes) == changes
