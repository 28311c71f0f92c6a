"""When a room has ended by itself (docs/service.md, "The end of a room"): pure, told the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from owtmix.base.ids import StreamId


@dataclass(slots=True)
class IdleClock:
    """Counts how long nobody has been in a room.

    It counts from the last frame of any stream, from that of ``key_stream`` once that came, or from the start when
    nobody came. Times in microseconds.

    Attributes:
        limit_us: The room has ended after so long (``IdleTime``).
        key_stream: The stream that counts alone, once it came.
        since_us: When the last frame that counts came.
    """

    limit_us: int
    key_stream: StreamId | None
    since_us: int
    _key_came: bool = False

    def heard(self, last_frames: Mapping[StreamId, int]) -> None:
        """Take the time of the last frame of each stream that is there."""
        if self.key_stream in last_frames:
            self._key_came = True
        counting = [at_us for stream, at_us in last_frames.items() if not self._key_came or stream == self.key_stream]
        self.since_us = max(self.since_us, *counting, 0)

    def skip(self, down_us: int) -> None:
        """The recorder was down: nobody could be heard."""
        self.since_us += down_us

    def has_ended(self, now_us: int) -> bool:
        return now_us - self.since_us >= self.limit_us
