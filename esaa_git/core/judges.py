"""What acts or judges under some contracts: the paths that no proposal touches.

Named by the contracts are the programs of agents and of the kinds' checks, and what lies under
`pin:`; pinned beside them are those that exist, and what tasks name for their checks. A kind that
has such a path among its `write` by name, and not by a pattern, opens it, and then a person decides
(docs/FORMAT.md, "Programs").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from esaa_git.core.agent_contract import KindContract
from esaa_git.core.commands import acting
from esaa_git.core.contracts import AgentEntry, Contracts
from esaa_git.core.globs import Glob, GlobSet, static_prefix
from esaa_git.core.paths import case_key, is_protected
from esaa_git.core.programs import AGENTS, Programs
from esaa_git.core.scripts import named_by
from esaa_git.core.setup import is_under

REVIEW_BY_A_PERSON = "required"


def command_of(entry: AgentEntry) -> Sequence[str]:
    """Return the words by which an agent of the swarm is started; none where it is no program."""
    program, command = entry.settings.get("program"), entry.settings.get("command")
    if isinstance(command, list | tuple):
        return [word for word in command if isinstance(word, str)]
    if isinstance(program, str):
        arguments = entry.settings.get("arguments")
        return [program, *(arguments if isinstance(arguments, list | tuple) else ())]
    return ()


def commands(contracts: Contracts) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield every command that the contracts name, with who runs it: "agent 'x'", "check 'y'"."""
    for entry in contracts.swarm.agents.values():
        words = command_of(entry)
        if words:
            yield f"agent '{entry.name}'", words
    for setup in contracts.setups():
        for step in setup.steps:
            yield f"setup of {setup.owner}", step.run
    for kind in contracts.agent.kinds.values():
        for check in kind.checks:
            yield f"check '{check.name}'", check.run


def paths_of(words: Sequence[str], contracts: Contracts) -> tuple[str, ...]:
    """Return the paths of the tree by which a command may act.

    What a setup provides is none: it is made from a committed tree, and no proposal holds it.
    """
    return tuple(path for path in acting(words).paths if not is_under(path, contracts.provided))


@dataclass(frozen=True, slots=True)
class Judges:
    """The paths that act or judge, whatever way they are spelled.

    Attributes:
        paths: each of them, folded as a file system that ignores case does.
        above: the folders that they lie in.
        globs: what lies under `pin:`, and the programs of agents.
    """

    paths: frozenset[str]
    above: frozenset[str]
    globs: tuple[Glob, ...]

    def hold(self, path: str) -> bool:
        """Answer whether to write, rename or delete at a path would change what acts or judges.

        So it is for the path itself in any case of letters, for what would stand below it, and for
        a file in the place of a folder that it lies in.
        """
        key = case_key(path)
        if key in self.above or key in self.paths:
            return True
        if any(folder in self.paths for folder in _folders(key)):
            return True
        return is_protected(path, self.globs)


NONE = Judges(frozenset(), frozenset(), ())
_KNOWN: WeakKeyDictionary[Contracts, Judges] = WeakKeyDictionary()


def judges_of(contracts: Contracts) -> Judges:
    """Return what acts or judges under these contracts; none where programs are not pinned."""
    if contracts.programs is None:
        return NONE
    found = _KNOWN.get(contracts)
    if found is None:
        found = _KNOWN[contracts] = _judges(contracts)
    return found


def _judges(contracts: Contracts) -> Judges:
    assert contracts.programs is not None
    paths = {pin.path for pin in contracts.programs.pins}
    for _, words in commands(contracts):
        paths.update(paths_of(words, contracts))
    paths.update(first_lines(contracts.programs))
    globs = pinned_globs(contracts).globs
    keys = {case_key(path) for path in paths}
    above = {folder for key in keys for folder in _folders(key)}
    for glob in globs:
        prefix = case_key(static_prefix(glob))
        above.update(_folders(prefix))
        above.add(prefix)
    return Judges(frozenset(keys), frozenset(above - {""}), globs)


def first_lines(programs: Programs) -> frozenset[str]:
    """Return what the first lines of pinned scripts name, whether or not it is pinned."""

    scripts = [pin.path for pin in programs.pins]
    return frozenset(path for path, _ in named_by(scripts, _reader(programs)))


def _reader(programs: Programs) -> Callable[[str], bytes | None]:
    def read(path: str) -> bytes | None:
        pin = programs.pin(path)
        return None if pin is None else programs.content(pin)

    return read


def pinned_globs(contracts: Contracts) -> GlobSet:
    """Return the globs of what is pinned beside the programs that are named."""
    return GlobSet((f"{AGENTS}**", *contracts.pin_patterns))


def _folders(path: str) -> Iterator[str]:
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)


def opens(kind: KindContract, path: str) -> bool:
    """Answer whether a kind may write a path that acts or judges: it names the path itself."""
    return path in kind.write_patterns


def opened(kind: KindContract, contracts: Contracts) -> tuple[str, ...]:
    """Return the paths that act or judge and that a kind may write, because it names them."""
    judges = judges_of(contracts)
    plain = (one for one in kind.write_patterns if not any(char in one for char in "*?["))
    return tuple(path for path in plain if judges.hold(path))


def review_of(kind: KindContract, contracts: Contracts) -> str:
    """Return who reviews what a kind does: a person, where it opens what acts or judges."""
    return REVIEW_BY_A_PERSON if opened(kind, contracts) else kind.review


def reviewers(contracts: Contracts) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the name and the words of each reviewer that is a program."""
    swarm = contracts.swarm
    for name in dict.fromkeys(swarm.reviewers.values()):
        words = command_of(swarm.agents[name]) if name in swarm.agents else ()
        if words:
            yield name, words


def unpinned(words: Sequence[str], contracts: Contracts) -> tuple[str, ...]:
    """Return what a command names of the tree and is not pinned; nothing where nothing is.

    What Python would take for a module may be one that is installed, so it is not among them.
    """
    programs = contracts.programs
    if programs is None:
        return ()
    found = acting(words)
    named = dict.fromkeys((*found.files.values(), *found.hidden))
    return tuple(
        path
        for path in named
        if programs.pin(path) is None and not is_under(path, contracts.provided)
    )


def unread(words: Sequence[str], contracts: Contracts) -> str:
    """Return why it cannot be told what a command runs; empty where its words say it.

    The first lines of the pinned scripts that it runs count with them.
    """
    found = acting(words)
    doubts = dict.fromkeys(found.unread)
    if contracts.programs is not None:
        read = _reader(contracts.programs)
        list(named_by(found.paths, read, doubt=lambda why: doubts.setdefault(why, None)))
    return "; ".join(doubts)


def runs_nothing_pinned(words: Sequence[str], contracts: Contracts) -> bool:
    """Answer whether a check rests on tests and build files alone, which a kind may write."""
    programs = contracts.programs
    if programs is None:
        return True
    return all(programs.pin(path) is None for path in paths_of(words, contracts))
