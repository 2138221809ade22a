"""From an agent's entry in `agents_swarm.yaml` to the adapter that asks it."""

from __future__ import annotations

from esaa_git.agents.adapter import AdapterContext
from esaa_git.core.contract_schemas import ADAPTERS
from esaa_git.core.contracts import SWARM, AgentEntry
from esaa_git.errors import AgentError
from esaa_git.ports.agent import AgentAdapter


def make_agent(entry: AgentEntry, context: AdapterContext) -> AgentAdapter:
    """Return the adapter of an agent; nothing is started or looked for yet.

    Adapters are imported when they are asked for, so a command pays for none that it does not use.

    Raises:
        AgentError: if there is no such adapter, or what it needs is not installed.
    """
    match entry.adapter:
        case "scripted":
            from esaa_git.agents.scripted import ScriptedAgent

            return ScriptedAgent(entry, context.root)
        case "command":
            from esaa_git.agents.command import CommandAgent

            return CommandAgent(entry, context)
        case "worktree":
            from esaa_git.agents.worktree import WorktreeAgent

            return WorktreeAgent(entry, context)
        case "acp":
            from esaa_git.agents.acp.agent import AcpAgent

            return AcpAgent(entry, context)
        case "http":
            from esaa_git.agents.http.agent import HttpAgent

            return HttpAgent(entry, context)
        case "local":
            from esaa_git.agents.local.agent import LocalAgent

            return LocalAgent(entry, context)
        case unknown:
            raise AgentError(
                f"agent '{entry.name}': no adapter '{unknown}'",
                cause=f"there are: {', '.join(sorted(ADAPTERS))}",
                hint=f"correct 'adapter' in .roadmap/{SWARM}; it takes effect with the next run",
            )
