"""What is doubtful in a policy that can be used: names that there are not, and idle rules.

The contracts beside it tell which kinds, agents, paths and sizes there can be at all. A rule that
is named here does no harm; it does not do what its author thinks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Final

from esaa_git.core.contracts import Contracts
from esaa_git.core.events.base import replace
from esaa_git.core.events.facts import Facts, FileFact
from esaa_git.core.events.spec import is_person
from esaa_git.core.globs import GlobSet, overlaps
from esaa_git.core.policy import cel
from esaa_git.core.policy.rules import Policy, Rule


@dataclass(frozen=True, slots=True)
class Finding:
    """What is doubtful about a rule; `place` is its line and column."""

    rule: str
    place: tuple[int, int]
    message: str


def survey(policy: Policy, contracts: Contracts) -> tuple[Finding, ...]:
    """Return what is doubtful in a policy beside these contracts, in the order of the rules.

    Raises:
        CelMissing: a rule has an expression, and what evaluates it is not installed.
    """
    return tuple(
        Finding(rule.name, rule.place, message)
        for rule in policy.rules
        for message in _of_rule(rule, policy, contracts)
    )


def _of_rule(rule: Rule, policy: Policy, contracts: Contracts) -> Iterator[str]:
    kinds, agents = contracts.agent.kinds, contracts.swarm.agents
    unknown = [
        *_unknown("kind", rule.match.kind, kinds),
        *_unknown("agent", [one for one in rule.match.agent or () if not is_person(one)], agents),
    ]
    yield from unknown
    if not unknown:
        never = _never(rule, contracts)
        if never is not None:
            yield f"it never matches: {never}"
    beaten = _beaten_by(rule, policy)
    if beaten is not None:
        yield f"it never decides: '{beaten}' denies all that it matches"
    yield from _errs(rule)
    if rule.effect == "allow" and rule.mode == "enforce" and policy.default == "allow":
        yield "it changes nothing: what no rule denies is allowed without it"


_BARE: Final = Facts(task_id="T-1", kind="any", agent="any", lines=0, files=())
_ONE_FILE: Final = replace(
    _BARE,
    lines=1,
    files=(FileFact(path="a", change="modify", before_mode="100644", mode="100644"),),
)


def _errs(rule: Rule) -> Iterator[str]:
    """Yield how an expression errs on the simplest proposals that its rule may be asked of."""
    if rule.when is None or rule.on != "proposal":
        return
    match = rule.match
    needs_files = match.paths or match.operations or (match.files and match.files.more_than >= 0)
    asked = [("with one file", _ONE_FILE)]
    if not needs_files:
        asked.append(("without files", _BARE))
    for what, facts in asked:
        try:
            cel.evaluate(rule.when, cel.activation(facts))
        except cel.CelFault as fault:
            yield f"it errs on a proposal {what}, and an error denies: {fault}"
            return


def _unknown(what: str, names: Collection[str] | None, known: Collection[str]) -> Iterator[str]:
    for name in names or ():
        if any(fnmatchcase(one, name) for one in known):
            continue
        near = get_close_matches(name, known, 1, 0.6)
        meant = f"did you mean '{near[0]}'?" if near else f"there is {', '.join(sorted(known))}"
        yield f"there is no {what} '{name}'; {meant}"


def _never(rule: Rule, contracts: Contracts) -> str | None:
    """Return why no proposal under these contracts can match, where that is plain."""
    match, limits = rule.match, contracts.policy
    if match.lines is not None and match.lines.more_than >= limits.max_patch_lines:
        return f"no proposal has more than {limits.max_patch_lines} lines"
    if match.files is not None and match.files.more_than >= limits.max_files:
        return f"no proposal has more than {limits.max_files} files"
    prohibited = contracts.agent.prohibited_operations
    if match.operations is not None and prohibited.issuperset(match.operations):
        return f"the contract prohibits {', '.join(match.operations)} for every kind"
    if match.globs is None:
        return None
    kinds = [
        kind
        for name, kind in contracts.agent.kinds.items()
        if match.kind is None or any(fnmatchcase(name, one) for one in match.kind)
    ]
    if not any(overlaps(match.globs, GlobSet(kind.write_patterns)) for kind in kinds):
        return "no kind that it is about may write such a path"
    return None


def _beaten_by(rule: Rule, policy: Policy) -> str | None:
    """Return the rule that denies all that this one matches, before it has anything to say."""
    if rule.mode != "enforce":
        return None
    for other in policy.rules:
        if other is rule:
            if rule.effect == "deny":
                return None  # Of two that deny the same, the first one is not idle.
            continue
        decides = other.mode == "enforce" and other.effect == "deny" and other.when is None
        if decides and other.on == rule.on and other.match.includes(rule.match):
            return other.name
    return None
