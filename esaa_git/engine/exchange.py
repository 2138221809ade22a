"""What was said to an agent and by it: what the record keeps of it, and what it took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from esaa_git.core import secrets, storage
from esaa_git.core.contracts import Contracts, StoragePolicy
from esaa_git.core.events.base import decode, values
from esaa_git.core.events.base import replace as replace_record
from esaa_git.core.events.facts import Facts
from esaa_git.core.events.fields import (
    Exchange,
    ExchangePart,
    LeftOut,
    LeftOutFile,
    NotKept,
    Proposed,
    RefusedExchange,
    SpokenExchange,
    Try,
    Usage,
)
from esaa_git.core.events.output_rejected import Output
from esaa_git.core.policy.evaluate import Hit
from esaa_git.core.proposal import is_of_setup
from esaa_git.core.rejection import MAX_NAMED, RejectCode, Rejected, excerpt, filter_of
from esaa_git.core.said import MalformedRefusal, Refusal, encode
from esaa_git.engine.calls import CallResult
from esaa_git.engine.engine import Engine
from esaa_git.engine.intentions import Reject
from esaa_git.engine.proof import as_recorded
from esaa_git.engine.salts import kept_part, opened, salt_for
from esaa_git.engine.transaction import Transaction
from esaa_git.errors import RefusedError
from esaa_git.ports.agent import Answer, Request
from esaa_git.ports.branch import InTheWay
from esaa_git.ports.checks import CheckResult


@dataclass(frozen=True, slots=True)
class AgentOutput:
    """An answer to be admitted, and what is known of how it came about.

    `is_final` says that the agent is gone: an answer without a result then ends its attempt.
    `agent` is who answered under the key of the person that is the actor. `salt` is that of the
    dispatch; what nobody was dispatched for gets one of its own.
    """

    answer: Answer
    actor: str
    request: Request | None = None
    task_id: str | None = None
    attempt_id: str | None = None
    model: str | None = None
    is_final: bool = False
    agent: str | None = None
    salt: bytes | None = None

    def storage(self, contracts: Contracts) -> StoragePolicy:
        """Return what may be kept of it, the values that the agent was given left out."""
        return replace(contracts.storage, handed=tuple(secrets.told(self.answer.handed)))

    @property
    def failure(self) -> Rejected | None:
        """What the agent's own failure amounts to, where it failed."""
        answer = self.answer
        if answer.failure is None:
            return None
        code = RejectCode(answer.code or RejectCode.AGENT_FAILED)
        return Rejected(code, answer.failure, dict(answer.detail))


def call_result(engine: Engine, contracts: Contracts, output: AgentOutput) -> CallResult:
    """Store what STORAGE_POLICY lets us keep of a call, and return what events record of it."""
    answer, policy = output.answer, output.storage(contracts)
    exchange = _exchange(engine, contracts, output)
    left_out = _left_out(contracts, policy, answer.left_out)
    if output.request is None:
        return CallResult(exchange=exchange, model=answer.model, left_out=left_out)
    tries: list[dict[str, Any]] = storage.redact_value([dict(one) for one in answer.tries], policy)
    return CallResult(
        exchange=exchange,
        model=answer.model,
        usage=decode(Usage, answer.usage) if answer.usage else None,
        latency_ms=answer.latency_ms,
        tries=tuple(decode(Try, one) for one in tries) or None,
        left_out=left_out,
    )


def _left_out(contracts: Contracts, policy: StoragePolicy, paths: Sequence[str]) -> LeftOut | None:
    """Return what an agent made and its output does not hold, as events record it."""
    by_products = contracts.agent.by_products
    return named(
        LeftOutFile(
            path=excerpt(storage.redact(path, policy), 400),
            why="by-product" if by_products.matches(path.rstrip("/")) else "ignored",
        )
        for path in paths
    )


def named(files: Iterable[LeftOutFile], more: LeftOut | None = None) -> LeftOut | None:
    """Return files that are left out as they are recorded, after `more`: the first of them by name.

    None where there are none.
    """
    found = list(files)
    count = len(found) + (0 if more is None else more.count)
    shown = (*(() if more is None else more.files), *found)[:MAX_NAMED]
    return LeftOut(count=count, files=tuple(shown)) if count else None


def _exchange(engine: Engine, contracts: Contracts, output: AgentOutput) -> Exchange | None:
    policy = output.storage(contracts)
    salt = output.salt or salt_for(policy, engine.draw)
    if salt is None:
        return None
    request = None
    if output.request is not None:
        request = _kept(engine, policy, salt, output.request.sent, policy.request)
    response = _kept(engine, policy, salt, output.answer.output, policy.response)
    if request is None and response is None:
        return None
    return Exchange(salt=engine.blobs.write(salt), request=request, response=response)


def _kept(
    engine: Engine, policy: StoragePolicy, salt: bytes, data: bytes, how: str
) -> ExchangePart | None:
    named = storage.part(data, how, salt)
    if named is None:
        return None
    part = decode(ExchangePart, named)
    stored = storage.kept(data, how, policy)
    if stored is None:
        return part
    altered = None if stored == data else True
    return replace_record(part, blob=engine.blobs.write(stored), altered=altered)


