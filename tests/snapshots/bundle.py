"""A repository that today's code wrote, kept as a bundle: what was stored has to stay readable.

The bundle is written once, by `python -m tests.snapshots.record --bundle`, and is not written anew
with the snapshots: it stands for the repositories that people have.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from tests.snapshots.history import ONE, build, result
from tests.snapshots.world import World, key_seed

BUNDLE: Final = Path(__file__).with_name("written.bundle")
KEPT: Final = "kept"


def write(world: World, place: Path = BUNDLE) -> None:
    """Write the whole history, every ref of it, into a bundle."""
    world.quietly(build)
    world.git(ONE, "repack", "-adfq", "--depth=50", "--window=500")
    world.git(ONE, "bundle", "create", "--quiet", str(place.resolve()), "--all")


def record(world: World) -> None:
    """Read the bundle as a clone of it would be read, and carry its log on."""
    world.heading("a clone of it")
    world.esaa(".", "clone", str(BUNDLE), "cloned")
    world.git(".", "init", "--quiet", KEPT)
    world.git(KEPT, "fetch", "--quiet", str(BUNDLE), "+refs/*:refs/kept/*")
    for line in world.git(KEPT, "for-each-ref", "--format=%(objectname) %(refname)").splitlines():
        oid, _, name = line.partition(" ")
        world.git(KEPT, "update-ref", name.replace("refs/kept/", "refs/", 1), oid)
        world.git(KEPT, "update-ref", "-d", name)
    world.git(KEPT, "reset", "--quiet", "--hard", "main")
    world.heading("what is in it")
    world.try_git(KEPT, "for-each-ref", "--format=%(objectname) %(refname)")
    world.try_git(KEPT, "fsck", "--strict", "--full", "--no-dangling", "--no-progress")
    world.heading("what is read from it")
    for words in (
        "verify --full --jobs 1",
        "verify --full --jobs 1 --json",
        "replay",
        "replay --json",
        "status",
        "status --json",
        "project --stdout",
        "export -",
        "export ../export --json",
        "log --oneline",
        "show T-2 --json",
        "task list --json",
        "issue list --all --json",
        "key list --json",
    ):
        world.esaa(KEPT, *words.split())
    world.heading("it is carried on with the keys that it was left with")
    for name, setting, nth in (("kept", "signingKey", 3), ("person", "approverKey", 2)):
        world.new_key(f"home/{name}", key_seed(nth), name)
        world.git(KEPT, "config", f"esaa.{setting}", str(world.path(f"home/{name}")))
    world.later(hours=3)
    world.write(f"{KEPT}/.roadmap/answers/T-10.json", json.dumps(result("T-10")))
    world.write(f"{KEPT}/.roadmap/answers/T-11.json", json.dumps(result("T-11")))
    world.esaa(KEPT, "task", "note", "T-10", "Carried on")
    world.esaa(KEPT, "run", "--json")
    world.esaa(KEPT, "verify", "--full", "--jobs", "1")
    world.try_git(KEPT, "for-each-ref", "--format=%(objectname) %(refname)")
