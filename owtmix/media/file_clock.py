"""The clock of a file: the packets' timestamps in, room time out, with the breaks named (docs/semantics.md, "Time").

Recorders write timestamps that wrap, step back, jump or start again. There are two more witnesses: a track's packets
lie in the file beside those of the other tracks, which were written at the same time; and a stretch of media lasts as
long as it lasts. Where a track's timestamps break, a constant shift puts the rest of it where the witnesses say.

Nothing here reads files: a track is the arrays of its packets, and the result is which shift applies from which packet
on, and which packets are left out.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Final

import numpy as np

from owtmix.media.clock_track import STEP_BACK_S, Break, ClockTrack, TrackLog, TrackTime
from owtmix.plan.media_info import BreakKind, ClockRules

SMALL_STEP_BACK_S: Final = 3.0
"""The most by which a clock is set right. Larger steps back are a restart."""
SAME_S: Final = 0.25
"""Two answers to the same question that differ by less agree; the more exact one is used."""
WRAPS_S: Final = tuple(2**32 / hz for hz in (90_000, 48_000, 44_100, 16_000, 8_000, 1000))
"""After how many seconds 32-bit timestamps of the usual clocks begin anew."""
COMPARED: Final = 50
"""Packets on either side of a break whose distance to the other tracks is compared."""
MAX_BREAKS: Final = 1000
"""After that many breaks of a track its time cannot be told: it is used up to there."""


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
    tracks = [ClockTrack(log, suspicious_steps(log, rules)) for log in logs]
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


class _Clock:
    """Decides what each suspicious step means."""

    def __init__(self, rules: ClockRules, tracks: Sequence[ClockTrack]) -> None:
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

    def _decide(self, track: ClockTrack, first: int) -> None:
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

    def _same_step(self, track: ClockTrack, first: int) -> Iterator[tuple[ClockTrack, int]]:
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

    def _is_copy(self, track: ClockTrack, first: int) -> bool:
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

    def _decide_together(self, partners: Sequence[tuple[ClockTrack, int]], witnesses: Sequence[ClockTrack]) -> None:
        """A step that several tracks make: a pause, a clock that was set right, or a start anew."""
        by_s = _step(*partners[0])
        end = max(track.end for track, _ in partners)
        start = min(float(track.log.stamps_s[first]) + track.shift for track, first in partners)
        told = [self._told_shift(*partners[0], other) for other in witnesses]
        earlier = [change for change in _shared_changes(partners) if abs(start + change - end) <= self._beside_s]
        returned = any(abs(start + change - end) <= SAME_S for change in earlier)
        is_pause = by_s <= self._lone_jump_s or any(shift is not None for shift in told)
        if by_s > 0 and is_pause and not returned:
            return
        if by_s < 0 and -by_s <= SMALL_STEP_BACK_S and not all(_is_restart(*partner) for partner in partners):
            for track, first in partners:
                track.start(first, track.shift, "step back", by_s)
            return
        change = earlier[0] if earlier else _wrapped(end - start)
        for track, first in partners:
            track.start(first, track.shift + change, "jump" if by_s > 0 else "restart", by_s)

    def _decide_alone(self, track: ClockTrack, first: int, witnesses: Sequence[ClockTrack]) -> None:
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

    def _told_shift(self, track: ClockTrack, first: int, other: ClockTrack) -> float | None:
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

    def _goes_on(self, track: ClockTrack, first: int, other: ClockTrack, undecided: int) -> bool:
        """Whether ``other`` has packets soon before and soon after packet ``first``."""
        before = int(other.last_before(track.log.places[first : first + 1])[0])
        if before + 1 >= undecided:
            return False
        meanwhile = int(track.last_before(other.log.places[before + 1 : before + 2])[0])
        passed_s = track.log.stamps_s[meanwhile] - track.log.stamps_s[first]
        pause_s = other.log.stamps_s[before + 1] - other.log.stamps_s[before]
        return bool(0 <= passed_s <= self._beside_s and pause_s <= self._beside_s)

    def _refined(self, track: ClockTrack, shift: float, going_on: float) -> float:
        """An old shift, a wrap, or going on without a hole, where that is about the same as ``shift``."""
        for old in track.old_shifts:
            if abs(old - shift) <= self._beside_s:
                return old
        wrapped = track.shift + _wrapped(shift - track.shift)
        if wrapped != shift:
            return wrapped
        return going_on if abs(going_on - shift) <= SAME_S else shift

    def _returns(self, track: ClockTrack, first: int) -> bool:
        """Whether the next step leads back to where the track would be without what lies between."""
        after = track.next_step(first)
        if after == len(track.log.places):
            return False
        lasts_s = float(track.log.lengths_s[first:after].sum())
        returned_s = float(track.log.stamps_s[after]) + track.shift - track.end
        return -STEP_BACK_S <= returned_s <= lasts_s + self._beside_s

    def _ends_together(self, track: ClockTrack, first: int) -> bool:
        """Whether the other tracks end before packet ``first``, and this one ends with them if it goes on."""
        after = track.next_step(first)
        if after < len(track.log.places) or not track.others:
            return False
        last = len(track.log.places) - 1
        end = track.end + float(track.log.stamps_s[last] - track.log.stamps_s[first] + track.log.lengths_s[last])
        ends = [other.end if other.known else -np.inf for other in self._finished(track, first)]
        return bool(ends) and abs(max(ends) - end) <= self._beside_s

    @staticmethod
    def _finished(track: ClockTrack, first: int) -> Iterator[ClockTrack]:
        """The other tracks, decided to their ends, if all of them end before packet ``first``."""
        if all(other.log.places[-1] < track.log.places[first] for other in track.others):
            for other in track.others:
                other.extend(len(other.log.places))
                yield other


def _step(track: ClockTrack, first: int) -> float:
    """By how much the timestamp of packet ``first`` differs from the end of the packet before, in seconds."""
    log = track.log
    return float(log.stamps_s[first] - log.stamps_s[first - 1] - log.lengths_s[first - 1])


def _shared_changes(partners: Sequence[tuple[ClockTrack, int]]) -> list[float]:
    """The changes of shift that lead each of the tracks back to an earlier clock, the latest first."""
    return [
        old - partners[0][0].shift
        for old in partners[0][0].old_shifts
        if all(
            any(abs(other - track.shift - (old - partners[0][0].shift)) <= SAME_S for other in track.old_shifts)
            for track, _ in partners
        )
    ]


def _is_restart(track: ClockTrack, first: int) -> bool:
    """Whether packet ``first`` has the timestamp with which the file began."""
    return abs(float(track.log.stamps_s[first] - track.log.stamps_s[0])) <= STEP_BACK_S


def _wrapped(change: float) -> float:
    """``change``, or the wrap of 32-bit timestamps that is about the same."""
    return next((wrap if change > 0 else -wrap for wrap in WRAPS_S if abs(abs(change) - wrap) <= SAME_S), change)
