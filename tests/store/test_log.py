"""The event log on git: bytes, transactions, several writers, and every kind of repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from esaa_git.core.canonical import digest
from esaa_git.errors import ConflictError, RepositoryError
from tests.conftest import Git, GitFailed
from tests.support.project import (
    LOG,
    Clock,
    Project,
    edit,
    fix_log_id,
    fsck,
    make_project,
    result,
    run,
    signed_commits,
    task,
    write,
)

ROOT = Path(__file__).resolve().parents[2]
LOG_ID = "0123456789abcdef0123456789abcdef"
DATES = {
    "GIT_AUTHOR_DATE": "2026-03-01T08:00:00+00:00",
    "GIT_COMMITTER_DATE": "2026-03-01T08:00:00+00:00",
}

Make = Callable[..., Project]


@pytest.fixture
def make(tmp_path: Path, git: Git) -> Make:
    def made(*tasks: Any, name: str = "project", **options: Any) -> Project:
        chosen = tasks or (task("T-1"), task("T-2", depends_on=["T-1"]))
        options.setdefault("seed", {"src/a.py": "a = 1\n"})
        return make_project(tmp_path / name, git, *chosen, **options)

    return made


@pytest.fixture(scope="module")
def fixed_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key that is the same in every run."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = tmp_path_factory.mktemp("key") / "fixed"
    path.write_bytes(
        Ed25519PrivateKey.from_private_bytes(bytes(range(32))).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
    )
    path.chmod(0o600)
    return path


def raw(project: Project, commit: str) -> str:
    return project.git("cat-file", "commit", commit)


def finish(project: Project) -> None:
    """Have both tasks done, by effects."""
    project.answers(
        T_1=result("T-1", write("src/b.py", "b = 1\n")),
        T_2=result("T-2", edit("src/a.py", "a = 1", "a = 2")),
    )
    project.ok("run")


# -- bytes -------------------------------------------------------------------------------------


def test_an_event_commit_has_exactly_this_shape(
    make: Make, fixed_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Clock().install(monkeypatch)
    fix_log_id(monkeypatch, LOG_ID, draw=bytes)  # nothing is left to chance
    project = make(task("T-1"), key=fixed_key)
    bob = project.person("bob@example.com")
    project.ok("plan", "apply", "--as", "alice@example.com")
    bob.ok("claim", "T-1")
    bob.ok("complete", "T-1", "--summary", "Nothing to do: é", "--as", "codex")
    genesis, opened, answered, closed = project.chain()
    for found, author, subject, trailers in (
        (
            genesis,
            "person@example.com <person@example.com>",
            "run.init RUN-0001 Example: 1 new tasks",
            [],
        ),
        (
            opened,
            "bob@example.com <bob@example.com>",
            "attempt.create T-1-A1: bob@example.com",
            ["ESAA-Task: T-1", "ESAA-Attempt: T-1-A1"],
        ),
        (
            answered,
            "bob@example.com <bob@example.com>",
            "agent.result T-1-A1: Nothing to do: é",
            ["ESAA-Task: T-1", "ESAA-Attempt: T-1-A1"],
        ),
        (
            closed,
            "git-esaa orchestrator <orchestrator@esaa.invalid>",
            "task.update T-1: in_progress → done",
            ["ESAA-Task: T-1", "ESAA-Attempt: T-1-A1"],
        ),
    ):
        previous = project.chain()[found.event.seq - 2] if found.event.seq > 1 else None
        head, _, rest = raw(project, found.oid).partition("\ngpgsig ")
        signature, _, message = rest.partition("\n\n")
        expected = [f"tree {project.git('rev-parse', found.oid + '^{tree}')}"]
        if previous is not None:
            expected.append(f"parent {previous.oid}")
        expected.append(f"author {author} 1772355600 +0000")
        expected.append(
            "committer git-esaa orchestrator <orchestrator@esaa.invalid> 1772355600 +0000"
        )
        assert head.split("\n") == expected
        assert signature.startswith("-----BEGIN SSH SIGNATURE-----\n ")
        assert signature.endswith("\n -----END SSH SIGNATURE-----")
        assert message.split("\n") == [
            subject,
            "",
            f"ESAA-Log: {LOG_ID}",
            f"ESAA-Seq: {found.event.seq}",
            f"ESAA-Event-SHA256: {digest(found.event.data)}",
            f"ESAA-Prev-SHA256: {digest(previous.event.data) if previous else '0' * 64}",
            "ESAA-Run: RUN-0001",
            *trailers,
        ]


def test_an_event_tree_has_exactly_these_entries(make: Make) -> None:
    project = make()
    finish(project)
    contracts = {one.tree["contracts"].oid for one in project.chain()}
    assert len(contracts) == 1
    for found in project.chain():
        listed = project.git("ls-tree", found.oid).splitlines()
        names = {line.split("\t")[1]: line.split(" ")[0] for line in listed}
        wanted = dict.fromkeys(("contracts", "programs", "roadmap"), "040000")
        wanted["event.json"] = "100644"
        if found.event.action == "orchestrator.file.write":
            wanted["files"] = "040000"
        if found.event.action in ("orchestrator.dispatch", "agent.result"):
            wanted["exchange"] = "040000"
        assert names == wanted
        data = subprocess.run(
            ["git", "cat-file", "blob", f"{found.oid}:event.json"],
            cwd=project.path,
            capture_output=True,
            check=True,
        ).stdout
        document = json.loads(data)
        spelled = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        assert data == spelled.encode() + b"\n"
    pinned = project.git("ls-tree", "--name-only", f"{project.tip()}:contracts").splitlines()
    assert "plan.yaml" not in pinned
    assert {"AGENT_CONTRACT.yaml", "allowed_signers", "agents_swarm.yaml"} <= set(pinned)
    written = next(one for one in project.chain() if "files" in one.tree)
    assert project.git("cat-file", "blob", f"{written.oid}:files/src/b.py") == "b = 1"


def test_the_same_events_under_the_same_key_are_the_same_commits(
    make: Make, fixed_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fix_log_id(monkeypatch, LOG_ID, draw=bytes)  # nothing is left to chance
    for name, value in DATES.items():
        monkeypatch.setenv(name, value)
    made = []
    for name in ("one", "a longer name for two"):
        Clock(step_ms=7).install(monkeypatch)
        project = make(name=name, key=fixed_key)
        project.answers(T_1_A1="no JSON")
        finish(project)
        made.append(project)
    one, two = made
    assert one.tip() == two.tip()
    assert one.head() == two.head()
    assert len(one.chain()) > 10


def test_another_clock_key_or_log_id_makes_other_commits(
    make: Make, fixed_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it, the test above would hold for a log of constants."""
    for name, value in DATES.items():
        monkeypatch.setenv(name, value)
    tips = set()
    for number, (log_id, start, key) in enumerate(
        (
            (LOG_ID, "2026-03-01T09:00:00+00:00", fixed_key),
            ("f" * 32, "2026-03-01T09:00:00+00:00", fixed_key),
            (LOG_ID, "2026-03-01T09:00:01+00:00", fixed_key),
            (LOG_ID, "2026-03-01T09:00:00+00:00", None),
        )
    ):
        Clock(start).install(monkeypatch)
        project = make(name=f"project{number}", key=key)
        fix_log_id(monkeypatch, log_id)
        project.ok("plan", "apply")
        monkeypatch.undo()
        for name, value in DATES.items():
            monkeypatch.setenv(name, value)
        tips.add(project.tip())
    assert len(tips) == 4


