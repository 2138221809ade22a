"""Record the snapshots anew: `python -m tests.snapshots.record [--into FOLDER] [GROUP...]`.

Read the difference before you commit it: it is what users see and what is stored.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.snapshots.world import World, pin

EXPECTED = Path(__file__).with_name("expected")


def main() -> None:
    pin()
    from tests.snapshots.groups import GROUPS

    parser = argparse.ArgumentParser(prog="python -m tests.snapshots.record", description=__doc__)
    parser.add_argument("--into", type=Path, default=EXPECTED, help="where the files go")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
    chosen = parser.parse_args()
    if unknown := set(chosen.groups) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    # One process a group: what one leaves behind in the process is no part of the next.
    if len(chosen.groups) != 1:
        _each(chosen.groups or list(GROUPS), chosen.into)
        return
    (name,) = chosen.groups
    into = chosen.into.resolve()
    with tempfile.TemporaryDirectory(prefix="esaa-snapshot-") as folder:
        world = World(Path(folder))
        try:
            GROUPS[name](world)
        finally:
            into.mkdir(exist_ok=True)
            (into / f"{name}.txt").write_text("".join(world.lines), encoding="utf-8")


def _each(names: list[str], into: Path) -> None:
    import subprocess

    for name in names:
        command = [sys.executable, "-m", "tests.snapshots.record", "--into", str(into), name]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
