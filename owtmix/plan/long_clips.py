"""Clips that claim to last longer than an output may: they are cut, so that nobody else suffers for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from typing import Final

from owtmix.base.time import TimeRange, timecode
from owtmix.plan.jumps import Jump, ahead_of, jumps_between, merge_ranges
from owtmix.plan.media_info import Clip

_LEAST_S: Final = Fraction(1)
"""So much is left of a clip."""

Room = list[tuple[Clip, TimeRange]]
"""Clips, and when they are in index time."""


def cut_to_fit(clips: Sequence[Clip], longest_s: Fraction, idle_s: Fraction, *, keep_gaps: bool) -> Room:
    """The clips in index time, with those cut that claim to last longer than ``longest_s``, the longest output.

    They end with the longest output, or earlier where the others come so late that it would still be too long.
    ``idle_s`` and ``keep_gaps`` are as for ``jumps_between``.
    """
    room = [(clip, _index_range(clip, longest_s)) for clip in clips]
    liars = {number for number, clip in enumerate(clips) if _claimed_s(clip) > longest_s}
    if not liars:
        return room

    def cut(ends: Callable[[TimeRange], Fraction]) -> Room:
        return [
            (clip, TimeRange(span.start, max(span.start + _LEAST_S, min(span.end, ends(span)))))
            if number in liars
            else (clip, span)
            for number, (clip, span) in enumerate(room)
        ]

    course = partial(_course, idle_s=idle_s, keep_gaps=keep_gaps)
    jumps, _ = course(room)
    found = cut(lambda span: longest_s + ahead_of(jumps, span.start))
    others = [entry for number, entry in enumerate(room) if number not in liars]
    if not others or course(found)[1] <= longest_s:
        return found
    # A clip makes the output longer by no more than it lasts, and a gap of IdleTime.
    left_s = (longest_s - course(others)[1]) / len(liars) - idle_s
    return cut(lambda span: span.start + left_s)


def cut_warnings(room: Iterable[tuple[Clip, TimeRange]], longest_s: Fraction) -> Iterator[str]:
    """A warning for each clip that was cut."""
    for clip, span in room:
        if (claimed_s := _claimed_s(clip)) > longest_s:
            lasts, limit, cut = (timecode(s) for s in (claimed_s, longest_s, span.duration))
            yield f"{clip.recording.key} claims to last {lasts}, more than the limit of {limit}: it is cut after {cut}"


def _course(room: Room, idle_s: Fraction, *, keep_gaps: bool) -> tuple[Sequence[Jump], Fraction]:
    """The jumps of the output of ``room``, and how long it lasts, without regard to ``KeyStream``."""
    spans = merge_ranges((span for _, span in room), Fraction(0))
    jumps, _ = jumps_between(spans, idle_s, keep_gaps=keep_gaps)
    return jumps, spans[-1].end - jumps[-1].ahead_s


def _index_range(clip: Clip, longest_s: Fraction) -> TimeRange:
    """Index time of a clip: its first packet is at ``StartTime``, and ``EndTime`` bounds it.

    The last picture of a shared screen stands until ``EndTime``.
    """
    start = clip.recording.start_s
    return TimeRange(start, start + min(_claimed_s(clip), longest_s))


def _claimed_s(clip: Clip) -> Fraction:
    """How long a clip lasts, by its file and by the index."""
    if clip.recording.end_s is None:
        return clip.span.duration
    stated_s = clip.recording.end_s - clip.recording.start_s
    return stated_s if clip.video and clip.recording.stream.is_screen else min(clip.span.duration, stated_s)
