"""What a coding agent's tool keeps of its session, for the next attempt at the same task.

A program has written it that nobody trusts. So it goes back into the home of the same agent, for
the same task, and nowhere else. It lies in the git directory, where nothing that is confined can
write, in one folder a task; it is bounded, and what is neither file nor folder is refused. Where it
is not at hand, a session begins anew, and that is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from esaa_git import beneath
from esaa_git.agents.transplant import Bound, CannotMove, Moved, put, take
from esaa_git.core.canonical import digest
from esaa_git.core.contracts import AgentEntry
from esaa_git.core.rejection import excerpt
from esaa_git.folders import remove_folder
from esaa_git.ports.agent import Request, Workspace

MOST_BYTES: Final = 64 << 20
MOST_FILES: Final = 4000
"""How much is kept of one session."""

_NO_SESSION: Final = frozenset({".cache", ".npm", ".claude/debug"})
"""What tools leave in a home that belongs to no session."""

_FILES: Final = "files"
_ABOUT: Final = "about.json"
_MOST_ABOUT: Final = 10_000
# It becomes an argument of a command line.
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Told:
    """What a tool says of its session when an attempt is over.

    Attributes:
        id: by which it can be gone on in.
        went_on: it was that of the attempt before.
        counted: the keys of its usage that are of the whole session.
    """

    id: str
    went_on: bool = False
    counted: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """How the session of an attempt begins.

    Attributes:
        id: the one to go on in; None where it begins anew.
        anew: why, where there was one before.
        top: where the checkout of the attempt before lay: some tools look for sessions by it.
        usage: what was used up in it before, as its tool counted.
    """

    id: str | None = None
    anew: str = ""
    top: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict)

    def begun(self, told: Told | None) -> Sequence[str]:
        """Return what a person is told of it, once it is known."""
        if told is not None and told.went_on:
            return ("goes on in its session",)
        if self.id is not None:
            return ("begins its session anew: its tool did not take up the last one",)
        return (f"begins its session anew: {self.anew}",) if self.anew else ()

    def since(self, usage: Mapping[str, Any], told: Told | None) -> Mapping[str, Any]:
        """Return the usage of this attempt alone, where a tool counts that of a whole session."""
        counted = told.counted if told is not None and told.went_on else ()
        before = {key: self.usage.get(key, 0) for key in counted if key in usage}
        if any(not isinstance(was, int) or usage[key] < was for key, was in before.items()):
            return usage
        return {**usage, **{key: usage[key] - was for key, was in before.items()}}


class Sessions:
    """The sessions of one agent, one a task.

    Args:
        folder: made when it is first needed; None keeps nothing.
        entry: the agent's; where its settings are others, it is another agent.
        answers: paths of a home that are of one attempt alone.
    """

    def __init__(self, folder: Path | None, entry: AgentEntry, answers: Set[str]) -> None:
        self._folder = folder
        self._bound = Bound(MOST_BYTES, MOST_FILES, links=False, left_out=answers | _NO_SESSION)
        who = [entry.name, entry.adapter, dict(entry.settings)]
        self._owner = digest(json.dumps(who, sort_keys=True, default=str).encode())

    def last(self, request: Request) -> Session:
        """Return the session that an attempt has to go on in, if its files are here."""
        if self._folder is None or request.session == "none":
            return Session()
        if request.session == "new":
            remove_folder(self._folder / request.task_id)
            return Session()
        about = _about(self._folder, request.task_id)
        if about is None:
            return Session(anew="nothing was kept of it")
        if about["owner"] != self._owner:
            return Session(anew="the last one is of another agent")
        return Session(about["id"], "", about["top"], about["usage"])

    def lay(
        self, session: Session, request: Request, workspace: Workspace, pause: Callable[[], None]
    ) -> Session:
        """Lay the files of a session into a new home; return it, or one that begins anew."""
        if self._folder is None or session.id is None:
            return session
        if str(workspace.top) != session.top:
            return Session(anew="its checkout cannot lie where the last one lay")
        source = f"{request.task_id}/{_FILES}"
        try:
            for name in beneath.names(self._folder, source):
                put(self._folder / source, name, workspace.home, None, frozenset(), pause)
        except (CannotMove, OSError, beneath.Obstacle) as error:
            remove_folder(workspace.home)
            workspace.home.mkdir(mode=0o700)
            return Session(anew=excerpt(f"what was kept of it cannot be laid out: {error}"))
        return session

    def keep(
        self,
        told: Told | None,
        request: Request,
        workspace: Workspace,
        places: Sequence[str],
        usage: Mapping[str, Any],
        pause: Callable[[], None],
    ) -> Sequence[str]:
        """Keep the session of an attempt in the stead of the last one; return what is to be said.

        Args:
            told: None where its tool named none: then none is kept.
            places: where in the home it lies, with its id in the name of a file; where there are
                none, all of the home is kept.
            usage: of the session, as its tool counts.
        """
        if self._folder is None or request.session == "none":
            return ()
        place = self._folder / request.task_id
        remove_folder(place)
        if told is None:
            return ()
        unfinished = self._folder / f".{request.task_id}"
        about = {
            "owner": self._owner,
            "id": told.id,
            "top": str(workspace.top),
            "usage": {key: value for key, value in usage.items() if type(value) is int},
        }
        try:
            if not _ID.fullmatch(told.id):
                raise CannotMove("its id is no plain word")
            remove_folder(unfinished)
            (unfinished / _FILES).mkdir(mode=0o700, parents=True)
            for folder in (self._folder, unfinished):
                folder.chmod(0o700)
            moved = Moved()
            for path in places or beneath.names(workspace.top, workspace.home.name):
                take(workspace.home, path, unfinished / _FILES, None, pause, moved, self._bound)
            if places and not any(told.id in one.name for one in unfinished.rglob("*")):
                raise CannotMove("no file is named by it")
            (unfinished / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
            unfinished.rename(place)
        except (CannotMove, OSError, beneath.Obstacle) as error:
            return (f"its session is not kept: {excerpt(str(error))}",)
        finally:
            remove_folder(unfinished)
        return ()


def tidy(folder: Path, is_open: Callable[[str], bool]) -> list[str]:
    """Remove the sessions of tasks that nobody will go on with; return what was removed."""
    removed = []
    for name in beneath.names(folder, ""):
        task_id = name.removeprefix(".")
        if not is_open(task_id):
            remove_folder(folder / name)
            removed.append(f"removed what was kept of a session for {excerpt(task_id)}")
    return removed


def _about(folder: Path, task_id: str) -> Mapping[str, Any] | None:
    """Return what stands beside the files of a task's session, None where that is not readable."""
    try:
        text = beneath.read(folder, f"{task_id}/{_ABOUT}", most=_MOST_ABOUT)
        about = None if text is None else json.loads(text)
        if not beneath.names(folder, f"{task_id}/{_FILES}"):
            return None
    except (beneath.Obstacle, ValueError, RecursionError):
        return None
    words = ("owner", "id", "top")
    if not isinstance(about, dict) or not all(isinstance(about.get(word), str) for word in words):
        return None
    return about if isinstance(about.get("usage"), dict) else None
