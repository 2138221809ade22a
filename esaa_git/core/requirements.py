"""What a result needs of others before it takes effect: the one list that a request carries."""

from __future__ import annotations

from esaa_git.core.contracts import Contracts
from esaa_git.core.entries import Requirement
from esaa_git.core.events.approval import REVIEWER
from esaa_git.core.events.spec import APPROVER, same_person
from esaa_git.core.judges import REVIEW_BY_A_PERSON, review_of
from esaa_git.core.policy.evaluate import requirements as by_policy
from esaa_git.core.task import Task


def requirements(task: Task, contracts: Contracts) -> tuple[Requirement, ...]:
    """Return all that a result of this task needs of others before it takes effect."""
    kind = contracts.agent.kinds.get(task.kind)
    planned = task.review or task.reviewer is not None
    found = []
    if planned or (kind is not None and review_of(kind, contracts) != "none"):
        rule = (
            "the plan requires a review of this task"
            if planned
            else "the contract requires a review of this kind of task"
        )
        role = APPROVER if reviewer_of(task, contracts) is None else REVIEWER
        found.append(Requirement(rule, role))
    judged = () if task.judged is None else task.judged.required
    return (*found, *by_policy(contracts.guard, judged))


def of_budgets() -> tuple[Requirement, ...]:
    """Return who has to agree to more of a budget than the contracts allow."""
    return (Requirement("a budget has no room", APPROVER),)


def needs_review(task: Task, contracts: Contracts) -> bool:
    """Answer whether a result of this task waits for others to agree."""
    return bool(requirements(task, contracts))


def reviewer_of(task: Task, contracts: Contracts) -> str | None:
    """Return the agent that may decide on a result of this task, or None where a person has to.

    No one approves their own work: where the reviewer made the attempt, a person has to as well.
    Where a person has a task undone, no agent is asked.
    """
    kind = contracts.agent.kinds.get(task.kind)
    if kind is None or task.undoes is not None:
        return None
    if task.review or review_of(kind, contracts) == REVIEW_BY_A_PERSON:
        return None
    name = task.reviewer or contracts.swarm.reviewers.get(task.kind)
    if name is not None and is_own_work(task, name, contracts):
        return None
    return name


def is_own_work(task: Task, name: str, contracts: Contracts) -> bool:
    """Answer whether the last attempt on a task is this actor's, or that of whom they stand for."""
    owner = contracts.swarm.owner
    return task.attempt is not None and same_person(owner(task.attempt.agent), owner(name))
