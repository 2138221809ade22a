"""A project as a team would have it: a repository, its contracts, a plan, and agents of the test.

`Project.esaa` runs the command line in this process and returns what it printed. The agents are
scripted (`Project.answers`) unless a test brings a program of its own (`Project.program`).
"""

from __future__ import annotations

import io
import json
import os
import random
import stat
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pygit2
import pytest
import yaml

from esaa_git.cli.main import run_command
from esaa_git.core.said import beside
from esaa_git.core.state import State
from esaa_git.core.task import Task
from esaa_git.engine.engine import Engine
from esaa_git.store.eventcommit import EventCommit, read_event_commit
from esaa_git.store.repository import Repository, open_repository
from esaa_git.store.tip import load_tip
from esaa_git.trust.allowed_signers import allowed_signers_line
from esaa_git.trust.keys import create_key, load_signer
from esaa_git.trust.signer import KeySpec, Signer
from esaa_git.verification.audit import Auditor
from esaa_git.verification.report import Report
from tests.conftest import Git, GitFailed
from tests.support.logs import PERSONS_SEED, write_key
from tests.support.records import payload_of

ANSWERS = ".roadmap/answers"
KINDS = ("spec", "impl", "qa", "hotfix")
LOG = "refs/esaa/events"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who works in the project's clone with a key of their own."""

    project: Project
    name: str
    key: Path

    def esaa(self, *arguments: str, **how: Any) -> Said:
        """Run `git esaa` with the key of this person configured."""
        before = self.project.setting("esaa.approverKey")
        self.project.git("config", "esaa.approverKey", str(self.key))
        try:
            return self.project.esaa(*arguments, **how)
        finally:
            self.project.git("config", "esaa.approverKey", before)

    def ok(self, *arguments: str, **how: Any) -> str:
        said = self.esaa(*arguments, **how)
        assert said.code == 0, f"{arguments}: exit {said.code}\n{said.out}\n{said.err}"
        return said.out

    def fails(self, code: int, *arguments: str, **how: Any) -> str:
        said = self.esaa(*arguments, **how)
        assert said.code == code, f"{arguments}: exit {said.code}\n{said.out}\n{said.err}"
        assert "Traceback" not in said.err + said.out
        return said.err

    @property
    def signer(self) -> Signer:
        return load_signer(KeySpec("ssh", str(self.key)))


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Clock:
    """A clock that a test moves; sleeping moves it too."""

    def __init__(self, start: str = "2026-03-01T09:00:00+00:00", step_ms: int = 0) -> None:
        self.moment = datetime.fromisoformat(start)
        self.slept: list[float] = []
        self._step = timedelta(milliseconds=step_ms)

    def now(self) -> datetime:
        self.moment += self._step
        return self.moment.astimezone(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def between(self, least: float, most: float) -> float:
        return random.uniform(least, most)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.moment += timedelta(seconds=seconds)

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)

    def install(self, patch: pytest.MonkeyPatch) -> Clock:
        """Be the machine's clock for every command that follows."""
        patch.setattr("esaa_git.app.project.SystemClock", lambda: self)
        return self


def fix_log_id(patch: pytest.MonkeyPatch, log_id: str, **parts: Any) -> None:
    """Give the logs that begin from here on this id, where it would be drawn; `parts` likewise."""
    fixed = {"new_log_id": lambda: log_id, **parts}
    patch.setattr("esaa_git.engine.engine.Engine", lambda **given: Engine(**{**given, **fixed}))


