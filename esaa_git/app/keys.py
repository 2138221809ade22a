"""The files that name the keys, in a checkout, and where keys are made."""

from __future__ import annotations

import os
from pathlib import Path

from esaa_git.core.contracts import ALLOWED_SIGNERS, OPENPGP_SIGNERS
from esaa_git.trust.keyring import Keyring


def key_folder() -> Path:
    """Return where keys are made: the user's own configuration, and no repository."""
    base = os.environ.get("XDG_CONFIG_HOME")
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".config"
    return root / "git-esaa" / "keys"


def read_keyring(roadmap: Path) -> Keyring | None:
    """Return the keyring in a `.roadmap` folder; None where there is none."""
    allowed, openpgp = roadmap / ALLOWED_SIGNERS, roadmap / OPENPGP_SIGNERS
    if not allowed.is_file():
        return None
    return Keyring(allowed.read_bytes(), openpgp.read_bytes() if openpgp.is_file() else None)


def write_keyring(roadmap: Path, before: Keyring, after: Keyring) -> list[str]:
    """Write what changed, file by file and each at once; return the names of those files."""
    written = []
    for name, old, new in (
        (OPENPGP_SIGNERS, before.openpgp, after.openpgp),
        (ALLOWED_SIGNERS, before.allowed, after.allowed),
    ):
        if new is not None and new != old:
            _replace(roadmap / name, new)
            written.append(name)
    return written


def _replace(path: Path, content: bytes) -> None:
    # Behind a link lies the file that is meant, and a rename would put another in the link's place.
    place = path.resolve()
    temporary = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as stream:
            if place.exists():
                os.fchmod(stream.fileno(), place.stat().st_mode & 0o777)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)
