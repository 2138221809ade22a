"""Policy: twenty rules over a proposal of a hundred files, and a draft over a whole history.

Both limits are promises in time and not other work: 5 ms once the library is loaded, and a minute
for 100,000 events, shared out by how long the log is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

from benchmarks.harness import Row, timed
from benchmarks.programs import ROOT, git_esaa, run
from benchmarks.workshop import Workshop
from esaa_git.core.contracts import POLICY
from esaa_git.core.events.facts import Facts, FileFact
from esaa_git.core.policy import cel
from esaa_git.core.policy.document import decode_policy
from esaa_git.core.policy.evaluate import evaluate

SUBJECT = "policy"
MS = 1e3
PROMISED_MS, PROMISED_SECONDS, PROMISED_EVENTS = 5.0, 60.0, 100_000


def measure(shop: Workshop) -> Iterator[Row]:
    yield twenty_rules(shop)
    yield loading(shop)
    yield history(shop)


def rules() -> list[dict[str, Any]]:
    """Return twenty rules as people write them: none decides, so each is asked to its end."""
    paths = ["**/package.json", ".github/**", "migrations/**", "deploy/*/secrets/**", "**/*.lock"]
    tables = [
        {
            "name": f"table-{number}",
            "match": {"paths": [f"area-{number}/**", *paths], "operations": ["modify", "delete"]},
            "effect": "deny",
        }
        for number in range(16)
    ]
    expressions = [
        'files.exists(f, f.path.startsWith("db/") && f.change == "delete")',
        'lines > 4000 && kind == "impl"',
        'files.filter(f, f.path.endsWith(".lock")).size() > 3',
        'files.all(f, f.mode == "100755")',
    ]
    said = [
        {"name": f"expression-{number}", "when": when, "effect": "deny"}
        for number, when in enumerate(expressions)
    ]
    return [*tables, *said]


def document() -> bytes:
    return json.dumps({"schema_version": "0.3.0", "rules": rules()}).encode()


def twenty_rules(shop: Workshop) -> Row:
    """Evaluate twenty rules, four of them with an expression, for a proposal of 100 files."""
    policy = decode_policy(document(), POLICY)
    files = tuple(
        FileFact(
            path=f"src/package_{number % 7}/module_{number}.py",
            change="modify",
            before_mode="100644",
            mode="100644",
        )
        for number in range(100)
    )
    facts = Facts(task_id="T-1", kind="impl", agent="agent-x", lines=900, files=files)
    assert not evaluate(policy, facts).hits
    took = [timed(partial(evaluate, policy, facts)) * MS for _ in range(20 * shop.sizes.rounds)]
    return Row(
        SUBJECT,
        "20 rules for 100 files / 5 ms",
        "ms",
        median(took),
        PROMISED_MS,
        1.0,
        note=f"16 tables of conditions and 4 expressions, by {cel.library()}",
    )


def loading(shop: Workshop) -> Row:
    """Load the library: what a command pays whose policy has an expression."""
    took = []
    for module in ("cel_expr_python.cel", "sys"):
        program = [sys.executable, "-I", "-c", f"import {module}"]
        runs = [timed(partial(run, program, ROOT)) * MS for _ in range(shop.sizes.processes)]
        took.append(median(runs))
    return Row(SUBJECT, "a process that loads CEL / one that does not", "ms", took[0], took[1])


def history(shop: Workshop) -> Row:
    """Try a draft of twenty rules on every proposal of a log, by the command."""
    subject = shop.natural(shop.sizes.deep)
    events = subject.log.load()[0].seq
    place = subject.folder / ".roadmap"
    place.mkdir(exist_ok=True)
    for name, data in subject.contracts.files.items():
        (place / name).write_bytes(data)
    (place / POLICY).write_bytes(document())
    command = [*git_esaa(), "-C", str(subject.folder), "policy", "test", "--history"]
    seconds = timed(partial(run, command, ROOT))
    return Row(
        SUBJECT,
        "policy test --history / a minute for 100,000 events",
        "s",
        seconds,
        PROMISED_SECONDS * events / PROMISED_EVENTS,
        1.0,
        note=f"{events:,} events, one core",
    )
