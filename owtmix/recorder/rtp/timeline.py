"""RTP numbers wrap: sequence numbers after 65,536 packets, time after half a day. Both are unwrapped here."""

from __future__ import annotations

from typing import Final

MAX_GAP: Final = 1000
"""Packets. A longer jump of sequence numbers is another beginning, or garbage."""
MAX_JUMP_S: Final = 10
"""Longest difference between how far RTP time and the clock went on, from one frame to the next."""

_SEQUENCES: Final = 1 << 16
_TIMES: Final = 1 << 32


class SequenceUnwrapper:
    """Sequence numbers without wrapping, as in RFC 3550, appendix A.1.

    A number far from the newest counts when the next one follows it: then the sender began anew.
    """

    def __init__(self) -> None:
        self.highest: int | None = None
        self._doubted: int | None = None

    def unwrap(self, sequence: int) -> tuple[int, bool] | None:
        """The number unwrapped and whether the sender began anew; None for a number that is in doubt."""
        if self.highest is None:
            self.highest = _SEQUENCES + sequence
            return self.highest, False
        ahead = (sequence - self.highest) % _SEQUENCES
        if ahead > _SEQUENCES - MAX_GAP:
            return self.highest + ahead - _SEQUENCES, False
        is_new = ahead > MAX_GAP
        if is_new and sequence != self._doubted:
            self._doubted = (sequence + 1) % _SEQUENCES
            return None
        self._doubted = None
        self.highest += ahead
        return self.highest, is_new


class Timeline:
    """RTP time without wrapping. Time that jumps where the clock does not begins another timeline, with a new number.

    Args:
        rate: Units of RTP time in a second.
        number: Of the first timeline.
    """

    def __init__(self, rate: int, number: int) -> None:
        self.number = number
        self._rate = rate
        self._last: tuple[int, int] | None = None

    def place(self, timestamp: int, at_us: int) -> int:
        """The time of a frame that came at ``at_us`` by a clock that never jumps."""
        placed = self.near(timestamp, at_us)
        if placed is None:
            if self._last is not None:
                self.number += 1
            placed = timestamp
        self._last = placed, at_us
        return placed

    def near(self, timestamp: int, at_us: int) -> int | None:
        """The time that ``timestamp`` means at ``at_us``, or None where that is far from the timeline."""
        if self._last is None:
            return None
        last, last_us = self._last
        expected = last + (at_us - last_us) * self._rate // 1_000_000
        placed = expected + (timestamp - expected + _TIMES // 2) % _TIMES - _TIMES // 2
        return placed if abs(placed - expected) <= MAX_JUMP_S * self._rate else None
