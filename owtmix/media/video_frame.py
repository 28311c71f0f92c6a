"""A decoded frame, with its orientation, colour and pixel aspect ratio."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from typing import Any, Final

import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.stream import VideoStream
from numpy.typing import NDArray

from owtmix.base.geometry import Orientation, Size
from owtmix.media.muted_camera import BLANK_LUMA, BLANK_ROW_STEP, is_blank
from owtmix.media.nvdec import GPU_FORMAT, DecodingGpu, is_blank_on_gpu
from owtmix.plan.media_info import Matrix

HD_LINES: Final = 720
BLACK_DELAY_S: Final = Fraction(1, 2)
"""Black for this long is a muted camera; shorter, a fade (docs/semantics.md, "Time")."""

_PLANAR: Final = re.compile(r"(yuvj?4[24][0245]p|gray)(9|10|12)?(le)?")
_PLAIN: Final = frozenset({"yuv420p", "yuvj420p"})
_BYTE: Final = 8
_MATRICES: Final[dict[int, Matrix]] = {1: "bt709", 5: "bt601", 6: "bt601"}
_TURNS: Final = {
    90: Orientation.COUNTERCLOCKWISE,
    180: Orientation.UPSIDE_DOWN,
    270: Orientation.CLOCKWISE,
}
_FULL_RANGE: Final = 2
_LUMA_STEP_PX: Final = 16
_serials = count()


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrame:
    """A decoded frame and how to show it. ``serial`` is unique in the process.

    ``sar`` is the pixel aspect ratio before orientation. ``black_since`` is the file time (s) since which all frames
    have been black, including this one; None if this one is not.
    """

    frame: VideoFrame
    serial: int
    sar: Fraction
    orientation: Orientation
    matrix: Matrix
    full_range: bool
    interlaced: bool
    black_since: Fraction | None = None

    def is_black(self, t: Fraction) -> bool:
        """Whether the camera counts as muted at file time ``t`` (s), so that its placeholder is shown."""
        return self.black_since is not None and t - self.black_since >= BLACK_DELAY_S

    def is_blank(self, gpu: DecodingGpu | None = None) -> bool:
        """Whether it is the flat black that recorders write for a muted camera; a dark room is never that flat.

        ``gpu`` is the GPU that decoded it, if any.
        """
        name = self.frame.format.name
        if gpu and name == GPU_FORMAT:
            return is_blank_on_gpu(gpu, self.frame)
        if name in _PLAIN and _has_light_luma(self.frame):  # rejects most frames
            return False
        if not _PLANAR.fullmatch(name):
            return False
        depth = self.frame.format.components[0].bits
        planes = (_rows(plane, np.uint8 if depth == _BYTE else np.uint16) for plane in self.frame.planes)
        return is_blank(planes, 1 << (depth - _BYTE))

    @property
    def displayed(self) -> Size:
        """Size in px after orientation."""
        size = Size(self.frame.width, self.frame.height)
        return Size(size.height, size.width) if self.orientation.swaps_sides else size


def _has_light_luma(frame: VideoFrame) -> bool:
    """Whether the middle row has luma too light for a blank frame; a fast check for 8-bit samples."""
    plane = frame.planes[0]
    start = frame.height // 2 * plane.line_size
    return max(memoryview(plane)[start : start + frame.width : _LUMA_STEP_PX]) > BLANK_LUMA


def frame_time(frame: VideoFrame, stream: VideoStream) -> Fraction | None:
    """Presentation time in seconds of file time; None if the container has none."""
    ticks = frame.pts if frame.pts is not None else frame.dts
    assert stream.time_base is not None
    return None if ticks is None else ticks * stream.time_base


def describe_frame(frame: VideoFrame, stream: VideoStream, orientation: Orientation | None = None) -> DecodedFrame:
    """Describe a frame; ``orientation`` is read from it by default.

    An untagged frame is BT.601 below 720 lines, else BT.709 (docs/semantics.md, "Picture").
    """
    return DecodedFrame(
        frame=frame,
        serial=next(_serials),
        sar=stream.sample_aspect_ratio or Fraction(1),
        orientation=orientation or orientation_of(frame),
        matrix=_MATRICES.get(frame.colorspace) or ("bt601" if frame.height < HD_LINES else "bt709"),
        interlaced=frame.interlaced_frame,
        full_range=frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj"),
    )


def orientation_of(frame: VideoFrame) -> Orientation:
    """The orientation of a frame, from its display matrix.

    Reading side data makes a reference cycle in PyAV, so that the frame waits for the garbage collector, and hundreds
    of large ones fill the memory. Call it only when ``frame.rotation`` has changed.
    """
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # there is other side data of a type that PyAV does not know
        return _TURNS.get(frame.rotation % 360, Orientation.UPRIGHT)
    if matrix is None:
        return Orientation.UPRIGHT
    a, b, _, c, d, *_ = struct.unpack("9i", memoryview(matrix))  # type: ignore[arg-type]  # side data is a buffer
    signs = tuple((value > 0) - (value < 0) if abs(value) >= 1 << 15 else 0 for value in (a, b, c, d))
    return next((o for o in Orientation if o.value == signs), Orientation.UPRIGHT)


def _rows(plane: VideoPlane, sample: type[np.uint8 | np.uint16]) -> NDArray[Any]:
    """Every ``BLANK_ROW_STEP``-th row of a plane: (rows, width)."""
    rows = np.frombuffer(memoryview(plane), sample).reshape(-1, plane.line_size // sample().itemsize)
    return rows[::BLANK_ROW_STEP, : plane.width]
