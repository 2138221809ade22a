"""Agents of the Agent Client Protocol: real programs, over real pipes, in real checkouts."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from esaa_git.agents.acp import pipes
from esaa_git.agents.acp.agent import AcpAgent
from esaa_git.agents.edited import NOTE
from esaa_git.agents.registry import make_agent
from esaa_git.core.contracts import AgentEntry
from esaa_git.core.envelope import decode
from esaa_git.core.events.base import encode
from esaa_git.core.rejection import Rejected
from esaa_git.errors import AgentError
from esaa_git.ports.agent import AgentAdapter, Answer, Request
from esaa_git.ports.files import FileEntry
from esaa_git.sandbox import confinement
from esaa_git.store.repository import open_repository
from esaa_git.store.trees import GitBlobs
from tests.agents.memory import no_pause, request
from tests.agents.test_command import assert_dead, running_with
from tests.conftest import Git
from tests.support.adapters import in_checkout
from tests.support.project import KINDS, make_project, task

pytest.importorskip("acp", reason="the extra 'acp' is not installed")

PROGRAM = Path(__file__).resolve().parents[1] / "support" / "acp_agent.py"
READ = [str(PROGRAM), *{sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")}]
Script = dict[str, Any]


def strongest() -> str:
    """The confinement of this machine, or none where it has none: most tests are not about it."""
    try:
        return confinement.choose("auto")
    except AgentError:
        return "none"


class World:
    """A repository with one commit, and agents that work for it."""

    def __init__(self, repo: Path, folder: Path) -> None:
        self.repo = repo
        self.repository = open_repository(repo)
        self.base = str(self.repository.raw.head.target)
        self.folder = folder
        self.sandbox = strongest()
        self.max_output_bytes = 1 << 20
        self.templates: dict[str, bytes] = {}

    def agent(self, *command: str, model: str | None = None, **settings: Any) -> AcpAgent:
        adapter = make_agent(
            AgentEntry("coder", "acp", model, {"command": [*command], "read": READ, **settings}),
            in_checkout(
                self.repo,
                self.repository,
                sandbox=self.sandbox,
                max_output_bytes=self.max_output_bytes,
                prompt=self.templates.get,
            ),
        )
        assert isinstance(adapter, AcpAgent)
        return adapter

    def scripted(self, script: Script, **settings: Any) -> AcpAgent:
        """An agent of the SDK that does what the script says."""
        return self.agent(sys.executable, "-B", str(PROGRAM), json.dumps(script), **settings)

    def request(self, left_ms: int = 100_000) -> Request:
        asked = request(b'{"task":{}}\n', left_ms=left_ms)
        return replace(asked, base=self.base, sent=b"Write the file.\n")

    def turn(
        self, *steps: Script, left_ms: int = 100_000, settings: Script | None = None, **script: Any
    ) -> Answer:
        """Have an agent go through these steps, and return the answer."""
        agent = self.scripted({"steps": [*steps], **script}, **(settings or {}))
        return agent.answer(self.request(left_ms), no_pause)

    def program(self, source: str, left_ms: int = 100_000, **settings: Any) -> Answer:
        """Have a program answer that never heard of the protocol."""
        agent = self.agent(sys.executable, "-IS", "-c", source, **settings)
        return agent.answer(self.request(left_ms), no_pause)


@pytest.fixture
def loopback() -> Iterator[int]:
    """A port that listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def world(repo: Path, tmp_path: Path) -> World:
    return World(repo, tmp_path)


def payload(answer: Answer) -> Script:
    """What an answer proposes, through the decoder that judges it."""
    assert answer.failure is None, (answer.failure, answer.detail)
    envelope = decode(answer.output, max_bytes=1 << 20)
    assert not isinstance(envelope, Rejected), envelope
    assert (envelope.task_id, envelope.attempt_id) == ("T-1000", "T-1000-A2")
    return encode(envelope.payload)


def said(answer: Answer) -> str:
    return str(payload(answer)["summary"])


