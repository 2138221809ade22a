"""Globs against a reference that tries everything, and against hostile input."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from esaa_git.core.globs import MAX_PATTERN, Glob, GlobSet, overlaps, static_prefix
from tests.support.thoroughness import examples

ANY_TEXT = st.text(st.characters(exclude_categories=()))
COMPONENTS = st.lists(
    st.sampled_from(["a", "b", "*", "?", "[ab]", "[!a]", "[a-c]", "."]), min_size=1, max_size=4
).map("".join)
PATTERNS = st.lists(COMPONENTS | st.just("**"), min_size=1, max_size=4).map("/".join)
PATHS = st.lists(st.text("abc.", min_size=1, max_size=4), min_size=1, max_size=4).map("/".join)


def reference(pattern: list[str], path: list[str]) -> bool:
    """Match by trying every way of sharing out the components among the gaps."""
    if not pattern or not path:
        return not pattern and not path
    if pattern == ["**"]:
        return True
    if pattern[0] == "**":
        return any(reference(pattern[1:], path[at:]) for at in range(len(path)))
    return characters(pattern[0], path[0]) and reference(pattern[1:], path[1:])


def characters(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(characters(pattern[1:], text[at:]) for at in range(len(text) + 1))
    if not text:
        return False
    if pattern[0] == "[":
        inside, rest = pattern[1:].split("]", 1)
        members = inside.removeprefix("!").replace("a-c", "abc")
        return ((text[0] in members) != inside.startswith("!")) and characters(rest, text[1:])
    return pattern[0] in ("?", text[0]) and characters(pattern[1:], text[1:])


def parsed(pattern: str) -> Glob:
    try:
        return Glob.parse(pattern)
    except ValueError:
        assume(False)
        raise


@given(PATTERNS, PATHS)
@example("**/a/**/a/**", "a/b/a/b")
@example("a/**/**/b", "a/b")
@example("*?*", "a")
@settings(deadline=None, max_examples=examples(600))
def test_a_glob_matches_what_the_reference_matches(pattern: str, path: str) -> None:
    assert parsed(pattern).matches(path) is reference(pattern.split("/"), path.split("/"))


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("docs/**", ["docs/a", "docs/a/b/c"], ["docs", "docsx/a", "a/docs/b", "docs/", "Docs/a"]),
        ("*.md", ["a.md", ".md"], ["docs/a.md", "a.mdx"]),
        ("**/*.md", ["a.md", "docs/a.md", "a/b/c.md"], ["a.md/b", "md"]),
        ("**", ["a", "a/b", ".hidden/x"], ["", "/", "a/"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["a", "z", "az", "a/bz"]),
        ("**/a/**", ["a/b", "x/a/y"], ["a", "x/a", "b/c"]),
        ("*", ["a", ".gitignore", "a b"], ["a/b", ""]),
        ("a/*/c", ["a/b/c"], ["a/c", "a/b/b/c", "a//c"]),
        ("a?c", ["abc", "a.c", "a\ud800c"], ["ac", "a/c", "abbc"]),
        ("?", [".", "0", " ", "\U0010ffff"], ["/", "", "00"]),
        ("a b", ["a b"], ["ab"]),
        ("[!a]", ["b", "\n"], ["a", "/", "bb"]),
        ("[^a]", ["b", "^"], ["a"]),
        ("x[+-9]y", ["x+y", "x-y", "x5y"], ["x/y", "x:y"]),
        ("[]a]", ["]", "a"], ["[", "b"]),
        ("[!]a]", ["b"], ["]", "a"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[-a]", ["a", "-"], ["b"]),
        ("[[]x", ["[x"], ["x", "[[x"]),
        ("a[*]b", ["a*b"], ["axb", "ab"]),
        ("[&&~~||]", ["&", "~", "|"], ["a"]),
        ("a.b+(c)$", ["a.b+(c)$"], ["aXb+(c)$", "a.bb(c)$"]),
        ("über/*.ß", ["über/x.ß"], ["uber/x.ß"]),
    ],
)
def test_a_glob_matches_these_and_not_those(
    pattern: str, matching: list[str], others: list[str]
) -> None:
    glob = Glob.parse(pattern)
    assert [path for path in matching + others if glob.matches(path)] == matching


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("", "empty"),
        ("/a", "starts with '/'"),
        ("!a", "do not negate"),
        ("a/", "write 'a/**'"),
        ("a//b", "component ''"),
        ("./a", "component '.'"),
        ("a/../b", "component '..'"),
        ("a**", "must stand alone"),
        ("***", "must stand alone"),
        ("a/**b/c", "must stand alone"),
        ("a\\*", "backslash"),
        ("[a", "unclosed"),
        ("[]", "unclosed"),
        ("[!]", "unclosed"),
        ("a[b/c]", "unclosed"),
        ("[z-a]", "runs backwards"),
        ("[[:alpha:]]", "named class"),
        ("a\nb", "control character"),
        ("a\ud800", "lone surrogate"),
        ("e\u0301", "NFC"),
        ("[\x20-\U0010ffff]" + "a" * MAX_PATTERN, "longer than"),
    ],
)
def test_a_bad_pattern_is_refused_with_a_clear_message(pattern: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Glob.parse(pattern)


def test_a_pattern_may_be_as_long_as_the_limit() -> None:
    assert Glob.parse("a" * MAX_PATTERN).matches("a" * MAX_PATTERN)


@given(ANY_TEXT | st.text("ab*?[]!^-/.\\", max_size=12), PATHS)
@settings(deadline=None)
def test_any_string_is_a_glob_or_a_value_error(pattern: str, path: str) -> None:
    try:
        glob = Glob.parse(pattern)
    except ValueError:
        return
    assert glob.pattern == pattern
    assert isinstance(glob.matches(path), bool)


@given(COMPONENTS, ANY_TEXT)
@settings(deadline=None)
def test_a_pattern_of_one_component_never_crosses_a_slash(pattern: str, text: str) -> None:
    assume(pattern != "**")
    if parsed(pattern).matches(text):
        assert "/" not in text


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        pytest.param("*a" * 400 + "*b", "a" * 4000, id="many-stars"),
        pytest.param("*a?" * 300 + "b", "a" * 4000, id="stars-and-any"),
        pytest.param("*[ab]" * 190 + "c", "ab" * 2000, id="stars-and-sets"),
        pytest.param("**/a/" * 200 + "b", "a/" * 2000 + "a", id="many-double-stars"),
        pytest.param("**/*a*/" * 140 + "b", "aa/" * 1300 + "a", id="both"),
        pytest.param("**/" * 300 + "x", "a/" * 2000 + "a", id="double-stars-in-a-row"),
        pytest.param("**/" + "*/" * 400 + "x", "a/" * 2000 + "a", id="stars-as-components"),
        pytest.param("**/*a*a*a*a*a*a*a*a*b", "a" * 2000 + "/" + "a" * 2000, id="last-component"),
    ],
)
def test_no_pattern_makes_matching_backtrack(pattern: str, path: str) -> None:
    # A matcher that tries combinations would not come back from any of these.
    assert not Glob.parse(pattern).matches(path)


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        ("docs/api/**", "docs/api"),
        ("docs/*.md", "docs"),
        ("README.md", "README.md"),
        ("a/b/c", "a/b/c"),
        ("**/*.md", ""),
        ("*", ""),
        ("a/b?/c", "a"),
        ("a/[b]/c", "a"),
    ],
)
def test_the_static_prefix_is_what_is_plain_in_front(pattern: str, prefix: str) -> None:
    assert static_prefix(Glob.parse(pattern)) == prefix


@given(PATTERNS, PATHS)
@settings(deadline=None)
def test_whatever_matches_lies_at_or_below_the_static_prefix(pattern: str, path: str) -> None:
    glob = parsed(pattern)
    prefix = static_prefix(glob)
    if prefix and glob.matches(path):
        assert f"{path}/".startswith(f"{prefix}/")


@given(st.lists(PATTERNS, max_size=4), PATHS)
@settings(deadline=None)
def test_a_set_matches_what_any_of_its_globs_matches(patterns: list[str], path: str) -> None:
    globs = [parsed(pattern) for pattern in patterns]
    assert GlobSet(patterns).matches(path) is any(glob.matches(path) for glob in globs)


def test_an_empty_set_matches_nothing() -> None:
    assert not GlobSet([]).matches("a")
    assert not overlaps(GlobSet([]), GlobSet(["**"]))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("docs/**", "src/**", False),
        ("docs/**", "docs/api/**", True),
        ("docs/**", "docs", False),
        ("docs/*", "docs/*/*", False),
        ("**/*.md", "docs/**", True),
        ("**/*.md", "**/*.py", False),
        ("**/a", "a/**", True),
        ("*a", "b*", True),
        ("a*b", "b*", False),
        ("a*", "?b*c", True),
        ("[a-f]", "[g-z]", False),
        ("[a-f]", "[!a-e]", True),
        ("[!a]", "a", False),
        ("a/**/z", "a/*/y", False),
        ("a/**/z", "*/b/**/z", True),
        ("**/test_*.py", "**/*_test.py", True),
        ("src/*.py", "src/**/x/*.py", False),
        ("**", "x", True),
        ("?", "??", False),
        ("*", "**/a/b", False),
    ],
)
def test_two_sets_overlap_when_a_path_could_be_in_both(
    one: str, other: str, expected: bool
) -> None:
    assert overlaps(GlobSet([one]), GlobSet([other])) is expected
    assert overlaps(GlobSet([other]), GlobSet([one])) is expected
    assert overlaps(GlobSet(["un/related", one]), GlobSet([other, "else/where"])) is expected


@given(PATTERNS, PATTERNS, PATHS)
@settings(deadline=None, max_examples=examples(1000))
def test_sets_that_share_a_path_are_never_called_disjoint(one: str, other: str, path: str) -> None:
    if parsed(one).matches(path) and parsed(other).matches(path):
        assert overlaps(GlobSet([one]), GlobSet([other]))


def test_sets_are_called_overlapping_only_if_they_share_a_path() -> None:
    # Every pair of some small patterns, against every path long enough to be shared by one.
    parts = ["a", "b", "*", "?", "a*", "*b", "?b", "[!a]"]
    patterns = ["**", *parts]
    patterns += [f"{one}/{other}" for one in ["**", *parts] for other in ["**", *parts]]
    texts = ("".join(chars) for size in range(1, 6) for chars in product("abc/", repeat=size))
    paths = [text for text in texts if "" not in text.split("/")]
    members: dict[str, set[str]] = {}
    for pattern in patterns:
        members[pattern] = set(filter(Glob.parse(pattern).matches, paths))
        assert members[pattern]
    for one, other in product(patterns, repeat=2):
        shared = bool(members[one] & members[other])
        assert overlaps(GlobSet([one]), GlobSet([other])) is shared, (one, other)


def test_comparing_hostile_patterns_comes_back() -> None:
    one = "*a" * 256 + "b"
    other = "*?a" * 170 + "c"
    assert not overlaps(GlobSet([one]), GlobSet([other]))
