"""Attacks on a shared log, each a real `git push` through the installed hook.

Every test first pushes what is honest and sees it taken; the attack that follows moves nothing,
and what the hook says names the event, the numbered check and a way out.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from esaa_git.core import logid
from esaa_git.core.canonical import encode
from esaa_git.core.events import base as records
from esaa_git.core.invariants import Violation
from esaa_git.core.logid import imported_log_id
from esaa_git.store.objects import (
    BLOB,
    COMMIT,
    MODE_SYMLINK,
    TREE,
    TreeEntry,
    decode_commit,
    decode_tree,
    encode_tree,
    sign_commit,
)
from esaa_git.trust.allowed_signers import allowed_signers_line
from tests.conftest import Git
from tests.support.forgery import Draft, Forger, new_key, rewrite, store_contracts
from tests.support.logs import (
    PERSON,
    SEED,
    default_contracts,
    make_log,
    persons_line,
    write_key,
)
from tests.support.patience import patience
from tests.support.project import Project
from tests.support.records import payload_of
from tests.support.shared import (
    LOG,
    MAIN,
    Shared,
    build,
    health,
    sealed,
)
from tests.support.warm import CHECKOUT, environment

ZERO = "0" * 40


def says(said: str, check: int | None, *words: str, event: str | None = None) -> None:
    """Assert that a refusal names the event and the check, and ends with a way out."""
    assert "error: " in said
    assert "hint: " in said
    if check is not None:
        assert f"check {check}, " in said, said
    if event is not None:
        assert event in said, said
    for word in words:
        assert word in said, said


# -- the ref itself ----------------------------------------------------------------------------


def test_an_honest_append_is_taken(full: Shared) -> None:
    forger = full.forger()
    full.taken(f"{forger.add(health(forger))}:{LOG}")
    full.taken(f"{forger.add(health(forger))}:{LOG}")
    assert full.at(LOG) == forger.parent


def test_the_hook_writes_nothing(full: Shared) -> None:
    """Neither of its own accord, nor when it refuses: no object stays behind either."""
    assert not (full.server / "esaa").exists()
    before = {path: path.read_bytes() for path in full.server.rglob("*") if path.is_file()}
    forger = full.forger()
    forger.add(health(forger), previous="0" * 64)
    full.refused(f"{forger.finish()}:{LOG}")
    assert {path: path.read_bytes() for path in full.server.rglob("*") if path.is_file()} == before


def test_deleting_the_log_is_refused(full: Shared) -> None:
    says(full.refused(f":{LOG}"), 1, "is not deleted")


def test_deleting_and_recreating_the_log_is_refused(full: Shared) -> None:
    rolled_back = full.project.chain()[2].oid
    says(full.refused(f":{LOG}"), 1, "is not deleted")
    says(full.refused(f"+{rolled_back}:{LOG}"), 1, "only grows")


@pytest.mark.parametrize("by", [1, 5, 10])
def test_a_rolled_back_log_is_refused(full: Shared, by: int) -> None:
    said = full.refused(f"+{full.project.chain()[-1 - by].oid}:{LOG}")
    says(said, 1, "only grows", f"EV-{12 - by:08d} to EV-00000011", event=f"EV-{12 - by:08d}")


def test_an_amended_event_is_refused(full: Shared) -> None:
    def amended(seq: int, draft: Draft) -> Draft:
        return draft if seq != 4 else replace(draft, message=draft.message.replace(b"A1", b"A2"))

    rewrite(full.project, amended, sign=full.signer.sign)
    says(full.refused(f"+{LOG}"), 1, "only grows", event="EV-00000004")


def test_a_dropped_event_is_refused(full: Shared) -> None:
    rewrite(full.project, lambda seq, draft: [] if seq == 5 else draft, sign=full.signer.sign)
    says(full.refused(f"+{LOG}"), 1, "only grows", event="EV-00000005")


def test_reordered_events_are_refused(full: Shared) -> None:
    seventh, eighth = (full.draft(one.oid) for one in full.project.chain()[6:8])
    swapped = {7: eighth, 8: seventh}
    rewrite(full.project, lambda seq, draft: swapped.get(seq, draft), sign=full.signer.sign)
    says(full.refused(f"+{LOG}"), 1, "only grows", event="EV-00000007")


def test_an_inserted_event_is_refused(full: Shared) -> None:
    forger = full.forger(upto=6)
    forger.add(health(forger))
    says(full.refused(f"+{forger.finish()}:{LOG}"), 1, "only grows", event="EV-00000007")


def test_a_duplicated_event_is_refused(full: Shared) -> None:
    again = full.draft(full.at()).write(full.project.repository, full.at())
    says(full.refused(f"{again}:{LOG}"), 5, event="EV-00000012")


def test_a_merge_as_an_event_is_refused(full: Shared) -> None:
    forger = full.forger()
    tip = full.at()
    honest = full.draft(forger.add(health(forger)))
    aside = full.project.chain()[3].oid
    merge = replace(honest, parents=(tip, aside)).write(full.project.repository, None)
    says(full.refused(f"{merge}:{LOG}"), 2, "parents", event="EV-00000012")
    swapped = replace(honest, parents=(aside, tip)).write(full.project.repository, None)
    says(full.refused(f"{swapped}:{LOG}"), 1, "only grows", event="EV-00000005")


def test_another_logs_genesis_is_refused(full: Shared, tmp_path: Path) -> None:
    make_log(full.project.path / "other", tasks=1, seed=bytes(32))
    full.project.git("fetch", "--quiet", "./other", f"{LOG}:refs/other")
    says(full.refused(f"+refs/other:{LOG}"), 1, "another log", event="EV-00000001")


def test_something_that_is_no_log_is_refused(full: Shared) -> None:
    says(full.refused(f"+{MAIN}:{LOG}"), 1)
    blob = full.project.git("hash-object", "-w", "README.md")
    says(full.refused(f"+{blob}:{LOG}"), 2, "not a commit")
    full.project.git("tag", "-a", "-m", "a tag", "v1", LOG)
    says(full.refused(f"+v1:{LOG}"), 2, "not a commit")


# -- the beginning -----------------------------------------------------------------------------


def test_the_first_log_is_taken_and_a_second_is_not(shared: Shared, git: Git) -> None:
    git(shared.server, "update-ref", "-d", LOG)
    git(shared.server, "update-ref", "-d", MAIN)
    shared.taken(LOG, MAIN)
    made = make_log(shared.project.path / "other", tasks=1, seed=bytes(32))
    shared.project.git("fetch", "--quiet", "./other", f"{LOG}:refs/other")
    assert made.tip
    says(shared.refused(f"+refs/other:{LOG}"), 1, event="EV-00000001")


def test_only_the_genesis_that_the_server_names_is_taken(shared: Shared, git: Git) -> None:
    git(shared.server, "update-ref", "-d", LOG)
    genesis = shared.project.chain()[0].oid
    shared.configure("esaa.genesis", "1" * 40)
    says(shared.refused(LOG), 1, "esaa.genesis", genesis[:12], event="EV-00000001")
    shared.configure("esaa.genesis", genesis)
    shared.taken(LOG)


def test_a_whole_log_of_another_repository_is_refused_where_the_genesis_is_named(
    shared: Shared, git: Git
) -> None:
    shared.configure("esaa.genesis", shared.project.chain()[0].oid)
    git(shared.server, "update-ref", "-d", LOG)
    make_log(shared.project.path / "other", tasks=1, seed=bytes(32))
    shared.project.git("fetch", "--quiet", "./other", f"{LOG}:refs/other")
    says(shared.refused(f"refs/other:{LOG}"), 1, "esaa.genesis", event="EV-00000001")


# -- one event that does not hold --------------------------------------------------------------


def test_a_tail_of_another_log_is_refused(full: Shared) -> None:
    """The same key, the same contracts: only the log id under the signature differs."""
    forger = full.forger()
    forger.add(health(forger), log_id="f" * 32)
    says(full.refused(f"{forger.finish()}:{LOG}"), 5, "ESAA-Log", event="EV-00000012")


def test_an_event_taken_from_another_log_with_its_signature_is_refused(full: Shared) -> None:
    forger = full.forger(upto=6)
    theirs = full.draft(forger.add(health(forger)))
    old = full.event(str(forger.parent)).commit.signatures[0]
    moved = replace(theirs, signed=old).write(full.project.repository, full.at())
    says(full.refused(f"{moved}:{LOG}"), 3, "signature", event="EV-00000012")


def test_an_unknown_key_is_refused(full: Shared, tmp_path: Path) -> None:
    forger = full.forger()
    forger.add(health(forger), sign=new_key(tmp_path, "mallory").sign)
    says(full.refused(f"{forger.finish()}:{LOG}"), 3, "unknown-key", event="EV-00000012")


ISSUE = {"issue_id": "ISS-0001", "severity": "low", "title": "It is broken"}


def test_a_key_in_another_role_is_refused(tmp_path: Path, git: Git) -> None:
    public = write_key(tmp_path / "orchestrator", SEED)
    approver = new_key(tmp_path, "approver")
    lines = [
        allowed_signers_line(["orchestrator"], public),
        allowed_signers_line(["ann@example.com", "approver"], approver.public_key_line),
        persons_line(),
    ]
    signers = "".join(f"{line}\n" for line in lines).encode()
    contracts = default_contracts(public, changed={"allowed_signers": signers})
    shared = build(tmp_path, git, contracts=contracts)
    shared.taken(LOG, MAIN)
    forger = shared.forger()
    forger.add(health(forger), sign=approver.sign)
    said = shared.refused(f"{forger.finish()}:{LOG}")
    says(said, 3, "may not sign orchestrator.health", event="EV-00000012")
    forger = shared.forger(upto=11)
    forger.add(health(forger, actor="ann@example.com", action="issue.report", payload=ISSUE))
    says(shared.refused(f"{forger.finish()}:{LOG}"), 3, "a key of their own", event="EV-00000012")
    forger = shared.forger(upto=11)
    ours = health(forger, actor="ann@example.com", action="issue.report", payload=ISSUE)
    forger.add(ours, sign=approver.sign)
    shared.taken(f"{forger.finish()}:{LOG}")


@pytest.mark.parametrize("header", [b"gpgsig", b"gpgsig-sha256"])
def test_two_signatures_are_refused(full: Shared, header: bytes) -> None:
    forger = full.forger()
    honest = full.draft(forger.add(health(forger)))
    old = full.event(full.at()).commit.signatures[0].rstrip(b"\n")
    second = header + b" " + old.replace(b"\n", b"\n ")
    forged = replace(honest, headers=(second,)).write(full.project.repository, full.at())
    # What the second header is called decides which check finds it.
    said = full.refused(f"{forged}:{LOG}")
    says(said, 2 if header == b"gpgsig" else None, event="EV-00000012")


def test_a_stripped_signature_is_refused(full: Shared) -> None:
    forger = full.forger()
    honest = full.draft(forger.add(health(forger)))
    forged = replace(honest, signed=None).write(full.project.repository, full.at())
    says(full.refused(f"{forged}:{LOG}"), 2, "not exactly one signature", event="EV-00000012")


def test_a_valid_signature_over_other_bytes_is_refused(full: Shared) -> None:
    forger = full.forger()
    honest = full.draft(forger.add(health(forger)))
    other = full.event(full.at()).commit.signatures[0]
    forged = replace(honest, signed=other).write(full.project.repository, full.at())
    says(full.refused(f"{forged}:{LOG}"), 3, "bad", event="EV-00000012")


def test_a_later_event_does_not_hide_an_unsigned_one(full: Shared) -> None:
    forger = full.forger()
    honest = full.draft(forger.add(health(forger)))
    forger.parent = replace(honest, signed=None).write(full.project.repository, full.at())
    forger.add(health(forger))
    says(full.refused(f"{forger.finish()}:{LOG}"), 2, event="EV-00000012")


def test_contracts_changed_in_an_ordinary_event_are_refused(full: Shared) -> None:
    forger = full.forger()
    changed = default_contracts(
        full.signer.public_key_line, changed={"PROJECTION_SPEC.md": b"Anything goes.\n"}
    )
    forger.add(health(forger), contracts=store_contracts(full.project, changed))
    says(full.refused(f"{forger.finish()}:{LOG}"), 6, "ordinary event", event="EV-00000012")


def test_programs_changed_in_an_ordinary_event_are_refused(full: Shared) -> None:
    forger = full.forger()
    forger.programs = TreeEntry("40000", full.project.repository.put(TREE, b""))
    forger.add(health(forger))
    says(full.refused(f"{forger.finish()}:{LOG}"), 6, "programs change", event="EV-00000012")


def test_contracts_changed_without_an_admin_are_refused(tmp_path: Path, git: Git) -> None:
    public = write_key(tmp_path / "orchestrator", SEED)
    admin = new_key(tmp_path, "admin").public_key_line
    lines = [
        allowed_signers_line(["orchestrator"], public),
        allowed_signers_line(["root@example.com", "admin"], admin),
        persons_line(),
    ]
    signers = "".join(f"{line}\n" for line in lines).encode()
    contracts = default_contracts(public, changed={"allowed_signers": signers})
    shared = build(tmp_path, git, contracts=contracts, end=True)
    shared.taken(LOG, MAIN)
    # The new contracts even say that the key is an admin's: those before them decide.
    other = allowed_signers_line(["orchestrator"], admin)
    signers = "".join(
        f"{line}\n" for line in (allowed_signers_line([PERSON, "admin"], public), other)
    ).encode()
    changed = default_contracts(public, changed={"allowed_signers": signers})
    forger = shared.forger()
    start = {
        "run_id": "RUN-0002",
        "project": "example",
        "branch": "main",
        "base": shared.project.head(),
        "contracts": [records.encode(pin) for pin in changed.pins],
        "tasks": [],
    }
    event = health(forger, action="run.init", payload=start)
    forger.add(event, contracts=store_contracts(shared.project, changed))
    said = shared.refused(f"{forger.finish()}:{LOG}")
    says(said, 6, "without the signature of an admin", event=f"EV-{forger.state.seq:08d}")


def test_a_state_that_does_not_follow_is_refused(full: Shared) -> None:
    forger = full.forger()
    earlier = full.project.chain()[5].tree["roadmap"].oid
    forger.add(health(forger), roadmap=earlier)
    says(full.refused(f"{forger.finish()}:{LOG}"), 7, "recorded state", event="EV-00000012")


def test_an_illegal_transition_is_refused(full: Shared) -> None:
    forger = full.forger()
    payload = {"task_id": "T-1000", "from": "done", "to": "todo", "cause": "operator"}
    event = sealed(health(forger, action="task.update", payload=payload))
    forger.add(event, state=replace(forger.state, seq=12, ts=event.ts, touched=frozenset()))
    says(full.refused(f"{forger.finish()}:{LOG}"), 9, event="EV-00000012")


def test_an_unknown_action_is_refused(full: Shared) -> None:
    forger = full.forger()
    honest = full.event(forger.add(health(forger)))
    document = encode(health(full.forger(), action="everything.allowed"))
    says(full.refused(f"{_with_event(full, honest.oid, document)}:{LOG}"), 4, event="EV-00000012")


def test_non_canonical_json_with_the_same_meaning_is_refused(full: Shared) -> None:
    forger = full.forger()
    oid = forger.add(health(forger))
    document = full.event(oid).event.data.replace(b'":', b'": ', 1)
    says(full.refused(f"{_with_event(full, oid, document)}:{LOG}"), 4, event="EV-00000012")


def _with_event(shared: Shared, oid: str, document: bytes) -> str:
    """Return the commit on the tip with these bytes as its event, all else made to fit."""
    repository = shared.project.repository
    return _with_entries(
        shared, oid, **{"event.json": TreeEntry("100644", repository.put(BLOB, document))}
    )


def _with_entries(shared: Shared, oid: str, **entries: TreeEntry) -> str:
    repository = shared.project.repository
    draft = shared.draft(oid)
    tree = encode_tree({**decode_tree(repository.read(draft.tree)[1]), **entries})
    return replace(draft, tree=repository.put(TREE, tree)).write(repository, shared.at())


def test_extra_files_in_the_tree_are_refused(full: Shared) -> None:
    forger = full.forger()
    oid = forger.add(health(forger))
    extra = TreeEntry("100644", full.project.repository.put(BLOB, b"#!/bin/sh\n"))
    forged = _with_entries(full, oid, **{"run.sh": extra})
    says(full.refused(f"{forged}:{LOG}"), 2, "entry 'run.sh'", event="EV-00000012")


def test_a_symlink_for_the_event_is_refused(full: Shared) -> None:
    forger = full.forger()
    oid = forger.add(health(forger))
    link = TreeEntry(MODE_SYMLINK, full.event(oid).tree["event.json"].oid)
    forged = _with_entries(full, oid, **{"event.json": link})
    says(full.refused(f"{forged}:{LOG}"), 2, "event.json", event="EV-00000012")


def test_a_submodule_for_the_event_is_refused(full: Shared) -> None:
    forger = full.forger()
    oid = forger.add(health(forger))
    forged = _with_entries(full, oid, **{"event.json": TreeEntry("160000", full.at(MAIN))})
    says(full.refused(f"{forged}:{LOG}"), 2, "event.json", event="EV-00000012")


@pytest.mark.parametrize("seq", [11, 13, 2**53 - 1])
def test_a_gap_in_the_sequence_is_refused(full: Shared, seq: int) -> None:
    forger = full.forger()
    event = sealed(health(forger, event_seq=seq, event_id=f"EV-{seq:08d}"))
    forger.add(event, state=replace(forger.state, seq=seq, ts=event.ts, touched=frozenset()))
    says(full.refused(f"{forger.finish()}:{LOG}"), 5, event="EV-00000012")


def test_time_that_runs_backwards_is_refused(full: Shared) -> None:
    forger = full.forger()
    event = sealed(health(forger, ts="2025-12-31T23:59:59.000Z"))
    forger.add(event, state=replace(forger.state, seq=12, ts=event.ts, touched=frozenset()))
    says(full.refused(f"{forger.finish()}:{LOG}"), 5, event="EV-00000012")


def test_a_broken_chain_is_refused(full: Shared) -> None:
    forger = full.forger()
    forger.add(health(forger), previous="0" * 64)
    says(full.refused(f"{forger.finish()}:{LOG}"), 5, "ESAA-Prev-SHA256", event="EV-00000012")


def test_one_bad_event_at_the_end_of_a_thousand_is_found(full: Shared) -> None:
    _long_push(full, 1_000)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_bad_event_at_the_end_of_ten_thousand_is_found(full: Shared) -> None:
    _long_push(full, 10_000)


def _long_push(shared: Shared, count: int) -> None:
    shared.configure("receive.unpackLimit", "100")  # git's own: a long push stays a pack
    forger = shared.forger()
    for _ in range(count - 1):
        last = forger.add(health(forger))
    forged = replace(shared.draft(forger.add(health(forger))), signed=None)
    bad = forged.write(shared.project.repository, last)
    says(shared.refused(f"{bad}:{LOG}"), 2, event=f"EV-{11 + count:08d}")
    shared.taken(f"{last}:{LOG}")


# -- other refs --------------------------------------------------------------------------------


def test_replace_refs_are_refused(full: Shared) -> None:
    first, second = full.project.chain()[:2]
    full.project.git("replace", second.oid, first.oid)
    says(full.refused("refs/replace/*"), 1, "another history")


def test_a_replace_ref_on_the_server_deceives_nobody(full: Shared, git: Git) -> None:
    """Somebody with a shell on the server has git show another commit than the tip."""
    aside = full.project.chain()[3].oid
    git(full.server, "update-ref", f"refs/replace/{full.at()}", aside)
    forger = full.forger()
    full.taken(f"{forger.add(health(forger))}:{LOG}")


def test_a_graft_on_the_server_deceives_nobody(full: Shared) -> None:
    grafts = full.server / "info" / "grafts"
    grafts.parent.mkdir(exist_ok=True)
    grafts.write_text(f"{full.at()}\n")
    forger = full.forger()
    full.taken(f"{forger.add(health(forger))}:{LOG}")
    says(full.refused(f"+{full.project.chain()[2].oid}:{LOG}"), 1, event="EV-00000004")


def test_ordinary_refs_are_left_alone(full: Shared) -> None:
    project = full.project
    first = project.git("rev-list", "--max-parents=0", MAIN)
    project.git("commit-tree", "-m", "work", "-p", first, f"{first}^{{tree}}")
    other = project.git("commit-tree", "-m", "other work", "-p", first, f"{first}^{{tree}}")
    full.taken(f"{first}:refs/heads/topic", f"{first}:refs/tags/v1", f"{first}:refs/notes/x")
    full.taken(f"{other}:refs/heads/topic", f"{other}:refs/changes/1")
    full.taken(f"+{first}:refs/heads/topic", f"+{other}:refs/tags/v1")
    full.taken(":refs/heads/topic", ":refs/tags/v1", ":refs/notes/x")


def test_an_ordinary_push_needs_neither_pygit2_nor_the_log(full: Shared, tmp_path: Path) -> None:
    """A pygit2 that fails to load stops every push that needs it, and no other."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "pygit2.py").write_text("raise ImportError('pygit2 is broken')\n")
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "broken"), CHECKOUT])}
    first = full.project.git("rev-list", "--max-parents=0", MAIN)
    full.taken(f"{first}:refs/heads/topic", f"{first}:refs/tags/v1", env=env)
    full.taken(":refs/heads/topic", ":refs/tags/v1", env=env)
    forger = full.forger()
    status, said = full.push(f"{forger.add(health(forger))}:{LOG}", env=env)
    assert status != 0
    assert "pygit2 is broken" in said


