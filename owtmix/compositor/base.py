"""The protocols of a canvas: a scaler fits decoded frames into tiles, the canvas composes layers into frames."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from fractions import Fraction
from typing import Protocol

from av.video.frame import VideoFrame

from owtmix.base.geometry import Orientation, Rect, ResizeMode
from owtmix.plan.media_info import Matrix


class SourceFrame(Protocol):
    """A decoded frame with what it takes to show it; ``media.video_frame.DecodedFrame`` is one."""

    @property
    def frame(self) -> VideoFrame: ...
    @property
    def sar(self) -> Fraction: ...
    @property
    def orientation(self) -> Orientation: ...
    @property
    def matrix(self) -> Matrix: ...
    @property
    def full_range(self) -> bool: ...
    @property
    def interlaced(self) -> bool: ...


class Layer(Protocol):
    """Something to draw in ``rect`` (canvas px, even edges).

    Equal keys mean equal pixels. An opaque layer covers all of ``rect``.
    """

    @property
    def key(self) -> Hashable: ...
    @property
    def rect(self) -> Rect: ...
    @property
    def opaque(self) -> bool: ...


class Scaler(Protocol):
    """Fits the frames of one stream into tiles, and caches its converters. Used by one thread at a time."""

    def fit(self, source: SourceFrame, tile: Rect, key: Hashable) -> Layer:
        """Scale ``source`` to the layer that fills ``tile``; equal keys must mean equal frames."""


class ComposedFrame(Protocol):
    """A frame of the canvas's pool, limited range. It is not drawn on until every user has released it."""

    @property
    def frame(self) -> VideoFrame: ...

    def release(self) -> None: ...


class Canvas(Protocol):
    """Composes output frames. Layers may be held ready for up to ``ahead`` frames."""

    @property
    def ahead(self) -> int: ...

    def scaler(self, mode: ResizeMode) -> Scaler: ...

    def compose(self, layers: Sequence[Layer]) -> ComposedFrame:
        """Draw ``layers`` back to front on the background; the caller releases the frame.

        Waits while all frames of the pool are in use. Returns the previous frame again when no layer has changed.
        """
