"""One line of text in any script, as pixels that are the same on every machine."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from functools import lru_cache
from typing import Final

import freetype
import numpy as np
from numpy.typing import NDArray

from owtmix.compositor.text.fonts import UNITS_PER_PX, Face, Fonts, own_fonts
from owtmix.compositor.text.shaping import Glyph, Line, clean, is_invisible, lay_out, split

ELLIPSIS: Final = "…"
_WHITE: Final = 255
_DARK: Final = 16
_EDGE_PER_HEIGHT: Final = 16
_FIRST_LETTERS: Final = 64
_UNSEEN_AT_END: Final = frozenset({"Zs", "Cf"})

_Mask = NDArray[np.uint8]


def lacking(text: str, fonts: Fonts | None = None) -> tuple[str, ...]:
    """Each character of ``text`` that no font has, once and in order; ``render_text`` leaves them out.

    ``fonts`` are the package's own unless given.
    """
    fonts = fonts or own_fonts()
    return tuple(char for char in dict.fromkeys(clean(text)) if not _is_drawable(char, fonts))


def missing_glyphs(text: str, fonts: Fonts | None = None) -> tuple[str, ...]:
    """What is ``lacking``, by name: ``U+1F642 SLIGHTLY SMILING FACE``."""
    return tuple(f"U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip() for char in lacking(text, fonts))


def render_text(text: str, height_px: int, max_width_px: int, fonts: Fonts | None = None) -> NDArray[np.uint8]:
    """Draw ``text`` white with a dark edge, as a watermark (semantics.md, Picture).

    Args:
        text: Any characters; controls and line breaks become spaces, what no font has is left out.
        height_px: Size of the em: capitals are about 3/4 of it, Chinese characters nearly all of it.
        max_width_px: What does not fit is cut and ends in an ellipsis.
        fonts: In order of preference; the package's own unless given.

    Returns:
        RGBA, uint8 (height, width, 4), straight alpha. The baseline is always at the same height, unless ``text`` needs
        other fonts than the package's; marks below letters may make the picture higher at its lower end. The width is
        0 when there is nothing to draw.
    """
    edge_px = max(1, round(height_px / _EDGE_PER_HEIGHT))
    line = _cut(text, height_px, max_width_px - 2 * edge_px, fonts or own_fonts())
    fill = _mask(line, height_px, margin_px=edge_px, stroke_px=0).astype(np.uint16)
    edge = _mask(line, height_px, margin_px=edge_px, stroke_px=edge_px).astype(np.uint16)
    under = (edge * (255 - fill) + 127) // 255
    alpha = fill + under
    shade = (_WHITE * fill.astype(np.uint32) + _DARK * under + alpha // 2) // np.maximum(alpha, 1)
    return np.stack((shade, shade, shade, alpha), axis=2).astype(np.uint8)


def text_mask(text: str, height_px: int, max_width_px: int, fonts: Fonts | None = None) -> NDArray[np.uint8]:
    """Like ``render_text`` without an edge: how much of each pixel is ink, uint8 (height, width)."""
    line = _cut(text, height_px, max_width_px, fonts or own_fonts())
    return _mask(line, height_px, margin_px=0, stroke_px=0)


def _is_drawable(char: str, fonts: Fonts) -> bool:
    return is_invisible(char) or fonts.face_of(char) is not None


def _cut(text: str, height_px: int, max_width_px: int, fonts: Fonts) -> Line:
    """As much of ``text`` as fits."""
    cleaned = clean(text)
    drawable = {char for char in set(cleaned) if _is_drawable(char, fonts)}
    letters = _trimmed(split("".join(char for char in cleaned if char in drawable).strip()))

    def cut(count: int) -> Line:
        return lay_out([*_trimmed(letters[:count]), ELLIPSIS], fonts, height_px)

    # A very long text need not be measured whole: most letters are about a pixel wide or more.
    most = _FIRST_LETTERS
    while most < min(len(letters), max_width_px) and cut(most).width_px <= max_width_px:
        most *= 2
    if len(letters) <= most:
        whole = lay_out(letters, fonts, height_px)
        if whole.width_px <= max_width_px:
            return whole
    counts = range(min(len(letters), most))
    fitting = bisect_right(counts, max_width_px, key=lambda count: cut(count).width_px)
    return cut(fitting - 1) if fitting else Line((), 0)


def _trimmed(letters: list[str]) -> list[str]:
    """``letters`` without those at the end that cannot be seen: spaces, and marks of direction."""
    kept = len(letters)
    while kept and all(unicodedata.category(char) in _UNSEEN_AT_END for char in letters[kept - 1]):
        kept -= 1
    return letters[:kept]


def _mask(line: Line, height_px: int, *, margin_px: int, stroke_px: int) -> _Mask:
    """Ink of the line, thickened by ``stroke_px``, in the line's box."""
    ascent, descent = _extent_px(line, height_px)
    baseline = margin_px + ascent
    width = line.width_px + 2 * margin_px if line.width_px else 0
    mask = np.zeros((baseline + descent + margin_px, width), np.uint8)
    for glyph in line.glyphs:
        x_px, x_part = divmod(glyph.x, UNITS_PER_PX)
        y_px, y_part = divmod(glyph.y, UNITS_PER_PX)
        ink, left, top = _ink(glyph.face, glyph.number, height_px, x_part, y_part, stroke_px)
        _add(mask, ink, margin_px + x_px + left, baseline - y_px - top)
    return mask


