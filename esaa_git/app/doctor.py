"""Whether a repository is set up as it should be, and putting right what dead processes left."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from esaa_git.app.elsewhere import explain
from esaa_git.app.observer import Notes
from esaa_git.app.pinning import wanted_contracts
from esaa_git.app.project import KEPT, Project, has_log
from esaa_git.app.roadmap import check_contracts, read_contracts, read_plan
from esaa_git.app.sessions import forget_sessions
from esaa_git.errors import EsaaError, NoLog, RepositoryError
from esaa_git.store.durability import UNSAFE_NONE

if TYPE_CHECKING:
    from esaa_git.store.maintenance import Maintained as Maintained  # what `maintain` returns


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `level` is `ok`, `note` or `problem`."""

    level: str
    what: str
    hint: str | None = None


def examine(project: Project, *, repair: bool = False) -> list[Finding]:
    """Look at the git program, the key, the contracts, the agents, the log's ref and its locks.

    Args:
        repair: first finish or remove what processes that died have left. Without it, nothing is
            changed.
    """
    project.repairs = False  # here, it is asked for or not done
    found = [Finding("ok", line) for line in _repair(project)] if repair else []
    return found + list(_findings(project))


def maintain(project: Project) -> Maintained | None:
    """Pack the log's objects, and let go of setups and sessions that nobody uses.

    Return what was done, or None where another process is at it.

    Raises:
        RepositoryError: if git cannot pack, or cannot read its pack back; nothing is lost.
        CorruptedError: if the log ends with something that is no event.
    """
    from esaa_git.agents.kept import Kept
    from esaa_git.remote.records import forget
    from esaa_git.store.maintenance import maintain as pack

    repository = project.repository
    forget(repository)
    done = pack(repository)
    tidied = [*Kept(repository.esaa_dir / KEPT).tidy(), *forget_sessions(project)]
    return None if done is None else replace(done, leftovers=(*done.leftovers, *tidied))


def _findings(project: Project) -> Iterator[Finding]:
    yield _git()
    repository = project.repository  # says by itself what is wrong with it
    kind = "bare repository" if repository.workdir is None else "repository"
    yield Finding("ok", f"{kind} '{repository.git_dir}', log on {repository.events_ref}")
    try:
        has_log(project)
    except EsaaError as error:
        yield _problem(error)
        return
    for section in (_key, _contracts, _log, _trusted, _remotes, _interrupted, _leftovers, _locks):
        try:
            yield from section(project)
        except EsaaError as error:
            yield _problem(error)


def _git() -> Finding:
    program = shutil.which("git")
    if program is None:
        return Finding("problem", "the git program is not on PATH", "install git")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return Finding("ok", done.stdout.strip())


def _key(project: Project) -> Iterator[Finding]:
    """Look at the keys that sign here; a person's alone is a set-up of its own (guides/keys.md)."""
    from esaa_git.trust.roles import person_of

    setting = project.repository.setting
    persons = setting("esaa.approverKey") is not None
    if persons and setting("esaa.signingKey") is None and has_log(project):
        yield Finding("ok", "a person's key alone: what follows is recorded by the orchestrator")
    else:
        yield from _orchestrators_key(project)
    if not persons:
        return
    signer = project.log.keys.person
    assert signer is not None  # it is configured
    contracts = project.log.load()[1] if has_log(project) else read_contracts(project.repository)
    who = person_of(contracts, signer.fingerprint)
    if who is not None:
        yield Finding("ok", f"{who} signs with {signer.fingerprint} ({signer.key_type})")
    else:
        yield Finding(
            "problem",
            f"esaa.approverKey names {signer.fingerprint}, which the contracts name for no person",
            f"an admin has to add it: git esaa key trust '{signer.public_key_line}' "
            "--role contributor --as EMAIL",
        )


def _orchestrators_key(project: Project) -> Iterator[Finding]:
    from esaa_git.trust.roles import signer_set

    try:
        signer = project.log.signer
    except EsaaError as error:
        yield _problem(error)
        return
    yield Finding("ok", f"signing key {signer.fingerprint} ({signer.key_type})")
    try:
        contracts = (
            project.log.load()[1] if has_log(project) else read_contracts(project.repository)
        )
        roles = signer_set(contracts).roles_of_fingerprint(signer.fingerprint)
    except EsaaError as error:
        yield _problem(error)
        return
    if "orchestrator" in roles:
        yield Finding("ok", f"the contracts give it the roles {', '.join(sorted(roles))}")
    else:
        yield Finding(
            "problem",
            "the contracts do not let this key record events",
            f"an admin has to add it: git esaa key trust '{signer.public_key_line}' "
            "--role orchestrator",
        )


def _contracts(project: Project) -> Iterator[Finding]:
    try:
        plan = read_plan(project.repository)
        contracts = wanted_contracts(project, plan=plan)
        check_contracts(contracts)
    except EsaaError as error:
        yield _problem(error)
        return
    yield Finding("ok", f"{len(contracts.files)} contract files, a plan of {len(plan.tasks)} tasks")
    if has_log(project) and not project.log.load()[1].same_as(contracts):
        yield Finding(
            "note",
            "the contracts or programs on disk are not those in force",
            "they take effect with the next run, which 'git esaa plan apply --restart' begins "
            "('git esaa plan diff' names the files)",
        )
    for name, entry in contracts.swarm.agents.items():
        try:
            project.make_agent(entry, contracts).ready()
        except EsaaError as error:
            said = error.message.removeprefix(f"agent '{name}': ")
            yield Finding("note", f"agent '{name}': {said}", error.hint)
        else:
            yield Finding("ok", f"agent '{name}' ({entry.adapter})")


def _log(project: Project) -> Iterator[Finding]:
    if not has_log(project):
        missing = explain(project, NoLog())
        yield Finding("note", missing.message, missing.hint)
        return
    try:
        state, _ = project.log.load()
    except EsaaError as error:
        yield _problem(error)
        return
    yield Finding("ok", f"{state.seq} events, {state.run.run_id} is {state.run.state}")


def _trusted(project: Project) -> Iterator[Finding]:
    from esaa_git.app.leftovers import damaged_mark
    from esaa_git.verification.pins import keep, mark_path, read_pin

    if damaged_mark(project.repository) is None:
        doubt = keep(project.repository, mark_path(project.repository)).doubt
        if doubt is not None:
            yield Finding("note", doubt, "run 'git esaa verify', which verifies everything")
    read_pin(project.repository)


def _remotes(project: Project) -> Iterator[Finding]:
    """Try whether each server that shares the log refuses what it must."""
    from esaa_git.app.sync import UNGUARDED
    from esaa_git.remote.guard import in_words, try_guard
    from esaa_git.remote.named import names
    from esaa_git.remote.remote import Remote

    repository = project.repository
    for name in names(repository):
        remote = Remote(repository, name)
        if not remote.is_set_up:
            continue
        found = try_guard(remote, repository)
        wrong = in_words(name, found, repository.events_ref)
        if wrong is None:
            yield Finding("ok", f"'{name}' refuses what is no append of the log")
        elif found.taken and not repository.flag(f"remote.{name}.{UNGUARDED}", False):
            hint = "install the hook there: 'git esaa hooks install --server REPOSITORY', or say "
            hint += f"that you know with 'git esaa remote setup {name} --unguarded'"
            yield Finding("problem", wrong, hint)
        else:
            yield Finding("note", wrong)


def _interrupted(project: Project) -> Iterator[Finding]:
    from esaa_git.app.leftovers import damaged_mark
    from esaa_git.store.journal import FileJournal, journal_path

    journal, path = FileJournal(project.repository), journal_path(project.repository)
    if path.exists():
        if journal.is_busy():
            yield Finding("note", "another process is bringing a checkout up to date")
        else:
            yield Finding(
                "problem",
                f"a process died before the working branch had followed the log: '{path}'",
                "run 'git esaa doctor --repair', or any command that records something",
            )
    damaged = damaged_mark(project.repository)
    if damaged is not None:
        cause = f" ({damaged.cause})" if damaged.cause else ""
        yield Finding("problem", f"{damaged.message}{cause}", "run 'git esaa doctor --repair'")
    mode = project.repository.sync_mode
    if mode == UNSAFE_NONE:
        yield Finding(
            "note",
            "a power cut may take what is recorded here: esaa.sync is unsafe-none",
            "run 'git config --unset esaa.sync' if this repository is worth keeping",
        )


def _leftovers(project: Project) -> Iterator[Finding]:
    from esaa_git.store.residue import damaged, find

    found = [f"{left.what}: '{left.path}'" for left in find(project.repository)]
    found += [f"a damaged object: '{path}'" for path in damaged(project.repository)]
    for what in found:
        yield Finding("problem", what, "run 'git esaa doctor --repair'")


def _repair(project: Project) -> Iterator[str]:
    """Finish and remove what processes that died have left; yield what was done."""
    from esaa_git.app.leftovers import damaged_mark, forget_mark, rebuild_journal
    from esaa_git.store.journal import FileJournal, journal_path
    from esaa_git.store.residue import damaged, remove, set_aside

    repository = project.repository
    yield from remove(repository)
    yield from set_aside(repository, damaged(repository))
    if damaged_mark(repository) is not None:
        yield forget_mark(repository)
    journal = FileJournal(repository)
    if not journal_path(repository).exists() or journal.is_busy():
        return
    try:
        journal.read()
    except RepositoryError:
        yield rebuild_journal(repository)
    finally:
        journal.pause()
    said = Notes()
    project.observer = said  # what recovery notes is part of the report
    _ = project.engine
    yield from said.lines


def _locks(project: Project) -> Iterator[Finding]:
    from esaa_git.store.residue import find, lock_files

    common = project.repository.common_dir
    state = project.repository.git_dir
    stale = {left.path for left in find(project.repository)}
    for path in (
        *lock_files(project.repository),
        common / "packed-refs.lock",
        state / "HEAD.lock",
    ):
        if path.exists() and path not in stale:
            yield Finding(
                "problem",
                f"a lock is held: '{path}'",
                f"if no git process is running, delete it: rm '{os.fspath(path)}'",
            )


def _problem(error: EsaaError) -> Finding:
    cause = f" ({error.cause})" if error.cause else ""
    return Finding("problem", f"{error.message}{cause}", error.hint)
