"""docs/guides/decide.md, typed as it stands: three people, three keys, a server and an auditor.

Everything is a real process in one shell: `git esaa`, git with the hook of the server, ssh-agent.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.agents.test_worktree import needs_confinement
from tests.conftest import Git
from tests.support.project import Project
from tests.support.team import environment

GUIDE = Path(__file__).parents[2] / "docs/guides/decide.md"

pytestmark = needs_confinement

_BLOCK = re.compile(
    r"(?:`(?P<file>\.[^`]*)`[^`\n]*\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```", re.M | re.S
)
_ENDS = re.compile(r"# ends with ([0-9]+)")
_NEXT = "--- next ---"


@dataclass
class Typed:
    """A command of the guide, how it has to end, and lines of what it has to say."""

    command: str
    code: int
    says: list[str]


def steps() -> list[Typed]:
    """Return what the guide has one type, in its order; a file is written where it is shown."""
    found: list[Typed] = []
    for block in _BLOCK.finditer(GUIDE.read_text(encoding="utf-8")):
        kind, text = block["kind"], block["text"]
        if kind != "console":
            found.append(Typed(f"cat > {block['file']} <<'END'\n{text}END", 0, []))
            continue
        for line in text.splitlines():
            if line.startswith("$ "):
                ends = _ENDS.search(line)
                found.append(Typed(line[2:], int(ends[1]) if ends else 0, []))
            else:
                found[-1].says.append(line)
    return found


def typed(folder: Path, commands: list[Typed]) -> list[tuple[int, str]]:
    """Type commands into one shell, and return of each how it ended and what it said."""
    script = ["trap '[ -z \"${SSH_AGENT_PID-}\" ] || kill $SSH_AGENT_PID' EXIT"]
    script += [f"{one.command}\ncode=$?; echo; echo '{_NEXT}' $code" for one in commands]
    (folder / "typed.sh").write_text("\n".join(script))
    done = subprocess.run(
        ["bash", "typed.sh"],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    parts = re.split(rf"\n{_NEXT} ([0-9]+)\n", done.stdout)
    assert len(parts) == 2 * len(commands) + 1, done.stdout
    return [(int(code), said) for said, code in zip(parts[::2], parts[1::2], strict=False)]


@pytest.mark.timeout(300)
def test_three_people_carry_a_plan_through(tmp_path: Path, git: Git) -> None:
    commands = steps()
    for one, (code, said) in zip(commands, typed(tmp_path, commands), strict=True):
        assert code == one.code, f"$ {one.command}\n{said}"
        assert "Traceback" not in said
        for line in one.says:
            shown = ".*".join(re.escape(part) for part in line.split("…"))
            assert re.search(f"^{shown}$", said, re.M), f"$ {one.command}\n{said}\nlacks: {line}"

    auditor = Project(tmp_path / "decide/auditor", git)
    by_people = [
        (one.event.action, one.event.actor.partition("@")[0])
        for one in auditor.chain()
        if one.event.action.startswith(("approval.", "run.", "question.", "operator."))
        and one.event.actor.endswith("@example.org")
    ]
    assert by_people == [
        ("run.init", "ada"),
        ("approval.grant", "bob"),
        ("approval.deny", "bob"),
        ("question.answer", "bob"),
        ("approval.grant", "carol"),
        ("approval.grant", "carol"),
        ("approval.grant", "bob"),
        ("run.halt", "carol"),
        ("run.resume", "ada"),
        ("operator.request", "ada"),
    ]
    assert not (auditor.path / "farewell.txt").exists()
    for name in ("bob", "carol", "auditor"):  # the orchestrator's key is with Ada alone
        assert "signingKey" not in (auditor.path.parent / name / ".git/config").read_text()
