"""A canvas without pixels."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from av.video.frame import VideoFrame

from owtmix.base.geometry import Rect, ResizeMode
from owtmix.compositor.base import Layer, SourceFrame


@dataclass(frozen=True)
class PictureLayer:
    """A source's frame, which is not scaled."""

    key: Hashable
    rect: Rect
    opaque: bool = True


class RecordingCanvas:
    """A ``Canvas`` that draws nothing. ``composed`` has the layers of each frame, back to front."""

    def __init__(self, ahead: int = 1) -> None:
        self.ahead = ahead
        self.composed: list[list[Layer]] = []

    def scaler(self, mode: ResizeMode) -> RecordingCanvas:  # noqa: ARG002 - nothing is scaled
        return self

    def fit(self, source: SourceFrame, tile: Rect, key: Hashable) -> Layer:
        del source
        return PictureLayer(key, tile)

    def compose(self, layers: Sequence[Layer]) -> EmptyFrame:
        self.composed.append([*layers])
        return EmptyFrame()


class EmptyFrame:
    """A ``ComposedFrame`` that nobody has to release."""

    frame = VideoFrame(2, 2, "yuv420p")

    def release(self) -> None:
        pass
