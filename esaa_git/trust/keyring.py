"""The two files that say whose key may sign, as people keep them, and what the log says of keys.

An edit changes the one line or entry that it is about, and leaves every other byte as it was:
the files hold comments, and are reviewed. What an edit gives is read again by the strict reader
(`esaa_git.trust.signers`) before anybody gets to see it. It takes effect with the next `run.init`.
"""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from esaa_git.core.contracts import Contracts
from esaa_git.errors import ConfigurationError, KeyUnavailable, RefusedError, UsageError
from esaa_git.store.log import load_tip, read_contracts, read_event_commit
from esaa_git.store.objects import decode_commit, decode_tree
from esaa_git.store.repository import Repository
from esaa_git.trust import sshsig
from esaa_git.trust.keys import KeySpec, OpenPgpSigner, load_signer
from esaa_git.trust.signers import (
    ALLOWED_SIGNERS,
    OPENPGP,
    OPENPGP_SIGNERS,
    ROLES,
    SignerSet,
    allowed_signers_line,
    parse_line,
)

NEEDED: Final = ("orchestrator", "admin")
"""Roles that somebody has to have: without them nothing, or no other key, could be recorded."""

NEXT_KEY: Final = "esaa.nextSigningKey"
NEXT_FORMAT: Final = "esaa.nextKeyFormat"

_PRINCIPALS: Final = re.compile(r'"([^"]*)"|([^ \t"]+)')
_OPTION: Final = re.compile(r'[A-Za-z-]+="(?:\\"|[^"])*"')
_FINGERPRINT: Final = re.compile("[0-9A-F]{40}")
_OPENPGP_HEAD: Final = (
    "# OpenPGP keys that may sign events, with their roles; see allowed_signers.\n"
)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that could be trusted: a public key line, or an armoured OpenPGP key as `text`."""

    fingerprint: str
    key_type: str
    text: str
    comment: str = ""


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
        files = {**contracts.files, ALLOWED_SIGNERS: self.allowed}
        if self.openpgp is not None:
            files[OPENPGP_SIGNERS] = self.openpgp
        return Contracts(files)

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

    # -- edits --------------------------------------------------------------------------------

    def trust(self, key: PublicKey, roles: Iterable[str]) -> Keyring:
        """Give a key exactly these roles; principals of its line that are no roles stay.

        Raises:
            RefusedError: if nobody would be left with a role that somebody has to have.
            ConfigurationError: where the line cannot be changed safely: patterns, several lines.
        """
        wanted = [role for role in ROLES if role in set(roles)]
        listed = self.listed(key.fingerprint)
        if not listed:
            return self._kept(self._add(wanted, key))
        entry = self._only(listed)
        names = self._names(entry)
        others = [name for name in names if name not in ROLES]
        if not entry.roles and set(names) & set(ROLES):
            raise _by_hand(entry, "its line is for other namespaces than git's")
        if set(names) == {*wanted, *others}:
            return self
        return self._kept(self._rename(entry, [*wanted, *others]))

    def revoke(self, fingerprint: str) -> Keyring:
        """Take a key out, wherever it is listed.

        Raises:
            RefusedError: if nobody would be left with a role that somebody has to have.
        """
        return self._kept(self._without(fingerprint))

    def replace(self, fingerprint: str, key: PublicKey) -> Keyring:
        """Put a key in the place of another one, with the same principals.

        Limits in time are left out: they were those of the key that goes.

        Raises:
            RefusedError: if nobody would be left with a role that somebody has to have.
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
                hint="run 'git esaa key rotate' to replace the key configured here, or 'git esaa "
                f"key trust KEY --role {lost[0]}' for another one first",
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
    def _signers(self) -> SignerSet:
        return SignerSet.parse(self.allowed, self.openpgp, may_be_empty=True)

    def _ssh_keys(self) -> Iterator[ListedKey]:
        signers = self._signers  # says what is wrong with the files
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
        for signer, entry in zip(self._signers.openpgp, entries, strict=True):
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


