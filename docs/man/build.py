#!/usr/bin/env python3
"""Write the man page and the shell completions from the commands themselves.

    python docs/man/build.py            write the four files
    python docs/man/build.py --check    say which of them are out of date, and exit with 1

The page follows the tree of click commands: a command's help, its options, and its epilog, which
is its example. Exit codes come from the classes of `esaa_git.errors`. The same commands give the
same bytes, on any machine and on any day.
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from esaa_git import __version__, errors  # noqa: E402  (the checkout, not an installed copy)

# The page's date: changed by hand with the version, so that a rebuild changes nothing.
DATE = "2026-11-20"

PROGRAM = "git-esaa"
TYPED = "git esaa"
SUMMARY = "record, verify and steer the work of agents, on git"

DESCRIPTION = """\
Agents propose, the orchestrator disposes. An agent answers with a structured intention; `git esaa`
checks it against schema, contract, authority and policy, and only then records it as a signed
commit on `refs/esaa/events`, applies its effect to the working branch as an ordinary commit, and
projects the state from the record. Whoever has a clone can replay the record and recompute every
state.

`git esaa --help` opens this page, `git esaa COMMAND --help` explains one command.
"""

FILES = [
    ("refs/esaa/events", "The event log: linear, signed, append-only. One commit an event."),
    (".roadmap/AGENT_CONTRACT.yaml", "What an agent may answer, and which paths it may touch."),
    (".roadmap/ORCHESTRATOR_CONTRACT.yaml", "Authority and invariants of the orchestrator."),
    (".roadmap/RUNTIME_POLICY.yaml", "Deadlines, attempts, cooldown, escalation and run end."),
    (".roadmap/STORAGE_POLICY.yaml", "What is kept of an exchange with an agent, and redaction."),
    (".roadmap/agents_swarm.yaml", "Which agent does which kind of task, through which adapter."),
    (".roadmap/PARCER_PROFILE.*.yaml", "How an agent is prompted."),
    (".roadmap/plan.yaml", "The tasks."),
    (".roadmap/allowed_signers", "Keys and their roles, in the format of ssh-keygen(1)."),
    (".roadmap/roadmap.json", "The projected state, derived from the log."),
    (".roadmap/activity.jsonl", "The events, one a line, derived from the log."),
]

CONFIGURATION = [
    ("esaa.eventsRef", "The ref of the event log, where it is not `refs/esaa/events`."),
]

# Options that name an environment variable add theirs.
ENVIRONMENT = [
    ("SSH_AUTH_SOCK", "The ssh-agent that signs, where the key is kept in one."),
    ("NO_COLOR", "When set, output has no colours."),
]

SEE_ALSO = ["git(1)", "githooks(5)", "git-verify-commit(1)", "ssh-keygen(1)"]

# git's own completion calls `_git_<command>` for a command that it does not know.
BASH_SUBCOMMAND = """
# `git esaa <TAB>`: git's completion calls this function, with its own view of the line in
# `words`, `cword` and `__git_cmd_idx`, and expects the space after a finished word from us.
_git_esaa() {
    local index=${__git_cmd_idx:-1} i
    local -a COMP_WORDS=(git-esaa "${words[@]:index+1}")
    local COMP_CWORD=$((cword - index))
    _git_esaa_completion git-esaa
    for i in "${!COMPREPLY[@]}"; do
        COMPREPLY[i]+=' '
    done
}
"""


# ------------------------------------------------------------------------------------- man page


class Entry(NamedTuple):
    """A command in the tree, with the words that a person types to reach it."""

    path: str
    command: click.Command
    context: click.Context


def walk(command: click.Command, path: str, parent: click.Context | None = None) -> Iterator[Entry]:
    """Yield a command and everything below it, in the order in which its help lists them."""
    context = click.Context(
        command, info_name=path if parent is None else command.name, parent=parent
    )
    yield Entry(path, command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is None:
                raise SystemExit(f"error: '{path} {name}' is listed and cannot be loaded")
            if not child.hidden:
                yield from walk(child, f"{path} {name}", context)


def man_page(cli: click.Command) -> str:
    """Render the whole page as roff, in ASCII."""
    root, *commands = walk(cli, TYPED)
    lines = [
        '.\\" Written by docs/man/build.py; change the commands, then run it again.',
        f'.TH {PROGRAM.upper()} 1 "{DATE}" "{PROGRAM} {__version__}" "Git Manual"',
        ".nh",
        ".ad l",
        ".SH NAME",
        f"{escape(PROGRAM)} \\- {escape(SUMMARY)}",
        ".SH SYNOPSIS",
        *synopsis(root),
        ".SH DESCRIPTION",
        *paragraphs(DESCRIPTION),
    ]
    if options := list(options_of(root)):
        lines += [".SH OPTIONS", *options]
    lines.append(".SH COMMANDS")
    for entry in commands:
        lines += command_section(entry)
    lines += [".SH EXIT STATUS", *definitions(exit_codes())]
    lines += [".SH FILES", *definitions(FILES)]
    lines += [".SH CONFIGURATION", *definitions(CONFIGURATION)]
    lines += [".SH ENVIRONMENT", *definitions(environment([root, *commands]))]
    lines += [".SH SEE ALSO", ", ".join(reference(page) for page in SEE_ALSO)]
    return "\n".join(lines) + "\n"


def command_section(entry: Entry) -> list[str]:
    """One command: how it is typed, what it does, its options, its example."""
    lines = [f".SS {escape(entry.path)}", *synopsis(entry)]
    text = entry.command.help or entry.command.short_help
    if not text:
        raise SystemExit(f"error: '{entry.path}' has no help text")
    lines += [".PP", *paragraphs(text)]
    lines += options_of(entry)
    if entry.command.epilog:
        lines += example(entry.command.epilog)
    return lines


def synopsis(entry: Entry) -> list[str]:
    """The usage line: what is typed literally is bold."""
    pieces = " ".join(entry.command.collect_usage_pieces(entry.context))
    return [f"\\fB{escape(entry.path)}\\fR {escape(pieces)}".rstrip()]


def options_of(entry: Entry) -> Iterator[str]:
    """Options but for `--help`, which works alike everywhere, and arguments with a help text."""
    for parameter in entry.command.params:
        option, text = parameter.get_help_record(entry.context) or ("", "")
        if parameter.name != "help" and (text or (option and isinstance(parameter, click.Option))):
            yield from (".TP", f"\\fB{escape(option)}\\fR", *inline(" ".join(text.split())))


def example(epilog: str) -> list[str]:
    """A command's epilog, line by line, without a heading that the page writes itself."""
    text = inspect.cleandoc(epilog.replace("\b", ""))
    text = re.sub(r"\AExamples?:\s*\n", "", text)
    lines = [escape(line) for line in inspect.cleandoc(text).splitlines()]
    return [".PP", "Example:", ".PP", ".RS 4", ".nf", *lines, ".fi", ".RE"]


