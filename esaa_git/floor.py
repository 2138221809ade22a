"""What no repository's word gets, whatever its user agreed to: keys, credential stores, agents.

A path is judged by where it leads (symlinks, `..` and `~user` resolved), and one that holds such a
place is as closed as the place itself.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

from esaa_git.folders import config_folder

OWN_VARIABLES: Final = ("HOME", "TMPDIR")
"""Variables that a program has of its own, so that nobody's are passed on."""

_AGENTS: Final = (
    "SSH_AUTH_SOCK",
    "SSH_AGENT_PID",
    "SSH_ASKPASS",
    "SUDO_ASKPASS",
    "GPG_AGENT_INFO",
    "GNUPGHOME",
    "GNOME_KEYRING_CONTROL",
    "GNOME_KEYRING_PID",
    "DBUS_SESSION_BUS_ADDRESS",
    "DBUS_SESSION_BUS_PID",
    "DBUS_SYSTEM_BUS_ADDRESS",
    "DBUS_STARTER_ADDRESS",
    "XDG_RUNTIME_DIR",
    "DOCKER_HOST",
    "CONTAINER_HOST",
)
"""Variables that name an agent's or a bus's socket, or the folder that it lies in."""

_PREFIXES: Final = ("ESAA_", "GIT_")
"""Of variables that are git's and ours to set, or lead to a person's keys and repositories."""

_ANYWHERE: Final = (".ssh", ".gnupg")
"""Folders that are closed in whoever's home they lie."""

_IN_HOME: Final = (
    # keys, passwords, sessions
    ".ssh",
    ".gnupg",
    ".password-store",
    ".pki",
    ".vault-token",
    ".1password",
    ".op",
    ".config/op",
    ".config/1Password",
    ".config/Bitwarden",
    ".config/Bitwarden CLI",
    ".config/keepassxc",
    ".config/sops",
    ".config/age",
    ".local/share/keyrings",
    ".gnome2/keyrings",
    ".local/share/kwalletd",
    ".kde/share/apps/kwallet",
    ".Xauthority",
    ".ICEauthority",
    "Library/Keychains",
    # git and forges
    ".git-credentials",
    ".config/git/credentials",
    ".git-credential-cache",
    ".cache/git/credential",
    ".config/gh",
    ".config/hub",
    ".config/glab-cli",
    ".config/tea",
    ".netrc",
    "_netrc",
    ".authinfo",
    ".authinfo.gpg",
    # clouds and clusters
    ".aws",
    ".azure",
    ".config/gcloud",
    ".boto",
    ".gsutil",
    ".s3cfg",
    ".oci",
    ".kube",
    ".docker",
    ".config/containers",
    ".config/helm",
    ".config/doctl",
    ".config/hcloud",
    ".config/rclone",
    ".config/heroku",
    ".fly",
    ".databrickscfg",
    ".snowflake",
    ".terraform.d",
    ".terraformrc",
    ".pulumi",
    ".minikube",
    ".ansible/vault",
    ".vault",
    # registries of packages
    ".npmrc",
    ".yarnrc",
    ".yarnrc.yml",
    ".pypirc",
    ".config/pip",
    ".pip",
    ".config/pypoetry",
    ".config/uv/credentials",
    ".local/share/uv/credentials",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".local/share/gem/credentials",
    ".bundle",
    ".composer/auth.json",
    ".config/composer/auth.json",
    ".m2/settings.xml",
    ".m2/settings-security.xml",
    ".gradle/gradle.properties",
    ".nuget",
    ".config/NuGet",
    ".config/hex",
    ".hex",
    ".sbt/.credentials",
    ".ivy2/.credentials",
    ".cache/huggingface/token",
    ".huggingface",
    # databases and mail
    ".pgpass",
    ".my.cnf",
    ".mylogin.cnf",
    ".mongorc.js",
    ".config/msmtp",
    ".msmtprc",
    ".fetchmailrc",
    # browsers keep sessions and passwords
    ".mozilla",
    ".thunderbird",
    ".config/google-chrome",
    ".config/chromium",
    ".config/BraveSoftware",
    ".config/microsoft-edge",
    ".config/vivaldi",
    "snap/firefox",
    "snap/chromium",
    "Library/Application Support/Firefox",
    "Library/Application Support/Google/Chrome",
    "Library/Cookies",
)

_NAMED: Final = (
    "GNUPGHOME",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AZURE_CONFIG_DIR",
    "CLOUDSDK_CONFIG",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "BOTO_CONFIG",
    "KUBECONFIG",
    "DOCKER_CONFIG",
    "REGISTRY_AUTH_FILE",
    "GH_CONFIG_DIR",
    "GLAB_CONFIG_DIR",
    "NETRC",
    "PGPASSFILE",
    "NPM_CONFIG_USERCONFIG",
    "PIP_CONFIG_FILE",
    "KRB5CCNAME",
    "XAUTHORITY",
    "PASSWORD_STORE_DIR",
    "VAULT_TOKEN_PATH",
    "SSH_AUTH_SOCK",
    "XDG_RUNTIME_DIR",
)
"""Variables that say where a store or a socket lies, where it is not in its usual place."""

