"""The guard: a process that kills this one some time after a signal, even if no thread of it runs any more."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Final, NoReturn

from owtmix.workers.process_flags import end_with, protect_memory

_FOLLOW: Final = 0
"""In place of the number of a signal: the number of a process follows, which is ``_PID_BYTES`` long."""
_PID_BYTES: Final = 4
_POLL_S: Final = 0.5
"""How often a process that has no descriptor is looked for."""
_NONE: Final = frozenset({errno.ESRCH, errno.EINVAL, errno.ENOENT})
"""What ``pidfd_open`` says of a number that no process has; the last two of a thread's."""
_STANDARD: Final = 3
"""The descriptors 0 to 2 may be closed; a pipe must not take their place."""


class Guard:
    """A child process that kills this one ``kill_s`` seconds after it has read the number of one of ``watched``.

    Numbers are written to ``writer``. The guard passes on what it reads to the first of ``readers``; when it is gone,
    that one ends, and the second one has what was written since. It ends with this process, however that ends.
    After ``follow``, it sends SIGTERM to this process when another one has ended.
    """

    def __init__(self, watched: Collection[int], kill_s: float) -> None:
        self.is_settled = False
        """Whether the outcome of the run is certain: signals do not change its status any more."""
        reader, self.writer = _pipe()
        passed, passing = _pipe()
        self._followed: int | None = None
        for end in (self.writer, passing):
            os.set_blocking(end, False)
        self.readers = [passed, reader]
        parent = os.getpid()
        try:
            self._pid = os.fork()
        except OSError:  # there are too many processes; the first reader ends at once
            self._pid = -1
        if self._pid == 0:
            _guard(parent, (reader, passing), watched, kill_s)
        os.close(passing)

    def settle(self) -> None:
        """Let no signal change the status of the process any more. It still ends in time when one comes."""
        self.is_settled = True

    def follow(self, pid: int) -> None:
        """End this process, as by SIGTERM, when the process ``pid`` has ended."""
        self._followed = pid
        os.write(self.writer, bytes([_FOLLOW]) + pid.to_bytes(_PID_BYTES, "little"))

    def has_lost(self) -> bool:
        """Whether the process that is followed has ended."""
        return self._followed is not None and has_ended(self._followed)

    def end(self) -> None:
        """End the guard, and take its status: in a container, nobody else may do so."""
        pid, self._pid = self._pid, -1
        if pid > 0:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    reader, writer = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _STANDARD) for end in ends)
    for end in ends:
        os.close(end)
    return reader, writer


def _guard(parent: int, pipes: tuple[int, int], watched: Collection[int], kill_s: float) -> NoReturn:
    """Pass on what is written to the pipe, and kill the parent after a signal. Ends with the parent."""
    try:
        for number in watched:
            # A terminal sends these signals to the whole process group.
            signal.signal(number, signal.SIG_IGN)
        protect_memory()  # its environment is that of the parent
        end_with(parent)
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in range(_STANDARD):
            os.dup2(nothing, standard)  # who reads the output must see its end when the parent has ended
        _watch(parent, pipes, watched, kill_s)
    finally:
        os._exit(0)


def _watch(parent: int, pipes: tuple[int, int], watched: Collection[int], kill_s: float) -> None:
    reader, passing = pipes
    until_s: float | None = None
    followed: list[int] = []
    polled: int | None = None
    while os.getppid() == parent:
        left_s = None if until_s is None else until_s - time.monotonic()
        if left_s is not None and left_s <= 0:
            os.kill(parent, signal.SIGKILL)
            return
        wait_s = left_s if polled is None else min(_POLL_S, _POLL_S if left_s is None else left_s)
        ready = select.select([reader, *followed], (), (), wait_s)[0]
        if reader in ready:
            data = os.read(reader, 1)
            if data[0] == _FOLLOW:
                pid = int.from_bytes(os.read(reader, _PID_BYTES), "little")
                try:
                    followed = [os.pidfd_open(pid)]
                except OSError:  # it has ended, or its end can only be seen by looking
                    if has_ended(pid):
                        os.kill(parent, signal.SIGTERM)
                    else:
                        polled = pid
                continue
            with suppress(BlockingIOError):
                os.write(passing, data)
            if until_s is None and data[0] in watched:
                until_s = time.monotonic() + kill_s
        elif ready or (polled is not None and has_ended(polled)):
            followed, polled = [], None
            os.kill(parent, signal.SIGTERM)


def has_ended(pid: int) -> bool:
    """Whether there is no process ``pid`` any more, or the number is that of a thread."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError as error:
        return error.errno in _NONE or not _takes_signals(pid)
    try:
        poll = select.poll()  # unlike select, for descriptors of any number
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    finally:
        os.close(descriptor)


def _takes_signals(pid: int) -> bool:
    """Whether there is such a process, as far as can be told without a descriptor of it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to somebody else
        pass
    return True
