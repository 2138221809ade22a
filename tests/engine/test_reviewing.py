"""Reviews by agents: another one decides, nobody on their own work, and a person may be quicker."""

from __future__ import annotations

from typing import Any

import pytest

from esaa_git.core.contract_rules import check_contract_rules
from esaa_git.core.event import seal
from esaa_git.core.invariants import Violation
from esaa_git.core.projection import evolve
from esaa_git.core.state import State
from esaa_git.engine import operator
from esaa_git.engine.cycle import Options, cycle
from esaa_git.errors import ConfigurationError, RunHalted
from esaa_git.ports.agent import Answer, Request
from esaa_git.testing.answers import Answering, envelope, in_turn, result, spoken, write
from esaa_git.testing.contracts import Place, contracts, task
from esaa_git.testing.engine import MemoryEngine, engine
from tests.support.records import new_event, payload_of, signed_by_nobody

REVIEW: Place = ("AGENT_CONTRACT.yaml", "kinds", "spec", "review")
REVIEWERS: Place = ("agents_swarm.yaml", "reviewers")
BY_AGENT = {REVIEW: "agent", REVIEWERS: {"spec": "agent-qa"}}
PATH = "docs/a.md"
BOB = "bob@example.com"

works = result(write(PATH, "text\n"))


def decides(verdict: str, reason: str = "as asked", **more: Any) -> Answering:
    def answer(request: Request) -> bytes:
        payload = {"verdict": verdict, "reason": reason, **more}
        return spoken({**envelope(request, "agent.review", **payload)})

    return answer


def reviewed(reviewer: Answering, **changes: Any) -> MemoryEngine:
    made = engine({"agent-spec": works, "agent-qa": reviewer}, given=contracts({**BY_AGENT}))
    made.apply(task(**changes))
    return made


def test_a_result_is_done_when_the_reviewer_approves() -> None:
    made = reviewed(decides("approve"))
    cycle(made)
    assert made.task("T-1").is_done
    assert made.content(PATH) == b"text\n"
    said = next(event for event in made.events if event.action == "review.result")
    assert (said.actor, said.payload.reviewer) == ("orchestrator", "agent-qa")
    assert (said.payload.verdict, said.payload.attempt_id) == ("approve", "T-1-A1")
    assert made.blobs.read(said.payload.exchange.text.blob) == b"as asked"
    assert "approval.grant" not in made.actions
    assert made.state.approvals["APR-0001"].state == "granted"
    assert set(payload_of(said)["exchange"]) == {"salt", "request", "response", "text"}
    asked = [event for event in made.events if event.action == "orchestrator.dispatch"]
    assert [event.payload.agent for event in asked] == ["agent-spec", "agent-qa"]
    assert asked[1].payload.review.approval_id == "APR-0001"


def test_the_reviewer_sees_the_proposed_tree_and_a_diff() -> None:
    made = reviewed(decides("approve"))
    cycle(made)
    request, view = made.requests[1], made.view(1)
    assert set(request.changes) == {PATH}
    assert view["review"]["by"] == "agent-spec"
    assert view["review"]["paths"] == [PATH]
    assert "+text\n" in view["review"]["diff"]
    assert list(view["answer"]["actions"]) == ["agent.review"]


def test_changes_that_a_reviewer_asks_for_reach_the_next_attempt() -> None:
    made = reviewed(in_turn(decides("request_changes", "name the author"), decides("approve")))
    cycle(made)
    assert made.task("T-1").is_done
    assert made.view(2)["last_rejection"]["message"] == "name the author"
    verdicts = [one.payload.verdict for one in made.events if one.action == "review.result"]
    assert verdicts == ["request_changes", "approve"]
    assert "approval.deny" not in made.actions


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda request: b"looks good to me", "INVALID_JSON"),
        (works, "UNKNOWN_ACTION"),
        (decides("maybe"), "SCHEMA_VIOLATION"),
        (lambda _: Answer(b"", 1, "did not answer", "AGENT_TIMEOUT"), "AGENT_TIMEOUT"),
    ],
    ids=["prose", "a proposal", "neither", "silence"],
)
def test_an_answer_that_decides_nothing_is_refused_and_costs_the_work_nothing(
    answer: Answering, code: str
) -> None:
    made = reviewed(in_turn(answer, decides("approve")))
    cycle(made)
    (refused,) = [event for event in made.events if event.action == "output.rejected"]
    assert (refused.payload.code, refused.payload.approval_id) == (code, "APR-0001")
    assert made.task("T-1").is_done
    assert made.task("T-1").attempts_total == 1
    assert made.view(2)["last_rejection"]["code"] == code


def test_after_so_many_refused_answers_a_person_has_to_decide() -> None:
    made = reviewed(lambda request: b"???")
    with pytest.raises(RunHalted, match="'T-1' waits for 'git esaa review T-1'"):
        cycle(made)
    assert made.state.approvals["APR-0001"].tries == 3
    assert operator.review(made, "T-1", BOB, "approve", "fine").kind == "done"


def test_a_person_may_be_quicker_and_the_reviewer_s_answer_is_on_record_all_the_same() -> None:
    def overtaken(request: Request) -> bytes:
        operator.review(made, "T-1", BOB, "approve", "fine")
        return decides("request_changes")(request)  # type: ignore[return-value]

    made = reviewed(overtaken)
    cycle(made, Options(steps=1))
    assert made.task("T-1").is_done
    (refused,) = [event for event in made.events if event.action == "output.rejected"]
    assert refused.payload.code == "STALE_ATTEMPT"


