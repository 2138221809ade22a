"""Which key may sign what, under one set of contracts."""

from __future__ import annotations

from typing import Any

import pytest

from esaa_git.core.contracts import Contracts
from esaa_git.core.event import NewEvent, seal
from esaa_git.core.events import AnyPayload, AttemptCreate, Health, RunInit
from esaa_git.core.events.fields import Pin
from esaa_git.core.state import EMPTY
from esaa_git.errors import ConfigurationError, RefusedError
from esaa_git.trust.allowed_signers import SignatureRefused
from esaa_git.trust.roles import Authority, check_signers, person_of
from esaa_git.trust.signers import Verified
from tests.support.logs import default_contracts
from tests.support.sshkeys import ALICE, BOB, PAYLOAD, STRANGER, Key

EARLY, LATE = "2026-01-31T09:00:00.000Z", "2027-01-31T09:00:00.000Z"
ANN, BEN = "ann@example.com", "ben@example.com"
HEALTH = Health(status="ok", message="alive")
RUN = RunInit(
    run_id="RUN-0001",
    project="x",
    branch="main",
    base="0" * 40,
    contracts=(Pin(path="x", sha256="0" * 64),),
    tasks=(),
)


def contracts(*lines: str) -> Contracts:
    listed = "".join(f"{line}\n" for line in lines).encode()
    return default_contracts(ALICE.line, changed={"allowed_signers": listed})


def proven(authority: Authority, key: Key) -> Verified:
    return authority.prove(PAYLOAD, key.sign())


def may(
    authority: Authority,
    key: Key,
    payload: AnyPayload,
    *,
    actor: str = "orchestrator",
    at: str = EARLY,
    **how: Any,
) -> bool:
    event = seal(NewEvent(actor, payload), after_seq=0, after_ts="", now=at)
    return authority.fault(proven(authority, key), event, EMPTY, **how) is None


def claimed(agent: str, mode: str = "claim") -> AttemptCreate:
    return AttemptCreate(
        task_id="T-1",
        attempt_id="T-1-A1",
        number=1,
        agent=agent,
        mode=mode,
        base="0" * 40,
        deadline=LATE,
    )


TWO = f"orchestrator {ALICE.line}", f"{BEN},approver,admin {BOB.line}"


def test_an_event_is_signed_by_a_role_of_its_row_and_by_its_actor() -> None:
    authority = Authority(contracts(*TWO))

    assert may(authority, ALICE, HEALTH)
    assert not may(authority, BOB, HEALTH)
    assert not may(authority, BOB, HEALTH, actor=BEN)
    assert may(authority, BOB, claimed(BEN), actor=BEN)
    assert not may(authority, ALICE, claimed(BEN), actor=BEN)
    assert not may(authority, ALICE, claimed(BEN))
    assert not may(authority, BOB, claimed(BEN))
    assert not may(authority, BOB, claimed(ANN), actor=BEN)
    assert not may(authority, BOB, claimed(BEN, "dispatch"), actor=BEN)
    assert may(authority, ALICE, claimed("agent-impl", "dispatch"))
    assert not may(authority, ALICE, claimed("somebody"))


def test_a_change_of_contracts_is_signed_by_an_admin() -> None:
    authority = Authority(contracts(*TWO))

    assert may(authority, ALICE, RUN)
    assert not may(authority, ALICE, RUN, changes=True)
    assert may(authority, BOB, RUN, actor=BEN, changes=True)
    assert not may(authority, BOB, RUN, changes=True)


def test_an_approver_changes_no_contracts_and_an_evaluator_appends_nothing() -> None:
    authority = Authority(contracts(*TWO, f"{ANN},approver {STRANGER.line}"))
    assert not may(authority, STRANGER, RUN, actor=ANN, changes=True)
    assert not may(authority, STRANGER, RUN, actor=ANN)
    evaluator = Authority(contracts(*TWO, f"evaluator {STRANGER.line}"))
    assert not may(evaluator, STRANGER, HEALTH)
    assert not may(evaluator, STRANGER, claimed("agent-impl"))


