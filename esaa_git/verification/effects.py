"""Check 11, on one effect: the commit is exactly what the log says of the task that it closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pygit2

from esaa_git.core.contract_rules import attribution
from esaa_git.core.contracts import Contracts
from esaa_git.core.event import Event
from esaa_git.core.events import AttemptCreate, FileWrite, TaskUpdate
from esaa_git.core.events.file_write import images
from esaa_git.core.state import State
from esaa_git.core.task import Task
from esaa_git.errors import CorruptedError
from esaa_git.store import commitform
from esaa_git.store.eventcommit import EventCommit, read_commit, read_contracts, read_event_commit
from esaa_git.store.objects import (
    COMMIT,
    Commit,
    MalformedObject,
    Reader,
    decode_commit,
    raw_parent,
    split_signature,
    tree_of_commit,
)
from esaa_git.store.statetree import load_state
from esaa_git.trust.allowed_signers import SignatureRefused
from esaa_git.trust.roles import Authority
from esaa_git.verification.changes import Image, TreeChanges, image_at
from esaa_git.verification.failure import CORRUPTED, Failure

GONE: Final = "it may be on a branch in another commit"
"""The hint of an effect whose commit is not here: not a failure before branches are looked at."""


# -- what the log says of effects -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EffectForm:
    """What the log says an effect commit holds; its parent is all that is left open.

    `changes` says of each path what stands there after; None where it goes away. `onto` says what
    stood there before, of an effect that undoes another one: whether the log tells the truth of
    what was changed since, the branch shows.
    """

    agent: str
    summary: str
    ts: str
    log_id: str | None
    run_id: str
    assisted_by: str | None
    reviewed_by: tuple[str, ...]
    event_id: str
    event_commit: str
    contracts_tree: str
    changes: Mapping[str, Image]
    onto: Mapping[str, Image]

    def commit(
        self, closed: Closed, tree: str, parents: tuple[str, ...], log_id: str | None
    ) -> bytes:
        """Return the unsigned bytes of the effect commit with this tree and these parents."""
        return commitform.effect_commit(
            tree=tree,
            parents=parents,
            agent=self.agent,
            ts=self.ts,
            summary=self.summary,
            event_commit=self.event_commit,
            log_id=log_id,
            run_id=self.run_id,
            task_id=closed.task_id,
            attempt_id=closed.attempt_id,
            assisted_by=self.assisted_by,
            reviewed_by=self.reviewed_by,
        )


@dataclass(frozen=True, slots=True)
class Closed:
    """A task that the log closed with an effect: what check 11 has to find.

    `form` is None where the event that wrote the effect lies before the range that was checked.
    """

    seq: int
    event_commit: str
    effect_commit: str
    task_id: str
    attempt_id: str
    branch: str
    form: EffectForm | None = None

    def locate(self, failure: Failure) -> Failure:
        """Return the failure with the address of this effect."""
        subject = f"effect {self.effect_commit[:12]} of {self.task_id}"
        return failure.at(self.effect_commit, self.seq, subject)


def closings(
    reader: Reader, tip: str, attempts: Mapping[str, str], known: Mapping[str, Closed]
) -> Iterator[Closed]:
    """Yield where a log closed these effects, which its state names.

    Args:
        tip: where the log ends; it is walked back from there as far as it has to be.
        attempts: by effect commit, the attempt that it closed.
        known: where some were closed already is known.
    """
    wanted = {}
    for oid, attempt_id in attempts.items():
        if oid in known:
            yield known[oid]
        else:
            wanted[oid] = f"\nESAA-Attempt: {attempt_id}\n".encode()
    current: str | None = tip
    while wanted and current is not None:
        data = read_commit(reader, current)
        if any(trailer in data for trailer in wanted.values()):
            one = closed_in(reader, read_event_commit(reader, current))
            if one is not None and wanted.pop(one.effect_commit, None) is not None:
                yield one
        current = raw_parent(data)


def is_closing_effect(state: State, oid: str, message: bytes) -> bool:
    """Answer whether the log closed the task that a commit's message names with this very commit.

    The state at the tip tells, however long the log is: `done` is final, so the result of a task
    stays for ever, whatever run it was in and whether or not it was superseded.
    """
    task = state.tasks.get(commitform.trailers(message).get("ESAA-Task", ""))
    return task is not None and task.result is not None and task.result.effect_commit == oid


def closed_by(event: Event, oid: str, branch: Callable[[], str | None]) -> Closed | None:
    """Return what an event closed with an effect, or None where it closed nothing so.

    Args:
        oid: the commit that carries the event.
        branch: gives the branch of the run; only asked where a task was closed.
    """
    payload = event.payload
    if not isinstance(payload, TaskUpdate) or payload.effect_commit is None:
        return None
    effect, task_id, attempt_id = payload.effect_commit, payload.task_id, str(payload.attempt_id)
    return Closed(event.seq, oid, effect, task_id, attempt_id, str(branch()))


def closed_in(reader: Reader, found: EventCommit) -> Closed | None:
    """Return what an event of the log closed with an effect, as `closed_by`."""

    def branch() -> str | None:
        return _state_of(reader, found).run.branch

    return closed_by(found.event, found.oid, branch)


def _state_of(reader: Reader, found: EventCommit) -> State:
    event = found.event
    return load_state(reader, found.tree["roadmap"].oid, seq=event.seq, ts=event.ts)


@dataclass(frozen=True, slots=True)
class Written:
    """The event that wrote an effect, and the commit that carries it."""

    event_commit: str
    event_id: str
    effect: FileWrite


def effect_form(
    written: Written,
    closing: Event,
    task: Task,
    state: State,
    contracts: Contracts,
    contracts_tree: str,
    log_id: str | None,
) -> EffectForm:
    """Return what the effect commit of a closed task has to be, from the log alone."""
    if task.result is None:
        raise MalformedObject(f"'{task.task_id}' is closed without a result")
    changes: dict[str, Image] = {}
    onto: dict[str, Image] = {}
    if written.effect.undoes is not None:
        # What it does not name of what it undoes was gone already, and has to be.
        changes.update((path, None) for path, _, _ in images(written.effect.undoes))
        onto.update((path, before) for path, before, _ in images(written.effect.files))
    changes.update((path, after) for path, _, after in images(written.effect.files))
    return EffectForm(
        task.result.agent,
        task.result.summary,
        closing.ts,
        log_id,
        str(state.run.run_id),
        attribution(task, contracts),
        task.result.reviewed_by,
        written.event_id,
        written.event_commit,
        contracts_tree,
        changes,
        onto,
    )


def form_of(reader: Reader, closed: Closed) -> EffectForm:
    """Return the form of an effect whose events have to be read from the log first."""
    closing = read_event_commit(reader, closed.event_commit)
    written = written_event(reader, closing, closed)
    state = _state_of(reader, closing)
    tree = closing.tree["contracts"].oid
    return effect_form(
        written,
        closing.event,
        state.tasks[closed.task_id],
        state,
        read_contracts(reader, tree),
        tree,
        closing.trailers.get("ESAA-Log"),
    )


def written_event(reader: Reader, closing: EventCommit, closed: Closed) -> Written:
    """Return the last effect of the attempt that the log holds before the closing event.

    Raises:
        Failure: check 11, if it holds none.
    """
    oid = closing.parent
    while oid is not None:
        found = read_event_commit(reader, oid)
        if found.event.attempt_id == closed.attempt_id:
            payload = found.event.payload
            if isinstance(payload, FileWrite):
                return Written(found.oid, found.event.event_id, payload)
            if isinstance(payload, AttemptCreate):
                break
        oid = found.parent
    raise closed.locate(Failure(11, "the log holds no effect of its attempt"))


# -- the commit -------------------------------------------------------------------------------


class EffectChecker:
    """Holds effect commits against the log, one after another.

    Consecutive effects share signers and most of their trees, so both are remembered.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._authorities: dict[str, Authority] = {}
        self._changes = TreeChanges(reader)

    def check(self, closed: Closed, *, is_partial: bool = False) -> bool:
        """Hold one effect commit against the log, and answer whether that could be done.

        It could not where the commit or its parent is not here and `is_partial` says that this is
        no fault: the branch was not fetched, or not all of it.

        Everything in it follows from the log, but for its parent: what it changes is exactly what
        the event says, and its author, message, trailers and signature are the orchestrator's.

        Raises:
            Failure: check 11, naming the event that closed the task.
        """
        try:
            self._check(closed)
        except Failure as failure:
            closed.locate(failure)
            raise
        except KeyError as error:
            if is_partial:
                return False
            hint = GONE if closed.effect_commit in error.args else None
            missing = Failure(11, f"object {error} is missing", CORRUPTED, hint)
            raise closed.locate(missing) from error
        except (MalformedObject, CorruptedError, pygit2.GitError) as error:
            raise closed.locate(Failure(11, str(error), CORRUPTED)) from error
        return True

    def _check(self, closed: Closed) -> None:
        kind, data = self._reader(closed.effect_commit)
        parts = split_signature(data)
        if kind != COMMIT or parts is None:
            raise Failure(11, "it is not a signed commit")
        payload, armored = parts
        commit = decode_commit(payload)
        if len(commit.parents) != 1 or commit.headers or commit.signatures:
            raise Failure(11, "it has not exactly one parent")
        form = closed.form or form_of(self._reader, closed)
        # An effect of before effects named their log is one still.
        if all(
            payload != form.commit(closed, commit.tree, commit.parents, log_id)
            for log_id in (form.log_id, None)
        ):
            raise Failure(11, _difference(commit, form))
        self._check_signature(form, payload, armored)
        before = tree_of_commit(self._reader(commit.parents[0])[1])
        found = dict(self._changes.between(before, commit.tree))
        # What the branch had already when the effect arrived is no difference, but has to be there.
        already = {
            path: image_at(self._reader, commit.tree, path)
            for path in form.changes.keys() - found.keys()
        }
        if {**found, **already} != form.changes:
            raise Failure(11, "it changes other files, or to another content, than the event")
        for path, image in form.onto.items():
            if image_at(self._reader, before, path) != image:
                raise Failure(11, f"'{path}' was not what its event says when it was undone")

    def _check_signature(self, form: EffectForm, payload: bytes, armored: bytes) -> None:
        authority = self._authorities.get(form.contracts_tree)
        if authority is None:
            authority = Authority(read_contracts(self._reader, form.contracts_tree))
            self._authorities[form.contracts_tree] = authority
        try:
            may_sign = authority.may_sign_effect(authority.prove(payload, armored), form.ts)
        except SignatureRefused as error:
            raise Failure(11, f"signature: {error}") from error
        if not may_sign:
            raise Failure(11, "it is not signed by an orchestrator")


def _difference(commit: Commit, form: EffectForm) -> str:
    """Say in what an effect commit is not what the log says it is."""
    named = commitform.trailers(commit.message).get("ESAA-Event")
    if named is None:
        return "it names no event"
    if named != form.event_commit:
        return f"it names {named[:12]}, and {form.event_id} is what wrote it"
    return "its author, time or message is not what the log says"
