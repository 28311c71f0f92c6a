"""SIGTERM, SIGINT and SIGHUP ask the batch to end: the first one drains it, the second one stops what runs."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Final

_ONE_REQUEST_S: Final = 0.5
"""Signals within this time are one request: ``timeout`` and shells send one to the process and one to its group."""


class SignalRequests:
    """Counts requests. Signals that were ignored when the process started (``nohup``) stay ignored."""

    def __init__(self) -> None:
        self.count = 0
        self._last_s = float("-inf")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if now_s >= self._last_s + _ONE_REQUEST_S:
            self.count += 1
            self._last_s = now_s
