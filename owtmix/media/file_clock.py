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
from numpy.typing import NDArray

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
FAR: Final = 3000
"""So many packets on either side of a break are looked through for some to compare."""
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


def may_repeat(log: TrackLog) -> bool:
    """Whether packets of sound seem to stand there twice, as far as their sizes tell."""
    return log.is_sound and bool(((np.diff(log.stamps_s) == 0) & (np.diff(log.prints) == 0)).any())


def tell_time(logs: Sequence[TrackLog], rules: ClockRules) -> list[TrackTime]:
    """The time of each track's packets; the tracks are those of one file."""
    tracks = [ClockTrack(log, suspicious_steps(log, rules)) for log in logs]
    for track in tracks:
        track.others = [other for other in tracks if other is not track]
    for track in tracks:
        track.mend_spikes()
        if track.log.is_sound:
            track.drop_repeated()
    _Clock(rules, tracks).decide_all()
    for track in tracks:
        track.extend(len(track.log.places))
        if track.log.is_sound:
            track.drop_overlaps()
            track.drop_surplus()
        track.time.shifts_s += track.mended_s
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
        self._near_s = 2 * self._beside_s
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
            if apart_s <= self._beside_s and abs(track.step(first) - other.step(after)) <= self._beside_s:
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
        by_s = partners[0][0].step(partners[0][1])
        # The least change after which none of them overlaps what came before.
        going_on = max(track.end - track.log.stamps_s[first] - track.shift for track, first in partners)
        told = [self._told_shift(*partners[0], other) for other in witnesses]
        earlier = [change for change in _shared_changes(partners) if abs(change - going_on) <= self._beside_s]
        returned = any(abs(change - going_on) <= SAME_S for change in earlier)
        returned |= all(track.returns(first, self._beside_s) for track, first in partners)
        is_pause = by_s <= self._lone_jump_s or any(shift is not None for shift in told)
        if by_s > 0 and is_pause and not returned:
            return
        if by_s < 0 and -by_s <= SMALL_STEP_BACK_S and not all(_is_restart(*partner) for partner in partners):
            for track, first in partners:
                track.start(first, track.shift, "step back", by_s)
            return
        change = earlier[0] if earlier else _wrapped(float(going_on))
        for track, first in partners:
            track.start(first, track.shift + change, "jump" if by_s > 0 else "restart", by_s)

    def _decide_alone(self, track: ClockTrack, first: int, witnesses: Sequence[ClockTrack]) -> None:
        """A step that one track makes alone."""
        gap = float(track.log.stamps_s[first]) + track.shift - track.end
        if gap < 0 and (found := track.note_return(first, -gap)) is not None:
            heappush(self._pending, (int(track.log.places[found]), self._tracks.index(track), found))
        told = self._told(track, first, witnesses)
        shift = self._unwitnessed_shift(track, first, gap) if told is None else self._witnessed_shift(track, told, gap)
        if gap > 0 and shift == track.shift:
            return
        kind: BreakKind = "jump" if gap > 0 else "step back" if shift == track.shift else "restart"
        if any(abs(shift - track.shift - wrap) <= SAME_S for wrap in (*WRAPS_S, *(-wrap for wrap in WRAPS_S))):
            kind = "wrap"
        track.start(first, shift, kind, gap)

    def _told(self, track: ClockTrack, first: int, witnesses: Sequence[ClockTrack]) -> float | None:
        """The shift that the first of ``witnesses`` tells; None when none of them was beside."""
        for other in witnesses:
            shift = self._told_shift(track, first, other)
            if shift is not None and not self._other_jumped(track, first, other, shift - track.shift):
                return shift
        return None

    def _witnessed_shift(self, track: ClockTrack, told: float, gap: float) -> float:
        """The shift after a step by ``gap``, beside a track that tells one: the same as before for a pause."""
        change = abs(told - track.shift)
        returns = change > SAME_S and any(abs(old - told) <= SAME_S for old in track.old_shifts)
        if not returns and change <= (self._beside_s if gap > 0 else max(SAME_S / 2, -gap / 2)):
            return track.shift
        stamp = track.end - track.shift + gap  # of the packet after the step
        return self._refined(track, told, track.end - stamp)

    def _unwitnessed_shift(self, track: ClockTrack, first: int, gap: float) -> float:
        """The shift after a step by ``gap`` with nothing beside: the same as before for a pause."""
        going_on = track.end - float(track.log.stamps_s[first])
        shift = self._refined(track, going_on, going_on)
        returns = track.returns(first, self._beside_s)
        if gap <= 0:
            is_set_right = -gap <= SMALL_STEP_BACK_S and not _is_restart(track, first)
            return track.shift if shift == going_on and is_set_right and not returns else shift
        is_break = gap > self._lone_jump_s or returns or track.ends_together(first, self._beside_s)
        if is_break or (shift in track.old_shifts and abs(shift - going_on) <= SAME_S):
            return shift
        track.unverified = first
        return track.shift

    def _other_jumped(self, track: ClockTrack, first: int, other: ClockTrack, change: float) -> bool:
        """Whether ``other`` jumped while ``track`` paused, which nobody could tell then; it is moved now."""
        jumped = other.unverified
        if jumped is None or abs(change) <= self._beside_s or other.log.places[jumped] < track.log.places[first - 1]:
            return False
        other.revise(jumped, -change)
        return True

    def _told_shift(self, track: ClockTrack, first: int, other: ClockTrack) -> float | None:
        """The shift that keeps the distance to the packets of ``other`` that lie beside; None when none do.

        Compared are packets that follow one of ``other`` in the file, so that tracks may lie in runs of some seconds.
        """
        undecided = other.next_step(int(other.last_before(track.log.places[first : first + 1])[0]))
        before, beside_before = self._followers(track, max(1, first - FAR), first, other)
        after, beside_after = self._followers(track, first, min(first + FAR, track.next_step(first)), other)
        before, beside_before = before[-COMPARED:], beside_before[-COMPARED:]
        near = (track.log.stamps_s[after] - track.log.stamps_s[first] <= self._near_s) & (beside_after < undecided)
        after, beside_after = after[near][:COMPARED], beside_after[near][:COMPARED]
        if not len(before) or not len(after) or not self._goes_on(track, first, other, undecided):
            return None
        # What lies before a pause of this track says where it was then.
        distance = float(np.median(track.corrected(before) - other.corrected(beside_before)))
        if abs(distance) > self._near_s:
            return None
        return distance - float(np.median(track.log.stamps_s[after] - other.corrected(beside_after)))

    @staticmethod
    def _followers(
        track: ClockTrack, first: int, after: int, other: ClockTrack
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The packets from ``first`` to ``after`` that follow one of ``other`` in the file, and that one of each."""
        beside = other.last_before(track.log.places[first - 1 : after])
        follows = (np.diff(beside) > 0) & (beside[1:] >= 0) & ~track.time.dropped[first:after]
        return np.arange(first, after)[follows], beside[1:][follows]

    def _goes_on(self, track: ClockTrack, first: int, other: ClockTrack, undecided: int) -> bool:
        """Whether ``other`` has packets soon before and soon after packet ``first``."""
        before = int(other.last_before(track.log.places[first : first + 1])[0])
        if before + 1 >= undecided:
            return False
        meanwhile = int(track.last_before(other.log.places[before + 1 : before + 2])[0])
        passed_s = track.log.stamps_s[meanwhile] - track.log.stamps_s[first]
        return bool(0 <= passed_s <= self._near_s)

    def _refined(self, track: ClockTrack, shift: float, going_on: float) -> float:
        """An old shift, a wrap, or going on without a hole, where that is about the same as ``shift``."""
        near = [old for old in track.old_shifts if abs(old - shift) <= self._beside_s]
        if near:
            return min(near, key=lambda old: abs(old - shift))
        wrapped = track.shift + _wrapped(shift - track.shift)
        if wrapped != shift:
            return wrapped
        return going_on if abs(going_on - shift) <= SAME_S else shift


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
