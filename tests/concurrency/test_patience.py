"""Limits of tests grow with the load, and nobody has to wait for them."""

from __future__ import annotations

import os
from typing import cast

import pytest
import pytest_timeout

from tests import conftest
from tests.support.patience import LEAST, VARIABLE, patience


def test_a_busy_machine_has_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    assert patience(10.0) == 10.0 * LEAST
    monkeypatch.setattr(os, "getloadavg", lambda: (24.0, 0.0, 0.0))
    assert patience(10.0) == 240.0


def test_a_person_may_say_by_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1.5")
    assert patience(10.0) == 15.0


def test_the_limit_of_every_test_grows_too(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []

    def set_timer(item: pytest.Item, settings: pytest_timeout.Settings) -> bool:
        told.append(settings.timeout)
        return True

    monkeypatch.setenv(VARIABLE, "2")
    monkeypatch.setattr(pytest_timeout, "pytest_timeout_set_timer", set_timer)
    settings = pytest_timeout.Settings._make(
        [120.0, *[None] * (len(pytest_timeout.Settings._fields) - 1)]
    )
    assert conftest.pytest_timeout_set_timer(cast(pytest.Item, None), settings)
    assert told == [240.0]
