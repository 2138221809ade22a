"""`question.ask` and `question.answer`: an agent asks, and a person answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from esaa_git.core.events.base import Line, Payload, Stamp
from esaa_git.core.events.decided import DecisionPayload
from esaa_git.core.events.fields import (
    Actor,
    AttemptId,
    Decided,
    QuestionId,
    Said,
    Sha256,
    SpokenExchange,
    TaskId,
    Tries,
    Usage,
)
from esaa_git.core.events.spec import AGENT, PERSON, same_person
from esaa_git.core.invariants import Violation
from esaa_git.core.task import Question

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft

ASK = "question.ask"


class QuestionAsk(Payload, action=ASK, by={AGENT}):
    """An agent cannot go on before it knows something; its attempt ends so, and does not count.

    What it asks lies in `exchange`.
    """

    question_id: QuestionId
    task_id: TaskId
    attempt_id: AttemptId
    exchange: SpokenExchange
    model: Annotated[str, Line()] | None = None
    usage: Usage | None = None
    latency_ms: int | None = None
    tries: Tries | None = None
    agent: Actor | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        question_id = f"Q-{draft.run.questions + 1:04d}"
        if self.question_id != question_id:
            raise Violation("INV-005", f"the next question is {question_id}")
        task, attempt = draft.active_attempt(self.task_id, self.attempt_id)
        if event.actor != attempt.agent:
            raise Violation("INV-002", f"'{attempt.attempt_id}' is held by {attempt.agent}")
        state = draft.step("attempt", attempt.state, ASK)
        said = self.exchange.text
        asked = Question(question_id, attempt.attempt_id, said.sha256, said.blob, event.ts)
        draft.change_run(questions=draft.run.questions + 1)
        draft.put_task(
            replace(
                task,
                attempt=replace(attempt, state=state),
                questions=(*task.questions, asked),
            )
        )

    def subject(self) -> str:
        return f"{self.question_id} for {self.attempt_id}"


class QuestionAnswer(DecisionPayload, action="question.answer", by={PERSON}):
    """A person answers: by a document that names the question and the salted digest of its text."""

    question_id: QuestionId
    question_sha256: Sha256
    task_id: TaskId
    decision: Decided
    said: Said

    def arguments(self) -> dict[str, Any]:
        """Return what is decided; which task asked is no part of it, for the question tells."""
        given = super().arguments()
        return {name: item for name, item in given.items() if name != "task_id"}

    def evolve(self, draft: Draft, event: Stamp) -> None:
        task = draft.task(self.task_id)
        asked = task.question(self.question_id)
        if asked is None or asked.sha256 != self.question_sha256:
            raise Violation("INV-002", f"'{task.task_id}' has asked no such '{self.question_id}'")
        if asked.by is not None:
            raise Violation("INV-002", f"'{self.question_id}' is answered already, by {asked.by}")
        if task.attempt is not None and same_person(event.actor, task.attempt.agent):
            raise Violation("INV-002", "nobody answers their own question")
        answered = replace(asked, by=event.actor, answer=self.said.text)
        draft.put_task(
            replace(
                task,
                questions=tuple(answered if one is asked else one for one in task.questions),
            )
        )

    def subject(self) -> str:
        return f"{self.question_id} of {self.task_id}"
