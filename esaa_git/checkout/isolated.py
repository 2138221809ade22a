"""Git with a private git directory: it obeys nothing of the person's, and nothing of an agent's.

It knows the objects, the few settings that say how text is written to a checkout, and the
`.gitattributes` and `.gitignore` of the files it is pointed at. It knows no filter program, so an
attribute `filter=lfs` names none, and git takes the file as it is (gitattributes(5), "filter").
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from esaa_git.folders import no_room, throwaway_folder
from esaa_git.store.objects import bytes_of, name_of
from esaa_git.store.program import run_git
from esaa_git.store.repository import Repository

_TEXT_SETTINGS = ("core.autocrlf", "core.eol")

_HEAD = "refs/heads/unborn"

# git(1): what else of the person's would be read. `-c` of an outer git travels in the last two.
_SEALED = {
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_INDEX_VERSION": "2",
    "GIT_CONFIG_COUNT": "0",
    "GIT_CONFIG_PARAMETERS": "",
}


@dataclass(frozen=True, slots=True)
class IsolatedGit:
    """A private git directory, and an empty folder beside it for files of its own."""

    folder: Path
    files: Path

    @property
    def index(self) -> Path:
        return self.folder / "index"

    @property
    def objects(self) -> Path:
        return self.folder / "objects"

    def run(
        self,
        worktree: Path,
        *arguments: str,
        input: bytes | None = None,  # noqa: A002 - as in run_git
        timeout: float | None = None,
    ) -> bytes:
        """Run git on the files of this folder and return what it prints.

        Raises:
            RepositoryError: as `run_git` does.
        """
        env = {
            **_SEALED,
            "GIT_DIR": str(self.folder),
            "GIT_WORK_TREE": str(worktree),
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder),
        }
        return run_git(worktree, *arguments, input=input, env=env, timeout=timeout)


@contextmanager
def isolated_git(objects: Sequence[Path], settings: Mapping[str, str]) -> Iterator[IsolatedGit]:
    """Make a git directory that reads these object folders and writes to one of its own.

    Raises:
        AgentError: if there is no room for it.
    """
    with throwaway_folder("git") as top:
        git = IsolatedGit(top / "git", top / "files")
        try:
            git.files.mkdir()
            write_git_dir(git.folder, objects, {"core.bare": "false", **settings}, _HEAD)
        except OSError as error:
            raise no_room("make a git directory", error) from error
        yield git


def write_git_dir(
    folder: Path, objects: Iterable[Path], settings: Mapping[str, str], head: str
) -> None:
    """Write the least that git takes for a git directory (gitrepository-layout(5)).

    Args:
        objects: the folders whose objects it shares.
        head: the ref that HEAD names.
    """
    for part in ("objects/info", "objects/pack", "refs/heads", "info"):
        (folder / part).mkdir(parents=True)
    lines = b"".join(_alternate(path) + b"\n" for path in objects)
    (folder / "objects/info/alternates").write_bytes(lines)
    (folder / "HEAD").write_text(f"ref: {head}\n")
    config = {"core.repositoryFormatVersion": "0", "core.fileMode": "true", **settings}
    (folder / "config").write_text("".join(map(_setting, config.items())))


def text_settings(repository: Repository) -> dict[str, str]:
    """Return the settings of a repository by which text files get their line ends."""
    found = {name: repository.setting(name) for name in _TEXT_SETTINGS}
    return {name: value for name, value in found.items() if value is not None}


def object_folders(repository: Repository) -> tuple[Path, ...]:
    """Return where the objects of a repository lie, with its alternates and theirs."""
    found: dict[Path, None] = {}
    waiting = [repository.common_dir / "objects"]
    while waiting:
        folder = waiting.pop().resolve()
        if folder in found or not folder.is_dir():
            continue
        found[folder] = None
        try:
            listed = (folder / "info/alternates").read_bytes().split(b"\n")
        except OSError:
            continue
        waiting += [folder / _path(line) for line in listed if line and not line.startswith(b"#")]
    return tuple(found)


def _setting(item: tuple[str, str]) -> str:
    section, _, name = item[0].partition(".")
    value = item[1].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'[{section}]\n\t{name} = "{value}"\n'


def _alternate(path: Path) -> bytes:
    """Write a folder as git reads it from `objects/info/alternates`."""
    name = bytes_of(str(path))
    if b"\n" not in name and not name.startswith((b"#", b'"')):
        return name
    return b'"%s"' % b"".join(b"\\%03o" % byte for byte in name)


def _path(line: bytes) -> str:
    """Read a folder that git wrote into `objects/info/alternates`, in quotes where it is odd."""
    if line.startswith(b'"'):
        line = line[1:-1].decode("unicode_escape").encode("latin-1", "replace")
    return name_of(line)
