"""When each source is needed, in output time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final

from owtmix.base.time import TimeRange
from owtmix.plan.model import RenderPlan

SOUND_S: Final = Fraction(1)
"""More of the sound is never mixed at once."""


def source_usage(plan: RenderPlan, chunks: Sequence[range], *, sound: bool) -> dict[int, TimeRange]:
    """From when to when, in output time, each source is needed for ``chunks`` of the picture, and for the sound."""
    uses: dict[int, TimeRange] = {}
    for source, span in (*_seen(plan, chunks), *(_heard(plan) if sound else ())):
        before = uses.get(source, span)
        uses[source] = TimeRange(min(before.start, span.start), max(before.end, span.end))
    return uses


def longest_piece_s(plan: RenderPlan) -> Fraction:
    """How much of the output is made at once: the longest chunk, or a piece of the sound."""
    if plan.picture is None:
        return SOUND_S
    return max(SOUND_S, plan.picture.clock.time(max(map(len, plan.picture.chunks), default=0)))


def _seen(plan: RenderPlan, chunks: Sequence[range]) -> Iterator[tuple[int, TimeRange]]:
    picture = plan.picture
    for chunk in chunks:
        assert picture
        span = TimeRange(picture.clock.time(chunk.start), picture.clock.time(chunk.stop))
        scenes = (scene for scene in picture.scenes if scene.span.overlaps(span))
        for stream in {tile.stream for scene in scenes for tile in scene.tiles}:
            for shot in picture.shots[stream]:
                if shot.source is not None and shot.span.overlaps(span):
                    yield shot.source, TimeRange(max(shot.span.start, span.start), min(shot.span.end, span.end))


def _heard(plan: RenderPlan) -> Iterator[tuple[int, TimeRange]]:
    for placed in plan.sound.placements if plan.sound else ():
        yield placed.source, placed.span
