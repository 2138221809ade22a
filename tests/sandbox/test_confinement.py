"""What a confined program is given, at each level, and how its start and its end are told."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from esaa_git.agents.command import CommandAgent
from esaa_git.agents.programs import start_hint
from esaa_git.errors import AgentError
from esaa_git.ports.agent import Answer
from esaa_git.sandbox import confinement, readpaths
from esaa_git.sandbox.confinement import (
    DEFAULT_LIMITS,
    Confined,
    Limits,
    NotStarted,
    Outcome,
    Place,
    Rules,
    choose,
    make_rules,
    rules_of,
    run,
    start,
)
from tests.agents.memory import context, entry, no_pause, request
from tests.support.patience import patience

SH = shutil.which("sh") or "/bin/sh"


def available(wanted: str) -> str:
    try:
        return choose(wanted)
    except AgentError as error:
        pytest.skip(f"{error.message}: {error.cause}")


@pytest.fixture(params=["none", "landlock", "bubblewrap"])
def level(request: pytest.FixtureRequest) -> str:
    return available(request.param)


@pytest.fixture(params=["landlock", "bubblewrap"])
def confining(request: pytest.FixtureRequest) -> str:
    return available(request.param)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where a program may write."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


def environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"]}


def ran(level: str, place: Path, *command: str, body: bytes = b"", **options: Any) -> Outcome:
    return run(
        level,
        command,
        rules=options.pop("rules", Rules((), (place,))),
        cwd=place,
        env=environment(),
        body=body,
        max_output_bytes=100_000,
        until=time.monotonic() + patience(60),
        pause=no_pause,
    )


def started(level: str, place: Path, *command: str) -> Any:
    return start(level, command, rules=Rules((), (place,)), cwd=place, env=environment())


# -- choosing ---------------------------------------------------------------------------------


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A machine with neither sandlock nor bubblewrap."""
    monkeypatch.setitem(sys.modules, "sandlock", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    confinement._fault.cache_clear()
    yield
    confinement._fault.cache_clear()


def test_none_has_to_be_asked_for_by_name(bare: None) -> None:
    assert choose("none") == "none"
    with pytest.raises(AgentError) as caught:
        choose("auto")
    assert caught.value.message == "programs cannot be confined on this machine"
    assert caught.value.cause is not None
    assert "sandlock" in caught.value.cause
    assert "bwrap" in caught.value.cause
    assert caught.value.hint is not None
    assert "pip install sandlock" in caught.value.hint
    assert "bubblewrap" in caught.value.hint
    assert "--sandbox none" in caught.value.hint


@pytest.mark.parametrize("wanted", ["landlock", "bubblewrap"])
def test_a_level_that_is_not_here_is_not_replaced_by_another(bare: None, wanted: str) -> None:
    with pytest.raises(AgentError, match=f"by {wanted} on this machine"):
        choose(wanted)


def test_on_another_system_it_is_said_that_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    confinement._fault.cache_clear()
    with pytest.raises(AgentError) as caught:
        choose("auto")
    confinement._fault.cache_clear()
    assert (
        caught.value.cause
        == "landlock-pid: there is none on darwin; landlock: there is none on darwin; "
        "bubblewrap: there is none on darwin"
    )
    assert caught.value.hint == "'git esaa run --sandbox none' runs agents with all your rights"


def test_auto_is_landlock_where_it_works_and_bubblewrap_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if available("auto") in ("landlock-pid", "landlock"):
        available("bubblewrap")
        monkeypatch.setitem(sys.modules, "sandlock", None)
        confinement._fault.cache_clear()
        assert choose("auto") == "bubblewrap"
    else:
        with pytest.raises(AgentError):
            choose("landlock")
    confinement._fault.cache_clear()


# -- rules ------------------------------------------------------------------------------------


def test_the_rules_of_an_entry_name_its_workspace_and_what_it_adds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checkout, home, tmp = tmp_path / "checkout", tmp_path / "home", tmp_path / "tmp"
    monkeypatch.setenv("HOME", "/home/person")
    rules = rules_of(
        {
            "read": ["~/.cache/tool", "/opt/tool"],
            "hosts": ["api.example.com:443", "[::1]:80"],
            "limits": {"memory_bytes": 1 << 30},
        },
        Place(checkout, home, tmp, (tmp_path / "objects",)),
        "in its file",
    )
    assert rules == Rules(
        read=(tmp_path / "objects", Path("/home/person/.cache/tool"), Path("/opt/tool")),
        write=(checkout, home, tmp),
        hosts=("api.example.com:443", "[::1]:80"),
        limits=Limits(1 << 30, DEFAULT_LIMITS.processes, DEFAULT_LIMITS.disk_bytes),
    )


def test_without_settings_there_is_no_network_and_limits_all_the_same() -> None:
    assert make_rules({}, "in its file", read=(), write=()) == Rules((), (), (), DEFAULT_LIMITS)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("read", "src"),
        ("read", "../other"),
        ("hosts", "example.com"),
        ("hosts", "https://example.com:443"),
        ("hosts", "example.com:https"),
        ("hosts", "example.com:65536"),
        ("hosts", "*:443"),
        ("hosts", "exa mple.com:443"),
        ("hosts", "example.com:443\n0.0.0.0:1"),
    ],
)
def test_what_cannot_be_a_rule_is_refused_with_its_setting(setting: str, value: str) -> None:
    with pytest.raises(AgentError, match=f"'{setting}' cannot be used") as caught:
        make_rules({setting: [value]}, "in its file", read=(), write=())
    assert caught.value.hint == f"correct '{setting}' in its file"


