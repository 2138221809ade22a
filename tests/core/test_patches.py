"""Unified diffs: against difflib, against git itself, and against what agents get wrong."""

from __future__ import annotations

import json
import os
import subprocess
from difflib import unified_diff
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from esaa_git.core.patches import (
    MAX_HUNKS,
    Hunk,
    Patch,
    apply_patch,
    changed_lines,
    parse_patch,
)
from esaa_git.core.rejection import RejectCode, Rejected
from tests.support.thoroughness import examples

ANY_TEXT = st.text(st.characters(exclude_categories=()))
LINES = st.lists(
    st.sampled_from(["a", "b", "", "c\r", "-- x", "++ y", "@@ -1 +1 @@", "\u2028\x0c", "\\ n"]),
    max_size=14,
)
TEXTS = st.builds(lambda lines, end: "\n".join(lines) + end, LINES, st.sampled_from(["", "\n"]))
NEAR_DIFFS = st.lists(
    st.sampled_from(
        [
            *("@@ -1,2 +1,2 @@", "@@ -1 +1 @@", "@@ -0,0 +1 @@", "@@", " a", "-a", "+a", "", "x"),
            *("--- a/x", "+++ b/x", "diff --git a/x b/x", "index 1..2"),
            "\\ No newline at end of file",
        ]
    ),
    max_size=10,
).map("\n".join)


def lines_of(text: str) -> list[str]:
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def diff_of(before: str, after: str, context: int = 3) -> str:
    made = unified_diff(lines_of(before), lines_of(after), "a/f", "b/f", n=context)
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in made
    )


def patch_of(diff: str) -> Patch:
    patch = parse_patch(diff)
    assert isinstance(patch, Patch), patch
    return patch


def refusal(outcome: object) -> Rejected:
    assert isinstance(outcome, Rejected), outcome
    return outcome


@given(TEXTS, TEXTS, st.integers(0, 3))
@example("a", "a\n", 3)
@example("", "a", 0)
@example("a\n", "", 3)
@settings(deadline=None, max_examples=examples(500))
def test_a_diff_applies_back_to_exactly_what_it_was_made_of(
    before: str, after: str, context: int
) -> None:
    if before != after:
        patch = patch_of(diff_of(before, after, context))
        assert patch.paths == ("a/f", "b/f")
        assert apply_patch(before, patch) == after


@given(TEXTS, TEXTS, TEXTS)
@settings(deadline=None, max_examples=examples(300))
def test_a_diff_applied_to_another_text_gives_whole_lines_or_a_refusal(
    before: str, after: str, other: str
) -> None:
    if before == after:
        return
    patch = patch_of(diff_of(before, after))
    outcome = apply_patch(other, patch)
    if isinstance(outcome, Rejected):
        assert outcome.code is RejectCode.PATCH_FAILED
        assert outcome.detail["hunk"] >= 1
    else:
        added = len(lines_of(after)) - len(lines_of(before))
        assert len(lines_of(outcome)) == len(lines_of(other)) + added


@given(ANY_TEXT | NEAR_DIFFS, ANY_TEXT | TEXTS)
@settings(deadline=None, max_examples=examples(500))
def test_any_string_is_a_patch_or_a_refusal_that_can_be_stored(diff: str, text: str) -> None:
    outcome = parse_patch(diff)
    result = apply_patch(text, outcome) if isinstance(outcome, Patch) else outcome
    if isinstance(result, Rejected):
        assert result.message.isprintable()
        assert len(result.message) < 500
        json.dumps(result.detail, ensure_ascii=False, allow_nan=False).encode("utf-8")
    else:
        assert isinstance(result, str)


def test_headers_are_optional_and_their_paths_returned() -> None:
    body = "@@ -1 +1 @@\n-a\n+b\n"
    assert patch_of(body) == Patch((Hunk(1, "a\n", "b\n"),), ())
    assert patch_of("--- a/x y\n+++ b/x y\n" + body).paths == ("a/x y", "b/x y")
    full = "diff --git a/x b/x\nindex 0123..4567 100644\n--- a/x\t2026-01-01\n+++ b/x\r\n"
    assert patch_of(full + body).paths == ("a/x", "b/x")
    assert patch_of("--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n").paths == ("b/x",)
    assert patch_of("diff --git a/x b/x\n" + body).paths == ()


def test_a_quoted_path_is_read_as_git_wrote_it() -> None:
    headers = '--- "a/\\303\\274\\t\\"\\\\.md"\n+++ "b/plain"\t2026\n'
    assert patch_of(headers + "@@ -1 +1 @@\n-a\n+b\n").paths == ('a/ü\t"\\.md', "b/plain")


