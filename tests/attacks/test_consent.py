"""A repository asks, its user grants: nothing is started or given away before."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import esaa_git
from esaa_git.agents.registry import asks_of_agent
from esaa_git.app import door
from esaa_git.app.consent import Asked
from esaa_git.app.grants import grant_folder
from esaa_git.app.named_files import RepositoryFiles
from esaa_git.app.roadmap import read_contracts
from esaa_git.core.agent_contract import Check
from esaa_git.core.contracts import AgentEntry
from esaa_git.errors import ConfigurationError, NotAllowed
from esaa_git.ports.consent import NamedFiles
from tests.conftest import Git
from tests.support.copies import copy_folder
from tests.support.project import Project, make_project, result, run, task, write

NOT_ALLOWED = 12

PROGRAM = "#!/bin/sh\necho started >> {marker}\n"
ASK = {"adapter": "command", "command": ["./.roadmap/agents/guest", "--fast"]}


class Clone(Project):
    """A clone on the user's machine, whose user agrees to nothing by themselves."""

    def agree(self, folder: Path | None = None) -> None:
        pass


class Scene:
    """A stranger's repository, and a plain clone of it on the user's machine."""

    def __init__(self, folder: Path, git: Git) -> None:
        self.marker = folder / "marker"
        self.stranger = make_project(folder / "stranger", git, task("T-1"))
        self.stranger.write(
            ".roadmap/agents/guest", PROGRAM.format(marker=self.marker), executable=True
        )
        self.stranger.write("tools/check.sh", "#!/bin/sh\nexit 0\n", executable=True)
        self.stranger.write("tools/data.txt", "one\n")
        self.stranger.write("agent/__main__.py", "print()\n")
        for name in ("agentmod.py", "pkg/__init__.py", "pkg/mod.py", "pkg/other.py"):
            self.stranger.write(name, "\n")
        for name in ("agentmod.py", "lib.rb", "check.pm", "check.js", "run.sh"):
            self.stranger.write(f"sub/{name}", "\n")
        self.stranger.commit()
        git(folder, "clone", "--quiet", str(self.stranger.path), "victim")
        self.victim = Clone(folder / "victim", git)

    def swarm(self, **entry: Any) -> None:
        """Have the clone's draft name one agent with these settings, as a stranger would."""
        document = {
            "schema_version": "0.3.0",
            "agents": {"guest": {**ASK, **entry} if "adapter" not in entry else entry},
            "kinds": {"impl": "guest"},
        }
        place = self.victim.path / ".roadmap/agents_swarm.yaml"
        place.write_text(json.dumps(document), encoding="utf-8")

    def checks(self, *command: str) -> None:
        """Have the clone's draft demand a check of one kind."""
        self.swarm(adapter="scripted", folder=".roadmap/answers")
        self.victim.amend_yaml(
            "AGENT_CONTRACT.yaml", kinds__impl__checks=[{"name": "unit", "run": list(command)}]
        )

    def asks(self) -> list[Asked]:
        with esaa_git.open(self.victim.path) as project:
            return list(esaa_git.consents(project).asked)

    def words(self, *states: str) -> list[str]:
        """Return what is asked in words: all of it, or what is `new` or `never` given."""
        return [
            one.words()
            for one in self.asks()
            if not states
            or ("new" in states and one.is_new)
            or ("never" in states and one.never is not None)
        ]

    def allow(self) -> None:
        with esaa_git.open(self.victim.path) as project:
            esaa_git.allow(project)

    def reset(self) -> None:
        with esaa_git.open(self.victim.path) as project:
            esaa_git.revoke(project)
        self.victim.git("reset", "--quiet", "--hard")
        (self.victim.path / "late").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Scene:
    return Scene(tmp_path_factory.mktemp("consent"), git)


@pytest.fixture
def scene(made: Scene) -> Iterator[Scene]:
    yield made
    made.reset()
    made.marker.unlink(missing_ok=True)


# -- nothing happens before --------------------------------------------------------------------


@pytest.fixture
def named_files(scene: Scene) -> Iterator[NamedFiles]:
    with esaa_git.open(scene.victim.path) as project:
        yield RepositoryFiles(project.repository, None)


