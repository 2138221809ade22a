"""A web server of its own for every test, which can be taken away and given back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.conftest import Server, _listens, _program, _started, _web, socket_of
from tests.support import warm
from tests.support.team import hook_environment


@dataclass
class Web:
    """The server, and what keeps it up."""

    server: Server
    folder: Path
    stack: ExitStack

    def serve(self, repository: Path) -> str:
        """Put a bare repository among those that are served, and return its URL."""
        place = self.server.root / "shared.git"
        shutil.move(repository, place)
        repository.symlink_to(place)
        return f"{self.server.url}/shared.git"

    def go_away(self) -> None:
        """Refuse every connection."""
        self.stack.close()

    def come_back(self) -> None:
        """Be there again, under the same address."""
        nginx, fcgiwrap = _program("nginx", "fcgiwrap", package="nginx-light, fcgiwrap")
        place = socket_of(self.folder)
        place.unlink(missing_ok=True)
        wrap = [fcgiwrap, "-s", f"unix:{place}"]
        serve = [nginx, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
        port = int(self.server.url.rsplit(":", 1)[1])
        folder, enter = self.folder, self.stack.enter_context
        enter(_started(wrap, folder / "fcgiwrap.log", place.is_socket))
        enter(_started(serve, folder / "nginx.log", lambda: _listens(port)))


@pytest.fixture
def web(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    hook_environment(monkeypatch)
    folder = tmp_path_factory.mktemp("server")
    with ExitStack() as stack:
        yield Web(_web(folder, stack, warm.environment()), folder, stack)
