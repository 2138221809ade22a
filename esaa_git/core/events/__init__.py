"""The vocabulary: one module an event type, gathered here into one closed table.

An awkward word of the protocol is kept (`orchestrator.view.mutate`), with a comment where it is
defined.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from esaa_git.core.events import (
    agent_heartbeat,
    agent_result,
    approval,
    attempt_create,
    attempt_timeout,
    dispatch,
    emergency_override,
    file_write,
    health,
    issue_report,
    lesson_record,
    output_rejected,
    policy_decision,
    run_end,
    run_init,
    task_create,
    task_update,
    verification,
    view_mutate,
)
from esaa_git.core.events.spec import ActionSpec

ACTIONS: Mapping[str, ActionSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            run_init.SPEC,
            task_create.SPEC,
            task_update.SPEC,
            attempt_create.SPEC,
            attempt_timeout.SPEC,
            dispatch.SPEC,
            agent_result.SPEC,
            issue_report.SPEC,
            agent_heartbeat.SPEC,
            lesson_record.SPEC,
            output_rejected.SPEC,
            file_write.SPEC,
            view_mutate.SPEC,
            verification.START,
            verification.OK,
            verification.FAIL,
            run_end.SPEC,
            emergency_override.SPEC,
            health.SPEC,
            policy_decision.SPEC,
            approval.REQUEST,
            approval.GRANT,
            approval.DENY,
        )
    }
)
