"""Three-way merges of one file, against what git itself makes of the same three versions."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esaa_git.ports.files import Conflict, FileEntry
from esaa_git.store.merge import HUNKS_LIMIT, GitMerger
from esaa_git.store.repository import Repository, open_repository
from tests.conftest import Git

LINES = b"".join(b"line %d\n" % number for number in range(1, 21))
TOP = b"top\n" + LINES
OTHER_TOP = b"other top\n" + LINES
BOTTOM = LINES + b"bottom\n"

Merge = Callable[..., FileEntry | Conflict]


@pytest.fixture
def repository(repo: Path) -> Repository:
    return open_repository(repo)


@pytest.fixture
def merge(repository: Repository) -> Merge:
    """Merge three contents, all of mode 100644 unless said otherwise."""

    def merge(
        base: bytes,
        ours: bytes,
        theirs: bytes,
        *,
        path: str = "src/a.txt",
        modes: tuple[str, str, str] = ("100644", "100644", "100644"),
    ) -> FileEntry | Conflict:
        entries = [
            FileEntry(mode, repository.put(3, content))
            for mode, content in zip(modes, (base, ours, theirs), strict=True)
        ]
        return GitMerger(repository).merge_file(path, *entries)

    return merge


def content(repository: Repository, merged: FileEntry | Conflict) -> bytes:
    assert isinstance(merged, FileEntry), merged
    return repository.read(merged.oid)[1]


def conflict(merged: FileEntry | Conflict) -> Conflict:
    assert isinstance(merged, Conflict), merged
    return merged


# ---- content --------------------------------------------------------------------------------


def test_changes_of_different_lines_are_both_taken(repository: Repository, merge: Merge) -> None:
    assert content(repository, merge(LINES, TOP, BOTTOM)) == b"top\n" + BOTTOM


def test_the_result_is_a_blob_that_git_finds(repo: Path, git: Git, merge: Merge) -> None:
    merged = merge(LINES, TOP, BOTTOM)

    assert isinstance(merged, FileEntry)
    assert git(repo, "cat-file", "blob", merged.oid) == ("top\n" + BOTTOM.decode()).rstrip("\n")


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "expected"),
    [
        (LINES, LINES, BOTTOM, BOTTOM),
        (LINES, TOP, LINES, TOP),
        (LINES, TOP, TOP, TOP),
        (b"a\0", b"a\0", b"b\0", b"b\0"),
        (b"a\0", b"b\0", b"b\0", b"b\0"),
    ],
    ids=["only theirs", "only ours", "the same change", "binary, only theirs", "binary, the same"],
)
def test_what_one_side_left_alone_is_taken_from_the_other(
    repository: Repository,
    merge: Merge,
    base: bytes,
    ours: bytes,
    theirs: bytes,
    expected: bytes,
) -> None:
    assert content(repository, merge(base, ours, theirs)) == expected


def test_bytes_that_are_no_utf8_are_merged_as_they_are(
    repository: Repository, merge: Merge
) -> None:
    merged = merge(LINES, b"\xe9\n" + LINES, LINES + b"\xff\n")

    assert content(repository, merged) == b"\xe9\n" + LINES + b"\xff\n"


def test_crlf_line_ends_survive(repository: Repository, merge: Merge) -> None:
    base, ours, theirs = (text.replace(b"\n", b"\r\n") for text in (LINES, TOP, BOTTOM))

    assert content(repository, merge(base, ours, theirs)) == b"top\r\n" + theirs


def test_a_last_line_without_an_end_is_merged(repository: Repository, merge: Merge) -> None:
    merged = merge(LINES, TOP, LINES + b"no end")

    assert content(repository, merged) == TOP + b"no end"


def test_a_conflict_carries_the_hunks_marked_with_branch_and_proposal(merge: Merge) -> None:
    found = conflict(merge(LINES, TOP, OTHER_TOP))

    assert found.path == "src/a.txt"
    assert found.reason == "the branch and the proposal changed the same lines"
    assert found.hunks == (
        "@@ line 1 of the branch's file @@\n"
        "<<<<<<< branch\n"
        "top\n"
        "=======\n"
        "other top\n"
        ">>>>>>> proposal\n"
    )


def test_each_hunk_names_its_line_in_the_file_of_the_branch(merge: Merge) -> None:
    ours = LINES.replace(b"line 3\n", b"x\ny\n").replace(b"line 15\n", b"z\n")
    theirs = LINES.replace(b"line 3\n", b"u\n").replace(b"line 15\n", b"v\n")

    lines = conflict(merge(LINES, ours, theirs)).hunks.split("\n")

    assert [line for line in lines if line.startswith("@@")] == [
        "@@ line 3 of the branch's file @@",
        "@@ line 16 of the branch's file @@",
    ]
    assert ours.split(b"\n")[15] == b"z"
    assert "line 10" not in lines


def test_a_conflict_in_a_file_of_crlf_lines_has_its_hunks(merge: Merge) -> None:
    base, ours, theirs = (text.replace(b"\n", b"\r\n") for text in (LINES, TOP, OTHER_TOP))

    hunks = conflict(merge(base, ours, theirs)).hunks

    assert hunks.partition("\n")[2] == (
        "<<<<<<< branch\ntop\r\n=======\nother top\r\n>>>>>>> proposal\n"
    )


def test_a_conflict_in_bytes_that_are_no_utf8_shows_which_bytes_differ(merge: Merge) -> None:
    hunks = conflict(merge(LINES, b"\xe9\n" + LINES, b"\xe8\n" + LINES)).hunks

    assert "\\xe9\n=======\n\\xe8\n" in hunks


def test_hunks_are_bounded_and_say_that_they_were_cut(merge: Merge) -> None:
    base = b"".join(b"%d\nsame\nsame\nsame\n" % number for number in range(300))
    ours, theirs = base.replace(b"1", b"branch"), base.replace(b"1", b"proposal")

    hunks = conflict(merge(base, ours, theirs)).hunks

    assert HUNKS_LIMIT - 100 < len(hunks) <= HUNKS_LIMIT
    assert hunks.startswith("@@ line")
    assert hunks.splitlines()[-1].startswith("[cut here; conflicting hunks in all: ")


def test_one_long_line_is_bounded_too(merge: Merge) -> None:
    hunks = conflict(merge(b"a\n", b"b" * 50_000 + b"\n", b"c" * 50_000 + b"\n")).hunks

    assert len(hunks) <= HUNKS_LIMIT
    assert hunks.splitlines()[-1] == "[cut here; conflicting hunks in all: 1]"


def test_a_binary_file_that_both_changed_is_a_conflict(merge: Merge) -> None:
    found = conflict(merge(LINES + b"\0", TOP + b"\0", b"\0" + BOTTOM))

    assert "binary" in found.reason
    assert found.hunks == ""


def test_a_text_file_that_one_side_made_binary_is_a_conflict(merge: Merge) -> None:
    assert "binary" in conflict(merge(LINES, TOP, BOTTOM + b"\0")).reason


def test_a_nul_beyond_where_git_looks_for_one_leaves_it_a_text(
    repository: Repository, merge: Merge
) -> None:
    base = b"".join(b"line %d\n" % number for number in range(1000)) + b"\0\nlast\n"

    assert content(repository, merge(base, b"top\n" + base, base + b"end\n")) == (
        b"top\n" + base + b"end\n"
    )
    ours, theirs = base.replace(b"last", b"ours"), base.replace(b"last", b"theirs")
    assert "ours\n=======\ntheirs\n" in conflict(merge(base, ours, theirs)).hunks


# ---- mode -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        (("100644", "100755", "100644"), "100755"),
        (("100644", "100644", "100755"), "100755"),
        (("100755", "100644", "100755"), "100644"),
        (("100755", "100644", "100644"), "100644"),
    ],
)
def test_a_mode_that_one_side_changed_is_taken(
    merge: Merge, modes: tuple[str, str, str], expected: str
) -> None:
    merged = merge(LINES, TOP, BOTTOM, modes=modes)

    assert isinstance(merged, FileEntry)
    assert merged.mode == expected


def test_modes_that_both_sides_changed_differently_are_a_conflict(merge: Merge) -> None:
    found = conflict(merge(LINES, TOP, BOTTOM, modes=("100644", "100755", "120000")))

    assert "100755" in found.reason
    assert "120000" in found.reason


# ---- attributes -----------------------------------------------------------------------------


def attributes(repo: Path, text: str) -> None:
    (repo / ".gitattributes").write_text(text)


@pytest.mark.parametrize("attribute", ["-merge", "merge=binary", "binary"])
def test_a_file_that_is_never_to_be_merged_is_a_conflict(
    repo: Path, merge: Merge, attribute: str
) -> None:
    assert isinstance(merge(LINES, TOP, BOTTOM), FileEntry)
    attributes(repo, f"*.txt {attribute}\n")

    assert "attributes" in conflict(merge(LINES, TOP, BOTTOM)).reason


def test_what_one_side_left_alone_needs_no_merge_driver(
    repo: Path, repository: Repository, merge: Merge
) -> None:
    attributes(repo, "*.txt -merge\n")

    assert content(repository, merge(LINES, LINES, BOTTOM)) == BOTTOM


def test_union_takes_the_lines_of_both_sides(
    repo: Path, repository: Repository, merge: Merge
) -> None:
    attributes(repo, "src/* merge=union\n")

    assert content(repository, merge(LINES, TOP, OTHER_TOP)) == b"top\nother top\n" + LINES
    conflict(merge(LINES, TOP, OTHER_TOP, path="elsewhere/a.txt"))


def test_a_union_of_binary_files_is_a_conflict(repo: Path, merge: Merge) -> None:
    attributes(repo, "* merge=union\n")

    assert "binary" in conflict(merge(LINES + b"\0", TOP + b"\0", BOTTOM + b"\0")).reason


def test_the_default_driver_of_the_configuration_counts(
    repo: Path, git: Git, merge: Merge, repository: Repository
) -> None:
    git(repo, "config", "merge.default", "union")
    assert content(repository, merge(LINES, TOP, OTHER_TOP)) == b"top\nother top\n" + LINES

    git(repo, "config", "merge.default", "binary")
    assert "attributes" in conflict(merge(LINES, TOP, BOTTOM)).reason


def test_a_driver_that_is_a_program_is_not_run_and_named(
    repo: Path, git: Git, merge: Merge, tmp_path: Path
) -> None:
    attributes(repo, "*.lock merge=relock\n")
    assert isinstance(merge(LINES, TOP, BOTTOM, path="a.lock"), FileEntry)

    git(repo, "config", "merge.relock.driver", f"touch {tmp_path}/ran; exit 0")

    assert "'relock'" in conflict(merge(LINES, TOP, BOTTOM, path="a.lock")).reason
    assert not (tmp_path / "ran").exists()


def test_a_bare_repository_merges(repo: Path, git: Git, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(repo), "bare.git")
    repository = open_repository(tmp_path / "bare.git")
    entries = [FileEntry("100644", repository.put(3, text)) for text in (LINES, TOP, BOTTOM)]

    merged = GitMerger(repository).merge_file("a.txt", *entries)

    assert content(repository, merged) == b"top\n" + BOTTOM


# ---- the same as git ------------------------------------------------------------------------

EDITED = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"d\n"]), max_size=7).map(b"".join)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(base=EDITED, ours=EDITED, theirs=EDITED)
def test_merges_what_git_merge_file_merges(
    tmp_path: Path, repository: Repository, merge: Merge, base: bytes, ours: bytes, theirs: bytes
) -> None:
    for name, text in {"base": base, "branch": ours, "proposal": theirs}.items():
        (tmp_path / name).write_bytes(text)
    by_git = subprocess.run(
        ["git", "merge-file", "-p", "branch", "base", "proposal"], cwd=tmp_path, capture_output=True
    )

    merged = merge(base, ours, theirs)

    if by_git.returncode:
        hunks = [hunk.partition("\n")[2] for hunk in conflict(merged).hunks.split("@@ line")[1:]]
        assert len(hunks) == by_git.returncode
        assert all(hunk in by_git.stdout.decode() for hunk in hunks)
    else:
        assert content(repository, merged) == by_git.stdout


# ---- renames --------------------------------------------------------------------------------


def commit(repo: Path, git: Git) -> str:
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "Change", "--allow-empty")
    return git(repo, "rev-parse", "HEAD")


@pytest.fixture
def renamed(repo: Path, git: Git) -> tuple[str, str]:
    """Two commits: `old name.txt` goes to `ü/new.txt` with a third of it rewritten, and
    `other.txt` goes away."""
    (repo / "old name.txt").write_bytes(LINES)
    (repo / "other.txt").write_bytes(b"".join(b"other %d\n" % number for number in range(20)))
    (repo / "stays.txt").write_bytes(b"stays\n")
    base = commit(repo, git)
    (repo / "ü").mkdir()
    git(repo, "mv", "old name.txt", "ü/new.txt")
    kept = b"".join(LINES.splitlines(keepends=True)[6:])
    (repo / "ü" / "new.txt").write_bytes(b"rewritten\n" * 6 + kept)
    (repo / "other.txt").unlink()
    (repo / "unlike.txt").write_bytes(b"nothing in common\n" * 20)
    return base, commit(repo, git)


def test_a_renamed_and_edited_file_is_followed(
    repository: Repository, renamed: tuple[str, str]
) -> None:
    assert GitMerger(repository).renamed_to(*renamed, "old name.txt") == "ü/new.txt"


@pytest.mark.parametrize("path", ["other.txt", "stays.txt", "unlike.txt", "never.txt", "ü/new.txt"])
def test_a_file_that_was_not_renamed_went_nowhere(
    repository: Repository, renamed: tuple[str, str], path: str
) -> None:
    assert GitMerger(repository).renamed_to(*renamed, path) is None


def test_between_a_commit_and_itself_nothing_moves(
    repository: Repository, renamed: tuple[str, str]
) -> None:
    base, _ = renamed

    assert GitMerger(repository).renamed_to(base, base, "old name.txt") is None


def test_several_renames_are_told_apart(repo: Path, git: Git, repository: Repository) -> None:
    for name in "abc":
        (repo / name).write_bytes(LINES.replace(b"line", name.encode() * 4))
    base = commit(repo, git)
    for name in "abc":
        git(repo, "mv", name, f"moved-{name}")
    tip = commit(repo, git)

    merger = GitMerger(repository)

    assert [merger.renamed_to(base, tip, name) for name in "abc"] == [
        "moved-a",
        "moved-b",
        "moved-c",
    ]


def test_renames_are_found_without_a_checkout(
    repo: Path, git: Git, tmp_path: Path, renamed: tuple[str, str]
) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(repo), "bare.git")
    repository = open_repository(tmp_path / "bare.git")

    assert GitMerger(repository).renamed_to(*renamed, "old name.txt") == "ü/new.txt"