def trace(answer: Answer, path: str = "trace.jsonl") -> list[Script]:
    """What the agent wrote down in its checkout of what it was told."""
    files = {update["path"]: update["content"] for update in payload(answer)["file_updates"]}
    return [json.loads(line) for line in files[path].splitlines()]


# -- a turn -----------------------------------------------------------------------------------


def test_what_an_agent_edits_and_its_last_message_are_its_proposal(world: World) -> None:
    answer = world.turn(
        {"say": "I shall look around."},
        {"tool": "read README.md"},
        {"write": {"src/new.py": "x = 1\n", "README.md": "# Changed\n"}},
        {"say": "Added new.py "},
        {"say": "and a title."},
    )
    proposal = payload(answer)
    assert proposal["summary"] == "Added new.py and a title."
    assert sorted(update["path"] for update in proposal["file_updates"]) == [
        "README.md",
        "src/new.py",
    ]
    assert answer.latency_ms > 0


def test_it_says_of_itself_what_the_log_records(world: World) -> None:
    agent: AgentAdapter = world.scripted({}, model="large")
    agent.ready()
    assert (agent.name, agent.adapter, agent.model, agent.has_checkout) == (
        "coder",
        "acp",
        "large",
        True,
    )
    assert agent.sandbox == world.sandbox


def test_the_prompt_is_sent_as_it_was_prepared(world: World) -> None:
    world.templates["terse"] = b"Be kind.\n=====\nDo {{ task.task_id }}: {{ task.title }}\n"
    agent = world.scripted({"trace": "trace.jsonl"}, template="terse")
    view = b'{"task":{"task_id":"T-1000","title":"caf\xc3\xa9 \xf0\x9f\x98\x80"}}\n'
    prepared = agent.prepare(replace(world.request(), view=view))
    assert prepared.template is not None
    assert prepared.template.startswith("terse@")
    assert prepared.sent.decode() == "Be kind.\n\nDo T-1000: café 😀\n"
    heard = trace(agent.answer(prepared, no_pause))
    assert heard[0]["prompt"] == prepared.sent.decode()


def test_the_template_is_the_editors_where_none_is_named(world: World) -> None:
    world.templates["editor"] = b"Edit.\n"
    prepared = world.scripted({}).prepare(replace(world.request(), view=b'{"task":{}}\n'))
    assert prepared.sent == b"Edit.\n"
    assert prepared.template is not None
    assert prepared.template.startswith("editor@")


def test_the_session_is_in_the_checkout_and_nothing_of_it_is_left(world: World) -> None:
    heard = trace(world.turn(trace="trace.jsonl"))
    folder = Path(heard[0]["cwd"])
    assert folder.is_absolute()
    assert not folder.is_relative_to(world.repo)
    assert not folder.exists()


def test_an_agent_that_changes_nothing_proposes_no_files(world: World) -> None:
    assert payload(world.turn({"say": "All is well."})) == {"summary": "All is well."}


def test_a_word_is_no_change_where_one_was_asked_for(world: World) -> None:
    asked = replace(world.request(), view=b'{"contract":{"write":["src/**"]}}\n')
    answer = world.scripted({"steps": [{"say": "Done!"}]}).answer(asked, no_pause)
    assert (answer.code, answer.output) == ("EMPTY_PROPOSAL", b"Done!")


def test_an_agent_without_a_word_has_a_summary_all_the_same(world: World) -> None:
    proposal = payload(world.turn({"write": {"a": "b"}}))
    assert proposal["summary"] == "changed 1 file, and said nothing about it"


def test_an_agent_that_neither_changes_nor_says_anything_has_failed(world: World) -> None:
    assert world.turn().code == "OUTPUT_EMPTY"


def test_an_agent_that_changes_nothing_may_answer_by_a_note_in_its_home(world: World) -> None:
    note = {
        "action": "issue.report",
        "task_id": "T-1000",
        "attempt_id": "T-1000-A2",
        "payload": {"severity": "high", "title": "no compiler"},
    }
    answer = world.turn({"write": {f"$HOME/{NOTE}": json.dumps(note)}}, {"say": "I cannot."})
    assert json.loads(answer.output) == note
    assert payload(answer) == note["payload"]


