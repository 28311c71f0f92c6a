"""Warnings of text watermarks that are longer than the canvas is wide, or lie partly below it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from owtmix.compositor.text.coverage import needed_fonts
from owtmix.jobfile.spec import TextWatermark
from owtmix.plan.model import PicturePlan

WIDEST_EM: Final = 2
"""No letter is wider than this many heights of the text: shorter texts need no measuring."""


def cut_text_warnings(picture: PicturePlan | None) -> Iterator[str]:
    """A warning for each text watermark that does not fit."""
    for mark in picture.watermarks if picture else ():
        if not isinstance(mark, TextWatermark):
            continue
        assert picture
        width_px = picture.canvas.width - mark.x
        if mark.y + picture.text_px > picture.canvas.height:
            yield f"the text watermark at {mark.x},{mark.y} lies partly outside of the picture"
        elif len(mark.text) * picture.text_px * WIDEST_EM > width_px:
            # Imported here: most jobs need no fonts, and loading them takes time.
            from owtmix.compositor.text.fonts import fonts_of  # noqa: PLC0415
            from owtmix.compositor.text.render import is_cut  # noqa: PLC0415

            if is_cut(mark.text, picture.text_px, width_px, fonts_of(needed_fonts([mark.text], picture.fonts))):
                yield f"the text watermark at {mark.x},{mark.y} is wider than the {width_px} px beside it: it is cut"
