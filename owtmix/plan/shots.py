"""Shots: what a tile shows over time, which is a file or the placeholder (docs/semantics.md, "Time").

The gaps of a recording are known in advance, so a frozen picture is replaced soon after its last frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from owtmix.base.time import TimeRange, parts_within
from owtmix.plan.timeline import PlacedClip

_EPSILON_S: Final = Fraction(1, 10**9)
"""Shorter than the time base of any container."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A range of output time in which a tile shows one file, or the placeholder when ``source`` is None.

    File time plus ``offset_s`` is output time. Only frames in ``[from_s, until_s)`` (output time) are shown: before it
    the first one of them, after it the last one.
    """

    span: TimeRange
    source: int | None
    offset_s: Fraction = Fraction(0)
    until_s: Fraction = Fraction(0)
    from_s: Fraction = Fraction(0)

    def file_time(self, t: Fraction) -> Fraction:
        """File time of the picture at output time ``t``."""
        return max(self.from_s, min(t, self.until_s - _EPSILON_S)) - self.offset_s


@dataclass(frozen=True, slots=True)
class PlaceholderRules:
    """When the placeholder replaces a missing picture, in seconds (``[timeline]`` in ``conf/owt.toml``)."""

    absence_s: Fraction
    gap_s: Fraction
    delay_s: Fraction


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a clip, in output time: it has pictures until ``end``, and the last one stays until ``held_s``.

    ``is_after_gap`` says that the clip's pictures pause before it, for longer than ``gap_s``.
    """

    placed: PlacedClip
    start: Fraction
    end: Fraction
    held_s: Fraction
    is_after_gap: bool


def build_shots(
    presence: Sequence[TimeRange], pictures: Sequence[PlacedClip], rules: PlaceholderRules, *, screen: bool
) -> tuple[Shot, ...]:
    """The shots of one stream, covering exactly ``presence``. ``pictures`` must be sorted and must not overlap.

    Where there is no picture for less than ``absence_s`` there is no placeholder: the last picture stays, and the first
    one of a visit is shown early.
    """
    shots: list[Shot] = []
    pending = deque(part for placed in pictures for part in _parts(placed, rules, screen=screen))
    for visit in presence:
        shown_to = placeholder_from = visit.start
        first = len(shots)
        while pending and pending[0].start < visit.end:
            part = pending.popleft()
            early = part.start
            if part.start - shown_to >= rules.absence_s or part.is_after_gap:
                _add_placeholder(shots, first, placeholder_from, part.start)
            elif len(shots) == first:
                early = visit.start
            else:
                shots[-1] = replace(shots[-1], span=TimeRange(shots[-1].span.start, part.start))
            span = TimeRange(early, part.held_s)
            from_s = part.start if early < part.start else Fraction(0)
            shots.append(Shot(span, part.placed.clip.source, part.placed.offset_s, part.held_s, from_s))
            shown_to, placeholder_from = part.end, part.held_s
        if visit.end - shown_to >= rules.absence_s or len(shots) == first:
            _add_placeholder(shots, first, placeholder_from, visit.end)
        else:
            shots[-1] = replace(shots[-1], span=TimeRange(shots[-1].span.start, visit.end))
    return tuple(shots)


def hide(shots: Sequence[Shot], hidden: Sequence[TimeRange]) -> tuple[Shot, ...]:
    """The shots with the placeholder in the ranges ``hidden``, which are sorted and do not touch."""
    found: list[Shot] = []
    for shot in shots:
        at = shot.span.start
        for part in parts_within(hidden, shot.span) if shot.source is not None else ():
            if at < part.start:
                found.append(replace(shot, span=TimeRange(at, part.start)))
            found.append(Shot(part, None))
            at = part.end
        if at < shot.span.end:
            found.append(replace(shot, span=TimeRange(at, shot.span.end)))
    return tuple(found)


def _add_placeholder(shots: list[Shot], first: int, start: Fraction, end: Fraction) -> None:
    """Show the placeholder in ``[start, end)``; ``first`` is the index of the first shot of the current visit."""
    if start < end:
        shots.append(Shot(TimeRange(start, end), None))
    elif len(shots) > first:
        shots[-1] = replace(shots[-1], span=TimeRange(shots[-1].span.start, end))


def _parts(placed: PlacedClip, rules: PlaceholderRules, *, screen: bool) -> Iterator[_Part]:
    """The parts of a clip with pictures: they are parted by gaps, except those of a shared screen."""
    track = placed.clip.video
    assert track is not None
    end = placed.span.end - placed.offset_s
    parts = []
    start = track.span.start
    sounds_end = max((sound.span.end for sound in placed.clip.sounds), default=track.last_s)
    if not screen:
        for gap in (gap for gap in track.gaps if gap.duration > rules.gap_s):
            parts.append((start, gap.start, min(gap.start + rules.delay_s, gap.end)))
            start = gap.end
    if not screen and sounds_end > track.last_s + rules.delay_s:
        parts.append((start, track.last_s, track.last_s + rules.delay_s))
    else:
        parts.append((start, end, end))
    is_after_gap = False
    for part in parts:
        start, end, held_s = (edge + placed.offset_s for edge in part)
        start, held_s = max(start, placed.span.start), min(held_s, placed.span.end)
        if start < held_s:
            yield _Part(placed, start, min(end, held_s), held_s, is_after_gap)
            is_after_gap = True
