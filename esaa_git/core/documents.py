"""YAML that people write: one decoder, with the line and column of what is wrong."""

from __future__ import annotations

from functools import cache
from typing import Any

from esaa_git.errors import ConfigurationError


@cache
def _loader() -> Any:
    import yaml  # 13 ms that `status` need not pay

    base: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

    class StrictLoader(base):  # type: ignore[misc]  # the base is chosen when it is imported
        """The safe loader, with a duplicate key as the error that it is."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key_node, _ in node.value:
                if key_node.tag == "tag:yaml.org,2002:merge":
                    continue
                key = self.construct_object(key_node, deep=True)
                if not isinstance(key, str):
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {key!r} is not text", key_node.start_mark
                    )
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"duplicate key '{key}'", key_node.start_mark
                    )
                seen.add(key)
            mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
            return mapping

    return StrictLoader


def decode_yaml(data: bytes, name: str) -> Any:
    """Return the value of one YAML document; an empty document is None.

    Raises:
        ConfigurationError: naming the file, line and column of what is wrong: bad syntax, a
            duplicate key, a key that is not text, bytes that are not UTF-8.
    """
    loader = _loader()
    import yaml

    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"'{name}' line {line} is not UTF-8", hint="save the file as UTF-8, then repeat"
        ) from error
    try:
        return yaml.load(text, Loader=loader)  # noqa: S506  # a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" line {mark.line + 1} column {mark.column + 1}" if mark else ""
        raise ConfigurationError(
            f"'{name}'{where}: {error.problem or error.context}",
            hint=f"correct '{name}' there, then repeat the command",
        ) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigurationError(
            f"'{name}' is not YAML", cause=str(error).split("\n", 1)[0]
        ) from error
