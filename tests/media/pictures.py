"""Synthetic videos. Each frame encodes its number, so that a test can tell which one is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from owtmix.base.geometry import Size
from owtmix.compositor.cpu import planes

Plane = NDArray[np.uint8]
Draw = Callable[[int, Size], VideoFrame]

SMALL: Final = Size(64, 48)
MS: Final = Fraction(1, 1000)
BITS: Final = 8
"""Bars of a numbered frame, each a binary digit, the lowest on the left."""

_DARK, _LIGHT = 40, 200
_ENCODERS: Final[dict[str, dict[str, str]]] = {
    "libvpx": {"deadline": "realtime", "cpu-used": "-8", "lag-in-frames": "0", "auto-alt-ref": "0"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "auto-alt-ref": "0"},
    "libx264": {"preset": "veryfast", "bf": "0"},
}


def steady(count: int, fps: int = 10, first_ms: int = 0) -> tuple[int, ...]:
    """The times of ``count`` frames at ``fps``, in milliseconds."""
    return tuple(first_ms + i * 1000 // fps for i in range(count))


def from_planes(*components: Plane, pixel_format: str = "yuv420p") -> VideoFrame:
    """A frame with the given samples; the first plane has the frame's own size."""
    height, width = components[0].shape
    frame = VideoFrame(width, height, pixel_format)
    for plane, samples in zip(frame.planes, components, strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        rows[: samples.shape[0], : samples.shape[1]] = samples
    return frame


def flat(size: Size, colour: tuple[int, int, int] = (128, 128, 128)) -> VideoFrame:
    """A yuv420p frame of one colour, given as Y, Cb, Cr."""
    half = (size.height + 1) // 2, (size.width + 1) // 2
    shapes = (size.height, size.width), half, half
    return from_planes(*(np.full(shape, code, np.uint8) for shape, code in zip(shapes, colour, strict=True)))


@lru_cache(64)
def texture(shape: tuple[int, int], seed: int = 0) -> Plane:
    """Waves and noise over most of the limited range: uint8 of ``shape`` (rows, columns)."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    waves = 128 + 60 * np.sin(x / 2.3) * np.cos(y / 3.1)
    noise = np.random.default_rng(seed).normal(0, 25, shape)
    samples: Plane = (waves + noise).clip(16, 235).round().astype(np.uint8)
    samples.flags.writeable = False  # others get the same
    return samples


def textured(size: Size, seed: int = 0) -> VideoFrame:
    """A yuv420p frame of three textures."""
    half = (size.height + 1) // 2, (size.width + 1) // 2
    return from_planes(*(texture(shape, seed + i) for i, shape in enumerate(((size.height, size.width), half, half))))


def numbered(number: int, size: Size = SMALL) -> VideoFrame:
    """A frame that encodes ``number`` (below 256) in bars; noise makes the frames differ everywhere."""
    bars = [_LIGHT if number >> bit & 1 else _DARK for bit in range(BITS)]
    luma = np.repeat(bars, -(-size.width // BITS))[: size.width] + np.zeros((size.height, 1))
    noise = np.random.default_rng(number).integers(-12, 13, (size.height, size.width))
    chroma = np.full(((size.height + 1) // 2, (size.width + 1) // 2), 100 + number % 50, np.uint8)
    return from_planes((luma + noise).astype(np.uint8), chroma, chroma)


def number_of(frame: VideoFrame) -> int:
    """The number of a numbered frame, also after encoding and scaling."""
    bars = np.array_split(planes(frame)[0], BITS, axis=1)
    return sum(1 << bit for bit, bar in enumerate(bars) if bar.mean() > (_DARK + _LIGHT) / 2)


def camera(number: int, size: Size) -> VideoFrame:
    """A frame as of a steady camera: a textured scene that moves a little, with sensor noise."""
    shape = size.height, size.width
    scene = np.roll(texture(shape), round(3 * np.sin(number / 9)), axis=1).astype(np.int16)
    noise = np.random.default_rng(number).normal(0, 4, shape).round().astype(np.int16)
    half = np.full((size.height // 2, size.width // 2), 128, np.uint8)
    return from_planes((scene + noise).clip(16, 235).astype(np.uint8), half, half)


def write_film(
    path: Path,
    times_ms: Sequence[int],
    *,
    size: Size = SMALL,
    encoder: str | None = None,
    gop: int = 250,
    draw: Draw = numbered,
    pixel_format: str = "yuv420p",
    display_matrix: Sequence[int] | None = None,
    full_range: bool = False,
    options: Mapping[str, str] | None = None,
    muxing: Mapping[str, str] | None = None,
    tamper: Callable[[int, Packet[Any]], Packet[Any]] | None = None,
) -> Path:
    """Write frame ``i``, drawn by ``draw(i, size)``, at ``times_ms[i]``; by default H.264 in MP4, else VP8.

    Timestamps that repeat or go back are written to WebM unchanged. ``tamper`` may replace packet ``i``.
    """
    rising = all(a < b for a, b in pairwise(times_ms))
    unchanged = {} if rising else {"avoid_negative_ts": "disabled"}
    with av.open(str(path), "w", options={"fflags": "+bitexact", **unchanged, **(muxing or {})}) as container:
        stream = _stream(container, encoder or ("libx264" if path.suffix == ".mp4" else "libvpx"), size, gop, options)
        stream.pix_fmt = pixel_format
        if full_range:
            stream.codec_context.color_range = 2
        if display_matrix:
            stream.set_display_matrix(list(display_matrix))
        packets: list[Packet[Any]] = []
        for i, time_ms in enumerate(times_ms):
            frame = draw(i, size)
            frame.pts, frame.time_base = (time_ms if rising else i), MS
            packets += stream.encode(frame)
        for i, packet in enumerate(packets + stream.encode(None)):
            if not rising:
                packet.pts, packet.dts = times_ms[i], i - len(times_ms)
            container.mux(tamper(i, packet) if tamper else packet)
    return path


def write_sizes(path: Path, *pieces: tuple[Size, Sequence[int]]) -> Path:
    """One VP8 stream whose size changes with each piece, at a key frame. Frames are numbered across pieces."""
    packets: list[Packet[Any]] = []
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        written = _stream(container, "libvpx", pieces[0][0], 250)
        number = 0
        for size, times_ms in pieces:
            with av.open("/dev/null", "w", format="null") as discarded:
                stream = _stream(discarded, "libvpx", size, 250)
                for time_ms in times_ms:
                    frame = numbered(number, size)
                    frame.pts, frame.time_base = time_ms, MS
                    packets += stream.encode(frame)
                    number += 1
                packets += stream.encode(None)
        for packet in packets:
            packet.stream = written
            container.mux(packet)
    return path


def _stream(
    container: OutputContainer, encoder: str, size: Size, gop: int, options: Mapping[str, str] | None = None
) -> VideoStream:
    stream = container.add_stream(encoder, rate=10, options={**_ENCODERS.get(encoder, {}), **(options or {})})
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
    stream.codec_context.time_base = MS
    stream.codec_context.bit_rate = 2_000_000
    stream.codec_context.gop_size = gop
    stream.codec_context.thread_count = 1
    return stream
