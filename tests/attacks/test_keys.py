"""Keys that may not sign what they sign: refused on append, and by `git esaa verify`.

Each test stands on a log to which everybody has contributed with a key of their own, shows the
legitimate step beside the attack, attacks twice (through our own writer, and with commits forged
past it), and shows that nothing moved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from esaa_git.core.contracts import Contracts
from esaa_git.core.event import after, event_id
from esaa_git.core.events.base import encode
from esaa_git.engine.transaction import Transaction
from esaa_git.errors import ConfigurationError, EsaaError, KeyUnavailable, RefusedError
from esaa_git.store.log import GitEventLog
from esaa_git.store.refs import GitRefs
from esaa_git.store.tip import load_tip
from esaa_git.trust import sshsig
from esaa_git.trust.allowed_signers import allowed_signers_line
from esaa_git.trust.keys import PrivateKeySigner, create_key, load_signer
from esaa_git.trust.oneform import CURVES
from esaa_git.trust.signer import KeySpec, Signer, SigningKeys, SshSigner
from esaa_git.trust.wire import WireReader, encode_mpint, encode_string
from esaa_git.verification.provenance import provenance_of
from tests.conftest import Git
from tests.support import forgery
from tests.support.copies import copy_folder
from tests.support.forgery import Forger, store_contracts
from tests.support.project import Clock, Project, make_project, result, task, write
from tests.support.records import new_event

CONFIGURATION, KEY, REFUSED, HALTED, MISMATCH = 4, 5, 7, 8, 9
ENDED = {"run_id": "RUN-0001", "result": "halted", "reason": "to begin anew"}
HEALTH = {"status": "ok", "message": "nothing to see"}
SIGNERS = ".roadmap/allowed_signers"
ALICE, ROOT = "alice@example.com", "root@example.com"
PEOPLE = {"approver": ALICE, "admin": ROOT}
BY_RULE = "task", "add", "T-9", "--kind", "spec", "--title", "x"
"""A command whose event the orchestrator's key signs."""


