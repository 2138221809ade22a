"""Effects on the working branch: the right tree, the right commit, and never over a person's work.

Every test runs `git esaa` on a real repository and asks git what came of it. Crashes are real:
a child process kills itself between two steps, and the next command has to make it good.
"""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Git
from tests.support.project import (
    Document,
    Project,
    edit,
    make_project,
    result,
    task,
    write,
)

ROOT = Path(__file__).resolve().parents[2]
SEED = {"src/a.py": "a = 1\n", "src/b.py": "b = 1\n", "tools/run": "#!/bin/sh\n"}
LINES = "".join(f"line {number}\n" for number in range(1, 21))


@pytest.fixture
def make(tmp_path: Path, git: Git) -> Callable[..., Project]:
    def made(*tasks: Document, seed: dict[str, str] | None = None, **options: Any) -> Project:
        chosen = tasks or (task("T-1"),)
        return make_project(
            tmp_path / "project", git, *chosen, seed={**SEED, **(seed or {})}, **options
        )

    return made


def tree(project: Project, commit: str = "main") -> dict[str, str]:
    """Return mode and content of every file but the contracts, as git has them."""
    found = {}
    for line in project.git("ls-tree", "-r", commit).splitlines():
        meta, path = line.split("\t")
        mode, _, oid = meta.split(" ")
        if not path.startswith(".roadmap/"):
            found[path] = f"{mode} {project.git('cat-file', 'blob', oid)}"
    return found


# -- what each operation makes of the tree -----------------------------------------------------

PATCH = "--- a/src/a.py\n+++ b/src/a.py\n@@ -1 +1,2 @@\n-a = 1\n+a = 2\n+c = 3\n"
BINARY = base64.b64encode(bytes(range(256))).decode()

