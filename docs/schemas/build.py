#!/usr/bin/env python3
"""Write the JSON Schemas, and the parts of docs/FORMAT.md that the code knows better.

    python docs/schemas/build.py            write them
    python docs/schemas/build.py --check    say which of them are out of date, and exit with 1

In the document, a part between `<!-- begin NAME -->` and `<!-- end NAME -->` is written here, and
so is every fenced block whose first line ends in `example:NAME` (`example.py` makes those).
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import example  # noqa: E402  (beside this file)

from esaa_git.core import machine  # noqa: E402  (the checkout, not an installed copy)
from esaa_git.core.envelope import (  # noqa: E402
    ENVELOPE,
    payload_schemas,
    published_schema,
    update_schemas,
)
from esaa_git.core.event import schema  # noqa: E402
from esaa_git.core.events import ACTIONS, spec  # noqa: E402
from esaa_git.core.events.base import schema_of  # noqa: E402
from esaa_git.core.events.fields import (  # noqa: E402
    Exchange,
    ExchangePart,
    KeptPart,
    Limits,
    RefusedExchange,
    Reserves,
    SpokenExchange,
    TaskDefinition,
)
from esaa_git.core.events.file_write import FileWrite  # noqa: E402
from esaa_git.core.rejection import EXPLANATIONS  # noqa: E402
from esaa_git.core.self_running import VERSIONS, families  # noqa: E402
from esaa_git.verification.failure import CHECKS  # noqa: E402

FORMAT = "docs/FORMAT.md"
DRAFT = "https://json-schema.org/draft/2020-12/schema"
_PART = re.compile(r"(<!-- begin ([a-z-]+) -->\n)(.*?)(<!-- end \2 -->)", re.DOTALL)
_EXAMPLE = re.compile(r"(^```[a-z]+ example:(\S+)\n)(.*?)(^```$)", re.DOTALL | re.MULTILINE)

NAMED = {
    "TASK_ID": "task id",
    "ATTEMPT_ID": "attempt id",
    "RUN_ID": "run id",
    "ISSUE_ID": "issue id",
    "LESSON_ID": "lesson id",
    "APPROVAL_ID": "approval id",
    "QUESTION_ID": "question id",
    "EVENT_ID": "event id",
    "NAME": "name",
    "ACTOR": "actor",
    "TIMESTAMP": "time",
    "OID": "object id",
    "SHA256": "SHA-256",
    "PATH": "path",
    "SEVERITY": "severity",
    "DETAIL": "object",
    "BOOLEAN": "boolean",
}
"""How the shared fragments of `esaa_git.core.events.spec` are called in the tables."""

RECORDS = {
    TaskDefinition: "task definition",
    Limits: "set of limits",
    Reserves: "reservation",
    ExchangePart: "exchange part",
    KeptPart: "kept part",
    Exchange: "exchange",
    RefusedExchange: "exchange of a refusal",
    SpokenExchange: "exchange with words",
}
"""How the shared records of `esaa_git.core.events.fields` are called."""


# ------------------------------------------------------------------------------------- schemas


def schemas() -> dict[str, str]:
    """Return every schema file by its path in the checkout."""
    found = {
        f"docs/schemas/{action}.json": {"$schema": DRAFT, "title": action, **schema(action)}
        for action in ACTIONS
    }
    found["docs/schemas/envelope.json"] = published_schema()
    return {
        path: json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for path, document in found.items()
    }


# ---------------------------------------------------------------------------- parts of the document


def payloads() -> str:
    """One table an action: the fields of its payload."""
    parts = []
    for action, found in ACTIONS.items():
        shape = schema_of(found)
        parts.append(f"#### `{action}`\n")
        if "oneOf" in shape:
            for each in shape["oneOf"]:
                (tag,) = shape["required"]
                parts.append(f"With `{tag}` `{each['properties'][tag]['enum'][0]}`:\n")
                parts.append(fields(each))
        else:
            parts.append(fields(shape))
        if action == "orchestrator.file.write":
            parts.append(files())
    return "\n".join(parts)


def files() -> str:
    """The four forms of an entry of `files`."""
    forms = schema_of(FileWrite)["properties"]["files"]["items"]["oneOf"]
    lines = ["Each entry of `files` is one of:\n", "| change | fields |", "|---|---|"]
    for form in forms:
        properties, required = form["properties"], form["required"]
        named = [
            f"`{name}` {describe(value)}{'' if name in required else ' (optional)'}"
            for name, value in properties.items()
            if name != "change"
        ]
        lines.append(f"| `{properties['change']['enum'][0]}` | {', '.join(named)} |")
    return "\n".join(lines) + "\n"


def shared() -> str:
    """The records that several payloads share."""
    parts = []
    for found in (
        TaskDefinition,
        Limits,
        Reserves,
        Exchange,
        RefusedExchange,
        SpokenExchange,
        ExchangePart,
        KeptPart,
    ):
        called = RECORDS[found]
        article = "An" if called.startswith("e") else "A"
        parts.append(f"{article} **{called}**:\n")
        parts.append(fields(schema_of(found)))
    return "\n".join(parts)


def patterns() -> str:
    """The strings that have a form of their own."""
    lines = ["| type | pattern | most |", "|---|---|---|"]
    for name, called in NAMED.items():
        found = getattr(spec, name)
        if found.get("pattern") and name != "PATH":
            pattern = found["pattern"].removesuffix("(?!\\n)").replace("|", "\\|")
            lines.append(f"| {called} | `{pattern}` | {found['maxLength']} |")
    return "\n".join(lines) + "\n"


def intentions() -> str:
    """What an agent says with each action, and the envelope around it."""
    parts = ["The envelope:\n", fields(ENVELOPE)]
    for action, found in payload_schemas().items():
        parts += [f"The payload of `{action}`:\n", fields(found)]
    return "\n".join(parts)


def operations() -> str:
    """The operations on files, one row each."""
    lines = ["| `op` | fields |", "|---|---|"]
    for name, found in update_schemas().items():
        named = [
            f"`{field}` {describe(value)}{'' if field in found['required'] else ' (optional)'}"
            for field, value in found["properties"].items()
            if field != "op"
        ]
        lines.append(f"| `{name}` | {'; '.join(named)} |")
    return "\n".join(lines) + "\n"


def fields(record: Mapping[str, Any]) -> str:
    """The fields of one record as a table."""
    lines = ["| field | type | |", "|---|---|---|"]
    for name, value in record["properties"].items():
        need = "required" if name in record["required"] else "optional"
        lines.append(f"| `{name}` | {describe(value)} | {need} |")
    return "\n".join(lines) + "\n"


def describe(found: Mapping[str, Any]) -> str:
    """Return a schema in a few words."""
    for name, called in NAMED.items():
        if found == getattr(spec, name):
            return called
    for shared_one, called in RECORDS.items():
        if found == schema_of(shared_one):
            return called
    match found:
        case {"enum": [only]}:
            return f"`{only}`"
        case {"enum": values}:
            return "one of " + ", ".join(f"`{value}`" for value in values)
        case {"type": "integer", "minimum": least, "maximum": most}:
            bounds = f"from {least}" if most == spec.MAX_INTEGER else f"{least} to {most}"
            return f"integer {bounds}"
        case {"type": "array", "items": items, "minItems": least, "maxItems": most}:
            return f"list ({least} to {most}) of {describe(items)}"
        case {"type": "string", "pattern": pattern, "minLength": least, "maxLength": most}:
            kind = "line" if pattern == spec.line()["pattern"] else "text"
            return f"{kind} of {least} to {most}"
        case {"type": "string"}:
            return "string"
        case {"oneOf": _}:
            return "entry, see below"
        case {"properties": properties, "required": required, "additionalProperties": False}:
            named = [
                f"`{name}` {describe(value)}{'' if name in required else ' (optional)'}"
                for name, value in properties.items()
            ]
            return "{ " + "; ".join(named) + " }"
        case {"required": ["op"]}:
            return "operation, see below"
        case {"type": "object"}:
            return "object"
    raise ValueError(f"no words for {found}")


def transitions() -> str:
    """The state machine's table."""
    lines = ["| entity | from | action | cause | to |", "|---|---|---|---|---|"]
    for row in machine.TABLE:
        cause = f"`{row.cause}`" if row.cause else ""
        source = f"`{row.source}`" if row.source else "(new)"
        lines.append(f"| {row.entity} | {source} | `{row.action}` | {cause} | `{row.target}` |")
    return "\n".join(lines) + "\n"


