"""Who may sign: the keys that the pinned contracts name, and the roles they act in.

`allowed_signers` is git's own file (ssh-keygen(1), ALLOWED SIGNERS), so that plain
`git verify-commit` trusts the keys that we trust; `openpgp_signers.yaml` pins OpenPGP keys beside
it. Both are read strictly: a line that ssh-keygen would skip is an error here, because a signer
who is silently missing is found out too late.

A refused signature is a `SignatureRefused` with a typed reason, for the verifier to place; a file
that cannot be used is a `ConfigurationError` that names the line.
"""

from __future__ import annotations

import os
import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NoReturn, TypeAlias

from esaa_git.errors import ConfigurationError
from esaa_git.trust import sshsig

if TYPE_CHECKING:
    from datetime import datetime

ALLOWED_SIGNERS: Final = "allowed_signers"
OPENPGP_SIGNERS: Final = "openpgp_signers.yaml"
ROLES: Final = ("orchestrator", "approver", "admin")
OPENPGP: Final = "openpgp"

Reason: TypeAlias = Literal[
    "malformed", "bad", "unknown-key", "wrong-namespace", "expired", "not-yet-valid"
]

_PGP_BEGIN: Final = b"-----BEGIN PGP SIGNATURE-----\n"
_PGP_END: Final = b"-----END PGP SIGNATURE-----\n"
_PGP_MAXIMUM_BYTES: Final = 65536
# Patterns stay text, and compile where they are first used: that is half of this import's time.
_PGP_ARMOR: Final = (
    rb"(?:[A-Za-z]+: [^\n]*\n)*\n((?:[A-Za-z0-9+/]+={0,2}\n)+)(?:=[A-Za-z0-9+/]{4}\n)?"
)
_PGP_KEY: Final = r"-----BEGIN PGP PUBLIC KEY BLOCK-----\n[^-]+-----END PGP PUBLIC KEY BLOCK-----\n"
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._+@-]*"
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
class Verified:
    """A signature that holds: who may have made it, with which key.

    `principals` are the names written out for the key and those of `ROLES` that its patterns
    match; `fingerprint` is `SHA256:...`, or 40 hexadecimal digits for an OpenPGP key.
    """

    principals: frozenset[str]
    fingerprint: str
    key_type: str


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


@dataclass(frozen=True, slots=True)
class PinnedOpenPgpKey:
    """One entry of `openpgp_signers.yaml`: a primary key by its fingerprint, and the key itself."""

    principals: tuple[str, ...]
    fingerprint: str
    public_key: str