def test_a_contract_narrows_the_table_and_cannot_widen_it() -> None:
    def signing(value: str) -> Contracts:
        found = contracts(*TWO)
        data = found.files["ORCHESTRATOR_CONTRACT.yaml"].replace(
            b"  run.init: [orchestrator, admin]", value.encode()
        )
        return Contracts({**found.files, "ORCHESTRATOR_CONTRACT.yaml": data})

    narrow = signing("  run.init: [admin]")
    check_signers(narrow)
    assert not may(Authority(narrow), ALICE, RUN)
    assert may(Authority(narrow), BOB, RUN, actor=BEN)
    for entry in ("orchestrator.health: [approver]", "run.init: [contributor]", "no.such: [admin]"):
        wide = signing(f"  {entry}")
        assert not may(Authority(wide), BOB, HEALTH, actor=BEN)
        with pytest.raises(ConfigurationError, match=entry.partition(":")[0]):
            check_signers(wide)


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        ((f"{ANN},{BEN},admin {STRANGER.line}",), "exactly one person"),
        ((f"approver {STRANGER.line}",), "exactly one person"),
        ((f"laptop,approver {STRANGER.line}",), "exactly one person"),
        ((f"{ANN},laptop,approver {STRANGER.line}",), "exactly one person"),
        ((f"orchestrator,{ANN} {STRANGER.line}",), "names no one else"),
        ((f"evaluator,ci {STRANGER.line}",), "names no one else"),
        ((f"orchestrator,{ANN},contributor {STRANGER.line}",), "no person's word"),
        ((f"*@example.com,approver {STRANGER.line}",), "a pattern"),
        ((f"* {STRANGER.line}",), "a pattern"),
        ((f"{ANN},appr?ver {STRANGER.line}",), "a pattern"),
        ((f"{ANN},approver {ALICE.line}",), "one person's or a service's"),
        ((f"evaluator {BOB.line}",), "one person's or a service's"),
        ((f"{ANN},approver {BOB.line}",), "one person's or a service's"),
        ((f'{ANN},approver valid-after="20300101Z" {BOB.line}',), "one person's or a service's"),
    ],
)
def test_a_list_that_leaves_open_whose_key_that_is_is_refused(
    lines: tuple[str, ...], cause: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_signers(contracts(*TWO, *lines))
    assert cause in (refused.value.cause or "")


def test_lines_without_a_role_or_for_other_namespaces_say_nothing() -> None:
    more = f"{ANN} {STRANGER.line}", f'approver,{ANN},{BEN} namespaces="file" {STRANGER.line}'
    found = contracts(*TWO, *more)
    check_signers(found)
    assert person_of(found, BOB.fingerprint) == BEN
    assert person_of(found, ALICE.fingerprint) is None
    assert person_of(found, STRANGER.fingerprint) is None


def test_an_effect_is_signed_by_an_orchestrator_and_a_checkpoint_by_an_admin_too() -> None:
    authority = Authority(contracts(*TWO, f"{ANN},approver {STRANGER.line}"))
    keys = ALICE, BOB, STRANGER

    effects = [authority.may_sign_effect(proven(authority, key), EARLY) for key in keys]
    witnesses = [authority.may_witness(key.blob) for key in keys]

    assert effects == [True, False, False]
    assert witnesses == [True, True, False]


def test_a_key_may_sign_only_in_its_time() -> None:
    authority = Authority(contracts(f'orchestrator valid-before="20260601" {ALICE.line}'))

    assert may(authority, ALICE, HEALTH)
    with pytest.raises(SignatureRefused) as refused:
        may(authority, ALICE, HEALTH, at=LATE)
    assert refused.value.reason == "expired"
    with pytest.raises(SignatureRefused):
        authority.may_sign_effect(proven(authority, ALICE), LATE)


def test_a_role_that_a_key_has_at_another_time_does_not_count() -> None:
    authority = Authority(
        contracts(
            f'orchestrator valid-before="20260601" {ALICE.line}',
            f'evaluator valid-after="20260601" {ALICE.line}',
        )
    )

    assert may(authority, ALICE, HEALTH)
    assert not may(authority, ALICE, HEALTH, at=LATE)


def test_a_key_that_is_not_named_proves_nothing() -> None:
    authority = Authority(contracts(*TWO))

    with pytest.raises(SignatureRefused) as refused:
        authority.prove(PAYLOAD, STRANGER.sign())
    assert refused.value.reason == "unknown-key"
    assert not authority.may_witness(STRANGER.blob)


def test_a_refusal_says_who_could_do_it() -> None:
    authority = Authority(contracts(*TWO))
    event = seal(NewEvent("orchestrator", RUN), after_seq=0, after_ts="", now=EARLY)

    with pytest.raises(RefusedError) as refused:
        authority.check(proven(authority, ALICE), event, EMPTY, changes=True)

    assert refused.value.message == (
        "only an admin's key may begin a log, or sign a run.init that changes the contracts"
    )
    assert f"{BEN} ({BOB.fingerprint})" in (refused.value.hint or "")
