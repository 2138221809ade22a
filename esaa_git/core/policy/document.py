"""POLICY.yaml and files of cases, decoded: a value, or the line and column of what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, cast

from esaa_git.core.canonical import digest
from esaa_git.core.documents import Places, decode_yaml
from esaa_git.core.events.base import replace
from esaa_git.core.events.facts import REGULAR, Effect, Facts, FileFact, Subject
from esaa_git.core.globs import GlobSet
from esaa_git.core.policy import cel
from esaa_git.core.policy.rules import (
    DEFAULT,
    Bounds,
    Case,
    Match,
    Policy,
    Require,
    Rule,
    as_tuple,
)
from esaa_git.core.schema_faults import checked, unfit

_NUMBERS = ("lines", "files", "cost_microdollars")
_OF_FILES = ("paths", "operations", "lines", "files", "cost_microdollars")
"""What only a proposal has."""


def decode_policy(data: bytes, name: str) -> Policy:
    """Return the policy that a file holds.

    Args:
        name: the file, as errors name it.

    Raises:
        ConfigurationError: with the line and column of the first thing that is wrong.
    """
    places: Places = {}
    document = checked(decode_yaml(data, name, places=places), "POLICY", name, places)
    reader = _Reader(name, places)
    rules: list[Rule] = []
    for number, entry in enumerate(document["rules"]):
        rule = reader.rule(entry, ("rules", number))
        if rule.name == DEFAULT:
            reader.refuse(("rules", number, "name"), f"no rule can be called '{DEFAULT}'")
        if any(rule.name == other.name for other in rules):
            reader.refuse(("rules", number, "name"), f"two rules are called '{rule.name}'")
        rules.append(rule)
    default = document.get("default", "allow")
    if not rules and default == "allow":
        reader.refuse(("rules",), "it names no rule; delete the file, or write one")
    cases = reader.cases(document.get("cases", ()), {rule.name for rule in rules})
    return Policy(tuple(rules), default, cases, digest(data))


def decode_cases(data: bytes, name: str, policy: Policy) -> tuple[Case, ...]:
    """Return the cases that a file of its own holds.

    Raises:
        ConfigurationError: as `decode_policy`.
    """
    places: Places = {}
    document = checked(decode_yaml(data, name, places=places), "POLICY_CASES", name, places)
    return _Reader(name, places).cases(document["cases"], set(policy.by_name))


def check_expressions(policy: Policy, name: str) -> None:
    """Refuse a policy with an expression that does not compile, or that nothing here compiles.

    What is pinned already is judged as it stands: there such a rule errs, which denies.

    Raises:
        ConfigurationError: with the line and column of the rule, and the place in the expression.
        CelMissing: the library is not installed.
    """
    for number, rule in enumerate(policy.rules):
        if rule.when is None:
            continue
        try:
            cel.compiled(rule.when)
        except cel.CelFault as fault:
            at = f" at {fault.line}:{fault.column}" if fault.line else ""
            said = f"rules/{number}/when{at}: {fault}"
            raise unfit(name, said, rule.when_place or rule.place) from fault


class _Reader:
    """Reads the parts of one document, and says where one is wrong."""

    def __init__(self, name: str, places: Places) -> None:
        self._name, self._places = name, places

    def refuse(self, way: Sequence[str | int], fault: str) -> NoReturn:
        raise unfit(self._name, fault, self._places.get(tuple(way), (1, 1)))

    def rule(self, entry: Mapping[str, Any], way: tuple[str | int, ...]) -> Rule:
        effect, require = entry["effect"], None
        if isinstance(effect, Mapping):
            require = Require(**effect["require"])
        elif effect == "require":
            require = Require()
        on: Subject = entry.get("on", "proposal")
        given = entry.get("match", {})
        if on == "dispatch":
            for condition in sorted(set(_OF_FILES).intersection(given)):
                fault = f"'{condition}' is known of a proposal, and not before an agent is asked"
                self.refuse((*way, "match", condition), fault)
            if require is not None:
                fault = "a person decides on a proposal: a dispatch is allowed or denied"
                self.refuse((*way, "effect"), fault)
        return Rule(
            entry["name"],
            on,
            self._match(given, (*way, "match")),
            cast(Effect, effect) if require is None else "require",
            require,
            entry.get("when"),
            entry.get("message", ""),
            entry.get("mode", "enforce"),
            self._places[way],
            self._places.get((*way, "when")),
        )

    def _match(self, given: Mapping[str, Any], way: tuple[str | int, ...]) -> Match:
        paths = as_tuple(given.get("paths"))
        globs = None
        if paths is not None:
            try:
                globs = GlobSet(paths)
            except ValueError as error:
                self.refuse((*way, "paths"), str(error))
        bounds = {name: Bounds(**given[name]) for name in _NUMBERS if name in given}
        for name, both in bounds.items():
            if both.is_empty:
                self.refuse((*way, name), "no number is more and less than these")
        return Match(
            kind=as_tuple(given.get("kind")),
            task=as_tuple(given.get("task")),
            agent=as_tuple(given.get("agent")),
            model=as_tuple(given.get("model")),
            paths=paths,
            operations=as_tuple(given.get("operations")),
            lines=bounds.get("lines"),
            files=bounds.get("files"),
            cost_microdollars=bounds.get("cost_microdollars"),
            globs=globs,
        )

    def cases(self, given: Sequence[Mapping[str, Any]], known: set[str]) -> tuple[Case, ...]:
        found = []
        for number, entry in enumerate(given):
            for nth, rule in enumerate(entry.get("rules", ())):
                if rule not in known:
                    self.refuse(("cases", number, "rules", nth), f"there is no rule '{rule}'")
            name = entry.get("name", f"case {number + 1}")
            rules = tuple(entry["rules"]) if "rules" in entry else None
            on = "dispatch" if entry.get("on") == "dispatch" else None
            facts = replace(_facts(entry.get("given", {})), on=on)
            found.append(Case(name, facts, entry["expect"], rules))
        return tuple(found)


def _facts(given: Mapping[str, Any]) -> Facts:
    """Return the facts of a case; what it does not name is ordinary, or unknown."""
    return Facts(
        task_id=given.get("task", "T-1"),
        kind=given.get("kind", "any"),
        agent=given.get("agent", "any"),
        model=given.get("model"),
        cost_microdollars=given.get("cost_microdollars"),
        lines=given.get("lines", 0),
        files=tuple(map(_file, given.get("files", ()))),
    )


def _file(given: str | Mapping[str, Any]) -> FileFact:
    if isinstance(given, str):
        given = {"path": given}
    change = given.get("change", "rename" if "from" in given else "modify")
    return FileFact(
        path=given["path"],
        change=change,
        from_=given.get("from"),
        before_mode=None if change == "add" else given.get("before_mode", REGULAR),
        mode=None if change == "delete" else given.get("mode", REGULAR),
    )
