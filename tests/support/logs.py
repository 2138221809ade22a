"""Real logs for tests: signed, with effects on a real branch, and the same bytes in every run.

`make_log` drives `GitEventLog` and `GitEffects` as the orchestrator does, with a fixed
clock, log id and Ed25519 key, so the ids of all commits follow from the arguments alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pygit2

from esaa_git.checkout.follow import GitCheckouts
from esaa_git.core import canonical
from esaa_git.core.approvals import subject, subject_of
from esaa_git.core.attachments import check_attachments, kept_decision, kept_exchange
from esaa_git.core.canonical import digest
from esaa_git.core.contract_rules import check_contract_rules
from esaa_git.core.contracts import POLICY, Contracts, is_contract_file
from esaa_git.core.decision import SALT, Document, salted
from esaa_git.core.event import Event, after, seal
from esaa_git.core.events.base import encode
from esaa_git.core.projection import evolve, projection_hash
from esaa_git.core.requirements import requirements
from esaa_git.core.said import Refusal
from esaa_git.core.said import encode as encode_refusal
from esaa_git.core.state import EMPTY, State
from esaa_git.ports.branch import BranchMove, Effect
from esaa_git.ports.files import FileEntry
from esaa_git.ports.log import Attachments
from esaa_git.store.branch import GitEffects
from esaa_git.store.log import GitEventLog, GitLogTransaction
from esaa_git.store.objects import BLOB
from esaa_git.store.refs import GitRefs
from esaa_git.store.repository import Repository, open_repository
from esaa_git.store.trees import GitTrees
from esaa_git.trust.allowed_signers import allowed_signers_line
from esaa_git.trust.keys import load_signer
from esaa_git.trust.signer import KeySpec, Signer, SigningKeys
from tests.support.records import new_event

START = "2026-01-01T09:00:00.000Z"
SALTED = bytes(range(32))
"""The salt of what agents said here."""
"""The time of the first event; each one is a second after its predecessor."""

LOG_ID = "0123456789abcdef0123456789abcdef"
SEED = bytes(range(32))
PERSON = "person@example.com"
PERSONS_SEED = bytes(range(32, 64))
"""The person who begins the logs, and the key of theirs; git's configuration names the same."""

TEMPLATE = Path(__file__).resolve().parents[2] / "templates" / "default"


def write_key(path: Path, seed: bytes = SEED) -> str:
    """Write the private key of this seed, readable by us alone; return its public line."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path.parent.mkdir(parents=True, exist_ok=True)
    key = Ed25519PrivateKey.from_private_bytes(seed)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    path.chmod(0o600)
    return load_signer(KeySpec("ssh", str(path))).public_key_line


def persons_line() -> str:
    """Return the line of allowed_signers for the person, without its LF."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = Ed25519PrivateKey.from_private_bytes(PERSONS_SEED).public_key()
    encoded = public.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return allowed_signers_line((PERSON, "approver", "admin"), encoded.decode())


def default_contracts(
    public_key: str,
    *,
    roles: Sequence[str] = ("orchestrator",),
    changed: Mapping[str, bytes] | None = None,
) -> Contracts:
    """Return the contracts that `git esaa init` writes, with this key in these roles.

    A policy is not among them: its events are made by the engine, in tests of their own. Beside the
    key stands that of the person. `changed` replaces whole files, or adds some.
    """
    files = {
        path.name: path.read_bytes()
        for path in TEMPLATE.iterdir()
        if is_contract_file(path.name) and path.name != POLICY
    }
    lines = f"{allowed_signers_line(roles, public_key)}\n{persons_line()}\n"
    files["allowed_signers"] = lines.encode()
    return Contracts({**files, **(changed or {})})


def make_repository(path: Path, *, bare: bool = False) -> Repository:
    """Return the repository at the path; where there is none, one with a first commit on `main`."""
    if not (path / ".git").exists() and not (path / "HEAD").exists():
        raw = pygit2.init_repository(str(path), bare=bare, initial_head="main")
        who = pygit2.Signature("Test Person", "person@example.com", 1767225600, 0)
        tree = raw.TreeBuilder()
        tree.insert("README.md", raw.create_blob(b"# Example\n"), pygit2.enums.FileMode.BLOB)
        raw.create_commit("refs/heads/main", who, who, "Start\n", tree.write(), [])
        if not bare:
            raw.checkout("refs/heads/main")
        config = pygit2.Config(str(Path(raw.path) / "config"))
        config["user.name"], config["user.email"] = "Test Person", "person@example.com"
    return open_repository(path)


