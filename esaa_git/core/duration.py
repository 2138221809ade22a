"""Durations as contracts and options write them: ISO 8601, days to seconds."""

from __future__ import annotations

import re

from esaa_git.errors import ConfigurationError

MAX_DURATION_MS = 3650 * 24 * 3600 * 1000
"""Ten years: whatever is reckoned with it stays a date."""

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


def duration_ms(text: str, where: str) -> int:
    """Return the milliseconds of an ISO 8601 duration of days, hours, minutes and seconds."""
    match = _DURATION.fullmatch(text)
    if match is None or text in ("P", "PT") or text.endswith("T"):
        raise ConfigurationError(
            f"{where}: '{text}' is not a duration", hint="write it as in PT30M, PT1H30M or P1D"
        )
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    milliseconds = ((days * 24 + hours) * 60 + minutes) * 60_000 + seconds * 1000
    if milliseconds > MAX_DURATION_MS:
        raise ConfigurationError(
            f"{where}: '{text}' is longer than ten years", hint="write at most P3650D"
        )
    return milliseconds
