"""Frames as PyAV gives them of a GPU, in this machine's memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from av.video.frame import VideoFrame


class Decoded(SimpleNamespace):
    """A frame; other than a bare namespace it can be referred to weakly."""


def gpu_frame(frame: VideoFrame) -> Any:
    """``frame`` as a GPU would have decoded it: its planes have addresses that only the GPU may read."""
    return Decoded(
        held=frame,
        width=frame.width,
        height=frame.height,
        format=SimpleNamespace(name="cuda"),
        sw_format=SimpleNamespace(name=frame.format.name),
        planes=frame.planes,
        is_corrupt=False,
    )
