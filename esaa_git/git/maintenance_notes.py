"""What maintenance remembers from one time to the next; local, and worth nothing elsewhere."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from esaa_git.git.journal import write_atomically
from esaa_git.git.repository import Repository


@dataclass(slots=True)
class Notes:
    """`.git/esaa/maintenance.json`: what was packed last, and which packs are ours.

    It may be deleted. Then the next packing looks at the whole log, and the packs that are there
    are git's.
    """

    seq: int = 0
    tips: list[str] = field(default_factory=list)
    packs: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, repository: Repository) -> Notes:
        try:
            document = json.loads(notes_path(repository).read_bytes())
            notes = cls(int(document["seq"]), list(document["tips"]), list(document["packs"]))
            for name in (*notes.tips, *notes.packs):
                if bytes.fromhex(name).hex() != name:
                    return cls()
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return cls()
        return notes

    def write(self, repository: Repository) -> None:
        document = {"seq": self.seq, "tips": self.tips, "packs": self.packs}
        write_atomically(notes_path(repository), json.dumps(document).encode())


def notes_path(repository: Repository) -> Path:
    return repository.esaa_dir / "maintenance.json"
