"""A summary in Markdown: what strangers wrote stays text in it."""

from __future__ import annotations

from esaa_git.report.summary import MAX_ROWS, Brought, BroughtTask, OtherCommit, markdown

BASE, HEAD = "a" * 40, "b" * 40
ROW = (
    "| `bbbbbbbbbbbb` | `T-1` | `Do it` | `alice` | `unit` | not asked for "
    "| `SHA256:x (orchestrator)` |"
)


def shown(*, title: str = "Do it", subject: str = "By hand", others: int = 1) -> str:
    task = BroughtTask(HEAD, "T-1", title, "alice", ("unit",), (), ("SHA256:x (orchestrator)",))
    other = OtherCommit(BASE, "Ann", subject)
    return markdown(
        "ok", ["events 1 to 9 checked"], Brought(BASE, HEAD, (task,), (other,) * others)
    )


def test_it_names_tasks_with_checks_approvals_and_signers_and_other_commits() -> None:
    assert shown().splitlines() == [
        "## git esaa verify: ok",
        "",
        "```",
        "events 1 to 9 checked",
        "```",
        "",
        "### Tasks in `aaaaaaaaaaaa..bbbbbbbbbbbb`",
        "",
        "| commit | task | title | agent | checks passed | approved by | signed by |",
        "|---|---|---|---|---|---|---|",
        ROW,
        "",
        "### Other commits",
        "",
        "| commit | author | subject |  |",
        "|---|---|---|---|",
        "| `aaaaaaaaaaaa` | `Ann` | `By hand` |  |",
    ]


def test_a_text_cannot_leave_its_cell() -> None:
    text = shown(title="a`b | [x](http://evil) <img src=x>\n| @all ``", subject="`")
    (row,) = [line for line in text.splitlines() if "`T-1`" in line]
    assert "| ``` a`b \\| [x](http://evil) <img src=x>\\n\\| @all `` ``` |" in row
    assert "| `` ` `` |" in text


def test_what_a_verification_said_cannot_leave_its_block() -> None:
    lines = markdown("mismatch", ["check 5: ```\n# big"], None).splitlines()
    assert lines == ["## git esaa verify: mismatch", "", "````", "check 5: ```", "# big", "````"]


def test_a_long_range_is_cut() -> None:
    assert "And 3 more." in shown(others=MAX_ROWS + 3)


def test_a_range_of_nothing_says_so() -> None:
    text = markdown("ok", [], Brought(BASE, HEAD, (), ()))
    assert "No effect of a task." in text
    assert "None." in text
