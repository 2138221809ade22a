"""`git esaa doctor`: is everything set up as it should be?"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from esaa_git.cli.app import App, has_log, pass_app
from esaa_git.cli.output import json_option, print_json, style
from esaa_git.errors import EsaaError


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `level` is `ok`, `note` or `problem`."""

    level: str
    what: str
    hint: str | None = None


@click.command(
    epilog="""\b
Example:
  git esaa doctor
"""
)
@json_option
@pass_app
def doctor(app: App, as_json: bool) -> int:
    """Check the repository, the key, the contracts, the agents and the log's ref.

    The exit code is 1 where there is a problem. Nothing is changed but an unfinished move of the
    working branch, which every command that records anything finishes first.
    """
    findings = list(_findings(app))
    if as_json:
        print_json([_as_json(finding) for finding in findings])
    else:
        for finding in findings:
            colour = {"ok": "green", "note": "yellow"}.get(finding.level, "red")
            click.echo(f"{style(f'{finding.level:8}', fg=colour)} {finding.what}")
            if finding.hint:
                click.echo(f"         hint: {finding.hint}")
    return int(any(finding.level == "problem" for finding in findings))


def _as_json(finding: Finding) -> dict[str, Any]:
    return {"level": finding.level, "what": finding.what, "hint": finding.hint}


def _findings(app: App) -> Iterator[Finding]:
    yield _git()
    repository = app.repository  # says by itself what is wrong with it
    kind = "bare repository" if repository.workdir is None else "repository"
    yield Finding("ok", f"{kind} '{repository.git_dir}', log on {repository.events_ref}")
    try:
        has_log(app)
    except EsaaError as error:
        yield _problem(error)
        return
    yield from _key(app)
    yield from _contracts(app)
    yield from _log(app)
    yield from _locks(app)


def _git() -> Finding:
    program = shutil.which("git")
    if program is None:
        return Finding("problem", "the git program is not on PATH", "install git")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return Finding("ok", done.stdout.strip())


def _key(app: App) -> Iterator[Finding]:
    from esaa_git.git.log import signer_set

    try:
        signer = app.log.signer
    except EsaaError as error:
        yield _problem(error)
        return
    yield Finding("ok", f"signing key {signer.fingerprint} ({signer.key_type})")
    try:
        contracts = app.log.load()[1] if has_log(app) else app.contracts()
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


def _contracts(app: App) -> Iterator[Finding]:
    try:
        contracts = app.contracts()
        contracts.check()
        plan = app.plan()
    except EsaaError as error:
        yield _problem(error)
        return
    yield Finding("ok", f"{len(contracts.files)} contract files, a plan of {len(plan.tasks)} tasks")
    if has_log(app) and app.log.load()[1].pins != contracts.pins:
        yield Finding(
            "note",
            "the contracts on disk are not those in force",
            "they take effect with the next run ('git esaa plan diff' names the files)",
        )
    for name, entry in contracts.swarm.agents.items():
        try:
            app.make_agent(entry, contracts).ready()
        except EsaaError as error:
            yield Finding("note", f"agent '{name}': {error.message}", error.hint)
        else:
            yield Finding("ok", f"agent '{name}' ({entry.adapter})")


def _log(app: App) -> Iterator[Finding]:
    if not has_log(app):
        yield Finding("note", "no event log yet", "run 'git esaa run' to start one")
        return
    try:
        state, _ = app.log.load()
    except EsaaError as error:
        yield _problem(error)
        return
    yield Finding("ok", f"{state.seq} events, {state.run.run_id} is {state.run.state}")
    try:
        journal = app.engine.journal.read()
    except EsaaError as error:
        yield _problem(error)
        return
    if journal is not None:
        yield Finding("problem", f"the branch '{journal.move.branch}' has not followed the log")


def _locks(app: App) -> Iterator[Finding]:
    common = app.repository.common_dir
    state = app.repository.git_dir
    for path in (
        common / f"{app.repository.events_ref}.lock",
        common / "packed-refs.lock",
        state / "index.lock",
        state / "HEAD.lock",
    ):
        if path.exists():
            yield Finding(
                "problem",
                f"a lock is held: '{path}'",
                f"if no git process is running, delete it: rm '{os.fspath(path)}'",
            )


def _problem(error: EsaaError) -> Finding:
    cause = f" ({error.cause})" if error.cause else ""
    return Finding("problem", f"{error.message}{cause}", error.hint)
