"""`orchestrator.health`: the engine is alive, or says what it repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from esaa_git.core.events.base import Line, Payload, Stamp, Text
from esaa_git.core.events.spec import ORCHESTRATOR

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class Health(Payload, action="orchestrator.health", by={ORCHESTRATOR}):
    """How the engine is."""

    status: Literal["ok", "degraded", "repaired"]
    message: Annotated[str, Text(2000, 1)]
    version: Annotated[str, Line(50)] | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        """Change nothing: the event is the record."""

    def subject(self) -> str:
        return f"{self.status}: {self.message[:60]}"