class SignerSet:
    """The signers of one set of contracts: looks keys up and verifies signatures against them.

    OpenPGP signatures are verified by `gpg_program` in a home of our own, which holds the pinned
    keys and nothing else, is made for the first such signature and removed with this object.
    """

    def __init__(
        self,
        allowed: Sequence[AllowedSigner],
        openpgp: Sequence[PinnedOpenPgpKey] = (),
        *,
        gpg_program: str = "gpg",
    ) -> None:
        self.allowed = tuple(allowed)
        self.openpgp = tuple(openpgp)
        self._gpg_program = gpg_program
        self._gpg_home: str | None = None
        self._patterns: dict[str, list[tuple[str, ...]]] = {}
        self._elsewhere: set[bytes] = set()  # keys that are listed, for other namespaces alone
        self._keys: dict[bytes, Verified] = {}
        # Of keys with a limit in time: each of their lines, with the seconds it begins and ends.
        self._windows: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {}
        for signer in self.allowed:
            if signer.namespaces and not _matches(sshsig.NAMESPACE, signer.namespaces):
                self._elsewhere.add(signer.blob)
                continue
            known = self._admit(
                sshsig.fingerprint(signer.blob), sshsig.key_type(signer.blob), signer.principals
            )
            self._keys[signer.blob] = known
        limited = {one.blob for one in self.allowed if one.valid_after or one.valid_before}
        for signer in self.allowed:
            if signer.blob in limited and signer.blob in self._keys:
                self._windows.setdefault(sshsig.fingerprint(signer.blob), []).append(
                    _window(signer)
                )
        self._openpgp_keys = {
            signer.fingerprint: self._admit(signer.fingerprint, OPENPGP, signer.principals)
            for signer in self.openpgp
        }

    def _admit(self, fingerprint: str, key_type: str, principals: tuple[str, ...]) -> Verified:
        patterns = self._patterns.setdefault(fingerprint, [])
        patterns.append(principals)
        granted = frozenset().union(*map(_granted, patterns))
        return Verified(granted, fingerprint, key_type)

    @classmethod
    def parse(
        cls,
        allowed_signers: bytes,
        openpgp: bytes | None = None,
        *,
        gpg_program: str = "gpg",
        may_be_empty: bool = False,
    ) -> SignerSet:
        """Read `allowed_signers` and, where there is one, `openpgp_signers.yaml`.

        Raises:
            ConfigurationError: naming the file and line that cannot be used; also where no
                signer is left, because nothing could ever be signed under such contracts,
                unless it `may_be_empty`.
        """
        allowed = tuple(_parse_allowed_signers(allowed_signers))
        pinned = () if openpgp is None else tuple(_parse_openpgp_signers(openpgp))
        if not allowed and not pinned and not may_be_empty:
            raise ConfigurationError(
                f"'{ALLOWED_SIGNERS}' names no signer",
                hint="run 'git esaa init' to write a key and its line",
            )
        return cls(allowed, pinned, gpg_program=gpg_program)

    def roles_of_key(self, blob: bytes) -> frozenset[str]:
        """Return the principals of an SSH key in git's namespace: none for an unknown key."""
        known = self._keys.get(blob)
        return known.principals if known else frozenset()

    def keys_for(self, namespace: str) -> frozenset[bytes]:
        """Return the SSH keys that may sign in a namespace, git's or another."""
        return frozenset(
            signer.blob
            for signer in self.allowed
            if not signer.namespaces or _matches(namespace, signer.namespaces)
        )

    def roles_of_fingerprint(self, fingerprint: str) -> frozenset[str]:
        """Return the principals of a key of either kind, by the fingerprint `Verified` carries."""
        return frozenset().union(*map(_granted, self._patterns.get(fingerprint, ())))

    @property
    def principals(self) -> frozenset[str]:
        """Every principal that some key may act as."""
        return (
            frozenset()
            .union(*(known.principals for known in self._keys.values()))
            .union(*(known.principals for known in self._openpgp_keys.values()))
        )

    def is_principal(self, fingerprint: str, name: str) -> bool:
        """Answer whether a key may act under `name`, patterns such as `*@example.com` included."""
        return any(_matches(name, patterns) for patterns in self._patterns.get(fingerprint, ()))

    def verify(self, payload: bytes, armored: bytes, at: str | None = None) -> Verified:
        """Verify a signature, SSH or OpenPGP by its armour, and say who may have made it.

        A key is valid in the part of the log whose contracts list it. `at` is the time of the
        event, and narrows that further by the line's `valid-after` and `valid-before`; a signer
        who lies about it is held by the events before, since time in a log never runs backwards.

        Raises:
            SignatureRefused: malformed, unknown-key, wrong-namespace, bad, expired or
                not-yet-valid, judged in this order.
            ConfigurationError: `gpg` cannot be run, or a pinned OpenPGP key cannot be imported.
        """
        known = self._verify(payload, armored)
        return known if at is None else self.known_at(known, at)

    def known_at(self, known: Verified, at: str) -> Verified:
        """Return what a verified key may act as at a time (RFC 3339 in UTC, as events have it).

        Raises:
            SignatureRefused: expired or not-yet-valid, by every line that names the key.
        """
        windows = self._windows.get(known.fingerprint)
        if windows is None:
            return known
        second = at[:19]
        inside = [names for begin, end, names in windows if begin <= second <= end]
        if inside:
            granted = frozenset().union(*map(_granted, inside))
            return Verified(granted, known.fingerprint, known.key_type)
        ended = max(end for _, end, _ in windows)
        if ended < second:
            detail = f"key '{known.fingerprint}' is valid before {ended}Z only"
            raise SignatureRefused("expired", detail)
        began = min(begin for begin, end, _ in windows if end >= second)
        detail = f"key '{known.fingerprint}' is valid after {began}Z only"
        raise SignatureRefused("not-yet-valid", detail)

    def _verify(self, payload: bytes, armored: bytes) -> Verified:
        if armored.startswith(_PGP_BEGIN):
            return self._verify_openpgp(payload, armored)
        try:
            signature = sshsig.decode(armored)
            known = self._keys.get(signature.public_key)
            if known is None:
                self._refuse_key(signature.public_key)
            sshsig.verify_decoded(payload, signature)
        except sshsig.MalformedSignature as error:
            raise SignatureRefused("malformed", str(error)) from None
        except sshsig.WrongNamespace as error:
            raise SignatureRefused("wrong-namespace", str(error)) from None
        except sshsig.BadSignature as error:
            raise SignatureRefused("bad", str(error)) from None
        return known

    def _refuse_key(self, blob: bytes) -> NoReturn:
        name = f"'{sshsig.fingerprint(blob)}'"
        if blob in self._elsewhere:
            raise SignatureRefused(
                "wrong-namespace", f"key {name} is not for namespace '{sshsig.NAMESPACE}'"
            )
        raise SignatureRefused("unknown-key", f"key {name} is not in '{ALLOWED_SIGNERS}'")

    def _verify_openpgp(self, payload: bytes, armored: bytes) -> Verified:
        from tempfile import NamedTemporaryFile

        packet = _signature_packet(armored)
        if not self._openpgp_keys:
            raise SignatureRefused("unknown-key", f"no OpenPGP key is in '{OPENPGP_SIGNERS}'")
        home = self._gpg_home = self._gpg_home or self._make_gpg_home()
        with NamedTemporaryFile(dir=home, suffix=".sig") as file:
            file.write(packet)
            file.flush()
            status = self._gpg(home, ["--trust-model=direct", "--verify", file.name, "-"], payload)
        words = [line.split(" ") for line in status]
        keywords = [line[0] for line in words]
        if "NO_PUBKEY" in keywords:
            raise SignatureRefused("unknown-key", f"its key is not in '{OPENPGP_SIGNERS}'")
        if "BADSIG" in keywords:
            raise SignatureRefused("bad", "not made over this payload by the key it names")
        valid = [line for line in words if line[0] == "VALIDSIG" and len(line) == 11]
        # An expired key or signature counts, for the reason `verify` gives; a revoked key does
        # not, and KEYREVOKED is what says so of a key that has also expired.
        revoked = not {"REVKEYSIG", "KEYREVOKED"}.isdisjoint(keywords)
        if len(valid) != 1 or revoked:
            raise SignatureRefused("bad", f"gpg says {' '.join(keywords) or 'nothing'}")
        digest, kind, primary = valid[0][8], valid[0][9], valid[0][10]
        # RFC 4880, sections 5.2.1 and 9.4: over binary data alone (text loses its line ends),
        # and with a hash that does not collide (SHA-2 is 8 to 11).
        if kind != "00" or digest not in {"8", "9", "10", "11"}:
            raise SignatureRefused("bad", f"signature class {kind} with hash {digest}")
        known = self._openpgp_keys.get(primary)
        if known is None:
            raise SignatureRefused("unknown-key", f"key '{primary}' is not in '{OPENPGP_SIGNERS}'")
        return known

    def _make_gpg_home(self) -> str:
        from tempfile import mkdtemp
        from weakref import finalize

        home = mkdtemp(prefix="esaa-gpg-")  # mode 0700
        finalize(self, _remove_home, home, os.getpid())
        keys = "\n".join(signer.public_key for signer in self.openpgp)
        status = self._gpg(home, ["--import"], keys.encode())
        imported = {line.split(" ")[2] for line in status if line.startswith("IMPORT_OK ")}
        if imported != set(self._openpgp_keys):
            different = sorted(imported ^ set(self._openpgp_keys))
            raise ConfigurationError(
                f"public keys in '{OPENPGP_SIGNERS}' are not those of its fingerprints",
                cause=f"imported or pinned, but not both: {', '.join(different)}",
                hint="run 'gpg --armor --export FINGERPRINT' for the public key to write there",
            )
        return home

    def _gpg(self, home: str, arguments: list[str], data: bytes) -> list[str]:
        """Run gpg on the private home and return its status lines without their prefix.

        Nothing outlives the call: `--no-autostart` keeps gpg from starting an agent.
        """
        import subprocess

        command = [self._gpg_program, "--homedir", home, "--batch", "--no-tty", "--no-options"]
        command += ["--no-autostart", "--disable-dirmngr", "--no-auto-key-retrieve"]
        # A clock that is off must not decide whether a signature holds.
        command += ["--ignore-time-conflict", "--ignore-valid-from"]
        try:
            run = subprocess.run(
                [*command, "--status-fd=1", *arguments], input=data, capture_output=True
            )
        except OSError as error:
            raise ConfigurationError(
                f"cannot run '{self._gpg_program}'",
                cause=error.strerror,
                hint=f"install GnuPG, which the keys in '{OPENPGP_SIGNERS}' need",
            ) from None
        prefix = b"[GNUPG:] "
        # At LF alone: gpg escapes it in a user id, and not what else `str.splitlines` splits at.
        lines = [line for line in run.stdout.split(b"\n") if line.startswith(prefix)]
        return [line.removeprefix(prefix).decode("utf-8", "replace") for line in lines]


