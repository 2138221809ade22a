"""`make bench` runs, and writes what a later run can be compared with. No timing is looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import BY_NAME, SUBJECTS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("bench")
    output = folder / "results.json"
    options = ["--quick", "--only", "append", "--folder", str(folder), "--output", str(output)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *options], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "verdict" in done.stdout
    assert [path.name for path in folder.iterdir()] == ["results.json"]
    found: dict[str, Any] = json.loads(output.read_bytes())
    return found


def test_the_results_say_how_they_came_about(document: dict[str, Any]) -> None:
    assert document["format"] == 1
    assert document["quick"] is True
    assert list(document["seconds"]) == ["append"]
    environment = document["environment"]
    assert {"git_esaa", "python", "system", "cpus", "pygit2", "libgit2"} <= environment.keys()


def test_every_row_is_a_ratio_with_its_verdict(document: dict[str, Any]) -> None:
    assert len(document["rows"]) >= 4
    for row in document["rows"]:
        assert row["measured"] > 0
        assert row["limit"] > 0
        assert row["ratio"] == pytest.approx(row["measured"] / row["limit"])
        if row["allowed"] is None:
            assert row["verdict"] == "-"
        else:
            held = row["ratio"] <= row["allowed"]
            assert row["verdict"] == ("within" if held else "over")


def test_appending_is_held_against_the_same_objects_written_bare(document: dict[str, Any]) -> None:
    assert any("bare objects" in row["name"] and row["allowed"] for row in document["rows"])


@pytest.mark.parametrize("name", SUBJECTS + BY_NAME)
def test_every_subject_can_be_loaded(name: str) -> None:
    assert callable(import_module(f"benchmarks.{name}").measure)
