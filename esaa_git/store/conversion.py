"""What git would not store as it is: files under a filter, or in an encoding of their own.

Git is asked (gitattributes(5)), with the `.gitattributes` of the tree in question laid out in a
folder of its own, and with those of the person (`info/attributes`, `core.attributesFile`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from esaa_git.folders import throwaway_folder
from esaa_git.ports.files import Conversion
from esaa_git.store.layout import Layout
from esaa_git.store.objects import bytes_of, name_of
from esaa_git.store.program import run_git

ATTRIBUTES: Final = ".gitattributes"
_ASKED: Final = ("filter", "working-tree-encoding")
# What stands for no value: a filter that is merely set has no name, and git runs none.
_NONE: Final = ("unspecified", "unset", "set")


def attribute_files(paths: Sequence[str]) -> list[str]:
    """Return where the files lie that say something of these paths."""
    found = {ATTRIBUTES: None}
    for path in paths:
        folders = path.split("/")[:-1]
        for end in range(1, len(folders) + 1):
            found["/".join([*folders[:end], ATTRIBUTES])] = None
    return list(found)


def conversions(
    repository: Layout, attributes: Mapping[str, bytes], paths: Sequence[str]
) -> dict[str, Conversion]:
    """Return those of the paths that git converts by a program or from another encoding.

    Args:
        attributes: the `.gitattributes` of the tree, by their paths.
    """
    if not paths:
        return {}
    with throwaway_folder("attributes") as top:
        for path, content in attributes.items():
            place = top / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        said = run_git(
            top,
            *(f"--git-dir={repository.git_dir}", f"--work-tree={top}"),
            *("check-attr", "-z", "--stdin", *_ASKED),
            input=b"".join(bytes_of(path) + b"\0" for path in paths),
            # No index beside the folder says anything.
            env={"GIT_INDEX_FILE": str(top / "index")},
        )
    found: dict[str, dict[str, str]] = {}
    words = name_of(said).split("\0")
    for path, name, value in zip(words[::3], words[1::3], words[2::3], strict=False):
        if value not in _NONE:
            found.setdefault(path, {})[name] = value
    return {path: Conversion(*map(one.get, _ASKED)) for path, one in found.items()}
