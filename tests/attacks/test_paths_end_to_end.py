"""Every trick with a path, from an agent's answer to the disk: refused, recorded, nothing written.

The core knows each trick by itself (tests/core/test_paths.py). Here they come through
`git esaa run` into a real repository with symlinks, a submodule and hooks in its tree; the whole
worktree, `.git/hooks` and `.git/config` are compared before and after.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.conftest import Git
from tests.support.project import Document, Project, edit, make_project, result, task, write

EVERYWHERE = {"impl": {"write": ["**"]}}
REFUSED, HALTED, AGENT = 7, 8, 11
RULES = {"attempts__max_per_task": 1, "run_end__on_blocked": "wait"}

Make = Callable[..., Project]


@pytest.fixture
def make(tmp_path: Path, git: Git) -> Make:
    def made(updates: Mapping[str, Document | list[Document]], **options: object) -> Project:
        """A project with one task for each answer, and one before them whose answer is fine."""
        names = {f"T-{number}": name for number, name in enumerate(updates, start=1)}
        project = make_project(
            tmp_path / "project",
            git,
            task("T-0", priority=100),
            *(task(name, title=f"Trick {name}") for name in names),
            seed={"src/a.py": "a = 1\n", "src/b.py": "b = 1\n", "lib/c.py": "c = 1\n"},
            policy=RULES,
            kinds=EVERYWHERE,
        )
        project.answers(T_0=result("T-0", write("src/legitimate.py", "ok = 1\n")))
        for task_id, name in names.items():
            update = updates[name]
            listed = update if isinstance(update, list) else [update]
            project.answer(task_id, result(task_id, *listed))
        return project

    return made


def codes(project: Project, updates: Mapping[str, object]) -> dict[str, str]:
    """Let the agents answer, and return the reject code of each; nothing else may come of it.

    The first answer is legitimate and has to take.
    """
    project.ok("run", "--steps", "1")
    assert project.read("src/legitimate.py") == "ok = 1\n"
    head, before = project.head(), project.files()
    outside = listing(project.path.parent)
    run_to_the_end(project)
    assert project.head() == head
    assert project.files() == before
    assert listing(project.path.parent) == outside
    rejected = {payload["task_id"]: payload for payload in project.said("output.rejected")}
    assert project.actions().count("orchestrator.file.write") == 1
    for payload in rejected.values():
        assert payload["message"]
        assert payload["preview"]
    project.check()
    return {
        name: rejected[f"T-{number}"]["code"] if f"T-{number}" in rejected else "accepted"
        for number, name in enumerate(updates, start=1)
    }


def run_to_the_end(project: Project) -> None:
    """Let every answer be rejected; a run stops where three in a row are refused alike."""
    while (said := project.esaa("run")).code == 11:
        assert (
            "failed 3 times in a row in the same way" in said.err
            or "no attempt is spent" in said.err
        )
    assert said.code == 8, said.err


def listing(folder: Path) -> list[str]:
    """Every path beside the project, so that nothing can leave it."""
    return sorted(
        str(Path(place, name).relative_to(folder))
        for place, folders, files in os.walk(folder)
        for name in (*folders, *files)
        if "project" not in Path(place, name).relative_to(folder).parts
    )


def outcomes(make: Make, tricks: Mapping[str, str], prepare: Callable[[Project], object]) -> None:
    """Have each path written by an agent, and compare the codes with those expected."""
    updates = {path: write(path, "boom\n") for path in tricks}
    project = make(updates)
    prepare(project)
    assert codes(project, updates) == dict(tricks)


def nothing(_: Project) -> None:
    """The project is as it is."""


# -- the path itself ---------------------------------------------------------------------------

SHAPES = {
    "/etc/passwd": "PATH_INVALID",
    "//host/share": "PATH_INVALID",
    "\\\\host\\share": "PATH_INVALID",
    "../outside": "PATH_INVALID",
    "src/../../outside": "PATH_INVALID",
    "src/..": "PATH_INVALID",
    "./src/x.py": "PATH_INVALID",
    "src//x.py": "PATH_INVALID",
    "src/x/": "PATH_INVALID",
    "src\\x.py": "PATH_INVALID",
    "C:/x": "PATH_INVALID",
    "C:x": "PATH_INVALID",
    "src/x:stream": "PATH_INVALID",
    "src/x.": "PATH_INVALID",
    "src/x ": "PATH_INVALID",
    "src /x": "PATH_INVALID",
    "src/NUL": "PATH_INVALID",
    "src/com1.txt": "PATH_INVALID",
    "ROADMA~1/x": "PATH_INVALID",
    "src/x\u200by": "PATH_INVALID",
    "src/x\u202ey": "CONTROL_CHARACTER",
    "src/e\u0301": "PATH_INVALID",
    "src/\ue000": "PATH_INVALID",
    "~/x": "accepted",
    "a" * 256: "PATH_INVALID",
    "a/" * 2048 + "a": "SCHEMA_VIOLATION",
}
"""What is no plain relative path. A tilde is a plain name: no shell ever sees it."""

GIT_SPELLINGS = (
    ".git/hooks/pre-push",
    ".git/config",
    ".git",
    ".GIT/config",
    ".Git/config",
    "src/.git/config",
    ".git./config",
    ".git /config",
    ".git . ./config",
    ".git::$INDEX_ALLOCATION/config",
    "git~1/config",
    "GIT~1/config",
    "git~2/config",
    ".g\u200cit/config",
    ".gi\u200dt/config",
    ".git\ufeff/config",
    "．git/config",
    ".gitmodules",
    "src/.gitmodules",
    ".GITMODULES",
    "gitmod~1",
    "GI7EBA~1",
    ".git\\config",
    "src\\.git\\config",
)

OURS = (
    ".roadmap/plan.yaml",
    ".roadmap/AGENT_CONTRACT.yaml",
    ".roadmap/allowed_signers",
    ".roadmap/agents/example-agent",
    ".roadmap/new.yaml",
    ".roadmap",
    ".Roadmap/plan.yaml",
    ".ROADMAP/plan.yaml",
    ".esaa/x",
    ".ESAA/x",
)

PROHIBITED = (
    ".github/workflows/x.yml",
    ".GitHub/workflows/x.yml",
    ".gitlab-ci.yml",
    ".githooks/pre-commit",
    ".husky/pre-commit",
    ".pre-commit-config.yaml",
    ".gitattributes",
    "src/.gitattributes",
    "deep/in/.vscode/tasks.json",
    "src/.envrc",
    "docs/AGENTS.md",
    "Jenkinsfile",
)


def test_what_is_no_plain_path_below_the_root(make: Make) -> None:
    tricks = {path: code for path, code in SHAPES.items() if code != "accepted"}
    outcomes(make, tricks, nothing)


def test_a_tilde_is_a_name_like_any_other(make: Make) -> None:
    project = make({"tilde": write("~/x", "x\n")})
    project.ok("run", "--task", "T-1")
    assert project.read("~/x") == "x\n"
    project.check()


def test_git_in_every_spelling(make: Make) -> None:
    updates = {path: write(path, "boom\n") for path in GIT_SPELLINGS}
    project = make(updates)
    found = codes(project, updates)
    assert set(found.values()) <= {"PATH_PROTECTED", "PATH_INVALID"}
    assert len(found) == len(GIT_SPELLINGS)
    for path in (".git/hooks/pre-push", ".GIT/config", "git~1/config", ".g\u200cit/config"):
        assert found[path] == "PATH_PROTECTED"


def test_what_is_the_orchestrators_own_whatever_the_boundary_says(make: Make) -> None:
    outcomes(make, dict.fromkeys(OURS, "PATH_PROTECTED"), nothing)


def test_what_the_contract_prohibits_whatever_the_boundary_says(make: Make) -> None:
    outcomes(make, dict.fromkeys(PROHIBITED, "PATH_PROTECTED"), nothing)


@pytest.mark.parametrize(
    "update",
    [
        {"op": "delete", "path": ".roadmap/plan.yaml"},
        {"op": "rename", "from": ".roadmap/plan.yaml", "path": "src/plan.yaml"},
        {"op": "rename", "from": "src/a.py", "path": ".roadmap/plan.yaml"},
        {"op": "rename", "from": "src/a.py", "path": ".git/hooks/pre-push"},
        {"op": "chmod", "path": ".roadmap/agents/example-agent", "executable": False},
        edit(".roadmap/plan.yaml", "Example", "Mine"),
        {"op": "patch", "path": ".roadmap/plan.yaml", "patch": "@@ -1 +1 @@\n-a\n+b\n"},
    ],
    ids=["delete", "rename away", "rename onto", "rename into git", "chmod", "edit", "patch"],
)
def test_what_is_protected_from_every_operation(make: Make, update: Document) -> None:
    project = make({"trick": update})
    assert codes(project, {"trick": update}) == {"trick": "PATH_PROTECTED"}


def test_the_boundary_of_the_kind_and_of_the_task(make: Make) -> None:
    updates = {
        "outside of the task": write("src/x.py", "boom\n"),
        "outside of the kind": write("other/x.py", "boom\n"),
        "a rename out of it": {"op": "rename", "from": "lib/c.py", "path": "other/c.py"},
        "a rename into it": {"op": "rename", "from": "README.md", "path": "lib/x.md"},
    }
    project = make(updates)
    project.amend_yaml("AGENT_CONTRACT.yaml", kinds__impl__write=["src/**", "lib/**"])
    tasks = [task("T-0", priority=100), task("T-1", writes=["lib/**"])]
    project.plan(*tasks, *(task(f"T-{number}") for number in (2, 3, 4)))
    assert codes(project, updates) == dict.fromkeys(updates, "BOUNDARY_VIOLATION")


def test_a_patch_that_names_another_file_than_its_path(make: Make) -> None:
    patch = "--- a/.git/config\n+++ b/.git/config\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"
    update = {"op": "patch", "path": "src/a.py", "patch": patch}
    project = make({"trick": update})
    assert codes(project, {"trick": update}) == {"trick": "PATCH_FAILED"}


def test_paths_that_cannot_stand_side_by_side(make: Make) -> None:
    updates: dict[str, Document | list[Document]] = {
        "twice": [write("src/x", "1\n"), write("src/x", "2\n")],
        "but for case": [write("src/x", "1\n"), write("src/X", "2\n")],
        "file and folder": [write("src/x", "1\n"), write("src/x/y", "2\n")],
        "gone and written": [{"op": "delete", "path": "src/a.py"}, write("src/a.py", "x\n")],
    }
    project = make(updates)
    assert codes(project, updates) == dict.fromkeys(updates, "DUPLICATE_PATH")


def test_what_goes_makes_room(make: Make) -> None:
    updates: list[Document] = [
        {"op": "delete", "path": "src/a.py"},
        write("src/a.py/x", "x\n"),
        {"op": "rename", "from": "src/b.py", "path": "src/b.py/y"},
        {"op": "rename", "from": "lib/c.py", "path": "lib"},
    ]
    project = make({"both ways": updates})
    project.ok("run")
    listed = project.git("ls-tree", "-r", "--name-only", "HEAD", "src", "lib").splitlines()
    assert listed == ["lib", "src/a.py/x", "src/b.py/y", "src/legitimate.py"]
    assert (project.read("lib"), project.status()) == ("c = 1\n", "")
    project.check()


def test_a_file_in_the_place_of_a_folder_and_the_other_way_round(make: Make) -> None:
    updates = {"over a folder": write("src", "x\n"), "below a file": write("src/a.py/x", "x\n")}
    project = make(updates)
    assert codes(project, updates) == dict.fromkeys(updates, "PATH_NOT_A_FILE")


def test_a_name_that_another_one_of_the_tree_has_already(make: Make, tmp_path: Path) -> None:
    """Also where the other is a link, by which the second name would be written through it."""
    updates: dict[str, Document | list[Document]] = {
        "a file": write("readme.md", "boom\n"),
        "composed": write("src/caf\u00e9.py", "boom = 1\n"),
        "a folder": write("SRC/x.py", "boom = 1\n"),
        "a folder where a file is": write("src/A.PY/x", "boom\n"),
        "a file where a folder is": write("Lib", "boom\n"),
        "a link": write("links/Out/x", "boom\n"),
        "a link to a file": write("links/FILE", "boom\n"),
        "by a rename": {"op": "rename", "from": "src/b.py", "path": "src/A.py"},
        "of a folder that stays": {"op": "rename", "from": "src/b.py", "path": "Src/b.py"},
        "several": [write("Readme.md", "boom\n"), write("LIB/y.py", "y = 1\n")],
    }
    project = make(updates)
    project.git("config", "core.precomposeunicode", "false")
    project.write("src/cafe\u0301.py", "there = 1\n")
    (project.path / "links").mkdir()
    (project.path / "links/out").symlink_to(tmp_path)
    (project.path / "links/file").symlink_to("../README.md")
    project.commit("Names and links")
    assert codes(project, updates) == dict.fromkeys(updates, "DUPLICATE_PATH")
    rejected = {one["task_id"]: one["detail"] for one in project.said("output.rejected")}
    assert rejected["T-10"]["count"] == 2
    assert rejected["T-10"]["collisions"] == [
        {"path": "LIB/y.py", "with": "lib"},
        {"path": "Readme.md", "with": "README.md"},
    ]


def test_nothing_is_stored_past_a_filter(make: Make) -> None:
    updates: dict[str, Document | list[Document]] = {
        "of the tree": write("src/new.bin", "raw\n"),
        "of a macro": write("src/new.lfs", "raw\n"),
        "of the person": write("src/new.key", "raw\n"),
        "by a rename": {"op": "rename", "from": "src/b.py", "path": "src/b.bin"},
        "of what is there": write("src/old.bin", "raw\n"),
    }
    project = make(updates)
    project.write(".gitattributes", "[attr]large filter=lfs\n*.lfs large\n")
    project.write("src/.gitattributes", "*.bin filter=crypt\n")
    project.write("src/old.bin", "stored\n")
    project.commit("Files under filters")
    project.write(".git/info/attributes", "*.key filter=own\n")
    assert codes(project, updates) == dict.fromkeys(updates, "PATH_PROTECTED")
    refused = {one["task_id"]: one for one in project.said("output.rejected")}
    assert [refused[f"T-{number}"]["detail"]["filter"] for number in range(1, 6)] == [
        *("crypt", "lfs", "own", "crypt", "crypt")
    ]
    assert all("proposal" not in one for one in refused.values()), "nothing of it is kept"


def test_what_a_filter_of_the_repository_refuses_takes_no_attempt_and_stops_the_run_once(
    tmp_path: Path, git: Git
) -> None:
    project = make_project(tmp_path / "project", git, task("T-1"), policy=RULES)
    project.write(".gitattributes", "*.bin filter=crypt\n")
    both = write("src/new.bin", "raw\n"), write("src/new.py", "n = 1\n")
    project.answers(T_1=result("T-1", *both))
    project.commit("A filter")
    said = project.fails(AGENT, "run")
    assert "'src/new.bin' is stored through the filter 'crypt'" in said
    assert "commit such files yourself" in said
    told = project.task("T-1")
    assert (told.state, told.attempts_used, told.attempts_total) == ("todo", 0, 1)
    assert told.rejection is not None
    assert told.rejection.code == "PATH_PROTECTED"
    # Its agent knows of it by now: whoever is refused so again has spent an attempt.
    assert project.esaa("run").code == HALTED
    again = project.task("T-1")
    assert (again.state, again.attempts_used, again.attempts_total) == ("blocked", 1, 2)
    project.check()


def test_nobody_is_asked_for_what_a_filter_would_refuse_whoever_made_it(
    tmp_path: Path, git: Git
) -> None:
    tasks = task("T-1", writes=["src/new.bin"]), task("T-2", writes=["src/old.bin"])
    project = make_project(tmp_path / "project", git, *tasks, policy=RULES)
    project.write(".gitattributes", "*.bin filter=crypt\n")
    project.write("src/old.bin", "stored\n")
    project.answers(T_2=result("T-2", {"op": "delete", "path": "src/old.bin"}))
    project.commit("A filter")
    said = project.fails(REFUSED, "run")
    assert "'src/new.bin' is stored through the filter 'crypt'" in said
    assert "orchestrator.dispatch" not in project.actions()
    project.ok("run", "--task", "T-2")
    assert project.task("T-2").state == "done", "what is there may go"


@pytest.mark.parametrize("who", ["a person", "another agent"])
def test_nothing_is_stored_past_a_filter_that_the_branch_took_meanwhile(
    tmp_path: Path, git: Git, who: str
) -> None:
    """Both answers are of one base, and wait for their reviews."""
    tasks = [task("T-1", kind="setup"), task("T-2", kind="setup")]
    kinds = {"setup": {"write": ["**"]}}
    project = make_project(tmp_path / "project", git, *tasks, policy=RULES, kinds=kinds)
    scripted = {"agent-x": {"adapter": "scripted", "folder": ".roadmap/answers"}}
    project.swarm(scripted, {"setup": "agent-x"})
    attributes = "*.bin filter=crypt\n"
    project.answers(
        T_1=result("T-1", write("src/a.bin", "raw\n")),
        T_2=result("T-2", write(".gitattributes", attributes)),
    )
    project.commit("answers")
    project.esaa("run")
    assert project.task("T-1").pending_approval is not None
    if who == "a person":
        project.write(".gitattributes", attributes)
        project.commit("A filter")
    else:
        project.ok("review", "T-2", "--approve")
    project.esaa("review", "T-1", "--approve")
    (refused,) = project.said("output.rejected")
    assert (refused["task_id"], refused["code"]) == ("T-1", "PATH_PROTECTED")
    assert refused["detail"] == {"path": "src/a.bin", "filter": "crypt"}
    assert "src/a.bin" not in project.git("ls-tree", "-r", "--name-only", "HEAD")
    project.check()


def test_names_that_are_there_stay_usable_and_may_be_renamed_by_case(make: Make) -> None:
    updates: dict[str, Document | list[Document]] = {
        "one of two": write("src/twice.py", "one = 2\n"),
        "the other": write("src/Twice.py", "two = 2\n"),
        "by case": {"op": "rename", "from": "README.md", "path": "ReadMe.md"},
        "a whole folder": {"op": "rename", "from": "lib/c.py", "path": "Lib/c.py"},
    }
    project = make(updates)
    project.write("src/twice.py", "one = 1\n")
    project.write("src/Twice.py", "two = 1\n")
    project.commit("Two that are one elsewhere")
    project.ok("run")
    listed = project.git("ls-tree", "-r", "--name-only", "HEAD").splitlines()
    assert {"src/twice.py", "src/Twice.py", "ReadMe.md", "Lib/c.py"} <= set(listed)
    assert not {"README.md", "lib/c.py"} & set(listed)
    project.check()


def test_a_name_that_the_branch_took_meanwhile(make: Make) -> None:
    """The proposal was fine on its base, and is judged again on what the branch has become."""
    updates = {"late": write("docs/Guide.md", "boom\n")}
    project = make(updates)
    project.ok("plan", "apply")
    project.ok("claim", "T-1")
    project.write("docs/guide.md", "mine\n")
    project.git("add", "docs/guide.md")
    project.git("commit", "--quiet", "--message", "a guide")
    attempt = project.task("T-1").attempt
    assert attempt is not None
    answer = result("T-1", updates["late"], attempt_id=attempt.attempt_id)
    project.fails(7, "submit", "-", stdin=json.dumps(answer))
    (rejected,) = project.said("output.rejected")
    assert rejected["code"] == "DUPLICATE_PATH"
    assert rejected["detail"]["collisions"] == [{"path": "docs/Guide.md", "with": "docs/guide.md"}]


# -- modes -------------------------------------------------------------------------------------


def test_modes_that_are_none(make: Make) -> None:
    updates = {
        "a symlink by mode": write("src/x", "/etc/passwd", mode="120000"),
        "a submodule by mode": write("src/x", "0" * 40, mode="160000"),
        "setuid": write("src/x", "x\n", mode="104755"),
        "a word": write("src/x", "x\n", executable="yes"),
        "a number": write("src/x", "x\n", executable=1),
        "a symlink by operation": {"op": "symlink", "path": "src/x", "target": "/etc/passwd"},
        "a submodule by operation": {"op": "submodule", "path": "src/x", "content": "0" * 40},
    }
    project = make(updates)
    assert codes(project, updates) == dict.fromkeys(updates, "SCHEMA_VIOLATION")


def test_an_executable_bit_where_the_contract_gives_none(make: Make) -> None:
    updates = {
        "write": write("src/x", "#!/bin/sh\n", executable=True),
        "edit": edit("src/a.py", "a = 1", "a = 2", executable=True),
        "chmod": {"op": "chmod", "path": "src/a.py", "executable": True},
        "rename": {"op": "rename", "from": "src/b.py", "path": "src/y.py", "executable": True},
    }
    project = make(updates)
    project.amend_yaml("AGENT_CONTRACT.yaml", prohibitions__operations=["executable"])
    assert codes(project, updates) == dict.fromkeys(updates, "MODE_FORBIDDEN")


def test_operations_that_the_contract_forbids(make: Make) -> None:
    updates = {
        "delete": {"op": "delete", "path": "src/a.py"},
        "rename": {"op": "rename", "from": "src/b.py", "path": "src/y.py"},
    }
    project = make(updates)
    project.amend_yaml("AGENT_CONTRACT.yaml", prohibitions__operations=["delete", "rename"])
    assert codes(project, updates) == dict.fromkeys(updates, "FORBIDDEN_ACTION")


# -- symlinks and submodules -------------------------------------------------------------------


def test_symlinks_in_the_tree_are_not_followed(make: Make, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "there.txt").write_text("there\n")
    updates = {
        "through a folder": write("links/out/x", "boom\n"),
        "over what is there": write("links/out/there.txt", "boom\n"),
        "into git": write("links/git/hooks/pre-push", "boom\n"),
        "through one inside": write("links/src/x.py", "boom\n"),
        "over the symlink": write("links/file", "boom\n"),
        "edit of the symlink": edit("links/file", "README", "x"),
        "delete of the symlink": {"op": "delete", "path": "links/file"},
        "rename of the symlink": {"op": "rename", "from": "links/file", "path": "src/file"},
        "rename onto the symlink": {"op": "rename", "from": "src/a.py", "path": "links/file"},
        "chmod of the symlink": {"op": "chmod", "path": "links/file", "executable": True},
    }
    project = make(updates)
    (project.path / "links").mkdir()
    (project.path / "links/out").symlink_to(outside)
    (project.path / "links/git").symlink_to("../.git")
    (project.path / "links/src").symlink_to("../src")
    (project.path / "links/file").symlink_to("../README.md")
    project.commit("Symlinks")
    assert codes(project, updates) == dict.fromkeys(updates, "PATH_NOT_A_FILE")
    assert (outside / "there.txt").read_text() == "there\n"


@pytest.mark.parametrize("where", ["outside", "into .git"])
@pytest.mark.parametrize("what", ["a new folder", "a folder of the tree", "a file of the tree"])
def test_symlinks_planted_in_the_worktree_are_not_followed(
    make: Make, tmp_path: Path, what: str, where: str
) -> None:
    """The tree knows nothing of them, so the answer is fine, and waits until they are gone."""
    path = {"a new folder": "planted/x.py", "a folder of the tree": "lib/c.py"}.get(
        what, "src/a.py"
    )
    update = write(path, "boom = 1\n")
    project = make({"trick": update})
    project.ok("run", "--steps", "1")
    outside = tmp_path / "outside"
    outside.mkdir()
    aim = outside if where == "outside" else project.path / ".git/hooks"
    aim.mkdir(exist_ok=True)
    (aim / "c.py").write_text("theirs\n")
    place = project.path / ("src/a.py" if what == "a file of the tree" else path.split("/")[0])
    if what == "a file of the tree":
        place.unlink()
        place.symlink_to(aim / "c.py")
    else:
        if place.exists():
            (place / "c.py").unlink()
            place.rmdir()
        place.symlink_to(aim)
    head, before, beside = project.head(), project.files(), listing(tmp_path)
    message = project.fails(8, "run")
    assert f"'{path}'" in message
    assert project.head() == head
    assert project.files() == before
    assert listing(tmp_path) == beside
    assert (aim / "c.py").read_text() == "theirs\n"
    place.unlink()
    project.git("checkout", "--quiet", "--", ".")
    project.ok("run")
    assert project.read(path) == "boom = 1\n"
    assert (aim / "c.py").read_text() == "theirs\n"
    project.check()


def test_submodules_are_not_written_into(make: Make, tmp_path: Path, git: Git) -> None:
    git(tmp_path, "init", "--quiet", "other")
    (tmp_path / "other/x.txt").write_text("x\n")
    git(tmp_path / "other", "add", ".")
    git(tmp_path / "other", "commit", "--quiet", "-m", "Other")
    updates = {
        "a new file": write("vendor/other/y.txt", "boom\n"),
        "a file of it": write("vendor/other/x.txt", "boom\n"),
        "its git": write("vendor/other/.git", "gitdir: /tmp/x\n"),
        "itself": write("vendor/other", "boom\n"),
        "its deletion": {"op": "delete", "path": "vendor/other"},
        "its rename": {"op": "rename", "from": "vendor/other", "path": "src/other"},
        "its list": write(".gitmodules", "[submodule]\n"),
    }
    project = make(updates)
    add = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add"]
    project.git(*add, str(tmp_path / "other"), "vendor/other")
    project.commit("A submodule")
    found = codes(project, updates)
    protected = {"its git", "its list"}
    assert found == {
        name: "PATH_PROTECTED" if name in protected else "PATH_NOT_A_FILE" for name in updates
    }


# -- hooks that lie in the tree ----------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["hooks", "./hooks/", "tools/../hooks", "{path}/hooks"])
def test_hooks_that_git_runs_from_the_tree_are_protected(make: Make, spelling: str) -> None:
    updates = {
        "a new hook": write("hooks/pre-push", "#!/bin/sh\nboom\n", executable=True),
        "a hook that is there": write("hooks/pre-commit", "boom\n"),
        "in other letters": write("Hooks/pre-push", "boom\n"),
        "the folder": write("hooks", "boom\n"),
        "what a hook includes": edit("hooks/lib/common.sh", "ok", "boom"),
        "their rename": {"op": "rename", "from": "hooks/pre-commit", "path": "src/x"},
    }
    project = make(updates)
    project.write("hooks/lib/common.sh", "ok\n")
    project.write("hooks/pre-commit", "#!/bin/sh\nexit 0\n", executable=True)
    project.commit("Hooks")
    project.git("config", "core.hooksPath", spelling.format(path=project.path))
    assert codes(project, updates) == dict.fromkeys(updates, "PATH_PROTECTED")


def test_a_hook_that_is_a_link_into_the_tree(make: Make) -> None:
    updates = {
        "what it leads to": write("tools/push.sh", "boom\n"),
        "in other letters": write("Tools/push.sh", "boom\n"),
        "what is not there yet": write("scripts/ref-tx.sh", "#!/bin/sh\nboom\n", executable=True),
        "its rename": {"op": "rename", "from": "tools/push.sh", "path": "src/x"},
    }
    project = make(updates)
    project.write("tools/push.sh", "#!/bin/sh\nexit 0\n", executable=True)
    project.commit("Scripts")
    hooks = project.path / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "pre-push").symlink_to("../../tools/push.sh")
    (hooks / "reference-transaction").symlink_to(project.path / "scripts/ref-tx.sh")
    assert codes(project, updates) == dict.fromkeys(updates, "PATH_PROTECTED")


def test_no_hook_of_a_command_runs_while_effects_arrive(make: Make) -> None:
    """Not even those that people put there themselves: an effect is no command of theirs.

    The one hook about a ref that moves, `reference-transaction`, has its say (tests/store).
    """
    project = make({})
    for hook in ("post-checkout", "post-commit", "pre-commit", "post-index-change", "post-merge"):
        project.write(f".git/hooks/{hook}", "#!/bin/sh\ntouch ran\n", executable=True)
    project.ok("run")
    assert project.read("src/legitimate.py") == "ok = 1\n"
    assert not list(project.path.rglob("ran"))
