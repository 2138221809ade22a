"""JSON Schemas of the files that people edit in `.roadmap/`."""

from __future__ import annotations

from typing import Any

from esaa_git.core.events import facts
from esaa_git.core.events.base import schema_of
from esaa_git.core.events.fields import Check, Limits, TaskDefinition
from esaa_git.core.events.spec import (
    ADMIN,
    APPROVER,
    BOOLEAN,
    NAME,
    ROLES,
    TASK_ID,
    array,
    choice,
    integer,
    line,
    record,
    text,
)
from esaa_git.core.limits import EXCHANGE_PART
from esaa_git.core.state import SCHEMA_VERSION

SEVERITIES = ("low", "medium", "high", "critical")
AGENT_ACTIONS = ("agent.result", "issue.report", "agent.heartbeat", "lesson.record", "question.ask")

_VERSION = {"schema_version": choice(SCHEMA_VERSION)}
_GLOBS = array(line(500), most=1000)
_PIN = array(line(500), most=200)
"""Files that belong to programs which act or judge, as globs."""
_DURATION = line(40)
_KEPT = choice("full", "digest", "none")
GIVEN: dict[str, Any] = {
    "env": array(line(200), most=200),
    "hosts": array(line(255), most=200),
    "read": array(line(1000), most=200),
    "limits": record(
        {},
        {
            "memory_bytes": integer(1 << 20, 1 << 50),
            "processes": integer(1, 100_000),
            "disk_bytes": integer(1 << 12, 1 << 50),
        },
    ),
}
"""What may be given to a program of this machine that is an agent or sets up a project."""
_ACTION = choice("log", "flag", "block", "halt")
_PACKAGE = {
    "type": "string",
    "pattern": "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$(?!\\n)",
    "maxLength": 100,
}
"""The name of a package as indexes of Python packages have it."""


def _named(entry: dict[str, Any], *, least: int = 1) -> dict[str, Any]:
    return {
        "type": "object",
        "propertyNames": NAME,
        "additionalProperties": entry,
        "minProperties": least,
    }


_SETUP = array(
    record(
        {"run": array(text(10_000), least=1, most=1000)},
        {
            **GIVEN,
            "keys": array(line(500), most=200),
            "provides": array(line(500, 1), most=100),
            "path": array(line(500, 1), most=50),
            "variables": {
                "type": "object",
                "propertyNames": line(200, 1),
                "additionalProperties": text(10_000),
                "maxProperties": 50,
            },
            "timeout": _DURATION,
        },
    ),
    most=20,
)
"""The commands that make what a kind or an agent works in (`esaa_git.core.setup`).

That of a kind is for checks and reviewers as well; that of an agent for itself alone.
"""

BUDGET: dict[str, Any] = {**schema_of(Limits), "minProperties": 1}
"""What may be spent at most."""

AGENT_CONTRACT = record(
    {
        **_VERSION,
        "actions": array(choice(*AGENT_ACTIONS), least=1),
        "kinds": _named(
            record(
                {"write": _GLOBS, "read": _GLOBS, "review": choice("none", "required", "agent")},
                {
                    "checks": array(schema_of(Check), most=20),
                    "context": _GLOBS,
                    "opens": _GLOBS,
                    "outside": choice("reject", "drop"),
                    "retry": choice("continue", "anew"),
                    "setup": _SETUP,
                },
            )
        ),
        "prohibitions": record(
            {"paths": _GLOBS, "operations": array(choice("delete", "rename", "executable"))},
            {"self_running": integer(1)},
        ),
    },
    {"pin": _PIN, "by_products": _GLOBS},
)

_ROLES = array(choice(*ROLES), least=1)
_LOG_ID = "^(imported-[1-9][0-9]{0,15}-([0-9a-f]{32}-)?)?[0-9a-f]{32}$"

ORCHESTRATOR_CONTRACT = record(
    {
        **_VERSION,
        "signing": {
            "type": "object",
            "additionalProperties": _ROLES,
        },
        "invariants": array(line(20)),
        "attribution": record({"assisted_by": BOOLEAN}),
    },
    {"foreign_logs": array({"type": "string", "pattern": _LOG_ID}, most=100)},
)

