"""`git esaa cost`: what agents took, and how much of each budget is left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import click

from esaa_git.app import cost as use
from esaa_git.app.project import Project
from esaa_git.cli.output import (
    as_option,
    examples,
    json_option,
    pass_project,
    print_json,
    print_table,
    say,
)
from esaa_git.core.budgets import shown
from esaa_git.errors import UsageError
from esaa_git.report.costs import BY, By, Costs, Row

_COLUMNS = ("calls", "tokens", "microdollars", "unknown", "reserved", "unreported")


@click.command(
    epilog=examples(
        "git esaa cost",
        "git esaa cost --by agent --csv > costs.csv",
        'git esaa cost --correct EV-00000042 --microdollars 120000 --evidence "the bill of May"',
    )
)
@click.option(
    "--by", type=click.Choice(BY), default="task", show_default=True, help="What a row is about."
)
@click.option(
    "--csv", "as_csv", is_flag=True, help="Comma-separated values, money in micro-dollars."
)
@click.option("--correct", "event", metavar="EVENT", help="Say what this dispatch has cost.")
@click.option(
    "--microdollars", type=click.IntRange(0), metavar="N", help="With --correct: what it has cost."
)
@click.option("--evidence", metavar="TEXT", help="With --correct: how that is known.")
@as_option
@json_option
@pass_project
def cost(
    project: Project,
    by: str,
    as_csv: bool,
    event: str | None,
    microdollars: int | None,
    evidence: str | None,
    actor: str | None,
    as_json: bool,
) -> None:
    """Show what agents cost, and what is left of the budgets in force.

    A cost that nobody reported counts at all that was reserved for it, and is called unknown,
    until an admin corrects it. A day is one of UTC. Money is in dollars of the US.
    """
    if event is not None:
        if microdollars is None or not evidence:
            raise UsageError(
                "a correction needs the sum and how it is known",
                hint=f"add '--microdollars N --evidence TEXT' to '--correct {event}'",
            )
        use.correct(project, event, microdollars, evidence, actor)
        say(f"{event} has cost {shown('microdollars', microdollars)}")
        return
    if as_csv and as_json:
        raise UsageError("'--csv' and '--json' exclude each other", hint="leave one of them out")
    found, totals = use.cost(project, cast(By, by))
    if as_json:
        rows = [one.to_json() for one in found.rows]
        budgets = [one.to_json() for one in totals]
        print_json({"by": by, "rows": rows, "total": found.total.to_json(), "budgets": budgets})
        return
    if as_csv:
        _print_csv(found)
        return
    print_table([by, "calls", "tokens", "cost", "of it unknown", "held"], map(_cells, found.rows))
    _, *total = _cells(found.total)
    say(f"together: {total[0]} calls, {total[1]} tokens, {total[2]} USD")
    if found.total.unreported:
        say(f"no cost is known of {found.total.unreported} calls")
    print_budgets(totals)


def print_budgets(totals: Sequence[use.Total]) -> None:
    """Say how much of each budget is spent, held and left."""
    for one in totals:
        spent, limit = shown(one.unit, one.spent), shown(one.unit, one.limit)
        held = f", {shown(one.unit, one.reserved)} held" if one.reserved else ""
        guess = f" ({shown(one.unit, one.unknown)} unknown)" if one.unknown else ""
        over = "" if one.left >= 0 else f": over it by {shown(one.unit, -one.left)}"
        say(f"budget of {one.words}: {spent}{guess} of {limit} spent{held}{over}")
        if one.asked is not None:
            say(f"  {one.asked} asks for more: git esaa review {one.asked} --approve")


def _cells(row: Row) -> list[str]:
    money = [row.microdollars, row.unknown, row.reserved]
    dollars = [shown("microdollars", one).removesuffix(" USD") if one else "-" for one in money]
    return [row.name, str(row.calls), str(row.tokens), *dollars]


def _print_csv(found: Costs) -> None:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([found.by, *_COLUMNS])
    for row in found.rows:
        writer.writerow([row.name, *(getattr(row, name) for name in _COLUMNS)])
    say(text.getvalue(), nl=False)
