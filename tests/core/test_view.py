"""The purified view: what an agent is told, however much has happened."""

from __future__ import annotations

from typing import Any

import pytest

from esaa_git.core import canonical
from esaa_git.core.envelope import payload_schemas, update_schemas
from esaa_git.core.rejection import EXPLANATIONS, RejectCode
from esaa_git.core.view import MAX_ISSUES, MAX_NOTES, MAX_PATHS_OF_DEPENDENCY, purified_view
from esaa_git.testing.contracts import Place, contracts, template_document
from tests.support.examples import LATER, OID
from tests.support.story import AGENT, HALF_AN_HOUR, Story, definition

PERSON = "person@example.com"
LESSONS: Place = ("RUNTIME_POLICY.yaml", "lessons", "max_in_request")
ALWAYS = {
    "schema_version",
    "project",
    "attempt_id",
    "base",
    "deadline",
    "task",
    "contract",
    "attempts",
    "dependencies",
    "answer",
    "profile",
}


def view(
    told: Story, task_id: str = "T-1", agent: str = AGENT, /, **changes: Any
) -> dict[str, Any]:
    """What the task's current attempt is told; `lessons` limits how many."""
    in_force = contracts({LESSONS: changes["lessons"]} if changes else {})
    task = told.task(task_id)
    assert task.attempt is not None
    return purified_view(told.state, in_force, task, task.attempt, agent, told.read)


def story(**more: Any) -> Story:
    return Story().started(definition(**more))


def learnt(told: Story, *rules: str, agent: str = AGENT, kind: str = "spec") -> None:
    """Have an agent do a task and learn something."""
    task_id = f"L-{len(told.state.tasks):04d}"
    told.then("task.create", task=definition(task_id, kind)).attempt(task_id, agent).result(task_id)
    for rule in rules:
        lesson_id = f"LES-{told.state.run.lessons + 1:04d}"
        here = told.here(task_id)
        told.then("lesson.record", agent, lesson_id=lesson_id, rule=rule, mistake="m", **here)
    told.closed(task_id)


def issue(told: Story, severity: str, title: str, task_id: str = "T-1") -> str:
    issue_id = f"ISS-{told.state.run.issues + 1:04d}"
    report = {"issue_id": issue_id, "severity": severity, "title": title, "task_id": task_id}
    told.then("issue.report", PERSON, **report, description=f"About {title}.")
    return issue_id


def note(told: Story, text: str) -> None:
    told.then("note.add", PERSON, on="task", task_id="T-1", text=text)


# --------------------------------------------------------------------------------- what is in it


def test_a_first_attempt_is_told_its_task_and_nothing_of_the_past() -> None:
    told = story(description="All of it.", acceptance=["One."], priority=3, agent="agent-qa")
    found = view(told.attempt())
    assert set(found) == ALWAYS
    assert found["task"] == {
        "task_id": "T-1",
        "kind": "spec",
        "title": "Task T-1",
        "description": "All of it.",
        "acceptance": ["One."],
    }
    assert (found["project"], found["attempt_id"]) == ("example", "T-1-A1")
    assert (found["base"], found["deadline"]) == (OID, LATER)
    assert found["attempts"] == {"number": 1, "allowed": 3}


def test_it_can_be_sent_as_canonical_json() -> None:
    data = canonical.encode(view(story().attempt()))
    assert canonical.encode(canonical.decode(data)) == data


def test_it_says_where_the_task_may_write_and_read() -> None:
    contract = view(story().attempt())["contract"]
    assert contract["write"] == ["docs/**", "*.md"]
    assert contract["read"] == ["**"]
    assert contract["prohibited_paths"] == []
    assert contract["self_running"][1] == "editors (.vscode, .vscode-insiders, .vscodium, …)"
    assert contract["prohibited_operations"] == []
    assert contract["review"] is False
    assert contract["limits"] == {
        "max_output_bytes": 4194304,
        "max_files_per_proposal": 100,
        "max_patch_lines": 5000,
        "max_file_bytes": 1048576,
    }


def test_a_task_s_own_boundary_is_shown_instead_of_its_kind_s() -> None:
    told = story(writes=["docs/a.md"], review=True).attempt()
    assert view(told)["contract"]["write"] == ["docs/a.md"]
    assert view(told)["contract"]["review"] is True


def test_it_says_how_to_answer() -> None:
    answer = view(story().attempt())["answer"]
    assert answer["actions"] == payload_schemas()
    assert answer["file_updates"] == update_schemas()


def test_the_profile_is_that_of_the_agent() -> None:
    told = story().attempt()
    persona = template_document("PARCER_PROFILE.agent-qa.yaml")["persona"]
    assert view(told, "T-1", "agent-qa")["profile"]["persona"] == persona
    assert "profile" not in view(told, "T-1", PERSON)


def test_dependencies_come_with_what_was_done_and_not_how() -> None:
    told = Story().started(
        definition("T-0", "impl", description="Long."), definition(depends_on=["T-0"])
    )
    told.done("T-0", "src/a.py", "src/b.py").attempt()
    assert view(told)["dependencies"] == [
        {
            "task_id": "T-0",
            "kind": "impl",
            "title": "Task T-0",
            "summary": "Done.",
            "paths": ["src/a.py", "src/b.py"],
        }
    ]


