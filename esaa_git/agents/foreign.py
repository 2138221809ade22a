"""An agent of another package's adapter: what fails in it is said of that package.

The interface is a promise that nobody checks for us, so what comes back is looked at here, before
a run believes it. Nothing of an adapter that fails is the agent's doing: an `AgentError` spends no
attempt, and the attempt that was open is given back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, get_args

from esaa_git.core.contracts import AgentEntry
from esaa_git.core.events.dispatch import Sandbox
from esaa_git.core.printable import visible
from esaa_git.errors import AgentError, EsaaError
from esaa_git.ports.agent import AgentAdapter, Answer, Ran, Request, may_go_on, ran_by

T = TypeVar("T")


class ForeignAgent:
    """An `AgentAdapter` that another package made, held to what `ports.agent` says of it.

    Args:
        make: gives what the package makes of the entry.
        package: brings the adapter.
    """

    def __init__(self, entry: AgentEntry, package: str, make: Callable[[], AgentAdapter]) -> None:
        self.name, self.adapter, self.model = entry.name, entry.adapter, entry.model
        self._package = package
        with self._blamed("make"):
            self._inner = make()
            self.has_checkout = bool(self._inner.has_checkout)
            self.goes_on = may_go_on(self._inner)
            self.model = self._inner.model
            self._sandbox: str = self._inner.sandbox
        if self._sandbox not in get_args(Sandbox):
            raise self._broken("make", f"its 'sandbox' is {self._sandbox!r}, a word of no dispatch")

    @property
    def sandbox(self) -> str:
        return self._sandbox

    def ready(self) -> None:
        with self._blamed("ready"):
            self._inner.ready()

    def prepare(self, request: Request) -> Request:
        with self._blamed("prepare"):
            prepared = self._inner.prepare(request)
        return self._checked("prepare", prepared, Request)

    def ran(self) -> Ran:
        with self._blamed("ran"):
            found = ran_by(self._inner)
        return self._checked("ran", found, Ran)

    def answer(self, request: Request, pause: Callable[[], None]) -> Answer:
        broken_off: list[BaseException] = []

        def watched() -> None:
            try:
                pause()
            except BaseException as error:
                broken_off.append(error)
                raise

        with self._blamed("answer", broken_off):
            answer = self._inner.answer(request, watched)
        found = self._checked("answer", answer, Answer)
        self._checked("answer", found.output, bytes)
        self._checked("answer", found.latency_ms, int)
        return found

    @contextmanager
    def _blamed(self, step: str, broken_off: list[BaseException] | None = None) -> Iterator[None]:
        """Turn what the package raises into an error that names it.

        What `pause` raised passes through, as do errors of ours and the person's interrupt.
        """
        try:
            yield
        except (EsaaError, KeyboardInterrupt):
            raise
        except BaseException as error:
            if broken_off and error is broken_off[-1]:
                raise
            raise self._broken(step, f"{type(error).__name__}: {error}") from error

    def _checked(self, step: str, found: object, kind: type[T]) -> T:
        if not isinstance(found, kind):
            raise self._broken(step, f"expected '{kind.__name__}', found '{type(found).__name__}'")
        return found

    def _broken(self, step: str, cause: str) -> AgentError:
        return AgentError(
            f"agent '{self.name}': adapter '{self.adapter}' of the package '{self._package}' "
            f"failed in '{step}'",
            cause=visible(" ".join(cause.split())[:500], keep=""),
            hint=f"run 'python3 -m pip install --upgrade {self._package}', or say so to its author",
        )
