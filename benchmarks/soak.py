"""A soak: runs, agents and people at work on one repository, and somebody of them always dies.

Two `git esaa run --parallel 3` and a person at three terminals, who claims and submits, compete for
the same tasks.
Every few hundredths of a second one is killed by SIGKILL and another one takes its place: a run, a
person, or the program of an agent. Whom and when comes from a fixed seed; what the victim is doing
then is the machine's affair. In the end everybody is stopped, `git esaa doctor --repair` and
`git esaa verify --full` have their say, and whatever any of them had reported as done is looked
for: in the record, once, and on the branch, once.

These are figures and no comparison, so the rows have no limit. Anything lost or done twice ends
the soak as a failure.

    python -m benchmarks --only soak --minutes 10
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from benchmarks import logs
from benchmarks.harness import Row
from benchmarks.programs import ROOT, git_esaa, run
from benchmarks.workshop import Workshop
from esaa_git.cli.main import run_command
from esaa_git.core.events import TaskUpdate
from esaa_git.core.machine import TaskState
from esaa_git.store.log import GitEventLog
from esaa_git.store.refs import GitRefs
from esaa_git.store.repository import open_repository
from esaa_git.trust.signer import SigningKeys

SUBJECT = "soak: killed at random under load"
SEED = 20260301
PEOPLE, RUNS = 3, 2
TASKS_A_SECOND = 25
"""How many tasks are planned for each second: more than this machine's processes can do."""

AGENT = """\
#!/bin/sh
request=$(cat)
sleep 0.3
attempt=$(printf %s "$request" | grep -o '"attempt_id":"[^"]*"' | head -n 1 | cut -d '"' -f 4)
name=${attempt%-A*}
printf '{"action":"agent.result","task_id":"%s","attempt_id":"%s","payload":{"summary":"done",' \
    "$name" "$attempt"
printf '"file_updates":[{"op":"write","path":"docs/%s.md","content":"%s\\\\n"}]}}\\n' \
    "$name" "$name"
"""


def measure(shop: Workshop) -> Iterator[Row]:
    soak = Soak(shop, random.Random(SEED))
    found = soak.go(shop.sizes.soak_seconds)
    for name, count in found.items():
        yield Row(SUBJECT, name, "", count, None)
    shop.clear(soak.place)


@dataclass
class Worker:
    """A process that works, and what it has said so far."""

    kind: str
    pid: int
    process: subprocess.Popen[bytes] | None = None

    def is_over(self) -> bool:
        if self.process is not None:
            return self.process.poll() is not None
        return os.waitpid(self.pid, os.WNOHANG)[0] != 0

    def end(self, number: signal.Signals) -> None:
        """End it, a person with whatever git is at work for them."""
        with suppress(ProcessLookupError):
            (os.killpg if self.process is None else os.kill)(self.pid, number)
        if self.process is not None:
            self.process.wait()
        else:
            os.waitpid(self.pid, 0)


