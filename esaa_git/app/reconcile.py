"""The log and the branches here brought after those of a remote, as far as that is possible."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from esaa_git.app.inbox import admit
from esaa_git.app.project import Project
from esaa_git.errors import ConflictError, MismatchError, RunHalted

if TYPE_CHECKING:
    from esaa_git.core.state import State
    from esaa_git.engine.tail import Outcome
    from esaa_git.ports.branch import InTheWay
    from esaa_git.remote.incoming import Incoming
    from esaa_git.remote.reconcile import BranchPlan
    from esaa_git.remote.remote import Remote


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What bringing the local refs after a remote amounted to.

    Attributes:
        relation: what the log here was to the log there: `none`, `same`, `ahead`, `behind` or
            `diverged`.
        own: how many events here are not there.
        moved: whether the local refs follow now, and `held` why not.
        outcomes: what became of events that were decided again.
        dropped: commits that were left out, each with the reason.
        merged: branches that were merged with what others committed.
        kept: refs that hold what was here before.
        left: files of checkouts that were left alone, each with the reason.
        report: where the outcomes are written down.
    """

    incoming: Incoming | None
    relation: str
    own: int = 0
    moved: bool = False
    held: str = ""
    outcomes: Sequence[Outcome] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    merged: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    report: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a document, for commands and for the report that is kept."""
        incoming = self.incoming
        return {
            "relation": self.relation,
            "tip": None if incoming is None else incoming.tip,
            "seq": None if incoming is None else incoming.seq,
            "log_id": None if incoming is None else incoming.log_id,
            "genesis": None if incoming is None else incoming.genesis,
            "new": 0 if incoming is None else incoming.new,
            "verified": 0 if incoming is None else incoming.verified,
            "own_events": self.own,
            "moved": self.moved,
            "held": self.held or None,
            "merged": list(self.merged),
            "decided_again": [
                {
                    "event_id": one.old.event.event_id,
                    "commit": one.old.commit,
                    "subject": one.old.event.subject,
                    "outcome": one.kind,
                    "reason": one.reason or None,
                    "became": list(one.became),
                }
                for one in self.outcomes
            ],
            "commits_left_out": [
                {"commit": commit, "reason": reason} for commit, reason in self.dropped
            ],
            "kept": list(self.kept),
            "report": self.report,
        }


def reconcile(project: Project, remote: Remote, *, together: bool) -> SyncResult:
    """Fetch, and bring the local refs after the remote as far as that is possible.

    Args:
        together: merge branches, and decide a diverged tail again; otherwise only go forward.
    """
    from esaa_git.store.position import seq_of
    from esaa_git.store.tip import load_tip

    repository = project.repository
    if repository.ref_target(remote.log_ref) is not None and together:
        _ = project.engine  # finishes what a crash left undone
    local = repository.ref_target(remote.log_ref)
    if local is not None and together and remote.last_seen() is None and not remote.has_log():
        return SyncResult(None, "none")
    incoming = admit(project, remote, remote.fetch(project.observer.progress))
    if local is None:
        return _take_over(project, remote, SyncResult(incoming, "none"), None, together)
    state = load_tip(repository, local).state
    if incoming.common != incoming.tip:
        relation = "behind" if incoming.common == local else "diverged"
    else:
        relation = "same" if local == incoming.tip else "ahead"
    result = SyncResult(incoming, relation)
    if relation == "diverged":
        result = replace(result, own=state.seq - seq_of(repository, str(incoming.common)))
        if together:
            return _decide_again(project, remote, result, local, state)
        held = f"{result.own} events here are not there: run 'git esaa sync {remote.name}'"
        return replace(result, held=held)
    if relation in ("same", "ahead"):
        result = replace(result, own=state.seq - incoming.seq)
        if not together:
            return result
    return _take_over(project, remote, result, state, together)


def _plans(
    project: Project,
    remote: Remote,
    tip: str,
    state: State,
    other: State | None,
    stale: Sequence[str],
) -> list[BranchPlan]:
    """Return how the working branches go on: the one of the log there, and the one here."""
    from esaa_git.remote.reconcile import plan_branch
    from esaa_git.verification.claims import ClaimJudge

    branches = {state.run.branch, None if other is None else other.run.branch} - {None}
    repository = project.repository
    judge = ClaimJudge.at(repository, tip, state)
    return [
        plan_branch(
            repository,
            name,
            repository.ref_target(f"refs/heads/{name}"),
            remote.branch_tip(name),
            judge,
            stale,
        )
        for name in sorted(map(str, branches))
    ]


def _take_over(
    project: Project, remote: Remote, result: SyncResult, own: State | None, together: bool
) -> SyncResult:
    """Go forward to what the remote has; commits of people are merged where `together` says so."""
    from esaa_git.remote.reconcile import apply
    from esaa_git.verification.pins import mark_path, write_mark

    repository, incoming = project.repository, result.incoming
    assert incoming is not None
    local = repository.ref_target(remote.log_ref)
    ahead = result.relation in ("same", "ahead") and own is not None
    state = own if ahead and own is not None else incoming.state
    tip = str(local) if ahead else incoming.tip
    plans = _plans(project, remote, tip, state, None, ())
    if own is not None and (ahead or not state.run.is_open):
        # A branch that is not here was renamed or deleted, or nobody goes on with it.
        plans = [plan for plan in plans if plan.local is not None]
    for plan in plans:
        if plan.picks or plan.order:
            raise ConflictError(
                f"'{plan.name}' holds commits that claim events which no log knows",
                hint="after a rebase, run 'git esaa verify --relink --record', then repeat the "
                "command; 'git esaa verify' says which commits they are",
            )
        if plan.merged and not together:
            held = (
                f"'{plan.name}' has commits that are not there: run 'git esaa sync {remote.name}'"
            )
            return replace(result, held=held)
    target = str(local) if ahead else incoming.tip
    left = apply(
        repository,
        project.checkouts,
        (local, target),
        [(plan.name, plan.local, plan.start) for plan in plans if plan.start is not None],
        message=f"esaa: from {remote.name}",
    )
    if local is None and incoming.mark is not None:
        write_mark(repository, mark_path(repository), incoming.mark)
    return replace(
        result,
        moved=local != target,
        merged=tuple(plan.name for plan in plans if plan.merged),
        left=_worded(left),
    )


def _decide_again(
    project: Project, remote: Remote, result: SyncResult, local: str, own: State
) -> SyncResult:
    """Decide the local tail again after the remote's last event, and move there."""
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.events import EffectRelinked, TaskUpdate
    from esaa_git.core.refnames import proposals
    from esaa_git.core.stopped import begins, is_undo
    from esaa_git.engine.rebase import decide_again
    from esaa_git.remote.reconcile import SUPERSEDED, apply, keep_report
    from esaa_git.store.eventcommit import contracts_of as log_contracts
    from esaa_git.store.eventcommit import read_event_commit
    from esaa_git.store.position import events_between
    from esaa_git.store.refs import OverlayRefs
    from esaa_git.verification.audit import Auditor

    repository, incoming = project.repository, result.incoming
    assert incoming is not None
    common = str(incoming.common)
    tail = list(events_between(repository, read_event_commit(repository.read, common), local))
    said = [one.event.payload for one in tail]
    effects = [one.effect_commit for one in said if isinstance(one, TaskUpdate | EffectRelinked)]
    stop = incoming.state.stop
    begun = (one.event for one in tail if begins(one.event) and not is_undo(own, one.event))
    if stop.by is not None and any(begun):
        raise RunHalted(
            f"'{remote.name}' is stopped by {stop.by}, and takes no work that began here",
            cause=f"{len(tail)} events here are not there",
            hint="nothing is lost: run 'git esaa sync' again once an admin has resumed it",
        )
    stale = [oid for oid in effects if oid]
    plans = _plans(project, remote, incoming.tip, incoming.state, own, stale)
    starts = {plan.ref: plan.start for plan in plans}
    refs = OverlayRefs(project.refs, moved={remote.log_ref: incoming.tip, **starts})
    engine = project.engine_on(refs)

    def contracts_of(commit: str) -> Contracts:
        return log_contracts(repository.read, read_event_commit(repository.read, commit))

    def before_effect(effect: str) -> None:
        for plan in plans:
            if effect in plan.order:
                plan.pick_before(repository, refs, effect)

    outcomes = decide_again(engine, tail, contracts_of=contracts_of, before_effect=before_effect)
    for plan in plans:
        plan.pick_before(repository, refs)
    dropped = tuple(one for plan in plans for one in plan.dropped)
    result = replace(result, outcomes=outcomes, dropped=dropped)
    shown = {
        ref: str(oid)
        for ref in refs.list(proposals(remote.log_ref))
        if (oid := refs.read(ref)) != project.refs.read(ref)
    }
    keep = {f"{SUPERSEDED}/{local}/log": local}
    keep |= {
        f"{SUPERSEDED}/{local}/heads/{plan.name}": plan.local
        for plan in plans
        if plan.order and plan.local is not None
    }
    tip = str(refs.read(remote.log_ref))
    moves = [(plan.name, plan.local, refs.read(plan.ref)) for plan in plans]
    kept_at = keep_report(repository, local, result.to_json())
    left = apply(
        repository,
        project.checkouts,
        (local, tip),
        [(name, old, new) for name, old, new in moves if new is not None],
        common=common,
        keep=keep | shown,
        message=f"esaa: decided again after {incoming.tip[:12]}",
    )
    report = Auditor(repository).run()
    if not report.audit.is_ok:
        raise MismatchError(
            f"what was decided again does not verify: {report.audit.message}",
            cause="nothing was pushed",
            hint=f"the log as it was is at '{SUPERSEDED}/{local}/log'; please report this",
        )
    return replace(
        result,
        moved=True,
        merged=tuple(plan.name for plan in plans if plan.merged),
        kept=tuple(sorted(keep)),
        left=_worded(left),
        report=kept_at,
    )


def _worded(left: Iterable[InTheWay]) -> tuple[str, ...]:
    return tuple(f"'{one.path}' in {one.worktree} ({one.reason})" for one in left)
