"""Two histories that parted: where they did, what becomes of a branch, and one move of all refs.

The log has one line, so a tail that lost the race leaves it (`esaa_git.engine.rebase` decides
it again). A branch may be merged, as long as no effect of such a tail is on it; where one is, the
commits that are only here are made anew on the branch of the other side, one by one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pygit2

from esaa_git.errors import ConflictError
from esaa_git.ports.branch import BranchMove, Checkouts, InTheWay
from esaa_git.ports.files import FileEntry
from esaa_git.ports.local import Followup
from esaa_git.ports.refs import RefMove, RefStore
from esaa_git.store.files import write_atomically
from esaa_git.store.journal import FileJournal
from esaa_git.store.objects import COMMIT, TREE, decode_commit, name_of
from esaa_git.store.position import contains, seq_of
from esaa_git.store.program import run_git
from esaa_git.store.refs import GitRefs
from esaa_git.store.repository import Repository
from esaa_git.verification.claims import ClaimJudge
from esaa_git.verification.effects import is_closing_effect
from esaa_git.verification.pins import mark_path, read_mark, write_mark

SUPERSEDED = "refs/esaa/superseded"


# -- one branch ---------------------------------------------------------------------------------


@dataclass
class BranchPlan:
    """One branch, here and on the other side, and where it goes on from.

    `picks` are the commits of people that are made anew on `start`; `order` is the place of each
    commit that is only here, effects included. `dropped` says what could not be made anew.
    """

    name: str
    local: str | None
    remote: str | None
    start: str | None
    picks: list[str] = field(default_factory=list)
    order: Mapping[str, int] = field(default_factory=dict)
    dropped: list[tuple[str, str]] = field(default_factory=list)
    merged: bool = False

    @property
    def ref(self) -> str:
        return f"refs/heads/{self.name}"

    def pick_before(
        self, repository: Repository, refs: RefStore, effect: str | None = None
    ) -> None:
        """Make people's commits anew: those before this effect, or all that are left.

        One that conflicts is left out and noted in `dropped`; the branch as it was is kept.
        """
        limit = len(self.order) if effect is None else self.order.get(effect, -1)
        while self.picks and self.order[self.picks[0]] < limit:
            commit = self.picks.pop(0)
            tip = refs.read(self.ref)
            assert tip is not None
            made = _pick(repository, commit, tip)
            if isinstance(made, str):
                refs.move([RefMove(self.ref, tip, made, "esaa: made anew")])
            else:
                self.dropped.append((commit, f"conflicts in {', '.join(made)}"))


def plan_branch(
    repository: Repository,
    name: str,
    local: str | None,
    remote: str | None,
    judge: ClaimJudge,
    stale: Collection[str],
) -> BranchPlan:
    """Return how a branch goes on.

    Args:
        judge: by the log of the other side, which knows an effect or not.
        stale: effect commits of the tail that is decided again.

    Raises:
        ConflictError: if the two do not merge.
    """
    plan = BranchPlan(name, local, remote, local if remote is None else remote)
    if local is None or local == remote or (remote is None and not stale):
        return plan
    only_here = _only_here(repository, local, remote)
    commits = {oid: decode_commit(repository.read(oid)[1]) for oid in only_here}
    unknown, kept = set(stale) & set(only_here), []
    for oid, commit in commits.items():
        if is_closing_effect(judge.state, oid, commit.message):
            kept.append(oid)
        elif not judge.standing(oid, commit).is_founded:
            unknown.add(oid)
    if not unknown:
        return _without_effects(repository, plan, local, remote)
    plan.order = {oid: place for place, oid in enumerate(only_here)}
    first = min(plan.order[oid] for oid in unknown)
    if kept or remote is None:
        # The log of the other side has effects that its branch has not: they are the beginning.
        plan.start = kept[-1] if kept else commits[only_here[first]].parents[0]
        if remote is not None and not contains(repository, plan.start, remote):
            raise ConflictError(
                f"'{name}' on the remote has commits beside effects that its log names",
                hint=f"bring the two together there first: merge {plan.start[:12]} into '{name}'",
            )
    done = plan.order[kept[-1]] if kept else (first - 1 if remote is None else -1)
    people = [oid for oid in only_here if oid not in unknown and plan.order[oid] > done]
    plan.picks = [oid for oid in people if len(commits[oid].parents) < 2]
    return plan


def _only_here(repository: Repository, local: str, remote: str | None) -> list[str]:
    """Return the commits that lead to `local` and not to `remote`, parents first."""
    hidden = [] if remote is None else [f"^{remote}"]
    listed = run_git(
        repository.git_dir, "rev-list", "--topo-order", "--reverse", local, *hidden, "--"
    )
    return listed.decode().split()


def _without_effects(
    repository: Repository, plan: BranchPlan, local: str, remote: str | None
) -> BranchPlan:
    """Return a plan that keeps every commit: one of the two, or a merge of both."""
    if remote is None or contains(repository, local, remote):
        plan.start = local
    elif not contains(repository, remote, local):
        plan.start = _merge(repository, plan.name, local, remote)
        plan.merged = True
    return plan


def _merge(repository: Repository, name: str, local: str, remote: str) -> str:
    raw = repository.raw
    index = repository.merge_commits(local, remote)
    if index.conflicts is not None:
        raise ConflictError(
            f"'{name}' has diverged from the remote, and the two do not merge",
            cause=f"in {', '.join(_conflicting(index))}",
            hint=f"run 'git merge {remote[:12]}' on '{name}', resolve, and repeat",
        )
    who = raw.default_signature
    parents = [pygit2.Oid(hex=local), pygit2.Oid(hex=remote)]
    message = f"Merge remote branch '{name}'\n"
    return str(raw.create_commit(None, who, who, message, index.write_tree(raw), parents))


def _pick(repository: Repository, commit: str, onto: str) -> str | list[str]:
    """Return a person's commit made anew on another parent, or the paths that conflict.

    Author, committer, dates and message stay; a signature covers the parent, and goes.
    """
    raw = repository.raw
    found = decode_commit(repository.read(commit)[1])
    tree = decode_commit(repository.read(onto)[1]).tree
    before = repository.put(TREE, b"")
    if found.parents:
        before = decode_commit(repository.read(found.parents[0])[1]).tree
    ancestor, ours, theirs = (raw[oid].peel(pygit2.Tree) for oid in (before, tree, found.tree))
    index = repository.merge_trees(ancestor, ours, theirs)
    if index.conflicts is not None:
        return _conflicting(index)
    made = str(index.write_tree(raw))
    if made == tree:
        return onto  # it is there already
    lines = [b"tree " + made.encode(), b"parent " + onto.encode()]
    lines += [b"author " + found.author, b"committer " + found.committer]
    lines += [line for line in found.headers if line.startswith(b"encoding ")]
    return repository.put(COMMIT, b"\n".join(lines) + b"\n\n" + found.message)


def _conflicting(index: pygit2.Index) -> list[str]:
    found = {side.path for sides in index.conflicts for side in sides if side is not None}
    return sorted(found)[:10]


# -- moving -------------------------------------------------------------------------------------


def apply(
    repository: Repository,
    checkouts: Checkouts,
    log: tuple[str | None, str],
    branches: Sequence[tuple[str, str | None, str]],
    *,
    common: str | None = None,
    keep: Mapping[str, str] | None = None,
    message: str,
) -> list[InTheWay]:
    """Move the log and branches to where they go on, and bring checkouts after them.

    All refs move or none, after everything that could refuse has been asked. What the refs named
    before and name no more is kept first.

    Args:
        log: where the log is, and where it goes.
        branches: name, where it is (None: nowhere yet) and where it goes.
        common: the last event of the old log that is in the new one, where it is not its tip.
        keep: refs to be made, which keep what goes out of reach.

    Returns:
        What of the checkouts was left alone after all, because a person was faster.

    Raises:
        ConflictError: if uncommitted work is in the way, or a ref moved meanwhile.
    """
    refs = GitRefs(repository)
    moving = [(name, old, new) for name, old, new in branches if old != new]
    changes = {name: _changes(repository, old, new) for name, old, new in moving if old is not None}
    for name, old, _ in moving:
        in_the_way = [] if old is None else checkouts.in_the_way(name, old, changes[name])
        if in_the_way:
            named = ", ".join(f"'{path.path}'" for path in in_the_way[:5])
            raise ConflictError(
                f"your uncommitted work is in the way at {named}",
                cause=f"'{name}' is to move, and these would be overwritten",
                hint=f"{checkouts.way_out(name, in_the_way)}, then repeat the command",
            )
    for ref, oid in (keep or {}).items():
        found = refs.read(ref)
        if found != oid:
            refs.move([RefMove(ref, found, oid, message)])
    if common is not None:
        _rewind_mark(repository, common, {name: new for name, _, new in moving})
    moves = [RefMove(repository.events_ref, log[0], log[1], message)] if log[0] != log[1] else []
    moves += [RefMove(f"refs/heads/{name}", old, new, message) for name, old, new in moving]
    if not moves:
        return []
    followed = [(name, old, new) for name, old, new in moving if old is not None]
    journal = FileJournal(repository)
    if followed:
        name, old, new = followed[0]
        paths = sorted(changes[name])
        journal.write(Followup(log[1], BranchMove(name, old, new), "", paths))
        checkouts.lock(name)
    try:
        try:
            refs.move(moves)
        except ConflictError:
            if followed:
                journal.clear()
            raise
        left = []
        for name, old, new in followed:
            try:
                left += checkouts.follow(name, str(old), new, sorted(changes[name]))
            except ConflictError:
                journal.pause()
                raise
    finally:
        checkouts.unlock()
    if followed:
        journal.clear()
    return left


def _changes(repository: Repository, old: str, new: str) -> dict[str, FileEntry | None]:
    """Return what every path that differs between two commits becomes."""
    arguments = ("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", old, new)
    words = run_git(repository.git_dir, *arguments).split(b"\0")
    found: dict[str, FileEntry | None] = {}
    for what, path in zip(words[::2], words[1::2], strict=False):
        _, mode, _, oid, _ = what.decode().split(" ")
        name = name_of(path)
        found[name] = None if mode == "000000" else FileEntry(mode, oid)
    return found


def _rewind_mark(repository: Repository, common: str, branches: Mapping[str, str]) -> None:
    """Have the last verified point where the new log still has it, before the old one goes."""
    path = mark_path(repository)
    mark = read_mark(repository, path)
    if mark is None:
        return
    seq = seq_of(repository, common)
    changed = mark
    if mark.seq > seq:
        changed = replace(mark, tip=common, seq=seq)
    new = branches.get(mark.branch or "")
    seen = mark.branch_tip
    if new is not None and seen is not None and not contains(repository, new, seen):
        changed = replace(changed, branch=None, branch_tip=None)
    if changed != mark:
        write_mark(repository, path, changed)


def keep_report(repository: Repository, tip: str, document: Mapping[str, Any]) -> str:
    """Write down what became of a superseded tail, beside the refs that keep it."""
    path = repository.esaa_dir / "superseded" / f"{tip}.json"
    write_atomically(path, json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n")
    return str(path)
