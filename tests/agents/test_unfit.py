"""Tools that are known to fail as they are confined."""

from __future__ import annotations

from pathlib import Path

import pytest

from esaa_git.agents.unfit import KNOWN, suspect

GUIDES = Path(__file__).resolve().parents[2] / "docs" / "guides"


@pytest.mark.parametrize(
    ("words", "level", "is_suspect"),
    [
        (["claude"], "landlock", True),
        (["claude"], "landlock-pid", True),
        (["/opt/bin/claude", "-p"], "landlock", True),
        (["claude"], "bubblewrap", False),
        (["claude"], "none", False),
        (["claudette"], "landlock", False),
        (["opencode", "acp"], "landlock", True),
        (["opencode", "run"], "landlock", False),
    ],
)
def test_a_tool_is_known_by_its_name_its_words_and_the_level(
    words: list[str], level: str, is_suspect: bool
) -> None:
    assert (suspect(words, level) is not None) is is_suspect


def test_every_version_that_is_known_to_fail_is_in_a_guide() -> None:
    text = "".join((GUIDES / name).read_text() for name in ("coding-agents.md", "acp.md"))
    for one in KNOWN:
        assert ".".join(map(str, one.since)) in text