class Project:
    """One repository with contracts and a plan."""

    def __init__(self, path: Path, git: Git) -> None:
        self.path = path
        self._git = git
        self._asks = False

    def git(self, *arguments: str, **options: Any) -> str:
        return self._git(self.path, *arguments, **options)

    # -- commands -----------------------------------------------------------------------------

    def esaa(self, *arguments: str, stdin: bytes | str = b"", folder: Path | None = None) -> Said:
        """Run `git esaa` here; a person with a key of their own (`person`) acts with it."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        if self._asks and arguments[:1] != ("allow",):
            self.agree(folder)
        if "--as" in arguments:
            name = arguments[arguments.index("--as") + 1]
            key = self.path / ".git/people" / name
            if "@" in name and key.exists() and self.setting("esaa.approverKey") != str(key):
                return Person(self, name, key).esaa(*arguments, stdin=stdin, folder=folder)
        return run("-C", str(folder or self.path), *arguments, stdin=data)

    def agree(self, folder: Path | None = None) -> None:
        """Agree to what the repository asks of this machine, as its operator does.

        It happens by itself, with the next command or commit, after `program`, `swarm`, `plan` or
        `amend_yaml` wrote something that asks. A test that changes such a file in another way, or
        a program that is named, calls this.
        """
        self._asks = False
        said = run("-C", str(folder or self.path), "allow", "--yes")
        # What is not fit to be asked for is what some tests are about.
        assert said.code in (0, 2, 4), said.err

    def ok(self, *arguments: str, stdin: bytes | str = b"", folder: Path | None = None) -> str:
        """Run a command that has to succeed, and return what it printed."""
        said = self.esaa(*arguments, stdin=stdin, folder=folder)
        assert said.code == 0, f"{arguments}: exit {said.code}\n{said.out}\n{said.err}"
        return said.out

    def fails(
        self, code: int, *arguments: str, stdin: bytes | str = b"", folder: Path | None = None
    ) -> str:
        """Run a command that has to fail with this exit code, and return its complaint."""
        said = self.esaa(*arguments, stdin=stdin, folder=folder)
        assert said.code == code, f"{arguments}: exit {said.code}\n{said.out}\n{said.err}"
        lines = [line for line in said.err.splitlines() if not _is_progress(line)]
        assert lines, f"{arguments}: no complaint\n{said.err}"
        assert lines[0].startswith("error: "), said.err
        assert "Traceback" not in said.err + said.out
        assert "a fault in git-esaa itself" not in said.err
        return "\n".join(lines)

    def person(self, name: str, *roles: str) -> Person:
        """Write a key of a new person into `.roadmap/`; the next run.init trusts it."""
        key = self.path / ".git/people" / name
        public = create_key(key, comment=name)
        line = allowed_signers_line([name, *(roles or ("contributor",))], public)
        with (self.path / ".roadmap/allowed_signers").open("a") as file:
            file.write(f"{line}\n")
        return Person(self, name, key)

    # -- what people write --------------------------------------------------------------------

    def write(self, path: str, content: str | bytes, *, executable: bool = False) -> Path:
        place = self.path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        if executable:
            place.chmod(0o755)
            self._asks = True
        return place

    def read(self, path: str) -> str:
        return (self.path / path).read_text(encoding="utf-8")

    def commit(self, message: str = "Work", **files: str) -> str:
        """Commit everything that is there and return the commit's id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--no-verify", "--allow-empty", "--message", message)
        if self._asks:
            self.agree()
        return self.head()

    def plan(self, *tasks: Document, project: str = "Example") -> None:
        self.write_yaml(".roadmap/plan.yaml", {"project": project, "tasks": list(tasks)})

    def write_yaml(self, path: str, document: Any) -> None:
        if path.startswith(".roadmap/") and _asks(document):
            self._asks = True
        self.write(path, yaml.safe_dump(document, sort_keys=False, allow_unicode=True))

    def amend_yaml(self, name: str, **changes: Any) -> None:
        """Change entries of one contract; a key such as `attempts__ttl` goes one level down."""
        place = self.path / ".roadmap" / name
        document = yaml.safe_load(place.read_bytes())
        for key, value in changes.items():
            level, *below = key.split("__")
            target = document
            while below:
                target, level = target[level], below.pop(0)
            target[level] = value
        self.write_yaml(f".roadmap/{name}", document)

    def swarm(self, agents: Document, kinds: Document) -> None:
        self.write_yaml(
            ".roadmap/agents_swarm.yaml",
            {"schema_version": "0.3.0", "agents": agents, "kinds": kinds},
        )

    def program(self, source: str, *, name: str = "agent", **settings: Any) -> None:
        """Have one Python program do every kind of task."""
        self.write(f".roadmap/agents/{name}", f"#!{sys.executable}\n{source}", executable=True)
        entry = {"adapter": "command", "command": [f"./.roadmap/agents/{name}"], **settings}
        self.swarm({name: entry}, dict.fromkeys(KINDS, name))

    def answers(self, **envelopes: Document | bytes | str) -> None:
        """Give scripted answers; the keys are those of `result`, as in `T_1` or `T_1_A2`."""
        for key, envelope in envelopes.items():
            self.answer(key.replace("_", "-"), envelope)

    def answer(self, name: str, envelope: Document | bytes | str) -> None:
        data: bytes | str
        data = json.dumps(envelope) if isinstance(envelope, dict) else envelope
        self.write(f"{ANSWERS}/{name}.json", data)

    # -- what is there ------------------------------------------------------------------------

    @property
    def repository(self) -> Repository:
        return open_repository(self.path)

    def setting(self, name: str) -> str:
        return self.git("config", name)

    @property
    def key(self) -> Path:
        return Path(self.setting("esaa.signingKey"))

    @property
    def signer(self) -> Signer:
        return load_signer(KeySpec("ssh", str(self.key)))

    @property
    def persons_signer(self) -> Signer:
        """The key of the person who works here."""
        return load_signer(KeySpec("ssh", self.setting("esaa.approverKey")))

    def head(self, ref: str = "refs/heads/main") -> str:
        return self.git("rev-parse", "--verify", ref)

    def tip(self) -> str | None:
        return self.repository.ref_target(self.repository.events_ref)

    def chain(self) -> list[EventCommit]:
        """Return the event commits, oldest first."""
        repository = self.repository
        found: list[EventCommit] = []
        oid = repository.ref_target(repository.events_ref)
        while oid is not None:
            found.append(read_event_commit(repository.read, oid))
            oid = found[-1].parent
        return found[::-1]

    def actions(self) -> list[str]:
        return [one.event.action for one in self.chain()]

    def payloads(self, action: str) -> list[Mapping[str, Any]]:
        return [payload_of(one.event) for one in self.chain() if one.event.action == action]

    def said(self, action: str) -> list[Mapping[str, Any]]:
        """Return the payloads of an action, each with what its words say."""
        said = []
        for one in self.chain():
            if one.event.action == action:
                words = beside(one.event.payload, lambda oid: self.repository.read(oid)[1])
                said.append({**payload_of(one.event), **(words or {})})
        return said

    def state(self) -> State:
        tip = self.tip()
        assert tip is not None
        return load_tip(self.repository, tip).state

    def task(self, task_id: str) -> Task:
        return self.state().tasks[task_id]

    def verify(self, *, full: bool = True, remember: bool = True) -> Report:
        return Auditor(self.repository, full=full, remember=remember, jobs=1).run()

    def check(self) -> None:
        """Assert that the whole record is sound, and that git finds nothing amiss either."""
        report = self.verify()
        assert report.audit.is_ok, report.audit.message
        assert fsck(self) == ""

    def forget(self) -> None:
        """Be as a fresh clone is: nothing was ever verified here."""
        (self.repository.esaa_dir / "verified.json").unlink(missing_ok=True)

    def refs(self) -> dict[str, str]:
        """Every ref, the log's and the pins' too, and HEAD."""
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        found = dict(line.split(" ", 1) for line in lines)
        return {**found, "HEAD": (self.repository.git_dir / "HEAD").read_text()}

    def files(self, *, inside_git: Sequence[str] = ("hooks", "config")) -> dict[str, str]:
        """Every path of the worktree, and these of `.git`, with kind, mode and content."""
        found = dict(_scan(self.path, skip=".git"))
        git_dir = self.repository.common_dir
        for name in inside_git:
            place = git_dir / name
            if place.is_dir():
                found |= {f".git/{name}/{path}": what for path, what in _scan(place)}
            elif place.exists():
                found[f".git/{name}"] = _describe(place)
        return found

    def status(self) -> str:
        return self.git("status", "--porcelain", "--", ".", ":!.roadmap")


