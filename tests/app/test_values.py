"""Use cases take values and return values: nothing is printed, and nobody needs a command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from esaa_git.app import doctor, export, history, hooks, import_log, keys, rotation, sync, trust
from esaa_git.app import verify as verification
from esaa_git.app.observer import Notes
from esaa_git.app.project import Project as App
from esaa_git.core.projection import projection_hash
from esaa_git.errors import CorruptedError, MismatchError, UsageError
from tests.conftest import Git
from tests.support.logs import MadeLog, make_log
from tests.support.project import Project, make_project, result, task, write


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeLog:
    """Three tasks with a file each; the first attempt of the first one was rejected."""
    return make_log(tmp_path_factory.mktemp("values") / "log", tasks=3, rejected=1)


@pytest.fixture
def app(made: MadeLog) -> App:
    return App(made.path)


@pytest.fixture
def project(tmp_path: Path, git: Git) -> Project:
    found = make_project(tmp_path / "project", git, task("T-1"))
    found.answers(T_1=result("T-1", write("src/a.txt", "a\n")))
    return found


def printed(capfd: pytest.CaptureFixture[str]) -> str:
    return "".join(capfd.readouterr())


def test_history_is_read_without_a_word(app: App, capfd: pytest.CaptureFixture[str]) -> None:
    newest = next(iter(history.events(app)))
    oldest = next(iter(history.events(app, reverse=True)))
    last = history.show(app, "@")
    assert isinstance(last, history.ShownEvent)
    assert (oldest.event.seq, last.stored) == (1, newest)
    shown = history.show(app, "T-1000")
    assert isinstance(shown, history.ShownTask)
    assert {one.event.seq for one in shown.events} <= set(range(1, newest.event.seq + 1))
    difference = history.difference(app, "1", "@")
    patches = list(history.patches_between(app, "1", "@"))
    assert len(patches) == len(difference.files) > 0
    backwards = history.difference(app, "@", "1")
    assert [file.path for file in backwards.files] == [file.path for file in difference.files]
    replayed = history.replay(app)
    replayed.require_equal()
    assert replayed.projection_hash == export.read_models(app).projection_hash
    assert printed(capfd) == ""


def test_progress_goes_to_the_observer(made: MadeLog, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    class Told(Notes):
        def progress(self, done: int, total: int) -> None:
            told.append((done, total))

    app = App(made.path, Told())
    done, folder = export.export(app, tmp_path / "out")
    assert told[-1] == (done.events, done.events)
    assert len((folder / export.ACTIVITY).read_bytes().splitlines()) == done.events
    told.clear()
    assert verification.verify(app, full=True, jobs=1).failure is None
    # Whatever signs next finds no bar in its way.
    assert told[-1][0] >= told[-1][1]


def test_what_is_expected_is_held_against_the_log(app: App, made: MadeLog) -> None:
    assert verification.verify(app, jobs=1).failure is None
    other = verification.verify(app, genesis="0" * 40, jobs=1)
    assert other.failure is MismatchError
    with pytest.raises(UsageError, match="whole id"):
        verification.verify(app, genesis="0" * 39)


def test_a_pin_and_a_checkpoint_are_values(
    app: App, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pinned = trust.pin(app, None)
    assert trust.trusted(app).pin == pinned
    written = trust.create_checkpoint(app, output=tmp_path / "checkpoint.json")
    read = trust.read_checkpoint(written.file.read_bytes(), "checkpoint.json")
    assert (read.tip, read.signatures) == (written.checkpoint.tip, written.checkpoint.signatures)
    with pytest.raises(CorruptedError, match=r"'x' is not a checkpoint"):
        trust.read_checkpoint(b"{}", "x")
    assert printed(capfd) == ""


def test_keys_are_edited_and_the_edit_says_when_it_counts(
    project: Project, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    printed(capfd)
    app = App(project.path)
    found = [(one.state, one.configured) for one in keys.list_keys(app)]
    assert found == [
        ("pending: comes", ("esaa.signingKey",)),
        ("pending: comes", ("esaa.approverKey",)),
    ]
    made = keys.create(app, ["approver"], out=tmp_path / "key", comment="alice")
    admitted = keys.trust(app, f"{made.path}.pub", ["approver"], person="alice@example.com")
    assert (admitted.roles, admitted.changed) == (("approver",), ("allowed_signers",))
    assert keys.takes_effect(app, admitted).when == "log begins"
    assert keys.trust(app, f"{made.path}.pub", ["approver"]).changed == ()
    gone = keys.revoke(app, "alice")
    assert (gone.fingerprint, gone.is_configured) == (admitted.fingerprint, False)
    assert printed(capfd) == ""


def test_a_rotation_that_stopped_half_way_is_finished_by_the_next_call(project: Project) -> None:
    before = project.key
    begun = rotation.begin_rotation(App(project.path))
    assert begun is not None
    assert begun.changed == ("allowed_signers",)
    assert project.key == before  # nobody completed it
    assert rotation.begin_rotation(App(project.path)) is None
    assert project.signer.fingerprint == begun.new != begun.old


UNGUARDED = (
    "note: 'origin' does not guard the log 'refs/esaa/events': it takes names that nobody knows; "
    "'git esaa remote setup origin' says more"
)


def test_a_log_is_pushed_cloned_and_fetched_without_a_word(
    project: Project, tmp_path: Path, git: Git, capfd: pytest.CaptureFixture[str]
) -> None:
    project.ok("run")
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "shared.git")
    project.git("remote", "add", "origin", str(tmp_path / "shared.git"))
    printed(capfd)
    notes = Notes()
    app = App(project.path, notes)
    assert "refs/heads/main" in sync.push(app).refs
    assert notes.lines == [UNGUARDED, "note: 'origin' is set up for the log now"]
    with App(tmp_path) as start:
        cloned = sync.clone_repository(start, str(tmp_path / "shared.git"), "copy")
        result = sync.take_log(cloned)
        assert (cloned.folder, result.relation, result.moved) == (tmp_path / "copy", "none", True)
        seen = sync.fetch(cloned.project)
        assert (seen.remote, seen.result.relation) == ("origin", "same")
        assert json.loads(json.dumps(seen.result.to_json()))["relation"] == "same"
    synced = sync.sync(app)
    assert ([one.relation for one in synced.rounds], synced.pushed) == (["same"], ())
    assert printed(capfd) == ""


def test_a_log_goes_out_and_in_again(app: App, tmp_path: Path, git: Git, made: MadeLog) -> None:
    done, folder = export.export(app, tmp_path / "out")
    git(tmp_path, "init", "--quiet", "copy")
    git(tmp_path / "copy", "config", "esaa.signingKey", git(made.path, "config", "esaa.signingKey"))
    taken = import_log.import_into(App(tmp_path / "copy"), folder)
    assert taken.events == done.events
    assert taken.projection_hash == projection_hash(app.log.load()[0])


def test_a_repository_is_examined_and_its_hooks_are_put_in_place(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    printed(capfd)
    levels = {one.level for one in doctor.examine(App(project.path))}
    assert levels <= {"ok", "note"}
    app = App(project.path)
    assert not hooks.check_all(app.repository, server=False).is_sound
    (installed,) = hooks.install_all(app.repository, server=False)
    assert installed.name == "pre-push"
    assert list(hooks.uninstall_all(app.repository, server=False)) == ["pre-push"]
    assert list(hooks.uninstall_all(app.repository, server=False)) == []
    assert printed(capfd) == ""
