"""Opening a repository, and refusing in one sentence those that we cannot serve."""

from __future__ import annotations

import os
from pathlib import Path

import pygit2

from esaa_git.errors import ConfigurationError, RepositoryError

DEFAULT_EVENTS_REF = "refs/esaa/events"


class Repository:
    """One repository on disk: where its parts are, and the object database in raw bytes."""

    def __init__(self, raw: pygit2.Repository) -> None:
        self.raw = raw
        self.odb = raw.odb

    @property
    def git_dir(self) -> Path:
        """The `.git` of this worktree."""
        return Path(self.raw.path)

    @property
    def common_dir(self) -> Path:
        """The folder that all linked worktrees share: objects, refs, and our own `esaa/`."""
        marker = self.git_dir / "commondir"
        if marker.is_file():
            return (self.git_dir / marker.read_text().strip()).resolve()
        return self.git_dir

    @property
    def esaa_dir(self) -> Path:
        """Where what is derived or local lives; all but keys and the pin may be deleted."""
        return self.common_dir / "esaa"

    @property
    def workdir(self) -> Path | None:
        """The checkout, or None in a bare repository."""
        return None if self.raw.is_bare else Path(self.raw.workdir)

    @property
    def events_ref(self) -> str:
        """The ref of the event log: `esaa.eventsRef`, or `refs/esaa/events`."""
        name = self.setting("esaa.eventsRef") or DEFAULT_EVENTS_REF
        if not pygit2.reference_is_valid_name(name) or not name.startswith("refs/"):
            raise ConfigurationError(
                f"esaa.eventsRef '{name}' is not a full ref name",
                hint=f"run 'git config esaa.eventsRef {DEFAULT_EVENTS_REF}'",
            )
        return name

    def setting(self, name: str) -> str | None:
        """Return one value of the git configuration."""
        try:
            return str(self.raw.config[name])
        except KeyError:
            return None

    def set_local(self, name: str, value: str) -> None:
        """Write one value into the repository's own configuration."""
        path = self.common_dir / "config"
        pygit2.Config(str(path))[name] = value

    def unset_local(self, name: str) -> None:
        """Remove one value from the repository's own configuration, if it is there."""
        config = pygit2.Config(str(self.common_dir / "config"))
        if name in config:
            del config[name]

    def read(self, oid: str) -> tuple[int, bytes]:
        """Return (kind, content) of an object.

        Raises:
            KeyError: if there is no such object.
        """
        return self.odb.read(oid)

    def put(self, kind: int, data: bytes) -> str:
        """Write an object and return its id (an `ObjectSink`)."""
        return str(self.odb.write(kind, data))

    def ref_target(self, name: str) -> str | None:
        """Return the commit that a ref names directly, or None where it does not exist."""
        try:
            target = self.raw.lookup_reference(name).target
        except KeyError:
            return None
        return str(target)

    def person(self) -> str:
        """Return the actor name of whoever types the command: `esaa.actor`, or `user.email`.

        Raises:
            ConfigurationError: if git does not know an e-mail address.
        """
        actor = self.setting("esaa.actor") or self.setting("user.email")
        if not actor:
            raise ConfigurationError(
                "git does not know who you are",
                hint="run 'git config user.email you@example.com'",
            )
        return actor


def open_repository(start: Path | None = None) -> Repository:
    """Open the repository that holds the folder (the current one by default), as git finds it.

    Raises:
        RepositoryError: if there is none, or it is of a kind that libgit2 cannot serve.
    """
    folder = Path.cwd() if start is None else start
    explicit = os.environ.get("GIT_DIR") if start is None else None
    found = explicit or pygit2.discover_repository(str(folder))
    if found is None:
        raise RepositoryError(
            f"no git repository in '{folder}' or above it",
            hint="run 'git init' and make a first commit, or change to your repository",
        )
    _refuse_unsupported(Path(found))
    try:
        raw = pygit2.Repository(found)
    except pygit2.GitError as error:
        raise RepositoryError(f"cannot open '{found}'", cause=str(error)) from error
    return Repository(raw)


def open_in_hook() -> Repository:
    """Open the repository for which git started this hook, with the objects in quarantine.

    Raises:
        RepositoryError: as `open_repository` does.
    """
    # git has judged already whether the owner is to be trusted, and started us.
    pygit2.settings.owner_validation = False
    _refuse_unsupported(Path(os.environ.get("GIT_DIR", ".")))
    # libgit2 would look for all refs inside of it, and past `packed-refs`; callers write it out.
    namespace = os.environ.pop("GIT_NAMESPACE", None)
    try:
        raw = pygit2.Repository(".", pygit2.enums.RepositoryOpenFlag.FROM_ENV)
    except pygit2.GitError as error:
        raise RepositoryError("cannot open the repository", cause=str(error)) from error
    finally:
        if namespace is not None:
            os.environ["GIT_NAMESPACE"] = namespace
    return GuardedRepository(raw)


class GuardedRepository(Repository):
    """A repository read by a hook or an audit, which no damaged object keeps waiting."""

    def __init__(self, raw: pygit2.Repository) -> None:
        from esaa_git.git.loose import LooseObjects, object_folders

        super().__init__(raw)
        self._loose = LooseObjects(object_folders(str(self.common_dir)))

    def read(self, oid: str) -> tuple[int, bytes]:
        if oid[:2] in self._loose.prefixes:
            found = self._loose.read(oid)
            if found is not None:
                return found
        return self.odb.read(oid)


def _refuse_unsupported(git_dir: Path) -> None:
    """Refuse reftable and SHA-256 repositories, which libgit2 reads wrongly or not at all."""
    marker = git_dir / "commondir"
    common = (git_dir / marker.read_text().strip()) if marker.is_file() else git_dir
    try:
        config = pygit2.Config(str(common / "config"))
    except (OSError, pygit2.GitError):
        return
    for key, plain, name in (
        ("extensions.objectformat", "sha1", "object format"),
        ("extensions.refstorage", "files", "ref storage"),
    ):
        try:
            value = str(config[key]).lower()
        except KeyError:
            continue
        if value != plain:
            raise RepositoryError(
                f"this repository uses {name} '{value}', which git-esaa cannot serve",
                hint=f"use a repository with {name} '{plain}' (git's default)",
            )
