"""One log, two clones, one bare remote: work, races, and a remote that lies.

The remote is a real bare repository with the pre-receive hook installed; where it lies, its owner
has moved a ref past the hook. Whatever is refused leaves the local refs as they were.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from esaa_git.errors import ConfigurationError
from esaa_git.ports.branch import BranchMove
from esaa_git.ports.local import Followup
from esaa_git.remote.remote import Remote
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.journal import FileJournal
from esaa_git.store.position import common_event
from esaa_git.store.repository import open_repository
from tests.concurrency.children import together
from tests.conftest import Git
from tests.support.forgery import Forger, draft_of
from tests.support.logs import PERSON, make_log
from tests.support.project import Clock, Project, edit, make_project, result, run, task, write
from tests.support.shared import health
from tests.support.team import LOG, MAIN, Team, build, copy, environment, hook_environment


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Iterator[Team]:
    with pytest.MonkeyPatch.context() as patch:
        hook_environment(patch)
        yield build(tmp_path_factory.mktemp("team"), git)


@pytest.fixture
def team(template: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    hook_environment(monkeypatch)
    return copy(template, tmp_path)


def synced(project: Project) -> dict[str, Any]:
    """Sync, and return what the last round did."""
    found: dict[str, Any] = json.loads(project.ok("sync", "--json"))["rounds"][-1]
    return found


def outcomes(project: Project) -> dict[str, tuple[str, str | None]]:
    """Sync after a lost race, and return outcome and reason by the subject of each event.

    Every event of the tail must have exactly one outcome, and be kept where it was.
    """
    tip = str(project.tip())
    before = project.chain()
    found = synced(project)
    decided = found["decided_again"]
    tail = before[len(before) - len(decided) :]
    assert [one["event_id"] for one in decided] == [one.event.event_id for one in tail]
    assert project.head(f"refs/esaa/superseded/{tip}/log") == tip
    assert found["own_events"] == len(decided)
    assert json.loads(Path(found["report"]).read_bytes())["decided_again"] == decided
    return {one["subject"]: (one["outcome"], one["reason"]) for one in decided}


def _kept(refs: dict[str, str]) -> dict[str, str]:
    return {ref: oid for ref, oid in refs.items() if not ref.startswith("refs/remotes/")}


def refuses(project: Project, code: int, *words: str, command: str = "fetch") -> str:
    """Assert that a command refuses what the remote offers, and that nothing moved here."""
    before = project.refs()
    pin = project.repository.esaa_dir / "remotes" / "origin.json"
    seen = pin.read_bytes()
    said = project.fails(code, command)
    for word in words:
        assert word in said, said
    assert "hint: " in said
    # In `refs/remotes` is what git saw there, believed by nobody.
    assert _kept(project.refs()) == _kept(before)
    assert pin.read_bytes() == seen
    return said


# -- working through it ------------------------------------------------------------------------


def test_an_approval_whose_push_loses_the_race_comes_through_the_inbox(team: Team) -> None:
    one, two = team.one, team.two
    one.esaa("run", "--task", "T-R")
    one.ok("push")
    two.git("config", "--unset", "esaa.signingKey")
    two.ok("fetch")
    two.ok("review", "T-R", "--approve")
    one.ok("note", "T-2", "somebody was faster")
    one.ok("push")
    assert "waits in the inbox of 'origin'" in two.esaa("push").err
    assert "refs/esaa/inbox/" in team.refs()
    one.ok("fetch")
    assert "refs/esaa/inbox/" not in team.refs()
    last = one.chain()[-1].event
    assert (last.action, last.actor) == ("approval.grant", PERSON)
    one.ok("run", "--task", "T-R")
    assert one.task("T-R").is_done
    one.ok("push")
    assert outcomes(two)["approval.grant APR-0001"][0] == "there already"
    team.agree()


def test_two_clones_working_in_turn_end_with_the_same_log(team: Team) -> None:
    team.two.ok("fetch")  # what was seen before the folder was copied counts for nothing
    team.one.ok("run", "--task", "T-2")
    assert team.one.ok("push").startswith("pushed to 'origin': refs/esaa/events, refs/heads/main")
    assert "5 new events, verified" in team.two.ok("fetch")
    assert team.two.read("src/T-2.txt") == "T-2\n"
    team.two.ok("run", "--task", "T-3")
    team.two.ok("push")
    team.one.ok("fetch")
    team.agree()
    assert team.one.task("T-3").is_done


def test_the_persons_own_hook_has_its_say_about_the_branch_alone(team: Team) -> None:
    one, before = team.one, team.refs()
    pushed = one.head(MAIN)
    one.ok("hooks", "install")  # beside the person's own, which ours runs first
    hook = one.path / "checks" / "pre-push"
    hook.parent.mkdir()
    (one.path / ".git/hooks/pre-push").rename(hook)
    own = hook.with_name("pre-push.before-esaa")
    own.write_text(
        '#!/bin/sh\necho "$@" > told; cat >> told; test -e yes || { echo not yet; exit 1; }\n'
    )
    own.chmod(0o755)
    one.git("config", "core.hooksPath", "checks")
    one.ok("run", "--task", "T-2")

    said = one.fails(7, "push")
    assert "your hook 'pre-push' refused 'main'" in said
    assert "caused by: not yet" in said
    assert team.refs() == before

    (one.path / "yes").touch()
    one.ok("push")
    assert one.read("told").splitlines() == [
        f"origin {one.git('remote', 'get-url', 'origin')}",
        f"{MAIN} {one.head(MAIN)} {MAIN} {pushed}",
    ]
    assert team.at() == one.tip()
    one.ok("note", "T-2", "more to say")
    (one.path / "yes").unlink()
    one.ok("push")  # the log alone is none of the hook's business


def test_nothing_to_do_is_said(team: Team) -> None:
    before = team.refs()
    assert "has it all" in team.one.ok("push")
    assert "nothing new" in team.one.ok("fetch")
    assert "has it all" in team.one.ok("sync")
    assert team.refs() == before


def test_a_push_takes_the_branch_that_is_checked_out_or_says_what_it_left(team: Team) -> None:
    one = team.one
    one.ok("run", "--task", "T-2")
    one.git("switch", "--quiet", "--create", "release")
    assert "refs/heads/main, refs/heads/release" in one.ok("push")
    one.write("src/own.txt", "a person's\n")
    one.commit("A person's own")
    said = one.esaa("push")
    assert (said.code, said.out) == (0, "'origin' has all else\n")
    assert "'release' has 1 commits that 'origin' has not, none of them an effect" in said.err
    assert "'git push origin release' sends them" in said.err
    one.git("push", "--quiet", "origin", "release")
    assert team.at("refs/heads/release") == one.git("rev-parse", "HEAD")
    one.git("branch", "--quiet", "--move", "renamed")
    assert "'git push origin renamed' puts it there" in one.esaa("push").err
    one.git("push", "--quiet", "origin", "renamed")
    assert one.ok("push") == "'origin' has it all\n"


def test_a_log_that_is_verified_anew_is_not_called_new(team: Team) -> None:
    two = team.two
    two.ok("fetch")
    events = len(two.chain())
    team.one.ok("note", "T-1", "one more")
    team.one.ok("push")
    (two.repository.esaa_dir / "verified.json").unlink()
    (two.repository.esaa_dir / "remotes/origin.json").unlink()
    said = two.ok("fetch")
    assert f"1 new events, {events + 1} events verified" in said


def test_a_ref_that_git_takes_for_the_logs_is_named_with_the_way_to_delete_it(
    team: Team, git: Git
) -> None:
    alice, server = team.one, team.server
    wrong = [f"refs/heads/{LOG}", f"refs/tags/{LOG}"]
    for ref in wrong:
        git(server, "update-ref", ref, MAIN)
    alice.ok("run", "--task", "T-2")
    said = alice.fails(7, "push")
    assert f"has refs that git takes for '{LOG}'" in said
    gone = " ".join(f":{ref}" for ref in wrong)
    assert f"'git push origin {gone}'" in said
    alice.git("push", "--quiet", "origin", *gone.split())
    assert "pushed" in alice.ok("push")


def test_a_pin_that_counts_no_more_is_not_said_of_the_remotes_log(
    team: Team, tmp_path: Path
) -> None:
    team.one.ok("trust", "pin")
    genesis = team.one.chain()[0].oid
    moved = tmp_path / "moved"
    team.one.path.rename(moved)
    said = team.one.esaa("fetch", folder=moved)
    assert said.code != 0
    assert "does not count" in said.err
    assert f"'git esaa trust pin --replace {genesis}'" in said.err
    assert "does not hold" not in said.err
    assert team.one.esaa("trust", "pin", "--replace", genesis, folder=moved).code == 0
    assert team.one.esaa("fetch", folder=moved).code == 0


def test_a_push_that_lost_the_race_is_refused_and_a_sync_decides_again(team: Team) -> None:
    team.one.ok("run", "--task", "T-2")
    team.one.ok("push")
    team.two.ok("run", "--task", "T-3")
    before, refs = team.two.tip(), team.refs()
    assert "has events that are not here" in team.two.fails(6, "push")
    assert "run 'git esaa sync origin'" in team.two.ok("fetch")
    assert (team.two.tip(), team.refs()) == (before, refs)
    found = outcomes(team.two)
    assert {kind for kind, _ in found.values()} == {"recorded again", "concluded anew"}
    assert len(found) == 5
    team.one.ok("fetch")
    team.agree()
    assert team.one.actions()[6:] == 2 * team.one.actions()[1:6]
    assert {team.one.task(name).state for name in ("T-2", "T-3")} == {"done"}


def test_a_sync_that_is_overtaken_between_fetch_and_push_begins_again(team: Team) -> None:
    team.one.ok("task", "note", "T-2", "first")
    overtaking = str(team.one.tip())
    team.one.git("push", "--quiet", "origin", f"{LOG}:refs/tags/later")
    first = team.server / "hooks" / "pre-receive.before-esaa"
    first.write_text(
        f"#!/bin/sh\nrm -f '{first}'\nunset GIT_QUARANTINE_PATH\n"
        f"exec git update-ref {LOG} {overtaking}\n"
    )
    first.chmod(0o755)
    team.two.ok("task", "note", "T-2", "second")
    rounds = json.loads(team.two.ok("sync", "--json"))["rounds"]
    assert [one["relation"] for one in rounds] == ["ahead", "diverged"]
    assert not first.exists()
    team.one.ok("fetch")
    team.agree()
    assert [note.text for note in team.one.state().notes_on("T-2")] == ["first", "second"]


def test_many_who_sync_at_once_lose_nothing(team: Team) -> None:
    programs = []
    for name, project in (("one", team.one), ("two", team.two)):
        script = "\n".join(
            f"'{sys.executable}' -m esaa_git -C '{project.path}' {words}"
            for number in range(3)
            for words in (f"task note T-2 '{name} {number}'", "sync")
        )
        programs.append(
            subprocess.Popen(
                ["sh", "-e", "-c", script],
                env=environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        )
    for program in programs:
        assert program.wait(100) == 0, program.communicate()[1].decode()
    for project in (team.one, team.two):
        project.ok("sync")
    team.agree()
    notes = [note.text for note in team.one.state().notes_on("T-2")]
    assert sorted(notes) == [f"{name} {number}" for name in ("one", "two") for number in range(3)]


def test_many_processes_of_one_clone_fetch_at_once(team: Team) -> None:
    """All of them fetch to the same refs, as two runs and a person do."""

    def fetch() -> list[int]:
        remote = Remote(open_repository(team.one.path), "origin")
        return [remote.fetch().seq for _ in range(3)]

    team.two.ok("task", "note", "T-2", "while the others fetch")
    team.two.ok("push")
    seq = team.two.state().seq
    assert together(*[fetch] * 4) == [[seq] * 3] * 4
    team.one.ok("fetch")
    team.agree()


def test_an_event_ahead_of_the_servers_clock_is_refused(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One fast clock would let every lease and every request that waits run out for all."""
    clock = Clock((datetime.now(UTC) + timedelta(minutes=4)).isoformat()).install(monkeypatch)
    team.one.ok("task", "note", "T-2", "a little fast")
    team.one.ok("push")
    clock.advance(7200)
    team.one.ok("task", "note", "T-2", "two hours fast")
    before = team.refs()
    said = team.one.fails(7, "push")
    assert "is refused at EV-" in said
    assert "more than 5 minutes ahead of the clock of this server" in said
    assert "set the clock of the machine that recorded it" in said
    assert team.refs() == before