@dataclass
class Scene:
    project: Project
    keys: Path

    def signer(self, name: str) -> Signer:
        return load_signer(KeySpec("ssh", str(self.keys / name)))

    def path(self, name: str) -> str:
        return str(self.keys / name)

    def new_key(self, name: str) -> str:
        """Make a key that nobody trusts yet, and return its public file."""
        create_key(self.keys / name, comment=name)
        return f"{self.keys / name}.pub"

    @property
    def contracts(self) -> Contracts:
        tip = self.project.tip()
        assert tip is not None
        return load_tip(self.project.repository, tip).contracts

    def with_signers(self, change: Callable[[str], str]) -> Contracts:
        files = dict(self.contracts.files)
        files["allowed_signers"] = change(files["allowed_signers"].decode()).encode()
        return self.contracts.with_files(files)

    def by_admin(self) -> None:
        """Have the admin put in force what stands in .roadmap/."""
        self.project.ok("plan", "apply", "--restart", "--sign-with", self.path("admin"))

    def configure(self, name: str) -> None:
        self.project.git("config", "esaa.signingKey", self.path(name))

    # -- the two attacks --------------------------------------------------------------------

    def append(
        self,
        signer: Signer,
        action: str = "orchestrator.health",
        payload: dict[str, Any] | None = None,
        contracts: Contracts | None = None,
        actor: str = "orchestrator",
    ) -> None:
        """Append one event with a key, through the code that every command goes through."""
        repository = self.project.repository
        keys = SigningKeys(lambda: signer, person=lambda: signer)
        log = GitEventLog(repository, GitRefs(repository), keys)
        state, in_force = log.load()
        writer = log.begin()
        transaction = Transaction(writer, state, in_force, Clock(state.ts).now())
        new = new_event(action, actor, payload or HEALTH)
        transaction.record(new, contracts=contracts)
        transaction.commit()

    def refuses_to_append(
        self, error: type[EsaaError], signer: Signer, *words: str, **attack: Any
    ) -> None:
        before = self.project.refs()
        with pytest.raises(error) as caught:
            self.append(signer, **attack)
        said = f"{caught.value.message}: {caught.value.cause}"
        for word in words:
            assert word in said, said
        assert self.project.refs() == before

    def forge(
        self,
        signer: Signer,
        check: int,
        *words: str,
        ts: str | None = None,
        action: str = "orchestrator.health",
        actor: str = "orchestrator",
        payload: dict[str, Any] | None = None,
        contracts: Contracts | None = None,
        commit_time: str | None = None,
    ) -> None:
        """Write one event past our own code, see verify name it, and take it away again."""
        project = self.project
        honest = project.tip()
        assert honest is not None
        forger = Forger(project, signer.sign).copy(project.chain())
        seq = forger.state.seq + 1
        document = {
            "schema_version": "0.3.0",
            "event_id": event_id(seq),
            "event_seq": seq,
            "ts": ts or forger.state.ts,
            "actor": actor,
            "action": action,
            "payload": payload or HEALTH,
        }
        stored = None if contracts is None else store_contracts(project, contracts)
        backwards = ts is not None and ts < forger.state.ts
        state = forger.state if backwards else None
        forger.add(document, contracts=stored, state=state)
        if commit_time is None:
            forger.finish()
        else:
            forgery.point(project, str(forger.parent))
            last = project.chain()[-1]
            draft = forgery.draft_of(last, signer.sign)
            when = f"{commit_time} +0000".encode()
            author, committer = (
                line.rsplit(b" ", 2)[0] + b" " + when for line in (draft.author, draft.committer)
            )
            backdated = replace(draft, author=author, committer=committer)
            forgery.point(project, backdated.write(project.repository, honest))
        self.caught(check, seq, *words)
        forgery.point(project, honest)
        project.ok("verify", "--full")

    def caught(self, check: int, seq: int, *words: str) -> None:
        project = self.project
        before = project.refs()
        for full in (True, False):
            report = project.verify(full=full, remember=False).audit
            assert (report.check, report.event_id) == (check, event_id(seq)), report.message
            assert report.outcome == ("corrupted" if check == 2 else "mismatch")
            for word in words:
                assert word in report.message, report.message
        assert project.esaa("verify", "--full").code == (10 if check == 2 else MISMATCH)
        assert project.refs() == before

    def run_init(self, contracts: Contracts) -> dict[str, Any]:
        state = self.project.state()
        return {
            "run_id": f"RUN-{state.run.number + 1:04d}",
            "project": "Example",
            "branch": "main",
            "base": self.project.head(),
            "contracts": [encode(pin) for pin in contracts.pins],
            "programs": [encode(pin) for pin in contracts.program_pins or ()],
            "tasks": [],
        }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, git: Git) -> tuple[Path, Path]:
    """A project with three keys; a review signed by the approver, and another that waits."""
    folder = tmp_path_factory.mktemp("keys")
    keys = folder / "keys"
    lines = []
    for role in ("orchestrator", "approver", "admin"):
        public = create_key(keys / role, comment=role)
        names = [PEOPLE[role], role] if role in PEOPLE else [role]
        lines.append(f"{allowed_signers_line(names, public)} {role}")
    project = make_project(
        folder / "project",
        git,
        task("T-1", "spec"),
        task("T-2", "spec"),
        key=keys / "orchestrator",
        kinds={"spec": {"review": "required"}},
    )
    project.write(SIGNERS, "# Who may sign.\n" + "".join(f"{line}\n" for line in lines))
    project.amend_yaml(
        "ORCHESTRATOR_CONTRACT.yaml",
        **{"signing__approval.grant": ["approver"], "signing__approval.deny": ["approver"]},
    )
    project.commit("Keys of our own")
    project.answers(
        T_1=result("T-1", write("docs/a.md", "# A\n")),
        T_2=result("T-2", write("docs/b.md", "# B\n")),
    )
    project.git("config", "esaa.approverKey", str(keys / "admin"))
    project.fails(14, "run")
    project.git("config", "esaa.approverKey", str(keys / "approver"))
    project.ok("review", "T-1", "--approve")
    return project.path, keys


