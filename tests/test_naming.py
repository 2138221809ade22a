"""Names of files keep their bytes in any locale."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from esaa_git import naming
from esaa_git.errors import ConfigurationError
from esaa_git.store.repository import open_repository
from tests.conftest import Git
from tests.support.project import make_project, result, task, write

# As one in Latin-1 is to Python: its encoding is not UTF-8. It needs no locale to be made.
ASCII = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
NAME = "d\u00e9.txt"


def test_a_program_starts_itself_again_and_its_arguments_keep_their_bytes() -> None:
    program = (
        "import os, sys; from esaa_git.naming import start_again_in_utf8 as again; "
        "print(sys.flags.utf8_mode, flush=True); again(); "
        "print(sys.argv[1] == 'd\\u00e9', os.fsencode(sys.argv[2]))"
    )
    command = [sys.executable, "-c", program, "d\u00e9".encode(), b"\xe9"]
    said = subprocess.run(command, env=ASCII, capture_output=True, check=True).stdout
    assert said.splitlines() == [b"0", b"1", b"True b'\\xe9'"]


def test_a_process_that_would_change_names_opens_nothing(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    assert not naming.names_are_utf8()
    with pytest.raises(ConfigurationError, match="names files in 'iso8859-1'"):
        open_repository(repo)


def test_a_run_in_another_locale_leaves_the_checkout_clean(tmp_path: Path, git: Git) -> None:
    project = make_project(tmp_path / "project", git, task("T-1"), seed={f"src/{NAME}": "a\n"})
    project.answers(T_1=result("T-1", write(f"src/{NAME}", "b\n")))
    project.agree()
    done = subprocess.run(
        [sys.executable, "-m", "esaa_git", "run"],
        cwd=project.path,
        env=ASCII,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert project.git("show", f"HEAD:src/{NAME}") == "b"
    assert project.read(f"src/{NAME}") == "b\n"
    assert project.status() == ""
