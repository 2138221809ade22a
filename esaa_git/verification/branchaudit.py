"""Check 11 of a whole audit: every effect of the log is on a branch, and nothing poses as one.

Judged are the branches that runs worked on and what is checked out: no commit there may claim what
the log does not know. An effect that is on none of them is looked for on every other branch, and
then by what it changes. One that is nowhere is lost, unless an admin has given it up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from esaa_git.core.events import RunInit
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.repository import DamagedObject, MissingObject, Repository
from esaa_git.store.trailers import speaks_of_us
from esaa_git.verification.branch import (
    Unexplained,
    Walked,
    history_of,
    nodes_of,
    walk_branch,
)
from esaa_git.verification.claims import ClaimJudge
from esaa_git.verification.effects import Closed
from esaa_git.verification.failure import Failure
from esaa_git.verification.heads import Heads
from esaa_git.verification.hints import Hints, bring_every_branch
from esaa_git.verification.lost import WaysOut, leave_out_undone, let_go, let_go_of
from esaa_git.verification.pins import Mark
from esaa_git.verification.placement import Placement, refused
from esaa_git.verification.presence import LOST, Gone, gone_from
from esaa_git.verification.relink import Relinker
from esaa_git.verification.report import Report


@dataclass(frozen=True, slots=True)
class BranchSettings:
    """How branches are looked at; see `esaa_git.verification.audit.Auditor`."""

    strict: bool
    full: bool
    relink: bool
    accept: Collection[str]
    by: str | None
    judged: str | None


class Rewritten(Failure):
    """No branch holds what was verified, so that every effect has to be looked for again."""


class BranchAudit:
    """Looks for the effects of one log on the branches.

    Args:
        since: the verified point from which the log was checked.
        genesis: its first commit, where it is here.
        failures: what is wrong with effect commits themselves; those that are gone have a hint.
        note: takes what is to be said, and raises where that is a failure.
    """

    def __init__(
        self,
        repository: Repository,
        heads: Heads,
        settings: BranchSettings,
        *,
        judge: ClaimJudge,
        shallow: Collection[str],
        since: Mark | None,
        genesis: str | None,
        failures: Sequence[Failure],
        note: Callable[[str], None],
    ) -> None:
        self._repository = repository
        self._heads = heads
        self._settings = settings
        self._judge = judge
        self._shallow = shallow
        self._placement = partial(Placement, repository, heads, judge, shallow, since)
        self._verified = () if since is None else since.branch_tips
        self._last = None if since is None else since.branch_tip
        self._failures = failures
        self._note = note
        self._hints = Hints(repository, judge, is_looked=settings.relink)
        self._base = self._first_base(genesis)

    def check(self, closed: Sequence[Closed], report: Report) -> None:
        """Check 11: every effect is on a branch, and no commit poses as one.

        Args:
            closed: the effects that the checked events name, in the order of the log.

        Raises:
            Failure: check 11.
        """
        for failure in self._failures:
            if failure.hint is None:
                raise failure
        missing = {one.effect_commit: one for one in closed}
        judged = [self._walk(name, tip, closed) for name, tip in self._judged(closed)]
        for walked in judged:
            self._say_what_is_cut(walked)
            for oid in walked.posing if not self._settings.relink else ():
                raise self._unfounded(walked, oid)
            for effect in walked.found:
                if self._counts(walked, missing.get(effect)):
                    del missing[effect]
            report.relinked += [one for one in walked.relinked if one not in report.relinked]
            report.foreign += [one for one in walked.foreign if one not in report.foreign]
        others = self._others(judged, missing)
        for walked in others:
            for effect in walked.found:
                if self._counts(walked, missing.get(effect)):
                    one = missing.pop(effect)
                    if not judged:
                        report.elsewhere.append((walked.name, effect, one.task_id))
            report.relinked += [one for one in walked.relinked if one not in report.relinked]
        self._find_beneath(missing, [*judged, *others])
        unexplained = self._find_by_content(missing, judged, others, closed, report)
        accept, by = self._settings.accept, self._settings.by
        report.relinked += let_go_of(missing, self._judge.carriers.values(), accept, by)
        for said in leave_out_undone(missing, self._judge.state):
            self._note(said)
        ways = WaysOut(
            self._repository,
            self._judge.state,
            closed,
            tip=judged[0].tip if judged else None,
            accepted=self._settings.accept,
            hints=self._hints,
        )
        self._refuse_lost(missing, [*judged, *others], unexplained, ways)
        self._refuse_unrecorded(report)
        self._put_down(judged, others, report)
        self._place(judged, closed, report)
        if self._settings.full and self._base:
            report.foreign += self._older()
        for walked in judged:
            self._look_for_content(walked, closed, report, ways)

    # -- on which branches ----------------------------------------------------------------------

    def _judged(self, closed: Sequence[Closed]) -> list[tuple[str, str]]:
        """Return the branches that are judged, that of the last run first."""
        current = self._judge.state.run.branch
        names = {one.branch for one in closed} | ({current} if current is not None else set())
        found: dict[str, str] = {}
        for name in sorted(names, key=lambda name: (name != current, name)):
            here = self._heads.of_run(name)
            if here is not None:
                found[here] = self._heads.tips[here]
        also = self._standing()
        if also is not None and also[1] not in found.values():
            found[also[0]] = also[1]
        return list(found.items())

    def _standing(self) -> tuple[str, str] | None:
        """Return the branch on which the person stands who asks, or the run that does."""
        if self._settings.judged is None:
            return self._heads.checked_out()
        here = self._heads.of_run(self._settings.judged)
        return None if here is None else (here, self._heads.tips[here])

    def _walk(self, name: str, tip: str, closed: Sequence[Closed]) -> Walked:
        return walk_branch(
            self._repository.read,
            name,
            tip,
            closed,
            standing=self._judge.standing,
            seen=self._base,
            verified=self._verified,
            shallow=self._shallow,
        )

    def _others(self, judged: Sequence[Walked], missing: Mapping[str, Closed]) -> list[Walked]:
        """Look through every other branch where anything is to be found there.

        Raises:
            Failure: check 11, where what was verified is on no branch; the audit then begins at
                the first event.
        """
        held = {oid for walked in judged for oid in self._held(walked)}
        others: list[Walked] = []
        wanted = list(missing.values())
        tips = {walked.tip for walked in judged}
        for name, tip in sorted(self._heads.tips.items()):
            if not missing and held.issuperset(self._verified):
                break
            if tip not in tips:
                tips.add(tip)
                others.append(self._walk(name, tip, wanted))
                held |= self._held(others[-1])
        for oid in self._verified:
            is_cut = any(walked.is_cut for walked in (*judged, *others))
            if oid not in held and not is_cut:
                message = f"no branch contains {oid[:12]}, which was verified here"
                raise Rewritten(11, message, hint=self._hints.of_move()).at(oid)
        return others

    def _say_what_is_cut(self, walked: Walked) -> None:
        if walked.unjudged:
            self._note(
                f"whether {walked.unjudged[0][:12]} on '{walked.name}' carries what the log says "
                "could not be checked: its parent is not here (a shallow clone); 'git fetch "
                "--unshallow' fetches it"
            )

    # -- effects that are in no place where they were looked for ---------------------------------

    def _held(self, walked: Walked) -> set[str]:
        """Return what was verified and is on this branch, as far as that is enough."""
        of_run = set() if self._last is None or self._is_enough(walked) else {self._last}
        return walked.held - of_run

    def _is_enough(self, walked: Walked) -> bool:
        """Answer whether an effect of the last run may be on this branch.

        What the branch of that run has lost here is lost here, whatever a remote has.
        """
        current = self._judge.state.run.branch
        is_here = current is not None and self._heads.is_own_branch(current)
        return self._heads.is_own_branch(walked.name) or not is_here

    def _counts(self, walked: Walked, one: Closed | None) -> bool:
        """Answer whether it is enough that this effect is on this branch."""
        if one is None:
            return False
        return one.branch != self._judge.state.run.branch or self._is_enough(walked)

    def _find_beneath(self, missing: dict[str, Closed], walks: Sequence[Walked]) -> None:
        """Take those for found that lie beneath what was verified, or beneath the log's base."""
        for walked in walks if missing and (self._verified or self._base) else ():
            nodes = nodes_of(self._repository.read, walked.tip, (), self._shallow)
            for effect in nodes.keys() & missing.keys():
                if self._counts(walked, missing[effect]):
                    walked.found.add(effect)
                    del missing[effect]

    def _find_by_content(
        self,
        missing: dict[str, Closed],
        judged: Sequence[Walked],
        others: Sequence[Walked],
        closed: Sequence[Closed],
        report: Report,
    ) -> list[Unexplained]:
        """Look for effects by what they change, and explain commits that pose as some.

        Without `relink`, a commit that claims an event and is not on record carries nothing.

        Returns:
            The commits that carry effects which are wanted, and for which nothing answers.

        Raises:
            Failure: check 11, for a commit that claims what is not true.
        """
        settings, standing = self._settings, self._standing()
        carriers, accept = self._judge.carriers, settings.accept
        relinker = Relinker(
            self._repository, closed, carriers=carriers, accept=accept, by=settings.by
        )
        seen = set(self._base)
        unexplained: list[Unexplained] = []
        open_claims: set[str] = set()
        for walked in (*judged, *others):
            linked = {one.carried_by for one in report.relinked}
            posing = {} if walked in others or not settings.relink else walked.posing
            posing = {oid: commit for oid, commit in posing.items() if oid not in linked}
            wanted = [one for one in missing.values() if self._counts(walked, one)]
            if settings.relink and standing is not None and walked.tip == standing[1]:
                # A branch that was squashed may be deleted soon, and be here still.
                wanted = [one for one in closed if one.effect_commit not in walked.found]
            if not wanted and not posing:
                continue
            history = history_of(self._repository.read, walked.tip, seen, self._shallow)
            if not settings.relink:
                history = [one for one in history if not speaks_of_us(one[1].payload)]
            seen.add(walked.tip)
            found, more = relinker(wanted, posing, walked.tip, history)
            unexplained += more
            for one in found:
                missing.pop(one.effect_commit, None)
                posing.pop(one.carried_by, None)
                walked.found.add(one.effect_commit)
            report.relinked += found
            open_claims.update(posing)
            explained = {what.oid for what in unexplained}
            for oid in (one for one in posing if one not in explained):
                raise self._unfounded(walked, oid)
        left = {one.task_id for one in missing.values()}
        return [
            what
            for what in unexplained
            if what.oid in open_claims or not left.isdisjoint(what.tasks)
        ]

    def _unfounded(self, walked: Walked, oid: str) -> Failure:
        commit, why = walked.posing[oid], walked.why[oid]
        return walked.unfounded(oid, self._hints.of_claim(oid, commit, walked.tip, why))

    def _refuse_unrecorded(self, report: Report) -> None:
        """Raise, with `strict`, for the first effect of which only its content says where it is.

        Raises:
            Failure: check 11.
        """
        settings = self._settings
        if settings.strict and not settings.relink and not report.is_recorded:
            first = next(one for one in report.relinked if not one.is_recorded)
            message = (
                f"effect {first.effect_commit[:12]} of {first.task_id} is carried by "
                f"{first.carried_by[:12]}, and the log does not say so yet"
            )
            raise Failure(11, message, hint=self._hints.of_move()).at(first.carried_by)

    def _refuse_lost(
        self,
        missing: dict[str, Closed],
        walks: Sequence[Walked],
        unexplained: Sequence[Unexplained],
        ways: WaysOut,
    ) -> None:
        """Raise for all effects that are on no branch; note what cannot be told here.

        Raises:
            Failure: check 11.
        """
        cut = next((walked for walked in walks if walked.is_cut), None)
        if missing and cut is not None and not unexplained:
            self._note(
                f"the history of '{cut.name}' that is here ends early (a shallow clone): "
                f"{len(missing)} commits to be found in it may lie beyond"
            )
            return
        lost: list[Closed] = []
        elsewhere: dict[str, str] = {}
        carried = {task_id for what in unexplained for task_id in what.tasks}
        for one in missing.values() if cut is None else ():
            remote = self._heads.not_fetched(one.branch)
            if one.task_id in carried:
                continue
            if remote is not None:
                elsewhere[one.branch] = f"; {bring_every_branch(remote)}, brings it"
            elif self._heads.is_empty:
                elsewhere[one.branch] = ""
            else:
                lost.append(one)
        if lost or unexplained:
            raise ways.failure(lost, unexplained, walks)
        for branch, how in elsewhere.items():
            self._note(
                f"the working branch '{branch}' is not here: effects were checked in the log{how}"
            )

    def _put_down(self, judged: Sequence[Walked], others: Sequence[Walked], report: Report) -> None:
        """Put into the report which branches were looked at, and where effects were found."""
        if judged:
            first = judged[0]
            report.branch, report.branch_commits = first.name, first.commits
            report.branch_tip = first.tip
        rest = [one for one in judged[1:] if one.found or one.held]
        rest += [one for one in others if one.found or one.held]
        report.other_tips = tuple(dict.fromkeys(one.tip for one in rest))

    def _place(self, judged: Sequence[Walked], closed: Sequence[Closed], report: Report) -> None:
        """Put into the report which effects the branch that it names is without.

        Raises:
            Failure: check 11, with `strict`, where there are any.
        """
        if not judged:
            return
        place, named = self._placement(report.relinked), judged[0]
        found, lost = place.elsewhere(named, closed)
        if lost is not None:
            message = f"no branch holds {lost[:12]}, which '{named.name}' was without before"
            raise Rewritten(11, message, hint=self._hints.of_move()).at(lost)
        report.elsewhere += found
        if self._settings.strict and report.elsewhere:
            raise refused(named.name, report.elsewhere)

    def _first_base(self, genesis: str | None) -> tuple[str, ...]:
        """Return the commit that the log began on; no effect of it can be older."""
        if genesis is None:
            return ()
        first = read_event_commit(self._repository.read, genesis).event
        return (first.payload.base,) if isinstance(first.payload, RunInit) else ()

    def _older(self) -> list[tuple[str, str]]:
        """Return the commits that speak of us and are older than the log."""
        read, (base,) = self._repository.read, self._base
        if base not in self._repository.odb:
            return []
        nodes = nodes_of(read, base, (), self._shallow)
        return [(oid, "older than the log") for oid, node in nodes.items() if node.speaks]

    # -- reachable is not present ---------------------------------------------------------------

    def _look_for_content(
        self, walked: Walked, closed: Sequence[Closed], report: Report, ways: WaysOut
    ) -> None:
        """List effects whose content is no longer at the tip; those that a merge lost are noted.

        From the verified point, only where a merge has come since: nothing else loses one.
        """
        nodes, is_whole, name = walked.nodes, not self._verified, walked.name
        has_merge = any(len(node.parents) > 1 for node in nodes.values())
        if walked.is_cut or not (is_whole or has_merge or self._settings.strict):
            return
        try:
            if not is_whole:
                nodes = nodes_of(self._repository.read, walked.tip, self._base, self._shallow)
            place = self._placement(report.relinked)
            carried = place.carried(nodes)
            found = gone_from(self._repository, walked.tip, nodes, carried) if carried else []
        except (MissingObject, DamagedObject) as error:
            self._note(f"whether '{name}' holds what its effects did is open: {error.message}")
            return
        found = [one for one in map(place.as_undone, found) if one not in report.gone]
        report.gone += found
        lost: dict[str, list[Gone]] = {}
        for one in found:
            if one.how == LOST and not place.is_let_go(one):
                lost.setdefault(one.by, []).append(one)
        for merge in [one for one in lost if one in self._settings.accept]:
            tasks = {one.task_id for one in lost.pop(merge)}
            report.relinked += let_go(merge, tasks, closed, self._settings.by)
        if lost:
            said, way = ways.of_merges(name, lost)
            self._note(f"{'; '.join(said)}; {way}")