def make_project(
    path: Path,
    git: Git,
    *tasks: Document,
    seed: Mapping[str, str] | None = None,
    key: Path | None = None,
    policy: Mapping[str, Any] | None = None,
    kinds: Mapping[str, Document] | None = None,
    approvers: Sequence[str] = (),
    agents: Sequence[str] = (),
) -> Project:
    """Make a repository with contracts, scripted agents for every kind, a plan, and a commit.

    Args:
        tasks: the plan; see `task`.
        seed: files of the first commit besides `README.md`.
        key: what the orchestrator signs with; one is made where it is left out. The person has the
            same one in every run.
        policy: changes to RUNTIME_POLICY, as `amend_yaml` takes them.
        kinds: changes to kinds in AGENT_CONTRACT.
        approvers: people beside the one who works here, each with a key.
        agents: others that the contracts know beside `agent-x`: interactive ones.
    """
    path.mkdir(parents=True)
    project = Project(path, git)
    project.git("init", "--quiet")
    project.write("README.md", "# Example\n")
    for name, content in (seed or {}).items():
        project.write(name, content)
    persons = path / ".git" / "persons-key"
    write_key(persons, PERSONS_SEED)
    project.git("config", "esaa.approverKey", str(persons))
    project.ok("init", "--project", "Example", *(("--orchestrator-key", str(key)) if key else ()))
    agent = {"adapter": "scripted", "folder": ANSWERS, "model": "scripted-1"}
    known = {name: dict(agent) for name in ("agent-x", *agents)}
    project.swarm(known, dict.fromkeys(KINDS, "agent-x"))
    (path / ANSWERS).mkdir()
    if policy:
        project.amend_yaml("RUNTIME_POLICY.yaml", **policy)
    for kind, changes in (kinds or {}).items():
        nested = {f"kinds__{kind}__{name}": value for name, value in changes.items()}
        project.amend_yaml("AGENT_CONTRACT.yaml", **nested)
    for name in approvers:
        project.person(name, "approver")
    project.plan(*tasks)
    project.commit("A project, its contracts")
    return project


