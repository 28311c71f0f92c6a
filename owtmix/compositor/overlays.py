"""Placeholders, borders, labels and watermarks as layers of a canvas."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from owtmix.base.geometry import Rect, Size
from owtmix.base.ids import StreamId
from owtmix.compositor.base import Layer
from owtmix.compositor.border import draw_border
from owtmix.compositor.image_scale import scaled
from owtmix.compositor.label import draw_label, place_label
from owtmix.compositor.overlay import Overlay, prepare_grey, prepare_overlay
from owtmix.compositor.placeholder import draw_placeholder
from owtmix.compositor.text.coverage import needed_fonts
from owtmix.compositor.text.fonts import Fonts, fonts_of
from owtmix.compositor.text.render import render_text
from owtmix.jobfile.spec import ClockWatermark, ImageWatermark, TextWatermark, Watermark
from owtmix.plan.clock_text import clock_text
from owtmix.plan.model import PicturePlan
from owtmix.plan.tiles import Tile

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
    """Draws placeholders, what lies on tiles, and watermarks.

    Keeps the watermarks of a look, and as many placeholders as a scene has.

    Args:
        picture: the plan of the picture.
        images: RGBA, uint8 (height, width, 4), by source of the image watermark; a missing one is not drawn. Each is
            looked up once.
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
        self._watermarks: dict[Watermark, tuple[str, Overlay | None]] = {}
        self._placeholders: dict[tuple[StreamId, Rect], OverlayLayer] = {}
        self._on_tiles: dict[tuple[Tile, int], tuple[OverlayLayer, ...]] = {}
        scenes = [sum(tile.rect.area for tile in scene.tiles) for scene in picture.scenes]
        self._most_px = max(scenes, default=0)
        """The largest sum of the tiles of a scene."""

    def placeholder(self, stream: StreamId, tile: Rect) -> Layer:
        """The placeholder of ``stream`` in ``tile`` (docs/semantics.md, "Time")."""
        kept = self._placeholders
        layer = kept.pop((stream, tile), None)
        if layer is None:
            while kept and sum(rect.area for _, rect in kept) + tile.area > self._most_px:
                del kept[next(iter(kept))]  # the one that was not shown for the longest time
            name = self._picture.names.get(stream, stream.user)
            grey = draw_placeholder(name, tile.size, self._fonts(name))
            overlay = prepare_grey(grey, tile, self._picture.matrix)
            layer = OverlayLayer(("placeholder", stream, tile), overlay, opaque=True)
        kept[stream, tile] = layer
        return layer

    def on_tiles(self, tiles: Sequence[Tile], corner_px: int) -> Mapping[Tile, Sequence[Layer]]:
        """The borders and labels of ``tiles``, whose corners have a radius; kept until others are asked for."""
        before = self._on_tiles
        self._on_tiles = {
            (tile, corner_px): before.get((tile, corner_px)) or tuple(self._on_tile(tile, corner_px)) for tile in tiles
        }
        return {tile: layers for (tile, _), layers in self._on_tiles.items()}

    def _on_tile(self, tile: Tile, corner_px: int) -> Iterator[OverlayLayer]:
        picture = self._picture
        strips = draw_border(tile.rect, tile.border_px, corner_px) if tile.border_px else ()
        for number, (strip, x, y) in enumerate(strips):
            overlay = prepare_overlay(strip, x, y, picture.canvas, picture.matrix)
            if overlay:
                yield OverlayLayer(("border", number, tile.rect, corner_px), overlay, opaque=overlay.opaque)
        if tile.label and (label := self._label(tile, corner_px)):
            yield label

    def _label(self, tile: Tile, corner_px: int) -> OverlayLayer | None:
        picture = self._picture
        label = draw_label(tile.label, tile.rect.size, self._fonts(tile.label), is_muted=tile.is_muted)
        overlay = prepare_overlay(label, *place_label(label, tile.rect, corner_px), picture.canvas, picture.matrix)
        key = ("label", tile.rect, tile.label, tile.is_muted, corner_px)
        return OverlayLayer(key, overlay, opaque=False) if overlay else None

    def watermarks(
        self, shown: Sequence[Watermark], t: Fraction, heartbeat: Callable[[], None] = lambda: None
    ) -> list[Layer]:
        """The watermarks ``shown`` at output time ``t`` (s), in their order (docs/semantics.md, "Picture").

        ``heartbeat`` is called for each that is drawn: a long text with many marks takes seconds.
        """
        if self._watermarks.keys() != set(shown):
            self._watermarks = {mark: self._watermarks[mark] for mark in shown if mark in self._watermarks}
        return [layer for watermark in shown if (layer := self._watermark(watermark, t, heartbeat))]

    def _watermark(self, watermark: Watermark, t: Fraction, heartbeat: Callable[[], None]) -> OverlayLayer | None:
        content = clock_text(t, self._epoch_at(t), self._time_zone) if isinstance(watermark, ClockWatermark) else ""
        if watermark not in self._watermarks or self._watermarks[watermark][0] != content:
            heartbeat()
            self._watermarks[watermark] = content, self._prepare(watermark, content)
        overlay = self._watermarks[watermark][1]
        return OverlayLayer((watermark, content), overlay, opaque=False) if overlay else None

    def _prepare(self, watermark: Watermark, clock: str) -> Overlay | None:
        match watermark:
            case ClockWatermark():
                rgba = self._text(clock, watermark)
            case TextWatermark(text=text):
                rgba = self._text(text, watermark)
            case ImageWatermark(source=source):
                image = self._images.get(source)
                if image is None:
                    return None
                rgba = scaled(image, watermark.size(_size(image)))
        picture = self._picture
        x, y = watermark.anchor.place(watermark.x, watermark.y, _size(rgba), picture.canvas)
        return prepare_overlay(rgba, x, y, picture.canvas, picture.matrix, alpha=watermark.alpha)

    def _text(self, text: str, watermark: ClockWatermark | TextWatermark) -> Rgba:
        max_width_px = self._picture.canvas.width - watermark.x
        return render_text(text, self._picture.text_px, max_width_px, self._fonts(text))

    def _fonts(self, text: str) -> Fonts:
        return fonts_of(needed_fonts([text], self._picture.fonts))


def _size(rgba: Rgba) -> Size:
    return Size(rgba.shape[1], rgba.shape[0])
