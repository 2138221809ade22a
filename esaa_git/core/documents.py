"""YAML that people write: one reader for all of it, with the line and column of what is wrong.

What is read may be a stranger's. So there are no anchors, aliases, merge keys and tags, by which
a short text becomes a long value; size, depth and number of nodes are bounded; and the value is
built from the parser's events, one after the other, so that no depth of the text is a depth of
calls. A contract needs none of what is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from esaa_git.core import limits
from esaa_git.errors import ConfigurationError

_LONGEST_NUMBER = 64
"""Characters beyond which a plain text is text, whatever it looks like."""

_ANSWERS = ("on", "off", "yes", "no")
"""Words that YAML 1.1 reads as true or false; where one is a key, it is meant as the word."""

_STRING = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
_VALUE = "tag:yaml.org,2002:value"


Places: TypeAlias = dict[tuple[str | int, ...], tuple[int, int]]
"""Line and column, from 1, of each part of a document, by the keys and numbers that lead to it."""


class YamlFault(ValueError):
    """What is wrong with a document, and where: `line` and `column` count from 1, 0 is unknown."""

    def __init__(self, problem: str, line: int = 0, column: int = 0) -> None:
        super().__init__(problem)
        self.line = line
        self.column = column


class Lined(dict[str, Any]):
    """A mapping that knows the line on which it begins, from 1."""

    line = 0


def decode_yaml(
    data: bytes,
    name: str,
    *,
    most_bytes: int = limits.YAML,
    most_nodes: int = limits.YAML_NODES,
    places: Places | None = None,
) -> Any:
    """Return the value of one YAML document; an empty document is None.

    Args:
        most_bytes: how long it may be.
        most_nodes: how many texts, lists and mappings it may hold.
        places: takes where everything stands: by the way to it, the line and column of its key,
            or of the item in a list, from 1.

    Raises:
        ConfigurationError: naming the file, line and column of what is wrong: bad syntax, a
            duplicate key, a key that is not text, bytes that are not UTF-8, an alias or a tag,
            or more than the limits allow.
    """
    if len(data) > most_bytes:
        raise ConfigurationError(
            f"'{name}' has {len(data):,} bytes",
            cause=f"{most_bytes:,} are read at most",
            hint=f"make '{name}' shorter, then repeat the command",
        )
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"'{name}' line {line} is not UTF-8", hint="save the file as UTF-8, then repeat"
        ) from error
    try:
        return _Builder(text, most_nodes, places=places).document()
    except YamlFault as fault:
        if not fault.line:
            raise ConfigurationError(f"'{name}' is not YAML", cause=str(fault)) from fault
        raise ConfigurationError(
            f"'{name}' line {fault.line} column {fault.column}: {fault}",
            hint=f"correct '{name}' there, then repeat the command",
        ) from fault


def decode_yaml_texts(data: bytes) -> Any:
    """Return the value of one YAML document in which every scalar is left as the text it is.

    Mappings are `Lined`, and say where they begin.

    Raises:
        YamlFault: as `decode_yaml` raises its error.
    """
    if len(data) > limits.SIGNERS:
        raise YamlFault(f"longer than {limits.SIGNERS} bytes", 1, 1)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise YamlFault("not UTF-8", data.count(b"\n", 0, error.start) + 1, 1) from error
    return _Builder(text, limits.YAML_NODES, typed=False).document()


_Add: TypeAlias = Callable[[Any, Any], None]
"""Takes a value and the event that began it."""
_Note: TypeAlias = Callable[[Any, str | int, Any, Any], None]
"""Takes a list or mapping, the number or key of a value in it, the value, and where that stands."""


class _Builder:
    """Builds one value from the events of a parser."""

    def __init__(
        self,
        text: str,
        most_nodes: int,
        *,
        typed: bool = True,
        places: Places | None = None,
    ) -> None:
        import yaml  # 13 ms that `status` need not pay

        self._yaml = yaml
        base: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
        self._text, self._base = text, base
        self._most_nodes = most_nodes
        self._typed = typed
        self._places = places
        self._ways: dict[int, tuple[str | int, ...]] = {}

    def document(self) -> Any:
        """Return the value.

        Raises:
            YamlFault: for whatever is wrong.
        """
        yaml = self._yaml
        try:
            self._loader = self._base(self._text)
            return self._build()
        except yaml.MarkedYAMLError as error:
            problem = str(error.problem or error.context)
            raise _fault(problem, error.problem_mark or error.context_mark) from error
        except YamlFault:
            raise
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise YamlFault(str(error).split("\n", 1)[0]) from error

    def _build(self) -> Any:
        yaml, next_event = self._yaml, self._loader.get_event
        root: list[Any] = []
        add: _Add = lambda value, _event: root.append(value)  # noqa: E731 - as the others are
        above: list[_Add] = []
        nodes = documents = 0
        while True:
            event = next_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                add(self._scalar(event), event)
            elif kind is yaml.MappingStartEvent:
                mapping = self._mapping(event)
                add(mapping, event)
                above.append(add)
                add = _entering(mapping, self._note)
            elif kind is yaml.SequenceStartEvent:
                items: list[Any] = []
                add(items, event)
                above.append(add)
                add = _appending(items, self._note)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                add = above.pop()
                continue
            elif kind is yaml.AliasEvent:
                raise _fault("an alias ('*name') is not accepted: write it out", event.start_mark)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    raise _fault("expected one document, and here is another", event.start_mark)
                continue
            elif kind is yaml.StreamEndEvent:
                return root[0] if root else None
            else:
                continue
            nodes += 1
            if event.anchor is not None:
                raise _fault("an anchor ('&name') is not accepted: write it out", event.start_mark)
            if event.tag is not None:
                raise _fault(f"a tag ('{event.tag[:40]}') is not accepted", event.start_mark)
            if nodes > self._most_nodes:
                raise _fault(f"more than {self._most_nodes:,} values", event.start_mark)
            if len(above) > limits.YAML_DEPTH:
                problem = f"nested deeper than {limits.YAML_DEPTH} levels"
                raise _fault(problem, event.start_mark)

    def _note(self, parent: Any, key: str | int, value: Any, mark: Any) -> None:
        """Take note of where a part stands that is about to join a list or mapping."""
        if self._places is None:
            return
        way = (*self._ways.get(id(parent), ()), key)
        self._places[way] = (mark.line + 1, mark.column + 1)
        if isinstance(value, list | dict):
            self._ways[id(value)] = way

    def _mapping(self, event: Any) -> dict[str, Any]:
        if self._typed:
            return {}  # what validates schemas takes no type but this one
        mapping = Lined()
        mapping.line = event.start_mark.line + 1
        return mapping

    def _scalar(self, event: Any) -> Any:
        text = event.value
        if not (self._typed and event.implicit[0]) or len(text) > _LONGEST_NUMBER:
            return text
        tag = self._loader.resolve(self._yaml.ScalarNode, text, event.implicit)
        if tag in (_STRING, _VALUE):
            return text
        if tag == _MERGE:
            raise _fault("a merge key ('<<') is not accepted: write it out", event.start_mark)
        node = self._yaml.ScalarNode(tag, text, event.start_mark, event.end_mark)
        return self._loader.construct_object(node)


def _appending(items: list[Any], note: _Note) -> _Add:
    def add(value: Any, event: Any) -> None:
        note(items, len(items), value, event.start_mark)
        items.append(value)

    return add


def _entering(mapping: dict[str, Any], note: _Note) -> _Add:
    """Return what takes keys and values in turn."""
    key: Any = None
    mark: Any = None

    def add(value: Any, event: Any) -> None:
        nonlocal key, mark
        if mark is not None:
            note(mapping, key, value, mark)
            mapping[key], mark = value, None
            return
        if isinstance(value, bool) and event.value.lower() in _ANSWERS:
            value = event.value
        if not isinstance(value, str):
            shown = "that is a list or mapping" if isinstance(value, list | dict) else repr(value)
            raise _fault(f"key {shown} is not text", event.start_mark)
        if value in mapping:
            raise _fault(f"duplicate key '{value}'", event.start_mark)
        key, mark = value, event.start_mark

    return add


def _fault(problem: str, mark: Any) -> YamlFault:
    return (
        YamlFault(problem) if mark is None else YamlFault(problem, mark.line + 1, mark.column + 1)
    )
