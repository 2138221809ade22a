"""`git esaa key`: every command once for real, and the mistakes that people make with it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from esaa_git.trust.keys import create_key, load_signer
from esaa_git.trust.signer import KeySpec
from esaa_git.verification.provenance import provenance_of
from tests.conftest import Git
from tests.support.project import Project, make_project, result, run, task, write

USAGE, REPOSITORY, CONFIGURATION, KEY, CONFLICT, REFUSED, HALTED = 2, 3, 4, 5, 6, 7, 8
SIGNERS = ".roadmap/allowed_signers"
GUEST = "alice@example.com"
BY_RULE = "task", "add", "T-9", "--kind", "spec", "--title", "x"
"""A command whose event the orchestrator's key signs."""


@pytest.fixture
def project(tmp_path: Path, git: Git) -> Project:
    return make_project(tmp_path / "project", git, task("T-1"))


@pytest.fixture
def finished(project: Project) -> Project:
    project.answers(T_1=result("T-1", write("src/a.py", "a = 1\n")))
    project.ok("run")
    return project


def listed(project: Project) -> dict[str, dict[str, Any]]:
    """Return what `key list --json` says, by fingerprint."""
    rows: list[dict[str, Any]] = project.esaa("key", "list", "--json").json
    return {row["fingerprint"]: row for row in rows}


def made(path: Path, comment: str) -> str:
    """Make a key, and return its fingerprint."""
    create_key(path, comment=comment)
    return load_signer(KeySpec("ssh", str(path))).fingerprint


def signed_by(project: Project, action: str) -> set[str | None]:
    return {
        provenance_of(project.repository, one).fingerprint
        for one in project.chain()
        if one.event.action == action
    }


# -- list --------------------------------------------------------------------------------------


def test_list_follows_a_key_from_disk_into_the_log_and_out_of_it(
    finished: Project, tmp_path: Path
) -> None:
    project = finished
    own = project.signer.fingerprint
    guest = made(tmp_path / "guest", "a guest")
    guests = f"{tmp_path / 'guest'}.pub", "--role", "approver", "--as", GUEST
    project.ok("key", "trust", *guests)
    rows = listed(project)
    assert rows[own]["state"] == "in force"
    assert rows[own]["roles"] == ["orchestrator"]
    assert rows[own]["configured"] == ["esaa.signingKey"]
    assert rows[own]["signs"] == [{"from": "EV-00000001", "to": None, "roles": ["orchestrator"]}]
    assert rows[guest]["state"] == "pending: comes"
    assert (rows[guest]["roles"], rows[guest]["roles_on_disk"]) == ([], ["approver"])
    assert rows[guest]["comment"] == "a guest"
    project.ok("plan", "apply")
    begun = project.chain()[-1].event.seq
    rows = listed(project)
    assert rows[guest]["state"] == "in force"
    assert rows[guest]["signs"][0]["from"] == f"EV-{begun + 1:08d}"
    project.ok("key", "revoke", "a guest")
    assert listed(project)[guest]["state"] == "pending: goes"
    project.ok("plan", "apply", "--restart")
    ended = project.chain()[-1].event.seq
    row = listed(project)[guest]
    assert row["state"] == "revoked"
    assert row["signs"][0]["to"] == f"EV-{ended:08d}"
    text = project.ok("key", "list")
    assert f"\tesaa.signingKey\t{project.setting('esaa.signingKey')}\n" in text
    assert f"EV-{begun + 1:08d} to EV-{ended:08d}" in text
    project.check()


def test_list_names_a_key_that_is_configured_and_trusted_by_nobody(
    finished: Project, tmp_path: Path
) -> None:
    stray = made(tmp_path / "stray", "stray")
    finished.git("config", "esaa.approverKey", str(tmp_path / "stray"))
    row = listed(finished)[stray]
    assert (row["state"], row["configured"]) == ("not trusted", ["esaa.approverKey"])
    finished.git("config", "esaa.approverKey", str(tmp_path / "nowhere"))
    said = finished.esaa("key", "list")
    assert said.code == 0
    assert "note: the key that esaa.approverKey names cannot be told" in said.err


