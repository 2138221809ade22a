"""The policy: looked over, tried on cases and on the history, and explained for a task.

Nothing here records anything. The draft is `.roadmap/POLICY.yaml` as it stands in the checkout.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esaa_git.app.project import has_log
from esaa_git.app.roadmap import ROADMAP, read_contracts
from esaa_git.core.contracts import POLICY, Contracts
from esaa_git.core.events import AgentResult, OutputRejected
from esaa_git.core.events.base import encode
from esaa_git.core.events.facts import Facts
from esaa_git.core.policy.cases import CaseResult, try_cases
from esaa_git.core.policy.document import check_expressions, decode_cases, decode_policy
from esaa_git.core.policy.history import Answer, answer, proposals
from esaa_git.core.policy.rules import Policy, Rule, Seen
from esaa_git.core.policy_rules import judge
from esaa_git.core.policy_survey import Finding, survey
from esaa_git.errors import NoLog, RepositoryError, UsageError
from esaa_git.trust.roles import approvers

if TYPE_CHECKING:
    from esaa_git.app.project import Project

DRAFT = f"{ROADMAP}/{POLICY}"
File = tuple[bytes, str]
"""The bytes of a file that was named, and how it is called."""

_EVENT = re.compile(r"EV-([0-9]{8,16})")


@dataclass(frozen=True, slots=True)
class Looked:
    """A policy that can be used: how much it says, and what is doubtful in it."""

    name: str
    policy: Policy
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "file": self.name,
            "rules": len(self.policy.rules),
            "cases": len(self.policy.cases),
            "findings": [
                {
                    "rule": one.rule,
                    "line": one.place[0],
                    "column": one.place[1],
                    "message": one.message,
                }
                for one in self.findings
            ],
        }


def look_over(project: Project, file: File | None = None) -> Looked:
    """Return what is doubtful in a policy, beside the contracts of the checkout.

    Args:
        file: which; by default the draft.

    Raises:
        RepositoryError: there is none.
        ConfigurationError: it cannot be used; with line and column.
        CelMissing: it has an expression, and nothing here compiles it.
    """
    contracts = read_contracts(project.repository)
    data, name = file or _draft(contracts)
    policy = decode_policy(data, name)
    check_expressions(policy, name)
    findings = (*survey(policy, contracts), *_too_few(policy, contracts))
    return Looked(name, policy, tuple(sorted(findings, key=lambda one: one.place)))


def _too_few(policy: Policy, contracts: Contracts) -> Iterator[Finding]:
    """Yield the rules that ask for more people than the contracts name."""
    for rule in policy.rules:
        wanted = rule.require
        if wanted is None:
            continue
        there = len(approvers(contracts, wanted.role))
        if there < wanted.count:
            message = (
                f"it asks for {wanted.count} people who are {wanted.role}, and allowed_signers "
                f"names {there}"
            )
            yield Finding(rule.name, rule.place, message)


def try_on_cases(project: Project, cases: File | None = None) -> tuple[CaseResult, ...]:
    """Return what the draft answers to cases: its own, or those of a file.

    Raises:
        UsageError: there is no case.
        RepositoryError, ConfigurationError, CelMissing: as `look_over`.
    """
    data, name = _draft(read_contracts(project.repository))
    policy = decode_policy(data, name)
    check_expressions(policy, name)
    found = policy.cases if cases is None else decode_cases(*cases, policy)
    if not found:
        raise UsageError(
            f"'{cases[1] if cases else name}' has no case to try",
            hint="write some under 'cases', or try the history: 'git esaa policy test --history'",
        )
    return try_cases(policy, found)


@dataclass(frozen=True, slots=True)
class Tried:
    """The draft over the proposals on record.

    Attributes:
        answers: oldest first; of all, or of those that the policy in force answers otherwise.
        count: how many proposals were looked at; `without_facts` have none on record.
        before: what the policy in force says, by the event, where it was asked too.
    """

    answers: tuple[Answer, ...]
    count: int
    without_facts: int
    before: dict[str, Answer]

    def effects(self) -> Counter[str]:
        """Return how many proposals the draft would have denied, asked for, or let be."""
        return Counter(one.verdict.effect for one in self.answers)

    def to_json(self) -> dict[str, Any]:
        return {
            "proposals": self.count,
            "without_facts": self.without_facts,
            "answers": [
                {
                    **answer_json(one),
                    **(
                        {"in_force": answer_json(self.before[one.event_id])}
                        if one.event_id in self.before
                        else {}
                    ),
                }
                for one in self.answers
            ],
        }


def answer_json(one: Answer) -> dict[str, Any]:
    """Return an answer as `--json` prints it."""
    effect, by = one.said
    return {
        "event_id": one.event_id,
        "ts": one.ts,
        "attempt_id": one.attempt_id,
        "became": one.became,
        "effect": effect,
        "by": list(by),
        "matched": [
            {"rule": hit.rule.name, "effect": hit.effect, "mode": hit.rule.mode, "error": hit.error}
            for hit in one.verdict.hits
        ],
    }


def try_on_history(project: Project, since: str | None = None, *, diff: bool = False) -> Tried:
    """Return what the draft says of every proposal whose facts are on record.

    Args:
        since: an event; those before it are left out.
        diff: only what the policy in force answers otherwise.

    Raises:
        NoLog: there is no history.
        UsageError: for a `since` that is no event's id.
        RepositoryError, ConfigurationError, CelMissing: as `look_over`.
    """
    data, name = _draft(read_contracts(project.repository))
    policy = decode_policy(data, name)
    check_expressions(policy, name)
    if not has_log(project):
        raise NoLog
    state, in_force = project.log.load()
    answers, before, count, bare = [], {}, 0, 0
    first = 1 if since is None else _seq(since)
    for event, facts in proposals(_back_to(project, first, state.seq)):
        count += 1
        if facts is None:
            bare += 1
            continue
        found = answer(policy, event, facts)
        if diff:
            then = answer(in_force.guard, event, facts)
            if (then.said, then.matched) == (found.said, found.matched):
                continue
            before[found.event_id] = then
        answers.append(found)
    return Tried(tuple(reversed(answers)), count, bare, before)


def _back_to(project: Project, first: int, last: int) -> Iterator[Any]:
    """Yield the events from the newest to the first that is asked for."""
    for stored in project.log.events(newest_first=True):
        seq = stored.event.seq
        if seq < first:
            break
        if seq % 1000 == 0:
            project.observer.progress(last - seq, last - first + 1)
        yield stored.event
    project.observer.progress(1, 1)


@dataclass(frozen=True, slots=True)
class Explained:
    """What the policy in force says of a task's last proposal, rule by rule.

    `rules` has each with the first condition that does not hold; None where it matches.
    """

    answer: Answer
    rules: tuple[tuple[Rule, str | None], ...]
    policy: Policy | None

    def to_json(self) -> dict[str, Any]:
        return {
            **answer_json(self.answer),
            "facts": encode(self.answer.facts),
            "rules": [
                {"rule": rule.name, "mode": rule.mode, "matches": missed is None, "missed": missed}
                for rule, missed in self.rules
            ],
        }


def explain(project: Project, task_id: str) -> Explained:
    """Return what the policy in force says of the last proposal for a task, and why.

    Raises:
        NoLog: there is no log.
        UsageError: there is no such task, or nothing with facts was proposed for it.
        CelMissing: as `look_over`.
    """
    if not has_log(project):
        raise NoLog
    state, contracts = project.log.load()
    if task_id not in state.tasks:
        raise UsageError(
            f"no task '{task_id}'", hint="run 'git esaa task list' to see the tasks there are"
        )
    for event, facts in proposals(one.event for one in project.log.events(newest_first=True)):
        payload = event.payload
        assert isinstance(payload, AgentResult | OutputRejected)
        if payload.task_id == task_id and facts is not None:
            found = answer(contracts.guard, event, facts)
            return Explained(found, _rules(contracts, facts), contracts.guard)
    raise UsageError(
        f"nothing was proposed for '{task_id}' that a policy could see",
        hint=f"run 'git esaa log --task {task_id}' to see what there is of it",
    )


def _rules(contracts: Contracts, facts: Facts) -> tuple[tuple[Rule, str | None], ...]:
    guard = contracts.guard
    if guard is None:
        return ()
    matching = {hit.rule.name for hit in judge(contracts, facts).hits}
    seen = Seen.of(facts)
    found = []
    for rule in guard.on("proposal"):
        missed = rule.match.misses(seen)
        if missed is None and rule.name not in matching:
            missed = "when"
        found.append((rule, missed))
    return tuple(found)


def _draft(contracts: Contracts) -> File:
    data = contracts.files.get(POLICY)
    if data is None:
        raise RepositoryError(
            f"there is no '{DRAFT}'", hint="run 'git esaa init' to write the missing contracts"
        )
    return data, DRAFT


def _seq(event_id: str) -> int:
    match = _EVENT.fullmatch(event_id)
    if match is None:
        raise UsageError(f"'{event_id}' is no event", hint="name one as in EV-00000042")
    return int(match.group(1))