def _extent_px(line: Line, height_px: int) -> tuple[int, int]:
    """How far the box reaches above the baseline, which is the same for all texts of a font, and below it."""
    faces = {*own_fonts().faces, *(glyph.face for glyph in line.glyphs)}
    ascents, descents = zip(*(face.extent_px(height_px) for face in faces), strict=True)
    return max(ascents), max((*descents, *(_depth_px(glyph, height_px) for glyph in line.glyphs)))


def _depth_px(glyph: Glyph, height_px: int) -> int:
    """How far a glyph reaches below the baseline; marks on a mark may reach further than any letter."""
    ink, _, top = _ink(glyph.face, glyph.number, height_px, glyph.x % UNITS_PER_PX, glyph.y % UNITS_PER_PX, 0)
    return ink.shape[0] - top - glyph.y // UNITS_PER_PX if ink.size else 0


def _add(mask: _Mask, ink: _Mask, x: int, y: int) -> None:
    """Draw ``ink`` over ``mask`` with its corner at ``x`` and ``y``, as far as it lies inside."""
    left, top = max(-x, 0), max(-y, 0)
    region = mask[max(y, 0) : max(y + ink.shape[0], 0), max(x, 0) : max(x + ink.shape[1], 0)]
    ink = ink[top : top + region.shape[0], left : left + region.shape[1]]
    region[:] = 255 - ((255 - region.astype(np.uint16)) * (255 - ink.astype(np.uint16)) + 127) // 255


@lru_cache(maxsize=128)
def _ink(face: Face, number: int, height_px: int, x_part: int, y_part: int, stroke_px: int) -> tuple[_Mask, int, int]:
    """A glyph whose origin is moved by ``x_part`` and ``y_part`` of 1/64 pixels, and thickened by ``stroke_px``.

    Returns:
        How much of each pixel is ink, and where the picture lies: its left edge in pixels right of the origin, its top
        edge in pixels above it.
    """
    outlines = face.outlines(height_px)
    # As the font asks for: stems of the alphabets are sharp, and nothing moves sideways.
    outlines.load_glyph(number, freetype.FT_LOAD_DEFAULT | freetype.FT_LOAD_NO_BITMAP)
    glyph = outlines.glyph.get_glyph()
    if stroke_px:
        stroker = freetype.Stroker()
        stroker.set(stroke_px * UNITS_PER_PX, freetype.FT_STROKER_LINECAP_ROUND, freetype.FT_STROKER_LINEJOIN_ROUND, 0)
        glyph.stroke(stroker, True)
    drawn = glyph.to_bitmap(freetype.FT_RENDER_MODE_NORMAL, freetype.Vector(x_part, y_part), True)
    bitmap = drawn.bitmap
    ink = np.array(bitmap.buffer, np.uint8).reshape(bitmap.rows, bitmap.pitch)[:, : bitmap.width]
    return ink, drawn.left, drawn.top