def test_list_before_the_log_begins_and_before_there_is_anything(
    project: Project, tmp_path: Path, git: Git
) -> None:
    rows = listed(project).values()
    assert [(row["state"], row["signs"]) for row in rows] == [("pending: comes", [])] * 2
    assert [row["roles_on_disk"] for row in rows] == [["orchestrator"], ["admin", "approver"]]
    git(tmp_path, "init", "--quiet", "empty")
    assert run("-C", str(tmp_path / "empty"), "key", "list", "--json").json == []
    git(tmp_path, "init", "--quiet", "--bare", "bare")
    assert run("-C", str(tmp_path / "bare"), "key", "list").code == 0


# -- create ------------------------------------------------------------------------------------


def test_create_makes_a_key_that_nobody_trusts(project: Project, tmp_path: Path) -> None:
    before = project.files()
    said = project.esaa("key", "create", "--role", "approver")
    assert said.code == 0
    assert said.out.startswith("ssh-ed25519 AAAA")
    assert said.out.endswith(" person@example.com approver\n")
    assert "git esaa key trust" in said.err
    assert project.files() == before
    place = tmp_path / "own"
    found = project.esaa("key", "create", "--out", str(place), "--comment", "mine", "--json").json
    assert found["path"] == str(place)
    assert place.stat().st_mode & 0o777 == 0o600
    assert place.with_name("own.pub").read_text().strip() == found["public_key"]


def test_create_works_outside_of_a_repository(tmp_path: Path) -> None:
    said = run("-C", str(tmp_path), "key", "create", "--out", str(tmp_path / "key"))
    assert said.code == 0
    assert (tmp_path / "key").exists()


def test_create_does_not_write_over_a_key(project: Project, tmp_path: Path) -> None:
    made(tmp_path / "key", "first")
    content = (tmp_path / "key").read_bytes()
    message = project.fails(CONFLICT, "key", "create", "--out", str(tmp_path / "key"))
    assert "exists already" in message
    assert (tmp_path / "key").read_bytes() == content
    project.fails(CONFIGURATION, "key", "create", "--comment", "two\nlines")
    project.fails(USAGE, "key", "create", "--role", "boss")


# -- trust and revoke --------------------------------------------------------------------------


def test_trust_writes_one_line_and_says_when_it_counts(project: Project, tmp_path: Path) -> None:
    made(tmp_path / "key", "alice")
    before = project.read(SIGNERS)
    given = f"{tmp_path / 'key'}.pub", "--role", "approver"
    assert "whose key it is" in project.fails(USAGE, "key", "trust", *given)
    out = project.ok("key", "trust", *given, "--as", GUEST)
    public = (tmp_path / "key.pub").read_text()
    namespaces = 'namespaces="git,git-esaa-decision"'
    assert project.read(SIGNERS) == f"{before}{GUEST},approver {namespaces} {public}"
    assert "takes effect when the log begins" in out
    again = project.ok("key", "trust", public.strip(), "--role", "approver")
    assert "has the roles already" in again
    project.ok("plan", "apply")
    assert "it is what is in force" in project.ok("key", "trust", public, "--role", "approver")
    out = project.ok("key", "trust", public, "--role", "admin", "--role", "approver")
    assert "git esaa plan apply --restart" in out
    project.ok("plan", "apply", "--restart")
    project.check()


def test_trust_says_which_admin_has_to_act(finished: Project, tmp_path: Path) -> None:
    project = finished
    admin = made(tmp_path / "admin", "alice, admin")
    out = project.ok("key", "trust", f"{tmp_path / 'admin'}.pub", "--role", "admin", "--as", GUEST)
    assert "--sign-with" not in out
    project.ok("plan", "apply")
    project.ok("key", "revoke", project.persons_signer.fingerprint)
    project.ok("plan", "apply", "--restart")
    made(tmp_path / "bob", "bob")
    theirs = "--role", "approver", "--as", "bob@example.com"
    out = project.ok("key", "trust", f"{tmp_path / 'bob'}.pub", *theirs)
    assert f"with --sign-with KEY, KEY being one of: {admin} (alice, admin)" in out
    assert "an admin" in project.fails(REFUSED, "plan", "apply", "--restart", "--as", GUEST)
    assert project.state().run.is_open
    project.ok("plan", "apply", "--restart", "--sign-with", str(tmp_path / "admin"))
    assert admin in signed_by(project, "run.init")
    project.check()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.pub", "--role", "admin"], USAGE, "no public key 'missing.pub'"),
        (["README.md", "--role", "admin"], USAGE, "holds 0 keys"),
        (["ssh-ed25519 AAAA", "--role", "admin"], USAGE, "no public key that can be trusted"),
        (["README.md"], USAGE, "--role"),
        (["README.md", "--role", "root"], USAGE, "root"),
    ],
)
def test_trust_refuses_nonsense(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(project.path)
    before = project.read(SIGNERS)
    message = project.fails(code, "key", "trust", *arguments)
    assert words in message
    assert "hint: " in message
    assert project.read(SIGNERS) == before


def test_trust_refuses_a_private_key(project: Project) -> None:
    message = project.fails(USAGE, "key", "trust", str(project.key), "--role", "admin")
    assert "is a private key" in message
    assert f"'{project.key}.pub'" in message


def test_keys_are_edited_in_a_checkout(tmp_path: Path, git: Git, project: Project) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(project.path), "bare.git")
    bare = str(tmp_path / "bare.git")
    public = f"{project.key}.pub"
    for command in (["trust", public, "--role", "admin"], ["revoke", public], ["rotate"]):
        said = run("-C", bare, "key", *command)
        assert said.code == REPOSITORY
        assert "bare repository" in said.err
    git(tmp_path, "init", "--quiet", "empty")
    said = run("-C", str(tmp_path / "empty"), "key", "revoke", "x")
    assert said.code == REPOSITORY
    assert "git esaa init" in said.err


