"""Crop, turn, scale and recolour one kind of picture: a filter graph of FFmpeg's, built once and kept.

Every scaler is told to round exactly, so that the pixels do not depend on the processor.
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
_SPACES: Final = {"bt601": "smpte170m", "bt709": "bt709"}
_TURNS: Final[dict[Orientation, tuple[tuple[str, str], ...]]] = {
    Orientation.UPRIGHT: (),
    Orientation.CLOCKWISE: (("transpose", "clock"),),
    Orientation.UPSIDE_DOWN: (("hflip", ""), ("vflip", "")),
    Orientation.COUNTERCLOCKWISE: (("transpose", "cclock"),),
    Orientation.MIRRORED: (("hflip", ""),),
    # vflip alone only turns the lines' order around, to a frame that is read from its end.
    Orientation.FLIPPED: (("vflip", ""), ("copy", "")),
    Orientation.TRANSPOSED: (("transpose", "cclock_flip"),),
    Orientation.TRANSVERSED: (("transpose", "clock_flip"),),
}


@dataclass(frozen=True, slots=True)
class Conversion:
    """From a decoded frame to what is copied onto the canvas.

    ``crop`` is in the turned picture; ``matrix`` is (the source's, the output's).
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
    """One conversion, ready to run. Used by one thread at a time."""

    def __init__(self, conversion: Conversion) -> None:
        self._graph = Graph()
        self._graph.threads = 1
        source = conversion.source
        last = self._graph.add(
            "buffer",
            f"video_size={source.width}x{source.height}:pix_fmt={conversion.pixel_format}:time_base=1/1000:"
            f"range={'pc' if conversion.full_range else 'tv'}:colorspace={_SPACES[conversion.matrix[0]]}",
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
        """A yuv420p limited-range frame of the target's size."""
        self._buffer.push(frame)
        converted = self._sink.pull()
        assert isinstance(converted, VideoFrame)
        return converted


def _filters(conversion: Conversion) -> Iterator[tuple[str, str]]:
    """Names and arguments, in order."""
    source, output = (_SPACES[matrix] for matrix in conversion.matrix)
    levels = "pc" if conversion.full_range else "tv"
    # libswscale takes every grey picture for a full-range one: it is told the same, so that it changes no level.
    kept = "pc" if conversion.pixel_format.startswith("gray") else levels
    unchanged = f"in_range={kept}:out_range={kept}:in_color_matrix={source}:out_color_matrix={source}"
    crop, whole = conversion.crop, conversion.source
    if conversion.interlaced:
        # One field, since a neighbouring frame, which a better filter wants, may not be decoded when a range starts.
        yield "field", "top"
        yield from _scales(Size(whole.width, (whole.height + 1) // 2), whole, unchanged)
    yield from _TURNS[conversion.orientation]
    if conversion.orientation.swaps_sides:
        whole = Size(whole.height, whole.width)
    if crop.size != whole:
        yield "crop", f"{crop.width}:{crop.height}:{crop.x}:{crop.y}:exact=1"
    yield from _scales(crop.size, conversion.target, unchanged)
    yield "format", "yuvj420p" if kept == "pc" else "yuv420p"
    if source != output or conversion.full_range:
        same = "primaries=bt709:trc=bt709:iprimaries=bt709:itrc=bt709"
        yield "colorspace", f"fast=1:{same}:ispace={source}:irange={levels}:space={output}:range=tv:format=yuv420p"


def _scales(source: Size, target: Size, colour: str) -> Iterator[tuple[str, str]]:
    """Shrinking averages areas, enlarging is bicubic, each axis for itself (semantics.md, "Picture")."""
    shrinks_x, shrinks_y = target.width < source.width, target.height < source.height
    if source == target or shrinks_x == shrinks_y or target.width == source.width or target.height == source.height:
        kernel = "area" if shrinks_x or shrinks_y else "bicubic"
        yield "scale", f"{target.width}:{target.height}:flags={kernel}+{_EXACT}:{colour}"
        return
    between = Size(target.width, source.height) if shrinks_x else Size(source.width, target.height)
    yield "scale", f"{between.width}:{between.height}:flags=area+{_EXACT}:{colour}"
    yield "scale", f"{target.width}:{target.height}:flags=bicubic+{_EXACT}:{colour}"
