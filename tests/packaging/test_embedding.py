"""Programs that use the installed product: an embedding one, and one with a foreign adapter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Git
from tests.packaging.conftest import CHECKOUT, run
from tests.support.packages import install
from tests.support.project import make_project, task

ECHO = CHECKOUT / "tests" / "doors" / "echo_adapter"

# Building, and fetching the dependencies, depends on the network more than on us.
pytestmark = [pytest.mark.wheel, pytest.mark.timeout(600)]

WORK = """
import esaa_git

with esaa_git.open() as project:
    report = esaa_git.run(project)
    asked = [stored.event.payload for stored in esaa_git.events(project, action="*.dispatch")]
    print(report.result, *{(one.adapter, one.sandbox) for one in asked})
"""

VERIFY = """
import importlib.util
import esaa_git

assert importlib.util.find_spec("esaa_git_echo") is None
assert importlib.util.find_spec("tests") is None
with esaa_git.open() as project:
    found = esaa_git.verify(project, full=True, jobs=1)
    print(found.outcome, found.checked_to, esaa_git.state(project).run.state)
    print(*{stored.event.actor for stored in esaa_git.events(project, action="agent.result")})
"""

TRY = """
from esaa_git_echo import ADAPTER
from esaa_git.testing.contracts import task
from esaa_git.testing.engine import engine_with

engine = engine_with(ADAPTER, {"file": "docs/said.md"})
engine.apply(task(title="Say hello"))
print(engine.run().result, engine.content("docs/said.md"))
"""


@pytest.fixture
def python(prefix: Path) -> Path:
    return prefix / "bin" / "python"


@pytest.fixture
def with_echo(installed_environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment with the adapter's package beside the product."""
    folder = tmp_path / "echo"
    folder.mkdir()
    return installed_environ | {"PYTHONPATH": str(install(ECHO, folder))}


def test_the_example_embeds_the_installed_product(
    python: Path, installed_environ: dict[str, str], repo: Path, tmp_path: Path
) -> None:
    example = tmp_path / "embed.py"
    example.write_bytes((CHECKOUT / "docs" / "examples" / "embed.py").read_bytes())
    done = run(python, example, repo, cwd=tmp_path, env=installed_environ)
    assert done.stdout.endswith("RUN-0001: success, verified: ok\n")
    assert (repo / "docs" / "hello.md").read_text() == "Hello\n"


def test_a_foreign_adapter_works_and_its_record_is_verified_without_it(
    python: Path,
    installed_environ: dict[str, str],
    with_echo: dict[str, str],
    tmp_path: Path,
    git: Git,
) -> None:
    made = make_project(tmp_path / "project", git, task("T-1", title="Say hello"))
    entry = {"adapter": "echo", "package": "esaa-git-echo", "file": "src/said.txt"}
    made.swarm({"echo": entry}, {"impl": "echo"})
    made.commit("The swarm")
    done = run(python, "-c", WORK, cwd=made.path, env=with_echo)
    assert done.stdout == "success ('echo', 'in-process')\n"
    assert made.read("src/said.txt") == "Say hello\n"

    made.forget()
    done = run(python, "-c", VERIFY, cwd=made.path, env=installed_environ)
    assert done.stdout == "ok 9 success\necho\n"
    assert "echo by echo" in run("git", "esaa", "log", cwd=made.path, env=installed_environ).stdout


def test_the_foreign_adapter_is_tested_with_what_is_installed(
    python: Path, with_echo: dict[str, str], tmp_path: Path
) -> None:
    done = run(python, "-c", TRY, cwd=tmp_path, env=with_echo)
    assert done.stdout == "success b'Say hello\\n'\n"
