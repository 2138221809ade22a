"""The boundary: whatever an agent answers becomes a value or a typed rejection, never an exception.

Every trick that we know of is a named case with the code that it meets, recorded and explained to
the next attempt; those that we do not know are looked for by tens of thousands of generated
answers, each of which goes all the way through the decoder, the verifier and the commit.
"""

from __future__ import annotations

import base64
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esaa_git.core import envelope as envelopes
from esaa_git.core.canonical import digest
from esaa_git.core.envelope import Envelope
from esaa_git.core.events.fields import Exchange
from esaa_git.core.rejection import EXPLANATIONS, RejectCode, Rejected
from esaa_git.engine import operator
from esaa_git.engine.commit import admit
from esaa_git.engine.cycle import Options, cycle
from esaa_git.engine.exchange import Admission, AgentOutput
from esaa_git.engine.verifier import Accepted, Repeated, Verifier
from esaa_git.ports.agent import Answer, Request
from esaa_git.ports.files import FileEntry, NotAFile
from esaa_git.testing.answers import envelope, result, says, spoken, write
from esaa_git.testing.contracts import contracts, task
from esaa_git.testing.engine import MemoryEngine, engine

LINES = b"one\ntwo\nthree\n"
FILES: Mapping[str, bytes | NotAFile] = {
    "README.md": b"# Example\n",
    "docs/a.md": LINES,
    "docs/twice.md": b"same\nsame\n",
    "docs/bytes.bin": b"\x00\xff\xfe",
    "docs/empty.md": b"",
    "docs/link": NotAFile("a symlink"),
    "docs/vendor": NotAFile("a submodule"),
    "docs/folder/deep.md": b"deep\n",
    "src/a.py": b"x = 1\n",
}
EXECUTABLE = "docs/tool.md"
MAX_BYTES = 4194304
PERSON = "person@example.com"


def world(answering: Callable[[Request], Answer | bytes] | None = None) -> MemoryEngine:
    """A repository with every kind of entry, and a task whose boundary is `docs/**` and `*.md`."""
    # To blot secrets out of the same request again and again would take most of the time.
    given_ = contracts({("STORAGE_POLICY.yaml", "exchange", "request"): "digest"})
    made = engine(answering, files=FILES, given=given_)
    oid = made.blobs.write(b"#!/bin/sh\n")
    made.person_commits({EXECUTABLE: FileEntry("100755", oid)})
    made.apply(task("T-1", attempts_allowed=1000), task("T-2"))
    return made


# ---------------------------------------------------------------------------- answers, byte by byte


class Raw(str):
    """Stands in a value for text that goes into the JSON as it is."""


class Twice(dict[str, Any]):
    """An object whose first entry is written twice."""


def wire(value: Any) -> bytes:
    """Write JSON that no library would: raw tokens, duplicate keys, lone surrogates."""
    return _text(value).encode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    match value:
        case Raw():
            return str(value)
        case dict():
            entries = [f"{json.dumps(key)}:{_text(item)}" for key, item in value.items()]
            if isinstance(value, Twice):
                entries = entries[:1] + entries
            return "{" + ",".join(entries) + "}"
        case list():
            return "[" + ",".join(map(_text, value)) + "]"
        case _:
            return json.dumps(value)


Hostile = Callable[[Request], Answer | bytes]


def raw(data: bytes) -> Hostile:
    return lambda request: data


def said(change: Callable[[dict[str, Any]], Any]) -> Hostile:
    """An otherwise good answer, changed."""

    def answering(request: Request) -> bytes:
        value = envelope(request, file_updates=[write("docs/new.md")])
        changed = change(value)
        return wire(value if changed is None else changed)

    return answering


def with_(**changes: Any) -> Hostile:
    return said(lambda value: {**value, **changes})


def payload(**changes: Any) -> Hostile:
    return said(lambda value: {**value, "payload": {**value["payload"], **changes}})


def updates(*file_updates: Mapping[str, Any]) -> Hostile:
    return payload(file_updates=list(file_updates))


def to(path: str) -> Hostile:
    return updates(write(path))


def edit(old: str, new: str, path: str = "docs/a.md", **more: Any) -> Hostile:
    return updates({"op": "edit", "path": path, "edits": [{"old": old, "new": new}], **more})


def patch(text: str, path: str = "docs/a.md", **more: Any) -> Hostile:
    return updates({"op": "patch", "path": path, "patch": text, **more})


DEEP = Raw("[" * 40 + "]" * 40)
BOTTOMLESS = Raw("[" * 200_000 + "]" * 200_000)

# ---------------------------------------------------------------------------------- the named cases

