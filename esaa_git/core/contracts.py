"""The contracts in force: what people declared in `.roadmap/`, typed, with every knob in use.

`Contracts` is made from the bytes of the files that `run.init` pinned into the log. Each file is
decoded when it is first asked for; `check` decodes all of them, which is done before they are
pinned, so what is in force is known to be sound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from esaa_git.core import limits, secrets
from esaa_git.core.accounts import Budget
from esaa_git.core.agent_contract import (
    AGENT_CONTRACT,
    AgentContract,
    Check,
    agent_contract,
    pin_patterns,
)
from esaa_git.core.canonical import digest
from esaa_git.core.documents import decode_yaml
from esaa_git.core.duration import duration_ms
from esaa_git.core.events.fields import Pin, ProgramPin
from esaa_git.core.events.spec import GUARD, ORCHESTRATOR
from esaa_git.core.invariants import INVARIANTS
from esaa_git.core.policy.document import decode_policy
from esaa_git.core.policy.rules import Policy
from esaa_git.core.programs import Programs
from esaa_git.core.runtime_policy import RUNTIME_POLICY, RuntimePolicy, runtime_policy
from esaa_git.core.schema_faults import checked
from esaa_git.core.setup import Setup, setup_of
from esaa_git.errors import ConfigurationError

ORCHESTRATOR_CONTRACT = "ORCHESTRATOR_CONTRACT.yaml"
STORAGE_POLICY = "STORAGE_POLICY.yaml"
SWARM = "agents_swarm.yaml"
PROJECTION_SPEC = "PROJECTION_SPEC.md"
ALLOWED_SIGNERS = "allowed_signers"
OPENPGP_SIGNERS = "openpgp_signers.yaml"
POLICY = "POLICY.yaml"

RESERVED_ACTORS = (ORCHESTRATOR, GUARD)

REQUIRED_FILES = (
    AGENT_CONTRACT,
    ORCHESTRATOR_CONTRACT,
    RUNTIME_POLICY,
    STORAGE_POLICY,
    PROJECTION_SPEC,
    SWARM,
    ALLOWED_SIGNERS,
)
_PROFILE = re.compile(r"PARCER_PROFILE\.([A-Za-z0-9][A-Za-z0-9._-]*)\.yaml")
_PROMPT = re.compile(r"PROMPT\.[A-Za-z0-9][A-Za-z0-9._-]*\.md")


def is_contract_file(name: str) -> bool:
    """Answer whether a file of `.roadmap/` belongs to the contracts that are pinned."""
    return (
        name in REQUIRED_FILES
        or name in (OPENPGP_SIGNERS, POLICY)
        or bool(_PROFILE.fullmatch(name) or _PROMPT.fullmatch(name))
    )


@dataclass(frozen=True, slots=True)
class OrchestratorContract:
    """ORCHESTRATOR_CONTRACT.yaml: who signs less than they might, and how effects are attributed.

    `signing` narrows rows of the table of roles (`esaa_git.core.roles`); an action that it does
    not name is signed by the roles of the table.
    """

    signing: Mapping[str, frozenset[str]]
    assisted_by: bool
    foreign_logs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoragePolicy:
    """STORAGE_POLICY.yaml: what of an exchange is kept, and what is redacted.

    Attributes:
        redact: regular expressions of RE2 that are redacted beside what every secret looks like.
        keep_rejected: the lawful part of a rejected answer's files is kept on a ref.
        handed: values that an agent was given, which are redacted in whatever it says; no part of
            the file.
    """

    request: str
    response: str
    max_bytes: int
    redact: tuple[str, ...]
    keep_rejected: bool = True
    handed: tuple[str, ...] = ()


_OF_EVERY_AGENT = frozenset(
    {"adapter", "model", "package", "stands_for", "setup", "budget", "max_cost"}
)
"""What is no setting of an adapter."""


@dataclass(frozen=True, slots=True)
class AgentEntry:
    """One agent of agents_swarm.yaml; `settings` are those of its adapter.

    Attributes:
        adapter: how it is asked. Whether there is such an adapter, and what settings it takes, is
            not for the contracts to say: a verifier of a log need not have it.
        settings: everything else that stands in the entry; `timeout` in milliseconds.
        package: the package that brings the adapter, where it is not one of ours.
        stands_for: the person whose own work counts what it makes.
        setups: what it works in: its own, and by `Contracts.at_work` that of the kind before it.
        budget: what it may take in a run.
        max_cost: what one call of it costs at most, in micro-dollars; a tool that keeps to such a
            cap is told it.
    """

    name: str
    adapter: str
    model: str | None
    settings: Mapping[str, Any]
    package: str | None = None
    stands_for: str | None = None
    setups: tuple[Setup, ...] = ()
    budget: Budget | None = None
    max_cost: int | None = None


@dataclass(frozen=True, slots=True)
class Swarm:
    """agents_swarm.yaml: who there is, and who does which kind of task, first to last."""

    agents: Mapping[str, AgentEntry]
    kinds: Mapping[str, tuple[str, ...]]
    reviewers: Mapping[str, str]
    pin_patterns: tuple[str, ...] = ()

    def agent(self, name: str) -> AgentEntry:
        """Return an agent by name; an unknown one is a ConfigurationError that names the known."""
        try:
            return self.agents[name]
        except KeyError:
            known = ", ".join(sorted(self.agents)) or "none"
            raise ConfigurationError(
                f"unknown agent '{name}'",
                cause=f"{SWARM} in force knows: {known}",
                hint=f"add it to .roadmap/{SWARM}; it takes effect with the next run",
            ) from None

    def owner(self, name: str) -> str:
        """Return whose work it is that an actor makes: an agent may stand for a person."""
        entry = self.agents.get(name)
        return name if entry is None or entry.stands_for is None else entry.stands_for

    def line_up(self, kind: str, spent: int = 0) -> tuple[str, ...]:
        """Return who does this kind of task, in the order in which they are asked.

        Attempt N is for the Nth of the list, every later one for the last. Who cannot be asked now
        is passed over, to the next and then from the first on.

        Args:
            spent: how many attempts on the task count so far.
        """
        try:
            names = self.kinds[kind]
        except KeyError:
            raise ConfigurationError(
                f"no agent does tasks of kind '{kind}'",
                hint=f"name one under 'kinds' in .roadmap/{SWARM}, or use --agent NAME",
            ) from None
        turn = min(spent, len(names) - 1)
        return (*names[turn:], *names[:turn])


class Contracts:
    """The contracts as one immutable value, with the programs that are pinned beside them.

    Args:
        files: each file's name and its bytes.
        programs: None where the log says nothing of programs.
    """

    def __init__(self, files: Mapping[str, bytes], programs: Programs | None = None) -> None:
        self.files = dict(sorted(files.items()))
        self.programs = programs
        self._profiles: dict[str, Mapping[str, Any]] = {}

    def check(self) -> None:
        """Decode everything.

        Raises:
            ConfigurationError: for a missing file or one that cannot be used as it stands.
        """
        for name in REQUIRED_FILES:
            if name not in self.files:
                raise ConfigurationError(
                    f"'.roadmap/{name}' is missing",
                    hint="run 'git esaa init' to write the missing contracts",
                )
        self._check_sizes()
        _ = (self.agent, self.orchestrator, self.policy, self.storage, self.swarm, self.guard)
        for name in self.files:
            match = _PROFILE.fullmatch(name)
            if match is not None:
                self.profile(match.group(1))
        for kind in self.swarm.kinds:
            self.agent.kind(kind)
        for names in self.swarm.kinds.values():
            for agent in names:
                self.swarm.agent(agent)
        for kind in self.policy.budgets.kind:
            self.agent.kind(kind)
        self._check_reviewers()

    def _check_sizes(self) -> None:
        """Refuse contracts that are larger than a reader of the log reads."""
        sizes = {name: len(data) for name, data in self.files.items()}
        largest = max(sizes, key=lambda name: sizes[name])
        hint = "make them shorter in .roadmap/, then repeat the command"
        if sizes[largest] > limits.CONTRACT_FILE:
            raise ConfigurationError(
                f"'.roadmap/{largest}' has {sizes[largest]:,} bytes",
                cause=f"a contract has {limits.CONTRACT_FILE:,} at most",
                hint=hint,
            )
        if len(sizes) > limits.CONTRACT_FILES or sum(sizes.values()) > limits.CONTRACTS:
            raise ConfigurationError(
                f"the contracts are {len(sizes)} files with {sum(sizes.values()):,} bytes",
                cause=f"{limits.CONTRACT_FILES} files with {limits.CONTRACTS:,} are pinned at most",
                hint=hint,
            )

    def _check_reviewers(self) -> None:
        """Refuse kinds that no agent can review although one has to."""
        swarm = self.swarm
        for kind, agent in swarm.reviewers.items():
            self.agent.kind(kind)
            swarm.agent(agent)
        reviewed = [name for name, kind in self.agent.kinds.items() if kind.review == "agent"]
        for kind in reviewed:
            if kind not in swarm.reviewers or swarm.reviewers[kind] in swarm.kinds.get(kind, ()):
                raise ConfigurationError(
                    f"kind '{kind}' is reviewed by an agent, and {SWARM} names none that may",
                    cause="nobody approves their own work",
                    hint=f"name another agent for '{kind}' under 'reviewers' in .roadmap/{SWARM}",
                )
        signs = self.orchestrator.signing.get("review.result", {ORCHESTRATOR})
        if reviewed and ORCHESTRATOR not in signs:
            raise ConfigurationError(
                f"kind '{reviewed[0]}' is reviewed by an agent, whose verdict nobody may record",
                cause="an agent holds no key; the orchestrator signs 'review.result'",
                hint=f"add 'orchestrator' to review.result in .roadmap/{ORCHESTRATOR_CONTRACT}, "
                "or write 'review: required'",
            )

    def prompt(self, template: str) -> bytes | None:
        """Return the text of a prompt template that is pinned, or None where there is none."""
        return self.files.get(f"PROMPT.{template}.md")

    @cached_property
    def pins(self) -> tuple[Pin, ...]:
        """Path and SHA-256 of every file, as `run.init` records them."""
        return tuple(Pin(path=name, sha256=digest(data)) for name, data in self.files.items())

    @property
    def program_pins(self) -> tuple[ProgramPin, ...] | None:
        """The programs as `run.init` lists them."""
        return None if self.programs is None else self.programs.pins

    def same_as(self, other: Contracts) -> bool:
        """Answer whether nothing would change for whom these bind: neither a file nor a program."""
        return self.pins == other.pins and self.program_pins == other.program_pins

    def with_files(self, files: Mapping[str, bytes]) -> Contracts:
        """Return the contracts with these files in the place of those here; programs stay."""
        return Contracts({**self.files, **files}, self.programs)

    @property
    def pin_patterns(self) -> tuple[str, ...]:
        """The globs of files that belong to programs which act or judge."""
        return (*self.agent.pin_patterns, *self.swarm.pin_patterns)

    def setup(self, kind: str) -> Setup | None:
        """Return what tasks of a kind are worked on and checked in, with the pinned files."""
        known = self.agent.kinds.get(kind)
        found = None if known is None else known.setup
        return None if found is None else replace(found, programs=self.programs)

    def checks(self, kind: str, own: Iterable[Check] = ()) -> tuple[Check, ...]:
        """Return the checks of a kind, then these, each with the setup of the kind to run in."""
        known, setup = self.agent.kinds.get(kind), self.setup(kind)
        found = (*(known.checks if known is not None else ()), *own)
        return tuple(replace(check, setup=setup) for check in found)

    def at_work(self, name: str, kind: str) -> AgentEntry:
        """Return an agent, as `Swarm.agent`, in the setup of the kind and then its own."""
        entry, of_kind = self.swarm.agent(name), self.setup(kind)
        own = tuple(replace(one, programs=self.programs) for one in entry.setups)
        return replace(entry, setups=own if of_kind is None else (of_kind, *own))

    def setups(self) -> Iterator[Setup]:
        """Yield every setup that is declared, of kinds and of agents."""
        for kind in self.agent.kinds.values():
            if kind.setup is not None:
                yield kind.setup
        for entry in self.swarm.agents.values():
            yield from entry.setups

    @cached_property
    def provided(self) -> tuple[str, ...]:
        """The paths that setups provide: no file of the tree, and of no proposal."""
        return tuple(dict.fromkeys(path for setup in self.setups() for path in setup.provides))

    @cached_property
    def agent(self) -> AgentContract:
        return agent_contract(self._load(AGENT_CONTRACT, "AGENT_CONTRACT"))

    @cached_property
    def orchestrator(self) -> OrchestratorContract:
        document = self._load(ORCHESTRATOR_CONTRACT, "ORCHESTRATOR_CONTRACT")
        missing = INVARIANTS.keys() - set(document["invariants"])
        if missing:
            raise ConfigurationError(
                f"{ORCHESTRATOR_CONTRACT} leaves out {', '.join(sorted(missing))}",
                cause="the invariants cannot be switched off",
                hint=f"list them under 'invariants' in .roadmap/{ORCHESTRATOR_CONTRACT}",
            )
        return OrchestratorContract(
            {action: frozenset(roles) for action, roles in document["signing"].items()},
            document["attribution"]["assisted_by"],
            tuple(document.get("foreign_logs", ())),
        )

    @cached_property
    def policy(self) -> RuntimePolicy:
        return runtime_policy(self._load(RUNTIME_POLICY, "RUNTIME_POLICY"))

    @cached_property
    def guard(self) -> Policy | None:
        """The rules of POLICY.yaml; None where there is no such file."""
        data = self.files.get(POLICY)
        return None if data is None else decode_policy(data, f".roadmap/{POLICY}")

    @cached_property
    def storage(self) -> StoragePolicy:
        document = self._load(STORAGE_POLICY, "STORAGE_POLICY")
        exchange = document["exchange"]
        for pattern in document["redact"]:
            try:
                secrets.compiled(pattern.encode())
            except ValueError as error:
                raise ConfigurationError(
                    f"{STORAGE_POLICY}: redact pattern '{pattern}': {error}",
                    cause="patterns are RE2's, which look neither ahead nor behind",
                    hint=f"correct the pattern in .roadmap/{STORAGE_POLICY}",
                ) from error
        return StoragePolicy(
            exchange["request"],
            exchange["response"],
            exchange["max_bytes"],
            tuple(document["redact"]),
            document.get("keep_rejected", True),
        )

    @cached_property
    def swarm(self) -> Swarm:
        document = self._load(SWARM, "SWARM")
        agents = {}
        for name, entry in document["agents"].items():
            if name in RESERVED_ACTORS:
                raise ConfigurationError(
                    f"'.roadmap/{SWARM}': no agent can be called '{name}'",
                    hint="give it another name; this one belongs to a part of git-esaa",
                )
            settings = {
                key: duration_ms(value, f"{SWARM}: agents/{name}/timeout")
                if key == "timeout"
                else value
                for key, value in entry.items()
                if key not in _OF_EVERY_AGENT
            }
            own = setup_of(
                entry.get("setup", ()), f"agent '{name}'", f"{SWARM}: agents/{name}/setup"
            )
            agents[name] = AgentEntry(
                name,
                entry["adapter"],
                entry.get("model"),
                settings,
                entry.get("package"),
                entry.get("stands_for"),
                () if own is None else (own,),
                Budget.from_json(entry["budget"]) if "budget" in entry else None,
                entry.get("max_cost"),
            )
        kinds = {
            kind: (names,) if isinstance(names, str) else tuple(names)
            for kind, names in document["kinds"].items()
        }
        return Swarm(agents, kinds, document.get("reviewers", {}), pin_patterns(SWARM, document))

    def profile(self, agent: str) -> Mapping[str, Any] | None:
        """Return an agent's PARCER profile: persona, audience, rules, context and so on."""
        name = f"PARCER_PROFILE.{agent}.yaml"
        if name in self.files and agent not in self._profiles:
            self._profiles[agent] = self._load(name, "PARCER_PROFILE")
        return self._profiles.get(agent)

    def _load(self, name: str, schema: str) -> Any:
        document = decode_yaml(self.files[name], f".roadmap/{name}")
        return checked(document, schema, f".roadmap/{name}")