def test_a_task_that_wants_a_person_is_shown_to_no_agent() -> None:
    made = reviewed(decides("approve"), review=True)
    with pytest.raises(RunHalted, match="'T-1' waits for 'git esaa review T-1'"):
        cycle(made)
    assert len(made.requests) == 1


def test_a_task_names_its_own_reviewer() -> None:
    made = engine({"agent-spec": works, "agent-impl": decides("approve")})
    made.apply(task(reviewer="agent-impl"))
    cycle(made)
    assert made.task("T-1").is_done
    (said,) = [event for event in made.events if event.action == "review.result"]
    assert said.payload.reviewer == "agent-impl"


def test_nobody_reviews_their_own_work() -> None:
    made = engine({"agent-spec": works})
    made.apply(task(reviewer="agent-spec"))
    with pytest.raises(RunHalted, match="'T-1' waits for 'git esaa review T-1'"):
        cycle(made)


FORGED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "the author itself": ("nobody reviews", "orchestrator", {"reviewer": "agent-spec"}),
    "another agent": ("'agent-impl' was not asked", "orchestrator", {"reviewer": "agent-impl"}),
    "a person": ("was not asked for", "orchestrator", {"reviewer": BOB}),
    "by its own hand": ("has no authority", "agent-qa", {}),
    "of another attempt": ("is not the current attempt", "orchestrator", {"attempt_id": "T-1-A2"}),
    "of no approval": ("there is no approval", "orchestrator", {"approval_id": "APR-0009"}),
}


def before_the_verdict(made: MemoryEngine) -> tuple[State, dict[str, Any]]:
    """Return the state before the first verdict of a run, and what the verdict says."""
    log = list(made.log.events())
    at = next(i for i, one in enumerate(log) if one.event.action == "review.result")
    return made.log.recorded[log[at - 1].commit].state, payload_of(log[at].event)


def refused(state: State, made: MemoryEngine, action: str, actor: str, payload: Any) -> str:
    """Return why an event is refused after this state, by protocol or contracts."""
    event = seal(
        new_event(action, actor, payload), after_seq=state.seq, after_ts=state.ts, now=state.ts
    )
    try:
        evolve(state, event)
        check_contract_rules(state, event, made.contracts)
    except Violation as violation:
        return str(violation)
    raise AssertionError(f"{action} was taken")


@pytest.mark.parametrize("case", FORGED)
def test_a_verdict_is_that_of_the_agent_that_was_asked(case: str) -> None:
    made = reviewed(decides("approve"))
    cycle(made)
    state, payload = before_the_verdict(made)
    why, actor, changes = FORGED[case]
    assert why in refused(state, made, "review.result", actor, {**payload, **changes})


def test_a_verdict_that_was_given_is_not_given_again() -> None:
    made = reviewed(in_turn(decides("request_changes"), decides("approve")))
    cycle(made, Options(steps=1))
    _, payload = before_the_verdict(made)
    again = {**payload, "verdict": "approve"}
    assert "returned already" in refused(made.state, made, "review.result", "orchestrator", again)


@pytest.mark.parametrize(
    ("action", "what"),
    [("approval.grant", {"role": "approver"}), ("approval.deny", {"verdict": "deny"})],
)
def test_an_agent_grants_and_denies_nothing(action: str, what: dict[str, str]) -> None:
    made = reviewed(decides("approve"))
    cycle(made)
    state, _ = before_the_verdict(made)
    asked = state.approvals["APR-0001"]
    about = {"approval_id": "APR-0001", "subject_sha256": asked.subject_sha256}
    payload = {**about, "nonce": asked.nonce, **what, **signed_by_nobody(1)}
    for agent in ("agent-qa", "agent-impl"):
        why = refused(state, made, action, agent, payload)
        assert f"'{agent}' has no authority for {action}" in why


def test_a_verdict_counts_nowhere_where_a_person_has_to_agree() -> None:
    made = reviewed(decides("approve"))
    cycle(made)
    state, payload = before_the_verdict(made)
    people = contracts({REVIEW: "required"})
    event = seal(
        new_event("review.result", "orchestrator", payload),
        after_seq=state.seq,
        after_ts=state.ts,
        now=state.ts,
    )
    with pytest.raises(Violation, match="agent-qa is no reviewer of 'T-1'"):
        check_contract_rules(state, event, people)


@pytest.mark.parametrize("reviewers", [{}, {"spec": "agent-spec"}])
def test_a_kind_that_agents_review_names_one_that_does_not_do_it(reviewers: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="names none that may"):
        contracts({REVIEW: "agent", REVIEWERS: reviewers}).check()


def test_agents_review_where_persons_alone_sign_approvals() -> None:
    signing = ("ORCHESTRATOR_CONTRACT.yaml", "signing", "approval.grant")
    contracts({**BY_AGENT, signing: ["approver"]}).check()


def test_agents_review_nothing_where_nobody_may_record_it() -> None:
    signing = ("ORCHESTRATOR_CONTRACT.yaml", "signing", "review.result")
    with pytest.raises(ConfigurationError, match="whose verdict nobody may record"):
        contracts({**BY_AGENT, signing: ["approver"]}).check()
