"""The fork server: a process that has imported what workers need, and copies itself into each of them.

It is started with the environment of a worker and reads nothing but code, so it knows no secret. Workers are its
children and end with it; it says how they have ended. A request is the process id of a worker and how long to wait for
its end, in seconds, or ``KILL``; process id 0 asks for a new worker, with two descriptors that become its
standard input and output. The answer is a process id or an exit status, an ``errno`` or 0, and the CPU time of a worker
that has ended, in seconds.
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
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from owtmix.workers import child
from owtmix.workers.process_flags import end_with, name_process, protect_memory

REQUEST: Final = struct.Struct("=id")
ANSWER: Final = struct.Struct("=iid")
WORKER_NAME: Final = "owt-worker"
"""What programs that list processes call a worker."""
KILL: Final = -1.0
"""In place of the time to wait: the worker is killed first."""
_FILES: Final = 2
"""Of a new worker."""
_MOST_FILES: Final = 1024
"""More than the server ever has open."""
_LOOK_EVERY_S: Final = 0.005
_EVERY_WORKER: Final = ("pydantic", "owtmix.base.shortage", "owtmix.workers.base")
"""What ``child.py`` imports once it is confined."""


def main() -> None:
    """Serve until the other end of standard input, a socket, is closed.

    The arguments are the parent's process id, and the modules to import.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):  # from a terminal, to the whole process group
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a program may have started this one with it ignored
    parent, *modules = sys.argv[1:]
    end_with(int(parent))
    with suppress(OSError):  # when memory is short, the system ends workers, not the job
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    protect_memory()  # for its copies, too: until they are confined, others could write to their memory
    lack = _import((*_EVERY_WORKER, *modules))
    workers: set[int] = set()
    with suppress(ConnectionError):  # the parent has gone while it was answered
        _serve(socket.socket(fileno=0), workers, lack)
    for worker in workers:
        _end_of(worker, KILL)  # nobody else waits for them, as in many containers


def _serve(control: socket.socket, workers: set[int], lack: int) -> None:
    """Answer until the other end is closed; ``workers`` are those that were made and not waited for."""
    while True:
        request, files, _, _ = socket.recv_fds(control, REQUEST.size, _FILES)
        if not request:
            return
        worker, wait_s = REQUEST.unpack(request)
        if worker:
            value, number, cpu_s = _end_of(worker, wait_s)
            if not number:
                workers.discard(worker)
        else:
            value, number, cpu_s = _make_worker(files, lack)
            if not number:
                workers.add(value)
        control.sendall(ANSWER.pack(value, number, cpu_s))
        for file in files:
            os.close(file)


def _import(modules: Sequence[str]) -> int:
    """Import ``modules``; returns the ``errno`` of what was short, or 0."""
    gc.disable()  # importing makes hardly any garbage
    try:
        for name in modules:
            importlib.import_module(name)
    except MemoryError:
        return errno.ENOMEM
    except OSError as error:
        return error.errno or errno.EAGAIN
    gc.freeze()  # collecting garbage writes to all pages, which workers share as long as nobody does
    gc.enable()
    return 0


def _make_worker(files: Sequence[int], lack: int) -> tuple[int, int, float]:
    if len(files) < _FILES:  # it may not open so many
        lack = errno.EMFILE
    if lack:
        return 0, lack, 0.0
    server = os.getpid()
    try:
        worker = os.fork()
    except OSError as error:
        return 0, error.errno or errno.EAGAIN, 0.0
    if not worker:
        _work(server, files)
    return worker, 0, 0.0


def _end_of(worker: int, wait_s: float) -> tuple[int, int, float]:
    """How a worker has ended; ``ETIMEDOUT`` where it has not."""
    if wait_s < 0:
        os.kill(worker, signal.SIGKILL)  # nobody else can have its process id until it was waited for
    deadline = time.monotonic() + wait_s
    while True:
        pid, status, used = os.wait4(worker, 0 if wait_s < 0 else os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status), 0, used.ru_utime + used.ru_stime
        if time.monotonic() > deadline:
            return 0, errno.ETIMEDOUT, 0.0
        time.sleep(_LOOK_EVERY_S)


def _work(server: int, files: Sequence[int]) -> NoReturn:
    """Be a worker; ``files`` become its standard input and output, and all others are closed."""
    status = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.closerange(3, _MOST_FILES)
        name_process(WORKER_NAME)
        child.main(server)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
