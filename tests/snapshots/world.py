"""One small world in which every command prints the same bytes on every machine.

It imports nothing of `esaa_git` but the command line, so that no move inside the package touches
it. The clock, what is drawn at random and the keys are pinned below the package, in the standard
library and in `cryptography`, wherever the package may call them from. Call `pin` before the
package is imported.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import random
import re
import secrets
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before the clock is pinned: what these do with dates is their own affair.
import click
import jsonschema_rs
import pygit2
import rich.console
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support import warm

LOADED = (click, jsonschema_rs, pygit2, rich.console, yaml)

CHECKOUT = Path(__file__).resolve().parents[2]
START = datetime.datetime(2025, 3, 1, 9, 0, tzinfo=datetime.UTC)
STEP = datetime.timedelta(minutes=1)

GITCONFIG = """\
[esaa]
	sync = unsafe-none
[user]
	name = Test Person
	email = person@example.com
[init]
	defaultBranch = main
[commit]
	gpgsign = false
[gc]
	auto = 0
[maintenance]
	auto = false
[advice]
	pushUpdateRejected = false
"""

_Moment = datetime.datetime


class _Pinned:
    """What stands still while a command runs: the time, and what is drawn."""

    now = START
    call = 0
    keys = 0
    drawn: dict[int, int] = {}  # noqa: RUF012 - one for the process, as the clock is

    @classmethod
    def draw(cls, size: int) -> bytes:
        """Return bytes that depend on the command, their number, and how often that was asked."""
        nth = cls.drawn[size] = cls.drawn.get(size, 0) + 1
        found = b""
        while len(found) < size:
            found += hashlib.sha256(f"{cls.call}/{size}/{nth}/{len(found)}".encode()).digest()
        return found[:size]

    @classmethod
    def next_key(cls) -> Ed25519PrivateKey:
        cls.keys += 1
        return private_key(key_seed(cls.keys))

    @classmethod
    def begin(cls) -> None:
        """Begin the next command: a minute later, with draws of its own."""
        cls.call += 1
        cls.now += STEP
        cls.drawn = {}


class _AnyMoment(type):
    """Takes moments of either class for its own."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _Moment)


class _StandingMoment(_Moment, metaclass=_AnyMoment):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> _Moment:  # type: ignore[override]
        return _Pinned.now.astimezone(tz)


def pin() -> None:
    """Pin clock, chance and the making of keys for this process.

    Raises:
        RuntimeError: if the package was imported before, and may hold the real ones.
    """
    if any(name.startswith("esaa_git.") for name in sys.modules):
        raise RuntimeError("esaa_git is imported already: its clock cannot be pinned any more")
    pinned: dict[tuple[Any, str], object] = {
        (datetime, "datetime"): _StandingMoment,
        (os, "urandom"): _Pinned.draw,
        (random, "_urandom"): _Pinned.draw,
        (secrets, "token_bytes"): lambda size=32: _Pinned.draw(size),
        (secrets, "token_hex"): lambda size=32: _Pinned.draw(size).hex(),
        (Ed25519PrivateKey, "generate"): _Pinned.next_key,
    }
    for (owner, name), value in pinned.items():
        setattr(owner, name, value)


def key_seed(nth: int) -> bytes:
    """Return what the nth key of a process is made of, so that its log can be carried on."""
    return hashlib.sha256(f"key {nth}".encode()).digest()


def private_key(seed: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed)


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: bytes
    err: bytes


