"""`git esaa agent`: who there is, whether they can work here, and a task to try one with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esaa_git.app.project import Project
from esaa_git.app.roadmap import read_contracts
from esaa_git.cli.output import (
    json_option,
    pass_project,
    print_json,
    print_table,
    sandbox_option,
    style,
)
from esaa_git.errors import AgentError, EsaaError

if TYPE_CHECKING:
    from esaa_git.app.agents import Trial
    from esaa_git.core.contracts import AgentEntry, Contracts, Swarm
    from esaa_git.ports.agent import AgentAdapter

_VERSION_SECONDS = 60


@click.group()
def agent() -> None:
    """List the agents of the swarm, and try one out.

    Both look at .roadmap/agents_swarm.yaml as it stands in the checkout, which takes effect with
    the next run.
    """


@agent.command(
    "list",
    epilog="""\b
Example:
  git esaa agent list
  git esaa agent list --json
""",
)
@sandbox_option
@json_option
@pass_project
def list_(project: Project, sandbox: str, as_json: bool) -> None:
    """List the agents, and what keeps each of them from working here.

    Nothing is asked of any service: that a program and the variables are there says nothing yet
    of its key. 'git esaa agent test' does.
    """
    project.sandbox = sandbox
    contracts = read_contracts(project.repository)
    swarm = contracts.swarm
    rows = [_described(project, entry, contracts) for entry in swarm.agents.values()]
    if as_json:
        print_json({"agents": rows})
        return
    print_table(
        ("agent", "adapter", "model", "kinds", "sandbox", "state"),
        (
            (
                row["name"],
                row["adapter"],
                row["model"] or "",
                ", ".join(row["kinds"]),
                row["sandbox"] or "",
                "ready" if row["ready"] else f"{row['missing']} ({row['cause']})",
            )
            for row in rows
        ),
    )


def _described(project: Project, entry: AgentEntry, contracts: Contracts) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": entry.name,
        "adapter": entry.adapter,
        "preset": entry.settings.get("preset"),
        "model": entry.model,
        "kinds": _kinds(contracts.swarm, entry.name),
        "sandbox": None,
        "ready": False,
        "missing": None,
        "cause": None,
        "hint": None,
    }
    try:
        adapter = project.make_agent(entry, contracts)
        row["sandbox"] = adapter.sandbox
        adapter.ready()
    except EsaaError as error:
        message = error.message.removeprefix(f"agent '{entry.name}': ")
        return {**row, "missing": message, "cause": error.cause, "hint": error.hint}
    return {**row, "ready": True}


def _kinds(swarm: Swarm, name: str) -> list[str]:
    return sorted(kind for kind, agent in swarm.kinds.items() if agent == name)


@agent.command(
    "test",
    epilog="""\b
Example:
  git esaa agent test agent-impl
  git esaa agent test agent-impl --keep
""",
)
@click.argument("name")
@click.option("--keep", is_flag=True, help="Keep the trial's repository, request and answer.")
@sandbox_option
@json_option
@pass_project
def test(project: Project, name: str, keep: bool, sandbox: str, as_json: bool) -> None:
    """Have an agent do a small task in a repository made for it, confined as in a run.

    It is asked to write one line into a file. What it took is paid for like any other task. Your
    repository is not touched, and nothing is recorded.
    """
    from esaa_git.app import agents

    contracts = read_contracts(project.repository)
    entry = agents.anchored(contracts.swarm.agent(name), project.repository.workdir)
    with agents.trial_folder(keep=keep) as top:
        folder = top / "repository"
        adapter = agents.adapter_at(folder, entry, contracts, sandbox)
        said: dict[str, Any] = {
            "agent": name,
            "adapter": entry.adapter,
            "preset": entry.settings.get("preset"),
            "model": entry.model,
            "sandbox": adapter.sandbox,
            "hosts": list(entry.settings.get("hosts", ())),
        }
        adapter.ready()
        said |= _installed(adapter, top)
        if not as_json:
            _print_before(said, agents.TITLE)
        if entry.adapter == "scripted":
            note = "it answers from recordings, and has none for a trial"
            print_json({**said, "note": note}) if as_json else _line("note", note)
            return
        began = time.monotonic()
        done = agents.run_trial(folder, adapter, contracts)
        said |= _outcome(done, int((time.monotonic() - began) * 1000))
        if keep:
            (top / "request").write_bytes(done.request.sent)
            (top / "answer").write_bytes(done.answer.output)
            said["kept"] = str(top)
    if as_json:
        print_json(said)
    else:
        _print_after(said)
    _check(name, done, said)


def _installed(adapter: AgentAdapter, top: Path) -> dict[str, str]:
    """Return where a preset's tool is, and which version it says it is."""
    from esaa_git.agents.programs import environment
    from esaa_git.agents.worktree import WorktreeAgent
    from esaa_git.sandbox import confinement

    if not isinstance(adapter, WorktreeAgent):
        return {}
    program = adapter.program()
    if adapter.preset is None:
        return {"program": program}
    home = top / "home"
    home.mkdir()
    try:
        outcome = confinement.run(
            adapter.sandbox,
            [program, "--version"],
            rules=confinement.Rules((), (home,)),
            cwd=home,
            env=environment(adapter.name, (), home=home, tmp=home, ours={}),
            body=b"",
            max_output_bytes=10_000,
            until=time.monotonic() + _VERSION_SECONDS,
            pause=lambda: None,
        )
    except confinement.NotStarted as error:
        raise AgentError(
            f"agent '{adapter.name}': '{program}' cannot be started",
            cause=str(error),
            hint=f"run '{adapter.preset.install}'",
        ) from error
    if outcome.status:
        raise AgentError(
            f"agent '{adapter.name}': '{program} --version' fails when confined",
            cause=outcome.stderr.decode("utf-8", "replace").strip()[-500:] or "it says nothing",
            hint="name what it has to read outside of its own folder under 'read' in "
            f"its entry, or run '{adapter.preset.install}'",
        )
    version = outcome.output.decode("utf-8", "replace").strip().splitlines()
    return {"program": program, "version": version[0] if version else ""}


