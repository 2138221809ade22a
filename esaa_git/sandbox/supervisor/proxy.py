"""Ways out of a network namespace that has no network: one listening socket a host.

The program connects to an address of its own loopback, which `/etc/hosts` gives for the name; the
supervisor, which stands outside, accepts and connects to the host of that name. So TLS sees the
host's certificate, and nothing else can be reached.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_NS_GET_USERNS = 0xB701
_IP_FREEBIND = 15
_LOOPBACK = IPv4Address("127.0.0.1")
_FIRST_NAMED = IPv4Address("127.77.0.1")

_CHUNK = 65536
_MOST_CONNECTIONS = 200


@dataclass(frozen=True, slots=True)
class Route:
    """A host, and where the program finds it: an address of its loopback, with the same port."""

    host: str
    port: int
    address: str


def make_routes(hosts: Sequence[str]) -> list[Route]:
    """Return a route for each `name:port`.

    Raises:
        OSError: for an address that is not of the loopback: there is no route to it in there.
    """
    names: dict[str, str] = {"localhost": str(_LOOPBACK)}
    routes = []
    for host, _, port in (entry.rpartition(":") for entry in hosts):
        try:
            literal = IPv4Address(host)
        except ValueError:
            if host.startswith("["):
                literal = IPv4Address(0)
            else:
                names.setdefault(host, str(_FIRST_NAMED + len(names)))
                routes.append(Route(host, int(port), names[host]))
                continue
        if not literal.is_loopback:
            raise OSError(f"bubblewrap reaches hosts by name, so not '{host}'")
        routes.append(Route(host, int(port), host))
    return routes


def open_routes(routes: Sequence[Route], pid: int) -> None:
    """Listen in the network namespace of a process, and let through from now on.

    Raises:
        OSError: if that namespace cannot be entered.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        # A process enters it, and sends back the sockets that it made there.
        child = os.fork()
        if child == 0:
            status = 1
            try:
                streams = _listen(routes, pid)
                socket.send_fds(theirs, [b"x"], [stream.fileno() for stream in streams])
                status = 0
            finally:
                os._exit(status)
        _, raw = os.waitpid(child, 0)
        if raw != 0:
            raise OSError("the network namespace cannot be entered")
        _, numbers, _, _ = socket.recv_fds(ours, 1, len(routes))
    for route, number in zip(routes, numbers, strict=True):
        stream = socket.socket(fileno=number)
        threading.Thread(target=_serve, args=(stream, route), daemon=True).start()


def _listen(routes: Sequence[Route], pid: int) -> list[socket.socket]:
    libc = ctypes.CDLL(None, use_errno=True)
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    owner = libc.ioctl(network, _NS_GET_USERNS)
    for number, kind in ((owner, _CLONE_NEWUSER), (network, _CLONE_NEWNET)):
        if number < 0 or libc.setns(number, kind) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    streams = []
    for route in routes:
        stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # The loopback is not up yet.
        stream.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stream.bind((route.address, route.port))
        stream.listen(64)
        streams.append(stream)
    return streams


def _serve(stream: socket.socket, route: Route) -> None:
    places = threading.BoundedSemaphore(_MOST_CONNECTIONS)
    while True:
        inner, _ = stream.accept()
        places.acquire()
        threading.Thread(target=_join, args=(inner, route, places), daemon=True).start()


def _join(inner: socket.socket, route: Route, places: threading.BoundedSemaphore) -> None:
    try:
        with inner, suppress(OSError), socket.create_connection((route.host, route.port)) as outer:
            back = threading.Thread(target=_copy, args=(outer, inner), daemon=True)
            back.start()
            _copy(inner, outer)
            back.join()
    finally:
        places.release()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(_CHUNK):
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
