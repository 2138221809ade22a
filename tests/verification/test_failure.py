"""A failure: what is wrong is said by the check, and where by whoever runs it."""

from __future__ import annotations

import pickle

import pytest

from esaa_git.verification.failure import CHECKS, Failure, check_name


@pytest.mark.parametrize("number", CHECKS)
def test_checks_of_bytes_find_corruption_and_all_others_a_mismatch(number: int) -> None:
    assert Failure(number, "no").outcome == ("corrupted" if number in (2, 4) else "mismatch")


def test_the_first_address_stays() -> None:
    failure = Failure(3, "no")

    assert failure.at("a" * 40, 7) is failure
    failure.at("b" * 40, 8, "somewhere else")

    assert (failure.oid, failure.event_id, failure.message) == ("a" * 40, "EV-00000007", "no")


def test_the_subject_goes_before_the_message() -> None:
    failure = Failure(11, "it is gone").at("a" * 40, 7, "effect aaaa of T-1")

    assert failure.message == str(failure) == "effect aaaa of T-1: it is gone"


def test_a_failure_comes_whole_out_of_a_worker_process() -> None:
    failure = Failure(11, "no", "corrupted", "look").at("a" * 40, 7, "effect")

    found = pickle.loads(pickle.dumps(failure))

    assert vars(found) == vars(failure)
    assert str(found) == str(failure)


def test_a_check_is_called_by_its_number_and_its_name() -> None:
    assert check_name(3) == "check 3, signature and role"