class World:
    """A folder with a home and repositories in it, and the record of what was called there."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.lines: list[str] = []
        self._is_quiet = False
        self._seal()

    def _seal(self) -> None:
        """Leave nothing in the environment of who runs the tests, where they are, or since when."""
        home, temporary = self.root / "home", self.root / "tmp"
        for folder in (home, temporary):
            folder.mkdir()
        (home / ".gitconfig").write_text(GITCONFIG, encoding="utf-8")
        kept = {name: os.environ[name] for name in ("PATH",)}
        os.environ.clear()
        os.environ |= kept | {
            "COLUMNS": "80",
            "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "TMPDIR": str(temporary),
            "TZ": "UTC",
            "XDG_CONFIG_HOME": str(home / ".config"),
        }
        time.tzset()
        os.umask(0o022)
        tempfile.tempdir = None
        os.environ |= warm.environment()
        # libgit2 looks for these once, and reads no GIT_CONFIG_*.
        level = pygit2.enums.ConfigLevel
        paths = {level.SYSTEM: "", level.XDG: os.environ["XDG_CONFIG_HOME"], level.GLOBAL: home}
        for which, path in paths.items():
            pygit2.settings.search_path[which] = str(path)

    # -- the record -----------------------------------------------------------------------------

    def heading(self, words: str) -> None:
        """Say in the record what follows, for those who read a difference in it."""
        if not self._is_quiet:
            self.lines.append(f"# {words}\n\n")

    def quietly(self, *steps: Callable[[World], None]) -> None:
        """Take these steps without recording them: another group does."""
        self._is_quiet = True
        for step in steps:
            step(self)
        self._is_quiet = False

    def record(self, line: str, said: Said) -> None:
        if self._is_quiet:
            return
        self.lines.append(f"$ {self.normal(line)}\n[exit {said.code}]\n")
        for name, data in (("out", said.out), ("err", said.err)):
            if data:
                text = self.normal(data.decode())
                end = "" if text.endswith("\n") else "\n[no end of line]\n"
                self.lines.append(f"[{name}]\n{text}{end}")
        self.lines.append("\n")

    def normal(self, text: str) -> str:
        """Return the text without what differs between machines: places, and git's version."""
        text = re.sub(r"git version \d+\.\S+", "git version <version>", text)
        for found, name in (
            (str(self.root), "<root>"),
            (str(CHECKOUT), "<checkout>"),
            (sys.executable, "<python>"),
        ):
            text = text.replace(found, name)
        return text

    # -- what is done ---------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        return self.root / name

    def write(self, path: str, content: str | bytes, *, executable: bool = False) -> None:
        place = self.path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        if executable:
            place.chmod(0o755)

    def yaml(self, path: str, change: Callable[[Any], Any]) -> None:
        """Rewrite a file of contracts with what `change` makes of its content."""
        document = yaml.safe_load(self.path(path).read_bytes())
        done = change(document)
        self.write(path, yaml.safe_dump(document if done is None else done, sort_keys=False))

    def run(self, command: list[str]) -> None:
        """Run a program that has to succeed, and whose words are no part of the record."""
        _passed(tuple(command), self._start(".", command))

    def git(self, folder: str, *arguments: str, stdin: bytes = b"") -> str:
        """Run git in a folder; it has to succeed. Commits are made now, as the world has it."""
        done = _passed(arguments, self._start(folder, ["git", *arguments], stdin=stdin))
        return done.out.decode().removesuffix("\n")

    def commit(self, folder: str, message: str) -> str:
        _Pinned.begin()
        self.git(folder, "add", "--all")
        self.git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
        return self.git(folder, "rev-parse", "HEAD")

    def try_git(self, folder: str, *arguments: str) -> Said:
        """Run git and record what it said, and what the hooks that it ran said."""
        said = self._start(folder, ["git", *arguments])
        self.record(f"{folder}: git {shlex.join(arguments)}", said)
        return said

    def program(self, folder: str, arguments: list[str], *, stdin: bytes = b"") -> Said:
        """Run a program and record what it said."""
        said = self._start(folder, arguments, stdin=stdin)
        self.record(f"{folder}: {shlex.join(arguments)}", said)
        return said

    def _start(
        self,
        folder: str,
        command: list[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
    ) -> Said:
        moment = f"{int(_Pinned.now.timestamp())} +0000"
        dates = {"GIT_AUTHOR_DATE": moment, "GIT_COMMITTER_DATE": moment}
        done = subprocess.run(
            command,
            cwd=self.path(folder),
            input=stdin,
            capture_output=True,
            env={**os.environ, **dates, **(env or {})},
        )
        # git pads what a remote says, up to the width of a terminal line.
        err = b"".join(line.rstrip(b" \n") + b"\n" for line in done.stderr.splitlines())
        return Said(done.returncode, done.stdout, err)

    def esaa(self, folder: str, *arguments: str, stdin: bytes | str = b"") -> Said:
        """Run `git esaa` in a folder, in this process, and record how it ended."""
        said = self._esaa(folder, *arguments, stdin=stdin)
        self.record(f"{folder}: git esaa {shlex.join(arguments)}", said)
        return said

    def _esaa(self, folder: str, *arguments: str, stdin: bytes | str = b"") -> Said:
        from esaa_git.cli.main import main

        _Pinned.begin()
        data = stdin.encode() if isinstance(stdin, str) else stdin
        streams = [self.path(f"tmp/.{name}") for name in ("in", "out", "err")]
        streams[0].write_bytes(data)
        before = sys.argv, Path.cwd()
        # What a command has git date for a person is another day's than what it records.
        person = f"{int((_Pinned.now - datetime.timedelta(days=1)).timestamp())} +0000"
        os.environ |= dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), person)
        sys.argv = ["git-esaa", *arguments]
        os.chdir(self.path(folder))
        try:
            with _Redirected(*streams):
                code = _exit_code(main)
        finally:
            sys.argv = before[0]
            os.chdir(before[1])
        said = Said(code, streams[1].read_bytes(), streams[2].read_bytes())
        for stream in streams:
            stream.unlink()
        return said

    def silent(self, folder: str, *arguments: str) -> Said:
        """Run a command that has to succeed, without recording it."""
        return _passed(arguments, self._esaa(folder, *arguments))

    def masked(self, folder: str, *arguments: str) -> None:
        """Run a command whose commits are of the machine's own time: their ids are left out."""
        lines = len(self.lines)
        self.esaa(folder, *arguments)
        text = re.sub(r"\b[0-9a-f]{7,64}\b", "<id>", "".join(self.lines[lines:]))
        self.lines[lines:] = [re.sub(r"(esaa-demo-)\w+", r"\1<random>", text)]

    def ok(self, folder: str, *arguments: str, stdin: bytes | str = b"") -> Said:
        """Run a command that the history needs: it has to succeed."""
        return _passed(arguments, self.esaa(folder, *arguments, stdin=stdin))

    def by(self, person: str, folder: str, *arguments: str) -> Said:
        """Run a command that has to succeed as another person does, with their own key."""
        mine = self.git(folder, "config", "esaa.approverKey")
        self.git(folder, "config", "esaa.approverKey", str(self.path(f"home/{person}")))
        said = self.ok(folder, *arguments, "--as", f"{person}@example.com")
        self.git(folder, "config", "esaa.approverKey", mine)
        return said

    def later(self, **much: float) -> None:
        """Let time pass."""
        _Pinned.now += datetime.timedelta(**much)

    def new_key(self, path: str, seed: bytes, comment: str) -> None:
        """Write a private key and its public half, as ssh-keygen would."""
        from cryptography.hazmat.primitives.serialization import PublicFormat

        key = private_key(seed)
        self.write(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        self.path(path).chmod(0o600)
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        self.write(f"{path}.pub", f"{public.decode()} {comment}\n")


def _passed(arguments: tuple[str, ...], said: Said) -> Said:
    if said.code:
        raise RuntimeError(f"{arguments}: exit {said.code}\n{said.err.decode()}")
    return said


def _exit_code(main: Callable[[], None]) -> int:
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0


class _Redirected:
    """The three standard streams, descriptors and all, are these files for a while."""

    def __init__(self, stdin: Path, stdout: Path, stderr: Path) -> None:
        self._places = (stdin, stdout, stderr)

    def __enter__(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self._kept = [os.dup(number) for number in range(3)]
        self._streams = sys.stdin, sys.stdout, sys.stderr
        flags = (os.O_RDONLY, *(os.O_WRONLY | os.O_CREAT | os.O_APPEND,) * 2)
        for number, (place, flag) in enumerate(zip(self._places, flags, strict=True)):
            opened = os.open(place, flag, 0o600)
            os.dup2(opened, number)
            os.close(opened)
        sys.stdin = open(0, encoding="utf-8", closefd=False)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)

    def __exit__(self, *_: object) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdin, sys.stdout, sys.stderr = self._streams
        for number, kept in enumerate(self._kept):
            os.dup2(kept, number)
            os.close(kept)
