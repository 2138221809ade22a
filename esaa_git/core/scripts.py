"""What scripts start of the tree by their first lines, each read as the words of a command.

docs/FORMAT.md, "Programs", has the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from esaa_git.core.commands import acting
from esaa_git.firstline import words_of

_MOST_SCRIPTS: Final = 1000


def named_by(
    paths: Iterable[str],
    read: Callable[[str], bytes | None],
    root: str | None = None,
    inside: Callable[[str], bool] = bool,
    doubt: Callable[[str], object] | None = None,
    *,
    absent: bool = True,
) -> Iterator[tuple[str, str]]:
    """Yield what the first lines of scripts name of the tree, and who names it, on and on.

    Args:
        paths: the scripts that are started.
        read: returns the content of a file of the tree, or its first `LONGEST` bytes; None where
            there is none.
        root, inside: as `acting` has them.
        doubt: is told why a first line cannot be read for sure, or that there are too many.
        absent: also modules that there are not, in whose place an installed one is loaded.
    """
    waiting = list(dict.fromkeys(paths))
    seen = set(waiting)
    while waiting and len(seen) <= _MOST_SCRIPTS:
        script = waiting.pop(0)
        readings = [acting([*words, ""], root, inside) for words in _readings(read(script) or b"")]
        if doubt is not None and readings and all(one.unread for one in readings):
            doubt(f"in the first line of '{script}', {'; '.join(readings[-1].unread)}")
        for found in readings:
            for path in found.paths:
                if not absent and path in found.modules and read(path) is None:
                    continue
                if path not in seen:
                    seen.add(path)
                    waiting.append(path)
                    yield path, script
    if doubt is not None and waiting:
        doubt(f"more than {_MOST_SCRIPTS} first lines follow from it")


def _readings(content: bytes) -> Iterator[list[str]]:
    """Yield the command of a first line, as Linux and as other systems part its argument."""
    words = words_of(content)
    if not words:
        return
    if "/" not in words[0]:
        words[0] = f"./{words[0]}"  # no PATH is looked at
    yield words
    parted = [words[0], *(word for rest in words[1:] for word in rest.split())]
    if parted != words:
        yield parted
