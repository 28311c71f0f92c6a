"""How close an output is to the lossless composition of the same plan, as FFmpeg's filters judge it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import av

from benchmarks.case import Case
from benchmarks.command_line import say
from benchmarks.ffmpeg import ffmpeg
from benchmarks.measure import CORES

MODELS: Final = {"vmaf": "vmaf_v0.6.1", "vmaf_neg": "vmaf_v0.6.1neg"}
"""NEG gives nothing for a picture that is sharper than the one it is compared with, as another scaler may make it."""


def judge(output: Path, case: Case, composed: Path) -> dict[str, float | None]:
    """PSNR of the luma in dB, from the mean squared error of all frames; VMAF and VMAF NEG, means over all frames.

    All are None for an output that has fewer or more frames than the composition.
    """
    fps, size = case.picture.clock.fps, case.picture.canvas
    expected = composed.stat().st_size // (size.width * size.height * 3 // 2)
    with av.open(str(output)) as container:
        found = sum(1 for _ in container.decode(video=0))
    if found != expected:
        say(f"{output.name} has {found} frames, not {expected}")
        return dict.fromkeys(("psnr_db", *MODELS))
    log = case.work / "vmaf.json"
    models = "|".join(rf"version={version}\:name={name}" for name, version in MODELS.items())
    numbered = f"setpts=N/({fps}*TB),format=yuv420p,split"
    graph = f"[0:v]{numbered}[a][b];[1:v]{numbered}[c][d];[a][c]psnr;"
    graph += f"[b][d]libvmaf=log_fmt=json:n_threads={CORES}:model='{models}':log_path={log}"
    raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", str(size), "-r", str(fps), "-i", str(composed)]
    # Joined parts may differ in their colour tags; a filter graph made anew would number the frames from 0 again.
    said = ffmpeg(["-reinit_filter", "0", "-i", str(output), *raw, "-filter_complex", graph, "-f", "null", "-"])
    psnr = re.search(r"PSNR y:(\S+)", said)
    assert psnr, said
    means = json.loads(log.read_text(encoding="utf-8"))["pooled_metrics"]
    return {"psnr_db": float(psnr[1]), **{name: float(means[name]["mean"]) for name in MODELS}}
