"""The level that the plan states is the one that x264 would choose: stating it changes no byte."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Final, Literal, get_args

import av
import pytest
from av.codec.context import Flags

from owtmix.base.geometry import Size
from owtmix.jobfile.settings import X264Preset
from owtmix.jobfile.spec import VideoSpec
from owtmix.plan import encoders

Profile = Literal["baseline", "main", "high"]
SIZES: Final = [
    Size(*pixels)
    for pixels in (
        (64, 64), (160, 96), (176, 144), (320, 180), (352, 288), (640, 360), (854, 480), (720, 1280), (1280, 720),
        (1920, 1080), (3840, 2160), (4096, 256), (128, 2048), (7680, 4320),
    )
]  # fmt: skip
RATES_HZ: Final = (1, 5, 15, 24, 30, 50, 60)
RATES_KBPS: Final = (20, 42, 43, 64, 85, 128, 300, 512, 1333, 2000, 2667, 3333, 6666, 12_000, 40_000, 100_000)
HEADER: Final = b"\0\0\1\x67"
LEVEL_1B_BIT: Final = 0x10


def header_of(video: VideoSpec, preset: str, *, states_level: bool) -> bytes:
    """Profile, constraints and level in the sequence parameter set that x264 writes."""
    how = encoders.h264(video, preset)
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height = video.size.width, video.size.height
    encoder.pix_fmt, encoder.thread_count = "yuv420p", 1
    encoder.time_base, encoder.framerate = Fraction(1, video.fps), Fraction(video.fps)
    encoder.bit_rate, encoder.gop_size = how.bit_rate_kbps * 1000, how.gop
    encoder.options = {key: value for key, value in how.options if states_level or key != "level"}
    encoder.flags |= Flags.global_header
    encoder.open()
    assert encoder.extradata
    start = encoder.extradata.index(HEADER) + len(HEADER)
    return encoder.extradata[start : start + 3]


@pytest.mark.parametrize("preset", get_args(X264Preset))
def test_it_is_what_x264_chooses(preset: str) -> None:
    chance = random.Random(preset)
    for _ in range(12):
        profile: Profile = chance.choice(get_args(Profile))
        video = VideoSpec(chance.choice(SIZES), chance.choice(RATES_HZ), chance.choice(RATES_KBPS), profile)
        chosen, stated = (header_of(video, preset, states_level=states) for states in (False, True))
        assert stated == chosen, video


def test_chunks_of_a_lower_rate_have_the_level_of_the_highest() -> None:
    low, high = (VideoSpec(Size(1280, 720), 15, kbps, "high") for kbps in (500, 40_000))
    levels = [
        dict(how.options)["level"]
        for how in (
            encoders.h264(low, "fast"),
            encoders.h264(high, "fast"),
            encoders.h264(low, "fast", high.bit_rate_kbps),
        )
    ]
    assert levels == ["3.1", "4.1", "4.1"]
