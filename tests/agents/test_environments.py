"""Checkouts that are set up: real programs, confined, in a real repository."""

from __future__ import annotations

import os
import stat
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from esaa_git.agents import kept
from esaa_git.agents.checks import ConfinedChecker
from esaa_git.agents.environments import Environments, SetupFailed, SetUpWorkspace, started
from esaa_git.agents.kept import Kept
from esaa_git.core.agent_contract import Check
from esaa_git.core.programs import Programs
from esaa_git.core.setup import Setup, setup_of
from esaa_git.errors import AgentError
from esaa_git.ports.checks import CheckResult
from esaa_git.ports.files import FileEntry
from esaa_git.sandbox import confinement
from esaa_git.store.repository import open_repository
from esaa_git.store.trees import GitBlobs, GitTrees
from tests.agents.memory import no_pause
from tests.agents.test_worktree import strongest
from tests.conftest import Git
from tests.support.adapters import in_checkout

COUNTED = textwrap.dedent(
    """\
    #!/bin/sh
    set -e
    mkdir -p made/bin
    printf '#!%s/made/bin/sh\\n' "$PWD" > made/bin/tool
    ln -s "$PWD/made/bin/tool" made/bin/link
    ln -s /bin/sh made/bin/sh
    printf 'echo tool of '"$(cat lock)"'\\n' >> made/bin/tool
    printf '\\0%s\\0' "$HOME" > made/binary
    chmod 755 made/bin/tool
    chmod 444 made/binary
    date +%N > made/when
    touch left-beside
    """
)
"""A setup that takes its word from the file 'lock', and leaves where it ran in what it makes."""


class World:
    """A repository, and setups that are run in checkouts of it."""

    def __init__(self, repo: Path, git: Git) -> None:
        self.repo, self.git = repo, git
        self.write("lock", "one")
        self.write("setup.sh", COUNTED)
        self.commit()
        self.kept = Kept(repo / ".git" / "esaa" / "setups")
        self.sandbox = strongest()

    def write(self, path: str, content: str) -> None:
        place = self.repo / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
        place.chmod(0o755)

    def commit(self) -> str:
        self.git(self.repo, "add", "--all")
        self.git(self.repo, "commit", "--quiet", "--message", "Files")
        return self.head

    @property
    def head(self) -> str:
        return self.git(self.repo, "rev-parse", "HEAD")

    def environments(self) -> Environments:
        repository = open_repository(self.repo)
        context = in_checkout(self.repo, repository, sandbox=self.sandbox)
        return Environments(
            context.workspaces,
            GitTrees(repository),
            GitBlobs(repository),
            self.sandbox,
            self.kept,
            self.repo,
            lambda _path: False,
        )

    def proposing(self, **files: str) -> dict[str, FileEntry | None]:
        blobs = GitBlobs(open_repository(self.repo))
        return {
            name: FileEntry("100644", blobs.write(text.encode())) for name, text in files.items()
        }

    @contextmanager
    def opened(
        self, *setups: Setup, changes: dict[str, FileEntry | None] | None = None
    ) -> Iterator[SetUpWorkspace]:
        with self.environments().open(setups, self.head, changes or {}, no_pause) as workspace:
            yield workspace

    def checked(self, check: Sequence[str], setup: Setup, **files: str) -> tuple[CheckResult, ...]:
        checker = ConfinedChecker(self.environments, self.sandbox, self.repo)
        checks = [Check("tests", tuple(check), 60_000, setup)]
        return tuple(checker.run(checks, self.head, self.proposing(**files), no_pause))


@pytest.fixture
def world(repo: Path, git: Git) -> World:
    return World(repo, git)


def setup(*steps: dict[str, Any], programs: Programs | None = None) -> Setup:
    made = setup_of(steps, "kind 'impl'", "kinds/impl/setup")
    assert made is not None
    return Setup(**{name: getattr(made, name) for name in Setup.__slots__} | {"programs": programs})


def usual(**more: Any) -> Setup:
    step = {"run": ["./setup.sh"], "keys": ["lock"], "provides": ["made"], "path": ["made/bin"]}
    return setup({**step, **more})


def when(workspace: SetUpWorkspace) -> str:
    return (workspace.path / "made/when").read_text()


def test_what_a_setup_provides_is_made_once_and_copied_to_where_it_is_worked(world: World) -> None:
    with world.opened(usual()) as one:
        first = when(one)
        assert not (one.path / "left-beside").exists()
        # A copy may be written; what is kept may not.
        (one.path / "made/when").write_text("scribbled")
        (entry,) = (world.repo / ".git/esaa/setups").glob("*/files/made")
        assert not any(
            stat.S_IMODE(place.lstat().st_mode) & 0o222
            for place in (entry, *entry.rglob("*"))
            if not place.is_symlink()
        )
    with world.opened(usual()) as two:
        assert when(two) == first
        assert two.path != one.path


