"""The canvas in main memory: libswscale scales, NumPy copies into a ring of frames that the encoder reads."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from owtmix.base.geometry import Rect, ResizeMode, Size, fit
from owtmix.compositor.base import ComposedFrame, Layer, SourceFrame
from owtmix.compositor.frame_pool import FramePool, PooledFrame
from owtmix.compositor.scale import Conversion, Converter
from owtmix.plan.media_info import Matrix

Plane = NDArray[np.uint8]
Planes = tuple[Plane, Plane, Plane]

BLACK: Final = (16, 128, 128)
POOL_FRAMES: Final = 6
"""One being drawn, one kept as the last, the others on their way through the encoder."""
AHEAD_FRAMES: Final = 8
"""Decoders work faster the longer they are not interrupted (docs/performance.md)."""
AHEAD_PIXELS: Final = 8 * 1920 * 1080
"""Of all layers that are held ready."""


class Drawable(Layer, Protocol):
    """A layer that draws itself."""

    def blend(self, y: Any, u: Any, v: Any) -> None:
        """Draw onto the planes of a whole canvas: uint8 arrays (height, width), and half of both for u and v."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A tile: a scaled picture at ``target``, the rest of ``rect`` black."""

    key: Hashable
    rect: Rect
    target: Rect
    planes: Planes

    opaque: Final = True

    def blend(self, y: Plane, u: Plane, v: Plane) -> None:
        """Copy onto the planes of a whole canvas."""
        for plane, source, black, half in zip((y, u, v), self.planes, BLACK, (1, 2, 2), strict=True):
            for bar in _bars(self.rect, self.target):
                plane[_window(bar, half)] = black
            plane[_window(self.target, half)] = source


class CpuScaler:
    """Keeps a converter for each way that pictures were fitted lately, into tiles that are still shown.

    Each holds the memory of as many frames as were held ready.
    """

    _KEPT: Final = 2

    def __init__(self, mode: ResizeMode, matrix: Matrix) -> None:
        self._mode = mode
        self._matrix = matrix
        self._fittings: dict[tuple[Hashable, Rect], tuple[Rect, Converter]] = {}
        self._key: Hashable = None
        self._tiles: set[Rect] = set()

    def fit(self, picture: SourceFrame, tile: Rect, key: Hashable) -> Patch:
        if key != self._key:
            self._fittings = {(shape, at): kept for (shape, at), kept in self._fittings.items() if at in self._tiles}
            self._key, self._tiles = key, set()
        self._tiles.add(tile)
        frame = picture.frame
        shape = (frame.width, frame.height, frame.format.name, picture.sar, picture.orientation)
        kind = (*shape, picture.matrix, picture.full_range, picture.interlaced), tile
        fitting = self._fittings.pop(kind) if kind in self._fittings else self._fitting(picture, tile)
        self._fittings[kind] = fitting
        if len(self._fittings) > self._KEPT:
            del self._fittings[next(iter(self._fittings))]
        target, converter = fitting
        return Patch(key, tile, target, planes(converter.convert(frame)))

    def _fitting(self, picture: SourceFrame, tile: Rect) -> tuple[Rect, Converter]:
        """Where pictures of this kind lie on the canvas, and what brings them there."""
        conversion, target = conversion_for(picture, picture.frame.format.name, tile, self._mode, self._matrix)
        return target, Converter(conversion)


def conversion_for(
    picture: SourceFrame, pixel_format: str, tile: Rect, mode: ResizeMode, matrix: Matrix
) -> tuple[Conversion, Rect]:
    """How ``picture`` is converted for ``tile``, and where in it the result goes."""
    frame = picture.frame
    size = Size(frame.width, frame.height)
    sar = picture.sar
    if picture.orientation.swaps_sides:
        size, sar = Size(size.height, size.width), 1 / sar
    fitted = fit(size, sar, tile, mode)
    conversion = Conversion(
        source=Size(frame.width, frame.height),
        pixel_format=pixel_format,
        orientation=picture.orientation,
        crop=fitted.crop,
        target=fitted.target.size,
        matrix=(picture.matrix, matrix),
        full_range=picture.full_range,
        interlaced=picture.interlaced,
    )
    return conversion, fitted.target