@pytest.mark.parametrize(
    "ref", ["refs/ESAA/events", "refs/esaa/Events", "refs/es\u200caa/events", "refs/Replace/x"]
)
def test_a_name_that_some_file_systems_take_for_the_logs_is_refused(full: Shared, ref: str) -> None:
    said = full.refused(f"{full.project.chain()[0].oid}:{ref}")
    says(said, 1)


def test_a_ref_in_the_way_of_a_log_to_come_is_refused(shared: Shared, git: Git) -> None:
    git(shared.server, "update-ref", "-d", LOG)
    for ref in (f"{LOG}/x", "refs/esaa"):
        says(shared.refused(f"{MAIN}:{ref}"), 1, "cannot both exist")
    shared.taken(LOG)


def test_a_symbolic_ref_to_the_log_is_guarded_as_the_log(full: Shared, git: Git) -> None:
    git(full.server, "symbolic-ref", "refs/heads/log", LOG)
    says(full.refused(f"+{full.project.chain()[2].oid}:refs/heads/log"), 1, "only grows")
    forger = full.forger()
    full.taken(f"{forger.add(health(forger))}:refs/heads/log")
    assert full.at() == forger.parent


def test_a_log_on_a_branch_is_guarded_as_well(full: Shared) -> None:
    branch = "refs/heads/esaa/events"
    full.configure("esaa.eventsRef", branch)
    full.taken(f"{LOG}:{branch}")
    says(full.refused(f"+{full.project.chain()[2].oid}:{branch}"), 1, event="EV-00000004")
    says(full.refused(f":{branch}"), 1, "is not deleted")


