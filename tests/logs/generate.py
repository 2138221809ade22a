"""Records the histories in this folder: `python -m tests.logs.generate NAME...`.

A history is a compatibility promise. Once released it is never made again: what the code of its
day recorded has to be read by the code of every later day (`test_golden.py`). A new behaviour gets
a new history under a new name, and this program refuses to write over one that is there.

Each `NAME.jsonl` holds one event a line, each `NAME.json` what has to come out of them.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from esaa_git.core.contracts import POLICY, SWARM, Contracts
from esaa_git.core.event import Event, NewEvent, seal
from esaa_git.core.events import EventNote, Health, RunNote, TaskNote
from esaa_git.core.events.base import replace
from esaa_git.core.events.fields import TaskDefinition
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.invariants import Violation
from esaa_git.core.plan import Plan
from esaa_git.core.programs import Programs
from esaa_git.core.projection import evolve, project, projection_hash
from esaa_git.core.state import EMPTY
from esaa_git.engine import operator, questions, requests, run, undo
from esaa_git.engine.commit import admit
from esaa_git.engine.corrections import correct_cost
from esaa_git.engine.cycle import Options, cycle
from esaa_git.engine.exchange import AgentOutput
from esaa_git.engine.halting import Halting
from esaa_git.engine.intentions import ReportIssue
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.errors import RunHalted
from esaa_git.ports.agent import Answer, Request, Unavailable
from esaa_git.ports.files import FileEntry
from esaa_git.testing.answers import Answering, in_turn, oblige, result, says, spoken, write
from esaa_git.testing.contracts import contracts, pipeline, task
from esaa_git.testing.engine import MemoryEngine, engine
from tests.support.records import new_event, payload_of

FOLDER = Path(__file__).parent
ANN, BOB = "ann@example.com", "bob@example.com"
History = Sequence[Event]


def paced(made: MemoryEngine, answering: Answering, **duration: float) -> None:
    """Have agents take their time, so that the events have different ones."""

    def slowly(request: Request) -> Answer | bytes:
        made.clock.forward(**(duration or {"seconds": 61.5}))
        return answering(request)

    made.answering[""] = slowly


def pipeline_of_nine() -> History:
    """Nine tasks of one attempt each: 49 events."""
    made = engine()
    paced(made, oblige)
    made.apply(*pipeline(*["spec", "impl", "qa"] * 3), project="Vierzig & neun", by=ANN)
    cycle(made)
    return made.events


def rejected_and_corrected() -> History:
    """Three answers are refused for different reasons; the last attempt is good."""
    made = engine(files={"docs/a.md": b"one\ntwo\n"})
    patch = "@@ -1,2 +1,2 @@\n one\n-2\n+zwei\n"
    answers = in_turn(
        lambda request: b"```json\n{}\n```\xff",
        result(write("src/a.py")),
        result({"op": "patch", "path": "docs/a.md", "patch": patch}),
        result(
            {
                "op": "edit",
                "path": "docs/a.md",
                "edits": [{"old": "two", "new": "zwei"}],
                "executable": True,
            },
            write("docs/b.md", "neu\n"),
            summary="Übersetzt,\nin one\u2028line.",
            checks=["It reads well."],
            model="some-model",
            usage={"input_tokens": 900, "output_tokens": 90, "cost_microdollars": 1200},
            lessons=[{"rule": "Read first.", "mistake": "Guessed.", "kinds": ["spec"]}],
        ),
    )
    paced(made, answers)
    made.apply(task(attempts_allowed=4, acceptance=["It is translated."]))
    cycle(made)
    return made.events


def attempts_spent() -> History:
    """Every attempt fails, with a rest in between; a person grants more, and the run succeeds."""
    made = engine(given=contracts({("RUNTIME_POLICY.yaml", "attempts", "cooldown"): "PT5M"}))
    failure = Answer(b"", 12, "left with exit status 1", "AGENT_FAILED", {"exit_status": 1})
    paced(made, in_turn(*[lambda request: failure] * 3, oblige))
    made.apply(task("T-1"), task("T-2"))
    with suppress(RunHalted):
        cycle(made, Options(task_id="T-1"))
    operator.unblock(made, "T-1", ANN, "the service is back", 2)
    cycle(made)
    return made.events


def timed_out() -> History:
    """A claim and an agent's attempt run out of time; a heartbeat saves the third."""
    made = engine()
    made.apply(task())
    operator.claim(made, "T-1", ANN)
    made.clock.forward(minutes=31)
    paced(made, oblige, minutes=40)
    cycle(made, Options(steps=1))
    request = operator.claim(made, "T-1", BOB)
    made.clock.forward(minutes=29)
    said = says("agent.heartbeat", note="nearly there")(request)
    assert isinstance(said, bytes)
    admit(made, AgentOutput(Answer(said, 0), BOB, None, "T-1", request.attempt_id))
    made.clock.forward(minutes=29)
    done = spoken({**json.loads(oblige(request)), "idempotency_key": "third-time-lucky"})
    admit(made, AgentOutput(Answer(done, 0), BOB, None, "T-1", request.attempt_id))
    cycle(made)
    return made.events


