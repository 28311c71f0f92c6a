"""The seam between what is drawn and where: a canvas turns decoded pictures into patches and layers into frames."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from fractions import Fraction
from typing import Protocol

from av.video.frame import VideoFrame

from owtmix.base.geometry import Orientation, Rect
from owtmix.plan.media_info import Matrix


class SourceFrame(Protocol):
    """A decoded frame, as ``media.decode`` gives it."""

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
    """Something to draw. Equal keys mean equal pixels; an opaque layer covers all of ``rect`` (even edges)."""

    @property
    def key(self) -> Hashable: ...
    @property
    def rect(self) -> Rect: ...
    @property
    def opaque(self) -> bool: ...


class Scaler(Protocol):
    """Fits the pictures of one stream into tiles. Used by one thread at a time; keeps what it built."""

    def fit(self, picture: SourceFrame, tile: Rect, key: Hashable) -> Layer:
        """``picture`` as the layer that fills ``tile``; equal ``key`` must mean equal pictures."""


class ComposedFrame(Protocol):
    """A frame of the canvas's ring: yuv420p, limited range. It is not drawn on until every user released it."""

    @property
    def frame(self) -> VideoFrame: ...

    def release(self) -> None: ...


class Canvas(Protocol):
    """Composes output frames. So many frames ``ahead`` their layers may be held ready."""

    @property
    def ahead(self) -> int: ...

    def scaler(self) -> Scaler: ...

    def compose(self, layers: Sequence[Layer]) -> ComposedFrame:
        """Draw ``layers`` back to front on the background; the caller releases the frame.

        Waits while all frames of the ring are in use. Only what differs from the ring frame's last drawing is
        drawn; when nothing differs from the previous output frame, that frame is given again.
        """
