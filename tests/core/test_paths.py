"""Every trick with a path that we know of, by name, and the laws that hold for any string."""

from __future__ import annotations

import json
from collections.abc import Sequence
from unicodedata import normalize

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from esaa_git.core import paths as module
from esaa_git.core.globs import Glob
from esaa_git.core.paths import (
    ALWAYS_PROTECTED,
    case_key,
    check_path_set,
    check_tree,
    is_protected,
    normalise_path,
)
from esaa_git.core.rejection import RejectCode, Rejected, excerpt

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
ASCII_UPPER = {ord(lower): ord(lower) - 32 for lower in "abcdefghijklmnopqrstuvwxyz"}
# Strings that come near to what is refused, far more often than random ones would.
NEAR_PATHS = st.lists(
    st.sampled_from([*"abGit.:~/\\ 12", ".git", "git~1", "\u200c", "\u0301", "é", "\x00", "con"]),
    max_size=12,
).map("".join)


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "README.md",
        "src/deeply/nested/file.py",
        ".gitignore",
        ".gitattributes",
        "sub/.gitignore",
        ".github/workflows/ci.yml",
        ".gitlab-ci.yml",
        "git",
        "foo.git/config",
        "a.git",
        ".gitx",
        ".gi",
        "..a",
        "...a",
        "a..b",
        ".hidden",
        "-rf",
        "with space/and more.txt",
        " leading",
        "console.log",
        "com10",
        "com/lpt/aux1",
        "nullable.py",
        "backup~",
        "file.c.~1~",
        "a-name-longer-than-eight~1",
        "über/straße.txt",
        "日本語/ファイル.txt",
        "emoji-🎉.md",
        "हिन्दी.txt",
        "a" * 255,
        "é" * 127,
        "x" + "/".join(["abc"] * 1024),
    ],
)
def test_an_ordinary_path_is_returned_as_it_is(path: str) -> None:
    assert normalise_path(path) == path


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        pytest.param("", "empty", id="empty"),
        pytest.param("/", "absolute", id="root"),
        pytest.param("/etc/passwd", "absolute", id="absolute"),
        pytest.param("\\windows", "absolute", id="absolute-with-a-backslash"),
        pytest.param("//server/share/x", "unc", id="unc-with-slashes"),
        pytest.param("\\\\server\\share", "unc", id="unc"),
        pytest.param("\\\\?\\C:\\x", "unc", id="windows-device-namespace"),
        pytest.param("C:/x", "drive-letter", id="drive-letter"),
        pytest.param("c:x", "drive-letter", id="drive-relative"),
        pytest.param("a\\b", "backslash", id="backslash"),
        pytest.param("..\\a", "backslash", id="backslash-traversal"),
        pytest.param(".", "dot-component", id="dot"),
        pytest.param("..", "dot-component", id="dot-dot"),
        pytest.param("../a", "dot-component", id="traversal"),
        pytest.param("a/../../b", "dot-component", id="traversal-inside"),
        pytest.param("a/./b", "dot-component", id="dot-inside"),
        pytest.param("./a", "dot-component", id="dot-in-front"),
        pytest.param("a//b", "empty-component", id="empty-component"),
        pytest.param("a/", "trailing-slash", id="trailing-slash"),
        pytest.param("a\x00b", "control-character", id="nul"),
        pytest.param("a.md\x00.png", "control-character", id="nul-that-truncates"),
        pytest.param("a\nb", "control-character", id="line-feed"),
        pytest.param("a\tb", "control-character", id="tab"),
        pytest.param("a\x1b[2Kb", "control-character", id="terminal-escape"),
        pytest.param("a\x7f", "control-character", id="delete"),
        pytest.param("é\x85", "control-character", id="c1-control"),
        pytest.param("a\u2028b", "line-separator", id="line-separator"),
        pytest.param("a\u2029b", "line-separator", id="paragraph-separator"),
        pytest.param("a\ud800", "surrogate", id="lone-surrogate"),
        pytest.param("\udc2f/a", "surrogate", id="surrogate-escape"),
        pytest.param("a" * 256, "component-too-long", id="component-of-256-bytes"),
        pytest.param("é" * 128, "component-too-long", id="component-of-128-characters"),
        pytest.param("abc/" * 1024 + "a", "too-long", id="path-of-4097-bytes"),
        pytest.param("é/" * 1500, "too-long", id="path-of-3000-characters"),
        pytest.param("ab:c", "colon", id="ntfs-stream"),
        pytest.param("file.txt::$DATA", "colon", id="ntfs-default-stream"),
        pytest.param(":a", "colon", id="colon-first"),
        pytest.param(":", "colon", id="colon-alone"),
        pytest.param("CON", "device-name", id="con"),
        pytest.param("con.txt", "device-name", id="con-with-extension"),
        pytest.param("a/PRN/b", "device-name", id="prn-directory"),
        pytest.param("aux.tar.gz", "device-name", id="aux-with-two-extensions"),
        pytest.param("Nul", "device-name", id="nul-device"),
        pytest.param("nul .txt", "device-name", id="device-and-space"),
        pytest.param("com1", "device-name", id="com1"),
        pytest.param("COM9.log", "device-name", id="com9"),
        pytest.param("com¹", "device-name", id="com-superscript"),
        pytest.param("lpt0", "device-name", id="lpt0"),
        pytest.param("conin$", "device-name", id="conin"),
        pytest.param("a.", "trailing-dot-or-space", id="trailing-dot"),
        pytest.param("a ", "trailing-dot-or-space", id="trailing-space"),
        pytest.param("docs./a", "trailing-dot-or-space", id="directory-with-trailing-dot"),
        pytest.param(".../a", "trailing-dot-or-space", id="three-dots"),
        pytest.param(".. /a", "trailing-dot-or-space", id="dot-dot-space"),
        pytest.param("ROADMA~1/plan.yaml", "short-name", id="short-name-of-roadmap"),
        pytest.param("roadma~1", "short-name", id="short-name-in-lower-case"),
        pytest.param("ESAA~1/x", "short-name", id="short-name-of-esaa"),
        pytest.param("RO1A2B~5/x", "short-name", id="hashed-short-name"),
        pytest.param("a/LONGNA~2.TXT", "short-name", id="short-name-with-extension"),
        pytest.param("e\u0301", "not-nfc", id="nfd"),
        pytest.param("\u212b", "not-nfc", id="singleton"),
        pytest.param("a\u200cb", "ignorable-character", id="zero-width-non-joiner"),
        pytest.param("a\u200db", "ignorable-character", id="zero-width-joiner"),
        pytest.param("a\u200bb", "ignorable-character", id="zero-width-space"),
        pytest.param("a\u2060b", "ignorable-character", id="word-joiner"),
        pytest.param("a\u200eb", "ignorable-character", id="left-to-right-mark"),
        pytest.param("a\u202eb", "ignorable-character", id="right-to-left-override"),
        pytest.param("a\u2066b", "ignorable-character", id="isolate"),
        pytest.param("a\u206ab", "ignorable-character", id="symmetric-swapping"),
        pytest.param("\ufeffa", "ignorable-character", id="byte-order-mark"),
        pytest.param("a\xadb", "ignorable-character", id="soft-hyphen"),
        pytest.param("a\ufe0f", "ignorable-character", id="variation-selector"),
        pytest.param("a\U000e0100", "ignorable-character", id="variation-selector-17"),
        pytest.param("a\U000e0041", "ignorable-character", id="tag"),
        pytest.param("a\u3164b", "ignorable-character", id="hangul-filler"),
        pytest.param("a\u034fb", "ignorable-character", id="grapheme-joiner"),
        pytest.param("a\uf03ab", "unassigned-character", id="private-use-colon-of-cygwin"),
        pytest.param("a\uffffb", "unassigned-character", id="noncharacter"),
    ],
)
def test_a_trick_is_refused_with_its_reason(path: str, reason: str) -> None:
    refused = normalise_path(path)
    assert isinstance(refused, Rejected)
    assert refused.code is RejectCode.PATH_INVALID
    assert refused.detail["reason"] == reason
    assert refused.message.isprintable()


