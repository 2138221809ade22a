"""`git esaa review`: what waits for people, and what they decide."""

from __future__ import annotations

import click

from esaa_git.app import reviews
from esaa_git.app.project import Project
from esaa_git.app.questions import Asking, open_questions
from esaa_git.app.reviews import Proposed, Waiting
from esaa_git.cli.output import as_option, examples, json_option, pass_project, print_json, say
from esaa_git.cli.work import print_outcome
from esaa_git.core.printable import visible
from esaa_git.core.rejection import excerpt
from esaa_git.errors import UsageError

_SHOWN = 500
"""Characters of a question in the list; 'git esaa review TASK' shows the whole."""


@click.command(
    epilog=examples(
        "git esaa review",
        "git esaa review T-1000",
        "git esaa review T-1000 --approve",
        'git esaa review T-1000 --request-changes "the tests do not cover the empty file"',
        'git esaa review T-1000 --deny --reason "nobody needs it any more"',
    )
)
@click.argument("task_id", metavar="[TASK]", required=False)
@click.option("--approve", is_flag=True, help="Agree with the result.")
@click.option("--deny", is_flag=True, help="Refuse it: the task is blocked, with --reason.")
@click.option("--request-changes", metavar="TEXT", help="Send it back, saying what is missing.")
@click.option("--reason", default="", metavar="TEXT", help="Why; a remark to an approval.")
@click.option(
    "--comment",
    "comments",
    multiple=True,
    metavar="PATH:LINE=TEXT",
    help="Say something of a line that it changes; the next attempt is told.",
)
@click.option("--checkout", is_flag=True, help="Check it out in a work tree of its own.")
@click.option("--ask-again", is_flag=True, help="Ask anew where nobody decided in time.")
@json_option
@as_option
@pass_project
def review(
    project: Project,
    task_id: str | None,
    approve: bool,
    deny: bool,
    request_changes: str | None,
    reason: str,
    comments: tuple[str, ...],
    checkout: bool,
    ask_again: bool,
    as_json: bool,
    actor: str | None,
) -> int:
    """See what waits for a decision, look at it, and decide.

    Without TASK, all that waits is listed: since when, for whom, and until when. With it, the
    result is shown with its diff, its checks, its cost and the rules that ask for a consent; or all
    that its agent asks.

    A decision is signed with your own SSH key, over exactly these files and rules; it needs no
    other key, and 'git esaa push' shares it. What follows from it is the orchestrator's: where its
    key is here as well it happens at once, else with its next run. Nobody approves their own work.
    """
    verdicts = [approve, deny, request_changes is not None, ask_again, checkout]
    if sum(verdicts) > 1:
        raise UsageError(
            "--approve, --deny, --request-changes, --checkout and --ask-again exclude each other"
        )
    if task_id is None:
        if any(verdicts) or reason or comments:
            raise UsageError(
                "no task is named", hint="run 'git esaa review' to see what waits for a decision"
            )
        return _list(reviews.waiting(project), open_questions(project), as_json)
    if (reason or comments) and not (approve or deny or request_changes is not None):
        raise UsageError(
            "a reason or comment goes with a decision",
            hint=f"add --approve, --deny or --request-changes to 'git esaa review {task_id}'",
        )
    if checkout:
        say(str(reviews.checkout(project, task_id)))
        return 0
    if ask_again:
        return print_outcome(reviews.ask_again(project, task_id, actor=actor), as_json)
    budget = reviews.budget_asked(project, task_id)
    if budget is not None and not any(verdicts):
        say(f"{task_id} asks for {reviews.budget_words(budget)}")
        say(f"\ndecide: git esaa review {task_id} --approve, or --deny", err=True)
        return 0
    if not any(verdicts) and (asking := open_questions(project, task_id)):
        if as_json:
            print_json([one.to_json() for one in asking])
            return 0
        for asked in asking:
            print_question(asked, asked.text)
        return 0
    if not any(verdicts):
        return _show(project, reviews.proposed(project, task_id), as_json)
    if request_changes is not None and reason:
        raise UsageError("--request-changes holds the reason already")
    outcome = reviews.review(
        project,
        task_id,
        verdict="approve" if approve else "deny" if deny else "request_changes",
        reason=reason if request_changes is None else request_changes,
        comments=comments,
        actor=actor,
    )
    if approve or as_json or outcome.kind != "rejected":
        return print_outcome(outcome, as_json)
    what = "is denied, and blocked" if deny else "goes back"
    say(f"{task_id} {what}{': ' if outcome.message else ''}{outcome.message}")
    return 0


