"""One remote: what it is told to give and take, what it was seen with, and what it is believed.

A fetched log is kept under `refs/esaa/remotes/NAME/events` and verified before the local log
moves. The pin (`.git/esaa/remotes/NAME.json`) remembers which log the remote had and how far: a
log that does not contain that was rolled back, forked or replaced, and a missing one is not an
empty one. No refspec of ours has a `+`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import takewhile
from typing import NoReturn
from urllib.parse import quote

from esaa_git.core import refnames
from esaa_git.errors import (
    ConflictError,
    CorruptedError,
    MismatchError,
    NoLog,
    RemoteUnreachable,
    RepositoryError,
    UsageError,
)
from esaa_git.faults import Point, reach
from esaa_git.ports.log import ProposalRef
from esaa_git.ports.refs import RefMove
from esaa_git.remote.inbox import FetchedInbox
from esaa_git.remote.incoming import Incoming, Judge, LastSeen, Progress, check_last_seen, silent
from esaa_git.remote.named import is_plain, names
from esaa_git.remote.parts import Branch, of_earlier_runs, send_in_parts
from esaa_git.remote.records import Records, forget
from esaa_git.remote.refspecs import Refspecs
from esaa_git.remote.refusal import ambiguous, mistaken, refusal, rejections
from esaa_git.remote.standing import Standing
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.person_hooks import ask_pre_push
from esaa_git.store.position import common_event, contains, genesis_of, walk_back
from esaa_git.store.program import GitFailed
from esaa_git.store.refs import GitRefs
from esaa_git.store.repository import Repository
from esaa_git.store.tip import load_tip
from esaa_git.store.turns import alone
from esaa_git.verification.claims import ClaimJudge
from esaa_git.verification.pins import Mark, mark_path, read_mark, write_mark

ASK_SECONDS = 20
"""How long a remote may take that is only asked in passing."""

STALL_SECONDS = 30
"""How long a connection over HTTP may stand still before a worker takes it for broken."""

_HEADS = "refs/heads/"


class Remote:
    """A remote that git knows under a name.

    Args:
        stall: give up a connection over HTTP that has stood still for `STALL_SECONDS`.
    """

    def __init__(
        self,
        repository: Repository,
        name: str,
        *,
        stall: bool = False,
        in_passing: bool = False,
    ) -> None:
        if name not in names(repository):
            raise UsageError(
                f"there is no remote '{name}'",
                hint=f"run 'git remote add {name if is_plain(name) else 'NAME'} URL' first",
            )
        self.name = name
        self._repository = repository
        self._refs = GitRefs(repository)
        self._env: dict[str, str] = {}
        if stall:  # git-config(1), http.lowSpeedLimit
            self._env["GIT_HTTP_LOW_SPEED_LIMIT"] = "1"
            self._env["GIT_HTTP_LOW_SPEED_TIME"] = str(STALL_SECONDS)
        if in_passing:  # git(1): no terminal is asked for a name or a password
            self._env["GIT_TERMINAL_PROMPT"] = "0"
        self.log_ref = repository.events_ref
        self.tracking = f"refs/esaa/remotes/{name}/events"
        self._arrivals = f"refs/esaa/incoming/{name}/"
        self._incoming = self._arrivals + "events"
        self._records = Records(repository, name)
        self.inbox = FetchedInbox(repository, name)
        self._fetched = Refspecs(repository, name, self.log_ref, self.tracking)
        self.left: list[str] = []
        """What the last push has left out, and why, in words."""
        self.pin_path = repository.esaa_dir / "remotes" / f"{quote(name, safe='')}.json"

    # -- setting up -----------------------------------------------------------------------------

    def setup(self) -> list[str]:
        """Have git fetch the log and checkpoints, never over what is here; say what was changed.

        Raises:
            ConfigurationError: if a refspec that is not ours would overwrite the log.
        """
        below = f"refs/esaa/remotes/{self.name}/"
        return self._fetched.set_up(self._records.refspecs(below))

    @property
    def is_set_up(self) -> bool:
        return self._fetched.has_log

    # -- asking ---------------------------------------------------------------------------------

    def ask(self, *refs: str, timeout: float | None = None) -> dict[str, str]:
        """Return where the remote has these refs; those that it has not are left out.

        Raises:
            RepositoryError: if it cannot be asked.
        """
        listed = self._listed(*refs, timeout=timeout)
        return {ref: oid for ref, oid in listed.items() if ref in refs}

    def _listed(self, *refs: str, timeout: float | None = None) -> dict[str, str]:
        """Return the refs of the remote whose names end so: `refs/x/refs/heads/main` as well."""
        try:
            listed = self._git("ls-remote", "--refs", "--", self.name, *refs, timeout=timeout)
        except RepositoryError as error:
            raise self._unreachable(error) from error
        lines = (line.partition("\t") for line in listed.decode("utf-8", "replace").splitlines())
        return {ref: oid for oid, _, ref in lines}

    def ask_inbox(self, *refs: str, timeout: float | None = None) -> tuple[dict[str, str], bool]:
        """Return as `ask` does, and whether the inbox there is another than was fetched last.

        Raises:
            RepositoryError: if it cannot be asked.
        """
        listed = self._listed(*refs, f"{self.inbox.there}*", timeout=timeout)
        there = {ref: oid for ref, oid in listed.items() if ref in refs}
        return there, self.inbox.is_news(listed)

    def has_log(self, timeout: float | None = None) -> bool:
        """Answer whether the remote has a log now."""
        return self.log_ref in self.ask(self.log_ref, timeout=timeout)

    # -- the pin --------------------------------------------------------------------------------

    def last_seen(self) -> LastSeen | None:
        """Return what the remote was last seen with.

        Raises:
            RepositoryError: if the file is there and cannot be read.
        """
        return read_mark(self._repository, self.pin_path)

    def _remember_fetched(self, incoming: Incoming) -> None:
        seen = Mark(
            incoming.log_id,
            incoming.genesis,
            incoming.tip,
            incoming.seq,
            incoming.branch,
            incoming.branch_tip,
            None if incoming.mark is None else incoming.mark.boundary,
            elsewhere=incoming.elsewhere,
        )
        self._remember(seen)

    def _remember_pushed(self, tip: str, branch: str | None, branch_tip: str | None) -> None:
        found = read_event_commit(self._repository.read, tip)
        known = self.last_seen() or read_mark(self._repository, mark_path(self._repository))
        first = None if known is None else known.genesis
        if first is None:
            first = genesis_of(self._repository, tip)
        log_id = found.trailers["ESAA-Log"]
        with self._turn():
            self._remember(LastSeen(log_id, first, tip, found.event.seq, branch, branch_tip))

    def _remember(self, seen: LastSeen) -> None:
        current = self._refs.read(self.tracking)
        if current != seen.tip:
            message = "esaa: the log of the remote"
            self._refs.move([RefMove(self.tracking, current, seen.tip, message)])
        if seen != self.last_seen():
            write_mark(self._repository, self.pin_path, seen)

    # -- fetching -------------------------------------------------------------------------------

    def fetch(self, on_progress: Progress = silent) -> Incoming:
        """Fetch log, branches and checkpoints, and verify what is new; the local log stays.

        Raises:
            RepositoryError: if the remote cannot be reached, or never had a log.
            MismatchError: if its log was rolled back, forked or replaced, is gone, or does not
                hold.
            CorruptedError: if its log cannot be read.
        """
        if not self.has_log():
            self.refuse_missing(self.last_seen())
        return self.take_in(on_progress)

    def take_in(self, on_progress: Progress = silent) -> Incoming:
        """Fetch and verify as `fetch` does, from a remote that is known to have a log."""
        with self._turn():
            try:
                self._clear_arrivals()  # what lies there came from nowhere that is known
                self.inbox.clear()
                self._fetch_objects()
                tip = self._refs.read(self._incoming)
                if tip is None:
                    raise CorruptedError(f"'{self.name}' has no commit at '{self.log_ref}'")
                judge = Judge(self._repository, self.name, self.pin_path)
                incoming = judge.judge(tip, on_progress)
                self._remember_fetched(incoming)
                notes = self._records.take(self._arrivals, tip)
                self.inbox.read()
            finally:
                self._clear_arrivals()
        return replace(incoming, notes=(*incoming.notes, *notes))

    def _turn(self) -> AbstractContextManager[None]:
        """Take turns with other processes and threads that fetch into the same refs here."""
        return alone(self.pin_path.with_suffix(".lock"))

    def branch_tip(self, branch: str | None) -> str | None:
        """Return where the remote had a branch when it was fetched."""
        return None if branch is None else self._refs.read(f"refs/remotes/{self.name}/{branch}")

    def refuse_missing(self, pin: LastSeen | None) -> NoReturn:
        """Refuse a remote without a log: it never had one, or had one when it was last seen."""
        if pin is None:
            raise RepositoryError(
                f"'{self.name}' has no event log ('{self.log_ref}')",
                hint=f"run 'git esaa push {self.name}' where the log is, to share it",
            )
        raise MismatchError(
            f"the event log is gone from '{self.name}'",
            cause=f"'{self.log_ref}' had {pin.seq} events there; a missing log is not an empty one",
            hint="ask who keeps the server; to put back what is here: "
            f"git push {self.name} {self.log_ref}",
        )

    def check_last_seen(self, tip: str, pin: LastSeen) -> None:
        """Refuse a log that does not contain what the remote was seen with (check 1)."""
        check_last_seen(self._repository, self.name, self.pin_path, tip, pin)

    def _fetch_objects(self) -> None:
        """One call, so that log and branches are those of one moment."""
        heads = [
            spec
            for spec in self._fetched.present
            if spec.lstrip("+").startswith((_HEADS, f"^{_HEADS}"))
            and (spec.startswith("^") or f"refs/remotes/{self.name}/" in spec)
        ]
        specs = [f"+{self.log_ref}:{self._incoming}"]
        specs += [f"+{spec}" for spec in self._records.refspecs(self._arrivals)]
        specs.append(self.inbox.refspec)
        specs += heads or [f"+{_HEADS}*:refs/remotes/{self.name}/*"]
        options = ("--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        try:
            self._git("fetch", *options, "--refmap=", "--", self.name, *specs)
        except RepositoryError as error:
            raise self._unreachable(error) from error

    def _clear_arrivals(self) -> None:
        self._refs.delete(self._refs.list(self._arrivals))

    # -- pushing --------------------------------------------------------------------------------

    def push(self) -> list[str]:
        """Push log, branches with its effects and checkpoints, all or none; return what moved.

        Raises:
            RepositoryError: if there is no log here, or the remote cannot be reached.
            ConflictError: if the remote has what is not here.
            MismatchError: if its log was rolled back, or is gone.
            RefusedError: if the server refuses, or the person's own hook does.
        """
        here = self._repository
        local = self._refs.read(self.log_ref)
        if local is None:
            raise NoLog
        refs = {self.log_ref: local}
        state = load_tip(here, local).state
        branch = state.run.branch
        if branch is not None:
            ref = _HEADS + branch
            tip = self._refs.read(ref)
            if tip is not None:
                refs[ref] = tip
        records = self._records.here()
        there = self.ask(*refs, *records)
        self._check_ahead(local, there, refs)
        events = self._unsent(local, there.get(self.log_ref))
        earlier = of_earlier_runs(here, events, branch)
        if earlier:
            there |= self.ask(*earlier)
            refs |= {ref: tip for ref, tip in earlier.items() if self._has(tip, there.get(ref))}
        standing = Standing.of(here, ClaimJudge.at(here, local, state), self.name)
        if standing is not None and standing.ref not in refs:
            there |= self.ask(standing.ref)
            refs |= standing.to_send(there.get(standing.ref))
        moving = {ref: oid for ref, oid in refs.items() if there.get(ref) != oid}
        sent, self.left = self._records.to_send(records, there, local)
        if standing is not None and standing.ref not in refs:
            self.left += standing.left_out(there.get(standing.ref))
        moving |= sent
        if moving:
            head = f"{_HEADS}{branch}"
            for ref in dict.fromkeys([head, *([] if standing is None else [standing.ref])]):
                ask_pre_push(here, self.name, ref, moving.get(ref), there.get(ref))
            along = Branch(here, branch, refs.get(head), there.get(head))
            send_in_parts(events, self.log_ref, along, self._send, moving)
            reach(Point.PUSH_DONE)
        forget(here)
        self._remember_pushed(local, branch, refs.get(f"{_HEADS}{branch}"))
        return sorted(moving)

    def _unsent(self, local: str, theirs: str | None) -> list[str]:
        """Return the events that the remote has not, oldest first."""
        newer = takewhile(lambda oid: oid != theirs, walk_back(self._repository, local))
        return list(newer)[::-1]

    def publish(
        self,
        tip: str,
        branch: str,
        branch_tip: str | None,
        proposals: Sequence[ProposalRef] = (),
        admitted: Sequence[str] = (),
    ) -> None:
        """Push what leads to `tip`, which no ref here has to name yet, and the branch with it.

        git takes nothing that does not go forward from where the remote is at that moment.

        Args:
            admitted: refs of the inbox there, which go in the same push.

        Raises:
            ConflictError: if the remote has what is not here.
            RefusedError: if the server refuses.
            RemoteUnreachable: if it cannot be reached.
        """
        moving = {self.log_ref: tip}
        known = self.branch_tip(branch)
        if branch_tip is not None and branch_tip != known:
            moving[_HEADS + branch] = branch_tip
            ask_pre_push(self._repository, self.name, _HEADS + branch, branch_tip, known)
        for one in proposals:
            moving[refnames.proposal_ref(self.log_ref, one.task_id, one.attempt_id)] = one.commit
        moving |= dict.fromkeys(admitted, "")
        self._send(moving)
        reach(Point.PUSH_DONE)
        self._remember_pushed(tip, branch, branch_tip)

    def offer(self, entries: dict[str, str]) -> None:
        """Put decisions into the inbox there, by ref.

        Raises:
            RefusedError: if the server does not take them.
            RemoteUnreachable: if it cannot be reached.
        """
        self._send(entries)

    def _check_ahead(self, local: str, there: dict[str, str], refs: dict[str, str]) -> None:
        """Refuse to push to a remote that has what is not here."""
        here = self._repository
        theirs, pin = there.get(self.log_ref), self.last_seen()
        if theirs is None and pin is not None:
            self.refuse_missing(pin)
        is_here = theirs is not None and theirs in here.odb
        if theirs is not None and is_here:
            if pin is not None:
                self.check_last_seen(theirs, pin)
            is_here = common_event(here, local, theirs) == theirs
        if theirs is not None and not is_here:
            raise self._behind(f"the log on '{self.name}' has events that are not here")
        for ref, oid in refs.items():
            if not ref.startswith(_HEADS) or ref == self.log_ref:
                continue
            if not self._has(oid, there.get(ref)):
                name = ref.removeprefix(_HEADS)
                raise self._behind(f"'{name}' on '{self.name}' has commits that are not here")

    def _has(self, tip: str, theirs: str | None) -> bool:
        """Answer whether a branch here is, or goes on from, what the remote has."""
        here = self._repository
        return theirs in (None, tip) or (theirs in here.odb and contains(here, tip, str(theirs)))

    def _behind(self, message: str) -> ConflictError:
        return ConflictError(
            message, hint=f"run 'git esaa sync {self.name}': it fetches and pushes"
        )

    def attempt(self, *specs: str, timeout: float | None = None) -> dict[str, str]:
        """Push, all or none; return by ref why it did not move, nothing where all did.

        Raises:
            RepositoryError: if it cannot be asked, or takes no push of several refs at once.
        """
        options = ("--porcelain", "--atomic", "--no-verify", "--quiet")
        try:
            self._git("push", *options, "--", self.name, *specs, timeout=timeout)
        except GitFailed as error:
            found = {one.target: one.reason for one in rejections(error.output)}
            if not found:
                raise
            return found
        return {}

    def _send(self, moving: dict[str, str]) -> None:
        # What an attempt proposed may give way to what was kept of it; nothing else is forced.
        forced = refnames.proposals(self.log_ref)
        is_forced = {ref for ref, oid in moving.items() if oid and ref.startswith(forced)}
        specs = [f"{'+' * (ref in is_forced)}{oid}:{ref}" for ref, oid in moving.items()]
        reach(Point.PUSH_BEGUN)
        try:
            self._git("push", "--porcelain", "--atomic", "--no-verify", "--", self.name, *specs)
        except GitFailed as error:
            if wanted := ambiguous(error):
                raise mistaken(self.name, wanted, self._listed(*wanted)) from error
            raise refusal(self.name, error) or self._unreachable(error) from error
        except RepositoryError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: RepositoryError) -> RemoteUnreachable:
        return RemoteUnreachable(
            f"'{self.name}' cannot be reached",
            cause=error.cause or error.message,
            hint=error.hint or f"'git remote get-url {self.name}' says where it is looked for",
        )

    def _git(self, *arguments: str, timeout: float | None = None) -> bytes:
        return self._repository.git(*arguments, timeout=timeout, env=self._env, waits=True)
