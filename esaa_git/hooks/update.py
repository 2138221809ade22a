"""The `update` hook: one ref at a time, for servers that run no `pre-receive` (githooks(5)).

It guards the log and the records beside it as `pre-receive` does. It leaves branches alone: when
it is asked about one, the log of the same push has moved, or has not, or will not, so whether an
effect comes with its event cannot be told.
"""

from __future__ import annotations

from typing import NoReturn

from esaa_git.errors import UsageError
from esaa_git.hooks.commands import make_command, sort_out
from esaa_git.hooks.deadline import Deadline
from esaa_git.hooks.pre_receive import namespace, rehearse, resolved
from esaa_git.hooks.process import run_hook
from esaa_git.hooks.program import read_settings
from esaa_git.hooks.where import follow_log


def main(launcher: str) -> NoReturn:
    """Run the hook for git."""
    run_hook(launcher, check, rehearse, reads=False)


def check(arguments: list[str], _data: bytes) -> None:
    """Refuse the move of one ref: its name, the old object and the new one."""
    if len(arguments) != 3:
        raise UsageError("the update hook takes the name of a ref, the old object and the new one")
    ref, old, new = arguments
    command = resolved(make_command(old, new, ref))
    settings = read_settings()
    deadline = Deadline(settings.timeout)
    settings = follow_log((command,), settings, namespace())
    push = sort_out((command,), settings)
    if push.log is not None:
        deadline.expect_signature()
    if push.log is not None or push.records:
        from esaa_git.hooks.receive import Reception
        from esaa_git.store.repository import open_in_hook

        alone = push._replace(branches=())
        settings = settings._replace(require_effects=False)
        Reception(open_in_hook(), settings, namespace(), deadline).check(alone, dict)
