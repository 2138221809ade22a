"""Roles: which keys the contracts name for them, and which action each may sign."""

from __future__ import annotations

from esaa_git.core.contracts import ALLOWED_SIGNERS, OPENPGP_SIGNERS, Contracts
from esaa_git.errors import ConfigurationError, RefusedError
from esaa_git.trust.signer import Signer
from esaa_git.trust.signers import SignerSet, Verified

ROLES = frozenset({"orchestrator", "approver", "admin"})


ADMIN = frozenset({"admin"})
"""Who signs a change of contracts, whatever the contracts say."""


def signer_set(contracts: Contracts) -> SignerSet:
    """Return who may sign under these contracts."""
    return SignerSet.parse(
        contracts.files.get(ALLOWED_SIGNERS, b""), contracts.files.get(OPENPGP_SIGNERS)
    )


def check_signers(contracts: Contracts) -> None:
    """Refuse contracts under which nothing, or no other contracts, could ever be recorded again.

    Raises:
        ConfigurationError: if the list of signers cannot be read, or names nobody who may sign,
            or no admin.
    """
    found = signer_set(contracts).principals & ROLES
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


def check_role(
    action: str,
    contracts: Contracts,
    roles: frozenset[str],
    fingerprint: str,
    *,
    changes: bool,
) -> None:
    """Refuse a key whose roles do not let it sign an action, or a change of these contracts."""
    wanted = ADMIN if changes else contracts.orchestrator.signers_of(action)
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


class Trust:
    """What one set of contracts says of our own keys; each key is verified once."""

    def __init__(self, contracts: Contracts) -> None:
        self.contracts = contracts
        self.signers = signer_set(contracts)
        self._known: dict[str, Verified] = {}

    def roles(self, signer: Signer, payload: bytes, armored: bytes, at: str) -> frozenset[str]:
        """Return the roles of whoever made the signature, at this time."""
        known = self._known.get(signer.fingerprint)
        if known is None:
            known = self._known[signer.fingerprint] = self.signers.verify(payload, armored)
        return self.signers.known_at(known, at).principals & ROLES
