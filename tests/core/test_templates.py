"""What `git esaa init` and `git esaa demo` write is sound: contracts, plans, recorded answers."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from esaa_git.agents.pinned import UNWRITTEN
from esaa_git.core import contract_schemas as schemas
from esaa_git.core.answer import RenameFile
from esaa_git.core.contracts import (
    AGENT_CONTRACT,
    ORCHESTRATOR_CONTRACT,
    POLICY,
    RUNTIME_POLICY,
    STORAGE_POLICY,
    SWARM,
    Contracts,
    is_contract_file,
)
from esaa_git.core.envelope import Envelope, decode, update_schemas
from esaa_git.core.events.base import encode
from esaa_git.core.patches import changed_lines
from esaa_git.core.plan import Plan, check_plan, load_plan
from esaa_git.core.projection import projection_hash, roadmap
from esaa_git.core.proposal import Boundary, after_image, check_updates
from esaa_git.core.rejection import Rejected
from esaa_git.core.state import EMPTY, State
from esaa_git.core.storage import redact
from esaa_git.core.table import Table
from esaa_git.core.task import Task
from esaa_git.resources import resource_path

DEFAULT = resource_path("templates", "default")
EXAMPLE = resource_path("templates", "landing-page")
EXAMPLE_AGENT = DEFAULT / "agents" / "example-agent"

# What `init` writes by itself; the key is one that nobody holds.
ALLOWED_SIGNERS = (
    b'orchestrator,approver,admin namespaces="git" ssh-ed25519 '
    b"AAAAC3NzaC1lZDI1NTE5AAAAIAMAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
)


def contracts_of(*folders: Path) -> Contracts:
    """The contracts that stand in `.roadmap/` after these folders were copied there in order."""
    files = {
        path.name: path.read_bytes()
        for folder in folders
        for path in sorted(folder.iterdir())
        if is_contract_file(path.name)
    }
    return Contracts({**files, "allowed_signers": ALLOWED_SIGNERS})


def plan_of(text: str, contracts: Contracts) -> Plan:
    plan = load_plan(text.encode(), "plan.yaml")
    check_plan(plan, EMPTY, contracts)
    return plan


def boundary_of(kind: str, contracts: Contracts) -> Boundary:
    return Boundary.of(Task("T-1", kind, "A task"), contracts)


# ------------------------------------------------------------------------------ a new project


def test_the_contracts_of_a_new_project_can_be_used_as_they_are() -> None:
    contracts = contracts_of(DEFAULT)
    contracts.check()
    assert all(contracts.profile(name) for (name,) in contracts.swarm.kinds.values())
    assert set(contracts.swarm.kinds) == set(contracts.agent.kinds)


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        (schemas.AGENT_CONTRACT, [AGENT_CONTRACT]),
        # A setup of an agent is explained where kinds have theirs.
        (schemas.SWARM, [SWARM, AGENT_CONTRACT]),
        (schemas.ORCHESTRATOR_CONTRACT, [ORCHESTRATOR_CONTRACT]),
        (schemas.RUNTIME_POLICY, [RUNTIME_POLICY]),
        (schemas.STORAGE_POLICY, [STORAGE_POLICY]),
        (schemas.POLICY, [POLICY]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_every_entry_is_explained_by_the_comments_that_init_writes(
    schema: object, files: list[str]
) -> None:
    text = "".join((DEFAULT / file).read_text("utf-8") for file in files)
    assert not {name for name in _entries(schema) if re.search(rf"\b{name}\b", text) is None}


def _entries(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for part in schema.values():
            yield from _entries(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _entries(part)


@pytest.mark.parametrize("project", ["reports", 'It\'s: a #1 "project"'])
def test_the_plan_of_a_new_project_is_valid_once_it_has_a_name(project: str) -> None:
    text = (DEFAULT / "plan.yaml").read_text(encoding="utf-8")
    assert text.count("{{project}}") == 1
    plan = plan_of(text.replace("{{project}}", json.dumps(project)), contracts_of(DEFAULT))
    assert plan == Plan(project, ())


def test_the_example_in_the_plan_is_a_plan() -> None:
    text = (DEFAULT / "plan.yaml").read_text(encoding="utf-8")
    lines = text[text.index("# tasks:") : text.index("\ntasks: []")].split("\n")
    example = "project: example\n" + "\n".join(line[2:] for line in lines)
    plan = plan_of(example, contracts_of(DEFAULT))
    assert [task["task_id"] for task in plan.tasks] == ["T-1000", "T-1010", "T-1020"]


def test_files_that_are_derived_from_the_log_are_ignored() -> None:
    lines = (DEFAULT / "gitignore").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "/roadmap.json",
        "/activity.jsonl",
        "/activity.objects.pack",
        "/activity.origin.json",
        "/activity.bundle",
        "/issues.json",
        "/lessons.json",
    ]


@pytest.mark.parametrize("path", ["src/a.py", "a.go", "lib/deep/b.rs", "README.md", "tests/t.py"])
def test_whoever_builds_may_write_in_any_layout(path: str) -> None:
    assert boundary_of("impl", contracts_of(DEFAULT)).check(path) is None


@pytest.mark.parametrize(
    "path",
    [
        ".github/workflows/release.yml",
        ".gitlab-ci.yml",
        "ci/build.gitlab-ci.yml",
        "sub/Jenkinsfile",
        ".woodpecker.yaml",
        ".githooks/pre-commit",
        ".husky/pre-push",
        ".pre-commit-config.yaml",
        "lefthook.toml",
        ".gitattributes",
        "sub/.gitattributes",
        ".vscode/tasks.json",
        "sub/.envrc",
        "docs/CODEOWNERS",
        ".env",
        ".roadmap/AGENT_CONTRACT.yaml",
        ".roadmap/agents/example-agent",
    ],
)
@pytest.mark.parametrize("kind", ["impl", "hotfix"])
def test_nobody_writes_what_runs_by_itself(kind: str, path: str) -> None:
    assert isinstance(boundary_of(kind, contracts_of(DEFAULT)).check(path), Rejected)


@pytest.mark.parametrize("kind", ["spec", "qa"])
def test_who_specifies_or_checks_does_not_write_what_is_built(kind: str) -> None:
    boundary = boundary_of(kind, contracts_of(DEFAULT))
    assert isinstance(boundary.check("src/a.py"), Rejected)
    assert boundary.check({"spec": "docs/a.md", "qa": "tests/test_a.py"}[kind]) is None


# Made up, and put together here so that no scanner takes this file for a leak.
SECRETS = [
    "-----BEGIN OPENSSH " + r"PRIVATE KEY-----\nb3Blbn+/NzaC1=\n-----END OPENSSH PRIVATE KEY-----",
    "AK" + "IA" + 16 * "Q",
    "aws_secret_access_key = " + 10 * "aB3/",
    "gh" + "p_" + 36 * "a",
    "github" + "_pat_" + 40 * "a",
    "gl" + "pat-" + 20 * "a",
    "sk" + "-" + 40 * "a",
    "sk" + "_live_" + 24 * "a",
    "AI" + "za" + 35 * "a",
    "xo" + "xb-" + 24 * "1",
    "np" + "m_" + 36 * "a",
    "ey" + "JhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0In0." + 20 * "a",
    "Authorization: Bearer " + 24 * "a",
    "Authorization: Basic " + "dXNlcjpwYXNz",
    "postgres://admin:" + "s3cret@db.example/app",
    "DB_PASSWORD=" + "hunter222",
    r"{\"api_key\": \"" + r"abc123def456\"}",
    "client-secret: " + "abc123def456",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_common_secrets_are_blotted_out(secret: str) -> None:
    shown = redact(f"before {secret} after", contracts_of(DEFAULT).storage)
    assert "[redacted]" in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert not any(part in shown for part in ("b3Blbn", "hunter", "s3cret", "abc123"))
    assert max(map(len, re.findall("[A-Za-z0-9/]+", shown))) < 16


@pytest.mark.parametrize(
    "text",
    [
        "3f2a91c0d044e5b6a7c8d9e0f1a2b3c4d5e6f708",
        r"<input type=\"password\" name=\"login\">",
        "def check(password: str, token: str) -> bool:",
        "The secretary bears the passport to 10.0.0.1:8080",
        "https://example.org:8443/path@2x.png",
        "-----BEGIN PUBLIC KEY-----",
        "risk-assessment-and-mitigation-overview",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert redact(text, contracts_of(DEFAULT).storage) == text


def test_a_key_that_was_cut_off_does_not_take_the_rest_of_an_answer_along() -> None:
    key = "-----BEGIN RSA " + "PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEpAIBAAKC"
    answer = json.dumps({"a": key, "b": "kept"})
    shown = redact(answer, contracts_of(DEFAULT).storage)
    assert json.loads(shown) == {"a": "-----BEGIN RSA " + "PRIVATE KEY-----[redacted]", "b": "kept"}


# --------------------------------------------------------------------------- the example agent


def test_the_example_agent_does_no_task_before_it_was_made_ones_own(tmp_path: Path) -> None:
    lines = EXAMPLE_AGENT.read_bytes().splitlines(keepends=True)
    (line,) = (line for line in lines if UNWRITTEN in line)
    program = tmp_path / "my-agent"
    program.write_bytes(b"".join(lines))
    assert UNWRITTEN in _answered(program, returncode=1).stderr
    program.write_bytes(b"".join(one for one in lines if one is not line))
    envelope = decode(_answered(program).stdout, max_bytes=10_000)
    assert isinstance(envelope, Envelope)
    assert (envelope.action, envelope.task_id) == ("agent.result", "T-1000")
    assert envelope.attempt_id == "T-1000-A1"
    assert "Über alles" in envelope.payload.summary
    assert envelope.payload.file_updates is None


def _answered(program: Path, returncode: int = 0) -> subprocess.CompletedProcess[bytes]:
    task = {"task_id": "T-1000", "kind": "spec", "title": "Über alles", "acceptance": ["One."]}
    request = {"schema_version": "0.3.0", "attempt_id": "T-1000-A1", "task": task}
    done = subprocess.run(
        [sys.executable, str(program)],
        input=json.dumps(request).encode(),
        capture_output=True,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii:replace"},
        check=False,
    )
    assert done.returncode == returncode
    return done


def test_the_agents_of_a_new_project_are_one_program_to_be_written_beside_the_example() -> None:
    assert os.access(EXAMPLE_AGENT, os.X_OK)
    assert EXAMPLE_AGENT.read_bytes().startswith(b"#!/usr/bin/env python3\n")
    swarm = contracts_of(DEFAULT).swarm
    for (name,) in swarm.kinds.values():
        agent = swarm.agent(name)
        (program,) = agent.settings["command"]
        place = EXAMPLE_AGENT.with_name("my-agent")
        assert program == f"./.roadmap/{place.relative_to(DEFAULT)}"
        assert not place.exists()


def test_the_example_agent_explains_every_operation_correctly() -> None:
    explained = ast.get_docstring(ast.parse(EXAMPLE_AGENT.read_text(encoding="utf-8"))) or ""
    lines = map(str.strip, explained.splitlines())
    updates = [json.loads(line) for line in lines if line.startswith('{"op"')]
    raw = json.dumps(_envelope_with(updates)).encode()
    envelope = decode(raw, max_bytes=len(raw))
    assert isinstance(envelope, Envelope), envelope
    assert {update["op"] for update in updates} == set(update_schemas())


def _envelope_with(updates: list[dict[str, Any]]) -> dict[str, Any]:
    payload = {"summary": "All of them.", "file_updates": updates}
    return {
        "action": "agent.result",
        "task_id": "T-1",
        "attempt_id": "T-1-A1",
        "payload": payload,
    }


# ------------------------------------------------------------------------- the projection's page


def test_the_projection_s_page_computes_the_hash_that_we_record(tmp_path: Path) -> None:
    page = (DEFAULT / "PROJECTION_SPEC.md").read_text(encoding="utf-8")
    found = re.search(r"<<'END'\n(.*?)\n    END", page, re.DOTALL)
    assert found is not None
    task = Task("T-1000", "spec", "Ein schöner Titel \u2028 \U0001f327", acceptance=("a", "b"))
    state = State(tasks=Table({task.task_id: task}))
    file = tmp_path / "roadmap.json"
    file.write_text(json.dumps(roadmap(state), indent=2), encoding="utf-8")
    program = "\n".join(line[4:] for line in found[1].split("\n"))
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == projection_hash(state)


# ------------------------------------------------------------------------ the example project


@dataclass(frozen=True)
class File:
    """A file of the example as it stands between two tasks."""

    content: bytes
    executable: bool = False


Files = Mapping[str, File]
CONTRACTS = contracts_of(DEFAULT, EXAMPLE / "roadmap")
PLAN = plan_of((EXAMPLE / "roadmap" / "plan.yaml").read_text(encoding="utf-8"), CONTRACTS)
TASKS = {task["task_id"]: Task.from_json(task) for task in PLAN.tasks}


def seed() -> Files:
    root = EXAMPLE / "seed"
    return {
        path.relative_to(root).as_posix(): File(path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def recorded(task_id: str) -> Envelope:
    path = EXAMPLE / "roadmap" / "recorded" / f"{task_id}.json"
    text = path.read_text(encoding="utf-8")
    assert text.count("{{attempt_id}}") == 1
    raw = text.replace("{{attempt_id}}", f"{task_id}-A1").encode()
    envelope = decode(raw, max_bytes=CONTRACTS.policy.max_output_bytes)
    assert isinstance(envelope, Envelope), envelope
    return envelope


def applied(files: Files, task: Task) -> Files:
    """The files after the task's recorded proposal, which has to pass as any other would."""
    updates = recorded(task.task_id).payload.file_updates
    boundary = Boundary.of(task, CONTRACTS)
    assert check_updates(updates, boundary, CONTRACTS.policy.max_files) is None
    after = dict(files)
    for update in updates:
        path, operation = update.path, update.op
        source = update.from_ if isinstance(update, RenameFile) else path
        assert (source in files) or operation == "write", f"{operation} of missing '{source}'"
        assert operation != "rename" or path not in files
        before = after.pop(source, None)
        if operation == "delete":
            continue
        content = after_image(update, before.content if before else None)
        assert isinstance(content, bytes), content
        assert len(content) <= CONTRACTS.policy.max_file_bytes
        executable = before.executable if before else False
        after[path] = File(content, executable if update.executable is None else update.executable)
    assert after != files, f"{task.task_id} changes nothing"
    changed = sum(
        changed_lines(content_of(files, path), content_of(after, path)) for path in {*files, *after}
    )
    assert changed <= CONTRACTS.policy.max_patch_lines
    return after


