"""What of a refused answer no rule refuses by itself: the part that the next attempt may begin on.

A file that is refused to go is there still. So what was to stand in its place is looked at again
without that update, until nothing that is refused takes a file away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from esaa_git.core.answer import FileUpdate
from esaa_git.core.events.fields import NotKept
from esaa_git.core.proposal import Names, taken_away
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.core.runtime_policy import RuntimePolicy
from esaa_git.engine.proposal import FileChange

NOT_KEPT = 1000  # paths of a rejected answer that are named and not kept

Resolve = Callable[[FileUpdate, frozenset[str]], "tuple[FileChange, int] | Rejected | None"]
"""From an update, and the paths that others take away, to its change and lines; None for none."""

Converted = Callable[[Sequence[FileChange]], Mapping[str, Rejected]]
"""The refusals, by path, of what git would store in another form."""


def lawful_part(
    updates: Sequence[FileUpdate], resolve: Resolve, converted: Converted, policy: RuntimePolicy
) -> tuple[list[FileChange], int, tuple[NotKept, ...]]:
    """Return the changes that no rule refuses, their lines, and the other paths with why."""
    refused: dict[int, RejectCode] = {}
    while True:
        left = {number: one for number, one in enumerate(updates) if number not in refused}
        changes, lines, more = _one_by_one(left, resolve, policy)
        codes = converted([*changes.values()])
        more |= {n: codes[one.path].code for n, one in changes.items() if one.path in codes}
        refused |= more
        if not taken_away(updates[number] for number in more):
            break
    kept = [one for number, one in changes.items() if number not in refused]
    named = ((updates[number].path, refused[number]) for number in sorted(refused))
    not_kept = (NotKept(path=path, code=code) for path, code in named if path.isprintable())
    return kept, lines, tuple(islice(not_kept, NOT_KEPT))


def _one_by_one(
    updates: Mapping[int, FileUpdate], resolve: Resolve, policy: RuntimePolicy
) -> tuple[dict[int, FileChange], int, dict[int, RejectCode]]:
    """Return the changes within the limits, their lines, and why others are refused."""
    changes, refused = dict[int, FileChange](), dict[int, RejectCode]()
    lines, names, gone = 0, Names(), taken_away(updates.values())
    for number, update in updates.items():
        found = resolve(update, gone)
        if isinstance(found, Rejected):
            refused[number] = found.code
        elif found is not None:
            change, count = found
            if len(changes) >= policy.max_files:
                refused[number] = RejectCode.TOO_MANY_FILES
            elif beside := names.beside(update):
                refused[number] = beside.code
            elif lines + count > policy.max_patch_lines:
                refused[number] = RejectCode.PATCH_TOO_LARGE
            else:
                changes[number] = change
                names.add(update)
                lines += count
    return changes, lines, refused
