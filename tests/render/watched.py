"""Contexts, canvases and writers that tell how rendering uses them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from av.video.frame import VideoFrame

from owtmix.base.geometry import Rect, ResizeMode
from owtmix.compositor.base import Canvas, ComposedFrame, Layer, Scaler, SourceFrame
from owtmix.compositor.overlays import Overlays
from owtmix.jobfile.spec import Watermark
from owtmix.media.writers import VideoWriter
from owtmix.render.callbacks import ignore_advance
from owtmix.render.context import RenderContext


class _WatchedOverlays(Overlays):
    on_frame: Callable[[Fraction], None] = staticmethod(ignore_advance)

    def watermarks(
        self, shown: Sequence[Watermark], t: Fraction, heartbeat: Callable[[], None] = lambda: None
    ) -> list[Layer]:
        self.on_frame(t)
        return super().watermarks(shown, t, heartbeat)


@dataclass(frozen=True)
class WatchedContext(RenderContext):
    """Tells the output time of each frame before it is composed, in the thread that composes it."""

    on_frame: Callable[[Fraction], None] = ignore_advance

    def overlays(self) -> Overlays:
        overlays = _WatchedOverlays(self.picture, self.images, self.plan.epoch_at, self.plan.time_zone)
        overlays.on_frame = self.on_frame
        return overlays


def watched(context: RenderContext, on_frame: Callable[[Fraction], None]) -> WatchedContext:
    """``context``, with ``on_frame`` told the output time of each frame before it is composed."""
    given = context.plan, context.sources, context.images, context.device, context.open_gpu, context.open_writer
    return WatchedContext(*given, on_frame)


@dataclass(frozen=True)
class WatchedCanvas:
    """``canvas``, which may look less far ahead; ``on_fit`` is told the key of each picture that is fitted."""

    canvas: Canvas
    ahead: int
    on_fit: Callable[[Hashable], None] = lambda _: None

    def scaler(self, mode: ResizeMode) -> Scaler:
        return _WatchedScaler(self.canvas.scaler(mode), self.on_fit)

    def compose(self, layers: Sequence[Layer]) -> ComposedFrame:
        return self.canvas.compose(layers)


@dataclass(frozen=True)
class _WatchedScaler:
    scaler: Scaler
    on_fit: Callable[[Hashable], None]

    def fit(self, picture: SourceFrame, tile: Rect, key: Hashable) -> Layer:
        self.on_fit(key)
        return self.scaler.fit(picture, tile, key)


def watched_writer(before_write: Callable[[VideoFrame, int], None]) -> type[VideoWriter]:
    """A class of writers that call ``before_write``, which may raise, with each frame and its number."""

    class WatchedWriter(VideoWriter):
        def write(self, frame: VideoFrame, number: int) -> None:
            before_write(frame, number)
            super().write(frame, number)

    return WatchedWriter
