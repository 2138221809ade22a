"""Checks that log and branch travel together: no effect without its event, and the reverse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from esaa_git.core import logid
from esaa_git.errors import EsaaError, RefusedError
from esaa_git.hooks.commands import BRANCHES, Command, Settings
from esaa_git.hooks.program import Remote, ask_remote, is_here, not_in
from esaa_git.hooks.receive import Log
from esaa_git.store import commitform
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.objects import message_of
from esaa_git.store.position import contains
from esaa_git.store.refs import GitRefs
from esaa_git.store.repository import Repository, open_repository
from esaa_git.verification.effects import closed_in
from esaa_git.verification.hints import LOOK, RECORDS_OR_COPY


def check_events_travel(
    claims: Mapping[str, Mapping[str, bytes]],
    log: Command | None,
    settings: Settings,
    remote: Remote,
) -> None:
    """Refuse effects whose events are neither on the remote nor part of the push.

    Args:
        claims: by branch, the commits that may claim to be effects, in raw bytes.
        log: what the push does to the log, if anything.
    """
    repository = open_repository()
    if not any(claims.values()):
        return
    tip = log.new if log is not None else ask_remote(remote, settings.log)
    if tip is not None and not is_here(tip):
        raise RefusedError(
            f"the log on '{remote.name}' has events that are not here",
            cause=f"'{settings.log}' is at {tip[:12]} there",
            hint=f"run 'git fetch {remote.name} {settings.log}', then repeat the push",
        )
    known = None if tip is None else Log(repository, settings.log, tip)
    for ref, commits in claims.items():
        for oid, data in commits.items():
            if known is None or not known.standing(oid, data).is_founded:
                raise _alone(repository, ref, oid, data, log, settings, remote)


def _alone(
    repository: Repository,
    ref: str,
    oid: str,
    data: bytes,
    log: Command | None,
    settings: Settings,
    remote: Remote,
) -> RefusedError:
    said = commitform.trailers(message_of(data))
    what = f"{oid[:12]} is the effect of {said.get('ESAA-Task', 'no task')}"
    here = repository.ref_target(settings.log)
    branch = ref.removeprefix(BRANCHES)
    ours = None if log is not None or here is None else Log(repository, settings.log, here)
    if ours is not None and ours.standing(oid, data).is_founded:
        return RefusedError(
            f"'{branch}' would reach '{remote.name}' without the events of its effects",
            cause=f"{what}, and the log there does not say so yet",
            hint=f"push both: 'git push --atomic {remote.name} {settings.log} {branch}', or "
            "'git esaa push'",
        )
    return RefusedError(
        f"'{branch}' holds a commit that claims an event, and no log knows it",
        cause=f"{what}, says its message or its author",
        hint=RECORDS_OR_COPY,
    )


def check_effects_travel(log: Command, branches: Sequence[Command], remote: Remote) -> None:
    """Refuse events whose effects will be on no branch of the remote, as far as is known here."""
    repository = open_repository()
    after = {command.ref: command.new for command in branches}
    pushed = [command.new for command in branches if command.new is not None]
    judge = None if log.new is None else Log(repository, log.ref, log.new)
    for branch, effects in _closed(repository, log).items():
        ref = BRANCHES + branch
        tip = after[ref] if ref in after else ask_remote(remote, ref)
        if tip is not None and not is_here(tip):
            continue  # the branch has moved on the remote: the server knows, and we do not
        tips = [*pushed, *(() if tip is None else (tip,))]
        missing = not_in([oid for oid in effects if is_here(oid)], *tips)
        missing |= {oid for oid in effects if not is_here(oid)}
        if missing and judge is not None:
            carriers = {oid for oid in judge.judge.carriers if is_here(oid)}
            missing -= judge.carried(carriers - not_in(carriers, *tips)).keys() | judge.given_up
        for effect, name in effects.items():
            if effect in missing:
                with_it = _branch_with(repository, branch, effect, judge)
                raise RefusedError(
                    f"the log would reach '{remote.name}' without the effect of {name}",
                    cause=f"{effect[:12]} is on no branch there after this push, and "
                    "esaa.requireEffects is set",
                    hint=LOOK
                    if with_it is None
                    else f"push both: 'git push --atomic {remote.name} {log.ref} {with_it}', or "
                    "'git esaa push'",
                )


def _branch_with(repository: Repository, branch: str, effect: str, judge: Log | None) -> str | None:
    """Return a branch here that holds an effect or what carries it, `branch` before all others."""
    holders = {effect}
    if judge is not None:
        carriers = (oid for oid in judge.judge.carriers if is_here(oid))
        holders |= {oid for oid in carriers if effect in judge.carried([oid])}
    holders = {oid for oid in holders if is_here(oid)}
    refs = GitRefs(repository)
    for ref in sorted(refs.list(BRANCHES), key=lambda ref: ref != BRANCHES + branch):
        tip = refs.read(ref)
        if tip is not None and any(contains(repository, tip, oid) for oid in holders):
            return ref.removeprefix(BRANCHES)
    return None


def _closed(repository: Repository, log: Command) -> dict[str, dict[str, str]]:
    """Return, by branch, the effects that the pushed events name, each with its event's id."""
    found: dict[str, dict[str, str]] = {}
    oid = log.new
    while oid is not None and oid != log.old:
        try:
            one = read_event_commit(repository.read, oid)
        except EsaaError:
            break  # what this is, the server says
        imported = logid.imported_events(one.trailers.get("ESAA-Log"))
        closed = closed_in(repository.read, one) if one.event.seq > imported else None
        if closed is not None:
            found.setdefault(closed.branch, {})[closed.effect_commit] = one.event.event_id
        oid = one.parent
    return found
