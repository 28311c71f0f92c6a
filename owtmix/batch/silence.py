"""How long runs have said nothing. Only time in which this process could listen counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

LONGEST_S: Final = 900.0
"""A run that says nothing for so long hangs: ``owt-main`` says something every few seconds, whatever it does, and a
machine that pages or waits for a disk is slow for minutes."""
SHOWN_S: Final = 60.0
"""From when on people are told."""
_MOST_S: Final = 5.0
"""Counts between two looks. After more this process was stopped or frozen, and the runs maybe with it."""


class Silence:
    """Runs, by any number."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked_s = clock()
        self._awake_s = 0.0
        self._heard_s: dict[int, float] = {}

    def look(self) -> None:
        """Called every few seconds, after what runs said was heard."""
        now_s = self._clock()
        self._awake_s += min(now_s - self._looked_s, _MOST_S)
        self._looked_s = now_s

    def hear(self, run: int) -> None:
        """A run begins, or says something."""
        self._heard_s[run] = self._awake_s

    def forget(self, run: int) -> None:
        """A run has ended."""
        self._heard_s.pop(run, None)

    def of(self, run: int) -> float:
        """For how many seconds a run has said nothing."""
        return self._awake_s - self._heard_s[run]
