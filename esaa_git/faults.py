"""Named fault points: every place between two states that survive a crash, and nothing else.

What happens if the power fails right here? A test arms a point with an action that kills the
process, or raises what a full disk would; then it reopens the repository and looks. In production
nothing is ever armed, since neither a variable of the environment nor a setting reaches `arm`: a
point costs one comparison (docs/decisions/0036-sync-order.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum


class Point(StrEnum):
    """The fault points, in the order in which a transaction with an effect meets them."""

    OBJECT_WRITTEN = "object-written"
    """One object more is stored that no ref names. Met once an object."""
    JOURNAL_WRITTEN = "journal-written"
    """The follow-up is noted, the log has not moved."""
    OBJECTS_SYNCED = "objects-synced"
    """Everything that the refs are about to name would survive a power cut."""
    REF_LOCKED = "ref-locked"
    """One lock more of git's is held. Met once a ref."""
    LOG_MOVED = "log-moved"
    """The commit point is passed."""
    BRANCH_MOVED = "branch-moved"
    """A branch has followed the log."""
    REF_MOVED = "ref-moved"
    """Another ref moved: a checkpoint, a snapshot, what is remembered of a remote."""
    REFS_SYNCED = "refs-synced"
    """The refs would survive a power cut."""
    INDEX_LOCKED = "index-locked"
    """The index of a checkout is locked, no file is touched."""
    FILES_WRITTEN = "files-written"
    """The files of a checkout are new, its index is old."""
    INDEX_WRITTEN = "index-written"
    """The index is new, and its lock not freed."""
    CHECKOUT_FOLLOWED = "checkout-followed"
    """One checkout is done, and the note of what was being written in it is gone."""
    JOURNAL_CLEARED = "journal-cleared"
    """Nothing is left to do, the journal's lock is still held."""
    MARK_WRITTEN = "mark-written"
    """The verified point, a pin, or what is remembered of a remote is replaced."""
    PUSH_BEGUN = "push-begun"
    """Everything is decided, the remote knows nothing of it."""
    PUSH_DONE = "push-done"
    """The remote has it, and we have not yet remembered that."""


Action = Callable[[Point], None]

_armed: Action | None = None


def reach(point: Point) -> None:
    """Say that execution has come to this point."""
    if _armed is not None:
        _armed(point)


@contextmanager
def arm(action: Action) -> Iterator[None]:
    """Call the action at every point that this process comes to, for tests."""
    global _armed  # noqa: PLW0603 - one process, one fault
    before, _armed = _armed, action
    try:
        yield
    finally:
        _armed = before
