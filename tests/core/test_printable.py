"""What strangers wrote, fit for a terminal and for the log."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from esaa_git.core.printable import printable, printable_output, visible


@given(st.text())
def test_visible_text_cannot_move_a_cursor_or_turn_the_writing(text: str) -> None:
    assert all(char.isprintable() or char == "\n" for char in visible(text))


# They count as printable and show nothing; the first and the last of each range.
UNSEEN = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\ufe00\ufe0e\uffa0\U000e0100\U000e01ef"


def _is_ordinary(text: str) -> bool:
    return text.isprintable() and not any(
        char in UNSEEN or "\ufe00" <= char <= "\ufe0e" or "\U000e0100" <= char <= "\U000e01ef"
        for char in text
    )


@given(st.text().filter(_is_ordinary))
def test_visible_leaves_ordinary_text_alone(text: str) -> None:
    assert visible(text) == text


def test_visible_shows_what_counts_as_printable_and_is_not_seen() -> None:
    assert UNSEEN.isprintable()
    assert visible(UNSEEN).isascii()
    assert visible("\u2764\ufe0f") == "\u2764\ufe0f"


def test_visible_shows_what_it_took_the_power_from() -> None:
    assert visible("a\x1b[31m\rb\u202ec\ud800") == "a\\x1b[31m\\rb\\u202ec\\ud800"


@given(st.text())
def test_visible_text_on_one_line_has_no_line_feed_either(text: str) -> None:
    assert visible(text, keep="").isprintable()


@given(st.text())
def test_printable_text_keeps_its_lines_and_nothing_else_that_does_not_print(text: str) -> None:
    stored = printable(text)

    assert all(char.isprintable() or char in "\n\t" for char in stored)
    assert printable(stored) == stored


def test_printable_text_has_line_feeds_for_the_line_ends_of_other_systems() -> None:
    assert printable("one\r\ntwo\rthree\tfour\x1b") == "one\ntwo\ufffdthree\tfour\ufffd"


def test_an_output_that_begins_in_the_middle_of_a_character_loses_the_rest_of_it() -> None:
    assert printable_output("é".encode()[1:] + b"ok\xff") == "ok\ufffd"
