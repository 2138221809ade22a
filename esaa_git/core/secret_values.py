"""Whether a value that stands where a secret would is one, by how its letters and digits stand."""

from __future__ import annotations

import re
from typing import Final

_STRONG: Final = re.compile(
    rb"(?i)passw|passphrase|pwd|secret|credential|creds|[_-]pass\Z|[_-]pw\Z"
)
_ID: Final = re.compile(
    rb"[a-f0-9]{24,80}|[A-F0-9]{24,80}|[A-Za-z0-9_=-]{20,90}|"
    rb"[A-Fa-f0-9]{8}(?:-[A-Fa-f0-9]{4}){3}-[A-Fa-f0-9]{12}"
)
_NO_VALUE: Final = re.compile(
    rb"(?i)[$%<{\[(*#@&!|+]|.*(?:\$\{|\{\{|%\(|<[a-z]|\.\.\.|\xe2\x80\xa6|\[redacted)|"
    rb"https?://|[./~]{1,2}/|(?:null|none|true|false|undefined|required|optional)\b|"
    rb"(?:x{4,}|\.{3,}|\*{3,}|your|my[_-]|some|example|dummy|placeholder|changeme|todo|process\.env|os\.environ|"
    rb"env[.(]|self\.|this\.|config\.|settings\.|request\.|args\.|ctx\.|secrets\.|vars\.|steps\.|inputs\.|github\.)"
)
_CODE: Final = re.compile(rb"[A-Za-z_$][\w$]*(?:(?:\.|->|::)[A-Za-z_$][\w$]*)*,?")
_FILE: Final = re.compile(
    rb"(?i).*\.(?:py|js|ts|go|rs|c|h|java|rb|sh|json|ya?ml|toml|pem|key|crt|cer|pub|txt|md|html?|xml|ini|cfg|conf|com|org|net|io|dev)"
)
_DIGITS: Final = re.compile(rb"\d")
_LETTERS: Final = re.compile(rb"[A-Za-z]+")
_SWITCH: Final = re.compile(rb"[A-Za-z](?=\d)|\d(?=[A-Za-z])")


def is_secret(name: bytes, value: bytes, is_quoted: bool, is_tight: bool) -> bool:
    """Answer whether the value of a name that may hold a secret looks like one."""
    value = value.strip()
    if len(value) < 6 or _NO_VALUE.match(value) or _FILE.fullmatch(value):
        return False
    if len(set(value)) < 4:
        return False
    is_strong = _STRONG.search(name) is not None
    words = value.split()
    if len(words) > 1:
        mixed = sum(1 for word in words if _DIGITS.search(word) and _LETTERS.search(word))
        return is_quoted and is_strong and 2 * mixed > len(words)
    has_digits = len(_DIGITS.findall(value))
    letters = b"".join(_LETTERS.findall(value))
    if not letters:
        return is_strong and has_digits >= 8 and is_tight
    is_mixed = len(_SWITCH.findall(value)) > 1
    is_loose = not is_quoted and not is_tight
    if is_loose and not is_mixed and _CODE.fullmatch(value) and not is_random(value, 8):
        return False
    if is_random(value, 7):
        return True
    if not is_strong:
        return has_digits >= 3 and len(value) >= 16 and len(_SWITCH.findall(value)) >= 4
    if has_digits:
        return is_quoted or is_tight or is_mixed or not _CODE.fullmatch(value)
    symbols = sum(value.count(bytes([char])) for char in b"!@#$%^&*+=?~")
    if symbols and not value.islower():
        return True
    return is_tight and name.isupper() and len(value) >= 8 and b"_" not in value


def is_told(value: bytes) -> bool:
    """Answer whether what follows an option, or a user's name, is more than a word for it."""
    return bool(
        not _NO_VALUE.match(value)
        and (
            _DIGITS.search(value)
            or is_random(value, 7)
            or (not value.islower() and not value.isupper() and not value.istitle())
        )
        and not value.startswith(b"-")
    )


def is_id(value: bytes) -> bool:
    """Answer whether a value has the shape of an id that a service gives out."""
    return bool(
        _ID.fullmatch(value)
        and len(_DIGITS.findall(value)) >= 3
        and (len(_SWITCH.findall(value)) >= 3)
        and not _NO_VALUE.match(value)
    )


def is_random(value: bytes, least: int) -> bool:
    """Answer whether letters and digits stand as if they were drawn, and not in words."""
    pairs = [
        value[at : at + 2].lower() for at in range(len(value) - 1) if value[at : at + 2].isalpha()
    ]
    switches = len(_SWITCH.findall(value))
    if switches >= 4 and 3 * switches >= len(value) - 1:
        return True
    if len(pairs) + switches < least:
        return False
    usual = sum(1 for pair in pairs if pair in _USUAL)
    return usual < 0.6 * (len(pairs) + switches)


# Pairs of letters that words of English and of programs are made of.
_USUAL: Final = frozenset(
    b"ab ac ad ag ai ak al am an ap ar as at au av ay ba be bi bl bo br bu ca cc ce ch ci ck cl co "
    b"cr ct cu da dd de di dl do ds du ea ec ed ee ef eg ei el em en ep eq er es et ev ew ex ey fa "
    b"fe ff fi fl fo fr fu ge gh gi gn gr gs gu ha he hi ho ht ia ib ic id ie if ig il im in io ip "
    b"ir is it iv ix iz ke ki la ld le li ll lo ls lt lu ly ma mb me mi mm mo mp ms mu na nc nd ne "
    b"nf ng ni nn no ns nt nu nv ob oc od og oi ok ol om on oo op or os ot ou ov ow pa pe pi pl po "
    b"pp pr pt pu qu ra rc rd re rg ri rk rm rn ro rr rs rt ru ry sa sc se sh si so sp ss st su sy "
    b"ta tc te th ti tl to tp tr ts tt tu ty ua ub uc ue ug ui ul um un up ur us ut va ve vi wa we "
    b"wh wi wo wr xc xe xi xp xt yp ys yt ze".split()
)
