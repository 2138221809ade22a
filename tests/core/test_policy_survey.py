"""What is doubtful in a policy, and what a draft says of a history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from esaa_git.core.contracts import POLICY, Contracts
from esaa_git.core.event import Event
from esaa_git.core.policy.history import answer, proposals
from esaa_git.core.policy_survey import survey
from esaa_git.engine.cycle import cycle
from esaa_git.errors import RunHalted
from esaa_git.testing.answers import in_turn, oblige, result, write
from esaa_git.testing.contracts import contracts, task
from esaa_git.testing.engine import engine
from tests.logs.generate import judged_by_policy, under_rules
from tests.support.records import payload_of


def given(*rules: Mapping[str, Any], **more: Any) -> Contracts:
    named = [{"name": f"r{nth}", "effect": "deny", **rule} for nth, rule in enumerate(rules)]
    document = {"schema_version": "0.3.0", "rules": named, **more}
    return contracts().with_files({POLICY: json.dumps(document).encode()})


def doubts(*rules: Mapping[str, Any], **more: Any) -> list[str]:
    made = given(*rules, **more)
    assert made.guard is not None
    return [f"{one.rule}: {one.message}" for one in survey(made.guard, made)]


def test_the_rules_of_a_new_project_leave_no_doubt() -> None:
    made = contracts()
    assert made.guard is not None
    assert len(made.guard.rules) == 3
    assert {rule.mode for rule in made.guard.rules} == {"audit"}
    assert survey(made.guard, made) == ()


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ({"kind": "imlp"}, "there is no kind 'imlp'; did you mean 'impl'?"),
        ({"kind": ["impl", "xyz"]}, "there is no kind 'xyz'; there is"),
        ({"agent": "agent-imp"}, "there is no agent 'agent-imp'; did you mean 'agent-impl'?"),
        ({"lines": {"more_than": 5000}}, "it never matches: no proposal has more than 5000 lines"),
        ({"files": {"more_than": 100}}, "it never matches: no proposal has more than 100 files"),
        ({"kind": "spec", "paths": "src/**"}, "it never matches: no kind that it is about may"),
    ],
)
def test_what_there_is_not_and_what_never_matches_is_named(
    match: Mapping[str, Any], said: str
) -> None:
    (doubt,) = doubts({"match": match})
    assert doubt.startswith(f"r0: {said}")


@pytest.mark.parametrize(
    "match",
    [
        {"kind": "im*"},
        {"agent": "ann@example.com"},
        {"lines": {"more_than": 4999}},
        {"kind": "spec", "paths": "docs/a/*.md"},
        {"paths": ["src/**", "nowhere/**"]},
        {},
    ],
)
def test_what_can_match_leaves_no_doubt(match: Mapping[str, Any]) -> None:
    assert doubts({"match": match}) == []


def test_an_operation_that_the_contract_prohibits_never_matches() -> None:
    place = ("AGENT_CONTRACT.yaml", "prohibitions", "operations")
    made = contracts(
        {
            place: ["delete"],
            (POLICY, "rules"): [{"name": "r", "effect": "deny", "match": {"operations": "delete"}}],
        }
    )
    assert made.guard is not None
    (found,) = survey(made.guard, made)
    assert found.message == "it never matches: the contract prohibits delete for every kind"


def test_a_rule_that_another_denies_before_it_never_decides() -> None:
    wide = {"match": {"paths": ["docs/**", "src/**"]}}
    narrow = {"match": {"paths": "src/**", "kind": "impl"}, "effect": "require"}
    said = "r1: it never decides: 'r0' denies all that it matches"
    assert doubts(wide, narrow) == [said]
    assert doubts(wide, {**narrow, "effect": "deny"}) == [said]
    assert doubts(narrow, wide) == ["r0: it never decides: 'r1' denies all that it matches"]
    for idle in (
        {**wide, "mode": "audit"},
        {**wide, "when": "lines > 3"},
        {**wide, "on": "dispatch", "match": {}},
        {"match": {"paths": "src/**", "lines": {"more_than": 3}}},
        {"match": {"paths": "docs/**"}},
    ):
        assert doubts(idle, narrow) == []
    assert doubts(wide, {**narrow, "mode": "audit"}) == []


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"when": "lines / 0 > 1"}, "with one file, and an error denies: divide by zero"),
        ({"when": 'files[0].path == "a"'}, "without files, and an error denies: "),
        ({"when": 'files[0].path == "a"', "match": {"operations": "add"}}, None),
        ({"when": 'files[1].path == "a"', "match": {"paths": "docs/**"}}, "with one file, "),
        ({"when": 'size(files) > 0 && files[0].path == "a"'}, None),
    ],
)
def test_an_expression_that_errs_on_the_simplest_proposals_is_named(
    rule: Mapping[str, Any], said: str | None
) -> None:
    found = doubts(rule)
    assert len(found) == (said is not None)
    assert said is None or f"it errs on a proposal {said}" in found[0]


def test_allow_means_something_where_the_rest_is_denied() -> None:
    assert doubts({"effect": "allow"}) == [
        "r0: it changes nothing: what no rule denies is allowed without it"
    ]
    assert doubts({"effect": "allow"}, default="deny") == []


# -- history ------------------------------------------------------------------------------------


def as_recorded(events: list[Event]) -> dict[str, tuple[Any, ...]]:
    """What was decided and noted live, by the event that was judged."""
    found: dict[str, tuple[Any, ...]] = {}
    decided: list[dict[str, Any]] = []
    for event in events:
        payload = payload_of(event)
        if event.action == "policy.decision":
            decided.append(payload)
        elif payload.get("facts") is not None:
            noted = [(one["rule"], one["effect"]) for one in payload.get("policy", ())]
            rules = tuple(one["rule"] for one in decided)
            effect = decided[0]["effect"] if decided else "allow"
            found[event.event_id] = (
                effect,
                rules,
                noted if event.action == "agent.result" else None,
            )
            decided = []
    return found


def a_long_story() -> tuple[list[Event], Contracts]:
    made = engine(
        in_turn(
            result(write("docs/drafts/a.md")),
            result(write("docs/a.md"), write("docs/handbook.md")),
            result(),
            oblige,
        ),
        given=under_rules(),
    )
    made.apply(*(task(f"T-{number}") for number in range(1, 6)))
    with pytest.raises(RunHalted, match="waits for 'git esaa review T-"):
        cycle(made)
    return made.events, under_rules()


@pytest.mark.parametrize("story", [lambda: (list(judged_by_policy()), under_rules()), a_long_story])
def test_a_history_is_answered_as_it_was_live(story: Any) -> None:
    events, in_force = story()
    recorded = as_recorded(events)
    assert len(recorded) >= 2
    answered = {}
    for event, facts in proposals(events):
        assert facts is not None
        one = answer(in_force.guard, event, facts)
        noted = [(note.rule, note.effect) for note in one.verdict.notes]
        answered[event.event_id] = (*one.said, noted if event.action == "agent.result" else None)
    assert answered == recorded


def test_a_draft_says_what_it_would_have_denied_and_asked_for() -> None:
    events = list(judged_by_policy())
    draft = given(
        {"match": {"paths": "docs/handbook.md"}},
        {"match": {"paths": "docs/drafts/**"}, "effect": "require"},
    )
    found = [answer(draft.guard, event, facts) for event, facts in proposals(events) if facts]
    assert [(one.event_id, one.became, one.said) for one in found] == [
        ("EV-00000005", "POLICY_DENIED", ("require", ("r1",))),
        ("EV-00000010", "accepted", ("deny", ("r0",))),
    ]
    assert [answer(None, event, facts).said[0] for event, facts in proposals(events) if facts] == [
        "allow",
        "allow",
    ]
