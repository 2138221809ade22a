"""A hostile program, confined at both levels, tries to get out: nothing outside moves.

Every test lets the program do something it may, and proves that it did, before it tries what it may
not; so a program that could not run at all does not pass for one that was stopped.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from esaa_git.errors import AgentError
from esaa_git.sandbox.confinement import Limits, Outcome, Rules, choose, run
from esaa_git.sandbox.processes import STDERR_BYTES
from esaa_git.sandbox.readpaths import asked
from tests.conftest import Git
from tests.support.patience import patience

MEBIBYTE = 1 << 20
FEW = Limits(processes=200)
PATH = "/usr/local/bin:/usr/bin:/bin"
PYTHON = tuple(asked(sys.executable, PATH))
"""Where this interpreter is installed: whoever names it by its path has been asked for that."""


PRELUDE = """
import ctypes, errno, json, os, signal, socket, subprocess, sys, time
said = {}
def attempt(name, action):
    try:
        said[name] = action()
    except OSError as error:
        said[name] = errno.errorcode.get(error.errno, str(error))
def tell():
    print(json.dumps(said), flush=True)
def attempted(path, text="written"):
    with open(path, "w") as file:
        file.write(text)
    return "done"
def looked(path):
    with open(path, "rb") as file:
        return file.read(200).decode("utf-8", "replace")
def connected(family, address):
    with socket.socket(family) as stream:
        stream.settimeout(5)
        stream.connect(address)
        return stream.recv(5).decode()
"""


class Arena:
    """A program's checkout, HOME and TMPDIR, and beside them what it must not touch."""

    def __init__(self, level: str, folder: Path) -> None:
        self.level = level
        self.outside = folder / "outside"
        self.checkout = folder / "place/checkout"
        self.home = folder / "place/home"
        self.tmp = folder / "place/tmp"
        for part in (self.outside, self.checkout, self.home, self.tmp):
            part.mkdir(parents=True)
        self.precious = self.outside / "precious"
        self.precious.write_bytes(b"precious")
        self.trace = self.tmp / "trace"

    def run(
        self,
        source: str,
        *arguments: object,
        hosts: tuple[str, ...] = (),
        read: tuple[Path, ...] = (),
        limits: Limits = FEW,
        seconds: float = 60,
        env: dict[str, str] | None = None,
        pause: Callable[[], None] = lambda: None,
    ) -> Outcome:
        """Run a Python program with these arguments."""
        return run(
            self.level,
            [sys.executable, "-IS", "-c", PRELUDE + source, *map(str, arguments)],
            rules=Rules((*PYTHON, *read), (self.checkout, self.home, self.tmp), hosts, limits),
            cwd=self.checkout,
            env={
                "PATH": PATH,
                "HOME": str(self.home),
                "TMPDIR": str(self.tmp),
                **(env or {}),
            },
            body=b"",
            max_output_bytes=MEBIBYTE,
            until=time.monotonic() + seconds,
            pause=pause,
        )

    def said(self, source: str, *arguments: object, **options: Any) -> dict[str, Any]:
        """Return what a program told of its attempts, and see that it came to its end."""
        outcome = self.run(source + "\ntell()", *arguments, **options)
        assert outcome.status == 0, outcome
        said: dict[str, Any] = json.loads(outcome.output)
        return said

    def pids(self) -> list[int]:
        """The process ids in the program's trace; with bubblewrap they are those of its own."""
        return [int(word) for word in self.trace.read_text(encoding="ascii").split()]

    def is_untouched(self) -> bool:
        return self.precious.read_bytes() == b"precious" and [
            path.name for path in self.outside.iterdir()
        ] == ["precious"]


@pytest.fixture(params=["landlock-pid", "bubblewrap"])
def arena(request: pytest.FixtureRequest, tmp_path: Path) -> Arena:
    return _arena(request.param, tmp_path)


@pytest.fixture(params=["landlock-pid", "landlock", "bubblewrap"])
def every_arena(request: pytest.FixtureRequest, tmp_path: Path) -> Arena:
    """Also where the kernel gives no namespaces: the list of calls stands there alone."""
    return _arena(request.param, tmp_path)


def _arena(wanted: str, folder: Path) -> Arena:
    try:
        choose(wanted)
    except AgentError as error:
        pytest.skip(f"{error.message}: {error.cause}")
    return Arena(wanted, folder)


