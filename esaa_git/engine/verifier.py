"""The verifier: from an agent's raw output to a validated proposal, or a typed rejection.

Nothing here changes anything: contents are stored as blobs that nothing refers to until the
commit, so the complete output is validated before the first effect (INV-003).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from esaa_git.core.answer import (
    DeleteFile,
    FileUpdate,
    Heartbeat,
    KeptFile,
    RenameFile,
    Result,
    WriteFile,
)
from esaa_git.core.canonical import digest
from esaa_git.core.contracts import Contracts
from esaa_git.core.entries import LESSONS_OF_ATTEMPT
from esaa_git.core.envelope import Envelope, decode
from esaa_git.core.events import AgentResult
from esaa_git.core.events.fields import LeftOutFile, NotKept
from esaa_git.core.patches import changed_lines
from esaa_git.core.paths import check_tree
from esaa_git.core.proposal import (
    Boundary,
    after_image,
    check_updates,
    left_out,
    taken_away,
)
from esaa_git.core.rejection import RejectCode, Rejected, of_policy, together
from esaa_git.core.state import State
from esaa_git.core.task import Task
from esaa_git.engine import lawful
from esaa_git.engine.converted import check_conversions
from esaa_git.engine.lease import WALL_CLOCK, Lease, Leases
from esaa_git.engine.proposal import FileChange, Proposal
from esaa_git.engine.refusals import conflict, late, missing, nothing_left
from esaa_git.engine.salts import is_of
from esaa_git.ports.files import BlobStore, Conflict, FileEntry, Merger, NotAFile, Trees


@dataclass(frozen=True, slots=True)
class Accepted:
    """A valid envelope, and the proposal in it where it holds a result that changes files."""

    envelope: Envelope
    proposal: Proposal | None = None
    left_out: tuple[LeftOutFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Repeated:
    """The very answer that the attempt was completed with, given again: nothing to do."""

    envelope: Envelope


class Verifier:
    """Validates outputs against one repository's contents."""

    def __init__(
        self,
        trees: Trees,
        blobs: BlobStore,
        merger: Merger,
        protected: Sequence[str],
        recorded: Callable[[str], AgentResult | None] = lambda _: None,
    ) -> None:
        """Begin with the repository's contents.

        Args:
            recorded: returns the result that an attempt has on record.
        """
        self._recorded = recorded
        self._trees = trees
        self._blobs = blobs
        self._merger = merger
        self._protected = tuple(protected)

    def judge(
        self,
        output: bytes,
        *,
        state: State,
        contracts: Contracts,
        actor: str,
        now: str,
        task_id: str | None = None,
        attempt_id: str | None = None,
        leases: Leases = WALL_CLOCK,
    ) -> Accepted | Repeated | Rejected:
        """Return what an output amounts to.

        Args:
            task_id, attempt_id: what the agent was dispatched with; None where the envelope
                alone says what it answers, as in `submit`.
            leases: judges whether the answer came in time.
        """
        envelope = decode(output, max_bytes=contracts.policy.max_output_bytes)
        if isinstance(envelope, Rejected):
            return envelope
        if self._is_repeated(envelope, state, output):
            return Repeated(envelope)
        fault = _check_address(envelope, state, contracts, actor, task_id, attempt_id)
        if fault is not None:
            return fault
        attempt = state.tasks[envelope.task_id].attempt
        assert attempt is not None  # _check_address looked at it
        if leases.is_over(Lease.of(attempt, contracts), now):
            return late(attempt)
        if isinstance(envelope.payload, Heartbeat) and now >= attempt.deadline:
            return late(attempt)  # by the log's own time, which the protocol holds it against
        answer = envelope.payload
        if len(attempt.lessons) + envelope.lessons > LESSONS_OF_ATTEMPT:
            return Rejected(
                RejectCode.INVALID_VALUE,
                f"an attempt leaves {LESSONS_OF_ATTEMPT} lessons at most, and this one has "
                f"{len(attempt.lessons)} already",
                {"recorded": len(attempt.lessons), "allowed": LESSONS_OF_ATTEMPT},
            )
        if not isinstance(answer, Result) or not answer.file_updates:
            return Accepted(envelope)
        task = state.tasks[envelope.task_id]
        boundary, base = self.boundary(task, contracts), attempt.base
        kept, left = left_out(
            answer.file_updates, boundary, lambda path: self._trees.entry(base, path) is not None
        )
        if not kept:
            return nothing_left(left)
        proposal = self.resolve(kept, task, contracts)
        return proposal if isinstance(proposal, Rejected) else Accepted(envelope, proposal, left)

    def _is_repeated(self, envelope: Envelope, state: State, output: bytes) -> bool:
        """Answer whether the attempt was completed with this very answer.

        Its idempotency key tells, or, where it had none, all of it.
        """
        task = state.tasks.get(envelope.task_id)
        if task is None or task.result is None or task.result.attempt_id != envelope.attempt_id:
            return False
        before = self._recorded(envelope.attempt_id)
        key = envelope.idempotency_key
        if before is None or (before.idempotency_sha256 is None) != (key is None):
            return False
        known, said = before.output_sha256, output
        if key is not None:
            known, said = before.idempotency_sha256, key.encode()
        return is_of(self._blobs, before.exchange, known, said)

    def rebase(self, proposal: Proposal, tip: str, boundary: Boundary) -> Proposal | Rejected:
        """Return the proposal made for `tip` instead, merged three ways where files moved on.

        Raises nothing: a real conflict is a `WRITE_CONFLICT` that carries the hunks. What the tip
        puts under a filter, or in an encoding, is refused as it is of a base.
        """
        if proposal.onto == tip:
            return proposal
        files = []
        gone = frozenset(path for path, after in proposal.tree_changes().items() if after is None)
        for file in proposal.files:
            merged = self._rebase_file(file, proposal.onto, tip, boundary, gone)
            if isinstance(merged, Rejected):
                return merged
            if merged is not None:
                files.append(merged)
        rebased = replace(proposal, files=tuple(sorted(files, key=_by_path)), onto=tip)
        return self.ill_stored(rebased) or rebased

    def boundary(self, task: Task, contracts: Contracts) -> Boundary:
        """Return where the task may write in this repository."""
        return Boundary.of(task, contracts, self._protected)

    # -- the proposal against its base ------------------------------------------------------

    def resolve(
        self, updates: Sequence[FileUpdate], task: Task, contracts: Contracts
    ) -> Proposal | Rejected:
        """Return the proposal that updates of the attempt's base amount to, or why it is none."""
        policy = contracts.policy
        fault = check_updates(updates, self.boundary(task, contracts), policy.max_files)
        if fault is not None:
            return fault
        assert task.attempt is not None  # _check_address looked at it
        files: list[FileChange] = []
        faults: list[Rejected] = []
        lines, gone = 0, taken_away(updates)
        for update in updates:
            resolved = self._resolve_update(update, task.attempt.base, gone, policy.max_file_bytes)
            if isinstance(resolved, Rejected):
                faults.append(resolved)
            elif resolved is not None:
                files.append(resolved[0])
                lines += resolved[1]
        if faults:
            return together(faults)
        if lines > policy.max_patch_lines:
            return Rejected(
                RejectCode.PATCH_TOO_LARGE,
                f"the proposal changes {lines} lines, {policy.max_patch_lines} are allowed "
                + of_policy("max_patch_lines"),
                {"lines": lines, "allowed": policy.max_patch_lines},
            )
        if not files:
            return Rejected(
                RejectCode.EMPTY_PROPOSAL,
                "the proposal leaves every file as it is; without a change, send no file_updates",
                {},
            )
        proposal = Proposal(tuple(sorted(files, key=_by_path)), task.attempt.base, lines)
        return self.ill_stored(proposal) or proposal

    def lawful_part(
        self,
        updates: Sequence[FileUpdate],
        task: Task,
        contracts: Contracts,
        exposes: Callable[[FileUpdate], bool],
    ) -> tuple[Proposal | None, tuple[NotKept, ...]]:
        """Return what of a refused answer no rule refuses by itself, and the other paths.

        `exposes` answers whether an update holds what looks like a secret.
        """
        assert task.attempt is not None
        policy, boundary, base = contracts.policy, self.boundary(task, contracts), task.attempt.base

        def resolve(
            update: FileUpdate, gone: frozenset[str]
        ) -> tuple[FileChange, int] | Rejected | None:
            fault = check_updates([update], boundary, policy.max_files)
            found = fault or self._resolve_update(update, base, gone, policy.max_file_bytes)
            if not isinstance(found, Rejected) and exposes(update):
                return Rejected(RejectCode.SECRET_EXPOSED, "it holds what looks like a secret", {})
            return found

        def converted(changes: Sequence[FileChange]) -> Mapping[str, Rejected]:
            return check_conversions(self._trees, self._blobs, base, changes)

        files, lines, refused = lawful.lawful_part(updates, resolve, converted, policy)
        proposal = Proposal(tuple(sorted(files, key=_by_path)), base, lines)
        is_sound = files and self._collisions(proposal) is None
        return proposal if is_sound else None, refused

    def _resolve_update(
        self, update: FileUpdate, base: str, gone: frozenset[str], max_bytes: int
    ) -> tuple[FileChange, int] | Rejected | None:
        path = update.path
        source = update.from_ if isinstance(update, RenameFile) else None
        before = self._file(base, source or path, gone)
        if isinstance(before, Rejected):
            return before
        if before is None and not isinstance(update, WriteFile):
            return missing(source or path, update.op)
        if source is not None:
            target = self._file(base, path, gone)
            if isinstance(target, Rejected):
                return target
            if target is not None:
                return Rejected(
                    RejectCode.FILE_EXISTS,
                    f"'{source}' cannot be renamed to '{path}', which exists",
                    {"path": path},
                )
        old = None if before is None else self._blobs.read(before.oid)
        if isinstance(update, DeleteFile):
            return FileChange(path, before, None), changed_lines(old, None)
        new = after_image(update, old)
        if isinstance(new, Rejected):
            return new
        if len(new) > max_bytes:
            return Rejected(
                RejectCode.FILE_TOO_LARGE,
                f"'{path}' would have {len(new)} bytes, {max_bytes} are allowed "
                + of_policy("max_file_bytes"),
                {"path": path, "bytes": len(new), "allowed": max_bytes},
            )
        mode = _mode(update, before)
        after = FileEntry(mode, self._blobs.write(new))
        if after == before and source is None:
            return None
        change = FileChange(path, before, after, source, len(new), digest(new))
        return change, changed_lines(old, new)

    def _file(self, commit: str, path: str, gone: frozenset[str]) -> FileEntry | Rejected | None:
        entry = self._standing(commit, path, gone)
        if isinstance(entry, NotAFile):
            return Rejected(
                RejectCode.PATH_NOT_A_FILE,
                f"'{path}' cannot be written: {entry.what} stands there",
                {"path": path},
            )
        return entry

    def _standing(
        self, commit: str, path: str, gone: frozenset[str]
    ) -> FileEntry | NotAFile | None:
        """Return what stands at a path beside what a proposal takes away.

        A folder that loses its last file goes with it, and a file in the way of a path may go.
        """
        entry = self._trees.entry(commit, path)
        if not isinstance(entry, NotAFile) or not gone:
            return entry
        above = [path[:at] for at, char in enumerate(path) if char == "/"]
        below = list(islice(self._trees.names(commit, (path,)), len(gone) + 1))
        is_emptied = below and path not in below and gone.issuperset(below)
        return None if is_emptied or any(one in gone for one in above) else entry

    def ill_stored(self, proposal: Proposal) -> Rejected | None:
        """Return the refusal of what the resulting tree would not hold as it is proposed."""
        changed = check_conversions(self._trees, self._blobs, proposal.onto, proposal.files)
        return together([*changed.values()]) if changed else self._collisions(proposal)

    def _collisions(self, proposal: Proposal) -> Rejected | None:
        """Return the refusal of names that would be one with others of the resulting tree."""
        base, changes = proposal.onto, proposal.tree_changes()
        kept = [path for path, after in changes.items() if after is not None]

        def remains(path: str) -> bool:
            if path in changes:
                return changes[path] is not None
            if any(other.startswith(f"{path}/") for other in kept):
                return True
            below = self._trees.folder(base, path)
            return not below or any(remains(f"{path}/{name}") for name in below)

        return check_tree(kept, lambda folder: self._trees.folder(base, folder), remains)

    # -- the proposal against a branch that moved on ----------------------------------------

    def _rebase_file(
        self, file: FileChange, base: str, tip: str, boundary: Boundary, gone: frozenset[str]
    ) -> FileChange | Rejected | None:
        """Return the change as it applies to `tip`; None where the tip has it already."""
        stands_on = file.source or file.path
        ours = self._standing(tip, stands_on, gone)
        if isinstance(ours, NotAFile):
            return conflict(stands_on, f"the branch has {ours.what} there", base, tip)
        if file.source is not None:
            target = self._standing(tip, file.path, gone)
            if target is not None:
                return conflict(file.path, "the branch has a file there now", base, tip)
        if ours == file.before:
            return file
        if ours == file.after and file.source is None:
            return None
        if ours is None:
            return self._rebase_moved(file, stands_on, base, tip, boundary)
        if file.before is None:
            return conflict(file.path, "the branch added another file there", base, tip)
        if file.after is None:
            return conflict(file.path, "the branch changed what is to be deleted", base, tip)
        return self._merged(file, stands_on, ours, base, tip)

    def _rebase_moved(
        self, file: FileChange, stands_on: str, base: str, tip: str, boundary: Boundary
    ) -> FileChange | Rejected | None:
        if file.after is None:
            return None
        moved = None
        if file.source is None:
            moved = self._merger.renamed_to(base, tip, stands_on)
        ours = None if moved is None else self._trees.entry(tip, moved)
        if moved is None or ours is None or isinstance(ours, NotAFile):
            return conflict(stands_on, "the branch deleted it", base, tip)
        fault = boundary.check(moved)
        if fault is not None:
            return fault
        return self._merged(replace(file, path=moved), moved, ours, base, tip)

    def _merged(
        self, file: FileChange, stands_on: str, ours: FileEntry, base: str, tip: str
    ) -> FileChange | Rejected | None:
        assert file.before is not None
        assert file.after is not None
        merged = self._merger.merge_file(stands_on, file.before, ours, file.after)
        if isinstance(merged, Conflict):
            return conflict(merged.path, merged.reason, base, tip, merged.hunks)
        if merged == ours and file.source is None:
            return None
        content = self._blobs.read(merged.oid)
        return replace(file, before=ours, after=merged, size=len(content), sha256=digest(content))