@pytest.mark.parametrize(
    "spelling",
    [
        pytest.param(".git", id="plain"),
        pytest.param(".GIT", id="upper-case"),
        pytest.param(".gIt", id="mixed-case"),
        pytest.param("git~1", id="short-name"),
        pytest.param("GIT~1", id="short-name-in-upper-case"),
        pytest.param("git~2", id="second-short-name"),
        pytest.param("git~9", id="ninth-short-name"),
        pytest.param("git~12", id="twelfth-short-name"),
        pytest.param(".git.", id="trailing-dot"),
        pytest.param(".git ", id="trailing-space"),
        pytest.param(".git . . .", id="trailing-dots-and-spaces"),
        pytest.param("git~1.", id="short-name-with-trailing-dot"),
        pytest.param(".git::$INDEX_ALLOCATION", id="directory-stream"),
        pytest.param(".git:$I30:$INDEX_ALLOCATION", id="index-stream"),
        pytest.param(".GIT. ::$INDEX_ALLOCATION", id="stream-after-dot-and-space"),
        pytest.param("git~1::$INDEX_ALLOCATION", id="stream-of-the-short-name"),
        pytest.param(".g\u200cit", id="hfs-zero-width-non-joiner"),
        pytest.param("\u200d.git", id="hfs-zero-width-joiner-first"),
        pytest.param(".git\ufeff", id="hfs-byte-order-mark-last"),
        pytest.param(".gi\u202et", id="hfs-direction-override"),
        pytest.param(".G\u206fI\u200et", id="hfs-case-and-two-marks"),
        pytest.param(".g\xadit", id="soft-hyphen"),
        pytest.param(".g\ufe0fit", id="variation-selector"),
        pytest.param(".ｇｉｔ", id="fullwidth"),
        pytest.param("․git", id="one-dot-leader"),
        pytest.param(".gitmodules", id="modules"),
        pytest.param(".GitModules", id="modules-mixed-case"),
        pytest.param(".gitmoduleſ", id="modules-long-s"),
        pytest.param(".gitmodules . ", id="modules-dots-and-spaces"),
        pytest.param(".gitmodules::$DATA", id="modules-stream"),
        pytest.param(".git\u200cmodules", id="modules-hfs"),
        pytest.param("gitmod~1", id="modules-short-name"),
        pytest.param("GITMOD~4", id="modules-fourth-short-name"),
        pytest.param("gitmod~1 .", id="modules-short-name-dots"),
        pytest.param("gi7eba~1", id="modules-hashed-short-name"),
        pytest.param("GI7EBA~9", id="modules-hashed-short-name-upper-case"),
        pytest.param("gi7eb~10", id="modules-hashed-two-digits"),
        pytest.param("gi7e~123", id="modules-hashed-three-digits"),
        pytest.param("gi7~1000", id="modules-hashed-four-digits"),
        pytest.param("gi~10000", id="modules-hashed-five-digits"),
        pytest.param("g~100000", id="modules-hashed-six-digits"),
        pytest.param("~1000000", id="modules-hashed-seven-digits"),
    ],
)
@pytest.mark.parametrize("place", ["{}", "{}/config", "sub/{}", "a/b/{}/hooks/c", "a\\{}", "/{}"])
def test_no_spelling_of_git_passes_at_any_place(spelling: str, place: str) -> None:
    refused = normalise_path(place.format(spelling))
    assert isinstance(refused, Rejected)
    assert refused.code is RejectCode.PATH_PROTECTED
    assert refused.detail["component"]


