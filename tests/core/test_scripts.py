"""What the first line of a script starts, as env(1) and the kernel read it."""

from __future__ import annotations

import pytest

from esaa_git.core.scripts import named_by
from esaa_git.firstline import program_of_env, words_of


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"#!/bin/sh\n", ["/bin/sh"]),
        (b"#! \t/usr/bin/env  -S python3 -u \r\nmore", ["/usr/bin/env", "-S python3 -u"]),
        (b"#!", []),
        (b"#!\n/bin/sh", []),
        (b"\x7fELF#!/bin/sh", []),
        (b" #!/bin/sh\n", []),
    ],
)
def test_a_first_line_is_an_interpreter_and_one_argument(line: bytes, words: list[str]) -> None:
    assert words_of(line) == words


@pytest.mark.parametrize(
    ("arguments", "program"),
    [
        (["python3"], "python3"),
        (["-S python3 -u"], "python3"),
        (["-S -u ./tools/hop python3"], "python3"),
        (["-S -u", "./tools/hop", "python3"], "python3"),
        (["-S --unset tools/hop python3"], "python3"),
        (["-S --unset=tools/hop python3"], "python3"),
        (["-S -C tools python3"], "python3"),
        (["-S --chdir tools python3"], "python3"),
        (["-S -a tools/hop python3"], "python3"),
        (["-iS A=b 'python3' x"], "python3"),
        (["-vutools/hop", "python3"], "python3"),
        (["--split-string=-i python3"], "python3"),
        (["--", "python3"], "python3"),
        (["-", "python3"], "python3"),
        (["A=/home/me/x", "python3"], "python3"),
        (["--unknown", "python3"], None),
        (["--split=python3"], None),
        (["-P", "/home/me", "python3"], None),
        (["-S ${HOME}/private"], None),
        ([r"-S python3\_x"], None),
        (["-S 'python3"], None),
        (["-S"], None),
        ([], None),
    ],
)
def test_the_program_of_env_is_told_by_its_options(
    arguments: list[str], program: str | None
) -> None:
    assert program_of_env(arguments) == program


TREE = {
    "a": b"#!/usr/bin/env -S python3 tools/real.py\n",
    "b": b"#!/usr/bin/python3 tools/real.py\n",
    "c": b"#!tools/hop\n",
    "d": b"#!hop\n",
    "e": b"#!/home/me/work/tools/hop -x\n",
    "f": b"#!/usr/bin/env -S -u tools/none python3\n",
    "g": b"#!/usr/bin/env -S sh -c tools/real.py\n",
    "h": b"#!/usr/bin/env -S node --require ./tools/hop\n",
    "i": b"#!/usr/bin/env python3\n",
    "j": b"#!/usr/bin/env -S -C tools python3 real.py\n",
    "loop": b"#!./loop\n",
    "tools/hop": b"#!/bin/sh tools/real.py\n",
}


@pytest.mark.parametrize(
    ("script", "named"),
    [
        ("a", ["tools/real.py"]),
        ("b", ["tools/real.py"]),
        ("c", ["tools/hop", "tools/real.py"]),
        ("d", ["hop"]),
        ("e", ["tools/hop", "tools/real.py"]),
        ("f", []),
        ("g", ["tools/real.py"]),
        ("h", ["tools/hop", "tools/real.py"]),
        ("i", []),
        ("j", ["tools/real.py"]),
        ("loop", []),
    ],
)
def test_what_a_first_line_names_is_followed(script: str, named: list[str]) -> None:
    found = named_by([script], TREE.get, "/home/me/work", absent=False)
    there = {*TREE, "tools/real.py", "hop"}  # `node` tries endings as well
    assert [path for path, _ in found if path in there] == named


def test_there_is_an_end_to_hops() -> None:
    found = named_by(["0"], lambda path: f"#!./{int(path) + 1}\n".encode())
    assert len(list(found)) == 1000