@pytest.fixture
def scene(made: tuple[Path, Path], tmp_path: Path, git: Git) -> Scene:
    path, keys = made
    copy_folder(path, tmp_path / "project")
    copy_folder(keys, tmp_path / "keys")
    found = Scene(Project(tmp_path / "project", git), tmp_path / "keys")
    found.project.check()
    return found


def test_each_event_is_signed_by_the_key_whose_role_it_needs(scene: Scene) -> None:
    project = scene.project
    signed = {
        one.event.action: provenance_of(project.repository, one).fingerprint
        for one in project.chain()
    }
    assert signed.pop("approval.grant") == scene.signer("approver").fingerprint
    assert signed.pop("run.init") == scene.signer("admin").fingerprint
    assert set(signed.values()) == {scene.signer("orchestrator").fingerprint}
    scene.append(scene.signer("orchestrator"))
    project.check()


def test_an_unknown_key(scene: Scene) -> None:
    scene.new_key("stranger")
    stranger = scene.signer("stranger")
    scene.refuses_to_append(KeyUnavailable, stranger, "unknown-key", stranger.fingerprint)
    scene.forge(stranger, 3, "unknown-key", stranger.fingerprint)
    scene.configure("stranger")
    said = scene.project.fails(KEY, *BY_RULE)
    assert "not trusted by the contracts in force" in said


# -- a key that was revoked, or has expired ----------------------------------------------------


@pytest.fixture
def revoked(scene: Scene) -> Scene:
    """A second orchestrator's key signed something, and was revoked since."""
    project = scene.project
    project.ok("key", "trust", scene.new_key("second"), "--role", "orchestrator")
    scene.by_admin()
    second = scene.signer("second")
    scene.append(second)
    project.check()
    project.ok("key", "revoke", "second")
    scene.by_admin()
    project.check()
    return scene


def test_a_revoked_key_signs_nothing_more(revoked: Scene) -> None:
    second = revoked.signer("second")
    revoked.refuses_to_append(KeyUnavailable, second, "unknown-key")
    revoked.forge(second, 3, "unknown-key", second.fingerprint)


@pytest.mark.parametrize("what", ["event", "commit", "both"])
def test_a_revoked_key_does_not_sign_by_an_earlier_date(revoked: Scene, what: str) -> None:
    second = revoked.signer("second")
    project = revoked.project
    mine = [
        one.event.ts
        for one in project.chain()
        if provenance_of(project.repository, one).fingerprint == second.fingerprint
    ]
    assert mine
    revoked.forge(
        second,
        3,
        "unknown-key",
        ts=mine[0] if what != "commit" else None,
        commit_time="1767225600" if what != "event" else None,
    )


