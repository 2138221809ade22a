"""What a server lets in: the log only grows, by events that hold, and effects come with them.

Everything is judged from what is pushed and the commit that it stands on, in git's quarantine,
and nothing is written. The log after the push is what the branches after the push are held
against, so the order of the refs in a push does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

import pygit2

from esaa_git.core import logid
from esaa_git.core.event import event_id
from esaa_git.core.limits import EVENTS_IN_A_PUSH
from esaa_git.core.state import State
from esaa_git.errors import ConflictError, CorruptedError, EsaaError, MismatchError, RefusedError
from esaa_git.hooks.clock import refuse_ahead
from esaa_git.hooks.commands import BRANCHES, Command, Push, Settings
from esaa_git.hooks.deadline import Deadline, too_much
from esaa_git.hooks.inbox import check_halts_first
from esaa_git.hooks.program import is_here, new_commits, not_in, noting, speaking
from esaa_git.hooks.records import check_records
from esaa_git.store import commitform
from esaa_git.store.eventcommit import read_commit, read_event_commit
from esaa_git.store.objects import Commit, MalformedObject, decode_commit, message_of, raw_parent
from esaa_git.store.repository import Repository
from esaa_git.store.statetree import load_state
from esaa_git.store.trailers import claimed_ids
from esaa_git.verification.carrier import LOST
from esaa_git.verification.checks import EventChecker
from esaa_git.verification.claims import EFFECT, UNFOUNDED, ClaimJudge, Standing
from esaa_git.verification.effects import Closed, EffectChecker, closings, is_closing_effect
from esaa_git.verification.failure import Failure, check_name
from esaa_git.verification.hints import RECORDS_OR_COPY

LOOKED_BACK = 10_000
"""How far back we look for where two histories part; it is only for the message."""

_TOGETHER = "push both at once: 'git push --atomic REMOTE {log} {branch}'"
_VERIFY = (
    "run 'git esaa verify --full' where it was pushed from: it names the last sound event, and "
    "how to go back to it"
)
_HINTS: Mapping[int, str] = {
    3: "record it with a key that the contracts in force name in that role; 'git esaa doctor' "
    "shows yours",
    6: "have an admin of the contracts in force start the run that brings the new ones",
    11: "the effect commit is made by git-esaa alone; push it as it was recorded",
}

Claims: TypeAlias = Mapping[str, Mapping[str, bytes]]


class Log:
    """The event log as it will be after the push."""

    def __init__(self, repository: Repository, ref: str, tip: str) -> None:
        self._read = repository.read
        self.ref = ref
        self.tip = tip
        self._closed: dict[str, Closed] = {}
        found = read_event_commit(self._read, tip)
        log_id = found.trailers.get("ESAA-Log")
        self.imported = logid.imported_events(log_id)
        self.state: State = load_state(
            self._read, found.tree["roadmap"].oid, seq=found.event.seq, ts=found.event.ts
        )
        self.judge = ClaimJudge(repository, self.state, tip, log_id, self._closed)

    def learn(self, closed: Iterable[Closed]) -> None:
        """Take note of where effects were closed, so that they need not be looked for."""
        self._closed.update((one.effect_commit, one) for one in closed)

    def names(self, effect: str, message: bytes) -> bool:
        """Answer whether the log closed a task with this very effect (check 11)."""
        return is_closing_effect(self.state, effect, message)

    def standing(self, oid: str, data: bytes) -> Standing:
        """Return what stands behind a commit that claims something, given in raw bytes."""
        return self.judge.standing(oid, decode_commit(data), is_older=self._is_older)

    def _is_older(self, oid: str) -> bool:
        base = self.judge.first_base()
        return base is not None and is_here(base) and not not_in([oid], base)

    def closing(self, effects: Mapping[str, bytes]) -> Iterator[Closed]:
        """Yield where the log closed these effects, which its state names; None is left out."""
        attempts = {
            oid: commitform.trailers(message).get("ESAA-Attempt", "")
            for oid, message in effects.items()
        }
        return closings(self._read, self.tip, attempts, self._closed)

    def carried(self, oids: Iterable[str]) -> dict[str, str]:
        """Return by effect which of these commits carries it, by the record and in fact."""
        found = {}
        for oid in oids:
            carrier = self.judge.carriers.get(oid)
            if carrier is None or self.judge.standing(oid, self._commit(oid)).carrier is None:
                continue
            for name in carrier.tasks:
                result = self.state.tasks[name].result
                if result is not None and result.effect_commit is not None:
                    found[result.effect_commit] = oid
        return found

    def carried_in(self, commits: set[str]) -> list[Closed]:
        """Return where the log closed the effects that it says these commits carry."""
        found = [one for oid, one in self.judge.carriers.items() if oid in commits]
        names = dict.fromkeys(name for one in found if one.how != LOST for name in one.tasks)
        return [one.closed for one in self.judge.effects(tuple(names))]

    @property
    def given_up(self) -> set[str]:
        """The effects that an admin has let go of."""
        carriers = self.judge.carriers.values()
        tasks = {name for carrier in carriers if carrier.how == LOST for name in carrier.tasks}
        results = (self.state.tasks[name].result for name in tasks)
        return {one.effect_commit for one in results if one and one.effect_commit is not None}

    def _commit(self, oid: str) -> Commit:
        return decode_commit(self._read(oid)[1])


class Reception:
    """Judges one push."""

    def __init__(
        self,
        repository: Repository,
        settings: Settings,
        namespace: str = "",
        deadline: Deadline | None = None,
    ) -> None:
        self._repository = repository
        self._deadline = deadline
        self._settings = settings
        self._namespace = namespace
        self._read = repository.read

    def check(self, push: Push, claims: Callable[[], Claims]) -> None:
        """Refuse the push where anything in it does not hold.

        Args:
            claims: gives the new commits that may claim to be effects, in raw bytes, by branch.
                It is asked once the events are known to be signed.

        Raises:
            EsaaError: naming the ref, the event and the numbered check.
        """
        closed: list[Closed] = []
        if push.log is not None:
            closed = self.check_log(push.log)
        try:
            log = self._log(push)
            if log is not None:
                log.learn(closed)
            for ref, commits in claims().items():
                self._check_claims(ref, commits, log)
            if push.log is not None and log is not None:
                self._check_effects(push.log.ref, closed, log.imported)
            tip = None if log is None else log.tip
            check_records(self._repository, push.records, tip, self._namespace)
            if log is not None and self._settings.require_effects:
                self._check_travels_together(closed, push.branches, log)
                self._check_nothing_lost(push.branches, log)
        except KeyError as error:
            raise _unreadable(f"object {error} is missing") from error
        except (ValueError, pygit2.GitError) as error:
            raise _unreadable(str(error)) from error

    def _log(self, push: Push) -> Log | None:
        name = self._settings.log
        tip = push.log.new if push.log is not None else self._ref(name)
        return None if tip is None else Log(self._repository, name, tip)

    def _ref(self, name: str) -> str | None:
        return self._repository.ref_target(self._namespace + name)

    # -- the log ----------------------------------------------------------------------------

    def check_log(self, command: Command) -> list[Closed]:
        """Hold every new event against the numbered checks, and return the effects they name."""
        try:
            self._check_old(command)
            oids = self._appended(command)
        except KeyError as error:
            raise _unreadable(f"object {error} is missing") from error
        except (ValueError, pygit2.GitError) as error:
            raise _unreadable(str(error)) from error
        oid, seq = str(command.new), None
        try:
            events = EventChecker(self._read, command.old, on_authentic=self._authenticated)
            for oid in oids:
                seq = events.state.seq + 1
                events.check(oid)
                refuse_ahead(command.ref, events.state)
        except RefusedError:
            raise
        except Failure as failure:
            raise _refused(command.ref, failure) from failure
        except Exception as error:
            # The checks name what is wrong; that they did not is a fault, and no reason to accept.
            unjudged = Failure(4, f"it cannot be judged: {error!r}").at(oid, seq)
            raise _refused(command.ref, unjudged) from error
        if events.unevaluated:
            seq, why = events.unevaluated[0]
            raise RefusedError(
                f"'{command.ref}' is refused at {event_id(seq)}",
                cause=f"{check_name(8)}: the policy is not evaluated here: {why.message}",
                hint=f"on the server, {why.hint}",
            ) from why
        check_halts_first(self._repository, self._namespace, command, oids)
        return events.closed

    def _authenticated(self) -> None:
        if self._deadline is not None:
            self._deadline.authenticated()

    def _check_old(self, command: Command) -> None:
        """Refuse to judge from another commit than the one that is there.

        The pusher names the old commit, and git holds it against the ref only later: that
        would stop the log, but not a branch beside it that was judged by this log.
        """
        found = self._ref(command.ref)
        if found != command.old:
            here, said = (oid[:12] if oid else "nothing" for oid in (found, command.old))
            raise ConflictError(
                f"'{command.ref}' is not where the push begins",
                cause=f"{check_name(1)}: it is at {here}, and the push says {said}",
                hint="fetch it, then push again",
            )

    def _appended(self, command: Command) -> list[str]:
        """Return the commits after the old tip, oldest first; refuse what does not continue it."""
        old, new = command.old, str(command.new)
        far = LOOKED_BACK + max(0, (self._seq(new) or 0) - (self._seq(old) or 0))
        oids: list[str] = []
        for oid in self._back(new):
            if oid == old or (old is not None and len(oids) == far):
                break
            if len(oids) == EVENTS_IN_A_PUSH:
                raise too_much(f"it holds more than {EVENTS_IN_A_PUSH:,} events")
            oids.append(oid)
        # Where old is met, the oldest new commit has it as its parent.
        begins = raw_parent(read_commit(self._read, oids[-1])) if oids else old
        if begins != old:
            raise self._not_an_append(command, oids)
        genesis = self._settings.genesis
        if old is None and genesis is not None and oids[-1] != genesis:
            raise RefusedError(
                f"'{command.ref}' is refused at EV-00000001",
                cause=f"{check_name(1)}: the log begins with {oids[-1][:12]}, and esaa.genesis on "
                f"the server is {genesis[:12]}",
                hint="push the log that the server waits for, or have its owner change the setting",
            )
        return oids[::-1]

    def _back(self, oid: str | None) -> Iterator[str]:
        while oid is not None:
            data = self._commit(oid)
            yield oid
            oid = raw_parent(data)

    def _not_an_append(self, command: Command, oids: list[str]) -> RefusedError:
        kept = {oid: number for number, oid in enumerate(oids)}
        last = self._seq(command.old) or 0
        for number, oid in enumerate(self._back(command.old)):
            if oid in kept or number == LOOKED_BACK:
                break
        else:
            oid = ""
        if not oid:
            where, what = "EV-00000001", "it is another log, with a genesis of its own"
        else:
            first = f"EV-{(self._seq(oid) or 0) + 1:08d}"
            where = first if oid in kept else f"EV-{last:08d}"
            what = f"{first} to EV-{last:08d} of the log on the server are not in it"
        return RefusedError(
            f"'{command.ref}' is refused at {where}: the log only grows",
            cause=f"{check_name(1)}: {what}",
            hint=f"fetch the log ('git fetch REMOTE {command.ref}'), and record what is new after "
            "its last event",
        )

    def _seq(self, oid: str | None) -> int | None:
        """Return the sequence number that an event commit claims."""
        if oid is None:
            return None
        return commitform.claimed_seq(message_of(self._commit(oid)))

    def _commit(self, oid: str) -> bytes:
        """Return a commit of the log in raw bytes, of which nothing has been checked."""
        try:
            return read_commit(self._read, oid)
        except MalformedObject as error:
            raise RefusedError(
                f"'{self._settings.log}' is refused at {oid[:12]}",
                cause=f"{check_name(2)}: it is {error}",
                hint="push the log's own ref, and nothing else, to this name",
            ) from error

    # -- effects ----------------------------------------------------------------------------

    def _check_claims(self, ref: str, commits: Mapping[str, bytes], log: Log | None) -> None:
        """Refuse commits that pose as effects, and those whose event is not in the log."""
        effects = {}
        for oid, data in commits.items():
            message = message_of(data)
            stands = None if log is None else log.standing(oid, data)
            if stands is None or stands.kind == UNFOUNDED:
                raise self._unfounded(ref, oid, data, log, "" if stands is None else stands.why)
            if stands.kind == EFFECT:
                effects[oid] = message
        if log is not None:
            self._check_effects(ref, list(log.closing(effects)), log.imported)

    def _unfounded(
        self, ref: str, oid: str, data: bytes, log: Log | None, why: str
    ) -> MismatchError:
        said = commitform.trailers(message_of(data))
        event, name = said.get("ESAA-Event", ""), ""
        # What it claims need not exist, nor be an event, nor an id.
        with suppress(EsaaError, ValueError, pygit2.GitError):
            seq = commitform.claimed_seq(message_of(read_commit(self._read, event)))
            name = f" (EV-{seq:08d})" if seq is not None else ""
        claim = f"it claims event {event[:12] or 'of no one id'}{name}"
        if not claimed_ids(data):
            claim = "its author or committer is one under which git-esaa alone commits"
        if log is None:
            found = f"there is no log '{self._settings.log}' here"
        elif why:
            found = why
        else:
            task = log.state.tasks.get(said.get("ESAA-Task", ""))
            result = None if task is None else task.result
            effect = None if result is None else result.effect_commit
            where = f"the log ends at EV-{log.state.seq:08d}"
            found = f"{where} and knows no effect of that task"
            if effect is not None:
                found = f"{where} and names {effect[:12]} as that task's effect"
        together = _TOGETHER.format(log=self._settings.log, branch=ref.removeprefix(BRANCHES))
        return MismatchError(
            f"'{ref}' is refused at commit {oid[:12]}: an effect without its event",
            cause=f"{check_name(11)}: {claim}, and {found}",
            hint=f"{together}; {RECORDS_OR_COPY}",
        )

    def _check_effects(self, ref: str, closed: Iterable[Closed], imported: int) -> None:
        """Hold effect commits against the log, as far as they are here."""
        checker = EffectChecker(self._read)
        for one in closed:
            if one.seq > imported and one.effect_commit in self._repository.odb:
                try:
                    checker.check(one)
                except Failure as failure:
                    raise _refused(ref, failure) from failure

    # -- where esaa.requireEffects is set ---------------------------------------------------

    def _check_travels_together(
        self, closed: Iterable[Closed], branches: Sequence[Command], log: Log
    ) -> None:
        """Refuse events whose effects are on no branch after the push."""
        effects = {one.effect_commit: one for one in closed if one.seq > log.imported}
        here = [oid for oid in effects if oid in self._repository.odb]
        missing = effects.keys() - set(here) | self._on_no_branch(here, branches)
        missing -= self._accounted_for(missing & effects.keys(), branches, log)
        for one in effects.values():
            if one.effect_commit in missing:
                message = (
                    f"effect {one.effect_commit[:12]} of {one.task_id} is not on '{one.branch}', "
                    "nor on another branch, after this push, and esaa.requireEffects is set"
                )
                together = _TOGETHER.format(log=log.ref, branch=one.branch)
                hint = f"{together}; where that branch is gone, name the one that has the effect"
                raise _refused(log.ref, Failure(11, message).at(one.event_commit, one.seq), hint)

    def _check_nothing_lost(self, branches: Sequence[Command], log: Log) -> None:
        """Refuse to take effects away from the last branch that has them."""
        for command in branches:
            # What the push calls the old commit may be none: git then deletes without a look.
            old = self._ref(command.ref)
            if old is None:
                continue
            gone: set[str] = set()
            found = new_commits([old], *self._glob(branches), known=_new_tips(branches))
            said = {oid: message_of(data) for oid, data in speaking(noting(found, gone)).items()}
            lost = list(log.closing({oid: m for oid, m in said.items() if log.names(oid, m)}))
            # Those that a commit carried may be on another branch in their own.
            carried = {one.effect_commit: one for one in log.carried_in(gone)}
            here = [oid for oid in carried if oid in self._repository.odb]
            left = carried.keys() - (set(here) - self._on_no_branch(here, branches))
            lost += [carried[oid] for oid in sorted(left)]
            accounted = self._accounted_for([one.effect_commit for one in lost], branches, log)
            for one in lost:
                if one.effect_commit not in accounted:
                    raise RefusedError(
                        f"'{command.ref}' is refused: it would lose the effect of EV-{one.seq:08d}",
                        cause=f"{check_name(11)}: {one.effect_commit[:12]} of {one.task_id} is on "
                        "no branch after this push, and esaa.requireEffects is set",
                        hint="add commits to the branch; 'git revert' takes back what a task did; "
                        "where it was rebased or squashed, 'git esaa verify --relink --record' "
                        "records it, to be pushed with the branch",
                    )

    def _accounted_for(
        self, missing: Collection[str], branches: Sequence[Command], log: Log
    ) -> set[str]:
        """Return the effects that a carrier on a branch holds by the log, or that are given up."""
        if not missing:
            return set()
        carriers = {oid for oid in log.judge.carriers if oid in self._repository.odb}
        return set(log.carried(carriers - self._on_no_branch(carriers, branches))) | log.given_up

    def _on_no_branch(self, commits: Iterable[str], branches: Sequence[Command]) -> set[str]:
        """Return the commits, and what leads to them, that lead to no branch after the push."""
        found = list(commits)
        if not found:
            return set()
        gone = new_commits(found, *self._glob(branches), known=_new_tips(branches))
        return {oid for oid, _ in gone}

    def _glob(self, branches: Sequence[Command]) -> list[str]:
        """Return the options by which git-rev-list(1) takes the branches that do not move."""
        options = [f"--exclude={self._namespace}{one.ref}" for one in branches]
        return [*options, f"--glob={self._namespace}{BRANCHES}*"]


def _new_tips(branches: Sequence[Command]) -> list[str]:
    return [one.new for one in branches if one.new is not None]


def _refused(ref: str, failure: Failure, hint: str | None = None) -> EsaaError:
    kind = MismatchError if failure.outcome == "mismatch" else CorruptedError
    where = failure.event_id or f"commit {failure.oid[:12]}"
    return kind(
        f"'{ref}' is refused at {where}",
        cause=f"{check_name(failure.check)}: {failure.message} (commit {failure.oid[:12]})",
        hint=hint or _HINTS.get(failure.check, _VERIFY),
    )


def _unreadable(cause: str) -> CorruptedError:
    return CorruptedError(
        "what the push stands on cannot be read",
        cause=cause,
        hint="run 'git fsck' on the server, and where it was pushed from",
    )
