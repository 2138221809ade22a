"""Sessions of agents' own: gone on in by the next attempt of the same task and agent alone."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from esaa_git.agents import sessions
from esaa_git.agents.edited import NOTE, EditingAgent
from esaa_git.agents.registry import make_agent
from esaa_git.agents.sessions import tidy
from esaa_git.core.contracts import AgentEntry
from esaa_git.ports.agent import Answer, SessionUse
from tests.agents.memory import no_pause
from tests.agents.test_worktree import World, content, updates
from tests.conftest import Git
from tests.support.adapters import in_checkout

ACP = Path(__file__).resolve().parents[1] / "support" / "acp_agent.py"

CLAUDE = """
if "--version" in sys.argv:
    sys.exit()
at = Path(os.environ["HOME"], ".claude/projects", os.getcwd().replace("/", "-"))
resumed = sys.argv[sys.argv.index("--resume") + 1] if "--resume" in sys.argv else None
before = (at / f"{resumed}.jsonl").read_text() if resumed else ""
named = resumed or "0b7e-1"
at.mkdir(parents=True, exist_ok=True)
(at / f"{named}.jsonl").write_text(before + "said\\n")
Path("seen.json").write_text(json.dumps({"argv": sys.argv[1:], "before": before}))
exec(os.environ.get("MORE", ""))
told = {"type": "result", "subtype": "success", "is_error": False, "result": "Done."}
print(json.dumps({**told, "session_id": named}))
"""
CODEX = """
if "--version" in sys.argv:
    sys.exit()
at = Path(os.environ["HOME"], ".codex/sessions/2026/rollout-1-t-1.jsonl")
at.parent.mkdir(parents=True, exist_ok=True)
before = at.read_text() if at.exists() else ""
at.write_text(before + "said\\n")
Path("seen.json").write_text(json.dumps({"argv": sys.argv[1:], "before": before}))
count = 100 * len(at.read_text().splitlines())
for event in (
    {"type": "thread.started", "thread_id": "t-1"},
    {"type": "item.completed", "item": {"type": "agent_message", "text": "Done."}},
    {"type": "turn.completed", "usage": {"input_tokens": count, "output_tokens": 7}},
):
    print(json.dumps(event))
"""


KEY = "ANTHROPIC_API_KEY"


class Scene:
    """One task, the sessions that are kept of it, and agents that try it more than once."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.sandbox = "none"
        self.world = world
        self.kept = world.folder / "sessions"
        self.monkeypatch = monkeypatch
        for key in (KEY, "CODEX_API_KEY"):
            monkeypatch.setenv(key, "s3cret")

    def agent(self, adapter: str, **settings: Any) -> EditingAgent[Any]:
        context = in_checkout(
            self.world.repo, self.world.repository, sandbox="none", sessions=self.kept
        )
        made = make_agent(AgentEntry("coder", adapter, None, settings), context)
        assert isinstance(made, EditingAgent)
        return made

    def claude(self, **settings: Any) -> EditingAgent[Any]:
        program = self.world.tool("claude", CLAUDE)
        given = {"program": program, "env": [KEY, "MORE"], "hosts": [], **settings}
        return self.agent("worktree", preset="claude-code", **given)

    def attempt(
        self, agent: EditingAgent[Any], session: SessionUse, more: str = "", task: str = ""
    ) -> Answer:
        self.monkeypatch.setenv("MORE", more)
        request = replace(self.world.request(), session=session)
        if task:
            request = replace(request, task_id=task, attempt_id=f"{task}-A2")
        answer = agent.answer(request, no_pause)
        assert answer.failure is None, (answer.failure, answer.detail)
        return answer

    def files(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.kept)) for path in self.kept.rglob("*") if path.is_file()
        )