def test_a_log_in_a_namespace_is_guarded_as_well(full: Shared) -> None:
    """gitnamespaces(7): several repositories that share one store."""
    env = {"GIT_NAMESPACE": "team"}
    full.taken("--atomic", LOG, MAIN, env=env)
    assert full.at(f"refs/namespaces/team/{LOG}") == full.project.head(LOG)
    says(full.refused(f"+{full.project.chain()[2].oid}:{LOG}", env=env), 1, event="EV-00000004")
    says(full.refused(f"{_posing(full, 'T-1000')}:{MAIN}", env=env), 11)
    full.run(full.server, "pack-refs", "--all")
    forger = full.forger()
    full.taken(f"{forger.add(health(forger))}:{LOG}", env=env)


# -- effects and their events ------------------------------------------------------------------


def _posing(shared: Shared, task: str, **changes: str) -> str:
    """Commit by hand what claims to be the effect of an event."""
    event = next(
        one for one in shared.project.chain() if one.event.action == "orchestrator.file.write"
    )
    said = {"Event": event.oid, "Run": "RUN-0001", "Task": task, "Attempt": f"{task}-A1"}
    trailers = "\n".join(f"ESAA-{name}: {value}" for name, value in {**said, **changes}.items())
    git = shared.project.git
    tree = git("rev-parse", f"{MAIN}^{{tree}}")
    message = f"{task}: written\n\n{trailers}\n"
    return git("commit-tree", tree, "-p", shared.project.head(MAIN), stdin=message)


