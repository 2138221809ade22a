"""The invariants of the protocol, by number.

They are checked on every append and again by `verify`. INV-001, INV-002 and INV-005 hold by
construction of every state: `esaa_git.core.draft` and `esaa_git.core.projection` raise
`Violation` before a state that breaks them exists. INV-003 and INV-004 are decided where an
output is admitted (`esaa_git.core.proposal`) and checked again on each stored effect
(`check_effect`). INV-006 is what `verify` does.
"""

from __future__ import annotations

from collections.abc import Mapping

INVARIANTS: Mapping[str, str] = {
    "INV-001": "done never regresses",
    "INV-002": "an effect names a valid, current task and attempt",
    "INV-003": "no effect before the complete output is validated (fail closed)",
    "INV-004": "boundaries by task kind, normalised paths",
    "INV-005": "sequence monotonic, ids unique",
    "INV-006": "the read-model is verifiable by replay, divergence halts the run",
}


class Violation(ValueError):
    """An event that the protocol forbids in this state, with the invariant it breaks."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{message} ({rule}: {INVARIANTS[rule]})")
        self.rule = rule
        self.message = message