# -- how a program starts and ends ------------------------------------------------------------


def test_bytes_go_in_and_come_out(level: str, place: Path) -> None:
    outcome = ran(level, place, SH, "-c", "cat; pwd; echo aside >&2", body=b"\xff request\n")
    assert outcome.output == b"\xff request\n" + os.fsencode(place) + b"\n"
    assert (outcome.stderr, outcome.status, outcome.exceeded) == (b"aside\n", 0, None)


@pytest.mark.parametrize("status", [1, 7, 125, 127, 255])
def test_an_exit_status_is_told(level: str, place: Path, status: int) -> None:
    assert ran(level, place, SH, "-c", f"exit {status}").status == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGPIPE])
def test_a_fatal_signal_is_told(level: str, place: Path, number: signal.Signals) -> None:
    assert ran(level, place, SH, "-c", f"kill -{int(number)} $$").status == -number


@pytest.mark.parametrize("number", [None, signal.SIGHUP, signal.SIGINT])
def test_signals_are_as_a_program_expects_them(
    level: str, place: Path, number: signal.Signals | None, request: pytest.FixtureRequest
) -> None:
    """Also where nohup(1) or a shell's `&` has started us, and where a run has it blocked."""
    if number is not None:
        request.addfinalizer(partial(signal.signal, number, signal.getsignal(number)))
        signal.signal(number, signal.SIG_IGN)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
        request.addfinalizer(partial(signal.pthread_sigmask, signal.SIG_SETMASK, mask))
    # Not through a shell: some let every signal through.
    grep = shutil.which("grep") or "/bin/grep"
    said = ran(level, place, grep, "-E", "Sig(Ign|Blk)", "/proc/self/status").output.split()
    # 32 and 33 are the C library's own, which no program may reset (signal(7)).
    of_the_library = 0b11 << 31
    assert [int(mask, 16) & ~of_the_library for mask in said[1::2]] == [0, 0]


@pytest.mark.parametrize(
    ("first_line", "reason"),
    [
        ("#!/no/such/interpreter", "No such file or directory"),
        ("no first line", "Exec format error"),
        ("", "Exec format error"),
    ],
)
def test_a_program_that_cannot_start_is_not_taken_for_one_that_failed(
    level: str, place: Path, tmp_path: Path, first_line: str, reason: str
) -> None:
    program = tmp_path / "program"
    program.write_text(first_line + "\n", encoding="ascii")
    program.chmod(0o755)
    with pytest.raises(NotStarted, match=reason):
        ran(level, place, str(program))
    with pytest.raises(NotStarted, match="No such file"):
        ran(level, place, str(tmp_path / "missing"))