_SYSTEM: Final = (
    "/run/user",
    "/run/dbus",
    "/run/docker.sock",
    "/run/containerd",
    "/run/podman",
    "/run/secrets",
    "/var/run/secrets",
    "/etc/shadow",
    "/etc/ssh",
    "/etc/ssl/private",
    "/etc/krb5.keytab",
)


def variable_fault(name: str) -> str | None:
    """Return why a variable is never passed on by a repository's word, or None.

    The case does not count: some systems make no difference.
    """
    upper = name.upper()
    if upper in OWN_VARIABLES:
        return "an agent has a home of its own"
    if upper in _AGENTS:
        return "it leads to an agent that holds your keys, or to your session"
    if upper.startswith(_PREFIXES):
        return "it is git's or git-esaa's own, and may lead to keys and repositories"
    return None


def path_fault(path: Path, more: Iterable[Path] = ()) -> str | None:
    """Return why nothing of a repository's choosing may read a path, or None.

    Args:
        more: places that are closed as well, such as the keys that a repository's settings name.
    """
    real = _real(path)
    for name in _ANYWHERE:
        if name in (part.casefold() for part in real.parts):
            return f"it lies in '{name}'"
    around, above = {real, *real.parents}, _identities(real)
    places = (*_places(os.environ, _homes(path)), *map(_real, more))
    for place, identity in _identified(places):
        if place in around:
            return f"it lies in '{place}', which holds keys or credentials"
        if place.is_relative_to(real):
            return f"'{place}' lies in it, which holds keys or credentials"
        # A bind mount or a file system without case gives one folder several names.
        if identity is not None and identity in above:
            return f"it is '{place}' by another name, which holds keys or credentials"
    return None


def _identified(places: Iterable[Path]) -> Sequence[tuple[Path, tuple[int, int] | None]]:
    return [(place, _identity(place)) for place in places]


@lru_cache(maxsize=256)
def is_open(path: Path) -> bool:
    """Answer whether a place that programs are installed in holds no keys; asked once a process."""
    return path_fault(path) is None


def _homes(path: Path) -> tuple[Path, ...]:
    """Return the homes that count: the user's by both names, and that of `~user` in the path."""
    found = [Path.home()]
    with suppress(KeyError):
        found.append(Path(pwd.getpwuid(os.getuid()).pw_dir))
    first = path.parts[0] if path.parts else ""
    if first.startswith("~") and len(first) > 1:
        with suppress(KeyError):
            found.append(Path(pwd.getpwnam(first[1:]).pw_dir))
    return tuple(home for home in dict.fromkeys(found) if home != Path("/"))


def _places(environ: Mapping[str, str], homes: Sequence[Path]) -> Iterator[Path]:
    config = config_folder()
    if config is not None:
        yield _real(config)
    for home in homes:
        yield from (_real(home / name) for name in _IN_HOME)
    for variable, folder in (("XDG_CONFIG_HOME", ".config/"), ("XDG_DATA_HOME", ".local/share/")):
        base = environ.get(variable, "")
        if Path(base).is_absolute():
            for name in _IN_HOME:
                if name.startswith(folder):
                    yield _real(Path(base) / name.removeprefix(folder))
    if (base := environ.get("CARGO_HOME", "")) and Path(base).is_absolute():
        yield from (_real(Path(base) / name) for name in ("credentials", "credentials.toml"))
    for variable in _NAMED:
        for name in environ.get(variable, "").removeprefix("FILE:").split(os.pathsep):
            if Path(name).is_absolute():
                yield _real(Path(name))
    for part in environ.get("DBUS_SESSION_BUS_ADDRESS", "").split(","):
        place = part.partition("path=")[2]
        if place.startswith("/"):
            yield _real(Path(place))
    yield from (_real(Path(name)) for name in _SYSTEM if os.path.lexists(name))


def _real(path: Path) -> Path:
    """Return where a path leads, as far as it exists."""
    with suppress(RuntimeError):  # no home of that name
        path = path.expanduser()
    return Path(os.path.realpath(path))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    # A device such as /dev/null may stand for a store that is switched off.
    is_plain = stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)
    return (found.st_dev, found.st_ino) if is_plain else None


def _identities(path: Path) -> set[tuple[int, int]]:
    found = (_identity(place) for place in (path, *path.parents))
    return {identity for identity in found if identity is not None}
