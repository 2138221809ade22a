"""What a person decides with a document that they sign apart from any place in the log.

The document and its signature travel beside the event under `decision/`, the words under
`exchange/` (docs/FORMAT.md, "Decisions"). Every reader of such events asks `DecisionPayload`, and
none asks for an action's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esaa_git.core import canonical
from esaa_git.core.events.base import Payload, encode
from esaa_git.core.events.fields import Decided, Said


class DecisionPayload(Payload):
    """A payload that names a decision document and its words.

    A subclass has both fields; where it gives them the default None, the event may do without
    either, and its commit alone is signed.
    """

    if TYPE_CHECKING:
        decision: Decided | None
        said: Said | None

    @property
    def document(self) -> tuple[Decided, Said] | None:
        """The document that the event names and its words; None where it names none."""
        if self.decision is None or self.said is None:
            return None
        return self.decision, self.said

    def arguments(self) -> dict[str, Any]:
        """Return what is decided as JSON: the payload without its document."""
        given = encode(self)
        return {name: item for name, item in given.items() if name not in ("decision", "said")}

    def about(self) -> str:
        """Return the digest of the subject, which the document signs: 64 hexadecimal digits."""
        return canonical.digest(canonical.encode(self.arguments()))


def document_of(payload: Payload) -> tuple[Decided, Said] | None:
    """Return the decision document that an event names and its words; None for most events."""
    return payload.document if isinstance(payload, DecisionPayload) else None
