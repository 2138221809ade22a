"""Recorded answers: which recording is taken, what becomes of it, and what a missing one means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from esaa_git.agents.scripted import ScriptedAgent
from esaa_git.core.envelope import Envelope, decode
from esaa_git.errors import AgentError
from esaa_git.ports.agent import AgentAdapter
from tests.agents.memory import entry, no_pause, request


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / "recorded").mkdir(parents=True)
    return root


def agent(root: Path | None, folder: str | Path = "recorded") -> ScriptedAgent:
    return ScriptedAgent(entry("scripted", folder=str(folder)), root)


def refused(root: Path | None, folder: str | Path = "recorded") -> AgentError:
    """Both ways to find out say the same."""
    adapter: AgentAdapter = agent(root, folder)
    with pytest.raises(AgentError) as caught:
        adapter.ready()
    with pytest.raises(AgentError) as again:
        adapter.answer(request(), no_pause)
    assert str(again.value) == str(caught.value)
    assert caught.value.message.startswith("agent 'coder': ")
    return caught.value


def test_the_recording_of_a_task_serves_every_attempt(root: Path) -> None:
    recording = (
        '{"action":"agent.result","task_id":"T-1000","attempt_id":"{{attempt_id}}",'
        '"payload":{"summary":"done in {{attempt_id}}"}}'
    )
    (root / "recorded/T-1000.json").write_text(recording, encoding="utf-8")
    answer = agent(root).answer(request(), no_pause)
    assert (answer.failure, answer.code, answer.truncated) == (None, None, False)
    envelope = decode(answer.output, max_bytes=1000)
    assert isinstance(envelope, Envelope)
    assert envelope.attempt_id == "T-1000-A2"
    assert envelope.payload.summary == "done in T-1000-A2"


def test_the_recording_of_an_attempt_comes_first_and_is_returned_as_it_is(root: Path) -> None:
    (root / "recorded/T-1000.json").write_bytes(b"for all")
    (root / "recorded/T-1000-A1.json").write_bytes(b"for the first")
    (root / "recorded/T-1000-A2.json").write_bytes(b"\xff {{attempt_id}}\n")
    assert agent(root).answer(request(), no_pause).output == b"\xff {{attempt_id}}\n"
    (root / "recorded/T-1000-A2.json").unlink()
    assert agent(root).answer(request(), no_pause).output == b"for all"


def test_a_reviewer_has_recordings_of_its_own(root: Path) -> None:
    asked = request(b'{"review":{"by":"agent-impl"}}\n')
    (root / "recorded/T-1000.json").write_bytes(b"the work")
    (root / "recorded/T-1000.review.json").write_bytes(b"any attempt, {{attempt_id}}")
    assert agent(root).answer(asked, no_pause).output == b"any attempt, T-1000-A2"
    (root / "recorded/T-1000-A2.review.json").write_bytes(b"this attempt")
    assert agent(root).answer(asked, no_pause).output == b"this attempt"
    assert agent(root).answer(request(), no_pause).output == b"the work"


def test_work_is_never_taken_for_a_review(root: Path) -> None:
    (root / "recorded/T-1000.json").write_bytes(b"the work")
    answer = agent(root).answer(request(b'{"review":{}}\n'), no_pause)
    assert answer.detail == {"looked_for": ["T-1000-A2.review.json", "T-1000.review.json"]}


def test_the_same_folder_gives_the_same_answers(root: Path) -> None:
    (root / "recorded/T-1000.json").write_bytes(b"{{attempt_id}}")
    assert agent(root).answer(request(), no_pause) == agent(root).answer(request(), no_pause)


def test_a_missing_recording_fails_the_attempt_and_names_what_was_looked_for(root: Path) -> None:
    adapter = agent(root)
    adapter.ready()
    answer = adapter.answer(request(), no_pause)
    assert answer.output == b""
    assert answer.code == "AGENT_FAILED"
    assert answer.failure == (
        "has no recorded answer: neither 'T-1000-A2.json' nor 'T-1000.json' is in 'recorded'"
    )
    assert answer.detail == {"looked_for": ["T-1000-A2.json", "T-1000.json"]}


def test_a_missing_folder_spends_no_attempt(root: Path) -> None:
    error = refused(root, "elsewhere")
    assert error.message == "agent 'coder': no folder 'elsewhere'"
    assert error.cause == "No such file or directory"
    assert error.hint is not None
    assert "agents_swarm.yaml" in error.hint


def test_a_file_is_no_folder(root: Path) -> None:
    (root / "recorded.json").write_bytes(b"{}")
    assert "no folder 'recorded.json'" in refused(root, "recorded.json").message


@pytest.mark.parametrize("folder", ["..", "../outside", "recorded/../../outside", "link", "loop"])
def test_a_relative_folder_stays_in_the_checkout(root: Path, folder: str) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "T-1000.json").write_bytes(b"{}")
    (root / "link").symlink_to(outside)
    (root / "loop").symlink_to("loop")
    error = refused(root, folder)
    expected = "leaves the checkout" if ".." in folder else f"no folder '{folder}'"
    assert expected in error.message
    assert str(outside) not in f"{error.message} {error.cause} {error.hint}"


@pytest.mark.parametrize("folder", ["link", "recorded/link", "link/deeper", "recorded/../link"])
def test_a_link_inside_the_checkout_is_not_followed_either(root: Path, folder: str) -> None:
    (root / "other/deeper").mkdir(parents=True)
    for place in (root / "link", root / "recorded/link"):
        place.symlink_to(root / "other")
    error = refused(root, folder)
    assert "link' is a symbolic link" in str(error.cause)


def test_a_recording_that_is_a_link_or_a_pipe_is_not_read(root: Path) -> None:
    (root / "kept").write_bytes(b"not to be read")
    (root / "recorded/T-1000.json").symlink_to(root / "kept")
    with pytest.raises(AgentError, match=r"'T-1000\.json' cannot be read") as caught:
        agent(root).answer(request(), no_pause)
    assert "is a symbolic link" in str(caught.value.cause)
    (root / "recorded/T-1000.json").unlink()
    os.mkfifo(root / "recorded/T-1000.json")
    with pytest.raises(AgentError) as caught:
        agent(root).answer(request(), no_pause)
    assert "is a named pipe" in str(caught.value.cause)


def test_an_absolute_folder_may_be_anywhere(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "T-1000.json").write_bytes(b"from elsewhere")
    assert agent(root, elsewhere).answer(request(), no_pause).output == b"from elsewhere"
    assert agent(None, elsewhere).answer(request(), no_pause).output == b"from elsewhere"


def test_without_a_checkout_a_relative_folder_is_nowhere() -> None:
    assert "no checkout" in refused(None).message


def test_a_recording_that_cannot_be_read_spends_no_attempt(root: Path) -> None:
    (root / "recorded/T-1000.json").mkdir()
    with pytest.raises(AgentError, match=r"'T-1000\.json' cannot be read"):
        agent(root).answer(request(), no_pause)


def test_it_says_of_itself_what_the_log_records(root: Path) -> None:
    adapter: AgentAdapter = agent(root)
    assert (adapter.name, adapter.adapter, adapter.model, adapter.sandbox) == (
        "coder",
        "scripted",
        "some-model",
        "in-process",
    )
