"""Standard error and standard output that hold up nobody: a thread writes, and what nobody reads is left out."""

from __future__ import annotations

import atexit
import errno
import io
import os
import queue
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from owtmix.base.errors import DestinationError

_MOST_BYTES: Final = 2**20
"""Of messages that wait to be read; further ones are left out."""
_PIECE_BYTES: Final = 4096
"""Written at a time: a pipe takes so much at once, so a slow reader is told from one that does not read."""
LAST_S: Final = 0.5
"""How long the last messages wait for a reader that does not read."""
_LOOK_S: Final = 0.002


class Outlet:
    """Writes to ``descriptor`` from a thread. Nothing here takes a lock, so a signal may interrupt anything.

    Args:
        descriptor: a pipe, a terminal, a file.
        most_bytes: so much may wait to be written.

    Raises:
        RuntimeError: the system has no thread for it.
    """

    def __init__(self, descriptor: int, most_bytes: float = _MOST_BYTES) -> None:
        self._descriptor = descriptor
        self._most_bytes = most_bytes
        self._pieces: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._given = self._taken = 0  # each is changed by one thread
        self._left_out = 0
        self.error: OSError | None = None
        """Why nothing is written any more."""
        threading.Thread(target=self._write_all, name="outlet", daemon=True).start()

    @property
    def waiting_bytes(self) -> int:
        """How much nobody has read yet."""
        return self._given - self._taken

    def write(self, data: bytes) -> None:
        """Have ``data`` written soon, or leave it out when too much waits."""
        if self.waiting_bytes + len(data) > self._most_bytes:
            self._left_out += 1
            return
        if self._left_out:
            left_out, self._left_out = self._left_out, 0
            self._give(f"warning: messages were left out here, as nobody read them: {left_out:,}\n".encode())
        self._give(data)

    def drain(self, stalled_s: float, is_stopped: Callable[[], bool] = lambda: False) -> bool:
        """Wait until all is written; whether it is. Gives up when nobody reads for ``stalled_s``."""
        taken, since_s = self._taken, time.monotonic()
        while self.waiting_bytes:
            time.sleep(_LOOK_S)
            if taken != self._taken:
                taken, since_s = self._taken, time.monotonic()
            elif time.monotonic() > since_s + stalled_s or is_stopped():
                return False
        return True

    def _give(self, data: bytes) -> None:
        self._given += len(data)
        self._pieces.put(data)

    def _write_all(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the main thread's
        while True:
            data = self._pieces.get()
            while data and not self.error:
                try:
                    size = os.write(self._descriptor, data[:_PIECE_BYTES])
                except BlockingIOError:
                    select.select((), [self._descriptor], (), 1.0)
                except OSError as error:
                    self.error = error
                else:
                    self._taken += size
                    data = data[size:]
            self._taken += len(data)


class _Raw(io.RawIOBase):
    """What a text stream writes to."""

    def __init__(self, outlet: Outlet, descriptor: int) -> None:
        self._outlet = outlet
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Any) -> int:
        self._outlet.write(bytes(data))
        return len(data)


_messages: list[Outlet] = []


def free_standard_error() -> None:
    """Put a stream in place of ``sys.stderr`` that holds up nobody. It is given ``LAST_S`` at the end."""
    if sys.stderr is None:  # it was closed when the process started
        return
    with suppress(OSError, ValueError, RuntimeError):  # then it stays as it is
        descriptor = sys.stderr.fileno()
        outlet = Outlet(descriptor)
        raw: Any = _Raw(outlet, descriptor)  # no buffer between: each text is written whole
        sys.stderr = io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)
        _messages.append(outlet)
        atexit.register(outlet.drain, LAST_S)


def is_held_up() -> bool:
    """Whether messages wait for somebody who reads them."""
    return any(outlet.waiting_bytes for outlet in _messages)


def drain_messages() -> None:
    """Wait for a moment until all messages are shown."""
    for outlet in _messages:
        outlet.drain(LAST_S)


def print_patiently(text: str, stalled_s: float, is_stopped: Callable[[], bool] = lambda: False) -> None:
    """Write to standard output, as long as somebody reads it. A closed pipe is no error.

    Raises:
        DestinationError: it cannot be written, or nobody has read it for ``stalled_s``, or until ``is_stopped``.
    """
    if sys.stdout is None:  # it was closed when the process started
        return
    outlet = Outlet(sys.stdout.fileno(), float("inf"))
    outlet.write(text.encode(errors="backslashreplace") + b"\n")
    is_written = outlet.drain(stalled_s, is_stopped)
    if outlet.error and outlet.error.errno != errno.EPIPE:
        raise DestinationError(f"standard output cannot be written: {outlet.error.strerror}")
    if not is_written:
        raise DestinationError("standard output is not complete: nobody read it")
