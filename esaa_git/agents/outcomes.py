"""Why a confined command of a setup or a check failed, in words."""

from __future__ import annotations

from typing import Final

from esaa_git.sandbox.processes import Outcome

OUTPUT_BYTES: Final = 16 << 20
"""How much of a command's output is read; one that writes more has failed."""


def failure_of(outcome: Outcome, timeout_ms: int) -> str:
    """Return why a command failed that had so much time; an empty text where it did not."""
    if outcome.timed_out:
        return f"it took longer than {timeout_ms} ms"
    if outcome.truncated:
        return f"it wrote more than {OUTPUT_BYTES} bytes"
    if outcome.exceeded is not None:
        return f"it was ended for exceeding its limit '{outcome.exceeded}'"
    if outcome.status < 0:
        return f"it was ended by signal {-outcome.status}"
    return f"it left with exit status {outcome.status}" if outcome.status else ""
