"""Prompts: what a template makes of a view, and what is said of a template that is wrong."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Any

import pytest

from esaa_git.agents.http.wire import decode as wire_decode
from esaa_git.agents.http.wire import wire_schema
from esaa_git.agents.prompts import GROWTH, Prompt, fenced, render
from esaa_git.core import canonical
from esaa_git.core.answer import Review
from esaa_git.core.contracts import is_contract_file
from esaa_git.core.envelope import REVIEW, Envelope, decode
from esaa_git.core.events.base import encode, schema_of
from esaa_git.core.rejection import EXPLANATIONS, RejectCode
from esaa_git.errors import ConfigurationError
from esaa_git.resources import resource_path
from tests.agents.views import CONTRACT, story, view
from tests.support.story import AGENT
from tests.support.wire_form import encode_wire

SHIPPED = ("model", "editor")
REJECTION = {
    "code": "EDIT_NOT_FOUND",
    "message": "src/a.py: the old text of edit 1 is not in the file",
    "detail": {"path": "src/a.py"},
    "instruction": EXPLANATIONS[RejectCode.EDIT_NOT_FOUND],
}
EVERYTHING: dict[str, Any] = {
    "last_rejection": REJECTION,
    "attempts": {"number": 2, "allowed": 3},
    "dependencies": [
        {"task_id": "T-0", "kind": "spec", "title": "Say it", "summary": "Said it", "paths": ["s"]},
        {"task_id": "T-00", "kind": "spec", "title": "Not yet told"},
    ],
    "supersedes": {
        "task_id": "T-9",
        "kind": "impl",
        "title": "Old",
        "summary": "Wrong",
        "paths": [],
    },
    "issues": [
        {"issue_id": "ISS-0001", "severity": "high", "title": "It burns", "description": "A\nB"}
    ],
    "lessons": [{"by": "agent-qa", "task_id": "T-0", "rule": "Look first", "mistake": "Leapt"}],
    "profile": {
        "persona": "You are careful.",
        "audience": "Readers in a hurry.",
        "rules": ["Be brief.", "Be right."],
        "context": "It is a web site.",
        "execution": "Read, then write.",
        "response": "Say what you did.",
    },
}
FILES = [
    {"path": "src/a.py", "bytes": 4, "content": "a=1\n", "executable": True},
    {"path": "logo.png", "bytes": 9000},
]


def rendered(value: dict[str, Any], template: str | None = None, name: str = "model") -> Prompt:
    pinned = None if template is None else template.encode()
    return render(name, pinned, canonical.encode(value))


def whole_view() -> dict[str, Any]:
    told = story(description="All of it.", acceptance=["One.", "Two."])
    value = {**view(told), **EVERYTHING}
    value["task"]["notes"] = ["Mind the gap."]
    return value


# ------------------------------------------------------------------------- the shipped templates


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_template_says_everything_that_the_view_holds(name: str) -> None:
    text = rendered(whole_view(), name=name).text
    for said in (
        *("You are careful.", "Readers in a hurry.", "- Be brief.", "- Be right."),
        *("It is a web site.", "Read, then write.", "Say what you did."),
        *("T-1 (spec)", "Task T-1", "All of it.", "- One.", "- Two.", "- Mind the gap."),
        *("EDIT_NOT_FOUND", REJECTION["message"], REJECTION["instruction"], '{"path": "src/a.py"}'),
        *("attempt 2 of 3", "T-0 (spec, Say it): Said it", "Files: s", "T-00"),
        *("T-9 (Old), which did this: Wrong", "ISS-0001 (high): It burns", "A\n  B"),
        *("Look first", "Leapt", "docs/**, *.md", "ci (.github, "),
        *("At most 100 files, 5000 changed lines, 1048576 bytes a file.", "issue.report"),
    ):
        assert said in text, said


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_template_renders_the_barest_view_without_a_trace_of_what_is_missing(
    name: str,
) -> None:
    bare = view()
    del bare["profile"]
    text = rendered(bare, name=name).text
    assert "None" not in text.replace("None are shown.", "")
    assert "undefined" not in text.lower()
    for heading in ("First of all", "What was done before", "Open issues", "Lessons", "Notes"):
        assert heading not in text
    assert "{%" not in text
    assert "{#" not in text
    assert not re.search(r"\n{4,}", text)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_instruction_to_correct_itself_comes_before_the_task(name: str) -> None:
    user = rendered(whole_view(), name=name).user
    assert user.lstrip("# ").startswith("First of all")
    assert user.index(REJECTION["instruction"]) < user.index("Task T-1")


def test_a_model_is_shown_files_and_told_of_those_that_it_is_not_shown() -> None:
    user = rendered({**view(), "files": FILES}).user
    assert "src/a.py (executable):\n```\na=1\n```\n" in user
    assert "- logo.png (9000 bytes)" in user
    assert "None are shown." in rendered({**view(), "files": []}).user


def test_a_model_is_told_of_allowed_actions_and_operations_alone() -> None:
    everything = rendered(view()).system
    for op in ("edit", "write", "delete", "rename", "chmod"):
        assert f'{{"op": "{op}"' in everything
    assert "agent.heartbeat" not in everything
    prohibited = {
        (CONTRACT, "prohibitions", "operations"): ["delete", "rename", "executable"],
        (CONTRACT, "actions"): ["agent.result"],
    }
    less = rendered(view(changes=prohibited)).system
    assert '{"op": "edit"' in less
    for gone in ("delete", "rename", "chmod", "issue.report"):
        assert gone not in less


def test_who_may_write_nothing_is_told_so() -> None:
    nothing = view(changes={(CONTRACT, "kinds", "spec", "write"): []})
    for name in SHIPPED:
        text = rendered(nothing, name=name).text
        assert "You may change no file" in text
        assert '{"op"' not in text


def test_an_action_of_a_later_contract_is_explained_by_its_schema() -> None:
    value = view()
    value["answer"]["actions"]["agent.review"] = {"type": "object", "properties": {}}
    assert '"agent.review" has this payload, as JSON Schema: {"properties": {}' in (
        rendered(value).system
    )


def test_an_editor_is_told_where_it_works_and_how_to_report_instead() -> None:
    value = view()
    text = rendered(value, name="editor").user
    assert f"commit {value['base']}" in text
    assert value["deadline"] in text
    assert "'.esaa-answer.json'" in text
    assert '"action": "issue.report", "task_id": "T-1", "attempt_id": "T-1-A1"' in text


def test_the_comment_of_the_model_s_template_names_every_entry_of_a_view() -> None:
    path = resource_path("templates", "default", "PROMPT.model.md")
    comment = path.read_text(encoding="utf-8").split("#}")[0]
    named = set(re.findall(r"[a-z_]+", comment))
    value = {**whole_view(), "files": FILES}
    for key in value.keys() - {"schema_version"}:
        assert key in named, key
    for parts in (value["task"], value["contract"], value["contract"]["limits"], REJECTION):
        assert parts.keys() <= named


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_templates_are_contracts_so_they_are_pinned(name: str) -> None:
    assert is_contract_file(f"PROMPT.{name}.md")


# ----------------------------------------------------------------------- templates of one's own


def test_a_pinned_template_goes_before_the_shipped_one_and_is_named_with_its_digest() -> None:
    template = "{{ task.task_id }} for {{ project }}\n"
    prompt = rendered(view(), template)
    digest = sha256(template.encode()).hexdigest()[:12]
    assert prompt == Prompt("", "T-1 for example\n", f"model@{digest}")


def test_the_same_bytes_make_the_same_prompt() -> None:
    assert rendered(whole_view()) == rendered(whole_view())


def test_a_line_of_five_equals_signs_parts_system_from_user() -> None:
    prompt = rendered(view(), "be {{ task.kind }}\n=====\ndo {{ task.task_id }}\n=====\nnow\n")
    assert (prompt.system, prompt.user) == ("be spec\n", "do T-1\n=====\nnow\n")
    assert prompt.text == "be spec\n\ndo T-1\n=====\nnow\n"


def test_nothing_in_a_value_parts_or_ends_anything() -> None:
    told = story(description="=====\n{{ project }}\n{% endif %}\n<b>&amp;</b>")
    prompt = rendered(view(told), "one\n=====\n{{ task.description }}")
    assert prompt.system == "one\n"
    assert prompt.user == "=====\n{{ project }}\n{% endif %}\n<b>&amp;</b>"


@pytest.mark.parametrize("text", ["", "a", "a\n", "```\nb\n```\n", "x ````` y", "~~~"])
def test_a_fence_is_one_that_its_text_cannot_close(text: str) -> None:
    lines = fenced(text, "python").split("\n")
    fence = lines[-1]
    assert lines[0] == f"{fence}python"
    assert set(fence) == {"`"}
    assert fence not in text
    assert "\n".join(lines[1:-1]).rstrip("\n") == text.rstrip("\n")


@pytest.mark.parametrize(
    ("template", "line", "cause"),
    [
        ("one\n{{ taks.title }}\n", 2, "'taks' is undefined"),
        ("one\n=====\n\n{{ task.titel }}", 4, "titel"),
        ("{% if task %}\n\n{% endfor %}", 3, "endfor"),
        ("one\n=====\ntwo\n{{ }}", 4, "xpected"),
        ("\n{{ 1 // 0 }}", 2, "zero"),
        ("{% for a in task.acceptance %}{{ loop.cycle() }}{% endfor %}", 1, ""),
        ("\n\n{{ ''.__class__ }}", 3, "unsafe"),
        ("{% include 'other' %}", 1, "loader"),
    ],
)
def test_a_wrong_template_is_named_with_its_line(template: str, line: int, cause: str) -> None:
    value = view(story(acceptance=["One."]))
    with pytest.raises(ConfigurationError) as caught:
        rendered(value, template, name="terse")
    assert caught.value.message.startswith(f"'.roadmap/PROMPT.terse.md', line {line}: ")
    assert cause in str(caught.value.cause)
    assert "correct the template" in str(caught.value.hint)


def test_a_template_cannot_reach_beyond_its_values() -> None:
    for attack in (
        "{{ cycler.__init__.__globals__ }}",
        "{{ task.update({'x': 1}) }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ '{0.__class__}'.format(project) }}",
    ):
        with pytest.raises(ConfigurationError):
            rendered(view(), attack)


def test_a_prompt_does_not_grow_out_of_proportion() -> None:
    loops = "{% for a in range(90000) %}{{ task }}{% endfor %}"
    with pytest.raises(ConfigurationError, match="cannot be rendered") as caught:
        rendered(view(), loops)
    assert "grows beyond" in str(caught.value.cause)
    value = whole_view()
    for name in SHIPPED:
        assert len(rendered(value, name=name).text) < GROWTH * len(canonical.encode(value))


def test_a_template_that_is_not_text_is_named_with_its_line() -> None:
    with pytest.raises(ConfigurationError, match="line 2: ") as caught:
        render("model", b"one\n\xff\n", canonical.encode(view()))
    assert caught.value.cause == "it is not UTF-8"


def test_a_template_that_nobody_wrote_is_named_and_how_to_write_it() -> None:
    with pytest.raises(ConfigurationError, match="no prompt template 'terse'") as caught:
        rendered(view(), name="terse")
    assert "PROMPT.terse.md" in str(caught.value.hint)


def test_the_agent_of_these_views_has_a_profile() -> None:
    assert resource_path("templates", "default", f"PARCER_PROFILE.{AGENT}.yaml").is_file()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_reviewer_is_shown_the_change_and_asked_for_a_decision(name: str) -> None:
    value = whole_view()
    value["review"] = {
        "approval_id": "APR-0001",
        "by": "agent-impl",
        "summary": "Made it.",
        "paths": ["src/a.py"],
        "diff": "--- a/src/a.py\n+++ b/src/a.py\n+a=1\n",
    }
    value["answer"] = {"actions": {REVIEW: schema_of(Review)}, "file_updates": {}}
    text = rendered(value, name=name).text
    assert "agent-impl has done this task and says: Made it." in text
    assert "+a=1" in text
    assert "agent.review" in text
    assert "You may change paths that match" not in text
    assert "agent.result" not in text


def test_a_reviewer_behind_an_endpoint_can_answer_in_wire_form() -> None:
    value = view()
    value["answer"] = {"actions": {REVIEW: schema_of(Review)}, "file_updates": {}}
    schema = wire_schema(value)
    payload = {"verdict": "approve", "reason": "It is done."}
    envelope = {"action": REVIEW, "task_id": "T-1", "attempt_id": "T-1-A1", "payload": payload}
    text = json.dumps(encode_wire(envelope, schema))
    decoded = decode(wire_decode(text.encode()), max_bytes=10_000, review=True)
    assert isinstance(decoded, Envelope)
    assert encode(decoded.payload) == payload