def test_an_effect_without_its_event_is_refused(shared: Shared) -> None:
    said = shared.refused(MAIN)
    says(said, 11, "without its event", "EV-00000006", f"push --atomic REMOTE {LOG} main")
    shared.taken("--atomic", LOG, MAIN)


def test_an_effect_follows_its_event_in_a_push_of_its_own(shared: Shared) -> None:
    shared.taken(LOG)
    shared.taken(MAIN)


def test_an_effect_is_found_far_behind_the_end_of_the_log(shared: Shared) -> None:
    forger = shared.forger()
    for _ in range(20):
        forger.add(health(forger))
    shared.taken(f"{forger.finish()}:{LOG}")
    shared.taken(MAIN)


def test_a_hand_made_commit_that_claims_an_event_is_refused(full: Shared) -> None:
    for task in ("T-1000", "T-9999"):
        forged = _posing(full, task)
        says(full.refused(f"{forged}:refs/heads/topic"), 11, "without its event", forged[:12])
        says(full.refused(f"{forged}:{MAIN}"), 11, forged[:12])


def test_a_claim_is_seen_however_it_is_written(full: Shared) -> None:
    tree, parent = full.project.git("rev-parse", f"{MAIN}^{{tree}}"), full.project.head(MAIN)
    event = full.project.chain()[4].oid
    last = f"esaa-EVENT: {event}"
    for message in (
        f"x\n\n{last}\n",
        f"x\n\nE\u017fAA-Event: {event}\n",
        f"x\n\n{last}\n\n\u00a0\n",
        f"x\n\nESAA-Event: {event}\nESAA-Event: {event}\n",
    ):
        forged = full.project.git("commit-tree", tree, "-p", parent, stdin=message)
        says(full.refused(f"{forged}:{MAIN}"), 11, forged[:12])
    who = "A <a@b> 1 +0000"
    head = f"tree {tree}\nparent {parent}\nauthor {who}\ncommitter {who}\nencoding UTF-16\n\n"
    for body in (f"x\n\n{last}\n", f"x\0\n\n{last}\n"):
        forged = full.project.repository.put(COMMIT, (head + body).encode())
        says(full.refused(f"{forged}:{MAIN}"), 11, forged[:12])