@dataclass
class Soak:
    """One repository, and everybody at work in it."""

    shop: Workshop
    moments: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    workers: list[Worker] = field(default_factory=list)

    def go(self, seconds: float) -> dict[str, Any]:
        """Work and kill for so long; return the figures."""
        self.names = logs.names("T", int(seconds * TASKS_A_SECOND) + 50)
        self.place = self._project()
        self.said = self.place.parent / f"{self.place.name}-said"
        self.laid = (self.place.parent / f"{self.place.name}-laid").resolve()
        self.laid.mkdir(exist_ok=True)
        begun = time.monotonic()
        try:
            while time.monotonic() - begun < seconds:
                self._fill_up()
                time.sleep(self.moments.uniform(0.02, 0.4))
                self._kill(self.moments.choice(("run", "person", "person", "agent")))
        finally:
            for worker in self.workers:
                worker.end(signal.SIGTERM if worker.kind == "run" else signal.SIGKILL)
        return self._figures()

    # -- who works --------------------------------------------------------------------------

    def _fill_up(self) -> None:
        self.workers = [one for one in self.workers if not one.is_over()]
        for kind, count, start in (("run", RUNS, self._run), ("person", PEOPLE, self._person)):
            for _ in range(count - sum(one.kind == kind for one in self.workers)):
                self.workers.append(start())

    def _run(self) -> Worker:
        command = [*git_esaa(), "-C", str(self.place), "run", "--parallel", "3", "--overlap"]
        with self.said.open("ab") as said:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.laid)},
                start_new_session=True,
            )
        return Worker("run", process.pid, process)

    def _person(self) -> Worker:
        chance = self.moments.randrange(1 << 30)
        child = os.fork()
        if not child:
            self._be_a_person(logs.PERSON, random.Random(chance))
        with suppress(OSError):
            os.setpgid(child, child)
        return Worker("person", child)

    def _be_a_person(self, who: str, dice: random.Random) -> NoReturn:
        try:
            os.setpgid(0, 0)
            said = os.open(self.said, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.dup2(said, 1)
            os.dup2(said, 2)
            while True:
                _claim_and_submit(self.place, who, dice.choice(self.names))
        finally:
            os._exit(1)

    def _kill(self, kind: str) -> None:
        if kind == "agent":
            agents = _programs(self.laid)
            if agents:
                with suppress(ProcessLookupError):
                    os.kill(self.moments.choice(agents), signal.SIGKILL)
                    self.kills[kind] += 1
            return
        victim = self.moments.choice([one for one in self.workers if one.kind == kind])
        victim.end(signal.SIGKILL)
        self.workers.remove(victim)
        self.kills[kind] += 1

    # -- what came of it --------------------------------------------------------------------

    def _figures(self) -> dict[str, Any]:
        esaa = [*git_esaa(), "-C", str(self.place)]
        time.sleep(1)  # for a git that outlived who started it
        run([*esaa, "doctor", "--repair"], self.place)
        verified = json.loads(run([*esaa, "verify", "--full", "--json"], self.place))
        repository = open_repository(self.place)
        log = GitEventLog(repository, GitRefs(repository), SigningKeys(self.shop.key.signer))
        actions: Counter[str] = Counter()
        done: Counter[str] = Counter()
        seqs = []
        for stored in log.events():
            actions[stored.event.action] += 1
            seqs.append(stored.event.seq)
            payload = stored.event.payload
            if isinstance(payload, TaskUpdate) and payload.to == TaskState.DONE:
                done[payload.task_id] += 1
        reported, recoveries = _reported(self.said)
        trailer = "--format=%(trailers:key=ESAA-Task,valueonly,separator=%x20)"
        effects = Counter(run(["git", "log", trailer, "main"], self.place).decode().split())
        found = {
            "events": len(seqs),
            "tasks done": len(done),
            "runs killed": self.kills["run"],
            "people killed": self.kills["person"],
            "agents killed": self.kills["agent"],
            "recoveries": recoveries,
            "timed out": actions["attempt.timeout"],
            "rejected": actions["output.rejected"],
            "lost": len(reported - set(done)),
            "done twice": sum(count > 1 for one in (done, effects) for count in one.values()),
            "gaps": sum(seq != at for at, seq in enumerate(seqs, start=1)),
        }
        assert verified["verify_status"] == "ok", verified
        assert set(effects) == set(done), "the branch does not hold what the record says"
        assert not any(found[name] for name in ("lost", "done twice", "gaps")), found
        return found

    def _project(self) -> Path:
        place = self.shop.place("soak", in_memory=True)
        place.mkdir(parents=True)
        esaa = [*git_esaa(), "-C", str(place)]
        run(["git", "init", "-q", "-b", "main"], place)
        for name, value in (("user.name", "bench"), ("user.email", logs.PERSON)):
            run(["git", "config", name, value], place)
        (place / "README.md").write_text("# Bench\n")
        run(
            [*esaa, "init", "--project", "bench", "--orchestrator-key", str(self.shop.key.path)],
            place,
        )
        roadmap = place / ".roadmap"
        answers = roadmap / "answers"
        answers.mkdir()
        (roadmap / "agent").write_text(AGENT)
        (roadmap / "agent").chmod(0o755)
        kinds = ("impl", "spec")
        plan = [
            {"task_id": name, "kind": kinds[at % 2], "title": name}
            for at, name in enumerate(self.names)
        ]
        for task in plan:
            name = task["task_id"]
            (answers / f"{name}.json").write_text(_answer(name, "{{attempt_id}}"))
        swarm = {
            "schema_version": "0.3.0",
            "agents": {
                "quick": {"adapter": "scripted", "folder": ".roadmap/answers"},
                "program": {"adapter": "command", "command": ["./.roadmap/agent"]},
            },
            "kinds": {"impl": "quick", "spec": "program", "qa": "quick", "hotfix": "quick"},
        }
        (roadmap / "agents_swarm.yaml").write_text(yaml.safe_dump(swarm))
        document = {"project": "bench", "tasks": plan}
        (roadmap / "plan.yaml").write_text(yaml.safe_dump(document))
        policy = roadmap / "RUNTIME_POLICY.yaml"
        policy.write_text(
            policy.read_text()
            .replace("ttl: PT30M", "ttl: PT10S")
            .replace("max_per_task: 3", "max_per_task: 1000")
        )
        run(["git", "add", "--all"], place)
        run(["git", "commit", "-q", "-m", "begin"], place)
        run([*esaa, "allow", "--yes"], place)
        run([*esaa, "plan", "apply"], place)
        return place


def _answer(name: str, attempt_id: str) -> str:
    update = {"op": "write", "path": f"docs/{name}.md", "content": f"{name}\n"}
    payload = {"summary": "done", "file_updates": [update]}
    address = {"task_id": name, "attempt_id": attempt_id}
    return json.dumps({"action": "agent.result", **address, "payload": payload})


def _claim_and_submit(place: Path, who: str, name: str) -> None:
    """Take a task and answer for it; that somebody else has it, or had it, is as good."""
    esaa, me = ("-C", str(place)), ("--as", who)
    if run_command([*esaa, "claim", name, *me]):
        return
    repository = open_repository(place)
    state, _ = GitEventLog(repository, GitRefs(repository), SigningKeys(_nobody)).load()
    attempt = state.tasks[name].attempt
    if attempt is None or attempt.agent != who:
        return
    answer = place.parent / f"{place.name}-{os.getpid()}.json"
    answer.write_text(_answer(name, attempt.attempt_id))
    try:
        if run_command([*esaa, "submit", str(answer), *me]) == 0:
            print(f"done     {attempt.attempt_id}", flush=True)
    finally:
        answer.unlink()


def _nobody() -> Any:
    raise AssertionError("who only reads signs nothing")


def _reported(said: Path) -> tuple[set[str], int]:
    """Return the tasks that somebody said were done, and how often somebody recovered."""
    reported, recoveries = set(), 0
    for line in said.read_text(errors="replace").splitlines():
        if line.startswith("done     ") and "-A" in line:
            reported.add(line.split()[1].rpartition("-A")[0])
        recoveries += line.startswith("recovered: ") or "its process is gone" in line
    return reported, recoveries


def _programs(folder: Path) -> list[int]:
    """Return the processes that run the agent as it was pinned, laid out below this folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (place / "cmdline").read_bytes().split(b"\0")[:3]
            if any(
                word.startswith(os.fsencode(folder)) and word.endswith(b"/.roadmap/agent")
                for word in words
            ):
                found.append(int(place.name))
    return found
