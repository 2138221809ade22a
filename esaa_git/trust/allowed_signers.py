"""One line of `allowed_signers`: principals, options and times (ssh-keygen(1))."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from esaa_git.core import limits
from esaa_git.core.contracts import ALLOWED_SIGNERS
from esaa_git.core.decision import NAMESPACE as DECISIONS
from esaa_git.core.events.spec import ROLES, is_person
from esaa_git.errors import ConfigurationError
from esaa_git.trust import sshsig

if TYPE_CHECKING:
    from datetime import datetime


Reason: TypeAlias = Literal[
    "malformed", "bad", "unknown-key", "wrong-namespace", "expired", "not-yet-valid"
]

_PRINCIPALS: Final = r'(?:"([^"]*)"|([^ \t"]+))[ \t]+'

_OPTION: Final = r'([A-Za-z-]+)(?:="((?:\\"|[^"])*+)")?(,|[ \t]+)'

_TIME: Final = r"([0-9]{8}|[0-9]{12}|[0-9]{14})(Z|z|UTC)?"


class SignatureRefused(Exception):
    """A signature that does not count, with the reason as one word and in full."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason: Reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True, slots=True)
class AllowedSigner:
    """One line of `allowed_signers`; `principals` and `namespaces` are lists of patterns.

    A time without a zone is naive, since ssh-keygen reads it in the zone of the machine.
    """

    principals: tuple[str, ...]
    blob: bytes
    namespaces: tuple[str, ...] | None = None
    valid_after: datetime | None = None
    valid_before: datetime | None = None


def allowed_signers_line(principals: Iterable[str], public_key_line: str) -> str:
    """Return a line for `allowed_signers`, without its LF, that admits a key to git's namespace.

    A person's is admitted to that of decisions as well, so that ssh-keygen confirms those.

    Raises:
        ConfigurationError: for a principal that is not a plain name, or a key we do not accept.
    """
    names = list(principals)
    for name in names:
        if re.fullmatch(NAME, name) is None:
            raise ConfigurationError(
                f"'{name}' cannot be a principal",
                cause="a name is letters, digits and '._+@-', and starts with a letter or digit",
            )
    if not names:
        raise ConfigurationError(
            "a signer needs a principal", hint="name one of " + ", ".join(ROLES)
        )
    try:
        blob = sshsig.decode_public_key(public_key_line)
    except sshsig.MalformedSignature as error:
        raise ConfigurationError("the public key cannot be used", cause=str(error)) from None
    key = sshsig.encode_public_key(blob)
    spaces = [sshsig.NAMESPACE, *([DECISIONS] if any(map(is_person, names)) else [])]
    return f'{",".join(names)} namespaces="{",".join(spaces)}" {key}'


def parse_allowed_signers(content: bytes) -> Iterator[AllowedSigner]:
    if len(content) > limits.SIGNERS:
        cause = f"the file has {len(content):,} bytes, and {limits.SIGNERS:,} are read at most"
        raise unusable(ALLOWED_SIGNERS, 1, cause)
    for number, raw in enumerate(content.split(b"\n"), start=1):
        try:
            line = raw.decode("utf-8").strip(" \t\r")
            if line and not line.startswith("#"):
                yield parse_line(line)[0]
        except (ValueError, sshsig.MalformedSignature) as error:
            cause = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            raise unusable(ALLOWED_SIGNERS, number, cause) from None


