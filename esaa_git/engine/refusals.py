"""What the verifier says of an answer that it refuses for its base, its branch or its time."""

from __future__ import annotations

from collections.abc import Sequence

from esaa_git.core.events.fields import LeftOutFile
from esaa_git.core.rejection import MAX_NAMED, RejectCode, Rejected
from esaa_git.core.task import Attempt


def nothing_left(left: Sequence[LeftOutFile]) -> Rejected:
    """Return the refusal of a proposal of which nothing is taken, with the reason for each path."""
    first = left[0]
    paths = [one.path for one in left]
    detail = {"path": first.path, "paths": paths[:MAX_NAMED], "count": len(paths)}
    if first.why == "settings":
        may = f"a task of kind {' or '.join(first.kinds)} may" if first.kinds else "no kind may"
        return Rejected(
            RejectCode.PATH_PROTECTED,
            f"'{first.path}' says what git sees and how, and this kind does not write it; {may}, "
            "and nothing else was proposed",
            {**detail, "kinds": list(first.kinds or ())},
        )
    return Rejected(
        RejectCode.EMPTY_PROPOSAL,
        f"nothing was proposed but files that are left out, as '{first.path}' ({first.why})",
        detail,
    )


def late(attempt: Attempt) -> Rejected:
    """Return the refusal of an answer whose lease is over."""
    return Rejected(
        RejectCode.STALE_ATTEMPT,
        f"the lease of '{attempt.attempt_id}' ran out at {attempt.deadline}",
        {"deadline": attempt.deadline},
    )


def missing(path: str, operation: str) -> Rejected:
    """Return the refusal of an operation on a file that the base does not have."""
    return Rejected(
        RejectCode.FILE_MISSING,
        f"'{path}' does not exist in the base, so there is nothing to {operation}",
        {"path": path, "operation": operation},
    )


def conflict(path: str, reason: str, base: str, tip: str, hunks: str = "") -> Rejected:
    """Return the refusal of a change that does not fit what the branch has become."""
    detail = {"path": path, "reason": reason, "base": base, "branch": tip}
    if hunks:
        detail["hunks"] = hunks
    return Rejected(
        RejectCode.WRITE_CONFLICT,
        f"'{path}' changed on the branch since the base of this attempt: {reason}",
        detail,
    )
