"""`setup` of a kind or an agent: the commands that make what a project is worked and checked in.

One list is one environment. Its commands run in order in a checkout that is thrown away, and what
they provide is kept under a digest of the commands and of the files that they name as keys. Neither
a check nor a proposal sees anything else of them (docs/FORMAT.md, "Setup").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from esaa_git.core.command_options import names_code
from esaa_git.core.duration import duration_ms
from esaa_git.core.globs import GlobSet
from esaa_git.core.names_given import fault_of
from esaa_git.core.paths import case_key, is_protected, normalise_path
from esaa_git.core.programs import Programs
from esaa_git.core.rejection import Rejected
from esaa_git.errors import ConfigurationError

CHECKOUT: Final = "{checkout}"
"""Stands in a variable for the top of the checkout that is worked in."""

DEFAULT_STEP_MS: Final = 10 * 60_000
"""How long a command may take that does not say."""

_COMMENTS: Final = (
    "correct it in .roadmap/; the comments that 'git esaa init' writes there explain every entry"
)

_GIVEN: Final = ("env", "hosts", "read", "limits")
_OURS: Final = ("PATH", "PWD", "SHELL", "HOME", "TMPDIR")
_PREFIXES: Final = ("ESAA_", "GIT_")
_LOADS: Final = re.compile(
    r"LD_.*|DYLD_.*|GCONV_.*|PYTHON.*|.*NODE_OPTIONS|NODE_PATH|NODE_REPL_.*|RUBY.*|PERL.*|BASH.*"
    r"|SHELLOPTS|PS4|PROMPT_COMMAND|ENV|ZDOTDIR|_?JAVA_.*|JDK_.*|CLASSPATH|LUA_.*|PHP.*|ERL_.*"
    r"|BUN_OPTIONS|BUN_INSPECT.*|.*_PRELOAD|DOTNET_.*|COR_.*|CORECLR_.*|MONO_.*|OPENSSL_.*"
    r"|.*PAGER|.*EDITOR|VISUAL|BROWSER|LESSOPEN|LESSCLOSE|.*_ASKPASS|.*_MODULES|.*_PLUGIN_PATH"
    r"|NPM_CONFIG_(?:SCRIPT_SHELL|SHELL|USERCONFIG|GLOBALCONFIG|PREFIX|GIT)",
    re.IGNORECASE,
)
"""Variables by which a program loads code that it does not name: an agent's own program as well."""

_AGENTS: Final = re.compile(
    r"(?:AIDER|ANTHROPIC|CLAUDE|CODEX|COPILOT|CURSOR|GEMINI|GOOSE|LITELLM|OPENAI|OPENCODE|OPENROUTER"
    r"|QWEN)_.*|XDG_(?:CONFIG|DATA)_(?:HOME|DIRS)|XDG_STATE_HOME",
    re.IGNORECASE,
)
"""Variables of agents, and those that say where programs have their settings."""


@dataclass(frozen=True, slots=True)
class SetupStep:
    """One command of a setup: a program with its arguments, no shell.

    Attributes:
        given: what it alone is given: `env`, `hosts`, `read`, `limits`, as agents have them.
    """

    run: tuple[str, ...]
    timeout_ms: int
    given: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Setup:
    """The commands of one list, and what they leave for those who work after them.

    Attributes:
        owner: whose it is, in words: "kind 'impl'".
        keys: globs of the files of the tree that decide what comes of it.
        provides: the files and folders that are kept, relative to the top of the checkout.
        path: folders among these that come first on PATH.
        variables: what is set, for the commands and for who works after them.
        read: what who works after them may read as well.
        programs: the pinned files, which stand over the tree that it runs in.
    """

    owner: str
    steps: tuple[SetupStep, ...]
    keys: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    read: tuple[str, ...] = ()
    programs: Programs | None = field(default=None, compare=False, repr=False)

    @property
    def env(self) -> tuple[str, ...]:
        """The variables of the user that its commands get; what they leave may tell the values."""
        found = (name for step in self.steps for name in step.given.get("env", ()))
        return tuple(dict.fromkeys(found))

    def makes(self, path: str) -> bool:
        """Answer whether a path is one that this provides, or lies below one."""
        return is_under(path, self.provides)


