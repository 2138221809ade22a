"""A log that is not here: whether a remote has it, and how it comes.

`git clone` brings no log, so a repository without one may be the clone of one that has it. Nobody
is told to begin another log there before its remote was asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esaa_git.app.project import has_log
from esaa_git.app.roadmap import ROADMAP
from esaa_git.errors import NoLog, RepositoryError, UsageError

if TYPE_CHECKING:
    from esaa_git.app.project import Project


@dataclass(frozen=True, slots=True)
class _Asked:
    """A remote that was asked; `has_log` is None where it could not be, for this `cause`."""

    name: str
    has_log: bool | None
    cause: str | None = None


def refuse_second_log(project: Project) -> None:
    """Refuse to begin a log where a remote has one; a remote that cannot be asked is a note.

    Raises:
        RepositoryError: naming the remote.
    """
    if has_log(project):
        return
    for one in _ask(project):
        if one.has_log:
            raise RepositoryError(
                f"'{one.name}' has an event log already",
                cause="a second log of the same repository could never be pushed",
                hint=f"run 'git esaa fetch {one.name}' to have it here",
            )
        if one.has_log is None:
            project.note(
                f"note: whether '{one.name}' has an event log already is not known: {one.cause}"
            )


def explain(project: Project, error: NoLog) -> NoLog:
    """Return the error with where the log is, as far as remotes can be asked."""
    for one in _ask(project, in_passing=True):
        if one.has_log:
            return NoLog(
                f"the event log is not here; '{one.name}' has it",
                cause="git clones branches and tags, and no log",
                hint=f"run 'git esaa fetch {one.name}', then repeat the command",
            )
        if one.has_log is None:
            return NoLog(
                error.message,
                cause=f"whether '{one.name}' has one is not known: {one.cause}",
                hint=f"run 'git esaa fetch {one.name}' when it can be reached",
            )
    if error.hint != NoLog().hint:
        return error
    workdir = project.repository.workdir
    first = "" if workdir is None or (workdir / ROADMAP).exists() else "'git esaa init', then "
    begin = f"run {first}'git esaa run' to start one, or 'git esaa plan apply' to ask no agent yet"
    return NoLog(error.message, cause=error.cause, hint=begin)


def _ask(project: Project, *, in_passing: bool = False) -> Iterator[_Asked]:
    """Ask the remotes that may have the log: those set up for it, and the one that is meant.

    Args:
        in_passing: nobody expects to be asked for a password.
    """
    from esaa_git.remote.named import default_remote, names
    from esaa_git.remote.remote import ASK_SECONDS, Remote

    try:
        usual = default_remote(project.repository)
    except UsageError:
        usual = None
    for name in names(project.repository):
        remote = Remote(project.repository, name, in_passing=in_passing)
        if name != usual and not remote.is_set_up:
            continue
        try:
            is_there = remote.last_seen() is not None or remote.has_log(ASK_SECONDS)
        except RepositoryError as error:
            yield _Asked(name, None, error.cause or error.message)
        else:
            yield _Asked(name, is_there)
