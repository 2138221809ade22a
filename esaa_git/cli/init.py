"""`git esaa init`: contracts to edit, and a key to sign with."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

import click

from esaa_git.app.project import Project, has_log
from esaa_git.app.roadmap import ROADMAP
from esaa_git.app.sync import refuse_second_log, trust_in_git
from esaa_git.cli.output import pass_project
from esaa_git.errors import RepositoryError, UsageError


@click.command(
    epilog="""\b
Example:
  git esaa init
  git add .roadmap && git commit -m "esaa: contracts and plan"
  git esaa init --agents
"""
)
@click.option(
    "--project", "name", metavar="NAME", help="Name of the project; by default the folder's."
)
@click.option(
    "--key",
    metavar="PATH",
    help="Sign with this key: a private key file, a .pub file of a key in ssh-agent, or a key id "
    "with --key-format openpgp. By default one is made where none is configured.",
)
@click.option(
    "--key-format",
    type=click.Choice(["ssh", "openpgp"]),
    default="ssh",
    help="Kind of the key given with --key.",
)
@click.option(
    "--events-ref",
    metavar="REF",
    help="Keep the log on this ref: refs/heads/esaa/events where a forge takes branches only.",
)
@click.option(
    "--agents",
    is_flag=True,
    help="Also write what interactive agents read (AGENTS.md, CLAUDE.md, GEMINI.md, a skill), and "
    "print how to register the MCP server. Where .roadmap/ is there already, nothing else is done.",
)
@pass_project
def init(
    project: Project,
    name: str | None,
    key: str | None,
    key_format: str,
    events_ref: str | None,
    agents: bool,
) -> None:
    """Write the contracts of a project into .roadmap/, and set up the orchestrator's key.

    Files that exist are left as they are, so it is safe to run it again. Nothing is recorded
    yet: the log begins with the first 'git esaa run' or 'git esaa plan apply'.
    """
    repository = project.repository
    if agents:
        checkout = repository.workdir
        if checkout is None:
            raise RepositoryError(
                "a bare repository has no files for agents to read",
                hint="run 'git esaa init --agents' in a clone",
            )
        if (checkout / ROADMAP).is_dir() and not (name or key or events_ref):
            _for_agents(checkout)
            return
    if events_ref is not None:
        repository.set_local("esaa.eventsRef", events_ref)
        _ = repository.events_ref  # says so if it is no ref name
    if not has_log(project):
        refuse_second_log(project)
    workdir = repository.workdir
    where = repository.git_dir if workdir is None else workdir
    name = name or where.resolve().name.removesuffix(".git") or "project"
    if not name.isprintable() or len(name) > 100:
        raise UsageError(f"'{name!r}' cannot be a project's name", hint="give one with --project")
    public, said = _key(project, name, key, key_format)
    if workdir is None:
        click.echo("bare repository: contracts are read from the branch that --branch names")
    else:
        program = repository.setting("gpg.program") or "gpg"
        written = _write_roadmap(workdir / ROADMAP, name, public, key_format, program)
        click.echo(
            f"wrote {len(written)} files into {ROADMAP}/: {', '.join(written)}"
            if written
            else f"{ROADMAP}/ has everything already; nothing was written"
        )
        trust_in_git(project)
    click.echo(said)
    click.echo(
        "next: look through .roadmap/agents_swarm.yaml and .roadmap/plan.yaml, commit them, then "
        "'git esaa run'"
        if workdir is not None
        else "next: run 'git esaa init' in a clone too, put this key's line into its "
        "allowed_signers, commit .roadmap/ and push it, then 'git esaa run --branch BRANCH' here: "
        f"{public}"
    )
    if agents and workdir is not None:
        _for_agents(workdir)


def _for_agents(workdir: Path) -> None:
    from importlib.util import find_spec

    from esaa_git.app.hosts import REGISTRATION, write_host_files

    written = write_host_files(workdir)
    click.echo(
        f"for agents: wrote {', '.join(written.files)}"
        if written.files
        else "for agents: everything is there already; nothing was written"
    )
    for name, reason in written.left:
        click.echo(f"left alone: '{name}' ({reason})")
    click.echo("register the MCP server with the host that you use, once:")
    for host, line in REGISTRATION:
        click.echo(f"  {host:<12}  {line}")
    if find_spec("mcp") is None:
        click.echo("the server needs one more package: python -m pip install 'esaa-git[mcp]'")


def _key(project: Project, name: str, given: str | None, style: str) -> tuple[str, str]:
    """Return the public half as allowed_signers wants it, and a sentence about the key."""
    from esaa_git.app.keys import key_folder
    from esaa_git.trust.keys import create_key, load_signer
    from esaa_git.trust.signer import KeySpec

    repository = project.repository
    configured = repository.setting("esaa.signingKey")
    if given is not None:
        spelled = str(Path(given).resolve()) if Path(given).exists() else given
        repository.set_local("esaa.signingKey", spelled)
        repository.set_local("esaa.keyFormat", style)
        configured = spelled
    elif configured is not None:
        style = repository.setting("esaa.keyFormat") or "ssh"
    if configured is not None:
        program = repository.setting("gpg.program") or "gpg"
        kind = "openpgp" if style == "openpgp" else "ssh"
        signer = load_signer(KeySpec(kind, configured, program))  # type: ignore[arg-type]  # a Literal
        return signer.public_key_line, f"the orchestrator signs with {configured}"
    place = key_folder() / f"{re.sub('[^A-Za-z0-9._-]', '-', name)}-{secrets.token_hex(4)}"
    public = create_key(place, comment=f"git-esaa orchestrator of {name}")
    repository.set_local("esaa.signingKey", str(place))
    repository.set_local("esaa.keyFormat", "ssh")
    return public, f"made a signing key: its private half is '{place}' (keep a copy of it safe)"


def _write_roadmap(folder: Path, name: str, public: str, style: str, program: str) -> list[str]:
    import json

    from esaa_git.resources import resource_path

    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise RepositoryError(
            f"'{ROADMAP}' is in the way: it is not a folder", hint="move it aside, then repeat"
        )
    template = resource_path("templates", "default")
    written = []
    for source in sorted(path for path in template.rglob("*") if path.is_file()):
        inside = source.relative_to(template)
        target = folder / (".gitignore" if inside.as_posix() == "gitignore" else inside)
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        data = source.read_bytes()
        if inside.name == "plan.yaml":
            data = data.replace(b"{{project}}", json.dumps(name, ensure_ascii=False).encode())
        target.write_bytes(data)
        if data.startswith(b"#!"):
            target.chmod(0o755)
        written.append(target.relative_to(folder).as_posix())
    signers = folder / "allowed_signers"
    if not signers.exists():
        signers.write_text(_signers(folder, public, style, program), encoding="utf-8")
        written.append(signers.name)
    return written


def _signers(folder: Path, public: str, style: str, program: str) -> str:
    from esaa_git.trust.allowed_signers import allowed_signers_line

    head = (
        "# Who may sign events, in git's own format (ssh-keygen(1), ALLOWED SIGNERS).\n"
        "# The principals are roles: orchestrator records events, admin may change contracts\n"
        "# and keys, approver grants and denies. Give the admin role to a person's key of its\n"
        "# own as soon as there is one.\n"
    )
    if style == "ssh":
        return head + allowed_signers_line(["orchestrator", "admin"], public).rstrip("\n") + "\n"
    from esaa_git.trust.keyring import openpgp_file
    from esaa_git.trust.publickey import read_public_key

    pinned = openpgp_file(["orchestrator", "admin"], read_public_key(public, program))
    (folder / "openpgp_signers.yaml").write_text(pinned, encoding="utf-8")
    return head + "# The key is an OpenPGP key: see openpgp_signers.yaml.\n"
