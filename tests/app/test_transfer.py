"""Export and import: the same events, the same projection, and nothing that was not checked."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from esaa_git.app.export import ACTIVITY, OBJECTS, ORIGIN, export_events, export_files
from esaa_git.app.import_log import Imported, import_log
from esaa_git.core import canonical, logid
from esaa_git.core.projection import projection_hash
from esaa_git.errors import (
    ConfigurationError,
    CorruptedError,
    EsaaError,
    KeyUnavailable,
    MismatchError,
    RepositoryError,
    UsageError,
)
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.objects import BLOB, object_id
from esaa_git.store.position import walk_forward
from esaa_git.verification.audit import Auditor
from tests.support.logs import (
    SEED,
    MadeLog,
    default_contracts,
    make_log,
    make_repository,
    open_log,
    write_key,
)
from tests.support.records import payload_of

TOKEN = "f" * 32
OTHER_SEED = bytes(32)


class Exported:
    """A log of two tasks with files, and what its export wrote."""

    def __init__(self, folder: Path) -> None:
        self.made = make_log(folder / "source", tasks=2, rejected=1)
        self.folder = folder / "out"
        self.done = export_files(self.made.repository, self.folder)
        self.activity = self.folder / ACTIVITY
        self.objects = self.folder / OBJECTS

    @property
    def lines(self) -> list[bytes]:
        return self.activity.read_bytes().splitlines(keepends=True)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory.mktemp("transfer"))


@pytest.fixture
def target(tmp_path: Path) -> MadeLog:
    """A fresh repository with the log's own key, without contracts and without a log."""
    return open_log(tmp_path / "target", bare=True)


def take(
    target: MadeLog,
    activity: Path,
    objects: Path | None = None,
    files: Mapping[str, bytes] | None = None,
) -> Imported:
    return import_log(target.log, activity, token=TOKEN, objects=objects, contract_files=files)


def refusal(target: MadeLog, activity: Path, objects: Path | None = None) -> EsaaError:
    """Return why the import was refused, having seen that it left nothing."""
    folder = target.repository.common_dir / "objects"
    before = sorted(folder.rglob("*"))
    with pytest.raises(EsaaError) as caught:
        take(target, activity, objects)
    assert target.repository.ref_target(target.log.ref) is None
    assert sorted(folder.rglob("*")) == before
    return caught.value


# -- export -----------------------------------------------------------------------------------


def test_the_activity_is_the_canonical_bytes_of_every_event(exported: Exported) -> None:
    assert exported.lines == [event.data for event in exported.made.events]
    assert exported.done.events == len(exported.made.events)


def test_the_objects_are_those_that_events_name(
    exported: Exported, target: MadeLog, tmp_path: Path
) -> None:
    named: set[str] = set()
    for event in exported.made.events:
        payload = payload_of(event)
        named |= {file["after"] for file in payload.get("files", ())}
        said = payload.get("exchange", {})
        named |= {part if name == "salt" else part["blob"] for name, part in said.items()}
    named |= {object_id(BLOB, data) for data in exported.made.contracts.files.values()}

    from esaa_git.store.packwriter import ForeignPack

    with ForeignPack(target.repository, exported.objects) as foreign:
        assert {oid for oid, _ in foreign.blobs()} == named
    assert exported.done.blobs == len(named)


def test_an_export_can_be_streamed_without_objects(exported: Exported) -> None:
    stream = io.BytesIO()

    export_events(exported.made.repository, stream)

    assert stream.getvalue() == b"".join(exported.lines)


def test_an_export_replaces_the_one_before_and_leaves_nothing_else(exported: Exported) -> None:
    export_files(exported.made.repository, exported.folder)

    assert sorted(path.name for path in exported.folder.iterdir()) == [
        ACTIVITY,
        OBJECTS,
        ORIGIN,
    ]