@pytest.mark.parametrize(
    "ignored", [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF]
)
def test_what_git_knows_hfs_to_ignore_disguises_nothing(ignored: int) -> None:
    refused = normalise_path(f".gi{chr(ignored)}t/config")
    assert isinstance(refused, Rejected)
    assert refused.code is RejectCode.PATH_PROTECTED


def test_a_refused_path_is_quoted_short_and_printable() -> None:
    refused = normalise_path("\x1b]0;" + "x" * 3000)
    assert isinstance(refused, Rejected)
    assert len(refused.message) < 400
    assert len(refused.detail["path"]) == 200
    assert refused.detail["path"].isprintable()


def test_a_path_of_a_million_combining_characters_is_refused_before_it_is_normalised() -> None:
    # Normalising this much takes hours: the test fails by not coming back.
    refused = normalise_path("\u0301\u0316" * 500_000)
    assert isinstance(refused, Rejected)
    assert refused.detail["reason"] == "too-long"


@given(ANY_TEXT | NEAR_PATHS)
@example("\ud800")
@example("a" * 5000)
@settings(deadline=None)
def test_any_string_is_passed_unchanged_or_refused_with_something_storable(raw: str) -> None:
    outcome = normalise_path(raw)
    if isinstance(outcome, Rejected):
        assert outcome.code in (RejectCode.PATH_INVALID, RejectCode.PATH_PROTECTED)
        assert outcome.message.isprintable()
        json.dumps(outcome.detail, ensure_ascii=False).encode("utf-8")
    else:
        assert outcome == raw


