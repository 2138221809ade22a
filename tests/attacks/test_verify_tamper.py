"""Every way we know to touch up the record, against `git esaa verify --full`.

Each test stands on a real log that verifies, attacks it, and expects the number of the check that
catches it, the outcome, the first offending event, and the exit code; and that looking moved
nothing. The attacker rewrites commits, holds a key of his own, holds the orchestrator's key, or
can write to the disk.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from esaa_git.core import canonical
from esaa_git.core.contracts import Contracts
from esaa_git.core.decision import salted
from esaa_git.core.event import Event, event_id
from esaa_git.core.events.base import encode
from esaa_git.core.projection import projection_hash
from esaa_git.ports.files import FileEntry
from esaa_git.store.eventcommit import EventCommit
from esaa_git.store.objects import (
    COMMIT,
    MODE_EXECUTABLE,
    MODE_SYMLINK,
    MODE_TREE,
    TREE,
    TreeEntry,
    decode_commit,
    decode_tree,
    encode_commit,
    sign_commit,
)
from esaa_git.store.tip import load_tip
from esaa_git.store.trees import GitTrees, store_files
from esaa_git.trust.allowed_signers import allowed_signers_line
from esaa_git.trust.keys import create_key, load_signer
from esaa_git.trust.signer import KeySpec, Signer
from esaa_git.verification.provenance import provenance_of
from tests.conftest import Git
from tests.support import forgery
from tests.support.copies import copy_folder
from tests.support.forgery import Draft, Forger, attachments, blob, rewrite, value, with_entries
from tests.support.project import Project, edit, issue, make_project, result, task, write
from tests.support.records import payload_of

MISMATCH, CORRUPTED = 9, 10
KINDS = {"spec": {"review": "required"}}
ROOT = "root@example.com"
PEOPLE = {"approver": "alice@example.com", "admin": ROOT}


@dataclass
class Scene:
    """A project whose record is sound, and the keys that its contracts know."""

    project: Project
    chain: list[EventCommit]
    keys: Path

    def signer(self, role: str) -> Signer:
        return load_signer(KeySpec("ssh", str(self.keys / role)))

    def seq(self, action: str, nth: int = 0) -> int:
        """The sequence number of the nth event of an action, from the end where negative."""
        return [one.event.seq for one in self.chain if one.event.action == action][nth]

    def at(self, seq: int) -> EventCommit:
        return self.chain[seq - 1]

    def forger(self, seq: int, role: str = "orchestrator") -> Forger:
        """A forger who holds a key and stands just before this event."""
        people = role == "orchestrator"
        forger = Forger(self.project, self.signer(role).sign, people=people)
        return forger.copy(self.chain[: seq - 1])

    def caught(
        self,
        check: int,
        outcome: int,
        event: int | None,
        *words: str,
        pinned: bool = False,
    ) -> dict[str, Any]:
        """Assert how `verify --full` sees it, in words too, and that it moved nothing.

        Args:
            pinned: what was verified here before is remembered; else it is as in a fresh clone.
        """
        project = self.project
        if not pinned:
            project.forget()
        before = project.refs(), pin(project)
        said = project.esaa("verify", "--full", "--json")
        report: dict[str, Any] = said.json
        shown = report["check"], report["verify_status"], report["event_id"], report["message"]
        assert said.code == outcome, shown
        assert report["check"] == check, shown
        assert report["verify_status"] == {9: "mismatch", 10: "corrupted"}[outcome], shown
        assert report["event_id"] == (None if event is None else event_id(event)), shown
        for word in words:
            assert word in report["message"], shown
        assert (project.refs(), pin(project)) == before
        return report


def pin(project: Project) -> bytes | None:
    place = project.repository.esaa_dir / "verified.json"
    return place.read_bytes() if place.exists() else None


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, git: Git) -> tuple[Path, Path]:
    """A project with a finished run: effects of every kind, rejections, reviews, an issue."""
    folder = tmp_path_factory.mktemp("sound")
    keys = folder / "keys"
    lines = []
    for role in ("orchestrator", "approver", "admin"):
        public = create_key(keys / role, comment=role)
        names = [PEOPLE[role], role] if role in PEOPLE else [role]
        lines.append(allowed_signers_line(names, public))
    project = make_project(
        folder / "project",
        git,
        task("T-1000", "spec"),
        task("T-1010", depends_on=["T-1000"]),
        task("T-1020", depends_on=["T-1010"]),
        task("T-1030", "qa", depends_on=["T-1020"]),
        task("T-1040", depends_on=["T-1030"]),
        seed={"src/old.py": "old = 1\n", "src/gone.py": "gone = 1\n", "tools/run": "#!/bin/sh\n"},
        key=keys / "orchestrator",
        kinds=KINDS,
    )
    project.write(".roadmap/allowed_signers", "".join(f"{line}\n" for line in lines))
    project.commit("The keys")
    project.answer(
        "T-1000-A1", result("T-1000", write("docs/a.md", "# A\n"), attempt_id="T-1000-A1")
    )
    project.answers(
        T_1000=result("T-1000", write("docs/a.md", "# A\n\nNow with content.\n")),
        T_1010_A1=result("T-1010", write(".git/hooks/x", "boom"), attempt_id="T-1010-A1"),
        T_1010=result(
            "T-1010",
            edit("src/old.py", "old = 1", "old = 2"),
            write("src/new.py", "new = 1\n"),
            {"op": "chmod", "path": "tools/run", "executable": True},
        ),
        T_1020_A1="this is no JSON",
        T_1020=result(
            "T-1020",
            {"op": "rename", "from": "src/new.py", "path": "src/newer.py"},
            {"op": "delete", "path": "src/gone.py"},
        ),
        T_1030_A1=issue("T-1030", "medium") | {"attempt_id": "T-1030-A1"},
        T_1030=result("T-1030", write("tests/test_a.py", "def test_a():\n    assert True\n")),
        T_1040=result(
            "T-1040",
            payload={
                "lessons": [{"rule": "look first", "mistake": "did not look"}],
                "checks": ["nothing had to change"],
            },
        ),
    )
    people = project.path / ".git/people"
    people.mkdir()
    for role, name in PEOPLE.items():
        shutil.copy(keys / role, people / name)
    project.git("config", "esaa.approverKey", str(keys / "admin"))
    project.fails(14, "run")
    project.git("config", "esaa.approverKey", str(keys / "approver"))
    project.ok("review", "T-1000", "--request-changes", "say more")
    project.fails(14, "run")
    project.ok("review", "T-1000", "--approve")
    project.ok("run")
    return project.path, keys


@pytest.fixture
def scene(sound: tuple[Path, Path], tmp_path: Path, git: Git) -> Scene:
    path, keys = sound
    copy_folder(path, tmp_path / "project")
    project = Project(tmp_path / "project", git)
    project.ok("verify", "--full")
    found = Scene(project, project.chain(), keys)
    assert 40 <= len(found.chain) <= 60
    return found


def the_same(_seq: int, draft: Draft) -> Draft:
    return draft


def at(seq: int, change: Callable[[Draft], Any]) -> Callable[[int, Draft], Any]:
    return lambda number, draft: change(draft) if number == seq else draft


def with_event(scene: Scene, draft: Draft, data: bytes) -> Draft:
    return replace(
        draft, tree=with_entries(scene.project, draft.tree, event_json=blob(scene.project, data))
    )


def changed_summary(scene: Scene, seq: int) -> bytes:
    event = scene.at(seq).event
    return canonical.encode(value(event, payload__summary="Did something else altogether"))


# -- the log as the tests find it --------------------------------------------------------------


def test_the_record_holds_all_that_is_attacked_below(scene: Scene) -> None:
    actions = [one.event.action for one in scene.chain]
    for action in (
        "output.rejected",
        "approval.grant",
        "approval.deny",
        "issue.report",
        "lesson.record",
        "verify.ok",
        "run.end",
    ):
        assert action in actions
    assert actions.count("orchestrator.file.write") >= 4
    files = [file for one in scene.chain for file in payload_of(one.event).get("files", ())]
    assert {file["change"] for file in files} == {"add", "modify", "delete", "rename"}


def test_writing_the_same_log_again_changes_no_commit(scene: Scene) -> None:
    """The tools of the attacks below are honest where they change nothing."""
    before = scene.project.tip()
    assert rewrite(scene.project, the_same, sign=None) == before
    forger = scene.forger(1)
    for found in scene.chain:
        forger.log_id, forger.programs = found.trailers["ESAA-Log"], found.tree.get("programs")
        forger.add(
            found.event,
            attached=attachments(found),
            contracts=found.tree["contracts"].oid,
        )
    assert forger.finish() == before
    scene.project.ok("verify", "--full")


# -- an event of the past is changed -----------------------------------------------------------


def test_a_changed_event_under_its_old_signature(scene: Scene) -> None:
    seq = scene.seq("agent.result", 1)
    data = changed_summary(scene, seq)
    rewrite(scene.project, at(seq, lambda draft: with_event(scene, draft, data)), sign=None)
    scene.caught(3, MISMATCH, seq, "signature", "bad")


def test_a_changed_event_without_a_signature(scene: Scene) -> None:
    seq = scene.seq("agent.result", 1)
    data = changed_summary(scene, seq)

    def change(draft: Draft) -> Draft:
        return replace(with_event(scene, draft, data), signed=None)

    rewrite(scene.project, at(seq, change), sign=None)
    scene.caught(2, CORRUPTED, seq, "signature")


@pytest.mark.parametrize("everything", [False, True], ids=["from there on", "from genesis"])
def test_history_signed_again_with_a_key_of_the_attackers_own(
    scene: Scene, tmp_path: Path, everything: bool
) -> None:
    seq = scene.seq("agent.result", 1)
    data = changed_summary(scene, seq)
    thief = forgery.new_key(tmp_path, "thief")
    change = at(seq, lambda draft: with_event(scene, draft, data))
    rewrite(scene.project, change, sign=thief.sign, everything=everything)
    scene.caught(3, MISMATCH, 1 if everything else seq, "unknown-key", thief.fingerprint)


def test_the_right_key_over_trailers_of_another_event(scene: Scene) -> None:
    seq = scene.seq("agent.result", 1)
    data = canonical.encode(value(scene.at(seq).event, payload__checks=["added later"]))
    sign = scene.signer("orchestrator").sign
    rewrite(scene.project, at(seq, lambda draft: with_event(scene, draft, data)), sign=sign)
    scene.caught(5, MISMATCH, seq, "ESAA-Event-SHA256")


def test_the_right_key_over_a_message_of_another_event(scene: Scene) -> None:
    seq = scene.seq("agent.result", 1)

    def change(draft: Draft) -> Draft:
        return replace(draft, message=b"nothing happened here" + draft.message[3:])

    rewrite(scene.project, at(seq, change), sign=scene.signer("orchestrator").sign)
    scene.caught(5, MISMATCH, seq, "message")


def test_the_right_key_and_a_chain_that_breaks_after_the_change(scene: Scene) -> None:
    seq = scene.seq("agent.result", 1)
    forger = scene.forger(seq)
    found = scene.at(seq)
    forger.add(value(found.event, payload__checks=["added later"]), attached=attachments(found))
    parent = forger.parent
    assert parent is not None
    sign = scene.signer("orchestrator").sign
    for later in scene.chain[seq:]:
        parent = forgery.draft_of(later, sign).write(scene.project.repository, parent)
    forgery.point(scene.project, parent)
    scene.caught(5, MISMATCH, seq + 1, "ESAA-Prev-SHA256")


def test_the_right_key_and_another_log_id_in_the_middle(scene: Scene) -> None:
    seq = scene.seq("agent.result", 1)
    forger = scene.forger(seq)
    forger.add(scene.at(seq).event, attached=attachments(scene.at(seq)), log_id="f" * 32)
    forger.finish()
    scene.caught(5, MISMATCH, seq, "ESAA-Log")


def forge_all_from(scene: Scene, seq: int, **changes: Any) -> None:
    """Change one event, and write everything after it anew so that it follows."""
    forger = scene.forger(seq)
    for found in scene.chain[seq - 1 :]:
        event: Any = value(found.event, **changes) if found.event.seq == seq else found.event
        forger.add(event, attached=attachments(found))
    forger.finish()


def test_a_change_by_whoever_holds_the_key_is_betrayed_by_the_effects(scene: Scene) -> None:
    """Everything in the log follows, but the branch's commits name the events they came from."""
    seq = scene.seq("orchestrator.dispatch", 0)
    forge_all_from(scene, seq, payload__model="another-model")
    closing = next(
        one.event.seq
        for one in scene.chain
        if getattr(one.event.payload, "effect_commit", None) is not None
    )
    scene.caught(11, MISMATCH, closing, "it names")


