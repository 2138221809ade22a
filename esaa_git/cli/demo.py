"""`git esaa demo`: a whole pipeline in a throwaway repository."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import click

from esaa_git.cli.app import ROADMAP
from esaa_git.cli.output import style
from esaa_git.errors import UsageError
from esaa_git.resources import resource_path

NO_DEMO = ("agents", "default")


@click.command(
    epilog="""\b
Example:
  git esaa demo
  git esaa demo landing-page --into /tmp/landing-page
"""
)
@click.argument("template", default="landing-page")
@click.option(
    "--into",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Where to make the repository; by default a new temporary folder.",
)
def demo(template: str, into: str | None) -> int:
    """Run an example project from plan to verified record, with recorded agents."""
    source = _template(template)
    folder = Path(into) if into else Path(tempfile.mkdtemp(prefix="esaa-demo-")) / template
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"'{folder}' is not empty", hint="name a new folder with --into")
    _make_project(source, folder)
    click.echo(f"{template} in {folder}\n")
    code = _step(folder, "run")
    if code:
        return code
    click.echo("\nthe effects, as commits to be reviewed:")
    _git(folder, "log", "--oneline", "--reverse", f"--author={'agent-'}", show=True)
    click.echo()
    code = _step(folder, "verify", "--full")
    if code:
        return code
    click.echo("\ntry next:")
    for command, what in (
        (f"cd {folder}", ""),
        ("git esaa log -n 12", "the audit trail"),
        ("git log -p -1", "one effect, as any commit"),
        ("git log --show-signature refs/esaa/events", "the signed events, with plain git"),
        ("git esaa show T-1000", "a task and how it came about"),
        ("git esaa diff 1 @", "what the whole run changed"),
    ):
        click.echo(f"  {style(command, bold=True)}" + (f"    # {what}" if what else ""))
    return 0


def _template(name: str) -> Path:
    known = sorted(
        path.name
        for path in resource_path("templates").iterdir()
        if path.is_dir() and path.name not in NO_DEMO
    )
    if name not in known:
        raise UsageError(f"no template '{name}'", hint=f"choose one of: {', '.join(known)}")
    return resource_path("templates", name)


def _make_project(source: Path, folder: Path) -> None:
    """Lay out a project as a person would have it: seed files, contracts, one commit."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source / "seed", folder, dirs_exist_ok=True)
    _git(folder, "init", "--quiet", "--initial-branch=main")
    for key, value in (("user.name", "Demo Person"), ("user.email", "demo@example.com")):
        _git(folder, "config", key, value)
    shutil.copytree(source / "roadmap", folder / ROADMAP, dirs_exist_ok=True)
    code = _step(folder, "init", "--project", source.name, quiet=True)
    if code:
        raise UsageError(f"'git esaa init' failed in '{folder}'")
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--no-verify", "--message", "A project, its contracts")


def _step(folder: Path, *arguments: str, quiet: bool = False) -> int:
    """Run one of our commands in the demo's repository, showing what a person would type."""
    from esaa_git.cli.main import cli

    if not quiet:
        click.echo(style(f"$ git esaa {' '.join(arguments)}", bold=True))
    context = cli.make_context("git esaa", ["-C", str(folder), *arguments])
    with context:
        if quiet:
            import contextlib
            import io

            with contextlib.redirect_stdout(io.StringIO()):
                result = cli.invoke(context)
        else:
            result = cli.invoke(context)
    return result if isinstance(result, int) else 0


def _git(folder: Path, *arguments: str, show: bool = False) -> None:
    from esaa_git.git.program import run_git

    output = run_git(folder, *arguments)
    if show:
        click.echo(output.decode("utf-8", "replace"), nl=False)
