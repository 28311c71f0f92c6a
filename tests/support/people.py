"""Generated recordings of people: each has a colour, and white flashes and beeps at known times.

A :class:`Take` is one file of one stream. Its times count from the first frame or sample that the file presents,
whatever the timestamp of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from owtmix.demo.speech import spoken

Colour = tuple[int, int, int]

FLASH_MS: Final = 200
"""Two frames at 10 fps, so that every output shows a flash; shorter than any other change."""

BEEP_MS: Final = 100
WORDS_DB: Final = -22
BEEP_LEVEL_DB: Final = -15.0
"""RMS of a beep; the sum of four stays below the limiter's ceiling."""

STRIPE: Final = 1 / 8
"""Share of width and height at the edge of a picture that is darker, to show how it was cropped and fitted."""

STRIPE_BRIGHTNESS: Final = 0.45
WHITE: Final[Colour] = (255, 255, 255)

COLOURS: Final[tuple[Colour, ...]] = (
    (205, 45, 45),
    (35, 140, 60),
    (50, 75, 205),
    (215, 120, 25),
    (140, 50, 180),
    (25, 145, 160),
    (130, 130, 35),
    (205, 75, 150),
    (110, 100, 110),
)
"""Colours that differ clearly, and are all much darker than a flash."""


@dataclass(frozen=True, slots=True)
class Take:
    """One recorded file.

    ``start_ms`` is the index's ``StartTime`` counted from the room's, ``end_ms`` its ``EndTime``. Without ``frames_ms``
    the pictures come at ``fps``, from ``picture_from_ms`` on. ``first_pts_ms`` is where the container's clock starts.
    ``holes_ms`` are ranges without sound packets. With ``drift`` the sample clock is slow: sample ``n`` is presented at
    ``n / rate_hz * (1 + drift)``. ``level_db`` is the RMS of a steady tone, in dB below a full-scale square wave.
    In ``words_ms`` words are spoken, with a pitch of ``voice_hz``.
    """

    stream: str
    start_ms: int
    length_ms: int
    colour: Colour
    tone_hz: int
    marks_ms: tuple[int, ...] = ()
    end_ms: int | None = None
    size: tuple[int, int] = (320, 180)
    fps: int = 10
    frames_ms: tuple[int, ...] | None = None
    container: Literal["mp4", "webm"] = "mp4"
    rate_hz: int = 48_000
    channels: Literal[1, 2] = 2
    audio_kbps: int = 96
    first_pts_ms: int = 0
    picture: bool = True
    sound: bool = True
    picture_from_ms: int = 0
    sound_from_ms: int = 0
    holes_ms: tuple[tuple[int, int], ...] = ()
    drift: Fraction = Fraction(0)
    level_db: float | None = None
    words_ms: tuple[tuple[int, int], ...] = ()
    voice_hz: float = 150.0

    @property
    def frame_times_s(self) -> tuple[Fraction, ...]:
        """Presentation time of each picture, rounded to the container's time base."""
        if not self.picture:
            return ()
        if self.frames_ms is not None:
            return tuple(Fraction(ms, 1000) for ms in self.frames_ms)
        count = (self.length_ms - self.picture_from_ms) * self.fps // 1000
        times = (Fraction(self.picture_from_ms, 1000) + Fraction(i, self.fps) for i in range(count))
        return tuple(Fraction(round(t * 1000), 1000) if self.container == "webm" else t for t in times)

    def is_white(self, t: Fraction) -> bool:
        """Whether the picture presented at ``t`` is a flash."""
        return any(mark <= t * 1000 < mark + FLASH_MS for mark in self.marks_ms)


def person(number: int, start_ms: int, length_ms: int, *marks_ms: int, **traits: Any) -> Take:
    """The camera of person ``number``, with their own colour and tone; ``traits`` are further fields of a take."""
    own: dict[str, Any] = {
        "stream": f"p{number}_1",
        "colour": COLOURS[number % len(COLOURS)],
        "tone_hz": 600 + 170 * number,
    }
    return Take(start_ms=start_ms, length_ms=length_ms, marks_ms=marks_ms, **(own | traits))


def record(take: Take, path: Path) -> None:
    """Encode ``take``: H.264 and AAC in MP4, or VP8 and Opus in WebM."""
    with av.open(str(path), "w", format=take.container) as file:
        packets: list[Packet[Any]] = []
        if take.picture:
            packets += _pictures(take, file)
        if take.sound:
            packets += _sound(take, file)
        for packet in packets:
            shift = round(Fraction(take.first_pts_ms, 1000) / packet.time_base)
            packet.pts, packet.dts = (packet.pts or 0) + shift, (packet.dts or 0) + shift
        for packet in sorted(packets, key=lambda packet: (packet.dts or 0) * packet.time_base):
            file.mux(packet)


