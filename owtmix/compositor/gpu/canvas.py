"""The canvas on a graphics card: pictures go up once, ``compose.cu`` draws whole frames of them.

Frames come back into pinned memory while the next ones are drawn, or stay on the card for its encoder. Nothing is
allocated and nothing waited for from frame to frame; who takes a frame waits for that one.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from typing import Final, Protocol, cast

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from owtmix.base.geometry import Rect, ResizeMode, Size
from owtmix.compositor.base import ComposedFrame, Layer
from owtmix.compositor.cpu import POOL_FRAMES
from owtmix.compositor.frame_pool import FramePool, PooledFrame
from owtmix.compositor.gpu import kernel_args
from owtmix.compositor.gpu.device import DeviceError, Fence, GpuDevice
from owtmix.compositor.gpu.kernel_args import Drawing, Item, Kind, Surface
from owtmix.compositor.gpu.memory import DeviceMemoryPool
from owtmix.compositor.gpu.scaler import GpuScaler, GpuTile, packed_offsets
from owtmix.compositor.gpu.upload import UploadBuffers
from owtmix.compositor.overlay import Overlay
from owtmix.plan.device import MAX_GPU_ITEMS
from owtmix.plan.media_info import Matrix

PITCH: Final = 256
"""Lines of frames that stay on the card are multiples of this."""


class HasOverlay(Layer, Protocol):
    """A layer that is an overlay."""

    @property
    def overlay(self) -> Overlay: ...


class GpuFrame(PooledFrame):
    """A frame on the card, and where its users find it."""

    def __init__(
        self, device: GpuDevice, pool: DeviceMemoryPool, size: Size, returned: threading.Condition, *, on_gpu: bool
    ) -> None:
        super().__init__(returned)
        self.shows: Sequence[tuple[Hashable, Rect]] | None = None
        self.held: Sequence[object] = ()
        self.drawn, self.done = device.fence(), device.fence()
        pitch = -(-size.width // PITCH) * PITCH if on_gpu else size.width
        self.piece = pool.take(pitch * size.height * 3 // 2)
        y, chroma = self.piece.address, self.piece.address + pitch * size.height
        if on_gpu:
            self.surface = Surface(y, chroma, chroma + 1, pitch, pitch, 2)
            self.array = None
            self._frame = device.frame(y, size, pitch)
        else:
            half = size.width // 2
            self.surface = Surface(y, chroma, chroma + half * size.height // 2, pitch, half)
            self.array = device.pinned(size.width * size.height * 3 // 2)
            self._frame = _framed(self.array, size)

    @property
    def frame(self) -> VideoFrame:
        """The frame, as soon as it is done.

        Raises:
            DeviceError: the device is lost.
        """
        self.done.wait()
        self.held = ()
        return self._frame


class GpuCanvas:
    """A canvas of ``size`` (even) on ``device``, which takes ``memory`` bytes of it at most.

    With ``on_gpu`` frames are NV12 in the device's memory, for its encoder; else yuv420p in main memory.

    Raises:
        DeviceError: the device fails, or the memory does not suffice.
    """

    ahead: Final = 1
    """A decoder on the card has few pictures."""

    def __init__(
        self,
        device: GpuDevice,
        memory: int,
        size: Size,
        background: tuple[int, int, int],
        mode: ResizeMode,
        matrix: Matrix,
        *,
        on_gpu: bool = False,
    ) -> None:
        self._device = device
        self._pool = DeviceMemoryPool(device, memory)
        self._staging = UploadBuffers(device)
        self._size = size
        self._background = background
        self._mode = mode
        self._matrix = matrix
        self._overlays: dict[Hashable, GpuTile] = {}
        returned = threading.Condition()
        frames = (GpuFrame(device, self._pool, size, returned, on_gpu=on_gpu) for _ in range(POOL_FRAMES))
        self._ring = FramePool(returned, frames)

    def scaler(self) -> GpuScaler:
        return GpuScaler(self._device, self._pool, self._staging, self._mode, self._matrix)

    def compose(self, layers: Sequence[Layer]) -> ComposedFrame:
        """Tell the device to draw ``layers``, which are of this canvas's own scalers, or overlays.

        Raises:
            DeviceError: the device fails, or there is more to draw than it is told at once.
        """
        shows = [(layer.key, layer.rect) for layer in layers]
        last = self._ring.last
        if last and last.shows == shows:
            return last.acquire()
        if len(layers) > MAX_GPU_ITEMS:
            raise DeviceError(f"{self._device.name} draws {MAX_GPU_ITEMS} tiles and watermarks at most")
        tiles = [layer if isinstance(layer, GpuTile) else self._laid(cast("HasOverlay", layer)) for layer in layers]
        self._overlays = {tile.key: tile for tile in tiles if tile.item.kind is not Kind.PICTURE}
        target = self._ring.free()
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
        target.shows = shows
        self._ring.last = target
        return target

    def _laid(self, layer: HasOverlay) -> GpuTile:
        """An overlay on the device; one that was drawn last is there already."""
        found = self._overlays.get(layer.key)
        if found and found.rect == layer.rect:
            return found
        pairs = [np.ascontiguousarray(plane).view(np.uint8).reshape(len(plane), -1) for plane in layer.overlay.pairs]
        offsets, size = packed_offsets([plane.size for plane in pairs])
        piece = self._pool.take(size)
        fence: Fence = self._device.fence()
        y, u, v = (piece.address + offset for offset in offsets)
        for plane, address in zip(pairs, (y, u, v), strict=True):
            self._device.upload(plane.ravel(), address, fence)
        surface = Surface(y, u, v, pairs[0].shape[1], pairs[1].shape[1])
        kind = Kind.CARD if layer.opaque else Kind.OVERLAY
        held = (piece, pairs)
        return GpuTile(layer.key, layer.rect, Item(kind, layer.rect, surface), (fence,), held, opaque=layer.opaque)


def _framed(array: NDArray[np.uint8], size: Size) -> VideoFrame:
    """Memory that holds three planes, one behind the other, as a yuv420p frame.

    ``VideoFrame.from_numpy_buffer`` would cut a height that is no multiple of four.
    """
    y, u, v = np.split(array, [size.width * size.height, size.width * size.height * 5 // 4])
    half = size.height // 2, size.width // 2
    planes = y.reshape(size.height, size.width), u.reshape(half), v.reshape(half)
    return VideoFrame.from_dlpack(planes, "yuv420p", size.width, size.height)
