"""The files of `.roadmap/` as people have edited them; those in force are in the log."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from esaa_git.errors import RepositoryError
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

    allowed, openpgp = roadmap / ALLOWED_SIGNERS, roadmap / OPENPGP_SIGNERS
    if not allowed.is_file():
        return None
    return Keyring(allowed.read_bytes(), openpgp.read_bytes() if openpgp.is_file() else None)


def write_keyring(roadmap: Path, before: Keyring, after: Keyring) -> list[str]:
    """Write what changed, file by file and each at once; return the names of those files."""
    from esaa_git.core.contracts import ALLOWED_SIGNERS, OPENPGP_SIGNERS

    written = []
    for name, old, new in (
        (OPENPGP_SIGNERS, before.openpgp, after.openpgp),
        (ALLOWED_SIGNERS, before.allowed, after.allowed),
    ):
        if new is not None and new != old:
            _replace(roadmap / name, new)
            written.append(name)
    return written


def _replace(path: Path, content: bytes) -> None:
    # Behind a link lies the file that is meant, and a rename would put another in the link's place.
    place = path.resolve()
    temporary = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as stream:
            if place.exists():
                os.fchmod(stream.fileno(), place.stat().st_mode & 0o777)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)
