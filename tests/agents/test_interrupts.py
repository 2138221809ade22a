"""Signals that wait: none is lost, none is delivered early, and every handler comes back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from esaa_git.agents.interrupts import held_interrupts

HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """What the handlers here raise where they raise."""


@pytest.fixture(autouse=True)
def came() -> Iterator[list[int]]:
    """The signals whose handler ran; SIGTERM's raises, the others only take note."""
    came: list[int] = []

    def take_note(number: int, _: object) -> None:
        came.append(number)
        if number == signal.SIGTERM:
            raise Stopped

    before = {number: signal.signal(number, take_note) for number in HELD}
    yield came
    for number, handler in before.items():
        signal.signal(number, handler)


def send(*numbers: signal.Signals) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


def test_a_signal_waits_for_the_end(came: list[int]) -> None:
    with held_interrupts():
        send(signal.SIGINT, signal.SIGHUP)
        seen_inside = list(came)
    assert seen_inside == []
    assert sorted(came) == sorted([signal.SIGINT, signal.SIGHUP])
    send(signal.SIGINT)
    assert came[2:] == [signal.SIGINT]


def test_a_signal_is_delivered_once_where_it_is_let_through(came: list[int]) -> None:
    with held_interrupts() as held:
        held.deliver()
        send(signal.SIGINT)
        held.deliver()
        assert came == [signal.SIGINT]
        send(signal.SIGINT)
        assert came == [signal.SIGINT]
    assert came == [signal.SIGINT, signal.SIGINT]


def test_what_a_handler_raises_is_raised_and_the_next_signal_waits_on(came: list[int]) -> None:
    with held_interrupts() as held:
        send(signal.SIGTERM)
        with pytest.raises(Stopped):
            held.deliver()
        send(signal.SIGHUP)
        seen_inside = list(came)
    assert seen_inside == [signal.SIGTERM]
    assert came == [signal.SIGTERM, signal.SIGHUP]


def test_every_handler_comes_back_whatever_is_raised() -> None:
    before = [signal.getsignal(number) for number in HELD]
    with pytest.raises(ZeroDivisionError), held_interrupts():
        _ = 1 / 0
    assert [signal.getsignal(number) for number in HELD] == before
    with pytest.raises(Stopped), held_interrupts():
        send(signal.SIGTERM)
    assert [signal.getsignal(number) for number in HELD] == before


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN])
def test_what_no_function_handles_stays_as_it_is(handler: signal.Handlers) -> None:
    signal.signal(signal.SIGTERM, handler)
    with held_interrupts():
        assert signal.getsignal(signal.SIGTERM) is handler
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_thread_has_nothing_to_hold(came: list[int]) -> None:
    inside, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with held_interrupts():
            inside.set()
            let_go.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait()
    send(signal.SIGINT)
    seen = list(came)
    let_go.set()
    thread.join()
    assert seen == came == [signal.SIGINT]
