"""CEL, the language of `when`: compiled and evaluated by the library of the extra `policy`.

The library (cel-expr-python) is imported where a rule has an expression, and nowhere else. It
compiles expressions that answer with no boolean, and gives run-time errors back as values, so the
type of an expression is looked at before it is used and the type of each answer after.

An expression sees the facts and has no clock, no files and no network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

from esaa_git.core.events.facts import Facts
from esaa_git.errors import ConfigurationError

PACKAGE: Final = "cel-expr-python"
EXTRA: Final = "esaa-git[policy]"
HINT: Final = f"run 'pip install \"{EXTRA}\"', which brings {PACKAGE}"

TEXTS: Final = ("task", "kind", "agent", "model")
NUMBERS: Final = ("lines", "cost_microdollars")
FILE: Final = ("path", "from", "change", "operations", "mode", "before_mode")
NAMES: Final = (*TEXTS, *NUMBERS, "files")

_AT = re.compile(r"<input>:(\d+):(\d+): (.*)", re.DOTALL)
_UNKNOWN = re.compile(r"undeclared reference to '([^']*)'")


class CelMissing(ConfigurationError):
    """The library is not installed, so nothing can be said of a rule that has an expression."""

    def __init__(
        self,
        message: str = "'.roadmap/POLICY.yaml' has a rule with 'when', and nothing evaluates it",
        *,
        cause: str | None = f"{PACKAGE} is not installed",
        hint: str | None = HINT,
    ) -> None:
        super().__init__(message, cause=cause, hint=hint)


class CelFault(Exception):
    """An expression that cannot be used, and where in it: `line` and `column` count from 1."""

    def __init__(self, problem: str, line: int = 0, column: int = 0) -> None:
        super().__init__(problem)
        self.line = line
        self.column = column


@cache
def library() -> str | None:
    """Return name and version of the library, or None where it is not installed."""
    try:
        _module()
    except CelMissing:
        return None
    from importlib.metadata import version

    return f"{PACKAGE} {version(PACKAGE)}"


@cache
def compiled(expression: str) -> Any:
    """Return an expression, ready to be evaluated.

    Raises:
        CelFault: it is none, names what there is not, or answers with no boolean.
        CelMissing: the library is not installed.
    """
    try:
        found = _environment().compile(expression)
    except (RuntimeError, ValueError) as error:
        raise _fault(str(error)) from error
    answers = str(found.return_type().name())
    if answers != "BOOL":
        what = _ANSWERS.get(answers.split("<", 1)[0], "something else")
        raise CelFault(f"it answers with {what}, and not with true or false")
    return found


def evaluate(expression: str, given: Any) -> bool:
    """Return what an expression answers.

    Args:
        given: the facts, by `activation`.

    Raises:
        CelFault: it errs, or does not compile.
        CelMissing: the library is not installed.
    """
    try:
        value = compiled(expression).eval(given)
    except (RuntimeError, ValueError) as error:
        raise CelFault(_one_line(str(error))) from error
    if value.type().name() != "BOOL":
        raise CelFault(_one_line(str(value.value())))
    return bool(value.value())


def activation(facts: Facts) -> Any:
    """Return the facts as expressions take them, converted once for all rules.

    Raises:
        CelMissing: the library is not installed.
    """
    return _environment().Activation(variables(facts))


def variables(facts: Facts) -> Mapping[str, Any]:
    """Return what an expression may name; what is not known is empty."""
    return {
        "task": facts.task_id,
        "kind": facts.kind,
        "agent": facts.agent,
        "model": facts.model or "",
        "lines": facts.lines,
        "cost_microdollars": facts.cost_microdollars or 0,
        "files": [
            {
                "path": file.path,
                "from": file.from_ or "",
                "change": file.change,
                "operations": list(file.operations),
                "mode": file.mode or "",
                "before_mode": file.before_mode or "",
            }
            for file in facts.files
        ],
    }


@cache
def _module() -> Any:
    try:
        from cel_expr_python import cel
    except ImportError as error:
        raise CelMissing from error
    return cel


@cache
def _environment() -> Any:
    cel = _module()
    kind = cel.Type
    names = dict.fromkeys(TEXTS, kind.STRING) | dict.fromkeys(NUMBERS, kind.INT)
    return cel.NewEnv(variables={**names, "files": kind.List(kind.Map(kind.STRING, kind.DYN))})


_ANSWERS: Final = {
    "INT": "a number",
    "DOUBLE": "a number",
    "STRING": "text",
    "LIST": "a list",
    "MAP": "a mapping",
    "DYN": "what stands in a file's entry",
}


def _fault(said: str) -> CelFault:
    found = _AT.search(said)
    if found is None:
        return CelFault(_one_line(said))
    problem = _one_line(found.group(3))
    unknown = _UNKNOWN.search(problem)
    if unknown is not None:
        name = unknown.group(1)
        near = get_close_matches(name, NAMES, 1, 0.6)
        problem = f"there is nothing of the name '{name}'" + (
            f"; did you mean '{near[0]}'?" if near else f"; there is {', '.join(NAMES)}"
        )
    return CelFault(problem, int(found.group(1)), int(found.group(2)))


def _one_line(said: str) -> str:
    line = said.split("\n", 1)[0].removeprefix("INVALID_ARGUMENT: ").removeprefix("ERROR: ")
    return line.strip()[:400] or "it errs"
