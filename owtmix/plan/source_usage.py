"""The ranges of output time in which sources are needed, for prefetching."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final

from owtmix.base.time import TimeRange, overlapping
from owtmix.plan.model import RenderPlan

SOUND_S: Final = Fraction(1)
"""Upper bound of the sound that is mixed at once, in seconds."""


def source_usage(plan: RenderPlan, chunks: Sequence[range], *, sound: bool) -> dict[int, TimeRange]:
    """The range of output time in which each source is needed for ``chunks``, and with ``sound`` for the mix."""
    uses: dict[int, TimeRange] = {}
    for source, span in (*_picture_usage(plan, chunks), *(_sound_usage(plan) if sound else ())):
        before = uses.get(source, span)
        uses[source] = TimeRange(min(before.start, span.start), max(before.end, span.end))
    return uses


def longest_piece_s(plan: RenderPlan) -> Fraction:
    """The longest part of the output that is rendered at once, in seconds: a chunk, or a block of sound."""
    if plan.picture is None:
        return SOUND_S
    return max(SOUND_S, plan.picture.clock.time(max(map(len, plan.picture.chunks), default=0)))


def _picture_usage(plan: RenderPlan, chunks: Sequence[range]) -> Iterator[tuple[int, TimeRange]]:
    picture = plan.picture
    for chunk in chunks:
        assert picture
        span = TimeRange(picture.clock.time(chunk.start), picture.clock.time(chunk.stop))
        for stream in {tile.stream for scene in overlapping(picture.scenes, span) for tile in scene.tiles}:
            for shot in overlapping(picture.shots[stream], span):
                if shot.source is not None:
                    yield shot.source, shot.span.common(span)


def _sound_usage(plan: RenderPlan) -> Iterator[tuple[int, TimeRange]]:
    for placed in plan.sound.placements if plan.sound else ():
        yield placed.source, placed.span
