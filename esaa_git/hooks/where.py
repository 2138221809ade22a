"""Which ref of the server holds the log: the guard follows it, and needs no setting for that.

`esaa.eventsRef` decides where it is set. Elsewhere the log is `refs/esaa/events`, or a branch whose
tip has the form of an event: what was a log there before the push is guarded as one, and what
would be one after it has to be the only one.
"""

from __future__ import annotations

from collections.abc import Sequence

from esaa_git.core import refnames
from esaa_git.errors import RefusedError
from esaa_git.hooks.commands import BRANCHES, Command, Settings
from esaa_git.hooks.program import event_tips, refs_at

_TELL = "on the server, run 'git config esaa.eventsRef REF' with the ref that holds the log"


def follow_log(commands: Sequence[Command], settings: Settings, namespace: str) -> Settings:
    """Return the settings with the ref that this push means where it means the log.

    Raises:
        RefusedError: if there were two logs after the push.
    """
    if settings.is_told:
        return settings
    branches = [one for one in commands if one.ref.startswith(BRANCHES)]
    # Where a ref is, the server says: what the push calls the old commit may be none.
    before = {one.ref: namespace + one.ref for one in branches}
    names = [*before.values(), *(one.new for one in branches if one.new is not None)]
    events = event_tips(names) if names else frozenset()
    logs = [one for one in branches if before[one.ref] in events or one.new in events]
    if not logs:
        begins = any(one.ref == settings.log for one in commands)
        below = any(one.ref.startswith(refnames.BRANCHES) for one in commands)
        if (begins or below) and not refs_at(namespace + settings.log):
            return _checked(commands, log_among_branches(settings, namespace))
        return settings
    (log, *others) = logs
    is_new = before[log.ref] not in events
    usual = any(one.ref == settings.log for one in commands)
    if others or (is_new and (usual or refs_at(namespace + settings.log))):
        raise _second(log.ref, settings.log if not others else others[0].ref)
    if is_new:
        known = log_among_branches(settings, namespace).log
        if known not in (settings.log, log.ref):
            raise _second(log.ref, known)
    return settings._replace(log=log.ref)


def log_among_branches(settings: Settings, namespace: str) -> Settings:
    """Return the settings with the branch that is a log by its form, where there is one.

    Raises:
        RefusedError: if several are.
    """
    heads = refs_at(f"{namespace}{BRANCHES}")
    events = event_tips(list(heads)) if heads else frozenset()
    logs = [ref.removeprefix(namespace) for ref in heads if ref in events]
    if len(logs) > 1:
        raise _second(logs[0], logs[1])
    return settings._replace(log=logs[0]) if logs else settings


def _checked(commands: Sequence[Command], found: Settings) -> Settings:
    """Refuse to begin a log at the usual ref where a branch holds one."""
    for one in commands:
        if one.ref == refnames.DEFAULT_LOG != found.log and one.new is not None:
            raise _second(one.ref, found.log)
    return found


def _second(ref: str, other: str) -> RefusedError:
    return RefusedError(
        f"'{ref}' is refused: the log of this repository is '{other}'",
        cause="check 1, the anchor and the pin: a repository has one log; a copy on another ref "
        "would be taken for it",
        hint=_TELL + ", if this one is meant",
    )
