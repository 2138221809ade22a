"""How long a test waits for what has to come: never what it asserts, only when it gives up.

A machine that is busy needs longer. Nobody waits for a limit unless something is broken, so it is
generous: what is asked for, times a factor that grows with the load, or `ESAA_TEST_PATIENCE`.
"""

from __future__ import annotations

import os

VARIABLE = "ESAA_TEST_PATIENCE"
LEAST = 3.0


def factor() -> float:
    """Return by how much longer than on a quiet machine a test waits at this moment."""
    given = os.environ.get(VARIABLE)
    if given:
        return float(given)
    return max(LEAST, 2 * os.getloadavg()[0] / (os.cpu_count() or 1))


def patience(seconds: float) -> float:
    """Return for how many seconds to wait for what takes so many at worst on a quiet machine."""
    return seconds * factor()
