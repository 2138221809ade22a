"""The worked example of docs/FORMAT.md: two events, made by the code that makes all of them.

`blocks` returns every fenced block of the example by its name; `build.py` writes them into the
document, and tests/verification/test_format_example.py makes the same bytes again with plain git.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pygit2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from esaa_git.core.contract_rules import check_contract_rules
from esaa_git.core.contracts import Contracts
from esaa_git.core.event import Event, NewEvent, seal
from esaa_git.core.events import AttemptCreate, RunInit
from esaa_git.core.events.fields import TaskDefinition
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.programs import Programs
from esaa_git.core.projection import evolve, projection_hash
from esaa_git.core.state import EMPTY, State
from esaa_git.ports.log import Attachments
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.log import GitEventLog
from esaa_git.store.objects import COMMIT, decode_tree, encode_commit, split_signature
from esaa_git.store.refs import GitRefs
from esaa_git.store.repository import Repository, open_repository
from esaa_git.trust.allowed_signers import allowed_signers_line
from esaa_git.trust.keys import PrivateKeySigner
from esaa_git.trust.signer import SigningKeys
from esaa_git.trust.sshsig import encode_string

SEED = bytes(range(32))
PERSONS_SEED = bytes(range(32, 64))
"""The private halves of the example's keys. They are published here, so they protect nothing."""

ALICE = "alice@example.com"

LOG_ID = "0123456789abcdef0123456789abcdef"
TIMES = ("2026-01-31T09:00:00.000Z", "2026-01-31T09:00:01.500Z")
DEADLINE = "2026-01-31T09:30:01.500Z"
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

CONTRACTS = {
    "AGENT_CONTRACT.yaml": """\
schema_version: "0.3.0"
actions: [agent.result]
kinds:
  spec: {write: ["docs/**"], read: ["**"], review: none}
prohibitions: {paths: [], operations: []}
""",
    "ORCHESTRATOR_CONTRACT.yaml": """\
schema_version: "0.3.0"
signing: {}
invariants: [INV-001, INV-002, INV-003, INV-004, INV-005, INV-006]
attribution: {assisted_by: true}
""",
    "PROJECTION_SPEC.md": "As docs/FORMAT.md of git-esaa has it.\n",
    "RUNTIME_POLICY.yaml": """\
schema_version: "0.3.0"
attempts: {ttl: PT30M, max_per_task: 3, cooldown: PT0S}
escalation: {low: log, medium: flag, high: block, critical: halt, repeat_medium: 3}
limits:
  max_output_bytes: 1048576
  max_files_per_proposal: 100
  max_patch_lines: 5000
  max_file_bytes: 1048576
verification: {snapshots_kept: 5}
run_end: {success_when: all_done, on_blocked: failed}
lessons: {max_in_request: 20}
""",
    "STORAGE_POLICY.yaml": """\
schema_version: "0.3.0"
exchange: {request: digest, response: digest, max_bytes: 0}
redact: []
""",
    "agents_swarm.yaml": """\
schema_version: "0.3.0"
agents:
  agent-spec: {adapter: command, command: [./.roadmap/agents/spec]}
kinds: {spec: agent-spec}
""",
}
"""Contracts as small as they can be; `allowed_signers` joins them with the key's line."""

PROGRAMS = Programs.of({".roadmap/agents/spec": ("100755", b"#!/bin/sh\nexec my-agent --json\n")})
"""The one program that the run pins."""


def signer(seed: bytes = SEED) -> PrivateKeySigner:
    """Return what signs with a key of the example, the orchestrator's by default."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes_raw()
    blob = encode_string(b"ssh-ed25519") + encode_string(public)
    return PrivateKeySigner(blob, b"ssh-ed25519", key.sign)


def contracts() -> Contracts:
    """Return the contracts of the example."""
    lines = (
        allowed_signers_line([ORCHESTRATOR], signer().public_key_line),
        allowed_signers_line([ALICE, "approver", "admin"], signer(PERSONS_SEED).public_key_line),
    )
    texts = {**CONTRACTS, "allowed_signers": "".join(f"{line}\n" for line in lines)}
    return Contracts({name: text.encode() for name, text in texts.items()}, PROGRAMS)


def base_commit() -> bytes:
    """Return the first commit of the example's working branch: an empty tree, unsigned."""
    who = "Alice Example <alice@example.com> 1769850000 +0000"
    return encode_commit(EMPTY_TREE, (), who, who, "Start\n")


