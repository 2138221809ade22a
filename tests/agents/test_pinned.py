"""A program of the swarm is started from a copy of what is pinned, outside of its checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from esaa_git.agents import pinned
from esaa_git.agents.adapter import AdapterContext
from esaa_git.agents.pinned import digest_of, laid_out, names_pinned, version_of
from esaa_git.agents.providers import provider_of_host, provider_of_model
from esaa_git.core.canonical import digest
from esaa_git.core.programs import Programs
from esaa_git.errors import AgentError

TOOL = b"#!/bin/sh\necho pinned\n"
MODULE = b"import tools.words\nprint(tools.words.SAID)\n"
PROGRAMS = Programs.of(
    {
        "tools/agent": ("100755", TOOL),
        "tools/plain": ("100644", TOOL),
        "tools/agent.py": ("100644", MODULE),
        "tools/__init__.py": ("100644", b""),
        "tools/words.py": ("100644", b"SAID = 'pinned'\n"),
    }
)


def context(root: Path, programs: Programs | None = PROGRAMS) -> AdapterContext:
    """What the functions here look at of an attempt's context."""
    unused: Any = cast(Any, None)
    return AdapterContext(root, unused, unused, unused, unused, 0, "none", lambda _: None, programs)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout whose files are others than those that are pinned."""
    (tmp_path / "tools").mkdir()
    for name in ("agent", "plain", "agent.py", "__init__.py", "words.py"):
        place = tmp_path / "tools" / name
        place.write_text("#!/bin/sh\necho rewritten\n" if "." not in name else "SAID = 'rewritten'")
        place.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["./tools/agent"],
        ["tools/../tools/agent", "more"],
        ["sh", "tools/plain"],
        ["env", "A=b", "sh", "-e", "./tools/plain"],
        ["env", "-S", "A=b sh tools/plain"],
        [sys.executable, "-m", "tools.agent"],
    ],
    ids=" ".join,
)
def test_what_is_started_is_the_copy(root: Path, words: list[str]) -> None:
    with laid_out("agent-x", words, context(root)) as laid:
        (folder,) = laid.read
        assert not folder.is_relative_to(root)
        env = {**os.environ, **laid.env}
        done = subprocess.run(laid.words, cwd=root, env=env, capture_output=True, check=True)
        assert done.stdout == b"pinned\n"
    assert not folder.exists()


def test_by_an_absolute_path_it_is_the_copy_as_well(root: Path) -> None:
    with laid_out("agent-x", [str(root / "tools/agent")], context(root)) as laid:
        assert Path(laid.words[0]).read_bytes() == TOOL
        assert digest_of([str(root / "tools/agent")], context(root)) == digest(TOOL)


def test_a_link_out_of_the_checkout_is_the_machine_s_where_git_does_not_track_it(
    root: Path,
) -> None:
    link = root / "tools/sh"
    link.symlink_to("/bin/sh")
    with laid_out("agent-x", [str(link), "tools/plain"], context(root)) as laid:
        assert laid.words[0] == str(link)
        assert Path(laid.words[1]).read_bytes() == TOOL
    tracking = replace(context(root), in_tree=lambda path: path == str(link))
    with pytest.raises(AgentError, match="is not pinned"):
        names_pinned("agent-x", [str(link), "tools/plain"], tracking)


def test_what_is_installed_is_started_as_it_is(root: Path) -> None:
    words = ["sh", "-c", "echo installed"]
    with laid_out("agent-x", words, context(root)) as laid:
        assert (list(laid.words), list(laid.read), dict(laid.env)) == (words, [], {})
    assert digest_of(words, context(root)) is None


def test_a_log_that_says_nothing_of_programs_runs_what_the_checkout_holds(root: Path) -> None:
    with laid_out("agent-x", ["./tools/agent"], context(root, None)) as laid:
        assert list(laid.words) == ["./tools/agent"]


@pytest.mark.parametrize("words", [["./tools/other"], ["python3", "tools/other"]], ids=" ".join)
def test_what_nobody_has_pinned_is_not_started(root: Path, words: list[str]) -> None:
    with pytest.raises(AgentError, match=r"no program '(\./)?tools/other'"):
        names_pinned("agent-x", words, context(root))
    (root / "tools/other").write_bytes(TOOL)
    with pytest.raises(AgentError, match="'tools/other' is not pinned") as raised:
        names_pinned("agent-x", words, context(root))
    assert "git esaa plan apply --restart" in str(raised.value.hint)


@pytest.mark.parametrize(
    "words", [["sh", "-c", "exec tools/agent"], ["node", "--import=./tools/agent", "x"]]
)
def test_what_no_copy_can_take_the_place_of_is_not_started(root: Path, words: list[str]) -> None:
    programs = Programs.of({"tools/agent": ("100755", TOOL), "x": ("100644", b"")})
    with pytest.raises(AgentError, match="cannot be run from what is pinned"):
        names_pinned("agent-x", words, context(root, programs))


@pytest.mark.parametrize(
    "line", ["/usr/bin/env -S python3 tools/real.py", "tools/agent", "{root}/tools/agent", "real"]
)
def test_a_first_line_that_names_the_tree_is_not_started(root: Path, line: str) -> None:
    content = f"#!{line.format(root=root)}\n".encode()
    programs = Programs.of({"x": ("100755", content), "tools/agent": ("100755", TOOL)})
    with pytest.raises(AgentError, match="cannot be run from what is pinned") as raised:
        names_pinned("agent-x", ["./x"], context(root, programs))
    assert "the first line of 'x'" in str(raised.value.cause)


def test_a_tool_is_asked_for_its_version_once(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\necho x >> {tmp_path}/asked\necho 'tool 1.2'\necho more\n")
    tool.chmod(0o755)
    env = {"PATH": os.environ["PATH"]}
    assert version_of(str(tool), "none", env) == "tool 1.2"
    assert version_of(str(tool), "none", env) == "tool 1.2"
    assert (tmp_path / "asked").read_text() == "x\n"


@pytest.mark.parametrize("body", ["exit 3", "sleep 60", "printf ''"])
def test_a_tool_that_does_not_say_its_version_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    monkeypatch.setattr(pinned, "VERSION_SECONDS", 0.3)
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\n{body}\n")
    tool.chmod(0o755)
    assert version_of(str(tool), "none", {"PATH": os.environ["PATH"]}) is None
    assert version_of(str(tmp_path / "none"), "none", {}) is None


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("claude-opus-4", "anthropic"),
        ("anthropic/claude-opus-4", "anthropic"),
        ("gpt-5", "openai"),
        ("gemini/gemini-2.5-pro", "gcp.gemini"),
        ("somebody/model", "somebody"),
        ("model", None),
        (None, None),
    ],
)
def test_who_serves_a_model_is_told_by_its_name(model: str | None, provider: str | None) -> None:
    assert provider_of_model(model) == provider


def test_who_serves_a_model_is_told_by_the_host_that_is_asked() -> None:
    assert provider_of_host("api.openai.com:443") == "openai"
    assert provider_of_host("API.Anthropic.com.") == "anthropic"
    assert provider_of_host("models.example.com") == "models.example.com"
    assert provider_of_host("notopenai.com") == "notopenai.com"
    assert provider_of_host(None) is None