def test_a_claim_in_any_paragraph_is_one_and_words_are_none(full: Shared) -> None:
    tree, parent = full.project.git("rev-parse", f"{MAIN}^{{tree}}"), full.project.head(MAIN)
    for claim in (f"ESAA-Event: {full.at()}", f"    ESAA-Log: {'1' * 32}"):
        message = f"x\n\n{claim}\n\nwas what I looked at.\n"
        forged = full.project.git("commit-tree", tree, "-p", parent, stdin=message)
        says(full.refused(f"{forged}:{MAIN}"), 11, forged[:12])
    message = f"x\n\nWhat ESAA-Event: {full.at()} says.\nESAA-Event: names an event.\n"
    full.taken(f"{full.project.git('commit-tree', tree, '-p', parent, stdin=message)}:{MAIN}")


@pytest.mark.parametrize(
    "who", ["agent-impl <agent-impl@esaa.invalid>", "git-esaa orchestrator <x@example.com>"]
)
def test_a_commit_under_a_name_of_ours_is_refused(full: Shared, who: str) -> None:
    tree, parent = full.project.git("rev-parse", f"{MAIN}^{{tree}}"), full.project.head(MAIN)
    person = b"A <a@example.com> 1900000000 +0000"
    for author, committer in ((who, person), (person, who)):
        names = [
            one if isinstance(one, bytes) else f"{one} 1900000000 +0000".encode()
            for one in (author, committer)
        ]
        data = b"tree %s\nparent %s\nauthor %s\ncommitter %s\n\nx\n"
        forged = full.project.repository.put(
            COMMIT, data % (tree.encode(), parent.encode(), *names)
        )
        says(full.refused(f"{forged}:{MAIN}"), 11, forged[:12], "under which git-esaa alone")


def test_a_claim_below_an_honest_commit_is_found(full: Shared) -> None:
    forged = _posing(full, "T-1000")
    tree = full.project.git("rev-parse", f"{MAIN}^{{tree}}")
    above = full.project.git("commit-tree", tree, "-p", forged, "-m", "honest")
    says(full.refused(f"{above}:{MAIN}"), 11, forged[:12])


def test_a_claim_that_came_by_another_ref_is_found_on_the_branch(full: Shared) -> None:
    forged = _posing(full, "T-1000")
    full.taken(f"{forged}:refs/tags/innocent")
    says(full.refused(f"{forged}:{MAIN}"), 11, forged[:12])


def test_a_copy_of_an_effect_is_refused_and_a_merge_of_it_is_taken(full: Shared) -> None:
    git = full.project.git
    git("switch", "--quiet", "--create", "topic", f"{MAIN}~1", "--force")
    git("commit", "--quiet", "--allow-empty", "--message", "work beside it")
    git("merge", "--quiet", "--no-edit", MAIN)
    full.taken("HEAD:refs/heads/topic")
    git("reset", "--quiet", "--hard", "HEAD~1")
    git("cherry-pick", MAIN)
    says(full.refused("+HEAD:refs/heads/topic"), 11, "cherry-pick")


def test_a_recorded_rebase_is_taken_and_another_commit_in_its_place_is_not(full: Shared) -> None:
    """Hook and `verify` judge a carrier by one predicate, from the record."""
    project, git = full.project, full.project.git
    git("switch", "--quiet", "--create", "side", f"{MAIN}~1", "--force")
    git("commit", "--quiet", "--allow-empty", "--message", "work beside it")
    git("switch", "--quiet", "main", "--force")
    git("rebase", "--quiet", "side")
    says(full.refused(f"+{MAIN}"), 11, "--relink --record")
    project.ok("verify", "--relink", "--record")
    full.configure("esaa.requireEffects")
    full.taken("--atomic", LOG, f"+{MAIN}")
    assert full.at(MAIN) == project.head(MAIN)
    project.write("docs/more.md", "more\n")
    git("add", "docs/more.md")
    git("commit", "--quiet", "--amend", "--no-edit")
    says(full.refused(f"+{MAIN}"), 11, project.head(MAIN)[:12])