def grave_issue() -> History:
    """An issue of high severity blocks a task and its dependents; a person lets them go on."""
    made = engine()
    grave = says("issue.report", severity="high", title="The source is wrong", description="All.")
    paced(made, in_turn(oblige, grave, oblige))
    made.apply(*pipeline("spec", "impl", "qa", "qa"), task("T-9"))
    cycle(made, Options(steps=2))
    operator.add_note(made, TaskNote(text="use the second source", task_id="T-2"), ANN)
    operator.report_issue(made, ReportIssue(actor=ANN, severity="low", title="typo", task_id="T-9"))
    operator.unblock(made, "T-2", ANN, "there is another source")
    operator.resolve_issue(made, "ISS-0001", ANN, "another source")
    cycle(made)
    return made.events


def three_of_medium_severity() -> History:
    """The third issue of medium severity on one task counts as a high one; the run fails."""
    made = engine()
    made.apply(task("T-1"), task("T-2", depends_on=["T-1"]))
    for number in range(3):
        made.clock.forward(seconds=1)
        who = (ANN, BOB)[number % 2]
        operator.report_issue(
            made, ReportIssue(actor=who, severity="medium", title=f"doubt {number}", task_id="T-1")
        )
    cycle(made)
    return made.events


def critical_halt() -> History:
    """A critical issue halts the run; once it is resolved, a second run finishes the work."""
    made = engine()
    halting = says("issue.report", severity="critical", title="A key is in the repository")
    paced(made, in_turn(oblige, halting, oblige))
    made.apply(task("T-1"), task("T-2"), task("T-3", depends_on=["T-2"]), by=ANN)
    cycle(made)
    operator.resolve_issue(made, "ISS-0001", ANN, "the key is revoked")
    made.apply(task("T-1"), task("T-2", title="Task T-2, without the key"), task("T-4"), by=BOB)
    operator.unblock(made, "T-2", ANN, "the key is revoked")
    cycle(made)
    return made.events


def hotfix_and_override() -> History:
    """Two done tasks turn out wrong: one is corrected, one is set aside and then replaced."""
    made = engine()
    paced(made, oblige)
    made.apply(task("T-1"), task("T-2", "impl"))
    cycle(made, Options(steps=2))
    report = ReportIssue(actor=BOB, severity="medium", title="It does not add up", task_id="T-1")
    operator.report_issue(made, report)
    fix = TaskDefinition(task_id="", kind="hotfix", title="Add it up")
    operator.hotfix(made, "T-1", fix, ANN, "wrong sum", "ISS-0001")
    operator.override(made, "T-2", ANN, "it must not be there at all")
    cycle(made, Options(steps=1))
    operator.hotfix(made, "T-2", replace(fix, task_id="T-3", title="Remove it"), ANN, "remove it")
    gone = {"op": "delete", "path": "docs/qa/T-2.md"}
    moved = {"op": "rename", "from": "docs/qa/T-1.md", "path": "docs/T-1.md"}
    paced(made, result(gone, moved))
    cycle(made)
    return made.events


