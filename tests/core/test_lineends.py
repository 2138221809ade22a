"""An edit or a patch keeps the form of its file: the ends of its lines, and its byte order mark."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esaa_git.core.answer import Edit, EditFile, PatchFile
from esaa_git.core.lineends import TextForm
from esaa_git.core.proposal import after_image
from esaa_git.core.rejection import RejectCode, Rejected

CRLF = b"one\r\ntwo\r\nthree\r\n"
MARKED = b"\xef\xbb\xbfone\ntwo\n"
MIXED = b"one\r\ntwo\nthree\r\nfour"


def edited(before: bytes, old: str, new: str, *, every: bool | None = None) -> bytes | Rejected:
    return after_image(EditFile(path="f", edits=(Edit(old=old, new=new, all=every),)), before)


def patched(before: bytes, patch: str) -> bytes | Rejected:
    return after_image(PatchFile(path="f", patch=patch), before)


@pytest.mark.parametrize(
    ("before", "old", "new", "after"),
    [
        (CRLF, "two", "2a\n2b", b"one\r\n2a\r\n2b\r\nthree\r\n"),
        (CRLF, "one\ntwo\n", "1\n", b"1\r\nthree\r\n"),
        (CRLF, "one\r\ntwo\r\n", "1\n2\n", b"1\r\n2\r\nthree\r\n"),
        (b"one\ntwo\n", "one\r\ntwo", "1\r\n2", b"1\n2\n"),
        (MARKED, "one", "1", b"\xef\xbb\xbf1\ntwo\n"),
        (MARKED, "\ufeffone\ntwo", "1", b"\xef\xbb\xbf1\n"),
        (b"\xef\xbb\xbfone\r\ntwo\r\n", "one\n", "\ufeff1\n", b"\xef\xbb\xbf1\r\ntwo\r\n"),
        # Where lines end in both ways, a new one ends as the line does in which it begins.
        (MIXED, "one", "1\n2", b"1\r\n2\r\ntwo\nthree\r\nfour"),
        (MIXED, "two", "1\n2", b"one\r\n1\n2\nthree\r\nfour"),
        (MIXED, "four", "1\n2", b"one\r\ntwo\nthree\r\n1\r\n2"),
        (MIXED, "two\n", "2\r\n", b"one\r\n2\r\nthree\r\nfour"),
        (b"no end", "end", "a\r\nb", b"no a\r\nb"),
        (b"a\r\r\n", "a", "b\nc", b"b\r\r\nc\r\r\n"),
    ],
)
def test_an_edit_keeps_the_form_of_its_file(
    before: bytes, old: str, new: str, after: bytes
) -> None:
    assert edited(before, old, new) == after


def test_every_place_of_an_edit_gets_its_own_line_end() -> None:
    assert edited(b"x\r\nx\nx", "x", "a\nb", every=True) == b"a\r\nb\r\na\nb\na\nb"


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        (CRLF, "@@ -1,2 +1,3 @@\n one\n-two\n+2\n+2b\n", b"one\r\n2\r\n2b\r\nthree\r\n"),
        (CRLF, "@@ -2 +2 @@\r\n-two\r\n+2\r\n", b"one\r\n2\r\nthree\r\n"),
        (b"one\ntwo\n", "@@ -1 +1 @@\r\n-one\r\n+1\r\n", b"1\ntwo\n"),
        (MARKED, "@@ -1,2 +1 @@\n one\n-two\n", b"\xef\xbb\xbfone\n"),
        (MARKED, "\ufeff@@ -1 +1 @@\n-\ufeffone\n+1\n", b"\xef\xbb\xbf1\ntwo\n"),
        (
            b"\xef\xbb\xbfone\r\ntwo",
            "@@ -2 +2 @@\n-two\n\\ No newline at end of file\n+2\n",
            b"\xef\xbb\xbfone\r\n2\r\n",
        ),
    ],
)
def test_a_patch_keeps_the_form_of_its_file(before: bytes, patch: str, after: bytes) -> None:
    assert patched(before, patch) == after


def test_a_patch_of_a_file_with_both_line_ends_is_told_which_is_where() -> None:
    outcome = patched(MIXED, "@@ -1 +1 @@\n-one\n+1\n")
    assert isinstance(outcome, Rejected)
    assert outcome.message.endswith("it ends with CRLF, and there with LF")


def test_what_changes_the_form_alone_is_refused_with_the_way_to_do_it() -> None:
    for outcome in (
        edited(CRLF, "two\r\n", "two\n"),
        edited(MARKED, "\ufeffone", "one"),
        patched(CRLF, "@@ -2 +2 @@\n-two\r\n+two\n"),
    ):
        assert isinstance(outcome, Rejected)
        assert outcome.code is RejectCode.INVALID_VALUE
        assert "write the whole file" in outcome.message


@given(st.text("ab\r\n\ufeff", max_size=20))
def test_a_text_in_its_form_is_the_text_again(text: str) -> None:
    form = TextForm.of(text)
    assert form.written(form.plain(text)) == text