@pytest.fixture
def expired(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A key that was listed until a day from now signed something; that day is over."""
    project = scene.project
    clock = Clock(project.state().ts).install(monkeypatch)
    end = after(project.state().ts, 24 * 3600 * 1000)
    limit = end[:19].replace("-", "").replace(":", "").replace("T", "") + "Z"
    scene.new_key("leaver")
    leaver = scene.signer("leaver")
    line = f'orchestrator namespaces="git",valid-before="{limit}" {leaver.public_key_line} leaver\n'
    project.write(SIGNERS, project.read(SIGNERS) + line)
    scene.by_admin()
    scene.append(leaver)
    project.check()
    clock.advance(48 * 3600)
    project.ok("issue", "report", "--severity", "low", "--title", "The day is over")
    project.check()
    return scene


def test_an_expired_key(expired: Scene) -> None:
    leaver = expired.signer("leaver")
    expired.refuses_to_append(KeyUnavailable, leaver, "expired", leaver.fingerprint)
    expired.forge(leaver, 3, "expired", leaver.fingerprint)


def test_an_expired_key_that_backdates_the_commit(expired: Scene) -> None:
    """Git judges a key by the time in the commit; we by the event's."""
    expired.forge(expired.signer("leaver"), 3, "expired", commit_time="1767225600")


def test_an_expired_key_that_backdates_the_event(expired: Scene) -> None:
    """The events since hold it: time in the log never runs backwards."""
    leaver = expired.signer("leaver")
    valid = [
        one.event.ts
        for one in expired.project.chain()
        if provenance_of(expired.project.repository, one).fingerprint == leaver.fingerprint
    ]
    expired.forge(leaver, 5, "before its predecessor's", ts=valid[-1])
    seconds = "1767225600"
    expired.forge(leaver, 5, "before its predecessor's", ts=valid[-1], commit_time=seconds)


# -- a key in another role ---------------------------------------------------------------------


def test_an_orchestrator_grants_in_an_approvers_place(scene: Scene) -> None:
    project = scene.project
    project.git("config", "--unset", "esaa.approverKey")
    before = project.refs()
    said = project.fails(KEY, "review", "T-2", "--approve", "--as", ALICE)
    assert "signed with a key of their own, and none is configured here" in said
    project.git("config", "esaa.approverKey", scene.path("orchestrator"))
    said = project.fails(REFUSED, "review", "T-2", "--approve", "--as", ALICE)
    assert "may not sign approval.grant" in said
    assert project.refs() == before
    project.git("config", "esaa.approverKey", scene.path("approver"))
    project.ok("review", "T-2", "--approve")
    project.check()


def test_an_approvers_key_that_is_missing_is_not_replaced_by_another(scene: Scene) -> None:
    project = scene.project
    (scene.keys / "approver").unlink()
    project.git("config", "esaa.approverKey", scene.path("approver"))
    before = project.refs()
    project.fails(KEY, "review", "T-2", "--approve")
    assert project.refs() == before


@pytest.mark.parametrize("role", ["approver", "admin"])
def test_a_persons_key_appends_an_ordinary_event(scene: Scene, role: str) -> None:
    signer = scene.signer(role)
    scene.refuses_to_append(RefusedError, signer, "may not sign orchestrator.health", PEOPLE[role])
    scene.forge(signer, 3, signer.fingerprint, "may not sign orchestrator.health")
    scene.configure(role)
    before = scene.project.refs()
    said = scene.project.fails(REFUSED, *BY_RULE)
    assert "may not sign task.create" in said
    assert scene.project.refs() == before


def test_a_person_ends_a_run_otherwise_than_an_admin_may(scene: Scene) -> None:
    admin, approver = PEOPLE["admin"], PEOPLE["approver"]
    end = {"run_id": "RUN-0001", "result": "halted", "reason": "mine", "by": approver}
    attack: dict[str, Any] = {"action": "run.end", "actor": approver, "payload": end}
    words = "may not sign run.end"
    scene.refuses_to_append(RefusedError, scene.signer("approver"), words, **attack)
    attack["actor"] = admin
    scene.refuses_to_append(RefusedError, scene.signer("admin"), words, **attack)
    attack["payload"] = {**end, "result": "failed", "by": admin}
    scene.refuses_to_append(RefusedError, scene.signer("admin"), words, **attack)
    scene.forge(scene.signer("admin"), 3, words, **attack)


@pytest.mark.parametrize("role", ["approver", "admin"])
def test_a_log_that_ends_with_an_event_of_the_wrong_key_is_not_continued(
    scene: Scene, role: str
) -> None:
    project = scene.project
    forger = Forger(project, scene.signer(role).sign).copy(project.chain())
    seq = forger.state.seq + 1
    forger.add(
        {
            "schema_version": "0.3.0",
            "event_id": event_id(seq),
            "event_seq": seq,
            "ts": forger.state.ts,
            "actor": "orchestrator",
            "action": "orchestrator.health",
            "payload": HEALTH,
        }
    )
    forged = forger.finish()
    said = project.fails(MISMATCH, *BY_RULE)
    assert "an event that its signer may not append" in said
    assert PEOPLE[role] in said
    assert project.tip() == forged


def test_a_log_that_ends_with_contracts_of_the_attackers_own_is_not_continued(
    scene: Scene,
) -> None:
    """By its own contracts, the last event is signed as it should be."""
    project = scene.project
    public = Path(scene.new_key("thief")).read_text()
    grab = allowed_signers_line([ROOT, "admin"], public) + "\n"
    wanted = scene.with_signers(lambda text: text + grab)
    forger = Forger(project, scene.signer("thief").sign).copy(project.chain())
    seq = forger.state.seq + 1
    forger.add(
        {
            "schema_version": "0.3.0",
            "event_id": event_id(seq),
            "event_seq": seq,
            "ts": forger.state.ts,
            "actor": "orchestrator",
            "action": "orchestrator.health",
            "payload": HEALTH,
        },
        contracts=store_contracts(project, wanted),
    )
    forged = forger.finish()
    said = project.fails(MISMATCH, *BY_RULE)
    assert "unknown-key" in said
    assert project.tip() == forged


def test_a_signature_for_another_namespace(scene: Scene) -> None:
    signer = scene.signer("orchestrator")
    assert isinstance(signer, PrivateKeySigner)

    class Elsewhere(PrivateKeySigner):
        def sign(self, payload: bytes, *, namespace: str = "file") -> bytes:
            return super().sign(payload, namespace="file")

    elsewhere = Elsewhere(signer.blob, b"ssh-ed25519", signer._sign_raw)
    scene.refuses_to_append(KeyUnavailable, elsewhere, "wrong-namespace")
    scene.forge(elsewhere, 3, "wrong-namespace")


def test_a_key_that_is_listed_for_another_namespace(scene: Scene) -> None:
    scene.new_key("files")
    signer = scene.signer("files")
    project = scene.project
    line = f'orchestrator namespaces="file" {signer.public_key_line}\n'
    project.write(SIGNERS, project.read(SIGNERS) + line)
    scene.by_admin()
    project.check()
    scene.refuses_to_append(KeyUnavailable, signer, "wrong-namespace")
    scene.forge(signer, 3, "wrong-namespace")


# -- a change of contracts ---------------------------------------------------------------------


def changed(scene: Scene) -> Contracts:
    policy = scene.contracts.files["RUNTIME_POLICY.yaml"]
    return scene.contracts.with_files({"RUNTIME_POLICY.yaml": policy + b"# more\n"})


def test_an_orchestrator_changes_the_contracts(scene: Scene) -> None:
    project = scene.project
    policy = project.read(".roadmap/RUNTIME_POLICY.yaml")
    project.write(".roadmap/RUNTIME_POLICY.yaml", policy + "# more\n")
    before = project.refs()
    said = project.fails(REFUSED, "plan", "apply", "--restart")
    assert "only an admin's key may" in said
    assert "--sign-with KEY" in said
    assert project.refs() == before
    assert project.state().run.is_open
    scene.by_admin()
    project.check()
    project.ok("task", "list")


@pytest.mark.parametrize("role", ["orchestrator", "approver"])
def test_a_forged_change_of_contracts(scene: Scene, role: str) -> None:
    scene.append(
        scene.signer("orchestrator"),
        "run.end",
        ENDED,
    )
    wanted = changed(scene)
    attack = {"action": "run.init", "payload": scene.run_init(wanted), "contracts": wanted}
    signer = scene.signer(role)
    for actor in ("orchestrator", PEOPLE.get(role, ROOT)):
        scene.refuses_to_append(RefusedError, signer, "only an admin's", actor=actor, **attack)
        scene.forge(signer, 6, "without the signature of an admin", actor=actor, **attack)
    # The legitimate step.
    scene.append(scene.signer("admin"), actor=ROOT, **attack)
    scene.project.check()


def test_an_admin_changes_the_contracts_in_an_ordinary_event(scene: Scene) -> None:
    admin = scene.signer("admin")
    wanted = changed(scene)
    for actor in ("orchestrator", ROOT):
        payload = {"issue_id": "ISS-0001", "severity": "low", "title": "x"}
        attack = {"action": "issue.report", "payload": payload, "contracts": wanted}
        scene.refuses_to_append(
            RefusedError, admin, "the contracts cannot change", actor=actor, **attack
        )
        scene.forge(admin, 6, "ordinary event", actor=actor, **attack)


def test_contracts_that_change_together_with_the_keys_that_would_allow_it(scene: Scene) -> None:
    project = scene.project
    public = Path(scene.new_key("thief")).read_text()
    thief = scene.signer("thief")
    grab = allowed_signers_line([ROOT, "admin"], public) + "\n"
    project.write(SIGNERS, project.read(SIGNERS) + grab)
    before = project.refs()
    project.fails(REFUSED, "plan", "apply", "--restart", "--sign-with", scene.path("thief"))
    scene.configure("thief")
    project.fails(REFUSED, "plan", "apply", "--restart")
    scene.configure("orchestrator")
    assert project.refs() == before
    assert project.state().run.is_open
    scene.append(
        scene.signer("orchestrator"),
        "run.end",
        ENDED,
    )
    wanted = scene.with_signers(lambda text: text + grab)
    attack = {"action": "run.init", "payload": scene.run_init(wanted), "contracts": wanted}
    scene.refuses_to_append(KeyUnavailable, thief, "unknown-key", **attack)
    scene.forge(thief, 3, "unknown-key", **attack)
    orchestrator = scene.signer("orchestrator")
    other = allowed_signers_line(["orchestrator"], public) + "\n"
    own = scene.with_signers(
        lambda text: text.replace("orchestrator ", f"{ROOT},admin ", 1) + other
    )
    attack = {"action": "run.init", "payload": scene.run_init(own), "contracts": own}
    scene.refuses_to_append(RefusedError, orchestrator, "only an admin's", **attack)
    scene.forge(orchestrator, 6, "without the signature of an admin", **attack)


def test_a_key_that_is_trusted_on_disk_and_not_in_the_log(scene: Scene) -> None:
    project = scene.project
    project.ok("key", "trust", scene.new_key("early"), "--role", "orchestrator")
    project.commit("A key that nobody has recorded")
    early = scene.signer("early")
    scene.refuses_to_append(KeyUnavailable, early, "unknown-key")
    scene.forge(early, 3, "unknown-key")
    scene.by_admin()
    scene.append(early)
    project.check()


def test_the_last_admin_cannot_be_removed(scene: Scene) -> None:
    project = scene.project
    said = project.fails(REFUSED, "key", "revoke", "admin")
    assert "no key with the role admin" in said
    before = project.refs(), project.read(SIGNERS)
    lines = [line for line in project.read(SIGNERS).splitlines() if not line.endswith(" admin")]
    project.write(SIGNERS, "\n".join(lines) + "\n")
    said = project.fails(
        CONFIGURATION, "plan", "apply", "--restart", "--sign-with", scene.path("admin")
    )
    assert "names nobody with the role admin" in said
    assert project.refs() == before[0]
    project.write(SIGNERS, before[1])
    scene.append(
        scene.signer("orchestrator"),
        "run.end",
        ENDED,
    )
    nobody = scene.with_signers(lambda _: "\n".join(lines) + "\n")
    scene.forge(
        scene.signer("admin"),
        6,
        "names nobody with the role admin",
        action="run.init",
        payload=scene.run_init(nobody),
        contracts=nobody,
    )


# -- rotation, and agents ----------------------------------------------------------------------


def test_the_old_key_after_a_rotation(scene: Scene) -> None:
    project = scene.project
    old = scene.signer("orchestrator")
    project.ok("key", "rotate", "--restart", "--sign-with", scene.path("admin"))
    project.check()
    assert project.signer.fingerprint != old.fingerprint
    project.ok("task", "add", "T-8", "--kind", "spec", "--title", "x")
    project.check()
    scene.refuses_to_append(KeyUnavailable, old, "unknown-key", old.fingerprint)
    scene.forge(old, 3, "unknown-key", old.fingerprint)
    scene.configure("orchestrator")
    project.fails(KEY, *BY_RULE)


@pytest.mark.parametrize("name", ["allowed_signers", "ORCHESTRATOR_CONTRACT.yaml"])
def test_an_agent_proposes_other_contracts(
    scene: Scene, tmp_path: Path, git: Git, name: str
) -> None:
    """Whatever the boundary says, and in a proposal that is honest otherwise."""
    scene.new_key("agent")
    line = allowed_signers_line(["admin"], scene.signer("agent").public_key_line)
    project = make_project(
        tmp_path / "other",
        git,
        task("T-1"),
        policy={"attempts__max_per_task": 1},
        kinds={"impl": {"write": ["**"]}},
    )
    project.answers(
        T_1=result("T-1", write("src/a.py", "a = 1\n"), write(f".roadmap/{name}", f"{line}\n"))
    )
    before = project.head(), project.read(f".roadmap/{name}")
    assert project.esaa("run").code == HALTED
    (rejected,) = project.said("output.rejected")
    assert rejected["code"] == "PATH_PROTECTED"
    assert (project.head(), project.read(f".roadmap/{name}")) == before
    assert "orchestrator.file.write" not in project.actions()
    project.check()


# -- one signature, one form; keys that anybody could sign for ----------------------------------


class LargerS(SshSigner):
    """An agent or a device that holds an ECDSA key, and may make the larger s."""

    def __init__(self) -> None:
        self._key = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
        form = Encoding.X962, PublicFormat.UncompressedPoint
        fields = (b"ecdsa-sha2-nistp256", b"nistp256", self._key.public_key().public_bytes(*form))
        super().__init__(b"".join(map(encode_string, fields)))

    def _sign(self, data: bytes) -> bytes:
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(SHA256())))
        numbers = encode_mpint(r) + encode_mpint(max(s, CURVES["nistp256"].n - s))
        return encode_string(self.key_type.encode()) + encode_string(numbers)

    def twin(self, armored: bytes) -> bytes:
        signature = sshsig.decode(armored)
        outer = WireReader(signature.signature)
        numbers = WireReader((outer.string(), outer.string())[1])
        r, s = numbers.mpint(), numbers.mpint()
        other = encode_mpint(r) + encode_mpint(CURVES["nistp256"].n - s)
        inner = encode_string(self.key_type.encode()) + encode_string(other)
        return sshsig.encode(signature._replace(signature=inner))