def review_denied_then_approved() -> History:
    """A reviewer sends a result back, then agrees with the next one."""
    made = engine(given=contracts({("AGENT_CONTRACT.yaml", "kinds", "qa", "review"): "required"}))
    paced(made, in_turn(result(write("docs/qa/a.md", "brief\n")), oblige))
    made.apply(task("T-1", "qa"), task("T-2", review=True, depends_on=["T-1"]))
    for verdict, reason in (
        ("request_changes", "the empty file is not tested"),
        ("approve", ""),
        ("approve", "good"),
    ):
        try:
            cycle(made)
        except RunHalted:
            waiting = next(name for name in made.state.run.in_progress)
            made.clock.forward(hours=2)
            operator.review(made, waiting, BOB, verdict, reason)
    cycle(made)
    return made.events


def unanswered_then_asked_again() -> History:
    """Nobody decides in time; asked again for the same result, one person denies it."""
    expire = ("RUNTIME_POLICY.yaml", "approvals", "expire_after")
    made = engine(given=contracts({expire: "PT1H"}))
    paced(made, oblige)
    made.apply(task("T-1", review=True), task("T-2"))
    with suppress(RunHalted):
        cycle(made)
    made.clock.forward(hours=2)
    cycle(made)
    operator.ask_again(made, "T-1", ANN)
    operator.review(made, "T-1", BOB, "deny", "nobody wants it")
    transact(made, lambda _: None)  # the next one records what follows
    return made.events


def reviewed_by_an_agent() -> History:
    """An agent asks for changes, then agrees; a person remarks, and takes a lesson back."""
    kind = ("AGENT_CONTRACT.yaml", "kinds", "spec", "review")
    reviewers = ("agents_swarm.yaml", "reviewers")
    verdicts = in_turn(
        says("agent.review", verdict="request_changes", reason="name the author"),
        says("agent.review", verdict="approve", reason="it reads well"),
    )
    rule = {"rule": "Obey this line.", "mistake": "Thought for itself."}
    works = in_turn(oblige, result(write("docs/a.md", "by ann\n"), lessons=[rule]), oblige)
    made = engine(
        {"": works, "agent-qa": verdicts},
        given=contracts({kind: "agent", reviewers: {"spec": "agent-qa"}}),
    )
    made.apply(task("T-1"), task("T-2", "impl"))
    cycle(made, Options(task_id="T-1"))
    for note in (
        TaskNote(task_id="T-1", text="Good.\nSee the wiki."),
        RunNote(run_id="RUN-0001", text="the first one"),
        EventNote(event_id="EV-00000001", text="begun on a Monday"),
    ):
        made.clock.forward(minutes=1)
        operator.add_note(made, note, ANN)
    operator.withdraw_lesson(made, "LES-0001", BOB, "it is an order")
    cycle(made)
    return made.events


def programs_pinned() -> History:
    """A check's script is pinned, no proposal touches it, and the next run pins another one."""
    checks = ("AGENT_CONTRACT.yaml", "kinds", "spec", "checks")
    write_all = ("AGENT_CONTRACT.yaml", "kinds", "spec", "write")
    judge = {"name": "judge", "run": ["./ci/check.sh"]}

    def given(content: bytes) -> Contracts:
        programs = Programs.of(
            {
                ".roadmap/agents/agent-spec": ("100755", b"#!/bin/sh\n"),
                "ci/check.sh": ("100755", content),
            }
        )
        return Contracts(contracts({checks: [judge], write_all: ["**"]}).files, programs)

    answers = in_turn(result(write("CI/Check.sh", "exit 0\n")), oblige)
    first = given(b"#!/bin/sh\nexit 0\n")
    made = engine({"": answers}, given=first, files={"ci/check.sh": b"#!/bin/sh\n"})
    made.apply(task("T-1"), task("T-2", "impl"))
    cycle(made, Options(steps=2))
    run.stop(made, "the judge is to be another", ANN)
    second = given(b"#!/bin/sh\nexec make check\n")
    run.apply(made, Plan("Example", ()), second, branch=None, by=ANN)
    cycle(made)
    return made.events