@dataclass
class MadeLog:
    """A log under construction, or finished: `emit` adds any event, `record` moves the refs."""

    path: Path
    repository: Repository
    signer: Signer
    contracts: Contracts
    branch: str
    log: GitEventLog
    state: State = EMPTY
    commits: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    _transaction: GitLogTransaction | None = None
    _move: BranchMove | None = None

    @property
    def tip(self) -> str:
        return self.commits[-1]

    @property
    def projection_hash(self) -> str:
        return projection_hash(self.state)

    def emit(
        self,
        action: str,
        actor: str,
        payload: Mapping[str, Any],
        *,
        files: Mapping[str, FileEntry] | None = None,
        exchange: Mapping[str, str] | None = None,
        contracts: Contracts | None = None,
    ) -> str:
        """Check an event as the orchestrator does, write it and return its commit."""
        if contracts is not None:
            self.contracts = contracts
        event = seal(
            new_event(action, actor, payload),
            after_seq=self.state.seq,
            after_ts=self.state.ts,
            now=after(START, self.state.seq * 1000),
        )
        check_contract_rules(self.state, event, self.contracts)
        subject = subject_of(self.state, event, LOG_ID)
        attachments = Attachments(
            files or {}, exchange or {}, kept_decision(event.payload), subject
        )
        if attachments.decision:
            attachments = replace(attachments, exchange=kept_exchange(event.payload))
        images = {path: (entry.mode, entry.oid) for path, entry in attachments.files.items()}
        check_attachments(event, images, attachments.exchange, attachments.decision)
        state = evolve(self.state, event)
        commit = self.transaction.write(event, state, self.contracts, attachments)
        self.state = state
        self.events.append(event)
        self.commits.append(commit)
        return commit

    @property
    def transaction(self) -> GitLogTransaction:
        if self._transaction is None:
            fresh = self.repository.ref_target(self.log.ref) is None
            self._transaction = self.log.begin(log_id=LOG_ID if fresh else None)
        return self._transaction

    def record(self) -> None:
        """Move the log, and the branch where an effect was committed."""
        self.transaction.commit(self._move)
        self._transaction = self._move = None

    def ask(self, task_id: str, **more: Any) -> str:
        """Emit the request for an approval of a task's result; return the approval's id."""
        task = self.state.tasks[task_id]
        assert task.attempt is not None
        asked = requirements(task, self.contracts)
        approval_id = f"APR-{self.state.run.approvals + 1:04d}"
        payload = {
            "approval_id": approval_id,
            "kind": "proposal",
            "task_id": task_id,
            "attempt_id": task.attempt.attempt_id,
            "subject_sha256": digest(subject(LOG_ID, self.state, task_id, asked)),
            "requirements": [one.to_json() for one in asked],
            "nonce": f"{self.state.seq:032x}",
        }
        due = self.contracts.policy.approval_ms
        if due is not None:
            payload["expires"] = after(START, self.state.seq * 1000 + due)
        self.emit("approval.request", "orchestrator", {**payload, **more})
        return approval_id

    def answer(self, action: str, what: Mapping[str, Any], approval_id: str = "APR-0001") -> str:
        """Emit what the person here decides: a grant in a role, or a denial with a verdict."""
        asked = self.state.approvals[approval_id]
        about = {"subject_sha256": asked.subject_sha256, "nonce": asked.nonce, **what}
        put, salt, text = self.repository.put, bytes(32), b"I looked"
        document = Document(
            LOG_ID, action, digest(canonical.encode(about)), "0" * 32, salted(salt, text)
        ).encode()
        signature = self.transaction.sign_decision(document, PERSON)
        decision = {
            "sha256": digest(document),
            "document": put(BLOB, document),
            "signature": put(BLOB, signature),
        }
        said = {"text": put(BLOB, text), "salt": put(BLOB, salt)}
        payload = {"approval_id": approval_id, **about, "decision": decision, "said": said}
        return self.emit(action, PERSON, payload)

    # -- what a run does, step by step ------------------------------------------------------

    def start(self, tasks: Sequence[Mapping[str, Any]], project: str = "example") -> str:
        """Emit `run.init` with these task definitions."""
        number = self.state.run.number + 1
        return self.emit(
            "run.init",
            PERSON,
            {
                "run_id": f"RUN-{number:04d}",
                "project": project,
                "branch": self.branch,
                "base": self.branch_tip,
                "contracts": [encode(pin) for pin in self.contracts.pins],
                "tasks": [dict(task) for task in tasks],
            },
        )

    def open(self, task_id: str) -> str:
        """Emit `attempt.create` and `orchestrator.dispatch`; return the attempt's id."""
        number = self.state.tasks[task_id].attempts_total + 1
        attempt_id = f"{task_id}-A{number}"
        address = {"task_id": task_id, "attempt_id": attempt_id}
        self.emit(
            "attempt.create",
            "orchestrator",
            {
                **address,
                "number": number,
                "agent": "agent-impl",
                "mode": "dispatch",
                "base": self.branch_tip,
                "deadline": after(START, self.state.seq * 1000 + 600_000),
            },
        )
        self.emit(
            "orchestrator.dispatch",
            "orchestrator",
            {
                **address,
                "agent": "agent-impl",
                "adapter": "scripted",
                "request_sha256": salted(SALTED, self._request(task_id)),
                "sandbox": "none",
                "exchange": {"salt": self.repository.put(BLOB, SALTED)},
            },
            exchange={SALT: self.repository.put(BLOB, SALTED)},
        )
        return attempt_id

    def finish(self, task_id: str, files: Mapping[str, bytes] | None = None) -> str | None:
        """Emit result, effect and closing update; return the effect commit, if files changed."""
        attempt = self.state.tasks[task_id].active_attempt
        assert attempt is not None
        address = {"task_id": task_id, "attempt_id": attempt.attempt_id}
        output = f'{{"summary":"{task_id} is written"}}\n'.encode()
        parts = {"request": self._request(task_id), "response": output}
        blobs = {name: self.repository.put(BLOB, data) for name, data in parts.items()}
        salt = self.repository.put(BLOB, SALTED)
        self.emit(
            "agent.result",
            "agent-impl",
            {
                **address,
                "summary": f"{task_id} is written",
                "paths": sorted(files or {}),
                "output_sha256": salted(SALTED, output),
                "exchange": {
                    "salt": salt,
                    **{
                        name: {
                            "sha256": salted(SALTED, data),
                            "bytes": len(data),
                            "blob": blobs[name],
                        }
                        for name, data in parts.items()
                    },
                },
            },
            exchange={
                SALT: salt,
                "request.json": blobs["request"],
                "response": blobs["response"],
            },
        )
        effect = self._effect(task_id, address, files) if files else None
        payload = {"from": "in_progress", "to": "done", "cause": "accepted", **address}
        self.emit(
            "task.update",
            "orchestrator",
            payload if effect is None else {**payload, "effect_commit": effect},
        )
        return effect

    def reject(self, task_id: str, code: str = "INVALID_JSON") -> None:
        """Emit the rejection of the open attempt's output, and give the task back."""
        attempt = self.state.tasks[task_id].active_attempt
        assert attempt is not None
        address = {"task_id": task_id, "attempt_id": attempt.attempt_id}
        output = b"here you are"
        said = encode_refusal(
            Refusal(
                message="the answer is not one JSON object",
                detail={"offset": 0},
                preview=output.decode(),
            )
        )
        salt, blob = self.repository.put(BLOB, SALTED), self.repository.put(BLOB, said)
        refusal = {"sha256": salted(SALTED, said), "bytes": len(said), "blob": blob}
        self.emit(
            "output.rejected",
            "orchestrator",
            {
                **address,
                "code": code,
                "output": {"bytes": len(output)},
                "exchange": {"salt": salt, "refusal": refusal},
            },
            exchange={SALT: salt, "refusal.json": blob},
        )
        payload = {"from": "in_progress", "to": "todo", "cause": "rejected", **address}
        self.emit("task.update", "orchestrator", payload)

    def end(self) -> None:
        """Emit the verification, and the successful end of the run."""
        checked = {"checked_from": 1, "checked_to": self.state.seq}
        self.emit("verify.start", "orchestrator", checked)
        self.emit(
            "verify.ok",
            "orchestrator",
            {**checked, "projection_hash_sha256": projection_hash(self.state)},
        )
        self.emit(
            "run.end",
            "orchestrator",
            {
                "run_id": self.state.run.run_id,
                "result": "success",
                "reason": "every task is done",
            },
        )

    @property
    def branch_tip(self) -> str:
        if self._move is not None:
            return self._move.new
        tip = self.repository.ref_target(f"refs/heads/{self.branch}")
        assert tip is not None
        return tip

    def _request(self, task_id: str) -> bytes:
        return f'{{"task":"{task_id}"}}\n'.encode()

    def _effect(self, task_id: str, address: Mapping[str, str], files: Mapping[str, bytes]) -> str:
        trees = GitTrees(self.repository)
        parent = self.branch_tip
        entries = {
            path: FileEntry("100644", self.repository.put(BLOB, data))
            for path, data in files.items()
        }
        described = []
        for path, data in sorted(files.items()):
            before = trees.entry(parent, path)
            file = {
                "path": path,
                "change": "add",
                "mode": "100644",
                "after": entries[path].oid,
                "sha256": digest(data),
                "bytes": len(data),
            }
            if isinstance(before, FileEntry):
                file.update(change="modify", before=before.oid)
            described.append(file)
        written = self.emit(
            "orchestrator.file.write",
            "orchestrator",
            {
                **address,
                "base": parent,
                "files": described,
                "changed_lines": sum(data.count(b"\n") for data in files.values()),
            },
            files=entries,
        )
        refs = GitRefs(self.repository)
        effect = GitEffects(self.repository, refs, trees).commit_effect(
            Effect(
                branch=self.branch,
                parent=parent,
                changes=entries,
                agent="agent-impl",
                # A transaction has one time; here the closing event follows a second later.
                ts=after(START, self.state.seq * 1000),
                summary=f"{task_id} is written",
                event_commit=written,
                log_id=LOG_ID,
                run_id=str(self.state.run.run_id),
                task_id=task_id,
                attempt_id=address["attempt_id"],
                assisted_by="agent-impl:unspecified",
            ),
            self.signer.sign,
        )
        begun = parent if self._move is None else self._move.old
        self._move = BranchMove(self.branch, begun, effect)
        return effect


