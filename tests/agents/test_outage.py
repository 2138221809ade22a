"""What reports of failed calls say of their service: words of services and of coding agents."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from esaa_git.agents import outage
from esaa_git.agents.outage import (
    found_in,
    is_away,
    is_notice,
    is_refused_key,
    is_unknown_model,
    seconds_in,
)

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
HOUR, DAY = 3600, 86400

AWAY: dict[str, float | None] = {
    # services
    "rate_limit_exceeded: Rate limit reached for m. Please try again in 1m30s.": 90,
    "Rate limit reached for m on tokens per min. Please try again in 250ms. See docs": 0.25,
    "RESOURCE_EXHAUSTED: exceeded your current quota. Please retry in 38.6s.": 38.6,
    '{"reason": "RESOURCE_EXHAUSTED", "retryDelay": "38s"}': 38,
    "overloaded_error: Overloaded": None,
    "api_error: Internal server error": None,
    "Error code: 502 - Bad gateway": None,
    "the engine is currently overloaded, retry-after: 120": 120,
    "HTTP 524: a timeout occurred": None,
    "Rate limit resets at 2026-01-31T10:00:00Z": HOUR,
    "Too many requests until 2026-02-01T09:00:00+00:00": DAY,
    # coding agents
    'API Error: 529 {"type":"error","error":{"type":"overloaded_error"}}': None,
    "API Error: Repeated 529 Overloaded errors": None,
    "API Error: Connection error.": None,
    "API Error: Request timed out.": None,
    "Claude AI usage limit reached|1769860800": 3 * HOUR,
    "You've hit your limit · resets 3pm (Europe/Berlin)": 5 * HOUR,
    "You've hit your session limit · resets 4:30pm (UTC)": 7.5 * HOUR,
    "5-hour limit reached ∙ resets 8am (UTC)": 23 * HOUR,
    "Weekly limit reached ∙ resets Feb 13, 5pm (UTC)": 13 * DAY + 8 * HOUR,
    "You've hit your usage limit. Upgrade to Pro (https://x.example) or try again in 3 days 4 hours"
    " 5 minutes.": 3 * DAY + 4 * HOUR + 300,
    "exceeded retry limit, last status: 429 Too Many Requests, request id: 1": None,
    "unexpected status 503 Service Unavailable: upstream connect error": None,
    "stream disconnected before completion: error sending request for url (https://x)": None,
    "Selected model is at capacity. Please try a different model.": None,
    "You have exhausted your capacity on this model. Your quota will reset after 3h22m10s.": (
        3 * HOUR + 22 * 60 + 10
    ),
    "You have exhausted your daily quota on this model.": None,
    "The model is overloaded. Please try again later.": None,
    "Sorry, you've hit a rate limit that restricts requests. Please try again in 42 minutes.": 2520,
    "You have exceeded your premium request allowance. We have reset it": None,
    "litellm.RateLimitError: AnthropicException - slow down": None,
    "litellm.InternalServerError: AnthropicException - Overloaded": None,
    "litellm.APIConnectionError: Connection error.": None,
    # connections
    "connect ECONNREFUSED 127.0.0.1:443": None,
    "getaddrinfo ENOTFOUND api.example.com": None,
    "TypeError: fetch failed": None,
    "socket hang up": None,
    "requests.exceptions.ConnectionError: [Errno 104] Connection reset by peer": None,
    "[Errno -3] Temporary failure in name resolution": None,
}


@pytest.mark.parametrize("said", AWAY)
def test_a_service_that_says_it_is_away_is_and_says_until_when(said: str) -> None:
    found = found_in(said, NOW)
    assert found is not None
    assert not found.needs_person
    assert found.seconds == (None if AWAY[said] is None else pytest.approx(AWAY[said]))


@pytest.mark.parametrize(
    "said",
    [
        "insufficient_quota: You exceeded your current quota, please check your plan",
        "Credit balance is too low",
        "Quota exceeded. Check your plan and billing details.",
        "402: This request requires more credits: insufficient credits",
        "billing_hard_limit_reached",
    ],
)
def test_an_account_that_has_to_be_paid_waits_for_a_person(said: str) -> None:
    found = found_in(said, NOW, 429)
    assert found is not None
    assert found.needs_person
    assert found.hint


@pytest.mark.parametrize(
    "said",
    [
        "",
        "left with exit status 1",
        "SyntaxError: invalid syntax (a.py, line 429)",
        "the file is too large: 500 lines are allowed",
        "TypeError: 'NoneType' object is not callable",
        "no such file: src/http_503.py",
        "fatal: not a git repository",
    ],
)
def test_other_failures_say_nothing_of_a_service(said: str) -> None:
    assert found_in(said, NOW) is None


def test_a_status_goes_before_words() -> None:
    assert all(is_away(status) for status in (408, 425, 429, 500, 502, 503, 504, 520, 529, 599))
    assert not any(is_away(status) for status in (200, 400, 401, 403, 404, 409, 413, 422, 501, 505))
    assert found_in("rate limit", NOW, 400) is None
    assert found_in("no word of it", NOW, 503) is not None
    assert found_in("rate limit exceeded", NOW, 403) is not None
    assert found_in("not you", NOW, 403) is None


def test_times_that_are_none_are_not_taken() -> None:
    for said in ("", "try again later", "in a moment", "resets 99pm", "resets 3pm (Nowhere/City)"):
        assert seconds_in(said, NOW) is None
    assert seconds_in("usage limit reached|1569860800", NOW) is None, "that is over"
    assert seconds_in(f"resets 3pm (a{'/b' * 3000})", NOW) is None


def test_keys_and_models_that_are_refused_are_told_from_services_that_are_away() -> None:
    for said in ("invalid x-api-key", "Invalid API key · Please run /login", "API key not valid."):
        assert is_refused_key(said)
        assert found_in(said, NOW) is None
    for said in (
        "The model `gpt-9` does not exist or you do not have access to it",
        "There's an issue with the selected model (x). It may not exist",
        "models/gemini-9 is not found for API version v1beta: model not found",
        "The 'gpt-9' model is not supported when using Codex with a ChatGPT account.",
    ):
        assert is_unknown_model(said)
        assert found_in(said, NOW) is None


def test_a_notice_is_the_tools_own_and_nothing_beside_it() -> None:
    assert is_notice("API Error: 529 Overloaded")
    assert is_notice("You've hit your limit · resets 3pm (Europe/Berlin)")
    assert is_notice("Claude AI usage limit reached|1769860800")
    assert not is_notice("I added the rate limit to the client.")
    assert not is_notice("API Error: " + "x" * 500)


def test_blanks_are_looked_through_once_for_a_notice() -> None:
    # Past every limit on length: looked through twice for every blank, this takes days.
    assert outage._NOTICE.fullmatch("\t" * 20_000) is None