def test_a_host_that_does_not_exist_is_an_error_before_the_program_starts(place: Path) -> None:
    level = available("landlock")
    with pytest.raises(NotStarted, match=r"the host 'host\.invalid' has no address") as caught:
        ran(level, place, SH, "-c", "echo x", rules=Rules((), (place,), ("host.invalid:443",)))
    assert caught.value.confined
    assert "'hosts'" in start_hint(caught.value)


def test_an_address_that_bubblewrap_has_no_route_to_is_said_so(place: Path) -> None:
    level = available("bubblewrap")
    with pytest.raises(NotStarted, match=r"by name, so not '192\.0\.2\.1'"):
        ran(level, place, SH, "-c", "echo x", rules=Rules((), (place,), ("192.0.2.1:443",)))


def test_several_run_at_the_same_time_in_threads(level: str, place: Path) -> None:
    def one(number: int) -> bytes:
        return ran(level, place, SH, "-c", f"echo {number}; cat", body=b"x" * 50_000).output

    with ThreadPoolExecutor(6) as pool:
        outputs = list(pool.map(one, range(12)))
    assert outputs == [b"%d\n" % number + b"x" * 50_000 for number in range(12)]


# -- a program that one talks to --------------------------------------------------------------


def line(program: Confined) -> bytes:
    found = b""
    while not found.endswith(b"\n"):
        found += program.stdout.read(1)
    return found


def test_a_program_is_talked_to_over_its_pipes(level: str, place: Path) -> None:
    with started(level, place, SH, "-c", 'while read word; do echo "$word!"; done') as program:
        for word in (b"one", b"two"):
            program.stdin.write(word + b"\n")
            assert line(program) == word + b"!\n"
        assert program.poll() is None
        program.stdin.close()
        assert program.stdout.read() == b""
        assert waited(program) == 0


def waited(program: Confined) -> int:
    until = time.monotonic() + patience(20)
    while (status := program.poll()) is None:
        assert time.monotonic() < until
        time.sleep(0.001)
    return status


def test_a_program_that_still_runs_is_ended_with_all_it_started(level: str, place: Path) -> None:
    def running() -> list[str]:
        return [
            path.parent.name
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if mark.encode() in path.read_bytes()
        ]

    mark = f"{place}/mark-{level}"
    source = f"sh -c 'echo up; sleep 300; :' {mark} & wait"
    with started(level, place, SH, "-c", source) as program:
        line(program)
        assert running()
    assert running() == []


def test_what_is_raised_meanwhile_passes_and_the_program_is_ended(level: str, place: Path) -> None:
    class Stopped(Exception):
        pass

    def interrupted() -> None:
        with started(level, place, SH, "-c", "echo up; sleep 300") as program:
            programs.append(program)
            line(program)
            raise Stopped

    programs: list[Confined] = []
    before = set(Path("/dev/fd").iterdir())
    with pytest.raises(Stopped):
        interrupted()
    assert programs[0].poll() is not None
    assert set(Path("/dev/fd").iterdir()) == before


def test_a_program_may_be_asked_to_stop(level: str, place: Path) -> None:
    source = "trap 'echo last word; exit 3' TERM; echo up; while :; do sleep 0.05; done"
    with started(level, place, SH, "-c", source) as program:
        assert line(program) == b"up\n"
        program.terminate()
        assert line(program) == b"last word\n"
        assert waited(program) == 3


# -- what a program may read ------------------------------------------------------------------


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_script_of_a_repository_runs_and_does_not_see_its_neighbours(
    confining: str, place: Path, tmp_path: Path
) -> None:
    program = script(
        tmp_path / "repository/tools/agent", f'#!{SH}\ncat "$0"; cat "${{0%/*}}/secret"'
    )
    (program.parent / "secret").write_bytes(b"secret")
    (tmp_path / "repository/.git").mkdir()
    outcome = ran(confining, place, str(program))
    assert outcome.output == program.read_bytes()
    assert outcome.status != 0


