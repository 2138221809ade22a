"""Checkouts for commands that mostly need none: what follows is loaded when it is first asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from esaa_git.ports.branch import InTheWay
from esaa_git.ports.files import FileEntry
from esaa_git.store.repository import Repository

if TYPE_CHECKING:
    from esaa_git.checkout.follow import GitCheckouts


class LazyCheckouts:
    """`GitCheckouts`; a claim or a note moves no branch, and does not pay for them."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    @cached_property
    def _checkouts(self) -> GitCheckouts:
        from esaa_git.checkout.follow import GitCheckouts

        return GitCheckouts(self._repository)

    def in_the_way(
        self, branch: str, commit: str, changes: Mapping[str, FileEntry | None]
    ) -> list[InTheWay]:
        return self._checkouts.in_the_way(branch, commit, changes)

    def uncommitted(self, branch: str, below: Sequence[str]) -> list[str]:
        return self._checkouts.uncommitted(branch, below)

    def way_out(self, branch: str, found: Sequence[InTheWay] = ()) -> str:
        return self._checkouts.way_out(branch, found)

    def lock(self, branch: str) -> None:
        self._checkouts.lock(branch)

    def unlock(self) -> None:
        if "_checkouts" in vars(self):
            self._checkouts.unlock()

    def follow(self, branch: str, old: str, new: str, paths: Sequence[str]) -> list[InTheWay]:
        return self._checkouts.follow(branch, old, new, paths)