class CpuFrame(PooledFrame):
    """A frame in main memory."""

    def __init__(self, size: Size, returned: threading.Condition) -> None:
        super().__init__(returned)
        self.frame = VideoFrame(size.width, size.height, "yuv420p")
        self.planes = planes(self.frame)
        self.drawn: tuple[Drawable, ...] | None = None


class CpuCanvas:
    """A canvas of ``size`` (even) with a background colour given as limited-range Y, Cb, Cr."""

    def __init__(self, size: Size, background: tuple[int, int, int], mode: ResizeMode, matrix: Matrix) -> None:
        self.ahead = max(1, min(AHEAD_FRAMES, AHEAD_PIXELS // (size.width * size.height)))
        self._rect = Rect(0, 0, size.width, size.height)
        self._background = background
        self._mode = mode
        self._matrix = matrix
        returned = threading.Condition()
        self._ring = FramePool(returned, (CpuFrame(size, returned) for _ in range(POOL_FRAMES)))

    def scaler(self) -> CpuScaler:
        return CpuScaler(self._mode, self._matrix)

    def compose(self, layers: Sequence[Layer]) -> ComposedFrame:
        drawing = cast("tuple[Drawable, ...]", tuple(layers))  # they are of this canvas's own scalers, or overlays
        last = self._ring.last
        if last and last.drawn is not None and _same(last.drawn, drawing):
            return last.acquire()
        target = self._ring.free()
        self._draw(target, drawing)
        self._ring.last = target
        return target

    def _draw(self, target: CpuFrame, drawing: tuple[Drawable, ...]) -> None:
        """Bring a ring frame from what it shows to ``drawing``."""
        before = target.drawn
        if before is None or [layer.rect for layer in before] != [layer.rect for layer in drawing]:
            self._clear(target.planes, self._rect)
            dirty = set(range(len(drawing)))
        else:
            dirty = _spread({i for i, layer in enumerate(drawing) if layer.key != before[i].key}, drawing)
            for i in dirty:
                if not drawing[i].opaque:
                    self._clear(target.planes, drawing[i].rect)
        for i in sorted(dirty):
            drawing[i].blend(*target.planes)
        target.drawn = drawing

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


def _same(a: Sequence[Layer], b: Sequence[Layer]) -> bool:
    return len(a) == len(b) and all(x.key == y.key and x.rect == y.rect for x, y in zip(a, b, strict=True))


def _spread(dirty: set[int], drawing: Sequence[Layer]) -> set[int]:
    """Redrawing a layer means redrawing what lies over it and, where it is not opaque, what lies under it."""
    waiting = list(dirty)
    while waiting:
        i = waiting.pop()
        for j, other in enumerate(drawing):
            touched = j not in dirty and drawing[i].rect.overlaps(other.rect)
            if touched and (j > i or not drawing[i].opaque):
                dirty.add(j)
                waiting.append(j)
    return dirty


def _window(rect: Rect, half: int) -> tuple[slice, slice]:
    return slice(rect.y // half, rect.bottom // half), slice(rect.x // half, rect.right // half)


def _bars(outer: Rect, inner: Rect) -> list[Rect]:
    """What of ``outer`` is not ``inner``: above, below, left and right."""
    bars = (
        Rect(outer.x, outer.y, outer.width, inner.y - outer.y),
        Rect(outer.x, inner.bottom, outer.width, outer.bottom - inner.bottom),
        Rect(outer.x, inner.y, inner.x - outer.x, inner.height),
        Rect(inner.right, inner.y, outer.right - inner.right, inner.height),
    )
    return [bar for bar in bars if bar.area]
