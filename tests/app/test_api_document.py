"""docs/api.md and the example beside it: what they show runs, and is what there is."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import esaa_git

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "docs" / "examples" / "embed.py"
HEADINGS = re.findall(r"^### `(\w+)(.*)`$", DOCUMENT, re.MULTILINE)
BLOCKS = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


def section(name: str) -> str:
    """Return what stands under the heading of a name."""
    found = re.search(rf"^### `{name}\b.*?$(.*?)(?=^##)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[1]


def signature(name: str) -> str:
    """Return a signature without the types of its arguments."""
    found = inspect.signature(getattr(esaa_git, name))
    plain = [argument.replace(annotation=argument.empty) for argument in found.parameters.values()]
    returned = found.return_annotation
    without = str(found.replace(parameters=plain, return_annotation=inspect.Signature.empty))
    return f"{without} -> {returned}"


def test_every_name_has_a_section_of_its_own() -> None:
    assert sorted(name for name, _ in HEADINGS) == sorted(set(esaa_git.__all__) - {"__version__"})


@pytest.mark.parametrize(("name", "shown"), HEADINGS)
def test_a_signature_is_shown_as_it_is(name: str, shown: str) -> None:
    if inspect.isfunction(getattr(esaa_git, name)):
        assert shown == signature(name)
        assert any(f"esaa_git.{name}(" in block for block in BLOCKS)
    else:
        assert shown in ("", "()")


@pytest.mark.parametrize(
    "name", [name for name, _ in HEADINGS if dataclasses.is_dataclass(getattr(esaa_git, name))]
)
def test_every_field_of_a_result_is_told(name: str) -> None:
    kind = getattr(esaa_git, name)
    told = section(name)
    assert [field.name for field in dataclasses.fields(kind) if f"`{field.name}`" not in told] == []
    assert kind.__dataclass_params__.frozen


def test_what_the_document_shows_runs(
    repo: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repo)
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "doors" / "echo_adapter"))
    namespace: dict[str, object] = {}
    for number, block in enumerate(BLOCKS, start=1):
        exec(compile(block, f"api.md, example {number}", "exec"), namespace)
    sys.modules.pop("esaa_git_echo", None)
    printed = "".join(capfd.readouterr())
    assert "writer is at work on T-1-A1\nT-1-A1: done\n" in printed
    assert "ada Said goodbye." in printed


def test_the_example_embeds_the_product_in_twenty_lines(repo: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE, repo],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].startswith("EV-00000001 run.init RUN-0001")
    assert lines[-1] == "RUN-0001: success, verified: ok"
    assert (repo / "docs" / "hello.md").read_text() == "Hello\n"
    # Beside what it says of its task, agent and answer.
    calls = EXAMPLE.read_text(encoding="utf-8").partition("\nfolder = ")[2]
    assert len([line for line in calls.splitlines() if line.strip()]) <= 20
