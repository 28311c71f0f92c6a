"""The times of a connection: from the mix's milliseconds to those of RTMP, which begin with 0 on each connection.

So do OBS and FFmpeg when they connect again, and so servers expect it: some buffer, cut or refuse a stream that begins
hours late. On one connection times go on over all segments, and over what was dropped.
"""

from __future__ import annotations

from typing import Final

_LONGEST_MS: Final = 60_000
"""From one tag to the next. A longer step, or one back, is no time of one mix: what follows goes on at once."""
_BACK_MS: Final = 1_000
"""Sound and picture of two segments overlap by less."""
_STEP_MS: Final = 40


class Timeline:
    """Of one connection."""

    def __init__(self) -> None:
        self._base_ms = 0
        self._last_ms: int | None = None
        self._placed: dict[int, int] = {}

    def step_ms(self, time_ms: int) -> int:
        """How far a tag is from the one before; 0 for the first one."""
        return 0 if self._last_ms is None else time_ms - self._last_ms

    def place(self, kind: int, time_ms: int) -> int:
        """The time of a tag, the next that is sent. Those of a kind never go back."""
        if self._last_ms is None:
            self._base_ms = time_ms
        elif not -_BACK_MS <= time_ms - self._last_ms <= _LONGEST_MS:
            self._base_ms = time_ms - max(self._placed.values()) - _STEP_MS
        self._last_ms = time_ms
        placed = max(time_ms - self._base_ms, self._placed.get(kind, 0))
        self._placed[kind] = placed
        return placed

    @property
    def now_ms(self) -> int:
        """The time of the last tag."""
        return max(self._placed.values(), default=0)
