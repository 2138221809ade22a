"""Editing programs in throwaway checkouts: real programs, confined, in a real repository."""

from __future__ import annotations

import base64
import json
import os
import socket
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from esaa_git.agents.edited import MAX_SUMMARY, NOTE
from esaa_git.agents.presets import PRESETS
from esaa_git.agents.registry import make_agent
from esaa_git.agents.worktree import WorktreeAgent
from esaa_git.core import canonical
from esaa_git.core.contracts import AgentEntry
from esaa_git.core.envelope import decode
from esaa_git.core.events.base import encode
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.core.setup import Setup, setup_of
from esaa_git.errors import AgentError, ConfigurationError
from esaa_git.ports.agent import Answer, Ran, Request
from esaa_git.ports.files import FileEntry
from esaa_git.sandbox import confinement
from esaa_git.store.repository import open_repository
from esaa_git.store.trees import GitBlobs
from tests.agents.memory import no_pause, request
from tests.agents.test_command import assert_dead, running_with
from tests.agents.views import view
from tests.conftest import Git
from tests.support.adapters import in_checkout

PROMPT = b"Write the file, with \xc3\xa4 and\nsecond lines.\n"
PICTURE = bytes(range(256)) * 4


def strongest() -> str:
    """The confinement of this machine, or none where it has none: most tests are not about it."""
    try:
        return confinement.choose("auto")
    except AgentError:
        return "none"


needs_confinement = pytest.mark.skipif(
    strongest() == "none", reason="programs cannot be confined on this machine"
)


class World:
    """A repository with some files, and agents that work for it."""

    def __init__(self, repo: Path, folder: Path, git: Git) -> None:
        (repo / "src").mkdir()
        (repo / "src" / "old.py").write_text("".join(f"line {n}\n" for n in range(20)))
        (repo / "src" / "edited.py").write_text("before\n")
        (repo / "src" / "gone.py").write_text("to go\n")
        (repo / "run.sh").write_text("#!/bin/sh\nexit 0\n")
        (repo / ".gitignore").write_text("*.log\n")
        git(repo, "add", ".")
        git(repo, "commit", "-qm", "Some files")
        self.repo = repo
        self.folder = folder
        self.repository = open_repository(repo)
        self.base = str(self.repository.raw.head.target)
        self.sandbox = strongest()
        self.max_output_bytes = 1 << 20
        self.templates: dict[str, bytes] = {}

    def agent(
        self, model: str | None = None, *, setup: Setup | None = None, **settings: Any
    ) -> WorktreeAgent:
        setups = () if setup is None else (setup,)
        adapter = make_agent(
            AgentEntry("coder", "worktree", model, settings, setups=setups),
            in_checkout(
                self.repo,
                self.repository,
                sandbox=self.sandbox,
                max_output_bytes=self.max_output_bytes,
                prompt=self.templates.get,
            ),
        )
        assert isinstance(adapter, WorktreeAgent)
        return adapter

    def editor(self, source: str, **settings: Any) -> WorktreeAgent:
        """An agent that is a program of this source."""
        # Not by '-c': what a program is told should not be in what a test looks for.
        program = self.folder / "editor.py"
        program.write_text(PREAMBLE + textwrap.dedent(source))
        read = [str(program), *settings.pop("read", ())]
        return self.agent(command=[sys.executable, "-IS", str(program)], read=read, **settings)

    def request(self, left_ms: int = 100_000) -> Request:
        """A request of a kind of task that may write nothing, so that words are a result."""
        view = canonical.encode({"contract": {"write": []}})
        return replace(request(PROMPT, left_ms=left_ms), base=self.base, view=view)

    def edit(self, source: str, left_ms: int = 100_000, **settings: Any) -> Answer:
        """Have a program of this source work, and return the answer."""
        return self.editor(source, **settings).answer(self.request(left_ms), no_pause)

    def tool(self, name: str, source: str) -> str:
        """Put a program there that stands for the tool of a preset; return its path."""
        path = self.folder / name
        path.write_text(f"#!{sys.executable} -IS\n" + PREAMBLE + textwrap.dedent(source))
        path.chmod(0o755)
        return str(path)


