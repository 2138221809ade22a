"""A project's beginning: its contracts to edit, a key to sign with, and the examples."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from esaa_git.app import plain_git
from esaa_git.app.consent import agree_to_written, allow
from esaa_git.app.elsewhere import refuse_second_log
from esaa_git.app.project import Project, has_log
from esaa_git.app.roadmap import ROADMAP
from esaa_git.core.events.spec import ADMIN, APPROVER, is_person
from esaa_git.errors import EsaaError, RefusedError, UsageError
from esaa_git.resources import resource_path
from esaa_git.store.files import create_below, exists_below, write_below
from esaa_git.trust.allowed_signers import NAME
from esaa_git.trust.signer import new_key

_NO_EXAMPLE: Final = ("agents", "default")
"""Templates that are no example."""

_PEOPLE: Final = "people.yaml"
"""Where an example names people beside the one who works in it, each with their roles."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What was set up.

    Attributes:
        written: the files below `.roadmap/`; None in a bare repository, which reads contracts from
            a branch.
        key: what the orchestrator signs with: a path, or the id of an OpenPGP key.
        made_key: it was made now.
        lines: what allowed_signers has to say of both keys.
        person: who works here: an e-mail address.
        persons_key: what this person signs with.
        made_persons_key: it was made now.
        has_remote: what is recorded will be pushed somewhere.
    """

    written: tuple[str, ...] | None
    key: str
    made_key: bool
    lines: tuple[str, ...]
    person: str
    persons_key: str
    made_persons_key: bool
    has_remote: bool


@dataclass(frozen=True, slots=True)
class _Key:
    """A key as it was set up: how it is named in the settings, and its public half."""

    named: str
    made: bool
    public: str

    @property
    def is_ssh(self) -> bool:
        return " " in self.public  # an OpenPGP key's is its fingerprint alone


def init(
    project: Project,
    *,
    name: str | None = None,
    key: str | None = None,
    orchestrator_key: str | None = None,
    key_format: str = "ssh",
    events_ref: str | None = None,
) -> Begun:
    """Write the contracts of a project into `.roadmap/`, and set up two keys.

    One is the orchestrator's. The other is that of the person who works here, by git's
    configuration: their SSH `user.signingKey` where it can be used, else a new one; it gets the
    roles approver and admin. Files that exist are left as they are. Nothing is recorded yet.
    What the files that are written ask of this machine is agreed to in the same act
    (`git esaa allow`), and nothing else.

    Args:
        name: of the project; by default the folder's.
        key: the person signs with this one: a private key file, a `.pub` file of a key in
            ssh-agent, or the fingerprint of an OpenPGP key.
        orchestrator_key: the orchestrator signs with this one, named in the same ways. By default
            one is made where none is configured.
        key_format: of the orchestrator's key, `ssh` or `openpgp`.
        events_ref: keep the log on this ref.

    Raises:
        UsageError: if the name cannot be a project's, or git does not know the person's address.
        RepositoryError: if a remote has a log already.
        RefusedError: if a log is here already, and a key would have to be made.
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
    person = _who(project)
    _refuse_unknown_keys(project, key, orchestrator_key)
    ours = _key(project, name, orchestrator_key, key_format)
    theirs = _persons_key(project, name, person, key, ours)
    written = None
    if workdir is not None:
        written = tuple(_write_roadmap(project, workdir, name, person, ours, theirs))
        plain_git.set_up(repository, project.note)
        plain_git.refresh(repository, project.note)
        agree_to_written(project, written)
    both = ((("orchestrator",), ours), (_roles_of(person), theirs))
    lines = tuple(_line(names, one) for names, one in both if one.is_ssh)
    return Begun(
        written,
        ours.named,
        ours.made,
        lines,
        person,
        theirs.named,
        theirs.made,
        has_remote=_has_remote(project),
    )


def _refuse_unknown_keys(project: Project, key: str | None, orchestrator_key: str | None) -> None:
    """Refuse to make a key where contracts name others already: it would count for nothing.

    Raises:
        RefusedError: naming what to do in a clone.
    """
    setting = project.repository.setting
    ours = orchestrator_key or setting("esaa.signingKey")
    theirs = key or setting("esaa.approverKey")
    if (ours and theirs) or not has_log(project):
        return
    raise RefusedError(
        "the log has its keys, and one that is made here would count for nothing",
        cause="only an admin's run.init puts another key in force",
        hint="set the one you have with 'git config esaa.approverKey PATH', or 'esaa.signingKey' "
        f"on the orchestrator's machine; else {new_key()}",
    )


def _has_remote(project: Project) -> bool:
    from esaa_git.remote.named import names

    return next(iter(names(project.repository)), None) is not None


def _who(project: Project) -> str:
    """Return the person who works here, as a line of allowed_signers can name them."""
    person = project.repository.person()
    if not is_person(person):
        person = project.repository.identity("author")[1] or person
    if not is_person(person) or re.fullmatch(NAME, person) is None:
        raise UsageError(
            f"'{person}' cannot name a person in the contracts",
            cause="people go by an e-mail address of letters, digits and '._+@-'",
            hint="run 'git config user.email you@example.com'",
        )
    return person


def _key(project: Project, name: str, given: str | None, style: str) -> _Key:
    """Return the orchestrator's key; one is made where none is given or configured."""
    from esaa_git.trust.keys import load_signer
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
        return _Key(configured, False, load_signer(spec).public_key_line)
    made = _new_key(name, f"git-esaa orchestrator of {name}")
    repository.set_local("esaa.signingKey", made.named)
    repository.set_local("esaa.keyFormat", "ssh")
    return made


