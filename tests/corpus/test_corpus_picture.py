"""Decoded pictures of the corpus: sizes, pixel aspect ratios, rotation, pixel formats and colour matrices."""

from __future__ import annotations

from fractions import Fraction
from itertools import groupby
from typing import Any, Final

import pytest

from owtmix.base.geometry import Orientation
from owtmix.media.video_frame import DecodedFrame
from owtmix.media.video_reader import VideoReader
from tests.corpus.row import Row
from tests.corpus.table import USABLE, needs_media
from tests.media.described import noting_frames

pytestmark = needs_media

LONG_S: Final = 60
FOREVER: Final = Fraction(10**6)

TURNS: Final = {0: Orientation.UPRIGHT, 1: Orientation.COUNTERCLOCKWISE}


@pytest.mark.parametrize(
    "row", [row for row in USABLE if row.video and row.video.end_s < LONG_S], ids=lambda row: row.name
)
def test_every_picture_is_described_as_the_table_says(row: Row) -> None:
    """Sizes in order, aspect ratio, rotation, matrix, and numbers of presentable and corrupt pictures."""
    video = row.video
    assert video

    def note(picture: DecodedFrame) -> tuple[Any, ...]:
        size = f"{picture.frame.width}x{picture.frame.height}"
        return size, picture.sar, picture.orientation, picture.matrix, picture.full_range, picture.interlaced

    reader = VideoReader(row.path, video.index)
    with noting_frames(note) as shown:
        reader.frame_at(Fraction(0))  # without it, it would begin near the end
        reader.frame_at(FOREVER)
    reader.close()
    assert (len(shown), reader.corrupt) == (video.frames, video.corrupt)
    assert tuple(size for size, _ in groupby(entry[0] for entry in shown)) == video.sizes
    interlaced = "interlaced" in row.name
    assert {entry[1:] for entry in shown} == {
        (video.sar, TURNS[video.turn], video.matrix, video.full_range, interlaced)
    }