PREAMBLE = """\
import json, os, shutil, signal, socket, subprocess, sys, time
from pathlib import Path
"""


@pytest.fixture
def world(repo: Path, tmp_path: Path, git: Git) -> World:
    return World(repo, tmp_path, git)


def payload(answer: Answer) -> dict[str, Any]:
    """What an answer proposes, through the decoder that judges it."""
    assert answer.failure is None, (answer.failure, answer.detail)
    envelope = decode(answer.output, max_bytes=1 << 20)
    assert not isinstance(envelope, Rejected), envelope
    assert (envelope.task_id, envelope.attempt_id) == ("T-1000", "T-1000-A2")
    return encode(envelope.payload)


def updates(answer: Answer) -> dict[str, Mapping[str, Any]]:
    return {update["path"]: update for update in payload(answer).get("file_updates", ())}


def content(update: Mapping[str, Any]) -> bytes:
    text: str = update["content"]
    return base64.b64decode(text) if update.get("encoding") == "base64" else text.encode()


# ------------------------------------------------------------------------------- what is proposed


def test_every_kind_of_change_in_the_checkout_is_in_the_proposal(world: World) -> None:
    answer = world.edit(
        """
        Path("src/edited.py").write_text("after\\n")
        Path("new.txt").write_text("new\\n")
        Path("picture.bin").write_bytes(bytes(range(256)) * 4)
        Path("src/old.py").rename("src/renamed.py")
        Path("src/gone.py").unlink()
        Path("run.sh").chmod(0o755)
        Path("build.log").write_text("ignored\\n")
        print("I did it all.")
        """
    )
    found = updates(answer)
    assert set(found) == {
        "src/edited.py",
        "new.txt",
        "picture.bin",
        "src/renamed.py",
        "src/gone.py",
        "run.sh",
    }
    assert content(found["src/edited.py"]) == b"after\n"
    assert content(found["new.txt"]) == b"new\n"
    assert content(found["picture.bin"]) == PICTURE
    assert (found["src/renamed.py"]["op"], found["src/renamed.py"]["from"]) == (
        "rename",
        "src/old.py",
    )
    assert found["src/gone.py"]["op"] == "delete"
    assert found["run.sh"]["executable"] is True
    assert payload(answer)["summary"] == "I did it all."


def test_what_a_program_commits_in_its_checkout_counts_by_its_files(world: World) -> None:
    answer = world.edit(
        """
        Path("new.txt").write_text("new\\n")
        subprocess.run(["git", "add", "."], check=True)
        subprocess.run(["git", "commit", "-qm", "mine"], check=True)
        """
    )
    assert set(updates(answer)) == {"new.txt"}
    assert not world.repository.raw.references.get("refs/heads/work")


def test_a_program_that_says_nothing_gets_a_summary(world: World) -> None:
    answer = world.edit("Path('new.txt').write_text('new\\n')")
    assert payload(answer)["summary"] == "changed 1 file, and said nothing about it"


def test_the_summary_is_the_end_of_what_a_program_prints_and_prints_itself(world: World) -> None:
    answer = world.edit(
        r"""
        Path("new.txt").write_text("new\n")
        print("noise " * 5000, "\x1b[31mlast words", end="")
        """
    )
    summary = payload(answer)["summary"]
    assert summary.endswith("\ufffd[31mlast words")
    assert len(summary) <= MAX_SUMMARY


def contract(world: World, *write: str) -> Request:
    """A request of a kind of task that may write these paths."""
    return replace(world.request(), view=canonical.encode({"contract": {"write": [*write]}}))


def test_words_are_a_result_where_nothing_may_be_written(world: World) -> None:
    assert payload(world.edit("print('All is well.')")) == {"summary": "All is well."}


