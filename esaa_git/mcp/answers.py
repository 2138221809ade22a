"""From a caller's arguments to an envelope, through admission, to what the caller is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from esaa_git.app import changes, work
from esaa_git.app.project import Project
from esaa_git.app.status import at_tip
from esaa_git.app.work import Assignment, Outcome
from esaa_git.errors import RefusedError, UsageError
from esaa_git.mcp.words import over, refusal

if TYPE_CHECKING:
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.state import State
    from esaa_git.core.task import Attempt, Task

Result = dict[str, Any]


def view_of(found: Assignment) -> Result:
    """Return the request as a JSON value, without what only a writer of envelopes needs."""
    view: Result = json.loads(found.sent)
    return {**view, "answer": {"file_updates": view["answer"]["file_updates"]}}


def assigned(found: Assignment) -> Result:
    """Return the request of an attempt that is the caller's, and what to do with it."""
    return {
        "task_id": found.task_id,
        "attempt_id": found.attempt_id,
        "claimed": True,
        "deadline": found.deadline,
        "base": found.base,
        "next": "do what request.task asks for within request.contract.write; call heartbeat "
        "before the deadline if it takes long, and submit_result when it is done",
        "request": view_of(found),
    }


def updates_text(
    project: Project, attempt: Attempt, paths: Sequence[str], file_updates: str
) -> str | None:
    """Return the JSON text of the proposal's updates, or None where no file changes."""
    if paths and file_updates.strip():
        raise UsageError(
            "'paths' and 'file_updates' exclude each other",
            hint="name files of the checkout in 'paths', or write every change into 'file_updates'",
        )
    if paths:
        updates = changes.file_updates(project, paths, attempt.base, from_top=True)
        return json.dumps(updates, ensure_ascii=False)
    text = file_updates.strip()
    if not text:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            "'file_updates' is not JSON",
            cause=str(error),
            hint='write a list such as [{"op": "write", "path": "a.txt", "content": "..."}]',
        ) from error
    if not isinstance(value, list):
        raise UsageError(
            "'file_updates' is not a list",
            hint="put the updates between [ and ], each as request.answer.file_updates shows",
        )
    return text


def check_arguments(contracts: Contracts, action: str, payload: Mapping[str, Any]) -> None:
    """Refuse arguments that no admission could accept, before an attempt is spent on them."""
    from esaa_git.core.envelope import check_payload

    if action not in contracts.agent.actions:
        raise RefusedError(
            f"the contract does not allow {action} to anybody",
            cause=f"it allows {', '.join(sorted(contracts.agent.actions))}",
            hint="a person decides that, under 'actions' in .roadmap/AGENT_CONTRACT.yaml",
        )
    fault = check_payload(action, payload)
    if fault is not None:
        raise UsageError(
            fault.message, hint="correct that argument and call again; no attempt was spent"
        )


def envelope(action: str, task_id: str, attempt: Attempt, payload: str) -> bytes:
    """Return an envelope around a payload's JSON text, byte for byte as it was written."""
    head = json.dumps(
        {"action": action, "task_id": task_id, "attempt_id": attempt.attempt_id},
        ensure_ascii=False,
    )
    # A lone surrogate is for the decoder to refuse.
    return f'{head[:-1]}, "payload": {payload}}}'.encode(errors="surrogatepass")


def admit_answer(
    project: Project,
    by: str,
    task_id: str,
    attempt: Attempt,
    output: bytes,
    pause: Callable[[], None] = lambda: None,
) -> Result:
    """Have an answer admitted, and return what became of it.

    Raises:
        RefusedError: with the rejection, worded so that the caller can correct itself.
    """
    done = work.admit(project, by, output, task_id, attempt.attempt_id, pause)
    state, contracts = at_tip(project)
    if done.rejected is not None:
        raise refusal(done.rejected, state.tasks[task_id], contracts)
    return outcome(done, state)


def admit_late(
    project: Project, state: State, contracts: Contracts, by: str, task: Task, output: bytes
) -> Result:
    """Answer a submission to an attempt that is over: the same one again is harmless."""
    attempt = task.attempt
    assert attempt is not None  # _own looked at it
    if not work.was_admitted(project, by, output, state, contracts):
        if task.is_done:
            raise RefusedError(
                f"'{task.task_id}' is done, and done is final",
                hint="report what is wrong with it by report_issue",
            )
        raise over(task.task_id, attempt)
    result: Result = {"task_id": task.task_id, "outcome": "repeated", "state": task.state}
    return {**result, "message": "recorded already, nothing was done again"}


def outcome(done: Outcome, state: State) -> Result:
    """Return an outcome as the caller is told it, with where the task stands now."""
    task = state.tasks[done.task_id]
    result: Result = {
        "task_id": task.task_id,
        "attempt_id": done.attempt_id,
        "outcome": done.kind,
        "state": task.state,
        "message": done.message,
    }
    if done.effect_commit is not None:
        result["effect_commit"] = done.effect_commit
    if done.issue_id is not None:
        result["issue_id"] = done.issue_id
    if done.question_id is not None:
        result["question_id"] = done.question_id
    if done.in_the_way:
        result["in_the_way"] = list(done.in_the_way)
    if done.left_out_words:
        result["left_out"] = done.left_out_words
    if task.active_attempt is not None:
        result["deadline"] = task.active_attempt.deadline
    return result
