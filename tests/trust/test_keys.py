"""Signing keys against the real tools: ssh-keygen, ssh-agent, gpg, and `git verify-commit`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from esaa_git.errors import ConfigurationError, ConflictError, KeyUnavailable
from esaa_git.trust import sshagent, sshsig
from esaa_git.trust.allowed_signers import allowed_signers_line
from esaa_git.trust.keys import PrivateKeySigner, create_key, load_signer
from esaa_git.trust.signer import KeySpec, Signer
from esaa_git.trust.signers import SignerSet
from esaa_git.trust.sshagent import AgentSigner
from esaa_git.trust.wire import encode_string

PAYLOAD = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nclaim T-1000\n"
KEY_TYPES = {
    "ed25519": ["-t", "ed25519"],
    "rsa": ["-t", "rsa", "-b", "2048"],
    "ecdsa-256": ["-t", "ecdsa", "-b", "256"],
    "ecdsa-384": ["-t", "ecdsa", "-b", "384"],
    "ecdsa-521": ["-t", "ecdsa", "-b", "521"],
}
PASSPHRASE = "correct horse"


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def run(*command: str | Path, data: bytes = b"", **environ: str) -> bytes:
    return subprocess.run(
        [str(word) for word in command],
        input=data,
        env={**os.environ, **environ},
        capture_output=True,
        check=True,
    ).stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with keys by ssh-keygen: every type, and some in other formats or encrypted."""
    need("ssh-keygen")
    folder = tmp_path_factory.mktemp("keys")
    formats = {
        "rsa.pem": ["-t", "rsa", "-b", "2048", "-m", "PEM"],
        "ecdsa.pem": ["-t", "ecdsa", "-m", "PEM"],
        "ecdsa.pkcs8": ["-t", "ecdsa", "-m", "PKCS8"],
        "rsa-1024": ["-t", "rsa", "-b", "1024"],
    }
    for name, options in {**KEY_TYPES, **formats}.items():
        run("ssh-keygen", "-q", "-N", "", "-C", "test", *options, "-f", folder / name)
    for name, options in {"locked": KEY_TYPES["ed25519"], "locked.pem": formats["rsa.pem"]}.items():
        run("ssh-keygen", "-q", "-N", PASSPHRASE, "-C", "", *options, "-f", folder / name)
    return folder


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder for sockets, whose paths may have about 100 characters."""
    with tempfile.TemporaryDirectory(prefix="k-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def agent(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """A running ssh-agent; call it with a private key to add."""
    need("ssh-agent", "ssh-add")
    address = short_path / "agent"
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(address)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()  # printed when it listens
        monkeypatch.setenv("SSH_AUTH_SOCK", str(address))
        askpass = short_path / "askpass"
        askpass.write_text(f"#!/bin/sh\necho '{PASSPHRASE}'\n")
        askpass.chmod(0o700)

        def add(key: Path) -> None:
            run("ssh-add", "-q", key, SSH_ASKPASS=str(askpass), SSH_ASKPASS_REQUIRE="force")

        yield add
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture(scope="module")
def gpg_key() -> Iterator[str]:
    """The fingerprint of a key in a gpg home that GNUPGHOME names for the whole module."""
    need("gpg", "gpgconf", "gpg-agent")
    with (
        tempfile.TemporaryDirectory(prefix="g-", dir="/tmp") as home,
        pytest.MonkeyPatch.context() as environ,
    ):
        environ.setenv("GNUPGHOME", home)
        try:
            new = ("--quick-generate-key", "Admin <admin@example.com>", "ed25519", "sign", "0")
            run("gpg", "--batch", "--quiet", "--passphrase", "", *new)
            rows = run("gpg", "--batch", "--with-colons", "--list-secret-keys").decode().split("\n")
            yield next(row.split(":")[9] for row in rows if row.startswith("fpr:"))
        finally:
            run("gpgconf", "--kill", "all")


def ssh_keygen_accepts(folder: Path, signer: Signer, armored: bytes, payload: bytes) -> bool:
    (folder / "allowed").write_text(allowed_signers_line(["me"], signer.public_key_line) + "\n")
    (folder / "sig").write_bytes(armored)
    command = ["ssh-keygen", "-Y", "verify", "-f", str(folder / "allowed"), "-I", "me", "-n", "git"]
    command += ["-s", str(folder / "sig")]
    return subprocess.run(command, input=payload, capture_output=True).returncode == 0


def unavailable(key: str | Path) -> KeyUnavailable:
    with pytest.raises(KeyUnavailable) as caught:
        load_signer(KeySpec("ssh", str(key)))
    return caught.value


# ---- plain git is the judge -----------------------------------------------------------------


def commit_object(repo: Path, signer: Signer, message: str = "claim T-1000\n") -> str:
    """Write a commit whose `gpgsig` header carries our signature, as git itself lays it out."""
    tree = run("git", "-C", repo, "rev-parse", "HEAD^{tree}").decode().strip()
    person = "Orchestrator <orchestrator@example.com> 1767225600 +0000"
    head = f"tree {tree}\nauthor {person}\ncommitter {person}\n"
    armored = signer.sign(f"{head}\n{message}".encode()).decode()
    assert armored.endswith("\n")
    header = "gpgsig " + armored[:-1].replace("\n", "\n ") + "\n"
    return write_commit(repo, f"{head}{header}\n{message}".encode())


def write_commit(repo: Path, content: bytes) -> str:
    oid = run("git", "-C", repo, "hash-object", "-t", "commit", "-w", "--stdin", data=content)
    return oid.decode().strip()


def git_accepts(repo: Path, commit: str, signer: Signer, principal: str = "orchestrator") -> bool:
    command = ["git", "-C", str(repo), "-c", f"gpg.ssh.allowedSignersFile={repo}/allowed"]
    if signer.key_type != "openpgp":
        line = allowed_signers_line([principal], signer.public_key_line)
        (repo / "allowed").write_text(line + "\n")
    done = subprocess.run([*command, "verify-commit", "--raw", commit], capture_output=True)
    return done.returncode == 0


def check_plain_git(repo: Path, signer: Signer) -> None:
    commit = commit_object(repo, signer)
    assert git_accepts(repo, commit, signer)
    content = run("git", "-C", repo, "cat-file", "commit", commit)
    altered = write_commit(repo, content.replace(b"T-1000", b"T-1001"))
    assert altered != commit
    assert not git_accepts(repo, altered, signer)


@pytest.mark.parametrize("name", KEY_TYPES)
def test_git_verifies_a_commit_signed_with_a_key_file(made: Path, repo: Path, name: str) -> None:
    signer = load_signer(KeySpec("ssh", str(made / name)))
    assert isinstance(signer, PrivateKeySigner)
    check_plain_git(repo, signer)


@pytest.mark.parametrize("name", ["ed25519", "rsa", "ecdsa-521"])
def test_git_verifies_a_commit_signed_by_ssh_agent(
    made: Path, repo: Path, agent: Callable[[Path], None], name: str
) -> None:
    agent(made / name)
    signer = load_signer(KeySpec("ssh", str(made / f"{name}.pub")))
    assert isinstance(signer, AgentSigner)
    check_plain_git(repo, signer)


def test_git_verifies_a_commit_signed_by_gpg(repo: Path, gpg_key: str) -> None:
    check_plain_git(repo, load_signer(KeySpec("openpgp", gpg_key)))


# ---- private key files ----------------------------------------------------------------------


@pytest.mark.parametrize("name", [*KEY_TYPES, "rsa.pem", "ecdsa.pem", "ecdsa.pkcs8"])
def test_a_key_file_signs_what_ssh_keygen_and_we_accept(
    made: Path, tmp_path: Path, name: str
) -> None:
    signer = load_signer(KeySpec("ssh", str(made / name)))
    armored = signer.sign(PAYLOAD)
    assert sshsig.verify(PAYLOAD, armored) == signer.blob
    assert ssh_keygen_accepts(tmp_path, signer, armored, PAYLOAD)
    assert not ssh_keygen_accepts(tmp_path, signer, armored, PAYLOAD + b"!")
    line = (made / f"{name}.pub").read_text()
    assert f"{signer.public_key_line} test\n" == line
    printed = run("ssh-keygen", "-l", "-f", made / f"{name}.pub").decode().split()
    assert signer.fingerprint == printed[1]
    assert signer.key_type == line.split()[0]


@pytest.mark.parametrize("name", ["ed25519", "rsa", "rsa.pem"])
def test_a_deterministic_signature_is_the_one_that_ssh_keygen_writes(made: Path, name: str) -> None:
    command = ("ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", made / name)
    assert load_signer(KeySpec("ssh", str(made / name))).sign(PAYLOAD) == run(
        *command, data=PAYLOAD
    )


def test_a_signature_passes_the_signers_of_the_contracts(made: Path) -> None:
    signer = load_signer(KeySpec("ssh", str(made / "ed25519")))
    line = allowed_signers_line(["orchestrator"], signer.public_key_line)
    found = SignerSet.parse(line.encode()).verify(PAYLOAD, signer.sign(PAYLOAD))
    assert found.principals == {"orchestrator"}
    assert found.fingerprint == signer.fingerprint


def test_a_path_may_start_in_the_home_folder(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copy(made / "ed25519", tmp_path / "signing")
    assert load_signer(KeySpec("ssh", "~/signing")).sign(PAYLOAD)
    assert "/~" not in unavailable("~/nothing").message


def test_a_missing_key_names_the_command_that_makes_one(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / "none.pub", tmp_path / "none" / "deeper"):
        error = unavailable(path)
        assert str(path) in error.message
        assert error.hint is not None
        assert "git esaa key create" in error.hint


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o611, 0o777])
def test_a_key_that_others_can_reach_is_refused_until_it_is_closed(
    made: Path, tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "key"
    shutil.copy(made / "ed25519", path)
    path.chmod(mode)
    error = unavailable(path)
    assert error.hint == f"run 'chmod 600 {path}'"
    path.chmod(0o600)
    assert load_signer(KeySpec("ssh", str(path))).sign(PAYLOAD)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no key at all\n",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n*\n-----END OPENSSH PRIVATE KEY-----\n",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ],
)
def test_a_file_that_is_no_private_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    assert "not a private key" in unavailable(path).message


def test_a_damaged_key_is_refused_wherever_it_is_damaged(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "key"
    data = (made / "ed25519").read_bytes()
    payload = load_signer(KeySpec("ssh", str(made / "ed25519"))).sign(PAYLOAD)
    path.touch(mode=0o600)
    begin, end = data.index(b"\n") + 1, data.index(b"\n-----END")
    for at in range(begin, end, 7):
        path.write_bytes(data[:at] + (b"A" if data[at : at + 1] != b"A" else b"B") + data[at + 1 :])
        try:
            signer = load_signer(KeySpec("ssh", str(path)))
        except KeyUnavailable:
            continue
        assert signer.sign(PAYLOAD) == payload, "only the comment or the padding may differ"


def test_a_key_whose_check_numbers_differ_is_refused(made: Path, tmp_path: Path) -> None:
    first, *body, last = (made / "ed25519").read_bytes().splitlines()
    content = bytearray(b64decode(b"".join(body)))
    content[content.rindex(encode_string(b"ssh-ed25519")) - 1] ^= 1
    path = tmp_path / "key"
    path.write_bytes(b"\n".join((first, b64encode(content), last, b"")))
    path.chmod(0o600)
    assert unavailable(path).cause == "the private section is damaged"


@pytest.mark.parametrize("name", KEY_TYPES)
def test_signing_twice_gives_the_same_bytes(made: Path, name: str) -> None:
    try:
        ec.ECDSA(SHA256(), deterministic_signing=True)
    except UnsupportedAlgorithm:
        pytest.skip("OpenSSL is older than 3.2, and signs with ECDSA at random")
    signer = load_signer(KeySpec("ssh", str(made / name)))
    assert signer.sign(PAYLOAD) == signer.sign(PAYLOAD)
    assert signer.sign(PAYLOAD) != signer.sign(PAYLOAD + b"!")


def test_a_folder_and_a_pipe_are_no_keys(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert unavailable(tmp_path).message.startswith("cannot read")
    assert "not a private key" in unavailable(tmp_path / "pipe").message


def test_a_weak_key_is_refused_with_its_size(made: Path) -> None:
    error = unavailable(made / "rsa-1024")
    assert error.cause is not None
    assert "1024 bits" in error.cause


# ---- ssh-agent ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KEY_TYPES)
@pytest.mark.parametrize("prefix", ["", "key::"])
def test_a_public_key_itself_is_signed_with_by_the_agent(
    made: Path, tmp_path: Path, agent: Callable[[Path], None], name: str, prefix: str
) -> None:
    agent(made / name)
    signer = load_signer(KeySpec("ssh", prefix + (made / f"{name}.pub").read_text().strip()))
    assert isinstance(signer, AgentSigner)
    armored = signer.sign(PAYLOAD)
    assert sshsig.verify(PAYLOAD, armored) == signer.blob
    assert ssh_keygen_accepts(tmp_path, signer, armored, PAYLOAD)


@pytest.mark.parametrize("name", ["locked", "locked.pem"])
def test_an_encrypted_key_needs_the_agent_and_says_so(
    made: Path, agent: Callable[[Path], None], name: str
) -> None:
    error = unavailable(made / name)
    assert error.hint == f"run 'ssh-add {made / name}', then repeat the command"
    agent(made / name)
    signer = load_signer(KeySpec("ssh", str(made / name)))
    assert isinstance(signer, AgentSigner)
    assert sshsig.verify(PAYLOAD, signer.sign(PAYLOAD)) == signer.blob


def test_an_encrypted_pem_key_needs_its_public_key_beside_it(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "key"
    shutil.copy(made / "locked.pem", path)
    error = unavailable(path)
    assert error.message == f"private key '{path}' is encrypted"
    assert error.hint is not None
    assert f"ssh-add {path}" in error.hint


def test_without_an_agent_the_hint_starts_one(made: Path) -> None:
    error = unavailable(made / "locked")
    assert error.cause == "SSH_AUTH_SOCK is not set"
    assert error.hint is not None
    assert "ssh-agent" in error.hint
    assert f"ssh-add {made / 'locked'}" in error.hint


def test_a_public_key_file_falls_back_to_the_private_key_beside_it(
    made: Path, tmp_path: Path
) -> None:
    signer = load_signer(KeySpec("ssh", str(made / "ed25519.pub")))
    assert isinstance(signer, PrivateKeySigner)
    shutil.copy(made / "ed25519.pub", tmp_path / "id.pub")
    error = unavailable(tmp_path / "id.pub")
    assert error.hint is not None
    assert f"ssh-add {tmp_path / 'id'}'" in error.hint
    shutil.copy(made / "ecdsa-256", tmp_path / "id")
    assert "is not the public key" in unavailable(tmp_path / "id.pub").message


@pytest.mark.parametrize("literal", ["key::", "key::nonsense", "ssh-ed25519 AAAA", "ssh-rsa *"])
def test_a_public_key_that_cannot_be_read_is_refused(literal: str) -> None:
    assert "the public key in the settings" in unavailable(literal).message


def test_an_agent_that_has_gone_away_is_said(
    made: Path, agent: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    agent(made / "ed25519")
    literal = (made / "ed25519.pub").read_text().strip()
    signer = load_signer(KeySpec("ssh", literal))
    assert signer.sign(PAYLOAD)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone"))
    with pytest.raises(KeyUnavailable, match="cannot talk to ssh-agent"):
        signer.sign(PAYLOAD)


@contextmanager
def impostor(address: Path, *answers: bytes | None) -> Iterator[None]:
    """A program at the agent's socket that gives these answers, one a connection, or none."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        held: list[socket.socket] = []

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                held.append(connection)
                if answer is not None:
                    connection.recv(65536)
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            thread.join()
            for connection in held:
                connection.close()


