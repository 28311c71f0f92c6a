"""Uploads decoded frames to the GPU, and makes the tables that fit them into tiles."""

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
from owtmix.compositor.gpu.kernel_args import MAX_PITCH, Item, Kind, Surface
from owtmix.compositor.gpu.kernel_tables import FORMATS, kernel_table
from owtmix.compositor.gpu.memory import DeviceBuffer, DeviceMemoryPool
from owtmix.compositor.gpu.upload import UploadBuffers
from owtmix.compositor.scale import Conversion
from owtmix.plan.media_info import Matrix

ALIGNMENT: Final = 256
ON_DEVICE: Final = "cuda"
"""The pixel format of frames that NVDEC decoded."""


@dataclass(frozen=True, slots=True)
class GpuTile:
    """A layer in the GPU's memory, to be drawn once ``ready`` are reached; ``held`` keeps its memory."""

    key: Hashable
    rect: Rect
    item: Item
    ready: Sequence[Fence]
    held: Sequence[object]
    opaque: bool = True


@dataclass(frozen=True, slots=True, weakref_slot=True)
class _DeviceFrame:
    """A decoded frame in the GPU's memory, kept by the tiles that show it."""

    surface: Surface
    pixel_format: str
    ready: Fence
    held: object


@dataclass(frozen=True, slots=True)
class _Table:
    """A kernel table in the GPU's memory, and the array it is uploaded from."""

    buffer: DeviceBuffer
    ready: Fence
    source: object


class GpuScaler:
    """Fits the frames of one stream into tiles. Frames that NVDEC decoded are used in place, others are uploaded.

    Frames that the kernel cannot read are scaled on the CPU first.
    """

    _MAX_TABLES: Final = 4

    def __init__(
        self,
        device: GpuDevice,
        memory: DeviceMemoryPool,
        upload_buffers: UploadBuffers,
        mode: ResizeMode,
        matrix: Matrix,
    ) -> None:
        self._device = device
        self._memory = memory
        self._upload_buffers = upload_buffers
        self._mode = mode
        self._matrix = matrix
        self._on_cpu = CpuScaler(mode, matrix)
        self._tables: dict[Hashable, _Table] = {}
        self._decode_fence = device.fence()
        self._newest: tuple[Hashable, ref[_DeviceFrame]] | None = None

    def fit(self, source: SourceFrame, tile: Rect, key: Hashable) -> GpuTile:
        """Fit ``source`` into ``tile``; equal keys must mean equal frames.

        Raises:
            DeviceError: the GPU fails, or is out of memory.
        """
        if not _readable(source):
            return self._fit_on_cpu(source, tile, key)
        frame = source.frame
        device_frame = self._newest[1]() if self._newest and self._newest[0] == key else None
        if device_frame is None:
            device_frame = self._to_device(frame)
            self._newest = key, ref(device_frame)
        kind = (
            (frame.width, frame.height, device_frame.pixel_format, source.sar, source.orientation),
            (source.matrix, source.full_range, source.interlaced),
            tile,
        )
        pixel_format = device_frame.pixel_format
        table = self._table(kind, lambda: conversion_for(source, pixel_format, tile, self._mode, self._matrix))
        return _tile(key, tile, device_frame, table, source.interlaced)

    def _fit_on_cpu(self, source: SourceFrame, tile: Rect, key: Hashable) -> GpuTile:
        patch = self._on_cpu.fit(source, tile, key)
        size = patch.target.size
        planes = [np.ascontiguousarray(plane).ravel() for plane in patch.planes]
        device_frame = self._upload(planes, (size.width, size.width // 2), "yuv420p")
        whole = Rect(0, 0, size.width, size.height)
        conversion = Conversion(
            size,
            device_frame.pixel_format,
            Orientation.UPRIGHT,
            whole,
            size,
            (self._matrix, self._matrix),
            full_range=False,
            interlaced=False,
        )
        table = self._table(patch.target, lambda: (conversion, patch.target))
        return _tile(key, tile, device_frame, table, False)

    def _table(self, kind: Hashable, make: Callable[[], tuple[Conversion, Rect]]) -> _Table:
        """The table of conversions of a ``kind``, cached for the last few kinds."""
        table = self._tables.pop(kind, None)
        if table is None:
            data = kernel_table(*make()).view(np.uint8)
            table = _Table(self._memory.take(data.size), self._device.fence(), data)
            self._device.upload(data, table.buffer.address, table.ready)
        self._tables[kind] = table
        if len(self._tables) > self._MAX_TABLES:
            del self._tables[next(iter(self._tables))]
        return table

    def _to_device(self, frame: VideoFrame) -> _DeviceFrame:
        pitches = frame.planes[0].line_size, frame.planes[1].line_size
        if frame.format.name != ON_DEVICE:
            planes = [np.frombuffer(memoryview(plane), np.uint8) for plane in frame.planes]
            return self._upload(planes, pitches, frame.format.name)
        self._device.fence_decoding(self._decode_fence)
        pixel_format = pixel_format_of(frame)
        addresses = [plane.buffer_ptr for plane in frame.planes]
        return _DeviceFrame(_surface(addresses, pitches, pixel_format), pixel_format, self._decode_fence, frame)

    def _upload(self, planes: Sequence[NDArray[np.uint8]], pitches: tuple[int, int], pixel_format: str) -> _DeviceFrame:
        """Upload planes as they are in main memory, padding included."""
        offsets, size = packed_offsets([len(plane) for plane in planes])
        buffer = self._memory.take(size)
        staging = self._upload_buffers.take()
        array = staging.reserve(size)
        for plane, offset in zip(planes, offsets, strict=True):
            array[offset : offset + len(plane)] = plane
        self._device.upload(array, buffer.address, staging.fence)
        self._upload_buffers.give_back(staging)
        surface = _surface([buffer.address + offset for offset in offsets], pitches, pixel_format)
        return _DeviceFrame(surface, pixel_format, staging.fence, buffer)


def _tile(key: Hashable, tile: Rect, device_frame: _DeviceFrame, table: _Table, interlaced: bool) -> GpuTile:
    surface = device_frame.surface
    if interlaced:
        surface = replace(surface, pitch=2 * surface.pitch, chroma_pitch=2 * surface.chroma_pitch)
    item = Item(Kind.VIDEO, tile, surface, table.buffer.address)
    return GpuTile(key, tile, item, (device_frame.ready, table.ready), (device_frame, table))


def pixel_format_of(frame: VideoFrame) -> str:
    """The pixel format of a frame's samples, in main memory or in the GPU's."""
    return frame.sw_format.name if frame.sw_format else frame.format.name


def packed_offsets(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Offsets of blocks of the given sizes (bytes) in one buffer, aligned, and the size of that buffer."""
    offsets, end = [], 0
    for size in sizes:
        offsets.append(end)
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return offsets, end


def _readable(source: SourceFrame) -> bool:
    """Whether the kernel can read the frame's pixel format and pitches."""
    pitches = [plane.line_size * (2 if source.interlaced else 1) for plane in source.frame.planes]
    return pixel_format_of(source.frame) in FORMATS and all(0 < pitch <= MAX_PITCH for pitch in pitches)


def _surface(addresses: Sequence[int], pitches: tuple[int, int], pixel_format: str) -> Surface:
    samples = FORMATS[pixel_format]
    v = addresses[2] if samples.step == 1 else addresses[1] + (2 if samples.wide else 1)
    return Surface(addresses[0], addresses[1], v, *pitches)
