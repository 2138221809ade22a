"""What is git's to say of a repository: its folders, settings and attributes, and its work trees.

libgit2 answers here, or the small files that git keeps for it (gitrepository-layout(5)), since a
command asks often and a process costs milliseconds. No other module reads them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pygit2


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
    """One repository, as git has set it up."""

    def __init__(self, raw: pygit2.Repository) -> None:
        self.raw = raw

    @cached_property
    def git_dir(self) -> Path:
        """The `.git` of this worktree."""
        return Path(self.raw.path)

    @cached_property
    def common_dir(self) -> Path:
        """The folder that all linked worktrees share: objects, refs, and our own `esaa/`."""
        return common_dir(self.git_dir)

    @property
    def workdir(self) -> Path | None:
        """The checkout, or None in a bare repository."""
        return None if self.raw.is_bare else Path(self.raw.workdir)

    def tracks(self, path: str) -> bool:
        """Answer whether an absolute path is, or leads to, a file of the checkout in its index."""
        top = self.workdir
        if top is None:
            return False
        for place in (Path(path), Path(os.path.realpath(path))):
            for above in (top, top.resolve()):
                if place.is_relative_to(above):
                    return place.relative_to(above).as_posix() in self.raw.index
        return False

    def setting(self, name: str) -> str | None:
        """Return one value of the git configuration."""
        try:
            return str(self.raw.config[name])
        except KeyError:
            return None

    def local_setting(self, name: str) -> str | None:
        """Return one value of the repository's own configuration."""
        config = pygit2.Config(str(self.common_dir / "config"))
        return str(config[name]) if name in config else None

    def settings(self, name: str) -> list[str]:
        """Return every value of a setting that may have several."""
        try:
            return [str(value) for value in self.raw.config.get_multivar(name)]
        except KeyError:
            return []

    def flag(self, name: str, default: bool) -> bool:
        """Return a setting that is on or off."""
        try:
            return self.raw.config.get_bool(name)
        except KeyError:
            return default

    def set_local(self, name: str, value: str) -> None:
        """Write one value into the repository's own configuration."""
        path = self.common_dir / "config"
        pygit2.Config(str(path))[name] = value

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
        return self.raw.get_attr(path, name)

    @cached_property
    def main(self) -> Layout:
        """The repository as its main work tree has it; itself, where this is no linked one."""
        if self.common_dir == self.git_dir:
            return self
        return Layout(pygit2.Repository(str(self.common_dir)))

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
