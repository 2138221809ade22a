"""Files that people edit, held against their schemas, and what is wrong in words for an editor.

The validator speaks of properties and candidates; a person who wrote `depend_on` wants to read
where it stands and that there is no such entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

from esaa_git.core import contract_schemas as schemas
from esaa_git.core.documents import Places
from esaa_git.core.events import spec
from esaa_git.core.printable import visible
from esaa_git.errors import ConfigurationError

_TYPES = {
    "array": "a list",
    "object": "a mapping of names to values",
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
}


_FORMS = {
    spec.NAME["pattern"]: "name: letters, digits, '.', '_' and '-', 64 at most, beginning with a "
    "letter or digit",
    spec.TASK_ID["pattern"]: "id of a task: letters, digits, '.', '_' and '-', beginning with a "
    "letter and ending with a letter or digit, 2 to 64",
    spec.DURATION["pattern"]: "duration: write it as in PT30S, PT5M, PT1H30M or P1D",
}
"""What text of a pattern is, in words."""


def checked(document: Any, schema: str, name: str, places: Places | None = None) -> Any:
    """Return the document, if it meets the named schema of `contract_schemas`.

    Args:
        places: where the parts of the document stand, for the line and column of what is wrong.

    Raises:
        ConfigurationError: saying where in the document what is wrong.
    """
    fault = _first_fault(document, _validator(schema), name)
    if fault is not None:
        fault = _misspelled(fault, document, schema) or fault
        said = describe_fault(fault, document, schema=getattr(schemas, schema))
        raise unfit(name, said, _place(fault, places))
    return document


def check_part(part: Any, validator: Any, name: str, at: Sequence[str] = ()) -> None:
    """Refuse a part of a document that a validator of `jsonschema_rs` finds a fault with.

    Args:
        part: what is checked.
        validator: of its schema.
        name: the file that it stands in.
        at: the way to it in there.

    Raises:
        ConfigurationError: saying where in the document what is wrong.
    """
    fault = _first_fault(part, validator, name)
    if fault is not None:
        raise unfit(name, describe_fault(fault, part, at))


def _first_fault(part: Any, validator: Any, name: str) -> Any:
    try:
        return next(validator.iter_errors(part), None)
    except ValueError as error:
        # An anchor that holds itself, as YAML allows: `a: &a [*a]`.
        raise ConfigurationError(
            f"'{name}' cannot be checked", cause=str(error), hint=f"correct '{name}'"
        ) from error


def _misspelled(fault: Any, document: Any, schema: str) -> Any:
    """Return the fault of an entry that stands, misspelled, where another one is missing."""
    if type(fault.kind).__name__ != "Required":
        return None
    for other in _validator(schema).iter_errors(document):
        if (
            type(other.kind).__name__ == "AdditionalProperties"
            and other.instance_path == fault.instance_path
            and _meant(other, getattr(schemas, schema)) == fault.kind.property
        ):
            return other
    return None


def unfit(name: str, fault: str, place: tuple[int, int] | None = None) -> ConfigurationError:
    """Return the error for a file that people edit: where in it what is wrong."""
    where = "" if place is None else f" line {place[0]} column {place[1]}"
    return ConfigurationError(
        f"'{name}'{where}: {fault}",
        hint=f"correct '{name}'; the comments that 'git esaa init' writes explain every entry",
    )


@cache
def _validator(schema: str) -> Any:
    import jsonschema_rs  # 18 ms that a command without contracts need not pay

    return jsonschema_rs.Draft202012Validator(getattr(schemas, schema))


def describe_fault(fault: Any, document: Any, at: Sequence[str] = (), schema: Any = None) -> str:
    """Return where a document fails its schema, and how, as one line.

    Args:
        fault: an error of `jsonschema_rs`.
        document: what was held against the schema.
        at: the way to it, where it is a part of what people know.
        schema: what it was held against, where its entries may be suggested.
    """
    close = _closest(fault)
    where = _where([*at, *close[0].instance_path], document)
    line = f"{where}{_said(close, schema)}"
    # Names in a file may hold what a terminal would obey.
    return visible(line, keep="")


def _place(fault: Any, places: Places | None) -> tuple[int, int] | None:
    """Return where in its file the fault stands, or the next part around it that has a place."""
    if places is None:
        return None
    close = _closest(fault)[0]
    way = list(close.instance_path)
    if type(close.kind).__name__ == "AdditionalProperties":
        way.append(close.kind.unexpected[0])
    while tuple(way) not in places and way:
        way.pop()
    return places.get(tuple(way), (1, 1))


def _closest(fault: Any) -> list[Any]:
    """Return the faults to speak of: of several forms, those of the ones that come closest.

    An agent that edits files is a preset or a command. Which of the two its author had in mind is
    told by what is wrong with either.
    """
    if type(fault.kind).__name__ != "OneOfNotValid":
        return [fault]
    forms = fault.kind.context
    # One that it has the type of says more than one that it has not.
    typed = [form for form in forms if not any(_is_of_another_type(one, fault) for one in form)]
    forms = typed or forms
    least = min((len(form) for form in forms), default=0)
    # What is missing says more of a form than what is too much for it.
    return [min(form, key=_is_not_missing) for form in forms if len(form) == least] or [fault]


def _is_of_another_type(one: Any, whole: Any) -> bool:
    at_top = list(one.instance_path) == list(whole.instance_path)
    return at_top and type(one.kind).__name__ == "Type"


def _said(close: list[Any], schema: Any) -> str:
    """Return in words what is wrong: one sentence where all want another type."""
    if len(close) > 1 and all(type(one.kind).__name__ == "Type" for one in close):
        return _wants([name for one in close for name in one.kind.types], close[0].instance)
    return " or ".join(dict.fromkeys(_words(one, schema) for one in close))


def _wants(types: Sequence[str], found: Any) -> str:
    wanted = " or ".join(dict.fromkeys(_TYPES.get(str(name), str(name)) for name in types))
    return f"expected {wanted}, found {_found(found)}"


def _is_not_missing(fault: Any) -> bool:
    return type(fault.kind).__name__ != "Required"


def _where(path: list[str | int], document: Any) -> str:
    """Return the place as people know it: a task by its id, anything else by the way to it."""
    if len(path) >= 2 and path[0] == "tasks" and isinstance(path[1], int):
        task = document["tasks"][path[1]]
        name = task.get("task_id") if isinstance(task, dict) else None
        path = [f"task '{name}'" if name else f"task number {path[1] + 1}", *path[2:]]
    return f"{'/'.join(str(part) for part in path)}: " if path else ""


def _words(fault: Any, schema: Any) -> str:
    kind = fault.kind
    match type(kind).__name__:
        case "Required":
            return f"'{kind.property}' is missing"
        case "AdditionalProperties":
            unknown = f"there is no entry of the name {_listed(kind.unexpected)}"
            return unknown + (_money(fault) or _near(fault, schema))
        case "Enum" if isinstance(fault.instance, str):
            return f"'{fault.instance[:100]}' is not one of {', '.join(kind.options)}"
        case "Type":
            return f"{_wants(kind.types, fault.instance)}{_money(fault)}"
        case "Minimum" if _money(fault):
            least = f"expected at least {kind.limit}, found {fault.instance}"
            return f"{least}; what has no limit is left out"
        case "MinProperties" if _money(fault):
            return "a budget without any limit"
        case "MinItems" if not fault.instance:
            return "expected at least one entry, found an empty list"
        case "MinLength" if not fault.instance:
            return "expected text, found an empty one"
        case "UniqueItems":
            return f"one stands twice in {_found(fault.instance)}"
        case "Pattern" if kind.pattern in _FORMS:
            return f"{_found(fault.instance)} is no {_FORMS[kind.pattern]}"
        case "PropertyNames":
            return _words(kind.error, schema)
        case _:
            return str(fault.message)[:300]


def _money(fault: Any) -> str:
    """Return in which currency a budget is, for a fault in one."""
    path = [str(part) for part in fault.instance_path]
    if not _BUDGETS & set(path) or path[-1] in ("budgets", "kind"):
        return ""
    return "; money is in micro-dollars of the US, as in 'microdollars: 2500000' for 2.50 USD"


_BUDGETS = frozenset({"budget", "budgets", "max_cost"})


def _near(fault: Any, schema: Any) -> str:
    """Return which entry was meant, where one is spelled alike; else all there are, if few."""
    meant = _meant(fault, schema)
    if meant:
        return f"; did you mean '{meant}'?"
    known = _known(fault, schema)
    return f"; there is {', '.join(known)}" if 0 < len(known) <= _FEW else ""


_FEW = 5


def _meant(fault: Any, schema: Any) -> str | None:
    """Return which entry was meant, where one is spelled much like the first that is unknown."""
    near = get_close_matches(fault.kind.unexpected[0], _known(fault, schema), 1, 0.6)
    return near[0] if near else None


def _known(fault: Any, schema: Any) -> list[str]:
    for step in list(fault.schema_path)[:-1]:
        schema = schema[step] if isinstance(schema, list) else (schema or {}).get(step)
    return list((schema or {}).get("properties", {}))


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name[:100]}'" for name in names)


def _found(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:100]