def test_what_names_the_place_that_it_was_made_at_names_the_one_where_it_is(world: World) -> None:
    for _ in range(2):
        with world.opened(usual()) as workspace:
            tool = workspace.path / "made/bin/tool"
            assert tool.read_text().startswith(f"#!{workspace.path}/made/bin/sh\n")
            assert (workspace.path / "made/bin/link").readlink() == tool
            assert (workspace.path / "made/bin/sh").readlink() == Path("/bin/sh")
            home = os.fsencode(workspace.home)
            assert (workspace.path / "made/binary").read_bytes() == b"\0%s\0" % home
        (done,) = world.checked(["made/bin/tool"], usual())
        assert (done.passed, done.output) == (True, "tool of one\n")


def test_another_content_of_a_key_or_another_command_makes_another_one(world: World) -> None:
    with world.opened(usual()) as workspace:
        first = when(workspace)
    world.write("unrelated", "x")
    world.commit()
    with world.opened(usual()) as workspace:
        assert when(workspace) == first
    with world.opened(usual(variables={"MODE": "debug"})) as workspace:
        assert when(workspace) != first
    world.write("lock", "two")
    world.commit()
    with world.opened(usual()) as workspace:
        assert when(workspace) != first
    assert world.checked(["made/bin/tool"], usual())[0].output == "tool of two\n"


def test_what_another_tree_had_made_is_none_for_this_branch(world: World) -> None:
    """Its commands may have been the tree's own, with the keys of this one."""
    first = world.head
    world.git(world.repo, "switch", "--quiet", "--create", "proposal")
    world.write("setup.sh", COUNTED.replace("tool of ", "forged tool of "))
    proposal = world.commit()
    checks = [Check("tests", ("made/bin/tool",), 60_000, usual())]
    checker = ConfinedChecker(world.environments, world.sandbox, world.repo)

    def said(on: str) -> str:
        return checker.run(checks, on, {}, no_pause)[0].output

    assert said(proposal) == "forged tool of one\n"
    world.git(world.repo, "switch", "--quiet", "-")
    assert world.head == first
    assert said(first) == "tool of one\n"
    # What the branch had made before is there for whatever comes of it.
    assert said(proposal) == "tool of one\n"


def test_what_was_only_looked_at_is_not_kept_for_what_comes_after_it(world: World) -> None:
    """A branch may drop the script that made it, and then be merged with all its history."""
    looking = replace(world.environments(), keeps=lambda _commit: False)
    with looking.open([usual()], world.head, {}, no_pause) as workspace:
        looked = when(workspace)
    with world.opened(usual()) as workspace:
        made = when(workspace)
    with looking.open([usual()], world.head, {}, no_pause) as workspace:
        assert when(workspace) == made
    assert made != looked


def test_a_proposal_that_changes_a_key_has_one_of_its_own(world: World) -> None:
    (before,) = world.checked(["made/bin/tool"], usual())
    (proposed,) = world.checked(["made/bin/tool"], usual(), lock="three")
    (after,) = world.checked(["made/bin/tool"], usual(), other="x")
    assert [one.output for one in (before, proposed, after)] == [
        "tool of one\n",
        "tool of three\n",
        "tool of one\n",
    ]
    assert len(list((world.repo / ".git/esaa/setups").glob("*/about.json"))) == 1


def test_a_difference_holds_and_names_nothing_of_it(world: World) -> None:
    with world.opened(usual(provides=["made"])) as workspace:
        (workspace.path / "made/more").write_text("x")
        (workspace.path / "made/repository/.git").mkdir(parents=True)
        (workspace.path / "work.txt").write_text("x")
        diff = workspace.diff(1000)
        ignored = world.git(workspace.path, "status", "--porcelain", "--untracked-files=all")
    assert [update["path"] for update in diff.updates] == ["work.txt"]
    assert (diff.fault, list(diff.left_out)) == (None, [])
    assert ignored == "?? work.txt"


def test_a_folder_that_a_setup_provides_may_lie_below_others(world: World) -> None:
    world.write("deep.sh", "#!/bin/sh\nmkdir -p a/b/c && echo x > a/b/c/d && echo y > a/new\n")
    world.commit()
    with world.opened(setup({"run": ["./deep.sh"], "provides": ["a/b/c"]})) as workspace:
        assert (workspace.path / "a/b/c/d").read_text() == "x\n"
        assert not (workspace.path / "a/new").exists()
        assert list(workspace.diff(1000).updates) == []


