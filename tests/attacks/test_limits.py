"""Each number of FORMAT's table of limits: what has it is read, and one more is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from esaa_git.core import canonical, decision, envelope, limits, plan, programs
from esaa_git.core.contracts import is_contract_file
from esaa_git.core.documents import YamlFault, decode_yaml, decode_yaml_texts
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.errors import ConfigurationError, RefusedError
from esaa_git.hooks import deadline, program
from esaa_git.hooks.commands import Command, Settings
from esaa_git.hooks.receive import Reception
from esaa_git.resources import resource_path
from esaa_git.store.objects import (
    BLOB,
    MODE_FILE,
    MODE_TREE,
    TREE,
    MalformedObject,
    TooLarge,
    TreeEntry,
    encode_tree,
    files_below,
    read_tree,
)
from esaa_git.trust import openpgp_form, sshsig
from esaa_git.trust.allowed_signers import parse_allowed_signers, patterns_of
from esaa_git.trust.openpgp import parse_openpgp_signers
from esaa_git.trust.sshsig import MalformedSignature
from esaa_git.verification.checks import EventChecker
from esaa_git.verification.failure import Failure
from tests.conftest import Git
from tests.support.logs import default_contracts
from tests.support.project import Project, make_project, result, task, write

TEMPLATES = resource_path("templates")
FORMAT = Path(__file__).resolve().parents[2] / "docs" / "FORMAT.md"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAMAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
KIB, MIB = limits.KIB, limits.MIB


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Project:
    made = make_project(tmp_path_factory.mktemp("limits") / "project", git, task("T-1", "spec"))
    made.answers(T_1=result("T-1", write("docs/a.md", "# A\n")))
    made.ok("run")
    return made


def size(number: int) -> str:
    return f"{number // MIB} MiB" if number >= MIB else f"{number // KIB} KiB"


TABLE = {
    "an event commit, an effect commit": f"{size(limits.COMMIT)}; its signature "
    f"{size(sshsig.ARMOR_MAXIMUM_BYTES)}",
    "the tree of an event commit": size(limits.EVENT_TREE),
    "`event.json`, `subject.json`": size(limits.EVENT),
    "lists and objects within each other in canonical JSON": f"{limits.JSON_DEPTH}; in an agent's "
    f"envelope {envelope.MAX_DEPTH}",
    "one contract; all of them; how many": f"{size(limits.CONTRACT_FILE)}; "
    f"{size(limits.CONTRACTS)}; {limits.CONTRACT_FILES}",
    "one pinned program; all of them; how many": f"{size(programs.MAX_BYTES)}; "
    f"{size(programs.MAX_TOTAL_BYTES)}; {programs.MAX_PROGRAMS:,}",
    "`allowed_signers`, and `openpgp_signers.yaml`": f"{size(limits.SIGNERS)} each; "
    f"{limits.PATTERNS} patterns a list, {limits.PATTERN} characters each",
    "YAML of a contract": f"{size(limits.YAML)}, {limits.YAML_DEPTH} levels, "
    f"{limits.YAML_NODES:,} values",
    "`plan.yaml`": f"{size(limits.PLAN)}, {limits.YAML_DEPTH} levels, {limits.PLAN_NODES:,} values",
    "a document of the state": size(limits.DOCUMENT),
    "a tree below an event": f"{size(limits.TREE)}, {limits.TREE_ENTRIES:,} entries",
    "all below `files/` or `exchange/`": f"{limits.FILES_BELOW:,} entries, {limits.TREE_DEPTH} "
    "levels; an after-image what the event and the contracts say",
    "a part of an exchange, and `max_bytes` of STORAGE_POLICY": size(limits.EXCHANGE_PART),
    "a decision document, its signature, a salt; `exchange/text`": f"{size(limits.DECISION)} each; "
    f"{size(limits.DECISION_WORDS)}",
    "`exchange/refusal.json`": size(limits.REFUSAL),
    "events in one push to a hook": f"{limits.EVENTS_IN_A_PUSH:,}",
    "commits of one push that claim events": f"{size(limits.BRANCH_COMMIT)} each, "
    f"{size(program._CLAIMS)} together",
    "a hook": f"`esaa.hookTimeout`, {Settings().timeout} s; until the first event is known to be "
    f"signed, {deadline.UNAUTHENTICATED_SECONDS:g} s of computing and "
    f"{deadline.UNAUTHENTICATED_WAIT_SECONDS:g} s in all",
}


def test_format_has_the_numbers_that_hold() -> None:
    section = FORMAT.read_text().partition("\n## Limits\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (.+?) \| (.+) \|$", section, re.MULTILINE)[1:])
    assert rows == TABLE
    assert sshsig.ARMOR_MAXIMUM_BYTES == openpgp_form.ARMOR_MAXIMUM_BYTES


# -- what is text -------------------------------------------------------------------------------


def test_a_signature() -> None:
    filled = b"-----BEGIN SSH SIGNATURE-----\n".ljust(sshsig.ARMOR_MAXIMUM_BYTES, b"A")
    with pytest.raises(MalformedSignature) as within:
        sshsig.dearmor(filled)
    assert "longer" not in str(within.value)
    with pytest.raises(MalformedSignature, match="longer than 8192"):
        sshsig.dearmor(filled + b"A")


def test_json_and_an_envelope() -> None:
    most = limits.JSON_DEPTH
    assert canonical.decode(b"[" * most + b"]" * most + b"\n")
    with pytest.raises(canonical.NotCanonical, match="deeper than 64 levels"):
        canonical.decode(b"[" * (most + 1) + b"]" * (most + 1) + b"\n")
    for depth, is_deep in ((envelope.MAX_DEPTH, False), (envelope.MAX_DEPTH + 1, True)):
        said = envelope.decode(b"[" * depth + b"]" * depth, max_bytes=KIB)
        assert isinstance(said, Rejected)
        assert (said.code is RejectCode.NESTING_TOO_DEEP) == is_deep


def test_the_lists_of_signers() -> None:
    filled = b"#" * limits.SIGNERS
    assert list(parse_allowed_signers(filled)) == []
    with pytest.raises(ConfigurationError) as refused:
        list(parse_allowed_signers(filled + b"#"))
    assert "131,072 are read at most" in str(refused.value.cause)
    assert list(parse_openpgp_signers(filled)) == []
    with pytest.raises(ConfigurationError) as refused:
        list(parse_openpgp_signers(filled + b"#"))
    assert "longer than 131072 bytes" in str(refused.value.cause)
    assert patterns_of("principals", ",".join(["a" * limits.PATTERN] * limits.PATTERNS))
    for text in (",".join(["a"] * (limits.PATTERNS + 1)), "a" * (limits.PATTERN + 1)):
        with pytest.raises(ValueError, match="more than 20 patterns"):
            patterns_of("principals", text)


def test_yaml() -> None:
    assert decode_yaml(b"x".ljust(limits.YAML, b"#"), "x.yaml")
    with pytest.raises(ConfigurationError, match="1,048,577 bytes"):
        decode_yaml(b"x".ljust(limits.YAML + 1, b"#"), "x.yaml")
    depth = limits.YAML_DEPTH
    assert decode_yaml(b"[" * depth + b"]" * depth, "x.yaml")
    with pytest.raises(ConfigurationError, match="deeper than 32 levels"):
        decode_yaml(b"[" * (depth + 1) + b"]" * (depth + 1), "x.yaml")
    assert decode_yaml(b"[1, 2, 3]", "x.yaml", most_nodes=4) == [1, 2, 3]  # the list is one too
    with pytest.raises(ConfigurationError, match="more than 4 values"):
        decode_yaml(b"[1, 2, 3, 4]", "x.yaml", most_nodes=4)
    values = b"[%b]" % (b"1," * limits.YAML_NODES)
    with pytest.raises(ConfigurationError, match="more than 50,000 values"):
        decode_yaml(values, "x.yaml")
    with pytest.raises(YamlFault, match="more than 50,000 values"):
        decode_yaml_texts(values)


def test_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="16,777,217 bytes"):
        plan.load_plan(b"#" * (limits.PLAN + 1))
    monkeypatch.setattr(limits, "PLAN_NODES", 3)
    with pytest.raises(ConfigurationError, match="more than 3 values"):
        plan.load_plan(b"[1, 2, 3]")


def test_a_decision() -> None:
    for bytes_, is_long in ((limits.DECISION, False), (limits.DECISION + 1, True)):
        with pytest.raises(decision.MalformedDocument) as refused:
            decision.decode(b"x" * bytes_)
        assert ("more than 4096 bytes" in str(refused.value)) == is_long


def test_contracts_as_they_are_written() -> None:
    default_contracts(KEY).check()
    large = b"#" * limits.CONTRACT_FILE
    for more, word in (
        ({"large.yaml": large + b"#"}, "a contract has 1,048,576 at most"),
        ({f"{number}.yaml": large for number in range(8)}, "200 files with 8,388,608"),
        ({f"{number}.yaml": b"" for number in range(200)}, "200 files with 8,388,608"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            default_contracts(KEY, changed=more).check()
        assert word in str(refused.value.cause)


def test_pinned_programs() -> None:
    most = b"x" * programs.MAX_BYTES
    several = programs.MAX_TOTAL_BYTES // programs.MAX_BYTES
    within = {f"a/{number}": ("100644", b"%d" % number + most[1:]) for number in range(several)}
    programs.check_bounds(programs.Programs.of(within))
    for more in ({"a/large": ("100644", most + b"x")}, {**within, "a/more": ("100644", b"x")}):
        with pytest.raises(ConfigurationError, match="may be pinned"):
            programs.check_bounds(programs.Programs.of(more))


@pytest.mark.parametrize("template", sorted(path.name for path in TEMPLATES.iterdir()))
def test_what_init_and_the_demos_write_needs_a_tenth_at_most(template: str) -> None:
    files = [path for path in (TEMPLATES / template).rglob("*") if path.is_file()]
    contracts = [path for path in files if is_contract_file(path.name)]
    assert len(files) <= limits.CONTRACT_FILES
    assert all(len(path.read_bytes()) <= limits.CONTRACT_FILE // 10 for path in files)
    assert sum(len(path.read_bytes()) for path in contracts) <= limits.CONTRACTS // 10


# -- what is an object --------------------------------------------------------------------------


class Objects:
    """A store in memory, which looks at sizes as the repository does."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[int, bytes]] = {}

    def put(self, kind: int, data: bytes) -> str:
        oid = f"{len(self._objects):040x}"
        self._objects[oid] = (kind, data)
        return oid

    def tree(self, entries: Mapping[str, TreeEntry]) -> str:
        return self.put(TREE, encode_tree(entries))

    def __call__(self, oid: str, most: int | None = None, /) -> tuple[int, bytes]:
        kind, data = self._objects[oid]
        if most is not None and len(data) > most:
            raise TooLarge(oid, len(data), most)
        return kind, data


