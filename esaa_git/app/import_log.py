"""The log of another repository from its exported files (docs/FORMAT.md, "Export").

An import signs anew, so the key must be one that the contracts in the log admit; and it starts a
log of its own, whose id says how many events it took in, and of which log. The events are the same
bytes, so the projection and its hash are the same. Nobody vouches for what they say: whoever held
the files could have changed them. A bundle (`import_bundle`) brings the commits themselves.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO

from esaa_git.app.export import ACTIVITY, BUNDLE, OBJECTS, ORIGIN, STEP, Progress, silent
from esaa_git.app.import_bundle import Imported, import_bundle, is_bundle, refuse_where_one_is
from esaa_git.app.project import Project
from esaa_git.app.roadmap import ROADMAP
from esaa_git.core import logid
from esaa_git.core.approvals import SUBJECT, check_subject
from esaa_git.core.attachments import check_attachments, kept_decision, kept_exchange
from esaa_git.core.canonical import NotCanonical, digest
from esaa_git.core.canonical import decode as decode_canonical
from esaa_git.core.contract_rules import check_contract_rules
from esaa_git.core.contracts import Contracts, is_contract_file
from esaa_git.core.event import Event, MalformedEvent, decode
from esaa_git.core.events import ApprovalRequest, FileWrite, RunInit, VerifyOk
from esaa_git.core.events.file_write import FileAdd, FileDelete, FileModify, FileRename
from esaa_git.core.events.spec import ADMIN, ORCHESTRATOR
from esaa_git.core.invariants import Violation
from esaa_git.core.programs import Programs, check_bounds
from esaa_git.core.projection import evolve, projection_hash
from esaa_git.core.state import EMPTY, State
from esaa_git.errors import (
    ConfigurationError,
    CorruptedError,
    EsaaError,
    KeyUnavailable,
    MismatchError,
    RefusedError,
    RepositoryError,
    UsageError,
)
from esaa_git.ports.files import FileEntry
from esaa_git.ports.log import Attachments
from esaa_git.store.files import contents_below, exists_below, reading_below
from esaa_git.store.log import GitEventLog, GitLogTransaction
from esaa_git.store.objects import BLOB
from esaa_git.store.packwriter import ForeignPack, PackSink
from esaa_git.store.repository import Repository
from esaa_git.trust.roles import signer_set

_RUN_INIT = b'{"action":"run.init",'
_APPROVAL_REQUEST = b'{"action":"approval.request",'

MOST_ORIGIN_BYTES = 10_000


def import_into(project: Project, file: Path, objects: Path | None = None) -> Imported:
    """Start the log of this repository from an exported one: all of it, or nothing.

    Args:
        file: an `activity.jsonl`, or the folder that an export wrote into.
        objects: the pack that the export wrote; by default the one beside the file.

    Raises:
        EsaaError: as `import_log` does.
    """
    if file.is_dir():
        file = file / (BUNDLE if objects is None and exists_below(file, BUNDLE) else ACTIVITY)
    if is_bundle(file):
        return import_bundle(project, file)
    beside = file.parent / OBJECTS
    if objects is None and exists_below(beside.parent, beside.name):
        objects = beside
    return import_log(
        project.log,
        file,
        token=secrets.token_hex(16),
        origin=_origin(beside.parent),
        objects=objects,
        contract_files=_contract_files(project),
        on_progress=project.observer.progress,
    )


def _origin(folder: Path) -> str | None:
    """Return the id of the exported log, where a file beside the events says it.

    Raises:
        CorruptedError: if that file says something else.
    """
    if not exists_below(folder, ORIGIN):
        return None
    try:
        with reading_below(folder, ORIGIN) as file:
            log_id = decode_canonical(file.read(MOST_ORIGIN_BYTES))["log_id"]
    except (NotCanonical, LookupError, TypeError) as error:
        raise _no_origin(folder, str(error)) from error
    if not (isinstance(log_id, str) and logid.is_log_id(log_id)):
        raise _no_origin(folder, "its 'log_id' is none")
    return log_id


def _no_origin(folder: Path, cause: str) -> CorruptedError:
    return CorruptedError(
        f"'{folder / ORIGIN}' does not say which log was exported",
        cause=cause,
        hint="export once more, or import without that file",
    )


def _contract_files(project: Project) -> dict[str, bytes]:
    workdir = project.repository.workdir
    return {} if workdir is None else contents_below(workdir, ROADMAP, is_contract_file)


def import_log(
    log: GitEventLog,
    activity: Path,
    *,
    token: str,
    origin: str | None = None,
    objects: Path | None = None,
    contract_files: Mapping[str, bytes] | None = None,
    on_progress: Progress = silent,
) -> Imported:
    """Take the events of an `activity.jsonl` into a repository without a log: all, or nothing.

    Every event passes what it would pass if it were appended here: the decoder, the state
    machine and the invariants, the contracts in force, and its contents. Contents come from the
    repository or from `objects`, and only those that an event names are taken; contracts may
    also be files at hand.

    Args:
        token: 32 hexadecimal digits that make the new log's id unlike any other.
        origin: the id of the log that was exported, where that is known.
        contract_files: contents by name, `.roadmap/` as a rule.

    Raises:
        RepositoryError: if there is a log already, or a file cannot be read.
        CorruptedError: for a line that is no event, or a content that is missing or another.
        MismatchError: for an event that the protocol or the contracts forbid where it stands.
        ConfigurationError: if contracts that a run.init pins are not at hand.
        KeyUnavailable: if there is no key, or the contracts in the log do not admit it.
        RefusedError: if the key has no role that may sign an event.
    """
    repository = log.repository
    refuse_where_one_is(log)
    try:
        with ExitStack() as stack:
            source = stack.enter_context(reading_below(activity.parent, activity.name))
            first_look = _first_look(source, activity)
            foreign = None
            if objects is not None:
                foreign = stack.enter_context(ForeignPack(repository, objects))
            sink = stack.enter_context(PackSink(repository))
            log_id = logid.imported_log_id(first_look.events, token, origin)
            contents = _Contents(repository, sink, foreign)
            contents.add_contracts(first_look.pins, contract_files or {})
            task = _Import(
                log, log.begin(log_id=log_id, sink=sink, read=contents.read), contents, activity
            )
            source.seek(0)
            for number, line in enumerate(source, 1):
                task.take(number, line)
                if number % STEP == 0:
                    on_progress(number, first_look.events)
            sink.install()
            task.transaction.commit()
            on_progress(first_look.events, first_look.events)
            hash_ = projection_hash(task.state)
            return Imported(first_look.events, log_id, task.tip, hash_, sink.bytes, origin)
    except OSError as error:
        raise RepositoryError(f"cannot import '{activity}'", cause=str(error)) from error


@dataclass
class _FirstLook:
    """What a first look at the file gives: how many lines, and which contracts they pin."""

    events: int = 0
    pins: dict[str, str] = field(default_factory=dict)


def _first_look(source: IO[bytes], path: Path) -> _FirstLook:
    found = _FirstLook()
    for line in source:
        found.events += 1
        if line.startswith(_RUN_INIT):
            try:
                payload = decode_canonical(line)["payload"]
                pins = [*payload["contracts"], *payload.get("programs", ())]
                found.pins.update({pin["sha256"]: pin["path"] for pin in pins})
            except (NotCanonical, LookupError, TypeError):
                continue  # the line is reported when its turn comes
        elif line.startswith(_APPROVAL_REQUEST):
            try:
                found.pins[decode_canonical(line)["payload"]["subject_sha256"]] = SUBJECT
            except (NotCanonical, LookupError, TypeError):
                continue
    if not found.events:
        raise UsageError(
            f"'{path}' holds no events", hint="write one with 'git esaa export' where the log is"
        )
    return found


class _Contents:
    """Contents by id and by SHA-256; what an event names is put into the sink."""

    def __init__(self, repository: Repository, sink: PackSink, foreign: ForeignPack | None) -> None:
        self._repository = repository
        self._sink = sink
        self._foreign = foreign
        self._contracts: dict[str, bytes] = {}

    def add_contracts(self, wanted: Mapping[str, str], files: Mapping[str, bytes]) -> None:
        """Look for the contents with these SHA-256 among the files, then in the pack."""
        for data in files.values():
            self._keep_contract(wanted, data)
        if self._foreign is not None and wanted.keys() - self._contracts.keys():
            for _, data in self._foreign.blobs():
                self._keep_contract(wanted, data)

    def _keep_contract(self, wanted: Mapping[str, str], data: bytes) -> None:
        name = sha256(data).hexdigest()
        if name in wanted:
            self._contracts[name] = data

    def pinned(self, sha: str) -> bytes:
        """Return what `contract` has found."""
        return self._contracts[sha]

    def contract(self, sha: str) -> bytes | None:
        return self._contracts.get(sha)

    def read(self, oid: str, most: int | None = None, /) -> tuple[int, bytes]:
        """Return (kind, content) of an object that an event names, wherever it is."""
        try:
            return self._repository.read(oid, most)
        except KeyError:
            if self._foreign is None:
                raise
            return self._foreign.read(oid)

    def take(self, oid: str) -> bytes | None:
        """Return a blob, stored here from now on; None where no source has it."""
        for source in (self._repository, self._foreign):
            try:
                kind, data = (0, b"") if source is None else source.read(oid)
            except KeyError:
                continue
            if kind == BLOB:
                if source is self._foreign:
                    self._sink.put(BLOB, data)
                return data
        return None


class _Import:
    """One import: the state so far, and the checks of the next line."""

    def __init__(
        self, log: GitEventLog, transaction: GitLogTransaction, contents: _Contents, path: Path
    ) -> None:
        self._log = log
        self.transaction = transaction
        self._contents = contents
        self._path = path
        self._contracts = Contracts({})
        self.state: State = EMPTY
        self.tip = ""

    def take(self, number: int, line: bytes) -> None:
        """Check one line and write its event."""
        where = f"'{self._path}' line {number}"
        try:
            event = decode(line)
        except MalformedEvent as error:
            raise CorruptedError(f"{where} is not an event", cause=str(error)) from error
        contracts = self._contracts
        try:
            state = evolve(self.state, event)
            if isinstance(event.payload, RunInit):
                contracts = self._contracts_of(event, event.payload, where)
            check_contract_rules(self.state, event, contracts)
            attachments = self._attachments(event, where)
            self._check_hash(event)
        except Violation as error:
            raise MismatchError(
                f"{where} ({event.event_id}) is not lawful", cause=str(error)
            ) from error
        try:
            self.tip = self.transaction.write(event, state, contracts, attachments)
        except RefusedError as error:
            raise RefusedError(
                f"{where}: {error.message}", cause=error.cause, hint=error.hint
            ) from error
        self._contracts, self.state = contracts, state

    def _contracts_of(self, event: Event, payload: RunInit, where: str) -> Contracts:
        before, pins, listed = self._contracts, payload.contracts, payload.programs
        if (pins, listed) == (before.pins, before.program_pins):
            return before
        contents = self._contents
        found = {pin.path: contents.contract(pin.sha256) for pin in pins}
        found |= {pin.path: contents.contract(pin.sha256) for pin in listed or ()}
        missing = [path for path, data in found.items() if data is None]
        if missing:
            raise ConfigurationError(
                f"contracts of {event.event_id} are not at hand: {', '.join(missing)}",
                cause="run.init pins them by SHA-256, and no file in '.roadmap/' and no object "
                "has that content",
                hint=f"give the pack that 'git esaa export' wrote: --objects {OBJECTS}",
            )
        programs = None if listed is None else Programs(listed, contents.pinned)
        contracts = Contracts({pin.path: contents.pinned(pin.sha256) for pin in pins}, programs)
        try:
            if programs is not None:
                check_bounds(programs)
            contracts.check()
            signers = signer_set(contracts)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"{where}: contracts that cannot be used: {error.message}", cause=error.cause
            ) from error
        if not self._contracts.files:
            self._check_key(signers.roles_of_fingerprint(self._log.signer.fingerprint), event)
        return contracts

    def _check_key(self, principals: frozenset[str], event: Event) -> None:
        if principals & {ORCHESTRATOR, ADMIN}:
            return
        raise KeyUnavailable(
            f"the key '{self._log.signer.fingerprint}' may not sign this log",
            cause=f"the 'allowed_signers' that {event.event_id} pins does not name it, and an "
            "import signs every event anew",
            hint="run 'git config esaa.signingKey PATH' with the key of the log's own "
            "orchestrator; to carry on under another key, import with the old one and admit the "
            "new one in '.roadmap/allowed_signers'",
        )

    def _attachments(self, event: Event, where: str) -> Attachments:
        files: dict[str, FileEntry] = {}
        if isinstance(event.payload, FileWrite):
            for file in event.payload.files:
                if not isinstance(file, FileDelete):
                    self._check_image(file, where)
                    files[file.path] = FileEntry(file.mode, file.after)
        exchange, decision = kept_exchange(event.payload), kept_decision(event.payload)
        for name, blob in (*exchange.items(), *decision.items()):
            if self._contents.take(blob) is None:
                part = name.removesuffix(".json")
                raise _missing(where, f"the {part} of '{event.attempt_id}'", blob)
        images = {path: (entry.mode, entry.oid) for path, entry in files.items()}
        check_attachments(event, images, exchange, decision)
        subject = None
        if isinstance(event.payload, ApprovalRequest):
            sha = event.payload.subject_sha256
            subject = self._contents.contract(sha)
            if subject is None:
                raise _missing(where, f"the subject of '{event.approval_id}'", sha)
        first = logid.recorded_in(self.transaction.log_id, event.seq)
        check_subject(self.state, event, subject, first)
        return Attachments(files, exchange, decision, subject)

    def _check_image(self, file: FileAdd | FileModify | FileRename, where: str) -> None:
        content = self._contents.take(file.after)
        if content is None:
            raise _missing(where, f"the content of '{file.path}'", file.after)
        if digest(content) != file.sha256 or len(content) != file.bytes:
            raise CorruptedError(
                f"{where}: the content of '{file.path}' is not what the event says",
                cause=f"blob {file.after[:12]} has {len(content)} bytes and another SHA-256",
            )

    def _check_hash(self, event: Event) -> None:
        if not isinstance(event.payload, VerifyOk):
            return
        if projection_hash(self.state) != event.payload.projection_hash_sha256:
            raise Violation("INV-006", "the projection has another hash than the event records")


def _missing(where: str, what: str, oid: str) -> EsaaError:
    return CorruptedError(
        f"{where}: {what} is not at hand",
        cause=f"there is no blob {oid} here",
        hint=f"give the pack that 'git esaa export' wrote: --objects {OBJECTS}",
    )
