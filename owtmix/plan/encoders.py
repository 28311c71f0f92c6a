"""Encoders and all their settings (docs/semantics.md, "Rate"). No setting depends on the machine."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from owtmix.jobfile.spec import AudioSpec, VideoSpec
from owtmix.plan.h264_level import level_of
from owtmix.plan.model import AudioEncoding, VideoEncoding

NVENC: Final = "h264_nvenc"
GOP_S: Final = 2
VBV_MAX_RATE: Final = Fraction(3, 2)
VBV_BUFFER_S: Final = 2
VBV_INIT: Final = Fraction(1, 2)
"""Assumed fullness of the VBV buffer at the start of a chunk.

Chunks are encoded independently, so the previous one may have emptied the buffer. ``bufsize`` is reduced by this
factor, so that the concatenation still conforms to a buffer of ``VBV_BUFFER_S``.
"""

DRAFT: Final = "draft"
"""The point for previews and proofs: as fast as can be, in what is decoded and for VP9, too."""
POINTS: Final[Mapping[str, tuple[str, Mapping[str, int]]]] = {
    DRAFT: ("ultrafast", {}),
    "fast": ("superfast", {}),
    "balanced": ("superfast", {"rc-lookahead": 10, "mbtree": 1, "weightp": 1, "trellis": 1}),
    "quality": ("faster", {}),
}
"""Operating points of quality against CPU time (docs/performance.md): an x264 preset, and options changed in it."""

FASTEST_VP9: Final = 8
"""The highest ``cpu-used`` that FFmpeg accepts."""

_UNSUPPORTED: Final[Mapping[str, frozenset[str]]] = {
    "baseline": frozenset({"weightp", "trellis"}),
    "main": frozenset(),
    "high": frozenset(),
}
"""Options that a profile does not support. FFmpeg would enable them, since ``x264-params`` follow the profile."""


_REFERENCES: Final[Mapping[str, int]] = {
    "faster": 2,
    "fast": 2,
    "medium": 3,
    "slow": 5,
    "slower": 8,
    "veryslow": 16,
    "placebo": 16,
}
"""Pictures that x264 predicts from, by its preset; one with all others."""


def h264(video: VideoSpec, preset: str, most_kbps: int = 0) -> VideoEncoding:
    """x264 with average bit rate, VBV and closed GOPs. ``preset`` is one of ``POINTS`` or an x264 preset.

    No B-frames: they gain nothing at conference frame rates. One thread: with frame or slice threads, x264's VBV and
    so the bytes depend on the scheduler. ``cpu-independent``: the AVX-512 code of x264's macroblock tree was observed
    to give other bytes for the same pictures, depending on earlier memory contents.

    Chunks share their headers, so all have the level of the one with the highest bit rate, ``most_kbps``. It is the one
    that x264 would choose for that.
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
        **{key: value for key, value in changes.items() if key not in _UNSUPPORTED[video.profile]},
    }
    rate_kbps, buffer_kbit = _vbv(video.bit_rate_kbps)
    options = {
        "preset": base,
        "profile": video.profile,
        "level": level_of(
            video.size,
            video.fps,
            _REFERENCES.get(base, 1),
            *_vbv(max(video.bit_rate_kbps, most_kbps)),
            is_high=video.profile == "high" and base != "ultrafast",
        ),
        "maxrate": f"{rate_kbps}k",
        "bufsize": f"{buffer_kbit}k",
        "x264-params": ":".join(f"{key}={value}" for key, value in x264.items()),
    }
    return VideoEncoding("libx264", video.bit_rate_kbps, video.fps * GOP_S, tuple(options.items()))


def nvenc(video: VideoSpec, gpu: int) -> VideoEncoding:
    """NVENC of GPU number ``gpu``, with the bit rate, VBV and GOPs of ``h264``.

    No B-frames, lookahead or delay: a frame buffer can be reused as soon as the frame is encoded. The bytes depend on
    the GPU and its driver. Frames in GPU memory are encoded by their GPU; the option ``gpu`` selects the same one for
    frames that the CPU composed after the GPU failed.
    """
    rate_kbps, buffer_kbit = _vbv(video.bit_rate_kbps)
    options = {
        "gpu": str(gpu),
        "preset": "p4",
        "tune": "hq",
        "profile": video.profile,
        "rc": "vbr",
        "maxrate": f"{rate_kbps}k",
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
    """VP9 in realtime mode with average bit rate. It adds key frames at sudden changes to the regular ones."""
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
    """AAC or Opus at the bit rate of the job."""
    return AudioEncoding("aac" if audio.codec == "aac" else "libopus", audio.bit_rate_kbps, audio.channels)


def _vbv(bit_rate_kbps: int) -> tuple[int, int]:
    """What flows into the decoder's buffer at most (kbit/s), and the buffer (kbit)."""
    return int(bit_rate_kbps * VBV_MAX_RATE), int(bit_rate_kbps * VBV_BUFFER_S / (1 + VBV_INIT))
