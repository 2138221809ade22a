"""Workers: processes that run one plan together, each in a clone of its own, over one server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import esaa_git.app.project
from esaa_git.app.hooks import install
from esaa_git.app.project import SystemClock
from esaa_git.faults import Point, arm
from esaa_git.store.repository import open_repository
from tests.conftest import Git
from tests.support import forked
from tests.support.patience import patience
from tests.support.project import Project, make_project, result, run, task, write
from tests.support.team import LOG, MAIN

LIFETIME_SECONDS = patience(100)
"""After which a worker is ended whatever becomes of the test."""


def shifted(seconds: float) -> Callable[[], None]:
    """A worker's clock goes wrong by so many seconds. Time that passes is the same for all."""

    class Shifted(SystemClock):
        def now(self) -> datetime:
            return super().now() + timedelta(seconds=seconds)

    return lambda: setattr(esaa_git.app.project, "SystemClock", Shifted)


def dying(where: str) -> Callable[[], object]:
    """The power fails a worker at a fault point, when it comes there for the nth time."""
    wanted, left = where.split(":")
    met: list[Point] = []

    def die(point: Point) -> None:
        if point == wanted:
            met.append(point)
            if len(met) == int(left):
                os.kill(os.getpid(), signal.SIGKILL)

    armed = ExitStack()  # it is armed for as long as somebody holds this
    return lambda: armed.enter_context(arm(die))


AGENT = """\
import json, os, sys, time

request = json.load(sys.stdin)
task, attempt = request["task"]["task_id"], request["attempt_id"]
with open(os.path.join({told!r}, attempt), "a") as asked:
    asked.write("asked\\n")
while os.path.exists(os.path.join({told!r}, "hold-" + attempt)):
    time.sleep(0.02)
update = {{"op": "write", "path": f"src/{{task}}.txt", "content": f"{{task}}\\n"}}
payload = {{"summary": f"Did {{task}}", "file_updates": [update]}}
answer = {{"action": "agent.result", "task_id": task, "attempt_id": attempt, "payload": payload}}
print(json.dumps(answer))
"""
"""Notes that it was asked, and answers once nobody holds it."""


