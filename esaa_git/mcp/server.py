"""The MCP server: six tools over standard input and output.

Needs the extra `esaa-git[mcp]`. The SDK is asynchronous and the orchestrator is not, so calls are
carried out in worker threads: submissions one at a time, since checks may make them long, and all
others one at a time beside them, so that a heartbeat gets through. Each call opens the repository
anew, as a command does: nothing is shared between the two, what other processes have recorded is
seen, and what one that died left undone is finished.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

import anyio
import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BeforeValidator, Field

from esaa_git import __version__
from esaa_git.app.elsewhere import explain
from esaa_git.app.observer import Notes
from esaa_git.app.project import Project
from esaa_git.errors import EsaaError, NoLog, RefusedError
from esaa_git.mcp import tools
from esaa_git.mcp.words import told

INSTRUCTIONS = """\
The tasks of this repository and their rules, kept by git-esaa: you propose, it checks, records \
and commits.

1. next_task shows what can be done; with claim true it gives you one task, its request and a \
deadline.
2. Work within request.contract.write. Edit files in the checkout, and do not commit them: \
git-esaa makes the commit.
3. submit_result with a summary and the paths that you changed. An error says what to correct.
4. heartbeat before the deadline if the work takes long; report_issue for what keeps you from it.
"""

LAST_CALL_SECONDS = 30
"""How long a call that is under way may take to end when the server is told to end."""

_READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
_WRITES = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)


def _as_text(value: Any) -> Any:
    """Take a list where its JSON text is asked for: some callers cannot be kept from it."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


TaskId = Annotated[str, Field(description="The task's id, as next_task names it.")]
Paths = Annotated[
    list[str],
    Field(
        description="Files to propose as they stand in the checkout, relative to the top of the "
        "repository. One that is gone is proposed as deleted."
    ),
]
FileUpdates = Annotated[
    str,
    BeforeValidator(_as_text),
    Field(
        description="Instead of paths, where you cannot edit the checkout: the changes as JSON "
        'text, a list such as [{"op": "write", "path": "a.txt", "content": "..."}]. The request '
        "shows all operations under answer.file_updates."
    ),
]
Checks = Annotated[list[str], Field(description="What you have checked, one sentence each.")]


class _Line:
    """Calls that are carried out one after the other."""

    def __init__(self) -> None:
        self.limiter = anyio.CapacityLimiter(1)
        self.busy = threading.Lock()


