"""Why a push did not move what it was to move: lost, or refused, and by whom."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from esaa_git.core.limits import TOO_MUCH
from esaa_git.errors import ConflictError, EsaaError, RefusedError
from esaa_git.remote.parts import TooMuchAtOnce
from esaa_git.store.program import GitFailed

_BEHIND = frozenset({"fetch first", "non-fast-forward", "stale info"})
"""Why git here does not even send a ref that is not where the push begins."""

_MOVED = (
    "cannot lock ref",
    "failed to lock",
    "failed to update ref",
    "incorrect old value",
    "is not where the push begins",
    "reference already exists",
    "remote ref does not exist",
)
"""What the server's git, or our hook, says of a ref that is no longer where the push begins."""

_WAITS = "waits in the inbox"
"""What our hook says of events that come before a halt."""

_AMBIGUOUS = re.compile(r"dst refspec (\S+) matches more than one")


def ambiguous(error: GitFailed) -> tuple[str, ...]:
    """Return the refs of a push that git does not know from others there, which it sent none of."""
    return tuple(dict.fromkeys(_AMBIGUOUS.findall(error.cause or "")))


def mistaken(name: str, wanted: Iterable[str], there: Iterable[str]) -> RefusedError:
    """Return what is wrong where refs of a remote are taken for those that are to be pushed.

    Args:
        there: the refs of the remote whose names end in one of those.
    """
    refs = tuple(wanted)
    others = sorted({ref for ref in there if ref not in refs})
    said = ", ".join(f"'{ref}'" for ref in refs)
    gone = " ".join(f":{ref}" for ref in others) or ":REF"
    return RefusedError(
        f"'{name}' has refs that git takes for {said}",
        cause=f"it has {', '.join(others) or 'several of that name'}, and git sends nothing where "
        "a name means two",
        hint=f"run 'git push {name} {gone}' to delete them there, and repeat the command; with the "
        "hook of 'git esaa hooks install' the server takes no such name",
    )


def refusal(name: str, error: GitFailed) -> EsaaError | None:
    """Return what a push to a remote came to, or None where it never arrived there.

    Git says by `--porcelain` which ref was rejected, by whom and why; what the server's git and
    its hooks say beside that comes as text alone.
    """
    rejected = rejections(error.output)
    said = error.cause or ""
    of_server = _words_of_the_server(said)
    cause = "; ".join(map(str, rejected)) or said
    words = (*(one.reason for one in rejected), of_server)
    if _WAITS in of_server:
        return ConflictError(
            f"'{name}' takes nothing before a halt that waits in its inbox",
            cause=of_server,
            hint=f"run 'git esaa sync {name}'",
        )
    is_behind = any(one.reason in _BEHIND for one in rejected)
    if is_behind or any(moved in text for moved in _MOVED for text in words):
        return ConflictError(
            f"somebody else pushed to '{name}' meanwhile",
            cause=cause,
            hint=f"run 'git esaa sync {name}'",
        )
    if any(one.summary == "[remote rejected]" for one in rejected):
        kind = TooMuchAtOnce if TOO_MUCH in of_server else RefusedError
        return kind(
            f"'{name}' refuses the push",
            cause=of_server or cause,
            hint="nothing moved there; its words above say what to do",
        )
    if "atomic" in said and "not support" in said:
        return RefusedError(
            f"'{name}' cannot take log and branch at once",
            cause=said,
            hint="the server has to allow atomic pushes (receive.advertiseAtomic)",
        )
    return None


@dataclass(frozen=True, slots=True)
class Rejection:
    """One ref that did not move (git-push(1), "OUTPUT"); as text, the line that git shows."""

    source: str
    target: str
    summary: str
    reason: str

    def __str__(self) -> str:
        target = self.target.removeprefix("refs/heads/")
        shown = f"! {self.summary:<17} {self.source} -> {target}"
        return f"{shown} ({self.reason})"


def rejections(output: bytes) -> list[Rejection]:
    """Return what `git push --porcelain` says of refs that did not move."""
    found = []
    for line in output.decode("utf-8", "replace").splitlines():
        flag, _, rest = line.partition("\t")
        refs, _, said = rest.partition("\t")
        if flag == "!":
            summary, _, reason = said.partition(" (")
            source, _, target = refs.partition(":")
            found.append(Rejection(source, target, summary, reason.removesuffix(")")))
    return found


def _words_of_the_server(said: str) -> str:
    lines = [
        line.removeprefix("remote:").strip() for line in said.splitlines() if "remote:" in line
    ]
    return "\n".join(line for line in lines if line)
