"""What an answer is wrapped in is taken off where that leaves no doubt, and named where it does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from esaa_git.core.envelope import Envelope, decode
from esaa_git.core.rejection import RejectCode, Rejected

UPDATE = {"op": "write", "path": "a.txt", "content": '```\n</think> {"action": 1}\n'}
ANSWER: dict[str, Any] = {
    "action": "agent.result",
    "task_id": "T-1",
    "attempt_id": "T-1-A1",
    "payload": {"summary": "done", "file_updates": [UPDATE]},
}
BARE = json.dumps(ANSWER)
FENCED = f"```json\n{BARE}\n```"


def take(output: str) -> Envelope | Rejected:
    return decode(output.encode(), max_bytes=1 << 20)


def refused(output: str) -> Rejected:
    found = take(output)
    assert isinstance(found, Rejected)
    return found


@pytest.mark.parametrize(
    ("output", "how"),
    [
        (BARE, ()),
        (f"\ufeff{BARE}", ("byte-order-mark",)),
        (FENCED, ("fence",)),
        (f"\n~~~\n{BARE}\n~~~\n", ("fence",)),
        (f"```JSON {BARE}```", ("fence",)),
        (f"Here you go:\n\n{FENCED}\nLet me know!", ("fence", "prose")),
        (f"{BARE}\nI hope that helps.", ("prose",)),
        (f'I use {{x}} and {{"a": 1}}.\n{BARE}', ("prose",)),
        (f"<think>\nHm, {{\n</think>\n{BARE}", ("thinking",)),
        (f"<Thinking>a</Thinking><reasoning>b</reasoning>\n{FENCED}", ("thinking", "fence")),
        (f"So, what is wanted?\n</think>\n\n{BARE}", ("thinking",)),
        (f"\ufeffSure.\n```\n{BARE}\n```", ("byte-order-mark", "fence", "prose")),
        (json.dumps(BARE), ("container",)),
        (json.dumps([ANSWER]), ("container",)),
        (json.dumps({"response": {"envelope": ANSWER}}), ("container",)),
    ],
)
def test_what_leaves_no_doubt_is_taken_off(output: str, how: tuple[str, ...]) -> None:
    found = take(output)
    assert isinstance(found, Envelope)
    assert found.unwrapped == how
    assert found.payload == take(BARE).payload  # type: ignore[union-attr]


def test_remarks_beside_what_was_asked_for_are_dropped_wherever_they_stand() -> None:
    update = {**UPDATE, "explanation": "why", "Reasoning": [{"step": 1.5}]}
    payload = {"summary": "done", "file_updates": [update], "confidence": 0.9}
    found = take(json.dumps({**ANSWER, "payload": payload, "reasoning_content": "because"}))
    assert isinstance(found, Envelope)
    assert found.unwrapped == ("remarks",)
    assert found.payload == take(BARE).payload  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "key", ["file_updates", "files", "delete", "patch", "status", "mode", "append", "encoding_"]
)
def test_a_key_that_may_mean_a_change_is_no_remark(key: str) -> None:
    for place in (ANSWER, ANSWER["payload"], UPDATE):
        found = json.loads(BARE)
        at = {id(ANSWER): found, id(ANSWER["payload"]): found["payload"]}.get(
            id(place), found["payload"]["file_updates"][0]
        )
        if key in at:
            continue
        at[key] = "x"
        assert refused(json.dumps(found)).code == RejectCode.SCHEMA_VIOLATION


OTHER = json.dumps({**ANSWER, "task_id": "T-2"})


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("I have done it.", "it is prose, and begins 'I have done it.'"),
        ("```diff\n-a\n+b\n```", "it is a block of diff in a fence"),
        ("<think>and so on and", "it is thinking that does not end"),
        (f"{BARE}\n{OTHER}", "it holds 2 answers, and one is wanted"),
        (f"{BARE}\n{BARE}", "it holds 2 answers, and one is wanted"),
        ('{"a": 1} {"b": 2}', "it holds 2 objects, and none has 'action' and 'payload'"),
        (BARE[:-20], "the object at character 0 is not JSON: it ends before it is complete"),
        (FENCED.replace('"payload"', ',"payload"'), "Expecting property name"),
    ],
)
def test_an_output_that_is_not_one_answer_is_called_what_it_is(output: str, words: str) -> None:
    found = refused(output)
    assert found.code == RejectCode.INVALID_JSON
    assert words in found.message


SAYS_NO = "I do not approve."


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (f"> {BARE}\n\n{SAYS_NO}", "stands in a quotation"),
        (f"- > {BARE}\n{SAYS_NO}", "stands in a quotation"),
        (f"> The file says:\n{BARE}\n\n{SAYS_NO}", "stands in a quotation"),
        (f"> The file says </think>{BARE}", "stands in a quotation"),
        (f"The file says '{BARE}'.", "stands in a quotation"),
        (f"The file says `{BARE}`.", "stands in a quotation"),
        (f"+{BARE}\n{SAYS_NO}", "stands in a line of another text"),
        (f"a.txt:12:{BARE}\n{SAYS_NO}", "stands in a line of another text"),
        (f"Well. <think>{BARE}</think> {SAYS_NO}", "stands in a block of <think>"),
        (f"Well. <think>{BARE} and so on", "stands in a block of <think>"),
        (f"<think>a <think>b</think>{BARE}</think>{SAYS_NO}", "stands in a block of <think>"),
        (f"<example>{BARE}</example>", "stands in a block of <example>"),
        (f"So:\n\n{BARE}\n\n{BARE[:-20]}", "it ends before it is complete"),
        (f"So:\n\n{BARE}\n\n{BARE[:4]}", "it ends before it is complete"),
        (f"So:\n\n{BARE}\n\n{{", "is not JSON"),
        (f"So:\n\n{BARE}\n\n{{'action': 1}}", "is not JSON"),
        (f"So:\n\n{BARE}\n\n{'{ x } ' * 64}{OTHER}", "it holds 2 answers"),
        (f"So:\n\n{BARE}\n\n{'{} ' * 64}{OTHER}", "it holds 2 answers"),
    ],
)
def test_a_quoted_example_is_not_taken_for_the_answer(output: str, words: str) -> None:
    found = refused(output)
    assert found.code == RejectCode.INVALID_JSON
    assert words in found.message


REVIEW = json.dumps(
    {
        "action": "agent.review",
        "task_id": "T-1",
        "attempt_id": "T-1-A1",
        "payload": {"verdict": "approve", "reason": "good"},
    }
)


@pytest.mark.parametrize(
    "output", [REVIEW, f"```json\n{REVIEW}\n```", f"<think>Hm.</think>{REVIEW}", f"[{REVIEW}]"]
)
def test_a_review_is_taken_out_of_a_wrapping_that_says_nothing(output: str) -> None:
    assert isinstance(decode(output.encode(), max_bytes=1 << 20, review=True), Envelope)


@pytest.mark.parametrize(
    "output",
    [
        f"{SAYS_NO}\n\n{REVIEW}",
        f"```json\n{REVIEW}\n```\n{SAYS_NO}",
        f"{SAYS_NO} It says </think>\n{REVIEW}",
        f'{SAYS_NO}\n\n{{"answer": {REVIEW}}}',
    ],
)
def test_a_review_among_other_words_is_none(output: str) -> None:
    found = decode(output.encode(), max_bytes=1 << 20, review=True)
    assert isinstance(found, Rejected)
    assert found.code == RejectCode.INVALID_JSON
    assert "it is a review among other words" in found.message


def test_what_is_wrong_with_the_one_object_in_a_fence_is_said_of_it() -> None:
    found = refused('```\n{"action": "agent.result"}\n```')
    assert found.code == RejectCode.SCHEMA_VIOLATION
    assert "is a required property" in found.message


def test_many_blocks_of_thinking_cost_no_more_than_one_pass() -> None:
    assert refused("<think></think>" * 60_000).code == RejectCode.INVALID_JSON
