"""Fakes of frames that NVDEC decoded, in main memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from av.video.frame import VideoFrame


class Decoded(SimpleNamespace):
    """A frame; unlike a bare namespace it supports weak references."""


def gpu_frame(frame: VideoFrame) -> Any:
    """``frame`` as PyAV gives it after NVDEC: its planes have addresses, but no buffers."""
    return Decoded(
        held=frame,
        width=frame.width,
        height=frame.height,
        format=SimpleNamespace(name="cuda"),
        sw_format=SimpleNamespace(name=frame.format.name),
        planes=frame.planes,
        is_corrupt=False,
    )
