"""Whatever bytes come from a program that is to speak the protocol, there is a typed outcome."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esaa_git.agents.acp.turn import Ask, OutOfTime, Turn, Unanswered
from tests.agents.memory import no_pause
from tests.support.patience import patience

session = pytest.importorskip(
    "esaa_git.agents.acp.session", reason="the extra 'acp' is not installed", exc_type=ImportError
)


class Recorded:
    """A program that said all it has to say, and has ended."""

    exceeded = None

    def __init__(self, output: bytes) -> None:
        self.stdout, stdout = (
            os.fdopen(end, mode) for end, mode in zip(os.pipe(), RW, strict=True)
        )
        self.stderr, stderr = (
            os.fdopen(end, mode) for end, mode in zip(os.pipe(), RW, strict=True)
        )
        self.unread, self.stdin = (
            os.fdopen(end, mode) for end, mode in zip(os.pipe(), RW, strict=True)
        )
        with stdout, stderr:
            stdout.write(output)

    def poll(self) -> int:
        return 0


RW = ("rb", "wb")
KEYS = """
    sessionId update sessionUpdate content type text options toolCall protocolVersion stopReason
    configOptions models usage error result id method params code message agent_message_chunk
    usage_update cost session/update session/request_permission end_turn currency USD amount
"""
WORDS = st.sampled_from(KEYS.split())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.text(max_size=5) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
GREETING = {"id": 0, "result": {"protocolVersion": 1}}
SESSION = {"id": 1, "result": {"sessionId": "s"}}
BEGINNINGS = st.sampled_from([[], [GREETING], [GREETING, SESSION]])
ANSWERS = st.sampled_from(
    [
        GREETING,
        SESSION,
        {"id": 1, "result": {"sessionId": "s", "models": {"availableModels": 7}}},
        {"id": 2, "result": {"stopReason": "end_turn"}},
        {"id": 1, "error": {"code": -32000}},
    ]
)
MESSAGES = st.one_of(
    ANSWERS,
    VALUES,
    st.fixed_dictionaries({"id": st.integers(0, 3), "result": VALUES}),
    st.fixed_dictionaries({"id": st.integers(0, 3), "error": VALUES}),
    st.fixed_dictionaries({"method": WORDS, "params": VALUES}, optional={"id": VALUES}),
)


LINES = st.lists(MESSAGES.map(lambda value: json.dumps(value).encode()) | st.binary(), max_size=8)


@given(BEGINNINGS, LINES)
def test_whatever_a_program_says_there_is_a_turn_or_a_reason_why_not(
    beginning: list[Any], then: list[bytes]
) -> None:
    lines = [json.dumps(message).encode() for message in beginning] + then
    program = Recorded(b"\n".join(lines) + b"\n")
    heard: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        outcome = answered(program)
    finally:
        logging.getLogger().removeHandler(handler)
        program.unread.close()
    assert isinstance(outcome, Turn) or str(outcome)
    assert not isinstance(outcome, OutOfTime)
    assert heard == []


def answered(program: Recorded) -> Turn | Unanswered:
    try:
        ask = Ask("?", Path("/"), "m", ())
        return session.take_turn(program, ask, time.monotonic() + patience(60), no_pause)
    except Unanswered as error:
        return error
