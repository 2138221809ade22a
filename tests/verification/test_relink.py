"""What counts as the same change, next to what git-patch-id(1) says."""

from __future__ import annotations

from pathlib import Path

import pytest

from esaa_git.store.repository import Repository, open_repository
from esaa_git.verification.carrier import patch_id
from tests.conftest import Git, GitFailed

LINES = "".join(f"line {number}\n" for number in range(30))
CHANGED = LINES.replace("line 20\n", "line twenty\n")

# name: (before, after) of the one side and of the other
PAIRS = {
    "the same": ((LINES, CHANGED), (LINES, CHANGED)),
    "moved by lines above": ((LINES, CHANGED), ("top\n" + LINES, "top\n" + CHANGED)),
    "other lines": ((LINES, CHANGED), (LINES, CHANGED.replace("twenty", "20th"))),
    "other context": (
        (LINES, CHANGED),
        (LINES.replace("line 19\n", "19\n"), CHANGED.replace("line 19\n", "19\n")),
    ),
    "white space": ((LINES, CHANGED), (LINES, CHANGED.replace("line twenty", "line  twenty"))),
    "indented": ((LINES, CHANGED), (LINES, CHANGED.replace("line twenty", "  line twenty"))),
    "no last line feed": ((LINES, CHANGED), (LINES, CHANGED.rstrip("\n"))),
    "new": ((None, "x\n"), (None, "x\n")),
    "new and changed": ((None, "x\n"), ("y\n", "y\nx\n")),
    "gone": (("x\n", None), ("x\n", None)),
    "binary": (("a\0b", "a\0c"), ("a\0b", "a\0c")),
    "another binary": (("a\0b", "a\0c"), ("a\0b", "a\0d")),
    "like a hunk header": (("@@ -1 +1 @@\n", "index 1\n"), ("@@ -1 +1 @@\n", "index 1\n")),
    "lines that look like headers": (
        ("a\n", "a\n-- b/x\n++ c\n"),
        ("z\na\n", "z\na\n-- b/x\n++ c\n"),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_two_changes_are_one_exactly_where_git_says_so(repo: Path, git: Git, name: str) -> None:
    repository = open_repository(repo)
    ours = [_ours(repository, git, repo, *side) for side in PAIRS[name]]
    theirs = [_gits(git, repo, *side) for side in PAIRS[name]]
    assert None not in ours
    assert (ours[0] == ours[1]) == (theirs[0] == theirs[1])


def test_a_mode_is_part_of_the_change(repo: Path, git: Git) -> None:
    repository = open_repository(repo)
    blob = git(repo, "hash-object", "-w", "--stdin", stdin="x\n")
    found = {
        patch_id(repository, {"a": before}, {"a": after})
        for before, after in (
            (None, ("100644", blob)),
            (None, ("100755", blob)),
            (("100644", blob), ("100755", blob)),
            (("100755", blob), ("100644", blob)),
        )
    }
    assert len(found) == 4


def test_a_content_that_is_not_here_has_no_patch_id(repo: Path) -> None:
    assert patch_id(open_repository(repo), {"a": None}, {"a": ("100644", "a" * 40)}) is None


def _blob(git: Git, repo: Path, content: str | None) -> tuple[str, str] | None:
    if content is None:
        return None
    return "100644", git(repo, "hash-object", "-w", "--stdin", stdin=content)


def _ours(
    repository: Repository, git: Git, repo: Path, before: str | None, after: str | None
) -> str | None:
    images = _blob(git, repo, before), _blob(git, repo, after)
    return patch_id(repository, {"f.txt": images[0]}, {"f.txt": images[1]})


def _gits(git: Git, repo: Path, before: str | None, after: str | None) -> str:
    trees = []
    for content in (before, after):
        image = _blob(git, repo, content)
        entry = "" if image is None else f"{image[0]} blob {image[1]}\tf.txt\n"
        trees.append(git(repo, "mktree", stdin=entry))
    patch = git(repo, "diff-tree", "-p", "--no-renames", *trees) + "\n"
    try:
        return git(repo, "patch-id", "--verbatim", stdin=patch).split()[0]
    except GitFailed:
        pytest.skip("git-patch-id --verbatim needs git 2.39")
