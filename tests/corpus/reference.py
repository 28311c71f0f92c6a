"""An independent decoder of recordings and outputs, with PyAV, Pillow and NumPy."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from numpy.typing import NDArray
from PIL import Image

from tests.corpus.row import Row

GRID: Final = (12, 9)
"""Columns and rows of the grid; pictures are compared by the mean colours of its cells."""

RATE_HZ: Final = 48_000

ROUNDING_S: Final = 0.003
"""An audio frame whose timestamp is this near to the end of the previous one continues it."""

Plane = NDArray[np.uint8]
Planes = tuple[Plane, Plane, Plane]
Cells = NDArray[np.float32]
"""(rows, columns, 3): R, G, B, about 0..255; codecs may exceed the range slightly."""

Wave = NDArray[np.float32]
"""(samples,) at ``RATE_HZ``, the mean of all channels."""

_KR_KB: Final = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
_MATRICES: Final = {1: "bt709", 5: "bt601", 6: "bt601"}


@dataclass(frozen=True, slots=True)
class Film:
    """Pictures sorted by time."""

    times_s: list[float]
    cells: list[Cells]
    sizes: list[tuple[int, int]]

    def newest(self, t: float) -> int | None:
        """The number of the newest picture at ``t``; None before the first."""
        return bisect_right(self.times_s, t) - 1 if self.times_s and t >= self.times_s[0] else None


def read_film(row: Row, until_s: float) -> Film:
    """The presentable pictures of a file, rotated upright; of several at one time only the last."""
    video = row.video
    assert video
    film = Film([], [], [])
    for t, frame in _frames(row.path, video.index):
        if t > until_s:
            break
        columns, rows = GRID if video.turn % 2 == 0 else GRID[::-1]
        seen = cells(_planes(frame), (columns, rows), video.matrix, full_range=video.full_range)
        width, height = frame.width * float(video.sar), frame.height
        if film.times_s and t <= film.times_s[-1]:
            film.cells.pop()
            film.sizes.pop()
        else:
            film.times_s.append(t)
        upright = np.rot90(seen, video.turn)
        film.cells.append(upright[:, ::-1] if video.mirrored else upright)
        film.sizes.append((round(height), round(width)) if video.turn % 2 else (round(width), round(height)))
    return film


def read_wave(path: Path, index: int | None = None) -> tuple[Wave, float]:
    """The sound of a file, with each frame at its timestamp except for rounding, and its start time."""
    placed: list[tuple[float, int, Wave]] = []
    with av.open(str(path)) as file:
        stream = file.streams[index] if index is not None else file.streams.audio[0]
        for packet in file.demux(stream):
            try:
                frames = list(packet.decode())
            except av.error.FFmpegError:
                continue
            for frame in frames:
                assert isinstance(frame, AudioFrame)
                assert frame.pts is not None
                assert frame.time_base is not None
                placed.append((float(frame.pts * frame.time_base), frame.sample_rate, _mono(frame)))
    start, rate = placed[0][0], placed[0][1]
    firsts: list[int] = []
    following = 0
    for t, _, wave in placed:
        stamped = round((t - start) * rate)
        firsts.append(following if abs(stamped - following) < ROUNDING_S * rate else stamped)
        following = firsts[-1] + len(wave)
    track = np.zeros(max(first + len(wave) for first, (_, _, wave) in zip(firsts, placed, strict=True)), np.float32)
    for first, (_, _, wave) in zip(firsts, placed, strict=True):
        track[first : first + len(wave)] = wave
    count = round(len(track) * RATE_HZ / rate)
    resampled = np.fft.irfft(np.fft.rfft(track), count) * count / len(track)
    return resampled.astype(np.float32), start


def read_planes(path: Path) -> tuple[list[Planes], str]:
    """The pictures of an output in order, yuv420p, and their colour matrix."""
    pictures, matrix = [], 0
    with av.open(str(path)) as file:
        for frame in file.decode(video=0):
            assert frame.format.name == "yuv420p"
            matrix = int(frame.colorspace)
            pictures.append(_planes(frame))
    return pictures, _MATRICES[matrix]


def cells(planes: Planes, grid: tuple[int, int], matrix: str, *, full_range: bool) -> Cells:
    """The mean colours of the cells of ``grid``. Y'CbCr is linear in R'G'B', so the means are converted."""
    y, u, v = (np.asarray(Image.fromarray(plane).resize(grid, Image.Resampling.BOX), np.float32) for plane in planes)
    low, span, chroma = (0, 255, 255) if full_range else (16, 219, 224)
    y, u, v = (
        (y - low) * np.float32(255 / span),
        (u - 128) * np.float32(255 / chroma),
        (v - 128) * np.float32(255 / chroma),
    )
    red, blue = _KR_KB[matrix]
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    return np.stack([r, (y - red * r - blue * b) / (1 - red - blue), b], axis=2).astype(np.float32)


def _frames(path: Path, index: int) -> Iterator[tuple[float, VideoFrame]]:
    """Frames without damage, with times that do not decrease. One thread: damage depends on the number of threads."""
    latest = float("-inf")
    with av.open(str(path)) as file:
        stream = file.streams.video[[s.index for s in file.streams.video].index(index)]
        stream.codec_context.thread_count = 1
        for packet in file.demux(stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in frames:
                assert isinstance(frame, VideoFrame)
                if not frame.is_corrupt:
                    assert frame.pts is not None
                    assert frame.time_base is not None
                    latest = max(latest, float(frame.pts * frame.time_base))
                    yield latest, frame


def _planes(frame: VideoFrame) -> Planes:
    deep = frame.format.name.endswith("10le")
    y, u, v = (_samples(plane, deep=deep) for plane in frame.planes)
    return y, u, v


def _samples(plane: VideoPlane, *, deep: bool) -> Plane:
    if deep:
        words = np.frombuffer(bytes(plane), np.uint16).reshape(plane.height, -1)[:, : plane.width]
        return (words >> 2).astype(np.uint8)
    return np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, -1)[:, : plane.width]


def _mono(frame: AudioFrame) -> Wave:
    samples = frame.to_ndarray()
    scale = {"s16": 1 << 15, "s32": 1 << 31}.get(frame.format.name.removesuffix("p"), 1)
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    mean: Wave = (samples.astype(np.float64).mean(axis=0) / scale).astype(np.float32)
    return mean
