"""Files that a person proposes who has no orchestrator's key: signed here, judged elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from esaa_git.app.hooks import install
from esaa_git.core.refnames import proposal_ref
from esaa_git.faults import Point
from esaa_git.ports.branch import Shown
from esaa_git.ports.files import FileEntry
from esaa_git.store import refs
from esaa_git.store.branch import GitEffects
from esaa_git.store.objects import BLOB, TREE, TreeEntry, encode_tree
from esaa_git.store.repository import open_repository
from esaa_git.store.trees import GitTrees
from tests.conftest import Git
from tests.support.copies import copy_folder
from tests.support.project import Project, make_project, result, run, task, write
from tests.support.team import hook_environment

ANN, HALTED, REFUSED = "ann@example.com", 8, 7
LOG = "refs/esaa/events"
GOOD = {"name": "good", "run": ["grep", "-rq", "--include=checked.txt", "good-enough"]}


def ref(name: str, attempt: int = 1) -> str:
    return proposal_ref(LOG, name, f"{name}-A{attempt}")


@dataclass
class Two:
    """The orchestrator's clone, Ann's, and the server that both push to."""

    one: Project
    ann: Project
    server: Path
    run: Git

    def proposes(self, name: str, path: str, content: str) -> str:
        """Have Ann take a task and propose one file, and return what she is told."""
        self.ann.ok("claim", name)
        self.ann.write(path, content)
        return self.ann.ok("complete", name, path, "--summary", "mine")

    def runs(self, code: int = 0, *arguments: str) -> str:
        """Have the orchestrator's clone take what is on the server in and go on."""
        self.one.ok("sync")
        said = self.one.esaa("run", *arguments)
        assert said.code == code, said
        return said.err


def begin(folder: Path, git: Git, *tasks: dict[str, Any]) -> Project:
    """Make a project whose run is open, and in which Ann is a contributor."""
    limits = {"limits__max_file_bytes": 5000}
    seed = {"src/old.txt": "old\n"}
    project = make_project(
        folder / "one",
        git,
        task("T-0"),
        *tasks,
        seed=seed,
        policy=limits,
        kinds={"impl": {"write": ["src/**"]}},
    )
    project.person(ANN)
    project.answer("T-0", result("T-0", write("src/zero.txt", "0\n")))
    project.commit("People, answers")
    project.ok("run", "--task", "T-0")
    return project


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Path:
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        hook_environment(patch)
        tasks = [task("T-1"), task("T-2", review=True), task("T-3", checks=[GOOD])]
        one = begin(folder, git, *tasks)
        server = folder / "server.git"
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(server))
        install(open_repository(server), "pre-receive")
        one.git("remote", "add", "origin", "../server.git")
        one.ok("push")
        said = run("clone", str(server), str(folder / "ann"))
        assert said.code == 0, said.err
    return folder