# -- what is decided again ---------------------------------------------------------------------


def both_write(team: Team, ours: Any, theirs: Any) -> None:
    """Have one push a change of T-2, and two record one of T-3."""
    team.one.answer("T-2", result("T-2", ours))
    team.one.commit("Answer")
    team.one.ok("run", "--task", "T-2")
    team.one.ok("push")
    team.two.answer("T-3", result("T-3", theirs))
    team.two.ok("run", "--task", "T-3")
    team.two.git("checkout", "--quiet", "--", ".roadmap")


def test_effects_on_one_file_are_merged_three_ways(team: Team) -> None:
    both_write(team, edit("src/shared.txt", "one", "ONE"), edit("src/shared.txt", "seven", "SEVEN"))
    outcomes(team.two)
    team.one.ok("fetch")
    team.agree()
    assert team.one.read("src/shared.txt").split() == [
        *("ONE", "two", "three", "four", "five", "six", "SEVEN")
    ]
    written = team.one.payloads("orchestrator.file.write")[-1]
    assert team.one.git("merge-base", written["base"], MAIN) == written["base"]


def test_an_effect_that_conflicts_becomes_a_rejection_and_is_kept(team: Team) -> None:
    both_write(team, edit("src/shared.txt", "four", "A"), edit("src/shared.txt", "four", "B"))
    tip = str(team.two.tip())
    found = outcomes(team.two)
    kind, reason = found["agent.result T-3-A1: Did T-3"]
    assert kind == "decided otherwise"
    assert "WRITE_CONFLICT" in str(reason)
    assert found["task.update T-3: in_progress → done"][0] == "left out"
    assert found["orchestrator.file.write T-3-A1: modify src/shared.txt"][0] == "left out"
    team.one.ok("fetch")
    team.agree()
    assert team.one.task("T-3").state == "todo"
    rejected = team.one.said("output.rejected")[-1]
    assert (rejected["code"], rejected["attempt_id"]) == ("WRITE_CONFLICT", "T-3-A1")
    assert "B" in team.two.git("show", f"refs/esaa/superseded/{tip}/heads/main:src/shared.txt")


