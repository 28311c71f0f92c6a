"""The canvas on a GPU: each decoded frame is uploaded once, ``compose.cu`` draws output frames from them.

Output frames are downloaded into pinned memory while the next ones are drawn, or stay in the GPU's memory for its
encoder. In steady state, composing allocates nothing and does not wait; ``GpuFrame.frame`` waits for its frame.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Final, Protocol, cast

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from owtmix.base.geometry import Rect, ResizeMode, Size
from owtmix.compositor.base import ComposedFrame, Layer
from owtmix.compositor.frame_pool import FramePool, PooledFrame
from owtmix.compositor.gpu import kernel_args
from owtmix.compositor.gpu.device import DeviceError, Fence, GpuDevice
from owtmix.compositor.gpu.kernel_args import Drawing, Item, Kind, Surface
from owtmix.compositor.gpu.memory import DeviceMemoryPool
from owtmix.compositor.gpu.scaler import GpuScaler, GpuTile, packed_offsets
from owtmix.compositor.gpu.upload import UploadBuffers
from owtmix.compositor.overlay import Overlay
from owtmix.compositor.rounded import RoundedLayer
from owtmix.plan.buffers import pool_frames
from owtmix.plan.device import MAX_GPU_ITEMS
from owtmix.plan.media_info import Matrix

PITCH: Final = 256
"""The pitch of frames that stay in the GPU's memory is a multiple of this, in bytes."""


class HasOverlay(Layer, Protocol):
    """A layer that holds an overlay."""

    @property
    def overlay(self) -> Overlay: ...


