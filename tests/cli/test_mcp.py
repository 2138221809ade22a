"""`git esaa mcp`, spoken to by the SDK's own client over real pipes, in real repositories.

What an interactive agent does ends in the same record as anybody's work; what it does wrong comes
back as words that it can act on, and the server lives on.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from esaa_git.app.project import Project as OpenProject
from esaa_git.engine.attempts import open_attempt
from esaa_git.engine.transaction import transact
from esaa_git.errors import ConfigurationError, UsageError
from tests.conftest import Git
from tests.support.project import Document, Project, make_project, task

pytest.importorskip("mcp", reason="the extra esaa-git[mcp] is not installed")

from tests.support import forked
from tests.support.host import Host, host
from tests.support.patience import patience

Make = Callable[..., Project]

TOOLS = {
    "next_task",
    "get_task_context",
    "submit_result",
    "report_issue",
    "heartbeat",
    "get_status",
}


CLIENTS = [
    "claude-code",
    "Claude-Code",
    "codex",
    "cursor",
    "alice-example.com",
    "x" * 64,
    "one",
    "two",
    "slow",
    "quick",
]
"""Those that the contracts know; others work under the key of the person."""


@pytest.fixture
def make(tmp_path: Path, git: Git) -> Make:
    def made(*tasks: Document, **options: Any) -> Project:
        chosen = tasks or (task("T-1"), task("T-2", depends_on=["T-1"]))
        options.setdefault("seed", {"src/a.py": "a = 1\n", "src/old.py": "old = 1\n"})
        options.setdefault("approvers", ["alice@example.com", "bob@example.com"])
        options.setdefault("agents", CLIENTS)
        project = make_project(tmp_path / "project", git, *chosen, **options)
        project.ok("plan", "apply")
        return project

    return made


@pytest.fixture
def project(make: Make) -> Project:
    return make()


@pytest.fixture
def agent(project: Project) -> Iterator[Host]:
    with host(project.path, name="claude-code") as started:
        yield started


def written(path: str, content: str) -> str:
    return json.dumps([{"op": "write", "path": path, "content": content}])


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return forked.start("-C", folder, "mcp", *arguments, **pipes)


HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "raw", "version": "1"},
    },
}


def call(number: int, tool: str, **arguments: Any) -> Document:
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


def say(server: subprocess.Popen[bytes], message: Document | str) -> None:
    assert server.stdin is not None
    line = message if isinstance(message, str) else json.dumps(message)
    server.stdin.write(line.encode() + b"\n")
    server.stdin.flush()


def heard(server: subprocess.Popen[bytes]) -> Document:
    assert server.stdout is not None
    document: Document = json.loads(server.stdout.readline())
    return document


def claimed(project: Project, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a server that has claimed T-1 for us."""
    server = start(project.path, *arguments)
    say(server, HELLO)
    assert heard(server)["id"] == 1
    say(server, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    say(server, call(2, "next_task", claim=True))
    assert heard(server)["result"]["structuredContent"]["attempt_id"] == "T-1-A1"
    return server


# -- what it offers ----------------------------------------------------------------------------


def test_six_tools_take_nothing_but_text_truth_and_lists_of_text(agent: Host) -> None:
    tools = {tool.name: tool for tool in agent.tools()}
    assert set(tools) == TOOLS
    for tool in tools.values():
        assert tool.description
        assert "$defs" not in tool.input_schema
        for schema in tool.input_schema["properties"].values():
            assert schema["type"] in ("string", "boolean", "array")
            assert schema.get("items", {"type": "string"}) == {"type": "string"}
            assert "anyOf" not in schema


# -- a whole task ------------------------------------------------------------------------------


def test_a_task_is_claimed_rejected_corrected_and_committed(project: Project, agent: Host) -> None:
    offer = agent.ok("next_task")
    assert [one["task_id"] for one in offer["eligible"]] == ["T-1"]

    claimed = agent.ok("next_task", claim=True)
    assert (claimed["task_id"], claimed["attempt_id"]) == ("T-1", "T-1-A1")
    assert claimed["request"]["task"]["title"] == "Do T-1"
    assert agent.ok("get_task_context", task_id="T-1") == claimed

    said = agent.fails(
        "submit_result", task_id="T-1", summary="x", file_updates=written(".github/w.yml", "on: x")
    )
    assert "rejected, PATH_PROTECTED: '.github/w.yml' runs by itself or is obeyed unasked" in said
    assert "Leave this path alone" in said
    assert "2 of 3 are left" in said
    assert "call next_task with task_id 'T-1' and claim true" in said

    again = agent.ok("next_task", task_id="T-1", claim=True)
    assert again["attempt_id"] == "T-1-A2"
    assert again["request"]["last_rejection"]["code"] == "PATH_PROTECTED"
    done = agent.ok(
        "submit_result",
        task_id="T-1",
        summary="wrote b",
        file_updates=written("src/b.py", "b = 2\n"),
        checks=["it runs"],
    )
    assert (done["outcome"], done["state"]) == ("done", "done")
    assert done["effect_commit"] == project.head()
    assert project.read("src/b.py") == "b = 2\n"
    assert project.git("log", "-1", "--format=%an") == "claude-code"
    assert project.payloads("agent.result")[0]["checks"] == ["it runs"]
    assert [one["task_id"] for one in agent.ok("next_task")["eligible"]] == ["T-2"]
    project.check()


def test_files_edited_in_the_checkout_are_proposed_as_they_stand(
    project: Project, agent: Host
) -> None:
    agent.ok("next_task", claim=True)
    project.write("src/a.py", "a = 2\n")
    project.write("img/x.bin", bytes(range(256)))
    project.write("tools/run", "#!/bin/sh\n", executable=True)
    (project.path / "src/old.py").unlink()
    done = agent.ok(
        "submit_result",
        task_id="T-1",
        summary="as it stands",
        paths=["src/a.py", "img/x.bin", "tools/run", str(project.path / "src/old.py")],
    )
    assert done["outcome"] == "done"
    assert project.status() == ""
    assert project.git("ls-tree", "-r", "--name-only", "main", "src", "img", "tools").split() == [
        "img/x.bin",
        "src/a.py",
        "tools/run",
    ]
    project.check()


def test_a_task_that_needs_no_change_is_done_without_one(project: Project, agent: Host) -> None:
    before = project.head()
    agent.ok("next_task", claim=True)
    assert agent.ok("submit_result", task_id="T-1", summary="was right")["outcome"] == "done"
    assert project.head() == before


def test_a_result_that_needs_a_review_waits_for_it(make: Make) -> None:
    project = make(task("T-1", review=True))
    with host(project.path) as agent:
        agent.ok("next_task", claim=True)
        arguments = {"task_id": "T-1", "summary": "x", "file_updates": written("b", "1\n")}
        assert agent.ok("submit_result", **arguments)["outcome"] == "waiting"
        assert agent.ok("submit_result", **arguments)["outcome"] == "repeated"
        assert agent.ok("get_status")["in_progress"][0]["waits_for"] == "a review"
        project.ok("review", "T-1", "--approve", "--as", "alice@example.com")
        assert agent.ok("get_status")["tasks"] == {"done": 1}
    project.check()


def test_uncommitted_work_of_a_person_keeps_the_answer_waiting(
    project: Project, agent: Host
) -> None:
    agent.ok("next_task", claim=True)
    project.write("src/a.py", "a = 'mine'\n")
    waiting = agent.ok(
        "submit_result", task_id="T-1", summary="x", file_updates=written("src/a.py", "a = 2\n")
    )
    assert (waiting["outcome"], waiting["in_the_way"]) == ("waiting", ["src/a.py"])
    assert project.read("src/a.py") == "a = 'mine'\n"


# -- again, and wrong --------------------------------------------------------------------------


def test_the_same_call_again_changes_nothing(project: Project, agent: Host) -> None:
    first = agent.ok("next_task", claim=True)
    tip = project.tip()
    assert agent.ok("next_task", claim=True) == first
    assert agent.ok("next_task", task_id="T-1", claim=True) == first
    assert project.tip() == tip
    project.write("src/a.py", "a = 2\n")
    arguments = {"task_id": "T-1", "summary": "x", "paths": ["src/a.py"]}
    assert agent.ok("submit_result", **arguments)["outcome"] == "done"
    tip = project.tip()
    assert agent.ok("submit_result", **arguments)["outcome"] == "repeated"
    assert "done is final" in agent.fails("submit_result", task_id="T-1", summary="another")
    assert project.tip() == tip


def test_a_rejected_result_is_not_taken_again_without_a_new_attempt(
    project: Project, agent: Host
) -> None:
    agent.ok("next_task", claim=True)
    arguments = {"task_id": "T-1", "summary": "x", "file_updates": written(".git/x", "1")}
    assert "rejected, PATH_PROTECTED" in agent.fails("submit_result", **arguments)
    tip = project.tip()
    said = agent.fails("submit_result", **arguments)
    assert "attempt 'T-1-A1' is over: it was rejected" in said
    assert "next_task" in said
    assert project.tip() == tip


def test_when_no_attempt_is_left_it_says_what_a_person_can_do(make: Make) -> None:
    project = make(policy={"attempts__max_per_task": 1})
    with host(project.path) as agent:
        agent.ok("next_task", claim=True)
        said = agent.fails(
            "submit_result", task_id="T-1", summary="x", file_updates=written(".git/x", "1")
        )
        assert "git esaa task unblock T-1 --attempts 1" in said
        assert "no task can be claimed now" in agent.fails("next_task", claim=True)
        assert agent.ok("get_status")["blocked"][0]["task_id"] == "T-1"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"summary": ""}, "payload/summary"),
    ({"summary": "x" * 5000}, "payload/summary"),
    ({"summary": "x", "file_updates": "[{"}, "'file_updates' is not JSON"),
    ({"summary": "x", "file_updates": '{"op": "write"}'}, "not a list"),
    ({"summary": "x", "file_updates": "[]", "paths": ["a"]}, "exclude each other"),
    ({"summary": "x", "paths": ["nowhere"]}, "there is no 'nowhere'"),
    ({"summary": "x", "paths": ["../outside"]}, "outside of this repository"),
    ({"summary": "x", "paths": ["src"]}, "not a regular file"),
    ({"summary": "x", "checks": ["y" * 501]}, "payload/checks/0"),
    ({}, "summary"),
]


