"""What a command starts of the tree: the files that act, read from its words alone.

docs/FORMAT.md, "Programs", has the rule: the program where its name has a '/', the script that a
known interpreter is given, the module that Python is given, what an option loads, and these behind
programs that start others and as the first word of a command in a shell's text. An argument of any
other program is no judge. Where the words do not say it for sure, the reading says so.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from esaa_git.core.command_options import (
    KNOWN,
    LOADS,
    OPAQUE,
    RUNNERS,
    TEXT,
    WRAPPERS,
    Option,
    names_code,
    options,
)
from esaa_git.core.paths import path_in_tree
from esaa_git.core.shell_text import (
    ASSIGNMENT,
    BEFORE_A_COMMAND,
    NOT_READ,
    SETS,
    Simple,
    commands_of,
)

_SHELLS: Final = frozenset({"ash", "bash", "dash", "fish", "ksh", "mksh", "sh", "zsh"})
_PYTHON: Final = re.compile(r"(?:python|pypy)[0-9.]*[a-z]?")
_RUBY_OR_PERL: Final = re.compile(r"(ruby|perl)[0-9.]*")
_MODULE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_PERL_MODULE: Final = re.compile(r"-?([A-Za-z_]\w*(?:::\w+)*)(?:=[\w,:]*)?")
_DEEPEST: Final = 20


@dataclass(frozen=True, slots=True)
class Acting:
    """What of a command acts by a file of the tree.

    Attributes:
        words: the command; what `env -S` holds in one word stands in several.
        files: the paths that act, by their place among the words.
        modules: paths that an interpreter takes for what it is given by a name, existing or not.
        hidden: paths that stand inside of a shell's text, where no other can take their place.
        folders: those whose files may all be loaded: a package of `-m`, a place to look in.
        folder: the folder of the tree that the program is started in; empty for its top.
        unread: why the command cannot be read for sure; nothing where it can.
    """

    words: tuple[str, ...]
    files: Mapping[int, str] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    folder: str = ""
    unread: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path of the tree by which the command may act."""
        return tuple(dict.fromkeys((*self.files.values(), *self.modules, *self.hidden)))


def acting(
    words: Sequence[str], root: str | None = None, inside: Callable[[str], bool] = bool
) -> Acting:
    """Return what of a command acts by a file of the tree.

    Args:
        words: the program and its arguments.
        root: the absolute path of the tree's top, by which absolute paths inside of it are told.
        inside: answers of such an absolute path whether it belongs to the tree: a link to what is
            installed, in a folder that git ignores, does not.
    """
    return _Reading(list(words), root, inside).read()


