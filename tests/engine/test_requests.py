"""What an admin asks for: signed once, carried out at once or by the orchestrator's next run."""

from __future__ import annotations

import pytest

from esaa_git.core.events.fields import TaskDefinition
from esaa_git.core.limits import DECISION_WORDS
from esaa_git.engine import operator
from esaa_git.engine.cycle import Options
from esaa_git.engine.requests import carry_out_open
from esaa_git.errors import ConflictError, RefusedError, RunHalted
from esaa_git.ports.agent import Answer, Request
from esaa_git.testing.contracts import task
from esaa_git.testing.engine import MemoryEngine, engine
from esaa_git.testing.log import MemoryLogTransaction

ANN = "ann@example.com"


def fails(request: Request) -> Answer:
    return Answer(b"", 1, "left with exit status 1", "AGENT_FAILED", {"exit_status": 1})


def spent() -> MemoryEngine:
    """T-1 is blocked, its attempts are spent; T-2 is done."""
    made = engine()
    made.apply(task("T-1"), task("T-2"))
    made.run(Options(task_id="T-2"))
    made.answering[""] = fails
    with pytest.raises(RunHalted, match="'T-1' is blocked"):
        made.run(Options(task_id="T-1"))
    return made


def test_a_request_and_what_carries_it_out_are_one_transaction() -> None:
    made = spent()
    before = len(made.events)
    assert operator.unblock(made, "T-1", ANN, "the service is back", 2) == ["T-1"]
    asked, freed = made.events[before:]
    assert (asked.action, asked.actor) == ("operator.request", ANN)
    assert (freed.action, freed.causation_id) == ("task.update", asked.event_id)
    assert made.state.run.requests == ()


def test_what_cannot_be_carried_out_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made = spent()
    before = len(made.events)
    monkeypatch.setattr(MemoryLogTransaction, "sign_decision", None)  # nobody is asked to sign
    for task_id in ("T-2", "T-9"):
        with pytest.raises(Exception, match=task_id):
            operator.unblock(made, task_id, ANN, "x")
    with pytest.raises(RefusedError, match="only a done task"):
        operator.override(made, "T-1", ANN, "x")
    assert len(made.events) == before


@pytest.mark.parametrize("name", ["ann", "agent-spec", "orchestrator"])
def test_an_admin_is_a_person(name: str) -> None:
    with pytest.raises(RefusedError, match=f"'{name}' is no person"):
        operator.unblock(spent(), "T-1", name, "x")


def test_a_reason_is_no_longer_than_a_verifier_reads() -> None:
    made = spent()
    before = len(made.events)
    with pytest.raises(RefusedError, match="the reason has 65,537 bytes"):
        operator.unblock(made, "T-1", ANN, "x" * (DECISION_WORDS + 1))
    assert len(made.events) == before
    assert operator.unblock(made, "T-1", ANN, "x" * DECISION_WORDS) == ["T-1"]


def test_a_request_of_a_person_alone_waits_and_is_carried_out_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = spent()
    fix = TaskDefinition(task_id="", kind="hotfix", title="Again")
    with monkeypatch.context() as alone:
        alone.setattr(MemoryLogTransaction, "alone", property(lambda _: True))
        assert operator.unblock(made, "T-1", ANN, "the service is back") == []
        assert operator.hotfix(made, "T-2", fix, ANN, "wrong sum") == "T-2-HF1"
    first, second = made.state.run.requests
    assert made.task("T-1").state == "blocked"
    assert "T-2-HF1" not in made.state.tasks
    for _ in range(2):
        carry_out_open(made)
        assert made.task("T-1").state == "todo"
        assert made.task("T-2-HF1").supersedes == "T-2"
        assert made.state.run.requests == ()
    freed, created = (one for one in made.events if one.causation_id in (first, second))
    assert (freed.payload.reason, freed.payload.by) == ("the service is back", ANN)
    assert created.payload.reason == "wrong sum"
    assert made.audit().outcome == "ok"


def test_an_open_request_that_cannot_be_carried_out_is_named_and_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = spent()
    with monkeypatch.context() as alone:
        alone.setattr(MemoryLogTransaction, "alone", property(lambda _: True))
        operator.unblock(made, "T-1", ANN, "first")
        operator.unblock(made, "T-1", ANN, "again")
    carry_out_open(made)
    (left,) = made.state.run.requests
    assert any(line.startswith(f"{left} asks for what cannot be done now") for line in made.lines)


def test_a_person_signs_once_however_often_the_log_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    made = spent()
    signed: list[bytes] = []

    def sign(_: object, document: bytes, __: str) -> bytes:
        signed.append(document)
        return b"signature"

    monkeypatch.setattr(MemoryLogTransaction, "sign_decision", sign)
    swap, lost = made.repository.swap, [1, 2, 3]

    def losing(moves: object) -> None:
        if lost:
            lost.pop()
            raise ConflictError("'refs/esaa/events' moved")
        swap(moves)  # type: ignore[arg-type]

    made.repository.swap = losing  # type: ignore[method-assign]
    assert operator.unblock(made, "T-1", ANN, "the service is back") == ["T-1"]
    assert len(signed) == 1
