"""Pictures on a graphics card, fitted into tiles: what is uploaded of them, and the tables that say how to read it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from owtmix.canvas.base import Picture
from owtmix.canvas.cpu import CpuScaler, converted
from owtmix.canvas.device import Device, Mark
from owtmix.canvas.launch import LONGEST_PITCH, Item, Kind, Surface
from owtmix.canvas.pool import Piece, Pool
from owtmix.canvas.sampling import FORMATS, tabulate
from owtmix.canvas.scale import Conversion
from owtmix.clip import Matrix
from owtmix.geometry import Orientation, Rect, ResizeMode

ALIGNMENT: Final = 256
ON_DEVICE: Final = "cuda"
"""The pixel format of frames that the card decoded."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Something on the card that is ready to be drawn once ``ready`` are reached; ``held`` is the memory it needs."""

    key: Hashable
    rect: Rect
    item: Item
    ready: Sequence[Mark]
    held: Sequence[object]
    opaque: bool = True


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A picture on the card."""

    surface: Surface
    pixel_format: str
    ready: Mark
    held: object


@dataclass(frozen=True, slots=True)
class _Table:
    """A conversion's geometry on the card."""

    piece: Piece
    ready: Mark


class _Staging:
    """Pinned memory for one picture on its way up."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._array: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.mark = device.mark()

    def of(self, size: int) -> NDArray[np.uint8]:
        """``size`` bytes, once what they held before is up."""
        self.mark.wait()
        if len(self._array) < size:
            self._array = self._device.pinned(size)
        return self._array[:size]


class GpuScaler:
    """Brings the pictures of one stream to the card: those that it decoded are there, others are uploaded.

    What the kernel cannot read is scaled on the CPU, and then uploaded.
    """

    _KEPT: Final = 4

    def __init__(self, device: Device, pool: Pool, mode: ResizeMode, matrix: Matrix) -> None:
        self._device = device
        self._pool = pool
        self._mode = mode
        self._matrix = matrix
        self._on_cpu = CpuScaler(mode, matrix)
        self._tables: dict[tuple[Conversion, Rect], _Table] = {}
        self._decoded = device.mark()
        self._staging = [_Staging(device), _Staging(device)]
        self._newest: tuple[Hashable, _Loaded] | None = None

    def fit(self, picture: Picture, tile: Rect, key: Hashable) -> Tile:
        """The picture as a tile.

        Raises:
            DeviceError: the device fails, or is full.
        """
        if not _readable(picture):
            return self._fitted_on_cpu(picture, tile, key)
        if self._newest is None or self._newest[0] != key:
            self._newest = key, self._load(picture.frame)
        loaded = self._newest[1]
        conversion, target = converted(picture, loaded.pixel_format, tile, self._mode, self._matrix)
        return self._tile(key, tile, loaded, conversion, target)

    def _fitted_on_cpu(self, picture: Picture, tile: Rect, key: Hashable) -> Tile:
        patch = self._on_cpu.fit(picture, tile, key)
        size = patch.target.size
        planes = [np.ascontiguousarray(plane).ravel() for plane in patch.planes]
        loaded = self._upload(planes, (size.width, size.width // 2), "yuv420p")
        whole = Rect(0, 0, size.width, size.height)
        conversion = Conversion(
            size,
            loaded.pixel_format,
            Orientation.UPRIGHT,
            whole,
            size,
            (self._matrix, self._matrix),
            full_range=False,
            interlaced=False,
        )
        return self._tile(key, tile, loaded, conversion, patch.target)

    def _tile(self, key: Hashable, tile: Rect, loaded: _Loaded, conversion: Conversion, target: Rect) -> Tile:
        table = self._table(conversion, target)
        surface = loaded.surface
        if conversion.interlaced:
            surface = replace(surface, pitch=2 * surface.pitch, chroma_pitch=2 * surface.chroma_pitch)
        item = Item(Kind.PICTURE, tile, surface, table.piece.address)
        return Tile(key, tile, item, (loaded.ready, table.ready), (loaded.held, table.piece))

    def _table(self, conversion: Conversion, target: Rect) -> _Table:
        """The geometry, uploaded once while it is of use."""
        table = self._tables.pop((conversion, target), None)
        if table is None:
            data = tabulate(conversion, target).view(np.uint8)
            table = _Table(self._pool.take(data.size), self._device.mark())
            self._device.upload(data, table.piece.address, table.ready)
        self._tables[conversion, target] = table
        if len(self._tables) > self._KEPT:
            del self._tables[next(iter(self._tables))]
        return table

    def _load(self, frame: VideoFrame) -> _Loaded:
        pitches = frame.planes[0].line_size, frame.planes[1].line_size
        if frame.format.name != ON_DEVICE:
            planes = [np.frombuffer(memoryview(plane), np.uint8) for plane in frame.planes]
            return self._upload(planes, pitches, frame.format.name)
        self._device.mark_decoding(self._decoded)
        pixel_format = pixel_format_of(frame)
        addresses = [plane.buffer_ptr for plane in frame.planes]
        return _Loaded(_surface(addresses, pitches, pixel_format), pixel_format, self._decoded, frame)

    def _upload(self, planes: Sequence[NDArray[np.uint8]], pitches: tuple[int, int], pixel_format: str) -> _Loaded:
        """Planes as they lie in main memory, byte for byte."""
        offsets, size = laid_out([len(plane) for plane in planes])
        self._staging.reverse()
        staging = self._staging[0]
        array = staging.of(size)
        for plane, offset in zip(planes, offsets, strict=True):
            array[offset : offset + len(plane)] = plane
        piece = self._pool.take(size)
        self._device.upload(array, piece.address, staging.mark)
        surface = _surface([piece.address + offset for offset in offsets], pitches, pixel_format)
        return _Loaded(surface, pixel_format, staging.mark, piece)


def pixel_format_of(frame: VideoFrame) -> str:
    """How the samples of a frame lie, wherever it is."""
    return frame.sw_format.name if frame.sw_format else frame.format.name


def laid_out(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Where pieces of the given sizes begin, one behind the other, and how much all of them take."""
    offsets, end = [], 0
    for size in sizes:
        offsets.append(end)
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return offsets, end


def _readable(picture: Picture) -> bool:
    """Whether the kernel can read the picture as it lies."""
    lines = [plane.line_size * (2 if picture.interlaced else 1) for plane in picture.frame.planes]
    return pixel_format_of(picture.frame) in FORMATS and all(0 < line <= LONGEST_PITCH for line in lines)


def _surface(addresses: Sequence[int], pitches: tuple[int, int], pixel_format: str) -> Surface:
    samples = FORMATS[pixel_format]
    v = addresses[2] if samples.step == 1 else addresses[1] + (2 if samples.wide else 1)
    return Surface(addresses[0], addresses[1], v, *pitches)
