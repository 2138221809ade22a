"""Proofs: the checks that a proposed tree has to pass before anything of it is recorded.

Checks take minutes and a transaction takes milliseconds, so they never meet: a transaction that
finds a proposal unproven records nothing and says what has to be run; the caller runs it, and
tries again with the proof. A proof holds for one tree: where the branch moved meanwhile, the
merged tree is another one, and is checked in its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from esaa_git.core import storage
from esaa_git.core.agent_contract import Check
from esaa_git.core.contracts import Contracts
from esaa_git.core.events.fields import CheckResult as RecordedResult
from esaa_git.core.printable import printable
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.engine.engine import Engine
from esaa_git.engine.laying import digest_of, laid, require_pinned
from esaa_git.engine.proposal import Proposal
from esaa_git.errors import ConflictError
from esaa_git.ports.checks import CheckResult
from esaa_git.ports.files import FileEntry

T = TypeVar("T")

MAX_PROOFS = 20
"""How often the tree under a proposal may change while its checks run."""

OUTPUT_SHOWN = 4000
"""How many characters of a failed check's output go back to the agent: the end of it."""


@dataclass(frozen=True, slots=True)
class Unproven:
    """A proposal of which nothing is recorded: its checks, and the tree to run them on."""

    task_id: str
    checks: tuple[Check, ...]
    base: str
    changes: Mapping[str, FileEntry | None]
    laid: Mapping[str, FileEntry | None] = field(compare=False)
    """The same with the pinned files over it: what the checks run on."""
    digests: Mapping[str, str | None] = field(compare=False)
    """The SHA-256 of the pinned program of each check, by its name."""


@dataclass(frozen=True, slots=True)
class Proof:
    """How the checks of one tree ended."""

    of: Unproven
    results: Sequence[CheckResult]


def find_proof(
    engine: Engine,
    contracts: Contracts,
    proof: Proof | None,
    task_id: str,
    checks: tuple[Check, ...],
    proposal: Proposal,
) -> Sequence[CheckResult] | Unproven:
    """Return the results for exactly this proposal, or what has to be run to have them.

    Raises:
        AgentError: if a check names a program that nobody has pinned.
    """
    if not checks:
        return ()
    require_pinned(checks, contracts)
    base, changes = proposal.onto, proposal.tree_changes()
    unproven = Unproven(
        task_id,
        checks,
        base,
        changes,
        laid(engine, contracts, base, changes, checks),
        {check.name: digest_of(check.run, contracts) for check in checks},
    )
    if proof is not None and proof.of == unproven:
        return proof.results
    return unproven


def failed_check(results: Sequence[CheckResult], contracts: Contracts) -> Rejected | None:
    """Return the rejection that a failed check amounts to, or None where all passed."""
    for result in results:
        if result.passed:
            continue
        # Redacted before it is cut: a secret is never cut into a shape that no pattern knows.
        output = storage.redact(printable(result.output), contracts.storage)[-OUTPUT_SHOWN:]
        return Rejected(
            RejectCode.CHECK_FAILED,
            f"the check '{result.name}' failed: {result.reason}",
            {"check": result.name, "reason": result.reason, "output": output},
        )
    return None


def as_recorded(results: Sequence[CheckResult]) -> tuple[RecordedResult, ...]:
    """Return how checks ended as events record it."""
    return tuple(
        RecordedResult(
            name=one.name,
            passed=one.passed,
            duration_ms=one.duration_ms,
            program_sha256=one.program_sha256,
        )
        for one in results
    )


def prove(engine: Engine, unproven: Unproven, pause: Callable[[], None]) -> Proof:
    """Run the checks, with nothing locked.

    Raises:
        AgentError: if they cannot be run here at all.
    """
    found = engine.checker.run(unproven.checks, unproven.base, unproven.laid, pause)
    digests = unproven.digests
    return Proof(
        unproven, tuple(replace(one, program_sha256=digests.get(one.name)) for one in found)
    )


def settled(
    engine: Engine, step: Callable[[Proof | None], T | Unproven], pause: Callable[[], None]
) -> T:
    """Take a step that may need a proof, with as many proofs as it takes.

    Raises:
        ConflictError: if the branch keeps moving while the checks run.
    """
    proof: Proof | None = None
    for _ in range(MAX_PROOFS):
        outcome = step(proof)
        if not isinstance(outcome, Unproven):
            return outcome
        proof = prove(engine, outcome, pause)
    raise moved_too_often()


def moved_too_often() -> ConflictError:
    """Return the error for a branch that never rested while the checks ran."""
    return ConflictError(
        f"the working branch moved {MAX_PROOFS} times while the checks ran",
        hint="repeat the command when less is going on, or make the checks faster",
    )
