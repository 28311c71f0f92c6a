"""Decodes a whole video track, to see what of it is damaged."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from owtmix.media.video_reader import VideoReader
from owtmix.plan.media_info import DecodeStats, VideoTrack


def decode_all(
    path: Path, track: VideoTrack, advance: Callable[[Fraction], None], end_bytes: int | None = None
) -> DecodeStats:
    """Decode a video track from its first frame to its last; calls ``advance`` with each second of file time.

    Raises:
        InputError: the file cannot be opened.
    """
    reader = VideoReader(path, track.index, sections=track.sections, end_bytes=end_bytes)
    try:
        t = track.span.start
        while t <= track.last_s + 1:
            reader.frame_at(t)
            advance(t)
            t += 1
            gap = bisect_right(track.gaps, t, key=lambda found: found.start) - 1
            if gap >= 0:
                t = max(t, track.gaps[gap].end)  # nothing is there, however long it is said to last
    finally:
        reader.close()
    return reader.stats
