"""A repository that brings links and pipes where its contracts, programs and answers should be.

Each is played as somebody meets it who cloned it: by the commands of the README. What leads out is
a made-up secret, or a file that is not there yet; the first is nowhere afterwards, the second still
not there, and no message tells one from the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from esaa_git.agents.local.weights import find_weights
from esaa_git.agents.programs import find_program
from esaa_git.errors import AgentError, RepositoryError
from esaa_git.verification.pins import mark_path, read_mark
from tests.conftest import Git
from tests.support.project import Project, make_project, result, task, write

SECRET = "MADE-UP-AND-PRIVATE"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text(f"{SECRET}\n")
    return folder


@pytest.fixture
def cloned(tmp_path: Path, git: Git) -> Project:
    """What a stranger's repository is before they put anything into it: no `.roadmap` at all."""
    path = tmp_path / "cloned"
    path.mkdir()
    project = Project(path, git)
    project.git("init", "--quiet")
    project.write("README.md", "# A nice project\n")
    return project


def everything(folder: Path) -> bytes:
    return b"".join(
        place.read_bytes()
        for place in sorted(folder.rglob("*"))
        if place.is_file() and not place.is_symlink()
    )


PLACES = (
    ".roadmap/PROJECTION_SPEC.md",
    ".roadmap/AGENT_CONTRACT.yaml",
    ".roadmap/plan.yaml",
    ".roadmap/PROMPT.model.md",
    ".roadmap/PARCER_PROFILE.agent-qa.yaml",
    ".roadmap/allowed_signers",
    ".roadmap/openpgp_signers.yaml",
    ".roadmap/agents/example-agent",
    ".roadmap/agents",
    ".roadmap",
)


@pytest.mark.parametrize("place", PLACES)
def test_init_neither_reads_nor_makes_what_a_link_leads_to(
    cloned: Project, outside: Path, place: str
) -> None:
    said = []
    for target in (outside / "secret", outside / "not-there"):
        link = cloned.path / place
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
        said.append(cloned.fails(3, "init", "--project", "p"))
        link.unlink()
    assert f"'{place}' is in the way: it is a symbolic link" in said[0]
    assert said[0] == said[1]
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    assert sorted(path.name for path in cloned.path.iterdir() if path.name != ".roadmap") == [
        ".git",
        "README.md",
    ]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Project:
    """A project whose contracts are in its log, and whose first task is done."""
    folder = tmp_path_factory.mktemp("own")
    project = make_project(folder / "project", git, task("T-1"), seed={"a.py": "a = 1\n"})
    project.answers(T_1=result("T-1", write("b.py", "b = 1\n")))
    project.commit()
    project.ok("run")
    return project


@pytest.mark.parametrize("command", [("plan", "diff"), ("plan", "apply"), ("run",), ("doctor",)])
@pytest.mark.parametrize("place", PLACES[:5])
def test_a_link_to_a_secret_is_pinned_by_no_command(
    own: Project, outside: Path, place: str, command: tuple[str, ...]
) -> None:
    link, before = own.path / place, own.tip()
    kept = link.read_bytes() if link.exists() else None
    link.unlink(missing_ok=True)
    link.symlink_to(outside / "secret")
    try:
        said = own.esaa(*command)
        assert said.code
        assert "is in the way: it is a symbolic link" in said.out + said.err
        assert SECRET not in said.out + said.err
        assert str(outside) not in said.out + said.err
    finally:
        link.unlink()
        if kept is not None:
            link.write_bytes(kept)
    assert own.tip() == before
    assert SECRET.encode() not in everything(own.path / ".git")
    own.ok("plan", "diff")


def test_a_pipe_in_the_place_of_the_plan_keeps_nobody_waiting(own: Project) -> None:
    plan = own.path / ".roadmap/plan.yaml"
    kept = plan.read_bytes()
    plan.unlink()
    os.mkfifo(plan)
    try:
        assert "it is a named pipe" in own.fails(3, "run")
    finally:
        plan.unlink()
        plan.write_bytes(kept)


def test_a_link_that_is_no_contract_bothers_nobody(own: Project, outside: Path) -> None:
    link = own.path / ".roadmap/notes"
    link.symlink_to(outside / "secret")
    own.ok("plan", "diff")
    link.unlink()


def test_a_link_on_the_branch_of_a_bare_repository_is_refused_by_name(
    own: Project, tmp_path: Path, git: Git
) -> None:
    git(tmp_path, "clone", "--quiet", str(own.path), "clone")
    clone = Project(tmp_path / "clone", git)
    (clone.path / ".roadmap/plan.yaml").unlink()
    (clone.path / ".roadmap/plan.yaml").symlink_to("../README.md")
    clone.commit("a link")
    git(tmp_path, "clone", "--quiet", "--bare", str(clone.path), "bare.git")
    bare = Project(tmp_path / "bare.git", git)
    assert "'.roadmap/plan.yaml' is a symlink on 'main'" in bare.fails(3, "plan", "diff")
    git(clone.path, "rm", "-r", "--quiet", "--cached", ".roadmap")
    (clone.path / ".roadmap").rename(tmp_path / "kept")
    (clone.path / ".roadmap").symlink_to("../kept")
    clone.commit("all of it a link")
    git(clone.path, "push", "--quiet", str(bare.path), "main")
    assert "'.roadmap' is a symlink on 'main'" in bare.fails(3, "plan", "diff")