def _persons_key(project: Project, name: str, person: str, given: str | None, ours: _Key) -> _Key:
    """Return the key of the person who works here; it is never the orchestrator's as well."""
    from esaa_git.trust.keys import load_signer
    from esaa_git.trust.publickey import key_spec

    repository = project.repository
    named = given or repository.setting("esaa.approverKey")
    if named is not None:
        spec = key_spec(named, repository.gpg_program)
        found = _Key(named, False, load_signer(spec).public_key_line)
        if _is_same(found, ours):
            raise UsageError(
                f"the orchestrator signs with '{named}' already",
                cause="a key is one person's or a machine's",
                hint="name another one with --key, or with --orchestrator-key",
            )
        if given is not None:
            found = replace(found, named=spec.key)
            repository.set_local("esaa.approverKey", found.named)
        return found
    own = _signing_key_of_git(project)
    if own is None or _is_same(own, ours):
        own = _new_key(f"{name}-{person}", person)
    repository.set_local("esaa.approverKey", own.named)
    return own


def _is_same(one: _Key, other: _Key) -> bool:
    return one.public.split()[:2] == other.public.split()[:2]


def _signing_key_of_git(project: Project) -> _Key | None:
    """Return the SSH key that git signs with for this person, if it can be used."""
    from esaa_git.trust.keys import load_signer
    from esaa_git.trust.signer import KeySpec

    repository = project.repository
    given = repository.setting("user.signingKey")
    if given is None or repository.setting("gpg.format") != "ssh":
        return None
    try:
        return _Key(given, False, load_signer(KeySpec("ssh", given)).public_key_line)
    except EsaaError as error:
        project.note(f"note: git's user.signingKey is not used: {error.message}")
        return None


def _new_key(label: str, comment: str) -> _Key:
    from esaa_git.app.signing import key_folder
    from esaa_git.trust.keys import create_key

    place = key_folder() / f"{re.sub('[^A-Za-z0-9._@-]', '-', label)}-{secrets.token_hex(4)}"
    return _Key(str(place), True, create_key(place, comment=comment))


def _roles_of(person: str) -> tuple[str, ...]:
    return (person, APPROVER, ADMIN)


def _line(principals: tuple[str, ...], key: _Key) -> str:
    from esaa_git.trust.allowed_signers import allowed_signers_line

    return allowed_signers_line(principals, key.public).rstrip("\n")


def _write_roadmap(
    project: Project, checkout: Path, name: str, person: str, ours: _Key, theirs: _Key
) -> list[str]:
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
        signers = _signers(project, checkout, person, ours, theirs)
        create_below(checkout, f"{ROADMAP}/{ALLOWED_SIGNERS}", signers.encode())
        written.append(ALLOWED_SIGNERS)
    return written


def _signers(project: Project, checkout: Path, person: str, ours: _Key, theirs: _Key) -> str:
    from esaa_git.core.contracts import OPENPGP_SIGNERS
    from esaa_git.trust.keyring import openpgp_entry, openpgp_file
    from esaa_git.trust.publickey import read_public_key

    text = (
        "# Who may sign events, in git's own format (ssh-keygen(1), ALLOWED SIGNERS).\n"
        "# A line is a machine's (orchestrator) or one person's: an e-mail address with the roles\n"
        "# contributor (claims tasks), approver (grants and denies) or admin (changes these\n"
        "# contracts and keys). Edit it with 'git esaa key trust'.\n"
    )
    entries = ""
    for principals, key in ((("orchestrator",), ours), (_roles_of(person), theirs)):
        if key.is_ssh:
            text += _line(principals, key) + "\n"
            continue
        public = read_public_key(key.public, project.repository.gpg_program)
        entries += (openpgp_entry if entries else openpgp_file)(principals, public)
    if entries:
        write_below(checkout, f"{ROADMAP}/{OPENPGP_SIGNERS}", entries.encode())
        text += "# OpenPGP keys are in openpgp_signers.yaml.\n"
    return text


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


def make_example(name: str, folder: Path) -> dict[str, Path]:
    """Lay out an example as a person would have it: seed files, contracts, one commit.

    Returns:
        The keys that were made for others than the person who works there, by whose they are.

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
        others = dict(_others(project, source))
    run_git(folder, "add", "--all")
    run_git(folder, "commit", "--quiet", "--no-verify", "--message", "A project, its contracts")
    with Project(folder) as project:
        allow(project)  # all of it is ours
    return others


def _others(project: Project, source: Path) -> Iterator[tuple[str, Path]]:
    """Make a key for each other person of an example, and write it into its contracts."""
    from esaa_git.app.keys import trust
    from esaa_git.core.documents import decode_yaml

    people = source / _PEOPLE
    if not people.exists():
        return
    for person, roles in decode_yaml(people.read_bytes(), _PEOPLE).items():
        key = _new_key(f"{source.name}-{person}", person)
        trust(project, key.public, roles, person=person)
        yield person, Path(key.named)


def effects_listing(folder: Path) -> str:
    """Return the commits that agents made of an example, a line each, the first one first."""
    from esaa_git.store.program import run_git

    listed = run_git(folder, "log", "--oneline", "--reverse", "--author=agent-")
    return listed.decode("utf-8", "replace")