def test_an_interpreter_outside_of_the_system_brings_its_installation(
    confining: str, place: Path, tmp_path: Path
) -> None:
    source = "import json, sys\nprint(json.dumps(sys.version_info[:2]))\n"
    direct = script(tmp_path / "a/direct", f"#!{sys.executable}\n{source}")
    link = tmp_path / "b/link"
    link.parent.mkdir()
    link.symlink_to(direct)
    for program in (direct, link):
        read = confinement.own_places(str(program))
        outcome = ran(confining, place, str(program), rules=Rules(read, (place,)))
        assert outcome.output == b"[%d, %d]\n" % sys.version_info[:2], outcome


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "person"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def installed(program: Path) -> Sequence[Path]:
    """What a program brings that the user's PATH leads to."""
    return readpaths.installation(str(program), f"{program.parent}:/usr/bin:/bin")


def test_a_tool_in_a_virtual_environment_brings_it_and_where_it_is_from(home: Path) -> None:
    base = home / "pythons/3.11"
    (base / "lib").mkdir(parents=True)
    script(base / "bin/python", "")
    tool = home / "tools/aider"
    script(tool / "bin/aider", f"#!{tool}/bin/python\n")
    (tool / "bin/python").symlink_to(base / "bin/python")
    (tool / "pyvenv.cfg").write_text(f"home = {base}/bin\n", encoding="utf-8")
    command = home / ".local/bin/aider"
    command.parent.mkdir(parents=True)
    (home / ".local/lib").mkdir()
    command.symlink_to(tool / "bin/aider")
    found = installed(command)
    assert {command, tool, base} <= set(found)
    for folder in (home, home / ".local", home / ".local/bin", home / "tools"):
        assert folder not in found


def test_a_package_of_node_brings_the_packages_it_lies_in(home: Path) -> None:
    prefix = home / "node/20"
    script(prefix / "lib/node_modules/codex/node_modules/x/bin/codex.js", f"#!{prefix}/bin/node\n")
    script(prefix / "bin/node", "")
    command = prefix / "bin/codex"
    command.symlink_to("../lib/node_modules/codex/node_modules/x/bin/codex.js")
    assert prefix in installed(command)
    local = home / "project/node_modules"
    script(local / "agent/cli.js", "")
    (local / ".bin").mkdir()
    (local / ".bin/agent").symlink_to("../agent/cli.js")
    found = installed(local / ".bin/agent")
    assert local in found
    assert home / "project" not in found


def test_what_path_leads_to_belongs_to_an_installation(tmp_path: Path) -> None:
    shims, venv, other = tmp_path / "pyenv/shims", tmp_path / "venv/bin", tmp_path / "scripts/bin"
    for folder in (shims, venv, other, tmp_path / "pyenv/versions"):
        folder.mkdir(parents=True)
    (tmp_path / "venv/pyvenv.cfg").write_text("home = /usr/bin\n")
    search_path = ":".join(map(str, (shims, venv, other, "/usr/bin")))
    found = readpaths.installation("/usr/bin/env", search_path)
    assert found == [tmp_path / "pyenv", tmp_path / "venv"]


@pytest.mark.parametrize("place", ["bin/tool", "project/bin/tool", ".local/bin/tool"])
def test_a_folder_that_holds_other_things_is_no_installation(home: Path, place: str) -> None:
    (home / "lib").mkdir()
    (home / ".local/lib").mkdir(parents=True)
    (home / "project/.git").mkdir(parents=True)
    (home / "project/lib").mkdir()
    tool = script(home / place, "#!/bin/sh\n")
    assert installed(tool) == [tool]


@pytest.mark.parametrize(
    "line",
    [
        "{private}",
        "{private}/bin/deploy",
        "{private}/lib/text",
        "/usr/bin/env {private}/bin/deploy",
        "/usr/bin/env -S -u {private}/bin/deploy python3",
        "/usr/bin/env -S -u ./tools/hop python3",
        "/usr/bin/env -S -u {repository}/tools/hop python3",
        "/usr/bin/env -S --unset tools/hop python3",
        "/usr/bin/env -S -C {private}/bin deploy",
        "/usr/bin/env -S --unknown {private}/bin/deploy",
        "/usr/bin/env -S PATH={private}/bin deploy",
        "{repository}/tools/hop",
        "./tools/hop",
        "../person/private/bin/deploy",
        "{repository}/tools/link",
        "{private}/../private/bin/deploy",
        "/usr/bin/../..{private}/bin/deploy",
        "/usr/bin/env -S {private}/bin/env python3",
    ],
)
def test_the_first_line_of_a_strangers_script_opens_nothing(
    home: Path, tmp_path: Path, line: str
) -> None:
    private, repository = home / "private", tmp_path / "repository"
    (private / "lib").mkdir(parents=True)
    (private / "lib/text").write_text("private")
    script(private / "bin/deploy", f"#!{private}/bin/deploy\n")
    script(private / "bin/env", "#!/bin/sh\n")
    script(repository / "tools/hop", f"#!{private}\n")
    (repository / "tools/link").symlink_to(private / "bin/deploy")
    text = line.format(private=private, repository=repository)
    program = script(repository / "tools/agent", f"#!{text}\n")
    assert readpaths.installation(str(program), "/usr/bin:/bin") == [program]