def test_arguments_that_cannot_be_spend_no_attempt(project: Project, agent: Host) -> None:
    agent.ok("next_task", claim=True)
    tip = project.tip()
    for wrong, named in WRONG:
        assert named in agent.fails("submit_result", task_id="T-1", **wrong)
        assert project.tip() == tip
    assert agent.ok("get_status")["held_by_you"][0]["attempt_id"] == "T-1-A1"


def test_what_cannot_be_asked_for_is_answered_and_the_server_lives_on(agent: Host) -> None:
    assert "no task 'T-9'" in agent.fails("next_task", task_id="T-9", claim=True)
    assert "no task 'T-9'" in agent.fails("get_task_context", task_id="T-9")
    assert "'T-2' waits for T-1" in agent.fails("next_task", task_id="T-2", claim=True)
    assert "nobody has claimed 'T-1'" in agent.fails("submit_result", task_id="T-1", summary="x")
    assert "nobody has claimed 'T-1'" in agent.fails("heartbeat", task_id="T-1")
    assert agent.ok("get_task_context", task_id="T-2")["why_not"] == "'T-2' waits for T-1"
    assert "severity" in agent.fails("report_issue", severity="grave", title="x")
    assert agent.ok("get_status")["tasks"] == {"todo": 2}


def test_updates_given_as_a_list_are_taken_and_are_judged_as_they_were_written(
    project: Project, agent: Host
) -> None:
    agent.ok("next_task", claim=True)
    twice = '[{"op": "delete", "path": "src/a.py", "path": "src/old.py"}]'
    said = agent.fails("submit_result", task_id="T-1", summary="x", file_updates=twice)
    assert "rejected, DUPLICATE_KEY" in said
    agent.ok("next_task", claim=True)
    listed = [{"op": "write", "path": "src/b.py", "content": "é\n"}]
    done = agent.ok("submit_result", task_id="T-1", summary="ü", file_updates=listed)
    assert done["outcome"] == "done"
    assert project.read("src/b.py") == "é\n"
    project.check()


