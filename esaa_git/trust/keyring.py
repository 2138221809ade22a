"""The two files that say whose key may sign, as people keep them, and what the log says of keys.

An edit changes the one line or entry that it is about, and leaves every other byte as it was:
the files hold comments, and are reviewed. What an edit gives is read again by the strict reader
(`esaa_git.trust.signers`) before it is shown or written. It takes effect with the next `run.init`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from esaa_git.core.contracts import ALLOWED_SIGNERS, OPENPGP_SIGNERS, Contracts
from esaa_git.core.documents import decode_yaml_texts
from esaa_git.core.events.spec import ADMIN, PEOPLE, ROLES, is_person, same_person
from esaa_git.errors import ConfigurationError, RefusedError, UsageError
from esaa_git.trust import sshsig
from esaa_git.trust.allowed_signers import allowed_signers_line, parse_line
from esaa_git.trust.publickey import PublicKey, read_public_key
from esaa_git.trust.signers import OPENPGP, SignerSet

NEEDED: Final = ("orchestrator", "admin")
"""Roles that a key has to have: without them nothing, or no other key, could be recorded."""

_PRINCIPALS: Final = re.compile(r'"([^"]*)"|([^ \t"]+)')
_OPTION: Final = re.compile(r'[A-Za-z-]+="(?:\\"|[^"])*"')

_OPENPGP_HEAD: Final = (
    "# OpenPGP keys that may sign events, with their roles; see allowed_signers.\n"
)


@dataclass(frozen=True, slots=True)
class ListedKey:
    """One line of `allowed_signers`, or one entry of `openpgp_signers.yaml`.

    `principals` are as they are written, patterns included; `roles` is what they amount to in
    git's namespace. `line` counts from 1.
    """

    fingerprint: str
    key_type: str
    comment: str
    principals: tuple[str, ...]
    roles: frozenset[str]
    line: int
    valid_after: str | None = None
    valid_before: str | None = None


class Keyring:
    """The keys of one set of contracts; each edit gives another keyring.

    Raises:
        ConfigurationError: from every method, for files that cannot be used as they stand.
    """

    def __init__(self, allowed: bytes, openpgp: bytes | None = None) -> None:
        self.allowed = allowed
        self.openpgp = openpgp

    @classmethod
    def of(cls, contracts: Contracts) -> Keyring:
        """Return the keyring that lies among these contracts."""
        files = contracts.files
        return cls(files.get(ALLOWED_SIGNERS, b""), files.get(OPENPGP_SIGNERS))

    def into(self, contracts: Contracts) -> Contracts:
        """Return the contracts with this keyring, and nothing else changed."""
        files = {ALLOWED_SIGNERS: self.allowed}
        if self.openpgp is not None:
            files[OPENPGP_SIGNERS] = self.openpgp
        return contracts.with_files(files)

    @cached_property
    def keys(self) -> tuple[ListedKey, ...]:
        """Every key that is listed, in the order of the files."""
        return (*self._ssh_keys(), *self._openpgp_keys())

    @property
    def roles(self) -> frozenset[str]:
        """The roles that some key has."""
        return frozenset[str]().union(*(key.roles for key in self.keys))

    def listed(self, fingerprint: str) -> list[ListedKey]:
        """Return the lines and entries that name this key."""
        return [key for key in self.keys if key.fingerprint == fingerprint]

    def roles_of(self, fingerprint: str) -> frozenset[str]:
        """Return the roles of a key: none for one that is not listed."""
        return frozenset[str]().union(*(key.roles for key in self.listed(fingerprint)))

    def person_of(self, fingerprint: str) -> str | None:
        """Return whose key it is; None for a service's, or one that is not listed."""
        listed = self.listed(fingerprint)
        names = {name for key in listed for name in key.principals if is_person(name)}
        roles = self.roles_of(fingerprint)
        return min(names) if names and roles & set(PEOPLE) else None

    def find(self, wanted: str) -> str:
        """Return the fingerprint of the listed key that is meant: by it, its comment or its file.

        Raises:
            UsageError: if no key is meant, or more than one.
        """
        exact = {wanted, f"SHA256:{wanted}", wanted.replace(" ", "").upper()}
        found = {key.fingerprint for key in self.keys if key.fingerprint in exact}
        if not found:
            found = {key.fingerprint for key in self.keys if key.comment == wanted != ""}
        if not found and Path(wanted).is_file():
            public = Path(f"{wanted}.pub")
            key = read_public_key(str(public) if public.is_file() else wanted)
            found = {key.fingerprint} if self.listed(key.fingerprint) else set()
        if len(found) == 1:
            return found.pop()
        if found:
            raise UsageError(
                f"'{wanted}' is the comment of {len(found)} keys",
                cause=", ".join(sorted(found)),
                hint="name one of them by its fingerprint",
            )
        raise UsageError(
            f"no key '{wanted}' in .roadmap/{ALLOWED_SIGNERS}",
            hint="run 'git esaa key list' for fingerprints and comments",
        )

    def of_person(self, person: str) -> tuple[str, ...]:
        """Return the fingerprints of a person's keys, one each, in any case of the address."""
        found = (
            key.fingerprint
            for key in self.keys
            if any(is_person(name) and same_person(name, person) for name in key.principals)
        )
        return tuple(dict.fromkeys(found))

    # -- edits --------------------------------------------------------------------------------

    def trust(self, key: PublicKey, roles: Iterable[str], *, person: str | None = None) -> Keyring:
        """Give a key exactly these roles.

        Args:
            person: whose key it is; empty for nobody's. By default the principals of its line that
                are no roles stay.

        Raises:
            RefusedError: if no key would be left with a role that one has to have.
            ConfigurationError: where the line cannot be changed safely: patterns, several lines.
        """
        wanted = [role for role in ROLES if role in set(roles)]
        listed = self.listed(key.fingerprint)
        if not listed:
            return self._kept(self._add([person, *wanted] if person else wanted, key))
        entry = self._only(listed)
        names = self._names(entry)
        others = [name for name in names if name not in ROLES]
        if person is not None:
            others = [person] if person else []
        if not entry.roles and set(names) & set(ROLES):
            raise _by_hand(entry, "its line is for other namespaces than git's")
        if set(names) == {*wanted, *others}:
            return self
        return self._kept(self._rename(entry, [*wanted, *others]))

    def revoke(self, *fingerprints: str) -> Keyring:
        """Take keys out, wherever they are listed.

        Raises:
            RefusedError: if no key would be left with a role that one has to have.
        """
        after = self
        for fingerprint in fingerprints:
            after = after._without(fingerprint)
        return self._kept(after)

    def replace(self, fingerprint: str, key: PublicKey) -> Keyring:
        """Put a key in the place of another one, with the same principals.

        Limits in time are left out: they were those of the key that goes.

        Raises:
            RefusedError: if no key would be left with a role that one has to have.
            ConfigurationError: if the other key stands there already.
        """
        listed = self.listed(fingerprint)
        if not listed:
            return self
        if self.listed(key.fingerprint):
            raise ConfigurationError(
                f"the key '{key.fingerprint}' is listed already",
                hint="choose a key that has no role yet",
            )
        if all(one.key_type != OPENPGP for one in listed) and key.key_type != OPENPGP:
            lines = self.allowed.split(b"\n")
            for one in listed:
                lines[one.line - 1] = _with_key(lines[one.line - 1], key)
            return self._kept(Keyring(b"\n".join(lines), self.openpgp))
        names = [name for one in listed for name in self._names(one)]
        return self._kept(self._without(fingerprint)._add(list(dict.fromkeys(names)), key))

    def _kept(self, after: Keyring) -> Keyring:
        lost = [role for role in NEEDED if role in self.roles and role not in after.roles]
        if lost:
            raise RefusedError(
                f"that would leave no key with the role {' or '.join(lost)}",
                cause="nothing could be recorded, or no other key be trusted, ever again",
                hint=_instead(lost[0]),
            )
        return after

    def _add(self, names: Sequence[str], key: PublicKey) -> Keyring:
        if key.key_type == OPENPGP:
            before = _OPENPGP_HEAD.encode() if self.openpgp is None else _ended(self.openpgp)
            return Keyring(self.allowed, before + openpgp_entry(names, key).encode())
        line = allowed_signers_line(names, key.text)
        comment = f" {key.comment}" if key.comment else ""
        return Keyring(_ended(self.allowed) + f"{line}{comment}\n".encode(), self.openpgp)

    def _without(self, fingerprint: str) -> Keyring:
        allowed, openpgp = self.allowed, self.openpgp
        for one in reversed(self.listed(fingerprint)):
            if one.key_type != OPENPGP:
                lines = allowed.split(b"\n")
                del lines[one.line - 1]
                allowed = b"\n".join(lines)
            elif openpgp is not None:
                openpgp = _without_entry(openpgp, one)
        return Keyring(allowed, openpgp)

    def _rename(self, entry: ListedKey, names: Sequence[str]) -> Keyring:
        if entry.key_type != OPENPGP:
            lines = self.allowed.split(b"\n")
            lines[entry.line - 1] = _with_principals(lines[entry.line - 1], names)
            return Keyring(b"\n".join(lines), self.openpgp)
        assert self.openpgp is not None
        return Keyring(self.allowed, _entry_with_principals(self.openpgp, entry, names))

    def _only(self, listed: list[ListedKey]) -> ListedKey:
        if len(listed) > 1:
            lines = ", ".join(str(one.line) for one in listed)
            raise _by_hand(listed[0], f"it stands on lines {lines}")
        return listed[0]

    def _names(self, entry: ListedKey) -> tuple[str, ...]:
        if any(re.search(r"^!|[*?]", name) for name in entry.principals):
            raise _by_hand(entry, f"its principals are patterns: {','.join(entry.principals)}")
        return entry.principals

    # -- reading ------------------------------------------------------------------------------

    @cached_property
    def signers(self) -> SignerSet:
        """The keys that the files name, read strictly."""
        return SignerSet.parse(self.allowed, self.openpgp, may_be_empty=True)

    def _ssh_keys(self) -> Iterator[ListedKey]:
        signers = self.signers  # says what is wrong with the files
        for number, raw in enumerate(self.allowed.split(b"\n"), start=1):
            line = raw.decode().strip(" \t\r")
            if not line or line.startswith("#"):
                continue
            signer, at = parse_line(line)
            fields = line[at:].split(None, 2)
            alone = SignerSet([signer])
            fingerprint = sshsig.fingerprint(signer.blob)
            yield ListedKey(
                fingerprint,
                sshsig.key_type(signer.blob),
                fields[2] if len(fields) > 2 else "",
                signer.principals,
                alone.roles_of_fingerprint(fingerprint)
                & signers.roles_of_fingerprint(fingerprint)
                & set(ROLES),
                number,
                None if signer.valid_after is None else signer.valid_after.isoformat(),
                None if signer.valid_before is None else signer.valid_before.isoformat(),
            )

    def _openpgp_keys(self) -> Iterator[ListedKey]:
        if self.openpgp is None:
            return
        entries = _entries(self.openpgp)
        for signer, entry in zip(self.signers.openpgp, entries, strict=True):
            roles = SignerSet([], [signer]).roles_of_fingerprint(signer.fingerprint)
            yield ListedKey(
                signer.fingerprint,
                OPENPGP,
                "",
                signer.principals,
                roles & set(ROLES),
                entry.start_mark.line + 1,
            )


