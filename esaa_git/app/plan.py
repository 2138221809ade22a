"""The plan of `.roadmap/` against the log: what applying it would do, and doing it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from esaa_git.app import plain_git
from esaa_git.app.branches import working_place
from esaa_git.app.consent import require_used
from esaa_git.app.elsewhere import refuse_second_log
from esaa_git.app.pinning import (
    RESTART,
    changes,
    checks_without_program,
    kinds_for_persons,
    taken_over,
    unread_judges,
    wanted_contracts,
)
from esaa_git.app.project import has_log
from esaa_git.app.roadmap import check_contracts, check_usable, read_plan
from esaa_git.errors import ConfigurationError, RefusedError, RepositoryError, UsageError

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.plan import Plan, PlanDiff
    from esaa_git.engine.run import Starter


@dataclass(frozen=True, slots=True)
class Difference:
    """What applying the plan would do, and what differs from what is in force.

    Attributes:
        contracts: the contract files that differ.
        programs: what became of each program that is pinned, or would be: `new`, `removed`,
            `content` or `mode`; None where what is in force says nothing of programs.
        taken_over: the contract files that are absent from the checkout, and stay in force.
        no_judges: the checks that rest on what a kind may write: they run no pinned program.
        unread: the checks and reviewers of which it cannot be told what they run, and why; that
            counts as not pinned.
        by_a_person: the kinds that open a pinned path by name, so that a person decides.
        setups: the commands that set up what is worked in, by whose they are: "kind 'impl'".
    """

    plan: PlanDiff
    contracts: Sequence[str]
    programs: Mapping[str, str] = field(default_factory=dict)
    taken_over: Sequence[str] = ()
    no_judges: Sequence[str] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    by_a_person: Sequence[str] = ()
    setups: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying the plan recorded.

    Attributes:
        run_id: the open run, and `branch` the one it works on; `started` says whether it began
            now.
        created: how many tasks are new, and `amended` how many were changed.
    """

    run_id: str
    branch: str
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

    document = read_plan(project.repository, branch)
    wanted = wanted_contracts(project, branch, document)
    check_contracts(wanted)
    by_a_person = kinds_for_persons(wanted)
    no_judges = checks_without_program(wanted, _checks_of(document))
    unread = unread_judges(wanted, _checks_of(document))
    if not has_log(project):
        refuse_second_log(project)
        plans.check_plan(document, EMPTY, wanted)
        return Difference(
            plans.diff_plan(document, EMPTY),
            [],
            changes(None, wanted),
            (),
            no_judges,
            unread,
            by_a_person,
            _setups_of(wanted),
        )
    state, in_force = project.log.load()
    plans.check_plan(document, state, in_force if state.run.is_open else wanted)
    return Difference(
        plans.diff_plan(document, state),
        _changed(in_force, wanted),
        changes(in_force, wanted),
        taken_over(project, branch),
        no_judges,
        unread,
        by_a_person,
        _setups_of(wanted),
    )


def _setups_of(contracts: Contracts) -> Mapping[str, Sequence[str]]:
    return {
        setup.owner: [shlex.join(step.run) for step in setup.steps] for setup in contracts.setups()
    }


def _checks_of(document: Plan) -> Mapping[str, Sequence[str]]:
    return {
        f"{task['task_id']}: {check['name']}": check["run"]
        for task in document.tasks
        for check in task.get("checks", ())
    }


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
            An admin here signs both where no orchestrator's key can.
        reason: of the restart.
        sign_with: the key of an admin that signs the start of the run.

    Raises:
        NotAllowed: if contracts ask for what the user of this machine has not agreed to.
        RunHalted: if a run is open on another branch than the one that is checked out or named.
        UsageError: if there is nothing to sign with that key.
        ConfigurationError: if the plan or the contracts cannot be used; nothing is recorded.
    """
    from esaa_git.core import plan as plans
    from esaa_git.engine import run as runs

    require_used(project, branch=branch, draft=restart)
    project.sign_with = sign_with
    place = working_place(project, branch, ends=restart)
    by = project.actor(actor)
    wanted = read_plan(project.repository, branch)
    contracts = wanted_contracts(project, branch, wanted)
    refuse_second_log(project)
    is_open = has_log(project) and project.log.load()[0].run.is_open
    if is_open and sign_with is not None and not restart:
        raise UsageError(
            f"there is nothing for '{sign_with}' to sign: "
            f"{project.log.load()[0].run.run_id} is open, and its contracts stay until it ends",
            hint="add --restart to halt it, and to start the next run under those on disk",
        )
    begins = starter(project)
    begins = _while_stopped(project, wanted, begins)
    stops = is_open and (restart or place.left is not None)
    signer = None
    if stops and begins is not None and not project.log.orchestrates():
        signer, begins = begins.person, replace(begins, signs=True)
    if stops:
        # What cannot be applied must not have stopped the run first.
        check_usable(contracts)
        plans.check_plan(wanted, project.log.load()[0], contracts)
        project.log.check_may_pin(contracts, by_person=begins is not None and begins.signs)
        runs.stop(project.engine, reason or place.why_it_ends or "restarted", by, signer)
    check_contracts(contracts)
    done = runs.apply(project.engine, wanted, contracts, branch=place.branch, by=by, starter=begins)
    plain_git.refresh(project.repository, project.note)
    note_edited_contracts(project, branch)
    return Applied(done.run_id, done.branch, done.started, done.created, done.amended)


def _while_stopped(project: Project, wanted: Plan, begins: Starter | None) -> Starter | None:
    """Return who begins a run: of a stopped log an admin, who signs and adds no task (rule 32).

    Raises:
        RunHalted: where that is not so, before anything is recorded.
    """
    from esaa_git.engine.halting import require_going

    state = project.log.load()[0] if has_log(project) else None
    if state is None or state.stop.by is None:
        return begins
    if begins is None or any(one["task_id"] not in state.tasks for one in wanted.tasks):
        require_going(project.engine)
        return begins
    return replace(begins, signs=True)


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
            _ = project.log.keys.person  # says so if it cannot be used at all
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
    try:
        wanted = wanted_contracts(project, branch, read_plan(project.repository, branch))
    except (ConfigurationError, RepositoryError) as error:
        project.note(
            f"note: {error.message}; {state.run.run_id} goes on with what is pinned, and the next "
            "run cannot begin before that is put right"
        )
        return
    changed = _changed(in_force, wanted)
    if changed:
        project.note(
            f"note: {', '.join(changed)}: what stands in .roadmap/ is not what {state.run.run_id} "
            f"goes by; '{RESTART}' puts it in force"
        )
    programs = changes(in_force, wanted)
    if programs and in_force.programs is not None:
        project.note(
            f"note: {', '.join(programs)}: what stands in the checkout is not what is pinned, and "
            f"{state.run.run_id} goes on with what is pinned; '{RESTART}' pins it"
        )


def _changed(in_force: Contracts, wanted: Contracts) -> list[str]:
    """Return the contract files that differ."""
    before = {pin.path: pin.sha256 for pin in in_force.pins}
    after = {pin.path: pin.sha256 for pin in wanted.pins}
    return sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )
