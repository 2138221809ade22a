"""A preset and a signer that packages bring, in a run; and what is left where they are missing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from esaa_git.agents.presets import PRESETS
from esaa_git.agents.presets.preset import Report, ToolOutput
from tests.conftest import Git
from tests.support.packages import Packages
from tests.support.project import KINDS, Project, make_project, result, task, write

PRESET = """
from esaa_git.agents.presets.preset import Preset, Report, ToolOutput


def read(said: ToolOutput) -> Report:
    return Report(words=said.output.decode().strip() or None, model="pen-1")


PEN = Preset(
    "pen", "pen", flags=("--quiet",), read=read, needs_key=False, install="pip install pen"
)
"""

# The private half lies in a folder that the package knows, under the name that the setting has.
SIGNER = """
from pathlib import Path

from esaa_git.errors import KeyUnavailable
from esaa_git.trust.keys import load_signer
from esaa_git.trust.signer import KeySpec, SignerKind

SAFE = Path({safe!r})


def load(spec: KeySpec):
    if not (SAFE / spec.key).exists():
        raise KeyUnavailable(f"the safe holds no key '{{spec.key}}'")
    return load_signer(KeySpec("ssh", str(SAFE / spec.key)))


SAFE_KIND = SignerKind("ssh", load)
"""


@pytest.fixture
def packages(tmp_path: Path) -> Iterator[Packages]:
    made = Packages(tmp_path / "packages")
    yield made
    made.remove()


@pytest.fixture
def project(tmp_path: Path, git: Git) -> Project:
    return make_project(tmp_path / "project", git, task("T-1", title="Say hello"), task("T-2"))


def with_a_pen(project: Project) -> None:
    """The swarm's tool is a program that writes a file, and says so."""
    pen = project.path.parent / "pen"
    pen.write_text(
        f"#!{sys.executable} -IS\nimport sys\n"
        "from pathlib import Path\n"
        "Path('src').mkdir(exist_ok=True)\n"
        "Path('src/said.txt').write_text(' '.join(sys.argv[1:]))\n"
        "print('written')\n"
    )
    pen.chmod(0o755)
    entry = {"adapter": "worktree", "preset": "pen", "program": str(pen), "model": "m", "hosts": []}
    project.swarm({"writer": entry}, dict.fromkeys(KINDS, "writer"))
    project.commit("A tool")


def test_a_preset_of_a_package_starts_its_tool(project: Project, packages: Packages) -> None:
    packages.add("esaa-git-pen", PRESET, presets={"pen": "PEN"})
    with_a_pen(project)
    project.ok("run", "--task", "T-1", "--sandbox", "none")
    assert project.read("src/said.txt") == "--quiet --model m"
    (result_,) = project.payloads("agent.result")
    assert (result_["summary"], result_["model"]) == ("written", "pen-1")

    packages.remove()
    project.forget()
    project.check()
    project.ok("verify", "--full")
    said = project.fails(4, "run", "--task", "T-2", "--sandbox", "none")
    assert "agents/writer/preset: 'pen' is not one of claude-code, codex" in said


def test_presets_of_packages_are_among_those_that_may_be_meant(
    project: Project, packages: Packages
) -> None:
    packages.add("esaa-git-pen", PRESET, presets={"pen": "PEN"})
    entry = {"adapter": "worktree", "preset": "pencil"}
    project.swarm({"writer": entry}, dict.fromkeys(KINDS, "writer"))
    assert "copilot, aider, pen" in project.fails(4, "plan", "apply")


def test_a_package_cannot_speak_for_a_tool_that_is_ours(
    project: Project, packages: Packages
) -> None:
    packages.add("esaa-git-codex", "raise SystemError('loaded')", presets={"codex": "CODEX"})
    entry = {"adapter": "worktree", "preset": "codex", "hosts": []}
    project.swarm({"writer": entry}, dict.fromkeys(KINDS, "writer"))
    project.ok("plan", "apply")


def in_the_guide(word: str) -> str:
    """The one example of the guide that has this word in it."""
    guide = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
    (found,) = [
        block.split("\n```\n")[0]
        for block in guide.split("```python\n")[1:]
        if word in block.split("\n```\n")[0]
    ]
    return found


