"""Every fault point, in every kind of transition: killed, reopened, and as if nothing had been.

A command that records one transaction either recorded it or not: the log ends where it began or
where the command that was not killed brought it, with the same commit ids, and nowhere else. The
next command finishes the rest. Branch, files and index are then those of the undisturbed run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from esaa_git.faults import Point, arm
from esaa_git.store.residue import find
from tests.conftest import Git
from tests.faults.kills import KILLED, Life, Moment, copied, live, standing
from tests.support import team
from tests.support.project import (
    Clock,
    Project,
    Said,
    edit,
    fix_log_id,
    make_project,
    result,
    run,
    task,
    write,
)
from tests.support.team import Team

ALICE = ("--as", "alice")
EVERYTHING = (
    write("src/new/a.txt", "added\n"),
    edit("src/edited.txt", "old", "new"),
    {"op": "delete", "path": "src/deleted.txt"},
    {"op": "rename", "from": "src/before.txt", "path": "src/after/renamed.txt"},
    {"op": "chmod", "path": "src/tool.sh", "executable": True},
)
SEED = {
    "src/edited.txt": "old\n",
    "src/deleted.txt": "to go\n",
    "src/before.txt": "one\ntwo\nthree\n",
    "src/tool.sh": "#!/bin/sh\n",
}

Step = Callable[[Project], Said]


def _submit(task_id: str, *updates: object, attempt: int = 1) -> Step:
    envelope = result(task_id, *updates, attempt_id=f"{task_id}-A{attempt}")  # type: ignore[arg-type]
    return lambda project: project.esaa("submit", "-", *ALICE, stdin=json.dumps(envelope))


def _do(*arguments: str) -> Step:
    return lambda project: project.esaa(*arguments)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of transition: what leads to it, the command itself, and the code it ends with."""

    name: str
    before: tuple[Step, ...]
    act: Step
    code: int = 0
    has_effect: bool = False
    then: Step | None = None
    """What finishes it where a decision is on record and nothing follows from it yet."""


_APPLY, _CLAIM = _do("plan", "apply"), _do("claim", "T-1", *ALICE)
_LOW = ("issue", "report", "--severity", "low", "--title", "odd")

KINDS = [
    Kind("the plan is applied", (), _APPLY),
    Kind("a task is claimed", (_APPLY,), _CLAIM),
    Kind("a result changes files", (_APPLY, _CLAIM), _submit("T-1", *EVERYTHING), 0, True),
    Kind("a result changes nothing", (_APPLY, _CLAIM), _submit("T-1")),
    Kind("a submission is rejected", (_APPLY, _CLAIM), _submit("T-1", write(".git/x", "x")), 7),
    Kind(
        "a review approves",
        (_APPLY, _do("claim", "T-R", *ALICE), _submit("T-R", *EVERYTHING)),
        _do("review", "T-R", "--approve"),
        0,
        True,
        _do("run", "--task", "T-R", "--steps", "1"),
    ),
    Kind(
        "a review sends back",
        (_APPLY, _do("claim", "T-R", *ALICE), _submit("T-R", *EVERYTHING)),
        _do("review", "T-R", "--request-changes", "more"),
        then=_do("note", "T-1", "seen"),
    ),
    Kind("an issue is reported", (_APPLY, _CLAIM), _do(*_LOW, "--task", "T-1")),
    Kind(
        "a hotfix is opened",
        (_APPLY, _CLAIM, _submit("T-1"), _do(*_LOW, "--task", "T-1")),
        _do("hotfix", "T-1", "--issue", "ISS-0001", "--title", "Mend it", "--reason", "odd"),
    ),
    Kind("a task is released", (_APPLY, _CLAIM), _do("task", "release", "T-1", "--reason", "no")),
    Kind(
        "a done task is overridden",
        (_APPLY, _CLAIM, _submit("T-1")),
        _do("override", "T-1", "--reason", "the licence"),
    ),
]


@dataclass
class Scene:
    """A project before any event, and what is made of it once a session."""

    base: Project
    git: Git
    folder: Path
    clock: Clock
    reached: dict[str, tuple[Project, Project, Life]]

    def of(self, kind: Kind) -> tuple[Project, Project, Life]:
        """Return the project before the command, after it, and the points that it came to."""
        if kind.name not in self.reached:
            number = len(self.reached)
            before = copied(self.base, self.folder / f"before-{number}", self.git)
            for step in kind.before:
                said = step(before)
                assert said.code == 0, said
            after = copied(before, self.folder / f"after-{number}", self.git)
            life = live(lambda: kind.act(after))
            assert life.status == kind.code
            after.check()
            self.reached[kind.name] = before, after, life
        return self.reached[kind.name]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Iterator[Scene]:
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock().install(patch)
        fix_log_id(patch, "0123456789abcdef" * 2, draw=bytes)  # nothing is left to chance
        folder = tmp_path_factory.mktemp("kills")
        tasks = task("T-1"), task("T-2"), task("T-R", review=True)
        base = make_project(folder / "base", git, *tasks, seed=SEED, agents=["alice"])
        base.answers(T_2=result("T-2", *EVERYTHING), T_1=result("T-1"), T_R=result("T-R"))
        base.commit("Answers")
        yield Scene(base, git, folder, clock, {})