def content_of(files: Files, path: str) -> bytes | None:
    return files[path].content if path in files else None


def order_of_tasks(pick: Callable[[list[str]], str] = min) -> list[str]:
    """An order that dependencies allow; of the tasks that are ready, `pick` chooses the next."""
    order: list[str] = []
    while len(order) < len(TASKS):
        ready = [
            name
            for name, task in TASKS.items()
            if name not in order and set(task.depends_on) <= set(order)
        ]
        order.append(pick(ready))
    return order


def finished(pick: Callable[[list[str]], str] = min) -> Files:
    files = seed()
    for task_id in order_of_tasks(pick):
        files = applied(files, TASKS[task_id])
    return files


def write_out(files: Files, folder: Path) -> None:
    for path, file in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)


def test_the_example_s_contracts_can_be_used_over_the_default_ones() -> None:
    CONTRACTS.check()
    for agent in CONTRACTS.swarm.agents.values():
        assert (agent.adapter, agent.model) == ("scripted", "recorded")
        assert agent.settings["folder"] == ".roadmap/recorded"


def test_the_example_has_nine_tasks_without_a_review_or_a_limit_in_the_way() -> None:
    assert list(TASKS) == [f"T-{1000 + 10 * number}" for number in range(9)]
    assert order_of_tasks() == list(TASKS)
    for task in TASKS.values():
        assert task.acceptance
        assert not task.review
        assert CONTRACTS.agent.kind(task.kind).review == "none"
        assert CONTRACTS.swarm.line_up(task.kind) == (f"agent-{task.kind}",)


