"""`git esaa project`, `export` and `import`: the wire from the command line to the files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from esaa_git.cli.main import run_command
from esaa_git.core import canonical
from tests.conftest import Git
from tests.support.logs import LOG_ID, PERSON, MadeLog, make_log, make_repository, open_log

Esaa = Callable[..., tuple[int, bytes, str]]


@pytest.fixture
def made(tmp_path: Path) -> MadeLog:
    return make_log(tmp_path / "log", tasks=2)


@pytest.fixture
def esaa(
    made: MadeLog, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Esaa:
    """Run a command, in the log's repository unless told otherwise."""

    def run(*arguments: str, folder: Path | None = None) -> tuple[int, bytes, str]:
        monkeypatch.chdir(folder or made.path)
        capsysbinary.readouterr()
        code = run_command(list(arguments))
        said = capsysbinary.readouterr()
        return code, said.out, said.err.decode()

    return run


def roadmap(made: MadeLog, name: str) -> bytes:
    return (made.path / ".roadmap" / name).read_bytes()


# -- project ----------------------------------------------------------------------------------


def test_project_writes_the_file_that_the_hash_covers(esaa: Esaa, made: MadeLog) -> None:
    code, out, _ = esaa("project")

    assert code == 0
    assert f"projection_hash_sha256: {made.projection_hash}" in out.decode()
    assert sha256(roadmap(made, "roadmap.json")).hexdigest() == made.projection_hash
    assert json.loads(roadmap(made, "issues.json")) == {"issues": [], "schema_version": "0.3.0"}
    assert json.loads(roadmap(made, "lessons.json")) == {"lessons": [], "schema_version": "0.3.0"}


def test_project_leaves_nothing_for_git_to_see(esaa: Esaa, made: MadeLog, git: Git) -> None:
    before = git(made.path, "status", "--porcelain", "--untracked-files=all")

    esaa("project")
    esaa("export")

    assert git(made.path, "status", "--porcelain", "--untracked-files=all") == before


def test_project_to_stdout_prints_the_same_bytes_and_writes_none(esaa: Esaa, made: MadeLog) -> None:
    code, out, _ = esaa("project", "--stdout")

    assert code == 0
    assert sha256(out).hexdigest() == made.projection_hash
    assert not (made.path / ".roadmap" / "roadmap.json").exists()


def test_project_as_json(esaa: Esaa, made: MadeLog) -> None:
    _, out, _ = esaa("project", "--json")

    assert json.loads(out) == {
        "events": 14,
        "projection_hash_sha256": made.projection_hash,
        "files": [".roadmap/roadmap.json", ".roadmap/issues.json", ".roadmap/lessons.json"],
    }


def test_project_holds_issues(esaa: Esaa, made: MadeLog) -> None:
    issue = {"issue_id": "ISS-0001", "severity": "low", "title": "A typo"}
    made.emit("issue.report", PERSON, issue)
    made.record()

    esaa("project")

    assert json.loads(roadmap(made, "issues.json"))["issues"] == [{**issue, "reported_by": PERSON}]


def test_project_in_a_bare_repository_prints_only(esaa: Esaa, tmp_path: Path) -> None:
    bare = make_log(tmp_path / "bare", tasks=1, bare=True)

    code, _, err = esaa("project", folder=bare.path)
    assert code == 2
    assert "hint: print it with 'git esaa project --stdout'" in err

    code, out, _ = esaa("project", "--stdout", folder=bare.path)
    assert code == 0
    assert sha256(out).hexdigest() == bare.projection_hash


def test_project_never_writes_through_a_link(esaa: Esaa, made: MadeLog, tmp_path: Path) -> None:
    (made.path / ".roadmap").rename(tmp_path / "elsewhere")
    (made.path / ".roadmap").symlink_to(tmp_path / "elsewhere")

    for command in ("project", "export"):
        code, _, err = esaa(command)
        assert code == 3
        assert "'.roadmap' is in the way" in err
    assert not (tmp_path / "elsewhere" / "roadmap.json").exists()


