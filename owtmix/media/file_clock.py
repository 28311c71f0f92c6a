"""The clock of a file: the packets' timestamps in, room time out, with the breaks named (docs/semantics.md, "Time").

Recorders write timestamps that wrap, step back, jump or start again. There are two more witnesses: a track's packets
lie in the file beside those of the other tracks, which were written at the same time; and a stretch of media lasts as
long as it lasts. Where a track's timestamps break, a constant shift puts the rest of it where the witnesses say.

Nothing here reads files: a track is the arrays of its packets, and the result is which shift applies from which packet
on, and which packets are left out.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from owtmix.media.sound_bursts import ROUNDING_S, surplus
from owtmix.plan.media_info import BreakKind, ClockRules

Seconds = NDArray[np.float64]

STEP_BACK_S: Final = 0.04
"""Smaller steps back are jitter: recorders round timestamps, and network delay varies."""
SMALL_STEP_BACK_S: Final = 3.0
"""The most by which a clock is set right. Larger steps back are a restart."""
SAME_S: Final = 0.25
"""Two answers to the same question that differ by less agree; the more exact one is used."""
WRAPS_S: Final = tuple(2**32 / hz for hz in (90_000, 48_000, 44_100, 16_000, 8_000, 1000))
"""After how many seconds 32-bit timestamps of the usual clocks begin anew."""
COMPARED: Final = 50
"""Packets on either side of a break whose distance to the other tracks is compared."""
MAX_SPIKE: Final = 5
"""So many packets that are ahead of those around them are a spike: only their timestamps are wrong."""
MAX_BREAKS: Final = 1000
"""After that many breaks of a track its time cannot be told: it is used up to there."""


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


def suspicious_steps(log: TrackLog, rules: ClockRules) -> list[int]:
    """The packets before which timestamps step back, or jump ahead by more than a short pause."""
    # The earliest timestamp of a packet and those that may be presented before it: rising when all is well.
    padded = np.concatenate((log.stamps_s, np.full(log.reordered, np.inf)))
    steps = np.diff(np.lib.stride_tricks.sliding_window_view(padded, log.reordered + 1).min(axis=1))
    ahead = np.flatnonzero(steps - log.lengths_s[:-1] > float(rules.jump_s)) + 1
    back = np.flatnonzero(steps < -STEP_BACK_S) + 1 + log.reordered
    return sorted({*ahead.tolist(), *back.tolist()})


def tell_time(logs: Sequence[TrackLog], rules: ClockRules) -> list[TrackTime]:
    """The time of each track's packets; the tracks are those of one file."""
    tracks = [_Track(log, suspicious_steps(log, rules)) for log in logs]
    for track in tracks:
        track.others = [other for other in tracks if other is not track]
    _Clock(rules, tracks).decide_all()
    for track in tracks:
        track.extend(len(track.log.places))
        if track.log.is_sound:
            track.drop_overlaps()
            track.drop_surplus()
        track.time.breaks.sort(key=lambda found: found.first)
    return [track.time for track in tracks]


class _Track:
    """One track while its time is being told: everything before packet ``known`` is decided."""

    def __init__(self, log: TrackLog, steps: list[int]) -> None:
        self.log = log
        self.steps = steps
        self.done: set[int] = set()
        self.others: list[_Track] = []
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