def exit_codes() -> list[tuple[str, str]]:
    """The kinds of failure, as the classes that bring an exit code document them."""
    found = {
        value.exit_code: summary_of(value)
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.EsaaError)
        if "exit_code" in vars(value)
    }
    found[errors.EsaaError.exit_code] = "Any other failure."
    found[0] = "Success."
    return [(str(code), found[code]) for code in sorted(found)]


def summary_of(value: type) -> str:
    return inspect.cleandoc(value.__doc__ or "").partition("\n\n")[0].replace("\n", " ")


def environment(entries: Iterable[Entry]) -> list[tuple[str, str]]:
    """The variables above, and those that options read."""
    readers: dict[str, list[str]] = {}
    for entry in entries:
        for parameter in entry.command.params:
            names = parameter.envvar or ()
            for name in [names] if isinstance(names, str) else names:
                readers.setdefault(name, []).append(
                    f"`{entry.path} {max(parameter.opts, key=len)}`"
                )
    read = [(name, f"Stands in for {', '.join(found)}.") for name, found in sorted(readers.items())]
    return ENVIRONMENT + [(name, text) for name, text in read if name not in dict(ENVIRONMENT)]


def definitions(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, text in pairs:
        yield from (".TP", f"\\fB{escape(term)}\\fR", *inline(text))


def paragraphs(text: str) -> Iterator[str]:
    """Help text as click reads it: `\\b` keeps a paragraph's lines, `\\f` ends the text."""
    blocks = re.split(r"\n\s*\n", inspect.cleandoc(text).partition("\f")[0].strip())
    for number, block in enumerate(blocks):
        if number:
            yield ".PP"
        first, _, rest = block.partition("\n")
        if first.strip() == "\b":
            yield from (".nf", *(escape(line) for line in rest.splitlines()), ".fi")
        else:
            yield from inline(" ".join(block.split()))


def inline(text: str) -> list[str]:
    """One paragraph; what stands between backquotes is bold."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        raise SystemExit(f"error: a backquote without its partner in '{text}'")
    marked = (
        f"\\fB{escape(part)}\\fR" if odd % 2 else escape(part) for odd, part in enumerate(parts)
    )
    line = "".join(marked)
    return [line] if line else []


def reference(page: str) -> str:
    name, _, section = page.partition("(")
    return f"\\fB{escape(name)}\\fR({section}"


def escape(text: str) -> str:
    """Text as roff prints it unchanged: a hyphen stays one that can be copied into a shell."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga")
    text = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in text)
    return re.sub(r"^([.'])", r"\\&\1", text)


