"""Reads a finished file back and compares counts, times and duration with the plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Final

import av
from av.container import InputContainer

from owtmix.base.errors import DestinationError, InputError, RenderError
from owtmix.media.open import ffmpeg_reason, open_input
from owtmix.plan.model import SAMPLE_RATE_HZ, PicturePlan, SoundPlan

ROUNDING_S: Final = Fraction(1, 1000)
"""WebM stores times in milliseconds."""


MAX_PIXELS: Final = 8192 * 8192
"""Of the largest output; the limit for recordings is lower."""


FRAME_SAMPLES: Final = 1024
"""The longest codec frame that may pad the end of the sound."""


_LONGEST_STEP_S: Final = Fraction(FRAME_SAMPLES, SAMPLE_RATE_HZ) + 2 * ROUNDING_S
"""The longest time from one packet of the sound to the next."""


def verify(output: Path, picture: PicturePlan | None, sound: SoundPlan | None) -> None:
    """Read a finished file back: every packet demuxed, first and last GOP decoded, counts and duration as planned.

    Raises:
        RenderError: the file is not as planned.
        DestinationError: the file is gone.
    """
    try:
        with open_input(output, MAX_PIXELS) as container:
            tracks = _read(container)
            if picture:
                _verify_picture(container, tracks, picture)
            if sound:
                _verify_sound(container, tracks, sound)
    except (InputError, av.error.FFmpegError) as error:
        if not output.exists():
            raise DestinationError(f"{output} is gone: it was removed while the job ran") from error
        raise RenderError(f"the finished file cannot be read back: {ffmpeg_reason(error)}") from error


@dataclass(slots=True)
class _Track:
    """Presentation times of a stream's packets in ticks, the numbers of the key frames, and the end in ticks."""

    pts: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    end: int = 0


def _read(container: InputContainer) -> dict[int, _Track]:
    tracks = {stream.index: _Track() for stream in container.streams}
    for packet in container.demux():
        if packet.size and packet.pts is not None:
            track = tracks[packet.stream_index]
            if packet.is_keyframe:
                track.keys.append(len(track.pts))
            track.pts.append(packet.pts)
            track.end = max(track.end, packet.pts + (packet.duration or 0))
    return tracks


def _verify_picture(container: InputContainer, tracks: dict[int, _Track], picture: PicturePlan) -> None:
    if not container.streams.video:
        raise RenderError("the finished file has no picture")
    stream = container.streams.video[0]
    track = tracks[stream.index]
    assert stream.time_base is not None
    if len(track.pts) != picture.frames:
        raise RenderError(f"the finished file holds {len(track.pts)} frames, {picture.frames} were planned")
    if any(abs(pts * stream.time_base - picture.clock.time(i)) > ROUNDING_S for i, pts in enumerate(track.pts)):
        raise RenderError("frames of the finished file are not at their times")
    gop = picture.encoding.gop
    if not set(track.keys).issuperset(range(0, picture.frames, gop)):
        raise RenderError("the finished file lacks key frames that were planned")
    for key in {track.keys[0], track.keys[-1]}:
        container.seek(track.pts[key], stream=stream)
        expected = min(gop, picture.frames - key)
        decoded = sum(not frame.is_corrupt for frame in islice(container.decode(stream), expected))
        if decoded != expected:
            raise RenderError(f"{decoded} of the {expected} frames from frame {key} can be decoded")


def _verify_sound(container: InputContainer, tracks: dict[int, _Track], sound: SoundPlan) -> None:
    if not container.streams.audio:
        raise RenderError("the finished file has no sound")
    stream = container.streams.audio[0]
    assert stream.time_base is not None
    times = [Fraction(0), *(pts * stream.time_base for pts in tracks[stream.index].pts)]
    if any(b - a > _LONGEST_STEP_S for a, b in pairwise(times)):
        raise RenderError("the sound of the finished file has a hole")
    end = tracks[stream.index].end * stream.time_base
    if not -ROUNDING_S <= end - Fraction(sound.samples, SAMPLE_RATE_HZ) <= Fraction(FRAME_SAMPLES, SAMPLE_RATE_HZ):
        raise RenderError(f"the sound of the finished file ends at {float(end):.3f} s, not where it was planned")