def test_lines_that_only_some_programs_end_stay_whole(make: Make) -> None:
    project = make(task("T-1"))
    summary = "one\u2028two\u2029three\ntail\n\nESAA-Event: 0"
    project.answers(T_1=result("T-1", write("src/b.py", "b\u2028\n"), summary=summary))
    project.ok("run")
    assert project.payloads("agent.result")[0]["summary"] == summary
    assert project.git("cat-file", "blob", "main:src/b.py") == "b\u2028"
    project.check()


# -- transactions ------------------------------------------------------------------------------


@pytest.mark.parametrize("ref", ["refs/esaa/events", "refs/heads/main"])
def test_a_transaction_moves_both_refs_or_neither(make: Make, ref: str) -> None:
    project = make()
    project.ok("plan", "apply")
    project.ok("claim", "T-1")
    project.write("src/a.py", "a = 2\n")
    before = project.refs(), project.files()
    lock = project.path / ".git" / f"{ref}.lock"
    lock.touch()
    message = project.fails(
        ConflictError.exit_code, "complete", "T-1", "--summary", "x", "src/a.py"
    )
    assert f"'{ref}' is locked by another process" in message
    lock.unlink()
    assert (project.refs(), project.files()) == before
    assert "recovered" not in project.esaa("complete", "T-1", "--summary", "x", "src/a.py").err
    assert project.task("T-1").is_done
    project.check()


