"""Who signed an event, in words: one commit's signature, held against the contracts before it."""

from __future__ import annotations

from dataclasses import dataclass

from esaa_git.core.logid import imported_events, recorded_in
from esaa_git.core.state import EMPTY
from esaa_git.errors import ConfigurationError
from esaa_git.store.eventcommit import EventCommit, read_contracts
from esaa_git.store.objects import split_signature
from esaa_git.store.repository import Repository
from esaa_git.store.tip import decision_of, load_tip
from esaa_git.trust.allowed_signers import SignatureRefused
from esaa_git.trust.roles import Authority


@dataclass(frozen=True, slots=True)
class Provenance:
    """Whether the signature of an event holds, and under which role its key acted."""

    holds: bool
    text: str
    fingerprint: str | None = None
    roles: tuple[str, ...] = ()


def provenance_of(repository: Repository, found: EventCommit) -> Provenance:
    """Judge the signature of one event; the rest of the log is what `verify` answers for.

    A change of contracts is signed by authority of those it replaces. The first event brings
    the contracts that it is judged by, so it proves a key, and not that the key is the right one.
    """
    parts = split_signature(repository.read(found.oid)[1])
    if parts is None:
        return Provenance(False, "none, or more than one")
    tree, before = found.tree["contracts"].oid, found.tree["contracts"].oid
    state = EMPTY
    if found.parent is not None:
        parent = load_tip(repository, found.parent)
        before, state = parent.contracts_tree, parent.state
    contracts = read_contracts(repository.read, before)
    try:
        authority = Authority(contracts)
        key = authority.prove(*parts)
        roles = authority.roles(key, found.event.ts)
        changes = tree != before or found.parent is None
        log_id, seq = found.trailers.get("ESAA-Log", ""), found.event.seq
        imported = seq <= imported_events(log_id)
        decision = decision_of(repository.read, found.event, recorded_in(log_id, seq))
        why = authority.fault(
            key, found.event, state, changes=changes, imported=imported, decision=decision
        )
    except SignatureRefused as error:
        return Provenance(False, f"does not hold: {error}")
    except ConfigurationError as error:
        return Provenance(False, f"cannot be judged: {error.message}")
    named = f"{key.fingerprint} ({', '.join(sorted(roles)) or 'no role'})"
    if why is not None:
        text = f"does not count: by {named}: {why}"
        return Provenance(False, text, key.fingerprint, tuple(sorted(roles)))
    text = f"good, by {named}"
    if found.parent is None:
        text += "; the first event itself brings the contracts that name this key"
    return Provenance(True, text, key.fingerprint, tuple(sorted(roles)))
