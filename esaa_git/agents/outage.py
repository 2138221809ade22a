"""What the report of a failed call says of its service: away, or key and model refused.

It is asked only about a call that failed. Words that a model wrote are no report of its service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from esaa_git.core.rejection import excerpt
from esaa_git.ports.agent import Unavailable

_NEVER: Final = (501, 505)
"""Statuses of the fives that no waiting changes: it does not do this at all."""


def is_away(status: int) -> bool:
    """Answer whether an HTTP status says that the same request may succeed later.

    Timeouts, too early, too many requests, and the server's own faults; 529 is Anthropic's
    "overloaded", and proxies have more of their own.
    """
    return status in (408, 425, 429) or (500 <= status <= 599 and status not in _NEVER)


# The account, and no hour of the day, has to change. Money is worded in few ways.
_UNPAID: Final = re.compile(
    r"insufficient[ _](?:quota|credits?|balance|funds)|billing_(?:hard_limit_reached|not_active)"
    r"|credit balance is too low|out of credits|payment required|exceeded your current quota"
    r"|quota exceeded\. check your plan|(?:status|error)\D{0,10}402\b|billing hard limit",
    re.IGNORECASE,
)
_LIMITED: Final = re.compile(
    r"rate[ _-]?limit|too many requests|throttl|overloaded|at capacity|high demand|server is busy"
    r"|resource[ _](?:has been )?exhausted|(?:usage|session|weekly|hourly|daily|opus|sonnet|5-hour)"
    r" limit|hit your [\w -]{0,30}limit|limit reached|usage_limit|quota"
    r"|premium requests?\b.{0,60}(?:exceeded|exhausted|used up|limit)"
    r"|exceeded your premium request|exhausted your capacity|temporarily (?:unavailable|limiting)"
    r"|service[ _-]?unavailable|currently unavailable|\"status\": ?\"UNAVAILABLE\""
    r"|internal server error|internalservererror|bad ?gateway|gateway time-?out"
    r"|(?:api|internal|timeout|engine_overloaded)_error|server_error|server had an error"
    r"|servers? (?:are|is) (?:down|overloaded)"
    r"|(?:status|error|code|http)(?:/\d\.\d)?[^\w/.]{1,12}(?:408|425|429|500|502|503|504|52\d|530)\b",
    re.IGNORECASE,
)
_UNREACHED: Final = re.compile(
    r"\b(?:ECONN(?:REFUSED|RESET|ABORTED)|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH"
    r"|EPIPE)\b|connection (?:refused|reset|error|aborted|closed|failed|timed out)|socket hang up"
    r"|(?:connect|read|request)[ _]?time(?:d )?out\b|fetch failed|apiconnectionerror"
    r"|could(?: not|n't) (?:resolve|connect)|name resolution|name or service not known"
    r"|unable to connect|error sending request|stream disconnected|network (?:error|is unreachable)"
    r"|connecterror|getaddrinfo",
    re.IGNORECASE,
)
_UNKNOWN_MODEL: Final = re.compile(
    r"model_not_found|invalid_model|\bmodel\b[^\n]{0,120}?(?:not found|does(?: not|n't) exist"
    r"|may not exist|is not (?:supported|available)|not a valid)|unknown model|no such model"
    r"|not found[^\n]{0,20}\bmodel\b|modelnotfound|invalid model",
    re.IGNORECASE,
)
_REFUSED_KEY: Final = re.compile(
    r"api[_ ]key[_ ](?:not[_ ]valid|invalid|expired)"
    r"|(?:invalid|incorrect|expired|wrong)[_ ]api[_ ]key|invalid x-api-key"
    r"|authentication_?error|permissiondeniederror|please run /login|401 unauthorized",
    re.IGNORECASE,
)
_NOTICE: Final = re.compile(
    r"\W*(?:API Error\b.*|Claude AI usage limit reached\b.*"
    r"|You(?:'|’)ve (?:hit|reached) your .{0,40}limit\b.*"
    r"|[\w-]{1,20}(?: [\w-]{1,20})? limit reached\b.*|Rate limit (?:exceeded|reached)\b.*)\s*",
    re.IGNORECASE | re.DOTALL,
)
_LONGEST_NOTICE: Final = 400

_UNPAID_HINT: Final = "look after the account at the service"


def is_unknown_model(text: str) -> bool:
    """Answer whether a service, or a tool, says that there is no such model for this account."""
    return _UNKNOWN_MODEL.search(text) is not None


def is_refused_key(text: str) -> bool:
    """Answer whether a service, or a tool, says that the key is none that it takes."""
    return _REFUSED_KEY.search(text) is not None


def is_unpaid(text: str) -> bool:
    """Answer whether a text says that an account has to be paid before anything else."""
    return _UNPAID.search(text) is not None


def is_unreached(text: str) -> bool:
    """Answer whether a text tells of a connection that did not come about, or broke."""
    return _UNREACHED.search(text) is not None


def is_notice(words: str) -> bool:
    """Answer whether a tool's last message is a notice of its own on its service, and no more."""
    return len(words) <= _LONGEST_NOTICE and _NOTICE.fullmatch(words) is not None


