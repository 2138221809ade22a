"""The orchestrator on git and the one in memory, side by side: whatever happens, they agree.

Hypothesis drives both through the same decisions: plans, claims, answers good and bad, reviews,
agents at work, leases that run out, people who commit and people who leave work uncommitted. After
each step the events, the state, the branch and the files of the checkout are the same, and so is
every refusal. Commits are named differently in the two, so a commit is known by where it first
appears.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from esaa_git.app.project import Project as OpenProject
from esaa_git.app.roadmap import read_contracts
from esaa_git.core import canonical
from esaa_git.core.event import Event
from esaa_git.core.events import TaskNote
from esaa_git.core.plan import load_plan
from esaa_git.core.projection import roadmap
from esaa_git.engine import operator, run
from esaa_git.engine.commit import admit
from esaa_git.engine.cycle import cycle
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import AgentOutput
from esaa_git.engine.options import Options
from esaa_git.errors import EsaaError
from esaa_git.ports.agent import Answer, Request
from esaa_git.ports.files import FileEntry
from esaa_git.store.repository import open_repository
from esaa_git.store.trees import GitTrees
from esaa_git.testing.engine import MemoryAgent, MemoryChance, MemoryEngine, engine
from esaa_git.testing.world import MemoryClock
from esaa_git.trust.keys import load_signer
from esaa_git.trust.signer import KeySpec, Signer, SigningKeys
from tests.conftest import Git
from tests.support.copies import copy_folder
from tests.support.project import Project, make_project
from tests.support.records import payload_of

TASKS = ("T-1", "T-2", "T-3", "T-4")
VERDICTS: tuple[operator.Answer, ...] = ("approve", "request_changes", "deny")
PEOPLE = ("ann@x.org", "ben@x.org")
PATHS = ("src/a.txt", "src/b.txt", "docs/c.md")
WORDS = ("one\n", "two\n", "three\n")
SEED = {"src/a.txt": "zero\n", "docs/c.md": "zero\n"}

# The simulator finds the same conflicts as git, and has other words for them.
HUNKS = re.compile(r"""(["'])hunks\1: ?(["'])(?:\\.|(?!\2).)*\2""")
SIZE = re.compile(r'(?<="request":\{"blob":"[0-9a-f]{40}",)"bytes":[0-9]+')
CONFLICT = "the branch and the proposal changed the same lines", "both sides changed it"

Step = Callable[[Engine], Any]
Document = dict[str, Any]


class Told:
    """Tells two records apart by what they say, whatever their commits are called."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def __call__(self, value: Any) -> str:
        text = value if isinstance(value, str) else canonical.encode(value).decode()
        text = SIZE.sub("bytes", HUNKS.sub("hunks", text)).replace(*CONFLICT)
        return re.sub(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{40}\b|\b[0-9a-f]{12}\b", self._named, text)

    def _named(self, found: re.Match[str]) -> str:
        name = found[0]
        known = self._names.setdefault(name, f"#{len(self._names)}")
        # Commits are shown to people by their first twelve digits.
        self._names.setdefault(name[:12], known)
        return known


class Side:
    """One orchestrator, and how its repository is looked at and worked in by a person."""

    def __init__(self, made: Engine, clock: MemoryClock) -> None:
        self.engine = made
        self.clock = clock
        self.told = Told()
        self._seen = 0

    def does(self, step: Step) -> str:
        """Take a step, and return what came of it."""
        try:
            return self.told(repr(step(self.engine)))
        except EsaaError as error:
            return self.told(f"{type(error).__name__}: {error.message}; {error.hint}")

    def events(self) -> list[str]:
        """Return what was recorded since the last time."""
        if self.engine.log.tip() is None:
            return []
        found = [stored.event for stored in self.engine.log.events()]
        fresh, self._seen = found[self._seen :], len(found)
        return [self.told(_said(event)) for event in fresh]

    def state(self) -> str:
        if self.engine.log.tip() is None:
            return ""
        state, _ = self.engine.log.load()
        tables = (state.issues, state.lessons, state.approvals)
        rest = [{key: table[key].to_json() for key in table} for table in tables]
        run_ = {name: item for name, item in state.run.to_json().items() if name != "contracts"}
        return self.told([state.seq, state.ts, roadmap(state), run_, rest])

    def branch(self) -> dict[str, tuple[str, str]]:
        raise NotImplementedError

    def files(self) -> dict[str, str]:
        raise NotImplementedError

    def commits(self, path: str, content: str) -> None:
        raise NotImplementedError

    def saves(self, path: str, content: str) -> None:
        raise NotImplementedError


def _said(event: Event) -> Document:
    payload = payload_of(event)
    # How far back an audit had to look is the auditor's affair.
    for name in ("checked_from", "projection_hash_sha256"):
        payload.pop(name, None)
    return {
        "seq": event.seq,
        "ts": event.ts,
        "action": event.action,
        "actor": event.actor,
        "payload": payload,
    }


class Keyring(SigningKeys):
    """The orchestrator's key, and those of all people: whoever says something signs it."""

    def __init__(self, project: Project) -> None:
        super().__init__(lambda: project.signer)
        self.people = {
            name: load_signer(KeySpec("ssh", str(project.path / ".git/people" / name)))
            for name in PEOPLE
        }

    def of(self, actor: str) -> Signer:
        return self.people.get(actor) or super().of(actor)


class OnGit(Side):
    """A real repository, with its event log, its branch and its checkout."""

    def __init__(self, project: Project, clock: MemoryClock, answers: Answers) -> None:
        self.project = project
        app = OpenProject(str(project.path))
        self.contracts = read_contracts(app.repository)
        made = app.engine
        made.clock, made.draw = clock, MemoryChance()
        made.make_agent = lambda entry, _: MemoryAgent(entry, answers.next, [])
        app.log.keys = Keyring(project)
        super().__init__(made, clock)

    def branch(self) -> dict[str, tuple[str, str]]:
        tip = self.engine.branch.tip("main")
        assert tip is not None
        # Opened again, as another process would.
        trees = GitTrees(open_repository(self.project.path))
        return {path: (entry.mode, entry.oid) for path, entry in trees.paths(tip)}

    def files(self) -> dict[str, str]:
        return {
            path: (self.project.path / path).read_text()
            for path in PATHS
            if (self.project.path / path).exists()
        }

    def commits(self, path: str, content: str) -> None:
        self.project.write(path, content)
        self.project.git("add", "--", path)
        self.project.git("commit", "--quiet", "--no-verify", "--message", "By hand", "--", path)

    def saves(self, path: str, content: str) -> None:
        self.project.write(path, content)


class InMemory(Side):
    """The simulator, begun with the same files and contracts."""

    engine: MemoryEngine

    def __init__(self, other: OnGit, clock: MemoryClock, answers: Answers) -> None:
        made = engine(answers.next, given=other.contracts, files={})
        first = {path: FileEntry(*entry) for path, entry in other.branch().items()}
        for entry in first.values():
            made.blobs.write(other.engine.blobs.read(entry.oid))
        made.person_commits(first)
        made.clock, made.starter = clock, other.engine.starter
        super().__init__(made, clock)

    def branch(self) -> dict[str, tuple[str, str]]:
        tip = self.engine.repository.refs["refs/heads/main"]
        return {
            path: (entry.mode, entry.oid)
            for path, entry in self.engine.repository.files(tip).items()
            if isinstance(entry, FileEntry)
        }

    def files(self) -> dict[str, str]:
        return {
            path: self.engine.blobs.read(entry.oid).decode()
            for path, entry in self.engine.repository.checkout.items()
            if path in PATHS and isinstance(entry, FileEntry)
        }

    def commits(self, path: str, content: str) -> None:
        self.engine.person_commits({path: content.encode()})

    def saves(self, path: str, content: str) -> None:
        self.engine.repository.checkout |= self.engine.files({path: content.encode()})


class Answers:
    """What agents say next; both orchestrators hear the same."""

    def __init__(self) -> None:
        self.body: Document | None = None

    def next(self, request: Request) -> bytes:
        return _answer(self.body, request.task_id, request.attempt_id)


def _answer(body: Document | None, task_id: str, attempt_id: str) -> bytes:
    if body is None:
        return b"I am done!"
    address = {"task_id": task_id, "attempt_id": attempt_id}
    return json.dumps({**body, **address}).encode()


def _result(*updates: Document) -> Document:
    payload: Document = {"summary": "Worked on it"}
    if updates:
        payload["file_updates"] = list(updates)
    return {"action": "agent.result", "payload": payload}


WRITES = st.builds(
    lambda path, content: {"op": "write", "path": path, "content": content},
    st.sampled_from(PATHS),
    st.sampled_from(WORDS),
)
EDITS = st.builds(
    lambda path, old, new: {"op": "edit", "path": path, "edits": [{"old": old, "new": new}]},
    st.sampled_from(PATHS),
    st.sampled_from(("zero\n", *WORDS)),
    st.sampled_from(WORDS),
)
OUTSIDE = st.just({"op": "write", "path": ".git/hooks/pre-commit", "content": "no\n"})
ISSUES = st.builds(
    lambda severity: {
        "action": "issue.report",
        "payload": {"severity": severity, "title": "It is odd"},
    },
    st.sampled_from(("low", "medium", "high")),
)
OTHERS = st.sampled_from(
    (
        None,
        _result(),
        {"action": "agent.heartbeat", "payload": {}},
        {"action": "lesson.record", "payload": {"rule": "Look twice", "mistake": "Looked once"}},
        {"action": "agent.result", "payload": {}},
    )
)
BODIES = st.one_of(
    WRITES.map(_result), WRITES.map(_result), EDITS.map(_result), OUTSIDE.map(_result), ISSUES,
    OTHERS,
)  # fmt: skip
TASK = st.sampled_from(TASKS)
PERSON = st.sampled_from(PEOPLE)


class SideBySide(RuleBasedStateMachine):
    """Every rule takes the same step in both, and compares what came of it."""

    template: ClassVar[Project]

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory(dir=self.template.path.parent)
        place = Path(self._folder.name) / "project"
        copy_folder(self.template.path, place)
        self.answers = Answers()
        self.git = OnGit(Project(place, self.template._git), MemoryClock(), self.answers)
        self.memory = InMemory(self.git, MemoryClock(), self.answers)
        self.planned: dict[str, Document] = {}

    def teardown(self) -> None:
        try:
            if self.git.engine.log.tip() is not None:
                self.git.project.check()
        finally:
            self._folder.cleanup()

    def both(self, step: Step) -> None:
        on_git, in_memory = self.git.does(step), self.memory.does(step)
        assert on_git == in_memory

    # -- what is decided ------------------------------------------------------------------------

    @initialize(reviewed=st.booleans())
    def begin(self, reviewed: bool) -> None:
        self.plan("T-1", "impl", reviewed, ())

    @rule(
        name=TASK,
        kind=st.sampled_from(("impl", "spec")),
        reviewed=st.booleans(),
        after=st.lists(TASK, max_size=2, unique=True),
    )
    def plan(self, name: str, kind: str, reviewed: bool, after: tuple[str, ...]) -> None:
        known = [one for one in after if one in self.planned and one < name]
        if name not in self.planned:
            definition: Document = {"task_id": name, "kind": kind, "title": f"Do {name}"}
            self.planned[name] = definition | {"review": reviewed, "depends_on": known}
        document = {"project": "example", "tasks": list(self.planned.values())}
        plan = load_plan(json.dumps(document).encode(), "plan.yaml")
        contracts = self.git.contracts
        starter = run.Starter(PEOPLE[0])
        self.both(
            lambda one: run.apply(one, plan, contracts, branch=None, by=None, starter=starter)
        )

    @rule(name=TASK, who=PERSON)
    def claim(self, name: str, who: str) -> None:
        self.both(lambda one: operator.claim(one, name, who).attempt_id)

    @rule(name=TASK, who=PERSON, body=BODIES, late=st.sampled_from((0, 0, 0, 1)))
    def submit(self, name: str, who: str, body: Document | None, late: int) -> None:
        def step(one: Engine) -> Any:
            task = one.log.load()[0].tasks.get(name)
            number = (task.attempts_total if task else 1) - late
            attempt_id = f"{name}-A{max(number, 1)}"
            output = _answer(body, name, attempt_id)
            said = AgentOutput(Answer(output, 0), who, task_id=name, attempt_id=attempt_id)
            return admit(one, said) if task else None

        self.both(step)

    @rule(name=TASK, who=PERSON, verdict=st.sampled_from(VERDICTS))
    def review(self, name: str, who: str, verdict: operator.Answer) -> None:
        self.both(lambda one: operator.review(one, name, who, verdict, "I looked"))

    @rule(name=TASK, who=PERSON)
    def release(self, name: str, who: str) -> None:
        self.both(lambda one: operator.unclaim(one, name, who, "no time"))

    @rule(name=TASK, who=PERSON)
    def unblock(self, name: str, who: str) -> None:
        self.both(lambda one: operator.unblock(one, name, who, "go on"))

    @rule(name=TASK, who=PERSON)
    def note(self, name: str, who: str) -> None:
        self.both(
            lambda one: operator.add_note(one, TaskNote(task_id=name, text="by the way"), who)
        )

    @rule(name=TASK, who=PERSON)
    def override(self, name: str, who: str) -> None:
        self.both(lambda one: operator.override(one, name, who, "it is wrong"))

    @rule(body=BODIES)
    def work(self, body: Document | None) -> None:
        self.run(body, Options(steps=1))

    @rule(body=WRITES.map(_result))
    def work_to_the_end(self, body: Document) -> None:
        self.run(body, Options())

    def run(self, body: Document | None, options: Options) -> None:
        """Have agents work, all with the same answer."""

        def step(one: Engine) -> Any:
            report = cycle(one, options)
            return report.admissions, report.result, report.reason, report.stopped

        self.answers.body = body
        self.both(step)

    @rule(who=PERSON)
    @precondition(lambda self: self.git.engine.log.tip() is not None)
    def stop(self, who: str) -> None:
        self.both(lambda one: run.stop(one, "enough", who))

    # -- what happens beside --------------------------------------------------------------------

    @rule(seconds=st.sampled_from((1, 11, 61)))
    def wait(self, seconds: int) -> None:
        for side in (self.git, self.memory):
            side.clock.forward(seconds=seconds)

    @rule(path=st.sampled_from(PATHS), number=st.integers(0, 9))
    def a_person_commits(self, path: str, number: int) -> None:
        content = f"by hand {number}\n"
        if self.git.project.git("status", "--porcelain", "--", path):
            return  # it would be committed as it was left, which is another rule's affair
        if self.git.files().get(path) == content:
            return
        for side in (self.git, self.memory):
            side.commits(path, content)

    @rule(path=st.sampled_from(PATHS), number=st.integers(0, 1))
    def a_person_leaves_work_uncommitted(self, path: str, number: int) -> None:
        for side in (self.git, self.memory):
            side.saves(path, f"unfinished {number}\n")

    @rule()
    def a_person_puts_everything_back(self) -> None:
        self.git.project.git("checkout", "--quiet", "HEAD", "--", ".")
        self.git.project.git("clean", "--quiet", "--force", "-d", "src", "docs")
        repository = self.memory.engine.repository
        repository.checkout = dict(repository.files(repository.refs["refs/heads/main"]))

    # -- what has to be the same ----------------------------------------------------------------

    @invariant()
    def they_agree(self) -> None:
        assert self.git.events() == self.memory.events()
        assert self.git.state() == self.memory.state()
        assert self.git.branch() == self.memory.branch()
        assert self.git.files() == self.memory.files()
        assert self.git.clock.moment == self.memory.clock.moment


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, git: Git) -> type[SideBySide]:
    policy = {"attempts__ttl": "PT1M", "attempts__cooldown": "PT10S"}
    place = tmp_path_factory.mktemp("side-by-side") / "template"
    project = SideBySide.template = make_project(place, git, seed=SEED, policy=policy)
    for name in PEOPLE:
        project.person(name, "approver", "admin")
    project.commit("People who may do everything: here they agree with one another, not with roles")
    return SideBySide


BOUNDED = settings(
    # What failed once is not tried first for ever after: it would take minutes.
    database=None,
    stateful_step_count=25,
    max_examples=15,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_git_and_memory_agree_step_by_step(machine: type[SideBySide]) -> None:
    run_state_machine_as_test(machine, settings=BOUNDED)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_git_and_memory_agree_on_many_long_walks(machine: type[SideBySide]) -> None:
    long = settings(parent=BOUNDED, max_examples=150, stateful_step_count=50)
    run_state_machine_as_test(machine, settings=long)