@pytest.fixture
def scene(repo: Path, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(World(repo, tmp_path, git), monkeypatch)


def seen(answer: Answer) -> dict[str, Any]:
    (update,) = json.loads(answer.output)["payload"]["file_updates"]
    found: dict[str, Any] = json.loads(content(update))
    return found


def test_the_next_attempt_goes_on_in_the_session_of_the_last(scene: Scene) -> None:
    first = scene.attempt(scene.claude(), "new")
    assert (first.notes, seen(first)["before"]) == ((), "")
    assert scene.kept.stat().st_mode & 0o777 == 0o700
    second = scene.attempt(scene.claude(), "last")
    assert second.notes == ("goes on in its session",)
    assert seen(second)["argv"][-2:] == ["--resume", "0b7e-1"]
    third = scene.attempt(scene.claude(), "last")
    assert seen(third)["before"] == "said\nsaid\n"


def test_nothing_of_it_comes_into_another_task(scene: Scene) -> None:
    scene.attempt(scene.claude(), "new")
    other = scene.attempt(scene.claude(), "last", task="T-2")
    assert other.notes == ("begins its session anew: nothing was kept of it",)
    assert "--resume" not in seen(other)["argv"]


def test_where_no_session_is_wanted_none_is_kept_or_taken_up(scene: Scene) -> None:
    scene.attempt(scene.claude(), "none")
    assert not scene.kept.exists()
    scene.attempt(scene.claude(), "new")
    before = scene.files()
    anew = scene.attempt(scene.claude(), "none")
    assert ("--resume" in seen(anew)["argv"], anew.notes) == (False, ())
    assert scene.files() == before


def test_another_agent_begins_its_session_anew(scene: Scene) -> None:
    scene.attempt(scene.claude(), "new")
    other = scene.attempt(scene.claude(arguments=["--effort", "low"]), "last")
    assert other.notes == ("begins its session anew: the last one is of another agent",)
    assert seen(other)["before"] == ""


def _lose(scene: Scene) -> None:
    (place,) = scene.kept.iterdir()
    shutil.rmtree(place / "files")


def _break(scene: Scene) -> None:
    (place,) = scene.kept.iterdir()
    (place / "about.json").write_text("{")


def _take_its_place(scene: Scene) -> None:
    (place,) = scene.kept.iterdir()
    about = json.loads((place / "about.json").read_text())
    Path(about["top"]).mkdir()


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (_lose, "nothing was kept of it"),
        (_break, "nothing was kept of it"),
        (_take_its_place, "its checkout cannot lie where the last one lay"),
    ],
)
def test_a_session_that_is_lost_begins_anew(
    scene: Scene,
    harm: Callable[[Scene], None],
    why: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    temporary = tmp_path_factory.mktemp("temporary")
    scene.monkeypatch.setenv("TMPDIR", str(temporary))
    scene.monkeypatch.setattr("tempfile.tempdir", None)
    scene.attempt(scene.claude(), "new")
    harm(scene)
    second = scene.attempt(scene.claude(), "last")
    assert second.notes == (f"begins its session anew: {why}",)
    assert "--resume" not in seen(second)["argv"]
    assert scene.attempt(scene.claude(), "last").notes == ("goes on in its session",)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("(at / 'link').symlink_to('/etc/passwd')", "is no file or folder"),
        ("os.mkfifo(at / 'pipe')", "is no file or folder"),
        ("shutil.move(at, at.with_name('x')); at.symlink_to(at.with_name('x'))", "is no file"),
        ("(at / 'large').write_bytes(b'x' * 3000)", "more than 2000 bytes"),
        ("[(at / str(n)).touch() for n in range(30)]", "more than 20 files and folders"),
        ("(at / f'{named}.jsonl').rename(at / 'other')", "no file is named by it"),
        ("shutil.rmtree(at.parents[1]); at.parents[1].symlink_to('/etc')", "in a folder"),
        ("named = '--resume=x'", "its id is no plain word"),
        ("named = '../../x'", "its id is no plain word"),
    ],
)
def test_hostile_contents_are_dropped_and_said_and_the_next_begins_anew(
    scene: Scene, more: str, why: str
) -> None:
    scene.monkeypatch.setattr(sessions, "MOST_BYTES", 2000)
    scene.monkeypatch.setattr(sessions, "MOST_FILES", 20)
    scene.attempt(scene.claude(), "new")
    (note,) = scene.attempt(scene.claude(), "new", more).notes
    assert note.startswith("its session is not kept: ")
    assert why in note
    assert scene.files() == []
    second = scene.attempt(scene.claude(), "last")
    assert second.notes == ("begins its session anew: nothing was kept of it",)


