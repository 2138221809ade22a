"""Paths in a proposal are data from an adversary; one function says which we take.

A path that passes `normalise_path` names the same file on every system that git runs on, or
none: relative, plain, in Unicode form NFC, without a character that some file system ignores.
What is git's or the orchestrator's own is refused in every spelling that Windows or macOS
would take for it. Git's rules are those of `verify_path` (read-cache.c), `is_ntfs_dotgit` and
`is_ntfs_dotgitmodules` (path.c) and `next_hfs_char` (utf8.c); where ours differ they are wider.

A judgement holds for ever: Unicode never changes the normalisation or the case folding of an
assigned code point, and unassigned ones are refused.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

from esaa_git.core.globs import Glob
from esaa_git.core.rejection import MAX_NAMED, RejectCode, Rejected, excerpt

MAX_PATH: Final = 4096
"""Bytes of UTF-8 in a path."""

MAX_COMPONENT: Final = 255
"""Bytes of UTF-8 in a component."""

ALWAYS_PROTECTED: Final = (".roadmap/**", ".esaa/**")
"""Contracts, plan, signers, hooks and read-models: no boundary opens them to an agent."""

# What HFS+ drops from a name (git's next_hfs_char), and every other code point that Unicode
# calls default-ignorable: ext4 and f2fs drop those where a directory folds case.
_IGNORABLE: Final = re.compile(
    "[\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Windows gives a name outside the 8.3 form a second one: six characters, '~', a number. From
# the fifth such name on, four of the six are a hash of the long one.
_SHORT_NAME: Final = re.compile(r"(?=[^.]{1,8}(?:\.|\Z))([^.]{0,6})~[0-9]+(?:\.[^.]{0,3})?")
_GIT_SHORT_STEMS: Final = ("git", "gitmod", "gi7eba")
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9])")

_REASONS: Final = {
    "empty": "the path is empty",
    "surrogate": "its bytes are not UTF-8; leave the file as it is, or give it a name that is",
    "too-long": f"the path is longer than {MAX_PATH} bytes",
    "component-too-long": f"a name in the path is longer than {MAX_COMPONENT} bytes",
    "control-character": "the path has a control character",
    "line-separator": "the path has a line or paragraph separator (U+2028, U+2029)",
    "ignorable-character": "the path has an invisible or direction-changing character",
    "unassigned-character": "the path has a private or unassigned code point",
    "drive-letter": "the path starts with a drive letter; it must be relative to the root "
    "of the repository",
    "unc": "the path names another machine; it must be relative to the root of the repository",
    "absolute": "the path is absolute; it must be relative to the root of the repository",
    "backslash": "the path has a backslash; separate names with '/'",
    "colon": "the path has a colon, which Windows takes for a stream of a file",
    "trailing-slash": "the path ends with '/', but only files can be proposed",
    "empty-component": "the path has an empty name between two '/'",
    "dot-component": "the path has '.' or '..' as a name; write it without",
    "trailing-dot-or-space": "a name in the path ends with a dot or a space, which Windows drops",
    "device-name": "a name in the path is a device on Windows",
    "short-name": "a name in the path has the form of a Windows short name ('NAME~1')",
    "not-nfc": "the path is not in Unicode normalisation form NFC; compose its characters",
}


def normalise_path(raw: str) -> str | Rejected:
    """Return `raw` if it is a plain path below the root of the repository, else why not.

    Nothing is repaired: two spellings of one path would be two facts in the log, so only the
    normal one passes. The refusal is PATH_PROTECTED for any spelling of `.git` or
    `.gitmodules` as any component (a submodule is never an effect), otherwise PATH_INVALID
    with one of a fixed set of words as `detail["reason"]`.
    """
    # Bounds come first: normalising is quadratic in a run of combining characters.
    reason = _size_reason(raw)
    if reason is not None:
        return _invalid(raw, reason)
    for component in re.split(r"[/\\]", raw):
        if _is_git_name(component):
            message = f"path '{excerpt(raw)}' is protected: '{excerpt(component)}' belongs to git"
            detail = {"path": excerpt(raw), "component": excerpt(component)}
            return Rejected(RejectCode.PATH_PROTECTED, message, detail)
    reason = _character_reason(raw) or _shape_reason(raw)
    return raw if reason is None else _invalid(raw, reason)


def is_protected(path: str, protected: Sequence[Glob]) -> bool:
    """Answer whether `path` belongs to the orchestrator or is covered by a `protected` glob.

    Takes a path that `normalise_path` accepts. `ALWAYS_PROTECTED` holds besides the globs
    given. Case and normalisation do not matter, so `.Roadmap/x` is protected too, and neither
    does which end is replaced: the directory that a glob `dir/**` is about, and everything
    below a path that matches, are protected with it.
    """
    exact, folded = _guards((*ALWAYS_PROTECTED, *(glob.pattern for glob in protected)))
    return any(exact.fullmatch(each) for each in _ancestry(path)) or any(
        folded.fullmatch(each) for each in _ancestry(case_key(path))
    )


def case_key(path: str) -> str:
    """Return what a file system that ignores case and normalisation sees of `path`.

    The canonical caseless form of Unicode (The Unicode Standard, section 3.13, D145), composed.
    """
    if path.isascii():
        return path.lower()
    # Imported late: few paths need the tables, and every command pays for an import.
    from unicodedata import normalize

    return normalize("NFC", normalize("NFD", path).casefold())


def check_path_set(paths: Iterable[str], gone: Iterable[str] = ()) -> Rejected | None:
    """Return the refusal of `paths` that cannot be written side by side, if there are any.

    Those are equal paths, paths that differ only by case or normalisation, and a file in the
    place of a directory of another, in any case.

    Args:
        gone: paths that files are taken away from; what takes their place may differ from them
            by case, or be a folder where they were a file, and the other way round.
    """
    # In this order a directory comes right before what is below it, so neighbours suffice.
    ordered = sorted((case_key(path).split("/"), path) for path in paths)
    left = set(gone)
    found = [_same_path(path) for path in sorted({path for _, path in ordered} & left)]
    for (key, path), (next_key, next_path) in pairwise(ordered):
        if next_key[: len(key)] != key:
            continue
        one, other = excerpt(path), excerpt(next_path)
        if path == next_path:
            found.append(_same_path(path))
            continue
        if key == next_key:
            reason, message = (
                "same-but-for-case",
                f"paths '{one}' and '{other}' differ only by case",
            )
        else:
            reason = "file-and-directory"
            message = f"path '{one}' cannot be a file and the directory of '{other}'"
        detail = {"reason": reason, "paths": [one, other]}
        found.append(Rejected(RejectCode.DUPLICATE_PATH, message, detail))
    if len(found) < 2:
        return found[0] if found else None
    pairs = [fault.detail["paths"] for fault in found[:MAX_NAMED]]
    return Rejected(
        RejectCode.DUPLICATE_PATH,
        f"{found[0].message}; the detail names {len(found) - 1} more such pairs",
        {
            **found[0].detail,
            "collisions": [{"path": one, "with": other} for one, other in pairs],
            "count": len(found),
        },
    )


def _same_path(path: str) -> Rejected:
    shown = excerpt(path)
    return Rejected(
        RejectCode.DUPLICATE_PATH,
        f"path '{shown}' is named twice",
        {"reason": "same-path", "paths": [shown, shown]},
    )


Names = Callable[[str], Iterable[str]]
"""Gives the names in a folder of a tree, by the folder's path; '' is the root."""


