"""What a policy says of some facts: every rule is asked, and the answers are put together.

Deny beats require, and require beats allow. An error while evaluating denies. A rule that is not
enforced is noted and decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from esaa_git.core.entries import Requirement
from esaa_git.core.events.facts import Effect, Facts, Noted
from esaa_git.core.policy import cel
from esaa_git.core.policy.rules import DEFAULT, Match, Policy, Require, Rule, Seen


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that matches, or that erred, which counts as a denial; `error` says how."""

    rule: Rule
    error: str | None = None

    @property
    def effect(self) -> Effect:
        return self.rule.effect if self.error is None else "deny"

    @property
    def says(self) -> str:
        """What whoever is stopped is told."""
        if self.error is None:
            return self.rule.says
        return f"the rule '{self.rule.name}' could not be evaluated: {self.error}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy says: every rule that matches, in the order of the file.

    `denied_by_default` is set where nothing allows what `default: deny` asks to be allowed.
    """

    hits: tuple[Hit, ...] = ()
    denied_by_default: bool = False

    @property
    def enforced(self) -> tuple[Hit, ...]:
        return tuple(hit for hit in self.hits if hit.rule.mode == "enforce")

    @property
    def denied(self) -> tuple[Hit, ...]:
        """Return what denies."""
        found = tuple(hit for hit in self.enforced if hit.effect == "deny")
        return (*found, _BY_DEFAULT) if self.denied_by_default else found

    @property
    def required(self) -> tuple[Hit, ...]:
        """Return what asks for a consent; nothing where something denies."""
        if self.denied:
            return ()
        return tuple(hit for hit in self.enforced if hit.effect == "require")

    @property
    def warnings(self) -> tuple[Hit, ...]:
        """Return what is said while it goes on."""
        return tuple(hit for hit in self.hits if hit.rule.mode == "warn" and hit.effect != "allow")

    @property
    def effect(self) -> Effect:
        return "deny" if self.denied else "require" if self.required else "allow"

    @property
    def decisions(self) -> tuple[Hit, ...]:
        """Return what is decided by events of their own: what denies, or else what requires."""
        return self.denied or self.required

    @property
    def notes(self) -> tuple[Noted, ...]:
        """Return what is only noted, as the event that was judged records it."""
        return tuple(
            Noted(
                rule=hit.rule.name,
                effect=hit.effect,
                mode="warn" if hit.rule.mode == "warn" else "audit",
                erred=None if hit.error is None else True,
            )
            for hit in self.hits
            if hit.rule.mode != "enforce"
        )


_BY_DEFAULT = Hit(
    Rule(DEFAULT, "proposal", Match(), "deny", message="no rule of POLICY.yaml allows this")
)

ALLOWED = Verdict()
"""What holds where there is no policy."""


def evaluate(policy: Policy, facts: Facts) -> Verdict:
    """Return what a policy says of some facts: of a proposal, or of who is to be asked.

    Raises:
        CelMissing: some rule about such a subject has an expression, and what evaluates it is not
            installed. It is raised whether or not the rest of that rule matches: without the
            library nothing is said of anything.
    """
    subject = facts.subject
    rules = policy.on(subject)
    if policy.needs_cel(subject) and cel.library() is None:
        raise cel.CelMissing
    seen, given = Seen.of(facts), None
    hits: list[Hit] = []
    for rule in rules:
        if rule.match.misses(seen) is not None:
            continue
        error = None
        if rule.when is not None:
            try:
                given = cel.activation(facts) if given is None else given
                if not cel.evaluate(rule.when, given):
                    continue
            except cel.CelFault as fault:
                error = str(fault)
        hits.append(Hit(rule, error))
    enforced = [hit for hit in hits if hit.rule.mode == "enforce"]
    is_open = subject == "proposal" and policy.default == "deny" and not enforced
    return Verdict(tuple(hits), is_open)


def requirements(policy: Policy | None, rules: Sequence[str]) -> tuple[Requirement, ...]:
    """Return what rules that were decided ask for, by the policy in force.

    A rule that is there no longer, or asks for nothing any more, still asks for one approver: what
    was decided stands until the result is judged anew.
    """
    found = []
    for name in rules:
        rule = None if policy is None else policy.by_name.get(name)
        asked = Require() if rule is None or rule.require is None else rule.require
        said = f"the policy asks for it by '{name}'"
        found.append(Requirement(said, asked.role, asked.count, asked.other_than))
    return tuple(found)
