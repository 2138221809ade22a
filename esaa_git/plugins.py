"""The loader of extensions: what a package that is installed beside this one brings.

An extension is an entry point (importlib.metadata) in one of our groups. What is built in is found
by a table of the same values, `module:name`, and always wins: no package can take the place of a
part of ours, and a command that uses what is built in reads no metadata.

An extension is a program of the person who installed it: it runs with all their rights. It is
loaded where it is used, and by nothing that verifies.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from esaa_git.errors import ConfigurationError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

API: Final = 1
"""The version of what extensions implement; it grows when an old extension could not work on."""

T = TypeVar("T")


class Door(Generic[T]):
    """One kind of extension: where it is registered, and what of it is built in.

    A plain class: commands that ask no agent import it, and a dataclass takes longer to make.

    Attributes:
        group: the entry-point group.
        noun: what one is called, for messages.
        kind: the class that an entry has to be an instance of; `api` of it is the version.
        built_in: values of our own entries by name, `module:name`.
    """

    __slots__ = ("built_in", "group", "kind", "noun")

    def __init__(self, group: str, noun: str, kind: type[T], built_in: Mapping[str, str]) -> None:
        self.group = group
        self.noun = noun
        self.kind = kind
        self.built_in = built_in

    def find(self, name: str) -> T | None:
        """Return the entry of this name, or None where neither we nor a package has one.

        Raises:
            ConfigurationError: if a package has one that cannot be loaded or used.
        """
        value = self.built_in.get(name)
        if value is not None:
            module, _, attribute = value.partition(":")
            found: T = getattr(import_module(module), attribute)
            return found
        entries = self._installed(name)
        if not entries:
            return None
        packages = sorted({_package(entry) for entry in entries})
        if len(packages) > 1:
            raise ConfigurationError(
                f"{self.noun} '{name}' is brought by several packages: {', '.join(packages)}",
                cause=f"each registers the name under '{self.group}'",
                hint=f"run 'python3 -m pip uninstall {packages[-1]}', or that of another",
            )
        return self._load(name, entries[0], packages[0])

    def names(self) -> list[str]:
        """Return the names of all that there are: the built-in ones, then those of packages."""
        ours = list(self.built_in)
        return ours + sorted({entry.name for entry in self._installed()} - set(ours))

    def package_of(self, name: str) -> str | None:
        """Return the package that brings the entry of this name, None for a built-in one."""
        if name in self.built_in:
            return None
        return next((_package(entry) for entry in self._installed(name)), None)

    def how_to_get(self, package: str | None) -> tuple[str, str]:
        """Return why a name is not to be found, and what helps.

        Args:
            package: the one that brings it, where that is known.
        """
        if package is None:
            cause = f"no package that is installed here brings it (group '{self.group}')"
            return cause, f"install the package that brings this {self.noun}"
        if _is_installed(package):
            cause = f"the package '{package}' is installed, and has it not under '{self.group}'"
            return cause, f"run 'python3 -m pip install --upgrade {package}'"
        cause = f"by this repository's word the package '{package}' brings it; it is not installed"
        hint = f"look at what it is, for it gets all your rights, then run 'pip install {package}'"
        return cause, hint

    def _installed(self, name: str | None = None) -> list[EntryPoint]:
        from importlib.metadata import entry_points  # 10 ms that nothing built in has to pay

        found = entry_points(group=self.group)
        return [entry for entry in found if name is None or entry.name == name]

    def _load(self, name: str, entry: EntryPoint, package: str) -> T:
        try:
            found = entry.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # it is not ours, and may fail in any way, or want to exit
            raise ConfigurationError(
                f"{self.noun} '{name}' of the package '{package}' cannot be loaded",
                cause=" ".join(f"{type(error).__name__}: {error}".split()),
                hint=f"run 'python3 -m pip install --upgrade {package}', or uninstall it",
            ) from error
        if not isinstance(found, self.kind):
            raise ConfigurationError(
                f"{self.noun} '{name}' of the package '{package}' cannot be used",
                cause=f"'{entry.value}' is of the type '{type(found).__name__}', and an entry of "
                f"'{self.group}' is '{self.kind.__module__}.{self.kind.__name__}'",
                hint=f"run 'python3 -m pip install --upgrade {package}', or uninstall it",
            )
        version = getattr(found, "api", None)
        if version != API:
            raise ConfigurationError(
                f"{self.noun} '{name}' of the package '{package}' cannot be used",
                cause=f"it is made for version {version} of the interface for extensions, and this "
                f"git-esaa has version {API}",
                hint=f"install a version of '{package}' that fits, or another one of git-esaa",
            )
        return found


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.module


def _is_installed(package: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
