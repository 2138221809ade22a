"""A process that has imported what hooks need, and forks for each that a client hands over."""

from __future__ import annotations

import array
import gc
import os
import runpy
import select
import signal
import socket
import sys
from pathlib import Path

import esaa_git.hooks.pre_push
import esaa_git.hooks.pre_receive
import esaa_git.hooks.receive
import esaa_git.hooks.update
import esaa_git.store.repository  # noqa: F401
from tests.support import streams


def serve(place: str) -> None:
    """Answer until standard input ends, as it does with whoever started us."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen(50)
        os.write(1, b".")
        while True:
            ready, _, _ = select.select([0, listening], [], [])
            if 0 in ready:
                return
            line, _ = listening.accept()
            if not os.fork():
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listening.close()
                answer(line)
                os._exit(0)
            line.close()


def answer(line: socket.socket) -> None:
    """Run one hook and say how it ended."""
    streams = array.array("i")
    head, [(_, _, sent)], _, _ = line.recvmsg(8, socket.CMSG_SPACE(3 * streams.itemsize))
    streams.frombytes(sent)
    size = int.from_bytes(head, "big")
    data = bytearray()
    while len(data) < size:
        data += line.recv(size - len(data))
    folder, number_of_words, *words = os.fsdecode(bytes(data)).split("\0")
    end = int(number_of_words)
    hook = os.fork()
    if not hook:
        line.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(word.split("=", 1) for word in words[end:])
        run(words[:end])
    for stream in streams:
        os.close(stream)
    _, status = os.waitpid(hook, 0)
    code = os.waitstatus_to_exitcode(status)
    line.sendall(bytes([code if code >= 0 else 128 - code]))


def run(command: list[str]) -> None:
    """Be the hook that git started with this command line."""
    try:
        sys.argv = command
        streams.reopen()
        # As Python has it for a program: the folder of its file comes first.
        sys.path.insert(0, str(Path(command[0]).absolute().parent))
        runpy.run_path(command[0], run_name="__main__")
    finally:
        os._exit(70)


if __name__ == "__main__":
    serve(sys.argv[1])
