"""Logs to measure on: built by the product's own code, and sound enough for `verify --full`.

`natural` has tasks that are created, dispatched, answered, written and closed one after another,
with effects on a branch; what grows is the number of finished tasks. `repeated` takes and gives
back the same few tasks again and again; what grows is history alone. Both leave open tasks behind
to go on with, and both are written as one pack.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pygit2

from esaa_git.core.canonical import digest
from esaa_git.core.contracts import Contracts, is_contract_file
from esaa_git.core.decision import salted
from esaa_git.core.event import NewEvent, instant, timestamp
from esaa_git.core.events import ACTIONS, AnyPayload
from esaa_git.core.events.base import decode, encode
from esaa_git.core.state import EMPTY
from esaa_git.engine.transaction import Transaction
from esaa_git.ports.branch import BranchMove
from esaa_git.ports.local import Followup
from esaa_git.ports.refs import RefMove
from esaa_git.resources import resource_path
from esaa_git.store import commitform
from esaa_git.store.log import GitEventLog
from esaa_git.store.objects import (
    BLOB,
    COMMIT,
    MODE_FILE,
    MODE_TREE,
    TREE,
    ObjectSink,
    TreeEntry,
    encode_tree,
    sign_commit,
)
from esaa_git.store.packwriter import PackSink
from esaa_git.store.refs import GitRefs
from esaa_git.store.repository import Repository, open_repository
from esaa_git.trust.allowed_signers import allowed_signers_line
from esaa_git.trust.keys import create_key, load_signer
from esaa_git.trust.signer import KeySpec, Signer, SigningKeys

START = instant("2026-01-01T09:00:00.000Z")
LOG_ID = "0123456789abcdef0123456789abcdef"
PERSON = "person@example.com"
AGENT = "agent-impl"
BRANCH = "main"


@dataclass(frozen=True, slots=True)
class Step:
    """One event that is decided, with the contents that go with it."""

    action: str
    actor: str
    payload: dict[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)
    exchange: Mapping[str, bytes] = field(default_factory=dict)


Life = Generator[Step, str, None]
"""Yields the steps of one task; each is answered with the id of its event's commit."""


@dataclass(frozen=True)
class Key:
    """The orchestrator's key and a person's, in files as `git esaa init` makes them."""

    path: Path
    public: str
    persons: Path
    persons_public: str

    @classmethod
    def make(cls, folder: Path) -> Key:
        path, persons = folder / "key", folder / "persons-key"
        public = create_key(path, comment="benchmark")
        return cls(path, public, persons, create_key(persons, comment="person"))

    def signer(self) -> Signer:
        return load_signer(KeySpec("ssh", str(self.path)))

    def person(self) -> Signer:
        return load_signer(KeySpec("ssh", str(self.persons)))


