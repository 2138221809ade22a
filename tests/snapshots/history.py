"""The fixed history that all snapshots are taken of: one project's life, told by its commands.

Recorded answers stand in for agents; everything else is what people and machines type.
"""

from __future__ import annotations

import json
from typing import Any

from tests.snapshots.world import World

ONE = "one"
ANSWERS = f"{ONE}/.roadmap/answers"
KINDS = ("spec", "impl", "qa", "hotfix")
LOG, MAIN = "refs/esaa/events", "refs/heads/main"

PEOPLE = {"reviewer": "approver", "bob": "contributor", "carol": "contributor"}
"""Who else works here, each with a key of their own."""

PLAN = """\
project: Example
tasks:
  - task_id: T-1
    kind: spec
    title: Say what to build
    acceptance: [docs/spec.md says it.]
  - task_id: T-2
    kind: impl
    title: Build it
    description: |
      Build what docs/spec.md says.
    depends_on: [T-1]
    writes: ["src/**"]
    priority: 5
  - {task_id: T-3, kind: impl, title: Change it, depends_on: [T-2], review: true}
  - {task_id: T-4, kind: impl, title: Meet what is broken}
  - {task_id: T-5, kind: impl, title: By hand with an envelope}
  - {task_id: T-6, kind: impl, title: By hand in the checkout}
  - {task_id: T-7, kind: qa, title: Never in time, attempts_allowed: 1}
  - {task_id: T-8, kind: spec, title: "Übersicht schreiben: 概要"}
"""


def result(task: str, *updates: dict[str, Any], **payload: Any) -> dict[str, Any]:
    return {
        "schema_version": "0.3.0",
        "action": "agent.result",
        "task_id": task,
        "attempt_id": "{{attempt_id}}",
        "payload": {
            "summary": f"Did {task}",
            **({"file_updates": list(updates)} if updates else {}),
            **payload,
        },
    }


def write(path: str, content: str) -> dict[str, Any]:
    return {"op": "write", "path": path, "content": content}


def edit(path: str, old: str, new: str) -> dict[str, Any]:
    return {"op": "edit", "path": path, "edits": [{"old": old, "new": new}]}


def answer(world: World, name: str, envelope: dict[str, Any] | str) -> None:
    text = envelope if isinstance(envelope, str) else json.dumps(envelope, indent=1)
    world.write(f"{ANSWERS}/{name}.json", text)


def begin(world: World) -> None:
    """A repository with contracts, agents and a plan, all committed, and no log yet."""
    world.heading("a repository with contracts and a plan")
    world.path(ONE).mkdir()
    world.git(ONE, "init", "--quiet")
    world.write(f"{ONE}/README.md", "# Example\n")
    world.write(f"{ONE}/src/shared.txt", "one\ntwo\nthree\n")
    world.commit(ONE, "Start")
    world.ok(ONE, "init", "--project", "Example")
    for name, role in PEOPLE.items():
        world.new_key(f"home/{name}", name.encode().ljust(32), f"{name}@example.com {role}")
        world.ok(ONE, "key", "trust", f"../home/{name}.pub", "--role", role)
    agents = {
        "agent-x": {"adapter": "scripted", "folder": ".roadmap/answers", "model": "scripted-1"},
        "agent-y": {"adapter": "scripted", "folder": ".roadmap/answers"},
    }
    swarm = {"schema_version": "0.3.0", "agents": agents, "kinds": dict.fromkeys(KINDS, "agent-x")}
    world.yaml(f"{ONE}/.roadmap/agents_swarm.yaml", lambda _: swarm)
    world.write(f"{ONE}/.roadmap/plan.yaml", PLAN)
    answer(world, "T-1", result("T-1", write("docs/spec.md", "# What to build\n\nSeven lines.\n")))
    answer(world, "T-2-A1", "this is no JSON\n")
    forbidden = result("T-2", write(".github/workflows/x.yml", "on: push\n"))
    answer(world, "T-2-A2", {**forbidden, "attempt_id": "T-2-A2"})
    misread = result("T-2", edit("src/shared.txt", "seven", "sieben"))
    answer(world, "T-2-A3", {**misread, "attempt_id": "T-2-A3"})
    answer(
        world,
        "T-2",
        result("T-2", write("src/build.py", "print(7)\n"), edit("src/shared.txt", "two", "zwei")),
    )
    answer(world, "T-3", result("T-3", edit("src/shared.txt", "three", "drei")))
    broken = {"severity": "high", "title": "It is broken", "description": "It does not build."}
    answer(
        world,
        "T-4-A1",
        {
            "schema_version": "0.3.0",
            "action": "issue.report",
            "task_id": "T-4",
            "attempt_id": "T-4-A1",
            "payload": broken,
        },
    )
    answer(world, "T-4", result("T-4", {"op": "rename", "from": "README.md", "path": "READ.md"}))
    answer(world, "T-8", result("T-8"))
    world.commit(ONE, "A project, its contracts")


