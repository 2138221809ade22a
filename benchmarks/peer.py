"""Against esaa-core, the same protocol on one plain file: what a command costs as the log grows.

It is installed from the package index into an environment of its own, which is kept between runs
in the user's cache. Where that cannot be done, one line of the table says so.

Its log is its own: the lines that its commands wrote, replicated under new ids up to the size that
is asked for, projected by its `project` and accepted by its `verify`. It holds no signatures, and
its `verify` replays the whole file each time; ours checks every signature and every state, and
goes on from where it last ended unless it is told `--full`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from shutil import rmtree

from benchmarks import logs
from benchmarks.harness import Row, by_turns, compared, say, skipped, timed
from benchmarks.programs import git_esaa, run
from benchmarks.workshop import Workshop

SUBJECT = "against esaa-core"
MS = 1e3
PACKAGE = "esaa-core"
TOO_LONG_SECONDS = 20.0
MANY = 5_000
PER_COMMAND = 3
"""Events that each of its commands appends: what was done, `verify.start` and `verify.ok`."""


def measure(shop: Workshop) -> Iterator[Row]:
    program = installed(shop.outer)
    if program is None:
        why = "it could not be installed from the package index"
        yield skipped(SUBJECT, "every command", why)
        return
    version = _version(program)
    for events in shop.sizes.peer:
        say(f"  {events:,} events")
        try:
            theirs = Peer(program, shop.place(f"peer-{events}"), events)
        except RuntimeError as error:
            yield skipped(SUBJECT, f"{events:,} events", f"its log could not be made: {error}")
            return
        yield from _at(shop, theirs, shop.natural(events), events, version)
        shop.clear(theirs.folder)


def _at(
    shop: Workshop, theirs: Peer, ours: logs.Subject, events: int, version: str
) -> Iterator[Row]:
    pairs: list[tuple[str, Callable[[], float], Callable[[], float]]] = [
        ("verify all", _verify(ours, "--full"), theirs.verify),
        ("verify what is new", _verify(ours), theirs.verify),
        ("create a task", _create(ours), theirs.create),
        ("claim a task", _claim(ours), theirs.claim),
    ]
    for name, our, their in pairs:
        our()
        if their() > TOO_LONG_SECONDS:
            yield skipped(SUBJECT, f"{name} at {events:,} events", "it takes too long")
            continue
        rounds = 5 if events < MANY else 3
        seconds = by_turns([our, their], min(rounds, shop.sizes.processes), warm_up=0)
        yield compared(
            SUBJECT,
            f"{name} at {events:,} events / esaa-core",
            "ms",
            seconds,
            scale=MS,
            note=f"esaa-core {version}" if name == "verify all" else "",
        )


class Peer:
    """A project of esaa-core with a log of so many events."""

    def __init__(self, program: Path, folder: Path, events: int) -> None:
        self.folder = folder
        self._command = [str(program), "--runner", "bench"]
        self._created = 0
        self._claimed = 0
        folder.mkdir()
        run(["git", "init", "-q", "."], folder)
        self._run("bootstrap", "--profile", "public")
        self._run("init")
        self.create()
        self._grow(events)
        self._run("project")
        status = json.loads(self._run("verify"))
        if status["verify_status"] != "ok":
            raise RuntimeError(f"its verify says {status['verify_status']}")

    def verify(self) -> float:
        return timed(lambda: self._run("verify"))

    def create(self) -> float:
        name = self._next_name()
        return timed(
            lambda: self._run(
                *("task", "create", name, "--kind", "spec"),
                *("--title", f"Write {name}", "--output", f"docs/spec/{name}.md"),
            )
        )

    def claim(self) -> float:
        self._claimed += 1
        name = _peer_name(self._claimed)
        return timed(lambda: self._run("claim", name, "--actor", "agent-spec"))

    def _grow(self, events: int) -> None:
        """Write what its last command appended again and again, each time for a new task."""
        path = self.folder / ".roadmap" / "activity.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines()
        last = lines[-PER_COMMAND:]
        old = _peer_name(self._created)
        with path.open("a", encoding="utf-8") as file:
            for _ in range((events - len(lines)) // PER_COMMAND):
                name = self._next_name()
                for line in last:
                    event = json.loads(line.replace(old, name))
                    lines.append("")
                    event["event_seq"] = len(lines)
                    event["event_id"] = f"EV-{len(lines):08d}"
                    file.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n")

    def _next_name(self) -> str:
        self._created += 1
        return _peer_name(self._created)

    def _run(self, *arguments: str) -> bytes:
        return run([*self._command, *arguments], self.folder, ours=False)


def _peer_name(number: int) -> str:
    return f"T-{number:06d}"


def _ours(subject: logs.Subject, *arguments: str) -> float:
    return timed(partial(run, [*git_esaa(), *arguments], subject.folder))


def _verify(subject: logs.Subject, *options: str) -> Callable[[], float]:
    return lambda: _ours(subject, "verify", *options)


def _create(subject: logs.Subject) -> Callable[[], float]:
    fresh = iter(logs.names("MORE", 10_000))
    kind = ("--kind", "impl", "--title", "One more", "--as", logs.PERSON)
    return lambda: _ours(subject, "task", "add", next(fresh), *kind)


def _claim(subject: logs.Subject) -> Callable[[], float]:
    fresh = reversed(subject.open)
    return lambda: _ours(subject, "claim", next(fresh), "--as", logs.PERSON)


def _version(program: Path) -> str:
    """Return the version of the package, which is not the version of the protocol."""
    script = f"from importlib.metadata import version; print(version('{PACKAGE}'))"
    return (
        run([str(program.with_name("python")), "-c", script], program.parent, ours=False)
        .decode()
        .strip()
    )


# -- installing it --------------------------------------------------------------------------


def installed(outer: dict[str, str]) -> Path | None:
    """Return its program in an environment of its own, made now where there is none yet."""
    base = outer.get("XDG_CACHE_HOME") or str(Path(outer.get("HOME", "~")).expanduser() / ".cache")
    tag = f"{sys.version_info[0]}.{sys.version_info[1]}"
    place = Path(base) / "git-esaa-benchmarks" / f"{PACKAGE}-python{tag}"
    program = place / "bin" / "esaa"
    if program.exists():
        return program
    say(f"  installing {PACKAGE} into an environment of its own")
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--pre", PACKAGE]
    for command in ([sys.executable, "-m", "venv", str(place)], pip):
        try:
            done = subprocess.run(command, env=outer, capture_output=True, timeout=300)
        except (OSError, subprocess.TimeoutExpired):
            done = None
        if done is None or done.returncode:
            rmtree(place, ignore_errors=True)
            return None
    return program if program.exists() else None