class Desk:
    """Where interactive agents come for work, and bring it back to.

    Args:
        open_project: opens the repository for one call.
        name: whom every call is from; by default whom the client says it is, and where it does
            not, whom git's configuration names.
    """

    def __init__(self, open_project: Callable[[], Project], name: str | None) -> None:
        self._open_project = open_project
        self._name = name
        self._submissions = _Line()
        self._others = _Line()
        self._leaving = threading.Event()

    async def next_task(
        self,
        context: Context[Any, Any],
        task_id: Annotated[
            str, Field(description="A task of your choice; empty for the first in the plan.")
        ] = "",
        claim: Annotated[
            bool, Field(description="Take it: an attempt opens for you, with a deadline.")
        ] = False,
    ) -> dict[str, Any]:
        """List the tasks that you can take, or take one with claim true.

        Claiming returns the request: the task, its acceptance criteria, where you may write, and
        what the last rejection asked for. Claiming a task that you hold returns it again.
        """
        return await self._call(context, tools.next_task, task_id, claim)

    async def get_task_context(self, context: Context[Any, Any], task_id: TaskId) -> dict[str, Any]:
        """Show the request of a task without taking it, or again if you hold it."""
        return await self._call(context, tools.get_task_context, task_id)

    async def submit_result(
        self,
        context: Context[Any, Any],
        task_id: TaskId,
        summary: Annotated[str, Field(description="What was done, in a few sentences.")],
        paths: Paths = [],  # noqa: B006  # never changed; a default of None would not be flat
        file_updates: FileUpdates = "",
        checks: Checks = [],  # noqa: B006  # as above
    ) -> dict[str, Any]:
        """Submit the result of a task that you hold.

        It is checked, recorded, committed to the working branch and the task is done, or waits
        for a review. A rejected result ends the attempt and says what to correct. Submitting the
        same result again does nothing.
        """
        return await self._call(
            context,
            partial(tools.submit_result, pause=self._pause),
            task_id,
            summary,
            paths,
            file_updates,
            checks,
            line=self._submissions,
        )

    async def report_issue(
        self,
        context: Context[Any, Any],
        severity: Annotated[
            Literal["low", "medium", "high", "critical"],
            Field(description="By default high blocks the task, critical ends the run."),
        ],
        title: Annotated[str, Field(description="One line.")],
        task_id: Annotated[str, Field(description="The task it is about, if any.")] = "",
        description: Annotated[str, Field(description="What happens, and how to see it.")] = "",
    ) -> dict[str, Any]:
        """Report a defect, or what keeps you from doing a task."""
        return await self._call(context, tools.report_issue, task_id, severity, title, description)

    async def heartbeat(
        self,
        context: Context[Any, Any],
        task_id: TaskId,
        note: Annotated[str, Field(description="How far you are, in a line.")] = "",
    ) -> dict[str, Any]:
        """Say that you still work on a task that you hold; its deadline moves on."""
        return await self._call(context, tools.heartbeat, task_id, note)

    async def get_status(self, context: Context[Any, Any]) -> dict[str, Any]:
        """Show where the run stands, what you hold, who works on what, and what needs a person."""
        return await self._call(context, tools.get_status)

    async def _call(
        self,
        context: Context[Any, Any],
        tool: Callable[..., dict[str, Any]],
        *arguments: Any,
        line: _Line | None = None,
    ) -> dict[str, Any]:
        params = context.request_context.session.client_params
        client = None if params is None else params.client_info.name
        line = line or self._others
        work = partial(self._carry_out, line.busy, client, tool, arguments)
        return await anyio.to_thread.run_sync(work, limiter=line.limiter)

    def _carry_out(
        self,
        busy: threading.Lock,
        client: str | None,
        tool: Callable[..., dict[str, Any]],
        arguments: tuple[Any, ...],
    ) -> dict[str, Any]:
        """Do one call, as a command would; every failure becomes one that the caller can read.

        Raises:
            ToolError: with the message, the cause and the hint.
        """
        notes = Notes()
        with busy:
            try:
                # Not closed: a packing goes on beside the next call, and no caller waits for it.
                project = self._open_project()
                project.observer = notes
                result = tool(project, _actor(project, self._name, client), *arguments)
            except EsaaError as error:
                found = explain(project, error) if isinstance(error, NoLog) else error
                raise ToolError("\n".join([told(found), *notes.lines])) from error
            except OSError as error:
                what = f"'{error.filename}'" if error.filename else "a file"
                raise ToolError(f"cannot use {what}: {error.strerror or error}") from error
            except Exception as error:
                if os.environ.get("ESAA_DEBUG"):
                    raise
                raise ToolError(
                    f"a fault in git-esaa itself: {type(error).__name__}: {error}\n"
                    "hint: nothing half was recorded; tell a person to report it"
                ) from error
        return {**result, "notes": notes.lines} if notes.lines else result

    def serve(self) -> None:
        """Answer calls until standard input ends."""
        server = MCPServer(
            "git-esaa", version=__version__, instructions=INSTRUCTIONS, log_level="CRITICAL"
        )
        server.add_tool(self.next_task, annotations=_WRITES)
        server.add_tool(self.get_task_context, annotations=_READS)
        server.add_tool(self.submit_result, annotations=_WRITES)
        server.add_tool(self.report_issue, annotations=_WRITES)
        server.add_tool(self.heartbeat, annotations=_WRITES)
        server.add_tool(self.get_status, annotations=_READS)
        for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ending, self._leave)
        server.run("stdio")

    def _leave(self, number: int, _frame: object) -> None:
        """End at a signal, after the calls that are under way; checks are called off.

        A thread waits for standard input and cannot be called back, so the process ends here.
        """
        self._leaving.set()
        for line in (self._submissions, self._others):
            line.busy.acquire(timeout=LAST_CALL_SECONDS)
        os._exit(128 + number)

    def _pause(self) -> None:
        if self._leaving.is_set():
            raise RefusedError(
                "the server was told to end; nothing was recorded", hint="submit it again"
            )


def _actor(project: Project, given: str | None, client: str | None) -> str:
    """Return who calls. A client's word for itself never makes it a person: it keeps no '@'."""
    if given is None and client is not None:
        plain = re.sub(r"[^A-Za-z0-9._+-]+", "-", client)[:64].strip("-._+")
        return project.actor(plain or None)
    return project.actor(given)