class GpuFrame(PooledFrame):
    """A frame in the GPU's memory and, unless it stays there, its copy in pinned memory."""

    def __init__(
        self, device: GpuDevice, pool: DeviceMemoryPool, size: Size, returned: threading.Condition, *, on_gpu: bool
    ) -> None:
        super().__init__(returned)
        self.content: Sequence[tuple[Hashable, Rect]] | None = None
        self.held: Sequence[object] = ()
        self.drawn, self.done = device.fence(), device.fence()
        pitch = -(-size.width // PITCH) * PITCH if on_gpu else size.width
        self.buffer = pool.take(pitch * size.height * 3 // 2)
        y, chroma = self.buffer.address, self.buffer.address + pitch * size.height
        if on_gpu:
            self.surface = Surface(y, chroma, chroma + 1, pitch, pitch, 2)
            self.array = None
            self._frame = device.frame(y, size, pitch)
        else:
            half = size.width // 2
            self.surface = Surface(y, chroma, chroma + half * size.height // 2, pitch, half)
            self.array = device.pinned(size.width * size.height * 3 // 2)
            self._frame = _as_frame(self.array, size)

    @property
    def frame(self) -> VideoFrame:
        """NV12 in the GPU's memory, or yuv420p in main memory. Waits until it is drawn.

        Raises:
            DeviceError: the GPU is lost.
        """
        self.done.wait()
        self.held = ()
        return self._frame


class GpuCanvas:
    """A canvas of ``size`` (px, even) on ``device`` that takes up to ``memory`` bytes of the GPU's memory.

    ``background`` is limited-range Y, Cb, Cr. With ``on_gpu``, frames are NV12 in the GPU's memory, for its encoder;
    else yuv420p in main memory.

    Raises:
        DeviceError: the GPU fails, or ``memory`` does not suffice.
    """

    ahead: Final = 1
    """NVDEC has few surfaces for decoded frames."""

    def __init__(
        self,
        device: GpuDevice,
        memory: int,
        size: Size,
        background: tuple[int, int, int],
        matrix: Matrix,
        *,
        on_gpu: bool = False,
    ) -> None:
        self._device = device
        self._memory = DeviceMemoryPool(device, memory)
        self._upload_buffers = UploadBuffers(device)
        self._size = size
        self._background = background
        self._matrix = matrix
        self._overlays: dict[Hashable, GpuTile] = {}
        returned = threading.Condition()
        frames = (GpuFrame(device, self._memory, size, returned, on_gpu=on_gpu) for _ in range(pool_frames(size)))
        self._frame_pool = FramePool(returned, frames)

    def scaler(self, mode: ResizeMode) -> GpuScaler:
        return GpuScaler(self._device, self._memory, self._upload_buffers, mode, self._matrix)

    def compose(self, layers: Sequence[Layer]) -> ComposedFrame:
        """Launch the drawing of ``layers``, which are tiles of this canvas's own scalers, or overlays.

        Raises:
            DeviceError: the GPU fails, or there are more than ``MAX_GPU_ITEMS`` layers.
        """
        content = [(layer.key, layer.rect) for layer in layers]
        last = self._frame_pool.last
        if last and last.content == content:
            return last.acquire()
        if len(layers) > MAX_GPU_ITEMS:
            raise DeviceError(f"{self._device.name} draws {MAX_GPU_ITEMS} tiles and watermarks at most")
        found = [self._tile(layer.layer if isinstance(layer, RoundedLayer) else layer) for layer in layers]
        self._overlays = {tile.key: tile for tile in found if tile.item.kind is not Kind.VIDEO}
        tiles = [_with_corners(tile, layer) for tile, layer in zip(found, layers, strict=True)]
        target = self._frame_pool.acquire_free()
        target.done.wait()
        target.held = tiles
        batch = kernel_args.pack_batch(
            self._size, self._background, [Drawing([tile.item for tile in tiles], target.surface)]
        )
        after = {id(fence): fence for tile in tiles for fence in tile.ready}.values()
        if target.array is None:
            self._device.launch(batch, kernel_args.grid(self._size, 1), after, target.done)
        else:
            self._device.launch(batch, kernel_args.grid(self._size, 1), after, target.drawn)
            self._device.download(target.surface.y, target.array, target.drawn, target.done)
        target.content = content
        self._frame_pool.last = target
        return target

    def _tile(self, layer: Layer) -> GpuTile:
        return layer if isinstance(layer, GpuTile) else self._overlay(cast("HasOverlay", layer))

    def _overlay(self, layer: HasOverlay) -> GpuTile:
        """Upload an overlay, unless the previous frame contained it."""
        found = self._overlays.get(layer.key)
        if found and found.rect == layer.rect:
            return found
        pairs = [np.ascontiguousarray(plane).view(np.uint8).reshape(len(plane), -1) for plane in layer.overlay.pairs]
        offsets, size = packed_offsets([plane.size for plane in pairs])
        buffer = self._memory.take(size)
        fence: Fence = self._device.fence()
        y, u, v = (buffer.address + offset for offset in offsets)
        for plane, address in zip(pairs, (y, u, v), strict=True):
            self._device.upload(plane.ravel(), address, fence)
        surface = Surface(y, u, v, pairs[0].shape[1], pairs[1].shape[1])
        kind = Kind.OPAQUE if layer.opaque else Kind.OVERLAY
        held = (buffer, pairs)
        return GpuTile(layer.key, layer.rect, Item(kind, layer.rect, surface), (fence,), held, opaque=layer.opaque)


def _with_corners(tile: GpuTile, layer: Layer) -> GpuTile:
    """The tile of a layer, whose corners may be round."""
    if not isinstance(layer, RoundedLayer):
        return tile
    return replace(tile, item=replace(tile.item, corner_px=layer.corner_px))


def _as_frame(array: NDArray[np.uint8], size: Size) -> VideoFrame:
    """Three contiguous planes in ``array`` (uint8, flat) as a yuv420p frame.

    ``VideoFrame.from_numpy_buffer`` would cut a height that is not a multiple of four.
    """
    y, u, v = np.split(array, [size.width * size.height, size.width * size.height * 5 // 4])
    half = size.height // 2, size.width // 2
    planes = y.reshape(size.height, size.width), u.reshape(half), v.reshape(half)
    return VideoFrame.from_dlpack(planes, "yuv420p", size.width, size.height)
