"""The schema fragments that events, agents' answers and contract files share.

The patterns are written for JSON Schema's dialect of regular expressions (ECMA-262) and mean
the same in Python's; `$` is never the last word of a pattern that Python runs, because Python
lets it match before a final line feed.
"""

from __future__ import annotations

from typing import Any

from esaa_git.core.canonical import MAX_INTEGER

Schema = dict[str, Any]

ORCHESTRATOR = "orchestrator"
GUARD = "policy-guard"
"""The two actors that have these names and no other."""

AGENT = "agent"
PERSON = "person"
"""Stand among those who may emit an action for an agent and for a person, whatever their names."""

CONTRIBUTOR = "contributor"
APPROVER = "approver"
ADMIN = "admin"
EVALUATOR = "evaluator"

SERVICES = (ORCHESTRATOR, EVALUATOR)
"""Roles of machines; a line of `allowed_signers` with one of them names no person."""

PEOPLE = (CONTRIBUTOR, APPROVER, ADMIN)
"""Roles of people; a line with one of them names exactly one person. Each implies those before."""

ROLES = (*SERVICES, *PEOPLE)


def is_person(name: str) -> bool:
    """Answer whether an actor or a principal is a person: people go by an e-mail address."""
    return "@" in name


def same_person(one: str, other: str) -> bool:
    """Answer whether two names are one actor's: case tells no e-mail addresses apart."""
    return one == other or (is_person(one) and one.casefold() == other.casefold())


def record(required: Schema, optional: Schema | None = None) -> Schema:
    """Return the schema of an object with exactly these keys."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": sorted(required),
        "properties": {**required, **(optional or {})},
    }


def array(items: Schema, *, least: int = 0, most: int = 10_000) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def line(most: int = 200, least: int = 1) -> Schema:
    """Return the schema of text on one line, without control characters or line separators.

    Neither does it turn the direction of writing (bidirectional embeddings, overrides, isolates).
    """
    return {
        "type": "string",
        "minLength": least,
        "maxLength": most,
        "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]*$(?!\\n)",
    }


def text(most: int = 4000, least: int = 0) -> Schema:
    """Return the schema of text that may have several lines, as `line` otherwise.

    A carriage return stands before a line feed alone.
    """
    return {
        "type": "string",
        "minLength": least,
        "maxLength": most,
        "pattern": "^(?:[^\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]|\\r\\n)*"
        "$(?!\\n)",
    }


def choice(*values: str) -> Schema:
    """Return the schema of one of these strings."""
    return {"type": "string", "enum": list(values)}


def integer(least: int = 0, most: int = MAX_INTEGER) -> Schema:
    """Return the schema of an integer."""
    return {"type": "integer", "minimum": least, "maximum": most}


def _pattern(pattern: str, most: int) -> Schema:
    return {"type": "string", "pattern": f"^{pattern}$(?!\\n)", "maxLength": most}


BOOLEAN: Schema = {"type": "boolean"}
TASK_ID = _pattern("[A-Za-z][A-Za-z0-9._-]{0,62}[A-Za-z0-9]", 64)
ATTEMPT_ID = _pattern("[A-Za-z][A-Za-z0-9._-]{0,62}[A-Za-z0-9]-A[1-9][0-9]{0,6}", 73)
RUN_ID = _pattern("RUN-[0-9]{4,9}", 13)
ISSUE_ID = _pattern("ISS-[0-9]{4,9}", 13)
LESSON_ID = _pattern("LES-[0-9]{4,9}", 13)
APPROVAL_ID = _pattern("APR-[0-9]{4,9}", 13)
QUESTION_ID = _pattern("Q-[0-9]{4,9}", 11)
EVENT_ID = _pattern("EV-[0-9]{8,16}", 19)
NAME = _pattern("[A-Za-z0-9][A-Za-z0-9._-]{0,63}", 64)
ACTOR = _pattern("[A-Za-z0-9][A-Za-z0-9._+-]{0,63}(@[A-Za-z0-9][A-Za-z0-9.-]{0,63})?", 129)
TIMESTAMP = _pattern(
    "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\\.[0-9]{3}Z",
    24,
)
OID = _pattern("[0-9a-f]{40}", 40)
SHA256 = _pattern("[0-9a-f]{64}", 64)
NONCE = _pattern("[0-9a-f]{32}", 32)
PATH = line(4096)
SEVERITY = choice("low", "medium", "high", "critical")

DETAIL: Schema = {"type": "object"}
"""Free JSON beside a reject code; floats and surrogates are kept out by the canonical decoder."""

DURATION = _pattern("P(?:[0-9]{1,6}D)?(?:T(?:[0-9]{1,6}H)?(?:[0-9]{1,6}M)?(?:[0-9]{1,6}S)?)?", 40)
"""As in PT45S, PT30M, P1D; what is longer than ten years, or says nothing, is refused later."""
