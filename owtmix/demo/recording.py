"""Recordings of people who are drawn and sound by code: a swaying figure, a melody or words, a page of slides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from itertools import pairwise
from math import pi, sin
from pathlib import Path
from typing import Any, Final, Literal

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from owtmix.demo.speech import spoken

_FONTS: Final = Path(__file__).parents[1] / "fonts"
_MEDIA_TIME_BASE: Final = Fraction(1, 1000)
_BEAT_S: Final = 0.5
_LEVEL: Final = 0.14
_SPEECH_DB: Final = -22
_ROOM_DB: Final = -62
_SWAY_STEP_PX: Final = 2

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Person:
    """A participant. ``notes_hz`` is a melody with one note per beat, repeated; 0 is a rest. ``sway_s`` is a period.

    Who has ``words`` speaks instead, with a pitch of ``voice_hz``, in these ranges of milliseconds of the room.
    """

    name: str
    colour: Colour
    notes_hz: tuple[float, ...]
    sway_s: float
    words: tuple[tuple[int, int], ...] = ()
    voice_hz: float = 0.0


@dataclass(frozen=True, slots=True)
class Take:
    """One recording. ``start_ms`` counts from the start of the room, ``frames_ms`` from the start of the file.

    Without ``frames_ms`` it has no picture.
    """

    stream: str
    name: str
    person: Person
    start_ms: int
    length_ms: int
    frames_ms: tuple[int, ...]
    codecs: Literal["h264", "vp8"]
    rate_hz: int = 48_000
    sound: Literal["mono", "stereo", "none"] = "stereo"
    is_screen: bool = False


def record(take: Take, path: Path) -> None:
    """Encode one file; packets are muxed in order of decoding time."""
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        packets = _encode_pictures(take, container) if take.frames_ms else []
        if take.sound != "none":
            packets = sorted([*packets, *_encode_sound(take, container)], key=_decoding_time)
        for packet in packets:
            container.mux(packet)


def _decoding_time(packet: Packet[Any]) -> Fraction:
    return (packet.dts or 0) * packet.time_base


def _encode_pictures(take: Take, container: OutputContainer) -> list[Packet[Any]]:
    picture = _slide(take.person) if take.is_screen else _portrait(take.person)
    frame = av.VideoFrame.from_ndarray(picture(0, ""), "yuv420p")
    stream = container.add_stream("libx264" if take.codecs == "h264" else "libvpx", rate=25)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
    stream.codec_context.time_base = _MEDIA_TIME_BASE
    stream.codec_context.thread_count = 1
    if take.codecs == "h264":
        stream.codec_context.options = {"preset": "ultrafast", "crf": "23"}
    else:
        stream.codec_context.bit_rate = 600_000
        stream.codec_context.options = {"deadline": "realtime", "cpu-used": "-12", "lag-in-frames": "0"}
    packets: list[Packet[Any]] = []
    for shown, following in pairwise((*take.frames_ms, take.length_ms)):
        room_ms = take.start_ms + shown
        frame = av.VideoFrame.from_ndarray(picture(room_ms, _clock(room_ms)), "yuv420p")
        frame.pts, frame.time_base, frame.duration = shown, _MEDIA_TIME_BASE, following - shown
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def _encode_sound(take: Take, container: OutputContainer) -> list[Packet[Any]]:
    stream = container.add_stream("aac" if take.codecs == "h264" else "libopus", rate=take.rate_hz)
    assert isinstance(stream, AudioStream)
    stream.layout = take.sound
    stream.codec_context.bit_rate = 64_000
    wave = _speech(take) if take.person.words else _melody(take)
    frame = av.AudioFrame.from_ndarray(np.repeat(wave[None], stream.channels, axis=0), "fltp", take.sound)
    frame.sample_rate, frame.pts = take.rate_hz, 0
    return stream.encode(frame) + stream.encode(None)


def _melody(take: Take) -> NDArray[np.float32]:
    """The melody of the person, float32 in [-1, 1]. Beats count from the start of the room."""
    notes_hz = np.array(take.person.notes_hz)
    t = take.start_ms / 1000 + np.arange(take.length_ms * take.rate_hz // 1000) / take.rate_hz
    since_beat = t % _BEAT_S
    turns = 2 * pi * notes_hz[(t / _BEAT_S).astype(int) % len(notes_hz)] * since_beat
    envelope = (1 - np.exp(-since_beat / 0.006)) * np.exp(-since_beat / 0.18) * (1 - since_beat / _BEAT_S)
    wave: NDArray[np.float32] = (_LEVEL * envelope * (np.sin(turns) + 0.25 * np.sin(2 * turns))).astype(np.float32)
    return wave


def _speech(take: Take) -> NDArray[np.float32]:
    """The words of the person in a room with a little noise, float32 in [-1, 1]."""
    count = take.length_ms * take.rate_hz // 1000
    wave = np.random.default_rng(len(take.name)).standard_normal(count).astype(np.float32) * np.float32(
        10 ** (_ROOM_DB / 20)
    )
    for start_ms, end_ms in take.person.words:
        first_ms, last_ms = max(start_ms, take.start_ms), min(end_ms, take.start_ms + take.length_ms)
        if first_ms < last_ms:
            words = spoken((last_ms - first_ms) / 1000, take.person.voice_hz, _SPEECH_DB, take.rate_hz)
            at = (first_ms - take.start_ms) * take.rate_hz // 1000
            wave[at : at + len(words)] += words[: count - at]
    return wave


def _clock(room_ms: int) -> str:
    return f"{room_ms // 60_000:02}:{room_ms // 1000 % 60:02}.{room_ms // 100 % 10}"


def _portrait(person: Person) -> Callable[[int, str], Pixels]:
    """A camera picture, 640 x 360: a swaying figure in front of a wall, with name and time."""
    width, height = 640, 360
    wall = _wall(person.colour, width, height)
    figure = np.asarray(_figure(width, height), np.float32)[..., None] / 255
    light = np.array(person.colour) * 0.35 + 165

    @cache
    def scene(sway_px: int) -> Pixels:
        mask = np.roll(figure, sway_px, axis=1)
        image = Image.fromarray((wall + mask * (light - wall)).astype(np.uint8))
        ImageDraw.Draw(image).text((20, height - 52), person.name, "white", _font(person.name, 32))
        return _planes(image)

    def picture(room_ms: int, clock: str) -> Pixels:
        sway = 70 * sin(2 * pi * room_ms / 1000 / person.sway_s)
        return _with_clock(scene(round(sway / _SWAY_STEP_PX) * _SWAY_STEP_PX), clock, 28)

    return picture


def _slide(person: Person) -> Callable[[int, str], Pixels]:
    """A shared screen, 960 x 540: a page with an animated bar chart and the time."""
    width, height = 960, 540

    def picture(room_ms: int, clock: str) -> Pixels:
        image = Image.new("RGB", (width, height), (246, 247, 250))
        draw = ImageDraw.Draw(image)
        draw.rectangle((0, 0, width, 84), person.colour)
        title = f"{person.name} · screen"
        draw.text((36, 20), title, "white", _font(title, 38))
        for bar in range(8):
            tall = 70 + 24 * bar + 60 * sin(room_ms / 2000 + bar)
            draw.rounded_rectangle((80 + 102 * bar, 490 - tall, 150 + 102 * bar, 490), 8, person.colour)
        return _with_clock(_planes(image), clock, 38)

    return picture


def _wall(colour: Colour, width: int, height: int) -> NDArray[np.float32]:
    """A diagonal gradient of ``colour`` with faint waves, float32 (height, width, 3)."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    brightness = 0.95 - 0.3 * (x / width + y / height) / 2 + 0.02 * np.sin(x / 23 + 1.5 * np.sin(y / 37))
    wall: NDArray[np.float32] = brightness[..., None] * np.array(colour, np.float32)
    return wall


