"""`git esaa` as a process of its own that starts in milliseconds: forked, with all imported.

What it is given, its streams, its signals and its end are those of the real command; what is
spared is the start of Python. Tests about that start it with `sys.executable`.
"""

from __future__ import annotations

import atexit
import faulthandler
import gc
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from esaa_git.cli.main import COMMANDS, main
from tests.support import streams

for _place in COMMANDS.values():
    import_module(f"esaa_git.cli.{_place.partition(':')[0]}")

Before = Callable[[], object]


def start(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    before: Before | None = None,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start `git esaa` with these arguments.

    Args:
        env: its environment, as `subprocess.Popen` takes it; so are the other options.
        before: called in the new process before the command begins.
    """
    command = ["git-esaa", *map(str, arguments)]
    environ = dict(os.environ if env is None else env)
    # What is called before the program is executed never returns, so none is.
    options["preexec_fn"] = lambda: _live(command, environ, before)
    return subprocess.Popen(command, env=environ, **options)


def _live(command: list[str], environ: dict[str, str], before: Before | None) -> NoReturn:
    code = 70
    try:
        _begin_anew(command, environ)
        if before is not None:
            before()
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        # Threads of the process that we were forked from do not exist here: nobody waits for them.
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _begin_anew(command: list[str], environ: dict[str, str]) -> None:
    """Be as a Python that was just started."""
    faulthandler.disable()
    # What is garbage of the parent's would close descriptors that are ours by then.
    gc.freeze()
    gc.enable()
    # Among them is the one that our parent waits for.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    atexit._clear()
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    sys.argv = command
    streams.reopen()