@given(NEAR_PATHS)
@settings(deadline=None)
def test_what_passes_cannot_leave_the_repository_or_reach_git(raw: str) -> None:
    outcome = normalise_path(raw)
    if isinstance(outcome, str):
        parts = outcome.split("/")
        assert not {"", ".", "..", ".git"} & {part.lower() for part in parts}
        assert not {"\\", ":", "\x00"} & set(outcome)
        assert all(part == part.rstrip(" .") for part in parts)


@given(NEAR_PATHS, NEAR_PATHS)
@settings(deadline=None)
def test_a_path_passes_only_if_every_part_of_it_would(one: str, other: str) -> None:
    if isinstance(normalise_path(f"{one}/{other}"), str):
        assert normalise_path(one) == one
        assert normalise_path(other) == other


@pytest.mark.parametrize(
    "path",
    [
        ".roadmap/plan.yaml",
        ".roadmap/deep/down/x",
        ".roadmap",
        ".Roadmap/x",
        ".ROADMAP",
        ".esaa/hooks/x",
        ".eſaa/x",
        ".ESAA",
    ],
)
def test_what_is_the_orchestrators_is_protected_without_being_listed(path: str) -> None:
    assert is_protected(path, [])


@pytest.mark.parametrize("path", ["roadmap/x", "sub/.roadmap/x", ".roadmapx", ".esaa2/x", "a"])
def test_what_only_resembles_it_is_not(path: str) -> None:
    assert not is_protected(path, [])


@pytest.mark.parametrize(
    ("pattern", "path", "protected"),
    [
        ("hooks/**", "hooks/pre-receive", True),
        ("hooks/**", "Hooks/Pre-receive", True),
        ("Hooks/**", "hooks/x", True),
        ("hooks/**", "hooks", True),
        ("hooks/**", "hooks2/x", False),
        ("hooks/**/**", "hooks", True),
        ("CODEOWNERS", "codeowners", True),
        ("CODEOWNERS", "CODEOWNERS/x", True),
        ("CODEOWNERS", "docs/CODEOWNERS", False),
        ("**/*.lock", "a/b/Poetry.LOCK", True),
        ("**/*.lock", "a.lock/b", True),
        ("**/*.lock", "a.lockb", False),
        ("straße/*", "STRASSE/x", True),
        ("STRASSE/*", "straße/x", True),
        ("É/**", "é/x", True),
        ("[Z-a]", "Z", True),
        ("[Z-a]", "z", True),
        ("a/b/**", "A/b/c/d", True),
        ("[A-Z]x", "bX", True),
        ("**", "anything/at/all", True),
    ],
)
def test_a_protected_glob_holds_in_any_case_and_at_both_ends(
    pattern: str, path: str, protected: bool
) -> None:
    assert is_protected(path, [Glob.parse(pattern)]) is protected


