"""`git esaa agent` and `context`: who can work here, a task to try one with, what one is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from esaa_git.app.agents import members, request_of
from esaa_git.app.door import HINT
from esaa_git.app.project import Project
from esaa_git.cli.allow import settle_agent
from esaa_git.cli.output import (
    examples,
    json_option,
    pass_project,
    print_json,
    print_table,
    sandbox_option,
    say,
    style,
)
from esaa_git.errors import AgentError, ServiceUnavailable

if TYPE_CHECKING:
    from esaa_git.app.agents import Member
    from esaa_git.app.trial import TrialResult, TrialSetup


@click.group()
def agent() -> None:
    """List the agents of the swarm, and try one out.

    Both look at .roadmap/agents_swarm.yaml as it stands in the checkout, which takes effect with
    the next run.
    """


@agent.command("list", epilog=examples("git esaa agent list", "git esaa agent list --json"))
@sandbox_option
@json_option
@pass_project
def list_(project: Project, sandbox: str, as_json: bool) -> None:
    """List the agents, and what keeps each of them from working here.

    Nothing is asked of any service: that a program and the variables are there says nothing yet
    of its key. 'git esaa agent test' does. Below the table stands what each asks of your machine:
    asked, granted ('git esaa allow'), or never given.
    """
    found = members(project, sandbox)
    if as_json:
        print_json({"agents": [_as_json(one) for one in found]})
        return
    print_table(
        ("agent", "adapter", "model", "kinds", "sandbox", "state"),
        (
            (
                one.name,
                one.adapter,
                one.model or "",
                ", ".join(one.kinds),
                one.sandbox or "",
                _state(one),
            )
            for one in found
        ),
    )
    for one in found:
        for asked in one.asks:
            word = (
                "never given, though asked"
                if asked.never
                else "granted"
                if asked.granted
                else "asked"
            )
            say(f"{word} by {one.name}: {asked.words()}")
    if any(asked.is_new for one in found for asked in one.asks):
        project.note(f"note: {HINT}")


def _state(one: Member) -> str:
    if one.missing is not None:
        return one.missing + (f" ({one.cause})" if one.cause else "")
    return "ready" if one.is_allowed else "not agreed to (git esaa allow)"


def _as_json(one: Member) -> dict[str, Any]:
    return {
        "name": one.name,
        "adapter": one.adapter,
        "preset": one.preset,
        "model": one.model,
        "kinds": list(one.kinds),
        "sandbox": one.sandbox,
        "ready": one.missing is None,
        "missing": one.missing,
        "cause": one.cause,
        "hint": one.hint,
        "allowed": one.is_allowed,
        "asks": [asked.to_json() for asked in one.asks],
    }


@agent.command(
    "test",
    epilog=examples("git esaa agent test agent-impl", "git esaa agent test agent-impl --keep"),
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
    from esaa_git.app.trial import TITLE, trial

    settle_agent(project, name)
    with trial(project, name, sandbox=sandbox, keep=keep) as prepared:
        setup = prepared.setup
        said = _setup_json(setup)
        if not as_json:
            _print_setup(setup, TITLE)
        if setup.is_recorded:
            note = "it answers from recordings, and has none for a trial"
            print_json({**said, "note": note}) if as_json else _line("note", note)
            return
        result = prepared.run()
    if as_json:
        print_json({**said, **_result_json(result)})
    else:
        _print_result(result)
    _check(name, setup.adapter, result)


def _setup_json(setup: TrialSetup) -> dict[str, Any]:
    said: dict[str, Any] = {
        "agent": setup.agent,
        "adapter": setup.adapter,
        "preset": setup.preset,
        "model": setup.model,
        "sandbox": setup.sandbox,
        "hosts": list(setup.hosts),
    }
    if setup.program is not None:
        said["program"] = setup.program
    if setup.version is not None:
        said["version"] = setup.version
    return said


def _result_json(result: TrialResult) -> dict[str, Any]:
    said: dict[str, Any] = {
        "milliseconds": result.milliseconds,
        "latency_ms": result.latency_ms,
        "answered_as": result.answered_as,
        "usage": dict(result.usage),
        "tries": [dict(tried) for tried in result.tries],
    }
    rejected = result.rejected
    if rejected is not None:
        said["rejected"] = {
            "code": str(rejected.code),
            "message": rejected.message,
            "detail": dict(rejected.detail),
        }
    else:
        said["action"] = result.action
        said["summary"] = result.summary
        said["files"] = [dict(file) for file in result.files]
        said["as_asked"] = result.is_as_asked
    if result.kept is not None:
        said["kept"] = str(result.kept)
    return said


def _print_setup(setup: TrialSetup, title: str) -> None:
    model = f", {setup.model}" if setup.model else ""
    _line("agent", f"{setup.agent} ({setup.preset or setup.adapter}{model})")
    if setup.program is not None:
        version = f" ({setup.version})" if setup.version else ""
        _line("program", setup.program + version)
    hosts = ", ".join(setup.hosts)
    _line("confined", setup.sandbox + (f", reaches {hosts}" if hosts else ""))
    _line("asked", title)


def _print_result(result: TrialResult) -> None:
    _line("answered", f"after {_seconds(result.milliseconds)}")
    if result.rejected is not None:
        _line("rejected", f"{result.rejected.code}: {result.rejected.message}")
        if result.rejected.detail.get("stderr"):
            say(result.rejected.detail["stderr"].rstrip())
    else:
        _line("said", f"{result.action}: {' '.join(result.summary.split())}")
        for file in result.files:
            _line("proposed", f"{file['change']} {file['path']} ({file.get('bytes', 0)} bytes)")
    if result.usage:
        _line("took", _took(result.usage))
    if result.kept is not None:
        _line("kept", str(result.kept))


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
    say(f"{style(f'{label:<9}', bold=True)} {text}")


_GUIDES: Final = {"acp": "acp", "http": "model-endpoints", "local": "local-model"}
"""The guide of each adapter that is none of coding agents'."""