def test_revoke_by_every_name_and_not_the_last_of_its_kind(
    project: Project, tmp_path: Path
) -> None:
    before = project.read(SIGNERS)
    fingerprint = made(tmp_path / "key", "alice")
    for name in (fingerprint, "alice", f"{tmp_path / 'key'}.pub", str(tmp_path / "key")):
        project.ok("key", "trust", f"{tmp_path / 'key'}.pub", "--role", "admin", "--as", GUEST)
        assert f"{fingerprint} is taken out" in project.ok("key", "revoke", name)
        assert project.read(SIGNERS) == before
    message = project.fails(REFUSED, "key", "revoke", str(project.key))
    assert "no key with the role orchestrator" in message
    assert "git esaa key rotate" in message
    message = project.fails(REFUSED, "key", "revoke", project.persons_signer.fingerprint)
    assert "no key with the role admin" in message
    message = project.fails(USAGE, "key", "revoke", "nobody")
    assert "git esaa key list" in message
    assert project.read(SIGNERS) == before


def test_revoke_by_address_takes_out_every_key_of_the_person_and_no_other(
    project: Project, tmp_path: Path
) -> None:
    before = project.read(SIGNERS)
    keys = [made(tmp_path / name, comment) for name, comment in (("a", "laptop"), ("b", GUEST))]
    for name in ("a", "b"):
        project.ok("key", "trust", f"{tmp_path / name}.pub", "--role", "approver", "--as", GUEST)
    other = made(tmp_path / "c", f"{GUEST} ci")
    project.ok("key", "trust", f"{tmp_path / 'c'}.pub", "--role", "orchestrator")
    said = project.esaa("key", "revoke", "Alice@Example.com")
    assert said.code == 0
    for key in keys:
        assert f"{key}, a key of Alice@Example.com, is taken out" in said.out
        assert key not in listed(project)
    assert f"note: {other} stays" in said.err
    assert project.read(SIGNERS).startswith(before)
    assert f"{other} is taken out" in project.ok("key", "revoke", other)
    assert project.read(SIGNERS) == before
    names = listed(project)[project.persons_signer.fingerprint]["principals"]
    message = project.fails(REFUSED, "key", "revoke", next(one for one in names if "@" in one))
    assert "no key with the role admin" in message
    assert "no key" in project.fails(USAGE, "key", "revoke", "nobody@example.com")


def test_a_second_spelling_of_a_person_is_refused(project: Project, tmp_path: Path) -> None:
    for name in ("a", "b"):
        made(tmp_path / name, name)
    args = ("--role", "approver", "--as")
    project.ok("key", "trust", f"{tmp_path / 'a'}.pub", *args, GUEST)
    before = project.read(SIGNERS)
    message = project.fails(
        CONFIGURATION, "key", "trust", f"{tmp_path / 'b'}.pub", *args, "Alice@Example.COM"
    )
    assert f"'Alice@Example.COM' is the person '{GUEST}' in another spelling" in message
    assert project.read(SIGNERS) == before


# -- rotate ------------------------------------------------------------------------------------


