"""What jobs took corrects what was guessed of the others: memory, and how long a unit of cost lasts."""

from __future__ import annotations

from collections import deque
from typing import Final

from owtmix.batch.cost import MAIN_BYTES

_KEPT: Final = 64
"""Jobs that corrections are made from, the last ones."""
_CAUTION: Final = 0.9
"""The share of jobs that took at most so much."""
_MARGIN: Final = 1.1


class Estimates:
    """Learns from jobs that ended."""

    def __init__(self) -> None:
        self._ratios: deque[float] = deque(maxlen=_KEPT)
        self._walls: deque[tuple[float, float]] = deque(maxlen=_KEPT)

    def learn_memory(self, guess_bytes: int, peak_mib: int) -> None:
        """A job for which ``guess_bytes`` were guessed had a process with ``peak_mib``."""
        if peak_mib > 0 and guess_bytes > 0:
            self._ratios.append((MAIN_BYTES + (peak_mib << 20)) / guess_bytes)

    def learn_time(self, cost: float, wall_s: float) -> None:
        """A job of ``cost`` is done after ``wall_s``."""
        self._walls.append((cost, wall_s))

    def memory_bytes(self, guess_bytes: int, peak_mib: int = 0) -> int:
        """What a job may take; ``peak_mib`` is of an earlier attempt, 0 without one."""
        if peak_mib > 0:
            return int((MAIN_BYTES + (peak_mib << 20)) * _MARGIN)
        if not self._ratios:
            return guess_bytes
        ratios = sorted(self._ratios)
        return int(guess_bytes * ratios[min(int(len(ratios) * _CAUTION), len(ratios) - 1)] * _MARGIN)

    def seconds(self, cost: float) -> float | None:
        """How long one job of ``cost`` takes; None while nobody knows."""
        known = sum(done for done, _ in self._walls)
        return cost * sum(wall_s for _, wall_s in self._walls) / known if known > 0 else None
