"""`git esaa undo`, each way once for real: on git's merges, modes, names, branches and clones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from esaa_git.errors import DecisionsMissing, RefusedError, UsageError
from esaa_git.verification.effects import EffectChecker, closed_in, form_of
from esaa_git.verification.failure import Failure
from tests.conftest import Git
from tests.support.project import Project, make_project, result, task, write

REFUSED, USAGE = RefusedError.exit_code, UsageError.exit_code
LINES = "".join(f"line {number}\n" for number in range(1, 21))


@pytest.fixture
def built(tmp_path: Path, git: Git) -> Project:
    """T-1 changes a file, its mode, and adds one; T-2 builds on it and renames that. Both done."""
    tasks = task("T-1"), task("T-2", depends_on=["T-1"]), task("T-3", review=True)
    project = make_project(tmp_path / "project", git, *tasks)
    first = {"op": "write", "path": "src/a.py", "content": LINES.replace("line 1\n", "eins\n")}
    project.answers(
        T_1=result("T-1", {**first, "executable": True}, write("src/b.py", "b\n")),
        T_2=result("T-2", {"op": "rename", "from": "src/b.py", "path": "src/c.py"}),
        T_3=result("T-3", write("src/d.py", "d\n")),
    )
    project.write("src/a.py", LINES)
    project.commit()
    project.fails(DecisionsMissing.exit_code, "run")
    project.ok("review", "T-3", "--approve")
    return project


def changes(project: Project, old: str, new: str) -> None:
    """Commit a person's change of the file that T-1 has changed."""
    content = project.read("src/a.py").replace(old, new)
    project.write("src/a.py", content, executable=True)
    project.commit("Mine")


def test_what_builds_on_it_goes_first_and_later_work_is_kept(built: Project) -> None:
    base = built.git("rev-parse", "HEAD:src/a.py")
    changes(built, "line 20", "zwanzig")
    before = built.refs()
    shown = built.ok("undo", "T-1", "--dry-run")
    assert shown == (
        "T-2  Do T-2 (builds on what is undone)\n"
        "  rename src/b.py from src/c.py\n"
        "T-1  Do T-1\n"
        "  modify src/a.py, merged with what was changed since\n"
        "  delete src/b.py\n"
    )
    assert built.refs() == before
    said = built.ok("undo", "T-1", "--reason", "it was the wrong one")
    assert said.startswith(shown)
    assert "T-1-UN1  Undo T-1: Do T-1 (" in said
    assert built.git("status", "--porcelain") == ""
    assert built.read("src/a.py") == LINES.replace("line 20", "zwanzig")
    assert built.git("ls-files", "-s", "src/a.py", "src/b.py", "src/c.py").startswith("100644 ")
    built.check()
    shown = built.ok("show", "T-1")
    assert "undone by T-1-UN1, as person@example.com asked (EV-" in shown
    assert "): it was the wrong one\n" in shown
    shown = built.ok("show", "T-1-UN1")
    assert "undoes T-1, as person@example.com asked" in shown
    assert "T-1-UN1-A1  completed  orchestrator (undo)" in shown
    assert "T-1 was undone by T-1-UN1" in built.ok("status")
    said = built.esaa("status", "--json").json["undone"]
    assert [one["task_id"] for one in said] == ["T-1", "T-2"]
    assert_that_the_branch_is_asked(built)
    # and back
    built.ok("undo", "T-1-UN1")
    assert built.git("rev-parse", "HEAD:src/a.py") != base
    assert built.git("ls-files", "-s", "src/a.py").startswith("100755 ")
    assert built.read("src/a.py") == LINES.replace("line 1\n", "eins\n").replace(
        "line 20", "zwanzig"
    )
    assert "undone" not in built.ok("show", "T-1").split("events, newest")[0]
    assert "T-2\tdone, undone\t" in built.ok("task", "list")
    built.check()


def assert_that_the_branch_is_asked(project: Project) -> None:
    """What is said to have been there before an undo is held against its commit's parent."""
    read = project.repository.read
    found = [closed_in(read, one) for one in project.chain()]
    (undo,) = [one for one in found if one is not None and one.task_id == "T-1-UN1"]
    form = form_of(read, undo)
    checker = EffectChecker(read)
    checker.check(replace(undo, form=form))
    lies = {**form.onto, "src/a.py": ("100644", "0" * 40)}
    with pytest.raises(Failure, match="was not what its event says") as caught:
        checker.check(replace(undo, form=replace(form, onto=lies)))
    assert caught.value.check == 11