def _by_hand(entry: ListedKey, cause: str) -> ConfigurationError:
    file = OPENPGP_SIGNERS if entry.key_type == OPENPGP else ALLOWED_SIGNERS
    return ConfigurationError(
        f"line {entry.line} of '.roadmap/{file}' has to be changed by hand",
        cause=cause,
        hint=f"edit .roadmap/{file}, then see 'git esaa key list'",
    )


def _ended(content: bytes) -> bytes:
    return content if not content or content.endswith(b"\n") else content + b"\n"


def _split(raw: bytes) -> tuple[str, str, str]:
    """Return a line of `allowed_signers` between the white space around it."""
    text = raw.decode()
    line = text.strip(" \t\r")
    before = text[: text.index(line)]
    return before, line, text[len(before) + len(line) :]


def _with_principals(raw: bytes, names: Sequence[str]) -> bytes:
    before, line, after = _split(raw)
    field = _PRINCIPALS.match(line)
    assert field is not None  # the strict reader has read it
    quote = '"' if field[2] is None else ""
    return f"{before}{quote}{','.join(names)}{quote}{line[field.end() :]}{after}".encode()


def _instead(role: str) -> str:
    """Return what to do where the last key of a role was to go."""
    if role == ADMIN:
        return f"run 'git esaa key trust KEY --role {ADMIN} --as EMAIL' for another one first"
    return (
        "run 'git esaa key rotate' to replace the key configured here, or 'git esaa key trust "
        f"KEY --role {role}' for another one first"
    )


