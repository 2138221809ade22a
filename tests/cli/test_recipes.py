"""The recipes of docs/guides/environments.md: real tools, whole runs, and no network.

The contracts are those of the guide, word for word; what a project would fetch lies beside it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.agents.test_worktree import needs_confinement
from tests.conftest import Git
from tests.support.project import Project, make_project, task

GUIDE = Path(__file__).parents[2] / "docs/guides/environments.md"

pytestmark = needs_confinement


def recipe(name: str) -> Mapping[str, Any]:
    """Return `setup` and `checks` of a recipe of the guide."""
    found = re.search(rf"^### {name}$.*?^```yaml\n(.*?)^```", GUIDE.read_text(), re.M | re.S)
    assert found is not None
    given = dict(yaml.safe_load(found[1]))
    for step in given["setup"]:
        # Names are looked up before a program starts, and here is no network.
        step["hosts"] = ["127.0.0.1:9"] if "hosts" in step else []
    return given


def project_of(
    path: Path, git: Git, given: Mapping[str, Any], agent: str, files: Mapping[str, str]
) -> Project:
    """Make a project whose one task is done by a shell script in its environment."""
    made = make_project(path, git, task("T-1"), seed=files, kinds={"impl": given})
    made.write(".roadmap/agents/editor", f"#!/bin/sh -e\n{agent}\n", executable=True)
    entry = {"adapter": "worktree", "command": [".roadmap/agents/editor"]}
    made.swarm({"editor": entry}, dict.fromkeys(("spec", "impl", "qa"), "editor"))
    return made


def wheel(folder: Path, version: str) -> None:
    """Write a wheel with a module and a command `greet`, as the format has it (PEP 427)."""
    info = f"greet-{version}.dist-info"
    files = {
        "greet.py": f"def main():\n    print('hello {version}')\n\n\n"
        "if __name__ == '__main__':\n    main()\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: greet\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ngreet = greet:main\n",
    }
    lines = []
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"greet-{version}-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            lines.append(f"{name},sha256={digest.rstrip(b'=').decode()},{len(text)}")
        archive.writestr(f"{info}/RECORD", "\n".join([*lines, f"{info}/RECORD,,"]) + "\n")


def kept(project: Project) -> int:
    return len(list((project.path / ".git/esaa/setups").glob("*/about.json")))


def test_a_setup_that_cannot_work_stops_the_run_and_spends_nothing(
    tmp_path: Path, git: Git
) -> None:
    script = "#!/bin/sh\necho no such package\nexit 7\n"
    given = {"setup": [{"run": ["./fetch.sh"], "provides": ["packages"]}]}
    project = project_of(tmp_path / "p", git, given, "touch done", {"fetch.sh": script})
    (project.path / "fetch.sh").chmod(0o755)
    project.commit("An executable")
    project.ok("allow", "--revoke")
    refused = project.fails(12, "run")
    assert "./fetch.sh" in refused
    project.agree()
    project.ok("plan", "apply")
    (pinned,) = (
        pin for pin in project.payloads("run.init")[0]["programs"] if "/" not in pin["path"]
    )
    assert (pinned["path"], pinned["mode"]) == ("fetch.sh", "100755")
    said = project.fails(11, "run")
    assert said.splitlines()[:2] == [
        "error: the setup of kind 'impl' failed at './fetch.sh'",
        "caused by: it left with exit status 7: no such package",
    ]
    assert (project.task("T-1").state, project.task("T-1").attempts_used) == ("todo", 0)
    listed = project.ok("agent", "list")
    assert "granted by editor: start ./fetch.sh" in listed


def test_venv_and_pip(tmp_path: Path, git: Git) -> None:
    given = recipe("venv and pip")
    wheels = tmp_path / "wheels"
    wheel(wheels, "1.0")
    for step in given["setup"]:
        step["read"] = [str(wheels)]
    # What the environment brings is found by its path, by PATH, and by a script in it.
    given["checks"] = [
        {"name": "module", "run": [".venv/bin/python", "-m", "greet"]},
        {"name": "script", "run": [".venv/bin/greet"]},
        {"name": "agrees", "run": ["sh", "-c", "greet | cmp - src/said.txt"]},
    ]
    pins = f"--no-index\n--find-links {wheels}\ngreet==1.0\n"
    agent = "mkdir -p src\ngreet > src/said.txt"
    project = project_of(tmp_path / "p", git, given, agent, {"requirements.txt": pins})
    shown = project.ok("allow", "--show")
    assert "start .venv/bin/python" not in shown
    assert ".venv/bin/python -m pip install --no-input -r requirements.txt" in shown
    assert f"let it read '{wheels}'" in shown
    assert "let it connect to 127.0.0.1:9" in shown
    assert "setup of kind 'impl'" in project.ok("plan", "diff")
    project.ok("run", "--base-may-fail")
    assert project.git("show", "HEAD:src/said.txt") == "hello 1.0"
    assert kept(project) == 1
    assert project.git("ls-tree", "-r", "--name-only", "HEAD", ".venv") == ""
    assert "ok    module" in project.ok("check", "T-1")
    (about,) = (project.path / ".git/esaa/setups").glob("*/about.json")
    os.utime(about, (0, 0))
    assert "removed a kept setup of " in project.ok("maintain")
    assert kept(project) == 0
    project.check()


def test_uv(tmp_path: Path, git: Git, outer_environ: dict[str, str]) -> None:
    program = shutil.which("uv")
    if program is None:
        pytest.skip("uv is not installed")
    given = dict(recipe("uv"))
    given["checks"] = [{"name": "script", "run": [".venv/bin/greet"]}]
    folder = tmp_path / "made"
    wheel(folder, "1.0")
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.11"\n'
        'dependencies = ["greet"]\n[tool.uv.sources]\n'
        'greet = { path = "greet-1.0-py3-none-any.whl" }\n'
    )
    lock = [program, "lock", "--offline", "--quiet"]
    subprocess.run(lock, cwd=folder, env=outer_environ, check=True, timeout=60)
    project = project_of(tmp_path / "p", git, given, "greet > src/said.txt", {"src/x": ""})
    for path in folder.glob("*.*"):
        shutil.copy(path, project.path)
    project.commit("A project of uv")
    project.ok("run", "--base-may-fail")
    assert project.git("show", "HEAD:src/said.txt") == "hello 1.0"
    assert kept(project) == 1


def test_npm(tmp_path: Path, git: Git) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    files = {
        "package.json": '{"name": "p", "version": "1.0.0", "scripts": {"test": "greet | cmp - '
        'src/said.txt"}, "dependencies": {"greet": "file:greet"}}',
        "greet/package.json": '{"name": "greet", "version": "1.0.0", "bin": {"greet": "cli.js"}}',
        "greet/cli.js": "#!/usr/bin/env node\nconsole.log('hello')\n",
        "package-lock.json": '{"name": "p", "version": "1.0.0", "lockfileVersion": 3, "packages": '
        '{"": {"name": "p", "version": "1.0.0", "dependencies": {"greet": "file:greet"}}, '
        '"greet": {"version": "1.0.0", "bin": {"greet": "cli.js"}}, '
        '"node_modules/greet": {"resolved": "greet", "link": true}}}',
    }
    agent = "mkdir -p src\ngreet > src/said.txt"
    project = project_of(tmp_path / "p", git, recipe("npm"), agent, files)
    (project.path / "greet/cli.js").chmod(0o755)
    project.commit("An executable")
    project.ok("run", "--base-may-fail")
    assert project.git("show", "HEAD:src/said.txt") == "hello"
    project.check()


def test_cargo(tmp_path: Path, git: Git, outer_environ: dict[str, str]) -> None:
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not installed")
    given = dict(recipe("cargo"))
    home = outer_environ["HOME"]
    (step,) = given["setup"]
    # The home of these tests is not that of the person who installed cargo.
    step["read"] = [place.replace("~", home) for place in step["read"]]
    rustup = step["variables"]["RUSTUP_HOME"].replace("~", home)
    if not Path(rustup).is_dir():
        del step["variables"]["RUSTUP_HOME"], step["read"]
    else:
        step["variables"]["RUSTUP_HOME"] = rustup
    files = {
        "Cargo.toml": '[package]\nname = "p"\nversion = "0.1.0"\nedition = "2021"\n',
        "Cargo.lock": 'version = 3\n\n[[package]]\nname = "p"\nversion = "0.1.0"\n',
        "src/lib.rs": "pub fn one() -> u32 { 1 }\n"
        "#[cfg(test)]\nmod tests { #[test] fn one() { assert_eq!(super::one(), 1); } }\n",
        ".gitignore": "/target\n",
    }
    agent = "cargo test --offline --locked --quiet > /dev/null && echo // >> src/lib.rs"
    project = project_of(tmp_path / "p", git, given, agent, files)
    project.ok("run", "--base-may-fail")
    assert project.git("show", "HEAD:src/lib.rs").endswith("//")
    assert kept(project) == 1
    (written,) = project.payloads("agent.result")
    assert "left_out" not in written