def is_under(path: str, places: Iterable[str]) -> bool:
    """Answer whether a path is one of these, or lies below one."""
    return any(path == place or path.startswith(f"{place}/") for place in places)


def meets(path: str, places: Iterable[str]) -> bool:
    """Answer whether a path is one of these, lies below one, or has one below it, in any case.

    On some disks another case names the same file, and a file stands in the way of a folder.
    """
    key = case_key(path)
    keys = [case_key(place) for place in places]
    return is_under(key, keys) or any(is_under(place, [key]) for place in keys)


def setup_of(document: Sequence[Mapping[str, Any]], owner: str, where: str) -> Setup | None:
    """Return what a list of its schema is; None for an empty one.

    Raises:
        ConfigurationError: saying what of it cannot be.
    """
    if not document:
        return None
    steps = tuple(_step(step, f"{where}/{at}") for at, step in enumerate(document))
    provides = _joined(document, "provides")
    if not provides:
        raise ConfigurationError(
            f"{where} provides nothing",
            cause="what its commands leave is kept under the names that 'provides' lists",
            hint="add them, as in 'provides: [node_modules]'",
        )
    for path in provides:
        _check_provided(path, provides, where)
    folders = _joined(document, "path")
    for folder in folders:
        if isinstance(normalise_path(folder), Rejected) or not is_under(folder, provides):
            raise ConfigurationError(
                f"{where}: '{folder}' under 'path' is none of what it provides",
                hint="name a folder that is, or lies below, one of 'provides'",
            )
    keys = _joined(document, "keys")
    try:
        GlobSet(keys)
    except ValueError as error:
        raise ConfigurationError(f"{where}/keys: {error}", hint=_COMMENTS) from error
    variables = {
        name: value for step in document for name, value in step.get("variables", {}).items()
    }
    for name in variables:
        _check_variable(name, where)
    return Setup(
        owner,
        steps,
        keys,
        provides,
        folders,
        tuple(sorted(variables.items())),
        _joined(document, "read"),
    )


def _joined(document: Sequence[Mapping[str, Any]], name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for step in document for value in step.get(name, ())))


def _step(document: Mapping[str, Any], where: str) -> SetupStep:
    milliseconds = DEFAULT_STEP_MS
    if "timeout" in document:
        milliseconds = duration_ms(document["timeout"], f"{where}/timeout")
        if not milliseconds:
            raise ConfigurationError(
                f"{where}/timeout is no time at all", hint="write it as in PT5M"
            )
    given = {name: document[name] for name in _GIVEN if name in document}
    for name in ("env", "hosts", "read"):
        for value in given.get(name, ()):
            fault = fault_of(name, value)
            if fault is not None:
                raise ConfigurationError(f"{where}/{name}: {fault}", hint=_COMMENTS)
    return SetupStep(tuple(document["run"]), milliseconds, given)


def _check_provided(path: str, provides: Sequence[str], where: str) -> None:
    verdict = normalise_path(path)
    if isinstance(verdict, Rejected) or verdict != path or is_protected(path, ()):
        raise ConfigurationError(
            f"{where}: '{path}' cannot be provided",
            cause="it is no plain path below the top of the checkout, or belongs to git or to us",
            hint="name a file or folder that the commands make, as in 'node_modules'",
        )
    others = [case_key(other) for other in provides if other != path]
    if is_under(case_key(path), others):
        raise ConfigurationError(
            f"{where}: '{path}' is, or lies below, another path that it provides",
            cause="another case of a name is the same one on some disks",
            hint="leave it out: what lies below a folder is kept with it",
        )


def _check_variable(name: str, where: str) -> None:
    fault = fault_of("variables", name)
    upper = name.upper()
    if fault is None and (upper in _OURS or upper.startswith(_PREFIXES)):
        fault = "it is git's or set for every program; folders for PATH stand under 'path'"
    if fault is None and names_code(name) and _LOADS.fullmatch(name):
        fault = "by it any program loads code, an agent's own too"
    if fault is None and _AGENTS.fullmatch(name):
        fault = "it tells an agent where its settings or its service are, which its entry is to say"
    if fault is not None:
        raise ConfigurationError(
            f"{where}/variables: '{name}' cannot be set", cause=fault, hint=f"leave '{name}' out"
        )