def released_and_stopped() -> History:
    """A claim is given back, a person stops the run, and the next one takes up the rest."""
    made = engine()
    made.apply(task("T-1"), task("T-2"))
    operator.claim(made, "T-1", ANN)
    made.clock.forward(minutes=1)
    operator.unclaim(made, "T-1", ANN, "no time")
    run.stop(made, "the plan is wrong", ANN)
    made.apply(task("T-1", kind="qa"), task("T-3", writes=["docs/qa/**"], priority=5), by=BOB)
    paced(made, oblige)
    cycle(made)
    return made.events


def halted_and_resumed() -> History:
    """A person stops everything while an agent works; an admin resumes, and nothing was spent."""
    made = engine()
    made.apply(task("T-1"), task("T-2"))

    def stop(request: Request) -> bytes:
        Halting(made, BOB, "the bill explodes").halt(made)
        return oblige(request)

    made.answering[""] = stop
    with suppress(RunHalted):
        cycle(made)
    paced(made, oblige)
    Halting(made, ANN, "a cap is set").resume(made)
    cycle(made)
    return made.events


def asked_and_answered() -> History:
    """An agent asks, a person answers after a while, and the next attempt does the task."""
    made = engine()
    made.apply(task("T-1"), task("T-2"))
    paced(made, in_turn(says("question.ask", text="Which of the two?"), oblige))
    with suppress(RunHalted):
        cycle(made)
    made.clock.forward(hours=20)
    questions.answer(made, "Q-0001", BOB, "The second one.")
    cycle(made)
    return made.events


def undone_and_done_again() -> History:
    """Two tasks are undone while everything is stopped, one of them is had back, and one refused.

    A person has changed one of the files since, and that is kept; what is reviewed when it is
    done is reviewed when it is undone.
    """
    made = engine(files={"docs/a.md": b"one\n"})
    first = result(write("docs/a.md", "eins\n"), write("docs/b.md", "b\n"))
    rest = result({"op": "rename", "from": "docs/b.md", "path": "docs/c.md"})
    paced(made, in_turn(first, rest, oblige))
    made.apply(task("T-1"), task("T-2", depends_on=["T-1"]), task("T-3", review=True))
    with suppress(RunHalted):
        cycle(made)
    operator.review(made, "T-3", BOB, "approve", "fine")
    cycle(made)
    made.person_commits({"docs/a.md": FileEntry("100755", made.blobs.write(b"eins\n"))})
    Halting(made, ANN, "the wrong source").halt(made)
    requests.undo(made, undo.of_task(made, "T-1"), ANN, "the wrong source")
    undo.carry_on(made)
    Halting(made, ANN, "it is undone").resume(made)
    requests.undo(made, undo.of_task(made, "T-1-UN1"), ANN, "it was right after all")
    undo.carry_on(made)
    requests.undo(made, undo.of_task(made, "T-3"), ANN, "no more")
    undo.carry_on(made)
    operator.review(made, "T-3-UN1", BOB, "deny", "it stays")
    transact(made, lambda _: None)
    return made.events


def service_away() -> History:
    """A service is away: the other agent of the kind takes over, and the first one rests."""
    made = engine(given=contracts({(SWARM, "kinds", "spec"): ["agent-spec", "agent-qa"]}))

    def away(request: Request) -> Answer:
        made.clock.forward(seconds=20)
        used = {"input_tokens": 300, "output_tokens": 20}
        gone = Unavailable("status 529: overloaded", 30)
        return Answer(b"", 0, gone.reason, usage=used, unavailable=gone)

    made.answering["agent-spec"] = away
    paced(made, oblige, seconds=20)
    made.apply(task("T-1"), task("T-2"), task("T-3"))
    cycle(made)
    return made.events


def judged_by_policy() -> History:
    """One rule denies an answer, one asks for a consent to the next, and one is only noted."""
    made = engine(given=under_rules())
    answers = in_turn(
        result(write("docs/drafts/a.md")),
        result(write("docs/handbook.md"), model="some-model"),
    )
    paced(made, answers)
    made.apply(task("T-1"))
    cycle(made, Options(steps=2))
    operator.review(made, "T-1", ANN, "approve", "read")
    cycle(made)
    return made.events


