"""What only the log can put right: a journal that cannot be read, and a verified point."""

from __future__ import annotations

from esaa_git.core.events import TaskUpdate
from esaa_git.errors import EsaaError
from esaa_git.ports.branch import BranchMove
from esaa_git.ports.local import Followup
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.journal import FileJournal, journal_path
from esaa_git.store.objects import decode_commit, name_of
from esaa_git.store.program import run_git
from esaa_git.store.repository import Repository
from esaa_git.store.tip import load_tip
from esaa_git.verification.pins import mark_path, read_mark

_LAST_EVENTS = 1000
"""How far back the last effect is looked for: one transaction, and it closes a task."""


def damaged_mark(repository: Repository) -> EsaaError | None:
    """Return what is wrong with the verified point, where it cannot be read."""
    try:
        read_mark(repository, mark_path(repository))
    except EsaaError as error:
        return error
    return None


def forget_mark(repository: Repository) -> str:
    """Have the next verification start from genesis."""
    path = mark_path(repository)
    path.unlink(missing_ok=True)
    return f"removed '{path}': the next 'git esaa verify' starts from the first event"


def rebuild_journal(repository: Repository) -> str:
    """Replace a journal that cannot be read by what the log says of its last effect.

    Every command finishes what the one before has left, so only the last effect of the log can
    still be on its way. Bringing checkouts after a branch that has it already changes nothing.
    """
    path = journal_path(repository)
    path.unlink(missing_ok=True)
    followup = _last_effect(repository)
    if followup is None:
        return f"removed '{path}', which could not be read; the log names no effect"
    journal = FileJournal(repository)
    journal.write(followup)
    journal.pause()
    return f"wrote '{path}' anew from the log: the effect of {followup.task_id}"


def _last_effect(repository: Repository) -> Followup | None:
    oid = tip = repository.ref_target(repository.events_ref)
    for _ in range(_LAST_EVENTS):
        if tip is None or oid is None:
            break
        found = read_event_commit(repository.read, oid)
        payload = found.event.payload
        if isinstance(payload, TaskUpdate) and payload.effect_commit is not None:
            effect, run = payload.effect_commit, load_tip(repository, tip).state.run
            parent = decode_commit(repository.read(effect)[1]).parents[0]
            options = ("-r", "-z", "--name-only", "--no-renames")
            said = run_git(repository.git_dir, "diff-tree", *options, parent, effect)
            paths = name_of(said).split("\0")[:-1]
            move = BranchMove(str(run.branch), parent, effect)
            return Followup(tip, move, payload.task_id, paths)
        oid = found.parent
    return None
