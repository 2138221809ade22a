"""A refusal is a value: it is recorded in the log and goes back to the agent.

What an agent proposes either passes or comes back as a `Rejected`, typed by a code from a
closed list, so that a policy can count it, a person can search for it and the agent's next
attempt can correct it. Nothing here raises: an exception is for what stopped *us*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from esaa_git.core.printable import visible


class RejectCode(StrEnum):
    """Why an output was refused; the closed list that the log may hold."""

    NOT_UTF8 = "NOT_UTF8"
    OUTPUT_TOO_LARGE = "OUTPUT_TOO_LARGE"
    INVALID_JSON = "INVALID_JSON"
    DUPLICATE_KEY = "DUPLICATE_KEY"
    NESTING_TOO_DEEP = "NESTING_TOO_DEEP"
    INVALID_VALUE = "INVALID_VALUE"
    CONTROL_CHARACTER = "CONTROL_CHARACTER"
    SCHEMA_VIOLATION = "SCHEMA_VIOLATION"
    UNKNOWN_ACTION = "UNKNOWN_ACTION"
    FORBIDDEN_ACTION = "FORBIDDEN_ACTION"
    TASK_MISMATCH = "TASK_MISMATCH"
    ATTEMPT_MISMATCH = "ATTEMPT_MISMATCH"
    STALE_ATTEMPT = "STALE_ATTEMPT"
    NO_RESULT = "NO_RESULT"
    QUESTIONS_SPENT = "QUESTIONS_SPENT"
    EMPTY_PROPOSAL = "EMPTY_PROPOSAL"
    PATH_INVALID = "PATH_INVALID"
    PATH_PROTECTED = "PATH_PROTECTED"
    PATH_NOT_A_FILE = "PATH_NOT_A_FILE"
    BOUNDARY_VIOLATION = "BOUNDARY_VIOLATION"
    DUPLICATE_PATH = "DUPLICATE_PATH"
    TOO_MANY_FILES = "TOO_MANY_FILES"
    PATCH_TOO_LARGE = "PATCH_TOO_LARGE"
    FILE_TOO_LARGE = "FILE_TOO_LARGE"
    FILE_MISSING = "FILE_MISSING"
    FILE_EXISTS = "FILE_EXISTS"
    MODE_FORBIDDEN = "MODE_FORBIDDEN"
    SECRET_EXPOSED = "SECRET_EXPOSED"  # noqa: S105 - a code, and no password
    BASE_MISMATCH = "BASE_MISMATCH"
    EDIT_NOT_FOUND = "EDIT_NOT_FOUND"
    EDIT_AMBIGUOUS = "EDIT_AMBIGUOUS"
    PATCH_FAILED = "PATCH_FAILED"
    WRITE_CONFLICT = "WRITE_CONFLICT"
    AGENT_FAILED = "AGENT_FAILED"
    AGENT_TIMEOUT = "AGENT_TIMEOUT"
    AGENT_REFUSED = "AGENT_REFUSED"
    OUTPUT_TRUNCATED = "OUTPUT_TRUNCATED"
    OUTPUT_EMPTY = "OUTPUT_EMPTY"
    CHECK_FAILED = "CHECK_FAILED"
    REVIEW_CHANGES_REQUESTED = "REVIEW_CHANGES_REQUESTED"
    POLICY_DENIED = "POLICY_DENIED"
    PLAN_PROGRAM_NOT_PINNED = "PLAN_PROGRAM_NOT_PINNED"
    """Refused before it is recorded, so far: no agent proposes tasks yet."""


EXPLANATIONS: Mapping[RejectCode, str] = MappingProxyType(
    {
        RejectCode.NOT_UTF8: "Write the whole answer as UTF-8 text, without a byte order mark.",
        RejectCode.OUTPUT_TOO_LARGE: "Answer in fewer bytes: propose less, or use edits "
        "instead of whole files.",
        RejectCode.INVALID_JSON: "Answer with exactly one JSON object and nothing before or "
        "after it.",
        RejectCode.DUPLICATE_KEY: "Write every key of a JSON object once.",
        RejectCode.NESTING_TOO_DEEP: "Nest objects and lists less deeply.",
        RejectCode.INVALID_VALUE: "Replace the value named in the detail by one that the "
        "contract allows.",
        RejectCode.CONTROL_CHARACTER: "Remove the control character; only tab, line feed and "
        "carriage return may appear in text.",
        RejectCode.SCHEMA_VIOLATION: "Give the answer the form that the schema demands at the "
        "place named in the detail.",
        RejectCode.UNKNOWN_ACTION: "Use one of the actions that the contract lists.",
        RejectCode.FORBIDDEN_ACTION: "Use only the actions that your contract allows you; this "
        "one belongs to somebody else.",
        RejectCode.TASK_MISMATCH: "Answer for the task that you were dispatched with, and name it.",
        RejectCode.ATTEMPT_MISMATCH: "Answer for the attempt that you were dispatched with, and "
        "name it.",
        RejectCode.STALE_ATTEMPT: "Stop working on this attempt: it is over, and only an answer "
        "to the current one counts.",
        RejectCode.QUESTIONS_SPENT: "Ask no more: go by the answers that there are, and say in "
        "the summary what you took for granted.",
        RejectCode.NO_RESULT: "End your answer with a result: a proposal, or a report of what "
        "keeps you from making one.",
        RejectCode.EMPTY_PROPOSAL: "Propose at least one change that alters a file.",
        RejectCode.PATH_INVALID: "Write the path relative to the root of the repository, with "
        "'/' between plain names.",
        RejectCode.PATH_PROTECTED: "Leave this path alone: it belongs to git or to the "
        "orchestrator, whatever the boundary says.",
        RejectCode.PATH_NOT_A_FILE: "Propose regular files only: a symbolic link, a submodule or "
        "a directory is in the way here.",
        RejectCode.BOUNDARY_VIOLATION: "Keep to the paths that the task's boundary allows.",
        RejectCode.DUPLICATE_PATH: "Name every path once, and no two that differ only by case or "
        "of which one lies below the other, nor one that differs so from a path that is there.",
        RejectCode.TOO_MANY_FILES: "Propose changes to fewer files at once.",
        RejectCode.PATCH_TOO_LARGE: "Change fewer lines at once.",
        RejectCode.FILE_TOO_LARGE: "Keep the file below the size that the contract allows.",
        RejectCode.FILE_MISSING: "Edit or delete only files that exist; create the others with "
        "their full content.",
        RejectCode.FILE_EXISTS: "Edit the file instead of creating it: it exists already.",
        RejectCode.MODE_FORBIDDEN: "Use the mode of a regular or an executable file.",
        RejectCode.SECRET_EXPOSED: "Write no key or password into a file; have it read when it is "
        "needed.",
        RejectCode.BASE_MISMATCH: "Read the file again and base the change on the content that "
        "the dispatch names.",
        RejectCode.EDIT_NOT_FOUND: "Copy the old text of the edit exactly from the file, with "
        "its white space.",
        RejectCode.EDIT_AMBIGUOUS: "Take more of the surrounding lines into the old text, so "
        "that it occurs exactly once.",
        RejectCode.PATCH_FAILED: "Write a unified diff of this one file whose counts are right "
        "and whose context is copied exactly from it.",
        RejectCode.WRITE_CONFLICT: "Make the change again on the current content: somebody "
        "changed the same lines meanwhile.",
        RejectCode.AGENT_FAILED: "End normally and leave an answer.",
        RejectCode.AGENT_TIMEOUT: "Answer before the deadline: take smaller steps, or report "
        "what blocks you.",
        RejectCode.AGENT_REFUSED: "Do the part of the task that you can do, or report an "
        "issue that says what keeps you from it.",
        RejectCode.OUTPUT_TRUNCATED: "Answer more briefly: the answer was cut off before its end.",
        RejectCode.OUTPUT_EMPTY: "Answer with one JSON object; the last answer was empty.",
        RejectCode.CHECK_FAILED: "Correct what the check named in the detail complains about; the "
        "end of its output is there.",
        RejectCode.REVIEW_CHANGES_REQUESTED: "Make the changes that the reviewer asks for in the "
        "detail.",
        RejectCode.POLICY_DENIED: "Propose something that the rules named in the detail allow, or "
        "report an issue that says why they are in the way.",
        RejectCode.PLAN_PROGRAM_NOT_PINNED: "Name only programs that are pinned, or that are "
        "installed outside of the repository.",
    }
)
"""What each code asks of the agent, in one sentence."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """What was refused, why, and where; the other half of every checking function's result.

    Args:
        code: the kind, from the closed list.
        message: one line, worded so that an agent can correct itself.
        detail: JSON-able particulars (strings, integers, lists, mappings; never floats), each
            bounded, as they end up in an event.
    """

    code: RejectCode
    message: str
    detail: Mapping[str, Any] = field(default_factory=dict)


Filter: TypeAlias = Literal["there", "proposed"]
"""Whether a path lies under a filter of git's in the base, or by what is proposed."""


