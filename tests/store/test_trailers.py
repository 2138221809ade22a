"""What a commit says of us: at least as much as git shows, and no mention in prose."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from esaa_git.store.objects import COMMIT
from esaa_git.store.repository import open_repository
from esaa_git.store.trailers import (
    bears_our_name,
    claimed_ids,
    may_speak_of_us,
    speaks_of_us,
    trailers_of,
)
from tests.conftest import Git

EVENT = "d" * 39 + "1"
HEAD = b"tree " + b"0" * 40 + b"\nauthor A <a@b.c> 1 +0000\ncommitter A <a@b.c> 1 +0000\n"


def commit(message: str | bytes, *headers: str) -> bytes:
    data = message.encode("utf-8", "surrogateescape") if isinstance(message, str) else message
    return HEAD + "".join(f"{line}\n" for line in headers).encode() + b"\n" + data


# -- next to git itself -----------------------------------------------------------------------

NAMES = (
    *("ESAA-Event", "esaa-event", "eSAA-eVENT", "ESAA-Log", "ESAA-Run", "ESAA-Task"),
    *("ESAA-Attempt", "ESAA-Seq", "ESAA-Event-SHA256", "esaa-PREV-sha256"),
)
SEPARATORS = (
    *(": ", ":", " :", "\t:", " \t : ", ":\t"),
    *(":\n  ", ":\n\t", " :\r\n ", "=", " # ", "%"),
)
BEFORE = (
    *(
        "subject\n\n",
        "subject\n\nbody\n\n",
        "subject\n\nbody\n\nSigned-off-by: A <a@b.c>\n",
        "\n\n",
    ),
    *("subject\n\nwords\nSigned-off-by: A <a@b.c>\n", "subject\r\n\r\n", "subject\n\n# note\n"),
)
AFTER = (
    *(
        "\n",
        "",
        "\r\n",
        "\n\n",
        "\n \n\t\n",
        "\n# looks fine\n",
        "\n\n# a paragraph\n",
        "\n#\n\n#\n",
    ),
    *("\nConflicts:\n\ta.txt\n", "\n\nConflicts:\n\ta.txt\n", "\0\n\nand more\n"),
    *("\nSigned-off-by: A <a@b.c>\n", "\n---\n a.txt | 1 +\n", "\n folded\n", "\n\u00a0\n"),
    *("\n(cherry picked from commit 1234567890)\n", "\n# ------ >8 ------\ncut off\n"),
)


def corpus() -> Iterator[bytes]:
    """Yield messages, each with an id of its own; every pair of two parts is in it."""
    together = itertools.product(NAMES, SEPARATORS, BEFORE, AFTER)
    for number, (name, separator, before, after) in enumerate(together):
        if number % 47 == 0:
            text = f"{before}{name}{separator}{number:040x}{after}"
            yield text.encode()
            yield text.replace("\n", "\r\n").encode()


def shown(said: str) -> set[str]:
    """Return the ids that git shows in trailers of ours."""
    return set(re.findall(r"^esaa-[a-z0-9-]+\W+([0-9a-f]{40})", said.lower(), re.MULTILINE))


def test_whatever_git_shows_as_ours_is_seen(repo: Path, git: Git) -> None:
    repository = open_repository(repo)
    tree = git(repo, "mktree", stdin="").encode()
    bodies = [commit(message).replace(b"0" * 40, tree, 1) for message in corpus()]
    oids = [repository.put(COMMIT, data) for data in bodies]
    claimed = {one for data in bodies for ids in claimed_ids(data).values() for one in ids}
    places = []
    for number, data in enumerate(bodies):
        place = repo / ".git" / f"message-{number}"
        place.write_bytes(data.partition(b"\n\n")[2])
        places.append(str(place))
    for separators in (":", ":=#%"):
        config = ("-c", f"trailer.separators={separators}")
        for form in ("%(trailers:only,unfold)", "%(trailers:unfold)"):
            options = ("--no-walk", "--stdin", f"--format={form}")
            found = shown(git(repo, *config, "log", *options, stdin="\n".join(oids)))
            assert len(found) > 100
            assert found <= claimed, sorted(found - claimed)[:5]
        found = shown(git(repo, *config, "interpret-trailers", "--parse", *places))
        assert len(found) > 100
        assert found <= claimed, sorted(found - claimed)[:5]


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "UTF-7", "CP037", "EUC-JP", "no-such-encoding"])
def test_what_git_shows_of_another_encoding_is_seen(repo: Path, git: Git, encoding: str) -> None:
    text = f"subject\n\nESAA-Event: {EVENT}\n"
    body = {"UTF-7": b"subject\n\n+AEU-SAA-Event: " + EVENT.encode() + b"\n"}.get(encoding)
    if body is None:
        body = text.encode("cp037" if encoding == "CP037" else "ascii")
        body = b"\n" + body if encoding == "CP037" else body
    repository = open_repository(repo)
    tree = git(repo, "mktree", stdin="").encode()
    data = commit(body, f"encoding {encoding}").replace(b"0" * 40, tree, 1)
    git(repo, "log", "-1", "--format=%(trailers)", repository.put(COMMIT, data))
    assert claimed_ids(data) == {"esaa-event": [EVENT]}


# -- what is a claim, and what a mention ------------------------------------------------------

CLAIMS = {
    "a trailer": f"x\n\nESAA-Event: {EVENT}\n",
    "in an earlier paragraph": f"x\n\nESAA-Event: {EVENT}\n\nand more\n",
    "indented, as a squash has it": f"x\n\ncommit 1\n\n    y\n\n    ESAA-Event: {EVENT}\n",
    "as the only line": f"ESAA-Event: {EVENT}",
    "shortened": "x\n\nESAA-Event: 3f2a\n",
    "with words after it": f"x\n\nESAA-Event: {EVENT} (see the log)\n",
    "in capitals": f"x\n\nESAA-EVENT: {EVENT.upper()}\n",
    "of a log": f"x\n\nESAA-Log: {EVENT[:32]}\n",
    "of an imported log": f"x\n\nESAA-Log: imported-30-{EVENT[:32]}\n",
    "after a carriage return": f"x\rESAA-Event: {EVENT}",
    "after NUL": f"x\0ESAA-Event: {EVENT}",
    "after a line separator": f"x\u2028ESAA-Event: {EVENT}",
    "with an invisible character": f"x\n\nES\u200bAA-Ev\u00adent: {EVENT}\n",
    "with an invisible character in the id": "x\n\nESAA-Event: 3f\u20602a91c\n",
    "with a no-break space": f"x\n\nESAA-Event\u00a0:\u2003{EVENT}\n",
    "with a wide colon": f"x\n\nESAA-Event\uff1a{EVENT}\n",
    "with wide letters": f"x\n\n\uff25\uff33\uff21\uff21-Event: {EVENT}\n",
    "with another hyphen": f"x\n\nESAA\u2011Event: {EVENT}\n",
    "with letters of another script": f"x\n\n\u0415\u0405\u0410\u0410-\u0415v\u0435nt: {EVENT}\n",
    "with a letter that folds to another": f"x\n\ne\u017fAA-Event: {EVENT}\n",
    "with colours of a terminal": f"x\n\n\x1b[1mESAA-Event: \x1b[0m{EVENT}\n",
    "beside bytes that are no text": f"x\n\n\udcff\udcfe\nESAA-Event: {EVENT}\n",
}
NO_CLAIMS = {
    "no trailer": "x\n",
    "in the middle of a line": f"x\n\nThe trailer ESAA-Event: {EVENT} names an event.\n",
    "words for a value": "x\n\nESAA-Event: names an event, see the format.\n",
    "a word that begins as an id does": "x\n\nESAA-Event: deadline of the run\n",
    "no value": "x\n\nESAA-Event:\n",
    "a task alone": "x\n\nESAA-Task: T-1000\n",
    "another name": f"x\n\nX-ESAA-Event: {EVENT}\nESAA-Events: {EVENT}\n",
    "quoted": f"x\n\n> ESAA-Event: {EVENT}\n",
    "an id of something else": f"x\n\nChange-Id: {EVENT}\nSigned-off-by: esaa <a@b.c>\n",
    "nothing at all": "",
}


@pytest.mark.parametrize("message", CLAIMS.values(), ids=CLAIMS.keys())
def test_a_claim_is_seen_however_it_is_spelled(message: str) -> None:
    assert claimed_ids(commit(message))
    assert speaks_of_us(commit(message))


@pytest.mark.parametrize("message", NO_CLAIMS.values(), ids=NO_CLAIMS.keys())
def test_a_mention_is_no_claim(message: str) -> None:
    assert not claimed_ids(commit(message))
    assert not speaks_of_us(commit(message))


def test_values_are_found_by_name_and_once() -> None:
    found = trailers_of(
        commit("x\n\nESAA-Task: T-1\nesaa-task:T-2 \nESAA-Task: T-1\n\nESAA-Run : R\n")
    )

    assert found == {"esaa-task": ["t-1", "t-2"], "esaa-run": ["r"]}


@given(
    st.lists(st.sampled_from([*"ESAeventEVENT:-# \n\t\0\u017f\u00e9", "ESAA-Event:", "3f2a91c"]))
)
@example(["e\u017fAA-Event:", "3f2a"])
def test_what_is_sorted_out_beforehand_says_nothing(parts: list[str]) -> None:
    data = commit("".join(parts))

    if speaks_of_us(data):
        assert may_speak_of_us(data)


def test_what_would_be_slow_is_not() -> None:
    """Each of these made a reader of ours, or of others, walk back over and over."""
    for text in (
        *("ESAA-Event:" * 50_000, "ESAA-Event:\n " * 50_000, "ESAA-Event" + " " * 500_000),
        *("\t\n " * 200_000, "a" + "\u0300\u0323" * 200_000, "\x1b[" + ";" * 500_000),
    ):
        assert not claimed_ids(commit(text))


# -- the names under which we commit ----------------------------------------------------------


@pytest.mark.parametrize("field", ["author", "committer"])
@pytest.mark.parametrize(
    "who",
    [
        "git-esaa orchestrator <orchestrator@esaa.invalid>",
        "agent-impl <agent-impl@esaa.invalid>",
        "Somebody <x@ESAA.INVALID>",
        "git-esaa Orchestrator <me@example.com>",
    ],
)
def test_a_name_of_ours_is_known(field: str, who: str) -> None:
    data = commit("x\n").replace(f"{field} A <a@b.c>".encode(), f"{field} {who}".encode())

    assert bears_our_name(data)
    assert speaks_of_us(data)


def test_a_name_of_ours_is_known_in_another_encoding() -> None:
    data = commit("x\n", "encoding UTF-7")
    forged = data.replace(b"author A <a@b.c>", b"author a <a@esaa+AC4-invalid>")

    assert bears_our_name(forged)


def test_people_bear_their_own_names() -> None:
    assert not bears_our_name(commit("author x <x@esaa.invalid>\n"))
    assert not bears_our_name(commit("x\n").replace(b"A <a@b.c>", b"esaa fan <esaa@example.com>"))