def test_words_alone_are_no_result_where_something_was_to_be_written(world: World) -> None:
    answer = world.editor("print('It is written.')").answer(contract(world, "**"), no_pause)
    assert (answer.code, answer.output) == (RejectCode.EMPTY_PROPOSAL, b"It is written.")
    assert NOTE in str(answer.failure)


def test_a_result_without_a_change_is_said_in_the_note(world: World) -> None:
    editor = world.editor(
        f"""
        note = {{
            "action": "agent.result",
            "task_id": os.environ["ESAA_TASK"],
            "attempt_id": os.environ["ESAA_ATTEMPT"],
            "payload": {{"summary": "It was so already."}},
        }}
        Path(os.environ["HOME"], "{NOTE}").write_text(json.dumps(note))
        """
    )
    answer = editor.answer(contract(world, "**"), no_pause)
    assert payload(answer) == {"summary": "It was so already."}


def test_a_note_in_the_home_answers_where_nothing_changed(world: World) -> None:
    source = f"""
    note = {{
        "action": "issue.report",
        "task_id": os.environ["ESAA_TASK"],
        "attempt_id": os.environ["ESAA_ATTEMPT"],
        "payload": {{"severity": "high", "title": "The key is missing"}},
    }}
    Path(os.environ["HOME"], "{NOTE}").write_text(json.dumps(note))
    print("I left a note.")
    """
    answer = world.edit(source)
    envelope = decode(answer.output, max_bytes=1 << 20)
    assert not isinstance(envelope, Rejected)
    assert (envelope.action, envelope.payload.title) == ("issue.report", "The key is missing")
    changed = world.edit(source + "\n    Path('new.txt').write_text('new')")
    assert set(updates(changed)) == {"new.txt"}


def test_a_note_is_not_read_through_a_link(world: World) -> None:
    secret = world.folder / "secret"
    secret.write_text("{}")
    answer = world.edit(
        f"""
        Path(os.environ["HOME"], "{NOTE}").symlink_to({str(secret)!r})
        """
    )
    assert answer.code == RejectCode.OUTPUT_EMPTY


def test_no_change_no_note_and_no_word_is_an_empty_answer(world: World) -> None:
    answer = world.edit("pass")
    assert (answer.code, answer.failure) == (
        RejectCode.OUTPUT_EMPTY,
        "ended without a change, a note or a word",
    )


def test_a_change_that_cannot_be_proposed_is_a_typed_failure(world: World) -> None:
    answer = world.edit("Path('link').symlink_to('src')")
    assert answer.code == RejectCode.PATH_NOT_A_FILE


def test_a_reviewer_finds_the_proposal_in_the_checkout_and_decides_by_a_note_or_a_word(
    world: World,
) -> None:
    oid = GitBlobs(world.repository).write(b"proposed\n")
    changes = {"src/edited.py": FileEntry("100644", oid), "src/gone.py": None}
    asked = replace(
        world.request(),
        changes=changes,
        view=canonical.encode({"contract": {"write": ["**"]}, "review": {}}),
    )
    source = """
    Path("tried.txt").write_text("x")
    said = [Path("src/edited.py").read_text().strip(), Path("src/gone.py").exists()]
    """
    word = world.editor(source + "print(json.dumps(said))").answer(asked, no_pause)
    assert (word.failure, word.output) == (None, b'["proposed", false]')
    note = f"Path(os.environ['HOME'], '{NOTE}').write_text(json.dumps(said)); print('Done.')"
    assert world.editor(source + note).answer(asked, no_pause).output == word.output


# ------------------------------------------------------------------------------ what it is given


