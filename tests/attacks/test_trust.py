"""Who believes which log, and why: mirrors, forks, clones of a part, rewritten branches.

Each test takes a legitimate step and sees that it took, attacks, and sees the check that catches
it, in words too, and that looking moved nothing. The attacker serves a mirror, has push rights,
writes to the disk, or holds the orchestrator's key.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from esaa_git.app.project import open_project
from esaa_git.app.trust import pin, trusted
from esaa_git.core import canonical
from esaa_git.errors import RepositoryError
from esaa_git.store.eventcommit import EventCommit
from esaa_git.store.objects import BLOB, COMMIT, TREE, object_id
from esaa_git.store.repository import open_repository
from esaa_git.store.seal import PLACES, read_sealed, write_sealed
from esaa_git.trust import sshsig
from esaa_git.trust.keys import create_key, load_signer
from esaa_git.trust.signer import KeySpec, Signer
from esaa_git.verification import checkpoint as checkpoints
from esaa_git.verification.anchor import Expected
from esaa_git.verification.audit import Auditor
from tests.conftest import Git
from tests.support import forgery
from tests.support.copies import copy_folder
from tests.support.forgery import Forger, attachments, value
from tests.support.logs import make_log
from tests.support.project import LOG, Clock, Project, make_project, result, run, task, write
from tests.support.records import payload_of

MISMATCH, CORRUPTED = 9, 10
TASKS = ("T-1000", "T-1010", "T-1020")
LINES = "".join(f"line {number}\n" for number in range(30))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Path:
    """A project whose run is finished: three effects, two of them on the same file."""
    folder = tmp_path_factory.mktemp("trust")
    create_key(folder / "keys" / "orchestrator", comment="orchestrator")
    project = make_project(
        folder / "project",
        git,
        *(task(name, depends_on=list(TASKS[:at][-1:])) for at, name in enumerate(TASKS)),
        seed={"src/long.py": LINES},
        key=folder / "keys" / "orchestrator",
    )
    change = {"op": "edit", "path": "src/long.py"}
    project.answers(
        T_1000=result("T-1000", write("src/a.py", "a = 1\n")),
        T_1010=result(
            "T-1010",
            write("src/b.py", "b = 1\n"),
            {**change, "edits": [{"old": "line 20\n", "new": "line twenty\n"}]},
        ),
        T_1020=result("T-1020", write("src/a.py", "a = 2\n")),
    )
    project.ok("run")
    project.ok("verify", "--full")
    return folder


@dataclass
class Scene:
    """The project, and room for clones of it."""

    project: Project
    room: Path
    git: Git

    @property
    def key(self) -> Signer:
        return load_signer(KeySpec("ssh", str(self.room / "keys" / "orchestrator")))

    def mirror(self, name: str = "mirror") -> Path:
        """A bare copy of the log and the branch, as a server has it."""
        place = self.room / f"{name}.git"
        self.git(self.room, "init", "--quiet", "--bare", str(place))
        self.project.git("push", "--quiet", str(place), f"{LOG}:{LOG}", "main:main")
        return place

    def clone(self, source: Path, name: str, *options: str) -> Project:
        """A clone that has fetched the log, and takes whatever the source says is the newest."""
        self.git(self.room, "clone", "--quiet", *options, f"file://{source}", name)
        clone = Project(self.room / name, self.git)
        clone.git("config", "--add", "remote.origin.fetch", "+refs/esaa/*:refs/esaa/*")
        clone.git("fetch", "--quiet", "origin")
        return clone

    def serve(self, mirror: Path, commit: str, ref: str = LOG) -> None:
        """Have the mirror show another commit, fetched from the project where it has to be."""
        self.project.git("push", "--quiet", "--force", str(mirror), f"{commit}:{ref}")

    def genesis(self) -> str:
        return self.project.chain()[0].oid


@pytest.fixture
def scene(finished: Path, tmp_path: Path, git: Git) -> Scene:
    copy_folder(finished / "project", tmp_path / "project")
    copy_folder(finished / "keys", tmp_path / "keys")
    project = Project(tmp_path / "project", git)
    project.git("config", "esaa.signingKey", str(tmp_path / "keys" / "orchestrator"))
    return Scene(project, tmp_path, git)


def local(project: Project) -> dict[str, bytes]:
    """Everything that a verification may remember."""
    folder = project.repository.esaa_dir
    names = ("verified.json", "trust.json")
    return {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}


def caught(
    project: Project, check: int, *words: str, arguments: tuple[str, ...] = (), code: int = MISMATCH
) -> dict[str, Any]:
    """Assert that `verify` fails by this check and in these words, and that nothing moved."""
    before = project.refs(), local(project)
    said = project.esaa("verify", *arguments, "--json")
    report: dict[str, Any] = said.json
    shown = said.code, report["check"], report["verify_status"], report["message"]
    assert (said.code, report["check"]) == (code, check), shown
    for word in words:
        assert word in report["message"], shown
    assert (project.refs(), local(project)) == before
    return report


def copied(scene: Scene, chain: list[EventCommit], *, log_id: str | None = None) -> Forger:
    """A forger with every key of the log who has written these events again."""
    if log_id is None:
        return Forger(scene.project, scene.key.sign).copy(chain)
    forger = Forger(scene.project, scene.key.sign, people=True)
    forger.log_id = log_id
    for found in chain:
        forger.add(found.event, attached=attachments(found), contracts=found.tree["contracts"].oid)
    return forger


def forked(scene: Scene) -> str:
    """The log with another last event, by whoever holds the key; the project's ref stays."""
    chain = scene.project.chain()
    forger = copied(scene, chain[:-1])
    return forger.add(value(chain[-1].event, payload__reason="it went otherwise"))


# -- the pin -----------------------------------------------------------------------------------


