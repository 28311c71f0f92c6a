"""One run of ``owt-main`` as a child of this process, in a process group of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from owtmix.batch.messages import Messages, Report, describe_end

_READ_BYTES: Final = 2**16
_MOST_READS: Final = 256
"""What is still in the pipes when a run has ended; a process that it left behind could go on writing for ever."""
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run ended: as ``Ended``, without its attempt."""

    exit_status: int
    report: Mapping[str, Any] | None
    error: str
    wall_s: float
    cpu_s: float
    peak_mib: int


class ChildRun:
    """A run that has begun. ``pidfd`` is readable when it has ended; ``pipes`` are readable when it says something.

    Raises:
        OSError: it cannot be begun.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        title: str,
        keep: Sequence[int] = (),
        environment: Mapping[str, str] = _NOTHING,
    ) -> None:
        """Begin.

        Args:
            command: what is run.
            log: the file for its messages, in a folder that is there.
            title: stands above them.
            keep: descriptors that the run holds as long as it lives.
            environment: variables that it has besides this process's.
        """
        self._messages = Messages(log, title)
        self._report = Report()
        self._begun_s = time.monotonic()
        # A group of its own: Ctrl-C on a terminal concerns the batch alone.
        self._process = subprocess.Popen(  # noqa: S603 - this installation's program
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=keep,
            process_group=0,
            env=os.environ | environment if environment else None,
            bufsize=0,
        )
        assert self._process.stdout
        assert self._process.stderr
        self.pid = self._process.pid
        self._feeds = {
            self._process.stdout.fileno(): self._report.feed,
            self._process.stderr.fileno(): self._messages.feed,
        }
        for pipe in self._feeds:
            os.set_blocking(pipe, False)
        try:
            self.pidfd = os.pidfd_open(self.pid)
        except OSError:
            self.kill()
            self._process.wait()
            self._close_pipes()
            raise

    @property
    def pipes(self) -> tuple[int, ...]:
        return tuple(self._feeds)

    @property
    def messages(self) -> Messages:
        return self._messages

    def read(self, pipe: int) -> bool:
        """Take what is in a pipe; whether there may be more later."""
        try:
            data = os.read(pipe, _READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._feeds[pipe](data)
        return bool(data)

    def stop(self) -> None:
        """Ask it to end: it ends its own children, and keeps what the next run goes on with."""
        with suppress(OSError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)

    def kill(self) -> None:
        """End it, and what it left behind."""
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)

    def finish(self) -> Finished:
        """Take the end of the run, which ``pidfd`` tells of, or wait for it."""
        os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOWAIT)
        self.kill()  # nobody else can have its number before it is taken below
        _, status, usage = os.wait4(self.pid, 0)
        wall_s = time.monotonic() - self._begun_s
        self._process.returncode = exit_status = os.waitstatus_to_exitcode(status)
        for pipe in self.pipes:
            self._read_rest(pipe)
        self._messages.close()
        self._close_pipes()
        os.close(self.pidfd)
        report = self._report.document()
        return Finished(
            exit_status,
            report,
            describe_end(exit_status, report, self._messages.last_error),
            wall_s,
            usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss >> 10,
        )

    def _read_rest(self, pipe: int) -> None:
        for _ in range(_MOST_READS):
            try:
                data = os.read(pipe, _READ_BYTES)
            except OSError:
                return
            if not data:
                return
            self._feeds[pipe](data)

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()
