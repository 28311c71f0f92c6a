"""What tracks cost to make, compared with each other: in pixels decoded, or in what takes as long.

Only ratios count. They decide who makes what (``plan.runs``, ``produce.schedule``), and no byte of it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from owtmix.plan.media_info import VideoTrack
from owtmix.plan.model import RenderPlan
from owtmix.plan.source_usage import source_usage

ENCODING_COST: Final = 3
"""Encoding a pixel costs as much as decoding so many (docs/performance.md)."""
MIXED_SECOND: Final = 1_500_000
"""What decoding and mixing the sound of one person for a second costs, by ``grid4`` and ``crowd25``."""


def chunk_costs(plan: RenderPlan) -> dict[range, float]:
    """The cost of each chunk of the picture, without finding the way into recordings."""
    picture = plan.picture
    if picture is None:
        return {}
    encoded = ENCODING_COST * picture.canvas.width * picture.canvas.height

    def cost(frames: range) -> float:
        uses = source_usage(plan, [frames], sound=False).items()
        return encoded * len(frames) + sum(pixels(plan.sources[number].video, span.duration) for number, span in uses)

    return {frames: cost(frames) for frames in picture.chunks}


def mixing_cost(plan: RenderPlan) -> float:
    """The cost of mixing the sound; it is encoded in another thread."""
    heard_s = sum(placed.span.duration for placed in plan.sound.placements) if plan.sound else 0
    return MIXED_SECOND * float(heard_s)


def pixels(video: VideoTrack | None, duration_s: Fraction) -> float:
    """The pixels of so many seconds of a recording."""
    if video is None or not video.span.duration:
        return 0.0
    return float(duration_s / video.span.duration) * video.pictures * video.size.width * video.size.height