def _figure(width: int, height: int) -> Image.Image:
    """A mask of head and shoulders, white on black, drawn at twice the size for antialiasing."""
    mask = Image.new("L", (2 * width, 2 * height))
    draw = ImageDraw.Draw(mask)
    draw.ellipse((width - 120, 180, width + 120, 440), 255)
    draw.ellipse((width - 280, 470, width + 280, 1000), 255)
    return mask.resize((width, height), Image.Resampling.BOX)


def _planes(image: Image.Image) -> Pixels:
    """Convert ``image`` to 4:2:0 planes, stacked vertically, limited-range BT.601: uint8 (3/2 height, width)."""
    return av.VideoFrame.from_ndarray(np.asarray(image)).reformat(format="yuv420p").to_ndarray().astype(np.uint8)


def _with_clock(planes: Pixels, clock: str, size_px: int) -> Pixels:
    """A copy of ``planes`` with the time in the upper right corner. Only luma is changed: the text keeps the tint."""
    planes = planes.copy()
    if clock:
        glyphs = _clock_glyphs(clock, size_px)
        height, width = glyphs.shape
        corner = planes[16 : 16 + height, -20 - width : -20]
        np.maximum(corner, glyphs, out=corner)
    return planes


@lru_cache(maxsize=1024)
def _clock_glyphs(clock: str, size_px: int) -> Pixels:
    """The time as limited-range luma, white on black, uint8 (height, width)."""
    font = _font(clock, size_px)
    image = Image.new("L", (int(font.getlength("00:00.0")) + 2, size_px + 8), 16)
    ImageDraw.Draw(image).text((0, 0), clock, 235, font)
    return np.asarray(image)


@lru_cache
def _font(text: str, size_px: int) -> ImageFont.FreeTypeFont:
    """A font with the characters of ``text``."""
    name = "DejaVuSans.ttf" if text.translate({ord("·"): None}).isascii() else "DroidSansFallback.ttf"
    return ImageFont.truetype(_FONTS / name, size_px)
