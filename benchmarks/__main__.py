"""What is fast, against what: `python -m benchmarks`, or `make bench`.

How to read the table
---------------------

Every line compares two things that were done in turn within this run, so it holds on a slow or
busy machine too. `measured` is ours and `limit` is what we hold it against: the same objects
written bare, the same signatures checked and nothing else, the same log shorter, or another
program. Both are medians. `ratio` divides them: less is better, `allowed` is what we promise, and
`verdict` says whether it held. The figures in brackets are the quartiles of the ratio from pair to
pair: where they lie far apart the machine was busy, and the run should be repeated on a quiet one.

A line without a promise says `-`. A line that could not be measured here says why. Nothing here
fails a build, and the tests assert no timing.

The same figures, with their environment, are in `benchmarks/results/latest.json`.

    python -m benchmarks                    everything, the better part of an hour on two cores
    python -m benchmarks --quick            small sizes, to see that it runs
    python -m benchmarks --only append      one subject; repeatable
    python -m benchmarks --only soak --minutes 10   kills at random under load, only by name
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.harness import Row
    from benchmarks.workshop import Workshop

SUBJECTS = (
    "append",
    "verify",
    "transfer",
    "hooks",
    "keyless",
    "commands",
    "dispatch",
    "parallel",
    "workers",
    "disk",
    "durability",
    "policy",
    "peer",
)
BY_NAME = ("soak", "refs")
"""Subjects that are measured only when they are named: the one takes as long as it is told, the
other is what a decision rests on (docs/decisions/0041-refs-are-a-port.md)."""

RESULTS = Path(__file__).resolve().parent / "results" / "latest.json"


def main() -> int:
    """Measure, print the table and write the JSON."""
    options = _options()
    outer = dict(os.environ)
    base = Path(options.folder or tempfile.gettempdir())
    with _scratch(base) as folder, _in_memory() as memory:
        _seal(folder)
        # Only now: libgit2 reads HOME when it is loaded.
        from benchmarks.harness import Table, say
        from benchmarks.workshop import QUICK, Sizes, Workshop

        sizes = QUICK if options.quick else Sizes()
        if options.minutes is not None:
            sizes = replace(sizes, soak_seconds=60 * options.minutes)
        shop = Workshop(folder, sizes, outer, memory)
        table = Table()
        try:
            for name in options.only or SUBJECTS:
                say(f"{name} ...")
                begun = perf_counter()
                measure: Callable[[Workshop], Iterator[Row]]
                measure = import_module(f"benchmarks.{name}").measure
                for row in measure(shop):
                    table.rows.append(row)
                table.seconds[name] = round(perf_counter() - begun, 1)
        finally:
            # What was measured is worth having, also where a later subject fails.
            table.write(options.output, quick=options.quick)
            print(table.text())
        took = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in table.seconds.items())
        print(f"\n{took}; written to {options.output}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure git-esaa against its limits; every figure is a ratio within one run.",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, in half a minute")
    parser.add_argument(
        "--only",
        action="append",
        choices=SUBJECTS + BY_NAME,
        metavar="NAME",
        help=f"one subject, repeatable: {', '.join(SUBJECTS)}; only by name: {', '.join(BY_NAME)}",
    )
    parser.add_argument(
        "--output", type=Path, default=RESULTS, metavar="FILE", help="where the JSON goes"
    )
    parser.add_argument(
        "--minutes", type=float, metavar="N", help="how long 'soak' goes on; by default two"
    )
    parser.add_argument(
        "--folder", metavar="DIR", help="where repositories are made; by default TMPDIR"
    )
    return parser.parse_args()


@contextmanager
def _scratch(base: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="git-esaa-bench-", dir=base)).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _in_memory() -> Iterator[Path | None]:
    shared = Path("/dev/shm")
    # A container may give it 64 MB, and a log of 100,000 events takes some 300.
    if not os.access(shared, os.W_OK) or shutil.disk_usage(shared).free < 2 << 30:
        yield None
        return
    with _scratch(shared) as folder:
        yield folder


def _seal(folder: Path) -> None:
    """Have git and libgit2 know nothing of the person who measures."""
    home = folder / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        del os.environ[name]
    # What a disk takes to be sure of something is measured by itself, in `durability`.
    (home / ".gitconfig").write_text("[esaa]\n\tsync = unsafe-none\n")
    os.environ.update(
        HOME=str(home),
        XDG_CONFIG_HOME=str(home / ".config"),
        GIT_CONFIG_NOSYSTEM="1",
        LC_ALL="C.UTF-8",
    )


if __name__ == "__main__":
    sys.exit(main())