# ---------------------------------------------------------------------------------- completions


def completion(cli: click.Command, shell: type[ShellComplete]) -> str:
    """click's own script for a shell: the commands are asked for while somebody types."""
    script = shell(cli, {}, PROGRAM, f"_{PROGRAM.replace('-', '_').upper()}_COMPLETE")
    # Not `source()`, which runs bash to learn its version.
    return script.source_template % script.source_vars()


def zsh_completion(cli: click.Command) -> str:
    """click's script for zsh, made to answer more than once.

    It asks whether the file is being autoloaded, which is true of the first call alone. Every call
    runs the file again, as the function `_git-esaa`; so do those of zsh's `_git` for `git esaa`.
    """
    once, always = "$zsh_eval_context[-1] == loadautofunc", "$funcstack[1] == _git-esaa"
    return amended(completion(cli, ZshComplete), once, always)


def fish_completion(cli: click.Command) -> str:
    """click's script for fish, made to keep what follows the first comma of a help text."""
    return amended(completion(cli, FishComplete), 'string split ","', 'string split --max 1 ","')


def amended(script: str, old: str, new: str) -> str:
    if script.count(old) != 1:
        raise SystemExit(f"error: a completion script of click has changed, '{old}' is not in it")
    return script.replace(old, new)


# ---------------------------------------------------------------------------------------- files


def outputs(cli: click.Command) -> dict[str, str]:
    """Every file that this program writes, by its path in the checkout."""
    return {
        "docs/man/git-esaa.1": man_page(cli),
        "docs/completion/git-esaa.bash": completion(cli, BashComplete) + BASH_SUBCOMMAND,
        "docs/completion/_git-esaa": zsh_completion(cli),
        "docs/completion/git-esaa.fish": fish_completion(cli),
    }


def write(files: dict[str, str], root: Path) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


def stale(files: dict[str, str], root: Path) -> Iterator[str]:
    """The difference between what is committed and what the commands say today."""
    for name, text in files.items():
        path = root / name
        committed = path.read_text(encoding="utf-8") if path.exists() else ""
        yield from difflib.unified_diff(
            committed.splitlines(), text.splitlines(), name, f"{name} (today)", n=1, lineterm=""
        )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the man page and the shell completions.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail when out of date")
    check = parser.parse_args(arguments).check

    from esaa_git.cli.main import cli  # here, so that the functions above serve any command tree

    files = outputs(cli)
    if not check:
        write(files, ROOT)
        return 0
    difference = list(stale(files, ROOT))
    if difference:
        print("\n".join(difference))
        print("error: the man page or a completion is out of date", file=sys.stderr)
        print("hint: run 'make man', then commit what changed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
