"""The refs that are ours: one table for the hook, push, fetch and doctor (docs/FORMAT.md, "Refs").

Beside the log stand checkpoints, proposals and the inbox, which are shared; names that a later
version writes; and names that are local and never pushed. Nothing else is below `refs/esaa/`. Where
the log is a branch, because a forge takes branches alone, the shared names stand below
`refs/heads/esaa/`.

This module decides by text alone and imports nothing: a hook needs it for every push.
"""

from __future__ import annotations

from typing import Final, NamedTuple

HEADS: Final = "refs/heads/"
OURS: Final = "refs/esaa/"
BRANCHES: Final = "refs/heads/esaa/"
"""The folder of the shared names where the log is a branch."""

DEFAULT_LOG: Final = "refs/esaa/events"

CHECKPOINT: Final = "checkpoint"
PROPOSAL: Final = "proposal"
INBOX: Final = "inbox entry"
LATER: Final = "later"
LOCAL: Final = "local"
UNKNOWN: Final = "unknown"

_CHECKPOINTS, _PROPOSALS, _INBOX = "checkpoints", "proposals", "inbox"
_LATER: Final = ("evals", "witness")
_LOCAL: Final = ("incoming", "remotes", "snapshots", "superseded")
_MOST_DIGITS = 16
_BEFORE: Final = (f"{HEADS}", "refs/tags/", "refs/remotes/", "refs/")
"""What git puts before a name that it is given (gitrevisions(7)); `/HEAD` behind a remote's."""

# Code points that a case-folding file system drops from names (git's own list, utf8.c).
_IGNORED: Final = frozenset(
    map(chr, (*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF))
)


class Name(NamedTuple):
    """What a ref below one of our folders is by its name.

    `seq` is a checkpoint's event; `task` and `attempt` are those of a proposal, `key` and `digest`
    those of a decision in the inbox.
    """

    kind: str
    seq: int | None = None
    task: str | None = None
    attempt: str | None = None
    key: str | None = None
    digest: str | None = None


def folder(log: str) -> str:
    """Return what stands before every shared name beside this log, its slash included."""
    return BRANCHES if log.startswith(HEADS) else OURS


def checkpoints(log: str) -> str:
    """Return the folder of checkpoints, its slash included."""
    return f"{folder(log)}{_CHECKPOINTS}/"


def checkpoint_ref(log: str, seq: int) -> str:
    """Return the ref of the checkpoint of an event."""
    return f"{checkpoints(log)}{seq}"


def proposals(log: str) -> str:
    """Return the folder of proposals, its slash included."""
    return f"{folder(log)}{_PROPOSALS}/"


def proposal_ref(log: str, task: str, attempt: str) -> str:
    """Return the ref of what an attempt proposed."""
    return f"{proposals(log)}{_part(task)}/{_part(attempt)}"


def inbox(log: str) -> str:
    """Return the folder of decisions that wait for a place in the log, its slash included."""
    return f"{folder(log)}{_INBOX}/"


def inbox_ref(log: str, key: str, digest: str) -> str:
    """Return the ref of a decision that waits: by the SHA-256 of its key, and of its document."""
    return f"{inbox(log)}{key}/{digest}"


def classify(ref: str, log: str) -> Name | None:
    """Return what a ref is by its name; None where it is in none of our folders.

    The log's own ref is not asked about.
    """
    shared = folder(log)
    if ref.startswith(shared):
        return _classify(ref.removeprefix(shared), shared == OURS)
    return _classify(ref.removeprefix(OURS), True, shared=False) if ref.startswith(OURS) else None


def may_hold_log(ref: str) -> bool:
    """Answer whether a log may be kept on this ref: not where another name of ours would be."""
    name = classify(ref, ref)
    return (
        f"{ref}/" not in (BRANCHES, checkpoints(ref), proposals(ref), inbox(ref))
        and (name is None or name.kind == UNKNOWN)
        and mistaken_for(ref, ref) is None
    )


def is_twin(ref: str, log: str) -> bool:
    """Answer whether a ref outside our folders would fall into one where names are folded."""
    return any(
        f"{folded(ref)}/".startswith(ours) and not ref.startswith(ours)
        for ours in {OURS, folder(log)}
    )


def mistaken_for(ref: str, log: str) -> str | None:
    """Return the name that git would no longer know from this one if it existed, or None.

    For a name that it is given, git looks in several folders (gitrevisions(7), git-push(1)). So
    `refs/heads/refs/esaa/events` makes `refs/esaa/events` ambiguous, and nobody could push there.
    Whatever has a full name in it, that of the working branch for instance, is such a name; and
    what the log, a checkpoint or a proposal is called for short.
    """
    for before in _BEFORE:
        if not (seen := folded(ref)).startswith(before):
            continue
        if (full := seen.removeprefix(before)).startswith("refs/"):
            return full.removesuffix("/head") if before == "refs/remotes/" else full
        short = ref[len(before) :]
        for full in (f"refs/{short}", f"{HEADS}{short}"):
            whole = full.removesuffix("/HEAD") if before == "refs/remotes/" else full
            if whole != ref and _is_shared(whole, log) and not _is_beside(ref, whole, log):
                return whole
    return None


def _is_shared(ref: str, log: str) -> bool:
    name = None if ref == log else classify(ref, log)
    return ref == log or (name is not None and name.kind in (CHECKPOINT, PROPOSAL, INBOX))


def _is_beside(ref: str, whole: str, log: str) -> bool:
    """Answer whether this may be a name of ours too, where the log begins on a branch."""
    return ref.startswith(BRANCHES) and whole != log


def folded(ref: str) -> str:
    """Return the name as a file system has it that folds case and drops what is not seen."""
    return "".join(char for char in ref if char not in _IGNORED).casefold()


def _classify(rest: str, is_ours: bool, *, shared: bool = True) -> Name:
    first, *more = rest.split("/")
    if is_ours and first in _LOCAL:
        return Name(LOCAL)
    if shared and first in _LATER:
        return Name(LATER)
    if shared and first == _CHECKPOINTS and len(more) == 1 and _is_number(more[0]):
        return Name(CHECKPOINT, seq=int(more[0]))
    if shared and first == _PROPOSALS and len(more) == 2:
        task, attempt = map(_whole, more)
        # One spelling alone: what is made again from its parts is the name.
        if [_part(task), _part(attempt)] == more and attempt.startswith(f"{task}-A"):
            return Name(PROPOSAL, task=task, attempt=attempt)
    if shared and first == _INBOX and len(more) == 2 and all(map(_is_digest, more)):
        return Name(INBOX, key=more[0], digest=more[1])
    return Name(UNKNOWN)


def _is_digest(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def _is_number(text: str) -> bool:
    digits = text.isascii() and text.isdecimal()
    return digits and not text.startswith("0") and len(text) <= _MOST_DIGITS


def _part(name: str) -> str:
    """Return an id as a part of a ref: `..` and `.lock` at the end are none (check-ref-format)."""
    part = name.replace("..", "%2E%2E")
    return part.removesuffix(".lock") + "%2Elock" if part.endswith(".lock") else part


def _whole(part: str) -> str:
    return part.replace("%2E", ".")
