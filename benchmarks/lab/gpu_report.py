"""The sections of ``docs/performance.md`` about GPUs: the results of ``python -m benchmarks.lab gpu`` on each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.engines import GRAPH
from benchmarks.results import borrowed
from benchmarks.tables import markdown, measured, middle, scene_table, target, targets_table

Found = Mapping[str, Any]


def paragraphs(document: Found) -> Iterator[str]:
    """A section for each GPU, by its name and what it can do."""
    for number, (gpu, found) in enumerate(document.get("gpu", {}).items()):
        if number == 0:
            yield from borrowed(document, "gpu")
        yield f"### Graphics card: {gpu}"
        yield (
            f"Beside {found['cores']} cores. It copies {found['copied_bytes_per_s'] / 1e9:.0f} GB/s, read and written; "
            f"{found['used_mib']} MiB of its memory were taken while frames were drawn."
        )
        yield targets_table(list(_targets(found)))
        yield kernel_table(found["kernels"])
        yield "Pictures decoded in a second with so many files at once:"
        decoded = found["decoded_per_s"]
        most = max(map(len, decoded.values()))
        rows = [(device, *(f"{rate:.0f}" for rate in rates)) for device, rates in decoded.items()]
        yield markdown(("device", *map(str, range(1, most + 1))), rows)
        yield "`crowd25` as whole jobs:"
        yield scene_table(found["jobs"], found["cores"])


def kernel_table(kernels: Sequence[Found]) -> str:
    """The time that drawing takes."""
    rows = [
        (
            k["canvas"],
            str(k["tiles"]),
            str(k["frames_per_launch"]),
            f"{k['frame_us']:.0f}",
            f"{k['share_of_copying']:.0%}",
        )
        for k in kernels
    ]
    return markdown(("canvas", "tiles", "frames in a launch", "us a frame", "share of copying"), rows)


def _targets(found: Found) -> Iterator[Sequence[str]]:
    share = min(float(kernel["share_of_copying"]) for kernel in found["kernels"])
    yield target("drawing: lowest share of what copying takes", share, least=0.6)
    engines = dict(measured(found["jobs"]))
    on_gpu = next((figures for name, figures in engines.items() if "cuda" in name), None)
    faster = None
    if on_gpu and GRAPH in engines:
        faster = middle(engines[GRAPH]["rounds"], "wall_s") / middle(on_gpu["rounds"], "wall_s")
    yield target("crowd25: times as fast as FFmpeg with x264 on the same cores", faster, least=2)
    seconds = found["composing_s"]
    composed_faster = float(seconds["cpu"] / next(value for device, value in seconds.items() if device != "cpu"))
    yield target("decoding and composing: times as fast as on the CPU", composed_faster, least=10)