def test_rotate_replaces_the_key_and_verify_passes_across_it(finished: Project) -> None:
    project = finished
    old = project.signer.fingerprint
    policy = project.read(".roadmap/RUNTIME_POLICY.yaml")
    project.write(".roadmap/RUNTIME_POLICY.yaml", policy + "# not yet\n")
    out = project.ok("key", "rotate", "--as", "alice@example.com")
    new = project.signer.fingerprint
    assert f"{new} signs here from now on; {old} signs nothing more" in out
    last = project.chain()[-1]
    assert (last.event.action, last.event.payload.by) == ("run.init", "alice@example.com")
    assert provenance_of(project.repository, last).fingerprint == project.persons_signer.fingerprint
    rows = listed(project)
    assert (rows[old]["state"], rows[new]["state"]) == ("revoked", "in force")
    assert rows[old]["signs"][0]["to"] == last.event.event_id
    # Nothing else of .roadmap/ came into force with it.
    assert "RUNTIME_POLICY" in project.ok("plan", "diff")
    project.check()
    project.plan(task("T-1"), task("T-2"))
    project.answers(T_2=result("T-2", write("src/b.py", "b = 1\n")))
    project.ok("run")
    project.check()
    assert signed_by(project, "task.update") == {old, new}


def test_rotate_before_the_log_begins(project: Project) -> None:
    old = project.signer.fingerprint
    project.ok("key", "rotate")
    (row,) = (one for one in listed(project).values() if one["roles_on_disk"] == ["orchestrator"])
    assert row["configured"] == ["esaa.signingKey"]
    assert row["fingerprint"] != old
    project.ok("plan", "apply")
    project.check()


def test_rotate_in_an_open_run_asks_for_a_restart(project: Project) -> None:
    project.ok("plan", "apply")
    before = project.refs(), project.read(SIGNERS), project.setting("esaa.signingKey")
    message = project.fails(CONFLICT, "key", "rotate")
    assert "RUN-0001 is open" in message
    assert "--restart" in message
    assert (project.refs(), project.read(SIGNERS), project.setting("esaa.signingKey")) == before
    project.ok("key", "rotate", "--restart")
    assert project.actions() == ["run.init", "run.end", "run.init"]
    project.check()
    project.ok("claim", "T-1")
    project.check()


def test_rotate_by_somebody_who_is_no_admin_waits_for_one(
    finished: Project, tmp_path: Path
) -> None:
    project = finished
    admin = made(tmp_path / "admin", "alice")
    project.ok("key", "trust", f"{tmp_path / 'admin'}.pub", "--role", "admin", "--as", GUEST)
    project.ok("plan", "apply")
    project.git("config", "--unset", "esaa.approverKey")
    old, tip = project.signer.fingerprint, project.tip()
    out = project.ok("key", "rotate", "--restart")
    assert "once an admin has recorded it" in out
    assert f"{admin} (alice)" in out
    assert project.tip() == tip
    assert project.signer.fingerprint == old
    # Until then, and although the file on disk names the new key alone, work goes on.
    project.ok(*BY_RULE)
    message = project.fails(REFUSED, "key", "rotate", "--restart", "--sign-with", str(project.key))
    assert "only an admin's key may" in message
    other = made(tmp_path / "other", "other")
    message = project.fails(USAGE, "key", "rotate", "--restart", "--new", str(tmp_path / "other"))
    assert "has begun already" in message
    project.ok("key", "rotate", "--restart", "--sign-with", str(tmp_path / "admin"))
    assert project.signer.fingerprint not in (old, other)
    project.check()


def test_an_admin_records_a_rotation_with_the_next_plan(finished: Project, tmp_path: Path) -> None:
    """One transaction: the admin signs its first event, the new key what comes after."""
    project = finished
    admin = made(tmp_path / "admin", "alice")
    project.ok("key", "trust", f"{tmp_path / 'admin'}.pub", "--role", "admin", "--as", GUEST)
    project.plan(task("T-1"), task("T-2"))
    project.ok("plan", "apply")
    old = project.signer.fingerprint
    project.git("config", "--unset", "esaa.approverKey")
    project.ok("key", "rotate", "--restart")
    project.plan(task("T-1"), task("T-2", title="Amended"))
    project.ok("plan", "apply", "--restart", "--sign-with", str(tmp_path / "admin"))
    init, amended = project.chain()[-2:]
    assert (init.event.action, amended.event.action) == ("run.init", "task.update")
    assert provenance_of(project.repository, init).fingerprint == admin
    new = provenance_of(project.repository, amended).fingerprint
    assert new not in (old, admin)
    said = project.esaa(*BY_RULE)
    assert said.code == 0, said.err
    assert "note: the new signing key is in force" in said.err
    assert project.signer.fingerprint == new
    project.check()