def _remove_home(home: str, owner: int) -> None:
    # A forked worker inherits the object, and must not take the home away from its parent.
    if os.getpid() == owner:
        from shutil import rmtree

        rmtree(home, ignore_errors=True)


def _signature_packet(armored: bytes) -> bytes:
    """Return the one signature packet of an armour (RFC 4880, sections 4.2 and 6.2).

    gpg also takes signed messages where a detached signature should be, and then verifies the
    text inside instead of ours; so it never sees anything but a single signature packet.
    """
    armor = re.fullmatch(_PGP_ARMOR, armored[len(_PGP_BEGIN) : -len(_PGP_END)])
    whole = armored.endswith(_PGP_END) and len(armored) <= _PGP_MAXIMUM_BYTES
    if armor is None or not whole:
        raise SignatureRefused("malformed", "not one armoured OpenPGP signature")
    try:
        packet = a2b_base64(armor[1].replace(b"\n", b""), strict_mode=True)
    except Base64Error:
        raise SignatureRefused("malformed", "not base64") from None
    if _packet_size(packet.ljust(6, b"\0")) != len(packet):
        raise SignatureRefused("malformed", "not a single OpenPGP signature packet")
    return packet


def _packet_size(data: bytes) -> int:
    """Return the size that a signature packet at the start gives itself, header included."""
    tag, first = data[0], data[1]
    if tag in (0x88, 0x89, 0x8A):  # the old format, with a length of 1, 2 or 4 octets
        start = 1 + (1 << (tag & 3))
        return start + int.from_bytes(data[1:start], "big")
    if tag != 0xC2:
        return 0
    if first < 192:
        return 2 + first
    if first < 224:
        return 3 + ((first - 192) << 8) + data[2] + 192
    return 6 + int.from_bytes(data[2:6], "big") if first == 255 else 0