def test_an_export_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    made = make_log(tmp_path / "log", tasks=1)
    export_files(made.repository, tmp_path / "out")
    before = (tmp_path / "out" / ACTIVITY).read_bytes()
    image = object_id(BLOB, b"T-1000\n")
    (made.repository.common_dir / "objects" / image[:2] / image[2:]).unlink()

    with pytest.raises(RepositoryError, match="'git pack-objects' failed"):
        export_files(make_repository(made.path), tmp_path / "out")

    assert (tmp_path / "out" / ACTIVITY).read_bytes() == before
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_folder_that_cannot_be_made_is_named(exported: Exported, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(RepositoryError, match="cannot write to"):
        export_files(exported.made.repository, tmp_path / "file")


# -- import -----------------------------------------------------------------------------------


def test_an_import_has_the_same_events_and_the_same_projection(
    exported: Exported, target: MadeLog
) -> None:
    done = take(target, exported.activity, exported.objects)

    state, contracts = target.log.load()
    assert [stored.event.data for stored in target.log.events()] == exported.lines
    assert projection_hash(state) == done.projection_hash == exported.made.projection_hash
    assert contracts.pins == exported.made.contracts.pins
    assert done.events == state.seq == len(exported.lines)


def test_an_imported_log_is_another_log_and_passes_every_check_of_a_log(
    exported: Exported, target: MadeLog
) -> None:
    done = take(target, exported.activity, exported.objects)

    report = Auditor(target.repository, with_branch=False).run()

    assert report.audit.outcome == "ok", report.audit.message
    assert report.log_id == done.log_id == f"imported-{done.events}-{TOKEN}"
    assert done.tip == report.tip
    assert done.tip not in exported.made.commits
    assert logid.imported_events(done.log_id) == done.events
    assert logid.imported_events("0" * 32) == 0


def test_an_imported_log_can_be_continued(exported: Exported, target: MadeLog) -> None:
    take(target, exported.activity, exported.objects)
    target.state, target.contracts = target.log.load()

    target.start([{"task_id": "T-2000", "kind": "impl", "title": "More"}])
    target.record()

    assert Auditor(target.repository, with_branch=False).run().audit.is_ok
    assert target.state.run.run_id == "RUN-0002"


def test_export_of_an_import_is_the_same_export(
    exported: Exported, target: MadeLog, tmp_path: Path
) -> None:
    take(target, exported.activity, exported.objects)

    export_files(target.repository, tmp_path / "again")

    assert (tmp_path / "again" / ACTIVITY).read_bytes() == exported.activity.read_bytes()


def test_the_same_import_makes_the_same_commits(
    exported: Exported, target: MadeLog, tmp_path: Path
) -> None:
    other = open_log(tmp_path / "other", bare=True)

    assert (
        take(target, exported.activity, exported.objects).tip
        == take(other, exported.activity, exported.objects).tip
    )


def test_an_import_writes_one_pack_and_no_loose_objects(
    exported: Exported, target: MadeLog
) -> None:
    objects = target.repository.common_dir / "objects"
    loose = sorted(objects.glob("[0-9a-f][0-9a-f]/*"))

    take(target, exported.activity, exported.objects)

    assert sorted(objects.glob("[0-9a-f][0-9a-f]/*")) == loose
    assert len(list((objects / "pack").glob("*.pack"))) == 1
    assert list(objects.glob("tmp_*")) == []


def test_only_contents_that_an_event_names_are_taken(
    exported: Exported, target: MadeLog, tmp_path: Path
) -> None:
    from esaa_git.store.packwriter import PackSink

    other = make_repository(tmp_path / "other", bare=True)
    with PackSink(other) as sink:
        stray = sink.put(BLOB, b"stray")
        for oid in exported.made.repository.odb:
            kind, data = exported.made.repository.read(str(oid))
            sink.put(kind, data)
        sink.install()
    (pack,) = (other.common_dir / "objects" / "pack").glob("*.pack")

    take(target, exported.activity, pack)

    assert stray not in target.repository.odb
    assert exported.made.tip not in target.repository.odb


def test_contracts_may_come_from_files_instead_of_the_pack(tmp_path: Path) -> None:
    made = make_log(tmp_path / "plain", tasks=1, done=0)
    activity = tmp_path / ACTIVITY
    with activity.open("wb") as stream:
        export_events(made.repository, stream)
    target = open_log(tmp_path / "target", bare=True)

    done = take(target, activity, None, made.contracts.files)

    assert done.projection_hash == made.projection_hash


def test_contracts_that_changed_with_a_run_are_taken_with_it(tmp_path: Path) -> None:
    made = make_log(tmp_path / "log", tasks=1)
    policy = made.contracts.files["RUNTIME_POLICY.yaml"].replace(
        b"max_per_task: 3", b"max_per_task: 4"
    )
    public = made.signer.public_key_line
    made.contracts = default_contracts(public, changed={"RUNTIME_POLICY.yaml": policy})
    made.start([{"task_id": "T-2000", "kind": "impl", "title": "More"}])
    made.record()
    export_files(made.repository, tmp_path / "out")
    target = open_log(tmp_path / "target", bare=True)

    take(target, tmp_path / "out" / ACTIVITY, tmp_path / "out" / OBJECTS)

    assert target.log.load()[1].policy.max_attempts == 4
    assert Auditor(target.repository, with_branch=False).run().audit.is_ok


# -- what is refused, and leaves nothing ------------------------------------------------------


def test_a_repository_with_a_log_takes_no_import(exported: Exported, tmp_path: Path) -> None:
    busy = make_log(tmp_path / "busy", tasks=1, done=0, bare=True)

    with pytest.raises(RepositoryError, match="has an event log already"):
        take(busy, exported.activity, exported.objects)

    assert busy.repository.ref_target(busy.log.ref) == busy.tip


def test_a_log_that_was_verified_here_and_is_gone_is_not_replaced(
    exported: Exported, tmp_path: Path
) -> None:
    busy = make_log(tmp_path / "busy", tasks=1, done=0, bare=True)
    assert Auditor(busy.repository).run().audit.is_ok
    busy.repository.raw.references.delete(busy.log.ref)

    assert "a log was verified in this repository" in str(
        refusal(busy, exported.activity, exported.objects)
    )


def test_a_key_that_the_log_does_not_name_cannot_sign_it(
    exported: Exported, tmp_path: Path
) -> None:
    stranger = open_log(tmp_path / "stranger", bare=True, seed=OTHER_SEED)

    error = refusal(stranger, exported.activity, exported.objects)

    assert isinstance(error, KeyUnavailable)
    assert stranger.signer.fingerprint in error.message
    assert "allowed_signers" in str(error.cause)


def test_a_key_without_the_role_for_an_event_is_refused_there(tmp_path: Path) -> None:
    public = write_key(tmp_path / "key", SEED)
    other = write_key(tmp_path / "other-key", OTHER_SEED)
    contracts = default_contracts(public)
    line = f'ann@example.com,approver namespaces="git" {other}\n'.encode()
    signers = contracts.files["allowed_signers"] + line
    contracts = default_contracts(public, changed={"allowed_signers": signers})
    made = make_log(tmp_path / "log", tasks=1, done=0, contracts=contracts)
    export_files(made.repository, tmp_path / "out")
    approver = open_log(tmp_path / "approver", bare=True, seed=OTHER_SEED)

    error = refusal(approver, tmp_path / "out" / ACTIVITY, tmp_path / "out" / OBJECTS)

    assert isinstance(error, KeyUnavailable)
    assert approver.signer.fingerprint in error.message


def test_contracts_that_are_not_at_hand_are_named(exported: Exported, target: MadeLog) -> None:
    error = refusal(target, exported.activity)

    assert isinstance(error, ConfigurationError)
    assert "AGENT_CONTRACT.yaml" in error.message
    assert "allowed_signers" in error.message
    assert "--objects" in str(error.hint)


def test_a_contract_file_with_another_content_does_not_count(
    exported: Exported, target: MadeLog
) -> None:
    files = dict(exported.made.contracts.files)
    files["RUNTIME_POLICY.yaml"] += b"# edited\n"

    with pytest.raises(ConfigurationError, match=r"not at hand: RUNTIME_POLICY\.yaml$"):
        take(target, exported.activity, None, files)


def without_objects(exported: Exported, tmp_path: Path, leave_out: Callable[[bytes], bool]) -> Path:
    """Return a pack of the exported contents, without some of them."""
    from esaa_git.store.packwriter import ForeignPack, PackSink

    other = make_repository(tmp_path / "other", bare=True)
    with ForeignPack(other, exported.objects) as foreign, PackSink(other) as sink:
        for _, data in foreign.blobs():
            if not leave_out(data):
                sink.put(BLOB, data)
        sink.install()
    (pack,) = (other.common_dir / "objects" / "pack").glob("*.pack")
    return pack


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"T-1001\n", "the content of 'src/T-1001.txt' is not at hand"),
        (b'{"task":"T-1000"}\n', "the request of 'T-1000-A2' is not at hand"),
    ],
)
def test_a_content_that_nobody_has_is_named(
    exported: Exported, target: MadeLog, tmp_path: Path, content: bytes, what: str
) -> None:
    pack = without_objects(exported, tmp_path, lambda data: data == content)

    error = refusal(target, exported.activity, pack)

    assert isinstance(error, CorruptedError)
    assert what in error.message


