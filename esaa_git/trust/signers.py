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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from esaa_git.core.contracts import ALLOWED_SIGNERS, OPENPGP_SIGNERS
from esaa_git.errors import ConfigurationError
from esaa_git.trust import sshsig
from esaa_git.trust.allowed_signers import (
    AllowedSigner,
    SignatureRefused,
    matches,
    names_in,
    parse_allowed_signers,
    window,
)
from esaa_git.trust.oneform import Unacceptable
from esaa_git.trust.openpgp import (
    PinnedOpenPgpKey,
    parse_openpgp_signers,
    remove_home,
    run_gpg,
)
from esaa_git.trust.openpgp_form import (
    BEGIN_SIGNATURE,
    begins_with,
    check_admissible,
    check_numbers,
    decode,
    is_accepted_digest,
)

OPENPGP: Final = "openpgp"


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature that holds: who may have made it, with which key.

    `principals` are the names written out for the key and those of `ROLES` that its patterns
    match; `fingerprint` is `SHA256:...`, or 40 hexadecimal digits for an OpenPGP key.
    """

    principals: frozenset[str]
    fingerprint: str
    key_type: str


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
        self._granted: dict[str, frozenset[str]] = {}
        self._elsewhere: set[bytes] = set()  # keys that are listed, for other namespaces alone
        self._keys: dict[bytes, Verified] = {}
        # Of keys with a limit in time: each of their lines, with the seconds it begins and ends.
        self._windows: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {}
        for signer in self.allowed:
            if signer.namespaces and not matches(sshsig.NAMESPACE, signer.namespaces):
                self._elsewhere.add(signer.blob)
                continue
            known = self._admit(
                sshsig.fingerprint(signer.blob), sshsig.key_type(signer.blob), signer.principals
            )
            self._keys[signer.blob] = known
        limited = {one.blob for one in self.allowed if one.valid_after or one.valid_before}
        for signer in self.allowed:
            if signer.blob in limited and signer.blob in self._keys:
                self._windows.setdefault(sshsig.fingerprint(signer.blob), []).append(window(signer))
        self._openpgp_keys = {
            signer.fingerprint: self._admit(signer.fingerprint, OPENPGP, signer.principals)
            for signer in self.openpgp
        }

    def _admit(self, fingerprint: str, key_type: str, principals: tuple[str, ...]) -> Verified:
        # A key may stand on many lines, each of which is looked at once.
        granted = self._granted.get(fingerprint, frozenset()) | names_in(principals)
        self._granted[fingerprint] = granted
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
        allowed = tuple(parse_allowed_signers(allowed_signers))
        pinned = () if openpgp is None else tuple(parse_openpgp_signers(openpgp))
        if not allowed and not pinned and not may_be_empty:
            raise ConfigurationError(
                f"'{ALLOWED_SIGNERS}' names no signer",
                hint="run 'git esaa init' to write a key and its line",
            )
        return cls(allowed, pinned, gpg_program=gpg_program)

    def check_admissible(self) -> None:
        """Refuse keys that must not be let in, for reasons that take longer to find than parsing.

        Raises:
            ConfigurationError: naming the key and the reason.
        """
        try:
            for signer in self.allowed:
                name = sshsig.fingerprint(signer.blob)
                sshsig.check_admissible(signer.blob)
            for pinned in self.openpgp:
                name = pinned.fingerprint
                check_admissible(pinned.keys.values())
        except (Unacceptable, sshsig.MalformedSignature) as error:
            raise ConfigurationError(
                f"the key '{name}' cannot be trusted",
                cause=str(error),
                hint=f"take it out of '.roadmap/{ALLOWED_SIGNERS}' or '{OPENPGP_SIGNERS}'",
            ) from None

    def roles_of_key(self, blob: bytes) -> frozenset[str]:
        """Return the principals of an SSH key in git's namespace: none for an unknown key."""
        known = self._keys.get(blob)
        return known.principals if known else frozenset()

    def keys_for(self, namespace: str) -> frozenset[bytes]:
        """Return the SSH keys that may sign in a namespace, git's or another."""
        return frozenset(
            signer.blob
            for signer in self.allowed
            if not signer.namespaces or matches(namespace, signer.namespaces)
        )

    def roles_of_fingerprint(self, fingerprint: str) -> frozenset[str]:
        """Return the principals of a key of either kind, by the fingerprint `Verified` carries."""
        return self._granted.get(fingerprint, frozenset())

    @property
    def principals(self) -> frozenset[str]:
        """Every principal that some key may act as."""
        return (
            frozenset()
            .union(*(known.principals for known in self._keys.values()))
            .union(*(known.principals for known in self._openpgp_keys.values()))
        )

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

    def verify_in(self, namespace: str, payload: bytes, armored: bytes) -> Verified:
        """Verify an SSH signature in another namespace, by a key that may sign in git's.

        Raises:
            SignatureRefused: malformed, unknown-key, wrong-namespace or bad, in this order.
        """
        try:
            signature = sshsig.decode(armored)
            known = self._keys.get(signature.public_key)
            if known is None:
                self._refuse_key(signature.public_key)
            sshsig.verify_decoded(payload, signature, namespace=namespace)
        except sshsig.MalformedSignature as error:
            raise SignatureRefused("malformed", str(error)) from None
        except sshsig.WrongNamespace as error:
            raise SignatureRefused("wrong-namespace", str(error)) from None
        except sshsig.BadSignature as error:
            raise SignatureRefused("bad", str(error)) from None
        return known

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
            granted = frozenset().union(*map(names_in, inside))
            return Verified(granted, known.fingerprint, known.key_type)
        ended = max(end for _, end, _ in windows)
        if ended < second:
            detail = f"key '{known.fingerprint}' is valid before {ended}Z only"
            raise SignatureRefused("expired", detail)
        began = min(begin for begin, end, _ in windows if end >= second)
        detail = f"key '{known.fingerprint}' is valid after {began}Z only"
        raise SignatureRefused("not-yet-valid", detail)

    def _verify(self, payload: bytes, armored: bytes) -> Verified:
        if armored.startswith(BEGIN_SIGNATURE):
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

        self._check_openpgp_form(payload, armored)
        home = self._gpg_home = self._gpg_home or self._make_gpg_home()
        with NamedTemporaryFile(dir=home, suffix=".sig") as file:
            file.write(armored)
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
        primary = valid[0][10]
        known = self._openpgp_keys.get(primary)
        if known is None:
            raise SignatureRefused("unknown-key", f"key '{primary}' is not in '{OPENPGP_SIGNERS}'")
        return known

    def _check_openpgp_form(self, payload: bytes, armored: bytes) -> None:
        """Refuse what is not in its one form, or not by a pinned key, before gpg is started."""
        try:
            signature = decode(armored)
        except Unacceptable as error:
            raise SignatureRefused("malformed", str(error)) from None
        if not self._openpgp_keys:
            raise SignatureRefused("unknown-key", f"no OpenPGP key is in '{OPENPGP_SIGNERS}'")
        keys = (one.keys.get(signature.issuer) for one in self.openpgp)
        key = next((key for key in keys if key is not None), None)
        if key is None:
            raise SignatureRefused("unknown-key", f"its key is not in '{OPENPGP_SIGNERS}'")
        # RFC 4880, sections 5.2.1 and 9.4: over binary data alone (text loses its line ends),
        # and with a hash that does not collide.
        if signature.kind != 0 or not is_accepted_digest(signature.digest):
            said = f"signature class {signature.kind:02x} with hash {signature.digest}"
            raise SignatureRefused("bad", said)
        try:
            check_numbers(signature, key)
        except Unacceptable as error:
            raise SignatureRefused("malformed", str(error)) from None
        if not begins_with(signature, payload):
            raise SignatureRefused("bad", "not made over this payload by the key it names")

    def _make_gpg_home(self) -> str:
        from tempfile import mkdtemp
        from weakref import finalize

        home = mkdtemp(prefix="esaa-gpg-")  # mode 0700
        finalize(self, remove_home, home, os.getpid())
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
        command = ["--homedir", home, "--batch", "--no-tty", "--no-options"]
        command += ["--no-autostart", "--disable-dirmngr", "--no-auto-key-retrieve"]
        # A clock that is off must not decide whether a signature holds.
        command += ["--ignore-time-conflict", "--ignore-valid-from"]
        try:
            run = run_gpg(self._gpg_program, [*command, "--status-fd=1", *arguments], data)
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
