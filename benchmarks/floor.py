"""The least cost of composing a case: decoding what is shown and heard, and encoding the result, in CPU seconds.

Only decoders and encoders are counted, each with one thread: not the interpreter's start, nor mixing, nor reading the
composed frames back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from math import ceil, floor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
from av.video.frame import VideoFrame

from benchmarks.case import Case
from benchmarks.ffmpeg_graphs import placements
from owtmix.base.time import TimeRange
from owtmix.media.audio_reader import AudioReader
from owtmix.media.open import open_input, packets, select_stream
from owtmix.media.writers import AudioWriter, VideoWriter
from owtmix.plan.model import SAMPLE_RATE_HZ, RenderPlan
from owtmix.render.audio_mix import mix

PICTURE: Final = "floor-picture.mp4"
"""The encoded picture, which stays in the work folder."""
NEAR_S: Final = Fraction(10)
"""Between two stretches as close as this the decoder goes on, as no seeking helps."""


def measure(case: Case, composed: Path) -> dict[str, float]:
    """CPU seconds of every part, each in a process of its own; ``composed`` has the frames of the case."""
    parts = (decode_picture, decode_sound, encode_picture, encode_sound)
    return {f"{part.__name__}_s": measure_part(part, case, composed) for part in parts}


def measure_part(part: Callable[[Case, Path], float], case: Case, composed: Path) -> float:
    """CPU seconds of one part."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(part, case, composed).result()


def shown(plan: RenderPlan) -> Iterator[tuple[int, TimeRange]]:
    """Each source's stretches that have to be decoded, in file time."""
    assert plan.picture
    clock = plan.picture.clock
    stretches: dict[int, list[TimeRange]] = {}
    for placement in sorted(placements(plan), key=lambda placement: placement.frames.start):
        start, end = (clock.time(n) - placement.offset_s for n in (placement.frames.start, placement.frames.stop))
        own = stretches.setdefault(placement.source, [])
        if own and start - own[-1].end < NEAR_S:
            before = own.pop()
            start, end = before.start, max(before.end, end)
        own.append(TimeRange(start, end))
    return ((source, stretch) for source, own in stretches.items() for stretch in own)


def decode_picture(case: Case, _: Path) -> float:
    """All pictures that the plan shows."""
    begun_s = time.process_time()
    for source, span in shown(case.plan):
        track = case.plan.sources[source].video
        assert track
        with open_input(case.paths[source]) as container:
            stream = select_stream(container, track.index)
            assert stream.time_base
            if span.start > track.span.start:
                container.seek(int(span.start / stream.time_base), stream=stream)
            for packet in packets(container, stream):
                if packet.pts is not None and packet.pts * stream.time_base >= span.end:
                    break
                packet.decode()
    return time.process_time() - begun_s


def decode_sound(case: Case, _: Path) -> float:
    """All sound that the plan plays."""
    begun_s = time.process_time()
    for placed in case.sound.placements:
        start, end = floor(placed.span.start * SAMPLE_RATE_HZ), ceil(placed.span.end * SAMPLE_RATE_HZ)
        with AudioReader(case.paths[placed.source], placed.track, placed.offset_s) as reader:
            for first in range(start, end, SAMPLE_RATE_HZ):
                reader.read(first, min(SAMPLE_RATE_HZ, end - first))
    return time.process_time() - begun_s


def encode_picture(case: Case, composed: Path) -> float:
    """All frames of the composition."""
    picture = case.picture
    shape = picture.canvas.height * 3 // 2, picture.canvas.width
    pixels = np.memmap(composed, np.uint8, "r").reshape(-1, *shape)
    frames = ((VideoFrame.from_ndarray(plane, "yuv420p"), number) for number, plane in enumerate(pixels))
    writer = VideoWriter(case.work / PICTURE, picture.canvas, picture.clock.fps, picture.matrix, picture.encoding)
    return _writing_s(writer, frames)


def encode_sound(case: Case, _: Path) -> float:
    """The mixed sound."""
    sound = case.sound
    blocks = mix(sound.placements, case.sources, sound.samples)
    return _writing_s(AudioWriter(case.work / "floor-sound.mp4", sound.encoding), ((block,) for block in blocks))


def _writing_s(writer: Any, items: Iterable[tuple[Any, ...]]) -> float:
    """CPU seconds of writing ``items`` and of closing the file, but not of making the items."""
    used_s = 0.0
    for item in items:
        begun_s = time.process_time()
        writer.write(*item)
        used_s += time.process_time() - begun_s
    begun_s = time.process_time()
    writer.close()
    return used_s + time.process_time() - begun_s