def test_a_tool_that_counts_its_whole_session_has_each_attempt_counted_once(scene: Scene) -> None:
    program = scene.world.tool("codex", CODEX)
    codex = {"preset": "codex", "program": program, "env": ["CODEX_API_KEY"], "hosts": []}
    uses: Sequence[SessionUse] = ("new", "last", "last")
    answers = [scene.attempt(scene.agent("worktree", **codex), use) for use in uses]
    assert [each.usage["input_tokens"] for each in answers] == [100, 100, 100]
    assert seen(answers[2])["argv"][-3:] == ["resume", "t-1", "-"]
    assert seen(answers[2])["before"] == "said\nsaid\n"


def test_a_session_that_its_tool_failed_in_is_not_gone_on_in(scene: Scene) -> None:
    scene.attempt(scene.claude(), "new")
    fails = "print(json.dumps({'type': 'result', 'is_error': True, 'session_id': named})); exit(1)"
    scene.monkeypatch.setenv("MORE", fails)
    request = replace(scene.world.request(), session="last")
    failed = scene.claude().answer(request, no_pause)
    assert (failed.code, failed.notes) == ("AGENT_FAILED", ("goes on in its session",))
    assert "--resume" not in seen(scene.attempt(scene.claude(), "last"))["argv"]


def test_a_command_that_is_no_known_tool_has_no_session(scene: Scene) -> None:
    agent = scene.world.editor("Path('a').write_text('x')")
    agent = scene.agent("worktree", **agent._entry.settings)
    assert scene.attempt(agent, "new").notes == ()
    assert not scene.kept.exists()
    scene.attempt(scene.claude(), "new")
    assert scene.attempt(agent, "last").notes == ()
    assert scene.files() == []


def test_sessions_go_with_their_tasks(scene: Scene) -> None:
    for task in ("T-1", "T-2"):
        scene.attempt(scene.claude(), "new", task=task)
    (scene.kept / ".T-2").mkdir()
    assert len(tidy(scene.kept, lambda task: task == "T-1")) == 2
    assert [place.name for place in scene.kept.iterdir()] == ["T-1"]


# --------------------------------------------------------------- the Agent Client Protocol


def acp(scene: Scene, **script: Any) -> EditingAgent[Any]:
    """An agent of one script: what it does may depend on what lies in its home."""
    pytest.importorskip("acp", reason="the extra 'acp' is not installed")
    place = scene.world.folder / "script.json"
    place.write_text(json.dumps({"trace": "trace.jsonl", **script}))
    return scene.agent("acp", command=[sys.executable, "-B", str(ACP), f"@{place}"])


STEPS = [
    {"write": {f"$HOME/{NOTE}": "{}", "a.txt": "x"}},
    {"cost": {"amount": 0.5, "currency": "USD"}},
    {"say": "Done."},
]


def heard(answer: Answer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content(updates(answer)["trace.jsonl"]).splitlines()]


def test_an_agent_of_the_protocol_loads_its_session(scene: Scene) -> None:
    scene.attempt(acp(scene, loads="s-1", steps=STEPS), "new")
    again = [*STEPS[1:2], {"cost": {"amount": 0.75, "currency": "USD"}}, *STEPS[::2]]
    second = scene.attempt(acp(scene, loads="s-1", steps=again), "last")
    assert second.notes == ("goes on in its session",)
    assert heard(second)[0] == {"loaded": "s-1", "kept": ["session-s-1"]}
    # What is told again of the first turn is neither a word nor a cost of the second.
    assert json.loads(second.output)["payload"]["summary"] == "Done."
    assert second.usage["cost_microdollars"] == 250_000


def test_a_session_that_its_agent_does_not_take_up_begins_anew(scene: Scene) -> None:
    scene.attempt(acp(scene, loads="s-1", steps=STEPS), "new")
    second = scene.attempt(acp(scene, loads="other", steps=STEPS), "last")
    assert second.notes == ("begins its session anew: its tool did not take up the last one",)
    assert all("loaded" not in line for line in heard(second))


def test_an_agent_that_loads_no_sessions_leaves_none(scene: Scene) -> None:
    scene.attempt(acp(scene, steps=STEPS), "new")
    assert scene.files() == []