def test_an_attempt_that_a_filter_took_counts_as_little_behind_what_others_recorded(
    team: Team,
) -> None:
    """The answer is refused where it is made, and so it is behind what the other has pushed."""
    attributes = ".git/info/attributes"
    team.two.write(attributes, "*.bin filter=crypt\n")
    team.two.answer("T-3", result("T-3", write("src/a.bin", "raw\n")))
    team.two.fails(11, "run", "--task", "T-3")
    team.two.git("checkout", "--quiet", "--", ".roadmap")
    team.one.ok("note", "T-3", "theirs")
    team.one.ok("push")
    kinds = {what: kind for what, (kind, _) in outcomes(team.two).items()}
    assert kinds["output.rejected T-3-A1: PATH_PROTECTED"] == "recorded again"
    assert "left out" not in kinds.values()
    task = team.two.task("T-3")
    assert (task.state, task.attempts_used, task.attempts_total) == ("todo", 0, 1)


def test_an_effect_under_a_filter_that_the_others_took_becomes_a_rejection(team: Team) -> None:
    team.one.write(".gitattributes", "*.bin filter=crypt\n")
    team.one.commit("A filter")
    both_write(team, write("src/a.txt", "a\n"), write("src/a.bin", "raw\n"))
    kind, reason = outcomes(team.two)["agent.result T-3-A1: Did T-3"]
    assert kind == "decided otherwise"
    assert "PATH_PROTECTED" in str(reason)
    team.one.ok("fetch")
    team.agree()
    assert "src/a.bin" not in team.one.git("ls-tree", "-r", "--name-only", MAIN).splitlines()


def test_a_change_that_the_others_made_as_well_closes_without_an_effect(team: Team) -> None:
    same = write("src/same.txt", "same\n")
    both_write(team, same, same)
    outcomes(team.two)
    team.one.ok("fetch")
    team.agree()
    assert team.one.task("T-3").is_done
    assert team.one.payloads("task.update")[-1].get("effect_commit") is None


def test_the_exchange_of_an_agent_travels_with_its_result(team: Team) -> None:
    team.one.ok("task", "note", "T-2", "first")
    team.one.ok("push")
    team.two.ok("run", "--task", "T-3")
    old = team.two.payloads("agent.result")[-1]
    outcomes(team.two)
    new = team.two.payloads("agent.result")[-1]
    assert {**new, "latency_ms": 0} == {**old, "latency_ms": 0}
    assert new["exchange"]["response"]["sha256"] == old["output_sha256"]


