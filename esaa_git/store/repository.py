"""Opening a repository, and refusing in one sentence those that we cannot serve."""

from __future__ import annotations

import os
import shlex
from functools import cached_property
from pathlib import Path

import pygit2

from esaa_git.core import refnames
from esaa_git.errors import ConfigurationError, CorruptedError, RepositoryError
from esaa_git.faults import Point, reach
from esaa_git.naming import require_utf8
from esaa_git.store.durability import SETTING, prepare, sync_mode
from esaa_git.store.layout import Layout, Places, common_dir, find
from esaa_git.store.loose import LooseObjects, decode_loose, object_folders
from esaa_git.store.objects import MalformedObject, TooLarge, object_id
from esaa_git.store.program import GitFailed
from esaa_git.store.promisor import Promisor, errors_as_raised, promisors

_FSCK = (
    "run 'git esaa doctor --repair' to set damaged objects aside, then 'git fsck' for what is "
    "missing and 'git fetch' to bring it back"
)


class MissingObject(CorruptedError, KeyError):
    """An object that is named somewhere is not in the repository; as a KeyError, it has the id."""

    def __init__(self, oid: str) -> None:
        super().__init__(
            f"object {oid} is missing", cause="no file and no pack holds it", hint=_FSCK
        )
        self.args = (oid,)

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[object, ...]:
        return (MissingObject, self.args)


class DamagedObject(CorruptedError, MalformedObject):
    """An object is stored, and what is stored is not it."""