def refused(answer: object) -> bool:
    """What may not be touched is forbidden, or is not there at all."""
    return answer in ("EACCES", "EPERM", "ENOENT", "EXDEV", "EROFS", "ESRCH", "ECONNREFUSED")


def marked(mark: str) -> list[int]:
    """The processes with this word among their arguments, as seen from outside."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if mark.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def assert_gone(mark: str) -> None:
    waited_until = time.monotonic() + patience(20)
    while marked(mark):
        assert time.monotonic() < waited_until, f"still alive: {marked(mark)}"
        time.sleep(0.01)


# -- files ------------------------------------------------------------------------------------


def test_it_writes_its_checkout_home_and_tmp_and_nothing_else(arena: Arena) -> None:
    said = arena.said(
        """
outside = sys.argv[1]
for name in ("HOME", "TMPDIR"):
    attempt(name, lambda: attempted(os.environ[name] + "/mine"))
attempt("checkout", lambda: attempted("mine"))
attempt("absolute", lambda: attempted(outside + "/precious"))
attempt("new", lambda: attempted(outside + "/new"))
attempt("dots", lambda: attempted("../../outside/precious"))
attempt("append", lambda: os.close(os.open(outside + "/precious", os.O_WRONLY | os.O_APPEND)))
attempt("truncate", lambda: os.truncate(outside + "/precious", 0))
attempt("remove", lambda: os.unlink(outside + "/precious"))
attempt("rename", lambda: os.rename(outside + "/precious", "stolen"))
attempt("replace", lambda: os.rename("mine", outside + "/precious"))
attempt("folder", lambda: os.mkdir(outside + "/folder"))
attempt("system", lambda: attempted("/usr/bin/agent-was-here"))
attempt("device", lambda: attempted("/dev/null"))
""",
        arena.outside,
    )
    assert [said.pop(name) for name in ("HOME", "TMPDIR", "checkout", "device")] == ["done"] * 4
    assert (arena.home / "mine").read_bytes() == b"written"
    assert [name for name, answer in said.items() if not refused(answer)] == []
    assert arena.is_untouched()


def test_a_symlink_leads_nowhere_planted_before_or_inside(arena: Arena) -> None:
    (arena.checkout / "before").symlink_to(arena.precious)
    (arena.checkout / "folder").symlink_to(arena.outside)
    (arena.checkout / "real").write_bytes(b"own")
    said = arena.said(
        """
outside = sys.argv[1]
os.symlink("real", "own")
attempt("own", lambda: attempted("own"))
os.symlink(outside + "/precious", "inside")
os.symlink("/proc/self/root" + outside + "/precious", "roundabout")
for name in ("before", "folder/precious", "folder/new", "inside", "roundabout"):
    attempt("write " + name, lambda: attempted(name))
    attempt("read " + name, lambda: looked(name))
""",
        arena.outside,
    )
    assert said.pop("own") == "done"
    assert (arena.checkout / "real").read_bytes() == b"written"
    assert [name for name, answer in said.items() if not refused(answer)] == []
    assert arena.is_untouched()


def test_a_hard_link_cannot_bring_a_file_in(arena: Arena) -> None:
    said = arena.said(
        """
attempted("mine")
attempt("own", lambda: os.link("mine", "also mine"))
attempt("theirs", lambda: os.link(sys.argv[1], "also theirs"))
attempt("out", lambda: os.link("mine", os.path.dirname(sys.argv[1]) + "/new"))
""",
        arena.precious,
    )
    assert said.pop("own") is None
    assert [name for name, answer in said.items() if not refused(answer)] == []
    assert arena.is_untouched()


def test_keys_credentials_and_other_repositories_cannot_be_read(
    arena: Arena, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "person"
    secrets = [
        home / ".config/git-esaa/signing_key",
        home / ".ssh/id_ed25519",
        home / ".aws/credentials",
        home / ".netrc",
        home / "project/.git/config",
        home / "project/.env",
    ]
    for path in secrets:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"secret")
    readable = home / "cache/model.bin"
    readable.parent.mkdir()
    readable.write_bytes(b"public")
    monkeypatch.setenv("HOME", str(home))
    said = arena.said(
        """
attempt("named", lambda: looked(sys.argv[1]))
attempt("system", lambda: looked("/etc/passwd"))
attempt("shadow", lambda: looked("/etc/shadow"))
attempt("home", lambda: os.listdir(sys.argv[2]))
for path in sys.argv[3:]:
    attempt(path, lambda: looked(path))