FORM: dict[str, tuple[Hostile, str]] = {
    "nothing at all": (raw(b""), "INVALID_JSON"),
    "not JSON": (raw(b"I have done it."), "INVALID_JSON"),
    "two answers in fences": (
        lambda request: (
            b"```json\n" + result()(request) + b"\n```\nor\n```\n{}\n```\n"
            b"```\n" + result(summary="another")(request) + b"\n```"
        ),
        "INVALID_JSON",
    ),
    "two envelopes": (lambda request: result()(request) * 2, "INVALID_JSON"),
    "an envelope cut off": (lambda request: result()(request)[:-2], "INVALID_JSON"),
    "JSON with a comment": (raw(b'{"action": 1 /* done */}'), "INVALID_JSON"),
    "not UTF-8": (raw(b'{"action": "\xff"}'), "NOT_UTF8"),
    "UTF-16": (lambda request: result()(request).decode().encode("utf-16"), "NOT_UTF8"),
    "a surrogate in UTF-8": (raw(b'"\xed\xa0\x80"'), "NOT_UTF8"),
    "too large": (raw(b" " * (MAX_BYTES + 1)), "OUTPUT_TOO_LARGE"),
    "deeply nested": (payload(checks=DEEP), "NESTING_TOO_DEEP"),
    "nested beyond any stack": (payload(checks=BOTTOMLESS), "NESTING_TOO_DEEP"),
    "a duplicate key": (said(Twice), "DUPLICATE_KEY"),
    "a duplicate key within": (
        said(lambda value: {**value, "payload": Twice(value["payload"])}),
        "DUPLICATE_KEY",
    ),
    "a duplicate key with a control character": (
        raw(b'{"\\u0007":1,"\\u0007":2}'),
        "DUPLICATE_KEY",
    ),
    "NaN": (payload(usage={"input_tokens": Raw("NaN")}), "INVALID_VALUE"),
    "Infinity": (payload(usage={"input_tokens": Raw("-Infinity")}), "INVALID_VALUE"),
    "a float": (payload(usage={"input_tokens": Raw("1.0")}), "INVALID_VALUE"),
    "a huge integer": (payload(usage={"input_tokens": Raw("9" * 5000)}), "INVALID_VALUE"),
    "2^53": (payload(usage={"input_tokens": 2**53}), "INVALID_VALUE"),
    "a lone surrogate": (payload(summary="\ud800"), "INVALID_VALUE"),
    "a lone surrogate as a key": (payload(**{"\udfff": 1}), "INVALID_VALUE"),
    "a lone surrogate in a file": (to("docs/\udc80"), "INVALID_VALUE"),
    "U+2028 in a one-line field": (payload(model="a\u2028b"), "CONTROL_CHARACTER"),
    "U+2029 in a path": (to("docs/a\u2029b.md"), "CONTROL_CHARACTER"),
    "a line feed in a one-line field": (with_(idempotency_key="a\nb"), "CONTROL_CHARACTER"),
    "a control character in the summary": (payload(summary="a\x1b[2Jb"), "CONTROL_CHARACTER"),
    "NUL in the summary": (payload(summary="a\x00b"), "CONTROL_CHARACTER"),
    "NUL in a path": (to("docs/a\x00b.md"), "CONTROL_CHARACTER"),
    "NUL in a text file": (updates(write("docs/a.md", "a\x00b")), "CONTROL_CHARACTER"),
    "a list": (raw(b"[]"), "SCHEMA_VIOLATION"),
    "null": (raw(b"null"), "SCHEMA_VIOLATION"),
    "an empty object": (raw(b"{}"), "SCHEMA_VIOLATION"),
    "an unknown key": (with_(effect="done"), "SCHEMA_VIOLATION"),
    "an unknown key in the payload": (payload(effect="done"), "SCHEMA_VIOLATION"),
    "an unknown key in an update": (
        updates({**write("docs/a.md"), "mode": "777"}),
        "SCHEMA_VIOLATION",
    ),
    "an unknown operation": (updates({"op": "symlink", "path": "docs/a.md"}), "SCHEMA_VIOLATION"),
    "an update without a path": (updates({"op": "delete"}), "SCHEMA_VIOLATION"),
    "no summary": (said(lambda value: {**value, "payload": {}}), "SCHEMA_VIOLATION"),
    "an empty summary": (payload(summary=""), "SCHEMA_VIOLATION"),
    "a summary beyond its bound": (payload(summary="x" * 4001), "SCHEMA_VIOLATION"),
    "a wrong type": (payload(summary=["done"]), "SCHEMA_VIOLATION"),
    "true for a number": (payload(usage={"input_tokens": True}), "SCHEMA_VIOLATION"),
    "another version": (with_(schema_version="0.4.0"), "SCHEMA_VIOLATION"),
    "an id with a line feed": (with_(task_id="T-1\n"), "SCHEMA_VIOLATION"),
}

WHO: dict[str, tuple[Hostile, str]] = {
    "an unknown action": (with_(action="agent.deploy"), "UNKNOWN_ACTION"),
    "an unknown action with a control character": (with_(action="\x1b[2J\x00"), "UNKNOWN_ACTION"),
    "the orchestrator's action": (with_(action="task.update"), "UNKNOWN_ACTION"),
    "an action that the contract does not list": (
        says("lesson.record", rule="r", mistake="m"),
        "FORBIDDEN_ACTION",
    ),
    "another task": (with_(task_id="T-2"), "TASK_MISMATCH"),
    "a task that does not exist": (with_(task_id="T-9"), "TASK_MISMATCH"),
    "another attempt": (with_(attempt_id="T-1-A2"), "ATTEMPT_MISMATCH"),
    "another task's attempt": (with_(attempt_id="T-2-A1"), "ATTEMPT_MISMATCH"),
    "a report and no result": (
        says("issue.report", severity="low", title="hard"),
        "NO_RESULT",
    ),
    "a sign of life and no result": (says("agent.heartbeat"), "NO_RESULT"),
    "lessons where the contract takes none": (
        payload(lessons=[{"rule": "r", "mistake": "m"}]),
        "FORBIDDEN_ACTION",
    ),
    "a secret where it cannot be blotted out": (
        payload(lessons=[{"rule": "r", "mistake": "m", "kinds": ["sk-" + 12 * "a1B2"]}]),
        "INVALID_VALUE",
    ),
}

