"""What a tile shows over time: pictures of a file, the last picture held, or the placeholder card.

The tool knows the future, so nobody is shown frozen (semantics.md, "Time").
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from owtmix.base.time import TimeRange
from owtmix.plan.timeline import PlacedClip

JUST_BEFORE_S: Final = Fraction(1, 10**9)
"""Shorter than any container's tick."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A stretch of output time in which a tile shows one file, or the placeholder card where ``source`` is None.

    File time plus ``offset_s`` is output time; only frames presented before ``until_s`` (output time) are shown.
    """

    span: TimeRange
    source: int | None
    offset_s: Fraction = Fraction(0)
    until_s: Fraction = Fraction(0)

    def file_time(self, t: Fraction) -> Fraction:
        """The file time that is shown at output time ``t``."""
        return min(t, self.until_s - JUST_BEFORE_S) - self.offset_s


@dataclass(frozen=True, slots=True)
class PlaceholderRules:
    """How long a missing picture is covered up, in seconds (``conf/owt.toml``)."""

    absence_s: Fraction
    gap_s: Fraction
    delay_s: Fraction


def build_shots(
    presence: Sequence[TimeRange], pictures: Sequence[PlacedClip], patience: PlaceholderRules, *, screen: bool
) -> tuple[Shot, ...]:
    """The shots of one stream; they cover ``presence`` exactly. ``pictures`` are in order and do not overlap."""
    shots: list[Shot] = []
    coming = deque(pictures)
    for visit in presence:
        first = len(shots)
        while coming and coming[0].span.start < visit.end:
            placed = coming.popleft()
            _bridge(shots, first, visit.start, placed.span.start, patience.absence_s)
            shots.extend(_shots_of(placed, patience, screen=screen))
        _bridge(shots, first, visit.start, visit.end, patience.absence_s)
    return tuple(shots)


def _bridge(shots: list[Shot], first: int, start: Fraction, end: Fraction, absence_s: Fraction) -> None:
    """Cover the time up to ``end``: hold what was there for a short absence, else show the card."""
    if len(shots) > first:
        last = shots[-1]
        if end - last.span.end < absence_s:
            shots[-1] = replace(last, span=TimeRange(last.span.start, max(end, last.span.end)))
            return
        start = last.span.end
    if start < end:
        shots.append(Shot(TimeRange(start, end), None))


def _shots_of(placed: PlacedClip, patience: PlaceholderRules, *, screen: bool) -> Iterator[Shot]:
    """A placed clip, with the card wherever its camera has no picture for too long."""
    start, end = placed.span.start, placed.span.end
    for hidden in _hidden(placed, patience, screen=screen):
        hidden_start, hidden_end = max(start, hidden.start), min(end, hidden.end)
        if hidden_end <= hidden_start:
            continue
        if start < hidden_start:
            yield Shot(TimeRange(start, hidden_start), placed.clip.source, placed.offset_s, hidden_start)
        yield Shot(TimeRange(hidden_start, hidden_end), None)
        start = hidden_end
    if start < end:
        yield Shot(TimeRange(start, end), placed.clip.source, placed.offset_s, end)


def _hidden(placed: PlacedClip, patience: PlaceholderRules, *, screen: bool) -> Iterator[TimeRange]:
    """Output times, rising, without a picture: before the first, in a camera's gaps, after its last under sound."""
    track, sound, file = placed.clip.video, placed.clip.audio, placed.clip.span
    assert track is not None
    spans = [(file.start, track.span.start)]
    if not screen:
        spans += [(g.start + patience.delay_s, g.end) for g in track.gaps if g.duration > patience.gap_s]
        if sound and sound.span.end > track.last_s + patience.delay_s:
            spans.append((track.last_s + patience.delay_s, file.end))
    for start, end in spans:
        if start < end:
            yield TimeRange(start, end).shifted(placed.offset_s)