def test_a_patch_tells_whether_it_concerns_a_file() -> None:
    assert Patch(()).concerns("x")
    assert Patch((), ("a/x", "b/x")).concerns("x")
    assert Patch((), ("x", "x")).concerns("x")
    assert not Patch((), ("a/x", "b/y")).concerns("x")
    assert not Patch((), ("a/x",)).concerns("a/y")


def test_an_empty_line_stands_for_an_empty_line_of_context() -> None:
    patch = patch_of("@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n")
    assert patch.hunks == (Hunk(1, "a\n\nb\n", "a\n\nc\n"),)


def test_the_end_of_a_diff_may_be_untidy() -> None:
    tidy = "@@ -1 +1 @@\n-a\n+b\n"
    assert patch_of(tidy.rstrip("\n")) == patch_of(tidy + "\n") == patch_of(tidy)
    assert patch_of("@@ -1,2 +1,2 @@ def f():\r\n-a\n+b\n\n").hunks[0].old == "a\n\n"


@pytest.mark.parametrize(
    ("diff", "reason"),
    [
        pytest.param("", "unexpected-line", id="empty"),
        pytest.param("--- a/x\n+++ b/x\n", "no-hunk", id="headers-only"),
        pytest.param("Here is the patch:\n@@ -1 +1 @@\n-a\n+b", "unexpected-line", id="prose"),
        pytest.param("```diff\n@@ -1 +1 @@\n-a\n+b\n```", "unexpected-line", id="fence"),
        pytest.param("+++ b/x\n@@ -1 +1 @@\n-a\n+b", "unexpected-line", id="plus-header-alone"),
        pytest.param("--- a/x\n@@ -1 +1 @@\n-a\n+b", "unexpected-line", id="minus-header-alone"),
        pytest.param("--- a\n--- b\n+++ b\n@@ -1 +1 @@\n-a\n+b", "unexpected-line", id="twice"),
        pytest.param('--- "a\n+++ b\n@@ -1 +1 @@\n-a\n+b', "unreadable-path", id="open-quote"),
        pytest.param('--- "\\377"\n+++ b\n@@ -1 +1 @@\n-a\n+b', "unreadable-path", id="not-utf8"),
        pytest.param("--- \n+++ b\n@@ -1 +1 @@\n-a\n+b", "unreadable-path", id="no-path"),
        pytest.param("old mode 100644\nnew mode 100755", "extended-header", id="mode"),
        pytest.param("new file mode 120000\n@@ -0,0 +1 @@\n+x", "extended-header", id="symlink"),
        pytest.param("deleted file mode 100644\n@@ -1 +0,0 @@\n-x", "extended-header", id="delete"),
        pytest.param("similarity index 90%\nrename from a", "extended-header", id="similarity"),
        pytest.param("rename from a\nrename to b", "extended-header", id="rename"),
        pytest.param("copy from a\ncopy to b", "extended-header", id="copy"),
        pytest.param("GIT binary patch\nliteral 1", "extended-header", id="binary"),
        pytest.param("Binary files a/x and b/x differ", "extended-header", id="binary-differ"),
        pytest.param("@@ ... @@\n-a\n+b", "bad-header", id="elided-header"),
        pytest.param("@@\n-a\n+b", "bad-header", id="bare-header"),
        pytest.param("@@ -1 +1 @@x\n-a\n+b", "bad-header", id="glued-section"),
        pytest.param("@@@ -1 -1 +1 @@@\n--a\n++b", "bad-header", id="combined-diff"),
        pytest.param("@@ -١ +1 @@\n-a\n+b", "bad-header", id="digits-of-another-script"),
        pytest.param("@@ -1,0 +1,0 @@\n", "bad-header", id="no-lines"),
        pytest.param("@@ -0 +1 @@\n-a\n+b", "bad-header", id="old-lines-at-line-zero"),
        pytest.param("@@ -1,9999999999 +1 @@\n-a", "bad-header", id="absurd-count"),
        pytest.param("@@ -1,2 +1 @@\n-a\n+b", "wrong-counts", id="too-few-old"),
        pytest.param("@@ -1 +1,2 @@\n-a\n+b", "wrong-counts", id="too-few-new"),
        pytest.param("@@ -1 +1 @@\n-a\n+b\n+c", "wrong-counts", id="too-many-new"),
        pytest.param("@@ -1 +1 @@\n-a\n-b\n+c", "wrong-counts", id="too-many-old"),
        pytest.param("@@ -1 +1,2 @@\n a\n b", "wrong-counts", id="context-counts-twice"),
        pytest.param("@@ -1,2 +1,1 @@\n a", "wrong-counts", id="ends-early"),
        pytest.param("@@ -1 +1 @@\n-a\n*b\n+b", "unexpected-line", id="unknown-mark"),
        pytest.param("@@ -1 +1 @@\n\ta", "wrong-counts", id="tab-for-a-space"),
        pytest.param("@@ -1 +1 @@\n-a\n+b\n--- a/y\n+++ b/y", "wrong-counts", id="two-files"),
        pytest.param(
            "@@ -1 +1 @@\n-a\n+b\ndiff --git a/y b/y\n@@ -1 +1 @@\n-a\n+b",
            "unexpected-line",
            id="two-files-of-git",
        ),
        pytest.param("@@ -1 +1 @@\n-a\n+b\n\n\n", "wrong-counts", id="two-empty-lines"),
        pytest.param(
            "@@ -1,2 +1,2 @@\n-a\n\\ No newline at end of file\n-b\n+a\n+b",
            "unexpected-line",
            id="a-line-after-the-last-line",
        ),
        pytest.param(
            "@@ -1 +1 @@\n-a\n+\n\\ No newline", "unexpected-line", id="a-line-of-nothing"
        ),
        pytest.param("@@ -1 +1 @@\n\\ No newline\n-a\n+b", "unexpected-line", id="nothing-before"),
    ],
)
def test_a_malformed_diff_is_refused_with_its_reason(diff: str, reason: str) -> None:
    outcome = refusal(parse_patch(diff))
    assert outcome.code is RejectCode.PATCH_FAILED
    assert outcome.detail["reason"] == reason


