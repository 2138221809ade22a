"""Roles: which keys the contracts name for them, and whether one of them may sign an event.

The table of roles and actions is `esaa_git.core.roles`; here a signature becomes the key, the roles
and the person that the table asks for. What `Authority` says is said on append, in a server's
hook and in `verify`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from esaa_git.core import roles as table
from esaa_git.core.contracts import ALLOWED_SIGNERS, OPENPGP_SIGNERS, Contracts
from esaa_git.core.event import Event
from esaa_git.core.events.decided import document_of
from esaa_git.core.events.spec import (
    ADMIN,
    APPROVER,
    ORCHESTRATOR,
    PEOPLE,
    ROLES,
    SERVICES,
    is_person,
)
from esaa_git.core.state import State
from esaa_git.errors import ConfigurationError, RefusedError
from esaa_git.trust import sshsig
from esaa_git.trust.allowed_signers import matches, names_in
from esaa_git.trust.decision import CarriedDecision, prove
from esaa_git.trust.signer import Signer
from esaa_git.trust.signers import SignerSet, Verified

_EFFECTS = frozenset({ORCHESTRATOR})
_WITNESSES = frozenset({ORCHESTRATOR, ADMIN})


def signer_set(contracts: Contracts) -> SignerSet:
    """Return the keys that these contracts name."""
    return SignerSet.parse(
        contracts.files.get(ALLOWED_SIGNERS, b""), contracts.files.get(OPENPGP_SIGNERS)
    )


def person_among(principals: Iterable[str]) -> str | None:
    """Return whose key it is that has these principals; None for a service's."""
    return min((name for name in principals if is_person(name)), default=None)


def person_of(contracts: Contracts, fingerprint: str) -> str | None:
    """Return whose key these contracts say this is; None for a service's or an unknown one."""
    principals = signer_set(contracts).roles_of_fingerprint(fingerprint)
    return person_among(principals) if principals & set(PEOPLE) else None


def approvers(contracts: Contracts, role: str = APPROVER) -> frozenset[str]:
    """Return the people who may approve in a role, by their principals."""
    lines = (set(line) for _, line in _entries(signer_set(contracts)))
    found = (person_among(line) for line in lines if role in table.implied(line))
    return frozenset(name for name in found if name is not None)


# -- contracts that can be used ------------------------------------------------------------------


def check_signers(contracts: Contracts) -> None:
    """Refuse contracts that leave open who signs what, or under which nobody could go on.

    Raises:
        ConfigurationError: if the list of signers cannot be read; if a line mixes what is a
            person's and what is a service's; if no key is an orchestrator's, or none an admin's;
            if a contract gives a role more than the table of roles does; for a key that anybody
            could sign for.
    """
    signers = signer_set(contracts)
    signers.check_admissible()
    table.check_signing(contracts.orchestrator.signing)
    check_lines(signers)
    found = signers.principals & set(ROLES)
    for wanted in (ORCHESTRATOR, ADMIN):
        if wanted in found:
            continue
        given = " --as EMAIL" if wanted in PEOPLE else ""
        raise ConfigurationError(
            f"'.roadmap/{ALLOWED_SIGNERS}' names nobody with the role {wanted}",
            cause=f"it names {', '.join(sorted(found)) or 'no role'}",
            hint="run 'git esaa key list' for the keys there are, and 'git esaa key trust KEY "
            f"--role {wanted}{given}' to add one",
        )


def check_lines(signers: SignerSet) -> None:
    """Refuse a line, or a key on several lines, of which it is open whose it is.

    A line with a person's role names exactly one person, by an e-mail address, and roles of
    people; one with a service's role names roles of services. A key is one person's or a service's.

    Raises:
        ConfigurationError: naming the line's principals, or the key.
    """
    owners: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for fingerprint, principals in _entries(signers):
        granted = names_in(principals) & set(ROLES)
        if not granted:
            continue
        said = ",".join(principals)
        owner = _owner(said, principals, granted)
        first = spelled.setdefault(owner.casefold(), owner)
        if first != owner:
            raise ConfigurationError(
                f"'{owner}' is the person '{first}' in another spelling",
                cause="one person would count as two, and approve their own work",
                hint=f"write '{first}' on each line in '.roadmap/{ALLOWED_SIGNERS}'; "
                f"'git esaa key trust KEY --role ROLE --as {first}' does",
            )
        known = owners.setdefault(fingerprint, owner)
        if known != owner:
            raise ConfigurationError(
                f"the key '{fingerprint}' stands for {known} and for {owner}",
                cause="a key is one person's or a service's, or nobody could tell who signed",
                hint="give each a key of its own: 'git esaa key create', then 'git esaa key "
                "trust KEY --role ROLE'",
            )


def _entries(signers: SignerSet) -> Iterator[tuple[str, tuple[str, ...]]]:
    for line in signers.allowed:
        if not line.namespaces or matches(sshsig.NAMESPACE, line.namespaces):
            yield sshsig.fingerprint(line.blob), line.principals
    for entry in signers.openpgp:
        yield entry.fingerprint, entry.principals


