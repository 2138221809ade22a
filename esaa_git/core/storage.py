"""What of an exchange is kept, and how secrets in it are redacted (STORAGE_POLICY.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from esaa_git.core import secrets
from esaa_git.core.contracts import StoragePolicy
from esaa_git.core.decision import salted
from esaa_git.core.textviews import Span

PREVIEW_CHARACTERS = 400


def redact(text: str, policy: StoragePolicy) -> str:
    """Return the text with each secret in it redacted.

    That is what has the shape of one (`core.secrets`), what a pattern of the policy matches, and
    what the agent was given.
    """
    data = text.encode("utf-8", "surrogatepass")
    spans = _spans(data, policy)
    return secrets.redact(data, spans).decode("utf-8", "surrogatepass") if spans else text


def _spans(data: bytes, policy: StoragePolicy) -> list[Span]:
    handed = [value.encode("utf-8", "surrogateescape") for value in policy.handed]
    return secrets.find(data, handed, [pattern.encode() for pattern in policy.redact])


def redact_value(value: Any, policy: StoragePolicy) -> Any:
    """Return a JSON value with every string in it redacted; keys are the schema's words and stay.

    None gets longer than it was, so that a bound which held before holds after.
    """
    if isinstance(value, str):
        return redact(value, policy)[: len(value)]
    if isinstance(value, dict):
        return {key: redact_value(item, policy) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact_value(item, policy) for item in value]
    return value


WORDS: Final = frozenset({"reason", "text", "title", "description", "note", "rule", "mistake"})
"""The fields of events in which people and agents say something in their own words."""

_MEASURED: Final = frozenset({"facts", "policy"})
"""Fields that hold names of rules, paths and numbers: nobody's words, and hashed before."""

_LEAST_WORDS: Final = 8


def redact_words(payload: Mapping[str, Any], policy: StoragePolicy) -> Mapping[str, Any]:
    """Return an event's payload with what somebody says in it redacted; the rest as it is."""
    return {
        key: value if key in _MEASURED else _redact_words(key, value, policy)
        for key, value in payload.items()
    }


def _redact_words(key: str, value: Any, policy: StoragePolicy) -> Any:
    if isinstance(value, str):
        is_said = key in WORDS and len(value) >= _LEAST_WORDS
        return redact(value, policy)[: len(value)] if is_said else value
    if isinstance(value, dict):
        return redact_words(value, policy)
    if isinstance(value, list):
        return [_redact_words(key, item, policy) for item in value]
    return value


def kept(data: bytes, how: str, policy: StoragePolicy) -> bytes | None:
    """Return what is stored of one side of an exchange, or None where only its digest is.

    Redaction comes before the size cap, so that a secret is never cut into a shape that no
    pattern knows.
    """
    if how != "full":
        return None
    return secrets.redact(data, _spans(data, policy))[: policy.max_bytes]


def part(data: bytes, how: str, salt: bytes) -> dict[str, Any] | None:
    """Return how an event names one side of an exchange; None where the policy keeps nothing."""
    return None if how == "none" else {"sha256": salted(salt, data), "bytes": len(data)}


def preview(data: bytes, policy: StoragePolicy) -> str:
    """Return the beginning of an output as printable, redacted text for a person.

    All of it is redacted before it is cut, as in `kept`.
    """
    kept_of_it = secrets.redact(data, _spans(data, policy))
    text = kept_of_it.decode("utf-8", "replace")[:PREVIEW_CHARACTERS]
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)
