"""Where sounds are on the output, and where they are silent."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from operator import methodcaller

from owtmix.base.time import TimeRange
from owtmix.plan.course import StateSpan, where_not
from owtmix.plan.jumps import merge_ranges
from owtmix.plan.model import AudioPlacement
from owtmix.plan.timeline import PlacedClip, Timeline


def sound_placements(timeline: Timeline, states: Sequence[StateSpan]) -> tuple[AudioPlacement, ...]:
    """Where each track sounds. The parts of a clip that updates leave are one placement with silence between them."""
    found = []
    for stream, sounds in timeline.sounds.items():
        hears = methodcaller("hears", stream)
        together: dict[tuple[int, Fraction], list[PlacedClip]] = {}
        for placed in sounds:
            together.setdefault((placed.clip.source, placed.offset_s), []).append(placed)
        for parts in together.values():
            span = TimeRange(parts[0].span.start, parts[-1].span.end)
            gaps = [TimeRange(a.span.end, b.span.start) for a, b in pairwise(parts) if a.span.end < b.span.start]
            silent = merge_ranges([*gaps, *where_not(states, span, hears)], Fraction(0))
            if (span,) != silent:
                found += [
                    AudioPlacement(parts[0].clip.source, track, span, parts[0].offset_s, silent)
                    for track in parts[0].clip.sounds
                ]
    return tuple(found)