def under_rules() -> Contracts:
    """Return contracts with a policy that denies, requires and notes."""
    rules = [
        {"name": "no-drafts", "match": {"paths": ["docs/drafts/**"]}, "effect": "deny"},
        {
            "name": "handbook",
            "match": {"paths": "docs/handbook.md"},
            "effect": {"require": {"role": "approver", "count": 1}},
            "message": "the handbook is read by everybody",
        },
        {"name": "new-files", "match": {"operations": "add"}, "effect": "deny", "mode": "audit"},
    ]
    policy = {"schema_version": "0.3.0", "rules": rules}
    return contracts().with_files({POLICY: json.dumps(policy).encode()})


def rare_events() -> History:
    """What no ordinary run records: policy, health, a relinked effect, a failed verification."""
    made = engine()
    made.apply(task("T-1"), task("T-2"))
    paced(made, oblige)
    cycle(made, Options(steps=1))
    operator.claim(made, "T-2", ANN)
    done = made.task("T-1").result
    assert done is not None

    def emit(tx: Transaction) -> None:
        def record(action: str, payload: dict[str, Any], actor: str = "orchestrator") -> None:
            tx.record(new_event(action, actor, payload))

        alive = {"status": "repaired", "message": "the branch followed", "version": "0.1"}
        record("orchestrator.health", alive)
        link = {
            "view": "effect",
            "task_id": "T-1",
            "effect_commit": done.effect_commit,
            "text": "merged",
        }
        relinked = {**link, "reached_by": str(made.branch.tip("main"))}
        record("orchestrator.view.mutate", relinked)
        checked = {"checked_from": 1, "checked_to": tx.state.seq}
        record("verify.start", checked)
        failed = {"outcome": "corrupted", "check": 3, "message": "no signature"}
        record("verify.fail", {**failed, "event_id": "EV-00000002"})
        kept = ["refs/esaa/snapshots/RUN-0001-00000013/log"]
        ended = {"run_id": "RUN-0001", "result": "halted", "reason": "verification failed"}
        more = {"snapshots": kept, "recovery": "git esaa verify --full"}
        record("run.end", {**ended, **more})

    transact(made, emit)
    return made.events


# ----------------------------------------------------------------------- histories to be refused


def followed_by(history: History, action: str, actor: str, payload: dict[str, Any]) -> History:
    """Return a history with one more event, which nobody may append to it."""
    last = history[-1]
    new = new_event(action, actor, payload)
    return [*history, seal(new, after_seq=last.seq, after_ts=last.ts, now=last.ts)]


def until(history: History, action: str) -> History:
    """Return the history up to the first event of this action."""
    at = next(index for index, event in enumerate(history) if event.action == action)
    return history[: at + 1]


def bad_done_regresses() -> History:
    """INV-001: a done task is opened again."""
    update = {"task_id": "T-1", "from": "done", "to": "todo", "cause": "operator"}
    history = until(pipeline_of_nine(), "task.update")
    return followed_by(history, "task.update", "orchestrator", update)


def bad_foreign_result() -> History:
    """INV-002: an agent answers for another's attempt."""
    history = pipeline_of_nine()
    before, answer = until(history, "orchestrator.dispatch"), until(history, "agent.result")[-1]
    return followed_by(before, "agent.result", "agent-qa", payload_of(answer))


def bad_effect_without_result() -> History:
    """INV-003: an effect is applied before its proposal was validated."""
    history = pipeline_of_nine()
    effect = until(history, "orchestrator.file.write")[-1]
    before = until(history, "orchestrator.dispatch")
    return followed_by(before, effect.action, "orchestrator", payload_of(effect))


def bad_missing_event() -> History:
    """INV-005: one event in the middle was cut out."""
    history = pipeline_of_nine()
    return [*history[:20], *history[21:]]


def bad_time_runs_backwards() -> History:
    """INV-005: an event claims to be older than the one before it."""
    history = until(pipeline_of_nine(), "task.update")
    earlier = NewEvent(ORCHESTRATOR, Health(status="ok", message="early"))
    return [
        *history,
        seal(earlier, after_seq=history[-1].seq, after_ts="", now=history[0].ts),
    ]


