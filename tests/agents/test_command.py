"""Programs as agents, with real processes: obedient ones, clumsy ones and hostile ones."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from esaa_git.agents.command import CommandAgent
from esaa_git.core.envelope import decode
from esaa_git.core.rejection import Rejected
from esaa_git.errors import AgentError
from esaa_git.ports.agent import AgentAdapter, Answer
from esaa_git.ports.files import FileEntry, NotAFile
from esaa_git.sandbox.confinement import choose
from tests.agents.memory import (
    MemoryBlobs,
    MemoryTrees,
    StillClock,
    context,
    entry,
    no_pause,
    request,
)
from tests.support.patience import patience

pytestmark = pytest.mark.usefixtures("temporary")

PYTHON = (sys.executable, "-IS", "-c")
MEBIBYTE = 1 << 20


class World:
    """An agent's context: the files of the base, a checkout, and a place for traces."""

    def __init__(self, folder: Path) -> None:
        self.blobs = MemoryBlobs()
        self.clock = StillClock()
        self.files: dict[str, FileEntry | NotAFile] = {}
        self.root: Path | None = folder / "checkout"
        self.root.mkdir()
        self.trace = folder / "trace"
        self.max_output_bytes = 2 * MEBIBYTE
        self.sandbox = "none"
        self.add("README.md", b"# Example\n")

    def add(self, path: str, content: bytes, mode: str = "100644") -> None:
        self.files[path] = FileEntry(mode, self.blobs.write(content))

    def agent(self, *command: str, **settings: Any) -> CommandAgent:
        return CommandAgent(
            entry("command", command=list(command), **settings),
            context(
                self.root,
                trees=MemoryTrees(self.files),
                blobs=self.blobs,
                max_output_bytes=self.max_output_bytes,
                clock=self.clock,
                sandbox=self.sandbox,
            ),
        )

    def python(self, source: str, body: bytes = b"", **settings: Any) -> Answer:
        """Run a Python program, with the path for its traces as argument."""
        return self.agent(*PYTHON, source, str(self.trace), **settings).answer(
            request(body), no_pause
        )

    def shell(self, source: str, pause: Callable[[], None] = no_pause, **settings: Any) -> Answer:
        """Run a shell script, with the path for its traces as `$1`."""
        return self.agent("sh", "-c", source, "sh", str(self.trace), **settings).answer(
            request(), pause
        )

    def pids(self) -> list[int]:
        """The process ids that a program left in its trace."""
        return [int(word) for word in self.trace.read_text(encoding="ascii").split()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(params=["none", "landlock", "bubblewrap"])
def confined(request: pytest.FixtureRequest, world: World) -> World:
    """At each level of confinement; a program's traces do not reach us from in there."""
    try:
        world.sandbox = choose(request.param)
    except AgentError as error:
        pytest.skip(f"{error.message}: {error.cause}")
    return world


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        # Nobody may have reaped it: in a container, process 1 often does not.
        return stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return not Path("/proc/self").exists()


def assert_dead(*pids: int) -> None:
    """A signal was sent; a busy machine may take its time to deliver it."""
    waited_until = time.monotonic() + patience(20)
    while any(map(is_alive, pids)):
        assert time.monotonic() < waited_until, f"still alive: {[*filter(is_alive, pids)]}"
        time.sleep(0.01)


def running_with(argument: Path) -> list[int]:
    """The processes that have this argument, where the system has a `/proc` to look in."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if os.fsencode(argument) in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def modes_bind(folder: Path) -> bool:
    """Answer whether a mode keeps this user from writing; it does not bind root."""
    probe = folder / "probe"
    probe.write_bytes(b"")
    probe.chmod(0o444)
    return not os.access(probe, os.W_OK)


# -- the exchange -----------------------------------------------------------------------------


def test_a_program_gets_the_request_and_its_output_is_the_answer(world: World) -> None:
    agent: AgentAdapter = world.agent("cat")
    agent.ready()
    body = b'{"text":"\xc3\xa9\\n\xff"}\n'
    answer = agent.answer(request(body), no_pause)
    assert answer.latency_ms >= 0
    assert answer == Answer(body, answer.latency_ms)


def test_it_says_of_itself_what_the_log_records(confined: World) -> None:
    agent: AgentAdapter = confined.agent("cat")
    assert (agent.name, agent.adapter, agent.model) == ("coder", "command", "some-model")
    assert agent.sandbox == confined.sandbox


def test_a_confinement_that_is_not_there_is_refused_before_an_attempt(world: World) -> None:
    world.sandbox = "magic"
    error = refused(world.agent("cat"))
    assert error.message == "programs cannot be confined by magic on this machine"
    assert error.hint is not None
    assert "--sandbox none" in error.hint


def test_more_than_the_pipes_hold_goes_both_ways(world: World) -> None:
    body = bytes(range(256)) * (MEBIBYTE // 256)
    assert world.agent("cat").answer(request(body), no_pause).output == body


def test_all_three_pipes_may_be_full_at_once(world: World) -> None:
    answer = world.python(
        """
import sys
for stream in (sys.stderr, sys.stdout):
    stream.write("x" * (1 << 20))
    stream.flush()
print(len(sys.stdin.buffer.read()))
""",
        b"y" * MEBIBYTE,
    )
    assert answer.failure is None
    assert answer.output == b"x" * MEBIBYTE + f"{MEBIBYTE}\n".encode()
    assert answer.detail == {"stderr": "x" * 65_536}


def test_a_program_may_read_a_little_and_answer_a_lot(world: World) -> None:
    # There is room for a few bytes more of the request, and for no more of the answer.
    answer = world.python(
        """
import os, sys
os.read(0, 4096)
sys.stdout.write("x" * (1 << 20))
sys.stdout.flush()
print(len(sys.stdin.buffer.read()))
""",
        b"y" * MEBIBYTE,
    )
    assert answer.output == b"x" * MEBIBYTE + f"{MEBIBYTE - 4096}\n".encode()


def test_a_program_need_not_read_the_request(world: World) -> None:
    answer = world.python("print('unread')", b"y" * MEBIBYTE)
    assert (answer.output, answer.failure) == (b"unread\n", None)


def test_a_program_may_close_its_input_and_work_on(world: World) -> None:
    answer = world.python(
        """
import os, time
os.read(0, 10)
os.close(0)
time.sleep(0.2)
print("closed")
""",
        b"y" * MEBIBYTE,
    )
    assert (answer.output, answer.failure) == (b"closed\n", None)


def test_a_program_may_close_its_output_before_it_ends(world: World) -> None:
    answer = world.shell("echo early; exec >&- 2>&-; sleep 0.2; exit 5")
    assert (answer.output, answer.failure) == (b"early\n", "left with exit status 5")


def test_an_output_of_the_largest_size_is_whole(world: World) -> None:
    world.max_output_bytes = 100_000
    answer = world.python("print('x' * 100_000, end='')")
    assert (answer.output, answer.truncated) == (b"x" * 100_000, False)


FLOOD = """
import os, sys
with open(sys.argv[1], "w") as trace:
    print(os.getpid(), file=trace)
while True:
    os.write(1, b"x" * 50_000)
"""


def test_a_flood_is_cut_off_and_the_program_ended(world: World) -> None:
    world.max_output_bytes = 100_000
    answer = world.python(FLOOD)
    assert (len(answer.output), answer.truncated) == (100_001, True)
    assert (answer.failure, answer.code) == (None, None)
    assert_dead(*world.pids())
    verdict = decode(answer.output, max_bytes=world.max_output_bytes)
    assert isinstance(verdict, Rejected)
    assert verdict.code == "OUTPUT_TOO_LARGE"


def test_threads_may_ask_at_the_same_time(world: World) -> None:
    agent = world.agent("cat")
    bodies = [b"%d" % number * 100_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: agent.answer(request(body), no_pause).output, bodies))
    assert answers == bodies


# -- how a program may end --------------------------------------------------------------------


@pytest.mark.parametrize("printed", ["", "an answer that does not count"])
def test_an_exit_status_is_a_failure_with_or_without_output(world: World, printed: str) -> None:
    answer = world.shell(f"printf '{printed}'; echo 'no quota' >&2; exit 3")
    assert answer.output == printed.encode()
    assert (answer.failure, answer.code) == ("left with exit status 3", "AGENT_FAILED")
    assert answer.detail == {"exit_status": 3, "stderr": "no quota\n"}


def test_a_fatal_signal_is_named(world: World) -> None:
    answer = world.shell("echo half; kill -SEGV $$")
    assert (answer.failure, answer.code) == ("was ended by signal SIGSEGV", "AGENT_FAILED")
    assert answer.detail == {"signal": "SIGSEGV"}


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no real-time signals")
def test_a_signal_without_a_name_has_its_number(world: World) -> None:
    number = signal.SIGRTMIN + 3
    answer = world.python(f"import os; os.kill(os.getpid(), {int(number)})")
    assert answer.failure == f"was ended by signal {int(number)}"


def test_silence_is_a_failure(world: World) -> None:
    answer = world.shell("echo 'what now' >&2")
    assert (answer.failure, answer.code) == ("wrote nothing to standard output", "AGENT_FAILED")
    assert answer.detail == {"exit_status": 0, "stderr": "what now\n"}


def test_a_success_keeps_what_was_said_beside_it(world: World) -> None:
    answer = world.shell("echo answer; echo 'took the fast path' >&2")
    assert (answer.failure, answer.code) == (None, None)
    assert answer.detail == {"stderr": "took the fast path\n"}


def test_what_does_not_print_is_replaced_in_the_errors(world: World) -> None:
    answer = world.python(
        r"""
import sys
text = "\u00e9\t\x1b[31mred\x00\r\nba\u202ed\u2028\x85"
sys.stderr.buffer.write(text.encode() + b"\xff\xed\xa0\x80\n")
"""
    )
    shown = answer.detail["stderr"]
    assert shown.startswith("é\t\ufffd[31mred\ufffd\nba\ufffdd\ufffd\ufffd\ufffd")
    assert all(char.isprintable() or char in "\n\t" for char in shown)
    assert shown.endswith("\n")


def test_the_errors_are_cut_between_characters(world: World) -> None:
    answer = world.python(
        "import sys; sys.stderr.buffer.write('a'.encode() + 'é'.encode() * 40_000 + b'!')"
    )
    assert answer.detail["stderr"] == "é" * 32_767 + "!"


# -- time -------------------------------------------------------------------------------------

LINGER = """
import os, signal, sys, time
with open(sys.argv[1], "w") as trace:
    print(os.getpid(), file=trace)
def leave(*_):
    os.write(2, b"told to stop\\n")
    os._exit(0)
signal.signal(signal.SIGTERM, leave)
print("half an answer", flush=True)
time.sleep(300)
"""


def test_a_timeout_ends_the_program_which_may_say_a_last_word(world: World) -> None:
    answer = world.python(LINGER, timeout=700)
    assert answer.code == "AGENT_TIMEOUT"
    late = "did not answer within its timeout of 700 ms"
    assert answer.failure == f"{late}; it last wrote: told to stop"
    assert answer.output == b"half an answer\n"
    assert answer.detail == {"stderr": "told to stop\n"}
    assert_dead(*world.pids())


def test_children_are_told_to_stop_as_well(world: World) -> None:
    child = "trap 'echo child told to stop >&2; exit' TERM; sleep 300 & wait"
    answer = world.shell(f"trap 'wait' TERM; sh -c \"{child}\" & wait", timeout=500)
    assert answer.code == "AGENT_TIMEOUT"
    assert answer.detail == {"stderr": "child told to stop\n"}


def test_the_deadline_of_the_attempt_holds_where_it_comes_first(world: World) -> None:
    agent = world.agent(*PYTHON, LINGER, str(world.trace), timeout=100_000)
    asked = request(left_ms=700)
    answer = agent.answer(asked, no_pause)
    assert answer.code == "AGENT_TIMEOUT"
    deadline = "2026-01-31T09:00:00.700Z"
    assert str(answer.failure).startswith(f"did not answer before its deadline {deadline}")
    assert_dead(*world.pids())


@pytest.mark.parametrize(("left_ms", "timeout"), [(0, None), (-5000, None), (1000, 0)])
def test_a_program_without_time_is_not_started(
    world: World, left_ms: int, timeout: int | None
) -> None:
    settings = {} if timeout is None else {"timeout": timeout}
    agent = world.agent("sh", "-c", 'echo started >"$1"', "sh", str(world.trace), **settings)
    assert agent.answer(request(left_ms=left_ms), no_pause).code == "AGENT_TIMEOUT"
    assert not world.trace.exists()


def test_a_whole_group_that_ignores_sigterm_is_killed(world: World) -> None:
    # The children do not hold the pipes open; only the signal can reach them.
    answer = world.shell(
        """
        trap '' TERM
        sleep 300 <&- >&- 2>&- &
        echo $$ $! >"$1"
        while :; do sleep 1; done
        """,
        timeout=500,
    )
    assert answer.code == "AGENT_TIMEOUT"
    shell, child = world.pids()
    assert_dead(shell, child)


def test_the_clock_is_asked_once_so_that_a_recorded_run_stays_the_same(world: World) -> None:
    world.shell("sleep 0.2; echo answer")
    assert world.clock.looks == 1


# -- what a program leaves behind -------------------------------------------------------------


def test_a_child_that_holds_the_output_open_cannot_keep_us(world: World) -> None:
    answer = world.shell("sleep 300 & echo $$ $! >$1; echo answer")
    assert (answer.output, answer.failure) == (b"answer\n", None)
    assert_dead(*world.pids())


def test_a_child_that_lives_on_unseen_is_killed(world: World) -> None:
    answer = world.shell("sleep 300 <&- >&- 2>&- & echo $$ $! >$1; echo answer")
    assert (answer.output, answer.failure) == (b"answer\n", None)
    assert_dead(*world.pids())


def test_a_child_may_finish_the_answer(world: World) -> None:
    answer = world.shell("(sleep 0.2; echo second) & echo first")
    assert (answer.output, answer.failure) == (b"first\nsecond\n", None)


class Stopped(Exception):
    """What `pause` may raise: somebody wants to end this run."""


STUBBORN = "trap '' INT TERM HUP; sleep 300 & echo $$ $! >$1; wait"


def test_an_interrupt_leaves_nothing_running(world: World) -> None:
    def pause() -> None:
        if world.trace.exists() and world.trace.read_bytes().endswith(b"\n"):
            raise Stopped

    with pytest.raises(Stopped):
        world.shell(STUBBORN, pause)
    assert not any(map(is_alive, world.pids()))


@pytest.mark.parametrize("milliseconds", range(1, 80, 4))
def test_an_interrupt_leaves_nothing_running_whenever_it_strikes(
    world: World, milliseconds: int
) -> None:
    # Before the program starts, while it is being started, or when it runs.
    until = time.monotonic() + milliseconds / 1000

    def pause() -> None:
        if time.monotonic() > until:
            raise Stopped

    with pytest.raises(Stopped):
        world.shell(STUBBORN, pause)
    assert running_with(world.trace) == []


def test_an_agent_is_asked_and_interrupted_in_any_thread(world: World) -> None:
    def pause() -> None:
        if world.trace.exists():
            raise Stopped

    with ThreadPoolExecutor(1) as pool:
        interrupted = pool.submit(world.shell, STUBBORN, pause)
        assert isinstance(interrupted.exception(), Stopped)
    assert running_with(world.trace) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps orphans in sight")
def test_a_child_that_left_the_session_is_killed(world: World) -> None:
    answer = world.shell("setsid sh -c 'sleep 300 & echo $! >$0; wait' $1 & sleep 0.5; echo done")
    assert answer.output == b"done\n"
    assert not any(map(is_alive, world.pids()))


def test_no_descriptor_is_left_open(world: World) -> None:
    def open_descriptors() -> set[Path]:
        return set(Path("/dev/fd").iterdir())

    world.shell("echo warm")
    before = open_descriptors()
    world.shell("echo answer")
    world.shell("exit 1")
    world.shell("sleep 300", timeout=50)
    assert open_descriptors() == before


# -- what a program is given ------------------------------------------------------------------


def environment(answer: Answer) -> dict[str, str]:
    assert answer.failure is None, answer
    pairs = answer.output.decode().removesuffix("\0").split("\0")
    return dict(pair.split("=", 1) for pair in pairs)


def test_the_environment_is_what_is_allowed_and_nothing_else(
    confined: World, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    for name in (
        "API_KEY",
        "OTHER_KEY",
        "SSH_AUTH_SOCK",
        "GIT_DIR",
        "GIT_SSH",
        "ESAA_X",
        "LC_TIME",
    ):
        monkeypatch.setenv(name, f"value of {name}")
    monkeypatch.delenv("ABSENT", raising=False)
    found = environment(
        confined.agent("env", "-0", env=["API_KEY", "ABSENT"]).answer(request(), no_pause)
    )
    home, tmp = Path(found.pop("HOME")), Path(found.pop("TMPDIR"))
    assert home.parent == tmp.parent
    assert home.parent.parent == temporary
    # Bubblewrap sets it to where the program starts.
    found.pop("PWD", None)
    assert found == {
        "PATH": os.environ["PATH"],
        "LANG": "de_DE.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "Europe/Berlin",
        "API_KEY": "value of API_KEY",
        "ESAA_TASK": "T-1000",
        "ESAA_ATTEMPT": "T-1000-A2",
        "ESAA_DEADLINE": "2026-01-31T09:01:40.000Z",
    }


def test_what_is_not_set_here_is_not_set_there(
    confined: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LANG", "LC_ALL", "TZ"):
        monkeypatch.delenv(name, raising=False)
    found = environment(confined.agent("env", "-0").answer(request(), no_pause))
    found.pop("PWD", None)
    assert found.keys() == {"PATH", "HOME", "TMPDIR", "ESAA_TASK", "ESAA_ATTEMPT", "ESAA_DEADLINE"}


def test_the_deadline_that_a_program_is_told_counts_its_timeout(world: World) -> None:
    found = environment(world.agent("env", "-0", timeout=60_000).answer(request(), no_pause))
    assert found["ESAA_DEADLINE"] == "2026-01-31T09:01:00.000Z"


@pytest.mark.parametrize(
    "name", ["SSH_AUTH_SOCK", "GIT_DIR", "GIT_CONFIG_COUNT", "HOME", "TMPDIR", "ESAA_KEY"]
)
def test_some_variables_cannot_be_asked_for(world: World, name: str) -> None:
    error = refused(world.agent("cat", env=["API_KEY", name]))
    assert error.message == f"agent 'coder': '{name}' cannot be passed on"
    assert error.hint == "remove it from 'env' in .roadmap/agents_swarm.yaml"


def test_relative_entries_of_path_do_not_reach_into_the_snapshot(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("bin/env", b"#!/bin/sh\necho hijacked\n", "100755")
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", f".:bin:{path}:")
    assert environment(world.agent("env", "-0").answer(request(), no_pause))["PATH"] == path
    monkeypatch.setenv("PATH", "bin:.")
    assert environment(world.agent("env", "-0").answer(request(), no_pause))["PATH"] == os.defpath


def test_home_and_tmp_are_empty_and_writable(confined: World) -> None:
    answer = confined.shell(
        'for place in "$HOME" "$TMPDIR"; do ls -A "$place"; echo x >"$place/x"; ls "$place"; done'
    )
    assert (answer.output, answer.failure) == (b"x\nx\n", None)


def test_a_program_has_three_descriptors_and_no_terminal(confined: World) -> None:
    mine = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(mine, True)
    try:
        answer = confined.python(
            """
import json, os
is_open = []
for number in range(256):
    try:
        os.fstat(number)
    except OSError:
        continue
    is_open.append(number)
try:
    os.close(os.open("/dev/tty", os.O_RDWR))
except OSError:
    print(json.dumps(is_open))
"""
        )
    finally:
        os.close(mine)
    assert json.loads(answer.output) == [0, 1, 2]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a program is looked for in /proc")
def test_a_program_is_in_a_session_of_its_own(confined: World) -> None:
    # Looked at from outside: a program in a namespace of its own cannot name its session. The
    # signal that ends it is one that does nothing to a program not yet waiting for it.
    source = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
print(signal.sigwait([signal.SIGWINCH]))
"""
    sessions = set()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(confined.python, source)
        while not answer.done():
            for pid in running_with(confined.trace):
                with suppress(ProcessLookupError):
                    sessions.add(os.getsid(pid))
                    os.kill(pid, signal.SIGWINCH)
            time.sleep(0.01)
    assert answer.result().failure is None
    assert sessions
    assert os.getsid(0) not in sessions


def test_a_program_leaves_no_core_dump_and_our_own_limit_stays(world: World) -> None:
    _, hard = before = resource.getrlimit(resource.RLIMIT_CORE)
    if hard == 0:
        pytest.skip("core dumps are off here for good")
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        answer = world.shell("ulimit -S -c")
        after = resource.getrlimit(resource.RLIMIT_CORE)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    assert answer.output == b"0\n"
    assert after == (hard, hard)


# -- the snapshot -----------------------------------------------------------------------------

LISTING = """
import json, os
found = {}
for folder, folders, files in os.walk("."):
    for name in folders + files:
        path = os.path.join(folder, name)
        kind = "link" if os.path.islink(path) else oct(os.lstat(path).st_mode)
        content = open(path).read() if name in files else None
        found[os.path.normpath(path)] = [kind, content]
print(json.dumps([os.path.basename(os.getcwd()), oct(os.stat(".").st_mode), found]))
"""


def test_the_snapshot_is_the_files_that_the_globs_allow(confined: World) -> None:
    world = confined
    world.add("src/deep/code.py", b"print()\n")
    world.add("src/tool", b"#!/bin/sh\n", "100755")
    world.add("src/secret.key", b"secret")
    world.add("docs/guide.md", b"guide")
    world.files["src/link.py"] = NotAFile("a symlink")
    world.files["src/module"] = NotAFile("a submodule")
    agent = world.agent(*PYTHON, LISTING)
    answer = agent.answer(request(read=("README.md", "src/**/*.py", "src/t*")), no_pause)
    name, mode, found = json.loads(answer.output)
    assert (name, mode) == ("snapshot", "0o40555")
    assert found == {
        "README.md": ["0o100444", "# Example\n"],
        "src": ["0o40555", None],
        "src/deep": ["0o40555", None],
        "src/deep/code.py": ["0o100444", "print()\n"],
        "src/tool": ["0o100555", "#!/bin/sh\n"],
    }
    nothing = json.loads(agent.answer(request(read=()), no_pause).output)
    assert nothing == ["snapshot", "0o40555", {}]


def test_the_snapshot_holds_the_changes_that_a_reviewer_looks_at(world: World) -> None:
    world.add("old.py", b"old")
    changes = {
        "README.md": FileEntry("100644", world.blobs.write(b"# Changed\n")),
        "new.sh": FileEntry("100755", world.blobs.write(b"new")),
        "old.py": None,
        "hidden.txt": FileEntry("100644", world.blobs.write(b"hidden")),
    }
    asked = replace(request(read=("README.md", "*.py", "*.sh")), changes=changes)
    answer = world.agent(*PYTHON, LISTING).answer(asked, no_pause)
    assert json.loads(answer.output)[2] == {
        "README.md": ["0o100444", "# Changed\n"],
        "new.sh": ["0o100555", "new"],
    }


def test_writing_to_the_snapshot_changes_nothing_that_lasts(world: World, tmp_path: Path) -> None:
    assert world.root is not None
    (world.root / "README.md").write_bytes(b"# Checkout\n")
    attack = """
import sys
for path in ("README.md", "new"):
    try:
        with open(path, "w") as file:
            file.write("owned")
    except PermissionError:
        print("denied", end=" ")
    else:
        print("written", end=" ")
"""
    answer = world.python(attack)
    # A mode does not bind root, who is only kept from reaching anything that lasts.
    assert answer.output == (b"denied denied " if modes_bind(tmp_path) else b"written written ")
    assert (world.root / "README.md").read_bytes() == b"# Checkout\n"
    assert list(world.blobs.contents.values()) == [b"# Example\n"]
    _, _, found = json.loads(world.agent(*PYTHON, LISTING).answer(request(), no_pause).output)
    assert found == {"README.md": ["0o100444", "# Example\n"]}


def test_a_confined_program_cannot_write_to_its_snapshot_whoever_it_is(
    confined: World, tmp_path: Path
) -> None:
    answer = confined.shell(
        'echo own >"$HOME/x"; cat "$HOME/x"; echo x >README.md; echo x >new; ls'
    )
    bound = confined.sandbox != "none" or modes_bind(tmp_path)
    assert answer.output == (b"own\nREADME.md\n" if bound else b"own\nREADME.md\nnew\n")


def test_the_directory_goes_whatever_a_program_leaves_there(world: World, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"precious")
    answer = world.shell(
        f"""
        pwd
        mkdir -p "$HOME/a/b" "$TMPDIR/c"
        echo x >"$HOME/a/b/x"
        ln -s '{outside}' "$HOME/a/outside"
        ln -s '{outside}' "$TMPDIR/outside"
        chmod 000 "$HOME/a/b" "$HOME/a" "$TMPDIR/c" "$HOME"
        """
    )
    assert answer.failure is None
    assert not Path(answer.output.decode().strip()).parent.exists()
    assert (outside / "file").read_bytes() == b"precious"


# -- finding the program ----------------------------------------------------------------------


def refused(agent: CommandAgent) -> AgentError:
    """Both ways to find out say the same."""
    with pytest.raises(AgentError) as caught:
        agent.ready()
    with pytest.raises(AgentError) as again:
        agent.answer(request(), no_pause)
    assert str(again.value) == str(caught.value)
    return caught.value


def script(path: Path, first_line: str = "#!/bin/sh", mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{first_line}\necho "$0" "$@"\n', encoding="utf-8")
    path.chmod(mode)
    return path


def test_a_relative_program_is_one_of_the_checkout_and_not_of_the_snapshot(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.root is not None
    world.add("tools/agent", b"#!/bin/sh\necho hijacked\n", "100755")
    expected = f"{script(world.root / 'tools/agent')} --fast a b\n".encode()
    monkeypatch.chdir(tmp_path)
    answer = world.agent("tools/agent", "--fast", "a b").answer(request(), no_pause)
    assert answer.output == expected
    world.root = Path("checkout")
    assert (
        world.agent("./tools/agent", "--fast", "a b").answer(request(), no_pause).output == expected
    )


def test_an_absolute_program_needs_no_checkout(world: World, tmp_path: Path) -> None:
    world.root = None
    path = script(tmp_path / "elsewhere/agent")
    assert world.agent(str(path)).answer(request(), no_pause).output == f"{path}\n".encode()


def test_a_relative_program_needs_a_checkout(world: World) -> None:
    world.root = None
    error = refused(world.agent("./agent"))
    assert error.message == "agent 'coder': no checkout to look for program './agent' in"


def test_a_plain_name_is_found_on_path(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script(tmp_path / "bin/agent-of-mine")
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    assert world.agent("agent-of-mine").answer(request(), no_pause).output == f"{path}\n".encode()


@pytest.mark.parametrize("name", ["no-such-agent", ""])
def test_a_name_that_is_not_on_path_is_refused(world: World, name: str) -> None:
    error = refused(world.agent(name))
    assert error.message == f"agent 'coder': no program '{name}'"
    assert error.cause == "none of that name is on PATH"
    assert error.hint is not None
    assert "agents_swarm.yaml" in error.hint


def test_a_missing_program_is_refused(world: World) -> None:
    error = refused(world.agent("tools/agent"))
    assert error.message == "agent 'coder': no program 'tools/agent'"
    assert error.cause == f"looked for '{world.root}/tools/agent'"


def test_a_folder_is_no_program(world: World) -> None:
    assert "no program './.'" in refused(world.agent("./.")).message


def test_a_program_that_is_not_executable_is_refused_with_the_cure(world: World) -> None:
    assert world.root is not None
    path = script(world.root / "agent", mode=0o644)
    agent = world.agent("./agent")
    error = refused(agent)
    assert error.message == "agent 'coder': program './agent' is not executable"
    assert error.hint == f"run 'chmod +x {path}'"
    path.chmod(0o755)
    agent.ready()


@pytest.mark.parametrize("first_line", ["#!/no/such/interpreter", "no first line"])
def test_a_program_that_the_system_does_not_start_spends_no_attempt(
    world: World, first_line: str
) -> None:
    assert world.root is not None
    script(world.root / "agent", first_line)
    with pytest.raises(AgentError, match=r"agent 'coder': '\./agent' cannot be started") as caught:
        world.agent("./agent").answer(request(), no_pause)
    assert caught.value.cause in ("No such file or directory", "Exec format error")