def _with_key(raw: bytes, key: PublicKey) -> bytes:
    before, line, after = _split(raw)
    _, at = parse_line(line)
    field = _PRINCIPALS.match(line)
    assert field is not None  # the strict reader has read it
    options = line[field.end() : at]
    given = _OPTION.findall(options)
    kept = [option for option in given if not option.lower().startswith("valid-")]
    if kept != given:
        options = f" {','.join(kept)} " if kept else " "
    comment = f" {key.comment}" if key.comment else ""
    public = " ".join(key.text.split()[:2])
    return f"{before}{field[0]}{options}{public}{comment}{after}".encode()


# ---- OpenPGP --------------------------------------------------------------------------------


def openpgp_entry(principals: Sequence[str], key: PublicKey) -> str:
    """Return the entry of `openpgp_signers.yaml` for a key."""
    block = textwrap.indent(key.text.strip(), "    ")
    return (
        f"- principals: [{', '.join(principals)}]\n  fingerprint: {key.fingerprint}\n"
        f"  public_key: |\n{block}\n"
    )


def openpgp_file(principals: Sequence[str], key: PublicKey) -> str:
    """Return a whole `openpgp_signers.yaml` with one key."""
    return _OPENPGP_HEAD + openpgp_entry(principals, key)


def _entries(content: bytes) -> list[Any]:
    import yaml

    decode_yaml_texts(content)  # which bounds what follows
    root = yaml.compose(content.decode(), Loader=yaml.SafeLoader)
    return [] if root is None else list(root.value)