def message(kind: int, content: bytes = b"") -> bytes:
    return encode_string(bytes([kind]) + content)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        pytest.param(b"", "refused", id="nothing"),
        pytest.param(b"\x00\x00", "refused", id="half a length"),
        pytest.param(message(5), "refused", id="failure"),
        pytest.param(message(14)[:-1], "refused", id="cut short"),
        pytest.param(b"\xff\xff\xff\xff\x0e", "refused", id="endless"),
        pytest.param(message(14), "bad signature", id="empty"),
        pytest.param(message(14, encode_string(b"rubbish")), "bad signature", id="rubbish"),
        pytest.param(
            message(14, encode_string(encode_string(b"ssh-ed25519") + encode_string(bytes(64)))),
            "bad signature",
            id="wrong signature",
        ),
    ],
)
def test_no_word_of_an_agent_is_taken(
    made: Path, short_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, match: str
) -> None:
    literal = (made / "ed25519.pub").read_text().strip()
    identity = encode_string(sshsig.decode_public_key(literal)) + encode_string(b"")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(short_path / "agent"))
    listing = message(12, (1).to_bytes(4, "big") + identity)
    with impostor(short_path / "agent", listing, answer):
        signer = load_signer(KeySpec("ssh", literal))
        with pytest.raises(KeyUnavailable, match=match):
            signer.sign(PAYLOAD)


