"""A log that two parties share: a clone with the orchestrator's key, and a bare server with a hook.

The pushes are real, through git and the hook that `git esaa hooks install` puts in place.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esaa_git.app.hooks import install
from esaa_git.core.canonical import encode
from esaa_git.core.contracts import Contracts
from esaa_git.core.event import after, decode
from esaa_git.store.eventcommit import EventCommit, read_event_commit
from esaa_git.store.repository import open_repository
from esaa_git.trust.signer import Signer
from tests.conftest import Git
from tests.support.copies import copy_folder
from tests.support.forgery import Draft, Forger, draft_of
from tests.support.logs import make_log
from tests.support.project import Project
from tests.support.warm import environment

LOG, MAIN = "refs/esaa/events", "refs/heads/main"


@dataclass
class Shared:
    """The clone, the server, and what passes between them."""

    project: Project
    server: Path
    run: Git

    # -- the two sides ------------------------------------------------------------------------

    @property
    def signer(self) -> Signer:
        return self.project.signer

    def refs(self) -> str:
        """Every ref of the server."""
        return self.run(self.server, "for-each-ref", "--format=%(refname) %(objectname)")

    def at(self, ref: str = LOG) -> str:
        return self.run(self.server, "rev-parse", "--verify", ref)

    def configure(self, name: str, value: str = "true") -> None:
        self.run(self.server, "config", name, value)

    # -- pushes -------------------------------------------------------------------------------

    def push(self, *refspecs: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Push, and return git's exit status and what it and the hook said."""
        done = subprocess.run(
            ["git", "push", "--porcelain", "origin", *refspecs],
            cwd=self.project.path,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, **environment(), **(env or {})},
            check=False,
        )
        said = "\n".join(line.rstrip() for line in done.stderr.splitlines())
        assert "Traceback" not in said, said
        return done.returncode, said

    def taken(self, *refspecs: str, env: Mapping[str, str] | None = None) -> str:
        """Push what has to be taken."""
        status, said = self.push(*refspecs, env=env)
        assert status == 0, said
        return said

    def refused(self, *refspecs: str, env: Mapping[str, str] | None = None) -> str:
        """Push, prove that nothing moved on the server, and return what the hook said."""
        before = self.refs()
        status, said = self.push(*refspecs, env=env)
        assert status != 0, said
        assert self.refs() == before
        assert "a fault in git-esaa itself" not in said, said
        return said

    # -- what an attacker makes ---------------------------------------------------------------

    def forger(self, *, upto: int | None = None) -> Forger:
        """Return a forger that stands on the honest log, and signs with the orchestrator's key."""
        return Forger(self.project, self.signer.sign).copy(self.project.chain()[:upto])

    def draft(self, oid: str) -> Draft:
        """Return a commit as it is, to be written with a change and signed anew."""
        return draft_of(self.event(oid), self.signer.sign)

    def event(self, oid: str) -> EventCommit:
        return read_event_commit(self.project.repository.read, oid)


def health(forger: Forger, message: str = "alive", **changes: Any) -> dict[str, Any]:
    """Return the next honest event: one that may come at any time."""
    seq = forger.state.seq + 1
    return {
        "schema_version": "0.3.0",
        "event_id": f"EV-{seq:08d}",
        "event_seq": seq,
        "ts": after(forger.state.ts, 1000),
        "actor": "orchestrator",
        "action": "orchestrator.health",
        "payload": {"status": "ok", "message": message},
        **changes,
    }


def sealed(document: Mapping[str, Any]) -> Any:
    """Return a document as an event, past all that would keep it from being one."""
    return decode(encode(document))


def build(
    folder: Path,
    git: Git,
    *,
    contracts: Contracts | None = None,
    hook: str = "pre-receive",
    end: bool = False,
) -> Shared:
    """Make a clone with two finished tasks, and a server that has the first of them.

    The events are EV-00000001 to EV-00000011; the server has six of them.
    """
    made = make_log(folder / "clone", tasks=2, done=1, contracts=contracts)
    project = Project(folder / "clone", git)
    server = folder / "server.git"
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(server))
    git(server, "config", "receive.unpackLimit", "100000")
    git(made.path, "remote", "add", "origin", "../server.git")
    install(open_repository(server), hook)
    shared = Shared(project, server, git)
    shared.taken(LOG, MAIN)
    made.open("T-1001")
    made.finish("T-1001", {"src/T-1001.txt": b"T-1001\n"})
    if end:
        made.end()
    made.record()
    return shared


def copy(shared: Shared, folder: Path) -> Shared:
    """Return clone and server as they are, in another place."""
    for name in ("clone", "server.git"):
        copy_folder(shared.server.parent / name, folder / name)
    moved = Shared(Project(folder / "clone", shared.run), folder / "server.git", shared.run)
    key = moved.project.path / ".git" / "esaa" / "test-key"
    moved.project.git("config", "esaa.signingKey", str(key))
    moved.project.git("config", "esaa.approverKey", str(key.with_name("persons-key")))
    return moved
