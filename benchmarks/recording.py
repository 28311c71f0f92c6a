"""One recording of a scene, made with FFmpeg, fast, and at the bit rates that browsers send."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from PIL import Image, ImageDraw, ImageFont

import owtmix
from benchmarks.ffmpeg import ffmpeg
from benchmarks.footage import TAGGED, Kind, moving, speaking

Codec = Literal["h264", "vp8"]
KBPS_PER_LINE: Final = 1.7
"""A camera of 720 lines sends about 1.2 Mbit/s."""
SPAN_S: Final = (0.4, 6.0)
"""How long a page of a shared screen stays as it is."""
_WORDS: Final = [
    "plan",
    "scene",
    "for",
    "while",
    "frames",
    "=",
    "return",
    "value(",
    ")",
    "tiles",
    "+",
    "1",
    "room:",
    "if",
    "n",
]
_FONT: Final = Path(owtmix.__path__[0]) / "fonts" / "DejaVuSans.ttf"


@dataclass(frozen=True, slots=True)
class Take:
    """One recording: who (``number`` decides what is seen and heard), from when for how long, and how it is coded.

    ``stream`` ends in 2 for a shared screen, which is coded as VP9 with a frame whenever something changes.
    ``key_s`` is the time from one key frame to the next.
    """

    stream: str
    number: int
    start_s: float
    length_s: float
    size: tuple[int, int]
    codec: Codec
    key_s: float = 10
    fps: int = 30

    @property
    def is_screen(self) -> bool:
        return self.stream.endswith("_2")

    @property
    def name(self) -> str:
        suffix = "mp4" if self.codec == "h264" and not self.is_screen else "webm"
        return f"{self.stream}-{self.start_s:g}.{suffix}"


def record(take: Take, path: Path, of: Kind) -> None:
    """Write a take."""
    with tempfile.TemporaryDirectory() as pages:
        if take.is_screen:
            picture = ["-f", "concat", "-safe", "0", "-i", str(_pages(take, Path(pages)))]
            filters, rate = f"format=yuv420p,{TAGGED}", ["-fps_mode", "vfr"]
        else:
            part = moving(take.number, *take.size, of)
            picture, filters, rate = [*part.inputs], part.filters, ["-r", str(take.fps)]
        sound = speaking(take.number, of)
        graph = f"[0:v]{filters}[picture];[1:a]{sound.filters},asetpts=N/SR/TB[sound]"
        ffmpeg(
            [
                *(*picture, *sound.inputs),
                *("-filter_complex", graph, "-map", "[picture]", "-map", "[sound]", *rate),
                *(*_codecs(take), "-g", str(round(take.key_s * take.fps)), "-threads", "1", "-ac", "1"),
                *("-t", f"{take.length_s:.3f}", str(path)),
            ]
        )


def _codecs(take: Take) -> list[str]:
    kbps = round(KBPS_PER_LINE * take.size[1])
    rate = ["-b:v", f"{kbps}k", "-maxrate", f"{2 * kbps}k", "-bufsize", f"{2 * kbps}k"]
    opus = ["-c:a", "libopus", "-b:a", "32k"]
    realtime = ["-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"]
    if take.is_screen:
        return ["-c:v", "libvpx-vp9", *realtime, "-tune-content", "screen", *rate, *opus]
    if take.codec == "vp8":
        return ["-c:v", "libvpx", *realtime, *rate, *opus]
    return ["-c:v", "libx264", "-preset", "superfast", "-profile:v", "baseline", *rate, "-c:a", "aac", "-b:a", "64k"]


def _pages(take: Take, folder: Path) -> Path:
    """A shared screen, page by page: a list for FFmpeg's demuxer ``concat``."""
    chance = random.Random(take.number)
    listed = []
    elapsed_s = 0.0
    for number, page in enumerate(_written(take.size, chance)):
        if elapsed_s >= take.length_s:
            break
        path = folder / f"{number}.png"
        page.save(path, compress_level=1)
        span_s = round(chance.uniform(*SPAN_S), 2)
        listed += [f"file {path}", f"duration {span_s}"]
        elapsed_s += span_s
    listing = folder / "pages.txt"
    listing.write_text("\n".join([*listed, listed[-2]]) + "\n", encoding="utf-8")
    return listing


def _written(size: tuple[int, int], chance: random.Random) -> Iterator[Image.Image]:
    """A text that is written line by line, on one page after the other."""
    width, height = size
    line_px = height // 24
    font = ImageFont.truetype(_FONT, round(line_px * 0.7))
    while True:
        page = Image.new("RGB", size, (250, 250, 247))
        draw = ImageDraw.Draw(page)
        draw.rectangle((0, 0, width, 2 * line_px), (chance.randrange(120), chance.randrange(120), 150))
        lines = chance.randrange(6, 20)
        for line in range(lines):
            words = (f"{chance.choice(_WORDS)}{chance.randrange(100) or ''}" for _ in range(chance.randrange(2, 9)))
            indent = chance.randrange(4) * line_px
            draw.text((2 * line_px + indent, (3 + line) * line_px), " ".join(words), (30, 30, 40), font)
            if line == lines - 1 or not chance.randrange(3):
                yield page.copy()