def brightness(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Brightness of the person's colour at ``u``, ``v``, in fractions of width and height, 0..1."""
    inner = (u >= STRIPE) & (u < 1 - STRIPE) & (v >= STRIPE) & (v < 1 - STRIPE)
    return np.where(inner, 1.0, STRIPE_BRIGHTNESS)


def _pictures(take: Take, file: OutputContainer) -> list[Packet[Any]]:
    stream = file.add_stream("libx264" if take.container == "mp4" else "libvpx", rate=take.fps)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = take.size
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, 90_000 if take.container == "mp4" else 1000)
    stream.codec_context.thread_count = 1
    if take.container == "mp4":
        stream.codec_context.options = {"preset": "veryfast", "crf": "18"}
    else:
        stream.codec_context.bit_rate = 800_000
        stream.codec_context.options = {"deadline": "realtime", "cpu-used": "-8", "lag-in-frames": "0"}
    plain, white = _picture(take, take.colour), _picture(take, WHITE)
    packets: list[Packet[Any]] = []
    for t in take.frame_times_s:
        frame = white if take.is_white(t) else plain
        frame.time_base = stream.codec_context.time_base
        frame.pts = round(t / frame.time_base)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def _picture(take: Take, colour: Colour) -> av.VideoFrame:
    """``colour`` with darker stripes, and a faint texture so that it is not trivial to encode; a flash is all white."""
    width, height = take.size
    x, y = np.arange(width), np.arange(height)[:, None]
    seen = np.ones((height, width)) if colour == WHITE else brightness((x + 0.5) / width, (y + 0.5) / height)
    texture = 3 * np.sin(x / 3) * np.sin(y / 4)
    pixels = seen[..., None] * np.array(colour) + texture[..., None]
    return av.VideoFrame.from_ndarray(pixels.clip(0, 255).astype(np.uint8)).reformat(format="yuv420p")


def _sound(take: Take, file: OutputContainer) -> list[Packet[Any]]:
    stream = file.add_stream("aac" if take.container == "mp4" else "libopus", rate=take.rate_hz)
    assert isinstance(stream, AudioStream)
    layout = "mono" if take.channels == 1 else "stereo"
    stream.layout = layout
    stream.codec_context.bit_rate = take.audio_kbps * 1000
    if take.container == "webm":
        stream.codec_context.options = {"compression_level": "0"}
    wave = _wave(take)
    packets: list[Packet[Any]] = []
    for start in range(0, len(wave), take.rate_hz):
        second = np.repeat(wave[None, start : start + take.rate_hz], take.channels, axis=0)
        frame = av.AudioFrame.from_ndarray(second, "fltp", layout)
        frame.sample_rate, frame.pts = take.rate_hz, start
        packets += stream.encode(frame)
    packets += stream.encode(None)
    heard = []
    for packet in packets:
        t = (packet.pts or 0) * packet.time_base * (1 + take.drift) + Fraction(take.sound_from_ms, 1000)
        packet.pts = packet.dts = round(t / packet.time_base)
        # Encoder priming is before 0; a container whose timestamps start elsewhere cannot mark it.
        unmarked = take.first_pts_ms and take.container == "mp4" and t < 0
        if not unmarked and not any(start <= t * 1000 < end for start, end in take.holes_ms):
            heard.append(packet)
    return heard


def _wave(take: Take) -> NDArray[np.float32]:
    """Beeps and the steady tone, float32, sampled by the take's clock, which may drift."""
    real_rate_hz = take.rate_hz / (1 + float(take.drift))
    count = int((take.length_ms - take.sound_from_ms) / 1000 * real_rate_hz)
    wave = np.zeros(count, np.float32)
    if take.level_db is not None:
        wave += tone(take.tone_hz, take.level_db, np.arange(count) / real_rate_hz)
    for start_ms, end_ms in take.words_ms:
        words = spoken((end_ms - start_ms) / 1000, take.voice_hz, WORDS_DB, take.rate_hz)
        first = (start_ms - take.sound_from_ms) * take.rate_hz // 1000
        wave[first : first + len(words)] += words[: max(0, count - first)]
    for mark_ms in take.marks_ms:
        begin_s = (mark_ms - take.sound_from_ms) / 1000
        first = int(np.ceil(begin_s * real_rate_hz))
        t = np.arange(first, min(count, int((begin_s + BEEP_MS / 1000) * real_rate_hz))) / real_rate_hz
        wave[first : first + len(t)] += tone(take.tone_hz, BEEP_LEVEL_DB, t - begin_s)
    return wave


def tone(frequency_hz: float, level_db: float, t: NDArray[np.float64]) -> NDArray[np.float32]:
    """A sine whose RMS is ``level_db``, at times ``t`` in seconds."""
    amplitude = np.sqrt(2) * 10 ** (level_db / 20)
    wave: NDArray[np.float64] = amplitude * np.sin(2 * np.pi * frequency_hz * t)
    return wave.astype(np.float32)