# ---- the files ------------------------------------------------------------------------------


def allowed_signers_line(principals: Iterable[str], public_key_line: str) -> str:
    """Return a line for `allowed_signers`, without its LF, that admits a key to git's namespace.

    Raises:
        ConfigurationError: for a principal that is not a plain name, or a key we do not accept.
    """
    names = list(principals)
    for name in names:
        if re.fullmatch(_NAME, name) is None:
            raise ConfigurationError(
                f"'{name}' cannot be a principal",
                cause="a name is letters, digits and '._+@-', and starts with a letter or digit",
            )
    if not names:
        raise ConfigurationError("a signer needs a principal", hint=f"name one of {ROLES}")
    try:
        blob = sshsig.decode_public_key(public_key_line)
    except sshsig.MalformedSignature as error:
        raise ConfigurationError("the public key cannot be used", cause=str(error)) from None
    key = sshsig.encode_public_key(blob)
    return f'{",".join(names)} namespaces="{sshsig.NAMESPACE}" {key}'


def _parse_allowed_signers(content: bytes) -> Iterator[AllowedSigner]:
    for number, raw in enumerate(content.split(b"\n"), start=1):
        try:
            line = raw.decode("utf-8").strip(" \t\r")
            if line and not line.startswith("#"):
                yield parse_line(line)[0]
        except (ValueError, sshsig.MalformedSignature) as error:
            cause = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            raise _unusable(ALLOWED_SIGNERS, number, cause) from None


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
    principals = _patterns("principals", field[1] if field[2] is None else field[2])
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
        None if namespaces is None else _patterns("namespaces", namespaces),
        after,
        before,
    )
    return signer, at


