"""What stands on a branch: commits that carry effects, commits that only say so, what merges lose.

Each test takes a legitimate step, sees that it took, and then what must not be taken for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from esaa_git.app.hooks import install
from esaa_git.store.repository import open_repository
from tests.attacks.test_trust import Scene, caught, rebase
from tests.conftest import Git, GitFailed
from tests.support import forgery
from tests.support.project import LOG, Project, make_project, result, task, write
from tests.support.shared import MAIN, Shared

OTHER_LOG = "f" * 32


def base_of(project: Project) -> str:
    return str(project.chain()[0].event.payload.base)


def commit(project: Project, message: str = "More", **files: str) -> str:
    for name, content in files.items():
        project.write(f"src/{name}.py", content)
    project.git("add", "src")
    project.git("commit", "--quiet", "--allow-empty", "--message", message)
    return project.head()


def amend(project: Project) -> str:
    project.git("add", "src")
    project.git("commit", "--quiet", "--amend", "--no-edit")
    return project.head()


def report_of(project: Project, *arguments: str) -> dict[str, Any]:
    said = project.esaa("verify", "--full", *arguments, "--json")
    assert said.code == 0, said
    return dict(said.json)


def fresh(scene: Scene, name: str = "fresh") -> Project:
    """A clone that has what log and branch lead to, and nothing else."""
    return scene.clone(scene.mirror(f"{name}-mirror"), name)


# -- a carrier is exact -------------------------------------------------------------------------


def a_file(project: Project) -> None:
    project.write("src/extra.py", "x = 1\n")


def a_rename(project: Project) -> None:
    project.git("mv", "src/long.py", "src/longer.py")


def a_mode(project: Project) -> None:
    (project.path / "src/long.py").chmod(0o755)


def a_link(project: Project) -> None:
    (project.path / "src/link.py").symlink_to("long.py")


@pytest.mark.parametrize("extra", [a_file, a_rename, a_mode, a_link])
def test_an_effect_that_was_amended_carries_more_until_an_admin_answers(
    scene: Scene, extra: Callable[[Project], None]
) -> None:
    project = scene.project
    rebase(project)
    project.ok("verify", "--relink")
    extra(project)
    made = amend(project)
    report = caught(project, 11, made[:12], "T-1020", "beside", arguments=("--relink",))
    assert f"--accept {made[:12]}" in report["hint"]
    caught(project, 11, arguments=("--relink", "--record"))
    said = project.esaa("verify", "--relink", "--record", "--accept", made[:12], "--json")
    assert said.code == 0, said
    (link,) = [one for one in said.json["relinked"] if one["carried_by"] == made]
    assert (link["how"], link["recorded"]) == ("accepted", True)
    assert link["accepted_by"] == project.chain()[-1].event.actor
    assert link["beside"]
    report_of(fresh(scene), "--strict")
    # What was answered for is that commit, and no other.
    project.write("src/another.py", "y = 1\n")
    caught(project, 11, amend(project)[:12], arguments=("--full",))


def squash_with_people(project: Project, addition: str = "") -> str:
    """Squash the effects and a person's commit beside them; the person's line goes on in a.py."""
    base = base_of(project)
    commit(project, "A person's own", own="own = 1\n", a="a = 2\nmine = 1\n")
    project.git("branch", "--quiet", "feature")
    project.git("reset", "--quiet", "--hard", base)
    commit(project, "Meanwhile", meanwhile="m = 1\n")
    project.git("merge", "--quiet", "--squash", "feature")
    project.git("branch", "--quiet", "-D", "feature")  # the reflog of HEAD has it still
    if addition:
        project.write("src/addition.py", addition)
    return commit(project, "All of it at once")


def test_a_squash_with_a_persons_commit_is_known_while_that_is_at_hand(scene: Scene) -> None:
    project = scene.project
    made = squash_with_people(project)
    caught(project, 11, arguments=("--full", "--strict"))
    report = project.esaa("verify", "--relink", "--record", "--json")
    assert report.code == 0, report
    assert {one["carried_by"] for one in report.json["relinked"]} == {made}
    last = report.json["relinked"][-1]
    (person,) = last["people"]
    assert project.git("log", "-1", "--format=%s", person) == "A person's own"
    assert last["beside"] == ["src/a.py", "src/own.py"]
    # From now on the record tells, wherever the branch went.
    project.git("reflog", "expire", "--expire=now", "--all")
    assert report_of(fresh(scene), "--strict")["verify_status"] == "ok"


def test_a_squash_with_an_addition_is_told_from_that(scene: Scene) -> None:
    project = scene.project
    made = squash_with_people(project, addition="backdoor = 1\n")
    caught(project, 11, made[:12], "'src/addition.py'", arguments=("--relink",))


def test_a_squash_whose_branch_is_gone_lists_what_is_beside(scene: Scene) -> None:
    project = scene.project
    made = squash_with_people(project)
    project.git("reflog", "expire", "--expire=now", "--all")
    caught(project, 11, made[:12], "'src/own.py'", arguments=("--relink",))
    project.ok("verify", "--relink", "--record", "--accept", made)
    report_of(fresh(scene))


def test_a_copy_with_git_cherry_pick_and_after_a_revert(scene: Scene) -> None:
    project = scene.project
    effect = project.head()
    project.git("revert", "--no-edit", effect)
    report_of(project, "--strict")
    project.git("cherry-pick", "-x", effect)
    caught(project, 11, "claims an event", project.head()[:12])
    project.ok("verify", "--relink", "--record")
    report_of(project, "--strict")


def test_a_fixup_of_an_effect_is_a_persons_commit_until_it_is_squashed_in(scene: Scene) -> None:
    project = scene.project
    effect = project.head()
    project.write("src/a.py", "a = 3\n")
    project.git("add", "src")
    project.git("commit", "--quiet", "--fixup", effect)
    person = project.head()
    report = report_of(project, "--strict")
    gone = [(one["task_id"], one["path"], one["how"]) for one in report["gone"]]
    assert ("T-1020", "src/a.py", "changed") in gone
    assert ("T-1000", "src/a.py", "superseded") in gone
    project.git("-c", "sequence.editor=true", "rebase", "--quiet", "-i", "--autosquash", "HEAD~2")
    said = project.esaa("verify", "--relink", "--json")
    assert [one["people"] for one in said.json["relinked"]] == [[person]], said
    project.git("reflog", "expire", "--expire=now", "--all")
    caught(project, 11, "T-1020", "'src/a.py'", arguments=("--relink",))


def test_a_patch_that_git_am_applied_is_a_copy(scene: Scene) -> None:
    project = scene.project
    effect = project.head()
    patch = project.git("format-patch", "--stdout", "-1")
    project.git("reset", "--quiet", "--hard", "HEAD~1")
    commit(project, own="own = 1\n")
    scissors = patch.replace("\n\n", "\n\nwords before\n-- >8 --\n", 1) + "\n"
    project.git("am", "--quiet", "--scissors", stdin=scissors)
    caught(project, 11, arguments=("--full",))
    said = project.esaa("verify", "--relink", "--json")
    assert [one["effect_commit"] for one in said.json["relinked"]] == [effect], said


def test_a_merge_that_repeats_a_claim_is_recorded_as_one(scene: Scene) -> None:
    project = scene.project
    text = project.git("log", "-1", "--format=%B")
    project.git("checkout", "--quiet", "-b", "side", "HEAD~1")
    commit(project, own="own = 1\n")
    project.git("merge", "--quiet", "--no-ff", "--message", f"Merge it\n\n{text}", "main")
    project.git("checkout", "--quiet", "-B", "main")
    caught(project, 11, "claims an event", project.head()[:12])
    project.ok("verify", "--relink", "--record")
    report_of(project, "--strict")
    project.write("src/more.py", "x = 1\n")
    caught(project, 11, amend(project)[:12], arguments=("--relink",))


# -- names, other logs, older commits -----------------------------------------------------------


def test_a_commit_under_a_name_of_ours_needs_an_event(scene: Scene) -> None:
    project = scene.project
    commit(project, "By a person")
    report_of(project)
    who = "agent-impl <agent-impl@esaa.invalid>"
    project.git("commit", "--amend", "--quiet", "--allow-empty", "--no-edit", "--author", who)
    caught(project, 11, "under which git-esaa alone commits", project.head()[:12])


def test_a_claim_of_another_log_counts_where_a_run_lists_it(scene: Scene) -> None:
    project = scene.project
    commit(project, f"T-9: theirs\n\nESAA-Event: {'e' * 40}\nESAA-Log: {OTHER_LOG}\n")
    caught(project, 11, "claims an event")
    place = project.path / ".roadmap/ORCHESTRATOR_CONTRACT.yaml"
    text = place.read_text().replace("foreign_logs: []", f"foreign_logs: [{OTHER_LOG}]")
    place.write_text(text)
    project.ok("plan", "apply", "--restart")
    report = report_of(project, "--strict")
    why = f"of log {OTHER_LOG}, which a run.init lists"
    assert [one["why"] for one in report["foreign"]] == [why]
    commit(project, f"T-9: theirs\n\nESAA-Event: {'e' * 40}\nESAA-Log: {'a' * 32}\n")
    caught(project, 11, "claims an event")


def test_a_claim_older_than_the_log_is_let_be_and_listed(tmp_path: Path, git: Git) -> None:
    """A log that was begun on a history which had another one; the hook takes it as well."""
    project = make_project(tmp_path / "project", git, task("T-1"))
    claim = f"T-9: theirs\n\nESAA-Event: {'e' * 40}\n"
    older = project.commit(claim)
    commit(project, "Ours begins here", own="own = 1\n")
    project.answers(T_1=result("T-1", write("src/a.py", "a = 1\n")))
    project.ok("run")
    report = report_of(project, "--strict")
    assert report["foreign"] == [{"commit": older, "why": "older than the log"}]
    server = tmp_path / "server.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(server))
    install(open_repository(server), "pre-receive")
    shared = Shared(project, server, git)
    project.git("remote", "add", "origin", str(server))
    shared.taken("--atomic", LOG, MAIN)
    commit(project, claim)
    assert "check 11" in shared.refused(MAIN)


# -- reachable is not present -------------------------------------------------------------------


def gone_of(project: Project) -> set[tuple[str, str, str]]:
    report = project.esaa("verify", "--full", "--json").json
    return {(one["task_id"], one["path"], one["how"]) for one in report["gone"]}


def test_a_merge_that_loses_one_of_two_effects_is_named(scene: Scene) -> None:
    project = scene.project
    before = project.head("HEAD~1")  # holds T-1000 and T-1010
    project.git("checkout", "--quiet", "-b", "side", before)
    commit(project, own="own = 1\n")
    project.git("merge", "--quiet", "--strategy", "ours", "--no-edit", "main")
    project.git("checkout", "--quiet", "-B", "main")
    merge = project.head()
    assert ("T-1020", "src/a.py", "lost") in gone_of(project)
    said = project.ok("verify", "--full")
    assert merge[:12] in said
    assert "'src/a.py'" in said
    caught(project, 11, merge[:12], "T-1020", arguments=("--full", "--strict"))
    # From the verified point, too: a merge has come since.
    project.ok("verify", "--relink", "--record", "--accept", merge[:12])
    report_of(project, "--strict")
    report_of(fresh(scene), "--strict")


def test_a_tree_made_by_hand_that_drops_an_effect_is_named(scene: Scene) -> None:
    project = scene.project
    project.git("checkout", "--quiet", "-b", "side", "HEAD~1")
    commit(project, own="own = 1\n")
    project.git("merge", "--quiet", "--no-commit", "--no-ff", "main")
    project.write("src/a.py", "a = 0\n")
    commit(project, "Merge main")
    project.git("checkout", "--quiet", "-B", "main")
    assert ("T-1020", "src/a.py", "lost") in gone_of(project)
    caught(project, 11, "lost", arguments=("--full", "--strict"))


def test_a_merge_that_cannot_be_made_again_is_left_open(scene: Scene) -> None:
    project = scene.project
    project.ok("verify")  # so that the effects of before are not read again
    text = (project.path / "src/long.py").read_text()
    commit(project, long=text + "the end\n")
    project.git("checkout", "--quiet", "-b", "side", "HEAD~2")
    commit(project, long="the beginning\n" + text)
    project.git("merge", "--quiet", "--strategy", "ours", "--no-edit", "main")
    project.git("checkout", "--quiet", "-B", "main")
    merge, base = project.head(), project.git("merge-base", "HEAD^1", "HEAD^2")
    forgery.flip_byte(project, project.head(f"{base}:src/long.py"))
    words = f"is open: merge {merge[:12]} cannot be made again"
    caught(project, 11, words, arguments=("--strict",))
    said = project.esaa("verify", "--json")
    assert said.code == 0, said
    assert words in " ".join(said.json["notes"])


def two_sides(project: Project) -> None:
    project.git("checkout", "--quiet", "-b", "side", base_of(project))
    project.git("mv", "src/long.py", "src/renamed.py")
    commit(project, own="own = 1\n")
    project.git("checkout", "--quiet", "main")
    project.git("merge", "--quiet", "--no-edit", "side")


def other_lines(project: Project) -> None:
    project.git("checkout", "--quiet", "-b", "side", base_of(project))
    text = (project.path / "src/long.py").read_text()
    project.write("src/long.py", "a head line\n" + text)
    commit(project)
    project.git("checkout", "--quiet", "main")
    project.git("merge", "--quiet", "--no-edit", "side")


def reverted_beside(project: Project) -> None:
    project.git("checkout", "--quiet", "-b", "side")
    project.git("revert", "--no-edit", "HEAD")
    project.git("checkout", "--quiet", "main")
    commit(project, own="own = 1\n")
    project.git("merge", "--quiet", "--no-edit", "side")


def octopus(project: Project) -> None:
    for name in ("one", "two"):
        project.git("checkout", "--quiet", "-b", name, base_of(project))
        commit(project, **{name: "x = 1\n"})
    project.git("checkout", "--quiet", "main")
    project.git("merge", "--quiet", "--no-edit", "one", "two")


def conflict_resolved(project: Project) -> None:
    project.git("checkout", "--quiet", "-b", "side", base_of(project))
    commit(project, b="theirs = 1\n")
    project.git("checkout", "--quiet", "main")
    with pytest.raises(GitFailed):
        project.git("merge", "--quiet", "--no-edit", "side")
    commit(project, "Merge side", b="b = 1\ntheirs = 1\n")


@pytest.mark.parametrize(
    "merge", [two_sides, other_lines, reverted_beside, octopus, conflict_resolved]
)
def test_an_honest_merge_loses_nothing(scene: Scene, merge: Callable[[Project], None]) -> None:
    merge(scene.project)
    report_of(scene.project, "--strict")


# -- what the log says of a commit is on record, and looked at again ------------------------------


def test_a_record_of_a_carrier_is_no_word_of_the_orchestrators_alone(scene: Scene) -> None:
    """Without an admin the orchestrator's key takes nothing for accepted."""
    project = scene.project
    rebase(project)
    a_file(project)
    made = amend(project)
    project.git("config", "--unset-all", "esaa.approverKey")
    before = project.tip()
    said = project.esaa("verify", "--relink", "--record", "--accept", made)
    assert said.code != 0
    assert project.tip() == before


def test_a_commit_that_is_named_has_to_be_one(scene: Scene) -> None:
    said = scene.project.esaa("verify", "--relink", "--record", "--accept", "no-such")
    assert said.code == 2
    assert "no-such" in str(said)
    assert scene.project.esaa("verify", "--accept", "HEAD").code == 2


@pytest.mark.parametrize("depth", [1, 2])
def test_a_carrier_at_the_boundary_of_a_shallow_clone_could_not_be_checked(
    scene: Scene, depth: int
) -> None:
    """Without its parent, nobody can tell what it changes: that is no tampering."""
    project = scene.project
    rebase(project)
    project.ok("verify", "--relink", "--record")
    clone = scene.clone(scene.mirror(f"depth-{depth}"), f"clone-{depth}", f"--depth={depth}")
    report = report_of(clone)
    boundary = clone.git("rev-list", "HEAD").split()[-1]
    (note,) = [one for one in report["notes"] if "could not be checked" in one]
    assert boundary[:12] in note
    assert "--unshallow" in note
    caught(clone, 11, "not here", arguments=("--full", "--strict"))
    clone.git("fetch", "--quiet", "--unshallow")
    assert not any("could not be checked" in one for one in report_of(clone)["notes"])