def _some(life: Life) -> list[Moment]:
    """Return each point once, and of the objects one in the middle."""
    moments = life.moments
    objects = [moment for moment in moments if moment[0] == Point.OBJECT_WRITTEN]
    chosen = [moment for moment in moments if moment[0] != Point.OBJECT_WRITTEN and moment[1] < 3]
    return objects[len(objects) // 2 :][:1] + chosen


def _kill_and_compare(scene: Scene, kind: Kind, moment: Moment, place: Path) -> None:
    before, after, _ = scene.of(kind)
    project = copied(before, place, scene.git)
    life = live(lambda: kind.act(project), until=moment)
    assert life.status == KILLED, moment
    tip = project.tip()
    if kind.then is not None and tip not in (before.tip(), after.tip()):
        # The decision is one transaction, and what the orchestrator makes of it another.
        assert project.actions()[-1].startswith("approval."), moment
        kind.then(project)
        assert project.task("T-R").state == after.task("T-R").state, moment
        assert project.files(inside_git=()) == after.files(inside_git=()), moment
        project.check()
        return
    assert tip in (before.tip(), after.tip()), moment
    is_recorded = tip == after.tip()
    had_journal = (project.path / ".git/esaa/followup.json").exists()
    said = project.esaa("verify") if is_recorded else kind.act(project)
    assert said.code == (0 if is_recorded else kind.code), (moment, said)
    assert "Traceback" not in said.err
    if kind.has_effect and is_recorded and had_journal:
        assert "recovered: " in said.err, (moment, said)
    if moment[0] == Point.REF_LOCKED:
        assert "freed the lock" in said.err, (moment, said)
    assert standing(project) == standing(after), moment
    project.ok("doctor", "--repair")
    assert find(project.repository) == []
    project.check()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_command_that_is_killed_at_a_fault_point_recorded_all_or_nothing(
    scene: Scene, kind: Kind, tmp_path: Path
) -> None:
    _, _, life = scene.of(kind)
    for moment in _some(life):
        _kill_and_compare(scene, kind, moment, tmp_path / "project")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_it_does_so_at_every_single_moment(scene: Scene, kind: Kind, tmp_path: Path) -> None:
    _, _, life = scene.of(kind)
    for moment in life.moments:
        _kill_and_compare(scene, kind, moment, tmp_path / "project")


def test_every_point_of_a_transaction_is_met(scene: Scene) -> None:
    """What no command comes to is not a fault point, and what is not met here is met below."""
    met = {point for kind in KINDS for point in scene.of(kind)[2].met}
    assert met == set(Point) - {
        Point.REF_MOVED,
        Point.MARK_WRITTEN,
        Point.PUSH_BEGUN,
        Point.PUSH_DONE,
    }


# ---- each checked-out path ---------------------------------------------------------------------

WRITTEN = ["src/after/renamed.txt", "src/edited.txt", "src/new/a.txt", "src/tool.sh"]


@pytest.mark.parametrize("path", WRITTEN)
def test_everything_is_killed_while_git_writes_one_path_of_a_checkout(
    scene: Scene, tmp_path: Path, path: str
) -> None:
    """Git has the file open when its filter kills the group: git, us, and itself.

    A result that changes what is under a filter is refused, so there is none before that is over.
    """
    kind = KINDS[2]
    before, after, _ = scene.of(kind)
    project = copied(before, tmp_path / "project", scene.git)
    project.git("config", "filter.fuse.smudge", f"test %f = '{path}' && kill -9 0; cat")
    attributes = project.path / ".git/info/attributes"

    def light(point: Point) -> None:
        if point == Point.INDEX_LOCKED:
            attributes.write_text("src/** filter=fuse\n")

    def act() -> Said:
        with arm(light):
            return kind.act(project)

    life = live(act)
    assert life.status == KILLED
    assert project.tip() == after.tip()
    assert (project.path / ".git/index.lock").exists()
    project.git("config", "--unset", "filter.fuse.smudge")
    attributes.unlink()

    said = project.esaa("verify")

    assert "freed the lock" in said.err
    assert "recovered: the checkout of 'main' follows" in said.err
    assert standing(project) == standing(after)
    assert find(project.repository) == []
    project.check()


# ---- commands of many transactions -------------------------------------------------------------


def _outcome(project: Project) -> object:
    state = project.state()
    tasks = {name: one.state for name, one in state.tasks.items()}
    tree = project.git("rev-parse", "main^{tree}")
    return tasks, state.run.state, tree, project.status(), project.files(inside_git=())


def _whole_run(project: Project) -> Said:
    project.esaa("run")
    project.ok("review", "T-R", "--approve")
    return project.esaa("run")


def _kill_a_run(scene: Scene, moment: Moment, place: Path, wanted: object) -> None:
    project = copied(scene.base, place, scene.git)
    life = live(lambda: _whole_run(project), until=moment)
    assert life.status == KILLED, moment
    if project.tip() is None or project.state().run.is_open:
        _finish(scene, project)
    else:
        project.ok("verify")
    assert _outcome(project) == wanted, moment
    project.check()


def _finish(scene: Scene, project: Project) -> None:
    """Run to the end; what was held when the command died comes back when its lease runs out."""
    moment = scene.clock.moment
    try:
        for _ in range(3):
            scene.clock.advance(86_400)
            said = project.esaa("run")
            if said.code == 0:
                return
            assert said.code in (8, 14), said  # a decision is all that is missing
            project.ok("review", "T-R", "--approve")
    finally:
        scene.clock.moment = moment


def _run_of(scene: Scene, place: Path) -> tuple[Life, object]:
    project = copied(scene.base, place, scene.git)
    life = live(lambda: _whole_run(project))
    assert life.status == 0
    return life, _outcome(project)


def test_a_run_that_is_killed_goes_on_where_it_was(scene: Scene, tmp_path: Path) -> None:
    """Attempts, an effect, a review, verification and the end, killed at moments spread evenly."""
    life, wanted = _run_of(scene, tmp_path / "undisturbed")
    assert Point.MARK_WRITTEN in life.met
    others = [moment for moment in life.moments if moment[0] != Point.OBJECT_WRITTEN]
    for moment in others[:: max(1, len(others) // 8)]:
        _kill_a_run(scene, moment, tmp_path / "project", wanted)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_run_goes_on_from_every_single_moment(scene: Scene, tmp_path: Path) -> None:
    life, wanted = _run_of(scene, tmp_path / "undisturbed")
    for moment in life.moments:
        _kill_a_run(scene, moment, tmp_path / "project", wanted)


def test_a_lease_that_ran_out_while_nobody_lived(scene: Scene, tmp_path: Path) -> None:
    """The timeout itself is killed at each of its points, and recorded once."""
    start = copied(scene.base, tmp_path / "start", scene.git)
    start.ok("plan", "apply")
    start.ok("claim", "T-1", *ALICE)
    moment = scene.clock.moment
    try:
        scene.clock.advance(86_400)
        probe = copied(start, tmp_path / "probe", scene.git)
        life = live(lambda: probe.esaa("run", "--task", "T-1"))
        assert life.status in (0, 8)
        for at in _some(life):
            project = copied(start, tmp_path / "project", scene.git)
            work = partial(project.esaa, "run", "--task", "T-1")
            assert live(work, until=at).status == KILLED
            scene.clock.advance(86_400)
            project.esaa("run", "--task", "T-1")
            expired = [one["attempt_id"] for one in project.payloads("attempt.timeout")]
            assert expired.count("T-1-A1") == 1, at
            assert project.task("T-1").state == "done", at
            project.check()
    finally:
        scene.clock.moment = moment


# ---- with a remote -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Iterator[Team]:
    with pytest.MonkeyPatch.context() as patch:
        team.hook_environment(patch)
        made = team.build(tmp_path_factory.mktemp("team"), git)
        made.one.ok("run", "--task", "T-2")
        yield made


def _sync(project: Project) -> Said:
    return run("-C", str(project.path), "sync")


@pytest.mark.parametrize(
    "who",
    [
        "ahead",
        pytest.param("behind", marks=pytest.mark.slow),
        pytest.param("parted", marks=pytest.mark.slow),
    ],
)
def test_a_sync_that_is_killed_is_done_again(shared: Team, tmp_path: Path, who: str) -> None:
    """Sent, or not; remembered, or not: the next sync ends where one alone would have ended."""
    begin = team.copy(shared, _folder(tmp_path / "begin"))
    if who != "ahead":
        assert _sync(begin.one).code == 0
    if who == "parted":
        begin.two.ok("run", "--task", "T-3")
    syncing = "one" if who == "ahead" else "two"
    probe = team.copy(begin, _folder(tmp_path / "probe"))
    life = live(lambda: _sync(getattr(probe, syncing)))
    assert life.status == 0
    met = {
        "ahead": {Point.PUSH_BEGUN, Point.PUSH_DONE, Point.MARK_WRITTEN},
        "behind": {Point.REF_MOVED, Point.MARK_WRITTEN},
        "parted": {Point.REF_MOVED, Point.PUSH_DONE},
    }
    assert met[who] <= set(life.met)
    for moment in (moment for moment in _some(life) if moment[1] == 1 or "object" in moment[0]):
        place = tmp_path / "killed"
        copy = team.copy(begin, _folder(place))
        work = partial(_sync, getattr(copy, syncing))
        assert live(work, until=moment).status == KILLED
        said = work()
        assert said.code == 0, (moment, said)
        for project in (copy.one, copy.two):
            assert _sync(project).code == 0
        copy.agree()


def _folder(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path
