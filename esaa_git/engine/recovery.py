"""Recovery: after a crash, the branch and its checkouts are brought after the log.

The log is the commit point. Where a process died between moving it and moving the branch, the
journal names what was left to do; the effect commit it names is stored already. Where a person
has committed to the branch meanwhile, the effect is merged and the new link recorded.
"""

from __future__ import annotations

from esaa_git.engine.decide import ORCHESTRATOR
from esaa_git.engine.engine import Engine
from esaa_git.engine.transaction import Transaction, follow, transact
from esaa_git.ports.branch import BranchMove
from esaa_git.ports.local import Followup


def recover(engine: Engine) -> str | None:
    """Finish what a process that died left undone; return what was done, or None.

    Raises:
        ConflictError: if the effect no longer merges with what the branch has become.
    """
    said = None
    while (followup := engine.journal.read()) is not None:
        try:
            if _is_recorded(engine, followup):
                said = _complete(engine, followup)
        except BaseException:
            engine.journal.pause()
            raise
        # A merge has followed the log by itself, or has left what it could not finish on top.
        if engine.journal.read() == followup:
            engine.journal.clear()
    return said


def _is_recorded(engine: Engine, followup: Followup) -> bool:
    """Answer whether the log's ref moved: recovery precedes every append, so its tip tells."""
    tip = engine.log.tip()
    return tip is not None and engine.branch.contains(tip.commit, followup.log_commit)


def _complete(engine: Engine, followup: Followup) -> str:
    move = followup.move
    engine.checkouts.lock(move.branch)
    try:
        done = _bring(engine, followup)
    finally:
        engine.checkouts.unlock()
    return _merge(engine, followup) if done is None else done


def _bring(engine: Engine, followup: Followup) -> str | None:
    """Bring branch and checkouts to the effect; return None where it has to be merged."""
    move = followup.move
    tip = engine.branch.tip(move.branch)
    if tip is not None and engine.branch.contains(tip, move.new):
        follow(engine, followup)
        return f"recovered: the checkout of '{move.branch}' follows {move.new[:12]}"
    if tip == move.old:
        engine.branch.move(move, f"esaa: recovered the effect of {followup.task_id}")
        follow(engine, followup)
        what = f"the effect of {followup.task_id}" if followup.task_id else "what was fetched"
        return f"recovered: '{move.branch}' moved to {what}"
    if not followup.task_id:
        # It was no effect of ours that was to arrive, but the history of somebody else.
        return f"'{move.branch}' has moved meanwhile: 'git esaa sync' brings it together"
    return None


def _merge(engine: Engine, followup: Followup) -> str:
    """Merge an effect into a branch on which a person has committed meanwhile."""
    move = followup.move

    def record(tx: Transaction) -> None:
        merge = engine.effects.commit_merge(move.branch, move.new, tx.now, tx.sign)
        tip = engine.branch.tip(move.branch)
        assert tip is not None
        tx.emit(
            "orchestrator.view.mutate",
            ORCHESTRATOR,
            {
                "view": "effect",
                "task_id": followup.task_id,
                "effect_commit": move.new,
                "reached_by": merge,
                "text": "merged after an interruption: the branch had moved meanwhile",
            },
        )
        moved = BranchMove(move.branch, tip, merge)
        tx.move_branch(moved, followup.task_id, followup.paths)

    transact(engine, record)
    return f"recovered: the effect of {followup.task_id} was merged into '{move.branch}'"
