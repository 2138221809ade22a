"""Interrupts that wait for a moment at which nothing can be left behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

_HELD: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class HeldInterrupts:
    """The signals that came and were not delivered yet."""

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._came: list[tuple[int, FrameType | None]] = []
        self._released = False

    def deliver(self) -> None:
        """Call the handlers of what came, one after the other; what they raise is raised here."""
        while self._came:
            number, frame = self._came.pop(0)
            self._handlers[number](number, frame)

    def hold(self, number: int) -> None:
        """Note this signal from now on, if a function of Python's handles it."""
        handler = signal.getsignal(number)
        if callable(handler):
            self._handlers[number] = handler
            signal.signal(number, self._note)

    def release(self) -> None:
        """Give every signal its handler back."""
        # From here on a handler may raise in the midst of this loop; what it leaves is passed on.
        self._released = True
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came.append((number, frame))
        if self._released:
            self.deliver()


@contextmanager
def held_interrupts() -> Iterator[HeldInterrupts]:
    """Hold the handlers of SIGINT, SIGTERM and SIGHUP until `deliver`, or until the end.

    Python may run a handler between any two instructions, also between the start of a process and
    the line that remembers it; KeyboardInterrupt, raised there, leaves the process running. Only
    the main thread runs handlers, so in another there is nothing to hold. A signal that ends this
    process by default still does.
    """
    held = HeldInterrupts()
    try:
        if threading.current_thread() is threading.main_thread():
            for number in _HELD:
                held.hold(number)
        yield held
    finally:
        held.release()
        held.deliver()
