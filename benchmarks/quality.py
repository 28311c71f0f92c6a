"""How close an output is to the lossless composition of the same plan."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import zip_longest
from math import inf, log10
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.case import Case, frame_bytes
from benchmarks.ffmpeg import ffmpeg, has_filter

PEAK: Final = 255
MODELS: Final = {"vmaf": "vmaf_v0.6.1", "vmaf_neg": "vmaf_v0.6.1neg"}
"""NEG gives nothing for a picture that is sharper than the one it is compared with, as another scaler may make it."""


class WrongLengthError(Exception):
    """An output has another number of frames than the plan."""


def psnr_db(output: Path, case: Case, composed: Path) -> float:
    """Peak signal-to-noise ratio of the luma in dB, from the mean squared error of the whole output.

    Raises:
        WrongLengthError: the output has fewer or more frames than the plan.
    """
    size = case.picture.canvas
    errors: list[float] = []
    for number, (expected, found) in enumerate(zip_longest(_composed_luma(case, composed), _luma(output))):
        if expected is None or found is None:
            raise WrongLengthError(f"{output.name} has {'more' if expected is None else 'only'} {number} frames")
        difference = expected.reshape(size.height, size.width).astype(np.int16) - found
        errors.append(float(np.mean(difference.astype(np.float32) ** 2)))
    mean = sum(errors) / len(errors)
    return 10 * log10(PEAK**2 / mean) if mean else inf


def vmaf(output: Path, case: Case, composed: Path) -> dict[str, float | None]:
    """VMAF and VMAF NEG, means over all frames; None where FFmpeg's binary was built without them."""
    if not has_filter("libvmaf"):
        return dict.fromkeys(MODELS)
    log = case.work / "vmaf.json"
    fps, size = case.picture.clock.fps, case.picture.canvas
    numbered = f"setpts=N/({fps}*TB),format=yuv420p"
    models = "|".join(rf"version={version}\:name={name}" for name, version in MODELS.items())
    judge = f"libvmaf=log_fmt=json:n_threads={os.cpu_count() or 1}:model='{models}':log_path={log}"
    graph = f"[0:v]{numbered}[found];[1:v]{numbered}[expected];[found][expected]{judge}"
    raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", str(size), "-r", str(fps)]
    # Parts that were joined may differ in what they say of their colours; a graph made anew would number from 0 again.
    found = ["-reinit_filter", "0", "-i", str(output)]
    ffmpeg([*found, *raw, "-i", str(composed), "-filter_complex", graph, "-f", "null", "-"])
    means = json.loads(log.read_text(encoding="utf-8"))["pooled_metrics"]
    return {name: float(means[name]["mean"]) for name in MODELS}


def _composed_luma(case: Case, composed: Path) -> Iterator[NDArray[np.uint8]]:
    size = case.picture.canvas
    with composed.open("rb") as file:
        while data := file.read(frame_bytes(case.picture)):
            yield np.frombuffer(data, np.uint8, size.width * size.height)


def _luma(output: Path) -> Iterator[NDArray[np.uint8]]:
    with av.open(str(output)) as container:
        for frame in container.decode(video=0):
            plane = frame.planes[0]
            yield np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