def bad_success_unverified() -> History:
    """INV-006: a run claims success without a verification."""
    history = pipeline_of_nine()
    before = until(history, "verify.start")
    return followed_by(before, "run.end", "orchestrator", payload_of(history[-1]))


def money() -> History:
    """Under a budget: what is reserved is settled, corrected, and told of another history."""
    made = engine(
        given=contracts(
            {
                ("RUNTIME_POLICY.yaml", "budgets"): {
                    "run": {"microdollars": 5000},
                    "day": {"calls": 100, "minutes": 600},
                },
                (SWARM, "agents", "agent-spec", "max_cost"): 2000,
            }
        )
    )

    def paid(request: Request) -> Answer:
        made.clock.forward(seconds=20)
        usage = {"input_tokens": 900, "output_tokens": 90, "cost_microdollars": 1200}
        return Answer(oblige(request), 20_000, usage=usage)

    made.answering[""] = paid
    made.apply(task("T-1"), task("T-2"), task("T-3"), task("T-4"), by=ANN)
    cycle(made, Options(steps=1))
    made.answering[""] = oblige  # reports nothing, so that all that was reserved counts
    cycle(made, Options(steps=1))
    asked = next(
        event.event_id for event in reversed(made.events) if event.action == "orchestrator.dispatch"
    )

    def emit(tx: Transaction) -> None:
        superseded = {
            "source_sha256": "5" * 64,
            "agent": "agent-spec",
            "ts": made.events[0].ts,
            "kind": "spec",
            "task_id": "T-3",
            "microdollars": 2000,
            "unknown": True,
            "reserves": {"microdollars": 2000},
        }
        tx.record(new_event("settle", "orchestrator", superseded))

    correct_cost(made, asked, 700, "person@example.com", "the bill of January")
    transact(made, emit)
    with contextlib.suppress(RunHalted):
        cycle(made)  # 3900 of 5000 are spent, and the next may cost 2000
    operator.review(made, "APR-0001", "person@example.com", "approve", "it is worth it")
    cycle(made)
    return made.events


HISTORIES: dict[str, Callable[[], History]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        pipeline_of_nine,
        rejected_and_corrected,
        attempts_spent,
        timed_out,
        grave_issue,
        three_of_medium_severity,
        critical_halt,
        hotfix_and_override,
        review_denied_then_approved,
        unanswered_then_asked_again,
        reviewed_by_an_agent,
        programs_pinned,
        released_and_stopped,
        halted_and_resumed,
        asked_and_answered,
        undone_and_done_again,
        service_away,
        judged_by_policy,
        rare_events,
        money,
        bad_done_regresses,
        bad_foreign_result,
        bad_effect_without_result,
        bad_missing_event,
        bad_time_runs_backwards,
        bad_success_unverified,
    )
}


def outcome(history: History) -> dict[str, Any]:
    """Return what has to come out of a history."""
    state = EMPTY
    for event in history:
        try:
            state = evolve(state, event)
        except Violation as violation:
            return {
                "events": len(history),
                "refused_at": event.event_id,
                "rule": violation.rule,
                "projection_hash_sha256_before": projection_hash(state),
            }
    assert state == project(history)
    return {
        "events": len(history),
        "run": state.run.state,
        "by_state": dict(state.run.by_state),
        "projection_hash_sha256": projection_hash(state),
    }


def main(names: Sequence[str]) -> int:
    """Record the histories of these names, all that are missing by default."""
    for name in names or sorted(HISTORIES):
        file = FOLDER / f"{name}.jsonl"
        if file.exists():
            if names:
                print(f"error: '{file.name}' is there and stays as it is", file=sys.stderr)
                return 1
            continue
        history = HISTORIES[name]()
        file.write_bytes(b"".join(event.data for event in history))
        expected = {"about": HISTORIES[name].__doc__, **outcome(history)}
        text = json.dumps(expected, indent=2, ensure_ascii=False)
        file.with_suffix(".json").write_text(f"{text}\n", encoding="utf-8")
        print(f"{name}: {len(history)} events")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
