"""A lock of git's that is ours can be told from any other, and a stale one from a living one."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from esaa_git.store.locks import Claim, LockHeld, free_if_stale, remove_abandoned, stale_locks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "claims"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "ref.lock"


def _left_behind(folder: Path, lock: Path) -> None:
    """Take the lock in a process that is then killed."""
    child = os.fork()
    if not child:
        try:
            Claim(folder, b"half").take(lock)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert lock.exists()


def test_a_claim_becomes_the_lock_and_then_what_it_locks(folder: Path, lock: Path) -> None:
    target = lock.with_name("ref")
    with Claim(folder, b"new\n") as claim:
        claim.take(lock)
        assert lock.read_bytes() == b"new\n"
        claim.replace(target)
        assert not lock.exists()
    assert target.read_bytes() == b"new\n"
    assert list(folder.iterdir()) == []


def test_a_lock_that_is_not_used_goes_with_its_claim(folder: Path, lock: Path) -> None:
    with Claim(folder, b"") as claim:
        claim.take(lock)
    assert not lock.exists()
    assert list(folder.iterdir()) == []


def test_a_living_lock_is_held(folder: Path, lock: Path) -> None:
    with Claim(folder, b"1") as one, Claim(folder, b"2") as two:
        one.take(lock)
        with pytest.raises(LockHeld):
            two.take(lock)
        assert not free_if_stale(folder, lock)
        assert stale_locks(folder, iter([lock])) == []
        remove_abandoned(folder)
        assert lock.read_bytes() == b"1"


def test_a_lock_of_somebody_else_is_never_freed(folder: Path, lock: Path) -> None:
    lock.write_bytes(b"")
    with Claim(folder, b"") as claim, pytest.raises(LockHeld):
        claim.take(lock)
    assert lock.exists()


def test_the_lock_of_a_process_that_was_killed_is_taken_over(folder: Path, lock: Path) -> None:
    _left_behind(folder, lock)
    assert stale_locks(folder, iter([lock])) == [lock]
    with Claim(folder, b"mine") as claim:
        claim.take(lock)
        assert lock.read_bytes() == b"mine"


def test_a_lock_that_came_after_the_one_that_died_is_somebodys_own(
    folder: Path, lock: Path
) -> None:
    """A person removed the stale lock, and runs git now: the claim that is left proves nothing."""
    _left_behind(folder, lock)
    lock.unlink()
    lock.write_bytes(b"")
    assert not free_if_stale(folder, lock)
    assert stale_locks(folder, iter([lock])) == []


def test_the_standing_claim_is_one_at_a_time_and_stays(folder: Path, lock: Path) -> None:
    with Claim.standing(folder, "files") as claim:
        claim.take(lock)
        with pytest.raises(LockHeld):
            Claim.standing(folder, "files")
    assert not lock.exists()
    assert [path.name for path in folder.iterdir()] == ["standing"]
    remove_abandoned(folder)
    with Claim.standing(folder, "files") as claim:
        claim.take(lock)


def test_where_there_are_no_hard_links_a_lock_is_made_as_git_does_it(
    folder: Path, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(source: Path, target: Path) -> None:
        raise PermissionError(1, "no hard links here")

    monkeypatch.setattr("os.link", link)
    with Claim(folder, b"new\n") as claim:
        claim.take(lock)
        assert lock.read_bytes() == b"new\n"
        with Claim(folder, b"") as other, pytest.raises(LockHeld):
            other.take(lock)
    assert not lock.exists()
