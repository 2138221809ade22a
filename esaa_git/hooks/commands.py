"""What a push asks for: the lines that git hands to a hook, and what their text alone decides.

Nothing here costs an import worth noticing, because most pushes end here: they touch neither the
log nor a branch. Lines come from the pusher. git refuses a ref name that is none only after
`pre-receive` has agreed, so a name is checked here by the rules of git-check-ref-format(1).
"""

from __future__ import annotations

from typing import NamedTuple

from esaa_git.core import refnames
from esaa_git.core.refnames import DEFAULT_LOG, Name
from esaa_git.errors import ConfigurationError, RefusedError, UsageError

BRANCHES = refnames.HEADS
REPLACEMENTS = "refs/replace/"

_HEX = frozenset("0123456789abcdef")
_FORBIDDEN = frozenset(map(chr, (*range(0x21), 0x7F))) | frozenset("~^:?*[\\")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")


class Command(NamedTuple):
    """One ref is to go from `old` to `new`; None where it does not exist before, or after."""

    old: str | None
    new: str | None
    ref: str


class Settings(NamedTuple):
    """What the repository's configuration says: `esaa.eventsRef`, `genesis`, `requireEffects`.

    `timeout` is `esaa.hookTimeout` in seconds.
    `is_told` where it names the log's ref: another one is not looked for then.
    """

    log: str = DEFAULT_LOG
    genesis: str | None = None
    require_effects: bool = False
    is_told: bool = False
    timeout: float = 60


class Record(NamedTuple):
    """A change of a ref that holds a record beside the log, and what it is by its name."""

    command: Command
    name: Name


class Push(NamedTuple):
    """A push without what is none of our business."""

    log: Command | None
    branches: tuple[Command, ...]
    records: tuple[Record, ...]


def parse_commands(data: bytes) -> tuple[Command, ...]:
    """Return the commands on a hook's standard input (githooks(5), pre-receive).

    Raises:
        UsageError: for anything but `<old> SP <new> SP <ref> LF`, once or more.
    """
    if not data:
        # git starts no hook for a push without commands: another program has read them before us.
        raise UsageError(
            "there is nothing on standard input to check",
            hint="whatever calls this hook has to hand on the lines that git gave to it",
        )
    if not data.endswith(b"\n"):
        raise UsageError("standard input ends in the middle of a line")
    commands = tuple(_command(line) for line in data[:-1].split(b"\n"))
    if len({command.ref for command in commands}) != len(commands):
        raise UsageError("standard input names one ref twice")
    return commands


def _command(line: bytes) -> Command:
    words = line.decode("utf-8", "surrogateescape").split(" ")
    if len(words) != 3 or len(words[0]) != len(words[1]):
        raise UsageError(f"standard input is not what git writes: {line[:200]!r}")
    return make_command(*words)


def make_command(old: str, new: str, ref: str) -> Command:
    """Return one command from its words.

    Raises:
        UsageError: if they are not two object ids and the full name of a ref.
    """
    for oid in (old, new):
        if len(oid) not in (40, 64) or not _HEX.issuperset(oid):
            raise UsageError(f"not an object id: {oid[:80]!r}")
    if not is_ref_name(ref):
        raise UsageError(f"not the name of a ref: {ref[:200]!r}")
    return Command(_oid(old), _oid(new), ref)


def _oid(word: str) -> str | None:
    return word if word.strip("0") else None


def is_ref_name(name: str) -> bool:
    """Answer whether git-check-ref-format(1) takes this as a full name below `refs/`."""
    parts = name.split("/")
    return (
        len(parts) > 1
        and parts[0] == "refs"
        and _FORBIDDEN.isdisjoint(name)
        and ".." not in name
        and "@{" not in name
        and not name.endswith(".")
        and not any(not part or part.startswith(".") or part.endswith(".lock") for part in parts)
    )


def parse_settings(data: bytes) -> Settings:
    """Return our settings from what `git config -z --get-regexp '^esaa\\.'` prints.

    Raises:
        ConfigurationError: for a value that cannot be used; nothing is let through then.
    """
    found: dict[str, str | None] = {}
    for entry in data.decode("utf-8", "surrogateescape").split("\0"):
        key, separator, value = entry.partition("\n")
        found[key.lower()] = value if separator else None
    log = found.get("esaa.eventsref", DEFAULT_LOG) or ""
    if not is_ref_name(log):
        raise ConfigurationError(
            f"esaa.eventsRef '{log}' is not a full ref name",
            hint=f"on the server, run 'git config esaa.eventsRef {DEFAULT_LOG}'",
        )
    if not refnames.may_hold_log(log):
        raise ConfigurationError(
            f"esaa.eventsRef '{log}' is where other records are kept",
            hint=f"on the server, set it to {refnames.BRANCHES}events for a branch, or to "
            f"{DEFAULT_LOG}",
        )
    genesis = found.get("esaa.genesis")
    if genesis is not None and (len(genesis) != 40 or not _HEX.issuperset(genesis)):
        raise ConfigurationError(
            f"esaa.genesis '{genesis}' is not the id of a commit",
            hint="on the server, set it to the 40 digits of the log's first commit",
        )
    is_told = "esaa.eventsref" in found
    timeout = _timeout(found)
    return Settings(log, genesis, _flag("esaa.requireEffects", found), is_told, timeout)


