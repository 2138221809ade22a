"""Works through a plan with a scripted agent and verifies the record: `embed.py REPOSITORY`."""

import json
import sys
from pathlib import Path

import esaa_git

TASK = {"task_id": "T-1", "kind": "spec", "title": "Say hello"}
SWARM = {
    "schema_version": "0.3.0",
    "agents": {"writer": {"adapter": "scripted", "folder": ".roadmap/answers"}},
    "kinds": {"spec": "writer"},
}
UPDATE = {"op": "write", "path": "docs/hello.md", "content": "Hello\n"}
ANSWER = {
    "action": "agent.result",
    "task_id": "T-1",
    "attempt_id": "{{attempt_id}}",
    "payload": {"summary": "Said hello.", "file_updates": [UPDATE]},
}

folder = Path(sys.argv[1])
with esaa_git.open(folder) as project:
    esaa_git.init(project, name="hello")
    roadmap = folder / ".roadmap"
    (roadmap / "answers").mkdir()
    for name, value in {
        "plan.yaml": {"project": "hello", "tasks": [TASK]},
        "agents_swarm.yaml": SWARM,
        "answers/T-1.json": ANSWER,
    }.items():
        (roadmap / name).write_text(json.dumps(value))

    applied = esaa_git.apply_plan(project)
    report = esaa_git.run(project)
    for stored in esaa_git.events(project, reverse=True):
        print(stored.event.event_id, stored.event.subject)
    found = esaa_git.verify(project, full=True)
    print(f"{applied.run_id}: {report.result}, verified: {found.outcome}")
