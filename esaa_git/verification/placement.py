"""Which branch holds which effect: those that the branch named in a report is without.

That a branch somewhere holds an effect is enough for check 11, and not for saying that another one
matches the log. What was so at the verified point is looked at again from there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from esaa_git.store.repository import Repository
from esaa_git.store.trailers import speaks_of_us
from esaa_git.verification.branch import Node, Relinked, Walked, history_of, nodes_of
from esaa_git.verification.carrier import LOST as LET_GO
from esaa_git.verification.claims import ClaimJudge
from esaa_git.verification.effects import Closed
from esaa_git.verification.failure import Failure
from esaa_git.verification.heads import Heads
from esaa_git.verification.pins import Mark
from esaa_git.verification.presence import UNDONE, Carried, Gone
from esaa_git.verification.relink import Relinker

MERGE = (
    "merge that branch, or bring back what was taken away; where its work is not finished yet, "
    "verify without --strict"
)


class Placement:
    """Tells where the effects of one log are.

    Args:
        since: the verified point from which the log was checked.
        relinked: effects that were found in other commits than their own.
    """

    def __init__(
        self,
        repository: Repository,
        heads: Heads,
        judge: ClaimJudge,
        shallow: Collection[str],
        since: Mark | None,
        relinked: Sequence[Relinked],
    ) -> None:
        self._repository = repository
        self._heads = heads
        self._judge = judge
        self._shallow = shallow
        self._since = since
        self._carriers: dict[str, set[str]] = {}
        self._let_go: set[str] = set()
        for carrier in judge.carriers.values():
            for name in carrier.tasks:
                if carrier.how == LET_GO:
                    self._let_go.add(name)
                else:
                    self._carriers.setdefault(name, set()).add(carrier.commit)
        for one in relinked:
            if one.how == LET_GO:
                self._let_go.add(one.task_id)
            else:
                self._carriers.setdefault(one.task_id, set()).add(one.carried_by)

    def carried(self, nodes: Mapping[str, Node]) -> list[Carried]:
        """Return each effect of the log that this history holds, and in which commit."""
        found = []
        for task in self._judge.state.tasks.values():
            result = task.result
            if result is None or result.effect_commit is None:
                continue
            commit = self._where(result.effect_commit, task.task_id, nodes)
            if commit is not None:
                found.append(Carried(task.task_id, result.effect_commit, commit, result.paths))
        return found

    def as_undone(self, gone: Gone) -> Gone:
        """Return what is not at the tip, as undone where the log says that its task was."""
        undo = self._judge.state.undone.by(gone.task_id)
        return gone if undo is None else replace(gone, how=UNDONE, by=undo.task_id)

    def is_let_go(self, gone: Gone) -> bool:
        """Answer whether an admin answers for it that a merge lost this."""
        carrier = self._judge.carriers.get(gone.by)
        return carrier is not None and carrier.how == LET_GO and gone.task_id in carrier.tasks

    def elsewhere(
        self, named: Walked, closed: Iterable[Closed]
    ) -> tuple[list[tuple[str, str, str]], str | None]:
        """Return the effects that other branches hold and this one does not.

        Nothing is said where the history of this one is cut: they may lie beyond.

        Returns:
            Each with the branch and its task; and the first that another branch held at the
            verified point, and none does any more.
        """
        wanted = {
            effect: task_id
            for effect, task_id in self._in_question(named, closed).items()
            if effect not in named.found and task_id not in self._let_go
        }
        found: dict[str, str] = {}
        if not wanted or named.is_cut:
            return [], None
        nodes = self._nodes(named.tip)
        if not nodes.keys().isdisjoint(self._shallow):
            return [], None
        left = self._without(wanted, nodes)
        copied = self._copied(named.tip, left)
        left = {oid: task_id for oid, task_id in left.items() if oid not in copied}
        for name, tip in sorted(self._heads.tips.items()):
            if not left:
                break
            rest = self._without(left, self._nodes(tip))
            found |= dict.fromkeys(left.keys() - rest.keys(), name)
            left = rest
        before = () if self._since is None else self._since.elsewhere
        lost = next((oid for _, oid, _ in before if oid in left), None)
        return [(found[oid], oid, task_id) for oid, task_id in wanted.items() if oid in found], lost

    def _in_question(self, named: Walked, closed: Iterable[Closed]) -> dict[str, str]:
        """Return the effects that this branch may be without, each with its task.

        Those are all that were checked now, and from the verified point those that it was without
        then; where it does not lead on from what was verified, all that the log has.
        """
        asked = {one.effect_commit: one.task_id for one in closed}
        since = self._since
        if since is None:
            return asked
        before = {effect: task_id for _, effect, task_id in since.elsewhere}
        if since.branch_tip is None or since.branch_tip not in named.held:
            for task in self._judge.state.tasks.values():
                if task.result is not None and task.result.effect_commit is not None:
                    before[task.result.effect_commit] = task.task_id
        return {**before, **asked}

    def _without(self, effects: Mapping[str, str], nodes: Mapping[str, Node]) -> dict[str, str]:
        return {
            oid: task_id
            for oid, task_id in effects.items()
            if self._where(oid, task_id, nodes) is None
        }

    def _where(self, effect: str, task_id: str, nodes: Mapping[str, Node]) -> str | None:
        """Return the commit of this history that holds an effect."""
        if effect in nodes:
            return effect
        return next((one for one in self._carriers.get(task_id, ()) if one in nodes), None)

    def _copied(self, tip: str, effects: Mapping[str, str]) -> set[str]:
        """Return the effects that a commit which claims nothing carries to this tip exactly."""
        logged = self._judge.effects(tuple(effects.values()))
        closed = [one.closed for one in logged if one.closed.effect_commit in effects]
        here = [one for one in closed if one.effect_commit in self._repository.odb]
        if not here:
            return set()
        # What was there before the first of them was made carries none.
        first = min(here, key=lambda one: one.seq).effect_commit
        history = history_of(self._repository.read, tip, (first,), self._shallow)
        silent = [one for one in history if not speaks_of_us(one[1].payload)]
        relinker = Relinker(self._repository, here, carriers=self._judge.carriers)
        found, _ = relinker(here, {}, tip, silent)
        return {one.effect_commit for one in found}

    def _nodes(self, tip: str) -> dict[str, Node]:
        return nodes_of(self._repository.read, tip, (), self._shallow)


def said(branch: str, elsewhere: Sequence[tuple[str, str, str]]) -> str:
    """Say that a branch is without effects, and which branches have them."""
    names = list(dict.fromkeys(name for name, _, _ in elsewhere))
    shown = ", ".join(f"'{name}'" for name in names)
    count = "1 effect is" if len(elsewhere) == 1 else f"{len(elsewhere)} effects are"
    return f"{count} not on '{branch}', but on {shown}"


def refused(branch: str, elsewhere: Sequence[tuple[str, str, str]]) -> Failure:
    """Return the failure that this is where nothing is only noted."""
    _, effect, task_id = elsewhere[0]
    message = f"{said(branch, elsewhere)} (first {effect[:12]} of {task_id})"
    return Failure(11, message, hint=MERGE).at(effect)
