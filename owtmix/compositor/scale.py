"""Crop, orient, scale and colour-convert decoded frames with an FFmpeg filter graph.

All scalers run with ``accurate_rnd+bitexact``, so that pixels do not depend on the processor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from av.filter import Graph
from av.video.frame import VideoFrame

from owtmix.base.geometry import Orientation, Rect, Size
from owtmix.plan.media_info import Matrix

_EXACT: Final = "accurate_rnd+bitexact"
_COLOUR_SPACES: Final = {"bt601": "smpte170m", "bt709": "bt709"}
_ORIENTATION_FILTERS: Final[dict[Orientation, tuple[tuple[str, str], ...]]] = {
    Orientation.UPRIGHT: (),
    Orientation.CLOCKWISE: (("transpose", "clock"),),
    Orientation.UPSIDE_DOWN: (("hflip", ""), ("vflip", "")),
    Orientation.COUNTERCLOCKWISE: (("transpose", "cclock"),),
    Orientation.MIRRORED: (("hflip", ""),),
    # vflip only negates the line size; copy makes a frame with a positive one.
    Orientation.FLIPPED: (("vflip", ""), ("copy", "")),
    Orientation.TRANSPOSED: (("transpose", "cclock_flip"),),
    Orientation.TRANSVERSED: (("transpose", "clock_flip"),),
}


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a decoded frame is converted for the canvas.

    ``crop`` (px) is in the oriented frame; ``matrix`` is that of the source and that of the output.
    """

    source: Size
    pixel_format: str
    orientation: Orientation
    crop: Rect
    target: Size
    matrix: tuple[Matrix, Matrix]
    full_range: bool
    interlaced: bool


class Converter:
    """A filter graph that runs one conversion. Used by one thread at a time."""

    def __init__(self, conversion: Conversion) -> None:
        self._graph = Graph()
        self._graph.threads = 1
        source = conversion.source
        last = self._graph.add(
            "buffer",
            f"video_size={source.width}x{source.height}:pix_fmt={conversion.pixel_format}:time_base=1/1000:"
            f"range={'pc' if conversion.full_range else 'tv'}:colorspace={_COLOUR_SPACES[conversion.matrix[0]]}",
        )
        self._buffer = last
        for name, arguments in _filters(conversion):
            node = self._graph.add(name, arguments)
            last.link_to(node)
            last = node
        self._sink = self._graph.add("buffersink")
        last.link_to(self._sink)
        self._graph.configure()

    def convert(self, frame: VideoFrame) -> VideoFrame:
        """Convert to a yuv420p limited-range frame of the target's size."""
        self._buffer.push(frame)
        converted = self._sink.pull()
        assert isinstance(converted, VideoFrame)
        return converted


def _filters(conversion: Conversion) -> Iterator[tuple[str, str]]:
    """Names and arguments of the filters, in order."""
    source, output = (_COLOUR_SPACES[matrix] for matrix in conversion.matrix)
    levels = "pc" if conversion.full_range else "tv"
    # libswscale takes every grey format for full range. Naming the same range for input and output keeps the levels.
    scaler_levels = "pc" if conversion.pixel_format.startswith("gray") else levels
    same_colour = (
        f"in_range={scaler_levels}:out_range={scaler_levels}:in_color_matrix={source}:out_color_matrix={source}"
    )
    crop, whole = conversion.crop, conversion.source
    if conversion.interlaced:
        # One field: better deinterlacers need the previous frame, which is not decoded when a range starts.
        yield "field", "top"
        yield from _scale_filters(Size(whole.width, (whole.height + 1) // 2), whole, same_colour)
    yield from _ORIENTATION_FILTERS[conversion.orientation]
    if conversion.orientation.swaps_sides:
        whole = Size(whole.height, whole.width)
    if crop.size != whole:
        yield "crop", f"{crop.width}:{crop.height}:{crop.x}:{crop.y}:exact=1"
    yield from _scale_filters(crop.size, conversion.target, same_colour)
    yield "format", "yuvj420p" if scaler_levels == "pc" else "yuv420p"
    if source != output or conversion.full_range:
        same = "primaries=bt709:trc=bt709:iprimaries=bt709:itrc=bt709"
        yield "colorspace", f"fast=1:{same}:ispace={source}:irange={levels}:space={output}:range=tv:format=yuv420p"


def _scale_filters(source: Size, target: Size, colour: str) -> Iterator[tuple[str, str]]:
    """Area averaging to shrink, bicubic to enlarge, each axis for itself (docs/semantics.md, "Picture")."""
    shrinks_x, shrinks_y = target.width < source.width, target.height < source.height
    if source == target or shrinks_x == shrinks_y or target.width == source.width or target.height == source.height:
        kernel = "area" if shrinks_x or shrinks_y else "bicubic"
        yield "scale", f"{target.width}:{target.height}:flags={kernel}+{_EXACT}:{colour}"
        return
    between = Size(target.width, source.height) if shrinks_x else Size(source.width, target.height)
    yield "scale", f"{between.width}:{between.height}:flags=area+{_EXACT}:{colour}"
    yield "scale", f"{target.width}:{target.height}:flags=bicubic+{_EXACT}:{colour}"
