"""The event commit, byte for byte (docs/FORMAT.md, "The event commit").

Everything but the signature follows from the event, its predecessor and the tree, so a commit is
verified by making its bytes again and comparing. `signed_message` is the one place that knows
the subject and the trailers; `event_commit` the one that knows the headers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from esaa_git.core.event import Event, epoch_seconds
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.printable import visible
from esaa_git.store.objects import encode_commit

COMMITTER = "git-esaa orchestrator <orchestrator@esaa.invalid>"
"""Who commits events and effects. `.invalid` never resolves (RFC 2606)."""

ROOT_ENTRIES = (
    "contracts",
    "decision",
    "event.json",
    "exchange",
    "files",
    "programs",
    "roadmap",
    "subject.json",
)
_TRAILER = re.compile(r"^(ESAA-[A-Za-z0-9-]+|Assisted-by): (.+)$", re.MULTILINE)


def identity(actor: str) -> str:
    """Return git's `name <email>` of an actor: persons by their address, others at esaa.invalid."""
    if actor == ORCHESTRATOR:
        return COMMITTER
    return f"{actor} <{actor}>" if "@" in actor else f"{actor} <{actor}@esaa.invalid>"


def event_commit(
    event: Event,
    *,
    tree: str,
    parent: str | None,
    log_id: str,
    previous_sha256: str,
    run_id: str | None,
) -> bytes:
    """Return the unsigned bytes of the commit that carries the event."""
    when = f"{epoch_seconds(event.ts)} +0000"
    return encode_commit(
        tree,
        () if parent is None else (parent,),
        f"{identity(event.actor)} {when}",
        f"{COMMITTER} {when}",
        signed_message(event, log_id, previous_sha256, run_id),
    )


def signed_message(event: Event, log_id: str, previous_sha256: str, run_id: str | None) -> str:
    """Return the message: the subject, and the trailers that bind event, predecessor and log."""
    trailers = [
        f"ESAA-Log: {log_id}",
        f"ESAA-Seq: {event.seq}",
        f"ESAA-Event-SHA256: {event.sha256}",
        f"ESAA-Prev-SHA256: {previous_sha256}",
    ]
    if run_id is not None:
        trailers.append(f"ESAA-Run: {run_id}")
    if event.task_id is not None:
        trailers.append(f"ESAA-Task: {event.task_id}")
    if event.attempt_id is not None:
        trailers.append(f"ESAA-Attempt: {event.attempt_id}")
    return event.subject + "\n\n" + "\n".join(trailers) + "\n"


def effect_commit(
    *,
    tree: str,
    parents: tuple[str, ...],
    agent: str,
    ts: str,
    summary: str,
    event_commit: str,
    log_id: str | None,
    run_id: str,
    task_id: str,
    attempt_id: str,
    assisted_by: str | None,
    reviewed_by: Iterable[str] = (),
) -> bytes:
    """Return the unsigned bytes of an effect commit on the working branch.

    `log_id` is None for one that was made before effects named their log. The author is the agent
    and the committer the orchestrator, both at the time of the event. `assisted_by` is
    `AGENT:MODEL`, as the Linux kernel's convention for attribution has it
    (Documentation/process/coding-assistants.rst); an agent never adds `Signed-off-by`.
    `reviewed_by` names the people who approved it.
    """
    when = f"{epoch_seconds(ts)} +0000"
    trailers = [
        f"ESAA-Event: {event_commit}",
        *(() if log_id is None else (f"ESAA-Log: {log_id}",)),
        f"ESAA-Run: {run_id}",
        f"ESAA-Task: {task_id}",
        f"ESAA-Attempt: {attempt_id}",
    ]
    if assisted_by is not None:
        trailers.append(f"Assisted-by: {assisted_by}")
    trailers += [f"Reviewed-by: {identity(person)}" for person in reviewed_by]
    return encode_commit(
        tree,
        parents,
        f"{identity(agent)} {when}",
        f"{COMMITTER} {when}",
        _message(task_id, summary) + "\n\n" + "\n".join(trailers) + "\n",
    )


def proposal_commit(
    *, tree: str, parent: str, author: str, ts: str, attempt_id: str, rejected: bool
) -> bytes:
    """Return the unsigned bytes of the commit that shows what an attempt proposes.

    Its message claims no event and holds no word of an agent's.

    Args:
        author: who proposes it, as in `identity`.
        rejected: the answer broke a rule; else it waits, for a review or to be judged.
    """
    when = f"{epoch_seconds(ts)} +0000"
    said = proposal_message(attempt_id, rejected=rejected)
    committer = f"{COMMITTER} {when}"
    return encode_commit(tree, (parent,), f"{identity(author)} {when}", committer, said)


def proposal_message(attempt_id: str, *, rejected: bool) -> str:
    """Return the message of that commit."""
    how = "The answer was rejected; this is what could be kept of it."
    return f"proposal of {attempt_id}\n\n{how if rejected else 'It waits to be accepted.'}\n"


def _message(task_id: str, summary: str) -> str:
    """Return subject and body from a summary that may have any length and many lines.

    Each line of the body is a quotation, so none of it can be read as a patch by git am(1), as a
    trailer, or as a claim of ours.
    """
    first, _, rest = visible(summary.strip()).partition("\n")
    subject = f"{task_id}: {' '.join(first.split())}"
    body = rest.strip()
    if len(subject) > 72:
        cut = subject.rfind(" ", 40, 71)
        body = f"…{subject[cut:] if cut > 0 else subject[71:]}\n{body}".strip()
        subject = (subject[:cut] if cut > 0 else subject[:71]) + "…"
    lines = [f"> {line}".rstrip() for line in body.split("\n")]
    return subject + ("\n\n" + "\n".join(lines) if body else "")


# -- the trailers of a message ----------------------------------------------------------------


def trailers(message: bytes) -> Mapping[str, str]:
    """Return our trailers from the last paragraph of a message; a repeated one is not returned.

    This is how we write them, for commits whose bytes are held against what we would have
    written. What anybody's commit claims, `store.trailers` reads.
    """
    last = message.decode("utf-8", "replace").rstrip("\n").rsplit("\n\n", 1)[-1]
    found: dict[str, list[str]] = {}
    for name, value in _TRAILER.findall(last):
        found.setdefault(name, []).append(value)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def claimed_seq(message: bytes) -> int | None:
    """Return the sequence number that the message of an event commit claims, if it is one."""
    said = trailers(message).get("ESAA-Seq", "")
    return int(said) if said.isdecimal() and len(said) < 16 else None
