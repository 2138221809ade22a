"""What a person proposed alone: taken from the commit that their result names, and judged.

Of the person's clone nothing counts but the signed event and the tree of that commit. What the tree
changes of the attempt's base is worded as the updates of an answer, and passes what every answer
passes: paths, operations, sizes, names that would be one, the branch as it is now, and checks.

A tree has no renames: a file that went elsewhere is deleted here and written there.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from esaa_git.core import storage
from esaa_git.core.answer import DeleteFile, FileUpdate, WriteFile
from esaa_git.core.contracts import Contracts
from esaa_git.core.events import AgentResult
from esaa_git.core.events.base import encode
from esaa_git.core.events.facts import file_facts
from esaa_git.core.policy_rules import Source
from esaa_git.core.rejection import RejectCode, Rejected, excerpt, of_policy
from esaa_git.core.task import Task
from esaa_git.engine.calls import NO_CALL
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import NOTHING_KEPT, Admission, AgentOutput, Kept, reject
from esaa_git.engine.fit import Unfit, effect_of, fitted
from esaa_git.engine.intentions import ApplyResult
from esaa_git.engine.proof import Proof, Unproven
from esaa_git.engine.proposal import Proposal
from esaa_git.engine.shown import show_rejected
from esaa_git.engine.transaction import Transaction
from esaa_git.errors import CorruptedError, RunHalted
from esaa_git.ports.agent import Answer
from esaa_git.ports.files import NotAFile


@dataclass(frozen=True, slots=True)
class Taken:
    """The effect as it was recorded: the proposal on the branch's tip, and its event's commit."""

    proposal: Proposal
    written: str


@dataclass(frozen=True, slots=True)
class Missing:
    """The commit of a proposal, or what it holds, is not here; `message` says so."""

    message: str


def take_proposed(
    engine: Engine, tx: Transaction, task: Task, proof: Proof | None
) -> Taken | Admission | Unproven:
    """Record the effect that a result of a person alone amounts to, or its rejection.

    Where the proposal has not arrived, nothing is recorded, and the admission says what is waited
    for.
    """
    assert task.attempt is not None
    attempt_id = task.attempt.attempt_id
    given = _result(engine, attempt_id)
    updates = proposed_updates(engine, tx.contracts, given, task.attempt.base)
    if isinstance(updates, Missing):
        return Admission("waiting", task.task_id, attempt_id, updates.message)
    if isinstance(updates, Rejected):
        return take_back(engine, tx, task, Unfit(updates))
    proposal = engine.verifier.resolve(updates, task, tx.contracts)
    if isinstance(proposal, Rejected):
        return take_back(engine, tx, task, Unfit(proposal), _lawful_part(engine, tx, task, updates))
    if proposal.paths != given.paths:
        rejected = Rejected(
            RejectCode.INVALID_VALUE,
            "the result names other paths than its proposal changes",
            {"named": len(given.paths), "changed": len(proposal.paths)},
        )
        return take_back(engine, tx, task, Unfit(rejected))
    shown = effect_of(task, proposal, proposal.onto)
    facts = given.facts
    if facts and (facts.files, facts.lines) != (file_facts(shown.files), shown.changed_lines):
        rejected = Rejected(
            RejectCode.INVALID_VALUE,
            "the facts that the result records for the policy are not those of its proposal",
            {"lines": facts.lines, "changed": shown.changed_lines},
        )
        return take_back(engine, tx, task, Unfit(rejected))
    found = fitted(engine, tx, task, proposal, proof, Source.of_task(task))
    if isinstance(found, Unproven):
        return found
    if isinstance(found, Unfit):
        address = task.task_id, attempt_id
        kept = show_rejected(engine, tx, address, proposal, given.agent or task.attempt.agent)
        return take_back(engine, tx, task, found, kept)
    if not found.proposal.files:
        message = "the branch has all that the proposal changes already"
        return take_back(engine, tx, task, Unfit(Rejected(RejectCode.EMPTY_PROPOSAL, message)))
    write = effect_of(task, found.proposal, proposal.onto, found.results)
    (written, *_) = tx.ask(ApplyResult(task_id=task.task_id, write=write))
    return Taken(found.proposal, written.commit)


def proposed_updates(
    engine: Engine, contracts: Contracts, given: AgentResult, base: str
) -> Sequence[FileUpdate] | Rejected | Missing:
    """Return what the commit that a result names changes of the base, as updates of files."""
    said = given.proposal
    if said is None:
        return Missing(
            f"'{given.attempt_id}' names no commit of what it proposes; its effect is recorded "
            "where it was answered, and comes with the next 'git esaa fetch'"
        )
    try:
        found = engine.effects.proposed(said.commit)
        if found is None:
            return _missing(given, said.commit)
        parent, tree = found
        if tree != said.tree:
            return Rejected(
                RejectCode.INVALID_VALUE,
                f"the result names the tree {said.tree[:12]}, and its proposal has {tree[:12]}",
                {"named": said.tree, "found": tree},
            )
        if parent != base:
            return Rejected(
                RejectCode.BASE_MISMATCH,
                f"the proposal was made for {parent[:12]}, and the attempt for {base[:12]}",
                {"expected": base, "found": parent},
            )
        return _updates(engine, contracts, base, said.commit)
    except KeyError as error:
        return _missing(given, str(error).strip("'"))
    except CorruptedError as error:
        return Rejected(
            RejectCode.INVALID_VALUE, f"the proposal cannot be read: {error.cause or error}"
        )


def _missing(given: AgentResult, oid: str) -> Missing:
    return Missing(
        f"the proposal of '{given.attempt_id}' has not arrived ({oid[:12]} is not here): its "
        "author sends it with 'git esaa push', and 'git esaa fetch' brings it; to give the task "
        f"to another, run 'git esaa issue report --task {given.task_id} --severity high', "
        f"and then 'git esaa task unblock {given.task_id}'"
    )


def _updates(
    engine: Engine, contracts: Contracts, base: str, commit: str
) -> list[FileUpdate] | Rejected:
    policy = contracts.policy
    updates: list[FileUpdate] = []
    for path, after in engine.trees.changes(base, commit):
        if len(updates) == policy.max_files:
            return Rejected(
                RejectCode.TOO_MANY_FILES,
                f"the proposal touches more than the {policy.max_files} files that are allowed "
                + of_policy("max_files_per_proposal"),
                {"allowed": policy.max_files},
            )
        if isinstance(after, NotAFile):
            return Rejected(
                RejectCode.PATH_NOT_A_FILE,
                f"'{excerpt(path)}' cannot be proposed: it is {after.what}",
                {"path": excerpt(path)},
            )
        if after is None:
            updates.append(DeleteFile(path=path))
            continue
        size = engine.blobs.size(after.oid)
        if size > policy.max_file_bytes:
            return Rejected(
                RejectCode.FILE_TOO_LARGE,
                f"'{excerpt(path)}' would have {size} bytes, {policy.max_file_bytes} are allowed "
                + of_policy("max_file_bytes"),
                {"path": excerpt(path), "bytes": size, "allowed": policy.max_file_bytes},
            )
        updates.append(_whole(path, engine.blobs.read(after.oid), after.mode == "100755"))
    return updates


def _whole(path: str, data: bytes, executable: bool) -> WriteFile:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        content = base64.b64encode(data).decode()
        return WriteFile(path=path, content=content, encoding="base64", executable=executable)
    return WriteFile(path=path, content=text, executable=executable)


def _result(engine: Engine, attempt_id: str) -> AgentResult:
    for stored in engine.log.events(newest_first=True):
        payload = stored.event.payload
        if isinstance(payload, AgentResult) and payload.attempt_id == attempt_id:
            return payload
    raise RunHalted(f"the result of '{attempt_id}' is not in the log")


def _lawful_part(
    engine: Engine, tx: Transaction, task: Task, updates: Sequence[FileUpdate]
) -> Kept:
    """Keep of a proposal that is refused what no rule refuses by itself."""
    if not tx.contracts.storage.keep_rejected:
        return NOTHING_KEPT
    assert task.attempt is not None
    policy = tx.contracts.storage

    def exposes(update: FileUpdate) -> bool:
        said = encode(update)
        return bool(storage.redact_value(said, policy) != said)

    lawful, refused = engine.verifier.lawful_part(updates, task, tx.contracts, exposes)
    address = task.task_id, task.attempt.attempt_id
    return show_rejected(engine, tx, address, lawful, task.attempt.agent, refused)


def take_back(
    engine: Engine, tx: Transaction, task: Task, unfit: Unfit, kept: Kept = NOTHING_KEPT
) -> Admission:
    """Reject a result that the branch does not take, and give its task back."""
    assert task.attempt is not None
    attempt = task.attempt
    output = AgentOutput(Answer(b"", 0), attempt.agent, None, task.task_id, attempt.attempt_id)
    return reject(
        engine,
        tx,
        output,
        unfit.rejected,
        NO_CALL,
        closing=True,
        results=unfit.results,
        facts=unfit.facts,
        denied=unfit.denied,
        kept=kept,
    )
