"""The life of a branch: what people do to one every day, and what follows from it.

One repository is made for all tests: a task was done on `feature`, a person committed on `feature`
and on `main`, and a server with the hook, which asks for every effect, has all of it.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from esaa_git.app.hooks import install
from esaa_git.store.repository import open_repository
from tests.conftest import Git
from tests.support.copies import copy_folder
from tests.support.project import Project, make_project, result, run, task, write
from tests.support.warm import environment

LOG = "refs/esaa/events"
USAGE, MISMATCH, HALTED = 2, 9, 8


@dataclass
class Scene:
    """A clone, and the server that it pushes to."""

    project: Project
    server: Path
    room: Path

    @property
    def effect(self) -> str:
        return str(self.project.task("T-1").result.effect_commit)  # type: ignore[union-attr]

    def push(self, *refspecs: str) -> str:
        """Push what the hook has to take."""
        done = self._push(*refspecs)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def refused(self, *refspecs: str) -> str:
        done = self._push(*refspecs)
        assert done.returncode != 0, done.stderr
        return done.stderr

    def _push(self, *refspecs: str) -> subprocess.CompletedProcess[str]:
        while True:
            done = subprocess.run(
                ["git", "push", "--atomic", "origin", *refspecs],
                cwd=self.project.path,
                capture_output=True,
                text=True,
                env={**os.environ, **environment()},
            )
            # A hook has no time for a stranger, however busy the machine is.
            if "known to be signed in time" not in done.stderr:
                return done

    def colleague(self) -> Project:
        said = run("clone", str(self.server), str(self.room / "colleague"))
        assert said.code == 0, said.err
        return Project(self.room / "colleague", self.project._git)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Path:
    room = tmp_path_factory.mktemp("life")
    project = make_project(room / "one", git, task("T-1"), seed={"big.bin": "big\n"})
    for name in ("T-1", "T-2"):
        project.answer(name, result(name, write(f"src/{name}.txt", f"{name}\n")))
    project.commit("Answers")
    server = room / "server.git"
    git(room, "init", "--quiet", "--bare", "--initial-branch=main", str(server))
    for name, value in {
        "esaa.requireEffects": "true",
        "receive.denyDeleteCurrent": "ignore",
    }.items():
        git(server, "config", name, value)
    project.git("remote", "add", "origin", "../server.git")
    project.git("checkout", "--quiet", "-b", "feature")
    assert "on 'feature'" in project.ok("run")
    project.write("src/person.txt", "a person's\n")
    project.commit("A person's own")
    project.git("checkout", "--quiet", "main")
    project.write("src/main.txt", "meanwhile\n")
    project.commit("Meanwhile")
    project.git("push", "--quiet", "origin", LOG, "main", "feature")
    install(open_repository(server), "pre-receive")
    return room


@pytest.fixture
def scene(made: Path, tmp_path: Path, git: Git) -> Scene:
    for name in ("one", "server.git"):
        copy_folder(made / name, tmp_path / name)
    project = Project(tmp_path / "one", git)
    for name in ("esaa.signingKey", "esaa.approverKey"):
        old = Path(project.setting(name))
        if old.is_relative_to(made):
            project.git("config", name, str(tmp_path / old.relative_to(made)))
    return Scene(project, tmp_path / "server.git", tmp_path)


# -- the ways -----------------------------------------------------------------------------------


def rename(project: Project) -> str:
    project.git("checkout", "--quiet", "feature")
    project.git("branch", "-m", "renamed")
    return "renamed"


def squash(project: Project) -> str:
    project.git("merge", "--quiet", "--squash", "feature")
    project.commit("All of feature")
    project.git("branch", "-D", "feature")
    return "main"


def squash_with_claims(project: Project) -> str:
    """As git words it by itself, and forges do: with the messages of what was squashed."""
    project.git("merge", "--quiet", "--squash", "feature")
    project.git("commit", "--quiet", "--no-edit")
    project.git("branch", "-D", "feature")
    return "main"


def rebase(project: Project) -> str:
    project.git("checkout", "--quiet", "feature")
    project.git("rebase", "--quiet", "main")
    project.git("checkout", "--quiet", "main")
    project.git("merge", "--quiet", "--ff-only", "feature")
    project.git("branch", "-d", "feature")
    return "main"


def merge_commit(project: Project) -> str:
    project.git("merge", "--quiet", "--no-ff", "--no-edit", "feature")
    project.git("branch", "-d", "feature")
    return "main"


def cherry_pick(project: Project) -> str:
    project.git("cherry-pick", "main..feature")
    project.git("branch", "-D", "feature")
    return "main"


def amend(project: Project) -> str:
    project.git("checkout", "--quiet", "feature")
    project.git("reset", "--quiet", "--hard", "HEAD~1")
    project.git("commit", "--quiet", "--amend", "--message", "Reworded")
    return "feature"


def filter_branch(project: Project) -> str:
    remove = "git rm --cached --quiet --ignore-unmatch big.bin"
    environ = {"FILTER_BRANCH_SQUELCH_WARNING": "1"}
    project.git("filter-branch", "--index-filter", remove, "--", "--branches", env=environ)
    return merge_commit(project)


def default_branch(project: Project) -> str:
    merge_commit(project)
    project.git("branch", "-m", "main", "trunk")
    return "trunk"


WAYS = [
    rename,
    squash,
    squash_with_claims,
    rebase,
    merge_commit,
    cherry_pick,
    amend,
    filter_branch,
    default_branch,
]
UNTOUCHED = {rename, squash, merge_commit, default_branch}
"""After these, nothing on a branch claims what the log does not know."""


@pytest.mark.parametrize("way", WAYS)
def test_the_next_run_works_where_the_person_stands(
    scene: Scene, way: Callable[[Project], str]
) -> None:
    project = scene.project
    branch = way(project)
    project.plan(task("T-1"), task("T-2"))
    project.git("commit", "--quiet", "--all", "--message", "One more")
    said = project.esaa("run")
    assert said.code == 0, said
    assert f"started on '{branch}'" in said.err
    assert f"on '{branch}'" in said.out
    assert project.head(f"refs/heads/{branch}") == str(project.task("T-2").result.effect_commit)  # type: ignore[union-attr]
    project.ok("verify", "--full", "--strict")


@pytest.mark.parametrize("way", WAYS)
def test_verify_the_hook_and_a_clone_are_of_one_mind(
    scene: Scene, way: Callable[[Project], str]
) -> None:
    project = scene.project
    branch = way(project)
    gone = [name for name in ("main", "feature") if not _has(project, name)]
    pushed = [LOG, f"+{branch}", *(f":{name}" for name in gone)]
    for arguments in (("verify",), ("verify", "--full")):
        said = project.esaa(*arguments)
        assert said.code == (0 if way in UNTOUCHED else MISMATCH), said
        assert said.code == 0 or "git esaa verify --relink --record" in said.out
    if way is squash:
        assert "lose the effect" in scene.refused(*pushed)
    elif way not in UNTOUCHED:
        assert "--relink --record" in scene.refused(*pushed)
    project.ok("verify", "--relink", "--record")
    project.ok("verify", "--full", "--strict")
    scene.push(*pushed)
    if gone:
        project.git("--git-dir", str(scene.server), "symbolic-ref", "HEAD", f"refs/heads/{branch}")
    colleague = scene.colleague()
    colleague.ok("verify", "--full", "--strict")


def _has(project: Project, branch: str) -> bool:
    return f"refs/heads/{branch}" in project.refs()


# -- where a run works --------------------------------------------------------------------------


def plan_more(project: Project) -> None:
    project.plan(task("T-1"), task("T-2"), task("T-3", depends_on=["T-2"]))
    project.answer("T-3", result("T-3", write("src/T-3.txt", "T-3\n")))
    project.commit("More to do")


@pytest.fixture
def half_done(scene: Scene) -> Scene:
    """A run is open on `feature`, and `main` is checked out."""
    project = scene.project
    project.git("checkout", "--quiet", "feature")
    plan_more(project)
    said = project.esaa("run", "--steps", "1")
    assert "on 'feature'; the run goes on" in said.out, said
    assert "checked out" not in project.ok("status")
    project.git("checkout", "--quiet", "main")
    project.git("checkout", "--quiet", "feature", "--", ".")
    project.git("commit", "--quiet", "--message", "The plan, here too")
    return scene


@pytest.mark.parametrize("command", ["run", "run --dry-run", "plan apply", "run --branch main"])
def test_an_open_run_elsewhere_is_said_before_anything_happens(
    half_done: Scene, command: str
) -> None:
    project = half_done.project
    before = project.refs()
    message = project.fails(HALTED, *command.split())
    assert "RUN-0002 is open and works on 'feature', and not on 'main'" in message
    assert "git esaa run --branch feature" in message
    assert "git esaa plan apply --restart --branch main" in message
    assert project.refs() == before
    assert "'git esaa run --branch feature' goes on with it" in project.ok("status")


def test_both_ways_on_from_an_open_run_elsewhere_lead_on(half_done: Scene) -> None:
    project = half_done.project
    main = project.head()
    assert "on 'feature'" in project.ok("run", "--branch", "feature", "--steps", "1")
    assert project.head() == main
    said = project.esaa("plan", "apply", "--restart", "--branch", "main")
    assert "RUN-0003 started on 'main'" in said.out, said
    assert "on 'main'" in project.ok("run")


@pytest.mark.parametrize(("name", "code"), [("nowhere", HALTED), ("bad..name", USAGE)])
@pytest.mark.parametrize("command", ["run", "plan apply --restart"])
def test_no_run_ends_for_a_branch_that_is_not_there(
    half_done: Scene, command: str, name: str, code: int
) -> None:
    project = half_done.project
    before = project.refs()
    message = project.fails(code, *command.split(), "--branch", name)
    assert f"'{name}'" in message
    assert "--restart" not in message
    assert project.refs() == before


@pytest.mark.parametrize("command", ["run", "plan apply"])
def test_an_open_run_whose_branch_was_renamed_goes_on_under_the_new_name(
    half_done: Scene, command: str
) -> None:
    project = half_done.project
    project.git("branch", "-m", "feature", "other")
    project.git("checkout", "--quiet", "other")
    assert "'feature' is gone, and the next run ends this one" in project.ok("status")
    said = project.esaa(*command.split())
    assert said.code == 0, said
    assert "on 'other'" in said.out
    ended = project.payloads("run.end")[-1 - (command == "run")]
    assert (ended["result"], ended["reason"]) == ("halted", "its branch 'feature' is gone")
    project.ok("run") if command != "run" else None
    assert project.task("T-3").is_done
    project.ok("verify", "--full", "--strict")


def test_a_detached_head_goes_on_with_an_open_run_and_begins_none(half_done: Scene) -> None:
    project = half_done.project
    project.git("checkout", "--quiet", "--detach")
    assert "on 'feature'" in project.ok("run")
    project.plan(task("T-1"), task("T-2"), task("T-3"), task("T-4"))
    message = project.fails(3, "run")
    assert "HEAD is detached" in message
    assert "--branch" in message


# -- work that is on no branch any more ---------------------------------------------------------


def test_work_that_was_dropped_stops_everything_until_an_admin_gives_it_up(scene: Scene) -> None:
    project, effect = scene.project, scene.effect
    project.git("branch", "-D", "feature")
    project.git("update-ref", "-d", "refs/remotes/origin/feature")
    plan_more(project)
    before = project.tip()
    for arguments in ((), ("--full",), ("--relink",)):
        said = project.esaa("verify", *arguments)
        assert said.code == MISMATCH, said
        assert "it is not on the branch 'feature', nor on any other" in said.out
        assert f"git esaa verify --relink --record --accept {effect[:12]}" in said.out
    message = project.fails(MISMATCH, "run")
    assert "log and branch do not agree" in message
    assert f"--accept {effect[:12]}" in message
    assert project.tip() == before
    assert "lose the effect" in scene.refused(":feature")
    said = project.esaa("verify", "--relink", "--record", "--accept", effect[:12])
    assert said.code == 0, said
    assert "is given up" in said.out
    last = project.chain()[-1].event
    assert (last.actor, last.payload.how) == ("person@example.com", "lost")  # type: ignore[union-attr]
    assert "on 'main'" in project.ok("run")
    project.ok("verify", "--full", "--strict")
    scene.push(LOG, "main", ":feature")
    scene.colleague().ok("verify", "--full", "--strict")


def test_a_server_keeps_the_last_branch_with_a_commit_that_carries_an_effect(
    scene: Scene,
) -> None:
    project = scene.project
    squash(project)
    project.ok("verify", "--relink", "--record")
    scene.push(LOG, "main", ":feature")
    for refspec in (":main", "+main~1:main"):
        assert "lose the effect" in scene.refused(refspec)
    scene.push("main:kept", "+main~1:main")
    assert "lose the effect" in scene.refused(":kept")


def test_what_was_lost_on_the_branch_of_an_earlier_run_is_found_from_the_mark(
    scene: Scene,
) -> None:
    project = scene.project
    plan_more(project)
    project.ok("run")
    project.ok("verify")
    project.git("branch", "-D", "feature")
    project.git("update-ref", "-d", "refs/remotes/origin/feature")
    assert "T-1" in project.esaa("verify").out
    assert project.esaa("verify").code == MISMATCH


def test_what_the_branch_of_the_run_lost_here_is_not_found_at_a_remote(scene: Scene) -> None:
    project = scene.project
    project.git("checkout", "--quiet", "feature")
    project.git("reset", "--quiet", "--hard", "HEAD~2")
    plan_more(project)
    for arguments in ((), ("--full",)):
        assert project.esaa("verify", *arguments).code == MISMATCH
    project.fails(MISMATCH, "run", "--branch", "feature")


# -- a job of a forge ---------------------------------------------------------------------------


@pytest.fixture
def job(scene: Scene, git: Git) -> Project:
    """What a forge gives to a job: a commit that is checked out, and no branch at all."""
    project = scene.project
    merge_commit(project)
    scene.push(LOG, "main", ":feature")
    git(scene.room, "clone", "--quiet", "--no-checkout", str(scene.server), "job")
    job = Project(scene.room / "job", git)
    job.git("fetch", "--quiet", "origin", f"{LOG}:{LOG}")
    job.git("checkout", "--quiet", "--detach", "origin/main")
    job.git("branch", "-D", "main")
    return job


def test_a_job_checks_the_commit_that_is_checked_out(job: Project) -> None:
    assert "effects match 'origin/main'" in job.ok("verify", "--full", "--strict")


@pytest.mark.parametrize("has_branch", [True, False])
def test_a_job_sees_what_is_wrong_with_the_default_branch(job: Project, has_branch: bool) -> None:
    job.ok("verify", "--full", "--strict")
    effect = str(job.task("T-1").result.effect_commit)  # type: ignore[union-attr]
    job.git("cherry-pick", "--allow-empty", "--keep-redundant-commits", effect)
    forged, honest = job.git("rev-parse", "HEAD"), job.git("rev-parse", "HEAD~1")
    if has_branch:
        job.git("update-ref", "refs/remotes/origin/main", forged)
    said = job.esaa("verify", "--full", "--json")
    assert (said.code, said.json["commit"]) == (MISMATCH, forged), said
    lost = f"{honest}~1"
    job.git("update-ref", "refs/remotes/origin/main", lost)
    job.git("checkout", "--quiet", "--detach", lost)
    said = job.esaa("verify", "--full")
    assert said.code == MISMATCH
    assert "nor on any other" in said.out


def test_a_shallow_job_checks_what_is_there_and_says_what_is_not(
    job: Project, scene: Scene, git: Git
) -> None:
    url = f"file://{scene.server}"
    git(scene.room, "clone", "--quiet", "--depth", "1", "--no-checkout", url, "shallow")
    shallow = Project(scene.room / "shallow", git)
    shallow.git("fetch", "--quiet", "origin", f"{LOG}:{LOG}")
    shallow.git("checkout", "--quiet", "--detach", "origin/main")
    shallow.git("branch", "-D", "main")
    said = shallow.ok("verify")
    assert "effects match 'origin/main'" in said
    assert "may lie beyond" in said
    shallow.git("commit", "--quiet", "--allow-empty", "--message", f"x\n\nESAA-Event: {'1' * 40}")
    assert shallow.esaa("verify").code == MISMATCH


def test_a_clone_of_one_branch_says_which_branch_it_has_not(scene: Scene, git: Git) -> None:
    url = f"file://{scene.server}"
    git(scene.room, "clone", "--quiet", "--single-branch", url, "single")
    single = Project(scene.room / "single", git)
    single.git("fetch", "--quiet", "origin", f"{LOG}:{LOG}")
    said = single.ok("verify")
    assert "the working branch 'feature' is not here" in said
    assert "'git remote set-branches origin \"*\"', then 'git fetch origin'" in said
    assert single.esaa("verify", "--full", "--strict").code == MISMATCH
    single.git("remote", "set-branches", "origin", "*")
    single.git("fetch", "--quiet", "origin")
    single.ok("verify", "--full")


# -- the way out of a mismatch is chosen from the refs --------------------------------------------


def the_hint(project: Project, *arguments: str) -> str:
    said = project.esaa("verify", *arguments, "--json")
    assert said.code == MISMATCH, said
    return str(said.json["hint"])


def commands(hint: str) -> list[list[str]]:
    return [shlex.split(one) for one in re.findall(r"'(git (?:[^']|\"[^\"]*\")*)'", hint)]


@pytest.mark.parametrize("followed", [False, True])
@pytest.mark.parametrize("changes", [False, True])
def test_an_amended_effect_is_put_back_by_the_command_of_the_hint(
    scene: Scene, followed: bool, changes: bool
) -> None:
    project = scene.project
    project.git("checkout", "--quiet", "feature")
    project.git("reset", "--quiet", "--hard", "HEAD~1")
    if changes:
        project.write("src/T-1.txt", "amended\n")
    project.git("commit", "--quiet", "--all", "--amend", "--reset-author", "--no-edit")
    if followed:
        project.write("src/later.txt", "later\n")
        project.commit("Later")
    hint = the_hint(project)
    assert "was amended" in hint
    way = next(one for one in commands(hint) if one[1] in ("reset", "rebase"))
    project.git(*way[1:])
    if changes and not followed:
        project.git("commit", "--quiet", "--message", "Mine")
        assert project.read("src/T-1.txt") == "amended\n"
    project.ok("verify")
    assert project.git("merge-base", "--is-ancestor", scene.effect, "HEAD") == ""


@pytest.mark.parametrize("parted", [False, True])
def test_a_plain_pull_is_followed_by_the_command_that_brings_the_log(
    scene: Scene, parted: bool
) -> None:
    project, colleague = scene.project, scene.colleague()
    project.git("checkout", "--quiet", "feature")
    plan_more(project)
    project.ok("run")
    scene.push(LOG, "feature")
    colleague.git("checkout", "--quiet", "feature")
    if parted:
        (scene.server / "hooks/pre-receive").unlink()
        for key in ("esaa.signingKey", "esaa.approverKey"):
            colleague.git("config", key, project.setting(key))
        colleague.ok("task", "note", "T-1", "meanwhile")
    colleague.git("pull", "--quiet", "origin", "feature")
    colleague.git("fetch", "--quiet")
    hint = the_hint(colleague)
    way = "sync" if parted else "fetch"
    assert hint.startswith(f"run 'git esaa {way} origin'")
    assert "relink" not in hint
    colleague.ok(way, "origin")
    colleague.ok("verify")


def test_who_is_no_admin_records_what_needs_none(scene: Scene) -> None:
    project = scene.project
    rebase(project)
    key = project.setting("esaa.approverKey")
    project.git("config", "--unset", "esaa.approverKey")
    assert "recorded: 1 links" in project.ok("verify", "--relink", "--record")
    assert project.actions()[-1] == "orchestrator.view.mutate"
    assert "operator.request" not in project.actions()
    project.git("config", "esaa.approverKey", key)
    project.ok("verify", "--full", "--strict")


def test_a_copy_is_made_ones_own_as_the_hint_says_and_who_accepts_is_named(scene: Scene) -> None:
    project = scene.project
    project.git("cherry-pick", scene.effect)
    project.write("src/T-1.txt", "more\n")
    project.git("commit", "--quiet", "--all", "--amend", "--no-edit")
    hint = the_hint(project, "--relink")
    assert "an admin (person@example.com) answers for it" in hint
    refused = scene.refused("main")
    assert "'git reset --soft HEAD~1', then 'git commit'" in refused
    project.git("reset", "--quiet", "--soft", "HEAD~1")
    project.commit("Mine")
    project.ok("verify")
    scene.push("main")