OPERATIONS: dict[str, tuple[Document, dict[str, str | None]]] = {
    "write": (write("src/new.py", "ü = 1\n"), {"src/new.py": "100644 ü = 1"}),
    "write over": (write("src/a.py", "a = 2\n"), {"src/a.py": "100644 a = 2"}),
    "write executable": (
        write("tools/new", "#!/bin/sh\n", executable=True),
        {"tools/new": "100755 #!/bin/sh"},
    ),
    "edit": (edit("src/a.py", "a = 1", "a = 2"), {"src/a.py": "100644 a = 2"}),
    "patch": (
        {"op": "patch", "path": "src/a.py", "patch": PATCH},
        {"src/a.py": "100644 a = 2\nc = 3"},
    ),
    "delete": ({"op": "delete", "path": "src/a.py"}, {"src/a.py": None}),
    "rename": (
        {"op": "rename", "from": "src/a.py", "path": "lib/a.py"},
        {"src/a.py": None, "lib/a.py": "100644 a = 1"},
    ),
    "rename with another content": (
        {"op": "rename", "from": "src/a.py", "path": "lib/a.py", "content": "a = 3\n"},
        {"src/a.py": None, "lib/a.py": "100644 a = 3"},
    ),
    "chmod": (
        {"op": "chmod", "path": "tools/run", "executable": True},
        {"tools/run": "100755 #!/bin/sh"},
    ),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_becomes_the_right_tree(make: Callable[..., Project], operation: str) -> None:
    update, changes = OPERATIONS[operation]
    project = make()
    before = tree(project)
    project.answers(T_1=result("T-1", update))
    project.ok("run")
    wanted = {**before, **changes}
    assert tree(project) == {path: what for path, what in wanted.items() if what is not None}
    assert project.status() == ""
    for path, what in changes.items():
        place = project.path / path
        assert place.exists() == (what is not None)
        if what is not None:
            assert f"{'100755' if place.stat().st_mode & 0o100 else '100644'}" == what[:6]
    project.check()


def test_a_binary_file_arrives_byte_for_byte(make: Callable[..., Project]) -> None:
    project = make()
    project.answers(T_1=result("T-1", write("img/x.bin", BINARY, encoding="base64")))
    project.ok("run")
    assert (project.path / "img/x.bin").read_bytes() == bytes(range(256))
    assert project.status() == ""
    project.check()


def test_the_last_file_of_a_folder_takes_the_folder_with_it(make: Callable[..., Project]) -> None:
    project = make()
    project.answers(T_1=result("T-1", {"op": "delete", "path": "tools/run"}))
    project.ok("run")
    assert "tools" not in project.git("ls-tree", "--name-only", "main").splitlines()
    assert not (project.path / "tools").exists()


def test_end_of_line_attributes_are_honoured_in_the_checkout(make: Callable[..., Project]) -> None:
    project = make(seed={".gitattributes": "*.txt text eol=crlf\n"})
    project.answers(T_1=result("T-1", write("docs/a.txt", "one\ntwo\n")))
    project.ok("run")
    assert (project.path / "docs/a.txt").read_bytes() == b"one\r\ntwo\r\n"
    assert project.git("cat-file", "blob", "main:docs/a.txt") == "one\ntwo"
    assert project.status() == ""


def test_a_repository_with_names_that_are_not_utf8_is_served(make: Callable[..., Project]) -> None:
    """Old repositories have them: they stand in the way of nothing."""
    project = make()
    blob = project.git("hash-object", "-w", "--stdin", stdin=b"old\n")
    listing = project.git("ls-tree", "main").encode() + b"\n"
    listing += b"100644 blob " + blob.encode() + b"\tcaf\xe9.txt\n"
    made = project.git("mktree", stdin=listing)
    commit = project.git("commit-tree", made, "-p", "main", "-m", "An old name")
    project.git("update-ref", "refs/heads/main", commit)
    project.git("config", "core.quotePath", "true")
    project.git("checkout", "--quiet", "--force", "main")
    project.answers(T_1=result("T-1", write("docs/a.md", "# A\n")))
    project.ok("run")
    assert '"caf\\351.txt"' in project.git("ls-tree", "--name-only", "main").splitlines()
    assert project.status() == ""
    project.check()


def test_a_program_is_shown_files_with_names_that_are_not_utf8(
    make: Callable[..., Project],
) -> None:
    project = make()
    blob = project.git("hash-object", "-w", "--stdin", stdin=b"old\n")
    project.git("update-index", "-z", "--index-info", stdin=f"100644 {blob}\t".encode() + b"\xe9\0")
    project.program(
        "import json, os, sys\n"
        "request = json.load(sys.stdin)\n"
        "print(json.dumps({'action': 'agent.result', 'task_id': 'T-1',\n"
        "    'attempt_id': request['attempt_id'],\n"
        "    'payload': {'summary': repr(sorted(os.listdir(b'.')))}}))\n"
    )
    project.git("add", ".roadmap")
    project.git("commit", "--quiet", "-m", "An old name")
    project.git("checkout", "--quiet", "--force", "main")
    project.ok("run")
    result_ = project.task("T-1").result
    assert result_ is not None
    assert "b'\\xe9'" in result_.summary


# -- the commit --------------------------------------------------------------------------------


def test_the_effect_commit_says_who_did_what_and_why(make: Callable[..., Project]) -> None:
    project = make()
    summary = "Wrote the parser.\n\nIt reads everything.\nReviewed-by: nobody\n"
    project.answers(T_1=result("T-1", write("src/new.py", "x\n"), summary=summary))
    project.ok("run")
    effect = project.head()
    written = next(one for one in project.chain() if "files" in one.tree)
    shown = project.git("show", "-s", "--format=%an <%ae>|%cn|%at|%ct|%B", effect)
    who, committer, authored, committed, message = shown.split("|", 4)
    assert who == "agent-x <agent-x@esaa.invalid>"
    assert committer == "git-esaa orchestrator"
    assert authored == committed
    assert message.startswith(
        "T-1: Wrote the parser.\n\n> It reads everything.\n> Reviewed-by: nobody\n"
    )
    trailers = project.git("show", "-s", "--format=%(trailers:only,unfold)", effect).split("\n")
    assert [line for line in trailers if line] == [
        f"ESAA-Event: {written.oid}",
        f"ESAA-Log: {written.trailers['ESAA-Log']}",
        "ESAA-Run: RUN-0001",
        "ESAA-Task: T-1",
        "ESAA-Attempt: T-1-A1",
        "Assisted-by: agent-x:scripted-1",
    ]
    project.git("verify-commit", effect)
    closing = project.payloads("task.update")[-1]
    assert closing["effect_commit"] == effect


def test_attribution_can_be_switched_off(make: Callable[..., Project]) -> None:
    project = make()
    project.amend_yaml("ORCHESTRATOR_CONTRACT.yaml", attribution__assisted_by=False)
    project.answers(T_1=result("T-1", write("src/new.py", "x\n")))
    project.ok("run")
    assert "Assisted-by" not in project.git("show", "-s", "--format=%B", "main")
    project.check()


def test_a_persons_own_work_is_attributed_to_no_model(make: Callable[..., Project]) -> None:
    project = make()
    project.ok("plan", "apply")
    project.ok("claim", "T-1")
    project.write("src/new.py", "mine = 1\n")
    project.ok("complete", "T-1", "--summary", "By hand", "src/new.py")
    shown = project.git("show", "-s", "--format=%an <%ae>%n%B", "main")
    assert shown.startswith("person@example.com <person@example.com>\nT-1: By hand\n")
    assert "Assisted-by" not in shown
    assert project.status() == ""
    project.check()


# -- the branch moves --------------------------------------------------------------------------


def while_asked(project: Project, *commands: str) -> None:
    """Have the agent's program run shell commands in the repository: a person who works beside."""
    body = " && ".join(commands)
    project.program(
        "import json, os, subprocess, sys\n"
        "request = json.load(sys.stdin)\n"
        f"here = {str(project.path)!r}\n"
        "answers = os.path.join(here, '.roadmap/answers')\n"
        "name = request['attempt_id']\n"
        f"if name.endswith('-A1'):\n"
        f"    subprocess.run({body!r}, cwd=here, shell=True, check=True,\n"
        "                   stdout=subprocess.DEVNULL)\n"
        "path = os.path.join(answers, name + '.json')\n"
        "if not os.path.exists(path):\n"
        "    path = os.path.join(answers, request['task']['task_id'] + '.json')\n"
        "text = open(path).read().replace('{{attempt_id}}', name)\n"
        "print(text)\n"
    )
    project.commit("The agent")


COMMIT = "git -c user.name=P -c user.email=p@example.com commit -qam Theirs"


def test_a_change_beside_a_persons_commit_is_merged(make: Callable[..., Project]) -> None:
    project = make(seed={"src/long.txt": LINES})
    while_asked(project, "sed -i 's/^line 2$/line two/' src/long.txt", COMMIT)
    project.answers(T_1=result("T-1", edit("src/long.txt", "line 18\n", "line eighteen\n")))
    base = project.head()
    project.ok("run", "--sandbox", "none")
    wanted = LINES.replace("line 2\n", "line two\n").replace("line 18\n", "line eighteen\n")
    assert project.read("src/long.txt") == wanted
    payload = project.payloads("orchestrator.file.write")[0]
    assert payload["base"] == base
    assert payload["merged_onto"] == project.head("main~1")
    assert project.git("show", "-s", "--format=%s", "main~1") == "Theirs"
    assert project.status() == ""
    project.check()


def test_a_change_follows_a_file_that_was_renamed_on_the_branch(
    make: Callable[..., Project],
) -> None:
    project = make(seed={"src/long.txt": LINES})
    while_asked(project, "git mv src/long.txt src/renamed.txt", COMMIT)
    project.answers(T_1=result("T-1", edit("src/long.txt", "line 18\n", "line eighteen\n")))
    project.ok("run", "--sandbox", "none")
    assert not (project.path / "src/long.txt").exists()
    assert project.read("src/renamed.txt") == LINES.replace("line 18\n", "line eighteen\n")
    assert [file["path"] for file in project.payloads("orchestrator.file.write")[0]["files"]] == [
        "src/renamed.txt"
    ]
    project.check()


def test_a_conflict_goes_back_with_its_hunks_and_the_next_attempt_succeeds(
    make: Callable[..., Project],
) -> None:
    project = make(seed={"src/long.txt": LINES})
    while_asked(project, "sed -i 's/^line 5$/line five/' src/long.txt", COMMIT)
    project.answers(
        T_1_A1=result("T-1", edit("src/long.txt", "line 5\n", "LINE 5\n"), attempt_id="T-1-A1"),
        T_1_A2=result(
            "T-1", edit("src/long.txt", "line five\n", "LINE FIVE\n"), attempt_id="T-1-A2"
        ),
    )
    project.ok("run", "--sandbox", "none")
    rejected = project.said("output.rejected")[0]
    assert rejected["code"] == "WRITE_CONFLICT"
    for words in ("<<<<<<< branch\nline five\n", "=======\nLINE 5\n", ">>>>>>> proposal"):
        assert words in rejected["detail"]["hunks"]
    bases = [payload["base"] for payload in project.payloads("attempt.create")]
    assert bases == [project.head("main~2"), project.head("main~1")]
    assert project.read("src/long.txt") == LINES.replace("line 5\n", "LINE FIVE\n")
    assert "<<<<<<<" not in project.git("log", "-p", "--format=", "--", "src")
    project.check()


@pytest.mark.parametrize(
    ("theirs", "update", "reason"),
    [
        ("git rm -q src/a.py", edit("src/a.py", "a = 1", "a = 2"), "deleted"),
        (
            "echo 'a = 9' > src/a.py",
            {"op": "delete", "path": "src/a.py"},
            "changed what is to be deleted",
        ),
        (
            "echo x > src/new.py && git add src/new.py",
            write("src/new.py", "y\n"),
            "added another file",
        ),
        (
            "mkdir lib && echo x > lib/a.py && git add lib",
            {"op": "rename", "from": "src/a.py", "path": "lib/a.py"},
            "a file there now",
        ),
        (
            "git rm -q src/a.py && ln -s b.py src/a.py && git add src/a.py",
            edit("src/a.py", "a = 1", "a = 2"),
            "a symlink",
        ),
    ],
    ids=["deleted", "changed", "added", "target taken", "became a symlink"],
)
def test_what_cannot_be_merged_is_a_typed_rejection(
    make: Callable[..., Project], theirs: str, update: Document, reason: str
) -> None:
    project = make(policy={"attempts__max_per_task": 1})
    while_asked(project, theirs, COMMIT)
    project.answers(T_1=result("T-1", update))
    project.esaa("run", "--sandbox", "none")
    rejected = project.said("output.rejected")[0]
    assert rejected["code"] == "WRITE_CONFLICT"
    assert reason in rejected["message"]
    assert project.git("show", "-s", "--format=%s", "main") == "Theirs"
    assert project.status() == ""


def test_the_same_change_by_a_person_leaves_nothing_to_do(make: Callable[..., Project]) -> None:
    project = make()
    while_asked(project, "echo 'a = 2' > src/a.py", COMMIT)
    project.answers(T_1=result("T-1", edit("src/a.py", "a = 1", "a = 2")))
    project.ok("run", "--sandbox", "none")
    assert project.git("show", "-s", "--format=%s", "main") == "Theirs"
    assert project.task("T-1").is_done
    project.check()


# -- a person's own work -----------------------------------------------------------------------


def test_an_answer_is_kept_while_a_persons_work_is_in_the_way(
    make: Callable[..., Project],
) -> None:
    project = make()
    project.write("src/a.py", "mine = 1\n")
    project.answers(T_1=result("T-1", edit("src/a.py", "a = 1", "a = 2")))
    before = project.head()
    message = project.fails(8, "run")
    assert "'src/a.py'" in message
    assert "commit it, or put it away" in message
    assert project.head() == before
    assert project.read("src/a.py") == "mine = 1\n"
    assert project.actions()[-1] == "orchestrator.file.write"
    assert project.task("T-1").state == "in_progress"
    # It still is in the way, and nobody is asked again.
    assert "'src/a.py'" in project.fails(8, "run")
    assert project.actions().count("agent.result") == 1
    project.git("stash", "--quiet")
    project.ok("run")
    assert project.git("cat-file", "blob", "main:src/a.py") == "a = 2"
    assert project.read("src/a.py") == "a = 2\n"
    assert project.actions().count("attempt.create") == 1
    project.check()


def test_an_answer_that_waits_is_finished_on_what_the_person_committed(
    make: Callable[..., Project],
) -> None:
    project = make(seed={"src/long.txt": LINES})
    project.write("src/long.txt", LINES.replace("line 2\n", "mine\n"))
    project.answers(T_1=result("T-1", edit("src/long.txt", "line 18\n", "line eighteen\n")))
    project.fails(8, "run")
    project.commit("Mine")
    project.ok("run")
    wanted = LINES.replace("line 2\n", "mine\n").replace("line 18\n", "line eighteen\n")
    assert project.read("src/long.txt") == wanted
    assert project.actions().count("orchestrator.file.write") == 2
    project.check()


def test_an_answer_that_waits_and_then_conflicts_goes_back(make: Callable[..., Project]) -> None:
    project = make()
    project.write("src/a.py", "a = 7\n")
    project.answers(
        T_1_A1=result("T-1", edit("src/a.py", "a = 1", "a = 2"), attempt_id="T-1-A1"),
        T_1_A2=result("T-1", edit("src/a.py", "a = 7", "a = 8"), attempt_id="T-1-A2"),
    )
    project.fails(8, "run")
    project.commit("Mine")
    project.ok("run")
    assert project.said("output.rejected")[0]["code"] == "WRITE_CONFLICT"
    assert project.read("src/a.py") == "a = 8\n"
    project.check()


@pytest.mark.parametrize("how", ["untracked", "staged", "ignored"])
def test_work_of_any_kind_is_in_the_way(make: Callable[..., Project], how: str) -> None:
    project = make(seed={".gitignore": "*.log\n"})
    path = "src/x.log" if how == "ignored" else "src/new.py"
    project.write(path, "mine\n")
    if how == "staged":
        project.git("add", path)
    project.answers(T_1=result("T-1", write(path, "theirs\n")))
    before = project.head(), project.git("status", "--porcelain", "--", "src")
    assert f"'{path}'" in project.fails(8, "run")
    assert (project.head(), project.git("status", "--porcelain", "--", "src")) == before
    assert project.read(path) == "mine\n"


def test_other_work_survives_beside_the_effect(make: Callable[..., Project]) -> None:
    project = make()
    project.write("src/b.py", "mine = 1\n")
    project.write("notes.txt", "mine\n")
    project.write("staged.txt", "mine\n")
    project.git("add", "staged.txt")
    project.answers(T_1=result("T-1", edit("src/a.py", "a = 1", "a = 2"), write("src/c.py", "c\n")))
    project.ok("run")
    assert project.read("src/a.py") == "a = 2\n"
    assert project.status().splitlines() == [" M src/b.py", "A  staged.txt", "?? notes.txt"]
    assert project.read("src/b.py") == "mine = 1\n"
    project.check()


def test_work_that_already_is_what_the_effect_makes_is_not_in_the_way(
    make: Callable[..., Project],
) -> None:
    project = make()
    project.write("src/a.py", "a = 2\n")
    project.answers(T_1=result("T-1", edit("src/a.py", "a = 1", "a = 2")))
    project.ok("run")
    assert project.status() == ""
    project.check()


def test_a_branch_that_is_checked_out_nowhere_is_worked_on_all_the_same(
    make: Callable[..., Project],
) -> None:
    project = make()
    project.git("branch", "work")
    before = project.files()
    main = project.head()
    project.answers(T_1=result("T-1", edit("src/a.py", "a = 1", "a = 2")))
    before = project.files()
    project.ok("run", "--branch", "work")
    assert project.git("cat-file", "blob", "work:src/a.py") == "a = 2"
    assert project.head() == main
    assert project.files() == before
    project.check()


def test_a_linked_worktree_that_holds_the_branch_follows(
    make: Callable[..., Project], tmp_path: Path
) -> None:
    project = make()
    beside = tmp_path / "beside"
    project.git("worktree", "add", "--quiet", "-b", "work", str(beside))
    project.answers(T_1=result("T-1", edit("src/a.py", "a = 1", "a = 2")))
    project.ok("run", "--branch", "work")
    assert (beside / "src/a.py").read_text() == "a = 2\n"
    assert project.read("src/a.py") == "a = 1\n"
    assert Project(beside, project._git).status() == ""


def test_people_commit_between_effects(make: Callable[..., Project]) -> None:
    project = make(task("T-1"), task("T-2"), task("T-3"))
    project.answers(
        T_1=result("T-1", write("src/1.py", "1\n")),
        T_2=result("T-2", write("src/2.py", "2\n")),
        T_3=result("T-3", write("src/3.py", "3\n")),
    )
    for number in (1, 2, 3):
        project.ok("run", "--steps", "1")
        project.write(f"src/mine{number}.py", "mine\n")
        project.commit(f"Mine {number}")
    project.ok("run")
    subjects = project.git("log", "--format=%s", "--reverse", "main").splitlines()[1:]
    assert subjects == [
        "T-1: Did T-1",
        "Mine 1",
        "T-2: Did T-2",
        "Mine 2",
        "T-3: Did T-3",
        "Mine 3",
    ]
    project.check()


# -- crashes -----------------------------------------------------------------------------------

DIES = """\
import os, signal, sys
import esaa_git.store.refs, esaa_git.store.journal, esaa_git.engine.transaction

def die(*_arguments, **_named):
    os.kill(os.getpid(), signal.SIGKILL)

def first_move_then_die(refs, moves):
    real(refs, moves[:1])
    if len(moves) > 1:
        die()

GitRefs = esaa_git.store.refs.GitRefs
real = GitRefs.move
point = sys.argv.pop(1)
if point == "before the log moves":
    GitRefs.move = lambda refs, moves: die() if len(moves) > 1 else real(refs, moves)
elif point == "between log and branch":
    GitRefs.move = first_move_then_die
elif point == "between branch and checkout":
    esaa_git.engine.transaction.follow = die
elif point == "after the checkout":
    esaa_git.store.journal.FileJournal.clear = die

from esaa_git.cli.main import main
main()
"""

POINTS = (
    "before the log moves",
    "between log and branch",
    "between branch and checkout",
    "after the checkout",
)


def crash(project: Project, point: str, *arguments: str) -> None:
    """Run a command in a process of its own that dies at this point."""
    done = subprocess.run(
        [sys.executable, "-c", DIES, point, "-C", str(project.path), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -9, done.stdout + done.stderr


def crashed(make: Callable[..., Project], point: str) -> Project:
    project = make(seed={"src/long.txt": LINES})
    project.answers(
        T_1=result(
            "T-1",
            edit("src/long.txt", "line 18\n", "line eighteen\n"),
            write("src/new.py", "new\n"),
            {"op": "delete", "path": "src/b.py"},
        )
    )
    project.ok("plan", "apply")
    before = project.head()
    crash(project, point, "run")
    moved = point not in POINTS[:2]
    assert (project.head() != before) == moved
    in_log = point != POINTS[0]
    assert ("agent.result" in project.actions()) == in_log
    return project


@pytest.mark.parametrize("point", POINTS)
def test_the_next_command_makes_a_crash_good(make: Callable[..., Project], point: str) -> None:
    project = crashed(make, point)
    if point == POINTS[0]:
        # Nothing was recorded; the lease is given back by a person or runs out.
        project.ok("task", "release", "T-1", "--reason", "the machine went down")
        said = project.esaa("run")
        assert "recovered" not in said.err
    else:
        said = project.esaa("run")
        assert "recovered: " in said.err
    assert said.code == 0, said.err
    assert project.read("src/long.txt") == LINES.replace("line 18\n", "line eighteen\n")
    assert project.read("src/new.py") == "new\n"
    assert not (project.path / "src/b.py").exists()
    assert project.status() == ""
    assert "recovered" not in project.esaa("plan", "apply").err
    project.check()


@pytest.mark.parametrize("point", POINTS[1:3])
def test_any_command_that_records_recovers_first(make: Callable[..., Project], point: str) -> None:
    project = crashed(make, point)
    said = project.esaa("issue", "report", "--severity", "low", "--title", "it crashed")
    assert said.code == 0
    assert "recovered: " in said.err
    assert project.status() == ""
    project.check()


def test_verify_finishes_what_a_crash_left_before_it_looks(make: Callable[..., Project]) -> None:
    project = crashed(make, "between log and branch")
    behind = project.head()
    said = project.esaa("verify", "--full", "--json")
    assert said.code == 0, said.err
    assert "recovered" in said.err
    assert project.head() == project.payloads("task.update")[-1]["effect_commit"] != behind


def remove_lock(project: Project) -> None:
    """Do what git tells a person to do about the lock of a process that crashed.

    Any 'git esaa' command would free it as well, but would also finish what was left undone.
    """
    assert "index.lock" in git_says(project, "git add .")
    (project.path / ".git/index.lock").unlink()


def git_says(project: Project, command: str) -> str:
    done = subprocess.run(
        command.split(), cwd=project.path, check=False, capture_output=True, text=True
    )
    return done.stderr


def test_an_effect_is_merged_where_a_person_committed_after_a_crash(
    make: Callable[..., Project],
) -> None:
    project = crashed(make, "between log and branch")
    remove_lock(project)
    project.write("src/long.txt", LINES.replace("line 2\n", "mine\n"))
    project.write("src/mine.py", "mine\n")
    mine = project.commit("Mine")
    said = project.esaa("run")
    assert said.code == 0, said.err
    assert "was merged into 'main'" in said.err
    merge = project.head()
    effect = project.payloads("task.update")[-1]["effect_commit"]
    assert project.git("show", "-s", "--format=%P", merge).split() == [mine, effect]
    link = project.payloads("orchestrator.view.mutate")[0]
    assert (link["view"], link["effect_commit"], link["reached_by"]) == ("effect", effect, merge)
    wanted = LINES.replace("line 2\n", "mine\n").replace("line 18\n", "line eighteen\n")
    assert project.read("src/long.txt") == wanted
    assert project.read("src/new.py") == "new\n"
    assert not (project.path / "src/b.py").exists()
    assert project.status() == ""
    project.git("verify-commit", merge)
    project.check()


def test_an_effect_that_conflicts_after_a_crash_is_left_to_the_person(
    make: Callable[..., Project],
) -> None:
    project = crashed(make, "between log and branch")
    remove_lock(project)
    project.write("src/long.txt", LINES.replace("line 18\n", "mine\n"))
    project.commit("Mine")
    refs = project.refs()
    message = project.fails(6, "run")
    assert "in src/long.txt" in message
    effect = project.payloads("task.update")[-1]["effect_commit"]
    assert f"git merge {effect[:12]}" in message
    assert project.refs() == refs
    # The hint works: merge, resolve, repeat.
    done = subprocess.run(
        ["git", "merge", "-q", "-X", "theirs", effect[:12], "-m", "By hand"],
        cwd=project.path,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0
    said = project.esaa("run")
    assert said.code == 0, said.err
    assert project.status() == ""
    project.check()


def test_work_that_began_after_a_crash_is_left_alone_and_named(
    make: Callable[..., Project],
) -> None:
    project = crashed(make, "between branch and checkout")
    project.write("src/long.txt", "mine\n")
    said = project.esaa("run")
    assert said.code == 0, said.err
    assert "left alone: 'src/long.txt'" in said.err
    assert project.read("src/long.txt") == "mine\n"
    assert project.read("src/new.py") == "new\n"
    report = project.verify()
    assert report.audit.is_ok


def test_a_second_crash_while_recovering_is_made_good_too(make: Callable[..., Project]) -> None:
    project = crashed(make, "between log and branch")
    remove_lock(project)
    project.write("src/mine.py", "mine\n")
    project.commit("Mine")
    crash(project, "between log and branch", "run")
    said = project.esaa("run")
    assert said.code == 0, said.err
    assert project.read("src/new.py") == "new\n"
    assert project.status() == ""
    project.check()