def test_only_the_first_of_two_claims_holds(team: Team) -> None:
    team.one.ok("claim", "T-2", "--as", "alice")
    team.one.ok("push")
    team.two.ok("claim", "T-2", "--as", "bob")
    team.two.ok("claim", "T-3", "--as", "bob")
    team.two.write("src/bob.txt", "bob\n")
    team.two.ok("complete", "T-2", "--summary", "By Bob", "--as", "bob", "src/bob.txt")
    found = outcomes(team.two)
    kind, reason = found["attempt.create T-2-A1: bob"]
    assert kind == "left out"
    assert "alice holds it" in str(reason)
    assert found["agent.result T-2-A1: By Bob"][0] == "left out"
    assert found["attempt.create T-3-A1: bob"][0] == "recorded again"
    attempt = team.two.task("T-2").attempt
    assert attempt is not None
    assert attempt.agent == "alice"
    held = team.two.task("T-3").attempt
    assert held is not None
    assert team.two.git("merge-base", held.base, f"{MAIN}") == held.base
    team.one.ok("fetch")
    team.agree()


def test_a_claim_that_is_open_can_be_completed_after_the_sync(team: Team) -> None:
    team.one.ok("run", "--task", "T-2")
    team.one.ok("push")
    team.two.ok("claim", "T-3", "--as", "bob")
    outcomes(team.two)
    team.two.write("src/bob.txt", "bob\n")
    team.two.ok("complete", "T-3", "--summary", "By Bob", "--as", "bob", "src/bob.txt")
    team.two.ok("sync")
    team.one.ok("sync")
    team.agree()


def test_attempts_and_issues_are_numbered_anew(team: Team) -> None:
    team.one.ok("claim", "T-2", "--as", "alice")
    team.one.ok("task", "release", "T-2", "--reason", "later", "--as", "alice")
    team.one.ok("issue", "report", "--severity", "low", "--title", "Odd", "--as", "alice")
    team.one.ok("push")
    team.two.ok("claim", "T-2", "--as", "bob")
    team.two.ok("issue", "report", "--severity", "low", "--title", "Strange", "--as", "bob")
    team.two.ok("complete", "T-2", "--summary", "By Bob", "--as", "bob")
    found = outcomes(team.two)
    assert found["attempt.create T-2-A1: bob"] == ("recorded again", "as 'T-2-A2'")
    assert {kind for kind, _ in found.values()} == {"recorded again"}
    assert [team.two.state().issues[name].title for name in ("ISS-0001", "ISS-0002")] == [
        "Odd",
        "Strange",
    ]
    result = team.two.task("T-2").result
    assert result is not None
    assert result.attempt_id == "T-2-A2"
    team.one.ok("fetch")
    team.agree()


def test_a_claim_that_was_given_back_is_given_back_again(team: Team) -> None:
    team.one.ok("task", "note", "T-2", "first")
    team.one.ok("push")
    team.two.ok("claim", "T-2", "--as", "bob")
    team.two.ok("task", "release", "T-2", "--reason", "no time", "--as", "bob")
    assert {kind for kind, _ in outcomes(team.two).values()} == {"recorded again"}
    assert team.two.task("T-2").state == "todo"
    team.one.ok("fetch")
    team.agree()


def test_issues_notes_blocks_and_their_undoing_are_decided_again(team: Team) -> None:
    team.one.ok("issue", "report", "--severity", "medium", "--title", "First")
    team.one.ok("push")
    team.two.ok("task", "note", "T-2", "Mind the gap")
    team.two.ok("issue", "report", "--task", "T-4", "--severity", "high", "--title", "Second")
    team.two.ok("issue", "resolve", "ISS-0001", "--reason", "It was nothing")
    team.two.ok("task", "unblock", "T-4", "--reason", "Go on")
    found = outcomes(team.two)
    assert {kind for kind, _ in found.values()} == {"recorded again", "concluded anew"}
    state = team.two.state()
    assert state.issues["ISS-0001"].is_open
    assert state.issues["ISS-0002"].resolution == "It was nothing"
    assert state.tasks["T-4"].state == "todo"
    assert state.notes_on("T-2")[0].text == "Mind the gap"
    team.one.ok("fetch")
    team.agree()


def test_an_undo_is_carried_out_again_on_the_branch_as_it_is_there(team: Team) -> None:
    team.one.ok("run", "--task", "T-2")
    team.one.ok("push")
    team.two.ok("fetch")
    team.two.ok("undo", "T-2", "--reason", "not this way")
    team.one.ok("run", "--task", "T-3")
    team.one.ok("halt")  # which pushes, and keeps no undo back
    found = outcomes(team.two)
    assert {outcome for outcome, _ in found.values()} == {"recorded again", "concluded anew"}
    team.two.ok("push")
    team.one.ok("fetch")
    team.agree()
    assert not (team.one.path / "src/T-2.txt").exists()
    assert team.one.read("src/T-3.txt") == "T-3\n"
    assert "undone by T-2-UN1" in team.one.ok("show", "T-2")


def test_a_review_is_granted_on_the_new_state(team: Team) -> None:
    team.one.ok("run", "--task", "T-2")
    team.two.ok("run", "--task", "T-R", "--steps", "1")
    team.two.ok("push")
    team.one.ok("sync")
    team.two.ok("fetch")
    team.one.ok("run", "--task", "T-3")
    team.one.ok("push")
    team.two.ok("review", "T-R", "--approve", "--reason", "Good")
    found = outcomes(team.two)
    assert found["approval.grant APR-0001"][0] == "recorded again"
    assert found["task.update T-R: in_progress → done (approved)"][0] == "recorded again"
    team.one.ok("fetch")
    team.agree()
    assert team.one.task("T-R").is_done
    assert team.one.state().approvals["APR-0001"].decided_by == PERSON


def test_a_whole_review_in_the_tail_gets_new_ids(team: Team) -> None:
    team.one.ok("task", "note", "T-2", "first")
    team.one.ok("push")
    team.two.ok("run", "--task", "T-R", "--steps", "1")
    team.two.ok("review", "T-R", "--request-changes", "More", "--as", "carol")
    found = outcomes(team.two)
    assert found["approval.deny APR-0001"][0] == "recorded again"
    assert team.two.task("T-R").state == "todo"
    team.one.ok("fetch")
    team.agree()


