"""`git esaa help`: the same as --help, which git itself turns into a request for the man page."""

from __future__ import annotations

import click

from esaa_git.cli.main import cli
from esaa_git.errors import UsageError


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
    click.echo(command.get_help(context))
