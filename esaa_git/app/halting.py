"""Stopping everything, here and on the remotes that share the log, and letting it go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from esaa_git.app.inbox import admit_halt, offer
from esaa_git.app.project import Project
from esaa_git.app.reconcile import reconcile
from esaa_git.core.duration import duration_ms
from esaa_git.engine.halting import Halting, told
from esaa_git.errors import ConflictError, EsaaError
from esaa_git.remote.halts import RemoteHalts
from esaa_git.remote.named import names
from esaa_git.remote.remote import Remote
from esaa_git.store.refs import OverlayRefs
from esaa_git.store.tip import load_tip

if TYPE_CHECKING:
    from esaa_git.core.state import State
    from esaa_git.engine.engine import Engine

TRIES: Final = 5
"""How often a decision is put behind what others appended meanwhile."""

POLL_SETTING: Final = "esaa.haltPoll"


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a halt or a resumption.

    Attributes:
        here: it is recorded in the log of this clone.
        reached: the remotes whose log has it now.
        unreached: by remote, why it is not there.
    """

    here: bool
    reached: tuple[str, ...]
    unreached: tuple[tuple[str, str], ...]


def halt(project: Project, reason: str = "", actor: str | None = None) -> Decided:
    """Stop everything: nothing new begins here, nor on any remote that can be reached.

    Raises:
        RefusedError: if all of it is stopped already, or the person's key may not.
    """
    made = Halting(project.engine, project.actor(actor), reason)
    return _decide(project, made.halt, lambda state: state.stop.by is not None)


def resume(project: Project, reason: str = "", actor: str | None = None) -> Decided:
    """Let everything go on, here and on the remotes that can be reached.

    Raises:
        RefusedError: if nothing is stopped, or the person is no admin.
    """
    made = Halting(project.engine, project.actor(actor), reason)
    return _decide(project, made.resume, lambda state: state.stop.by is None)


def _decide(
    project: Project, step: Callable[[Engine], None], stands: Callable[[State], bool]
) -> Decided:
    """Record a decision here and on the remotes, wherever it does not stand yet."""
    followed: list[Remote] = []
    unreached: list[tuple[str, str]] = []
    for remote in remotes_of(project):
        try:
            reconcile(project, remote, together=False)
        except EsaaError as error:
            unreached.append((remote.name, error.cause or error.message))
        else:
            followed.append(remote)
    lacking = [one for one in followed if not stands(_state_of(project, one))]
    here = not stands(project.log.load()[0])
    if here or not lacking:
        step(project.engine)  # which refuses where it stands everywhere
    for remote in lacking:
        try:
            _share(project, remote, step, stands)
        except EsaaError as error:
            unreached.append((remote.name, error.cause or error.message))
    missing = {name for name, _ in unreached}
    reached = tuple(one.name for one in followed if one.name not in missing)
    return Decided(here, reached, tuple(unreached))


def _share(
    project: Project,
    remote: Remote,
    step: Callable[[Engine], None],
    stands: Callable[[State], bool],
) -> None:
    """Bring a decision to a remote.

    What goes on from the log there is pushed. Where the two have parted, or others are faster, the
    decision is recorded behind what the remote has, and the log here is left to 'git esaa sync'.
    """
    try:
        remote.push()
    except ConflictError:
        if project.log.keys.alone and offer(project, remote):
            return
    else:
        return
    for attempt in range(1, TRIES + 1):
        incoming = remote.fetch()
        if stands(incoming.state):
            return
        refs = OverlayRefs(project.refs, moved={remote.log_ref: incoming.tip})
        step(project.engine_on(refs))
        try:
            remote.publish(str(refs.read(remote.log_ref)), str(incoming.state.run.branch), None)
        except ConflictError:
            if attempt == TRIES:
                raise
        else:
            return


def _state_of(project: Project, remote: Remote) -> State:
    """Return the state of a remote's log as it was fetched last."""
    return load_tip(project.repository, str(project.refs.read(remote.tracking))).state


# -- a run that asks whether it is to stop -----------------------------------------------------


def remotes_of(project: Project, *, in_passing: bool = False) -> list[Remote]:
    """Return the remotes that this clone shares its log with.

    Args:
        in_passing: nobody is asked for a password, since nobody waits for the answer.
    """
    repository = project.repository
    found = (Remote(repository, name, in_passing=in_passing) for name in names(repository))
    return [remote for remote in found if remote.is_set_up]


def watch(project: Project) -> None:
    """Have a run ask the remotes now and then whether the log was stopped there.

    Raises:
        ConfigurationError: if `esaa.haltPoll` is no duration.
    """
    engine = project.engine
    given = project.repository.setting(POLL_SETTING)
    if given is not None:
        engine.halt_poll = duration_ms(given, POLL_SETTING) / 1000
    if engine.sharing is None:
        remotes = remotes_of(project, in_passing=True)
        told_of, takes = partial(_told, project), partial(admit_halt, project)
        engine.halted_elsewhere = RemoteHalts(remotes, takes, told_of, project.note).look


def _told(project: Project, state: State) -> str | None:
    return None if state.stop.by is None else told(project.engine.blobs, state.stop)
