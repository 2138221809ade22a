"""What contracts ask of this machine, shown to its user, agreed to and taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from esaa_git.app.asked import DRAFT, IN_FORCE, gather, of_draft
from esaa_git.app.door import never, not_allowed
from esaa_git.app.grants import forget, granted, keep
from esaa_git.app.roadmap import ROADMAP
from esaa_git.core.agent_contract import AGENT_CONTRACT
from esaa_git.core.asks import ABSENT, KINDS, Ask, digest_of
from esaa_git.core.contracts import SWARM
from esaa_git.core.printable import ascii_visible, visible
from esaa_git.errors import NotAllowed, UsageError

if TYPE_CHECKING:
    from esaa_git.app.project import Project


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that is asked for.

    Attributes:
        by: the agents and checks that ask, in words.
        where: `in force`, `draft`, or both.
        granted: the user agreed to it, here and outside of the repository.
        never: why no consent covers it, None where one may.
    """

    ask: Ask
    by: tuple[str, ...]
    where: tuple[str, ...]
    granted: bool
    never: str | None

    @property
    def is_new(self) -> bool:
        return not self.granted and self.never is None

    def words(self) -> str:
        return ascii_visible(self.ask.words())

    def to_json(self) -> dict[str, Any]:
        return {
            **self.ask.to_json(),
            "words": self.words(),
            "by": list(self.by),
            "where": list(self.where),
            "granted": self.granted,
            "never": self.never,
        }


@dataclass(frozen=True, slots=True)
class Consents:
    """Everything that is asked for, and what was granted and is not asked for any more.

    Attributes:
        digest: of all that is asked for (`core.asks.digest_of`), granted or not.
        notes: what could not be looked at, such as a draft that cannot be read.
    """

    asked: tuple[Asked, ...]
    gone: tuple[Ask, ...]
    digest: str
    notes: tuple[str, ...] = ()

    @property
    def new(self) -> tuple[Asked, ...]:
        return tuple(one for one in self.asked if one.is_new)

    @property
    def never(self) -> tuple[Asked, ...]:
        return tuple(one for one in self.asked if one.never is not None)

    def only(self, keep: Callable[[Asked], bool]) -> Consents:
        """Return those alone that a function keeps."""
        return replace(self, asked=tuple(filter(keep, self.asked)))

    def before(self, one: Asked) -> list[str]:
        """Return in words what was granted in the place of something that is new."""
        return [
            ascii_visible(ask.words())
            for ask in self.gone
            if (ask.to, ask.kind, ask.what) == (one.ask.to, one.ask.kind, one.ask.what)
        ]

    def gone_words(self) -> list[str]:
        """Return in words what is not asked for any more, and nothing like it either."""
        places = {(one.ask.to, one.ask.kind, one.ask.what) for one in self.asked if one.is_new}
        return [
            ascii_visible(ask.words() + f" (for {ask.to})" * (ask.kind != "program"))
            for ask in self.gone
            if (ask.to, ask.kind, ask.what) not in places
        ]

    def to_json(self) -> dict[str, Any]:
        """Return it as `git esaa allow --show --json` prints it."""
        return {
            "digest": self.digest,
            "asks": [one.to_json() for one in self.asked],
            "no_longer_asked": [ask.to_json() for ask in self.gone],
            "notes": list(self.notes),
        }


# -- what is asked for and what was granted ----------------------------------------------------


def consents(
    project: Project, *, branch: str | None = None, used: bool = False, tasks: bool = True
) -> Consents:
    """Return what is asked for and what of it was granted; nothing is started or changed.

    The arguments are those of `gather`.
    """
    repository = project.repository
    found, notes = gather(repository, branch=branch, used=used, tasks=tasks)
    by: dict[Ask, dict[str, None]] = {}
    where: dict[Ask, set[str]] = {}
    for ask, who, place in found:
        by.setdefault(ask, {})[who] = None
        where.setdefault(ask, set()).add(place)
    missing = project.consent.missing(repository, by)
    asked = tuple(
        Asked(
            ask,
            tuple(by[ask]),
            tuple(place for place in (IN_FORCE, DRAFT) if place in where[ask]),
            ask not in missing and fault is None,
            fault,
        )
        for ask in sorted(by, key=_shown_order)
        for fault in (never(repository, ask),)
    )
    gone = granted(repository) - by.keys()
    rest = tuple(sorted(gone, key=_shown_order))
    return Consents(asked, rest, digest_of(by), tuple(notes))


def _shown_order(ask: Ask) -> tuple[str, int, str, str]:
    return ask.to, KINDS.index(ask.kind), ask.what, ask.detail


# -- deciding -----------------------------------------------------------------------------------


def allow(project: Project, *, digest: str | None = None) -> Consents:
    """Agree to what contracts in force and the draft ask for, and to nothing else any more.

    What no consent covers stays refused (`never`).

    Args:
        digest: agree only if this is the digest of what is asked.

    Raises:
        NotAllowed: if the digest is another one; nothing is granted then.
        UsageError: if there is nothing here that could ask.
    """
    found = consents(project)
    if not found.asked and found.notes:
        raise UsageError(found.notes[0], hint="correct it, then run 'git esaa allow'")
    if digest is not None and digest != found.digest:
        raise NotAllowed(
            "what is asked is not what the digest agrees to",
            cause=f"expected {visible(digest[:100], keep='')}, found {found.digest}",
            hint="run 'git esaa allow --show' to see what is asked now",
        )
    keep(project.repository, {one.ask for one in found.asked if one.never is None})
    return consents(project)


def agree_to(project: Project, asks: Iterable[Ask]) -> None:
    """Agree to these as well, as a person did who was shown them, or as `init` wrote them."""
    wanted = set(asks)
    if wanted:
        keep(project.repository, granted(project.repository) | wanted)


def agree_to_written(project: Project, written: Iterable[str]) -> None:
    """Agree to what contract files ask for that `init` has just written, and to nothing else.

    What stood there before is a stranger's: its entries, and also the program that an entry of ours
    names.

    Args:
        written: the files below `.roadmap/`.
    """
    ours = set(written)
    asks = of_draft(project.repository, swarm=SWARM in ours, kinds=AGENT_CONTRACT in ours)
    agree_to(
        project,
        [
            ask
            for ask in asks
            if ask.kind not in ("content", "tree")
            or ask.detail == ABSENT
            or ask.what.removeprefix(f"{ROADMAP}/") in ours
        ],
    )


def revoke(project: Project) -> bool:
    """Take back all that was agreed to for this repository, and say whether there was anything."""
    return forget(project.repository)


def used_consents(project: Project, *, branch: str | None = None, draft: bool = False) -> Consents:
    """Return what a run would go by: an open one by what is in force, a new one by the draft.

    Args:
        branch: in a bare repository, where the draft is read from.
        draft: the run is a new one, whatever is open now.
    """
    found = consents(project, branch=branch, used=not draft)
    return found.only(lambda one: DRAFT in one.where) if draft else found


def require_used(project: Project, *, branch: str | None = None, draft: bool = False) -> None:
    """Refuse to go on where a run would go by what was not agreed to, as `used_consents` has it.

    What no consent covers is refused where it is asked for, so that the rest can work.

    Raises:
        NotAllowed: naming what is new.
    """
    found = used_consents(project, branch=branch, draft=draft)
    if found.new:
        refuse_new(found, project.consent.mismatch(project.repository))


def refuse_new(found: Consents, mismatch: str = "") -> NoReturn:
    """Raise NotAllowed for what is new in these."""
    raise not_allowed("this repository", [one.ask for one in found.new], mismatch)
