"""The options of the programs that start other programs, as far as we know them.

An option that is not here may take the next word, load a file or name another folder, so what
stands behind it cannot be told: the reader of commands says so (docs/FORMAT.md, "Programs").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one program.

    Attributes:
        flags: letters that take nothing.
        values: letters that take a word, attached or the next.
        long: long options that take nothing.
        takes: long options that take a word, behind '=' or the next.
        short_begins: a long option may be shortened, as GNU programs have it.
        one_dash: a long option may begin with one '-', as in Bash.
        apart: a letter's word is never attached: it is the next, as of a shell's `-o`.
        plus: options may begin with '+'.
    """

    flags: str = ""
    values: str = ""
    long: frozenset[str] = field(default_factory=frozenset)
    takes: frozenset[str] = field(default_factory=frozenset)
    short_begins: bool = False
    one_dash: bool = False
    apart: bool = False
    plus: bool = False


def _of(text: str) -> frozenset[str]:
    return frozenset(text.split())


_UV: Final = (
    _of("quiet verbose no-cache offline frozen locked no-sync isolated no-project no-dev dev")
    | _of("all-extras all-groups no-default-groups only-dev exact active no-progress no-config")
    | _of("no-env-file all-packages no-python-downloads native-tls managed-python")
)
_UV_TAKES: Final = _of(
    "project with with-requirements python env-file extra group index-url directory index"
) | _of("with-editable package no-group only-group no-extra color cache-dir default-index")

KNOWN: Final[Mapping[str, Options]] = {
    "shell": Options(
        "abefhiklmnprstuvxBCEHPTc",
        "oO",
        _of("login noediting noprofile norc posix restricted verbose"),
        _of("rcfile init-file"),
        one_dash=True,
        apart=True,
        plus=True,
    ),
    "python": Options("bBdEhiIOPqRsSuvVx", "WXQmc", takes=_of("check-hash-based-pycs")),
    "node": Options(
        "icvh",
        "rCep",
        _of("enable-source-maps no-warnings trace-warnings trace-uncaught no-deprecation test")
        | _of("throw-deprecation pending-deprecation preserve-symlinks experimental-vm-modules")
        | _of("experimental-strip-types expose-gc check version interactive test-only watch"),
        _of("require import loader experimental-loader eval print conditions input-type title")
        | _of("max-old-space-size stack-trace-limit unhandled-rejections test-name-pattern")
        | _of("test-reporter test-reporter-destination test-concurrency test-timeout"),
    ),
    "ruby": Options("acdhlnpsvwyU", "IrCEeW", _of("verbose yjit jit"), _of("encoding")),
    "perl": Options("acfhnpstTuUvwWX", "IMmeE"),
    "env": Options(
        "i0v",
        "uCSa",
        _of("ignore-environment null debug list-signal-handling help version")
        | _of("ignore-signal default-signal block-signal"),
        _of("unset chdir split-string argv0"),
        short_begins=True,
    ),
    "uv": Options("qvn", "pw", _UV, _UV_TAKES),
    "uv run": Options("qvn", "pwm", _UV, _UV_TAKES | {"module"}),
    "npx": Options(
        "yqs",
        "pwc",
        _of("yes no quiet silent workspaces include-workspace-root ignore-existing no-install"),
        _of("package workspace call"),
    ),
    "timeout": Options(
        "vfp", "ks", _of("foreground preserve-status verbose"), _of("kill-after signal"), True
    ),
    "nice": Options("", "n", takes=_of("adjustment"), short_begins=True),
    "stdbuf": Options("", "ioe", takes=_of("input output error"), short_begins=True),
    "setsid": Options("cfw", "", _of("ctty fork wait"), short_begins=True),
    "time": Options("pvaq", "fo"),
    "nohup": Options(),
    "ionice": Options("t", "cn"),
}

TEXT: Final = {
    "python": ("c",),
    "node": ("e", "p", "eval", "print"),
    "ruby": ("e",),
    "perl": ("e", "E"),
}
LOADS: Final = ("r", "require", "import", "loader", "experimental-loader")
"""Options of interpreters whose word is the text itself, and those that load a file before it."""

WRAPPERS: Final[Mapping[str, int]] = {
    "timeout": 1,
    "nice": 0,
    "stdbuf": 0,
    "setsid": 0,
    "time": 0,
    "nohup": 0,
    "ionice": 0,
}
"""Programs that start the command behind them, and how many words of their own come first."""

RUNNERS: Final = frozenset({"poetry", "pipenv", "pdm", "hatch", "rye"})
"""Programs that start the command behind their word `run`."""

OPAQUE: Final = frozenset(
    {"xargs", "parallel", "sudo", "doas", "su", "chroot", "unshare", "nsenter", "script", "watch"}
    | {"flock", "strace", "busybox", "toybox", "chrt", "taskset", "setarch", "xvfb-run", "entr"}
    | {"bwrap", "runuser", "systemd-run", "start-stop-daemon", "expect", "unbuffer", "uvx"}
)
"""Programs that start what their words name, in ways that are not read here."""