# -- checks ------------------------------------------------------------------------------------


def checked(make: Make, script: str) -> Project:
    check = {"name": "sound", "run": ["/bin/sh", "-c", script]}
    return make(kinds={"impl": {"checks": [check]}})


def test_a_failed_check_is_told_with_the_end_of_what_it_said(make: Make) -> None:
    project = checked(make, "cat src/b.py; grep -q 'b = 2' src/b.py")
    with host(project.path) as agent:
        agent.ok("next_task", claim=True)
        wrong = {"task_id": "T-1", "summary": "x", "file_updates": written("src/b.py", "b = 1\n")}
        said = agent.fails("submit_result", **wrong)
        assert "rejected, CHECK_FAILED" in said
        assert "b = 1" in said
        agent.ok("next_task", claim=True)
        right = {**wrong, "file_updates": written("src/b.py", "b = 2\n")}
        assert agent.ok("submit_result", **right)["outcome"] == "done"
    project.check()


def test_a_heartbeat_gets_through_while_checks_run(make: Make) -> None:
    project = checked(make, "sleep 3")
    with host(project.path) as agent:
        agent.ok("next_task", claim=True)
        replies: list[Any] = []
        arguments = {"task_id": "T-1", "summary": "x", "file_updates": written("b", "1")}
        submission = threading.Thread(
            target=lambda: replies.append(agent.reply("submit_result", **arguments))
        )
        submission.start()
        agent.ok("heartbeat", task_id="T-1")
        submission.join()
    assert replies[0].value.get("outcome") == "done", replies[0].text
    actions = project.actions()
    assert actions.index("agent.heartbeat") < actions.index("agent.result")


