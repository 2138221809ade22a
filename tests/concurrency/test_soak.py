"""The soak of `benchmarks/soak.py` runs, and finds nothing lost and nothing done twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_soak_of_two_minutes_loses_nothing(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    options = ["--only", "soak", "--minutes", "2", "--output", str(output)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *options, "--folder", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = {row["name"]: row["measured"] for row in json.loads(output.read_bytes())["rows"]}
    assert (found["lost"], found["done twice"], found["gaps"]) == (0, 0, 0)
    assert found["runs killed"] > 0
    assert found["people killed"] > 0
    assert found["tasks done"] > 0
