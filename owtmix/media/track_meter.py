"""What measuring a track's packets has in common for pictures and sound: their log, and its time."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from fractions import Fraction
from itertools import count
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from owtmix.media.clock_track import TrackLog, TrackTime
from owtmix.plan.media_info import Section, TimeBreak

MAX_TIMESTAMP: Final = 2**61
"""Timestamps are clipped to this, in ticks: larger ones are broken, and differences would overflow."""
MICROSECONDS: Final = 1_000_000

_places = count()
"""Numbers packets in the order in which they are read."""

Ticks = NDArray[np.int64]
"""Timestamps in a stream's time base: int64 (n,). Lists of a day's frames would take a gigabyte."""


def clipped(ticks: int) -> int:
    """A timestamp within ``MAX_TIMESTAMP``."""
    return max(-MAX_TIMESTAMP, min(ticks, MAX_TIMESTAMP))


class PacketTable:
    """The packets of a track that are presented, in file order.

    Args:
        time_base: seconds per tick.
        kind: what the track is, in words.
    """

    def __init__(self, time_base: Fraction, kind: Literal["picture", "sound"]) -> None:
        self.time_base = time_base
        self.kind = kind
        self._places = array("q")
        self._positions = array("q")
        self._numbers = array("q")
        self._pts = array("q")
        self._prints = array("q")
        self._time: TrackTime | None = None

    def __len__(self) -> int:
        return len(self._pts)

    def add(self, number: int, pts: int, position: int, size: int) -> None:
        """Add a packet: its number in the track, its timestamp, its byte position in the file, and its size."""
        self._places.append(next(_places))
        self._positions.append(position)
        self._numbers.append(number)
        self._pts.append(clipped(pts))
        self._prints.append(size)

    def extend(self, numbers: Ticks, pts: Ticks, positions: Ticks, sizes: Ticks) -> None:
        """Add many packets at once; the arguments are as those of ``add``."""
        # Packets of other tracks lie between: ``use_positions`` orders them.
        self._places.extend(positions.tolist())
        columns = (self._numbers, self._pts, self._positions, self._prints)
        for column, values in zip(columns, (numbers, pts, positions, sizes), strict=True):
            column.frombytes(np.ascontiguousarray(values, np.int64).tobytes())

    def set_contents(self, contents: Sequence[int]) -> None:
        """Tell packets apart by ``contents``, one for each packet of the track, instead of by their sizes."""
        self._prints = array("q", (contents[number] for number in self._numbers))

    @property
    def is_laid_out_in_order(self) -> bool:
        """Whether the packets lie in the file in the order in which they are read."""
        positions = np.asarray(self._positions)
        return bool(positions[0] >= 0 and (np.diff(positions) >= 0).all())

    def use_positions(self) -> None:
        """Order packets by their bytes' positions: a demuxer of MP4 sorts them by timestamps."""
        self._places = self._positions

    @property
    def last_pts(self) -> int:
        """The timestamp of the last packet, in ticks and as the container has it."""
        return self._pts[-1]

    def log(
        self, lengths_s: NDArray[np.float64], *, stamps: Sequence[int] | None = None, reordered: int = 0
    ) -> TrackLog:
        """The table for the file's clock.

        Args:
            lengths_s: float64 (n,), the media in each packet.
            stamps: timestamps in ticks, in place of those of the presentation.
            reordered: how many packets may come before one that is presented earlier.
        """
        stamps_s = np.asarray(self._pts if stamps is None else stamps, np.float64) * float(self.time_base)
        return TrackLog(
            np.asarray(self._places), stamps_s, lengths_s, np.asarray(self._prints), self.kind == "sound", reordered
        )

    def set_time(self, time: TrackTime) -> None:
        """Use corrected times from now on."""
        self._time = time

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Bool (n,): the packets that are used."""
        return np.ones(len(self), np.bool_) if self._time is None else ~self._time.dropped

    @property
    def ticks(self) -> Ticks:
        """int64 (n,): the corrected timestamps, in ticks."""
        pts = np.asarray(self._pts, np.int64)
        return pts if self._time is None else pts + self._shifts(self._time)

    def corrected(self, number: int, seconds: Fraction) -> Fraction:
        """The file time that packet ``number`` of the track gives to a timestamp of ``seconds``."""
        if self._time is None:
            return seconds
        place = max(0, int(np.searchsorted(np.asarray(self._numbers), number, side="right")) - 1)
        return seconds + int(self._shifts(self._time)[place]) * self.time_base

    @property
    def starts(self) -> list[int]:
        """The packets, besides the first, at which timestamps start anew, counted without those left out."""
        if self._time is None:
            return []
        before = np.concatenate(([0], np.cumsum(self.kept)))
        return sorted({int(before[start]) for start in self._time.starts} - {0, int(before[-1])})

    def sections(self) -> tuple[Section, ...]:
        """The corrections, for readers."""
        if self._time is None:
            return ()
        numbers, dropped, shifts = np.asarray(self._numbers), self._time.dropped, self._shifts(self._time)
        changed = (np.diff(shifts) != 0) | (np.diff(dropped.astype(np.int8)) != 0)
        firsts = [0, *(np.flatnonzero(changed) + 1).tolist()]
        sections = [Section(int(numbers[i]), None if dropped[i] else int(shifts[i])) for i in firsts]
        return tuple(sections) if sections != [Section(int(numbers[0]), 0)] else ()

    def breaks(self) -> tuple[TimeBreak, ...]:
        """What is wrong with the timestamps."""
        return tuple(
            TimeBreak(self.kind, found.kind, _microseconds(found.at_s), _microseconds(found.by_s))
            for found in (self._time.breaks if self._time else ())
        )

    def _shifts(self, time: TrackTime) -> Ticks:
        return np.rint(time.shifts_s / float(self.time_base)).astype(np.int64)


def use_positions(tables: Sequence[PacketTable]) -> None:
    """Order the packets of a file by their positions in it, where each track lies in its own order."""
    if all(table.is_laid_out_in_order for table in tables):
        for table in tables:
            table.use_positions()


def _microseconds(seconds: float) -> Fraction:
    return Fraction(round(seconds * MICROSECONDS), MICROSECONDS)