def test_an_agents_issue_blocks_the_task_again(team: Team) -> None:
    team.one.ok("task", "note", "T-2", "first")
    team.one.ok("push")
    team.two.esaa("run", "--task", "T-6", "--steps", "1")
    found = outcomes(team.two)
    assert not [kind for kind, _ in found.values() if kind == "left out"]
    assert team.two.task("T-6").state == "blocked"
    team.one.ok("fetch")
    team.agree()


def test_a_rejected_answer_is_rejected_again(team: Team) -> None:
    team.one.ok("task", "note", "T-2", "first")
    team.one.ok("push")
    team.two.answer("T-3", "this is no envelope")
    team.two.esaa("run", "--task", "T-3", "--steps", "1")
    team.two.git("checkout", "--quiet", "--", ".roadmap")
    found = outcomes(team.two)
    assert found["output.rejected T-3-A1: INVALID_JSON"][0] == "recorded again"
    assert team.two.task("T-3").attempts_used == 1
    team.one.ok("fetch")
    team.agree()


def test_a_question_and_its_answer_are_recorded_again(team: Team) -> None:
    team.one.ok("task", "note", "T-2", "first")
    team.one.ok("push")
    address = {"task_id": "T-3", "attempt_id": "T-3-A1"}
    asks = {"action": "question.ask", **address, "payload": {"text": "Which of the two?"}}
    team.two.answer("T-3", asks)
    team.two.esaa("run", "--task", "T-3", "--steps", "1")
    team.two.git("checkout", "--quiet", "--", ".roadmap")
    team.two.ok("answer", "T-3", "The second one.")
    found = outcomes(team.two)
    assert {kind for kind, _ in found.values()} == {"recorded again", "concluded anew"}
    task = team.two.task("T-3")
    assert (task.state, task.attempts_used, task.open_questions) == ("todo", 0, ())
    assert "The second one." in team.two.ok("show", "T-3")
    team.one.ok("fetch")
    team.agree()


def test_tasks_of_the_same_id_are_the_same_or_left_out(team: Team) -> None:
    for project, title in ((team.one, "Ours"), (team.two, "Theirs")):
        project.ok("task", "add", "T-9", "--kind", "impl", "--title", title)
        project.ok("task", "add", "T-8", "--kind", "impl", "--title", "Both")
    team.one.ok("push")
    team.two.ok("task", "note", "T-9", "on the wrong one")
    team.two.ok("task", "note", "T-8", "on the right one")
    found = outcomes(team.two)
    assert found["task.create T-9: Theirs"][0] == "left out"
    assert found["task.create T-8: Both"][0] == "there already"
    said = [line for line in found if line.startswith("note.add T-9")]
    assert found[said[0]][0] == "left out"
    assert not team.two.state().notes_on("T-9")
    assert team.two.state().notes_on("T-8")
    team.one.ok("fetch")
    team.agree()


def test_the_end_of_a_run_is_left_to_the_next_one(team: Team) -> None:
    team.one.ok("task", "add", "T-9", "--kind", "impl", "--title", "One more")
    team.one.ok("push")
    for name in ("T-6", "T-R"):
        team.two.answer(name, result(name, write(f"src/{name}.txt", "x\n")))
    while team.two.esaa("run").code == 14:
        team.two.ok("review", "T-R", "--approve", "--as", "carol")
    team.two.git("checkout", "--quiet", "--", ".roadmap")
    assert team.two.state().run.state == "success"
    found = outcomes(team.two)
    assert found["run.end RUN-0001: success"][0] == "left out"
    assert team.two.state().run.is_open
    team.one.ok("fetch")
    team.agree()


def test_a_run_that_two_start_at_once_is_one_run(team: Team) -> None:
    team.one.ok("plan", "apply", "--restart", "--reason", "again")
    team.one.ok("push")
    document = json.dumps({"project": "Example", "tasks": [task("T-7")]})
    team.two.write(".roadmap/plan.yaml", document)
    team.two.ok("plan", "apply", "--restart", "--reason", "again")
    team.two.git("checkout", "--quiet", "--", ".roadmap")
    found = outcomes(team.two)
    assert found["run.end RUN-0001: halted"][0] == "left out"
    kind, reason = found["run.init RUN-0002 Example: 1 new tasks"]
    assert kind == "decided otherwise"
    assert "RUN-0002 is open there, and has 1 of its tasks now" in str(reason)
    assert team.two.state().run.run_id == "RUN-0002"
    assert team.two.task("T-7").state == "todo"
    team.one.ok("fetch")
    team.agree()


def test_a_run_that_only_one_restarts_starts_again(team: Team) -> None:
    team.one.ok("task", "note", "T-2", "first")
    team.one.ok("push")
    team.two.amend_yaml("RUNTIME_POLICY.yaml", attempts__max_per_task=7)
    team.two.ok("plan", "apply", "--restart", "--reason", "again")
    team.two.git("checkout", "--quiet", "--", ".roadmap")
    assert {kind for kind, _ in outcomes(team.two).values()} == {"recorded again"}
    assert team.two.state().run.run_id == "RUN-0002"
    team.one.ok("fetch")
    team.agree()


# -- the branch --------------------------------------------------------------------------------


def test_commits_of_people_between_effects_are_made_anew_in_their_place(team: Team) -> None:
    team.one.ok("run", "--task", "T-2")
    team.one.ok("push")
    team.two.ok("run", "--task", "T-3")
    team.two.write("src/T-3.txt", "T-3, polished\n")
    team.two.commit("Polish")
    team.two.ok("run", "--task", "T-4")
    team.two.write("people.txt", "here\n")
    team.two.commit("People")
    outcomes(team.two)
    subjects = team.two.git("log", "--format=%s", "-5", "main").splitlines()
    wanted = ["People", "T-4: Did T-4", "Polish", "T-3: Did T-3", "T-2: Did T-2"]
    assert subjects == wanted
    assert team.two.read("src/T-3.txt") == "T-3, polished\n"
    team.one.ok("fetch")
    team.agree()


