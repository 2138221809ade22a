"""RUNTIME_POLICY.yaml, typed: how long things may take, how often, and what they may cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from esaa_git.core import contract_schemas as schemas
from esaa_git.core.accounts import Budget
from esaa_git.core.duration import duration_ms
from esaa_git.errors import ConfigurationError

RUNTIME_POLICY: Final = "RUNTIME_POLICY.yaml"

DEFAULT_CONTEXT_BYTES: Final = 200_000
"""How many bytes of files a request carries where the policy does not say."""

LESSONS_PER_AUTHOR: Final = 5
"""How many lessons of one author a request carries where the policy does not say."""


QUESTIONS_PER_TASK: Final = 3
"""How many questions the attempts on a task may ask where the policy does not say."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """What a run, a day of UTC, and all tasks of a kind in a run may take."""

    run: Budget | None = None
    day: Budget | None = None
    kind: Mapping[str, Budget] = field(default_factory=dict)


NO_BUDGETS: Final = Budgets()


@dataclass(frozen=True, slots=True)
class RuntimePolicy:
    """RUNTIME_POLICY.yaml. Times are in milliseconds."""

    ttl_ms: int
    max_attempts: int
    cooldown_ms: int
    escalation: Mapping[str, str]
    repeat_medium: int
    max_output_bytes: int
    max_files: int
    max_patch_lines: int
    max_file_bytes: int
    max_context_bytes: int
    snapshots_kept: int
    success_when: str
    on_blocked: str
    lessons_in_request: int
    lessons_of_author: int
    budgets: Budgets = NO_BUDGETS
    approval_ms: int | None = None
    questions_per_task: int = QUESTIONS_PER_TASK


def runtime_policy(document: Mapping[str, Any]) -> RuntimePolicy:
    """Return the policy in a document that meets its schema.

    Raises:
        ConfigurationError: for a duration that is none.
    """
    attempts, limits = document["attempts"], document["limits"]
    escalation = document["escalation"]
    ttl_ms = duration_ms(attempts["ttl"], f"{RUNTIME_POLICY}: attempts/ttl")
    if not ttl_ms:
        raise ConfigurationError(
            f"{RUNTIME_POLICY}: attempts/ttl is no time at all, so no attempt could begin",
            hint="write it as in PT30M",
        )
    return RuntimePolicy(
        ttl_ms=ttl_ms,
        max_attempts=attempts["max_per_task"],
        cooldown_ms=duration_ms(attempts["cooldown"], f"{RUNTIME_POLICY}: attempts/cooldown"),
        escalation={level: escalation[level] for level in schemas.SEVERITIES},
        repeat_medium=escalation["repeat_medium"],
        max_output_bytes=limits["max_output_bytes"],
        max_files=limits["max_files_per_proposal"],
        max_patch_lines=limits["max_patch_lines"],
        max_file_bytes=limits["max_file_bytes"],
        max_context_bytes=limits.get("max_context_bytes", DEFAULT_CONTEXT_BYTES),
        snapshots_kept=document["verification"]["snapshots_kept"],
        success_when=document["run_end"]["success_when"],
        on_blocked=document["run_end"]["on_blocked"],
        lessons_in_request=document["lessons"]["max_in_request"],
        lessons_of_author=document["lessons"].get("max_per_author", LESSONS_PER_AUTHOR),
        budgets=_budgets(document.get("budgets", {})),
        approval_ms=_expiry(document),
        questions_per_task=limits.get("questions_per_task", QUESTIONS_PER_TASK),
    )


def _budgets(document: Mapping[str, Any]) -> Budgets:
    given = {name: Budget.from_json(document[name]) for name in ("run", "day") if name in document}
    kinds = {name: Budget.from_json(one) for name, one in document.get("kind", {}).items()}
    return Budgets(**given, kind=kinds)


def _expiry(document: Mapping[str, Any]) -> int | None:
    """Return how long people have to decide; None where the policy sets no time.

    Raises:
        ConfigurationError: if it is no time at all.
    """
    given = document.get("approvals", {}).get("expire_after")
    if given is None:
        return None
    found = duration_ms(given, f"{RUNTIME_POLICY}: approvals/expire_after")
    if not found:
        raise ConfigurationError(
            f"{RUNTIME_POLICY}: approvals/expire_after is no time at all, so nobody could decide",
            hint="write it as in P3D, or leave it out",
        )
    return found