def test_a_note_beside_changes_is_not_the_answer(world: World) -> None:
    answer = world.turn({"write": {f"$HOME/{NOTE}": "{}", "a": "b"}}, {"say": "Done."})
    assert said(answer) == "Done."


def test_a_note_is_neither_followed_nor_waited_for(world: World) -> None:
    world.max_output_bytes = 1000
    secret = world.folder / "secret"
    secret.write_text("secret", encoding="utf-8")
    for command in (
        f"import os; os.symlink({str(secret)!r}, os.environ['HOME'] + '/{NOTE}')",
        f"import os; os.mkfifo(os.environ['HOME'] + '/{NOTE}')",
        f"import os; os.mkdir(os.environ['HOME'] + '/{NOTE}')",
    ):
        answer = world.turn({"run": [sys.executable, "-IS", "-c", command]}, {"say": "There."})
        assert payload(answer) == {"summary": "There."}
    answer = world.turn({"write": {f"$HOME/{NOTE}": "x" * 5000}})
    assert (len(answer.output), answer.truncated) == (1001, True)


def test_a_reviewer_sees_the_proposal_beside_the_base(world: World) -> None:
    oid = GitBlobs(world.repository).write(b"proposed\n")
    asked = replace(world.request(), changes={"proposed.txt": FileEntry("100644", oid)})
    script = {"steps": [{"read": "proposed.txt"}]}
    answer = world.scripted(script).answer(asked, no_pause)
    assert payload(answer) == {"summary": "proposed"}


def test_only_what_the_last_message_says_is_the_summary_and_it_can_be_stored(world: World) -> None:
    answer = world.turn({"say": "early"}, {"tool": "x"}, {"say": "bell \a\u2028 and\nline"})
    assert said(answer) == "bell \ufffd\ufffd and\nline"
    assert len(said(world.turn({"say": "x" * 9000}))) == 4000


# -- a task, from the plan to the branch --------------------------------------------------------


def test_a_run_turns_a_session_into_an_effect_on_the_branch(tmp_path: Path, git: Git) -> None:
    project = make_project(tmp_path / "project", git, task("T-1000"))
    script = {
        "models": "options",
        "steps": [
            {"write": {"src/made.py": "x = 1\n"}},
            {"cost": {"amount": 0.002, "currency": "USD"}},
            {"say": "Made it."},
        ],
        "usage": {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9},
    }
    command = [sys.executable, "-B", str(PROGRAM), json.dumps(script)]
    entry = {"adapter": "acp", "command": command, "read": READ, "model": "large"}
    project.swarm({"coder": entry}, dict.fromkeys(KINDS, "coder"))
    project.commit("An agent that speaks the protocol")
    project.ok("run", "--sandbox", "none" if strongest() == "none" else "auto")
    assert project.read("src/made.py") == "x = 1\n"
    (dispatch,) = project.payloads("orchestrator.dispatch")
    assert dispatch["sandbox"] == strongest()
    assert dispatch["template"].startswith("editor@")
    (recorded,) = project.payloads("agent.result")
    assert (recorded["summary"], recorded["model"]) == ("Made it.", "large")
    assert recorded["usage"] == {
        "input_tokens": 7,
        "cached_input_tokens": 0,
        "output_tokens": 2,
        "cost_microdollars": 2000,
        "price_source": "reported by Scripted Agent",
    }
    project.check()


# -- permissions and what a client offers -----------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "chosen"),
    [
        (["reject_once", "allow_always", "allow_once"], "allow_once-2"),
        (["reject_always", "allow_always"], "allow_always-1"),
        (["reject_once", "reject_always"], "cancelled"),
        ([], "cancelled"),
    ],
)
def test_a_permission_is_given_once_where_that_is_offered(
    world: World, kinds: list[str], chosen: str
) -> None:
    assert said(world.turn({"ask": kinds})) == f"[{chosen}]"


def test_the_client_writes_no_files_for_an_agent(world: World) -> None:
    target = world.folder / "outside"
    answer = world.turn({"client_file": str(target)})
    assert said(answer) == "Method not found"
    assert not target.exists()


