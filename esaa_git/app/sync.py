"""The log of a repository and that of a remote."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from esaa_git.app.roadmap import ROADMAP
from esaa_git.errors import RepositoryError

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.remote.remote import Remote


def set_up(project: Project, remote: Remote) -> None:
    """Have the log fetched and pushed with this remote; say so where it was not."""
    if not remote.is_set_up:
        remote.setup()
        project.note(f"note: '{remote.name}' is set up for the log now")


def trust_in_git(project: Project) -> None:
    """Let plain 'git verify-commit' find the signers, unless the user has set that up already."""
    repository = project.repository
    signers = (repository.workdir or repository.git_dir) / ROADMAP / "allowed_signers"
    if repository.setting("gpg.ssh.allowedSignersFile") is None and signers.exists():
        repository.set_local("gpg.ssh.allowedSignersFile", str(signers))


def refuse_second_log(project: Project) -> None:
    """Refuse to begin a log where a remote has one; a remote that cannot be asked is a note.

    Raises:
        RepositoryError: naming the remote.
    """
    from esaa_git.remote.remote import ASK_SECONDS, Remote, names

    for name in names(project.repository):
        remote = Remote(project.repository, name)
        if name != "origin" and not remote.is_set_up:
            continue
        try:
            is_there = remote.last_seen() is not None or remote.has_log(ASK_SECONDS)
        except RepositoryError as error:
            project.note(
                f"note: whether '{name}' has an event log already is not known: {error.cause}"
            )
            continue
        if is_there:
            raise RepositoryError(
                f"'{name}' has an event log already",
                cause="a second log of the same repository could never be pushed",
                hint=f"run 'git esaa fetch {name}' to have it here",
            )


def share(project: Project, name: str, patience: float, given_up: Callable[[], bool]) -> None:
    """Have everything that is recorded from here on go to a remote first, as a worker does.

    Raises:
        ConflictError: if the remote has not all that is here, or the two cannot be followed.
        RemoteUnreachable: if it cannot be reached for so many seconds.
    """
    from esaa_git.engine.lease import Watched
    from esaa_git.engine.sharing import Sharing
    from esaa_git.remote.remote import Remote
    from esaa_git.remote.shared import SharedRemote

    set_up(project, Remote(project.repository, name))
    engine = project.engine
    shared = SharedRemote(project.repository, name, engine.say)
    sharing = Sharing(shared, engine.clock, engine.say, patience=patience, given_up=given_up)
    sharing.catch_up()
    shared.require_shared()
    engine.leases, engine.sharing = Watched(), sharing
