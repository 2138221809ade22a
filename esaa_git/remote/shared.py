"""The shared log of workers: a remote that events are pushed to before they count here.

A push without force takes only what continues the log as it is on the remote at that moment, so
it is a compare-and-swap that needs nothing there but git. The way back is forward only: what the
remote has is fetched, verified, and followed. Where log or branch here hold what the remote has
not, nothing moves, and a person brings the two together by `git esaa sync`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from esaa_git.errors import ConflictError
from esaa_git.ports.branch import Checkouts
from esaa_git.ports.log import ProposalRef
from esaa_git.remote.incoming import Incoming
from esaa_git.remote.reconcile import apply
from esaa_git.remote.remote import Remote
from esaa_git.store.position import contains
from esaa_git.store.repository import Repository
from esaa_git.store.tip import load_tip

TRIES = 5
"""How often catching up begins again because another process here was faster."""


class SharedRemote:
    """`ports.SharedLog` on a remote.

    Args:
        say: tells a person what was left alone in a checkout.
        admit: gives what waits in the remote's inbox its place, and returns what is there then.
    """

    def __init__(
        self,
        repository: Repository,
        name: str,
        checkouts: Checkouts,
        say: Callable[[str], None],
        admit: Callable[[Remote, Incoming], Incoming],
    ) -> None:
        self.name = name
        self._admit = admit
        self._checkouts = checkouts
        self._repository = repository
        self._remote = Remote(repository, name, stall=True)
        self._say = say
        self._is_behind = False

    def publish(
        self,
        tip: str,
        branch: str,
        branch_tip: str | None,
        proposals: Sequence[ProposalRef] = (),
    ) -> None:
        try:
            self._remote.publish(tip, branch, branch_tip, proposals)
        except ConflictError:
            self._is_behind = True  # no need to ask again
            raise

    def catch_up(self) -> bool:
        for attempt in range(1, TRIES + 1):
            before = self._own()
            try:
                return self._follow()
            except ConflictError:
                if attempt == TRIES or self._own() == before:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    def require_shared(self) -> None:
        """Refuse to begin where events here are not on the remote yet.

        Raises:
            ConflictError: naming the command that shares them.
        """
        local, _ = self._own()
        theirs = self._remote.ask(self._remote.log_ref).get(self._remote.log_ref)
        if local is not None and local != theirs and self._has(local, theirs):
            raise ConflictError(
                f"the log here has events that '{self.name}' has not",
                cause="a worker records nothing that is not there first",
                hint=f"run 'git esaa push {self.name}', then repeat the command",
            )

    def _own(self) -> tuple[str | None, str | None]:
        """Return where the log and its working branch are here."""
        local = self._repository.ref_target(self._remote.log_ref)
        branch = self._branch(local)
        return local, None if branch is None else self._repository.ref_target(_ref(branch))

    def _branch(self, log: str | None) -> str | None:
        return None if log is None else load_tip(self._repository, log).state.run.branch

    def _follow(self) -> bool:
        """Go forward once; answer whether anything was new."""
        remote = self._remote
        local, own = self._own()
        is_behind, self._is_behind = self._is_behind and local is not None, False
        if is_behind:
            return self._go_forward(str(local), self._admit(remote, remote.take_in()))
        ref = _ref(self._branch(local) or "")
        there, waits = remote.ask_inbox(remote.log_ref, ref)
        theirs = there.get(remote.log_ref)
        if theirs is None:
            last = remote.last_seen()
            if last is None and local is None:
                return False
            remote.refuse_missing(last)
        if local is None:
            return False  # there is nothing to go forward from: `app.sync.take_shared`
        if not waits and self._has(local, theirs) and self._has(own, there.get(ref)):
            last = remote.last_seen()
            if theirs != local and last is not None:
                remote.check_last_seen(theirs, last)
            return False
        return self._go_forward(local, self._admit(remote, remote.take_in()))

    def _has(self, own: str | None, theirs: str | None) -> bool:
        """Answer whether what is here is, or goes on from, what is there."""
        if theirs is None or own == theirs:
            return True
        here = self._repository
        return own is not None and theirs in here.odb and contains(here, own, theirs)

    def _go_forward(self, local: str, incoming: Incoming) -> bool:
        if incoming.common not in (local, incoming.tip):
            raise self._diverged("the log", "events")
        target = local if incoming.common == incoming.tip else incoming.tip
        branches = {self._branch(local), incoming.state.run.branch} - {None}
        moves = []
        for name in sorted(map(str, branches)):
            own, theirs = self._repository.ref_target(_ref(name)), self._remote.branch_tip(name)
            if theirs is None or self._has(own, theirs):
                continue
            if own is not None and not contains(self._repository, theirs, own):
                raise self._diverged(f"'{name}'", "commits")
            moves.append((name, own, theirs))
        if target == local and not moves:
            return False
        message = f"esaa: from {self.name}"
        left = apply(self._repository, self._checkouts, (local, target), moves, message=message)
        for path in left:
            self._say(f"left alone: '{path.path}' in {path.worktree} ({path.reason})")
        return True

    def _diverged(self, what: str, holds: str) -> ConflictError:
        return ConflictError(
            f"{what} here and on '{self.name}' have gone different ways",
            cause=f"each has {holds} that the other has not",
            hint=f"run 'git esaa sync {self.name}', then repeat the command",
        )


def _ref(branch: str) -> str:
    return f"refs/heads/{branch}"
