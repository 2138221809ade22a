"""What a command starts of the tree: the files that act, read from its words alone.

docs/FORMAT.md, "Programs", has the rule: the program where its name has a '/', the script that a
known interpreter is given, the module that Python is given, and these behind `env`, `uv run`, `npx`
and as the first word of a command in a shell's text. An argument of any other program is no judge.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_SHELLS: Final = frozenset({"ash", "bash", "dash", "fish", "ksh", "mksh", "sh", "zsh"})
_PYTHON: Final = re.compile(r"(?:python|pypy)[0-9.]*")
# Of each interpreter: the options that take the next word, those whose word is the program's own
# text, so that no script follows, and those that load a file before the script.
_VALUES: Final[Mapping[str, frozenset[str]]] = {
    "shell": frozenset({"-o", "+o", "-O", "+O", "--rcfile", "--init-file"}),
    "python": frozenset({"-W", "-X", "-Q", "--check-hash-based-pycs"}),
    "node": frozenset({"-C", "--conditions", "--input-type", "--env-file", "--title"}),
    "ruby": frozenset({"-I", "-r", "-C", "-E", "--encoding"}),
    "perl": frozenset({"-I", "-M", "-m"}),
    "env": frozenset({"-u", "--unset"}),
    "uv": frozenset(
        {"--project", "--with", "--with-requirements", "--python", "-p", "--env-file", "--extra"}
        | {"--group", "--index-url", "--directory", "--index", "--with-editable", "-w", "--package"}
    ),
    "npx": frozenset({"-p", "--package", "-w", "--workspace"}),
}
_TEXT: Final[Mapping[str, frozenset[str]]] = {
    "python": frozenset({"-c"}),
    "node": frozenset({"-e", "--eval", "-p", "--print", "-pe"}),
    "ruby": frozenset({"-e"}),
    "perl": frozenset({"-e", "-E"}),
}
_LOADS: Final = frozenset({"-r", "--require", "--import", "--loader", "--experimental-loader"})
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_BEFORE_A_COMMAND: Final = frozenset(
    {"!", "{", "}", "(", ")", "if", "then", "else", "elif", "fi", "do", "done", "while", "until"}
    | {"exec", "command", "builtin", "nohup", "time", ".", "source"}
)
_MODULE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")


@dataclass(frozen=True, slots=True)
class Acting:
    """What of a command acts by a file of the tree.

    Attributes:
        words: the command; what `env -S` holds in one word stands in several.
        files: the paths that act, by their place among the words.
        modules: paths that Python takes for the module it is given (`-m`), existing or not.
        hidden: paths that stand inside of a shell's text, where no other can take their place.
    """

    words: tuple[str, ...]
    files: Mapping[int, str] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

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

    def __init__(self, words: list[str], root: str | None, inside: Callable[[str], bool]) -> None:
        self._words = words
        self._root = root
        self._inside = inside
        self._files: dict[int, str] = {}
        self._modules: list[str] = []
        self._hidden: list[str] = []
        self._folder = ""

    def read(self) -> Acting:
        self._command(0)
        return Acting(
            tuple(self._words),
            self._files,
            tuple(dict.fromkeys(self._modules)),
            tuple(dict.fromkeys(self._hidden)),
        )

    def _command(self, at: int) -> None:
        """Read the command that begins with this word."""
        while at < len(self._words) and _ASSIGNMENT.match(self._words[at]) and at:
            at += 1
        if at >= len(self._words):
            return
        word = self._words[at]
        if "/" in word:
            self._take(at)
        name = posixpath.basename(word).removesuffix(".exe")
        if name == "env":
            self._env(at + 1)
        elif name == "uv":
            self._uv(at + 1)
        elif name == "npx":
            self._npx(at + 1)
        elif name in _SHELLS:
            self._shell(at + 1)
        elif _PYTHON.fullmatch(name):
            self._interpreter("python", at + 1)
        elif name in ("node", "nodejs"):
            self._interpreter("node", at + 1)
        elif name in ("ruby", "perl"):
            self._interpreter(name, at + 1)

    def _in_tree(self, word: str) -> str | None:
        if word.startswith("/") and not self._inside(word):
            return None
        return path_in_tree(word, self._root, self._folder)

    def _take(self, at: int) -> None:
        path = self._in_tree(self._words[at])
        if path is not None:
            self._files[at] = path

    def _options(self, at: int, kind: str) -> Iterator[tuple[int, str]]:
        """Yield the options from here on; the last is yielded as '', with the first other word."""
        values = _VALUES[kind]
        while at < len(self._words):
            word = self._words[at]
            if word == "--":
                at += 1
                break
            if not word.startswith(("-", "+")) or word in ("-", "+"):
                break
            yield at, word
            at += 2 if word in values or word in _LOADS else 1
        yield at, ""

    def _interpreter(self, kind: str, at: int) -> None:
        for place, option in self._options(at, kind):
            if not option:
                if place < len(self._words) and self._words[place] != "-":
                    self._take(place)
            elif option in _TEXT[kind]:
                return
            elif kind == "python" and option.startswith("-m"):
                self._module(option[2:] or "".join(self._words[place + 1 : place + 2]))
                return
            elif kind == "python" and re.fullmatch(r"-[A-Za-z]*c", option):
                return  # `-Ic TEXT`
            elif kind == "python" and re.fullmatch(r"-[A-Za-z]+m", option):
                self._module("".join(self._words[place + 1 : place + 2]))
                return
            elif kind == "node" and option.partition("=")[0] in _LOADS:
                self._load(place, option)

    def _load(self, at: int, option: str) -> None:
        if "=" in option:
            path = self._in_tree(option.partition("=")[2])
            self._hidden += [] if path is None else [path]
        elif at + 1 < len(self._words) and "/" in self._words[at + 1]:
            self._take(at + 1)

    def _module(self, name: str) -> None:
        if not _MODULE.fullmatch(name):
            return
        below = self._folder
        parts = name.split(".")
        for part in parts[:-1]:
            below = posixpath.join(below, part)
            self._modules.append(posixpath.join(below, "__init__.py"))
        last = posixpath.join(below, parts[-1])
        self._modules += [f"{last}.py", f"{last}/__main__.py", f"{last}/__init__.py"]

    def _shell(self, at: int) -> None:
        for place, option in self._options(at, "shell"):
            if not option:
                if place < len(self._words):
                    self._take(place)
            elif not option.startswith("--") and "c" in option and option[0] == "-":
                # The text is the first word that is no option.
                for text, rest in self._options(place + 1, "shell"):
                    if not rest and text < len(self._words):
                        self._shell_text(self._words[text])
                return

    def _shell_text(self, text: str) -> None:
        """Read the first word of each simple command in a shell's text; that is all we look at."""
        lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|()\n`")
        lexer.whitespace = " \t\r"
        lexer.whitespace_split = True
        lexer.commenters = ""
        try:
            tokens = list(lexer)
        except ValueError:
            tokens = text.split()
        command: list[str] = []
        for token in (*tokens, ";"):
            if token and not set(token) <= set(";&|()\n`"):
                command.append(token)
                continue
            self._inner(command)
            command = []

    def _inner(self, command: list[str]) -> None:
        while command and (command[0] in _BEFORE_A_COMMAND or _ASSIGNMENT.match(command[0])):
            if command[0] in (".", "source") and len(command) > 1:
                self._hide(command[1])
            command = command[1:]
        if command:
            found = _Reading(command, self._root, self._inside)
            found._folder = self._folder
            read = found.read()
            self._hidden += read.paths

    def _hide(self, word: str) -> None:
        path = self._in_tree(word)
        self._hidden += [] if path is None else [path]

    def _env(self, at: int) -> None:
        for place, option in self._options(at, "env"):
            if option in ("-S", "--split-string") or option.startswith(("-S", "--split-string=")):
                long = option.startswith("--")
                inline = option.partition("=")[2] if long else option[2:]
                ends = place + 1 if inline else place + 2
                text = inline or "".join(self._words[place + 1 : place + 2])
                try:
                    split = shlex.split(text)
                except ValueError:
                    split = text.split()
                self._words[place:ends] = split
                self._env(place)  # which may begin with options of its own
                return
            if option in ("-C", "--chdir") or option.startswith("--chdir="):
                ends = place + 1 if "=" in option else place + 2
                folder = option.partition("=")[2] or "".join(self._words[place + 1 : ends])
                self._folder = posixpath.join(self._folder, folder)
                self._env(ends)
                return
            if not option:
                self._command_after_assignments(place)

    def _command_after_assignments(self, at: int) -> None:
        while at < len(self._words) and "=" in self._words[at]:
            at += 1
        self._command(at)

    def _uv(self, at: int) -> None:
        for place, option in self._options(at, "uv"):
            if not option and self._words[place : place + 1] == ["run"]:
                self._uv_run(place + 1)

    def _uv_run(self, at: int) -> None:
        for place, option in self._options(at, "uv"):
            if option in ("-m", "--module"):
                self._module("".join(self._words[place + 1 : place + 2]))
                return
            if not option and place < len(self._words):
                if self._words[place].endswith(".py") and "/" not in self._words[place]:
                    self._take(place)
                else:
                    self._command(place)
                return

    def _npx(self, at: int) -> None:
        for place, option in self._options(at, "npx"):
            if option in ("-c", "--call"):
                self._shell_text("".join(self._words[place + 1 : place + 2]))
                return
            if not option:
                self._command(place)


def path_in_tree(word: str, root: str | None = None, folder: str = "") -> str | None:
    """Return the path of the tree that a word of a command names, None where it leads outside."""
    if not word or "\0" in word:
        return None
    path = posixpath.normpath(posixpath.join(folder, word))
    if path.startswith("/"):
        top = None if root is None else root.rstrip("/") + "/"
        if top is None or not path.startswith(top):
            return None
        path = path[len(top) :]
    return None if path in (".", "..") or path.startswith("../") else path