def make_log(
    path: Path,
    *,
    tasks: int = 3,
    done: int | None = None,
    rejected: int = 0,
    end: bool = True,
    with_files: bool = True,
    review: bool = False,
    bare: bool = False,
    contracts: Contracts | None = None,
    seed: bytes = SEED,
) -> MadeLog:
    """Build a log of one run with its effects, and return it with the open parts at hand.

    The repository may exist (with a commit on its checked-out branch) or is made. Its settings
    name the key, and `.roadmap/` holds the contracts, so that commands work in it.

    Args:
        tasks: how many tasks `run.init` creates: `T-1000`, `T-1001` and so on, of kind `impl`.
        done: how many of them are finished, in order; all by default.
        rejected: how many of those have a first attempt that is rejected.
        end: whether the run is verified and ended, where all tasks are done.
        with_files: whether each task writes `src/T-….txt`.
        review: whether people have to approve of what each task comes to.
    """
    made = open_log(path, bare=bare, contracts=contracts, seed=seed)
    names = [f"T-{1000 + number}" for number in range(tasks)]
    made.start(
        [
            {
                "task_id": name,
                "kind": "impl",
                "title": f"Write {name}",
                "description": "One file.",
                "acceptance": ["It is there."],
                **({"review": True} if review else {}),
            }
            for name in names
        ]
    )
    finished = names if done is None else names[:done]
    before = made.branch_tip
    for number, name in enumerate(finished):
        made.open(name)
        if number < rejected:
            made.reject(name)
            made.open(name)
        content = {f"src/{name}.txt": f"{name}\n".encode()} if with_files else None
        made.finish(name, content)
    if end and len(finished) == tasks:
        made.end()
    made.record()
    if not bare and with_files and finished:
        paths = [f"src/{name}.txt" for name in finished]
        GitCheckouts(made.repository).follow(made.branch, before, made.branch_tip, paths)
    return made


