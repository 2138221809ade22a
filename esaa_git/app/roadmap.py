"""The files of `.roadmap/` as people have edited them; those in force are in the log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from esaa_git.errors import RepositoryError
from esaa_git.store.files import files_in, read_below, write_below
from esaa_git.store.repository import Repository

if TYPE_CHECKING:
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.plan import Plan
    from esaa_git.trust.keyring import Keyring

ROADMAP: Final = ".roadmap"


def roadmap_files(repository: Repository, branch: str | None = None) -> dict[str, bytes]:
    """Return the files of `.roadmap/`: of the checkout, or of the branch in a bare repository.

    Raises:
        RepositoryError: if there are none.
    """
    workdir = repository.workdir
    if workdir is not None:
        found = files_in(workdir / ROADMAP)
    else:
        found = _committed(repository, branch)
    if not found:
        raise RepositoryError(
            f"there is no '{ROADMAP}' folder here", hint="run 'git esaa init' to write one"
        )
    return found


def check_writable(folder: Path) -> None:
    """Refuse a `.roadmap` that something has replaced, by a link elsewhere or by a file."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise RepositoryError(
            f"'{ROADMAP}' is in the way: it is not a folder", hint="move it aside, then repeat"
        )


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

    check_contracts(contracts)
    check_signers(contracts)


def check_contracts(contracts: Contracts) -> None:
    """Refuse contracts that cannot be used as they stand, the settings of adapters among them."""
    from esaa_git.agents.registry import check_swarm

    contracts.check()
    check_swarm(contracts)


# -- the files that name the keys --------------------------------------------------------------


def read_keyring(roadmap: Path) -> Keyring | None:
    """Return the keyring in a `.roadmap` folder; None where there is none."""
    from esaa_git.core.contracts import ALLOWED_SIGNERS, OPENPGP_SIGNERS
    from esaa_git.trust.keyring import Keyring

    allowed = read_below(roadmap, ALLOWED_SIGNERS)
    return None if allowed is None else Keyring(allowed, read_below(roadmap, OPENPGP_SIGNERS))


def write_keyring(roadmap: Path, before: Keyring, after: Keyring) -> list[str]:
    """Write what changed, file by file and each at once; return the names of those files."""
    from esaa_git.core.contracts import ALLOWED_SIGNERS, OPENPGP_SIGNERS

    written = []
    for name, old, new in (
        (OPENPGP_SIGNERS, before.openpgp, after.openpgp),
        (ALLOWED_SIGNERS, before.allowed, after.allowed),
    ):
        if new is not None and new != old:
            write_below(roadmap, name, new)
            written.append(name)
    return written
