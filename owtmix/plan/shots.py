"""Shots: what a tile shows over time, which is a file or the placeholder (docs/semantics.md, "Time").

The gaps of a recording are known in advance, so a frozen picture is replaced soon after its last frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from owtmix.base.time import TimeRange
from owtmix.plan.timeline import PlacedClip

_EPSILON_S: Final = Fraction(1, 10**9)
"""Shorter than the time base of any container."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A range of output time in which a tile shows one file, or the placeholder when ``source`` is None.

    File time plus ``offset_s`` is output time. Only frames before ``until_s`` (output time) are shown; after it the
    last one is held.
    """

    span: TimeRange
    source: int | None
    offset_s: Fraction = Fraction(0)
    until_s: Fraction = Fraction(0)

    def file_time(self, t: Fraction) -> Fraction:
        """File time of the picture at output time ``t``."""
        return min(t, self.until_s - _EPSILON_S) - self.offset_s


@dataclass(frozen=True, slots=True)
class PlaceholderRules:
    """When the placeholder replaces a missing picture, in seconds (``[timeline]`` in ``conf/owt.toml``)."""

    absence_s: Fraction
    gap_s: Fraction
    delay_s: Fraction


def build_shots(
    presence: Sequence[TimeRange], pictures: Sequence[PlacedClip], rules: PlaceholderRules, *, screen: bool
) -> tuple[Shot, ...]:
    """The shots of one stream, covering exactly ``presence``. ``pictures`` must be sorted and must not overlap."""
    shots: list[Shot] = []
    pending = deque(pictures)
    for visit in presence:
        first = len(shots)
        while pending and pending[0].span.start < visit.end:
            placed = pending.popleft()
            _fill_gap(shots, first, visit.start, placed.span.start, rules.absence_s)
            shots.extend(_shots_of(placed, rules, screen=screen))
        _fill_gap(shots, first, visit.start, visit.end, rules.absence_s)
    return tuple(shots)


def _fill_gap(shots: list[Shot], first: int, start: Fraction, end: Fraction, absence_s: Fraction) -> None:
    """Extend ``shots`` to ``end``: hold the last picture over a gap below ``absence_s``, else add the placeholder.

    ``first`` is the index of the first shot of the current visit, which began at ``start``.
    """
    if len(shots) > first:
        last = shots[-1]
        if end - last.span.end < absence_s:
            shots[-1] = replace(last, span=TimeRange(last.span.start, max(end, last.span.end)))
            return
        start = last.span.end
    if start < end:
        shots.append(Shot(TimeRange(start, end), None))


def _shots_of(placed: PlacedClip, rules: PlaceholderRules, *, screen: bool) -> Iterator[Shot]:
    """The shots of one clip, with placeholders where it has no picture for too long."""
    start, end = placed.span.start, placed.span.end
    for hidden in _picture_gaps(placed, rules, screen=screen):
        hidden_start, hidden_end = max(start, hidden.start), min(end, hidden.end)
        if hidden_end <= hidden_start:
            continue
        if start < hidden_start:
            yield Shot(TimeRange(start, hidden_start), placed.clip.source, placed.offset_s, hidden_start)
        yield Shot(TimeRange(hidden_start, hidden_end), None)
        start = hidden_end
    if start < end:
        yield Shot(TimeRange(start, end), placed.clip.source, placed.offset_s, end)


def _picture_gaps(placed: PlacedClip, rules: PlaceholderRules, *, screen: bool) -> Iterator[TimeRange]:
    """Ranges of output time, sorted, in which the placeholder replaces the picture of a clip.

    For any stream this is before the first frame; for a camera also in gaps, and after the last frame when the sound
    continues.
    """
    track, sound, file = placed.clip.video, placed.clip.audio, placed.clip.span
    assert track is not None
    spans = [(file.start, track.span.start)]
    if not screen:
        spans += [(g.start + rules.delay_s, g.end) for g in track.gaps if g.duration > rules.gap_s]
        if sound and sound.span.end > track.last_s + rules.delay_s:
            spans.append((track.last_s + rules.delay_s, file.end))
    for start, end in spans:
        if start < end:
            yield TimeRange(start, end).shifted(placed.offset_s)