def found_in(text: str, now: datetime, status: int | None = None) -> Unavailable | None:
    """Return what the report of a failed call says of its service, None where it is not away.

    Args:
        text: what the service or the tool said.
        status: the HTTP status, where there is one; 4xx but those of `is_away` are none of ours.
    """
    seconds = seconds_in(text, now)
    # Free allowances that come back by themselves are worded as unpaid accounts are.
    unpaid = status == 402 or (is_unpaid(text) and seconds is None)
    limited = _LIMITED.search(text) is not None
    if status is None or status == 0:
        away = limited or _UNREACHED.search(text) is not None
    else:
        # Some say "too many" by 403.
        away = is_away(status) or (status == 403 and limited)
    if not (away or unpaid):
        return None
    reason = excerpt(" ".join(text.split()), 500)
    if unpaid:
        return Unavailable(reason, None, needs_person=True, hint=_UNPAID_HINT)
    return Unavailable(reason, seconds)


# ------------------------------------------------------------------------------------- until when

_UNIT_SECONDS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_PART: Final = r"(\d{1,6}(?:\.\d{1,6})?)\s*(ms|d|h|m|s)[a-z]*"
_SPAN: Final = re.compile(
    r"(?:\b(?:in|after|for|retry[- ]after)\b|retrydelay)[\s:=\"']{0,5}"
    rf"((?:{_PART}[\s,]*(?:and\s+)?){{1,5}})",
    re.IGNORECASE,
)
_SECONDS: Final = re.compile(
    r"retry[-_ ]?after(?:-seconds)?[\s:=\"']{1,5}(\d{1,9})\b", re.IGNORECASE
)
_EPOCH: Final = re.compile(r"\|(\d{10})\b")
_ISO: Final = re.compile(
    r"(?:until|resets?|again|after|at)\D{0,12}"
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d))",
    re.IGNORECASE,
)
_CLOCK: Final = re.compile(
    r"(?:resets?|again)\b\W{0,3}(?:at |on )?\W{0,3}"
    r"(?:([A-Z][a-z]{2})[a-z]{0,6} (\d{1,2})(?:st|nd|rd|th)?(?:, (\d{4}))?,?(?: at)? )?"
    r"(1[0-2]|0?[1-9])(?::(\d\d))?\s*([ap])\.?m\b\.?(?:\s*\(([A-Za-z]+(?:[/_+-][A-Za-z0-9]+)*)\))?",
    re.IGNORECASE,
)
_MONTHS: Final = "jan feb mar apr may jun jul aug sep oct nov dec"


def seconds_in(text: str, now: datetime) -> float | None:
    """Return after how many seconds a text wants to be asked again; None where it does not say."""
    return next((seconds for seconds in _spans(text, now) if seconds > 0), None)


def _spans(text: str, now: datetime) -> Iterator[float]:
    for said in _SPAN.finditer(text):
        parts = re.findall(_PART, said[1], re.IGNORECASE)
        yield sum(float(number) * _UNIT_SECONDS[unit.lower()] for number, unit in parts)
    for said in _SECONDS.finditer(text):
        yield float(said[1])
    for said in _EPOCH.finditer(text):
        yield int(said[1]) - now.timestamp()
    for said in _ISO.finditer(text):
        try:
            yield (datetime.fromisoformat(said[1]) - now).total_seconds()
        except ValueError:
            continue
    for said in _CLOCK.finditer(text):
        moment = _moment(said, now)
        if moment is not None:
            yield (moment - now).total_seconds()


def _moment(said: re.Match[str], now: datetime) -> datetime | None:
    """Return the next moment at which a clock on a wall shows what was said."""
    month, day, year, hour, minute, half, zone = said.groups()
    try:
        here = now.astimezone(None if zone is None else UTC if zone == "UTC" else ZoneInfo(zone))
        moment = here.replace(
            hour=int(hour) % 12 + (12 if half.lower() == "p" else 0),
            minute=int(minute or 0),
            second=0,
            microsecond=0,
        )
        if month is None:
            return moment if moment > here else moment + timedelta(days=1)
        number = _MONTHS.index(month.lower()) // 4 + 1
        moment = moment.replace(year=int(year or here.year), month=number, day=int(day))
        if year is None and moment < here - timedelta(days=1):
            moment = moment.replace(year=here.year + 1)
    except (ValueError, ZoneInfoNotFoundError, OSError, RecursionError):
        # The last is for a zone of a thousand components.
        return None
    return moment
