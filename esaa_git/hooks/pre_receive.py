"""The `pre-receive` hook: all refs of a push together, before any of them moves (githooks(5))."""

from __future__ import annotations

import os
from typing import NoReturn

from esaa_git.hooks.commands import BRANCHES, Command, Push, Settings, parse_commands, sort_out
from esaa_git.hooks.deadline import Deadline
from esaa_git.hooks.process import run_hook
from esaa_git.hooks.program import new_commits, read_settings, refs_at, speaking
from esaa_git.hooks.where import follow_log, log_among_branches

_SYMBOLIC = b"ref: "


def main(launcher: str) -> NoReturn:
    """Run the hook for git."""
    run_hook(launcher, check, rehearse, reads=True)


def check(_arguments: list[str], data: bytes) -> None:
    """Refuse the push on standard input where anything in it does not hold."""
    commands = tuple(resolved(command) for command in parse_commands(data))
    settings = read_settings()
    deadline = Deadline(settings.timeout)
    settings = follow_log(commands, settings, namespace())
    push = sort_out(commands, settings)
    if push.log is not None:
        deadline.expect_signature()
    claims = {} if push.log is not None else _claims(push)
    loses = settings.require_effects and any(one.old or not one.new for one in push.branches)
    if push.log is not None or push.records or claims or loses:
        if push.log is None:
            settings = _where_it_lies(settings)
        from esaa_git.hooks.receive import Reception
        from esaa_git.store.repository import open_in_hook

        reception = Reception(open_in_hook(), settings, namespace(), deadline)
        reception.check(push, lambda: claims if push.log is None else _claims(push))


def _where_it_lies(settings: Settings) -> Settings:
    """Return the settings with the log's ref, where the push does not touch it."""
    if settings.is_told or refs_at(namespace() + settings.log):
        return settings
    return log_among_branches(settings, namespace())


def rehearse() -> None:
    """Do everything that a check needs, with nothing to check."""
    from esaa_git.hooks.receive import Reception
    from esaa_git.store.repository import open_in_hook

    Reception(open_in_hook(), read_settings(), namespace())


def namespace() -> str:
    """Return what stands before every ref of this push in the repository (gitnamespaces(7))."""
    parts = os.environ.get("GIT_NAMESPACE", "").split("/")
    return "".join(f"refs/namespaces/{part}/" for part in parts if part)


def resolved(command: Command) -> Command:
    """Return the command with the ref that moves, where the one named is symbolic."""
    prefix, folder = namespace(), os.environ.get("GIT_DIR", ".")
    for _ in range(5):  # as many as git follows
        try:
            with open(os.path.join(folder, prefix + command.ref), "rb") as stream:  # noqa: PTH118, PTH123 - pathlib takes as long to import as all the rest
                content = stream.read(4096)
        except OSError:
            break  # not a loose ref, so not a symbolic one
        if not content.startswith(_SYMBOLIC):
            break
        target = content.removeprefix(_SYMBOLIC).strip().decode("utf-8", "surrogateescape")
        command = command._replace(ref=target.removeprefix(prefix))
    return command


def _claims(push: Push) -> dict[str, dict[str, bytes]]:
    """Return the commits that are new to the server's branches and speak of us.

    Those on its branches were looked at when they came. Those on other refs were not.
    """
    tips = {one.ref: one.new for one in push.branches if one.new is not None}
    known = f"--glob={namespace()}{BRANCHES}*"
    if not speaking(new_commits(tips.values(), known) if tips else ()):
        return {}
    found = {ref: speaking(new_commits([tip], known)) for ref, tip in tips.items()}
    return {ref: commits for ref, commits in found.items() if commits}
