"""Git's settings, as git answers: every file, condition, variable and `-c` that it goes by.

One process lists all of them (git-config(1), `--list`), since git resolves what a setting means and
libgit2 does not see those of one command (`git -c`, GIT_CONFIG_COUNT) or of its environment. The
list is asked for again once a file that it came from has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from esaa_git.store.objects import name_of

_FILE = "file:"


class Settings:
    """All settings of one repository.

    Args:
        ask: returns what `git config --list -z --show-origin` prints there.
        folder: where git is run, to which it names files.
        own: the repository's own files of settings, whether they exist or not.
    """

    def __init__(self, ask: Callable[[], bytes], folder: Path, own: Sequence[Path]) -> None:
        self._ask = ask
        self._folder = folder
        self._own = own
        self._values: dict[str, list[str]] = {}
        self._seen: dict[Path, tuple[int, ...]] = {}

    def all(self, name: str) -> Sequence[str]:
        """Return every value of a setting, the one that counts last."""
        if not self._seen or any(_stamp(path) != seen for path, seen in self._seen.items()):
            self._read()
        return self._values.get(_key(name), ())

    def names(self) -> Collection[str]:
        """Return the names of all that is set, section and variable in lower case."""
        self.all("")
        return self._values.keys()

    def _read(self) -> None:
        stamps = {path: _stamp(path) for path in self._own}
        words = name_of(self._ask()).split("\0")
        values: dict[str, list[str]] = {}
        for origin, word in zip(words[::2], words[1::2], strict=False):
            key, line, value = word.partition("\n")
            # A name alone stands for true (git-config(1), "Syntax").
            values.setdefault(key, []).append(value if line else "true")
            if origin.startswith(_FILE):
                path = self._folder / origin.removeprefix(_FILE)
                stamps.setdefault(path, _stamp(path))
        self._values, self._seen = values, stamps


def is_on(value: str) -> bool:
    """Answer what a setting of yes or no says (git-config(1), "Values")."""
    return value.lower() in ("true", "yes", "on") or value.lstrip("-0").isdigit()


def _key(name: str) -> str:
    section, _, rest = name.partition(".")
    subsection, dot, variable = rest.rpartition(".")
    return f"{section.lower()}.{subsection}{dot}{variable.lower()}"


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns
