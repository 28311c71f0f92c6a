"""Measurements of an output: pictures, sound and container."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.plane import VideoPlane
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tests.e2e.painting import Picture
from tests.support.people import BEEP_LEVEL_DB, BEEP_MS

Samples = NDArray[np.float32]
"""(channels, samples) in [-1, 1] at ``RATE_HZ``."""

RATE_HZ: Final = 48_000
_BIN: Final = RATE_HZ // 2000
FLASH_LUMA: Final = 190
"""Luma, limited range. A flash has 235, the brightest person 150; small tiles are blurred at their edges."""

_LUMA_WEIGHTS: Final = {1: (0.2126, 0.0722), 2: (0.299, 0.114), 5: (0.299, 0.114), 6: (0.299, 0.114)}
"""Luma coefficients of red and blue by matrix code (ISO/IEC 23091-2): 1 is BT.709, 5 and 6 BT.601, 2 unspecified."""


@dataclass(frozen=True, slots=True)
class Video:
    """The decoded picture track: each picture with its presentation time; ``key_frames`` has numbers of frames."""

    codec: str
    profile: str | None
    size: tuple[int, int]
    matrix: int
    is_limited_range: bool
    times_s: tuple[Fraction, ...]
    key_frames: tuple[int, ...]
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Sound:
    """The decoded sound track, from output time 0."""

    codec: str
    rate_hz: int
    samples: Samples


def read_video(path: Path) -> Video | None:
    """Decode all pictures; None without a picture track."""
    with av.open(str(path)) as file:
        if not file.streams.video:
            return None
        stream: VideoStream = file.streams.video[0]
        times, keys, pictures = [], [], []
        matrix, is_limited = 2, False
        for number, frame in enumerate(file.decode(stream)):
            times.append(_time(frame))
            matrix, is_limited = int(frame.colorspace), int(frame.color_range) == 1
            pictures.append(_rgb(frame, matrix))
            if frame.key_frame:
                keys.append(number)
        context = stream.codec_context
        size = context.width, context.height
        codec = context.name
        return Video(codec, context.profile, size, matrix, is_limited, tuple(times), tuple(keys), tuple(pictures))


def read_sound(path: Path) -> Sound | None:
    """Decode all sound; None without a sound track."""
    with av.open(str(path)) as file:
        if not file.streams.audio:
            return None
        stream: AudioStream = file.streams.audio[0]
        samples: list[Samples] = []
        start: Fraction | None = None
        for frame in file.decode(stream):
            assert frame.format.name == "fltp"
            start = _time(frame) if start is None else start
            samples.append(frame.to_ndarray().astype(np.float32))
        track = np.concatenate(samples, axis=1)
        lead = round((start or Fraction(0)) * stream.rate)
        track = np.pad(track, ((0, 0), (lead, 0))) if lead >= 0 else track[:, -lead:]
        return Sound(stream.codec_context.name, stream.rate, track)


def luma(picture: Picture, box: tuple[int, int, int, int]) -> float:
    """The mean brightness, limited range, of the inner half of ``box`` (canvas pixels)."""
    left, top, right, bottom = (edge // 2 for edge in box)
    across, down = (right - left) // 4, (bottom - top) // 4
    inner = picture[top + down : bottom - down, left + across : right - across]
    return 16 + 219 / 255 * float((inner @ np.array([0.299, 0.587, 0.114])).mean())


def beeps(samples: Samples, tone_hz: int) -> list[float]:
    """Onset of each beep of ``tone_hz``, in seconds, with an error below a millisecond.

    The tone is demodulated to 0 Hz and averaged over the length of a beep, which gives a triangle at each beep. Its
    centre is the onset, independently of how the codec smeared the edges.
    """
    seconds = np.array_split(samples, range(RATE_HZ, samples.shape[1], RATE_HZ), axis=1)
    turns = np.exp(-2j * np.pi * tone_hz / RATE_HZ * np.arange(RATE_HZ))
    bins = np.concatenate([_bins(part.mean(axis=0) * turns[: part.shape[1]]) for part in seconds])
    length = BEEP_MS * RATE_HZ // 1000 // _BIN
    total = np.concatenate([np.zeros(length + 1), np.cumsum(bins), np.zeros(length)])
    total[-length:] = total[-length - 1]
    triangle = 2 * np.abs(total[length:] - total[:-length]) / length
    half = np.sqrt(2) * 10 ** (BEEP_LEVEL_DB / 20) / 2
    flanks = np.flatnonzero((triangle[:-1] < half) != (triangle[1:] < half))
    exact = flanks + (half - triangle[flanks]) / (triangle[flanks + 1] - triangle[flanks])
    middles = (exact[0::2] + exact[1::2]) / 2
    return [float(middle - length) * _BIN / RATE_HZ for middle in middles]


def _bins(samples: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Means over half a millisecond; the flanks of the triangle are linear, so interpolation is exact."""
    whole = len(samples) // _BIN * _BIN
    bins: NDArray[np.complex128] = samples[:whole].reshape(-1, _BIN).mean(axis=1)
    return bins


def level_db(samples: NDArray[np.float32], tone_hz: int, start_s: float, end_s: float) -> float:
    """The RMS of one tone in one channel between two times, in dB; 0 is a full-scale square wave."""
    part = samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
    window = np.hanning(len(part))
    turns = np.exp(-2j * np.pi * tone_hz / RATE_HZ * np.arange(len(part)))
    amplitude = 2 * abs((part * window * turns).sum()) / window.sum()
    return float(20 * np.log10(max(amplitude, 1e-9) / np.sqrt(2)))


def boxes(path: Path) -> list[str]:
    """The names of an MP4 file's top-level boxes."""
    names, data, position = [], path.read_bytes(), 0
    while position < len(data):
        size, name = struct.unpack_from(">I4s", data, position)
        names.append(name.decode())
        position += size
    return names


def _rgb(frame: av.VideoFrame, matrix: int) -> Picture:
    """One pixel for every 2 x 2: their mean luma with the chroma they share."""
    assert frame.format.name == "yuv420p", frame.format.name
    luma_px, u, v = (_plane(frame.planes[number]) for number in range(3))
    height, width = u.shape
    y = luma_px.reshape(height, 2, width, 2).mean(axis=(1, 3))
    y, u, v = (y - 16) * 255 / 219, (u - 128) * 255 / 224, (v - 128) * 255 / 224
    red, blue = _LUMA_WEIGHTS[matrix]
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    return np.stack([r, g, b], axis=2).round().astype(np.int16)


def _plane(plane: VideoPlane) -> NDArray[np.float64]:
    rows: NDArray[np.uint8] = np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width].astype(np.float64)


def _time(frame: av.AudioFrame | av.VideoFrame) -> Fraction:
    assert frame.pts is not None
    assert frame.time_base is not None
    return frame.pts * frame.time_base