def test_trust_on_first_use_is_said_and_a_pin_takes_its_place(scene: Scene) -> None:
    clone = scene.clone(scene.mirror(), "clone")
    assert "trusted on first use" in clone.ok("verify")
    clone.forget()
    said = clone.ok("trust", "pin")
    assert scene.genesis() in said
    assert "compare the id" in said
    assert "the one that is pinned" in clone.ok("verify")
    # The mark is derived and may go; the pin is a decision and stays.
    clone.forget()
    assert clone.esaa("verify", "--json").json["trust"] == "pinned"
    assert clone.esaa("trust", "show", "--json").json["genesis"] == scene.genesis()


def test_a_log_that_is_not_the_pinned_one(scene: Scene) -> None:
    """Pinned before anything was fetched, as a build that knows the genesis does."""
    mirror = scene.mirror()
    genesis = scene.genesis()
    other = copied(scene, scene.project.chain(), log_id="e" * 32).parent
    assert other is not None
    scene.git(scene.room, "clone", "--quiet", str(mirror), "clone")
    clone = Project(scene.room / "clone", scene.git)
    clone.ok("trust", "pin", genesis)
    assert "is not here" in clone.fails(MISMATCH, "status")
    caught(clone, 1, "is pinned here, and is gone")
    clone.git("fetch", "--quiet", "origin", f"{LOG}:{LOG}")
    clone.ok("verify", "--full")
    scene.serve(mirror, other)
    clone.git("fetch", "--quiet", "origin", f"+{LOG}:{LOG}")
    clone.forget()
    caught(clone, 1, "another log", genesis[:12], "was pinned here")
    refused = clone.fails(MISMATCH, "trust", "pin", "0" * 40)
    assert "does not begin with" in refused


def test_the_genesis_that_a_build_asks_for(scene: Scene) -> None:
    project = scene.project
    project.forget()
    said = project.esaa("verify", "--genesis", scene.genesis(), "--json")
    assert (said.code, said.json["trust"]) == (0, "given")
    caught(project, 1, "another log", "was asked for", arguments=("--genesis", "f" * 40))
    # Also where nothing is checked anew.
    caught(project, 1, "was asked for", arguments=("--genesis", project.head()))
    assert "all 40 digits" in project.fails(2, "verify", "--genesis", scene.genesis()[:12])


def test_a_pin_is_not_replaced_in_passing(scene: Scene) -> None:
    project = scene.project
    project.ok("trust", "pin")
    before = local(project)
    other = copied(scene, project.chain(), log_id="e" * 32).finish()
    message = project.fails(7, "trust", "pin")
    assert "another genesis is pinned" in message
    assert local(project) == before
    caught(project, 1, arguments=("--full",))
    project.ok("trust", "pin", "--replace")
    assert other != scene.genesis()


@pytest.mark.parametrize("name", ["trust.json", "verified.json"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b"\xff\xfe",
        b"{}",
        b'{"places": []}',
        b'{"places": {"a": []}}',
        b'{"places": {"a": {"code": 1, "value": {}}}}',
        b'{"places": {"a": {"code": "", "value": []}}}',
        b'{"places": {"a": {"code": "", "value": {}, "more": 1}}}',
        b"[" * 100_000,
    ],
)
def test_an_unreadable_pin_is_an_error_and_never_ignored(
    scene: Scene, name: str, content: bytes
) -> None:
    project = scene.project
    place = project.repository.esaa_dir / name
    place.write_bytes(content)
    for command in (["verify"], ["verify", "--full"], ["trust", "show"]):
        message = project.fails(3, *command)
        assert name in message
        assert "cannot be read" in message
        assert "hint: " in message
    assert place.read_bytes() == content


@pytest.mark.parametrize("name", ["trust.json", "verified.json"])
@pytest.mark.parametrize(
    "value",
    [
        {"genesis": "xyz"},
        {"genesis": 7, "log_id": None},
        {"genesis": "a" * 40, "other": 1},
        {"genesis": "a" * 40, "log_id": "x", "tip": "../../x", "seq": 1},
        {"genesis": None, "log_id": "x", "tip": "a" * 40, "seq": 1},
        {"genesis": "a" * 40, "log_id": "x", "tip": "a" * 40, "seq": "1"},
    ],
)
def test_a_pin_of_another_form_under_our_own_code_is_an_error(
    scene: Scene, name: str, value: dict[str, Any]
) -> None:
    write_sealed(scene.project.repository.esaa_dir, name, value)
    with pytest.raises(RepositoryError, match="cannot be read"):
        trusted(open_project(scene.project.path))


# -- what was verified, by whom and where ------------------------------------------------------

MARK, PIN = "verified.json", "trust.json"


def forged_value(scene: Scene) -> dict[str, Any]:
    """What an attacker would have believed: the log up to its tip, whatever that is."""
    chain = scene.project.chain()
    return {
        "log_id": chain[0].trailers["ESAA-Log"],
        "genesis": chain[0].oid,
        "tip": chain[-1].oid,
        "seq": len(chain),
        "branch": None,
        "branch_tip": None,
        "boundary": None,
    }


def by_another_user(scene: Scene, patch: pytest.MonkeyPatch, name: str, value: Any) -> None:
    with patch.context() as other:
        other.setenv("XDG_CONFIG_HOME", str(scene.room / "another"))
        write_sealed(scene.project.repository.esaa_dir, name, value)


def moved_here(scene: Scene, patch: pytest.MonkeyPatch, name: str, value: Any) -> None:
    elsewhere = scene.room / "elsewhere" / ".git" / "esaa"
    write_sealed(elsewhere, name, value)
    shutil.copy(elsewhere / name, scene.project.repository.esaa_dir / name)


def edited(scene: Scene, patch: pytest.MonkeyPatch, name: str, value: Any) -> None:
    folder = scene.project.repository.esaa_dir
    write_sealed(folder, name, value | {"genesis": "b" * 40})
    place = folder / name
    place.write_bytes(place.read_bytes().replace(b"b" * 40, value["genesis"].encode()))


def of_another_file(scene: Scene, patch: pytest.MonkeyPatch, name: str, value: Any) -> None:
    folder = scene.project.repository.esaa_dir
    write_sealed(folder, "remotes/origin.json", value)
    shutil.copy(folder / "remotes/origin.json", folder / name)


