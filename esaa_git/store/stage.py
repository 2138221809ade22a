"""A stage: log and branches that move in memory, over the repository's own objects.

What is decided here is real but for one thing: no ref names it. `sync` decides a tail of the log
again on the stage, and moves the refs once, when everything is known. Where it is given up,
nothing but unreachable objects is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from esaa_git.errors import ConflictError
from esaa_git.ports.branch import BranchMove, InTheWay
from esaa_git.ports.files import FileEntry
from esaa_git.ports.local import Followup
from esaa_git.store.branch import GitWorkingBranch
from esaa_git.store.log import GitEventLog, GitLogTransaction, LoadedTip
from esaa_git.store.objects import ObjectSink
from esaa_git.store.repository import GuardedRepository, Repository
from esaa_git.store.trees import GitTrees


class Stage(GuardedRepository):
    """A repository, some of whose refs are elsewhere than on disk."""

    def __init__(self, repository: Repository, refs: Mapping[str, str | None]) -> None:
        super().__init__(repository.raw)
        self.refs: dict[str, str | None] = dict(refs)

    def ref_target(self, name: str) -> str | None:
        return self.refs[name] if name in self.refs else super().ref_target(name)

    def move(self, name: str, old: str | None, new: str) -> None:
        """Move a ref on the stage.

        Raises:
            ConflictError: if it is not where the move begins.
        """
        if self.ref_target(name) != old:
            raise ConflictError(f"'{name}' moved while it was decided again")
        self.refs[name] = new


class StagedLog(GitEventLog):
    """The event log on a stage, signed with the keys of the one that it stands for."""

    def __init__(self, stage: Stage, log: GitEventLog) -> None:
        vars(self).update(vars(log))
        self.repository = self._stage = stage
        self._loaded = self._trusted = None

    def begin(
        self, *, log_id: str | None = None, sink: ObjectSink | None = None
    ) -> GitLogTransaction:
        return _StagedTransaction(self._stage, super().begin(log_id=log_id, sink=sink))


class _StagedTransaction(GitLogTransaction):
    """A transaction whose refs move on the stage."""

    def __init__(self, stage: Stage, begun: GitLogTransaction) -> None:
        vars(self).update(vars(begun))
        self._stage = stage

    def commit(self, branch: BranchMove | None = None) -> None:
        last: LoadedTip | None = self._last
        if last is None:
            return
        self._stage.move(
            self._log.ref, None if self._start is None else self._start.tip.commit, last.tip.commit
        )
        if branch is not None:
            self._stage.move(f"refs/heads/{branch.branch}", branch.old, branch.new)
        self._log.moved(last)


class StagedBranch(GitWorkingBranch):
    """The working branches on a stage, which nobody has checked out."""

    def __init__(self, stage: Stage, trees: GitTrees) -> None:
        super().__init__(stage, trees)
        self._stage = stage

    def move(self, move: BranchMove, message: str) -> None:
        self._stage.move(f"refs/heads/{move.branch}", move.old, move.new)

    def in_the_way(
        self, branch: str, commit: str, changes: Mapping[str, FileEntry | None]
    ) -> list[InTheWay]:
        return []

    def uncommitted(self, branch: str, below: Sequence[str]) -> list[str]:
        return []

    def hold(self, branch: str) -> None:
        pass

    def let_go(self) -> None:
        pass

    def follow(self, branch: str, old: str, new: str, paths: Sequence[str]) -> list[InTheWay]:
        return []


class NoJournal:
    """Remembers nothing: what happens on a stage needs no recovery."""

    def write(self, followup: Followup) -> None:
        pass

    def read(self) -> Followup | None:
        return None

    def clear(self) -> None:
        pass

    def pause(self) -> None:
        pass
