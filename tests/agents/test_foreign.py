"""Adapters of other packages that break their promise: their package is named, no attempt spent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from esaa_git.agents.foreign import ForeignAgent
from esaa_git.core.contracts import AgentEntry
from esaa_git.errors import AgentError, RefusedError
from esaa_git.ports.agent import AgentAdapter, Answer, Request
from tests.agents.memory import no_pause, request
from tests.conftest import Git
from tests.support.project import KINDS, make_project, task

ENTRY = AgentEntry("coder", "odd", None, {})


class Odd:
    """An adapter that does what a test says."""

    name, adapter, model, has_checkout, sandbox = "coder", "odd", None, False, "in-process"

    def __init__(self, **does: Callable[..., Any]) -> None:
        self._does = does

    def ready(self) -> None:
        self._does.get("ready", lambda: None)()

    def prepare(self, asked: Request) -> Any:
        return self._does.get("prepare", lambda _: asked)(asked)

    def answer(self, asked: Request, pause: Callable[[], None]) -> Any:
        return self._does.get("answer", lambda _, __: Answer(b"{}", 1))(asked, pause)


def foreign(made: Any) -> AgentAdapter:
    return ForeignAgent(ENTRY, "odd-plug", lambda: made)


def fails(error: BaseException) -> Callable[..., Any]:
    def failing(*_: object) -> Any:
        raise error

    return failing


def test_an_adapter_that_keeps_its_promise_is_as_it_was() -> None:
    agent = foreign(Odd())
    agent.ready()
    asked = request()
    assert agent.prepare(asked) is asked
    assert agent.answer(asked, no_pause).output == b"{}"
    assert (agent.name, agent.sandbox, agent.has_checkout) == ("coder", "in-process", False)


@pytest.mark.parametrize(
    ("does", "step"),
    [
        ({"ready": fails(OSError("away"))}, "ready"),
        ({"prepare": lambda _: None}, "prepare"),
        ({"prepare": fails(KeyError("x"))}, "prepare"),
        ({"answer": lambda *_: None}, "answer"),
        ({"answer": lambda *_: "text"}, "answer"),
        ({"answer": lambda *_: Answer("text", 1)}, "answer"),  # type: ignore[arg-type]  # wrong
        ({"answer": lambda *_: Answer(b"", 0.5)}, "answer"),  # type: ignore[arg-type]  # wrong
        ({"answer": fails(SystemExit(0))}, "answer"),
        ({"answer": fails(ValueError("two\nlines \x1b[31m"))}, "answer"),
    ],
)
def test_what_fails_in_an_adapter_is_said_of_its_package(
    does: dict[str, Callable[..., Any]], step: str
) -> None:
    agent = foreign(Odd(**does))
    with pytest.raises(AgentError) as caught:
        one_attempt(agent)
    expected = f"agent 'coder': adapter 'odd' of the package 'odd-plug' failed in '{step}'"
    assert caught.value.message == expected
    assert "odd-plug" in (caught.value.hint or "")
    assert (caught.value.cause or "").isprintable()


def one_attempt(agent: AgentAdapter) -> Answer:
    agent.ready()
    return agent.answer(agent.prepare(request()), no_pause)


@pytest.mark.parametrize("made", [None, object()])
def test_what_is_no_adapter_is_not_taken_for_one(made: object) -> None:
    with pytest.raises(AgentError, match="failed in 'make'"):
        foreign(made)


def test_a_confinement_that_no_dispatch_could_name_is_refused() -> None:
    odd = Odd()
    odd.sandbox = "castle"  # type: ignore[misc]  # wrong on purpose
    with pytest.raises(AgentError, match="failed in 'make'"):
        foreign(odd)


@pytest.mark.parametrize("error", [RefusedError("no"), KeyboardInterrupt(), RuntimeError("off")])
def test_what_breaks_an_answer_off_passes_through(error: BaseException) -> None:
    agent = foreign(Odd(answer=lambda _, pause: pause()))
    with pytest.raises(type(error)) as caught:
        agent.answer(request(), fails(error))
    assert caught.value is error


def test_a_run_ends_with_the_name_of_the_package_and_gives_the_attempt_back(
    tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug = tmp_path / "plug"
    info = plug / "odd_plug-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-plug\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[esaa_git.adapters]\nodd = odd_plug:ADAPTER\n")
    (plug / "odd_plug.py").write_text(
        "from esaa_git.agents.adapter import Adapter\n"
        "class Odd:\n"
        "    name, adapter, model, has_checkout = 'coder', 'odd', None, False\n"
        "    sandbox = 'in-process'\n"
        "    def ready(self): pass\n"
        "    def prepare(self, request): return request\n"
        "    def answer(self, request, pause): return None\n"
        "ADAPTER = Adapter({'type': 'object'}, ['in-process'], lambda entry, context: Odd())\n"
    )
    monkeypatch.syspath_prepend(str(plug))
    project = make_project(tmp_path / "project", git, task("T-1"))
    project.swarm({"coder": {"adapter": "odd"}}, dict.fromkeys(KINDS, "coder"))
    project.commit("The swarm")
    project.agree()
    said = project.esaa("run")
    assert said.code == AgentError.exit_code
    assert "adapter 'odd' of the package 'odd-plug' failed in 'answer'" in said.err
    assert "expected 'Answer', found 'NoneType'" in said.err
    assert project.task("T-1").state == "todo"
    assert project.task("T-1").attempts_used == 0
