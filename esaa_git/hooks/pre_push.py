"""The `pre-push` hook of a clone: log and branch travel together (githooks(5)).

It tells before the push what the server's hook would say after it, and protects a team whose
server can run no hook from its own mistakes. It is no defence: `git push --no-verify` passes by.
Pushes of other refs, and of branches without new effects, cost no question to the remote.
"""

from __future__ import annotations

import os
from typing import NoReturn

from esaa_git.errors import UsageError
from esaa_git.hooks.commands import BRANCHES, Command, is_ref_name
from esaa_git.hooks.process import run_hook
from esaa_git.hooks.program import Remote, is_here, new_commits, read_settings, speaking
from esaa_git.resources import TRAVELS_WITH_LOG


def main(launcher: str) -> NoReturn:
    """Run the hook for git."""
    run_hook(launcher, check, rehearse, reads=True)


def check(arguments: list[str], data: bytes) -> None:
    """Refuse a push that would part effects from their events."""
    if len(arguments) != 2:
        raise UsageError("the pre-push hook takes the name of a remote and its URL")
    if os.environ.get(TRAVELS_WITH_LOG):
        return  # 'git esaa push' shows it the branch alone, and pushes both
    settings = read_settings()
    commands = parse_updates(data)
    log = next((one for one in commands if one.ref == settings.log), None)
    branches = [one for one in commands if one.ref.startswith(BRANCHES) and one.ref != settings.log]
    remote = Remote(*arguments)
    claims = _claims(branches, remote)
    if claims:
        from esaa_git.hooks.send import check_events_travel

        check_events_travel(claims, log, settings, remote)
    if log is not None and log.new is not None and settings.require_effects:
        from esaa_git.hooks.send import check_effects_travel

        check_effects_travel(log, branches, remote)


def rehearse() -> None:
    """Do everything that a check needs, with nothing to check."""
    from esaa_git.hooks.send import check_events_travel
    from esaa_git.store.repository import open_repository

    open_repository()
    check_events_travel({}, None, read_settings(), Remote("", ""))


def parse_updates(data: bytes) -> tuple[Command, ...]:
    """Return the commands on standard input; there are none where everything is up to date.

    Raises:
        UsageError: for anything but `<local ref> SP <oid> SP <remote ref> SP <oid> LF`.
    """
    if data and not data.endswith(b"\n"):
        raise UsageError("standard input ends in the middle of a line")
    return tuple(_command(line) for line in data.split(b"\n")[:-1])


def _command(line: bytes) -> Command:
    # The local name is what the user typed, as in `main@{1 day ago}`, so words count from the end.
    words = line.decode("utf-8", "surrogateescape").rsplit(" ", 3)
    if len(words) != 4:
        raise UsageError(f"standard input is not what git writes: {line[:200]!r}")
    _, new, ref, old = words
    if not is_ref_name(ref) or not all(_is_oid(oid) for oid in (new, old)):
        raise UsageError(f"standard input is not what git writes: {line[:200]!r}")
    return Command(old if old.strip("0") else None, new if new.strip("0") else None, ref)


def _is_oid(word: str) -> bool:
    return len(word) in (40, 64) and not word.strip("0123456789abcdef")


def _claims(branches: list[Command], remote: Remote) -> dict[str, dict[str, bytes]]:
    """Return, by branch, the commits not known to be on the remote that speak of us."""
    found = {}
    for one in branches:
        if one.new is None:
            continue
        known = [one.old] if one.old is not None and is_here(one.old) else []
        # What the remote's branches were when they were last fetched; a URL has none.
        hidden = [f"--remotes={remote.name}"] if is_ref_name(f"refs/{remote.name}") else []
        commits = speaking(new_commits([one.new], *hidden, known=known))
        if commits:
            found[one.ref] = commits
    return found
