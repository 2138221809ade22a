"""How many examples a property is tried on: a quarter by default, all by `make test-slow`."""

from __future__ import annotations

import hypothesis

FULL = 200
"""Examples of a property that asks for no other number, where nothing is spared."""
DEFAULT = FULL // 4


def examples(full: int) -> int:
    """Return how many to try where the whole would be so many, by the profile in force.

    For `@settings(max_examples=...)`, which would try them all whatever the profile is.
    """
    return max(1, full * hypothesis.settings().max_examples // FULL)
