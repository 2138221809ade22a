"""What a commit says of us: at least as much as git shows, and no mention in prose."""

from __future__ import annotations

import itertools
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from esaa_git.store import trailers
from esaa_git.store.lookalikes import LOOKALIKES, UNSEEN
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
    *(" " * 200 + ": ", ":" + "\t" * 200, ":\r", ": <", ": '", ": ( ", ":\f", ":\v"),
)
BEFORE = (
    *(
        "subject\n\n",
        "subject\n\nbody\n\n",
        "subject\n\nbody\n\nSigned-off-by: A <a@b.c>\n",
        "\n\n",
    ),
    *("\u00dcber\n\n", "subject\n\n\u00e9\n\nSigned-off-by: \u00c9 <a@b.c>\n"),
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
    return set(re.findall(r"^esaa-[a-z0-9-]+[\W_]+([0-9a-f]{40})", said.lower(), re.MULTILINE))


def test_whatever_git_shows_as_ours_is_seen(repo: Path, git: Git) -> None:
    repository = open_repository(repo)
    tree = git(repo, "mktree", stdin="").encode()
    bodies = [commit(message).replace(b"0" * 40, tree, 1) for message in corpus()]
    oids = [repository.put(COMMIT, data) for data in bodies]
    values = [one for data in bodies for ids in claimed_ids(data).values() for one in ids]
    claimed = {one for value in values for one in re.findall(r"[0-9a-f]{40}", value)}
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
    "after a gap, and beside another alphabet": f"x\u00e9\n\nESAA-Event{' ' * 200}: {EVENT}\n",
    "before a gap, and beside another alphabet": f"x\u00e9\n\nESAA-Event:{' ' * 999}{EVENT}\n",
    "after a gap of what is unseen": f"x\n\nESAA-Event{chr(0x200B) * 999}: {EVENT}\n",
    "after a wide gap": f"x\n\nESAA-Event{chr(0x2003) * 999}: {EVENT}\n",
    "in angle brackets": f"x\n\nESAA-Event: <{EVENT}>\n",
    "in quotation marks": f"x\n\nESAA-Event: '{EVENT}'\n",
    "in brackets that stand alone": f"x\n\nESAA-Event: ( {EVENT} )\n",
    "in much punctuation": f"x\n\nESAA-Event: {'*_' * 300}{EVENT}\n",
    "in another alphabet's quotation marks": f"x\n\nESAA-Event: \u00ab{EVENT}\u00bb\n",
    "after a carriage return in the value": f"x\n\nESAA-Event:\r{EVENT}\n",
    "after a form feed in the value": f"x\n\nESAA-Event: \f{EVENT}\n",
    "where another trailer would begin": f"x\n\nESAA-Task:\n ESAA-Event: {EVENT}\n",
    "with a control of shorthand": f"x\n\nES\U0001bca0AA-Event: {EVENT}\n",
    "with a control of music": f"x\n\nES\U0001d173AA-Event: {EVENT}\n",
    "with a control of hieroglyphs": f"x\n\nES\U00013439AA-Event: {EVENT}\n",
    "with an Arabic number sign": f"x\n\nES\u0605AA-Event: {EVENT}\n",
    "with an empty Braille cell": f"x\n\nES\u2800AA-Event: {EVENT}\n",
    "with Cherokee letters": f"x\n\n\u13acS\u13aa\u13aa-\u13acvent: {EVENT}\n",
    "with small Cherokee letters": f"x\n\n\uab7cSAA-Event: {EVENT}\n",
    "with Lisu letters": f"x\n\n\ua4f0\ua4e2\ua4ee\ua4ee-Event: {EVENT}\n",
    "with small capitals": f"x\n\n\u1d07\ua731\u1d00\u1d00-\u1d07\u1d20\u1d07\u0274\u1d1b: {EVENT}",
    "with Coptic letters": f"x\n\n\u2c88SAA-\u2c88ve\u2c9bt: {EVENT}\n",
    "with mathematical letters": f"x\n\n\U0001d404SAA-Event: {EVENT}\n",
    "with an Armenian hyphen": f"x\n\nESAA\u058aEvent: {EVENT}\n",
    "with a Mongolian hyphen": f"x\n\nESAA\u1806Event: {EVENT}\n",
    "with a Coptic hyphen": f"x\n\nESAA\u2cbaEvent: {EVENT}\n",
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
    "a dash and words": "x\n\nESAA-Event: - names an event\n",
    "with letters that nobody takes for ours": f"x\n\n\u4e00SAA-Event: {EVENT}\n",
    "after a letter of another script": f"x\n\nESAA-Event\u6f22: {EVENT}\n",
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
        *("".join(f"ESAA-Task:T-{number}\n" for number in range(70_000)), "\u00e9\n" * 300_000),
        *("ESAA-Event:" + "- " * 500_000 + "x", "\x1b\u00e9[" * 200_000),
        *("\t\n " * 200_000, "a" + "\u0300\u0323" * 200_000, "\x1b[" + ";" * 500_000),
    ):
        assert not claimed_ids(commit(text))


def test_of_many_encodings_the_first_and_the_last_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """git goes by the first, libgit2 by the last; no more of them cost anything."""
    body = f"\n\nESAA-Event: {EVENT}\n".encode("cp037")
    read: list[str] = []
    folded = trailers._folded
    monkeypatch.setattr(trailers, "_folded", lambda text: read.append(text) or folded(text))
    for names in (("cp037", "latin-1"), ("latin-1", "cp037"), ("cp037", *["x"] * 5000)):
        assert claimed_ids(commit(body, *(f"encoding {name}" for name in names)))
    assert claimed_ids(commit(body, "encoding CP037//TRANSLIT"))
    read.clear()
    speaks_of_us(commit(body, *["encoding cp037"] * 3000, "encoding cp500"))
    assert len(read) == 3  # as it is, and two readings


def test_what_is_unseen_is_what_unicode_says() -> None:
    """Of this Python's own tables, which may be older: category Cf, and every dash."""
    unseen = re.compile(f"[{UNSEEN}]")
    for code in range(0x80, sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category == "Cf":
            assert unseen.match(chr(code)), hex(code)
        if category == "Pd" and unicodedata.normalize("NFKC", chr(code)) != "-":
            assert chr(code) in LOOKALIKES["-"], hex(code)


def test_no_letter_of_ours_is_among_those_that_nobody_looks_up() -> None:
    forms = trailers._forms()
    like = {one for ones in LOOKALIKES.values() for one in ones}
    for code in range(0x3400, sys.maxunicode + 1):
        one = chr(code)
        if forms.letters.match(one) or forms.unassigned.match(one):
            assert one not in like, hex(code)
            assert not unicodedata.normalize("NFKC", one).isascii(), hex(code)


# -- the names under which we commit ----------------------------------------------------------


@pytest.mark.parametrize("field", ["author", "committer"])
@pytest.mark.parametrize(
    "who",
    [
        "git-esaa orchestrator <orchestrator@esaa.invalid>",
        "agent-impl <agent-impl@esaa.invalid>",
        "Somebody <x@ESAA.INVALID>",
        "git-esaa Orchestrator <me@example.com>",
        "x <x@es\u00adaa.invalid>",
        "git-es\u00adaa orchestrator <me@example.com>",
        "git-\u0435saa orchestrator <me@example.com>",
        "git-esaa\u00a0 orchestrator <me@example.com>",
        "g\u0456t\u2011esaa orchestrator <me@example.com>",
        "x <x@esaa.\u0399nvalid>",
        f"{chr(0xE9) * 200} <x@\u1d07saa.invalid>",
        "x\r <x@esaa.invalid>",
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
