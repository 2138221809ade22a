"""Which file git starts as a hook, and which others a forge's own hook or server starts with it.

Git starts one file a name, if it is executable, through any link (githooks(5)). Gitea and Forgejo
put a file of theirs there, which starts every executable in `NAME.d` beside it. GitLab's server
starts `custom_hooks/NAME` of the repository and every executable in `custom_hooks/NAME.d`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from esaa_git import beneath
from esaa_git.store.repository import Repository

CLIENT = ("pre-push",)
SERVER = ("pre-receive", "update")

DELEGATED = "esaa"
"""What our hook is called in a folder whose files are all started."""

VERIFYING = b"\n    from esaa_git.hooks."
APPEND_ONLY = b'\n\techo "git-esaa: refused'
"""What stands in a hook of ours, and in the one for servers without Python."""

_GITLAB = "custom_hooks"


@dataclass(frozen=True, slots=True)
class Place:
    """One file that is started as a hook, or would be if it were there and executable.

    `by` is the file that starts it where git does not, and `fault` says why nothing does.
    """

    path: Path
    by: Path | None = None
    fault: str | None = None

    @property
    def is_ours(self) -> bool:
        return is_ours(self.path)


def found(repository: Repository, name: str) -> Place:
    """Return where a hook of ours is, one that is started before others, else where it would go."""
    ours = [place for place in _places(repository, name) if place.is_ours]
    return min(ours, key=lambda place: place.fault is not None, default=None) or free(
        repository, name
    )


def free(repository: Repository, name: str) -> Place:
    """Return where a hook of ours goes: into a folder that is started, else where git looks."""
    own, *more = _places(repository, name)
    in_folders = (one for one in more if one.path.name == DELEGATED and one.fault is None)
    return own if own.is_ours else next(in_folders, own)


def run_in(repository: Repository, name: str) -> Path:
    """Return the folder in which git starts a hook (githooks(5)); a relative path begins there."""
    if name in SERVER or repository.workdir is None:
        return repository.git_dir
    return repository.workdir


def is_ours(path: Path) -> bool:
    """Answer whether a file is a hook of ours, also at the end of a link."""
    try:
        real = path.resolve(strict=True)
        data = beneath.read(real.parent, real.name)
    except (OSError, RuntimeError, beneath.Obstacle):  # RuntimeError: links that lead in a circle
        return False
    return data is not None and (VERIFYING in data or APPEND_ONLY in data)


def _places(repository: Repository, name: str) -> Iterator[Place]:
    """Yield git's own place, then those in folders; one of them is named as ours would be."""
    own = Place(_folder(repository, name) / name)
    yield own
    folder = own.path.with_name(f"{name}.d")
    if folder.is_dir() and not own.is_ours:
        fault = _why_not_delegated(own, folder.name)
        yield from (Place(path, own.path, fault) for path in _files(folder))
    custom = repository.git_dir / _GITLAB
    if name in SERVER and custom.is_dir():
        if (custom / name).exists():
            yield Place(custom / name, custom)
        yield from (Place(path, custom) for path in _files(custom / f"{name}.d"))


def _folder(repository: Repository, name: str) -> Path:
    setting = repository.setting("core.hooksPath")
    if setting is None or name in CLIENT:
        return repository.hooks_folder
    return run_in(repository, name) / Path(setting).expanduser()


def _why_not_delegated(own: Place, folder: str) -> str | None:
    if not own.path.exists():
        return f"nothing starts what is in '{folder}': there is no '{own.path.name}' beside it"
    if not os.access(own.path, os.X_OK):
        return f"'{own.path.name}' beside '{folder}', which would start it, is not executable"
    if own.path.is_file() and b".d" not in own.path.read_bytes():
        return f"'{own.path.name}' beside '{folder}' does not start what is in there"
    return None


def _files(folder: Path) -> list[Path]:
    """Return what is started of a folder: all but hidden files and copies that editors leave."""
    found = {folder / DELEGATED}
    if folder.is_dir():
        found |= {path for path in folder.iterdir() if not path.is_dir()}
    return sorted(path for path in found if path.name[0] != "." and path.name[-1] != "~")
