"""Events told one after the other, for tests of what each of them does to the state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from esaa_git.core.event import Event, NewEvent, after, seal
from esaa_git.core.events.base import encode
from esaa_git.core.invariants import Violation
from esaa_git.core.projection import evolve
from esaa_git.core.said import Refusal
from esaa_git.core.said import encode as encode_refusal
from esaa_git.core.state import EMPTY, State
from esaa_git.core.task import Task
from esaa_git.core.undo import definition as definition_of_undo
from tests.support.examples import OID, SHA256, TS
from tests.support.records import new_event, request_for, signed_by_nobody

AGENT = "agent-spec"
PERSON = "person@example.com"
HALF_AN_HOUR = 30 * 60 * 1000
OUTPUT = {"sha256": SHA256, "bytes": 3}
KEPT = {"sha256": SHA256, "bytes": 3, "blob": OID}
REFUSED = {"salt": OID, "refusal": KEPT}
REVIEWED = {"salt": OID, "text": KEPT}


def definition(task_id: str = "T-1", kind: str = "spec", **more: Any) -> dict[str, Any]:
    return {"task_id": task_id, "kind": kind, "title": f"Task {task_id}", **more}


def added(path: str) -> dict[str, Any]:
    """Return a file that appears, as an effect names it."""
    after = {"mode": "100644", "after": OID, "sha256": SHA256, "bytes": 3}
    return {"path": path, "change": "add", **after}


class Story:
    """A state and the events that led to it; every step returns the story, so steps chain."""

    def __init__(self) -> None:
        self.state: State = EMPTY
        self.events: list[Event] = []
        self.now = TS

    def then(self, action: str, actor: str = "orchestrator", /, **payload: Any) -> Self:
        """Add one event, after the request that it carries out, where it needs one.

        Raises:
            Violation: if it is forbidden; the story then ends before it.
        """
        if action != "operator.request" and (
            payload.get("cause") == "operator" or payload.get("supersedes")
        ):
            payload = {"by": PERSON, **payload}
        wanted = new_event(action, actor, payload)
        request = request_for(wanted.payload, self.state.seq)
        if request is None:
            self._add(wanted)
            return self
        before, told = self.state, len(self.events)
        try:
            self._add(request)
            self._add(replace(wanted, causation_id=self.events[-1].event_id))
        except Violation:
            self.state = before
            del self.events[told:]
            raise
        return self

    def _add(self, new: NewEvent) -> None:
        event = seal(new, after_seq=self.state.seq, after_ts=self.state.ts, now=self.now)
        self.state = evolve(self.state, event)
        self.events.append(event)

    def refused(self, action: str, actor: str = "orchestrator", /, **payload: Any) -> Violation:
        """Return the violation that this event is; nothing changes by it."""
        before = self.state
        try:
            self.then(action, actor, **payload)
        except Violation as violation:
            assert self.state is before
            return violation
        raise AssertionError(f"{action} was taken")

    def task(self, task_id: str = "T-1") -> Task:
        return self.state.tasks[task_id]

    def later(self, milliseconds: int) -> Self:
        self.now = after(self.now, milliseconds)
        return self

    # -- the steps of an ordinary run -----------------------------------------------------------

    def started(self, *tasks: Mapping[str, Any]) -> Self:
        return self.then(
            "run.init",
            run_id=f"RUN-{self.state.run.number + 1:04d}",
            project="example",
            branch="main",
            base=OID,
            contracts=[{"path": "AGENT_CONTRACT.yaml", "sha256": SHA256}],
            tasks=list(tasks),
        )

    def attempt(self, task_id: str = "T-1", agent: str = AGENT, **more: Any) -> Self:
        """Open the next attempt."""
        number = self.task(task_id).attempts_total + 1
        payload = {
            "attempt_id": f"{task_id}-A{number}",
            "number": number,
            "mode": "dispatch",
            "base": OID,
            "deadline": after(max(self.now, self.state.ts), HALF_AN_HOUR),
            **more,
        }
        return self.then("attempt.create", task_id=task_id, agent=agent, **payload)

    def here(self, task_id: str = "T-1") -> dict[str, str]:
        """Return what names the task and its current attempt."""
        attempt = self.task(task_id).attempt
        assert attempt is not None
        return {"task_id": task_id, "attempt_id": attempt.attempt_id}

    def result(self, task_id: str = "T-1", paths: tuple[str, ...] = (), **more: Any) -> Self:
        attempt = self.task(task_id).attempt
        assert attempt is not None
        payload = {"summary": "Done.", "output_sha256": SHA256, "paths": list(paths), **more}
        return self.then("agent.result", attempt.agent, **self.here(task_id), **payload)

    def written(self, task_id: str = "T-1") -> Self:
        result = self.task(task_id).result
        assert result is not None
        files = [added(path) for path in result.paths]
        return self.then(
            "orchestrator.file.write",
            **self.here(task_id),
            base=OID,
            files=files,
            changed_lines=1,
        )

    def update(self, task_id: str, to: str, cause: str, **more: Any) -> Self:
        state = self.task(task_id).state
        return self.then(
            "task.update", task_id=task_id, **{"from": state}, to=to, cause=cause, **more
        )

    def closed(self, task_id: str = "T-1", cause: str = "accepted", **more: Any) -> Self:
        if self.task(task_id).effect == "written":
            more = {"effect_commit": OID, **more}
        attempt_id = self.here(task_id)["attempt_id"]
        return self.update(task_id, "done", cause, attempt_id=attempt_id, **more)

    def done(self, task_id: str = "T-1", *paths: str) -> Self:
        """Bring a task from todo to done."""
        self.attempt(task_id).result(task_id, paths)
        if paths:
            self.written(task_id)
        return self.closed(task_id)

    def rejected(self, task_id: str = "T-1", **more: Any) -> Self:
        payload = {"code": "INVALID_JSON", "exchange": REFUSED, **more}
        return self.then("output.rejected", **self.here(task_id), output=OUTPUT, **payload)

    def read(self, blob: str) -> bytes:
        """Return why an answer was refused, which is the same for all; nobody has other words."""
        if blob != OID:
            raise KeyError(blob)
        return encode_refusal(Refusal(message="not JSON", detail={"offset": 0}, preview="???"))

    def asked(self, task_id: str = "T-1", **more: Any) -> Self:
        """Ask for an approval of the task's result."""
        asked = {
            "approval_id": f"APR-{self.state.run.approvals + 1:04d}",
            "kind": "proposal",
            "subject_sha256": SHA256,
            "requirements": [{"rule": "by contract", "role": "approver"}],
            "nonce": "0" * 32,
        }
        return self.then("approval.request", **self.here(task_id), **{**asked, **more})

    def answer(self, approval_id: str = "APR-0001", **more: Any) -> dict[str, Any]:
        """Return the payload of a decision, but for what is decided."""
        about = {"approval_id": approval_id, "subject_sha256": SHA256, "nonce": "0" * 32}
        return about | signed_by_nobody(self.state.seq) | more

    def granted(self, by: str = PERSON, **more: Any) -> Self:
        return self.then("approval.grant", by, **self.answer(**{"role": "approver", **more}))

    def denied(self, by: str = PERSON, **more: Any) -> Self:
        """Send a result back, or deny it with the verdict `deny`."""
        more = {"verdict": "request_changes", **more}
        return self.then("approval.deny", by, **self.answer(**more))

    def undo_asked(self, *tasks: str, by: str = PERSON) -> str:
        """Record an admin's request to undo these tasks, and return its id."""
        asked = {"kind": "undo", "tasks": list(tasks)} | signed_by_nobody(self.state.seq)
        self.then("operator.request", by, **asked)
        return self.events[-1].event_id

    def undo_begun(self, request: str | None, undone: str, **more: Any) -> Self:
        """Create the task that undoes another one, at a request."""
        task = encode(definition_of_undo(self.state, undone))
        payload = {"task": task, "undoes": undone, "by": PERSON, **more}
        wanted = new_event("task.create", "orchestrator", payload)
        self._add(replace(wanted, causation_id=request))
        return self

    def undo_opened(self, task_id: str, **more: Any) -> Self:
        return self.attempt(task_id, "orchestrator", **{"mode": "undo", **more})

    def undo_written(self, task_id: str, *files: Mapping[str, Any], **more: Any) -> Self:
        """Record the effect of an undo; by default what undoes what `written` wrote."""
        undone = self.task(str(self.task(task_id).undoes)).result
        assert undone is not None
        gone = [{"path": path, "change": "delete", "before": OID} for path in undone.paths]
        payload = {
            "base": OID,
            "files": list(files) or gone,
            "changed_lines": 1,
            "undoes": [added(path) for path in undone.paths],
            **more,
        }
        return self.then("orchestrator.file.write", **self.here(task_id), **payload)

    def undone(self, *tasks: str) -> Self:
        """Have tasks undone whose effects `written` wrote, and return the story."""
        request = self.undo_asked(*tasks)
        for name in tasks:
            self.undo_begun(request, name)
        for name in tasks:
            undo = self.state.undone.under_way(name)
            assert undo is not None
            self.undo_opened(undo.task_id)
            if self.task(undo.task_id).effect == "pending":
                self.undo_written(undo.task_id)
            self.closed(undo.task_id)
        return self

    def ended(self, result: str = "success") -> Self:
        if result == "success":
            seq = self.state.seq
            self.then("verify.ok", checked_from=1, checked_to=seq, projection_hash_sha256=SHA256)
        run_id = self.state.run.run_id
        return self.then("run.end", run_id=run_id, result=result, reason="enough")