def test_a_rotation_that_died_before_it_was_recorded_goes_on(finished: Project) -> None:
    project = finished
    old = project.key
    project.ok("key", "rotate")
    # As it was before the run.init: the file names the new key, and the settings both.
    new = project.key
    project.git("config", "esaa.signingKey", str(old))
    project.git("config", "esaa.nextSigningKey", str(new))
    project.git("config", "esaa.nextKeyFormat", "ssh")
    parent = project.chain()[-2].oid
    project.git("update-ref", "refs/esaa/events", parent)
    project.forget()
    project.ok("override", "T-1", "--reason", "by the old key")
    assert project.key == old
    project.ok("key", "rotate")
    assert project.key == new
    project.check()


def test_a_rotation_that_died_after_it_was_recorded_is_finished(finished: Project) -> None:
    project = finished
    old = project.key
    project.ok("key", "rotate")
    new = project.key
    project.git("config", "esaa.signingKey", str(old))
    project.git("config", "esaa.nextSigningKey", str(new))
    said = project.esaa(*BY_RULE)
    assert said.code == 0, said.err
    assert project.key == new
    assert "nextSigningKey" not in project.git("config", "--list")
    project.check()


def test_rotate_refuses_the_key_itself_and_one_that_is_no_key(
    finished: Project, tmp_path: Path
) -> None:
    project = finished
    before = project.refs(), project.read(SIGNERS), project.git("config", "--list")
    for given, code, words in (
        (str(project.key), USAGE, "configured here already"),
        (str(tmp_path / "missing"), KEY, "no signing key"),
        (str(project.path / "README.md"), KEY, "not a private key"),
    ):
        assert words in project.fails(code, "key", "rotate", "--new", given)
        now = project.refs(), project.read(SIGNERS), project.git("config", "--list")
        assert now == before


def test_rotate_to_an_openpgp_key_and_back(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("gpg") is None:
        pytest.skip("no gpg here")
    home = Path.home() / "g"
    home.mkdir(mode=0o700, exist_ok=True)
    monkeypatch.setenv("GNUPGHOME", str(home))
    command = ["gpg", "--batch", "--passphrase", "", "--quick-gen-key", "t <t@example.com>"]
    subprocess.run([*command, "ed25519"], check=True, capture_output=True)
    listing = subprocess.run(
        ["gpg", "--list-keys", "--with-colons"], check=True, capture_output=True, text=True
    ).stdout
    rows = [line.split(":") for line in listing.split("\n")]
    fingerprint = next(row[9] for row in rows if row[0] == "fpr")
    try:
        finished.ok("key", "rotate", "--new", fingerprint)
        assert finished.setting("esaa.keyFormat") == "openpgp"
        finished.ok(*BY_RULE)
        assert fingerprint in signed_by(finished, "task.create")
        finished.check()
        finished.ok("key", "rotate", "--restart")
        assert finished.setting("esaa.keyFormat") == "ssh"
        finished.check()
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], check=False, capture_output=True)


# -- keys of persons ---------------------------------------------------------------------------


def test_sign_with_needs_a_run_to_start_and_a_key(project: Project, tmp_path: Path) -> None:
    missing = str(tmp_path / "nobody")
    message = project.fails(KEY, "plan", "apply", "--sign-with", missing)
    assert "no signing key" in message
    assert "'git esaa key create" in message
    assert project.tip() is None
    project.ok("plan", "apply")
    message = project.fails(USAGE, "plan", "apply", "--sign-with", str(project.key))
    assert "nothing for" in message
    assert "--restart" in message
    stranger = tmp_path / "stranger"
    made(stranger, "stranger")
    message = project.fails(REFUSED, "plan", "apply", "--restart", "--sign-with", str(stranger))
    assert "only an admin's key may" in message or "no person's by the contracts" in message
    assert project.state().run.is_open


