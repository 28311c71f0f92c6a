"""Decoded pictures of the corpus: sizes, pixel aspect ratios, rotation, pixel formats and colour matrices."""

from __future__ import annotations

from fractions import Fraction
from itertools import groupby
from typing import Any, Final

import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from owtmix.base.geometry import Orientation
from owtmix.media.video_frame import DecodedFrame, describe_frame
from owtmix.media.video_reader import VideoReader
from tests.corpus.row import Row
from tests.corpus.table import USABLE, needs_media

pytestmark = needs_media

LONG_S: Final = 60
FOREVER: Final = Fraction(10**6)

TURNS: Final = {0: Orientation.UPRIGHT, 1: Orientation.COUNTERCLOCKWISE}


@pytest.mark.parametrize(
    "row", [row for row in USABLE if row.video and row.video.end_s < LONG_S], ids=lambda row: row.name
)
def test_every_picture_is_described_as_the_table_says(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes in order, aspect ratio, rotation, matrix, and numbers of presentable and corrupt pictures."""
    video = row.video
    assert video
    shown: list[tuple[Any, ...]] = []

    def note(frame: VideoFrame, stream: VideoStream, orientation: Orientation) -> DecodedFrame:
        picture = describe_frame(frame, stream, orientation)
        size = f"{frame.width}x{frame.height}"
        shown.append((size, picture.sar, picture.orientation, picture.matrix, picture.full_range, picture.interlaced))
        return picture

    monkeypatch.setattr("owtmix.media.video_reader.describe_frame", note)
    reader = VideoReader(row.path, video.index)
    reader.frame_at(Fraction(0))  # without it, it would begin near the end
    reader.frame_at(FOREVER)
    reader.close()
    assert (len(shown), reader.corrupt) == (video.frames, video.corrupt)
    assert tuple(size for size, _ in groupby(entry[0] for entry in shown)) == video.sizes
    interlaced = "interlaced" in row.name
    assert {entry[1:] for entry in shown} == {
        (video.sar, TURNS[video.turn], video.matrix, video.full_range, interlaced)
    }