def test_a_program_starts_when_its_user_has_agreed_and_not_before(scene: Scene) -> None:
    scene.swarm()
    try_it = ("agent", "test", "guest", "--sandbox", "none")
    said = scene.victim.fails(NOT_ALLOWED, *try_it)
    assert "start ./.roadmap/agents/guest --fast" in said
    assert "git esaa allow" in said
    assert not scene.marker.exists()
    scene.victim.ok("allow", "--yes")
    assert scene.victim.esaa(*try_it).code == 11  # it ran, and gave no answer
    assert scene.marker.exists()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"read": ["/srv/notes"]}, "let it read '/srv/notes'"),
        ({"env": ["CLOUD_SECRET"]}, "give it your variable $CLOUD_SECRET"),
        ({"hosts": ["collector.example.com:443"]}, "connect to collector.example.com:443"),
        (
            {"adapter": "worktree", "preset": "codex", "program": "/opt/x/codex", "hosts": []},
            "start /opt/x/codex",
        ),
        (
            {"adapter": "worktree", "preset": "aider", "arguments": ["--test-cmd", "curl x"]},
            "--test-cmd 'curl x'",
        ),
        ({"adapter": "acp", "command": ["python3", "-m", "agent"]}, "agent/__main__.py"),
        (
            {
                "adapter": "http",
                "dialect": "chat",
                "url": "https://collector.example.com/v1",
                "model": "m",
                "key_env": "OPENAI_API_KEY",
            },
            "send requests to https://collector.example.com/v1, with the key in $OPENAI_API_KEY",
        ),
        ({"adapter": "local", "file": "/srv/weights.gguf"}, "let it read '/srv/weights.gguf'"),
        ({"adapter": "scripted", "folder": "/srv/answers"}, "let it read '/srv/answers'"),
        ({"adapter": "unheard", "package": "esaa-unheard", "level": 3}, '{"level": 3}'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_an_entry_asks_for_is_asked(
    scene: Scene, entry: dict[str, Any], words: str
) -> None:
    scene.swarm(**entry)
    assert any(words in one for one in scene.words("new")), scene.words()
    with esaa_git.open(scene.victim.path) as project:
        entry_there = read_contracts(project.repository).swarm.agent("guest")
        with pytest.raises(NotAllowed, match="not agreed to"):
            project.consent.require_agent(entry_there)


@pytest.mark.parametrize(
    "command",
    [["tools/check.sh"], ["./tools/check.sh", "-v"], ["make", "test"], ["sh", "-c", "true"]],
    ids=" ".join,
)
def test_a_check_of_a_kind_is_asked_for(scene: Scene, command: list[str]) -> None:
    scene.checks(*command)
    assert len([one for one in scene.words("new") if one.startswith("start ")]) == 1
    scene.victim.fails(NOT_ALLOWED, "run")
    scene.allow()
    assert scene.words("new") == []


def test_every_command_that_would_use_it_refuses(scene: Scene) -> None:
    scene.swarm(env=["CLOUD_SECRET"])
    for command in (("agent", "test", "guest"), ("run",), ("plan", "apply")):
        said = scene.victim.fails(NOT_ALLOWED, *command)
        assert "give it your variable $CLOUD_SECRET" in said
    listed = json.loads(scene.victim.ok("agent", "list", "--json"))["agents"][0]
    assert not listed["allowed"]
    assert "$CLOUD_SECRET" in scene.victim.ok("agent", "list")
    assert scene.victim.esaa("status", "--json").json["consent"] == {"asked": 4, "granted": 0}
    assert "4, 0 agreed to, 4 not (git esaa allow)" in scene.victim.ok("status")
    assert scene.victim.tip() is None


def test_a_check_of_a_task_is_asked_for(scene: Scene) -> None:
    scene.swarm(adapter="scripted", folder=".roadmap/answers")
    one = task("T-1", checks=[{"name": "own", "run": ["sh", "-c", "exit 3"]}])
    scene.victim.write(".roadmap/plan.yaml", json.dumps({"project": "x", "tasks": [one]}))
    assert any("exit 3" in words for words in scene.words("new"))
    scene.victim.fails(NOT_ALLOWED, "run")
    counted = scene.victim.esaa("status", "--json").json["consent"]
    assert counted == {"asked": len(scene.words()), "granted": 0}


def test_a_reviewer_is_asked_for(scene: Scene) -> None:
    scene.swarm()
    place = scene.victim.path / ".roadmap/agents_swarm.yaml"
    document = json.loads(place.read_text(encoding="utf-8"))
    document["agents"]["judge"] = {"adapter": "command", "command": ["./tools/check.sh"]}
    document["reviewers"] = {"impl": "judge"}
    place.write_text(json.dumps(document), encoding="utf-8")
    assert "start ./tools/check.sh" in scene.words("new")


def test_recorded_answers_of_the_checkout_ask_for_nothing(scene: Scene) -> None:
    assert scene.words() == []
    assert scene.victim.ok("allow", "--yes") == "agreed to 0 of 0 asks\n"


# -- exactly that ------------------------------------------------------------------------------


def test_the_same_or_less_never_asks_again(scene: Scene) -> None:
    scene.swarm(env=["A", "B"], hosts=["a.example.com:1"])
    scene.allow()
    for less in ({"env": ["B", "A"], "hosts": ["a.example.com:1"]}, {"env": ["A"]}, {}):
        scene.swarm(**less)
        assert scene.words("new") == []


CHANGES = {
    "an argument": {"command": ["./.roadmap/agents/guest", "--slow"]},
    "one argument more": {"command": ["./.roadmap/agents/guest", "--fast", "-x"]},
    "arguments joined": {"command": ["./.roadmap/agents/guest --fast"]},
    "another program": {"command": ["./tools/check.sh", "--fast"]},
    "a variable more": {"env": ["A", "B"]},
    "a host's port": {"hosts": ["a.example.com:2"]},
    "a file above": {"read": ["/srv"]},
}


@pytest.mark.parametrize("change", CHANGES)
def test_more_or_something_else_asks_for_the_difference(scene: Scene, change: str) -> None:
    before = {"env": ["A"], "hosts": ["a.example.com:1"], "read": ["/srv/notes"]}
    scene.swarm(**before)
    scene.allow()
    scene.swarm(**{**before, **CHANGES[change]})
    new = scene.words("new")
    assert new
    shown = scene.victim.ok("allow", "--show").splitlines()
    assert [line[4:] for line in shown if line.startswith("  + ")] == new
    scene.victim.fails(NOT_ALLOWED, "run")


def test_what_one_program_was_given_is_not_given_to_another(scene: Scene) -> None:
    """A linter has the secret, another agent has the network: nobody agreed to the two together."""
    agents = {
        "linter": {"adapter": "command", "command": ["true"], "env": ["CLOUD_SECRET"]},
        "caller": {"adapter": "command", "command": ["false"], "hosts": ["x.example.com:443"]},
    }
    place = scene.victim.path / ".roadmap/agents_swarm.yaml"
    document = {"schema_version": "0.3.0", "agents": agents, "kinds": {}}
    place.write_text(json.dumps(document), encoding="utf-8")
    scene.allow()
    agents["caller"]["env"] = ["CLOUD_SECRET"]
    place.write_text(json.dumps(document), encoding="utf-8")
    assert scene.words("new") == ["give it your variable $CLOUD_SECRET"]


@pytest.mark.parametrize(
    ("command", "path"),
    [
        (["./.roadmap/agents/guest"], ".roadmap/agents/guest"),
        ([".roadmap/agents/../agents/guest"], ".roadmap/agents/guest"),
        (["sh", "tools/check.sh"], "tools/check.sh"),
        (["env", "X=1", "sh", "-c", ": && ./tools/check.sh;true"], "tools/check.sh"),
        (["make", "--file=tools/data.txt"], "tools/data.txt"),
        (["make", "-ftools/data.txt"], "tools/data.txt"),
        (["curl", "@tools/data.txt"], "tools/data.txt"),
        (["python3", "agent"], "agent/__main__.py"),
        (["python3", "-m", "agent"], "agent/__main__.py"),
        (["python3", "-magentmod"], "agentmod.py"),
        (["python3", "-Bmagentmod"], "agentmod.py"),
        (["python3", "-Im", "agentmod"], "agentmod.py"),
        (["python3", "-m", "pkg.mod"], "pkg/__init__.py"),
        (["python3", "-m", "pkg.mod"], "pkg/other.py"),
        (["env", "-C", "sub", "python3", "agentmod.py"], "sub/agentmod.py"),
        (["env", "--chd=sub", "python3", "-m", "agentmod"], "sub/agentmod.py"),
        (["make", "-C", "sub", "-f", "agentmod.py"], "sub/agentmod.py"),
        (["uv", "run", "--directory", "sub", "agentmod.py"], "sub/agentmod.py"),
        (["ruby", "-r./sub/lib", "agentmod.py"], "sub/lib.rb"),
        (["ruby", "-Isub", "-rlib", "agentmod.py"], "sub/lib.rb"),
        (["perl", "-Isub", "-Mcheck", "agentmod.py"], "sub/check.pm"),
        (["node", "-r./sub/check.js", "agentmod.py"], "sub/check.js"),
        (["sh", "-c", 'sh "sub/r""un.sh"'], "sub/run.sh"),
        (["sh", "-c", "sh sub/r\\un.sh"], "sub/run.sh"),
        (["sh", "-c", "sh < sub/run.sh"], "sub/run.sh"),
        (["timeout", "9", "python3", "-magentmod"], "agentmod.py"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_file_that_a_command_names_is_agreed_to_by_its_content(
    scene: Scene, command: list[str], path: str
) -> None:
    scene.swarm(adapter="command", command=command)
    scene.allow()
    assert scene.words("new") == []
    with (scene.victim.path / path).open("a", encoding="utf-8") as stream:
        stream.write("# a line more\n")
    assert [f"'{path}'" in words for words in scene.words("new")] == [True]
    with esaa_git.open(scene.victim.path) as project:
        found = esaa_git.consents(project)
    # What it was is shown beside it: gone, or as it still stands in the commit.
    old = [words for one in found.new for words in found.before(one)]
    old += [one.words() for one in found.asked if one.granted and one.ask.what == path]
    assert [words.startswith(f"with the file '{path}' (sha256 ") for words in old] == [True]


@pytest.mark.parametrize(
    "line", ["/usr/bin/env -S python3 tools/data.txt", "tools/data.txt", "/bin/sh tools/data.txt"]
)
@pytest.mark.parametrize("by", ["agent", "check"])
def test_what_a_first_line_names_is_agreed_to_by_its_content(
    scene: Scene, line: str, by: str
) -> None:
    scene.victim.write("late", f"#!{line}\n", executable=True)
    try:
        if by == "agent":
            scene.swarm(adapter="command", command=["./late"])
        else:
            scene.checks("./late")
            scene.victim.git("add", "late")
            scene.victim.git("commit", "--quiet", "--no-verify", "-m", "x", "late")
        assert sum("'tools/data.txt' (sha256" in words for words in scene.words()) == 1
    finally:
        if by == "check":
            scene.victim.git("reset", "--quiet", "--hard", "HEAD^")


def test_what_a_program_outside_of_path_is_installed_in_is_asked_for(
    scene: Scene, tmp_path: Path
) -> None:
    program = tmp_path / "private/bin/deploy"
    program.parent.mkdir(parents=True)
    (tmp_path / "private/lib").mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    scene.swarm(adapter="command", command=[str(program)])
    assert scene.words() == [f"start {program}", f"let it read '{tmp_path}/private'"]
    scene.allow()
    program.write_text(f"#!{tmp_path}/other/bin/sh\n")
    other = tmp_path / "other/bin/sh"
    (tmp_path / "other/lib").mkdir(parents=True)
    other.parent.mkdir()
    shutil.copy("/bin/sh", other)
    assert scene.words("new") == [
        f"let it read '{tmp_path}/other'",
        f"let it read '{tmp_path}/other/bin/sh'",
    ]


@pytest.mark.parametrize(
    "command",
    [
        ["sh", "-c", "cd sub; sh run.sh"],
        ["sh", "-c", 'sh "$X"'],
        ["sh", "-c", "`cat sub/name`"],
        ["sh", "-c", "cat sub/run.sh | sh"],
        ["sh", "-c", "sh sub/*.sh"],
        ["sh", "-c", "eval x"],
        ["env", "PYTHONPATH=sub", "python3", "-m", "check"],
        ["env", "BASH_ENV=sub/run.sh", "bash", "-c", "true"],
        ["env", *(f"X{n}=" + ",".join(f"a{n}{i}" for i in range(480)) for n in range(5)), "true"],
        ["python3", "--unheard", "agentmod.py"],
        ["python3", "-c", "import agentmod"],
        ["xargs", "sh"],
    ],
    ids=lambda command: " ".join(command)[:40],
)
def test_a_command_that_cannot_be_read_is_agreed_to_with_the_whole_tree(
    scene: Scene, command: list[str]
) -> None:
    scene.checks(*command)
    assert any("any file of the repository, as it is now" in one for one in scene.words("new"))
    scene.allow()
    assert scene.words("new") == []
    scene.victim.write("tools/data.txt", "two\n")
    new = scene.words("new")
    assert ["any file of the repository" in one for one in new] == [True]
    # And so it is once it is committed: nothing is started by it.
    scene.victim.git("commit", "--quiet", "--no-verify", "-m", "x", "tools/data.txt")
    try:
        scene.victim.fails(NOT_ALLOWED, "run")
    finally:
        scene.victim.git("reset", "--quiet", "--hard", "HEAD~1")


def test_a_file_beside_an_agents_program_is_agreed_to_by_its_content(scene: Scene) -> None:
    scene.swarm()
    scene.allow()
    scene.victim.write(".roadmap/agents/late.sh", "# sourced by the guest\n")
    try:
        assert ["'.roadmap/agents/late.sh'" in words for words in scene.words("new")] == [True]
    finally:
        (scene.victim.path / ".roadmap/agents/late.sh").unlink()


def test_a_file_that_comes_later_was_not_agreed_to(scene: Scene) -> None:
    scene.swarm(adapter="command", command=["./late"])
    scene.allow()
    scene.victim.write("late", "#!/bin/sh\n", executable=True)
    assert len(scene.words("new")) == 1


def test_a_program_on_path_is_agreed_to_by_where_it_is(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.checks("make", "test")
    scene.allow()
    other = tmp_path / "make"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert scene.words("new") == [f"start {other} test"]


def test_a_program_of_the_tree_on_path_is_agreed_to_by_its_content(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = scene.victim.path / "tools"
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    scene.checks("check.sh")
    scene.allow()
    scene.victim.write("tools/check.sh", "#!/bin/sh\nexit 1\n", executable=True)
    assert [words.startswith("with the file 'tools/check.sh'") for words in scene.words("new")] == [
        True
    ]


def test_what_stands_in_the_commit_counts_where_that_is_what_runs(scene: Scene) -> None:
    """The checkout shows the script that was agreed to, the branch holds another."""
    scene.checks("sh", "tools/check.sh")
    scene.allow()
    good = scene.victim.read("tools/check.sh")
    scene.victim.write("tools/check.sh", "#!/bin/sh\nexit 1\n")
    scene.victim.git("commit", "--quiet", "--no-verify", "-m", "x", "tools/check.sh")
    scene.victim.write("tools/check.sh", good)
    try:
        scene.victim.fails(NOT_ALLOWED, "run")
    finally:
        scene.victim.git("reset", "--quiet", "--hard", "HEAD~1")


# -- the floor ---------------------------------------------------------------------------------


NEVER: dict[str, dict[str, Any]] = {
    "keys by read": {"read": ["~/.ssh"]},
    "a key by its name": {"read": ["~/.ssh/id_ed25519"]},
    "by dots": {"read": ["~/Documents/../.gnupg"]},
    "the home": {"read": ["~"]},
    "the root": {"read": ["/"]},
    "this product's keys": {"read": ["~/.config/git-esaa/keys"]},
    "this product's configuration": {"read": ["~/.config"]},
    "of a user by name": {"read": ["~root/.ssh"]},
    "through proc": {"read": ["/proc/self/root/root/.aws"]},
    "a cloud's": {"read": ["~/.aws/credentials"]},
    "a forge's": {"read": ["~/.config/gh"]},
    "git's own": {"read": ["~/.git-credentials"]},
    "a registry's": {"read": ["~/.npmrc"]},
    "by the local adapter": {"adapter": "local", "file": "~/.netrc"},
    "by recorded answers": {"adapter": "scripted", "folder": "{home}/.docker"},
    "an agent's socket": {"env": ["SSH_AUTH_SOCK"]},
    "in another case": {"env": ["Ssh_Auth_Sock"]},
    "the bus": {"env": ["DBUS_SESSION_BUS_ADDRESS"]},
    "the agent of gpg": {"env": ["GNUPGHOME"]},
    "git's variables": {"env": ["GIT_SSH_COMMAND"]},
    "ours": {"env": ["ESAA_ALLOW"]},
    "sent to a host": {
        "adapter": "http",
        "dialect": "chat",
        "url": "http://127.0.0.1:9/v1",
        "model": "m",
        "key_env": "SSH_AUTH_SOCK",
    },
}


@pytest.mark.parametrize("what", NEVER)
def test_the_floor_is_given_by_no_consent(
    scene: Scene, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    text = json.dumps(NEVER[what]).replace("{home}", str(Path.home()))
    scene.swarm(**json.loads(text.replace("~/.netrc", f"{Path.home()}/.netrc")))
    scene.allow()
    assert len(scene.words("never")) == 1, scene.words()
    with esaa_git.open(scene.victim.path) as project:
        entry = read_contracts(project.repository).swarm.agent("guest")
        with pytest.raises(NotAllowed, match="no consent covers"):
            project.consent.require_agent(entry)
        with pytest.raises(NotAllowed, match="no consent covers"):
            project.make_agent(entry, read_contracts(project.repository)).ready()


def test_the_floor_holds_through_a_link_that_the_user_made(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".aws").mkdir(parents=True)
    (home / "clouds").symlink_to(home / ".aws")
    monkeypatch.setenv("HOME", str(home))
    scene.swarm(read=["~/clouds"])
    assert len(scene.words("never")) == 1
    (home / "dotfiles").mkdir()
    (home / ".kube").symlink_to(home / "dotfiles")
    scene.swarm(read=["~/dotfiles"])
    assert len(scene.words("never")) == 1


# -- whose word counts -------------------------------------------------------------------------


def test_a_copy_inherits_nothing(scene: Scene, tmp_path: Path, git: Git) -> None:
    scene.swarm()
    scene.allow()
    copy_folder(scene.victim.path, tmp_path / "copy")
    copy = Clone(tmp_path / "copy", git)
    copy.fails(NOT_ALLOWED, "agent", "test", "guest")


def test_another_repository_at_the_same_place_inherits_nothing(scene: Scene, git: Git) -> None:
    scene.swarm()
    scene.allow()
    aside = scene.victim.path.with_name("aside")
    scene.victim.path.rename(aside)
    try:
        git(aside.parent, "clone", "--quiet", str(scene.stranger.path), "victim")
        scene.swarm()
        scene.victim.fails(NOT_ALLOWED, "agent", "test", "guest")
    finally:
        shutil.rmtree(scene.victim.path)
        aside.rename(scene.victim.path)


def test_it_is_taken_back(scene: Scene) -> None:
    scene.swarm()
    assert scene.victim.ok("allow", "--revoke") == "nothing had been agreed to\n"
    scene.allow()
    assert scene.victim.ok("allow", "--revoke") == "taken back\n"
    scene.victim.fails(NOT_ALLOWED, "run")


def test_the_grant_is_kept_for_this_user_alone_and_outside_of_the_repository(
    scene: Scene,
) -> None:
    before = set(grant_folder().glob("*")) if grant_folder().is_dir() else set()
    scene.swarm()
    scene.allow()
    (made,) = set(grant_folder().glob("*")) - before
    assert (made.stat().st_mode & 0o777, grant_folder().stat().st_mode & 0o777) == (0o600, 0o700)
    made.write_text("{}")
    said = scene.victim.fails(4, "run")
    assert "delete it" in said
    made.unlink()


def test_a_digest_agrees_to_what_it_is_of(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.swarm()
    digest = json.loads(scene.victim.ok("allow", "--show", "--json"))["digest"]
    assert "found " in scene.victim.fails(NOT_ALLOWED, "allow", "--digest", "0" * 64)
    dry = ("agent", "test", "guest", "--sandbox", "none")
    for name, value, code in (("ESAA_ALLOW", "0" * 64, NOT_ALLOWED), ("ESAA_ALLOW", digest, 11)):
        monkeypatch.setenv(name, value)
        assert scene.victim.esaa(*dry).code == code
    monkeypatch.delenv("ESAA_ALLOW")
    scene.victim.git("config", "esaa.allow", digest)
    assert scene.victim.esaa(*dry).code == 11
    scene.swarm(env=["MORE"])
    said = scene.victim.fails(NOT_ALLOWED, *dry)
    assert f"agrees to {digest}" in said
    scene.victim.git("config", "--unset", "esaa.allow")
    digest = json.loads(scene.victim.ok("allow", "--show", "--json"))["digest"]
    scene.victim.ok("allow", "--digest", digest)
    assert scene.words("new") == []


def test_a_word_is_asked_for_on_a_terminal_and_binds_to_what_was_shown(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.swarm()
    monkeypatch.setattr("esaa_git.cli.allow._is_terminal", lambda: True)
    said = scene.victim.esaa("agent", "test", "guest", "--sandbox", "none", stdin="n\n")
    assert said.code == NOT_ALLOWED
    assert "+ start ./.roadmap/agents/guest --fast" in said.err
    assert not scene.marker.exists()
    said = scene.victim.esaa("agent", "test", "guest", "--sandbox", "none", stdin="y\n")
    assert (said.code, scene.marker.exists()) == (11, True)
    assert scene.victim.esaa("agent", "test", "guest", "--sandbox", "none").code == 11


def test_escapes_of_a_stranger_reach_no_terminal(scene: Scene) -> None:
    scene.swarm(adapter="command", command=["true", "\u202eharmless"])
    said = scene.victim.esaa("allow", "--show")
    assert "\u202e" not in said.out
    assert "\\u202e" in said.out


LOOK_ALIKES: list[tuple[str, Any]] = [
    ("url", "https://api.open\u0430i.com/v1"),
    ("url", "https://api.openai.com\u2044.example.com/v1"),
    ("url", "https://api\u2024openai.com/v1"),
    ("url", "https://api.openai.com\uff0fv1"),
    ("url", "https://api.openai.com/v\u0661"),
    ("url", "https://api.openai.com\\.example.com/v1"),
    ("url", "https://api.openai.com .example.com/v1"),
    ("hosts", ["api.open\u0430i.com:443"]),
    ("hosts", ["api.openai\u3002com:443"]),
    ("hosts", ["api.openai.com:\u0664\u0664\u0663"]),
    ("env", ["OPENAI_\u0410PI_KEY"]),
    ("env", ["\uff2fPENAI_API_KEY"]),
    ("env", ["OPENAI-API-KEY"]),
    ("env", ["1KEY"]),
    ("env", ["KEY=x"]),
    ("env", ["A KEY"]),
    ("key_env", "OPENAI_API_K\u0415Y"),
    ("key_env", "KEY\u200b"),
]


@pytest.mark.parametrize(("setting", "value"), LOOK_ALIKES, ids=ascii)
def test_what_looks_like_another_name_is_refused_in_the_contract(
    setting: str, value: Any, named_files: NamedFiles
) -> None:
    service = {"dialect": "chat", "url": "https://api.openai.com/v1", "model": "m"}
    adapter = "http" if setting in ("url", "key_env") else "command"
    settings = {**(service if adapter == "http" else {"command": ["true"]}), setting: value}
    entry = AgentEntry("guest", adapter, None, settings)
    with pytest.raises(ConfigurationError) as raised:
        asks_of_agent(entry, named_files)
    assert f"agents/guest/{setting}" in raised.value.message
    assert raised.value.message.replace("\u2026", "").isascii()
    assert "xn--" in raised.value.message or setting in ("env", "key_env")


def test_the_contract_with_such_a_name_is_pinned_by_no_run(scene: Scene) -> None:
    scene.swarm(hosts=["api.open\u0430i.com:443"])
    said = scene.victim.fails(4, "plan", "apply")
    assert "api.open\\u0430i.com:443" in said
    assert "xn--" in said


def test_other_letters_of_a_command_are_shown_as_escapes(scene: Scene) -> None:
    scene.swarm(adapter="command", command=["true", "--to", "\u0430pi", "caf\u00e9"])
    said = scene.victim.esaa("allow", "--show").out
    assert r"--to '\u0430pi' 'caf\u00e9'" in said
    (ask,) = (one.ask for one in scene.asks() if one.ask.kind == "program")
    assert "\u0430pi" in ask.what  # the grant is of the words themselves
    assert r"\u0430pi" in scene.victim.fails(NOT_ALLOWED, "run")


# -- one's own ---------------------------------------------------------------------------------


def test_init_grants_what_it_writes_and_nothing_that_it_finds(tmp_path: Path, git: Git) -> None:
    own = tmp_path / "own"
    git(tmp_path, "init", "--quiet", str(own))
    assert run("-C", str(own), "init").code == 0
    found = json.loads(run("-C", str(own), "allow", "--show", "--json").out)["asks"]
    assert found
    assert all(ask["granted"] for ask in found)
    trap = tmp_path / "trap"
    git(tmp_path, "init", "--quiet", str(trap))
    (trap / ".roadmap/agents").mkdir(parents=True)
    (trap / ".roadmap/agents/my-agent").write_text("#!/bin/sh\n")  # the name that init asks for
    assert run("-C", str(trap), "init").code == 0
    asks = json.loads(run("-C", str(trap), "allow", "--show", "--json").out)["asks"]
    assert [ask["what"] for ask in asks if not ask["granted"]] == [".roadmap/agents/my-agent"]


def test_a_log_carries_a_consent_where_its_key_is_the_repositorys_own(
    tmp_path: Path, git: Git
) -> None:
    one = make_project(tmp_path / "one", git, task("T-1", checks=[{"name": "c", "run": ["true"]}]))
    one.answers(T_1=result("T-1", write("a.txt", "a\n")))
    one.commit()
    one.ok("run")
    key = one.setting("esaa.signingKey")
    git(tmp_path, "clone", "--quiet", str(one.path), "two")
    two = Clone(tmp_path / "two", git)
    two.git("fetch", "--quiet", "origin", "refs/esaa/events:refs/esaa/events")
    two.ok("verify")
    asked = ("status", "--json")
    one.amend_yaml("agents_swarm.yaml", agents__guest={"adapter": "command", "command": ["false"]})
    one.agree()
    two.write(".roadmap/agents_swarm.yaml", one.read(".roadmap/agents_swarm.yaml"))
    assert two.ok("allow", "--show").count("  + ") == 2

    # A key of the global settings is the user's everywhere, so it says nothing of this clone.
    git(tmp_path, "config", "--global", "esaa.signingKey", key)
    try:
        assert two.ok("allow", "--show").count("  + ") == 2
    finally:
        git(tmp_path, "config", "--global", "--unset", "esaa.signingKey")
    two.git("config", "esaa.signingKey", key)
    assert "  + " not in two.ok("allow", "--show")
    assert two.esaa(*asked).json["consent"] == {"asked": 2, "granted": 2}

    # The genesis has to have been verified here.
    two.forget()
    assert two.ok("allow", "--show").count("  + ") == 2


def test_what_an_accepted_result_made_of_a_named_file_is_not_asked_again(
    tmp_path: Path, git: Git
) -> None:
    check = [{"name": "c", "run": ["grep", "-q", "a", "a.txt"]}]
    again = json.loads(json.dumps(check))
    one = make_project(tmp_path / "one", git, task("T-1"), task("T-2"), seed={"a.txt": "a\n"})
    one.plan(task("T-1", checks=check), task("T-2", checks=again, depends_on=["T-1"]))
    one.answers(
        T_1=result("T-1", write("a.txt", "a b\n")), T_2=result("T-2", write("b.txt", "b\n"))
    )
    one.commit()
    one.ok("run")
    assert one.task("T-2").is_done
    # Anybody else's change of it is.
    one.write("a.txt", "a, by somebody\n")
    one.plan(task("T-1"), task("T-3", checks=check))
    one._asks = False
    one.fails(NOT_ALLOWED, "allow")


def test_a_tree_that_accepted_results_alone_changed_is_not_asked_again(
    tmp_path: Path, git: Git
) -> None:
    check = [{"name": "c", "run": ["sh", "-c", "cd . && grep -q a a.txt"]}]
    one = make_project(tmp_path / "one", git, task("T-1"), seed={"a.txt": "a\n"})
    again = json.loads(json.dumps(check))
    one.plan(task("T-1", checks=check), task("T-2", checks=again, depends_on=["T-1"]))
    one.answers(
        T_1=result("T-1", write("a.txt", "a b\n")), T_2=result("T-2", write("b.txt", "b\n"))
    )
    one.commit()
    one.agree()
    said = one.ok("run")
    assert "! check T-1: c  is not pinned: 'cd' stands in its text" in said
    assert one.task("T-2").is_done
    # Anybody else's change is, wherever it is.
    one.plan(task("T-1"), task("T-3", checks=check))
    one.agree()
    one.write("elsewhere.txt", "by somebody\n")
    one.commit()
    one.fails(NOT_ALLOWED, "run")


def test_a_draft_that_asks_for_more_does_not_stop_the_run_that_is_open(
    tmp_path: Path, git: Git
) -> None:
    one = make_project(tmp_path / "one", git, task("T-1"))
    one.answers(T_1=result("T-1", write("a.txt", "a\n")))
    one.commit()
    one.ok("plan", "apply")
    swarm = json.dumps(
        {"schema_version": "0.3.0", "agents": {"guest": ASK}, "kinds": {"impl": "guest"}}
    )
    one.write(".roadmap/agents_swarm.yaml", swarm)
    shown = json.loads(one.ok("allow", "--show", "--json"))["asks"]
    assert {where for ask in shown for where in ask["where"]} == {"draft"}
    one.fails(NOT_ALLOWED, "plan", "apply", "--restart")
    one.ok("run")
    assert one.task("T-1").is_done


# -- from Python -------------------------------------------------------------------------------


def test_the_python_api_refuses_and_agrees_alike(scene: Scene) -> None:
    scene.swarm()
    with esaa_git.open(scene.victim.path) as project:
        for work in (esaa_git.run, esaa_git.apply_plan):
            with pytest.raises(NotAllowed):
                work(project)
        found = esaa_git.consents(project)
        assert [one.granted for one in found.asked] == [False, False, False]
        with pytest.raises(NotAllowed):
            esaa_git.allow(project, digest="0" * 64)
        assert not esaa_git.allow(project, digest=found.digest).new
        assert esaa_git.revoke(project)


def test_every_way_to_an_agent_or_a_check_goes_through_the_door(scene: Scene) -> None:
    """What `run`, workers, reviews, MCP and the API start, they get from these two alone."""
    scene.swarm()
    with esaa_git.open(scene.victim.path) as project:
        contracts = read_contracts(project.repository)
        agent = project.make_agent(contracts.swarm.agent("guest"), contracts)
        with pytest.raises(NotAllowed):
            agent.ready()
        assert isinstance(project.consent, door.LocalConsent)
        for ask in (
            lambda: project._checker().ready([Check("c", ("true",), 1000)]),
            lambda: project._checker().run(
                [Check("c", ("true",), 1000)], scene.victim.head(), {}, lambda: None
            ),
        ):
            with pytest.raises(NotAllowed):
                ask()