NOTHING = {
    "T-9": "'T-9' is no run, task or event",
    "RUN-0009": "no run 'RUN-0009'",
    "1": "EV-00000001 (run.init) is about no task, so there is nothing to undo",
    "999": "999",
}


def test_an_event_stands_for_its_task_and_what_names_nothing_is_told(built: Project) -> None:
    wrote = next(one.event for one in built.chain() if one.event.action.endswith("file.write"))
    said = built.esaa("undo", wrote.event_id, "--dry-run", "--json").json
    assert said["named"] == ["T-1"]
    for named, words in NOTHING.items():
        assert words in built.fails(USAGE, "undo", named)


def test_a_conflict_names_the_path_and_records_nothing(built: Project) -> None:
    changes(built, "eins", "uno")
    before = built.refs()
    shown = built.fails(REFUSED, "undo", "RUN-0001")
    assert "error: WRITE_CONFLICT: 1 paths cannot be undone" in shown
    assert "'src/a.py' (T-1): the branch and the undo changed the same lines" in shown
    assert "hint: undo what changed them since first" in shown
    said = built.esaa("undo", "RUN-0001", "--dry-run")
    assert said.code == REFUSED
    assert "conflict src/a.py: the branch and the undo" in said.out
    (conflict,) = built.esaa("undo", "T-1", "--dry-run", "--json").json["tasks"][1]["conflicts"]
    assert conflict["path"] == "src/a.py"
    assert built.refs() == before
    built.write("src/c.py", "a draft\n")
    assert "your uncommitted work is in the way at 'src/c.py'" in built.fails(
        REFUSED, "undo", "T-2"
    )
    assert built.refs() == before
    assert "changed since: src/a.py, by" in built.ok("show", "T-1")
    built.git("checkout", "-q", "src/c.py")
    built.git("revert", "--no-edit", str(built.task("T-3").result.effect_commit))  # type: ignore[union-attr]
    assert "reverted since: src/d.py, by" in built.ok("show", "T-3")


def test_a_review_is_asked_for_and_then_it_happens(built: Project) -> None:
    built.esaa("undo", "T-3", "--reason", "not needed")
    (asked,) = built.esaa("review", "--json").json
    assert (asked["task_id"], asked["kind"]) == ("T-3-UN1", "undo")
    shown = built.ok("review", "T-3-UN1")
    assert "T-3-UN1-A1 by orchestrator: Undo T-3: Do T-3" in shown
    assert "-d" in shown
    assert built.esaa("review", "T-3-UN1", "--json").json["result"] is None
    said = built.fails(REFUSED, "review", "T-3-UN1", "--request-changes", "x")
    assert "an undo is approved or denied" in said
    built.ok("halt")  # which keeps no undo from its end
    built.ok("review", "T-3-UN1", "--approve")
    assert not (built.path / "src/d.py").exists()
    built.ok("resume")
    built.check()


def test_the_request_of_a_person_alone_is_carried_out_where_the_other_key_is(
    built: Project, git: Git, tmp_path: Path
) -> None:
    key = built.git("config", "esaa.signingKey")
    built.git("config", "--unset", "esaa.signingKey")
    said = built.ok("undo", "T-2", "--reason", "offline")
    assert "asked for: 'git esaa push' shares it" in said
    assert (built.path / "src/c.py").exists()
    assert "waits for the next 'git esaa run': undo, by" in built.ok("status")
    built.git("config", "esaa.signingKey", key)
    assert "T-2-UN1  Undo T-2" in built.ok("undo")
    assert (built.path / "src/b.py").exists()
    assert built.ok("undo") == ""
    built.check()
    built.ok("export", str(tmp_path / "out"))
    copy = tmp_path / "copy"
    git(tmp_path, "init", "-q", str(copy))
    git(copy, "config", "esaa.signingKey", key)
    built.ok("import", str(tmp_path / "out"), folder=copy)
    assert "verify_status: ok" in built.ok("verify", "--full", folder=copy)


def test_work_that_was_undone_and_left_the_branch_with_its_undo_is_no_loss(built: Project) -> None:
    assert built.esaa("undo", "T-3").code == DecisionsMissing.exit_code
    built.ok("review", "T-3-UN1", "--approve")
    built.git("reset", "-q", "--hard", "HEAD~2")  # both commits are gone
    assert "T-3 and its undo T-3-UN1 are on no branch any more" in built.ok("verify", "--full")
