"""llama.cpp's server as a process of our own: one model, on loopback, and gone when we are.

One server serves all attempts of this process that want the same model in the same way. It is
started when the first of them asks and ended at the exit of this process, or by itself where this
process had no time to say so: the server's standard input is a pipe whose other end only we hold,
and it ends when no process holds it. (The kernel's own "signal on the parent's death" goes by the
thread that started the server, and threads of attempts come and go.)

It is a process and not a thread because what it loads is C++ that reads a file from anywhere: a
crash, or the memory that runs out, costs one attempt.

This module is both sides: `serving` is ours, `main` runs in the server's process.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import secrets
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

_TICK: Final = 0.02
_LAST_WORDS_SECONDS: Final = 5.0
_LOG_BYTES: Final = 4000


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What makes two attempts share a server: the model, and the room for one exchange.

    `name` is the model's name, as the server puts it into its answers.
    """

    file: Path
    name: str
    context_tokens: int


@dataclass(frozen=True, slots=True)
class ModelServer:
    """A server that is ready: `url` as in `http://127.0.0.1:PORT`, and the key that it wants.

    Every process of this machine reaches loopback, web pages in a browser included; the key, drawn
    at random for each server, keeps them out.
    """

    url: str
    key: str
    pid: int
    load_ms: int


class NotServing(Exception):
    """The server did not come up; the message says why, in llama.cpp's words where it gave any."""


@dataclass(slots=True)
class _Place:
    """Where the server of one kind is, or will be; `lock` is held by the process that starts it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    process: subprocess.Popen[bytes] | None = None
    server: ModelServer | None = None


_places: dict[ServerSettings, _Place] = {}
_places_lock = threading.Lock()


def serving(settings: ServerSettings, pause: Callable[[], None], *, until: float) -> ModelServer:
    """Return a server of this kind, started now if there is none or the last one has died.

    Several threads may ask at once; one starts it, and the others wait for that.

    Args:
        settings: the kind of server.
        pause: called at least every 50 ms while waiting; what it raises passes through, and ends a
            server that was not up yet.
        until: when to give up, on the clock of `time.monotonic`.

    Raises:
        NotServing: if it does not come up.
        TimeoutError: if it is not up in time.
    """
    with _places_lock:
        place = _places.setdefault(settings, _Place())
    while not place.lock.acquire(timeout=_TICK):
        pause()
        if time.monotonic() >= until:
            raise TimeoutError("another attempt is still loading the model")
    try:
        if place.server is not None and place.process is not None and place.process.poll() is None:
            return place.server
        _end(place)
        place.server = _start(place, settings, pause, until)
        return place.server
    finally:
        if place.server is None:
            _end(place)
        place.lock.release()


def close_servers() -> None:
    """End every server that this process has started; the next attempt starts a new one."""
    with _places_lock:
        places = list(_places.values())
        _places.clear()
    for place in places:
        _end(place)


def _start(
    place: _Place, settings: ServerSettings, pause: Callable[[], None], until: float
) -> ModelServer:
    began = time.monotonic()
    key = secrets.token_urlsafe(24)
    with tempfile.TemporaryFile() as log:
        # With -P, Python looks for modules neither in the current folder, which is a person's
        # repository, nor beside this file.
        place.process = process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            # Ctrl-C in a terminal is for us; attempts under way may be finished first.
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        order = {
            "file": str(settings.file),
            "name": settings.name,
            "context_tokens": settings.context_tokens,
            "key": key,
            "owner": os.getpid(),
        }
        try:
            # On its standard input, since every user can read the arguments of a process.
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
            reply = _read_line(process.stdout, pause, until)
        except BrokenPipeError:
            reply = b""
        if not reply:
            raise NotServing(_reason(log, process, pause))
    said = json.loads(reply)
    return ModelServer(said["url"], key, process.pid, int((time.monotonic() - began) * 1000))


def _read_line(stdout: IO[bytes], pause: Callable[[], None], until: float) -> bytes:
    """Return the one line that the server writes once it is ready; empty if it ends before."""
    line = b""
    while not line.endswith(b"\n"):
        pause()
        if time.monotonic() >= until:
            raise TimeoutError("the model was still being loaded")
        if select.select([stdout], [], [], _TICK)[0]:
            chunk = os.read(stdout.fileno(), 4096)
            if not chunk:
                return b""
            line += chunk
    return line


def _reason(log: IO[bytes], process: subprocess.Popen[bytes], pause: Callable[[], None]) -> str:
    """Return why the server ended: llama.cpp's first complaint, or else the last thing it said."""
    until = time.monotonic() + _LAST_WORDS_SECONDS
    while process.poll() is None and time.monotonic() < until:
        pause()
        time.sleep(_TICK)
    log.seek(0)
    lines = log.read(_LOG_BYTES).decode("utf-8", "replace").splitlines()
    for line in lines:
        # As in "0.00.004.111 E llama_model_load: error loading model: ...".
        _, mark, complaint = line.partition(" E ")
        if mark and complaint:
            return complaint.strip()
    return lines[-1] if lines else f"llama.cpp's server ended with status {process.poll()}"


def _end(place: _Place) -> None:
    process, place.process, place.server = place.process, None, None
    if process is None:
        return
    # It holds nothing that would have to be put in order.
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


atexit.register(close_servers)


def main() -> None:
    """Serve one model until the process that started this one is gone."""
    order = json.loads(sys.stdin.buffer.readline())
    reply = os.fdopen(os.dup(1), "w")
    # Whatever the library prints is for the log, and not in the way of our one line.
    os.dup2(2, 1)
    server = load(order)
    if server is None:
        # In good order: what it complained of is still on its way into the log.
        sys.exit(1)
    reply.write(json.dumps({"url": server.listening_address}) + "\n")
    reply.close()
    # A fork of our owner may hold the pipe open for longer than our owner lives.
    while os.getppid() == order["owner"]:
        if select.select([sys.stdin], [], [], 1.0)[0]:
            break
    # Without unloading: it would wait for those that are still being answered.
    os._exit(0)


def load(order: dict[str, Any]) -> Any:
    """Return llama.cpp's server, listening on a free port of 127.0.0.1; None if it refuses."""
    # Not by an import statement: it has no types, and is not there without the extra.
    xllamacpp = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = order["file"]
    params.model_alias = {order["name"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [order["key"]]
    params.n_ctx = order["context_tokens"]
    # One exchange at a time: numbers that are added up in batches with a neighbour's come out
    # slightly different, and a seed would not mean the same answer any more.
    params.n_parallel = 1
    # Threads of llama.cpp wait for each other at every step, turning in circles. Where another
    # program wants a core as well, one thread a core is ten times slower than half as many.
    threads = max(1, _cores() // 2)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.cache_ram_mib = 0
    params.fit_params = False
    params.warmup = False
    params.offline = True
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 1
    try:
        return xllamacpp.Server(params)
    except RuntimeError:
        return None


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if __name__ == "__main__":
    main()
