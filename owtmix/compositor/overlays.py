"""What is drawn besides the recordings: placeholder cards and watermarks, as layers of a canvas."""

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
    """An overlay with a key of its own."""

    key: Hashable
    overlay: Overlay
    opaque: bool

    @property
    def rect(self) -> Rect:
        return self.overlay.rect

    def blend(self, y: NDArray[np.uint8], u: NDArray[np.uint8], v: NDArray[np.uint8]) -> None:
        self.overlay.blend(y, u, v)


class Overlays:
    """Draws cards and watermarks; what was drawn last is kept.

    Args:
        picture: the plan's.
        images: the RGBA pictures of image watermarks by their source; one that is missing is not drawn.
        epoch_at: seconds since 1970 at an output time, or None.
        time_zone: of the clock, an IANA name.
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
        self._drawn: dict[Hashable, tuple[Hashable, OverlayLayer | None]] = {}

    def placeholder(self, stream: StreamId, tile: Rect) -> Layer:
        """The placeholder of a stream without a picture."""
        layer = self._keep(("placeholder", stream), tile, lambda: self._draw_placeholder(stream.user, tile))
        assert layer is not None
        return OverlayLayer(("placeholder", stream, tile), layer.overlay, opaque=True)

    def watermarks(self, t: Fraction) -> list[Layer]:
        """The watermarks at output time ``t``, in the job's order."""
        layers = (self._watermark(i, mark, t) for i, mark in enumerate(self._picture.watermarks))
        return [layer for layer in layers if layer]

    def _watermark(self, number: int, mark: Watermark, t: Fraction) -> OverlayLayer | None:
        match mark:
            case ClockWatermark():
                text = clock_text(t, self._epoch_at(t), self._time_zone)
                return self._keep(number, text, lambda: self._text(text, mark))
            case TextWatermark(text=text):
                return self._keep(number, text, lambda: self._text(text, mark))
            case ImageWatermark(source=source):
                image = self._images.get(source)
                if image is None:
                    return None
                return self._keep(number, source, lambda: self._prepare(image, mark.x, mark.y, mark.alpha))

    def _draw_placeholder(self, name: str, tile: Rect) -> Overlay | None:
        return self._prepare(draw_placeholder(name, tile.size, fonts_of(self._picture.fonts)), tile.x, tile.y, 1)

    def _text(self, text: str, mark: ClockWatermark | TextWatermark) -> Overlay | None:
        room_px = self._picture.canvas.width - mark.x
        drawn = render_text(text, self._picture.text_px, room_px, fonts_of(self._picture.fonts))
        return self._prepare(drawn, mark.x, mark.y, mark.alpha)

    def _prepare(self, rgba: Rgba, x: int, y: int, alpha: float) -> Overlay | None:
        return prepare_overlay(rgba, x, y, self._picture.canvas, self._picture.matrix, alpha=alpha)

    def _keep(self, slot: Hashable, content: Hashable, draw: Callable[[], Overlay | None]) -> OverlayLayer | None:
        """What the slot shows; drawn again only when its content changed."""
        if slot not in self._drawn or self._drawn[slot][0] != content:
            overlay = draw()
            layer = OverlayLayer((slot, content), overlay, opaque=False) if overlay else None
            self._drawn[slot] = content, layer
        return self._drawn[slot][1]