def rewritten(
    exported: Exported, folder: Path, number: int, change: Callable[[dict[str, Any]], object]
) -> Path:
    """Return the activity with one event changed and written canonically again."""
    lines = exported.lines
    document = json.loads(lines[number - 1])
    change(document)
    lines[number - 1] = canonical.encode(document)
    path = folder / ACTIVITY
    path.write_bytes(b"".join(lines))
    return path


def number_of(exported: Exported, action: str) -> int:
    return next(event.seq for event in exported.made.events if event.action == action)


FILE_WRITE, VERIFY_OK, TASK_UPDATE = "orchestrator.file.write", "verify.ok", "task.update"


@pytest.mark.parametrize(
    ("action", "change", "what"),
    [
        (TASK_UPDATE, lambda event: event["payload"].update({"to": "blocked"}), "is not lawful"),
        (TASK_UPDATE, lambda event: event.update(ts="2020-01-01T00:00:00.000Z"), "INV-005"),
        (
            FILE_WRITE,
            lambda event: event["payload"]["files"][0].update(path=".git/config"),
            "INV-004",
        ),
        (
            VERIFY_OK,
            lambda event: event["payload"].update(projection_hash_sha256="0" * 64),
            "the projection has another hash",
        ),
    ],
)
def test_an_event_that_breaks_a_rule_is_refused(
    exported: Exported,
    target: MadeLog,
    tmp_path: Path,
    action: str,
    change: Callable[[dict[str, Any]], object],
    what: str,
) -> None:
    number = number_of(exported, action)

    error = refusal(target, rewritten(exported, tmp_path, number, change), exported.objects)

    assert isinstance(error, MismatchError)
    assert f"line {number} (EV-{number:08d}) is not lawful" in error.message
    assert what in f"{error.message} {error.cause}"


