"""What the policy in force says of events: on every append, and again in `verify`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from esaa_git.core.contracts import POLICY, Contracts
from esaa_git.core.event import Event
from esaa_git.core.events.base import replace
from esaa_git.core.invariants import Violation
from esaa_git.core.policy import cel
from esaa_git.core.policy_rules import check_policy
from esaa_git.core.projection import evolve
from esaa_git.core.said import why_blocked
from esaa_git.core.state import EMPTY, State
from esaa_git.engine import operator, run
from esaa_git.engine.cycle import Options, cycle
from esaa_git.errors import EsaaError, RunHalted
from esaa_git.testing.answers import in_turn, result, write
from esaa_git.testing.contracts import changed_files, contracts, task
from esaa_git.testing.engine import engine
from tests.logs.generate import judged_by_policy, under_rules
from tests.support.examples import SHA256
from tests.support.records import payload_of

LOG = tuple(judged_by_policy())
"""A denied answer (4, 5), and one to which a person has to agree (9 to 14)."""


def judge(
    seq: int, change: Callable[[Any], Any] | None = None, given: Contracts | None = None
) -> None:
    """Judge event `seq`, changed, in the state before it."""
    state: State = EMPTY
    for event in LOG[: seq - 1]:
        state = evolve(state, event)
    event = LOG[seq - 1]
    payload = event.payload if change is None else change(event.payload)
    check_policy(state, _with(event, payload), given or under_rules())


def _with(event: Event, payload: Any) -> Event:
    return dataclasses.replace(event, payload=payload)


def test_what_was_recorded_is_lawful() -> None:
    for seq in range(1, len(LOG) + 1):
        judge(seq)


def facts(**changes: Any) -> Callable[[Any], Any]:
    return lambda payload: replace(payload, facts=replace(payload.facts, **changes))


def fields(**changes: Any) -> Callable[[Any], Any]:
    return lambda payload: replace(payload, **changes)


def of_file(**changes: Any) -> Callable[[Any], Any]:
    def change(payload: Any) -> Any:
        files = tuple(replace(file, **changes) for file in payload.facts.files)
        return replace(payload, facts=replace(payload.facts, files=files))

    return change


@pytest.mark.parametrize(
    ("seq", "change", "fault"),
    [
        # A decision that no rule of the policy makes.
        (4, fields(rule="no-such"), "has no rule 'no-such' that decides so"),
        (4, fields(rule="new-files"), "has no rule 'new-files' that decides so"),  # only noted
        (4, fields(effect="require"), "has no rule 'no-drafts' that decides so"),
        (4, fields(policy_sha256=SHA256), "by another policy"),
        # A rejection that the policy does not order.
        (5, of_file(path="docs/a.md"), "no rule denies"),
        (5, fields(facts=None), "has no facts"),
        (5, facts(kind="impl"), "not those of its answer"),
        # A result with other facts than its own.
        (10, fields(facts=None), "records no facts"),
        (10, facts(agent="agent-qa"), "not those of its result"),
        (10, facts(model=None), "not those of its result"),
        (10, facts(kind="impl"), "not those of its result"),
        (10, facts(cost_microdollars=1), "not those of its result"),
        (10, of_file(path="docs/other.md"), "name other paths"),
        (10, fields(policy=None), "notes other rules"),
    ],
)
def test_what_says_something_else_than_the_policy_is_refused(
    seq: int, change: Callable[[Any], Any], fault: str
) -> None:
    with pytest.raises(Violation, match=fault):
        judge(seq, change)


def other(*rules: dict[str, Any]) -> Contracts:
    policy = {"schema_version": "0.3.0", "rules": list(rules)}
    return contracts().with_files({POLICY: json.dumps(policy).encode()})


HANDBOOK = {"paths": "docs/handbook.md"}


def test_a_result_and_an_effect_under_a_policy_that_denies_them_are_refused() -> None:
    deny = other({"name": "handbook", "effect": "deny", "match": HANDBOOK})
    for seq in (10, 11):
        with pytest.raises(Violation, match="denied by policy"):
            judge(seq, None, deny)


def test_an_effect_needs_the_decision_of_each_rule_that_asks_for_a_consent() -> None:
    more = other(
        {"name": "handbook", "effect": "require", "match": HANDBOOK},
        {"name": "all-docs", "effect": "require", "match": {"paths": "docs/**"}},
    )
    with pytest.raises(Violation, match="lacks the decision that 'all-docs'"):
        judge(11, None, more)
    with pytest.raises(Violation, match="'handbook' asks for no consent"):
        judge(11, None, other({"name": "all-docs", "effect": "allow"}))


def test_an_effect_is_held_against_the_facts_of_its_result() -> None:
    """Operations, modes and lines are in the effect; a result cannot say less of them."""
    with pytest.raises(Violation, match="not what the facts of its result say"):
        judge(11, fields(changed_lines=7))

    def executable(payload: Any) -> Any:
        return replace(payload, files=tuple(replace(one, mode="100755") for one in payload.files))

    with pytest.raises(Violation, match="not what the facts of its result say"):
        judge(11, executable)


def test_a_result_without_files_is_judged_when_its_task_is_closed() -> None:
    rule = {"name": "every-word", "effect": "require", "match": {"agent": "agent-spec"}}
    made = engine(in_turn(result()), given=other(rule))
    made.apply(task())
    cycle(made, Options(steps=1))
    assert made.task("T-1").pending_approval is not None
    operator.review(made, "T-1", "person@example.com", "approve", "so be it")
    assert made.task("T-1").is_done
    closing = next(event for event in reversed(made.events) if event.action == "task.update")
    state = EMPTY
    for event in made.events[: closing.seq - 1]:
        state = evolve(state, event)
    check_policy(state, closing, other(rule))
    with pytest.raises(Violation, match="lacks the decision that 'another'"):
        check_policy(state, closing, other(rule, {"name": "another", "effect": "require"}))


def test_a_denied_answer_tells_its_agent_and_leaves_the_task_to_the_next() -> None:
    """The next request names the code, every rule and what each says."""
    made = engine(
        in_turn(result(write("docs/drafts/a.md")), result(write("docs/a.md"))),
        given=under_rules(),
    )
    made.apply(task())
    cycle(made, Options(steps=1))
    signal = made.task("T-1").rejection
    assert signal is not None
    assert signal.code == "POLICY_DENIED"
    assert made.refusals[0].detail["rules"] == ["no-drafts"]
    cycle(made)
    assert made.task("T-1").is_done
    assert made.task("T-1").judged is None


def test_what_the_branch_made_of_a_proposal_is_judged_again() -> None:
    """A file is moved on the branch while a change of it waits, to where the policy denies it."""
    rules = {"name": "no-drafts", "effect": "deny", "match": {"paths": "docs/drafts/**"}}
    text = b"one\ntwo\nthree\nfour\n"
    made = engine(
        in_turn(result(write("docs/a.md", "one\ntwo\nthree\n4\n"))),
        given=other(rules),
        files={"docs/a.md": text},
    )
    made.apply(task(review=True))
    cycle(made, Options(steps=1))
    made.person_commits({"docs/a.md": None, "docs/drafts/a.md": text})
    operator.review(made, "T-1", "person@example.com", "approve", "read")
    refused = [event for event in made.events if event.action == "output.rejected"]
    assert [payload_of(event)["code"] for event in refused] == ["POLICY_DENIED"]
    assert made.task("T-1").state == "todo"


def test_a_policy_that_came_into_force_meanwhile_judges_what_waits() -> None:
    made = engine(in_turn(result(write("docs/handbook.md"))), given=under_rules())
    made.apply(task())
    cycle(made, Options(steps=1))
    run.stop(made, "other rules", "person@example.com")
    made.given = other({"name": "handbook", "effect": "deny", "match": HANDBOOK})
    made.apply(task())
    cycle(made)  # nobody is asked for what is denied by now
    refused = [payload_of(event) for event in made.events if event.action == "output.rejected"]
    assert refused[0]["code"] == "POLICY_DENIED"
    assert len(made.state.approvals) == 1


def test_what_a_merge_makes_of_a_proposal_may_need_a_consent_that_is_asked_for_anew() -> None:
    rule = {"name": "no-drafts", "effect": "require", "match": {"paths": "docs/drafts/**"}}
    text = b"one\ntwo\nthree\nfour\n"
    made = engine(
        in_turn(result(write("docs/a.md", "one\ntwo\nthree\n4\n"))),
        given=other(rule),
        files={"docs/a.md": text},
    )
    made.apply(task(review=True))
    cycle(made, Options(steps=1))
    made.person_commits({"docs/a.md": None, "docs/drafts/a.md": text})
    operator.review(made, "T-1", "person@example.com", "approve", "read")
    assert made.state.approvals["APR-0001"].state == "void"
    (_, asked) = made.state.approvals["APR-0002"].requirements
    assert asked.rule == "the policy asks for it by 'no-drafts'"
    assert operator.review(made, "T-1", "person@example.com", "approve", "read").kind == "done"
    assert made.audit().is_ok


def test_what_was_decided_stands_when_the_rule_is_gone() -> None:
    """The effect is written anew on a branch that moved, under contracts without the rule."""
    rule = {"name": "every-doc", "effect": "require", "match": {"paths": "docs/**"}}
    made = engine(in_turn(result(write("docs/a.md"))), given=other(rule))
    made.apply(task())
    cycle(made, Options(steps=1))
    run.stop(made, "other rules", "person@example.com")
    made.given = other({"name": "none", "effect": "deny", "match": {"kind": "impl"}})
    made.apply(task())
    made.person_commits({"README.md": b"# Moved\n"})
    with pytest.raises(RunHalted, match="waits for 'git esaa review T-1'"):
        cycle(made)
    operator.review(made, "T-1", "person@example.com", "approve", "read")
    assert made.task("T-1").is_done
    assert made.audit().is_ok


def test_under_a_policy_with_an_expression_run_init_names_what_evaluates_it() -> None:
    rule = {"name": "long", "effect": "deny", "when": "lines > 100"}
    made = engine(in_turn(result(write("docs/a.md"))), given=other(rule))
    made.apply(task())
    began = made.events[0]
    assert made.state.run.cel == payload_of(began)["cel"] == cel.library()
    without = fields(cel=None)(began.payload)
    with pytest.raises(Violation, match="names another 'cel'"):
        check_policy(EMPTY, _with(began, without), other(rule))
    with pytest.raises(Violation, match="names another 'cel'"):
        check_policy(EMPTY, began, contracts())
    cycle(made)
    assert made.task("T-1").is_done


def test_a_policy_that_cannot_be_used_starts_no_run() -> None:
    broken = contracts().with_files({POLICY: b"rules: [{name: a, efect: deny}]\n"})
    made = engine(given=broken)
    with pytest.raises(EsaaError, match=r"POLICY\.yaml"):
        made.apply(task())
    assert made.events == []


# -- before an agent is asked -------------------------------------------------------------------

NOT_HER = {
    "name": "not-her",
    "on": "dispatch",
    "effect": "deny",
    "match": {"agent": "agent-spec", "kind": "spec"},
    "message": "she writes no specifications",
}


def test_an_agent_that_policy_denies_is_not_asked_and_the_next_in_line_is() -> None:
    given = other(NOT_HER).with_files(
        changed_files({("agents_swarm.yaml", "kinds", "spec"): ["agent-spec", "agent-impl"]})
        | {POLICY: other(NOT_HER).files[POLICY]}
    )
    made = engine(in_turn(result(write("docs/a.md"))), given=given)
    made.apply(task())
    report = cycle(made)
    assert [request.attempt_id for request in made.requests] == ["T-1-A2"]
    assert made.task("T-1").is_done
    assert report.admissions[0].kind == "rejected"
    actions = made.actions
    denied = actions.index("policy.decision")
    assert actions[denied - 1 : denied + 3] == [
        "attempt.create",
        "policy.decision",
        "output.rejected",
        "task.update",
    ]
    refused = payload_of(made.events[denied + 1])
    assert (refused["code"], refused["facts"]["on"]) == ("POLICY_DENIED", "dispatch")
    assert made.refusals[0].message.endswith("she writes no specifications")
    assert made.audit().is_ok


def test_who_is_denied_by_name_is_never_asked_and_the_task_waits_for_a_person() -> None:
    made = engine(in_turn(), given=other(NOT_HER))
    made.apply(task())
    cycle(made)
    assert made.requests == []
    why = why_blocked(made.task("T-1"), made.blobs.read)
    assert "the policy denies asking 'agent-spec' by 'not-her'" in why


def test_a_dispatch_says_which_rules_are_only_noted() -> None:
    rule = {**NOT_HER, "mode": "audit"}
    made = engine(in_turn(result(write("docs/a.md"))), given=other(rule))
    made.apply(task())
    cycle(made)
    asked = next(event for event in made.events if event.action == "orchestrator.dispatch")
    noted = {"rule": "not-her", "effect": "deny", "mode": "audit"}
    assert payload_of(asked)["policy"] == [noted]
    assert "policy" not in payload_of(next(e for e in made.events if e.action == "agent.result"))
    state = EMPTY
    for event in made.events[: asked.seq - 1]:
        state = evolve(state, event)
    check_policy(state, asked, other(rule))
    with pytest.raises(Violation, match="notes other rules"):
        check_policy(state, _with(asked, fields(policy=None)(asked.payload)), other(rule))
    with pytest.raises(Violation, match="denied by policy"):
        check_policy(state, asked, other(NOT_HER))


def test_a_warning_is_said_and_stops_nothing() -> None:
    rule = {"name": "careful", "effect": "deny", "mode": "warn", "message": "look twice"}
    made = engine(in_turn(result(write("docs/a.md"))), given=other(rule))
    made.apply(task())
    cycle(made)
    assert made.task("T-1").is_done
    assert "policy, 'careful': would deny T-1-A1: look twice" in made.lines


def test_a_rule_is_met_by_so_many_people_of_its_role_and_each_counts_once() -> None:
    asked = {"require": {"role": "approver", "count": 2}}
    made = engine(
        in_turn(result(write("docs/a.md"))),
        given=other({"name": "two", "effect": asked, "match": {"paths": "docs/**"}}),
    )
    made.apply(task())
    cycle(made, Options(steps=1))
    request = payload_of(next(e for e in made.events if e.action == "approval.request"))
    assert request["requirements"] == [
        {"rule": "the policy asks for it by 'two'", "role": "approver", "count": 2}
    ]
    operator.review(made, "T-1", "ann@example.com", "approve", "read")
    assert not made.task("T-1").is_done
    with pytest.raises(EsaaError):
        operator.review(made, "T-1", "ann@example.com", "approve", "again")
    operator.review(made, "T-1", "ben@example.com", "approve", "read too")
    assert made.task("T-1").is_done
    assert made.audit().is_ok