class _Reading:
    """One reading of a command, from its first word on."""

    def __init__(
        self,
        words: list[str],
        root: str | None,
        inside: Callable[[str], bool],
        folder: str = "",
        depth: int = 0,
        reads: Sequence[str] = (),
    ) -> None:
        self._words = words
        self._root = root
        self._inside = inside
        self._folder = folder
        self._depth = depth
        self._reads = reads
        self._files: dict[int, str] = {}
        self._modules: dict[str, None] = {}
        self._hidden: dict[str, None] = {}
        self._folders: dict[str, None] = {}
        self._unread: dict[str, None] = {}

    def read(self) -> Acting:
        if self._depth > _DEEPEST:
            self._doubt("commands stand too deep inside of each other")
        else:
            self._command(0)
        return Acting(
            tuple(self._words),
            self._files,
            tuple(self._modules),
            tuple(self._hidden),
            tuple(self._folders),
            self._folder,
            tuple(self._unread),
        )

    def _doubt(self, why: str) -> None:
        self._unread[why] = None

    def _doubt_option(self, one: Option) -> None:
        self._doubt(f"the option '{self._words[one.at][:60]}' may name code")

    def _word(self, at: int) -> str:
        return self._words[at] if at < len(self._words) else ""

    def _command(self, at: int) -> None:
        """Read the command that begins with this word."""
        if at >= len(self._words):
            return
        word = self._words[at]
        if "/" in word:
            self._take(at)
        name = posixpath.basename(word).removesuffix(".exe")
        ruby_or_perl = _RUBY_OR_PERL.fullmatch(name)
        if name == "env":
            self._env(at + 1)
        elif name == "uv":
            self._uv(at + 1)
        elif name == "npx":
            self._npx(at + 1)
        elif name in _SHELLS:
            self._shell(name, at + 1)
        elif _PYTHON.fullmatch(name):
            self._interpreter("python", at + 1)
        elif name in ("node", "nodejs"):
            self._interpreter("node", at + 1)
        elif ruby_or_perl is not None:
            self._interpreter(ruby_or_perl[1], at + 1)
        elif name in WRAPPERS:
            for one in self._options(at + 1, name):
                if isinstance(one, int):
                    self._command(one + WRAPPERS[name])
        elif name in RUNNERS and "run" in self._words[at + 1 :]:
            if self._word(at + 1) != "run" or self._word(at + 2)[:1] == "-":
                self._doubt(f"options of '{name}' are not known here")
            self._command(self._words.index("run", at + 1) + 1)
        elif name in OPAQUE or (
            name == "find" and any(one.startswith(("-exec", "-ok")) for one in self._words[at:])
        ):
            self._doubt(f"'{name}' starts what its words name")

    def _in_tree(self, word: str) -> str | None:
        if word.startswith("/") and not self._inside(word):
            return None
        return path_in_tree(word, self._root, self._folder)

    def _take(self, at: int) -> None:
        path = self._in_tree(self._words[at])
        if path is not None:
            self._files[at] = path

    def _hide(self, word: str) -> None:
        path = self._in_tree(word)
        self._hidden |= {} if path is None else {path: None}

    def _options(self, at: int, kind: str) -> Iterator[Option | int]:
        """Yield the options that are known, and at last the place of the first other word."""
        for one in options(self._words, at, KNOWN[kind]):
            if isinstance(one, Option) and not one.name:
                self._doubt(f"the option '{one.value[:60]}' is not known here")
                continue
            yield one

    # -- interpreters ---------------------------------------------------------------------------

    def _interpreter(self, kind: str, at: int) -> None:
        places: list[str] = []
        loads: list[Option] = []
        script: int | None = None
        for one in self._options(at, kind):
            if isinstance(one, int):
                script = one
            elif one.name in TEXT[kind]:
                self._doubt(f"a text is given to {kind}")
                break
            elif kind == "python" and one.name == "m":
                self._module(one.value)
                break
            elif kind != "python" and one.name == "I":
                places.append(one.value)
            elif kind == "ruby" and one.name == "C":
                self._folder = posixpath.join(self._folder, one.value)
            elif (kind != "perl" and one.name in LOADS) or (kind == "perl" and one.name in "mM"):
                loads.append(one)
            elif kind == "node" and one.name == "test":
                return
            elif one.name in "WX" and re.search(r"\.|pycache_prefix|presite", one.value):
                self._doubt_option(one)
        for folder in places:
            path = self._in_tree(folder)
            self._folders |= {} if path is None else {path: None}
        for one in loads:
            self._load(kind, one, places)
        if script is not None:
            self._script(kind, script)

    def _script(self, kind: str, at: int) -> None:
        if at >= len(self._words) or self._words[at] == "-":
            self._from_input(kind)
            return
        self._take(at)
        path = self._files.get(at)
        if path is not None and kind == "node" and "." not in posixpath.basename(path):
            endings = (".js", ".cjs", ".mjs", ".json", "/index.js", "/package.json")
            self._modules |= dict.fromkeys(f"{path}{ending}" for ending in endings)

    def _from_input(self, kind: str) -> None:
        """Read what an interpreter is given that has no script: a text on its input."""
        if not self._reads:
            self._doubt(f"{kind} reads its text from its input")
        for name in self._reads:
            self._hide(name)

    def _load(self, kind: str, one: Option, places: Sequence[str]) -> None:
        name = one.value
        if kind == "perl":
            found = _PERL_MODULE.fullmatch(name)
            if found is None:
                self._doubt_option(one)
                return
            name = found[1].replace("::", "/") + ".pm"
        elif "/" in name:
            self._load_path(kind, one)
            return
        ending = "" if kind == "perl" or name.endswith(".rb") else ".rb"
        if kind != "node":
            paths = (self._in_tree(posixpath.join(place, name + ending)) for place in places)
            self._modules |= {path: None for path in paths if path is not None}

    def _load_path(self, kind: str, one: Option) -> None:
        if "." in posixpath.basename(one.value):
            if one.of is None:
                self._hide(one.value)
            else:
                self._take(one.of)
            return
        self._hide(one.value + (".rb" if kind == "ruby" else ".js"))
        for ending in ("", ".so", ".json", ".node", "/index.js", "/package.json"):
            self._add_module(posixpath.join(self._folder, one.value + ending))

    def _module(self, name: str) -> None:
        if not _MODULE.fullmatch(name):
            self._doubt("the name of a module is not one")
            return
        below = self._folder
        parts = name.split(".")
        top = self._in_tree(parts[0])
        for part in parts[:-1]:
            below = posixpath.join(below, part)
            self._add_module(posixpath.join(below, "__init__.py"))
        last = posixpath.join(below, parts[-1])
        for ending in (".py", "/__main__.py", "/__init__.py"):
            self._add_module(f"{last}{ending}")
        self._folders |= {} if top is None else {top: None}

    def _add_module(self, word: str) -> None:
        path = path_in_tree(word, self._root)
        self._modules |= {} if path is None else {path: None}

    # -- shells ---------------------------------------------------------------------------------

    def _shell(self, name: str, at: int) -> None:
        is_text = is_input = False
        for one in self._options(at, "shell"):
            if isinstance(one, Option):
                is_text = is_text or one.name == "c"
                is_input = is_input or one.name == "s"
                if one.name in ("rcfile", "init-file") and one.of is not None:
                    self._take(one.of)
                elif one.name in ("rcfile", "init-file"):
                    self._hide(one.value)
                elif _is_odd(name, self._words[one.at], one):
                    self._doubt_option(one)
            elif is_text:
                self._shell_text(self._word(one))
            elif is_input or one >= len(self._words):
                self._from_input("a shell")
            else:
                self._take(one)

    def _shell_text(self, text: str) -> None:
        """Read the first word of each simple command in a shell's text."""
        found, faults = commands_of(text)
        self._unread |= dict.fromkeys(faults)
        for one in found:
            self._simple(one)

    def _simple(self, one: Simple) -> None:
        words, first = one.words, 0
        while first < len(words):
            word = words[first]
            assigned = ASSIGNMENT.match(word)
            if assigned is not None:
                self._assigned(assigned[1])
            elif word in (".", "source"):
                self._hide("".join(words[first + 1 : first + 2]))
                self._patterns(one, first)
                return
            elif word in ("for", "in"):
                return
            elif word in ("exec", "command", "builtin", "noglob", "nocorrect"):
                if "".join(words[first + 1 : first + 2])[:1] == "-":
                    self._doubt(f"'{word}' has an option in its text")
                    first += 1
            elif word in SETS:
                for name in words[first + 1 :]:
                    self._assigned(name.partition("=")[0])
                return
            elif word in NOT_READ:
                self._doubt(f"'{word}' stands in its text")
                return
            elif word not in BEFORE_A_COMMAND:
                break
            first += 1
        if first >= len(words):
            return
        inner = _Reading(
            words[first:], self._root, self._inside, self._folder, self._depth + 1, one.reads
        )
        read = inner.read()
        self._hidden |= dict.fromkeys((*read.files.values(), *read.hidden))
        self._modules |= dict.fromkeys(read.modules)
        self._folders |= dict.fromkeys(read.folders)
        self._unread |= dict.fromkeys(read.unread)
        if first in one.patterns or read.paths or read.unread:
            self._patterns(one, first)

    def _patterns(self, one: Simple, first: int) -> None:
        if any(place >= first for place in one.patterns):
            self._doubt("a pattern stands in its text")

    def _assigned(self, name: str) -> None:
        if names_code(name):
            self._doubt(f"it sets {name}, which names code")

    # -- programs that start others -------------------------------------------------------------

    def _env(self, at: int) -> None:
        for one in self._options(at, "env"):
            if isinstance(one, int):
                self._after_assignments(one)
            elif one.name in ("S", "split-string"):
                if "\\" in one.value or "$" in one.value:
                    self._doubt("the text of 'env -S' is not plain")
                try:
                    split = shlex.split(one.value)
                except ValueError:
                    split = one.value.split()
                before = self._words[one.at]
                kept = [f"-{before[1 : before.index('S')]}"] if before[1:2] not in "-S" else []
                self._words[one.at : one.ends] = [*kept, *split]
                self._depth += 1
                if self._depth > _DEEPEST:
                    self._doubt("commands stand too deep inside of each other")
                    return
                self._env(one.at)  # which may begin with options of its own
                return
            elif one.name in ("C", "chdir"):
                self._folder = posixpath.join(self._folder, one.value)
            elif one.name in ("a", "argv0"):
                self._doubt("it is started under another name")

    def _after_assignments(self, at: int) -> None:
        if self._word(at) == "-":
            at += 1  # as `-i`
        while at < len(self._words) and "=" in self._words[at]:
            self._assigned(self._words[at].partition("=")[0])
            at += 1
        self._command(at)

    def _uv(self, at: int) -> None:
        for one in self._options(at, "uv"):
            if isinstance(one, Option):
                self._uv_option(one)
            elif self._word(one) == "run":
                self._uv_run(one + 1)
            elif self._word(one) in ("tool", "x"):
                self._doubt("'uv tool' starts what its words name")

    def _uv_option(self, one: Option) -> None:
        if one.name == "directory":
            self._folder = posixpath.join(self._folder, one.value)
        elif one.name == "env-file" or (
            one.name in ("project", "with", "with-editable", "with-requirements", "python", "w")
            and "/" in one.value
        ):
            self._doubt_option(one)

    def _uv_run(self, at: int) -> None:
        module = ""
        for one in self._options(at, "uv run"):
            if isinstance(one, Option):
                if one.name in ("m", "module"):
                    module = one.value
                    break
                self._uv_option(one)
            elif self._word(one).endswith(".py") and "/" not in self._word(one):
                self._take(one)
            else:
                self._command(one)
        if module:
            self._module(module)

    def _npx(self, at: int) -> None:
        for one in self._options(at, "npx"):
            if isinstance(one, int):
                self._command(one)
            elif one.name in ("c", "call"):
                self._shell_text(one.value)
                return
            elif "/" in one.value and one.value[:1] in "./":
                self._doubt_option(one)


def _is_odd(shell: str, word: str, one: Option) -> bool:
    """Answer whether shells differ in how they take an option."""
    return (word[0] == "+" and one.name == "c") or (
        shell != "bash" and one.name in "oO" and len(word) > 2
    )
