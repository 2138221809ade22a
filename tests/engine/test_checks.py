"""Checks before commit: nothing of a proposal is recorded before its tree has passed them."""

from __future__ import annotations

import pytest

from esaa_git.core.contract_rules import check_contract_rules
from esaa_git.core.invariants import Violation
from esaa_git.engine import operator, proof
from esaa_git.engine.commit import admit
from esaa_git.engine.cycle import Options, cycle
from esaa_git.engine.exchange import AgentOutput
from esaa_git.errors import AgentError, ConfigurationError, ConflictError
from esaa_git.ports.agent import Answer
from esaa_git.testing.answers import in_turn, oblige, result, write
from esaa_git.testing.contracts import Place, contracts, task
from esaa_git.testing.engine import MemoryEngine, engine
from esaa_git.testing.world import MemoryChecker
from tests.support.records import payload_of

CHECKS: Place = ("AGENT_CONTRACT.yaml", "kinds", "spec", "checks")
REVIEW: Place = ("AGENT_CONTRACT.yaml", "kinds", "spec", "review")
TESTS = {"name": "tests", "run": ["make", "test"]}
LINT = {"name": "lint", "run": ["make", "lint"], "timeout": "PT1M"}
PATH = "docs/a.md"
BOB = "bob@example.com"

bad = result(write(PATH, "tests fails here\n"))
good = result(write(PATH, "fine\n"))


def checked(made: MemoryEngine) -> int:
    """How often checks ran."""
    assert isinstance(made.checker, MemoryChecker)
    return len(made.checker.trees)


def results(made: MemoryEngine, action: str) -> list[list[tuple[str, bool]]]:
    return [
        [(one["name"], one["passed"]) for one in payload_of(event).get("check_results", ())]
        for event in made.events
        if event.action == action
    ]


def test_a_failing_check_is_a_rejection_and_the_agent_corrects_itself() -> None:
    made = engine(in_turn(bad, good), given=contracts({CHECKS: [TESTS]}))
    made.apply(task())
    cycle(made)
    refused = next(event for event in made.events if event.action == "output.rejected")
    assert refused.payload.code == "CHECK_FAILED"
    assert made.refusals[0].detail == {
        "check": "tests",
        "reason": "it left with exit status 1",
        "output": "output\n",
    }
    assert "tests" in made.view(1)["last_rejection"]["message"]
    assert made.content(PATH) == b"fine\n"
    assert results(made, "output.rejected") == [[("tests", False)]]
    assert results(made, "orchestrator.file.write") == [[("tests", True)]]


def test_nothing_of_a_proposal_is_recorded_before_its_checks_have_passed() -> None:
    made = engine(good, given=contracts({CHECKS: [TESTS]}))
    made.apply(task())
    seen: list[list[str]] = []

    class Looking(MemoryChecker):
        def run(self, *given: object) -> list:  # type: ignore[type-arg, override]
            seen.append(made.actions)
            return super().run(*given)  # type: ignore[arg-type]

    made.checker = Looking(made.repository)
    cycle(made)
    on_base, on_proposal = seen
    assert on_base == ["run.init"]
    assert on_proposal == ["run.init", "attempt.create", "orchestrator.dispatch"]


def test_the_checks_of_kind_and_task_run_in_this_order_and_the_first_failure_is_the_last() -> None:
    own = {"name": "own", "run": ["./check"]}
    for content, ran in (
        ("fine", [("tests", True), ("lint", True), ("own", True)]),
        ("lint fails", [("tests", True), ("lint", False)]),
    ):
        made = engine(result(write(PATH, content)), given=contracts({CHECKS: [TESTS, LINT]}))
        made.apply(task(checks=[own], attempts_allowed=1))
        cycle(made, Options(steps=1))
        action = "orchestrator.file.write" if content == "fine" else "output.rejected"
        assert results(made, action) == [ran]


def test_a_result_without_a_change_needs_no_check() -> None:
    made = engine(result(), given=contracts({CHECKS: [TESTS]}))
    made.apply(task())
    cycle(made)
    assert made.task("T-1").is_done
    assert checked(made) == 0


def test_the_merged_tree_is_checked_where_the_branch_moved_while_the_checks_ran() -> None:
    made = engine(good, given=contracts({CHECKS: [TESTS]}))
    made.apply(task())

    class Slow(MemoryChecker):
        def run(self, *given: object) -> list:  # type: ignore[type-arg, override]
            if not self.trees:
                made.person_commits({"docs/b.md": b"tests fails with this\n"})
            return super().run(*given)  # type: ignore[arg-type]

    made.checker = Slow(made.repository)
    cycle(made, Options(steps=1))
    assert checked(made) == 2
    assert made.last.payload.cause == "rejected"
    assert results(made, "output.rejected") == [[("tests", False)]]
    assert made.content(PATH) is None


