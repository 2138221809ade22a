"""What an attempt leaves: which files stand for which, and what an answer that is none is told."""

from __future__ import annotations

from esaa_git.core.events import AgentResult, OutputRejected
from esaa_git.engine import operator
from esaa_git.engine.commit import admit
from esaa_git.engine.exchange import Admission, AgentOutput
from esaa_git.ports.agent import Answer, Request
from esaa_git.testing.answers import result, write
from esaa_git.testing.contracts import Place, contracts, task
from esaa_git.testing.engine import MemoryEngine, engine

ANN = "ann@example.com"
ANYWHERE: Place = ("AGENT_CONTRACT.yaml", "kinds", "spec", "write")


def claimed(files: dict[str, bytes]) -> tuple[MemoryEngine, Request]:
    made = engine(given=contracts({ANYWHERE: ["**"]}))
    made.person_commits(files)
    made.apply(task())
    return made, operator.claim(made, "T-1", ANN)


def submit(made: MemoryEngine, request: Request, output: bytes) -> Admission:
    answer = Answer(output, 0)
    return admit(made, AgentOutput(answer, ANN, None, request.task_id, request.attempt_id))


def delete(path: str) -> dict[str, str]:
    return {"op": "delete", "path": path}


# --------------------------------------------------------------------------- files for folders


def test_a_file_takes_the_place_of_a_folder_that_loses_all_its_files() -> None:
    made, request = claimed({"d/x": b"1\n", "d/e/y": b"2\n"})
    gone = [delete("d/x"), delete("d/e/y")]
    assert submit(made, request, result(write("d"), *gone)(request)).kind == "done"
    assert made.content("d") == b"text\n"
    assert made.content("d/x") is None


def test_a_folder_takes_the_place_of_a_file_and_a_name_that_of_another_case() -> None:
    made, request = claimed({"d": b"1\n", "a.txt": b"2\n"})
    updates = [write("d/x"), delete("d"), write("A.txt"), delete("a.txt")]
    assert submit(made, request, result(*updates)(request)).kind == "done"
    assert made.content("d/x") == made.content("A.txt") == b"text\n"
    assert made.content("a.txt") is None


def test_a_folder_that_keeps_a_file_is_in_the_way() -> None:
    made, request = claimed({"d/x": b"1\n", "d/y": b"2\n"})
    admission = submit(made, request, result(write("d"), delete("d/x"))(request))
    assert admission.rejected is not None
    assert admission.rejected.code == "PATH_NOT_A_FILE"
    assert made.content("d/y") == b"2\n"


def test_a_folder_that_gains_a_file_meanwhile_is_in_the_way() -> None:
    made, request = claimed({"d/x": b"1\n"})
    made.person_commits({"d/new": b"mine\n"})
    admission = submit(made, request, result(write("d"), delete("d/x"))(request))
    assert admission.rejected is not None
    assert admission.rejected.code == "WRITE_CONFLICT"
    assert made.content("d/new") == b"mine\n"


# ------------------------------------------------------------------ what is said of an answer


def test_what_was_taken_off_is_on_record_with_the_result_and_with_a_rejection() -> None:
    made, request = claimed({})
    outside = result(write("/etc/passwd"))(request)
    assert submit(made, request, b"Here:\n" + outside).kind == "rejected"
    refused = [each.payload for each in made.events if isinstance(each.payload, OutputRejected)]
    assert refused[-1].unwrapped == ("prose",)
    request = operator.claim(made, "T-1", ANN)
    fenced = b"```\n" + result(write("a"))(request) + b"\n```"
    answer = Answer(fenced, 0, unwrapped=("tool-call",))
    output = AgentOutput(answer, ANN, None, request.task_id, request.attempt_id)
    assert admit(made, output).kind == "done"
    given = [each.payload for each in made.events if isinstance(each.payload, AgentResult)]
    assert given[-1].unwrapped == ("tool-call", "fence")


def test_all_files_with_one_fault_are_told_at_once_with_the_limit() -> None:
    made, request = claimed({"a": b"1\n", "b": b"2\n"})
    most = made.contracts.policy.max_file_bytes
    large = "x" * (most + 1)
    admission = submit(made, request, result(write("c", large), write("d", large))(request))
    assert admission.rejected is not None
    assert f"{most} are allowed ('limits/max_file_bytes' in .roadmap/" in admission.rejected.message
    assert admission.rejected.detail["paths"] == ["c", "d"]


def test_all_faults_of_form_are_told_at_once_with_what_is_allowed() -> None:
    made, request = claimed({})
    wrong = result(write("a", mode="x"), write("b", mode="x"), summary="")(request)
    admission = submit(made, request, wrong)
    assert admission.rejected is not None
    assert "payload/summary: it has 0 characters, no fewer than 1 are" in admission.rejected.message
    request = operator.claim(made, "T-1", ANN)
    admission = submit(made, request, result(write("a", mode="x"), write("b", mode="x"))(request))
    assert admission.rejected is not None
    assert [at.partition(":")[0] for at in admission.rejected.detail["faults"]] == [
        "payload/file_updates/0",
        "payload/file_updates/1",
    ]