def test_the_commands_of_a_list_run_in_order_in_one_checkout(world: World) -> None:
    both = setup(
        {"run": ["./setup.sh"], "provides": ["made"]},
        {"run": ["made/bin/sh", "-c", "echo second > made/second; echo $MODE >> made/second"]},
        {"run": ["true"], "variables": {"MODE": "{checkout}/made"}},
    )
    with world.opened(both) as workspace:
        said = (workspace.path / "made/second").read_text()
        assert said == f"second\n{workspace.path}/made\n"
        assert workspace.variables["MODE"] == f"{workspace.path}/made"


def test_it_runs_on_what_is_committed_with_the_pinned_files_over_it(world: World) -> None:
    pinned = COUNTED.replace("tool of ", "pinned tool of ")
    programs = Programs.of({"setup.sh": ("100755", pinned.encode())})
    world.write("lock", "of nobody")  # and not committed
    kind = usual()
    kind = Setup(**{n: getattr(kind, n) for n in Setup.__slots__} | {"programs": programs})
    (done,) = world.checked(["made/bin/tool"], kind)
    assert done.output == "pinned tool of one\n"


def test_a_setup_that_fails_stops_all_with_what_it_wrote(world: World) -> None:
    failing = setup({"run": ["sh", "-c", "echo no such package; exit 3"], "provides": ["made"]})
    with pytest.raises(SetupFailed) as caught, world.opened(failing):
        pass
    assert caught.value.message == (
        "the setup of kind 'impl' failed at 'sh -c echo no such package; exit 3'"
    )
    assert caught.value.cause == "it left with exit status 3: no such package"
    with pytest.raises(SetupFailed):
        world.checked(["true"], failing)
    assert not list((world.repo / ".git/esaa/setups").glob("*/about.json"))


def test_a_setup_that_fails_on_what_is_proposed_is_for_the_agent_to_hear(world: World) -> None:
    picky = setup(
        {"run": ["grep", "-v", "bad", "lock"], "keys": ["lock"]},
        {"run": ["./setup.sh"], "provides": ["made"]},
    )
    assert world.checked(["made/bin/tool"], picky)[0].passed
    (done,) = world.checked(["made/bin/tool"], picky, lock="bad\n")
    assert (done.name, done.passed) == ("tests", False)
    assert done.reason == "the setup 'grep -v bad lock' failed: it left with exit status 1"


def test_what_is_not_made_is_said(world: World) -> None:
    idle = setup({"run": ["true"], "provides": ["made"]})
    with pytest.raises(SetupFailed) as caught, world.opened(idle):
        pass
    assert "'made' is not there" in str(caught.value.cause)


def test_a_pipe_is_not_taken(world: World) -> None:
    odd = setup({"run": ["sh", "-c", "mkdir made; mkfifo made/pipe"], "provides": ["made"]})
    with pytest.raises(SetupFailed) as caught, world.opened(odd):
        pass
    assert "'made/pipe' is no file, folder or link" in str(caught.value.cause)


