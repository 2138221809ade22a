"""What is lost is named at once: effects on no branch, what merges dropped, and the ways on.

Every way that is offered settles all of it in one command: what an admin has answered for already
is part of that command, so that no hint leads back to another. A merge is offered only where it
takes back nothing that a later effect did.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property

import pygit2

from esaa_git.core.state import Carrier, State
from esaa_git.store.objects import name_of
from esaa_git.store.repository import Repository
from esaa_git.verification.branch import Relinked, Unexplained, Walked, recorded
from esaa_git.verification.carrier import LOST as LET_GO
from esaa_git.verification.effects import Closed
from esaa_git.verification.failure import Failure
from esaa_git.verification.hints import LOOK, Hints
from esaa_git.verification.presence import Gone

_SHOWN = 10
_HEADS = 3
"""So many merges are offered at most; who lost more branches than that looks for them by hand."""


class WaysOut:
    """Says what an audit has lost, and what can be done.

    Args:
        closed: the effects that were looked for.
        tip: where the branch that is judged first ends.
        accepted: what an admin answers for in this audit already.
        hints: what the refs show.
    """

    def __init__(
        self,
        repository: Repository,
        state: State,
        closed: Sequence[Closed],
        *,
        tip: str | None,
        accepted: Collection[str],
        hints: Hints,
    ) -> None:
        self._repository = repository
        self._state = state
        self._closed = closed
        self._tip = tip
        self._accepted = accepted
        self._hints = hints

    def failure(
        self, lost: Sequence[Closed], unexplained: Sequence[Unexplained], walks: Sequence[Walked]
    ) -> Failure:
        """Return the failure that names effects that are lost, and commits that carry some and
        more."""
        lost = sorted(lost, key=lambda one: one.seq)
        accept = self._accepting([one.oid for one in unexplained], lost)
        if unexplained:
            first, *more = unexplained
            what = "; ".join([first.what, *(one.what for one in more[:_SHOWN])])
            if lost:
                what += f"; on no branch: {_named(lost)}"
            ways = [f"see 'git show {first.oid[:12]}'", *self._hints.of_amend(first.oid, self._tip)]
            it, who = _it(len(unexplained) + len(lost)), self._hints.admins
            ways += [*self._back(lost), f"{who} answers for {it} with '{accept}'"]
            hint = self._hints.newer or "; ".join(ways)
            return Failure(11, what, hint=hint).at(first.oid)
        first_lost, *others = lost
        what = f"it is not on the branch '{first_lost.branch}', nor on any other that is here"
        fetched = next((one.name for one in walks if first_lost.effect_commit in one.found), None)
        if fetched is not None:
            what = f"it is on '{fetched}' alone, and '{first_lost.branch}' is here without it"
        if others:
            what += f"; missing as well: {_named(others)}"
        who = self._hints.admins
        ways = [*self._back(lost), f"{who} gives {_it(len(lost))} up by '{accept}'"]
        if self._hints.newer is not None:
            ways.insert(0, self._hints.newer)
        elif not self._hints.is_looked:
            ways.insert(0, LOOK)
        return first_lost.locate(Failure(11, what, hint="; ".join(ways)))

    def of_merges(self, branch: str, lost: Mapping[str, Sequence[Gone]]) -> tuple[list[str], str]:
        """Return what merges have lost, in words, and the way on."""
        said = [_dropped(branch, merge, paths) for merge, paths in lost.items()]
        accept = self._accepting(lost, ())
        return said, f"bring it back, or have {self._hints.admins} run '{accept}'"

    def _accepting(self, commits: Collection[str], lost: Sequence[Closed]) -> str:
        named = [*self._accepted, *commits, *(one.effect_commit for one in lost)]
        accepts = " ".join(f"--accept {oid[:12]}" for oid in dict.fromkeys(named))
        return f"git esaa verify --relink --record {accepts}"

    # -- what brings them back ------------------------------------------------------------------

    def _back(self, lost: Sequence[Closed]) -> list[str]:
        """Return how effects that are here still come back, without undoing what came later."""
        left = [one for one in lost if one.effect_commit in self._repository.odb]
        ways: list[str] = []
        while left and len(ways) < _HEADS:
            head = left[-1].effect_commit
            back = [one for one in left if self._leads_to(head, one.effect_commit)]
            left = [one for one in left if one not in back]
            it = ", ".join(one.task_id for one in back[:_SHOWN])
            if len(back) == len(lost):
                it = _it(len(lost))
            short = head[:12]
            if self._undoes_nothing(head, lost):
                ways.append(f"'git merge {short}' brings {it} back")
            else:
                ways.append(f"'git branch kept-{short} {short}' keeps {it} on a branch of its own")
        return ways

    def _leads_to(self, head: str, oid: str) -> bool:
        ours, theirs = pygit2.Oid(hex=head), pygit2.Oid(hex=oid)
        return head == oid or self._repository.raw.descendant_of(ours, theirs)

    def _undoes_nothing(self, head: str, lost: Sequence[Closed]) -> bool:
        """Answer whether git merges this commit, and leaves what other effects did as it is."""
        if self._tip is None:
            return False
        raw = self._repository.raw
        try:
            index = self._repository.merge_commits(self._tip, head)
            tree = raw[self._tip].peel(pygit2.Tree)
            deltas = list(tree.diff_to_index(index).deltas)
        except (KeyError, pygit2.GitError):
            return False  # parts of it are not here
        if index.conflicts is not None:
            return False
        sides = (side for delta in deltas for side in (delta.old_file, delta.new_file))
        changed = {name_of(side.raw_path) for side in sides}
        tasks = {one.task_id for one in lost}
        return all(self._last_writer.get(path) in (None, *tasks) for path in changed)

    @cached_property
    def _last_writer(self) -> Mapping[str, str]:
        """The task of the last effect on each path."""
        found: dict[str, str] = {}
        for one in sorted(self._closed, key=lambda one: one.seq):
            result = self._state.tasks[one.task_id].result
            found |= dict.fromkeys(result.paths if result is not None else (), one.task_id)
        return found


def let_go(
    commit: str, tasks: Collection[str], closed: Sequence[Closed], by: str | None
) -> list[Relinked]:
    """Return what an admin has to record who lets a merge lose effects, or gives one up."""
    effects = [one for one in closed if one.task_id in tasks]
    carrier = Carrier(commit, tuple(one.task_id for one in effects), LET_GO, accepted_by=by)
    return [
        Relinked(one.seq, one.task_id, one.effect_commit, commit, LET_GO, False, carrier)
        for one in effects
    ]


def _dropped(branch: str, merge: str, paths: Sequence[Gone]) -> str:
    effects = dict.fromkeys(f"{one.effect_commit[:12]} of {one.task_id}" for one in paths)
    shown = ", ".join(f"'{one.path}'" for one in paths[:_SHOWN])
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    named = ", ".join(list(effects)[:_SHOWN])
    return f"merge {merge[:12]} lost on '{branch}' what effect {named} did: {shown}{more}"


def _named(lost: Sequence[Closed]) -> str:
    shown = ", ".join(f"{one.effect_commit[:12]} of {one.task_id}" for one in lost[:_SHOWN])
    more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
    return shown + more


def _it(count: int) -> str:
    return "it" if count == 1 else "them"


def let_go_of(
    missing: dict[str, Closed],
    carriers: Iterable[Carrier],
    accept: Collection[str],
    by: str | None,
) -> list[Relinked]:
    """Leave out of what is missing what an admin has given up, or gives up now, and return it."""
    given_up = {
        task_id: carrier
        for carrier in carriers
        if carrier.how == LET_GO
        for task_id in carrier.tasks
    }
    found: list[Relinked] = []
    for effect, one in list(missing.items()):
        if one.task_id in given_up:
            found.append(recorded(one, given_up[one.task_id]))
        elif effect in accept:
            found += let_go(effect, {one.task_id}, [one], by)
        else:
            continue
        missing.pop(effect)
    return found


def leave_out_undone(missing: dict[str, Closed], state: State) -> list[str]:
    """Leave out work that was undone, where its undo is on no branch either; say which."""
    said = []
    for effect, one in list(missing.items()):
        undo = state.undone.by(one.task_id)
        result = None if undo is None else state.tasks[undo.task_id].result
        if undo is None or result is None or result.effect_commit not in missing:
            continue
        said.append(f"{one.task_id} and its undo {undo.task_id} are on no branch any more")
        del missing[effect], missing[result.effect_commit]
    return said
