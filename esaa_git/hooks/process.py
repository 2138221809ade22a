"""A hook as a process: the hook that was there before, the checks, and what is printed.

Everything that is not a clean end of the checks is a refusal, whatever it was.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from esaa_git import __version__
from esaa_git.core.printable import visible
from esaa_git.errors import EsaaError
from esaa_git.hooks.deadline import Expired
from esaa_git.naming import start_again_in_utf8
from esaa_git.resources import BEFORE, DRY

Check = Callable[[list[str], bytes], None]


def run_hook(launcher: str, check: Check, rehearse: Callable[[], None], *, reads: bool) -> NoReturn:
    """Run a hook to its end and leave with its exit code: 0 where nothing is refused.

    Args:
        launcher: the path of the hook's file.
        check: takes the arguments and standard input; raises to refuse.
        rehearse: does everything that `check` needs, with nothing to check.
        reads: whether git writes to this hook's standard input.
    """
    code = 70
    start_again_in_utf8()
    try:
        code = _run(launcher, check, rehearse, reads)
    except EsaaError as error:
        code = error.exit_code
        _print(error.message, error.cause, error.hint)
    except Expired as expired:
        code = expired.refusal.exit_code
        _print(expired.refusal.message, expired.refusal.cause, expired.refusal.hint)
    except KeyboardInterrupt:
        code = 130
        _print("interrupted: nothing is taken", None, None)
    except Exception as error:
        if os.environ.get("ESAA_DEBUG"):
            import traceback

            traceback.print_exc()
        _print(
            f"a fault in git-esaa itself: {type(error).__name__}: {error}",
            None,
            "nothing is taken; repeat with ESAA_DEBUG=1 where the hook runs, and report it",
        )
    finally:
        # Whatever else happens on the way out, this is how it ends.
        _leave(code)


def _run(launcher: str, check: Check, rehearse: Callable[[], None], reads: bool) -> int:
    arguments = sys.argv[1:]
    if arguments == [DRY]:
        rehearse()
        sys.stdout.write(f"git-esaa {__version__} {sys.executable}\n")
        return 0
    data = sys.stdin.buffer.read() if reads else b""
    status = _run_before(launcher, arguments, data)
    if status == 0:
        check(arguments, data)
    return status


def _run_before(launcher: str, arguments: list[str], data: bytes) -> int:
    """Run the hook that was there before us, as git would have run it; return its exit status."""
    before = launcher + BEFORE
    if not os.access(before, os.X_OK):
        return 0
    import subprocess

    try:
        done = subprocess.run([before, *arguments], input=data, check=False)
    except OSError as error:
        if error.errno != 8:  # ENOEXEC: a script without a first line that names its shell
            raise
        done = subprocess.run(["sh", before, *arguments], input=data, check=False)
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def _print(message: str, cause: str | None, hint: str | None) -> None:
    lines = [f"error: {message}"]
    lines += [f"caused by: {cause}"] if cause else []
    lines += [f"hint: {hint}"] if hint else []
    # What was pushed is quoted in them, and ends on the pusher's terminal.
    text = "".join(visible(line, keep="") + "\n" for line in lines)
    sys.stderr.buffer.write(text.encode("utf-8", "backslashreplace"))


def _leave(code: int) -> NoReturn:
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        # Skips what Python would tidy up, which takes longer than the checks of a small push.
        os._exit(code)