def test_a_change_by_whoever_holds_the_key_is_betrayed_by_the_pin(scene: Scene) -> None:
    seq = scene.seq("run.end", -1)
    forge_all_from(scene, seq, payload__reason="all is well")
    scene.caught(1, MISMATCH, None, "does not contain", scene.chain[-1].oid[:12], pinned=True)


# -- events are dropped, moved, repeated, put in -----------------------------------------------


def signatures(scene: Scene, whose: str) -> tuple[Any, int, int]:
    """Return (sign, check, outcome): what catches a chain whose order was changed."""
    if whose == "old":
        return None, 3, MISMATCH
    return scene.signer("orchestrator").sign, 5, MISMATCH


WHOSE = pytest.mark.parametrize("whose", ["old", "right"])


@WHOSE
def test_a_dropped_event(scene: Scene, whose: str) -> None:
    seq = scene.seq("output.rejected", 0)
    sign, check, outcome = signatures(scene, whose)
    rewrite(scene.project, at(seq, lambda _: ()), sign=sign)
    scene.caught(check, outcome, seq, *(["does not follow"] if check == 5 else ["signature"]))


@WHOSE
def test_two_events_in_the_other_order(scene: Scene, whose: str) -> None:
    seq = scene.seq("orchestrator.dispatch", 1)
    sign, check, outcome = signatures(scene, whose)
    first = forgery.draft_of(scene.at(seq), scene.at(seq).commit.signatures[0])
    second = forgery.draft_of(scene.at(seq + 1), scene.at(seq + 1).commit.signatures[0])
    if sign is not None:
        first, second = replace(first, signed=sign), replace(second, signed=sign)
    rewrite(
        scene.project,
        lambda number, draft: {seq: (second, first), seq + 1: ()}.get(number, draft),
        sign=sign,
    )
    scene.caught(check, outcome, seq)


@WHOSE
def test_an_event_twice(scene: Scene, whose: str) -> None:
    seq = scene.seq("agent.result", 0)
    sign, check, outcome = signatures(scene, whose)
    rewrite(scene.project, at(seq, lambda draft: (draft, draft)), sign=sign)
    scene.caught(check, outcome, seq + 1)


def test_an_event_put_in_by_whoever_holds_the_key(scene: Scene) -> None:
    seq = scene.seq("agent.result", 1)
    forger = scene.forger(seq)
    forger.add(
        {
            "schema_version": "0.3.0",
            "event_id": event_id(seq),
            "event_seq": seq,
            "ts": scene.at(seq).event.ts,
            "actor": "orchestrator",
            "action": "orchestrator.health",
            "payload": {"status": "ok", "message": "nothing to see"},
        }
    )
    parent = forger.parent
    for later in scene.chain[seq - 1 :]:
        draft = forgery.draft_of(later, forger.sign)
        parent = draft.write(scene.project.repository, parent)
    assert parent is not None
    forgery.point(scene.project, parent)
    scene.caught(5, MISMATCH, seq + 1, "does not follow")


def test_a_commit_that_somebody_made_with_plain_git(scene: Scene) -> None:
    project = scene.project
    tree = project.git("rev-parse", f"{project.tip()}^{{tree}}")
    message = "task.update T-1040: done\n\nESAA-Seq: 99\n"
    made = project.git("commit-tree", tree, "-p", str(project.tip()), "-m", message)
    forgery.point(project, made)
    scene.caught(2, CORRUPTED, len(scene.chain) + 1, "signature")


def test_a_gap_in_the_sequence(scene: Scene) -> None:
    seq = scene.seq("agent.result", 1)
    forger = scene.forger(seq)
    document = value(scene.at(seq).event, event_seq=seq + 1, event_id=event_id(seq + 1))
    forger.add(document, attached=attachments(scene.at(seq)), state=forger.state)
    forger.finish()
    scene.caught(5, MISMATCH, seq, f"event {seq + 1} does not follow event {seq - 1}")


def test_an_id_that_is_not_that_of_the_sequence(scene: Scene) -> None:
    seq = scene.seq("agent.result", 1)
    data = canonical.encode(value(scene.at(seq).event, event_id=event_id(seq + 1)))
    sign = scene.signer("orchestrator").sign
    rewrite(scene.project, at(seq, lambda draft: with_event(scene, draft, data)), sign=sign)
    scene.caught(4, CORRUPTED, seq, "event_id")


def test_time_that_runs_backwards(scene: Scene) -> None:
    seq = scene.seq("agent.result", 1)
    forger = scene.forger(seq)
    document = value(scene.at(seq).event, ts="2026-01-01T00:00:00.000Z")
    forger.add(document, attached=attachments(scene.at(seq)), state=forger.state)
    forger.finish()
    scene.caught(5, MISMATCH, seq, "before its predecessor's")


# -- the commit has another shape --------------------------------------------------------------


def two_signatures(data: bytes) -> bytes:
    head, message = data.split(b"\n\n", 1)
    signature = head[head.index(b"\ngpgsig ") :]
    return head + signature + b"\n\n" + message


def another_signature_header(data: bytes) -> bytes:
    return data.replace(b"\ngpgsig ", b"\ngpgsig-sha256 c2lnbmF0dXJl\ngpgsig ", 1)


def strip_signature(data: bytes) -> bytes:
    commit = decode_commit(data)
    return commit.payload