PATHS: dict[str, str] = {
    "../outside.md": "PATH_INVALID",
    "docs/../../outside.md": "PATH_INVALID",
    "docs/../src/a.py": "PATH_INVALID",
    "./docs/a.md": "PATH_INVALID",
    "docs//a.md": "PATH_INVALID",
    "docs/": "PATH_INVALID",
    "/etc/passwd": "PATH_INVALID",
    "//host/share/a.md": "PATH_INVALID",
    "C:/a.md": "PATH_INVALID",
    "docs\\a.md": "PATH_INVALID",
    "docs/a.md:stream": "PATH_INVALID",
    "docs/a.md.": "PATH_INVALID",
    "docs/a.md ": "PATH_INVALID",
    "docs/CON.md": "PATH_INVALID",
    "docs/ROADMA~1": "PATH_INVALID",
    "docs/\u202egnp.md": "CONTROL_CHARACTER",
    "docs/a\u200b.md": "PATH_INVALID",
    "docs/e\u0301.md": "PATH_INVALID",
    "docs/\ue000.md": "PATH_INVALID",
    f"docs/{'x' * 300}.md": "PATH_INVALID",
    "docs/" + "é/" * 1500 + "a.md": "PATH_INVALID",
    ".git/hooks/pre-commit": "PATH_PROTECTED",
    "docs/.git/config": "PATH_PROTECTED",
    "docs/.GIT/config": "PATH_PROTECTED",
    "docs/.git./config": "PATH_PROTECTED",
    "docs/.git /config": "PATH_PROTECTED",
    "docs/.git::$INDEX_ALLOCATION/config": "PATH_PROTECTED",
    "docs/git~1/config": "PATH_PROTECTED",
    "docs/.g\u200cit/config": "PATH_PROTECTED",
    "docs/．git/config": "PATH_PROTECTED",
    "docs/.gitmodules": "PATH_PROTECTED",
    ".roadmap/AGENT_CONTRACT.yaml": "PATH_PROTECTED",
    ".ROADMAP/allowed_signers": "PATH_PROTECTED",
    ".roadmap": "PATH_PROTECTED",
    ".esaa/hooks": "PATH_PROTECTED",
    ".github/workflows/release.yml": "PATH_PROTECTED",
    "docs/.env": "PATH_PROTECTED",
    "docs/.ENV": "PATH_PROTECTED",
    "src/a.py": "BOUNDARY_VIOLATION",
    "Docs/a.md": "BOUNDARY_VIOLATION",
    "docs": "BOUNDARY_VIOLATION",
    "~/a.md": "BOUNDARY_VIOLATION",
    "docs/link": "PATH_NOT_A_FILE",
    "docs/link/a.md": "PATH_NOT_A_FILE",
    "docs/vendor": "PATH_NOT_A_FILE",
    "docs/vendor/a.md": "PATH_NOT_A_FILE",
    "docs/folder": "PATH_NOT_A_FILE",
    "docs/a.md/b.md": "PATH_NOT_A_FILE",
    "": "SCHEMA_VIOLATION",
    "docs/" + "x" * 5000: "SCHEMA_VIOLATION",
    "docs/\x07.md": "CONTROL_CHARACTER",
}

