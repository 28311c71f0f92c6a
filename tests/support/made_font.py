"""Generates a small font for tests: Devanagari characters as boxes, with one ligature."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fontTools.feaLib.builder import addOpenTypeFeaturesFromString
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

KA, VIRAMA, SSA, I_SIGN = "\u0915", "\u094d", "\u0937", "\u093f"
GLYPHS: Final = (".notdef", "ka", "virama", "ssa", "isign", "kssa")
"""The glyph id is the position: ``GLYPHS.index("kssa")``."""

_CMAP: Final = {ord(KA): "ka", ord(VIRAMA): "virama", ord(SSA): "ssa", ord(I_SIGN): "isign"}
_FEATURES: Final = "languagesystem dev2 dflt; feature akhn { sub ka virama ssa by kssa; } akhn;"
_EM: Final = 1000


def make_font(path: Path) -> Path:
    """Write the font; each glyph is a box, wider than the one before."""
    builder = FontBuilder(_EM, isTTF=True)
    builder.setupGlyphOrder(list(GLYPHS))
    builder.setupCharacterMap(_CMAP)
    builder.setupGlyf({name: _box(200 + 80 * i) for i, name in enumerate(GLYPHS)})
    builder.setupHorizontalMetrics({name: (300 + 80 * i, 50) for i, name in enumerate(GLYPHS)})
    builder.setupHorizontalHeader(ascent=900, descent=-200)
    builder.setupNameTable({"familyName": "Boxes", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    addOpenTypeFeaturesFromString(builder.font, _FEATURES)
    builder.save(path)
    return path


def _box(width: int) -> object:
    pen = TTGlyphPen(None)
    pen.moveTo((50, 0))
    for corner in ((50, 700), (50 + width, 700), (50 + width, 0)):
        pen.lineTo(corner)
    pen.closePath()
    return pen.glyph()
