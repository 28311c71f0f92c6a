"""Checks what workers say of recordings: a worker that a recording has taken over says anything.

Whatever passes is safe to compute with, and could be true. All functions raise ``ValueError`` with a message that
completes "its result ...".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from fractions import Fraction
from itertools import pairwise
from math import lcm
from typing import Any, Final

from owtmix.base.time import TimeRange
from owtmix.plan.media_info import AudioTrack, Probe, VideoTrack

MOST: Final = 1 << 63
"""Of all numbers: timestamps of files have 62 bits, and count seconds or parts of them."""
MOST_DENOMINATOR: Final = 1 << 256
"""Of times: products of a time base, a sample rate, and the samples between two knots."""
MOST_COMMON_BITS: Final = 1 << 16
"""Of the least common denominator of the times of a track, which are summed."""
LONGEST_TEXT: Final = 4000
MOST_PIXELS: Final = 8192 * 4320
"""As ``media.open.MAX_PIXELS``: larger frames are not decoded."""
MOST_TRACKS: Final = 32
"""As ``media.open.MAX_STREAMS``."""
MOST_RUNS: Final = 100_000
"""As ``media.audio_drift.MAX_RUNS``."""
MOST_CHANNELS: Final = 1 << 16
MOST_TEXTS: Final = 10_000


def check_bounds(value: Any) -> None:
    """Check that numbers and texts in a dataclass, and in all that it holds, are of a size to compute with."""
    left = [value]
    while left:
        match left.pop():
            case str(text) if len(text) > LONGEST_TEXT:
                raise ValueError(f"has a text of {len(text):,} characters")
            case Fraction() as number if number.denominator > MOST_DENOMINATOR or abs(number) > MOST:
                raise ValueError("has a time that no file has")
            case int(number) if abs(number) > MOST:
                raise ValueError("has a number that no file has")
            case str() | int() | Fraction() | Enum():
                pass
            case tuple(items):
                left += items
            case Mapping() as items:
                left += (*items.keys(), *items.values())
            case other if is_dataclass(other):
                left += (getattr(other, field.name) for field in fields(other))


def check_probe(probe: Probe) -> None:
    """Check a measurement, also one that was kept."""
    check_bounds(probe)
    if not (probe.video or probe.sounds):
        raise ValueError("names no picture and no sound")
    if len(probe.sounds) > MOST_TRACKS:
        raise ValueError(f"names {len(probe.sounds)} sounds")
    if max(len(probe.flaws), len(probe.unused), len(probe.video_stats.decoders)) > MOST_TEXTS:
        raise ValueError("has too many remarks")
    if probe.rates_hz and min(probe.rates_hz) <= 0:
        raise ValueError("has a frame rate that is not positive")
    _check_not_negative("damage", probe.audio_damage.count, probe.video_stats.damage.count)
    _check_not_negative("an end", probe.end_bytes or 0)
    for size in probe.video_stats.sizes:
        _check_size(size.width, size.height)
    if probe.video:
        _check_video(probe.video)
    for sound in probe.sounds:
        _check_sound(sound)
    if max(track.span.end for track in (probe.video, *probe.sounds) if track) <= probe.start_s:
        raise ValueError("ends before it starts")


def check_sources(found: Iterable[int], known: Collection[int]) -> None:
    """Check that the numbers of sources in a result are of those that its task knows."""
    if strange := [source for source in found if source not in known]:
        raise ValueError(f"is about source {strange[0]}, which is not in it")


def _check_video(track: VideoTrack) -> None:
    _check_size(track.size.width, track.size.height)
    numbers = (track.index, track.decoder_bytes, track.pictures)
    _check_not_negative("a number", *numbers, *(section.first for section in track.sections))
    _check_not_negative("a group of pictures", track.gop_s)
    _check_order("gaps", track.gaps)
    _check_common("the picture", (t for gap in track.gaps for t in (gap.start, gap.end)))


def _check_sound(track: AudioTrack) -> None:
    if track.rate_hz <= 0 or not 0 < track.channels <= MOST_CHANNELS:
        raise ValueError(f"has a sound of {track.channels} channels at {track.rate_hz} Hz")
    if not 0 < len(track.runs) <= MOST_RUNS:
        raise ValueError(f"has a sound in {len(track.runs)} pieces")
    _check_not_negative("a number", track.index, track.packet_samples, *(section.first for section in track.sections))
    for run in track.runs:
        if len(run.knots) < 2 or run.knots[0][0] < 0:  # noqa: PLR2004 - a line has two ends
            raise ValueError("has a piece of sound without an end")
        if any(a >= b or s >= t for (a, s), (b, t) in pairwise(run.knots)):
            raise ValueError("has a sound that runs backwards")
    _check_order("pieces of sound", [run.span for run in track.runs])
    _check_common("the sound", (t for run in track.runs for _, t in run.knots))


def _check_size(width: int, height: int) -> None:
    if width <= 0 or height <= 0 or width * height > MOST_PIXELS:
        raise ValueError(f"has a picture of {width}x{height} pixels")


def _check_not_negative(what: str, *numbers: int | Fraction) -> None:
    if min(numbers) < 0:
        raise ValueError(f"has {what} below 0")


def _check_order(what: str, spans: Sequence[TimeRange]) -> None:
    if any(before.end > after.start for before, after in pairwise(spans)):
        raise ValueError(f"has {what} that overlap")


def _check_common(what: str, times: Iterable[Fraction]) -> None:
    common = 1
    for denominator in {t.denominator for t in times}:
        common = lcm(common, denominator)
        if common.bit_length() > MOST_COMMON_BITS:
            raise ValueError(f"has times of {what} that have no clock in common")
