"""Secrets are found in whatever notation they are written down, and little else is."""

from __future__ import annotations

import base64
import json
import sysconfig
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest

from esaa_git.core import secrets
from tests.core.secret_samples import FAMILIES

TOKEN = "gh" + "p_" + "a1B2c3D4e5F6" * 3


def shown(text: str, **handed: str) -> str:
    data = text.encode()
    values = [value.encode() for value in secrets.told(handed)]
    return secrets.redact(data, secrets.find(data, values)).decode()


def leaks(secret: str, text: str) -> bool:
    """Whether half of a secret, or more, stands in a text."""
    half = max(6, len(secret) // 2)
    return any(secret[at : at + half] in text for at in range(len(secret) - half + 1))


NOTATIONS: dict[str, Callable[[str], str]] = {
    "plain": lambda text: f"I saw: {text}",
    "a line of its own": lambda text: f"x\n{text}\ny",
    "JSON": lambda text: json.dumps({"summary": f"I saw: {text}", "kept": 1}),
    "JSON, in JSON": lambda text: json.dumps(json.dumps({"summary": text, "kept": 1})),
}


@pytest.mark.parametrize("notation", NOTATIONS)
def test_families_that_scanners_know_are_found(notation: str) -> None:
    missed = {
        name
        for name, text, secret in FAMILIES
        if leaks(secret, shown(NOTATIONS[notation](text.replace("{}", secret))))
    }
    # A line of their own tells these two from code.
    alone = notation == "a line of its own"
    assert missed <= (set() if alone else {"pw yaml short", "token one line up"})


@pytest.mark.parametrize("notation", NOTATIONS)
def test_what_stands_beside_a_secret_stays(notation: str) -> None:
    text = NOTATIONS[notation](f"first DB_PASSWORD={TOKEN[4:16]} last")
    assert shown(text) == text.replace(TOKEN[4:16], "[redacted]")


BROKEN = {
    "over two lines": TOKEN[:12] + "\n" + TOKEN[12:],
    "over two lines, indented": TOKEN[:12] + "\r\n    " + TOKEN[12:],
    "over two lines of a quotation": TOKEN[:12] + "\n> " + TOKEN[12:],
    "with a zero-width space": TOKEN[:8] + "\u200b" + TOKEN[8:],
    "with a soft hyphen": TOKEN[:8] + "\u00ad" + TOKEN[8:],
    "with a mark of direction": TOKEN[:8] + "\u202e" + TOKEN[8:],
    "with a tag": TOKEN[:8] + "\U000e0041" + TOKEN[8:],
    "coloured": TOKEN[:8] + "\x1b[31m" + TOKEN[8:],
    "in percent signs": urllib.parse.quote(f"password={TOKEN}&x", safe="").replace("_", "%5F"),
    "in base64": base64.b64encode(f"token: {TOKEN}".encode()).decode(),
    "escaped five times": json.dumps(json.dumps(json.dumps(json.dumps(json.dumps(f'"{TOKEN}"'))))),
    "as code points": "".join(f"\\u{ord(char):04x}" for char in TOKEN),
    "at the start of a line of JSON": json.dumps("x\n" + TOKEN),
    "in a table": f"| a | {TOKEN} |",
    "after an entity": f"password=&quot;{TOKEN[4:20]}&quot;",
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_secret_that_is_broken_up_or_encoded_is_found(how: str) -> None:
    text = BROKEN[how]
    assert not leaks(TOKEN[4:20], shown(f"I saw {text} there"))
    assert shown(f"I saw {text} there").startswith("I saw ")
    assert shown(f"I saw {text} there").endswith(" there")


def _dash(kind: str) -> str:
    return "-----" + kind + " " + "PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        f"{_dash('BEGIN RSA')}\n{{}}\n{_dash('END RSA')}",
        f"{_dash('BEGIN EC')}\nProc-Type: 4,ENCRYPTED\n\n{{}}",
        f"{{}}\n{_dash('END OPENSSH')}",
        f"{{}}{_dash('END')}",
        "PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\n{}\nPrivate-MAC: x",
    ],
)
def test_a_private_key_is_found_by_either_end(text: str) -> None:
    secret = "MIIEpAIBAAKCAQEA" + "q1W2e3R4" * 6
    for notation in NOTATIONS.values():
        assert not leaks(secret, shown(notation(text.replace("{}", secret))))


