"""One line of text in any script, as pixels that are the same on every machine."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from owtmix.canvas.typeface import FACES, face_of, font
from owtmix.canvas.writing import clean, is_invisible, split, visual

ELLIPSIS: Final = "…"
_WHITE: Final = 255
_DARK: Final = 16
_EDGE_PER_HEIGHT: Final = 16


@dataclass(frozen=True, slots=True)
class _Run:
    """Neighbouring glyphs of one font; ``x`` is where its pen starts."""

    face: str
    text: str
    x: int


def missing_glyphs(text: str) -> tuple[str, ...]:
    """Name each character of ``text`` that no font has, once and in order: ``U+1F642 SLIGHTLY SMILING FACE``.

    ``render_text`` leaves them out rather than drawing an empty box.
    """
    missing = dict.fromkeys(char for char in clean(text) if not is_invisible(char) and face_of(char) is None)
    return tuple(f"U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip() for char in missing)


def render_text(text: str, height_px: int, max_width_px: int) -> NDArray[np.uint8]:
    """Draw ``text`` white with a dark edge, as a watermark (semantics.md, "Picture").

    Args:
        text: Any characters; controls and line breaks become spaces, what no font has is left out.
        height_px: Size of the em: capitals are about 3/4 of it, Chinese characters nearly all of it.
        max_width_px: What does not fit is cut and ends in an ellipsis.

    Returns:
        RGBA, uint8 (height, width, 4), straight alpha. The height depends on ``height_px`` alone, the width on the
        text; it is 0 when there is nothing to draw.
    """
    edge_px = max(1, round(height_px / _EDGE_PER_HEIGHT))
    glyphs = _cut(text, height_px, max_width_px - 2 * edge_px)
    fill = _mask(glyphs, height_px, margin_px=edge_px, stroke_px=0).astype(np.uint16)
    edge = _mask(glyphs, height_px, margin_px=edge_px, stroke_px=edge_px).astype(np.uint16)
    under = (edge * (255 - fill) + 127) // 255
    alpha = fill + under
    shade = (_WHITE * fill.astype(np.uint32) + _DARK * under + alpha // 2) // np.maximum(alpha, 1)
    return np.stack((shade, shade, shade, alpha), axis=2).astype(np.uint8)


def text_mask(text: str, height_px: int, max_width_px: int) -> NDArray[np.uint8]:
    """Like ``render_text`` without an edge: how much of each pixel is ink, uint8 (height, width)."""
    return _mask(_cut(text, height_px, max_width_px), height_px, margin_px=0, stroke_px=0)


def _cut(text: str, height_px: int, max_width_px: int) -> str:
    """As much of ``text`` as fits, in glyph characters from left to right."""
    letters = split("".join(char for char in clean(text) if is_invisible(char) or face_of(char)).strip())
    if len(letters) <= max_width_px:
        whole = visual("".join(letters))
        if _width_px(whole, height_px) <= max_width_px:
            return whole

    def cut(count: int) -> str:
        return visual("".join(letters[:count]).rstrip() + ELLIPSIS)

    # A letter is about a pixel wide or more, so a very long text need not be measured whole.
    counts = range(min(len(letters), max(max_width_px, 0)))
    fitting = bisect_right(counts, max_width_px, key=lambda count: _width_px(cut(count), height_px))
    return cut(fitting - 1) if fitting else ""


def _runs(glyphs: str, height_px: int) -> list[_Run]:
    runs = []
    x = 0
    for face, chars in groupby(glyphs, key=lambda char: face_of(char) or FACES[0]):
        text = "".join(chars)
        runs.append(_Run(face, text, x))
        x += ceil(font(face, height_px).getlength(text))
    return runs


def _width_px(glyphs: str, height_px: int) -> int:
    return sum(ceil(font(run.face, height_px).getlength(run.text)) for run in _runs(glyphs, height_px))


def _mask(glyphs: str, height_px: int, *, margin_px: int, stroke_px: int) -> NDArray[np.uint8]:
    """Ink of the line, thickened by ``stroke_px``, in a box whose height is the same for every text."""
    metrics = [font(face, height_px).getmetrics() for face in FACES]
    ascent = max(ascent for ascent, _ in metrics)
    descent = max(descent for _, descent in metrics)
    width = _width_px(glyphs, height_px)
    size = (width + 2 * margin_px if width else 0, ascent + descent + 2 * margin_px)
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    for run in _runs(glyphs, height_px):
        start = (margin_px + run.x, margin_px + ascent)
        draw.text(start, run.text, fill=255, font=font(run.face, height_px), anchor="ls", stroke_width=stroke_px)
    return np.asarray(mask)