CHANGES: dict[str, tuple[Hostile, str]] = {
    "a thousand files": (updates(*(write(f"docs/{n}.md") for n in range(1000))), "TOO_MANY_FILES"),
    "ten thousand and one files": (
        updates(*({"op": "delete", "path": "a"} for _ in range(10_001))),
        "SCHEMA_VIOLATION",
    ),
    "more lines than are allowed": (updates(write("docs/a.md", "\n" * 5001)), "PATCH_TOO_LARGE"),
    "a file beyond its bound": (updates(write("docs/a.md", "x" * 1048577)), "FILE_TOO_LARGE"),
    "an edit that explodes": (
        updates(
            {
                "op": "edit",
                "path": "docs/a.md",
                "edits": [{"old": "e", "new": "ee" * 500, "all": True}] * 50,
            }
        ),
        "FILE_TOO_LARGE",
    ),
    "the same path twice": (updates(write("docs/x.md"), write("docs/x.md")), "DUPLICATE_PATH"),
    "paths that differ by case": (
        updates(write("docs/x.md"), write("docs/X.md")),
        "DUPLICATE_PATH",
    ),
    "a file below a file": (updates(write("docs/x"), write("docs/x/y")), "DUPLICATE_PATH"),
    "a rename onto itself": (
        updates({"op": "rename", "from": "docs/a.md", "path": "docs/a.md"}),
        "DUPLICATE_PATH",
    ),
    "a patch that does not apply": (patch("@@ -1,2 +1,2 @@\n one\n-2\n+zwei\n"), "PATCH_FAILED"),
    "a patch with wrong counts": (patch("@@ -1,9 +1,9 @@\n one\n-two\n+zwei\n"), "PATCH_FAILED"),
    "a patch of another file": (
        patch("--- a/src/a.py\n+++ b/src/a.py\n@@ -1 +1 @@\n-one\n+eins\n"),
        "PATCH_FAILED",
    ),
    "a patch that makes a symlink": (
        patch("new file mode 120000\n--- /dev/null\n+++ b/docs/a.md\n@@ -0,0 +1 @@\n+x\n"),
        "PATCH_FAILED",
    ),
    "a patch that is none": (patch("please change it"), "PATCH_FAILED"),
    "a patch of a binary file": (patch("@@ -1 +1 @@\n-a\n+b\n", "docs/bytes.bin"), "INVALID_VALUE"),
    "a patch for another content": (
        patch("@@ -1 +1 @@\n-one\n+eins\n", base_sha256="0" * 64),
        "BASE_MISMATCH",
    ),
    "an edit that is not there": (edit("four", "vier"), "EDIT_NOT_FOUND"),
    "an edit that is there twice": (edit("same", "other", "docs/twice.md"), "EDIT_AMBIGUOUS"),
    "an edit of nothing": (edit("", "vier"), "INVALID_VALUE"),
    "an edit of a file that is not there": (edit("a", "b", "docs/none.md"), "FILE_MISSING"),
    "the deletion of a file that is not there": (
        updates({"op": "delete", "path": "docs/none.md"}),
        "FILE_MISSING",
    ),
    "a rename onto a file": (
        updates({"op": "rename", "from": "docs/a.md", "path": "README.md"}),
        "FILE_EXISTS",
    ),
    "a rename out of the boundary": (
        updates({"op": "rename", "from": "docs/a.md", "path": "src/b.py"}),
        "BOUNDARY_VIOLATION",
    ),
    "a rename into the boundary": (
        updates({"op": "rename", "from": "src/a.py", "path": "docs/b.md"}),
        "BOUNDARY_VIOLATION",
    ),
    "base64 that is none": (updates(write("docs/x.md", "???", encoding="base64")), "INVALID_VALUE"),
    "a good file and a bad one": (
        updates(write("docs/x.md"), write("src/b.py")),
        "BOUNDARY_VIOLATION",
    ),
    "a change that changes nothing": (
        updates(write("docs/a.md", LINES.decode())),
        "EMPTY_PROPOSAL",
    ),
    "an executable where none may be": (
        updates(write("docs/x.sh", "#!/bin/sh\n", executable=True)),
        "MODE_FORBIDDEN",
    ),
}

FAILURES: dict[str, tuple[Hostile, str]] = {
    "an agent that crashes": (
        lambda request: Answer(b"half", 5, "left with exit status 1", "AGENT_FAILED"),
        "AGENT_FAILED",
    ),
    "an agent that does not answer": (
        lambda request: Answer(b"", 5, "did not answer in time", "AGENT_TIMEOUT"),
        "AGENT_TIMEOUT",
    ),
}

CASES: dict[str, tuple[Hostile, str]] = {
    **FORM,
    **WHO,
    **{f"the path {path[:40]!r}": (to(path), code) for path, code in PATHS.items()},
    **CHANGES,
    **FAILURES,
}
STRICT = contracts(
    {
        ("AGENT_CONTRACT.yaml", "actions"): ["agent.result", "issue.report", "agent.heartbeat"],
        ("AGENT_CONTRACT.yaml", "prohibitions", "operations"): ["executable"],
    }
)


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_answer_is_rejected_recorded_explained_and_applied_nowhere(name: str) -> None:
    hostile, code = CASES[name]
    # Where lessons are taken, a lesson can hold a secret.
    given_ = contracts() if "secret" in name else STRICT
    made = engine(hostile, files=FILES, given=given_)
    made.apply(task("T-1"), task("T-2"))
    before = (made.branch.tip("main"), dict(made.repository.checkout))

    (admission,) = cycle(made, Options(steps=1)).admissions

    assert admission.kind in ("rejected", "issue", "noted")
    (signal,) = [event for event in made.events if event.action == "output.rejected"]
    assert signal.payload.code == code
    assert signal.payload.attempt_id == "T-1-A1"
    answer = hostile(made.requests[0])
    output = answer.output if isinstance(answer, Answer) else answer
    told = [getattr(event.payload, "exchange", None) for event in made.events]
    (said,) = [one for one in told if isinstance(one, Exchange) and one.response is not None]
    assert said.response is not None
    assert said.response.sha256 == digest(made.repository.blobs[said.salt] + output)
    assert signal.payload.output.bytes == len(output)

    assert (made.branch.tip("main"), made.repository.checkout) == before
    assert {"agent.result", "orchestrator.file.write"} & set(made.actions) == set()
    assert made.task("T-1").state == "todo"

    made.answering[""] = result()
    cycle(made, Options(steps=1))
    told = made.view()["last_rejection"]
    assert (told["attempt_id"], told["code"]) == ("T-1-A1", code)
    assert told["instruction"] == EXPLANATIONS[RejectCode(code)]
    assert told["message"] == made.refusals[0].message
    assert made.task("T-1").state == "done"
    assert made.audit().is_ok


@pytest.mark.parametrize(
    "path", [path for path, code in PATHS.items() if code[:4] in ("PATH", "CONT")]
)
@pytest.mark.parametrize("operation", ["edit", "delete", "chmod", "rename", "from"])
def test_a_path_that_cannot_be_written_cannot_be_reached_otherwise(
    path: str, operation: str
) -> None:
    update: dict[str, Any] = {
        "edit": {"op": "edit", "path": path, "edits": [{"old": "a", "new": "b"}]},
        "delete": {"op": "delete", "path": path},
        "chmod": {"op": "chmod", "path": path, "executable": True},
        "rename": {"op": "rename", "from": "README.md", "path": path},
        "from": {"op": "rename", "from": path, "path": "docs/new.md"},
    }[operation]
    made = world(updates(update))
    cycle(made, Options(steps=1))
    assert made.last.payload.reason == PATHS[path]