def test_keys_are_neither_read_nor_written_through_a_link(own: Project, outside: Path) -> None:
    place = own.path / ".roadmap/allowed_signers"
    kept = place.read_bytes()
    (outside / "signers").write_bytes(kept)
    place.unlink()
    place.symlink_to(outside / "signers")
    try:
        said = own.fails(3, "key", "trust", f"{own.key}.pub", "--role", "approver")
        assert "allowed_signers' is in the way" in said
    finally:
        place.unlink()
        place.write_bytes(kept)
    assert (outside / "signers").read_bytes() == kept


def test_what_is_derived_is_written_through_no_link(own: Project, outside: Path) -> None:
    for name, command in (("roadmap.json", "project"), ("activity.jsonl", "export")):
        for target in ("secret", "not-there"):
            link = own.path / ".roadmap" / name
            link.symlink_to(outside / target)
            assert f"'.roadmap/{name}' is in the way" in own.fails(3, command)
            link.unlink()
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    assert SECRET in (outside / "secret").read_text()


@pytest.mark.parametrize("name", ["activity.jsonl", "activity.bundle", "activity.objects.pack"])
def test_an_import_follows_no_link_either(cloned: Project, outside: Path, name: str) -> None:
    said = []
    for target in ("secret", "not-there"):
        link = cloned.write(f".roadmap/{name}", "").parent / name
        link.unlink()
        link.symlink_to(outside / target)
        said.append(cloned.fails(3, "import", str(cloned.path / ".roadmap")))
    assert f"'{name}' is in the way: it is a symbolic link" in said[0]
    assert said[0] == said[1]
    assert SECRET not in said[0]


def test_a_file_is_proposed_through_no_link(own: Project, outside: Path) -> None:
    own.plan(task("T-1"), task("T-2"))
    own.ok("plan", "apply")
    own.ok("claim", "T-2")
    (own.path / "docs").symlink_to(outside)
    (own.path / "one").symlink_to(outside / "secret")
    try:
        for path in ("docs/secret", "docs/not-there", "one"):
            said = own.fails(2, "complete", "T-2", path, "--summary", "x")
            assert f"'{path}' is not a regular file of this checkout" in said
    finally:
        (own.path / "docs").unlink()
        (own.path / "one").unlink()
    assert SECRET.encode() not in everything(own.path / ".git")


def test_a_mark_that_is_a_link_or_a_pipe_is_not_believed(own: Project, outside: Path) -> None:
    repository = own.repository
    own.ok("verify")
    place = mark_path(repository)
    kept = place.read_bytes()
    (outside / "mark").write_bytes(kept)
    assert read_mark(repository, place) is not None
    for make in (lambda: place.symlink_to(outside / "mark"), lambda: os.mkfifo(place)):
        place.unlink()
        make()
        with pytest.raises(RepositoryError, match="cannot be read"):
            read_mark(repository, place)
    place.unlink()
    place.write_bytes(kept)


@pytest.mark.parametrize("find", [find_program, find_weights])
def test_a_program_or_a_model_of_the_checkout_is_a_file_in_it(
    find: Callable[[str, str, Path], object], tmp_path: Path, outside: Path
) -> None:
    root = tmp_path / "root"
    (root / "agents").mkdir(parents=True)
    (root / "agents/good").write_text("#!/bin/sh\n")
    (root / "agents/good").chmod(0o755)
    (outside / "program").write_text("#!/bin/sh\n")
    (outside / "program").chmod(0o755)
    assert str(find("a", "./agents/good", root)) == str(root / "agents/good")
    assert str(find("a", "agents/../agents/good", root)) == str(root / "agents/good")
    # One that the settings name outside of the checkout is a matter of consent, and no link.
    assert (outside / "program").samefile(str(find("a", "../outside/program", root)))
    assert str(find("a", str(outside / "program"), root)) == str(outside / "program")

    (root / "link").symlink_to(outside / "program")
    (root / "gone").symlink_to(outside / "not-there")
    (root / "folder").symlink_to(outside)
    os.mkfifo(root / "pipe")
    said = {}
    for name in ("./link", "./gone", "./folder/program", "./pipe", "agents/../link"):
        with pytest.raises(AgentError) as caught:
            find("a", name, root)
        said[name] = f"{caught.value.message} {caught.value.cause} {caught.value.hint}"
        assert "outside" not in said[name].replace("outside of", "")
        assert "by its absolute path" in said[name]
    assert said["./link"].replace("link", "X", 2) == said["./gone"].replace("gone", "X", 2)
