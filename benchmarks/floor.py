"""The least that composing a case can cost: decoding what is shown and heard, and encoding the result, in CPU seconds.

``python -m benchmarks.floor PART CASE FRAMES`` measures one part in a process of its own and prints its seconds. Only
decoders and encoders are counted, each with one thread: not the interpreter's start, nor mixing, nor reading the
composed frames back.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from math import ceil, floor
from pathlib import Path
from typing import Final

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from benchmarks.case import Case, frame_bytes
from benchmarks.graph import placements
from owtmix.base.time import TimeRange
from owtmix.compositor.cpu import planes
from owtmix.media.audio_reader import AudioReader
from owtmix.media.open import open_input, packets, select
from owtmix.media.writers import AudioWriter, VideoWriter
from owtmix.plan.model import SAMPLE_RATE_HZ, Picture
from owtmix.render.audio_mix import mix

PICTURE: Final = "floor-picture.mp4"
"""What encoding the picture leaves in the work folder."""
NEAR_S: Final = Fraction(10)
"""What is shown again so soon is decoded on, as no seeking helps."""


@dataclass(frozen=True, slots=True)
class Floor:
    """CPU seconds of each part."""

    decode_picture_s: float
    decode_sound_s: float
    encode_picture_s: float
    encode_sound_s: float

    @property
    def total_s(self) -> float:
        return self.decode_picture_s + self.decode_sound_s + self.encode_picture_s + self.encode_sound_s


def measure(case: Case, composed: Path) -> Floor:
    """Measure every part once; ``composed`` has the frames of the case."""
    return Floor(**{f"{part}_s": measure_part(part, case, composed) for part in _PARTS})


def measure_part(part: str, case: Case, composed: Path) -> float:
    """Measure one part, in CPU seconds."""
    pickled = case.work / "case.pickle"
    pickled.write_bytes(pickle.dumps(case))
    command = [sys.executable, "-m", "benchmarks.floor", part, str(pickled), str(composed)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def shown(picture: Picture) -> Iterator[tuple[int, TimeRange]]:
    """Each source's stretches that have to be decoded, in file time."""
    by_source = sorted(placements(picture), key=lambda p: (p.source, p.frames.start))
    for source, group in groupby(by_source, lambda p: p.source):
        stretch: TimeRange | None = None
        for placement in group:
            first, last = (picture.clock.time(n) for n in (placement.frames.start, placement.frames.stop))
            span = TimeRange(first - placement.offset_s, last - placement.offset_s)
            if stretch and span.start - stretch.end < NEAR_S:
                stretch = TimeRange(stretch.start, max(stretch.end, span.end))
                continue
            if stretch:
                yield source, stretch
            stretch = span
        if stretch:
            yield source, stretch


def _decode_picture(case: Case, _: Path) -> float:
    begun_s = time.process_time()
    for source, span in shown(case.picture):
        track = case.plan.sources[source].video
        assert track
        with open_input(case.path(source)) as container:
            stream = select(container, track.index)
            assert stream.time_base
            if span.start > track.span.start:
                container.seek(int(span.start / stream.time_base), stream=stream)
            for packet in packets(container, stream):
                if packet.pts is not None and packet.pts * stream.time_base >= span.end:
                    break
                packet.decode()
    return time.process_time() - begun_s


def _decode_sound(case: Case, _: Path) -> float:
    assert case.plan.sound
    begun_s = time.process_time()
    for placed in case.plan.sound.placements:
        start, end = floor(placed.span.start * SAMPLE_RATE_HZ), ceil(placed.span.end * SAMPLE_RATE_HZ)
        with AudioReader(case.path(placed.source), placed.track, placed.offset_s) as reader:
            for first in range(start, end, SAMPLE_RATE_HZ):
                reader.read(first, min(SAMPLE_RATE_HZ, end - first))
    return time.process_time() - begun_s


def _encode_picture(case: Case, composed: Path) -> float:
    picture = case.picture
    writer = VideoWriter(case.work / PICTURE, picture.canvas, picture.clock.fps, picture.matrix, picture.encoding)
    used_s = 0.0
    for number, frame in enumerate(stored(picture, composed)):
        begun_s = time.process_time()
        writer.write(frame, number)
        used_s += time.process_time() - begun_s
    begun_s = time.process_time()
    writer.close()
    return used_s + time.process_time() - begun_s


def _encode_sound(case: Case, _: Path) -> float:
    sound = case.plan.sound
    assert sound
    blocks = list(mix(sound.placements, case.paths, sound.samples, lambda _source, _problem: None))
    writer = AudioWriter(case.work / "floor-sound.mp4", sound.encoding)
    begun_s = time.process_time()
    for block in blocks:
        writer.write(block)
    writer.close()
    return time.process_time() - begun_s


_PARTS: Final[Mapping[str, Callable[[Case, Path], float]]] = {
    "decode_picture": _decode_picture,
    "decode_sound": _decode_sound,
    "encode_picture": _encode_picture,
    "encode_sound": _encode_sound,
}


def stored(picture: Picture, composed: Path) -> Iterator[VideoFrame]:
    """The frames of a composition, each valid until the next is asked for."""
    frame = VideoFrame(picture.canvas.width, picture.canvas.height, "yuv420p")
    drawn = planes(frame)
    with composed.open("rb") as file:
        while data := file.read(frame_bytes(picture)):
            _fill(drawn, np.frombuffer(data, np.uint8))
            yield frame


def _fill(drawn: tuple[NDArray[np.uint8], ...], pixels: NDArray[np.uint8]) -> None:
    start = 0
    for plane in drawn:
        plane[:] = pixels[start : start + plane.size].reshape(plane.shape)
        start += plane.size


if __name__ == "__main__":
    part, case, composed = sys.argv[1:]
    print(_PARTS[part](pickle.loads(Path(case).read_bytes()), Path(composed)))