""",
        readable,
        home,
        *secrets,
        read=(readable.parent,),
    )
    assert said.pop("named") == "public"
    assert "root" in said.pop("system")
    # An empty home would be one that shows what was made readable, and nothing else.
    assert said.pop("home") in ("EACCES", ["cache"])
    assert [name for name, answer in said.items() if not refused(answer)] == []


def test_the_log_s_ref_stays_and_neither_a_hook_nor_a_setting_is_planted(
    arena: Arena, tmp_path: Path, git: Git
) -> None:
    operator = tmp_path / "operator"
    for folder in (operator, arena.checkout):
        folder.mkdir(exist_ok=True)
        git(folder, "init", "--quiet")
        git(folder, "commit", "--quiet", "--allow-empty", "-m", "first")
        git(folder, "update-ref", "refs/esaa/events", "HEAD")
        git(folder, "commit", "--quiet", "--allow-empty", "-m", "second")
    before = git(operator, "rev-parse", "refs/esaa/events")
    listing = sorted(path.relative_to(operator) for path in operator.rglob("*"))
    settings = (operator / ".git/config").read_bytes()
    said = arena.said(
        """
def git(*arguments):
    done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    return done.returncode
theirs = sys.argv[1]
attempt("own", lambda: git("update-ref", "refs/esaa/events", "HEAD"))
attempt("ref", lambda: git("-C", theirs, "update-ref", "refs/esaa/events", "HEAD"))
attempt("git-dir", lambda: git("--git-dir", theirs + "/.git", "update-ref", "-d",
                               "refs/esaa/events"))
attempt("config", lambda: git("--git-dir", theirs + "/.git", "config", "core.fsmonitor", "evil"))
attempt("hooksPath", lambda: git("-C", theirs, "config", "core.hooksPath", "/tmp"))
attempt("hook", lambda: attempted(theirs + "/.git/hooks/post-checkout"))
attempt("loose", lambda: attempted(theirs + "/.git/refs/esaa/events"))
""",
        operator,
        env={"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"},
    )
    assert said.pop("own") == 0
    assert git(arena.checkout, "log", "-1", "--format=%s", "refs/esaa/events") == "second"
    assert all(answer not in (0, "done") for answer in said.values()), said
    assert git(operator, "rev-parse", "refs/esaa/events") == before
    assert (operator / ".git/config").read_bytes() == settings
    assert sorted(path.relative_to(operator) for path in operator.rglob("*")) == listing


def test_what_may_be_read_cannot_be_written(arena: Arena) -> None:
    said = arena.said(
        """
attempt("read", lambda: looked(sys.argv[1]))
attempt("write", lambda: attempted(sys.argv[1]))
attempt("mine", lambda: attempted("mine"))
""",
        arena.precious,
        read=(arena.outside,),
    )
    assert said.pop("read") == "precious"
    assert said.pop("mine") == "done"
    assert refused(said.pop("write"))
    assert arena.is_untouched()


def may_make_namespaces() -> bool:
    return subprocess.run(["unshare", "--user", "--mount", "true"], check=False).returncode == 0


def test_modes_times_and_attributes_outside_stay_as_they_are(arena: Arena) -> None:
    if arena.level == "landlock" and not may_make_namespaces():
        pytest.skip("Landlock alone does not ask, and this user may make no mount namespace")
    arena.precious.chmod(0o600)
    before = arena.precious.stat()
    said = arena.said(
        """
theirs = sys.argv[1]
attempted("mine")
attempt("own", lambda: os.chmod("mine", 0o755))
attempt("mode", lambda: os.chmod(theirs, 0o644))
attempt("folder", lambda: os.chmod(os.path.dirname(theirs), 0))
attempt("times", lambda: os.utime(theirs, (0, 0)))
attempt("attribute", lambda: os.setxattr(theirs, "user.note", b"x"))
attempt("readable", lambda: os.fchmod(os.open(sys.argv[2], os.O_RDONLY), 0o777))
""",
        arena.precious,
        arena.outside.parent / "readable",
        read=(readable(arena.outside.parent / "readable"),),
    )
    assert said.pop("own") is None
    assert [name for name, answer in said.items() if not refused(answer)] == []
    after = arena.precious.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def readable(path: Path) -> Path:
    path.write_bytes(b"public")
    return path


# -- sockets and the network ------------------------------------------------------------------


@contextmanager
def serving(stream: socket.socket) -> Iterator[None]:
    """Say hello to whoever connects."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = stream.accept()
                with connection, contextlib.suppress(OSError):
                    connection.sendall(b"hello")

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield
    finally:
        stream.shutdown(socket.SHUT_RDWR)
        stream.close()
        server.join()