def diagrams() -> str:
    """The same table drawn."""
    parts = []
    for entity in ("task", "attempt", "run"):
        parts.append(f"{entity.capitalize()}s:\n")
        parts.append(f"```mermaid\n{machine.diagram(entity)}```\n")
    return "\n".join(parts)


def reject_codes() -> str:
    """Each code, with what it asks of the agent."""
    lines = ["| code | what the agent is told to do |", "|---|---|"]
    lines += [f"| `{code}` | {text} |" for code, text in EXPLANATIONS.items()]
    return "\n".join(lines) + "\n"


def checks() -> str:
    """The numbers and names of the checks."""
    lines = ["| number | name |", "|---|---|"]
    lines += [f"| {number} | {name} |" for number, name in CHECKS.items()]
    return "\n".join(lines) + "\n"


def self_running() -> str:
    """The versions of the list of files that run by themselves, by family."""
    lines = []
    for version in VERSIONS:
        lines += [f"Version {version}:", "", "| family | patterns |", "|---|---|"]
        for family, listed in families(version).items():
            lines.append(f"| {family} | {' '.join(f'`{pattern}`' for pattern in listed)} |")
    return "\n".join(lines) + "\n"


PARTS: Mapping[str, Callable[[], str]] = {
    "patterns": patterns,
    "shared": shared,
    "payloads": payloads,
    "transitions": transitions,
    "diagrams": diagrams,
    "intentions": intentions,
    "operations": operations,
    "reject-codes": reject_codes,
    "checks": checks,
    "self-running": self_running,
}