def test_the_first_event_of_two_logs_is_that_of_one(make: Make) -> None:
    """Two people start at once: one of them is told."""
    project = make()
    project.ok("plan", "apply")
    lock = project.path / ".git" / "refs/esaa/events.lock"
    project.git("update-ref", "-d", LOG)
    lock.touch()
    message = project.fails(ConflictError.exit_code, "plan", "apply")
    assert "is locked by another process" in message
    lock.unlink()
    project.ok("plan", "apply")
    assert len(project.chain()) == 1


MANY = """\
import sys
from esaa_git.cli.main import run_command
folder, name, count = sys.argv[1:]
for number in range(int(count)):
    code = run_command(["-C", folder, "task", "note", "T-1", f"{name} {number}", "--as", name])
    assert code == 0, code
"""

WORK = """\
import pathlib, sys
from esaa_git.cli.main import run_command
folder, name, count = sys.argv[1:]
for number in range(int(count)):
    task, path = f"T-{name}{number}", f"src/{name}{number}.py"
    pathlib.Path(folder, path).write_text(f"{name} = {number}\\n")
    for command in (["claim", task], ["complete", task, path, "--summary", name]):
        code = run_command(["-C", folder, *command, "--as", name])
        assert code == 0, (command, code)
"""


def together(project: Project, source: str, names: list[str], count: int) -> None:
    """Run one process for each name, all at once, and expect all of them to succeed."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", source, str(project.path), name, str(count)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    complaints = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0] * len(names), "\n".join(complaints)


def test_four_processes_that_append_at_once_lose_nothing(make: Make) -> None:
    project = make()
    project.ok("plan", "apply")
    names = ["ann", "ben", "cem", "dan"]
    together(project, MANY, names, 12)
    noted = [note.text for note in project.state().notes_on("T-1")]
    assert sorted(noted) == sorted(f"{name} {n}" for name in names for n in range(12))
    for name in names:
        mine = [text for text in noted if text.startswith(name)]
        assert mine == [f"{name} {n}" for n in range(12)]
    assert [one.event.seq for one in project.chain()] == list(range(1, 50))
    project.check()


def test_four_processes_with_effects_at_once_lose_nothing(make: Make) -> None:
    names = ["ann", "ben", "cem", "dan"]
    tasks = [task(f"T-{name}{number}") for name in names for number in range(3)]
    project = make(*tasks)
    project.ok("plan", "apply")
    together(project, WORK, names, 3)
    for name in names:
        for number in range(3):
            shown = project.git("cat-file", "blob", f"main:src/{name}{number}.py")
            assert shown == f"{name} = {number}"
    assert project.git("rev-list", "--count", "--first-parent", "main") == "13"
    assert project.status() == ""
    project.check()


# -- repositories of every kind ----------------------------------------------------------------


def test_a_linked_worktree_has_the_same_log(make: Make, tmp_path: Path) -> None:
    project = make()
    project.ok("plan", "apply")
    beside = tmp_path / "beside"
    project.git("worktree", "add", "--quiet", "-b", "side", str(beside), "main")
    linked = Project(beside, project._git)
    assert "RUN-0001" in linked.ok("status")
    linked.ok("claim", "T-1")
    linked.write("src/a.py", "a = 2\n")
    linked.ok("complete", "T-1", "--summary", "x", "src/a.py")
    assert project.git("cat-file", "blob", "main:src/a.py") == "a = 2"
    assert project.read("src/a.py") == "a = 2\n"
    assert linked.git("cat-file", "blob", "side:src/a.py") == "a = 1"
    linked.ok("verify", "--full")
    project.check()


def test_a_project_may_begin_in_a_linked_worktree(make: Make, tmp_path: Path) -> None:
    project = make()
    beside = tmp_path / "beside"
    project.git("worktree", "add", "--quiet", "-b", "side", str(beside), "main")
    linked = Project(beside, project._git)
    (beside / ".roadmap/answers").mkdir(exist_ok=True)
    finish(linked)
    assert linked.state().run.branch == "side"
    assert (beside / "src/b.py").exists()
    assert not (project.path / "src/b.py").exists()
    assert linked.status() == ""
    linked.check()


def test_a_bare_repository_keeps_a_log_all_the_same(make: Make, tmp_path: Path, git: Git) -> None:
    source = make()
    git(tmp_path, "clone", "--quiet", "--bare", str(source.path), "bare.git")
    folder = tmp_path / "bare.git"
    for name in ("esaa.signingKey", "esaa.keyFormat", "esaa.approverKey"):
        git(folder, "config", name, source.setting(name))

    def ok(*arguments: str, stdin: bytes = b"") -> str:
        said = run("-C", str(folder), *arguments, stdin=stdin)
        assert said.code == 0, said
        return said.out

    assert "RUN-0001 started on 'main': 2 tasks created" in ok("plan", "apply", "--branch", "main")
    request = json.loads(ok("claim", "T-1", "--json"))
    envelope = result("T-1", edit("src/a.py", "a = 1", "a = 2"), attempt_id=request["attempt_id"])
    assert "effect: " in ok("submit", "-", stdin=json.dumps(envelope).encode())
    assert git(folder, "cat-file", "blob", "main:src/a.py") == "a = 2"
    assert "bare repository" in ok("doctor")
    assert "verify_status: ok" in ok("verify", "--full")
    git(folder, "fsck", "--strict", "--no-dangling")
    said = run("-C", str(folder), "claim", "T-2")
    assert said.code == 0
    said = run("-C", str(folder), "complete", "T-2", "--summary", "x", "src/a.py")
    assert said.code == RepositoryError.exit_code
    assert "a bare repository has no checkout to take files from" in said.err
    said = run("-C", str(folder), "plan", "diff", "--branch", "nowhere")
    assert said.code == RepositoryError.exit_code
    assert "there is no branch 'nowhere'" in said.err


def test_packed_refs_and_objects_are_read_and_written(make: Make) -> None:
    project = make()
    project.ok("plan", "apply")
    project.git("pack-refs", "--all", "--prune")
    project.git("repack", "-adq")
    assert not (project.path / ".git/refs/esaa/events").exists()
    finish(project)
    project.git("pack-refs", "--all", "--prune")
    project.git("repack", "-adq")
    project.git("commit-graph", "write", "--reachable")
    project.check()
    assert LOG in project.git("for-each-ref", "--format=%(refname)")


def test_the_log_may_stand_on_a_branch(make: Make) -> None:
    project = make()
    ref = "refs/heads/esaa/events"
    project.ok("init", "--events-ref", ref)
    finish(project)
    assert project.tip() == project.head(ref)
    assert LOG not in project.refs()
    assert project.git("branch", "--list", "--format=%(refname:short)").split() == [
        "esaa/events",
        "main",
    ]
    project.check()


@pytest.mark.parametrize("name", ["events", "refs/esaa/..", "refs/heads/a b", "HEAD"])
def test_a_ref_that_is_none_is_refused(make: Make, name: str) -> None:
    project = make()
    project.git("config", "esaa.eventsRef", name)
    message = project.fails(4, "plan", "apply")
    assert f"esaa.eventsRef '{name}' is not a full ref name" in message


def test_sha256_repositories_are_refused_in_one_sentence(tmp_path: Path, git: Git) -> None:
    try:
        git(tmp_path, "init", "--quiet", "--object-format=sha256", "repo")
    except GitFailed:
        pytest.skip("this git makes no SHA-256 repositories")
    for command in ("init", "status", "run", "doctor"):
        said = run("-C", str(tmp_path / "repo"), command)
        assert said.code == RepositoryError.exit_code
        first = said.err.splitlines()[0]
        assert first == (
            "error: this repository uses object format 'sha256', which git-esaa cannot serve"
        )


def test_reftable_repositories_are_refused_in_one_sentence(tmp_path: Path, git: Git) -> None:
    git(tmp_path, "init", "--quiet", "repo")
    folder = tmp_path / "repo"
    git(folder, "config", "core.repositoryFormatVersion", "1")
    with (folder / ".git/config").open("a") as stream:
        stream.write("[extensions]\n\trefStorage = reftable\n")
    before = sorted(folder.rglob("*"))
    for command in ("init", "status", "run", "doctor"):
        said = run("-C", str(folder), command)
        assert said.code == RepositoryError.exit_code
        first = said.err.splitlines()[0]
        assert first == (
            "error: this repository uses ref storage 'reftable', which git-esaa cannot serve"
        )
    assert sorted(folder.rglob("*")) == before


# -- plain git is the judge --------------------------------------------------------------------

KEYS = {
    "ed25519": ["-t", "ed25519"],
    "rsa": ["-t", "rsa", "-b", "2048"],
    "ecdsa": ["-t", "ecdsa", "-b", "256"],
}


def confirmed_by_git(project: Project) -> None:
    """Assert that `git verify-commit` accepts every commit of both refs that is ours."""
    finish(project)
    events = project.git("rev-list", LOG).splitlines()
    effects = signed_commits(project, "main")
    assert len(events) == 14
    assert len(effects) == 2
    project.git("verify-commit", *events, *effects)
    assert fsck(project) == ""
    project.ok("verify", "--full")
    unsigned = project.git("rev-list", "--max-parents=0", "main")
    with pytest.raises(GitFailed):
        project.git("verify-commit", unsigned)


@pytest.mark.parametrize("kind", KEYS)
def test_git_confirms_every_commit_with_a_key_file(make: Make, tmp_path: Path, kind: str) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-N", "", *KEYS[kind], "-f", str(key)], check=True)
    confirmed_by_git(make(key=key))


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A running ssh-agent that SSH_AUTH_SOCK names."""
    if shutil.which("ssh-agent") is None:
        pytest.skip("ssh-agent is not installed")
    with tempfile.TemporaryDirectory(prefix="k-", dir="/tmp") as folder:
        address = f"{folder}/agent"
        process = subprocess.Popen(
            ["ssh-agent", "-D", "-a", address],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert process.stdout is not None
            process.stdout.readline()
            monkeypatch.setenv("SSH_AUTH_SOCK", address)
            yield
        finally:
            process.terminate()
            process.communicate()


def test_git_confirms_every_commit_with_a_key_in_ssh_agent(
    make: Make, tmp_path: Path, agent: None
) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-f", str(key)], check=True)
    subprocess.run(["ssh-add", "-q", str(key)], check=True)
    key.unlink()
    confirmed_by_git(make(key=key.with_suffix(".pub")))


@pytest.fixture
def gpg_key(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The fingerprint of a key in a gpg home of its own."""
    if shutil.which("gpg") is None or shutil.which("gpg-agent") is None:
        pytest.skip("gpg is not installed")
    with tempfile.TemporaryDirectory(prefix="g-", dir="/tmp") as home:
        monkeypatch.setenv("GNUPGHOME", home)
        base = ["gpg", "--batch", "--quiet"]
        new = ["--quick-generate-key", "Orchestrator <o@example.com>", "ed25519", "sign", "0"]
        subprocess.run([*base, "--passphrase", "", *new], check=True, capture_output=True)
        listed = subprocess.run(
            [*base, "--with-colons", "--list-secret-keys"], check=True, capture_output=True
        ).stdout.decode()
        try:
            yield next(row.split(":")[9] for row in listed.split("\n") if row.startswith("fpr:"))
        finally:
            subprocess.run(["gpgconf", "--kill", "all"], check=False, env=os.environ)


def test_git_confirms_every_commit_with_an_openpgp_key(
    tmp_path: Path, git: Git, gpg_key: str
) -> None:
    folder = tmp_path / "project"
    git(tmp_path, "init", "--quiet", "project")
    project = Project(folder, git)
    project.write("src/a.py", "a = 1\n")
    project.ok("init", "--orchestrator-key", gpg_key, "--key-format", "openpgp")
    agent_x = {"adapter": "scripted", "folder": ".roadmap/answers", "model": "scripted-1"}
    project.swarm({"agent-x": agent_x}, {"impl": "agent-x"})
    project.plan(task("T-1"), task("T-2", depends_on=["T-1"]))
    project.commit("A project")
    confirmed_by_git(project)
    assert "PGP SIGNATURE" in raw(project, str(project.tip()))
