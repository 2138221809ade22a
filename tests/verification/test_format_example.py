"""The worked example of docs/FORMAT.md, made again: with the code, and with plain git."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from esaa_git.core import canonical
from esaa_git.core.event import decode, encode
from esaa_git.core.projection import project, projection_hash
from esaa_git.store.repository import open_repository
from esaa_git.verification.audit import Auditor

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```[a-z]+ example:(\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def blocks() -> dict[str, str]:
    """What the document says: every block of the example by its name."""
    found = BLOCK.findall((DOCS / "FORMAT.md").read_text(encoding="utf-8"))
    assert len(dict(found)) == len(found)
    return dict(found)


@pytest.fixture(scope="module")
def ids(blocks: dict[str, str]) -> dict[str, str]:
    """The ids of the example, by what they are of."""
    return dict(re.findall(r"^(\S.*?) +(\S+)$", blocks["ids"], re.MULTILINE))


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """`docs/schemas/example.py`, which makes the example with the code."""
    spec = importlib.util.spec_from_file_location("example", DOCS / "schemas" / "example.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------------------------- with the code


def test_the_code_makes_exactly_the_bytes_of_the_document(
    blocks: dict[str, str], example: ModuleType, tmp_path: Path
) -> None:
    assert example.blocks(tmp_path / "repo") == blocks


def test_the_events_are_decoded_and_projected_to_the_state_of_the_document(
    blocks: dict[str, str], ids: dict[str, str]
) -> None:
    events = [decode(blocks[f"event-{number}"].encode()) for number in (1, 2)]
    assert [encode(event).decode() for event in events] == [blocks["event-1"], blocks["event-2"]]
    state = project(events)
    for table, key, path in (
        ("", "project", "roadmap/project.json"),
        ("", "programs", "roadmap/programs.json"),
        ("", "run", "roadmap/run.json"),
        ("tasks", "T-1000", "roadmap/8/7/T-1000.json"),
    ):
        document = canonical.encode(state.document(table, key).to_json())
        assert document.decode() == blocks[f"state-2/{path}"]
    assert projection_hash(state) == ids["projection SHA-256"]


def test_the_log_of_the_example_verifies(example: ModuleType, tmp_path: Path) -> None:
    example.write_log(tmp_path / "repo")
    report = Auditor(open_repository(tmp_path / "repo"), full=True, jobs=1).run()
    assert report.audit.is_ok, report.audit.message
    assert report.audit.checked_to == 2


# ------------------------------------------------------------- with git and ssh-keygen, and no code


class Git:
    """Plain git in an empty repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True, capture_output=True)

    def __call__(self, *arguments: str, stdin: bytes = b"") -> str:
        command = ["git", "-C", str(self.folder), *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def store(self, content: bytes, kind: str = "blob") -> str:
        return self("hash-object", "-t", kind, "-w", "--stdin", stdin=content).strip()

    def store_tree(self, files: Mapping[str, str]) -> str:
        """Make a tree of blobs by their paths, one `git mktree` a folder."""
        lines = [f"100644 blob {oid}\t{path}" for path, oid in files.items() if "/" not in path]
        for folder in sorted({path.split("/")[0] for path in files if "/" in path}):
            prefix = f"{folder}/"
            inside = {
                path.removeprefix(prefix): oid
                for path, oid in files.items()
                if path.startswith(prefix)
            }
            lines.append(f"040000 tree {self.store_tree(inside)}\t{folder}")
        return self("mktree", stdin="".join(f"{line}\n" for line in lines).encode()).strip()


@pytest.fixture
def plain(tmp_path: Path) -> Git:
    return Git(tmp_path / "plain")


def contents(blocks: Mapping[str, str], number: int) -> dict[str, str]:
    """Everything in the tree of an event, by path."""
    beside = ("contracts/", "programs/")
    found = {name: text for name, text in blocks.items() if name.startswith(beside)}
    state = f"state-{number}/"
    found |= {
        name.removeprefix(state): text for name, text in blocks.items() if name.startswith(state)
    }
    return found | {"event.json": blocks[f"event-{number}"]}


def signed(payload: str, signature: str) -> bytes:
    """Put a signature where FORMAT.md says that it goes."""
    head, message = payload.split("\n\n", 1)
    armored = signature.removesuffix("\n").replace("\n", "\n ")
    return f"{head}\ngpgsig {armored}\n\n{message}".encode()


def test_plain_git_makes_the_same_trees_and_commits(
    blocks: dict[str, str], ids: dict[str, str], plain: Git
) -> None:
    plain.store_tree({})
    assert plain.store(blocks["base"].encode(), "commit") == ids["base commit"]
    for number in (1, 2):
        stored = {
            path: plain.store(text.encode()) for path, text in contents(blocks, number).items()
        }
        tree = plain.store_tree(stored)
        assert tree == ids[f"event {number} tree"]
        listed = plain("-c", "core.quotePath=false", "ls-tree", "-r", "-t", tree)
        assert listed == blocks[f"tree-{number}"]
        data = signed(blocks[f"payload-{number}"], blocks[f"signature-{number}"])
        commit = plain.store(data, "commit")
        assert commit == ids[f"event {number} commit"]
        assert plain("cat-file", "commit", commit).encode() == data
    tip = ids["event 2 commit"]
    plain("update-ref", "refs/esaa/events", tip)
    plain("fsck", "--strict", "--no-dangling")
    assert plain("rev-list", tip).split() == [tip, ids["event 1 commit"]]


def test_the_trailers_are_a_sha_256_chain_over_the_events(
    blocks: dict[str, str], ids: dict[str, str]
) -> None:
    previous = "0" * 64
    for number in (1, 2):
        event = blocks[f"event-{number}"].encode()
        assert event.index(b"\n") == len(event) - 1
        found = sha256(event).hexdigest()
        assert found == ids[f"event {number} SHA-256"]
        last = blocks[f"payload-{number}"].removesuffix("\n").rsplit("\n\n", 1)[1]
        trailers = dict(line.split(": ", 1) for line in last.split("\n"))
        assert trailers["ESAA-Event-SHA256"] == found
        assert trailers["ESAA-Prev-SHA256"] == previous
        assert trailers["ESAA-Log"] == ids["log id"]
        assert trailers["ESAA-Seq"] == str(number)
        previous = found
    contracts = blocks["event-1"].partition('"programs":')[0]
    pins = dict(re.findall(r'"path":"([^"]+)","sha256":"([0-9a-f]+)"', contracts))
    (program,) = (name for name in blocks if name.startswith("programs/"))
    assert program == f"programs/{sha256(blocks[program].encode()).hexdigest()}"
    assert program.removeprefix("programs/") in blocks["event-1"]
    assert pins == {
        name.removeprefix("contracts/"): sha256(text.encode()).hexdigest()
        for name, text in blocks.items()
        if name.startswith("contracts/")
    }


def test_a_task_stands_where_the_sha_256_of_its_id_says(blocks: dict[str, str]) -> None:
    first, second = sha256(b"T-1000").hexdigest()[:2]
    assert f"state-1/roadmap/{first}/{second}/T-1000.json" in blocks


def ssh_keygen(*arguments: str, stdin: str, folder: Path) -> str:
    done = subprocess.run(
        ["ssh-keygen", *arguments], input=stdin.encode(), cwd=folder, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.mark.parametrize("number", [1, 2])
def test_ssh_keygen_confirms_the_signatures(
    number: int, blocks: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "allowed_signers").write_text(blocks["contracts/allowed_signers"])
    (tmp_path / "signature").write_text(blocks[f"signature-{number}"])
    for role in (("alice@example.com", "approver", "admin"), ("orchestrator",))[number - 1]:
        said = ssh_keygen(
            *("-Y", "verify", "-n", "git", "-I", role),
            *("-f", "allowed_signers", "-s", "signature"),
            stdin=blocks[f"payload-{number}"],
            folder=tmp_path,
        )
        assert said.startswith(f'Good "git" signature for {role} ')


@pytest.mark.parametrize("number", [1, 2])
def test_ssh_keygen_makes_the_same_signatures_from_the_seed(
    number: int, blocks: dict[str, str], ids: dict[str, str], tmp_path: Path
) -> None:
    key = Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex(ids[("Alice's seed", "orchestrator seed")[number - 1]])
    )
    place = tmp_path / "key"
    place.touch(mode=0o600)
    place.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
    )
    public = ssh_keygen("-y", "-f", "key", stdin="", folder=tmp_path).split()[:2]
    line = blocks["contracts/allowed_signers"].splitlines()[(1, 0)[number - 1]]
    assert line.split()[2:] == public
    made = ssh_keygen(
        "-Y", "sign", "-n", "git", "-f", "key", stdin=blocks[f"payload-{number}"], folder=tmp_path
    )
    assert made == blocks[f"signature-{number}"]


def test_git_confirms_the_commits(
    blocks: dict[str, str], ids: dict[str, str], plain: Git, tmp_path: Path
) -> None:
    signers = tmp_path / "allowed_signers"
    signers.write_text(blocks["contracts/allowed_signers"])
    plain.store_tree({})
    for number in (1, 2):
        plain.store(signed(blocks[f"payload-{number}"], blocks[f"signature-{number}"]), "commit")
        commit = ids[f"event {number} commit"]
        plain("-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-commit", commit)


def test_the_document_is_written_by_the_program_that_says_so() -> None:
    program = DOCS / "schemas" / "build.py"
    done = subprocess.run(
        [sys.executable, str(program), "--check"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
