"""Cases: examples that say what a policy has to answer, kept with it or in a file of their own.

They are tests for people who edit the rules. Those in POLICY.yaml itself are pinned with it, and a
version of the CEL library other than the one that `run.init` names has to pass them before it
evaluates anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from esaa_git.core.policy import cel
from esaa_git.core.policy.evaluate import Verdict, evaluate
from esaa_git.core.policy.rules import Case, Policy


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What the policy answers to one case, and how that differs from what the case expects."""

    case: Case
    verdict: Verdict
    fault: str | None = None


def try_cases(policy: Policy, cases: Sequence[Case]) -> tuple[CaseResult, ...]:
    """Return what the policy answers to each case.

    Raises:
        CelMissing: as `evaluate`.
    """
    found = []
    for case in cases:
        verdict = evaluate(policy, case.facts)
        found.append(CaseResult(case, verdict, _fault(case, verdict)))
    return tuple(found)


def _fault(case: Case, verdict: Verdict) -> str | None:
    if verdict.effect != case.expect:
        decided = [hit.rule.name for hit in verdict.decisions]
        by = f" by {', '.join(decided)}" if decided else ""
        return f"expected {case.expect}, and the policy says {verdict.effect}{by}"
    matched = tuple(hit.rule.name for hit in verdict.hits)
    if case.rules is not None and set(case.rules) != set(matched):
        wanted, found = _listed(case.rules), _listed(matched)
        return f"expected the rules {wanted}, and those that match are {found}"
    return None


def _listed(rules: Sequence[str]) -> str:
    return ", ".join(rules) or "none"


def require_library(policy: Policy, pinned: str | None) -> None:
    """Refuse to evaluate expressions by a library that is not there, or answers otherwise.

    Args:
        pinned: name and version of the library that `run.init` recorded.

    Raises:
        CelMissing: it is not installed, or another version does not pass the policy's own cases.
    """
    here = cel.library()
    if here is None:
        raise cel.CelMissing
    if here != pinned and not _passes(policy):
        raise cel.CelMissing(
            f"{here} answers the cases of '.roadmap/POLICY.yaml' otherwise than they say",
            cause=f"the log pins {pinned or 'no version'}",
            hint=f"install the version that the log pins: {pinned or cel.PACKAGE}",
        )


@lru_cache(maxsize=16)
def _passes(policy: Policy) -> bool:
    return all(result.fault is None for result in try_cases(policy, policy.cases))