def test_wrong_counts_come_back_corrected() -> None:
    outcome = refusal(parse_patch("@@ -1,3 +1,3 @@\n a\n-b\n+c\n+d\n@@ -9 +9 @@\n-x\n+y\n"))
    assert outcome.detail == {
        "reason": "wrong-counts",
        "hunk": 1,
        "stated": [3, 3],
        "counted": [2, 3],
    }
    assert outcome.message == "hunk 1 says 3 old and 3 new lines, but has 2 old and 3 new lines"


def test_there_is_a_limit_to_the_number_of_hunks() -> None:
    hunk = "@@ -1 +1 @@\n-a\n+b\n"
    assert len(patch_of(hunk * MAX_HUNKS).hunks) == MAX_HUNKS
    assert refusal(parse_patch(hunk * (MAX_HUNKS + 1))).code is RejectCode.PATCH_TOO_LARGE


FUNCTIONS = "".join(f"def f{n}():\n    return {n}\n\n" for n in range(10))
CHANGE = "@@ -4,3 +4,3 @@\n def f1():\n-    return 1\n+    return one\n \n"


def test_a_hunk_applies_where_it_says_even_if_it_would_fit_elsewhere() -> None:
    patch = patch_of("@@ -2 +2 @@\n-a\n+b\n")
    assert apply_patch("a\na\na\n", patch) == "a\nb\na\n"


def test_a_hunk_that_moved_applies_at_the_only_place_that_fits() -> None:
    patch = patch_of(CHANGE)
    wanted = FUNCTIONS.replace("return 1\n", "return one\n")
    assert apply_patch(FUNCTIONS, patch) == wanted
    assert apply_patch("# new\n" * 7 + FUNCTIONS, patch) == "# new\n" * 7 + wanted
    assert apply_patch(FUNCTIONS[24:], patch) == wanted[24:]


def test_a_hunk_that_moved_carries_the_next_one_along() -> None:
    # The second hunk fits in two places; only the shift of the first says which.
    text = "start\nsame\nend\nsame\n"
    patch = patch_of("@@ -1 +1 @@\n-start\n+begin\n@@ -4 +4 @@\n-same\n+other\n")
    assert apply_patch(text, patch) == "begin\nsame\nend\nother\n"
    assert apply_patch("new\nnew\n" + text, patch) == "new\nnew\nbegin\nsame\nend\nother\n"


def test_a_hunk_that_fits_in_two_other_places_is_refused() -> None:
    outcome = refusal(apply_patch("x\na\ny\na\n", patch_of("@@ -1 +1 @@\n-a\n+b\n")))
    assert outcome.detail == {"reason": "ambiguous", "hunk": 1, "line": 1, "lines": [2, 4]}
    assert outcome.message == "hunk 1 does not fit at line 1, but at 2, 4: add context"