def test_every_task_has_one_recorded_answer_and_nobody_else_has() -> None:
    folder = EXAMPLE / "roadmap" / "recorded"
    assert sorted(path.name for path in folder.iterdir()) == [f"{name}.json" for name in TASKS]
    for task_id in TASKS:
        envelope = recorded(task_id)
        assert (envelope.action, envelope.task_id) == ("agent.result", task_id)
        assert envelope.attempt_id == f"{task_id}-A1"
        assert envelope.payload.checks


def test_the_recorded_answers_show_every_operation() -> None:
    answers = [encode(recorded(name).payload) for name in TASKS]
    updates = [update for answer in answers for update in answer["file_updates"]]
    assert {update["op"] for update in updates} == set(update_schemas())
    assert any(update.get("encoding") == "base64" for update in updates)
    assert any(update.get("executable") for update in updates if update["op"] == "write")
    assert any("base_sha256" in update for update in updates)


def test_the_proposals_fit_whatever_the_order_that_dependencies_allow() -> None:
    assert order_of_tasks(max) != order_of_tasks(min)
    assert finished(max) == finished(min)


def test_nothing_of_the_placeholder_is_left() -> None:
    assert sorted(finished()) == [
        ".gitattributes",
        "README.md",
        "docs/qa/accessibility.md",
        "docs/qa/content.md",
        "docs/qa/style.md",
        "docs/spec/content.md",
        "docs/spec/form.md",
        "docs/spec/style.md",
        "site/app.js",
        "site/favicon.png",
        "site/index.html",
        "site/styles.css",
        "tests/test_page.py",
        "tools/preview.sh",
    ]


