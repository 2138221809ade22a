"""A project's beginning: its contracts to edit, a key to sign with, and the examples."""

from __future__ import annotations

import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from esaa_git.app.project import Project, has_log
from esaa_git.app.roadmap import ROADMAP
from esaa_git.app.sync import refuse_second_log, trust_in_git
from esaa_git.errors import UsageError
from esaa_git.resources import resource_path
from esaa_git.store.files import create_below, exists_below, write_below

_NO_EXAMPLE: Final = ("agents", "default")
"""Templates that are no example."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What was set up.

    Attributes:
        written: the files below `.roadmap/`; None in a bare repository, which reads contracts from
            a branch.
        key: what the orchestrator signs with: a path, or the id of an OpenPGP key.
        made_key: it was made now.
        public: its public half as allowed_signers wants it.
    """

    written: tuple[str, ...] | None
    key: str
    made_key: bool
    public: str


def init(
    project: Project,
    *,
    name: str | None = None,
    key: str | None = None,
    key_format: str = "ssh",
    events_ref: str | None = None,
) -> Begun:
    """Write the contracts of a project into `.roadmap/`, and set up the orchestrator's key.

    Files that exist are left as they are. Nothing is recorded yet.

    Args:
        name: of the project; by default the folder's.
        key: sign with this one: a private key file, a `.pub` file of a key in ssh-agent, or the id
            of an OpenPGP key. By default one is made where none is configured.
        key_format: of that key, `ssh` or `openpgp`.
        events_ref: keep the log on this ref.

    Raises:
        UsageError: if the name cannot be a project's.
        RepositoryError: if a remote has a log already.
        KeyUnavailable: if the key cannot be used.
    """
    repository = project.repository
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
    signs, made, public = _key(project, name, key, key_format)
    written = None
    if workdir is not None:
        written = tuple(_write_roadmap(workdir, name, public, key_format, repository.gpg_program))
        trust_in_git(project)
    return Begun(written, signs, made, public)


def _key(project: Project, name: str, given: str | None, style: str) -> tuple[str, bool, str]:
    """Return the key, whether it was made now, and its public half for allowed_signers."""
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
        spec = KeySpec(style, configured, repository.gpg_program)
        return configured, False, load_signer(spec).public_key_line
    place = key_folder() / f"{re.sub('[^A-Za-z0-9._-]', '-', name)}-{secrets.token_hex(4)}"
    public = create_key(place, comment=f"git-esaa orchestrator of {name}")
    repository.set_local("esaa.signingKey", str(place))
    repository.set_local("esaa.keyFormat", "ssh")
    return str(place), True, public


def _write_roadmap(checkout: Path, name: str, public: str, style: str, program: str) -> list[str]:
    import json

    from esaa_git.core.contracts import ALLOWED_SIGNERS, OPENPGP_SIGNERS

    template = resource_path("templates", "default")
    sources: dict[str, Path] = {}
    for source in sorted(path for path in template.rglob("*") if path.is_file()):
        inside = source.relative_to(template).as_posix()
        sources[".gitignore" if inside == "gitignore" else inside] = source
    # What is in the way of one file is said before another is written.
    for target in (*sources, ALLOWED_SIGNERS, OPENPGP_SIGNERS):
        exists_below(checkout, f"{ROADMAP}/{target}")
    written = []
    for target, source in sources.items():
        data = source.read_bytes()
        if target == "plan.yaml":
            data = data.replace(b"{{project}}", json.dumps(name, ensure_ascii=False).encode())
        place = f"{ROADMAP}/{target}"
        if create_below(checkout, place, data, executable=data.startswith(b"#!")):
            written.append(target)
    if not exists_below(checkout, f"{ROADMAP}/{ALLOWED_SIGNERS}"):
        signers = _signers(checkout, public, style, program)
        create_below(checkout, f"{ROADMAP}/{ALLOWED_SIGNERS}", signers.encode())
        written.append(ALLOWED_SIGNERS)
    return written


def _signers(checkout: Path, public: str, style: str, program: str) -> str:
    from esaa_git.trust.allowed_signers import allowed_signers_line

    head = (
        "# Who may sign events, in git's own format (ssh-keygen(1), ALLOWED SIGNERS).\n"
        "# The principals are roles: orchestrator records events, admin may change contracts\n"
        "# and keys, approver grants and denies. Give the admin role to a person's key of its\n"
        "# own as soon as there is one.\n"
    )
    if style == "ssh":
        return head + allowed_signers_line(["orchestrator", "admin"], public).rstrip("\n") + "\n"
    from esaa_git.core.contracts import OPENPGP_SIGNERS
    from esaa_git.trust.keyring import openpgp_file
    from esaa_git.trust.publickey import read_public_key

    pinned = openpgp_file(["orchestrator", "admin"], read_public_key(public, program))
    write_below(checkout, f"{ROADMAP}/{OPENPGP_SIGNERS}", pinned.encode())
    return head + "# The key is an OpenPGP key: see openpgp_signers.yaml.\n"


# -- examples -----------------------------------------------------------------------------------


def example(name: str) -> Path:
    """Return the folder of an example.

    Raises:
        UsageError: if there is none of this name.
    """
    known = sorted(
        path.name
        for path in resource_path("templates").iterdir()
        if path.is_dir() and path.name not in _NO_EXAMPLE
    )
    if name not in known:
        raise UsageError(f"no template '{name}'", hint=f"choose one of: {', '.join(known)}")
    return resource_path("templates", name)


def make_example(name: str, folder: Path) -> None:
    """Lay out an example as a person would have it: seed files, contracts, one commit.

    Raises:
        UsageError: if there is none of this name.
    """
    from esaa_git.store.program import run_git

    source = example(name)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source / "seed", folder, dirs_exist_ok=True)
    run_git(folder, "init", "--quiet", "--initial-branch=main")
    for key, value in (("user.name", "Demo Person"), ("user.email", "demo@example.com")):
        run_git(folder, "config", key, value)
    shutil.copytree(source / "roadmap", folder / ROADMAP, dirs_exist_ok=True)
    with Project(folder) as project:
        init(project, name=source.name)
    run_git(folder, "add", "--all")
    run_git(folder, "commit", "--quiet", "--no-verify", "--message", "A project, its contracts")


def effects_listing(folder: Path) -> str:
    """Return the commits that agents made of an example, a line each, the first one first."""
    from esaa_git.store.program import run_git

    listed = run_git(folder, "log", "--oneline", "--reverse", "--author=agent-")
    return listed.decode("utf-8", "replace")
