"""The options of `verify`, `trust` and `checkpoint`: what they say, and what they refuse."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from esaa_git.app.verify import max_age_ms
from esaa_git.errors import UsageError
from esaa_git.trust.keys import create_key
from esaa_git.verification.checkpoint import decode
from tests.conftest import Git
from tests.support.project import Project, make_project, result, run, task, write

HOUR = 3_600_000
UNIT = {"name": "unit", "run": ["true"]}


@pytest.fixture
def project(tmp_path: Path, git: Git) -> Project:
    made = make_project(tmp_path / "project", git, task("T-1"))
    made.answers(T_1=result("T-1", write("src/a.py", "a = 1\n")))
    made.ok("run")
    return made


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2h", 2 * HOUR),
        ("3d", 72 * HOUR),
        ("1d12h", 36 * HOUR),
        ("90m", 90 * 60_000),
        ("45s", 45_000),
        ("0s", 0),
        ("PT2H", 2 * HOUR),
        ("P1D", 24 * HOUR),
        ("P1DT1H", 25 * HOUR),
    ],
)
def test_durations(text: str, milliseconds: int) -> None:
    assert max_age_ms(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    ["", "h", "2", "2 h", "2H", "-1h", "1h2d", "1.5h", "P", "PT", "P1W", "99999d", "٣h", "P٣D"],
)
def test_what_is_no_duration(project: Project, text: str) -> None:
    with pytest.raises(UsageError):
        max_age_ms(text)
    assert "is not a duration" in project.fails(2, "verify", f"--max-age={text}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--record"], "--relink"),
        (["--full", "--since"], "exclude each other"),
        (["--relink", "--since"], "exclude each other"),
        (["--genesis", "abc"], "all 40 digits"),
        (["--genesis", "A" * 40], "all 40 digits"),
        (["--cosigner", "README.md"], "--checkpoint FILE"),
        (["--require", "2"], "--cosigner FILE"),
        (["--checkpoint", "no-such-file"], "no-such-file"),
    ],
)
def test_options_that_do_not_go_together(
    project: Project, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(project.path)
    assert words in project.fails(2, "verify", *arguments)


def test_the_second_verification_has_nothing_to_do(project: Project) -> None:
    project.ok("verify")
    count = len(project.chain())
    assert f"no new events after event {count}" in project.ok("verify")


def test_json_has_what_the_text_says(project: Project) -> None:
    said = json.loads(project.ok("verify", "--full", "--json"))
    assert said["relinked"] == []
    assert said["boundary"] is None
    assert said["hint"] is None
    assert said["recorded"] == 0


def test_relink_on_a_branch_that_is_as_it_was(project: Project) -> None:
    before = project.refs()
    assert "relinked" not in project.ok("verify", "--relink", "--record")
    assert project.refs() == before


def test_trust_without_a_log(tmp_path: Path, git: Git) -> None:
    project = make_project(tmp_path / "empty", git)
    assert "no event log" in project.fails(3, "trust", "pin")
    assert "pinned: nothing" in project.ok("trust", "show")
    said = project.ok("trust", "pin", "a" * 40)
    assert "not known yet" in said
    assert "all 40 digits" in project.fails(2, "trust", "pin", "abc")
    # A log that is pinned and not here is not begun by accident.
    assert "is pinned" in project.fails(9, "run")
    assert project.tip() is None


def test_trust_show_says_how_far_was_verified(project: Project) -> None:
    project.ok("verify")
    project.ok("trust", "pin")
    said = project.ok("trust", "show")
    genesis = project.chain()[0].oid
    assert f"pinned: genesis {genesis}" in said
    assert f"verified: {len(project.chain())} events, to {project.tip()}" in said


def test_a_checkpoint_from_creation_to_a_threshold_of_cosigners(
    project: Project, tmp_path: Path
) -> None:
    said = project.esaa("checkpoint", "create", "--json")
    assert said.code == 0, said
    place = Path(said.json["file"])
    seq = len(project.chain())
    assert said.json["ref"] == f"refs/esaa/checkpoints/{seq}"
    assert place == project.repository.esaa_dir / "checkpoints" / f"{seq}.json"
    assert said.json["checkpoint"]["tip"] == project.tip()
    signers = tmp_path / "signers"
    lines = []
    for name in ("one", "two", "three"):
        line = create_key(tmp_path / name, comment=name)
        lines.append(f"{name}@example.com {line}")
    signers.write_text("\n".join(lines) + "\n")
    trusting = ("--checkpoint", str(place), "--cosigner", str(signers))
    project.ok("verify", "--checkpoint", str(place))
    assert "0 signatures of the given cosigners" in project.esaa("verify", *trusting).out
    for count, name in enumerate(("one", "two"), start=1):
        project.ok("checkpoint", "sign", str(place), "--key", str(tmp_path / name))
        project.ok("verify", *trusting, "--require", str(count))
        said = project.esaa("verify", *trusting, "--require", str(count + 1))
        assert said.code == 9
        assert f"{count} signatures of the given cosigners" in said.out
    found = decode(place.read_bytes())
    assert len(found.signatures) == 3
    shown = run("checkpoint", "show", str(place))
    assert shown.code == 0
    assert shown.out.count("signed by: SHA256:") == 3
    piped = project.git("show", f"refs/esaa/checkpoints/{seq}:checkpoint.json") + "\n"
    assert run("checkpoint", "show", "-", stdin=piped.encode()).out == shown.out
    # It goes on holding while the log grows, whether or not its event is checked anew.
    project.ok("issue", "report", "--task", "T-1", "--severity", "low", "--title", "A smell")
    for arguments in ((), ("--full",), ()):
        project.ok("verify", *trusting, *arguments)


def test_a_checkpoint_of_an_event_far_back(project: Project, tmp_path: Path) -> None:
    place = tmp_path / "early.json"
    project.ok("checkpoint", "create", "--output", str(place))
    for number in range(5):
        project.ok("issue", "report", "--severity", "low", "--title", f"Smell {number}")
    for _ in range(2):
        project.ok("verify", "--checkpoint", str(place))
    project.forget()
    project.ok("verify", "--checkpoint", str(place))


def test_cosigners_that_cannot_be_used(project: Project, tmp_path: Path) -> None:
    place, signers = tmp_path / "c.json", tmp_path / "signers"
    project.ok("checkpoint", "create", "--output", str(place))
    line = create_key(tmp_path / "one", comment="one")
    for content, words in (
        ("", "cannot be used"),
        ("nonsense\n", "cannot be used"),
        (f'one namespaces="git" {line}\n', "is for checkpoints"),
    ):
        signers.write_text(content)
        arguments = ("--checkpoint", str(place), "--cosigner", str(signers))
        assert words in project.fails(4, "verify", *arguments)


def test_nothing_is_signed_where_the_log_does_not_verify(project: Project, tmp_path: Path) -> None:
    place = tmp_path / "c.json"
    project.ok("verify")
    project.git("update-ref", "refs/esaa/events", str(project.chain()[-2].oid))
    assert "nothing was signed" in project.fails(9, "checkpoint", "create", "--output", str(place))
    assert not place.exists()
    assert "refs/esaa/checkpoints" not in " ".join(project.refs())


def test_a_summary_tells_what_commits_brought_and_who_answers_for_it(
    tmp_path: Path, git: Git
) -> None:
    made = make_project(
        tmp_path / "project",
        git,
        task("T-1"),
        task("T-2", review=True, checks=[UNIT], depends_on=["T-1"]),
        approvers=["alice@example.com"],
    )
    made.answers(
        T_1=result("T-1", write("src/a.py", "a = 1\n")),
        T_2=result("T-2", write("src/b.py", "b = 1\n")),
    )
    made.agree()
    made.esaa("run")
    base = made.head()
    made.ok("review", "T-2", "--approve", "--as", "alice@example.com")
    made.write("by-hand.txt", "x\n")
    made.commit("By hand")
    place = tmp_path / "summary.md"
    place.write_text("before\n")
    made.ok("verify", "--summary", str(place), "--base", base)
    text = place.read_text()
    assert text.startswith("before\n## git esaa verify: ok\n")
    assert "`T-1`" not in text
    (row,) = [line for line in text.splitlines() if "`T-2`" in line]
    for cell in ("`Do T-2`", "`unit`", "`alice@example.com (APR-0001, granted)`"):
        assert f"| {cell} |" in row
    assert "(orchestrator" in row
    assert "(approver" in row
    assert "`By hand`" in text
    assert "there is no commit 'nowhere'" in made.fails(
        2, "verify", "--summary", str(place), "--base", "nowhere"
    )
    assert "cannot write to" in made.fails(2, "verify", "--summary", str(tmp_path / "no/where.md"))
    made.fails(2, "verify", "--base", base)
    made.git("update-ref", "refs/esaa/events", "refs/esaa/events~2")
    (made.path / ".git/esaa/verified.json").unlink()
    assert made.esaa("verify", "--summary", "-").code == 9
    made.esaa("verify", "--summary", str(place), "--base", base)
    assert "## git esaa verify: mismatch" in place.read_text()
    assert "claims an event in vain" in place.read_text()


def test_no_link_of_a_checkout_is_followed_to_a_summary(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for where in (tmp_path / "elsewhere", project.path / "inside"):
        where.mkdir()
        (where / "page.md").write_text("theirs\n")
    (project.path / "page.md").symlink_to("README.md")
    (project.path / "dangling.md").symlink_to(tmp_path / "new.md")
    (project.path / "out").symlink_to(tmp_path / "elsewhere")
    (project.path / "in").symlink_to("inside")
    os.mkfifo(project.path / "pipe.md")
    other = tmp_path / "other"
    other.symlink_to(project.path)
    before = (project.path / "README.md").read_text()
    monkeypatch.chdir(project.path)
    for page in ("page.md", "dangling.md", "out/page.md", "in/page.md", "pipe.md"):
        for name in (page, str(project.path / page), str(other / page)):
            assert "is in the way" in project.fails(3, "verify", "--summary", name)
    assert (project.path / "README.md").read_text() == before
    assert not (tmp_path / "new.md").exists()
    for place in (tmp_path / "elsewhere/page.md", project.path / "inside/page.md"):
        assert place.read_text() == "theirs\n"
    project.ok("verify", "--summary", str(other / "inside/page.md"))
    assert "verify: ok" in (project.path / "inside/page.md").read_text()
