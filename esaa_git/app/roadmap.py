"""The files of `.roadmap/` as people have edited them; those in force are in the log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from esaa_git.beneath import MAX_BYTES
from esaa_git.errors import ConfigurationError, RepositoryError
from esaa_git.ports.files import FileEntry, NotAFile
from esaa_git.store.files import contents_below, read_below, write_below
from esaa_git.store.objects import TooLarge
from esaa_git.store.repository import Repository

if TYPE_CHECKING:
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.plan import Plan
    from esaa_git.engine.schedule import PlanOrder
    from esaa_git.trust.keyring import Keyring

ROADMAP: Final = ".roadmap"


def roadmap_files(repository: Repository, branch: str | None = None) -> dict[str, bytes]:
    """Return contracts and plan in `.roadmap/`: of the checkout, or of the branch where it is bare.

    Raises:
        RepositoryError: if there are none, or one of them is no regular file.
    """
    workdir = repository.workdir
    if workdir is not None:
        found = contents_below(workdir, ROADMAP, _is_ours)
    else:
        found = _committed(repository, branch)
    if not found:
        raise RepositoryError(f"there is no '{ROADMAP}' folder here", hint=way_to(repository))
    return found


def way_to(repository: Repository) -> str:
    """Say where the contracts are: in HEAD, on the branch of the run, or nowhere yet."""
    from esaa_git.store.tip import load_tip
    from esaa_git.store.trees import GitTrees

    raw = repository.raw
    if not raw.head_is_unborn and GitTrees(repository).folder(str(raw.head.target), ROADMAP):
        # In cone mode this adds the folder, without it a pattern that takes it in.
        if repository.flag("core.sparseCheckout", default=False):
            return f"run 'git sparse-checkout add {ROADMAP}': the checkout is sparse"
        return f"run 'git checkout HEAD -- {ROADMAP}': it is committed"
    log = repository.ref_target(repository.events_ref)
    name = None if log is None else load_tip(repository, log).state.run.branch
    tip = None if name is None else repository.ref_target(f"refs/heads/{name}")
    if tip is not None and GitTrees(repository).folder(tip, ROADMAP):
        return f"run 'git switch {name}' for the branch that has it"
    return "run 'git esaa init' to write one"


def _is_ours(name: str) -> bool:
    from esaa_git.core.contracts import is_contract_file
    from esaa_git.core.plan import PLAN

    return name == PLAN or is_contract_file(name)


def _committed(repository: Repository, branch: str | None) -> dict[str, bytes]:
    from esaa_git.store.trees import GitTrees

    name = branch or repository.setting("esaa.branch") or "main"
    tip = repository.ref_target(f"refs/heads/{name}")
    if tip is None:
        raise RepositoryError(
            f"there is no branch '{name}' to read '{ROADMAP}' from",
            hint="name one with --branch",
        )
    trees = GitTrees(repository)
    found = {}
    listed = trees.folder(tip, ROADMAP)
    if not listed and (entry := trees.entry(tip, ROADMAP)) is not None:
        raise _no_file(ROADMAP, entry, name, "folder")
    for file, entry in listed.items():
        if not _is_ours(file):
            continue
        if isinstance(entry, NotAFile):
            raise _no_file(f"{ROADMAP}/{file}", entry, name, "file")
        try:
            found[file] = repository.read(entry.oid, MAX_BYTES)[1]
        except TooLarge as error:
            raise RepositoryError(
                f"'{ROADMAP}/{file}' on '{name}' is too large",
                cause=f"it has more than {MAX_BYTES} bytes",
                hint=f"commit a smaller one on '{name}', then repeat",
            ) from error
    return found


def _no_file(path: str, entry: FileEntry | NotAFile, branch: str, wanted: str) -> RepositoryError:
    what = entry.what if isinstance(entry, NotAFile) else "a file"
    return RepositoryError(
        f"'{path}' is {what} on '{branch}'",
        cause="contracts are regular files in a folder of their own",
        hint=f"commit a {wanted} in its place on '{branch}', then repeat",
    )


def read_contracts(repository: Repository, branch: str | None = None) -> Contracts:
    """Return the contracts as they stand on disk.

    Raises:
        RepositoryError: if there is no `.roadmap/`.
    """
    from esaa_git.core.contracts import Contracts, is_contract_file

    files = roadmap_files(repository, branch)
    return Contracts({name: data for name, data in files.items() if is_contract_file(name)})


def read_plan(repository: Repository, branch: str | None = None) -> Plan:
    """Return the plan as it stands on disk.

    Raises:
        RepositoryError: if there is none.
        ConfigurationError: if it cannot be used.
    """
    from esaa_git.core.plan import PLAN, load_plan

    data = roadmap_files(repository, branch).get(PLAN)
    if data is None:
        raise RepositoryError(
            f"there is no '{ROADMAP}/{PLAN}'", hint="run 'git esaa init' to write one"
        )
    return load_plan(data)


def plan_order(repository: Repository, branch: str | None = None) -> PlanOrder:
    """Return the order of the plan as it stands on disk; that of the ids where none can be read.

    A plan that is edited while a run is open says what goes first from the next command on.
    """
    from esaa_git.engine.schedule import BY_ID, PlanOrder

    try:
        plan = read_plan(repository, branch)
    except (RepositoryError, ConfigurationError):
        return BY_ID
    return PlanOrder(task["task_id"] for task in plan.tasks)


def check_usable(contracts: Contracts) -> None:
    """Refuse contracts that could not be pinned, before anything is changed because of them."""
    from esaa_git.trust.roles import check_signers

    check_contracts(contracts)
    check_signers(contracts)


def check_contracts(contracts: Contracts) -> None:
    """Refuse contracts that cannot be used as they stand, the settings of adapters among them."""
    from esaa_git.agents.registry import check_swarm
    from esaa_git.core.contracts import POLICY
    from esaa_git.core.policy.document import check_expressions

    contracts.check()
    if contracts.guard is not None:
        check_expressions(contracts.guard, f".roadmap/{POLICY}")
    check_swarm(contracts)


# -- the files that name the keys --------------------------------------------------------------


def read_keyring(checkout: Path) -> Keyring | None:
    """Return the keyring in the `.roadmap` of a checkout; None where there is none."""
    from esaa_git.core.contracts import ALLOWED_SIGNERS, OPENPGP_SIGNERS
    from esaa_git.trust.keyring import Keyring

    allowed = read_below(checkout, f"{ROADMAP}/{ALLOWED_SIGNERS}")
    if allowed is None:
        return None
    return Keyring(allowed, read_below(checkout, f"{ROADMAP}/{OPENPGP_SIGNERS}"))


def write_keyring(checkout: Path, before: Keyring, after: Keyring) -> list[str]:
    """Write what changed, file by file and each at once; return the names of those files."""
    from esaa_git.core.contracts import ALLOWED_SIGNERS, OPENPGP_SIGNERS

    written = []
    for name, old, new in (
        (OPENPGP_SIGNERS, before.openpgp, after.openpgp),
        (ALLOWED_SIGNERS, before.allowed, after.allowed),
    ):
        if new is not None and new != old:
            write_below(checkout, f"{ROADMAP}/{name}", new)
            written.append(name)
    return written