def test_a_twin_of_the_tip_made_without_a_key(scene: Scene) -> None:
    project, signer = scene.project, LargerS()
    public = scene.keys / "ecdsa.pub"
    public.write_text(signer.public_key_line + "\n")
    project.ok("key", "trust", str(public), "--role", "orchestrator")
    scene.by_admin()
    scene.append(signer)
    assert project.verify(full=True, remember=False).audit.is_ok
    last = project.chain()[-1]
    draft = forgery.draft_of(last, signer.twin(last.commit.signatures[0]))
    twin = draft.write(project.repository, last.parent)
    assert twin != last.oid
    forgery.point(project, twin)
    scene.caught(3, last.event.seq, "malformed", "larger of the two")


def test_a_key_of_small_order_is_not_pinned(scene: Scene) -> None:
    project = scene.project
    weak = encode_string(b"ssh-ed25519") + encode_string(b"\x01" + bytes(31))
    line = sshsig.encode_public_key(weak)
    public = scene.keys / "weak.pub"
    public.write_text(line + "\n")
    assert "small order" in project.fails(2, "key", "trust", str(public), "--role", "admin")
    project.write(SIGNERS, project.read(SIGNERS) + f"orchestrator {line}\n")
    before = project.refs()
    said = project.fails(4, "plan", "apply", "--restart", "--sign-with", scene.path("admin"))
    assert "small order" in said
    assert project.refs() == before
    scene.append(
        scene.signer("orchestrator"),
        "run.end",
        ENDED,
    )
    wanted = scene.with_signers(lambda text: text + f"orchestrator {line}\n")
    attack = {"action": "run.init", "payload": scene.run_init(wanted), "contracts": wanted}
    scene.refuses_to_append(ConfigurationError, scene.signer("admin"), "small order", **attack)
    scene.forge(scene.signer("admin"), 6, "allowed_signers", **attack)