def open_log(
    path: Path,
    *,
    bare: bool = False,
    contracts: Contracts | None = None,
    seed: bytes = SEED,
) -> MadeLog:
    """Return a log without events in a repository that is ready for them (see `make_log`)."""
    repository = make_repository(path, bare=bare)
    key = repository.esaa_dir / "test-key"
    public = write_key(key, seed)
    repository.set_local("esaa.signingKey", str(key))
    repository.set_local("esaa.keyFormat", "ssh")
    persons = repository.esaa_dir / "persons-key"
    write_key(persons, PERSONS_SEED)
    repository.set_local("esaa.approverKey", str(persons))
    in_force = contracts or default_contracts(public)
    if repository.workdir is not None:
        write_contracts(repository.workdir, in_force)
    signer = load_signer(KeySpec("ssh", str(key)))
    branch = "main" if repository.raw.head_is_unborn else repository.raw.head.shorthand
    person = load_signer(KeySpec("ssh", str(persons)))
    keys = SigningKeys(lambda: signer, person=lambda: person)
    log = GitEventLog(repository, GitRefs(repository), keys)
    return MadeLog(path, repository, signer, in_force, branch, log)


def write_contracts(workdir: Path, contracts: Contracts) -> None:
    """Write the contracts into `.roadmap/`, with the file that keeps read-models out of git."""
    folder = workdir / ".roadmap"
    folder.mkdir(exist_ok=True)
    for name, data in contracts.files.items():
        (folder / name).write_bytes(data)
    (folder / ".gitignore").write_bytes((TEMPLATE / "gitignore").read_bytes())


__all__ = [
    "LOG_ID",
    "PERSON",
    "SEED",
    "START",
    "MadeLog",
    "default_contracts",
    "make_log",
    "make_repository",
    "open_log",
    "persons_line",
    "write_contracts",
    "write_key",
]
