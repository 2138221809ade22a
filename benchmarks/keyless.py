"""What somebody without a key can make a server spend: `python -m benchmarks --only keyless`.

The pre-receive hook of a bare repository is started as git-receive-pack(1) starts it, for a push
of the worst input of each kind that we know, and has to refuse it. Its time is held against a bare
start: the hook's own rehearsal, which imports and opens what a push of events needs. Its peak
memory, git's processes for it included, is held against 200 MiB.

What is pushed lies there unpacked already; what git itself spends on receiving it is not counted.
A harmless event without a signature is measured as well: that is what refusing costs at least.
"""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import pygit2

from benchmarks import logs
from benchmarks.harness import Row
from benchmarks.hooks import ZERO, Server
from benchmarks.programs import ROOT
from benchmarks.workshop import Workshop
from esaa_git.core.limits import BRANCH_COMMIT, CONTRACT_FILES, EVENTS_IN_A_PUSH, SIGNERS
from esaa_git.resources import DRY
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.objects import (
    BLOB,
    COMMIT,
    MODE_FILE,
    MODE_TREE,
    TREE,
    TreeEntry,
    encode_tree,
    sign_commit,
)
from esaa_git.trust.oneform import Unacceptable, check_ed25519_key

SUBJECT = "keyless"
ALLOWED_TIMES = 8.0
ALLOWED_MIB = 200.0
ROUNDS = 3
MIB = 1 << 20
PEOPLE = b"author x <x@example.com> 1900000000 +0000\ncommitter x <x@example.com> 1900000000 +0000"
NO_SIGNATURE = b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"
NO_PGP = b"-----BEGIN PGP SIGNATURE-----\n\n" + b"A" * 64 + b"\n-----END PGP SIGNATURE-----\n"


@dataclass(frozen=True, slots=True)
class Spent:
    seconds: float
    mib: float
    code: int


def measure(shop: Workshop) -> Iterator[Row]:
    subject = shop.natural(shop.sizes.shallow)
    place, without_log = shop.place("server"), shop.place("empty-server")
    server, empty = Server(subject, place, 1), Server(subject, without_log, 1)
    pygit2.Repository(str(without_log)).references.delete(subject.log.ref)
    attacker = Attacker(server, subject)
    bare = [spend(server.hook, server.folder, b"", DRY) for _ in range(ROUNDS)]
    start = median(one.seconds for one in bare)
    for name, make in attacker.kinds():
        lines = make()
        at = (
            server
            if attacker.old.encode() in lines or attacker.log.encode() not in lines
            else empty
        )
        took = [spend(at.hook, at.folder, lines) for _ in range(ROUNDS)]
        if any(one.code in (0, 70) for one in took):
            raise RuntimeError(f"'{name}' was not refused: exit codes {[one.code for one in took]}")
        yield Row(
            SUBJECT,
            f"{name}: time / a bare start",
            "ms",
            median(one.seconds for one in took) * 1e3,
            start * 1e3,
            ALLOWED_TIMES,
        )
        peak = max(one.mib for one in took)
        yield Row(
            SUBJECT, f"{name}: memory / 200 MiB", "MiB", peak, ALLOWED_MIB, 1.0,
            note=f"a bare start: {max(one.mib for one in bare):.0f} MiB",
        )  # fmt: skip
    shop.clear(place, without_log)