class Repository(Layout):
    """One repository on disk: where its parts are, and the object database in raw bytes."""

    def __init__(self, raw: pygit2.Repository, places: Places | None = None) -> None:
        super().__init__(raw, places)
        self.odb = raw.odb

    def ask_promisors(self) -> None:
        """Have what a partial clone left out fetched when it is read."""
        if promisors(self):
            self.odb = self.raw.odb
            self.odb.add_backend(Promisor(self, lambda: self.events_ref), -1)

    def let_packs_go(self) -> None:
        """Close all packs: libgit2 keeps those open that are gone, for ever."""
        self.raw.free()
        self.odb = self.raw.odb
        self.ask_promisors()

    @property
    def esaa_dir(self) -> Path:
        """Where what is derived or local lives; all but keys and the pin may be deleted."""
        return self.common_dir / "esaa"

    @property
    def events_ref(self) -> str:
        """The ref of the event log: `esaa.eventsRef`, or `refs/esaa/events`."""
        name = self.setting("esaa.eventsRef") or refnames.DEFAULT_LOG
        if not pygit2.reference_is_valid_name(name) or not name.startswith("refs/"):
            raise ConfigurationError(
                f"esaa.eventsRef '{name}' is not a full ref name",
                hint=f"run 'git config esaa.eventsRef {refnames.DEFAULT_LOG}'",
            )
        if not refnames.may_hold_log(name):
            raise ConfigurationError(
                f"esaa.eventsRef '{name}' is where other records are kept",
                hint=f"run 'git config esaa.eventsRef {refnames.BRANCHES}events' for a branch, "
                f"or {refnames.DEFAULT_LOG}",
            )
        return name

    def read(self, oid: str, most: int | None = None, /) -> tuple[int, bytes]:
        """Return (kind, content) of an object (a `Reader`).

        Raises:
            KeyError: if there is no such object.
            TooLarge: if it has more than `most` bytes.
        """
        if most is not None:
            _, size = self.odb.read_header(oid)
            if size > most:
                raise TooLarge(oid, size, most)
        return self.odb.read(oid)

    def put(self, kind: int, data: bytes) -> str:
        """Write an object and return its id (an `ObjectSink`).

        Raises:
            RepositoryError: if it cannot be kept (the disk is full, say).
        """
        try:
            self._make_way(object_id(kind, data))
            oid = str(self.odb.write(kind, data))
        except (OSError, pygit2.GitError) as error:
            raise RepositoryError(
                f"cannot write into '{self.common_dir / 'objects'}'",
                cause=str(error),
                hint="nothing was recorded; see that the disk has room and can be written, then "
                "repeat the command",
            ) from error
        reach(Point.OBJECT_WRITTEN)
        return oid

    def merge_commits(self, ours: str, theirs: str) -> pygit2.Index:
        """Return git's merge of two commits; nothing is written.

        Raises:
            RepositoryError: if a partial clone lacks what it takes, and its remote is away.
        """
        with errors_as_raised():
            return self.raw.merge_commits(pygit2.Oid(hex=ours), pygit2.Oid(hex=theirs))

    def merge_trees(
        self, ancestor: pygit2.Tree | str, ours: pygit2.Tree | str, theirs: pygit2.Tree | str
    ) -> pygit2.Index:
        """Return git's merge of two trees; nothing is written.

        Raises:
            RepositoryError: as `merge_commits`.
        """
        with errors_as_raised():
            return self.raw.merge_trees(ancestor, ours, theirs)

    def _make_way(self, oid: str) -> None:
        """Remove a damaged file from where an object is to be written.

        A power cut may leave an object's name with nothing behind it, and a writer of the
        object again believes the name (git does, and libgit2).
        """
        place = self.common_dir / "objects" / oid[:2] / oid[2:]
        if place.exists():
            try:
                decode_loose(oid, place.read_bytes())
            except MalformedObject:
                place.unlink(missing_ok=True)

    @cached_property
    def sync_mode(self) -> str:
        """How this repository is kept through a power cut (`esaa_git.store.durability`)."""
        return sync_mode(self.setting(SETTING))

    def ref_target(self, name: str) -> str | None:
        """Return the commit that a ref names directly, or None where it does not exist."""
        try:
            target = self.raw.lookup_reference(name).target
        except KeyError:
            return None
        return str(target)

    @property
    def gpg_program(self) -> str:
        """What git runs for OpenPGP here (gpg.program in git-config(1))."""
        return self.setting("gpg.program") or "gpg"

    def person(self) -> str:
        """Return the actor name of the person who types the command.

        `esaa.actor`, or the e-mail address of whom git takes for the author.

        Raises:
            ConfigurationError: if git does not know an e-mail address.
        """
        actor = self.setting("esaa.actor") or self.identity("author")[1]
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
        ConfigurationError: if this process would change the names of files.
    """
    require_utf8()
    folder = Path.cwd() if start is None else start
    try:
        places = find(folder, obeys=start is None)
    except GitFailed as error:
        raise _not_opened(folder, error) from error
    _refuse_unsupported(places.git_dir)
    return _opened(places)


def open_again(repository: Repository) -> Repository:
    """Open a repository once more, for another thread; git is not asked again where it is.

    Raises:
        RepositoryError: if it is gone.
    """
    return _opened(repository.places)


def _opened(places: Places) -> Repository:
    try:
        raw = places.again()
    except pygit2.GitError as error:
        raise RepositoryError(f"cannot open '{places.git_dir}'", cause=str(error)) from error
    repository = GuardedRepository(raw, places)
    prepare(repository.sync_mode)
    repository.ask_promisors()
    return repository


def _not_opened(folder: Path, error: GitFailed) -> RepositoryError:
    """Return in words why git finds no repository that it may use."""
    said = error.cause or ""
    if "not a git repository" in said:
        return RepositoryError(
            f"no git repository in '{folder}' or above it",
            hint="run 'git init' and make a first commit, or change to your repository",
        )
    found = pygit2.discover_repository(str(folder))
    if found is not None:
        _refuse_unsupported(Path(found))  # an older git does not know them either
    hint = None
    if "dubious ownership" in said and found is not None:
        top = shlex.quote(str(Path(found).resolve().parent))
        hint = f"if you trust who owns it, run 'git config --global --add safe.directory {top}'"
    return RepositoryError(f"git opens no repository in '{folder}'", cause=said, hint=hint)


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
    """A repository in which no damaged object keeps a reader waiting (`esaa_git.store.loose`)."""

    def __init__(self, raw: pygit2.Repository, places: Places | None = None) -> None:
        super().__init__(raw, places)
        self._loose = LooseObjects(object_folders(str(self.common_dir)))

    def read(self, oid: str, most: int | None = None, /) -> tuple[int, bytes]:
        """Return (kind, content) of an object.

        Raises:
            MissingObject: if there is no such object.
            TooLarge: if it has more than `most` bytes.
            DamagedObject: if what is stored is something else.
        """
        try:
            if oid[:2] in self._loose.prefixes:
                found = self._loose.read(oid, most)
                if found is not None:
                    return found
            return super().read(oid, most)
        except KeyError as error:
            raise MissingObject(oid) from error
        except TooLarge:
            raise
        except (MalformedObject, pygit2.GitError) as error:
            raise DamagedObject(f"object {oid} is damaged", cause=str(error), hint=_FSCK) from error


def _refuse_unsupported(git_dir: Path) -> None:
    """Refuse reftable and SHA-256 repositories, which libgit2 reads wrongly or not at all."""
    try:
        config = pygit2.Config(str(common_dir(git_dir) / "config"))
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