def test_a_content_that_is_not_the_events_is_refused(
    exported: Exported, target: MadeLog, tmp_path: Path
) -> None:
    number = number_of(exported, FILE_WRITE)
    path = rewritten(
        exported,
        tmp_path,
        number,
        lambda event: event["payload"]["files"][0].update(sha256="0" * 64),
    )

    error = refusal(target, path, exported.objects)

    assert isinstance(error, CorruptedError)
    assert "the content of 'src/T-1000.txt' is not what the event says" in error.message


@pytest.mark.parametrize(
    "spoil",
    [
        lambda line: b"not an event\n",
        lambda line: b"\n",
        lambda line: line.replace(b":", b": ", 1),
        lambda line: line.replace(b"\n", b"\r\n"),
        lambda line: b"\xff" + line,
        lambda line: b'{"action":"run.init","payload":{"contracts":[{}]}}\n',
    ],
    ids=["text", "an empty line", "other spacing", "CR LF", "not UTF-8", "half an event"],
)
@pytest.mark.parametrize("number", [1, 7])
def test_a_bad_line_is_reported_with_its_number(
    exported: Exported,
    target: MadeLog,
    tmp_path: Path,
    number: int,
    spoil: Callable[[bytes], bytes],
) -> None:
    lines = exported.lines
    lines[number - 1] = spoil(lines[number - 1])
    path = tmp_path / ACTIVITY
    path.write_bytes(b"".join(lines))

    error = refusal(target, path, exported.objects)

    assert isinstance(error, CorruptedError)
    assert f"line {number} is not an event" in error.message


def test_a_last_line_that_was_cut_off_is_a_bad_line(
    exported: Exported, target: MadeLog, tmp_path: Path
) -> None:
    path = tmp_path / ACTIVITY
    path.write_bytes(exported.activity.read_bytes()[:-1])

    error = refusal(target, path, exported.objects)

    assert f"line {len(exported.lines)} is not an event" in error.message


@pytest.mark.parametrize("gap", [1, 5])
def test_a_missing_line_is_noticed(
    exported: Exported, target: MadeLog, tmp_path: Path, gap: int
) -> None:
    lines = exported.lines
    del lines[gap - 1]
    path = tmp_path / ACTIVITY
    path.write_bytes(b"".join(lines))

    error = refusal(target, path, exported.objects)

    assert isinstance(error, MismatchError)
    assert f"event {gap + 1} does not follow event {gap - 1}" in str(error.cause)


def test_an_empty_file_and_a_missing_one_are_named(target: MadeLog, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    assert isinstance(refusal(target, tmp_path / "empty"), UsageError)
    assert isinstance(refusal(target, tmp_path / "none"), RepositoryError)


def test_an_event_commit_of_an_import_carries_the_attachments(
    exported: Exported, target: MadeLog
) -> None:
    done = take(target, exported.activity, exported.objects)
    trees = [
        (read_event_commit(target.repository.read, oid), made)
        for oid, made in zip(
            walk_forward(target.repository, done.tip), exported.made.commits, strict=True
        )
    ]

    for found, made in trees:
        original = read_event_commit(exported.made.repository.read, made)
        assert found.tree == original.tree
