"""Starts the processes of workers, and ends them."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from owtmix.base.errors import MixError, RenderError, ShortageError
from owtmix.base.shortage import machine_error, no_process
from owtmix.workers.child_environment import child_environment
from owtmix.workers.fork_server import ANSWER, KILL, REQUEST

STARTING_S: Final = 60.0
"""Time for a new process to start, on a slow machine."""
_CLOSING_S: Final = 0.5
"""Time for a fork server to end its workers."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process has ended: its status, or below 0 the signal that ended it, and its CPU time in seconds."""

    status: int
    cpu_s: float


class Keeper(Protocol):
    """Who knows how a worker ends."""

    def end_of(self, pid: int, wait_s: float) -> Exit | None:
        """How a worker has ended, waiting so long for it, or with ``KILL``; None if nobody knows any more.

        Raises:
            TimeoutError: it has not ended.
        """


class WorkerProcess:
    """The process of a worker.

    ``stdin`` and ``stdout`` are descriptors: this process's ends of its pipes. Writing to it never blocks.
    """

    def __init__(self, pid: int, stdin: int, stdout: int, keeper: Keeper) -> None:
        os.set_blocking(stdin, False)
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self._keeper = keeper
        self._has_ended = False

    def wait(self, timeout_s: float) -> Exit | None:
        """How it has ended; None if that is not known. Call it once.

        Raises:
            TimeoutError: it has not ended.
        """
        found = self._keeper.end_of(self.pid, timeout_s)
        self._has_ended = True
        return found

    def remove(self) -> None:
        """Kill it, unless it has ended, and close its pipes."""
        os.close(self.stdin)
        os.close(self.stdout)
        if not self._has_ended:
            with suppress(TimeoutError):
                self._keeper.end_of(self.pid, KILL)


class ForkServer:
    """Starts workers in a hundredth of the time that a new interpreter takes (``fork_server.py``).

    It imports the modules ``imports`` while its user goes on. One that was killed is replaced; its workers have ended
    with it. Only Linux has what it needs; elsewhere each worker is a new interpreter.
    """

    def __init__(self, imports: Sequence[str] = (), python: str = sys.executable) -> None:
        self._imports = imports
        self._python = python
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start it, unless it is there.

        Raises:
            ShortageError: the machine is short of processes, memory or open files.
            RenderError: it cannot be started for another reason.
        """
        if sys.platform == "linux" and not (self._server and self._server.is_there):
            with _errors_in_words(), ExitStack() as held:
                # Each message arrives as it was sent, or not at all.
                here, there = map(held.enter_context, socket.socketpair(type=socket.SOCK_SEQPACKET))
                process = _run(self._python, "fork_server", self._imports, there.fileno(), subprocess.DEVNULL)
                here.settimeout(STARTING_S)
                self._server = _Server(process, here)
                held.pop_all()
                there.close()

    def close(self) -> None:
        """End it, and its workers with it."""
        if self._server:
            self._server.close()
            self._server = None

    def make_worker(self) -> WorkerProcess:
        """A new worker.

        Raises:
            ShortageError: the machine is short of processes, memory or open files, or the server was ended.
            RenderError: none can be started for another reason.
        """
        try:
            return self._make()
        except ConnectionError:  # it was killed since it started the last one
            pass
        try:
            return self._make()
        except ConnectionError:
            what = "memory is short (ulimit, container), or the installation is damaged"
            raise ShortageError(f"the process that starts workers ends before it has started one: {what}") from None

    def _make(self) -> WorkerProcess:
        self.start()
        with _errors_in_words(), ExitStack() as held:
            task_end, stdin = _pipe(held)
            stdout, report_end = _pipe(held)
            keeper: Keeper
            if self._server:
                keeper, pid = self._server, self._server.make((task_end, report_end))
            else:
                keeper = _Interpreter(_run(self._python, "child", (), task_end, report_end))
                pid = keeper.pid
            held.pop_all()
        os.close(task_end)
        os.close(report_end)
        return WorkerProcess(pid, stdin, stdout, keeper)


class _Server:
    """A fork server that runs, and the connection to it."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._has_workers = False

    @property
    def is_there(self) -> bool:
        """Whether it can be asked."""
        return self._control.fileno() >= 0

    def make(self, files: Sequence[int]) -> int:
        """The process id of a new worker, whose standard input and output are ``files``.

        Raises:
            ConnectionError: the server has ended.
            OSError: it cannot copy itself.
            ShortageError: it does not answer.
        """
        self._has_workers = True
        try:
            pid, number, _ = self._ask(0, 0.0, files)
        except TimeoutError:
            raise ShortageError(f"the process that starts workers says nothing for {STARTING_S:.0f} s") from None
        if number:
            raise OSError(number, os.strerror(number))
        return pid

    def end_of(self, pid: int, wait_s: float) -> Exit | None:
        """As ``Keeper.end_of``: a worker has ended with its server, and nobody knows how."""
        if not self.is_there:
            return None
        try:
            status, number, cpu_s = self._ask(pid, wait_s)
        except (ConnectionError, TimeoutError):
            return None
        if number == errno.ETIMEDOUT:
            raise TimeoutError
        return Exit(status, cpu_s)

    def close(self) -> None:
        """End it. It ends its workers before, unless it is stopped, or busy with other things."""
        self._control.close()
        if self._has_workers:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_CLOSING_S)
        self._process.kill()
        self._process.wait()

    def _ask(self, pid: int, wait_s: float, files: Sequence[int] = ()) -> tuple[int, int, float]:
        """The answer to a request. A server that gives none, or is not listened to, is ended."""
        try:
            socket.send_fds(self._control, [REQUEST.pack(pid, wait_s)], files)
            answer = self._control.recv(ANSWER.size)
            if not answer:
                raise ConnectionResetError  # noqa: TRY301 - as when sending fails
        except BaseException:
            self.close()
            raise
        value, number, cpu_s = ANSWER.unpack(answer)
        return int(value), int(number), float(cpu_s)


class _Interpreter:
    """A worker that is an interpreter of its own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    def end_of(self, pid: int, wait_s: float) -> Exit | None:  # noqa: ARG002 - there is one
        """As ``Keeper.end_of``."""
        if wait_s < 0:
            self._process.kill()
        try:
            return Exit(self._process.wait(None if wait_s < 0 else wait_s), 0.0)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None


def _run(python: str, module: str, arguments: Sequence[str], stdin: int, stdout: int) -> subprocess.Popen[bytes]:
    # -P keeps the working directory off the module path: a folder of recordings is no place for code.
    return subprocess.Popen(  # noqa: S603 - the arguments are ours
        [python, "-P", "-m", f"owtmix.workers.{module}", str(os.getpid()), *arguments],
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
    except ConnectionError:
        raise
    except OSError as error:
        raise _in_words(error) from error


def _in_words(error: OSError) -> MixError:
    if error.errno == errno.EAGAIN:
        return no_process()
    return machine_error(error) or RenderError(f"no process can be started: {error.strerror}")
