"""Decoding with NVDEC; frames stay in the GPU's memory.

``DecodingGpu`` is the protocol: hardware acceleration for FFmpeg, and copying rows of a frame to main memory.
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
"""The pixel format of frames in the GPU's memory."""
SOFTWARE_FORMATS: Final = frozenset({"nv12", "p010le", "p016le", "yuv444p", "yuv444p16le"})
"""Formats of their samples that the kernel reads."""
_BYTE: Final = 8


class DecodingGpu(Protocol):
    """A GPU that decodes."""

    @property
    def name(self) -> str:
        """As ``--device`` has it: ``cuda:0``."""

    def hardware(self) -> HWAccel:
        """Hardware acceleration for FFmpeg's decoders."""

    def fetch(self, address: int, pitch: int, width: int, rows: int) -> NDArray[np.uint8]:
        """Copy rows of ``width`` bytes, ``pitch`` bytes apart, of a decoded frame: uint8 (rows, width)."""


def is_usable(frame: VideoFrame, shown: Size) -> bool:
    """Whether a decoded frame can be used, of a stream whose frames have the size ``shown``.

    Frames in main memory can: FFmpeg decodes codecs, profiles and sizes on the CPU that NVDEC does not support.
    Damaged frames and other sample formats are left to the CPU. So are frames cropped at the left or top, or of odd
    size: FFmpeg crops GPU frames only at the right and bottom, to even sizes.
    """
    if frame.format.name != GPU_FORMAT:
        return True
    if Size(frame.width, frame.height) != shown:
        return False
    return not frame.is_corrupt and frame.sw_format is not None and frame.sw_format.name in SOFTWARE_FORMATS


def is_blank_on_gpu(gpu: DecodingGpu, frame: VideoFrame) -> bool:
    """Whether a frame in the GPU's memory is the flat black of a muted camera; checks one row first."""
    assert frame.sw_format is not None
    sample = np.dtype(np.uint8 if frame.sw_format.name in {"nv12", "yuv444p"} else np.uint16)
    scale = 1 << (_BYTE * (sample.itemsize - 1))
    luma = frame.planes[0]
    width = frame.width * sample.itemsize
    middle_row = gpu.fetch(luma.buffer_ptr + frame.height // 2 * luma.line_size, luma.line_size, width, 1)
    if int(middle_row.view(sample).max()) > BLANK_LUMA * scale:
        return False
    return is_blank(_sampled_rows(gpu, frame, sample), scale)


def _sampled_rows(gpu: DecodingGpu, frame: VideoFrame, sample: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    """Copies some rows of each component, for ``is_blank``."""
    planes = frame.planes
    for number, plane in enumerate(planes):
        interleaved = number == 1 and number == len(planes) - 1
        width = plane.width * sample.itemsize * (2 if interleaved else 1)
        rows = -(-plane.height // BLANK_ROW_STEP)
        copied = gpu.fetch(plane.buffer_ptr, BLANK_ROW_STEP * plane.line_size, width, rows).view(sample)
        yield from (copied[:, ::2], copied[:, 1::2]) if interleaved else (copied,)
