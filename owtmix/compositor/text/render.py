"""Renders one line of text with FreeType; pixels do not depend on the machine."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from functools import lru_cache
from typing import Final

import freetype
import numpy as np
from numpy.typing import NDArray

from owtmix.compositor.bands import bands
from owtmix.compositor.text.fonts import UNITS_PER_PX, Face, Fonts, own_fonts
from owtmix.compositor.text.letters import clean, split
from owtmix.compositor.text.missing_glyphs import is_drawable
from owtmix.compositor.text.shaping import Glyph, Line, lay_out

ELLIPSIS: Final = "…"
_WHITE: Final = 255
_DARK: Final = 16
_EDGE_PER_HEIGHT: Final = 16
_FIRST_CHUNK_LETTERS: Final = 64
_CACHED_PX: Final = 512
"""Larger glyphs are not kept: each takes as much memory as a picture."""
_INVISIBLE_AT_END: Final = frozenset({"Zs", "Cf"})

_Mask = NDArray[np.uint8]


def render_text(text: str, height_px: int, max_width_px: int, fonts: Fonts | None = None) -> NDArray[np.uint8]:
    """Draw ``text`` white with a dark edge, as a watermark (docs/semantics.md, "Picture").

    Args:
        text: Any characters; controls and line breaks become spaces, characters that no font has are left out.
        height_px: Size of the em: capitals are about 3/4 of it, Chinese characters nearly all of it.
        max_width_px: Longer text is cut and ends in an ellipsis.
        fonts: In order of preference; the package's own by default.

    Returns:
        RGBA, uint8 (height, width, 4), straight alpha. The baseline is at the same row for all texts that need only the
        package's fonts; marks below letters may add rows at the bottom. The width is 0 when there is nothing to draw.
    """
    edge_px = max(1, round(height_px / _EDGE_PER_HEIGHT))
    line, _ = _fitted_line(text, height_px, max_width_px - 2 * edge_px, fonts or own_fonts())
    inside = _mask(line, height_px, margin_px=edge_px, stroke_px=0)
    thickened = _mask(line, height_px, margin_px=edge_px, stroke_px=edge_px)
    drawn = np.empty((*inside.shape, 4), np.uint8)
    for rows in bands(*inside.shape):
        fill, edge = inside[rows].astype(np.uint16), thickened[rows].astype(np.uint16)
        under = (edge * (255 - fill) + 127) // 255
        alpha = fill + under
        shade = (_WHITE * fill.astype(np.uint32) + _DARK * under + alpha // 2) // np.maximum(alpha, 1)
        drawn[rows] = np.stack((shade, shade, shade, alpha), axis=2)
    return drawn


def is_cut(text: str, height_px: int, max_width_px: int, fonts: Fonts | None = None) -> bool:
    """Whether ``render_text`` leaves out the end of ``text``."""
    edge_px = max(1, round(height_px / _EDGE_PER_HEIGHT))
    return _fitted_line(text, height_px, max_width_px - 2 * edge_px, fonts or own_fonts())[1]


def text_mask(text: str, height_px: int, max_width_px: int, fonts: Fonts | None = None) -> NDArray[np.uint8]:
    """Coverage of the text without an edge: uint8 (height, width). Arguments as for ``render_text``."""
    line, _ = _fitted_line(text, height_px, max_width_px, fonts or own_fonts())
    return _mask(line, height_px, margin_px=0, stroke_px=0)


def _fitted_line(text: str, height_px: int, max_width_px: int, fonts: Fonts) -> tuple[Line, bool]:
    """The line of ``text``, cut to ``max_width_px`` with an ellipsis, and whether it was cut."""
    cleaned = clean(text)
    drawable = {char for char in set(cleaned) if is_drawable(char, fonts)}
    letters = _trimmed(split("".join(char for char in cleaned if char in drawable).strip()))

    def cut(count: int) -> Line:
        return lay_out([*_trimmed(letters[:count]), ELLIPSIS], fonts, height_px)

    # Do not shape all of a very long text: enough letters are at least a pixel wide.
    enough = _FIRST_CHUNK_LETTERS
    while enough < min(len(letters), max_width_px) and cut(enough).width_px <= max_width_px:
        enough *= 2
    if len(letters) <= enough:
        whole = lay_out(letters, fonts, height_px)
        if whole.width_px <= max_width_px:
            return whole, False
    counts = range(min(len(letters), enough))
    fitting = bisect_right(counts, max_width_px, key=lambda count: cut(count).width_px)
    return (cut(fitting - 1) if fitting else Line((), 0)), True


def _trimmed(letters: list[str]) -> list[str]:
    """``letters`` without invisible ones at the end: spaces and format characters."""
    kept = len(letters)
    while kept and all(unicodedata.category(char) in _INVISIBLE_AT_END for char in letters[kept - 1]):
        kept -= 1
    return letters[:kept]


def _mask(line: Line, height_px: int, *, margin_px: int, stroke_px: int) -> _Mask:
    """Coverage of the line, thickened by ``stroke_px``, with a margin around it: uint8 (height, width)."""
    ascent, descent = _extent_px(line, height_px)
    baseline = margin_px + ascent
    width = line.width_px + 2 * margin_px if line.width_px else 0
    mask = np.zeros((baseline + descent + margin_px, width), np.uint8)
    for glyph in line.glyphs:
        x_px, x_part = divmod(glyph.x, UNITS_PER_PX)
        y_px, y_part = divmod(glyph.y, UNITS_PER_PX)
        ink, left, top = _ink(glyph.face, glyph.number, height_px, x_part, y_part, stroke_px)
        _draw(mask, ink, margin_px + x_px + left, baseline - y_px - top)
    return mask


def _extent_px(line: Line, height_px: int) -> tuple[int, int]:
    """Ascent (equal for all texts of the same fonts) and descent of the line."""
    faces = {*own_fonts().faces, *(glyph.face for glyph in line.glyphs)}
    ascents, descents = zip(*(face.extent_px(height_px) for face in faces), strict=True)
    return max(ascents), max((*descents, *(_depth_px(glyph, height_px) for glyph in line.glyphs)))


def _depth_px(glyph: Glyph, height_px: int) -> int:
    """Descent of a glyph; stacked marks may reach below the descent of the font."""
    ink, _, top = _ink(glyph.face, glyph.number, height_px, glyph.x % UNITS_PER_PX, glyph.y % UNITS_PER_PX, 0)
    return ink.shape[0] - top - glyph.y // UNITS_PER_PX if ink.size else 0


def _draw(mask: _Mask, ink: _Mask, x: int, y: int) -> None:
    """Draw ``ink`` over ``mask`` with its top-left corner at ``x, y``, clipped."""
    left, top = max(-x, 0), max(-y, 0)
    region = mask[max(y, 0) : max(y + ink.shape[0], 0), max(x, 0) : max(x + ink.shape[1], 0)]
    ink = ink[top : top + region.shape[0], left : left + region.shape[1]]
    region[:] = 255 - ((255 - region.astype(np.uint16)) * (255 - ink.astype(np.uint16)) + 127) // 255


def _ink(face: Face, number: int, height_px: int, x_part: int, y_part: int, stroke_px: int) -> tuple[_Mask, int, int]:
    """Render a glyph, offset by ``x_part`` and ``y_part`` (1/64 px) and thickened by ``stroke_px``.

    Returns:
        Coverage, uint8 (rows, columns); its left edge in px right of the origin; its top edge in px above the origin.
    """
    render = _cached_ink if height_px <= _CACHED_PX else _new_ink
    return render(face, number, height_px, x_part, y_part, stroke_px)


def _new_ink(
    face: Face, number: int, height_px: int, x_part: int, y_part: int, stroke_px: int
) -> tuple[_Mask, int, int]:
    outlines = face.outlines(height_px)
    # The font's own hinting: sharp stems, unchanged advances.
    outlines.load_glyph(number, freetype.FT_LOAD_DEFAULT | freetype.FT_LOAD_NO_BITMAP)
    glyph = outlines.glyph.get_glyph()
    if stroke_px:
        stroker = freetype.Stroker()
        stroker.set(stroke_px * UNITS_PER_PX, freetype.FT_STROKER_LINECAP_ROUND, freetype.FT_STROKER_LINEJOIN_ROUND, 0)
        glyph.stroke(stroker, True)
    rendered = glyph.to_bitmap(freetype.FT_RENDER_MODE_NORMAL, freetype.Vector(x_part, y_part), True)
    bitmap = rendered.bitmap
    ink = np.array(bitmap.buffer, np.uint8).reshape(bitmap.rows, bitmap.pitch)[:, : bitmap.width]
    return ink, rendered.left, rendered.top


_cached_ink = lru_cache(maxsize=128)(_new_ink)
