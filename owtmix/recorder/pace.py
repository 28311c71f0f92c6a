"""How often something may happen that costs something each time: often for a while, and seldom for ever."""

from __future__ import annotations


class Pace:
    """Allows something ``most`` times in a row, and once more for each ``every_us`` that passes."""

    def __init__(self, most: int, every_us: int) -> None:
        self._most_us = most * every_us
        self._every_us = every_us
        self._left_us = self._most_us
        self._looked_us: int | None = None

    def allows(self, at_us: int) -> bool:
        """Whether it may happen now; then it counts. A clock that steps back gives nothing."""
        self._pass(at_us)
        is_allowed = self._left_us >= self._every_us
        self._left_us -= is_allowed * self._every_us
        return is_allowed

    def is_rested(self, at_us: int) -> bool:
        """Whether it is as if nothing had happened yet."""
        self._pass(at_us)
        return self._left_us == self._most_us

    def _pass(self, at_us: int) -> None:
        passed_us = max(0, at_us - self._looked_us) if self._looked_us is not None else 0
        self._left_us = min(self._most_us, self._left_us + passed_us)
        self._looked_us = at_us
