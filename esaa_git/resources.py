"""The folders that travel with the package: `hooks/` and `templates/`.

Both lie at the top level of a checkout, beside the package, where people look for them. A wheel
carries them inside the package, as `esaa_git/_data/hooks` and `esaa_git/_data/templates`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from esaa_git.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

ResourceKind = Literal["hooks", "templates"]

BEFORE = ".before-esaa"
"""What the name of a hook that was there before ours ends in; it runs first."""

DRY = "--check"
"""The one argument with which `git esaa hooks check` starts a hook; git never does."""

TRAVELS_WITH_LOG = "ESAA_TRAVELS_WITH_LOG"
"""Set for a `pre-push` that `git esaa push` starts, which pushes the log as well."""


def resource_path(kind: ResourceKind, *parts: str) -> Path:
    """Find a file or folder that came with `git-esaa`, however it was installed.

    Args:
        kind: which of the two folders.
        parts: the path below it, `resource_path("templates", "default")`.

    Returns:
        An absolute path that exists.

    Raises:
        ConfigurationError: the installation does not hold it.
    """
    # Imported here: a hook that has nothing to check need not wait for it.
    from pathlib import Path

    roots = _roots(Path(__file__).resolve().parent)
    candidates = [root.joinpath(kind, *parts) for root in roots]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    wanted = "/".join((kind, *parts))
    raise ConfigurationError(
        f"'{wanted}' is missing from this installation",
        cause=f"looked for {' and '.join(str(candidate) for candidate in candidates)}",
        hint="run 'python -m pip install --force-reinstall esaa-git', then repeat the command",
    )


def _roots(package: Path) -> list[Path]:
    """Where the folders may lie: the wheel's place first.

    The folder above an installed package is `site-packages`, which all packages share, so it is
    a candidate only where it is a checkout of ours.
    """
    roots = [package / "_data"]
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file():
        roots.append(checkout)
    return roots