def test_the_repository_s_own_hooks_are_closed_to_every_task() -> None:
    for hooks, kind in (((), "done"), (("docs/hooks/**",), "rejected")):
        made = world(result(write("docs/Hooks/pre-commit", "#!/bin/sh\n")))
        made.branch.hooks = hooks
        (admission,) = cycle(made, Options(steps=1)).admissions
        assert admission.kind == kind
    assert admission.rejected is not None
    assert admission.rejected.code == "PATH_PROTECTED"


def test_an_answer_that_comes_after_its_lease_is_stale() -> None:
    made = world()

    def slow(request: Request) -> bytes:
        made.clock.forward(minutes=31)
        return result(write("docs/new.md"))(request)

    made.answering[""] = slow
    cycle(made, Options(steps=1))
    signal = next(event for event in made.events if event.action == "output.rejected")
    assert signal.payload.code == "STALE_ATTEMPT"
    assert made.content("docs/new.md") is None
    made.answering[""] = result()
    cycle(made, Options(steps=1))
    told = made.view()["last_rejection"]
    assert told["instruction"] == EXPLANATIONS[RejectCode.STALE_ATTEMPT]


def test_an_answer_to_an_attempt_that_is_over_is_stale_and_changes_nothing() -> None:
    made = world()
    first = operator.claim(made, "T-1", PERSON)
    operator.unclaim(made, "T-1", PERSON, "no time")
    operator.claim(made, "T-1", PERSON)
    before = (made.task("T-1"), made.branch.tip("main"))
    output = result(write("docs/new.md"))(first)
    answer = AgentOutput(Answer(output, 0), PERSON, first, "T-1", "T-1-A1")
    admission = admit(made, answer)
    assert (admission.kind, made.last.action) == ("rejected", "output.rejected")
    assert made.last.payload.code == "STALE_ATTEMPT"
    assert (made.task("T-1"), made.branch.tip("main")) == before


def test_an_answer_in_somebody_else_s_name_is_refused() -> None:
    made = world()
    request = operator.claim(made, "T-1", PERSON)
    output = result()(request)
    admit(made, AgentOutput(Answer(output, 0), "other@example.com", None, "T-1", "T-1-A1"))
    assert made.last.action == "task.update"
    signal = made.events[-2]
    assert signal.payload.code == "ATTEMPT_MISMATCH"


def test_two_changes_of_one_place_are_a_conflict() -> None:
    made = world()

    def meanwhile(request: Request) -> bytes:
        made.person_commits({"docs/a.md": b"eins\ntwo\nthree\n"})
        return result(write("docs/a.md", "uno\ntwo\nthree\n"))(request)

    made.answering[""] = meanwhile
    cycle(made, Options(steps=1))
    signal = next(event for event in made.events if event.action == "output.rejected")
    assert signal.payload.code == "WRITE_CONFLICT"
    hunks = made.refusals[0].detail["hunks"]
    assert "<<<<<<< branch" in str(hunks)
    assert made.content("docs/a.md") == b"eins\ntwo\nthree\n"
    made.answering[""] = result()
    cycle(made, Options(steps=1))
    told = made.view()["last_rejection"]
    assert told["instruction"] == EXPLANATIONS[RejectCode.WRITE_CONFLICT]
    assert told["detail"]["hunks"] == hunks


def test_the_same_answer_twice_is_recorded_once() -> None:
    made = world()
    request = operator.claim(made, "T-1", PERSON)
    output = result(write("docs/new.md"))(request)
    answer = AgentOutput(Answer(output, 0), PERSON, None, "T-1", "T-1-A1")
    assert admit(made, answer).kind == "done"
    before = made.actions
    assert admit(made, answer).kind == "repeated"
    assert made.actions == before


def test_another_answer_after_a_valid_one_does_not_undo_it() -> None:
    given_ = contracts({("AGENT_CONTRACT.yaml", "kinds", "spec", "review"): "required"})
    made = engine(given=given_)
    made.apply(task())
    request = operator.claim(made, "T-1", PERSON)

    def submit(output: bytes) -> Admission:
        return admit(made, AgentOutput(Answer(output, 0), PERSON, None, "T-1", "T-1-A1"))

    assert submit(result(write("docs/new.md"))(request)).kind == "waiting"
    waiting = made.task("T-1").result
    for other in (result(summary="Something else.")(request), b"???", b"\xff"):
        assert submit(other).kind == "rejected"
        assert made.last.action == "output.rejected"
        assert made.task("T-1").state == "in_progress"
        assert made.task("T-1").result == waiting
    operator.review(made, "T-1", "other@example.com", "approve", "fine")
    assert made.content("docs/new.md") == b"text\n"


def test_every_code_has_a_case() -> None:
    here = {code for _, code in CASES.values()}
    elsewhere = {"STALE_ATTEMPT", "WRITE_CONFLICT", "REVIEW_CHANGES_REQUESTED", "CHECK_FAILED"}
    # What adapters say of services and programs; their tests are in tests/agents.
    elsewhere |= {"AGENT_REFUSED", "OUTPUT_TRUNCATED", "OUTPUT_EMPTY"}
    # No answer alone: what the agent was given (tests/engine/test_admission.py), and a plan.
    elsewhere |= {"SECRET_EXPOSED", "PLAN_PROGRAM_NOT_PINNED"}
    # One question more than the contracts let a task have: tests/engine/test_asked.py.
    elsewhere |= {"QUESTIONS_SPENT"}
    # What rules of a policy deny, and no boundary: tests/core/test_policy_rules.py.
    elsewhere |= {"POLICY_DENIED"}
    assert here.isdisjoint(elsewhere)
    assert here | elsewhere == set(RejectCode)


