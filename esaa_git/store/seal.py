"""Files of a repository that are believed without being checked again, and for whom.

A mark of what was verified, or a pin of a person, saves or decides a verification. A repository is
copied, unpacked, mounted or handed over, and such a file would come along. So each carries a code,
HMAC-SHA-256 (RFC 2104) under a secret of the user's configuration folder over the real path of the
git common directory and the file's own name (docs/FORMAT.md, "Local files"). Elsewhere, and for
anybody else, it counts for nothing. Several places stand side by side in one file, since one
repository may be reached by several users and under several paths.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from esaa_git import beneath
from esaa_git.core import canonical
from esaa_git.folders import config_folder
from esaa_git.store.files import write_atomically

FILE: Final = "seal-secret"
PLACES: Final = 16
"""So many places a file keeps; the one that was written longest ago goes first."""

_MAX_BYTES: Final = 1 << 20
_FORM: Final = re.compile(rb"[0-9a-f]{64}\n")


class Unreadable(Exception):
    """The file is there and is none of ours; the text says why."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a file holds for this user at this place.

    Attributes:
        value: None where it holds nothing that counts here.
        doubt: why what is there does not count, in words that go on from the file's name; None
            where it counts, or there is nothing.
        claimed: what stands there all the same, of whoever wrote it. Only good for a message.
    """

    value: Mapping[str, Any] | None = None
    doubt: str | None = None
    claimed: Mapping[str, Any] | None = None


def read_sealed(esaa_dir: Path, name: str) -> Sealed:
    """Return what counts here of the file `name` in `.git/esaa`.

    Raises:
        Unreadable: if it is no JSON of the form that `write_sealed` writes.
    """
    places = _places(esaa_dir, name)
    if not places:
        return Sealed()
    last = list(places.values())[-1]["value"]
    secret = _secret()
    if secret is None:
        return Sealed(doubt="cannot be held against your secret, which is not there", claimed=last)
    here = _place(secret, esaa_dir)
    found = places.get(here)
    if found is None:
        return Sealed(doubt="was written by another user, or at another place", claimed=last)
    if not hmac.compare_digest(found["code"], _code(secret, esaa_dir, name, found["value"])):
        return Sealed(doubt="was changed by something else than git-esaa", claimed=found["value"])
    return Sealed(found["value"])


def write_sealed(esaa_dir: Path, name: str, value: Mapping[str, Any]) -> bool:
    """Write what counts here, beside what counts elsewhere; answer whether there is a secret.

    Without one, as for a user who has no configuration folder, nothing is written.

    Raises:
        OSError: if the repository cannot be written to.
    """
    secret = _secret() or _make_secret()
    if secret is None:
        return False
    try:
        places = _places(esaa_dir, name)
    except Unreadable:
        places = {}
    here = _place(secret, esaa_dir)
    places.pop(here, None)
    places[here] = {"code": _code(secret, esaa_dir, name, value), "value": dict(value)}
    kept = dict(list(places.items())[-PLACES:])
    write_atomically(esaa_dir / name, json.dumps({"places": kept}, indent=1).encode() + b"\n")
    return True


def _places(esaa_dir: Path, name: str) -> dict[str, dict[str, Any]]:
    try:
        data = beneath.read(esaa_dir.parent, f"{esaa_dir.name}/{name}", most=_MAX_BYTES)
    except beneath.Obstacle as error:
        raise Unreadable(str(error)) from error
    if data is None:
        return {}
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from error
    places = document.get("places") if isinstance(document, dict) else None
    if not isinstance(places, dict):
        if isinstance(document, dict) and document and places is None:  # written without a code
            return {"": {"code": "", "value": document}}
        raise Unreadable("it is not an object with 'places'")
    for one in places.values():
        if not isinstance(one, dict) or one.keys() != {"code", "value"}:
            raise Unreadable("a place has not exactly 'code' and 'value'")
        if not isinstance(one["code"], str) or not isinstance(one["value"], dict):
            raise Unreadable("a code is a text, and a value an object")
    return places


def _code(secret: bytes, esaa_dir: Path, name: str, value: Mapping[str, Any]) -> str:
    try:
        said = canonical.encode(dict(value))
    except ValueError:
        return ""  # nothing of ours: a code is never empty
    return _hmac(secret, b"value", _real(esaa_dir), os.fsencode(name), said)


def _place(secret: bytes, esaa_dir: Path) -> str:
    """Return the name of this user and place in a file, which tells neither."""
    return _hmac(secret, b"place", _real(esaa_dir))[:16]


def _real(esaa_dir: Path) -> bytes:
    """Return the real path of the git common directory, which `.git/esaa` lies in."""
    return os.fsencode(os.path.realpath(esaa_dir.parent))


def _hmac(secret: bytes, *parts: bytes) -> str:
    # A path holds no NUL, and the last part may hold anything.
    return hmac.digest(secret, b"\0".join((b"git-esaa seal 1", *parts)), "sha256").hex()


def _secret() -> bytes | None:
    """Return the user's secret, or None where there is none that only they can read."""
    folder = config_folder()
    if folder is None:
        return None
    try:
        opened = os.open(folder / FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(opened, "rb") as stream:
        about = os.fstat(opened)
        is_private = stat.S_ISREG(about.st_mode) and not about.st_mode & 0o077
        data = stream.read(100)
    return data if is_private and _FORM.fullmatch(data) else None


def _make_secret() -> bytes | None:
    folder = config_folder()
    if folder is None:
        return None
    path = folder / FILE
    new = path.with_name(f"{FILE}.{os.getpid()}.{secrets.token_hex(4)}.new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(secrets.token_hex(32).encode() + b"\n")
        # A second process that makes one at this moment gets the first one's.
        with suppress(FileExistsError):
            os.link(new, path)
    except OSError:
        return None
    finally:
        with suppress(OSError):
            new.unlink()
    return _secret()
