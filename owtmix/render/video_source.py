"""The protocol of picture sources: today recordings in files, later rooms that are still being recorded."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

from owtmix.media.nvdec import DecodingGpu
from owtmix.media.skip_frames import SampleTimes
from owtmix.media.video_frame import DecodedFrame
from owtmix.plan.media_info import DecodeStats
from owtmix.render.callbacks import Heartbeat


class VideoSource(Protocol):
    """The picture of one source, read forwards in file time (seconds)."""

    def frame_at(self, t: Fraction) -> DecodedFrame | None:
        """The newest frame presented at or before ``t``; None before the first. ``t`` must not decrease.

        Raises:
            InputError: the source cannot be read on.
        """

    def stats_between(self, start: Fraction | None, end: Fraction | None) -> DecodeStats:
        """Statistics of the decoding so far, with only the damage in ``[start, end)``. None means no bound."""

    def close(self) -> None:
        """Free the decoder."""


class VideoSources(Protocol):
    """Opens the pictures of a plan's sources by their numbers, from any thread."""

    def open_video(self, source: int, gpu: DecodingGpu | None, times: SampleTimes, heartbeat: Heartbeat) -> VideoSource:
        """Open a picture, to be asked at ``times``; ``gpu`` decodes it where it can. ``heartbeat`` is called meanwhile.

        Raises:
            InputError: it cannot be opened.
        """
