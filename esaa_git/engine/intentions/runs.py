"""The run: begun, added to, verified and ended."""

from __future__ import annotations

from collections.abc import Sequence

from esaa_git.core.contracts import Contracts
from esaa_git.core.events.base import Record
from esaa_git.core.events.fields import (
    TaskChanges,
    TaskDefinition,
)
from esaa_git.core.events.run_end import RunResult
from esaa_git.ports.checks import Audit


class StartRun(Record):
    """Open a run on a branch, with the tasks that are new, and amend those of before.

    Attributes:
        base: the branch's tip, None where there is no such branch.
        contracts: what the run is to pin.
        tasks: each after those of them that it depends on.
        amended: task and changes.
        signer: the person who begins it; None where it is the orchestrator's to begin.
    """

    project: str
    branch: str
    base: str | None
    contracts: Contracts
    tasks: tuple[TaskDefinition, ...]
    amended: tuple[tuple[str, TaskChanges], ...] = ()
    by: str | None = None
    signer: str | None = None


class ChangePlan(Record):
    """Add tasks to the open run, and amend others."""

    tasks: tuple[TaskDefinition, ...]
    amended: tuple[tuple[str, TaskChanges], ...]
    by: str | None = None


class StopRun(Record):
    """End the open run as halted, because a person says so.

    `signer` is that person where no orchestrator's key is at hand that could record it.
    """

    reason: str
    by: str
    signer: str | None = None


class StartVerification(Record):
    """Begin to verify the log up to here, before the run ends."""


class EndRun(Record):
    """End the run after an audit that holds."""

    audit: Audit
    result: RunResult
    reason: str


class FailVerification(Record):
    """Halt the run after an audit that does not hold.

    Attributes:
        snapshots: the refs that keep log and branch as they were found.
        recovery: the command that goes back to the last verified point.
    """

    audit: Audit
    snapshots: Sequence[str]
    recovery: str