def test_a_commit_that_conflicts_is_named_and_kept(team: Team) -> None:
    both_write(team, edit("src/shared.txt", "one", "ONE"), write("src/T-3.txt", "x\n"))
    team.two.write("src/shared.txt", "one and a half\n")
    mine = team.two.commit("Mine")
    tip = str(team.two.tip())
    found = synced(team.two)
    assert [one["commit"] for one in found["commits_left_out"]] == [mine]
    assert team.two.head(f"refs/esaa/superseded/{tip}/heads/main") == mine
    team.one.ok("fetch")
    team.agree()


def test_commits_of_people_alone_are_merged_and_stay_as_they_are(team: Team) -> None:
    team.one.ok("run", "--task", "T-2")
    team.one.ok("push")
    team.two.write("people.txt", "here\n")
    mine = team.two.commit("People")
    before = team.two.refs()
    assert "has commits that are not there" in team.two.ok("fetch")
    assert team.two.head() == before[MAIN]
    assert team.two.tip() == before[LOG]
    assert synced(team.two)["merged"] == ["main"]
    team.one.ok("sync")
    team.agree()
    assert team.one.git("merge-base", mine, MAIN) == mine


def test_commits_that_others_pushed_to_the_branch_alone_are_merged(team: Team) -> None:
    team.one.write("people.txt", "here\n")
    team.one.commit("People")
    team.one.git("push", "--quiet", "origin", "main")
    team.two.ok("run", "--task", "T-3")
    effect = team.two.head()
    assert "'main' on 'origin' has commits that are not here" in team.two.fails(6, "push")
    synced(team.two)
    team.one.ok("sync")
    team.agree()
    assert team.one.git("merge-base", effect, MAIN) == effect


def test_commits_of_people_that_conflict_are_theirs_to_merge(team: Team) -> None:
    team.one.write("people.txt", "one\n")
    team.one.commit("One")
    team.one.git("push", "--quiet", "origin", "main")
    team.two.write("people.txt", "two\n")
    team.two.commit("Two")
    team.two.ok("task", "note", "T-2", "mine")
    before = team.two.head()
    complaint = team.two.fails(6, "sync")
    assert "in people.txt" in complaint
    assert f"git merge {team.one.head()[:12]}" in complaint
    assert team.two.head() == before
    team.two.git("merge", "--quiet", "-X", "ours", team.one.head())
    team.two.ok("sync")
    team.one.ok("sync")
    team.agree()


def test_uncommitted_work_in_the_way_stops_everything(team: Team) -> None:
    team.one.ok("run", "--task", "T-2")
    team.one.ok("push")
    team.two.write("src/T-2.txt", "mine\n")
    for command in ("fetch", "sync"):
        before = team.two.refs()
        said = team.two.fails(6, command)
        assert "your uncommitted work is in the way at 'src/T-2.txt'" in said
        kept = {ref: oid for ref, oid in team.two.refs().items() if "/remotes/" not in ref}
        assert kept == {ref: oid for ref, oid in before.items() if "/remotes/" not in ref}
        assert team.two.read("src/T-2.txt") == "mine\n"
    (team.two.path / "src/T-2.txt").unlink()
    team.two.write("unrelated.txt", "stays\n")
    team.two.ok("fetch")
    assert team.two.read("unrelated.txt") == "stays\n"
    assert team.two.tip() == team.one.tip()


def test_everything_that_people_keep_in_a_tree_follows(team: Team) -> None:
    team.one.write("a folder/ümlaut", "x\n")
    (team.one.path / "link").symlink_to("README.md")
    (team.one.path / "src/shared.txt").unlink()
    team.one.write("tool", "#!/bin/sh\n", executable=True)
    team.one.commit("All kinds")
    team.one.ok("run", "--task", "T-2")
    team.one.ok("push")
    team.two.ok("fetch")
    team.agree()
    assert (team.two.path / "link").is_symlink()


def _crash_between_the_two_refs(team: Team) -> None:
    """Have the log of the second follow the first, and not its branch."""
    team.one.ok("run", "--task", "T-2")
    team.one.ok("push")
    old = team.two.head()
    team.two.git("fetch", "--quiet", "origin")
    journal = FileJournal(team.two.repository)
    move = BranchMove("main", old, team.one.head())
    journal.write(Followup(str(team.one.tip()), move, "", ["src/T-2.txt"]))
    journal.pause()
    team.two.git("update-ref", LOG, str(team.one.tip()))


def test_a_crash_between_the_two_refs_is_finished_by_the_next_command(team: Team) -> None:
    _crash_between_the_two_refs(team)
    team.two.ok("verify")
    team.agree()


def test_a_crash_after_which_somebody_committed_is_left_to_a_sync(team: Team) -> None:
    _crash_between_the_two_refs(team)
    team.two.write("people.txt", "here\n")
    team.two.commit("People")
    team.two.ok("sync")
    team.one.ok("sync")
    team.agree()


# -- a remote that lies ------------------------------------------------------------------------


@pytest.fixture
def longer(team: Team) -> Team:
    """Both have eleven events, and so has the remote."""
    team.one.ok("run", "--task", "T-2")
    team.one.ok("push")
    team.two.ok("fetch")
    team.agree()
    return team


@pytest.mark.parametrize("by", [1, 10])
def test_a_remote_that_was_rolled_back_is_caught(longer: Team, by: int) -> None:
    longer.set(longer.one.chain()[-1 - by].oid)
    words = (f"rolled back to event {11 - by}", f"{by} are gone", "had 11 events")
    refuses(longer.two, 9, *words)
    refuses(longer.two, 9, *words, command="sync")
    refuses(longer.two, 9, *words, command="push")


def test_a_remote_that_was_forked_is_caught(longer: Team) -> None:
    forger = Forger(longer.one, longer.one.signer.sign).copy(longer.one.chain()[:8])
    fork = [forger.add(health(forger)) for _ in range(6)][-1]
    longer.one.git("push", "--quiet", "origin", f"{fork}:refs/tags/fork")
    longer.set(fork)
    refuses(longer.two, 9, "rewritten after event 8", "events 9 to 11")
    refuses(longer.two, 9, "rewritten after event 8", command="sync")