@dataclass
class Worker:
    """One process at work."""

    project: Project
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        """Stop it as a laptop's lid does, with all that it started."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it as a power cut does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ends(self) -> tuple[int, str]:
        """Wait for its end, and return its exit status and what it said."""
        self.process.wait(LIFETIME_SECONDS)
        said = self.said()
        assert "Traceback" not in said, said
        return self.process.returncode, said

    def said(self) -> str:
        """Return what it has said so far."""
        return self.log.read_text()


@dataclass
class Fleet:
    """Clones of one server, and the workers in them."""

    folder: Path
    server: Path
    url: str
    clones: list[Project]
    run: Git
    workers: list[Worker] = field(default_factory=list)

    # -- workers --------------------------------------------------------------------------------

    def start(
        self,
        number: int,
        *options: str,
        before: Callable[[], object] | None = None,
        shared: bool = True,
    ) -> Worker:
        """Have a worker begin in one of the clones, after what is to come before.

        One that is not `shared` records in its clone alone.
        """
        project = self.clones[number]

        def begin() -> None:
            signal.alarm(int(LIFETIME_SECONDS))
            if before is not None:
                before()

        log = self.folder / f"worker-{len(self.workers)}.log"
        with log.open("wb") as said:
            # A group of its own: whoever is stopped or killed goes with all that it started.
            process = forked.start(
                "run",
                *(("--remote", "origin") if shared else ()),
                *options,
                before=begin,
                cwd=project.path,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        worker = Worker(project, process, log)
        self.workers.append(worker)
        return worker

    def end_all(self) -> None:
        """End whoever is still there."""
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.go_on()
                worker.kill()

    # -- agents ---------------------------------------------------------------------------------

    @property
    def told(self) -> Path:
        """Where agents note that they were asked, and find out whether they are to wait."""
        return self.folder / "told"

    def hold(self, attempt_id: str) -> None:
        (self.told / f"hold-{attempt_id}").touch()

    def let_go(self, attempt_id: str) -> None:
        (self.told / f"hold-{attempt_id}").unlink()

    def asked(self, attempt_id: str) -> Callable[[], bool]:
        return (self.told / attempt_id).exists

    # -- the server -----------------------------------------------------------------------------

    def refs(self) -> str:
        return self.run(self.server, "for-each-ref", "--format=%(refname) %(objectname)")

    def events(self) -> list[dict[str, Any]]:
        """Return the events on the server, oldest first."""
        listed = self.run(self.server, "rev-list", "--reverse", LOG).splitlines()
        return [json.loads(self.run(self.server, "show", f"{oid}:event.json")) for oid in listed]

    def happened(self, action: str, **payload: Any) -> Callable[[], bool]:
        """Return whether an event with these entries is on the server."""

        def look() -> bool:
            return any(
                event["action"] == action
                and all(event["payload"].get(name) == value for name, value in payload.items())
                for event in self.events()
            )

        return look

    def settle(self) -> list[dict[str, Any]]:
        """Have every clone follow; assert that all is one and sound, and return the events.

        One log without gaps, on every clone; every task was done exactly once; everything verifies
        anew from the beginning.
        """
        events = self.events()
        assert [event["event_seq"] for event in events] == list(range(1, len(events) + 1))
        ids = [event["event_id"] for event in events]
        assert len(set(ids)) == len(ids)
        done = Counter(
            event["payload"]["task_id"]
            for event in events
            if event["action"] == "task.update" and event["payload"]["to"] == "done"
        )
        assert set(done.values()) == {1}, done
        log, head = (self.run(self.server, "rev-parse", ref) for ref in (LOG, MAIN))
        for project in self.clones:
            project.ok("fetch")
            assert (project.tip(), project.head()) == (log, head)
            project.forget()
            project.check()
            assert project.status() == ""
            assert all(task.is_done for task in project.state().tasks.values())
        return events


def until(what: Callable[[], bool], seconds: float = 40) -> None:
    """Wait until it holds."""
    end = time.monotonic() + patience(seconds)
    while not what():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


@contextmanager
def fleet(
    folder: Path,
    git: Git,
    *,
    clones: int,
    tasks: int,
    serve: Callable[[Path], str],
    program: bool = False,
    policy: dict[str, Any] | None = None,
    source: str = AGENT,
    **entry: Any,
) -> Iterator[Fleet]:
    """Make a server with a plan of tasks that share no file, and so many clones of it.

    Args:
        serve: puts the bare repository where the server has it, and returns its URL.
        program: agents are programs that can be made to wait; otherwise they answer at once.
        source: of such a program.
        entry: more of what the contracts say of it.
    """
    names = [f"T-{number}" for number in range(1, tasks + 1)]
    plan = [task(name, writes=[f"src/{name}.txt"]) for name in names]
    first = make_project(folder / "w0", git, *plan, policy=policy)
    told = folder / "told"
    told.mkdir()
    if program:
        first.program(source.format(told=str(told)), **entry)
    else:
        for name in names:
            first.answer(name, result(name, write(f"src/{name}.txt", f"{name}\n")))
    first.commit("Agents")
    server = folder / "server.git"
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(server))
    install(open_repository(server), "pre-receive")
    url = serve(server)
    first.git("remote", "add", "origin", url)
    first.ok("plan", "apply")
    first.ok("push")
    made = Fleet(folder, server, url, [first], git)
    for number in range(1, clones):
        said = run("clone", url, str(folder / f"w{number}"))
        assert said.code == 0, said.err
        clone = Project(folder / f"w{number}", git)
        clone.git("config", "esaa.signingKey", str(first.key))
        clone.git("config", "esaa.approverKey", first.setting("esaa.approverKey"))
        if program:
            clone.agree()
        made.clones.append(clone)
    try:
        yield made
    finally:
        made.end_all()
