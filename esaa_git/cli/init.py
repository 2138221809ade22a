"""`git esaa init`: contracts to edit, and a key to sign with."""

from __future__ import annotations

from pathlib import Path

import click

from esaa_git.app.hosts import REGISTRATION, checkout_for_agents, write_host_files
from esaa_git.app.init import init as begin
from esaa_git.app.project import Project
from esaa_git.app.roadmap import ROADMAP
from esaa_git.cli.output import examples, pass_project, say


@click.command(
    epilog=examples(
        "git esaa init",
        'git add .roadmap && git commit -m "esaa: contracts and plan"',
        "git esaa init --agents",
    )
)
@click.option(
    "--project", "name", metavar="NAME", help="Name of the project; by default the folder's."
)
@click.option(
    "--key",
    metavar="PATH",
    help="Your own key: a private key file, a .pub file of a key in ssh-agent, or the fingerprint "
    "of an OpenPGP key. By default the SSH key that git signs with, else a new one.",
)
@click.option(
    "--orchestrator-key",
    metavar="PATH",
    help="The orchestrator's key, or its id with --key-format openpgp. By default one is made "
    "where none is configured.",
)
@click.option(
    "--key-format",
    type=click.Choice(["ssh", "openpgp"]),
    default="ssh",
    help="Kind of the orchestrator's key.",
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
    orchestrator_key: str | None,
    key_format: str,
    events_ref: str | None,
    agents: bool,
) -> None:
    """Write the contracts of a project into .roadmap/, and set up two keys, one of them yours.

    Files that exist are left as they are, so it is safe to run it again. Nothing is recorded
    yet: the log begins with the first 'git esaa run' or 'git esaa plan apply'.
    """
    checkout = checkout_for_agents(project) if agents else None
    if (
        checkout is not None
        and (checkout / ROADMAP).is_dir()
        and not (name or key or orchestrator_key or events_ref)
    ):
        _for_agents(checkout)
        return
    begun = begin(
        project,
        name=name,
        key=key,
        orchestrator_key=orchestrator_key,
        key_format=key_format,
        events_ref=events_ref,
    )
    if begun.written is None:
        say("bare repository: contracts are read from the branch that --branch names")
    else:
        say(
            f"wrote {len(begun.written)} files into {ROADMAP}/: {', '.join(begun.written)}"
            if begun.written
            else f"{ROADMAP}/ has everything already; nothing was written"
        )
    say(
        f"made a signing key: its private half is '{begun.key}'"
        if begun.made_key
        else f"the orchestrator signs with {begun.key}"
    )
    say(
        f"made a key for {begun.person}, approver and admin: '{begun.persons_key}' "
        "(keep a copy of both safe)"
        if begun.made_persons_key
        else f"{begun.person} signs with {begun.persons_key}"
    )
    if begun.has_remote:
        say(
            "what agents are told and answer is kept in the log, its secrets blotted out, and is "
            "pushed with it; 'request: digest' and 'response: digest' in "
            f"{ROADMAP}/STORAGE_POLICY.yaml keep digests alone"
        )
    say(
        "next: look through .roadmap/agents_swarm.yaml and .roadmap/plan.yaml, commit them, then "
        "'git esaa run'"
        if begun.written is not None
        else "next: run 'git esaa init' in a clone too, put this key's line into its "
        "allowed_signers, commit .roadmap/, begin the log with 'git esaa plan apply' and push, "
        f"then 'git esaa run --branch BRANCH' here: {begun.lines[0]}"
    )
    if checkout is not None:
        _for_agents(checkout)


def _for_agents(workdir: Path) -> None:
    from importlib.util import find_spec

    written = write_host_files(workdir)
    say(
        f"for agents: wrote {', '.join(written.files)}"
        if written.files
        else "for agents: everything is there already; nothing was written"
    )
    for name, reason in written.left:
        say(f"left alone: '{name}' ({reason})")
    say("register the MCP server with the host that you use, once:")
    for host, line in REGISTRATION:
        say(f"  {host:<12}  {line}")
    if find_spec("mcp") is None:
        say("the server needs one more package: python -m pip install 'esaa-git[mcp]'")
