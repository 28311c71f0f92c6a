"""One track of a file while its time is being told, and what is known of it before and after."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from owtmix.media.sound_bursts import ROUNDING_S, surplus
from owtmix.plan.media_info import BreakKind

Seconds = NDArray[np.float64]

STEP_BACK_S: Final = 0.04
"""Smaller steps back are jitter: recorders round timestamps, and network delay varies."""
TELLING: Final = 5
"""So many different packets that come again are copies."""
SOON: Final = 500
"""Timestamps that stepped back return within so many packets, or have not stepped back but started again."""
SPIKE_S: Final = 0.25
"""How exactly timestamps return after a spike."""
MAX_SPIKE: Final = 4
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
        self.unverified: int | None = None
        """The last jump ahead that was taken for a pause, since no other track was beside it."""
        self.mended_s = np.zeros(len(log.places))
        """What was added to the timestamps of spikes before anything was decided."""
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

    def drop_repeated(self) -> None:
        """Leave out packets that repeat the one before: same timestamp, same content."""
        log = self.log
        again = (np.diff(log.stamps_s) == 0) & (np.diff(log.prints) == 0)
        if again.any():
            self.time.dropped[1:] |= again
            first = int(np.argmax(again)) + 1
            lasts_s = float(log.lengths_s[1:][again].sum())
            self.time.breaks.append(Break("copy", first, float(log.stamps_s[first]), lasts_s))

    def note_return(self, first: int, by_s: float) -> int | None:
        """The packet after ``first`` at which timestamps step ahead again by about ``by_s``; it is a step from now on.

        None when there is none soon.
        """
        last = min(self.next_step(first), first + SOON)
        steps = np.diff(self.log.stamps_s[first:last]) - self.log.lengths_s[first : last - 1]
        back = np.flatnonzero(steps >= by_s / 2)
        if not len(back):
            return None
        found = first + int(back[0]) + 1
        insort(self.steps, found)
        return found

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

    def mend_spikes(self) -> None:
        """Put up to ``MAX_SPIKE`` packets that alone leave the timestamps around them, and return, in their place."""
        stamps, lengths = self.log.stamps_s.copy(), self.log.lengths_s
        left = []
        steps = iter([*self.steps, len(stamps)])
        first = next(steps)
        for after in steps:
            lasts_s = float(lengths[first:after].sum())
            end = float(stamps[first - 1] + lengths[first - 1])
            if after < len(stamps) and after - first <= MAX_SPIKE and abs(stamps[after] - end - lasts_s) <= SPIKE_S:
                by_s = float(stamps[first]) - end
                self.time.breaks.append(Break("jump" if by_s > 0 else "step back", first, end, by_s))
                self.mended_s[first:after] = -by_s
                stamps[first:after] -= by_s
                after = next(steps, len(stamps))  # noqa: PLW2901 - the return is no step any more
            else:
                left.append(first)
            first = after
        self.steps = left
        self.log = replace(self.log, stamps_s=stamps)

    def revise(self, first: int, change: float) -> None:
        """Move everything from packet ``first`` on by ``change``: it was a jump and no pause."""
        self.time.shifts_s[first : self.known] += change
        self.old_shifts.insert(0, self.shift)
        self.shift += change
        self.unverified = None
        self.time.starts = sorted({*self.time.starts, first})
        at_s = float(self.log.stamps_s[first]) + self.shift
        self.time.breaks.append(Break("jump", first, at_s, -change))
        kept = ~self.time.dropped[: self.known]
        ends = (self.log.stamps_s + self.log.lengths_s)[: self.known] + self.time.shifts_s[: self.known]
        self.end = float(ends[kept].max(initial=-np.inf))

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
        count = most if same.all() else int(np.argmin(same))
        # Packets of silence are all the same: they are no copies of each other.
        return count if len(set(log.prints[first : first + count].tolist())) >= min(TELLING, most) else 0

    def returns(self, first: int, within_s: float) -> bool:
        """Whether the next step leads back to where the track would be without what lies between."""
        after = self.next_step(first)
        if after == len(self.log.places):
            return False
        lasts_s = float(self.log.lengths_s[first:after].sum())
        returned_s = float(self.log.stamps_s[after]) + self.shift - self.end
        there_and_back_s = self.step(first) + self.step(after)
        return abs(returned_s - lasts_s) <= within_s and abs(there_and_back_s) <= within_s

    def step(self, first: int) -> float:
        """By how much the timestamp of packet ``first`` differs from the end of the packet before, in seconds."""
        return float(self.log.stamps_s[first] - self.log.stamps_s[first - 1] - self.log.lengths_s[first - 1])

    def ends_together(self, first: int, within_s: float) -> bool:
        """Whether the other tracks end before packet ``first``, and this one ends with them if it goes on."""
        after = self.next_step(first)
        if after < len(self.log.places) or not self.others:
            return False
        last = len(self.log.places) - 1
        end = self.end + float(self.log.stamps_s[last] - self.log.stamps_s[first] + self.log.lengths_s[last])
        ends = [other.end if other.known else -np.inf for other in self._finished(first)]
        return bool(ends) and abs(max(ends) - end) <= within_s

    def _finished(self, first: int) -> Iterator[ClockTrack]:
        """The other tracks, decided to their ends, if all of them end before packet ``first``."""
        if all(other.log.places[-1] < self.log.places[first] for other in self.others):
            for other in self.others:
                other.extend(len(other.log.places))
                yield other

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