def first_run(world: World) -> None:
    """The plan is applied, agents and people work on it, and a run ends."""
    world.heading("the plan is applied, and agents work on it")
    world.esaa(ONE, "plan", "diff")
    world.esaa(ONE, "plan", "diff", "--json")
    world.ok(ONE, "plan", "apply", "--json")
    world.ok(ONE, "run", "--dry-run")
    world.ok(ONE, "run", "--dry-run", "--json")
    world.ok(ONE, "run", "--task", "T-1")
    world.ok(ONE, "task", "note", "T-2", "Keep to seven lines")
    world.esaa(ONE, "run", "--task", "T-2", "--steps", "1", "--json")
    world.esaa(ONE, "run", "--task", "T-2")
    world.ok(ONE, "task", "unblock", "T-2", "--attempts", "1", "--reason", "it is nearly there")
    world.esaa(ONE, "run", "--task", "T-2")
    world.esaa(ONE, "run", "--task", "T-4")
    world.ok(ONE, "task", "list")
    world.ok(ONE, "status")
    world.ok(ONE, "issue", "list")
    world.ok(ONE, "issue", "resolve", "ISS-0001", "--reason", "built again")
    world.ok(ONE, "task", "unblock", "T-4", "--reason", "built again")

    world.heading("a review sends back, then approves")
    world.esaa(ONE, "run", "--task", "T-3")
    world.ok(ONE, "review", "T-3", "--request-changes", "say why", "--json")
    world.esaa(ONE, "run", "--task", "T-3", "--json")
    world.by("reviewer", ONE, "review", "T-3", "--approve")

    world.heading("people work by hand")
    world.ok(ONE, "claim", "T-5")
    world.ok(ONE, "task", "show", "T-5")
    world.ok(ONE, "status", "--json")
    beat = {**result("T-5"), "action": "agent.heartbeat", "payload": {"note": "half"}}
    beat["attempt_id"] = "T-5-A1"
    world.ok(ONE, "submit", "-", stdin=json.dumps(beat))
    lesson = {
        **beat,
        "action": "lesson.record",
        "payload": {"rule": "Count the lines.", "mistake": "There were eight."},
    }
    world.esaa(ONE, "submit", "-", stdin=json.dumps(lesson))
    done = {**result("T-5", write("src/hand.txt", "by hand\n")), "attempt_id": "T-5-A1"}
    world.write("answer.json", json.dumps(done))
    world.ok(ONE, "submit", "../answer.json", "--json")
    world.by("bob", ONE, "claim", "T-6", "--json")
    world.by("bob", ONE, "task", "release", "T-6", "--reason", "lunch")
    world.ok(ONE, "claim", "T-6")
    world.write(f"{ONE}/src/tool.sh", "#!/bin/sh\necho 7\n", executable=True)
    world.ok(ONE, "complete", "T-6", "src/tool.sh", "--summary", "A tool", "--check", "sh -n=ok")
    world.ok(ONE, "claim", "T-7")
    world.later(hours=1)
    late = {**result("T-7"), "attempt_id": "T-7-A1"}
    world.esaa(ONE, "submit", "-", "--task", "T-7", stdin=json.dumps(late))
    world.ok(ONE, "task", "list", "--state", "blocked", "--json")
    report = ("--severity", "low", "--title", "Small", "--description", "A typo.")
    world.ok(ONE, "issue", "report", *report, "--json")
    world.ok(ONE, "issue", "report", "--task", "T-1", "--severity", "medium", "--title", "Vague")
    world.ok(
        ONE,
        "hotfix",
        "T-1",
        "--title",
        "Say it clearly",
        "--issue",
        "ISS-0003",
        "--reason",
        "vague",
    )
    world.ok(ONE, "override", "T-5", "--reason", "not wanted any more")
    world.ok(ONE, "task", "add", "T-9", "--kind", "impl", "--title", "One more", "--priority", "-1")
    world.ok(ONE, "task", "unblock", "T-7", "--attempts", "2", "--reason", "more time")


def second_run(world: World) -> None:
    """The first run ends, keys come and go, and another run is left open."""
    world.heading("the first run ends, and its record holds")
    answer(world, "T-7", result("T-7", write("tests/seven.txt", "7\n")))
    answer(world, "T-1-HF1", result("T-1-HF1", write("docs/spec.md", "# Seven lines\n")))
    answer(world, "T-9", result("T-9", {"op": "delete", "path": "src/hand.txt"}))
    world.ok(ONE, "run", "--dry-run")
    world.esaa(ONE, "run")
    world.yaml(
        f"{ONE}/.roadmap/plan.yaml", lambda plan: plan["tasks"][6].update(attempts_allowed=4)
    )
    world.ok(ONE, "run", "--json")
    world.ok(ONE, "verify", "--full", "--jobs", "1")

    world.heading("keys come and go; an admin signs a checkpoint")
    world.new_key("home/guest", b"guest".ljust(32), "guest@example.com")
    world.new_key("home/cosigner", b"cosigner".ljust(32), "cosigner@example.com")
    world.ok(ONE, "key", "trust", "../home/guest.pub", "--role", "approver")
    world.ok(ONE, "key", "list")
    world.esaa(ONE, "key", "rotate", "--restart")
    world.yaml(
        f"{ONE}/.roadmap/plan.yaml",
        lambda plan: plan["tasks"].append(
            {"task_id": "T-10", "kind": "qa", "title": "Test it", "depends_on": ["T-9"]}
        ),
    )
    world.commit(ONE, "Keys and a further task")
    world.ok(ONE, "plan", "apply")
    world.ok(ONE, "task", "add", "T-11", "--kind", "impl", "--title", "Held", "--writes", "src/**")
    world.ok(ONE, "claim", "T-11")
    world.ok(ONE, "key", "list", "--json")
    world.ok(ONE, "issue", "report", "--severity", "medium", "--title", "Slow")
    world.ok(ONE, "checkpoint", "create", "--output", "../checkpoint.txt", "--json")

    world.heading("what is stored, to the byte")
    world.try_git(ONE, "for-each-ref", "--format=%(objectname) %(refname)")
    world.try_git(ONE, "log", "--format=%H %T %an <%ae> %ad %cn %cd %s", "--date=iso-strict", MAIN)
    world.try_git(ONE, "log", "--format=%H %T %ae %s", LOG)


def build(world: World) -> None:
    """The whole history."""
    begin(world)
    first_run(world)
    second_run(world)
