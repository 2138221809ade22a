"""What contracts ask of the machine that they are used on, one value an entry of a consent.

Contracts come with a clone, so what they name is a request. A consent is a set of these values
(docs/FORMAT.md, "Consent"): whoever asks for a subset of what was granted asks for nothing new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from esaa_git.core import canonical

KINDS: Final = ("program", "content", "tree", "variable", "file", "host", "endpoint", "adapter")

ABSENT: Final = ""
"""The digest of a file that is named and not there."""


@dataclass(frozen=True, slots=True, order=True)
class Ask:
    """One thing that contracts ask for.

    Attributes:
        to: the command, service or adapter that is to get it. What was granted to one program is
            not granted to another. The longest lists are grouped by it, so it comes first.
        kind: one of `KINDS`.
        what: the whole command as a shell would take it; or the path, why any file may be loaded,
            the name of the variable, `host:port`, URL or adapter.
        detail: of `content` the SHA-256 of the file, or `ABSENT`; of a `tree` its id, or `ABSENT`
            where there is none; of an `endpoint` the variable
            that holds its key; of an `adapter` its settings as canonical JSON.
    """

    to: str
    kind: str
    what: str
    detail: str = ""

    def to_json(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Ask:
        """Return the value that `to_json` gave.

        Raises:
            ValueError: for any other document.
        """
        if (
            set(document) != {"to", "kind", "what", "detail"}
            or not all(isinstance(value, str) for value in document.values())
            or document["kind"] not in KINDS
        ):
            raise ValueError("not an entry of a consent")
        return cls(**document)

    def words(self) -> str:
        """Return the entry as a person is shown it, without whom it is for."""
        match self.kind:
            case "program":
                return f"start {self.what}"
            case "content":
                held = f"sha256 {self.detail}" if self.detail else "not there yet"
                return f"with the file '{self.what}' ({held})"
            case "tree":
                held = f"tree {self.detail}" if self.detail else "nothing yet"
                return f"with any file of the repository, as it is now ({held}): {self.what}"
            case "variable":
                return f"give it your variable ${self.what}"
            case "file":
                return f"let it read '{self.what}'"
            case "host":
                return f"let it connect to {self.what}"
            case "endpoint":
                key = f", with the key in ${self.detail}" if self.detail else ""
                return f"send requests to {self.what}{key}"
            case _:
                return f"use {self.what} with {self.detail}"


def digest_of(asks: Iterable[Ask]) -> str:
    """Return the SHA-256 of a set of asks: of their canonical JSON, in order."""
    return canonical.digest(canonical.encode([ask.to_json() for ask in sorted(set(asks))]))
