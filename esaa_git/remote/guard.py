"""Whether a server refuses what it must, found out by trying, with pushes that leave nothing.

A dry run asks no hook. So each attack is a real push, all or none, together with two branches of
which one would lie in the other: no store can hold both, and git finds that out only when the hooks
have agreed. What the hooks refuse is refused by their words; what they take fails all the same, and
the log stays where it is. A server that keeps no such promise is put back as it was.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esaa_git.core import refnames
from esaa_git.errors import RepositoryError
from esaa_git.store import commitform
from esaa_git.store.objects import COMMIT, TREE, encode_commit, encode_tree, raw_parent
from esaa_git.store.repository import Repository

if TYPE_CHECKING:
    from esaa_git.remote.remote import Remote

SECONDS = 20
"""How long a server may take over one attempt."""

_TAKEN = ("atomic", "failed to update ref", "cannot lock ref", "unable to create", "exists")
"""What git says of a ref that its hooks would have let move, where the whole push fails."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """What was tried on a server.

    Attributes:
        taken: what it would have let in, in words.
        unknown: why it is not known, where nothing could be tried.
        is_whole: also the log itself was tried; else it is not there yet, or was not fetched.
    """

    taken: tuple[str, ...]
    unknown: str | None = None
    is_whole: bool = True


def try_guard(remote: Remote, repository: Repository) -> Guarded:
    """Try what a guarded server refuses: unknown names, a roll-back, deletion, unsigned events."""
    try:
        tip = remote.ask(remote.log_ref, timeout=SECONDS).get(remote.log_ref)
        tries = {"names that nobody knows": (f"{refnames.OURS}probe-{_token()}", _junk(repository))}
        is_whole = tip is not None and tip in repository.odb
        if tip is not None and is_whole:
            before = raw_parent(repository.read(tip)[1])
            # Least is lost where the promise is not kept: one event, which is put back below.
            rolled = _junk(repository) if before is None else before
            tries["events that are taken away"] = (remote.log_ref, rolled)
            tries["deletion of the log"] = (remote.log_ref, "")
            tries["events that nobody signed"] = (remote.log_ref, _junk(repository, tip))
        taken = [what for what, (ref, oid) in tries.items() if _is_taken(remote, ref, oid, tip)]
    except RepositoryError as error:
        return Guarded((), error.cause or error.message)
    return Guarded(tuple(taken), is_whole=is_whole)


def _is_taken(remote: Remote, ref: str, oid: str, tip: str | None) -> bool:
    """Push one attack that cannot succeed; answer whether no hook refused it.

    Raises:
        RepositoryError: if the server cannot be asked.
    """
    branch = f"{refnames.HEADS}esaa-probe-{_token()}"
    some = oid or str(tip)
    force = "+" if oid else ""
    found = remote.attempt(
        f"{force}{oid}:{ref}", f"{some}:{branch}", f"{some}:{branch}/x", timeout=SECONDS
    )
    if ref not in found:  # it moved, whatever became of the rest: this server is not all or none
        _put_back(remote, ref, branch, tip)
        return True
    return any(word in found[ref] for word in _TAKEN)


def _put_back(remote: Remote, ref: str, branch: str, tip: str | None) -> None:
    if ref == remote.log_ref and tip is not None:
        remote.attempt(f"+{tip}:{ref}", timeout=SECONDS)
    for made in (branch, f"{branch}/x", *([ref] if ref != remote.log_ref else [])):
        remote.attempt(f":{made}", timeout=SECONDS)


def _junk(repository: Repository, parent: str | None = None) -> str:
    """Store a commit of nothing that nobody signed."""
    who = f"{commitform.COMMITTER} 0 +0000"
    parents = () if parent is None else (parent,)
    tree = repository.put(TREE, encode_tree({}))
    message = "a probe of 'git esaa remote setup': whether this server takes it\n"
    return repository.put(COMMIT, encode_commit(tree, parents, who, who, message))


def _token() -> str:
    return secrets.token_hex(8)


def in_words(name: str, found: Guarded, log_ref: str) -> str | None:
    """Return what is wrong with the guard of a remote, in one line; None where nothing is."""
    if found.unknown is not None:
        return f"whether '{name}' guards the log is not known: {found.unknown}"
    if found.taken:
        return f"'{name}' does not guard the log '{log_ref}': it takes {', '.join(found.taken)}"
    return None
