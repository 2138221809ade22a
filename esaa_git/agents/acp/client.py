"""One turn with an agent of the Agent Client Protocol, in a thread that has a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from esaa_git.agents.acp.pipes import Pipes, Program
from esaa_git.agents.acp.session import Session
from esaa_git.agents.acp.turn import Ask, OutOfTime, Turn, Unanswered

CANCEL_SECONDS: Final = 1.0
"""How long an agent that is told to stop may take for that."""

_TICK: Final = 0.03


def take_turn(program: Program, ask: Ask, until: float, pause: Callable[[], None]) -> Turn:
    """Open a session, ask once, and return how the turn ended.

    All of it happens in the calling thread, in an event loop that lives as long as the call. The
    program's pipes are closed in the end; the program itself is left to whoever started it. Where
    the turn is broken off, the agent is told so and has `CANCEL_SECONDS` to come to an end.

    Args:
        until: the deadline, on the clock of `time.monotonic`.
        pause: called at least every 50 ms; what it raises breaks the turn off and passes through.

    Raises:
        OutOfTime: at the deadline.
        ProtocolFault, LoginRequired, ModelRefused: as they say (`acp_turn`).
    """
    loop = asyncio.new_event_loop()
    try:
        pipes = loop.run_until_complete(Pipes.open(program))
        try:
            return _Drive(loop, pipes, ask).run(until, pause)
        finally:
            loop.run_until_complete(pipes.close())
    finally:
        loop.close()


class _Drive:
    """Runs the loop in short strokes, and what belongs to nobody's coroutine between them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pipes: Pipes, ask: Ask) -> None:
        self._loop = loop
        self._pipes = pipes
        self._session = loop.run_until_complete(_begin(pipes, ask))
        self._turn = loop.create_task(self._session.turn())

    def run(self, until: float, pause: Callable[[], None]) -> Turn:
        try:
            while not self._turn.done():
                # Outside of the loop: an interrupt that it raises would break a coroutine's state.
                pause()
                left = until - time.monotonic()
                if left <= 0:
                    raise OutOfTime("did not end its turn in time")
                self._pipes.look_after()
                self._stroke(min(_TICK, left))
            return self._turn.result()
        except Unanswered as error:
            error.stderr, error.stray = self._pipes.stderr, self._pipes.stray
            error.usage = self._session.usage
            raise
        finally:
            if not self._turn.done() and self._loop.run_until_complete(self._session.stop()):
                self._stroke(CANCEL_SECONDS)
            self._turn.cancel()
            self._loop.run_until_complete(self._end())

    def _stroke(self, seconds: float) -> None:
        self._loop.run_until_complete(asyncio.wait({self._turn}, timeout=seconds))

    async def _end(self) -> None:
        await asyncio.wait({self._turn})
        if not self._turn.cancelled():
            # Seen: a turn that failed after it was broken off is nothing to report.
            self._turn.exception()
        await self._session.close()


async def _begin(pipes: Pipes, ask: Ask) -> Session:
    return Session(pipes, ask)