def test_the_prompt_is_the_standard_input_and_a_file_in_the_home(world: World) -> None:
    answer = world.edit(
        """
        asked = sys.stdin.buffer.read()
        home = Path(os.environ["HOME"])
        assert home / "prompt.md" == Path(os.environ["ESAA_PROMPT_FILE"])
        assert asked == (home / "prompt.md").read_bytes()
        Path("prompt").write_bytes(asked)
        Path("seen.json").write_text(json.dumps({**os.environ, "cwd": os.getcwd()}))
        """
    )
    found = updates(answer)
    assert content(found["prompt"]) == PROMPT
    seen = json.loads(content(found["seen.json"]))
    assert (seen["ESAA_TASK"], seen["ESAA_ATTEMPT"]) == ("T-1000", "T-1000-A2")
    assert seen["ESAA_DEADLINE"] == world.request().deadline
    assert seen["HOME"] != os.environ["HOME"]
    assert Path(seen["HOME"]).parent == Path(seen["cwd"]).parent == Path(seen["TMPDIR"]).parent
    assert not Path(seen["cwd"]).exists(), "the checkout is removed"
    assert set(seen) <= {
        *("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "LC_CTYPE", "cwd", "PWD"),
        *("ESAA_TASK", "ESAA_ATTEMPT", "ESAA_DEADLINE", "ESAA_PROMPT_FILE"),
    }


def test_the_request_says_with_which_template_its_prompt_was_made(world: World) -> None:
    world.templates["terse"] = b"Do {{ task.title }}.\n"
    asked = replace(world.request(), view=canonical.encode(view()))
    ordinary = world.agent(command=["true"]).prepare(asked)
    terse = world.agent(command=["true"], template="terse").prepare(asked)
    assert ordinary.template is not None
    assert terse.template is not None
    assert ordinary.template.startswith("editor@")
    assert terse.template.startswith("terse@")
    assert terse.sent.startswith(b"Do ")
    with pytest.raises(ConfigurationError, match="no prompt template 'none'"):
        world.agent(command=["true"], template="none").prepare(asked)


def test_variables_are_passed_on_by_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "s3cret")
    monkeypatch.setenv("OTHER_KEY", "hidden")
    source = "print(os.environ.get('SOME_KEY'), os.environ.get('OTHER_KEY'))"
    assert payload(world.edit(source, env=["SOME_KEY"]))["summary"] == "s3cret None"
    with pytest.raises(AgentError, match="'HOME' cannot be passed on"):
        world.agent(command=["true"], env=["HOME"]).ready()


def test_what_a_setup_was_given_counts_as_given_to_who_works_in_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "s3cret")
    monkeypatch.setenv("INDEX_TOKEN", "of the index")
    step = {"run": ["touch", "made"], "provides": ["made"], "env": ["INDEX_TOKEN", "NOT_SET"]}
    agent = world.agent(
        setup=setup_of([step], "kind 'impl'", "setup"), command=["true"], env=["SOME_KEY"]
    )
    assert agent.answer(world.request(), no_pause).handed == {
        "SOME_KEY": "s3cret",
        "INDEX_TOKEN": "of the index",
    }


@needs_confinement
def test_files_outside_are_read_only_where_the_entry_lists_them(world: World) -> None:
    outside = world.folder / "outside.txt"
    outside.write_text("known")
    source = f"""
    try:
        print(Path({str(outside)!r}).read_text())
    except OSError:
        print("unknown")
    """
    assert payload(world.edit(source))["summary"] == "unknown"
    assert payload(world.edit(source, read=[str(outside)]))["summary"] == "known"


@needs_confinement
def test_a_program_writes_nowhere_but_in_its_checkout_and_its_home(world: World) -> None:
    aims = [world.repo / "planted", world.repo / ".git" / "hooks" / "post-commit", world.folder]
    answer = world.edit(
        f"""
        for aim in {[str(aim) for aim in aims]!r}:
            try:
                Path(aim, "x").write_text("x") if Path(aim).is_dir() else Path(aim).write_text("x")
            except OSError:
                print("refused")
        """
    )
    assert payload(answer)["summary"].split() == ["refused"] * len(aims)
    assert not any(aim.exists() for aim in aims[:2])


