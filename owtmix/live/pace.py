"""How fast a mix is sent: as it is shown, so that no server gets more than a few seconds at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

MOST_AHEAD_S: Final = 3.0
"""What is sent at once after a pause, and no more."""
LONGEST_STEP_S: Final = 1.5
"""From one tag to the next; a longer step is where something is missing, and is not waited for."""


class Pace:
    """Time to send is earned as it passes, and spent by what is sent."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._earned_s = 0.0
        self._at_s = clock()

    def wait_s(self, step_s: float, speed: float) -> float:
        """How long to wait before a step of the mix, at ``speed``; 0 when it may be taken, and then it is spent."""
        now_s = self._clock()
        self._earned_s = min(MOST_AHEAD_S, self._earned_s + (now_s - self._at_s) * speed)
        self._at_s = now_s
        cost_s = step_s if 0 < step_s <= LONGEST_STEP_S else 0.0
        if cost_s > self._earned_s:
            return (cost_s - self._earned_s) / speed
        self._earned_s -= cost_s
        return 0.0
