"""One valid event of every action, with every optional entry filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Final

from esaa_git.core.event import NewEvent
from tests.support.records import new_event

OID: Final = "a" * 40
SHA256: Final = "b" * 64
TS: Final = "2026-01-31T09:00:00.000Z"
LATER: Final = "2026-01-31T09:30:00.000Z"

_HERE: Final = {"task_id": "T-1", "attempt_id": "T-1-A1"}
_PART: Final = {"sha256": SHA256, "bytes": 12, "blob": OID, "altered": True}
_KEPT: Final = {"sha256": SHA256, "bytes": 3, "blob": OID}
_EXCHANGE: Final = {"salt": OID, "request": _PART, "response": _PART}
_USAGE: Final = {
    "input_tokens": 1,
    "output_tokens": 2,
    "cached_input_tokens": 1,
    "cost_microdollars": 3,
    "price_source": "a price list of 2026-01",
}
_TRIES: Final = [{"status": 429, "reason": "too many requests", "waited_ms": 1000}]
_FACTS: Final = {
    "task_id": "T-1",
    "kind": "spec",
    "agent": "codex",
    "model": "some-model",
    "cost_microdollars": 7,
    "lines": 3,
    "on": "dispatch",
    "files": [
        {
            "path": "docs/a.md",
            "change": "rename",
            "from": "docs/b.md",
            "before_mode": "100644",
            "mode": "100755",
        }
    ],
}
_LEFT_OUT: Final = {
    "count": 1,
    "files": [{"path": ".gitignore", "why": "settings", "kinds": ["setup"]}],
}
_DECISION: Final = {"approval_id": "APR-0001"}
_ANSWER: Final = {
    **_DECISION,
    "subject_sha256": SHA256,
    "nonce": "0" * 32,
    "decision": {"sha256": SHA256, "document": OID, "signature": OID},
    "said": {"text": OID, "salt": OID},
}
_DEFINITION: Final = {
    "description": "What to do.\nAnd how.",
    "acceptance": ["It is done."],
    "depends_on": ["T-0"],
    "writes": ["docs/**"],
    "agent": "agent-spec",
    "priority": -5,
    "review": True,
    "attempts_allowed": 2,
    "checks": [{"name": "tests", "run": ["make", "test"], "timeout": "PT5M"}],
    "context": ["src/**"],
    "reviewer": "agent-qa",
    "budget": {"microdollars": 5, "tokens": 4, "calls": 3, "attempts": 2, "minutes": 1},
}
_RESERVES: Final = {"microdollars": 5, "tokens": 4, "ms": 3}
_TASK: Final = {"task_id": "T-1", "kind": "spec", "title": "A task", **_DEFINITION}
_AFTER: Final = {"mode": "100755", "after": OID, "sha256": SHA256, "bytes": 3}
_MODE: Final = {"before_mode": "100644"}


def _orchestrator(action: str, **payload: Any) -> NewEvent:
    return new_event(action, "orchestrator", payload, "RUN-0001", "EV-00000001")


def _agent(action: str, **payload: Any) -> NewEvent:
    return new_event(action, "agent-spec", payload, "RUN-0001", "EV-00000001")


_ALL: Final = (
    _orchestrator(
        "run.init",
        run_id="RUN-0001",
        project="example",
        branch="main",
        base=OID,
        contracts=[{"path": "AGENT_CONTRACT.yaml", "sha256": SHA256}],
        tasks=[_TASK],
        by="person@example.com",
        reason="the first",
        programs=[{"path": "tools/agent", "mode": "100755", "sha256": SHA256}],
        foreign_logs=["0123456789abcdef0123456789abcdef"],
        cel="cel-expr-python 0.1.3",
    ),
    _orchestrator(
        "task.create",
        task=_TASK,
        by="person@example.com",
        reason="found in review",
        supersedes="T-0",
        issue_id="ISS-0001",
        undoes="T-0",
    ),
    _orchestrator(
        "task.update",
        **_HERE,
        **{"from": "in_progress", "to": "done"},
        cause="accepted",
        effect_commit=OID,
        reason="why",
        by="person@example.com",
        not_before=LATER,
        attempts_allowed=5,
        issue_id="ISS-0001",
        blocked_by="T-0",
        changes={"kind": "impl", "title": "Another title", **_DEFINITION},
        until=LATER,
        usage=_USAGE,
    ),
    _orchestrator(
        "attempt.create",
        **_HERE,
        number=1,
        agent="agent-spec",
        mode="dispatch",
        base=OID,
        deadline=LATER,
    ),
    _orchestrator("attempt.timeout", **_HERE, deadline=LATER),
    _orchestrator(
        "orchestrator.dispatch",
        **_HERE,
        agent="agent-spec",
        adapter="command",
        request_sha256=SHA256,
        sandbox="none",
        model="some-model",
        template="default",
        review={"approval_id": "APR-0001", "deadline": LATER},
        program_sha256=SHA256,
        program_version="tool 1.2",
        provider="anthropic",
        continues={"attempt_id": "T-1-A1", "commit": OID},
        reserves=_RESERVES,
        exchange={"salt": OID},
        policy=[{"rule": "r", "effect": "deny", "mode": "audit", "erred": True}],
    ),
    _agent(
        "agent.result",
        **_HERE,
        summary="Done.\nIn two lines.",
        paths=["docs/a.md"],
        output_sha256=SHA256,
        checks=["It is there."],
        idempotency_sha256=SHA256,
        model="some-model",
        usage=_USAGE,
        latency_ms=4,
        tries=_TRIES,
        exchange=_EXCHANGE,
        agent="codex",
        left_out=_LEFT_OUT,
        unwrapped=["fence"],
        proposal={"commit": OID, "tree": OID},
        facts=_FACTS,
        policy=[{"rule": "r", "effect": "deny", "mode": "audit", "erred": True}],
    ),
    _agent(
        "issue.report",
        **_HERE,
        issue_id="ISS-0001",
        severity="high",
        title="It does not work",
        description="At all.",
        reported_as="medium",
        exchange=_EXCHANGE,
        agent="codex",
    ),
    _agent(
        "question.ask",
        **_HERE,
        question_id="Q-0001",
        exchange={**_EXCHANGE, "text": _KEPT},
        model="a model",
        usage=_USAGE,
        latency_ms=5,
        tries=[{"status": 503, "reason": "Service Unavailable", "waited_ms": 1000}],
        agent="codex",
    ),
    _agent("agent.heartbeat", **_HERE, deadline=LATER, note="still here", agent="codex"),
    _agent(
        "lesson.record",
        task_id="T-1",
        lesson_id="LES-0001",
        rule="Read first.",
        mistake="Wrote first.",
        kinds=["spec"],
        agent="codex",
        attempt_id="T-1-A1",
    ),
    new_event(
        "lesson.withdraw",
        "person@example.com",
        {"lesson_id": "LES-0001", "reason": "it is wrong"},
    ),
    _orchestrator(
        "review.result",
        **_HERE,
        approval_id="APR-0001",
        reviewer="agent-qa",
        verdict="approve",
        exchange={**_EXCHANGE, "text": _KEPT},
        model="some-model",
        usage=_USAGE,
        latency_ms=4,
        tries=_TRIES,
    ),
    new_event(
        "note.add", "person@example.com", {"on": "task", "task_id": "T-1", "text": "use tabs"}
    ),
    _orchestrator(
        "output.rejected",
        **_HERE,
        code="INVALID_JSON",
        output={"sha256": SHA256, "bytes": 3},
        exchange={**_EXCHANGE, "refusal": _KEPT},
        filter="proposed",
        approval_id="APR-0001",
        check_results=[
            {"name": "tests", "passed": False, "duration_ms": 5, "program_sha256": SHA256}
        ],
        model="some-model",
        usage=_USAGE,
        latency_ms=4,
        tries=_TRIES,
        left_out=_LEFT_OUT,
        proposal={"commit": OID, "tree": OID},
        not_kept=[{"path": "src/key.py", "code": "SECRET_EXPOSED"}],
        unwrapped=["fence"],
        facts=_FACTS,
    ),
    _orchestrator(
        "orchestrator.file.write",
        **_HERE,
        base=OID,
        files=[
            {"path": "a", "change": "add", **_AFTER},
            {"path": "b", "change": "modify", "before": OID, **_AFTER, **_MODE},
            {"path": "c", "change": "delete", "before": OID, "before_mode": "100755"},
            {"path": "d", "change": "rename", "from": "e", "before": OID, **_AFTER, **_MODE},
        ],
        undoes=[{"path": "a", "change": "delete", "before": OID, "before_mode": "100755"}],
        changed_lines=7,
        merged_onto=OID,
        check_results=[
            {"name": "tests", "passed": True, "duration_ms": 5, "program_sha256": SHA256}
        ],
    ),
    _orchestrator(
        "orchestrator.view.mutate",
        view="effect",
        task_id="T-1",
        effect_commit=OID,
        reached_by=OID,
        text="merged",
        how="squashed",
        beside=[
            {
                "path": "a.md",
                "before_mode": "100644",
                "before": OID,
                "mode": "120000",
                "after": OID,
            }
        ],
        merged=OID,
        people=[OID],
        accepted_by="person@example.com",
    ),
    _orchestrator("verify.start", checked_from=1, checked_to=5),
    _orchestrator("verify.ok", checked_from=1, checked_to=5, projection_hash_sha256=SHA256),
    _orchestrator(
        "verify.fail", outcome="mismatch", check=7, message="differs", event_id="EV-00000003"
    ),
    _orchestrator(
        "run.end",
        run_id="RUN-0001",
        result="halted",
        reason="a person said so",
        by="person@example.com",
        issue_id="ISS-0001",
        snapshots=["refs/esaa/snapshots/RUN-0001-00000005/log"],
        recovery="git esaa verify --full",
    ),
    _orchestrator("emergency.override", task_id="T-1", reason="wrong", by="person@example.com"),
    _orchestrator("orchestrator.health", status="ok", message="alive", version="0.1"),
    new_event(
        "policy.decision",
        "policy-guard",
        {
            **_HERE,
            "rule": "no-secrets",
            "effect": "deny",
            "policy_sha256": SHA256,
            "input_sha256": SHA256,
            "message": "a secret",
        },
        "RUN-0001",
        "EV-00000001",
    ),
    _orchestrator(
        "approval.request",
        **_HERE,
        approval_id="APR-0001",
        kind="budget",
        budget={"account": "run.RUN-0001", "unit": "microdollars", "amount": 5},
        subject_sha256=SHA256,
        requirements=[
            {"rule": "by contract", "role": "approver", "count": 2, "other_than": "starter"}
        ],
        nonce="0" * 32,
        expires=LATER,
        started_by="person@example.com",
    ),
    _orchestrator("approval.expire", **_DECISION),
    new_event(
        "operator.request",
        "person@example.com",
        {
            "kind": "unblock",
            "task_id": "T-1",
            "attempts": 2,
            "decision": {"sha256": SHA256, "document": OID, "signature": OID},
            "said": {"text": OID, "salt": OID},
        },
    ),
    *(
        new_event(
            action,
            "person@example.com",
            {
                "epoch": 0,
                "decision": {"sha256": SHA256, "document": OID, "signature": OID},
                "said": {"text": OID, "salt": OID},
            },
        )
        for action in ("run.halt", "run.resume")
    ),
    new_event(
        "question.answer",
        "person@example.com",
        {
            "question_id": "Q-0001",
            "question_sha256": SHA256,
            "task_id": "T-1",
            "decision": {"sha256": SHA256, "document": OID, "signature": OID},
            "said": {"text": OID, "salt": OID},
        },
    ),
    _orchestrator(
        "settle",
        source_sha256=SHA256,
        agent="agent-spec",
        ts=TS,
        kind="spec",
        task_id="T-1",
        microdollars=5,
        tokens=4,
        ms=3,
        unknown=True,
        reserves=_RESERVES,
    ),
    new_event(
        "budget.correct",
        "person@example.com",
        {
            "event_id": "EV-00000001",
            "microdollars": 5,
            "decision": {"sha256": SHA256, "document": OID, "signature": OID},
            "said": {"text": OID, "salt": OID},
        },
    ),
    new_event("approval.grant", "person@example.com", {"role": "admin", **_ANSWER}),
    new_event("approval.deny", "person@example.com", {"verdict": "deny", **_ANSWER}),
)

EXAMPLES: Final[Mapping[str, NewEvent]] = {event.action: event for event in _ALL}
"""By action."""


def objects(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where the objects in a value are, the value itself first."""
    if isinstance(value, Mapping):
        yield place
        for key, item in value.items():
            yield from objects(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from objects(item, (*place, index))


def with_key(value: Any, place: tuple[Any, ...], key: str, item: Any) -> Any:
    """Return a copy of the value in which the object at the place has one entry more."""
    changed = deepcopy(value)
    target = changed
    for step in place:
        target = target[step]
    target[key] = item
    return changed
