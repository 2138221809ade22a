"""Real servers on loopback, each with a folder of repositories.

Every one is started under timeout(1), so that it ends by itself whatever becomes of the tests,
and is ended by its process id.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest

from tests.conftest import Git
from tests.support.patience import patience
from tests.support.team import Team, build, hook_environment
from tests.support.warm import CHECKOUT, cold

LIFETIME_SECONDS = patience(110)
"""Longer than the tests of one server take."""


@dataclass(frozen=True)
class Server:
    """A server that is up: where its repositories lie, and how a client names them."""

    name: str
    root: Path
    url: str
    client: Mapping[str, str] = field(default_factory=dict)
    takes_pushes: bool = True


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Iterator[Team]:
    with pytest.MonkeyPatch.context() as patch:
        hook_environment(patch)
        yield build(tmp_path_factory.mktemp("team"), git)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from _run(_web, tmp_path_factory)


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from _run(_ssh, tmp_path_factory)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from _run(_daemon, tmp_path_factory)


def _run(
    start: Callable[[Path, ExitStack], Server], factory: pytest.TempPathFactory
) -> Iterator[Server]:
    # Not below pytest's own folder: the paths of sockets must stay short.
    with ExitStack() as stack:
        yield start(factory.mktemp("server"), stack)


@contextmanager
def _started(command: Sequence[str], log: Path, ready: Callable[[], bool]) -> Iterator[None]:
    """Run a program until the block ends, and fail with what it said where it does not start."""
    with log.open("wb") as said:
        program = subprocess.Popen(
            ["timeout", str(LIFETIME_SECONDS), *command],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": CHECKOUT},
        )
    try:
        until = time.monotonic() + patience(20)
        while not ready():
            if program.poll() is not None or time.monotonic() > until:
                pytest.fail(f"{command[0]} did not start: {log.read_text(errors='replace')}")
            time.sleep(0.02)
        yield
    finally:
        program.terminate()
        try:
            program.wait(10)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()


def _program(*names: str, package: str) -> list[str]:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = [shutil.which(name, path=path) for name in names]
    if None in found:
        pytest.skip(f"{' or '.join(names)} is not installed (Debian: {package})")
    return [str(program) for program in found]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


# -- git http-backend behind nginx ---------------------------------------------------------------

NGINX = """\
daemon off;
master_process off;
{user}
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location ~ ^/[^/]+\\.git/ {{
            fastcgi_pass unix:{socket};
            fastcgi_param SCRIPT_FILENAME {backend};
            fastcgi_param GIT_PROJECT_ROOT {root};
            fastcgi_param GIT_HTTP_EXPORT_ALL "";
            fastcgi_param PATH_INFO $uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
            fastcgi_param HTTP_GIT_PROTOCOL $http_git_protocol;
            fastcgi_param REMOTE_ADDR $remote_addr;
            fastcgi_param REMOTE_USER alice;
            {variables}
        }}
    }}
}}
"""


def socket_of(folder: Path) -> Path:
    """Return where a server's socket is: its path has 107 bytes at most, and is its own."""
    return Path(os.environ["HOME"]) / f"fcgi-{sha256(str(folder).encode()).hexdigest()[:12]}"


def _web(folder: Path, stack: ExitStack, variables: Mapping[str, str] | None = None) -> Server:
    """Start one whose hooks have these variables: by default those with which they start cold."""
    nginx, fcgiwrap = _program("nginx", "fcgiwrap", package="nginx-light, fcgiwrap")
    exec_path = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True)
    backend = Path(exec_path.stdout.strip()) / "git-http-backend"
    if not backend.exists():
        pytest.skip("git http-backend is not installed")
    root = folder / "repositories"
    root.mkdir()
    place = socket_of(folder)
    wrap = [fcgiwrap, "-s", f"unix:{place}"]
    stack.enter_context(_started(wrap, folder / "fcgiwrap.log", place.is_socket))
    port = _free_port()
    config = folder / "nginx.conf"
    config.write_text(
        NGINX.format(
            user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
            folder=folder,
            port=port,
            socket=place,
            backend=backend,
            root=root,
            variables=" ".join(
                f"fastcgi_param {name} {value};" for name, value in (variables or cold()).items()
            ),
        )
    )
    serve = [nginx, "-p", str(folder), "-c", str(config)]
    stack.enter_context(_started(serve, folder / "nginx.log", lambda: _listens(port)))
    return Server("http", root, f"http://127.0.0.1:{port}")


# -- sshd with git-shell -------------------------------------------------------------------------

SSHD = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PermitUserEnvironment yes
"""


def _ssh(folder: Path, stack: ExitStack) -> Server:
    (sshd,) = _program("sshd", package="openssh-server")
    keygen, shell, client = _program(
        "ssh-keygen", "git-shell", "ssh", package="openssh-client, git"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd gives up its privileges
    for name in ("host", "person"):
        command = [keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    root = folder / "repositories"
    root.mkdir()
    options = [
        f'command="{shell} -c \\"$SSH_ORIGINAL_COMMAND\\""',
        "restrict",
        f'environment="PYTHONPATH={CHECKOUT}"',
        f'environment="GIT_CONFIG_GLOBAL={os.environ["GIT_CONFIG_GLOBAL"]}"',
    ]
    public = (folder / "person.pub").read_text()
    (folder / "authorized").write_text(f"{','.join(options)} {public}")
    port = _free_port()
    config = folder / "sshd_config"
    config.write_text(SSHD.format(port=port, folder=folder))
    serve = [sshd, "-D", "-e", "-f", str(config)]
    stack.enter_context(_started(serve, folder / "sshd.log", lambda: _listens(port)))
    host = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host}\n")
    words = [client, "-F", "none", "-i", str(folder / "person"), "-o", "IdentitiesOnly=yes"]
    words += ["-o", f"UserKnownHostsFile={folder / 'known'}", "-o", "BatchMode=yes"]
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{root}"
    return Server("ssh", root, url, {"GIT_SSH_COMMAND": " ".join(words)})


# -- git daemon, for reading ---------------------------------------------------------------------


def _daemon(folder: Path, stack: ExitStack) -> Server:
    root = folder / "repositories"
    root.mkdir()
    port = _free_port()
    serve = ["git", "daemon", "--listen=127.0.0.1", f"--port={port}", "--reuseaddr"]
    serve += [f"--base-path={root}", "--export-all", "--informative-errors", str(root)]
    stack.enter_context(_started(serve, folder / "daemon.log", lambda: _listens(port)))
    return Server("git", root, f"git://127.0.0.1:{port}", takes_pushes=False)
