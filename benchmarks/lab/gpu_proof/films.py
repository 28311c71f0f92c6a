"""Films made with PyAV, since a card machine has no FFmpeg: pictures that move, with noise, and a tone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from owtmix.base.geometry import Size

FPS: Final = 30
RATE_HZ: Final = 48_000
HD: Final = Size(1280, 720)
NHD: Final = Size(640, 360)
PICTURES: Final = 12
"""Different pictures of a film, shown forwards and backwards."""
STEP_PX: Final = 2
"""So far a picture moves from one to the next."""
NOISE_PX: Final = 97
"""So far the noise does."""
TICKS: Final = {".mp4": Fraction(1, 90_000), ".webm": Fraction(1, 1000)}
_REALTIME: Final = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "libx264": {"preset": "superfast", "profile": "baseline", "bf": "0"},
    "libvpx": _REALTIME,
    "libvpx-vp9": _REALTIME,
}


@dataclass(frozen=True, slots=True)
class Film:
    """A film of so many frames of each size, one after the other; ``seed`` decides what it shows."""

    encoder: str
    pieces: tuple[tuple[Size, int], ...]
    kbps: int = 1200
    key_frames: int = 300
    seed: int = 0
    sound: bool = False
    options: Mapping[str, str] | None = None


def write(path: Path, film: Film) -> Path:
    """Write the film: MP4 with AAC, or WebM with Opus, by the name of ``path``. Sizes change in WebM only."""
    tick, begun = TICKS[path.suffix], 0
    packets: list[Packet[Any]] = []
    with av.open(str(path), "w") as file:
        written = _stream(file, film, film.pieces[0][0], tick)
        for number, (size, count) in enumerate(film.pieces):
            with av.open("/dev/null", "w", format="null") as discarded:
                stream = _stream(discarded, film, size, tick) if number else written
                for index, frame in enumerate(_shown(size, film.seed, count), begun):
                    frame.pts, frame.time_base = round(Fraction(index, FPS) / tick), tick
                    packets += stream.encode(frame)
                packets += stream.encode(None)
            begun += count
        for packet in packets:
            packet.stream = written
        if film.sound:
            packets += _sound(file, path.suffix, film.seed, Fraction(begun, FPS))
        for packet in sorted(packets, key=lambda packet: (packet.dts or 0) * packet.time_base):
            file.mux(packet)
    return path


def made_films(folder: Path, seconds: int) -> list[Path]:
    """A film for each kind of recording that NVDEC may decode, made in ``folder`` unless they are there."""
    count = seconds * FPS
    films = {
        "h264-720p.mp4": Film("libx264", ((HD, count),)),
        "h264-b-frames-720p.mp4": Film("libx264", ((HD, count),), options={"preset": "superfast", "bf": "2"}),
        "vp8-720p.webm": Film("libvpx", ((HD, count),)),
        "vp9-720p.webm": Film("libvpx-vp9", ((HD, count),)),
        "vp8-size-change.webm": Film("libvpx", ((NHD, count // 2), (HD, count // 2))),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, film in films.items():
        if not (folder / name).exists():
            made = write(folder / f"partial{Path(name).suffix}", film)
            made.replace(folder / name)
    return [folder / name for name in films]


def _stream(file: OutputContainer, film: Film, size: Size, tick: Fraction) -> VideoStream:
    stream = file.add_stream(film.encoder, rate=FPS, options=dict(film.options or OPTIONS[film.encoder]))
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
    stream.codec_context.time_base = tick
    stream.codec_context.bit_rate = film.kbps * 1000
    stream.codec_context.gop_size = film.key_frames
    stream.codec_context.thread_count = 1
    return stream


def _shown(size: Size, seed: int, count: int) -> Sequence[VideoFrame]:
    pictures = _pictures(size, seed)
    return list(islice(cycle([*pictures, *pictures[-2:0:-1]]), count))


@lru_cache(8)
def _pictures(size: Size, seed: int) -> Sequence[VideoFrame]:
    """A scene of waves and noise that moves, with a sensor's noise on each picture."""
    chance = np.random.default_rng(seed)
    x, y = np.arange(size.width), np.arange(size.height)[:, None]
    grain = chance.integers(-20, 21, (size.height, size.width))
    scene = (128 + 60 * np.sin(x / (23 + seed)) * np.cos(y / 31) + grain).astype(np.uint8)
    noise = chance.integers(0, 5, scene.shape, np.uint8)
    shown = []
    for number in range(PICTURES):
        frame = VideoFrame(size.width, size.height, "yuv420p")
        luma = np.roll(scene, STEP_PX * number, axis=1) + np.roll(noise, NOISE_PX * number, axis=1)
        chroma = np.roll(scene[::2, ::2], STEP_PX // 2 * number, axis=1) // 2 + 64
        for plane, samples in zip(frame.planes, (luma, chroma, 255 - chroma), strict=True):
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            rows[: samples.shape[0], : samples.shape[1]] = samples
        shown.append(frame)
    return shown


def _sound(file: OutputContainer, suffix: str, seed: int, length_s: Fraction) -> list[Packet[Any]]:
    stream = file.add_stream("aac" if suffix == ".mp4" else "libopus", rate=RATE_HZ)
    assert isinstance(stream, AudioStream)
    stream.layout = "mono"
    stream.codec_context.bit_rate = 48_000
    samples = np.arange(int(length_s * RATE_HZ))
    wave = (0.1 * np.sin(samples * (0.03 + 0.002 * seed))).astype(np.float32)
    packets: list[Packet[Any]] = []
    for start in range(0, len(wave), RATE_HZ):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + RATE_HZ], "fltp", "mono")
        frame.sample_rate, frame.pts = RATE_HZ, start
        packets += stream.encode(frame)
    return packets + stream.encode(None)