def test_a_fork_is_caught_by_a_clone_that_has_seen_it_without_following(longer: Team) -> None:
    """Two keeps to event 11, and yet knows that the remote had a twelfth."""
    longer.one.ok("task", "note", "T-3", "seen")
    longer.one.ok("push")
    longer.two.ok("task", "note", "T-3", "own")
    assert "not followed" in longer.two.ok("fetch")
    forger = Forger(longer.one, longer.one.signer.sign).copy(longer.one.chain()[:11])
    fork = forger.add(health(forger, "another twelfth"))
    longer.one.git("push", "--quiet", "origin", f"{fork}:refs/tags/fork")
    longer.set(fork)
    refuses(longer.two, 9, "rewritten after event 11")


def test_a_log_that_is_gone_is_not_an_empty_one(longer: Team) -> None:
    longer.run(longer.server, "update-ref", "-d", LOG)
    for command in ("fetch", "push", "sync"):
        refuses(longer.two, 9, "the event log is gone from 'origin'", "11 events", command=command)


def test_another_log_in_its_place_is_caught(longer: Team) -> None:
    make_log(longer.server.parent / "other", tasks=1, seed=bytes(32))
    longer.run(longer.server, "fetch", "--quiet", "../other", f"+{LOG}:refs/tags/other")
    longer.set(longer.at("refs/tags/other"))
    refuses(longer.two, 9, "another log than before")
    for name in ("remotes/origin.json",):
        (longer.two.repository.esaa_dir / name).unlink()
    longer.two.git("update-ref", "-d", "refs/esaa/remotes/origin/events")
    assert "another log than the one that is here" in longer.two.fails(9, "fetch")


def test_something_that_is_no_log_is_refused(longer: Team) -> None:
    longer.set(longer.one.head())
    refuses(longer.two, 10, "is no event log")


def test_a_forged_event_is_refused_before_the_local_log_moves(longer: Team) -> None:
    forger = Forger(longer.one, longer.one.signer.sign).copy(longer.one.chain())
    honest = forger.add(health(forger))
    draft = draft_of(read_event_commit(longer.one.repository.read, honest), longer.one.signer.sign)
    forged = replace(draft, message=draft.message.replace(b"alive", b"dead"))
    oid = forged.write(longer.one.repository, str(longer.one.tip()))
    longer.one.git("push", "--quiet", "origin", f"{oid}:refs/tags/forged")
    longer.set(oid)
    refuses(longer.two, 9, "does not hold", "check 5", "EV-00000012")
    longer.one.git("push", "--quiet", "origin", f"{honest}:refs/tags/honest")
    longer.set(honest)
    assert "1 new events, verified" in longer.two.ok("fetch")


def test_a_branch_that_was_rolled_back_alone_is_caught(longer: Team) -> None:
    longer.one.ok("task", "note", "T-3", "new")
    longer.one.ok("push")
    longer.set(longer.one.head(f"{MAIN}~1"), MAIN)
    before = longer.two.refs()
    assert "check 11" in longer.two.fails(9, "fetch")
    assert longer.two.tip() == before[LOG]


def test_a_branch_that_was_set_back_beside_another_is_named_each_time(longer: Team) -> None:
    """By a push that needs no key: the effects are on `side` first, and `main` goes back."""
    words = "1 effect is not on 'main', but on 'side' of 'origin'"
    longer.set(longer.one.head(), "refs/heads/side")
    longer.set(longer.one.head(f"{MAIN}~1"), MAIN)
    for _ in range(2):
        assert words in longer.two.esaa("fetch").err
    fresh = longer.server.parent / "fresh"
    said = run("clone", str(longer.server), str(fresh))
    assert said.code == 0, said
    assert words in said.err
    clone = Project(fresh, longer.run)
    for code, arguments in ((0, ()), (0, ()), (9, ("--full",)), (9, ("--strict",))):
        checked = clone.esaa("verify", *arguments)
        assert (checked.code, "'origin/side'" in checked.out) == (code, True), checked
    longer.run(longer.server, "update-ref", "-d", "refs/heads/side")
    clone.git("fetch", "--quiet", "--prune")
    assert "check 11" in clone.fails(9, "fetch")


def test_an_effect_without_its_event_is_caught(longer: Team) -> None:
    longer.one.ok("run", "--task", "T-3")
    longer.one.git("push", "--quiet", "origin", "main:refs/tags/effect")
    longer.set(longer.one.head(), MAIN)
    longer.one.git("update-ref", LOG, str(longer.two.tip()))
    assert "claims an event" in longer.two.fails(9, "fetch")


def test_a_plain_fetch_or_a_force_push_never_moves_the_local_log(longer: Team) -> None:
    tip = longer.two.tip()
    longer.one.ok("task", "note", "T-3", "new")
    longer.one.ok("push")
    longer.two.git("fetch", "--quiet", "origin")
    assert longer.two.tip() == tip
    assert longer.two.head("refs/esaa/remotes/origin/events") == longer.one.tip()
    longer.set(longer.one.chain()[3].oid)
    with pytest.raises(Exception, match="non-fast-forward"):
        longer.two.git("fetch", "origin")
    assert longer.two.head("refs/esaa/remotes/origin/events") == longer.one.tip()
    with pytest.raises(Exception, match="only grows"):
        longer.one.git("push", "--force", "origin", f"{longer.one.chain()[0].oid}:{LOG}")


def test_a_refusal_of_the_hook_is_said_in_its_own_words(longer: Team) -> None:
    forger = Forger(longer.one, longer.one.signer.sign).copy(longer.one.chain())
    draft = draft_of(
        read_event_commit(longer.one.repository.read, forger.add(health(forger))),
        longer.one.signer.sign,
    )
    forged = replace(draft, message=draft.message.replace(b"alive", b"dead"))
    before = longer.refs()
    longer.one.git("update-ref", LOG, forged.write(longer.one.repository, longer.one.tip()))
    said = longer.one.fails(7, "push")
    assert "refuses the push" in said
    assert "check 5" in said
    assert longer.refs() == before