@pytest.mark.parametrize("place", ["tools/link", "linked/deploy"])
def test_a_link_of_a_repository_opens_nothing(home: Path, tmp_path: Path, place: str) -> None:
    (home / "private/lib").mkdir(parents=True)
    script(home / "private/bin/deploy", "#!/bin/sh\n")
    (tmp_path / "repository/tools").mkdir(parents=True)
    (tmp_path / "repository/tools/link").symlink_to(home / "private/bin/deploy")
    (tmp_path / "repository/linked").symlink_to(home / "private/bin")
    program = str(tmp_path / "repository" / place)
    assert readpaths.installation(program, "/usr/bin:/bin") == []


def test_what_path_leads_to_is_opened_for_a_strangers_script(home: Path, tmp_path: Path) -> None:
    prefix = home / ".nvm/versions/node/v20"
    (prefix / "lib").mkdir(parents=True)
    node = script(prefix / "bin/node", "")
    search_path = f"{prefix}/bin:/usr/bin:/bin"
    for line in ("/usr/bin/env node", "/usr/bin/env -S -i node -x", str(node)):
        program = script(tmp_path / "repository/agent", f"#!{line}\n")
        assert readpaths.installation(str(program), search_path) == [program, node, prefix]


def test_a_program_outside_of_path_asks_for_what_it_is_installed_in(home: Path) -> None:
    (home / "private/lib").mkdir(parents=True)
    python = script(home / "private/bin/python", "")
    program = script(home / "tools/agent", f"#!{python}\n")
    assert readpaths.installation(str(program), "/usr/bin:/bin") == [program]
    assert readpaths.asked(str(program), "/usr/bin:/bin") == [python, home / "private"]
    assert readpaths.asked("/usr/bin/env", "/usr/bin:/bin") == []


def test_a_confined_script_cannot_read_what_its_first_line_names(
    confining: str, place: Path, tmp_path: Path
) -> None:
    private = tmp_path / "private"
    (private / "lib").mkdir(parents=True)
    (private / "lib/text").write_text("unseen")
    hop = script(place / "tools/hop", f"#!{private}\n")
    script(private / "bin/deploy", "#!/bin/sh\n")
    for option in (f"-u {hop}", f"-u {private}/bin/deploy", f"PATH={private}/bin:/usr/bin"):
        program = script(place / "agent", f"#!/usr/bin/env -S {option} cat {private}/lib/text\n")
        outcome = ran(confining, place, str(program))
        assert b"unseen" not in outcome.output
        assert outcome.status != 0


def test_a_script_whose_interpreter_it_cannot_read_is_not_started(
    confining: str, place: Path, tmp_path: Path
) -> None:
    shell = script(tmp_path / "private/bin/sh", "")
    shutil.copy(SH, shell)
    program = script(place / "agent", f"#!{shell}\nexit 3\n")
    with pytest.raises(NotStarted, match=r"its first line names .*PATH does not lead to"):
        ran(confining, place, str(program))
    rules = Rules((shell,), (place,))  # as `read` of an agent, which is asked for
    assert ran(confining, place, str(program), rules=rules).status == 3


def test_programs_of_the_system_bring_nothing() -> None:
    assert installed(Path("/usr/bin/env")) == []


