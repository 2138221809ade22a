"""From an agent's entry in `agents_swarm.yaml` to the adapter that asks it.

The settings of an entry are checked here, by the schema that its adapter brings: before contracts
are pinned (`check_swarm`), and once more when the adapter is made, since a package may be of
another version than the one that checked them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from esaa_git.agents.adapter import Adapter, AdapterContext
from esaa_git.agents.asking import asks_of_setup, asks_of_stranger
from esaa_git.agents.foreign import ForeignAgent
from esaa_git.core.asks import Ask
from esaa_git.core.contracts import SWARM, AgentEntry, Contracts
from esaa_git.core.names_given import fault_of
from esaa_git.core.printable import visible
from esaa_git.core.schema_faults import check_part, unfit
from esaa_git.errors import AgentError, ConfigurationError
from esaa_git.plugins import Door
from esaa_git.ports.agent import AgentAdapter
from esaa_git.ports.consent import NamedFiles

ADAPTERS: Final = Door(
    "esaa_git.adapters",
    "adapter",
    Adapter,
    {
        "scripted": "esaa_git.agents.scripted:ADAPTER",
        "command": "esaa_git.agents.command:ADAPTER",
        "worktree": "esaa_git.agents.worktree:ADAPTER",
        "acp": "esaa_git.agents.acp.agent:ADAPTER",
        "http": "esaa_git.agents.http.agent:ADAPTER",
        "local": "esaa_git.agents.local.agent:ADAPTER",
    },
)
"""Each is imported when it is asked for, so a command pays for none that it does not use."""

_FILE: Final = f".roadmap/{SWARM}"

_CONFINED: Final = {"in-process", "landlock", "bubblewrap"}


def check_swarm(contracts: Contracts) -> None:
    """Refuse a swarm that names an adapter that there is not, or settings that it does not take.

    Where an entry names the `package` of an adapter that is not installed here, its settings are
    not for us to judge: only a run needs them, and says what is missing.

    Raises:
        ConfigurationError: saying where in the file what is wrong; if a package cannot be used.
    """
    for entry in contracts.swarm.agents.values():
        adapter = ADAPTERS.find(entry.adapter)
        if adapter is not None:
            _check_settings(entry, adapter)
            if entry.setups and not adapter.in_checkout:
                fault = (
                    f"adapter '{entry.adapter}' works in no checkout that could be set up; what "
                    "checks need stands under 'setup' of the kind in AGENT_CONTRACT.yaml"
                )
                raise unfit(_FILE, f"agents/{entry.name}/setup: {fault}")
        elif entry.package is None:
            raise _unknown(entry)


def asks_of_agent(entry: AgentEntry, files: NamedFiles) -> list[Ask]:
    """Return what an agent's entry asks of this machine; of an adapter that we do not know, all.

    Settings are held against their schema where they give no sense at all. With others that are
    wrong no agent is made.

    Raises:
        ConfigurationError: if its settings are none of the adapter's, or a package cannot be used.
    """
    adapter = ADAPTERS.find(entry.adapter)
    if adapter is None and entry.package is None:
        raise _unknown(entry)
    if adapter is None or adapter.asks is None or entry.adapter not in ADAPTERS.built_in:
        return list(asks_of_stranger(entry))
    _check_names(entry)
    try:
        asks = list(adapter.asks(entry, files))
        for setup in entry.setups if adapter.in_checkout else ():
            asks += asks_of_setup(setup, files)
        return asks
    except (AttributeError, KeyError, TypeError, ValueError):
        _check_settings(entry, adapter)
        raise


def make_agent(entry: AgentEntry, context: AdapterContext) -> AgentAdapter:
    """Return the adapter of an agent; nothing is started or looked for yet.

    Raises:
        AgentError: if there is no such adapter here, what it needs is not installed, or it confines
            nothing and that was not asked for.
        ConfigurationError: if its settings are none of the adapter's.
    """
    adapter = ADAPTERS.find(entry.adapter)
    if adapter is None:
        raise _absent(entry)
    package = ADAPTERS.package_of(entry.adapter)
    if package is None:
        return make(adapter, entry, context)
    _check_settings(entry, adapter)
    _check_sandboxes(entry, adapter, context.sandbox)
    return ForeignAgent(entry, package, lambda: adapter.make(entry, context))


def _unknown(entry: AgentEntry) -> ConfigurationError:
    known = ", ".join(ADAPTERS.names())
    fault = f"agents/{entry.name}/adapter: '{entry.adapter}' is not one of {known}"
    return unfit(_FILE, visible(fault, keep=""))


def make(adapter: Adapter, entry: AgentEntry, context: AdapterContext) -> AgentAdapter:
    """Return what an adapter makes of an entry, once its settings and confinement are in order.

    Raises:
        AgentError: if it confines nothing, and that was not asked for.
        ConfigurationError: if its settings are none of the adapter's.
    """
    _check_settings(entry, adapter)
    _check_sandboxes(entry, adapter, context.sandbox)
    return adapter.make(entry, context)


def _absent(entry: AgentEntry) -> AgentError:
    message = f"agent '{entry.name}': no adapter '{visible(entry.adapter, keep='')}'"
    if entry.package is None:
        return AgentError(
            message,
            cause=f"there are: {', '.join(sorted(ADAPTERS.names()))}",
            hint=f"correct 'adapter' in {_FILE}; it takes effect with the next run",
        )
    cause, hint = ADAPTERS.how_to_get(entry.package)
    return AgentError(message, cause=cause, hint=hint)


def _check_settings(entry: AgentEntry, adapter: Adapter) -> None:
    import jsonschema_rs  # 18 ms that a command without agents need not pay

    settings = _as_written(entry)
    try:
        validator = jsonschema_rs.Draft202012Validator(adapter.schema_for(settings))
    except (ValueError, jsonschema_rs.ValidationError) as error:
        raise ConfigurationError(
            f"adapter '{entry.adapter}' cannot be used",
            cause=f"its schema of settings is not one: {str(error).partition(chr(10))[0]}",
            hint="say so to the author of the package that brings it",
        ) from error
    check_part(settings, validator, _FILE, ("agents", entry.name))
    if entry.adapter in ADAPTERS.built_in:
        _check_names(entry)


def _check_names(entry: AgentEntry) -> None:
    """Refuse a variable, host, path or URL that cannot be given, or can be taken for another."""
    for setting in ("env", "key_env", "hosts", "read", "url"):
        given = entry.settings.get(setting)
        for value in given if isinstance(given, list | tuple) else (given,):
            if not isinstance(value, str):
                continue  # its schema says so
            fault = fault_of(setting, value)
            if fault is not None:
                raise unfit(_FILE, f"agents/{entry.name}/{setting}: {fault}")


def _as_written(entry: AgentEntry) -> Mapping[str, Any]:
    """Return an entry as it stands in the file, without what is not for its adapter."""
    settings = dict(entry.settings)
    if entry.model is not None:
        settings["model"] = entry.model
    if "timeout" in settings:
        settings["timeout"] = f"PT{settings['timeout'] // 1000}S"
    if entry.package is not None and entry.adapter in ADAPTERS.built_in:
        settings["package"] = entry.package  # which no adapter of ours takes
    return settings


def _check_sandboxes(entry: AgentEntry, adapter: Adapter, asked: str) -> None:
    """Refuse to run an agent with less confinement than was asked for."""
    match asked:
        case "none":
            return
        case "auto":
            enough = _CONFINED
        case _:
            # Who works in Landlock works in it with namespaces beside.
            enough = {"in-process", asked, asked.removesuffix("-pid")}
    if not enough.intersection(adapter.sandboxes):
        raise AgentError(
            f"agent '{entry.name}': adapter '{entry.adapter}' cannot be confined as asked",
            cause=f"it works in: {', '.join(adapter.sandboxes)}; asked for was '{asked}'",
            hint="'git esaa run --sandbox none' runs agents with all your rights",
        )
