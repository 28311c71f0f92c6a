"""The sample room: four people joining and leaving over 30 s, made with nothing but this package's libraries."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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

ROOM: Final = "sample-room"
START_MS: Final = 1_795_327_385_000
"""2026-11-22 14:03:05 in Beijing."""

_FONTS: Final = Path(__file__).parents[1] / "fonts"
_MEDIA_TIME_BASE: Final = Fraction(1, 1000)
_BEAT_S: Final = 0.5
_LEVEL: Final = 0.14
_SWAY_STEP_PX: Final = 2

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Person:
    """A participant. ``notes_hz`` is a melody with one note per beat, repeated; 0 is a rest. ``sway_s`` is a period."""

    name: str
    colour: Colour
    notes_hz: tuple[float, ...]
    sway_s: float


@dataclass(frozen=True, slots=True)
class _Take:
    """One recording. ``start_ms`` counts from the start of the room, ``frames_ms`` from the start of the file."""

    stream: str
    name: str
    person: _Person
    start_ms: int
    length_ms: int
    frames_ms: tuple[int, ...]
    codecs: Literal["h264", "vp8"]
    rate_hz: int = 48_000
    sound: Literal["mono", "stereo", "none"] = "stereo"
    is_screen: bool = False


_ALICE: Final = _Person("Alice", (72, 118, 190), (523.25, 0, 659.26, 783.99, 0, 659.26), 7.0)
_BOB: Final = _Person("Bob", (66, 148, 106), (130.81, 196.0, 0, 0), 5.5)
_WANG: Final = _Person("王小明", (194, 108, 66), (440.0, 0, 0, 392.0, 329.63, 0), 6.3)
_DANA: Final = _Person("Dana", (142, 88, 168), (0, 880.0, 0, 1046.5), 4.7)


def _steady(length_ms: int, fps: int) -> tuple[int, ...]:
    return tuple(round(i * 1000 / fps) for i in range(length_ms * fps // 1000))


def _jittered(length_ms: int, fps: int, jitter_ms: int) -> tuple[int, ...]:
    """About ``fps`` frames per second, with random delays and one frame in ten dropped, as from a busy phone."""
    generator = random.Random(fps)  # noqa: S311 - not used for cryptography; the seed makes it reproducible
    late = (t + generator.randrange(jitter_ms) for t in _steady(length_ms - jitter_ms, fps) if generator.random() > 0.1)  # noqa: PLR2004
    return (0, *(t for t in late if t > jitter_ms))


_SLIDES_MS: Final = (0, 700, 1500, 1600, 3900, 4400, 6200, 8000, 8100, 9700, 10_900, 11_780)

TAKES: Final = (
    _Take("alice_1", "alice_1.webm", _ALICE, 0, 30_000, _steady(30_000, 15), "vp8"),
    _Take("bob_1", "bob_1.mp4", _BOB, 2_340, 24_760, _steady(24_760, 20), "h264"),
    _Take("王小明_1", "王小明_1.webm", _WANG, 5_617, 24_383, _jittered(24_383, 15, 40), "vp8"),
    _Take("alice_2", "alice_2.webm", _ALICE, 9_205, 11_800, _SLIDES_MS, "vp8", sound="none", is_screen=True),
    _Take("dana_1", "dana_1.mp4", _DANA, 12_911, 4_500, _steady(4_500, 15), "h264", 44_100, "mono"),
    _Take("dana_1", "dana_1-2.mp4", _DANA, 20_753, 5_600, _steady(5_600, 15), "h264", 44_100, "mono"),
)


def make_room(folder: Path) -> Path:
    """Write the sample room to ``folder/sample-room``, replacing an existing one; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    room = folder / ROOM
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{ROOM}-") as temporary:
        made = Path(temporary) / ROOM
        made.mkdir()
        with ThreadPoolExecutor() as pool:
            for _ in pool.map(lambda take: _record(take, made / take.name), TAKES):
                pass
        (made / "index.json").write_text(json.dumps(_index(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        if room.exists():
            shutil.move(room, Path(temporary) / "replaced")
        made.rename(room)
    return room


def _index() -> dict[str, Any]:
    """The index of the room (API document, section 11.2)."""
    files = [{"StreamId": take.stream, "Name": take.name, "StartTime": START_MS + take.start_ms} for take in TAKES]
    return {"JobId": ROOM, "RoomId": ROOM, "StartTime": START_MS, "Root": ROOM, "Files": files}


def _record(take: _Take, path: Path) -> None:
    """Encode one file; packets are muxed in order of decoding time."""
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        packets = _encode_pictures(take, container)
        if take.sound != "none":
            packets = sorted([*packets, *_encode_sound(take, container)], key=_decoding_time)
        for packet in packets:
            container.mux(packet)


def _decoding_time(packet: Packet[Any]) -> Fraction:
    return (packet.dts or 0) * packet.time_base


def _encode_pictures(take: _Take, container: OutputContainer) -> list[Packet[Any]]:
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


def _encode_sound(take: _Take, container: OutputContainer) -> list[Packet[Any]]:
    stream = container.add_stream("aac" if take.codecs == "h264" else "libopus", rate=take.rate_hz)
    assert isinstance(stream, AudioStream)
    stream.layout = take.sound
    stream.codec_context.bit_rate = 64_000
    wave = _melody(take)
    frame = av.AudioFrame.from_ndarray(np.repeat(wave[None], stream.channels, axis=0), "fltp", take.sound)
    frame.sample_rate, frame.pts = take.rate_hz, 0
    return stream.encode(frame) + stream.encode(None)


def _melody(take: _Take) -> NDArray[np.float32]:
    """The melody of the person, float32 in [-1, 1]. Beats count from the start of the room."""
    notes_hz = np.array(take.person.notes_hz)
    t = take.start_ms / 1000 + np.arange(take.length_ms * take.rate_hz // 1000) / take.rate_hz
    since_beat = t % _BEAT_S
    turns = 2 * pi * notes_hz[(t / _BEAT_S).astype(int) % len(notes_hz)] * since_beat
    envelope = (1 - np.exp(-since_beat / 0.006)) * np.exp(-since_beat / 0.18) * (1 - since_beat / _BEAT_S)
    wave: NDArray[np.float32] = (_LEVEL * envelope * (np.sin(turns) + 0.25 * np.sin(2 * turns))).astype(np.float32)
    return wave


def _clock(room_ms: int) -> str:
    return f"{room_ms // 60_000:02}:{room_ms // 1000 % 60:02}.{room_ms // 100 % 10}"


def _portrait(person: _Person) -> Callable[[int, str], Pixels]:
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


def _slide(person: _Person) -> Callable[[int, str], Pixels]:
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
