"""What a remote offers: fetched already, and judged before anything here follows it.

A log has to contain what the remote was seen with before, and what is here; then what is new of
it is verified, with its effects on the branches of the remote.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from esaa_git.core.state import State
from esaa_git.errors import CorruptedError, MismatchError
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.position import common_event, seq_of
from esaa_git.store.refs import GitRefs, OverlayRefs
from esaa_git.store.repository import Repository
from esaa_git.store.tip import load_tip
from esaa_git.verification import placement
from esaa_git.verification.audit import Auditor
from esaa_git.verification.failure import check_name
from esaa_git.verification.hints import bring_every_branch
from esaa_git.verification.pins import Mark, keep, mark_path, read_mark, read_pin

Progress = Callable[[int, int], None]


def silent(_done: int, _total: int) -> None:
    """Tell no progress."""


LastSeen = Mark
"""Which log a remote had when it was last seen, how far it went, and where its branch was."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a remote offers, fetched and verified.

    `common` is the last event that the local log has as well, None where there is no local log;
    `new` events come after it, and `verified` were verified now: more than that where a branch
    was rewritten, fewer where they were fetched before.
    `mark` is the verified point of a log that was verified as a whole, `elsewhere` the effects
    (branch, commit, task) that other branches of the remote have and `branch` has not.
    """

    tip: str
    seq: int
    log_id: str
    genesis: str | None
    common: str | None
    new: int
    verified: int
    trust: str
    state: State
    branch: str | None
    branch_tip: str | None
    notes: tuple[str, ...] = ()
    mark: Mark | None = None
    elsewhere: tuple[tuple[str, str, str], ...] = ()


class Judge:
    """Judges the log of one remote.

    Args:
        name: what people call the remote.
        pin_path: where it is remembered what the remote was seen with.
    """

    def __init__(self, repository: Repository, name: str, pin_path: Path) -> None:
        self._repository = repository
        self._refs = GitRefs(repository)
        self._name = name
        self._pin_path = pin_path

    def judge(self, tip: str, on_progress: Progress) -> Incoming:
        """Return what the log that ends here comes to; nothing of it is taken over yet.

        Raises:
            MismatchError: if it was rolled back, forked or replaced, or does not hold.
            CorruptedError: if it is no log, or cannot be read.
            PinUnusable: if the genesis was pinned by another user, or in another folder.
        """
        here = self._repository
        try:
            seq_of(here, tip)
        except CorruptedError as error:
            raise CorruptedError(
                f"what '{self._name}' has at '{here.events_ref}' is no event log",
                cause=error.cause or error.message,
                hint="nothing was taken over; ask who keeps the server how that came there",
            ) from error
        read_pin(here)  # one that does not count here is no fault of the remote's log
        kept = keep(here, self._pin_path)
        last = kept.mark
        if last is not None:
            check_last_seen(here, self._name, self._pin_path, tip, last)
        local = self._refs.read(here.events_ref)
        common = None if local is None else common_event(here, local, tip)
        if local is not None and common is None:
            raise MismatchError(
                f"the log on '{self._name}' is another log than the one that is here",
                cause=f"they have not even their first event in common ({local[:12]}, {tip[:12]})",
                hint="a repository has one log; look which of the two is the right one",
            )
        incoming = self._verify(tip, common, last, on_progress)
        if kept.doubt is None:
            return incoming
        note = f"{kept.doubt}: it says what '{self._name}' was last seen with"
        return replace(incoming, notes=(*incoming.notes, note))

    def _verify(
        self, tip: str, common: str | None, last: LastSeen | None, on_progress: Progress
    ) -> Incoming:
        """Verify what is new of a log, and its effects on the remote's branch."""
        here = self._repository
        fetched = OverlayRefs(
            self._refs,
            moved={here.events_ref: tip},
            renamed={"refs/heads/": f"refs/remotes/{self._name}/"},
        )
        mark = self._mark(common, last)
        report = Auditor(
            here, refs=fetched, mark=mark, remember=False, on_progress=on_progress
        ).run()
        if not report.audit.is_ok:
            kind = MismatchError if report.audit.outcome == "mismatch" else CorruptedError
            hint = "nothing was taken over; ask who keeps the server how that came in"
            if report.audit.check == 11 and not self._has_every_branch():
                ways = bring_every_branch(self._name)
                hint = f"this clone fetches some branches alone; for all of them: {ways}"
            raise kind(
                f"the log on '{self._name}' does not hold",
                cause=f"check {report.audit.check}: {report.audit.message} "
                f"(commit {str(report.failed_commit)[:12]})",
                hint=hint,
            )
        loaded = load_tip(here, tip)
        elsewhere = tuple(report.elsewhere) if report.branch is not None else ()
        if report.branch is not None and elsewhere:
            report.notes.append(f"{placement.said(report.branch, elsewhere)} of '{self._name}'")
        return Incoming(
            tip,
            loaded.tip.seq,
            loaded.tip.log_id,
            report.genesis,
            common,
            loaded.tip.seq - (0 if common is None else seq_of(here, common)),
            loaded.tip.seq - report.since,
            report.trust,
            loaded.state,
            report.branch,
            report.branch_tip,
            tuple(report.notes),
            None if report.since else report.mark,
            elsewhere,
        )

    def _has_every_branch(self) -> bool:
        specs = self._repository.settings(f"remote.{self._name}.fetch")
        return any(spec.lstrip("+").startswith("refs/heads/*:") for spec in specs)

    def _mark(self, common: str | None, last: LastSeen | None) -> Mark | None:
        """Return the point from which to verify: where the remote was seen, or what was verified
        here, as far as both logs have it. A log that was never verified here is none."""
        here = self._repository
        if last is not None and (common is None or last.seq >= seq_of(here, common)):
            return last
        known = read_mark(here, mark_path(here))
        shared = None
        if common is not None and known is not None and known.tip in here.odb:
            shared = common_event(here, known.tip, common)
        if known is None or shared is None:
            return last
        found = read_event_commit(here.read, shared)
        if last is not None and last.seq >= found.event.seq:
            return last
        mark = replace(known, tip=shared, seq=found.event.seq, branch=None, branch_tip=None)
        if last is not None:
            mark = replace(mark, branch=last.branch, branch_tip=last.branch_tip)
        return mark


def check_last_seen(
    repository: Repository, name: str, pin_path: Path, tip: str, pin: LastSeen
) -> None:
    """Refuse a log that does not contain what the remote was seen with (check 1)."""
    seq = seq_of(repository, tip)
    meets = None
    if pin.tip in repository.odb:
        meets = common_event(repository, pin.tip, tip)
    if meets == pin.tip:
        return
    hint = f"nothing was taken over; if '{name}' is meant to have another log, delete '{pin_path}'"
    if meets is None:
        raise MismatchError(
            f"'{name}' has another log than before",
            cause=f"{check_name(1)}: it had log {pin.log_id[:12]} with {pin.seq} events, "
            f"and has {seq} of another",
            hint=hint,
        )
    last = seq_of(repository, meets)
    if meets == tip:
        raise MismatchError(
            f"the log on '{name}' was rolled back to event {seq}",
            cause=f"{check_name(1)}: it had {pin.seq} events when it was last seen; "
            f"{pin.seq - seq} are gone",
            hint=hint,
        )
    raise MismatchError(
        f"the log on '{name}' was rewritten after event {last}",
        cause=f"{check_name(1)}: events {last + 1} to {pin.seq}, as they were last seen "
        "there, are not in it any more",
        hint=hint,
    )
