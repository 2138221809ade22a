"""Effects that an audit found in other commits than their own, as they are put into the log.

Branches are rebased, squashed, renamed and deleted every day. What carries an effect, and nothing
beside it, is recorded before a run goes on, so that `verify` and hooks know it everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from esaa_git.core.state import Carrier
from esaa_git.verification.branch import Relinked
from esaa_git.verification.carrier import SQUASHED
from esaa_git.verification.report import Report

if TYPE_CHECKING:
    from esaa_git.engine.engine import Engine
    from esaa_git.engine.operator import Link


def record_moved(engine: Engine, report: Report, say: Callable[[str], None]) -> None:
    """Record what an audit found that the log does not say yet, and say how much that was."""
    from esaa_git.engine.operator import follow_moved

    links = links_of(report)
    if links:
        count = follow_moved(engine, links)
        say(
            f"note: {count} effects were found in other commits than their own, and the log says "
            "so now"
        )


def links_of(report: Report) -> list[Link]:
    """Return what is to be recorded of effects that were found in other commits."""
    found = [one for one in report.relinked if not one.is_recorded]
    last = {one.carried_by: one for one in found}

    def said(one: Relinked) -> Carrier:
        """Return what is recorded: the last link of a commit says what it changes beside."""
        if last[one.carried_by] is one or not one.carrier.beside:
            return one.carrier
        return Carrier(one.carried_by, (one.task_id,), SQUASHED)

    return [(one.task_id, one.effect_commit, said(one)) for one in found]
