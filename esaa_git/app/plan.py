"""The plan of `.roadmap/` against the log: what applying it would do, and doing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from esaa_git.app.project import has_log
from esaa_git.app.roadmap import check_contracts, check_usable, read_contracts, read_plan
from esaa_git.app.sync import refuse_second_log
from esaa_git.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.plan import PlanDiff
    from esaa_git.engine.run import Starter


@dataclass(frozen=True, slots=True)
class Difference:
    """What applying the plan would do, and the contract files that differ from those in force."""

    plan: PlanDiff
    contracts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying the plan recorded.

    Attributes:
        run_id: the open run; `started` says whether it began now.
        created: how many tasks are new, and `amended` how many were changed.
    """

    run_id: str
    started: bool
    created: int
    amended: int

    def to_json(self) -> dict[str, Any]:
        """Return it as `git esaa plan apply --json` prints it."""
        return asdict(self)


def difference(project: Project, *, branch: str | None = None) -> Difference:
    """Return what applying the plan would do, and do nothing.

    Args:
        branch: the working branch of a new run; in a bare repository, `.roadmap/` is read from it.
            So in all of these.

    Raises:
        ConfigurationError: if the plan or the contracts cannot be used.
    """
    from esaa_git.core import plan as plans
    from esaa_git.core.state import EMPTY

    wanted = read_contracts(project.repository, branch)
    check_contracts(wanted)
    document = read_plan(project.repository, branch)
    if not has_log(project):
        plans.check_plan(document, EMPTY, wanted)
        return Difference(plans.diff_plan(document, EMPTY), [])
    state, in_force = project.log.load()
    plans.check_plan(document, state, in_force if state.run.is_open else wanted)
    return Difference(plans.diff_plan(document, state), _changed(in_force, wanted))


def apply_plan(
    project: Project,
    *,
    branch: str | None = None,
    actor: str | None = None,
    restart: bool = False,
    reason: str = "",
    sign_with: str | None = None,
) -> Applied:
    """Bring the log after the plan: new tasks are created, changed ones amended.

    Where no run is open, one is started under the contracts as they stand on disk.

    Args:
        actor: who applies it; by default whom git's configuration names.
        restart: halt the open run first, so that changed contracts take effect with the new one.
        reason: of the restart.
        sign_with: the key of an admin that signs the start of the run.

    Raises:
        UsageError: if there is nothing to sign with that key.
        ConfigurationError: if the plan or the contracts cannot be used; nothing is recorded.
    """
    from esaa_git.core import plan as plans
    from esaa_git.engine import run as runs

    project.sign_with = sign_with
    by = project.actor(actor)
    wanted = read_plan(project.repository, branch)
    contracts = read_contracts(project.repository, branch)
    if not has_log(project):
        refuse_second_log(project)
    is_open = has_log(project) and project.log.load()[0].run.is_open
    if is_open and sign_with is not None and not restart:
        raise UsageError(
            f"there is nothing for '{sign_with}' to sign: "
            f"{project.log.load()[0].run.run_id} is open, and its contracts stay until it ends",
            hint="add --restart to halt it, and to start the next run under those on disk",
        )
    if is_open and restart:
        # What cannot be applied must not have stopped the run first.
        check_usable(contracts)
        plans.check_plan(wanted, project.log.load()[0], contracts)
        project.log.check_may_pin(contracts)
        runs.stop(project.engine, reason or "restarted", by)
    check_contracts(contracts)
    begins = starter(project)
    done = runs.apply(project.engine, wanted, contracts, branch=branch, by=by, starter=begins)
    note_edited_contracts(project, branch)
    return Applied(done.run_id, done.started, done.created, done.amended)


def starter(project: Project) -> Starter | None:
    """Return the person who starts runs here; None where no key here is a person's.

    They sign where an admin has to, where their key was asked for, and where it is the only one.

    Raises:
        RefusedError: if the key that was asked for is nobody's in the contracts.
    """
    from esaa_git.engine.run import Starter

    asked = project.sign_with is not None
    found = project.person
    if found is None:
        if asked:
            raise RefusedError(
                f"the key '{project.sign_with}' is no person's by the contracts",
                cause="a run is begun by an admin, whose line names them by an e-mail address",
                hint="run 'git esaa key list' for the keys there are",
            )
        return None
    return Starter(found, asked or project.repository.setting("esaa.signingKey") is None)


def note_edited_contracts(project: Project, branch: str | None) -> None:
    """Note which edits the open run does not know: a person would wait for them in vain."""
    state, in_force = project.log.load()
    if not state.run.is_open:
        return
    changed = _changed(in_force, read_contracts(project.repository, branch))
    if changed:
        project.note(
            f"note: {', '.join(changed)}: what stands in .roadmap/ is not what {state.run.run_id} "
            "goes by; 'git esaa plan apply --restart' puts it in force"
        )


def _changed(in_force: Contracts, wanted: Contracts) -> list[str]:
    """Return the contract files that differ."""
    before = {pin.path: pin.sha256 for pin in in_force.pins}
    after = {pin.path: pin.sha256 for pin in wanted.pins}
    return sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )
