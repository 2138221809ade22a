"""Of what nobody known has signed the commit alone is read; of the rest, what the limits allow."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from pathlib import Path

import pygit2
import pytest

from esaa_git.core import limits
from esaa_git.errors import ConfigurationError, RefusedError
from esaa_git.hooks import program
from esaa_git.hooks.commands import parse_settings
from esaa_git.hooks.deadline import Deadline, Expired
from esaa_git.hooks.program import speaking
from esaa_git.store.eventcommit import EventCommit
from esaa_git.store.loose import decode_loose
from esaa_git.store.objects import (
    BLOB,
    MODE_SYMLINK,
    MODE_TREE,
    TREE,
    TooLarge,
    TreeEntry,
    decode_tree,
    encode_tree,
)
from esaa_git.verification.checks import EventChecker
from esaa_git.verification.failure import Failure
from tests.conftest import Git
from tests.support import forgery
from tests.support.forgery import blob, new_key, with_entries
from tests.support.project import Project, make_project, result, task, write

NO_SIGNATURE = b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"
NO_PGP = b"-----BEGIN PGP SIGNATURE-----\n\nAAAA\n=AAAA\n-----END PGP SIGNATURE-----\n"
ALIASES = b"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Project:
    """A project whose one task is done."""
    made = make_project(tmp_path_factory.mktemp("gate") / "project", git, task("T-1", "spec"))
    made.answers(T_1=result("T-1", write("docs/a.md", "# A\n")))
    made.ok("run")
    made.check()
    return made


class Reads:
    """The repository's reader, which notes what it is asked for."""

    def __init__(self, project: Project) -> None:
        self._read = project.repository.read
        self.oids: list[str] = []

    def __call__(self, oid: str, most: int | None = None, /) -> tuple[int, bytes]:
        self.oids.append(oid)
        return self._read(oid, most)


def refusal(project: Project, oid: str, start: str | None) -> tuple[Failure, list[str]]:
    """Return why the commit is refused after `start`, and what was read of it for that."""
    reads = Reads(project)
    checker = EventChecker(reads, start)
    reads.oids.clear()
    with pytest.raises(Failure) as caught:
        checker.check(oid)
    return caught.value, reads.oids


def forged(project: Project, last: EventCommit, tree: str, signature: bytes = NO_SIGNATURE) -> str:
    """Write an event commit after the last one, with this tree and signature."""
    draft = forgery.draft_of(last, signature)
    repository = project.repository
    return forgery.Draft(
        tree, draft.author, draft.committer, b"x\n\nESAA-Seq: 99\n", signed=signature
    ).write(repository, last.oid)


def contracts_with(name: str, content: bytes) -> Callable[[Project, EventCommit], str]:
    def make(project: Project, last: EventCommit) -> str:
        entries = decode_tree(project.repository.read(last.tree["contracts"].oid)[1])
        entries[name] = blob(project, content)
        files = project.repository.put(TREE, encode_tree(entries))
        return with_entries(project, last.commit.tree, contracts=TreeEntry(MODE_TREE, files))

    return make


def event_of(content: bytes) -> Callable[[Project, EventCommit], str]:
    return lambda project, last: with_entries(
        project, last.commit.tree, event_json=blob(project, content)
    )


def many(project: Project, last: EventCommit) -> str:
    entry = bytes.fromhex(project.repository.put(BLOB, b""))
    lines = b"".join(b"100644 %06d\0%s" % (number, entry) for number in range(100_000))
    return project.repository.put(TREE, lines)


def deep(project: Project, _last: EventCommit) -> str:
    oid = project.repository.put(TREE, b"")
    for _ in range(500):
        oid = project.repository.put(TREE, encode_tree({"roadmap": TreeEntry(MODE_TREE, oid)}))
    return oid


INSIDE: dict[str, Callable[[Project, EventCommit], str]] = {
    "the same tree": lambda _project, last: last.commit.tree,
    "no event": event_of(b"x" * 100_000),
    "a million brackets": event_of(b"[" * 10**6),
    "contracts that are no YAML": contracts_with("RUNTIME_POLICY.yaml", b"{MARKER: [\n"),
    "YAML with aliases": contracts_with("AGENT_CONTRACT.yaml", ALIASES),
    "signers of the attacker's own": contracts_with("allowed_signers", b"admin ssh-ed25519 x\n"),
    "a principal of many stars": contracts_with("allowed_signers", b"*a" * 99 + b"*b x\n"),
    "a tree of 100,000 entries": many,
    "500 trees within each other": deep,
    "a tree that is a blob": lambda project, _last: project.repository.put(BLOB, b"x"),
    "a tree that is missing": lambda _project, _last: "1" * 40,
    "a link for the event": lambda project, last: with_entries(
        project, last.commit.tree, event_json=blob(project, b"/etc/passwd", MODE_SYMLINK)
    ),
}


@pytest.mark.parametrize("signature", [NO_SIGNATURE, NO_PGP], ids=["SSH", "OpenPGP"])
def test_an_unsigned_event_is_refused_in_the_same_words_whatever_is_in_it(
    project: Project, signature: bytes
) -> None:
    last = project.chain()[-1]
    said = set()
    for make in INSIDE.values():
        oid = forged(project, last, make(project, last), signature)
        failure, read = refusal(project, oid, last.oid)
        assert read == [oid], "the commit, and nothing of what it names"
        said.add((failure.check, failure.message))
    ((check, _),) = said
    assert check == 3


def test_so_is_one_that_a_strangers_key_has_signed(project: Project, tmp_path: Path) -> None:
    stranger, last = new_key(tmp_path, "stranger"), project.chain()[-1]
    draft = forgery.draft_of(last, stranger.sign)
    oid = draft.write(project.repository, last.oid)
    failure, read = refusal(project, oid, last.oid)
    assert (failure.check, read) == (3, [oid])
    assert "unknown-key" in failure.message


def test_verify_reads_a_forged_tip_no_further(project: Project) -> None:
    """What a clone fetched from a mirror without a hook."""
    honest, last = project.tip(), project.chain()[-1]
    assert honest is not None
    said = set()
    try:
        for name in ("no event", "YAML with aliases", "a tree that is missing"):
            forgery.point(project, forged(project, last, INSIDE[name](project, last)))
            audit = project.verify(full=True, remember=False).audit
            said.add((audit.check, audit.message))
    finally:
        forgery.point(project, honest)
    ((check, _),) = said
    assert check == 3


def test_of_a_genesis_the_list_of_signers_alone_is_read_first(project: Project) -> None:
    first = project.chain()[0]
    tree = INSIDE["contracts that are no YAML"](project, first)
    contracts = decode_tree(project.repository.read(tree)[1])["contracts"].oid
    signers = first_signers(project, contracts)
    draft = forgery.draft_of(first, NO_SIGNATURE)
    begun = forgery.Draft(tree, draft.author, draft.committer, draft.message, (), (), NO_SIGNATURE)
    oid = begun.write(project.repository, None)
    failure, read = refusal(project, oid, None)
    assert failure.check == 3
    assert read == [oid, tree, contracts, signers]


def first_signers(project: Project, contracts: str) -> str:
    entries = decode_tree(project.repository.read(contracts)[1])
    return entries["allowed_signers"].oid


# -- sizes, by the header -----------------------------------------------------------------------


def test_a_commit_that_is_longer_than_an_event_is_not_read(project: Project) -> None:
    last = project.chain()[-1]
    draft = forgery.draft_of(last, NO_SIGNATURE)
    long = forgery.Draft(
        last.commit.tree, draft.author, draft.committer, b"x" * limits.COMMIT, signed=NO_SIGNATURE
    )
    failure, _ = refusal(project, long.write(project.repository, last.oid), last.oid)
    assert failure.check == 2
    assert "65,536 are read at most" in failure.message


def test_a_tag_on_the_way_is_not_read(project: Project) -> None:
    last = project.chain()[-1]
    text = f"object {last.oid}\ntype commit\ntag x\n\n".encode()
    raw = project.repository.raw
    small = str(raw.odb.write(pygit2.enums.ObjectType.TAG, text))
    huge = str(raw.odb.write(pygit2.enums.ObjectType.TAG, text + b"x" * (1 << 20)))
    assert refusal(project, small, last.oid)[0].message == "it is not a commit"
    assert "read at most" in refusal(project, huge, last.oid)[0].message


@pytest.mark.parametrize(
    ("limit", "value", "inside"),
    [
        ("EVENT", 100, "the same tree"),
        ("EVENT_TREE", 50, "the same tree"),
        ("JSON_DEPTH", 1, "the same tree"),
    ],
)
def test_what_a_known_key_signs_is_bounded_too(
    project: Project, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, inside: str
) -> None:
    last = project.chain()[-1]
    start = project.chain()[-2].oid
    reader = EventChecker(project.repository.read, start)
    monkeypatch.setattr(limits, limit, value)
    monkeypatch.setattr(f"esaa_git.core.canonical.{limit}", value, raising=False)
    with pytest.raises(Failure) as caught:
        reader.check(last.oid)
    assert caught.value.check in (2, 4)


def test_trees_and_lists_of_contracts_are_bounded(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = project.chain()[-1]
    for limit, value in (("CONTRACT_FILES", 3), ("CONTRACTS", 2000), ("TREE_ENTRIES", 2)):
        with monkeypatch.context() as patched:
            patched.setattr(limits, limit, value)
            with pytest.raises(Failure) as caught:
                EventChecker(project.repository.read, last.oid)
        assert caught.value.check == 2


def test_a_loose_object_is_inflated_no_further_than_its_limit() -> None:
    bomb = zlib.compress(b"blob 10485760\0" + bytes(10 << 20))
    with pytest.raises(TooLarge, match="10,485,760 bytes, and 1,000 are read"):
        decode_loose("0" * 40, bomb, 1000)
    content = b"x" * 1000
    oid = pygit2.hash(content)
    stored = zlib.compress(b"blob 1000\0" + content)
    assert decode_loose(str(oid), stored, 1000) == (BLOB, content)
    with pytest.raises(TooLarge):
        decode_loose(str(oid), stored, 999)


# -- branches, and the hook's time ----------------------------------------------------------------


def test_a_commit_too_long_for_an_effect_is_looked_through_in_parts() -> None:
    size = limits.BRANCH_COMMIT + 100
    plain = b"tree x\n\n" + b"x" * (size - 8)
    stream = io.BytesIO(plain + b"\nrest")
    assert program._content(stream, size, "1" * 40) == b""
    assert stream.read() == b"rest"
    line = b"\nESAA-Event: 0123456789abcdef\n"
    for at in (8, program._PART - 9, size - 40):  # across the border of two parts as well
        claim = plain[:at] + line + plain[at + len(line) :]
        with pytest.raises(RefusedError, match="too much at once"):
            program._content(io.BytesIO(claim + b"\n"), len(claim), "1" * 40)


def test_claims_of_one_push_are_bounded_together() -> None:
    claim = b"tree x\n\n\nESAA-Event: 0123456789abcdef\n" + b"x" * limits.BRANCH_COMMIT
    assert len(speaking([("1", claim), ("2", b"no claim")])) == 1
    with pytest.raises(RefusedError, match="too much at once"):
        speaking((str(number), claim) for number in range(40))


@pytest.fixture
def alarms() -> object:
    import signal

    handled = (signal.SIGALRM, signal.SIGVTALRM)
    before = [signal.getsignal(one) for one in handled]
    yield
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0)
    for one, handler in zip(handled, before, strict=True):
        signal.signal(one, handler)


def wait_for_ever() -> None:
    while True:
        try:
            sum(range(1000))
        except Exception:  # what judges a push takes any fault for a refusal of its own
            continue


@pytest.mark.usefixtures("alarms")
def test_when_its_time_is_over_the_hook_refuses_with_words() -> None:
    Deadline(0.02)
    with pytest.raises(Expired) as caught:
        wait_for_ever()
    refusal = caught.value.refusal
    assert refusal.message == "the push is refused: too much at once"
    assert refusal.cause == "it takes longer than 0.02 s (esaa.hookTimeout)"


@pytest.mark.usefixtures("alarms")
@pytest.mark.parametrize("limit", ["UNAUTHENTICATED_SECONDS", "UNAUTHENTICATED_WAIT_SECONDS"])
def test_until_a_signature_holds_there_is_less_time(
    monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(f"esaa_git.hooks.deadline.{limit}", 0.02)
    Deadline(60).expect_signature()
    with pytest.raises(Expired) as caught:
        wait_for_ever()
    assert "no event of it was known to be signed" in str(caught.value.refusal.cause)


def test_the_deadline_is_a_setting_of_the_server() -> None:
    assert parse_settings(b"").timeout == 60
    assert parse_settings(b"esaa.hooktimeout\n5\0").timeout == 5
    assert parse_settings(b"esaa.hooktimeout\n250ms\0").timeout == 0.25
    for value in (b"0", b"-1", b"1m", b"", b"999999", b"0ms", b"ms", b"1.5", b"5msms"):
        with pytest.raises(ConfigurationError, match=r"esaa\.hookTimeout"):
            parse_settings(b"esaa.hooktimeout\n" + value + b"\0")
