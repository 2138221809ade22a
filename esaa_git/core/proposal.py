"""What an agent may propose: boundaries, limits, and the contents that its updates amount to.

The first half of the verifier, free of I/O: `check_updates` judges the paths and the size of a
proposal by the contracts in force, before anything is read; `after_image` makes the new content
of one file from the old one.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import assert_never
from weakref import WeakKeyDictionary

from esaa_git.core.agent_contract import AgentContract, KindContract
from esaa_git.core.answer import (
    ChmodFile,
    DeleteFile,
    EditFile,
    FileUpdate,
    KeptFile,
    PatchFile,
    RenameFile,
    WriteFile,
)
from esaa_git.core.canonical import digest
from esaa_git.core.contracts import Contracts
from esaa_git.core.edits import Edit, apply_edits
from esaa_git.core.entries import Rejection
from esaa_git.core.events.fields import LeftOutFile
from esaa_git.core.globs import Glob, GlobSet
from esaa_git.core.judges import Judges, judges_of, opens
from esaa_git.core.lineends import MARK, TextForm, kept
from esaa_git.core.patches import apply_patch, parse_patch
from esaa_git.core.paths import (
    ALWAYS_PROTECTED,
    check_path_set,
    folded_name,
    is_protected,
    normalise_path,
)
from esaa_git.core.rejection import Filter, RejectCode, Rejected, excerpt, of_policy, together
from esaa_git.core.self_running import GIT_SETTINGS, Found, runs_by_itself
from esaa_git.core.setup import meets
from esaa_git.core.task import Task


@dataclass(frozen=True, slots=True)
class Boundary:
    """Where one task may write: the kind's globs, narrowed by the task's own, minus prohibitions.

    `protected` holds what no boundary opens: the contracts, and whatever else of the
    repository's own machinery lies in the tree. What runs by itself is closed to a kind that does
    not open it by name.
    """

    contract: AgentContract
    kind: KindContract
    narrowed: GlobSet | None
    narrowed_patterns: tuple[str, ...]
    prohibited: tuple[Glob, ...]
    operations: frozenset[str]
    protected: tuple[Glob, ...]
    judges: Judges
    provided: tuple[str, ...] = ()

    @classmethod
    def of(cls, task: Task, contracts: Contracts, protected: Iterable[str] = ()) -> Boundary:
        """Return the boundary of a task under these contracts; tasks of one kind share it."""
        known = _KNOWN.get(contracts)
        if known is None:
            known = _KNOWN[contracts] = {}
        key = (task.kind, task.writes, tuple(protected))
        found = known.get(key)
        if found is None:
            found = known[key] = cls._make(task, contracts, key[2])
        return found

    @classmethod
    def _make(cls, task: Task, contracts: Contracts, protected: Sequence[str]) -> Boundary:
        return cls(
            contracts.agent,
            contracts.agent.kind(task.kind),
            GlobSet(task.writes) if task.writes else None,
            task.writes,
            contracts.agent.prohibited.globs,
            contracts.agent.prohibited_operations,
            tuple(Glob.parse(pattern) for pattern in (*ALWAYS_PROTECTED, *protected)),
            judges_of(contracts),
            contracts.provided,
        )

    @property
    def patterns(self) -> tuple[str, ...]:
        """The globs inside which the task may write, to be shown."""
        return self.narrowed_patterns or self.kind.write_patterns

    def check(self, raw: str) -> Rejected | None:
        """Return what is wrong with writing to this path, or None."""
        path = normalise_path(raw)
        if isinstance(path, Rejected):
            return path
        if is_protected(path, self.protected):
            return Rejected(
                RejectCode.PATH_PROTECTED,
                f"'{path}' belongs to the orchestrator or to git; no task writes there",
                {"path": path},
            )
        if is_protected(path, self.prohibited):
            return Rejected(
                RejectCode.PATH_PROTECTED,
                f"'{path}' is prohibited by the contract for every kind of task",
                {"path": path},
            )
        if meets(path, self.provided):
            return Rejected(
                RejectCode.PATH_PROTECTED,
                f"'{path}' is made by a setup of the contracts, and is no file of the tree",
                {"path": path},
            )
        if self.judges.hold(path) and not opens(self.kind, path):
            return Rejected(
                RejectCode.PATH_PROTECTED,
                f"'{path}' belongs to a program that acts or judges, and is pinned; a kind that "
                "names it under 'write' may change it, and then a person decides",
                {"path": path},
            )
        listed = self.closed_by(path)
        if listed is not None:
            kinds = self.contract.openers(path)
            may = f"a task of kind {' or '.join(kinds)} may" if kinds else "no kind opens it"
            return Rejected(
                RejectCode.PATH_PROTECTED,
                f"'{path}' runs by itself or is obeyed unasked ({listed.family}); {may}",
                {"path": path, "family": listed.family, "kinds": list(kinds)},
            )
        inside = self.kind.write.matches(path)
        if inside and self.narrowed is not None:
            inside = self.narrowed.matches(path)
        if not inside:
            allowed = ", ".join(self.patterns) or "nothing"
            return Rejected(
                RejectCode.BOUNDARY_VIOLATION,
                f"'{path}' is outside of what this task may write: {allowed}",
                {"path": path, "allowed": list(self.patterns)},
            )
        return None

    def closed_by(self, path: str) -> Found | None:
        """Return what of the list of files that run by themselves closes a path to this kind."""
        version = self.contract.self_running
        if version is None or self.kind.opens.matches(path):
            return None
        return runs_by_itself(path, version)


_Key = tuple[str, tuple[str, ...], tuple[str, ...]]

_KNOWN: WeakKeyDictionary[Contracts, dict[_Key, Boundary]] = WeakKeyDictionary()
"""What was made of the kinds of contracts in use, since verification asks for it often."""


def left_out(
    updates: Sequence[FileUpdate], boundary: Boundary, is_there: Callable[[str], bool]
) -> tuple[Sequence[FileUpdate], tuple[LeftOutFile, ...]]:
    """Part a proposal into what is to be judged, and what is left out of it and named.

    That is what says which work git sees and how (`GIT_SETTINGS`), where the kind does not open
    it; and of the new files, by-products, and those outside a boundary that drops them. A change of
    a file that is there, and what is protected for any other reason, is judged.

    Args:
        is_there: answers whether the base has a file, or anything else, at a path.
    """
    kept: list[FileUpdate] = []
    left: list[LeftOutFile] = []
    for update in updates:
        found = _left_out(update, boundary, is_there)
        if found is None:
            kept.append(update)
        else:
            left.append(found)
    return kept, tuple(left)


def _left_out(
    update: FileUpdate, boundary: Boundary, is_there: Callable[[str], bool]
) -> LeftOutFile | None:
    path = normalise_path(update.path)
    if isinstance(path, Rejected) or isinstance(update, RenameFile):
        return None
    fault = boundary.check(path)
    is_by_product = boundary.contract.by_products.matches(path)
    if fault is None and not is_by_product:
        return None
    shown = excerpt(path, 400)
    if fault is not None and folded_name(path.rpartition("/")[2]) in GIT_SETTINGS:
        if "family" not in fault.detail:  # closed by something else than the list
            return None
        kinds = boundary.contract.openers(path)
        return LeftOutFile(path=shown, why="settings", kinds=kinds or None)
    if not isinstance(update, WriteFile) or is_there(path):
        return None
    if is_by_product:
        return LeftOutFile(path=shown, why="by-product")
    drops = boundary.kind.outside == "drop"
    if drops and fault is not None and fault.code == RejectCode.BOUNDARY_VIOLATION:
        return LeftOutFile(path=shown, why="outside")
    return None


def check_updates(
    updates: Sequence[FileUpdate], boundary: Boundary, max_files: int
) -> Rejected | None:
    """Return what is wrong with a proposal's paths and operations, or None (INV-004).

    All paths with the first fault's code are told at once.
    """
    if len(updates) > max_files:
        return Rejected(
            RejectCode.TOO_MANY_FILES,
            f"the proposal touches {len(updates)} files, {max_files} are allowed "
            + of_policy("max_files_per_proposal"),
            {"files": len(updates), "allowed": max_files},
        )
    named = Names()
    faults: list[Rejected] = []
    for update in updates:
        paths = (update.from_, update.path) if isinstance(update, RenameFile) else (update.path,)
        found = [boundary.check(path) for path in paths]
        found.append(_check_operation(update, boundary.operations))
        faults += [fault for fault in found if fault is not None]
        named.add(update)
    return together(faults) if faults else named.check()


@dataclass(slots=True)
class Names:
    """The paths that updates of one proposal name, which may not meet (`check_path_set`)."""

    kept: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def add(self, update: FileUpdate) -> None:
        """Add what an update leaves a file at, and what it takes one away from."""
        if isinstance(update, DeleteFile):
            self.gone.append(update.path)
            return
        self.kept.append(update.path)
        if isinstance(update, RenameFile):
            self.gone.append(update.from_)

    def beside(self, update: FileUpdate) -> Rejected | None:
        """Return the refusal of an update that would meet one of these, or None."""
        names = Names([*self.kept], [*self.gone])
        names.add(update)
        return names.check()

    def check(self) -> Rejected | None:
        """Return the refusal of paths that meet, or None."""
        twice = [path for path, times in Counter(self.gone).items() if times > 1]
        return check_path_set([*self.kept, *twice], self.gone)


def taken_away(updates: Iterable[FileUpdate]) -> frozenset[str]:
    """Return the paths at which these updates leave no file where one was."""
    names = Names()
    for update in updates:
        names.add(update)
    return frozenset(names.gone)


def under_filter(path: str, name: str, *, proposed: bool = False) -> Rejected:
    """Return the refusal of a file that git stores through a filter, as it would be stored raw.

    Args:
        proposed: it is the proposal itself that puts the file under the filter.
    """
    shown, name = excerpt(path), excerpt(name)
    return Rejected(
        RejectCode.PATH_PROTECTED,
        f"'{shown}' is stored through the filter '{name}' of its gitattributes, which no proposal "
        "goes through; a person commits it",
        {"path": shown, "filter": name, **({"proposed": True} if proposed else {})},
    )


def is_of_setup(refused_for: Filter | None, before: Rejection | None) -> bool:
    """Answer whether an answer is refused for how the repository is set up, which nobody was told.

    That is a filter of the repository. An attempt after one that was refused so knows of it.
    """
    return refused_for == "there" and (before is None or before.filter is None)


def _check_operation(update: FileUpdate, prohibited: frozenset[str]) -> Rejected | None:
    if update.op in prohibited:
        return Rejected(
            RejectCode.FORBIDDEN_ACTION,
            f"the contract prohibits the operation '{update.op}'",
            {"path": update.path, "operation": update.op},
        )
    if isinstance(update, DeleteFile):
        return None
    if update.executable and "executable" in prohibited:
        return Rejected(
            RejectCode.MODE_FORBIDDEN,
            f"the contract prohibits making '{update.path}' executable",
            {"path": update.path},
        )
    return None


def after_image(update: KeptFile, before: bytes | None) -> bytes | Rejected:
    """Return the content that an update leaves in its file.

    `before` is the content that the operation stands on: of `path`, or of `from` for a rename.
    Whether it must exist has been looked at by the caller.
    """
    match update:
        case WriteFile():
            return _content(update.path, update.content, update.encoding)
        case RenameFile():
            if update.content is None:
                return before or b""
            return _content(update.path, update.content, update.encoding)
        case ChmodFile():
            return before or b""
        case EditFile() | PatchFile():
            return _changed(update, before or b"")
        case _:
            assert_never(update)


def _changed(update: EditFile | PatchFile, before: bytes) -> bytes | Rejected:
    path, wanted = update.path, update.base_sha256
    found = digest(before)
    if wanted is not None and wanted != found:
        return Rejected(
            RejectCode.BASE_MISMATCH,
            f"'{path}' is not the file that the update was made for: its SHA-256 is another",
            {"path": path, "expected": wanted, "found": found},
        )
    try:
        text = before.decode()
    except UnicodeDecodeError:
        return Rejected(
            RejectCode.INVALID_VALUE,
            f"'{path}' is not UTF-8 text; propose its whole content in base64",
            {"path": path},
        )
    form = TextForm.of(text)
    if isinstance(update, EditFile):
        outcome = _edited(form.plain(text), update, form)
    else:
        outcome = _patched(form.plain(text), update, form)
    if isinstance(outcome, Rejected):
        return Rejected(
            outcome.code, f"'{path}': {outcome.message}", {**outcome.detail, "path": path}
        )
    return form.written(outcome).encode()


def _edited(text: str, update: EditFile, form: TextForm) -> str | Rejected:
    edits: list[Edit] = []
    for index, edit in enumerate(update.edits):
        old, new = form.plain(edit.old), form.plain(edit.new)
        if old == new and edit.old != edit.new:
            return kept(f"edit {index}")
        edits.append(Edit(old, new, bool(edit.all)))
    return apply_edits(text, edits)


def _patched(text: str, update: PatchFile, form: TextForm) -> str | Rejected:
    patch = parse_patch(form.plain(update.patch))
    if isinstance(patch, Rejected):
        return patch
    if not patch.concerns(update.path):
        return Rejected(
            RejectCode.PATCH_FAILED,
            f"the patch names another file than '{update.path}'",
            {"named": list(patch.paths)},
        )
    patch = patch.without_mark()
    for number, hunk in enumerate(patch.hunks, start=1):
        if hunk.old == hunk.new and ("\r" in update.patch or MARK in update.patch):
            return kept(f"hunk {number}")
    return apply_patch(text, patch)


def _content(path: str, content: str, encoding: str | None) -> bytes | Rejected:
    if encoding == "base64":
        try:
            return base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError):
            return Rejected(
                RejectCode.INVALID_VALUE, f"the content of '{path}' is not base64", {"path": path}
            )
    if "\0" in content:
        return Rejected(
            RejectCode.CONTROL_CHARACTER,
            f"the content of '{path}' holds NUL; send binary files in base64",
            {"path": path},
        )
    return content.encode()