def test_a_server_that_ends_calls_its_checks_off(make: Make) -> None:
    project = checked(make, "sleep 4321")
    server = claimed(project)
    updates = written("b", "1")
    say(server, call(3, "submit_result", task_id="T-1", summary="x", file_updates=updates))
    give_up = time.monotonic() + patience(60)
    while not running("sleep", "4321"):
        assert server.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.05)
    server.send_signal(signal.SIGTERM)
    server.communicate(timeout=patience(60))
    assert server.returncode == 128 + signal.SIGTERM
    assert not running("sleep", "4321")
    assert "agent.result" not in project.actions()
    project.check()


def running(*command: str) -> bool:
    """Answer whether a process with this command line is alive."""
    wanted = b"\0".join(part.encode() for part in command) + b"\0"
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if place.read_bytes() == wanted:
                return True
        except OSError:
            continue
    return False


# -- issues, heartbeats, status ----------------------------------------------------------------


def test_a_grave_issue_blocks_the_task_and_twice_is_once(project: Project, agent: Host) -> None:
    agent.ok("next_task", claim=True)
    arguments = {"task_id": "T-1", "severity": "high", "title": "no compiler", "description": "cc"}
    first = agent.ok("report_issue", **arguments)
    assert (first["issue_id"], first["state"]) == ("ISS-0001", "blocked")
    tip = project.tip()
    assert agent.ok("report_issue", **arguments)["issue_id"] == "ISS-0001"
    assert project.tip() == tip
    assert agent.ok("get_status")["open_issues"] == {"high": 1}
    project.check()


def test_a_defect_of_somebody_elses_finished_task_can_be_reported(
    project: Project, agent: Host
) -> None:
    project.ok("claim", "T-1", "--as", "alice@example.com")
    project.ok("complete", "T-1", "--summary", "x", "--as", "alice@example.com")
    issue = agent.ok("report_issue", task_id="T-1", severity="low", title="a typo")
    assert issue["issue_id"] == "ISS-0001"
    assert project.state().issues["ISS-0001"].reported_by == "claude-code"
    agent.ok("report_issue", severity="low", title="about nothing in particular")
    project.check()


