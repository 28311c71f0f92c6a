"""The time of a GPU for copies, for drawing a frame, and for decoding.

Times of kernels are the GPU's own, by events. The least time of a kernel is that of its bytes at the rate at which the
GPU copies: every sample of the pictures that it shows read once, every sample of the frame written once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any, Final, Protocol

import numpy as np
from av.video.frame import VideoFrame

from owtmix.base.geometry import Rect, ResizeMode, Size
from owtmix.compositor.gpu.device import GpuDevice
from owtmix.compositor.gpu.kernel_args import Drawing, Surface, grid, pack_batch
from owtmix.compositor.gpu.memory import DeviceMemoryPool
from owtmix.compositor.gpu.scaler import GpuScaler, GpuTile
from owtmix.compositor.gpu.upload import UploadBuffers
from owtmix.media.nvdec import DecodingGpu
from owtmix.media.video_reader import VideoReader
from owtmix.produce.gpu_check import TrialFrame

CANVASES: Final = (Size(1920, 1080), Size(3840, 2160))
SIDES: Final = (1, 2, 3, 4, 5)
"""Tiles along and down."""
BATCHES: Final = (1, 4)
"""Frames in a launch."""
SOURCE: Final = Size(1280, 720)
LAUNCHES: Final = 50
ROUNDS: Final = 5
COPIED_BYTES: Final = 256 << 20
MEMORY: Final = 4 << 30
MOST_FILES: Final = 7
"""Are decoded at once."""

Result = dict[str, Any]


class Timed(GpuDevice, Protocol):
    """A device with a clock."""

    def time_s(self, work: Callable[[], None]) -> float: ...
    def copy(self, source: int, target: int, size: int) -> None: ...


def copy_rate(device: Timed, size: int = COPIED_BYTES) -> float:
    """Bytes read and written in a second by copies of ``size`` bytes."""
    source, target = device.allocate(size), device.allocate(size)
    times = [device.time_s(lambda: device.copy(source.address, target.address, size)) for _ in range(ROUNDS)]
    return 2 * size / median(times)


def kernels(
    gpus: Mapping[int, Timed],
    rate: float,
    canvases: Sequence[Size] = CANVASES,
    sides: Sequence[int] = SIDES,
    source: Size = SOURCE,
    launches: int = LAUNCHES,
) -> Iterator[Result]:
    """``kernel`` for each canvas and number of tiles; ``gpus`` are one GPU, by the frames that a launch draws."""
    for canvas in canvases:
        for side in sides:
            for frames, device in gpus.items():
                yield kernel(device, canvas, side, frames, rate, source, launches)


def kernel(
    device: Timed, canvas: Size, side: int, frames: int, rate: float, source: Size = SOURCE, launches: int = LAUNCHES
) -> Result:
    """Time to draw a frame of ``side`` x ``side`` tiles, ``frames`` in a launch, as a share of what its bytes take."""
    pool = DeviceMemoryPool(device, MEMORY)
    tiles = list(_tiles(device, pool, canvas, side, source))
    targets = [pool.take(canvas.width * canvas.height * 3 // 2) for _ in range(frames)]
    drawings = [Drawing([tile.item for tile in tiles], _nv12(piece.address, canvas)) for piece in targets]
    told, blocks, fence = pack_batch(canvas, (16, 128, 128), drawings), grid(canvas, frames), device.fence()
    ready = [fence for tile in tiles for fence in tile.ready]

    def draw() -> None:
        for _ in range(launches):
            device.launch(told, blocks, ready, fence)

    draw()
    fence.wait()
    frame_s = median(device.time_s(draw) for _ in range(ROUNDS)) / launches / frames
    moved = (side * side * source.width * source.height + canvas.width * canvas.height) * 3 // 2
    return {
        "canvas": str(canvas),
        "tiles": side * side,
        "frames_per_launch": frames,
        "frame_us": frame_s * 1e6,
        "share_of_copying": moved / rate / frame_s,
    }


def decoding(path: Path, index: int, seconds: int, device: DecodingGpu | None, files: int) -> float:
    """Pictures decoded in a second with so many readers at once of the same file."""

    def read(_: int) -> int:
        reader, shown = VideoReader(path, index, device), set()
        for number in range(seconds * 100):
            if picture := reader.frame_at(Fraction(number, 100)):
                shown.add(picture.serial)
        reader.close()
        return len(shown)

    start = time.perf_counter()
    with ThreadPoolExecutor(files) as pool:
        total = sum(pool.map(read, range(files)))
    return total / (time.perf_counter() - start)


def _tiles(device: Timed, pool: DeviceMemoryPool, canvas: Size, side: int, source: Size) -> Iterator[GpuTile]:
    """A picture in every tile, each of its own."""
    for number in range(side * side):
        noise = np.random.default_rng(number).integers(16, 235, (source.height * 3 // 2, source.width), np.uint8)
        left, right = (canvas.width * (number % side + by) // side // 2 * 2 for by in (0, 1))
        top, bottom = (canvas.height * (number // side + by) // side // 2 * 2 for by in (0, 1))
        picture = TrialFrame(VideoFrame.from_ndarray(noise, "yuv420p"))
        scaler = GpuScaler(device, pool, UploadBuffers(device), ResizeMode.STRETCH, "bt709")
        yield scaler.fit(picture, Rect(left, top, right - left, bottom - top), number)


def _nv12(address: int, canvas: Size) -> Surface:
    chroma = address + canvas.width * canvas.height
    return Surface(address, chroma, chroma + 1, canvas.width, canvas.width, 2)