def test_the_preset_of_the_guide_is_one(project: Project, packages: Packages) -> None:
    packages.add("esaa-git-pen", in_the_guide("PEN = Preset("), presets={"pen": "PEN"})
    preset = PRESETS.find("pen")
    assert preset is not None
    assert preset.read(ToolOutput(b"done\n", b"", 0)) == Report(words="done")
    assert preset.read(ToolOutput(b"", b"", 0)).words is None


# -------------------------------------------------------------------------------------- signers


def with_a_safe(project: Project, packages: Packages) -> None:
    safe = project.path.parent / "safe"
    safe.mkdir()
    key = project.key
    key.rename(safe / "orchestrator")
    packages.add("esaa-git-safe", SIGNER.format(safe=str(safe)), signers={"safe": "SAFE_KIND"})
    project.git("config", "esaa.keyFormat", "safe")
    project.git("config", "esaa.signingKey", "orchestrator")
    project.answers(T_1=result("T-1", write("src/a.txt", "a\n")), T_2=result("T-2"))


def test_a_key_that_a_package_holds_signs_and_any_clone_verifies(
    project: Project, packages: Packages
) -> None:
    with_a_safe(project, packages)
    project.ok("run", "--task", "T-1")
    assert project.task("T-1").state == "done"

    packages.remove()
    project.forget()
    project.ok("verify", "--full")
    project.ok("log")
    said = project.fails(2, "run", "--task", "T-2")
    assert "esaa.keyFormat is 'safe'" in said
    assert "no package that is installed here brings it (group 'esaa_git.signers')" in said
    assert "set it to 'ssh' or to 'openpgp', or install the package" in said


def test_the_signer_of_the_guide_signs(project: Project, packages: Packages) -> None:
    """Its device is one that holds the key of the project."""
    device = (
        "from types import SimpleNamespace\n"
        "from esaa_git.trust.keys import load_signer\n"
        "from esaa_git.trust.signer import KeySpec\n"
        f"key = load_signer(KeySpec('ssh', {str(project.key)!r}))\n"
        "device = SimpleNamespace(\n"
        "    public_key={'slot-1': key.blob}.get, sign=lambda slot, data: key._sign(data)\n"
        ")\n"
    )
    source = f"{device}{in_the_guide('class DeviceSigner')}"
    packages.add("esaa-git-device", source, signers={"device": "DEVICE"})
    project.git("config", "esaa.keyFormat", "device")
    project.git("config", "esaa.signingKey", "slot-1")
    project.answers(T_1=result("T-1", write("src/a.txt", "a\n")))
    project.ok("run", "--task", "T-1")
    project.check()


def test_a_key_that_the_package_does_not_have_stops_before_anything_is_recorded(
    project: Project, packages: Packages
) -> None:
    with_a_safe(project, packages)
    project.git("config", "esaa.signingKey", "another")
    assert "the safe holds no key 'another'" in project.fails(5, "run", "--task", "T-1")
    assert project.tip() is None


def test_init_takes_the_key_that_a_package_holds(project: Project, packages: Packages) -> None:
    with_a_safe(project, packages)
    (project.path / ".roadmap" / "allowed_signers").unlink()
    project.ok("init")
    project.commit("Who signs")
    project.ok("run", "--task", "T-1")
    project.check()


def test_nothing_that_reads_loads_what_packages_bring(project: Project, packages: Packages) -> None:
    project.answers(T_1=result("T-1", write("src/a.txt", "a\n")), T_2=result("T-2"))
    project.ok("run")
    source = "raise SystemError('a package was loaded')"
    doors = {"scripted": "X", "ssh": "X", "openpgp": "X", "codex": "X"}
    packages.add("esaa-git-hostile", source, adapters=doors, presets=doors, signers=doors)
    project.forget()
    for command in (("verify", "--full"), ("log",), ("show", "T-1"), ("status",), ("replay",)):
        project.ok(*command)
    assert "esaa_git_hostile" not in sys.modules