def test_a_heartbeat_moves_the_deadline_on(project: Project, agent: Host) -> None:
    first = agent.ok("next_task", claim=True)["deadline"]
    beat = agent.ok("heartbeat", task_id="T-1", note="half way")
    assert beat["deadline"] > first
    assert project.task("T-1").attempt is not None
    assert agent.ok("get_status")["held_by_you"][0]["deadline"] == beat["deadline"]
    assert "payload/note" in agent.fails("heartbeat", task_id="T-1", note="x" * 501)


def test_what_others_record_meanwhile_is_seen_at_once(project: Project, agent: Host) -> None:
    agent.ok("next_task", claim=True)
    project.ok("task", "note", "T-1", "use tabs")
    assert agent.ok("get_task_context", task_id="T-1")["request"]["task"]["notes"] == ["use tabs"]
    project.ok("task", "release", "T-1", "--reason", "mistake")
    assert "is over: it was cancelled" in agent.fails("heartbeat", task_id="T-1")


def test_a_lease_that_ran_out_goes_to_whoever_asks_next(make: Make) -> None:
    project = make(policy={"attempts__ttl": "PT2S"})
    with host(project.path, name="slow") as slow, host(project.path, name="quick") as quick:
        slow.ok("next_task", claim=True)
        give_up = time.monotonic() + patience(30)
        while (reply := quick.reply("next_task", claim=True)).failed:
            assert time.monotonic() < give_up, reply.text
            time.sleep(0.2)
        assert reply.value["attempt_id"] == "T-1-A2"
        said = slow.fails("submit_result", task_id="T-1", summary="late")
        assert "you are 'slow', and 'quick' holds 'T-1'" in said


# -- who acts ----------------------------------------------------------------------------------


def test_nobody_answers_for_somebody_else(project: Project, agent: Host) -> None:
    agent.ok("next_task", claim=True)
    with host(project.path, "--as", "codex") as other:
        tip = project.tip()
        for tool in ("submit_result", "heartbeat"):
            more = {"summary": "mine"} if tool == "submit_result" else {}
            said = other.fails(tool, task_id="T-1", **more)
            assert "you are 'codex', and 'claude-code' holds 'T-1'" in said
        assert "claude-code holds it until" in other.fails("next_task", task_id="T-1", claim=True)
        assert project.tip() == tip


def test_a_client_that_bears_an_agents_name_does_not_answer_for_its_dispatch(
    project: Project,
) -> None:
    engine = OpenProject(str(project.path)).engine
    base = project.head()
    transact(engine, lambda tx: open_attempt(tx, "T-1", "agent-x", mode="dispatch", base=base))
    with host(project.path, name="agent-x") as agent:
        said = agent.fails("submit_result", task_id="T-1", summary="mine")
        assert "it was dispatched by 'git esaa run'" in said
        assert agent.ok("get_status")["held_by_you"] == []


def test_a_task_that_is_meant_for_an_agent_is_not_offered_to_another(make: Make) -> None:
    project = make(task("T-1", agent="agent-x", priority=9), task("T-2"))
    with host(project.path, name="cursor") as agent:
        assert agent.ok("next_task", claim=True)["task_id"] == "T-2"


@pytest.mark.parametrize(
    ("mode", "client", "arguments", "actor"),
    [
        ("legacy", "Claude Code", (), "Claude-Code"),
        ("auto", "claude-code", (), "claude-code"),
        ("legacy", "alice@example.com", (), "alice-example.com"),
        ("legacy", "…", (), "person@example.com"),
        ("auto", "claude-code", ("--as", "bob@example.com"), "bob@example.com"),
        ("legacy", "x" * 100, (), "x" * 64),
        ("auto", "nobody knows it", (), "person@example.com"),
    ],
)
def test_the_actor_is_whom_the_client_names_or_whom_it_was_started_for(
    project: Project, mode: str, client: str, arguments: tuple[str, ...], actor: str
) -> None:
    with host(project.path, *arguments, name=client, mode=mode) as agent:
        assert agent.ok("get_status")["you"] == actor


def test_nobody_is_the_orchestrator(project: Project) -> None:
    with host(project.path, name="orchestrator") as agent:
        assert "cannot be the name of an actor" in agent.fails("next_task", claim=True)
    project.fails(UsageError.exit_code, "mcp", "--as", "orchestrator")