@contextmanager
def loopback() -> Iterator[int]:
    stream = socket.create_server(("127.0.0.1", 0))
    with serving(stream):
        yield stream.getsockname()[1]


CONNECTIONS = """
port = int(sys.argv[1])
def began_with_data(protocol):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol) as stream:
        stream.sendto(b"x", socket.MSG_FASTOPEN, ("127.0.0.1", port))
        stream.settimeout(5)
        return stream.recv(5).decode()
def sent():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stream:
        stream.settimeout(1)
        stream.sendto(b"x", ("127.0.0.1", port))
        return stream.recv(5).decode()
def multipath():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as stream:
        stream.settimeout(5)
        stream.connect(("127.0.0.1", port))
        return stream.recv(5).decode()
attempt("tcp", lambda: connected(socket.AF_INET, ("127.0.0.1", port)))
attempt("mapped", lambda: connected(socket.AF_INET6, ("::ffff:127.0.0.1", port)))
attempt("data first", lambda: began_with_data(0))
attempt("multipath", multipath)
attempt("multipath, data first", lambda: began_with_data(262))
attempt("udp", sent)
attempt("vsock", lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close())
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close())
"""


def test_without_hosts_no_server_is_reached_by_any_protocol(arena: Arena) -> None:
    with loopback() as port:
        with socket.create_connection(("127.0.0.1", port), 5) as stream:
            assert stream.recv(5) == b"hello"
        said = arena.said(CONNECTIONS, port)
    assert "hello" not in said.values()
    # A socket that nothing can be reached through may be made, or not.
    assert {name: answer for name, answer in said.items() if answer is None} == {}


def test_only_a_host_that_is_listed_is_reached(arena: Arena) -> None:
    source = """
for name, host, port in (("address", "127.0.0.1", 1), ("name", "localhost", 2),
                         ("other", "127.0.0.1", 3), ("other name", "localhost", 3)):
    attempt(name, lambda: connected(socket.AF_INET, (host, int(sys.argv[port]))))
"""
    with loopback() as address, loopback() as name, loopback() as other:
        said = arena.said(
            source, address, name, other, hosts=(f"127.0.0.1:{address}", f"localhost:{name}")
        )
        assert said == {
            "address": "hello",
            "name": "hello",
            "other": "ECONNREFUSED",
            "other name": "ECONNREFUSED",
        }
        hidden = arena.said(CONNECTIONS, other, hosts=(f"127.0.0.1:{address}",))
    assert "hello" not in hidden.values()


def test_no_agent_of_keys_answers_nor_an_abstract_socket(every_arena: Arena) -> None:
    path = every_arena.outside.parent / "agent.sock"
    named, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    named.bind(str(path))
    abstract.bind(f"\0esaa-{os.getpid()}")
    for stream in (named, abstract):
        stream.listen()
    with serving(named), serving(abstract):
        said = every_arena.said(
            """
ours, theirs = socket.socketpair()
theirs.send(b"hello")
attempt("own", lambda: ours.recv(5).decode())
attempt("named", lambda: connected(socket.AF_UNIX, sys.argv[1]))
os.symlink(sys.argv[1], "link")
attempt("link", lambda: connected(socket.AF_UNIX, os.getcwd() + "/link"))
os.chdir("/")
attempt("relative", lambda: connected(socket.AF_UNIX, sys.argv[1][1:]))
attempt("abstract", lambda: connected(socket.AF_UNIX, chr(0) + sys.argv[2]))
attempt("variable", lambda: os.environ.get("SSH_AUTH_SOCK"))
""",
            path,
            f"esaa-{os.getpid()}",
        )
    assert said.pop("own") == "hello"
    assert said.pop("variable") is None
    assert [name for name, answer in said.items() if not refused(answer)] == []


# -- other processes --------------------------------------------------------------------------


