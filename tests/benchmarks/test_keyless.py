"""What is measured of pushes without a key is a hook that refuses them. No timing is looked at."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import pytest

from benchmarks import keyless
from benchmarks.workshop import Sizes, Workshop

SMALL = Sizes(deep=61, shallow=31, appends=5, pushed=20, rounds=1, processes=1)


def test_each_kind_is_refused_and_held_against_a_bare_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = keyless.Attacker.kinds
    monkeypatch.setattr(keyless.Attacker, "kinds", lambda self: islice(kinds(self), 1))
    monkeypatch.setattr(keyless, "ROUNDS", 1)
    rows = list(keyless.measure(Workshop(tmp_path, SMALL, dict(os.environ))))
    assert [row.allowed for row in rows] == [8.0, 1.0]
    assert all(row.measured and row.limit for row in rows)