@pytest.mark.parametrize("listing", [message(12), message(12, b"\x00\x00\x00\x02")])
def test_a_list_of_keys_that_breaks_off_is_refused(
    made: Path, short_path: Path, monkeypatch: pytest.MonkeyPatch, listing: bytes
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(short_path / "agent"))
    with impostor(short_path / "agent", listing):
        assert "list of keys" in unavailable((made / "ed25519.pub").read_text().strip()).message


def test_an_agent_that_never_answers_does_not_hold_us(
    made: Path, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(short_path / "agent"))
    monkeypatch.setattr(sshagent, "AGENT_TIMEOUT_SECONDS", 0.1)
    with impostor(short_path / "agent", None):
        assert "does not answer" in unavailable((made / "ed25519.pub").read_text().strip()).message


# ---- OpenPGP --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["{fingerprint}", "{fingerprint}!", "admin@example.com"])
def test_an_openpgp_key_may_be_named_as_gpg_names_it(gpg_key: str, name: str) -> None:
    signer = load_signer(KeySpec("openpgp", name.format(fingerprint=gpg_key)))
    assert signer.fingerprint == signer.public_key_line == gpg_key
    assert (signer.key_type, signer.blob) == ("openpgp", None)
    yaml = f"- principals: [admin]\n  fingerprint: {gpg_key}\n  public_key: |\n"
    for line in run("gpg", "--armor", "--export", gpg_key).decode().splitlines():
        yaml += f"    {line}\n"
    armored = signer.sign(PAYLOAD)
    assert SignerSet.parse(b"", yaml.encode()).verify(PAYLOAD, armored).fingerprint == gpg_key