def test_no_process_outside_is_read_traced_or_signalled(every_arena: Arena) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(300)"],
        env={"SECRET": "key"},
        stdout=subprocess.PIPE,
    ) as victim:
        assert victim.stdout is not None
        victim.stdout.readline()
        try:
            assert b"SECRET" in Path(f"/proc/{victim.pid}/environ").read_bytes()
            said = every_arena.said(
                """
libc = ctypes.CDLL(None, use_errno=True)
def traced(pid):
    if libc.ptrace(16, pid, 0, 0) == -1:
        raise OSError(ctypes.get_errno(), "ptrace")
    return "done"
child = subprocess.Popen(["sleep", "300"])
attempt("own signal", lambda: child.send_signal(signal.SIGKILL))
attempt("own end", child.wait)
attempt("own environment", lambda: looked("/proc/self/environ"))
for number in map(int, sys.argv[1:]):
    attempt(f"{number} signal", lambda: os.kill(number, signal.SIGTERM))
    attempt(f"{number} probe", lambda: os.kill(number, 0))
    attempt(f"{number} trace", lambda: traced(number))
    for name in ("environ", "mem", "maps", "root/etc/passwd", "fd/0"):
        attempt(f"{number} {name}", lambda: looked(f"/proc/{number}/{name}"))
os.chdir("/proc")
attempt("sideways", lambda: looked(f"{sys.argv[1]}/environ"))
""",
                victim.pid,
                os.getpid(),
            )
            assert victim.poll() is None
        finally:
            victim.kill()
    assert said.pop("own signal") is None
    assert said.pop("own end") == -9
    assert "TMPDIR" in said.pop("own environment")
    assert [name for name, answer in said.items() if not refused(answer)] == []


PROBE = """
libc = ctypes.CDLL(None, use_errno=True)
table = json.loads(sys.argv[1])
zeros = (ctypes.c_ulong * 64)()
class Pair(ctypes.Structure):
    _fields_ = [("soft", ctypes.c_ulong), ("hard", ctypes.c_ulong)]
one = Pair(1, 1)
def call(name, *arguments):
    ctypes.set_errno(0)
    if libc.syscall(table[name], *arguments) == -1:
        raise OSError(ctypes.get_errno(), name)
    return "done"
buffer, pointer = ctypes.create_string_buffer(4096), ctypes.pointer
for who in map(int, sys.argv[2:]):
    limit = pointer(one)
    attempt(f"{who} limit", lambda: call("prlimit64", who, 0, limit, None))
    attempt(f"{who} limit read", lambda: call("prlimit64", who, 7, None, buffer))
    attempt(f"{who} priority", lambda: call("setpriority", 0, who, 19))
    attempt(f"{who} priority of its group", lambda: call("setpriority", 1, who, 19))
    attempt(f"{who} input and output", lambda: call("ioprio_set", 1, who, 3 << 13))
    attempt(f"{who} processors", lambda: call("sched_setaffinity", who, 128, zeros))
    attempt(f"{who} scheduler", lambda: call("sched_setscheduler", who, 3, zeros))
    attempt(f"{who} pages", lambda: call("move_pages", who, 0, None, None, None, 0))
    attempt(f"{who} migration", lambda: call("migrate_pages", who, 64, zeros, zeros))
    attempt(f"{who} comparison", lambda: call("kcmp", os.getpid(), who, 0, 0, 0))
    attempt(f"{who} descriptor", lambda: call("pidfd_open", who, 0))
    attempt(f"{who} memory", lambda: call("process_vm_readv", who, zeros, 1, zeros, 1, 0))
    attempt(f"{who} memory written", lambda: call("process_vm_writev", who, zeros, 1, zeros, 1, 0))
    attempt(f"{who} trace", lambda: call("ptrace", 16, who, 0, 0))
    attempt(f"{who} counters", lambda: call("perf_event_open", zeros, who, -1, -1, 0))
    attempt(f"{who} robust list", lambda: call("get_robust_list", who, buffer, buffer))
    attempt(f"{who} queued signal", lambda: call("rt_sigqueueinfo", who, 10, zeros))
attempt("everybody's priority", lambda: call("setpriority", 2, 0, 19))
attempt("everybody's input", lambda: call("ioprio_set", 3, 0, 3 << 13))
for family in (17, 38, 40, 31, 29, 44, 16):
    attempt(f"family {family}", lambda: call("socket", family, 3, 4 if family == 16 else 0))
for name in ("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "swapon", "reboot",
             "bpf", "userfaultfd", "add_key", "keyctl", "request_key", "io_uring_setup",
             "open_by_handle_at", "fanotify_init", "init_module", "kexec_load", "quotactl",
             "syslog", "acct", "fsopen", "open_tree", "move_mount", "mount_setattr",
             "process_madvise", "pidfd_getfd", "iopl"):
    attempt(name, lambda: call(name, 0, 0, 0, 0, 0))
attempt("new namespaces by clone", lambda: call("clone", 0x10000000 | 17, 0, 0, 0, 0))
attempt("new namespaces by clone3", lambda: call("clone3", zeros, 88))
attempt("typing on a terminal", lambda: call("ioctl", 0, 0x5412, buffer))
attempt("a call of tomorrow", lambda: call("tomorrow"))
"""

