"""The git program, for what libgit2 does not do, or does otherwise than git: filters, transports.

One function starts it, so that nothing leaks into it from outside: not the variables by which a
hook or an alias points git at another repository, not a hook, not an automatic gc that would
start in the middle of a run.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from esaa_git.errors import RepositoryError
from esaa_git.store.durability import git_settings

_SETTINGS = (
    "gc.auto=0",
    "maintenance.auto=false",
    f"core.hooksPath={os.devnull}",
    "core.fsmonitor=false",
)

# `git rev-parse --local-env-vars`, which is what git itself takes away before it enters another
# repository, without the two that carry `git -c`: those settings are the person's will. Then what
# would turn pathspecs, refs and attributes into other ones.
_REMOVED = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_QUARANTINE_PATH",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
        "GIT_ATTR_SOURCE",
        "GIT_GLOB_PATHSPECS",
        "GIT_ICASE_PATHSPECS",
        "GIT_LITERAL_PATHSPECS",
        "GIT_NAMESPACE",
        "GIT_NOGLOB_PATHSPECS",
    }
)

_ADDED = {
    # English messages for us to quote. Not LC_ALL: clean and smudge filters inherit it, and one
    # that sorts or converts would write other bytes for us than for the person.
    "LANGUAGE": "C",
    "LC_MESSAGES": "C",
    # git-replace(1) shows other objects than the ones that were signed.
    "GIT_NO_REPLACE_OBJECTS": "1",
    # Reading never takes a lock that a person's own command would trip over.
    "GIT_OPTIONAL_LOCKS": "0",
}

_CAUSE_LIMIT = 2000


class GitFailed(RepositoryError):
    """Git was started and ended with another status than 0.

    Attributes:
        output: what it had printed on standard output by then, where that was read.
    """

    output: bytes = b""


def run_git(
    folder: Path,
    *arguments: str,
    input: bytes | None = None,  # noqa: A002 - the name that subprocess gives it
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    holding: Sequence[int] = (),
    settings: bool = True,
    waits: bool = False,
) -> bytes:
    """Run git in the folder and return what it prints on standard output.

    Args:
        input: what git reads from standard input; nothing by default, never the terminal.
        env: variables set last, over what is taken away and added here.
        timeout: seconds after which git is ended, for what is only asked in passing.
        holding: open files that git keeps open for us: what is locked through them stays locked
            as long as git is at work, also where we are killed meanwhile.
        settings: whether settings of ours go before the person's; not where git is asked for those.
        waits: for somebody else, maybe for ever, so that Ctrl-C at the terminal ends it, also
            where we have that blocked to end our own work in good order.

    Raises:
        GitFailed: if git ends with another status than 0; the cause is what it said on standard
            error.
        RepositoryError: if it cannot be started, or took too long.
    """
    data = b"" if input is None else input
    streams: dict[str, Any] = {"stdin": subprocess.PIPE}
    if holding:
        streams["pass_fds"] = holding
    return _run(
        folder, arguments, env or {}, streams, data, timeout, settings=settings, waits=waits
    )


def stream_git(folder: Path, *arguments: str, source: IO[bytes], target: IO[bytes]) -> None:
    """Run git in the folder from one open file into another, whatever their size.

    Raises:
        RepositoryError: as `run_git` does.
    """
    _run(folder, arguments, {}, {"stdin": source, "stdout": target})


def _run(
    folder: Path,
    arguments: tuple[str, ...],
    env: Mapping[str, str],
    streams: dict[str, Any],
    data: bytes | None = None,
    timeout: float | None = None,
    *,
    settings: bool = True,
    waits: bool = False,
) -> bytes:
    command = ["git", "-C", str(folder)]
    for setting in (*_SETTINGS, *git_settings()) if settings else ():
        command += ["-c", setting]
    options = {
        "env": _environment(env),
        "stderr": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        **streams,
    }
    try:
        with _interrupts_unblocked(waits):
            process = subprocess.Popen([*command, *arguments], **options)
        output, said = _outcome(process, data, timeout)
    except OSError as error:
        raise RepositoryError(
            "cannot run 'git'",
            cause=f"{error.strerror or error}",
            hint="install git 2.36 or newer and see that PATH names its folder",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise RepositoryError(
            f"'git {_subcommand(arguments)}' was ended in '{folder}'",
            cause=f"no answer within {error.timeout:.0f} seconds",
        ) from error
    if process.returncode:
        words = said.decode(errors="replace").strip()[-_CAUSE_LIMIT:]
        failed = GitFailed(
            f"'git {_subcommand(arguments)}' failed in '{folder}'",
            cause=words or _ending(process.returncode),
        )
        failed.output = output or b""
        raise failed
    return output


def _outcome(
    process: subprocess.Popen[bytes], data: bytes | None, timeout: float | None
) -> tuple[bytes, bytes]:
    """Return both outputs of a process that has ended; one that is not waited for is killed."""
    with process:
        try:
            return process.communicate(data, timeout)
        except BaseException:
            process.kill()
            raise


@contextmanager
def _interrupts_unblocked(is_so: bool) -> Iterator[None]:
    """Let SIGINT through to a process that is started in the block (sigprocmask(2))."""
    if not is_so:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _environment(last: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _REMOVED}
    return {**kept, **_ADDED, **last}


def _subcommand(arguments: tuple[str, ...]) -> str:
    """Return the first word that is neither an option of git nor the value of one."""
    words = iter(arguments)
    for word in words:
        if word in ("-c", "-C"):
            next(words, None)
        elif not word.startswith("-"):
            return word
    return ""


def _ending(status: int) -> str:
    return f"ended by signal {-status}" if status < 0 else f"exit status {status}"
