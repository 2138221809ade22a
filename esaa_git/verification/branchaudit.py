"""Check 11 of a whole audit: the effects of the log, on each branch that a run worked on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from esaa_git.core.events import RunInit
from esaa_git.core.state import Carrier
from esaa_git.ports.refs import RefStore
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.repository import DamagedObject, MissingObject, Repository
from esaa_git.verification.branch import Node, Relinked, Walked, check_branch, nodes_of
from esaa_git.verification.carrier import LOST as LET_GO
from esaa_git.verification.claims import ClaimJudge
from esaa_git.verification.effects import Closed
from esaa_git.verification.failure import Failure
from esaa_git.verification.pins import Mark
from esaa_git.verification.presence import LOST, Carried, Gone, gone_from
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


class BranchAudit:
    """Looks for the effects of one log on its branches.

    Args:
        since: the verified point from which the log was checked.
        genesis: its first commit, where it is here.
        failures: what is wrong with effect commits themselves; those that are gone have a hint.
        note: takes what is to be said, and raises where that is a failure.
    """

    def __init__(
        self,
        repository: Repository,
        refs: RefStore,
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
        self._refs = refs
        self._settings = settings
        self._judge = judge
        self._shallow = shallow
        self._since = since
        self._failures = failures
        self._note = note
        self._base = self._first_base(genesis)

    def check(self, closed: Sequence[Closed], report: Report) -> None:
        """Check 11: every effect is on the branch that its run worked on, and nothing poses as one.

        Args:
            closed: the effects that the checked events name, in the order of the log.

        Raises:
            Failure: check 11.
        """
        explain = None
        if self._settings.relink:
            explain = Relinker(
                self._repository, closed, accept=self._settings.accept, by=self._settings.by
            )
        if explain is None and not self._judge.carriers:
            self._refuse_effects(())
        current = self._judge.state.run.branch
        names = {one.branch for one in closed} | ({current} if current is not None else set())
        walks: list[tuple[str, Walked]] = []
        for name in sorted(names, key=lambda name: (name != current, name)):
            of_branch = [one for one in closed if one.branch == name]
            walked = self._check_branch(name, of_branch, explain)
            if walked is None:
                continue
            walks.append((name, walked))
            report.relinked += walked.relinked
            report.foreign += walked.foreign
            if name == current:
                report.branch, report.branch_commits = name, walked.commits
                report.branch_tip = walked.tip
        self._refuse_effects({one.effect_commit for one in report.relinked})
        if self._settings.full and self._base:
            report.foreign += self._older()
        for name, walked in walks:
            self._look_for_content(name, walked, closed, report)

    def _refuse_effects(self, carried: Collection[str]) -> None:
        """Raise the first failure of an effect commit, but for those that are gone and carried."""
        failures = [one for one in self._failures if one.hint is None or one.oid not in carried]
        if failures:
            raise min(failures, key=lambda failure: failure.seq or 0)

    def _check_branch(
        self, name: str, closed: list[Closed], explain: Relinker | None
    ) -> Walked | None:
        tip = self._refs.read(f"refs/heads/{name}")
        if tip is None:
            self._note(f"the working branch '{name}' is not here: effects were checked in the log")
            return None
        walked = check_branch(
            self._repository.read,
            tip,
            closed,
            standing=self._judge.standing,
            seen=self._base,
            verified=self._verified(name),
            shallow=self._shallow,
            explain=explain,
        )
        if walked.unjudged:
            self._note(
                f"whether {walked.unjudged[0][:12]} on '{name}' carries what the log says could "
                "not be checked: its parent is not here (a shallow clone); 'git fetch --unshallow' "
                "fetches it"
            )
        if walked.beyond:
            self._note(
                f"the history of '{name}' that is here ends early (a shallow clone): "
                f"{len(walked.beyond)} commits to be found in it may lie beyond"
            )
        return walked

    def _verified(self, name: str) -> str | None:
        since = self._since
        return since.branch_tip if since is not None and since.branch == name else None

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
        self, name: str, walked: Walked, closed: Sequence[Closed], report: Report
    ) -> None:
        """List effects whose content is no longer at the tip; those that a merge lost are noted.

        From the verified point, only where a merge has come since: nothing else loses one.
        """
        nodes, is_whole = walked.nodes, self._verified(name) is None
        has_merge = any(len(node.parents) > 1 for node in nodes.values())
        if walked.is_cut or not (is_whole or has_merge or self._settings.strict):
            return
        try:
            if not is_whole:
                nodes = nodes_of(self._repository.read, walked.tip, self._base, self._shallow)
            carried = self._carried(nodes, report.relinked)
            found = gone_from(self._repository, walked.tip, nodes, carried) if carried else []
        except (MissingObject, DamagedObject) as error:
            self._note(f"whether '{name}' holds what its effects did is open: {error.message}")
            return
        report.gone += found
        lost: dict[str, list[Gone]] = {}
        for one in found:
            if one.how == LOST and not self._is_let_go(one):
                lost.setdefault(one.by, []).append(one)
        for merge, paths in lost.items():
            if merge in self._settings.accept:
                report.relinked += _let_go(merge, paths, closed, self._settings.by)
                continue
            self._note(_lost(name, merge, paths))

    def _carried(self, nodes: dict[str, Node], relinked: Sequence[Relinked]) -> list[Carried]:
        """Return each effect of the log that this branch holds, and in which commit."""
        carriers = {one.effect_commit: one.carried_by for one in relinked}
        by_task = {
            name: carrier.commit
            for carrier in self._judge.carriers.values()
            if carrier.how != LET_GO and carrier.commit in nodes
            for name in carrier.tasks
        }
        found = []
        for task in self._judge.state.tasks.values():
            result = task.result
            if result is None or result.effect_commit is None:
                continue
            commit = result.effect_commit
            if commit not in nodes:
                commit = carriers.get(commit) or by_task.get(task.task_id) or commit
            if commit in nodes:
                found.append(Carried(task.task_id, result.effect_commit, commit, result.paths))
        return found

    def _is_let_go(self, gone: Gone) -> bool:
        carrier = self._judge.carriers.get(gone.by)
        return carrier is not None and carrier.how == LET_GO and gone.task_id in carrier.tasks


def _lost(name: str, merge: str, paths: Sequence[Gone]) -> str:
    effects = dict.fromkeys(f"{one.effect_commit[:12]} of {one.task_id}" for one in paths)
    shown = ", ".join(f"'{one.path}'" for one in paths[:10])
    more = f" and {len(paths) - 10} more" if len(paths) > 10 else ""
    return (
        f"merge {merge[:12]} lost on '{name}' what effect {', '.join(list(effects)[:10])} did: "
        f"{shown}{more}; bring it back, or have an admin run 'git esaa verify --relink --record "
        f"--accept {merge[:12]}'"
    )


def _let_go(
    merge: str, paths: Sequence[Gone], closed: Sequence[Closed], by: str | None
) -> list[Relinked]:
    """Return what an admin who lets a merge lose effects has to record."""
    tasks = {one.task_id for one in paths}
    effects = [one for one in closed if one.task_id in tasks]
    carrier = Carrier(merge, tuple(one.task_id for one in effects), LET_GO, accepted_by=by)
    return [
        Relinked(one.seq, one.task_id, one.effect_commit, merge, LET_GO, False, carrier)
        for one in effects
    ]