def parse_line(line: str) -> tuple[AllowedSigner, int]:
    """Read one line that holds a key, and say where in it the key's type begins.

    Raises:
        ValueError: with what is wrong as its text; or `sshsig.MalformedSignature`.
    """
    if not line.replace("\t", " ").isprintable():
        raise ValueError("a control character")
    field = re.match(_PRINCIPALS, line)
    if field is None:
        raise ValueError("expected principals, options, a key type and a key")
    principals = patterns_of("principals", field[1] if field[2] is None else field[2])
    at = field.end()
    options: dict[str, str] = {}
    while not _is_key(line[at:]):
        option = re.match(_OPTION, line[at:])
        if option is None:
            raise ValueError(f"neither an option nor a key that we accept: '{line[at:][:40]}'")
        name, value, separator = option[1].lower(), option[2], option[3]
        if name == "cert-authority" and value is None:
            raise ValueError("certificates are not accepted: name the keys themselves")
        if name not in {"namespaces", "valid-after", "valid-before"}:
            raise ValueError(f"unknown option '{name}'")
        if value is None or name in options:
            raise ValueError(f"option '{name}' needs one value, in double quotes")
        options[name] = value.replace('\\"', '"')
        at += option.end()
        if separator != "," and not _is_key(line[at:]):
            raise ValueError(f"no key of a type that we accept: '{line[at:][:40]}'")
    after = _parse_time("valid-after", options.get("valid-after"))
    before = _parse_time("valid-before", options.get("valid-before"))
    # One with a zone and one without can be ordered on a given machine only.
    comparable = after and before and (after.tzinfo is None) == (before.tzinfo is None)
    if after and before and comparable and before <= after:
        raise ValueError("'valid-before' is not later than 'valid-after'")
    namespaces = options.get("namespaces")
    signer = AllowedSigner(
        principals,
        sshsig.decode_public_key(line[at:]),
        None if namespaces is None else patterns_of("namespaces", namespaces),
        after,
        before,
    )
    return signer, at


def _is_key(text: str) -> bool:
    key_type = text.partition(" ")[0].partition("\t")[0]
    if key_type.endswith("-cert-v01@openssh.com"):
        raise ValueError("certificates are not accepted: name the keys themselves")
    return key_type in sshsig.KEY_TYPES


def patterns_of(what: str, text: str) -> tuple[str, ...]:
    patterns = tuple(text.split(","))
    if any(pattern in ("", "!") for pattern in patterns):
        raise ValueError(f"an empty pattern in the {what}")
    if len(patterns) > limits.PATTERNS or max(map(len, patterns)) > limits.PATTERN:
        raise ValueError(
            f"the {what} are more than {limits.PATTERNS} patterns, or one is longer than "
            f"{limits.PATTERN} characters"
        )
    return patterns


def _parse_time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    from datetime import UTC, datetime

    form = re.fullmatch(_TIME, text)
    if form is None:
        raise ValueError(f"'{option}' is not YYYYMMDD[HHMM[SS]][Z]: '{text}'")
    try:
        length = {8: 6, 12: 10, 14: 12}[len(form[1])]
        # A text without a zone means the machine's, and stays naive.
        time = datetime.strptime(form[1], "%Y%m%d%H%M%S"[:length])  # noqa: DTZ007 - said above
    except ValueError:
        raise ValueError(f"'{option}' is not a time: '{text}'") from None
    return time.replace(tzinfo=UTC) if form[2] else time


def unusable(file: str, line: int, cause: str) -> ConfigurationError:
    hint = "run 'man ssh-keygen' and see ALLOWED SIGNERS" if file == ALLOWED_SIGNERS else None
    return ConfigurationError(f"line {line} of '{file}' cannot be used", cause=cause, hint=hint)


def window(signer: AllowedSigner) -> tuple[str, str, tuple[str, ...]]:
    """Return the first and last second of a line, and its principals.

    A time without a zone is the machine's for ssh-keygen. A log is judged alike everywhere, so
    here it is UTC's.
    """
    begin, end = (
        None if time is None else time.replace(tzinfo=None).isoformat(timespec="seconds")
        for time in (signer.valid_after, signer.valid_before)
    )
    return begin or "", end or "9999", signer.principals


def names_in(patterns: tuple[str, ...]) -> frozenset[str]:
    names = {pattern for pattern in patterns if not re.search(r"^!|[*?]", pattern)}
    return frozenset(name for name in names.union(ROLES) if matches(name, patterns))


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Match a pattern list: some pattern must match, and none that stands after a `!` may."""
    found = False
    for pattern in patterns:
        if _fits(name, pattern.removeprefix("!")):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _fits(name: str, pattern: str) -> bool:
    """Match one pattern of `*` and `?`, in steps of at most one length times the other.

    Where two stars stand, the first may take as little as it can: so it is enough to go back to
    the last one, and no star before it is ever tried again.
    """
    at = behind = 0
    star = -1
    while at < len(name):
        if behind < len(pattern) and pattern[behind] == "*":
            star, start = behind, at
            behind += 1
        elif behind < len(pattern) and pattern[behind] in ("?", name[at]):
            at += 1
            behind += 1
        elif star >= 0:
            start += 1
            at, behind = start, star + 1
        else:
            return False
    return not pattern[behind:].strip("*")


NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._+@-]*"