def test_places_that_follow_each_other_are_all_seen() -> None:
    patch = patch_of("@@ -1 +1 @@\n-\n+b\n")
    assert refusal(apply_patch("x\n\n\n\ny\n", patch)).detail["lines"] == [2, 3, 4]
    assert refusal(apply_patch("x\n" + "\n" * 99, patch)).detail["lines"] == [*range(2, 12)]
    assert apply_patch("\na\n", patch_of("@@ -7 +7 @@\n-a\n+b\n")) == "\nb\n"


def test_a_hunk_is_found_only_where_a_line_starts_and_ends() -> None:
    patch = patch_of("@@ -1 +1 @@\n-a\n+b\n")
    for text in ("xa\n", "ax\n", "xa\nax\n"):
        assert refusal(apply_patch(text, patch)).detail["reason"] == "context-mismatch"
    for text, end in (("a", "no line end"), ("a\r\n", "CRLF")):
        outcome = refusal(apply_patch(text, patch))
        assert outcome.detail["reason"] == "line-endings"
        assert f"it ends with {end}, and there with LF" in outcome.message
    assert apply_patch("xa\na\nax\n", patch) == "xa\nb\nax\n"


def test_a_hunk_that_does_not_fit_says_what_it_expected_and_what_is_there() -> None:
    outcome = refusal(apply_patch(FUNCTIONS.replace("return 1\n", "return  1\n"), patch_of(CHANGE)))
    assert outcome.detail == {
        "reason": "context-mismatch",
        "hunk": 1,
        "line": 5,
        "expected": "    return 1\\n",
        "found": "    return  1\\n",
    }


def test_a_hunk_beyond_the_end_is_refused() -> None:
    outcome = refusal(apply_patch("a\n", patch_of("@@ -7 +7 @@\n-b\n+c\n")))
    assert (outcome.detail["line"], outcome.detail["found"]) == (7, "")
    assert outcome.message == "hunk 1 fits nowhere: line 7 of the file is not what it says"


def test_a_first_line_that_differs_is_shown() -> None:
    outcome = refusal(apply_patch("a\n", patch_of("@@ -1 +1 @@\n-b\n+c\n")))
    assert (outcome.detail["expected"], outcome.detail["found"]) == ("b\\n", "a\\n")


def test_an_insertion_without_context_applies_only_where_it_says() -> None:
    insertion = patch_of("@@ -1,0 +2 @@\n+b\n")
    assert apply_patch("a\nc\n", insertion) == "a\nb\nc\n"
    assert apply_patch("a\n", insertion) == "a\nb\n"
    assert refusal(apply_patch("", insertion)).detail["reason"] == "context-mismatch"
    assert apply_patch("", patch_of("@@ -0,0 +1 @@\n+a\n")) == "a\n"


@pytest.mark.parametrize("text", ["a\nb\nc\n", "b\na\nc\n"])
def test_hunks_out_of_order_are_refused(text: str) -> None:
    line = text.split("\n").index("a") + 1
    diff = f"@@ -3 +3 @@\n-c\n+C\n@@ -{line} +{line} @@\n-a\n+A\n"
    assert refusal(apply_patch(text, patch_of(diff))).detail["hunk"] == 2


def test_the_last_line_cannot_be_replaced_twice() -> None:
    once = "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n"
    assert apply_patch("a", patch_of(once)) == "b\n"
    assert refusal(apply_patch("a", patch_of(once + once))).detail["hunk"] == 2


def test_a_moved_hunk_may_follow_another_directly() -> None:
    diff = "@@ -1 +1 @@\n-a\n+A\n@@ -9 +9 @@\n-b\n+B\n"
    assert apply_patch("new\na\nb\n", patch_of(diff)) == "new\nA\nB\n"


def test_a_missing_end_of_line_is_part_of_the_content() -> None:
    marker = "\\ No newline at end of file\n"
    assert apply_patch("a", patch_of(f"@@ -1 +1 @@\n-a\n{marker}+a\n")) == "a\n"
    assert apply_patch("a\n", patch_of(f"@@ -1 +1 @@\n-a\n+a\n{marker}")) == "a"
    shortened = patch_of(f"@@ -5,2 +5 @@\n a\n-b\n{marker}")
    assert apply_patch("x\na\nb", shortened) == "x\na\n"
    assert refusal(apply_patch("x\na\nb\n", shortened)).detail["found"] == ""
    assert isinstance(apply_patch("x\nya\nb", shortened), Rejected)
    assert apply_patch("a\nb", shortened) == "a\n"