def test_the_constant_is_made_of_globs() -> None:
    assert [Glob.parse(each).pattern for each in ALWAYS_PROTECTED] == [".roadmap/**", ".esaa/**"]


@given(ANY_TEXT)
def test_a_case_key_is_stable_and_blind_to_case_and_composition(path: str) -> None:
    key = case_key(path)
    assert case_key(key) == key
    assert case_key(path.translate(ASCII_UPPER)) == key
    assert case_key(normalize("NFD", path)) == key


@pytest.mark.parametrize(
    "paths",
    [
        [],
        ["a"],
        ["a", "b", "a.b", "a-b", "ab"],
        ["docs/a", "docs/b", "docs.md", "docs-2/a"],
        ["a/b", "a/c/b", "b/a"],
        ["Docs/a", "docs/b"],
    ],
)
def test_paths_that_stand_side_by_side_are_fine(paths: list[str]) -> None:
    assert check_path_set(paths) is None


@pytest.mark.parametrize(
    ("paths", "reason", "named"),
    [
        (["a", "b", "a"], "same-path", {"a"}),
        (["README.md", "x", "readme.md"], "same-but-for-case", {"README.md", "readme.md"}),
        (["straße", "STRASSE"], "same-but-for-case", {"straße", "STRASSE"}),
        (["\u00e9", "e\u0301"], "same-but-for-case", {"\u00e9", "e\u0301"}),
        (["a/b", "a"], "file-and-directory", {"a", "a/b"}),
        (["a", "a.b", "a-b", "a/b/c"], "file-and-directory", {"a", "a/b/c"}),
        (["A", "a/b"], "file-and-directory", {"A", "a/b"}),
        (["x/y/z", "X/Y"], "file-and-directory", {"X/Y", "x/y/z"}),
    ],
)
def test_paths_that_collide_are_refused(paths: list[str], reason: str, named: set[str]) -> None:
    refused = check_path_set(paths)
    assert refused is not None
    assert refused.code is RejectCode.DUPLICATE_PATH
    assert refused.detail["reason"] == reason
    assert set(refused.detail["paths"]) == named


SMALL_PATHS = st.lists(st.lists(st.sampled_from("aAbß"), min_size=1).map("/".join), max_size=5)


@given(SMALL_PATHS)
def test_a_collision_is_found_wherever_it_is(paths: list[str]) -> None:
    keys = [case_key(path) for path in paths]
    colliding = any(
        one == other or other.startswith(one + "/")
        for at, one in enumerate(keys)
        for other in keys[:at] + keys[at + 1 :]
    )
    assert (check_path_set(paths) is not None) is colliding


def test_all_pairs_of_a_proposal_that_collide_are_told_at_once() -> None:
    found = check_path_set(["a", "A", "b/c", "b", "fine"])
    assert found is not None
    assert found.detail["count"] == 2
    assert found.detail["collisions"] == [
        {"path": "A", "with": "a"},
        {"path": "b", "with": "b/c"},
    ]


# -- against the tree that would result ---------------------------------------------------------


def against(
    tree: Sequence[str], *, adds: Sequence[str] = (), removes: Sequence[str] = ()
) -> set[tuple[str, str]]:
    """Return the pairs that collide where a proposal changes a tree of these paths."""
    asked: list[str] = []
    after = (set(tree) - set(removes)) | set(adds)

    def names(folder: str) -> set[str]:
        asked.append(folder)
        start = f"{folder}/" if folder else ""
        return {path[len(start) :].split("/")[0] for path in tree if path.startswith(start)}

    def remains(path: str) -> bool:
        return any(other == path or other.startswith(f"{path}/") for other in after)

    found = check_tree(adds, names, remains)
    assert len(asked) == len(set(asked)), "a folder was read twice"
    if found is None:
        return set()
    assert found.code == RejectCode.DUPLICATE_PATH
    assert found.detail["count"] == len(found.detail["collisions"])
    return {(one["path"], one["with"]) for one in found.detail["collisions"]}


