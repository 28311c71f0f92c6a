"""The timestamps of a picture's frames in a file, which counts from its beginning."""

from __future__ import annotations

from typing import Final

from owtmix.recorder.file_plan import Container

PICTURE_HZ: Final = {"mp4": 90_000, "webm": 1000}
"""Ticks of a picture's time in a second, by container."""
_MOST_LEAD_S: Final = 3
"""By which a picture is decoded before it is shown."""
_US: Final = 1_000_000


class PictureTimes:
    """Gives timestamps that grow, whatever the times do.

    Args:
        container: Of the file.
        start_us: Its beginning, in microseconds since 1970.
        rate: Of what frames count, in a second.
    """

    def __init__(self, container: Container, start_us: int, rate: int) -> None:
        self._hz = PICTURE_HZ[container]
        self._start_us = start_us
        self._rate = rate
        self._last: int | None = None

    def place(self, at_us: int, lead: int) -> tuple[int, int] | None:
        """When the next frame is shown and decoded; None for one that comes far too late.

        Args:
            at_us: When it was captured, in microseconds since 1970.
            lead: By which it is decoded before, in units of what frames count.
        """
        pts = ticks(at_us - self._start_us, self._hz)
        wanted = pts - min(lead * self._hz // self._rate, _MOST_LEAD_S * self._hz)
        dts = wanted if self._last is None else max(wanted, self._last + 1)
        if dts - wanted > self._hz:
            return None
        self._last = dts
        return max(pts, dts), dts


def ticks(length_us: int, hz: int) -> int:
    """A length in microseconds as ticks, ``hz`` of which are a second."""
    return (length_us * hz + _US // 2) // _US