@pytest.mark.parametrize(
    ("text", "diff"),
    [
        ("a\nb\n", "@@ -1 +1 @@\n-a\n+x\n\\ No newline at end of file\n"),
        ("a", "@@ -1,0 +2 @@\n+b\n"),
        ("a\nb\n", "@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n"),
    ],
)
def test_no_patch_joins_two_lines(text: str, diff: str) -> None:
    outcome = refusal(apply_patch(text, patch_of(diff)))
    assert outcome.detail == {"reason": "missing-newline", "hunk": 1}
    assert outcome.message.startswith("hunk 1 would join two lines")


def test_lines_end_at_line_feeds_alone() -> None:
    text = "a\u2028b\x0cc\x85d\re\r\nf\n"
    patch = patch_of("@@ -2 +2 @@\n-f\n+g\n")
    assert apply_patch(text, patch) == text[:-2] + "g\n"


@pytest.mark.parametrize(
    ("text", "diff"),
    [
        pytest.param(
            "a\n" * 500_000,
            "@@ -9,200001 +9 @@\n" + "-a\n" * 200_000 + "-b\n+c\n",
            id="one-big-hunk-of-equal-lines",
        ),
        pytest.param("xa\n" * 300_000, "@@ -9 +9 @@\n-a\n+b\n", id="never-at-a-line-start"),
        pytest.param("a\n" * 500_000, "@@ -600000 +1 @@\n-a\n+b\n", id="fits-everywhere"),
    ],
)
def test_a_hostile_patch_of_a_large_file_is_refused(text: str, diff: str) -> None:
    # Trying the hunk at every line in turn would not come back.
    outcome = refusal(apply_patch(text, patch_of(diff)))
    assert len(json.dumps(dict(outcome.detail))) < 1000