_HARMLESS: Final = frozenset(
    {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONHASHSEED", "PYTHONUTF8"}
    | {"PYTHONIOENCODING", "PYTHONFAULTHANDLER", "PYTHONNOUSERSITE", "PYTHONSAFEPATH"}
    | {"PYTHONDEVMODE", "PYTHONOPTIMIZE", "UV_OFFLINE", "UV_FROZEN", "UV_NO_SYNC"}
)
_NAMES_CODE: Final = re.compile(
    r"PYTHON.*|BASH_ENV|BASH_FUNC_.*|BASHOPTS|SHELLOPTS|ENV|ZDOTDIR|NODE_.*|RUBY.*|PERL.*|GIT_.*"
    r"|LD_.*|DYLD_.*|PATH|SHELL|IFS|CDPATH|PS4|PROMPT_COMMAND|MAKE.*|GNUMAKEFLAGS|JAVA_.*|_JAVA.*"
    r"|JDK_.*|LUA_.*|PAGER|EDITOR|VISUAL|HOME|XDG_.*|NPM_.*|UV_.*|PIP_.*|PYTEST_.*|TOX_.*|GEM_.*"
    r"|BUNDLE_.*|CARGO_.*|RUSTC.*|RUSTFLAGS|GOFLAGS|CC|CXX|AR|PHP_.*|PHPRC|DENO_.*|BUN_.*|GCONV_.*"
    r"|VIRTUAL_ENV|PWD|TMPDIR|R_.*|JULIA_.*|.*_OPTIONS|.*_OPTS|.*OPT|.*_PRELOAD|.*_STARTUP"
    r"|DOTNET_(?:STARTUP_HOOKS|ADDITIONAL_DEPS|SHARED_STORE)|COR_.*|CORECLR_.*|MONO_.*|CLASSPATH"
    r"|OPENSSL_(?:CONF|ENGINES|MODULES)|ERL_.*|.*PAGER|.*EDITOR|BROWSER|LESSOPEN|LESSCLOSE"
    r"|.*_ASKPASS|.*_MODULES|.*_PLUGIN_PATH",
    re.IGNORECASE,
)


def names_code(variable: str) -> bool:
    """Answer whether a variable tells programs what to load, or where to look for it."""
    name = variable.removesuffix("+")
    return name not in _HARMLESS and _NAMES_CODE.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a command.

    Attributes:
        name: the letter, or the long name without dashes; empty for one that is not known.
        value: the word that it takes.
        at: where it stands among the words.
        of: where the word stands that it takes; None where that is attached.
        ends: where the next word stands that is no part of it.
    """

    name: str
    value: str
    at: int
    of: int | None
    ends: int


def options(words: Sequence[str], at: int, known: Options) -> Iterator[Option | int]:
    """Yield the options from this word on, and at last where the first other word stands."""
    while at < len(words):
        word = words[at]
        if word == "--":
            at += 1
            break
        plus = known.plus and word[:1] == "+"
        if word in ("-", "+", "") or not (word[0] == "-" or plus):
            break
        ends = at + 1
        for one in _word(words, at, known):
            yield one
            ends = max(ends, one.ends)
        at = ends
    yield at


def _word(words: Sequence[str], at: int, known: Options) -> Iterator[Option]:
    word = words[at]
    bare = word[2:] if word.startswith("--") else word[1:]
    if word.startswith("--") or (known.one_dash and bare in known.long | known.takes):
        yield _long(words, at, bare, known)
        return
    ends = at + 1
    for place, letter in enumerate(word[1:], 2):
        if letter in known.flags:
            yield Option(letter, "", at, None, ends)
        elif letter in known.values and known.apart:
            yield Option(letter, "".join(words[ends : ends + 1]), at, ends, ends + 1)
            ends += 1
        elif letter in known.values:
            if word[place:]:
                yield Option(letter, word[place:], at, None, ends)
            else:
                yield Option(letter, "".join(words[ends : ends + 1]), at, ends, ends + 1)
            return
        else:
            yield Option("", word, at, None, ends)
            return


def _long(words: Sequence[str], at: int, bare: str, known: Options) -> Option:
    name, has_value, value = bare.partition("=")
    every = known.long | known.takes
    fits = [one for one in every if one == name]
    if not fits and known.short_begins:
        fits = [one for one in every if one.startswith(name)]
    if len(fits) != 1:
        return Option("", words[at], at, None, at + 1)
    if fits[0] in known.long:
        return Option("" if has_value else fits[0], words[at], at, None, at + 1)
    if has_value:
        return Option(fits[0], value, at, None, at + 1)
    return Option(fits[0], "".join(words[at + 1 : at + 2]), at, at + 1, at + 2)