def test_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Objects()
    blob = TreeEntry(MODE_FILE, store.put(BLOB, b""))
    line = len(encode_tree({"": blob}))
    assert len(read_tree(store, store.tree({"x" * (limits.TREE - line): blob}))) == 1
    with pytest.raises(MalformedObject, match="4,194,305 bytes"):
        read_tree(store, store.tree({"x" * (limits.TREE - line + 1): blob}))
    monkeypatch.setattr(limits, "TREE_ENTRIES", 3)
    assert len(read_tree(store, store.tree(dict.fromkeys("abc", blob)))) == 3
    with pytest.raises(MalformedObject, match="more than 3 entries"):
        read_tree(store, store.tree(dict.fromkeys("abcd", blob)))


def test_what_lies_below_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Objects()
    blob = TreeEntry(MODE_FILE, store.put(BLOB, b""))
    half = TreeEntry(MODE_TREE, store.tree(dict.fromkeys("abc", blob)))
    full = {"a": half, "b": half}
    monkeypatch.setattr(limits, "FILES_BELOW", 8)
    assert sum(1 for _ in files_below(store, store.tree(full))) == 6
    with pytest.raises(MalformedObject, match="too many files or folders"):
        list(files_below(store, store.tree({**full, "c": blob})))


def test_folders_within_each_other() -> None:
    store = Objects()
    found = {}
    tree = store.tree({"file": TreeEntry(MODE_FILE, store.put(BLOB, b""))})
    for depth in range(limits.TREE_DEPTH + 2):
        found[depth] = tree
        tree = store.tree({"folder": TreeEntry(MODE_TREE, tree)})
    assert len(list(files_below(store, found[limits.TREE_DEPTH]))) == 1
    with pytest.raises(MalformedObject, match="too many files or folders"):
        list(files_below(store, found[limits.TREE_DEPTH + 1]))