def test_what_is_meant_to_be_started_is_executable() -> None:
    files = finished()
    assert {path for path, file in files.items() if file.executable} == {
        "tests/test_page.py",
        "tools/preview.sh",
    }
    assert all(files[path].content.startswith(b"#!") for path in files if files[path].executable)


def test_text_ends_each_line_with_a_line_feed_and_nothing_else() -> None:
    for path, file in finished().items():
        if not path.endswith(".png"):
            text = file.content.decode()
            assert text.endswith("\n"), path
            assert "\r" not in text
            assert not re.search(r"[ \t]$", text, re.MULTILINE), path


def test_the_example_s_own_tests_pass_after_each_task_that_checks(tmp_path: Path) -> None:
    files = seed()
    counts = []
    for task_id in order_of_tasks():
        files = applied(files, TASKS[task_id])
        if TASKS[task_id].kind != "qa":
            continue
        folder = tmp_path / task_id
        write_out(files, folder)
        done = subprocess.run(
            ["python3", "-B", "tests/test_page.py"], cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        found = re.search(r"Ran (\d+) tests", done.stderr)
        assert found is not None
        counts.append(int(found[1]))
        said = f"python3 tests/test_page.py: {found[1]} tests, all pass."
        assert said in recorded(task_id).payload.checks
    assert counts == sorted(set(counts))


class _Strict(HTMLParser):
    """Fails at the first element that is not closed where it should be."""

    VOID = frozenset({"input", "link", "meta"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> names an attribute twice"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"


def test_the_page_is_well_formed_after_every_task() -> None:
    files = seed()
    for task_id in order_of_tasks():
        files = applied(files, TASKS[task_id])
        if "site/index.html" in files:
            parser = _Strict()
            parser.feed(files["site/index.html"].content.decode())
            parser.close()
            assert parser.open == []
