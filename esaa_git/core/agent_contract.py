"""AGENT_CONTRACT.yaml, typed: what agents may answer, where each kind may write, what is closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from esaa_git.core.duration import duration_ms
from esaa_git.core.globs import GlobSet
from esaa_git.core.self_running import VERSIONS, runs_by_itself
from esaa_git.core.setup import Setup, setup_of
from esaa_git.errors import ConfigurationError

AGENT_CONTRACT = "AGENT_CONTRACT.yaml"

DEFAULT_CHECK_MS = 10 * 60_000
"""How long a check may take that does not say."""


_NONE = GlobSet(())


@dataclass(frozen=True, slots=True)
class Check:
    """A command that a proposed tree has to pass: a program with its arguments, no shell."""

    name: str
    run: tuple[str, ...]
    timeout_ms: int
    setup: Setup | None = None
    """What it runs in: the setup of the kind of its task."""


@dataclass(frozen=True, slots=True)
class KindContract:
    """What an agent may do in a task of this kind. Globs are relative to the repository root."""

    write: GlobSet
    read: GlobSet
    write_patterns: tuple[str, ...]
    read_patterns: tuple[str, ...]
    review: str
    """`none`, `required` (by a person) or `agent` (by the kind's reviewer, or by a person)."""
    checks: tuple[Check, ...] = ()
    context: tuple[str, ...] | None = None
    """Globs of the files that a request carries; None for those that the kind may read."""
    opens: GlobSet = _NONE
    """What it may write of the files that run by themselves; `write` holds these globs as well."""
    outside: str = "reject"
    """What becomes of a new file outside the boundary: `reject`, or `drop` and name it."""
    retry: str = "continue"
    """What an attempt after a rejected one begins with: its files (`continue`), or `anew`."""
    setup: Setup | None = None
    """What its tasks are worked on and checked in."""


@dataclass(frozen=True, slots=True)
class AgentContract:
    """AGENT_CONTRACT.yaml: allowed actions, boundaries by task kind, prohibitions."""

    actions: frozenset[str]
    kinds: Mapping[str, KindContract]
    prohibited: GlobSet
    prohibited_patterns: tuple[str, ...]
    prohibited_operations: frozenset[str]
    self_running: int | None = None
    """The version of the list of files that run by themselves; None for none of them."""
    by_products: GlobSet = _NONE
    """New files that no proposal holds: they are left out, and named."""
    pin_patterns: tuple[str, ...] = ()
    """Globs of the files that belong to programs which act or judge."""

    def openers(self, path: str) -> tuple[str, ...]:
        """Return the kinds that may write a path that runs by itself, in order."""
        return tuple(sorted(name for name, kind in self.kinds.items() if kind.opens.matches(path)))

    def kind(self, name: str, task_id: str | None = None) -> KindContract:
        """Return the boundaries of a kind.

        Args:
            task_id: the task that has it, for the message.

        Raises:
            ConfigurationError: if the contract does not know the kind.
        """
        try:
            return self.kinds[name]
        except KeyError:
            raise ConfigurationError(
                f"no task kind '{name}' in {AGENT_CONTRACT}"
                + (f" (task '{task_id}')" if task_id else ""),
                cause=f"it knows {', '.join(sorted(self.kinds))}",
                hint=f"add the kind to .roadmap/{AGENT_CONTRACT}, or correct what names it",
            ) from None


def agent_contract(document: Mapping[str, Any]) -> AgentContract:
    """Return the contract that a document of its schema is.

    Raises:
        ConfigurationError: for a glob that is none, a version of the list of files that run by
            themselves that is not known here, or an opening that names none of them.
    """
    prohibitions = document["prohibitions"]
    listed = prohibitions.get("self_running")
    if listed is not None and listed not in VERSIONS:
        raise ConfigurationError(
            f"{AGENT_CONTRACT}: prohibitions/self_running names version {listed} of the list "
            "of files that run by themselves",
            cause=f"this git-esaa knows {', '.join(map(str, VERSIONS))}",
            hint=f"upgrade git-esaa, or name one of these in .roadmap/{AGENT_CONTRACT}",
        )
    return AgentContract(
        frozenset(document["actions"]),
        {name: _kind(name, kind, listed) for name, kind in document["kinds"].items()},
        _globs(f"{AGENT_CONTRACT}: prohibitions/paths", prohibitions["paths"]),
        tuple(prohibitions["paths"]),
        frozenset(prohibitions["operations"]),
        listed,
        pin_patterns=pin_patterns(AGENT_CONTRACT, document),
        by_products=_globs(f"{AGENT_CONTRACT}: by_products", document.get("by_products", [])),
    )


def pin_patterns(name: str, document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the globs that a contract lists under `pin`.

    Raises:
        ConfigurationError: for a glob that is none.
    """
    patterns = document.get("pin", [])
    _globs(f"{name}: pin", patterns)
    return tuple(patterns)


def _kind(name: str, document: Mapping[str, Any], listed: int | None) -> KindContract:
    where = f"{AGENT_CONTRACT}: kinds/{name}"
    context = document.get("context")
    if context is not None:
        _globs(f"{where}/context", context)
    opens = document.get("opens", [])
    _check_opens(f"{where}/opens", opens, listed)
    write = [*document["write"], *opens]
    return KindContract(
        _globs(f"{where}/write", write),
        _globs(f"{where}/read", document["read"]),
        tuple(write),
        tuple(document["read"]),
        document["review"],
        tuple(
            make_check(check["name"], check["run"], check.get("timeout"), f"{where}/checks")
            for check in document.get("checks", ())
        ),
        None if context is None else tuple(context),
        _globs(f"{where}/opens", opens),
        document.get("outside", "reject"),
        document.get("retry", "continue"),
        setup_of(document.get("setup", ()), f"kind '{name}'", f"{where}/setup"),
    )


def _check_opens(where: str, opens: Sequence[str], listed: int | None) -> None:
    """Refuse globs that open the list by anything but a name that is on it."""
    if opens and listed is None:
        raise ConfigurationError(
            f"{where} opens what is closed by no list",
            hint="name its version under prohibitions/self_running, or leave 'opens' out",
        )
    for pattern in opens:
        names = "/".join(part for part in pattern.split("/") if part not in ("*", "**"))
        if listed is not None and (not names or runs_by_itself(names, listed) is None):
            raise ConfigurationError(
                f"{where}: '{pattern}' names no file or folder that runs by itself",
                cause="such a file is opened by its name, and no wider",
                hint="write it as in '.github/**' or '**/.gitignore'; what is not on the list "
                "belongs under 'write'",
            )


def make_check(name: str, run: Sequence[str], timeout: str | None, where: str) -> Check:
    """Return a check as it is run.

    Raises:
        ConfigurationError: if its timeout is no duration, or no time at all.
    """
    milliseconds = DEFAULT_CHECK_MS
    if timeout is not None:
        milliseconds = duration_ms(timeout, f"{where}/{name}/timeout")
        if not milliseconds:
            raise ConfigurationError(
                f"{where}/{name}/timeout is no time at all", hint="write it as in PT5M"
            )
    return Check(name, tuple(run), milliseconds)


def _globs(where: str, patterns: list[str]) -> GlobSet:
    try:
        return GlobSet(patterns)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from error