class Subject:
    """One repository with one log, and the means to go on with it."""

    def __init__(self, folder: Path, key: Key) -> None:
        self.folder = folder
        self.repository = _repository(folder, key)
        self.signer = key.signer()
        self.refs = GitRefs(self.repository)
        self.log = GitEventLog(
            self.repository, self.refs, SigningKeys(lambda: self.signer, person=key.person)
        )
        self.contracts = contracts(key)
        self.effects = Effects(self.repository, self.signer)
        self.open: list[str] = []
        self._seq = 0

    def now(self) -> datetime:
        """Return the time of the next event: one second an event."""
        return START + timedelta(seconds=self._seq)

    def append(self, step: Step, sink: ObjectSink | None = None) -> str:
        """Append one event in a transaction of its own, as the orchestrator does."""
        put = self.repository.put if sink is None else sink.put
        _put(step, put)
        state, in_force = self.log.load()
        transaction = Transaction(self.log.begin(sink=sink), state, in_force, self.now())
        stored = transaction.record(_event(step))
        transaction.commit()
        self._seq += 1
        return stored.commit

    def start(self, definitions: list[dict[str, Any]], sink: ObjectSink) -> Transaction:
        """Begin the log with a `run.init` and return the transaction that it stands in."""
        writer = self.log.begin(log_id=LOG_ID, sink=sink)
        transaction = Transaction(writer, EMPTY, Contracts({}), self.now())
        payload = {
            "run_id": "RUN-0001",
            "project": "benchmark",
            "branch": BRANCH,
            "base": self.effects.tip,
            "contracts": [encode(pin) for pin in self.contracts.pins],
            "tasks": definitions,
        }
        began = _event(Step("run.init", PERSON, payload))
        transaction.record(began, contracts=self.contracts)
        self._seq = 1
        self.open = [one["task_id"] for one in definitions]
        return transaction

    def fill(self, transaction: Transaction, life: Life, sink: ObjectSink) -> None:
        """Emit every step of one task."""
        try:
            step = next(life)
            while True:
                transaction.now = timestamp(self.now())
                _put(step, sink.put)
                stored = transaction.record(_event(step))
                self._seq += 1
                transaction.events.clear()
                step = life.send(stored.commit)
        except StopIteration:
            pass

    def follow(self) -> None:
        """Bring the branch after the effects that appended events have named."""
        effects, ref = self.effects, f"refs/heads/{BRANCH}"
        if effects.tip != effects.first:
            self.refs.move([RefMove(ref, effects.first, effects.tip, "effects")])
            effects.first = effects.tip

    # -- what happens to one task -----------------------------------------------------------

    def finish(self, task_id: str, number: int = 1, sink: ObjectSink | None = None) -> Life:
        """Yield an attempt that ends well: five events, and an effect on the branch."""
        address = {"task_id": task_id, "attempt_id": f"{task_id}-A{number}"}
        request = f'{{"task":"{task_id}","view":"{"what it needs to know " * 20}"}}\n'.encode()
        answer = f'{{"summary":"{task_id} is written","file":"{"x" * 200}"}}\n'.encode()
        content = (f"{task_id}\n" + "a line of a source file\n" * 20).encode()
        spread = digest(task_id.encode())
        path = f"src/{spread[0]}/{spread[1]}/{task_id}.txt"
        after = _blob_id(content)
        put = self.repository.put if sink is None else sink.put
        salt = sha256(task_id.encode()).digest()
        yield self._create(task_id, number)
        yield self._dispatch(address, request, salt)
        yield Step(
            "agent.result",
            AGENT,
            {
                **address,
                "summary": f"{task_id} is written",
                "paths": [path],
                "output_sha256": salted(salt, answer),
                "exchange": {
                    "salt": _blob_id(salt),
                    "request": _part(salt, request),
                    "response": _part(salt, answer),
                },
                "facts": {
                    "task_id": task_id,
                    "kind": "impl",
                    "agent": AGENT,
                    "lines": content.count(b"\n"),
                    "files": [{"path": path, "change": "add", "mode": "100644"}],
                },
            },
            exchange={"salt": salt, "request.json": request, "response": answer},
        )
        described = {
            "path": path,
            "change": "add",
            "mode": "100644",
            "after": after,
            "sha256": digest(content),
            "bytes": len(content),
        }
        written = yield Step(
            "orchestrator.file.write",
            "orchestrator",
            {
                **address,
                "base": self.effects.tip,
                "files": [described],
                "changed_lines": content.count(b"\n"),
            },
            files={path: content},
        )
        effect = self.effects.commit(put, path, after, address, written, self.now())
        done = {"from": "in_progress", "to": "done", "cause": "accepted", "effect_commit": effect}
        yield Step("task.update", "orchestrator", {**address, **done})

    def give_back(self, task_id: str, number: int) -> Life:
        """Yield an attempt that is released: three events, and the task is where it was."""
        address = {"task_id": task_id, "attempt_id": f"{task_id}-A{number}"}
        yield self._create(task_id, number)
        yield self._dispatch(address, b"{}\n", sha256(task_id.encode()).digest())
        released = {"from": "in_progress", "to": "todo", "cause": "released", "reason": "again"}
        yield Step("task.update", "orchestrator", {**address, **released})

    def create(self, task_id: str) -> Life:
        """Yield the creation of a task."""
        yield Step("task.create", "orchestrator", {"task": definition(task_id)})

    def _create(self, task_id: str, number: int) -> Step:
        payload = {
            "task_id": task_id,
            "attempt_id": f"{task_id}-A{number}",
            "number": number,
            "agent": AGENT,
            "mode": "dispatch",
            "base": self.effects.tip,
            "deadline": timestamp(self.now() + timedelta(minutes=20)),
        }
        return Step("attempt.create", "orchestrator", payload)

    def _dispatch(self, address: Mapping[str, str], request: bytes, salt: bytes) -> Step:
        said = {
            "agent": AGENT,
            "adapter": "scripted",
            "sandbox": "none",
            "request_sha256": salted(salt, request),
            "exchange": {"salt": _blob_id(salt)},
        }
        payload = {**address, **said}
        return Step("orchestrator.dispatch", "orchestrator", payload, exchange={"salt": salt})


def _part(salt: bytes, data: bytes) -> dict[str, Any]:
    return {"sha256": salted(salt, data), "bytes": len(data), "blob": _blob_id(data)}