@pytest.mark.parametrize("name", ["nobody@example.com", "--version", "0" * 40])
def test_an_openpgp_key_that_is_not_there_is_said(gpg_key: str, name: str) -> None:
    with pytest.raises(KeyUnavailable, match="names 0 OpenPGP secret keys") as caught:
        load_signer(KeySpec("openpgp", name))
    assert caught.value.hint is not None
    assert "gpg --list-secret-keys" in caught.value.hint


def test_an_openpgp_key_is_not_guessed(gpg_key: str) -> None:
    with pytest.raises(KeyUnavailable, match="no OpenPGP key is named"):
        load_signer(KeySpec("openpgp", ""))


def test_the_gpg_program_of_the_settings_is_the_one_that_runs(gpg_key: str, tmp_path: Path) -> None:
    program = tmp_path / "my-gpg"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nexec gpg "$@"\n')
    program.chmod(0o700)
    assert load_signer(KeySpec("openpgp", gpg_key, str(program))).sign(PAYLOAD)
    assert f"--status-fd=2 -bsau {gpg_key}" in (tmp_path / "calls").read_text()
    with pytest.raises(KeyUnavailable, match="cannot run"):
        load_signer(KeySpec("openpgp", gpg_key, str(tmp_path / "none")))


def test_a_gpg_that_does_not_sign_gives_no_signature(gpg_key: str, tmp_path: Path) -> None:
    program = tmp_path / "my-gpg"
    program.write_text('#!/bin/sh\ncase "$*" in *bsau*) echo rubbish;; *) exec gpg "$@";; esac\n')
    program.chmod(0o700)
    signer = load_signer(KeySpec("openpgp", gpg_key, str(program)))
    with pytest.raises(KeyUnavailable, match="did not sign"):
        signer.sign(PAYLOAD)


