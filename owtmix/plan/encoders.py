"""Which encoder, with which settings (semantics.md, "Rate"). Every setting is here: none is left to the machine."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from owtmix.jobfile.spec import AudioSpec, VideoSpec
from owtmix.plan.model import AudioEncoding, VideoEncoding

NVENC: Final = "h264_nvenc"
GOP_S: Final = 2
VBV_MAX_RATE: Final = Fraction(3, 2)
VBV_BUFFER_S: Final = 2
VBV_INIT: Final = Fraction(1, 2)
"""How full the buffer is when a chunk begins. Chunks know nothing of each other: what one leaves of the buffer may be
nothing at all, and the next counts on this much. Both together stay within ``VBV_BUFFER_S`` when each chunk is
encoded for a buffer that is smaller by as much.
"""


POINTS: Final[Mapping[str, tuple[str, Mapping[str, int]]]] = {
    "fast": ("superfast", {}),
    "balanced": ("superfast", {"rc-lookahead": 10, "mbtree": 1, "weightp": 1, "trellis": 1}),
    "quality": ("faster", {}),
}
"""Points on the curve of quality against CPU seconds (docs/performance.md): a preset of x264's, and what is changed."""

_LACKS: Final[Mapping[str, frozenset[str]]] = {
    "baseline": frozenset({"weightp", "trellis"}),
    "main": frozenset(),
    "high": frozenset(),
}
"""What a profile does not have; FFmpeg applies the profile before what is changed of the preset, not after."""


def h264(video: VideoSpec, preset: str) -> VideoEncoding:
    """x264 at a mean rate with VBV and closed GOPs; ``preset`` is one of ``POINTS`` or of x264's own.

    No B-frames: at conference frame rates they gain nothing. One thread: with more, by frames or by slices, x264's
    VBV depends on the scheduler, and the bytes with it. Independent of the processor: the AVX-512 form of x264's
    macroblock tree has been seen to give other bytes from the same pictures, with what its memory held before.
    """
    base, changes = POINTS.get(preset, (preset, {}))
    x264 = {
        "cpu-independent": 1,
        "force-cfr": 1,
        "scenecut": 0,
        "open-gop": 0,
        "bframes": 0,
        "stitchable": 1,
        "vbv-init": float(VBV_INIT),
        **{key: value for key, value in changes.items() if key not in _LACKS[video.profile]},
    }
    options = {
        "preset": base,
        "profile": video.profile,
        "maxrate": f"{int(video.bit_rate_kbps * VBV_MAX_RATE)}k",
        "bufsize": f"{int(video.bit_rate_kbps * VBV_BUFFER_S / (1 + VBV_INIT))}k",
        "x264-params": ":".join(f"{key}={value}" for key, value in x264.items()),
    }
    return VideoEncoding("libx264", video.bit_rate_kbps, video.fps * GOP_S, tuple(options.items()))


def nvenc(video: VideoSpec, card: int) -> VideoEncoding:
    """NVENC of ``card`` at the same mean rate with the same VBV and closed GOPs.

    Without B-frames, lookahead and delay, so that a frame is done with once it is encoded, and may be drawn on again.
    Its bytes depend on the card and its driver. Pictures that are on the card are encoded there in any case; ``gpu``
    sees to it that those of the CPU, where the card has failed at composing, are not encoded by another card.
    """
    buffer_kbit = int(video.bit_rate_kbps * VBV_BUFFER_S / (1 + VBV_INIT))
    options = {
        "gpu": str(card),
        "preset": "p4",
        "tune": "hq",
        "profile": video.profile,
        "rc": "vbr",
        "maxrate": f"{int(video.bit_rate_kbps * VBV_MAX_RATE)}k",
        "bufsize": f"{buffer_kbit}k",
        "rc_init_occupancy": f"{int(buffer_kbit * VBV_INIT)}k",
        "bf": "0",
        "rc-lookahead": "0",
        "delay": "0",
        "no-scenecut": "1",
        "forced-idr": "1",
        "strict_gop": "1",
    }
    return VideoEncoding(NVENC, video.bit_rate_kbps, video.fps * GOP_S, tuple(options.items()))


def vp9(video: VideoSpec, cpu_used: int) -> VideoEncoding:
    """VP9 in its realtime mode, at a mean rate; at a sudden change it adds key frames to those that are due."""
    options = {
        "deadline": "realtime",
        "cpu-used": str(cpu_used),
        "maxrate": f"{int(video.bit_rate_kbps * VBV_MAX_RATE)}k",
        "bufsize": f"{video.bit_rate_kbps * VBV_BUFFER_S}k",
        "auto-alt-ref": "0",
        "lag-in-frames": "0",
    }
    return VideoEncoding("libvpx-vp9", video.bit_rate_kbps, video.fps * GOP_S, tuple(options.items()))


def sound(audio: AudioSpec) -> AudioEncoding:
    """AAC or Opus at the job's rate."""
    return AudioEncoding("aac" if audio.codec == "aac" else "libopus", audio.bit_rate_kbps, audio.channels)
