"""`git esaa`: the one place that prints errors, and a group whose commands load when asked for."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module

import click

from esaa_git import __version__
from esaa_git.cli.interrupts import raise_once
from esaa_git.errors import EsaaError, UsageError
from esaa_git.naming import start_again_in_utf8

COMMANDS = {
    "init": "init:init",
    "plan": "plan:plan",
    "run": "run:run",
    "halt": "halt:halt",
    "resume": "halt:resume",
    "status": "status:status",
    "cost": "cost:cost",
    "task": "task:task",
    "claim": "work:claim",
    "submit": "work:submit",
    "complete": "work:complete",
    "review": "review:review",
    "answer": "answer:answer",
    "agent": "agent:agent",
    "check": "check:check_",
    "policy": "policy:policy",
    "allow": "allow:allow_",
    "context": "agent:context",
    "mcp": "mcp:mcp",
    "issue": "task:issue",
    "note": "remarks:note",
    "lesson": "remarks:lesson",
    "hotfix": "task:hotfix",
    "override": "task:override",
    "undo": "undo:undo",
    "log": "history:log",
    "show": "history:show",
    "diff": "history:diff",
    "replay": "history:replay",
    "project": "readmodel:project",
    "verify": "verify:verify",
    "checkpoint": "checkpoint:checkpoint",
    "trust": "verify:trust",
    "export": "readmodel:export",
    "import": "readmodel:import_",
    "key": "key:key",
    "remote": "remote:remote",
    "clone": "remote:clone",
    "fetch": "remote:fetch",
    "push": "remote:push",
    "sync": "remote:sync",
    "hooks": "hooks:hooks",
    "maintain": "doctor:maintain",
    "demo": "demo:demo",
    "doctor": "doctor:doctor",
    "help": "main:help_",
}
"""Every command with where it is defined, in the order in which a newcomer meets them."""


class LazyGroup(click.Group):
    """Imports a command's module when the command is run or its help is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, name = target.split(":")
        command: click.Command = getattr(import_module(f"esaa_git.cli.{module}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(_unknown(args[0]), ctx)
        return super().resolve_command(ctx, args)


def _named(arguments: list[str]) -> str:
    """Return the command that the arguments name, where click does not tell which one it read."""
    path = "git esaa"
    command: click.Command = cli
    for word in arguments:
        context = click.Context(command)
        found = command.get_command(context, word) if isinstance(command, click.Group) else None
        if found is not None:
            path, command = f"{path} {word}", found
    return path


def _unknown(name: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, COMMANDS, n=1)
    meant = f"; did you mean '{close[0]}'?" if close else ""
    return f"'{name}' is not a git esaa command{meant}"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-C",
    "folder",
    metavar="PATH",
    type=click.Path(file_okay=False),
    help="Run as if started in PATH.",
)
@click.version_option(__version__, prog_name="git-esaa", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, folder: str | None) -> None:
    """Event sourcing for autonomous agents, on git.

    Agents propose, the orchestrator disposes: what an agent answers is checked against schema,
    contract, authority and policy, and only then recorded as a signed event, applied as a
    commit, and projected into the state of the plan.
    """
    from esaa_git.app.project import Project
    from esaa_git.cli.output import Terminal

    ctx.obj = ctx.with_resource(Project(folder, Terminal()))


@click.command(
    "help",
    epilog="""\b
Example:
  git esaa help
  git esaa help task unblock
""",
)
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def help_(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of a command.

    'git esaa --help' opens the manual page, since git does that for every command it does not
    know; where the page is not installed, this is the way.
    """
    command: click.Command = cli
    context = ctx.parent or ctx
    for word in words:
        found = command.get_command(context, word) if isinstance(command, click.Group) else None
        if found is None:
            raise UsageError(f"no command '{' '.join(words)}'", hint="run 'git esaa help'")
        context = click.Context(found, info_name=word, parent=context)
        command = found
    from esaa_git.cli.output import say

    say(command.get_help(context))


def main() -> None:
    """Run the command line and leave with its exit code."""
    start_again_in_utf8()
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # All alike: agents are ended, attempts given back, and nothing is left behind.
        if signal.getsignal(ending) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(ending, raise_once)
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Run one command and return its exit code; every failure is printed here and nowhere else."""
    try:
        result = cli.main(
            args=arguments,
            prog_name="git esaa",
            complete_var="_GIT_ESAA_COMPLETE",
            standalone_mode=False,
        )
    except EsaaError as error:
        _print(error.message, error.cause, error.hint)
        return error.exit_code
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else _named(arguments)
        _print(_lower(error.format_message()), None, f"run '{command} --help'")
        return 2
    except click.ClickException as error:
        _print(_lower(error.format_message()), None, None)
        return 2
    except (KeyboardInterrupt, click.Abort):
        _print("interrupted", None, "what was recorded stays; 'git esaa status' shows it")
        return 130
    except BrokenPipeError:
        # The reader of our output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        # A full disk, a folder that cannot be written: the machine's, and no fault of ours.
        if os.environ.get("ESAA_DEBUG"):
            raise
        what = f"'{error.filename}'" if error.filename else "a file"
        _print(f"cannot use {what}", error.strerror or str(error), None)
        return EsaaError.exit_code
    except Exception as error:
        if os.environ.get("ESAA_DEBUG"):
            raise
        _print(
            f"a fault in git-esaa itself: {type(error).__name__}: {error}",
            None,
            "nothing half was recorded; repeat with ESAA_DEBUG=1 for the place, and report it",
        )
        return 70
    return result if isinstance(result, int) else 0


def _lower(message: str) -> str:
    text = message[:1].lower() + message[1:]
    return text.removesuffix(".")


def _print(message: str, cause: str | None, hint: str | None) -> None:
    from esaa_git.cli.output import say

    say(f"error: {message}", err=True)
    if cause:
        say(f"caused by: {cause}", err=True)
    if hint:
        say(f"hint: {hint}", err=True)
