"""Whom plain git believes: the signers of the contracts in force, in a file of the git directory.

`git verify-commit` and `git log --show-signature` read the file that `gpg.ssh.allowedSignersFile`
names. What lies in the checkout came with a branch, so whoever can push writes it: a draft. Ours is
written from the log, and only after the log was verified.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from esaa_git.app.roadmap import ROADMAP
from esaa_git.errors import EsaaError
from esaa_git.store.repository import Repository

SETTING: Final = "gpg.ssh.allowedSignersFile"
_NAME: Final = "allowed_signers"
_HEAD: Final = (
    b"# Written by git-esaa from the contracts in force, after they were verified. An edit is\n"
    b"# lost: 'git esaa key trust' changes who may sign, with the next run.\n"
)

Say = Callable[[str], None]


def signers_path(repository: Repository) -> Path:
    """Return the file that plain git is told to read."""
    return repository.esaa_dir / _NAME


def set_up(repository: Repository, say: Say) -> None:
    """Have plain git read our file, unless the user has set up another; say what was moved over."""
    ours = str(signers_path(repository))
    current = repository.setting(SETTING)
    if current is None:
        repository.set_local(SETTING, ours)
        if _present(repository) is None:  # git takes a file that is not there for a fault
            _write(repository, _HEAD)
    elif current != ours and current == repository.local_setting(SETTING) and _was_ours(current):
        repository.set_local(SETTING, ours)
        say(
            f"note: plain git verified against '{current}'; it goes by '{ours}' now, which is "
            "written from the contracts in force"
        )


def refresh(repository: Repository, say: Say) -> None:
    """Bring our file after the contracts in force; where they are new, the log is verified first.

    What keeps it from being written is said, and stops nothing.
    """
    from esaa_git.store.tip import load_tip
    from esaa_git.verification.audit import Auditor

    tip = repository.ref_target(repository.events_ref)
    if tip is None or repository.setting(SETTING) != str(signers_path(repository)):
        return
    try:
        wanted = _content(load_tip(repository, tip).contracts.files)
        if _present(repository) == wanted:
            return
        report = Auditor(repository, with_branch=False, remember=False).run()
        cause = report.audit.message
        if report.audit.is_ok and report.tip == tip:
            _write(repository, wanted)
            return
    except EsaaError as error:
        cause = error.message
    except OSError as error:
        cause = error.strerror or str(error)
    say(f"note: plain git is not told who may sign now: {cause}")


def write(repository: Repository, verified_tip: str, say: Say) -> None:
    """Write our file from the contracts of a log that was just verified up to this event."""
    from esaa_git.store.tip import load_tip

    with suppress(OSError):  # an auditor may have no right to write, and needs none
        _move_over(repository, say)
        wanted = _content(load_tip(repository, verified_tip).contracts.files)
        if repository.setting(SETTING) == str(signers_path(repository)) and wanted != _present(
            repository
        ):
            _write(repository, wanted)


def move_over(repository: Repository, say: Say) -> None:
    """Have a repository that was set up to believe a checkout's file believe ours."""
    if _move_over(repository, say):
        refresh(repository, say)


def _move_over(repository: Repository, say: Say) -> bool:
    current = repository.local_setting(SETTING)
    if current in (None, str(signers_path(repository))) or not _was_ours(str(current)):
        return False
    set_up(repository, say)
    return True


def _was_ours(value: str) -> bool:
    """Answer whether a value is one of ours: a checkout's draft, or the file of another place."""
    path = Path(value)
    if path.name != _NAME:
        return False
    git_dir = path.parent.parent
    is_elsewhere = path.parent.name == "esaa" and (not path.exists() or (git_dir / "HEAD").exists())
    return path.parent.name == ROADMAP or is_elsewhere


def _content(contracts: Mapping[str, bytes]) -> bytes:
    return _HEAD + contracts.get(_NAME, b"")


def _present(repository: Repository) -> bytes | None:
    try:
        return signers_path(repository).read_bytes()
    except OSError:
        return None


def _write(repository: Repository, content: bytes) -> None:
    from esaa_git.store.files import write_atomically

    write_atomically(signers_path(repository), content)
