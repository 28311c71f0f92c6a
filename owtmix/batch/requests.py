"""SIGTERM, SIGINT and SIGHUP ask the batch to end.

Before jobs run, the first one ends it at once: nothing is lost by that. While they run, the first one drains it, and
the second one stops them.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from owtmix.base.errors import Interrupted

_ONE_REQUEST_S: Final = 0.5
"""Signals within this time are one request: ``timeout`` and shells send one to the process and one to its group."""
_LATEST_S: Final = 1.5
"""After so long the process ends, whatever its main thread does."""
_WATCHED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def hear_signals() -> None:
    """Undo what a parent may have set: signals that it blocked are heard, and ends of children that it ignored."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


class SignalRequests:
    """Counts requests. Signals that were ignored when the process started (``nohup``) stay ignored.

    Outside of ``counting`` the first request raises Interrupted in the main thread. If that does not end the process
    soon, or with a second request, it ends without more ado.
    """

    def __init__(self) -> None:
        self.count = 0
        self._counts_only = False
        self._last_s = float("-inf")
        for number in _WATCHED:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._note)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Only count requests in the block, which looks at them.

        Raises:
            Interrupted: there was one, and the block has ended without an error.
        """
        self.count_only()
        try:
            yield
        finally:
            self._counts_only = False
            if self.count:
                self._end_soon()
        if self.count:
            raise Interrupted("stopped by a signal")

    def count_only(self) -> None:
        """Only count requests from now on: who looks at them ends what runs."""
        self._counts_only = True

    def _note(self, number: int, _frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if now_s < self._last_s + _ONE_REQUEST_S:
            return
        self.count += 1
        self._last_s = now_s
        if self._counts_only:
            return
        if self.count > 1:
            os._exit(Interrupted.exit_status)
        self._end_soon()
        raise Interrupted(f"stopped by {signal.Signals(number).name}")

    @staticmethod
    def _end_soon() -> None:
        """End the process some time from now, even if its main thread is stuck."""
        timer = threading.Timer(_LATEST_S, os._exit, (Interrupted.exit_status,))
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # there are too many threads
            os._exit(Interrupted.exit_status)
