"""Prompts: the purified view, worded for an agent by a template that people read and edit.

A template is the file `PROMPT.<name>.md` of `.roadmap/`, as it was pinned with the other
contracts, or else the one that came with the installation. It is text with Jinja's marks in it. A
line of `=====` alone parts what a service is told as its system prompt from what it is told as
the user's message; each of the two parts is rendered on its own. The variables are the entries of
the view (docs/FORMAT.md, "The request"), and what the view leaves out is there all the same,
empty: a template never has to ask whether a task has notes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from esaa_git.core import canonical
from esaa_git.core.rejection import excerpt
from esaa_git.errors import ConfigurationError
from esaa_git.resources import resource_path

if TYPE_CHECKING:
    from types import TracebackType

    from jinja2 import Environment, Template

GROWTH: Final = 16
"""How many times the size of view and template together a prompt may have, at the most."""

# Alone on its line; the white space of a line's end is nothing that a reader sees.
_SEPARATOR = re.compile(r"^=====[ \t]*\r?\n", re.MULTILINE)

_OPTIONAL: Final[Mapping[str, Any]] = {
    "last_rejection": None,
    "continues": None,
    "budget": None,
    "supersedes": None,
    "review": None,
    "lessons": [],
    "issues": [],
    "profile": {},
    "files": [],
    "dependencies": [],
}
_OF_TASK: Final[Mapping[str, Any]] = {
    "description": "",
    "acceptance": [],
    "depends_on": [],
    "notes": [],
}
_OF_PROFILE: Final[Mapping[str, Any]] = {
    "persona": "",
    "audience": "",
    "rules": [],
    "context": "",
    "execution": "",
    "response": "",
}
_OF_DEPENDENCY: Final[Mapping[str, Any]] = {"summary": "", "paths": []}
_OF_FILE: Final[Mapping[str, Any]] = {"content": None, "executable": False}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as it is sent; `template` names what it was made with, `NAME@DIGEST`.

    DIGEST is the first 12 hexadecimal digits of the SHA-256 of the template's bytes, so the
    record shows when a template changed. `system` is empty where the template has one part.
    """

    system: str
    user: str
    template: str

    @property
    def text(self) -> str:
        """Both parts as one text, for an agent that takes no system prompt."""
        return f"{self.system}\n{self.user}" if self.system else self.user


def render(name: str, pinned: bytes | None, view: bytes) -> Prompt:
    """Return the prompt that a template makes of a view; the same bytes make the same prompt.

    Args:
        name: of the template, as in `PROMPT.<name>.md`.
        pinned: its text, or None for the one that came with the installation.
        view: canonical JSON (docs/FORMAT.md, "The request").

    Raises:
        ConfigurationError: if there is no such template, or it cannot be rendered; it names the
            line.
    """
    data = _shipped(name) if pinned is None else pinned
    try:
        source = data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _error(name, "it is not UTF-8", line) from error
    variables = _variables(canonical.decode(view))
    most = GROWTH * (len(view) + len(data))
    parts = _SEPARATOR.split(source, maxsplit=1)
    first = _rendered(name, parts[0], 0, variables, most)
    label = f"{name}@{sha256(data).hexdigest()[:12]}"
    if len(parts) == 1:
        return Prompt("", first, label)
    above = parts[0].count("\n") + 1
    return Prompt(first, _rendered(name, parts[1], above, variables, most), label)


def _shipped(name: str) -> bytes:
    try:
        return resource_path("templates", "default", f"PROMPT.{name}.md").read_bytes()
    except ConfigurationError:
        raise ConfigurationError(
            f"no prompt template '{name}'",
            cause=f"'.roadmap/PROMPT.{name}.md' is not among the contracts in force",
            hint=f"write '.roadmap/PROMPT.{name}.md' (a copy of PROMPT.model.md is a good "
            "beginning), or correct 'template' in .roadmap/agents_swarm.yaml; either takes effect "
            "with the next run",
        ) from None


def _variables(view: Mapping[str, Any]) -> dict[str, Any]:
    """Return the view with every optional entry in its place, so that a misspelt one stands out."""
    found = {**_OPTIONAL, **view}
    found["task"] = {**_OF_TASK, **found["task"]}
    found["profile"] = {**_OF_PROFILE, **found["profile"]}
    found["dependencies"] = [{**_OF_DEPENDENCY, **item} for item in found["dependencies"]]
    found["files"] = [{**_OF_FILE, **item} for item in found["files"]]
    if found["supersedes"] is not None:
        found["supersedes"] = {**_OF_DEPENDENCY, **found["supersedes"]}
    if found["last_rejection"] is not None:
        found["last_rejection"] = {"detail": {}, **found["last_rejection"]}
    return found


def _rendered(name: str, source: str, above: int, variables: Mapping[str, Any], most: int) -> str:
    """Render one part; `above` is how many lines of the template precede it."""
    from jinja2 import TemplateSyntaxError

    try:
        return "".join(_bounded(_compiled(source).generate(variables), most))
    except TemplateSyntaxError as error:
        raise _error(name, str(error.message), above + error.lineno) from error
    except Exception as error:
        # A template is a person's program: it may divide by zero as well as misspell a name.
        line = _line_of(error.__traceback__)
        said = str(error) or type(error).__name__
        raise _error(name, said, None if line is None else above + line) from error


def _bounded(chunks: Iterator[str], most: int) -> Iterator[str]:
    left = most
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise ValueError(
                f"the prompt grows beyond {most} characters; is there a loop in a loop?"
            )
        yield chunk


def _line_of(trace: TracebackType | None) -> int | None:
    """Return the template's line that an exception came from; Jinja maps the frames back."""
    line = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _error(name: str, cause: str, line: int | None) -> ConfigurationError:
    place = "" if line is None else f", line {line}"
    return ConfigurationError(
        f"'.roadmap/PROMPT.{name}.md'{place}: the prompt cannot be rendered",
        cause=excerpt(cause, 300),
        hint="correct the template and start a new run; the comment at its top names the variables",
    )


@lru_cache(maxsize=32)
def _compiled(source: str) -> Template:
    # 10 ms for a shipped template, and the same one serves every attempt of a run.
    return _environment().from_string(source)


@cache
def _environment() -> Environment:
    """Return the one environment: nothing of Python can be reached from a template.

    Undefined names are errors. Nothing is escaped for HTML, since nothing is shown as HTML.
    """
    from jinja2 import StrictUndefined  # 40 ms that a command without agents need not pay
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["fenced"] = fenced
    environment.filters["json"] = _json
    return environment


def fenced(text: str, language: str = "") -> str:
    """Return the text between two fences that it cannot close: longer than any run in it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    end = "" if text.endswith("\n") else "\n"
    return f"{fence}{language}\n{text}{end}{fence}"


def _json(value: Any) -> str:
    """Return a value as JSON on one line, with all that does not print as an escape."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)
