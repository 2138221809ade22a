"""An agent that asks in plain words instead of proposing: they are taken for its question.

Nobody can answer while an agent works, so another attempt would ask the same again. What counts as
a question is little on purpose: an answer without any change, of an agent that could have changed
something, whose last words end in a question mark.
"""

from __future__ import annotations

import re
from typing import Final

from esaa_git.core.answer import Question, Result
from esaa_git.core.envelope import Envelope
from esaa_git.core.printable import printable
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import AgentOutput
from esaa_git.engine.lease import Lease
from esaa_git.engine.transaction import Transaction
from esaa_git.engine.verifier import Accepted, Repeated

_MOST: Final = 10_000
"""Characters of an answer that may be a question; a question holds no more."""

_LETTERS: Final = 3
"""Letters of a question; fewer are noise."""

_AROUND: Final = " \t\r\n*_`~\"')]»”’"
_ENDS: Final = ("?", "\uff1f", "\u061f")
_SENTENCE: Final = re.compile(r"(?:[.!?\u3002\uff1f]|\n)\s+(?=\S)")


def question_in(words: str) -> str | None:
    """Return the question with which words end, or None where they end otherwise."""
    text = words.strip(_AROUND)
    if not text.endswith(_ENDS) or len(text) > _MOST:
        return None
    start = 0
    for sentence in _SENTENCE.finditer(text):
        start = sentence.end()
    question = text[start:].strip(_AROUND)
    return question if sum(map(str.isalpha, question)) >= _LETTERS else None


def asked(
    engine: Engine, tx: Transaction, output: AgentOutput, verdict: Accepted | Repeated | Rejected
) -> Envelope | None:
    """Return the question that an answer amounts to which asks and proposes nothing, or None."""
    task = None if output.task_id is None else tx.state.tasks.get(output.task_id)
    attempt = None if task is None else task.active_attempt
    if (
        not output.is_final
        or task is None
        or attempt is None
        or (attempt.attempt_id, attempt.agent) != (output.attempt_id, output.actor)
        or tx.is_over(Lease.of(attempt, tx.contracts))
        or "question.ask" not in tx.contracts.agent.actions
        or not engine.verifier.boundary(task, tx.contracts).patterns
    ):
        return None
    words = _words(output, verdict)
    if words is None or question_in(words) is None:
        return None
    asks = Question(text=printable(words).strip())
    return Envelope("question.ask", task.task_id, attempt.attempt_id, asks)


def _words(output: AgentOutput, verdict: Accepted | Repeated | Rejected) -> str | None:
    """Return what was said in place of a proposal."""
    if isinstance(verdict, Accepted):
        given = verdict.envelope.payload
        return given.summary if isinstance(given, Result) and not given.file_updates else None
    if isinstance(verdict, Repeated):
        return None
    text = output.answer.output.decode(errors="replace")
    left_all = output.failure is not None and verdict.code == RejectCode.EMPTY_PROPOSAL
    # Where something of an object was begun, an answer was meant.
    is_prose = verdict.code == RejectCode.INVALID_JSON and "{" not in text
    return text if left_all or is_prose else None