def _check(name: str, adapter: str, result: TrialResult) -> None:
    """Raise AgentError if the agent did not do what it was asked, or ServiceUnavailable."""
    if result.is_as_asked:
        say(f"agent '{name}' works", err=True)
        return
    if result.kept is not None:
        look = f"look at the request and the answer in '{result.kept}'"
    else:
        look = f"run 'git esaa agent test {name} --keep' and look at the request and the answer"
    if result.away is not None:
        reason, hint = result.away
        again = f"run 'git esaa agent test {name}' again later; nothing is wrong with the entry"
        raise ServiceUnavailable(
            f"the service of agent '{name}' is not available: {reason}", hint=hint or again
        )
    if result.rejected is not None:
        guide = _GUIDES.get(adapter, "coding-agents")
        raise AgentError(
            f"agent '{name}' failed its trial: {result.rejected.message}",
            cause=str(result.rejected.code),
            hint=f"{look}; docs/guides/{guide}.md says what to do about each failure",
        )
    raise AgentError(
        f"agent '{name}' gave a valid answer, and did something else than it was asked",
        cause=f"'{result.summary[:200]}'",
        hint=f"try another model, or {look}",
    )


# -- what an agent would be sent ------------------------------------------------------------------


@click.command(
    epilog=examples("git esaa context T-1000", "git esaa context T-1000 --agent local > prompt.txt")
)
@click.argument("task_id", metavar="TASK")
@click.option(
    "--agent",
    metavar="NAME",
    help="As if this agent of the swarm did it, instead of the one that will.",
)
@json_option
@pass_project
def context(project: Project, task_id: str, agent: str | None, as_json: bool) -> None:
    """Show exactly what would be sent to the agent of a task.

    Nothing is recorded, started or asked. The request goes to standard output byte for byte; who
    it is for, its size and its SHA-256 (which the dispatch event records) go to standard error.
    The id and the deadline of the attempt are those that it would get at this moment. Of a task
    that somebody works on, the request of the attempt under way is shown.
    """
    from esaa_git.core.canonical import digest

    shown = request_of(project, task_id, agent)
    request = shown.request
    described = {
        "task_id": request.task_id,
        "attempt_id": request.attempt_id,
        "open": shown.open,
        "agent": shown.agent,
        "adapter": shown.adapter,
        "model": shown.model,
        "template": request.template,
        "sandbox": shown.sandbox,
        "base": request.base,
        "deadline": request.deadline,
        "bytes": len(request.sent),
        "sha256": digest(request.sent),
    }
    if as_json:
        sent = request.sent.decode(errors="replace")
        print_json({**described, "notes": list(shown.notes), "sent": sent})
        return
    named = ("agent", "adapter", "template", "bytes", "sha256", "sandbox")
    line = ", ".join(f"{name} {described[name]}" for name in named if described[name] is not None)
    project.note(f"{request.attempt_id}: {line}")
    for note in shown.notes:
        project.note(f"note: {note}")
    say(request.sent, nl=False)
