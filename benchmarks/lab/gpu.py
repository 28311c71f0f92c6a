"""The time of a GPU for drawing a frame, for decoding, and for whole jobs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.case import Case, Engine, composed
from benchmarks.command_line import keep, new_parser, prepared, say
from benchmarks.compare import compare
from benchmarks.engines import GRAPH, engines, owtmix
from benchmarks.lab.gpu_report import kernel_table
from benchmarks.lab.gpu_timing import BATCHES, MEMORY, MOST_FILES, Result, copy_rate, decoding, kernels
from benchmarks.measure import CORES
from owtmix.compositor.factory import open_gpu
from owtmix.jobfile.settings_file import read_settings, settings_file
from owtmix.plan.device import CPU, RenderDevice
from owtmix.produce.device_choice import GpuUse, choose_device
from owtmix.workers.limits import start_workers

SCENE: Final = "crowd25"
CHUNK_FRAMES: Final = 150
"""This many frames of the scene are composed without being encoded."""


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
    for drawn in kernels(gpus, rate):
        say(f"{drawn}")
        found.append(drawn)
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