@dataclass(frozen=True, slots=True)
class Kept:
    """What was kept of the files of a rejected answer, and what was not."""

    proposal: Proposed | None = None
    not_kept: tuple[NotKept, ...] = ()


NOTHING_KEPT = Kept()


_DETAIL_SHOWN: Final = 4000
_MESSAGE: Final = 2000


def _bounded(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Return the end of what a program said; it was redacted as a whole before."""
    return {
        key: value[-_DETAIL_SHOWN:] if isinstance(value, str) else value
        for key, value in detail.items()
    }


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of an answer.

    `kind` is `done`, `waiting` (for a review, a person's uncommitted work, or, where the
    orchestrator's key is elsewhere, its next run), `rejected` (with `of_setup` for how the
    repository is set up: no attempt is spent), `unavailable` (its service was
    away; no attempt is spent), `issue`, `question`, `noted` (a heartbeat or lesson) or `repeated`.
    """

    kind: str
    task_id: str
    attempt_id: str
    message: str = ""
    rejected: Rejected | None = None
    of_setup: bool = False
    effect_commit: str | None = None
    issue_id: str | None = None
    question_id: str | None = None
    in_the_way: tuple[InTheWay, ...] = ()
    left_out: LeftOut | None = None


def redacted(rejected: Rejected, policy: StoragePolicy) -> Rejected:
    """Return a refusal as it is recorded and told."""
    return Rejected(
        rejected.code,
        storage.redact(rejected.message, policy),
        _bounded(storage.redact_value(dict(rejected.detail), policy)),
    )


def refused(
    engine: Engine,
    rejected: Rejected,
    exchange: Exchange | None,
    *,
    salt: bytes | None = None,
    preview: str = "",
) -> RefusedExchange:
    """Keep why an answer was refused beside what was said, and return how events name both.

    It is kept whatever STORAGE_POLICY says of requests and responses: the next attempt is told it.

    Args:
        rejected: `redacted`, since it is kept whole.
        salt: where nothing was recorded of what was said, that of the dispatch.
        preview: how the answer began.
    """
    said, salt = opened(engine.blobs, exchange, salt, engine.draw)
    message, detail = rejected.message[:_MESSAGE], dict(rejected.detail)
    try:
        words = encode(Refusal(message=message, detail=detail, preview=preview))
    except MalformedRefusal as error:
        raise RefusedError("the refusal cannot be recorded", cause=str(error)) from error
    return RefusedExchange(**values(said), refusal=kept_part(engine.blobs, salt, words))


def spoken(engine: Engine, output: AgentOutput, call: CallResult, words: str) -> SpokenExchange:
    """Keep a reviewer's words, or a question, and return how the event names what was said.

    Args:
        words: redacted, since they are kept whole.
    """
    said, salt = opened(engine.blobs, call.exchange, output.salt, engine.draw)
    return SpokenExchange(**values(said), text=kept_part(engine.blobs, salt, words.encode()))


def reject(
    engine: Engine,
    tx: Transaction,
    output: AgentOutput,
    rejected: Rejected,
    call: CallResult,
    *,
    closing: bool = False,
    results: Sequence[CheckResult] = (),
    facts: Facts | None = None,
    denied: tuple[Hit, ...] = (),
    kept: Kept = NOTHING_KEPT,
    approval_id: str | None = None,
) -> Admission:
    """Record the reject signal for an answer, and say so.

    Args:
        call, closing, approval_id: as in `Reject`.
        results: how the checks ended that were run before the refusal.
        facts, denied: what policy saw of its proposal, and which rules deny it.
        kept: what of its files was kept.
    """
    task_id, attempt_id = output.task_id, output.attempt_id
    if task_id is None or attempt_id is None or task_id not in tx.state.tasks:
        return Admission("rejected", task_id or "", attempt_id or "", rejected=rejected)
    if tx.alone:
        return Admission("rejected", task_id, attempt_id, rejected.message, rejected=rejected)
    policy, raw = output.storage(tx.contracts), output.answer.output
    safe = redacted(rejected, policy)
    task = tx.state.tasks[task_id]
    is_open = approval_id is None and task.active_attempt is not None
    of_setup = is_open and is_of_setup(filter_of(safe), task.rejection)
    preview = storage.preview(raw, policy)
    tx.ask(
        Reject(
            task_id=task_id,
            attempt_id=attempt_id,
            code=safe.code,
            filter=filter_of(safe),
            exchange=refused(engine, safe, call.exchange, salt=output.salt, preview=preview),
            output=Output(sha256=call.response_sha256, bytes=len(raw)),
            call=call,
            results=as_recorded(results),
            proposal=kept.proposal,
            not_kept=kept.not_kept,
            approval_id=approval_id,
            facts=facts,
            denied=denied,
            closing=closing,
        )
    )
    return Admission(
        "rejected",
        task_id,
        attempt_id,
        safe.message,
        rejected=safe,
        of_setup=of_setup,
        left_out=call.left_out,
    )
