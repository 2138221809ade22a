"""Roles: which keys the contracts name for them, and what each of them may sign."""

from __future__ import annotations

from esaa_git.core.contracts import ALLOWED_SIGNERS, OPENPGP_SIGNERS, Contracts
from esaa_git.errors import ConfigurationError, RefusedError
from esaa_git.trust.signer import Signer
from esaa_git.trust.signers import SignerSet, Verified

ROLES = frozenset({"orchestrator", "approver", "admin"})

ADMIN = frozenset({"admin"})
"""Who signs a change of contracts, whatever the contracts say."""

_EFFECTS = frozenset({"orchestrator"})
_WITNESSES = frozenset({"orchestrator", "admin"})


def signer_set(contracts: Contracts) -> SignerSet:
    """Return the keys that these contracts name."""
    return SignerSet.parse(
        contracts.files.get(ALLOWED_SIGNERS, b""), contracts.files.get(OPENPGP_SIGNERS)
    )


def check_signers(contracts: Contracts) -> None:
    """Refuse contracts under which nothing, or no other contracts, could ever be recorded again.

    Raises:
        ConfigurationError: if the list of signers cannot be read, or names no key that may
            sign, or no admin, or a key that anybody could sign for.
    """
    signers = signer_set(contracts)
    signers.check_admissible()
    found = signers.principals & ROLES
    for wanted in (contracts.orchestrator.signing["default"], ADMIN):
        if found & wanted:
            continue
        raise ConfigurationError(
            f"'.roadmap/{ALLOWED_SIGNERS}' names nobody with the role "
            f"{' or '.join(sorted(wanted))}",
            cause=f"it names {', '.join(sorted(found)) or 'no role'}",
            hint="run 'git esaa key list' for the keys there are, and 'git esaa key trust KEY "
            f"--role {min(wanted)}' to add one",
        )


def roles_asked(contracts: Contracts, action: str, *, changes: bool = False) -> frozenset[str]:
    """Return the roles of which one may sign an action, or a change of these contracts."""
    return ADMIN if changes else contracts.orchestrator.signers_of(action)


def check_role(
    action: str,
    contracts: Contracts,
    roles: frozenset[str],
    fingerprint: str,
    *,
    changes: bool,
) -> None:
    """Refuse a key whose roles do not let it sign an action, or a change of these contracts.

    Raises:
        RefusedError: naming the roles it has, and those that are asked for.
    """
    wanted = roles_asked(contracts, action, changes=changes)
    if roles & wanted:
        return
    raise RefusedError(
        f"the signing key may not sign {action}" + (" that changes the contracts" * changes),
        cause=f"the role of {fingerprint} is {', '.join(sorted(roles)) or 'none'}; "
        f"{', '.join(sorted(wanted))} is asked for",
        hint="have an admin do it, with 'git esaa plan apply --sign-with KEY'"
        if action == "run.init"
        else "run 'git esaa key list' to see which key has that role, and see 'signing' in "
        ".roadmap/ORCHESTRATOR_CONTRACT.yaml",
    )


class Authority:
    """What one set of contracts lets each key sign; the signers are read once, and asked often.

    A question takes a key that a signature has proven (`Verified`), except where it says so.
    `at` is the time of the event, RFC 3339 in UTC, by which a key has expired or is not valid
    yet; such a key is a `SignatureRefused`, as is a signature that does not hold.
    """

    def __init__(self, contracts: Contracts) -> None:
        self.contracts = contracts
        self.signers = signer_set(contracts)
        self._ours: dict[str, Verified] = {}

    def prove(self, payload: bytes, armored: bytes) -> Verified:
        """Return the key that has made the signature, if these contracts name it."""
        return self.signers.verify(payload, armored)

    def roles(self, key: Verified, at: str) -> frozenset[str]:
        """Return the roles of a key at a time."""
        return self.signers.known_at(key, at).principals & ROLES

    def may_sign(self, key: Verified, action: str, at: str, *, changes: bool = False) -> bool:
        """Answer whether a key may sign an event, or one that `changes` these contracts."""
        return bool(self.roles(key, at) & roles_asked(self.contracts, action, changes=changes))

    def may_sign_effect(self, key: Verified, at: str) -> bool:
        """Answer whether a key may sign an effect commit."""
        return bool(self.roles(key, at) & _EFFECTS)

    def may_witness(self, blob: bytes) -> bool:
        """Answer whether an SSH key may sign a checkpoint; it has proven itself by signing it."""
        return bool(self.signers.roles_of_key(blob) & _WITNESSES)

    def check_may_sign(self, key: Verified, action: str, at: str, *, changes: bool = False) -> None:
        """Refuse what `may_sign` answers with no.

        Raises:
            RefusedError: if the key has no role that may sign it.
        """
        roles = self.roles(key, at)
        check_role(action, self.contracts, roles, key.fingerprint, changes=changes)

    def prove_own(self, signer: Signer, payload: bytes, armored: bytes) -> Verified:
        """Return our own key as these contracts know it; its first signature alone is verified."""
        known = self._ours.get(signer.fingerprint)
        if known is None:
            known = self._ours[signer.fingerprint] = self.prove(payload, armored)
        return known
