"""Says why jobs wait that could run: once for each reason, when it lasts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

_log = logging.getLogger(__name__)

SAID_AFTER_S: Final = 5.0
"""Shorter waits are ordinary: another job ends."""


class Waiting:
    """Is told whenever a job does not begin, and when one does."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since_s: dict[str, float] = {}
        self._said: set[str] = set()

    def note(self, why: str) -> None:
        """A job waits; ``why`` goes on a sentence that begins with "waits"."""
        now_s = self._clock()
        if why not in self._said and now_s >= self._since_s.setdefault(why, now_s) + SAID_AFTER_S:
            self._said.add(why)
            _log.info("waits%s", why)

    def end(self) -> None:
        """A job begins."""
        self._since_s.clear()
