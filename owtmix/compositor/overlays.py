"""Placeholders and watermarks as layers of a canvas."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from owtmix.base.geometry import Rect
from owtmix.base.ids import StreamId
from owtmix.compositor.base import Layer
from owtmix.compositor.overlay import Overlay, prepare_overlay
from owtmix.compositor.placeholder import draw_placeholder
from owtmix.compositor.text.fonts import fonts_of
from owtmix.compositor.text.render import render_text
from owtmix.jobfile.spec import ClockWatermark, ImageWatermark, TextWatermark, Watermark
from owtmix.plan.clock_text import clock_text
from owtmix.plan.model import PicturePlan

Rgba = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class OverlayLayer:
    """An overlay as a layer of a canvas."""

    key: Hashable
    overlay: Overlay
    opaque: bool

    @property
    def rect(self) -> Rect:
        return self.overlay.rect

    def blend(self, y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8]) -> None:
        self.overlay.blend(y, u, v)


class Overlays:
    """Draws placeholders and watermarks; caches the last one of each.

    Args:
        picture: the plan of the picture.
        images: RGBA, uint8 (height, width, 4), by source of the image watermark; a missing one is not drawn.
        epoch_at: seconds since 1970 at an output time (s), or None.
        time_zone: of the clock watermark, an IANA name.
    """

    def __init__(
        self,
        picture: PicturePlan,
        images: Mapping[str, Rgba],
        epoch_at: Callable[[Fraction], Fraction | None],
        time_zone: str,
    ) -> None:
        self._picture = picture
        self._images = images
        self._epoch_at = epoch_at
        self._time_zone = time_zone
        self._cache: dict[Hashable, tuple[Hashable, OverlayLayer | None]] = {}

    def placeholder(self, stream: StreamId, tile: Rect) -> Layer:
        """The placeholder of ``stream`` in ``tile`` (docs/semantics.md, "Time")."""
        layer = self._cached(("placeholder", stream), tile, lambda: self._placeholder(stream.user, tile))
        assert layer is not None
        return OverlayLayer(("placeholder", stream, tile), layer.overlay, opaque=True)

    def watermarks(self, t: Fraction) -> list[Layer]:
        """The watermarks at output time ``t`` (s), in the job's order (docs/semantics.md, "Picture")."""
        layers = (self._watermark(i, watermark, t) for i, watermark in enumerate(self._picture.watermarks))
        return [layer for layer in layers if layer]

    def _watermark(self, number: int, watermark: Watermark, t: Fraction) -> OverlayLayer | None:
        match watermark:
            case ClockWatermark():
                text = clock_text(t, self._epoch_at(t), self._time_zone)
                return self._cached(number, text, lambda: self._text(text, watermark))
            case TextWatermark(text=text):
                return self._cached(number, text, lambda: self._text(text, watermark))
            case ImageWatermark(source=source):
                image = self._images.get(source)
                if image is None:
                    return None
                return self._cached(
                    number, source, lambda: self._prepare(image, watermark.x, watermark.y, watermark.alpha)
                )

    def _placeholder(self, name: str, tile: Rect) -> Overlay | None:
        return self._prepare(draw_placeholder(name, tile.size, fonts_of(self._picture.fonts)), tile.x, tile.y, 1)

    def _text(self, text: str, watermark: ClockWatermark | TextWatermark) -> Overlay | None:
        max_width_px = self._picture.canvas.width - watermark.x
        drawn = render_text(text, self._picture.text_px, max_width_px, fonts_of(self._picture.fonts))
        return self._prepare(drawn, watermark.x, watermark.y, watermark.alpha)

    def _prepare(self, rgba: Rgba, x: int, y: int, alpha: float) -> Overlay | None:
        return prepare_overlay(rgba, x, y, self._picture.canvas, self._picture.matrix, alpha=alpha)

    def _cached(self, slot: Hashable, content: Hashable, draw: Callable[[], Overlay | None]) -> OverlayLayer | None:
        """The layer of ``slot``, drawn again only when its content has changed."""
        if slot not in self._cache or self._cache[slot][0] != content:
            overlay = draw()
            layer = OverlayLayer((slot, content), overlay, opaque=False) if overlay else None
            self._cache[slot] = content, layer
        return self._cache[slot][1]