@pytest.mark.parametrize(
    "text",
    [
        "see commit 3f2a91c0d044e5b6a7c8d9e0f1a2b3c4d5e6f708",
        "sha256 " + "3f2a91c0" * 8 + " of the file",
        "the password field is required, and a token bucket limits its use",
        "password: str | None = None, token: bytes = b'', secret=self.secret",
        "if token.type == TOKEN_NAME: token = next(tokens)",
        'PASSWORD = os.environ["DB_PASSWORD"]',
        "password: ${{ secrets.DB_PASSWORD }}",
        "api_key = config.get('api_key')",
        "Enter your password: **********",
        "https://user@example.org:8443/path@2x.png",
        "postgres://user:password@localhost/db",
        "postgres://$USER:$PASSWORD@localhost/db",
        "keys = sorted(key for key in primary_key)",
        "KEY_ENTER = 13, foreign_key='orders.id', cache-key: linux-node-18",
        '"integrity": "sha512-' + "q1W2e3R4" * 10 + '=="',
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI\n-----END PUBLIC KEY-----",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJvb2tz user@example.org",
        "risk-assessment-and-mitigation-overview, task-1234567890-abcdefghij",
        "2026-01-31T09:00:00.000Z 10.0.0.1:8080 550e8400-e29b-41d4-a716-446655440000",
        "tool --username and --password options",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    for notation in NOTATIONS.values():
        assert shown(notation(text)) == notation(text)


def test_ordinary_source_is_left_alone() -> None:
    """Under three false redactions a megabyte: here the standard library of this Python."""
    folder, size, found = Path(sysconfig.get_path("stdlib")), 0, []
    for path in sorted(folder.glob("*.py")):
        data = path.read_bytes()
        size += len(data)
        found += [(path.name, data[start:end]) for start, end in secrets.find(data)]
        if size > 1_000_000:
            break
    assert size > 500_000
    assert len(found) < 3 * size / 1_000_000, found


# ------------------------------------------------------------------------ what an agent was given


HANDED = "made-up cloud value, 7"


@pytest.mark.parametrize(
    "form",
    [
        lambda value: value,
        lambda value: json.dumps(json.dumps(f'"{value}"')),
        lambda value: urllib.parse.quote(value),
        lambda value: base64.b64encode(value.encode()).decode(),
        lambda value: base64.b64encode(f"x{value}yz".encode()).decode(),
        lambda value: base64.urlsafe_b64encode(f"xy{value}".encode()).decode(),
        lambda value: value.encode().hex(),
        lambda value: value.replace("cloud", "clo\u200bud"),
        lambda value: value.replace("cloud", "clo\U0001bca0ud"),
        lambda value: "".join(chr(ord(char) + 0xFEE0) if char > "!" else char for char in value),
        lambda value: value.encode("utf-16-le").hex(),
        lambda value: base64.b64encode(value.encode("utf-16")).decode(),
        lambda value: base64.b32encode(value.encode()).decode(),
    ],
)
def test_the_exact_value_that_was_handed_over_is_found_in_any_spelling(
    form: Callable[[str], str],
) -> None:
    text = f"I was told: {form(HANDED)}"
    for piece in (HANDED, form(HANDED)):
        assert not leaks(piece, shown(text, CLOUD=HANDED))


def test_a_word_that_was_handed_over_is_a_secret_by_the_name_of_its_variable_alone() -> None:
    text = "it runs in production, in /usr/lib, at eu-central-1"
    assert shown(text, STAGE="production", PLACE="/usr/lib", REGION="eu-central-1") == text
    assert shown(text, STAGE_PASSWORD="production") == text.replace("production", "[redacted]")
    assert secrets.keys({"STAGE": "production", "NAME": "made-up cloud value, 7"}) == []
    assert secrets.keys({"X_TOKEN": "production", "OTHER": "q7Gk29xLpR4vTz81"}) == [
        "production",
        "q7Gk29xLpR4vTz81",
    ]


def test_a_short_value_is_looked_for_nowhere() -> None:
    assert secrets.told({"X_TOKEN": "abc"}) == []


# ------------------------------------------------------------------------------------ odd input


@pytest.mark.parametrize(
    "data",
    [b"", b"\\", b"\\u", b"%", b"\xff\xfe\x00", b"\\ud800", b"&quot", b"\xf3\xa0", b"=" * 99],
)
def test_any_bytes_are_taken(data: bytes) -> None:
    assert secrets.redact(data, secrets.find(data)) == data


def test_a_pattern_that_is_none_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="invalid perl operator"):
        secrets.compiled(b"(?=ahead)")