def _timeout(found: dict[str, str | None]) -> float:
    value = found.get("esaa.hooktimeout", "60") or ""
    number = value.removesuffix("ms")
    if not number.isdecimal() or not 0 < len(number) < 6 or int(number) == 0:
        raise ConfigurationError(
            f"esaa.hookTimeout '{value}' is not a number of seconds, or of milliseconds with 'ms'",
            hint="on the server, run 'git config esaa.hookTimeout 60'",
        )
    return int(number) / 1000 if number != value else int(number)


def _flag(name: str, found: dict[str, str | None]) -> bool:
    value = found.get(name.lower(), "false")
    # `[esaa] requireEffects` without a value is true, as everywhere in git-config(1).
    word = "true" if value is None else value.lower()
    if word not in _TRUE + _FALSE:
        raise ConfigurationError(
            f"{name} is '{value}'", hint=f"on the server, run 'git config {name} true', or false"
        )
    return word in _TRUE


def sort_out(commands: tuple[Command, ...], settings: Settings) -> Push:
    """Return what has to be looked at, and refuse what its text alone condemns.

    Raises:
        RefusedError: for a deletion of the log or of a checkpoint, a replace ref, a name below
            our folders that is not known, or one that stands for the log without being it.
    """
    log, branches, records = None, [], []
    for command in commands:
        ref = command.ref
        _check_name(command, settings.log)
        name = None if ref == settings.log else refnames.classify(ref, settings.log)
        if ref == settings.log:
            log = command
        elif name is not None:
            _check_known(command, name, settings.log)
            if name.kind in (refnames.CHECKPOINT, refnames.PROPOSAL, refnames.INBOX):
                records.append(Record(command, name))
        elif ref.startswith(BRANCHES):
            branches.append(command)
        is_record = command is log or (name is not None and name.kind == refnames.CHECKPOINT)
        if command.new is None and is_record:
            raise RefusedError(
                f"'{ref}' is not deleted, ever",
                cause=_cause("it is a record, and a record that can be deleted proves nothing"),
                hint="leave it out of the push; whoever owns the server can archive the repository",
            )
    return Push(log, tuple(branches), tuple(records))


def _check_known(command: Command, name: Name, log: str) -> None:
    """Refuse what is not shared below our folders. What came there before may be taken away."""
    if name.kind == refnames.LATER:
        raise RefusedError(
            f"'{command.ref}' is refused: nothing is taken there yet",
            cause=_cause("this version of git-esaa does not know what belongs there"),
            hint="leave it out of the push, or install the version that wrote it on the server",
        )
    if command.new is None:
        return
    if name.kind == refnames.LOCAL:
        raise RefusedError(
            f"'{command.ref}' is refused: it is a clone's own and never pushed",
            cause=_cause("copies of remotes, snapshots and what was superseded are local"),
            hint="leave it out of the push: 'git esaa push' sends what is shared",
        )
    if name.kind == refnames.UNKNOWN:
        shared = refnames.folder(log)
        raise RefusedError(
            f"'{command.ref}' is refused: git-esaa knows no such name",
            cause=_cause(
                f"beside '{log}' are {shared}checkpoints/SEQ, {shared}proposals/TASK/ATTEMPT and "
                f"{shared}inbox/KEY/DIGEST alone"
            ),
            hint="push it outside of refs/esaa/" + f" and {shared}" * (shared != refnames.OURS),
        )


def _check_name(command: Command, log: str) -> None:
    ref = command.ref
    mistaken = refnames.mistaken_for(ref, log)
    if mistaken is not None and command.new is not None:
        raise RefusedError(
            f"'{ref}' is refused: git would take it for '{mistaken}'",
            cause=_cause(
                f"where both exist, whoever pushes to '{mistaken}' is told that it matches "
                "more than one"
            ),
            hint="push it under another name",
        )
    if ref == log:
        return
    folded = refnames.folded(ref)
    if folded.startswith(REPLACEMENTS) and (command.new is not None or ref != folded):
        raise RefusedError(
            f"'{ref}' would show another history than the signed one",
            cause=_cause("git-replace(1) puts other objects in the place of signed ones"),
            hint="leave refs/replace/ out of the push",
        )
    if folded == refnames.folded(log):
        raise RefusedError(
            f"'{ref}' is the log's own ref on a server that folds names",
            cause=_cause(f"the log is '{log}'"),
            hint=f"push to '{log}'",
        )
    if ref.startswith(f"{log}/") or log.startswith(f"{ref}/"):
        raise RefusedError(
            f"'{ref}' and the log's ref cannot both exist",
            cause=_cause(f"the log is '{log}'"),
            hint="push it under another name",
        )
    if refnames.is_twin(ref, log):
        raise RefusedError(
            f"'{ref}' is one of git-esaa's own names on a server that folds names",
            cause=_cause(f"they are below {refnames.OURS} and the folder of '{log}'"),
            hint="push it under another name",
        )


def _cause(text: str) -> str:
    return f"check 1, the anchor and the pin: {text}"
