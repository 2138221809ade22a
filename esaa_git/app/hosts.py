"""What the hosts of interactive agents read in a repository, and how each one learns of our server.

Claude Code reads `CLAUDE.md` and `.claude/skills`; Codex, opencode, Copilot and others read
`AGENTS.md` and `.agents/skills`; Gemini CLI reads `GEMINI.md` and `.agents/skills`. So there is one
text, in `AGENTS.md`, two files that import it, and one skill in two places.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from esaa_git.errors import ConfigurationError, RepositoryError
from esaa_git.resources import resource_path
from esaa_git.store.files import read_below, write_below

if TYPE_CHECKING:
    from esaa_git.app.project import Project

BEGIN = b"<!-- git-esaa: begin, written by 'git esaa init --agents' -->"
END = b"<!-- git-esaa: end -->"

IMPORTS = {"CLAUDE.md": b"@AGENTS.md", "GEMINI.md": b"@./AGENTS.md"}
"""Files that another file is imported into, with the import as their host spells it."""

SKILLS = (".claude/skills/git-esaa/SKILL.md", ".agents/skills/git-esaa/SKILL.md")

REGISTRATION = (
    ("Claude Code", "claude mcp add git-esaa -- git esaa mcp"),
    ("Codex", "codex mcp add git-esaa -- git esaa mcp"),
    ("Gemini CLI", "gemini mcp add git-esaa git esaa mcp"),
    ("opencode", "opencode mcp add git-esaa -- git esaa mcp"),
    ("Copilot CLI", "copilot mcp add git-esaa -- git esaa mcp"),
    ("VS Code", """code --add-mcp '{"name":"git-esaa","command":"git","args":["esaa","mcp"]}'"""),
)
"""The one line that registers the server, by host."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was done: the files that were written, and those that were left, with the reason."""

    files: tuple[str, ...]
    left: tuple[tuple[str, str], ...]


def checkout_for_agents(project: Project) -> Path:
    """Return the checkout that the files of agents go into.

    Raises:
        RepositoryError: if the repository is a bare one.
    """
    checkout = project.repository.workdir
    if checkout is None:
        raise RepositoryError(
            "a bare repository has no files for agents to read",
            hint="run 'git esaa init --agents' in a clone",
        )
    return checkout


def write_host_files(workdir: Path) -> Written:
    """Write the files into a checkout, and keep everything else that they hold.

    Ours is what stands between two marks; it is replaced where it differs, so running it again
    changes nothing. Every file is looked at before the first is written. A link is left as it is,
    and not followed: where it leads to the `AGENTS.md` beside it, that says it all.

    Raises:
        ConfigurationError: if a file has only one of the marks.
        RepositoryError: if something else is in the way of one.
    """
    planned: list[tuple[str, bytes]] = []
    left: list[tuple[str, str]] = []
    for name, ours in _contents():
        link = _first_link(workdir, name)
        if link is not None:
            if link != name:
                left.append((name, f"'{link}' on the way to it is a symbolic link"))
            elif (workdir / name).readlink() != Path("AGENTS.md"):
                left.append((name, "it is a symbolic link"))
            continue
        old = read_below(workdir, name)
        if old is None:
            planned.append((name, ours.new))
            continue
        if ours.line is not None and BEGIN not in old and ours.line in old.splitlines():
            continue
        if ours.whole and BEGIN not in old:
            left.append((name, "it has no marks of ours, so it is yours"))
            continue
        new = _merged(name, old, ours.section)
        if new != old:
            planned.append((name, new))
    for name, data in planned:
        write_below(workdir, name, data)
    return Written(tuple(name for name, _ in planned), tuple(left))


@dataclass(frozen=True, slots=True)
class _Ours:
    """A file of ours: all of it where it is new, else its section.

    `line` makes the section needless where the file has it already; of a `whole` file nothing is
    added to a file of the user's.
    """

    new: bytes
    section: bytes
    line: bytes | None = None
    whole: bool = False


def _contents() -> list[tuple[str, _Ours]]:
    def template(name: str) -> bytes:
        return resource_path("templates", "agents", name).read_bytes()

    text = _marked(template("AGENTS.md"))
    found = [("AGENTS.md", _Ours(text, text))]
    for name, line in IMPORTS.items():
        section = _marked(template(name))
        found.append((name, _Ours(section, section, line)))
    # A skill begins with its front matter, so the marks come after it.
    _, front, body = template("SKILL.md").split(b"---\n", 2)
    section = _marked(body.strip(b"\n") + b"\n")
    skill = b"---\n" + front + b"---\n\n" + section
    found += [(name, _Ours(skill, section, whole=True)) for name in SKILLS]
    return found


def _marked(text: bytes) -> bytes:
    return BEGIN + b"\n" + text + END + b"\n"


def _first_link(workdir: Path, name: str) -> str | None:
    """Return the first part of a path that is a link, to be named; what writes looks again."""
    at = Path()
    for part in Path(name).parts:
        at /= part
        if (workdir / at).is_symlink():
            return at.as_posix()
    return None


def _merged(name: str, old: bytes, section: bytes) -> bytes:
    """Return the file with our section in it, at its place or at the end."""
    if b"\r\n" in old:
        section = section.replace(b"\n", b"\r\n")
    if old.count(BEGIN) != old.count(END) or old.count(BEGIN) > 1:
        raise ConfigurationError(
            f"'{name}' has not one begin and one end mark of git-esaa",
            hint="delete the marks and what is between them, then run 'git esaa init --agents' "
            "again",
        )
    if BEGIN not in old:
        line_end = b"\r\n" if b"\r\n" in old else b"\n"
        if not old:
            return section
        return old + (b"" if old.endswith(b"\n") else line_end) + line_end + section
    before, rest = old.split(BEGIN)
    if END not in rest:
        raise ConfigurationError(
            f"the marks of git-esaa in '{name}' are the wrong way round",
            hint="delete them, then run 'git esaa init --agents' again",
        )
    after = rest.split(END)[1]
    return before + section.rstrip(b"\r\n") + after