@pytest.mark.parametrize(
    ("there", "new"),
    [
        ("README.md", "readme.md"),
        ("src/Main.py", "src/main.py"),
        ("cafe\u0301.txt", "caf\u00e9.txt"),  # decomposed, composed
        ("\u1e9e.txt", "ss.txt"),
        ("straße", "STRASSE"),
        ("\u017ftart", "start"),  # a long s
        ("\u212a", "k"),  # the sign of kelvin
        ("\u0130", "i\u0307"),  # a capital with a dot, and a small letter with a second one
        ("re\u200badme", "readme"),  # HFS+ and ext4 pass over it
        ("re\u00adadme", "readme"),
        ("readme.", "readme"),  # Windows drops what is at the end
        ("readme ", "README"),
        ("\ufb01le", "file"),  # a ligature
    ],
)
def test_a_new_name_that_another_one_has_already_is_refused(there: str, new: str) -> None:
    shown = excerpt(there)
    assert against([there, "x"], adds=[new]) == {(new, shown)}
    assert against([f"a/b/{there}"], adds=[f"a/b/{new}"]) == {(f"a/b/{new}", f"a/b/{shown}")}
    # As folders, whichever of the two is one.
    assert against([f"{there}/x"], adds=[f"{new}/y"]) == {(f"{new}/y", shown)}
    assert against([f"{there}/x"], adds=[new]) == {(new, shown)}
    assert against([there], adds=[f"{new}/y"]) == {(f"{new}/y", shown)}


def test_what_is_there_stays_usable_and_a_third_of_the_name_is_refused() -> None:
    tree = ["README.md", "readme.md", "Docs/a", "docs/a"]
    assert against(tree, adds=["README.md", "readme.md", "Docs/b", "docs/c"]) == set()
    assert against(tree, adds=["ReadMe.md"]) == {
        ("ReadMe.md", "README.md"),
        ("ReadMe.md", "readme.md"),
    }


def test_a_rename_by_case_is_no_collision() -> None:
    assert against(["README.md"], adds=["readme.md"], removes=["README.md"]) == set()
    assert against(["Docs/a"], adds=["docs/a"], removes=["Docs/a"]) == set()
    # Unless something of the folder stays where it was, or comes into it.
    stays = against(["Docs/a", "Docs/b"], adds=["docs/a"], removes=["Docs/a"])
    comes = against(["Docs/a"], adds=["docs/a", "Docs/c"], removes=["Docs/a"])
    assert stays == comes == {("docs/a", "Docs")}


def test_folders_that_one_proposal_spells_in_two_ways_are_refused() -> None:
    assert against([], adds=["Dir/a", "dir/b"]) == {("dir/b", "Dir")}
    assert against(["x/y"], adds=["x/New/a", "x/new/b"]) == {("x/new/b", "x/New")}


def test_all_collisions_are_told_at_once() -> None:
    tree = ["A", "b/C", "d/E/f"]
    adds = ["a", "b/c", "d/e/g", "fine"]
    assert against(tree, adds=adds) == {("a", "A"), ("b/c", "b/C"), ("d/e/g", "d/E")}


def test_a_folder_without_a_new_name_is_not_looked_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys: list[str] = []
    key = module._tree_key

    def counted(name: str) -> str:
        keys.append(name)
        return key(name)

    monkeypatch.setattr(module, "_tree_key", counted)
    tree = [f"src/{number}.py" for number in range(50)]
    assert against(tree, adds=["src/7.py"]) == set()
    assert keys == []
    assert against(tree, adds=["src/new.py"]) == set()
    assert len(keys) == 51
