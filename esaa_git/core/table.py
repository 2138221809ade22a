"""Tables of a state, which load a record only when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from rpds import HashTrieMap

R = TypeVar("R")


class Table(Mapping[str, R], Generic[R]):
    """A persistent map from id to record, over an optional lazy source.

    `with_record` returns a new table in logarithmic time and leaves this one as it was.
    Iteration goes in order of id.
    """

    __slots__ = ("_changed", "_source")

    def __init__(
        self,
        source: Mapping[str, R] | None = None,
        changed: HashTrieMap[str, R] | None = None,
    ) -> None:
        self._source: Mapping[str, R] = {} if source is None else source
        self._changed: HashTrieMap[str, R] = HashTrieMap() if changed is None else changed

    def __getitem__(self, key: str) -> R:
        found = self._changed.get(key)
        return self._source[key] if found is None else found

    def __contains__(self, key: object) -> bool:
        return key in self._changed or key in self._source

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._source, *self._changed}))

    def __len__(self) -> int:
        return len({*self._source, *self._changed})

    def with_record(self, key: str, record: R) -> Table[R]:
        return Table(self._source, self._changed.insert(key, record))
