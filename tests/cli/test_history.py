"""`git esaa log`, `show`, `diff`, `replay`: the wire from the command line to the log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from esaa_git.cli.main import run_command
from esaa_git.core.canonical import digest
from esaa_git.core.state import EMPTY
from esaa_git.ports.files import FileEntry
from esaa_git.store.log import GitEventLog
from esaa_git.store.objects import BLOB, COMMIT, sign_commit, split_signature
from esaa_git.trust.allowed_signers import allowed_signers_line
from esaa_git.trust.keys import load_signer
from esaa_git.trust.signer import KeySpec
from tests.conftest import Git
from tests.support.logs import (
    MadeLog,
    default_contracts,
    make_log,
    make_repository,
    open_log,
    write_key,
)

Esaa = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeLog:
    """Three tasks with a file each; the first attempt of the first one was rejected."""
    return make_log(tmp_path_factory.mktemp("history") / "log", tasks=3, rejected=1)


@pytest.fixture
def esaa(
    made: MadeLog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Esaa:
    """Run a command in the log's repository; return its exit code and what it printed."""
    monkeypatch.chdir(made.path)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run_command(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def program(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `git esaa` as a process of its own."""
    checkout = Path(__file__).resolve().parents[2]
    return subprocess.run(
        [sys.executable, "-m", "esaa_git", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        check=False,
    )


# -- log --------------------------------------------------------------------------------------


def test_log_lists_the_newest_event_first(esaa: Esaa) -> None:
    code, out, _ = esaa("log")

    lines = out.splitlines()
    assert code == 0
    assert len(lines) == 23
    assert lines[0].split() == [
        "EV-00000023",
        "2026-01-01",
        "09:00:22Z",
        "orchestrator",
        "run.end",
        "RUN-0001:",
        "success",
    ]
    assert lines[-1].startswith("EV-00000001  2026-01-01 09:00:00Z  person@example.com ")


def test_log_takes_filters_a_limit_and_the_other_direction(esaa: Esaa) -> None:
    _, out, _ = esaa("log", "--task", "T-1000", "--action", "attempt.*", "--oneline")
    assert out.splitlines() == [
        "EV-00000006 attempt.create T-1000-A2: agent-impl",
        "EV-00000002 attempt.create T-1000-A1: agent-impl",
    ]
    _, out, _ = esaa("log", "-n", "2", "--reverse", "--oneline")
    assert [line[:11] for line in out.splitlines()] == ["EV-00000022", "EV-00000023"]
    _, out, _ = esaa("log", "--reverse", "--actor", "agent-*", "--oneline")
    assert [line[:11] for line in out.splitlines()] == ["EV-00000008", "EV-00000013", "EV-00000018"]
    _, out, _ = esaa("log", "--since", "2026-01-01T09:00:21Z", "--oneline")
    assert [line[:11] for line in out.splitlines()] == ["EV-00000023", "EV-00000022"]
    _, out, _ = esaa("log", "--grep", "INVALID_JSON", "--oneline")
    assert out == "EV-00000004 output.rejected T-1000-A1: INVALID_JSON\n"


def test_log_as_json_has_one_event_a_line(esaa: Esaa, made: MadeLog) -> None:
    _, out, _ = esaa("log", "--json", "--reverse")

    found = [json.loads(line) for line in out.splitlines()]
    assert [one["event_seq"] for one in found] == list(range(1, 24))
    assert [one["commit"] for one in found] == made.commits


def test_log_reads_no_more_than_it_prints(
    esaa: Esaa, made: MadeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    real = GitEventLog.events

    def counting(self: GitEventLog, *, newest_first: bool = False) -> Any:
        for stored in real(self, newest_first=newest_first):
            read.append(stored.commit)
            yield stored

    monkeypatch.setattr(GitEventLog, "events", counting)

    esaa("log", "-n", "3")

    assert read == made.commits[:-4:-1]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--action", "nothing"], "error: no action matches 'nothing'"),
        (["--since", "soon"], "error: 'soon' is not a time"),
        (["--grep", "("], "error: '(' is not a regular expression"),
        (["--json", "--oneline"], "error: --oneline and --json exclude each other"),
        (["-n", "0"], "error: invalid value for '-n'"),
    ],
)
def test_log_says_which_filter_is_wrong(esaa: Esaa, arguments: list[str], complaint: str) -> None:
    code, out, err = esaa("log", *arguments)

    assert (code, out) == (2, "")
    assert err.startswith(complaint)
    assert "hint: " in err


def test_log_ends_quietly_when_its_reader_has_seen_enough(made: MadeLog) -> None:
    checkout = Path(__file__).resolve().parents[2]
    shell = f"'{sys.executable}' -m esaa_git log --json | head -n 1"
    done = subprocess.run(
        ["sh", "-c", shell],
        cwd=made.path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["event_id"] == "EV-00000023"


def test_the_program_works_as_a_module(made: MadeLog) -> None:
    done = program(made.path, "log", "-n", "1", "--oneline")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "EV-00000023 run.end RUN-0001: success\n"


# -- show -------------------------------------------------------------------------------------


def test_show_an_event_says_who_signed_it_and_where_its_files_are(
    esaa: Esaa, made: MadeLog, git: Git
) -> None:
    code, out, _ = esaa("show", "EV-00000009")

    assert code == 0
    assert f"commit:     {made.commits[8]}" in out
    assert f"signature:  good, by {made.signer.fingerprint} (orchestrator)" in out
    assert '"action"' not in out
    assert '"change": "add"' in out
    hint = out.splitlines()[-1].removeprefix("hint: git ").split()
    assert git(made.path, *hint) == "T-1000"


def test_show_an_event_as_json(esaa: Esaa, made: MadeLog) -> None:
    _, out, _ = esaa("show", "1", "--json")

    found = json.loads(out)
    assert found["commit"] == made.commits[0]
    assert found["sha256"] == made.events[0].sha256
    assert found["payload"]["run_id"] == "RUN-0001"
    assert found["signature"]["holds"] is True
    assert found["signature"]["roles"] == ["admin", "approver"]
    assert "the first event itself brings the contracts" in found["signature"]["text"]


def test_show_names_a_signature_that_does_not_hold(tmp_path: Path, git: Git) -> None:
    made = make_log(tmp_path / "log", tasks=1, done=0)
    issue = {"issue_id": "ISS-0001", "severity": "low", "title": "A typo"}
    made.emit("issue.report", "agent-impl", issue)
    made.record()
    raw = git(made.path, "cat-file", "commit", made.tip) + "\n"
    forged = git(
        made.path,
        "hash-object",
        "-t",
        "commit",
        "-w",
        "--stdin",
        stdin=raw.replace("ISS-0001 low: A typo", "ISS-0001 low: A tipo"),
    )
    git(made.path, "update-ref", made.log.ref, forged)

    done = program(made.path, "show", "@", "--json")

    assert json.loads(done.stdout)["signature"] == {
        "holds": False,
        "fingerprint": None,
        "roles": [],
        "text": "does not hold: bad: not made over this payload by the key it names",
    }


def test_show_names_a_key_without_the_role(tmp_path: Path, git: Git) -> None:
    public, other = write_key(tmp_path / "key"), write_key(tmp_path / "other", bytes(32))
    line = allowed_signers_line(["ann@example.com", "approver"], other).encode() + b"\n"
    signers = default_contracts(public).files["allowed_signers"] + line
    contracts = default_contracts(public, changed={"allowed_signers": signers})
    made = make_log(tmp_path / "log", tasks=1, done=0, contracts=contracts)
    made.open("T-1000")
    made.record()
    parts = split_signature(made.repository.read(made.tip)[1])
    assert parts is not None
    approver = load_signer(KeySpec("ssh", str(tmp_path / "other")))
    forged = made.repository.put(COMMIT, sign_commit(parts[0], approver.sign(parts[0])))
    git(made.path, "update-ref", made.log.ref, forged)

    done = program(made.path, "show", "@", "--json")

    signature = json.loads(done.stdout)["signature"]
    assert (signature["holds"], signature["roles"]) == (False, ["approver"])
    assert "it is the key of ann@example.com, not orchestrator's" in signature["text"]


def test_show_a_task_tells_its_story(esaa: Esaa) -> None:
    code, out, _ = esaa("show", "T-1000")

    assert code == 0
    assert "T-1000  Write T-1000\n  kind: impl" in out
    assert "state: done\nattempts: 2 of 3 used" in out
    assert "T-1000-A1  rejected: INVALID_JSON" in out
    assert "T-1000-A2  completed" in out
    assert "effect commit " in out
    assert out.splitlines()[-1].endswith("run.init RUN-0001 example: 3 new tasks")


def test_show_a_rejected_task_says_what_was_asked(tmp_path: Path) -> None:
    made = make_log(tmp_path / "log", tasks=1, done=0)
    made.open("T-1000")
    made.reject("T-1000")
    made.record()

    done = program(made.path, "show", "T-1000")

    assert "state: todo" in done.stdout
    assert "last rejection (T-1000-A1): INVALID_JSON" in done.stdout
    assert "→ Answer with exactly one JSON object and nothing before or after it." in done.stdout


def test_show_a_task_as_json(esaa: Esaa) -> None:
    _, out, _ = esaa("show", "T-1000", "--json")

    found = json.loads(out)
    assert found["task"]["state"] == "done"
    assert [one["outcome"] for one in found["attempts"]] == ["rejected: INVALID_JSON", "completed"]
    assert found["events"][0]["payload"]["to"] == "done"


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        (
            "24",
            "error: '24' is beyond the end of the log\ncaused by: the last event is EV-00000023",
        ),
        ("@~23", "error: '@~23' is before the first event"),
        ("T-100", "error: 'T-100' is neither an event nor a task\nhint: did you mean 'T-100"),
        ("nothing", "error: 'nothing' is neither an event nor a task\nhint: 'git esaa task list'"),
    ],
)
def test_show_says_what_is_not_there(esaa: Esaa, what: str, complaint: str) -> None:
    code, out, err = esaa("show", what)

    assert (code, out) == (2, "")
    assert err.startswith(complaint)


def test_without_a_log_the_commands_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_repository(tmp_path / "empty")
    monkeypatch.chdir(tmp_path / "empty")

    for arguments in (["log"], ["show", "@"], ["show", "T-1"], ["diff", "1", "2"], ["replay"]):
        assert run_command(arguments) == 3
        assert "there is no event log in this repository yet" in capsys.readouterr().err


# -- diff -------------------------------------------------------------------------------------


def test_diff_shows_tasks_field_by_field_and_files(esaa: Esaa) -> None:
    code, out, _ = esaa("diff", "10", "15")

    assert code == 0
    assert "~ T-1001\n" in out
    assert "    state: todo → done" in out
    assert "T-1000\n" not in out
    assert "  + src/T-1001.txt  (T-1001-A1, EV-00000014)" in out


def test_diff_as_json_and_backwards(esaa: Esaa, made: MadeLog) -> None:
    _, out, _ = esaa("diff", "1", "@", "--json")
    there = json.loads(out)
    _, out, _ = esaa("diff", "@", "1", "--json")
    back = json.loads(out)

    assert (there["from"], there["to"]) == (made.commits[0], made.tip)
    assert [one["id"] for one in there["tasks"]] == ["T-1000", "T-1001", "T-1002"]
    assert there["run"]["state"] == {"from": "initialized", "to": "success"}
    assert [one["change"] for one in there["files"]] == ["add"] * 3
    assert [one["change"] for one in back["files"]] == ["delete"] * 3
    assert back["run"]["state"] == {"from": "success", "to": "initialized"}


def test_diff_between_an_event_and_itself_is_nothing(esaa: Esaa) -> None:
    assert esaa("diff", "@", "@") == (0, "no difference\n", "")
    assert esaa("diff", "@", "@", "--patch") == (0, "", "")


def test_a_patch_is_one_that_git_applies(esaa: Esaa, git: Git, tmp_path: Path) -> None:
    _, out, _ = esaa("diff", "1", "@", "--patch")

    git(tmp_path, "init", "--quiet", "applied")
    git(tmp_path / "applied", "apply", "-", stdin=out)

    assert (tmp_path / "applied" / "src" / "T-1001.txt").read_text() == "T-1001\n"
    assert len(list((tmp_path / "applied" / "src").iterdir())) == 3


def test_a_patch_of_several_versions_goes_from_the_first_to_the_last(
    tmp_path: Path, git: Git
) -> None:
    made = open_log(tmp_path / "log")
    made.start([{"task_id": f"T-{n}", "kind": "impl", "title": "x"} for n in range(1, 4)])
    for number, content in ((1, b"one\n"), (2, b"two\n"), (3, b"three\n")):
        made.open(f"T-{number}")
        made.finish(f"T-{number}", {"a.txt": content})
    made.record()

    done = program(made.path, "diff", "6", "@", "--patch")

    assert done.stdout.splitlines()[-3:] == ["@@ -1 +1 @@", "-one", "+three"]


def waiting_for_review(folder: Path, files: dict[str, bytes]) -> MadeLog:
    """Return a log whose only task has a result that a person has to approve."""
    made = make_log(folder, tasks=1, done=0, review=True)
    made.open("T-1000")
    address = {"task_id": "T-1000", "attempt_id": "T-1000-A1"}
    result = {"summary": "x", "paths": sorted(files)}
    made.emit("agent.result", "agent-impl", {**address, **result})
    images = {path: made.repository.put(BLOB, data) for path, data in files.items()}
    if files:
        described = [
            {
                "path": path,
                "change": "add",
                "mode": "100755",
                "after": images[path],
                "sha256": digest(data),
                "bytes": len(data),
            }
            for path, data in files.items()
        ]
        made.emit(
            "orchestrator.file.write",
            "orchestrator",
            {**address, "base": made.branch_tip, "files": described, "changed_lines": 1},
            files={path: FileEntry("100755", oid) for path, oid in images.items()},
        )
    made.ask("T-1000")
    made.record()
    return made


def test_a_result_that_waits_for_review_is_shown_as_a_patch(tmp_path: Path) -> None:
    made = waiting_for_review(tmp_path / "log", {"run.sh": b"#!/bin/sh\n"})

    done = program(made.path, "review", "T-1000")
    task = program(made.path, "show", "T-1000")

    assert done.returncode == 0, done.stderr
    assert "diff --git a/run.sh b/run.sh\nnew file mode 100755\n" in done.stdout
    assert done.stdout.endswith("+#!/bin/sh\n")
    assert "effect: written, not on the branch yet" in task.stdout
    assert "waits for the review APR-0001" in task.stdout


def test_a_result_without_files_says_so_in_review(tmp_path: Path) -> None:
    made = waiting_for_review(tmp_path / "log", {})

    assert "it changes no files" in program(made.path, "review", "T-1000").stdout


# -- replay -----------------------------------------------------------------------------------


def test_replay_reaches_the_recorded_state(esaa: Esaa, made: MadeLog) -> None:
    code, out, err = esaa("replay")

    assert (code, err) == (0, "")
    assert "tasks: 3 done" in out
    assert f"projection_hash_sha256: {made.projection_hash}" in out
    assert out.endswith(f"equals the state recorded at EV-00000023 ({made.tip[:12]})\n")


def test_replay_of_a_part_as_json(esaa: Esaa) -> None:
    code, out, _ = esaa("replay", "--until", "EV-00000012", "--json")

    found = json.loads(out)
    assert code == 0
    assert found["events"] == 12
    assert found["tasks"] == {"T-1000": "done", "T-1001": "in_progress", "T-1002": "todo"}
    assert found["equals_recorded"] is True
    assert found["differences"] == []


def forged_state(folder: Path) -> MadeLog:
    """Return a log whose last event records another state than its events project to."""
    made = make_log(folder, tasks=1, done=0)
    task = made.state.tasks["T-1000"]
    lying = replace(
        made.state, tasks=EMPTY.tasks.with_record("T-1000", replace(task, title="Another"))
    )
    made.state = replace(lying, touched=frozenset({("tasks", "T-1000")}))
    issue = {"issue_id": "ISS-0001", "severity": "low", "title": "x", "task_id": "T-1000"}
    made.emit("issue.report", "agent-impl", {**issue, "severity": "medium"})
    made.record()
    return made


def test_replay_names_a_state_that_does_not_follow(tmp_path: Path) -> None:
    made = forged_state(tmp_path / "log")

    done = program(made.path, "replay")
    as_json = program(made.path, "replay", "--json")
    before = program(made.path, "replay", "--until", "1")

    assert done.returncode == as_json.returncode == 9
    assert "error: the state recorded at EV-00000002 is not what its events project to" in (
        done.stderr
    )
    assert "caused by: they differ in tasks/T-1000" in done.stderr
    assert "equals the state" not in done.stdout
    found = json.loads(as_json.stdout)
    assert found["equals_recorded"] is False
    assert found["differences"][0]["fields"] == {"title": {"from": "Another", "to": "Write T-1000"}}
    assert before.returncode == 0


@pytest.mark.parametrize("command", ["log", "show", "diff", "replay"])
def test_every_command_explains_itself_with_an_example(esaa: Esaa, command: str) -> None:
    code, out, _ = esaa(command, "--help")

    assert code == 0
    assert "Example:\n" in out
    assert f"  git esaa {command} " in out
