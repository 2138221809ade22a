"""The names by which contracts give something to a program, in one spelling each.

Whoever is asked for a variable, a host or a URL must not take it for another one. What could not be
given to any program is refused where it is read, long before one is started.
"""

from __future__ import annotations

import re
from typing import Final

from esaa_git.core.printable import ascii_visible
from esaa_git.given import HOST_FORM, PLACE_FORM, is_host, is_place

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ADDRESS: Final = re.compile(r"[!-\[\]-~]+")
"""Printable ASCII without spaces, and without the backslash, which some readers take for '/'."""

VARIABLES: Final = frozenset({"env", "key_env", "variables"})
"""The settings that hold names of variables; all others but `read` hold addresses."""


def fault_of(setting: str, value: str) -> str | None:
    """Return what is wrong with a name in the words of an error, or None."""
    if setting in VARIABLES:
        if _VARIABLE.fullmatch(value):
            return None
        what = "is no name of a variable: letters of ASCII, digits and '_'"
    elif setting == "read":
        if is_place(value):
            return None
        what = PLACE_FORM
    elif setting == "hosts" and _ADDRESS.fullmatch(value):
        if is_host(value):
            return None
        what = HOST_FORM
    else:
        if _ADDRESS.fullmatch(value):
            return None
        what = (
            "holds other characters than those of an address: write it in its ASCII form, a name "
            "as xn--…, and in a path as %XX"
        )
    return f"'{ascii_visible(value[:200])}' {what}"
