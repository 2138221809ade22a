"""What the contracts in force say of an event, by the same function on append and in `verify`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from esaa_git.core.attachments import check_attachments
from esaa_git.core.contract_rules import (
    attempts_allowed,
    check_contract_rules,
    is_success,
)
from esaa_git.core.event import Event, after, seal
from esaa_git.core.events.base import encode
from esaa_git.core.invariants import Violation
from esaa_git.testing.contracts import Place, contracts
from tests.support.examples import EXAMPLES, OID, SHA256
from tests.support.records import new_event
from tests.support.story import AGENT, HALF_AN_HOUR, KEPT, OUTPUT, REFUSED, Story, definition

PERSON = "person@example.com"
POLICY = "RUNTIME_POLICY.yaml"
CONTRACT = "AGENT_CONTRACT.yaml"
Changes = Mapping[Place, Any]


def event(told: Story, action: str, actor: str = "orchestrator", /, **payload: Any) -> Event:
    return seal(
        new_event(action, actor, payload),
        after_seq=told.state.seq,
        after_ts=told.state.ts,
        now=told.now,
    )


def lawful(told: Story, new: Event, changes: Changes | None = None) -> None:
    check_contract_rules(told.state, new, contracts(changes))


def unlawful(told: Story, new: Event, changes: Changes | None = None) -> Violation:
    with pytest.raises(Violation) as caught:
        lawful(told, new, changes)
    return caught.value


def story(**more: Any) -> Story:
    return Story().started(definition(**more))


# -------------------------------------------------------------------------- attempts, leases, time


def opening(told: Story, milliseconds: int = HALF_AN_HOUR) -> Event:
    number = told.task().attempts_total + 1
    return event(
        told,
        "attempt.create",
        task_id="T-1",
        attempt_id=f"T-1-A{number}",
        number=number,
        agent=AGENT,
        mode="dispatch",
        base=OID,
        deadline=after(told.now, milliseconds),
    )


def test_a_lease_is_at_most_as_long_as_the_policy_s_ttl() -> None:
    told = story()
    lawful(told, opening(told))
    assert unlawful(told, opening(told, HALF_AN_HOUR + 1)).rule == "INV-002"
    lawful(told, opening(told, HALF_AN_HOUR + 1), {(POLICY, "attempts", "ttl"): "PT1H"})


def test_a_heartbeat_extends_a_lease_by_at_most_the_ttl() -> None:
    told = story().attempt().later(1000)

    def beat(milliseconds: int) -> Event:
        deadline = after(told.now, milliseconds)
        return event(told, "agent.heartbeat", AGENT, **told.here(), deadline=deadline)

    lawful(told, beat(HALF_AN_HOUR))
    assert unlawful(told, beat(HALF_AN_HOUR + 1)).rule == "INV-002"


def spent(attempts: int, **more: Any) -> Story:
    """A task in progress of which so many attempts were rejected."""
    told = story(**more)
    for number in range(1, attempts + 1):
        if number > 1:
            told.update("T-1", "todo", "rejected", attempt_id=f"T-1-A{number - 1}")
        told.attempt().rejected()
    return told


def update(told: Story, to: str, cause: str, **more: Any) -> Event:
    state = told.task().state
    step = {"task_id": "T-1", "from": state, "to": to, "cause": cause}
    return event(told, "task.update", **step, **more)


def test_an_attempt_more_than_the_policy_allows_is_unlawful() -> None:
    told = spent(3)
    told.update("T-1", "todo", "rejected", attempt_id="T-1-A3")
    assert unlawful(told, opening(told)).rule == "INV-002"
    lawful(told, opening(told), {(POLICY, "attempts", "max_per_task"): 4})


def test_a_task_s_own_limit_goes_before_the_policy_s() -> None:
    told = spent(1, attempts_allowed=1)
    told.update("T-1", "todo", "rejected", attempt_id="T-1-A1")
    assert attempts_allowed(told.task(), contracts()) == 1
    assert unlawful(told, opening(told)).rule == "INV-002"


@pytest.mark.parametrize("cause", ["rejected", "timed_out"])
def test_a_task_goes_on_while_it_has_attempts_and_is_blocked_when_it_has_none(cause: str) -> None:
    left, none_left = spent(2), spent(3)
    lawful(left, update(left, "todo", cause))
    assert unlawful(left, update(left, "blocked", "attempts_spent")).rule == "INV-002"
    lawful(none_left, update(none_left, "blocked", "attempts_spent"))
    assert unlawful(none_left, update(none_left, "todo", cause)).rule == "INV-002"


def test_a_task_rests_as_long_as_the_policy_says() -> None:
    told = spent(1)
    minute = {(POLICY, "attempts", "cooldown"): "PT1M"}
    lawful(told, update(told, "todo", "rejected"))
    assert unlawful(told, update(told, "todo", "rejected"), minute).rule == "INV-002"
    for milliseconds, enough in ((59_999, False), (60_000, True)):
        rest = update(told, "todo", "rejected", not_before=after(told.now, milliseconds))
        if enough:
            lawful(told, rest, minute)
        else:
            assert unlawful(told, rest, minute).rule == "INV-002"


# -------------------------------------------------------------------------------- authority, review


@pytest.mark.parametrize("action", ["agent.result", "agent.heartbeat", "issue.report"])
def test_an_agent_says_only_what_its_contract_lists(action: str) -> None:
    told = story().attempt()
    payload = {
        "agent.result": {"summary": "Done.", "output_sha256": SHA256, "paths": []},
        "agent.heartbeat": {"deadline": after(told.now, 1)},
        "issue.report": {"issue_id": "ISS-0001", "severity": "low", "title": "x"},
    }[action]
    said = event(told, action, AGENT, **told.here(), **payload)
    lawful(told, said)
    others = sorted(contracts().agent.actions - {action})
    assert unlawful(told, said, {(CONTRACT, "actions"): others}).rule == "INV-002"


def test_a_person_may_report_whatever_agents_may_not() -> None:
    told = story()
    said = event(told, "issue.report", PERSON, issue_id="ISS-0001", severity="low", title="x")
    lawful(told, said, {(CONTRACT, "actions"): ["agent.result"]})


def test_where_the_contract_asks_for_a_review_a_result_is_not_simply_accepted() -> None:
    told = story().attempt().result()
    done = update(told, "done", "accepted", attempt_id="T-1-A1")
    lawful(told, done)
    required = {(CONTRACT, "kinds", "spec", "review"): "required"}
    assert unlawful(told, done, required).rule == "INV-002"
    approved = update(told, "done", "approved", attempt_id="T-1-A1")
    lawful(told, approved, required)


def test_where_the_task_asks_for_a_review_a_result_is_not_simply_accepted() -> None:
    told = story(review=True).attempt().result()
    done = update(told, "done", "accepted", attempt_id="T-1-A1")
    assert unlawful(told, done).rule == "INV-002"


# ------------------------------------------------------------------------------------------ effects

ADDED = {"change": "add", "mode": "100644", "after": OID, "sha256": SHA256, "bytes": 3}
MODIFIED = {**ADDED, "change": "modify", "before": OID}
DELETED = {"change": "delete", "before": OID}
RENAMED = {**MODIFIED, "change": "rename"}


def effect(told: Story, *files: Mapping[str, Any], lines: int = 1) -> Event:
    return event(
        told,
        "orchestrator.file.write",
        **told.here(),
        base=OID,
        files=list(files),
        changed_lines=lines,
    )


def writing(**more: Any) -> Story:
    return story(**more).attempt().result(paths=("docs/a.md",))


@pytest.mark.parametrize("path", ["docs/a.md", "README.md"])
def test_an_effect_inside_the_boundary_is_lawful(path: str) -> None:
    told = writing()
    for file in (ADDED, MODIFIED, DELETED, {**RENAMED, "from": "docs/b.md"}):
        lawful(told, effect(told, {**file, "path": path}))


@pytest.mark.parametrize(
    "path",
    [
        "src/a.py",
        "docs",
        "docs/../src/a.py",
        "/docs/a.md",
        ".git/config",
        "docs/.GIT/config",
        ".roadmap/AGENT_CONTRACT.yaml",
        ".Roadmap/plan.yaml",
        "docs/.env",
    ],
)
def test_inv_004_an_effect_outside_of_the_boundary_is_unlawful(path: str) -> None:
    told = writing()
    assert unlawful(told, effect(told, {**ADDED, "path": path})).rule == "INV-004"
    inside = {**ADDED, "path": "docs/a.md"}
    assert unlawful(told, effect(told, inside, {**DELETED, "path": path})).rule == "INV-004"
    moved = {**RENAMED, "path": "docs/a.md", "from": path}
    assert unlawful(told, effect(told, moved)).rule == "INV-004"


def test_inv_004_a_task_s_own_globs_narrow_its_kind_s() -> None:
    told = writing(writes=["docs/a.md", "src/**"])
    lawful(told, effect(told, {**ADDED, "path": "docs/a.md"}))
    for path in ("docs/b.md", "src/a.py"):
        assert unlawful(told, effect(told, {**ADDED, "path": path})).rule == "INV-004"


@pytest.mark.parametrize(
    ("file", "operation"),
    [
        (DELETED, "delete"),
        ({**RENAMED, "from": "docs/b.md"}, "rename"),
        ({**ADDED, "mode": "100755"}, "executable"),
        ({**MODIFIED, "mode": "100755", "before_mode": "100644"}, "executable"),
        ({**RENAMED, "from": "docs/b.md", "mode": "100755", "before_mode": "100644"}, "executable"),
    ],
)
def test_inv_004_a_prohibited_operation_is_unlawful(
    file: Mapping[str, Any], operation: str
) -> None:
    told = writing()
    new = effect(told, {**file, "path": "docs/a.md"})
    lawful(told, new)
    violation = unlawful(told, new, {(CONTRACT, "prohibitions", "operations"): [operation]})
    assert violation.rule == "INV-004"
    others = sorted({"delete", "rename", "executable"} - {operation, str(file["change"])})
    lawful(told, new, {(CONTRACT, "prohibitions", "operations"): others})


@pytest.mark.parametrize(
    "file",
    [
        {**MODIFIED, "mode": "100755"},
        {**MODIFIED, "before_mode": "100755"},
        {**RENAMED, "from": "docs/b.md", "mode": "100755"},
    ],
)
def test_a_file_that_was_executable_before_may_stay_so(file: Mapping[str, Any]) -> None:
    told = writing()
    prohibited = {(CONTRACT, "prohibitions", "operations"): ["executable"]}
    lawful(told, effect(told, {**file, "path": "docs/a.md"}), prohibited)


@pytest.mark.parametrize(
    ("limit", "files", "lines"),
    [
        ("max_files_per_proposal", 3, 1),
        ("max_patch_lines", 1, 11),
        ("max_file_bytes", 1, 1),
    ],
)
def test_inv_004_an_effect_larger_than_the_policy_allows_is_unlawful(
    limit: str, files: int, lines: int
) -> None:
    told = writing()
    named = [{**ADDED, "bytes": 9, "path": f"docs/{n}.md"} for n in range(files)]
    new = effect(told, *named, lines=lines)
    lawful(told, new)
    bound = {"max_files_per_proposal": 2, "max_patch_lines": 10, "max_file_bytes": 8}[limit]
    assert unlawful(told, new, {(POLICY, "limits", limit): bound}).rule == "INV-004"
    lawful(told, new, {(POLICY, "limits", limit): bound + 1})


def test_an_effect_of_a_task_that_is_not_there_is_unlawful() -> None:
    example = EXAMPLES["orchestrator.file.write"]
    told = Story().started()
    new = event(told, "orchestrator.file.write", **encode(example.payload))
    assert unlawful(told, new).rule == "INV-002"


# ---------------------------------------------------------------------------- definitions of tasks


def appearing(told: Story, action: str, task: dict[str, Any]) -> tuple[Story, Event]:
    """An event by which this definition would reach the log."""
    if action == "task.create":
        return told, event(told, action, task=task)
    if action == "task.update":
        changes = {key: value for key, value in task.items() if key != "task_id"}
        return told, update(told, "todo", "amended", changes=changes)
    start = {
        "run_id": "RUN-0001",
        "project": "example",
        "branch": "main",
        "base": OID,
        "contracts": [encode(pin) for pin in contracts().pins],
        "tasks": [task],
    }
    return Story(), event(Story(), action, **start)


@pytest.mark.parametrize("action", ["run.init", "task.create", "task.update"])
@pytest.mark.parametrize(
    "wrong",
    [{"kind": "poetry"}, {"writes": ["docs/**", "!docs/a.md"]}, {"writes": ["/docs"]}],
    ids=str,
)
def test_inv_004_a_task_whose_boundary_could_not_be_told_does_not_appear(
    action: str, wrong: dict[str, Any]
) -> None:
    task = definition("T-2", writes=["docs/**"])
    lawful(*appearing(story(), action, task))
    assert unlawful(*appearing(story(), action, {**task, **wrong})).rule == "INV-004"


def test_inv_004_an_effect_of_a_kind_that_the_contract_dropped_is_unlawful() -> None:
    told = writing()
    kinds = {"impl": {"write": ["**"], "read": [], "review": "none"}}
    new = effect(told, {**ADDED, "path": "docs/a.md"})
    assert unlawful(told, new, {(CONTRACT, "kinds"): kinds}).rule == "INV-004"


# ------------------------------------------------------------------------------------------- runs


def test_a_run_pins_the_contracts_that_lie_beside_it() -> None:
    start = {"run_id": "RUN-0001", "project": "example", "branch": "main", "base": OID}
    told = Story()
    lawful(
        told,
        event(told, "run.init", **start, contracts=list(map(encode, contracts().pins)), tasks=[]),
    )
    other = list(map(encode, contracts({(POLICY, "attempts", "max_per_task"): 1}).pins))
    new = event(told, "run.init", **start, contracts=other, tasks=[])
    assert unlawful(told, new).rule == "INV-002"


@pytest.mark.parametrize(
    ("states", "all_done", "none_left"),
    [
        ((), True, True),
        (("done",), True, True),
        (("done", "todo"), False, False),
        (("done", "in_progress"), False, False),
        (("done", "blocked"), False, True),
        (("blocked",), False, True),
    ],
)
def test_a_run_succeeds_by_the_policy_s_criterion(
    states: tuple[str, ...], all_done: bool, none_left: bool
) -> None:
    told = Story().started(*(definition(f"T-{n}") for n, _ in enumerate(states)))
    for number, state in enumerate(states):
        match state:
            case "done":
                told.done(f"T-{number}")
            case "in_progress":
                told.attempt(f"T-{number}")
            case "blocked":
                told.update(f"T-{number}", "blocked", "issue")
    criterion: Place = (POLICY, "run_end", "success_when")
    end = event(told, "run.end", run_id="RUN-0001", result="success", reason="")
    for value, expected in (("all_done", all_done), ("none_left", none_left)):
        assert is_success(told.state, contracts({criterion: value})) == expected
        if expected:
            lawful(told, end, {criterion: value})
        else:
            assert unlawful(told, end, {criterion: value}).rule == "INV-002"
    for result in ("failed", "halted"):
        lawful(told, event(told, "run.end", run_id="RUN-0001", result=result, reason=""))


# ------------------------------------------------------------------------------------ attachments


FILES = {"docs/a.md": ("100644", OID)}


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"docs/a.md": ("100755", OID)},
        {"docs/a.md": ("100644", "c" * 40)},
        {"docs/b.md": ("100644", OID)},
        {**FILES, "docs/b.md": ("100644", OID)},
    ],
)
def test_inv_003_an_effect_carries_exactly_the_after_images_that_it_names(
    files: dict[str, tuple[str, str]],
) -> None:
    told = writing()
    new = effect(told, {**ADDED, "path": "docs/a.md"}, {**DELETED, "path": "docs/c.md"})
    check_attachments(new, FILES, {}, {})
    with pytest.raises(Violation) as caught:
        check_attachments(new, files, {}, {})
    assert caught.value.rule == "INV-003"


def test_inv_003_no_other_event_carries_files() -> None:
    new = event(story(), "orchestrator.health", status="ok", message="alive")
    check_attachments(new, {}, {}, {})
    with pytest.raises(Violation) as caught:
        check_attachments(new, FILES, {}, {})
    assert caught.value.rule == "INV-003"


@pytest.mark.parametrize(
    "exchange",
    [
        {},
        {"salt": OID, "request.json": OID, "response": OID},
        {"salt": OID, "request.json": OID, "refusal.json": OID},
        {"request.json": OID, "response": OID, "refusal.json": OID},
        {"salt": OID, "request.json": OID, "response": "c" * 40, "refusal.json": OID},
        {"salt": OID, "request.json": OID, "response": OID, "refusal.json": OID, "notes": OID},
        {"salt": OID, "request": OID, "response": OID, "refusal.json": OID},
    ],
)
def test_inv_003_an_exchange_is_exactly_the_one_that_the_event_names(
    exchange: dict[str, str],
) -> None:
    told = story().attempt()
    payload = {"code": "INVALID_JSON", "output": OUTPUT}
    said = {**REFUSED, "request": KEPT, "response": KEPT}
    new = event(told, "output.rejected", **told.here(), **payload, exchange=said)
    names = ("salt", "request.json", "response", "refusal.json")
    check_attachments(new, {}, dict.fromkeys(names, OID), {})
    with pytest.raises(Violation) as caught:
        check_attachments(new, {}, exchange, {})
    assert caught.value.rule == "INV-003"


@pytest.mark.parametrize("response", [None, {"sha256": "c" * 64, "bytes": 3}])
def test_inv_003_the_digest_of_a_refused_output_is_that_of_its_exchange(response: Any) -> None:
    told = story().attempt()
    said = REFUSED if response is None else {**REFUSED, "response": response}
    payload = {"code": "INVALID_JSON", "output": OUTPUT, "exchange": said}
    new = event(told, "output.rejected", **told.here(), **payload)
    with pytest.raises(Violation, match="without its salt"):
        check_attachments(new, {}, {"salt": OID, "refusal.json": OID}, {})


def test_of_an_exchange_by_digest_the_salt_alone_is_carried() -> None:
    told = story().attempt()
    payload = {"summary": "Done.", "paths": [], "output_sha256": SHA256}
    said = {"salt": OID, "response": DIGEST}
    new = event(told, "agent.result", **told.here(), **payload, exchange=said)
    check_attachments(new, {}, {"salt": OID}, {})
    with pytest.raises(Violation) as caught:
        check_attachments(new, {}, {"salt": OID, "response": OID}, {})
    assert caught.value.rule == "INV-003"


def _said(action: str, **said: Any) -> Event:
    told = story().attempt()
    more: dict[str, dict[str, Any]] = {
        "orchestrator.dispatch": {"agent": AGENT, "adapter": "command", "sandbox": "none"},
        "agent.result": {"summary": "Done.", "paths": []},
    }
    return event(told, action, **told.here(), **more[action], **said)


DIGEST = {"sha256": SHA256, "bytes": 3}


@pytest.mark.parametrize(
    ("action", "named", "exchange"),
    [
        ("orchestrator.dispatch", {"request_sha256": SHA256}, {}),
        ("agent.result", {"output_sha256": SHA256}, {"response": DIGEST}),
        ("agent.result", {"idempotency_sha256": SHA256}, {}),
    ],
)
def test_inv_003_no_digest_of_what_was_said_is_without_its_salt(
    action: str, named: dict[str, Any], exchange: dict[str, Any]
) -> None:
    check_attachments(
        _said(action, **named, exchange={"salt": OID, **exchange}), {}, {"salt": OID}, {}
    )
    others = [None]
    if exchange:
        others += [{"salt": OID}, {"salt": OID, "response": {**DIGEST, "sha256": "c" * 64}}]
    for other in others:
        new = _said(action, **named, **({} if other is None else {"exchange": other}))
        with pytest.raises(Violation, match="without its salt") as caught:
            check_attachments(new, {}, {} if other is None else {"salt": OID}, {})
        assert caught.value.rule == "INV-003"