def without_a_code(scene: Scene, patch: pytest.MonkeyPatch, name: str, value: Any) -> None:
    (scene.project.repository.esaa_dir / name).write_text(json.dumps(value))


def with_an_empty_code(scene: Scene, patch: pytest.MonkeyPatch, name: str, value: Any) -> None:
    edited(scene, patch, name, value)
    place = scene.project.repository.esaa_dir / name
    document = json.loads(place.read_bytes())
    for one in document["places"].values():
        one["code"] = ""
    place.write_text(json.dumps(document))


FORGERS = [
    by_another_user,
    moved_here,
    edited,
    of_another_file,
    without_a_code,
    with_an_empty_code,
]


@pytest.mark.parametrize("forge", FORGERS)
def test_a_mark_counts_where_and_for_whom_it_was_made(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, forge: Callable[..., None]
) -> None:
    """A forgery in the middle, which the mark says was verified; then a log that is sound."""
    project = scene.project
    (project.repository.esaa_dir / MARK).unlink(missing_ok=True)
    sound = project.tip()
    thief = forgery.new_key(scene.room, "thief")
    forgery.rewrite(
        project,
        lambda seq, made: made if seq != 5 else replace(made, message=made.message + b"x\n"),
        sign=thief.sign,
    )
    forge(scene, monkeypatch, MARK, forged_value(scene))
    report = Auditor(project.repository, jobs=1, with_branch=False).run()
    assert not report.audit.is_ok
    assert report.trust == "first-use"
    assert [note for note in report.notes if MARK in note and "counts for nothing" in note]
    forgery.point(project, str(sound))
    forge(scene, monkeypatch, MARK, forged_value(scene))
    report = Auditor(project.repository, jobs=1).run()
    assert report.audit.is_ok
    assert report.since == 0
    assert [note for note in report.notes if "everything was verified" in note]
    report = Auditor(project.repository, jobs=1).run()
    assert (report.since, report.trust, report.notes) == (
        len(project.chain()),
        "verified-before",
        [],
    )


@pytest.mark.parametrize("forge", FORGERS)
def test_a_pin_counts_where_and_for_whom_it_was_made(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, forge: Callable[..., None]
) -> None:
    project = scene.project
    forge(scene, monkeypatch, PIN, forged_value(scene))
    report = Auditor(project.repository, jobs=1).run()
    assert (report.audit.outcome, report.audit.check) == ("mismatch", 1)
    assert f"trust pin --replace {scene.genesis()}" in str(report.hint)
    given = Auditor(project.repository, jobs=1, expected=Expected(genesis=scene.genesis())).run()
    assert given.audit.is_ok
    assert [note for note in given.notes if "does not count" in note]
    pin(open_project(project.path), scene.genesis(), replace=True)
    assert Auditor(project.repository, jobs=1).run().trust == "pinned"