class Effects:
    """The working branch, with its trees at hand: what an effect costs does not grow with it."""

    def __init__(self, repository: Repository, signer: Signer) -> None:
        self._signer = signer
        self._trees: dict[str, dict[str, TreeEntry]] = {}
        found = repository.ref_target(f"refs/heads/{BRANCH}")
        assert found is not None
        self.first = self.tip = found

    def commit(
        self,
        put: Callable[[int, bytes], str],
        path: str,
        blob: str,
        address: Mapping[str, str],
        event_commit: str,
        now: datetime,
    ) -> str:
        """Store the commit that adds the file, and return its id."""
        entry = TreeEntry(MODE_FILE, blob)
        while path:
            path, _, name = path.rpartition("/")
            tree = self._trees.setdefault(path, {})
            tree[name] = entry
            entry = TreeEntry(MODE_TREE, put(TREE, encode_tree(tree)))
        payload = commitform.effect_commit(
            tree=entry.oid,
            parents=(self.tip,),
            agent=AGENT,
            ts=timestamp(now),
            summary=f"{address['task_id']} is written",
            event_commit=event_commit,
            log_id=LOG_ID,
            run_id="RUN-0001",
            task_id=address["task_id"],
            attempt_id=address["attempt_id"],
            assisted_by=f"{AGENT}:unspecified",
        )
        self.tip = put(COMMIT, sign_commit(payload, self._signer.sign(payload)))
        return self.tip


def definition(task_id: str) -> dict[str, Any]:
    """Return a task as a plan defines it."""
    return {
        "task_id": task_id,
        "kind": "impl",
        "title": f"Write {task_id}",
        "description": "One file, with what a person would write about it. " * 4,
        "acceptance": ["It is there.", "Its tests pass."],
    }


def names(prefix: str, count: int) -> list[str]:
    """Return so many task ids."""
    return [f"{prefix}-{number:06d}" for number in range(1, count + 1)]


def contracts(key: Key) -> Contracts:
    """Return the contracts that `git esaa init` writes, with these keys."""
    files = {
        path.name: path.read_bytes()
        for path in resource_path("templates", "default").iterdir()
        if path.is_file() and is_contract_file(path.name)
    }
    lines = (
        allowed_signers_line(["orchestrator"], key.public),
        allowed_signers_line([PERSON, "approver", "admin"], key.persons_public),
    )
    signers = "".join(f"{line}\n" for line in lines)
    return Contracts({**files, "allowed_signers": signers.encode()})


# -- whole logs -----------------------------------------------------------------------------


def natural(folder: Path, key: Key, events: int, *, leave_open: int = 50) -> Subject:
    """Build a log of so many events (six a finished task), packed, with effects on `main`."""
    subject = Subject(folder, key)
    spare = names("OPEN", leave_open)
    with PackSink(subject.repository) as sink:
        transaction = subject.start([definition(name) for name in spare], sink)
        for name in names("TASK", (events - 1) // 6):
            subject.fill(transaction, subject.create(name), sink)
            subject.fill(transaction, subject.finish(name, sink=sink), sink)
        sink.install()
        _end(subject, transaction)
    return subject


def repeated(folder: Path, key: Key, events: int, *, tasks: int) -> Subject:
    """Build a log of so many events about the same few tasks, packed; all of them are open."""
    subject = Subject(folder, key)
    with PackSink(subject.repository) as sink:
        transaction = subject.start([definition(name) for name in names("TASK", tasks)], sink)
        for at in range((events - 1) // 3):
            name, number = subject.open[at % tasks], at // tasks + 1
            subject.fill(transaction, subject.give_back(name, number), sink)
        sink.install()
        _end(subject, transaction)
    return subject


def _end(subject: Subject, transaction: Transaction) -> None:
    """Move the log, and the branch where there are effects."""
    effects = subject.effects
    if effects.tip != effects.first:
        move = BranchMove(BRANCH, effects.first, effects.tip)
        transaction.followup = Followup(effects.tip, move, "", ())
    transaction.commit()
    effects.first = effects.tip


def loose_objects(folder: Path) -> int:
    """Return how many loose objects git counts."""
    command = ["git", "-C", str(folder), "count-objects"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(said.split(" ", 1)[0])


def pack_bytes(folder: Path) -> int:
    """Return the size of all packs and their indexes."""
    place = folder / ".git" / "objects" / "pack"
    return sum(path.stat().st_size for path in place.iterdir())


def _repository(folder: Path, key: Key) -> Repository:
    raw = pygit2.init_repository(str(folder), initial_head=BRANCH)
    who = pygit2.Signature("Bench", "bench@example.com", 1767225600, 0)
    tree = raw.TreeBuilder().write()
    raw.create_commit(f"refs/heads/{BRANCH}", who, who, "Start\n", tree, [])
    config = pygit2.Config(str(folder / ".git" / "config"))
    config["user.name"], config["user.email"] = "Bench", "bench@example.com"
    config["gc.auto"], config["maintenance.auto"] = "0", "false"
    config["esaa.signingKey"], config["esaa.keyFormat"] = str(key.path), "ssh"
    config["esaa.approverKey"] = str(key.persons)
    return open_repository(folder)


def _event(step: Step) -> NewEvent:
    return NewEvent(step.actor, cast(AnyPayload, decode(ACTIONS[step.action], step.payload)))


def _put(step: Step, put: Callable[[int, bytes], str]) -> None:
    """Store the contents that go with an event, which names them."""
    for data in (*step.files.values(), *step.exchange.values()):
        put(BLOB, data)


def _blob_id(data: bytes) -> str:
    return str(pygit2.hash(data))
