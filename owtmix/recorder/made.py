"""What a worker says of a recording that it has made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Made:
    """A file that begins at ``start_us`` and ends at ``end_us``, in microseconds since 1970.

    It has so many ``pictures`` and ``packets`` of sound; ``damaged`` ones were left out.
    """

    start_us: int
    end_us: int
    pictures: int
    packets: int
    damaged: int
