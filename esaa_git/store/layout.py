"""What is git's to say of a repository: its folders, settings and attributes, and its work trees.

The git program is asked where a repository is, once for each opening (`find`), and for its
settings, once for each state of the files that they come from (`esaa_git.store.settings`): libgit2
knows neither `git -c` nor half of git's variables, and no sparse index. Other work trees are read
from the small files that git keeps of them (gitrepository-layout(5)). No other module reads those.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pygit2

from esaa_git.store.objects import bytes_of, name_of
from esaa_git.store.program import GitFailed, run_git
from esaa_git.store.settings import Settings, is_on

_SAID = re.compile(rb"(.*)\n(true|false)\n(.*?)\n?", re.DOTALL)

_REMOTE = re.compile(r"remote\.(.+)\.[^.]+", re.DOTALL)

_OBEYED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_IMPLICIT_WORK_TREE")


@dataclass(frozen=True, slots=True)
class Places:
    """A repository's git directory, and its work tree; None where it has none that is known."""

    git_dir: Path
    workdir: Path | None

    def again(self) -> pygit2.Repository:
        """Return a handle of libgit2, for one thread, that goes by these places."""
        raw = pygit2.Repository(os.fspath(self.git_dir))
        if self.workdir is not None:
            # As bytes: pygit2 encodes text strictly, and a folder's name may be no UTF-8.
            raw.workdir = os.fsencode(self.workdir)  # type: ignore[assignment]
        return raw


def find(folder: Path, *, obeys: bool = False) -> Places:
    """Ask git which repository holds a folder, and where its work tree is.

    Args:
        obeys: go by GIT_DIR, GIT_WORK_TREE and GIT_COMMON_DIR, as a command of git's own does.

    Raises:
        GitFailed: with what git says, if it finds none, or none that it may use.
    """
    given = {name: os.environ[name] for name in _OBEYED if name in os.environ} if obeys else {}
    found, is_bare = _places(folder, given)
    if is_bare or found.workdir is not None:
        return found
    # Inside of a git directory, whose work tree is above it, or is the one that is linked to it.
    link = found.git_dir / "gitdir"
    above = Path(name_of(link.read_bytes()).rstrip("\n")) if link.is_file() else found.git_dir
    try:
        seen, _ = _places(above.parent, {})
    except GitFailed:
        return found
    return seen if seen.git_dir == found.git_dir else found


def _places(folder: Path, given: Mapping[str, str]) -> tuple[Places, bool]:
    asked = ("--absolute-git-dir", "--is-bare-repository", "--show-toplevel")
    try:
        said = run_git(folder, "rev-parse", *asked, env=given)
    except GitFailed as error:
        said = error.output  # the first two, where only the last has no answer
        if _SAID.fullmatch(said) is None:
            raise
    found = _SAID.fullmatch(said)
    assert found is not None
    git_dir, is_bare, top = found.groups()
    workdir = None if top in (b"", git_dir) else Path(name_of(top))
    return Places(Path(name_of(git_dir)), workdir), is_bare == b"true"


_VALUES: Mapping[str, bool | None] = {"unspecified": None, "set": True, "unset": False}


def common_dir(git_dir: Path) -> Path:
    """Return the git directory whose objects and refs the one of a linked work tree shares."""
    marker = git_dir / "commondir"
    return (git_dir / marker.read_text().strip()).resolve() if marker.is_file() else git_dir


@dataclass(frozen=True, slots=True)
class WorkTree:
    """One checkout of a repository: its files, and the git directory with its HEAD and index."""

    folder: Path
    git_dir: Path

    @property
    def head(self) -> str | None:
        """The ref that HEAD names, or None where it is detached."""
        head = self.git_dir / "HEAD"
        if head.is_symlink():  # as core.preferSymlinkRefs writes it
            return str(head.readlink())
        try:
            text = head.read_text()
        except OSError:
            return None
        return text.removeprefix("ref:").strip() if text.startswith("ref:") else None


