"""What is recorded: one group of calls a file, each on a history of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Final

from tests.snapshots import bundle, hooks, talk
from tests.snapshots.history import (
    LOG,
    MAIN,
    ONE,
    begin,
    build,
    first_run,
    result,
    second_run,
    write,
)
from tests.snapshots.world import World

_COMMAND: Final = re.compile(r"^  ([a-z][a-z-]*)(?: |$)")


def helps(world: World) -> None:
    """What each command says of itself, found by what the commands above it list."""
    world.path(ONE).mkdir()
    for path in _commands(world, ()):
        world.esaa(ONE, *path, "--help")
    world.esaa(ONE)
    world.esaa(ONE, "-h")
    world.esaa(ONE, "--version")
    world.esaa(ONE, "help")
    world.esaa(ONE, "help", "task", "add")
    world.esaa(ONE, "help", "nothing")


def _commands(world: World, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    shown: list[str] = []
    said = world.silent(ONE, *path, "--help").out.decode()
    _, _, listed = said.partition("\nCommands:\n")
    for line in listed.splitlines():
        if found := _COMMAND.match(line):
            shown.append(found[1])
    for name in shown:
        yield from _commands(world, (*path, name))


def life(world: World) -> None:
    """The commands that make the history, in the order in which it came about."""
    build(world)


def look(world: World) -> None:
    """The commands that read the log, on the whole history."""
    world.quietly(build)
    for words in (
        "status",
        "status --json",
        "task list",
        "task list --json",
        "task list --state done --kind impl",
        "task show T-1",
        "task show T-1 --json",
        "task show T-2",
        "task show T-2 --json",
        "task show T-3",
        "task show T-5 --json",
        "task show T-7",
        "task show T-11 --json",
        "issue list",
        "issue list --all",
        "issue list --json",
        "issue list --all --json",
        "lesson list",
        "lesson list --all",
        "lesson list --all --json",
        "allow --show",
        "allow --show --json",
        "log -n 5",
        "log",
        "log --oneline",
        "log -n 4 --reverse --json",
        "log --task T-2 --oneline",
        "log --actor agent-x --action agent.result --oneline",
        "log --grep seven",
        "log --since 2025-03-01T10:50:00Z",
        "log --since EV-00000090 --json",
        "show EV-00000001",
        "show EV-00000001 --json",
        "show 5",
        "show EV-00000005 --json",
        "show EV-00000014",
        "show EV-00000030 --json",
        "show T-4",
        "show T-4 --json",
        "show ISS-0001",
        "diff EV-00000001 EV-00000010",
        "diff EV-00000001 EV-00000010 --json",
        "diff EV-00000010 EV-00000060 --patch",
        "diff EV-00000060 EV-00000001",
        "replay",
        "replay --json",
        "replay --until EV-00000020",
        "replay --until EV-00000020 --json",
        "project --stdout",
        "project",
        "project --json",
        "context T-11",
        "context T-11 --json",
        "context T-10 --agent agent-y --json",
        "agent list --sandbox none",
        "agent list --sandbox none --json",
        "key list",
        "trust show",
        "trust show --json",
        "undo T-1 --dry-run",
        "undo T-1 --dry-run --json",
        "plan diff",
        "plan diff --json",
        "undo T-2 --dry-run",
        "undo T-2 --dry-run --json",
        "cost --json",
        "policy check --json",
        "policy test --history --json",
        "policy explain T-1 --json",
        "run --dry-run --json",
        "verify --jobs 1",
        "verify --jobs 1 --json",
        "verify --full --jobs 1 --strict",
        "verify --full --jobs 1 --json",
        "verify --since --jobs 1 --json",
        "verify --max-age 2d --jobs 1",
        "verify --max-age PT1S --jobs 1",
        "doctor",
        "doctor --json",
        "maintain",
        "maintain --json",
        "hooks check",
        "hooks check --json",
    ):
        world.esaa(ONE, *words.split())


def keep(world: World) -> None:
    """The commands that write something beside the log, or a log in another place."""
    world.quietly(begin, first_run)
    world.heading("an export, and an import of it")
    world.esaa(ONE, "export", "../export")
    _import(world, "two", "../export/activity.jsonl", "--json")
    world.esaa("two", "import", "../export/activity.jsonl")
    world.try_git("two", "for-each-ref", "--format=%(objectname) %(refname)")
    world.esaa("two", "verify", "--full", "--jobs", "1")
    world.esaa("two", "status")
    _import(world, "three", "../export/activity.jsonl")

    world.heading("an export over a change of keys, which neither key can import alone")
    old = world.git(ONE, "config", "esaa.signingKey")
    world.quietly(second_run)
    world.esaa(ONE, "export", "../export", "--json")
    world.esaa(ONE, "export", "-")
    _import(world, "four", "../export/activity.jsonl", "--json")
    world.git("four", "config", "esaa.signingKey", old)
    world.esaa("four", "import", "../export/activity.jsonl")

    world.heading("checkpoints")
    world.esaa(ONE, "checkpoint", "create")
    world.esaa(ONE, "checkpoint", "sign", "../checkpoint.txt", "--key", "../home/cosigner")
    public = world.path("home/cosigner.pub").read_text(encoding="utf-8")
    world.write("cosigners", f"auditor@example.com {public}")
    cosigner = ("--cosigner", "../cosigners")
    world.esaa(
        ONE, "checkpoint", "sign", "../checkpoint.txt", "--key", "../home/cosigner", "--json"
    )
    world.esaa(ONE, "checkpoint", "show", "../checkpoint.txt")
    world.esaa(ONE, "checkpoint", "show", "../checkpoint.txt", "--json")
    world.esaa(ONE, "verify", "--checkpoint", "../checkpoint.txt", "--jobs", "1")
    world.esaa(ONE, "verify", "--checkpoint", "../checkpoint.txt", "--jobs", "1", *cosigner)
    world.esaa(
        ONE, "verify", "--checkpoint", "../checkpoint.txt", *cosigner, "--require", "2", "--json"
    )

    world.heading("what is trusted")
    genesis = world.git(ONE, "rev-list", "--max-parents=0", LOG)
    world.esaa(ONE, "trust", "pin", genesis)
    world.esaa(ONE, "trust", "pin", "1" * 40)
    world.esaa(ONE, "trust", "pin", "1" * 40, "--replace")
    world.esaa(ONE, "verify", "--jobs", "1")
    world.esaa(ONE, "verify", "--jobs", "1", "--json")
    world.esaa(ONE, "trust", "pin", genesis, "--replace")

    world.heading("keys")
    world.esaa(ONE, "key", "create", "--role", "approver", "--out", "../home/new")
    world.esaa(ONE, "key", "create", "--out", "../home/newer", "--comment", "newer", "--json")
    world.esaa(ONE, "key", "create")
    world.esaa(ONE, "key", "revoke", "guest@example.com")
    world.esaa(ONE, "key", "trust", "../home/cosigner.pub", "--role", "admin")
    world.esaa(ONE, "key", "rotate", "--restart", "--new", "../home/newer", "--as", "admin")
    world.esaa(ONE, "key", "list")

    world.heading("hooks, and what else is put into a repository")
    world.esaa(ONE, "hooks", "install")
    world.esaa(ONE, "hooks", "check")
    world.esaa(ONE, "hooks", "check", "--json")
    world.esaa(ONE, "hooks", "install")
    world.esaa(ONE, "hooks", "uninstall")
    world.esaa(ONE, "hooks", "uninstall")
    world.git(".", "init", "--quiet", "--bare", "server.git")
    for words in ("install --server . --update", "check --server .", "check --server . --json"):
        world.esaa("server.git", "hooks", *words.split())
    world.esaa("server.git", "hooks", "uninstall", "--server", ".")
    world.esaa("server.git", "hooks", "install", "--server", ".", "--fallback")
    world.esaa("server.git", "hooks", "check", "--server", ".")
    world.esaa(ONE, "init", "--agents")
    world.esaa(ONE, "doctor", "--repair")
    world.esaa(ONE, "doctor", "--repair", "--json")

    world.heading("agents are tried out, and a demo")
    world.esaa(ONE, "agent", "test", "agent-x", "--sandbox", "none")
    world.esaa(ONE, "agent", "test", "agent-x", "--sandbox", "none", "--json")
    world.masked(".", "demo", "landing-page", "--sandbox", "none")


def _import(world: World, folder: str, *arguments: str) -> None:
    """Import into a new repository, with the key of the one that the history is told in."""
    world.path(folder).mkdir()
    world.git(folder, "init", "--quiet")
    world.git(folder, "config", "esaa.signingKey", world.git(ONE, "config", "esaa.signingKey"))
    world.esaa(folder, "import", *arguments)


def share(world: World) -> None:
    """The commands between repositories: a server, the clone that began, and another."""
    world.quietly(build)
    world.git(".", "init", "--quiet", "--bare", "server.git")
    world.silent("server.git", "hooks", "install", "--server", ".")
    world.git(ONE, "remote", "add", "origin", "../server.git")
    world.heading("the first push, and a clone")
    world.esaa(ONE, "fetch")
    world.esaa(ONE, "remote", "setup", "origin")
    world.esaa(ONE, "remote", "setup", "origin")
    world.esaa(ONE, "push", "--json")
    world.esaa(ONE, "push")
    world.esaa(".", "clone", "server.git", "two")
    world.esaa(".", "clone", "server.git", "three", "--genesis", "1" * 40)
    for name in ("esaa.signingKey", "esaa.approverKey"):
        world.git("two", "config", name, world.git(ONE, "config", name))
    world.git("two", "remote", "set-url", "origin", "../server.git")

    world.heading("both record, one is first")
    world.esaa("two", "task", "note", "T-10", "Look twice")
    world.by("carol", "two", "claim", "T-10")
    world.esaa("two", "push", "origin")
    world.esaa(ONE, "fetch", "--json")
    world.esaa(ONE, "status")
    world.write(f"{ONE}/src/held.txt", "held\n")
    world.esaa(ONE, "complete", "T-11", "src/held.txt", "--summary", "Held", "--json")
    world.esaa(ONE, "claim", "T-10")
    world.esaa(ONE, "push")
    world.esaa(ONE, "push", "--json")
    world.esaa(ONE, "sync", "--json")
    world.esaa(ONE, "sync")
    world.esaa("two", "fetch")
    world.esaa("two", "sync", "origin", "--json")
    world.esaa("two", "verify", "--full", "--jobs", "1")

    world.heading("both record, and nobody has fetched")
    world.esaa("two", "task", "note", "T-10", "Look three times")
    world.esaa("two", "issue", "report", "--severity", "low", "--title", "Of two")
    world.esaa("two", "push")
    world.esaa(ONE, "issue", "report", "--severity", "low", "--title", "Of one")
    world.esaa(ONE, "task", "note", "T-10", "Look away")
    world.esaa(ONE, "task", "release", "T-10", "--reason", "Carol is away")
    world.esaa(ONE, "push", "--json")
    world.esaa(ONE, "fetch", "--json")
    world.esaa(ONE, "sync", "--json")
    world.esaa("two", "sync")
    world.heading("what is stored, to the byte")
    world.try_git("server.git", "for-each-ref", "--format=%(objectname) %(refname)")
    world.try_git("two", "for-each-ref", "--format=%(objectname) %(refname)")
    world.try_git(ONE, "for-each-ref", "--format=%(objectname) %(refname)")

    world.heading("a person commits beside it, and the branch is merged")
    world.write("two/NOTES.md", "Notes\n")
    world.commit("two", "Notes of two")
    world.write(f"{ONE}/TODO.md", "Todo\n")
    world.commit(ONE, "Todo of one")
    world.esaa("two", "sync")
    world.esaa(ONE, "sync")
    world.esaa(ONE, "task", "show", "T-10", "--json")

    world.heading("a remote that was rolled back, is gone, or is another")
    tip = world.git("server.git", "rev-parse", LOG)
    world.git("server.git", "update-ref", LOG, f"{LOG}~7")
    world.esaa(ONE, "fetch")
    world.esaa(ONE, "sync", "--json")
    world.git("server.git", "update-ref", "-d", LOG)
    world.esaa(ONE, "fetch", "--json")
    world.git("server.git", "update-ref", LOG, MAIN)
    world.esaa(ONE, "fetch")
    world.git("server.git", "update-ref", LOG, tip)
    world.esaa(ONE, "fetch")
    world.git(ONE, "remote", "set-url", "origin", "../nowhere.git")
    world.esaa(ONE, "fetch")
    world.esaa(ONE, "push")
    world.heading("what the branch holds in the end; the merge is of the machine's own time")
    world.try_git("server.git", "log", "--format=%T %an %s", MAIN)


def refuse(world: World) -> None:
    """Calls that fail: what they say, and the exit code."""
    world.heading("no repository, no commit, no contracts, no log")
    world.path("nothing").mkdir()
    for words in ("status", "run", "verify", "init", "push", "doctor", "maintain", "hooks check"):
        world.esaa("nothing", *words.split())
    world.esaa("nothing", "-C", "nowhere", "status")
    world.path("empty").mkdir()
    world.git("empty", "init", "--quiet")
    for words in ("status", "plan apply", "run", "log", "verify --json", "key list", "doctor"):
        world.esaa("empty", *words.split())
    world.quietly(begin)
    for words in (
        "status", "status --json", "log", "show T-1", "claim T-1", "task list", "verify",
        "replay", "export -", "checkpoint create", "review T-1 --approve", "trust show", "push",
    ):  # fmt: skip
        world.esaa(ONE, *words.split())

    world.heading("a key that is missing, open to others, or unknown")
    key = world.git(ONE, "config", "esaa.signingKey")
    world.git(ONE, "config", "--unset", "esaa.signingKey")
    world.esaa(ONE, "plan", "apply")
    world.git(ONE, "config", "esaa.signingKey", str(world.path("nowhere")))
    world.esaa(ONE, "plan", "apply")
    world.new_key("home/stranger", b"stranger".ljust(32), "stranger")
    world.git(ONE, "config", "esaa.signingKey", str(world.path("home/stranger")))
    world.esaa(ONE, "plan", "apply")
    world.path("home/stranger").chmod(0o644)
    world.esaa(ONE, "plan", "apply")
    world.git(ONE, "config", "esaa.signingKey", key)

    world.heading("plans and contracts that cannot be used")
    plan = world.path(f"{ONE}/.roadmap/plan.yaml")
    kept = plan.read_bytes()
    for content in (
        "tasks: [",
        "project: Example\ntasks: 7\n",
        "project: Example\ntasks: [{task_id: T-1, kind: none, title: x}]\n",
        "project: Example\ntasks: [{task_id: T-1, kind: impl, title: x, depends_on: [T-2]}]\n",
        "project: Example\ntasks: [{task_id: T-1, kind: impl, title: x, depends_on: [T-1]}]\n",
        "project: Example\ntasks: [{task_id: T-1, kind: impl}]\n",
    ):
        plan.write_text(content, encoding="utf-8")
        world.esaa(ONE, "plan", "apply")
    plan.unlink()
    world.esaa(ONE, "plan", "diff")
    plan.write_bytes(kept)
    policy = world.path(f"{ONE}/.roadmap/RUNTIME_POLICY.yaml")
    kept = policy.read_bytes()
    policy.write_bytes(kept.replace(b"ttl: PT30M", b"ttl: soon"))
    world.esaa(ONE, "plan", "apply")
    policy.unlink()
    world.esaa(ONE, "plan", "apply")
    policy.write_bytes(kept)

    world.quietly(first_run, second_run)
    world.heading("arguments that mean nothing")
    for words in (
        "staus", "status --jsn", "claim", "claim T-1 T-2", "show", "show EV-00009999", "show T-99",
        "diff EV-00000001", "diff EV-00000001 EV-00009999", "replay --until EV-00009999",
        "log --since yesterday", "log -n none", "log --action no.such", "task list --state none",
        "task show T-99", "task show t-99 --json", "context T-99", "issue report --severity none",
        "issue report --severity low", "review T-11", "task add T-12 --kind none --title x",
        "task add T-1 --kind impl --title x", "task add 12/x --kind impl --title x",
        "run --task T-99", "run --agent nobody", "run --steps 0", "run --parallel 0",
        "run --remote nowhere", "claim T-10 --as orchestrator",
        "verify --since", "verify --checkpoint nowhere", "verify --max-age soon",
        "verify --genesis 12", "verify --require nobody", "export ../home/guest",
        "import ../nowhere", "import ../answer.json", "checkpoint show ../answer.json",
        "key trust ../nowhere --role admin", "key trust ../home/guest --role admin",
        "key trust ../home/guest.pub", "key revoke nobody", "key create --out ../home/guest",
        "key rotate --new ../nowhere --restart", "key rotate --new ../home/guest", "trust pin 12",
        "remote setup nowhere", "fetch nowhere", "push", "clone ../nowhere ../there",
        "agent test nobody --sandbox none", "demo no-such --sandbox none", "maintain now",
        "hooks install --fallback", "hooks install --update", "submit ../nowhere",
        "help no such",
    ):  # fmt: skip
        world.esaa(ONE, *words.split())

    world.heading("the wrong moment")
    world.esaa(ONE, "claim", "T-11")
    for words in (
        "claim T-1", "claim T-11 --as bob@example.com", "claim T-99", "complete T-10 --summary x",
        "complete T-11 --summary x --as bob@example.com", "complete T-11 nowhere --summary x",
        "complete T-11 --json --summary x src/nowhere.txt", "review T-1 --approve",
        "review T-1 --approve --json", "task unblock T-10 --reason x", "task note T-1 late",
        "task release T-10 --reason x", "issue resolve ISS-0001 --reason again",
        "issue resolve ISS-0099 --reason x", "hotfix T-10 --title x --reason y",
        "override T-10 --reason x", "override T-5 --reason again", "hotfix T-1 --title x",
        "plan apply --reason x", "plan apply --sign-with ../home/guest",
        "plan apply --restart --sign-with ../home/cosigner",
    ):  # fmt: skip
        world.esaa(ONE, *words.split())
    for envelope in (
        "",
        "[]",
        "{",
        json.dumps(result("T-11", write("src/x", "x"))),
        json.dumps({**result("T-99"), "attempt_id": "T-99-A1"}),
        json.dumps({**result("T-11", write(".roadmap/plan.yaml", "")), "attempt_id": "T-11-A2"}),
    ):
        world.esaa(ONE, "submit", "-", "--json", stdin=envelope)
        world.esaa(ONE, "claim", "T-11")

    world.heading("a log that is behind, ahead, beside itself, or no log")
    tip = world.git(ONE, "rev-parse", LOG)
    world.esaa(ONE, "verify", "--jobs", "1")
    for place in (f"{LOG}~5", MAIN, f"{MAIN}^{{tree}}"):
        world.git(ONE, "update-ref", LOG, place)
        world.esaa(ONE, "status")
        world.esaa(ONE, "claim", "T-10")
        world.esaa(ONE, "verify", "--jobs", "1")
        world.esaa(ONE, "verify", "--full", "--jobs", "1", "--json")
        world.git(ONE, "update-ref", LOG, tip)
    ahead = world.git(ONE, "commit-tree", "-p", LOG, "-m", "no event", f"{LOG}^{{tree}}")
    world.git(ONE, "update-ref", LOG, ahead)
    world.esaa(ONE, "status")
    world.esaa(ONE, "verify", "--jobs", "1")
    world.esaa(ONE, "verify", "--full", "--jobs", "1", "--json")
    world.git(ONE, "update-ref", "-d", LOG)
    world.esaa(ONE, "status")
    world.esaa(ONE, "verify", "--jobs", "1")
    world.esaa(ONE, "plan", "apply")
    world.git(ONE, "update-ref", LOG, tip)

    world.heading("a branch that does not fit its log")
    head = world.git(ONE, "rev-parse", MAIN)
    world.git(ONE, "update-ref", MAIN, f"{MAIN}~3")
    world.esaa(ONE, "verify", "--full", "--jobs", "1")
    world.esaa(ONE, "verify", "--full", "--jobs", "1", "--json")
    world.esaa(ONE, "doctor")
    world.git(ONE, "update-ref", MAIN, head)
    world.git(ONE, "checkout", "--quiet", "--detach")
    world.esaa(ONE, "complete", "T-11", "--summary", "nothing")
    world.git(ONE, "branch", "--quiet", "--move", "main", "other")
    world.esaa(ONE, "run")
    world.esaa(ONE, "verify", "--full", "--jobs", "1")
    world.esaa(ONE, "init", "--key", "../nowhere")


GROUPS: Final[dict[str, Callable[[World], None]]] = {
    "help": helps,
    "life": life,
    "look": look,
    "keep": keep,
    "share": share,
    "refuse": refuse,
    "talk": talk.record,
    "hooks": hooks.record,
    "bundle": bundle.record,
}