SHAPES: dict[str, tuple[Callable[[Scene, Draft], Draft], str]] = {
    "two signatures": (
        lambda _, draft: replace(draft, finish=two_signatures),
        "not exactly one signature",
    ),
    "no signature": (lambda _, draft: replace(draft, finish=strip_signature), "signature"),
    "an unknown header": (
        lambda _, draft: replace(draft, headers=(b"encoding ISO-8859-1",)),
        "encoding",
    ),
    "another author": (
        lambda _, draft: replace(draft, author=draft.author.replace(b"<", b"<x", 1)),
        "author",
    ),
    "another committer": (
        lambda _, draft: replace(draft, committer=draft.committer.replace(b"esaa", b"else")),
        "committer",
    ),
    "another time": (
        lambda _, draft: replace(draft, author=draft.author.rsplit(b" ", 2)[0] + b" 1 +0000"),
        "author",
    ),
    "an entry more": (
        lambda scene, draft: replace(
            draft, tree=with_entries(scene.project, draft.tree, notes=blob(scene.project, b"x"))
        ),
        "'notes'",
    ),
    "an entry less": (
        lambda scene, draft: replace(
            draft, tree=with_entries(scene.project, draft.tree, contracts=None)
        ),
        "'contracts'",
    ),
    "event.json as a symlink": (
        lambda scene, draft: replace(
            draft,
            tree=with_entries(
                scene.project,
                draft.tree,
                event_json=replace(
                    decode_tree(scene.project.repository.read(draft.tree)[1])["event.json"],
                    mode=MODE_SYMLINK,
                ),
            ),
        ),
        "'event.json'",
    ),
    "event.json executable": (
        lambda scene, draft: replace(
            draft,
            tree=with_entries(
                scene.project,
                draft.tree,
                event_json=replace(
                    decode_tree(scene.project.repository.read(draft.tree)[1])["event.json"],
                    mode=MODE_EXECUTABLE,
                ),
            ),
        ),
        "'event.json'",
    ),
    "event.json as a folder": (
        lambda scene, draft: replace(
            draft,
            tree=with_entries(
                scene.project,
                draft.tree,
                event_json=TreeEntry(MODE_TREE, scene.project.repository.put(TREE, b"")),
            ),
        ),
        "'event.json'",
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_commit_of_another_shape_with_the_right_key(scene: Scene, shape: str) -> None:
    change, word = SHAPES[shape]
    seq = scene.seq("task.update", 2)
    rewrite(
        scene.project,
        at(seq, lambda draft: change(scene, draft)),
        sign=scene.signer("orchestrator").sign,
    )
    scene.caught(2, CORRUPTED, seq, word)


def test_a_second_kind_of_signature_beside_the_first(scene: Scene) -> None:
    seq = scene.seq("task.update", 2)
    rewrite(
        scene.project,
        at(seq, lambda draft: replace(draft, finish=another_signature_header)),
        sign=None,
    )
    report = scene.project.verify(remember=False)
    assert not report.audit.is_ok
    assert report.audit.event_id == event_id(seq)


def test_a_merge_as_an_event(scene: Scene) -> None:
    seq = scene.seq("task.update", 2)
    side = scene.project.head()

    def change(draft: Draft) -> Draft:
        return replace(draft, parents=(scene.at(seq - 1).oid, side))

    rewrite(scene.project, at(seq, change), sign=scene.signer("orchestrator").sign)
    scene.caught(2, CORRUPTED, seq, "parents", side[:12])


def test_an_event_with_no_parent_in_the_middle(scene: Scene) -> None:
    """What came before is out of reach, so the log seems to begin with an event that cannot."""
    seq = scene.seq("task.update", 2)
    rewrite(
        scene.project,
        at(seq, lambda draft: replace(draft, parents=())),
        sign=scene.signer("orchestrator").sign,
    )
    scene.caught(6, MISMATCH, 1, "task.update")


@pytest.mark.parametrize(
    "respell",
    [
        lambda data: data.replace(b'","', b'", "', 1),
        lambda data: data[:-1],
        lambda data: data + b"\n",
        lambda data: data.replace(b"orchestrator", b"\\u006frchestrator", 1),
        lambda data: data.replace(b'{"action"', b'{"action":"x","action"', 1),
        lambda data: b"\xef\xbb\xbf" + data,
    ],
    ids=[
        "a space",
        "no line end",
        "two line ends",
        "an escape",
        "a key twice",
        "a byte order mark",
    ],
)
def test_the_same_meaning_in_other_bytes(scene: Scene, respell: Callable[[bytes], bytes]) -> None:
    seq = scene.seq("task.update", 2)
    data = scene.at(seq).event.data
    assert respell(data) != data
    rewrite(
        scene.project,
        at(seq, lambda draft: with_event(scene, draft, respell(data))),
        sign=scene.signer("orchestrator").sign,
    )
    scene.caught(4, CORRUPTED, seq, "canonical")


# -- the recorded state ------------------------------------------------------------------------


def roadmap_of(scene: Scene, seq: int) -> TreeEntry:
    return scene.at(seq).tree["roadmap"]


def test_a_state_that_stayed_behind(scene: Scene) -> None:
    seq = scene.seq("task.update", 2)
    forger = scene.forger(seq)
    forger.add(scene.at(seq).event, roadmap=roadmap_of(scene, seq - 1).oid)
    forger.finish()
    scene.caught(7, MISMATCH, seq, "state")


def test_a_state_with_a_changed_document(scene: Scene) -> None:
    seq = scene.seq("task.update", 2)
    run = canonical.decode(
        scene.project.repository.read(
            decode_tree(scene.project.repository.read(roadmap_of(scene, seq).oid)[1])[
                "run.json"
            ].oid
        )[1]
    )
    forged = blob(scene.project, canonical.encode({**run, "accepted": 99}))
    tree = with_entries(scene.project, roadmap_of(scene, seq).oid, run_json=forged)
    forger = scene.forger(seq)
    forger.add(scene.at(seq).event, roadmap=tree)
    forger.finish()
    scene.caught(7, MISMATCH, seq, "state")


def test_a_state_with_a_document_more(scene: Scene) -> None:
    seq = scene.seq("task.update", 2)
    tree = with_entries(
        scene.project, roadmap_of(scene, seq).oid, secret_json=blob(scene.project, b"{}\n")
    )
    forger = scene.forger(seq)
    forger.add(scene.at(seq).event, roadmap=tree)
    forger.finish()
    scene.caught(7, MISMATCH, seq, "state")


# -- contracts and keys ------------------------------------------------------------------------


def edited_contracts(scene: Scene, **files: bytes) -> Contracts:
    found = load_tip(scene.project.repository, scene.chain[-1].oid).contracts
    more = found.files["STORAGE_POLICY.yaml"] + b"# more\n"
    return found.with_files({"STORAGE_POLICY.yaml": more, **files})


def run_init(
    scene: Scene, contracts: Contracts, actor: str = "orchestrator", **payload: Any
) -> dict[str, Any]:
    """The run.init of a second run, as an honest orchestrator would word it."""
    seq = len(scene.chain) + 1
    return {
        "schema_version": "0.3.0",
        "event_id": event_id(seq),
        "event_seq": seq,
        "ts": scene.chain[-1].event.ts,
        "actor": actor,
        "action": "run.init",
        "payload": {
            "run_id": "RUN-0002",
            "project": "Example",
            "branch": "main",
            "base": scene.project.head(),
            "contracts": [encode(pin) for pin in contracts.pins],
            "programs": [encode(pin) for pin in contracts.program_pins or ()],
            "tasks": [],
            **payload,
        },
    }


def test_contracts_changed_inside_an_ordinary_event(scene: Scene) -> None:
    seq = scene.seq("task.update", 2)
    contracts = forgery.store_contracts(scene.project, edited_contracts(scene))
    forger = scene.forger(seq)
    forger.add(scene.at(seq).event, contracts=contracts)
    forger.finish()
    scene.caught(6, MISMATCH, seq, "ordinary event", "task.update")


def test_contracts_changed_by_an_admin_hold(scene: Scene) -> None:
    """The legitimate step that the two tests below attack."""
    contracts = edited_contracts(scene)
    forger = scene.forger(len(scene.chain) + 1)
    forger.add(
        run_init(scene, contracts, ROOT),
        contracts=forgery.store_contracts(scene.project, contracts),
        sign=scene.signer("admin").sign,
    )
    forger.finish()
    scene.project.ok("verify", "--full")


@pytest.mark.parametrize("role", ["orchestrator", "approver"])
def test_contracts_changed_without_an_admin(scene: Scene, role: str) -> None:
    contracts = edited_contracts(scene)
    forger = scene.forger(len(scene.chain) + 1, role)
    forger.add(
        run_init(scene, contracts),
        contracts=forgery.store_contracts(scene.project, contracts),
    )
    forger.finish()
    scene.caught(6, MISMATCH, len(scene.chain) + 1, "without the signature of an admin")


def test_contracts_that_make_the_signer_an_admin_first(scene: Scene) -> None:
    """Authority is that of the contracts before the change, not that which it gives itself."""
    signers = allowed_signers_line([ROOT, "admin"], scene.signer("orchestrator").public_key_line)
    other = allowed_signers_line(["orchestrator"], scene.signer("admin").public_key_line)
    contracts = edited_contracts(scene, allowed_signers=f"{signers}\n{other}\n".encode())
    forger = scene.forger(len(scene.chain) + 1)
    forger.add(
        run_init(scene, contracts),
        contracts=forgery.store_contracts(scene.project, contracts),
    )
    forger.finish()
    scene.caught(6, MISMATCH, len(scene.chain) + 1, "without the signature of an admin")


def test_contracts_beside_a_run_init_that_names_others(scene: Scene) -> None:
    contracts = edited_contracts(scene)
    honest = edited_contracts(scene, **{"PROJECTION_SPEC.md": b"# another\n"})
    forger = scene.forger(len(scene.chain) + 1, "admin")
    stored = forgery.store_contracts(scene.project, contracts)
    forger.add(run_init(scene, honest, ROOT), contracts=stored)
    forger.finish()
    scene.caught(7, MISMATCH, len(scene.chain) + 1, "pins other contracts")


@pytest.mark.parametrize(
    ("file", "content", "word"),
    [
        ("RUNTIME_POLICY.yaml", b"schema_version: [", "RUNTIME_POLICY"),
        ("allowed_signers", b"orchestrator,admin ssh-ed25519 nonsense\n", "allowed_signers"),
        ("allowed_signers", b"# nobody\n", "allowed_signers"),
    ],
)
def test_contracts_that_nobody_could_work_under(
    scene: Scene, file: str, content: bytes, word: str
) -> None:
    contracts = edited_contracts(scene, **{file: content})
    forger = scene.forger(len(scene.chain) + 1, "admin")
    forger.add(
        run_init(scene, contracts, ROOT),
        contracts=forgery.store_contracts(scene.project, contracts),
    )
    forger.finish()
    scene.caught(6, MISMATCH, len(scene.chain) + 1, word)


@pytest.mark.parametrize("role", ["approver", "admin"])
def test_an_event_signed_in_the_wrong_role(scene: Scene, role: str) -> None:
    seq = scene.seq("task.update", 2)
    forger = scene.forger(seq, role)
    forger.add(scene.at(seq).event, attached=attachments(scene.at(seq)))
    forger.finish()
    fingerprint = scene.signer(role).fingerprint
    scene.caught(3, MISMATCH, seq, fingerprint, "may not sign task.update")


def test_an_approver_may_grant_and_nothing_else(scene: Scene) -> None:
    """The legitimate step beside the attack above, and the event after it under the same key."""
    seq = scene.seq("approval.grant")
    granted = provenance_of(scene.project.repository, scene.at(seq))
    assert granted.fingerprint == scene.signer("approver").fingerprint
    scene.project.ok("verify", "--full")
    following = scene.at(seq + 1)
    forger = scene.forger(seq + 1, "approver")
    forger.add(following.event, attached=attachments(following))
    forger.finish()
    scene.caught(3, MISMATCH, seq + 1, f"may not sign {following.event.action}")


# -- the protocol ------------------------------------------------------------------------------


def forged(scene: Scene, seq: int, check: int, *words: str, **changes: Any) -> None:
    """One event with other fields by whoever holds the key, at its place in the honest log."""
    found = scene.at(seq)
    forger = scene.forger(seq)
    document = value(found.event, **changes)
    try:
        forger.add(document, attached=attachments(found))
    except ValueError:
        forger.add(document, attached=attachments(found), state=forger.state)
    forger.finish()
    scene.caught(check, MISMATCH, seq, *words)


def test_a_task_that_was_done_and_is_not_any_more(scene: Scene) -> None:
    last = len(scene.chain)
    forger = scene.forger(last)
    document = value(
        scene.at(last).event,
        action="task.update",
        payload={
            "task_id": "T-1010",
            "from": "done",
            "to": "todo",
            "cause": "operator",
            "reason": "once more",
        },
    )
    forger.add(document, state=forger.state)
    forger.finish()
    scene.caught(9, MISMATCH, last, "INV-001")


def test_an_approval_by_the_author_of_the_work(scene: Scene) -> None:
    """An agent approves nothing (3); `tests/attacks/test_people.py` has people who try."""
    forged(scene, scene.seq("approval.grant"), 3, "it is the key of", actor="agent-x")


def test_a_result_by_somebody_who_does_not_hold_the_attempt(scene: Scene) -> None:
    forged(scene, scene.seq("agent.result", 1), 3, "know no agent 'mallory'", actor="mallory")


def test_a_task_closed_with_no_result(scene: Scene) -> None:
    seq = scene.seq("agent.result", -1)
    update = scene.at(scene.seq("task.update", -1)).event
    forger = scene.forger(seq)
    document = value(update, event_seq=seq, event_id=event_id(seq), ts=scene.at(seq).event.ts)
    forger.add(document, state=forger.state)
    forger.finish()
    scene.caught(7, MISMATCH, seq, "no accepted result")


def test_an_event_by_an_actor_without_authority(scene: Scene) -> None:
    forged(scene, scene.seq("task.update", 2), 7, "has no authority", actor="agent-x")


def test_a_lease_longer_than_the_policy_gives(scene: Scene) -> None:
    seq = scene.seq("attempt.create", 1)
    forged(scene, seq, 7, "longer than the policy", payload__deadline="2099-01-01T00:00:00.000Z")


def test_a_hash_that_is_not_that_of_the_projection(scene: Scene) -> None:
    seq = scene.seq("verify.ok")
    forged(scene, seq, 10, "f" * 12, payload__projection_hash_sha256="f" * 64)


def test_success_before_the_work_is_done(scene: Scene) -> None:
    seq = scene.seq("attempt.create", -1)
    end = scene.at(len(scene.chain)).event
    forger = scene.forger(seq)
    verified = value(
        scene.at(scene.seq("verify.ok")).event,
        event_seq=seq,
        event_id=event_id(seq),
        ts=scene.at(seq).event.ts,
        payload__checked_to=seq - 1,
    )
    verified["payload"]["projection_hash_sha256"] = projection_hash(forger.state)
    forger.add(verified)
    forger.add(value(end, event_seq=seq + 1, event_id=event_id(seq + 1), ts=scene.at(seq).event.ts))
    forger.finish()
    scene.caught(7, MISMATCH, seq + 1, "criteria of success")


@pytest.mark.parametrize(
    "path", [".git/hooks/pre-push", "../outside", ".roadmap/plan.yaml", ".github/workflows/x.yml"]
)
def test_an_effect_outside_of_the_boundary(scene: Scene, path: str) -> None:
    seq = scene.seq("orchestrator.file.write", 1)
    found = scene.at(seq)
    file = next(file for file in payload_of(found.event)["files"] if file["change"] == "add")
    forger = scene.forger(seq)
    # A tree cannot hold '..' or '.git'; the after-image stands where the event would have it.
    document = value(found.event, payload__files=[{**file, "path": path}])
    forger.add(document, attached=attachments(found))
    forger.finish()
    scene.caught(8, MISMATCH, seq, path)


def test_an_after_image_of_another_content(scene: Scene) -> None:
    seq = scene.seq("orchestrator.file.write", 1)
    found = scene.at(seq)
    files = payload_of(found.event)["files"]
    changed = next(file for file in files if "after" in file)
    content = scene.project.repository.read(changed["after"])[1]
    other = blob(scene.project, bytes([content[0] ^ 1]) + content[1:])
    changed["after"] = other.oid
    images = {file["path"]: FileEntry(file["mode"], file["after"]) for file in files}
    tree = store_files(scene.project.repository, images)
    forger = scene.forger(seq)
    forger.add(
        value(found.event, payload__files=files),
        attached={"files": TreeEntry(MODE_TREE, tree)},
    )
    forger.finish()
    scene.caught(8, MISMATCH, seq, changed["path"], "SHA-256")


@pytest.mark.parametrize("action", ["orchestrator.file.write", "agent.result"])
def test_attachments_that_the_event_does_not_name(scene: Scene, action: str) -> None:
    seq = scene.seq(action, 1)
    found = scene.at(seq)
    name = "files" if action == "orchestrator.file.write" else "exchange"
    tree = with_entries(scene.project, found.tree[name].oid, extra=blob(scene.project, b"x"))
    forger = scene.forger(seq)
    forger.add(found.event, attached={name: TreeEntry(MODE_TREE, tree)})
    forger.finish()
    scene.caught(8, MISMATCH, seq, "not those" if name == "files" else "not the one")


@pytest.mark.parametrize("action", ["orchestrator.file.write", "agent.result"])
def test_attachments_that_are_missing(scene: Scene, action: str) -> None:
    seq = scene.seq(action, 1)
    forger = scene.forger(seq)
    forger.add(scene.at(seq).event)
    forger.finish()
    scene.caught(8, MISMATCH, seq, "INV-003")


@pytest.mark.parametrize("other", ["response", "salt", "a short salt"])
def test_words_that_are_not_those_of_the_digest(scene: Scene, other: str) -> None:
    """The orchestrator's own key signs them, so that nothing but the digest is wrong."""
    seq = scene.seq("agent.result", 1)
    found = scene.at(seq)
    said = dict(payload_of(found.event)["exchange"])
    name = "response" if other == "response" else "salt"
    put = blob(scene.project, b"x" * (31 if other == "a short salt" else 32))
    said[name] = {**said[name], "blob": put.oid} if name == "response" else put.oid
    tree = with_entries(scene.project, found.tree["exchange"].oid, **{name: put})
    forger = scene.forger(seq)
    forger.add(
        value(found.event, payload__exchange=said),
        attached={"exchange": TreeEntry(MODE_TREE, tree)},
    )
    forger.finish()
    scene.caught(8, MISMATCH, seq, "'exchange/")


@pytest.mark.parametrize("what", ["another refusal", "no refusal"])
def test_a_refusal_that_is_another_one_or_none(scene: Scene, what: str) -> None:
    """What is none has its own digest, so that nothing but its form is wrong."""
    seq = scene.seq("output.rejected", 0)
    found = scene.at(seq)
    said = dict(payload_of(found.event)["exchange"])
    part, words = said["refusal"], b'{"detail":{},"message":"no","preview":""}\n'
    if what == "no refusal":
        words = b"{}\n"
        salt = scene.project.repository.read(said["salt"])[1]
        part = {"sha256": salted(salt, words), "bytes": len(words)}
    put = blob(scene.project, words)
    said["refusal"] = {**part, "blob": put.oid}
    tree = with_entries(scene.project, found.tree["exchange"].oid, **{"refusal.json": put})
    forger = scene.forger(seq)
    forger.add(
        value(found.event, payload__exchange=said),
        attached={"exchange": TreeEntry(MODE_TREE, tree)},
    )
    forger.finish()
    scene.caught(8, MISMATCH, seq, "'exchange/refusal.json'")


# -- bytes on the disk -------------------------------------------------------------------------


def newest(scene: Scene, before: int, after: int) -> tuple[list[str], list[str]]:
    """Return ids of (documents, trees) in the state that the second event brought."""
    from esaa_git.verification.changes import TreeChanges

    reader = scene.project.repository.read
    old, new = roadmap_of(scene, before).oid, roadmap_of(scene, after).oid
    changes = TreeChanges(reader).between(old, new)
    return [entry[1] for _, entry in changes if entry is not None], [new]


def victims(scene: Scene) -> dict[str, tuple[str, int, int]]:
    """Return object id, check and event that names it, by the kind of the object."""
    seq = scene.seq("task.update", 3)
    written = scene.seq("orchestrator.file.write", 1)
    closing = next(
        one.event.seq
        for one in scene.chain[written:]
        if getattr(one.event.payload, "effect_commit", None) is not None
    )
    effect = scene.at(closing).event.payload.effect_commit
    repository = scene.project.repository
    documents, trees = newest(scene, seq - 1, seq)
    contracts = scene.chain[0].tree["contracts"].oid
    policy = decode_tree(repository.read(contracts)[1])["RUNTIME_POLICY.yaml"].oid
    image = next(f["after"] for f in payload_of(scene.at(written).event)["files"] if "after" in f)
    rejected = next(
        one.event.seq
        for one in scene.chain
        if one.event.action == "output.rejected" and "exchange" in one.tree
    )
    said = decode_tree(repository.read(scene.at(rejected).tree["exchange"].oid)[1])
    return {
        "event": (scene.at(seq).tree["event.json"].oid, 2, seq),
        "state document": (documents[0], 2, seq),
        "state tree": (trees[0], 2, seq),
        "contract": (policy, 2, 1),
        "contracts tree": (contracts, 2, 1),
        "after-image": (image, 2, written),
        "after-images tree": (scene.at(written).tree["files"].oid, 2, written),
        "exchange": (said["response"].oid, 2, rejected),
        "exchange tree": (scene.at(rejected).tree["exchange"].oid, 2, rejected),
        "event tree": (scene.at(seq).commit.tree, 2, seq),
        "event commit": (scene.at(seq).oid, 2, seq),
        "effect commit": (effect, 11, closing),
        "effect tree": (GitTrees(repository).root(effect), 11, closing),
    }


KINDS_OF_OBJECTS = [
    "event",
    "state document",
    "state tree",
    "contract",
    "contracts tree",
    "after-image",
    "after-images tree",
    "exchange",
    "exchange tree",
    "event tree",
    "event commit",
    "effect commit",
    "effect tree",
]


@pytest.mark.parametrize(
    "damage", [forgery.flip_byte, forgery.flip_stored_byte], ids=["content", "file"]
)
@pytest.mark.parametrize("kind", KINDS_OF_OBJECTS)
def test_one_flipped_byte(scene: Scene, kind: str, damage: Callable[[Project, str], None]) -> None:
    oid, check, seq = victims(scene)[kind]
    damage(scene.project, oid)
    scene.caught(check, CORRUPTED, seq)


@pytest.mark.parametrize("kind", KINDS_OF_OBJECTS)
def test_one_object_that_is_gone(scene: Scene, kind: str) -> None:
    oid, check, seq = victims(scene)[kind]
    # An effect that is gone may be missed first by the one that was made on it.
    closing = [
        one.event.seq
        for one in scene.chain[seq - 1 :]
        if getattr(one.event.payload, "effect_commit", None) is not None
    ]
    by = [event_id(one) for one in (closing[:2] if kind == "effect commit" else [seq])]
    forgery.remove_object(scene.project, oid)
    scene.project.forget()
    said = scene.project.esaa("verify", "--full", "--json")
    assert said.code in (MISMATCH, CORRUPTED)
    assert said.json["event_id"] in by
    assert said.json["check"] in (check, 7)
    assert oid in said.json["message"]


@pytest.mark.parametrize("part", ["commit", "tree", "event.json", "roadmap", "contracts"])
def test_a_flipped_byte_at_the_very_end_of_the_log(scene: Scene, part: str) -> None:
    """Nothing can be read of the state then; it is said what cannot, and of which commit."""
    last = scene.chain[-1]
    oid = {"commit": last.oid, "tree": last.commit.tree}.get(part) or last.tree[part].oid
    forgery.flip_byte(scene.project, oid)
    scene.project.forget()
    said = scene.project.esaa("verify", "--full", "--json")
    assert (said.code, said.json["verify_status"]) == (CORRUPTED, "corrupted")
    named = {"commit": None, "contracts": event_id(1)}.get(part, event_id(last.event.seq))
    assert said.json["event_id"] == named
    if part == "commit":
        assert said.json["commit"] == last.oid


@pytest.mark.parametrize("of", ["an old commit", "the tip", "a tree", "a file"])
def test_a_damaged_branch_is_named_or_no_matter(scene: Scene, of: str) -> None:
    """What the branch holds besides effects is not ours to answer for, as long as we can read."""
    project = scene.project
    project.write("people.txt", "by hand\n")
    theirs = project.commit("By hand")
    project.write("people.txt", "by hand again\n")
    tip = project.commit("By hand")
    oid = {
        "an old commit": theirs,
        "the tip": tip,
        "a tree": project.git("rev-parse", f"{tip}^{{tree}}"),
        "a file": project.git("rev-parse", f"{tip}:people.txt"),
    }[of]
    forgery.flip_byte(project, oid)
    project.forget()
    said = project.esaa("verify", "--full", "--json")
    if of in ("a tree", "a file"):
        assert said.code == 0
        is_open = f"holds what its effects did is open: object {oid} is damaged"
        assert any(is_open in one for one in said.json["notes"]) == (of == "a tree")
        return
    assert (said.code, said.json["check"]) == (CORRUPTED, 11)
    assert said.json["commit"] == oid


def test_the_way_back_is_the_last_sound_event(scene: Scene) -> None:
    """The hint of a failed verification works, even where events were put in."""
    seq = scene.seq("agent.result", 1)
    rewrite(
        scene.project,
        at(seq, lambda draft: (draft, draft)),
        sign=scene.signer("orchestrator").sign,
    )
    scene.project.forget()
    said = scene.project.esaa("verify", "--full")
    assert said.code == MISMATCH
    hint = next(line for line in said.out.splitlines() if line.startswith("hint: "))
    scene.project.git(*hint.rpartition("git ")[2].split())
    found = scene.project.chain()
    assert [one.oid for one in found] == [one.oid for one in scene.chain[:seq]]
    report = scene.project.verify(remember=False)
    # The log is sound so far; that the branch is ahead of it is what is found next.
    assert report.audit.check == 11


# -- the branch --------------------------------------------------------------------------------


def last_effect(scene: Scene) -> tuple[int, str]:
    """Return the sequence number of the last task.update with an effect, and the effect."""
    return [
        (one.event.seq, str(one.event.payload.effect_commit))
        for one in scene.chain
        if getattr(one.event.payload, "effect_commit", None) is not None
    ][-1]


def forge_effect(scene: Scene, change: Callable[[Draft], Draft]) -> int:
    """Replace the last effect and have the log, written anew by the key's holder, name it."""
    seq, effect = last_effect(scene)
    repository = scene.project.repository
    commit = decode_commit(repository.read(effect)[1])
    honest = Draft(
        commit.tree,
        commit.author,
        commit.committer,
        commit.message,
        commit.parents,
        signed=scene.signer("orchestrator").sign,
    )
    forged_effect = change(honest).write(repository, None)
    forger = scene.forger(seq)
    for found in scene.chain[seq - 1 :]:
        event: Any = found.event
        if event.seq == seq:
            event = value(event, payload__effect_commit=forged_effect)
        elif event.action == "verify.ok":
            hashed = projection_hash(forger.state)
            event = value(event, payload__projection_hash_sha256=hashed)
        forger.add(event, attached=attachments(found))
    forger.finish()
    forgery.point(scene.project, forged_effect, "refs/heads/main")
    return seq


def other_tree(scene: Scene, tree: str, path: str = "src/newer.py") -> str:
    entry = FileEntry("100644", scene.project.repository.put(3, b"backdoor = 1\n"))
    return GitTrees(scene.project.repository).with_changes(tree, {path: entry})


def test_the_last_effect_made_again_as_it_is(scene: Scene) -> None:
    """The tool of the attacks below changes nothing by itself."""
    seq = forge_effect(scene, lambda draft: draft)
    assert scene.project.tip() == scene.chain[-1].oid, seq
    scene.project.ok("verify", "--full")


EFFECTS: dict[str, tuple[Callable[[Scene, Draft], Draft], str]] = {
    "another file changed": (
        lambda scene, draft: replace(draft, tree=other_tree(scene, draft.tree)),
        "it changes other files",
    ),
    "another content": (
        lambda scene, draft: replace(draft, tree=other_tree(scene, draft.tree, "tests/test_a.py")),
        "another content",
    ),
    "another mode": (
        lambda scene, draft: replace(
            draft,
            tree=GitTrees(scene.project.repository).with_changes(
                draft.tree,
                {
                    "tests/test_a.py": FileEntry(
                        "100755",
                        scene.project.git("rev-parse", f"{draft.tree}:tests/test_a.py"),
                    )
                },
            ),
        ),
        "it changes other files",
    ),
    "another author": (
        lambda _, draft: replace(draft, author=draft.author.replace(b"agent-x", b"agent-y")),
        "author",
    ),
    "a sign-off": (
        lambda _, draft: replace(
            draft, message=draft.message + b"Signed-off-by: agent-x <agent-x@esaa.invalid>\n"
        ),
        "message",
    ),
    "another attribution": (
        lambda _, draft: replace(
            draft, message=draft.message.replace(b":scripted-1", b":a-better-one")
        ),
        "message",
    ),
    "no attribution": (
        lambda _, draft: replace(
            draft, message=draft.message.replace(b"Assisted-by: agent-x:scripted-1\n", b"")
        ),
        "message",
    ),
    "another task": (
        lambda _, draft: replace(
            draft, message=draft.message.replace(b"ESAA-Task: T-1030", b"ESAA-Task: T-1010")
        ),
        "message",
    ),
    "no event": (
        lambda _, draft: replace(draft, message=draft.message.replace(b"ESAA-Event", b"Event")),
        "names no event",
    ),
    "no signature": (lambda _, draft: replace(draft, signed=None), "not a signed commit"),
    "two signatures": (
        lambda _, draft: replace(draft, finish=two_signatures),
        "not a signed commit",
    ),
    "the wrong role": (
        lambda scene, draft: replace(draft, signed=scene.signer("approver").sign),
        "not signed by an orchestrator",
    ),
    "two parents": (
        lambda _, draft: replace(draft, parents=(*(draft.parents or ()), *(draft.parents or ()))),
        "exactly one parent",
    ),
    "a header more": (
        lambda _, draft: replace(draft, headers=(b"encoding ISO-8859-1",)),
        "exactly one parent",
    ),
}


@pytest.mark.parametrize("what", EFFECTS)
def test_an_effect_with(scene: Scene, what: str) -> None:
    change, word = EFFECTS[what]
    seq = forge_effect(scene, lambda draft: change(scene, draft))
    scene.caught(11, MISMATCH, seq, "T-1030", word)


def test_an_effect_by_a_key_that_nobody_knows(scene: Scene, tmp_path: Path) -> None:
    thief = forgery.new_key(tmp_path, "thief")
    seq = forge_effect(scene, lambda draft: replace(draft, signed=thief.sign))
    scene.caught(11, MISMATCH, seq, "unknown-key")


def test_an_effect_that_names_an_event_outside_of_the_log(scene: Scene) -> None:
    """The log holds a harmless effect; what is on the branch was taken from a forged one.

    Without looking whether the named event is in the log, boundaries would be for show.
    """
    seq, _ = last_effect(scene)
    repository = scene.project.repository
    written = scene.seq("orchestrator.file.write", -1)
    evil = repository.put(3, b"on: push\n")
    file = {
        "path": ".github/workflows/evil.yml",
        "change": "add",
        "mode": "100644",
        "after": evil,
        "sha256": canonical.digest(b"on: push\n"),
        "bytes": 9,
    }
    outside = scene.forger(written)
    elsewhere = outside.add(value(scene.at(written).event, payload__files=[file]))

    def change(draft: Draft) -> Draft:
        assert draft.parents is not None
        trees = GitTrees(repository)
        tree = trees.with_changes(
            trees.root(draft.parents[0]), {file["path"]: FileEntry("100644", evil)}
        )
        message = draft.message.replace(scene.at(written).oid.encode(), elsewhere.encode())
        assert message != draft.message
        return replace(draft, tree=tree, message=message)

    assert forge_effect(scene, change) == seq
    scene.caught(11, MISMATCH, seq, f"it names {elsewhere[:12]}", event_id(written))


@pytest.mark.parametrize(
    "message",
    [
        "Fix\n\nESAA-Event: {tip}\nESAA-Task: T-1010\n",
        "Fix\n\nESAA-Event: {tip}\nESAA-Event: {tip}\n",
        "Fix\n\nesaa-event: {tip}\n",
        "Fix\n\nESAA-Event: {tip}\nis what it carries.\n\nMore.\n",
    ],
    ids=["as ours", "twice", "in lower case", "in any paragraph"],
)
def test_a_hand_made_commit_that_claims_an_event(scene: Scene, message: str) -> None:
    project = scene.project
    project.write("src/backdoor.py", "x = 1\n")
    made = project.commit(message.format(tip=project.tip()))
    report = scene.caught(11, MISMATCH, None, made[:12], "claims an event", pinned=True)
    assert report["commit"] == made
    assert "--relink --record" in report["hint"]


def test_a_person_may_speak_of_events(scene: Scene) -> None:
    """Not every commit that mentions one poses as an effect."""
    project = scene.project
    project.write("notes.txt", "x\n")
    words = f"I mean ESAA-Event: {project.tip()} of last week.\n\nESAA-Event: see the guide.\n"
    project.commit(f"About ESAA-Event\n\n{words}\nESAA-Events: {project.tip()}\n")
    project.git("checkout", "--quiet", "-b", "side")
    project.git("revert", "--no-edit", "HEAD~1")
    project.git("checkout", "--quiet", "main")
    project.git("merge", "--quiet", "--no-edit", "side")
    project.ok("verify", "--full")
    project.ok("verify")


def test_the_branch_rolled_back_alone(scene: Scene) -> None:
    seq, effect = last_effect(scene)
    forgery.point(scene.project, f"{effect}~1", "refs/heads/main")
    scene.caught(11, MISMATCH, seq, "not on the branch", effect[:12])
    said = scene.project.esaa("verify", "--json")
    assert (said.code, said.json["check"]) == (MISMATCH, 11)


def test_the_branch_rolled_back_below_what_was_verified(scene: Scene) -> None:
    """From the last verified point on there is nothing new in the log, and still it is found."""
    project = scene.project
    verified = project.head()
    forgery.point(project, f"{verified}~1", "refs/heads/main")
    said = project.esaa("verify", "--json")
    assert (said.code, said.json["check"]) == (MISMATCH, 11)
    assert verified[:12] in said.json["message"]


def test_the_log_rolled_back_alone(scene: Scene) -> None:
    seq, effect = last_effect(scene)
    forgery.point(scene.project, scene.at(seq - 1).oid)
    report = scene.caught(
        1, MISMATCH, None, f"ends at event {seq - 1}", f"{len(scene.chain)} events", pinned=True
    )
    assert report["commit"] == scene.at(seq - 1).oid
    # Who never saw the rest is told by the branch, which is ahead of the log.
    report = scene.caught(11, MISMATCH, None, "claims an event", effect[:12])
    assert report["commit"] == effect


def test_the_log_rolled_back_and_grown_again(scene: Scene) -> None:
    """As long as before, and another one: the pin knows which."""
    last = len(scene.chain)
    forge_all_from(scene, last, payload__reason="it went well")
    for arguments in (("verify",), ("verify", "--full")):
        said = scene.project.esaa(*arguments, "--json")
        assert (said.code, said.json["check"]) == (MISMATCH, 1)
        assert scene.chain[-1].oid[:12] in said.json["message"]


def test_a_run_on_a_log_that_was_rolled_back_is_halted(scene: Scene) -> None:
    """Nobody has to think of `verify`: a run does not end well on such a log."""
    project = scene.project
    last = scene.seq("agent.result", -1)
    forgery.point(project, scene.at(last).oid)
    forgery.point(project, f"{last_effect(scene)[1]}", "refs/heads/main")
    before = project.refs()
    message = project.fails(MISMATCH, "run")
    assert "verification failed, the run is halted" in message
    assert project.refs()["refs/heads/main"] == before["refs/heads/main"]
    assert project.state().run.state == "halted"


def test_a_missing_log_is_not_an_empty_one(scene: Scene) -> None:
    project = scene.project
    tip = str(project.tip())
    project.git("update-ref", "-d", "refs/esaa/events")
    scene.caught(1, MISMATCH, None, "the log is gone", f"{len(scene.chain)} events", pinned=True)
    before = project.refs()
    for command in (["run"], ["plan", "apply"], ["plan", "diff"], ["status"]):
        message = project.fails(MISMATCH, *command)
        assert "is gone" in message
        assert "git update-ref refs/esaa/events COMMIT" in message
        assert f"at the least {tip}" in message
    said = project.esaa("doctor")
    assert said.code == 1
    assert "is gone" in said.out
    assert project.refs() == before
    project.git("update-ref", "refs/esaa/events", tip)
    project.ok("verify", "--full")


def test_another_log_in_its_place(scene: Scene, git: Git, tmp_path: Path) -> None:
    """A log that is sound in itself, from elsewhere."""
    other = make_project(tmp_path / "other", git, task("T-1000"), key=scene.keys / "orchestrator")
    other.answers(T_1000=result("T-1000"))
    other.ok("run")
    other.ok("verify", "--full")
    scene.project.git("fetch", "--quiet", str(other.path), "+refs/esaa/events:refs/esaa/events")
    report = scene.caught(1, MISMATCH, None, pinned=True)
    assert "log" in report["message"]


def test_another_log_of_the_same_length_in_its_place(scene: Scene) -> None:
    """The same events under the same keys, and another log id: replayed from another repository."""
    forger = scene.forger(1)
    forger.log_id = "e" * 32
    forger.programs = scene.chain[0].tree.get("programs")
    for found in scene.chain:
        forger.add(found.event, attached=attachments(found), contracts=found.tree["contracts"].oid)
    forger.finish()
    # What people were asked names the log that they were asked in.
    asked = scene.seq("approval.request")
    scene.caught(8, MISMATCH, asked, "the subject is of another log", pinned=True)


# -- what deceives git's own commands ----------------------------------------------------------


def test_replaced_objects_do_not_deceive(scene: Scene) -> None:
    project = scene.project
    victim = scene.at(scene.seq("task.update", 2))
    lie = project.git(
        "commit-tree", victim.commit.tree, "-p", str(victim.parent), "-m", "nothing happened"
    )
    project.git("replace", victim.oid, lie)
    assert "nothing happened" in project.git("log", "--format=%s", "refs/esaa/events")
    said = project.esaa("verify", "--full", "--json")
    assert said.code == 0
    assert any("replace" in note for note in said.json["notes"])
    said = project.esaa("verify", "--full", "--strict", "--json")
    assert (said.code, said.json["check"]) == (MISMATCH, 1)


def hide_by_grafts(project: Project, child: str, parent: str) -> None:
    project.write(".git/info/grafts", f"{child} {parent}\n")


def hide_by_replacement(project: Project, child: str, parent: str) -> None:
    project.git("replace", "--graft", child, parent)


@pytest.mark.parametrize("hide", [hide_by_grafts, hide_by_replacement])
def test_a_hand_made_commit_is_found_behind_a_false_history(
    scene: Scene, hide: Callable[[Project, str, str], None]
) -> None:
    project = scene.project
    honest = project.head()
    project.write("src/backdoor.py", "x = 1\n")
    made = project.commit(f"Fix\n\nESAA-Event: {project.tip()}\n")
    project.write("src/other.py", "x = 1\n")
    project.commit("Harmless")
    hide(project, project.head(), honest)
    assert made not in project.git("rev-list", "main").splitlines()
    report = scene.caught(11, MISMATCH, None, made[:12])
    assert report["commit"] == made


@pytest.mark.parametrize("hide", [hide_by_grafts, hide_by_replacement])
def test_a_branch_rolled_back_is_found_behind_a_false_history(
    scene: Scene, hide: Callable[[Project, str, str], None]
) -> None:
    """Git is told that the commit which stands there now has the lost effect for its parent."""
    project = scene.project
    seq, effect = last_effect(scene)
    project.git("reset", "--quiet", "--hard", f"{effect}~1")
    project.write("src/other.py", "x = 1\n")
    made = project.commit("Harmless")
    hide(project, made, effect)
    assert effect in project.git("rev-list", "main").splitlines()
    scene.caught(11, MISMATCH, seq, "not on the branch")
    said = project.esaa("verify", "--json")
    assert (said.code, said.json["check"]) == (MISMATCH, 11)


@pytest.mark.parametrize("hide", [hide_by_grafts, hide_by_replacement])
def test_a_dropped_event_is_found_behind_a_false_history(
    scene: Scene, hide: Callable[[Project, str, str], None]
) -> None:
    """The honest log stands there for git, by a graft over the one with a dropped event."""
    project = scene.project
    seq = scene.seq("output.rejected", 0)
    rewrite(project, at(seq, lambda _: ()), sign=scene.signer("orchestrator").sign)
    hide(project, str(project.tip()), scene.chain[-2].oid)
    listed = project.git("rev-list", "refs/esaa/events").splitlines()
    assert scene.at(seq).oid in listed
    scene.caught(5, MISMATCH, seq)


def test_a_shallow_file_does_not_hide_what_is_there(scene: Scene) -> None:
    project = scene.project
    project.write("src/backdoor.py", "x = 1\n")
    made = project.commit(f"Fix\n\nESAA-Event: {project.tip()}\n")
    project.write("src/other.py", "x = 1\n")
    tip = project.commit("Harmless")
    project.write(".git/shallow", f"{tip}\n")
    assert project.git("rev-list", "main") == tip
    scene.caught(11, MISMATCH, None, made[:12])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--depth=1"], ["effect commits are not here", "shallow clone"]),
        (
            ["--single-branch", "--branch=elsewhere"],
            ["'main' is not here", "'git fetch origin', brings it"],
        ),
    ],
    ids=["shallow", "without the branch"],
)
def test_a_clone_of_a_part_says_what_it_cannot_see(
    scene: Scene, tmp_path: Path, git: Git, options: list[str], words: list[str]
) -> None:
    """Effects that are not here are held against the log alone, and it is said so."""
    project = scene.project
    project.git("branch", "elsewhere", str(project.chain()[0].event.payload.base))
    url = f"file://{project.path}"
    git(tmp_path, "clone", "--quiet", *options, url, str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone", git)
    clone.git("fetch", "--quiet", "origin", "refs/esaa/events:refs/esaa/events")
    said = clone.esaa("verify", "--full", "--json")
    assert said.code == 0, said
    for word in words:
        assert any(word in note for note in said.json["notes"]), said.json["notes"]
    assert clone.esaa("verify", "--full", "--strict").code == MISMATCH


# -- two branches, several runs ----------------------------------------------------------------


def second_run(scene: Scene, branch: str) -> Event:
    """A second run of one task on another branch, finished."""
    project = scene.project
    names = ("T-1000", "T-1010", "T-1020", "T-1030", "T-1040")
    before = "".join(
        f"  - {{task_id: {name}, kind: {project.task(name).kind}, title: Do {name}}}\n"
        for name in names
    )
    more = f"project: Example\ntasks:\n{before}  - {{task_id: T-2000, kind: impl, title: More}}\n"
    project.write(".roadmap/plan.yaml", more)
    project.answers(T_2000=result("T-2000", write("src/more.py", "more = 1\n")))
    project.ok("run", "--branch", branch)
    return project.chain()[-1].event


@pytest.mark.parametrize("start", ["main", "main~3"])
def test_runs_on_two_branches_are_both_held_to_account(scene: Scene, start: str) -> None:
    project = scene.project
    project.git("branch", "next", start)
    assert second_run(scene, "next").payload.result == "success"
    project.ok("verify")
    project.ok("verify", "--full")
    seq, effect = last_effect(scene)
    forgery.point(project, f"{effect}~1", "refs/heads/main")
    if start == "main":
        project.ok("verify", "--full", "--strict")  # 'next' began with it, and has it still
        project.git("branch", "--force", "next", "main")
        project.git("checkout", "--quiet", "--detach", "main")
    scene.caught(11, MISMATCH, seq, effect[:12])


def test_the_branch_of_an_earlier_run_may_be_gone(scene: Scene) -> None:
    project = scene.project
    project.git("branch", "next", "main")
    second_run(scene, "next")
    project.git("checkout", "--quiet", "next")
    project.git("branch", "-D", "main")
    project.ok("verify", "--full", "--strict")
    # As long as another one holds its effects.
    effect = project.head("next")
    project.git("reset", "--quiet", "--hard", "next~1")
    said = project.esaa("verify", "--full", "--json")
    assert (said.code, said.json["check"], said.json["commit"]) == (MISMATCH, 11, effect), said
    assert "nor on any other" in said.json["message"]


# -- commits by hand ---------------------------------------------------------------------------


def test_a_commit_in_an_unknown_encoding_on_the_branch_is_read(scene: Scene) -> None:
    """Old repositories have such commits; none of them keeps us from verifying."""
    project = scene.project
    repository = project.repository
    head = project.head()
    who = "Ren\xe9 <rene@example.com> 1767225600 +0000"
    data = encode_commit(GitTrees(repository).root(head), (head,), "A", "C", "caf\xe9\n")
    lines = data.replace(b"author A", b"author " + who.encode("latin-1"))
    lines = lines.replace(b"committer C", b"committer " + who.encode("latin-1"))
    lines = lines.replace(b"\n\n", b"\nencoding no-such-encoding\n\n", 1).replace(
        "caf\xe9".encode(), b"caf\xe9"
    )
    forgery.point(project, repository.put(COMMIT, lines), "refs/heads/main")
    project.ok("verify", "--full")


def test_the_effect_under_another_committer_is_not_the_effect(scene: Scene) -> None:
    """The same tree, author and message, signed by the right key: another commit all the same."""
    project = scene.project
    _, effect = last_effect(scene)
    commit = decode_commit(project.repository.read(effect)[1])
    payload = commit.payload.replace(b"committer git-esaa", b"committer not-esaa")
    other = project.repository.put(
        COMMIT, sign_commit(payload, scene.signer("orchestrator").sign(payload))
    )
    forgery.point(project, other, "refs/heads/main")
    scene.caught(11, MISMATCH, None, other[:12])
