"""`git esaa policy`: the rules looked over, tried, and explained."""

from __future__ import annotations

from typing import Any

import click

from esaa_git.app import policy as use
from esaa_git.app.project import Project
from esaa_git.cli.output import (
    examples,
    json_option,
    pass_project,
    print_json,
    say,
    showing_progress,
    style,
)
from esaa_git.errors import EsaaError

_SHOWN = 20
_COLOURS = {"allow": "green", "require": "yellow", "deny": "red"}


@click.group()
def policy() -> None:
    """Look over, try and explain the rules of POLICY.yaml.

    A rule says who may propose what, and what a person has to agree to. Nothing here records
    anything: an edit takes effect with the next run that an admin starts.
    """


@policy.command(
    "check",
    epilog=examples(
        "git esaa policy check",
        "git esaa policy check draft.yaml",
        more="The exit code is 0 where nothing is wrong, 1 where a rule names what there is not "
        "or never decides, and 4 where the file cannot be used.",
    ),
)
@click.argument("file", required=False, type=click.File("rb"))
@json_option
@pass_project
def check(project: Project, file: Any, as_json: bool) -> int:
    """Say what is wrong with a policy, with line and column.

    Without FILE, .roadmap/POLICY.yaml is looked over. Beside what cannot be used, rules are named
    that never match, never decide, or name a kind or an agent that there is not.
    """
    found = use.look_over(project, _named(file))
    if as_json:
        print_json(found.to_json())
    else:
        for one in found.findings:
            line, column = one.place
            say(f"{found.name}:{line}:{column}: '{one.rule}': {one.message}")
        count = len(found.policy.rules)
        verdict = f"{len(found.findings)} doubtful" if found.findings else "nothing wrong"
        say(f"{count} rules, {len(found.policy.cases)} cases: {verdict}")
    return EsaaError.exit_code if found.findings else 0


@policy.command(
    "test",
    epilog=examples(
        "git esaa policy test",
        "git esaa policy test cases.yaml",
        "git esaa policy test --history",
        "git esaa policy test --history --diff --since EV-00001000",
        more="The exit code is 1 where a case is not answered as it says.",
    ),
)
@click.argument("cases", required=False, type=click.File("rb"))
@click.option("--history", is_flag=True, help="Try it on every proposal that is on record.")
@click.option("--since", metavar="EVENT", help="With --history, from this event on.")
@click.option(
    "--diff", is_flag=True, help="With --history, what the policy in force answers otherwise."
)
@json_option
@pass_project
def test(
    project: Project, cases: Any, history: bool, since: str | None, diff: bool, as_json: bool
) -> int:
    """Try .roadmap/POLICY.yaml on cases, or on the history.

    Without CASES, those in the policy itself are tried. A file of cases has a list 'cases', each
    with 'given' (the facts), 'expect' (allow, deny or require) and optionally 'rules' (all that
    match). The history shows what the rules would have denied, asked a person for, or noted.
    """
    if not history and (since is not None or diff):
        raise click.UsageError("--since and --diff go with --history")
    if not history:
        return _cases(project, cases, as_json)
    if cases is not None:
        raise click.UsageError("CASES and --history exclude each other")
    with showing_progress(project, "trying", quiet=as_json):
        found = use.try_on_history(project, since, diff=diff)
    if as_json:
        print_json(found.to_json())
    else:
        _history(found, diff)
    return 0


@policy.command("explain", epilog=examples("git esaa policy explain T-1000"))
@click.argument("task_id", metavar="TASK")
@json_option
@pass_project
def explain(project: Project, task_id: str, as_json: bool) -> None:
    """Say what the policy in force says of a task's last proposal, rule by rule."""
    found = use.explain(project, task_id)
    if as_json:
        print_json(found.to_json())
        return
    answer, facts = found.answer, found.answer.facts
    say(f"{answer.attempt_id} ({answer.event_id}, {answer.became})")
    model = f" with {facts.model}" if facts.model else ""
    cost = "" if facts.cost_microdollars is None else f", ${facts.cost_microdollars / 1e6:.2f}"
    size = f"{len(facts.files)} files, {facts.lines} lines"
    say(f"facts: {facts.kind} by {facts.agent}{model}, {size}{cost}")
    for file in facts.files[:_SHOWN]:
        source = f" from {file.from_}" if file.from_ else ""
        say(f"  {', '.join(file.operations)} {file.path}{source}")
    if len(facts.files) > _SHOWN:
        say(f"  and {len(facts.files) - _SHOWN} more (--json)")
    if found.policy is None:
        say("no policy is in force: nothing is asked")
        return
    errors = {hit.rule.name: hit.error for hit in answer.verdict.hits}
    for rule, missed in found.rules:
        if missed is not None:
            say(f"  no   {rule.name}: '{missed}' does not hold")
            continue
        error = errors.get(rule.name)
        why = f"it could not be evaluated: {error}" if error else rule.says
        effect = "deny" if error else rule.effect
        mode = "" if rule.mode == "enforce" else f" ({rule.mode})"
        say(f"  yes  {rule.name}: {_effect(effect)}{mode}: {why}")
    say(f"so: {_decided(answer)}")


def _named(file: Any) -> use.File | None:
    return None if file is None else (file.read(), str(getattr(file, "name", "<stdin>")))


def _cases(project: Project, cases: Any, as_json: bool) -> int:
    found = use.try_on_cases(project, _named(cases))
    failed = [one for one in found if one.fault is not None]
    if as_json:
        print_json(
            [
                {
                    "name": one.case.name,
                    "expect": one.case.expect,
                    "effect": one.verdict.effect,
                    "fault": one.fault,
                }
                for one in found
            ]
        )
    else:
        for one in failed:
            say(f"{style('failed', fg='red')} {one.case.name}: {one.fault}")
        say(f"{len(found) - len(failed)} of {len(found)} cases are answered as they say")
    return EsaaError.exit_code if failed else 0


def _history(found: use.Tried, diff: bool) -> None:
    shown = [one for one in found.answers if diff or one.verdict.hits or one.said[0] != "allow"]
    for one in shown[-_SHOWN:]:
        before = found.before.get(one.event_id)
        was = "" if before is None else f" (in force: {_decided(before)})"
        say(f"{one.event_id} {one.attempt_id} {one.became}: {_decided(one)}{was}")
    if len(shown) > _SHOWN:
        say(f"and {len(shown) - _SHOWN} before these (--json lists them)")
    bare = f", {found.without_facts} without facts on record" if found.without_facts else ""
    if diff:
        say(f"{found.count} proposals{bare}: {len(found.answers)} answered otherwise")
        return
    effects = found.effects()
    said = ", ".join(f"{effects[one]} {word}" for one, word in _WOULD.items())
    say(f"{found.count} proposals{bare}: {said}")


_WOULD = {"deny": "denied", "require": "asked a person for", "allow": "allowed"}


def _decided(answer: Any) -> str:
    effect, by = answer.said
    rules = f" by {', '.join(by)}" if by else ""
    noted = [f"{one.rule} ({one.mode}: {one.effect})" for one in answer.verdict.notes]
    return _effect(effect) + rules + (f", noted {', '.join(noted)}" if noted else "")


def _effect(effect: str) -> str:
    return style(effect, fg=_COLOURS[effect])