def test_a_record_that_is_not_true_of_its_commit_lets_nothing_in(full: Shared) -> None:
    """The orchestrator's key says that a commit carries an effect, and it brings more."""
    git = full.project.git
    tree = git("rev-parse", f"{MAIN}~1^{{tree}}")
    extra = git("hash-object", "-w", "--stdin", stdin="x\n")
    listed = git("ls-tree", tree) + f"\n100644 blob {extra}\tzz_evil.py"
    message = git("log", "-1", "--format=%B", MAIN)
    forged = git(
        "commit-tree", git("mktree", stdin=listed), "-p", f"{MAIN}~1", stdin=message + "\n"
    )
    forger = full.forger()
    payload = {
        "view": "effect",
        "task_id": "T-1001",
        "effect_commit": full.project.head(MAIN),
        "reached_by": forged,
        "text": "trust me",
        "how": "squashed",
    }
    # That key does not answer for what stands beside an effect: no rule leads to such an event,
    accepted = {**payload, "how": "accepted", "accepted_by": "person@example.com"}
    with pytest.raises(Violation, match="nobody has asked"):
        full.forger().add(health(forger, action="orchestrator.view.mutate", payload=accepted))
    # and what it says else does not make a carrier of a commit that is none.
    lie = forger.add(health(forger, action="orchestrator.view.mutate", payload=payload))
    full.taken(f"{lie}:{LOG}")
    says(full.refused(f"{forged}:refs/heads/topic"), 11, forged[:12])


def test_effects_without_any_log_are_refused(shared: Shared, git: Git) -> None:
    git(shared.server, "update-ref", "-d", LOG)
    git(shared.server, "update-ref", "-d", MAIN)
    says(shared.refused(MAIN), 11, "there is no log")
    shared.taken("--atomic", LOG, MAIN)


def _effect(shared: Shared, change: Callable[[Draft], Draft]) -> tuple[str, str]:
    """Close T-1001 anew with an effect that is not what the event says; return log and branch."""
    repository, project = shared.project.repository, shared.project
    chain = project.chain()
    forger = shared.forger(upto=10)
    effect = change(_commit_draft(shared)).write(repository, project.head(f"{MAIN}~1"))
    closing = chain[10].event
    payload = {**payload_of(closing), "effect_commit": effect}
    event = health(forger, ts=closing.ts, action="task.update", payload=payload)
    return forger.add(event), effect


def _commit_draft(shared: Shared) -> Draft:
    commit = decode_commit(shared.project.repository.read(shared.project.head(MAIN))[1])
    return Draft(
        commit.tree, commit.author, commit.committer, commit.message, signed=shared.signer.sign
    )


def test_an_effect_with_another_author_is_refused(shared: Shared) -> None:
    log, effect = _effect(shared, lambda draft: replace(draft, author=b"Eve <e@v.e> 1 +0000"))
    said = shared.refused("--atomic", f"{log}:{LOG}", f"{effect}:{MAIN}")
    says(said, 11, effect[:12], "author", event="EV-00000011")
    shared.taken("--atomic", LOG, MAIN)


def test_an_effect_with_another_tree_is_refused(shared: Shared) -> None:
    repository = shared.project.repository
    first = shared.project.git("rev-list", "--max-parents=0", MAIN)
    other = shared.project.git("rev-parse", f"{first}^{{tree}}")
    assert repository.read(other)[0] == TREE
    log, effect = _effect(shared, lambda draft: replace(draft, tree=other))
    said = shared.refused("--atomic", f"{log}:{LOG}", f"{effect}:{MAIN}")
    says(said, 11, effect[:12], "other files", event="EV-00000011")


def test_an_effect_that_nobody_signed_is_refused_even_after_its_event(shared: Shared) -> None:
    log, effect = _effect(shared, lambda draft: replace(draft, signed=None))
    shared.taken(f"{log}:{LOG}")  # the effect is not here yet, so nothing can be said of it
    says(shared.refused(f"{effect}:{MAIN}"), 11, "not a signed commit", event="EV-00000011")


def test_a_push_that_lies_about_where_the_log_is_does_not_bring_effects_in(
    shared: Shared,
) -> None:
    """git would stop the log alone, after a branch was judged by a log that never came."""
    chain = shared.project.chain()
    shared.taken(f"{LOG}:refs/tags/objects", f"{MAIN}:refs/tags/more-objects")
    branch = f"{shared.at(MAIN)} {shared.project.head(MAIN)} {MAIN}\n"
    for old in (chain[8].oid, ZERO):
        status, said = _feed(shared, f"{old} {chain[10].oid} {LOG}\n{branch}".encode())
        assert status == 6
        says(said, 1, "is not where the push begins")
    honest = f"{chain[5].oid} {chain[10].oid} {LOG}\n{branch}"
    assert _feed(shared, honest.encode())[0] == 0


def test_effects_of_an_imported_log_are_not_held_against_it(shared: Shared, git: Git) -> None:
    """Their commits name events of the log that was exported, by other ids."""
    git(shared.server, "update-ref", "-d", LOG)
    forger = Forger(shared.project, shared.signer.sign)
    chain = shared.project.chain()
    forger.contracts = chain[0].tree["contracts"].oid
    for one in chain:
        attached = {n: one.tree[n] for n in ("files", "exchange") if n in one.tree}
        forger.add(one.event, attached=attached, log_id=imported_log_id(11, "0" * 32))
    imported = forger.finish()
    assert imported != chain[-1].oid
    shared.taken("--atomic", f"{imported}:{LOG}", MAIN)
    says(shared.refused(f"{_posing(shared, 'T-1000')}:{MAIN}"), 11)


# -- esaa.requireEffects -----------------------------------------------------------------------


def test_an_event_whose_effect_is_withheld_is_refused_where_policy_asks(shared: Shared) -> None:
    shared.configure("esaa.requireEffects")
    says(shared.refused(LOG), 11, "esaa.requireEffects", "T-1001", event="EV-00000011")
    # Whichever branch has it, as for 'verify'.
    shared.taken("--atomic", LOG, f"{MAIN}:refs/heads/elsewhere")
    shared.taken(MAIN)


def test_pushes_that_split_log_and_branch_are_refused_where_policy_asks(shared: Shared) -> None:
    shared.configure("esaa.requireEffects")
    says(shared.refused(MAIN), 11, "without its event")
    says(shared.refused(LOG), 11, event="EV-00000011")
    shared.taken("--atomic", LOG, MAIN)
    forger = shared.forger()
    shared.taken(f"{forger.add(health(forger))}:{LOG}")