def test_users_and_places_stand_side_by_side(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = scene.project.repository.esaa_dir
    value = {"genesis": "a" * 40, "log_id": None}
    write_sealed(folder, PIN, value)
    by_another_user(scene, monkeypatch, PIN, {"genesis": "b" * 40, "log_id": None})
    assert read_sealed(folder, PIN).value == value
    for number in range(PLACES):
        with monkeypatch.context() as other:
            other.setenv("XDG_CONFIG_HOME", str(scene.room / str(number)))
            write_sealed(folder, PIN, value)
    assert len(json.loads((folder / PIN).read_bytes())["places"]) == PLACES
    assert read_sealed(folder, PIN).doubt == "was written by another user, or at another place"


def test_without_a_secret_everything_is_verified(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = scene.project
    Auditor(project.repository, jobs=1).run()
    for place in (scene.room / "no" / "folder", scene.room / "open"):
        monkeypatch.setenv("XDG_CONFIG_HOME", str(place))
        secret = place / "git-esaa" / "seal-secret"
        if place.name == "open":  # what others can read makes no code of ours
            secret.parent.mkdir(parents=True)
            secret.write_text("0" * 64 + "\n")
            secret.chmod(0o644)
        else:
            place.parent.write_text("a file in the way")
        report = Auditor(project.repository, jobs=1).run()
        assert report.audit.is_ok
        assert report.since == 0
        assert [note for note in report.notes if "is not remembered here" in note]
        with pytest.raises(RepositoryError, match="nothing was pinned"):
            pin(open_project(project.path), scene.genesis())


def test_a_folder_in_the_place_of_the_pin(scene: Scene) -> None:
    (scene.project.repository.esaa_dir / "trust.json").mkdir()
    assert "cannot be read" in scene.project.fails(3, "verify")


# -- a mirror ----------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [1, 10], ids=["by one", "by many"])
def test_a_mirror_rolled_back(scene: Scene, events: int) -> None:
    mirror = scene.mirror()
    known, fresh = scene.clone(mirror, "known"), scene.room / "checkpoint.json"
    known.ok("verify")
    scene.project.ok("checkpoint", "create", "--output", str(fresh))
    chain = scene.project.chain()
    scene.serve(mirror, chain[-1 - events].oid)
    known.git("fetch", "--quiet", "origin")
    assert known.tip() == chain[-1 - events].oid
    last = len(chain) - events
    for arguments in ((), ("--full",)):
        caught(known, 1, f"ends at event {last}", f"{len(chain)} events", arguments=arguments)
    # Whoever never saw the rest cannot know it from the log; a checkpoint tells.
    newcomer = scene.clone(mirror, "newcomer")
    with_checkpoint = ("--checkpoint", str(fresh))
    caught(newcomer, 1, f"ends at event {last}", "checkpoint", arguments=with_checkpoint)


def test_a_mirror_rolled_back_by_a_thousand(tmp_path: Path, git: Git) -> None:
    made = make_log(tmp_path / "origin", tasks=260, with_files=False)
    assert made.state.seq > 1001
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--mirror", str(tmp_path / "origin"), str(clone))
    known = Auditor(open_repository(clone)).run()
    assert (known.audit.outcome, known.audit.checked_to) == ("ok", made.state.seq)
    git(clone, "update-ref", LOG, f"{LOG}~1000")
    for full in (False, True):
        report = Auditor(open_repository(clone), full=full).run()
        assert (report.audit.outcome, report.audit.check) == ("mismatch", 1)
        assert f"ends at event {made.state.seq - 1000}" in report.audit.message
    git(clone, "fetch", "--quiet", "origin")
    assert Auditor(open_repository(clone), full=True).run().audit.is_ok


def test_a_mirror_that_stands_still(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = scene.clone(scene.mirror(), "clone")
    last = clone.chain()[-1].event.ts
    clock = Clock(last).install(monkeypatch)
    clock.advance(3599)
    for age in ("1h", "PT1H", "60m", "1d", "P1D", "0d1h0m0s"):
        clone.ok("verify", "--max-age", age)
    clock.advance(2)
    report = caught(clone, 1, "last event is of", last, "1h", arguments=("--max-age", "1h"))
    assert report["commit"] == clone.tip()
    clone.ok("verify", "--max-age", "1h1s")
    clone.ok("verify")


def test_a_log_deleted(scene: Scene) -> None:
    mirror = scene.mirror()
    clone = scene.clone(mirror, "clone")
    clone.ok("verify")
    tip = str(clone.tip())
    scene.git(mirror, "update-ref", "-d", LOG)
    clone.git("fetch", "--quiet", "--prune", "origin")
    assert clone.tip() is None
    caught(clone, 1, "the log is gone")
    said = clone.fails(MISMATCH, "run")
    assert f"git update-ref {LOG} COMMIT" in said
    assert f"at the least {tip}" in said


def test_a_log_deleted_and_begun_again(scene: Scene, git: Git) -> None:
    """The same key, contracts and plan: sound in itself, and not the log that was known."""
    mirror = scene.mirror()
    clone = scene.clone(mirror, "clone")
    clone.ok("verify")
    genesis = scene.genesis()
    again = scene.project
    again.forget()
    again.git("reset", "--quiet", "--hard", str(again.chain()[0].event.payload.base))
    again.git("update-ref", "-d", LOG)
    again.ok("run")
    assert again.chain()[0].oid != genesis
    scene.serve(mirror, str(again.tip()))
    clone.git("fetch", "--quiet", "--prune", "origin")
    report = caught(clone, 1)
    assert "log" in report["message"]
    caught(clone, 1, arguments=("--full",))
    clone.forget()
    caught(clone, 1, "another log", arguments=("--genesis", genesis))


def test_a_fork_served_to_two_clones(scene: Scene) -> None:
    """By whoever holds the key: each clone alone finds nothing amiss."""
    project, other = scene.project, forked(scene)
    mirror = scene.mirror()
    one = scene.clone(mirror, "one")
    scene.serve(mirror, other)
    two = scene.clone(mirror, "two")
    assert one.tip() != two.tip()
    one.ok("verify")
    two.ok("verify")
    # They compare checkpoints, each signed by who made it.
    create_key(scene.room / "keys" / "one", comment="one")
    line = (scene.room / "keys" / "one.pub").read_text().split()[:2]
    signers = scene.room / "signers"
    signers.write_text(f"one@example.com {' '.join(line)}\n")
    document = scene.room / "one.json"
    one.ok("checkpoint", "create", "--key", str(scene.room / "keys/one"), "--output", str(document))
    seq = len(project.chain())
    trusting = ("--checkpoint", str(document), "--cosigner", str(signers))
    one.ok("verify", *trusting)
    report = caught(two, 1, "forked or rewritten", str(one.tip())[:12], arguments=trusting)
    assert report["event_id"] == f"EV-{seq:08d}"
    assert report["commit"] == two.tip()
    # Nor does anybody sign what their own log does not hold.
    before = document.read_bytes()
    sign = ("checkpoint", "sign", str(document), "--cosigner", str(signers))
    refused = two.fails(MISMATCH, *sign, "--key", str(scene.room / "keys/orchestrator"))
    assert "nothing was signed" in refused
    assert document.read_bytes() == before
    # And each clone stays with what it has verified, whatever the mirror shows next.
    one.git("fetch", "--quiet", "origin")
    caught(one, 1, "does not contain")


# -- what hides history ------------------------------------------------------------------------


def graft(scene: Scene, chain: list[EventCommit]) -> None:
    scene.project.write(".git/info/grafts", f"{chain[-1].oid} {chain[4].oid}\n")


def replacement(scene: Scene, chain: list[EventCommit]) -> None:
    scene.project.git("replace", "--graft", chain[-1].oid, chain[4].oid)


def shallow(scene: Scene, chain: list[EventCommit]) -> None:
    scene.project.write(".git/shallow", f"{chain[9].oid}\n")


@pytest.mark.parametrize("hide", [graft, replacement, shallow])
def test_history_hidden_in_a_full_clone(
    scene: Scene, hide: Callable[[Scene, list[EventCommit]], None]
) -> None:
    """A forged event lies where git's own commands do not look any more."""
    project = scene.project
    chain = project.chain()
    project.ok("verify", "--full", "--strict")
    hide(scene, chain)
    assert len(project.git("rev-list", LOG).splitlines()) < len(chain)
    project.forget()
    said = project.esaa("verify", "--full", "--json")
    assert (said.code, said.json["checked_from"]) == (0, 1)
    assert any("another history" in note for note in said.json["notes"])
    caught(project, 1, "another history", arguments=("--strict",))
    # What is hidden is read and judged all the same.
    thief = forgery.new_key(scene.room, "thief")
    forgery.rewrite(
        project,
        lambda seq, draft: replace(draft, signed=thief.sign) if seq == 3 else draft,
        sign=scene.key.sign,
    )
    project.forget()
    hide(scene, project.chain())
    report = caught(project, 3, "unknown-key")
    assert report["event_id"] == "EV-00000003"


def truncated(scene: Scene, depth: int) -> Project:
    """A clone of which the log, too, was fetched to a depth alone."""
    scene.git(scene.room, "init", "--quiet", "part")
    clone = Project(scene.room / "part", scene.git)
    source = f"file://{scene.project.path}"
    clone.git("fetch", "--quiet", "--update-head-ok", source, "main:refs/heads/main")
    clone.git("fetch", "--quiet", f"--depth={depth}", source, f"{LOG}:{LOG}")
    return clone


@pytest.mark.parametrize("depth", [1, 5])
def test_a_shallow_log_verifies_from_its_boundary_and_says_so(scene: Scene, depth: int) -> None:
    clone = truncated(scene, depth)
    count = len(scene.project.chain())
    first = count - depth + 1
    assert len(clone.git("rev-list", LOG).splitlines()) == depth
    said = clone.esaa("verify", "--json")
    assert said.code == 0, said
    assert (said.json["checked_from"], said.json["checked_to"]) == (first + 1, count)
    assert said.json["genesis"] is None
    assert said.json["boundary"] == scene.project.chain()[first - 1].oid
    assert any(f"begins at event {first}" in note for note in said.json["notes"])
    # It goes on saying so, and what the pin or a build asks for is not taken for granted.
    assert any("begins at event" in note for note in clone.esaa("verify", "--json").json["notes"])
    caught(clone, 1, f"begins at event {first}", arguments=("--strict",))
    genesis = ("--genesis", scene.genesis())
    report = caught(clone, 1, "it is not known whether it leads to", arguments=genesis)
    assert "--unshallow" in report["hint"]
    clone.ok("trust", "pin", scene.genesis())
    caught(clone, 1, "was pinned here")
    # With the rest of it, everything is looked at.
    clone.git("fetch", "--quiet", "--unshallow", f"file://{scene.project.path}", f"{LOG}:{LOG}")
    said = clone.esaa("verify", "--strict", "--json")
    assert (said.code, said.json["checked_from"], said.json["genesis"]) == (0, 1, scene.genesis())


def test_a_forged_event_in_a_shallow_log(scene: Scene) -> None:
    forgery.point(scene.project, forked(scene))
    thief = forgery.new_key(scene.room, "thief")
    last = len(scene.project.chain())
    forgery.rewrite(
        scene.project,
        lambda seq, draft: replace(draft, signed=thief.sign) if seq == last else draft,
        sign=None,
    )
    report = caught(truncated(scene, 5), 3, "unknown-key")
    assert report["event_id"] == f"EV-{last:08d}"


def test_a_full_log_cut_off_afterwards(scene: Scene) -> None:
    """Shallow file and objects gone: what was verified from its genesis does not lead there now."""
    project = scene.project
    chain = project.chain()
    project.ok("verify")
    project.write(".git/shallow", f"{chain[9].oid}\n")
    forgery.remove_object(project, chain[8].oid)
    caught(project, 1, "begins at event 10", chain[0].oid[:12], arguments=("--full",))
    project.forget()
    caught(project, 1, "begins at event 10", arguments=("--strict",))


def test_a_missing_parent_that_is_no_boundary_is_corruption(scene: Scene) -> None:
    project = scene.project
    chain = project.chain()
    forgery.remove_object(project, chain[8].oid)
    for _ in range(2):
        project.forget()
        report = caught(project, 2, chain[8].oid, code=CORRUPTED)
        assert report["event_id"] == "EV-00000009"
        project.write(".git/shallow", f"{chain[12].oid}\n{project.head()}\n")


def forge_loose(folder: Path, oid: str, kind: bytes, content: bytes) -> None:
    """Store a content under the id of another one."""
    place = folder / oid[:2] / oid[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.write_bytes(zlib.compress(b"%b %d\0" % (kind, len(content)) + content))


@pytest.mark.parametrize("which", ["commit", "tree", "event"])
def test_an_alternate_folder_with_a_forged_object(scene: Scene, which: str) -> None:
    """Its content is another one than its id says; it is the only copy that is to be found."""
    project = scene.project
    found = project.chain()[7]
    read = project.repository.read
    kind, oid = {
        "commit": (COMMIT, found.oid),
        "tree": (TREE, found.commit.tree),
        "event": (BLOB, found.tree["event.json"].oid),
    }[which]
    content = read(oid)[1]
    alternate = scene.room / "alternate"
    project.write(".git/objects/info/alternates", f"{alternate}\n")
    names = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob"}
    forge_loose(alternate, oid, names[kind], content)
    forgery.remove_object(project, oid)
    project.forget()
    project.ok("verify", "--full")  # an alternate with the true object is as good
    other = {
        "commit": content.replace(b"EV-", b"EX-") + b" ",
        "tree": read(project.chain()[6].commit.tree)[1],
        "event": project.chain()[6].event.data,
    }[which]
    assert object_id(kind, other) != oid
    forge_loose(alternate, oid, names[kind], other)
    project.forget()
    report = caught(project, 2, arguments=("--full",), code=CORRUPTED)
    assert report["event_id"] == "EV-00000008"


# -- one ref without the other ------------------------------------------------------------------


def test_the_branch_of_a_mirror_rolled_back_alone(scene: Scene) -> None:
    mirror = scene.mirror()
    clone = scene.clone(mirror, "clone")
    clone.ok("verify")
    effect = clone.head()
    scene.serve(mirror, f"{effect}~1", "refs/heads/main")
    newcomer = scene.clone(mirror, "newcomer")
    report = caught(newcomer, 11, effect[:12])
    assert report["commit"] == effect
    clone.git("fetch", "--quiet", "origin")
    clone.git("reset", "--quiet", "--hard", "origin/main")
    caught(clone, 11, "is not on the branch", effect[:12])
    caught(clone, 11, "is not on the branch", effect[:12], arguments=("--full",))
    # Looking for it does not find what is not there.
    caught(clone, 11, "is not on the branch", effect[:12], arguments=("--relink",))


def test_the_log_of_a_mirror_rolled_back_alone(scene: Scene) -> None:
    mirror = scene.mirror()
    chain = scene.project.chain()
    effect = scene.project.head()
    closing = next(one for one in chain if payload_of(one.event).get("effect_commit") == effect)
    scene.serve(mirror, str(closing.parent))
    newcomer = scene.clone(mirror, "newcomer")
    report = caught(newcomer, 11, "claims an event", effect[:12])
    assert report["commit"] == effect
    caught(newcomer, 11, "claims an event", arguments=("--relink",))


# -- a branch that was rewritten -----------------------------------------------------------------


def rebase(project: Project, *, also: str = "src/z.py", content: str = "z = 1\n") -> list[str]:
    """Put a person's commit below all effects, as `git rebase` does; return old and new effects."""
    base = str(project.chain()[0].event.payload.base)
    project.git("checkout", "--quiet", "-b", "theirs", base)
    project.write(also, content)
    project.commit("Something of a person's own")
    project.git("checkout", "--quiet", "main")
    old = project.git("rev-list", "--reverse", f"{base}..main").splitlines()
    project.git("rebase", "--quiet", "theirs")
    new = project.git("rev-list", "--reverse", "theirs..main").splitlines()
    assert len(old) == len(new) == 3
    return old + new


def test_a_rebased_branch_is_refused_and_relink_explains_it(scene: Scene) -> None:
    project = scene.project
    effects = rebase(project)
    for arguments in ((), ("--full",)):
        report = caught(project, 11, "claims an event", effects[5][:12], arguments=arguments)
        assert "--relink" in report["hint"]
    before = project.refs(), local(project)
    said = project.esaa("verify", "--relink", "--json")
    assert said.code == 0, said
    found = [(one["effect_commit"], one["carried_by"], one["how"]) for one in said.json["relinked"]]
    assert found == [
        (old, new, "same-tree-changes") for old, new in zip(effects[:3], effects[3:], strict=True)
    ]
    # Nothing was written, so nothing is taken for granted.
    assert (project.refs(), local(project)) == before
    caught(project, 11)
    text = project.ok("verify", "--relink")
    assert f"effect {effects[0][:12]} of T-1000 is carried by {effects[3][:12]}" in text
    assert "--record" in text


def test_a_rebase_over_a_change_of_the_same_file_is_found_by_its_lines(scene: Scene) -> None:
    project = scene.project
    effects = rebase(project, also="src/long.py", content="a head line\n" + LINES)
    said = project.esaa("verify", "--relink", "--json")
    assert said.code == 0, said
    hows = {one["task_id"]: one["how"] for one in said.json["relinked"]}
    assert hows == {
        "T-1000": "same-tree-changes",
        "T-1010": "patch-id",
        "T-1020": "same-tree-changes",
    }
    assert said.json["relinked"][1]["carried_by"] == effects[4]


def test_recorded_links_hold_everywhere_without_relink(scene: Scene) -> None:
    project, mirror = scene.project, scene.mirror()
    other = scene.clone(mirror, "other")
    other.ok("verify")
    rebase(project)
    count = len(project.chain())
    said = project.esaa("verify", "--relink", "--record", "--json")
    assert (said.code, said.json["recorded"]) == (0, 3), said
    assert all(one["recorded"] for one in said.json["relinked"])
    added = project.chain()[count:]
    asked, *links = [one.event.action for one in added]
    assert (asked, links) == ("operator.request", ["orchestrator.view.mutate"] * 3)
    assert {one.event.causation_id for one in added[1:]} == {added[0].event.event_id}
    # From the mark, from genesis, and again; nothing is recorded twice.
    project.ok("verify")
    project.ok("verify", "--full", "--strict")
    said = project.esaa("verify", "--relink", "--record", "--json")
    assert (said.code, said.json["recorded"]) == (0, 0)
    # A clone that verified the old branch, and one that never had the old effects.
    scene.serve(mirror, str(project.tip()))
    scene.serve(mirror, project.head(), "refs/heads/main")
    other.git("fetch", "--quiet", "origin")
    other.git("reset", "--quiet", "--hard", "origin/main")
    other.ok("verify")
    other.ok("verify")
    newcomer = scene.clone(mirror, "newcomer")
    said = newcomer.esaa("verify", "--json")
    assert (said.code, len(said.json["relinked"])) == (0, 3), said
    # A second rewriting is not covered by what was recorded of the first.
    newcomer.git("reset", "--quiet", "--hard", "main~1")
    caught(newcomer, 11)
    newcomer.forget()
    caught(newcomer, 11, "T-1020")


def test_a_fresh_clone_of_a_rebased_branch(scene: Scene) -> None:
    """The old effect commits are not there at all, and the log is enough to find the new ones."""
    project, mirror = scene.project, scene.mirror("rebased")
    effects = rebase(project, also="src/long.py", content="a head line\n" + LINES)
    fresh = scene.room / "fresh.git"
    scene.git(scene.room, "init", "--quiet", "--bare", str(fresh))
    project.git("push", "--quiet", str(fresh), f"{LOG}:{LOG}", "main:main")
    newcomer = scene.clone(fresh, "newcomer")
    report = caught(newcomer, 11, "claims an event", effects[5][:12])
    assert "--relink --record" in report["hint"]
    said = newcomer.esaa("verify", "--relink", "--json")
    assert [one["carried_by"] for one in said.json["relinked"]] == effects[3:], said
    assert mirror.exists()


def squash(project: Project, message: str = "All of it at once") -> str:
    base = str(project.chain()[0].event.payload.base)
    project.git("checkout", "--quiet", "-b", "theirs", base)
    project.write("src/z.py", "z = 1\n")
    project.commit("Something of a person's own")
    project.git("merge", "--quiet", "--squash", "main")
    project.commit(message)
    project.git("checkout", "--quiet", "-B", "main")
    return project.head()


def test_a_squashed_branch_is_found_by_what_the_paths_became(scene: Scene) -> None:
    """T-1020 overwrites what T-1000 wrote, so only its content is to be seen in the squash."""
    project = scene.project
    made = squash(project)
    said = project.esaa("verify", "--full", "--json")
    assert (said.code, {one["recorded"] for one in said.json["relinked"]}) == (0, {False}), said
    report = caught(project, 11, made[:12], arguments=("--full", "--strict"))
    assert "--relink --record" in report["hint"]
    said = project.esaa("verify", "--relink", "--json")
    assert said.code == 0, said
    found = [(one["task_id"], one["carried_by"], one["how"]) for one in said.json["relinked"]]
    assert found == [(name, made, "squashed") for name in TASKS]
    project.ok("verify", "--relink", "--record")
    project.ok("verify", "--full", "--strict")


def test_a_squash_that_keeps_the_last_claim_as_forges_write_it(scene: Scene) -> None:
    project = scene.project
    base = str(project.chain()[0].event.payload.base)
    bodies = project.git("log", "--reverse", "--format=* %B", f"{base}..main")
    squash(project, f"All of it at once (#7)\n\n{bodies}")
    caught(project, 11, arguments=("--full",))
    said = project.esaa("verify", "--relink", "--json")
    assert [one["how"] for one in said.json["relinked"]] == ["squashed"] * 3, said


def test_a_squash_in_which_something_else_was_changed(scene: Scene) -> None:
    project = scene.project
    squash(project)
    project.git("branch", "--quiet", "-D", "theirs")
    project.write("src/b.py", "b = 1\nbackdoor = 1\n")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--amend", "--no-edit")
    for arguments in ((), ("--relink",)):
        caught(project, 11, "T-1000", "beside", "'src/b.py'", arguments=arguments)


def test_copies_in_another_order(scene: Scene) -> None:
    """What was recorded later stands earlier: a true claim says so, contents alone do not."""
    project = scene.project
    base = str(project.chain()[0].event.payload.base)
    effects = project.git("rev-list", "--reverse", f"{base}..main").splitlines()
    for claims in (True, False):
        project.git("reset", "--quiet", "--hard", base)
        for effect in (effects[1], effects[0], effects[2]):
            project.git("cherry-pick", effect)
            if not claims:
                project.git("commit", "--quiet", "--amend", "--reset-author", "--message", "Work")
        if claims:
            project.ok("verify", "--relink")
        else:
            caught(project, 11, "T-1010", "not on the branch", arguments=("--relink",))


@pytest.mark.parametrize(
    ("what", "content"),
    [("more", "b = 1\nbackdoor = 1\n"), ("white space", "b  = 1\n")],
)
def test_a_copy_that_is_none(scene: Scene, what: str, content: str) -> None:
    """A rebased effect in which somebody changed something: message and author stay."""
    project = scene.project
    effects = rebase(project)
    project.ok("verify", "--relink")
    project.git("reset", "--quiet", "--hard", effects[4])
    project.write("src/b.py", content)
    project.git("add", "--all")
    project.git("commit", "--quiet", "--amend", "--no-edit")
    forged = project.head()
    project.git("cherry-pick", effects[5])
    report = caught(project, 11, "T-1010", "beside", "'src/b.py'", arguments=("--relink",))
    assert report["commit"] == forged


@pytest.mark.parametrize("trailer", ["ESAA-Event", "ESAA-Task", "ESAA-Attempt", "ESAA-Run"])
def test_a_forged_relink_claim(scene: Scene, trailer: str) -> None:
    """The changes are those of the effect, and the claim is another one."""
    project = scene.project
    effects = rebase(project)
    project.ok("verify", "--relink")
    text = project.git("log", "-1", "--format=%B", effects[5]).rstrip("\n")
    wrong = {
        "ESAA-Event": project.chain()[3].oid,
        "ESAA-Task": "T-1000",
        "ESAA-Attempt": "T-1000-A1",
        "ESAA-Run": "RUN-0009",
    }[trailer]
    lines = [
        f"{trailer}: {wrong}" if line.startswith(f"{trailer}:") else line
        for line in text.split("\n")
    ]
    assert lines != text.split("\n")
    project.git("commit", "--quiet", "--amend", "--message", "\n".join(lines))
    report = caught(project, 11, "claims an event", arguments=("--relink",))
    assert report["commit"] == project.head()


def test_a_copy_under_another_author(scene: Scene) -> None:
    project = scene.project
    rebase(project)
    project.git("commit", "--quiet", "--amend", "--no-edit", "--author", "Eve <eve@example.com>")
    caught(project, 11, "claims an event", arguments=("--relink",))


def test_a_hand_made_commit_that_claims_an_event_is_no_copy(scene: Scene) -> None:
    project = scene.project
    project.write("src/backdoor.py", "x = 1\n")
    made = project.commit(f"Fix\n\nESAA-Event: {project.chain()[5].oid}\nESAA-Task: T-1000\n")
    report = caught(project, 11, "claims an event", made[:12], arguments=("--relink",))
    assert report["commit"] == made


def test_a_recorded_link_is_looked_at_again(scene: Scene) -> None:
    """Whoever holds the key records that a commit carries an effect, and it does not."""
    project = scene.project
    effects = rebase(project)
    project.ok("verify", "--relink")
    chain = project.chain()
    closed = {
        str(one.event.payload.task_id): str(one.event.payload.effect_commit)
        for one in chain
        if getattr(one.event.payload, "effect_commit", None) is not None
    }
    lies = {"T-1000": effects[3], "T-1010": project.head("theirs"), "T-1020": effects[5]}
    forger = copied(scene, chain)
    for name, carrier in lies.items():
        seq = forger.state.seq + 1
        forger.add(
            {
                "schema_version": "0.3.0",
                "event_id": f"EV-{seq:08d}",
                "event_seq": seq,
                "ts": forger.state.ts,
                "actor": "orchestrator",
                "action": "orchestrator.view.mutate",
                "payload": {
                    "view": "effect",
                    "task_id": name,
                    "effect_commit": closed[name],
                    "reached_by": carrier,
                    "text": "relinked: trust me",
                    "how": "same-tree-changes",
                },
            }
        )
    forger.finish()
    for arguments in ((), ("--full",)):
        report = caught(project, 11, arguments=arguments)
        # T-1010 stands on the branch as a commit that claims it, and nothing true says so.
        assert report["commit"] == effects[4]


# -- a whole log elsewhere ------------------------------------------------------------------------


def test_a_whole_log_replayed_into_another_repository(scene: Scene, git: Git) -> None:
    """Log, branch and all: sound in itself, and the other repository knows its own genesis."""
    victim = make_project(scene.room / "victim", git, task("T-1000"))
    victim.answers(T_1000=result("T-1000"))
    victim.ok("run")
    victim.ok("verify")
    victim.ok("trust", "pin")
    genesis = victim.chain()[0].oid
    source = str(scene.project.path)
    victim.git("fetch", "--quiet", "--update-head-ok", source, f"+{LOG}:{LOG}", "+main:main")
    report = caught(victim, 1, arguments=("--full",))
    assert "log" in report["message"]
    victim.forget()
    caught(victim, 1, "another log", genesis[:12], "was pinned here")
    (victim.repository.esaa_dir / "trust.json").unlink()
    caught(victim, 1, "another log", arguments=("--genesis", genesis))
    # Nobody who is told no genesis can know; it is said that this is so.
    assert "trusted on first use" in victim.ok("verify")


# -- checkpoints ---------------------------------------------------------------------------------


def made_checkpoint(scene: Scene) -> tuple[Path, checkpoints.Checkpoint]:
    place = scene.room / "checkpoint.json"
    scene.project.ok("checkpoint", "create", "--output", str(place))
    scene.project.ok("verify", "--full", "--checkpoint", str(place))
    return place, checkpoints.decode(place.read_bytes())


def test_a_checkpoint_with_a_wrong_signature(scene: Scene) -> None:
    place, found = made_checkpoint(scene)
    other = replace(found, seq=found.seq - 1, signatures=())
    signed = checkpoints.sign(other, scene.key)
    place.write_bytes(checkpoints.encode(replace(found, signatures=signed.signatures)))
    caught(scene.project, 1, "bad signature", arguments=("--checkpoint", str(place)))
    assert "does not hold" in run("checkpoint", "show", str(place)).err
    # A signature of a commit is none of a checkpoint, though the same key made it.
    armored = scene.key.sign(found.payload).decode()
    one = replace(found.signatures[0], signature=armored)
    place.write_bytes(checkpoints.encode(replace(found, signatures=(one,))))
    caught(scene.project, 1, "namespace", arguments=("--checkpoint", str(place)))


def test_a_checkpoint_signed_by_nobody_we_know(scene: Scene) -> None:
    place, found = made_checkpoint(scene)
    thief = forgery.new_key(scene.room, "thief")
    place.write_bytes(checkpoints.encode(checkpoints.sign(replace(found, signatures=()), thief)))
    caught(scene.project, 1, "signed by nobody", arguments=("--checkpoint", str(place)))
    place.write_bytes(checkpoints.encode(replace(found, signatures=())))
    caught(scene.project, 1, "signed by nobody", arguments=("--checkpoint", str(place)))


def test_a_checkpoint_of_another_log(scene: Scene, git: Git) -> None:
    place, found = made_checkpoint(scene)
    other = checkpoints.sign(replace(found, log_id="e" * 32, signatures=()), scene.key)
    place.write_bytes(checkpoints.encode(other))
    caught(scene.project, 1, "is of log " + "e" * 32, arguments=("--checkpoint", str(place)))


@pytest.mark.parametrize(
    ("name", "changed", "word"),
    [
        ("tip", "a" * 40, "forked or rewritten"),
        ("event_sha256", "a" * 64, "hash"),
        ("projection_hash_sha256", "a" * 64, "projection"),
        ("ts", "2026-01-01T00:00:00.000Z", "time"),
        ("seq", 5, "forked or rewritten"),
        ("seq", 1000, "rolled back"),
    ],
)
@pytest.mark.parametrize("signed", [False, True], ids=["as it is", "signed again"])
def test_an_altered_checkpoint(
    scene: Scene, name: str, changed: Any, word: str, signed: bool
) -> None:
    place, found = made_checkpoint(scene)
    altered = replace(found, **{name: changed})
    if signed:
        altered = checkpoints.sign(replace(altered, signatures=()), scene.key)
    place.write_bytes(checkpoints.encode(altered))
    for arguments in (("--checkpoint", str(place)), ("--full", "--checkpoint", str(place))):
        caught(scene.project, 1, word, arguments=arguments)


def test_an_altered_copy_on_the_ref_is_not_signed_on_to(scene: Scene) -> None:
    """Somebody pushed another document to its ref, or a signature that does not hold."""
    project = scene.project
    place, found = made_checkpoint(scene)
    ref = f"refs/esaa/checkpoints/{found.seq}"
    good = project.head(ref)

    def put(data: bytes) -> None:
        blob = project.git("hash-object", "-w", "--stdin", stdin=data)
        tree = project.git("mktree", stdin=f"100644 blob {blob}\tcheckpoint.json\n")
        project.git("update-ref", ref, project.git("commit-tree", tree, "-m", "x", "-p", good))

    put(checkpoints.encode(replace(found, tip="a" * 40)))
    before = project.refs()
    message = project.fails(MISMATCH, "checkpoint", "create", "--output", str(place))
    assert "holds another checkpoint" in message
    assert project.refs() == before
    put(b"nonsense\n")
    assert "holds no checkpoint" in project.fails(CORRUPTED, "checkpoint", "create")
    thief = forgery.new_key(scene.room, "thief")
    bad = checkpoints.sign(replace(found, seq=1, signatures=()), thief).signatures
    put(checkpoints.encode(checkpoints.with_signatures(found, bad)))
    project.ok("checkpoint", "create", "--output", str(place))
    whole = checkpoints.decode(place.read_bytes())
    assert [one.public_key for one in whole.signatures] == [scene.key.public_key_line]
    assert checkpoints.signed_by(whole) == (sshsig.decode_public_key(scene.key.public_key_line),)
    project.git("merge-base", "--is-ancestor", good, ref)


def test_a_file_that_is_no_checkpoint(scene: Scene) -> None:
    place = scene.room / "x.json"
    for content in (b"", b"{}\n", b"\xff", json.dumps({"checkpoint": {}}).encode(), b"[" * 10_000):
        place.write_bytes(content)
        message = scene.project.fails(CORRUPTED, "verify", "--checkpoint", str(place))
        assert "is not a checkpoint" in message
    assert canonical.encode({}) == b"{}\n"
