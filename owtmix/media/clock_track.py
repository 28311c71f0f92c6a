"""One track of a file while its time is being told, and what is known of it before and after."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from owtmix.media.sound_bursts import ROUNDING_S, surplus
from owtmix.plan.media_info import BreakKind

Seconds = NDArray[np.float64]

STEP_BACK_S: Final = 0.04
"""Smaller steps back are jitter: recorders round timestamps, and network delay varies."""
MAX_SPIKE: Final = 5
"""So many packets that are ahead of those around them are a spike: only their timestamps are wrong."""


@dataclass(frozen=True, slots=True)
class TrackLog:
    """The packets of one track, in file order: arrays of equal length, at least one packet.

    Attributes:
        places: int64, rising; the number of each packet among all packets of the file.
        stamps_s: float64; presentation times.
        lengths_s: float64, above 0; how long each packet's media lasts.
        prints: int64; equal for packets with the same content.
        is_sound: whether packets follow each other without overlap.
        reordered: how many packets may come before one that is presented earlier.
    """

    places: NDArray[np.int64]
    stamps_s: Seconds
    lengths_s: Seconds
    prints: NDArray[np.int64]
    is_sound: bool
    reordered: int = 0


@dataclass(frozen=True, slots=True)
class Break:
    """A place where a track's timestamps break: at packet ``first``, ``at_s`` (corrected), by ``by_s`` seconds."""

    kind: BreakKind
    first: int
    at_s: float
    by_s: float


@dataclass(slots=True)
class TrackTime:
    """The time of a track's packets.

    Attributes:
        shifts_s: float64; added to the timestamp of each packet.
        dropped: bool; packets that are left out.
        starts: the packets, besides the first, at which timestamps start anew.
        breaks: what was found, in file order.
    """

    shifts_s: Seconds
    dropped: NDArray[np.bool_]
    starts: list[int] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)


class ClockTrack:
    """One track while its time is being told: everything before packet ``known`` is decided."""

    def __init__(self, log: TrackLog, steps: list[int]) -> None:
        self.log = log
        self.steps = steps
        self.done: set[int] = set()
        self.others: list[ClockTrack] = []
        self.time = TrackTime(np.zeros(len(log.places)), np.zeros(len(log.places), np.bool_))
        self.shift = 0.0
        self.old_shifts: list[float] = []
        self.known = 0
        self.end = -np.inf

    def extend(self, first: int) -> None:
        """Apply the current shift up to packet ``first``."""
        part = slice(self.known, first)
        if self.known < first:
            self.time.shifts_s[part] = self.shift
            kept = ~self.time.dropped[part]
            ends = (self.log.stamps_s[part] + self.log.lengths_s[part])[kept] + self.shift
            self.end = max(self.end, float(ends.max(initial=-np.inf)))
            self.known = first

    def start(self, first: int, shift: float, kind: BreakKind, by_s: float) -> None:
        """Use another ``shift`` from packet ``first`` on."""
        self.extend(first)
        if shift != self.shift:
            self.old_shifts = [self.shift, *(old for old in self.old_shifts if old not in {self.shift, shift})]
            self.shift = shift
        self.time.starts.append(first)
        self.time.breaks.append(Break(kind, first, float(self.log.stamps_s[first]) + shift, by_s))

    def mend_spike(self, first: int) -> bool:
        """Put the packets just before ``first`` in their place, if they alone were ahead; returns whether they were."""
        stamps = self.log.stamps_s + 0.0
        stamps[: self.known] += self.time.shifts_s[: self.known]
        again = stamps[first] + self.shift
        spike = first
        while spike > max(0, first - MAX_SPIKE) and stamps[spike - 1] >= again:
            spike -= 1
        if not 0 < spike < first or (spike > 1 and stamps[spike - 1] > again):
            return False
        lasts_s = float(self.log.lengths_s[spike:first].sum())
        end = float(stamps[spike - 1] + self.log.lengths_s[spike - 1])
        ahead_s = float(stamps[spike]) - end
        if again < end - STEP_BACK_S or ahead_s < 2 * lasts_s:
            return False
        self.time.shifts_s[spike:first] += end - stamps[spike]
        self.time.breaks.append(Break("jump", spike, end, ahead_s))
        self.end = end + lasts_s
        return True

    def give_up(self, first: int) -> None:
        """Leave out everything from packet ``first`` on."""
        self.extend(first)
        self.time.dropped[first:] = True

    def next_step(self, first: int) -> int:
        """The first suspicious step after packet ``first``, else the number of packets."""
        place = bisect_right(self.steps, first)
        return self.steps[place] if place < len(self.steps) else len(self.log.places)

    def corrected(self, number: NDArray[np.int64]) -> Seconds:
        """The times of packets before the first one that is undecided and suspicious."""
        shifts = np.where(number < self.known, self.time.shifts_s[number], self.shift)
        return np.asarray(self.log.stamps_s[number] + shifts)

    def last_before(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of the last packet before each of ``places``; -1 for none."""
        return np.searchsorted(self.log.places, places) - 1

    def copies_from(self, first: int) -> int:
        """How many packets from ``first`` on are copies of earlier ones: same timestamp, same content."""
        log = self.log
        matches = np.flatnonzero(
            (log.stamps_s[:first] == log.stamps_s[first]) & (log.prints[:first] == log.prints[first])
        )
        if not len(matches):
            return 0
        earlier = int(matches[-1])
        most = min(first - earlier, self.next_step(first) - first)
        copied = slice(earlier, earlier + most)
        same = (log.stamps_s[first : first + most] == log.stamps_s[copied]) & (
            log.prints[first : first + most] == log.prints[copied]
        )
        return most if same.all() else int(np.argmin(same))

    def drop_overlaps(self) -> None:
        """Leave out sound, after each start, that lies before what was already heard."""
        stamps = self.log.stamps_s + self.time.shifts_s
        ends = stamps + self.log.lengths_s
        edges = [0, *self.time.starts, len(stamps)]
        heard = -np.inf
        for first, after in pairwise(edges):
            part = slice(first, after)
            self.time.dropped[part] |= stamps[part] < heard - ROUNDING_S
            heard = max(heard, float(ends[part][~self.time.dropped[part]].max(initial=-np.inf)))

    def drop_surplus(self) -> None:
        """Leave out the surplus of bursts."""
        kept = np.flatnonzero(~self.time.dropped)
        stamps = (self.log.stamps_s + self.time.shifts_s)[kept]
        lost = surplus(stamps, self.log.lengths_s[kept])
        if 2 * lost.sum() > len(kept):
            return  # timestamps that leave no room for half of the sound are no measure of it
        edges = np.flatnonzero(np.diff(lost, prepend=False, append=False))
        for first, after in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            self.time.dropped[kept[first:after]] = True
            lost_s = float(self.log.lengths_s[kept[first:after]].sum())
            self.time.breaks.append(Break("burst", int(kept[first]), float(stamps[first]), lost_s))
