"""People who act in another's name, or approve their own: refused on append, and by `verify`.

One project serves all of them: a log in which Ann has claimed a task, and Ben, an approver with
two keys, has claimed another and answered it. Each attack is made twice, through our own writer and
with a commit forged past it, and nothing moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from esaa_git.core.event import event_id
from esaa_git.core.invariants import Violation
from esaa_git.engine.transaction import Transaction
from esaa_git.errors import EsaaError
from esaa_git.store.log import GitEventLog
from esaa_git.store.refs import GitRefs
from esaa_git.trust.allowed_signers import allowed_signers_line
from esaa_git.trust.keys import create_key, load_signer
from esaa_git.trust.signer import KeySpec, Signer, SigningKeys
from tests.conftest import Git
from tests.support import forgery
from tests.support.copies import copy_folder
from tests.support.forgery import Forger
from tests.support.logs import PERSON
from tests.support.project import Clock, Person, Project, make_project, task
from tests.support.records import new_event

REFUSED = 7
ANN, BEN = "ann@example.com", "ben@example.com"
SIGNERS = ".roadmap/allowed_signers"
DEADLINE = "2026-03-01T09:20:00.000Z"


@dataclass
class Scene:
    project: Project
    ann: Person
    ben: Person

    @property
    def second_key(self) -> Path:
        return self.project.path / ".git/second-key-of-ben"

    def signer(self, who: str) -> Signer:
        named = {
            "ann": self.ann.key,
            "ben": self.ben.key,
            "ben's second": self.second_key,
            "orchestrator": self.project.key,
            "evaluator": self.project.path / ".git/evaluator",
        }
        return load_signer(KeySpec("ssh", str(named[who])))

    def append(self, who: str, actor: str, action: str, payload: dict[str, Any]) -> None:
        """Append an event with this key, through the code that every command goes through."""
        repository, signer = self.project.repository, self.signer(who)
        keys = SigningKeys(lambda: signer, person=lambda: signer)
        log = GitEventLog(repository, GitRefs(repository), keys)
        state, in_force = log.load()
        transaction = Transaction(log.begin(), state, in_force, Clock(state.ts).now())
        transaction.record(new_event(action, actor, payload))
        transaction.commit()

    def forge(self, who: str, actor: str, action: str, payload: dict[str, Any]) -> str:
        """Write the event past our own code, and return what verify says of it."""
        project = self.project
        honest = project.tip()
        assert honest is not None
        forger = Forger(project, self.signer(who).sign).copy(project.chain())
        seq = forger.state.seq + 1
        document = {
            "schema_version": "0.3.0",
            "event_id": event_id(seq),
            "event_seq": seq,
            "ts": forger.state.ts,
            "actor": actor,
            "action": action,
            "payload": payload,
        }
        try:
            try:
                forger.add(document)
            except Violation:
                forger.add(document, state=forger.state)
            forger.finish()
            audit = project.verify(remember=False).audit
            assert audit.outcome == "mismatch", audit
            assert audit.event_id == event_id(seq)
            return f"{audit.check}: {audit.message}"
        finally:
            forgery.point(project, honest)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Path:
    folder = tmp_path_factory.mktemp("people") / "project"
    with pytest.MonkeyPatch.context() as patch:
        Clock().install(patch)
        project = make_project(
            folder,
            git,
            *(task(f"T-{number}", "spec") for number in range(1, 5)),
            kinds={"spec": {"review": "required"}},
        )
        ann, ben = project.person(ANN), project.person(BEN, "approver")
        second = create_key(folder / ".git/second-key-of-ben", comment="ben, at home")
        machine = create_key(folder / ".git/evaluator", comment="evaluator")
        with (folder / SIGNERS).open("a") as file:
            file.write(f"{allowed_signers_line([BEN, 'approver'], second)}\n")
            file.write(f"{allowed_signers_line(['evaluator'], machine)}\n")
        project.ok("plan", "apply")
        ann.ok("claim", "T-1")
        ben.ok("claim", "T-2")
        ben.ok("complete", "T-2", "--summary", "Nothing to do")
    return folder


@pytest.fixture
def scene(made: Path, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> Scene:
    Clock("2026-03-01T09:01:00+00:00").install(monkeypatch)
    copy_folder(made, tmp_path / "project")
    project = Project(tmp_path / "project", git)
    keys = project.path / ".git/people"
    for name, path in (("signingKey", project.key), ("approverKey", keys.parent / "persons-key")):
        place = str(path).replace(str(made), str(project.path))
        project.git("config", f"esaa.{name}", place)
    ann, ben = (Person(project, name, keys / name) for name in (ANN, BEN))
    return Scene(project, ann, ben)


def here(task_id: str) -> dict[str, Any]:
    return {"task_id": task_id, "attempt_id": f"{task_id}-A1"}


def claim(agent: str, mode: str = "claim") -> dict[str, Any]:
    return {
        **here("T-3"),
        "number": 1,
        "agent": agent,
        "mode": mode,
        "base": "0" * 40,
        "deadline": DEADLINE,
    }


def release(task_id: str, cause: str = "released") -> dict[str, Any]:
    return {**here(task_id), "from": "in_progress", "to": "todo", "cause": cause}


HEALTH = {"status": "ok", "message": "alive"}
FACTS = {"task_id": "T-1", "kind": "spec", "agent": ANN, "lines": 0, "files": []}
RESULT = {**here("T-1"), "summary": "x", "paths": [], "output_sha256": "0" * 64, "facts": FACTS}
ISSUE = {"issue_id": "ISS-0001", "severity": "low", "title": "x"}
LESSON = {"lesson_id": "LES-0001", "rule": "x", "mistake": "y", "task_id": "T-2"}

ATTACKS = {
    "a person's key appends an event of the orchestrator": (
        "ann", "orchestrator", "orchestrator.health", HEALTH, "it is the key of",
    ),
    "a contributor claims for somebody else": ("ann", ANN, "attempt.create", claim(BEN), "claims"),
    "in another's name": ("ann", BEN, "attempt.create", claim(BEN), "it is the key of"),
    "a contributor sends an agent": (
        "ann", ANN, "attempt.create", claim("agent-x", "dispatch"), "only an orchestrator",
    ),
    "for themselves, in a mode of the orchestrator's": (
        "ann", ANN, "attempt.create", claim(ANN, "dispatch"), "only an orchestrator",
    ),
    "the orchestrator claims for a person": (
        "orchestrator", "orchestrator", "attempt.create", claim(ANN), "key of their own",
    ),
    "the orchestrator opens for an agent that nobody knows": (
        "orchestrator", "orchestrator", "attempt.create", claim("stranger"), "no agent",
    ),
    "the orchestrator answers for a person": (
        "orchestrator", ANN, "agent.result", RESULT, "key of their own",
    ),
    "another answers a claim under a valid key": ("ben", ANN, "agent.result", RESULT, "not ann"),
    "a contributor gives back another's claim": (
        "ann", ANN, "task.update", release("T-2"), "not their own",
    ),
    "a contributor moves their own task otherwise": (
        "ann", ANN, "task.update", {**release("T-1", "issue"), "to": "blocked"}, "only give back",
    ),
    "a contributor reports from nowhere": ("ann", ANN, "issue.report", ISSUE, "an attempt of"),
    "a contributor reports from another's attempt": (
        "ann", ANN, "issue.report", {**ISSUE, **here("T-2")}, "not their own",
    ),
    "a contributor teaches from another's attempt": (
        "ann", ANN, "lesson.record", LESSON, "not their own",
    ),
    "an evaluator appends": (
        "evaluator", "orchestrator", "orchestrator.health", HEALTH, "evaluator",
    ),
    "an evaluator reports as an agent": (
        "evaluator", "agent-x", "issue.report", ISSUE, "evaluator",
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_what_a_key_may_not_say(scene: Scene, attack: str) -> None:
    who, actor, action, payload, words = ATTACKS[attack]
    before = scene.project.refs()
    with pytest.raises(EsaaError) as refused:
        scene.append(who, actor, action, payload)
    assert words in f"{refused.value.message}: {refused.value.cause}"
    assert words in scene.forge(who, actor, action, payload)
    assert scene.project.refs() == before


def test_everybody_may_do_what_is_theirs(scene: Scene) -> None:
    project, ann, ben = scene.project, scene.ann, scene.ben
    ann.ok("complete", "T-1", "--summary", "Nothing to do")
    ben.ok("review", "T-1", "--approve")
    assert project.task("T-1").state == "done"
    ann.ok("claim", "T-3")
    ann.ok("task", "release", "T-3", "--reason", "no time")
    project.ok("review", "T-2", "--approve")
    said = [(one.event.action, one.event.actor) for one in project.chain()]
    for one in (
        ("run.init", PERSON),
        ("attempt.create", ANN),
        ("agent.result", BEN),
        ("approval.grant", BEN),
        ("approval.grant", PERSON),
        ("task.update", ANN),
        ("task.update", "orchestrator"),
    ):
        assert one in said
    project.check()


def test_nobody_approves_their_own_work_by_another_name(scene: Scene) -> None:
    project, ben = scene.project, scene.ben
    ben.fails(REFUSED, "review", "T-2", "--approve")
    ben.fails(REFUSED, "review", "T-2", "--approve", "--as", "somebody")
    project.git("config", "esaa.approverKey", str(scene.second_key))
    assert "own work" in project.fails(REFUSED, "review", "T-2", "--approve")
    # An agent that nobody knows works under the key of the person who lets it.
    ben.ok("claim", "T-3", "--as", "codex")
    ben.ok("complete", "T-3", "--summary", "Nothing to do", "--as", "codex")
    answered = project.payloads("agent.result")[-1]
    assert answered["agent"] == "codex"
    assert project.task("T-3").result is not None
    assert project.chain()[-2].event.actor == BEN
    assert "own work" in project.fails(REFUSED, "review", "T-3", "--approve")
    project.check()


def test_a_key_that_was_taken_out_says_nothing_more(scene: Scene) -> None:
    project, ann = scene.project, scene.ann
    lines = project.read(SIGNERS).splitlines(keepends=True)
    project.write(SIGNERS, "".join(line for line in lines if ANN not in line))
    project.ok("plan", "apply", "--restart")
    assert "not trusted" in ann.fails(5, "complete", "T-1", "--summary", "late", "--as", ANN)
    assert "3: " in scene.forge("ann", ANN, "agent.result", RESULT)


def test_a_claim_is_refused_where_nobody_else_could_approve(tmp_path: Path, git: Git) -> None:
    project = make_project(
        tmp_path / "project",
        git,
        task("T-1", "spec"),
        task("T-2"),
        kinds={"spec": {"review": "required"}},
        agents=["mine"],
    )
    project.amend_yaml("agents_swarm.yaml", agents__mine__stands_for=PERSON)
    project.ok("plan", "apply")
    before = project.tip()
    for who in ([], ["--as", "codex"], ["--as", "mine"]):
        said = project.fails(REFUSED, "claim", "T-1", *who)
        assert f"nobody but {PERSON} could approve it" in said
        for way in ("git esaa run --task T-1", "commit the change yourself, beside the log"):
            assert way in said
    assert project.tip() == before
    project.ok("claim", "T-2")
    project.person(BEN, "approver")
    project.ok("plan", "apply", "--restart")
    project.ok("claim", "T-1", "--as", "mine")
    project.ok("complete", "T-1", "--summary", "Nothing to do", "--as", "mine")
    assert "own work" in project.fails(REFUSED, "review", "T-1", "--approve")
    project.ok("review", "T-1", "--approve", "--as", BEN)
    project.check()
