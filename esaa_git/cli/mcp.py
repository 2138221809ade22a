"""`git esaa mcp`: a server for interactive agents, over standard input and output."""

from __future__ import annotations

import click

from esaa_git.app.project import Project
from esaa_git.cli.output import examples, pass_project
from esaa_git.errors import ConfigurationError


@click.command(
    epilog=examples(
        "claude mcp add git-esaa -- git esaa mcp",
        "codex mcp add git-esaa -- git esaa mcp --as codex",
    )
)
@click.option(
    "--as",
    "actor",
    metavar="NAME",
    help="Act under this name instead of the one that the client gives itself.",
)
@pass_project
def mcp(project: Project, actor: str | None) -> None:
    """Serve the Model Context Protocol, for an agent that works in your checkout.

    The agent's host starts this command and talks to it; 'git esaa init --agents' prints the line
    that registers it. The agent asks for a task, claims it, and submits its result, which is
    checked, recorded and committed as any other. It ends with its standard input.
    """
    try:
        from esaa_git.mcp.server import Desk
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "the MCP server needs a package that is not installed",
            cause=str(error),
            hint="run 'python -m pip install \"esaa-git[mcp]\"', then repeat the command",
        ) from error
    if actor is not None:
        project.actor(actor)
    folder = None if project.folder is None else str(project.folder)
    try:
        Desk(lambda: Project(folder), actor).serve()
    except* (BrokenPipeError, ConnectionError):
        pass  # the host is gone