def test_log_and_branch_are_pushed_together_or_not_at_all(longer: Team) -> None:
    longer.one.ok("run", "--task", "T-3")
    update = longer.server / "hooks" / "update"
    update.write_text('#!/bin/sh\n[ "$1" != refs/heads/main ]\n')
    update.chmod(0o755)
    before = longer.refs()
    assert "refuses the push" in longer.one.fails(7, "push")
    assert longer.refs() == before
    update.unlink()
    longer.one.ok("push")
    longer.two.ok("fetch")
    longer.agree()


# -- setting up --------------------------------------------------------------------------------


def test_setup_says_what_it_does_once(team: Team) -> None:
    team.two.git("config", "--unset-all", "remote.origin.fetch")
    team.two.git("config", "core.logAllRefUpdates", "true")
    assert len(Remote(team.two.repository, "origin").setup()) == 4
    config = (team.two.path / ".git/config").read_bytes()
    assert Remote(team.two.repository, "origin").setup() == []
    assert (team.two.path / ".git/config").read_bytes() == config
    assert b"+refs/esaa" not in config


def test_setup_takes_away_a_refspec_that_would_overwrite_the_log(team: Team) -> None:
    team.two.git("config", "--add", "remote.origin.fetch", "+refs/esaa/*:refs/esaa/*")
    done = Remote(team.two.repository, "origin").setup()
    assert done == ["'+refs/esaa/*:refs/esaa/*' is fetched no more"]
    team.two.git("config", "--add", "remote.origin.fetch", "+refs/*:refs/*")
    with pytest.raises(ConfigurationError, match="write to the log itself"):
        Remote(team.two.repository, "origin").setup()


def test_every_move_of_the_log_is_in_its_reflog(team: Team) -> None:
    team.one.ok("task", "note", "T-2", "first")
    team.one.ok("push")
    team.two.ok("fetch")
    assert "from origin" in team.two.git("reflog", "show", LOG)
    assert team.two.git("reflog", "show", "refs/esaa/remotes/origin/events")


def test_checkpoints_travel_and_those_that_differ_are_named(team: Team) -> None:
    team.one.ok("checkpoint", "create")
    [ref] = [name for name in team.one.refs() if "/checkpoints/" in name]
    assert ref in team.one.ok("push")
    team.two.ok("fetch")
    made = team.one.head(ref)
    assert team.two.head(ref) == made
    # Another commit with the same words: neither continues the other.
    other = team.two.git("commit-tree", "-m", "x", f"{made}^{{tree}}")
    team.two.git("update-ref", ref, other)
    said = team.two.esaa("fetch")
    assert said.code == 0
    assert f"note: '{ref}' here" in said.err
    said = team.two.esaa("push")
    assert f"note: '{ref}' stays here: " in said.err
    assert team.at(ref) == made
    assert not [name for name in team.two.refs() if "/incoming/" in name]


def test_what_a_copied_folder_says_of_a_remote_counts_for_nothing(team: Team) -> None:
    """Both clones are copies of folders that had verified their log and seen the remote."""
    said = team.two.esaa("fetch")
    assert "note: 'origin.json' was written by another user, or at another place" in said.err
    assert f"{len(team.two.chain())} " in said.out
    again = team.two.esaa("fetch")
    assert "origin.json" not in again.err


def test_what_only_has_the_name_of_a_checkpoint_is_neither_sent_nor_taken(team: Team) -> None:
    ref, junk = "refs/esaa/checkpoints/2", "refs/esaa/checkpoints/3"
    team.one.git("update-ref", ref, team.one.chain()[2].oid)
    said = team.one.esaa("push")
    assert f"note: '{ref}' stays here: " in said.err
    team.set(team.at(MAIN), junk)  # where no hook guards it
    team.two.git("update-ref", f"refs/esaa/incoming/origin/{junk.removeprefix('refs/esaa/')}", LOG)
    said = team.two.esaa("fetch")
    assert said.code == 0
    assert f"note: '{junk}' on 'origin' is left there: " in said.err
    assert junk not in team.two.refs()
    assert not [name for name in team.two.refs() if "/incoming/" in name]


def test_the_log_may_live_on_a_branch(tmp_path: Path, git: Git) -> None:
    with pytest.MonkeyPatch.context() as patch:
        hook_environment(patch)
        team = build(tmp_path, git, events_ref="refs/heads/esaa/events")
        team.one.ok("run", "--task", "T-2")
        team.one.ok("push")
        team.two.ok("run", "--task", "T-3")
        outcomes(team.two)
        team.one.ok("fetch")
        team.agree()
        team.set(team.one.chain()[2].oid, "refs/heads/esaa/events")
        refuses(team.one, 9, "rolled back")


def test_a_log_begun_twice_is_two_logs(team: Team, tmp_path: Path, git: Git) -> None:
    other = make_project(tmp_path / "other", git, task("T-1"))
    other.ok("plan", "apply")
    other.git("remote", "add", "origin", "../server.git")
    assert "another log than the one that is here" in other.fails(9, "fetch")
    assert "has events that are not here" in other.fails(6, "push")


def test_where_two_logs_part_is_found_by_raw_parents(team: Team) -> None:
    chain = team.one.chain()
    forger = Forger(team.one, team.one.signer.sign).copy(chain[:3])
    fork = [forger.add(health(forger)) for _ in range(2)][-1]
    repository = team.one.repository
    assert common_event(repository, chain[-1].oid, fork) == chain[2].oid
    assert common_event(repository, fork, chain[-1].oid) == chain[2].oid
    assert common_event(repository, chain[4].oid, chain[-1].oid) == chain[4].oid