def test_a_branch_that_would_lose_an_effect_is_refused_where_policy_asks(full: Shared) -> None:
    full.configure("receive.denyDeletes", "false")
    full.taken(f"+{MAIN}~1:{MAIN}")
    full.taken(MAIN)
    full.configure("esaa.requireEffects")
    says(full.refused(f"+{MAIN}~1:{MAIN}"), 11, "lose", event="EV-00000011")
    full.configure("receive.denyDeleteCurrent", "ignore")
    says(full.refused(f":{MAIN}"), 11, "lose")
    # What is merged elsewhere is not lost, and what is no run's branch may be moved at will.
    full.taken(f"{MAIN}:refs/heads/kept", f"{MAIN}:refs/heads/topic")
    full.taken(f"+{MAIN}~2:refs/heads/topic")
    full.taken(f":{MAIN}")


def test_a_deletion_that_hides_what_it_deletes_is_refused_where_policy_asks(full: Shared) -> None:
    """git deletes without a look where the old commit that the push names is none."""
    full.configure("esaa.requireEffects")
    full.configure("receive.denyDeleteCurrent", "ignore")
    before = full.refs()
    for old in (ZERO, "1" * 40):
        line = f"{old} {ZERO} {MAIN}\0report-status delete-refs\n".encode()
        said = _receive_pack(full, line, b"")
        assert "lose the effect of EV-00000005" in said or "EV-00000011" in said, said
        assert full.refs() == before


def test_a_rebase_below_the_effects_is_taken_where_policy_asks(full: Shared) -> None:
    full.configure("esaa.requireEffects")
    git = full.project.git
    tree = git("rev-parse", f"{MAIN}^{{tree}}")
    work = git("commit-tree", tree, "-p", full.project.head(MAIN), "-m", "work")
    full.taken(f"{work}:{MAIN}")
    full.taken(f"+{MAIN}:{MAIN}")


# -- bad input ---------------------------------------------------------------------------------


def _feed(shared: Shared, data: bytes, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [shared.server / "hooks" / "pre-receive", *arguments],
        cwd=shared.server,
        input=data,
        capture_output=True,
        env={**os.environ, "GIT_DIR": ".", **environment()},
        check=False,
    )
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"garbage\n",
        b"\xff\xfe\x00\n",
        f"{ZERO} {ZERO}\n".encode(),
        f"{ZERO} {ZERO} refs/heads/main".encode(),
        f"{ZERO} {ZERO[:39]} refs/heads/main\n".encode(),
        f"{ZERO} {'G' * 40} refs/heads/main\n".encode(),
        f"{ZERO} {ZERO} refs/heads/main\r\n".encode(),
        f"{ZERO} {ZERO} refs/heads/main extra\n".encode(),
        f"{ZERO} {ZERO} refs/heads/a\n\n".encode(),
        f"{ZERO} {'1' * 40} refs/heads/a\n".encode() * 2,
        f"{ZERO} {'1' * 40} HEAD\n".encode(),
    ],
)
def test_garbage_on_standard_input_is_refused(full: Shared, data: bytes) -> None:
    status, said = _feed(full, data)
    assert status == 2
    assert said.startswith("error: ")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "ref",
    [
        "refs/heads/../../esaa/events",
        "refs/heads//x",
        "refs/heads/.x",
        "refs/heads/x.lock",
        "refs/heads/x@{1}",
        "refs/heads/x~1",
        "refs/heads/\x1b[31mred",
        "refs/heads/x\ty",
        "refs/heads/",
        "heads/x",
        "refs",
    ],
)
def test_a_hostile_ref_name_is_refused(full: Shared, ref: str) -> None:
    status, said = _feed(full, f"{ZERO} {full.at()} {ref}\n".encode())
    assert status == 2
    assert "\x1b" not in said
    assert "name of a ref" in said or "not what git writes" in said


def test_a_hostile_ref_name_in_a_real_push_moves_nothing(full: Shared) -> None:
    """git asks the hook first, and refuses the name itself only afterwards."""
    tip = full.at()
    for ref in ("refs/heads/../esaa/events", f"refs/heads/x\n{ZERO} {tip} {LOG}"):
        line = f"{ZERO} {tip} {ref}\0report-status\n".encode()
        before = full.refs()
        said = _receive_pack(full, line, _empty_pack())
        assert full.refs() == before
        assert "error: " in said


def _empty_pack() -> bytes:
    from hashlib import sha1

    head = b"PACK" + (2).to_bytes(4, "big") + (0).to_bytes(4, "big")
    return head + sha1(head).digest()


def _receive_pack(shared: Shared, line: bytes, pack: bytes) -> str:
    """Speak to `git receive-pack` as no git would."""
    packet = f"{len(line) + 4:04x}".encode() + line
    done = subprocess.run(
        ["git", "receive-pack", str(shared.server)],
        input=packet + b"0000" + pack,
        capture_output=True,
        env={**os.environ, **environment()},
        check=False,
    )
    return (done.stdout + done.stderr).decode(errors="replace")