def new_events(base: str) -> tuple[NewEvent, NewEvent]:
    """Return what is decided: a run with one task starts, and an attempt on it opens."""
    return (
        NewEvent(
            ALICE,
            RunInit(
                run_id="RUN-0001",
                project="example",
                branch="main",
                base=base,
                contracts=contracts().pins,
                tasks=(TaskDefinition(task_id="T-1000", kind="spec", title="Say what to build"),),
                by=ALICE,
                programs=PROGRAMS.pins,
            ),
        ),
        NewEvent(
            ORCHESTRATOR,
            AttemptCreate(
                task_id="T-1000",
                attempt_id="T-1000-A1",
                number=1,
                agent="agent-spec",
                mode="dispatch",
                base=base,
                deadline=DEADLINE,
            ),
        ),
    )


def write_log(folder: Path) -> tuple[Repository, list[Event], list[str], State]:
    """Write the example into a new repository; return its events, their commits and the state."""
    pygit2.init_repository(str(folder), initial_head="main")
    repository = open_repository(folder)
    base = repository.put(COMMIT, base_commit())
    in_force = contracts()
    keys = SigningKeys(signer, person=lambda: signer(PERSONS_SEED))
    log = GitEventLog(repository, GitRefs(repository), keys)
    transaction = log.begin(log_id=LOG_ID)
    state, events, commits = EMPTY, [], []
    for new, now in zip(new_events(base), TIMES, strict=True):
        event = seal(new, after_seq=state.seq, after_ts=state.ts, now=now)
        check_contract_rules(state, event, in_force)
        state = evolve(state, event)
        commits.append(transaction.write(event, state, in_force, Attachments()))
        events.append(event)
    transaction.commit()
    return repository, events, commits, state


def blocks(folder: Path) -> dict[str, str]:
    """Return the content of every block of the example, by name."""
    repository, events, commits, state = write_log(folder)
    found = {f"contracts/{name}": data.decode() for name, data in contracts().files.items()}
    for pin in PROGRAMS.pins:
        found[f"programs/{pin.sha256}"] = PROGRAMS.content(pin).decode()
    found["base"] = base_commit().decode()
    ids = {
        "orchestrator seed": SEED.hex(),
        "Alice's seed": PERSONS_SEED.hex(),
        "log id": LOG_ID,
        "base commit": repository.put(COMMIT, base_commit()),
    }
    for number, (event, commit) in enumerate(zip(events, commits, strict=True), start=1):
        data = repository.read(commit)[1]
        parts = split_signature(data)
        assert parts is not None
        payload, armored = parts
        tree = read_event_commit(repository.read, commit).commit.tree
        found[f"event-{number}"] = event.data.decode()
        found[f"payload-{number}"] = payload.decode()
        found[f"signature-{number}"] = armored.decode()
        listing = list(_listing(repository, tree))
        found[f"tree-{number}"] = "".join(f"{line}\n" for line in listing)
        for path, text in _documents(repository, listing):
            found[f"state-{number}/{path}"] = text
        ids[f"event {number} SHA-256"] = event.sha256
        ids[f"event {number} tree"] = tree
        ids[f"event {number} commit"] = commit
    ids["projection SHA-256"] = projection_hash(state)
    found["ids"] = "".join(f"{name:18} {value}\n" for name, value in ids.items())
    return found


def _listing(repository: Repository, tree: str, prefix: str = "") -> Iterator[str]:
    """Yield the lines of `git ls-tree -r -t`."""
    for name, entry in decode_tree(repository.read(tree)[1]).items():
        kind = "tree" if entry.is_tree else "blob"
        yield f"{entry.mode:0>6} {kind} {entry.oid}\t{prefix}{name}"
        if entry.is_tree:
            yield from _listing(repository, entry.oid, f"{prefix}{name}/")


def _documents(repository: Repository, listing: list[str]) -> Iterator[tuple[str, str]]:
    for line in listing:
        what, path = line.split("\t")
        _, kind, oid = what.split(" ")
        if kind == "blob" and path.startswith("roadmap/"):
            yield path, repository.read(oid)[1].decode()