# -------------------------------------------------------------------------------- generated answers


class Watched(Verifier):
    """A verifier that looks whether its judgement changed anything, and remembers it."""

    verdict: Accepted | Repeated | Rejected
    untouched: Callable[[], bool]

    def judge(self, output: bytes, **known: Any) -> Accepted | Repeated | Rejected:
        self.verdict = super().judge(output, **known)
        assert isinstance(self.verdict, Accepted | Repeated | Rejected)
        assert self.untouched()
        return self.verdict


class Range:
    """A claimed task that answers are shot at; what each of them did is undone again."""

    def __init__(self) -> None:
        self.engine = world()
        self.request = operator.claim(self.engine, "T-1", PERSON)
        self.restore = self.engine.snapshot()
        self.state = self.engine.state
        self.tip = str(self.engine.branch.tip("main"))
        self.files = self.engine.repository.files(self.tip)
        self.checkout = dict(self.engine.repository.checkout)
        self.verifier = Watched(
            self.engine.trees, self.engine.blobs, self.engine.merger, self.engine.branch.protected()
        )
        self.verifier.untouched = lambda: self.engine.state is self.state and self.is_as_before()
        self.engine.verifier = self.verifier
        self.outcomes: Counter[str] = Counter()

    def is_as_before(self) -> bool:
        """Answer whether branch and checkout are what they were."""
        repository = self.engine.repository
        return self.engine.branch.tip("main") == self.tip and repository.checkout == self.checkout

    def shoot(self, output: bytes) -> None:
        """Hold one answer to the promise."""
        answer = AgentOutput(
            Answer(output, 0), PERSON, self.request, "T-1", "T-1-A1", is_final=True
        )
        admission = admit(self.engine, answer)
        self.outcomes[admission.kind] += 1
        verdict = self.verifier.verdict
        if isinstance(verdict, Rejected):
            assert admission.rejected is not None
            assert admission.rejected.code == verdict.code
        if admission.rejected is not None:
            code = admission.rejected.code
            self.outcomes[code] += 1
            task_ = self.engine.task("T-1")
            assert task_.rejection is not None
            assert task_.rejection.code == code
            assert code in EXPLANATIONS
        if admission.kind == "done":
            self.only_inside()
        else:
            assert self.is_as_before()
        self.restore()

    def only_inside(self) -> None:
        """Look whether the effect stays in the boundary, whatever the verifier thought of it."""
        after = self.engine.repository.files(str(self.engine.branch.tip("main")))
        for path in {*self.files, *after}:
            if self.files.get(path) != after.get(path):
                assert path.startswith("docs/") or ("/" not in path and path.endswith(".md"))
                assert ".." not in path.split("/")
                assert isinstance(after.get(path), FileEntry | None)


STRINGS = (
    "",
    " ",
    "a",
    "docs/a.md",
    "a\nb",
    "a\tb",
    "\r",
    "\x00",
    "\x07",
    "\x7f",
    "\x85",
    "\u2028",
    "\u2029",
    "\u202e",
    "\ufeff",
    "\ufffe",
    "\U0001f327",
    "\U0010ffff",
    "\ud800",
    "\udfff",
    "[redacted]",
    "sk-" + 30 * "a",
    "password=hunter222",
    "://a:b@" * 28,
    "x" * 201,
    "x" * 4001,
    "T-1",
    "T-1-A1",
    "T-2",
    "0.3.0",
    "high",
    "critical",
    "0" * 64,
    "NaN",
    "%s{}$(id)`id`",
    "' OR 1=1 --",
    "__proto__",
    "@@ -1 +1 @@\n-one\n+eins\n",
    "@@ -1,3 +1,2 @@\n one\n-two\n three\n",
    "@@ -0,0 +1 @@\n+x",
    "one",
    "same",
    base64.b64encode(b"\x00\xff").decode(),
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**53 - 1,
    2**53,
    -(2**63),
    Raw("1e400"),
    Raw("1.0"),
    Raw("-0"),
    Raw("NaN"),
    Raw("Infinity"),
    Raw("-Infinity"),
    Raw("01"),
    Raw("9" * 400),
    Raw("'a'"),
    Raw("undefined"),
    Raw('"\\ud800"'),
    Raw('"\\udc00\\ud800"'),
    Raw('"\\u0000"'),
    Raw('"\\x41"'),
    Raw('"\x01"'),
    Raw('{"a":1,"a":2}'),
    Raw('{"":{}}'),
    Raw("[" * 33 + "]" * 33),
    Raw("[" * 30 + "]" * 30),
    Raw("[" * 5000),
    Raw("{}}"),
    Raw("[1,]"),
    Raw("/**/1"),
    [],
    {},
    [[]],
    [{}],
    [None],
    *STRINGS,
)
TOKENS = b'{}[]",:\\ \n\t\x00\xff\xed\xa0\x80/-+.eEu0123456789truefalsn'
KEYS = (
    "action",
    "task_id",
    "attempt_id",
    "payload",
    "schema_version",
    "idempotency_key",
    "summary",
    "file_updates",
    "checks",
    "lessons",
    "model",
    "usage",
    "severity",
    "title",
    "description",
    "note",
    "rule",
    "mistake",
    "kinds",
    "op",
    "path",
    "from",
    "content",
    "encoding",
    "executable",
    "edits",
    "old",
    "new",
    "all",
    "patch",
    "base_sha256",
    "surprise",
    "\ud800",
    "\x07",
)