ITS_OWN = """
import resource, threading
attempt("own limit", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
attempt("own priority", lambda: os.nice(1))
attempt("own processors", lambda: len(os.sched_getaffinity(0)) > 0)
attempt("own threads", lambda: [thread.start() or thread.join() for thread in
                                [threading.Thread(target=lambda: None)]] and "done")
attempt("own process", lambda: subprocess.run(["true"]).returncode)
attempt("own sockets", lambda: len(socket.socketpair()))
attempt("own interfaces", lambda: len(socket.if_nameindex()) >= 0)
attempt("own memory", lambda: os.memfd_create("x") > 0)
attempt("own time", lambda: time.clock_gettime(time.CLOCK_MONOTONIC) > 0)
"""


def calls() -> dict[str, int]:
    """The numbers of the calls of the probe, on this machine."""
    names = {
        "x86_64": "clone:56 ptrace:101 syslog:103 setpriority:141 sched_setscheduler:144 "
        "pivot_root:155 chroot:161 acct:163 mount:165 umount2:166 swapon:167 reboot:169 iopl:172 "
        "init_module:175 quotactl:179 ioctl:16 socket:41 kill:62 rt_sigqueueinfo:129 "
        "sched_setaffinity:203 kexec_load:246 add_key:248 request_key:249 keyctl:250 "
        "ioprio_set:251 migrate_pages:256 unshare:272 get_robust_list:274 move_pages:279 "
        "perf_event_open:298 fanotify_init:300 prlimit64:302 open_by_handle_at:304 setns:308 "
        "process_vm_readv:310 process_vm_writev:311 kcmp:312 bpf:321 userfaultfd:323 "
        "io_uring_setup:425 open_tree:428 move_mount:429 fsopen:430 pidfd_open:434 clone3:435 "
        "pidfd_getfd:438 process_madvise:440 mount_setattr:442 tomorrow:9999",
        "aarch64": "clone:220 ptrace:117 syslog:116 setpriority:140 sched_setscheduler:119 "
        "pivot_root:41 chroot:51 acct:89 mount:40 umount2:39 swapon:224 reboot:142 iopl:9998 "
        "init_module:105 quotactl:60 ioctl:29 socket:198 kill:129 rt_sigqueueinfo:138 "
        "sched_setaffinity:122 kexec_load:104 add_key:217 request_key:218 keyctl:219 "
        "ioprio_set:30 migrate_pages:238 unshare:97 get_robust_list:100 move_pages:239 "
        "perf_event_open:241 fanotify_init:262 prlimit64:261 open_by_handle_at:265 setns:268 "
        "process_vm_readv:270 process_vm_writev:271 kcmp:272 bpf:280 userfaultfd:282 "
        "io_uring_setup:425 open_tree:428 move_mount:429 fsopen:430 pidfd_open:434 clone3:435 "
        "pidfd_getfd:438 process_madvise:440 mount_setattr:442 tomorrow:9999",
    }
    table = {}
    for word in names[os.uname().machine].split():
        name, number = word.split(":")
        table[name] = int(number)
    return table


def test_no_call_reaches_another_process_or_out_of_the_list(every_arena: Arena) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]) as victim:
        try:
            before = [resource.prlimit(victim.pid, which) for which in (0, 7)]
            priority = os.getpriority(os.PRIO_PROCESS, victim.pid)
            own = every_arena.said(ITS_OWN)
            said = every_arena.said(PROBE, json.dumps(calls()), victim.pid, os.getpid())
            assert victim.poll() is None
            assert [resource.prlimit(victim.pid, which) for which in (0, 7)] == before
            assert os.getpriority(os.PRIO_PROCESS, victim.pid) == priority
            assert os.sched_getaffinity(victim.pid) == os.sched_getaffinity(0)
        finally:
            victim.kill()
    assert own == {
        "own limit": None,
        "own priority": 1,
        "own processors": True,
        "own threads": "done",
        "own process": 0,
        "own sockets": 2,
        "own interfaces": True,
        "own memory": True,
        "own time": True,
    }
    assert [name for name, answer in said.items() if not kept_from(answer)] == []
    assert said["a call of tomorrow"] == "ENOSYS"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x32 is a way of calling x86-64 alone")