def task(task_id: str, kind: str = "impl", **entries: Any) -> Document:
    """A task of a plan."""
    return {"task_id": task_id, "kind": kind, "title": f"Do {task_id}", **entries}


def result(
    task_id: str, *updates: Document, attempt_id: str = "{{attempt_id}}", **entries: Any
) -> Document:
    """An envelope with a result; without updates it proposes no files."""
    payload: Document = {"summary": entries.pop("summary", f"Did {task_id}")}
    if updates:
        payload["file_updates"] = list(updates)
    payload |= entries.pop("payload", {})
    return {
        "schema_version": "0.3.0",
        "action": "agent.result",
        "task_id": task_id,
        "attempt_id": attempt_id,
        "payload": payload,
        **entries,
    }


def write(path: str, content: str, **entries: Any) -> Document:
    return {"op": "write", "path": path, "content": content, **entries}


def edit(path: str, old: str, new: str, **entries: Any) -> Document:
    return {"op": "edit", "path": path, "edits": [{"old": old, "new": new}], **entries}


def issue(task_id: str, severity: str = "high", title: str = "It is broken") -> Document:
    """An envelope with an issue."""
    return {
        "action": "issue.report",
        "task_id": task_id,
        "attempt_id": "{{attempt_id}}",
        "payload": {"severity": severity, "title": title},
    }


def run(*arguments: str, stdin: bytes = b"") -> Said:
    """Run `git esaa` in this process."""
    with _captured(stdin) as (out, err):
        code = run_command(list(arguments))
    return Said(code, out.getvalue().decode(), err.getvalue().decode())


def fsck(project: Project) -> str:
    """Return what `git fsck --strict` complains of; unreachable objects are no fault."""
    try:
        return project.git("fsck", "--strict", "--full", "--no-dangling", "--no-progress")
    except GitFailed as error:
        return str(error)


def signed_commits(project: Project, *refs: str) -> list[str]:
    """Return the commits of the refs that carry a signature."""
    raw = pygit2.Repository(str(project.path))
    listed = project.git("rev-list", *refs).splitlines()
    return [oid for oid in listed if b"\ngpgsig " in raw.odb.read(oid)[1]]


def _asks(document: Any) -> bool:
    """Answer whether a contract or plan asks for more than recorded answers of the checkout."""
    if isinstance(document, dict):
        asks = document.keys() & {"command", "preset", "url", "run", "package"}
        return bool(asks) or any(map(_asks, document.values()))
    return isinstance(document, list) and any(map(_asks, document))


_PROGRESS = (
    "looking at the base of ",
    "setting up for ",
    "RUN-",
    "recovered: ",
    "left alone: ",
    "cooling down",
    "note: ",
)


def _is_progress(line: str) -> bool:
    return ": asking " in line or line.startswith(_PROGRESS)


@contextmanager
def _captured(stdin: bytes) -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    out, err = io.BytesIO(), io.BytesIO()
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
    sys.stderr = io.TextIOWrapper(err, encoding="utf-8", write_through=True)
    try:
        yield out, err
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            stream.detach()
        sys.stdin, sys.stdout, sys.stderr = before


def _scan(folder: Path, *, skip: str | None = None) -> Iterator[tuple[str, str]]:
    for place in sorted(folder.rglob("*")):
        inside = place.relative_to(folder)
        if skip is None or inside.parts[0] != skip:
            yield inside.as_posix(), _describe(place)


def _describe(place: Path) -> str:
    mode = place.lstat().st_mode
    if stat.S_ISLNK(mode):
        return f"symlink to {os.readlink(place)}"  # noqa: PTH115 - as it is, not as a Path
    if stat.S_ISDIR(mode):
        return "directory"
    return f"{stat.S_IMODE(mode):04o} {place.read_bytes()!r}"