def test_what_is_not_open_to_everybody_is_closed() -> None:
    is_open, is_closed = readpaths.open_settings(), readpaths.closed_settings()
    assert Path("/etc/passwd") in is_open
    for path in map(Path, ("/etc/shadow", "/etc/ssh", "/etc/sudoers")):
        if path.exists():
            assert path in is_closed
            assert not any(path.is_relative_to(folder) for folder in is_open)


# -- the settings of an agent -----------------------------------------------------------------


def answered(level: str, *command: str, **settings: Any) -> Answer:
    agent = CommandAgent(
        entry("command", command=list(command), **settings), context(sandbox=level)
    )
    agent.ready()
    assert agent.sandbox == level
    return agent.answer(request(), no_pause)


PYTHON = (sys.executable, "-IS", "-c")


@contextmanager
def greeting() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as stream:

        def greet() -> None:
            connection, _ = stream.accept()
            with connection:
                connection.sendall(b"hello")

        thread = threading.Thread(target=greet)
        thread.start()
        try:
            yield stream.getsockname()[1]
        finally:
            socket.create_connection(stream.getsockname()).close()
            thread.join()


CONNECT = """
import socket, sys
print(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5).recv(5))
"""


def test_hosts_of_an_agent_are_reached_and_no_others(confining: str) -> None:
    with greeting() as port:
        refused = answered(confining, *PYTHON, CONNECT, str(port))
        reached = answered(confining, *PYTHON, CONNECT, str(port), hosts=[f"127.0.0.1:{port}"])
    assert refused.failure == "left with exit status 1"
    assert reached.output == b"b'hello'\n"


def test_read_of_an_agent_is_readable_and_nothing_beside_it(confining: str, tmp_path: Path) -> None:
    for name in ("shown", "hidden"):
        (tmp_path / name).write_text(name, encoding="ascii")
    command = (SH, "-c", f"cat {tmp_path}/shown; cat {tmp_path}/hidden")
    assert answered(confining, *command).output == b""
    assert answered(confining, *command, read=[str(tmp_path / "shown")]).output == b"shown"


def test_env_of_an_agent_reaches_it(confining: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "value")
    assert answered(confining, SH, "-c", "echo $API_KEY").output == b"\n"
    assert answered(confining, SH, "-c", "echo $API_KEY", env=["API_KEY"]).output == b"value\n"


def test_timeout_of_an_agent_ends_it(confining: str) -> None:
    answer = answered(confining, SH, "-c", "echo half; sleep 300", timeout=1500)
    assert (answer.output, answer.code) == (b"half\n", "AGENT_TIMEOUT")


def test_memory_bytes_of_an_agent_is_a_limit(confining: str) -> None:
    command = (*PYTHON, "import time; kept = bytearray(300 << 20); time.sleep(0.3); print('done')")
    assert answered(confining, *command).output == b"done\n"
    answer = answered(confining, *command, limits={"memory_bytes": 100 << 20})
    assert answer.output == b""
    assert answer.code == "AGENT_FAILED"


def test_processes_of_an_agent_is_a_limit(confining: str) -> None:
    source = """
import subprocess, time
try:
    kept = [subprocess.Popen(["sleep", "30"]) for number in range(20)]
    time.sleep(1)
    print("done", flush=True)
except OSError:
    print("refused", flush=True)
"""
    assert answered(confining, *PYTHON, source).output == b"done\n"
    answer = answered(confining, *PYTHON, source, limits={"processes": 10})
    assert answer.output == b"refused\n" or answer.detail["limit"] == "processes"


def test_disk_bytes_of_an_agent_is_a_limit_that_is_named(confining: str) -> None:
    source = """
n=0
while [ $n -lt 40 ]; do head -c 1000000 /dev/zero >$TMPDIR/$n; n=$((n+1)); sleep 0.01; done
sleep 1
echo done
"""
    assert answered(confining, SH, "-c", source).output == b"done\n"
    answer = answered(confining, SH, "-c", source, limits={"disk_bytes": 10_000_000})
    assert answer.failure == (
        "was ended for exceeding its limit 'disk_bytes' of 10000000 "
        "(under 'limits' of the agent in .roadmap/agents_swarm.yaml)"
    )
    assert answer.detail["limit"] == "disk_bytes"
    assert answer.code == "AGENT_FAILED"