def test_a_person_reviews_with_a_key_of_their_own(tmp_path: Path, git: Git) -> None:
    project = make_project(
        tmp_path / "project",
        git,
        task("T-1", "spec"),
        task("T-2", "spec"),
        kinds={"spec": {"review": "required"}},
    )
    approver = made(tmp_path / "alice", "alice")
    project.ok("key", "trust", f"{tmp_path / 'alice'}.pub", "--role", "approver", "--as", GUEST)
    project.answers(
        T_1=result("T-1", write("docs/a.md", "# A\n")),
        T_2=result("T-2", write("docs/b.md", "# B\n")),
    )
    project.fails(14, "run")
    project.fails(REFUSED, "review", "T-1", "--approve", "--as", GUEST)
    project.git("config", "esaa.approverKey", str(tmp_path / "alice"))
    project.ok("review", "T-1", "--approve")
    project.ok("review", "T-2", "--request-changes", "more")
    assert signed_by(project, "approval.grant") == {approver}
    assert signed_by(project, "approval.deny") == {approver}
    assert signed_by(project, "task.update") == {project.signer.fingerprint}
    project.check()


def test_a_key_that_create_made_is_trusted_by_the_command_that_it_names(
    project: Project, tmp_path: Path
) -> None:
    path = tmp_path / "second"
    said = project.esaa("key", "create", "--role", "approver", "--out", str(path))
    command = re.findall("'git esaa ([^']*)'", said.out + said.err)[-1].split()
    assert "as the key of " in project.ok(*command)


def test_a_comment_that_is_no_address_names_nobody(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "second"
    project.ok("key", "create", "--role", "approver", "--out", str(path))
    public = path.with_suffix(".pub").read_text(encoding="utf-8").split()[:2]
    said = project.fails(USAGE, "key", "trust", f"{' '.join(public)} laptop", "--role", "approver")
    assert "whose key it is" in said


def test_who_follows_the_hints_of_a_lost_key_has_one_that_counts(finished: Project) -> None:
    lost = Path(str(finished.setting("esaa.signingKey")))
    lost.rename(lost.with_suffix(".moved"))
    said = finished.fails(KEY, "plan", "apply")
    create = re.search(r"'git esaa (key create --role orchestrator)' makes another", said)
    assert create is not None
    said = finished.esaa(*create[1].split()).err
    steps = re.search(
        r"'git esaa (key trust .* --role orchestrator)'.*'git (config .*)' here", said
    )
    assert steps is not None
    finished.ok(*steps[1].split())
    finished.commit("another key")
    finished.git(*steps[2].split())
    finished.ok("plan", "apply")
    finished.ok("verify")


def test_who_follows_the_hints_of_a_key_that_is_lost_in_an_open_run_begins_another(
    project: Project, tmp_path: Path, git: Git
) -> None:
    """Only the admin's key is left: it ends the run and begins one that a new key goes on with."""
    project.ok("plan", "apply")
    admin = load_signer(KeySpec("ssh", str(project.setting("esaa.approverKey")))).fingerprint
    lost = Path(str(project.setting("esaa.signingKey")))
    lost.unlink()
    said = project.fails(KEY, "run")
    create = re.search(r"'git esaa (key create --role orchestrator)' makes another", said)
    assert create is not None
    said = project.esaa(*create[1].split()).err
    steps = re.search(
        r"'git esaa (key trust .* --role orchestrator)'.*'git (config .*)' here", said
    )
    assert steps is not None
    project.ok(*steps[1].split())
    project.git(*steps[2].split())
    project.answers(T_1=result("T-1", write("src/a.py", "a = 1\n")))
    project.commit("another key")
    said = project.esaa("run")
    restart = re.search(r"'git esaa (plan apply --restart[^']*)'", said.out + said.err)
    assert restart is not None, said
    project.ok(*restart[1].split())
    assert signed_by(project, "run.end") == {admin}
    assert (project.state().run.run_id, project.state().run.is_open) == ("RUN-0002", True)
    project.ok("run")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(project.path), str(clone))
    git(clone, "fetch", "--quiet", "origin", "+refs/esaa/*:refs/esaa/*")
    assert run("-C", str(clone), "verify", "--full").code == 0


def test_a_person_whose_key_is_lost_is_told_how_to_make_another_of_its_roles(
    finished: Project,
) -> None:
    lost = Path(str(finished.setting("esaa.approverKey")))
    public = load_signer(KeySpec("ssh", str(lost))).public_key_line
    lost.with_name(f"{lost.name}.pub").write_text(f"{public}\n")
    lost.rename(lost.with_suffix(".moved"))
    said = finished.fails(KEY, "note", "T-1", "x")
    assert "'git esaa key create --role admin --role approver' makes another" in said
