"""The time of a GPU for drawing a frame, for decoding, and for whole jobs.

Times of kernels are the GPU's own, by events. The least time of a kernel is that of its bytes at the rate at which the
GPU copies: every sample of the pictures that it shows read once, every sample of the frame written once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any, Final, Protocol

import numpy as np
from av.video.frame import VideoFrame

from benchmarks.case import Case, Engine, composed
from benchmarks.command_line import keep, new_parser, prepared, say
from benchmarks.compare import compare
from benchmarks.engines import GRAPH, engines, owtmix
from benchmarks.lab.gpu_report import kernel_table
from benchmarks.measure import CORES
from owtmix.base.geometry import Rect, ResizeMode, Size
from owtmix.compositor.factory import open_gpu
from owtmix.compositor.gpu.device import GpuDevice
from owtmix.compositor.gpu.kernel_args import Drawing, Surface, grid, pack_batch
from owtmix.compositor.gpu.memory import DeviceMemoryPool
from owtmix.compositor.gpu.scaler import GpuScaler, GpuTile
from owtmix.compositor.gpu.upload import UploadBuffers
from owtmix.jobfile.settings_file import read_settings, settings_file
from owtmix.media.nvdec import DecodingGpu
from owtmix.media.video_reader import VideoReader
from owtmix.plan.device import CPU, RenderDevice
from owtmix.produce.device_choice import GpuUse, choose_device
from owtmix.produce.gpu_check import TrialFrame
from owtmix.workers.limits import start_workers

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
SCENE: Final = "crowd25"
CHUNK_FRAMES: Final = 150
"""This many frames of the scene are composed without being encoded."""

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


def composing(case: Case, render_device: RenderDevice, frames: range) -> float:
    """Wall seconds of decoding and composing ``frames``, encoding nothing."""
    start = time.perf_counter()
    for _ in composed(case, frames, render_device):
        pass
    return time.perf_counter() - start


def main(words: Sequence[str]) -> None:
    """Measure everything, and keep it."""
    parser = new_parser("benchmarks.lab gpu", description=__doc__)
    parser.add_argument("--device", default="cuda", metavar="DEVICE", help="cuda, or a GPU such as cuda:1")
    arguments = parser.parse_args(words)
    with start_workers(read_settings(settings_file()), say) as executor:
        render_device = choose_device(executor, arguments.device, GpuUse(MEMORY))
    assert render_device.gpu is not None
    found: Result = {
        "gpu": render_device.why,
        "encodes": render_device.has_encoder,
        "cores": CORES,
        **_kernels(render_device.gpu),
    }
    with prepared(SCENE, arguments) as case:
        found |= _decodings(case, render_device)
        frames = range(min(CHUNK_FRAMES, case.picture.frames))
        found["composing_s"] = {
            kind.name: median(composing(case, kind, frames) for _ in range(arguments.rounds))
            for kind in (CPU, render_device)
        }
        found["jobs"] = compare(case, _engines(render_device, arguments.cache), arguments.rounds, judged=False)
    print(kernel_table(found["kernels"]))
    keep(arguments, "gpu", render_device.why, found)


def _kernels(number: int) -> Result:
    from benchmarks.lab.timed_gpu import TimedGpu

    gpus = {frames: TimedGpu(number, frames) for frames in BATCHES}
    rate = copy_rate(gpus[1])
    say(f"copies {rate / 1e9:.0f} GB/s, read and written")
    found = []
    for canvas in CANVASES:
        for side in SIDES:
            for frames, device in gpus.items():
                found.append(kernel(device, canvas, side, frames, rate))
                say(f"{found[-1]}")
    return {"copied_bytes_per_s": rate, "kernels": found, "used_mib": gpus[1].used_mib()}


def _decodings(case: Case, render_device: RenderDevice) -> Result:
    source = next(number for number, source in enumerate(case.plan.sources) if source.video)
    track = case.plan.sources[source].video
    assert track
    seconds = int(track.span.duration)
    return {
        "decoded_per_s": {
            kind.name: [
                decoding(case.paths[source], track.index, seconds, open_gpu(kind), files)
                for files in range(1, MOST_FILES + 1)
            ]
            for kind in (CPU, render_device)
        }
    }


def _engines(render_device: RenderDevice, cache: Path) -> list[Engine]:
    """Owtmix on the CPU and on the GPU, and FFmpeg."""
    graph = [engine for engine in engines([], cache) if engine.name == GRAPH]
    return [owtmix(CORES), owtmix(CORES, render_device.name), *graph]


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
