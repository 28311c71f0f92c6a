"""Starts the processes of workers, and ends them."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Final, Self

from owtmix.base.errors import MixError, RenderError, ShortageError
from owtmix.base.shortage import machine_error, no_process
from owtmix.workers.alone import SHORTAGES
from owtmix.workers.child_environment import child_environment
from owtmix.workers.fork_server import ANSWER
from owtmix.workers.process_flags import adopting

STARTING_S: Final = 60.0
"""Time for a new process to start, on a slow machine."""
_LOOK_EVERY_S: Final = 0.005
_PAUSE_S: Final = 0.05


class WorkerProcess:
    """The process of a worker, a child of this one.

    ``stdin`` and ``stdout`` are descriptors: this process's ends of its pipes. Writing to it never blocks.
    """

    def __init__(self, pid: int, stdin: int, stdout: int) -> None:
        os.set_blocking(stdin, False)
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self._status: int | None = None

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        if self._ended() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout_s: float) -> int:
        """Its exit status; that of a process that was ended by a signal is the signal's number, below 0.

        Raises:
            TimeoutError: it has not ended.
        """
        deadline = time.monotonic() + timeout_s
        while (status := self._ended()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(_LOOK_EVERY_S)
        return status

    def remove(self) -> None:
        """Kill it, wait until it is gone, and close its pipes."""
        self.kill()
        os.close(self.stdin)
        os.close(self.stdout)
        if self._status is None:
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)

    def _ended(self) -> int | None:
        if self._status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # the program that uses this package lets nobody wait for its children
                pid, status = self.pid, 0
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status


class ForkServer:
    """Starts workers in a hundredth of the time that a new interpreter takes (``fork_server.py``).

    It imports the modules ``imports`` while its user goes on. One that was killed is replaced. Only Linux lets a
    process adopt others; elsewhere each worker is a new interpreter.
    """

    def __init__(self, imports: Sequence[str] = (), python: str = sys.executable) -> None:
        self._imports = imports
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> socket.socket:
        """Start it, unless it is there; returns the connection to it.

        Raises:
            ShortageError: the machine is short of processes, memory or open files.
            RenderError: it cannot be started for another reason.
        """
        if self._control is None:
            with _errors_in_words(), ExitStack() as held:
                here, there = map(held.enter_context, socket.socketpair())
                self._process = self._run("fork_server", self._imports, there.fileno(), subprocess.DEVNULL)
                here.settimeout(STARTING_S)
                self._control = here
                held.pop_all()
                there.close()
        return self._control

    def close(self) -> None:
        """End it; workers go on."""
        if self._control and self._process:
            self._control.close()
            self._process.kill()
            self._process.wait()
            self._control = self._process = None

    def make_worker(self) -> WorkerProcess:
        """A new worker.

        Raises:
            ShortageError: the machine is short of processes, memory or open files.
            RenderError: none can be started for another reason.
        """
        with _errors_in_words(), ExitStack() as held:
            task_end, stdin = _pipe(held)
            stdout, report_end = _pipe(held)
            if sys.platform == "linux":
                pid = self._copy(task_end, report_end)
            else:
                process = self._run("child", (), task_end, report_end)
                pid, process.returncode = process.pid, 0  # it is waited for here
            held.pop_all()
        os.close(task_end)
        os.close(report_end)
        return WorkerProcess(pid, stdin, stdout)

    def _copy(self, *files: int) -> int:
        """The process id of a new copy of the server."""
        for attempt in range(1, SHORTAGES):
            try:
                return self.ask(files)
            except ConnectionError:  # it was killed
                self.close()
                time.sleep(_PAUSE_S * attempt)
        raise ShortageError("the process that starts workers ends before it has started one")

    def ask(self, files: Sequence[int]) -> int:
        """The process id of a new copy, whose standard input and output are ``files``.

        Raises:
            ConnectionError: the server has ended.
            ShortageError: it does not answer.
            OSError: it cannot copy itself.
        """
        control = self.start()
        with adopting():
            try:
                socket.send_fds(control, [b"+"], files)
                answer = control.recv(ANSWER.size)
            except TimeoutError:
                self.close()
                raise ShortageError(f"the process that starts workers says nothing for {STARTING_S:.0f} s") from None
        if not answer:
            raise ConnectionResetError
        pid, number = ANSWER.unpack(answer)
        if number:
            raise OSError(number, os.strerror(number))
        return int(pid)

    def _run(self, module: str, arguments: Sequence[str], stdin: int, stdout: int) -> subprocess.Popen[bytes]:
        # -P keeps the working directory off the module path: a folder of recordings is no place for code.
        return subprocess.Popen(  # noqa: S603 - the arguments are ours
            [self._python, "-P", "-m", f"owtmix.workers.{module}", str(os.getpid()), *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
        )


def _pipe(held: ExitStack) -> tuple[int, int]:
    """The ends of a new pipe: to read from, and to write to."""
    ends = os.pipe()
    for end in ends:
        held.callback(os.close, end)
    return ends


@contextmanager
def _errors_in_words() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _in_words(error) from error


def _in_words(error: OSError) -> MixError:
    if error.errno == errno.EAGAIN:
        return no_process()
    return machine_error(error) or RenderError(f"no process can be started: {error.strerror}")
