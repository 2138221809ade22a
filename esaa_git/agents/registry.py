"""From an agent's entry in `agents_swarm.yaml` to the adapter that asks it."""

from __future__ import annotations

from pathlib import Path

from esaa_git.core.contracts import SWARM, AgentEntry
from esaa_git.errors import AgentError
from esaa_git.ports import AgentAdapter, BlobStore, Clock, Trees


def make_agent(
    entry: AgentEntry,
    *,
    root: Path | None,
    trees: Trees,
    blobs: BlobStore,
    max_output_bytes: int,
    clock: Clock,
) -> AgentAdapter:
    """Return the adapter of an agent; nothing is started or looked for yet.

    Adapters are imported when they are asked for, so a command pays for none that it does not use.

    Args:
        entry: the agent, as the contracts in force describe it.
        root: the top of the operator's checkout, None in a bare repository.
        trees: the files of commits, of which an agent is shown some.
        blobs: their contents.
        max_output_bytes: how much of an answer is read, from RUNTIME_POLICY.
        clock: tells how far off a deadline is.

    Raises:
        AgentError: if there is no such adapter.
    """
    match entry.adapter:
        case "scripted":
            from esaa_git.agents.scripted import ScriptedAgent

            return ScriptedAgent(entry, root)
        case "command":
            from esaa_git.agents.command import CommandAgent

            return CommandAgent(
                entry,
                root=root,
                trees=trees,
                blobs=blobs,
                max_output_bytes=max_output_bytes,
                clock=clock,
            )
        case unknown:
            raise AgentError(
                f"agent '{entry.name}': no adapter '{unknown}'",
                cause="there are: command, scripted",
                hint=f"correct 'adapter' in .roadmap/{SWARM}; it takes effect with the next run",
            )