def _check_address(
    envelope: Envelope,
    state: State,
    contracts: Contracts,
    actor: str,
    task_id: str | None,
    attempt_id: str | None,
) -> Rejected | None:
    """Return what is wrong with whom the envelope is from and what it answers, or None."""
    if forbidden := envelope.actions.difference(contracts.agent.actions):
        return Rejected(
            RejectCode.FORBIDDEN_ACTION,
            f"the contract does not allow {min(forbidden)}",
            {"allowed": sorted(contracts.agent.actions)},
        )
    task = state.tasks.get(envelope.task_id)
    if task is None or task_id not in (None, envelope.task_id):
        return Rejected(
            RejectCode.TASK_MISMATCH,
            f"the answer is for task '{envelope.task_id}', the dispatch was for '{task_id}'"
            if task_id
            else f"there is no task '{envelope.task_id}'",
            {"answered": envelope.task_id},
        )
    if attempt_id not in (None, envelope.attempt_id):
        return Rejected(
            RejectCode.ATTEMPT_MISMATCH,
            f"the answer is for attempt '{envelope.attempt_id}', the dispatch was '{attempt_id}'",
            {"answered": envelope.attempt_id},
        )
    attempt = task.attempt
    if attempt is None or attempt.attempt_id != envelope.attempt_id or not attempt.is_active:
        state_now = "unknown" if attempt is None else attempt.state
        if attempt is not None and attempt.attempt_id != envelope.attempt_id:
            state_now = f"not the current one, which is '{attempt.attempt_id}'"
        return Rejected(
            RejectCode.STALE_ATTEMPT,
            f"attempt '{envelope.attempt_id}' is {state_now}",
            {"answered": envelope.attempt_id},
        )
    if attempt.agent != actor:
        return Rejected(
            RejectCode.ATTEMPT_MISMATCH,
            f"attempt '{attempt.attempt_id}' belongs to {attempt.agent}, not to {actor}",
            {"holder": attempt.agent},
        )
    return None


def _by_path(file: FileChange) -> str:
    return file.path


def _mode(update: KeptFile, before: FileEntry | None) -> str:
    if update.executable is not None:
        return "100755" if update.executable else "100644"
    return "100644" if before is None else before.mode