def _list(found: list[Waiting], asking: list[Asking], as_json: bool) -> int:
    if as_json:
        print_json([*(one.to_json() for one in found), *(one.to_json() for one in asking)])
        return 0
    if not found and not asking:
        say("nothing waits for a decision")
    for one in found:
        until = f", until {one.approval.expires}" if one.approval.expires else ""
        say(visible(f"{one.name}  {one.title}"))
        if one.answered:
            say(f"  waits since {one.since} for {one.needs}{until}")
            if one.approval.reviewer is not None:
                say(f"  {one.approval.reviewer} was asked, until {one.approval.deadline}")
            if one.approval.grants:
                say(f"  approved by {', '.join(grant.by for grant in one.approval.grants)}")
        else:
            again = f"git esaa review {one.task.task_id} --ask-again"
            say(f"  nobody decided until {one.approval.expires}; to ask again: {again}")
    for asked in asking:
        say(visible(f"{asked.task.task_id}  {asked.task.title}"))
        print_question(asked, excerpt(asked.text, _SHOWN))
    if found or any(len(asked.text) > _SHOWN for asked in asking):
        say("\nto look at one: git esaa review TASK", err=True)
    return 0


def print_question(asked: Asking, text: str) -> None:
    """Print what an agent asks, which is its words on each line that begins with a bar."""
    question = asked.question
    say(f"  {question.attempt_id} asks since {question.since}:")
    for line in text.split("\n"):
        say(visible(f"  | {line}", keep=""))
    say(f"  to answer: git esaa answer {question.question_id} TEXT")


def _show(project: Project, found: Proposed, as_json: bool) -> int:
    from esaa_git.core.events.base import encode
    from esaa_git.core.said import task_json

    task, result, approval = found.task, found.result, found.approval
    if as_json:
        print_json(
            {
                "task": task_json(task, project.words),
                "approval": approval.to_json(),
                "result": None if result is None else encode(result),
                "ref": found.ref,
            }
        )
        return 0
    from esaa_git.cli.history import print_effect

    say(visible(f"{task.task_id}  {task.title}"))
    for line in task.acceptance:
        say(visible(f"  - {line}"))
    if task.result is not None:
        say(visible(f"{found.attempt_id} by {task.result.agent}: {task.result.summary}"))
    for what, value in _facts(found):
        say(visible(f"{what}: {value}"))
    print_effect(project, found.attempt_id)
    name = task.task_id
    if found.ref is not None:
        say(f"\nto try it: git esaa review {name} --checkout", err=True)
    say(f"\ndecide: git esaa review {name} --approve, --request-changes TEXT, or --deny", err=True)
    return 0


def _facts(found: Proposed) -> list[tuple[str, str]]:
    result, approval = found.result, found.approval
    facts = [("asked for by", "; ".join(dict.fromkeys(one.rule for one in approval.requirements)))]
    if approval.expires is not None:
        facts.append(("until", approval.expires))
    if approval.grants:
        facts.append(("approved by", ", ".join(one.by for one in approval.grants)))
    if found.checks:
        said = (f"{name} {'passed' if passed else 'failed'}" for name, passed in found.checks)
        facts.append(("checks", ", ".join(said)))
    if result is not None and result.model is not None:
        facts.append(("model", result.model))
    usage = None if result is None else result.usage
    cost = None if usage is None else usage.cost_microdollars
    if cost is not None:
        facts.append(("cost", f"{cost / 1_000_000:.6f} USD"))
    if found.rejection is not None:
        last = found.rejection
        facts.append((f"rejected before ({last.attempt_id})", f"{last.code}: {last.message}"))
    return facts
