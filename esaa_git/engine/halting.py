"""Stopping everything, and letting it go on: decisions of people that every worker obeys."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from esaa_git.core.entries import Stop
from esaa_git.core.event import NewEvent
from esaa_git.core.events import RunHalt, RunResume
from esaa_git.core.said import words
from esaa_git.engine.decider import Decider
from esaa_git.engine.engine import Engine
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.errors import RefusedError, RunHalted
from esaa_git.ports.files import BlobStore

RESUME = "an admin lets it go on with 'git esaa resume'"


class Halting:
    """A person who stops everything, or lets it go on, on one log or on several states of it.

    Args:
        by: their principal.
        reason: their words.

    Raises:
        RefusedError: if that is no person, or the words are longer than a verifier reads.
    """

    def __init__(self, engine: Engine, by: str, reason: str) -> None:
        self._decider = Decider(engine, by, reason)

    def halt(self, engine: Engine) -> None:
        """Stop everything: nothing new begins, wherever this log is shared.

        Raises:
            RefusedError: if it is stopped already, or the person's key may not.
        """

        def step(tx: Transaction) -> None:
            stop = tx.state.stop
            if stop.by is not None:
                raise RefusedError("it is stopped already", cause=told(engine.blobs, stop))
            self._record(tx, partial(RunHalt, epoch=stop.epoch))

        transact(engine, step)

    def resume(self, engine: Engine) -> None:
        """Let everything go on.

        Raises:
            RefusedError: if it is not stopped, or the person is no admin.
        """

        def step(tx: Transaction) -> None:
            stop = tx.state.stop
            if stop.by is None:
                raise RefusedError(
                    "nothing is stopped",
                    hint="run 'git esaa sync' first where it was stopped elsewhere; 'git esaa "
                    "status' says what stands here",
                )
            self._record(tx, partial(RunResume, epoch=stop.epoch))

        transact(engine, step)

    def _record(self, tx: Transaction, made: Callable[..., RunHalt | RunResume]) -> None:
        tx.record(NewEvent(self._decider.by, self._decider.sign(tx, made)))


def told(blobs: BlobStore, stop: Stop) -> str:
    """Return in words who stopped the log, when and why."""
    text = words(stop.text, blobs.read)
    return f"stopped by {stop.by} at {stop.since}" + (f": {text}" if text else "")


def require_going(engine: Engine) -> None:
    """Refuse to work on a log that is stopped.

    Raises:
        RunHalted: saying who stopped it and why.
    """
    stop = engine.log.load()[0].stop
    if stop.by is not None:
        raise RunHalted(told(engine.blobs, stop), hint=RESUME)


class HaltWatch:
    """Tells a run whether it is to stop: by the log here each time, by a remote now and then."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._asked: float | None = None  # the remote comes first: nothing is paid before

    def look(self) -> None:
        """Look whether the log is stopped, here or where others append to it.

        Raises:
            RunHalted: if it is; what is under way is to be called off.
        """
        engine = self._engine
        now = engine.clock.monotonic()
        elsewhere = None
        if self._asked is None or now >= self._asked + engine.halt_poll:
            self._asked = now
            if engine.sharing is not None:
                engine.sharing.catch_up()
            else:
                elsewhere = engine.halted_elsewhere()
        require_going(engine)
        if elsewhere is not None:
            raise RunHalted(elsewhere, hint=f"{RESUME}; 'git esaa sync' brings it here")
