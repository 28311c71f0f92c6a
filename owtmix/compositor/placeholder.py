"""The placeholder: what a tile shows while its stream has no frame."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from owtmix.base.geometry import Size
from owtmix.compositor.bands import bands
from owtmix.compositor.text.fonts import Fonts
from owtmix.compositor.text.letters import clean, split
from owtmix.compositor.text.missing_glyphs import missing_chars
from owtmix.compositor.text.render import text_mask

_Grey = NDArray[np.uint8]

_BACKGROUND: Final = 40
_DISC: Final = 66
_INITIAL: Final = 185
_NAME: Final = 200
_MIN_DISC_PX: Final = 32


def draw_placeholder(name: str, size: Size, fonts: Fonts | None = None) -> _Grey:
    """A dark grey tile with ``name``, and above it a disc with its initial if both fit.

    Args:
        name: Any characters.
        size: Of the tile, in px.
        fonts: In order of preference; the package's own by default.

    Returns:
        Grey, uint8 (size.height, size.width), full range.
    """
    grey = np.full((size.height, size.width), _BACKGROUND, np.uint8)
    short_px = min(size.width, size.height)
    name_px = 8 + short_px // 24  # small tiles need relatively larger letters
    disc_px = short_px * 2 // 5 // 2 * 2
    line = text_mask(name, name_px, size.width * 9 // 10, fonts)
    if disc_px >= _MIN_DISC_PX:
        top = (size.height - disc_px - name_px // 2 - line.shape[0]) // 2
        _draw_centred(grey, _disc(disc_px), top, _DISC)
        initial = _trimmed(text_mask(_initial(name, fonts), disc_px // 2, disc_px, fonts))
        _draw_centred(grey, initial, top + (disc_px - initial.shape[0]) // 2, _INITIAL)
        _draw_centred(grey, line, top + disc_px + name_px // 2, _NAME)
    elif line.shape[0] <= size.height:
        _draw_centred(grey, line, (size.height - line.shape[0]) // 2, _NAME)
    return grey


def _initial(name: str, fonts: Fonts | None) -> str:
    """The first letter as a capital, if a font has that: few have those of Georgian."""
    letter = next((letter for letter in split(clean(name)) if letter[0].isalnum()), "")
    capital = clean(letter.upper())
    return letter if missing_chars(capital, fonts) else capital


def _disc(diameter_px: int) -> _Grey:
    """The coverage of a disc: uint8 (diameter_px, diameter_px), 255 is full."""
    from_centre = np.arange(diameter_px) + 0.5 - diameter_px / 2
    disc = np.empty((diameter_px, diameter_px), np.uint8)
    for rows in bands(diameter_px, diameter_px):
        distance = np.sqrt(from_centre**2 + from_centre[rows, np.newaxis] ** 2)
        disc[rows] = np.rint(255 * np.clip(diameter_px / 2 - distance, 0, 1))
    return disc


def _trimmed(mask: _Grey) -> _Grey:
    """``mask`` without its empty rows and columns."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if rows.size else mask[:0, :0]


def _draw_centred(grey: _Grey, mask: _Grey, top: int, shade: int) -> None:
    """Draw ``shade`` through ``mask`` at row ``top``, centred horizontally."""
    height, width = mask.shape
    left = (grey.shape[1] - width) // 2
    region = grey[top : top + height, left : left + width]
    for rows in bands(*region.shape):
        ink = mask[rows].astype(np.uint16)
        region[rows] = (ink * shade + (255 - ink) * region[rows] + 127) // 255