def _owner(said: str, principals: tuple[str, ...], granted: frozenset[str]) -> str:
    """Return whose line it is, as words: a person, or a service."""
    services, others = granted & set(SERVICES), set(principals) - set(ROLES)
    hint = (
        f"write it as EMAIL,{','.join(PEOPLE[1:])} for a person and as {ORCHESTRATOR} for a "
        f"machine, in '.roadmap/{ALLOWED_SIGNERS}'; 'git esaa key trust KEY --role ROLE' does"
    )
    if any(set(name) & set("*?!") for name in principals):
        cause = "a pattern names nobody in particular"
    elif services and granted - services:
        cause = "what a machine signs is no person's word"
    elif services and others:
        cause = f"a machine's line names no one else, and this one names {min(others)}"
    elif not services and [is_person(name) for name in others] != [True]:
        cause = f"a person's line names exactly one person, and this one {len(others) or 'none'}"
    else:
        return "a service" if services else min(others)
    raise ConfigurationError(
        f"'.roadmap/{ALLOWED_SIGNERS}': it is open whose line '{said}' is", cause=cause, hint=hint
    )


# -- what a key may sign -------------------------------------------------------------------------


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
        """Return the roles of a key at a time, as its lines have them."""
        return self.signers.known_at(key, at).principals & set(ROLES)

    def fault(
        self,
        key: Verified,
        event: Event,
        state: State,
        *,
        changes: bool = False,
        imported: bool = False,
        decision: CarriedDecision | None = None,
    ) -> str | None:
        """Return why a key may not sign an event, by the table of roles; None where it may.

        Args:
            state: before the event.
            changes: the event begins the log, or puts other contracts in force.
            imported: it was signed anew as it was taken in from an export, for whose words the
                signature vouches for nothing: an orchestrator's or an admin's key may.
            decision: what the event carries of a decision. Its key is asked then, and the key of
                the commit may be an orchestrator's, which vouches for the place alone.

        Raises:
            SignatureRefused: if the key is not valid at that time, or the decision does not hold.
        """
        known = self.signers.known_at(key, event.ts)
        roles = known.principals & set(ROLES)
        if document_of(event.payload) is not None:
            decided = self._decided(event, decision)
            alone = ORCHESTRATOR not in roles and not (imported and roles & _WITNESSES)
            if alone and person_among(known.principals) != person_among(decided.principals):
                return "another person's key signed the decision"
            known, roles, imported = decided, decided.principals & set(ROLES), False
        if imported and roles & _WITNESSES:
            return None
        person = person_among(known.principals) if roles & set(PEOPLE) else None
        signed = table.Signed(event, state, self.contracts, roles, person, changes)
        return table.fault(signed)

    def decided_fault(
        self, event: Event, state: State, decision: CarriedDecision | None
    ) -> str | None:
        """Return why the key of a decision may not decide this, whoever gives it its place.

        Raises:
            SignatureRefused: if the decision does not hold.
        """
        decided = self._decided(event, decision)
        roles = decided.principals & set(ROLES)
        person = person_among(decided.principals) if roles & set(PEOPLE) else None
        return table.fault(table.Signed(event, state, self.contracts, roles, person))

    def _decided(self, event: Event, decision: CarriedDecision | None) -> Verified:
        return self.signers.known_at(prove(decision, event, self.signers), event.ts)

    def check(
        self,
        key: Verified,
        event: Event,
        state: State,
        *,
        changes: bool = False,
        imported: bool = False,
        decision: CarriedDecision | None = None,
    ) -> None:
        """Refuse what `fault` finds.

        Raises:
            RefusedError: saying what to do about it.
        """
        why = self.fault(key, event, state, changes=changes, imported=imported, decision=decision)
        if why is None:
            return
        if changes:
            raise self._no_admin(f"{key.fingerprint}: {why}")
        raise RefusedError(
            f"the signing key may not sign {event.action}",
            cause=f"{key.fingerprint}: {why}",
            hint="run 'git esaa key list' to see which key has which role; the table is in "
            "docs/FORMAT.md, 'Roles'",
        )

    def check_may_change(self, fingerprint: str | None) -> None:
        """Refuse a key that could not sign a change of these contracts; None is no key at all.

        Raises:
            RefusedError: naming those that could.
        """
        known = self.signers.roles_of_fingerprint(fingerprint or "") & set(ROLES)
        if ADMIN in known:
            return
        roles = ", ".join(sorted(known)) or "none"
        raise self._no_admin(f"{fingerprint}: its role is {roles}" if fingerprint else None)

    def _no_admin(self, cause: str | None) -> RefusedError:
        named = [
            f"{person_among(line.principals)} ({sshsig.fingerprint(line.blob)})"
            for line in self.signers.allowed
            if ADMIN in line.principals
        ]
        who = f"; that is {', '.join(named[:3])}" if named else ""
        return RefusedError(
            "only an admin's key may begin a log, or sign a run.init that changes the contracts",
            cause=cause or "no key of a person is configured here: esaa.approverKey names it",
            hint=f"have an admin do it, with 'git esaa plan apply --sign-with KEY'{who}",
        )

    def may_sign_effect(self, key: Verified, at: str) -> bool:
        """Answer whether a key may sign an effect commit."""
        return bool(self.roles(key, at) & _EFFECTS)

    def may_witness(self, blob: bytes) -> bool:
        """Answer whether an SSH key may sign a checkpoint; it has proven itself by signing it."""
        return bool(self.signers.roles_of_key(blob) & _WITNESSES)

    def prove_own(self, signer: Signer, payload: bytes, armored: bytes) -> Verified:
        """Return our own key as these contracts know it; its first signature alone is verified."""
        known = self._ours.get(signer.fingerprint)
        if known is None:
            known = self._ours[signer.fingerprint] = self.prove(payload, armored)
        return known
