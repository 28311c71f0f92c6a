"""Pictures that NVDEC decodes against those that the CPU decodes."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from math import inf, log10
from pathlib import Path
from typing import Any, Final

import numpy as np
from av.video.frame import VideoFrame

from benchmarks.lab.gpu_proof.card import Card, open_card
from benchmarks.lab.gpu_proof.films import made_films
from benchmarks.lab.gpu_proof.setting import Finding, Setting, tried, untried
from owtmix.base.errors import MixError
from owtmix.media.nvdec import GPU_FORMAT, DecodingGpu
from owtmix.media.probe import probe
from owtmix.media.video_reader import VideoReader
from owtmix.plan.media_info import VideoTrack

LEAST_DB: Final = 45.0
STEP_S: Final = Fraction(1, 10)
LONGEST_S: Final = 10
PRETENDED_S: Final = 1


def run(setting: Setting) -> Iterator[Finding]:
    """Each recording on its own."""
    card = open_card(setting)
    folder = setting.recordings
    seconds = PRETENDED_S if setting.pretend else LONGEST_S
    paths = sorted(filter(Path.is_file, folder.iterdir())) if folder else made_films(setting.work / "films", seconds)
    for path in paths:
        yield tried(path.name, partial(_judged, path, card, seconds, setting))
    if setting.pretend:
        yield untried("decoding by NVDEC, and cupy's memcpy2D")


def _judged(path: Path, card: Card, seconds: int, setting: Setting) -> Finding:
    """Of another's files it is only a fact that the card does not decode them, or that they cannot be read."""
    try:
        track = probe(path).video
    except MixError as error:
        return Finding(path.name, str(error))
    if track is None:
        return Finding(path.name, "has no picture")
    found = compared(path, track, card, seconds, pretend=setting.pretend)
    if setting.recordings and not found["on_card"]:
        return Finding(path.name, found)
    return Finding(path.name, found, ok=found["on_card"] > 0 and found["least_db"] >= LEAST_DB)


def compared(path: Path, track: VideoTrack, card: Card, seconds: int, *, pretend: bool) -> dict[str, Any]:
    """The lowest PSNR (dB) of the pictures at every tenth of a second, and who decoded them."""
    ours, theirs = VideoReader(path, track.index, card), VideoReader(path, track.index)
    least_db, shown, on_card = inf, 0, 0
    for number in range(int(min(track.span.duration, Fraction(seconds)) / STEP_S)):
        t = track.span.start + number * STEP_S
        one, other = ours.frame_at(t), theirs.frame_at(t)
        assert (one is None) == (other is None), f"only one has a picture at {float(t):.1f} s"
        if one is None or other is None:
            continue
        frame = _as_on_card(one.frame) if pretend else one.frame
        shown += 1
        if frame.format.name == GPU_FORMAT:
            on_card += 1
            frame = downloaded(frame, card)
        least_db = min(least_db, psnr_db(frame, other.frame))
    decoders, sizes = ours.stats.decoders, [str(size) for size in ours.stats.sizes]
    ours.close()
    theirs.close()
    return {"least_db": least_db, "pictures": shown, "on_card": on_card, "decoders": decoders, "sizes": sizes}


def downloaded(frame: VideoFrame, card: DecodingGpu) -> VideoFrame:
    """A frame of the card's memory in main memory."""
    assert frame.sw_format is not None
    copied = VideoFrame(frame.width, frame.height, frame.sw_format.name)
    item = 1 if frame.sw_format.name in {"nv12", "yuv444p"} else 2
    for number, (source, plane) in enumerate(zip(frame.planes, copied.planes, strict=True)):
        interleaved = number == 1 and len(copied.planes) == number + 1
        width = plane.width * item * (2 if interleaved else 1)
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        rows[: plane.height, :width] = card.fetch(source.buffer_ptr, source.line_size, width, plane.height)
    return copied


def psnr_db(one: VideoFrame, other: VideoFrame) -> float:
    """Of all samples, in the format of ``other``; 0 for pictures of different sizes."""
    if (one.width, one.height) != (other.width, other.height):
        return 0.0
    ours, theirs = (frame.reformat(format=other.format.name).to_ndarray().astype(np.int32) for frame in (one, other))
    error = float(np.mean((ours - theirs) ** 2))
    peak = (1 << other.format.components[0].bits) - 1
    return 10 * log10(peak**2 / error) if error else inf


def _as_on_card(frame: VideoFrame) -> Any:
    """``frame`` as PyAV gives those of NVDEC."""
    from tests.support.card.gpu_frame import gpu_frame

    return gpu_frame(frame.reformat(format="nv12"))
