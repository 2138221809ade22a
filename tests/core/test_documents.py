"""The reference documents say what the code says."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from jsonschema import Draft202012Validator

import esaa_git
from esaa_git.core import entries, machine, state, task
from esaa_git.core.envelope import published_schema
from esaa_git.core.event import schema
from esaa_git.core.events import ACTIONS
from esaa_git.core.rejection import EXPLANATIONS
from esaa_git.verification.failure import CHECKS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def build() -> Iterator[ModuleType]:
    """`docs/schemas/build.py`, which is a program and no module of the package."""
    before = list(sys.path)
    place = DOCS / "schemas" / "build.py"
    spec = importlib.util.spec_from_file_location("esaa_docs_schemas_build", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = before


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """Return what stands under a heading, up to the next of its level or above."""
    level = title.partition(" ")[0]
    body = text.partition(f"\n{title}\n")[2]
    assert body, f"no section '{title}'"
    return re.split(rf"^#{{1,{len(level)}}} ", body, maxsplit=1, flags=re.MULTILINE)[0]


def words(cells: Iterable[str]) -> list[str]:
    """Return what stands between backquotes, in order of the alphabet."""
    return sorted(word for cell in cells for word in re.findall(r"`([a-z._]+)`", cell))


def rows(text: str) -> list[list[str]]:
    """Return the cells of every table row but headings and rules."""
    lines = [line for line in text.split("\n") if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rules = {at for at, row in enumerate(cells) if all(set(cell) <= {"-"} and cell for cell in row)}
    return [row for at, row in enumerate(cells) if at not in rules and at + 1 not in rules]


def test_schemas_and_generated_parts_are_those_that_the_code_gives_today(build: ModuleType) -> None:
    assert list(build.stale(build.outputs(), ROOT)) == []


def test_every_action_has_its_schema_as_the_decoder_uses_it() -> None:
    for action in ACTIONS:
        document = json.loads(read(f"schemas/{action}.json"))
        Draft202012Validator.check_schema(document)
        del document["$schema"], document["title"]
        assert document == schema(action)
    assert json.loads(read("schemas/envelope.json")) == published_schema()


def test_every_action_stands_once_in_each_table_of_the_vocabulary() -> None:
    text = read("FORMAT.md")
    subjects = rows(section(text, "### Message"))
    assert words(row[0] for row in subjects) == sorted(ACTIONS)
    table = rows(section(text, "## Vocabulary").partition("### Payloads")[0])
    assert [row[0].strip("`") for row in table] == list(ACTIONS)
    effects = rows(section(text, "### What each does to the state").partition("The causes")[0])
    assert words(row[0] for row in effects) == sorted(ACTIONS)


def test_the_actors_of_the_vocabulary_are_those_of_the_code() -> None:
    for row in rows(section(read("FORMAT.md"), "## Vocabulary").partition("### Payloads")[0]):
        said = set(re.split(r", | or ", row[1]))
        allowed = set(ACTIONS[row[0].strip("`")].actors)
        # What an agent may say, a person may who holds the attempt.
        if "agent" in allowed:
            allowed.add("person")
        assert said == allowed, row[0]


@pytest.mark.parametrize("entity", ["task", "attempt", "run"])
def test_diagrams_are_drawn_from_the_table(entity: str) -> None:
    drawn = re.findall(r"```mermaid\n(.*?)```\n", read("FORMAT.md"), re.DOTALL)
    assert len(drawn) == 3
    assert machine.diagram(entity) in drawn


def test_every_transition_stands_in_the_table_of_the_document() -> None:
    found = [
        tuple(cell.strip("`") for cell in row)
        for row in rows(section(read("FORMAT.md"), "## The state machine"))
    ]
    wanted = [
        (row.entity, row.source or "(new)", row.action, row.cause or "", row.target)
        for row in machine.TABLE
    ]
    assert found == wanted


def test_every_cause_is_explained() -> None:
    text = section(read("FORMAT.md"), "### What each does to the state").partition("The causes")[2]
    assert words(row[0] for row in rows(text)) == sorted(machine.Cause)


def test_reject_codes_are_those_of_the_code_with_their_explanations() -> None:
    table = rows(section(read("FORMAT.md"), "## Reject codes"))
    found = {row[0].strip("`"): row[1] for row in table}
    assert found == {str(code): text for code, text in EXPLANATIONS.items()}


def test_the_eleven_checks_are_named_and_explained() -> None:
    table = rows(section(read("FORMAT.md"), "## Verification"))
    assert [(int(row[0]), row[1]) for row in table if len(row) == 2] == list(CHECKS.items())
    assert [int(row[0]) for row in table if len(row) == 3] == list(CHECKS)


def test_state_documents_have_exactly_the_fields_of_the_records() -> None:
    text = section(read("FORMAT.md"), "## The state tree")
    for heading, record in {
        "**project.json**": state.Project,
        "**run.json**": state.Run,
        "**A task**": task.Task,
    }.items():
        table = rows(text.partition(heading)[2].partition("\n**")[0].partition("Inside a task")[0])
        assert [row[0].strip("`") for row in table] == names(record)
    inside = {row[0]: re.findall(r"`([a-z_0-9]+)`", row[1]) for row in rows(text) if len(row) == 2}
    assert inside == {
        "`attempt`": names(task.Attempt),
        "`rejection`": names(entries.Rejection),
        "`blocked`": names(task.Blocked),
        "`result`": names(task.Result),
        "`judged`": names(task.Judged),
        "`questions`": names(task.Question),
    }
    for heading, record in {
        "**An issue**": state.Issue,
        "**A lesson**": entries.Lesson,
        "**An approval**": entries.Approval,
        "**A carrier**": state.Carrier,
        "**Notes**": entries.Notes,
        "**A decision**": entries.Decision,
        "**A request**": entries.Request,
    }.items():
        line = text.partition(heading)[2].partition("\n")[0]
        mentioned = re.findall(r"`([a-z_0-9]+)`", re.sub(r" \([^)]*\)", "", line))
        assert mentioned == names(record)


def names(record: type) -> list[str]:
    return [field.name for field in dataclasses.fields(record)]


def test_every_package_is_on_the_map() -> None:
    table = rows(section(read("ARCHITECTURE.md"), "## Packages"))
    listed = [row[0].strip("`") for row in table if row[0].startswith("`")]
    assert all(row[1] for row in table if row[0].startswith("`"))
    walked = pkgutil.walk_packages(esaa_git.__path__, "esaa_git.", onerror=lambda _: None)
    packages = ["esaa_git", *(module.name for module in walked if module.ispkg)]
    assert sorted(listed) == sorted(packages)


def test_every_module_that_the_map_names_is_there() -> None:
    packages = {path.parent.name for path in (ROOT / "esaa_git").glob("*/__init__.py")}
    named = set(re.findall(r"`([a-z_]+\.[a-zA-Z_.]+)`", read("ARCHITECTURE.md")))
    named -= set(ACTIONS)
    inside = sorted(name for name in named if name.partition(".")[0] in packages)
    assert len(inside) > 50
    assert [name for name in inside if not is_there(f"esaa_git.{name}")] == []


def is_there(name: str) -> bool:
    """Answer whether this is a module, or what one defines."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return hasattr(importlib.import_module(module), attribute)


