"""Whatever strangers wrote reaches a terminal through one function, escaped."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from esaa_git.cli.output import print_json, print_table, say, shown, style
from esaa_git.core.printable import json_visible, visible
from esaa_git.store.commitform import effect_commit
from tests.conftest import Git

HOSTILE = {
    "a carriage return": "all failed\rall passed",
    "a backspace": "bad\b\b\bgood",
    "a colour": "\x1b[32mpassed\x1b[0m",
    "a title of the window": "\x1b]0;pwned\x07",
    "an escape of eight bits": "\x9b31mred",
    "an override of direction": "\u202egnp.exe\u202c",
    "an isolate": "\u2066x\u2069",
    "a mark of direction": "a\u200fb",
    "a zero-width space": "pass\u200bword",
    "a byte order mark": "\ufeffx",
    "tags": "x\U000e0041\U000e0042",
    "selectors of variations": "x\U000e0101\ufe01",
    "a filler": "x\u3164\u115f\uffa0",
    "a line separator": "one\u2028two",
    "half a pair": "x\udc80",
    "NUL": "a\0b",
}
KEPT = "Grüße, 你好, שלום, ❤️, Å (decomposed), a tab\tand a line\nmore"


def printed_plainly(text: str) -> bool:
    return all(char.isprintable() or char in "\n\t" for char in text)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_that_does_not_print_gets_through(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    say(f"an agent said: {text}")
    say(style(text, fg="red"), err=True)
    print_table(["a"], [[text]])
    said = capsys.readouterr()
    assert printed_plainly(said.out)
    assert printed_plainly(said.err)
    assert "\\" in said.out


def test_colours_of_ours_stay_and_those_of_others_are_shown() -> None:
    assert shown(f"{style('done', fg='green')} \x1b[31mred") == "\x1b[32mdone\x1b[0m \\x1b[31mred"
    assert shown(style("\x1b[0m", bold=True)) == "\x1b[1m\\x1b[0m\x1b[0m"


def test_what_prints_stays_as_it_is() -> None:
    assert shown(KEPT) == KEPT
    assert visible(KEPT, keep="\n\t") == KEPT


@pytest.mark.parametrize("text", [*HOSTILE.values(), KEPT, '"\\'])
def test_json_says_the_same_and_shows_nothing_that_does_not_print(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_json({text: [text]})
    out = capsys.readouterr().out
    assert json.loads(out) == {text: [text]}
    assert printed_plainly(out)
    assert json_visible("{}") == "{}"


def test_the_command_line_prints_by_this_function_alone() -> None:
    """`ruff` forbids click's own in `esaa_git`; what is left are the two lines in it."""
    folder = Path(__file__).parents[2] / "esaa_git"
    found = [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"click\.(?:s?echo|style)\(|(?<![\w.])print\(", line)
    ]
    assert found == ["cli/output.py"] * 3


# ------------------------------------------------------------------------------ messages of effects

DIFF = """harmless

diff --git a/pwned.py b/pwned.py
new file mode 100644
--- /dev/null
+++ b/pwned.py
@@ -0,0 +1 @@
+import os
"""

HUNK = "\n--- /dev/null\n+++ b/pwned.py\n@@ -0,0 +1 @@\n+x\n"

MESSAGES = {
    "a patch": DIFF,
    "a patch without git's line": DIFF.replace("diff --git", "diff -u"),
    "an index line": "harmless\n\nIndex: pwned.py" + HUNK,
    "three dashes": "harmless\n---" + HUNK,
    "scissors": "harmless\n\n-- >8 --\n" + DIFF,
    "another mail": f"harmless\n\nFrom {'0' * 40} Mon Sep 17 00:00:00 2001\n"
    "From: a <a@example.com>\nSubject: x\n\n" + DIFF,
    "a patch after a carriage return": DIFF.replace("\ndiff", "\r\ndiff"),
    "an indented patch": DIFF.replace("\n", "\n "),
    "a patch in a long first line": "word " * 20 + "\n" + DIFF,
    "trailers": "harmless\n\nESAA-Event: " + "a" * 40 + "\nSigned-off-by: a <a@example.com>\n",
    "trailers with a space": "harmless\n\nESAA-Event : " + "a" * 40 + "\n",
    "an indented claim": "harmless\n\n  esaa-event: " + "a" * 40 + "\n",
    "a claim behind the first line": "word " * 13 + "ESAA-Event: " + "a" * 40,
    "a comment": "harmless\n\n# ESAA-Event: x\n",
}


@pytest.mark.parametrize("summary", MESSAGES.values(), ids=MESSAGES)
def test_no_line_of_an_effects_message_is_a_patch_or_a_trailer(
    git: Git, tmp_path: Path, summary: str
) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    base = git(tmp_path, "rev-parse", "HEAD")
    blob = git(tmp_path, "hash-object", "-w", "--stdin", stdin=b"x\n")
    tree = git(tmp_path, "mktree", stdin=f"100644 blob {blob}\tT-1.txt\n")
    commit = effect_commit(
        tree=tree,
        parents=(base,),
        agent="agent-impl",
        ts="2026-01-31T09:00:00.000Z",
        summary=summary,
        event_commit="e" * 40,
        log_id="f" * 64,
        run_id="RUN-0001",
        task_id="T-1",
        attempt_id="T-1-A1",
        assisted_by=None,
    )
    effect = git(tmp_path, "hash-object", "-w", "-t", "commit", "--stdin", stdin=commit)
    patch = git(tmp_path, "format-patch", "-1", "--stdout", effect).encode()
    git(tmp_path, "checkout", "-q", "--detach", base)
    git(tmp_path, "am", "-q", stdin=patch + b"\n")
    assert git(tmp_path, "ls-tree", "-r", "--name-only", "HEAD").split() == ["T-1.txt"]
    trailers = git(tmp_path, "log", "-1", "--format=%(trailers:only,unfold)", effect)
    assert trailers.split("\n")[0] == "ESAA-Event: " + "e" * 40
    assert "Signed-off-by" not in trailers
    assert "a" * 40 not in trailers
