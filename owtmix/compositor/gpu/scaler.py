"""Pictures on a graphics card, fitted into tiles: what is uploaded of them, and the tables that say how to read it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from weakref import ref

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from owtmix.base.geometry import Orientation, Rect, ResizeMode
from owtmix.compositor.base import SourceFrame
from owtmix.compositor.cpu import CpuScaler, conversion_for
from owtmix.compositor.gpu.device import Fence, GpuDevice
from owtmix.compositor.gpu.kernel_args import LONGEST_PITCH, Item, Kind, Surface
from owtmix.compositor.gpu.kernel_tables import FORMATS, kernel_table
from owtmix.compositor.gpu.memory import DeviceBuffer, DeviceMemoryPool
from owtmix.compositor.gpu.upload import UploadBuffers
from owtmix.compositor.scale import Conversion
from owtmix.plan.media_info import Matrix

ALIGNMENT: Final = 256
ON_DEVICE: Final = "cuda"
"""The pixel format of frames that the card decoded."""


@dataclass(frozen=True, slots=True)
class GpuTile:
    """Something on the card that is ready to be drawn once ``ready`` are reached; ``held`` is the memory it needs."""

    key: Hashable
    rect: Rect
    item: Item
    ready: Sequence[Fence]
    held: Sequence[object]
    opaque: bool = True


@dataclass(frozen=True, slots=True, weakref_slot=True)
class _Loaded:
    """A picture on the card, which is kept by the tiles that show it."""

    surface: Surface
    pixel_format: str
    ready: Fence
    held: object


@dataclass(frozen=True, slots=True)
class _Table:
    """A conversion's geometry on the card, and what it is copied from."""

    piece: DeviceBuffer
    ready: Fence
    source: object


class GpuScaler:
    """Brings the pictures of one stream to the card: those that it decoded are there, others are uploaded.

    What the kernel cannot read is scaled on the CPU, and then uploaded.
    """

    _KEPT: Final = 4

    def __init__(
        self, device: GpuDevice, pool: DeviceMemoryPool, staging: UploadBuffers, mode: ResizeMode, matrix: Matrix
    ) -> None:
        self._device = device
        self._pool = pool
        self._staging = staging
        self._mode = mode
        self._matrix = matrix
        self._on_cpu = CpuScaler(mode, matrix)
        self._tables: dict[Hashable, _Table] = {}
        self._decoded = device.fence()
        self._newest: tuple[Hashable, ref[_Loaded]] | None = None

    def fit(self, picture: SourceFrame, tile: Rect, key: Hashable) -> GpuTile:
        """The picture as a tile.

        Raises:
            DeviceError: the device fails, or is full.
        """
        if not _readable(picture):
            return self._fitted_on_cpu(picture, tile, key)
        frame = picture.frame
        loaded = self._newest[1]() if self._newest and self._newest[0] == key else None
        if loaded is None:
            loaded = self._load(frame)
            self._newest = key, ref(loaded)
        kind = (
            (frame.width, frame.height, loaded.pixel_format, picture.sar, picture.orientation),
            (picture.matrix, picture.full_range, picture.interlaced),
            tile,
        )
        pixel_format = loaded.pixel_format
        table = self._table(kind, lambda: conversion_for(picture, pixel_format, tile, self._mode, self._matrix))
        return _tile(key, tile, loaded, table, picture.interlaced)

    def _fitted_on_cpu(self, picture: SourceFrame, tile: Rect, key: Hashable) -> GpuTile:
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
        table = self._table(patch.target, lambda: (conversion, patch.target))
        return _tile(key, tile, loaded, table, False)

    def _table(self, kind: Hashable, make: Callable[[], tuple[Conversion, Rect]]) -> _Table:
        """The geometry of pictures of a kind, uploaded once while it is of use."""
        table = self._tables.pop(kind, None)
        if table is None:
            data = kernel_table(*make()).view(np.uint8)
            table = _Table(self._pool.take(data.size), self._device.fence(), data)
            self._device.upload(data, table.piece.address, table.ready)
        self._tables[kind] = table
        if len(self._tables) > self._KEPT:
            del self._tables[next(iter(self._tables))]
        return table

    def _load(self, frame: VideoFrame) -> _Loaded:
        pitches = frame.planes[0].line_size, frame.planes[1].line_size
        if frame.format.name != ON_DEVICE:
            planes = [np.frombuffer(memoryview(plane), np.uint8) for plane in frame.planes]
            return self._upload(planes, pitches, frame.format.name)
        self._device.fence_decoding(self._decoded)
        pixel_format = pixel_format_of(frame)
        addresses = [plane.buffer_ptr for plane in frame.planes]
        return _Loaded(_surface(addresses, pitches, pixel_format), pixel_format, self._decoded, frame)

    def _upload(self, planes: Sequence[NDArray[np.uint8]], pitches: tuple[int, int], pixel_format: str) -> _Loaded:
        """Planes as they lie in main memory, byte for byte."""
        offsets, size = packed_offsets([len(plane) for plane in planes])
        piece = self._pool.take(size)
        slot = self._staging.take()
        array = slot.of(size)
        for plane, offset in zip(planes, offsets, strict=True):
            array[offset : offset + len(plane)] = plane
        self._device.upload(array, piece.address, slot.fence)
        self._staging.give(slot)
        surface = _surface([piece.address + offset for offset in offsets], pitches, pixel_format)
        return _Loaded(surface, pixel_format, slot.fence, piece)


def _tile(key: Hashable, tile: Rect, loaded: _Loaded, table: _Table, interlaced: bool) -> GpuTile:
    surface = loaded.surface
    if interlaced:
        surface = replace(surface, pitch=2 * surface.pitch, chroma_pitch=2 * surface.chroma_pitch)
    item = Item(Kind.PICTURE, tile, surface, table.piece.address)
    return GpuTile(key, tile, item, (loaded.ready, table.ready), (loaded, table))


def pixel_format_of(frame: VideoFrame) -> str:
    """How the samples of a frame lie, wherever it is."""
    return frame.sw_format.name if frame.sw_format else frame.format.name


def packed_offsets(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Where pieces of the given sizes begin, one behind the other, and how much all of them take."""
    offsets, end = [], 0
    for size in sizes:
        offsets.append(end)
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return offsets, end


def _readable(picture: SourceFrame) -> bool:
    """Whether the kernel can read the picture as it lies."""
    lines = [plane.line_size * (2 if picture.interlaced else 1) for plane in picture.frame.planes]
    return pixel_format_of(picture.frame) in FORMATS and all(0 < line <= LONGEST_PITCH for line in lines)


def _surface(addresses: Sequence[int], pitches: tuple[int, int], pixel_format: str) -> Surface:
    samples = FORMATS[pixel_format]
    v = addresses[2] if samples.step == 1 else addresses[1] + (2 if samples.wide else 1)
    return Surface(addresses[0], addresses[1], v, *pitches)