def test_calls_of_another_architecture_end_the_program_or_are_refused(every_arena: Arena) -> None:
    source = "libc = ctypes.CDLL(None); print(libc.syscall(0x40000000 + 39), flush=True)"
    outcome = every_arena.run(source)
    assert outcome.status == -signal.SIGSYS or outcome.output == b"-1\n"


def kept_from(answer: object) -> bool:
    """The call is refused, does not exist here, or finds no such process."""
    return answer in ("EPERM", "EACCES", "ENOSYS", "ESRCH", "EAFNOSUPPORT")


def test_its_warden_is_out_of_reach(every_arena: Arena) -> None:
    """What started it, by whatever number it has for the program."""
    said = every_arena.said(
        PROBE.replace("map(int, sys.argv[2:])", "(os.getppid(),)"), json.dumps(calls())
    )
    assert [name for name, answer in said.items() if not kept_from(answer)] == [], said


def test_nothing_outside_is_watched(every_arena: Arena) -> None:
    said = every_arena.said(
        """
libc = ctypes.CDLL(None, use_errno=True)
def watched(path):
    watch = libc.inotify_init1(0)
    if watch == -1 or libc.inotify_add_watch(watch, path.encode(), 0xFFF) == -1:
        raise OSError(ctypes.get_errno(), "inotify")
    return "done"
attempt("folder", lambda: watched(sys.argv[1]))
attempt("home", lambda: watched(sys.argv[2]))
""",
        every_arena.outside,
        Path.home(),
    )
    assert [name for name, answer in said.items() if not refused(answer)] == []


DAEMON = """
mark, trace = sys.argv[1:]
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(3):
            os.close(number)
        os.execv(sys.executable, [sys.executable, "-c", '''
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open(sys.argv[2], "w") as file:
    print(os.getpid(), file=file)
while True:
    time.sleep(0.05)
''', mark, trace])
    os._exit(0)
os.wait()
while not (os.path.exists(trace) and open(trace).read().endswith("\\n")):
    time.sleep(0.01)
attempt("daemon", lambda: os.kill(int(open(trace).read()), 0))
"""


def test_a_daemon_ends_with_the_program(every_arena: Arena) -> None:
    mark = f"daemon-of-{os.getpid()}-{every_arena.level}"
    said = every_arena.said(DAEMON, mark, every_arena.trace)
    assert said == {"daemon": None}
    assert_gone(mark)


@pytest.mark.parametrize("end", ["deadline", "pause"])
def test_a_daemon_ends_at_the_deadline_and_when_the_run_is_interrupted(
    arena: Arena, end: str
) -> None:
    class Stopped(Exception):
        pass

    mark = f"daemon-of-{os.getpid()}-{arena.level}-{end}"
    seen: list[int] = []

    def pause() -> None:
        if arena.trace.exists() and arena.trace.read_text().endswith("\n"):
            seen.extend(marked(mark))
            if end == "pause" and seen:
                raise Stopped

    def stay() -> Outcome:
        return arena.run(
            DAEMON + "\ntime.sleep(300)",
            mark,
            arena.trace,
            seconds=3 if end == "deadline" else 60,
            pause=pause,
        )

    if end == "pause":
        with pytest.raises(Stopped):
            stay()
    else:
        assert stay().timed_out
    assert seen
    assert marked(mark) == []


def test_everything_ends_when_the_orchestrator_is_killed(arena: Arena) -> None:
    mark = f"orphan-of-{os.getpid()}-{arena.level}"
    source = f"""
import sys, time
from pathlib import Path
from esaa_git.sandbox.confinement import Limits, Rules, run
place = Path({str(arena.tmp)!r})
run({arena.level!r}, [{sys.executable!r}, "-IS", "-c", {PRELUDE + DAEMON!r} + "time.sleep(300)",
     {mark!r}, {str(arena.trace)!r}],
    rules=Rules([*map(Path, {[str(one) for one in PYTHON]!r})], (place,), (), Limits(processes=50)),
    cwd=place, env={{"PATH": {PATH!r}}},
    body=b"", max_output_bytes=1000, until=time.monotonic() + 300, pause=lambda: None)
"""
    with subprocess.Popen([sys.executable, "-c", source]) as orchestrator:
        waited_until = time.monotonic() + patience(60)
        while not (arena.trace.exists() and marked(mark)):
            assert time.monotonic() < waited_until, "the program did not start"
            time.sleep(0.01)
        orchestrator.kill()
    assert_gone(mark)