def _is_key(text: str) -> bool:
    key_type = text.partition(" ")[0].partition("\t")[0]
    if key_type.endswith("-cert-v01@openssh.com"):
        raise ValueError("certificates are not accepted: name the keys themselves")
    return key_type in sshsig.KEY_TYPES


def _patterns(what: str, text: str) -> tuple[str, ...]:
    patterns = tuple(text.split(","))
    if any(pattern in ("", "!") for pattern in patterns):
        raise ValueError(f"an empty pattern in the {what}")
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


def _parse_openpgp_signers(content: bytes) -> Iterator[PinnedOpenPgpKey]:
    """Read the entries from YAML's nodes, where an unquoted fingerprint is not yet a number."""
    import yaml

    try:
        root = yaml.compose(content, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise _unusable(OPENPGP_SIGNERS, mark.line + 1 if mark else 1, "not YAML") from None
    if root is None:
        return
    if not isinstance(root, yaml.SequenceNode):
        raise _unusable(OPENPGP_SIGNERS, 1, "expected a list of keys")
    for entry in root.value:
        number = entry.start_mark.line + 1
        pairs = entry.value if isinstance(entry, yaml.MappingNode) else []
        fields = {key.value: value for key, value in pairs if isinstance(key, yaml.ScalarNode)}
        if len(pairs) != 3 or set(fields) != {"principals", "fingerprint", "public_key"}:
            cause = "expected principals, fingerprint and public_key, each of them once"
            raise _unusable(OPENPGP_SIGNERS, number, cause)
        principals, fingerprint = fields["principals"], str(fields["fingerprint"].value)
        public_key = str(fields["public_key"].value).strip() + "\n"
        names = principals.value if isinstance(principals, yaml.SequenceNode) else []
        if not names or not all(isinstance(name, yaml.ScalarNode) for name in names):
            raise _unusable(OPENPGP_SIGNERS, number, "principals is not a list of names")
        if re.fullmatch("[0-9A-Fa-f]{40}", fingerprint) is None:
            raise _unusable(OPENPGP_SIGNERS, number, "fingerprint is not 40 hexadecimal digits")
        if re.fullmatch(_PGP_KEY, public_key) is None:
            raise _unusable(OPENPGP_SIGNERS, number, "public_key is not one armoured public key")
        try:
            patterns = _patterns("principals", ",".join(name.value for name in names))
        except ValueError as error:
            raise _unusable(OPENPGP_SIGNERS, number, str(error)) from None
        yield PinnedOpenPgpKey(patterns, fingerprint.upper(), public_key)


def _unusable(file: str, line: int, cause: str) -> ConfigurationError:
    hint = "run 'man ssh-keygen' and see ALLOWED SIGNERS" if file == ALLOWED_SIGNERS else None
    return ConfigurationError(f"line {line} of '{file}' cannot be used", cause=cause, hint=hint)


def _window(signer: AllowedSigner) -> tuple[str, str, tuple[str, ...]]:
    """Return the first and last second of a line, and its principals.

    A time without a zone is the machine's for ssh-keygen. A log is judged alike everywhere, so
    here it is UTC's.
    """
    begin, end = (
        None if time is None else time.replace(tzinfo=None).isoformat(timespec="seconds")
        for time in (signer.valid_after, signer.valid_before)
    )
    return begin or "", end or "9999", signer.principals


# ---- patterns (ssh_config(5), PATTERNS) -----------------------------------------------------


def _granted(patterns: tuple[str, ...]) -> frozenset[str]:
    names = {pattern for pattern in patterns if not re.search(r"^!|[*?]", pattern)}
    return frozenset(name for name in names.union(ROLES) if _matches(name, patterns))


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Match a pattern list: some pattern must match, and none that stands after a `!` may."""
    found = False
    for pattern in patterns:
        glob = re.escape(pattern.removeprefix("!")).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(glob, name, re.DOTALL):
            if pattern.startswith("!"):
                return False
            found = True
    return found
