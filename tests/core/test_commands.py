"""What a command starts of the tree, told from its words."""

from __future__ import annotations

import pytest

from esaa_git.core.commands import acting
from esaa_git.core.paths import path_in_tree

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
        (
            ["python3", "-Bmjudgemod"],
            ["judgemod.py", "judgemod/__main__.py", "judgemod/__init__.py"],
        ),
        (["bash", "-co", "pipefail", "tools/judge.sh"], ["tools/judge.sh"]),
        (["bash", "--rcfile", "ci/rc", "-i"], ["ci/rc"]),
        (["bash", "-rcfile", "ci/rc", "ci/check.sh"], ["ci/rc", "ci/check.sh"]),
        (["bash", "--init-file=ci/rc", "ci/check.sh"], ["ci/check.sh", "ci/rc"]),
        (["ruby", "-r./ci/x.rb", "ci/check.rb"], ["ci/check.rb", "ci/x.rb"]),
        (["perl", "-Ici", "-MA::B", "ci/check.pl"], ["ci/check.pl", "ci/A/B.pm"]),
        (["node", "-r./ci/hook.js", "ci/check.js"], ["ci/check.js", "ci/hook.js"]),
        # behind others
        (["env", "--split=python3 ci/check.py"], ["ci/check.py"]),
        (["env", "--spl", "python3 ci/check.py"], ["ci/check.py"]),
        (["env", "-iS", "python3 ci/check.py"], ["ci/check.py"]),
        (["env", "-uA", "--chd=ci", "--ig", "sh", "check.sh"], ["ci/check.sh"]),
        (["timeout", "-k", "5", "60", "sh", "ci/check.sh"], ["ci/check.sh"]),
        (["nice", "-n5", "nohup", "sh", "ci/check.sh"], ["ci/check.sh"]),
        (["poetry", "run", "python", "ci/check.py"], ["ci/check.py"]),
        (["sh", "-c", "sh < ci/check.sh"], ["ci/check.sh"]),
        (["sh", "-c", "0<ci/check.sh sh -s 2>&1 >out/log"], ["ci/check.sh"]),
        (["sh", "-c", 'sh "ci/ch""eck.sh"'], ["ci/check.sh"]),
        (["sh", "-c", "sh ci/ch\\eck.sh # ci/other"], ["ci/check.sh"]),
        (["sh", "-c", "nice sh -c 'exec ci/inner'"], ["ci/inner"]),
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


@pytest.mark.parametrize(
    "command",
    [
        ["uv", "run", "pytest", "-q"],
        ["uv", "run", "--frozen", "python", "-m", "pytest", "-x", "tests"],
        ["npm", "test"],
        ["npx", "--yes", "tsx", "ci/check.ts"],
        ["make", "check"],
        ["python3", "-m", "pytest", "-q"],
        ["python3", "-B", "-W", "error", "ci/check.py", "--unheard"],
        ["sh", "-c", "pytest -q"],
        ["sh", "-c", "set -e; ruff check . && pytest -q tests/*.py > log 2>&1 || exit 1"],
        ["sh", "-c", "grep -q 'x$' f; echo \"exit $?\""],
        ["bash", "-euo", "pipefail", "ci/check.sh"],
        ["env", "CI=1", "PYTHONDONTWRITEBYTECODE=1", "pytest"],
        ["timeout", "60", "cargo", "test"],
        ["node", "--test"],
        ["go", "test", "./..."],
        ["./ci/check", "$X", "`x`"],
    ],
    ids=" ".join,
)
def test_ordinary_commands_are_read_for_sure(command: list[str]) -> None:
    assert acting(command).unread == ()


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["python3", "--unheard", "ci/check.py"], "'--unheard'"),
        (["sh", "-Z", "ci/check.sh"], "'-Z'"),
        (["env", "--unheard", "ci/check"], "'--unheard'"),
        (["env", "--i", "ci/check"], "'--i'"),  # --ignore-environment and others
        (["bash", "+c", "ci/check"], "'+c'"),
        (["zsh", "-opipefail", "ci/check"], "'-opipefail'"),
        (["uv", "run", "--with", "./ci", "pytest"], "may name code"),
        (["npx", "-p", "./ci", "check"], "may name code"),
        (["python3", "-X", "pycache_prefix=ci", "-m", "x"], "may name code"),
        (["python3", "-W", "error::ci.check.W", "-m", "x"], "may name code"),
        (["perl", "-Mlib qw(ci)", "x.pl"], "may name code"),
        (["python3", "-c", "import ci"], "text is given to python"),
        (["perl", "-ne", "do 'ci/x'"], "text is given to perl"),
        (["python3"], "from its input"),
        (["bash", "-s"], "from its input"),
        (["sh", "-c", "cat ci/x | sh"], "from its input"),
        (["sh", "-c", "cd ci; sh check.sh"], "'cd'"),
        (["sh", "-c", "eval sh ci/x"], "'eval'"),
        (["sh", "-c", "trap 'sh ci/x' EXIT"], "'trap'"),
        (["sh", "-c", "sh $X"], "a variable"),
        (["sh", "-c", 'echo "${X}"'], "a variable"),
        (["sh", "-c", "sh $'ci/x'"], "a variable"),
        (["sh", "-c", "sh ci/*.sh"], "a pattern"),
        (["sh", "-c", "ci/ch?ck"], "a pattern"),
        (["sh", "-c", "sh <<X\nci/x\nX"], "given to a program as input"),
        (["sh", "-c", "`ci/x`"], "inside of another"),
        (["sh", "-c", "PATH=ci:/bin check"], "PATH"),
        (["sh", "-c", "export BASH_ENV; bash -c true"], "BASH_ENV"),
        (["sh", "-c", "'unclosed"], "not closed"),
        (["env", "BASH_ENV=ci/x", "bash", "-c", "true"], "BASH_ENV"),
        (["env", "NODE_OPTIONS=--require=ci/x", "node", "x.js"], "NODE_OPTIONS"),
        (["env", "PYTHONPATH=ci", "python3", "-m", "check"], "PYTHONPATH"),
        (["env", "GIT_SSH_COMMAND=ci/x", "git", "fetch"], "GIT_SSH_COMMAND"),
        (["env", "-S", "sh ${X}"], "'env -S'"),
        (["xargs", "sh", "ci/x"], "'xargs'"),
        (["find", ".", "-execdir", "sh", "x", ";"], "'find'"),
        (["env", "-S", "env -S '" * 30], "too deep"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_cannot_be_read_for_sure_is_said(command: list[str], why: str) -> None:
    assert why in "; ".join(acting(command).unread)


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
