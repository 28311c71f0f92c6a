"""Decoding on a graphics card, which leaves its frames there.

The card is a seam: what FFmpeg needs to know of it, and how some rows of a frame are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Protocol

import numpy as np
from av.codec.hwaccel import HWAccel
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from owtmix.base.geometry import Size
from owtmix.media.muted_camera import BLANK_LUMA, BLANK_ROW_STEP, is_blank

GPU_FORMAT: Final = "cuda"
"""The pixel format of frames in a card's memory."""
SOFTWARE_FORMATS: Final = frozenset({"nv12", "p010le", "p016le", "yuv444p", "yuv444p16le"})
"""How samples may lie there."""
_BYTE: Final = 8


class DecodingGpu(Protocol):
    """A card that decodes."""

    @property
    def name(self) -> str:
        """As ``--device`` has it: ``cuda:0``."""

    def hardware(self) -> HWAccel:
        """What FFmpeg is told of it."""

    def fetch(self, address: int, pitch: int, width: int, rows: int) -> NDArray[np.uint8]:
        """Lines of ``width`` bytes of a decoded frame, ``pitch`` bytes apart, shape (rows, width)."""


def is_usable(frame: VideoFrame, shown: Size) -> bool:
    """Whether a frame that may be the card's can be used, of a stream that is to be ``shown`` in this size.

    A decoder that refuses the card, for a codec, a profile or a size, gives frames in main memory, which can; one
    that has stumbled over damage is left to the CPU, as are samples that nothing here reads. So is what is cropped on
    the left or above, or odd in size: FFmpeg crops a card's frames on the right and below alone, to even sizes.
    """
    if frame.format.name != GPU_FORMAT:
        return True
    if Size(frame.width, frame.height) != shown:
        return False
    return not frame.is_corrupt and frame.sw_format is not None and frame.sw_format.name in SOFTWARE_FORMATS


def is_blank_on_gpu(card: DecodingGpu, frame: VideoFrame) -> bool:
    """Whether a frame on the card is the flat black of a muted camera; most are told by one row."""
    assert frame.sw_format is not None
    sample = np.dtype(np.uint8 if frame.sw_format.name in {"nv12", "yuv444p"} else np.uint16)
    scale = 1 << (_BYTE * (sample.itemsize - 1))
    luma = frame.planes[0]
    width = frame.width * sample.itemsize
    middle = card.fetch(luma.buffer_ptr + frame.height // 2 * luma.line_size, luma.line_size, width, 1)
    if int(middle.view(sample).max()) > BLANK_LUMA * scale:
        return False
    return is_blank(_fetched(card, frame, sample), scale)


def _fetched(card: DecodingGpu, frame: VideoFrame, sample: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    """Some rows of each component."""
    planes = frame.planes
    for number, plane in enumerate(planes):
        interleaved = number == 1 and number == len(planes) - 1
        width = plane.width * sample.itemsize * (2 if interleaved else 1)
        rows = -(-plane.height // BLANK_ROW_STEP)
        found = card.fetch(plane.buffer_ptr, BLANK_ROW_STEP * plane.line_size, width, rows).view(sample)
        yield from (found[:, ::2], found[:, 1::2]) if interleaved else (found,)
