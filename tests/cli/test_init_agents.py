"""`git esaa init --agents` writes what each host reads, keeps what is there, and is repeatable."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from esaa_git.app.hosts import BEGIN, END, IMPORTS, SKILLS
from esaa_git.app.roadmap import read_contracts
from esaa_git.core.proposal import Boundary
from esaa_git.core.task import Task
from esaa_git.errors import ConfigurationError, RepositoryError
from tests.conftest import Git
from tests.support.project import Project, make_project, task

NAMES = ("AGENTS.md", *IMPORTS, *SKILLS)


@pytest.fixture
def project(tmp_path: Path, git: Git) -> Project:
    return make_project(tmp_path / "project", git, task("T-1"))


def test_a_new_project_gets_contracts_a_key_and_the_files_for_agents(
    tmp_path: Path, git: Git
) -> None:
    path = tmp_path / "new"
    path.mkdir()
    git(path, "init", "--quiet")
    project = Project(path, git)
    said = project.ok("init", "--agents")
    assert "made a signing key" in said
    for name in (*NAMES, ".roadmap/AGENT_CONTRACT.yaml"):
        assert (path / name).is_file()
    for command in ("claude", "codex", "gemini", "opencode", "copilot"):
        assert f"{command} mcp add git-esaa" in said
    assert 'code --add-mcp \'{"name":"git-esaa"' in said


def test_an_existing_project_gets_these_files_and_nothing_else(project: Project) -> None:
    before = project.files(), project.refs()
    project.ok("init", "--agents")
    after = project.files(), project.refs()
    assert set(after[0]) - set(before[0]) >= set(NAMES)
    for name in NAMES:
        for part in (Path(name), *Path(name).parents):
            after[0].pop(part.as_posix(), None)
    assert after == before


def test_running_it_twice_changes_nothing(project: Project) -> None:
    project.ok("init", "--agents")
    before = project.files()
    assert "nothing was written" in project.ok("init", "--agents")
    assert project.files() == before


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_what_people_have_written_is_kept_around_our_section(
    project: Project, line_end: str
) -> None:
    theirs = dict.fromkeys(NAMES[:3], f"# Ours{line_end}{line_end}Be kind.{line_end}")
    for name, text in theirs.items():
        project.write(name, text.encode())
    project.ok("init", "--agents")
    for name, text in theirs.items():
        data = (project.path / name).read_bytes()
        assert data.startswith(text.encode() + line_end.encode() + BEGIN)
        assert data.count(b"\n") == data.count(line_end.encode())
        project.write(name, data + b"More" + line_end.encode())
    before = project.files()
    assert "nothing was written" in project.ok("init", "--agents")
    assert project.files() == before


def test_an_old_section_is_replaced_where_it_stands(project: Project) -> None:
    old = b"Before\n\n" + BEGIN + b"\nwhat an older version said\n" + END + b"\nAfter\n"
    project.write("AGENTS.md", old)
    project.ok("init", "--agents")
    data = (project.path / "AGENTS.md").read_bytes()
    assert data.startswith(b"Before\n\n" + BEGIN)
    assert data.endswith(END + b"\nAfter\n")
    assert b"older version" not in data
    assert b"submit_result" in data


def test_the_files_of_the_hosts_import_the_one_text(project: Project) -> None:
    project.ok("init", "--agents")
    assert "@AGENTS.md" in project.read("CLAUDE.md").splitlines()
    assert "@./AGENTS.md" in project.read("GEMINI.md").splitlines()


def test_an_import_that_is_there_already_is_enough(project: Project) -> None:
    project.write("CLAUDE.md", "@AGENTS.md\n")
    project.ok("init", "--agents")
    assert project.read("CLAUDE.md") == "@AGENTS.md\n"


def test_a_link_to_the_one_text_is_enough_and_another_link_is_left_alone(project: Project) -> None:
    (project.path / "CLAUDE.md").symlink_to("AGENTS.md")
    (project.path / "GEMINI.md").symlink_to("README.md")
    readme = project.read("README.md")
    said = project.ok("init", "--agents")
    assert "left alone: 'GEMINI.md' (it is a symbolic link)" in said
    assert "CLAUDE.md" not in said.splitlines()[0]
    assert project.read("README.md") == readme
    assert (project.path / "CLAUDE.md").is_symlink()


def test_nothing_is_written_through_a_folder_that_leads_out(
    project: Project, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (project.path / ".claude").symlink_to(outside)
    assert "'.claude' on the way to it is a symbolic link" in project.ok("init", "--agents")
    assert list(outside.iterdir()) == []


def test_both_skills_are_one_and_begin_with_what_hosts_look_for(project: Project) -> None:
    project.ok("init", "--agents")
    first, second = ((project.path / name).read_text() for name in SKILLS)
    assert first == second
    _, front, body = first.split("---\n", 2)
    document = yaml.safe_load(front)
    assert document["name"] == Path(SKILLS[0]).parent.name == "git-esaa"
    assert 0 < len(document["description"]) <= 1024
    assert "submit_result" in body


def test_a_skill_of_the_same_name_that_is_not_ours_is_left_alone(project: Project) -> None:
    project.write(SKILLS[0], "---\nname: git-esaa\n---\nmine\n")
    said = project.ok("init", "--agents")
    assert f"left alone: '{SKILLS[0]}'" in said
    assert project.read(SKILLS[0]).endswith("mine\n")


@pytest.mark.parametrize(
    "broken", [BEGIN + b"\n", END + b"\n", END + b"\n" + BEGIN + b"\n", (BEGIN + END) * 2]
)
def test_broken_marks_are_named_and_nothing_is_written(project: Project, broken: bytes) -> None:
    project.write("GEMINI.md", b"x\n" + broken)
    before = project.files()
    message = project.fails(ConfigurationError.exit_code, "init", "--agents")
    assert "GEMINI.md" in message
    assert project.files() == before


def test_a_folder_in_the_way_is_named(project: Project) -> None:
    (project.path / "AGENTS.md").mkdir()
    assert "in the way" in project.fails(RepositoryError.exit_code, "init", "--agents")


def test_a_bare_repository_has_no_place_for_them(tmp_path: Path, git: Git) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "bare.git")
    bare = Project(tmp_path / "bare.git", git)
    bare.fails(RepositoryError.exit_code, "init", "--agents")


def test_the_files_for_agents_are_no_example_project(project: Project) -> None:
    assert "no template 'agents'" in project.fails(2, "demo", "agents")


def test_no_agent_may_rewrite_what_agents_are_told(project: Project) -> None:
    contract = read_contracts(project.repository)
    boundary = Boundary.of(Task("T-1", "impl", ""), contract)
    for name in ("AGENTS.md", "deep/CLAUDE.md", "GEMINI.md", *SKILLS):
        assert boundary.check(name) is not None


def test_a_package_that_the_server_lacks_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert "pip install 'esaa-git[mcp]'" in project.ok("init", "--agents")