# -- login, model and usage -------------------------------------------------------------------


def test_an_agent_logs_in_by_a_variable_that_its_entry_passes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODER_KEY", "k-123")
    answer = world.turn({"say": "In."}, login="CODER_KEY", settings={"env": ["CODER_KEY"]})
    assert said(answer) == "In."


def test_an_agent_that_wants_a_login_names_what_would_do(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODER_KEY", "k-123")  # set, and not passed on
    with pytest.raises(AgentError, match="agent 'coder': it wants a login") as caught:
        world.turn(login="CODER_KEY")
    assert "Log in by hand" in (caught.value.cause or "")
    assert "set CODER_KEY, and name it under 'env'" in (caught.value.hint or "")


def test_a_key_that_is_refused_when_it_is_used_is_an_error_and_no_failed_attempt(
    world: World,
) -> None:
    with pytest.raises(AgentError, match="it wants a login") as caught:
        world.turn({"refuse_key": "invalid key"})
    assert "invalid key" in (caught.value.cause or "")


def test_an_agent_gets_no_variable_that_its_entry_does_not_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSED", "yes")
    monkeypatch.setenv("WITHHELD", "no")
    seen = said(world.turn({"environment": ""}, settings={"env": ["PASSED"]})).split()
    assert "PASSED" in seen
    assert "WITHHELD" not in seen
    assert {"HOME", "TMPDIR", "PATH", "ESAA_TASK", "ESAA_ATTEMPT", "ESAA_DEADLINE"} <= set(seen)


def test_a_variable_that_leads_to_keys_is_refused(world: World) -> None:
    with pytest.raises(AgentError, match="'SSH_AUTH_SOCK' cannot be passed on"):
        world.scripted({}, env=["SSH_AUTH_SOCK"]).ready()


@pytest.mark.parametrize("models", ["options", "groups", "older"])
@pytest.mark.parametrize("wanted", ["large", "Large Model"])
def test_the_model_is_chosen_by_id_or_name(world: World, models: str, wanted: str) -> None:
    answer = world.turn(models=models, trace="trace.jsonl", settings={"model": wanted})
    assert trace(answer)[0]["model"] == "large"
    assert answer.model == "large"


@pytest.mark.parametrize("models", ["options", "groups", "older"])
def test_without_a_wish_the_model_is_the_agents_and_is_named(world: World, models: str) -> None:
    assert world.turn({"say": "."}, models=models).model == "small"


@pytest.mark.parametrize("models", ["options", "older"])
def test_a_model_that_the_agent_does_not_take_is_an_error_of_the_entry(
    world: World, models: str
) -> None:
    with pytest.raises(AgentError, match="it does not take the model 'huge'") as caught:
        world.turn(models=models, settings={"model": "huge"})
    assert "it offers: small, large" in (caught.value.cause or "")
    assert "correct 'model'" in (caught.value.hint or "")


def test_an_agent_without_a_choice_of_models_is_asked_all_the_same(world: World) -> None:
    answer = world.turn({"say": "Fine."}, settings={"model": "any"})
    assert (said(answer), answer.model) == ("Fine.", None)


def test_usage_and_cost_are_what_the_agent_reports(world: World) -> None:
    answer = world.turn(
        {"cost": {"amount": 0.01, "currency": "USD"}},
        {"cost": {"amount": 0.0123456, "currency": "USD"}},
        usage={
            "input_tokens": 100,
            "cached_read_tokens": 30,
            "cached_write_tokens": 5,
            "output_tokens": 20,
            "thought_tokens": 7,
            "total_tokens": 162,
        },
    )
    assert answer.usage == {
        "input_tokens": 135,
        "cached_input_tokens": 30,
        "output_tokens": 27,
        "cost_microdollars": 12346,
        "price_source": "reported by Scripted Agent",
    }


@pytest.mark.parametrize(
    "cost", [{"amount": 1, "currency": "EUR"}, {"amount": -1, "currency": "USD"}]
)
def test_a_cost_that_is_no_amount_of_dollars_is_not_recorded(world: World, cost: Script) -> None:
    assert world.turn({"say": "."}, {"cost": cost}).usage == {}


# -- turns that do not come to their end ------------------------------------------------------


@pytest.mark.parametrize(
    ("stop", "code"),
    [
        ("refusal", "AGENT_REFUSED"),
        ("max_tokens", "OUTPUT_TRUNCATED"),
        ("max_turn_requests", "OUTPUT_TRUNCATED"),
        ("cancelled", "AGENT_TIMEOUT"),
    ],
)
def test_a_turn_that_stops_early_proposes_nothing(world: World, stop: str, code: str) -> None:
    answer = world.turn({"write": {"half.txt": "ha"}}, {"say": "No."}, stop=stop)
    assert (answer.code, answer.output) == (code, b"No.")
    assert answer.failure
    assert answer.detail["stop_reason"] == stop


def test_an_error_of_the_agent_is_a_failure_with_its_words(world: World) -> None:
    answer = world.turn({"stderr": "trouble ahead\n"}, {"fail": "overloaded"})
    assert answer.failure == "answered with an error: overloaded (the service is down)"
    assert answer.code == "AGENT_FAILED"
    assert answer.detail["error_code"] == -32603
    assert "the service is down" in answer.detail["error_data"]
    assert answer.detail["stderr"] == "trouble ahead\n"


@pytest.mark.parametrize(
    ("step", "seconds"),
    [
        ({"fail": "overloaded"}, None),
        ({"fail": "Internal error: Claude AI usage limit reached|4102444800"}, 1),
        ({"say": "You've hit your limit · resets 3pm (UTC)"}, 1),
    ],
)
def test_a_service_that_is_away_is_told_beside_the_failure(
    world: World, step: Script, seconds: float | None
) -> None:
    asked = replace(world.request(), view=b'{"contract":{"write":["src/**"]}}\n')
    answer = world.scripted({"steps": [step]}).answer(asked, no_pause)
    assert answer.unavailable is not None
    assert (answer.unavailable.seconds is None) == (seconds is None)


def test_a_key_or_a_model_that_is_refused_within_the_turn_is_an_error_of_the_entry(
    world: World,
) -> None:
    with pytest.raises(AgentError, match="its service refused its key"):
        world.turn({"fail": "Invalid API key · Please run /login"})
    with pytest.raises(AgentError, match="its service knows no such model"):
        world.turn({"fail": "model_not_found: no"})


def test_what_a_failed_turn_cost_is_recorded_all_the_same(world: World) -> None:
    answer = world.turn({"cost": {"amount": 0.5, "currency": "USD"}}, {"fail": "overloaded"})
    assert answer.usage["cost_microdollars"] == 500_000


def test_a_program_that_leaves_early_is_a_failure_with_its_last_words(world: World) -> None:
    answer = world.turn({"stderr": "out of luck\n"}, {"exit": 3})
    assert answer.failure == "left with exit status 3 before its answer was complete"
    assert (answer.code, answer.detail) == (
        "AGENT_FAILED",
        {"exit_status": 3, "stderr": "out of luck\n"},
    )


def test_a_program_that_is_killed_is_named_with_the_signal(world: World) -> None:
    answer = world.turn(
        {"run": [sys.executable, "-IS", "-c", "import os; os.kill(os.getppid(), 9)"]}
    )
    assert (answer.failure, answer.code) == ("was ended by signal SIGKILL", "AGENT_FAILED")


def test_another_version_of_the_protocol_is_refused(world: World) -> None:
    answer = world.turn(version=2)
    assert answer.failure == "speaks version 2 of the protocol, not version 1"
    assert answer.code == "AGENT_FAILED"


def test_a_greeting_before_the_protocol_is_passed_over(world: World) -> None:
    answer = world.turn({"raw": 'loading\n[1,2]\n{"id":[]}\n\n{"method":7}\n'}, {"say": "Here."})
    assert said(answer) == "Here."


@pytest.mark.parametrize(
    ("source", "failure"),
    [
        ("print('hello')", "left with exit status 0 before its answer was complete"),
        ("import os, time; os.close(1); time.sleep(60)", "closed its output before"),
        ("print('what?\\n' * 200, flush=True); input()", "wrote more than 100 lines"),
        (
            "import time; print('{}' * (1 << 23), end=''); time.sleep(60)",
            "wrote a line of more than",
        ),
        ("while True: print(end='x' * 65536)", "wrote a line of more than"),
        ("print('[' * 100_000); input()", "left with exit status 0"),
        ('input(); print(\'{"id":0,"result":{"protocolVersion":"one"}}\')', "sent a malformed"),
        ('input(); print(\'{"id":0,"result":null}\')', "sent a malformed"),
        ('input(); print(\'{"id":0,"error":"no"}\')', "left with exit status 0"),
        ('input(); print(\'{"id":0,"error":{}}\')', "answered with an error: Error"),
    ],
)
def test_a_program_that_does_not_speak_the_protocol_has_failed(
    world: World, capfd: pytest.CaptureFixture[str], source: str, failure: str
) -> None:
    answer = world.program(source)
    assert (answer.failure or "").startswith(failure)
    assert (answer.code, answer.output) == ("AGENT_FAILED", b"")
    assert capfd.readouterr() == ("", "")


def test_garbage_is_shown_to_who_looks_for_the_cause(world: World) -> None:
    answer = world.program("import sys; print('usage: \\x1b agent'); sys.exit('no such command')")
    assert answer.detail["stray_line"] == "usage: \ufffd agent"
    assert answer.detail["stderr"] == "no such command\n"


def test_messages_without_end_use_no_memory_and_meet_the_deadline(world: World) -> None:
    chunk = {
        "method": "session/update",
        "params": {"sessionId": "s", "update": {"sessionUpdate": "odd"}},
    }
    source = f"import sys\nline = {json.dumps(chunk)!r} + '\\n'\nwhile True: sys.stdout.write(line)"
    answer = world.program(source, left_ms=1500)
    assert answer.code == "AGENT_TIMEOUT"


def test_requests_without_end_whose_answers_nobody_reads_do_not_pile_up(world: World) -> None:
    answer = world.program(
        "n = 0\nwhile True:\n"
        ' n += 1; print(\'{"id":%d,"method":"fs/read_text_file","params":{}}\' % n)',
        left_ms=1500,
    )
    assert answer.code == "AGENT_TIMEOUT"


def test_stderr_without_end_is_cut_to_its_end(world: World) -> None:
    answer = world.program(
        "import sys\nfor _ in range(100): sys.stderr.write('x' * 65536)\nsys.exit('the end')"
    )
    assert len(answer.detail["stderr"]) == pipes.STDERR_BYTES
    assert answer.detail["stderr"].endswith("the end\n")


# -- deadlines, interrupts, and what is left behind -------------------------------------------


def test_a_program_that_hangs_before_its_greeting_meets_its_deadline(world: World) -> None:
    answer = world.turn(hang="initialize", left_ms=1500)
    assert (answer.code, answer.output) == ("AGENT_TIMEOUT", b"")
    assert (answer.failure or "").startswith("did not answer before its deadline 2026-")


def test_the_timeout_of_its_entry_holds_where_it_is_earlier(world: World) -> None:
    answer = world.turn({"wait": 60}, settings={"timeout": 1500})
    assert answer.failure == "did not answer within its timeout of 1500 ms"


def test_no_program_is_started_after_the_deadline(world: World) -> None:
    answer = world.scripted({}).answer(world.request(left_ms=0), no_pause)
    assert (answer.code, answer.latency_ms) == ("AGENT_TIMEOUT", 0)


def test_at_its_deadline_an_agent_is_told_to_stop_and_nothing_is_proposed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_checkout(world, monkeypatch)
    answer = world.turn({"write": {"half": "x"}}, {"wait": 60}, trace="trace.jsonl", left_ms=3000)
    assert (answer.code, answer.output) == ("AGENT_TIMEOUT", b"")
    assert '"cancelled": "s-1"' in kept["trace.jsonl"]


def test_an_agent_that_does_not_stop_is_ended(world: World) -> None:
    marker = world.folder / "marker"
    answer = world.turn({"spawn": sleeper(marker)}, {"sleep": 60}, left_ms=2500)
    assert answer.code == "AGENT_TIMEOUT"
    assert_dead(*running_with(marker))


def test_an_interrupt_passes_through_and_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = world.folder / "marker"
    kept = keep_checkout(world, monkeypatch)
    script = {"steps": [{"spawn": sleeper(marker)}, {"wait": 60}], "trace": "trace.jsonl"}
    agent = world.scripted(script)
    folders: list[Path] = []

    def interrupt() -> None:
        for pid in running_with(marker):
            folders.append(Path(f"/proc/{pid}/cwd").readlink())
            raise KeyboardInterrupt

    if not Path("/proc").exists():
        pytest.skip("the system has no /proc to find the agent's processes in")
    with pytest.raises(KeyboardInterrupt):
        agent.answer(world.request(), interrupt)
    assert '"cancelled": "s-1"' in kept["trace.jsonl"]
    assert_dead(*running_with(marker))
    assert not folders[0].exists()


def test_what_an_agent_leaves_running_does_not_hold_its_answer_up(world: World) -> None:
    marker = world.folder / "marker"
    answer = world.turn({"spawn": sleeper(marker)}, {"say": "Done."})
    assert said(answer) == "Done."
    assert_dead(*running_with(marker))


def test_an_output_that_others_hold_open_ends_with_the_program(world: World) -> None:
    marker = world.folder / "marker"
    answer = world.turn({"spawn": sleeper(marker)}, {"exit": 0})
    assert answer.failure == "left with exit status 0 before its answer was complete"
    assert_dead(*running_with(marker))


def test_pause_is_called_while_the_agent_is_at_work(world: World) -> None:
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1

    world.scripted({"steps": [{"wait": 1}]}).answer(world.request(), count)
    assert calls >= 20


def test_several_agents_are_at_work_at_once_in_threads(world: World) -> None:
    answers: dict[str, Answer] = {}

    def work(name: str) -> None:
        other = World(world.repo, world.folder)
        answers[name] = other.turn({"write": {f"{name}.txt": name}}, {"wait": 0.5})

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, answer in answers.items():
        assert [update["path"] for update in payload(answer)["file_updates"]] == [f"{name}.txt"]
    assert len(answers) == 3


def sleeper(marker: Path) -> list[str]:
    """A program that is easily found, and stays for a minute."""
    return [sys.executable, "-IS", "-c", "import time; time.sleep(60)", str(marker)]


def keep_checkout(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The files of a checkout, as they were when it was about to be removed."""
    from esaa_git.agents.acp import session

    kept: dict[str, str] = {}
    real = session.take_turn

    def take_turn(program: Any, ask: Any, until: float, pause: Callable[[], None]) -> Any:
        try:
            return real(program, ask, until, pause)
        finally:
            for path in ask.folder.iterdir():
                if path.is_file():
                    kept[path.name] = path.read_text(encoding="utf-8")

    monkeypatch.setattr(session, "take_turn", take_turn)
    return kept


# -- confinement ------------------------------------------------------------------------------


@pytest.fixture(params=confinement.LEVELS)
def confined(request: pytest.FixtureRequest, world: World) -> World:
    try:
        world.sandbox = confinement.choose(request.param)
    except AgentError as error:
        pytest.skip(f"{error.message}: {error.cause}")
    return world


def test_a_confined_agent_edits_its_checkout_and_nothing_else(confined: World, git: Git) -> None:
    outside = confined.folder / "outside"
    ref = confined.repo / ".git" / "refs" / "heads" / "main"
    before = ref.read_bytes()
    answer = confined.turn(
        {"write": {"inside.txt": "fine"}},
        {"try_write": str(outside)},
        {"try_write": str(ref)},
        {"say": "."},
    )
    assert [update["path"] for update in payload(answer)["file_updates"]] == ["inside.txt"]
    assert not outside.exists()
    assert ref.read_bytes() == before


def test_read_names_what_a_confined_agent_may_read_beside_its_checkout(confined: World) -> None:
    given = confined.folder / "given"
    given.write_text("open\n", encoding="utf-8")
    assert "open" not in said(confined.turn({"read": str(given)}))
    settings = {"read": [*READ, str(given)]}
    assert said(confined.turn({"read": str(given)}, settings=settings)) == "open"


def test_hosts_names_where_a_confined_agent_may_connect(confined: World, loopback: int) -> None:
    step = {"connect": loopback}
    assert said(confined.turn(step)) != "connected"
    assert said(confined.turn(step, settings={"hosts": [f"127.0.0.1:{loopback}"]})) == "connected"


HOG = "import os, time; kept = os.urandom(1 << 20) * 150; time.sleep(60)"


@pytest.mark.parametrize(
    ("limits", "steps"),
    [
        ({"memory_bytes": 256 << 20}, [{"fill_memory": 1 << 30}]),
        ({"memory_bytes": 256 << 20}, [{"spawn": [sys.executable, "-IS", "-c", HOG]}] * 2),
        ({"processes": 8}, [{"spawn": ["sleep", "60"]}] * 16),
        ({"disk_bytes": 1 << 20}, [{"write": {"big.txt": "x" * (2 << 20)}}]),
    ],
    ids=["memory of one", "memory of all", "processes", "disk"],
)
def test_an_agent_over_a_limit_fails_and_within_it_does_not(
    confined: World, limits: Script, steps: list[Script]
) -> None:
    # Arguments are limited too, by the system (execve(2)).
    confined.max_output_bytes = 8 << 20
    script = confined.folder / "script.json"
    script.write_text(json.dumps({"steps": [*steps, {"wait": 20}]}), encoding="utf-8")
    settings = {"read": [*READ, str(script)]}
    command = [sys.executable, "-B", str(PROGRAM), f"@{script}"]
    answer = confined.agent(*command, limits=limits, **settings).answer(
        confined.request(), no_pause
    )
    assert (answer.code, answer.output) == ("AGENT_FAILED", b"")
    assert said(confined.turn({"say": "Modest."}, settings={"limits": limits})) == "Modest."


def test_the_limit_that_an_agent_went_over_is_named(confined: World) -> None:
    hog = {"spawn": [sys.executable, "-IS", "-c", HOG]}
    answer = confined.turn(hog, hog, {"wait": 60}, settings={"limits": {"memory_bytes": 256 << 20}})
    assert answer.failure == "was ended for exceeding its limit 'memory_bytes'"
    assert answer.detail["limit"] == "memory_bytes"


def test_no_confinement_is_named_as_such(world: World) -> None:
    world.sandbox = "none"
    agent = world.scripted({"steps": [{"say": "Free."}]})
    assert agent.sandbox == "none"
    assert said(agent.answer(world.request(), no_pause)) == "Free."


# -- what keeps an agent from being asked -----------------------------------------------------


def test_a_missing_program_is_an_error_before_any_attempt(world: World) -> None:
    with pytest.raises(AgentError, match="agent 'coder': no program 'no-such-agent'"):
        world.agent("no-such-agent", "--acp").ready()


def test_a_program_that_cannot_be_started_is_an_error(world: World) -> None:
    script = world.folder / "agent"
    script.write_text("#!/no/such/interpreter\n", encoding="utf-8")
    script.chmod(0o755)
    with pytest.raises(AgentError, match="cannot be started"):
        world.agent(str(script)).answer(world.request(), no_pause)


def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "acp", None)
    monkeypatch.delitem(sys.modules, "esaa_git.agents.acp.session", raising=False)
    monkeypatch.delattr("esaa_git.agents.acp.session", raising=False)
    with pytest.raises(AgentError, match="needs a package that is not installed") as caught:
        world.scripted({}).ready()
    assert "esaa-git[acp]" in (caught.value.hint or "")


def test_the_protocol_costs_no_import_until_an_agent_is_asked() -> None:
    source = "import sys, esaa_git.agents.acp.agent; print({'acp', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
