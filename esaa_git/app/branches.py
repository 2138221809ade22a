"""Where a run works: on the branch that is checked out, or the one that is named.

An open run keeps its branch. Where another one is checked out, that is said before anything
happens; where the branch of the open run is gone (renamed, or merged and deleted), the run is
ended, and the next one goes on where the person stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esaa_git.app.project import has_log
from esaa_git.errors import RunHalted, UsageError

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.store.repository import Repository


@dataclass(frozen=True, slots=True)
class Place:
    """The branch that a run works on.

    `left` is the branch of the run that is open and has to end first, because that one is gone.
    """

    branch: str
    left: str | None = None

    @property
    def why_it_ends(self) -> str:
        """Why the open run has to end; empty where it goes on."""
        return "" if self.left is None else f"its branch '{self.left}' is gone"


def working_place(project: Project, asked: str | None, *, ends: bool = False) -> Place:
    """Return where the open run goes on, or the next one works.

    Args:
        asked: the branch that was named.
        ends: an open run is ended first, wherever it works.

    Raises:
        RunHalted: if a run is open on another branch.
        RepositoryError: if no branch is checked out, and none is named.
    """
    here = standing_on(project.repository, asked)
    run = project.log.load()[0].run if has_log(project) else None
    if run is None or not run.is_open or ends:
        return Place(here or project.engine.branch.current())
    branch = str(run.branch)
    if here in (None, branch):
        return Place(branch)
    assert here is not None
    if project.repository.ref_target(f"refs/heads/{branch}") is None:
        return Place(here, left=branch)
    raise RunHalted(
        f"{run.run_id} is open and works on '{branch}', and not on '{here}'",
        hint=f"go on there with 'git esaa run --branch {branch}' or after 'git switch {branch}'; "
        f"to end it and begin on '{here}': 'git esaa plan apply --restart --branch {here}'",
    )


def standing_on(repository: Repository, asked: str | None = None) -> str | None:
    """Return the branch that is named, else the one that is checked out; None for a detached HEAD.

    In a bare repository it is the one that `.roadmap/` is read from.

    Raises:
        RunHalted: if there is no branch of that name.
        UsageError: if no branch can have it.
    """
    if asked is not None:
        return _named(repository, asked.removeprefix("refs/heads/"))
    raw = repository.raw
    if repository.workdir is None and (named := repository.setting("esaa.branch")):
        return named
    if raw.head_is_unborn or raw.head_is_detached:
        return None
    return str(raw.head.shorthand)


def _named(repository: Repository, name: str) -> str:
    """Return the name of a branch that is there: nothing ends for one that is not."""
    import pygit2

    if not pygit2.reference_is_valid_name(f"refs/heads/{name}"):
        raise UsageError(f"'{name}' is no name of a branch", hint="'git branch' lists them")
    if repository.ref_target(f"refs/heads/{name}") is None:
        raise RunHalted(
            f"there is no branch '{name}' to work on",
            hint=f"create it with 'git branch {name}', or choose another with --branch",
        )
    return name
