"""What is measured of the hooks is a hook that checks. No timing is looked at."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import hooks
from benchmarks.workshop import Sizes, Workshop

SMALL = Sizes(deep=61, shallow=31, appends=5, pushed=20, rounds=1, processes=1)


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path, SMALL, dict(os.environ))


def test_every_promise_is_measured(shop: Workshop) -> None:
    rows = list(hooks.measure(shop))
    assert [row.allowed for row in rows] == [3.0, 3.0, 1.15, 1.0, None, 1.15]
    assert all(row.measured and row.limit for row in rows)
    assert [path.name for path in shop.folder.glob("*-server")] == []


def test_the_hook_refuses_what_does_not_hold(shop: Workshop, tmp_path: Path) -> None:
    server = hooks.Server(shop.natural(61), tmp_path / "server", 10)
    log, branch = server.push.splitlines(keepends=True)
    server.receive(log + branch)
    old, _, ref = log.split(" ")
    effect = branch.split(" ")[1]
    with pytest.raises(RuntimeError, match="is refused at"):
        server.receive(f"{old} {effect} {ref}")
    with pytest.raises(RuntimeError, match="an effect without its event"):
        server.receive(branch)
