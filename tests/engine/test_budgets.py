"""A run under a budget: what is asked, what waits, what is refused, and what a crash costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from esaa_git.core import budgets
from esaa_git.core.accounts import Account, Amount
from esaa_git.core.contracts import POLICY, SWARM
from esaa_git.core.event import Event
from esaa_git.core.events.base import replace
from esaa_git.core.events.fields import Raise
from esaa_git.core.runtime_policy import RUNTIME_POLICY
from esaa_git.engine import operator, run
from esaa_git.engine.corrections import correct_cost
from esaa_git.engine.cycle import cycle
from esaa_git.engine.intentions import AskForBudget
from esaa_git.engine.options import Options
from esaa_git.engine.proposer import dispatch
from esaa_git.engine.reserve import BudgetReached
from esaa_git.engine.schedule import find_task
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.errors import (
    AgentError,
    ConfigurationError,
    DecisionsMissing,
    RefusedError,
    UsageError,
)
from esaa_git.ports.agent import Answer, Request, Unavailable
from esaa_git.testing.answers import envelope, in_turn, oblige, result, says, spoken, write
from esaa_git.testing.contracts import Place, contracts, task
from esaa_git.testing.engine import MemoryEngine, engine

ADMIN = "person@example.com"
AGENTS = ("agent-spec", "agent-impl", "agent-qa")


def under(
    budgets: Mapping[str, Any], max_cost: int | None = 400, more: Mapping[Place, Any] | None = None
) -> MemoryEngine:
    """Return an orchestrator under budgets, whose agents may cost so much and report 100."""
    caps: dict[Place, Any] = {}
    if max_cost is not None:
        caps = {(SWARM, "agents", name, "max_cost"): max_cost for name in AGENTS}
    made = engine(given=contracts({(RUNTIME_POLICY, "budgets"): budgets, **caps, **(more or {})}))
    made.answering[""] = costs(100)
    return made


def costs(microdollars: int) -> Any:
    """Return an agent that works well and reports this cost."""

    def answer(request: Request) -> Answer:
        usage = {"input_tokens": 1, "output_tokens": 1, "cost_microdollars": microdollars}
        return Answer(spoken(envelope(request)), 5, usage=usage)

    return answer


def found(made: MemoryEngine, action: str) -> list[Event]:
    return [event for event in made.events if event.action == action]


def account(made: MemoryEngine, name: str = "run.RUN-0001") -> Account:
    return made.state.accounts[name]


def test_at_the_cap_the_run_stops_and_says_what_is_short() -> None:
    made = under({"run": {"microdollars": 600}})
    made.apply(task(), task("T-2"), task("T-3"), task("T-4"))
    with pytest.raises(BudgetReached) as stopped:
        made.run()
    assert stopped.value.message == (
        "the budget of RUN-0001 has 0.000300 USD left of 0.000600 USD, and 0.000400 USD may be "
        "needed, for 'T-4' by agent-spec"
    )
    assert stopped.value.hint == (
        "APR-0001 asks an approver for 0.000100 USD more: run 'git esaa review APR-0001 "
        "--approve', then 'git esaa run'"
    )
    assert account(made).spent.microdollars == 300
    assert made.state.run.is_open


def test_a_task_that_does_not_fit_is_left_aside_and_others_go_on() -> None:
    made = under({"kind": {"spec": {"calls": 1}}})
    made.apply(task("T-1"), task("T-2"), task("T-3", "qa"))
    with pytest.raises(BudgetReached, match="kind 'spec'"):
        made.run()
    assert [made.task(name).state for name in ("T-1", "T-2", "T-3")] == ["done", "todo", "done"]


def test_a_task_that_does_not_fit_keeps_the_run_from_failing_for_a_blocked_one() -> None:
    made = under({"run": {"calls": 2}})
    made.apply(task(attempts_allowed=1), task("T-2"), task("T-3"))
    made.answering[""] = in_turn(lambda _: Answer(b"???", 5), oblige)
    with pytest.raises(DecisionsMissing, match="'T-3'"):
        made.run()
    assert [made.task(name).state for name in ("T-1", "T-2", "T-3")] == ["blocked", "done", "todo"]


def test_what_others_hold_is_waited_for() -> None:
    """Two at once do not fit, one after the other do."""
    made = under({"run": {"microdollars": 600}})
    made.apply(task(), task("T-2"), task("T-3"))
    made.run(Options(parallel=3, overlap=True))
    assert len(found(made, "agent.result")) == 3
    assert account(made).spent.microdollars == 300


def test_an_agent_without_a_bound_is_refused_with_the_line_to_add() -> None:
    made = under({"day": {"microdollars": 600}}, None)
    made.apply(task())
    with pytest.raises(AgentError, match="no bound on what it costs") as refused:
        made.run()
    assert refused.value.hint is not None
    assert refused.value.hint.startswith(
        "add 'max_cost: MICRODOLLARS', what one call of it costs at most, under agents/agent-spec"
    )
    assert found(made, "attempt.create") == []


def test_an_agent_without_a_bound_works_where_no_money_is_counted() -> None:
    made = under({"run": {"calls": 5}}, None)
    made.apply(task())
    made.run()
    assert found(made, "orchestrator.dispatch")[0].payload.reserves.microdollars is None


def test_a_budget_of_a_task_is_for_as_long_as_it_lives() -> None:
    made = under({})
    made.answering[""] = lambda _: Answer(b"???", 5, usage={"cost_microdollars": 100})
    made.apply(task(budget={"microdollars": 500}))
    with pytest.raises(BudgetReached, match="task 'T-1'"):
        made.run()
    assert len(found(made, "output.rejected")) == 2
    assert account(made, "task.T-1").spent.microdollars == 200


def test_a_review_falls_under_the_budget_and_reserves_for_itself() -> None:
    by_agents = {
        ("AGENT_CONTRACT.yaml", "kinds", "spec", "review"): "agent",
        (SWARM, "reviewers"): {"spec": "agent-qa"},
    }
    made = under({"run": {"microdollars": 499}}, more=by_agents)
    approves = says("agent.review", verdict="approve", reason="fine")
    made.answering["agent-qa"] = approves
    made.apply(task())
    with pytest.raises(BudgetReached, match="for 'APR-0001' by agent-qa"):
        made.run()
    made = under({"run": {"microdollars": 500}}, more=by_agents)
    made.answering["agent-qa"] = approves
    made.apply(task())
    made.run()
    assert made.task("T-1").state == "done"
    reviewer = account(made, "agent.RUN-0001.agent-qa")
    assert (reviewer.spent.microdollars, reviewer.unknown) == (400, 400)  # it reports nothing


def test_what_a_refused_result_says_that_it_took_is_what_it_took() -> None:
    """By a program that reports nothing beside its answer."""
    rule = {"name": "no-docs", "match": {"paths": ["docs/**"]}, "effect": "deny"}
    made = under({"run": {"microdollars": 600}}, more={(POLICY, "rules"): [rule]})
    made.answering[""] = result(write("docs/a.md"), usage={"cost_microdollars": 100})
    made.apply(task(attempts_allowed=1))
    made.run()
    (refused,) = found(made, "output.rejected")
    assert (refused.payload.code, refused.payload.usage.cost_microdollars) == ("POLICY_DENIED", 100)
    assert account(made) == Account(spent=Amount(100, 0, 1, 1))


def test_an_overrun_stops_the_agent_until_an_admin_has_looked() -> None:
    made = under({"run": {"microdollars": 5000}})
    made.answering[""] = costs(900)
    made.apply(task(), task("T-2"))
    with pytest.raises(BudgetReached, match="took more than was reserved") as stopped:
        made.run()
    dispatch = found(made, "orchestrator.dispatch")[0].event_id
    assert dispatch in str(stopped.value)
    assert account(made).overrun.microdollars == 500
    correct_cost(made, dispatch, 300, ADMIN, "the bill says so")
    made.answering[""] = costs(100)
    made.run()
    assert account(made).spent.microdollars == 400


def test_no_dispatch_without_a_reservation_is_recorded_under_a_budget() -> None:
    made = under({"run": {"microdollars": 600}})
    made.apply(task())
    cycle(made, Options(steps=1))
    asked = found(made, "orchestrator.dispatch")[0]
    for reserves in (None, replace(asked.payload.reserves, microdollars=None)):
        payload = replace(asked.payload, reserves=reserves)
        assert budgets.fault(made.state, payload, asked.ts, made.contracts) is not None


def test_the_agent_is_told_what_is_left() -> None:
    made = under({"run": {"microdollars": 600, "calls": 9}, "day": {"calls": 2}})
    made.apply(task(), task("T-2"))
    made.run()
    left = [made.view(index)["budget"] for index in (0, 1)]
    assert left == [
        {"left": {"microdollars": 600, "calls": 2}, "max_cost": 400},
        {"left": {"microdollars": 500, "calls": 1}, "max_cost": 400},
    ]


def test_without_a_budget_nothing_is_reserved() -> None:
    made = engine(oblige)
    made.apply(task())
    made.run()
    assert found(made, "orchestrator.dispatch")[0].payload.reserves is None
    assert "budget" not in made.view()
    assert dict(made.state.accounts) == {}


def test_a_correction_of_what_was_never_reserved_is_refused() -> None:
    made = under({"run": {"calls": 600}})
    made.apply(task())
    with pytest.raises(RefusedError, match=r"budget\.correct is refused"):
        correct_cost(made, "EV-00000001", 5, ADMIN, "the bill says so")


def killed(made: MemoryEngine) -> None:
    """Have a process be gone that has just asked for T-1."""
    opened = dispatch(made, made.task("T-1"), None)
    made.registry.orphans.append(opened.attempt_id)  # type: ignore[attr-defined]


def test_a_dispatch_after_a_crash_is_one_of_its_own_with_its_own_reservation() -> None:
    made = under({"run": {"microdollars": 900}})
    made.apply(task())
    killed(made)
    made.run()
    asked = [event.payload.request_sha256 for event in found(made, "orchestrator.dispatch")]
    assert len(asked) == 2
    spent = account(made)
    assert (spent.spent.microdollars, spent.unknown) == (500, 400)
    assert (spent.spent.calls, spent.spent.attempts) == (2, 1)


def test_where_asking_again_does_not_fit_the_attempt_is_given_back_and_counted() -> None:
    made = under({"run": {"microdollars": 700}})
    made.apply(task())
    killed(made)
    with pytest.raises(BudgetReached):
        made.run()
    assert len(found(made, "orchestrator.dispatch")) == 1
    assert account(made).unknown == 400
    assert made.task("T-1").state == "todo"
    assert made.task("T-1").attempts_used == 0


def test_without_a_budget_what_was_asked_is_asked_again_and_nothing_recorded() -> None:
    made = engine(oblige)
    made.apply(task())
    killed(made)
    made.run()
    assert len(found(made, "orchestrator.dispatch")) == 1


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"microdollars": 0}, "budgets/run/microdollars: expected at least 1, found 0"),
        ({"eur": 5}, "there is no entry of the name 'eur'; money is in micro-dollars of the US"),
        ({"microdollars": "5 EUR"}, "found '5 EUR'; money is in micro-dollars of the US"),
        ({}, "budgets/run: a budget without any limit"),
    ],
    ids=["zero", "another currency", "a sum in another currency", "empty"],
)
def test_a_budget_that_is_none_is_named(budget: object, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        contracts({(RUNTIME_POLICY, "budgets"): {"run": budget}}).check()
    assert said in str(refused.value)


def test_a_budget_of_what_has_none_is_told_what_has() -> None:
    with pytest.raises(ConfigurationError, match="of the name 'week'; there is run, day, kind"):
        contracts({(RUNTIME_POLICY, "budgets"): {"week": {"calls": 1}}}).check()


def test_a_budget_of_an_unknown_kind_is_named() -> None:
    with pytest.raises(ConfigurationError, match="nonsense"):
        contracts({(RUNTIME_POLICY, "budgets"): {"kind": {"nonsense": {"calls": 1}}}}).check()


@pytest.mark.parametrize(("status", "unknown"), [(429, 0), (0, 400)])
def test_a_service_that_refused_every_try_has_billed_none(status: int, unknown: int) -> None:
    """A connection that broke may have been an answer that was billed."""
    made = under({"run": {"microdollars": 900}})
    tries = [{"status": status, "reason": "it failed", "waited_ms": 5}]
    away = Answer(b"", 5, "away", unavailable=Unavailable("too many", 30), tries=tries)
    made.answering[""] = in_turn(lambda _: away, costs(100))
    made.apply(task())
    made.run()
    assert account(made).spent.microdollars == unknown + 100
    assert account(made).unknown == unknown


def at_the_cap() -> MemoryEngine:
    """Return a run that has asked for more: one of three is done."""
    made = under({"run": {"microdollars": 400}})
    made.apply(task(), task("T-2"), task("T-3"))
    with pytest.raises(BudgetReached):
        made.run()
    return made


def test_at_the_cap_the_run_asks_once_for_all_that_is_left_and_goes_on_when_it_is_granted() -> None:
    made = at_the_cap()
    with pytest.raises(BudgetReached):
        made.run()
    (asked,) = found(made, "approval.request")
    raised = asked.payload.budget
    assert (asked.payload.kind, raised.account, raised.unit) == (
        "budget",
        "run.RUN-0001",
        "microdollars",
    )
    assert raised.amount == 100 + 2 * 400 - 400  # what is spent, and two more, without the cap
    said = operator.review(made, "APR-0001", ADMIN, "approve", "it is worth it")
    assert said.message == "the budget has more room, and 'git esaa run' goes on"
    made.run()
    assert all(made.task(name).is_done for name in ("T-1", "T-2", "T-3"))
    assert account(made).granted.microdollars == 500


def test_other_contracts_void_what_was_asked_of_a_budget() -> None:
    """What somebody agrees to, they agree to under the rules in which it was asked."""
    made = under({"day": {"microdollars": 400}})
    made.apply(task(), task("T-2"))
    with pytest.raises(BudgetReached):
        made.run()
    run.stop(made, "another cap", ADMIN)
    made.given = under({"day": {"microdollars": 410}}).given
    made.apply(task(), task("T-2"))
    assert made.state.approvals["APR-0001"].state == "void"
    with pytest.raises(RefusedError, match="'APR-0001' is void already"):
        operator.review(made, "APR-0001", ADMIN, "approve", "it is worth it")
    with pytest.raises(BudgetReached) as short:
        made.run()
    assert "APR-0002 asks an approver" in str(short.value.hint)


def test_what_was_denied_is_not_asked_for_again() -> None:
    made = at_the_cap()
    operator.review(made, "APR-0001", ADMIN, "deny", "it is enough")
    with pytest.raises(BudgetReached, match=f"APR-0001, .* was denied by {ADMIN}") as stopped:
        made.run()
    assert "budgets/run in .roadmap/RUNTIME_POLICY.yaml" in str(stopped.value.hint)
    assert len(found(made, "approval.request")) == 1
    assert made.task("T-2").state == "todo"
    with pytest.raises(RefusedError, match="'APR-0001' is denied already"):
        operator.review(made, "APR-0001", ADMIN, "approve", "after all")
    for name, words in (
        ("APR-0001", "is a request for more of a budget, and denied"),
        ("APR-0009", "no request 'APR-0009'"),
    ):
        with pytest.raises(UsageError, match=words) as unknown:
            find_task(made.state, name)
        assert unknown.value.hint == "run 'git esaa review' to see what waits for a decision"


def test_a_request_for_a_budget_that_nobody_declared_is_refused() -> None:
    made = at_the_cap()
    for account_of, unit in (("day.2026-01-31", "microdollars"), ("run.RUN-0001", "tokens")):
        raised = Raise(account=account_of, unit=unit, amount=5)  # type: ignore[arg-type]
        wanted = AskForBudget(
            task_id="T-2", log_id="0123456789abcdef" * 2, nonce="0" * 32, raised=raised
        )

        def ask(tx: Transaction, wanted: AskForBudget = wanted) -> None:
            tx.ask(wanted)

        with pytest.raises(RefusedError) as refused:
            transact(made, ask)
        assert "is about no budget in force" in str(refused.value.cause)


def test_while_others_are_waited_for_a_person_is_asked_already() -> None:
    made = under({"kind": {"spec": {"calls": 1}}})
    made.apply(task("T-1"), task("T-2", "qa"), task("T-3"))
    dispatch(made, made.task("T-2"), None)  # by another process, which never answers
    with pytest.raises(BudgetReached, match="kind 'spec'"):
        made.run(Options(overlap=True))
    assert made.actions.index("approval.request") < made.actions.index("attempt.timeout")
    assert any("APR-0001 asks an approver for 1 calls more" in line for line in made.lines)


def test_a_run_that_waits_for_decisions_goes_on_when_the_budget_has_room() -> None:
    made = at_the_cap()
    sleep, naps = made.clock.sleep, 0

    def decide_meanwhile(seconds: float) -> None:
        nonlocal naps
        naps += 1
        if naps == 3:
            operator.review(made, "APR-0001", ADMIN, "approve", "it is worth it")
        sleep(seconds)

    made.clock.sleep = decide_meanwhile  # type: ignore[method-assign]
    made.run(Options(decisions=3600))
    assert all(made.task(name).is_done for name in ("T-1", "T-2", "T-3"))
    assert naps == 3


def test_a_run_that_waits_for_decisions_ends_when_its_time_is_over() -> None:
    made = at_the_cap()
    with pytest.raises(DecisionsMissing):
        made.run(Options(decisions=1))