class Maker:
    """Makes answers: noise, good ones damaged, and well-formed ones with hostile parts."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.paths = (*PATHS, "docs/a.md", "docs/new.md", "README.md", EXECUTABLE, *STRINGS)

    def one(self) -> bytes:
        make = self.random.choices(
            (self.noise, self.damaged, self.hostile, self.plain), (1, 2, 5, 6)
        )[0]
        return make()

    def noise(self) -> bytes:
        size = self.random.choice((0, 1, 5, 50, 500))
        if self.random.random() < 0.5:
            return self.random.randbytes(size)
        return bytes(self.random.choices(TOKENS, k=size))

    def damaged(self) -> bytes:
        """Return a good answer with some bytes changed, doubled or gone."""
        data = bytearray(wire(self.envelope()))
        for _ in range(self.random.randint(1, 4)):
            at = self.random.randrange(len(data) + 1)
            end = min(len(data), at + self.random.choice((0, 1, 1, 2, 30)))
            match self.random.randrange(4):
                case 0:
                    data[at:end] = b""
                case 1:
                    data[at:at] = data[at:end]
                case 2:
                    data[at:end] = bytes(self.random.choices(TOKENS, k=2))
                case _:
                    data[at:end] = self.random.randbytes(1)
        return bytes(data)

    def plain(self) -> bytes:
        return wire(self.envelope())

    def hostile(self) -> bytes:
        """Return an answer in which some parts are replaced by values of any kind."""
        value: Any = self.envelope()
        for _ in range(self.random.choice((1, 1, 1, 2, 5))):
            value = self.spoilt(value)
        return wire(value)

    def spoilt(self, value: Any) -> Any:
        """Change one place somewhere inside."""
        if self.random.random() < 0.25 or not isinstance(value, dict | list) or not value:
            return self.value()
        if isinstance(value, list):
            changed = list(value)
            at = self.random.randrange(len(changed))
            changed[at] = self.spoilt(changed[at])
            return changed * self.random.choice((1, 1, 1, 2))
        entries = dict(value)
        key = self.random.choice(list(entries))
        match self.random.randrange(10):
            case 0:
                del entries[key]
            case 1:
                entries[self.random.choice(KEYS)] = self.value()
            case 2:
                return Twice(entries)
            case _:
                entries[key] = self.spoilt(entries[key])
        return entries

    def value(self) -> Any:
        return self.random.choice(VALUES)

    def envelope(self) -> dict[str, Any]:
        pick = self.random.choice
        action = pick(("agent.result",) * 8 + tuple(envelopes.payload_schemas()) + ("run.end", ""))
        value: dict[str, Any] = {
            "action": action,
            "task_id": pick(("T-1",) * 12 + ("T-2", "T-9")),
            "attempt_id": pick(("T-1-A1",) * 12 + ("T-1-A2", "T-2-A1")),
            "payload": self.payload(action),
        }
        if self.random.random() < 0.2:
            value["idempotency_key"] = pick(("k-1", "x" * 100, "ключ"))
        if self.random.random() < 0.2:
            value["schema_version"] = "0.3.0"
        return value

    def payload(self, action: str) -> dict[str, Any]:
        pick = self.random.choice
        match action:
            case "issue.report":
                return {
                    "severity": pick(("low", "medium", "high", "critical")),
                    "title": self.text(),
                }
            case "agent.heartbeat":
                return pick(({}, {"note": self.text()}))
            case "lesson.record":
                return {"rule": self.text(), "mistake": self.text(), "kinds": [self.text()]}
        value: dict[str, Any] = {"summary": self.text()}
        if self.random.random() < 0.9:
            value["file_updates"] = self.updates()
        if self.random.random() < 0.2:
            value["checks"] = [self.text()]
        if self.random.random() < 0.2:
            value["usage"] = {"input_tokens": pick((0, 7, 2**53 - 1))}
        if self.random.random() < 0.2:
            value["lessons"] = [{"rule": self.text(), "mistake": "m", "kinds": ["qa"]}]
        return value

    def text(self) -> str:
        return self.random.choice(("Done.", "Fertig: ✓", "a\nb", *STRINGS))

    def path(self) -> str:
        if self.random.random() < 0.7:
            return self.random.choice(("docs/a.md", "docs/new.md", "README.md", EXECUTABLE))
        return self.random.choice(self.paths)

    def updates(self) -> list[dict[str, Any]]:
        count = self.random.choice((0, 1, 1, 1, 2, 3)) if self.random.random() < 0.995 else 1000
        return [self.update() for _ in range(count)]

    def update(self) -> dict[str, Any]:
        pick = self.random.choice
        path = self.path()
        update: dict[str, Any]
        match pick(("write", "write", "edit", "patch", "delete", "rename", "chmod")):
            case "write":
                update = {"op": "write", "path": path, "content": pick(STRINGS)}
                if self.random.random() < 0.2:
                    update["encoding"] = pick(("base64", "utf-8"))
            case "edit":
                words = ("one", "two\n", "same", "e", "x")
                edits = [
                    {"old": pick(words), "new": pick(STRINGS)}
                    for _ in range(self.random.randint(1, 3))
                ]
                if self.random.random() < 0.3:
                    edits[0] = {**edits[0], "all": True}  # type: ignore[dict-item]
                update = {"op": "edit", "path": path, "edits": edits}
            case "patch":
                hunk = pick(STRINGS[-6:-2]) + pick(("", "\n", "\\ No newline at end of file\n"))
                update = {"op": "patch", "path": path, "patch": hunk}
            case "delete":
                return {"op": "delete", "path": path}
            case "rename":
                update = {"op": "rename", "from": path, "path": self.path()}
            case _:
                return {"op": "chmod", "path": path, "executable": pick((True, False))}
        if self.random.random() < 0.1:
            update["executable"] = pick((True, False))
        if self.random.random() < 0.05 and update["op"] in ("edit", "patch"):
            update["base_sha256"] = pick((digest(LINES), "0" * 64))
        return update


ROUNDS = 20
SHOTS = 1100


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_whatever_is_answered_becomes_a_value_or_a_rejection(seed: int) -> None:
    target, maker = Range(), Maker(seed)
    for _ in range(SHOTS):
        output = maker.one()
        try:
            target.shoot(output)
        except BaseException:
            print(f"the answer was {output[:2000]!r}")
            raise
    # It is worth something only while all sorts of answers are among them.
    seen = target.outcomes
    assert seen["done"] > 20, seen
    assert seen["rejected"] > 500, seen
    assert len([code for code in RejectCode if seen[code]]) > 15, seen


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1020))
def test_whatever_is_answered_becomes_a_value_or_a_rejection_for_long(seed: int) -> None:
    target, maker = Range(), Maker(seed)
    for _ in range(10 * SHOTS):
        target.shoot(maker.one())


# Hypothesis finds less in the same time, and shows the smallest of what it finds.

TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.sampled_from(VALUES),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(TEXT, below, max_size=4),
    max_leaves=12,
)


def some(required: Mapping[str, Any], optional: Mapping[str, Any]) -> Any:
    return st.fixed_dictionaries(dict(required), optional=dict(optional))


UPDATES = st.lists(
    some(
        {"op": st.sampled_from(sorted(envelopes.update_schemas())) | TEXT},
        {
            "path": st.sampled_from((*PATHS, "docs/a.md", "docs/new.md")) | TEXT,
            "from": st.sampled_from((*PATHS, "docs/a.md")) | TEXT,
            "content": TEXT,
            "patch": TEXT,
            "edits": st.lists(some({"old": TEXT, "new": TEXT}, {"all": st.booleans()}), max_size=3),
            "executable": st.booleans(),
            "surprise": JSON,
        },
    ),
    max_size=4,
)
ENVELOPES = some(
    {
        "action": st.sampled_from(tuple(envelopes.payload_schemas())) | TEXT,
        "task_id": st.just("T-1") | TEXT,
        "attempt_id": st.just("T-1-A1") | TEXT,
        "payload": some(
            {},
            {
                "summary": TEXT | JSON,
                "file_updates": UPDATES | JSON,
                "severity": st.sampled_from(("low", "critical")) | JSON,
                "title": TEXT,
                "rule": TEXT,
                "mistake": TEXT,
                "lessons": st.lists(some({"rule": TEXT, "mistake": TEXT}, {"kinds": JSON})),
                "usage": JSON,
            },
        )
        | JSON,
    },
    {"idempotency_key": TEXT, "schema_version": TEXT, "surprise": JSON},
)

RANGE: list[Range] = []


def target() -> Range:
    """One for all examples: each leaves it as it was."""
    if not RANGE:
        RANGE.append(Range())
    return RANGE[0]


@given(st.binary(max_size=300))
def test_any_bytes_become_a_value_or_a_rejection(output: bytes) -> None:
    target().shoot(output)


@given(JSON)
def test_any_json_becomes_a_value_or_a_rejection(value: Any) -> None:
    target().shoot(wire(value))


@given(ENVELOPES)
def test_any_envelope_becomes_a_value_or_a_rejection(value: Any) -> None:
    target().shoot(wire(value))


@given(st.integers(0, 2**32), st.sampled_from(("damaged", "hostile", "plain")))
def test_any_answer_that_we_can_make_becomes_a_value_or_a_rejection(seed: int, how: str) -> None:
    target().shoot(getattr(Maker(seed), how)())


def test_the_published_schema_takes_what_the_decoder_takes() -> None:
    """Agents' authors are given one schema; it must not promise more or less than we take."""
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(envelopes.published_schema())
    maker = Maker(7)
    seen: Counter[bool] = Counter()
    for _ in range(600):
        value = maker.envelope()
        output = wire(value)
        decoded = envelopes.decode(output, max_bytes=MAX_BYTES)
        if isinstance(decoded, Rejected) and decoded.code not in (
            RejectCode.SCHEMA_VIOLATION,
            RejectCode.CONTROL_CHARACTER,
            RejectCode.UNKNOWN_ACTION,
        ):
            continue
        taken = isinstance(decoded, Envelope)
        assert validator.is_valid(value) == taken, spoken(value)
        seen[taken] += 1
    assert min(seen[True], seen[False]) > 50
