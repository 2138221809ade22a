"""The public API: what `import esaa_git` offers, and what it costs."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import esaa_git
from tests.conftest import Git
from tests.support.project import Project as Made
from tests.support.project import make_project, result, task, write

PACKAGE = Path(esaa_git.__file__).parent
PROMISED = """
    open init clone apply_plan run claim submit review sync verify events state
    Project VerifyReport RunReport EsaaError __version__
"""


def fresh(source: str) -> str:
    """Run a program in an interpreter that has imported nothing of ours, and return its output."""
    command = [sys.executable, "-c", source]
    return subprocess.run(
        command, cwd=PACKAGE.parent, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def test_what_is_promised_is_offered() -> None:
    assert set(PROMISED.split()) <= set(esaa_git.__all__)
    assert set(esaa_git.__all__) <= set(dir(esaa_git))


def test_importing_the_package_loads_no_module_of_it() -> None:
    source = "import sys, esaa_git; esaa_git.__version__; dir(esaa_git)"
    listed = "print(*sorted(name for name in sys.modules if name.startswith('esaa_git')))"
    assert fresh(f"{source}; {listed}") == "esaa_git\n"


def test_a_name_loads_what_it_needs_and_no_command_line() -> None:
    source = "import sys, esaa_git; [getattr(esaa_git, name) for name in esaa_git.__all__]"
    listed = "print(*sorted({'click', 'rich', 'esaa_git.cli'} & set(sys.modules)))"
    assert fresh(f"{source}; {listed}") == "\n"


def test_an_error_is_found_without_the_rest() -> None:
    source = "import sys; from esaa_git import EsaaError; print(EsaaError.exit_code)"
    assert fresh(f"{source}; print('pygit2' in sys.modules)") == "1\nFalse\n"


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'esaa_git' has no attribute 'colour'"):
        _ = esaa_git.colour  # type: ignore[attr-defined]


def test_no_name_is_that_of_a_package_of_ours() -> None:
    ours = {module.name for module in pkgutil.iter_modules([str(PACKAGE)])}
    assert ours & set(esaa_git.__all__) == set()


def test_type_checkers_see_what_is_loaded() -> None:
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    seen = {
        name.asname or name.name: getattr(import_module(node.module or ""), name.name)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert seen == {name: getattr(esaa_git, name) for name in esaa_git.__all__ if name in seen}
    assert {*seen, "__version__"} == set(esaa_git.__all__)
    (listed,) = (
        ast.literal_eval(node.value)
        for node in stub.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    assert listed == esaa_git.__all__


@pytest.mark.parametrize("name", sorted(set(esaa_git.__all__) - {"__version__"}))
def test_every_name_says_what_it_is(name: str) -> None:
    assert (inspect.getdoc(getattr(esaa_git, name)) or "").endswith((".", "`"))


# -- what the names do --------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path, git: Git) -> Made:
    found = make_project(tmp_path / "project", git, task("T-1"), task("T-2", depends_on=["T-1"]))
    found.answers(T_1=result("T-1", write("src/a.txt", "a\n")), T_2=result("T-2"))
    return found


def test_where_there_is_no_repository_nothing_is_opened(tmp_path: Path) -> None:
    with pytest.raises(esaa_git.EsaaError, match="no git repository"):
        esaa_git.open(tmp_path)


def test_a_run_is_reported_as_the_command_prints_it(made: Made) -> None:
    with esaa_git.open(made.path) as project:
        report = esaa_git.run(project, steps=1)
        assert (report.result, [one.kind for one in report.attempts]) == (None, ["done"])
        report = esaa_git.run(project, parallel=2)
        assert report.result == "success"
        assert report.to_json()["attempts"][0]["task_id"] == "T-2"
        found = esaa_git.verify(project, full=True, jobs=1)
    assert found.is_ok
    said = made.esaa("verify", "--full", "--jobs", "1", "--json").json
    assert found.to_json() == {**said, "trust": found.trust}


def test_a_verification_that_fails_is_a_report_and_no_exception(made: Made) -> None:
    with esaa_git.open(made.path) as project:
        esaa_git.run(project)
        found = esaa_git.verify(project, full=True, genesis="0" * 40)
    assert (found.outcome, found.check) == ("mismatch", 1)
    assert found.failure is not None
    assert issubclass(found.failure, esaa_git.EsaaError)


def test_the_state_is_that_of_any_event(made: Made) -> None:
    with esaa_git.open(made.path) as project:
        esaa_git.run(project)
        assert esaa_git.state(project, "1").tasks["T-1"].state == "todo"
        assert esaa_git.state(project).tasks["T-1"].state == "done"
        assert esaa_git.state(project, "@~1").seq == esaa_git.state(project).seq - 1
        with pytest.raises(esaa_git.EsaaError, match="beyond the end of the log"):
            esaa_git.state(project, "EV-99999999")


def test_a_clone_is_verified_before_it_is_handed_out(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with esaa_git.open(made.path) as project:
        esaa_git.run(project)
        genesis = esaa_git.verify(project, jobs=1).genesis
    monkeypatch.chdir(tmp_path)
    with esaa_git.clone(str(made.path), tmp_path / "copy", genesis=genesis) as copy:
        assert esaa_git.state(copy).run.state == "success"
        assert esaa_git.verify(copy, jobs=1).is_ok
        assert esaa_git.sync(copy).to_json()["pushed"] == []
    with pytest.raises(esaa_git.EsaaError):
        esaa_git.clone(str(made.path), tmp_path / "other", genesis="0" * 40)
