"""From a checkout that an agent edited to one envelope, whatever way the agent was asked."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from esaa_git import beneath
from esaa_git.agents.adapter import Limit
from esaa_git.agents.environments import Environments, SetUpWorkspace
from esaa_git.agents.kept import Kept
from esaa_git.agents.pinned import version_of
from esaa_git.agents.programs import ProgramAgent, environment
from esaa_git.agents.prompts import render
from esaa_git.agents.sessions import Sessions, Told
from esaa_git.agents.unfit import fails, suspect
from esaa_git.core import canonical
from esaa_git.core.rejection import RejectCode
from esaa_git.ports.agent import Answer, Request, Workspace

NOTE: Final = ".esaa-answer.json"
"""The file in its home by which an agent answers that changes no file: an envelope."""

MAX_SUMMARY: Final = 4000
"""How many characters of an agent's last message are its summary (`agent.result`)."""

_UNCHANGED: Final = (
    "left every file as it is; where the task needs no change, say so by an agent.result without "
    f"file_updates in '{NOTE}' in your home folder"
)

Work = TypeVar("Work")
"""What comes of an agent's work in a checkout."""


class EditingAgent(ProgramAgent, Generic[Work]):
    """A program that edits a throwaway checkout of the base, with a HOME and a TMPDIR of its own.

    The setups of its entry have been run for that checkout.

    Its settings may hold `template`. A kind of it says how it is asked (`_work`), and what it
    amounts to when all its processes have ended (`_judged`).

    It goes on from the files of its last attempt, where the request brings them, and in its own
    session, where it has any (`_session_places`).
    """

    goes_on: Final = True

    @property
    def _session_places(self) -> Sequence[str] | None:
        """Where in its home its sessions lie, none for all of it; None where it has no sessions."""
        return None

    def _told(self, work: Work, session: str | None) -> Told | None:
        """Return what came of its session, which may have gone on in one."""
        return None

    def prepare(self, request: Request) -> Request:
        """Return the request with the prompt that its template makes of the view.

        Raises:
            ConfigurationError: if the template is missing or cannot be rendered.
        """
        name = self._settings.get("template", "editor")
        made = render(name, self._context.prompt(name), request.view)
        return replace(request, sent=made.text.encode(), template=made.template)

    def _answer(
        self, request: Request, allowed: Limit, until: float, pause: Callable[[], None]
    ) -> Answer:
        setups, base, changes = self._entry.setups, request.base, request.changes
        places = self._session_places
        sessions = Sessions(self._context.sessions, self._entry, {NOTE})
        if places is None and request.session == "last":
            request = replace(request, session="new")  # what another agent has kept is over
        last = sessions.last(request)
        opened = self._environments.open(setups, base, changes, pause, request.begun, last.top)
        with opened as workspace:
            session = sessions.lay(last, request, workspace, pause)
            started = time.monotonic()
            work = self._work(request, workspace, allowed, until, pause, session.id)
            latency_ms = int((time.monotonic() - started) * 1000)
            answer = self._judged(request, workspace, allowed, work)
            told = self._told(work, session.id)
            notes = session.begun(told)
            if answer.unavailable is None:
                # What a tool failed in, it might fail in for ever.
                good = None if answer.code == RejectCode.AGENT_FAILED else told
                kept = sessions.keep(good, request, workspace, places or (), answer.usage, pause)
                notes = (*notes, *kept)
        usage = session.since(answer.usage, told)
        return replace(answer, latency_ms=latency_ms, usage=usage, notes=notes)

    def set_up(self, base: str, pause: Callable[[], None]) -> None:
        """Have made what its setups provide, which takes long the first time."""
        self._environments.provide(self._entry.setups, base, pause)

    @property
    def _environments(self) -> Environments:
        context = self._context
        return Environments(
            context.workspaces,
            context.trees,
            context.blobs,
            context.sandbox,
            Kept(context.kept),
            context.root,
            context.in_tree,
        )

    def _require_program(self) -> None:
        """Raise AgentError if the program is missing, is known to fail here, or one of a setup."""
        super()._require_program()
        self._require_fit()
        self._environments.ready(self._entry.setups)

    def _require_fit(self) -> None:
        """Raise AgentError where this version of the program is known to fail as it is confined."""
        one = suspect(self._words(), self.sandbox)
        if one is None:
            return
        version = self.version()
        if fails(one, version):
            raise self._error(
                f"{version} does not work with --sandbox {one.level}",
                one.why,
                "run it with '--sandbox bubblewrap'",
            )

    def version(self) -> str | None:
        """Return what the program says of its version; None where it says nothing."""
        env = environment(self.name, (), home=Path(), tmp=Path(), ours={})
        return version_of(self.program(), self.sandbox, env, self.own_places())

    @abstractmethod
    def _work(
        self,
        request: Request,
        workspace: SetUpWorkspace,
        allowed: Limit,
        until: float,
        pause: Callable[[], None],
        session: str | None,
    ) -> Work:
        """Have the checkout edited, and return what came of it.

        Args:
            session: the id of the one to go on in; its files lie in the home.
        """

    @abstractmethod
    def _judged(self, request: Request, workspace: Workspace, allowed: Limit, work: Work) -> Answer:
        """Return the answer that the work amounts to."""


