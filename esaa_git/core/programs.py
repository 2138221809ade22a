"""Programs that act or judge, pinned as the contracts are.

An agent's program, a reviewer and the script of a check decide what is recorded. `run.init` lists
them with mode and digest, their contents ride in the log, and no proposal touches them, unless a
kind opens them by name, and then a person decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from esaa_git.core.canonical import digest
from esaa_git.core.events.fields import ProgramPin
from esaa_git.core.paths import check_path_set, normalise_path
from esaa_git.core.rejection import Rejected
from esaa_git.errors import ConfigurationError, CorruptedError

AGENTS: Final = ".roadmap/agents/"
"""What lies below is pinned whole: the programs of agents, and what they bring with them."""

MAX_PROGRAMS: Final = 1000
MAX_BYTES: Final = 8 << 20
MAX_TOTAL_BYTES: Final = 32 << 20
"""How many files are pinned at most, and how large one and all of them may be."""


@dataclass(frozen=True, slots=True)
class Programs:
    """The pinned programs: what `run.init` lists, in order of path, and their contents.

    Attributes:
        read: gives a content by its SHA-256.
    """

    pins: tuple[ProgramPin, ...]
    read: Callable[[str], bytes] = field(compare=False, repr=False)

    @classmethod
    def of(cls, files: Mapping[str, tuple[str, bytes]]) -> Programs:
        """Return programs given as mode and content by path."""
        contents = {digest(data): data for _, data in files.values()}
        pins = (
            ProgramPin(path=path, mode=mode, sha256=digest(data))  # type: ignore[arg-type]
            for path, (mode, data) in sorted(files.items())
        )
        return cls(tuple(pins), contents.__getitem__)

    def pin(self, path: str) -> ProgramPin | None:
        """Return what is pinned at a path."""
        return next((pin for pin in self.pins if pin.path == path), None)

    def content(self, pin: ProgramPin) -> bytes:
        """Return what is to stand at a pinned path.

        Raises:
            CorruptedError: if what is kept is something else.
        """
        data = self.read(pin.sha256)
        if digest(data) != pin.sha256:
            raise CorruptedError(
                f"the pinned program '{pin.path}' is damaged",
                cause=f"its SHA-256 is not {pin.sha256[:12]}",
                hint="run 'git esaa verify', or fetch the log again",
            )
        return data


def check_bounds(programs: Programs) -> None:
    """Refuse programs that are too many or too large, out of order, or no paths of a tree.

    Raises:
        ConfigurationError: naming the first.
        CorruptedError: for a content that is not the one that is listed.
    """
    paths = [pin.path for pin in programs.pins]
    if paths != sorted(set(paths)):
        raise ConfigurationError("the list of pinned programs is not in order of path")
    if len(paths) > MAX_PROGRAMS:
        raise _too_much(f"{len(paths)} programs are to be pinned, {MAX_PROGRAMS} may be")
    fault = check_path_set(paths)
    if fault is not None:
        raise ConfigurationError(f"pinned programs: {fault.message}")
    sizes: dict[str, int] = {}
    for pin in programs.pins:
        invalid = normalise_path(pin.path)
        if isinstance(invalid, Rejected):
            raise ConfigurationError(f"a pinned program: {invalid.message}")
        if pin.sha256 not in sizes:
            sizes[pin.sha256] = len(programs.content(pin))
        if sizes[pin.sha256] > MAX_BYTES:
            raise _too_much(
                f"'{pin.path}' has {sizes[pin.sha256]} bytes, {MAX_BYTES} may be pinned"
            )
    if sum(sizes.values()) > MAX_TOTAL_BYTES:
        raise _too_much(
            f"the programs have {sum(sizes.values())} bytes, {MAX_TOTAL_BYTES} may be pinned"
        )


def _too_much(message: str) -> ConfigurationError:
    return ConfigurationError(
        message,
        hint=f"keep below '{AGENTS}' and under 'pin' what acts alone, and install the rest on PATH",
    )


def differences(before: Programs | None, after: Programs | None) -> Mapping[str, str]:
    """Return what became of each path that differs: `new`, `removed`, `content` or `mode`."""
    old = {pin.path: pin for pin in before.pins} if before is not None else {}
    new = {pin.path: pin for pin in after.pins} if after is not None else {}
    found = {}
    for path in sorted(old.keys() | new.keys()):
        one, other = old.get(path), new.get(path)
        if one is None:
            found[path] = "new"
        elif other is None:
            found[path] = "removed"
        elif one.sha256 != other.sha256:
            found[path] = "content"
        elif one.mode != other.mode:
            found[path] = "mode"
    return found