class _Clock:
    """Decides what each suspicious step means."""

    def __init__(self, rules: ClockRules, tracks: Sequence[_Track]) -> None:
        self._tracks = tracks
        self._pending = [
            (int(track.log.places[first]), number, first)
            for number, track in enumerate(tracks)
            for first in track.steps
        ]
        heapify(self._pending)
        self._beside_s = float(rules.beside_s)
        self._jump_s = float(rules.jump_s)
        self._lone_jump_s = float(rules.lone_jump_s)

    def decide_all(self) -> None:
        """Decide on all suspicious steps, in file order."""
        while self._pending:
            _, number, first = heappop(self._pending)
            track = self._tracks[number]
            if first not in track.done:
                self._decide(track, first)

    def _decide(self, track: _Track, first: int) -> None:
        """Decide on the step before packet ``first``, and on those of other tracks at the same place."""
        partners = [(track, first), *self._same_step(track, first)]
        for member, number in partners:
            member.done.add(number)
            member.extend(number)
        partners = [
            (member, number)
            for member, number in partners
            if not member.mend_spike(number) and not self._is_copy(member, number)
        ]
        if any(len(member.time.breaks) >= MAX_BREAKS for member, _ in partners):
            for member, number in partners:
                member.give_up(number)
            return
        witnesses = [other for other in track.others if all(other is not member for member, _ in partners)]
        if len(partners) == 1:
            self._decide_alone(*partners[0], witnesses)
        elif partners:
            self._decide_together(partners, witnesses)

    def _same_step(self, track: _Track, first: int) -> Iterator[tuple[_Track, int]]:
        """The other tracks that make about the same step at the same place in the file."""
        for other in track.others:
            before = int(other.last_before(track.log.places[first : first + 1])[0])
            after = other.next_step(before)
            if before < 0 or after == len(other.log.places) or after in other.done:
                continue
            meanwhile = int(track.last_before(other.log.places[after : after + 1])[0])
            if meanwhile >= track.next_step(first):
                continue
            apart_s = max(
                other.log.stamps_s[after - 1] - other.log.stamps_s[before],
                track.log.stamps_s[meanwhile] - track.log.stamps_s[first],
            )
            if apart_s <= self._beside_s and abs(_step(track, first) - _step(other, after)) <= self._beside_s:
                yield other, after

    def _is_copy(self, track: _Track, first: int) -> bool:
        """Whether copies of earlier packets begin here, which are left out."""
        copies = track.copies_from(first)
        if not copies:
            return False
        track.time.dropped[first : first + copies] = True
        lasts_s = float(track.log.lengths_s[first : first + copies].sum())
        track.time.breaks.append(Break("copy", first, float(track.log.stamps_s[first]) + track.shift, lasts_s))
        track.time.starts.append(first)
        following = first + copies
        if following < track.next_step(first) and track.log.stamps_s[following] + track.shift < track.end - STEP_BACK_S:
            # What follows the copies is not what followed the originals.
            insort(track.steps, following)
            heappush(self._pending, (int(track.log.places[following]), self._tracks.index(track), following))
        return True

    def _decide_together(self, partners: Sequence[tuple[_Track, int]], witnesses: Sequence[_Track]) -> None:
        """A step that several tracks make: a pause, a clock that was set right, or a start anew."""
        by_s = _step(*partners[0])
        end = max(track.end for track, _ in partners)
        start = min(float(track.log.stamps_s[first]) + track.shift for track, first in partners)
        told = [self._told_shift(*partners[0], other) for other in witnesses]
        returned = next(
            (old for old in partners[0][0].old_shifts if abs(start + old - partners[0][0].shift - end) <= SAME_S), None
        )
        is_pause = by_s <= self._lone_jump_s or any(shift is not None for shift in told)
        if by_s > 0 and is_pause and returned is None:
            return
        if by_s < 0 and -by_s <= SMALL_STEP_BACK_S and not all(_is_restart(*partner) for partner in partners):
            for track, first in partners:
                track.start(first, track.shift, "step back", by_s)
            return
        track, first = partners[0]
        change = _wrapped(end - start)
        for old in track.old_shifts:
            if abs(start + old - track.shift - end) <= self._beside_s:
                change = old - track.shift
                break
        for track, first in partners:
            track.start(first, track.shift + change, "jump" if by_s > 0 else "restart", by_s)

    def _decide_alone(self, track: _Track, first: int, witnesses: Sequence[_Track]) -> None:
        """A step that one track makes alone."""
        stamp = float(track.log.stamps_s[first])
        gap = stamp + track.shift - track.end
        going_on = track.end - stamp
        told = [shift for other in witnesses if (shift := self._told_shift(track, first, other)) is not None]
        if told:
            change = told[0] - track.shift
            if abs(change) <= (self._beside_s if gap > 0 else max(SAME_S / 2, -gap / 2)):
                if gap < 0:
                    track.start(first, track.shift, "step back", gap)
                return
            shift = self._refined(track, told[0], going_on)
        elif gap > 0:
            shift = self._refined(track, going_on, going_on)
            is_break = gap > self._lone_jump_s or self._returns(track, first) or self._ends_together(track, first)
            if not is_break and not (shift in track.old_shifts and abs(shift - going_on) <= SAME_S):
                return
        else:
            shift = self._refined(track, going_on, going_on)
            is_set_right = -gap <= SMALL_STEP_BACK_S and not _is_restart(track, first)
            if shift == going_on and is_set_right and not self._returns(track, first):
                shift = track.shift
        kind: BreakKind = "jump" if gap > 0 else "step back" if shift == track.shift else "restart"
        if any(abs(shift - track.shift - wrap) <= SAME_S for wrap in (*WRAPS_S, *(-wrap for wrap in WRAPS_S))):
            kind = "wrap"
        track.start(first, shift, kind, gap)

    def _told_shift(self, track: _Track, first: int, other: _Track) -> float | None:
        """The shift that keeps the distance to the packets of ``other`` that lie beside; None when none do."""
        before = np.arange(max(0, first - COMPARED), first)
        after = np.arange(first, min(first + COMPARED, track.next_step(first)))
        after = after[track.log.stamps_s[after] - track.log.stamps_s[first] <= self._beside_s]
        undecided = other.next_step(int(other.last_before(track.log.places[first : first + 1])[0]))
        end_place = other.log.places[undecided] if undecided < len(other.log.places) else other.log.places[-1] + 1
        after = after[track.log.places[after] <= end_place]
        beside_before, beside_after = (other.last_before(track.log.places[part]) for part in (before, after))
        before, beside_before = before[beside_before >= 0], beside_before[beside_before >= 0]
        if not len(before) or not len(after) or beside_after[0] < 0:
            return None
        if not beside_after[0] < beside_after[-1] < undecided and not self._goes_on(track, first, other, undecided):
            return None
        # What lies before a pause of this track says where it was then.
        distance = float(np.median(track.corrected(before) - other.corrected(beside_before)))
        if abs(distance) > self._beside_s:
            return None
        return distance - float(np.median(track.log.stamps_s[after] - other.corrected(beside_after)))

    def _goes_on(self, track: _Track, first: int, other: _Track, undecided: int) -> bool:
        """Whether ``other`` has packets soon before and soon after packet ``first``."""
        before = int(other.last_before(track.log.places[first : first + 1])[0])
        if before + 1 >= undecided:
            return False
        meanwhile = int(track.last_before(other.log.places[before + 1 : before + 2])[0])
        passed_s = track.log.stamps_s[meanwhile] - track.log.stamps_s[first]
        pause_s = other.log.stamps_s[before + 1] - other.log.stamps_s[before]
        return bool(0 <= passed_s <= self._beside_s and pause_s <= self._beside_s)

    def _refined(self, track: _Track, shift: float, going_on: float) -> float:
        """An old shift, a wrap, or going on without a hole, where that is about the same as ``shift``."""
        for old in track.old_shifts:
            if abs(old - shift) <= self._beside_s:
                return old
        wrapped = track.shift + _wrapped(shift - track.shift)
        if wrapped != shift:
            return wrapped
        return going_on if abs(going_on - shift) <= SAME_S else shift

    def _returns(self, track: _Track, first: int) -> bool:
        """Whether the next step leads back to where the track would be without what lies between."""
        after = track.next_step(first)
        if after == len(track.log.places):
            return False
        lasts_s = float(track.log.lengths_s[first:after].sum())
        returned_s = float(track.log.stamps_s[after]) + track.shift - track.end
        return -STEP_BACK_S <= returned_s <= lasts_s + self._beside_s

    def _ends_together(self, track: _Track, first: int) -> bool:
        """Whether the other tracks end before packet ``first``, and this one ends with them if it goes on."""
        after = track.next_step(first)
        if after < len(track.log.places) or not track.others:
            return False
        last = len(track.log.places) - 1
        end = track.end + float(track.log.stamps_s[last] - track.log.stamps_s[first] + track.log.lengths_s[last])
        ends = [other.end if other.known else -np.inf for other in self._finished(track, first)]
        return bool(ends) and abs(max(ends) - end) <= self._beside_s

    @staticmethod
    def _finished(track: _Track, first: int) -> Iterator[_Track]:
        """The other tracks, decided to their ends, if all of them end before packet ``first``."""
        if all(other.log.places[-1] < track.log.places[first] for other in track.others):
            for other in track.others:
                other.extend(len(other.log.places))
                yield other


def _step(track: _Track, first: int) -> float:
    """By how much the timestamp of packet ``first`` differs from the end of the packet before, in seconds."""
    log = track.log
    return float(log.stamps_s[first] - log.stamps_s[first - 1] - log.lengths_s[first - 1])


def _is_restart(track: _Track, first: int) -> bool:
    """Whether packet ``first`` has the timestamp with which the file began."""
    return abs(float(track.log.stamps_s[first] - track.log.stamps_s[0])) <= STEP_BACK_S


def _wrapped(change: float) -> float:
    """``change``, or the wrap of 32-bit timestamps that is about the same."""
    return next((wrap if change > 0 else -wrap for wrap in WRAPS_S if abs(abs(change) - wrap) <= SAME_S), change)