def documents() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *DOCS.glob("decisions/*.md")])


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in LINK.findall(re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        other = (path.parent / name).resolve() if name else path
        assert other.exists(), f"{target} in {path.name}"
        if anchor and other.suffix == ".md":
            assert anchor in anchors(other), f"{target} in {path.name}"


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_decisions_have_a_number_each_and_say_all_four_things() -> None:
    records = sorted(DOCS.glob("decisions/*.md"))
    assert len({int(path.name[:4]) for path in records}) == len(records)
    for path in records:
        text = path.read_text(encoding="utf-8")
        for heading in ("# ", "**Problem.**", "**Options.**", "**Choice.**", "**Consequence.**"):
            assert f"\n{heading}" in f"\n{text}", f"{heading} in {path.name}"


def test_the_tests_that_the_threat_model_names_are_there() -> None:
    named = set(re.findall(r"`(tests/[a-z_/]+\.py)`", read("THREAT-MODEL.md")))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


# -- the papers of a contributor ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "RELEASE.md", "SECURITY.md"])
def test_a_paper_names_files_and_targets_that_are_there(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for path in re.findall(r"`((?:esaa_git|tests|docs|templates|\.github)/[^`\s]*)`", text):
        if "NAME" not in path and "ACTION" not in path:
            assert (ROOT / path).exists(), path
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:`|^\$ )make ([a-z][a-z-]*)", text, re.MULTILINE)
    assert set(named) <= targets


def test_the_matrix_calls_the_targets_of_the_makefile_on_every_interpreter() -> None:
    flow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    steps = [step for job in flow["jobs"].values() for step in job["steps"] if "run" in step]
    called = {step["run"].split()[1] for step in steps if step["run"].startswith("make ")}
    assert called == {"lint", "test", "demo"}
    assert called <= targets
    promised = re.findall(
        r"Python :: (3\.[0-9]+)\"", (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )
    matrix = flow["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == promised
    assert matrix["os"] == ["ubuntu-latest", "macos-latest"]
