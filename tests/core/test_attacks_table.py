"""docs/ATTACKS.md names tests that exist, checks that exist, and hides no attack without a test."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
HEAD = ["attack", "stopped by", "proven by", "what no test does"]
TEST = re.compile(r"(tests/[a-z_/]+\.py)::(\w+)(?:\[(.+)\])?")


def rows() -> list[list[str]]:
    """Return the cells of every row of every table, headings left out."""
    lines = (DOCS / "ATTACKS.md").read_text(encoding="utf-8").splitlines()
    cells = [
        [cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")]
        for line in lines
        if line.startswith("|")
    ]
    return [row for row in cells if row != HEAD and set("".join(row)) != {"-"}]


ROWS = rows()


@cache
def functions(name: str) -> dict[str, ast.FunctionDef]:
    """Return the functions at the top of a module, which is where pytest finds ours."""
    return {node.name: node for node in module(name).body if isinstance(node, ast.FunctionDef)}


@cache
def module(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"))


@cache
def constants(name: str) -> frozenset[str]:
    """Return every text that stands in a module: ids are among them, as they are given or keys."""
    found = (node.value for node in ast.walk(module(name)) if isinstance(node, ast.Constant))
    return frozenset(value for value in found if isinstance(value, str))


def fault(named: str) -> str | None:
    """Say why there is no such test, or nothing where there is."""
    match = TEST.fullmatch(named)
    if match is None:
        return "is not written as file::test"
    file, function, case = match.groups()
    if not (ROOT / file).is_file():
        return "there is no such file"
    found = functions(file).get(function)
    if found is None or not function.startswith("test_"):
        return "there is no such test in the file"
    if case is not None and not found.decorator_list:
        return "the test has no parameters"
    if case is not None and case not in constants(file):
        return "the test has no such case"
    return None


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_row_is_whole_and_names_tests_that_exist(row: list[str]) -> None:
    assert len(row) == len(HEAD)
    attack, stopped, proven, missing = row
    assert attack
    assert stopped
    assert proven or missing, "an attack without a test says so"
    names = [name.removeprefix("`").removesuffix("`") for name in proven.split("<br>") if name]
    assert [f"`{name}`" for name in names] == [name for name in proven.split("<br>") if name]
    assert len(set(names)) == len(names)
    assert {name: fault(name) for name in names if fault(name)} == {}


def test_there_is_something_to_look_at() -> None:
    assert len(ROWS) > 80
    attacks = [row[0] for row in ROWS]
    assert len(set(attacks)) == len(attacks)


def test_every_test_that_is_named_is_named_in_a_row() -> None:
    """So none escapes the look at it by standing in a sentence or a broken table."""
    text = (DOCS / "ATTACKS.md").read_text(encoding="utf-8")
    assert text.count(".py::") == sum(row[2].count(".py::") for row in ROWS)


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("tests/core/test_attacks_table.py", "file::test"),
        ("tests/core/test_nowhere.py::test_x", "no such file"),
        ("tests/core/test_attacks_table.py::test_x", "no such test"),
        ("tests/core/test_attacks_table.py::rows", "no such test"),
        ("tests/core/test_attacks_table.py::test_there_is_something_to_look_at[x]", "parameters"),
    ],
)
def test_a_name_of_no_test_is_noticed(named: str, why: str) -> None:
    assert why in str(fault(named))


def test_a_case_of_a_test_is_noticed_where_it_is_none() -> None:
    here = "tests/core/test_attacks_table.py::test_a_name_of_no_test_is_noticed"
    assert fault(f"{here}[no such file]") is None
    assert fault(f"{here}[{'no such'} case at all]") == "the test has no such case"


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [("checks", r"(?:^|\bcheck )(\d+)\b"), ("reject-codes", r"`([A-Z][A-Z0-9_]+)`")],
)
def test_every_rule_that_is_named_is_in_the_format(kind: str, pattern: str) -> None:
    text = (DOCS / "FORMAT.md").read_text(encoding="utf-8")
    table = text.partition(f"<!-- begin {kind} -->")[2].partition(f"<!-- end {kind} -->")[0]
    known = set(re.findall(r"^\| `?(\w+)`? \|", table, re.MULTILINE))
    named = {word for row in ROWS for word in re.findall(pattern, row[1])}
    assert named
    assert named <= known