def filter_of(rejected: Rejected) -> Filter | None:
    """Return which filter of git's an answer was refused for; None for any other refusal."""
    if rejected.code != RejectCode.PATH_PROTECTED or "filter" not in rejected.detail:
        return None
    return "proposed" if "proposed" in rejected.detail else "there"


MAX_NAMED: Final = 50
"""How many paths of one kind of fault a refusal names; it counts them all."""


def together(faults: Sequence[Rejected]) -> Rejected:
    """Return the first of some refusals, with the paths of all that share its code.

    The detail of each names its `path`. One by one they would cost an attempt each.
    """
    first = faults[0]
    paths = dict.fromkeys(
        excerpt(str(fault.detail["path"])) for fault in faults if fault.code == first.code
    )
    if len(paths) == 1:
        return first
    others = list(paths)[1:]
    shown = ", ".join(f"'{path}'" for path in others[:10]) + (", …" if len(others) > 10 else "")
    return Rejected(
        first.code,
        f"{first.message}; the same holds for {len(others)} more: {shown}",
        {**first.detail, "paths": list(paths)[:MAX_NAMED], "count": len(paths)},
    )


def of_policy(name: str) -> str:
    """Return where a limit of the runtime policy is set, as every refusal by one says it."""
    return f"('limits/{name}' in .roadmap/RUNTIME_POLICY.yaml)"


def excerpt(text: str, limit: int = 200) -> str:
    """Return at most `limit` characters of `text`, on one line and safe to store in an event.

    Whatever does not print (control characters, line separators, direction marks, lone
    surrogates) is written as a backslash escape, so a message cannot be used to disguise
    itself in a terminal.
    """
    shown = visible(text[: limit + 1], keep="")
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