def test_a_branch_that_never_rests_is_said_so_and_the_attempt_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("esaa_git.engine.cycle.MAX_PROOFS", 3)
    monkeypatch.setattr(proof, "MAX_PROOFS", 3)
    made = engine(good, given=contracts({CHECKS: [TESTS]}))
    made.apply(task())

    class Restless(MemoryChecker):
        def run(self, *given: object) -> list:  # type: ignore[type-arg, override]
            made.person_commits({"docs/b.md": b"%d\n" % len(self.trees)})
            return super().run(*given)  # type: ignore[arg-type]

    made.checker = Restless(made.repository)
    with pytest.raises(ConflictError, match="the working branch moved 3 times"):
        cycle(made)
    assert (made.task("T-1").state, made.task("T-1").attempts_used) == ("todo", 0)
    request = operator.claim(made, "T-1", BOB)
    said = AgentOutput(Answer(good(request), 0), BOB, None, "T-1", request.attempt_id)
    with pytest.raises(ConflictError, match="the working branch moved 3 times"):
        admit(made, said)
    assert made.task("T-1").active_attempt is not None


def test_a_check_that_cannot_be_run_at_all_spends_no_attempt() -> None:
    made = engine(good, given=contracts({CHECKS: [TESTS]}))
    made.apply(task())

    class Broken(MemoryChecker):
        def run(self, *given: object) -> list:  # type: ignore[type-arg, override]
            raise AgentError("no confinement here")

    made.checker = Broken(made.repository)
    with pytest.raises(AgentError, match="no confinement here"):
        cycle(made)
    assert (made.task("T-1").state, made.task("T-1").attempts_used) == ("todo", 0)


def test_a_result_that_waited_for_its_review_is_checked_on_what_the_branch_became() -> None:
    made = engine(good, given=contracts({CHECKS: [TESTS], REVIEW: "required"}))
    made.apply(task())
    cycle_until_review(made)
    made.person_commits({"docs/b.md": b"two\n"})
    assert operator.review(made, "T-1", BOB, "approve", "fine").kind == "done"
    assert checked(made) == 2
    assert results(made, "orchestrator.file.write") == [[("tests", True)], [("tests", True)]]


def test_a_result_that_no_longer_passes_is_taken_back_although_it_was_approved() -> None:
    made = engine(good, given=contracts({CHECKS: [TESTS], REVIEW: "required"}))
    made.apply(task())
    cycle_until_review(made)
    made.person_commits({"docs/b.md": b"tests fails with this\n"})
    admission = operator.review(made, "T-1", BOB, "approve", "fine")
    assert (admission.kind, made.actions[-1]) == ("waiting", "approval.grant")
    assert "not applied here: the check 'tests' failed" in admission.message
    with pytest.raises(AgentError, match="fails on the base already"):
        cycle(made)
    refused = next(one for one in made.events if one.action == "output.rejected")
    assert refused.payload.code == "CHECK_FAILED"
    assert made.task("T-1").state == "todo"
    assert "approval.deny" not in made.actions
    assert made.content(PATH) is None


def cycle_until_review(made: MemoryEngine) -> None:
    cycle(made, Options(steps=1))
    assert made.task("T-1").pending_approval is not None


def test_an_effect_without_its_checks_is_against_the_law() -> None:
    made = engine(good)
    made.apply(task())
    cycle(made)
    log = list(made.log.events())
    (written,) = [one.event for one in log if one.event.action == "orchestrator.file.write"]
    before = made.log.recorded[log[written.seq - 2].commit].state
    check_contract_rules(before, written, contracts())
    with pytest.raises(Violation, match="'tests' was not passed by 'T-1'"):
        check_contract_rules(before, written, contracts({CHECKS: [TESTS]}))


def test_two_checks_of_one_name_are_refused_with_the_plan() -> None:
    made = engine(oblige, given=contracts({CHECKS: [TESTS]}))
    with pytest.raises(ConfigurationError, match="two checks called 'tests'"):
        made.apply(task(checks=[{"name": "tests", "run": ["true"]}]))


@pytest.mark.parametrize("timeout", ["PT0S", "P", "PT"])
def test_a_check_without_any_time_is_refused(timeout: str) -> None:
    given = contracts({CHECKS: [{**TESTS, "timeout": timeout}]})
    with pytest.raises(ConfigurationError, match=r"timeout|duration"):
        given.check()


def test_what_a_failed_check_printed_is_redacted_and_bounded() -> None:
    made = engine(bad, given=contracts({CHECKS: [TESTS]}))
    made.apply(task())

    class Chatty(MemoryChecker):
        def run(self, *given: object) -> list:  # type: ignore[type-arg, override]
            (found,) = super().run(*given)  # type: ignore[arg-type]
            secret = "password=hunter2-hunter2"
            from dataclasses import replace

            return [replace(found, output=f"{'x' * 9000}{secret}\n\x1b[31m the end")]

    made.checker = Chatty(made.repository)
    cycle(made, Options(steps=1))
    shown = made.refusals[0].detail["output"]
    assert len(shown) == proof.OUTPUT_SHOWN
    assert shown.endswith("[redacted]\n\ufffd[31m the end")