# -- several at once, and the end --------------------------------------------------------------


def test_two_servers_on_one_repository_lose_nothing(make: Make) -> None:
    project = make(*(task(f"T-{number}") for number in range(1, 9)))
    failures: list[str] = []

    def work(agent: Host, mine: str) -> None:
        try:
            for _ in range(4):
                claimed = agent.ok("next_task", claim=True)["task_id"]
                updates = written(f"src/{claimed}.py", f"{mine}\n")
                agent.ok("submit_result", task_id=claimed, summary=mine, file_updates=updates)
        except BaseException as error:
            failures.append(f"{mine}: {error}")

    with host(project.path, name="one") as one, host(project.path, name="two") as two:
        workers = [
            threading.Thread(target=work, args=(agent, name))
            for agent, name in ((one, "one"), (two, "two"))
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert failures == []
    assert dict(project.state().run.by_state)["done"] == 8
    assert len(project.payloads("agent.result")) == 8
    project.check()


def test_calls_that_are_made_at_once_are_carried_out_one_by_one(project: Project) -> None:
    with host(project.path) as agent:
        replies: list[Any] = []
        threads = [
            threading.Thread(target=lambda: replies.append(agent.reply("next_task", claim=True)))
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {reply.value["attempt_id"] for reply in replies} == {"T-1-A1"}
    assert project.actions().count("attempt.create") == 1


@pytest.mark.parametrize(
    "after",
    [
        0.0,
        pytest.param(0.004, marks=pytest.mark.slow),
        0.008,
        pytest.param(0.016, marks=pytest.mark.slow),
        0.03,
    ],
)
def test_a_server_that_is_killed_leaves_a_sound_record(project: Project, after: float) -> None:
    arguments = {
        "task_id": "T-1",
        "summary": "x",
        "file_updates": written("src/b.py", "b = 1\n"),
    }
    server = claimed(project, "--as", "claude-code")
    say(server, call(3, "submit_result", **arguments))
    time.sleep(after)
    server.kill()
    server.communicate(timeout=patience(60))
    with host(project.path, name="claude-code") as agent:
        assert agent.ok("submit_result", **arguments)["state"] == "done"
    assert project.read("src/b.py") == "b = 1\n"
    assert len(project.payloads("agent.result")) == 1
    assert project.status() == ""
    project.check()


# -- the process -------------------------------------------------------------------------------


def test_standard_output_carries_the_protocol_and_nothing_else(project: Project) -> None:
    server = claimed(project)
    say(server, "this is not JSON")
    updates = written("b", "1")
    for message in (
        call(3, "no_such_tool"),
        call(4, "submit_result", task_id="T-1", summary="x", file_updates=updates),
        call(5, "get_status"),
    ):
        say(server, message)
        assert heard(server)["id"] == message["id"]
    out, err = server.communicate(timeout=patience(60))
    assert out == b""
    assert server.returncode == 0
    assert b"Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_though_its_input_stays_open(project: Project, number: int) -> None:
    server = start(project.path)
    say(server, HELLO)
    assert heard(server)["id"] == 1
    server.send_signal(number)
    assert server.wait(timeout=patience(60)) == 128 + number
    for pipe in (server.stdin, server.stdout, server.stderr):
        assert pipe is not None
        pipe.close()


def test_outside_of_a_repository_each_call_says_so(tmp_path: Path) -> None:
    with host(tmp_path) as agent:
        assert "no git repository" in agent.fails("get_status")
        assert "no git repository" in agent.fails("next_task", claim=True)


def test_before_the_log_begins_it_says_how_it_does(tmp_path: Path, git: Git) -> None:
    project = make_project(tmp_path / "project", git, task("T-1"))
    with host(project.path) as agent:
        assert "git esaa plan apply" in agent.ok("get_status")["message"]
        assert "no event log" in agent.fails("next_task")
        project.ok("plan", "apply")
        assert agent.ok("next_task", claim=True)["task_id"] == "T-1"


def test_without_the_extra_it_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("esaa_git.mcp.server")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    said = project.fails(ConfigurationError.exit_code, "mcp")
    assert 'pip install "esaa-git[mcp]"' in said