def _exported(fingerprint: str, program: str) -> PublicKey:
    try:
        done = subprocess.run(
            [
                program,
                "--batch",
                "--armor",
                "--export-options=export-minimal",
                "--export",
                f"0x{fingerprint}",
            ],
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise KeyUnavailable(
            f"cannot run '{program}'",
            cause=error.strerror,
            hint="install GnuPG, or run 'git config gpg.program PATH'",
        ) from None
    armored = done.stdout.decode("ascii", "replace")
    if done.returncode or not armored.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----"):
        raise KeyUnavailable(
            f"gpg does not export the key '{fingerprint}'",
            cause=done.stderr.decode("utf-8", "replace").strip() or None,
            hint=f"run '{program} --list-keys {fingerprint}' to see whether it is there",
        )
    return PublicKey(fingerprint, OPENPGP, armored)


# ---- keys by name ---------------------------------------------------------------------------


def read_public_key(given: str, gpg_program: str = "gpg") -> PublicKey:
    """Return the key that is meant: a `.pub` file, a public key line, or an OpenPGP fingerprint.

    Raises:
        UsageError: for a private key, several keys, or what names no key at all.
        ConfigurationError: for a key of a type or strength that we do not accept.
        KeyUnavailable: if gpg does not know the OpenPGP key.
    """
    compact = given.replace(" ", "").removeprefix("0x").upper()
    if _FINGERPRINT.fullmatch(compact) and not Path(given).exists():
        return _exported(compact, gpg_program)
    literal = given.removeprefix("key::")
    if literal == given and " " not in literal.strip():
        literal = _read_public_file(given)
    lines = [line for line in literal.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) != 1:
        raise UsageError(
            f"'{given}' holds {len(lines)} keys", hint="name a file that holds one public key"
        )
    line = lines[0].strip()
    try:
        blob = sshsig.decode_public_key(line)
    except sshsig.MalformedSignature as error:
        raise UsageError(
            f"'{given}' is no public key that can be trusted",
            cause=str(error),
            hint="name a .pub file, a line as in 'ssh-ed25519 AAAA... comment', or the 40 digits "
            "of an OpenPGP fingerprint",
        ) from None
    fields = line.split(None, 2)
    comment = fields[2] if len(fields) > 2 else ""
    if not comment.isprintable():
        raise UsageError(f"the comment of '{given}' holds control characters")
    return PublicKey(sshsig.fingerprint(blob), fields[0], sshsig.encode_public_key(blob), comment)


def _read_public_file(given: str) -> str:
    path = Path(os.path.expanduser(given))  # noqa: PTH111 - Path's raises for an unknown user
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"no public key '{given}'",
            cause=error.strerror,
            hint="name a .pub file, a line as in 'ssh-ed25519 AAAA... comment', or the 40 digits "
            "of an OpenPGP fingerprint",
        ) from None
    if b"PRIVATE KEY" in data:
        raise UsageError(f"'{given}' is a private key", hint=f"name its public half: '{given}.pub'")
    return data.decode("utf-8", "replace")


def key_spec(given: str, gpg_program: str = "gpg") -> KeySpec:
    """Return which key an argument or a setting names; hexadecimal digits are OpenPGP's."""
    compact = given.replace(" ", "").removeprefix("0x").upper()
    if re.fullmatch("[0-9A-F]{16}|[0-9A-F]{40}", compact) and not Path(given).exists():
        return KeySpec("openpgp", compact, gpg_program)
    return KeySpec("ssh", str(Path(given).resolve()) if Path(given).exists() else given)


def public_half(spec: KeySpec) -> PublicKey:
    """Return the public key of what one signs with; the private one is asked only where it must be.

    Raises:
        KeyUnavailable: if it cannot be found.
    """
    if spec.format == "openpgp":
        return _exported(OpenPgpSigner(spec.key, spec.gpg_program).fingerprint, spec.gpg_program)
    path = Path(os.path.expanduser(spec.key))  # noqa: PTH111 - Path's raises for an unknown user
    beside = path.with_name(path.name + ".pub")
    for place in (beside, path):
        if place.suffix == ".pub" and place.is_file():
            try:
                return read_public_key(str(place))
            except UsageError:
                break
    line = load_signer(spec).public_key_line
    return read_public_key(f"key::{line}")


def key_folder() -> Path:
    """Return where keys are made: the user's own configuration, and no repository."""
    base = os.environ.get("XDG_CONFIG_HOME")
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".config"
    return root / "git-esaa" / "keys"


