"""How many runs of neighbouring chunks compose a picture.

A run that begins in the middle of recordings first decodes them from their last key frames on, which may be minutes
before: then a few runs, each of which decodes several recordings at a time, are done sooner than many.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Final

from owtmix.plan.costs import ENCODING_COST, pixels
from owtmix.plan.model import PicturePlan, Source

THREADS_COST: Final = 1.15
"""Decoding in several threads takes so much longer than its CPU time says."""


def best_runs(picture: PicturePlan, sources: Sequence[Source], workers: int) -> int:
    """In how many runs, at most one for each of ``workers``, a picture is composed soonest."""
    chunks = picture.chunks
    most = max(1, min(workers, len(chunks)))
    shots = (shot for shots in picture.shots.values() for shot in shots)
    decoded = sum(pixels(sources[shot.source].video, shot.span.duration) for shot in shots if shot.source is not None)
    encoded = float(ENCODING_COST * picture.frames * picture.canvas.width * picture.canvas.height)

    @cache
    def before(frame: int) -> float:
        """The pixels that are decoded before ``frame`` can be composed."""
        return _before(picture, sources, picture.clock.middle(frame))

    def takes(runs: int) -> float:
        """The time of so many runs, in decoded pixels."""
        ways = [before(chunks[len(chunks) * number // runs].start) for number in range(runs)]
        together = (decoded + encoded + sum(ways)) / workers
        longest = max(encoded, (decoded + runs * max(ways)) * runs / workers) / runs
        return max(together, longest) * (1 if runs == most else THREADS_COST)

    return min(range(most, 0, -1), key=takes)


def _before(picture: PicturePlan, sources: Sequence[Source], t: Fraction) -> float:
    """The pixels from the last key frames up to ``t``, of all streams on screen then; key frames come regularly."""
    scene = picture.scenes[max(0, bisect_right(picture.scenes, t, key=lambda scene: scene.span.start) - 1)]
    found = 0.0
    for stream in {tile.stream for tile in scene.tiles}:
        shots = picture.shots[stream]
        number = bisect_right(shots, t, key=lambda shot: shot.span.end)
        source = shots[number].source if number < len(shots) else None
        video = None if source is None else sources[source].video
        if video and video.gop_s:
            since_s = max(Fraction(0), shots[number].file_time(t) - video.span.start)
            found += pixels(video, since_s % video.gop_s)
    return found
