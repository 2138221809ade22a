"""Workers on one plan over smart HTTP: what a transaction takes, and whether all get their share.

Every worker is a process in a clone of its own; the server is git http-backend behind nginx on
loopback, with the hook of `git esaa hooks install`. Agents answer at once, so the workers do
nothing but race each other: the worst case. With agents that take minutes nobody ever meets.
Server and workers share this machine's cores, which on a real network they would not.

A transaction is a push, and an attempt takes two: one opens it, one closes it with its effect. The
time is taken from the events, from the first attempt to the last one done, so that starting
processes and the audit at the end do not count. The limit is what one worker takes alone; for that
one it is `git push` of one empty commit to the same server, which runs the hook as well. The note
says how many tasks each worker has done, and Jain's index of that: 1 where all have done as many,
1/n where one of n has done it all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import Row, skipped, timed
from benchmarks.programs import ROOT
from benchmarks.workshop import Workshop

SUBJECT = "workers over smart HTTP"
MS = 1e3
PUSHES = 7
PROGRAMS = {"nginx": "nginx-light", "fcgiwrap": "fcgiwrap"}


def measure(shop: Workshop) -> Iterator[Row]:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
    missing = [f"{name} (Debian: {PROGRAMS[name]})" for name in PROGRAMS if not _find(name, path)]
    if missing:
        yield skipped(SUBJECT, "a transaction", f"not installed: {', '.join(missing)}")
        return
    with _person():
        alone, _, push = _race(shop, 1)
        yield Row(SUBJECT, "1 worker, a transaction / git push", "ms", alone * MS, push * MS)
        for number in shop.sizes.workers:
            each, shares, _ = _race(shop, number)
            name = f"{number} workers, a transaction / 1 worker"
            yield Row(SUBJECT, name, "ms", each * MS, alone * MS, note=_fairness(shares))


@contextmanager
def _person() -> Iterator[None]:
    """Have git know somebody meanwhile, in every clone and on the server."""
    place = Path.home() / ".gitconfig"
    place.write_text(
        "[user]\n\tname = Bench\n\temail = bench@example.com\n[init]\n\tdefaultBranch = main\n"
    )
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)  # for the hook, which git-http-backend starts
    try:
        yield
    finally:
        place.unlink()
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


def _find(name: str, path: str) -> bool:
    return shutil.which(name, path=path) is not None


def _race(shop: Workshop, number: int) -> tuple[float, list[int], float]:
    """Have so many workers carry out a plan.

    Returns the seconds of a transaction, how many tasks each has done, and the seconds of a push.
    """
    from tests.servers.conftest import _web
    from tests.support.workers import Fleet, fleet

    folder = shop.place(f"workers-{number}")
    (folder / "server").mkdir(parents=True)
    # The socket of the server before must not be taken for this one's.
    (Path.home() / f"fcgi-{os.getpid()}").unlink(missing_ok=True)
    with ExitStack() as stack:
        server = _web(folder / "server", stack)

        def serve(repository: Path) -> str:
            place = server.root / "shared.git"
            shutil.move(repository, place)
            repository.symlink_to(place)
            return f"{server.url}/shared.git"

        tasks = shop.sizes.shared_tasks
        made: Fleet = stack.enter_context(
            fleet(folder, _git, clones=number, tasks=tasks, serve=serve)
        )
        workers = [made.start(one) for one in range(number)]
        said = [worker.ends() for worker in workers]
        if any(status for status, _ in said):
            raise RuntimeError(f"a worker failed: {said}")
        events = made.settle()
        push = median(_push(made.clones[0].path) for _ in range(PUSHES)) if number == 1 else 0.0
    shop.clear(folder)
    return _each(events, tasks), [text.count("done    ") for _, text in said], push


def _each(events: Sequence[Mapping[str, Any]], tasks: int) -> float:
    moments = [
        datetime.fromisoformat(event["ts"])
        for event in events
        if event["action"] == "attempt.create"
        or (event["action"] == "task.update" and event["payload"]["to"] == "done")
    ]
    return (moments[-1] - moments[0]).total_seconds() / (2 * tasks - 1)


def _push(folder: Path) -> float:
    _git(folder, "commit", "--quiet", "--allow-empty", "--message", "Nothing")
    return timed(lambda: _git(folder, "push", "--quiet", "origin", "HEAD:refs/heads/measured"))


def _fairness(shares: Sequence[int]) -> str:
    squares = sum(share * share for share in shares)
    index = sum(shares) ** 2 / (len(shares) * squares)
    done = ", ".join(str(share) for share in sorted(shares, reverse=True))
    return f"tasks by worker: {done}; Jain's index {index:.2f}"


def _git(
    folder: Path,
    *arguments: str,
    stdin: str | bytes | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    data = stdin.encode() if isinstance(stdin, str) else stdin
    variables = {**os.environ, **(env or {})}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, input=data, env=variables, capture_output=True, check=True
    )
    return done.stdout.decode().rstrip("\n")
