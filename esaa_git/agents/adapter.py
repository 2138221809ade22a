"""What the author of an adapter registers, and what adapters are given of repository and machine.

`esaa_git.ports.agent` has what an adapter implements; docs/extending.md shows one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from esaa_git.core.asks import Ask
from esaa_git.core.contracts import AgentEntry
from esaa_git.core.event import instant, timestamp
from esaa_git.core.events.dispatch import Sandbox
from esaa_git.core.events.spec import Schema
from esaa_git.core.programs import Programs
from esaa_git.errors import AgentError
from esaa_git.ports.agent import AgentAdapter, Request, Workspaces
from esaa_git.ports.consent import NamedFiles
from esaa_git.ports.files import BlobStore, Trees
from esaa_git.ports.local import Clock


def _nothing(_path: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class AdapterContext:
    """One attempt's context; its parts are used by the thread of that attempt alone.

    Attributes:
        root: the top of the operator's checkout, None in a bare repository.
        trees: the files of commits, of which an agent is shown some.
        blobs: their contents.
        workspaces: makes throwaway checkouts.
        clock: tells how far off a deadline is.
        max_output_bytes: how much of an answer is read, from RUNTIME_POLICY.
        sandbox: the confinement that was asked for: `auto`, `landlock`, `bubblewrap` or `none`.
        prompt: gives the text of a pinned prompt template by name, or None.
        programs: the pinned programs; None where the log says nothing of programs.
        in_tree: answers whether an absolute path is a file of the checkout that git tracks.
        kept: the folder in which what setups provide is kept; None keeps nothing.
        sessions: the folder in which agents' own sessions are kept; None keeps nothing.
    """

    root: Path | None
    trees: Trees
    blobs: BlobStore
    workspaces: Workspaces
    clock: Clock
    max_output_bytes: int
    sandbox: str
    prompt: Callable[[str], bytes | None]
    programs: Programs | None = None
    in_tree: Callable[[str], bool] = _nothing
    kept: Path | None = None
    sessions: Path | None = None


@dataclass(frozen=True, slots=True)
class Adapter:
    """One way of asking agents: an entry of the group `esaa_git.adapters`, named by the swarm.

    Attributes:
        settings_schema: the JSON Schema (2020-12) of a swarm entry without its `adapter` and its
            `package`; `model` and `timeout` (an ISO 8601 duration) are in it where they are taken.
            Where it depends on what is installed, a function that gives it for such an entry.
        sandboxes: the words of an adapter's `sandbox` (docs/FORMAT.md, `orchestrator.dispatch`):
            `in-process` where no program is started, the confinements that it can work in, and
            `none` where it can work without.
        make: gives the adapter of an entry. It neither starts nor looks for anything. `settings`
            of the entry fulfil the schema, with `timeout` in milliseconds.
        asks: gives what an entry asks of this machine, for which its user's consent is needed. It
            is for adapters of our own: of a package's, the whole entry is asked for, as it stands.
        in_checkout: it works in a checkout, in which the setup of an entry and of a kind are laid.
        api: the version of the interface that it is made for (`esaa_git.plugins.API`).
    """

    settings_schema: Schema | Callable[[Mapping[str, Any]], Schema]
    sandboxes: Sequence[Sandbox]
    make: Callable[[AgentEntry, AdapterContext], AgentAdapter]
    asks: Callable[[AgentEntry, NamedFiles], Iterable[Ask]] | None = None
    api: int = 1
    in_checkout: bool = False

    def schema_for(self, settings: Mapping[str, Any]) -> Schema:
        """Return the schema that these settings have to fulfil."""
        schema = self.settings_schema
        return schema(settings) if callable(schema) else schema


@dataclass(frozen=True, slots=True)
class Limit:
    """The time that an agent has, until when that is, and what it failed to do after it."""

    milliseconds: int
    deadline: str
    failure: str


def limit(request: Request, timeout_ms: int | None, now: datetime) -> Limit:
    """Return the shorter of what an entry allows and what the attempt's deadline leaves."""
    left_ms = (instant(request.deadline) - now) // timedelta(milliseconds=1)
    if timeout_ms is not None and timeout_ms < left_ms:
        deadline = timestamp(now + timedelta(milliseconds=timeout_ms))
        failure = f"did not answer within its timeout of {timeout_ms} ms"
        return Limit(timeout_ms, deadline, failure)
    failure = f"did not answer before its deadline {request.deadline}"
    return Limit(left_ms, request.deadline, failure)


def agent_error(agent: str, message: str, cause: str | None, hint: str) -> AgentError:
    """Return the error that an agent cannot be asked, in the words in which all of them say it."""
    return AgentError(f"agent '{agent}': {message}", cause=cause, hint=hint)