def test_project_refuses_a_link_where_the_file_should_be(
    esaa: Esaa, made: MadeLog, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (made.path / ".roadmap" / "roadmap.json").symlink_to(victim)

    code, _, err = esaa("project")

    assert code == 3
    assert "'.roadmap/roadmap.json' is in the way: it is a symbolic link" in err
    assert victim.read_text() == "mine"


# -- export -----------------------------------------------------------------------------------


def test_export_writes_beside_the_contracts(esaa: Esaa, made: MadeLog) -> None:
    code, out, _ = esaa("export")

    assert code == 0
    assert "wrote 14 events to .roadmap/activity.jsonl" in out.decode()
    assert roadmap(made, "activity.jsonl") == b"".join(event.data for event in made.events)
    assert roadmap(made, "activity.objects.pack").startswith(b"PACK")


def test_export_to_a_folder_as_json(esaa: Esaa, tmp_path: Path) -> None:
    _, out, _ = esaa("export", str(tmp_path / "a" / "b"), "--json")

    found = json.loads(out)
    assert found["events"] == 14
    assert Path(found["activity"]).read_bytes().count(b"\n") == 14
    assert Path(found["objects"]).is_file()


def test_export_to_stdout_is_the_events_alone(esaa: Esaa, made: MadeLog) -> None:
    assert esaa("export", "-") == (0, b"".join(event.data for event in made.events), "")
    assert not (made.path / ".roadmap" / "activity.jsonl").exists()


def test_export_without_a_log_or_a_place_says_so(esaa: Esaa, made: MadeLog, tmp_path: Path) -> None:
    empty = make_repository(tmp_path / "empty")
    bare = make_log(tmp_path / "bare", tasks=1, done=0, bare=True)

    code, _, err = esaa("export", str(tmp_path / "out"), folder=empty.git_dir)
    assert code == 3
    assert "there is no event log" in err
    assert not list((tmp_path / "out").glob("*"))

    code, _, err = esaa("export", folder=bare.path)
    assert code == 2
    assert "hint: name a folder" in err

    code, _, err = esaa("export", str(made.path / "README.md"))
    assert code == 3
    assert "cannot write to" in err


# -- import -----------------------------------------------------------------------------------


def test_an_export_is_imported_elsewhere_to_the_same_hash(
    esaa: Esaa, made: MadeLog, tmp_path: Path
) -> None:
    esaa("export", str(tmp_path / "out"))
    target = open_log(tmp_path / "target", bare=True)

    code, out, err = esaa("import", str(tmp_path / "out" / "activity.jsonl"), folder=target.path)

    assert (code, err) == (0, "")
    assert "imported 14 events into refs/esaa/events" in out.decode()
    assert f"projection_hash_sha256: {made.projection_hash}" in out.decode()
    assert esaa("replay", folder=target.path)[0] == 0


def test_import_finds_contracts_in_the_checkout(esaa: Esaa, tmp_path: Path) -> None:
    source = make_log(tmp_path / "source", tasks=1, done=0)
    esaa("export", str(tmp_path / "out"), folder=source.path)
    (tmp_path / "out" / "activity.objects.pack").unlink()
    target = open_log(tmp_path / "target")

    code, out, err = esaa(
        "import", str(tmp_path / "out" / "activity.jsonl"), "--json", folder=target.path
    )

    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["projection_hash_sha256"] == source.projection_hash
    assert found["tip"] == target.repository.ref_target("refs/esaa/events")


def test_import_names_the_bad_line_and_imports_nothing(esaa: Esaa, tmp_path: Path) -> None:
    esaa("export", str(tmp_path / "out"))
    activity = tmp_path / "out" / "activity.jsonl"
    lines = activity.read_bytes().splitlines(keepends=True)
    lines[4] = b'{"action":"task.update"}\n'
    activity.write_bytes(b"".join(lines))
    target = open_log(tmp_path / "target", bare=True)

    code, _, err = esaa("import", str(activity), folder=target.path)

    assert code == 10
    assert err.startswith(f"error: '{activity}' line 5 is not an event\ncaused by: ")
    assert target.repository.ref_target("refs/esaa/events") is None


def test_import_needs_a_key(esaa: Esaa, tmp_path: Path) -> None:
    esaa("export", str(tmp_path / "out"))
    empty = make_repository(tmp_path / "empty")

    code, _, err = esaa("import", str(tmp_path / "out" / "activity.jsonl"), folder=empty.git_dir)

    assert code == 5
    assert "no signing key is configured" in err


def test_import_refuses_where_there_is_a_log(esaa: Esaa, made: MadeLog) -> None:
    esaa("export")

    code, _, err = esaa("import", ".roadmap/activity.jsonl")

    assert code == 3
    assert "this repository has an event log already" in err
    assert made.repository.ref_target("refs/esaa/events") == made.tip


# -- what vouches for an import -----------------------------------------------------------------


def edited(folder: Path) -> None:
    """Change what the first result says; the lines stay canonical."""
    path = folder / "activity.jsonl"
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    result = next(line for line in lines if line["action"] == "agent.result")
    result["payload"]["summary"] = "FORGED: approved by legal"
    # What records a hash of the projection goes.
    kept = [line for line in lines if not line["action"].startswith(("verify.", "run.end"))]
    for number, line in enumerate(kept, start=1):
        line |= {"event_seq": number, "event_id": f"EV-{number:08d}"}
    path.write_bytes(b"".join(canonical.encode(line) for line in kept))


@pytest.mark.parametrize("change", [None, edited])
def test_an_import_says_that_nobody_vouches_for_it_and_so_does_every_verification(
    esaa: Esaa, made: MadeLog, tmp_path: Path, change: Callable[[Path], None] | None
) -> None:
    esaa("export", str(tmp_path / "out"))
    if change is not None:
        change(tmp_path / "out")
    target = open_log(tmp_path / "target", bare=True)
    code, out, _ = esaa("import", str(tmp_path / "out"), folder=target.path)
    assert code == 0
    assert "nobody vouches for what they say" in out.decode()
    for arguments in (("--full",), (), ()):  # also from the verified point
        _, said, err = esaa("verify", *arguments, folder=target.path)
        assert f"were imported from log {LOG_ID}" in said.decode() + err
        assert "nobody vouches for what they say" in said.decode() + err
    found = json.loads(esaa("verify", "--json", folder=target.path)[1])
    assert found["imported"] == {"events": found["checked_to"], "from": LOG_ID}
    assert found["log_id"].startswith(f"imported-{found['checked_to']}-{LOG_ID}-")


def test_an_export_that_does_not_say_where_it_is_from_is_imported_all_the_same(
    esaa: Esaa, tmp_path: Path
) -> None:
    esaa("export", str(tmp_path / "out"))
    (tmp_path / "out/activity.origin.json").unlink()
    target = open_log(tmp_path / "target", bare=True)
    assert esaa("import", str(tmp_path / "out"), folder=target.path)[0] == 0
    found = json.loads(esaa("verify", "--json", folder=target.path)[1])
    assert found["imported"] == {"events": 14, "from": None}


@pytest.mark.parametrize(
    "data", [b"", b"{}\n", b'{"log_id":7}\n', b'{"log_id":"../../x"}\n', b"x" * 20_000]
)
def test_a_file_that_says_no_origin_is_refused(esaa: Esaa, tmp_path: Path, data: bytes) -> None:
    esaa("export", str(tmp_path / "out"))
    (tmp_path / "out/activity.origin.json").write_bytes(data)
    target = open_log(tmp_path / "target", bare=True)
    code, _, err = esaa("import", str(tmp_path / "out"), folder=target.path)
    assert code == 10
    assert "does not say which log was exported" in err
    assert target.repository.ref_target("refs/esaa/events") is None


def test_an_import_of_an_import_goes_back_to_the_first_log(
    esaa: Esaa, made: MadeLog, tmp_path: Path
) -> None:
    folder = made.path
    for name in ("one", "two"):
        esaa("export", str(tmp_path / f"out-{name}"), folder=folder)
        target = open_log(tmp_path / name, bare=True)
        assert esaa("import", str(tmp_path / f"out-{name}"), folder=target.path)[0] == 0
        folder = target.path
    found = json.loads(esaa("verify", "--json", folder=folder)[1])
    assert found["imported"] == {"events": 14, "from": LOG_ID}


def test_a_bundle_keeps_commits_signatures_and_log_id_and_needs_no_key(
    esaa: Esaa, made: MadeLog, tmp_path: Path
) -> None:
    code, out, _ = esaa("export", str(tmp_path / "out"), "--bundle")
    assert code == 0
    assert "keep their signatures" in out.decode()
    target = make_repository(tmp_path / "target")
    code, out, err = esaa("import", str(tmp_path / "out"), folder=target.git_dir)
    assert (code, err) == (0, "")
    assert "under the signatures of whoever recorded them" in out.decode()
    assert target.ref_target("refs/esaa/events") == made.tip
    found = json.loads(esaa("verify", "--json", "--full", folder=target.git_dir)[1])
    assert found["log_id"] == LOG_ID
    assert found["imported"] == {"events": 0, "from": None}
    assert target.ref_target("refs/esaa/incoming/bundle") is None


def test_a_bundle_of_a_log_that_does_not_hold_is_not_taken(
    esaa: Esaa, made: MadeLog, git: Git, tmp_path: Path
) -> None:
    forged = git(made.path, "commit-tree", "-p", made.tip, "-m", "x", f"{made.tip}^{{tree}}")
    git(made.path, "update-ref", "refs/esaa/events", forged)
    bundle = tmp_path / "forged.bundle"
    git(made.path, "bundle", "create", "-q", str(bundle), "refs/esaa/events")
    target = make_repository(tmp_path / "target")
    code, _, err = esaa("import", str(bundle), folder=target.git_dir)
    assert code != 0
    assert "does not hold" in err
    assert target.ref_target("refs/esaa/events") is None
    assert target.ref_target("refs/esaa/incoming/bundle") is None


@pytest.mark.parametrize("kind", ["of a branch alone", "cut off", "no bundle inside"])
def test_a_bundle_that_is_none_is_refused_in_words(
    esaa: Esaa, made: MadeLog, git: Git, tmp_path: Path, kind: str
) -> None:
    bundle = tmp_path / "some.bundle"
    if kind == "of a branch alone":
        git(made.path, "bundle", "create", "-q", str(bundle), "HEAD", "refs/heads/main")
    elif kind == "cut off":
        git(made.path, "bundle", "create", "-q", str(bundle), "refs/esaa/events")
        bundle.write_bytes(bundle.read_bytes()[:-500])
    else:
        bundle.write_bytes(b"# v2 git bundle\nnothing\n")
    target = make_repository(tmp_path / "target")
    code, _, err = esaa("import", str(bundle), folder=target.git_dir)
    assert code != 0
    assert err.startswith("error: ")
    assert target.ref_target("refs/esaa/events") is None


def test_export_and_import_as_processes(made: MadeLog, tmp_path: Path) -> None:
    checkout = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    target = open_log(tmp_path / "target", bare=True)

    def run(folder: Path, *arguments: str) -> bytes:
        command = [sys.executable, "-m", "esaa_git", *arguments]
        return subprocess.run(
            command, cwd=folder, capture_output=True, env=environment, check=True
        ).stdout

    run(made.path, "export", str(tmp_path / "out"))
    run(target.path, "import", str(tmp_path / "out" / "activity.jsonl"))

    assert run(target.path, "export", "-") == run(made.path, "export", "-")
    assert run(target.path, "project", "--stdout") == run(made.path, "project", "--stdout")


@pytest.mark.parametrize("command", ["project", "export", "import"])
def test_every_command_explains_itself_with_an_example(esaa: Esaa, command: str) -> None:
    code, out, _ = esaa(command, "--help")

    assert code == 0
    assert b"Example:\n" in out
    assert f"  git esaa {command}".encode() in out
