"""What maintenance remembers from one time to the next; local, and worth nothing elsewhere."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from esaa_git.store.journal import write_atomically
from esaa_git.store.repository import Repository


@dataclass(frozen=True, slots=True)
class Since:
    """What was packed before a pack: so many events, up to these commits."""

    seq: int
    tips: tuple[str, ...]


@dataclass(slots=True)
class Notes:
    """`.git/esaa/maintenance.json`: what was packed last, and which packs are ours.

    It may be deleted. Then the next packing looks at the whole log, and the packs that are there
    are git's.
    """

    seq: int = 0
    tips: list[str] = field(default_factory=list)
    packs: dict[str, Since] = field(default_factory=dict)

    @classmethod
    def read(cls, repository: Repository) -> Notes:
        try:
            document = json.loads(notes_path(repository).read_bytes())
            return cls(
                int(document["seq"]),
                [_checked(tip) for tip in document["tips"]],
                {
                    _checked(name): Since(int(since["seq"]), tuple(map(_checked, since["tips"])))
                    for name, since in document["packs"].items()
                },
            )
        except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError):
            return cls()

    def write(self, repository: Repository) -> None:
        write_atomically(notes_path(repository), json.dumps(asdict(self)).encode())


def _checked(name: str) -> str:
    """Return the id of an object or a pack, if it is one."""
    if len(name) != 40 or bytes.fromhex(name).hex() != name:
        raise ValueError(name)
    return name


def notes_path(repository: Repository) -> Path:
    return repository.esaa_dir / "maintenance.json"
