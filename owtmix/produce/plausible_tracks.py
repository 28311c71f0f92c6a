"""Checks what a worker says that made a track, and the size of what it made: see ``workers.base.Bounded``."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Final

from owtmix.plan.device import CPU, RenderDevice
from owtmix.plan.model import PicturePlan, RenderPlan
from owtmix.plan.plausible import check_bounds, check_sources
from owtmix.render.results import DecodeFailure, RenderResult
from owtmix.workers.made_files import check_made

MOST_RATE: Final = 4
"""Times the rate of the job, which a short or busy track may exceed."""
MORE_S: Final = 4
"""Seconds of that rate besides: the encoder's buffer."""
MORE_BYTES: Final = 16 << 20
"""Of headers and tables, and of sound that is shorter than any rate is kept."""
MOST_PIXEL_BITS: Final = 1
"""Of a picture at the lowest quality, where no rate is kept; encoders need a tenth of it."""


def check_chunk(plan: RenderPlan, frames: range, device: RenderDevice, track: Path, result: RenderResult) -> None:
    """Check the result of composing ``frames`` into ``track``.

    Raises:
        ValueError: it has none like this.
    """
    picture = plan.picture
    assert picture
    start, end = picture.clock.time(frames.start), picture.clock.time(frames.stop)
    shots = (shot for shots in picture.shots.values() for shot in shots)
    shown = {s.source for s in shots if s.source is not None and s.span.start <= end and start <= s.span.end}
    _check(plan, result, shown, start, end)
    if result.device not in {CPU.name, device.name} or (result.gpu_failure and device.gpu is None):
        raise ValueError("is about a device that it was not given")
    check_made(track, most_chunk_bytes(picture, frames))


def check_sound(plan: RenderPlan, track: Path, result: RenderResult) -> None:
    """Check the result of mixing the whole sound into ``track``.

    Raises:
        ValueError: it has none like this.
    """
    assert plan.sound
    _check(plan, result, {placed.source for placed in plan.sound.placements}, Fraction(0), plan.duration_s)
    check_made(track, most_sound_bytes(plan))


def _check(plan: RenderPlan, result: RenderResult, used: set[int], start: Fraction, end: Fraction) -> None:
    check_bounds(result)
    check_sources([*result.video_stats, *result.audio_damage], range(len(plan.sources)))
    check_sources(result.failures, used)
    for failure in result.failures.values():
        _check_time(failure, start, end)


def _check_time(failure: DecodeFailure, start: Fraction, end: Fraction) -> None:
    if not start <= failure.at_s <= end:
        raise ValueError("is about a time that is not in it")


def most_chunk_bytes(picture: PicturePlan, frames: range) -> int:
    """The most bytes that the track of a chunk has."""
    pixels = picture.canvas.width * picture.canvas.height * len(frames)
    rate_kbps = picture.encoding_of(frames).bit_rate_kbps
    return _most_bytes(rate_kbps, picture.clock.time(len(frames))) + pixels * MOST_PIXEL_BITS // 8


def most_sound_bytes(plan: RenderPlan) -> int:
    """The most bytes that the track of the sound has."""
    assert plan.sound
    return _most_bytes(plan.sound.encoding.bit_rate_kbps, plan.duration_s)


def _most_bytes(rate_kbps: int, duration_s: Fraction) -> int:
    return ceil(MOST_RATE * rate_kbps * 1000 / 8 * (duration_s + MORE_S)) + MORE_BYTES