def check_tree(
    paths: Iterable[str], before: Names, remains: Callable[[str], bool]
) -> Rejected | None:
    """Return the refusal of paths that are one with others of the tree that would result.

    Two names of one folder are one where some file system takes them for one: by case, by Unicode
    form, by code points that it ignores, by dots or spaces at the end. That goes for files and
    folders alike, and for links, through which the second name would lead. What a tree has already
    stays usable: a name that stands there as it is written is not looked at again. Folders that no
    new name comes into are not looked through, and no others are read than those on the way.

    Args:
        paths: those that the proposal leaves a file at, in any order.
        before: the names of the tree that the proposal changes.
        remains: answers whether a path of that tree, a file's or a folder's, is in the result too.
    """
    found: dict[tuple[str, str], None] = {}
    folders: dict[str, _Folder] = {}
    for path in paths:
        above = ""
        for name in path.split("/"):
            folder = folders.get(above)
            if folder is None:
                folder = folders[above] = _Folder(before(above))
            start = f"{above}/" if above else ""
            others = [start + other for other in folder.add(name)]
            found |= dict.fromkeys((path, other) for other in others if remains(other))
            above = start + name
    return _collisions(list(found)) if found else None


class _Folder:
    """The names in a folder, and those that a proposal adds."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self._alike: dict[str, list[str]] | None = None

    def add(self, name: str) -> Sequence[str]:
        """Add a name, and return the others that are one with it where it is new."""
        if name in self._names:
            return ()
        if self._alike is None:
            self._alike = {}
            for other in sorted(self._names):
                self._alike.setdefault(_tree_key(other), []).append(other)
        alike = self._alike.setdefault(_tree_key(name), [])
        self._names.add(name)
        alike.append(name)
        return alike[:-1]


def _collisions(pairs: list[tuple[str, str]]) -> Rejected:
    shown = [(excerpt(one), excerpt(other)) for one, other in pairs]
    first, second = shown[0]
    more = f"; so are {len(shown) - 1} more, which the detail names" if len(shown) > 1 else ""
    return Rejected(
        RejectCode.DUPLICATE_PATH,
        f"'{first}' and '{second}', which the tree would hold, are one on some file systems{more}",
        {
            "reason": "same-in-tree",
            "paths": [first, second],
            "collisions": [{"path": one, "with": other} for one, other in shown[:MAX_NAMED]],
            "count": len(shown),
        },
    )


def _tree_key(name: str) -> str:
    """Return what the most forgiving file system compares of one name of a tree."""
    if not name.isascii():
        name = _IGNORABLE.sub("", name)
    return case_key(name.rstrip(" .") or name)


def _invalid(raw: str, reason: str) -> Rejected:
    shown = excerpt(raw)
    message = f"path '{shown}' is invalid: {_REASONS[reason]}"
    return Rejected(RejectCode.PATH_INVALID, message, {"reason": reason, "path": shown})


def _size_reason(raw: str) -> str | None:
    if not raw:
        return "empty"
    if len(raw) > MAX_PATH:
        return "too-long"
    try:
        size = len(raw.encode("utf-8"))
    except UnicodeEncodeError:
        return "surrogate"
    return "too-long" if size > MAX_PATH else None


def _is_git_name(component: str) -> bool:
    # Windows drops a stream's name and type, then trailing dots and spaces.
    name = folded_name(component).partition(":")[0].rstrip(" .")
    if name in (".git", ".gitmodules"):
        return True
    # As many characters of the stem stay as leave room for the number in eight.
    short = None if "." in name else _SHORT_NAME.fullmatch(name)
    return short is not None and any(stem.startswith(short[1]) for stem in _GIT_SHORT_STEMS)


def folded_name(component: str) -> str:
    """Return what the most forgiving file system would compare of a name.

    Compatibility forms (fullwidth letters, a one dot leader) go further than any we know of.
    """
    if component.isascii():
        return component.lower()
    from unicodedata import normalize

    visible = _IGNORABLE.sub("", component)
    return _IGNORABLE.sub("", normalize("NFKC", normalize("NFKD", visible).casefold()))


def _character_reason(raw: str) -> str | None:
    if raw.isascii():
        return None if raw.isprintable() else "control-character"
    from unicodedata import category, is_normalized

    for char in raw:
        match category(char):
            case "Cc":
                return "control-character"
            case "Zl" | "Zp":
                return "line-separator"
            case "Cf":
                return "ignorable-character"
            case kind:
                if _IGNORABLE.match(char):
                    return "ignorable-character"
                if kind in ("Cn", "Co"):
                    return "unassigned-character"
    return None if is_normalized("NFC", raw) else "not-nfc"


def _shape_reason(raw: str) -> str | None:
    if raw.startswith(("//", "\\\\")):
        return "unc"
    if raw.startswith(("/", "\\")):
        return "absolute"
    if "\\" in raw:
        return "backslash"
    if ":" in raw:
        return "drive-letter" if raw[1:2] == ":" and raw[0].isalpha() else "colon"
    if raw.endswith("/"):
        return "trailing-slash"
    return next(filter(None, map(_component_reason, raw.split("/"))), None)


def _component_reason(component: str) -> str | None:
    if not component:
        return "empty-component"
    if component in (".", ".."):
        return "dot-component"
    if component[-1] in ". ":
        return "trailing-dot-or-space"
    if len(component.encode("utf-8")) > MAX_COMPONENT:
        return "component-too-long"
    name = folded_name(component)
    if _DEVICE.fullmatch(name.partition(".")[0].rstrip(" ")):
        return "device-name"
    # An alias of a protected directory as well: `ROADMA~1` is `.roadmap`.
    if _SHORT_NAME.fullmatch(name):
        return "short-name"
    return None


def _ancestry(path: str) -> Iterator[str]:
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)
    yield path


@lru_cache(maxsize=64)
def _guards(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Compile what to hold every part of a path against: as it is written, and case-folded."""
    exact, folded = [], []
    for pattern in patterns:
        top = pattern
        while top.endswith("/**"):
            top = top.removesuffix("/**")
        exact.append(Glob.parse(top).regex.pattern)
        try:
            folded.append(Glob.parse(case_key(top)).regex.pattern)
        except ValueError:
            # A range such as [Z-a] runs backwards when folded; the first form covers it.
            continue
    return _any_of(exact), _any_of(folded)


def _any_of(sources: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{source})" for source in sources), re.IGNORECASE)


def path_in_tree(word: str, root: str | None = None, folder: str = "") -> str | None:
    """Return the path of the tree that a word of a command names, None where it leads outside."""
    if not word or "\0" in word:
        return None
    path = posixpath.normpath(posixpath.join(folder, word))
    if path.startswith("/"):
        top = None if root is None else root.rstrip("/") + "/"
        if top is None or not path.startswith(top):
            return None
        path = path[len(top) :]
    return None if path in (".", "..") or path.startswith("../") else path
