"""What a program can be given by name: a host that it may reach, a place that it may read."""

from __future__ import annotations

import re
from typing import Final

_HOST: Final = re.compile(r"(?:[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_LAST_PORT: Final = 65535

HOST_FORM: Final = "is not of the form 'name:port', as in 'pypi.org:443'"
PLACE_FORM: Final = "is neither absolute nor begins with '~/'"


def is_host(text: str) -> bool:
    """Answer whether this is a name or an address with a port; no pattern, and no URL."""
    found = _HOST.fullmatch(text)
    return found is not None and int(found[1]) <= _LAST_PORT


def is_place(text: str) -> bool:
    """Answer whether this names the same file or folder wherever a program is started."""
    return text.startswith(("/", "~"))