@pytest.mark.parametrize(
    ("limit", "value"),
    [("DOCUMENT", 10), ("TREE", 10), ("CONTRACT_FILE", 10), ("SIGNERS", 10), ("EXCHANGE_PART", 1)],
)
def test_what_a_verification_reads(
    project: Project, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    chain = [one.oid for one in project.chain()]
    monkeypatch.setattr(limits, limit, value)
    with pytest.raises((Failure, MalformedObject), match=f"{value} are read at most"):
        verify_each(project, chain)


def verify_each(project: Project, chain: list[str]) -> None:
    for start, oid in zip([None, *chain], chain, strict=False):
        EventChecker(project.repository.read, start).check(oid)


def test_an_event_that_would_not_be_read_is_not_written(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = project.tip()
    monkeypatch.setattr("esaa_git.store.log.limits", SimpleNamespace(EVENT=100))
    assert "are recorded" in project.fails(
        7, "issue", "report", "--severity", "low", "--title", "odd"
    )
    assert project.tip() == before


def test_events_of_one_push(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = [one.oid for one in project.chain()]
    reception = Reception(project.repository, Settings(), "refs/nowhere/")
    push = Command(None, chain[-1], "refs/esaa/events")
    monkeypatch.setattr("esaa_git.hooks.receive.EVENTS_IN_A_PUSH", len(chain))
    reception.check_log(push)
    monkeypatch.setattr("esaa_git.hooks.receive.EVENTS_IN_A_PUSH", len(chain) - 1)
    with pytest.raises(RefusedError) as refused:
        reception.check_log(push)
    assert "more than" in str(refused.value.cause)