def test_a_truncated_pack_moves_nothing(full: Shared) -> None:
    forger = full.forger()
    new = forger.add(health(forger))
    objects = full.project.git("rev-list", "--objects", new, f"^{full.at()}")
    names = "".join(f"{line.split()[0]}\n" for line in objects.splitlines())
    done = subprocess.run(
        ["git", "pack-objects", "--stdout", "-q"],
        cwd=full.project.path,
        input=names.encode(),
        capture_output=True,
        check=True,
    )
    before = full.refs()
    line = f"{full.at()} {new} {LOG}\0report-status\n".encode()
    for cut in (len(done.stdout) // 2, len(done.stdout) - 1):
        assert "unpack " in _receive_pack(full, line, done.stdout[:cut])
        assert full.refs() == before
    assert "unpack ok" in _receive_pack(full, line, done.stdout)
    assert full.at() == new


def test_missing_objects_are_refused(full: Shared) -> None:
    status, said = _feed(full, f"{full.at()} {'1' * 40} {LOG}\n".encode())
    assert status == 10
    says(said, None, "1" * 40)
    status, said = _feed(full, f"{full.at(MAIN)} {'1' * 40} {MAIN}\n".encode())
    assert status == 10
    says(said, None, "git rev-list")


def _stored(shared: Shared, oid: str) -> Path:
    return shared.server / "objects" / oid[:2] / oid[2:]


def _contract(shared: Shared) -> str:
    """Return the id of an object that every judgement needs and no push brings along."""
    tree = shared.event(shared.at()).tree["contracts"].oid
    return decode_tree(shared.project.repository.read(tree)[1])["allowed_signers"].oid


def test_a_missing_object_on_the_server_is_a_refusal(full: Shared) -> None:
    _stored(full, _contract(full)).unlink()
    forger = full.forger()
    said = full.refused(f"{forger.add(health(forger))}:{LOG}")
    says(said, 2, _contract(full))


def test_a_corrupt_object_on_the_server_is_a_refusal(full: Shared) -> None:
    path = _stored(full, _contract(full))
    content = bytearray(zlib.decompress(path.read_bytes()))
    content[-5] ^= 1
    forger = full.forger()
    for damaged in (zlib.compress(bytes(content)), path.read_bytes()[:20], b"", b"garbage"):
        path.unlink()
        path.write_bytes(damaged)
        says(full.refused(f"{forger.add(health(forger))}:{LOG}"), None)


def test_a_corrupt_tip_of_the_log_keeps_effects_out(shared: Shared) -> None:
    path = _stored(shared, shared.at())
    path.unlink()
    path.write_bytes(b"garbage")
    status, said = _feed(shared, f"{ZERO} {shared.at(MAIN)} refs/heads/x\n".encode())
    assert status == 0, said  # what is there already claims nothing new
    shared.refused("--atomic", LOG, MAIN)


def test_a_setting_that_cannot_be_read_is_a_refusal(full: Shared) -> None:
    forger = full.forger()
    event = forger.add(health(forger))
    for name, value in (
        ("esaa.requireEffects", "perhaps"),
        ("esaa.genesis", "main"),
        ("esaa.eventsRef", "events"),
    ):
        full.configure(name, value)
        says(full.refused(f"{event}:{LOG}"), None, name)
        full.run(full.server, "config", "--unset", name)
    full.taken(f"{event}:{LOG}")


def test_a_fault_of_our_own_is_a_refusal(full: Shared, tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "pygit2"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('\\x1b[31m what is this')\n")
    env = {"PYTHONPATH": os.pathsep.join([str(broken.parent), CHECKOUT])}
    forger = full.forger()
    before = full.refs()
    status, said = full.push(f"{forger.add(health(forger))}:{LOG}", env=env)
    assert status != 0
    assert "a fault in git-esaa itself: RuntimeError" in said
    assert full.refs() == before


def test_a_hook_without_its_package_refuses(full: Shared, tmp_path: Path) -> None:
    hook = full.server / "hooks" / "pre-receive"
    hook.write_text("#!" + sys.executable + " -IS\n" + hook.read_text().partition("\n")[2])
    forger = full.forger()
    before = full.refs()
    status, said = full.push(f"{forger.add(health(forger))}:{LOG}")
    assert status != 0
    assert "cannot run, so nothing is taken" in said
    assert full.refs() == before


# -- killed half way ---------------------------------------------------------------------------


def test_a_hook_that_is_killed_takes_nothing(full: Shared) -> None:
    before = full.server / "hooks" / "pre-receive.before-esaa"
    before.write_text('#!/bin/sh\nkill -9 "$PPID"\nsleep 1\n')
    before.chmod(0o755)
    forger = full.forger()
    event = forger.add(health(forger))
    full.refused(f"{event}:{LOG}")
    before.unlink()
    full.taken(f"{event}:{LOG}")


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_a_hook_that_is_killed_while_it_verifies_takes_nothing(full: Shared, name: str) -> None:
    """The earlier hook tells us whom to kill; then it is a race, which the push may win."""
    told = full.server / "pid"
    before = full.server / "hooks" / "pre-receive.before-esaa"
    before.write_text(f'#!/bin/sh\necho "$PPID" > {told}.new && mv {told}.new {told}\n')
    before.chmod(0o755)
    forger = full.forger()
    for _ in range(100):
        event = forger.add(health(forger))
    old = full.at()
    pushing = subprocess.Popen(
        ["git", "push", "--quiet", "origin", f"{event}:{LOG}", f"{event}:refs/tags/x"],
        cwd=full.project.path,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment()},
    )
    while not told.exists() and pushing.poll() is None:
        time.sleep(0.005)
    time.sleep(0.05)
    try:
        os.kill(int(told.read_text()), signal.Signals[name])
    except ProcessLookupError:
        pytest.skip("the push was faster")
    _, said = pushing.communicate(timeout=patience(60))
    assert b"Traceback" not in said
    assert full.at() == (old if pushing.returncode else event)
    assert ("refs/tags/x" in full.refs()) == (pushing.returncode == 0)
    assert pushing.returncode != 0


def test_every_word_of_a_forged_commit_is_made_visible(full: Shared) -> None:
    """What was pushed ends on somebody's terminal."""
    tree, parent = full.project.git("rev-parse", f"{MAIN}^{{tree}}"), full.project.head(MAIN)
    message = "x\n\nESAA-Event: 3f2a91c\x1b[2J\x07\nESAA-Task: \x1b]0;\x07\n"
    forged = full.project.git("commit-tree", tree, "-p", parent, stdin=message)
    said = full.refused(f"{forged}:{MAIN}")
    assert "\x1b[2J" not in said
    assert "\x07" not in said


def test_the_forgers_are_honest_where_they_do_not_lie(full: Shared, git: Git) -> None:
    """Or else every refusal above could be for another reason."""
    assert isinstance(full.project, Project)
    forger = full.forger()
    oid = forger.add(health(forger))
    draft = full.draft(oid)
    assert draft.write(full.project.repository, full.at()) == oid
    assert _with_entries(full, oid) == oid
    assert sign_commit(b"a\n\nb", b"s\n") == b"a\ngpgsig s\n\nb"
    assert logid.imported_events("0" * 32) == 0
    effect = _commit_draft(full).write(full.project.repository, full.project.head(f"{MAIN}~1"))
    assert effect == full.project.head(MAIN)
    full.taken(f"{oid}:{LOG}")
