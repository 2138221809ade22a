"""An agent whose answers are recorded: for demonstrations, tests and the replay of a run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from esaa_git import beneath
from esaa_git.agents.adapter import Adapter, agent_error
from esaa_git.agents.asking import ask_for_path
from esaa_git.core.asks import Ask
from esaa_git.core.contracts import SWARM, AgentEntry
from esaa_git.core.events.spec import line, record
from esaa_git.core.rejection import RejectCode
from esaa_git.errors import AgentError
from esaa_git.floor import path_fault
from esaa_git.ports.agent import Answer, Request
from esaa_git.ports.consent import NamedFiles

ATTEMPT_PLACEHOLDER: Final = b"{{attempt_id}}"
"""Stands for the attempt's id in a recording for all attempts at a task."""


class ScriptedAgent:
    """Answers from a folder: `<attempt_id>.json` where it exists, otherwise `<task_id>.json`.

    In the second, `ATTEMPT_PLACEHOLDER` becomes the attempt's id, so one recording serves every
    attempt; the first is returned byte for byte. Asked to review an attempt, it looks for
    `<attempt_id>.review.json` and `<task_id>.review.json` in their place. The same folder gives the
    same answers, with a latency of 0, so a recorded run can be made again to the byte. No program
    runs: `sandbox` is `in-process`.

    Args:
        entry: `settings["folder"]` is relative to `root` and stays inside it, or is absolute.
        root: the top of the checkout, None in a bare repository.
    """

    def __init__(self, entry: AgentEntry, root: Path | None) -> None:
        self.name = entry.name
        self.adapter = entry.adapter
        self.model = entry.model
        self.sandbox = "in-process"
        self.has_checkout = True
        self._folder: str = entry.settings["folder"]
        self._root = root

    def ready(self) -> None:
        """Raise AgentError if the folder is missing or out of bounds."""
        self._found_folder()

    def prepare(self, request: Request) -> Request:
        """Return the request as it is: a recording does not read it."""
        return request

    def answer(self, request: Request, pause: Callable[[], None]) -> Answer:
        """Return the recorded answer; where there is none, the attempt has failed.

        Raises:
            AgentError: as `ready`, or if a recording cannot be read.
        """
        folder = self._found_folder()
        ending = ".review.json" if "review" in json.loads(request.view) else ".json"
        names = (f"{request.attempt_id}{ending}", f"{request.task_id}{ending}")
        root, inside = folder
        for name in names:
            try:
                output = beneath.read(root, f"{inside}/{name}".lstrip("/"))
            except beneath.Obstacle as error:
                raise self._error(f"recorded answer '{name}' cannot be read", str(error)) from error
            if output is None:
                continue
            if name == names[1]:
                output = output.replace(ATTEMPT_PLACEHOLDER, request.attempt_id.encode())
            return Answer(output, 0)
        # The folder is named as it is configured: where a checkout lies is nothing for a log.
        return Answer(
            b"",
            0,
            f"has no recorded answer: neither '{names[0]}' nor '{names[1]}' is in '{self._folder}'",
            RejectCode.AGENT_FAILED,
            {"looked_for": list(names)},
        )

    def _found_folder(self) -> tuple[Path, str]:
        """Return a folder of this machine, and the path below it that is the repository's."""
        root, inside = Path(self._folder), ""
        if not root.is_absolute():
            if self._root is None:
                raise self._error(
                    f"no checkout to look for folder '{self._folder}' in",
                    "a relative folder is one of the checkout, and this repository has none",
                )
            root, inside = self._root, os.path.normpath(self._folder)
            if inside.split("/", 1)[0] == "..":
                raise self._error(f"folder '{self._folder}' leaves the checkout", None)
            inside = "" if inside == "." else inside
        elif (fault := path_fault(root)) is not None:
            raise self._error(f"folder '{self._folder}' is never read", fault)
        try:
            with beneath.open_folder(root, inside):
                return root, inside
        except (OSError, beneath.Obstacle) as error:
            cause = str(error) if isinstance(error, beneath.Obstacle) else error.strerror
            raise self._error(f"no folder '{self._folder}'", cause) from error

    def _error(self, message: str, cause: str | None) -> AgentError:
        hint = (
            f"correct 'folder' in .roadmap/{SWARM} (it takes effect with the next run), "
            "or put the recorded answers there"
        )
        return agent_error(self.name, message, cause, hint)


def _asks(entry: AgentEntry, files: NamedFiles) -> Iterator[Ask]:
    asked = ask_for_path("recorded answers", entry.settings["folder"], files)
    if asked.kind == "file":  # a folder of the checkout is the repository's own
        yield asked


ADAPTER: Final = Adapter(
    settings_schema=record({"folder": line(1000)}, {"model": line()}),
    sandboxes=("in-process",),
    make=lambda entry, context: ScriptedAgent(entry, context.root),
    asks=_asks,
)