class Git:
    """The `git` program, sealed off from the machine's and the user's configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CEILING_DIRECTORIES": str(folder.parent),
            "LC_ALL": "C",
        }

    def diff(self, before: str, after: str) -> str:
        for name, text in (("before", before), ("after", after)):
            (self.folder / name).write_bytes(text.encode())
        done = self._run("diff", "--no-index", "--no-renames", "before", "after")
        assert done.returncode == 1
        return done.stdout.decode()

    def apply(self, text: str, diff: str) -> str | None:
        target = self.folder / "f"
        target.write_bytes(text.encode())
        (self.folder / "p").write_bytes(f"--- a/f\n+++ b/f\n{diff[diff.index('@@') :]}".encode())
        done = self._run("apply", "--whitespace=nowarn", "p")
        return target.read_bytes().decode() if done.returncode == 0 else None

    def _run(self, *args: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["git", *args], cwd=self.folder, env=self.env, capture_output=True, check=False
        )


TEXT = "".join(f"line {n}\n" for n in range(1, 31))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(TEXT, TEXT.replace("line 15\n", "fifteen\n"), id="one-change"),
        pytest.param(TEXT, "first\n" + TEXT.replace("line 20\n", ""), id="two-hunks"),
        pytest.param(TEXT, TEXT[:-1], id="end-of-line-taken-away"),
        pytest.param(TEXT[:-1], TEXT, id="end-of-line-added"),
        pytest.param(TEXT[:-1], TEXT[:-1] + "!", id="last-line-without-end-changed"),
        pytest.param("a\r\nb\r\nc\r\n", "a\r\nB\r\nc\r\n", id="crlf"),
        pytest.param("a\nb\nc\n", "a\r\nb\r\nc\r\n", id="lf-to-crlf"),
        pytest.param("ä\u2028\nb\n", "ä\u2028\nc\n", id="line-separator"),
        pytest.param(
            "-- a\n++ b\n", "++ b\n-- a\n@@ -1 +1 @@\n", id="lines-that-look-like-headers"
        ),
        pytest.param("\n\n\n", "\n\n\n\n", id="empty-lines"),
        pytest.param("a\n", "", id="emptied"),
        pytest.param("", "a\n", id="filled"),
    ],
)
def test_a_diff_that_git_makes_applies_here_and_there_alike(
    tmp_path: Path, before: str, after: str
) -> None:
    git = Git(tmp_path)
    diff = git.diff(before, after)
    patch = patch_of(diff)
    assert patch.paths == ("a/before", "b/after")
    assert apply_patch(before, patch) == after
    assert git.apply(before, diff) == after


@pytest.mark.parametrize(
    ("text", "applies"),
    [
        pytest.param("new\nnew\n" + TEXT, True, id="moved-down"),
        pytest.param(TEXT.replace("line 1\n", ""), True, id="moved-up"),
        pytest.param(TEXT.replace("line 25\n", "other\n"), True, id="changed-elsewhere"),
        pytest.param(TEXT.replace("line 14\n", "other\n"), False, id="context-changed"),
        pytest.param(TEXT.replace("line 15\n", "fifteen\n"), False, id="already-applied"),
        pytest.param(TEXT.replace("\n", "\r\n"), False, id="other-line-endings"),
        pytest.param(TEXT.replace("line 14\n", "line 14 \n"), False, id="trailing-space"),
        pytest.param("", False, id="empty"),
    ],
)
def test_git_and_we_agree_on_a_text_that_changed_meanwhile(
    tmp_path: Path, text: str, applies: bool
) -> None:
    git = Git(tmp_path)
    diff = git.diff(TEXT, TEXT.replace("line 15\n", "fifteen\n"))
    ours = apply_patch(text, patch_of(diff))
    theirs = git.apply(text, diff)
    assert (theirs is not None) is applies
    assert (None if isinstance(ours, Rejected) else ours) == theirs


@pytest.mark.parametrize(
    ("before", "after", "count"),
    [
        pytest.param(None, None, 0, id="nothing"),
        pytest.param(None, b"", 0, id="an-empty-file"),
        pytest.param(None, b"a\nb\n", 2, id="created"),
        pytest.param(b"a\nb\nc", None, 3, id="deleted"),
        pytest.param(b"a\nb\n", b"a\nb\n", 0, id="equal"),
        pytest.param(b"a\nb\n", b"a\nx\n", 2, id="changed"),
        pytest.param(b"a\n", b"a", 2, id="end-of-line-taken-away"),
        pytest.param(b"a\nb\n", b"b\na\n", 2, id="moved"),
        pytest.param(b"\n\n\n", b"\n\n\n\n", 1, id="repeated-line-added"),
        pytest.param(b"a\n\nb\n\nc\n\nd\n", b"x\n\na\n\nb\n\nc\n\ne\n", 4, id="both-ends"),
        pytest.param(b"\xff\x00\r\n", b"\xff\x00\r\x0b\n", 2, id="binary"),
        pytest.param(b"a\rb\x0cc\n", b"a\rb\x0cc\nd\n", 1, id="lines-end-at-line-feeds-alone"),
    ],
)
def test_changed_lines_are_what_a_diff_removes_and_adds(
    before: bytes | None, after: bytes | None, count: int
) -> None:
    assert changed_lines(before, after) == count
    assert changed_lines(after, before) == count


def smallest_diff(old: list[str], new: list[str]) -> int:
    row = [0] * (len(new) + 1)
    for line in old:
        previous, row = row, [0]
        for at, other in enumerate(new):
            row.append(previous[at] + 1 if line == other else max(previous[at + 1], row[at]))
    return len(old) + len(new) - 2 * row[-1]


@given(TEXTS, TEXTS)
@settings(deadline=None)
def test_changed_lines_are_never_fewer_than_the_smallest_diff(before: str, after: str) -> None:
    old, new = lines_of(before), lines_of(after)
    counted = changed_lines(before.encode(), after.encode())
    assert smallest_diff(old, new) <= counted <= len(old) + len(new)
    assert (counted == 0) is (before == after)


@given(st.permutations(range(9)), st.permutations(range(12)), st.integers(0, 9), st.integers(0, 12))
def test_changed_lines_are_the_smallest_diff_where_no_line_repeats(
    one: list[int], other: list[int], first: int, second: int
) -> None:
    old = [f"{n}\n" for n in one[:first]]
    new = [f"{n}\n" for n in other[:second]]
    counted = changed_lines("".join(old).encode(), "".join(new).encode())
    assert counted == smallest_diff(old, new)


def test_changed_lines_of_large_files_are_counted() -> None:
    # Comparing every line with every other would not come back.
    numbers = [b"%d\n" % n for n in range(200_000)]
    backwards = numbers[::-1]
    assert changed_lines(b"".join(numbers), b"".join(backwards)) == 2 * 200_000 - 2
    assert changed_lines(b"a\nb\n" * 200_000, b"b\na\n" * 200_000) == 2 * 400_000
