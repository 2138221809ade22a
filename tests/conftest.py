"""What every test stands on: a git that knows nothing of the person who runs the tests."""

from __future__ import annotations

import compileall
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import hypothesis
import pytest
import pytest_timeout

from tests.support import patience, thoroughness

# Tests are not there to wait for disks; those that are about that ask for it (tests/faults).
GITCONFIG = """\
[esaa]
	sync = unsafe-none
[user]
	name = Test Person
	email = person@example.com
[init]
	defaultBranch = main
[commit]
	gpgsign = false
[tag]
	gpgsign = false
[gc]
	auto = 0
[maintenance]
	auto = false
[receive]
	autogc = false
"""

PACKAGE = Path(__file__).resolve().parents[1] / "esaa_git"

# The first commit of the `repo` fixture has the same id in every run.
FIRST_COMMIT_DATE = "2026-01-01T00:00:00+00:00"

# A timing is never asserted, so no deadline and no complaint about a slow machine.
for profile, derandomize, number in (
    ("local", False, thoroughness.DEFAULT),
    ("ci", True, thoroughness.DEFAULT),
    ("full", False, thoroughness.FULL),
):
    hypothesis.settings.register_profile(
        profile,
        max_examples=number,
        deadline=None,
        derandomize=derandomize,
        print_blob=True,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
hypothesis.settings.load_profile("ci" if os.environ.get("CI") == "true" else "local")

_outer_environ = pytest.StashKey[dict[str, str]]()
_home = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


class Git(Protocol):
    """Runs git in a folder; what it prints comes back without the last line's end."""

    def __call__(
        self,
        folder: Path,
        *arguments: str,
        stdin: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str: ...


class GitFailed(Exception):
    """git ended with an error; the message is what it said."""

    def __init__(self, arguments: tuple[str, ...], status: int, stderr: str) -> None:
        super().__init__(f"git {' '.join(arguments)}: exit status {status}\n{stderr}")
        self.status = status
        self.stderr = stderr


# ---------------------------------------------------------------------------------- sealing git
#
# For the whole process and before the first test module is imported: libgit2 looks for its
# configuration once, when it is loaded.


def pytest_configure(config: pytest.Config) -> None:
    # A worker of pytest-xdist starts in the sealed environment, and is told of the outer one.
    workerinput = getattr(config, "workerinput", {"outer_environ": dict(os.environ)})
    config.stash[_outer_environ] = workerinput["outer_environ"]
    # Not below pytest's own folder: sockets live in a home, and their paths must stay short.
    config.stash[_home] = tempfile.TemporaryDirectory(prefix="esaa-")
    _replace_environ(_sealed(os.environ, home=Path(config.stash[_home].name)))
    _seal_libgit2()
    _heed_signals()
    if not hasattr(config, "workerinput"):
        # Once, for the hundreds of processes that tests start: also where the environment keeps
        # Python from writing bytecode, each of them would compile the package anew.
        compileall.compile_dir(PACKAGE, quiet=2)


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> Any:
    """Give every test longer where the machine is busy; see `tests.support.patience`."""
    longer = settings._replace(timeout=patience.patience(settings.timeout))
    return pytest_timeout.pytest_timeout_set_timer(item, longer)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: a third of the time tests wait, for leases and disks."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Called by pytest-xdist, in the process that starts the workers."""
    node.workerinput["outer_environ"] = node.config.stash[_outer_environ]


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Have workers import test modules in an order of their own, and share what that compiles.

    Each would compile all of them, asserts rewritten, which takes longer than to import them. So
    each begins elsewhere, writes its bytecode, and finds that of the others.
    """
    workerinput = getattr(session.config, "workerinput", None)
    if workerinput is None:
        return
    root = session.config.rootpath
    folders = [place for place in map(root.joinpath, session.config.args) if place.is_dir()]
    modules = sorted(file for folder in folders for file in folder.rglob("test_*.py"))
    number = int(workerinput["workerid"].removeprefix("gw"))
    first = len(modules) * number // workerinput["workercount"]
    keeps, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    for module in modules[first:] + modules[:first]:
        # What cannot be imported, or is skipped, is told when it is collected.
        with suppress(Exception, pytest.skip.Exception):
            import_module(".".join(module.relative_to(root).with_suffix("").parts))
    sys.dont_write_bytecode = keeps


def pytest_unconfigure(config: pytest.Config) -> None:
    _replace_environ(config.stash[_outer_environ])
    config.stash[_home].cleanup()


def _sealed(environ: Mapping[str, str], *, home: Path) -> dict[str, str]:
    """The environment with a home of its own and nothing that would reach git, ssh or gpg."""
    gitconfig = home / ".gitconfig"
    gitconfig.write_text(GITCONFIG, encoding="utf-8")
    xdg_config = home / ".config"
    xdg_config.mkdir()
    leftovers = {"EDITOR", "EMAIL", "GNUPGHOME", "LANGUAGE", "SSH_AGENT_PID", "SSH_ASKPASS"}
    leftovers |= {"SSH_AUTH_SOCK", "VISUAL"}
    kept = {
        name: value
        for name, value in environ.items()
        if name == patience.VARIABLE
        or (name not in leftovers and not name.startswith(("ESAA_", "GIT_", "LC_", "XDG_")))
    }
    # Programs of tests begin with '#!' and this interpreter; one that is not on PATH is read by a
    # confined program only where somebody agreed to that.
    own = os.path.dirname(sys.executable)  # noqa: PTH120 - links are part of the name
    return kept | {
        "PATH": os.pathsep.join([own, environ.get("PATH", os.defpath)]),
        "GIT_CONFIG_GLOBAL": str(gitconfig),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "XDG_CONFIG_HOME": str(xdg_config),
    }


def _replace_environ(environ: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()


def _heed_signals() -> None:
    """Have the programs that tests start heed signals, also under nohup(1) or a shell's `&`.

    What a process ignores is ignored in all that it starts. What it handles is not, so a handler
    keeps us alive where we were meant to stay alive, and leaves our children as they should be.
    """
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _seal_libgit2() -> None:
    """Say to libgit2, which may be loaded already and reads no GIT_CONFIG_*, what git was told."""
    import pygit2
    from pygit2.enums import ConfigLevel

    paths = {
        ConfigLevel.SYSTEM: "",
        ConfigLevel.XDG: os.environ["XDG_CONFIG_HOME"],
        ConfigLevel.GLOBAL: os.environ["HOME"],
    }
    for level, path in paths.items():
        pygit2.settings.search_path[level] = path


@pytest.fixture(scope="session", autouse=True)
def sealed_home() -> Path:
    """The home folder that tests may fill; git's configuration in it is the one above."""
    return Path(os.environ["HOME"])


@pytest.fixture(scope="session")
def outer_environ(pytestconfig: pytest.Config) -> dict[str, str]:
    """The environment of the person who runs the tests, for the few that install packages."""
    return pytestconfig.stash[_outer_environ].copy()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, which a test leaves as empty as it was."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


# ---------------------------------------------------------------------------------- repositories


@pytest.fixture(scope="session")
def git() -> Git:
    """`git(repo, "log", "--oneline")` returns what git prints, and raises what it complains of."""
    return _git


def _git(
    folder: Path,
    *arguments: str,
    stdin: str | bytes | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        input=stdin.encode() if isinstance(stdin, str) else stdin or b"",
        capture_output=True,
        env={**os.environ, **(env or {})},
        check=False,
    )
    if done.returncode:
        raise GitFailed(arguments, done.returncode, done.stderr.decode(errors="replace"))
    return done.stdout.decode(errors="surrogateescape").removesuffix("\n")


@pytest.fixture
def repo(tmp_path: Path, git: Git) -> Path:
    """A repository with `main` checked out and one commit, whose id never changes."""
    path = tmp_path / "repo"
    git(tmp_path, "init", "--quiet", str(path))
    (path / "README.md").write_text("# Example\n", encoding="utf-8")
    git(path, "add", "README.md")
    dates = {"GIT_AUTHOR_DATE": FIRST_COMMIT_DATE, "GIT_COMMITTER_DATE": FIRST_COMMIT_DATE}
    git(path, "commit", "--quiet", "--message", "Start", env=dates)
    return path