RUNTIME_POLICY = record(
    {
        **_VERSION,
        "attempts": record(
            {"ttl": _DURATION, "max_per_task": integer(1, 1000), "cooldown": _DURATION}
        ),
        "escalation": record(
            {**dict.fromkeys(SEVERITIES, _ACTION), "repeat_medium": integer(0, 1000)}
        ),
        "limits": record(
            {
                "max_output_bytes": integer(1, 1 << 30),
                "max_files_per_proposal": integer(1, 10_000),
                "max_patch_lines": integer(1),
                "max_file_bytes": integer(1, 1 << 30),
            },
            {"max_context_bytes": integer(0, 1 << 30), "questions_per_task": integer(0, 1000)},
        ),
        "verification": record({"snapshots_kept": integer(1, 1000)}),
        "run_end": record(
            {
                "success_when": choice("all_done", "none_left"),
                "on_blocked": choice("failed", "wait"),
            }
        ),
        "lessons": record({"max_in_request": integer(0, 1000)}, {"max_per_author": integer(0, 50)}),
    },
    {
        "approvals": record({}, {"expire_after": _DURATION}),
        "budgets": record({}, {"run": BUDGET, "day": BUDGET, "kind": _named(BUDGET)}),
    },
)

STORAGE_POLICY = record(
    {
        **_VERSION,
        "exchange": record(
            {"request": _KEPT, "response": _KEPT, "max_bytes": integer(0, EXCHANGE_PART)}
        ),
        "redact": array(text(1000, 1), most=200),
    },
    {"keep_rejected": BOOLEAN},
)

_AGENT = {
    "type": "object",
    "required": ["adapter"],
    "properties": {
        "adapter": line(50),
        "package": _PACKAGE,
        "stands_for": {
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._+-]*@[A-Za-z0-9][A-Za-z0-9._-]*$(?!\\n)",
            "maxLength": 100,
        },
        "model": line(),
        "timeout": _DURATION,
        "setup": _SETUP,
        "budget": BUDGET,
        "max_cost": integer(),
    },
}
"""What is said of every agent. The rest are settings of its adapter, which has their schema."""

_ONE_OR_MORE = {"oneOf": [NAME, {**array(NAME, least=1, most=10), "uniqueItems": True}]}

SWARM = record(
    {**_VERSION, "agents": _named(_AGENT), "kinds": _named(_ONE_OR_MORE, least=0)},
    {"reviewers": _named(NAME, least=0), "pin": _PIN},
)

_LINES = {"oneOf": [line(), array(line(), least=1, most=200)]}
_BOUNDS = {**record({}, {"more_than": integer(), "less_than": integer(1)}), "minProperties": 1}
_REQUIRE = record(
    {},
    {
        "role": choice(APPROVER, ADMIN),
        "count": integer(1, 20),
        "other_than": choice("starter"),
    },
)
_OPERATION = choice(*facts.OPERATIONS)
_CASE_FILE = {
    "oneOf": [
        line(4096),
        record(
            {"path": line(4096)},
            {
                "change": choice(*facts.CHANGES),
                "from": line(4096),
                "mode": choice(*facts.FILE_MODES),
                "before_mode": choice(*facts.FILE_MODES),
            },
        ),
    ]
}
_CASES = array(
    record(
        {"expect": choice(*facts.EFFECTS)},
        {
            "name": line(100),
            "on": choice(*facts.SUBJECTS),
            "given": record(
                {},
                {
                    "task": TASK_ID,
                    "kind": NAME,
                    "agent": line(129),
                    "model": line(),
                    "lines": integer(),
                    "cost_microdollars": integer(),
                    "files": array(_CASE_FILE, most=1000),
                },
            ),
            "rules": array(NAME, most=200),
        },
    ),
    most=1000,
)

POLICY = record(
    {
        **_VERSION,
        "rules": array(
            record(
                {
                    "name": NAME,
                    "effect": {"oneOf": [choice(*facts.EFFECTS), record({"require": _REQUIRE})]},
                },
                {
                    "on": choice(*facts.SUBJECTS),
                    "match": record(
                        {},
                        {
                            "kind": _LINES,
                            "task": _LINES,
                            "agent": _LINES,
                            "model": _LINES,
                            "paths": _LINES,
                            "operations": {
                                "oneOf": [_OPERATION, array(_OPERATION, least=1, most=5)]
                            },
                            "lines": _BOUNDS,
                            "files": _BOUNDS,
                            "cost_microdollars": _BOUNDS,
                        },
                    ),
                    "when": text(2000, 1),
                    "message": text(500, 1),
                    "mode": choice(*facts.MODES),
                },
            ),
            most=200,
        ),
    },
    {"default": choice("allow", "deny"), "cases": _CASES},
)

POLICY_CASES = record({"cases": _CASES})

_PARAGRAPH = text(20_000)

PARCER_PROFILE = record(
    {},
    {
        "persona": _PARAGRAPH,
        "audience": _PARAGRAPH,
        "rules": array(_PARAGRAPH, most=200),
        "context": _PARAGRAPH,
        "execution": _PARAGRAPH,
        "response": _PARAGRAPH,
    },
)

PLAN = record({"project": line(100), "tasks": array(schema_of(TaskDefinition), most=100_000)})
