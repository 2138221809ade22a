"""What an answer cost, in integer micro-dollars, and by whose word.

A price that is not known is not guessed: there is no cost then, and a budget has to take that as
it sees fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any

from esaa_git.core.canonical import MAX_INTEGER
from esaa_git.core.contracts import SWARM


def priced(
    usage: Mapping[str, int],
    prices: Mapping[str, int] | None,
    *,
    model: str,
    url: str,
    when: datetime,
) -> dict[str, Any]:
    """Return the usage, with `cost_microdollars` and `price_source` where a price is known.

    Args:
        usage: `input_tokens` with those from a cache among them, `cached_input_tokens`,
            `output_tokens`.
        prices: of the entry in agents_swarm.yaml, in micro-dollars a million tokens; they go first.
            Where they name none for cached input, it costs what other input does.
        model, url: by which genai-prices, where it is installed, looks for the model. The table
            that came with it is read; none is fetched.
        when: the time of the call, since prices change.
    """
    if not {"input_tokens", "output_tokens"} <= usage.keys():
        return dict(usage)
    if prices is not None:
        return {**usage, "cost_microdollars": _own(usage, prices), "price_source": SWARM}
    return {**usage, **_published(usage, model, url, when)}


def _own(usage: Mapping[str, int], prices: Mapping[str, int]) -> int:
    fresh = prices["input_microdollars_per_million"]
    cached = min(usage.get("cached_input_tokens", 0), usage["input_tokens"])
    cost = (
        (usage["input_tokens"] - cached) * fresh
        + cached * prices.get("cached_input_microdollars_per_million", fresh)
        + usage["output_tokens"] * prices["output_microdollars_per_million"]
    )
    # Rounded up: a call that cost something never reads as one that was free.
    return min(-(-cost // 1_000_000), MAX_INTEGER)


def _published(usage: Mapping[str, int], model: str, url: str, when: datetime) -> dict[str, Any]:
    try:
        import genai_prices
    except ImportError:
        return {}
    counted = genai_prices.Usage(
        input_tokens=usage["input_tokens"],
        cache_read_tokens=usage.get("cached_input_tokens", 0),
        output_tokens=usage["output_tokens"],
    )
    try:
        found = genai_prices.calc_price(
            counted, model, provider_api_url=url, genai_request_timestamp=when
        )
    except (LookupError, ValueError):
        return {}  # neither the service nor the model is in the table, or the counts contradict
    cost = (found.total_price * Decimal(1_000_000)).to_integral_value(ROUND_CEILING)
    return {
        "cost_microdollars": min(int(cost), MAX_INTEGER),
        "price_source": f"genai-prices {genai_prices.__version__}",
    }
