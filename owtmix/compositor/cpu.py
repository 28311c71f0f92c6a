"""The canvas in main memory: libswscale scales, NumPy copies into a pool of frames that the encoder reads."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from owtmix.base.geometry import Rect, ResizeMode, Size, fit
from owtmix.compositor.base import ComposedFrame, Layer, SourceFrame
from owtmix.compositor.frame_pool import FramePool, PooledFrame
from owtmix.compositor.rounded import Drawable, RoundedLayer
from owtmix.compositor.scale import Conversion, Converter
from owtmix.plan.buffers import ahead_frames, kept_converters, pool_frames
from owtmix.plan.media_info import Matrix

Plane = NDArray[np.uint8]
Planes = tuple[Plane, Plane, Plane]
Content = tuple[tuple[Hashable, Rect], ...]
"""Keys and places of layers: all that is kept of them once they are drawn, since their pixels take much memory."""

BLACK: Final = (16, 128, 128)


@dataclass(frozen=True, slots=True)
class Patch:
    """A tile: a scaled frame at ``target``, black bars in the rest of ``rect``."""

    key: Hashable
    rect: Rect
    target: Rect
    planes: Planes

    opaque: Final = True

    def blend(self, y: Plane, u: Plane, v: Plane) -> None:
        """Copy onto the planes of the whole canvas."""
        for plane, source, black, half in zip((y, u, v), self.planes, BLACK, (1, 2, 2), strict=True):
            for bar in _bars(self.rect, self.target):
                plane[_window(bar, half)] = black
            plane[_window(self.target, half)] = source


class CpuScaler:
    """Scales with libswscale. Keeps the last ``most`` converters, of tiles that are still shown.

    Only few, since a converter holds memory for as many frames as were held ready.
    """

    def __init__(self, mode: ResizeMode, matrix: Matrix, most: int = 2) -> None:
        self._mode = mode
        self._matrix = matrix
        self._most = most
        self._converters: dict[tuple[Hashable, Rect], tuple[Rect, Converter]] = {}
        self._key: Hashable = None
        self._tiles: set[Rect] = set()

    def fit(self, source: SourceFrame, tile: Rect, key: Hashable) -> Patch:
        if key != self._key:
            self._converters = {(kind, at): kept for (kind, at), kept in self._converters.items() if at in self._tiles}
            self._key, self._tiles = key, set()
        self._tiles.add(tile)
        frame = source.frame
        kind = (
            (frame.width, frame.height, frame.format.name, source.sar, source.orientation),
            (source.matrix, source.full_range, source.interlaced),
        )
        found = self._converters.pop((kind, tile), None) or self._new_converter(source, tile)
        self._converters[kind, tile] = found
        if len(self._converters) > self._most:
            del self._converters[next(iter(self._converters))]
        target, converter = found
        return Patch(key, tile, target, planes(converter.convert(frame)))

    def _new_converter(self, source: SourceFrame, tile: Rect) -> tuple[Rect, Converter]:
        """The target on the canvas of frames like ``source``, and their converter."""
        conversion, target = conversion_for(source, source.frame.format.name, tile, self._mode, self._matrix)
        return target, Converter(conversion)


def conversion_for(
    source: SourceFrame, pixel_format: str, tile: Rect, mode: ResizeMode, matrix: Matrix
) -> tuple[Conversion, Rect]:
    """The conversion of ``source`` for ``tile``, and its target on the canvas (docs/semantics.md, "Picture").

    Args:
        source: a decoded frame.
        pixel_format: how its samples lie, as FFmpeg names it.
        tile: canvas px, even edges.
        mode: how the frame is fitted into the tile.
        matrix: the canvas's.
    """
    frame = source.frame
    size = Size(frame.width, frame.height)
    sar = source.sar
    if source.orientation.swaps_sides:
        size, sar = Size(size.height, size.width), 1 / sar
    fitted = fit(size, sar, tile, mode)
    conversion = Conversion(
        source=Size(frame.width, frame.height),
        pixel_format=pixel_format,
        orientation=source.orientation,
        crop=fitted.crop,
        target=fitted.target.size,
        matrix=(source.matrix, matrix),
        full_range=source.full_range,
        interlaced=source.interlaced,
    )
    return conversion, fitted.target


class CpuFrame(PooledFrame):
    """A frame in main memory."""

    def __init__(self, size: Size, returned: threading.Condition) -> None:
        super().__init__(returned)
        self.frame = VideoFrame(size.width, size.height, "yuv420p")
        self.planes = planes(self.frame)
        self.content: Content | None = None


class CpuCanvas:
    """A canvas of ``size`` (px, even); ``background`` is limited-range Y, Cb, Cr."""

    def __init__(self, size: Size, background: tuple[int, int, int], matrix: Matrix) -> None:
        self.ahead = ahead_frames(size)
        self._most_converters = kept_converters(size)
        self._rect = Rect(0, 0, size.width, size.height)
        self._background = background
        self._matrix = matrix
        returned = threading.Condition()
        self._frame_pool = FramePool(returned, (CpuFrame(size, returned) for _ in range(pool_frames(size))))

    def scaler(self, mode: ResizeMode) -> CpuScaler:
        return CpuScaler(mode, self._matrix, self._most_converters)

    def compose(self, layers: Sequence[Layer]) -> ComposedFrame:
        drawing = cast("tuple[Drawable, ...]", tuple(layers))  # of this canvas's own scalers, or overlays
        content = tuple((layer.key, layer.rect) for layer in drawing)
        last = self._frame_pool.last
        if last and last.content == content:
            return last.acquire()
        target = self._frame_pool.acquire_free()
        self._draw(target, drawing, content)
        self._frame_pool.last = target
        return target

    def _draw(self, target: CpuFrame, drawing: tuple[Drawable, ...], content: Content) -> None:
        """Redraw a pool frame: only what differs from its last drawing."""
        before = target.content
        if before is None or [rect for _, rect in before] != [rect for _, rect in content]:
            self._clear(target.planes, self._rect)
            dirty = set(range(len(drawing)))
        else:
            dirty = _with_affected({i for i, layer in enumerate(content) if layer != before[i]}, drawing)
            for i in dirty:
                for rect in _seen_through(drawing[i]):
                    self._clear(target.planes, rect)
        for i in sorted(dirty):
            drawing[i].blend(*target.planes)
        target.content = content

    def _clear(self, target: Planes, rect: Rect) -> None:
        for plane, value, half in zip(target, self._background, (1, 2, 2), strict=True):
            plane[_window(rect, half)] = value


def planes(frame: VideoFrame) -> Planes:
    """Writable views of a yuv420p frame: uint8 (height, width), and half of both, rounded up, for the chroma."""
    width, height = frame.width, frame.height
    shapes = ((height, width), *(((height + 1) // 2, (width + 1) // 2),) * 2)
    y, u, v = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: shape[0], : shape[1]]
        for plane, shape in zip(frame.planes, shapes, strict=True)
    )
    return y, u, v


def _with_affected(dirty: set[int], drawing: Sequence[Layer]) -> set[int]:
    """``dirty`` and the layers to redraw with them: those above and, under a layer that is not opaque, those below."""
    waiting = list(dirty)
    while waiting:
        i = waiting.pop()
        for j, other in enumerate(drawing):
            if j in dirty or not drawing[i].rect.overlaps(other.rect):
                continue
            if j > i or any(rect.overlaps(other.rect) for rect in _seen_through(drawing[i])):
                dirty.add(j)
                waiting.append(j)
    return dirty


def _seen_through(layer: Layer) -> tuple[Rect, ...]:
    """Where what lies beneath a layer is seen."""
    if isinstance(layer, RoundedLayer) and layer.layer.opaque:
        return layer.corners
    return () if layer.opaque else (layer.rect,)


def _window(rect: Rect, half: int) -> tuple[slice, slice]:
    return slice(rect.y // half, rect.bottom // half), slice(rect.x // half, rect.right // half)


def _bars(outer: Rect, inner: Rect) -> list[Rect]:
    """The parts of ``outer`` outside of ``inner``: above, below, left and right."""
    bars = (
        Rect(outer.x, outer.y, outer.width, inner.y - outer.y),
        Rect(outer.x, inner.bottom, outer.width, outer.bottom - inner.bottom),
        Rect(outer.x, inner.y, inner.x - outer.x, inner.height),
        Rect(inner.right, inner.y, outer.right - inner.right, inner.height),
    )
    return [bar for bar in bars if bar.area]