# ---- the files of a checkout ----------------------------------------------------------------


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


# ---- what the log says ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Span:
    """Events that a key may sign, by sequence: from `first` to `last`, or to the log's end."""

    first: int
    last: int | None
    roles: frozenset[str]


def pinned_keyrings(repository: Repository) -> list[tuple[int, Keyring]]:
    """Return every keyring that was in force, with the sequence number of its `run.init`.

    Nothing here is verified: it is what the log says.
    """
    oid = repository.ref_target(repository.events_ref)
    if oid is None:
        return []
    seq = read_event_commit(repository.read, oid).event.seq
    found: list[tuple[int, str]] = []
    while oid is not None:
        commit = decode_commit(repository.read(oid)[1])
        contracts = decode_tree(repository.read(commit.tree)[1])["contracts"].oid
        # Backwards: what was noted last began here, unless its predecessor has the same.
        if found and found[-1][1] == contracts:
            found[-1] = (seq, contracts)
        else:
            found.append((seq, contracts))
        oid, seq = commit.parents[0] if commit.parents else None, seq - 1
    return [
        (seq, Keyring.of(read_contracts(repository.read, contracts)))
        for seq, contracts in reversed(found)
    ]


def spans(pinned: Sequence[tuple[int, Keyring]]) -> dict[str, list[Span]]:
    """Return when each key that ever was in force could sign what.

    A `run.init` that changes the keys is itself signed under those before it; the first under
    its own.
    """
    found: dict[str, list[Span]] = {}
    for place, (seq, keyring) in enumerate(pinned):
        first = seq if place == 0 else seq + 1
        last = pinned[place + 1][0] if place + 1 < len(pinned) else None
        for fingerprint in dict.fromkeys(key.fingerprint for key in keyring.keys):
            roles = keyring.roles_of(fingerprint)
            before = found.setdefault(fingerprint, [])
            if before and before[-1].last == first - 1 and before[-1].roles == roles:
                before[-1] = Span(before[-1].first, last, roles)
            else:
                before.append(Span(first, last, roles))
    return found


# ---- the key configured here, and the one that follows it -----------------------------------


def configured(repository: Repository, name: str, format_name: str | None) -> KeySpec | None:
    """Return the key that a setting names; the format is told from the text, or by a setting."""
    key = repository.setting(name)
    if key is None:
        return None
    program = repository.setting("gpg.program") or "gpg"
    if format_name is None:
        return key_spec(key, program)
    style = repository.setting(format_name) or "ssh"
    if style not in ("ssh", "openpgp"):
        raise UsageError(f"{format_name} is '{style}'", hint="set it to 'ssh' or to 'openpgp'")
    return KeySpec("ssh" if style == "ssh" else "openpgp", key, program)


def keyring_in_force(repository: Repository) -> Keyring | None:
    """Return the keyring that the end of the log has pinned; None where there is no log."""
    tip = repository.ref_target(repository.events_ref)
    return None if tip is None else Keyring.of(load_tip(repository, tip).contracts)


def set_next(repository: Repository, spec: KeySpec) -> None:
    """Note the key that will sign here as soon as it is trusted."""
    repository.set_local(NEXT_FORMAT, spec.format)
    repository.set_local(NEXT_KEY, spec.key)


def finish_rotation(repository: Repository) -> bool:
    """Make the next key the one that signs, if the keyring that counts lets it; say whether.

    The log is the commit point of a rotation, so the settings follow it: whoever dies in between
    is finished by the next command. Without a log, the file in the checkout is what counts.
    """
    spec = configured(repository, NEXT_KEY, NEXT_FORMAT)
    if spec is None:
        return False
    keyring = keyring_in_force(repository)
    if keyring is None and repository.workdir is not None:
        keyring = read_keyring(repository.workdir / ".roadmap")
    fingerprint = public_half(spec).fingerprint
    if keyring is None or "orchestrator" not in keyring.roles_of(fingerprint):
        return False
    repository.set_local("esaa.keyFormat", spec.format)
    repository.set_local("esaa.signingKey", spec.key)
    repository.unset_local(NEXT_KEY)
    repository.unset_local(NEXT_FORMAT)
    return True