# ---- new keys -------------------------------------------------------------------------------


@pytest.mark.parametrize("comment", ["git-esaa orchestrator", "", "Zoë's laptop"])
def test_a_new_key_is_one_that_ssh_keygen_reads(tmp_path: Path, comment: str) -> None:
    need("ssh-keygen")
    path = tmp_path / "esaa" / "key"
    umask = os.umask(0)
    try:
        line = create_key(path, comment=comment)
    finally:
        os.umask(umask)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "esaa" / "key.pub").read_text() == f"{line}\n"
    assert sorted(file.name for file in path.parent.iterdir()) == ["key", "key.pub"]
    assert run("ssh-keygen", "-y", "-f", path).decode().strip() == line.strip()
    signer = load_signer(KeySpec("ssh", str(path)))
    assert line == f"{signer.public_key_line} {comment}".strip()
    command = ("ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", path)
    assert signer.sign(PAYLOAD) == run(*command, data=PAYLOAD)


def test_new_keys_differ(tmp_path: Path) -> None:
    assert create_key(tmp_path / "a", comment="") != create_key(tmp_path / "b", comment="")


@pytest.mark.parametrize("existing", ["key", "key.pub"])
def test_a_new_key_overwrites_nothing_and_leaves_nothing_half_done(
    tmp_path: Path, existing: str
) -> None:
    (tmp_path / existing).write_text("precious")
    with pytest.raises(ConflictError, match=existing):
        create_key(tmp_path / "key", comment="")
    assert [file.name for file in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_text() == "precious"


def test_a_new_key_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConflictError):
        create_key(tmp_path / "key", comment="")
    assert not (tmp_path / "elsewhere").exists()


def test_a_key_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot write"):
        create_key(tmp_path / "file" / "key", comment="")
    with pytest.raises(ConfigurationError, match="comment"):
        create_key(tmp_path / "key", comment="two\nlines")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
