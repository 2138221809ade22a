"""Proposals as commits: what waits for a review, and what is kept of an answer that was rejected.

The commit is signed by the key that signs the event which names it; its ref moves with the log.
"""

from __future__ import annotations

from collections.abc import Sequence

from esaa_git.core.events.fields import NotKept, Proposed
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import NOTHING_KEPT, Kept
from esaa_git.engine.proposal import Proposal
from esaa_git.engine.transaction import Transaction
from esaa_git.ports.branch import Shown
from esaa_git.ports.log import ProposalRef


def show_waiting(
    engine: Engine,
    tx: Transaction,
    address: tuple[str, str],
    proposal: Proposal,
    *,
    author: str,
    actor: str,
) -> Proposed:
    """Commit a result that waits, for a review or to be judged; `actor` is whose event names it.

    Args:
        address: the task and the attempt.
        author: who proposes it.
    """
    return _show(engine, tx, address, proposal, author, actor, rejected=False)


def show_rejected(
    engine: Engine,
    tx: Transaction,
    address: tuple[str, str],
    proposal: Proposal | None,
    author: str,
    not_kept: tuple[NotKept, ...] = (),
) -> Kept:
    """Commit what may be kept of a rejected answer; nothing where the contracts keep none."""
    if tx.alone or not tx.contracts.storage.keep_rejected:
        return NOTHING_KEPT  # a person alone records no rejection either
    if proposal is None or not proposal.files:
        return Kept(None, not_kept)
    shown = _show(engine, tx, address, proposal, author, ORCHESTRATOR, rejected=True)
    return Kept(shown, not_kept)


def _show(
    engine: Engine,
    tx: Transaction,
    address: Sequence[str],
    proposal: Proposal,
    author: str,
    actor: str,
    *,
    rejected: bool,
) -> Proposed:
    task_id, attempt_id = address
    shown = Shown(
        parent=proposal.onto,
        changes=proposal.tree_changes(),
        author=author,
        ts=tx.at,
        task_id=task_id,
        attempt_id=attempt_id,
        rejected=rejected,
    )
    commit, tree = engine.effects.commit_proposal(shown, lambda data: tx.sign(data, actor))
    tx.show(ProposalRef(task_id, attempt_id, commit))
    return Proposed(commit=commit, tree=tree)