@pytest.fixture
def two(shared: Path, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> Two:
    hook_environment(monkeypatch)
    for name in ("one", "ann", "server.git"):
        copy_folder(shared / name, tmp_path / name)
    one, ann = Project(tmp_path / "one", git), Project(tmp_path / "ann", git)
    one.agree()
    ann.git("remote", "set-url", "origin", "../server.git")
    ann.git("config", "esaa.approverKey", str(tmp_path / "one/.git/people" / ANN))
    return Two(one, ann, tmp_path / "server.git", git)


# -- through a server with the hook -------------------------------------------------------------


def test_files_of_a_person_alone_arrive_as_an_effect(two: Two) -> None:
    assert "git esaa push" in two.proposes("T-1", "src/mine.txt", "mine\n")
    said = two.ann.payloads("agent.result")[-1]
    assert said["proposal"]["commit"] == two.ann.head(ref("T-1"))
    assert two.ann.chain()[-1].event.actor == ANN
    two.ann.check()
    two.ann.ok("push")
    assert two.run(two.server, "rev-parse", ref("T-1")) == said["proposal"]["commit"]
    two.one.ok("remote", "setup", "origin")
    two.one.ok("run", "--remote", "origin", "--task", "T-1")
    done = two.one.task("T-1")
    assert done.state == "done"
    assert two.one.git("show", "main:src/mine.txt") == "mine"
    assert two.one.git("log", "-1", "--format=%an <%ae>", "main").endswith(f"<{ANN}>")
    two.one.check()
    two.one.ok("push")
    assert "/proposals/" not in two.run(two.server, "for-each-ref")
    two.ann.ok("sync")
    assert two.ann.status() == ""
    two.ann.check()


def test_the_orchestrator_runs_the_checks_and_a_person_alone_does_not(two: Two) -> None:
    two.proposes("T-3", "src/checked.txt", "bad\n")
    two.ann.ok("push")
    two.one.ok("sync")
    two.one.answer("T-3", result("T-3", write("src/checked.txt", "good-enough\n")))
    two.one.ok("run", "--task", "T-3")
    [refused] = two.one.said("output.rejected")
    assert refused["code"] == "CHECK_FAILED"
    assert refused["attempt_id"] == "T-3-A1"
    assert two.one.head(ref("T-3")) == refused["proposal"]["commit"]
    assert two.one.task("T-3").state == "done"
    two.one.check()
    two.one.ok("push")
    two.ann.esaa("sync")
    two.ann.check()


def test_a_result_that_needs_a_review_waits_for_one(two: Two) -> None:
    two.proposes("T-2", "src/seen.txt", "seen\n")
    two.ann.ok("push")
    two.one.ok("sync")
    two.one.esaa("run", "--task", "T-2")
    waiting = two.one.task("T-2")
    assert waiting.effect == "written"
    assert waiting.pending_approval == "APR-0001"
    assert two.one.actions()[-2:] == ["orchestrator.file.write", "approval.request"]
    assert ref("T-2") in two.one.ok("review", "T-2", "--json") + two.one.esaa("review", "T-2").err
    two.one.ok("review", "T-2", "--approve")
    assert two.one.git("show", "main:src/seen.txt") == "seen"
    two.one.check()


def test_a_proposal_that_has_not_arrived_keeps_nobody_else_waiting(two: Two) -> None:
    two.proposes("T-1", "src/mine.txt", "mine\n")
    two.ann.git("push", "--quiet", "origin", LOG)
    two.one.answer("T-3", result("T-3", write("src/checked.txt", "good-enough\n")))
    two.one.ok("sync")
    said = two.one.esaa("run", "--task", "T-3")
    assert "the proposal of 'T-1-A1' has not arrived" in said.err
    assert "git esaa push" in said.err
    assert two.one.task("T-3").state == "done"
    assert two.one.task("T-1").effect == "pending"
    two.one.check()
    two.one.ok("push")
    two.ann.ok("sync")
    assert ref("T-1") in two.run(two.server, "for-each-ref")
    two.runs(0, "--task", "T-1")
    assert two.one.task("T-1").state == "done"
    assert two.one.git("show", "main:src/mine.txt") == "mine"
    two.one.check()


def test_a_tree_that_the_event_does_not_name_stays_out(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = GitEffects.commit_proposal

    def lies(self: GitEffects, shown: Shown, sign: Callable[[bytes], bytes]) -> tuple[str, str]:
        return honest(self, shown, sign)[0], two.ann.head("main^{tree}")

    with monkeypatch.context() as patch:
        patch.setattr(GitEffects, "commit_proposal", lies)
        two.proposes("T-1", "src/mine.txt", "mine\n")
    said = two.ann.esaa("push")
    assert "stays here" in said.err + said.out
    assert ref("T-1") not in two.run(two.server, "for-each-ref")
    commit = two.ann.head(ref("T-1"))
    two.one.git("fetch", "--quiet", "../ann", ref("T-1"))
    assert two.one.head(f"{commit}^{{commit}}") == commit
    two.one.answer("T-1", result("T-1", write("src/other.txt", "x\n")))
    two.runs(0, "--task", "T-1")
    [refused] = two.one.said("output.rejected")
    assert (refused["code"], refused["attempt_id"]) == ("INVALID_VALUE", "T-1-A1")
    assert "names the tree" in refused["message"]
    two.one.check()


def test_what_others_overtook_is_proposed_again(two: Two) -> None:
    """Ann's claim and result are decided again after others', and so is their commit."""
    two.one.ok("claim", "T-1")
    two.one.ok("task", "release", "T-1", "--reason", "no time")
    two.one.ok("push")
    two.proposes("T-1", "src/mine.txt", "mine\n")
    two.ann.ok("sync")
    again = two.ann.head(ref("T-1", 2))
    assert two.ann.payloads("agent.result")[-1]["proposal"]["commit"] == again
    assert two.run(two.server, "rev-parse", ref("T-1", 2)) == again
    assert ref("T-1") not in two.run(two.server, "for-each-ref")
    two.ann.check()
    # And so is what the orchestrator took from it.
    two.one.ok("sync")
    two.ann.ok("claim", "T-2")
    two.ann.ok("push")
    two.one.ok("run", "--task", "T-1")
    two.one.ok("sync")
    assert two.one.task("T-1").state == "done"
    assert two.one.task("T-2").state == "in_progress"
    assert two.one.git("show", "main:src/mine.txt") == "mine"
    two.one.check()


@pytest.mark.parametrize("point", [Point.REF_MOVED, Point.LOG_MOVED])
def test_who_dies_between_the_two_refs_leaves_no_event_without_its_ref(
    two: Two, monkeypatch: pytest.MonkeyPatch, point: Point
) -> None:
    two.ann.ok("claim", "T-1")
    two.ann.write("src/mine.txt", "mine\n")
    complete = ("complete", "T-1", "src/mine.txt", "--summary", "mine")
    before = two.ann.tip()

    def die(reached: Point) -> None:
        if reached == point:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(refs, "reach", die)
        assert two.ann.esaa(*complete).code != 0
    assert ref("T-1") in two.ann.refs()
    assert (two.ann.tip() == before) == (point == Point.REF_MOVED)
    two.ann.ok(*complete)
    assert two.ann.payloads("agent.result")[-1]["proposal"]["commit"] == two.ann.head(ref("T-1"))
    two.ann.check()


# -- a client that judges nothing ---------------------------------------------------------------


def with_file(path: str, content: bytes = b"x\n", mode: str = "100644") -> Any:
    def change(project: Project, shown: Shown) -> Shown:
        oid = project.repository.put(BLOB, content)
        return replace(shown, changes={**shown.changes, path: FileEntry(mode, oid)})

    return change


def other_base(project: Project, shown: Shown) -> Shown:
    return replace(shown, parent=project.head("main~1"))


def bomb(project: Project, shown: Shown) -> Shown:
    """Folders that hold no file, and each the next one twenty times."""
    repository = project.repository
    tree = repository.put(TREE, b"")
    for _ in range(8):
        names = {f"d{number:02}": TreeEntry("40000", tree) for number in range(20)}
        tree = repository.put(TREE, encode_tree(names))
    return replace(shown, changes={**shown.changes, "src/bomb": FileEntry("40000", tree)})


FORGED: Mapping[str, tuple[Callable[[Project, Shown], Shown], str]] = {
    "outside": (with_file("elsewhere/x.txt"), "BOUNDARY_VIOLATION"),
    "protected": (with_file(".roadmap/plan.yaml"), "PATH_PROTECTED"),
    "runs-by-itself": (with_file(".github/workflows/x.yml"), "PATH_PROTECTED"),
    "link": (with_file("src/link", b"/etc/passwd", "120000"), "PATH_NOT_A_FILE"),
    "folded": (with_file("src/OLD.txt"), "DUPLICATE_PATH"),
    "large": (with_file("src/large.txt", b"x" * 6000), "FILE_TOO_LARGE"),
    "not-named": (with_file("src/more.txt"), "INVALID_VALUE"),
    "other-base": (other_base, "BASE_MISMATCH"),
    "bomb": (bomb, "INVALID_VALUE"),
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Project:
    """A project in which Ann's client proposed all of that, and the orchestrator's run met it."""
    folder = tmp_path_factory.mktemp("judged")
    with pytest.MonkeyPatch.context() as patch:
        project = begin(folder, git, *(task(name) for name in FORGED), task("T-9"))
        key = project.setting("esaa.signingKey")
        project.git("config", "--unset", "esaa.signingKey")
        honest = GitEffects.commit_proposal
        for name, (change, _) in FORGED.items():
            with patch.context() as forging:
                forging.setattr(
                    GitEffects,
                    "commit_proposal",
                    lambda self, shown, sign, change=change: honest(
                        self, change(project, shown), sign
                    ),
                )
                ann = project.path / ".git/people" / ANN
                project.git("config", "esaa.approverKey", str(ann))
                project.ok("claim", name)
                project.write(f"src/{name}.txt", "mine\n")
                project.ok("complete", name, f"src/{name}.txt", "--summary", "mine")
        project.git("config", "esaa.signingKey", key)
        project.answers(**{"T-9": result("T-9", write("src/nine.txt", "9\n"))})
        project.ok("run", "--task", "T-9")
    return project


@pytest.mark.parametrize("what", FORGED)
def test_nothing_of_a_persons_clone_is_believed(judged: Project, what: str) -> None:
    _, code = FORGED[what]
    [refused] = [one for one in judged.said("output.rejected") if one["attempt_id"] == f"{what}-A1"]
    assert refused["code"] == code
    assert judged.task(what).state == "todo"


def test_the_record_of_it_is_sound(judged: Project) -> None:
    assert judged.task("T-9").state == "done"
    assert judged.status() == "" or "src/" in judged.status()
    judged.check()


def test_what_two_commits_differ_in_is_what_git_says(tmp_path: Path, git: Git) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(tmp_path / "one"))
    project = Project(tmp_path / "one", git)
    for path in ("a", "d/b", "d/e/f", "g", "h/i"):
        project.write(path, f"{path}\n")
    project.commit("First")
    for path in ("a", "d/e/f", "g"):
        (project.path / path).unlink()
    (project.path / "d/e").rmdir()
    project.write("a/deep/er", "a\n")
    project.write("d/e", "now a file\n")
    project.write("h/i", "h/i\n", executable=True)
    (project.path / "link").symlink_to("a")
    project.commit("Second")
    raw = project.git("diff", "--raw", "--no-abbrev", "--no-renames", "main~1", "main")
    expected = {}
    for line in raw.splitlines():
        what, path = line.split("\t")
        fields = what.split(" ")
        expected[path] = None if fields[4] == "D" else (fields[1], fields[3])
    found = {
        path: None
        if after is None
        else (getattr(after, "mode", "120000"), getattr(after, "oid", ""))
        for path, after in GitTrees(project.repository).changes(
            project.head("main~1"), project.head("main")
        )
    }
    expected["link"] = ("120000", "")
    assert found == expected
