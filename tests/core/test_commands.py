"""What a command starts of the tree, told from its words."""

from __future__ import annotations

import pytest

from esaa_git.core.commands import acting, path_in_tree

ROOT = "/home/me/work"


@pytest.mark.parametrize(
    ("command", "paths"),
    [
        (["./tools/reviewer"], ["tools/reviewer"]),
        ([".roadmap/agents/impl", "--fast"], [".roadmap/agents/impl"]),
        (["tools/./x/../reviewer"], ["tools/reviewer"]),
        ([f"{ROOT}/tools/reviewer"], ["tools/reviewer"]),
        (["/usr/bin/make", "test"], []),
        (["../elsewhere/tool"], []),
        (["make", "ci/check.mk"], []),
        (["pytest", "tests/test_all.py"], []),
        (["./tools/run", "tests/test_all.py"], ["tools/run"]),
        # an interpreter and its script
        (["python3", "ci/check.py", "data.json"], ["ci/check.py"]),
        (["/usr/bin/python3.12", "check.py"], ["check.py"]),
        (["python", "-u", "-W", "ignore", "-X", "dev", "ci/check.py"], ["ci/check.py"]),
        (["python", "-c", "import ci.check", "ci/check.py"], []),
        (["python", "-Ic", "pass", "ci/check.py"], []),
        (["python", "-"], []),
        (["python3", "--", "ci/check.py"], ["ci/check.py"]),
        (["sh", "ci/check.sh"], ["ci/check.sh"]),
        (["bash", "-eu", "-o", "pipefail", "ci/check.sh"], ["ci/check.sh"]),
        (["node", "--enable-source-maps", "ci/check.mjs"], ["ci/check.mjs"]),
        (["node", "-r", "./ci/hook.js", "ci/check.js"], ["ci/hook.js", "ci/check.js"]),
        (["node", "--import=./ci/hook.mjs", "ci/check.js"], ["ci/check.js", "ci/hook.mjs"]),
        (["node", "-e", "0", "ci/check.js"], []),
        (["ruby", "-I", "lib", "ci/check.rb"], ["ci/check.rb"]),
        (["perl", "-I", "lib", "ci/check.pl"], ["ci/check.pl"]),
        (["perl", "-e", "1", "ci/check.pl"], []),
        # behind others
        (["env", "ci/check"], ["ci/check"]),
        (["/usr/bin/env", "-i", "A=b", "python3", "ci/check.py"], ["ci/check.py"]),
        (["env", "-u", "HOME", "-C", "ci", "sh", "check.sh"], ["ci/check.sh"]),
        (["env", "-S", "python3 -u ci/check.py"], ["ci/check.py"]),
        (["env", "-Spython3 ci/check.py", "more"], ["ci/check.py"]),
        (["env", "--split-string=A=b ci/check"], ["ci/check"]),
        (["uv", "run", "check.py"], ["check.py"]),
        (["uv", "run", "--with", "rich", "ci/check"], ["ci/check"]),
        (["uv", "--quiet", "run", "python", "ci/check.py"], ["ci/check.py"]),
        (["uv", "run", "pytest", "tests/test_all.py"], []),
        (["npx", "./ci/check"], ["ci/check"]),
        (["npx", "--yes", "tsx", "ci/check.ts"], []),
        (["env", "uv", "run", "sh", "ci/check.sh"], ["ci/check.sh"]),
        # inside of a shell's text: the first word of each command
        (["sh", "-c", "./ci/check.sh --all && echo done"], ["ci/check.sh"]),
        (["bash", "-ec", "set -e; exec ci/check"], ["ci/check"]),
        (["bash", "-lc", "A=b python3 ci/check.py | tee out/log"], ["ci/check.py"]),
        (["sh", "-c", "if ci/ready; then . ci/lib.sh; fi"], ["ci/ready", "ci/lib.sh"]),
        (["sh", "-c", "pytest tests/test_all.py"], []),
        (["sh", "-c", "sh -c 'ci/inner'"], ["ci/inner"]),
        (["sh", "-c", "'unclosed"], []),
        (["npx", "-c", "ci/check"], ["ci/check"]),
        ([""], []),
        (["a\0b/c"], []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_a_command_names_of_the_tree_is_read_from_its_words(
    command: list[str], paths: list[str]
) -> None:
    assert list(acting(command, ROOT).paths) == paths


def test_a_module_may_be_any_of_these_files_or_one_that_is_installed() -> None:
    assert acting(["python3", "-m", "ci.check"]).modules == (
        "ci/__init__.py",
        "ci/check.py",
        "ci/check/__main__.py",
        "ci/check/__init__.py",
    )
    assert "tool.py" in acting(["uv", "run", "-m", "tool"]).modules
    assert "tool.py" in acting(["python3", "-Im", "tool"]).modules
    assert acting(["python3", "-mtool"]).modules == acting(["python3", "-m", "tool"]).modules
    assert acting(["python3", "-m", "../x"]).modules == ()


def test_the_words_that_a_copy_replaces_are_told_by_their_place() -> None:
    split = acting(["env", "-S", "A=b python3 -u ci/check.py", "more"])
    assert split.words == ("env", "A=b", "python3", "-u", "ci/check.py", "more")
    assert split.files == {4: "ci/check.py"}
    # What stands inside of a text has no place of its own.
    text = acting(["sh", "-c", "ci/check"])
    assert (text.files, text.hidden) == ({}, ("ci/check",))


def test_a_path_outside_of_the_tree_is_none_of_it() -> None:
    assert path_in_tree("/home/me/work2/x", ROOT) is None
    assert path_in_tree("/home/me/work/../x", ROOT) is None
    assert path_in_tree("a/../../x") is None
    assert path_in_tree("/home/me/work/x") is None
    assert path_in_tree(".") is None