def proposed(request: Request, workspace: Workspace, words: str, max_bytes: int) -> Answer:
    """Return what an agent proposes that came to its end, by the checkout alone.

    Where files differ, they are the proposal. Where none does, an envelope that it left in `NOTE`
    is its answer. Its words alone are one where it could change nothing. Where it could have
    written, a word that it did is no change: that is EMPTY_PROPOSAL, and an agent that means it
    says so by an `agent.result` in `NOTE`.

    Who was asked to review decides by `NOTE`, or by an envelope as the last words; what was
    changed in trying things out is nothing.

    Args:
        words: its last message.
        max_bytes: the most that an envelope may have.
    """
    view = canonical.decode(request.view)
    note = read_file(workspace.home / NOTE, max_bytes)
    if "review" in view and (note or words):
        decision = note or words.encode()
        return Answer(decision, 0, truncated=len(decision) > max_bytes)
    contract = view.get("contract", {})
    diff = workspace.diff(max_bytes, contract.get("by_products", ()))
    if diff.fault is not None:
        fault = diff.fault
        return Answer(words.encode(), 0, fault.message, fault.code, fault.detail)
    left_out = diff.left_out
    if not diff.updates:
        if note:
            return Answer(note, 0, truncated=len(note) > max_bytes, left_out=left_out)
        if not words:
            failure = "ended without a change, a note or a word"
            return Answer(b"", 0, failure, RejectCode.OUTPUT_EMPTY, left_out=left_out)
        if contract.get("write"):
            code = RejectCode.EMPTY_PROPOSAL
            return Answer(words.encode(), 0, _UNCHANGED, code, left_out=left_out)
    payload: dict[str, Any] = {"summary": words or _counted(len(diff.updates))}
    if diff.updates:
        payload["file_updates"] = [dict(update) for update in diff.updates]
    envelope: Mapping[str, Any] = {
        "action": "agent.result",
        "task_id": request.task_id,
        "attempt_id": request.attempt_id,
        "payload": payload,
    }
    output = canonical.encode(envelope)
    return Answer(output, 0, truncated=len(output) > max_bytes, left_out=left_out)


def _counted(files: int) -> str:
    return f"changed {files} file{'s' if files != 1 else ''}, and said nothing about it"


def read_file(path: Path, most: int) -> bytes:
    """Return a file that an agent left, one byte more than `most` at most; empty if there is none.

    Neither what a link leads to is read, nor a pipe or a device.
    """
    try:
        with beneath.reading(path.parent, path.name) as file:
            return file.read(most + 1)
    except (OSError, beneath.Obstacle):
        return b""
