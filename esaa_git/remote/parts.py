"""A long log sent in several pushes, each no more than a server looks at in its time.

Each part takes the branch along, as far as the last effect that its events name, so that what
lies on the server is a log with its effects after every push, and where the last one breaks off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from esaa_git.errors import EsaaError, RefusedError
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.position import contains
from esaa_git.store.repository import Repository
from esaa_git.verification.effects import closed_in

EVENTS_A_PUSH = 5_000
"""Events that are sent at once; a server takes two seconds or three for them."""

Send = Callable[[dict[str, str]], None]
"""Moves refs of the remote to commits, all or none."""

_HEADS = "refs/heads/"
_NEEDS_EFFECTS = "esaa.requireEffects"


class TooMuchAtOnce(RefusedError):
    """A server did not come to an end with a push, and nothing of it was taken."""


class Branch:
    """How far the branch of the log goes with a part of it.

    Args:
        repository: where log and branch are.
        name: the branch that the run names.
        tip: where it is here; None where it is not here, and goes along with nothing.
        there: where the remote has it.
    """

    def __init__(
        self, repository: Repository, name: str | None, tip: str | None, there: str | None
    ) -> None:
        self._repository = repository
        self._name = name
        self._tip = tip
        self._there = there

    def along(self, part: Sequence[str]) -> dict[str, str]:
        """Return the branch at the last effect that these events name, or nothing.

        That is where they name none, where it is not on the branch (a rebase has put another
        commit in its place), and where the remote has it.
        """
        effect = self._last_effect(part)
        if effect is None or self._tip is None or effect not in self._repository.odb:
            return {}
        if not contains(self._repository, self._tip, effect):
            return {}
        if self._there is not None and not contains(self._repository, effect, self._there):
            return {}
        return {} if effect == self._there else {f"{_HEADS}{self._name}": effect}

    def moved(self, refs: dict[str, str]) -> None:
        """Take note of what the remote has taken."""
        self._there = refs.get(f"{_HEADS}{self._name}", self._there)

    def _last_effect(self, part: Sequence[str]) -> str | None:
        read = self._repository.read
        for oid in reversed(part) if self._tip is not None else ():
            closed = closed_in(read, read_event_commit(read, oid))
            if closed is not None and closed.branch == self._name:
                return closed.effect_commit
        return None


def of_earlier_runs(
    repository: Repository, events: Sequence[str], branch: str | None
) -> dict[str, str]:
    """Return the branches here, beside the last run's, that hold effects of these events.

    An effect that the last run's branch holds as well travels with that.
    """
    found: dict[str, str] = {}
    last = None if branch is None else repository.ref_target(_HEADS + branch)
    for oid in events:
        try:
            closed = closed_in(repository.read, read_event_commit(repository.read, oid))
        except EsaaError:
            break  # what this is, the server says
        if closed is None or closed.branch == branch or closed.effect_commit not in repository.odb:
            continue
        effect, ref = closed.effect_commit, _HEADS + closed.branch
        tip = repository.ref_target(ref)
        is_merged = last is not None and contains(repository, last, effect)
        if tip is not None and not is_merged and contains(repository, tip, effect):
            found[ref] = tip
    return found


def send_in_parts(
    events: Sequence[str], log: str, branch: Branch, send: Send, everything: dict[str, str]
) -> None:
    """Send what leads to the last of these events, and everything that goes with it.

    What the server refuses as too much is halved and sent again, down to a single event. A part
    that is refused with its branch goes without, since a commit there may rest on a later event;
    the log is ahead of its branch then until the last part. A server that does not want that
    (`esaa.requireEffects`) gets all that is left at once.

    Args:
        events: the commits that the remote has not, oldest first.
        log: the ref of the log.
        branch: what goes along with each part.
        everything: the refs that are to move, the log to the last of the events.

    Raises:
        TooMuchAtOnce: for a single event, or for what cannot be parted.
        RefusedError: if the server refuses for another reason.
    """
    most, sent, whole, with_branch = EVENTS_A_PUSH, 0, False, True
    while True:
        part = events[sent : sent + most]
        is_last = sent + len(part) == len(events)
        along = branch.along(part) if with_branch and not is_last else {}
        refs = everything if is_last else {log: part[-1], **along}
        try:
            send(refs)
        except TooMuchAtOnce:
            if len(part) <= 1 or whole:
                raise
            most = len(part) // 2
        except RefusedError as error:
            if is_last:
                raise
            if along:
                with_branch = False
            elif _NEEDS_EFFECTS in (error.cause or ""):
                most, whole = len(events), True
            else:
                raise
        else:
            if is_last:
                return
            branch.moved(refs)
            sent, with_branch = sent + len(part), True
