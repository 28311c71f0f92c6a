"""The fork server: a process that has imported what workers need, and copies itself into each of them.

It is started with the environment of a worker and reads nothing but code, so it knows no secret. A request is a byte
with two descriptors, the standard input and output of the new worker. The answer is the worker's process id, or an
``errno``.
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import signal
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from owtmix.workers import child
from owtmix.workers.process_flags import end_with, name_process, protect_memory

ANSWER: Final = struct.Struct("=ii")
"""The process id, and the ``errno`` of what failed, which is 0 where nothing did."""
_EVERY_WORKER: Final = ("pydantic", "owtmix.base.shortage", "owtmix.workers.base")
"""What ``child.py`` imports once it is confined."""
WORKER_NAME: Final = "owt-worker"
"""What programs that list processes call a worker."""


def main() -> None:
    """Serve until the other end of standard input, a socket, is closed.

    The arguments are the parent's process id, and the modules to import.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):  # from a terminal, to the whole process group
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    parent, *modules = sys.argv[1:]
    end_with(int(parent))
    protect_memory()
    gc.disable()  # importing makes hardly any garbage
    for name in (*_EVERY_WORKER, *modules):
        importlib.import_module(name)
    gc.freeze()  # collecting garbage writes to all pages, which workers share as long as nobody does
    gc.enable()
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    control = socket.socket(fileno=0)
    while True:
        request, files, _, _ = socket.recv_fds(control, 1, 2)
        if not request:
            return
        control.sendall(_make_worker(int(parent), files, reading, writing))
        for file in files:
            os.close(file)


def _make_worker(parent: int, files: list[int], reading: int, writing: int) -> bytes:
    """Make a worker that ``parent`` adopts, since the process between them has ended; returns the answer.

    That process says it through the pipe ``writing``, which ends in ``reading``.
    """
    try:
        between = os.fork()
    except OSError as error:
        return _failure(error)
    if between:
        _, status = os.waitpid(between, 0)
        said = b""
        with suppress(BlockingIOError):
            said = os.read(reading, ANSWER.size)
        return said if said and not status else ANSWER.pack(0, errno.EAGAIN)
    try:
        worker = os.fork()
    except OSError as error:
        os.write(writing, _failure(error))
    else:
        if not worker:
            _work(parent, files)
        os.write(writing, ANSWER.pack(worker, 0))
    os._exit(0)


def _failure(error: OSError) -> bytes:
    return ANSWER.pack(0, error.errno or errno.EAGAIN)


def _work(parent: int, files: list[int]) -> NoReturn:
    """Be a worker; ``files`` become its standard input and output, and all others are closed."""
    status = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
        protect_memory(protected=False)  # as a new process; it protects itself when it is confined
        os.closerange(3, 1 + max(int(file.name) for file in Path("/proc/self/fd").iterdir()))
        name_process(WORKER_NAME)
        child.main(parent)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