def test_a_hotfix_is_told_what_it_corrects() -> None:
    told = story().done()
    told.then("task.create", task=definition("T-1-HF1", "hotfix"), supersedes="T-1")
    told.attempt("T-1-HF1")
    assert view(told, "T-1-HF1")["supersedes"]["summary"] == "Done."


# ------------------------------------------------------------------------------- the reject signal


@pytest.mark.parametrize("code", RejectCode)
def test_the_last_rejection_comes_with_an_instruction(code: RejectCode) -> None:
    told = story().attempt().rejected(code=code)
    told.update("T-1", "todo", "rejected", attempt_id="T-1-A1").attempt()
    assert view(told)["last_rejection"] == {
        "attempt_id": "T-1-A1",
        "code": code,
        "message": "not JSON",
        "detail": {"offset": 0},
        "instruction": EXPLANATIONS[code],
    }
    assert view(told)["attempts"] == {"number": 2, "allowed": 3}


def test_only_the_last_rejection_is_told() -> None:
    told = story().attempt().rejected(code="NOT_UTF8")
    told.update("T-1", "todo", "rejected", attempt_id="T-1-A1").attempt()
    told.rejected(code="INVALID_JSON")
    told.update("T-1", "todo", "rejected", attempt_id="T-1-A2").attempt()
    assert view(told)["last_rejection"]["attempt_id"] == "T-1-A2"


def test_a_timeout_is_told_as_one() -> None:
    told = story().attempt().later(HALF_AN_HOUR)
    told.then("attempt.timeout", **told.here(), deadline=LATER)
    told.update("T-1", "todo", "timed_out", attempt_id="T-1-A1").attempt()
    signal = view(told)["last_rejection"]
    assert signal["code"] == "AGENT_TIMEOUT"
    assert signal["message"] == "no answer came before the deadline"
    assert signal["instruction"] == EXPLANATIONS[RejectCode.AGENT_TIMEOUT]


# ---------------------------------------------------------------------- lessons, issues and remarks


def test_a_lesson_is_told_with_who_says_so() -> None:
    told = story()
    learnt(told, "look first")
    assert view(told.attempt())["lessons"] == [
        {"by": AGENT, "task_id": "L-0001", "rule": "look first", "mistake": "m"}
    ]


def test_the_newest_lessons_are_told_oldest_first() -> None:
    told = story()
    for number in range(5):
        learnt(told, f"rule {number}", agent=f"agent-{number % 2}")
        learnt(told, f"other {number}", kind="qa")
    told.attempt()
    rules = [each["rule"] for each in view(told, lessons=3)["lessons"]]
    assert rules == ["rule 2", "rule 3", "rule 4"]
    assert "lessons" not in view(told, lessons=0)


def test_open_issues_of_the_task_are_told_from_flag_upwards() -> None:
    told = Story().started(definition(), definition("T-2"))
    issue(told, "low", "logged only")
    issue(told, "medium", "flagged")
    issue(told, "high", "elsewhere", "T-2")
    solved = issue(told, "high", "solved")
    resolve = {"view": "issue", "issue_id": solved, "by": PERSON, "text": "done"}
    told.then("orchestrator.view.mutate", **resolve)
    told.attempt()
    assert view(told)["issues"] == [
        {
            "issue_id": "ISS-0002",
            "severity": "medium",
            "title": "flagged",
            "description": "About flagged.",
        }
    ]


def test_remarks_are_told_in_order() -> None:
    told = story()
    note(told, "first")
    note(told, "second")
    assert view(told.attempt())["task"]["notes"] == ["first", "second"]


# ----------------------------------------------------------------------------------------- its size


def size(told: Story) -> int:
    return len(canonical.encode(view(told)))


def crowd(events: int) -> Story:
    """A task about which there is very much to say."""
    told = story()
    for number in range(events):
        learnt(told, f"rule {number:05d}", agent=f"agent-{number % 20:02d}")
        issue(told, "medium", f"issue {number:05d}")
        note(told, f"remark {number:05d}")
    return told.attempt()


def test_its_size_does_not_grow_with_the_log() -> None:
    some, many = crowd(30), crowd(700)
    assert len(many.events) > 20 * len(some.events)
    assert size(many) == size(some)
    found = view(many)
    assert len(found["lessons"]) == 10
    assert len(found["issues"]) == MAX_ISSUES
    assert len(found["task"]["notes"]) == MAX_NOTES
    assert found["task"]["notes"][-1] == "remark 00699"
    assert found["issues"][0]["title"] == "issue 00699"


def test_its_size_does_not_grow_with_the_tasks_around() -> None:
    one = story().attempt()
    many = Story().started(definition(), *(definition(f"T-{n}") for n in range(2, 500)))
    assert size(many.attempt()) == size(one)


def test_of_a_large_effect_some_paths_are_told() -> None:
    told = Story().started(definition("T-0"), definition(depends_on=["T-0"]))
    told.done("T-0", *(f"docs/{n:04d}.md" for n in range(1000))).attempt()
    paths = view(told)["dependencies"][0]["paths"]
    assert paths == [f"docs/{n:04d}.md" for n in range(MAX_PATHS_OF_DEPENDENCY)]
