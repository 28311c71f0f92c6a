"""Models of the section of a job that says how the output is encoded."""

from __future__ import annotations

from typing import Literal

from owtmix.jobfile.fields import choice, key, section, whole
from owtmix.jobfile.job_model import JobModel


class Video(JobModel):
    """The encoding of the picture."""

    codec: Literal["h264"] = key("Codec", '"h264" (a WebM file gets VP9)', "h264")
    width: int | None = whole("Width", "an even number of pixels", 16, 8192, multiple_of=2)
    height: int | None = whole("Height", "an even number of pixels", 16, 8192, multiple_of=2)
    fps: int = whole("Fps", "a whole number of frames per second", 1, 120, 15)
    bit_rate: int | None = whole("BitRate", "a whole number of kbit/s", 16, 200_000)
    profile: Literal["baseline", "main", "high", "highprofile", "highprodile"] = key(
        "Profile", '"baseline", "main", "high" or "highprofile"', "highprofile"
    )


class Audio(JobModel):
    """The encoding of the sound."""

    codec: Literal["aac", "aac_48000_1", "aac_48000_2", "opus"] | None = key(
        "Codec", '"aac", "aac_48000_1" (mono), "aac_48000_2", or "opus" in a WebM file'
    )
    sample_rate: int = choice("SampleRate", "48000", 48_000, 48_000, 48_000)
    bit_rate: int = whole("BitRate", "a whole number of kbit/s", 16, 512, 128)


class TranscodingConfig(JobModel):
    """How the output is encoded."""

    video: Video = section("Video", Video, "an object with Width, Height, Fps, BitRate, Profile")
    audio: Audio = section("Audio", Audio, "an object with Codec, SampleRate, BitRate")
    bit_rate: int = whole("Bitrate", "another place for Video.BitRate: a whole number of kbit/s", 16, 200_000, 1000)