def _entry(content: bytes, listed: ListedKey) -> tuple[Any, int | None]:
    """Return the node of an entry, and the line on which the next one begins."""
    entries = _entries(content)
    place = [entry.start_mark.line + 1 for entry in entries].index(listed.line)
    following = entries[place + 1].start_mark.line if place + 1 < len(entries) else None
    line = content.decode().split("\n")[listed.line - 1]
    if not re.match(r"\s*- ", line) or following == listed.line - 1:
        raise _by_hand(listed, "the list is written in YAML's flow style")
    return entries[place], following


def _without_entry(content: bytes, listed: ListedKey) -> bytes:
    _, following = _entry(content, listed)
    lines = content.decode().split("\n")
    end = len(lines) if following is None else following
    # What stands between two entries belongs to the one that follows.
    while end > listed.line and re.fullmatch(r"\s*(#.*)?", lines[end - 1]):
        end -= 1
    return "\n".join(lines[: listed.line - 1] + lines[end:]).encode()


def _entry_with_principals(content: bytes, listed: ListedKey, names: Sequence[str]) -> bytes:
    entry, _ = _entry(content, listed)
    value = next(value for key, value in entry.value if key.value == "principals")
    if not value.flow_style:
        raise _by_hand(listed, "its principals are written one below the other")
    text = content.decode()
    before, after = text[: value.start_mark.index], text[value.end_mark.index :]
    return f"{before}[{', '.join(names)}]{after}".encode()


# ---- keys by name ---------------------------------------------------------------------------


# ---- the files of a checkout ----------------------------------------------------------------


# ---- what the log says ----------------------------------------------------------------------


# ---- the key configured here, and the one that follows it -----------------------------------