def spend(hook: str, folder: Path, lines: bytes, *arguments: str) -> Spent:
    """Run the hook to its end; return its seconds, its peak in MiB, and how it ended."""
    meter = [sys.executable, __file__, hook, *arguments]
    env = {**os.environ, "GIT_DIR": ".", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(meter, cwd=folder, input=lines, capture_output=True, check=True, env=env)
    seconds, peak, code = done.stdout.split()[-3:]
    return Spent(float(seconds), float(peak), int(code))


def meter(command: list[str]) -> None:
    """Run a program in a process of its own and print what it and its children took.

    Apart from the benchmark, since Linux counts in a child's peak what its parent had before exec.
    """
    import resource

    data = sys.stdin.buffer.read()
    begun = perf_counter()
    done = subprocess.run(command, input=data, capture_output=True)
    took = perf_counter() - begun
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    peak = used / MIB if sys.platform == "darwin" else used / 1024
    print(took, peak, done.returncode)


class Attacker:
    """Makes what is pushed, with objects alone: it holds no key."""

    def __init__(self, server: Server, subject: logs.Subject) -> None:
        self.repository = subject.repository
        self.log = subject.log.ref
        self.branch = f"refs/heads/{logs.BRANCH}"
        raw = pygit2.Repository(str(server.folder))
        self.old = str(raw.references[self.log].target)
        self.branch_old = str(raw.references[self.branch].target)
        self.honest = read_event_commit(self.repository.read, self.old)

    def kinds(self) -> Iterator[tuple[str, Callable[[], bytes]]]:
        yield "a harmless event without a signature", self.event
        yield "a signature of OpenPGP that is none", lambda: self.event(signature=NO_PGP)
        yield "event.json of 100 MiB", lambda: self.event(event=b'{"a":"' + b"x" * (100 * MIB))
        yield "JSON of a million levels", lambda: self.event(event=b"[" * 10**6 + b"]" * 10**6)
        yield "YAML aliases, nine levels", lambda: self.event(AGENT_CONTRACT=aliases())
        yield "YAML of a million brackets", lambda: self.event(AGENT_CONTRACT=b"[" * MIB)
        yield "a principal of many stars", lambda: self.event(allowed_signers=stars())
        yield "a tree of a million entries", self.many_entries
        yield f"{CONTRACT_FILES * 50:,} contract files", self.many_contracts
        yield "an event commit of 50 MiB", lambda: self.event(message=b"x" * (50 * MIB))
        yield "a tag of 50 MiB in its place", self.tag
        yield f"a chain of {EVENTS_IN_A_PUSH + 1:,} commits", self.chain
        yield "a genesis with as many signers as there may be", self.genesis
        yield "a branch commit of 50 MiB that claims an event", lambda: self.claims(50 * MIB)
        yield "80 branch commits that claim events", lambda: self.claims(BRANCH_COMMIT // 2, 80)
        many = b"encoding cp037\n" * 200
        yield "a claim below 200 encodings", lambda: self.claims(900_000, headers=many)
        seqs = b"".join(b"ESAA-Task: T-%d\n" % number for number in range(50_000))
        yield "a claim below 50,000 trailers", lambda: self.claims(0, text=seqs)
        alternating = b"\xffa" * 400_000
        yield "a claim below text that is none", lambda: self.claims(0, text=alternating)

    # -- events -----------------------------------------------------------------------------

    def event(
        self,
        event: bytes | None = None,
        message: bytes = b"x\n\nESAA-Seq: 2\n",
        signature: bytes = NO_SIGNATURE,
        tree: str | None = None,
        parent: str | None = "",
        **contracts: bytes,
    ) -> bytes:
        """Return the line of a push that appends this to the log, or begins one with it."""
        put, entries = self.repository.put, dict(self.honest.tree)
        if event is not None:
            entries["event.json"] = TreeEntry(MODE_FILE, put(BLOB, event))
        if contracts:
            names = {
                name if name == "allowed_signers" else f"{name}.yaml": TreeEntry(
                    MODE_FILE, put(BLOB, data)
                )
                for name, data in contracts.items()
            }
            entries["contracts"] = TreeEntry(MODE_TREE, put(TREE, encode_tree(names)))
        root = tree or put(TREE, encode_tree(entries))
        before = self.old if parent == "" else parent
        lines = [b"tree " + root.encode()]
        lines += [b"parent " + before.encode()] if before else []
        payload = b"\n".join([*lines, PEOPLE, b"", message])
        oid = put(COMMIT, sign_commit(payload, signature))
        return f"{before or ZERO} {oid} {self.log}\n".encode()

    def many_entries(self) -> bytes:
        blob = bytes.fromhex(self.repository.put(BLOB, b""))
        entries = b"".join(b"100644 %07d\0%s" % (number, blob) for number in range(10**6))
        return self.event(tree=self.repository.put(TREE, entries))

    def many_contracts(self) -> bytes:
        entry = TreeEntry(MODE_FILE, self.repository.put(BLOB, b"x"))
        names = {f"PROMPT.x{number:05d}.md": entry for number in range(CONTRACT_FILES * 50)}
        below = self.repository.put(TREE, encode_tree(names))
        tree = {**self.honest.tree, "contracts": TreeEntry(MODE_TREE, below)}
        return self.event(tree=self.repository.put(TREE, encode_tree(tree)))

    def tag(self) -> bytes:
        text = b"object %s\ntype commit\ntag x\n\n" % self.old.encode() + b"x" * (50 * MIB)
        command = ["git", "hash-object", "-w", "--literally", "-t", "tag", "--stdin"]
        done = subprocess.run(
            command, cwd=self.repository.common_dir, input=text, capture_output=True, check=True
        )
        return f"{self.old} {done.stdout.decode().strip()} {self.log}\n".encode()

    def chain(self) -> bytes:
        commands = [f"reset refs/heads/chain\nfrom {self.old}\n"]
        commands += [
            f"commit refs/heads/chain\ncommitter x <x@example.com> {number} +0000\ndata 1\nx\n"
            for number in range(EVENTS_IN_A_PUSH + 1)
        ]
        folder = self.repository.common_dir
        text = "".join(commands).encode()
        subprocess.run(["git", "fast-import", "--quiet"], cwd=folder, input=text, check=True)
        tip = subprocess.check_output(["git", "rev-parse", "refs/heads/chain"], cwd=folder)
        return f"{self.old} {tip.decode().strip()} {self.log}\n".encode()

    def genesis(self) -> bytes:
        """Begin a log on a server that has none: all signers are read, each another key."""
        lines, y = b"", 2
        while len(lines) < SIGNERS - 100:
            y += 1
            lines += signer(y) if is_point(y) else b""
        return self.event(parent=None, allowed_signers=lines)

    # -- branches ---------------------------------------------------------------------------

    def claims(
        self, size: int, count: int = 1, *, headers: bytes = b"", text: bytes = b""
    ) -> bytes:
        tip = self.branch_old
        tree = pygit2.Repository(str(self.repository.common_dir))[tip].peel(pygit2.Tree).id
        for _ in range(count):
            head = f"tree {tree}\nparent {tip}\n".encode() + PEOPLE + b"\n" + headers
            body = text + b"x" * size + b"\n\nESAA-Event: " + b"0" * 40 + b"\n"
            tip = self.repository.put(COMMIT, head + b"\n" + body)
        return f"{self.branch_old} {tip} {self.branch}\n".encode()


def aliases() -> bytes:
    """Return YAML that grows tenfold a level."""
    levels = [b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    levels += [
        b"a%d: &a%d [%s]" % (level, level, b",".join([b"*a%d" % (level - 1)] * 10))
        for level in range(1, 9)
    ]
    return b"\n".join(levels) + b"\n"


def stars() -> bytes:
    return b"a" * 200 + b"," + b"*a" * 60 + b"*b," + signer(3)


def signer(y: int) -> bytes:
    """Return a line of `allowed_signers` for the Ed25519 point with this y, as short as can be."""
    blob = b"\0\0\0\x0bssh-ed25519" + b"\0\0\0\x20" + y.to_bytes(32, "little")
    return b"x ssh-ed25519 " + b64encode(blob) + b"\n"


def is_point(y: int) -> bool:
    """Answer whether there is such a point that is taken for a key."""
    try:
        check_ed25519_key(y.to_bytes(32, "little"))
    except Unacceptable:
        return False
    return True


if __name__ == "__main__":
    meter(sys.argv[1:])