def test_no_link_is_followed_to_take_anything(world: World, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("secret")
    away = setup({"run": ["ln", "-s", str(tmp_path / "secret"), "made"], "provides": ["made/key"]})
    with pytest.raises(SetupFailed) as caught, world.opened(away):
        pass
    assert "'made/key' does not lie in a folder" in str(caught.value.cause)


def test_a_tree_that_holds_what_is_provided_is_refused(world: World) -> None:
    world.write("made/by/hand", "x")
    world.commit()
    refused = pytest.raises(AgentError, match="provides 'made/by/hand', which the tree holds")
    with refused, world.opened(usual()):
        pass


def test_two_setups_may_not_provide_one_path(world: World) -> None:
    other = setup_of([{"run": ["true"], "provides": ["made/more"]}], "agent 'a'", "x")
    assert other is not None
    with pytest.raises(AgentError, match="kind 'impl' and of agent 'a' both provide 'made/more'"):
        world.environments().ready([usual(), other])


def test_a_program_that_is_missing_is_said_before_anything_runs(world: World) -> None:
    with pytest.raises(AgentError, match="the setup of kind 'impl': no program 'no-such-tool'"):
        world.environments().ready([setup({"run": ["no-such-tool"], "provides": ["made"]})])


@pytest.mark.skipif(strongest() == "none", reason="programs cannot be confined on this machine")
def test_a_setup_reaches_nothing_that_it_was_not_given(world: World, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/one").write_text("wheel")
    wanted = str(tmp_path / "wheels")
    copy = {"run": ["cp", "-r", wanted, "made"], "provides": ["made"]}
    with pytest.raises(SetupFailed), world.opened(setup(copy)):
        pass
    with world.opened(setup({**copy, "read": [wanted]})) as workspace:
        assert (workspace.path / "made/one").read_text() == "wheel"
    # Who works after it may read it as well.
    (done,) = world.checked(["cat", f"{wanted}/one"], setup({**copy, "read": [wanted]}))
    assert done.output == "wheel"
    write = setup({"run": ["touch", str(world.repo / ".git/x")], "provides": ["made"]})
    with pytest.raises(SetupFailed), world.opened(write):
        pass
    assert not (world.repo / ".git/x").exists()


def test_what_it_was_given_is_not_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDEX_TOKEN", "very-secret-word")
    telling = {"run": ["sh", "-c", "echo $INDEX_TOKEN; exit 1"], "env": ["INDEX_TOKEN"]}
    given = setup({**telling, "provides": ["made"]})
    with pytest.raises(SetupFailed) as caught, world.opened(given):
        pass
    assert "very-secret-word" not in caught.value.output + str(caught.value.cause)


def test_a_check_shows_nothing_of_what_its_setup_was_given(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INDEX_TOKEN", "very-secret-word")
    world.write("lock", "echo nothing > made")
    world.commit()
    setups = setup(
        {"run": ["sh", "lock"], "keys": ["lock"], "provides": ["made"], "env": ["INDEX_TOKEN"]}
    )
    show = ["sh", "-c", "cat made; false"]
    (done,) = world.checked(show, setups, lock="echo $INDEX_TOKEN > made")
    assert done.output == "[redacted]\n"
    # Nor where the name of what it leaves tells it.
    (done,) = world.checked(show, setups, lock="mkdir made; mkfifo made/$INDEX_TOKEN")
    assert "made/[redacted]" in done.reason
    (done,) = world.checked(show, setups, lock="cat made 2>/dev/null; echo $INDEX_TOKEN; exit 1")
    assert done.output == "[redacted]\n"


def test_a_folder_of_path_that_a_program_may_write_opens_nothing(
    world: World, tmp_path: Path
) -> None:
    """A virtual environment's own word for where it comes from is one of the checkout's."""
    prefix = tmp_path / "prefix"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "lib").mkdir()
    (prefix / "lib/secret").write_text("secret")
    made = tmp_path / "made"
    (made / "bin").mkdir(parents=True)
    (made / "pyvenv.cfg").write_text(f"home = {prefix}/bin\n")
    env = {"PATH": f"{made}/bin:/usr/bin:/bin"}
    rules = confinement.Rules((), (made,))
    if strongest() == "none":
        pytest.skip("programs cannot be confined on this machine")
    outcome = confinement.run(
        confinement.choose("auto"),
        ["/bin/cat", str(prefix / "lib/secret")],
        rules=rules,
        cwd=made,
        env=env,
        body=b"",
        max_output_bytes=1000,
        until=float("inf"),
        pause=no_pause,
    )
    assert (outcome.output, outcome.status != 0) == (b"", True)


def test_an_agents_interpreter_is_none_that_a_setup_provides(world: World) -> None:
    fake = {
        "run": ["sh", "-c", "mkdir -p made/bin; cp /bin/true made/bin/python3"],
        "provides": ["made"],
        "path": ["made/bin"],
    }
    script = world.repo / "agent.py"
    with world.opened(setup(fake)) as workspace:
        assert workspace.variables["PATH"].startswith(f"{workspace.path}/made/bin:")
        for first, words in (
            ("#!/usr/bin/env python3", []),
            ("#!/usr/bin/env -S python3 -I", ["-I"]),
        ):
            script.write_text(f"{first}\n")
            program, *rest = started([str(script), "argument"], workspace)
            assert not program.startswith(str(workspace.path))
            assert (Path(program).name, rest) == ("python3", [*words, str(script), "argument"])
        script.write_text(f"#!{sys.executable}\n")
        assert started([str(script)], workspace) == [str(script)]


def test_what_is_kept_is_bounded_and_goes_when_nobody_uses_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.opened(usual()):
        pass
    assert world.kept.tidy() == []
    with world.opened(usual()), monkeypatch.context() as patch:
        patch.setattr(kept, "MOST_KEPT_BYTES", 10)
        (said,) = world.kept.tidy()
        assert said.startswith("removed a kept setup of ")
    folder = world.repo / ".git/esaa/setups"
    assert list(folder.iterdir()) == []
    with world.opened(usual()):
        pass
    (about,) = folder.glob("*/about.json")
    old = about.stat().st_mtime - kept.KEPT_SECONDS - 100
    os.utime(about, (old, old))
    assert len(world.kept.tidy()) == 1


def test_what_is_kept_and_damaged_is_made_anew(world: World) -> None:
    with world.opened(usual()):
        pass
    (about,) = (world.repo / ".git/esaa/setups").glob("*/about.json")
    about.write_text("{")
    with world.opened(usual()) as workspace:
        assert (workspace.path / "made/bin/tool").exists()
