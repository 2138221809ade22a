"""The orchestrator in memory, with an adapter of another package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from esaa_git.agents.adapter import Adapter, AdapterContext
from esaa_git.core.contracts import AgentEntry
from esaa_git.engine.options import Options
from esaa_git.errors import AgentError, ConfigurationError
from esaa_git.ports.agent import Answer, Request
from esaa_git.testing.answers import Answering, oblige, says
from esaa_git.testing.contracts import pipeline, task
from esaa_git.testing.engine import engine_with
from esaa_git.testing.world import START


class Own:
    """An adapter around a function, as a package would bring it."""

    sandbox = "in-process"
    has_checkout = False

    def __init__(self, answering: Answering, entry: AgentEntry, context: AdapterContext) -> None:
        self.name, self.adapter, self.model = entry.name, entry.adapter, entry.model
        self._answering, self._context = answering, context

    def ready(self) -> None: ...

    def prepare(self, request: Request) -> Request:
        return replace(request, sent=b"asked in words of its own")

    def answer(self, request: Request, pause: Callable[[], None]) -> Answer:
        assert self._context.clock.now() == START
        said = self._answering(request)
        return said if isinstance(said, Answer) else Answer(said, 0)


def adapter(answering: Answering = oblige, sandboxes: Sequence[str] = ("in-process",)) -> Adapter:
    schema = {"type": "object", "additionalProperties": False, "properties": {"word": {}}}
    return Adapter(schema, sandboxes, lambda entry, context: Own(answering, entry, context))


def test_every_task_is_asked_of_the_adapter_and_the_record_names_it() -> None:
    made = engine_with(adapter(), {"word": "x"}, name="mine")
    made.apply(*pipeline("spec", "impl", "qa"))
    assert made.run().result == "success"
    asked = [event.payload for event in made.events if event.action == "orchestrator.dispatch"]
    assert len(asked) == 3
    assert made.content("docs/qa/T-3.md") == b"About T-3.\n"
    assert made.audit().is_ok


def test_what_it_may_not_answer_is_rejected_as_in_a_run() -> None:
    made = engine_with(adapter(says("agent.result", nonsense=1)))
    made.apply(task())
    report = made.run(Options(steps=1))
    assert [one.kind for one in report.admissions] == ["rejected"]
    assert "output.rejected" in made.actions


def test_settings_that_its_schema_refuses_stop_the_run() -> None:
    made = engine_with(adapter(), {"worb": "x"})
    made.apply(task())
    with pytest.raises(ConfigurationError):
        made.run()


def test_an_adapter_that_confines_nothing_is_refused_as_in_a_run() -> None:
    made = engine_with(adapter(sandboxes=("none",)))
    made.apply(task())
    with pytest.raises(AgentError, match="cannot be confined"):
        made.run()


def test_there_is_no_checkout_in_memory() -> None:
    def make(entry: AgentEntry, context: AdapterContext) -> Own:
        context.workspaces.open("0" * 40)
        raise AssertionError("unreachable")

    made = engine_with(Adapter({}, ("in-process",), make))
    made.apply(task())
    with pytest.raises(AgentError, match="no checkout"):
        made.run()
