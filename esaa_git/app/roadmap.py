"""The files of `.roadmap/` as people have edited them; those in force are in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esaa_git.errors import RepositoryError
from esaa_git.store.repository import Repository

if TYPE_CHECKING:
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.plan import Plan

ROADMAP: Final = ".roadmap"


def roadmap_files(repository: Repository, branch: str | None = None) -> dict[str, bytes]:
    """Return the files of `.roadmap/`: of the checkout, or of the branch in a bare repository.

    Raises:
        RepositoryError: if there are none.
    """
    workdir = repository.workdir
    if workdir is not None:
        folder = workdir / ROADMAP
        found = {
            path.name: path.read_bytes()
            for path in (sorted(folder.iterdir()) if folder.is_dir() else ())
            if path.is_file()
        }
    else:
        found = _committed(repository, branch)
    if not found:
        raise RepositoryError(
            f"there is no '{ROADMAP}' folder here", hint="run 'git esaa init' to write one"
        )
    return found


def _committed(repository: Repository, branch: str | None) -> dict[str, bytes]:
    from esaa_git.store.trees import GitTrees

    name = branch or repository.setting("esaa.branch") or "main"
    tip = repository.ref_target(f"refs/heads/{name}")
    if tip is None:
        raise RepositoryError(
            f"there is no branch '{name}' to read '{ROADMAP}' from",
            hint="name one with --branch",
        )
    prefix = ROADMAP + "/"
    return {
        path.removeprefix(prefix): repository.read(entry.oid)[1]
        for path, entry in GitTrees(repository).paths(tip)
        if path.startswith(prefix) and "/" not in path.removeprefix(prefix)
    }


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


def check_usable(contracts: Contracts) -> None:
    """Refuse contracts that could not be pinned, before anything is changed because of them."""
    from esaa_git.trust.roles import check_signers

    contracts.check()
    check_signers(contracts)