# -- limits -----------------------------------------------------------------------------------


def test_one_large_file_stops_at_the_limit_of_the_disk(arena: Arena) -> None:
    said = arena.said(
        """
attempt("small", lambda: attempted("small", "x" * 1000))
def large():
    with open("large", "wb", buffering=0) as file:
        while file.write(b"x" * (1 << 20)):
            pass
attempt("large", large)
""",
        limits=Limits(processes=50, disk_bytes=8 * MEBIBYTE),
    )
    assert said == {"small": "done", "large": errno.errorcode[errno.EFBIG]}
    assert (arena.checkout / "large").stat().st_size == 8 * MEBIBYTE


@pytest.mark.parametrize("hidden", [False, True])
def test_many_files_end_the_program_also_those_that_have_no_name(
    arena: Arena, hidden: bool
) -> None:
    source = """
attempt("small", lambda: attempted("small"))
tell()
kept = []
for number in range(4000):
    kept.append(open(f"file-{number}", "wb"))
    kept[-1].write(b"x" * (1 << 20))
    kept[-1].flush()
    if sys.argv[1] == "True":
        os.unlink(f"file-{number}")
    else:
        kept.pop().close()
    time.sleep(0.001)
"""
    outcome = arena.run(source, hidden, limits=Limits(processes=50, disk_bytes=32 * MEBIBYTE))
    assert json.loads(outcome.output) == {"small": "done"}
    assert outcome.exceeded == "disk_bytes"
    assert outcome.status != 0


def test_a_flood_of_output_is_cut_off(arena: Arena) -> None:
    mark = f"flood-of-{os.getpid()}-{arena.level}"
    outcome = arena.run(
        """
while True:
    os.write(1, b"x" * 50_000)
    os.write(2, b"y" * 50_000)
""",
        mark,
    )
    assert (len(outcome.output), outcome.truncated) == (MEBIBYTE + 1, True)
    assert len(outcome.stderr) == STDERR_BYTES
    assert b"y" * 1000 in outcome.stderr
    assert marked(mark) == []


@pytest.mark.parametrize("call", ["libc", "fork(2)"])
def test_a_fork_bomb_stays_within_the_limit_of_processes(arena: Arena, call: str) -> None:
    mark = f"bomb-of-{os.getpid()}-{arena.level}"
    most = 0

    def count() -> None:
        nonlocal most
        most = max(most, len(marked(mark)))

    outcome = arena.run(
        """
attempt("one", lambda: subprocess.run(["true"]).returncode)
tell()
libc = ctypes.CDLL(None)
fork = os.fork if sys.argv[2] == "libc" else lambda: libc.syscall(57)
while True:
    try:
        if fork() < 0:
            time.sleep(0.01)
    except OSError:
        time.sleep(0.01)
""",
        mark,
        call,
        limits=Limits(processes=40),
        seconds=3,
        pause=count,
    )
    assert json.loads(outcome.output.splitlines()[0]) == {"one": 0}
    assert outcome.timed_out or outcome.exceeded == "processes"
    assert most > 1
    if call == "libc" and arena.level == "landlock":
        assert most <= 40
    assert marked(mark) == []


def test_processes_that_ended_do_not_count(arena: Arena) -> None:
    said = arena.said(
        """
def many():
    for number in range(300):
        if os.fork() == 0:
            os._exit(0)
        os.wait()
    return "done"
attempt("many", many)
""",
        limits=Limits(processes=20),
    )
    assert said == {"many": "done"}


@pytest.mark.parametrize("shared", [False, True])
def test_a_memory_hog_is_stopped_at_the_limit(arena: Arena, shared: bool) -> None:
    outcome = arena.run(
        """
import mmap
attempt("little", lambda: len(bytearray(1 << 20)))
tell()
kept = []
while True:
    if sys.argv[1] == "True":
        room = mmap.mmap(-1, 8 << 20)
        for place in range(0, 8 << 20, 4096):
            room[place] = 1
        kept.append(room)
    else:
        kept.append(bytearray(8 << 20))
    time.sleep(0.001)
""",
        shared,
        limits=Limits(processes=50, memory_bytes=200 * MEBIBYTE),
    )
    assert json.loads(outcome.output) == {"little": MEBIBYTE}
    assert outcome.status != 0
    assert not outcome.timed_out
    if shared:
        assert outcome.exceeded == "memory_bytes"
    else:
        assert outcome.exceeded == "memory_bytes" or b"MemoryError" in outcome.stderr