def document(text: str) -> str:
    """Return docs/FORMAT.md with its generated parts and the example as the code has them."""
    with tempfile.TemporaryDirectory(prefix="esaa-example-") as folder:
        blocks = example.blocks(Path(folder) / "example")
    text = _PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]()}\n{part[4]}", text)
    return _EXAMPLE.sub(lambda block: f"{block[1]}{blocks[block[2]]}{block[4]}", text)


# ---------------------------------------------------------------------------------------- files


def outputs(root: Path = ROOT) -> dict[str, str]:
    """Return every file that this program writes, by its path in the checkout."""
    return {**schemas(), FORMAT: document((root / FORMAT).read_text(encoding="utf-8"))}


def stale(files: Mapping[str, str], root: Path) -> Iterator[str]:
    """The difference between what is committed and what the code says today."""
    for name, text in files.items():
        path = root / name
        committed = path.read_text(encoding="utf-8") if path.exists() else ""
        yield from difflib.unified_diff(
            committed.splitlines(), text.splitlines(), name, f"{name} (today)", n=1, lineterm=""
        )
    known = {(root / name).resolve() for name in files}
    for path in sorted((root / "docs/schemas").glob("*.json")):
        if path.resolve() not in known:
            yield f"{path.relative_to(root)} belongs to no action"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the schemas and the tables of FORMAT.md.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail when out of date")
    check = parser.parse_args(arguments).check
    files = outputs()
    if not check:
        for name, text in files.items():
            (ROOT / name).write_text(text, encoding="utf-8", newline="\n")
        return 0
    difference = list(stale(files, ROOT))
    if difference:
        print("\n".join(difference))
        print("error: a schema or docs/FORMAT.md is out of date", file=sys.stderr)
        print("hint: run 'python docs/schemas/build.py'", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
