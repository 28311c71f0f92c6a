"""Decoded frames for a scaler."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from av.video.frame import VideoFrame

from owtmix.base.geometry import Orientation, Rect, ResizeMode, Size
from owtmix.compositor.cpu import CpuScaler, Patch
from owtmix.plan.media_info import Matrix


@dataclass(frozen=True)
class Still:
    """A ``SourceFrame``."""

    frame: VideoFrame
    orientation: Orientation = Orientation.UPRIGHT
    matrix: Matrix = "bt709"
    full_range: bool = False
    sar: Fraction = Fraction(1)
    interlaced: bool = False


def fitted(still: Still, tile: Size, mode: ResizeMode = ResizeMode.STRETCH, matrix: Matrix = "bt709") -> Patch:
    return CpuScaler(mode, matrix).fit(still, Rect(0, 0, tile.width, tile.height), "key")
