"""Which key may sign what, under one set of contracts."""

from __future__ import annotations

import pytest

from esaa_git.core.contracts import Contracts
from esaa_git.errors import RefusedError
from esaa_git.trust.allowed_signers import SignatureRefused
from esaa_git.trust.roles import Authority
from esaa_git.trust.signers import Verified
from tests.support.logs import default_contracts
from tests.support.sshkeys import ALICE, BOB, PAYLOAD, STRANGER, Key

EARLY, LATE = "2026-01-31T09:00:00.000Z", "2027-01-31T09:00:00.000Z"


def contracts(*lines: str) -> Contracts:
    listed = "".join(f"{line}\n" for line in lines).encode()
    return default_contracts(ALICE.line, changed={"allowed_signers": listed})


def proven(authority: Authority, key: Key) -> Verified:
    return authority.prove(PAYLOAD, key.sign())


def test_an_action_is_signed_by_one_of_the_roles_that_the_contracts_ask_for() -> None:
    authority = Authority(contracts(f"orchestrator {ALICE.line}", f"approver {BOB.line}"))
    alice, bob = proven(authority, ALICE), proven(authority, BOB)

    assert authority.may_sign(alice, "attempt.create", EARLY)
    assert not authority.may_sign(bob, "attempt.create", EARLY)


def test_a_change_of_contracts_is_signed_by_an_admin_whatever_the_action() -> None:
    authority = Authority(contracts(f"orchestrator {ALICE.line}", f"admin {BOB.line}"))
    alice, bob = proven(authority, ALICE), proven(authority, BOB)

    assert authority.may_sign(alice, "run.init", EARLY)
    assert not authority.may_sign(alice, "run.init", EARLY, changes=True)
    assert authority.may_sign(bob, "run.init", EARLY, changes=True)


def test_an_effect_is_signed_by_an_orchestrator_and_a_checkpoint_by_an_admin_too() -> None:
    authority = Authority(
        contracts(f"orchestrator {ALICE.line}", f"admin {BOB.line}", f"approver {STRANGER.line}")
    )
    keys = ALICE, BOB, STRANGER

    effects = [authority.may_sign_effect(proven(authority, key), EARLY) for key in keys]
    witnesses = [authority.may_witness(key.blob) for key in keys]

    assert effects == [True, False, False]
    assert witnesses == [True, True, False]


def test_a_key_may_sign_only_in_its_time() -> None:
    authority = Authority(contracts(f'orchestrator,admin valid-before="20260601" {ALICE.line}'))
    alice = proven(authority, ALICE)

    assert authority.may_sign(alice, "attempt.create", EARLY)
    with pytest.raises(SignatureRefused) as refused:
        authority.may_sign(alice, "attempt.create", LATE)
    assert refused.value.reason == "expired"
    with pytest.raises(SignatureRefused):
        authority.may_sign_effect(alice, LATE)


def test_a_role_that_a_key_has_at_another_time_does_not_count() -> None:
    authority = Authority(
        contracts(
            f'orchestrator valid-before="20260601" {ALICE.line}',
            f'approver valid-after="20260601" {ALICE.line}',
            f"orchestrator,admin {BOB.line}",
        )
    )
    alice = proven(authority, ALICE)

    assert authority.may_sign(alice, "attempt.create", EARLY)
    assert not authority.may_sign(alice, "attempt.create", LATE)


def test_a_key_that_is_not_named_proves_nothing() -> None:
    authority = Authority(contracts(f"orchestrator,admin {ALICE.line}"))

    with pytest.raises(SignatureRefused) as refused:
        authority.prove(PAYLOAD, STRANGER.sign())
    assert refused.value.reason == "unknown-key"
    assert not authority.may_witness(STRANGER.blob)


def test_a_refusal_says_which_role_is_asked_for() -> None:
    authority = Authority(contracts(f"approver {ALICE.line}", f"orchestrator,admin {BOB.line}"))
    alice = proven(authority, ALICE)

    with pytest.raises(RefusedError) as refused:
        authority.check_may_sign(alice, "run.init", EARLY, changes=True)

    assert (
        refused.value.message == "the signing key may not sign run.init that changes the contracts"
    )
    assert refused.value.cause == f"the role of {ALICE.fingerprint} is approver; admin is asked for"