class Layout:
    """One repository, as git has set it up.

    Args:
        places: where git says that it is; by default where libgit2 takes it to be.
    """

    def __init__(self, raw: pygit2.Repository, places: Places | None = None) -> None:
        self.raw = raw
        top = None if raw.is_bare else Path(raw.workdir)
        self.places = places or Places(Path(raw.path), top)
        self.git_dir = Path(raw.path)
        """The `.git` of this worktree."""

    @cached_property
    def common_dir(self) -> Path:
        """The folder that all linked worktrees share: objects, refs, and our own `esaa/`."""
        return common_dir(self.git_dir)

    @property
    def workdir(self) -> Path | None:
        """The checkout, or None in a bare repository."""
        return self.places.workdir

    def git(
        self,
        *arguments: str,
        input: bytes | None = None,  # noqa: A002 - as run_git
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        settings: bool = True,
        waits: bool = False,
    ) -> bytes:
        """Run git on this repository, at the top of its checkout, and return what it prints.

        Raises:
            GitFailed: as `run_git` does.
            RepositoryError: as `run_git` does.
        """
        where = [f"--git-dir={self.git_dir}"]
        if self.workdir is not None:
            where.append(f"--work-tree={self.workdir}")
        folder = self.workdir or self.git_dir
        return run_git(
            folder,
            *(*where, *arguments),
            input=input,
            env=env,
            timeout=timeout,
            settings=settings,
            waits=waits,
        )

    def tracks(self, path: str, *, anywhere: bool = False) -> bool:
        """Answer whether an absolute path is, or leads to, a file of the checkout in its index.

        Args:
            anywhere: or of any other checkout in its own.
        """
        for tree, inside in self.inside(path):
            if anywhere or tree.folder == self.workdir:
                found = run_git(
                    tree.folder,
                    *(f"--git-dir={tree.git_dir}", f"--work-tree={tree.folder}"),
                    *("--literal-pathspecs", "ls-files", "-z", "--", inside),
                )
                if bytes_of(inside) in found.split(b"\0"):
                    return True
        return False

    def inside(self, path: str) -> Iterator[tuple[WorkTree, str]]:
        """Yield where in checkouts an absolute path is, or leads to; never below a `.git`."""
        trees = {tree.folder: tree for tree in self.work_trees()}
        if self.workdir is not None:
            trees[self.workdir] = WorkTree(self.workdir, self.git_dir)
        for place in dict.fromkeys(map(Path, (os.path.normpath(path), os.path.realpath(path)))):
            for tree in trees.values():
                for above in dict.fromkeys((tree.folder, tree.folder.resolve())):
                    if place.is_relative_to(above):
                        inside = place.relative_to(above)
                        if ".git" not in inside.parts:
                            yield tree, inside.as_posix()
                        break

    @cached_property
    def _settings(self) -> Settings:
        own = (self.common_dir / "config", self.git_dir / "config.worktree")
        return Settings(self._list_settings, self.workdir or self.git_dir, own)

    def _list_settings(self) -> bytes:
        return self.git("config", "--list", "-z", "--show-origin", settings=False)

    def setting(self, name: str) -> str | None:
        """Return one value of the git configuration."""
        found = self._settings.all(name)
        return found[-1] if found else None

    def settings(self, name: str) -> list[str]:
        """Return every value of a setting that may have several."""
        return list(self._settings.all(name))

    def remotes(self) -> list[str]:
        """Return the remotes of which something is set, in no order."""
        found = (_REMOTE.fullmatch(name) for name in self._settings.names())
        return sorted({match[1] for match in found if match is not None})

    def flag(self, name: str, default: bool) -> bool:
        """Return a setting that is on or off."""
        found = self.setting(name)
        return default if found is None else is_on(found)

    def identity(self, role: str) -> tuple[str | None, str | None]:
        """Return name and e-mail address of the person, as far as git was told (git-commit(1)).

        Args:
            role: `author` or `committer`.
        """
        found = []
        for part in ("name", "email"):
            value = os.environ.get(f"GIT_{role}_{part}".upper())
            value = value or self.setting(f"{role}.{part}") or self.setting(f"user.{part}")
            if part == "email" and not self.flag("user.useConfigOnly", False):
                value = value or os.environ.get("EMAIL")
            found.append(value or None)
        return found[0], found[1]

    def local_setting(self, name: str) -> str | None:
        """Return one value of the repository's own configuration."""
        config = pygit2.Config(str(self.common_dir / "config"))
        return str(config[name]) if name in config else None

    def set_local(self, name: str, value: str) -> None:
        """Write one value into the repository's own configuration."""
        self.git("config", "--file", str(self.common_dir / "config"), name, value)

    def unset_local(self, name: str) -> None:
        """Remove one value from the repository's own configuration, if it is there."""
        config = pygit2.Config(str(self.common_dir / "config"))
        if name in config:
            del config[name]

    @property
    def hooks_folder(self) -> Path:
        """Where git looks for hooks: `core.hooksPath`, or `hooks` (git-config(1))."""
        setting = self.setting("core.hooksPath")
        if setting is None:
            return self.common_dir / "hooks"
        return (self.workdir or self.git_dir) / Path(setting).expanduser()

    def attribute(self, path: str, name: str) -> bool | str | None:
        """Return an attribute of a path, as the checkout or the index gives it (gitattributes(5)).

        None is unspecified, and True and False are set and unset.
        """
        return self.attributes([path], name)[0]

    def attributes(self, paths: Sequence[str], name: str) -> list[bool | str | None]:
        """Return an attribute of each of these paths, as `attribute` does."""
        # Out of a sparse checkout's cone, git would say nothing of them (attr.c).
        said = self.git(
            *("-c", "core.sparseCheckout=false", "check-attr", "-z", "--stdin", name),
            input=b"".join(bytes_of(path) + b"\0" for path in paths),
        )
        return [_VALUES.get(value, value) for value in name_of(said).split("\0")[2::3]]

    @cached_property
    def main(self) -> Layout:
        """The repository as its main work tree has it; itself, where this is no linked one."""
        if self.common_dir == self.git_dir:
            return self
        places = find(self.common_dir)
        return Layout(places.again(), places)

    def work_trees(self) -> Iterator[WorkTree]:
        """Yield what `git worktree list` does, at the cost of a few small files and no process."""
        common, folder = self.common_dir, self.main.workdir
        if folder is not None:
            yield WorkTree(folder, common)
        for git_dir in sorted(common.glob("worktrees/*")):
            try:
                # Relative to where the link stands if worktree.useRelativePaths is on.
                link = git_dir / (git_dir / "gitdir").read_text().removesuffix("\n")
                back = link.parent / link.read_text().removeprefix("gitdir: ").removesuffix("\n")
            except OSError:
                continue
            # A folder that was deleted and made again for something else is none of its checkouts.
            if back.resolve() == git_dir.resolve():
                yield WorkTree(Path(os.path.normpath(link.parent)), git_dir)
