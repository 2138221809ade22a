"""Record the snapshots anew: `python -m tests.snapshots.record [--into FOLDER] [GROUP...]`.

Read the difference before you commit it: it is what users see and what is stored. `--bundle`
writes the kept repository anew, which is for a new format alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.snapshots.world import World, pin

EXPECTED = Path(__file__).with_name("expected")


def main() -> None:
    pin()
    from tests.snapshots.bundle import write
    from tests.snapshots.groups import GROUPS

    parser = argparse.ArgumentParser(prog="python -m tests.snapshots.record", description=__doc__)
    parser.add_argument("--into", type=Path, default=EXPECTED, help="where the files go")
    parser.add_argument("--bundle", action="store_true", help="write the kept repository, no more")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
    chosen = parser.parse_args()
    if unknown := set(chosen.groups) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    if not chosen.bundle and len(chosen.groups) != 1:
        # One process a group: what one leaves behind in the process is no part of the next.
        for name in chosen.groups or GROUPS:
            command = [sys.executable, "-m", "tests.snapshots.record", "--into", chosen.into, name]
            subprocess.run(command, check=True)
        return
    into = chosen.into.resolve()
    with tempfile.TemporaryDirectory(prefix="esaa-snapshot-") as folder:
        world = World(Path(folder))
        if chosen.bundle:
            write(world)
            return
        (name,) = chosen.groups
        GROUPS[name](world)
    into.mkdir(exist_ok=True)
    (into / f"{name}.txt").write_text("".join(world.lines), encoding="utf-8")


if __name__ == "__main__":
    main()
