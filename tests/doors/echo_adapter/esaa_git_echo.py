"""An agent that writes the title of its task into a file."""

from __future__ import annotations

import json
from collections.abc import Callable

from esaa_git.agents.adapter import Adapter, AdapterContext
from esaa_git.core.contracts import AgentEntry
from esaa_git.ports.agent import Answer, Request


class EchoAgent:
    """Answers by itself; no program is started, so `sandbox` is `in-process`."""

    sandbox = "in-process"
    has_checkout = False

    def __init__(self, entry: AgentEntry, context: AdapterContext) -> None:
        self.name, self.adapter, self.model = entry.name, entry.adapter, entry.model
        self._file: str = entry.settings["file"]

    def ready(self) -> None:
        """There is nothing that could be missing."""

    def prepare(self, request: Request) -> Request:
        return request

    def answer(self, request: Request, pause: Callable[[], None]) -> Answer:
        pause()
        title = json.loads(request.view)["task"]["title"]
        envelope = {
            "action": "agent.result",
            "task_id": request.task_id,
            "attempt_id": request.attempt_id,
            "payload": {
                "summary": f"Wrote {self._file}",
                "file_updates": [{"op": "write", "path": self._file, "content": f"{title}\n"}],
            },
        }
        return Answer(json.dumps(envelope).encode(), latency_ms=0)


ADAPTER = Adapter(
    settings_schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["file"],
        "properties": {"file": {"type": "string", "minLength": 1}},
    },
    sandboxes=("in-process",),
    make=EchoAgent,
)