def _outcome(done: Trial, milliseconds: int) -> dict[str, Any]:
    from esaa_git.core.rejection import Rejected

    answer, verdict = done.answer, done.verdict
    said: dict[str, Any] = {
        "milliseconds": milliseconds,
        "latency_ms": answer.latency_ms,
        "answered_as": answer.model,
        "usage": dict(answer.usage),
        "tries": [dict(tried) for tried in answer.tries],
    }
    if isinstance(verdict, Rejected):
        rejected = {"code": str(verdict.code), "message": verdict.message}
        return {**said, "rejected": rejected | {"detail": dict(verdict.detail)}}
    envelope = verdict.envelope
    proposal = getattr(verdict, "proposal", None)
    words = envelope.payload.get("summary") or envelope.payload.get("title") or ""
    return {
        **said,
        "action": envelope.action,
        "summary": words,
        "files": [] if proposal is None else [file.to_json() for file in proposal.files],
        "as_asked": done.is_as_asked,
    }


def _print_before(said: Mapping[str, Any], title: str) -> None:
    kind = said["preset"] or said["adapter"]
    model = f", {said['model']}" if said["model"] else ""
    _line("agent", f"{said['agent']} ({kind}{model})")
    if "program" in said:
        version = f" ({said['version']})" if said.get("version") else ""
        _line("program", said["program"] + version)
    hosts = ", ".join(said["hosts"])
    _line("confined", said["sandbox"] + (f", reaches {hosts}" if hosts else ""))
    _line("asked", title)


def _print_after(said: Mapping[str, Any]) -> None:
    _line("answered", f"after {_seconds(said['milliseconds'])}")
    if "rejected" in said:
        _line("rejected", f"{said['rejected']['code']}: {said['rejected']['message']}")
        if said["rejected"]["detail"].get("stderr"):
            click.echo(said["rejected"]["detail"]["stderr"].rstrip())
    else:
        _line("said", f"{said['action']}: {' '.join(said['summary'].split())}")
        for file in said["files"]:
            _line("proposed", f"{file['change']} {file['path']} ({file.get('bytes', 0)} bytes)")
    if said["usage"]:
        _line("took", _took(said["usage"]))
    if "kept" in said:
        _line("kept", said["kept"])


def _took(usage: Mapping[str, Any]) -> str:
    parts = []
    if "input_tokens" in usage:
        cached = usage.get("cached_input_tokens")
        parts.append(
            f"{usage['input_tokens']:,} input tokens" + (f" ({cached:,} cached)" if cached else "")
        )
    if "output_tokens" in usage:
        parts.append(f"{usage['output_tokens']:,} output tokens")
    if "cost_microdollars" in usage:
        dollars, rest = divmod(usage["cost_microdollars"], 1_000_000)
        parts.append(f"{dollars}.{rest:06d} USD, {usage.get('price_source', 'source unknown')}")
    else:
        parts.append("cost not reported")
    return ", ".join(parts)


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000 // 100} s"


def _line(label: str, text: str) -> None:
    click.echo(f"{style(f'{label:<9}', bold=True)} {text}")


def _check(name: str, done: Trial, said: Mapping[str, Any]) -> None:
    """Raise AgentError if the agent did not do what it was asked."""
    if done.is_as_asked:
        click.echo(f"agent '{name}' works", err=True)
        return
    if "kept" in said:
        look = f"look at the request and the answer in '{said['kept']}'"
    else:
        look = f"run 'git esaa agent test {name} --keep' and look at the request and the answer"
    if "rejected" in said:
        raise AgentError(
            f"agent '{name}' failed its trial: {said['rejected']['message']}",
            cause=said["rejected"]["code"],
            hint=f"{look}; docs/guides/coding-agents.md says what to do about each failure",
        )
    raise AgentError(
        f"agent '{name}' gave a valid answer, and did something else than it was asked",
        cause=f"'{said['summary'][:200]}'",
        hint=f"try another model, or {look}",
    )