@pytest.fixture
def loopback() -> Iterator[int]:
    """A port that listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@needs_confinement
def test_only_hosts_that_the_entry_lists_are_reached(world: World, loopback: int) -> None:
    source = f"""
    try:
        socket.create_connection(("127.0.0.1", {loopback}), timeout=5).close()
        print("reached")
    except OSError:
        print("refused")
    """
    assert payload(world.edit(source))["summary"] == "refused"
    listed = world.edit(source, hosts=[f"127.0.0.1:{loopback}"])
    assert payload(listed)["summary"] == "reached"


# -------------------------------------------------------------------------------- how it may fail


def test_a_program_that_leaves_with_an_error_has_failed(world: World) -> None:
    answer = world.edit("Path('new').write_text('x'); print('why', file=sys.stderr); sys.exit(3)")
    assert (answer.code, answer.failure) == (RejectCode.AGENT_FAILED, "left with exit status 3")
    assert answer.detail == {"exit_status": 3, "stderr": "why\n"}


def test_a_program_that_a_signal_ended_has_failed(world: World) -> None:
    answer = world.edit("os.kill(os.getpid(), signal.SIGSEGV)")
    assert answer.code == RejectCode.AGENT_FAILED
    assert "SIGSEGV" in str(answer.failure)


def test_the_entrys_timeout_ends_a_program_with_all_that_it_started(world: World) -> None:
    marker = f"marker-{os.getpid()}-timeout"
    answer = world.edit(
        f"""
        subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)", {marker!r}],
            start_new_session=True,
        )
        time.sleep(600)
        """,
        timeout=1500,
    )
    assert (answer.code, answer.failure) == (
        RejectCode.AGENT_TIMEOUT,
        "did not answer within its timeout of 1500 ms",
    )
    assert_dead(*running_with(Path(marker)))


def test_a_deadline_that_has_passed_starts_nothing(world: World) -> None:
    answer = world.edit("Path('new').write_text('x')", left_ms=0)
    assert answer.code == RejectCode.AGENT_TIMEOUT


@needs_confinement
def test_the_entrys_limits_end_a_program(world: World) -> None:
    answer = world.edit(
        """
        with open("big", "wb") as file:
            while True:
                file.write(b"x" * 65536)
                file.flush()
        """,
        limits={"disk_bytes": 1 << 20},
        left_ms=60_000,
    )
    assert answer.code == RejectCode.AGENT_FAILED


def test_too_large_a_proposal_is_said_so(world: World) -> None:
    world.max_output_bytes = 1000
    answer = world.edit("Path('new.txt').write_text('x' * 5000)")
    judged = decode(answer.output, max_bytes=1000)
    code = answer.code if answer.failure else judged.code if isinstance(judged, Rejected) else None
    assert code in (RejectCode.OUTPUT_TOO_LARGE, RejectCode.FILE_TOO_LARGE)


def test_what_pause_raises_leaves_neither_a_process_nor_a_folder(
    world: World, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    marker = f"marker-{os.getpid()}-pause"
    agent = world.editor(
        f"""
        subprocess.run([sys.executable, "-c", "import time; time.sleep(600)", {marker!r}])
        """
    )

    def pause() -> None:
        if running_with(Path(marker)):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        agent.answer(world.request(), pause)
    assert_dead(*running_with(Path(marker)))
    assert not [*temporary.iterdir()]


def test_a_program_that_is_missing_is_said_before_an_attempt(world: World) -> None:
    with pytest.raises(AgentError, match="no program 'no-such-editor'"):
        world.agent(command=["no-such-editor"]).ready()


# --------------------------------------------------------------------------- tools known by name

RESULT = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "result": "Done.",
    "stop_reason": "end_turn",
    "total_cost_usd": 0.0023250000000000002,
    "modelUsage": {"claude-x": {"inputTokens": 360, "outputTokens": 21}},
}
CLAUDE = """
Path("seen.json").write_text(
    json.dumps({"argv": sys.argv[1:], "env": dict(os.environ), "stdin": sys.stdin.read()})
)
"""
Claude = Callable[..., WorktreeAgent]


@pytest.fixture
def claude(world: World, monkeypatch: pytest.MonkeyPatch) -> Claude:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "s3cret")

    def make(
        source: str = "", result: object = RESULT, model: str | None = None, **settings: Any
    ) -> WorktreeAgent:
        printed = f"\nprint({json.dumps(result)!r})\n" if result is not None else ""
        program = world.tool("claude", CLAUDE + textwrap.dedent(source) + printed)
        given = {"program": program, "env": ["ANTHROPIC_API_KEY"], "hosts": [], **settings}
        return world.agent(model, preset="claude-code", **given)

    return make


def seen(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(content(updates(answer)["seen.json"]))
    return found


def test_a_preset_starts_its_tool_with_its_flags_the_model_and_more(
    world: World, claude: Claude
) -> None:
    agent = claude(model="claude-x", arguments=["--effort", "high"])
    answer = agent.answer(world.request(), no_pause)
    told = seen(answer)
    assert told["argv"] == [
        *("--print", "--output-format", "json", "--dangerously-skip-permissions"),
        "--strict-mcp-config",
        *("--model", "claude-x", "--effort", "high"),
    ]
    assert told["stdin"] == PROMPT.decode()
    assert told["env"]["ANTHROPIC_API_KEY"] == "s3cret"
    assert told["env"]["DISABLE_AUTOUPDATER"] == "1"


def test_the_most_that_a_call_may_cost_is_told_to_a_tool_that_keeps_to_it() -> None:
    claude, codex = (PRESETS.find(name) for name in ("claude-code", "codex"))
    assert claude is not None
    assert codex is not None
    told = claude.arguments(None, ("--effort", "high"), Path("/home"), max_cost=1_250_000)
    assert told[-4:] == ["--max-budget-usd", "1.250000", "--effort", "high"]
    same = codex.arguments(None, (), Path("/home"))
    assert codex.arguments(None, (), Path("/home"), max_cost=1) == same


def test_what_answers_is_told_by_version_and_provider(world: World) -> None:
    program = world.tool("claude", "print('2.1.0 (Claude Code)'); print(sys.argv[1:])")
    agent = world.agent(preset="claude-code", program=program, hosts=[])
    assert agent.ran() == Ran(program_version="2.1.0 (Claude Code)", provider="anthropic")
    aider = world.agent("deepseek/coder", preset="aider", program=program, hosts=[])
    assert aider.ran().provider == "deepseek"
    assert world.editor("").ran() == Ran()


def test_a_presets_report_gives_summary_model_usage_and_cost(world: World, claude: Claude) -> None:
    answer = claude().answer(world.request(), no_pause)
    assert payload(answer)["summary"] == "Done."
    assert answer.model == "claude-x"
    assert answer.usage == {
        "input_tokens": 360,
        "output_tokens": 21,
        "cost_microdollars": 2325,
        "price_source": "reported by claude-code",
    }


def test_the_entrys_own_variables_go_before_those_of_the_preset(
    world: World, claude: Claude, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISABLE_TELEMETRY", "0")
    agent = claude(env=["ANTHROPIC_API_KEY", "DISABLE_TELEMETRY"])
    assert seen(agent.answer(world.request(), no_pause))["env"]["DISABLE_TELEMETRY"] == "0"


def test_a_tool_that_ends_well_without_its_report_has_failed(world: World, claude: Claude) -> None:
    answer = claude("print('no idea', file=sys.stderr)", None).answer(world.request(), no_pause)
    assert (answer.code, answer.failure) == (
        RejectCode.AGENT_FAILED,
        "did not report the end of its turn, as claude-code does",
    )
    assert answer.detail == {"exit_status": 0, "stderr": "no idea\n"}


def test_a_tool_that_stopped_at_a_limit_proposes_nothing_and_its_cost_is_kept(
    world: World, claude: Claude
) -> None:
    stopped = {**RESULT, "subtype": "error_max_turns", "is_error": True}
    answer = claude("", stopped).answer(world.request(), no_pause)
    assert (answer.code, answer.failure) == (
        RejectCode.OUTPUT_TRUNCATED,
        "stopped at its limit of turns",
    )
    assert answer.usage["cost_microdollars"] == 2325


def test_a_refused_key_is_said_so_and_spends_no_attempt(world: World, claude: Claude) -> None:
    denied = {**RESULT, "is_error": True, "api_error_status": 401, "result": "401 no"}
    with pytest.raises(AgentError, match="the service of claude-code refused its key") as caught:
        claude("", denied).answer(world.request(), no_pause)
    assert "ANTHROPIC_API_KEY" in str(caught.value.hint)


def test_a_service_that_is_away_is_told_beside_the_failure_and_what_was_used(
    world: World, claude: Claude
) -> None:
    limited = {**RESULT, "is_error": True, "result": "Claude AI usage limit reached|4102444800"}
    answer = claude("", limited).answer(world.request(), no_pause)
    assert answer.unavailable is not None
    assert answer.unavailable.reason.endswith("Claude AI usage limit reached|4102444800")
    assert (answer.unavailable.seconds or 0) > 86400
    assert answer.usage["cost_microdollars"] == 2325
    assert answer.code == RejectCode.AGENT_FAILED


def test_a_notice_in_the_place_of_work_is_no_answer(world: World, claude: Claude) -> None:
    quiet = world.tool("quiet", f"print({json.dumps({**RESULT, 'result': 'API Error: 529 x'})!r})")
    agent = world.agent(preset="claude-code", program=quiet, env=["ANTHROPIC_API_KEY"], hosts=[])
    answer = agent.answer(contract(world, "src/**"), no_pause)
    assert answer.unavailable is not None
    assert (
        claude("", {**RESULT, "result": "API Error: 529 x"})
        .answer(contract(world, "**"), no_pause)
        .failure
        is None
    ), "files changed, so they are the answer"


def test_an_unknown_model_is_said_so_and_spends_no_attempt(world: World, claude: Claude) -> None:
    wrong = {**RESULT, "is_error": True, "api_error_status": 404, "result": "no such model"}
    with pytest.raises(AgentError, match="knows no model 'claude-9'") as caught:
        claude("", wrong, model="claude-9").answer(world.request(), no_pause)
    assert "correct 'model'" in str(caught.value.hint)


def test_any_program_says_by_its_exit_status_or_its_last_line_that_its_service_is_away(
    world: World,
) -> None:
    said = world.edit("print('back in 2 hours, try again in 2h', file=sys.stderr); sys.exit(75)")
    assert said.unavailable is not None
    assert (said.unavailable.seconds, said.failure) == (7200, "left with exit status 75")
    died = world.edit("print('RateLimitError: Error code: 429', file=sys.stderr); sys.exit(1)")
    assert died.unavailable is not None
    assert world.edit("print('429 errors', file=sys.stderr); sys.exit(1)").unavailable is None
    assert world.edit("print('Error code: 429', file=sys.stderr)").unavailable is None


def test_what_a_tool_wrote_last_stands_in_the_message_of_a_timeout(
    world: World, claude: Claude
) -> None:
    said = "print('Attempt 7 failed with status: 503', file=sys.stderr, flush=True)"
    source = f"{said}; time.sleep(99)"
    answer = claude(source, timeout=1500).answer(world.request(), no_pause)
    assert answer.code == RejectCode.AGENT_TIMEOUT
    assert str(answer.failure).endswith("; it last wrote: Attempt 7 failed with status: 503")
    assert answer.unavailable is not None
    slow = world.edit("print('step 3 of 9', flush=True); time.sleep(99)", timeout=1500)
    assert str(slow.failure).endswith("; it last wrote: step 3 of 9")
    assert slow.unavailable is None


def test_a_preset_without_hosts_says_which_to_list(world: World, claude: Claude) -> None:
    if world.sandbox == "none":
        pytest.skip("nothing is confined on this machine")
    agent = claude()
    settings = {name: value for name, value in agent._settings.items() if name != "hosts"}
    with pytest.raises(AgentError, match="no hosts that claude-code may reach") as caught:
        world.agent(**settings).ready()
    assert 'hosts: ["api.anthropic.com:443"]' in str(caught.value.hint)


def test_a_preset_without_a_key_says_which_to_set(
    world: World, claude: Claude, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = claude()
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(AgentError, match="no key for claude-code") as caught:
        agent.ready()
    assert "set ANTHROPIC_API_KEY or" in str(caught.value.hint)


def test_a_tool_that_works_in_one_confinement_only_gets_that_where_any_will_do(
    world: World, claude: Claude
) -> None:
    try:
        confinement.choose("bubblewrap")
    except AgentError as error:
        pytest.skip(f"{error.message}: {error.cause}")
    world.sandbox = "auto"
    assert claude().sandbox == "bubblewrap"
    world.sandbox = "none"
    assert claude().sandbox == "none"


@pytest.mark.parametrize(
    ("said", "is_refused"),
    [("2.1.328 (Claude Code)", True), ("10.0.0", True), ("2.1.197", False), ("soon", False)],
)
def test_a_version_known_to_fail_in_the_confinement_is_refused_before_it_is_asked(
    world: World, monkeypatch: pytest.MonkeyPatch, said: str, is_refused: bool
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "s3cret")
    try:
        world.sandbox = confinement.choose("landlock")
    except AgentError as error:
        pytest.skip(f"{error.message}: {error.cause}")
    program = world.tool("claude", f"print({said!r})")
    given: dict[str, Any] = {"program": program, "env": ["ANTHROPIC_API_KEY"], "hosts": []}
    agent = world.agent(preset="claude-code", **given)
    if not is_refused:
        agent.ready()
        return
    with pytest.raises(AgentError) as caught:
        agent.ready()
    assert caught.value.message == f"agent 'coder': {said} does not work with --sandbox landlock"
    assert "sandlock 0.9" in str(caught.value.cause)
    assert caught.value.hint == "run it with '--sandbox bubblewrap'"


def test_a_preset_whose_tool_is_missing_says_how_to_install_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(AgentError, match="no program 'codex'") as caught:
        world.agent(preset="codex", hosts=[]).ready()
    assert "npm install -g @openai/codex" in str(caught.value.hint)


def test_what_a_tool_leaves_for_itself_is_no_part_of_the_proposal(world: World) -> None:
    program = world.tool(
        "aider",
        """
        Path(".aider.tags.cache.v4").mkdir()
        Path(".aider.tags.cache.v4", "cache.db").write_bytes(b"x")
        Path("new.txt").write_text(Path(sys.argv[2]).read_text())
        log = sys.argv[sys.argv.index("--analytics-log") + 1]
        sent = {"prompt_tokens": 120, "completion_tokens": 7, "cost": 0.5, "main_model": "m"}
        Path(log).write_text(json.dumps({"event": "message_send", "properties": sent}) + "\\n")
        assert sys.stdin.read() == ""
        print("Aider v1\\nRepo-map: none\\n\\nDone.\\n\\nTokens: 120 sent, 7 received.")
        """,
    )
    answer = world.agent(preset="aider", program=program, hosts=[]).answer(
        world.request(), no_pause
    )
    assert {path: content(update) for path, update in updates(answer).items()} == {
        "new.txt": PROMPT
    }
    assert payload(answer)["summary"] == "Done."
    assert answer.usage["cost_microdollars"] == 500_000
